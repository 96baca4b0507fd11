/* The impairment node: a bad network between the ports and the graph, for tests and benches. Only
 * in builds with -Dimpairment=true, which release builds refuse; without it nothing of this is
 * compiled. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shared/addr.h"

/* One direction; as struct dp_wire_conf (impair/wire.h), which see. */
struct dp_impair_way {
	uint32_t loss, loss_bad, to_bad, to_good; // millionths
	uint32_t rate_kbps, queue_bytes, burst_bytes;
	uint32_t delay_us, jitter_us;
	uint32_t reorder, reorder_us; // millionths
	uint32_t duplicate;           // millionths
};
enum { DP_IMPAIR_IN, DP_IMPAIR_OUT, DP_IMPAIR_WAYS };

/* Set before dp_nodes_init(), the same for all workers. All zero: nothing is done. */
struct dp_impair_config {
	uint64_t seed;
	struct sh_addr peer; // only frames from and to it, whatever the port; family 0: all
	struct dp_impair_way way[DP_IMPAIR_WAYS];
};
extern struct dp_impair_config dp_impair_config;

#ifdef CALLSTACK_IMPAIRMENT
struct dp_worker;
struct rte_mbuf;

/* With the worker's other state. 0, -ENOMEM. */
int dp_impair_init(struct dp_worker *w);
void dp_impair_free(struct dp_worker *w);
/* Frames from a port; returns how many are left in m[] to go on with at once, the others were lost
 * or come later. */
uint16_t dp_impair_rx(struct dp_worker *w, struct rte_mbuf **m, uint16_t n);
/* In the place of dp_port_tx(); takes all. */
uint16_t dp_impair_tx(struct dp_worker *w, uint16_t port, struct rte_mbuf **m, uint16_t n);
#endif
