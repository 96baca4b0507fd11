/* The limit needs no queue of its own: busy_ns is the time at which all that was let in will have
 * left, so the wait is busy_ns − now, and the bytes that wait are that times the rate (the virtual
 * scheduling algorithm of ITU-T I.371, with burst_bytes as its tolerance). */
#include "dataplane/impair/wire.h"
#include <stdbool.h>
#include <string.h>

static uint64_t draw(struct dp_wire *w) // xorshift64*
{
	uint64_t x = w->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	w->random = x;
	return x * 0x2545f4914f6cdd1dull >> 32;
}

static bool chance(struct dp_wire *w, uint32_t ppm)
{
	return ppm && draw(w) * DP_WIRE_PPM >> 32 < ppm;
}

static uint64_t serve_ns(uint64_t bytes, uint64_t rate_bps)
{
	return bytes * 8 * 1000000000ull / rate_bps;
}

void dp_wire_init(struct dp_wire *w, const struct dp_wire_conf *conf, uint64_t seed)
{
	memset(w, 0, sizeof(*w));
	w->conf = *conf;
	/* splitmix64: neighbouring seeds are to give unlike wires */
	seed += 0x9e3779b97f4a7c15ull;
	seed = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9ull;
	seed = (seed ^ seed >> 27) * 0x94d049bb133111ebull;
	seed ^= seed >> 31;
	w->random = seed ? seed : 1;
}

uint64_t dp_wire_wait(const struct dp_wire *w, uint64_t now_ns)
{
	return w->conf.rate_bps && w->busy_ns > now_ns ? w->busy_ns - now_ns : 0;
}

/* Bytes in the queue. In units that cannot overflow: a wait of an hour at 10 Gb/s fits. */
static uint64_t waiting(const struct dp_wire *w, uint64_t now_ns)
{
	return dp_wire_wait(w, now_ns) / 1000 * (w->conf.rate_bps / 8) / 1000000;
}

void dp_wire_conf(struct dp_wire *w, const struct dp_wire_conf *conf, uint64_t now_ns)
{
	uint64_t bytes = waiting(w, now_ns);

	w->conf = *conf;
	w->busy_ns = conf->rate_bps ? now_ns + serve_ns(bytes, conf->rate_bps) : 0;
}

static bool lost(struct dp_wire *w)
{
	const struct dp_wire_conf *c = &w->conf;

	if (chance(w, w->bad ? c->to_good_ppm : c->to_bad_ppm))
		w->bad = !w->bad;
	return chance(w, w->bad ? c->loss_bad_ppm : c->loss_good_ppm);
}

/* When the limit lets it out; UINT64_MAX: the queue is full. */
static uint64_t limit(struct dp_wire *w, uint64_t bytes, uint64_t now_ns)
{
	const struct dp_wire_conf *c = &w->conf;
	uint64_t burst;

	if (!c->rate_bps)
		return now_ns;
	if (c->queue_bytes && dp_wire_wait(w, now_ns) &&
	    waiting(w, now_ns) + bytes > c->queue_bytes)
		return UINT64_MAX;
	burst = serve_ns(c->burst_bytes, c->rate_bps);
	if (w->busy_ns + burst < now_ns)
		w->busy_ns = now_ns - burst;
	w->busy_ns += serve_ns(bytes, c->rate_bps);
	return w->busy_ns > now_ns ? w->busy_ns : now_ns;
}

unsigned dp_wire_send(struct dp_wire *w, uint32_t bytes, uint64_t now_ns, uint64_t out_ns[2])
{
	const struct dp_wire_conf *c = &w->conf;
	uint64_t at;

	w->packets++;
	if (lost(w)) {
		w->lost++;
		w->fate = DP_WIRE_LOST;
		return 0;
	}
	at = limit(w, (uint64_t)bytes + c->overhead_bytes, now_ns);
	if (at == UINT64_MAX) {
		w->full++;
		w->fate = DP_WIRE_FULL;
		return 0;
	}
	w->fate = DP_WIRE_PASSED;
	w->bytes += bytes;
	at += c->delay_us * 1000ull;
	if (c->jitter_us)
		at += draw(w) * (c->jitter_us * 1000ull) >> 32;
	if (chance(w, c->reorder_ppm)) {
		w->reordered++;
		at += c->reorder_us * 1000ull;
	} else {
		if (at < w->last_ns)
			at = w->last_ns;
		w->last_ns = at;
	}
	out_ns[0] = out_ns[1] = at;
	if (!chance(w, c->duplicate_ppm))
		return 1;
	w->duplicated++;
	return 2;
}
