/* One user rings another: ringing → answered → over. Each way out of a state is one function. */
#include "controlplane/call/agent_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "controlplane/loop.h"

const char *cp_call_event_name(enum cp_call_event e)
{
	static const char *const names[] = {
#define X(sym, name) name,
	    CP_CALL_EVENTS(X)
#undef X
	};

	return names[e];
}

static void tell(struct cp_agent *a, const struct cp_call *call, enum cp_call_event event,
                 const char *reason)
{
	if (a)
		a->ops->call(a->arg, call, event, reason);
}

static void tell_callee(const struct cp_call *call, const struct cp_agent *but,
                        enum cp_call_event event, const char *reason)
{
	struct cp_user *u = cp_user_find(call->calls, call->to);
	struct cp_agent *a, *next;

	if (!u)
		return;
	for (a = TAILQ_FIRST(&u->agents); a; a = next) {
		next = TAILQ_NEXT(a, entry);
		if (a != but)
			tell(a, call, event, reason);
	}
}

/* ---- the end ---- */

static void call_free(struct cp_call *call)
{
	struct cp_user *to = cp_user_find(call->calls, call->to);

	TAILQ_REMOVE(&call->calls->ringing, call, entry);
	call->calls->counts.calls--;
	call->calls->changed = true;
	if (call->caller)
		cp_user_calls(call->caller->user, -1);
	if (to && call->counted)
		cp_user_calls(to, -1);
	cp_timer_free(call->no_answer);
	free(call);
}

static void no_answer(void *arg)
{
	struct cp_call *call = arg;

	tell(call->caller, call, CP_CALL_NO_ANSWER, NULL);
	tell_callee(call, NULL, CP_CALL_CANCELLED, "no_answer");
	call_free(call);
}

static void end_answered(struct cp_call *call, const char *reason)
{
	tell(call->caller, call, CP_CALL_ENDED, reason);
	tell(call->callee, call, CP_CALL_ENDED, reason);
	call_free(call);
}

static void callee_left_ringing(struct cp_call *call, const struct cp_user *to)
{
	if (!TAILQ_EMPTY(&to->agents))
		return; /* another device goes on ringing */
	tell(call->caller, call, CP_CALL_FAILED, "offline");
	call_free(call);
}

void cp_call_agent_gone(struct cp_agent *a, const char *reason)
{
	struct cp_call *call, *next;

	for (call = TAILQ_FIRST(&a->user->of->ringing); call; call = next) {
		next = TAILQ_NEXT(call, entry);
		if (call->state == CP_CALL_IS_ANSWERED &&
		    (call->caller == a || call->callee == a)) {
			tell(call->caller == a ? call->callee : call->caller, call, CP_CALL_ENDED,
			     reason);
			call_free(call);
		} else if (call->caller == a) {
			tell_callee(call, NULL, CP_CALL_CANCELLED, reason);
			call_free(call);
		} else if (call->state == CP_CALL_IS_RINGING &&
		           strcmp(call->to, a->user->name) == 0) {
			callee_left_ringing(call, a->user);
		}
	}
}

/* ---- ringing ---- */

void cp_call_set_no_answer(struct cp_calls *c, unsigned seconds)
{
	c->no_answer_s = seconds;
}

void cp_call_ring(struct cp_call *call)
{
	struct cp_user *to = cp_user_find(call->calls, call->to);

	if (!to) {
		tell(call->caller, call, CP_CALL_FAILED, "offline");
		call_free(call);
	} else if (to->calls) {
		tell(call->caller, call, CP_CALL_BUSY, NULL);
		call_free(call);
	} else {
		call->counted = true;
		cp_user_calls(to, 1);
		cp_timer_start(call->no_answer, call->calls->no_answer_s * 1000ull);
		tell_callee(call, NULL, CP_CALL_RING, NULL);
		tell(call->caller, call, CP_CALL_RINGING, NULL);
	}
}

static int call_new(struct cp_call **out, struct cp_agent *caller, const char *to)
{
	struct cp_call *call = calloc(1, sizeof(*call));

	if (!call)
		return -ENOMEM;
	call->calls = caller->user->of;
	call->caller = caller;
	if (!cp_text_copy(call->to, sizeof(call->to), to) ||
	    cp_timer_alloc(&call->no_answer, no_answer, call)) {
		free(call);
		return -ENOMEM;
	}
	TAILQ_INSERT_TAIL(&call->calls->ringing, call, entry);
	call->calls->counts.calls++;
	cp_user_calls(caller->user, 1);
	*out = call;
	return 0;
}

int cp_call_start(struct cp_call **out, struct cp_agent *caller, const char *to, bool video)
{
	struct cp_calls *c = caller->user->of;
	int err;

	if (strcmp(to, caller->user->name) == 0)
		return -EINVAL;
	if (caller->user->calls)
		return -EBUSY;
	if (!cp_calls_ready(c))
		return -ENODEV;
	err = cp_admit_call(c, video);
	if (err)
		return err;
	err = call_new(out, caller, to);
	if (err)
		return err;
	cp_make_id((*out)->id, 'c');
	snprintf((*out)->room, sizeof((*out)->room), "%s%s", CP_CALL_ROOM, (*out)->id);
	(*out)->video = video;
	c->counts.calls_started++;
	return 0;
}

/* ---- by id ---- */

static struct cp_call *find(const struct cp_calls *c, const char *id)
{
	struct cp_call *call;

	TAILQ_FOREACH (call, &c->ringing, entry)
		if (strcmp(call->id, id) == 0)
			return call;
	return NULL;
}

static struct cp_call *ringing_for(const struct cp_agent *a, const char *id)
{
	struct cp_call *call = find(a->user->of, id);

	return call && strcmp(call->to, a->user->name) == 0 ? call : NULL;
}

int cp_call_cancel(struct cp_agent *a, const char *id)
{
	struct cp_call *call = find(a->user->of, id);

	if (!call || call->caller != a)
		return -ENOENT;
	if (call->state != CP_CALL_IS_RINGING)
		return -EEXIST;
	tell_callee(call, NULL, CP_CALL_CANCELLED, NULL);
	call_free(call);
	return 0;
}

int cp_call_accept(struct cp_call **out, struct cp_agent *a, const char *id)
{
	struct cp_call *call = ringing_for(a, id);

	if (!call)
		return -ENOENT;
	if (call->state != CP_CALL_IS_RINGING)
		return -EEXIST;
	call->state = CP_CALL_IS_ANSWERED;
	call->callee = a;
	call->calls->changed = true;
	call->calls->counts.calls_answered++;
	cp_timer_cancel(call->no_answer);
	tell(call->caller, call, CP_CALL_ACCEPTED, NULL);
	tell_callee(call, a, CP_CALL_ANSWERED_ELSEWHERE, NULL);
	*out = call;
	return 0;
}

int cp_call_decline(struct cp_agent *a, const char *id, bool busy)
{
	struct cp_call *call = ringing_for(a, id);

	if (!call)
		return -ENOENT;
	if (call->state != CP_CALL_IS_RINGING)
		return -EEXIST;
	tell(call->caller, call, busy ? CP_CALL_BUSY : CP_CALL_DECLINED, NULL);
	tell_callee(call, a, CP_CALL_CANCELLED, "declined");
	call_free(call);
	return 0;
}

int cp_call_hangup(struct cp_agent *a, const char *id, const char *reason)
{
	struct cp_call *call = find(a->user->of, id);

	if (!call || (call->caller != a && call->callee != a))
		return -ENOENT;
	if (call->state != CP_CALL_IS_ANSWERED)
		return -EEXIST;
	end_answered(call, reason);
	return 0;
}

/* ---- rooms of calls ---- */

struct cp_call *cp_call_in_room(const struct cp_agent *a, const char *room)
{
	struct cp_call *call;

	TAILQ_FOREACH (call, &a->user->of->ringing, entry)
		if (call->state == CP_CALL_IS_ANSWERED &&
		    (call->caller == a || call->callee == a) && strcmp(call->room, room) == 0)
			return call;
	return NULL;
}

bool cp_call_may_join(const struct cp_agent *a, const char *room)
{
	return strncmp(room, CP_CALL_ROOM, strlen(CP_CALL_ROOM)) != 0 ||
	       (a && cp_call_in_room(a, room));
}

/* ---- journal ---- */

json_t *cp_call_save_all(const struct cp_calls *c)
{
	json_t *list = json_array();
	const struct cp_call *call;

	TAILQ_FOREACH (call, &c->ringing, entry)
		cp_json_push(&list,
		             json_pack("{ss ss sb si ss ss ss}", "id", call->id, "to", call->to,
		                       "video", call->video, "state", (int)call->state, "caller",
		                       call->caller->id, "caller_user", call->caller->user->name,
		                       "callee", call->callee ? call->callee->id : ""));
	return list;
}

static struct cp_agent *agent_by_id(struct cp_calls *c, const char *user, const char *id)
{
	struct cp_user *u = cp_user_find(c, user);
	struct cp_agent *a;

	if (u)
		TAILQ_FOREACH (a, &u->agents, entry)
			if (strcmp(a->id, id) == 0)
				return a;
	return NULL;
}

static void call_load(struct cp_calls *c, json_t *o)
{
	const char *id, *to, *caller, *caller_user, *callee;
	struct cp_agent *from, *answered;
	struct cp_call *call;
	int video, state;

	if (json_unpack(o, "{ss ss sb si ss ss ss}", "id", &id, "to", &to, "video", &video, "state",
	                &state, "caller", &caller, "caller_user", &caller_user, "callee", &callee))
		return;
	from = agent_by_id(c, caller_user, caller);
	answered = agent_by_id(c, to, callee);
	if (!from || (state == CP_CALL_IS_ANSWERED && !answered) || call_new(&call, from, to))
		return;
	call->video = video;
	call->state = state == CP_CALL_IS_ANSWERED ? CP_CALL_IS_ANSWERED : CP_CALL_IS_RINGING;
	call->callee = answered;
	(void)cp_text_copy(call->id, sizeof(call->id), id);
	snprintf(call->room, sizeof(call->room), "%s%s", CP_CALL_ROOM, call->id);
	if (cp_user_find(c, to)) {
		call->counted = true;
		cp_user_calls(cp_user_find(c, to), 1);
	}
	if (call->state == CP_CALL_IS_RINGING)
		cp_timer_start(call->no_answer, c->no_answer_s * 1000ull);
}

void cp_call_load_all(struct cp_calls *c, const json_t *saved)
{
	json_t *o;
	size_t i;

	json_array_foreach (saved, i, o)
		call_load(c, o);
}
