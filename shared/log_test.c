/* Log lines as they reach the descriptor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "shared/log.h"

static int pipe_fd[2], saved_stderr;

static int redirect(void **state)
{
	saved_stderr = dup(STDERR_FILENO);
	return pipe2(pipe_fd, O_NONBLOCK) || dup2(pipe_fd[1], STDERR_FILENO) < 0;
}

static int restore(void **state)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	return sh_log_levels("info");
}

static const char *written(void)
{
	static char buf[8192];
	ssize_t n = read(pipe_fd[0], buf, sizeof(buf) - 1);

	buf[n > 0 ? n : 0] = 0;
	return buf;
}

static void lines(void **state)
{
	sh_info("plane", "%d workers", 3);
	assert_string_equal(written(), "INFO plane: 3 workers\n");
	sh_debug("plane", "hidden");
	assert_string_equal(written(), "");
	sh_warn("sip", "from '%s'", "a\nERROR plane: forged\r\x1b[2J\x7f");
	assert_string_equal(written(), "WARN sip: from 'a?ERROR plane: forged??[2J?'\n");
	errno = ENOENT;
	sh_error("x", "%s", "");
	assert_int_equal(errno, ENOENT);
	assert_string_equal(written(), "ERROR x: \n");
}

static void long_ones_are_cut(void **state)
{
	char text[3000];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	sh_info("x", "%s", text);
	const char *got = written();
	assert_int_equal(strlen(got), SH_LOG_LINE - 1);
	assert_string_equal(got + SH_LOG_LINE - 1 - 5, "a...\n");
}

static void levels(void **state)
{
	static const char *const bad[] = {"",
	                                  ",",
	                                  "info,",
	                                  "loud",
	                                  "info,plane",
	                                  "info,=debug",
	                                  "plane=",
	                                  "info,plane=loud",
	                                  "info,averyverylongname=debug"};

	assert_int_equal(sh_log_levels("warn,plane=debug,sip=error"), 0);
	assert_true(sh_log_on(SH_LOG_DEBUG, "plane"));
	assert_false(sh_log_on(SH_LOG_WARN, "sip"));
	assert_true(sh_log_on(SH_LOG_WARN, "call"));
	assert_false(sh_log_on(SH_LOG_INFO, "call"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(sh_log_check(bad[i]), -EINVAL);
		assert_int_equal(sh_log_levels(bad[i]), -EINVAL);
	}
	assert_true(sh_log_on(SH_LOG_DEBUG, "plane")); // a bad one changed nothing
	assert_int_equal(sh_log_levels("debug"), 0);
	assert_true(sh_log_on(SH_LOG_DEBUG, "sip"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, redirect, restore)
int main(void)
{
	const struct CMUnitTest tests[] = {T(lines), T(long_ones_are_cut), T(levels)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
