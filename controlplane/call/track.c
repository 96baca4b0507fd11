/* What a participant publishes: the tracks follow the m-lines of its offers. */
#include "controlplane/call/calls_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const source_names[CP_SOURCES] = {"microphone", "camera", "screen",
                                                     "screen_audio"};

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

static void describe(const struct cp_track *t, struct sh_msg_track_set *set)
{
	const struct cp_endpoint *e = t->owner->endpoint[CP_PUBLISH];
	const struct cp_media *m = &e->nego.media[t->media];

	*set = (struct sh_msg_track_set){
	    .id = t->plane_id,
	    .endpoint = e->id,
	    .group = t->owner->room->number,
	    .kind = t->kind,
	    .layers = m->layers ? m->layers : 1,
	    .mid_len = strlen(t->mid),
	    .flags = t->muted ? SH_TRACK_MUTED : 0,
	};
	if (cp_slot_stands_for(t))
		set->flags |= SH_TRACK_FOLLOW;
	memcpy(set->mid, t->mid, set->mid_len);
	cp_nego_track_pts(m, set->pt);
	memcpy(set->layer, m->layer, m->layers * sizeof(set->layer[0]));
	for (unsigned i = 0; i < m->codecs; i++) {
		if (m->codec[i].nack)
			set->flags |= SH_TRACK_NACK;
		if (m->codec[i].pli)
			set->flags |= SH_TRACK_PLI;
		if (m->codec[i].fir)
			set->flags |= SH_TRACK_FIR;
	}
}

int cp_track_tell_plane(struct cp_track *t)
{
	struct cp_sub *s, *next;
	struct sh_msg_track_set set;
	bool pts_changed;

	describe(t, &set);
	if (memcmp(&set, &t->set, sizeof(set)) == 0)
		return 0;
	if (cp_plane_track_set(t->owner->calls->plane, &set))
		return -EPROTO;
	pts_changed = memcmp(set.pt, t->set.pt, sizeof(set.pt)) != 0;
	t->set = set;
	for (s = pts_changed ? TAILQ_FIRST(&t->subs) : NULL; s; s = next) {
		next = TAILQ_NEXT(s, by_track);
		cp_sub_track_changed(s);
	}
	return 0;
}

/* ---- publishing ---- */

static const struct cp_publish_track *asked_for(const char *mid, const struct cp_publish_track *src,
                                                size_t n)
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

static bool fits(int source, enum sh_kind kind)
{
	return (source == CP_MICROPHONE || source == CP_SCREEN_AUDIO) == (kind == SH_KIND_AUDIO);
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
	t->source = m->kind == SH_KIND_AUDIO ? CP_MICROPHONE : CP_CAMERA;
	if (want && fits(want->source, m->kind))
		t->source = want->source;
	t->muted = want && want->muted > 0;
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
	err = cp_track_tell_plane(t);
	t->watched = cp_track_all_layers(t);
	return err;
}

static int track_again(struct cp_track *t, const struct cp_publish_track *want)
{
	enum cp_source source =
	    want && fits(want->source, t->kind) ? (enum cp_source)want->source : t->source;
	bool muted = want && want->muted >= 0 ? want->muted : t->muted;
	bool news = source != t->source || muted != t->muted;
	int err;

	t->source = source;
	t->muted = muted;
	err = cp_track_tell_plane(t);
	if (!err && news && t->announced)
		cp_room_tell_track(t, CP_TRACK_UPDATED);
	return err;
}

/* Tracks as the agreed m-lines say. New ones are announced by the caller, once the answer exists.
 */
static int follow_media(struct cp_participant *p, const struct cp_publish_track *src, size_t n)
{
	struct cp_nego *nego = &p->endpoint[CP_PUBLISH]->nego;
	int err = 0;

	for (size_t i = 0; i < nego->n_media && !err; i++) {
		struct cp_media *m = &nego->media[i];
		const struct cp_publish_track *want = asked_for(m->mid, src, n);
		struct cp_track *t = m->user;

		m->dir &= CP_DIR_RECV; /* what it is sent comes over the other transport */
		if (t && (!publishes(m) || strcmp(t->mid, m->mid) != 0)) {
			cp_track_end(t);
			t = NULL;
		}
		if (t)
			err = track_again(t, want);
		else if (publishes(m))
			err = track_new(p, i, want);
	}
	return err;
}

static void announce_new(struct cp_participant *p)
{
	struct cp_track *t;

	cp_participant_show(p);
	TAILQ_FOREACH (t, &p->tracks, entry) {
		if (t->announced)
			continue;
		t->announced = true;
		cp_room_tell_track(t, CP_TRACK_ADDED);
	}
}

/* What the offer would mean, tried on a negotiation of its own: the real one cannot go back once it
 * took an offer. */
static int look_ahead(struct cp_endpoint *e, const char *sdp, size_t len, bool *renewed,
                      char *err_text)
{
	struct cp_participant *p = e->owner;
	struct cp_nego probe;
	bool restarted;
	unsigned n = 0, videos = 0;
	int err = cp_nego_init(&probe, &e->nego.conf, 1);

	if (err)
		return err;
	err = cp_nego_offer_in(&probe, sdp, len, &restarted, err_text);
	for (size_t i = 0; !err && i < probe.n_media; i++) {
		n += publishes(&probe.media[i]);
		videos += publishes(&probe.media[i]) && probe.media[i].kind == SH_KIND_VIDEO;
	}
	if (!err && n > p->calls->limits.max_tracks) {
		snprintf(err_text, CP_NEGO_ERROR_MAX, "more than %u tracks",
		         p->calls->limits.max_tracks);
		err = -ENOSPC;
	}
	if (!err && n == 0 && p->kind == CP_PARTY_WHIP)
		err = -ENOTSUP;
	if (!err)
		err = cp_admit_publish(p, n - videos, videos);
	*renewed = !err && e->nego.rfingerprint[0] && probe.rfingerprint[0] &&
	           strcmp(e->nego.rfingerprint, probe.rfingerprint) != 0;
	cp_nego_close(&probe);
	return err;
}

static void end_transport(struct cp_participant *p)
{
	struct cp_track *t;

	while ((t = TAILQ_FIRST(&p->tracks)))
		cp_track_end(t);
	if (p->endpoint[CP_PUBLISH])
		cp_endpoint_free(p->endpoint[CP_PUBLISH]);
	cp_participant_changed(p);
}

/* From the first line on, e and the tracks follow the offer; a failure leaves them between two
 * descriptions. */
static int take_offer(struct cp_endpoint *e, bool ice_restarted, const struct cp_publish_track *src,
                      size_t n, char **answer, char *err_text)
{
	int err = ice_restarted ? cp_endpoint_restart(e) : 0;

	if (!err)
		err = follow_media(e->owner, src, n);
	if (err == -EPROTO)
		snprintf(err_text, CP_NEGO_ERROR_MAX,
		         "SSRCs, RIDs or extensions that contradict each other");
	if (!err)
		err = cp_nego_answer_out(&e->nego, answer);
	if (!err)
		err = cp_endpoint_negotiated(e);
	return err;
}

int cp_publish(struct cp_participant *p, const char *sdp, size_t len,
               const struct cp_publish_track *src, size_t n, char **answer, char *err_text)
{
	bool ice_restarted = false, renewed = false, fresh = !p->endpoint[CP_PUBLISH];
	struct cp_endpoint *e;
	int err = cp_calls_ready(p->calls) ? cp_endpoint_get(&e, p, CP_PUBLISH) : -ENODEV;

	if (err)
		return err;
	*answer = NULL;
	err = look_ahead(e, sdp, len, &renewed, err_text);
	if (renewed) {
		/* RFC 8842 §4: another certificate is another association, and most likely another
		 * peer connection. */
		end_transport(p);
		fresh = true;
		err = cp_endpoint_get(&e, p, CP_PUBLISH);
		if (err)
			return err;
	}
	if (!err)
		err = cp_nego_offer_in(&e->nego, sdp, len, &ice_restarted, err_text);
	if (err) {
		if (fresh)
			end_transport(p);
		return err;
	}
	err = take_offer(e, ice_restarted, src, n, answer, err_text);
	if (err) {
		free(*answer);
		*answer = NULL;
		end_transport(p);
		if (!fresh && p->ops->media_reset)
			p->ops->media_reset(p->arg, CP_PUBLISH);
		return err;
	}
	announce_new(p);
	return 0;
}

void cp_track_mute(struct cp_track *t, bool muted)
{
	if (t->muted == muted)
		return;
	t->muted = muted;
	(void)cp_track_tell_plane(t);
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
