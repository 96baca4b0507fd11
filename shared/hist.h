/* Log-linear histograms of times in nanoseconds: 32 buckets a power of two, so that a bucket is at
 * most 1/32 (3.1 %) of its value wide; below 32 ns a bucket a nanosecond, from 2^34 ns (17 s) on
 * all in the last. In shared memory with one writer; readers may see a count before the sum that
 * belongs to it. Pure: no clock, no allocation, libc only. */
#pragma once
#include <stdint.h>

enum {
	SH_HIST_SUB_BITS = 5,
	SH_HIST_SUBS = 1 << SH_HIST_SUB_BITS,
	SH_HIST_BITS = 34,
	SH_HIST_BUCKETS = (SH_HIST_BITS - SH_HIST_SUB_BITS + 1) * SH_HIST_SUBS,
};

struct sh_hist {
	uint64_t sum; // of all values, ns
	uint64_t max; // the largest
	uint64_t bucket[SH_HIST_BUCKETS];
};

static inline unsigned sh_hist_index(uint64_t v)
{
	unsigned e;

	if (v < SH_HIST_SUBS)
		return (unsigned)v;
	if (v >> SH_HIST_BITS)
		return SH_HIST_BUCKETS - 1;
	e = 63 - (unsigned)__builtin_clzll(v);
	return (e - SH_HIST_SUB_BITS + 1) * SH_HIST_SUBS +
	       ((unsigned)(v >> (e - SH_HIST_SUB_BITS)) & (SH_HIST_SUBS - 1));
}

/* Least value of a bucket; that of bucket SH_HIST_BUCKETS is where the last one ends. */
static inline uint64_t sh_hist_lower(unsigned i)
{
	unsigned e = i / SH_HIST_SUBS;

	return e ? (uint64_t)(SH_HIST_SUBS + i % SH_HIST_SUBS) << (e - 1) : i;
}

/* n times the value v. */
static inline void sh_hist_add(struct sh_hist *h, uint64_t v, uint64_t n)
{
	h->bucket[sh_hist_index(v)] += n;
	h->sum += v * n;
	if (v > h->max)
		h->max = v;
}

/* The values are summed up as they are now. a: since b was copied of it (max is a's own); b may be
 * NULL. */
void sh_hist_diff(struct sh_hist *out, const struct sh_hist *a, const struct sh_hist *b);
/* out += a */
void sh_hist_merge(struct sh_hist *out, const struct sh_hist *a);
uint64_t sh_hist_count(const struct sh_hist *h);
/* Values below 2^bits, exactly; bits 0..SH_HIST_BITS. */
uint64_t sh_hist_below(const struct sh_hist *h, unsigned bits);
/* Value that part/1,000,000 of all are not above, at most 3.1 % too large and never above max; 0:
 * there are none. */
uint64_t sh_hist_quantile(const struct sh_hist *h, uint32_t part);
