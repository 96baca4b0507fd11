/* Agents and calls between users. An agent is one device of a user that can be told things and can
 * be rung: a signaling session now, a SIP registration later. A call is one user ringing another;
 * once answered it is a room with two legs, and the room does the rest. Owned by cp_calls; one
 * thread. Errors as in call.h. */
#pragma once
#include "controlplane/call/call.h"

struct cp_agent;
struct cp_call;

enum cp_presence { CP_OFFLINE, CP_ONLINE, CP_BUSY };
const char *cp_presence_name(enum cp_presence p);

/* What an agent hears of a call. The names are those of docs/signaling.md. */
#define CP_CALL_EVENTS(X)                                                                          \
	X(RING, "ring")                                                                            \
	X(RINGING, "ringing")                                                                      \
	X(ACCEPTED, "accepted")                                                                    \
	X(ANSWERED_ELSEWHERE, "answered_elsewhere")                                                \
	X(DECLINED, "declined")                                                                    \
	X(BUSY, "busy")                                                                            \
	X(NO_ANSWER, "no_answer")                                                                  \
	X(CANCELLED, "cancelled")                                                                  \
	X(FAILED, "failed")                                                                        \
	X(ENDED, "ended")
enum cp_call_event {
#define X(sym, name) CP_CALL_##sym,
	CP_CALL_EVENTS(X)
#undef X
};
const char *cp_call_event_name(enum cp_call_event e);

struct cp_agent_ops {
	/* reason: NULL or a word of docs/signaling.md. After an event that ends the call, call is
	 * freed. */
	void (*call)(void *arg, const struct cp_call *call, enum cp_call_event event,
	             const char *reason);
	void (*presence)(void *arg, const char *user, const char *display, enum cp_presence state);
};

/* id: the agent's own, at most CP_ID_MAX - 1 characters; names it in the journal. */
int cp_agent_add(struct cp_agent **out, struct cp_calls *c, const char *id, const char *user,
                 const char *display, const struct cp_agent_ops *ops, void *arg);
/* Its calls end with `reason`. */
void cp_agent_remove(struct cp_agent *a, const char *reason);
/* Whoever calls the user at the moment rings here too: for an agent that came late. */
void cp_agent_ring(struct cp_agent *a);
/* From now on presence() is called for every change. Calls h for each known user first. */
void cp_agent_watch(struct cp_agent *a,
                    void (*h)(void *arg, const char *user, const char *display, enum cp_presence s),
                    void *arg);

/* Names of rooms made for calls begin with it. */
#define CP_CALL_ROOM "call-"

enum cp_call_state { CP_CALL_IS_RINGING, CP_CALL_IS_ANSWERED };
struct cp_call {
	TAILQ_ENTRY(cp_call) entry;
	struct cp_calls *calls;
	char id[CP_ID_MAX];
	char room[CP_ID_MAX + 8]; // "call-" id; only the two may join
	char to[CP_NAME_MAX + 1]; // the user being called
	bool video;
	bool counted; // in the callee's number of calls
	enum cp_call_state state;
	struct cp_agent *caller;
	struct cp_agent *callee; // the agent that accepted; NULL while ringing
	struct cp_timer *no_answer;
};
const char *cp_agent_user(const struct cp_agent *a);
const char *cp_agent_display(const struct cp_agent *a);

/* -EINVAL: oneself; -EBUSY: the caller is in a call; -ENODEV. The call exists and rings nobody yet,
 * so that its caller can be told of it first; then cp_call_ring(), after which it may be gone (a
 * callee who is offline or busy). */
int cp_call_start(struct cp_call **out, struct cp_agent *caller, const char *to, bool video);
void cp_call_ring(struct cp_call *call);
/* -ENOENT: no such call of this agent's; -EEXIST: not in that state. */
int cp_call_cancel(struct cp_agent *a, const char *id);
int cp_call_accept(struct cp_call **out, struct cp_agent *a, const char *id);
int cp_call_decline(struct cp_agent *a, const char *id, bool busy);
int cp_call_hangup(struct cp_agent *a, const char *id, const char *reason);
/* The agent's own answered call in that room, or NULL: leaving the room ends it. */
struct cp_call *cp_call_in_room(const struct cp_agent *a, const char *room);
/* May this agent join that room? Rooms of calls are for the two legs only. */
bool cp_call_may_join(const struct cp_agent *a, const char *room);
void cp_call_set_no_answer(struct cp_calls *c, unsigned seconds); // 5..300; default 45
