#include "shared/hist.h"
#include <string.h>

void sh_hist_diff(struct sh_hist *out, const struct sh_hist *a, const struct sh_hist *b)
{
	memcpy(out, a, sizeof(*out));
	if (!b)
		return;
	out->sum -= b->sum;
	for (unsigned i = 0; i < SH_HIST_BUCKETS; i++)
		out->bucket[i] -= b->bucket[i];
}

void sh_hist_merge(struct sh_hist *out, const struct sh_hist *a)
{
	out->sum += a->sum;
	if (a->max > out->max)
		out->max = a->max;
	for (unsigned i = 0; i < SH_HIST_BUCKETS; i++)
		out->bucket[i] += a->bucket[i];
}

uint64_t sh_hist_count(const struct sh_hist *h)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < SH_HIST_BUCKETS; i++)
		n += h->bucket[i];
	return n;
}

uint64_t sh_hist_below(const struct sh_hist *h, unsigned bits)
{
	unsigned end = bits >= SH_HIST_BITS ? SH_HIST_BUCKETS : sh_hist_index(UINT64_C(1) << bits);
	uint64_t n = 0;

	for (unsigned i = 0; i < end; i++)
		n += h->bucket[i];
	return n;
}

uint64_t sh_hist_quantile(const struct sh_hist *h, uint32_t part)
{
	uint64_t n = sh_hist_count(h), seen = 0, rank;

	if (!n)
		return 0;
	rank = (uint64_t)(((unsigned __int128)n * part + 999999) / 1000000);
	if (!rank)
		rank = 1;
	for (unsigned i = 0; i < SH_HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen >= rank) {
			uint64_t top = sh_hist_lower(i + 1) - 1;

			return i == SH_HIST_BUCKETS - 1 || top > h->max ? h->max : top;
		}
	}
	return h->max;
}
