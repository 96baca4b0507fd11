/* Headers, lengths and checksums, and out. Payloads get the path of their endpoint in front;
 * answers to STUN bring the headers of their request. Also inject, which brings the daemon's
 * datagrams (DTLS) here. */
#include <rte_memcpy.h>
#include "dataplane/node/frame.h"
#include "dataplane/node/node.h"

enum { TX_TRIES = 16 };

static void flush(struct dp_worker *w)
{
	struct dp_node *n = dp_node(w);
	uint16_t sent = 0;

	// a queue that is being emptied takes more in a moment; one that stands still costs
	// TX_TRIES looks
	for (unsigned i = 0; i < TX_TRIES && sent < n->n_tx; i++)
		sent += dp_port_tx(w, n->tx_port, n->tx + sent, (uint16_t)(n->n_tx - sent));
	DP_COUNT(w, tx_packets, sent);
	for (; sent < n->n_tx; sent++)
		DP_DROP(w, tx_full, n->tx[sent]);
	n->n_tx = 0;
}

/* Frames wait for others of the same port. */
static void put(struct dp_worker *w, struct rte_mbuf *m)
{
	struct dp_node *n = dp_node(w);

	if (n->n_tx && (n->tx_port != dp_pkt(m)->port || n->n_tx == DP_VECTOR))
		flush(w);
	n->tx_port = dp_pkt(m)->port;
	n->tx[n->n_tx++] = m;
}

static void fill_in(struct rte_mbuf *m, uint64_t ol_flags)
{
	const struct dp_pkt *p = dp_pkt(m);
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	uint16_t udp_len = (uint16_t)(m->data_len - p->l2_len - p->l3_len);

	dp_frame_finish(frame, p->l2_len, p->l3_len, udp_len, !ol_flags);
	if (!ol_flags)
		return;
	m->l2_len = p->l2_len;
	m->l3_len = p->l3_len;
	m->ol_flags |= ol_flags;
}

/* Puts the endpoint's path in front; false: dropped. */
static bool encapsulate(struct dp_worker *w, struct rte_mbuf *m)
{
	struct dp_pkt *p = dp_pkt(m);
	const struct dp_path *path = dp_path(p->endpoint);
	struct dp_ep_rt *r = &dp_node(w)->ep[p->endpoint];

	if (unlikely(!path || !path->routed)) {
		DP_DROP(w, no_route, m);
		return false;
	}
	if (unlikely(!path->reachable)) {
		DP_DROP(w, no_neighbour, m);
		return false;
	}
	if (unlikely(path->mtu && m->data_len + path->l3_len + 8u > path->mtu)) {
		DP_DROP(w, too_long, m);
		return false;
	}
	if (unlikely(path->len > rte_pktmbuf_headroom(m))) {
		DP_DROP(w, too_long, m);
		return false;
	}
	r->tx_packets++;
	r->tx_bytes += m->data_len;
	DP_COUNT(w, tx_bytes, m->data_len);
	m->data_off -= path->len;
	m->data_len += path->len;
	m->pkt_len = m->data_len;
	rte_memcpy(rte_pktmbuf_mtod(m, uint8_t *), path->header, path->len);
	p->l2_len = path->l2_len;
	p->l3_len = path->l3_len;
	p->port = path->port;
	fill_in(m, path->ol_flags);
	return true;
}

static uint16_t tx(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct dp_worker *w = dp_self;
	struct dp_node *n = dp_node(w);

	for (uint16_t i = 0; i < nb; i++) {
		struct rte_mbuf *m = objs[i];

		if (dp_pkt(m)->flags & DP_PKT_FRAMED)
			fill_in(m, 0);
		else if (!encapsulate(w, m))
			continue;
		put(w, m);
	}
	if (n->n_tx)
		flush(w);
	return nb;
}

static struct rte_node_register tx_node = {
    .name = "dp_tx",
    .process = tx,
};
RTE_NODE_REGISTER(tx_node);

static uint16_t inject(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct dp_worker *w = dp_self;
	uint16_t got = (uint16_t)rte_ring_dequeue_burst(w->inject, node->objs, DP_BURST, NULL);

	for (uint16_t i = 0; i < got; i++) {
		struct rte_mbuf *m = node->objs[i];
		const struct sh_endpoint *e = &dp_slabs.endpoint[dp_pkt(m)->endpoint];

		dp_pkt(m)->flags = 0;
		dp_pkt(m)->src = NULL;
		if (!e->remote.family || e->ice == SH_ICE_DISCONNECTED) {
			DP_DROP(w, inject_unknown, m);
			continue;
		}
		DP_COUNT(w, dtls_injected, 1);
		rte_node_enqueue_x1(graph, node, INJECT_TX, m);
	}
	return got;
}

static struct rte_node_register inject_node = {
    .name = "dp_inject",
    .process = inject,
    .flags = RTE_NODE_SOURCE_F,
    .nb_edges = INJECT_EDGES,
    .next_nodes = {[INJECT_TX] = "dp_tx"},
};
RTE_NODE_REGISTER(inject_node);
