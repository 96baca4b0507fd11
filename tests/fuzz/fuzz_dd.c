/* Dependency Descriptors of one stream, one behind the other, each behind its length. Each is told
 * other decode targets too: read again, those are what it says, and nothing else has changed. */
#include "dataplane/rtp/layers.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void tell(const struct dp_frame_info *was, const struct dp_dd_targets *k,
                 const struct dp_dd *before, const struct dp_frame_in *in)
{
	uint32_t active = (uint32_t)(((UINT64_C(1) << k->n) - 1) & 0x5a5a5a5a);
	struct dp_dd state = *before;
	struct dp_dd_targets again = {0};
	struct dp_frame_info f = {0};
	struct dp_frame_in told = *in;
	uint8_t *out = malloc(in->dd_len + DP_DD_GROWS);

	told.dd_len = dp_dd_tell(out, in->dd, in->dd_len, k, active);
	told.dd = out;
	told.state = &state;
	told.targets = &again;
	if (told.dd_len < in->dd_len || told.dd_len > in->dd_len + DP_DD_GROWS)
		abort();
	if (dp_dd_read(&f, &told) || again.active != active || !again.told ||
	    again.structure != k->structure || again.at != k->at)
		abort();
	if (f.sid != was->sid || f.tid != was->tid || f.need != was->need || f.up != was->up ||
	    f.flags != was->flags || f.ids.frame != was->ids.frame)
		abort();
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dp_dd state = {0}, before;
	uint64_t index = 0;

	while (size) {
		struct dp_frame_info f = {0};
		uint32_t len = data[0] & 0x7f;
		bool newest = !(data[0] & 0x80);
		struct dp_dd_targets targets = {0};
		struct dp_frame_in in = {
		    .state = &state, .targets = &targets, .index = ++index, .newest = newest};
		uint8_t *copy;
		int err;

		data++;
		size--;
		len = len < size ? len : (uint32_t)size;
		copy = malloc(len ? len : 1);
		memcpy(copy, data, len);
		data += len;
		size -= len;
		before = state;
		in.dd = copy;
		in.dd_len = len;
		err = dp_dd_read(&f, &in);
		if (!err && (f.flags & DP_FRAME_START))
			tell(&f, &targets, &before, &in);
		free(copy);
		if (err && memcmp(&before, &state, sizeof(state)))
			abort();
		if (err)
			continue;
		if (!state.templates || state.templates > DP_DD_TEMPLATES ||
		    state.targets > DP_DD_TARGETS || f.sid >= SH_MAX_LAYERS ||
		    f.tid >= SH_MAX_TEMPORAL || f.need >> SH_MAX_LAYERS)
			abort();
	}
	return 0;
}
