/* What the daemon keeps for good: users now; routes, calls and CDRs later. One interface, a backend
 * for each kind of URL: "sqlite:PATH" now, "postgresql://…" later with the same schema.
 *
 * The plain calls block (a disk, a network, 20 ms of password hashing) and may be made from any
 * thread; callstackctl uses them. The daemon's loop uses the _async ones: the same on a libuv
 * worker thread, with the callback on the loop. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cp_store;

enum {
	CP_USER_NAME_MAX = 64,
	CP_USER_DISPLAY_MAX = 64,   // bytes
	CP_USER_EXTENSION_MAX = 32, // digits
	CP_PASSWORD_MAX = 512,      // bytes; at least one
	CP_STORE_PENDING_MAX = 256, // asynchronous calls under way; more are refused
};

struct cp_user {
	char name[CP_USER_NAME_MAX + 1];           // cp_name_valid(), unique
	char extension[CP_USER_EXTENSION_MAX + 1]; // digits, unique, nobody's name; "" none
	char display[CP_USER_DISPLAY_MAX + 1];     // UTF-8 without control characters; "": the name
	uint64_t created_ms;                       // since 1970
};

/* Opens, and makes or upgrades the schema. url: "sqlite:PATH"; a file it makes has mode 0600. On
 * error err[size] says what is wrong. -ENOTSUP: no backend for this URL; -EPROTO: schema of a newer
 * version; -errno. */
int cp_store_open(struct cp_store **out, const char *url, char *err, size_t size);
/* Waits for asynchronous calls under way; their callbacks are not called any more. */
void cp_store_close(struct cp_store *s);

/* -EINVAL: name, extension, display or password not as above; -EEXIST: name or extension is taken.
 */
int cp_store_user_add(struct cp_store *s, const struct cp_user *u, const char *password);
/* By name, else by extension. -ENOENT. */
int cp_store_user_get(struct cp_store *s, const char *name, struct cp_user *out);
int cp_store_user_set_password(struct cp_store *s, const char *name, const char *password);
int cp_store_user_delete(struct cp_store *s, const char *name);
/* All, by name; *list is the caller's to free(). */
int cp_store_user_list(struct cp_store *s, struct cp_user **list, size_t *n);
/* 0 and *out; -EACCES: no such user or not its password, told apart neither by the result nor by
 * the time. */
int cp_store_user_verify(struct cp_store *s, const char *name, const char *password,
                         struct cp_user *out);

/* err as above; u is valid until it returns, and only meant when err is 0. */
typedef void(cp_store_user_h)(int err, const struct cp_user *u, void *arg);
typedef void(cp_store_list_h)(int err, const struct cp_user *list, size_t n, void *arg);
/* 0: the callback comes, once, later. -EAGAIN: CP_STORE_PENDING_MAX are under way; -ENOMEM. */
int cp_store_user_verify_async(struct cp_store *s, const char *name, const char *password,
                               cp_store_user_h *h, void *arg);
int cp_store_user_list_async(struct cp_store *s, cp_store_list_h *h, void *arg);
