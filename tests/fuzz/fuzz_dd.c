/* Dependency Descriptors of one stream, one behind the other, each behind its length. */
#include "dataplane/rtp/layers.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dp_dd state = {0}, before;
	uint64_t index = 0;

	while (size) {
		struct dp_frame_info f = {0};
		uint32_t len = data[0] & 0x7f;
		bool newest = !(data[0] & 0x80);
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
		err = dp_dd_read(&f, &state, copy, len, ++index, newest);
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
