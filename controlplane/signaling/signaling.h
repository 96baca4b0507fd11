/* callstack.v1 (docs/signaling.md), WHIP and WHEP on top of the domain in call/. This header is
 * what main.c and the files of the folder share; the folder's essay is in protocol.c. One thread.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include "controlplane/call/agent.h"
#include "controlplane/call/call.h"
#include "controlplane/signaling/auth.h"
#include "controlplane/signaling/front.h"

struct cp_journal;
struct cp_signaling;

struct cp_signaling_conf {
	unsigned login_timeout_s; // for the first request
	unsigned resume_ttl_s;    // a session waits this long for its client: 5..3600, default 60
	unsigned max_sessions;    // and players, together
	unsigned rate, burst;     // requests a second of one connection: 50, 200
	const char *journal;      // path of the journal, NULL: keep none
};
int cp_signaling_alloc(struct cp_signaling **out);
/* Restores sessions, rooms and calls from the journal, if the path of one is given; the plane must
 * not be flushed before. 0 or -errno. */
int cp_signaling_start(struct cp_signaling *s, const struct cp_signaling_conf *conf,
                       struct cp_calls *calls, struct cp_auth *auth);
/* Tells clients `shutdown` and ends all; what the journal holds stays for the next daemon. The
 * plane was stopped before, or the dataplane would be told that all ended. */
void cp_signaling_stop(struct cp_signaling *s);
void cp_signaling_free(struct cp_signaling *s);
/* The handlers for the front. */
void cp_signaling_ws(struct cp_signaling *s, struct cp_front_ws *out);
int cp_signaling_routes(struct cp_signaling *s, struct cp_front *front); // /whip/ and /whep/
/* At the end of each loop turn, before the plane is flushed: ends and refills players, has offers
 * made (cp_calls_turn), and writes what changed to the journal. */
void cp_signaling_turn(struct cp_signaling *s);
/* End every session and player of a user (deleted, or an operator's wish); number ended. */
unsigned cp_signaling_kick(struct cp_signaling *s, const char *user);
struct cp_signaling_counts {
	unsigned sessions, connected, whip, whep;
	uint64_t requests, refused, logins, logins_refused, logins_limited;
};
void cp_signaling_counts(const struct cp_signaling *s, struct cp_signaling_counts *out);

/* True for UTF-8 without control characters, 1..max bytes (jansson has checked the UTF-8). */
bool cp_display_ok(const char *s, size_t max);
