/* What a participant publishes: the tracks follow the m-lines of its offers. */
#include "controlplane/call/calls_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const source_names[CP_SOURCES] = {"microphone", "camera", "screen", "screen_audio"};

const char *cp_source_name(enum cp_source s)
{
	return source_names[s];
}

int cp_source_parse(const char *text)
{
	for (int i = 0; i < CP_SOURCES; i++)
		if (strcmp(text, source_names[i]) == 0)
			return i;
	return -EINVAL;
}

/* ---- the end ---- */

void cp_track_end(struct cp_track *t)
{
	struct cp_participant *p = t->owner;
	struct cp_sub *s;

	while ((s = TAILQ_FIRST(&t->subs)))
		cp_sub_end(s);
	TAILQ_REMOVE(&p->tracks, t, entry);
	if (p->room)
		p->room->n_tracks--;
	if (p->endpoint[CP_PUBLISH] && t->media < p->endpoint[CP_PUBLISH]->nego.n_media)
		p->endpoint[CP_PUBLISH]->nego.media[t->media].user = NULL;
	if (t->plane_id) {
		p->calls->track[SH_ID_INDEX(t->plane_id)] = NULL;
		cp_plane_del(p->calls->plane, SH_DEL_TRACK, t->plane_id);
		p->calls->counts.tracks--;
	}
	if (t->announced)
		cp_room_tell_track(t, CP_TRACK_REMOVED);
	cp_participant_changed(p);
	free(t);
}

/* ---- towards the dataplane ---- */

int cp_track_register(struct cp_track *t, bool claim)
{
	struct cp_calls *c = t->owner->calls;
	int err = claim ? cp_plane_id_claim(c->plane, SH_DEL_TRACK, t->plane_id)
	                : cp_plane_id_new(c->plane, SH_DEL_TRACK, &t->plane_id);

	if (err) {
		t->plane_id = 0;
		return err;
	}
	c->track[SH_ID_INDEX(t->plane_id)] = t;
	c->counts.tracks++;
	return 0;
}

void cp_track_tell_plane(struct cp_track *t)
{
	const struct cp_endpoint *e = t->owner->endpoint[CP_PUBLISH];
	const struct cp_media *m = &e->nego.media[t->media];
	bool pts_changed;
	struct cp_sub *s;
	struct sh_msg_track_set set = {
		.id = t->plane_id,
		.endpoint = e->id,
		.kind = t->kind,
		.layers = m->layers ? m->layers : 1,
		.mid_len = strlen(t->mid),
		.flags = t->muted ? SH_TRACK_MUTED : 0,
	};

	memcpy(set.mid, t->mid, set.mid_len);
	cp_nego_track_pts(m, set.pt);
	memcpy(set.layer, m->layer, m->layers * sizeof(set.layer[0]));
	for (unsigned i = 0; i < m->codecs; i++) {
		if (m->codec[i].nack)
			set.flags |= SH_TRACK_NACK;
		if (m->codec[i].pli)
			set.flags |= SH_TRACK_PLI;
		if (m->codec[i].fir)
			set.flags |= SH_TRACK_FIR;
	}
	if (memcmp(&set, &t->set, sizeof(set)) == 0)
		return;
	pts_changed = memcmp(set.pt, t->set.pt, sizeof(set.pt)) != 0;
	t->set = set;
	cp_plane_track_set(t->owner->calls->plane, &set);
	if (pts_changed)
		TAILQ_FOREACH (s, &t->subs, by_track)
			cp_sub_track_changed(s);
}

/* ---- publishing ---- */

static const struct cp_publish_track *asked_for(const char *mid, const struct cp_publish_track *src, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(src[i].mid, mid) == 0)
			return &src[i];
	return NULL;
}

static bool publishes(const struct cp_media *m)
{
	return m->kind && !m->rejected && (m->dir & CP_DIR_RECV) && m->codecs;
}

static unsigned count_published(const struct cp_nego *n)
{
	unsigned k = 0;

	for (size_t i = 0; i < n->n_media; i++)
		k += publishes(&n->media[i]);
	return k;
}

static int track_new(struct cp_participant *p, size_t media, const struct cp_publish_track *want)
{
	struct cp_media *m = &p->endpoint[CP_PUBLISH]->nego.media[media];
	struct cp_track *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->owner = p;
	t->kind = m->kind;
	t->source = want ? want->source : m->kind == SH_KIND_AUDIO ? CP_MICROPHONE : CP_CAMERA;
	t->muted = want && want->muted;
	t->media = media;
	TAILQ_INIT(&t->subs);
	cp_make_id(t->id, 't');
	(void)cp_text_copy(t->mid, sizeof(t->mid), m->mid);
	err = cp_track_register(t, false);
	if (err) {
		free(t);
		return err;
	}
	TAILQ_INSERT_TAIL(&p->tracks, t, entry);
	p->room->n_tracks++;
	m->user = t;
	cp_track_tell_plane(t);
	return 0;
}

/* Tracks as the agreed m-lines say. New ones are announced by the caller, once the answer exists. */
static int follow_media(struct cp_participant *p, const struct cp_publish_track *src, size_t n)
{
	struct cp_nego *nego = &p->endpoint[CP_PUBLISH]->nego;

	for (size_t i = 0; i < nego->n_media; i++) {
		struct cp_media *m = &nego->media[i];
		struct cp_track *t = m->user;
		int err;

		if (t && (!publishes(m) || strcmp(t->mid, m->mid) != 0)) {
			cp_track_end(t);
			t = NULL;
		}
		if (t) {
			cp_track_tell_plane(t);
		} else if (publishes(m)) {
			err = track_new(p, i, asked_for(m->mid, src, n));
			if (err)
				return err;
		}
	}
	return 0;
}

static void announce_new(struct cp_participant *p)
{
	struct cp_track *t;

	TAILQ_FOREACH (t, &p->tracks, entry) {
		if (t->announced)
			continue;
		t->announced = true;
		cp_room_tell_track(t, CP_TRACK_ADDED);
	}
}

int cp_publish(struct cp_participant *p, const char *sdp, size_t len, const struct cp_publish_track *src, size_t n,
               char **answer, char *err_text)
{
	struct cp_endpoint *e;
	struct cp_track *t;
	bool ice_restarted = false, fresh = !p->endpoint[CP_PUBLISH];
	char fingerprint[sizeof(e->nego.rfingerprint)];
	int err = cp_endpoint_get(&e, p, CP_PUBLISH);

	if (err)
		return err;
	memcpy(fingerprint, e->nego.rfingerprint, sizeof(fingerprint));
	err = cp_nego_offer_in(&e->nego, sdp, len, &ice_restarted, err_text);
	if (err)
		goto fail;
	if (fingerprint[0] && strcmp(fingerprint, e->nego.rfingerprint) != 0) {
		/* RFC 8842 §4: another certificate is another association, so another transport. */
		snprintf(err_text, CP_NEGO_ERROR_MAX, "a=fingerprint changed: this is a new transport; rejoin");
		fresh = true;
		err = -EPROTO;
		goto fail;
	}
	if (count_published(&e->nego) > p->calls->limits.max_tracks) {
		snprintf(err_text, CP_NEGO_ERROR_MAX, "more than %u tracks", p->calls->limits.max_tracks);
		fresh = true;
		err = -ENOSPC;
		goto fail;
	}
	if (ice_restarted) {
		err = cp_endpoint_restart(e);
		if (err)
			goto fail;
	}
	err = follow_media(p, src, n);
	if (!err)
		err = cp_nego_answer_out(&e->nego, answer);
	if (!err)
		err = cp_endpoint_negotiated(e);
	if (err)
		goto fail;
	announce_new(p);
	return 0;
fail:
	/* A transport that never came about leaves nothing behind; one whose description no longer fits its
	 * tracks is ended, so that what the room sees stays true. */
	if (fresh) {
		while ((t = TAILQ_FIRST(&p->tracks)))
			cp_track_end(t);
		cp_endpoint_free(e);
	}
	return err;
}

void cp_track_mute(struct cp_track *t, bool muted)
{
	if (t->muted == muted)
		return;
	t->muted = muted;
	cp_track_tell_plane(t);
	cp_room_tell_track(t, CP_TRACK_UPDATED);
	cp_participant_changed(t->owner);
}

struct cp_track *cp_track_find(struct cp_participant *p, const char *id)
{
	struct cp_track *t;

	TAILQ_FOREACH (t, &p->tracks, entry)
		if (strcmp(t->id, id) == 0)
			return t;
	return NULL;
}
