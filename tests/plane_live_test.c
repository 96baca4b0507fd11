/* The daemon's plane against the real callstack-dataplane (a null port): random changes, kills of
 * either, and in the end the slabs hold what is desired, and nothing else. Usage: plane_live_test
 * PATH-OF-callstack-dataplane */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "controlplane/plane/plane_priv.h"
#include "shared/state.h"
#include "tests/fakes/samples.h"

enum { POOL = 60, WAIT_MS = 30000 };

static const char *binary;
static char dir[64], state_path[96];
static pid_t pid;
static struct cp_plane *p;
static int fds[4] = {-1, -1, -1, -1};
static sh_id pool[SH_DEL_SUB + 1][POOL];
static unsigned refusals, ups;
static uint32_t seed = 1;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t rnd(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

static void spawn(void)
{
	char set[96];

	snprintf(set, sizeof(set), "rundir=%s", dir);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(binary, binary, "--set", set, "--set", "ports=[{kind: 'null'}]", "--set",
		      "hugepages=off", "--set", "mbufs=4096", "--set", "log=warn", "--set",
		      "max_endpoints=256", "--set", "max_tracks=256", "--set", "max_subs=256",
		      NULL);
		_exit(127);
	}
}

static void kill_dataplane(void)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void watch(int fd, bool on, void *arg)
{
	for (int i = 0; i < 4; i++) {
		if (fds[i] == (on ? -1 : fd)) {
			fds[i] = on ? fd : -1;
			return;
		}
	}
	fail();
}

static void on_up(const struct sh_msg_e_hello *hello, bool slabs_new, void *arg)
{
	ups++;
}

static void on_refused(unsigned what, sh_id id, int error, void *arg)
{
	refusals++;
}

static void new_plane(uint64_t epoch)
{
	static const struct cp_plane_handlers handlers = {.up = on_up, .refused = on_refused};
	const struct cp_plane_conf conf = {
	    .rundir = dir, .peer = (uid_t)-1, .epoch = epoch, .watch = watch};

	assert_int_equal(cp_plane_alloc(&p, &conf), 0);
	cp_plane_handle(p, &handlers, NULL);
}

static void turn(int ms)
{
	struct pollfd f[4];

	for (int i = 0; i < 4; i++)
		f[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
	poll(f, 4, ms);
	for (int i = 0; i < 4; i++)
		if (f[i].revents)
			cp_plane_on_readable(p, f[i].fd);
	cp_plane_tick(p, now_ns());
}

static bool done(void)
{
	return cp_plane_up(p) && p->txn.state == CP_TXN_IDLE && !cp_txn_pending(p);
}

static void settle(void)
{
	for (uint64_t end = now_ns() + WAIT_MS * 1000000ull; !done() && now_ns() < end;)
		turn(2);
	assert_true(done());
}

/* ---- what is desired, and what is ---- */

static void random_step(void)
{
	unsigned what = 1 + rnd(3), i = rnd(POOL);
	sh_id *id = &pool[what][i];

	if (rnd(8) == 0) {
		if (*id)
			cp_plane_del(p, what, *id);
		*id = 0;
		return;
	}
	if (*id == 0 && cp_plane_id_new(p, what, id))
		return; // all are in use or wait for their deletion to be confirmed
	struct sh_msg_endpoint_set e = sample_endpoint(*id);
	struct sh_msg_endpoint_keys y = sample_keys(*id, SH_SRTP_AEAD_AES_256_GCM);
	struct sh_msg_track_set t = sample_track(*id, pool[1][rnd(POOL)]);
	struct sh_msg_sub_set s = sample_sub(*id, pool[2][rnd(POOL)], pool[1][rnd(POOL)]);
	/* What must differ between objects: ufrags, SSRCs. */
	snprintf((char *)e.ufrag, 9, "%08x", *id);
	e.worker = 0;
	e.rtcp_ssrc = 1 + rnd(1000);
	y.tx.bytes[0] = (uint8_t)rnd(256);
	s.max_layer = (uint8_t)rnd(3);
	snprintf((char *)t.mid, 8, "%x", SH_ID_INDEX(*id));
	t.mid_len = (uint8_t)strlen((char *)t.mid);
	for (unsigned l = 0; l < t.layers; l++) {
		t.layer[l].ssrc = *id * 8 + l * 2;
		t.layer[l].rtx_ssrc = *id * 8 + l * 2 + 1;
	}
	int err = what == 1   ? cp_plane_endpoint_set(p, &e)
	          : what == 2 ? cp_plane_track_set(p, &t)
	                      : cp_plane_sub_set(p, &s);
	if (what == 1 && rnd(2))
		err = cp_plane_endpoint_keys(p, &y);
	if (err == -ESTALE)
		*id = 0; // went with its endpoint or track
}

static bool entry_same(const struct sh_slabs *s, const struct cp_entry *e, uint32_t i)
{
	switch (e->what) {
	case SH_DEL_ENDPOINT:
		return s->endpoint[i].state == SH_LIVE &&
		       !memcmp(&s->endpoint[i].set, &e->body.endpoint.set,
		               sizeof(s->endpoint[i].set)) &&
		       (!e->keyed || !memcmp(&s->endpoint[i].keys, &e->body.endpoint.keys,
		                             sizeof(s->endpoint[i].keys)));
	case SH_DEL_TRACK:
		return s->track[i].state == SH_LIVE &&
		       !memcmp(&s->track[i].set, &e->body.track, sizeof(s->track[i].set));
	default:
		return s->sub[i].state == SH_LIVE &&
		       !memcmp(&s->sub[i].set, &e->body.sub, sizeof(s->sub[i].set));
	}
}

static unsigned live(const struct sh_slabs *s)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < s->endpoints; i++)
		n += s->endpoint[i].state == SH_LIVE;
	for (uint32_t i = 0; i < s->tracks; i++)
		n += s->track[i].state == SH_LIVE;
	for (uint32_t i = 0; i < s->subs; i++)
		n += s->sub[i].state == SH_LIVE;
	return n;
}

static unsigned assert_same(void)
{
	struct sh_slabs s;
	unsigned n = 0;

	assert_int_equal(sh_slabs_open(&s, state_path), 0);
	for (unsigned what = SH_DEL_ENDPOINT; what <= SH_DEL_SUB; what++) {
		for (uint32_t i = 0; i < p->ids[what].high; i++) {
			const struct cp_entry *e = p->ids[what].slot[i].entry;
			if (!e || !e->set || e->dying)
				continue;
			n++;
			if (!entry_same(&s, e, i))
				fail_msg("object %u id %#x differs", what, e->id);
		}
	}
	assert_int_equal(live(&s), n);
	sh_slabs_close(&s);
	return n;
}

static void steps(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		random_step();
		if (rnd(12) == 0)
			turn(0);
	}
	settle();
}

/* ---- the stories ---- */

static void differences(void **state)
{
	cp_plane_start(p, now_ns());
	settle();
	for (unsigned round = 0; round < 20; round++) {
		steps(500);
		assert_true(assert_same() > 20);
		assert_int_equal(refusals, 0);
	}
}

static void dataplane_killed(void **state)
{
	for (unsigned round = 0; round < 4; round++) {
		unsigned before = ups;
		for (unsigned i = 0; i < 100; i++)
			random_step();
		turn(0); // something may be half written
		kill_dataplane();
		if (round & 1)
			unlink(state_path); // as after a reboot
		for (unsigned i = 0; i < 100; i++)
			random_step();
		spawn();
		turn(10);
		steps(100);
		assert_true(ups > before);
		assert_true(assert_same() > 20);
	}
	assert_int_equal(refusals, 0);
}

/* The next daemon knows what the last one knew, but for the keys. */
static void daemon_killed(void **state)
{
	struct sh_slabs before, after;
	static struct sh_msg_endpoint_keys keys[256];

	assert_int_equal(sh_slabs_open(&before, state_path), 0);
	for (uint32_t i = 0; i < 256; i++)
		keys[i] = before.endpoint[i].keys;
	cp_plane_free(p);
	new_plane(0x2222);
	unsigned claimed = 0;
	for (uint32_t i = 0; i < 256; i++) {
		const struct sh_endpoint *e = &before.endpoint[i];
		if (e->state != SH_LIVE)
			continue;
		assert_int_equal(cp_plane_id_claim(p, SH_DEL_ENDPOINT, e->set.id), 0);
		assert_int_equal(cp_plane_endpoint_set(p, &e->set), 0);
		claimed++;
	}
	sh_slabs_close(&before);
	cp_plane_start(p, now_ns());
	settle();
	assert_int_equal(assert_same(), claimed); // tracks and subscriptions were not named: gone
	assert_int_equal(sh_slabs_open(&after, state_path), 0);
	for (uint32_t i = 0; i < 256; i++)
		if (after.endpoint[i].state == SH_LIVE)
			assert_memory_equal(&after.endpoint[i].keys, &keys[i], sizeof(keys[i]));
	sh_slabs_close(&after);
	memset(pool, 0, sizeof(pool));
	for (uint32_t i = 0; i < 256; i++)
		cp_plane_del(p, SH_DEL_ENDPOINT,
		             p->ids[1].high > i && p->ids[1].slot[i].entry
		                 ? p->ids[1].slot[i].entry->id
		                 : 0);
	settle();
	assert_int_equal(assert_same(), 0);
	steps(2000);
	assert_true(assert_same() > 20);
	assert_int_equal(refusals, 0);
}

static int begin(void **state)
{
	snprintf(dir, sizeof(dir), "/dev/shm/shared-live-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	sh_state_path(state_path, sizeof(state_path), dir);
	spawn();
	new_plane(0x1111);
	return 0;
}

static int finish(void **state)
{
	char path[128];

	cp_plane_free(p);
	kill_dataplane();
	unlink(state_path);
	snprintf(path, sizeof(path), "%s/%s", dir, SH_LINK_SOCKET);
	unlink(path);
	return rmdir(dir);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(differences),
	    cmocka_unit_test(dataplane_killed),
	    cmocka_unit_test(daemon_killed),
	};

	if (argc != 2)
		return 2;
	binary = argv[1];
	return cmocka_run_group_tests(tests, begin, finish);
}
