#include "bench/loadgen/hist.h"

static unsigned bucket_of(uint64_t v)
{
	unsigned top;

	if (v < 1 << LG_HIST_SUB)
		return (unsigned)v;
	if (v >> 40)
		return LG_HIST_BUCKETS - 1;
	top = 63 - (unsigned)__builtin_clzll(v);
	return (top - LG_HIST_SUB + 1) << LG_HIST_SUB |
	       (unsigned)(v >> (top - LG_HIST_SUB) & ((1 << LG_HIST_SUB) - 1));
}

static uint64_t upper_of(unsigned b)
{
	unsigned row = b >> LG_HIST_SUB, low = b & ((1 << LG_HIST_SUB) - 1);

	return row == 0 ? b : (((uint64_t)(1 << LG_HIST_SUB) + low + 1) << (row - 1)) - 1;
}

void lg_hist_add(struct lg_hist *h, uint64_t ns)
{
	h->count++;
	h->sum += ns;
	if (ns > h->max)
		h->max = ns;
	h->bucket[bucket_of(ns)]++;
}

void lg_hist_merge(struct lg_hist *to, const struct lg_hist *from)
{
	to->count += from->count;
	to->sum += from->sum;
	if (from->max > to->max)
		to->max = from->max;
	for (unsigned i = 0; i < LG_HIST_BUCKETS; i++)
		to->bucket[i] += from->bucket[i];
}

uint64_t lg_hist_at(const struct lg_hist *h, double share)
{
	uint64_t want = (uint64_t)((double)h->count * share), seen = 0;

	if (want >= h->count)
		return h->max;
	for (unsigned i = 0; i < LG_HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen > want)
			return upper_of(i) < h->max ? upper_of(i) : h->max;
	}
	return h->max;
}
