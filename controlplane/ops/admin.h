/* The operator's socket: RUNDIR/callstackd.sock, mode 0600, for root and the daemon's own user
 * only. A request is a line of JSON, {"command": "rooms", …}; its answer is a line {"ok": true,
 * "data": …} or {"ok": false, "error": "…"}. One thread. */
#pragma once
#include <jansson.h>
#include <stddef.h>

#define CP_ADMIN_SOCKET "callstackd.sock" // in the run directory
enum { CP_ADMIN_LINE_MAX = 65536, CP_ADMIN_CONNS_MAX = 16, CP_ADMIN_COMMANDS_MAX = 32 };

struct cp_admin;

/* Answers one command: 0 and *data, a new reference, or NULL for none; or -errno, and *data a
 * string that says why, or NULL. request is borrowed. Must answer at once. */
typedef int(cp_admin_h)(json_t **data, const json_t *request, void *arg);

/* -EADDRINUSE: another daemon answers there (this is what keeps two from one run directory);
 * -errno. */
int cp_admin_alloc(struct cp_admin **out, const char *rundir);
void cp_admin_free(struct cp_admin *a);
/* help: one line, for the command "help". Both strings must outlive a. */
int cp_admin_register(struct cp_admin *a, const char *command, const char *help, cp_admin_h *h,
                      void *arg);
/* Answers one line of text, without the socket; the caller frees. */
char *cp_admin_answer(struct cp_admin *a, const char *line, size_t len);
