/* Groups of tracks, and slots that follow them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <cmocka.h>
#include "dataplane/table/group.h"
#include "dataplane/table/table_world.h"

/* A room of two publishers, with two slots, one of them with a source, and a subscription to each.
 */
static void room_with_slots(void)
{
	plane_call();
	txn_begin();
	put_member(E(10, 1), E(0, 1), 7);
	put_member(E(11, 1), E(1, 1), 7);
	put_slot(E(12, 1), 7, 0);
	put_slot(E(13, 1), 7, 1);
	put_sub_ssrc(E(10, 1), E(12, 1), E(0, 1), 200, 0);
	put_sub_ssrc(E(11, 1), E(13, 1), E(1, 1), 200, 0);
	assert_int_equal(txn_commit(false), 0);
	dp_slot_set(12, 10);
	assert_consistent();
}

static int one(void (*what)(sh_id, uint32_t, uint8_t), sh_id id, uint32_t group, uint8_t at)
{
	txn_begin();
	what(id, group, at);
	return txn_commit(false);
}

static void slots(void **state)
{
	struct dp_group *g;
	uint32_t turn;

	room_with_slots();
	g = dp_group_find(7);
	assert_int_equal(g->audio.n, 2);
	assert_int_equal(g->audio_slots, 2);
	assert_int_equal(dp_source_of(12), 10);
	assert_int_equal(dp_source_of(13), -1);
	assert_int_equal(dp_source_of(10), 10);
	assert_int_equal(one(put_slot, E(14, 1), 7, 1), -EEXIST); // the place is taken
	assert_int_equal(one(put_slot, E(13, 1), 7, 2), -EINVAL); // fixed for life
	assert_int_equal(one(put_slot, E(13, 1), 8, 1), -EINVAL);
	txn_begin();
	put_slot(E(14, 1), 9, 3);
	put_slot(E(15, 1), 9, 3); // twice in one transaction
	assert_int_equal(txn_commit(false), -EEXIST);
	txn_begin();
	put_member(E(10, 1), E(0, 1), 8);
	assert_int_equal(txn_commit(false), -EINVAL);
	txn_begin();
	put_track_of(E(10, 1), 0, 7, SH_TRACK_SLOT, 2); // a publisher's does not become one
	assert_int_equal(txn_commit(false), -EINVAL);
	assert_consistent();
	turn = dp_slot_turn(12);
	dp_slot_set(12, 11); // one for the other
	assert_int_equal(dp_slabs.track[10].follower, 0);
	assert_int_not_equal(dp_slot_turn(12), turn);
	assert_consistent();
	txn_begin(); // the place of one that goes, in the same transaction
	put_del(E(12, 1), SH_DEL_TRACK);
	put_slot(E(14, 1), 7, 0);
	assert_int_equal(txn_commit(false), 0);
	dp_reap_all();
	assert_int_equal(dp_slabs.track[11].follower, 0);
	assert_int_equal(dp_slabs.sub[10].state, SH_FREE); // went with its slot
	assert_int_equal(dp_slabs.track[14].source, 0);
	assert_consistent();
	dp_slot_set(14, 11);
	txn_begin(); // with its publisher
	put_del(E(1, 1), SH_DEL_ENDPOINT);
	assert_int_equal(txn_commit(false), 0);
	dp_reap_all();
	assert_int_equal(dp_slabs.track[14].source, 0);
	assert_int_equal(g->audio.n, 1);
	assert_consistent();
	txn_begin();
	assert_int_equal(txn_commit(true), 0); // nothing is named, so nothing is left
	dp_reap_all();
	assert_int_equal(dp_groups(), 0);
	assert_consistent();
}

static void slots_outlive(void **state)
{
	room_with_slots();
	plane_detach();
	plane_attach();
	assert_consistent();
	assert_int_equal(dp_source_of(12), 10);
	assert_int_equal(list_length(dp_fanout(12, 0)) + list_length(dp_fanout(12, 1)), 1);
	dp_slabs.track[11].follower = E(12, 1); // half done when it died: two in one slot
	dp_slabs.track[13].source = E(11, 1);
	dp_slabs.track[10].source = E(11, 1);
	plane_detach();
	plane_attach();
	assert_consistent();
	assert_int_equal(dp_slabs.track[11].follower, 0);
	assert_int_equal(dp_source_of(13), -1);
	txn_begin(); // the same again by a replay, which touches nothing
	put_endpoint(E(0, 1), 0, "aaaa");
	put_keys(E(0, 1), 10);
	put_slot(E(13, 1), 7, 1);
	assert_int_equal(txn_commit(true), 0);
	dp_reap_all();
	assert_int_equal(dp_group_find(7)->audio_slots, 2);
	assert_int_equal(dp_group_find(7)->audio.n, 0);
	assert_consistent();
}

static bool listed(uint32_t track, uint32_t sub)
{
	for (unsigned w = 0; w < WORKERS; w++) {
		const struct dp_fanout *f = dp_fanout(track, w);

		for (uint32_t i = 0; f && i < f->n; i++)
			if (f->sub[i] == sub)
				return true;
	}
	return false;
}

static int move(uint32_t to, uint32_t whose)
{
	txn_begin();
	put_sub_ssrc(E(10, 1), E(to, 1), E(whose, 1), 200, 0);
	return txn_commit(false);
}

/* From slot to slot: what the subscriber was sent goes on counting, and a dataplane that takes over
 * finds it there. */
static void sub_moves(void **state)
{
	room_with_slots();
	txn_begin();
	put_slot(E(14, 1), 9, 0); // of another room
	assert_int_equal(txn_commit(false), 0);
	dp_slabs.sub[10].tx_index = 4711;
	plane_wanted = 0;
	assert_true(listed(12, 10) && !listed(13, 10));
	assert_int_equal(move(13, 0), 0);
	assert_true(!listed(12, 10) && listed(13, 10) && listed(13, 11));
	assert_int_equal(dp_slabs.sub[10].set.track, E(13, 1));
	assert_int_equal(dp_slabs.sub[10].tx_index, 4711);
	assert_int_equal(plane_wanted, 1);
	assert_int_equal(plane_wanted_track, 13);
	assert_consistent();
	assert_int_equal(move(14, 0), -EINVAL);
	assert_int_equal(move(10, 0), -EINVAL); // no slot
	assert_int_equal(move(15, 0), -EINVAL); // there is none
	assert_int_equal(move(12, 1), -EINVAL); // another subscriber
	assert_true(!listed(12, 10) && listed(13, 10));
	assert_int_equal(move(12, 0), 0);
	txn_begin(); // both ways in one transaction: where it was
	put_sub_ssrc(E(10, 1), E(13, 1), E(0, 1), 200, 0);
	put_sub_ssrc(E(10, 1), E(12, 1), E(0, 1), 200, 0);
	assert_int_equal(txn_commit(false), 0);
	assert_true(listed(12, 10) && !listed(13, 10));
	txn_begin(); // it leaves a slot that goes
	put_sub_ssrc(E(10, 1), E(13, 1), E(0, 1), 200, 0);
	put_del(E(12, 1), SH_DEL_TRACK);
	assert_int_equal(txn_commit(false), 0);
	assert_int_equal(dp_slabs.sub[10].state, SH_LIVE);
	assert_true(!listed(12, 10) && listed(13, 10));
	assert_consistent();
	plane_detach();
	plane_attach();
	assert_true(listed(13, 10));
	assert_consistent();
}

int group_tests(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(slots),
	    TEST(slots_outlive),
	    TEST(sub_moves),
	};

	return cmocka_run_group_tests_name("table: group", tests, NULL, NULL);
}
