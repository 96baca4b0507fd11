/* A scenario on one worker: rooms of participants who publish audio and video and have one
 * transport each to be sent everybody else's. Two questions are asked of it.
 *
 * --rooms 0: at how many rooms is the worker full? It runs on a clock of its own. Packets are due
 * at their times, evenly spread as a paced sender's; those that are due are in the worker's queue;
 * a turn takes as long as it is measured to take, and while it lasts the next packets fall due.
 * When nothing is due the clock goes on to what is. So batches are as large as they would be, a
 * turn in which the kernel took the CPU away counts as long as others of its packets do, and
 * encrypting the publishers' packets costs no time. The worker is full where its queue grows
 * without end; that it never gets empty is not enough, as a turn with more packets costs less for
 * each.
 *
 * --rooms N --pressed 1: what does a packet cost when that many rooms keep the worker full? Packets
 * come in the same order, a full burst each turn, and time goes on as they say: a worker that
 * could do more has as much to do by the clock for each packet as if it were idle in between. The
 * planner's model is fitted on this, of other scenarios than those that it is tested on.
 *
 * Either way listeners tell of what came (--feedback 0: they do not), as browsers do.
 *
 * Beside each row stands how quick the machine was meanwhile (forward_calib.c), and what others
 * took of it. One row for each number of rooms: busy share in percent, not ns. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bench/bench.h"
#include "bench/room.h"
#include "dataplane/run.h"
#include "shared/stats.h"

enum {
	SUBS_MAX = 200000,
	QUEUE = 512, // packets that may wait in the receive queue
	SETTLE_MS = 6000,
	WARM_MS = 250, // not measured: first packets, trackers, history
	WINDOW_US = 1000,
	COLD_US = 1000, // after others had the CPU
	WINDOWS = 8192,
	WINDOWS_MIN = 40, // or else the run gets longer, up to
	LONGER = 4,       // times as long again
	POINTS = 24,
	TRIES = 3,
	IDLES = 64, // listeners in a row who have nothing to tell
};
#define TAKEN 0.05 // share of the time that others may take before a point is measured again

static struct bench *bench;
static double hz; // ticks a second
static unsigned cpu, ms;
static double
    pace; // ticks of the calibrating encryption that turns are reckoned to; 0: as they are

/* ---- the run ---- */

struct point {
	unsigned rooms;
	double busy;          // share
	double growth;        // of the queue, to what came
	bool full;            // it grows without end
	double in, out, told; // packets a second; told: feedback, of those in
	double look;          // cycles of the control thread to see who speaks, of all rooms
	double cycles;        // of a packet out
	double timers;        // of these in nodes that work by the clock
	double batch;         // packets in a turn
	double cut;           // share of turns whose time is the usual one
	struct {
		char name[24];
		double cycles; // of a packet out
	} node[32];
	unsigned nodes;
	struct fwd_calib calib;
	struct bench_host others; // what they took meanwhile
	double wall_ms;
	uint64_t drops;
};

struct clock {
	bool pressed;      // there is always a full burst; time is that of its last packet
	double now, start; // ticks
	uint64_t origin;
	double busy;       // of turns
	double spent;      // of turns, whoever had the CPU
	double due[QUEUE]; // of those that wait, from `first` on, as a ring
	unsigned first, waiting, told;
	uint64_t taken, turns, cut;
};

/* Turns by number of packets, its logarithm. One that takes many times the usual was stolen from.
 */
enum { TYPICAL = 20, STOLEN = 4 };
static struct turns {
	double sum, n;
} turns[33], packets; // packets: of all turns with some

static struct turns *turns_of(unsigned n)
{
	return &turns[n ? 32 - __builtin_clz(n) : 0];
}

/* Stretches of turns that were all ours: ticks for each packet out. */
static struct {
	double ticks, cold, cycles[WINDOWS];
	uint64_t out;
	unsigned n;
} window;

/* What is due by now goes into the queue, as far as there is room. A full one is as it is past the
 * knee: a packet has left the caches again when its turn comes. */
static void arrive(struct clock *c)
{
	double until = c->pressed ? INFINITY : c->now;
	struct room_packets p;

	while (c->waiting < QUEUE && room_feed_take(QUEUE - c->waiting, until, &p)) {
		fwd_inject(p.frame, p.len, p.n);
		for (unsigned i = 0; i < p.n; i++)
			c->due[(c->first + c->waiting + i) % QUEUE] = p.due[i];
		c->waiting += p.n;
		c->told += p.told;
	}
}

/* What the next turn takes has come by then. */
static void press_on(struct clock *c)
{
	unsigned n = RTE_MIN(c->waiting, (unsigned)DP_BURST);

	if (n)
		c->now = fmax(c->now, c->due[(c->first + n - 1) % QUEUE]);
}

static uint64_t received(void)
{
	return fwd_stat(SH_STAT_rx_packets);
}

/* What n packets take in turns in which the kernel and the hypervisor left the CPU to us: the mean
 * of those with about as many, or else by the packet. */
static double mean_of(unsigned n, double otherwise)
{
	const struct turns *t = turns_of(n);

	if (t->n)
		return t->sum / t->n;
	return packets.n ? n * packets.sum / packets.n : otherwise;
}

static double usual(unsigned n, double took, bool cut)
{
	const struct turns *t = turns_of(n);

	if (!cut && (t->n < TYPICAL || took < STOLEN * t->sum / t->n))
		return took;
	return mean_of(n, took);
}

/* To ticks of a host that is as quick as it was when the model was measured. */
static double at_pace(double took)
{
	double crypto = pace > 0 ? fwd_calib_recent() : 0;

	return crypto > 0 ? took * pace / crypto : took;
}

static void add_window(double ticks, uint64_t out, bool cut)
{
	if (cut) { // and others' data is in the caches now
		window.ticks = 0;
		window.out = 0;
		window.cold = hz / 1e6 * COLD_US;
		return;
	}
	if (window.cold > 0) {
		window.cold -= ticks;
		return;
	}
	window.ticks += ticks;
	window.out += out;
	if (window.ticks < hz / 1e6 * WINDOW_US)
		return;
	if (window.out && window.n < WINDOWS)
		window.cycles[window.n++] = window.ticks / (double)window.out;
	window.ticks = 0;
	window.out = 0;
	fwd_calib_take();
}

/* Mean of the windows that are not far from the middle one: what is left out was taken by somebody
 * whom the kernel does not see. */
static double typical_cycles(void)
{
	struct bench_stat s;
	double sum = 0;
	unsigned n = 0;

	if (!window.n)
		return 0;
	s = bench_stat(window.cycles, window.n);
	while (n < window.n && window.cycles[n] <= 1.25 * s.median)
		sum += window.cycles[n++];
	return sum / n;
}

static void step(struct clock *c)
{
	uint64_t in = received(), out = fwd_stat(SH_STAT_rtp_out), switches;
	struct turns *t;
	double took, counted;
	unsigned n;
	bool cut;

	arrive(c);
	for (unsigned i = 0; !c->waiting && i < IDLES; i++) {
		c->now = room_feed_due();
		arrive(c);
	}
	if (c->pressed)
		press_on(c);
	room_slots_tick(fwd_turn_ns(c->origin + (uint64_t)c->now));
	fwd_nodes_before();
	switches = bench_switches();
	took = at_pace((double)fwd_turn_at(c->origin + (uint64_t)c->now));
	cut = bench_switches() != switches;
	n = (unsigned)(received() - in);
	t = turns_of(n);
	counted = usual(n, took, cut);
	cut |= counted < took;
	if (window.cold > 0 && !cut)
		counted = mean_of(n, took);
	c->cut += cut;
	if (!cut && window.cold <= 0) {
		t->sum += took;
		t->n++;
		packets.sum += n ? took : 0;
		packets.n += n;
		fwd_nodes_after();
	}
	add_window(took, fwd_stat(SH_STAT_rtp_out) - out, cut);
	c->busy += counted;
	c->spent += took;
	c->now += c->pressed ? 0 : counted;
	c->taken += n;
	c->turns++;
	n = RTE_MIN(n, c->waiting);
	c->waiting -= n;
	c->first = (c->first + n) % QUEUE;
}

/* For so many ticks: of its time, or when pressed of its work. */
static void run_for(struct clock *c, double ticks)
{
	const double *clock = c->pressed ? &c->spent : &c->now;
	double end = *clock + ticks;

	while (*clock < end)
		step(c);
}

/* Packets that are due and not taken. */
static double behind(const struct clock *c, double pps)
{
	double due = room_feed_due();

	return c->waiting + (due < c->now ? (c->now - due) / hz * pps : 0);
}

/* Cycles by node, scaled to what a packet cost; those of the nodes that work by the clock (scans,
 * reports, what is due) are the timers'. */
static void by_node(struct point *p)
{
	double all = 0, cycles;
	const char *name;

	for (unsigned i = 0; fwd_nodes_get(i, &name, &cycles); i++)
		all += cycles;
	for (; all > 0 && p->nodes < sizeof(p->node) / sizeof(p->node[0]) &&
	       fwd_nodes_get(p->nodes, &name, &cycles);
	     p->nodes++) {
		snprintf(p->node[p->nodes].name, sizeof(p->node[0].name), "%s", name);
		p->node[p->nodes].cycles = cycles / all * p->cycles;
		if (strcmp(name, "timers") == 0 || strcmp(name, "rtcp_out") == 0 ||
		    strcmp(name, "pace") == 0)
			p->timers += p->node[p->nodes].cycles;
	}
}

static double taken(const struct point *p)
{
	return (p->others.waited_ms + p->others.stolen_ms) / p->wall_ms;
}

static void begin(struct clock *c)
{
	unsigned looks;

	c->start = c->now;
	c->busy = c->spent = 0;
	c->taken = c->turns = c->cut = 0;
	c->told = 0;
	(void)room_slots_took(&looks);
	memset(&window, 0, sizeof(window));
	fwd_nodes_clear();
	fwd_calib_clear();
	for (unsigned i = 0; i < 3; i++)
		fwd_calib_take();
}

/* Before anything is sent the clock goes on until transports have their reports at times of their
 * own. */
static uint64_t settle(uint64_t origin)
{
	for (unsigned at = 0; at < SETTLE_MS; at += 5)
		fwd_turn_at(origin + (uint64_t)(hz * at / 1000));
	return origin + (uint64_t)(hz * SETTLE_MS / 1000);
}

static struct point measure(unsigned rooms, bool pressed)
{
	struct point p = {.rooms = rooms};
	struct clock c = {.pressed = pressed};
	struct bench_host others;
	struct fwd_layout l;
	uint64_t in, out, drops;
	double seconds, pps = rooms * room_pps(), late, wall;
	unsigned looks;

	memset(turns, 0, sizeof(turns));
	packets = (struct turns){0};
	room_layout(&l, rooms);
	fwd_open_layout(&l);
	room_feed_open(rooms, l.profile, hz);
	fwd_nodes_open();
	if (room_grown())
		room_slots_open();
	c.origin = settle(bench_ticks());
	run_for(&c, hz * WARM_MS / 1000);
	begin(&c);
	in = fwd_stat(SH_STAT_rtp_in);
	out = fwd_stat(SH_STAT_rtp_out);
	drops = fwd_drops();
	late = behind(&c, pps);
	bench_host(&others, cpu);
	wall = (double)bench_ticks();
	run_for(&c, hz * ms / 1000);
	for (unsigned i = 0; pressed && i < LONGER && window.n < WINDOWS_MIN; i++)
		run_for(&c, hz * ms / 1000);
	p.wall_ms = ((double)bench_ticks() - wall) / hz * 1000;
	bench_host(&p.others, cpu);
	p.others.switches -= others.switches;
	p.others.waited_ms -= others.waited_ms;
	p.others.stolen_ms -= others.stolen_ms;
	seconds = (c.now - c.start) / hz;
	in = fwd_stat(SH_STAT_rtp_in) - in;
	out = fwd_stat(SH_STAT_rtp_out) - out;
	p.busy = c.busy / (c.now - c.start);
	late = behind(&c, pps) - late;
	p.growth = pressed ? 0 : late / (pps * seconds);
	p.full = !pressed && late > DP_BURST && p.growth > 0.01;
	p.in = (double)in / seconds;
	p.out = (double)out / seconds;
	p.told = c.told / seconds;
	p.look = room_slots_took(&looks);
	p.look = looks ? p.look / looks : 0;
	p.cycles = pressed ? typical_cycles() : out ? c.busy / (double)out : 0;
	by_node(&p);
	p.batch = c.turns ? (double)c.taken / (double)c.turns : 0;
	p.cut = c.turns ? (double)c.cut / (double)c.turns : 0;
	p.calib = fwd_calib_get();
	p.drops = fwd_drops() - drops;
	for (unsigned i = 0; i < 2 * QUEUE / DP_BURST;
	     i++) // the next layout begins with an empty queue
		fwd_turn_at(c.origin + (uint64_t)c.now);
	room_feed_close();
	if (room_grown())
		room_slots_close();
	fwd_close_layout();
	return p;
}

/* ---- rows ---- */

static void put(const struct point *p)
{
	const struct {
		const char *name;
		double value;
	} more[] = {
	    {"in_pps", p->in},
	    {"out_pps", p->out},
	    {"told_pps", p->told},
	    {"look", p->look},
	    {"cycles", p->cycles},
	    {"timers", p->timers},
	    {"batch", p->batch},
	    {"growth", p->growth},
	    {"full", p->full},
	    {"drops", (double)p->drops},
	    {"cut", p->cut},
	    {"crypto", p->calib.crypto},
	    {"memory", p->calib.memory},
	    {"switches", (double)p->others.switches},
	    {"waited_ms", p->others.waited_ms},
	    {"stolen_ms", p->others.stolen_ms},
	    {"wall_ms", p->wall_ms},
	};
	char rooms[16], subs[16];
	const char *values[] = {rooms, subs, NULL};
	struct bench_stat s = {
	    .min = p->busy * 100, .median = p->busy * 100, .max = p->busy * 100, .runs = 1};

	snprintf(rooms, sizeof(rooms), "%u", p->rooms);
	snprintf(subs, sizeof(subs), "%u", p->rooms * room_subs());
	bench_row(bench, values, &s, NULL);
	printf(
	    "    %.0f packets/s in, %.0f out, %.1f cycles a packet out (%.1f by the clock), %.1f "
	    "packets a turn, queue grew by %.1f %%%s, %llu dropped\n"
	    "    %.1f %% of turns cut, %.1f ms waited and %.1f ms stolen of %.1f; a packet's "
	    "crypto %.0f cycles, a read of memory %.0f\n",
	    p->in, p->out, p->cycles, p->timers, p->batch, p->growth * 100, p->full ? ": full" : "",
	    (unsigned long long)p->drops, p->cut * 100, p->others.waited_ms, p->others.stolen_ms,
	    p->wall_ms, p->calib.crypto, p->calib.memory);
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
		bench_row_value(bench, NULL, more[i].name, more[i].value);
	for (unsigned i = 0; i < p->nodes; i++)
		if (p->node[i].cycles >= 0.1)
			bench_row_value(bench, "node_cycles", p->node[i].name, p->node[i].cycles);
}

/* Measured again when others took much of it meanwhile: their data is in the caches then. */
static struct point measure_calm(unsigned rooms, bool pressed)
{
	struct point best, p;

	for (unsigned i = 0; i < TRIES; i++) {
		p = measure(rooms, pressed);
		if (i == 0 || taken(&p) < taken(&best))
			best = p;
		if (taken(&best) <= TAKEN)
			break;
	}
	return best;
}

static unsigned rooms_max(void)
{
	unsigned most = SUBS_MAX / (room_subs() ? room_subs() : 1), t = SUBS_MAX / room_tracks();

	return most < t ? most : t;
}

/* Doubles until it is full, then halves what is between. The knee: the middle of what is left. */
static void search(void)
{
	unsigned lo = 0, hi = 1, points = 0, most = rooms_max();
	struct point p;
	char text[32];

	for (; points < POINTS; points++, hi = hi * 2 < most ? hi * 2 : most) {
		p = measure_calm(hi, false);
		put(&p);
		if (p.full || hi == most)
			break;
		lo = hi;
	}
	if (!p.full) {
		bench_fact(bench, "knee", "beyond what this bench can hold");
		return;
	}
	for (; hi - lo > 1 && hi - lo > hi / 64 && points < POINTS; points++) {
		unsigned mid = lo + (hi - lo) / 2;

		p = measure_calm(mid, false);
		put(&p);
		*(p.full ? &hi : &lo) = mid;
	}
	snprintf(text, sizeof(text), "%.2f", (lo + hi) / 2.0);
	bench_fact(bench, "knee", text);
}

/* Slots of what nobody sends, or more than there can be; who speaks is known by the voices. */
static bool slots_wrong(const struct room_scenario *s)
{
	return s->audio_slots > SH_MAX_AUDIO_SLOTS || s->video_slots > SH_MAX_VIDEO_SLOTS ||
	       (s->audio_slots && !s->audio_size) || (s->video_slots && !s->kbps) ||
	       (s->video_slots && !s->audio_slots) || (s->audio_slots && s->watch);
}

int main(int argc, char **argv)
{
	static const char *const columns[] = {"rooms", "subs", NULL};
	struct room_scenario sc;
	char prefix[32];
	unsigned rooms;
	bool pressed;

	bench = bench_open(
	    "bench_room",
	    "[--rooms N (0: search)] [--pressed 0|1] [--participants N] [--publishers N] "
	    "[--watch N] [--audio BYTES] "
	    "[--kbps N] [--payload BYTES] [--cameras N] [--audio-slots N] [--video-slots N] "
	    "[--feedback 0|1] [--profile 7|8|1|2] [--ms N] [--cpu N] "
	    "[--pace TENTHS_OF_A_CYCLE]",
	    argc, argv);
	rooms = (unsigned)bench_option(bench, "--rooms", 0);
	pressed = bench_option(bench, "--pressed", 0);
	sc.participants = (unsigned)bench_option(bench, "--participants", 6);
	sc.publishers = (unsigned)bench_option(bench, "--publishers", sc.participants);
	sc.watch = (unsigned)bench_option(bench, "--watch", 0);
	sc.audio_size = (unsigned)bench_option(bench, "--audio", 120);
	sc.kbps = (unsigned)bench_option(bench, "--kbps", 1000);
	sc.video_size = (unsigned)bench_option(bench, "--payload", 1200);
	sc.cameras = (unsigned)bench_option(bench, "--cameras", 0);
	sc.audio_slots = (unsigned)bench_option(bench, "--audio-slots", 0);
	sc.video_slots = (unsigned)bench_option(bench, "--video-slots", 0);
	sc.feedback = bench_option(bench, "--feedback", 1);
	sc.profile = (uint16_t)bench_option(bench, "--profile", SH_SRTP_AEAD_AES_128_GCM);
	ms = (unsigned)bench_option(bench, "--ms", bench_quick(bench) ? 60 : 400);
	pace = (double)bench_option(bench, "--pace", 0) / 10;
	cpu = (unsigned)bench_option(bench, "--cpu", sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 1 : 0);
	if (!sc.participants || !sc.publishers || sc.publishers > sc.participants ||
	    !(sc.audio_size || sc.kbps) || !ms || sc.audio_size > FWD_AUDIO_MAX ||
	    sc.video_size > 1300 || (sc.kbps && sc.video_size <= FWD_AUDIO_MAX) ||
	    (pressed && !rooms) || sc.cameras > sc.publishers || slots_wrong(&sc) ||
	    !dp_srtp_key_len(sc.profile)) {
		fprintf(
		    stderr,
		    "bench_room: publishers are participants, cameras are publishers; --audio is "
		    "up to %d, --payload %d to 1300; --pressed needs --rooms; video slots need "
		    "audio slots, and neither goes with --watch\n",
		    FWD_AUDIO_MAX, FWD_AUDIO_MAX + 1);
		return 2;
	}
	hz = 1e9 / bench_ticks_to_ns(1);
	bench_tsc_fact(bench);
	bench_columns(bench, columns);
	room_open(&sc);
	if (!room_subs() || rooms > rooms_max() || !rooms_max()) {
		fprintf(stderr, "bench_room: 1 to %d subscriptions in all\n", SUBS_MAX);
		return 2;
	}
	snprintf(prefix, sizeof(prefix), "bench-room-%d", (int)getpid());
	fwd_start(&(struct fwd_start){.prefix = prefix, .cpu = cpu});
	fwd_calib_open();
	if (rooms) {
		struct point p = measure_calm(rooms, pressed);

		put(&p);
	} else {
		search();
	}
	room_close();
	return bench_close(bench);
}
