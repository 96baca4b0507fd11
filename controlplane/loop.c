/* The event loop: libre outside, libuv inside.
 *
 * libre's re_main() waits in epoll and owns every timer. libuv, which libwebsockets runs on, is one
 * more descriptor in it: uv_backend_fd() (an epoll set itself) becomes readable when any uv handle
 * is, and uv's next timer is mirrored into a libre timer. uv puts new watchers into its epoll set
 * only inside uv_run(), so a handler of ours that makes libwebsockets want to write needs one
 * uv_run() after it: that is what a *turn* is.
 *
 * A turn: libre dispatches descriptors, then timers. Each of our handlers "touches" the loop, which
 * arms a timer of 0 ms that sorts behind all that are due; it runs last, in the same pass:
 * uv_run(NOWAIT), the turn hooks (desired state is flushed to the dataplane there), and again while
 * uv has work at once, at most ROUNDS times. What is left then comes back through an eventfd, so
 * that uv can never starve the SIP side.
 *
 * Signals come in through a signalfd: no handler, no race between the check and the wait.
 * libre indexes its table by descriptor number, so it is made as large as RLIMIT_NOFILE lets
 * numbers grow. Everything is one thread; what libuv's worker threads finish comes back through
 * uv_run(). */
#include "controlplane/loop.h"

#include <errno.h>
#include <pthread.h>
#include <re/re.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

enum {
	ROUNDS = 8,
	HOOKS_MAX = 8,
	FDS_MAX = 65536,      // numbers of descriptors, when the hard limit allows them
	UV_TIMER_MAX = 60000, // ms; a later uv timer is looked at again
};

struct watch {
	cp_fd_h *h;
	void *arg;
	int fd;
};

struct cp_timer {
	struct tmr tmr;
	cp_timer_h *h;
	void *arg;
};

static struct {
	bool up, in_turn, again, stopped;
	struct watch *watch; // by descriptor number
	int fds;
	struct {
		cp_turn_h *h;
		void *arg;
	} hook[HOOKS_MAX];
	unsigned hooks;
	struct tmr turn, uv_tmr;
	uv_loop_t uv;
	int sig_fd, kick_fd;
} L = {.sig_fd = -1, .kick_fd = -1};

static void turn(void *arg);

void cp_loop_touch(void)
{
	if (L.in_turn)
		L.again = true;
	else if (!tmr_isrunning(&L.turn))
		tmr_start(&L.turn, 0, turn, NULL);
}

static void touched(void *arg)
{
	cp_loop_touch();
}

/* True when uv_run() would do something now: due timers, closing handles, watchers not yet in its
 * epoll set. */
static bool uv_wants_run(void)
{
	return uv_loop_alive(&L.uv) && uv_backend_timeout(&L.uv) == 0;
}

static void turn(void *arg)
{
	unsigned n = 0;
	int ms;

	L.in_turn = true;
	do {
		L.again = false;
		uv_run(&L.uv, UV_RUN_NOWAIT);
		for (unsigned i = 0; i < L.hooks; i++)
			L.hook[i].h(L.hook[i].arg);
		uv_update_time(&L.uv);
	} while ((L.again || uv_wants_run()) && ++n < ROUNDS);
	L.in_turn = false;
	if (L.again || uv_wants_run()) {
		eventfd_write(L.kick_fd, 1);
		return;
	}
	ms = uv_loop_alive(&L.uv) ? uv_backend_timeout(&L.uv) : -1;
	if (ms < 0)
		tmr_cancel(&L.uv_tmr);
	else
		tmr_start(&L.uv_tmr, ms > UV_TIMER_MAX ? UV_TIMER_MAX : (uint64_t)ms, touched,
		          NULL);
}

static void on_uv(int flags, void *arg)
{
	cp_loop_touch();
}

static void on_kick(int flags, void *arg)
{
	eventfd_t n;

	eventfd_read(L.kick_fd, &n);
	cp_loop_touch();
}

static void on_signal(int flags, void *arg)
{
	struct signalfd_siginfo si;

	if (read(L.sig_fd, &si, sizeof(si)) == sizeof(si))
		cp_loop_stop();
}

/* RLIMIT_NOFILE's soft limit goes up to the hard one, and libre's table with it. */
static int size_table(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return -errno;
	if (rl.rlim_max == RLIM_INFINITY || rl.rlim_max > FDS_MAX)
		rl.rlim_cur = FDS_MAX;
	else
		rl.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl) < 0)
		return -errno;
	L.fds = (int)rl.rlim_cur;
	L.watch = calloc((size_t)L.fds, sizeof(*L.watch));
	if (!L.watch)
		return -ENOMEM;
	return -fd_setsize(L.fds);
}

static int open_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL))
		return -EINVAL;
	L.sig_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (L.sig_fd < 0)
		return -errno;
	return -fd_listen(L.sig_fd, FD_READ, on_signal, NULL);
}

int cp_loop_init(void)
{
	int err;

	if (L.up)
		return -EALREADY;
	err = libre_init();
	if (err)
		return -err;
	err = size_table(); // before the method, which would settle for 1024
	if (!err)
		err = -poll_method_set(METHOD_EPOLL);
	if (err)
		goto out;
	err = uv_loop_init(&L.uv);
	if (err)
		goto out;
	L.up = true;
	L.kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (L.kick_fd < 0) {
		err = -errno;
		goto out;
	}
	err = -fd_listen(L.kick_fd, FD_READ, on_kick, NULL);
	if (!err)
		err = -fd_listen(uv_backend_fd(&L.uv), FD_READ, on_uv, NULL);
	if (!err)
		err = open_signals();
out:
	if (err)
		cp_loop_close();
	return err;
}

static void close_handle(uv_handle_t *h, void *arg)
{
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

static void close_fd(int *fd)
{
	if (*fd < 0)
		return;
	fd_close(*fd);
	close(*fd);
	*fd = -1;
}

void cp_loop_close(void)
{
	if (L.up) {
		/* Handles that their owners left open; then work under way in uv's threads. */
		uv_walk(&L.uv, close_handle, NULL);
		uv_run(&L.uv, UV_RUN_DEFAULT);
		fd_close(uv_backend_fd(&L.uv));
		uv_loop_close(&L.uv);
	}
	tmr_cancel(&L.turn);
	tmr_cancel(&L.uv_tmr);
	close_fd(&L.kick_fd);
	close_fd(&L.sig_fd);
	fd_setsize(0);
	free(L.watch);
	libre_close();
	L.watch = NULL;
	L.fds = 0;
	L.hooks = 0;
	L.up = L.stopped = L.again = false;
}

int cp_loop_run(void)
{
	if (L.stopped)
		return 0;
	cp_loop_touch();
	return -re_main(NULL);
}

void cp_loop_stop(void)
{
	L.stopped = true;
	re_cancel();
}

static void on_fd(int flags, void *arg)
{
	struct watch w = *(struct watch *)arg; // the handler may replace it

	cp_loop_touch();
	w.h(w.fd, (unsigned)flags & (CP_FD_READ | CP_FD_WRITE | CP_FD_ERROR), w.arg);
}

int cp_loop_watch(int fd, unsigned events, cp_fd_h *h, void *arg)
{
	int flags = 0;

	if (fd < 0)
		return -EBADF;
	if (fd >= L.fds)
		return -EMFILE;
	if (!events) {
		fd_close(fd);
		L.watch[fd].h = NULL;
		return 0;
	}
	if (!h)
		return -EINVAL;
	if (events & CP_FD_READ)
		flags |= FD_READ;
	if (events & CP_FD_WRITE)
		flags |= FD_WRITE;
	L.watch[fd] = (struct watch){h, arg, fd};
	return -fd_listen(fd, flags ? flags : FD_EXCEPT, on_fd, &L.watch[fd]);
}

static void on_timer(void *arg)
{
	struct cp_timer *t = arg;

	cp_loop_touch();
	t->h(t->arg);
}

int cp_timer_alloc(struct cp_timer **out, cp_timer_h *h, void *arg)
{
	struct cp_timer *t;

	if (!h)
		return -EINVAL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	tmr_init(&t->tmr);
	t->h = h;
	t->arg = arg;
	*out = t;
	return 0;
}

void cp_timer_start(struct cp_timer *t, uint64_t after_ms)
{
	tmr_start(&t->tmr, after_ms, on_timer, t);
}

void cp_timer_cancel(struct cp_timer *t)
{
	tmr_cancel(&t->tmr);
}

void cp_timer_free(struct cp_timer *t)
{
	if (!t)
		return;
	tmr_cancel(&t->tmr);
	free(t);
}

int cp_loop_on_turn(cp_turn_h *h, void *arg)
{
	if (L.hooks == HOOKS_MAX)
		return -ENOSPC;
	L.hook[L.hooks].h = h;
	L.hook[L.hooks++].arg = arg;
	return 0;
}

uint64_t cp_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t cp_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

struct uv_loop_s *cp_loop_uv(void)
{
	return &L.uv;
}
