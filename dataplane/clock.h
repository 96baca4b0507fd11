/* Time from the CPU's counter. Control measures the counter against CLOCK_MONOTONIC and
 * CLOCK_REALTIME about once a second; workers read the line once a walk. */
#pragma once
#include <stdint.h>

struct dp_clock {
	_Alignas(64) uint32_t seq; // odd while control writes
	uint64_t tsc;              // at this count it was …
	uint64_t mono_ns, ntp;     // … CLOCK_MONOTONIC, and wall clock as NTP 32.32
	uint64_t mult;             // nanoseconds a count, 32.32
};
extern struct dp_clock dp_clock;

/* Control: first with the nominal rate (counts a second), then 0 to measure. */
void dp_clock_update(uint64_t hz);

static inline void dp_clock_read(uint64_t tsc, uint64_t *mono_ns, uint64_t *ntp)
{
	uint64_t tsc0, mono0, ntp0, mult, delta;
	uint32_t seq;

	do {
		seq = __atomic_load_n(&dp_clock.seq, __ATOMIC_ACQUIRE);
		tsc0 = __atomic_load_n(&dp_clock.tsc, __ATOMIC_RELAXED);
		mono0 = __atomic_load_n(&dp_clock.mono_ns, __ATOMIC_RELAXED);
		ntp0 = __atomic_load_n(&dp_clock.ntp, __ATOMIC_RELAXED);
		mult = __atomic_load_n(&dp_clock.mult, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while ((seq & 1) || seq != __atomic_load_n(&dp_clock.seq, __ATOMIC_RELAXED));
	delta = tsc > tsc0 ? (uint64_t)(((unsigned __int128)(tsc - tsc0) * mult) >> 32) : 0;
	*mono_ns = mono0 + delta;
	/* 2^32 / 10^9, itself as 32.32 */
	*ntp = ntp0 + (uint64_t)(((unsigned __int128)delta * 18446744074ull) >> 32);
}
