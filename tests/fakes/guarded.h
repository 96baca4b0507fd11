/* Shared memory with nothing behind it: a byte read or written past its end is a fault, not luck.
 */
#pragma once
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

struct guarded {
	uint8_t *map;
	size_t map_bytes;
	void *mem; // its last byte is the last one before an inaccessible page
};

static inline struct guarded guarded_alloc(size_t bytes)
{
	const size_t page = 4096;
	size_t inner = (bytes + page - 1) & ~(page - 1);
	struct guarded g = {.map_bytes = inner + 2 * page};

	g.map = mmap(NULL, g.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert(g.map != MAP_FAILED);
	mprotect(g.map, page, PROT_NONE);
	mprotect(g.map + page + inner, page, PROT_NONE);
	g.mem = g.map + page + inner - bytes;
	return g;
}

static inline void guarded_free(struct guarded *g)
{
	munmap(g->map, g->map_bytes);
}
