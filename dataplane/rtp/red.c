/* RFC 2198 §3: a header of four bytes for each redundant block, F set: payload type (7 bits),
 * timestamp offset (14), length (10); then one byte for the primary block, F clear, whose length is
 * what is left. Blocks follow in the order of their headers. */
#include "dataplane/rtp/red.h"
#include <errno.h>

enum { MORE = 0x80, REDUNDANT = 4, LENGTH = 0x3ff };

int dp_red_parse(struct dp_red *out, const uint8_t *payload, uint32_t len)
{
	uint32_t at = 0, blocks = 0, n = 0;

	if (len > UINT16_MAX)
		return -EBADMSG;
	while (at < len && (payload[at] & MORE)) {
		if (len - at < REDUNDANT)
			return -EBADMSG;
		blocks += (uint32_t)(payload[at + 2] << 8 | payload[at + 3]) & LENGTH;
		at += REDUNDANT;
		n++;
	}
	if (at == len || blocks > len - at - 1)
		return -EBADMSG;
	*out = (struct dp_red){
	    .off = (uint16_t)(at + 1 + blocks),
	    .len = (uint16_t)(len - at - 1 - blocks),
	    .pt = payload[at],
	    .redundant = n < UINT8_MAX ? (uint8_t)n : UINT8_MAX,
	};
	return 0;
}
