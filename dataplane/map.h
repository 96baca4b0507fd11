/* Memory for tables that are as large as the configured limits and as a rule far from full: zeroed,
 * and free of charge until it is touched. Control thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

enum { DP_HUGE = 2u << 20 };

/* Huge pages, so that a worker that goes through all of it waits for fewer page walks, are wished
 * for in the first `full` bytes only, which are in use when the slabs are, and for whole ones: of
 * a table of which little is touched one huge page would be more than all the rest. NULL: no
 * memory. Given back by munmap() of the same bytes. */
static inline void *dp_map(size_t bytes, size_t full)
{
	size_t room = bytes + (full >= DP_HUGE ? DP_HUGE : 0), page = 4096, skip;
	uint8_t *p, *at;

	bytes = (bytes + page - 1) & ~(page - 1);
	room = (room + page - 1) & ~(page - 1);
	p = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
	         -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (full < DP_HUGE)
		return p;
	at = (uint8_t *)(((uintptr_t)p + DP_HUGE - 1) & ~(uintptr_t)(DP_HUGE - 1));
	skip = (size_t)(at - p);
	if (skip)
		munmap(p, skip);
	if (room > skip + bytes)
		munmap(at + bytes, room - skip - bytes);
	(void)madvise(at, full & ~(size_t)(DP_HUGE - 1), MADV_HUGEPAGE);
	return at;
}
