/* The last message of each object, who hangs on whom, and which of it is still to be told. */
#include <errno.h>
#include <string.h>
#include "controlplane/plane/plane_priv.h"

static struct cp_entries *queue_of(struct cp_plane *p, const struct cp_entry *e)
{
	switch ((enum cp_entry_queue)e->queue) {
	case CP_Q_DIRTY:
		return &p->dirty[e->what];
	case CP_Q_TODO:
		return &p->txn.todo[e->what];
	case CP_Q_DONE:
		return &p->txn.done;
	case CP_Q_DELS:
		return &p->dels;
	case CP_Q_GONE:
		return &p->txn.gone;
	case CP_Q_NONE:
		break;
	}
	return NULL;
}

void cp_entry_unqueue(struct cp_plane *p, struct cp_entry *e)
{
	struct cp_entries *q = queue_of(p, e);

	if (q)
		TAILQ_REMOVE(q, e, link);
	e->queue = CP_Q_NONE;
}

/* In todo it will be sent as it is then; in done it is looked at again when the answer comes. */
void cp_entry_dirty(struct cp_plane *p, struct cp_entry *e, unsigned bits)
{
	e->dirty |= (uint8_t)bits;
	if (e->queue != CP_Q_NONE || e->refused)
		return;
	e->queue = CP_Q_DIRTY;
	TAILQ_INSERT_TAIL(&p->dirty[e->what], e, link);
}

/* It and what hangs on it. A subscription is met by two ways, which does no harm. */
static void with_children(struct cp_plane *p, struct cp_entry *e,
                          void (*visit)(struct cp_plane *, struct cp_entry *))
{
	struct cp_entry *child;

	visit(p, e);
	if (e->what == SH_DEL_ENDPOINT) {
		LIST_FOREACH (child, &e->tracks, by_endpoint)
			with_children(p, child, visit);
		LIST_FOREACH (child, &e->subs, by_endpoint)
			visit(p, child);
	} else if (e->what == SH_DEL_TRACK) {
		LIST_FOREACH (child, &e->subs, by_track)
			visit(p, child);
	}
}

static void refuse_one(struct cp_plane *p, struct cp_entry *e)
{
	e->refused = true;
	if (e->queue != CP_Q_DONE)
		cp_entry_unqueue(p, e);
}

void cp_entry_refuse(struct cp_plane *p, struct cp_entry *e)
{
	with_children(p, e, refuse_one);
}

/* If the dataplane still lacks the other thing that a subscription hangs on, it will refuse it once
 * more. */
static void revive_one(struct cp_plane *p, struct cp_entry *e)
{
	e->refused = false;
	e->retries = 0;
	cp_entry_dirty(p, e, CP_DIRTY_SET | (e->keyed ? CP_DIRTY_KEYS : 0));
}

/* A body that the caller changed: worth another try, unless what it hangs on is refused. */
static void changed(struct cp_plane *p, struct cp_entry *e, const struct cp_entry *on,
                    const struct cp_entry *on2)
{
	e->set = true;
	if ((on && on->refused) || (on2 && on2->refused)) {
		e->refused = true;
		e->dirty |= CP_DIRTY_SET;
	} else if (e->refused) {
		with_children(p, e, revive_one);
	} else {
		e->retries = 0;
		cp_entry_dirty(p, e, CP_DIRTY_SET);
	}
}

int cp_plane_endpoint_set(struct cp_plane *p, const struct sh_msg_endpoint_set *m)
{
	if (sh_msg_check(SH_MSG_ENDPOINT_SET, m, sizeof(*m)))
		return -EINVAL;
	struct cp_entry *e = cp_ids_find(p, SH_DEL_ENDPOINT, m->id);
	if (!e)
		return -ESTALE;
	if (e->set && e->body.endpoint.set.worker != m->worker)
		return -EINVAL;
	if (!e->set && p->hello.workers && m->worker >= p->hello.workers)
		return -ERANGE;
	if (e->set && !memcmp(&e->body.endpoint.set, m, sizeof(*m)))
		return 0;
	e->body.endpoint.set = *m;
	changed(p, e, NULL, NULL);
	return 0;
}

int cp_plane_endpoint_keys(struct cp_plane *p, const struct sh_msg_endpoint_keys *m)
{
	if (sh_msg_check(SH_MSG_ENDPOINT_KEYS, m, sizeof(*m)))
		return -EINVAL;
	struct cp_entry *e = cp_ids_find(p, SH_DEL_ENDPOINT, m->id);
	if (!e)
		return -ESTALE;
	if (!e->set)
		return -ENOENT;
	if (e->keyed && sh_secret_equal(&e->body.endpoint.keys, m, sizeof(*m)))
		return 0;
	e->body.endpoint.keys = *m;
	e->keyed = true;
	cp_entry_dirty(p, e, CP_DIRTY_KEYS);
	return 0;
}

static bool same_track(const struct sh_msg_track_set *a, const struct sh_msg_track_set *b)
{
	return a->endpoint == b->endpoint && a->group == b->group && a->kind == b->kind &&
	       a->slot == b->slot && !((a->flags ^ b->flags) & SH_TRACK_SLOT);
}

int cp_plane_track_set(struct cp_plane *p, const struct sh_msg_track_set *m)
{
	if (sh_msg_check(SH_MSG_TRACK_SET, m, sizeof(*m)))
		return -EINVAL;
	struct cp_entry *e = cp_ids_find(p, SH_DEL_TRACK, m->id);
	if (!e)
		return -ESTALE;
	bool slot = m->flags & SH_TRACK_SLOT; // hangs on nothing
	struct cp_entry *on = slot ? NULL : cp_ids_find(p, SH_DEL_ENDPOINT, m->endpoint);
	if (!slot && (!on || !on->set))
		return -ENOENT;
	if (e->set && !same_track(&e->body.track, m))
		return -EINVAL;
	if (e->set && !memcmp(&e->body.track, m, sizeof(*m)))
		return 0;
	if (!e->set && on)
		LIST_INSERT_HEAD(&on->tracks, e, by_endpoint);
	e->body.track = *m;
	changed(p, e, on, NULL);
	return 0;
}

/* It may go from one slot of a group to another. */
static bool same_sub(const struct cp_plane *p, const struct sh_msg_sub_set *a,
                     const struct sh_msg_sub_set *b)
{
	const struct cp_entry *from = cp_ids_find(p, SH_DEL_TRACK, a->track),
	                      *to = cp_ids_find(p, SH_DEL_TRACK, b->track);

	return a->endpoint == b->endpoint &&
	       (a->track == b->track || sh_msg_slots_alike(&from->body.track, &to->body.track));
}

int cp_plane_sub_set(struct cp_plane *p, const struct sh_msg_sub_set *m)
{
	if (sh_msg_check(SH_MSG_SUB_SET, m, sizeof(*m)))
		return -EINVAL;
	struct cp_entry *e = cp_ids_find(p, SH_DEL_SUB, m->id);
	if (!e)
		return -ESTALE;
	struct cp_entry *to = cp_ids_find(p, SH_DEL_ENDPOINT, m->endpoint);
	struct cp_entry *of = cp_ids_find(p, SH_DEL_TRACK, m->track);
	if (!to || !to->set || !of || !of->set)
		return -ENOENT;
	if (e->set && !same_sub(p, &e->body.sub, m))
		return -EINVAL;
	if (e->set && !memcmp(&e->body.sub, m, sizeof(*m)))
		return 0;
	if (!e->set) {
		LIST_INSERT_HEAD(&to->subs, e, by_endpoint);
		LIST_INSERT_HEAD(&of->subs, e, by_track);
	} else if (e->body.sub.track != m->track) {
		LIST_REMOVE(e, by_track);
		LIST_INSERT_HEAD(&of->subs, e, by_track);
	}
	e->body.sub = *m;
	changed(p, e, to, of);
	return 0;
}

static bool is_slot(const struct cp_entry *e)
{
	return e->what == SH_DEL_TRACK && (e->body.track.flags & SH_TRACK_SLOT);
}

/* Out of the desired state. with_parent: the dataplane removes it with what it hangs on. */
static void bury(struct cp_plane *p, struct cp_entry *e, bool with_parent)
{
	if (e->set && e->what != SH_DEL_ENDPOINT && !is_slot(e))
		LIST_REMOVE(e, by_endpoint);
	if (e->set && e->what == SH_DEL_SUB)
		LIST_REMOVE(e, by_track);
	e->unsure = !e->known && (e->queue == CP_Q_DONE || e->sent);
	cp_entry_unqueue(p, e);
	e->dying = true;
	e->silent = with_parent;
	p->ids[e->what].live--;
	/* Keys have no use any more, though the name may have for a while. */
	sh_secret_wipe(&e->body, sizeof(e->body));
	if (!e->known && !e->unsure) {
		cp_ids_release(p, e);
		return;
	}
	e->queue = CP_Q_DELS;
	TAILQ_INSERT_TAIL(&p->dels, e, link);
}

static void bury_with_subs(struct cp_plane *p, struct cp_entry *track, bool with_parent)
{
	struct cp_entry *sub;

	while ((sub = LIST_FIRST(&track->subs)))
		bury(p, sub, true);
	bury(p, track, with_parent);
}

int cp_plane_del(struct cp_plane *p, unsigned what, sh_id id)
{
	struct cp_entry *e = cp_ids_find(p, what, id);
	struct cp_entry *child;

	if (!e)
		return -ESTALE;
	switch (what) {
	case SH_DEL_ENDPOINT:
		while ((child = LIST_FIRST(&e->tracks)))
			bury_with_subs(p, child, true);
		while ((child = LIST_FIRST(&e->subs)))
			bury(p, child, true);
		bury(p, e, false);
		break;
	case SH_DEL_TRACK:
		bury_with_subs(p, e, false);
		break;
	default:
		bury(p, e, false);
		break;
	}
	return 0;
}

static void replay_slots(struct cp_plane *p, struct cp_ids *ids)
{
	for (uint32_t i = 0; i < ids->high; i++) {
		struct cp_entry *e = ids->slot[i].entry;
		if (!e || (!e->set && !e->dying))
			continue;
		cp_entry_unqueue(p, e);
		e->sent = 0;
		if (e->dying) {
			e->silent = true;
			e->queue = CP_Q_DELS;
			TAILQ_INSERT_TAIL(&p->dels, e, link);
			continue;
		}
		e->refused = false;
		e->retries = 0;
		e->dirty = 0;
		cp_entry_dirty(p, e, CP_DIRTY_SET | (e->keyed ? CP_DIRTY_KEYS : 0));
	}
}

void cp_desired_replay(struct cp_plane *p)
{
	for (unsigned what = SH_DEL_ENDPOINT; what <= SH_DEL_SUB; what++)
		replay_slots(p, &p->ids[what]);
	p->txn.state = CP_TXN_IDLE;
	p->txn.next_gone = NULL;
	p->hold_until_ns = 0;
	p->need_full = true;
}
