/* WHEP: the player offers m-lines, and can be told nothing but our answer. Each is answered with
 * all codecs that both sides know, so that what it carries may change without a new description.
 *
 * A player without a NAME gets slots of the room (slots.c), as its m-lines are just that: one SSRC
 * whoever is in it. With fewer of them than there are slots it gets those of who spoke last, and
 * its subscription goes from slot to slot as the floor does. What no slot carries (screens, odd
 * codecs) has m-lines that are left. A player of a NAME gets that one's tracks themselves, as do
 * rooms that are configured to have no slots: there a track that takes another's place has an SSRC
 * of its own and is told apart by MID (RFC 9143); the first tenant of an m-line has the SSRC of the
 * answer. */
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

static bool fillable(const struct cp_media *m)
{
	return m->kind && !m->rejected && m->codecs && (m->dir & CP_DIR_SEND);
}

/* Binds the m-line's codecs to those of the track. 0, -EPROTO: none in common, and nothing changed.
 */
static int bind_media(struct cp_endpoint *e, size_t i, const struct cp_track *t, uint32_t ssrc,
                      uint32_t rtx_ssrc, struct cp_sub *s)
{
	const struct cp_media *from =
	    t->owner ? &t->owner->endpoint[CP_PUBLISH]->nego.media[t->media] : cp_slot_media(t);
	const struct cp_nego_send send = {
	    .kind = t->kind,
	    .src = from->codec,
	    .n_src = from->codecs,
	    .ssrc = ssrc,
	    .rtx_ssrc = rtx_ssrc,
	    .stream = t->owner ? t->owner->id
	                       : e->owner->id, // of slots: who speaks is heard and seen together
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

/* ---- a player that follows the room ---- */

static struct cp_sub *sub_at(const struct cp_endpoint *e, size_t i)
{
	return e->nego.media[i].user;
}

static uint64_t spoke_ns(const struct cp_track *slot)
{
	return cp_slot_source(slot)->owner->spoke_ns;
}

/* Somebody is in it whom it can carry. */
static bool occupied(const struct cp_track *slot)
{
	const struct cp_track *t = cp_slot_source(slot);

	return t && cp_slot_carries(slot, t);
}

/* The occupied slots of who spoke last, at most n; of those who are equal first those that are
 * played, then by place. */
static unsigned rank(const struct cp_participant *player, enum sh_kind kind, struct cp_track **top,
                     unsigned n)
{
	struct cp_track *t;
	unsigned have = 0, at;

	TAILQ_FOREACH (t, &player->room->slots, entry) {
		if (t->kind != kind || !occupied(t))
			continue;
		for (at = have; at > 0; at--)
			if (spoke_ns(top[at - 1]) > spoke_ns(t) ||
			    (spoke_ns(top[at - 1]) == spoke_ns(t) &&
			     (played(player, top[at - 1]) || !played(player, t))))
				break;
		if (at == n)
			continue;
		have += have < n;
		memmove(&top[at + 1], &top[at], (have - 1 - at) * sizeof(*top));
		top[at] = t;
	}
	return have;
}

static bool among(struct cp_track *const *top, unsigned n, const struct cp_track *t)
{
	for (unsigned i = 0; i < n; i++)
		if (top[i] == t)
			return true;
	return false;
}

/* Which m-line a slot is to have: a free one, one that plays a slot that is not wanted, or one that
 * plays something else. Returns n_media when there is none. */
static size_t line_for(const struct cp_endpoint *e, enum sh_kind kind, struct cp_track *const *top,
                       unsigned n)
{
	size_t best = e->nego.n_media, i;
	int best_cost = 3;

	for (i = 0; i < e->nego.n_media; i++) {
		const struct cp_media *m = &e->nego.media[i];
		const struct cp_sub *s = sub_at(e, i);
		int cost = !s ? 0 : !s->track->owner ? 1 : 2;

		if (m->kind != kind || !fillable(m) || (s && among(top, n, s->track)) ||
		    cost >= best_cost)
			continue;
		best = i;
		best_cost = cost;
	}
	return best;
}

/* The m-line carries this from now on; a slot after a slot is the same stream to the player. */
static bool give(struct cp_participant *player, size_t i, struct cp_track *t)
{
	struct cp_sub *s = sub_at(player->endpoint[CP_SUBSCRIBE], i);

	if (s && !s->track->owner && !t->owner) {
		cp_sub_move(s, t);
		return true;
	}
	if (s)
		cp_sub_end(s);
	return fill(player, i, t);
}

/* Who speaks has an m-line. */
static void follow(struct cp_participant *player, enum sh_kind kind)
{
	struct cp_endpoint *e = player->endpoint[CP_SUBSCRIBE];
	struct cp_track *top[SH_MAX_VIDEO_SLOTS + 1];
	unsigned lines = 0, n;

	for (size_t i = 0; i < e->nego.n_media; i++)
		lines += e->nego.media[i].kind == kind && fillable(&e->nego.media[i]);
	n = rank(player, kind, top, lines < SH_MAX_VIDEO_SLOTS ? lines : SH_MAX_VIDEO_SLOTS);
	for (unsigned k = 0; k < n; k++) {
		size_t i = played(player, top[k]) ? e->nego.n_media : line_for(e, kind, top, n);

		if (i < e->nego.n_media)
			(void)give(player, i, top[k]);
	}
}

/* No slot can have it, ever. */
static bool needs_a_line(const struct cp_participant *player, const struct cp_track *t)
{
	const struct cp_track *slot;

	if (!cp_slot_stands_for(t))
		return true;
	TAILQ_FOREACH (slot, &player->room->slots, entry)
		if (slot->kind == t->kind && cp_slot_carries(slot, t))
			return false;
	return true;
}

/* What no slot carries, on m-lines that are free, or whose slot is empty. */
static void fill_odd(struct cp_participant *player)
{
	struct cp_endpoint *e = player->endpoint[CP_SUBSCRIBE];
	struct cp_participant *p;
	struct cp_track *t;

	TAILQ_FOREACH (p, &player->room->participants, entry)
		TAILQ_FOREACH (t, &p->tracks, entry) {
			bool done =
			    !wanted(player, p) || played(player, t) || !needs_a_line(player, t);

			for (size_t i = 0; !done && i < e->nego.n_media; i++) {
				const struct cp_sub *s = sub_at(e, i);

				if (e->nego.media[i].kind == t->kind &&
				    fillable(&e->nego.media[i]) &&
				    (!s || (!s->track->owner && !occupied(s->track))))
					done = give(player, i, t);
			}
		}
}

/* Whoever will be in them. */
static void fill_slots(struct cp_participant *player)
{
	struct cp_endpoint *e = player->endpoint[CP_SUBSCRIBE];
	struct cp_track *t;

	for (size_t i = 0; i < e->nego.n_media; i++)
		TAILQ_FOREACH (t, &player->room->slots, entry)
			if (fillable(&e->nego.media[i]) && !e->nego.media[i].user &&
			    fill(player, i, t))
				break;
}

/* As long as the dataplane has not said who is in the slots (both of us may have been there before,
 * and it will say it soon), what plays is not touched. */
static void play_slots(struct cp_participant *player)
{
	if (player->room->speakers.group) {
		follow(player, SH_KIND_AUDIO);
		follow(player, SH_KIND_VIDEO);
		fill_odd(player);
	}
	fill_slots(player);
}

void cp_play_refill(struct cp_participant *player)
{
	struct cp_endpoint *e = player->endpoint[CP_SUBSCRIBE];

	if (!e)
		return;
	if (!player->name[0] && !TAILQ_EMPTY(&player->room->slots)) {
		play_slots(player);
		return;
	}
	for (size_t i = 0; i < e->nego.n_media; i++)
		if (fillable(&e->nego.media[i]) && !e->nego.media[i].user)
			(void)fill_from_room(player, i);
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
	if (!player->name[0])
		(void)cp_slots_open(player->room);
	cp_play_refill(player);
	err = cp_nego_answer_out(&e->nego, answer);
	return err ? err : cp_endpoint_negotiated(e);
}
