/* What the operator sees of a running daemon: /healthz, /metrics, the admin commands that belong to no other module,
 * and RUNDIR/callstackd.json, by which callstackctl finds the daemon's files (also when it is dead). */
#pragma once
#include "controlplane/conf.h"

struct cp_admin;
struct cp_front;

struct cp_service {
	const struct cp_conf *conf;
	char state_path[256]; // the dataplane's mapping
	uint64_t started_ms;
};

/* Writes RUNDIR/callstackd.json; while the run directory is still ours to write in. 0 or -errno. */
int cp_service_announce(const struct cp_conf *conf);
/* Registers routes and commands. s lives as long as front and admin. 0 or -errno. */
int cp_service_start(struct cp_service *s, const struct cp_conf *conf, struct cp_front *front, struct cp_admin *admin);
/* "sqlite:callstack.db" with the path below data_dir, as cp_store_open() takes it. buf, or NULL: too long. */
const char *cp_service_store_url(const struct cp_conf *conf, char *buf, size_t size);
