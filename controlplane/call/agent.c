/* Users with their agents, and who may know of whom. A user is known here while it has an agent. */
#include "controlplane/call/agent_priv.h"

#include <errno.h>
#include <stdlib.h>

const char *cp_presence_name(enum cp_presence p)
{
	static const char *const names[] = {"offline", "online", "busy"};

	return names[p];
}

const char *cp_agent_user(const struct cp_agent *a)
{
	return a->user->name;
}

const char *cp_agent_display(const struct cp_agent *a)
{
	return a->user->display;
}

struct cp_user *cp_user_find(struct cp_calls *c, const char *name)
{
	struct cp_user *u;

	HASH_FIND_STR(c->users, name, u);
	return u;
}

static void tell_all(struct cp_calls *c, const struct cp_user *u, enum cp_presence state)
{
	struct cp_user *o, *next;
	struct cp_agent *a;

	HASH_ITER(hh, c->users, o, next)
	TAILQ_FOREACH (a, &o->agents, entry)
		if (a->watching)
			a->ops->presence(a->arg, u->name, u->display, state);
}

static enum cp_presence presence(const struct cp_user *u)
{
	return u->calls ? CP_BUSY : CP_ONLINE;
}

void cp_user_calls(struct cp_user *u, int delta)
{
	enum cp_presence before = presence(u);

	u->calls += delta;
	u->of->changed = true;
	if (presence(u) != before && !TAILQ_EMPTY(&u->agents))
		tell_all(u->of, u, presence(u));
}

static struct cp_user *user_get(struct cp_calls *c, const char *name, const char *display)
{
	struct cp_user *u = cp_user_find(c, name);

	if (u)
		return u;
	u = calloc(1, sizeof(*u));
	if (!u)
		return NULL;
	if (!cp_text_copy(u->name, sizeof(u->name), name) ||
	    !cp_text_copy(u->display, sizeof(u->display), display)) {
		free(u);
		return NULL;
	}
	u->of = c;
	TAILQ_INIT(&u->agents);
	HASH_ADD_STR(c->users, name, u);
	if (!u->hh.tbl) {
		free(u);
		return NULL;
	}
	return u;
}

int cp_agent_add(struct cp_agent **out, struct cp_calls *c, const char *id, const char *user,
                 const char *display, const struct cp_agent_ops *ops, void *arg)
{
	struct cp_agent *a = calloc(1, sizeof(*a));
	bool first;

	if (!a)
		return -ENOMEM;
	if (!cp_text_copy(a->id, sizeof(a->id), id)) {
		free(a);
		return -EINVAL;
	}
	a->user = user_get(c, user, display);
	if (!a->user) {
		free(a);
		return -ENOMEM;
	}
	a->ops = ops;
	a->arg = arg;
	first = TAILQ_EMPTY(&a->user->agents);
	TAILQ_INSERT_TAIL(&a->user->agents, a, entry);
	if (first)
		tell_all(c, a->user, presence(a->user));
	*out = a;
	return 0;
}

void cp_agent_remove(struct cp_agent *a, const char *reason)
{
	struct cp_user *u = a->user;
	struct cp_calls *c = u->of;

	TAILQ_REMOVE(&u->agents, a, entry);
	cp_call_agent_gone(a, reason);
	if (TAILQ_EMPTY(&u->agents)) {
		tell_all(c, u, CP_OFFLINE);
		HASH_DEL(c->users, u);
		free(u);
	}
	free(a);
}

void cp_agent_ring(struct cp_agent *a)
{
	const struct cp_call *call;

	TAILQ_FOREACH (call, &a->user->of->ringing, entry)
		if (call->state == CP_CALL_IS_RINGING && call->counted &&
		    strcmp(call->to, a->user->name) == 0)
			a->ops->call(a->arg, call, CP_CALL_RING, NULL);
}

void cp_agent_watch(struct cp_agent *a,
                    void (*h)(void *arg, const char *user, const char *display, enum cp_presence s),
                    void *arg)
{
	struct cp_user *u, *next;

	a->watching = true;
	HASH_ITER(hh, a->user->of->users, u, next)
	h(arg, u->name, u->display, presence(u));
}
