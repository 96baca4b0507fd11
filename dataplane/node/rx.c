/* Frames from the worker's own queues, and those that other workers handed over. */
#include <rte_ethdev.h>
#include "dataplane/node/node.h"

static uint16_t rx(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct dp_worker *w = dp_self;
	struct dp_node *n = dp_node(w);
	uint16_t got = 0;

	for (unsigned i = 0; i < w->n_ports; i++) {
		struct rte_mbuf **m = (struct rte_mbuf **)node->objs + got;
		uint16_t k;

		if (n->queue[i] < 0)
			continue;
		k = rte_eth_rx_burst(w->ports[i], (uint16_t)n->queue[i], m, DP_BURST);
		for (uint16_t j = 0; j < k; j++) {
			struct dp_pkt *p = dp_pkt(m[j]);

			rte_prefetch0(rte_pktmbuf_mtod(m[j], void *));
			p->port = w->ports[i];
			p->flags = 0;
		}
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

/* Besides received frames for our UDP port these may be finished frames of workers that have no queue of the
 * port they go out of. */
static uint16_t handover(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct dp_worker *w = dp_self;
	uint16_t got = (uint16_t)rte_ring_dequeue_burst(w->handover, node->objs, DP_BURST, NULL);

	for (uint16_t i = 0; i < got; i++)
		rte_prefetch0(dp_pkt(node->objs[i]));
	for (uint16_t i = 0; i < got; i++) {
		bool framed = dp_pkt(node->objs[i])->flags & DP_PKT_FRAMED;

		rte_node_enqueue_x1(graph, node, framed ? HANDOVER_TX : HANDOVER_CLASSIFY,
		                    node->objs[i]);
	}
	return got;
}

static struct rte_node_register handover_node = {
	.name = "dp_handover",
	.process = handover,
	.flags = RTE_NODE_SOURCE_F,
	.nb_edges = HANDOVER_EDGES,
	.next_nodes = {[HANDOVER_CLASSIFY] = "dp_classify", [HANDOVER_TX] = "dp_tx"},
};
RTE_NODE_REGISTER(handover_node);
