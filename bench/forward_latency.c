/* What a packet waits, and where. Between the two processes three times are taken of the same
 * packets:
 *   seen    sent to received, all in: both rings, the worker, and the other process' absence
 *   there   the same until the receiver last found its ring empty, which the copy came after: the
 *           receiver's own absence is not in it, while the sender's cannot be, as it notes the time
 *           right before it sends
 *   worker  the server's own count, as its status shows it: from the begin of the walk that took
 *           the packet from the ring until its copies were handed over
 * Turns in which the kernel took the worker's CPU away are counted, with the packets that had to
 * wait for that. */
#include <stdio.h>
#include <rte_common.h>
#include "bench/bench.h"
#include "bench/forward.h"
#include "dataplane/run.h"
#include "shared/stats.h"

enum { ROUNDS = 5, WINDOW = 32 };

static double us(uint64_t ns)
{
	return (double)ns / 1000;
}

/* A switch that is seen after a busy turn may have come in the idle ones before it. */
static void turn(struct fwd_driven *d, uint64_t *switches)
{
	uint64_t sent = fwd_stat(SH_STAT_rtp_out), t = bench_ticks(), now;

	fwd_nodes_before();
	dp_worker_turn(0);
	t = bench_ticks() - t;
	sent = fwd_stat(SH_STAT_rtp_out) - sent;
	if (sent == 0)
		return;
	if (t > d->longest)
		d->longest = t;
	now = bench_switches();
	if (now != *switches) {
		*switches = now;
		d->cut++;
		d->cut_packets += sent;
		return;
	}
	fwd_nodes_after();
	d->ticks += t;
	d->packets += sent;
}

void fwd_drive(struct fwd_driven *out, unsigned ms, double per_s)
{
	static struct sh_hist before, spent;
	const struct sh_hist *h = dp_workers[0]->latency;
	uint64_t switches = bench_switches();

	*out = (struct fwd_driven){0};
	before = *h;
	fwd_link_go(ms, per_s, WINDOW);
	for (unsigned turns = 0; (turns & 63) || !fwd_link_done(&out->link); turns++)
		turn(out, &switches);
	sh_hist_diff(&spent, h, &before);
	out->p50_us = us(sh_hist_quantile(&spent, 500000));
	out->p99_us = us(sh_hist_quantile(&spent, 990000));
}

static void say(struct bench *b, const char *what, double *sample)
{
	struct bench_stat s = bench_stat(sample, ROUNDS);
	char key[32];

	printf(" %s %.1f / %.1f", what, s.min, s.median);
	snprintf(key, sizeof(key), "%s_best", what);
	bench_row_value(b, "latency_us", key, s.min);
	snprintf(key, sizeof(key), "%s_median", what);
	bench_row_value(b, "latency_us", key, s.median);
}

void fwd_latency(struct bench *b, double per_s, unsigned fanout, unsigned ms)
{
	enum { SEEN50, SEEN99, SEEN_MAX, THERE50, THERE99, WORKER50, WORKER99, LONGEST, AWAY, WHAT };
	static const char *const what[WHAT] = {"p50",        "p99",        "max",
	                                       "there_p50",  "there_p99",  "worker_p50",
	                                       "worker_p99", "longest_turn", "away"};
	double v[WHAT][ROUNDS];
	uint64_t sent = 0, received = 0, packets = 0, cut_packets = 0;
	unsigned cut = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct fwd_driven d;

		fwd_drive(&d, ms, per_s);
		v[SEEN50][i] = d.link.seen.p50_us;
		v[SEEN99][i] = d.link.seen.p99_us;
		v[SEEN_MAX][i] = d.link.seen.max_us;
		v[THERE50][i] = d.link.there.p50_us;
		v[THERE99][i] = d.link.there.p99_us;
		v[WORKER50][i] = d.p50_us;
		v[WORKER99][i] = d.p99_us;
		v[LONGEST][i] = bench_ticks_to_ns((double)d.longest) / 1000;
		v[AWAY][i] = d.link.away_us;
		sent += d.link.sent * fanout;
		received += d.link.received;
		packets += d.packets + d.cut_packets;
		cut_packets += d.cut_packets;
		cut += d.cut;
	}
	printf("    latency at 70 %% load, us, best / median of %d:", ROUNDS);
	for (unsigned i = 0; i < WHAT; i++)
		say(b, what[i], v[i]);
	printf("; %.3f %% came; %.3f %% left in the %u turns that the kernel cut\n",
	       100.0 * (double)received / (double)RTE_MAX(sent, 1ull), 100.0 * (double)cut_packets / (double)RTE_MAX(packets, 1ull),
	       cut);
	bench_row_value(b, "latency_us", "cut_share",
	                (double)cut_packets / (double)RTE_MAX(packets, 1ull));
}
