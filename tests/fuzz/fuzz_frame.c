/* Payload formats. Input: codec, length of the Dependency Descriptor, descriptor, payload. */
#include "dataplane/rtp/rtp.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *dd, *payload;
	uint32_t dd_len, len;
	unsigned flags;

	if (size < 2)
		return 0;
	dd_len = data[1] < size - 2 ? data[1] : size - 2;
	len = size - 2 - dd_len;
	dd = malloc(dd_len ? dd_len : 1);
	payload = malloc(len ? len : 1);
	memcpy(dd, data + 2, dd_len);
	memcpy(payload, data + 2 + dd_len, len);
	flags = dp_rtp_frame(data[0] % SH_CODEC_COUNT, payload, len, dd_len ? dd : NULL, dd_len);
	if (flags > (DP_FRAME_START | DP_FRAME_KEY) || flags == DP_FRAME_KEY || (!len && flags))
		abort();
	free(dd);
	free(payload);
	return 0;
}
