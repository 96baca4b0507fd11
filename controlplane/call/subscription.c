/* What a participant is sent. We offer, the client answers; while an answer is outstanding the
 * description must not change, so what is wanted meanwhile waits: a new subscription has no m-line
 * yet (CP_NO_MEDIA), an ended one leaves its m-line marked `ended` until the next offer makes it
 * inactive. */
#include "controlplane/call/calls_priv.h"

#include <errno.h>
#include <stdlib.h>
#include "shared/log.h"

static char ended; // its address marks an m-line whose subscription is gone

/* ---- the end ---- */

void cp_media_vacate(struct cp_endpoint *e, size_t media)
{
	struct cp_media *m = &e->nego.media[media];

	if (e->owner->kind == CP_PARTY_WHEP) {
		m->user = NULL;
		/* No (key, SSRC, index) twice: the next tenant of the m-line gets SSRCs of its own.
		 */
		m->ssrc = m->rtx_ssrc = 0;
	} else {
		m->user = &ended;
		cp_endpoint_stale(e);
	}
}

void cp_sub_end(struct cp_sub *s)
{
	struct cp_participant *p = s->owner;
	struct cp_endpoint *e = p->endpoint[CP_SUBSCRIBE];

	TAILQ_REMOVE(&p->subs, s, entry);
	TAILQ_REMOVE(&s->track->subs, s, by_track);
	p->calls->sub[SH_ID_INDEX(s->plane_id)] = NULL;
	if (s->in_plane)
		cp_plane_del(p->calls->plane, SH_DEL_SUB, s->plane_id);
	else
		cp_plane_id_free(p->calls->plane, SH_DEL_SUB, s->plane_id);
	p->calls->counts.subs--;
	if (e && s->media != CP_NO_MEDIA)
		cp_media_vacate(e, s->media);
	cp_participant_changed(p);
	free(s);
}

/* ---- towards the dataplane ---- */

int cp_sub_register(struct cp_sub *s, bool claim)
{
	struct cp_plane *plane = s->owner->calls->plane;
	int err = claim ? cp_plane_id_claim(plane, SH_DEL_SUB, s->plane_id)
	                : cp_plane_id_new(plane, SH_DEL_SUB, &s->plane_id);

	if (err)
		return err;
	s->owner->calls->sub[SH_ID_INDEX(s->plane_id)] = s;
	s->owner->calls->counts.subs++;
	return 0;
}

void cp_sub_tell_plane(struct cp_sub *s)
{
	const struct cp_endpoint *e = s->owner->endpoint[CP_SUBSCRIBE];
	const struct cp_media *m = &e->nego.media[s->media];
	struct sh_msg_sub_set set = {
	    .id = s->plane_id,
	    .track = s->track->plane_id,
	    .endpoint = e->id,
	    .ssrc = s->ssrc,
	    .mid_len = strlen(m->mid),
	    .flags = s->paused ? SH_SUB_PAUSED : 0,
	    .max_layer = s->quality.max_layer,
	    .max_temporal = s->quality.max_temporal,
	    .want_height = s->quality.height,
	    .priority = s->quality.priority,
	};

	memcpy(set.mid, m->mid, set.mid_len);
	cp_nego_sub_pts(m, s->track->set.pt, set.pt);
	for (unsigned i = 0; i < m->codecs; i++)
		if (m->codec[i].nack)
			set.flags |= SH_SUB_NACK;
	if (m->rtx_ssrc)
		set.rtx_ssrc = s->rtx_ssrc;
	if (cp_plane_sub_set(s->owner->calls->plane, &set))
		sh_error("call", "subscription of %s to %s: the dataplane cannot have it",
		         s->owner->id, s->track->id);
	else
		s->in_plane = true;
}

/* ---- wanting ---- */

void cp_endpoint_stale(struct cp_endpoint *e)
{
	struct cp_participant *p = e->owner;

	e->stale = true;
	if (p->due)
		return;
	p->due = true;
	TAILQ_INSERT_TAIL(&p->calls->due, p, due_entry);
}

static struct cp_sub *find(const struct cp_participant *p, const struct cp_track *t)
{
	struct cp_sub *s;

	TAILQ_FOREACH (s, &p->subs, entry)
		if (s->track == t)
			return s;
	return NULL;
}

int cp_sub_new(struct cp_sub **out, struct cp_participant *p, struct cp_track *t)
{
	struct cp_sub *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->owner = p;
	s->track = t;
	s->media = CP_NO_MEDIA;
	s->quality = cp_quality_any;
	s->ssrc = cp_random_ssrc();
	s->rtx_ssrc = t->kind == SH_KIND_VIDEO ? cp_random_ssrc() : 0;
	err = cp_sub_register(s, false);
	if (err) {
		free(s);
		return err;
	}
	TAILQ_INSERT_TAIL(&p->subs, s, entry);
	TAILQ_INSERT_TAIL(&t->subs, s, by_track);
	cp_participant_changed(p);
	*out = s;
	return 0;
}

void cp_sub_move(struct cp_sub *s, struct cp_track *slot)
{
	TAILQ_REMOVE(&s->track->subs, s, by_track);
	s->track = slot;
	TAILQ_INSERT_TAIL(&slot->subs, s, by_track);
	cp_sub_tell_plane(s);
	cp_participant_changed(s->owner);
}

bool cp_subscribed(const struct cp_participant *p, const struct cp_track *t)
{
	return find(p, t) != NULL;
}

int cp_subscribe(struct cp_participant *p, struct cp_track *t)
{
	struct cp_endpoint *e;
	struct cp_sub *s;
	int err;

	if (t->owner == p)
		return -ENOTSUP;
	if (find(p, t))
		return -EEXIST;
	err = cp_endpoint_get(&e, p, CP_SUBSCRIBE);
	if (!err)
		err = cp_sub_new(&s, p, t);
	if (!err)
		cp_endpoint_stale(e);
	return err;
}

int cp_subscribe_to(struct cp_participant *p, struct cp_track *t)
{
	int err = cp_subscribe(p, t);

	if (!err)
		find(p, t)->pinned = true;
	return err;
}

int cp_unsubscribe(struct cp_participant *p, struct cp_track *t)
{
	struct cp_sub *s = find(p, t);

	if (!s)
		return -ENOENT;
	cp_sub_end(s);
	return 0;
}

int cp_pause(struct cp_participant *p, struct cp_track *t, bool paused)
{
	struct cp_sub *s = find(p, t);

	if (!s)
		return -ENOENT;
	s->paused = paused;
	if (s->in_plane)
		cp_sub_tell_plane(s);
	cp_participant_changed(p);
	return 0;
}

const struct cp_quality cp_quality_any = {
    .max_layer = SH_MAX_LAYERS - 1,
    .max_temporal = SH_MAX_TEMPORAL - 1,
};

bool cp_quality_ok(const struct cp_quality *q)
{
	return q->height >= 0 && q->height <= UINT16_MAX && q->max_layer >= 0 &&
	       q->max_layer < SH_MAX_LAYERS && q->max_temporal >= 0 &&
	       q->max_temporal < SH_MAX_TEMPORAL && q->priority >= 0 && q->priority <= UINT8_MAX;
}

int cp_want(struct cp_participant *p, struct cp_track *t, const struct cp_quality *want)
{
	struct cp_sub *s = find(p, t);
	struct cp_quality q;

	if (!s)
		return -ENOENT;
	q = s->quality;
	if (want->height >= 0)
		q.height = want->height;
	if (want->max_layer >= 0)
		q.max_layer = want->max_layer;
	if (want->max_temporal >= 0)
		q.max_temporal = want->max_temporal;
	if (want->priority >= 0)
		q.priority = want->priority;
	if (!cp_quality_ok(&q))
		return -EINVAL;
	if (memcmp(&q, &s->quality, sizeof(q)) == 0)
		return 0;
	s->quality = q;
	if (s->in_plane)
		cp_sub_tell_plane(s);
	cp_participant_changed(p);
	return 0;
}

/* ---- offers and answers ---- */

/* The dataplane is told at once: slots may stand for other codecs now. What the subscriber has not
 * agreed to yet is not sent until the next offer was answered. */
void cp_sub_track_changed(struct cp_sub *s)
{
	struct cp_endpoint *e = s->owner->endpoint[CP_SUBSCRIBE];

	if (s->owner->kind == CP_PARTY_WHEP && cp_play_rebind(s)) {
		if (s->owner->ops->track_removed) /* for this player it is gone */
			s->owner->ops->track_removed(s->owner->arg, s->track);
		cp_sub_end(s);
		return;
	}
	if (s->in_plane)
		cp_sub_tell_plane(s);
	if (s->owner->kind != CP_PARTY_WHEP && s->media != CP_NO_MEDIA) {
		s->changed = true;
		cp_endpoint_stale(e);
	}
}

/* An m-line for a new subscription, or the codecs of one whose track has others now. */
static void give_media(struct cp_endpoint *e, struct cp_sub *s)
{
	const struct cp_track *t = s->track;
	const struct cp_media *from =
	    t->owner ? &t->owner->endpoint[CP_PUBLISH]->nego.media[t->media] : cp_slot_media(t);
	const struct cp_nego_send send = {
	    .kind = t->kind,
	    .src = from->codec,
	    .n_src = from->codecs,
	    .ssrc = s->ssrc,
	    .rtx_ssrc = s->rtx_ssrc,
	    .stream = t->owner ? t->owner->id : t->id, // slots play each by itself
	    .track = t->id,
	    .user = s,
	};

	if (s->changed) {
		s->changed = false;
		if (cp_nego_send_change(&e->nego, s->media, &send) == 0)
			return;
		/* The peer refused this m-line: leave it and try another. */
		cp_nego_send_remove(&e->nego, s->media);
		s->media = CP_NO_MEDIA;
	}
	if (cp_nego_send_add(&e->nego, &s->media, &send))
		s->media = CP_NO_MEDIA; /* tried again with the next offer */
}

void cp_send_offer(struct cp_endpoint *e)
{
	struct cp_participant *p = e->owner;
	struct cp_sub *s;
	char *sdp;

	for (size_t i = 0; i < e->nego.n_media; i++)
		if (e->nego.media[i].user == &ended)
			cp_nego_send_remove(&e->nego, i);
	TAILQ_FOREACH (s, &p->subs, entry)
		if (s->media == CP_NO_MEDIA || s->changed)
			give_media(e, s);
	if (e->nego.n_media == 0 || cp_nego_offer_out(&e->nego, &sdp))
		return; /* stale as before: the next change tries again */
	e->stale = false;
	e->rev++;
	e->awaiting = true;
	(void)cp_endpoint_tell_plane(e);
	if (p->ops->offer)
		p->ops->offer(p->arg, e->rev, sdp);
	free(sdp);
	cp_participant_changed(p);
}

void cp_offer_again(struct cp_participant *p)
{
	struct cp_endpoint *e = p->endpoint[CP_SUBSCRIBE];

	if (!e || !e->awaiting)
		return;
	e->awaiting = false;
	cp_endpoint_stale(e);
}

/* The dataplane sends what the answer took, and stops what it refused. */
static void follow_answer(struct cp_endpoint *e)
{
	struct cp_sub *s;

	TAILQ_FOREACH (s, &e->owner->subs, entry) {
		const struct cp_media *m =
		    s->media == CP_NO_MEDIA ? NULL : &e->nego.media[s->media];

		if (m && m->agreed && (s->in_plane || (!m->rejected && (m->dir & CP_DIR_SEND))))
			cp_sub_tell_plane(s);
	}
}

int cp_answer(struct cp_participant *p, uint32_t rev, const char *sdp, size_t len, char *err_text)
{
	struct cp_endpoint *e = p->endpoint[CP_SUBSCRIBE];
	char fingerprint[sizeof(e->nego.rfingerprint)];
	int err;

	if (!e || !e->awaiting || e->rev != rev)
		return -ESTALE;
	memcpy(fingerprint, e->nego.rfingerprint, sizeof(fingerprint));
	err = cp_nego_answer_in(&e->nego, sdp, len, err_text);
	if (err)
		return err;
	e->awaiting = false;
	if (fingerprint[0] && strcmp(fingerprint, e->nego.rfingerprint) != 0)
		cp_endpoint_renew(e);
	err = cp_endpoint_negotiated(e);
	follow_answer(e);
	if (e->stale)
		cp_endpoint_stale(e);
	return err;
}

int cp_subscribe_restart(struct cp_participant *p)
{
	struct cp_endpoint *e = p->endpoint[CP_SUBSCRIBE];
	int err = e ? cp_endpoint_restart(e) : -ENOENT;

	if (err)
		return err;
	e->awaiting = false; /* that offer has the old credentials */
	cp_endpoint_stale(e);
	return 0;
}
