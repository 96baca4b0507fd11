/* Header extensions of an incoming packet, RFC 8285. */
#include "dataplane/rtp/rtp.h"
#include <errno.h>
#include <string.h>

enum { NO_KIND = SH_EXT_COUNT };

static void keep(struct dp_rtp_exts *out, unsigned kind, uint32_t off, uint32_t len)
{
	if (kind == NO_KIND || (out->present & 1u << kind))
		return;
	out->present |= 1u << kind;
	out->off[kind] = off;
	out->len[kind] = len;
}

/* §4.2 */
static int parse_one_byte(struct dp_rtp_exts *out, const uint8_t *buf, uint32_t at, uint32_t end,
                          const uint8_t *id_of_kind)
{
	uint8_t kind_of[16];

	memset(kind_of, NO_KIND, sizeof(kind_of));
	for (unsigned k = 0; k < SH_EXT_COUNT; k++)
		kind_of[id_of_kind[k] < 15 ? id_of_kind[k] : 0] = k;
	while (at < end) {
		unsigned id = buf[at] >> 4;
		uint32_t len = (buf[at] & 15) + 1;

		at++;
		if (id == 0)
			continue; // padding
		if (id == 15)
			break; // reserved: what follows is not for us
		if (at + len > end)
			return -EBADMSG;
		keep(out, kind_of[id], at, len);
		at += len;
	}
	return 0;
}

/* §4.3 */
static int parse_two_byte(struct dp_rtp_exts *out, const uint8_t *buf, uint32_t at, uint32_t end,
                          const uint8_t *id_of_kind)
{
	while (at < end) {
		unsigned id = buf[at++], kind = NO_KIND;
		uint32_t len;

		if (id == 0)
			continue; // padding has no length byte
		if (at == end)
			return -EBADMSG;
		len = buf[at++];
		if (at + len > end)
			return -EBADMSG;
		for (unsigned k = 0; k < SH_EXT_COUNT; k++)
			if (id_of_kind[k] == id)
				kind = k;
		keep(out, kind, at, len);
		at += len;
	}
	return 0;
}

int dp_rtp_ext_parse(struct dp_rtp_exts *out, const struct dp_rtp_hdr *hdr, const uint8_t *buf,
                     const uint8_t id_of_kind[SH_EXT_COUNT])
{
	uint32_t end = (uint32_t)hdr->ext_off + hdr->ext_len;

	memset(out, 0, sizeof(*out));
	if (!hdr->ext_off)
		return 0;
	if (hdr->ext_profile == 0xBEDE)
		return parse_one_byte(out, buf, hdr->ext_off, end, id_of_kind);
	if (hdr->ext_profile >> 4 == 0x100)
		return parse_two_byte(out, buf, hdr->ext_off, end, id_of_kind);
	return 0;
}
