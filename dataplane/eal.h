/* DPDK's environment: which CPUs, which memory, which buses; and what the process may still do
 * afterwards. */
#pragma once
#include "dataplane/conf.h"

/* rte_eal_init() from the configuration; says in one line what was chosen. 0, -errno (said). There
 * is no way back but the end of the process: rte_eal_cleanup() unmaps memory that EAL's interrupt
 * thread is still reading (seen with memif, DPDK 22.11), and there is nothing else for it to free.
 */
int dp_eal_init(const struct dp_conf *conf);

/* privilege.c. Before any thread: nothing may be gained by exec, no core dump. */
int dp_privilege_begin(void);
/* uid and gid of a user; both -1 for "". -ENOENT: no such user. */
int dp_privilege_user(const char *name, int *uid, int *gid);
/* Devices are open. The control thread becomes that user (-1: stays) and keeps CAP_NET_ADMIN, which
 * the kernel asks for when it is to resolve a neighbour; DPDK's helper threads keep nothing. 0,
 * -errno. */
int dp_privilege_drop(int uid, int gid);
/* Each worker's own call: capabilities belong to a thread. 0, -errno. */
int dp_privilege_drop_worker(void);
