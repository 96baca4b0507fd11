/* What outlives a connection: who it is, the room it is in, and its events, numbered, so that a
 * client that comes back gets what it missed. */
#include "controlplane/signaling/signaling_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "controlplane/call/agent.h"
#include "controlplane/loop.h"

/* Event numbers go on well above what the client has seen, since events themselves are not
 * journaled. */
enum { SEQ_JUMP = 1000000 };

/* ---- the end ---- */

static void expired(void *arg)
{
	cp_session_end(arg, "lost");
}

static void session_free(struct cp_session *s)
{
	struct cp_signaling *sig = s->of;

	if (s->dirty)
		TAILQ_REMOVE(&sig->dirty, s, dirty_entry);
	TAILQ_REMOVE(&sig->sessions, s, entry);
	sig->counts.sessions--;
	cp_timer_free(s->expiry);
	for (int i = 0; i < CP_EVENTS_KEPT; i++)
		free(s->event[i]);
	free(s);
}

void cp_session_end(struct cp_session *s, const char *reason)
{
	struct cp_participant *party = s->party;

	s->party = NULL;
	if (party)
		cp_leave(party, reason);
	if (s->agent)
		cp_agent_remove(s->agent, reason);
	if (s->client) {
		s->client->session = NULL;
		cp_timer_start(s->client->login_by, s->of->conf.login_timeout_s * 1000ull);
	}
	if (s->of->journal) {
		cp_journal_begin(s->of->journal);
		cp_journal_del(s->of->journal, "session", s->id);
	}
	session_free(s);
}

/* ---- the beginning ---- */

static int session_alloc(struct cp_session **out, struct cp_signaling *sig,
                         const struct cp_identity *who)
{
	struct cp_session *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->of = sig;
	s->who = *who;
	if (cp_timer_alloc(&s->expiry, expired, s)) {
		free(s);
		return -ENOMEM;
	}
	s->oldest = 1;
	TAILQ_INSERT_TAIL(&sig->sessions, s, entry);
	sig->counts.sessions++;
	*out = s;
	return 0;
}

static int session_agent(struct cp_session *s)
{
	if (s->who.room[0])
		return 0;
	return cp_agent_add(&s->agent, s->of->calls, s->id, s->who.user, s->who.display,
	                    &cp_session_agent_ops, s);
}

int cp_session_new(struct cp_session **out, struct cp_signaling *sig, const struct cp_identity *who)
{
	struct cp_session *s;
	int err;

	if (sig->counts.sessions + sig->counts.whip + sig->counts.whep >= sig->conf.max_sessions)
		return -ENOSPC;
	err = session_alloc(&s, sig, who);
	if (err)
		return err;
	cp_make_id(s->id, 's');
	err = session_agent(s);
	if (err) {
		session_free(s);
		return err;
	}
	*out = s;
	return 0;
}

void cp_session_bind(struct cp_session *s, struct cp_client *c)
{
	if (s->client) {
		/* The same session from a new connection: the old one is a ghost that TCP has not
		 * buried yet. */
		struct cp_client *old = s->client;

		old->session = NULL;
		cp_client_close(old, 1000, "resumed elsewhere");
	}
	s->client = c;
	c->session = s;
	cp_timer_cancel(s->expiry);
	cp_timer_cancel(c->login_by);
}

void cp_session_unbind(struct cp_session *s)
{
	s->client = NULL;
	cp_timer_start(s->expiry, s->of->conf.resume_ttl_s * 1000ull);
}

/* ---- resume secrets: 256 random bits, of which we keep the hash ---- */

static void hex(char *out, const uint8_t *in, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = "0123456789abcdef"[in[i] >> 4];
		out[2 * i + 1] = "0123456789abcdef"[in[i] & 15];
	}
	out[2 * n] = 0;
}

static void hash(uint8_t out[SHA256_DIGEST_LENGTH], const char *text)
{
	SHA256((const uint8_t *)text, strlen(text), out);
}

int cp_session_make_resume(struct cp_session *s, char text[2 * CP_RESUME_BYTES + 1])
{
	uint8_t raw[CP_RESUME_BYTES];

	if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
		return -EIO;
	hex(text, raw, sizeof(raw));
	sh_secret_wipe(raw, sizeof(raw));
	hash(s->resume_hash[0], text);
	cp_session_dirty(s);
	return 0;
}

struct cp_session *cp_session_by_resume(struct cp_signaling *sig, const char *text)
{
	uint8_t h[SHA256_DIGEST_LENGTH];
	struct cp_session *s;

	hash(h, text);
	TAILQ_FOREACH (s, &sig->sessions, entry) {
		bool newest = sh_secret_equal(h, s->resume_hash[0], sizeof(h));

		if (!newest &&
		    !(s->resume_older && sh_secret_equal(h, s->resume_hash[1], sizeof(h))))
			continue;
		memcpy(s->resume_hash[1], h, sizeof(h));
		s->resume_older = true;
		return s;
	}
	return NULL;
}

/* ---- events ---- */

static char **slot_of(struct cp_session *s, uint64_t seq)
{
	return &s->event[seq % CP_EVENTS_KEPT];
}

static void deliver(struct cp_session *s, uint64_t seq)
{
	const char *text = *slot_of(s, seq);

	if (s->client && text)
		(void)cp_conn_send(s->client->conn, text, strlen(text));
}

static void forget_oldest(struct cp_session *s)
{
	char **slot = slot_of(s, s->oldest++);

	s->kept -= strlen(*slot);
	free(*slot);
	*slot = NULL;
}

void cp_session_hold(struct cp_session *s, const struct cp_endpoint *e)
{
	if (s->client)
		cp_conn_hold(s->client->conn, cp_endpoint_ticket(e));
}

void cp_session_event(struct cp_session *s, json_t *event)
{
	uint64_t seq = s->seq + 1;
	char *text;

	cp_json_put(&event, "seq", json_integer((json_int_t)seq));
	text = cp_json_text(event);
	json_decref(event);
	while (s->oldest < seq && (!text || seq - s->oldest == CP_EVENTS_KEPT))
		forget_oldest(s);
	s->seq = seq;
	if (seq % (SEQ_JUMP / 2) == 0)
		cp_session_dirty(s);
	if (!text) {
		/* Out of memory: with a gap, and with nothing kept, the client learns of it when it
		 * resumes. */
		s->oldest = seq + 1;
		if (s->client)
			cp_client_close(s->client, 1011, "out of memory");
		return;
	}
	*slot_of(s, seq) = text;
	s->kept += strlen(text);
	while (s->oldest < seq && s->kept > CP_EVENTS_BYTES)
		forget_oldest(s);
	if (!s->client || !s->client->replying)
		deliver(s, seq);
	else if (!s->client->held_from)
		s->client->held_from = seq;
}

bool cp_session_has(const struct cp_session *s, uint64_t after)
{
	return after <= s->seq && after + 1 >= s->oldest;
}

void cp_session_replay(struct cp_session *s, uint64_t after)
{
	for (uint64_t seq = after + 1 > s->oldest ? after + 1 : s->oldest; seq <= s->seq; seq++)
		deliver(s, seq);
}

/* ---- the journal ---- */

void cp_session_dirty(struct cp_session *s)
{
	if (s->dirty)
		return;
	s->dirty = true;
	TAILQ_INSERT_TAIL(&s->of->dirty, s, dirty_entry);
}

static bool unhex(uint8_t *out, size_t n, const char *in)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < 2 * n; i++) {
		const char *d = in[i] ? strchr(digits, in[i]) : NULL;

		if (!d)
			return false;
		out[i / 2] = (uint8_t)(out[i / 2] << 4 | (d - digits));
	}
	return in[2 * n] == 0;
}

json_t *cp_session_save(const struct cp_session *s)
{
	char h[2][2 * SHA256_DIGEST_LENGTH + 1] = {"", ""};
	json_t *o;

	hex(h[0], s->resume_hash[0], SHA256_DIGEST_LENGTH);
	if (s->resume_older)
		hex(h[1], s->resume_hash[1], SHA256_DIGEST_LENGTH);
	o = json_pack("{ss ss ss ss ss ss sI}", "id", s->id, "user", s->who.user, "display",
	              s->who.display, "room", s->who.room, "resume", h[0], "older", h[1], "seq",
	              (json_int_t)s->seq);
	if (o && s->party)
		cp_json_put(&o, "party", cp_participant_save(s->party));
	return o;
}

static bool load_hashes(struct cp_session *s, const char *resume, const char *older)
{
	s->resume_older = *older;
	return unhex(s->resume_hash[0], SHA256_DIGEST_LENGTH, resume) &&
	       (!*older || unhex(s->resume_hash[1], SHA256_DIGEST_LENGTH, older));
}

int cp_session_load(struct cp_signaling *sig, const json_t *saved)
{
	const char *id, *user, *display, *room, *resume, *older;
	struct cp_identity who = {0};
	json_t *party = NULL;
	struct cp_session *s;
	json_int_t seq;
	int err;

	if (json_unpack((json_t *)saved, "{ss ss ss ss ss ss sI s?o}", "id", &id, "user", &user,
	                "display", &display, "room", &room, "resume", &resume, "older", &older,
	                "seq", &seq, "party", &party) ||
	    seq < 0 || !cp_text_copy(who.user, sizeof(who.user), user) ||
	    !cp_text_copy(who.display, sizeof(who.display), display) ||
	    !cp_text_copy(who.room, sizeof(who.room), room))
		return -EBADMSG;
	err = session_alloc(&s, sig, &who);
	if (err)
		return err;
	err = -EBADMSG;
	if (!cp_text_copy(s->id, sizeof(s->id), id) || !load_hashes(s, resume, older) ||
	    (err = session_agent(s))) {
		session_free(s);
		return err;
	}
	s->seq = (uint64_t)seq + SEQ_JUMP;
	s->oldest = s->seq + 1;
	if (party && cp_participant_load(&s->party, sig->calls, party, &cp_session_party_ops, s))
		s->party = NULL; /* the session survives without its room; the client joins again */
	cp_session_unbind(s);
	return 0;
}
