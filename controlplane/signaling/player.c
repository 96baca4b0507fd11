/* What a WHIP or WHEP resource is: one participant that HTTP has no way to tell anything. It lives
 * until DELETE, until its media is gone for MEDIA_LOST_S, or until nobody in the room has had the
 * NAME that it plays for ALONE_S. */
#include "controlplane/signaling/signaling_priv.h"

#include <stdlib.h>
#include <string.h>
#include "controlplane/loop.h"

enum { MEDIA_LOST_S = 30, NEVER_CONNECTED_S = 30, ALONE_S = 30 };
#define S_NS 1000000000ull

/* ---- the end ---- */

void cp_player_end(struct cp_player *p, const char *reason)
{
	struct cp_signaling *s = p->of;

	if (p->party)
		cp_leave(p->party, reason); /* which still calls on_changed */
	if (s->journal) {
		cp_journal_begin(s->journal);
		cp_journal_del(s->journal, "player", p->id);
	}
	TAILQ_REMOVE(&s->players, p, entry);
	*(p->whep ? &s->counts.whep : &s->counts.whip) -= 1;
	free(p);
}

struct cp_endpoint *cp_player_transport(const struct cp_player *p)
{
	return p->party->endpoint[p->whep ? CP_SUBSCRIBE : CP_PUBLISH];
}

/* Since when a player of a NAME has had nobody to play. */
static bool left_alone(struct cp_player *p, uint64_t now)
{
	if (!p->party->name[0] || !p->whep || cp_room_member(p->party->room, p->party->name))
		p->alone_ns = 0;
	else if (!p->alone_ns)
		p->alone_ns = now;
	return p->alone_ns && now - p->alone_ns > ALONE_S * S_NS;
}

/* Without a dataplane nothing is known of anybody's media. */
static void sweep_one(struct cp_player *p, uint64_t now)
{
	const struct cp_endpoint *e = cp_player_transport(p);
	uint64_t since = e ? e->changed_ns : p->born_ns;
	uint64_t limit = (e && e->state == CP_MEDIA_NEW ? NEVER_CONNECTED_S : MEDIA_LOST_S) * S_NS;

	if (e && e->dtls_closed)
		cp_player_end(p, "left");
	else if ((!e || e->state != CP_MEDIA_CONNECTED) && now - since > limit &&
	         cp_calls_ready(p->of->calls))
		cp_player_end(p, "lost");
	else if (left_alone(p, now))
		cp_player_end(p, "left");
}

void cp_players_sweep(struct cp_signaling *s)
{
	struct cp_player *p, *next;

	for (p = TAILQ_FIRST(&s->players); p; p = next) {
		next = TAILQ_NEXT(p, entry);
		sweep_one(p, cp_now_ns());
	}
}

/* ---- what the domain says ---- */

static void want_refill(void *arg, const struct cp_track *t)
{
	struct cp_player *p = arg;

	p->refill = p->whep;
}

/* Who leaves takes its tracks along without a word each. */
static void on_left(void *arg, const struct cp_participant *other, const char *reason)
{
	want_refill(arg, NULL);
}

static void on_speakers(void *arg, const struct cp_room *r)
{
	want_refill(arg, NULL);
}

static void on_media_reset(void *arg, enum cp_target target)
{
	struct cp_player *p = arg;

	p->lost = true;
}

static void on_changed(void *arg)
{
	struct cp_player *p = arg;

	p->dirty = true;
}

const struct cp_party_ops cp_player_party_ops = {
    .left = on_left,
    .track_added = want_refill,
    .track_updated = want_refill, /* codecs may have changed, and with them what fits */
    .track_removed = want_refill,
    .speakers = on_speakers,
    .media_reset = on_media_reset,
    .changed = on_changed,
};

static json_t *player_save(const struct cp_player *p)
{
	return json_pack("{ss sb si ss ss ss so}", "id", p->id, "whep", p->whep, "etag",
	                 (int)p->etag, "user", p->who.user, "display", p->who.display, "room",
	                 p->who.room, "party", cp_participant_save(p->party));
}

void cp_players_turn(struct cp_signaling *s)
{
	struct cp_player *p, *next;

	for (p = TAILQ_FIRST(&s->players); p; p = next) {
		next = TAILQ_NEXT(p, entry);
		if (p->lost)
			cp_player_end(p, "lost");
	}
	TAILQ_FOREACH (p, &s->players, entry) {
		if (p->refill)
			cp_play_refill(p->party);
		p->refill = false;
	}
}

void cp_players_journal(struct cp_signaling *s)
{
	struct cp_player *p;

	TAILQ_FOREACH (p, &s->players, entry) {
		if (!p->dirty)
			continue;
		p->dirty = false;
		cp_journal_begin(s->journal);
		cp_journal_put(s->journal, "player", p->id, player_save(p));
	}
}

struct cp_player *cp_player_new(struct cp_signaling *s, const char *id, bool whep,
                                const struct cp_identity *who)
{
	struct cp_player *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->of = s;
	p->whep = whep;
	p->who = *who;
	p->born_ns = cp_now_ns();
	(void)cp_text_copy(p->id, sizeof(p->id), id);
	TAILQ_INSERT_TAIL(&s->players, p, entry);
	*(whep ? &s->counts.whep : &s->counts.whip) += 1;
	return p;
}

void cp_player_load(const char *id, json_t *doc, void *arg)
{
	const char *user, *display, *room;
	struct cp_identity who = {0};
	struct cp_player *p;
	json_t *party;
	int whep, etag;

	if (json_unpack(doc, "{sb si ss ss ss so}", "whep", &whep, "etag", &etag, "user", &user,
	                "display", &display, "room", &room, "party", &party) ||
	    strlen(id) >= sizeof(p->id) || !cp_text_copy(who.user, sizeof(who.user), user) ||
	    !cp_text_copy(who.display, sizeof(who.display), display) ||
	    !cp_text_copy(who.room, sizeof(who.room), room))
		return;
	p = cp_player_new(arg, id, whep, &who);
	if (!p)
		return;
	p->etag = (unsigned)etag;
	if (cp_participant_load(&p->party, p->of->calls, party, &cp_player_party_ops, p)) {
		p->party = NULL;
		cp_player_end(p, "lost");
	}
}

void cp_player_link(const char *id, json_t *doc, void *arg)
{
	struct cp_signaling *s = arg;
	struct cp_player *p;

	TAILQ_FOREACH (p, &s->players, entry)
		if (strcmp(p->id, id) == 0) {
			(void)cp_participant_link(p->party, json_object_get(doc, "party"));
			p->refill = p->whep;
		}
}
