/* Redundant audio data: a payload that parses is taken apart once more, block by block, and the
 * primary one is where it was said to be. */
#include "dataplane/rtp/red.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
	if (!truth)
		abort();
}

/* Where the headers end, and the bytes of the blocks; as RFC 2198 draws them, bit by bit. */
static size_t walk(const uint8_t *p, size_t *blocks, unsigned *n)
{
	size_t at = 0;

	for (*blocks = *n = 0; p[at] >> 7; at += 4, ++*n)
		*blocks += (size_t)(p[at + 2] % 4) * 256 + p[at + 3];
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct dp_red r;
	size_t head, blocks;
	unsigned n;

	if (size)
		memcpy(copy, data, size);
	if (dp_red_parse(&r, copy, (uint32_t)size) == 0) {
		require(size <= UINT16_MAX && r.off && (size_t)r.off + r.len == size && r.pt < 128);
		head = walk(copy, &blocks, &n);
		require(r.pt == copy[head] && head + 1 + blocks == r.off);
		require(r.redundant == (n < 255 ? n : 255));
	}
	free(copy);
	return 0;
}
