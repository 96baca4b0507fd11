/* A scenario on one worker: rooms of participants who publish audio and video and have one
 * transport each to be sent everybody else's. What bench_forward's uniform shapes are fitted on is
 * tested on it: at how many rooms is the worker full?
 *
 * It runs on a clock of its own. Packets are due at their times, evenly spread as a paced sender's;
 * those that are due are in the worker's queue; a turn takes as long as it is measured to take, and
 * while it lasts the next packets fall due. When nothing is due the clock goes on to what is. So
 * batches are as large as they would be, a turn in which the kernel took the CPU away counts as
 * long as others of its packets do, and encrypting the publishers' packets costs no time. The
 * worker is full where the queue does not get empty any more.
 *
 * One row for each number of rooms: busy share in percent, not ns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rte_graph.h>
#include "bench/bench.h"
#include "bench/forward.h"
#include "dataplane/rtp/rtp.h"
#include "dataplane/run.h"
#include "shared/stats.h"

enum {
	SUBS_MAX = 200000,
	AHEAD = 256,    // packets encrypted at a time
	QUEUE = 512,    // packets that may wait in the receive queue
	BEHIND_MS = 20, // what is later than this at the end did not fit
	WARM_MS = 60,   // not measured: first packets, trackers, history
	POINTS = 24,
	AUDIO_PPS = 50,
};

static struct {
	uint16_t profile;
	unsigned participants, publishers, watch, audio_size, kbps, video_size, ms;
} sc;

static struct bench *bench;
static double hz; // ticks a second

/* ---- the layout ---- */

static unsigned kinds(void)
{
	return (sc.audio_size > 0) + (sc.kbps > 0);
}

static unsigned payload_of(unsigned kind) // of a publisher: its first, its second
{
	return kind == 0 && sc.audio_size ? sc.audio_size : sc.video_size;
}

static double pps_of(unsigned kind)
{
	return kind == 0 && sc.audio_size ? AUDIO_PPS : sc.kbps * 125.0 / sc.video_size;
}

static unsigned watched(unsigned participant)
{
	unsigned n = sc.publishers - (participant < sc.publishers);

	return sc.watch && sc.watch < n ? sc.watch : n;
}

/* A room's subscriptions, in order: participant, publisher, kind. */
static struct fwd_sub *room_sub;
static unsigned room_subs;

static void make_room(void)
{
	unsigned most = sc.participants * sc.publishers * kinds();

	room_sub = calloc(most ? most : 1, sizeof(*room_sub));
	room_subs = 0;
	for (unsigned p = 0; p < sc.participants; p++) {
		unsigned mid = 0;

		for (unsigned k = 1; k <= sc.publishers && mid < watched(p) * kinds(); k++) {
			unsigned from = (p + k) % sc.publishers;

			if (from == p)
				continue;
			for (unsigned kind = 0; kind < kinds(); kind++)
				room_sub[room_subs++] =
				    (struct fwd_sub){from * kinds() + kind, sc.publishers + p,
				                     payload_of(kind), mid++};
		}
	}
}

static unsigned room_endpoints(void)
{
	return sc.publishers + sc.participants;
}

static unsigned room_tracks(void)
{
	return sc.publishers * kinds();
}

static void layout_track(uint32_t i, struct fwd_track *out)
{
	uint32_t room = i / room_tracks(), at = i % room_tracks();

	*out = (struct fwd_track){room * room_endpoints() + at / kinds(), payload_of(at % kinds()),
	                          at % kinds()};
}

static void layout_sub(uint32_t i, struct fwd_sub *out)
{
	uint32_t room = i / room_subs;

	*out = room_sub[i % room_subs];
	out->track += room * room_tracks();
	out->endpoint += room * room_endpoints();
}

/* ---- what publishers send ---- */

struct source {
	double due; // ticks since the start
	double step;
	uint64_t next; // SRTP index
	uint32_t endpoint;
	unsigned payload;
};

static struct {
	struct source *source;
	uint32_t *heap; // of sources, by due
	unsigned tracks;
	struct dp_srtp_session *session; // by endpoint
	uint32_t endpoints;
	struct dp_srtp_batch *batch;
	uint8_t frame[AHEAD][FWD_FRAME];
	const uint8_t *at[AHEAD];
	uint16_t len[AHEAD];
	double due[AHEAD];
	unsigned n, next;
} feed;

static void sift(unsigned i)
{
	for (;;) {
		unsigned least = i;

		for (unsigned c = 2 * i + 1; c <= 2 * i + 2 && c < feed.tracks; c++)
			if (feed.source[feed.heap[c]].due < feed.source[feed.heap[least]].due)
				least = c;
		if (least == i)
			return;
		uint32_t t = feed.heap[i];

		feed.heap[i] = feed.heap[least];
		feed.heap[least] = t;
		i = least;
	}
}

static void feed_open(const struct fwd_layout *l)
{
	uint64_t seed = 5;

	feed.tracks = l->tracks;
	feed.endpoints = l->endpoints;
	feed.source = calloc(l->tracks, sizeof(*feed.source));
	feed.heap = calloc(l->tracks, sizeof(*feed.heap));
	feed.session = bench_memory(l->endpoints * sizeof(*feed.session));
	if (!feed.source || !feed.heap ||
	    (!feed.batch && dp_srtp_batch_new(&feed.batch, fwd_backend())))
		abort();
	for (uint32_t i = 0; i < l->endpoints; i++) {
		struct sh_srtp_secret tx, rx;

		fwd_keys(i, l->profile, &tx, &rx);
		if (dp_srtp_session_init(fwd_backend(), &feed.session[i], l->profile, &rx, &tx))
			abort();
	}
	for (uint32_t i = 0; i < l->tracks; i++) {
		struct fwd_track t;
		double step = hz / pps_of(i % kinds());

		layout_track(i, &t);
		feed.source[i] =
		    (struct source){.step = step,
		                    .due = step * (double)(bench_random(&seed) % 65536) / 65536,
		                    .next = FWD_FIRST,
		                    .endpoint = t.endpoint,
		                    .payload = t.payload};
		feed.heap[i] = i;
	}
	for (unsigned i = feed.tracks; i-- > 0;)
		sift(i);
	feed.n = feed.next = 0;
}

static void feed_close(void)
{
	for (uint32_t i = 0; i < feed.endpoints; i++)
		dp_srtp_session_wipe(fwd_backend(), &feed.session[i]);
	free(feed.source);
	free(feed.heap);
}

/* As a browser sends them; a stream begins with a key frame. */
static void make_rtp(uint8_t *p, uint32_t track, const struct source *s)
{
	bool audio = s->payload <= FWD_AUDIO_MAX;
	uint8_t *x = p + 16, *payload = p + FWD_HDR;

	p[0] = 0x90;
	p[1] = 0x80 | 96;
	dp_put16(p + 2, (uint16_t)s->next);
	dp_put32(p + 4, (uint32_t)(s->next * (audio ? 960 : 900)));
	dp_put32(p + 8, fwd_ssrc(track));
	memcpy(p + 12, "\xbe\xde\0\3", 4);
	memset(x, 0, 12);
	x[0] = 0x10; // mid
	x[1] = (uint8_t)('0' + track % kinds());
	x[2] = 0x22; // abs-send-time
	dp_put16(x + 3, (uint16_t)(s->next * 7));
	memcpy(x + 6, audio ? "\x40\x7f\x31" : "\0\0\x31", 3);
	dp_put16(x + 9, (uint16_t)s->next);
	memset(payload, 0x5a, s->payload);
	payload[0] = 0x10;
	payload[1] = s->next < FWD_FIRST + 2 ? 0 : 1;
}

/* The next packets of all, one a batch as two of a stream may follow each other. */
static void feed_make(void)
{
	for (feed.n = 0; feed.n < AHEAD; feed.n++) {
		uint32_t track = feed.heap[0];
		struct source *s = &feed.source[track];
		uint8_t *frame = feed.frame[feed.n], *rtp = frame + FWD_HEAD;
		struct dp_srtp_op op = {.session = &feed.session[s->endpoint],
		                        .src = rtp + FWD_HDR,
		                        .dst = rtp,
		                        .index = s->next,
		                        .len = (uint16_t)(FWD_HDR + s->payload),
		                        .hdr_len = FWD_HDR};

		make_rtp(rtp, track, s);
		if (dp_srtp_protect(feed.batch, &op, 1) != 1)
			abort();
		fwd_head(frame, s->endpoint, op.out_len);
		feed.at[feed.n] = frame;
		feed.len[feed.n] = (uint16_t)(FWD_HEAD + op.out_len);
		feed.due[feed.n] = s->due;
		s->due += s->step;
		s->next++;
		sift(0);
	}
	feed.next = 0;
}

/* ---- the run ---- */

struct point {
	unsigned rooms;
	double busy, behind_ms; // share; at the end
	double in, out;         // packets a second
	double cycles;          // of a packet out
	double batch;           // packets in a turn
	double cut;             // share of turns whose time is the usual one
	uint64_t drops;
};

struct clock {
	double now, start; // ticks
	uint64_t origin;
	double busy; // of turns
	unsigned waiting;
	uint64_t taken, turns, cut;
};

/* By number of packets, its logarithm. A turn that takes many times the usual was stolen from. */
enum { TYPICAL = 20, STOLEN = 8 };
static struct turns {
	double sum, n;
} turns[33];

/* What is due by now goes into the queue, as far as there is room. */
static void arrive(struct clock *c)
{
	for (;;) {
		unsigned n = 0;

		if (feed.next == feed.n)
			feed_make();
		while (feed.next + n < feed.n && c->waiting + n < QUEUE &&
		       feed.due[feed.next + n] <= c->now)
			n++;
		if (!n)
			return;
		fwd_inject(feed.at + feed.next, feed.len + feed.next, n);
		c->waiting += n;
		feed.next += n;
		if (feed.next < feed.n)
			return;
	}
}

/* Mean of the turns with about that many packets in which the kernel and the hypervisor left the
 * CPU to us. */
static double usual(const struct turns *t, double took, bool cut)
{
	if (!cut && (t->n < TYPICAL || took < STOLEN * t->sum / t->n))
		return took;
	return t->n ? t->sum / t->n : 0;
}

static void step(struct clock *c)
{
	uint64_t in = fwd_stat(SH_STAT_rtp_in), switches;
	struct turns *t;
	double took, counted;
	unsigned n;
	bool cut;

	arrive(c);
	if (!c->waiting) {
		c->now = feed.due[feed.next];
		arrive(c);
	}
	switches = bench_switches();
	took = (double)fwd_turn_at(c->origin + (uint64_t)c->now);
	cut = bench_switches() != switches;
	n = (unsigned)(fwd_stat(SH_STAT_rtp_in) - in);
	t = &turns[n ? 32 - __builtin_clz(n) : 0];
	counted = usual(t, took, cut);
	c->cut += counted < took;
	if (counted == took) {
		t->sum += took;
		t->n++;
	}
	c->busy += counted;
	c->now += counted;
	c->taken += n;
	c->turns++;
	c->waiting -= n < c->waiting ? n : c->waiting;
}

static void run_until(struct clock *c, double end)
{
	while (c->now < end)
		step(c);
}

static struct point measure(unsigned rooms)
{
	const struct fwd_layout l = {
	    .profile = sc.profile,
	    .endpoints = rooms * room_endpoints(),
	    .tracks = rooms * room_tracks(),
	    .subs = rooms * room_subs,
	    .track = layout_track,
	    .sub = layout_sub,
	};
	struct point p = {.rooms = rooms};
	struct clock c = {0};
	uint64_t in, out, drops;
	double seconds;

	memset(turns, 0, sizeof(turns));
	fwd_open_layout(&l);
	feed_open(&l);
	c.origin = bench_ticks();
	run_until(&c, hz * WARM_MS / 1000);
	c = (struct clock){.now = c.now, .start = c.now, .origin = c.origin, .waiting = c.waiting};
	in = fwd_stat(SH_STAT_rtp_in);
	out = fwd_stat(SH_STAT_rtp_out);
	drops = fwd_drops();
	run_until(&c, c.now + hz * sc.ms / 1000);
	seconds = (c.now - c.start) / hz;
	in = fwd_stat(SH_STAT_rtp_in) - in;
	out = fwd_stat(SH_STAT_rtp_out) - out;
	p.busy = c.busy / (c.now - c.start);
	if (feed.next < feed.n && feed.due[feed.next] < c.now)
		p.behind_ms = (c.now - feed.due[feed.next]) / hz * 1000;
	p.in = (double)in / seconds;
	p.out = (double)out / seconds;
	p.cycles = out ? c.busy / (double)out : 0;
	p.batch = c.turns ? (double)c.taken / (double)c.turns : 0;
	p.cut = c.turns ? (double)c.cut / (double)c.turns : 0;
	p.drops = fwd_drops() - drops;
	for (unsigned i = 0; i < 2 * QUEUE / DP_BURST;
	     i++) // the next layout begins with an empty queue
		fwd_turn_at(c.origin + (uint64_t)c.now);
	feed_close();
	fwd_close_layout();
	return p;
}

/* ---- rows ---- */

static void put(const struct point *p)
{
	char rooms[16], subs[16];
	const char *values[] = {rooms, subs, NULL};
	struct bench_stat s = {
	    .min = p->busy * 100, .median = p->busy * 100, .max = p->busy * 100, .runs = 1};

	snprintf(rooms, sizeof(rooms), "%u", p->rooms);
	snprintf(subs, sizeof(subs), "%u", p->rooms * room_subs);
	bench_row(bench, values, &s, NULL);
	printf("    %.0f packets/s in, %.0f out, %.1f cycles a packet out, %.1f packets a turn, "
	       "%.1f ms behind, "
	       "%llu dropped, %.1f %% of turns cut\n",
	       p->in, p->out, p->cycles, p->batch, p->behind_ms, (unsigned long long)p->drops,
	       p->cut * 100);
	bench_row_value(bench, NULL, "in_pps", p->in);
	bench_row_value(bench, NULL, "out_pps", p->out);
	bench_row_value(bench, NULL, "cycles", p->cycles);
	bench_row_value(bench, NULL, "batch", p->batch);
	bench_row_value(bench, NULL, "behind_ms", p->behind_ms);
	bench_row_value(bench, NULL, "drops", (double)p->drops);
	bench_row_value(bench, NULL, "cut", p->cut);
}

static bool full(const struct point *p)
{
	return p->busy > 0.999 || p->behind_ms > BEHIND_MS;
}

static unsigned rooms_max(void)
{
	unsigned most = SUBS_MAX / (room_subs ? room_subs : 1), t = SUBS_MAX / room_tracks();

	return most < t ? most : t;
}

/* Doubles until it is full, then halves what is between. The knee: the middle of what is left. */
static void search(void)
{
	unsigned lo = 0, hi = 1, points = 0, most = rooms_max();
	struct point p;
	char text[32];

	for (; points < POINTS; points++, hi = hi * 2 < most ? hi * 2 : most) {
		p = measure(hi);
		put(&p);
		if (full(&p) || hi == most)
			break;
		lo = hi;
	}
	if (!full(&p)) {
		bench_fact(bench, "knee", "beyond what this bench can hold");
		return;
	}
	for (; hi - lo > 1 && hi - lo > hi / 64 && points < POINTS; points++) {
		unsigned mid = lo + (hi - lo) / 2;

		p = measure(mid);
		put(&p);
		*(full(&p) ? &hi : &lo) = mid;
	}
	snprintf(text, sizeof(text), "%.2f", (lo + hi) / 2.0);
	bench_fact(bench, "knee", text);
}

int main(int argc, char **argv)
{
	static const char *const columns[] = {"rooms", "subs", NULL};
	char prefix[32];
	unsigned rooms, cpu;

	bench = bench_open("bench_room",
	                   "[--rooms N (0: search)] [--participants N] [--publishers N] [--watch "
	                   "N] [--audio BYTES] "
	                   "[--kbps N] [--payload BYTES] [--profile 7|8|1|2] [--ms N] [--cpu N]",
	                   argc, argv);
	rooms = (unsigned)bench_option(bench, "--rooms", 0);
	sc.participants = (unsigned)bench_option(bench, "--participants", 6);
	sc.publishers = (unsigned)bench_option(bench, "--publishers", sc.participants);
	sc.watch = (unsigned)bench_option(bench, "--watch", 0);
	sc.audio_size = (unsigned)bench_option(bench, "--audio", 120);
	sc.kbps = (unsigned)bench_option(bench, "--kbps", 1000);
	sc.video_size = (unsigned)bench_option(bench, "--payload", 1200);
	sc.profile = (uint16_t)bench_option(bench, "--profile", SH_SRTP_AEAD_AES_128_GCM);
	sc.ms = (unsigned)bench_option(bench, "--ms", bench_quick(bench) ? 60 : 400);
	cpu = (unsigned)bench_option(bench, "--cpu", sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 1 : 0);
	if (!sc.participants || !sc.publishers || sc.publishers > sc.participants || !kinds() ||
	    !sc.ms || sc.audio_size > FWD_AUDIO_MAX || sc.video_size > 1300 ||
	    (sc.kbps && sc.video_size <= FWD_AUDIO_MAX) || !dp_srtp_key_len(sc.profile)) {
		fprintf(stderr,
		        "bench_room: publishers are participants; --audio is up to %d, --payload "
		        "%d to 1300\n",
		        FWD_AUDIO_MAX, FWD_AUDIO_MAX + 1);
		return 2;
	}
	hz = 1e9 / bench_ticks_to_ns(1);
	bench_tsc_fact(bench);
	bench_columns(bench, columns);
	make_room();
	if (!room_subs || rooms > rooms_max() || !rooms_max()) {
		fprintf(stderr, "bench_room: 1 to %d subscriptions in all\n", SUBS_MAX);
		return 2;
	}
	snprintf(prefix, sizeof(prefix), "bench-room-%d", (int)getpid());
	fwd_start(&(struct fwd_start){.prefix = prefix, .cpu = cpu});
	if (rooms) {
		struct point p = measure(rooms);

		put(&p);
	} else {
		search();
	}
	free(room_sub);
	return bench_close(bench);
}
