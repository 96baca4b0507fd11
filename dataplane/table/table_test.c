/* Transactions onto slabs: what is accepted (apply_test.c, group_test.c), refused and undone when
 * memory runs out (stage_test.c), and here, what is replayed and taken over after a crash. There is
 * no worker: the ops that owners would do are done where control waits for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>
#include "dataplane/srtp/srtp.h"
#include "dataplane/table/table_world.h"

static void full_replay(void **state)
{
	struct dp_srtp_session *s;
	uint8_t *before = malloc(sizeof(struct sh_endpoint));
	const struct dp_fanout *fan;

	plane_call();
	txn_begin();
	put_endpoint(E(2, 1), 0, "left");
	put_track(E(2, 1), E(2, 1));
	put_sub(E(2, 1), E(2, 1), E(0, 1));
	assert_int_equal(txn_commit(false), 0);
	s = dp_session(0);
	fan = dp_fanout(0, 1);
	dp_slabs.endpoint[0].rx_packets = 1234;
	memcpy(before, &dp_slabs.endpoint[0], sizeof(struct sh_endpoint));
	/* The new daemon says the call again, knows nothing of endpoint 2, and something else of
	 * slot 3. */
	txn_begin();
	put_endpoint(E(0, 1), 0, "aaaa");
	put_keys(E(0, 1), 10);
	put_endpoint(E(1, 1), 1, "bbbb"); // without its keys: they stay
	put_track(E(0, 1), E(0, 1));
	put_track(E(1, 1), E(1, 1));
	put_sub_ssrc(E(0, 1), E(0, 1), E(1, 1), 100, 101);
	put_sub_ssrc(E(1, 1), E(1, 1), E(0, 1), 100, 101);
	put_endpoint(E(3, 1), 0, "left"); // the ufrag of what goes
	assert_int_equal(txn_commit(true), 0);
	assert_consistent();
	assert_memory_equal(before, &dp_slabs.endpoint[0], sizeof(struct sh_endpoint));
	assert_ptr_equal(dp_session(0), s);
	assert_non_null(dp_session(1));
	assert_ptr_equal(dp_fanout(0, 1), fan); // not even rebuilt
	assert_int_equal(dp_slabs.endpoint[2].state, SH_DEAD);
	assert_int_equal(plane_rekeyed, 0);
	/* Another generation in a replay replaces; what was not named may not be referred to. */
	txn_begin();
	put_endpoint(E(0, 7), 0, "aaaa");
	put_track(E(0, 1), E(0, 1));
	assert_int_equal(txn_commit(true), -ESTALE);
	txn_begin();
	put_endpoint(E(0, 7), 0, "aaaa");
	assert_int_equal(txn_commit(true), 0);
	assert_consistent();
	assert_int_equal(dp_slabs.endpoint[0].rx_packets, 0);
	assert_int_equal(dp_slabs.endpoint[1].state != SH_LIVE, 1);
	txn_begin();
	assert_int_equal(txn_commit(true), 0); // of nothing
	dp_reap_all();
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		assert_int_equal(dp_slabs.endpoint[i].state, SH_FREE);
	assert_consistent();
	free(before);
}

static void taken_over(void **state)
{
	struct sh_addr remote = {.family = 4, .port = 5000, .ip = {10, 0, 0, 1}}, local = remote;
	struct dp_table_report r;

	plane_call();
	dp_tuple_set(&plane_workers[0], 0, &local, &remote);
	txn_begin();
	put_endpoint(E(2, 1), 0, "gone");
	put_track(E(2, 1), E(2, 1));
	put_sub(E(2, 1), E(2, 1), E(1, 1));
	assert_int_equal(txn_commit(false), 0);
	/* A crash in the middle of things. */
	atomic_store(&dp_slabs.endpoint[2].state, SH_DEAD);
	dp_slabs.track[5].set.id = E(5, 1);
	dp_slabs.track[5].set.endpoint = E(40, 1);
	atomic_store(&dp_slabs.track[5].state, SH_LIVE);
	dp_table_free();
	sh_slabs_close(&dp_slabs);
	{
		struct dp_table_cfg cfg = {.workers = WORKERS,
		                           .backend = dp_srtp_backend_find("libsrtp2"),
		                           .wait = plane_do_ops};
		bool created;

		assert_int_equal(
		    sh_slabs_create(&dp_slabs, plane_path, ENDPOINTS, TRACKS, SUBS, &created), 0);
		assert_false(created);
		assert_int_equal(dp_table_init(&cfg), 0);
		assert_int_equal(dp_table_rebuild(&r), 0);
	}
	assert_int_equal(r.endpoints, 2);
	assert_int_equal(r.tracks, 2);
	assert_int_equal(r.subs, 2);
	assert_int_equal(r.dropped, 4);
	assert_consistent();
	assert_non_null(dp_session(0));
	assert_int_equal(dp_endpoint_by_tuple(&plane_workers[0], &remote), 0);
	assert_int_equal(dp_endpoint_by_tuple(&plane_workers[1], &remote), -1);
	assert_int_equal(dp_slabs.endpoint[2].state, SH_FREE);
	/* And it goes on from there. */
	txn_begin();
	put_del(E(1, 1), SH_DEL_ENDPOINT);
	put_endpoint(E(2, 2), 1, "more");
	assert_int_equal(txn_commit(false), 0);
	assert_consistent();
}

static void tuples(void **state)
{
	struct sh_addr a = {.family = 4, .port = 1, .ip = {192, 0, 2, 1}}, local = a, b = a;

	txn_begin();
	for (unsigned i = 0; i < ENDPOINTS; i++) {
		char ufrag[8];

		snprintf(ufrag, sizeof(ufrag), "uf%02u", i);
		put_endpoint(E(i, 1), 0, ufrag);
	}
	assert_int_equal(txn_commit(false), 0);
	srandom(1);
	for (unsigned n = 0; n < 20000; n++) {
		uint32_t i = (uint32_t)random() % ENDPOINTS;
		int at;

		a.port = (uint16_t)(random() % 200 + 1);
		if (random() % 4 == 0)
			dp_tuple_clear(&plane_workers[0], i);
		else
			assert_int_equal(dp_tuple_set(&plane_workers[0], i, &local, &a), 0);
		/* Whoever has an address by the table has it by the slab; nobody is lost. */
		b.port = (uint16_t)(random() % 200 + 1);
		at = dp_endpoint_by_tuple(&plane_workers[0], &b);
		if (at >= 0) {
			assert_memory_equal(&dp_slabs.endpoint[at].remote, &b, sizeof(b));
		} else {
			/* At most those whose address another one took. */
			for (unsigned k = 0; k < ENDPOINTS; k++)
				assert_true(dp_slabs.endpoint[k].remote.port != b.port || k != i ||
				            dp_slabs.endpoint[k].remote.family == 0 ||
				            a.port != b.port);
		}
	}
	a.port = 777;
	dp_tuple_set(&plane_workers[0], 3, &local, &a);
	dp_tuple_set(&plane_workers[0], 4, &local, &a); // the newest authenticated one has it
	assert_int_equal(dp_endpoint_by_tuple(&plane_workers[0], &a), 4);
	dp_tuple_clear(&plane_workers[0], 3);
	assert_int_equal(dp_endpoint_by_tuple(&plane_workers[0], &a), 4);
	b.family = 0;
	assert_int_equal(dp_tuple_set(&plane_workers[0], 4, &local, &b), -EINVAL);
}

static void key_frames(void **state)
{
	assert_int_equal(dp_keyframe_take(3), 0);
	dp_keyframe_request(3, 0);
	dp_keyframe_request(3, 2);
	dp_keyframe_request(3, SH_MAX_LAYERS); // no such layer
	dp_keyframe_request(TRACKS, 0);
	assert_int_equal(dp_keyframe_take(3), 5);
	assert_int_equal(dp_keyframe_take(3), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(full_replay),
	    TEST(taken_over),
	    TEST(tuples),
	    TEST(key_frames),
	};
	int failed = cmocka_run_group_tests_name("table", tests, NULL, NULL);

	return failed + stage_tests() + apply_tests() + group_tests();
}
