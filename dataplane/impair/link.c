/* The limit needs no queue of its own: busy_ns is the time at which all that was let in will have
 * left, so the wait is busy_ns − now, and the bytes that wait are that times the rate (the virtual
 * scheduling algorithm of ITU-T I.371, with burst_bytes as its tolerance). */
#include "dataplane/impair/link.h"
#include <stdbool.h>
#include <string.h>

static uint64_t draw(struct dp_link *l) // xorshift64*
{
	uint64_t x = l->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	l->random = x;
	return x * 0x2545f4914f6cdd1dull >> 32;
}

static bool chance(struct dp_link *l, uint32_t ppm)
{
	return ppm && draw(l) * DP_LINK_PPM >> 32 < ppm;
}

static uint64_t serve_ns(uint64_t bytes, uint64_t rate_bps)
{
	return bytes * 8 * 1000000000ull / rate_bps;
}

void dp_link_init(struct dp_link *l, const struct dp_link_conf *conf, uint64_t seed)
{
	memset(l, 0, sizeof(*l));
	l->conf = *conf;
	/* splitmix64: neighbouring seeds are to give unlike links */
	seed += 0x9e3779b97f4a7c15ull;
	seed = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9ull;
	seed = (seed ^ seed >> 27) * 0x94d049bb133111ebull;
	seed ^= seed >> 31;
	l->random = seed ? seed : 1;
}

uint64_t dp_link_wait(const struct dp_link *l, uint64_t now_ns)
{
	return l->conf.rate_bps && l->busy_ns > now_ns ? l->busy_ns - now_ns : 0;
}

/* Bytes in the queue. In units that cannot overflow: a wait of an hour at 10 Gb/s fits. */
static uint64_t waiting(const struct dp_link *l, uint64_t now_ns)
{
	return dp_link_wait(l, now_ns) / 1000 * (l->conf.rate_bps / 8) / 1000000;
}

void dp_link_conf(struct dp_link *l, const struct dp_link_conf *conf, uint64_t now_ns)
{
	uint64_t bytes = waiting(l, now_ns);

	l->conf = *conf;
	l->busy_ns = conf->rate_bps ? now_ns + serve_ns(bytes, conf->rate_bps) : 0;
}

static bool lost(struct dp_link *l)
{
	const struct dp_link_conf *c = &l->conf;

	if (chance(l, l->bad ? c->to_good_ppm : c->to_bad_ppm))
		l->bad = !l->bad;
	return chance(l, l->bad ? c->loss_bad_ppm : c->loss_good_ppm);
}

/* When the limit lets it out; UINT64_MAX: the queue is full. */
static uint64_t limit(struct dp_link *l, uint64_t bytes, uint64_t now_ns)
{
	const struct dp_link_conf *c = &l->conf;
	uint64_t burst;

	if (!c->rate_bps)
		return now_ns;
	if (c->queue_bytes && dp_link_wait(l, now_ns) &&
	    waiting(l, now_ns) + bytes > c->queue_bytes)
		return UINT64_MAX;
	burst = serve_ns(c->burst_bytes, c->rate_bps);
	if (l->busy_ns + burst < now_ns)
		l->busy_ns = now_ns - burst;
	l->busy_ns += serve_ns(bytes, c->rate_bps);
	return l->busy_ns > now_ns ? l->busy_ns : now_ns;
}

unsigned dp_link_send(struct dp_link *l, uint32_t bytes, uint64_t now_ns, uint64_t out_ns[2])
{
	const struct dp_link_conf *c = &l->conf;
	uint64_t at;

	l->packets++;
	if (lost(l)) {
		l->lost++;
		l->fate = DP_LINK_LOST;
		return 0;
	}
	at = limit(l, (uint64_t)bytes + c->overhead_bytes, now_ns);
	if (at == UINT64_MAX) {
		l->full++;
		l->fate = DP_LINK_FULL;
		return 0;
	}
	l->fate = DP_LINK_PASSED;
	l->bytes += bytes;
	at += c->delay_us * 1000ull;
	if (c->jitter_us)
		at += draw(l) * (c->jitter_us * 1000ull) >> 32;
	if (chance(l, c->reorder_ppm)) {
		l->reordered++;
		at += c->reorder_us * 1000ull;
	} else {
		if (at < l->last_ns)
			at = l->last_ns;
		l->last_ns = at;
	}
	out_ns[0] = out_ns[1] = at;
	if (!chance(l, c->duplicate_ppm))
		return 1;
	l->duplicated++;
	return 2;
}
