/* Frames and DTLS record headers as they come from the wire: what is found lies inside, and can be
 * answered. */
#include <stdlib.h>
#include <string.h>
#include "dataplane/node/frame.h"
#include "shared/stats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(x)                                                                                    \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

static void answer(const uint8_t *frame, const struct dp_frame *f)
{
	uint8_t out[DP_FRAME_REPLY_MAX + 64], l3;
	struct dp_frame back;
	unsigned why;
	uint32_t head = dp_frame_reply(out, &l3, frame, f);

	must(head <= DP_FRAME_REPLY_MAX);
	memset(out + head, 0x2a, 64);
	dp_frame_finish(out, f->l2_len, l3, 64 + 8, true);
	must(!dp_frame_parse(&back, out, head + 64, &why));
	must(back.payload_len == 64);
	must(!memcmp(&back.src, &f->dst, sizeof(back.src)) &&
	     !memcmp(&back.dst, &f->src, sizeof(back.dst)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *exact = malloc(size ? size : 1); // so that reading past the end is seen
	struct dp_frame f;
	unsigned why = SH_STAT_COUNT;

	if (!exact || size > 65535) {
		free(exact);
		return 0;
	}
	memcpy(exact, data, size);
	if (dp_frame_parse(&f, exact, (uint32_t)size, &why)) {
		must(why < SH_STAT_COUNT);
	} else {
		must(f.payload_off + f.payload_len <= size);
		must(f.payload_off == f.l2_len + f.l3_len + 8);
		(void)dp_frame_kind(exact + f.payload_off, f.payload_len);
		(void)dp_dtls_records(exact + f.payload_off, f.payload_len);
		answer(exact, &f);
	}
	(void)dp_dtls_records(exact, (uint32_t)size);
	free(exact);
	return 0;
}
