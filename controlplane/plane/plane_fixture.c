#include "controlplane/plane/plane_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "shared/state.h"
#include "tests/fakes/samples.h"

struct world w;

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

struct cp_plane *plane_new(uint64_t epoch)
{
	const struct cp_plane_conf conf = {
	    .rundir = w.dir, .peer = (uid_t)-1, .epoch = epoch, .watch = watch};
	struct cp_plane *p;

	assert_int_equal(cp_plane_alloc(&p, &conf), 0);
	cp_plane_handle(p, &handlers, NULL);
	return p;
}

void plane_anew(uint64_t epoch)
{
	cp_plane_free(w.p);
	w.p = NULL; // for teardown, when the next one fails
	w.p = plane_new(epoch);
}

bool turn(void)
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

void settle(void)
{
	unsigned still = 0;

	for (unsigned i = 0; i < 20000 && still < 40; i++) { // longer than a retry
		still = turn() ? 0 : still + 1;
		w.now += 5 * MS;
		cp_plane_tick(w.p, w.now);
	}
}

void connect_all(void)
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

int setup(void **state)
{
	return setup_capacity(65536);
}

int setup_small(void **state)
{
	return setup_capacity(4096);
}

int teardown(void **state)
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

sh_id new_id(unsigned what)
{
	sh_id id;

	assert_int_equal(cp_plane_id_new(w.p, what, &id), 0);
	return id;
}

sh_id add_endpoint(bool keys)
{
	struct sh_msg_endpoint_set m = sample_endpoint(new_id(SH_DEL_ENDPOINT));

	assert_int_equal(cp_plane_endpoint_set(w.p, &m), 0);
	if (keys) {
		struct sh_msg_endpoint_keys k = sample_keys(m.id, SH_SRTP_AEAD_AES_128_GCM);
		assert_int_equal(cp_plane_endpoint_keys(w.p, &k), 0);
	}
	return m.id;
}

sh_id add_track(sh_id endpoint)
{
	struct sh_msg_track_set m = sample_track(new_id(SH_DEL_TRACK), endpoint);

	assert_int_equal(cp_plane_track_set(w.p, &m), 0);
	return m.id;
}

sh_id add_sub(sh_id track, sh_id endpoint)
{
	struct sh_msg_sub_set m = sample_sub(new_id(SH_DEL_SUB), track, endpoint);

	assert_int_equal(cp_plane_sub_set(w.p, &m), 0);
	return m.id;
}

unsigned entries(void)
{
	unsigned n = 0;

	for (int i = 0; i < 1024; i++)
		n += !!w.dp.now.endpoint[i].id + !!w.dp.now.track[i].id + !!w.dp.now.sub[i].id;
	return n;
}

void assert_same(void)
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
