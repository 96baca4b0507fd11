/* A second worker, running on the second lcore as it does in callstack-dataplane, but for that it
 * never sleeps. The thread that drives the bench goes on turning the first one by hand. */
#include <stdatomic.h>
#include <stdlib.h>
#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include "bench/bench.h"
#include "bench/forward.h"
#include "dataplane/run.h"
#include "shared/stats.h"

static struct {
	atomic_bool up, stop;
	_Atomic uint64_t switches;
	unsigned lcore;
} pair;

static int loop(void *arg)
{
	dp_worker_enter(1);
	atomic_store(&pair.up, true);
	while (!atomic_load_explicit(&pair.stop, memory_order_relaxed)) {
		if (dp_worker_turn(1))
			atomic_store_explicit(&pair.switches, bench_switches(),
			                      memory_order_relaxed);
		else
			rte_pause();
	}
	dp_worker_leave(1);
	return 0;
}

void fwd_pair_begin(void)
{
	pair.lcore = rte_get_next_lcore(-1, 1, 0);
	atomic_store(&pair.up, false);
	atomic_store(&pair.stop, false);
	if (rte_eal_remote_launch(loop, NULL, pair.lcore))
		abort();
	while (!atomic_load(&pair.up))
		rte_pause();
}

void fwd_pair_end(void)
{
	atomic_store(&pair.stop, true);
	rte_eal_wait_lcore(pair.lcore);
}

uint64_t fwd_pair_switches(void)
{
	return atomic_load(&pair.switches);
}

void fwd_pair_connected(uint32_t endpoint)
{
	uint64_t until = rte_rdtsc() + rte_get_tsc_hz();

	while (__atomic_load_n(&dp_slabs.endpoint[endpoint].ice, __ATOMIC_ACQUIRE) !=
	           SH_ICE_CONNECTED &&
	       rte_rdtsc() < until)
		dp_worker_turn(0);
}

bool fwd_pair_wait(uint64_t out)
{
	uint64_t until = rte_rdtsc() + rte_get_tsc_hz();

	while (fwd_stat(SH_STAT_rtp_out) < out) {
		if (rte_rdtsc() > until)
			return false;
		dp_worker_turn(0);
	}
	return true;
}
