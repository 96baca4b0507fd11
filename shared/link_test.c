/* The link: two ends in one process, then across a fork and a kill. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "shared/link.h"

static char dir[64], path[108];
static struct sh_link_server server;
static struct sh_link dp; // the dataplane's end

static struct sh_link_conf conf(void)
{
	return (struct sh_link_conf){
	    .rundir = dir, .peer = (uid_t)-1, .group = (gid_t)-1, .command_capacity = 8192};
}

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	snprintf(dir, sizeof(dir), "%.40s/shared-link-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/%s", dir, SH_LINK_SOCKET);
	struct sh_link_conf c = conf();
	dp = SH_LINK_CLOSED;
	return sh_link_listen(&server, &c);
}

static int teardown(void **state)
{
	sh_link_close(&dp);
	sh_link_unlisten(&server);
	unlink(path);
	return rmdir(dir);
}

static bool readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int welcomed(struct sh_link *l)
{
	char why[160];

	return sh_link_welcomed(l, (uid_t)-1, why, sizeof(why));
}

static bool put(struct sh_link *l, uint16_t type, const char *text)
{
	void *at = sh_ring_reserve(&l->tx, type, 0, (uint32_t)strlen(text));
	if (!at)
		return false;
	memcpy(at, text, strlen(text));
	sh_ring_commit(&l->tx);
	sh_link_wake(l);
	return true;
}

static void assert_take(struct sh_link *l, uint16_t type, const char *text)
{
	struct sh_rec hdr;
	uint64_t body[32];

	assert_int_equal(sh_ring_take(&l->rx, &hdr, body, sizeof(body)), 0);
	assert_int_equal(hdr.type, type);
	assert_int_equal(hdr.len, strlen(text));
	assert_memory_equal(body, text, strlen(text));
}

static void both_ways(void **state)
{
	struct sh_link cp;
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(sh_link_accept(&server, &dp), -EAGAIN);
	assert_int_equal(sh_link_connect(&cp, path), 0);
	assert_int_equal(welcomed(&cp), -EAGAIN);
	assert_true(readable(server.fd, 1000));
	assert_int_equal(sh_link_accept(&server, &dp), 0);
	assert_true(readable(cp.sock, 1000));
	assert_int_equal(welcomed(&cp), 0);
	assert_int_equal(cp.tx.capacity, 8192);
	assert_int_equal(cp.rx.capacity, SH_LINK_CAPACITY);
	assert_int_equal(dp.rx.capacity, 8192);

	assert_false(readable(dp.rx_event, 0));
	assert_true(put(&cp, 1, "command"));
	assert_true(readable(dp.rx_event, 1000)); // it was asleep from the start
	sh_link_woken(&dp);
	assert_false(readable(dp.rx_event, 0));
	assert_take(&dp, 1, "command");
	assert_true(put(&cp, 2, "again"));
	assert_false(readable(dp.rx_event, 0)); // awake: no bell
	assert_take(&dp, 2, "again");
	assert_true(sh_ring_sleep(&dp.rx));

	assert_true(put(&dp, 33, "event"));
	assert_true(readable(cp.rx_event, 1000));
	sh_link_woken(&cp);
	sh_link_again(&cp);
	assert_true(readable(cp.rx_event, 0));
	assert_take(&cp, 33, "event");

	assert_true(sh_link_alive(&cp));
	assert_true(sh_link_alive(&dp));
	assert_false(readable(dp.sock, 0));
	sh_link_close(&cp);
	assert_true(readable(dp.sock, 1000));
	assert_false(sh_link_alive(&dp));
	assert_false(sh_link_alive(&cp));
}

/* Nobody can take the memory away under the other. */
static void sealed(void **state)
{
	struct sh_link cp;

	assert_int_equal(sh_link_connect(&cp, path), 0);
	assert_int_equal(sh_link_accept(&server, &dp), 0);
	assert_int_equal(welcomed(&cp), 0);
	assert_int_equal(ftruncate(cp.memfd, 4096), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(cp.memfd, 1 << 30), -1);
	sh_link_close(&cp);
}

static void one_daemon_at_a_time(void **state)
{
	struct sh_link first, second;
	char why[160];

	assert_int_equal(sh_link_connect(&first, path), 0);
	assert_int_equal(sh_link_accept(&server, &dp), 0);
	assert_int_equal(welcomed(&first), 0);
	int fds = open_fds();
	assert_int_equal(sh_link_connect(&second, path), 0);
	assert_int_equal(sh_link_accept(&server, &dp), -EBUSY);
	assert_int_equal(sh_link_welcomed(&second, (uid_t)-1, why, sizeof(why)), -EBUSY);
	assert_string_equal(why, "refused: another daemon is connected and alive");
	sh_link_close(&second);
	assert_int_equal(open_fds(), fds);
	assert_true(sh_link_alive(&dp)); // and the first one did not notice
	assert_true(put(&first, 1, "still here"));
	assert_take(&dp, 1, "still here");

	sh_link_close(&first);
	assert_int_equal(sh_link_connect(&second, path), 0);
	assert_int_equal(sh_link_accept(&server, &dp), 0); // the dead one made room
	assert_int_equal(welcomed(&second), 0);
	assert_int_equal(open_fds(), fds);
	struct sh_rec hdr;
	uint64_t body[4];
	assert_int_equal(sh_ring_take(&dp.rx, &hdr, body, sizeof(body)),
	                 -EAGAIN); // with rings of its own
	sh_link_close(&second);
}

static void killed_daemon(void **state)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct sh_link cp;
		if (sh_link_connect(&cp, path))
			_exit(1);
		if (!readable(cp.sock, 5000) || welcomed(&cp))
			_exit(2);
		while (put(&cp, 1, "until killed"))
			;
		pause();
	}
	assert_true(readable(server.fd, 5000));
	assert_int_equal(sh_link_accept(&server, &dp), 0);
	assert_true(readable(dp.rx_event, 5000));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(readable(dp.sock, 5000));
	assert_false(sh_link_alive(&dp));
	assert_take(&dp, 1, "until killed"); // what it had said stays readable
}

static void listening(void **state)
{
	struct sh_link_server other;
	struct sh_link_conf c = conf();
	struct sh_link cp;
	struct stat st;

	assert_int_equal(sh_link_listen(&other, &c), -EADDRINUSE);
	close(server.fd); // as a kill would leave it: the file without a listener
	assert_int_equal(sh_link_connect(&cp, path), -ECONNREFUSED);
	c.group = getgid();
	assert_int_equal(sh_link_listen(&server, &c), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	sh_link_unlisten(&server);
	assert_int_equal(sh_link_connect(&cp, path), -ENOENT);
	c.rundir = "/tmp/"
	           "a-folder-name-that-is-so-long-that-no-unix-socket-address-can-hold-it-as-these-"
	           "have-only-108-bytes";
	assert_int_equal(sh_link_listen(&other, &c), -ENAMETOOLONG);
	server.fd = -1;
}

/* ---- a dataplane that is none ---- */

static int bad_welcome(const struct sh_link_welcome *w, size_t len, const int *fds, size_t n_fds)
{
	char control[CMSG_SPACE(4 * sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec iov = {.iov_base = (void *)w, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct sh_link cp;

	assert_int_equal(sh_link_connect(&cp, path), 0);
	int sock = accept(server.fd, NULL, NULL);
	if (n_fds) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	assert_int_equal(sendmsg(sock, &msg, 0), len);
	int err = welcomed(&cp);
	sh_link_close(&cp);
	close(sock);
	return err;
}

static int memfd(size_t bytes, int seals)
{
	int fd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	if (seals)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void bad_welcomes(void **state)
{
	const struct sh_link_welcome good = {
	    .version = 1, .command_capacity = 4096, .event_capacity = 4096};
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	const size_t bytes = 2 * 8192;
	int full[4] = {memfd(bytes, seals), memfd(1, 0), memfd(1, 0), memfd(1, 0)};
	int unsealed[3] = {memfd(bytes, F_SEAL_GROW), full[1], full[2]};
	int shorter[3] = {memfd(bytes - 4096, seals), full[1], full[2]};
	int no_memory[3] = {full[1], full[1], full[2]};
	struct sh_link_welcome w = good;
	int fds = open_fds();

	assert_int_equal(bad_welcome(&good, sizeof(good), full, 3),
	                 0); // so that the others fail for their reason
	assert_int_equal(bad_welcome(&good, sizeof(good), full, 4), -EPROTO);
	assert_int_equal(bad_welcome(&good, sizeof(good), full, 2), -EPROTO);
	assert_int_equal(bad_welcome(&good, sizeof(good), NULL, 0), -EPROTO);
	assert_int_equal(bad_welcome(&good, 8, full, 3), -EPROTO);
	assert_int_equal(bad_welcome(&good, sizeof(good), unsealed, 3), -EPROTO);
	assert_int_equal(bad_welcome(&good, sizeof(good), shorter, 3), -EPROTO);
	assert_int_equal(bad_welcome(&good, sizeof(good), no_memory, 3), -EPROTO);
	w.version = 2;
	assert_int_equal(bad_welcome(&w, sizeof(w), full, 3), -EPROTO);
	w = good;
	w.command_capacity = 5000;
	assert_int_equal(bad_welcome(&w, sizeof(w), full, 3), -EPROTO);
	w = good;
	w.error = 77;
	memset(w.reason, 'x', sizeof(w.reason));
	assert_int_equal(bad_welcome(&w, sizeof(w), NULL, 0), -EPROTO);
	assert_int_equal(open_fds(), fds);
	for (int i = 0; i < 4; i++)
		close(full[i]);
	close(unsealed[0]);
	close(shorter[0]);
}

/* Whoever is neither root nor the dataplane's user nor the configured one is told so. */
static void wrong_user(void **state)
{
	const uid_t nobody = 65534;
	struct sh_link cp;
	char why[160];

	if (geteuid() != 0) {
		print_message("needs root\n");
		skip();
	}
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(chmod(path, 0666), 0);
	for (int allowed = 0; allowed < 2; allowed++) {
		server.peer = allowed ? nobody : (uid_t)-1;
		assert_int_equal(seteuid(nobody), 0);
		int err = sh_link_connect(&cp, path);
		assert_int_equal(seteuid(0), 0);
		assert_int_equal(err, 0);
		assert_int_equal(sh_link_accept(&server, &dp), allowed ? 0 : -EPERM);
		assert_int_equal(sh_link_welcomed(&cp, (uid_t)-1, why, sizeof(why)),
		                 allowed ? 0 : -EPERM);
		if (!allowed)
			assert_string_equal(why,
			                    "refused: this user may not program the dataplane");
		sh_link_close(&cp);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(both_ways), T(sealed),       T(one_daemon_at_a_time), T(killed_daemon),
	    T(listening), T(bad_welcomes), T(wrong_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
