/* The control thread (main lcore): the daemon's link, notes of workers, next hops, slow timers. It
 * sleeps in epoll. */
#pragma once
#include <stdint.h>
#include "dataplane/conf.h"

struct rte_mempool;

struct dp_control_params {
	const struct dp_conf *conf;
	struct rte_mempool *pool;
	uint64_t epoch; // of this dataplane
	int uid, gid;   // of the user that we become, -1: we stay
};

/* Listens. 0, -errno (said). */
int dp_control_open(const struct dp_control_params *params);
void dp_control_close(void);
/* The table's word that somebody wants this track (dp_table_cfg): its publisher, who may rest, hears of it at once. */
void dp_control_wanted(void *arg, uint32_t track);
/* Until SIGTERM or SIGINT, which must be blocked; 0, -errno. */
int dp_control_run(void);
