/* A participant to and from JSON: what the next callstackd needs to take a running room over. SRTP
 * keys are not in it: they live in the dataplane's slabs, and stay there while the plane ids are
 * named again. */
#include "controlplane/call/agent_priv.h"

#include <errno.h>
#include <stdlib.h>
#include "controlplane/loop.h"

/* ---- save ---- */

static json_t *endpoint_save(const struct cp_endpoint *e)
{
	json_t *nego = cp_nego_save(&e->nego);

	if (!nego)
		return NULL;
	return json_pack("{sI si ss ss sI sb sb sI sb sb so}", "id", (json_int_t)e->id, "worker",
	                 (int)e->worker, "ufrag", e->ufrag, "pwd", e->pwd, "rtcp_ssrc",
	                 (json_int_t)e->rtcp_ssrc, "dtls_done", e->dtls_done, "dtls_closed",
	                 e->dtls_closed, "rev", (json_int_t)e->rev, "awaiting", e->awaiting,
	                 "stale", e->stale, "nego", nego);
}

static json_t *track_save(const struct cp_track *t)
{
	return json_pack("{ss sI si si sb ss sI}", "id", t->id, "plane", (json_int_t)t->plane_id,
	                 "kind", (int)t->kind, "source", (int)t->source, "muted", t->muted, "mid",
	                 t->mid, "media", (json_int_t)t->media);
}

static json_t *sub_save(const struct cp_sub *s)
{
	return json_pack("{ss sI sI sI sI sb sb sb sb s[iiii]}", "track", s->track->id, "plane",
	                 (json_int_t)s->plane_id, "ssrc", (json_int_t)s->ssrc, "rtx_ssrc",
	                 (json_int_t)s->rtx_ssrc, "media",
	                 s->media == CP_NO_MEDIA ? (json_int_t)-1 : (json_int_t)s->media, "paused",
	                 s->paused, "in_plane", s->in_plane, "changed", s->changed, "pinned",
	                 s->pinned, "quality", s->quality.height, s->quality.max_layer, s->quality.max_temporal,
	                 s->quality.priority);
}

json_t *cp_participant_save(const struct cp_participant *p)
{
	static const char *const names[] = {"publish", "subscribe"};
	json_t *tracks = json_array(), *subs = json_array(), *o;
	const struct cp_track *t;
	const struct cp_sub *s;

	TAILQ_FOREACH (t, &p->tracks, entry)
		cp_json_push(&tracks, track_save(t));
	TAILQ_FOREACH (s, &p->subs, entry)
		cp_json_push(&subs, sub_save(s));
	o = json_pack("{ss sI sI ss ss ss ss si sb sb so so}", "room", p->room->name, "group",
	              (json_int_t)p->room->number, "number", (json_int_t)p->number, "id", p->id,
	              "user", p->user, "display", p->display, "name", p->name, "kind", (int)p->kind, "auto",
	              p->auto_sub, "hidden", p->hidden, "tracks", tracks, "subs", subs);
	for (int i = 0; o && i < 2; i++)
		if (p->endpoint[i])
			cp_json_put(&o, names[i], endpoint_save(p->endpoint[i]));
	return o;
}

/* ---- load ---- */

static int endpoint_load(struct cp_participant *p, enum cp_target target, json_t *o)
{
	struct cp_endpoint *e = calloc(1, sizeof(*e));
	json_int_t id, ssrc, rev;
	const char *ufrag, *pwd;
	json_t *nego;
	int worker, done, closed, awaiting, stale, err;

	if (!e)
		return -ENOMEM;
	e->owner = p;
	e->target = target;
	p->endpoint[target] = e;
	err = -EBADMSG;
	if (json_unpack(o, "{sI si ss ss sI sb sb sI sb sb so}", "id", &id, "worker", &worker,
	                "ufrag", &ufrag, "pwd", &pwd, "rtcp_ssrc", &ssrc, "dtls_done", &done,
	                "dtls_closed", &closed, "rev", &rev, "awaiting", &awaiting, "stale", &stale,
	                "nego", &nego) ||
	    worker < 0 || worker >= SH_MAX_WORKERS ||
	    !cp_text_copy(e->ufrag, sizeof(e->ufrag), ufrag) ||
	    !cp_text_copy(e->pwd, sizeof(e->pwd), pwd))
		goto fail;
	e->worker = worker;
	e->rtcp_ssrc = ssrc;
	e->dtls_done = done;
	e->dtls_closed = closed;
	e->rev = rev;
	e->awaiting = awaiting;
	/* As it was, until the dataplane says otherwise: it tells what is not new as soon as it is
	 * linked. */
	e->ice_connected = done;
	e->state = closed ? CP_MEDIA_DISCONNECTED : done ? CP_MEDIA_CONNECTED : CP_MEDIA_NEW;
	e->changed_ns = cp_now_ns();
	err = cp_nego_load(&e->nego, nego);
	if (err)
		goto fail;
	e->id = id;
	err = cp_endpoint_register(e, true);
	if (!err)
		err = cp_endpoint_tell_plane(e);
	if (err)
		goto fail;
	if (stale)
		cp_endpoint_stale(e);
	return 0;
fail:
	cp_endpoint_free(e);
	return err;
}

static int track_load(struct cp_participant *p, json_t *o)
{
	struct cp_endpoint *e = p->endpoint[CP_PUBLISH];
	json_int_t plane, media;
	const char *id, *mid;
	int kind, source, muted;
	struct cp_track *t;
	int err;

	if (json_unpack(o, "{ss sI si si sb ss sI}", "id", &id, "plane", &plane, "kind", &kind,
	                "source", &source, "muted", &muted, "mid", &mid, "media", &media) ||
	    !e || media < 0 || (size_t)media >= e->nego.n_media || source < 0 ||
	    source >= CP_SOURCES || kind != (int)e->nego.media[media].kind || !kind ||
	    e->nego.media[media].user)
		return -EBADMSG;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->owner = p;
	t->plane_id = plane;
	t->kind = kind;
	t->source = source;
	t->muted = muted;
	t->announced = true;
	t->watched = CP_WATCHED_UNKNOWN;
	t->media = media;
	TAILQ_INIT(&t->subs);
	err = -EBADMSG;
	if (!cp_text_copy(t->id, sizeof(t->id), id) || !cp_text_copy(t->mid, sizeof(t->mid), mid) ||
	    (err = cp_track_register(t, true))) {
		free(t);
		return err;
	}
	TAILQ_INSERT_TAIL(&p->tracks, t, entry);
	p->room->n_tracks++;
	e->nego.media[media].user = t;
	return cp_track_tell_plane(t);
}

int cp_participant_load(struct cp_participant **out, struct cp_calls *c, const json_t *saved,
                        const struct cp_party_ops *ops, void *arg)
{
	struct cp_participant *p = cp_participant_new(c);
	const char *room, *id, *user, *display, *name;
	json_t *tracks, *subs, *publish = NULL, *subscribe = NULL, *o;
	json_int_t group = 0, number = 0;
	int kind, auto_sub, hidden, err = -EBADMSG;
	size_t i;

	if (!p)
		return -ENOMEM;
	if (json_unpack((json_t *)saved, "{ss s?I s?I ss ss ss ss si sb sb so so s?o s?o}", "room",
	                &room, "group", &group, "number", &number,
	                "id", &id, "user", &user, "display", &display, "name", &name, "kind", &kind,
	                "auto", &auto_sub, "hidden", &hidden, "tracks", &tracks, "subs", &subs,
	                "publish", &publish, "subscribe", &subscribe) ||
	    kind < CP_PARTY_CLIENT || kind > CP_PARTY_WHEP ||
	    !cp_text_copy(p->id, sizeof(p->id), id) ||
	    !cp_text_copy(p->user, sizeof(p->user), user) ||
	    !cp_text_copy(p->display, sizeof(p->display), display) ||
	    !cp_text_copy(p->name, sizeof(p->name), name))
		goto fail;
	p->kind = kind;
	p->auto_sub = auto_sub;
	p->hidden = hidden;
	p->number = cp_number(c, (uint32_t)number);
	err = cp_room_enter(c, p, room, (uint32_t)group);
	if (!err && publish)
		err = endpoint_load(p, CP_PUBLISH, publish);
	if (!err && subscribe)
		err = endpoint_load(p, CP_SUBSCRIBE, subscribe);
	json_array_foreach (tracks, i, o)
		if (!err)
			err = track_load(p, o);
	if (err)
		goto fail;
	p->ops = ops;
	p->arg = arg;
	*out = p;
	return 0;
fail:
	cp_participant_free(p);
	return err;
}

static int sub_link(struct cp_participant *p, json_t *o)
{
	struct cp_endpoint *e = p->endpoint[CP_SUBSCRIBE];
	json_int_t plane, ssrc, rtx_ssrc, media;
	const char *track;
	struct cp_quality q = cp_quality_any; // of a journal that knows of none
	int paused, in_plane, changed, pinned = 0, err;
	struct cp_track *t;
	struct cp_sub *s;

	if (json_unpack(o, "{ss sI sI sI sI sb sb sb s?b s?[iiii]}", "track", &track, "plane", &plane,
	                "ssrc", &ssrc, "rtx_ssrc", &rtx_ssrc, "media", &media, "paused", &paused,
	                "in_plane", &in_plane, "changed", &changed, "pinned", &pinned, "quality", &q.height,
	                &q.max_layer, &q.max_temporal, &q.priority) ||
	    !cp_quality_ok(&q) || !e || media >= (json_int_t)e->nego.n_media ||
	    (media >= 0 && e->nego.media[media].user))
		return -EBADMSG;
	t = cp_room_track(p->room, track);
	if (!t)
		return -ENOENT;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->owner = p;
	s->track = t;
	s->plane_id = plane;
	s->ssrc = ssrc;
	s->rtx_ssrc = rtx_ssrc;
	s->media = media < 0 ? CP_NO_MEDIA : (size_t)media;
	s->paused = paused;
	s->changed = changed;
	s->pinned = pinned;
	s->quality = q;
	err = cp_sub_register(s, true);
	if (err) {
		free(s);
		return err;
	}
	TAILQ_INSERT_TAIL(&p->subs, s, entry);
	TAILQ_INSERT_TAIL(&t->subs, s, by_track);
	if (s->media == CP_NO_MEDIA || s->changed)
		cp_endpoint_stale(e);
	if (s->media != CP_NO_MEDIA)
		e->nego.media[s->media].user = s;
	if (in_plane && s->media != CP_NO_MEDIA)
		cp_sub_tell_plane(s);
	return 0;
}

/* A subscription whose track's owner did not make it into the journal is dropped; its m-line goes
 * inactive. */
static void vacate_unowned(struct cp_endpoint *e)
{
	for (size_t i = 0; i < e->nego.n_media; i++)
		if (!e->nego.media[i].user && (e->nego.media[i].dir & CP_DIR_SEND))
			cp_media_vacate(e, i);
}

unsigned cp_participant_link(struct cp_participant *p, const json_t *saved)
{
	unsigned lost = 0;
	json_t *o;
	size_t i;

	json_array_foreach (json_object_get(saved, "subs"), i, o) {
		int err = sub_link(p, o);

		lost += err && err != -ENOENT;
	}
	if (p->endpoint[CP_SUBSCRIBE])
		vacate_unowned(p->endpoint[CP_SUBSCRIBE]);
	return lost;
}

/* ---- the rest ---- */

bool cp_calls_changed(struct cp_calls *c)
{
	bool changed = c->changed;

	c->changed = false;
	return changed;
}

json_t *cp_calls_save(const struct cp_calls *c)
{
	return json_pack("{sI so so}", "slab_epoch", (json_int_t)c->slab_epoch, "calls",
	                 cp_call_save_all(c), "slots", cp_slots_save_all(c));
}

void cp_calls_load(struct cp_calls *c, const json_t *saved)
{
	c->slab_epoch = (uint64_t)json_integer_value(json_object_get(saved, "slab_epoch"));
	cp_call_load_all(c, json_object_get(saved, "calls"));
}
