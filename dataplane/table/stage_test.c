/* Transactions that are refused: none of them has an effect, whatever is wrong and whichever
 * allocation fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>
#include "dataplane/table/table_world.h"

struct refusal {
	const char *name;
	void (*stage)(void);
	int error;
	uint32_t record;
};

static void r_worker(void)
{
	put_endpoint(E(9, 1), WORKERS, "wwww");
}
static void r_index(void)
{
	put_endpoint(E(ENDPOINTS, 1), 0, "wwww");
}
static void r_sub_index(void)
{
	put_sub(E(SUBS, 1), E(0, 1), E(1, 1));
}
static void r_ufrag_taken(void)
{
	put_endpoint(E(8, 1), 0, "xxxx");
	put_endpoint(E(9, 1), 0, "aaaa");
}
static void r_ufrag_twice(void)
{
	put_endpoint(E(8, 1), 0, "xxxx");
	put_endpoint(E(9, 1), 0, "xxxx");
}
static void r_other_generation(void)
{
	put_endpoint(E(0, 2), 0, "xxxx");
}
static void r_track_of_nobody(void)
{
	put_track(E(5, 1), E(7, 1));
}
static void r_track_of_stale(void)
{
	put_track(E(5, 1), E(0, 2));
}
static void r_track_moves(void)
{
	put_track(E(0, 1), E(1, 1));
}
static void r_worker_moves(void)
{
	put_endpoint(E(0, 1), 1, "aaaa");
}
static void r_sub_moves(void)
{
	put_sub(E(0, 1), E(1, 1), E(1, 1));
}
static void r_sub_of_no_track(void)
{
	put_sub(E(9, 1), E(9, 1), E(0, 1));
}
static void r_ssrc_taken(void)
{
	put_sub_ssrc(E(9, 1), E(0, 1), E(1, 1), 101, 0);
}
static void r_ssrc_twice(void)
{
	put_sub_ssrc(E(8, 1), E(0, 1), E(1, 1), 500, 501);
	put_sub_ssrc(E(9, 1), E(0, 1), E(1, 1), 502, 500);
}
static void r_keys_of_nobody(void)
{
	put_keys(E(9, 1), 1);
}
static void r_keys_stale(void)
{
	put_keys(E(0, 3), 1);
}
static void r_del_stale(void)
{
	put_del(E(0, 2), SH_DEL_ENDPOINT);
}
static void r_after_del(void)
{
	put_del(E(0, 1), SH_DEL_ENDPOINT);
	put_track(E(5, 1), E(0, 1));
}
static void r_del_and_back(void)
{
	put_del(E(0, 1), SH_DEL_ENDPOINT);
	put_endpoint(E(0, 1), 0, "aaaa");
}
static void r_cascaded_back(void)
{
	put_del(E(0, 1), SH_DEL_ENDPOINT);
	put_track(E(0, 1), E(1, 1));
}

/* A good record before and one after the bad one: none of them may have an effect. */
static void refusals(void **state)
{
	static const struct refusal t[] = {
	    {"worker out of range", r_worker, -EINVAL, 1},
	    {"index out of range", r_index, -EINVAL, 1},
	    {"subscription index out of range", r_sub_index, -EINVAL, 1},
	    {"ufrag of another endpoint", r_ufrag_taken, -EEXIST, 2},
	    {"ufrag twice in one transaction", r_ufrag_twice, -EEXIST, 2},
	    {"slot holds another generation", r_other_generation, -EEXIST, 1},
	    {"track of no endpoint", r_track_of_nobody, -ENOENT, 1},
	    {"track of an older endpoint", r_track_of_stale, -ESTALE, 1},
	    {"track changes publisher", r_track_moves, -EINVAL, 1},
	    {"endpoint changes worker", r_worker_moves, -EINVAL, 1},
	    {"subscription changes track", r_sub_moves, -EINVAL, 1},
	    {"subscription of no track", r_sub_of_no_track, -ENOENT, 1},
	    {"SSRC of another subscription", r_ssrc_taken, -EEXIST, 1},
	    {"SSRC twice in one transaction", r_ssrc_twice, -EEXIST, 2},
	    {"keys of no endpoint", r_keys_of_nobody, -ENOENT, 1},
	    {"keys of an older endpoint", r_keys_stale, -ESTALE, 1},
	    {"removal of an older endpoint", r_del_stale, -ESTALE, 1},
	    {"reference to what was just removed", r_after_del, -ENOENT, 2},
	    {"the same generation again", r_del_and_back, -ESTALE, 2},
	    {"the same generation of what went along", r_cascaded_back, -ESTALE, 2},
	};
	size_t n = dp_slabs.head->total;
	uint8_t *before = malloc(n);

	plane_call();
	memcpy(before, dp_slabs.head, n);
	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct sh_msg_committed out;

		txn_begin();
		put_endpoint(E(20, 1), 0, "good");
		t[i].stage();
		put_endpoint(E(21, 1), 0, "fine");
		out = txn_commit_as(false, txn_staged);
		if (out.error != t[i].error || out.record != t[i].record)
			fail_msg("%s: error %d record %u", t[i].name, out.error, out.record);
		assert_memory_equal(before, dp_slabs.head, n);
		assert_consistent();
	}
	free(before);
}

static void counts_and_order(void **state)
{
	struct sh_msg_commit c = {.txn = 77};
	struct sh_msg_committed out;

	dp_stage_commit(&c, &out); // no BEGIN
	assert_int_equal(out.error, -EPROTO);
	txn_begin();
	put_endpoint(E(0, 1), 0, "aaaa");
	assert_int_equal(txn_commit_as(false, 2).error, -EPROTO); // one was lost
	txn_begin();
	put_endpoint(E(0, 1), 0, "aaaa");
	txn_number++;
	assert_int_equal(txn_commit(false), -EPROTO); // another transaction's
	txn_begin();
	put_endpoint(E(0, 1), 0, "aaaa");
	dp_stage_refuse(-EMSGSIZE); // one was malformed
	txn_staged++;
	put_endpoint(E(1, 1), 0, "bbbb");
	out = txn_commit_as(false, txn_staged);
	assert_int_equal(out.error, -EMSGSIZE);
	assert_int_equal(out.record, 1);
	txn_begin();
	put_endpoint(E(0, 1), 0, "aaaa");
	txn_begin(); // the first one is plane_forgotten
	put_endpoint(E(1, 1), 0, "bbbb");
	assert_int_equal(txn_commit(false), 0);
	assert_int_equal(dp_slabs.endpoint[0].state, SH_FREE);
	txn_begin();
	assert_int_equal(txn_commit(false), 0); // an empty one is fine
	assert_consistent();
}

/* Whichever allocation fails, a transaction is applied whole or not at all, and the next one works.
 */
static void out_of_memory(void **state)
{
	unsigned applied = 0, refused = 0;

	plane_call();
	dp_reap_all();
	for (long n = 0; n < 60; n++) {
		uint32_t g = 2 + applied;
		struct sh_msg_committed out;
		int err;

		txn_begin();
		plane_fail_at = n;
		put_del(E(0, g - 1), SH_DEL_ENDPOINT);
		put_endpoint(E(0, g), 0, "aaaa");
		put_keys(E(0, g), 40);
		put_track(E(0, g), E(0, g));
		put_sub(E(0, g), E(0, g), E(1, 1));
		put_sub(E(1, g), E(1, 1), E(0, g));
		out = txn_commit_as(false, txn_staged);
		plane_fail_at = -1;
		err = out.error;
		assert_consistent();
		if (err == 0) {
			applied++;
			assert_int_equal(dp_slabs.endpoint[0].set.id, E(0, g));
		} else {
			refused++;
			assert_int_equal(err, -ENOMEM);
			assert_int_equal(dp_slabs.endpoint[0].set.id, E(0, g - 1));
			assert_int_equal(dp_slabs.endpoint[0].state, SH_LIVE);
		}
		dp_reap_all();
	}
	assert_in_range(refused, 10, 55);
	assert_in_range(applied, 5, 50);
}

int stage_tests(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(refusals),
	    TEST(counts_and_order),
	    TEST(out_of_memory),
	};

	return cmocka_run_group_tests_name("table: stage", tests, NULL, NULL);
}
