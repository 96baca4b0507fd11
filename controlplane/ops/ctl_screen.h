/* A terminal that is drawn on as a whole, and as it was again when the program ends: by a key, a signal or exit(). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct ctl_size {
	int columns, rows;
};

/* false: there is no terminal at standard input and output, and nothing was done. */
bool ctl_screen_enter(void);
void ctl_screen_leave(void);
struct ctl_size ctl_screen_size(void);
/* Draws the text in the place of what was there; what is too wide or too long is cut. 0, or -errno: nobody reads. */
int ctl_screen_draw(const char *text);

enum { CTL_KEY_NONE = -1, CTL_KEY_QUIT = -2, CTL_KEY_RESIZED = -3 };
/* The next key until that time (CLOCK_MONOTONIC, ns); quit: q, Ctrl-C, a signal to end, or the terminal is gone. Without
 * a terminal it just waits. */
int ctl_screen_key(uint64_t until_ns);
