/* WHEP: the player offers recvonly m-lines, and they are filled with tracks. Each filled m-line is answered with all
 * codecs that both sides know, so that another track can take its place later without a new description; a
 * new track comes with a new SSRC and is told apart by MID (RFC 9143). */
#include "controlplane/call/calls_priv.h"

#include <errno.h>
#include <stdlib.h>

static bool played(const struct cp_participant *player, const struct cp_track *t)
{
	const struct cp_sub *s;

	TAILQ_FOREACH (s, &player->subs, entry)
		if (s->track == t)
			return true;
	return false;
}

static bool fillable(const struct cp_media *m)
{
	return m->kind && !m->rejected && m->codecs && (m->dir & CP_DIR_SEND) && !m->user;
}

int cp_play_bind(struct cp_sub *s)
{
	struct cp_endpoint *e = s->owner->endpoint[CP_SUBSCRIBE];
	const struct cp_track *t = s->track;
	const struct cp_media *from = &t->owner->endpoint[CP_PUBLISH]->nego.media[t->media];
	const struct cp_nego_send send = {
		.kind = t->kind,
		.src = from->codec,
		.n_src = from->codecs,
		.ssrc = s->ssrc,
		.rtx_ssrc = s->rtx_ssrc,
		.stream = s->owner->id,
		.track = e->nego.media[s->media].mid,
		.user = s,
	};

	return cp_nego_send_fill(&e->nego, s->media, &send);
}

/* That track on that m-line, if they have a codec in common. */
static bool fill(struct cp_participant *player, size_t media, struct cp_track *t)
{
	const struct cp_media *m = &player->endpoint[CP_SUBSCRIBE]->nego.media[media];
	struct cp_sub *s;

	if (m->kind != t->kind || played(player, t) || cp_sub_new(&s, player, t))
		return false;
	if (m->ssrc) { /* announced by the answer and not used yet; later tenants have SSRCs of their own */
		s->ssrc = m->ssrc;
		s->rtx_ssrc = m->rtx_ssrc;
	}
	s->media = media;
	if (cp_play_bind(s)) {
		s->media = CP_NO_MEDIA;
		cp_sub_end(s);
		return false;
	}
	cp_sub_tell_plane(s);
	return true;
}

static void fill_from(struct cp_participant *player, size_t media, const struct cp_participant *only)
{
	struct cp_participant *p;
	struct cp_track *t;

	TAILQ_FOREACH (p, &player->room->participants, entry) {
		if (p == player || (only && p != only))
			continue;
		TAILQ_FOREACH (t, &p->tracks, entry)
			if (fill(player, media, t))
				return;
	}
}

void cp_play_refill(struct cp_participant *player)
{
	struct cp_endpoint *e = player->endpoint[CP_SUBSCRIBE];
	struct cp_participant *only = NULL;

	if (!e || (player->name[0] && !(only = cp_room_member(player->room, player->name))))
		return;
	for (size_t i = 0; i < e->nego.n_media; i++)
		if (fillable(&e->nego.media[i]))
			fill_from(player, i, only);
}

/* Until a track takes it, an m-line is answered as if it carried whatever the player can take. */
static bool reserve(struct cp_endpoint *e, size_t media)
{
	const struct cp_media *m = &e->nego.media[media];
	const struct cp_nego_send send = {
		.kind = m->kind,
		.src = m->codec,
		.n_src = m->codecs,
		.ssrc = cp_random_ssrc(),
		.rtx_ssrc = m->kind == SH_KIND_VIDEO ? cp_random_ssrc() : 0,
		.stream = e->owner->id,
		.track = m->mid,
	};

	return fillable(m) && cp_nego_send_fill(&e->nego, media, &send) == 0;
}

int cp_play(struct cp_participant *player, const char *sdp, size_t len, char **answer, char *err_text)
{
	struct cp_endpoint *e;
	bool ice_restarted, any = false;
	int err = cp_endpoint_get(&e, player, CP_SUBSCRIBE);

	if (err)
		return err;
	err = cp_nego_offer_in(&e->nego, sdp, len, &ice_restarted, err_text);
	if (err)
		return err;
	for (size_t i = 0; i < e->nego.n_media; i++)
		any |= reserve(e, i);
	if (!any)
		return -ENOTSUP;
	cp_play_refill(player);
	err = cp_nego_answer_out(&e->nego, answer);
	return err ? err : cp_endpoint_negotiated(e);
}
