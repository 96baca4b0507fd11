#include "dataplane/clock.h"
#include <time.h>
#include <rte_cycles.h>

enum { TRIES = 5 };
#define NTP_UNIX 2208988800ull // seconds from 1900 to 1970

struct dp_clock dp_clock;

static uint64_t ns_of(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * 1000000000ull + (uint64_t)t->tv_nsec;
}

/* The attempt that was interrupted least. */
static void sample(uint64_t *tsc, uint64_t *mono, uint64_t *ntp)
{
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < TRIES; i++) {
		struct timespec m, r;
		uint64_t a = rte_rdtsc(), b;

		clock_gettime(CLOCK_MONOTONIC, &m);
		clock_gettime(CLOCK_REALTIME, &r);
		b = rte_rdtsc();
		if (b - a >= best)
			continue;
		best = b - a;
		*tsc = a + (b - a) / 2;
		*mono = ns_of(&m);
		*ntp = ((uint64_t)r.tv_sec + NTP_UNIX) << 32 |
		       (uint64_t)((((unsigned __int128)r.tv_nsec) << 32) / 1000000000u);
	}
}

void dp_clock_update(uint64_t hz)
{
	struct dp_clock *c = &dp_clock;
	uint64_t tsc = 0, mono = 0, ntp = 0, mult = c->mult;

	sample(&tsc, &mono, &ntp);
	if (hz)
		mult = (uint64_t)(((unsigned __int128)1000000000u << 32) / hz);
	else if (tsc > c->tsc && mono - c->mono_ns > 100000000ull)
		mult = (uint64_t)(((unsigned __int128)(mono - c->mono_ns) << 32) / (tsc - c->tsc));
	else
		return; // too short a time to measure
	__atomic_store_n(&c->seq, c->seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&c->tsc, tsc, __ATOMIC_RELAXED);
	__atomic_store_n(&c->mono_ns, mono, __ATOMIC_RELAXED);
	__atomic_store_n(&c->ntp, ntp, __ATOMIC_RELAXED);
	__atomic_store_n(&c->mult, mult, __ATOMIC_RELAXED);
	__atomic_store_n(&c->seq, c->seq + 1, __ATOMIC_RELEASE);
}
