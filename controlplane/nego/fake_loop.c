#include "controlplane/nego/fake_loop.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/time.h>
#include "controlplane/loop.h"

struct cp_timer {
	cp_timer_h *h;
	void *arg;
	uint64_t at; // 0: not armed
	struct cp_timer *next;
};

static struct cp_timer *timers;
static uint64_t now_ms = 1000000;

int cp_timer_alloc(struct cp_timer **out, cp_timer_h *h, void *arg)
{
	struct cp_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	*t = (struct cp_timer){.h = h, .arg = arg, .next = timers};
	*out = timers = t;
	return 0;
}

void cp_timer_start(struct cp_timer *t, uint64_t after_ms)
{
	t->at = now_ms + after_ms;
}

void cp_timer_cancel(struct cp_timer *t)
{
	t->at = 0;
}

void cp_timer_free(struct cp_timer *t)
{
	struct cp_timer **p = &timers;

	while (*p && *p != t)
		p = &(*p)->next;
	if (*p)
		*p = t->next;
	free(t);
}

uint64_t cp_now_ns(void)
{
	return now_ms * 1000000;
}

/* libssl asks this for its retransmission timer; the executable's definition comes first. */
int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	(void)tz;
	tv->tv_sec = (time_t)(now_ms / 1000);
	tv->tv_usec = (suseconds_t)(now_ms % 1000 * 1000);
	return 0;
}

unsigned fake_loop_timers(void)
{
	unsigned n = 0;

	for (struct cp_timer *t = timers; t; t = t->next)
		n++;
	return n;
}

void fake_loop_advance(uint64_t ms)
{
	uint64_t end = now_ms + ms;

	for (;;) {
		struct cp_timer *first = NULL;

		for (struct cp_timer *t = timers; t; t = t->next)
			if (t->at && t->at <= end && (!first || t->at < first->at))
				first = t;
		if (!first)
			break;
		now_ms = first->at > now_ms ? first->at : now_ms;
		first->at = 0;
		first->h(first->arg);
	}
	now_ms = end;
}
