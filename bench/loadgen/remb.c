#include "bench/loadgen/remb.h"

enum { WRAP_US = 64000000 }; // of send times

/* a - b on a clock that starts anew every 64 s. */
static int32_t after(uint32_t a, uint32_t b)
{
	int32_t d = (int32_t)a - (int32_t)b;

	if (d > WRAP_US / 2)
		return d - WRAP_US;
	return d < -WRAP_US / 2 ? d + WRAP_US : d;
}

void lg_remb_packet(struct lg_remb *r, uint32_t bytes, int32_t send_time, uint64_t now_ns)
{
	uint32_t sent_us, delay_us;

	if (!r->since_ns)
		r->since_ns = now_ns;
	r->bytes += bytes;
	if (send_time < 0)
		return;
	sent_us = (uint32_t)((uint64_t)send_time * 1000000 >> 18);
	delay_us = ((uint32_t)(now_ns / 1000 % WRAP_US) + WRAP_US - sent_us) % WRAP_US;
	if (!r->has_least || after(delay_us, r->least_us) < 0)
		r->least_us = delay_us;
	r->has_least = true;
}

/* Whether a queue stood for all of the second. */
static bool queued(struct lg_remb *r)
{
	int32_t above = r->has_base ? after(r->least_us, r->base_us) : 0;

	if (!r->has_least)
		return false;
	if (!r->has_base || above < 0 || ++r->age_s >= LG_REMB_KEEP_S) {
		r->base_us = r->least_us;
		r->age_s = 0;
	}
	r->has_base = true;
	r->has_least = false;
	return above > LG_REMB_QUEUE_MS * 1000;
}

static void grow(struct lg_remb *r, uint64_t rate)
{
	uint64_t to = rate * 3 / 2;

	if (r->was_congested && r->bps * 27 / 25 < to)
		to = r->bps * 27 / 25;
	if (to > r->bps)
		r->bps = to;
}

uint64_t lg_remb_bound(struct lg_remb *r, uint64_t packets, uint64_t lost, uint64_t most,
                       uint64_t now_ns)
{
	uint64_t ns = now_ns - r->since_ns, rate;
	uint64_t came = packets > r->packets ? packets - r->packets : 0;
	uint64_t gone = lost > r->lost ? lost - r->lost : 0;

	if (!r->since_ns || now_ns <= r->since_ns || !r->bytes)
		return r->bps;
	rate = r->bytes * 8 * 1000000 / (ns / 1000 + 1);
	r->congested = queued(r) | (gone * 100 > (gone + came) * LG_REMB_LOSS_PERCENT);
	r->was_congested |= r->congested;
	if (r->congested)
		r->bps = rate * 17 / 20;
	else
		grow(r, rate);
	if (r->bps < LG_REMB_LEAST)
		r->bps = LG_REMB_LEAST;
	if (r->bps > most)
		r->bps = most;
	r->since_ns = now_ns;
	r->bytes = 0;
	r->packets = packets;
	r->lost = lost;
	return r->bps;
}
