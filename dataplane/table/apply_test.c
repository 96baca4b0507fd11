/* Transactions that are applied: what comes, changes, goes, and is wiped when its owner forgot it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/srtp/srtp.h"
#include "dataplane/table/table_world.h"

static void a_call_comes_and_goes(void **state)
{
	plane_call();
	assert_int_equal(list_length(dp_fanout(0, 1)), 1);
	assert_int_equal(list_length(dp_fanout(0, 0)), 0);
	assert_int_equal(dp_fanout_workers(0), 2);
	assert_int_equal(dp_slabs.sub[0].layer, 255);
	txn_begin();
	put_del(E(0, 1), SH_DEL_ENDPOINT);
	assert_int_equal(txn_commit(false), 0);
	assert_consistent();
	/* With it went its track, the subscription of that, and its own subscription. */
	assert_int_equal(dp_slabs.endpoint[0].state, SH_DEAD);
	assert_int_equal(dp_slabs.track[0].state, SH_DEAD);
	assert_int_equal(dp_slabs.sub[0].state, SH_DEAD);
	assert_int_equal(dp_slabs.sub[1].state, SH_DEAD);
	assert_int_equal(dp_slabs.track[1].state, SH_LIVE);
	assert_int_equal(plane_gone, 1);
	dp_reap_all();
	assert_int_equal(plane_forgotten[DP_KIND_ENDPOINT], 1);
	assert_int_equal(plane_forgotten[DP_KIND_TRACK], 1);
	assert_int_equal(plane_forgotten[DP_KIND_SUB], 2);
	/* Wiped, keys and all. */
	static const struct sh_endpoint zero;
	assert_memory_equal(&dp_slabs.endpoint[0], &zero, sizeof(zero));
	assert_consistent();
}

static void nothing_is_wiped_before_its_owner_forgot_it(void **state)
{
	plane_call();
	txn_begin();
	put_del(E(1, 1), SH_DEL_ENDPOINT);
	assert_int_equal(txn_commit(false), 0);
	for (unsigned i = 0; i < 10; i++)
		assert_true(dp_reap());
	assert_int_equal(dp_slabs.endpoint[1].state, SH_DEAD);
	assert_int_equal(dp_slabs.endpoint[1].keys.profile, SH_SRTP_AEAD_AES_128_GCM);
	plane_do_ops(NULL); // the drain
	assert_true(dp_reap());
	assert_int_equal(plane_forgotten[DP_KIND_ENDPOINT], 0);
	plane_do_ops(NULL); // the forgetting
	assert_false(dp_reap());
	assert_int_equal(plane_forgotten[DP_KIND_ENDPOINT], 1);
	assert_int_equal(dp_slabs.endpoint[1].state, SH_FREE);
}

static void removal_is_idempotent(void **state)
{
	plane_call();
	txn_begin();
	put_del(E(0, 1), SH_DEL_ENDPOINT);
	put_del(E(0, 1), SH_DEL_TRACK); // went with it
	put_del(E(1, 1), SH_DEL_SUB);
	put_del(E(30, 1), SH_DEL_SUB); // never was
	assert_int_equal(txn_commit(false), 0);
	txn_begin();
	put_del(E(0, 1), SH_DEL_ENDPOINT);
	assert_int_equal(txn_commit(false), 0);
	assert_consistent();
}

static void a_slot_is_filled_again(void **state)
{
	struct dp_srtp_session *old;

	plane_call();
	old = dp_session(0);
	dp_slabs.sub[0].packets = 5;
	txn_begin();
	put_del(E(0, 1), SH_DEL_ENDPOINT);
	put_endpoint(E(0, 2), 1, "cccc"); // and on another worker
	put_keys(E(0, 2), 30);
	put_track(E(0, 2), E(0, 2));
	put_sub(E(0, 2), E(0, 2), E(1, 1));
	assert_int_equal(txn_commit(false), 0);
	assert_consistent();
	assert_int_equal(dp_endpoint_by_ufrag((const uint8_t *)"aaaa", 4), -1);
	assert_int_equal(dp_slabs.endpoint[0].set.worker, 1);
	assert_int_equal(dp_slabs.sub[0].packets, 0);
	assert_int_equal(dp_slabs.sub[1].state, SH_FREE);
	assert_int_equal(plane_forgotten[DP_KIND_ENDPOINT], 1);
	assert_ptr_not_equal(dp_session(0), old);
	/* Removed in one transaction, filled in the next, before anything was reaped. */
	txn_begin();
	put_del(E(0, 2), SH_DEL_ENDPOINT);
	assert_int_equal(txn_commit(false), 0);
	txn_begin();
	put_endpoint(E(0, 3), 0, "dddd");
	assert_int_equal(txn_commit(false), 0);
	assert_int_equal(plane_forgotten[DP_KIND_ENDPOINT], 2);
	assert_consistent();
}

static void changes_in_place(void **state)
{
	struct sh_msg_endpoint_set restart = endpoint_like(E(0, 1), 0, "rest");
	struct dp_srtp_session *s;

	plane_call();
	s = dp_session(0);
	dp_slabs.endpoint[0].ice = SH_ICE_CONNECTED;
	dp_slabs.sub[0].tx_index = 0x30005;
	txn_begin();
	txn_record(SH_MSG_ENDPOINT_SET, &restart, sizeof(restart)); // ICE restart
	put_track_flags(E(0, 1), E(0, 1), SH_TRACK_MUTED);
	put_sub_ssrc(E(0, 1), E(0, 1), E(1, 1), 100, 333);
	assert_int_equal(txn_commit(false), 0);
	assert_consistent();
	assert_int_equal(dp_endpoint_by_ufrag((const uint8_t *)"aaaa", 4), -1);
	assert_int_equal(dp_endpoint_by_ufrag((const uint8_t *)"rest", 4), 0);
	assert_int_equal(dp_slabs.endpoint[0].ice, SH_ICE_CONNECTED);
	assert_int_equal(dp_slabs.sub[0].tx_index, 0x30005);
	assert_int_equal(dp_slabs.track[0].set.flags, SH_TRACK_MUTED);
	assert_ptr_equal(dp_session(0), s);
	/* Two endpoints swap their ufrags: each is free when all is done. */
	txn_begin();
	put_endpoint(E(0, 1), 0, "bbbb");
	put_endpoint(E(1, 1), 1, "rest");
	assert_int_equal(txn_commit(false), 0);
	assert_consistent();
	/* Two subscriptions of one endpoint swap SSRC and RTX SSRC. */
	txn_begin();
	put_sub_ssrc(E(0, 1), E(0, 1), E(1, 1), 333, 100);
	assert_int_equal(txn_commit(false), 0);
	assert_consistent();
}

static void new_keys(void **state)
{
	struct sh_msg_endpoint_keys k = keys_like(E(0, 1), 10);
	struct dp_srtp_session *s;

	plane_call();
	s = dp_session(0);
	txn_begin();
	txn_record(SH_MSG_ENDPOINT_KEYS, &k, sizeof(k)); // the same
	assert_int_equal(txn_commit(false), 0);
	assert_ptr_equal(dp_session(0), s);
	assert_int_equal(plane_rekeyed, 0);
	dp_slabs.sub[1].tx_index = 0x3abcd;
	dp_slabs.sub[1].seq_offset = 0x3abcd - 0x11000;
	dp_slabs.track[0].media[0].crypto.started = 1;
	dp_slabs.track[0].media[0].crypto.index = 0x21234;
	dp_slabs.endpoint[0].srtcp_tx_index = 9;
	txn_begin();
	put_keys(E(0, 1), 99);
	assert_int_equal(txn_commit(false), 0);
	assert_int_equal(plane_rekeyed, 1);
	assert_ptr_not_equal(dp_session(0), s);
	/* A new cryptographic context: roll-over counters begin at 0, sequence numbers go on. */
	assert_int_equal(dp_slabs.sub[1].tx_index, 0xabcd);
	assert_int_equal(0x11000 + dp_slabs.sub[1].seq_offset, 0xabcd);
	assert_int_equal(dp_slabs.track[0].media[0].crypto.started, 0);
	assert_int_equal(dp_slabs.endpoint[0].srtcp_tx_index, 0);
	assert_consistent();
	dp_reap_all();
	assert_int_equal(s->profile, SH_SRTP_NONE); // wiped
	/* Taken away. */
	memset(&k, 0, sizeof(k));
	k.id = E(0, 1);
	if (sh_msg_check(SH_MSG_ENDPOINT_KEYS, &k, sizeof(k)) == 0) {
		txn_begin();
		txn_record(SH_MSG_ENDPOINT_KEYS, &k, sizeof(k));
		assert_int_equal(txn_commit(false), 0);
		assert_null(dp_session(0));
		assert_consistent();
	}
}

static void a_room(void **state)
{
	enum { PEOPLE = 40 };
	uint32_t s = 0;

	txn_begin();
	for (uint32_t i = 0; i < PEOPLE; i++) {
		char ufrag[8];

		snprintf(ufrag, sizeof(ufrag), "room%02u", i);
		put_endpoint(E(i, 1), i % WORKERS, ufrag);
		put_track(E(i, 1), E(i, 1));
	}
	for (uint32_t i = 0; i < PEOPLE; i++)
		for (uint32_t k = 0; k < PEOPLE; k++)
			if (i != k)
				put_sub(E(s++, 1), E(i, 1), E(k, 1));
	assert_int_equal(txn_commit(false), 0);
	assert_consistent();
	for (uint32_t i = 0; i < PEOPLE; i++)
		assert_int_equal(list_length(dp_fanout(i, 0)) + list_length(dp_fanout(i, 1)),
		                 PEOPLE - 1);
	txn_begin();
	for (uint32_t i = 0; i < PEOPLE; i += 2)
		put_del(E(i, 1), SH_DEL_ENDPOINT);
	assert_int_equal(txn_commit(false), 0);
	assert_consistent();
	for (uint32_t i = 1; i < PEOPLE; i += 2)
		assert_int_equal(list_length(dp_endpoint_subs(i)), PEOPLE / 2 - 1);
	dp_reap_all();
	txn_begin();
	s = SUBS / 2;
	for (uint32_t i = 0; i < PEOPLE; i += 2) {
		char ufrag[8];

		snprintf(ufrag, sizeof(ufrag), "new%02u", i);
		put_endpoint(E(i, 2), 0, ufrag);
		for (uint32_t k = 1; k < PEOPLE; k += 2)
			put_sub(E(s++, 1), E(k, 1), E(i, 2));
	}
	assert_int_equal(txn_commit(false), 0);
	assert_consistent();
}

int apply_tests(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_call_comes_and_goes),
	    TEST(nothing_is_wiped_before_its_owner_forgot_it),
	    TEST(removal_is_idempotent),
	    TEST(a_slot_is_filled_again),
	    TEST(changes_in_place),
	    TEST(new_keys),
	    TEST(a_room),
	};

	return cmocka_run_group_tests_name("table: apply", tests, NULL, NULL);
}
