/* What is desired: told in transactions, refused at the setter, deleted with what hangs on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include "controlplane/plane/plane_fixture.h"
#include "tests/fakes/samples.h"

static void told_before_there_is_anyone(void **state)
{
	fake_dp_kill(&w.dp);
	cp_plane_start(w.p, w.now);
	sh_id a = add_endpoint(true), b = add_endpoint(false), t = add_track(a);
	add_sub(t, b);
	sh_id gone = add_endpoint(true);
	assert_int_equal(cp_plane_del(w.p, SH_DEL_ENDPOINT, gone), 0);
	settle();
	assert_int_equal(fake_dp_open(&w.dp, w.dir, 65536), 0);
	settle();
	assert_same();
	assert_int_equal(entries(), 4);
	assert_int_equal(w.dp.commits, 1);
	assert_int_equal(w.dp.now.keys[SH_ID_INDEX(b)].profile, 0);
}

static void one_commit_a_turn(void **state)
{
	connect_all();
	unsigned before = w.dp.commits;
	sh_id a = add_endpoint(true), t = add_track(a);
	for (int i = 0; i < 10; i++)
		add_sub(t, add_endpoint(false));
	cp_plane_flush(w.p);
	add_endpoint(true); // while the first is unanswered: the next one
	add_endpoint(true);
	cp_plane_flush(w.p);
	settle();
	assert_int_equal(w.dp.commits, before + 2);
	assert_same();
	struct sh_msg_endpoint_set same = sample_endpoint(a);
	struct sh_msg_endpoint_keys keys = sample_keys(a, SH_SRTP_AEAD_AES_128_GCM);
	assert_int_equal(cp_plane_endpoint_set(w.p, &same), 0);
	assert_int_equal(cp_plane_endpoint_keys(w.p, &keys), 0);
	settle();
	assert_int_equal(w.dp.commits, before + 2); // nothing changed, nothing said
	same.rtcp_ssrc++;
	keys.rx.bytes[3]++;
	assert_int_equal(cp_plane_endpoint_set(w.p, &same), 0);
	assert_int_equal(cp_plane_endpoint_keys(w.p, &keys), 0);
	settle();
	assert_int_equal(w.dp.commits, before + 3);
	assert_same();
}

static void setters_refuse(void **state)
{
	connect_all();
	sh_id a = add_endpoint(false), t = add_track(a), s = add_sub(t, a),
	      unset = new_id(SH_DEL_ENDPOINT);
	struct sh_msg_endpoint_set e = sample_endpoint(a);
	struct sh_msg_track_set k = sample_track(t, a);
	struct sh_msg_sub_set u = sample_sub(s, t, a);
	struct sh_msg_endpoint_keys y = sample_keys(unset, SH_SRTP_AEAD_AES_128_GCM);

	e.worker = 0;
	assert_int_equal(cp_plane_endpoint_set(w.p, &e), -EINVAL); // fixed for life
	e = sample_endpoint(unset);
	e.worker = 2;
	assert_int_equal(cp_plane_endpoint_set(w.p, &e), -ERANGE);
	e.pwd_len = 3;
	assert_int_equal(cp_plane_endpoint_set(w.p, &e), -EINVAL);
	e = sample_endpoint(SH_ID(0, 9));
	assert_int_equal(cp_plane_endpoint_set(w.p, &e), -ESTALE);
	e = sample_endpoint(SH_ID(99999, 1));
	assert_int_equal(cp_plane_endpoint_set(w.p, &e), -ESTALE);
	assert_int_equal(cp_plane_endpoint_keys(w.p, &y), -ENOENT);
	y.profile = 99;
	assert_int_equal(cp_plane_endpoint_keys(w.p, &y), -EINVAL);
	k.endpoint = unset;
	assert_int_equal(cp_plane_track_set(w.p, &k), -ENOENT);
	u.endpoint = unset;
	assert_int_equal(cp_plane_sub_set(w.p, &u), -ENOENT);
	u = sample_sub(s, SH_ID(77, 1), a);
	assert_int_equal(cp_plane_sub_set(w.p, &u), -ENOENT);
	assert_int_equal(cp_plane_del(w.p, 0, a), -ESTALE);
	assert_int_equal(cp_plane_del(w.p, 4, a), -ESTALE);
	assert_int_equal(cp_plane_id_new(w.p, 7, &a), -EINVAL);
	settle();
	assert_same();
}

static void deleting_takes_what_hangs_on_it(void **state)
{
	connect_all();
	sh_id a = add_endpoint(true), b = add_endpoint(true);
	sh_id ta = add_track(a), tb = add_track(b), s1 = add_sub(ta, b), s2 = add_sub(tb, a);
	settle();
	assert_int_equal(entries(), 6);
	assert_int_equal(cp_plane_del(w.p, SH_DEL_ENDPOINT, a), 0);
	assert_int_equal(cp_plane_del(w.p, SH_DEL_TRACK, ta), -ESTALE);
	assert_int_equal(cp_plane_del(w.p, SH_DEL_SUB, s1), -ESTALE);
	assert_int_equal(cp_plane_del(w.p, SH_DEL_SUB, s2), -ESTALE);
	settle();
	assert_same();
	assert_int_equal(entries(), 2);
	assert_int_equal(w.dp.refusals, 0);
	/* Explicitly, leaves first, in one turn: each DEL still finds its object. */
	sh_id t2 = add_track(b), s3 = add_sub(t2, b);
	settle();
	assert_int_equal(cp_plane_del(w.p, SH_DEL_SUB, s3), 0);
	assert_int_equal(cp_plane_del(w.p, SH_DEL_TRACK, t2), 0);
	assert_int_equal(cp_plane_del(w.p, SH_DEL_ENDPOINT, b), 0);
	settle();
	assert_int_equal(entries(), 0);
	assert_int_equal(w.dp.refusals, 0);
	struct cp_plane_counts n;
	cp_plane_counts(w.p, &n);
	assert_int_equal(n.endpoints + n.tracks + n.subs, 0);
}

static int set_slot(sh_id id, uint32_t group, uint8_t at)
{
	struct sh_msg_track_set m = {.id = id,
	                             .group = group,
	                             .kind = SH_KIND_AUDIO,
	                             .layers = 1,
	                             .flags = SH_TRACK_SLOT,
	                             .slot = at};

	for (unsigned i = 0; i < SH_MAX_PTS; i++)
		m.pt[i] = (struct sh_track_pt){.pt = 255, .apt_slot = 255};
	m.pt[0] = (struct sh_track_pt){
	    .pt = 111, .codec = SH_CODEC_OPUS, .apt_slot = 255, .clock_hz = 48000};
	return cp_plane_track_set(w.p, &m);
}

/* A slot hangs on no endpoint; subscriptions hang on it. */
static void slots(void **state)
{
	sh_id e, slot, s;

	connect_all();
	e = add_endpoint(true);
	slot = new_id(SH_DEL_TRACK);
	assert_int_equal(set_slot(slot, 5, 2), 0);
	assert_int_equal(set_slot(slot, 6, 2), -EINVAL);
	assert_int_equal(set_slot(slot, 5, 3), -EINVAL);
	s = add_sub(slot, e);
	settle();
	assert_same();
	assert_int_equal(w.dp.now.track[SH_ID_INDEX(slot)].endpoint, 0);
	assert_int_equal(w.dp.now.sub[SH_ID_INDEX(s)].track, slot);
	assert_int_equal(cp_plane_del(w.p, SH_DEL_ENDPOINT, e), 0); // the slot stays
	settle();
	assert_same();
	assert_int_equal(w.dp.now.track[SH_ID_INDEX(slot)].id, slot);
	e = add_endpoint(false);
	s = add_sub(slot, e);
	settle();
	assert_int_equal(cp_plane_del(w.p, SH_DEL_TRACK, slot), 0); // and takes them along
	settle();
	assert_same();
	assert_int_equal(w.dp.now.sub[SH_ID_INDEX(s)].id, 0);
}

/* From slot to slot, as long as they are of one group and kind; and a slot takes along only what is
 * at it then. */
static void sub_moves(void **state)
{
	sh_id e, from, to, other, s;
	struct sh_msg_sub_set m;

	connect_all();
	e = add_endpoint(true);
	from = new_id(SH_DEL_TRACK);
	to = new_id(SH_DEL_TRACK);
	other = new_id(SH_DEL_TRACK);
	assert_int_equal(set_slot(from, 5, 0), 0);
	assert_int_equal(set_slot(to, 5, 1), 0);
	assert_int_equal(set_slot(other, 6, 0), 0);
	s = add_sub(from, e);
	settle();
	m = sample_sub(s, to, e);
	assert_int_equal(cp_plane_sub_set(w.p, &m), 0);
	settle();
	assert_same();
	assert_int_equal(w.dp.now.sub[SH_ID_INDEX(s)].track, to);
	m.track = other;
	assert_int_equal(cp_plane_sub_set(w.p, &m), -EINVAL); // of another group
	m.track = add_track(e);
	assert_int_equal(cp_plane_sub_set(w.p, &m), -EINVAL); // no slot
	assert_int_equal(cp_plane_del(w.p, SH_DEL_TRACK, from), 0);
	settle();
	assert_same();
	assert_int_equal(w.dp.now.sub[SH_ID_INDEX(s)].track, to);
	assert_int_equal(cp_plane_del(w.p, SH_DEL_TRACK, to), 0);
	settle();
	assert_same();
	assert_int_equal(w.dp.now.sub[SH_ID_INDEX(s)].id, 0);
	assert_int_equal(w.dp.refusals, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(told_before_there_is_anyone),
	    T(one_commit_a_turn),
	    T(setters_refuse),
	    T(deleting_takes_what_hangs_on_it),
	    T(slots),
	    T(sub_moves),
	};

	sh_log_levels("error,plane=error");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
