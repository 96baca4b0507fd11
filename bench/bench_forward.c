/* What one forwarded packet costs: the whole node walk (rx, classify, srtp_in, rtp_in, fanout,
 * rewrite, srtp_out, tx) on one worker, one packet in and `fanout` out, as ns for each packet out.
 *
 * whole  dp_worker_turn(): time, graph walk, quiescent state, ops; a burst of publishers' packets
 *        waits in the port
 * floor  the crypto alone: the same encryptions, with the same sessions in the same order, same
 *        sizes, from a shared plaintext into packets of their own, DP_VECTOR at a time; the ratio
 *        is taken to it
 * hot    the same with one session for all, so keys never leave the cache
 *
 * The three take turns within every round, so that a neighbour on the machine slows all of them.
 * What was timed while the kernel took the CPU away is left out, on all three alike. Nothing is
 * asserted of times; of counts is: each packet in comes out `fanout` times, and nothing is dropped.
 * Exit code 1 when that fails. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bench/bench.h"
#include "bench/forward.h"
#include "dataplane/run.h"
#include "shared/stats.h"

static struct bench *bench;
static unsigned burst, target;
static bool failed;

struct round {
	uint64_t ticks, packets, reports;
	unsigned turns, cut; // that count, that were left out
};

static const char *profile_name(uint16_t profile)
{
	switch (profile) {
	case SH_SRTP_AEAD_AES_128_GCM:
		return "AEAD_AES_128_GCM";
	case SH_SRTP_AEAD_AES_256_GCM:
		return "AEAD_AES_256_GCM";
	case SH_SRTP_AES128_CM_SHA1_80:
		return "AES_CM_SHA1_80";
	default:
		return "AES_CM_SHA1_32";
	}
}

static void nodes_report(uint64_t packets, double whole)
{
	double sum = 0, c;
	const char *name;

	printf("    cycles a packet:");
	for (unsigned i = 0; fwd_nodes_get(i, &name, &c); i++) {
		c /= (double)packets;
		sum += c;
		if (c >= 0.1) {
			printf(" %s %.1f", name, c);
			bench_row_value(bench, "node_cycles", name, c);
		}
	}
	printf(", beside nodes %.1f, sum %.1f\n", whole - sum, whole);
	bench_row_value(bench, NULL, "cycles", whole);
}

/* ---- one round ---- */

static struct round run_whole(unsigned n)
{
	struct round r = {0};

	for (unsigned at = 0; at < n; at += burst) {
		uint64_t out = fwd_stat(SH_STAT_rtp_out), reports = fwd_stat(SH_STAT_rtcp_out);
		uint64_t switches, t;

		fwd_inject(fwd_feed_frames() + at, fwd_feed_lens() + at,
		           n - at < burst ? n - at : burst);
		fwd_nodes_before();
		switches = bench_switches();
		t = fwd_turn();
		if (bench_switches() != switches) {
			fwd_turn_forget(r.turns ? r.ticks / r.turns : 0);
			r.cut++;
			continue;
		}
		fwd_nodes_after();
		r.turns++;
		r.ticks += t;
		r.packets += fwd_stat(SH_STAT_rtp_out) - out;
		r.reports += fwd_stat(SH_STAT_rtcp_out) - reports;
	}
	return r;
}

struct sums {
	struct round whole, floor, hot;
};

static void add(struct round *sum, const struct round *r)
{
	sum->ticks += r->ticks;
	sum->packets += r->packets;
	sum->reports += r->reports;
	sum->cut += r->cut;
}

static double ns(const struct round *r)
{
	return r->packets ? bench_ticks_to_ns((double)r->ticks) / (double)r->packets : 0;
}

/* The clock cannot be stopped for two, so they have no time to wait for the floor: it comes after.
 */
static struct sums run_round_two(const struct fwd_shape *s)
{
	struct sums sum = {0};

	sum.whole.packets = fwd_two_run(target, burst, &sum.whole.ticks, &sum.whole.cut);
	sum.floor.packets = fwd_floor_run(512, false, &sum.floor.ticks);
	sum.hot.packets = fwd_floor_run(128, true, &sum.hot.ticks);
	return sum;
}

/* Pieces of a chunk by turns, until enough packets went out. */
static struct sums run_round(const struct fwd_shape *s)
{
	unsigned piece = s->fanout >= 50 ? 512 : FWD_CHUNK;
	uint64_t most = 20ull * target / piece / s->fanout + 20; // on a machine that is never ours
	struct sums sum = {0};

	if (s->workers > 1)
		return run_round_two(s);
	for (unsigned n = 0;
	     n < most && (!sum.floor.packets || !sum.hot.packets || sum.whole.packets < target);
	     n++) {
		struct round r;

		fwd_feed_make(piece, 0);
		r = run_whole(piece);
		add(&sum.whole, &r);
		r = (struct round){0};
		r.packets = fwd_floor_run(piece, false, &r.ticks);
		add(&sum.floor, &r);
		r = (struct round){0};
		r.packets = fwd_floor_run(piece / 4, true, &r.ticks);
		add(&sum.hot, &r);
	}
	return sum;
}

/* ---- rows ---- */

struct texts {
	const char *values[6];
	char text[4][16];
};

static void describe(struct texts *t, const struct fwd_shape *s)
{
	snprintf(t->text[0], 16, "%u", s->payload);
	snprintf(t->text[1], 16, "%u", s->fanout);
	snprintf(t->text[2], 16, "%u", s->subs);
	t->values[0] = profile_name(s->profile);
	t->values[1] = s->memif ? "memif" : s->af_xdp ? "af_xdp" : "null";
	t->values[2] = t->text[0];
	t->values[3] = t->text[1];
	t->values[4] = t->text[2];
	snprintf(t->text[3], 16, "%u", s->workers);
	t->values[5] = t->text[3];
}

static void account_report(const struct fwd_shape *s)
{
	printf("    bytes a subscription:");
	for (const struct fwd_account *a = fwd_account(s); a->what; a++) {
		printf(" %s %.0f", a->what, a->bytes);
		bench_row_value(bench, "bytes", a->what, a->bytes);
	}
	putchar('\n');
}

/* Bars of DESIGN §14. */
static struct {
	double ratio, whole_1000, whole_50000;
} bars;

static void remember(const struct fwd_shape *s, double whole, double ratio)
{
	if (s->workers > 1 || s->profile != SH_SRTP_AEAD_AES_128_GCM || s->payload != 1200 ||
	    s->fanout != 50 || s->memif)
		return;
	if (s->subs == 1000)
		bars.whole_1000 = whole;
	if (s->subs == 10000)
		bars.ratio = ratio;
	if (s->subs == 50000)
		bars.whole_50000 = whole;
}

static void report(const struct fwd_shape *s, double *whole, double *floor, double *hot,
                   const struct round *sum)
{
	unsigned n = bench_runs(bench);
	double ratio[BENCH_RUNS_MAX];
	struct bench_stat w, f, h, r;
	struct texts t;

	for (unsigned i = 0; i < n; i++)
		ratio[i] = whole[i] / floor[i];
	w = bench_stat(whole, n);
	f = bench_stat(floor, n);
	h = bench_stat(hot, n);
	r = bench_stat(ratio, n);
	describe(&t, s);
	bench_row(bench, t.values, &w, &f);
	printf("    whole / floor, round by round: %.2f %.2f %.2f; hot floor %.1f ns, whole / hot "
	       "%.2f; "
	       "%.0f B a subscription; %u turns cut; %.1f reports in 1,000 packets\n",
	       r.min, r.median, r.max, h.median, w.median / h.median, (double)fwd_bytes() / s->subs,
	       sum->cut, 1000.0 * (double)sum->reports / (double)sum->packets);
	if (s->workers < 2) // else some of it is the other one's
		nodes_report(sum->packets, (double)sum->ticks / (double)sum->packets);
	account_report(s);
	bench_row_value(bench, NULL, "hot", h.median);
	bench_row_value(bench, "round_ratio", "min", r.min);
	bench_row_value(bench, "round_ratio", "median", r.median);
	bench_row_value(bench, "round_ratio", "max", r.max);
	bench_row_value(bench, NULL, "bytes_per_subscription", (double)fwd_bytes() / s->subs);
	bench_row_value(bench, NULL, "turns_cut", sum->cut);
	remember(s, w.median, r.median);
}

static void check_counts(const struct fwd_shape *s, uint64_t in, uint64_t out, uint64_t drops,
                         const uint64_t *before)
{
	if (out == in * s->fanout && drops == 0)
		return;
	fprintf(stderr, "bench_forward: %llu packets in, %llu out, %llu dropped\n",
	        (unsigned long long)in, (unsigned long long)out, (unsigned long long)drops);
	fwd_drops_print(before);
	failed = true;
}

static void row_null(const struct fwd_shape *s)
{
	double whole[BENCH_RUNS_MAX], floor[BENCH_RUNS_MAX], hot[BENCH_RUNS_MAX];
	uint64_t before[SH_STAT_COUNT], drops;
	struct round sum = {0};

	fwd_open(s);
	fwd_floor_open(s);
	fwd_nodes_open();
	for (unsigned i = 0; i < SH_STAT_COUNT; i++)
		before[i] = fwd_stat(i);
	drops = fwd_drops();
	if (s->workers < 2)
		fwd_settle();
	run_round(s); // warms up
	fwd_nodes_clear();
	for (unsigned i = 0; i < bench_runs(bench); i++) {
		struct sums r = run_round(s);

		whole[i] = ns(&r.whole);
		floor[i] = ns(&r.floor);
		hot[i] = ns(&r.hot);
		add(&sum, &r.whole);
	}
	report(s, whole, floor, hot, &sum);
	check_counts(s, fwd_stat(SH_STAT_rtp_in) - before[SH_STAT_rtp_in],
	             fwd_stat(SH_STAT_rtp_out) - before[SH_STAT_rtp_out], fwd_drops() - drops,
	             before);
	fwd_close();
}

/* ---- memif ---- */

static void row_memif(const struct fwd_shape *s)
{
	double whole[BENCH_RUNS_MAX], floor[BENCH_RUNS_MAX], hot[BENCH_RUNS_MAX],
	    rate[BENCH_RUNS_MAX];
	unsigned ms = bench_quick(bench) ? 50 : 500;
	uint64_t before[SH_STAT_COUNT], in, out;
	struct round sum = {0};
	struct bench_stat pps;
	struct fwd_driven d;

	for (unsigned i = 0; i < 2000 && !fwd_link_up(); i++)
		usleep(5000);
	if (!fwd_link_up()) {
		fprintf(stderr, "bench_forward: the memif link did not come up\n");
		failed = true;
		return;
	}
	fwd_open(s);
	fwd_floor_open(s);
	fwd_link_shape(s);
	fwd_nodes_open();
	for (unsigned i = 0; i < SH_STAT_COUNT; i++)
		before[i] = fwd_stat(i);
	fwd_drive(&d, ms, 0);
	fwd_nodes_clear();
	for (unsigned i = 0; i < bench_runs(bench); i++) {
		struct round r, f = {0};

		fwd_drive(&d, ms, 0);
		r = (struct round){.ticks = d.ticks, .packets = d.packets, .cut = d.cut};
		whole[i] = ns(&r);
		rate[i] = (double)d.link.received * 1e9 / (double)d.link.ns;
		add(&sum, &r);
		fwd_feed_make(512, 0);
		f.packets = fwd_floor_run(512, false, &f.ticks);
		floor[i] = ns(&f);
		f = (struct round){0};
		f.packets = fwd_floor_run(512, true, &f.ticks);
		hot[i] = ns(&f);
	}
	report(s, whole, floor, hot, &sum);
	pps = bench_stat(rate, bench_runs(bench));
	printf("    packets a second through the link: best %.2f M, median %.2f M\n", pps.max / 1e6,
	       pps.median / 1e6);
	bench_row_value(bench, "packets_per_s", "best", pps.max);
	bench_row_value(bench, "packets_per_s", "median", pps.median);
	fwd_latency(bench, 0.7 * pps.median / s->fanout, s->fanout, ms);
	in = fwd_stat(SH_STAT_rtp_in) - before[SH_STAT_rtp_in];
	out = fwd_stat(SH_STAT_rtp_out) - before[SH_STAT_rtp_out];
	// when the machine takes the other process off its CPU, the ring may fill: that is not ours
	// to assert
	check_counts(s, in, out, 0, before);
	fwd_drops_print(before);
	fwd_close();
}

/* ---- what to run ---- */

static void row(struct fwd_shape s)
{
	struct texts t;

	s.subs -= s.subs % s.fanout;
	if (!s.subs || fwd_tracks(&s) > FWD_TRACKS_MAX || s.subs > FWD_SUBS_MAX)
		return;
	describe(&t, &s);
	if (!bench_wanted(bench, t.values))
		return;
	if (s.memif)
		row_memif(&s);
	else
		row_null(&s);
}

static void run_all(bool memif)
{
	static const unsigned fanouts[] = {1, 10, 200, 500}, subs[] = {1000, 10000, 50000},
	                      sizes[] = {1200, 160};
	static const uint16_t profiles[] = {SH_SRTP_AEAD_AES_128_GCM, SH_SRTP_AES128_CM_SHA1_80};
	bool quick = bench_quick(bench);
	struct fwd_shape s = {.profile = profiles[0], .fanout = 50, .workers = 1};

	for (unsigned p = 0; p < 2; p++)
		for (unsigned z = 0; z < 2; z++)
			for (unsigned k = 0; k < (quick ? 1 : 3); k++)
				row((struct fwd_shape){profiles[p], subs[k], 50, sizes[z], 1,
				                       false});
	s.payload = 1200;
	s.subs = quick ? 500 : 10000;
	for (unsigned f = 0; f < 4; f++) {
		s.fanout = fanouts[f];
		row(s);
	}
	if (!memif)
		return;
	s.memif = true;
	s.fanout = 50;
	row(s);
	if (!quick) {
		s.subs = 1000;
		row(s);
		s.profile = profiles[1];
		row(s);
	}
}

static void print_bars(void)
{
	if (bars.ratio > 0)
		printf("whole / floor, fan-out 50, 10,000 subscriptions, 1200 B GCM: %.2f (bar "
		       "2.0, goal 1.3)\n",
		       bars.ratio);
	if (bars.whole_1000 > 0 && bars.whole_50000 > 0)
		printf("50,000 / 1,000 subscriptions: %.2f (bar 1.3, goal 1.1)\n",
		       bars.whole_50000 / bars.whole_1000);
}

int main(int argc, char **argv)
{
	static const char *const columns[] = {"profile", "port",    "payload", "fanout",
	                                      "subs",    "workers", NULL};
	char dir[] = "/tmp/bench_forward_XXXXXX", socket[64], prefix[32], text[16];
	struct fwd_shape only = {0};
	const char *interface, *peer;
	unsigned cpu, peer_cpu;
	bool memif;

	bench = bench_open(
	    "bench_forward",
	    "[--subs N] [--fanout N] [--payload N] [--profile 7|8|1|2] [--memif 0|1] [--links 0|1] "
	    "[--workers 1|2] [--burst N] [--packets N] [--cpu N] [--peer-cpu N] "
	    "[--interface IF --peer IF]",
	    argc, argv);
	only.subs = (unsigned)bench_option(bench, "--subs", 0);
	only.fanout = (unsigned)bench_option(bench, "--fanout", 50);
	only.payload = (unsigned)bench_option(bench, "--payload", 1200);
	only.profile = (uint16_t)bench_option(bench, "--profile", SH_SRTP_AEAD_AES_128_GCM);
	memif = bench_option(bench, "--memif", only.subs ? 0 : 1);
	only.memif = memif;
	only.workers = (unsigned)bench_option(bench, "--workers", 1);
	only.links = bench_option(bench, "--links", 0);
	interface = bench_text(bench, "--interface");
	peer = bench_text(bench, "--peer");
	only.af_xdp = interface != NULL;
	if (interface && (!peer || !only.subs || memif)) {
		fprintf(
		    stderr,
		    "bench_forward: --interface goes with --peer and --subs, not with --memif\n");
		return 2;
	}
	if (only.workers < 1 || only.workers > 2 ||
	    (only.workers == 2 && (!only.subs || memif || interface))) {
		fprintf(stderr, "bench_forward: --workers is 1 or 2; 2 goes with --subs, not with "
		                "--memif or --interface\n");
		return 2;
	}
	burst = (unsigned)bench_option(bench, "--burst", DP_BURST);
	target = (unsigned)bench_option(bench, "--packets", bench_quick(bench) ? 20000 : 400000);
	cpu = (unsigned)bench_option(bench, "--cpu", sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 1 : 0);
	peer_cpu = (unsigned)bench_option(bench, "--peer-cpu", 0);
	if (burst < 1 || burst > DP_BURST || only.fanout < 1 || only.fanout > 5000 ||
	    only.payload < 2 || only.payload > 1300 || !dp_srtp_key_len(only.profile)) {
		fprintf(stderr,
		        "bench_forward: --burst is 1..%d, --fanout 1..5000, --payload 2..1300\n",
		        DP_BURST);
		return 2;
	}
	snprintf(text, sizeof(text), "%u", burst);
	bench_fact(bench, "burst", text);
	bench_tsc_fact(bench);
	bench_columns(bench, columns);
	if (!mkdtemp(dir))
		return 1;
	snprintf(socket, sizeof(socket), "%s/memif", dir);
	snprintf(prefix, sizeof(prefix), "bench-forward-%d", (int)getpid());
	if (memif && fwd_link_fork(socket, peer_cpu) < 0)
		return 1;
	fwd_start(&(struct fwd_start){.prefix = prefix,
	                              .memif = memif ? socket : NULL,
	                              .interface = only.af_xdp ? interface : NULL,
	                              .peer = peer,
	                              .cpu = cpu,
	                              .workers = only.workers,
	                              .second_cpu = peer_cpu});
	if (only.subs)
		row(only);
	else
		run_all(memif);
	fwd_link_end();
	unlink(socket);
	rmdir(dir);
	print_bars();
	return bench_close(bench) || failed;
}
