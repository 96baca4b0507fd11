/* Bandwidth: a subscriber behind a narrow link (narrow.h), his layers, and packets that wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/node/layer.h"
#include "dataplane/node/link.h"
#include "dataplane/node/narrow.h"

/* 5 Mb/s, then 500 kb/s, then 5 Mb/s again. */
static void follows_the_link(void **state)
{
	static struct narrow k;

	narrow_subscribe(&k, SH_EP_TWCC);
	k.bps = 5000000;
	narrow_run(&k, 15000);
	assert_int_equal(dp_slabs.sub[2].layer, 2);
	assert_true(narrow_bwe()->estimate_bps > 1700000);
	assert_true(narrow_bwe()->feedbacks > 100);
	assert_in_range(narrow_bwe()->rtt_us, DELAY_MS * 1000, DELAY_MS * 5000);
	assert_true(world_stat(SH_STAT_twcc_in) > 100);

	k.bps = 500000;
	narrow_run(&k, 10000);
	narrow_run(&k, 5000);
	assert_true(dp_slabs.sub[2].layer < 2);
	assert_in_range(narrow_bwe()->estimate_bps, 200000, 600000);
	assert_true(k.lost < 20);
	assert_true(k.worst_queue_ns < 200000000);
	assert_false(k.gap); // nothing was dropped between us and the link
	assert_true(k.arrived > 150000 / 8 * 5);

	k.bps = 5000000;
	narrow_run(&k, 20000);
	narrow_run(&k, 2000);
	assert_int_equal(dp_slabs.sub[2].layer, 2);
	assert_false(k.gap);
	assert_true(world_stat(SH_STAT_probes) > 0);
	assert_true(world_stat(SH_STAT_padding_bytes) > 0);
	assert_true(narrow_bwe()->probes > 0);
	assert_int_equal(world_stat(SH_STAT_drop_pace_full), 0);
	assert_int_equal(world_stat(SH_STAT_drop_pace_late), 0);
	pair_stop(&k.c);
}

/* Not enough for the lowest layer: the video is paused, the audio is not, and it resumes. */
static void pauses_video(void **state)
{
	static struct narrow k;

	narrow_subscribe(&k, SH_EP_TWCC);
	k.bps = 100000;
	narrow_run(&k, 20000);
	assert_int_equal(dp_slabs.sub[2].want_layer, DP_LAYER_NONE);
	narrow_run(&k, 1000);
	assert_int_equal(k.video, 0);
	assert_int_equal(k.audio_out, 50);
	assert_int_equal(k.lost, 0);
	k.bps = 2000000;
	narrow_run(&k, 40000);
	narrow_run(&k, 1000);
	assert_int_not_equal(dp_slabs.sub[2].want_layer, DP_LAYER_NONE);
	assert_true(k.video > 20);
	pair_stop(&k.c);
}

/* Nothing negotiated: all that it wants, at once, and no word of bandwidth. */
static void without_feedback(void **state)
{
	static struct narrow k;

	narrow_subscribe(&k, 0);
	k.bps = 300000;
	narrow_run(&k, 3000);
	assert_int_equal(dp_slabs.endpoint[1].linked, 0);
	assert_int_equal(dp_slabs.sub[2].layer, 2);
	assert_int_equal(narrow_bwe()->estimate_bps, 0);
	assert_int_equal(world_stat(SH_STAT_pace_queued), 0);
	assert_int_equal(world_stat(SH_STAT_probes), 0);
	pair_stop(&k.c);
}

/* Who asks for a size gets that size, with or without an estimate. */
static void sizes(void **state)
{
	static const uint8_t flags[] = {0, SH_EP_TWCC};

	for (unsigned how = 0; how < 2; how++) {
		static struct narrow k;
		struct sh_msg_sub_set s = video_sub;

		narrow_subscribe(&k, flags[how]);
		s.max_temporal = SH_MAX_TEMPORAL - 1;
		s.want_height = 300;
		world_sub(2, 2, &k.c.sub, &s);
		narrow_run(&k, 8000);
		assert_int_equal(dp_slabs.sub[2].layer, 1);
		s.want_height = 0;
		world_sub(2, 2, &k.c.sub, &s);
		narrow_run(&k, 5000);
		assert_int_equal(dp_slabs.sub[2].layer, 2);
		pair_stop(&k.c);
	}
}

static void tell_remb(struct narrow *k, uint64_t bps)
{
	uint32_t ssrc = OUR_VIDEO;
	uint8_t buf[200];
	struct dp_rtcp_out o = {buf, sizeof(buf), 0};

	dp_rtcp_put_rr(&o, 0x5555, NULL, 0);
	dp_rtcp_put_remb(&o, 0x5555, bps, &ssrc, 1);
	peer_rtcp(&k->c.sub, buf, o.len);
}

static void remb_is_the_estimate(void **state)
{
	static struct narrow k;

	narrow_subscribe(&k, SH_EP_REMB);
	for (unsigned s = 0; s < 5; s++) {
		narrow_run(&k, 1000);
		tell_remb(&k, 400000);
	}
	narrow_run(&k, 1000);
	assert_int_equal(dp_slabs.sub[2].layer, 0);
	assert_in_range(narrow_bwe()->estimate_bps, 300000, 400000);
	assert_in_range(narrow_bwe()->remb_bps, 390000, 400000);
	assert_true(world_stat(SH_STAT_remb_in) >= 5);
	for (unsigned s = 0; s < 8; s++) {
		tell_remb(&k, 3000000);
		narrow_run(&k, 1000);
	}
	assert_int_equal(dp_slabs.sub[2].layer, 2);
	pair_stop(&k.c);
}

/* With transport-wide feedback of a fast link, REMB is a cap. */
static void remb_caps(void **state)
{
	static struct narrow k;

	narrow_subscribe(&k, SH_EP_TWCC | SH_EP_REMB);
	for (unsigned s = 0; s < 10; s++) {
		tell_remb(&k, 400000);
		narrow_run(&k, 1000);
	}
	assert_int_equal(dp_slabs.sub[2].layer, 0);
	assert_true(narrow_bwe()->estimate_bps <= 400000);
	pair_stop(&k.c);
}

/* A frame of so many packets of the layer that is being sent. */
static void send_burst(struct narrow *k, unsigned packets)
{
	unsigned l = dp_slabs.sub[2].layer;

	assert_true(l < LAYERS);
	for (unsigned i = 0; i < packets; i++)
		send_video_as(&k->c.pub, LAYER_SSRC + l, k->seq[l]++, k->ts, i == 0);
	world_walk();
}

/* A big key frame leaves bit by bit, in order and without a gap; audio passes it. */
static void paces(void **state)
{
	static struct narrow k;
	uint32_t first, spread = 0;

	narrow_subscribe(&k, SH_EP_TWCC);
	narrow_run(&k, 300);
	narrow_clear(&k);
	send_burst(&k, 40);
	narrow_onto(&k);
	first = (uint32_t)k.video;
	assert_in_range(first, 1, 12);
	assert_true(world_stat(SH_STAT_pace_queued) > 20);
	send_audio(&k.c.pub, k.audio_seq++);
	world_walk();
	narrow_onto(&k);
	assert_int_equal(k.audio_out, 1);
	for (unsigned ms = 0; ms < 400; ms++) {
		uint64_t before = k.video;

		world_run(1);
		narrow_onto(&k);
		spread += k.video != before;
		assert_true(k.video - before <= 8);
	}
	assert_true(spread > 20);
	assert_true(k.video >= 40);
	assert_false(k.gap);
	assert_int_equal(world_stat(SH_STAT_drop_pace_late), 0);
	pair_stop(&k.c);
}

/* Whoever goes while packets wait takes them along. */
static void goes_with_a_queue(void **state)
{
	for (unsigned how = 0; how < 4; how++) {
		static struct narrow k;

		narrow_subscribe(&k, SH_EP_TWCC);
		narrow_run(&k, 300);
		send_burst(&k, 60);
		assert_true(world_stat(SH_STAT_pace_queued) > 20);
		if (how == 0)
			world_del(SH_DEL_ENDPOINT, k.c.sub.id);
		if (how == 1)
			world_del(SH_DEL_SUB, world_id(2));
		if (how == 2)
			world_del(SH_DEL_TRACK, world_id(2));
		if (how == 3)
			world_restart();
		world_run(how ? 1500 : 3);
		if (how == 0)
			assert_int_equal(dp_slabs.endpoint[1].linked, 0);
		if (how == 3) // another process, the same endpoint: it has a link again
			assert_int_equal(dp_slabs.endpoint[1].linked, k.c.sub.id);
		pair_stop(&k.c);
	}
}

/* Another process begins where the one before it ended: the link is still what it was. */
static void restarts_where_it_was(void **state)
{
	static struct narrow k;
	uint64_t before;

	narrow_subscribe(&k, SH_EP_TWCC);
	k.bps = 5000000;
	narrow_run(&k, 15000);
	assert_int_equal(dp_slabs.sub[2].layer, 2);
	narrow_run(&k, 2000);
	before = k.video;
	world_restart();
	peer_path(&k.c.pub);
	peer_path(&k.c.sub);
	narrow_run(&k, 2000);
	assert_int_equal(dp_slabs.sub[2].layer, 2);
	assert_true(k.video > before * 9 / 10);
	assert_false(k.gap);
	assert_true(narrow_bwe()->estimate_bps > 1700000);
	pair_stop(&k.c);
}

/* The worker did not come to it for long: what waited is worthless, the next key frame is not. */
static void too_old(void **state)
{
	static struct narrow k;

	narrow_subscribe(&k, SH_EP_TWCC);
	narrow_run(&k, 300);
	send_burst(&k, 60);
	narrow_onto(&k);
	world.now_ns += 2000000000;
	world_run(2);
	assert_true(world_stat(SH_STAT_drop_pace_late) > 10);
	narrow_onto(&k);
	k.key = 0;
	narrow_run(&k, 3000);
	assert_true(k.video > 20);
	assert_false(k.gap);
	pair_stop(&k.c);
}

/* No estimate any more: layers and packets as they come. */
static void feedback_no_longer_agreed(void **state)
{
	static struct narrow k;

	narrow_subscribe(&k, SH_EP_TWCC);
	k.bps = 300000;
	narrow_run(&k, 8000);
	assert_true(dp_slabs.sub[2].layer < 2);
	k.c.sub.set.flags = 0;
	peer_ext(&k.c.sub, SH_EXT_TWCC, 0);
	k.feedback = false;
	k.bps = 0;
	narrow_run(&k, 3000);
	assert_int_equal(dp_slabs.endpoint[1].linked, 0);
	assert_int_equal(narrow_bwe()->estimate_bps, 0);
	assert_int_equal(dp_slabs.sub[2].layer, 2);
	pair_stop(&k.c);
}

int stories_bwe(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_feedback),
	    cmocka_unit_test(sizes),
	    cmocka_unit_test(follows_the_link),
	    cmocka_unit_test(pauses_video),
	    cmocka_unit_test(remb_is_the_estimate),
	    cmocka_unit_test(remb_caps),
	    cmocka_unit_test(paces),
	    cmocka_unit_test(goes_with_a_queue),
	    cmocka_unit_test(restarts_where_it_was),
	    cmocka_unit_test(too_old),
	    cmocka_unit_test(feedback_no_longer_agreed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
