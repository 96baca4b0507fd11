/* Private to protocol.c, field.c, event.c, player.c, session.c, requests.c, media.c, whip.c,
 * journal.c. */
#pragma once
#include <openssl/sha.h>
#include "controlplane/call/json.h"
#include "controlplane/signaling/signaling.h"

enum {
	CP_EVENTS_KEPT = 512,         // events of a session that a resumed client can still get…
	CP_EVENTS_BYTES = 512 * 1024, // …as long as they are not more than that
	CP_EARLY_FRAMES =
	    32, // sent before the answer to a login with a password, which takes its time
	CP_EARLY_BYTES = 65536,
	CP_RESUME_BYTES = 32,
};

/* A logged-in client, with or without a connection at the moment. */
struct cp_session {
	TAILQ_ENTRY(cp_session) entry;
	struct cp_signaling *of;
	char id[CP_ID_MAX];
	struct cp_identity who;
	/* Of the resume secret; the secret itself is the client's. The one before it is good until
	 * a request shows that the reply with the new one arrived. */
	uint8_t resume_hash[2][SHA256_DIGEST_LENGTH];
	bool resume_older;
	struct cp_client *client; // NULL: away, `expiry` is running
	struct cp_timer *expiry;
	struct cp_agent *agent;       // NULL: a guest, whose token is for one room; nobody's device
	struct cp_participant *party; // NULL: in no room
	uint64_t seq;                 // of the last event
	uint64_t oldest;              // event still kept; seq + 1: none is
	uint64_t offer_seq;           // of the last offer
	uint64_t reset_seq[2];        // of the last media_reset of each target; 0: none
	size_t kept;                  // bytes in event[]
	char *event[CP_EVENTS_KEPT];  // ring, by seq mod CP_EVENTS_KEPT
	bool dirty;
	TAILQ_ENTRY(cp_session) dirty_entry;
};

/* One WebSocket. */
struct cp_client {
	TAILQ_ENTRY(cp_client) entry;
	struct cp_signaling *of;
	struct cp_conn *conn;
	struct cp_session *session; // NULL before login
	struct cp_timer *login_by;
	struct cp_auth_job *job; // a password is being verified
	json_int_t job_re;
	char job_display[CP_DISPLAY_MAX + 1];
	double tokens; // rate limit
	uint64_t tokens_at_ns;
	STAILQ_HEAD(, cp_early) early; // frames that came while job runs
	unsigned n_early;
	size_t early_bytes;
	bool replying;      // a request is being handled: events wait until its reply is out
	uint64_t held_from; // first event held back, 0: none
	bool closing;
};
struct cp_early {
	STAILQ_ENTRY(cp_early) entry;
	size_t len;
	char text[];
};

/* A WHIP or WHEP resource. */
struct cp_player {
	TAILQ_ENTRY(cp_player) entry;
	struct cp_signaling *of;
	char id[40]; // 32 characters of base32: no permission in itself, yet not to be guessed
	bool whep;
	struct cp_identity who;
	struct cp_participant *party;
	unsigned etag;
	uint64_t born_ns;
	uint64_t alone_ns; // WHEP of a NAME: since when nobody has that name; 0: somebody has
	bool refill;       // a track came or went: fill m-lines at the end of the turn
	bool lost; // its transport is gone, which HTTP cannot tell it: ended at the end of the turn
	bool dirty;
};

struct cp_signaling {
	struct cp_signaling_conf conf;
	struct cp_calls *calls;
	struct cp_auth *auth;
	struct cp_journal *journal;
	TAILQ_HEAD(, cp_session) sessions;
	TAILQ_HEAD(, cp_session) dirty; // by dirty_entry
	TAILQ_HEAD(, cp_client) clients;
	TAILQ_HEAD(, cp_player) players;
	struct cp_timer *sweep; // players whose media is gone
	unsigned sweeps;        // how many there were
	struct cp_signaling_counts counts;
};

/* A reply under construction: handlers add to `ok`, or say what is wrong. */
struct cp_reply {
	json_t *ok;       // object, by json.h; owned by the caller of the handler
	const char *code; // NULL: ok
	char message[CP_NEGO_ERROR_MAX + 64];
	bool later; // the handler will reply itself
};
/* Returns -1 always, so that a handler can `return cp_refuse(…)`. */
int cp_refuse(struct cp_reply *r, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for what the domain returned. text: its err text or "". */
int cp_refuse_errno(struct cp_reply *r, int err, const char *text);

/* text, or what the domain has to say of an error that came without one. */
const char *cp_refusal_text(const struct cp_signaling *s, int err, const char *text);

typedef int(cp_request_h)(struct cp_client *c, const json_t *req, struct cp_reply *reply);
/* requests.c and media.c: one a line of protocol.def. */
#define X(type, handler, state, fields) cp_request_h handler;
#include "controlplane/signaling/protocol.def"
#undef X

/* Between the two, events of the client's session wait. finish sends the reply (steals reply->ok),
 * then them. */
void cp_client_begin(struct cp_client *c);
void cp_client_finish(struct cp_client *c, json_int_t re, struct cp_reply *reply);
void cp_client_early(struct cp_client *c); // job is done: what came meanwhile
/* field.c: the fields of req are those of `spec` (protocol.def), each of its kind, and no others; 0
 * or -1, refused. */
int cp_fields_check(const char *spec, const json_t *req, struct cp_reply *reply);
void cp_client_close(struct cp_client *c, uint16_t code,
                     const char *reason); // hears nothing of it any more

/* session.c */
int cp_session_new(struct cp_session **out, struct cp_signaling *s, const struct cp_identity *who);
/* Ends it: leaves the room, ends calls; its connection stays open, logged out. */
void cp_session_end(struct cp_session *s, const char *reason);
void cp_session_bind(struct cp_session *s, struct cp_client *c);
void cp_session_unbind(struct cp_session *s);               // the connection is gone; expiry starts
/* What is said from now on waits until the dataplane knows that transport as it is described. */
void cp_session_hold(struct cp_session *s, const struct cp_endpoint *e);
void cp_session_event(struct cp_session *s, json_t *event); // steals event; gives it its seq
bool cp_session_has(const struct cp_session *s, uint64_t after); // all events after that one?
void cp_session_replay(struct cp_session *s, uint64_t after);    // sends those that are there
/* Tells again of transports that were lost behind event `seen`, where those events themselves are
 * gone. */
void cp_session_reset_again(struct cp_session *s, uint64_t seen);
void cp_session_dirty(struct cp_session *s);
int cp_session_make_resume(struct cp_session *s, char text[2 * CP_RESUME_BYTES + 1]);
struct cp_session *cp_session_by_resume(struct cp_signaling *s, const char *text);
extern const struct cp_party_ops cp_session_party_ops;
extern const struct cp_agent_ops cp_session_agent_ops;
json_t *cp_participant_json(const struct cp_participant *p);
json_t *cp_track_json(const struct cp_track *t);
json_t *cp_room_json(const struct cp_room *r, const struct cp_participant *but);
json_t *cp_session_save(const struct cp_session *s);
int cp_session_load(struct cp_signaling *sig, const json_t *saved);

/* player.c */
struct cp_player *cp_player_new(struct cp_signaling *s, const char *id, bool whep,
                                const struct cp_identity *who);
struct cp_endpoint *cp_player_transport(const struct cp_player *p); // NULL: lost
void cp_player_end(struct cp_player *p, const char *reason);
void cp_players_turn(struct cp_signaling *s); // ends and refills
void cp_players_journal(struct cp_signaling *s);
void cp_players_sweep(struct cp_signaling *s);
void cp_player_load(const char *id, json_t *doc, void *arg);
void cp_player_link(const char *id, json_t *doc, void *arg);
extern const struct cp_party_ops cp_player_party_ops;

/* journal.c */
int cp_journal_open(struct cp_journal **out, const char *path);
void cp_journal_close(struct cp_journal *j);
void cp_journal_begin(struct cp_journal *j);
void cp_journal_put(struct cp_journal *j, const char *kind, const char *id,
                    json_t *doc); // steals doc
void cp_journal_del(struct cp_journal *j, const char *kind, const char *id);
void cp_journal_commit(struct cp_journal *j);
/* Calls h for each document of that kind, in the order in which they were first put. */
int cp_journal_each(struct cp_journal *j, const char *kind,
                    void (*h)(const char *id, json_t *doc, void *arg), void *arg);
