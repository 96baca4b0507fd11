/* Between store.c and its backends. Calls of a backend may come from any thread, several at once.
 */
#pragma once
#include "controlplane/store/store.h"

enum { CP_HASH_MAX = 160 }; // argon2's encoded form, with its NUL

struct cp_store_backend {
	const char *scheme; // what the URL starts with
	int (*open)(void **db, const char *rest, char *err, size_t size);
	void (*close)(void *db);
	int (*user_add)(void *db, const struct cp_user *u, const char *hash);
	int (*user_get)(void *db, const char *name, bool by_extension, struct cp_user *out,
	                char hash[CP_HASH_MAX]);
	int (*user_set_hash)(void *db, const char *name, const char *hash);
	int (*user_delete)(void *db, const char *name);
	int (*user_list)(void *db, struct cp_user **list, size_t *n);
};
extern const struct cp_store_backend cp_store_sqlite;

struct cp_store {
	const struct cp_store_backend *backend;
	void *db;
	char decoy[CP_HASH_MAX]; // hash of nobody's password: verified when there is no such user
	unsigned pending;        // loop's thread
	bool closing;
	void (*drain)(struct cp_store *s); // set by store_async.c when it was used
};
