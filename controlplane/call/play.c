/* WHEP: the player offers recvonly m-lines, and they are filled with tracks. Each filled m-line is answered with all
 * codecs that both sides know, so that another track can take its place later without a new description; a
 * new track comes with a new SSRC and is told apart by MID (RFC 9143). */
#include "controlplane/call/calls_priv.h"

#include <errno.h>
#include <stdlib.h>

static const struct cp_media *published(const struct cp_track *t)
{
	return &t->owner->endpoint[CP_PUBLISH]->nego.media[t->media];
}

static bool playable(const struct cp_media *m, const struct cp_track *t)
{
	const struct cp_media *from = published(t);

	return m->kind == t->kind && cp_nego_send_fits(m, from->codec, from->codecs);
}

/* Which of the player's payload types carries which of the track's: numbers are each peer's own. */
int cp_play_bind(struct cp_sub *s)
{
	struct cp_endpoint *e = s->owner->endpoint[CP_SUBSCRIBE];
	struct cp_media *m = &e->nego.media[s->media];
	const struct cp_media *from = published(s->track);
	const struct cp_nego_send send = {
		.kind = m->kind,
		.src = from->codec,
		.n_src = from->codecs,
		.ssrc = s->ssrc,
		.rtx_ssrc = s->rtx_ssrc,
		.stream = m->stream,
		.track = m->track,
		.user = s,
	};

	return cp_nego_send_fill(&e->nego, s->media, &send);
}

static bool played(const struct cp_participant *player, const struct cp_track *t)
{
	const struct cp_sub *s;

	TAILQ_FOREACH (s, &player->subs, entry)
		if (s->track == t)
			return true;
	return false;
}

static struct cp_track *next_track(struct cp_participant *player, const struct cp_media *m, struct cp_participant *only)
{
	struct cp_participant *p;
	struct cp_track *t;

	TAILQ_FOREACH (p, &player->room->participants, entry) {
		if (p == player || (only && p != only))
			continue;
		TAILQ_FOREACH (t, &p->tracks, entry)
			if (!played(player, t) && playable(m, t))
				return t;
	}
	return NULL;
}

static bool fillable(const struct cp_media *m)
{
	return m->kind && !m->rejected && m->codecs && (m->dir & CP_DIR_SEND) && !m->user;
}

void cp_play_refill(struct cp_participant *player)
{
	struct cp_endpoint *e = player->endpoint[CP_SUBSCRIBE];
	struct cp_participant *only = NULL;

	if (!e || (player->name[0] && !(only = cp_room_member(player->room, player->name))))
		return;
	for (size_t i = 0; i < e->nego.n_media; i++) {
		struct cp_media *m = &e->nego.media[i];
		struct cp_track *t;
		struct cp_sub *s;

		if (!fillable(m) || !(t = next_track(player, m, only)) || cp_sub_new(&s, player, t))
			continue;
		s->media = i;
		if (m->ssrc) { /* the one that the answer announced; its later tenants have SSRCs of their own */
			s->ssrc = m->ssrc;
			s->rtx_ssrc = m->rtx_ssrc;
		}
		m->user = s;
		if (cp_play_bind(s) == 0)
			cp_sub_tell_plane(s);
	}
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
	for (size_t i = 0; i < e->nego.n_media; i++) {
		struct cp_media *m = &e->nego.media[i];
		const struct cp_nego_send send = {
			.kind = m->kind,
			.src = m->codec,
			.n_src = m->codecs,
			.ssrc = cp_random_ssrc(),
			.rtx_ssrc = m->kind == SH_KIND_VIDEO ? cp_random_ssrc() : 0,
			.stream = player->id,
			.track = m->mid,
		};

		if (m->kind && !m->rejected && cp_nego_send_fill(&e->nego, i, &send) == 0)
			any = true;
	}
	if (!any)
		return -ENOTSUP;
	cp_play_refill(player);
	err = cp_nego_answer_out(&e->nego, answer);
	if (!err)
		err = cp_endpoint_negotiated(e);
	return err;
}
