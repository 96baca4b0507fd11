/* The whole graph: crafted frames in, what comes out decrypted by libsrtp2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/node/frame.h"
#include "dataplane/node/world.h"

enum {
	PT_OPUS = 111, PT_VP8 = 96, PT_RTX = 97,
	OUT_OPUS = 100, OUT_VP8 = 120, OUT_RTX = 121,
	SSRC_AUDIO = 0xa0000001, SSRC_VIDEO = 0xb0000001, SSRC_VIDEO_RTX = 0xb0000002,
	OUR_AUDIO = 0xc0000001, OUR_VIDEO = 0xc0000002, OUR_RTX = 0xc0000003,
};

static const struct sh_msg_track_set audio_track = {
	.kind = SH_KIND_AUDIO, .layers = 1, .mid_len = 1, .mid = "0",
	.pt = {{PT_OPUS, SH_CODEC_OPUS, 255, 0, 48000}, {255}, {255}, {255}, {255}, {255}, {255}, {255}},
	.layer = {{.ssrc = SSRC_AUDIO}},
};

static const struct sh_msg_track_set video_track = {
	.kind = SH_KIND_VIDEO, .layers = 1, .mid_len = 1, .mid = "1",
	.flags = SH_TRACK_NACK | SH_TRACK_PLI | SH_TRACK_FIR,
	.pt = {{PT_VP8, SH_CODEC_VP8, 255, 0, 90000}, {PT_RTX, SH_CODEC_RTX, 0, 0, 90000},
	       {255}, {255}, {255}, {255}, {255}, {255}},
	.layer = {{.ssrc = SSRC_VIDEO, .rtx_ssrc = SSRC_VIDEO_RTX}},
};

static const struct sh_msg_sub_set audio_sub = {
	.ssrc = OUR_AUDIO, .pt = {OUT_OPUS, 255, 255, 255, 255, 255, 255, 255},
	.mid_len = 2, .mid = "s0",
};

static const struct sh_msg_sub_set video_sub = {
	.ssrc = OUR_VIDEO, .rtx_ssrc = OUR_RTX, .pt = {OUT_VP8, OUT_RTX, 255, 255, 255, 255, 255, 255},
	.mid_len = 2, .mid = "s1", .flags = SH_SUB_NACK, .max_layer = 2,
};

struct rtp {
	uint8_t pt, marker;
	uint16_t seq;
	uint32_t ts, ssrc;
	const uint8_t *ext; // one-byte form elements, padded
	uint32_t ext_len;
	const uint8_t *payload;
	uint32_t len;
};

static uint32_t make_rtp(uint8_t *buf, const struct rtp *r)
{
	uint32_t at = 12;

	buf[0] = (uint8_t)(0x80 | (r->ext ? 0x10 : 0));
	buf[1] = (uint8_t)(r->pt | r->marker << 7);
	dp_put16(buf + 2, r->seq);
	dp_put32(buf + 4, r->ts);
	dp_put32(buf + 8, r->ssrc);
	if (r->ext) {
		dp_put16(buf + 12, 0xbede);
		dp_put16(buf + 14, (uint16_t)(r->ext_len / 4));
		memcpy(buf + 16, r->ext, r->ext_len);
		at += 4 + r->ext_len;
	}
	memcpy(buf + at, r->payload, r->len);
	return at + r->len;
}

static void send_rtp(struct peer *p, const struct rtp *r)
{
	uint8_t buf[FRAME_MAX];

	peer_rtp(p, buf, make_rtp(buf, r));
}

static void send_audio(struct peer *p, uint16_t seq)
{
	send_rtp(p, &(struct rtp){.pt = PT_OPUS, .seq = seq, .ts = seq * 960u, .ssrc = SSRC_AUDIO,
	                          .payload = (const uint8_t *)"opus payload", .len = 12});
}

/* VP8 (RFC 7741): descriptor with S, then a frame header whose low bit says that it is no key frame. */
static void send_video_as(struct peer *p, uint32_t ssrc, uint16_t seq, uint32_t ts, bool key)
{
	uint8_t payload[900] = {0x10, key ? 0x10 : 0x11, 0, 0, 0x9d, 0x01, 0x2a};

	payload[10] = (uint8_t)seq;
	send_rtp(p, &(struct rtp){.pt = PT_VP8, .marker = 1, .seq = seq, .ts = ts, .ssrc = ssrc,
	                          .payload = payload, .len = sizeof(payload)});
}

static void send_video(struct peer *p, uint16_t seq, bool key)
{
	send_video_as(p, SSRC_VIDEO, seq, seq * 3000u, key);
}

static unsigned count_rtp(struct peer *p)
{
	struct rtp_out o;
	unsigned n = 0;

	while (peer_take_rtp(p, &o))
		n++;
	return n;
}

/* Packets of one RTCP type (and FMT, for feedback) that were sent to a peer; all are taken. */
static unsigned count_rtcp(struct peer *p, uint8_t type, uint8_t fmt, struct dp_rtcp_fb *last)
{
	static uint8_t buf[FRAME_MAX];
	uint32_t len;
	unsigned n = 0;

	while (peer_take_rtcp(p, buf, &len)) {
		struct dp_rtcp_iter it;
		struct dp_rtcp_pkt k;

		assert_int_equal(dp_rtcp_first(&it, buf, len, p->set.flags & SH_EP_RTCP_RSIZE ? DP_RTCP_RSIZE : 0), 0);
		while (dp_rtcp_next(&it, &k)) {
			if (k.type != type || (type >= DP_RTCP_RTPFB && k.count != fmt))
				continue;
			n++;
			if (last)
				assert_int_equal(dp_rtcp_fb(last, &k), 0);
		}
	}
	return n;
}

/* Publisher 0 with audio track 0 and video track 1, subscriber 1 to both. */
struct pair {
	struct peer pub, sub;
};

/* Every story is run in each of these places. */
static struct place {
	const char *backend;
	unsigned workers; // the subscriber is on the last one
	bool ip6;
	unsigned vlans;
} place;

static void pair_start_on(struct pair *c, uint16_t profile, unsigned workers, bool ip6, unsigned vlans)
{
	world_start(workers, place.backend);
	peer_new(&c->pub, 0, 0, profile, ip6);
	peer_new(&c->sub, 1, workers - 1, profile, ip6);
	c->pub.vlans = c->sub.vlans = vlans;
	world_track(0, &c->pub, &audio_track);
	world_track(1, &c->pub, &video_track);
	world_sub(0, 0, &c->sub, &audio_sub);
	world_sub(1, 1, &c->sub, &video_sub);
	peer_connect(&c->pub);
	peer_connect(&c->sub);
}

static void pair_start(struct pair *c)
{
	pair_start_on(c, SH_SRTP_AEAD_AES_128_GCM, place.workers, place.ip6, place.vlans);
}

static void pair_stop(struct pair *c)
{
	peer_free(&c->pub);
	peer_free(&c->sub);
	world_stop();
}

/* ---- STUN ---- */

static void stun_answers(void **state)
{
	struct peer p;
	uint8_t buf[512];
	uint32_t len;
	struct dp_stun_msg m;

	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		for (unsigned vlans = 0; vlans <= 2; vlans++) {
			world_start(1, place.backend);
			peer_new(&p, 3, 0, SH_SRTP_AEAD_AES_128_GCM, ip6);
			p.vlans = vlans;
			peer_check(&p, PEER_NOMINATE);
			assert_true(peer_take_stun(&p, buf, &len));
			assert_int_equal(dp_stun_parse(&m, buf, len), 0);
			assert_int_equal(m.type, DP_STUN_BINDING_SUCCESS);
			assert_true(m.flags & DP_STUN_HAS_FINGERPRINT);
			assert_int_equal(dp_stun_check(&m, (uint8_t *)p.pwd, (uint32_t)strlen(p.pwd)), 0);
			assert_true(dp_addr_equal(&m.mapped, &p.addr));
			assert_int_equal(dp_slabs.endpoint[3].ice, SH_ICE_CONNECTED);
			assert_true(dp_addr_equal(&dp_slabs.endpoint[3].remote, &p.addr));
			assert_true(dp_addr_equal(&dp_slabs.endpoint[3].local, &p.local));
			assert_int_equal(world.notes[DP_NOTE_ICE], 1);
			world_stop();
		}
	}
}

static void stun_error(struct peer *p, unsigned flags, unsigned code, bool is_signed, unsigned stat)
{
	uint8_t buf[512];
	uint32_t len;
	struct dp_stun_msg m;
	uint64_t before = world_stat(stat);

	peer_check(p, flags | PEER_NOMINATE);
	assert_true(peer_take_stun(p, buf, &len));
	assert_int_equal(dp_stun_parse(&m, buf, len), 0);
	assert_int_equal(m.type, DP_STUN_BINDING_ERROR);
	assert_int_equal(m.error, code);
	assert_int_equal(!!m.mi_off, is_signed);
	assert_int_equal(world_stat(stat), before + 1);
	assert_int_equal(dp_slabs.endpoint[p->endpoint].ice, SH_ICE_NEW);
	assert_int_equal(dp_slabs.endpoint[p->endpoint].remote.family, 0);
}

static void stun_refusals(void **state)
{
	struct peer p;

	world_start(1, place.backend);
	uint64_t strangers = world_stat(SH_STAT_drop_stun_ufrag);
	uint8_t buf[512];
	uint32_t len;

	peer_new(&p, 3, 0, SH_SRTP_AEAD_AES_128_GCM, false);
	peer_check(&p, PEER_BAD_UFRAG | PEER_NOMINATE); // may be known a moment later: silence, not an error
	assert_false(peer_take_stun(&p, buf, &len));
	assert_int_equal(world_stat(SH_STAT_drop_stun_ufrag), strangers + 1);
	stun_error(&p, PEER_BAD_PWD, 401, false, SH_STAT_drop_stun_integrity);
	stun_error(&p, PEER_NO_MI, 400, false, SH_STAT_drop_stun_integrity);
	stun_error(&p, PEER_CONTROLLED, 487, true, SH_STAT_stun_requests);
	stun_error(&p, PEER_UNKNOWN_ATTR, 420, true, SH_STAT_stun_requests);
	assert_int_equal(world.notes[DP_NOTE_ICE], 0);
	world_stop();
}

/* A flood of requests that prove nothing is not answered one by one. */
static void stun_flood(void **state)
{
	struct peer p;
	uint8_t buf[512];

	world_start(1, place.backend);
	peer_new(&p, 3, 0, SH_SRTP_AEAD_AES_128_GCM, false);
	for (unsigned i = 0; i < 1500; i++) {
		peer_send(&p, buf, peer_stun(&p, buf, PEER_BAD_PWD, 1));
		if (i % 50 == 49)
			world_walk();
	}
	assert_int_equal(world_stat(SH_STAT_drop_stun_integrity), 1500);
	assert_int_equal(world.n_out, 1000);
	world_stop();
}

static void stun_wrong_worker(void **state)
{
	struct peer p;

	world_start(2, place.backend);
	peer_new(&p, 3, 1, SH_SRTP_AEAD_AES_128_GCM, false);
	p.local.port = WORLD_BASE; // worker 0's
	p.worker = 0;
	peer_check(&p, PEER_NOMINATE);
	assert_int_equal(world_stat(SH_STAT_drop_stun_worker), 1);
	assert_int_equal(world.n_out, 0);
	world_stop();
}

/* A frame for worker 1's port that came on worker 0's queue. */
static void handover(void **state)
{
	struct peer p;
	uint8_t buf[512];
	uint32_t len;

	world_start(2, place.backend);
	peer_new(&p, 3, 1, SH_SRTP_AEAD_AES_128_GCM, false);
	p.worker = 0;
	peer_check(&p, PEER_NOMINATE);
	assert_int_equal(world_stat(SH_STAT_rx_handover), 1);
	assert_true(peer_take_stun(&p, buf, &len));
	assert_int_equal(world.out[0].worker, 1);
	world_stop();
}

/* RFC 7675: 30 s without a check, and nothing more is sent; a check brings it back. */
static void consent(void **state)
{
	struct pair c;

	pair_start(&c);
	for (unsigned s = 0; s < 29; s++)
		world_run(1000);
	peer_check(&c.pub, 0);
	send_audio(&c.pub, 1);
	world_walk();
	assert_int_equal(count_rtp(&c.sub), 1);
	world.notes[DP_NOTE_ICE] = 0;
	world_run(2000);
	assert_int_equal(dp_slabs.endpoint[1].ice, SH_ICE_DISCONNECTED);
	assert_int_equal(dp_slabs.endpoint[0].ice, SH_ICE_CONNECTED);
	assert_int_equal(world.notes[DP_NOTE_ICE], 1);
	send_audio(&c.pub, 2);
	world_walk();
	assert_int_equal(count_rtp(&c.sub), 0);
	assert_int_equal(world_stat(SH_STAT_drop_sub_not_connected), 1);
	peer_check(&c.sub, 0);
	assert_int_equal(dp_slabs.endpoint[1].ice, SH_ICE_CONNECTED);
	send_audio(&c.pub, 3);
	world_walk();
	assert_int_equal(count_rtp(&c.sub), 1);
	pair_stop(&c);
}

/* A nominated check from another address moves the endpoint, anything less does not. */
static void migration(void **state)
{
	struct pair c;
	struct peer moved;

	pair_start(&c);
	moved = c.sub;
	moved.addr.port++;
	peer_check(&moved, PEER_BAD_PWD | PEER_NOMINATE);
	peer_check(&moved, 0);
	assert_true(dp_addr_equal(&dp_slabs.endpoint[1].remote, &c.sub.addr));
	assert_int_equal(world_stat(SH_STAT_stun_migrations), 0);
	peer_check(&moved, PEER_NOMINATE);
	assert_true(dp_addr_equal(&dp_slabs.endpoint[1].remote, &moved.addr));
	assert_int_equal(world_stat(SH_STAT_stun_migrations), 1);
	peer_path(&moved);
	send_audio(&c.pub, 2);
	world_walk();
	assert_int_equal(count_rtp(&c.sub), 0);
	assert_int_equal(count_rtp(&moved), 1);
	pair_stop(&c);
}

/* ---- DTLS ---- */

static const uint8_t dtls_hello[] = {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4};

static void dtls(void **state)
{
	struct peer p, other;
	uint8_t buf[64];

	world_start(1, place.backend);
	peer_new(&p, 3, 0, SH_SRTP_AEAD_AES_128_GCM, false);
	peer_send(&p, dtls_hello, sizeof(dtls_hello));
	world_walk();
	assert_int_equal(world_stat(SH_STAT_drop_unknown_source), 1);
	peer_check(&p, 0); // valid, not nominated: DTLS may begin
	assert_int_equal(dp_slabs.endpoint[3].ice, SH_ICE_NEW);
	peer_send(&p, dtls_hello, sizeof(dtls_hello));
	world_walk();
	assert_int_equal(world.n_punted, 1);
	assert_int_equal(dp_pkt(world.punted[0])->endpoint, 3);
	assert_int_equal(world.punted[0]->data_len, sizeof(dtls_hello));
	assert_memory_equal(rte_pktmbuf_mtod(world.punted[0], void *), dtls_hello, sizeof(dtls_hello));
	// a second valid address of the same peer, and DTLS from there: answers go there
	other = p;
	other.addr.port++;
	peer_check(&other, 0);
	assert_true(dp_addr_equal(&dp_slabs.endpoint[3].remote, &p.addr));
	peer_send(&other, dtls_hello, sizeof(dtls_hello));
	world_walk();
	assert_int_equal(world.n_punted, 2);
	assert_true(dp_addr_equal(&dp_slabs.endpoint[3].remote, &other.addr));
	memcpy(buf, dtls_hello, sizeof(dtls_hello));
	for (uint32_t n = 1; n < sizeof(dtls_hello); n++) {
		peer_send(&p, buf, n);
		world_walk();
	}
	assert_int_equal(world.n_punted, 2);
	assert_int_equal(world_stat(SH_STAT_drop_dtls_malformed), sizeof(dtls_hello) - 1);
	world_stop();
}

static bool is_dtls(const uint8_t *b, uint32_t n)
{
	return dp_frame_kind(b, n) == DP_FRAME_IS_DTLS;
}

static void inject_one(struct dp_worker *w, uint32_t endpoint)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(world.pool);

	m->data_off = DP_HEADROOM;
	memcpy(rte_pktmbuf_append(m, sizeof(dtls_hello)), dtls_hello, sizeof(dtls_hello));
	dp_pkt(m)->endpoint = endpoint;
	assert_int_equal(rte_ring_enqueue(w->inject, m), 0);
	world_walk();
}

static void dtls_down(void **state)
{
	struct peer p;
	uint8_t buf[FRAME_MAX];
	uint32_t len;

	world_start(1, place.backend);
	peer_new(&p, 3, 0, SH_SRTP_AEAD_AES_128_GCM, true);
	inject_one(world.w[0], 3);
	assert_int_equal(world_stat(SH_STAT_drop_inject_unknown), 1);
	peer_check(&p, 0);
	inject_one(world.w[0], 3);
	assert_int_equal(world_stat(SH_STAT_drop_no_route), 1);
	peer_path(&p);
	inject_one(world.w[0], 3);
	assert_true(peer_take(&p, buf, &len, is_dtls));
	assert_int_equal(len, sizeof(dtls_hello));
	assert_memory_equal(buf, dtls_hello, len);
	world_stop();
}

static void dtls_flood(void **state)
{
	struct peer p;

	world_start(1, place.backend);
	peer_new(&p, 3, 0, SH_SRTP_AEAD_AES_128_GCM, false);
	peer_check(&p, 0);
	dp_nodes_config.dtls_per_s = 20;
	for (unsigned i = 0; i < 30; i++)
		peer_send(&p, dtls_hello, sizeof(dtls_hello));
	world_walk();
	dp_nodes_config.dtls_per_s = 100;
	assert_int_equal(world.n_punted, 20);
	assert_int_equal(world_stat(SH_STAT_drop_dtls_rate), 10);
	world_stop();
}

/* ---- media ---- */

static void check_audio(struct peer *sub, const struct rtp_out *o, const struct rtp_out *first, unsigned i)
{
	assert_int_equal(o->hdr.pt, OUT_OPUS);
	assert_int_equal(o->hdr.ssrc, OUR_AUDIO);
	assert_int_equal(o->hdr.seq, (uint16_t)(first->hdr.seq + i));
	assert_int_equal(o->hdr.ts, first->hdr.ts + i * 960);
	assert_int_equal(o->hdr.payload_len, 12);
	assert_memory_equal(o->buf + o->hdr.payload_off, "opus payload", 12);
}

static void forwards(void **state)
{
	static const uint16_t profiles[] = {SH_SRTP_AES128_CM_SHA1_80, SH_SRTP_AES128_CM_SHA1_32,
	                                    SH_SRTP_AEAD_AES_128_GCM, SH_SRTP_AEAD_AES_256_GCM};

	for (unsigned k = 0; k < 16; k++) {
		struct pair c;
		struct rtp_out first, o;

		pair_start_on(&c, profiles[k % 4], 1 + (k / 4) % 2, k / 8, k % 3);
		for (unsigned i = 0; i < 300; i++) { // over the wrap of the sequence number
			send_audio(&c.pub, (uint16_t)(65400 + i));
			if (i % 7 == 6)
				world_walk();
		}
		world_walk();
		assert_true(peer_take_rtp(&c.sub, &first));
		check_audio(&c.sub, &first, &first, 0);
		for (unsigned i = 1; i < 300; i++) {
			assert_true(peer_take_rtp(&c.sub, &o));
			assert_int_equal(o.hdr.seq, (uint16_t)(first.hdr.seq + i));
			assert_int_equal(o.hdr.ssrc, OUR_AUDIO);
			assert_memory_equal(o.buf + o.hdr.payload_off, "opus payload", 12);
		}
		assert_false(peer_take_rtp(&c.sub, &o));
		assert_int_equal(world_stat(SH_STAT_rtp_in), 300);
		assert_int_equal(world_stat(SH_STAT_rtp_out), 300);
		assert_int_equal(dp_slabs.sub[0].packets, 300);
		assert_int_equal(dp_slabs.endpoint[0].rx_packets, 300);
		world_run(25);
		assert_in_range(dp_slabs.endpoint[1].tx_packets, 300, 301);
		pair_stop(&c);
	}
}

/* A publisher whose first packets stand right before the wrap, all in one vector. */
static void first_vector_wraps(void **state)
{
	struct pair c;

	pair_start(&c);
	for (unsigned i = 0; i < 20; i++)
		send_audio(&c.pub, (uint16_t)(65530 + i));
	world_walk();
	assert_int_equal(count_rtp(&c.sub), 20);
	assert_int_equal(dp_slabs.track[0].media[0].crypto.index, 65549);
	pair_stop(&c);
}

static void bad_tags_and_replays(void **state)
{
	struct pair c;
	uint8_t buf[FRAME_MAX], rtp[FRAME_MAX];
	int n;
	uint32_t len = make_rtp(rtp, &(struct rtp){.pt = PT_OPUS, .seq = 10, .ssrc = SSRC_AUDIO, .ts = 5,
	                                           .payload = (const uint8_t *)"x", .len = 1});

	pair_start(&c);
	memcpy(buf, rtp, len);
	n = (int)len;
	assert_int_equal(srtp_protect(c.pub.tx, buf, &n), 0);
	for (int i = 0; i < n; i++) { // every byte counts
		buf[i] ^= 1;
		if (dp_frame_kind(buf, (uint32_t)n) == DP_FRAME_IS_RTP)
			peer_send(&c.pub, buf, (uint32_t)n);
		buf[i] ^= 1;
		world_walk();
	}
	assert_int_equal(count_rtp(&c.sub), 0);
	assert_int_equal(dp_slabs.track[0].media[0].ssrc, 0); // nothing was learned
	assert_int_equal(dp_slabs.endpoint[0].rx_packets, 0);
	assert_true(world_stat(SH_STAT_drop_srtp_auth) >= (uint64_t)n - 4);
	for (int i = 0; i < 3; i++) // twice in one vector, and once more
		peer_send(&c.pub, buf, (uint32_t)n);
	world_walk();
	peer_send(&c.pub, buf, (uint32_t)n);
	world_walk();
	assert_int_equal(count_rtp(&c.sub), 1);
	assert_int_equal(world_stat(SH_STAT_drop_srtp_replay), 3);
	for (int i = 0; i < n; i++) { // truncated everywhere
		peer_send(&c.pub, buf, (uint32_t)i);
		world_walk();
	}
	assert_int_equal(count_rtp(&c.sub), 0);
	assert_int_equal(dp_slabs.endpoint[0].rx_packets, 1);
	pair_stop(&c);
}

static void no_keys(void **state)
{
	struct pair c;
	struct peer p;
	uint8_t buf[100] = {0x80, 111};

	pair_start(&c);
	peer_new(&p, 5, 0, SH_SRTP_AEAD_AES_128_GCM, place.ip6);
	peer_check(&p, PEER_NOMINATE);
	peer_send(&p, buf, sizeof(buf));
	buf[1] = 200;
	peer_send(&p, buf, sizeof(buf));
	world_walk();
	assert_int_equal(world_stat(SH_STAT_drop_srtp_no_keys), 2);
	pair_stop(&c);
}

static void truncated_frames(void **state)
{
	struct peer p;
	uint8_t frame[FRAME_MAX], stun[512];
	uint32_t len;

	for (unsigned k = 0; k < 6; k++) {
		world_start(1, place.backend);
		peer_new(&p, 3, 0, SH_SRTP_AEAD_AES_128_GCM, k & 1);
		p.vlans = k / 2;
		len = peer_stun(&p, stun, PEER_NOMINATE, 1);
		len = peer_frame(&p, frame, stun, len);
		for (uint32_t n = 1; n < len; n++) {
			world_frame(0, frame, n);
			world_walk();
		}
		assert_int_equal(world.n_out, 0);
		assert_int_equal(dp_slabs.endpoint[3].ice, SH_ICE_NEW);
		world_frame(0, frame, len);
		world_walk();
		assert_int_equal(world.n_out, 1);
		world_stop();
	}
}

/* Ids of either side's own choice, MID of the subscriber's m-line, audio level passed on. */
static void extensions(void **state)
{
	static const uint8_t ext[] = {0x30, 0x55, 0x10, '0', 0xd0, 0x7f, 0, 0}; // id 3: level; id 1: mid; id 13: unknown
	struct pair c;
	struct rtp_out o;

	pair_start(&c);
	peer_ext(&c.pub, SH_EXT_MID, 1);
	peer_ext(&c.pub, SH_EXT_AUDIO_LEVEL, 3);
	peer_ext(&c.sub, SH_EXT_MID, 9);
	peer_ext(&c.sub, SH_EXT_AUDIO_LEVEL, 2);
	peer_ext(&c.sub, SH_EXT_ABS_SEND_TIME, 4);
	peer_ext(&c.sub, SH_EXT_TWCC, 5);
	for (unsigned i = 0; i < 2; i++) {
		send_rtp(&c.pub, &(struct rtp){.pt = PT_OPUS, .seq = (uint16_t)(1 + i), .ssrc = SSRC_AUDIO, .ext = ext,
		                               .ext_len = sizeof(ext), .payload = (const uint8_t *)"p", .len = 1});
		world_walk();
		assert_true(peer_take_rtp(&c.sub, &o));
		assert_int_equal(o.exts.present, 1 << SH_EXT_MID | 1 << SH_EXT_AUDIO_LEVEL |
		                                 1 << SH_EXT_ABS_SEND_TIME | 1 << SH_EXT_TWCC);
		assert_int_equal(o.exts.len[SH_EXT_MID], 2);
		assert_memory_equal(o.buf + o.exts.off[SH_EXT_MID], "s0", 2);
		assert_int_equal(o.buf[o.exts.off[SH_EXT_AUDIO_LEVEL]], 0x55);
		assert_int_equal(dp_get16(o.buf + o.exts.off[SH_EXT_TWCC]), i);
		assert_int_equal(o.hdr.payload_len, 1);
	}
	pair_stop(&c);
}

/* No SSRC signaled: MID names the track, an RTX stream follows, and a new SSRC takes over. */
static void learns_by_mid(void **state)
{
	static const uint8_t ext[] = {0x10, '1', 0, 0};
	struct sh_msg_track_set t = video_track;
	struct rtp_out a, b;
	struct pair c;
	uint8_t key[40] = {0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a};
	struct rtp r = {.pt = PT_VP8, .seq = 100, .ssrc = 0x777, .ext = ext, .ext_len = 4, .payload = key, .len = 40};

	t.layer[0].ssrc = t.layer[0].rtx_ssrc = 0;
	pair_start(&c);
	world_del(SH_DEL_TRACK, world_id(1));
	world_track(2, &c.pub, &t);
	world_sub(2, 2, &c.sub, &video_sub);
	peer_ext(&c.pub, SH_EXT_MID, 1);
	send_rtp(&c.pub, &r);
	world_walk();
	assert_int_equal(dp_slabs.track[2].media[0].ssrc, 0x777);
	assert_true(peer_take_rtp(&c.sub, &a));
	r.ext = NULL; // bound: MID may stop
	r.seq++;
	send_rtp(&c.pub, &r);
	r.ext = ext; // another SSRC without restart of ours
	r.ssrc = 0x888;
	r.seq = 5;
	r.ts = 12345;
	send_rtp(&c.pub, &r);
	world_walk();
	assert_true(peer_take_rtp(&c.sub, &b));
	assert_true(peer_take_rtp(&c.sub, &b));
	assert_int_equal(b.hdr.seq, (uint16_t)(a.hdr.seq + 2));
	assert_int_equal(b.hdr.ssrc, OUR_VIDEO);
	assert_int_equal(dp_slabs.track[2].media[0].ssrc, 0x888);
	r.ssrc = 0x999; // no MID, and not the only video
	r.ext = NULL;
	send_rtp(&c.pub, &r);
	world_walk();
	assert_int_equal(world_stat(SH_STAT_drop_rtp_ssrc), 1);
	pair_stop(&c);
}

/* The old SSRC comes back: above its old index only. */
static void retired_ssrc_replayed(void **state)
{
	static const uint8_t ext[] = {0x10, '0', 0, 0};
	struct sh_msg_track_set t = audio_track;
	struct pair c;
	uint8_t rtp[200], old[200];
	int n;
	uint32_t len;
	struct rtp r = {.pt = PT_OPUS, .seq = 100, .ssrc = 0x777, .ext = ext, .ext_len = 4,
	                .payload = (const uint8_t *)"a", .len = 1};

	t.layer[0].ssrc = 0;
	pair_start(&c);
	world_del(SH_DEL_TRACK, world_id(0));
	world_track(2, &c.pub, &t);
	world_sub(2, 2, &c.sub, &audio_sub);
	peer_ext(&c.pub, SH_EXT_MID, 1);
	len = make_rtp(rtp, &r);
	memcpy(old, rtp, len);
	n = (int)len;
	assert_int_equal(srtp_protect(c.pub.tx, old, &n), 0);
	peer_send(&c.pub, old, (uint32_t)n);
	world_walk();
	r.ssrc = 0x888;
	send_rtp(&c.pub, &r);
	world_walk();
	assert_int_equal(dp_slabs.track[2].media[0].ssrc, 0x888);
	peer_send(&c.pub, old, (uint32_t)n);
	world_walk();
	assert_int_equal(world_stat(SH_STAT_drop_srtp_replay), 1);
	assert_int_equal(dp_slabs.track[2].media[0].ssrc, 0x888);
	r.ssrc = 0x777;
	r.seq = 101;
	send_rtp(&c.pub, &r);
	world_walk();
	assert_int_equal(dp_slabs.track[2].media[0].ssrc, 0x777);
	assert_int_equal(count_rtp(&c.sub), 3);
	pair_stop(&c);
}

/* Paused: counted and not sent; then it goes on without a gap, at a key frame. */
static void pause_and_resume(void **state)
{
	struct sh_msg_sub_set s = video_sub;
	struct rtp_out a, b;
	struct pair c;

	pair_start(&c);
	send_video(&c.pub, 1, true);
	world_walk();
	assert_true(peer_take_rtp(&c.sub, &a));
	assert_int_equal(a.hdr.pt, OUT_VP8);
	assert_int_equal(a.hdr.marker, 1);
	s.flags |= SH_SUB_PAUSED;
	world_sub(1, 1, &c.sub, &s);
	send_video(&c.pub, 2, false);
	world_walk();
	assert_int_equal(count_rtp(&c.sub), 0);
	assert_int_equal(world_stat(SH_STAT_drop_sub_paused), 1);
	world_sub(1, 1, &c.sub, &video_sub);
	send_video(&c.pub, 3, false);
	world_walk();
	assert_int_equal(count_rtp(&c.sub), 0);
	world_run(10);
	assert_int_equal(count_rtcp(&c.pub, DP_RTCP_PSFB, DP_RTCP_PSFB_PLI, NULL), 1);
	send_video(&c.pub, 4, true);
	world_walk();
	assert_true(peer_take_rtp(&c.sub, &b));
	assert_int_equal(b.hdr.seq, (uint16_t)(a.hdr.seq + 1));
	assert_int_equal(b.hdr.ts - a.hdr.ts, 3 * 3000);
	pair_stop(&c);
}

static void simulcast(void **state)
{
	struct sh_msg_track_set t = video_track;
	struct sh_msg_sub_set s = video_sub;
	struct rtp_out o;
	struct pair c;
	uint16_t seq;
	uint32_t ts;

	t.layers = 3;
	for (unsigned l = 0; l < 3; l++) {
		t.layer[l].ssrc = 0xd0000000 + l;
		t.layer[l].rtx_ssrc = 0;
		t.layer[l].rid_len = 1;
		t.layer[l].rid[0] = (uint8_t)('a' + l);
	}
	pair_start(&c);
	world_del(SH_DEL_TRACK, world_id(1));
	world_track(2, &c.pub, &t);
	world_sub(2, 2, &c.sub, &s);
	// the low layer's key frame is a picture at once; the best one follows at its own
	send_video_as(&c.pub, 0xd0000000, 10, 1000, true);
	world_walk();
	assert_true(peer_take_rtp(&c.sub, &o));
	seq = o.hdr.seq;
	ts = o.hdr.ts;
	world.now_ns += 33000000;
	send_video_as(&c.pub, 0xd0000000, 11, 4000, false);
	send_video_as(&c.pub, 0xd0000002, 500, 700000, false);
	world_walk();
	assert_true(peer_take_rtp(&c.sub, &o));
	assert_int_equal(o.buf[o.hdr.payload_off + 10], 11);
	assert_false(peer_take_rtp(&c.sub, &o));
	world_run(10);
	assert_true(count_rtcp(&c.pub, DP_RTCP_PSFB, DP_RTCP_PSFB_PLI, NULL) >= 1);
	assert_int_equal(dp_slabs.track[2].media[2].plis_sent, 1);
	world.now_ns += 23000000;
	send_video_as(&c.pub, 0xd0000002, 501, 703000, true);
	send_video_as(&c.pub, 0xd0000000, 12, 7000, false);
	send_video_as(&c.pub, 0xd0000002, 502, 706000, false);
	world_walk();
	assert_true(peer_take_rtp(&c.sub, &o));
	assert_int_equal(o.buf[o.hdr.payload_off + 10], 501 & 0xff);
	assert_int_equal(o.hdr.seq, (uint16_t)(seq + 2));
	assert_in_range(o.hdr.ts - ts, 3000 + 1, 3000 + 4000);
	ts = o.hdr.ts;
	assert_true(peer_take_rtp(&c.sub, &o));
	assert_int_equal(o.hdr.seq, (uint16_t)(seq + 3));
	assert_int_equal(o.hdr.ts, ts + 3000);
	assert_false(peer_take_rtp(&c.sub, &o));
	pair_stop(&c);
}

/* ---- RTCP ---- */

static void send_fb(struct peer *p, void (*put)(struct dp_rtcp_out *, uint32_t), uint32_t media)
{
	uint8_t buf[256];
	struct dp_rtcp_out o = {buf, sizeof(buf), 0};

	dp_rtcp_put_rr(&o, 0x5555, NULL, 0);
	put(&o, media);
	peer_rtcp(p, buf, o.len);
}

static void put_pli(struct dp_rtcp_out *o, uint32_t media)
{
	dp_rtcp_put_pli(o, 0x5555, media);
}

static uint16_t nack_seq;
static void put_nack(struct dp_rtcp_out *o, uint32_t media)
{
	dp_rtcp_put_nack(o, 0x5555, media, &nack_seq, 1);
}

static void pli_throttled(void **state)
{
	struct pair c;

	pair_start(&c);
	send_video(&c.pub, 1, true);
	world_walk();
	for (unsigned i = 0; i < 20; i++) {
		send_fb(&c.sub, put_pli, OUR_VIDEO);
		world_run(25); // 500 ms in all
	}
	assert_int_equal(count_rtcp(&c.pub, DP_RTCP_PSFB, DP_RTCP_PSFB_PLI, NULL), 2);
	assert_int_equal(world_stat(SH_STAT_pli_in), 20);
	assert_int_equal(world_stat(SH_STAT_pli_out), 2);
	assert_true(world_stat(SH_STAT_pli_throttled) > 10);
	send_fb(&c.sub, put_pli, 0x12345); // of nobody
	world_run(400);
	assert_int_equal(world_stat(SH_STAT_pli_in), 20);
	pair_stop(&c);
}

static void nack_answered(void **state)
{
	struct pair c;
	struct rtp_out o[10], again;

	pair_start(&c);
	for (unsigned i = 0; i < 10; i++)
		send_video(&c.pub, (uint16_t)(65530 + i), i == 0);
	world_walk();
	for (unsigned i = 0; i < 10; i++)
		assert_true(peer_take_rtp(&c.sub, &o[i]));
	for (unsigned i = 0; i < 10; i++) {
		nack_seq = o[i].hdr.seq;
		send_fb(&c.sub, put_nack, OUR_VIDEO);
		assert_true(peer_take_rtp(&c.sub, &again));
		assert_int_equal(again.hdr.ssrc, OUR_RTX);
		assert_int_equal(again.hdr.pt, OUT_RTX);
		assert_int_equal(again.hdr.ts, o[i].hdr.ts);
		assert_int_equal(again.hdr.payload_len, o[i].hdr.payload_len + 2);
		assert_int_equal(dp_get16(again.buf + again.hdr.payload_off), o[i].hdr.seq);
		assert_memory_equal(again.buf + again.hdr.payload_off + 2, o[i].buf + o[i].hdr.payload_off,
		                    o[i].hdr.payload_len);
	}
	nack_seq = (uint16_t)(o[9].hdr.seq + 1); // not sent yet
	send_fb(&c.sub, put_nack, OUR_VIDEO);
	nack_seq = (uint16_t)(o[0].hdr.seq - 1); // never sent
	send_fb(&c.sub, put_nack, OUR_VIDEO);
	assert_false(peer_take_rtp(&c.sub, &again));
	assert_int_equal(dp_slabs.sub[1].nack_misses, 2);
	world_run(1200); // too old now
	nack_seq = o[5].hdr.seq;
	send_fb(&c.sub, put_nack, OUR_VIDEO);
	assert_false(peer_take_rtp(&c.sub, &again));
	pair_stop(&c);
}

/* RTX not negotiated: the very same bytes. */
static void nack_answered_plainly(void **state)
{
	struct sh_msg_sub_set s = video_sub;
	uint8_t a[FRAME_MAX], b[FRAME_MAX];
	uint32_t a_len, b_len;
	struct pair c;

	s.rtx_ssrc = 0;
	s.pt[1] = 255;
	pair_start(&c);
	peer_ext(&c.sub, SH_EXT_ABS_SEND_TIME, 4);
	peer_ext(&c.sub, SH_EXT_TWCC, 5);
	world_sub(1, 1, &c.sub, &s);
	send_video(&c.pub, 7, true);
	world_walk();
	assert_true(peer_take_raw(&c.sub, a, &a_len));
	world_run(40);
	nack_seq = dp_get16(a + 2);
	send_fb(&c.sub, put_nack, OUR_VIDEO);
	assert_true(peer_take_raw(&c.sub, b, &b_len));
	assert_int_equal(a_len, b_len);
	assert_memory_equal(a, b, a_len);
	pair_stop(&c);
}

/* A gap from the publisher: asked for, repaired by RTX, passed on in its place; the original then is a duplicate. */
static void nack_upstream(void **state)
{
	struct pair c;
	struct rtp_out first, o;
	struct dp_rtcp_fb fb;
	struct dp_rtcp_nack_iter it;
	uint8_t rtx[902] = {0, 3, 0x10, 0x11};
	uint16_t seq;

	pair_start(&c);
	send_video(&c.pub, 1, true);
	send_video(&c.pub, 2, false);
	send_video(&c.pub, 4, false);
	world_walk();
	assert_true(peer_take_rtp(&c.sub, &first));
	assert_int_equal(count_rtp(&c.sub), 2);
	world_run(30);
	assert_int_equal(count_rtcp(&c.pub, DP_RTCP_RTPFB, DP_RTCP_RTPFB_NACK, &fb) > 0, 1);
	assert_int_equal(fb.media, SSRC_VIDEO);
	assert_int_equal(fb.sender, c.pub.set.rtcp_ssrc);
	assert_int_equal(dp_rtcp_nack_first(&it, &fb), 0);
	assert_true(dp_rtcp_nack_next(&it, &seq));
	assert_int_equal(seq, 3);
	send_rtp(&c.pub, &(struct rtp){.pt = PT_RTX, .seq = 77, .ts = 9000, .ssrc = SSRC_VIDEO_RTX,
	                               .payload = rtx, .len = sizeof(rtx)});
	world_walk();
	assert_true(peer_take_rtp(&c.sub, &o));
	assert_int_equal(o.hdr.seq, (uint16_t)(first.hdr.seq + 2));
	assert_int_equal(o.hdr.pt, OUT_VP8);
	assert_int_equal(o.hdr.ssrc, OUR_VIDEO);
	assert_int_equal(o.hdr.payload_len, 900);
	assert_int_equal(world_stat(SH_STAT_rtx_in), 1);
	assert_int_equal(dp_slabs.track[1].media[0].recovered, 1);
	send_video(&c.pub, 3, false);
	world_walk();
	assert_int_equal(count_rtp(&c.sub), 0);
	send_rtp(&c.pub, &(struct rtp){.pt = PT_RTX, .seq = 78, .ts = 9000, .ssrc = SSRC_VIDEO_RTX,
	                               .payload = rtx, .len = sizeof(rtx)});
	send_rtp(&c.pub, &(struct rtp){.pt = PT_RTX, .seq = 79, .ssrc = SSRC_VIDEO_RTX, .payload = rtx, .len = 0});
	world_walk();
	assert_int_equal(world_stat(SH_STAT_drop_duplicate), 1);
	assert_int_equal(world_stat(SH_STAT_drop_rtx_padding), 1);
	pair_stop(&c);
}

static void reports(void **state)
{
	uint8_t buf[FRAME_MAX];
	uint32_t len, n_sr = 0;
	struct dp_rtcp_out out = {buf, sizeof(buf), 0};
	struct dp_rtcp_sr sr = {.ssrc = SSRC_VIDEO, .packets = 1};
	uint64_t theirs = UINT64_C(0xe000000000000000);
	uint32_t lsr = 0;
	struct pair c;

	pair_start(&c);
	send_video(&c.pub, 10, true);
	world_walk();
	sr.ntp = theirs;
	sr.rtp_ts = 10 * 3000;
	dp_rtcp_put_sr(&out, &sr, NULL, 0);
	peer_rtcp(&c.pub, buf, out.len);
	for (unsigned i = 0; i < 60; i++) {
		world_run(50);
		if (i % 10 == 0)
			send_video(&c.pub, (uint16_t)(11 + i / 10), false);
		while (peer_take_rtcp(&c.sub, buf, &len)) {
			struct dp_rtcp_iter it;
			struct dp_rtcp_pkt k;
			bool cname = false;

			assert_int_equal(dp_rtcp_first(&it, buf, len, 0), 0);
			while (dp_rtcp_next(&it, &k)) {
				const uint8_t *name;
				uint8_t name_len;
				uint32_t ssrc;

				if (k.type == DP_RTCP_SDES && !dp_rtcp_sdes_cname(&ssrc, &name, &name_len, &k))
					cname = true;
				if (k.type != DP_RTCP_SR)
					continue;
				assert_int_equal(dp_rtcp_sr(&sr, &k), 0);
				assert_int_equal(sr.ssrc, OUR_VIDEO);
				// the same clock as the publisher's, moved to our timestamps
				assert_in_range((uint32_t)((world.now_ns - 1000000000000) * 9 / 100000) + 10 * 3000 +
				                dp_slabs.sub[1].ts_offset - sr.rtp_ts, 0, 50 * 90);
				lsr = dp_ntp_mid(sr.ntp);
				n_sr++;
			}
			assert_true(cname);
		}
	}
	assert_in_range(n_sr, 2, 8);
	// the publisher hears about its stream, and when its SR came
	while (peer_take_rtcp(&c.pub, buf, &len)) {
		struct dp_rtcp_iter it;
		struct dp_rtcp_pkt k;
		struct dp_rtcp_block b;
		uint32_t ssrc;

		assert_int_equal(dp_rtcp_first(&it, buf, len, 0), 0);
		assert_true(dp_rtcp_next(&it, &k));
		assert_int_equal(k.type, DP_RTCP_RR);
		assert_int_equal(dp_rtcp_rr(&ssrc, &k), 0);
		if (!k.count)
			continue;
		dp_rtcp_block(&b, &k, 0);
		assert_int_equal(b.ssrc, SSRC_VIDEO);
		assert_int_equal(b.lsr, dp_ntp_mid(theirs));
		assert_int_equal(b.lost, 0);
	}
	// and the subscriber's view comes back to us
	out.len = 0;
	dp_rtcp_put_rr(&out, 0x5555, &(struct dp_rtcp_block){.ssrc = OUR_VIDEO, .lost = 3, .fraction = 9, .jitter = 7,
	                                                      .lsr = lsr, .dlsr = 0}, 1);
	peer_rtcp(&c.sub, buf, out.len);
	assert_int_equal(dp_slabs.sub[1].rr_lost, 3);
	assert_int_equal(dp_slabs.sub[1].rr_fraction, 9);
	assert_true(dp_slabs.sub[1].rr_rtt_us > 0);
	pair_stop(&c);
}

/* ---- many ---- */

static void large_fanout(void **state)
{
	enum { SUBS = 390, PACKETS = 9 };
	struct sh_msg_sub_set s = audio_sub;
	struct rtp_out o;
	struct pair c;
	unsigned n = 0;

	pair_start_on(&c, SH_SRTP_AEAD_AES_128_GCM, 2, false, 0);
	for (unsigned i = 0; i < SUBS; i++) {
		s.ssrc = 0xf0000000 + i;
		world_sub(2 + i, 0, &c.sub, &s);
	}
	for (unsigned i = 0; i < PACKETS; i++)
		send_audio(&c.pub, (uint16_t)i);
	world_walk();
	for (unsigned i = 0; peer_take_rtp(&c.sub, &o); i++)
		n++;
	assert_int_equal(n, PACKETS * (SUBS + 1));
	assert_int_equal(world_stat(SH_STAT_drop_no_mbuf), 0);
	pair_stop(&c);
}

/* More senders than one compound holds: every one of them reports. */
static void many_senders(void **state)
{
	enum { SUBS = 40 };
	struct sh_msg_sub_set s = video_sub;
	uint8_t buf[FRAME_MAX], seen[SUBS] = {0};
	struct pair c;
	uint32_t len;

	pair_start(&c);
	s.rtx_ssrc = 0;
	s.pt[1] = 255;
	for (unsigned i = 0; i < SUBS; i++) {
		s.ssrc = 0xf0000000 + i;
		world_sub(2 + i, 1, &c.sub, &s);
	}
	send_video(&c.pub, 1, true);
	world_run(800);
	while (peer_take_rtcp(&c.sub, buf, &len)) {
		struct dp_rtcp_iter it;
		struct dp_rtcp_pkt k;
		struct dp_rtcp_sr sr;

		assert_int_equal(dp_rtcp_first(&it, buf, len, 0), 0);
		while (dp_rtcp_next(&it, &k))
			if (k.type == DP_RTCP_SR && !dp_rtcp_sr(&sr, &k) && sr.ssrc - 0xf0000000 < SUBS)
				seen[sr.ssrc - 0xf0000000]++;
	}
	for (unsigned i = 0; i < SUBS; i++)
		assert_true(seen[i]);
	pair_stop(&c);
}

static void leaving_frees(void **state)
{
	struct pair c;

	pair_start_on(&c, SH_SRTP_AEAD_AES_128_GCM, 2, false, 0);
	for (unsigned i = 0; i < 50; i++)
		send_video(&c.pub, (uint16_t)i, i == 0);
	world_walk();
	assert_int_equal(count_rtp(&c.sub), 50);
	assert_int_equal(rte_mempool_in_use_count(world.pool), 50);
	world_del(SH_DEL_ENDPOINT, c.pub.id);
	world_run(1);
	send_video(&c.pub, 51, true);
	world_walk();
	assert_int_equal(count_rtp(&c.sub), 0);
	assert_int_equal(world_stat(SH_STAT_drop_unknown_source), 1);
	world_run(1500); // the other worker's history is only aged out
	assert_int_equal(rte_mempool_in_use_count(world.pool), 0);
	pair_stop(&c);
}

static void new_keys_go_on(void **state)
{
	struct pair c;
	struct rtp_out a, b;

	pair_start(&c);
	for (unsigned i = 0; i < 100; i++) {
		send_video(&c.pub, (uint16_t)(65500 + i), i == 0);
		if (i % 50 == 0)
			world_walk();
	}
	world_walk();
	while (peer_take_rtp(&c.sub, &a))
		;
	peer_keys(&c.pub);
	peer_keys(&c.sub);
	for (unsigned i = 100; i < 110; i++)
		send_video(&c.pub, (uint16_t)(65500 + i), i == 105);
	world_walk();
	for (unsigned i = 0; i < 10; i++) {
		assert_true(peer_take_rtp(&c.sub, &b));
		assert_int_equal(b.hdr.seq, (uint16_t)(a.hdr.seq + 1 + i));
	}
	pair_stop(&c);
}

/* kill -9 of the process: sequence numbers, indexes and addresses go on where they were. */
static void restart(void **state)
{
	struct pair c;
	struct rtp_out a, v, b;

	pair_start(&c);
	for (unsigned i = 0; i < 40; i++) {
		send_audio(&c.pub, (uint16_t)(65520 + i));
		send_video(&c.pub, (uint16_t)(500 + i), i == 0);
	}
	world_walk();
	while (peer_take_rtp(&c.sub, &b))
		*(b.hdr.ssrc == OUR_AUDIO ? &a : &v) = b;
	world_restart();
	peer_path(&c.sub);
	world_run(5);
	send_audio(&c.pub, (uint16_t)(65520 + 40));
	send_video(&c.pub, 540, false);
	world_walk();
	for (unsigned i = 0; i < 2; i++) {
		assert_true(peer_take_rtp(&c.sub, &b));
		assert_int_equal(b.hdr.seq, (uint16_t)((b.hdr.ssrc == OUR_AUDIO ? &a : &v)->hdr.seq + 1));
		assert_int_equal(b.hdr.ts - (b.hdr.ssrc == OUR_AUDIO ? &a : &v)->hdr.ts,
		                 b.hdr.ssrc == OUR_AUDIO ? 960 : 3000);
	}
	peer_send(&c.pub, dtls_hello, sizeof(dtls_hello)); // its address is still known
	world_walk();
	assert_int_equal(world.n_punted, 1);
	pair_stop(&c);
}

/* RFC 3550 §6.6 */
static void bye(void **state)
{
	struct pair c;
	uint8_t buf[64];
	uint32_t ssrc = SSRC_VIDEO;
	struct dp_rtcp_out o = {buf, sizeof(buf), 0};

	pair_start(&c);
	send_video(&c.pub, 1, true);
	world_walk();
	assert_int_equal(world.notes[DP_NOTE_TRACK], 1);
	dp_rtcp_put_rr(&o, 0x5555, NULL, 0);
	dp_rtcp_put_bye(&o, &ssrc, 1);
	peer_rtcp(&c.pub, buf, o.len);
	assert_int_equal(world.notes[DP_NOTE_TRACK], 2);
	assert_int_equal(dp_slabs.track[1].media[0].last_at_ns, 0);
	send_video(&c.pub, 2, false);
	world_walk();
	assert_int_equal(world.notes[DP_NOTE_TRACK], 3);
	assert_int_equal(count_rtp(&c.sub), 2);
	world_run(1500);
	assert_int_equal(world.notes[DP_NOTE_TRACK], 4); // silent
	pair_stop(&c);
}

/* A payload type that the subscriber has not leaves no gap in its numbers. */
static void payload_type_without_counterpart(void **state)
{
	struct sh_msg_track_set t = audio_track;
	struct rtp_out a, b;
	struct pair c;

	t.pt[1] = (struct sh_track_pt){126, SH_CODEC_TEL_EVENT, 255, 0, 8000};
	pair_start(&c);
	world_del(SH_DEL_TRACK, world_id(0));
	world_track(2, &c.pub, &t);
	world_sub(2, 2, &c.sub, &audio_sub);
	send_audio(&c.pub, 1);
	for (unsigned i = 0; i < 5; i++)
		send_rtp(&c.pub, &(struct rtp){.pt = 126, .seq = (uint16_t)(2 + i), .ssrc = SSRC_AUDIO,
		                               .payload = (const uint8_t *)"\1\0\0\0", .len = 4});
	send_rtp(&c.pub, &(struct rtp){.pt = 55, .seq = 7, .ssrc = SSRC_AUDIO,
	                               .payload = (const uint8_t *)"x", .len = 1});
	send_audio(&c.pub, 8);
	world_walk();
	assert_true(peer_take_rtp(&c.sub, &a));
	assert_true(peer_take_rtp(&c.sub, &b));
	assert_int_equal(world_stat(SH_STAT_drop_sub_pt), 5);
	assert_int_equal(world_stat(SH_STAT_drop_rtp_pt), 1);
	assert_int_equal(b.hdr.seq, (uint16_t)(a.hdr.seq + 2)); // the unknown one counts as lost
	pair_stop(&c);
}

static uint32_t rnd(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	return (uint32_t)((x ^= x << 17) >> 16);
}

/* A peer with good keys that sends nonsense: nothing breaks, nobody else is hurt, no buffer is lost. */
static void authenticated_nonsense(void **state)
{
	struct pair c;
	uint8_t buf[FRAME_MAX];

	pair_start(&c);
	peer_ext(&c.pub, SH_EXT_MID, 1);
	peer_ext(&c.pub, SH_EXT_RID, 2);
	peer_ext(&c.sub, SH_EXT_MID, 9);
	send_audio(&c.pub, 1000);
	send_video(&c.pub, 1000, true);
	world_walk();
	for (unsigned i = 0; i < 20000; i++) {
		uint32_t len = 12 + rnd() % 200;
		int n = (int)len;
		struct peer *p = rnd() % 4 ? &c.pub : &c.sub;
		bool rtcp = rnd() % 3 == 0;

		for (uint32_t k = 0; k < len; k++)
			buf[k] = (uint8_t)rnd();
		buf[0] = (uint8_t)(0x80 | (rnd() % 8 ? rnd() % 64 : 0));
		if (rtcp) {
			static const uint32_t ssrcs[] = {OUR_AUDIO, OUR_VIDEO, OUR_RTX, SSRC_VIDEO};

			len = (len + 3) & ~3u;
			n = (int)len;
			buf[1] = (uint8_t)(200 + rnd() % 8);
			dp_put16(buf + 2, (uint16_t)(rnd() % 4 ? len / 4 - 1 : rnd() % (len / 4)));
			dp_put32(buf + 8, ssrcs[rnd() % 4]);
			if (srtp_protect_rtcp(p->tx, buf, &n))
				continue;
		} else {
			static const uint8_t pts[] = {PT_OPUS, PT_VP8, PT_RTX, 5};
			static const uint32_t ssrcs[] = {SSRC_AUDIO, SSRC_VIDEO, SSRC_VIDEO_RTX, 0x1234};

			buf[1] = (uint8_t)(pts[rnd() % 4] | (rnd() & 128));
			dp_put16(buf + 2, (uint16_t)(1000 + i)); // so that both ends agree on roll-overs
			dp_put32(buf + 8, ssrcs[rnd() % 4]);
			dp_put16(buf + 12, 0xbede);
			dp_put16(buf + 14, (uint16_t)(rnd() % 12));
			buf[16] = (uint8_t)(rnd() % 3 << 4);
			if (srtp_protect(p->tx, buf, &n))
				continue;
		}
		peer_send(p, buf, (uint32_t)n);
		if (i % 16 == 0) {
			world_run(1);
			world_forget_out();
		}
	}
	world_run(1);
	assert_true(world_stat(SH_STAT_drop_rtp_malformed) > 0);
	assert_true(world_stat(SH_STAT_drop_rtcp_malformed) > 0);
	assert_int_equal(world_stat(SH_STAT_drop_srtp_auth), 0);
	pair_stop(&c);
}

/* Frames of any bytes, and known ones with a few bytes changed. */
static void unauthenticated_nonsense(void **state)
{
	struct pair c;
	uint8_t frame[FRAME_MAX], buf[512];
	uint64_t authentic;

	pair_start(&c);
	send_audio(&c.pub, 1);
	world_walk();
	authentic = dp_slabs.endpoint[0].rx_packets;
	for (unsigned i = 0; i < 20000; i++) {
		uint32_t len = peer_stun(&c.sub, buf, rnd() % 2 ? PEER_NOMINATE : 0, 1);

		if (rnd() % 2) {
			for (uint32_t k = 0; k < len; k++)
				buf[k] = (uint8_t)rnd();
			buf[0] = (uint8_t)(rnd() % 4 ? 0x80 : rnd());
		}
		len = peer_frame(&c.sub, frame, buf, len);
		for (uint32_t k = 1 + rnd() % 6; k; k--)
			frame[rnd() % len] = (uint8_t)rnd();
		world_frame(c.sub.worker, frame, rnd() % 4 ? len : rnd() % (len + 1));
		if (i % 16 == 0) {
			world_walk();
			world_forget_out();
		}
	}
	world_walk();
	assert_int_equal(dp_slabs.endpoint[0].rx_packets, authentic);
	assert_int_equal(dp_slabs.endpoint[1].rx_packets, 0);
	pair_stop(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stun_answers),
		cmocka_unit_test(stun_refusals),
		cmocka_unit_test(stun_flood),
		cmocka_unit_test(stun_wrong_worker),
		cmocka_unit_test(handover),
		cmocka_unit_test(consent),
		cmocka_unit_test(migration),
		cmocka_unit_test(dtls),
		cmocka_unit_test(dtls_down),
		cmocka_unit_test(dtls_flood),
		cmocka_unit_test(forwards),
		cmocka_unit_test(first_vector_wraps),
		cmocka_unit_test(bad_tags_and_replays),
		cmocka_unit_test(no_keys),
		cmocka_unit_test(truncated_frames),
		cmocka_unit_test(extensions),
		cmocka_unit_test(learns_by_mid),
		cmocka_unit_test(retired_ssrc_replayed),
		cmocka_unit_test(pause_and_resume),
		cmocka_unit_test(simulcast),
		cmocka_unit_test(pli_throttled),
		cmocka_unit_test(nack_answered),
		cmocka_unit_test(nack_answered_plainly),
		cmocka_unit_test(nack_upstream),
		cmocka_unit_test(reports),
		cmocka_unit_test(large_fanout),
		cmocka_unit_test(many_senders),
		cmocka_unit_test(leaving_frees),
		cmocka_unit_test(new_keys_go_on),
		cmocka_unit_test(restart),
		cmocka_unit_test(bye),
		cmocka_unit_test(payload_type_without_counterpart),
		cmocka_unit_test(authenticated_nonsense),
		cmocka_unit_test(unauthenticated_nonsense),
	};
	static const struct place places[] = {
		{"ipsec_mb", 1, false, 0},
		{"ipsec_mb", 2, true, 1},
		{"libsrtp2", 2, false, 2},
	};
	int failed = 0;

	if (world_setup())
		return 1;
	for (unsigned i = 0; i < sizeof(places) / sizeof(*places); i++) {
		place = places[i];
		failed += cmocka_run_group_tests(tests, NULL, NULL);
	}
	world_teardown();
	return !!failed;
}
