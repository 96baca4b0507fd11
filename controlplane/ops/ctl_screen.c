#include "controlplane/ops/ctl_screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static struct termios cooked;
static bool raw;
static volatile sig_atomic_t ended, resized;

/* The other screen without a cursor; and back (xterm's private modes 1049 and 25). */
#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"

void ctl_screen_leave(void)
{
	if (!raw)
		return;
	raw = false;
	fputs(LEAVE, stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &cooked);
}

static void on_signal(int sig)
{
	if (sig == SIGWINCH)
		resized = 1;
	else
		ended = 1;
}

/* Not restarted: who waits for a key, or for the daemon, is to see it at once. */
static void catch_signals(void)
{
	static const int sigs[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};
	struct sigaction a = {.sa_handler = on_signal};

	for (unsigned i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		sigaction(sigs[i], &a, NULL);
}

bool ctl_screen_enter(void)
{
	struct termios t;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &cooked) < 0)
		return false;
	catch_signals();
	t = cooked;
	t.c_lflag &= (tcflag_t) ~(ICANON | ECHO | ISIG); // Ctrl-C comes as a key
	t.c_cc[VMIN] = 0;
	t.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSANOW, &t);
	raw = true;
	atexit(ctl_screen_leave);
	fputs(ENTER, stdout);
	return true;
}

struct ctl_size ctl_screen_size(void)
{
	struct winsize w;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row && w.ws_col)
		return (struct ctl_size){w.ws_col, w.ws_row};
	return (struct ctl_size){80, 24};
}

/* Bytes of the line's first `columns` characters, each taken for one column wide. */
static size_t cut(const char *line, size_t len, int columns)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (((unsigned char)line[i] & 0xc0) != 0x80 && columns-- == 0)
			break;
	return i;
}

int ctl_screen_draw(const char *text)
{
	struct ctl_size size = ctl_screen_size();

	fputs("\033[H\033[J", stdout);
	for (int row = 0; *text && row < size.rows; row++) {
		size_t len = strcspn(text, "\n");

		if (row)
			putchar('\n');
		fwrite(text, 1, cut(text, len, size.columns), stdout);
		text += len + (text[len] == '\n');
	}
	return fflush(stdout) ? -errno : 0;
}

static uint64_t monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int ctl_screen_key(uint64_t until_ns)
{
	for (;;) {
		struct pollfd p = {.fd = raw ? STDIN_FILENO : -1, .events = POLLIN};
		int64_t left = (int64_t)(until_ns - monotonic());
		unsigned char key;

		if (ended)
			return CTL_KEY_QUIT;
		if (resized) {
			resized = 0;
			return CTL_KEY_RESIZED;
		}
		if (left <= 0)
			return CTL_KEY_NONE;
		if (poll(&p, 1, (int)(left / 1000000) + 1) <= 0)
			continue;
		if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 3)
			return CTL_KEY_QUIT;
		return key;
	}
}
