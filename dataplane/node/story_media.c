/* RTP: from a publisher to a subscriber, and all that must not get through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/node/frame.h"
#include "dataplane/node/story.h"

static void check_audio(struct peer *sub, const struct rtp_out *o, const struct rtp_out *first,
                        unsigned i)
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
	uint32_t len = make_rtp(rtp, &(struct rtp){.pt = PT_OPUS,
	                                           .seq = 10,
	                                           .ssrc = SSRC_AUDIO,
	                                           .ts = 5,
	                                           .payload = (const uint8_t *)"x",
	                                           .len = 1});

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
	static const uint8_t ext[] = {0x30, 0x55, 0x10, '0', 0xd0,
	                              0x7f, 0,    0}; // id 3: level; id 1: mid; id 13: unknown
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
		send_rtp(&c.pub, &(struct rtp){.pt = PT_OPUS,
		                               .seq = (uint16_t)(1 + i),
		                               .ssrc = SSRC_AUDIO,
		                               .ext = ext,
		                               .ext_len = sizeof(ext),
		                               .payload = (const uint8_t *)"p",
		                               .len = 1});
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
	struct rtp r = {.pt = PT_VP8,
	                .seq = 100,
	                .ssrc = 0x777,
	                .ext = ext,
	                .ext_len = 4,
	                .payload = key,
	                .len = 40};

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
	struct rtp r = {.pt = PT_OPUS,
	                .seq = 100,
	                .ssrc = 0x777,
	                .ext = ext,
	                .ext_len = 4,
	                .payload = (const uint8_t *)"a",
	                .len = 1};

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
		send_rtp(&c.pub, &(struct rtp){.pt = 126,
		                               .seq = (uint16_t)(2 + i),
		                               .ssrc = SSRC_AUDIO,
		                               .payload = (const uint8_t *)"\1\0\0\0",
		                               .len = 4});
	send_rtp(
	    &c.pub,
	    &(struct rtp){
	        .pt = 55, .seq = 7, .ssrc = SSRC_AUDIO, .payload = (const uint8_t *)"x", .len = 1});
	send_audio(&c.pub, 8);
	world_walk();
	assert_true(peer_take_rtp(&c.sub, &a));
	assert_true(peer_take_rtp(&c.sub, &b));
	assert_int_equal(world_stat(SH_STAT_drop_sub_pt), 5);
	assert_int_equal(world_stat(SH_STAT_drop_rtp_pt), 1);
	assert_int_equal(b.hdr.seq, (uint16_t)(a.hdr.seq + 2)); // the unknown one counts as lost
	pair_stop(&c);
}

int stories_media(void)
{
	const struct CMUnitTest tests[] = {
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
	    cmocka_unit_test(payload_type_without_counterpart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
