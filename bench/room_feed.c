/* A heap of sources by when their next packet is due: each track of each room, and each listener.
 * Media is encrypted AHEAD packets at a time. What a listener says depends on what it was sent
 * until then, so it is made when it is taken: all that was sent since it last said something, as
 * arrived evenly over that time. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "bench/bench.h"
#include "bench/room.h"
#include "dataplane/rtcp/rtcp.h"
#include "dataplane/rtp/rtp.h"
#include "shared/state.h"

enum { AHEAD = 256 };

struct source {
	double due; // ticks since the start
	double step;
	uint64_t next; // SRTP index; of a listener, SRTCP index
	uint32_t endpoint, ssrc;
	uint16_t payload; // 0: a listener
	uint8_t mid;
};

static struct {
	struct source *source;
	uint32_t *heap; // of sources, by due
	unsigned sources;
	struct dp_srtp_session *session; // by endpoint
	struct spoken {
		uint32_t next; // transport-wide number: that it sends next; first that it did not
		               // tell of
		double at;     // when it last told
	} * spoken;            // by endpoint
	uint32_t endpoints;
	double hz;
	struct dp_srtp_batch *batch;
	uint8_t frame[AHEAD][FWD_FRAME];
	uint16_t len[AHEAD];
	double due[AHEAD];
	uint32_t listener[AHEAD]; // source, plus one; 0: media
	unsigned n, next;
	/* as taken */
	const uint8_t *out[AHEAD];
	uint16_t out_len[AHEAD];
	double out_due[AHEAD];
} feed;

static void sift(unsigned i)
{
	for (;;) {
		unsigned least = i;

		for (unsigned c = 2 * i + 1; c <= 2 * i + 2 && c < feed.sources; c++)
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

static void add_source(const struct source *like, double per_s, uint64_t *seed)
{
	struct source *s = &feed.source[feed.sources];

	*s = *like;
	s->step = feed.hz / per_s;
	s->due = s->step * (double)(bench_random(seed) % 65536) / 65536;
	feed.heap[feed.sources] = feed.sources;
	feed.sources++;
}

static void add_room(uint32_t in, uint64_t *seed)
{
	for (unsigned i = 0; i < room_sent(); i++) {
		const struct room_track *t = room_track(i);

		add_source(&(struct source){.next = FWD_FIRST,
		                            .endpoint = in * room_endpoints() + t->publisher,
		                            .ssrc = fwd_ssrc(in * room_tracks() + i),
		                            .payload = (uint16_t)t->payload,
		                            .mid = (uint8_t)('0' + t->mid)},
		           t->pps, seed);
	}
	for (unsigned p = 0; p + room_publishers() < room_endpoints(); p++) {
		uint32_t endpoint = in * room_endpoints() + room_publishers() + p;

		if (room_tells(p) > 0)
			add_source(&(struct source){.next = 1,
			                            .endpoint = endpoint,
			                            .ssrc = 0x50000000u + endpoint},
			           room_tells(p), seed);
	}
}

void room_feed_open(unsigned rooms, uint16_t profile, double hz)
{
	size_t most = (size_t)rooms * (room_sent() + room_endpoints());
	uint64_t seed = 5;

	feed.hz = hz;
	feed.sources = 0;
	feed.endpoints = rooms * room_endpoints();
	feed.source = calloc(most, sizeof(*feed.source));
	feed.heap = calloc(most, sizeof(*feed.heap));
	feed.spoken = calloc(feed.endpoints, sizeof(*feed.spoken));
	feed.session = bench_memory(feed.endpoints * sizeof(*feed.session));
	if (!feed.source || !feed.heap || !feed.spoken ||
	    (!feed.batch && dp_srtp_batch_new(&feed.batch, fwd_backend())))
		abort();
	for (uint32_t i = 0; i < feed.endpoints; i++) {
		struct sh_srtp_secret tx, rx;

		fwd_keys(i, profile, &tx, &rx);
		if (dp_srtp_session_init(fwd_backend(), &feed.session[i], profile, &rx, &tx))
			abort();
	}
	for (uint32_t i = 0; i < rooms; i++)
		add_room(i, &seed);
	for (unsigned i = feed.sources; i-- > 0;)
		sift(i);
	feed.n = feed.next = 0;
}

void room_feed_close(void)
{
	for (uint32_t i = 0; i < feed.endpoints; i++)
		dp_srtp_session_wipe(fwd_backend(), &feed.session[i]);
	free(feed.source);
	free(feed.heap);
	free(feed.spoken);
}

/* As a browser sends them; a stream begins with a key frame. */
static void make_rtp(uint8_t *p, const struct source *s)
{
	bool audio = s->payload <= FWD_AUDIO_MAX;
	uint8_t *x = p + 16, *payload = p + FWD_HDR;

	p[0] = 0x90;
	p[1] = 0x80 | 96;
	dp_put16(p + 2, (uint16_t)s->next);
	dp_put32(p + 4, (uint32_t)(s->next * (audio ? 960 : 900)));
	dp_put32(p + 8, s->ssrc);
	memcpy(p + 12, "\xbe\xde\0\3", 4);
	memset(x, 0, 12);
	x[0] = 0x10; // mid
	x[1] = s->mid;
	x[2] = 0x22; // abs-send-time
	dp_put16(x + 3, (uint16_t)(s->next * 7));
	memcpy(x + 6, audio ? "\x40\x7f\x31" : "\0\0\x31", 3);
	dp_put16(x + 9, (uint16_t)feed.spoken[s->endpoint].next++);
	memset(payload, 0x5a, s->payload);
	payload[0] = 0x10;
	payload[1] = s->next < FWD_FIRST + 2 ? 0 : 1;
}

static void make_media(struct source *s, unsigned at)
{
	uint8_t *rtp = feed.frame[at] + FWD_HEAD;
	struct dp_srtp_op op = {.session = &feed.session[s->endpoint],
	                        .src = rtp + FWD_HDR,
	                        .dst = rtp,
	                        .index = s->next,
	                        .len = (uint16_t)(FWD_HDR + s->payload),
	                        .hdr_len = FWD_HDR};

	make_rtp(rtp, s);
	s->next++;
	if (dp_srtp_protect(feed.batch, &op, 1) != 1)
		abort();
	fwd_head(feed.frame[at], s->endpoint, op.out_len);
	feed.len[at] = (uint16_t)(FWD_HEAD + op.out_len);
}

/* The next packets of all, one a batch as two of a stream may follow each other. */
static void feed_make(void)
{
	for (feed.n = 0; feed.n < AHEAD; feed.n++) {
		uint32_t i = feed.heap[0];
		struct source *s = &feed.source[i];

		feed.listener[feed.n] = s->payload ? 0 : i + 1;
		feed.due[feed.n] = s->due;
		if (s->payload)
			make_media(s, feed.n);
		s->due += s->step;
		sift(0);
	}
	feed.next = 0;
}

/* false: there is nothing to tell. */
static bool make_feedback(struct source *s, unsigned at)
{
	struct spoken *k = &feed.spoken[s->endpoint];
	uint32_t ticks[DP_TWCC_MAX], n = dp_slabs.endpoint[s->endpoint].twcc_tx_seq - k->next;
	double from = k->at * 4000 / feed.hz, step; // in ticks of 250 us
	uint8_t *rtcp = feed.frame[at] + FWD_HEAD;
	struct dp_rtcp_out o = {.buf = rtcp, .room = FWD_FRAME - FWD_HEAD - 64};
	struct dp_srtp_op op = {
	    .session = &feed.session[s->endpoint], .src = rtcp + 8, .dst = rtcp, .index = s->next};
	int told;

	if (!n)
		return false;
	n = n < DP_TWCC_MAX ? n : DP_TWCC_MAX;
	step = (feed.due[at] * 4000 / feed.hz - from) / n;
	for (uint32_t i = 0; i < n; i++)
		ticks[i] = 1 + (uint32_t)(from + step * (i + 1));
	told = dp_rtcp_put_twcc(&o, &(struct dp_rtcp_twcc_make){.sender = s->ssrc,
	                                                        .media = 0x20000000u,
	                                                        .ticks = ticks,
	                                                        .base = (uint16_t)k->next,
	                                                        .n = (uint16_t)n,
	                                                        .fb_count = (uint8_t)s->next});
	op.len = (uint16_t)o.len;
	if (told <= 0 || dp_srtcp_protect(feed.batch, &op, 1) != 1)
		abort();
	s->next++;
	k->next += (uint32_t)told;
	k->at = feed.due[at];
	fwd_head(feed.frame[at], s->endpoint, op.out_len);
	feed.len[at] = (uint16_t)(FWD_HEAD + op.out_len);
	return true;
}

double room_feed_due(void)
{
	if (feed.next == feed.n)
		feed_make();
	return feed.due[feed.next];
}

bool room_feed_take(unsigned n, double until, struct room_packets *out)
{
	*out = (struct room_packets){.frame = feed.out, .len = feed.out_len, .due = feed.out_due};
	if (feed.next == feed.n)
		feed_make();
	if (feed.due[feed.next] > until)
		return false;
	for (; out->n < n && feed.next < feed.n && feed.due[feed.next] <= until; feed.next++) {
		unsigned at = feed.next;

		if (feed.listener[at] && !make_feedback(&feed.source[feed.listener[at] - 1], at))
			continue;
		out->told += feed.listener[at] != 0;
		feed.out[out->n] = feed.frame[at];
		feed.out_len[out->n] = feed.len[at];
		feed.out_due[out->n++] = feed.due[at];
	}
	return true;
}
