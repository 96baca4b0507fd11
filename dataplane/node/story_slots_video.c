/* Rooms with slots: who is seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "dataplane/node/frame.h"
#include "dataplane/node/hall.h"
#include "dataplane/speaker.h"

static unsigned plis(unsigned i)
{
	return count_rtcp(&hall.pub[i], DP_RTCP_PSFB, DP_RTCP_PSFB_PLI, NULL);
}

static void show(unsigned i, uint16_t seq, bool key)
{
	send_video_as(&hall.pub[i], SSRC_VIDEO + 16 * i, seq, seq * 3000u + 99999 * i, key);
}

static void video_follows(void **state)
{
	struct rtp_out o, last = {0}, again;
	unsigned n = 0;
	uint16_t lost;

	hall_start(true, 2);
	show(0, 100, true);
	show(1, 200, true);
	world_run(20);
	hall_look();
	assert_int_equal(hall_source(VIDEO_SLOT), PUBS + 0); // first come
	hall.level[1] = 30;
	hall_talk(1000);
	assert_int_equal(hall_source(VIDEO_SLOT), PUBS + 1); // who spoke
	show(1, 201, false);
	world_forget_out();
	world_run(400);
	assert_int_equal(plis(1), 1);
	assert_int_equal(plis(0) + plis(2), 0);
	assert_int_equal(count_rtp(&hall.ear), 0); // not before the key frame
	for (uint16_t i = 0; i < 10; i++)
		show(1, (uint16_t)(202 + i), i == 0);
	world_walk();
	while (peer_take_rtp(&hall.ear, &o)) {
		assert_int_equal(o.hdr.ssrc, OUR_VIDEO);
		assert_int_equal(o.hdr.pt, OUT_VP8);
		assert_true(!n || o.hdr.seq == (uint16_t)(last.hdr.seq + 1));
		last = o;
		n++;
	}
	assert_int_equal(n, 10);
	lost = (uint16_t)(last.hdr.seq - 3);
	send_nack(&hall.ear, OUR_VIDEO, lost);
	assert_true(peer_take_rtp(&hall.ear, &again));
	assert_int_equal(again.hdr.pt, OUT_RTX);
	assert_int_equal(again.hdr.ssrc, OUR_RTX);
	assert_int_equal(dp_get16(again.buf + again.hdr.payload_off), lost);
	assert_int_equal(again.buf[again.hdr.payload_off + 2 + 10], (uint8_t)(211 - 3));

	// the next speaker; what was sent before can still be asked for
	hall.level[1] = 127;
	hall.level[2] = 30;
	for (unsigned t = 0; t < 50 && hall_source(VIDEO_SLOT) != PUBS + 2; t++)
		hall_talk(100);
	assert_int_equal(hall_source(VIDEO_SLOT), PUBS + 2);
	world_forget_out();
	show(2, 7, true);
	show(1, 212, false); // not in the slot any more
	show(2, 8, false);
	world_walk();
	assert_true(peer_take_rtp(&hall.ear, &o));
	assert_int_equal(o.hdr.seq, (uint16_t)(last.hdr.seq + 1));
	assert_true((int32_t)(o.hdr.ts - last.hdr.ts) > 0);
	assert_int_equal(o.buf[o.hdr.payload_off + 10], 7);
	assert_true(peer_take_rtp(&hall.ear, &o));
	assert_int_equal(o.buf[o.hdr.payload_off + 10], 8);
	assert_int_equal(count_rtp(&hall.ear), 0);
	world_run(400);
	world_forget_out();
	send_pli(&hall.ear, OUR_VIDEO);
	world_run(400);
	assert_int_equal(plis(2), 1);
	assert_int_equal(plis(1), 0);

	// nobody sees himself
	hall.level[2] = 127;
	hall.level[0] = 30;
	for (unsigned t = 0; t < 50 && hall_source(VIDEO_SLOT) != PUBS + 0; t++)
		hall_talk(100);
	world_forget_out();
	show(0, 101, true);
	world_walk();
	assert_int_equal(count_rtp(&hall.ear), 1);
	assert_int_equal(count_rtp(&hall.own_ear), 0);
	hall_stop();
}

/* A track of which somebody has a subscription of his own is in the slot too: one packet, two
 * lists, kept once. */
static void pinned_and_followed(void **state)
{
	struct sh_msg_sub_set s = video_sub;
	struct rtp_out o;
	unsigned pinned = 0, followed = 0;

	hall_start(true, 1);
	s.ssrc = 0xd0000001;
	s.rtx_ssrc = 0xd0000002;
	world_sub(20, PUBS + 0, &hall.ear, &s);
	hall_look();
	world_run(100);
	hall_look();
	assert_int_equal(hall_source(VIDEO_SLOT), PUBS + 0);
	for (uint16_t i = 0; i < 20; i++)
		show(0, (uint16_t)(10 + i), i == 0);
	world_walk();
	while (peer_take_rtp(&hall.ear, &o)) {
		pinned += o.hdr.ssrc == 0xd0000001;
		followed += o.hdr.ssrc == OUR_VIDEO;
	}
	assert_int_equal(pinned, 20);
	assert_int_equal(followed, 20);
	assert_int_equal(dp_node(world.w[place.workers - 1])->kept_head, 20);
	assert_int_equal(dp_watched_layers(PUBS + 0), 1);
	assert_int_equal(dp_watched_layers(PUBS + 1), 0); // nobody's
	world_del(SH_DEL_SUB, world_id(20));
	assert_int_equal(dp_watched_layers(PUBS + 0), 1);
	hall_stop();
}

static void pictures_move(void **state)
{
	struct rtp_out o, last = {0};
	uint16_t lost;

	hall_start(true, 2);
	world_slot(VIDEO_SLOT + 1, GROUP, 1, &hall_video_slot);
	show(0, 100, true);
	show(1, 200, true);
	world_run(20);
	hall_look();
	assert_int_equal(hall_source(VIDEO_SLOT), PUBS + 0);
	assert_int_equal(hall_source(VIDEO_SLOT + 1), PUBS + 1);
	world_forget_out();
	show(0, 101, true);
	show(0, 102, false);
	world_walk();
	while (peer_take_rtp(&hall.ear, &o))
		last = o;
	world_run(20);
	world_forget_out();
	world_sub(8, VIDEO_SLOT + 1, &hall.ear, &hall_video_sub);
	show(0, 103, false);
	show(1, 201, false);
	world_run(400);
	assert_int_equal(count_rtp(&hall.ear), 0); // not before the key frame, which it asks for
	assert_int_equal(plis(1), 1);
	show(1, 202, true);
	show(1, 203, false);
	world_walk();
	for (unsigned i = 0; i < 2; i++) {
		assert_true(peer_take_rtp(&hall.ear, &o));
		assert_int_equal(o.hdr.ssrc, OUR_VIDEO);
		assert_int_equal(o.hdr.seq, (uint16_t)(last.hdr.seq + 1));
		assert_true((int32_t)(o.hdr.ts - last.hdr.ts) > 0);
		last = o;
	}
	lost = (uint16_t)(last.hdr.seq - 2); // of before
	send_nack(&hall.ear, OUR_VIDEO, lost);
	assert_true(peer_take_rtp(&hall.ear, &o));
	assert_int_equal(o.hdr.ssrc, OUR_RTX);
	assert_int_equal(dp_get16(o.buf + o.hdr.payload_off), lost);
	hall_stop();
}

/* Frames of 33 ms for so long, of the layers that are sent; a key frame when one is asked for,
 * 100 ms later. Returns when a picture came to the listener, ms; or ms. */
static unsigned film(unsigned i, unsigned layers, uint16_t *seq, unsigned ms)
{
	unsigned came = ms, key_at = UINT32_MAX;

	for (unsigned t = 0; t < ms; t += 33) {
		for (unsigned l = 0; l < layers; l++)
			send_video_as(&hall.pub[i], SSRC_VIDEO + 16 * i + 0x1000 * l, *seq,
			              *seq * 3000u, t >= key_at);
		++*seq;
		key_at = t >= key_at ? UINT32_MAX : key_at;
		world_run(33);
		hall_look();
		if (plis(i) && key_at == UINT32_MAX)
			key_at = t + 100;
		if (count_rtp(&hall.ear) && came == ms)
			came = t;
		world_forget_out();
	}
	return came;
}

/* What a slot shows comes back with another dataplane, though nobody at either end says anything:
 * it begins as after a change of sources, so a key frame is asked for. */
static void picture_comes_back(void **state)
{
	for (unsigned layers = 1; layers <= 3; layers += 2) {
		struct sh_msg_track_set t = video_track;
		uint16_t seq = 65500;

		hall_start(true, 1);
		world_del(SH_DEL_TRACK, world_id(PUBS + 3));
		t.group = GROUP;
		t.flags |= SH_TRACK_FOLLOW;
		t.layers = (uint8_t)layers;
		for (unsigned l = 0; l < layers; l++)
			t.layer[l].ssrc = SSRC_VIDEO + 16 * 3 + 0x1000 * l;
		t.layer[0].rtx_ssrc = 0;
		world_track(14, &hall.pub[3], &t);
		hall.level[3] = 30;
		hall_talk(3000);
		assert_int_equal(hall_source(VIDEO_SLOT), 14);
		world_forget_out();
		assert_in_range(film(3, layers, &seq, 3000), 0, 1000);
		dp_speakers_free();
		world_restart();
		assert_int_equal(dp_speakers_init(), 0);
		for (unsigned i = 0; i < PUBS; i++)
			peer_path(&hall.pub[i]);
		peer_path(&hall.ear);
		peer_path(&hall.own_ear);
		assert_int_equal(hall_source(VIDEO_SLOT), 14);
		assert_in_range(film(3, layers, &seq, 3000), 100, 300); // with the key frame
		hall_stop();
	}
}

int stories_slots_video(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(video_follows),
	    cmocka_unit_test(pinned_and_followed),
	    cmocka_unit_test(pictures_move),
	    cmocka_unit_test(picture_comes_back),
	};

	return cmocka_run_group_tests_name("slots video", tests, NULL, NULL);
}
