/* RTCP: key frames, losses, reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/node/frame.h"
#include "dataplane/node/story.h"
#include "dataplane/rtp/speaker.h"

static void pli_throttled(void **state)
{
	struct pair c;

	pair_start(&c);
	send_video(&c.pub, 1, true);
	world_walk();
	for (unsigned i = 0; i < 20; i++) {
		send_pli(&c.sub, OUR_VIDEO);
		world_run(25); // 500 ms in all
	}
	assert_int_equal(count_rtcp(&c.pub, DP_RTCP_PSFB, DP_RTCP_PSFB_PLI, NULL), 2);
	assert_int_equal(world_stat(SH_STAT_pli_in), 20);
	assert_int_equal(world_stat(SH_STAT_pli_out), 2);
	assert_true(world_stat(SH_STAT_pli_throttled) > 10);
	send_pli(&c.sub, 0x12345); // of nobody
	world_run(400);
	assert_int_equal(world_stat(SH_STAT_pli_in), 20);
	pair_stop(&c);
}

/* RFC 5104 §4.3.1: a command that is repeated is one command, until a key frame has come in vain.
 */
static void fir_commands(void **state)
{
	struct sh_msg_track_set t = video_track;
	struct dp_rtcp_fb fb;
	struct pair c;
	uint32_t ssrc;
	uint8_t first, seq;

	t.flags = SH_TRACK_FIR;
	pair_start(&c);
	world_track(1, &c.pub, &t);
	send_video(&c.pub, 1, true);
	world_run(400);
	send_fir(&c.sub, OUR_VIDEO, 7);
	world_run(30);
	assert_int_equal(count_rtcp(&c.pub, DP_RTCP_PSFB, DP_RTCP_PSFB_FIR, &fb), 1);
	dp_rtcp_fir(&ssrc, &first, &fb, 0);
	assert_int_equal(ssrc, SSRC_VIDEO);
	world_run(400);
	send_fir(&c.sub, OUR_VIDEO, 7); // no key frame yet: ours may be lost, and is repeated
	world_run(30);
	assert_int_equal(count_rtcp(&c.pub, DP_RTCP_PSFB, DP_RTCP_PSFB_FIR, &fb), 1);
	dp_rtcp_fir(&ssrc, &seq, &fb, 0);
	assert_int_equal(seq, first);
	assert_int_equal(world_stat(SH_STAT_fir_repeated), 1);
	send_video(&c.pub, 2, true);
	world_run(400);
	send_fir(&c.sub, OUR_VIDEO, 7); // came before the key frame did
	world_run(400);
	assert_int_equal(count_rtcp(&c.pub, DP_RTCP_PSFB, DP_RTCP_PSFB_FIR, &fb), 0);
	send_fir(&c.sub, OUR_VIDEO, 8);
	world_run(30);
	assert_int_equal(count_rtcp(&c.pub, DP_RTCP_PSFB, DP_RTCP_PSFB_FIR, &fb), 1);
	dp_rtcp_fir(&ssrc, &seq, &fb, 0);
	assert_int_equal(seq, (uint8_t)(first + 1));
	pair_stop(&c);
}

/* Asked for again before our answer could be there: once is enough. */
static void nack_repeated(void **state)
{
	struct pair c;
	struct rtp_out o;

	pair_start(&c);
	send_video(&c.pub, 1, true);
	send_video(&c.pub, 2, false);
	world_walk();
	assert_true(peer_take_rtp(&c.sub, &o));
	assert_int_equal(count_rtp(&c.sub), 1);
	dp_slabs.sub[1].rr_rtt_us = 80000;
	for (unsigned i = 0; i < 10; i++) { // at 0, 10 … 90 ms
		send_nack(&c.sub, OUR_VIDEO, o.hdr.seq);
		world_run(10);
	}
	assert_int_equal(count_rtp(&c.sub), 2);
	assert_int_equal(world_stat(SH_STAT_nack_repeated), 8);
	assert_int_equal(dp_slabs.sub[1].nack_misses, 0);
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
		send_nack(&c.sub, OUR_VIDEO, o[i].hdr.seq);
		assert_true(peer_take_rtp(&c.sub, &again));
		assert_int_equal(again.hdr.ssrc, OUR_RTX);
		assert_int_equal(again.hdr.pt, OUT_RTX);
		assert_int_equal(again.hdr.ts, o[i].hdr.ts);
		assert_int_equal(again.hdr.payload_len, o[i].hdr.payload_len + 2);
		assert_int_equal(dp_get16(again.buf + again.hdr.payload_off), o[i].hdr.seq);
		assert_memory_equal(again.buf + again.hdr.payload_off + 2,
		                    o[i].buf + o[i].hdr.payload_off, o[i].hdr.payload_len);
	}
	send_nack(&c.sub, OUR_VIDEO, (uint16_t)(o[9].hdr.seq + 1)); // not sent yet
	send_nack(&c.sub, OUR_VIDEO, (uint16_t)(o[0].hdr.seq - 1)); // never sent
	assert_false(peer_take_rtp(&c.sub, &again));
	assert_int_equal(dp_slabs.sub[1].nack_misses, 2);
	world_run(1200); // too old now
	send_nack(&c.sub, OUR_VIDEO, o[5].hdr.seq);
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
	send_nack(&c.sub, OUR_VIDEO, dp_get16(a + 2));
	assert_true(peer_take_raw(&c.sub, b, &b_len));
	assert_int_equal(a_len, b_len);
	assert_memory_equal(a, b, a_len);
	pair_stop(&c);
}

/* A gap from the publisher: asked for, repaired by RTX, passed on in its place; the original then
 * is a duplicate. */
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
	send_rtp(&c.pub, &(struct rtp){.pt = PT_RTX,
	                               .seq = 77,
	                               .ts = 9000,
	                               .ssrc = SSRC_VIDEO_RTX,
	                               .payload = rtx,
	                               .len = sizeof(rtx)});
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
	send_rtp(&c.pub, &(struct rtp){.pt = PT_RTX,
	                               .seq = 78,
	                               .ts = 9000,
	                               .ssrc = SSRC_VIDEO_RTX,
	                               .payload = rtx,
	                               .len = sizeof(rtx)});
	send_rtp(&c.pub,
	         &(struct rtp){
	             .pt = PT_RTX, .seq = 79, .ssrc = SSRC_VIDEO_RTX, .payload = rtx, .len = 0});
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

				if (k.type == DP_RTCP_SDES &&
				    !dp_rtcp_sdes_cname(&ssrc, &name, &name_len, &k))
					cname = true;
				if (k.type != DP_RTCP_SR)
					continue;
				assert_int_equal(dp_rtcp_sr(&sr, &k), 0);
				assert_int_equal(sr.ssrc, OUR_VIDEO);
				// the same clock as the publisher's, moved to our timestamps
				assert_in_range(
				    (uint32_t)((world.now_ns - 1000000000000) * 9 / 100000) +
				        10 * 3000 + dp_slabs.sub[1].ts_offset - sr.rtp_ts,
				    0, 50 * 90);
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
	dp_rtcp_put_rr(
	    &out, 0x5555,
	    &(struct dp_rtcp_block){
	        .ssrc = OUR_VIDEO, .lost = 3, .fraction = 9, .jitter = 7, .lsr = lsr, .dlsr = 0},
	    1);
	peer_rtcp(&c.sub, buf, out.len);
	assert_int_equal(dp_slabs.sub[1].rr_lost, 3);
	assert_int_equal(dp_slabs.sub[1].rr_fraction, 9);
	assert_true(dp_slabs.sub[1].rr_rtt_us > 0);
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
			if (k.type == DP_RTCP_SR && !dp_rtcp_sr(&sr, &k) &&
			    sr.ssrc - 0xf0000000 < SUBS)
				seen[sr.ssrc - 0xf0000000]++;
	}
	for (unsigned i = 0; i < SUBS; i++)
		assert_true(seen[i]);
	pair_stop(&c);
}

/* Opus in DTX: a packet each 400 ms, numbers without a gap (RFC 7587 §3.1.3). No loss to ask for,
 * no silence of the track, and time goes on as it does at the publisher. */
static void dtx_is_no_loss(void **state)
{
	struct sh_msg_track_set t = audio_track;
	struct rtp_out o, last = {0};
	struct pair c;
	uint32_t ts = 1000;

	pair_start(&c);
	t.flags |= SH_TRACK_NACK;
	world_track(0, &c.pub, &t);
	for (uint16_t i = 0; i < 100; i++) {
		bool dtx = i >= 40 && i < 60;

		send_rtp(&c.pub, &(struct rtp){.pt = PT_OPUS,
		                               .seq = i,
		                               .ts = ts,
		                               .ssrc = SSRC_AUDIO,
		                               .payload = (const uint8_t *)"opus payload",
		                               .len = dtx ? 1 : 12});
		world_run(dtx ? 400 : 20);
		assert_true(peer_take_rtp(&c.sub, &o));
		assert_false(peer_take_rtp(&c.sub, &last));
		assert_true(!i || o.hdr.ts == last.hdr.ts + (i > 40 && i <= 60 ? 19200u : 960u));
		assert_true(!i || o.hdr.seq == (uint16_t)(last.hdr.seq + 1));
		assert_int_equal(o.hdr.payload_len, dtx ? 1 : 12);
		last = o;
		ts += dtx ? 19200 : 960;
		assert_true(dp_node(world.w[0])->track[0].alive & 1);
		if (i > 50 && i < 60)
			assert_true(dp_slabs.track[0].level > DP_LEVEL_UNTOLD); // silent
	}
	assert_int_equal(count_rtcp(&c.pub, DP_RTCP_RTPFB, DP_RTCP_RTPFB_NACK, NULL), 0);
	assert_int_equal(dp_slabs.track[0].media[0].max_ext_seq -
	                     dp_slabs.track[0].media[0].base_ext_seq + 1,
	                 dp_slabs.track[0].media[0].received);
	pair_stop(&c);
}

int stories_rtcp(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pli_throttled),
	    cmocka_unit_test(fir_commands),
	    cmocka_unit_test(nack_repeated),
	    cmocka_unit_test(nack_answered),
	    cmocka_unit_test(nack_answered_plainly),
	    cmocka_unit_test(nack_upstream),
	    cmocka_unit_test(dtx_is_no_loss),
	    cmocka_unit_test(reports),
	    cmocka_unit_test(bye),
	    cmocka_unit_test(many_senders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
