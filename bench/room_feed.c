#include "bench/room.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "bench/bench.h"
#include "dataplane/rtp/rtp.h"

enum { AHEAD = 256 }; // packets encrypted at a time

static struct room_scenario sc;

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
	return kind == 0 && sc.audio_size ? ROOM_AUDIO_PPS : sc.kbps * 125.0 / sc.video_size;
}

static unsigned watched(unsigned participant)
{
	unsigned n = sc.publishers - (participant < sc.publishers);

	return sc.watch && sc.watch < n ? sc.watch : n;
}

/* A room's subscriptions, in order: participant, publisher, kind. */
static struct fwd_sub *room_sub;
static unsigned n_subs;

void room_open(const struct room_scenario *scenario)
{
	unsigned most;

	sc = *scenario;
	most = sc.participants * sc.publishers * kinds();
	room_sub = calloc(most ? most : 1, sizeof(*room_sub));
	n_subs = 0;
	for (unsigned p = 0; p < sc.participants; p++) {
		unsigned mid = 0;

		for (unsigned k = 1; k <= sc.publishers && mid < watched(p) * kinds(); k++) {
			unsigned from = (p + k) % sc.publishers;

			if (from == p)
				continue;
			for (unsigned kind = 0; kind < kinds(); kind++)
				room_sub[n_subs++] =
				    (struct fwd_sub){from * kinds() + kind, sc.publishers + p,
				                     payload_of(kind), mid++};
		}
	}
}

void room_close(void)
{
	free(room_sub);
	room_sub = NULL;
}

unsigned room_subs(void)
{
	return n_subs;
}

double room_pps(void)
{
	double sum = 0;

	for (unsigned kind = 0; kind < kinds(); kind++)
		sum += pps_of(kind);
	return sum * sc.publishers;
}

unsigned room_endpoints(void)
{
	return sc.publishers + sc.participants;
}

unsigned room_tracks(void)
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
	uint32_t room = i / n_subs;

	*out = room_sub[i % n_subs];
	out->track += room * room_tracks();
	out->endpoint += room * room_endpoints();
}

void room_layout(struct fwd_layout *out, unsigned rooms)
{
	*out = (struct fwd_layout){
	    .profile = sc.profile,
	    .workers = 1,
	    .endpoints = rooms * room_endpoints(),
	    .tracks = rooms * room_tracks(),
	    .subs = rooms * n_subs,
	    .track = layout_track,
	    .sub = layout_sub,
	};
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

void room_feed_open(const struct fwd_layout *l, double hz)
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

void room_feed_close(void)
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

double room_feed_due(void)
{
	if (feed.next == feed.n)
		feed_make();
	return feed.due[feed.next];
}

unsigned room_feed_take(unsigned n, double until, const uint8_t *const **frame,
                        const uint16_t **len)
{
	unsigned first, many = 0;

	if (feed.next == feed.n)
		feed_make();
	first = feed.next;
	while (many < n && first + many < feed.n && feed.due[first + many] <= until)
		many++;
	*frame = feed.at + first;
	*len = feed.len + first;
	feed.next += many;
	return many;
}
