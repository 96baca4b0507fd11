/* The link: it comes up, is refused, and outlives restarts of either side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "controlplane/plane/plane_fixture.h"
#include "tests/fakes/samples.h"

static void connects_and_says_so(void **state)
{
	connect_all();
	assert_int_equal(w.ups, 1);
	assert_false(w.slabs_new);
	assert_int_equal(cp_plane_hello(w.p)->workers, 2);
	assert_int_equal(cp_plane_hello(w.p)->base_port, 10000);
	assert_int_equal(w.dp.full_commits, 1);             // of nothing: sweeps
	assert_true(cp_plane_wait(w.p, w.now) >= 500 * MS); // nothing to do
	fake_dp_kill(&w.dp);
	turn();
	assert_true(cp_plane_wait(w.p, w.now) <= 100 * MS); // the next one may be there already
	settle();
	assert_int_equal(w.downs, 1);
	assert_string_equal(w.reason, "it closed the link, or died");
	assert_int_equal(fake_dp_open(&w.dp, w.dir, 65536), 0);
	w.dp.hello.slab_epoch++;
	settle();
	assert_int_equal(w.ups, 2);
	assert_true(w.slabs_new);
}

static void refuses_another_build(void **state)
{
	static const struct {
		int version, size;
	} t[] = {{1, 0}, {0, 1}};

	for (int i = 0; i < 2; i++) {
		struct sh_msg_e_hello good = w.dp.hello;
		w.dp.hello.version += (uint32_t)t[i].version;
		w.dp.hello.size[SH_MSG_TRACK_STATE] += (uint16_t)t[i].size;
		if (i == 0)
			cp_plane_start(w.p, w.now);
		else
			cp_plane_tick(w.p, w.now += 6000 * MS);
		turn(), turn(), turn();
		assert_false(cp_plane_up(w.p));
		assert_int_equal(w.dp.hellos, i + 1);
		cp_plane_tick(w.p, w.now += 1000 * MS); // it would say the same again: not yet
		turn(), turn(), turn();
		assert_int_equal(w.dp.hellos, i + 1);
		w.dp.hello = good;
	}
	cp_plane_tick(w.p, w.now += 6000 * MS);
	settle();
	assert_true(cp_plane_up(w.p));
}

static void second_daemon_waits(void **state)
{
	connect_all();
	add_endpoint(true);
	settle();
	struct cp_plane *first = w.p;
	int first_fd[4];
	memcpy(first_fd, w.fd, sizeof(w.fd));
	memset(w.fd, 0xff, sizeof(w.fd));
	w.p = plane_new(0x88);
	cp_plane_start(w.p, w.now);
	settle();
	assert_false(cp_plane_up(w.p));
	assert_int_equal(entries(), 1); // and changed nothing
	int second_fd[4];
	memcpy(second_fd, w.fd, sizeof(w.fd));
	memcpy(w.fd, first_fd, sizeof(w.fd));
	assert_true(cp_plane_up(first));
	cp_plane_free(first); // died
	memcpy(w.fd, second_fd, sizeof(w.fd));
	cp_plane_tick(w.p, w.now += 6000 * MS);
	settle();
	assert_true(cp_plane_up(w.p));
	assert_int_equal(entries(), 0); // it claimed nothing: its truth is empty
}

static void no_answer(void **state)
{
	w.dp.deaf = true;
	cp_plane_start(w.p, w.now);
	turn(), turn();
	assert_int_equal(w.p->state, CP_LINK_HELLO);
	cp_plane_tick(w.p, w.now += 11000 * MS);
	assert_int_equal(w.p->state, CP_LINK_DOWN);
	w.dp.deaf = false;
	cp_plane_tick(w.p, w.now += 1000 * MS);
	settle();
	assert_true(cp_plane_up(w.p));
}

static void dataplane_restart(void **state)
{
	connect_all();
	sh_id a = add_endpoint(true), b = add_endpoint(true), t = add_track(a);
	add_sub(t, b);
	settle();
	fake_dp_kill(&w.dp);
	memset(&w.dp.now, 0, sizeof(w.dp.now)); // its slabs too
	add_endpoint(true);                     // life goes on meanwhile
	assert_int_equal(cp_plane_del(w.p, SH_DEL_ENDPOINT, b), 0);
	settle();
	assert_int_equal(fake_dp_open(&w.dp, w.dir, 65536), 0);
	settle();
	assert_int_equal(w.ups, 2);
	assert_same();
	assert_int_equal(w.dp.now.keys[SH_ID_INDEX(a)].profile, SH_SRTP_AEAD_AES_128_GCM);
	unsigned changes = w.dp.changes;
	fake_dp_kill(&w.dp); // this time only the process
	settle();
	assert_int_equal(fake_dp_open(&w.dp, w.dir, 65536), 0);
	settle();
	assert_int_equal(w.ups, 3);
	assert_int_equal(w.dp.changes, changes); // equal entries were not touched
	assert_same();
}

static void daemon_restart(void **state)
{
	connect_all();
	sh_id a = add_endpoint(true), b = add_endpoint(true), t = add_track(a), s = add_sub(t, b);
	settle();
	plane_anew(0x99);
	assert_int_equal(cp_plane_id_claim(w.p, SH_DEL_ENDPOINT, a), 0);
	assert_int_equal(cp_plane_id_claim(w.p, SH_DEL_TRACK, t), 0);
	assert_int_equal(cp_plane_id_claim(w.p, SH_DEL_SUB, s), 0); // but then it does not set it
	struct sh_msg_endpoint_set e = sample_endpoint(a);
	struct sh_msg_track_set k = sample_track(t, a);
	assert_int_equal(cp_plane_endpoint_set(w.p, &e), 0);
	assert_int_equal(cp_plane_track_set(w.p, &k), 0);
	unsigned changes = w.dp.changes;
	connect_all();
	assert_same();
	assert_int_equal(entries(), 2);
	assert_int_equal(w.dp.changes,
	                 changes + 3); // endpoint b with its keys, and the subscription, swept
	assert_int_equal(w.dp.now.keys[SH_ID_INDEX(a)].profile,
	                 SH_SRTP_AEAD_AES_128_GCM); // kept: not ours to know
	assert_int_equal(cp_plane_del(w.p, SH_DEL_ENDPOINT, a), 0);
	settle();
	assert_int_equal(entries(), 0);
	assert_int_equal(w.dp.refusals, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(connects_and_says_so), T(refuses_another_build), T(second_daemon_waits), T(no_answer),
	    T(dataplane_restart),    T(daemon_restart),
	};

	sh_log_levels("error,plane=error");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
