/* plane/: desired state → transactions → the dataplane, and its events back.
 *
 *   plane.c    the link: connect, hello, loss, again            (this)
 *   id.c       ids: which index and generation belongs to whom
 *   desired.c  the last message of each object, who hangs on whom, and what of it is still to be
 *              told
 *   txn.c      BEGIN … COMMIT into the ring, and what COMMITTED makes of it
 *   event.c    records that the dataplane put, checked, to the handlers
 *
 * The daemon owns the truth, the dataplane caches it. So there is no call here that asks the
 * dataplane for something and waits: callers set what should be, and each object carries what of it
 * the dataplane has not been told (`dirty`). A flush at the end of a loop turn moves all dirty
 * objects into one transaction; at most one is unanswered. Objects travel by queue, never by copy,
 * so a full ring costs nothing but time, and there is nothing to lose:
 *
 *     set → dirty → txn.todo → (ring) → txn.done → COMMITTED 0 → clean
 *                 ↖────────── COMMITTED error: all but the refused one ──┘
 *     del → dels  → txn.gone → (ring) → COMMITTED 0 → index free again
 *
 * An index is given out again only when the dataplane has confirmed the deletion of its last owner,
 * and behind all others that are free. When the link is lost, whatever was on its way is simply
 * dirty again: the next dataplane, or the same one, gets a full replay, and sweeps what is not in
 * it. Equal entries are not touched there, so a replay is no gap in the media.
 *
 * One thread, no locks, no loop of its own: the owner watches descriptors for us, and calls tick
 * and flush. Time is an argument. Key material lives in the endpoint's entry and in the ring slot;
 * both are wiped. */
#include "controlplane/plane/plane.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "controlplane/plane/plane_priv.h"
#include "shared/state.h"

#define MS 1000000ull
enum {
	RETRY_MS = 100,          // nobody listens: a restarted dataplane should not wait for us
	RETRY_REFUSED_MS = 5000, // it spoke, and will say the same next time
	ANSWER_MS = 10000,       // for a welcome and a hello; hugepages may take a while
	FULL_MS = 2,             // the ring was full
	IDLE_MS = 1000,
};

int cp_plane_alloc(struct cp_plane **out, const struct cp_plane_conf *conf)
{
	struct cp_plane *p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->conf = *conf;
	p->conf.rundir = NULL; // the caller's
	p->link = SH_LINK_CLOSED;
	if (snprintf(p->path, sizeof(p->path), "%s/%s", conf->rundir, SH_LINK_SOCKET) >=
	    (int)sizeof(p->path)) {
		free(p);
		return -ENAMETOOLONG;
	}
	cp_ids_init(p);
	cp_txn_init(p);
	char state[sizeof(p->path)];
	sh_state_path(state, sizeof(state), conf->rundir);
	int err = cp_ids_learn(p, state);
	if (err == -ENOMEM) {
		cp_plane_free(p);
		return err;
	}
	if (err && err != -ENOENT)
		sh_warn(SUBSYS, "%s cannot be read: %s", state, strerrordesc_np(-err));
	*out = p;
	return 0;
}

static void unwatch(struct cp_plane *p)
{
	if (!p->conf.watch)
		return;
	if (p->link.rx_event >= 0)
		p->conf.watch(p->link.rx_event, false, p->conf.watch_arg);
	if (p->link.sock >= 0)
		p->conf.watch(p->link.sock, false, p->conf.watch_arg);
}

void cp_plane_stop(struct cp_plane *p)
{
	if (p->state == CP_LINK_UP)
		cp_plane_flush(p);
	unwatch(p);
	sh_link_close(&p->link);
	cp_waiting_drop(p);
	p->state = CP_LINK_DOWN;
	p->started = false;
}

void cp_plane_free(struct cp_plane *p)
{
	if (!p)
		return;
	cp_plane_stop(p);
	cp_ids_close(p);
	free(p);
}

void cp_plane_handle(struct cp_plane *p, const struct cp_plane_handlers *h, void *arg)
{
	p->on = *h;
	p->arg = arg;
}

bool cp_plane_up(const struct cp_plane *p)
{
	return p->state == CP_LINK_UP;
}

const struct sh_msg_e_hello *cp_plane_hello(const struct cp_plane *p)
{
	return &p->hello;
}

void cp_plane_counts(const struct cp_plane *p, struct cp_plane_counts *out)
{
	*out = p->counts;
	out->endpoints = p->ids[SH_DEL_ENDPOINT].live;
	out->tracks = p->ids[SH_DEL_TRACK].live;
	out->subs = p->ids[SH_DEL_SUB].live;
}

/* ---- the link ---- */

void cp_link_down(struct cp_plane *p, const char *reason, uint64_t retry_ns)
{
	bool was_up = p->state == CP_LINK_UP;

	if (strcmp(p->last_reason, reason)) {
		sh_warn(SUBSYS, "no dataplane at %s: %s", p->path, reason);
		snprintf(p->last_reason, sizeof(p->last_reason), "%s", reason);
	}
	unwatch(p);
	sh_link_close(&p->link);
	cp_waiting_drop(p);
	p->state = CP_LINK_DOWN;
	p->retry_at_ns = p->now_ns + retry_ns;
	if (was_up && p->on.down)
		p->on.down(reason, p->arg);
}

static void try_connect(struct cp_plane *p)
{
	char why[160];
	int err = sh_link_connect(&p->link, p->path);

	if (err) {
		snprintf(why, sizeof(why), "cannot connect: %s", strerrordesc_np(-err));
		cp_link_down(p, why, RETRY_MS * MS);
		return;
	}
	p->state = CP_LINK_WELCOME;
	p->deadline_ns = p->now_ns + ANSWER_MS * MS;
	if (p->conf.watch)
		p->conf.watch(p->link.sock, true, p->conf.watch_arg);
}

static void send_hello(struct cp_plane *p)
{
	struct sh_msg_c_hello m = {
	    .version = SH_MSG_VERSION, .pid = (uint32_t)getpid(), .epoch = p->conf.epoch};

	sh_msg_sizes(m.size);
	cp_txn_put(p, SH_MSG_C_HELLO, &m, sizeof(m)); // the ring is new: there is room
	sh_link_wake(&p->link);
}

static void on_welcome(struct cp_plane *p)
{
	char why[160];
	int err = sh_link_welcomed(&p->link, p->conf.peer, why, sizeof(why));

	if (err == -EAGAIN)
		return;
	if (err) {
		cp_link_down(p, why, (err == -ECONNRESET ? RETRY_MS : RETRY_REFUSED_MS) * MS);
		return;
	}
	p->state = CP_LINK_HELLO;
	p->counts.connects++;
	if (p->conf.watch)
		p->conf.watch(p->link.rx_event, true, p->conf.watch_arg);
	send_hello(p);
	cp_event_drain(p);
}

/* Called by event.c when the hello in p->hello was found good. */
void cp_link_up(struct cp_plane *p)
{
	bool slabs_new = p->hello.slab_epoch != p->last_slab_epoch && p->last_slab_epoch;
	const struct sh_msg_e_hello *h = &p->hello;

	p->last_reason[0] = 0;
	p->last_slab_epoch = h->slab_epoch;
	p->ids[SH_DEL_ENDPOINT].limit = h->max_endpoints;
	p->ids[SH_DEL_TRACK].limit = h->max_tracks;
	p->ids[SH_DEL_SUB].limit = h->max_subs;
	sh_info(SUBSYS,
	        "dataplane pid %u: %u workers, UDP %u to %u, %u addresses, room for %u endpoints%s",
	        h->pid, h->workers, h->base_port, h->base_port + h->workers - 1u, h->addrs,
	        h->max_endpoints, slabs_new ? "; its state was lost" : "");
	p->state = CP_LINK_UP;
	p->counts.replays++;
	cp_desired_replay(p);
	if (p->on.up)
		p->on.up(h, slabs_new, p->arg);
}

void cp_plane_start(struct cp_plane *p, uint64_t now_ns)
{
	p->started = true;
	p->now_ns = now_ns;
	p->retry_at_ns = now_ns;
	try_connect(p);
}

void cp_plane_on_readable(struct cp_plane *p, int fd)
{
	if (fd < 0)
		return;
	if (fd == p->link.sock && p->state == CP_LINK_WELCOME) {
		on_welcome(p);
	} else if (fd == p->link.sock) {
		/* What it put before it died still counts. */
		cp_event_drain(p);
		if (p->state != CP_LINK_DOWN && !sh_link_alive(&p->link))
			cp_link_down(p, "it closed the link, or died", 0);
	} else if (fd == p->link.rx_event) {
		sh_link_woken(&p->link);
		cp_event_drain(p);
	}
}

uint64_t cp_plane_tick(struct cp_plane *p, uint64_t now_ns)
{
	p->now_ns = now_ns;
	if (!p->started)
		return IDLE_MS * MS;
	if (p->state == CP_LINK_DOWN && now_ns >= p->retry_at_ns)
		try_connect(p);
	if ((p->state == CP_LINK_WELCOME || p->state == CP_LINK_HELLO) && now_ns >= p->deadline_ns)
		cp_link_down(p, "it does not answer", RETRY_MS * MS);
	cp_plane_flush(p);
	return cp_plane_wait(p, now_ns);
}

uint64_t cp_plane_wait(const struct cp_plane *p, uint64_t now_ns)
{
	if (p->started && p->state == CP_LINK_DOWN)
		return p->retry_at_ns > now_ns ? p->retry_at_ns - now_ns : MS;
	if (p->state == CP_LINK_UP && cp_txn_pending(p))
		return FULL_MS * MS;
	return IDLE_MS * MS;
}
