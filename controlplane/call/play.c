/* WHEP: the player offers recvonly m-lines, and they are filled with tracks. Each filled m-line is
 * answered with all codecs that both sides know, so that another track can take its place later
 * without a new description; a new track comes with a new SSRC and is told apart by MID (RFC 9143).
 * An m-line that nothing is there for yet is answered likewise, and its first tenant has the SSRC
 * that the answer announced. */
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

static bool wanted(const struct cp_participant *player, const struct cp_participant *p)
{
	return p != player && !p->hidden &&
	       (!player->name[0] || cp_participant_called(p, player->name));
}

/* Binds the m-line's codecs to those of the track. 0, -EPROTO: none in common, and nothing changed.
 */
static int bind_media(struct cp_endpoint *e, size_t i, const struct cp_track *t, uint32_t ssrc,
                      uint32_t rtx_ssrc, struct cp_sub *s)
{
	const struct cp_media *from = &t->owner->endpoint[CP_PUBLISH]->nego.media[t->media];
	const struct cp_nego_send send = {
	    .kind = t->kind,
	    .src = from->codec,
	    .n_src = from->codecs,
	    .ssrc = ssrc,
	    .rtx_ssrc = rtx_ssrc,
	    .stream = t->owner->id,
	    .track = t->id,
	    .user = s,
	};

	return cp_nego_send_fill(&e->nego, i, &send);
}

int cp_play_rebind(struct cp_sub *s)
{
	return bind_media(s->owner->endpoint[CP_SUBSCRIBE], s->media, s->track, s->ssrc,
	                  s->rtx_ssrc, s);
}

/* A subscription for the m-line, if the track fits it. */
static bool fill(struct cp_participant *player, size_t i, struct cp_track *t)
{
	struct cp_endpoint *e = player->endpoint[CP_SUBSCRIBE];
	const struct cp_media *m = &e->nego.media[i];
	uint32_t ssrc = m->ssrc ? m->ssrc : cp_random_ssrc(),
	         rtx_ssrc = m->rtx_ssrc ? m->rtx_ssrc : cp_random_ssrc();
	struct cp_sub *s;

	if (m->kind != t->kind || played(player, t) || bind_media(e, i, t, ssrc, rtx_ssrc, NULL) ||
	    cp_sub_new(&s, player, t))
		return false;
	s->ssrc = ssrc;
	s->rtx_ssrc = rtx_ssrc;
	s->media = i;
	e->nego.media[i].user = s;
	cp_sub_tell_plane(s);
	return true;
}

static bool fill_from(struct cp_participant *player, size_t i, struct cp_participant *p)
{
	struct cp_track *t;

	TAILQ_FOREACH (t, &p->tracks, entry)
		if (fill(player, i, t))
			return true;
	return false;
}

/* Who had the floor last first; those who never had it in the order in which they came. */
static bool fill_from_room(struct cp_participant *player, size_t i)
{
	uint64_t before = UINT64_MAX;
	struct cp_participant *p;

	for (;;) {
		struct cp_participant *next = NULL;

		TAILQ_FOREACH (p, &player->room->participants, entry)
			if (wanted(player, p) && p->spoke_ns && p->spoke_ns < before &&
			    (!next || p->spoke_ns > next->spoke_ns))
				next = p;
		if (!next)
			break;
		if (fill_from(player, i, next))
			return true;
		before = next->spoke_ns;
	}
	TAILQ_FOREACH (p, &player->room->participants, entry)
		if (wanted(player, p) && !p->spoke_ns && fill_from(player, i, p))
			return true;
	return false;
}

void cp_play_refill(struct cp_participant *player)
{
	struct cp_endpoint *e = player->endpoint[CP_SUBSCRIBE];

	for (size_t i = 0; e && i < e->nego.n_media; i++) {
		const struct cp_media *m = &e->nego.media[i];

		if (m->kind && !m->rejected && m->codecs && (m->dir & CP_DIR_SEND) && !m->user)
			(void)fill_from_room(player, i);
	}
}

/* Every m-line that can carry something, as if it carried a track with all of the player's own
 * codecs. */
static bool prepare(struct cp_endpoint *e)
{
	bool any = false;

	for (size_t i = 0; i < e->nego.n_media; i++) {
		struct cp_media *m = &e->nego.media[i];
		const struct cp_nego_send send = {
		    .kind = m->kind,
		    .src = m->codec,
		    .n_src = m->codecs,
		    .ssrc = cp_random_ssrc(),
		    .rtx_ssrc = m->kind == SH_KIND_VIDEO ? cp_random_ssrc() : 0,
		    .stream = e->owner->id,
		    .track = m->mid,
		};

		m->dir &= CP_DIR_SEND;
		any |= m->kind && !m->rejected && cp_nego_send_fill(&e->nego, i, &send) == 0;
	}
	return any;
}

int cp_play(struct cp_participant *player, const char *sdp, size_t len, char **answer,
            char *err_text)
{
	struct cp_endpoint *e;
	bool ice_restarted;
	int err = cp_endpoint_get(&e, player, CP_SUBSCRIBE);

	if (err)
		return err;
	err = cp_nego_offer_in(&e->nego, sdp, len, &ice_restarted, err_text);
	if (err)
		return err;
	if (!prepare(e))
		return -ENOTSUP;
	cp_play_refill(player);
	err = cp_nego_answer_out(&e->nego, answer);
	return err ? err : cp_endpoint_negotiated(e);
}
