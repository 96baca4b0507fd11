/* Rooms with slots: who is heard. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/node/hall.h"
#include "dataplane/speaker.h"
#include "dataplane/table/group.h"

static void loudest_are_heard(void **state)
{
	struct heard h = {0}, own = {0};

	hall_start(false, 2);
	hall_talk(100);
	assert_int_equal(hall_source(AUDIO_SLOT), 0); // first come
	assert_int_equal(hall_source(AUDIO_SLOT + 1), 1);
	hall.level[3] = 30;
	hall.level[4] = 35;
	hall_talk(600);
	assert_true((hall_source(AUDIO_SLOT) == 3 && hall_source(AUDIO_SLOT + 1) == 4) ||
	            (hall_source(AUDIO_SLOT) == 4 && hall_source(AUDIO_SLOT + 1) == 3));
	hall_listen(&hall.ear, &h);
	assert_int_equal(h.slot[2].n + h.slot[3].n, 0);
	for (unsigned turn = 0; turn < 12; turn++) { // one after the other
		memset(hall.level, 127, sizeof(hall.level));
		hall.level[turn % PUBS] = 30;
		hall_talk(2000);
		assert_true(hall_source(AUDIO_SLOT) == turn % PUBS ||
		            hall_source(AUDIO_SLOT + 1) == turn % PUBS);
		hall_listen(&hall.ear, &h);
		assert_true((h.slot[0].from | h.slot[1].from) & 1u << turn % PUBS);
		assert_int_equal(dp_group_find(GROUP)->dominant, world_id(turn % PUBS));
		hall_listen(&hall.own_ear, &own);
		assert_false((own.slot[0].from | own.slot[1].from) & 1); // not what is his own
		world_forget_out();
	}
	assert_true(own.slot[0].n + own.slot[1].n > 100);
	assert_true(world_stat(SH_STAT_drop_own) > 50);
	assert_int_equal(world_stat(SH_STAT_drop_fanout_full), 0);
	hall_stop();
}

/* A publisher that leaves leaves its place; one that comes again is another. */
static void sources_leave(void **state)
{
	struct heard h = {0};

	hall_start(false, 2);
	hall.level[2] = 30;
	hall_talk(1500);
	assert_true(hall_source(AUDIO_SLOT) == 2 || hall_source(AUDIO_SLOT + 1) == 2);
	assert_int_equal(dp_group_find(GROUP)->dominant, world_id(2));
	world_del(SH_DEL_TRACK, world_id(2));
	assert_true(hall_source(AUDIO_SLOT) != 2 && hall_source(AUDIO_SLOT + 1) != 2);
	for (unsigned i = 0; i < 10; i++) {
		hall_speak(0);
		hall_speak(1);
		hall.seq++;
		world_run(20);
		hall_look();
	}
	assert_int_not_equal(hall_source(AUDIO_SLOT), UINT32_MAX); // somebody else has the place
	assert_int_not_equal(hall_source(AUDIO_SLOT + 1), UINT32_MAX);
	assert_int_equal(dp_group_find(GROUP)->dominant, 0);
	hall_listen(&hall.ear, &h);
	world_del(SH_DEL_TRACK, world_id(AUDIO_SLOT)); // and the slot itself
	for (unsigned i = 0; i < PUBS; i++)
		assert_true(SH_ID_INDEX(dp_slabs.track[i].follower) != AUDIO_SLOT);
	assert_int_equal(dp_slabs.sub[0].state, SH_FREE);
	hall_stop();
}

/* A subscription goes from slot to slot: another source, and the same stream. */
static void voices_move(void **state)
{
	struct sh_msg_sub_set s = audio_sub;
	struct heard h = {0};

	s.ssrc = OUR_AUDIO;
	hall_start(false, 2);
	hall_talk(300);
	assert_int_equal(hall_source(AUDIO_SLOT), 0);
	assert_int_equal(hall_source(AUDIO_SLOT + 1), 1);
	hall_listen(&hall.ear, &h);
	assert_int_equal(h.slot[0].from, 1u << 0);
	for (unsigned turn = 1; turn < 6; turn++) {
		world_sub(0, AUDIO_SLOT + turn % 2, &hall.ear, &s);
		hall_talk(300);
		hall_listen(&hall.ear, &h);
		assert_int_equal(h.slot[0].from, 1u << turn % 2);
		assert_int_equal(h.slot[1].from, 1u << 1);
	}
	assert_int_equal(h.slot[0].n, h.slot[1].n); // none is missing
	hall_stop();
}

/* Another dataplane finds the slabs: who is in which slot, and sequence numbers go on. */
static void outlives(void **state)
{
	struct heard h = {0};
	uint32_t was[2];

	hall_start(true, 2);
	hall.level[3] = 30;
	hall_talk(2000);
	hall_listen(&hall.ear, &h);
	was[0] = hall_source(AUDIO_SLOT);
	was[1] = hall_source(VIDEO_SLOT);
	assert_int_equal(was[1], PUBS + 3);
	dp_slabs.track[4].follower = world_id(AUDIO_SLOT); // as half done
	dp_speakers_free();
	world_restart();
	assert_int_equal(dp_speakers_init(), 0);
	assert_int_equal(dp_slabs.track[4].follower, 0);
	peer_path(&hall.ear);
	peer_path(&hall.own_ear);
	assert_int_equal(hall_source(AUDIO_SLOT), was[0]);
	assert_int_equal(hall_source(VIDEO_SLOT), was[1]);
	hall_talk(1000);
	assert_int_equal(hall_source(VIDEO_SLOT), was[1]);
	hall_listen(&hall.ear, &h);
	assert_true((h.slot[0].from | h.slot[1].from) & 1u << 3);
	hall_stop();
}

int stories_slots(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(loudest_are_heard),
	    cmocka_unit_test(sources_leave),
	    cmocka_unit_test(voices_move),
	    cmocka_unit_test(outlives),
	};

	return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
