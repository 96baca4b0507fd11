/* Frames from the worker's own queues, and those that other workers handed over. */
#include "dataplane/node/impair.h"
#include "dataplane/node/node.h"

static uint16_t rx(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct dp_worker *w = dp_self;
	uint16_t got = 0;

	for (unsigned i = 0; i < w->n_ports; i++) {
		struct rte_mbuf **m = (struct rte_mbuf **)node->objs + got;
		uint16_t k = dp_port_rx(w, i, m, (uint16_t)RTE_MIN(DP_BURST, DP_VECTOR - got));

		for (uint16_t j = 0; j < k; j++) {
			rte_prefetch0(rte_pktmbuf_mtod(m[j], void *));
			dp_pkt(m[j])->flags = 0;
		}
#ifdef CALLSTACK_IMPAIRMENT
		k = dp_impair_rx(w, m, k);
#endif
		got += k;
	}
	if (!got)
		return 0;
	node->idx = got;
	rte_node_next_stream_move(graph, node, RX_CLASSIFY);
	return got;
}

static struct rte_node_register rx_node = {
    .name = "dp_rx",
    .process = rx,
    .flags = RTE_NODE_SOURCE_F,
    .nb_edges = RX_EDGES,
    .next_nodes = {[RX_CLASSIFY] = "dp_classify"},
};
RTE_NODE_REGISTER(rx_node);

static uint16_t handover(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	uint16_t got =
	    (uint16_t)rte_ring_dequeue_burst(dp_self->handover, node->objs, DP_BURST, NULL);

	if (!got)
		return 0;
	for (uint16_t i = 0; i < got; i++)
		rte_prefetch0(rte_pktmbuf_mtod((struct rte_mbuf *)node->objs[i], void *));
	node->idx = got;
	rte_node_next_stream_move(graph, node, HANDOVER_CLASSIFY);
	return got;
}

static struct rte_node_register handover_node = {
    .name = "dp_handover",
    .process = handover,
    .flags = RTE_NODE_SOURCE_F,
    .nb_edges = HANDOVER_EDGES,
    .next_nodes = {[HANDOVER_CLASSIFY] = "dp_classify"},
};
RTE_NODE_REGISTER(handover_node);
