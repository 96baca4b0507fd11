/* The plane against a dataplane that keeps plain tables. Time is a number here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "controlplane/plane/plane_priv.h"
#include "shared/state.h"
#include "tests/fakes/fake_dataplane.h"
#include "tests/fakes/samples.h"

#define MS 1000000ull

static struct world {
	char dir[64];
	struct fake_dp dp;
	struct cp_plane *p;
	uint64_t now;
	int fd[4];
	/* seen by the handlers */
	unsigned ups, downs, states, dtls, tracks, refusals;
	bool slabs_new;
	char reason[160];
	unsigned refused_what;
	sh_id refused_id, last_id;
	int refused_error;
	size_t dtls_len;
} w;

static void watch(int fd, bool on, void *arg)
{
	for (int i = 0; i < 4; i++) {
		if (w.fd[i] == (on ? -1 : fd)) {
			w.fd[i] = on ? fd : -1;
			return;
		}
	}
	fail_msg("watch(%d, %d) matches nothing", fd, on);
}

static void on_up(const struct sh_msg_e_hello *hello, bool slabs_new, void *arg)
{
	w.ups++;
	w.slabs_new = slabs_new;
	assert_true(cp_plane_up(w.p));
	assert_memory_equal(hello, cp_plane_hello(w.p), sizeof(*hello));
}

static void on_down(const char *reason, void *arg)
{
	w.downs++;
	snprintf(w.reason, sizeof(w.reason), "%s", reason);
	assert_false(cp_plane_up(w.p));
}

static void on_state(const struct sh_msg_endpoint_state *m, void *arg)
{
	w.states++;
	w.last_id = m->id;
}

static void on_dtls(sh_id id, const uint8_t *data, size_t len, void *arg)
{
	w.dtls++;
	w.last_id = id;
	w.dtls_len = len;
}

static void on_track(const struct sh_msg_track_state *m, void *arg)
{
	w.tracks++;
	w.last_id = m->id;
}

static void on_refused(unsigned what, sh_id id, int error, void *arg)
{
	w.refusals++;
	w.refused_what = what;
	w.refused_id = id;
	w.refused_error = error;
}

static const struct cp_plane_handlers handlers = {.up = on_up,
                                                  .down = on_down,
                                                  .endpoint_state = on_state,
                                                  .rx_dtls = on_dtls,
                                                  .track_state = on_track,
                                                  .refused = on_refused};

static struct cp_plane *plane_new(uint64_t epoch)
{
	const struct cp_plane_conf conf = {
	    .rundir = w.dir, .peer = (uid_t)-1, .epoch = epoch, .watch = watch};
	struct cp_plane *p;

	assert_int_equal(cp_plane_alloc(&p, &conf), 0);
	cp_plane_handle(p, &handlers, NULL);
	return p;
}

/* One turn of both sides; false when nothing happened. */
static bool turn(void)
{
	bool any = fake_dp_poll(&w.dp);

	for (int i = 0; i < 4; i++) {
		struct pollfd f = {.fd = w.fd[i], .events = POLLIN};
		if (w.fd[i] >= 0 && poll(&f, 1, 0) == 1) {
			cp_plane_on_readable(w.p, f.fd);
			any = true;
		}
	}
	cp_plane_flush(w.p);
	return any;
}

static void settle(void)
{
	unsigned still = 0;

	for (unsigned i = 0; i < 20000 && still < 40; i++) { // longer than a retry
		still = turn() ? 0 : still + 1;
		w.now += 5 * MS;
		cp_plane_tick(w.p, w.now);
	}
}

static void connect_all(void)
{
	cp_plane_start(w.p, w.now);
	settle();
	assert_true(cp_plane_up(w.p));
}

static int setup_capacity(uint32_t capacity)
{
	memset(&w, 0, sizeof(w));
	memset(w.fd, 0xff, sizeof(w.fd));
	w.now = 1000 * MS;
	const char *tmp = getenv("TMPDIR");
	snprintf(w.dir, sizeof(w.dir), "%.40s/shared-plane-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(w.dir) || fake_dp_open(&w.dp, w.dir, capacity))
		return -1;
	w.p = plane_new(0x77);
	return 0;
}

static int setup(void **state)
{
	return setup_capacity(65536);
}

static int setup_small(void **state)
{
	return setup_capacity(4096);
}

static int teardown(void **state)
{
	cp_plane_free(w.p);
	w.p = NULL;
	for (int i = 0; i < 4; i++)
		if (w.fd[i] >= 0)
			return -1; // a descriptor is still watched
	fake_dp_kill(&w.dp);
	char path[128];
	sh_state_path(path, sizeof(path), w.dir);
	unlink(path);
	return rmdir(w.dir) || w.dp.bad;
}

static sh_id new_id(unsigned what)
{
	sh_id id;

	assert_int_equal(cp_plane_id_new(w.p, what, &id), 0);
	return id;
}

static sh_id add_endpoint(bool keys)
{
	struct sh_msg_endpoint_set m = sample_endpoint(new_id(SH_DEL_ENDPOINT));

	assert_int_equal(cp_plane_endpoint_set(w.p, &m), 0);
	if (keys) {
		struct sh_msg_endpoint_keys k = sample_keys(m.id, SH_SRTP_AEAD_AES_128_GCM);
		assert_int_equal(cp_plane_endpoint_keys(w.p, &k), 0);
	}
	return m.id;
}

static sh_id add_track(sh_id endpoint)
{
	struct sh_msg_track_set m = sample_track(new_id(SH_DEL_TRACK), endpoint);

	assert_int_equal(cp_plane_track_set(w.p, &m), 0);
	return m.id;
}

static sh_id add_sub(sh_id track, sh_id endpoint)
{
	struct sh_msg_sub_set m = sample_sub(new_id(SH_DEL_SUB), track, endpoint);

	assert_int_equal(cp_plane_sub_set(w.p, &m), 0);
	return m.id;
}

static unsigned entries(void)
{
	unsigned n = 0;

	for (int i = 0; i < 1024; i++)
		n += !!w.dp.now.endpoint[i].id + !!w.dp.now.track[i].id + !!w.dp.now.sub[i].id;
	return n;
}

/* Every object that is desired is in the dataplane as it should be, and nothing else is. */
static void assert_same(void)
{
	unsigned n = 0;

	for (unsigned what = SH_DEL_ENDPOINT; what <= SH_DEL_SUB; what++) {
		for (uint32_t i = 0; i < w.p->ids[what].high; i++) {
			const struct cp_entry *e = w.p->ids[what].slot[i].entry;
			if (!e || !e->set || e->dying)
				continue;
			n++;
			if (what == SH_DEL_ENDPOINT)
				assert_memory_equal(&w.dp.now.endpoint[i], &e->body.endpoint.set,
				                    sizeof(e->body.endpoint.set));
			if (what == SH_DEL_ENDPOINT && e->keyed)
				assert_memory_equal(&w.dp.now.keys[i], &e->body.endpoint.keys,
				                    sizeof(e->body.endpoint.keys));
			if (what == SH_DEL_TRACK)
				assert_memory_equal(&w.dp.now.track[i], &e->body.track,
				                    sizeof(e->body.track));
			if (what == SH_DEL_SUB)
				assert_memory_equal(&w.dp.now.sub[i], &e->body.sub,
				                    sizeof(e->body.sub));
		}
	}
	assert_int_equal(entries(), n);
}

/* ---- the link ---- */

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

/* ---- state ---- */

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

/* ---- ids ---- */

static int set_slot(sh_id id, uint32_t group, uint8_t at)
{
	struct sh_msg_track_set m = {
	    .id = id, .group = group, .kind = SH_KIND_AUDIO, .layers = 1, .flags = SH_TRACK_SLOT, .slot = at};

	for (unsigned i = 0; i < SH_MAX_PTS; i++)
		m.pt[i] = (struct sh_track_pt){.pt = 255, .apt_slot = 255};
	m.pt[0] = (struct sh_track_pt){.pt = 111, .codec = SH_CODEC_OPUS, .apt_slot = 255, .clock_hz = 48000};
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

/* From slot to slot, as long as they are of one group and kind; and a slot takes along only what is at it then. */
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

/* ---- restarts ---- */

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
	cp_plane_free(w.p);
	w.p = plane_new(0x99);
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
	cp_plane_free(w.p);
	w.p = plane_new(0x77);
	sh_slabs_close(&s);
	w.p->ids[SH_DEL_ENDPOINT].limit = w.p->ids[SH_DEL_TRACK].limit = 8;
	for (unsigned i = 0; i < 8; i++) {
		id = new_id(SH_DEL_ENDPOINT);
		assert_int_equal(SH_ID_GEN(id), 0x79 + SH_ID_INDEX(id) + 1);
		id = new_id(SH_DEL_TRACK);
		assert_int_equal(SH_ID_GEN(id), SH_ID_INDEX(id) == 7 ? 1 : 0x78);
	}
}

/* ---- refusals ---- */

struct refusal {
	unsigned type;
	sh_id id;
	int error;
	unsigned times; // then no more
};

static int refuse(const struct fake_record *r, void *arg)
{
	struct refusal *f = arg;
	sh_id id;

	memcpy(&id, r->body, sizeof(id));
	if (r->type != f->type || id != f->id || f->times == 0)
		return 0;
	f->times--;
	return f->error;
}

static void one_bad_record_stops_only_itself(void **state)
{
	connect_all();
	sh_id a = add_endpoint(true), bad = add_endpoint(true), ta = add_track(a),
	      tbad = add_track(bad);
	sh_id s1 = add_sub(ta, bad);
	add_sub(tbad, a);
	struct refusal f = {SH_MSG_ENDPOINT_SET, bad, -EINVAL, 1000};
	w.dp.refuse = refuse;
	w.dp.arg = &f;
	settle();
	assert_int_equal(w.refusals, 1);
	assert_int_equal(w.refused_what, SH_DEL_ENDPOINT);
	assert_int_equal(w.refused_id, bad);
	assert_int_equal(w.refused_error, -EINVAL);
	assert_int_equal(w.dp.refusals, 1); // what hangs on it was not even tried
	assert_int_equal(entries(), 2);
	assert_int_equal(w.dp.now.keys[SH_ID_INDEX(a)].profile, SH_SRTP_AEAD_AES_128_GCM);
	/* More hangs on it later; then it becomes acceptable, by being set to something else. */
	struct sh_msg_sub_set u = sample_sub(s1, ta, bad);
	u.flags |= SH_SUB_PAUSED;
	assert_int_equal(cp_plane_sub_set(w.p, &u), 0);
	add_track(bad);
	settle();
	assert_int_equal(entries(), 2);
	assert_int_equal(w.dp.refusals, 1);
	f.times = 0;
	struct sh_msg_endpoint_set e = sample_endpoint(bad);
	e.rtcp_ssrc = 4;
	assert_int_equal(cp_plane_endpoint_set(w.p, &e), 0);
	settle();
	assert_same();
	assert_int_equal(entries(), 7);
	assert_int_equal(w.dp.refusals, 1);
}

static void refused_then_deleted(void **state)
{
	connect_all();
	sh_id bad = add_endpoint(true);
	add_track(bad);
	struct refusal f = {SH_MSG_ENDPOINT_KEYS, bad, -EINVAL, 1};
	w.dp.refuse = refuse;
	w.dp.arg = &f;
	settle();
	assert_int_equal(w.refused_id, bad);
	assert_int_equal(cp_plane_del(w.p, SH_DEL_ENDPOINT, bad), 0);
	add_endpoint(true);
	settle();
	assert_same();
	assert_int_equal(w.dp.refusals, 1); // no DEL of what never arrived
}

/* A ticket is good once the transaction that carries what was set until then was applied. */
static void tickets(void **state)
{
	struct refusal f = {SH_MSG_ENDPOINT_SET, 0, -EINVAL, 1};
	struct sh_msg_endpoint_set m;
	uint64_t t;
	sh_id id;

	connect_all();
	id = add_endpoint(false);
	t = cp_plane_ticket(w.p, SH_DEL_ENDPOINT, id);
	assert_true(t && !cp_plane_told(w.p, t));
	cp_plane_flush(w.p); // on its way
	assert_true(cp_plane_ticket(w.p, SH_DEL_ENDPOINT, id) == t && !cp_plane_told(w.p, t));
	m = sample_endpoint(id);
	m.rtcp_ssrc++;
	assert_int_equal(cp_plane_endpoint_set(w.p, &m), 0); // the next one's
	assert_true(cp_plane_ticket(w.p, SH_DEL_ENDPOINT, id) == t + 1);
	settle();
	assert_true(cp_plane_told(w.p, t + 1));
	assert_int_equal(cp_plane_ticket(w.p, SH_DEL_ENDPOINT, id), 0);
	assert_int_equal(cp_plane_ticket(w.p, SH_DEL_ENDPOINT, SH_ID(999, 1)), 0);
	m.rtcp_ssrc++;
	assert_int_equal(cp_plane_endpoint_set(w.p, &m), 0);
	f.id = add_endpoint(false); // of the same transaction, which is refused for it
	w.dp.refuse = refuse;
	w.dp.arg = &f;
	t = cp_plane_ticket(w.p, SH_DEL_ENDPOINT, id);
	assert_false(cp_plane_told(w.p, t));
	settle();
	assert_true(cp_plane_told(w.p, t));
	assert_int_equal(w.p->counts.commits_refused, 1);
	fake_dp_kill(&w.dp);
	settle();
	m.rtcp_ssrc++;
	assert_int_equal(cp_plane_endpoint_set(w.p, &m), 0);
	assert_int_equal(cp_plane_ticket(w.p, SH_DEL_ENDPOINT, id), 0); // nobody to wait for
	assert_true(cp_plane_told(w.p, t + 1000));
}

static void deleted_while_refused(void **state)
{
	connect_all();
	sh_id bad = add_endpoint(true), good = add_endpoint(true);
	struct refusal f = {SH_MSG_ENDPOINT_SET, good, -EINVAL, 1};
	w.dp.refuse = refuse;
	w.dp.arg = &f;
	cp_plane_flush(w.p); // in the ring, unanswered
	assert_int_equal(cp_plane_del(w.p, SH_DEL_ENDPOINT, bad), 0);
	assert_int_equal(cp_plane_del(w.p, SH_DEL_ENDPOINT, good), 0);
	settle();
	assert_int_equal(entries(), 0);
	assert_int_equal(w.dp.refusals, 1);
	assert_same();
}

static void unknown_deletion_is_done(void **state)
{
	connect_all();
	sh_id a = add_endpoint(true);
	settle();
	memset(&w.dp.now, 0, sizeof(w.dp.now)); // lost it, somehow
	assert_int_equal(cp_plane_del(w.p, SH_DEL_ENDPOINT, a), 0);
	sh_id b = add_endpoint(true);
	settle();
	assert_int_equal(w.dp.refusals, 1);
	assert_int_equal(w.refusals, 0);
	assert_int_equal(w.dp.now.endpoint[SH_ID_INDEX(b)].id, b);
	assert_int_equal(w.p->ids[SH_DEL_ENDPOINT].slot[SH_ID_INDEX(a)].free, true);
}

static void busy_is_tried_again(void **state)
{
	connect_all();
	sh_id a = add_endpoint(true);
	struct refusal f = {SH_MSG_ENDPOINT_SET, a, -EBUSY, 5};
	w.dp.refuse = refuse;
	w.dp.arg = &f;
	settle();
	for (int i = 0; i < 20; i++)
		settle();
	assert_int_equal(w.refusals, 0);
	assert_int_equal(w.dp.refusals, 5);
	assert_same();
	f.times = 1000; // but not for ever
	f.id = add_endpoint(true);
	for (int i = 0; i < 200; i++)
		settle();
	assert_int_equal(w.refusals, 1);
	assert_int_equal(w.refused_error, -EBUSY);
}

static void refused_as_a_whole(void **state)
{
	connect_all();
	struct sh_msg_committed m = {.error = -EPROTO, .record = 1000};
	w.dp.mute = true;
	add_endpoint(true);
	settle();
	m.txn = w.p->txn.number + 1;
	assert_true(fake_dp_event(&w.dp, SH_MSG_COMMITTED, &m,
	                          sizeof(m))); // answers something else: ignored
	settle();
	assert_true(cp_plane_up(w.p));
	m.txn--;
	assert_true(fake_dp_event(&w.dp, SH_MSG_COMMITTED, &m, sizeof(m)));
	w.dp.mute = false;
	turn();
	assert_int_equal(w.downs, 1);
	cp_plane_tick(w.p, w.now += 2000 * MS);
	settle();
	assert_int_equal(w.ups, 2); // from nothing
	assert_same();
}

/* ---- a full ring ---- */

static void nothing_is_lost_by_a_full_ring(void **state)
{
	static sh_id id[600];

	connect_all();
	w.dp.deaf = true;
	for (int i = 0; i < 300; i++)
		id[i] = add_endpoint(true);
	for (int i = 0; i < 50; i++)
		turn();
	struct cp_plane_counts n;
	cp_plane_counts(w.p, &n);
	assert_true(n.ring_full > 0);
	assert_true(cp_plane_wait(w.p, w.now) <= 10 * MS);
	assert_true(cp_plane_tick(w.p, w.now) <= 10 * MS); // wants to be called soon
	/* Changes and deletions of what was sent, of what waits, and of what comes later. */
	for (int i = 0; i < 300; i += 3)
		assert_int_equal(cp_plane_del(w.p, SH_DEL_ENDPOINT, id[i]), 0);
	for (int i = 1; i < 300; i += 3) {
		struct sh_msg_endpoint_set m = sample_endpoint(id[i]);
		m.rtcp_ssrc = (uint32_t)i;
		assert_int_equal(cp_plane_endpoint_set(w.p, &m), 0);
	}
	for (int i = 300; i < 600; i++)
		id[i] = add_endpoint(i & 1);
	uint32_t number = 7;
	assert_int_equal(cp_plane_tx_packet(w.p, id[1], (uint8_t *)&number, 4), 0);
	w.dp.deaf = false;
	w.dp.read_max = 3;
	settle();
	assert_same();
	assert_int_equal(entries(), 500);
	assert_int_equal(w.dp.refusals, 0);
	assert_int_equal(w.dp.packets, 1);
}

/* An endpoint whose body is in the ring and whose keys are not, deleted at that moment. */
static void deleted_between_body_and_keys(void **state)
{
	uint8_t data[240] = {0};
	unsigned met = 0;

	connect_all();
	sh_id first = add_endpoint(false);
	settle();
	for (size_t shift = 1; shift <= sizeof(data); shift += 24) {
		w.dp.deaf = true;
		assert_int_equal(cp_plane_tx_packet(w.p, first, data, shift),
		                 0); // moves where it stops
		for (int i = 0; i < 40; i++)
			add_endpoint(true);
		cp_plane_flush(w.p);
		struct cp_entry *e = TAILQ_FIRST(&w.p->txn.todo[SH_DEL_ENDPOINT]);
		assert_non_null(e);
		met += e->sent == CP_DIRTY_SET;
		assert_int_equal(cp_plane_del(w.p, SH_DEL_ENDPOINT, e->id), 0);
		w.dp.deaf = false;
		settle();
		assert_same();
	}
	assert_true(met > 0);
	assert_int_equal(w.dp.refusals, 0);
}

static void packets_keep_their_order(void **state)
{
	connect_all();
	sh_id a = add_endpoint(true), t = add_track(a);
	uint8_t data[SH_PACKET_MAX + 1] = {0};
	settle();
	assert_int_equal(cp_plane_tx_packet(w.p, a, data, 0), -EINVAL);
	assert_int_equal(cp_plane_tx_packet(w.p, a, data, sizeof(data)), -EINVAL);
	assert_int_equal(cp_plane_tx_packet(w.p, a + 1, data, 10), -ESTALE);
	assert_int_equal(cp_plane_keyframe(w.p, t), 0);
	assert_int_equal(cp_plane_keyframe(w.p, a + 50), -ESTALE);
	w.dp.deaf = true;
	uint32_t accepted = 0;
	for (uint32_t i = 0; i < 2000; i++) {
		memcpy(data, &accepted, 4);
		int err = cp_plane_tx_packet(w.p, a, data, 4 + i % 1400);
		assert_true(err == 0 || err == -ENOBUFS);
		accepted += err == 0;
	}
	assert_true(accepted > CP_WAITING_MAX && accepted < 1200);
	w.dp.deaf = false;
	settle();
	assert_int_equal(w.dp.packets, accepted);
	for (uint32_t i = 0; i < accepted; i++)
		assert_int_equal(w.dp.packet_number[i], i);
	assert_int_equal(w.dp.keyframes, 1);
	fake_dp_kill(&w.dp);
	settle();
	assert_int_equal(cp_plane_tx_packet(w.p, a, data, 4), -ENOTCONN);
}

/* ---- events ---- */

static void events_reach_their_handlers(void **state)
{
	_Alignas(8) uint8_t body[SAMPLE_MAX];

	connect_all();
	sh_id a = add_endpoint(true), t = add_track(a);
	settle();
	struct sh_msg_endpoint_state es = {.id = a,
	                                   .ice = SH_ICE_CONNECTED,
	                                   .local = sample_addr(1, 10000),
	                                   .remote = sample_addr(9, 4000)};
	assert_true(fake_dp_event(&w.dp, SH_MSG_ENDPOINT_STATE, &es, sizeof(es)));
	settle();
	assert_int_equal(w.states, 1);
	assert_int_equal(w.last_id, a);
	struct sh_msg_packet pk = {.endpoint = a, .len = 33};
	assert_true(fake_dp_event(&w.dp, SH_MSG_RX_DTLS, &pk, sh_msg_packet_size(33)));
	settle();
	assert_int_equal(w.dtls, 1);
	assert_int_equal(w.dtls_len, 33);
	struct sh_msg_track_state ts = {.id = t, .layer_active = 1, .ssrc = {5}};
	assert_true(fake_dp_event(&w.dp, SH_MSG_TRACK_STATE, &ts, sizeof(ts)));
	settle();
	assert_int_equal(w.tracks, 1);

	/* Of an id that is gone: normal, silent. */
	es.id = SH_ID(SH_ID_INDEX(a), SH_ID_GEN(a) - 1);
	assert_true(fake_dp_event(&w.dp, SH_MSG_ENDPOINT_STATE, &es, sizeof(es)));
	/* Commands, a second hello, unknown types, wrong lengths: counted and skipped. */
	for (unsigned type = 1; type < 70; type++) {
		uint32_t len = sample(type, body);
		if (sh_msg_direction(type) == 'E' && type != SH_MSG_E_HELLO &&
		    type != SH_MSG_COMMITTED)
			len--;
		assert_true(fake_dp_event(&w.dp, type, body, len));
	}
	struct sh_rec *huge = sh_ring_reserve(&w.dp.link.tx, SH_MSG_RX_DTLS, 0, 60000);
	assert_non_null(huge);
	sh_ring_commit(&w.dp.link.tx);
	settle();
	struct cp_plane_counts n;
	cp_plane_counts(w.p, &n);
	assert_int_equal(n.events_stale, 1);
	assert_int_equal(n.events_bad, 69 + 1);
	assert_true(cp_plane_up(w.p));
	assert_int_equal(w.states + w.dtls + w.tracks, 3);
}

static void a_corrupt_ring_ends_the_link(void **state)
{
	connect_all();
	add_endpoint(true);
	settle();
	w.dp.link.tx.ring->head += 3;
	sh_link_again(&w.p->link);
	turn();
	assert_int_equal(w.downs, 1);
	assert_string_equal(w.reason, "its ring is corrupt");
	cp_plane_tick(w.p, w.now += 6000 * MS);
	settle();
	assert_true(cp_plane_up(w.p)); // a fresh ring
	assert_same();
}

static void endless_events_let_others_live(void **state)
{
	connect_all();
	sh_id a = add_endpoint(true);
	settle();
	struct sh_msg_packet pk = {.endpoint = a, .len = 1};
	for (int i = 0; i < 2000; i++)
		assert_true(fake_dp_event(&w.dp, SH_MSG_RX_DTLS, &pk, sh_msg_packet_size(1)));
	turn();
	assert_int_equal(w.dtls, 512);
	settle();
	assert_int_equal(w.dtls, 2000);
}

/* ---- anything, in any order ---- */

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

#define T(f)     cmocka_unit_test_setup_teardown(f, setup, teardown)
#define SMALL(f) cmocka_unit_test_setup_teardown(f, setup_small, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(connects_and_says_so),
	    T(refuses_another_build),
	    T(second_daemon_waits),
	    T(no_answer),
	    T(told_before_there_is_anyone),
	    T(one_commit_a_turn),
	    T(setters_refuse),
	    T(deleting_takes_what_hangs_on_it),
	    T(slots),
	    T(sub_moves),
	    T(tickets),
	    T(an_index_is_not_reused_too_early),
	    T(generations_wrap_past_zero),
	    T(freed_indexes_rest),
	    T(claims),
	    T(dataplane_restart),
	    T(daemon_restart),
	    T(generations_go_on_from_the_slabs),
	    T(one_bad_record_stops_only_itself),
	    T(refused_then_deleted),
	    T(deleted_while_refused),
	    T(unknown_deletion_is_done),
	    T(busy_is_tried_again),
	    T(refused_as_a_whole),
	    SMALL(nothing_is_lost_by_a_full_ring),
	    SMALL(deleted_between_body_and_keys),
	    SMALL(packets_keep_their_order),
	    T(events_reach_their_handlers),
	    T(a_corrupt_ring_ends_the_link),
	    T(endless_events_let_others_live),
	    cmocka_unit_test_setup_teardown(converges, quiet, loud),
	    cmocka_unit_test(converges_by_differences),
	};

	sh_log_levels("error,plane=error");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
