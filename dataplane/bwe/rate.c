/* What arrives: bytes by arrival time, in buckets of 50 ms, so that a window can be chosen when it
 * is asked for: half a second to be even over video frames, a fifth of one when a link has just
 * become slower. */
#include "dataplane/bwe/priv.h"

enum { SPAN_US = DP_BWE_BUCKETS * DP_BWE_BUCKET_US, LEAST_US = 100000 };

static uint32_t place(int64_t bucket)
{
	return (uint32_t)bucket % DP_BWE_BUCKETS;
}

void dp_bwe_rate_add(struct dp_bwe_rate *r, int64_t arrival_us, uint32_t bytes)
{
	int64_t bucket = arrival_us / DP_BWE_BUCKET_US, newest = r->newest_us / DP_BWE_BUCKET_US;

	if (!r->started || bucket - newest >= DP_BWE_BUCKETS || newest - bucket >= DP_BWE_BUCKETS) {
		*r = (struct dp_bwe_rate){
		    .newest_us = arrival_us, .first_us = arrival_us, .started = 1};
		newest = bucket;
	}
	for (; newest < bucket; newest++)
		r->bytes[place(newest + 1)] = 0;
	r->bytes[place(bucket)] += bytes;
	if (arrival_us > r->newest_us)
		r->newest_us = arrival_us;
}

uint32_t dp_bwe_rate_bps(const struct dp_bwe_rate *r, uint32_t window_us)
{
	int64_t newest = r->newest_us / DP_BWE_BUCKET_US;
	int64_t oldest = (r->newest_us - window_us) / DP_BWE_BUCKET_US + 1;
	int64_t since = oldest * DP_BWE_BUCKET_US;
	uint64_t bytes = 0;

	if (!r->started)
		return 0;
	if (since < r->first_us) {
		since = r->first_us;
		oldest = since / DP_BWE_BUCKET_US;
	}
	if (oldest <= newest - DP_BWE_BUCKETS || r->newest_us - since < LEAST_US)
		return 0;
	for (; oldest <= newest; oldest++)
		bytes += r->bytes[place(oldest)];
	bytes = bytes * 8000000 / (uint64_t)(r->newest_us - since);
	return bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
}
