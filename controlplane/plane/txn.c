/* Transactions. Writing one can stop at any record when the ring is full and goes on at the next
 * flush; the ring is read meanwhile, as the dataplane stages what comes until COMMIT. What changes
 * while it is being written belongs to the next one, so nothing in a transaction ever refers to
 * what is not. Deletions come first, then endpoints, tracks, subscriptions: each refers to earlier
 * ones only. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/plane/plane_priv.h"

enum { RETRIES_MAX = 100, RETRY_NS = 10000000 };

void cp_txn_init(struct cp_plane *p)
{
	for (unsigned what = 0; what <= SH_DEL_SUB; what++) {
		TAILQ_INIT(&p->dirty[what]);
		TAILQ_INIT(&p->txn.todo[what]);
	}
	TAILQ_INIT(&p->dels);
	TAILQ_INIT(&p->txn.done);
	TAILQ_INIT(&p->txn.gone);
	STAILQ_INIT(&p->waiting);
}

bool cp_txn_put(struct cp_plane *p, unsigned type, const void *body, uint32_t len)
{
	void *at = sh_ring_reserve(&p->link.tx, (uint16_t)type, sh_msg_flags(type), len);
	if (!at)
		return false;
	memcpy(at, body, len);
	sh_ring_commit(&p->link.tx);
	p->counts.records++;
	return true;
}

/* ---- writing ---- */

static void move_all(struct cp_entries *to, struct cp_entries *from, enum cp_entry_queue queue)
{
	struct cp_entry *e;

	TAILQ_FOREACH (e, from, link)
		e->queue = (uint8_t)queue;
	TAILQ_CONCAT(to, from, link);
}

static bool anything(const struct cp_plane *p)
{
	if (p->need_full || !TAILQ_EMPTY(&p->dels))
		return true;
	for (unsigned what = SH_DEL_ENDPOINT; what <= SH_DEL_SUB; what++)
		if (!TAILQ_EMPTY(&p->dirty[what]))
			return true;
	return false;
}

static void open_txn(struct cp_plane *p)
{
	struct cp_txn *t = &p->txn;

	move_all(&t->gone, &p->dels, CP_Q_GONE);
	for (unsigned what = SH_DEL_ENDPOINT; what <= SH_DEL_SUB; what++)
		move_all(&t->todo[what], &p->dirty[what], CP_Q_TODO);
	t->next_gone = TAILQ_FIRST(&t->gone);
	t->number++;
	t->records = 0;
	t->full = p->need_full;
	t->state = CP_TXN_BEGIN;
}

static bool write_dels(struct cp_plane *p)
{
	struct cp_txn *t = &p->txn;

	for (; t->next_gone; t->next_gone = TAILQ_NEXT(t->next_gone, link)) {
		struct cp_entry *e = t->next_gone;
		struct sh_msg_del m = {.id = e->id, .what = e->what};

		e->at = CP_NO_RECORD;
		if (e->silent || t->full)
			continue;
		if (!cp_txn_put(p, SH_MSG_DEL, &m, sizeof(m)))
			return false;
		e->at = t->records++;
	}
	return true;
}

static bool write_set(struct cp_plane *p, struct cp_entry *e)
{
	bool ok = false;

	if (e->dirty & CP_DIRTY_SET) {
		switch (e->what) {
		case SH_DEL_ENDPOINT:
			ok = cp_txn_put(p, SH_MSG_ENDPOINT_SET, &e->body.endpoint.set,
			                sizeof(e->body.endpoint.set));
			break;
		case SH_DEL_TRACK:
			ok = cp_txn_put(p, SH_MSG_TRACK_SET, &e->body.track, sizeof(e->body.track));
			break;
		case SH_DEL_SUB:
			ok = cp_txn_put(p, SH_MSG_SUB_SET, &e->body.sub, sizeof(e->body.sub));
			break;
		}
		if (!ok)
			return false;
		e->dirty &= (uint8_t)~CP_DIRTY_SET;
		e->sent |= CP_DIRTY_SET;
		e->at = p->txn.records++;
	}
	if (e->dirty & CP_DIRTY_KEYS) {
		if (!cp_txn_put(p, SH_MSG_ENDPOINT_KEYS, &e->body.endpoint.keys,
		                sizeof(e->body.endpoint.keys)))
			return false;
		e->dirty &= (uint8_t)~CP_DIRTY_KEYS;
		e->sent |= CP_DIRTY_KEYS;
		e->keys_at = p->txn.records++;
	}
	return true;
}

static bool write_sets(struct cp_plane *p)
{
	struct cp_entry *e;

	for (unsigned what = SH_DEL_ENDPOINT; what <= SH_DEL_SUB; what++) {
		while ((e = TAILQ_FIRST(&p->txn.todo[what]))) {
			if (!e->sent)
				e->at = e->keys_at = CP_NO_RECORD;
			if (!write_set(p, e))
				return false;
			TAILQ_REMOVE(&p->txn.todo[what], e, link);
			TAILQ_INSERT_TAIL(&p->txn.done, e, link);
			e->queue = CP_Q_DONE;
		}
	}
	return true;
}

/* false: the ring is full. */
static bool write_txn(struct cp_plane *p)
{
	struct cp_txn *t = &p->txn;

	if (t->state == CP_TXN_BEGIN) {
		struct sh_msg_begin begin = {.txn = t->number};
		if (!cp_txn_put(p, SH_MSG_BEGIN, &begin, sizeof(begin)))
			return false;
		t->state = CP_TXN_WRITING;
	}
	if (t->state == CP_TXN_WRITING) {
		struct sh_msg_commit commit = {.txn = t->number, .full = t->full};
		if (!write_dels(p) || !write_sets(p))
			return false;
		commit.records = t->records;
		if (!cp_txn_put(p, SH_MSG_COMMIT, &commit, sizeof(commit)))
			return false;
		t->state = CP_TXN_WAITING;
		p->need_full = false;
	}
	return true;
}

/* Between transactions only, so that what is staged is state and nothing else. */
static bool write_waiting(struct cp_plane *p)
{
	struct cp_waiting *w;

	while ((w = STAILQ_FIRST(&p->waiting))) {
		if (!cp_txn_put(p, w->type, w->body, w->len))
			return false;
		STAILQ_REMOVE_HEAD(&p->waiting, link);
		p->n_waiting--;
		free(w);
	}
	return true;
}

static bool mid_write(const struct cp_plane *p)
{
	return p->txn.state == CP_TXN_WRITING;
}

void cp_plane_flush(struct cp_plane *p)
{
	if (p->state != CP_LINK_UP)
		return;
	bool room = mid_write(p) || write_waiting(p);
	if (p->txn.state == CP_TXN_IDLE && anything(p) && p->now_ns >= p->hold_until_ns)
		open_txn(p);
	if (room && (p->txn.state == CP_TXN_BEGIN || p->txn.state == CP_TXN_WRITING))
		room = write_txn(p) && write_waiting(p);
	if (!room)
		p->counts.ring_full++;
	sh_link_wake(&p->link);
}

bool cp_txn_pending(const struct cp_plane *p)
{
	return p->txn.state == CP_TXN_BEGIN || p->txn.state == CP_TXN_WRITING ||
	       !STAILQ_EMPTY(&p->waiting) || (p->txn.state == CP_TXN_IDLE && anything(p));
}

/* ---- what came of it ---- */

static void applied(struct cp_plane *p)
{
	struct cp_txn *t = &p->txn;
	struct cp_entry *e;

	t->applied = t->number;
	while ((e = TAILQ_FIRST(&t->gone))) {
		cp_entry_unqueue(p, e);
		cp_ids_release(p, e);
	}
	while ((e = TAILQ_FIRST(&t->done))) {
		cp_entry_unqueue(p, e);
		e->sent = 0;
		e->known = true;
		e->retries = 0;
		if (e->dirty)
			cp_entry_dirty(p, e, 0);
	}
	p->counts.commits++;
}

/* What is refused is told again by the next one, so a later number will do. */
uint64_t cp_plane_ticket(const struct cp_plane *p, unsigned what, sh_id id)
{
	const struct cp_entry *e = p->state == CP_LINK_UP ? cp_ids_find(p, what, id) : NULL;

	if (!e || e->refused || e->queue == CP_Q_NONE)
		return 0;
	return p->txn.number + (e->queue == CP_Q_DIRTY || (e->queue == CP_Q_DONE && e->dirty));
}

bool cp_plane_told(const struct cp_plane *p, uint64_t ticket)
{
	return p->state != CP_LINK_UP || ticket <= p->txn.applied;
}

static bool transient(int error)
{
	return error == -EAGAIN || error == -EBUSY || error == -ENOMEM || error == -ENOBUFS;
}

/* The object whose record was refused is set aside; a deletion that is refused has nothing left to
 * delete. */
static void set_aside(struct cp_plane *p, uint32_t record, int error, unsigned *what, sh_id *id)
{
	struct cp_entry *e;

	TAILQ_FOREACH (e, &p->txn.gone, link) {
		if (e->at != record)
			continue;
		sh_warn(SUBSYS, "dataplane knows no object %u id %#x to delete: %s", e->what, e->id,
		        strerrordesc_np(-error));
		e->silent = true;
		return;
	}
	TAILQ_FOREACH (e, &p->txn.done, link) {
		if (e->at != record && e->keys_at != record)
			continue;
		if (transient(error) && e->retries++ < RETRIES_MAX) {
			p->hold_until_ns = p->now_ns + RETRY_NS;
			return;
		}
		sh_error(SUBSYS, "dataplane refused %s id %#x (record %u): %s",
		         sh_msg_name(e->at != record              ? SH_MSG_ENDPOINT_KEYS
		                     : e->what == SH_DEL_ENDPOINT ? SH_MSG_ENDPOINT_SET
		                     : e->what == SH_DEL_TRACK    ? SH_MSG_TRACK_SET
		                                                  : SH_MSG_SUB_SET),
		         e->id, record, strerrordesc_np(-error));
		cp_entry_refuse(p, e);
		*what = e->what;
		*id = e->id;
		return;
	}
}

/* Nothing of it was applied: all of it is to be told again, without what was set aside. */
static void refused(struct cp_plane *p, const struct sh_msg_committed *m)
{
	struct cp_txn *t = &p->txn;
	struct cp_entry *e;
	unsigned what = 0;
	sh_id id = 0;

	p->counts.commits_refused++;
	if (m->record >= t->records)
		sh_error(SUBSYS, "dataplane refused transaction %llu as a whole: %s",
		         (unsigned long long)m->txn, strerrordesc_np(-m->error));
	set_aside(p, m->record, m->error, &what, &id);
	p->need_full |= t->full;
	/* What was deleted while this was under way had never arrived. */
	TAILQ_FOREACH (e, &p->dels, link)
		e->silent |= e->unsure;
	move_all(&t->gone, &p->dels, CP_Q_DELS);
	TAILQ_CONCAT(&p->dels, &t->gone, link);
	TAILQ_FOREACH (e, &p->dels, link)
		e->queue = CP_Q_DELS;
	while ((e = TAILQ_FIRST(&t->done))) {
		unsigned again = e->sent;
		cp_entry_unqueue(p, e);
		e->sent = 0;
		cp_entry_dirty(p, e, again);
	}
	if (what && p->on.refused)
		p->on.refused(what, id, m->error, p->arg);
}

void cp_txn_committed(struct cp_plane *p, const struct sh_msg_committed *m)
{
	if (p->txn.state != CP_TXN_WAITING || m->txn != p->txn.number) {
		sh_warn(SUBSYS, "dataplane answered transaction %llu, which is not open",
		        (unsigned long long)m->txn);
		p->counts.events_bad++;
		return;
	}
	bool whole = m->error && m->record >= p->txn.records;
	p->txn.state = CP_TXN_IDLE;
	if (m->error == 0)
		applied(p);
	else
		refused(p, m);
	/* Not a record but our own counting or the peer's: begin from nothing, and not at once. */
	if (whole)
		cp_link_down(p, "it refused a transaction as a whole", 1000000000);
	else
		cp_plane_flush(p);
}

/* ---- what is not state ---- */

void cp_waiting_drop(struct cp_plane *p)
{
	struct cp_waiting *w;

	while ((w = STAILQ_FIRST(&p->waiting))) {
		STAILQ_REMOVE_HEAD(&p->waiting, link);
		p->counts.packets_dropped++;
		free(w);
	}
	p->n_waiting = 0;
}

static int put_or_wait(struct cp_plane *p, uint16_t type, const void *body, uint32_t len)
{
	if (p->state != CP_LINK_UP)
		return -ENOTCONN;
	if (!mid_write(p) && STAILQ_EMPTY(&p->waiting) && cp_txn_put(p, type, body, len)) {
		sh_link_wake(&p->link);
		return 0;
	}
	if (p->n_waiting == CP_WAITING_MAX)
		return -ENOBUFS;
	struct cp_waiting *w = malloc(sizeof(*w) + len);
	if (!w)
		return -ENOBUFS;
	w->type = type;
	w->len = len;
	memcpy(w->body, body, len);
	STAILQ_INSERT_TAIL(&p->waiting, w, link);
	p->n_waiting++;
	return 0;
}

int cp_plane_tx_packet(struct cp_plane *p, sh_id endpoint, const uint8_t *data, size_t len)
{
	struct sh_msg_packet m = {.endpoint = endpoint, .len = (uint16_t)len};

	if (len < 1 || len > SH_PACKET_MAX)
		return -EINVAL;
	if (!cp_ids_find(p, SH_DEL_ENDPOINT, endpoint))
		return -ESTALE;
	memcpy(m.data, data, len);
	int err = put_or_wait(p, SH_MSG_TX_PACKET, &m, sh_msg_packet_size((uint32_t)len));
	if (err)
		p->counts.packets_dropped++;
	else
		p->counts.packets++;
	return err;
}

int cp_plane_keyframe(struct cp_plane *p, sh_id track)
{
	struct sh_msg_keyframe m = {.track = track};

	if (!cp_ids_find(p, SH_DEL_TRACK, track))
		return -ESTALE;
	return put_or_wait(p, SH_MSG_KEYFRAME, &m, sizeof(m));
}
