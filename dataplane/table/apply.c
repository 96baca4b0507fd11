#include "dataplane/table/priv.h"
#include "dataplane/table/rcu.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a checked transaction does, entry by entry. */
struct plan {
	struct touches doomed, fresh, update;     // replaced ones are in the first two
	bool replaces;                            // some slot is emptied and filled again
	bool on_dead;                             // some slot to fill is still being reaped
	struct dp_edits fan, tracks, subs, owned; // final lists
	struct dp_edits fan_rm, tracks_rm, subs_rm,
	    owned_rm; // interim ones, when slots are replaced
	struct rekey {
		uint32_t endpoint;
		const struct sh_msg_endpoint_keys *keys;
		struct dp_srtp_session *session; // NULL: keys are taken away
	} * rekey;
	uint32_t rekeys, rekey_cap;
};

static int touch(enum dp_kind kind, uint32_t index)
{
	struct overlay *o;

	return overlay_touch(kind, index, UINT32_MAX, &o);
}

static int touch_list(enum dp_kind kind, const struct dp_fanout *f)
{
	int err = 0;

	for (uint32_t i = 0; f && i < f->n && !err; i++)
		err = touch(kind, f->sub[i]);
	return err;
}

/* What hangs on a removed entry is looked at too; whether it goes the view decides. */
static int touch_dependents(enum dp_kind kind, uint32_t index)
{
	int err = 0;

	if (kind == DP_KIND_ENDPOINT) {
		err = touch_list(DP_KIND_TRACK, dp_endpoint_tracks(index));
		return err ? err : touch_list(DP_KIND_SUB, dp_endpoint_subs(index));
	}
	for (unsigned w = 0; kind == DP_KIND_TRACK && w < dp_tb.cfg.workers && !err; w++)
		err = touch_list(DP_KIND_SUB, dp_fanout(index, w));
	return err;
}

static int touch_everything(void)
{
	int err = 0;

	for (unsigned kind = 0; kind < DP_KINDS; kind++)
		for (uint32_t i = 0; i < dp_tb.count[kind] && !err; i++)
			if (slab_live(kind, i))
				err = touch(kind, i);
	return err;
}

static int plan_entry(struct plan *p, struct touch t)
{
	sh_id id = view_id(t.kind, t.index);
	uint8_t state = atomic_load_explicit(slab_state(t.kind, t.index), memory_order_relaxed);
	bool same = state == SH_LIVE && slab_id(t.kind, t.index) == id;
	struct overlay *o = over(t.kind, t.index);
	int err = 0;

	if (state == SH_LIVE && !same) {
		o->doomed = true;
		err = touches_add(&p->doomed, t.kind, t.index);
		if (!err)
			err = touch_dependents(t.kind, t.index);
		p->replaces |= id != 0;
	}
	if (err || id == 0 || !o->named)
		return err;
	p->on_dead |= state == SH_DEAD;
	return touches_add(same ? &p->update : &p->fresh, t.kind, t.index);
}

static int edit_entry(struct dp_edits *fan, struct dp_edits *tracks, struct dp_edits *subs,
                      struct dp_edits *owned, struct touch t, const void *set, unsigned worker,
                      bool add)
{
	int err;

	if (t.kind == DP_KIND_ENDPOINT)
		return dp_edit_add(owned, worker, t.index, add);
	if (t.kind == DP_KIND_TRACK) {
		const struct sh_msg_track_set *s = set;

		if (s->flags & SH_TRACK_SLOT)
			return 0;
		return dp_edit_add(tracks, SH_ID_INDEX(s->endpoint), t.index, add);
	}
	{
		const struct sh_msg_sub_set *s = set;

		err = dp_edit_add(subs, SH_ID_INDEX(s->endpoint), t.index, add);
		return err ? err
		           : dp_edit_add(fan, SH_ID_INDEX(s->track) * dp_tb.cfg.workers + worker,
		                         t.index, add);
	}
}

static const void *slab_config(struct touch t)
{
	switch (t.kind) {
	case DP_KIND_ENDPOINT:
		return &dp_slabs.endpoint[t.index].set;
	case DP_KIND_TRACK:
		return &dp_slabs.track[t.index].set;
	default:
		return &dp_slabs.sub[t.index].set;
	}
}

static unsigned fresh_worker(struct touch t, const void *set)
{
	const struct sh_msg_endpoint_set *e = set;

	if (t.kind == DP_KIND_TRACK)
		return 0; // not asked for
	if (t.kind == DP_KIND_SUB)
		view_endpoint(((const struct sh_msg_sub_set *)set)->endpoint, &e);
	return e->worker;
}

/* A subscription that goes to another slot: its worker finds another source there, and begins with
 * a key frame. */
static int edit_mover(struct plan *p, struct touch t)
{
	const struct sh_msg_sub_set *to, *from = &dp_slabs.sub[t.index].set;
	unsigned workers = dp_tb.cfg.workers, worker;
	int err;

	if (t.kind != DP_KIND_SUB)
		return 0;
	to = over(t.kind, t.index)->set;
	if (to->track == from->track)
		return 0;
	worker = slab_owner(t.kind, t.index);
	err = dp_edit_add(&p->fan, SH_ID_INDEX(from->track) * workers + worker, t.index, false);
	return err ? err
	           : dp_edit_add(&p->fan, SH_ID_INDEX(to->track) * workers + worker, t.index, true);
}

static int plan_edits(struct plan *p)
{
	int err = 0;

	for (uint32_t i = 0; i < p->doomed.n && !err; i++) {
		struct touch t = p->doomed.v[i];

		err = edit_entry(&p->fan, &p->tracks, &p->subs, &p->owned, t, slab_config(t),
		                 slab_owner(t.kind, t.index), false);
		if (!err && p->replaces)
			err = edit_entry(&p->fan_rm, &p->tracks_rm, &p->subs_rm, &p->owned_rm, t,
			                 slab_config(t), slab_owner(t.kind, t.index), false);
	}
	for (uint32_t i = 0; i < p->fresh.n && !err; i++) {
		struct touch t = p->fresh.v[i];
		const void *set = over(t.kind, t.index)->set;

		err = edit_entry(&p->fan, &p->tracks, &p->subs, &p->owned, t, set,
		                 fresh_worker(t, set), true);
	}
	for (uint32_t i = 0; i < p->update.n && !err; i++)
		err = edit_mover(p, p->update.v[i]);
	if (!err)
		err = dp_lists_prepare(&dp_tb.fan, &p->fan, false);
	if (!err)
		err = dp_lists_prepare(&dp_tb.tracks, &p->tracks, false);
	if (!err)
		err = dp_lists_prepare(&dp_tb.subs, &p->subs, false);
	if (!err)
		err = dp_lists_prepare(&dp_tb.owned, &p->owned, false);
	if (!err)
		err = dp_lists_prepare(&dp_tb.fan, &p->fan_rm, true);
	if (!err)
		err = dp_lists_prepare(&dp_tb.tracks, &p->tracks_rm, true);
	if (!err)
		err = dp_lists_prepare(&dp_tb.subs, &p->subs_rm, true);
	return err ? err : dp_lists_prepare(&dp_tb.owned, &p->owned_rm, true);
}

static int plan_keys(struct plan *p, struct touch t, uint32_t *record)
{
	const struct overlay *o = over(t.kind, t.index);
	const struct sh_endpoint *ep = &dp_slabs.endpoint[t.index];
	struct dp_srtp_session *s = NULL;
	sh_id id = view_id(t.kind, t.index);
	int err = 0;

	if (t.kind != DP_KIND_ENDPOINT || !o->keys || id == 0 || o->keys->id != id)
		return 0;
	*record = o->record;
	if (slab_live(t.kind, t.index) && slab_id(t.kind, t.index) == id &&
	    sh_secret_equal(o->keys, &ep->keys, sizeof(ep->keys)))
		return 0;
	if (p->rekeys == p->rekey_cap) {
		uint32_t cap = p->rekey_cap ? p->rekey_cap * 2 : 16;
		struct rekey *v = realloc(p->rekey, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		p->rekey = v;
		p->rekey_cap = cap;
	}
	if (o->keys->profile != SH_SRTP_NONE) {
		s = session_take(o->keys, &err);
		if (!s)
			return err;
	}
	p->rekey[p->rekeys++] = (struct rekey){t.index, o->keys, s};
	return 0;
}

static int reserve(struct touches *t, uint32_t more)
{
	uint32_t cap = t->n + more;
	struct touch *v;

	if (cap <= t->cap)
		return 0;
	v = realloc(t->v, cap * sizeof(*v));
	if (!v)
		return -ENOMEM;
	t->v = v;
	t->cap = cap;
	return 0;
}

/* Everything that can fail. */
static int prepare(struct plan *p, uint32_t *record)
{
	int err = dp_tb.full ? touch_everything() : 0;

	*record = 0;
	/* The list grows while it is walked: dependents of what goes. */
	for (uint32_t i = 0; i < dp_tb.touched.n && !err; i++)
		err = plan_entry(p, dp_tb.touched.v[i]);
	if (!err)
		err = plan_edits(p);
	for (uint32_t i = 0; i < dp_tb.touched.n && !err; i++)
		err = plan_keys(p, dp_tb.touched.v[i], record);
	return err ? err : reserve(&dp_tb.dead, 2 * p->doomed.n + p->rekeys);
}

static void unprepare(struct plan *p)
{
	struct dp_edits *all[] = {&p->fan,    &p->tracks,    &p->subs,    &p->owned,
	                          &p->fan_rm, &p->tracks_rm, &p->subs_rm, &p->owned_rm};

	for (unsigned i = 0; i < RTE_DIM(all); i++)
		dp_edits_free(all[i]);
	free(p->rekey);
	free(p->doomed.v);
	free(p->fresh.v);
	free(p->update.v);
}

/* ---- publication: nothing below fails ---- */

static void bury_session(struct dp_srtp_session *s)
{
	if (s)
		dp_tb.dead.v[dp_tb.dead.n++] = (struct touch){DP_KIND_SESSION, session_number(s)};
}

static void kill_entry(struct touch t)
{
	atomic_store_explicit(slab_state(t.kind, t.index), SH_DEAD, memory_order_release);
	if (t.kind == DP_KIND_ENDPOINT) {
		index_unlink_endpoint(t.index);
		bury_session(dp_session(t.index));
		session_publish(t.index, NULL);
		path_unpublish(t.index);
		if (dp_tb.cfg.gone)
			dp_tb.cfg.gone(dp_tb.cfg.arg, t.index);
	} else if (t.kind == DP_KIND_SUB) {
		index_unlink_sub(t.index);
	} else {
		group_remove(t.index);
	}
	dp_tb.dead.v[dp_tb.dead.n++] = t;
}

/* Workers may read a LIVE entry's config while it changes. Only the bytes that differ are written,
 * so a flag changes at once; of a larger change a worker may see half for one packet, and each half
 * is in range. */
static void copy_changed(void *dst, const void *src, size_t n)
{
	uint8_t *d = dst;
	const uint8_t *s = src;

	for (size_t i = 0; i < n; i++)
		if (d[i] != s[i])
			__atomic_store_n(&d[i], s[i], __ATOMIC_RELAXED);
}

/* Its place in a hash changes: unlinked before, and every worker quiescent. */
static bool moves(struct touch t)
{
	const void *set = over(t.kind, t.index)->set;

	if (t.kind == DP_KIND_ENDPOINT) {
		const struct sh_msg_endpoint_set *a = set, *b = &dp_slabs.endpoint[t.index].set;

		return a->ufrag_len != b->ufrag_len ||
		       memcmp(a->ufrag, b->ufrag, a->ufrag_len) != 0 || a->pwd_len != b->pwd_len ||
		       memcmp(a->pwd, b->pwd, a->pwd_len) != 0;
	}
	if (t.kind == DP_KIND_SUB) {
		const struct sh_msg_sub_set *a = set, *b = &dp_slabs.sub[t.index].set;

		return a->ssrc != b->ssrc || a->rtx_ssrc != b->rtx_ssrc;
	}
	return false;
}

static void owner_changed(uint32_t endpoint)
{
	const struct dp_fanout *tracks = dp_endpoint_tracks(endpoint);

	for (uint32_t i = 0; tracks && i < tracks->n; i++)
		group_changed(tracks->sub[i]);
}

static void update_all(struct plan *p)
{
	uint32_t moving = 0;

	/* Movers to the front. */
	for (uint32_t i = 0; i < p->update.n; i++) {
		struct touch t = p->update.v[i];

		if (!moves(t))
			continue;
		if (t.kind == DP_KIND_ENDPOINT)
			index_unlink_endpoint(t.index);
		else
			index_unlink_sub(t.index);
		p->update.v[i] = p->update.v[moving];
		p->update.v[moving++] = t;
	}
	if (moving)
		dp_rcu_synchronize();
	for (uint32_t i = 0; i < p->update.n; i++) {
		struct touch t = p->update.v[i];
		const void *set = over(t.kind, t.index)->set;

		if (t.kind == DP_KIND_ENDPOINT) {
			copy_changed(&dp_slabs.endpoint[t.index].set, set,
			             sizeof(struct sh_msg_endpoint_set));
			owner_changed(t.index);
		} else if (t.kind == DP_KIND_TRACK) {
			copy_changed(&dp_slabs.track[t.index].set, set,
			             sizeof(struct sh_msg_track_set));
			group_changed(t.index);
		} else {
			/* Whole: workers make an index of it. */
			__atomic_store_n(&dp_slabs.sub[t.index].set.track,
			                 ((const struct sh_msg_sub_set *)set)->track,
			                 __ATOMIC_RELAXED);
			copy_changed(&dp_slabs.sub[t.index].set, set,
			             sizeof(struct sh_msg_sub_set));
		}
		if (i < moving && t.kind == DP_KIND_ENDPOINT)
			index_link_endpoint(t.index);
		else if (i < moving)
			index_link_sub(t.index);
	}
}

/* The slot is all zero. A new subscription waits for a key frame of the best layer it may have. */
static void create(struct touch t)
{
	const void *set = over(t.kind, t.index)->set;

	switch (t.kind) {
	case DP_KIND_ENDPOINT:
		memcpy(&dp_slabs.endpoint[t.index].set, set, sizeof(struct sh_msg_endpoint_set));
		break;
	case DP_KIND_TRACK:
		memcpy(&dp_slabs.track[t.index].set, set, sizeof(struct sh_msg_track_set));
		dp_slabs.track[t.index].level = 127; // silent until it says otherwise (RFC 6464 §3)
		break;
	default:
		memcpy(&dp_slabs.sub[t.index].set, set, sizeof(struct sh_msg_sub_set));
		dp_slabs.sub[t.index].layer = 255;
		dp_slabs.sub[t.index].want_layer = dp_slabs.sub[t.index].set.max_layer;
		break;
	}
	atomic_store_explicit(slab_state(t.kind, t.index), SH_LIVE, memory_order_release);
	if (t.kind == DP_KIND_ENDPOINT)
		index_link_endpoint(t.index);
	else if (t.kind == DP_KIND_SUB)
		index_link_sub(t.index);
	else
		group_add(t.index);
}

/* First keys are simply published. New ones for old start the SRTP state anew, and that is the
 * owner's to write: waited for, so that one session at most is on its way. */
static void change_keys(const struct rekey *r)
{
	struct sh_endpoint *ep = &dp_slabs.endpoint[r->endpoint];
	struct dp_srtp_session *old = dp_session(r->endpoint);
	struct dp_ops *ops = dp_tb.ops[ep->set.worker];

	memcpy(&ep->keys, r->keys, sizeof(ep->keys));
	session_listen(r->endpoint, r->session);
	if (!old) {
		session_publish(r->endpoint, r->session);
		return;
	}
	while (!dp_ops_post(ops, (struct dp_op){DP_OP_REKEY, r->endpoint, r->session}))
		dp_tb.cfg.wait(dp_tb.cfg.arg);
	while (!dp_ops_idle(ops))
		dp_tb.cfg.wait(dp_tb.cfg.arg);
	bury_session(old);
}

static void tell_wanted(const struct touches *list)
{
	for (uint32_t i = 0; dp_tb.cfg.wanted && i < list->n; i++)
		if (list->v[i].kind == DP_KIND_SUB)
			dp_tb.cfg.wanted(dp_tb.cfg.arg,
			                 SH_ID_INDEX(dp_slabs.sub[list->v[i].index].set.track));
}

/* Its endpoint may have had keys before. */
static void track_comes(uint32_t track)
{
	sh_id endpoint = dp_slabs.track[track].set.endpoint;

	if (endpoint) // no slot
		session_listen(SH_ID_INDEX(endpoint), dp_session(SH_ID_INDEX(endpoint)));
}

static void publish(struct plan *p)
{
	for (uint32_t i = 0; i < p->doomed.n; i++)
		kill_entry(p->doomed.v[i]);
	if (p->replaces) {
		dp_lists_publish(&dp_tb.fan, &p->fan_rm, &dp_tb.garbage);
		dp_lists_publish(&dp_tb.tracks, &p->tracks_rm, &dp_tb.garbage);
		dp_lists_publish(&dp_tb.subs, &p->subs_rm, &dp_tb.garbage);
		dp_lists_publish(&dp_tb.owned, &p->owned_rm, &dp_tb.garbage);
		dp_reap_all();
	}
	update_all(p);
	for (uint32_t i = 0; i < p->fresh.n; i++)
		create(p->fresh.v[i]);
	dp_lists_publish(&dp_tb.owned, &p->owned, &dp_tb.garbage);
	dp_lists_publish(&dp_tb.tracks, &p->tracks, &dp_tb.garbage);
	dp_lists_publish(&dp_tb.subs, &p->subs, &dp_tb.garbage);
	dp_lists_publish(&dp_tb.fan, &p->fan, &dp_tb.garbage);
	for (uint32_t i = 0; i < p->fresh.n; i++)
		if (p->fresh.v[i].kind == DP_KIND_TRACK)
			track_comes(p->fresh.v[i].index);
	for (uint32_t i = 0; i < p->rekeys; i++)
		change_keys(&p->rekey[i]);
	tell_wanted(&p->fresh);
	tell_wanted(&p->update);
}

int apply(uint32_t *record)
{
	struct plan p = {0};
	int err = prepare(&p, record);

	if (err) {
		for (uint32_t i = 0; i < p.rekeys; i++)
			session_drop(p.rekey[i].session);
	} else {
		if (p.on_dead)
			dp_reap_all();
		publish(&p);
	}
	unprepare(&p);
	return err;
}
