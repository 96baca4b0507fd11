/* Who is it? Passwords against the store, tokens against the key; one thread. */
#pragma once
#include <stddef.h>

struct cp_auth;
struct cp_auth_job; // a password being verified on a helper thread

struct cp_store;
struct cp_token_key;

struct cp_identity {
	char user[65];    // CP_NAME_MAX
	char display[65]; // CP_DISPLAY_MAX; the user's name where none is known
	char room[65];    // the only room allowed; "" any
};

/* store and key are borrowed. token_ttl_s: life of what cp_auth_issue() makes; login_rate: failed
 * logins a minute from one address, after which it has to wait. 0 or -ENOMEM. */
int cp_auth_alloc(struct cp_auth **out, struct cp_store *store, const struct cp_token_key *key,
                  unsigned token_ttl_s, unsigned login_rate);
/* The store was closed before, so that no verification is under way. */
void cp_auth_free(struct cp_auth *a);

/* 0, -EACCES (bad signature, expired, wrong algorithm, unusable claims). */
int cp_auth_token(struct cp_auth *a, const char *jwt, struct cp_identity *out);
/* h is called once, later, from the loop: err 0, -EACCES, -EAGAIN (too many attempts), -EIO. */
typedef void(cp_auth_h)(int err, const struct cp_identity *id, void *arg);
int cp_auth_password(struct cp_auth_job **job, struct cp_auth *a, const char *user,
                     const char *password, const char *peer, cp_auth_h *h, void *arg);
/* The asker went away: h will not be called. */
void cp_auth_forget(struct cp_auth_job *job);
/* A token for the user, as login returns it; buf gets at most size bytes. 0 or -errno. */
int cp_auth_issue(struct cp_auth *a, const struct cp_identity *id, char *buf, size_t size);
