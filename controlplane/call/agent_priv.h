/* Private to agent.c and ring.c. */
#pragma once
#include "controlplane/call/agent.h"
#include "controlplane/call/calls_priv.h"

struct cp_user {
	UT_hash_handle hh; // by name
	struct cp_calls *of;
	char name[CP_NAME_MAX + 1], display[CP_DISPLAY_MAX + 1];
	TAILQ_HEAD(, cp_agent) agents;
	int calls; // ringing or answered, either way
};

struct cp_agent {
	TAILQ_ENTRY(cp_agent) entry;
	struct cp_user *user;
	char id[CP_ID_MAX];
	const struct cp_agent_ops *ops;
	void *arg;
	bool watching;
};

json_t *cp_call_save_all(const struct cp_calls *c);
void cp_call_load_all(struct cp_calls *c, const json_t *saved);
struct cp_user *cp_user_find(struct cp_calls *c, const char *name);
/* One call more or less: presence may change. */
void cp_user_calls(struct cp_user *u, int delta);
/* The agent is out of its user's list; its calls end, or go on without it. */
void cp_call_agent_gone(struct cp_agent *a, const char *reason);
