#include "controlplane/signaling/auth.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/loop.h"
#include "controlplane/signaling/limit.h"
#include "controlplane/signaling/token.h"
#include "controlplane/store/store.h"

enum { BUCKETS = 4096, USER_BURST = 10, REFILL_MS = 60000 };

struct cp_auth {
	struct cp_store *store;
	const struct cp_token_key *key;
	unsigned token_ttl_s;
	struct cp_limit *by_user, *by_peer; // failed passwords
};

struct cp_auth_job {
	struct cp_auth *auth;
	cp_auth_h *h; // NULL: forgotten
	void *arg;
	char user[65], peer[64];
};

int cp_auth_alloc(struct cp_auth **out, struct cp_store *store, const struct cp_token_key *key,
                  unsigned token_ttl_s, unsigned login_rate)
{
	struct cp_auth *a = calloc(1, sizeof(*a));
	int err;

	if (!a)
		return -ENOMEM;
	a->store = store;
	a->key = key;
	a->token_ttl_s = token_ttl_s;
	err = cp_limit_alloc(&a->by_user, BUCKETS, USER_BURST, REFILL_MS / USER_BURST);
	if (!err)
		err = cp_limit_alloc(&a->by_peer, BUCKETS, login_rate > 1000 ? 1000 : login_rate,
		                     REFILL_MS / login_rate ? REFILL_MS / login_rate : 1);
	if (err) {
		cp_auth_free(a);
		return err;
	}
	*out = a;
	return 0;
}

void cp_auth_free(struct cp_auth *a)
{
	if (!a)
		return;
	cp_limit_free(a->by_user);
	cp_limit_free(a->by_peer);
	free(a);
}

/* ---- tokens ---- */

int cp_auth_token(struct cp_auth *a, const char *jwt, struct cp_identity *out)
{
	struct cp_token t;

	if (cp_token_verify(&t, a->key, jwt, (int64_t)(cp_wall_ms() / 1000)))
		return -EACCES;
	snprintf(out->user, sizeof(out->user), "%s", t.sub);
	snprintf(out->display, sizeof(out->display), "%s", t.name[0] ? t.name : t.sub);
	snprintf(out->room, sizeof(out->room), "%s", t.room);
	return 0;
}

int cp_auth_issue(struct cp_auth *a, const struct cp_identity *id, char *buf, size_t size)
{
	struct cp_token t = {.iat = (int64_t)(cp_wall_ms() / 1000)};
	char *text;
	int err;

	snprintf(t.sub, sizeof(t.sub), "%s", id->user);
	snprintf(t.name, sizeof(t.name), "%s", id->display);
	snprintf(t.room, sizeof(t.room), "%s", id->room);
	t.exp = t.iat + a->token_ttl_s;
	err = cp_token_make(&text, a->key, &t);
	if (err)
		return err;
	err = (size_t)snprintf(buf, size, "%s", text) < size ? 0 : -ENOBUFS;
	explicit_bzero(text, strlen(text));
	free(text);
	return err;
}

/* ---- passwords ---- */

static void verified(int err, const struct cp_user *u, void *arg)
{
	struct cp_auth_job *job = arg;
	struct cp_identity id = {0};

	if (err == 0) {
		snprintf(id.user, sizeof(id.user), "%s", u->name);
		snprintf(id.display, sizeof(id.display), "%s",
		         u->display[0] ? u->display : u->name);
	} else if (err == -EACCES) {
		cp_limit_charge(job->auth->by_user, job->user, cp_now_ns());
		cp_limit_charge(job->auth->by_peer, job->peer, cp_now_ns());
	}
	if (job->h)
		job->h(err, &id, job->arg);
	free(job);
}

int cp_auth_password(struct cp_auth_job **out, struct cp_auth *a, const char *user,
                     const char *password, const char *peer, cp_auth_h *h, void *arg)
{
	struct cp_auth_job *job;
	int err;

	if (!cp_limit_ok(a->by_user, user, cp_now_ns()) ||
	    !cp_limit_ok(a->by_peer, peer, cp_now_ns()))
		return -EAGAIN;
	job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	job->auth = a;
	job->h = h;
	job->arg = arg;
	snprintf(job->user, sizeof(job->user), "%s", user);
	snprintf(job->peer, sizeof(job->peer), "%s", peer);
	err = cp_store_user_verify_async(a->store, user, password, verified, job);
	if (err) {
		free(job);
		return err;
	}
	*out = job;
	return 0;
}

void cp_auth_forget(struct cp_auth_job *job)
{
	job->h = NULL;
}
