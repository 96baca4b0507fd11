/* Payload formats. Input: codec, length of the Dependency Descriptor, descriptor, payload. Twice,
 * so that a descriptor may refer to the structure that it brought itself. */
#include "dataplane/rtp/layers.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct dp_frame_info *f, uint32_t len)
{
	uint8_t key = f->flags & (DP_FRAME_START | DP_FRAME_KEY);

	if (key == DP_FRAME_KEY || (!len && key))
		abort();
	if (f->sid >= SH_MAX_LAYERS || f->tid >= SH_MAX_TEMPORAL || f->need >> SH_MAX_LAYERS ||
	    f->up >> SH_MAX_LAYERS * SH_MAX_TEMPORAL)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct dp_ids delta = {.pid = 0x1234, .tl0 = 200, .keyidx = 9, .frame = 5};
	struct dp_dd state = {0};
	struct dp_frame_info f;
	struct dp_frame_sizes sizes;
	struct dp_frame_in in = {.marker = true, .newest = true, .state = &state};
	uint8_t *dd, *payload;

	if (size < 2)
		return 0;
	in.codec = data[0] % SH_CODEC_COUNT;
	in.dd_len = data[1] < size - 2 ? data[1] : (uint32_t)size - 2;
	in.len = (uint32_t)(size - 2) - in.dd_len;
	in.dd = dd = malloc(in.dd_len ? in.dd_len : 1);
	in.payload = payload = malloc(in.len ? in.len : 1);
	memcpy(dd, data + 2, in.dd_len);
	memcpy(payload, data + 2 + in.dd_len, in.len);
	if (!in.dd_len)
		in.dd = NULL;
	for (unsigned i = 0; i < 2; i++) {
		dp_frame_read(&f, &in);
		check(&f, in.len);
		dp_frame_sizes(&sizes, &in);
		if (sizes.n > SH_MAX_LAYERS)
			abort();
	}
	if (in.codec == SH_CODEC_VP8 ||
	    in.codec == SH_CODEC_VP9) { // other ids, the same descriptor
		struct dp_frame_info g;

		dp_ids_patch(payload, in.len, f.ids.has, &delta);
		dp_frame_read(&g, &in);
		if (g.ids.has != f.ids.has || g.flags != f.flags || g.tid != f.tid ||
		    (f.ids.has & DP_IDS_PID15 && g.ids.pid != ((f.ids.pid + delta.pid) & 0x7fff)))
			abort();
	}
	free(dd);
	free(payload);
	return 0;
}
