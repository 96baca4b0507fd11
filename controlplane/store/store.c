/* The store: what is the same whatever the backend.
 *
 *   store.c          rules for users, passwords, choice of the backend
 *   store_sqlite.c   the embedded backend
 *   store_async.c    the calls that the daemon's loop makes, on libuv's worker threads
 *   password.c       argon2id
 *
 * A cp_store is shared by threads; its own fields are constant after open, but for the pending
 * count, which is the loop's. Backends lock for themselves. */
#include "controlplane/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/signaling/query.h"
#include "controlplane/signaling/token.h"
#include "controlplane/store/password.h"
#include "controlplane/store/store_priv.h"

static const struct cp_store_backend *const backends[] = {&cp_store_sqlite};

int cp_store_open(struct cp_store **out, const char *url, char *err, size_t size)
{
	struct cp_store *s = calloc(1, sizeof(*s));
	int rc = -ENOTSUP;

	if (!s)
		return -ENOMEM;
	snprintf(err, size, "store \"%.80s\": not of the form sqlite:PATH", url);
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
		size_t n = strlen(backends[i]->scheme);

		if (strncmp(url, backends[i]->scheme, n) != 0)
			continue;
		s->backend = backends[i];
		rc = s->backend->open(&s->db, url + n, err, size);
	}
	if (!rc) {
		rc = cp_password_hash(s->decoy, sizeof(s->decoy), "nobody's");
		if (rc)
			snprintf(err, size, "cannot hash passwords: %s", strerror(-rc));
	}
	if (rc) {
		if (s->db)
			s->backend->close(s->db);
		free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void cp_store_close(struct cp_store *s)
{
	if (!s)
		return;
	s->closing = true;
	if (s->drain)
		s->drain(s);
	s->backend->close(s->db);
	free(s);
}

static bool valid_display(const char *s)
{
	if (strlen(s) > CP_USER_DISPLAY_MAX || !cp_utf8_valid(s, strlen(s)))
		return false;
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 127)
			return false;
	return true;
}

static bool valid_password(const char *s)
{
	size_t n = strlen(s);

	return n >= 1 && n <= CP_PASSWORD_MAX;
}

int cp_store_user_add(struct cp_store *s, const struct cp_user *u, const char *password)
{
	char hash[CP_HASH_MAX];
	int err;

	if (!cp_name_valid(u->name) || !valid_display(u->display) || !valid_password(password) ||
	    strspn(u->extension, "0123456789") != strlen(u->extension))
		return -EINVAL;
	err = cp_password_hash(hash, sizeof(hash), password);
	return err ? err : s->backend->user_add(s->db, u, hash);
}

int cp_store_user_get(struct cp_store *s, const char *name, struct cp_user *out)
{
	char hash[CP_HASH_MAX];

	return s->backend->user_get(s->db, name, true, out, hash);
}

int cp_store_user_set_password(struct cp_store *s, const char *name, const char *password)
{
	char hash[CP_HASH_MAX];
	int err;

	if (!valid_password(password))
		return -EINVAL;
	err = cp_password_hash(hash, sizeof(hash), password);
	return err ? err : s->backend->user_set_hash(s->db, name, hash);
}

int cp_store_user_delete(struct cp_store *s, const char *name)
{
	return s->backend->user_delete(s->db, name);
}

int cp_store_user_list(struct cp_store *s, struct cp_user **list, size_t *n)
{
	return s->backend->user_list(s->db, list, n);
}

int cp_store_user_verify(struct cp_store *s, const char *name, const char *password,
                         struct cp_user *out)
{
	char hash[CP_HASH_MAX];
	struct cp_user u;
	int err;

	if (strlen(password) > CP_PASSWORD_MAX)
		return -EACCES;
	err = s->backend->user_get(s->db, name, false, &u, hash);
	if (err && err != -ENOENT)
		return err;
	if (err) { // the same work as for a user that exists
		cp_password_verify(s->decoy, password);
		return -EACCES;
	}
	err = cp_password_verify(hash, password);
	if (!err)
		*out = u;
	return err == -EINVAL ? -EACCES : err;
}
