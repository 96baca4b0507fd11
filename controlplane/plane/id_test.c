/* Ids: none is used again too early, none looks like one of the last run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include "controlplane/plane/plane_fixture.h"
#include "shared/state.h"

static void an_index_is_not_reused_too_early(void **state)
{
	connect_all();
	w.dp.hello.max_endpoints = 4;
	fake_dp_kill(&w.dp);
	settle();
	assert_int_equal(fake_dp_open(&w.dp, w.dir, 65536), 0);
	settle();
	sh_id id[4], other;
	for (int i = 0; i < 4; i++)
		id[i] = add_endpoint(false);
	assert_int_equal(cp_plane_id_new(w.p, SH_DEL_ENDPOINT, &other), -ENOSPC);
	settle();
	w.dp.deaf = true;
	assert_int_equal(cp_plane_del(w.p, SH_DEL_ENDPOINT, id[2]), 0);
	settle();
	assert_int_equal(cp_plane_id_new(w.p, SH_DEL_ENDPOINT, &other),
	                 -ENOSPC); // not confirmed yet
	w.dp.deaf = false;
	settle();
	assert_int_equal(cp_plane_id_new(w.p, SH_DEL_ENDPOINT, &other), 0);
	assert_int_equal(SH_ID_INDEX(other), SH_ID_INDEX(id[2]));
	assert_int_equal(SH_ID_GEN(other), SH_ID_GEN(id[2]) + 1);
	cp_plane_id_free(w.p, SH_DEL_ENDPOINT, other); // never set: free at once
	assert_int_equal(cp_plane_id_new(w.p, SH_DEL_ENDPOINT, &other), 0);
	assert_int_equal(SH_ID_GEN(other), SH_ID_GEN(id[2]) + 2);
}

static void generations_wrap_past_zero(void **state)
{
	sh_id id, last = 0;
	unsigned wraps = 0;

	w.p->ids[SH_DEL_SUB].limit = 1;
	for (int i = 0; i < 10000; i++) {
		id = new_id(SH_DEL_SUB);
		assert_int_equal(SH_ID_INDEX(id), 0);
		assert_true(SH_ID_GEN(id) >= 1 && id != last);
		wraps += id < last;
		last = id;
		cp_plane_id_free(w.p, SH_DEL_SUB, id);
	}
	assert_int_equal(wraps, 2);
}

static void freed_indexes_rest(void **state)
{
	sh_id first = new_id(SH_DEL_TRACK);

	cp_plane_id_free(w.p, SH_DEL_TRACK, first);
	for (int i = 0; i < 64; i++) {
		sh_id id = new_id(SH_DEL_TRACK);
		assert_true(SH_ID_INDEX(id) != SH_ID_INDEX(first) || i == 63);
		if (i < 63)
			cp_plane_id_free(w.p, SH_DEL_TRACK, id);
	}
}

static void claims(void **state)
{
	sh_id id = SH_ID(300, 17), other;

	assert_int_equal(cp_plane_id_claim(w.p, SH_DEL_SUB, id), 0);
	assert_int_equal(cp_plane_id_claim(w.p, SH_DEL_SUB, id), -EEXIST);
	assert_int_equal(cp_plane_id_claim(w.p, SH_DEL_SUB, SH_ID(300, 18)), -EEXIST);
	assert_int_equal(cp_plane_id_claim(w.p, SH_DEL_SUB, SH_ID(5, 2)), 0); // below it: was free
	assert_int_equal(cp_plane_id_claim(w.p, SH_DEL_SUB, 5), -EINVAL);
	assert_int_equal(cp_plane_id_claim(w.p, 9, id), -EINVAL);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(cp_plane_id_new(w.p, SH_DEL_SUB, &other), 0);
		assert_true(SH_ID_INDEX(other) != 300 && SH_ID_INDEX(other) != 5);
	}
}

/* Ids that the last run left in the slabs and this one does not claim: a new object never looks
 * like them. */
static void generations_go_on_from_the_slabs(void **state)
{
	struct sh_slabs s;
	char path[128];
	bool created;
	sh_id id;

	sh_state_path(path, sizeof(path), w.dir);
	assert_int_equal(sh_slabs_create(&s, path, 8, 8, 8, &created), 0);
	for (unsigned i = 0; i < 8; i++) {
		s.endpoint[i].set.id = SH_ID(i, 0x79 + i); // 0x78 is where epoch 0x77 would start
		s.endpoint[i].state = SH_LIVE;
	}
	s.track[7].set.id = SH_ID(7, 4095);
	s.track[7].state = SH_DEAD;
	s.sub[3].set.id = SH_ID(9, 1); // nonsense is left alone
	s.sub[3].state = SH_LIVE;
	plane_anew(0x77);
	sh_slabs_close(&s);
	w.p->ids[SH_DEL_ENDPOINT].limit = w.p->ids[SH_DEL_TRACK].limit = 8;
	for (unsigned i = 0; i < 8; i++) {
		id = new_id(SH_DEL_ENDPOINT);
		assert_int_equal(SH_ID_GEN(id), 0x79 + SH_ID_INDEX(id) + 1);
		id = new_id(SH_DEL_TRACK);
		assert_int_equal(SH_ID_GEN(id), SH_ID_INDEX(id) == 7 ? 1 : 0x78);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(an_index_is_not_reused_too_early),
	    T(generations_wrap_past_zero),
	    T(freed_indexes_rest),
	    T(claims),
	    T(generations_go_on_from_the_slabs),
	};

	sh_log_levels("error,plane=error");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
