/* Anything, in any order, from a seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "controlplane/plane/plane_fixture.h"
#include "tests/fakes/samples.h"

static uint32_t seed;
static uint32_t rnd(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

static int refuse_some(const struct fake_record *r, void *arg)
{
	static const int errors[] = {-EINVAL, -EBUSY, -ENOENT};

	return r->type != SH_MSG_DEL && rnd(200) == 0 ? errors[rnd(3)] : 0;
}

static int stderr_fd;
enum { POOL = 60 };
static sh_id pool[SH_DEL_SUB + 1][POOL];

static void random_step(void)
{
	unsigned what = 1 + rnd(3), i = rnd(POOL);
	sh_id *id = &pool[what][i];

	if (rnd(8) == 0) {
		if (*id)
			cp_plane_del(w.p, what, *id);
		*id = 0;
		return;
	}
	if (*id == 0)
		*id = new_id(what);
	struct sh_msg_endpoint_set e = sample_endpoint(*id);
	struct sh_msg_endpoint_keys y = sample_keys(*id, SH_SRTP_AEAD_AES_256_GCM);
	struct sh_msg_track_set t = sample_track(*id, pool[1][rnd(POOL)]);
	struct sh_msg_sub_set s = sample_sub(*id, 0, 0);
	e.rtcp_ssrc = rnd(1000);
	y.tx.bytes[0] = (uint8_t)rnd(256);
	s.track = pool[2][rnd(POOL)];
	s.endpoint = pool[1][rnd(POOL)];
	s.max_layer = (uint8_t)rnd(3);
	t.endpoint = pool[1][rnd(POOL)];
	t.layer[0].ssrc = 100 + rnd(1000);
	int err = what == 1   ? cp_plane_endpoint_set(w.p, &e)
	          : what == 2 ? cp_plane_track_set(w.p, &t)
	                      : cp_plane_sub_set(w.p, &s);
	if (what == 1 && rnd(2))
		err = cp_plane_endpoint_keys(w.p, &y);
	if (err == -ESTALE)
		*id = 0; // went with its endpoint or track
}

/* Refusals by the hundred are the point here, not news. */
static int quiet(void **state)
{
	stderr_fd = dup(STDERR_FILENO);
	return !freopen("/dev/null", "w", stderr);
}

static int loud(void **state)
{
	dup2(stderr_fd, STDERR_FILENO);
	return close(stderr_fd);
}

/* Whatever happens on the way, in the end the dataplane has what is desired. */
static void converges(void **state)
{
	for (uint32_t round = 1; round <= 60; round++) {
		seed = round;
		memset(pool, 0, sizeof(pool));
		assert_int_equal(setup_small(NULL), 0);
		w.dp.refuse = refuse_some;
		cp_plane_start(w.p, w.now);
		for (int i = 0; i < 1500; i++) {
			random_step();
			w.dp.deaf = rnd(4) == 0;
			w.dp.read_max = 1 + rnd(40);
			if (rnd(10) == 0)
				turn();
			if (rnd(10) == 0)
				cp_plane_tick(w.p, w.now += rnd(50) * MS);
			if (rnd(500) == 0) {
				fake_dp_kill(&w.dp);
				if (rnd(2))
					memset(&w.dp.now, 0, sizeof(w.dp.now));
				assert_int_equal(fake_dp_open(&w.dp, w.dir, 4096), 0);
			}
		}
		w.dp.deaf = false;
		w.dp.read_max = 0;
		w.dp.refuse = NULL;
		/* What was refused stays refused until there is a new peer. */
		fake_dp_kill(&w.dp);
		settle();
		assert_int_equal(fake_dp_open(&w.dp, w.dir, 4096), 0);
		cp_plane_tick(w.p, w.now += 10000 * MS);
		settle();
		assert_true(cp_plane_up(w.p));
		assert_same();
		assert_int_equal(w.p->txn.state, CP_TXN_IDLE);
		for (unsigned what = 1; what <= 3; what++)
			for (int i = 0; i < POOL; i++)
				if (pool[what][i])
					cp_plane_del(w.p, what, pool[what][i]);
		settle();
		assert_int_equal(entries(), 0);
		for (unsigned what = 1; what <= 3; what++) // no id leaked
			assert_int_equal(w.p->ids[what].frees, w.p->ids[what].high);
		assert_int_equal(teardown(NULL), 0);
	}
}

/* The same without restarts or replays to mend anything: differences alone must do. */
static void converges_by_differences(void **state)
{
	for (uint32_t round = 1; round <= 60; round++) {
		seed = 1000 + round;
		memset(pool, 0, sizeof(pool));
		assert_int_equal(setup_small(NULL), 0);
		connect_all();
		for (int i = 0; i < 1500; i++) {
			random_step();
			w.dp.deaf = rnd(3) == 0;
			w.dp.read_max = 1 + rnd(20);
			if (rnd(6) == 0)
				turn();
		}
		w.dp.deaf = false;
		w.dp.read_max = 0;
		settle();
		assert_same();
		assert_int_equal(w.dp.refusals, 0); // nothing ever referred to what was not
		assert_int_equal(w.dp.full_commits, 1);
		assert_int_equal(teardown(NULL), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(converges, quiet, loud),
	    cmocka_unit_test(converges_by_differences),
	};

	sh_log_levels("error,plane=error");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
