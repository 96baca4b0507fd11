/* How video begins for one whose link (narrow.h) nobody knows yet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/node/layer.h"
#include "dataplane/node/narrow.h"

/* A picture of one layer, 1.5 Mb/s, whose cost is known by now, comes to be wanted by one whose link
 * nobody knows: its key frame takes a while, and is not there before the allocator was. */
static void begin_with(struct narrow *k, const struct sh_msg_sub_set *like, bool sound,
                       bool answers)
{
	static const uint32_t bytes[] = {7500};
	struct sh_msg_sub_set s = *like;

	narrow_publish(k, SH_EP_TWCC, 1, bytes);
	k->mute = !sound;
	k->feedback = answers;
	if (!sound)
		world_del(SH_DEL_SUB, world_id(0));
	s.flags |= SH_SUB_PAUSED;
	world_sub(2, 2, &k->c.sub, &s);
	k->bps = 20000000;
	narrow_run(k, 3000);
	assert_int_equal(k->video, 0);
	s.flags = like->flags;
	k->busy = true;
	world_sub(2, 2, &k->c.sub, &s);
	narrow_run(k, 300);
	k->busy = false;
}

/* No microphone, so nothing is sent that could be answered, if not padding. */
static void newcomer(void **state)
{
	static struct narrow k;

	begin_with(&k, &video_sub, false, true);
	assert_true(k.padding > 20);
	narrow_run(&k, 1700);
	narrow_run(&k, 1000);
	assert_true(k.video >= 24 * 8);
	assert_false(k.gap);
	assert_true(narrow_bwe()->estimate_bps > 1600000);
	pair_stop(&k.c);
}

/* The same to one that answers nothing: it is left alone, and has its picture. */
static void newcomer_says_nothing(void **state)
{
	static struct narrow k;

	begin_with(&k, &video_sub, false, false);
	narrow_run(&k, 3000);
	for (unsigned i = 0; i < 3; i++) {
		narrow_run(&k, 60000);
		assert_in_range(narrow_bwe()->probes, 1, 8);
		assert_true(k.video >= 60 * 24 * 8);
	}
	assert_int_equal(k.padding, 0);
	assert_int_equal(narrow_bwe()->feedbacks, 0);
	pair_stop(&k.c);
}

static struct sh_msg_sub_set without_rtx(uint8_t flags)
{
	struct sh_msg_sub_set s = video_sub;

	s.rtx_ssrc = 0;
	s.pt[1] = 255;
	s.flags = flags;
	return s;
}

/* Nothing to pad with: the picture itself shows what the link has. With NACK and no RTX it carries
 * no transport-wide numbers either. */
static void newcomer_without_rtx(void **state)
{
	for (unsigned nack = 0; nack < 2; nack++) {
		static struct narrow k;
		struct sh_msg_sub_set s = without_rtx(nack ? SH_SUB_NACK : 0);

		begin_with(&k, &s, false, true);
		narrow_run(&k, 700);
		narrow_run(&k, 1000);
		assert_true(k.video >= 24 * 8);
		narrow_run(&k, 20000);
		assert_true(k.video >= 20 * 24 * 8);
		assert_false(k.gap);
		assert_int_equal(k.padding, 0);
		assert_true(nack || narrow_bwe()->estimate_bps > 1400000);
		pair_stop(&k.c);
	}
}

/* On a link that has not enough it is taken away within a second, and tried once in 10 s or less;
 * the sound goes on. */
static void newcomer_does_not_fit(void **state)
{
	for (unsigned nack = 0; nack < 2; nack++) {
		static struct narrow k;
		struct sh_msg_sub_set s = without_rtx(nack ? SH_SUB_NACK : 0);
		uint64_t tried = 0;

		begin_with(&k, &s, true, true);
		k.bps = 300000;
		narrow_run(&k, 1000);
		assert_int_equal(dp_slabs.sub[2].want_layer, DP_LAYER_NONE);
		assert_true(k.video > 0);
		for (unsigned i = 0; i < 29; i++) {
			narrow_run(&k, 1000);
			tried += k.video > 0;
		}
		assert_in_range(tried, 1, 5);
		pair_stop(&k.c);
	}
}

int stories_start(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(newcomer),
	    cmocka_unit_test(newcomer_says_nothing),
	    cmocka_unit_test(newcomer_without_rtx),
	    cmocka_unit_test(newcomer_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
