/* What net_dpdk.c and dpdk_rx.c share. */
#pragma once
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdint.h>
#include "bench/loadgen/lg.h"

struct rte_mempool;

enum { LG_DPDK_HEAD = 14 + 20 + 8, LG_DPDK_QUEUE = 65536 };

struct lg_dpdk {
	uint16_t eth;
	struct rte_mempool *pool;
	struct in_addr address;
	struct lg_peer **peer; // by port - net.base_port; main thread writes before the peer starts
	_Atomic unsigned used;
};
extern struct lg_dpdk lg_dpdk;

/* The port is up: from now on what comes is taken out and noted. 0, -errno. */
int lg_dpdk_rx_open(void);
void lg_dpdk_rx_close(void);
/* Any thread: takes all that has come. */
void lg_dpdk_drain(void);
/* Media thread: hands on one turn's packets; how many. */
unsigned lg_dpdk_take(void);
/* The longest that nobody looked at the port since the last call. Media thread. */
uint64_t lg_dpdk_gap(void);
/* Packets that found the queue full. */
uint64_t lg_dpdk_dropped(void);
