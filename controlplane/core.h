/* The dataplane link and the call domain with its signaling, put on the loop: what main.c starts
 * and stops as one. */
#pragma once
#include "controlplane/conf.h"

struct cp_admin;
struct cp_core;
struct cp_front;
struct cp_front_ws;
struct cp_store;
struct cp_token_key;

/* Before the front, which needs the WebSocket handlers; they are not called before the loop runs.
 */
int cp_core_alloc(struct cp_core **out, struct cp_front_ws *ws);
/* What the last daemon left in the journal is restored before the link is opened, so that the first
 * commit names it. */
int cp_core_start(struct cp_core *c, const struct cp_conf *conf, struct cp_front *front,
                  struct cp_admin *admin, struct cp_store *store, const struct cp_token_key *key);
/* Tells clients, keeps the journal, leaves the dataplane as it is. The loop does not run any more.
 */
void cp_core_stop(struct cp_core *c);
/* After the front, whose connections still name us while they close. */
void cp_core_free(struct cp_core *c);
