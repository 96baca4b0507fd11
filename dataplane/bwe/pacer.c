/* A leaky bucket whose credit is in bits times 1e9, so that ns times bits a second needs no
 * division. */
#include "dataplane/bwe/pacer.h"

#define SECOND 1000000000ull

static int64_t burst(const struct dp_pacer *p)
{
	uint64_t bytes = (uint64_t)p->rate_bps / 8 * DP_PACER_BURST_US / 1000000;

	return (int64_t)((bytes < DP_PACER_BURST_BYTES ? DP_PACER_BURST_BYTES : bytes) * 8 *
	                 SECOND);
}

static void earn(struct dp_pacer *p, uint64_t now_ns)
{
	uint64_t ns = now_ns - p->at_ns;

	if (!p->at_ns || ns >= SECOND) // a second is worth more than the burst, and than any debt
		p->credit_bits_ns = burst(p);
	else
		p->credit_bits_ns += (int64_t)(ns * p->rate_bps);
	if (p->credit_bits_ns > burst(p))
		p->credit_bits_ns = burst(p);
	p->at_ns = now_ns;
}

void dp_pacer_rate(struct dp_pacer *p, uint32_t estimate_bps, uint32_t queued_bytes,
                   uint64_t now_ns)
{
	uint64_t bps = (uint64_t)estimate_bps * DP_PACER_FACTOR_Q8 >> 8;
	uint64_t drain = (uint64_t)queued_bytes * 8 * 1000000 / DP_PACER_DRAIN_US;

	if (p->rate_bps)
		earn(p, now_ns);
	if (estimate_bps && bps < drain)
		bps = drain;
	p->rate_bps = bps > UINT32_MAX ? UINT32_MAX : (uint32_t)bps;
}

uint32_t dp_pacer_room(struct dp_pacer *p, uint64_t now_ns)
{
	if (!p->rate_bps)
		return UINT32_MAX;
	earn(p, now_ns);
	return p->credit_bits_ns <= 0 ? 0
	                              : (uint32_t)((uint64_t)p->credit_bits_ns / (8 * SECOND)) + 1;
}

void dp_pacer_sent(struct dp_pacer *p, uint32_t bytes, uint64_t now_ns)
{
	int64_t least;

	if (!p->rate_bps)
		return;
	earn(p, now_ns);
	p->credit_bits_ns -= (int64_t)(bytes * 8ull * SECOND);
	/* audio and probes go whatever is left: their debt is to hold video back, but not for long
	 */
	least = -(int64_t)((uint64_t)p->rate_bps * DP_PACER_DEBT_US * 1000);
	if (p->credit_bits_ns < least - (int64_t)(1500 * 8 * SECOND))
		p->credit_bits_ns = least - (int64_t)(1500 * 8 * SECOND);
}

uint64_t dp_pacer_next(struct dp_pacer *p, uint64_t now_ns)
{
	if (dp_pacer_room(p, now_ns))
		return now_ns;
	return now_ns + (uint64_t)-p->credit_bits_ns / p->rate_bps + 1;
}
