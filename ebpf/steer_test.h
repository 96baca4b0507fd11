/* What the two tests of the steering program share: a private network namespace with lo and a veth
 * pair, the program loaded as the DPDK driver does it, and an AF_XDP socket to put into its map. */
#pragma once
#include <stdint.h>
#include "ebpf/xdp_steer.h"

enum { T_PORT = 10000, T_PORTS = 4 };

/* A loaded program; close with t_unload(). */
struct t_prog {
	struct bpf_object *obj;
	int prog_fd, xsks_fd, counters_fd;
};

/* True: we are root in a network namespace of our own that has lo, t0 (192.0.2.1) and t1 up. */
bool t_enter_namespace(void);
struct xdp_steer_cfg t_cfg(void); // no limits, any address
void t_load(struct t_prog *out, const struct xdp_steer_cfg *cfg);
void t_unload(struct t_prog *p);
/* Opens an AF_XDP socket on a queue, one at a time; the descriptor. */
int t_socket(const char *ifname, unsigned queue);
void t_socket_close(void);
void t_counters(const struct t_prog *p, uint64_t v[STEER_STAT_COUNT]);
