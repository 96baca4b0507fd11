/* Two workers at a time: publishers' packets come in at the first, which decrypts them and hands
 * the second a reference to each; each encrypts for its half of the subscribers. What counts is the
 * time from the first one's turn until the last copy has left on either, time as the clock has it.
 */
#include "bench/bench.h"
#include "bench/forward.h"
#include "shared/stats.h"

static uint64_t switches(void)
{
	return bench_switches() + fwd_pair_switches();
}

/* Returns how many went out. */
static uint64_t burst_through(unsigned at, unsigned n, uint64_t *ticks, unsigned *cut)
{
	uint64_t before = fwd_stat(SH_STAT_rtp_out), want = 0, taken, t;

	for (unsigned i = at; i < at + n; i++)
		for (unsigned w = 0; w < 2; w++) {
			const struct dp_fanout *list = dp_fanout(fwd_feed_tracks()[i], w);

			want += list ? list->n : 0;
		}
	fwd_inject(fwd_feed_frames() + at, fwd_feed_lens() + at, n);
	taken = switches();
	t = bench_ticks();
	if (!fwd_pair_wait(before + want))
		return 0; // some were dropped: the counts will say so
	t = bench_ticks() - t;
	if (switches() != taken) {
		++*cut;
		return 0;
	}
	*ticks += t;
	return want;
}

uint64_t fwd_two_run(unsigned target, unsigned burst, uint64_t *ticks, unsigned *cut)
{
	uint64_t packets = 0, tries = 0;

	while (packets < target && tries++ < target / 100) {
		fwd_feed_make(FWD_CHUNK / 4, 0);
		for (unsigned at = 0; at < FWD_CHUNK / 4; at += burst)
			packets += burst_through(
			    at, at + burst > FWD_CHUNK / 4 ? FWD_CHUNK / 4 - at : burst, ticks,
			    cut);
	}
	return packets;
}
