/* A log-linear histogram of times: 64 buckets a power of two, so that a percentile is right to 1.6
 * %. Pure. */
#pragma once
#include <stdint.h>

enum { LG_HIST_SUB = 6, LG_HIST_BUCKETS = (40 - LG_HIST_SUB + 1) << LG_HIST_SUB };

struct lg_hist {
	uint64_t count, sum, max;
	uint32_t bucket[LG_HIST_BUCKETS];
};

/* ns; all from 2^40 (18 minutes) on are one. */
void lg_hist_add(struct lg_hist *h, uint64_t ns);
void lg_hist_merge(struct lg_hist *to, const struct lg_hist *from);
/* The upper end of the bucket that holds this share (0..1) of the samples, at most the largest one;
 * 0 when there is none. */
uint64_t lg_hist_at(const struct lg_hist *h, double share);
