/* What may not be sent yet: a connection's output waits until its handler's owner says that what it
 * speaks of is true, or HOLD_MS have passed. In the order in which they began, so that the first
 * one's time is the next to be up. */
#include "controlplane/signaling/front_priv.h"

enum { HOLD_MS = 200 };

static void let_go(struct front_conn *c)
{
	front_hold_end(c);
	lws_callback_on_writable(c->wsi);
	cp_loop_touch();
}

void front_hold_end(struct front_conn *c)
{
	if (c->held_until_ns)
		TAILQ_REMOVE(&c->front->held, c, held_link);
	c->held_until_ns = 0;
}

static void time_up(void *arg)
{
	struct cp_front *f = arg;
	uint64_t now_ns = cp_now_ns();
	struct front_conn *c;

	while ((c = TAILQ_FIRST(&f->held)) && c->held_until_ns <= now_ns) {
		cp_metric_add(CP_METRIC_holds_expired, 1);
		let_go(c);
	}
	if (c)
		cp_timer_start(f->hold, (c->held_until_ns - now_ns) / 1000000 + 1);
}

int front_hold_open(struct cp_front *f)
{
	return cp_timer_alloc(&f->hold, time_up, f);
}

static void hold(struct front_conn *c, uint64_t ticket)
{
	if (!c || !ticket)
		return;
	c->ticket = ticket;
	if (c->held_until_ns)
		return;
	c->held_until_ns = cp_now_ns() + HOLD_MS * 1000000ull;
	if (TAILQ_EMPTY(&c->front->held))
		cp_timer_start(c->front->hold, HOLD_MS);
	TAILQ_INSERT_TAIL(&c->front->held, c, held_link);
}

void cp_conn_hold(struct cp_conn *w, uint64_t ticket)
{
	hold(w->conn, ticket);
}

void cp_http_hold(struct cp_http *h, uint64_t ticket)
{
	hold(h->conn, ticket);
}

void cp_front_release(struct cp_front *f, bool (*true_now)(uint64_t ticket, void *arg), void *arg)
{
	struct front_conn *c, *next;

	for (c = TAILQ_FIRST(&f->held); c; c = next) {
		next = TAILQ_NEXT(c, held_link);
		if (true_now(c->ticket, arg))
			let_go(c);
	}
}
