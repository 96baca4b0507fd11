/* The loop with real timers, descriptors and libuv handles. Each test has a loop of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>
#include "controlplane/loop.h"

static char seen[64];
static unsigned turns;

static void note(char c)
{
	size_t n = strlen(seen);

	if (n + 1 < sizeof(seen))
		seen[n] = c;
}

static int set_up(void **state)
{
	memset(seen, 0, sizeof(seen));
	turns = 0;
	return cp_loop_init();
}

static int tear_down(void **state)
{
	cp_loop_close();
	return 0;
}

static void on_note(void *arg)
{
	note(*(const char *)arg);
}

static void on_stop(void *arg)
{
	cp_loop_stop();
}

static struct cp_timer *timer(cp_timer_h *h, void *arg, uint64_t ms)
{
	struct cp_timer *t;

	assert_int_equal(cp_timer_alloc(&t, h, arg), 0);
	cp_timer_start(t, ms);
	return t;
}

static void timers_fire_in_order_once(void **state)
{
	struct cp_timer *t[5] = {timer(on_note, "c", 30), timer(on_note, "a", 10),
	                         timer(on_note, "b", 20), timer(on_note, "x", 15),
	                         timer(on_stop, NULL, 80)};
	uint64_t start = cp_now_ns();

	cp_timer_cancel(t[3]);
	cp_timer_start(t[0], 40); // again, later
	assert_int_equal(cp_loop_run(), 0);
	assert_string_equal(seen, "abc");
	assert_in_range(cp_now_ns() - start, 75000000, 2000000000);
	for (int i = 0; i < 5; i++)
		cp_timer_free(t[i]);
}

static void a_freed_timer_is_silent(void **state)
{
	struct cp_timer *t = timer(on_note, "x", 5), *stop = timer(on_stop, NULL, 30);

	cp_timer_free(t);
	cp_timer_free(NULL);
	assert_int_equal(cp_loop_run(), 0);
	assert_string_equal(seen, "");
	cp_timer_free(stop);
}

static void on_pipe(int fd, unsigned events, void *arg)
{
	char c;

	assert_true(events & CP_FD_READ);
	assert_int_equal(read(fd, &c, 1), 1);
	note(c);
	if (c == 'z') {
		assert_int_equal(cp_loop_watch(fd, 0, NULL, NULL), 0);
		cp_loop_stop();
	}
}

static void on_writable(int fd, unsigned events, void *arg)
{
	assert_true(events & CP_FD_WRITE);
	assert_int_equal(write(fd, "yz", 2), 2);
	assert_int_equal(cp_loop_watch(fd, 0, NULL, NULL), 0);
}

static void descriptors(void **state)
{
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	assert_int_equal(cp_loop_watch(fd[0], CP_FD_READ, on_pipe, NULL), 0);
	assert_int_equal(cp_loop_watch(fd[1], CP_FD_WRITE, on_writable, NULL), 0);
	assert_int_equal(cp_loop_run(), 0);
	assert_string_equal(seen, "yz");
	assert_int_equal(cp_loop_watch(-1, CP_FD_READ, on_pipe, NULL), -EBADF);
	assert_int_equal(cp_loop_watch(fd[0], CP_FD_READ, NULL, NULL), -EINVAL);
	close(fd[0]);
	close(fd[1]);
}

/* libre looks up by number: thousands of sockets of libwebsockets push ours up. */
static void high_descriptor_numbers(void **state)
{
	struct rlimit rl;
	int fd[2], high;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	high = (int)rl.rlim_cur - 1;
	if (high > 65535)
		high = 65535;
	assert_true(high > 2000);
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(dup2(fd[0], high), high);
	assert_int_equal(cp_loop_watch(high, CP_FD_READ, on_pipe, NULL), 0);
	assert_int_equal(write(fd[1], "z", 1), 1);
	assert_int_equal(cp_loop_run(), 0);
	assert_string_equal(seen, "z");
	close(high);
	close(fd[0]);
	close(fd[1]);
}

static void on_hangup(int fd, unsigned events, void *arg)
{
	note(events & CP_FD_ERROR ? 'e' : 'r');
	cp_loop_watch(fd, 0, NULL, NULL);
	cp_loop_stop();
}

static void hang_up_is_seen(void **state)
{
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	assert_int_equal(cp_loop_watch(fd[0], CP_FD_READ, on_hangup, NULL), 0);
	close(fd[1]);
	assert_int_equal(cp_loop_run(), 0);
	assert_string_equal(seen, "e");
	close(fd[0]);
}

static void on_uv_timer(uv_timer_t *t)
{
	note('u');
	if (strlen(seen) == 3)
		cp_loop_stop();
}

static void uv_timers(void **state)
{
	uint64_t start = cp_now_ns();
	uv_timer_t t;

	uv_timer_init(cp_loop_uv(), &t);
	uv_timer_start(&t, on_uv_timer, 20, 20);
	assert_int_equal(cp_loop_run(), 0);
	assert_string_equal(seen, "uuu");
	assert_in_range(cp_now_ns() - start, 55000000, 2000000000);
	uv_close((uv_handle_t *)&t, NULL);
	uv_run(cp_loop_uv(), UV_RUN_NOWAIT);
}

static uv_poll_t poll_handle;
static int poll_pipe[2];

static void on_uv_poll(uv_poll_t *p, int status, int events)
{
	char c;

	assert_int_equal(status, 0);
	assert_int_equal(read(poll_pipe[0], &c, 1), 1);
	note(c);
	cp_loop_stop();
}

/* A watcher that one of our timers starts must reach libuv's epoll set without anything else
 * happening. */
static void start_uv_poll(void *arg)
{
	assert_int_equal(uv_poll_init(cp_loop_uv(), &poll_handle, poll_pipe[0]), 0);
	assert_int_equal(uv_poll_start(&poll_handle, UV_READABLE, on_uv_poll), 0);
}

static void uv_watchers_started_by_our_handlers(void **state)
{
	struct cp_timer *t = timer(start_uv_poll, NULL, 10), *stop = timer(on_stop, NULL, 1000);

	assert_int_equal(pipe(poll_pipe), 0);
	assert_int_equal(write(poll_pipe[1], "p", 1), 1);
	assert_int_equal(cp_loop_run(), 0);
	assert_string_equal(seen, "p");
	uv_close((uv_handle_t *)&poll_handle, NULL);
	uv_run(cp_loop_uv(), UV_RUN_NOWAIT);
	cp_timer_free(t);
	cp_timer_free(stop);
	close(poll_pipe[0]);
	close(poll_pipe[1]);
}

static void work(uv_work_t *w)
{
	usleep(20000);
	*(pthread_t *)w->data = pthread_self();
}

static void work_done(uv_work_t *w, int status)
{
	note(pthread_equal(*(pthread_t *)w->data, pthread_self()) ? 's' : 'o');
	cp_loop_stop();
}

static void uv_work_ends_on_the_loop(void **state)
{
	pthread_t who;
	uv_work_t w = {.data = &who};

	assert_int_equal(uv_queue_work(cp_loop_uv(), &w, work, work_done), 0);
	assert_int_equal(cp_loop_run(), 0);
	assert_string_equal(seen, "o");
}

static void on_turn(void *arg)
{
	turns++;
	if (seen[0] && seen[strlen(seen) - 1] == 't')
		note('.');
}

static void a_turn_ends_with_its_hooks(void **state)
{
	struct cp_timer *a = timer(on_note, "t", 20), *b = timer(on_note, "t", 60),
	                *stop = timer(on_stop, NULL, 150);

	assert_int_equal(cp_loop_on_turn(on_turn, NULL), 0);
	assert_int_equal(cp_loop_run(), 0);
	assert_string_equal(seen, "t.t.");
	assert_in_range(turns, 3, 12); // and none while nothing happened
	for (int i = 0; i < 7; i++)
		assert_int_equal(cp_loop_on_turn(on_turn, NULL), 0);
	assert_int_equal(cp_loop_on_turn(on_turn, NULL), -ENOSPC);
	cp_timer_free(a);
	cp_timer_free(b);
	cp_timer_free(stop);
}

/* A hook that asks for another turn each time must not keep descriptors from being seen. */
static void on_greedy_turn(void *arg)
{
	cp_loop_touch();
}

static void greedy_hooks_starve_nobody(void **state)
{
	struct cp_timer *stop = timer(on_stop, NULL, 1000);
	uint64_t start = cp_now_ns();
	int fd[2];

	assert_int_equal(cp_loop_on_turn(on_greedy_turn, NULL), 0);
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(cp_loop_watch(fd[0], CP_FD_READ, on_pipe, NULL), 0);
	assert_int_equal(write(fd[1], "z", 1), 1);
	assert_int_equal(cp_loop_run(), 0);
	assert_string_equal(seen, "z");
	assert_true(cp_now_ns() - start < 900000000);
	cp_timer_free(stop);
	close(fd[0]);
	close(fd[1]);
}

static void on_kill(void *arg)
{
	kill(getpid(), SIGTERM);
}

static void sigterm_stops(void **state)
{
	struct cp_timer *t = timer(on_kill, NULL, 10), *late = timer(on_note, "x", 2000);

	assert_int_equal(cp_loop_run(), 0);
	assert_string_equal(seen, "");
	cp_timer_free(t);
	cp_timer_free(late);
}

static void stopped_before_it_ran(void **state)
{
	cp_loop_stop();
	assert_int_equal(cp_loop_run(), 0);
	assert_int_equal(cp_loop_init(), -EALREADY);
}

static void clocks(void **state)
{
	uint64_t a = cp_now_ns();

	usleep(2000);
	assert_in_range(cp_now_ns() - a, 2000000, 1000000000);
	assert_true(cp_wall_ms() > 1700000000000ull);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(timers_fire_in_order_once),
	    T(a_freed_timer_is_silent),
	    T(descriptors),
	    T(high_descriptor_numbers),
	    T(hang_up_is_seen),
	    T(uv_timers),
	    T(uv_watchers_started_by_our_handlers),
	    T(uv_work_ends_on_the_loop),
	    T(a_turn_ends_with_its_hooks),
	    T(greedy_hooks_starve_nobody),
	    T(sigterm_stops),
	    T(stopped_before_it_ran),
	    T(clocks),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
