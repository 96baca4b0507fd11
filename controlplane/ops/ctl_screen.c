#include "controlplane/ops/ctl_screen.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static struct termios cooked;
static bool raw;
static volatile sig_atomic_t ended, resized;

/* The other screen, no cursor, and what is too long for a line is cut; and back (xterm's private modes 1049, 25, 7). */
#define ENTER "\033[?1049h\033[?25l\033[?7l"
#define LEAVE "\033[?7h\033[?25h\033[?1049l"

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

void ctl_screen_clear(void)
{
	fputs("\033[H\033[J", stdout);
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
