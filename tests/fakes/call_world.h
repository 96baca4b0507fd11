/* The daemon's middle on a bench: call/, signaling/, nego/ and plane/ as they are, between a fake
 * front (frames and HTTP replies are kept for the test to look at), a fake store of users and a
 * dataplane of plain tables. Time is fake_loop's. A test says what a client sends and takes what it
 * got; a wrong word ends the program by assert(), so that fuzzers can use it too. One world at a
 * time. */
#pragma once
#include <jansson.h>
#include "controlplane/call/calls_priv.h"
#include "controlplane/nego/dtls.h"
#include "controlplane/nego/fake_loop.h"
#include "controlplane/signaling/signaling_priv.h"
#include "tests/fakes/fake_dataplane.h"

struct world {
	char dir[64], journal[96];
	struct fake_dp dp;
	struct cp_plane *plane;
	struct cp_dtls_ctx *dtls, *peer_dtls; // ours, and the one certificate of all peers
	struct cp_calls *calls;
	struct cp_signaling *sig;
	struct cp_front_ws ws;
	struct cp_limits limits;
	struct cp_signaling_conf conf;
	int fd[4];
	uint64_t epoch;
	bool slow_passwords; // verified by world_passwords() only
	unsigned dtls_in;    // datagrams to peers
};
extern struct world world;

/* with_journal: daemons that follow each other find it. */
void world_open(bool with_journal);
void world_close(void); // asserts that nothing was left behind
/* Both sides until nothing moves. */
void world_settle(void);
void world_advance(uint64_t ms); // in steps, settling
void world_leap(uint64_t ms);    // in one
/* The daemon goes as by SIGTERM, or by SIGKILL (what it says in its last moments is undone);
 * another one starts. */
void world_restart(bool killed);
/* The dataplane dies; a new one comes, with or without its slabs. */
void world_dataplane_dies(void);
void world_dataplane_comes(bool slabs_lost);
void world_reboot(void); // both are killed at once, and the slabs are gone
struct cp_calls_counts world_counts(void);
void world_passwords(void);
/* ICE of an endpoint as the dataplane tells it. */
void world_ice(const struct cp_endpoint *e, enum sh_ice_state state);
/* ICE and a whole DTLS handshake with a peer that has peer_dtls' certificate. */
void world_connect(const struct cp_endpoint *e);

/* ---- WebSockets ---- */
struct cp_conn {
	void *user;
	bool open; // as the server sees it: the close handler has not run
	uint16_t close_code;
	char reason[128];
	json_t *frames; // array, not yet taken
	json_int_t id;  // of the next request
	uint64_t ticket; // that its output was last held for; it is not held here
};
void conn_open(struct cp_conn *c);
void conn_text(struct cp_conn *c, const char *text, size_t len);
void conn_lose(struct cp_conn *c); // the network does
void conn_drop(struct cp_conn *c); // forgets frames; loses it
/* Request without its id, as for json_pack(); returns the id used. */
json_int_t conn_send(struct cp_conn *c, const char *fmt, ...);
/* The next frame: NULL when there is none. Yours to decref. */
json_t *conn_take(struct cp_conn *c);
/* Sends, settles, and takes frames away up to the reply, which must come before any event that it
 * caused. It must say "ok" (and conn_ok() returns it), or be an error with that code. */
json_t *conn_ok(struct cp_conn *c, const char *fmt, ...);
void conn_do(struct cp_conn *c, const char *fmt, ...);
void conn_refused(struct cp_conn *c, const char *code, const char *fmt, ...);
/* The next frame must be that event. */
json_t *conn_event(struct cp_conn *c, const char *type);
void conn_skip(struct cp_conn *c, const char *type);
void conn_silent(struct cp_conn *c); // no frame waits
void conn_forget(struct cp_conn *c); // all that wait
const char *text_at(const json_t *o, const char *key);
json_int_t int_at(const json_t *o, const char *key);

/* open, login with user's password; resume secret into *secret (64 characters and NUL), when asked
 * for. */
void conn_login(struct cp_conn *c, const char *user, char secret[65]);
struct cp_session *conn_session(const struct cp_conn *c);
struct cp_participant *conn_party(const struct cp_conn *c);

/* ---- SDP ---- */
/* A file of controlplane/nego/testdata with the peers' fingerprint. free() it. */
char *sdp_file(const char *name);
char *sdp_edit(char *sdp, const char *from, const char *to); // every occurrence; frees sdp
/* A browser's answer to our offer; accept: m-lines that take media (bit i), the others are
 * inactive. */
char *sdp_answer(const char *offer, const char *ufrag, uint64_t accept);
unsigned sdp_count(const char *sdp, const char *line_start);
/* Takes the next event, which must be an offer, and answers it. Returns its number of tracks. */
size_t conn_answer(struct cp_conn *c);
/* Publishes audio and video as aiortc does; ids of the tracks out, NULL: not asked for. */
void conn_publish(struct cp_conn *c, char audio[CP_ID_MAX], char video[CP_ID_MAX]);

/* ---- HTTP ---- */
struct cp_http {
	int status, retry_after; // s, 0: not said
	uint64_t ticket;         // as of a connection
	char location[128], etag[32], accept[64], allow[64], content_type[64];
	char *body;
};
/* path may have a query. Free with http_done(). */
struct cp_http http(enum cp_method method, const char *path, const char *bearer, const char *type,
                    const char *if_match, const char *body);
void http_done(struct cp_http *h);
