/* The folder's whole: made, restored from the journal, journaled once a turn, ended. */
#include "controlplane/signaling/signaling_priv.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/loop.h"
#include "shared/log.h"

enum { SWEEP_MS = 2000, TRIM_SWEEPS = 5 };

static void sweep(void *arg)
{
	struct cp_signaling *s = arg;

	cp_players_sweep(s);
	/* A burst of joins leaves its descriptions behind as free memory between what is in use: give it back. */
	if (++s->sweeps % TRIM_SWEEPS == 0)
		malloc_trim(0);
	cp_timer_start(s->sweep, SWEEP_MS);
}

void cp_signaling_counts(const struct cp_signaling *s, struct cp_signaling_counts *out)
{
	*out = s->counts;
}

unsigned cp_signaling_kick(struct cp_signaling *s, const char *user)
{
	struct cp_session *e, *next;
	struct cp_player *p, *next_p;
	unsigned n = 0;

	for (e = TAILQ_FIRST(&s->sessions); e; e = next) {
		next = TAILQ_NEXT(e, entry);
		if (strcmp(e->who.user, user) != 0)
			continue;
		if (e->client)
			cp_client_close(e->client, 1008, "logged out by an operator");
		cp_session_end(e, "kicked");
		n++;
	}
	for (p = TAILQ_FIRST(&s->players); p; p = next_p) {
		next_p = TAILQ_NEXT(p, entry);
		if (strcmp(p->who.user, user) != 0)
			continue;
		cp_player_end(p, "kicked");
		n++;
	}
	return n;
}

/* ---- the journal ---- */

void cp_signaling_turn(struct cp_signaling *s)
{
	struct cp_session *e;

	cp_players_turn(s);
	cp_calls_turn(s->calls);
	if (!s->journal)
		return;
	while ((e = TAILQ_FIRST(&s->dirty))) {
		TAILQ_REMOVE(&s->dirty, e, dirty_entry);
		e->dirty = false;
		cp_journal_begin(s->journal);
		cp_journal_put(s->journal, "session", e->id, cp_session_save(e));
	}
	cp_players_journal(s);
	if (cp_calls_changed(s->calls)) {
		cp_journal_begin(s->journal);
		cp_journal_put(s->journal, "calls", "all", cp_calls_save(s->calls));
	}
	cp_journal_commit(s->journal);
}

static void load_session(const char *id, json_t *doc, void *arg)
{
	struct cp_signaling *s = arg;
	int err = cp_session_load(s, doc);

	if (!err)
		return;
	sh_warn("journal", "session %s: not restored: %s", id, strerror(-err));
	cp_journal_begin(s->journal);
	cp_journal_del(s->journal, "session", id);
}

static struct cp_participant *restored_party(struct cp_signaling *s, const char *id)
{
	struct cp_session *e;

	TAILQ_FOREACH (e, &s->sessions, entry)
		if (strcmp(e->id, id) == 0)
			return e->party;
	return NULL;
}

static void link_session(const char *id, json_t *doc, void *arg)
{
	struct cp_participant *p = restored_party(arg, id);
	unsigned lost = p ? cp_participant_link(p, json_object_get(doc, "party")) : 0;

	if (lost)
		sh_warn("journal", "session %s: %u subscriptions not restored", id, lost);
}

static void load_calls(const char *id, json_t *doc, void *arg)
{
	struct cp_signaling *s = arg;

	cp_calls_load(s->calls, doc);
}

static void load_rooms(const char *id, json_t *doc, void *arg)
{
	struct cp_signaling *s = arg;

	cp_calls_load_rooms(s->calls, doc);
}

static void restore(struct cp_signaling *s)
{
	cp_journal_each(s->journal, "session", load_session, s);
	cp_journal_each(s->journal, "player", cp_player_load, s);
	cp_journal_each(s->journal, "calls", load_rooms, s);
	cp_journal_each(s->journal, "session", link_session, s);
	cp_journal_each(s->journal, "player", cp_player_link, s);
	cp_journal_each(s->journal, "calls", load_calls, s);
	if (!TAILQ_EMPTY(&s->sessions) || !TAILQ_EMPTY(&s->players))
		sh_info("journal", "restored %u sessions, %u WHIP and %u WHEP", s->counts.sessions,
		        s->counts.whip, s->counts.whep);
}

/* ---- beginning and end ---- */

int cp_signaling_alloc(struct cp_signaling **out)
{
	struct cp_signaling *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	TAILQ_INIT(&s->sessions);
	TAILQ_INIT(&s->dirty);
	TAILQ_INIT(&s->clients);
	TAILQ_INIT(&s->players);
	*out = s;
	return 0;
}

int cp_signaling_start(struct cp_signaling *s, const struct cp_signaling_conf *conf,
                       struct cp_calls *calls, struct cp_auth *auth)
{
	int err;

	s->conf = *conf;
	s->calls = calls;
	s->auth = auth;
	err = cp_timer_alloc(&s->sweep, sweep, s);
	if (!err && conf->journal)
		err = cp_journal_open(&s->journal, conf->journal);
	if (err)
		return err;
	if (s->journal)
		restore(s);
	cp_timer_start(s->sweep, SWEEP_MS);
	return 0;
}

static void say_goodbye(struct cp_session *e)
{
	cp_session_event(e, json_pack("{ss ss}", "type", "shutdown", "reason", "stopping"));
	if (e->client)
		e->client->session = NULL;
	e->client = NULL;
}

void cp_signaling_stop(struct cp_signaling *s)
{
	struct cp_session *e;
	struct cp_player *p;

	TAILQ_FOREACH (e, &s->sessions, entry)
		say_goodbye(e);
	if (s->calls)
		cp_signaling_turn(s);
	/* From here on nothing is written: the journal keeps what the next daemon takes over. */
	cp_journal_close(s->journal);
	s->journal = NULL;
	while ((e = TAILQ_FIRST(&s->sessions)))
		cp_session_end(e, "shutdown");
	while ((p = TAILQ_FIRST(&s->players)))
		cp_player_end(p, "shutdown");
	cp_timer_free(s->sweep);
	s->sweep = NULL;
}

void cp_signaling_free(struct cp_signaling *s)
{
	free(s);
}
