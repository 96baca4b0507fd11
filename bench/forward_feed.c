#include "bench/forward.h"
#include <stdlib.h>
#include <string.h>
#include "bench/bench.h"
#include "dataplane/rtp/rtp.h"

enum { BATCH = 64 };

static struct {
	struct fwd_shape shape;
	unsigned tracks;
	struct dp_srtp_session *session; // of the publishers, at their end
	struct dp_srtp_batch *batch;
	uint64_t *next;  // SRTP index, by track
	uint32_t *order; // tracks by turns
	uint32_t turn;
	uint8_t (*frame)[FWD_FRAME];
	const uint8_t *at[FWD_CHUNK];
	uint16_t len[FWD_CHUNK];
	uint32_t track[FWD_CHUNK];
} feed;

static const struct dp_srtp_backend *backend(void)
{
	return dp_srtp_backend_find("ipsec_mb");
}

void fwd_feed_open(const struct fwd_shape *shape)
{
	uint64_t seed = 11;

	if (!feed.session) {
		feed.session = bench_memory(FWD_TRACKS_MAX * sizeof(*feed.session));
		feed.next = bench_memory(FWD_TRACKS_MAX * sizeof(*feed.next));
		feed.order = bench_memory(FWD_TRACKS_MAX * sizeof(*feed.order));
		feed.frame = bench_memory(FWD_CHUNK * sizeof(*feed.frame));
		if (dp_srtp_batch_new(&feed.batch, backend()))
			abort();
	}
	feed.shape = *shape;
	feed.tracks = fwd_tracks(shape);
	feed.turn = 0;
	for (uint32_t i = 0; i < feed.tracks; i++) {
		struct sh_srtp_secret tx, rx;

		fwd_keys(i, shape->profile, &tx, &rx);
		if (dp_srtp_session_init(backend(), &feed.session[i], shape->profile, &rx, &tx))
			abort();
		feed.next[i] = FWD_FIRST;
		feed.order[i] = i;
	}
	for (uint32_t i = feed.tracks; i > 1; i--) {
		uint32_t j = (uint32_t)(bench_random(&seed) % i), t = feed.order[i - 1];

		feed.order[i - 1] = feed.order[j];
		feed.order[j] = t;
	}
}

void fwd_feed_close(void)
{
	for (uint32_t i = 0; i < feed.tracks; i++)
		dp_srtp_session_wipe(backend(), &feed.session[i]);
	feed.tracks = 0;
}

void fwd_feed_skip(unsigned n)
{
	for (uint32_t i = 0; i < feed.tracks; i++)
		feed.next[i] += n;
}

/* Headers, extensions and payload as a browser sends them. The first frames of a stream are key
 * frames. */
static uint16_t make_rtp(uint8_t *p, uint32_t track, uint64_t index, uint32_t ts)
{
	bool audio = feed.shape.payload <= FWD_AUDIO_MAX;
	uint8_t *x = p + 16, *payload = p + FWD_HDR;

	p[0] = 0x90;
	p[1] = 0x80 | 96;
	dp_put16(p + 2, (uint16_t)index);
	dp_put32(p + 4, ts);
	dp_put32(p + 8, fwd_ssrc(track));
	memcpy(p + 12, "\xbe\xde\0\3", 4);
	memset(x, 0, 12);
	memcpy(x,
	       "\x10"
	       "0\x22",
	       3); // mid, abs-send-time
	dp_put16(x + 4, (uint16_t)(index * 7));
	memcpy(x + 6, audio ? "\x40\x7f\x31" : "\0\0\x31", 3); // level, transport-wide number
	dp_put16(x + 9, (uint16_t)index);
	payload[0] = 0x10;
	payload[1] = index < FWD_FIRST + 2 ? 0 : 1;
	return (uint16_t)(FWD_HDR + feed.shape.payload);
}

static void protect(unsigned at, unsigned n)
{
	struct dp_srtp_op op[BATCH];

	for (unsigned i = 0; i < n; i++) {
		uint8_t *rtp = feed.frame[at + i] + FWD_HEAD;
		uint32_t t = feed.track[at + i];

		op[i] = (struct dp_srtp_op){
		    .session = &feed.session[t],
		    .src = rtp + FWD_HDR,
		    .dst = rtp,
		    .index = feed.next[t]++,
		    .len = (uint16_t)(FWD_HDR + feed.shape.payload),
		    .hdr_len = FWD_HDR,
		};
	}
	if (dp_srtp_protect(feed.batch, op, n) != n)
		abort();
	for (unsigned i = 0; i < n; i++) {
		fwd_head(feed.frame[at + i], feed.track[at + i], op[i].out_len);
		feed.len[at + i] = (uint16_t)(FWD_HEAD + op[i].out_len);
	}
}

void fwd_feed_make(unsigned n, uint32_t ts)
{
	for (unsigned i = 0; i < n; i++) {
		uint32_t t = feed.order[feed.turn++ % feed.tracks];
		uint64_t ahead = 0;

		// a track may come more than once in a batch that is encrypted together
		for (unsigned k = i - i % BATCH; k < i; k++)
			ahead += feed.track[k] == t;
		feed.track[i] = t;
		feed.at[i] = feed.frame[i];
		make_rtp(feed.frame[i] + FWD_HEAD, t, feed.next[t] + ahead, ts + i);
		if (i % BATCH == BATCH - 1 || i + 1 == n)
			protect(i - i % BATCH, i % BATCH + 1);
	}
}

const uint8_t *const *fwd_feed_frames(void)
{
	return feed.at;
}

const uint16_t *fwd_feed_lens(void)
{
	return feed.len;
}

const uint32_t *fwd_feed_tracks(void)
{
	return feed.track;
}
