/* Headers, lengths and checksums, and out. Payloads get the path of their endpoint in front;
 * answers to STUN bring the headers of their request. Also inject, which brings the daemon's
 * datagrams (DTLS) here. How long media took is known when it is handed to the port: the CPU's
 * counter is read once a burst of frames, and what came in one walk counts in one go. */
#include <rte_cycles.h>
#include <string.h>
#include "dataplane/node/frame.h"
#include "dataplane/node/impair.h"
#include "dataplane/node/node.h"

enum { TX_TRIES = 16 };
#ifdef CALLSTACK_IMPAIRMENT
#define dp_port_tx dp_impair_tx
#endif

static void count_latency(struct dp_worker *w, struct dp_node *n)
{
	uint64_t now = w->now_ns +
	    (uint64_t)((unsigned __int128)(rte_rdtsc() - w->walk_tsc) * w->tsc_ns >> 32);

	for (unsigned i = 0; i < n->n_arrived; i++) {
		uint64_t at = n->arrived[i].at_ns; // another worker's clock may be a little ahead

		sh_hist_add(w->latency, now > at ? now - at : 0, n->arrived[i].many);
	}
	n->n_arrived = 0;
}

static inline void arrived(struct dp_node *n, uint64_t at_ns)
{
	if (n->n_arrived && n->arrived[n->n_arrived - 1].at_ns == at_ns) {
		n->arrived[n->n_arrived - 1].many++;
		return;
	}
	n->arrived[n->n_arrived].at_ns = at_ns;
	n->arrived[n->n_arrived++].many = 1;
}

static void flush(struct dp_worker *w)
{
	struct dp_node *n = dp_node(w);
	uint16_t sent = 0;

	if (n->n_arrived)
		count_latency(w, n);
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
static inline void put(struct dp_worker *w, struct dp_node *n, struct rte_mbuf *m, uint16_t port)
{
	if (unlikely(n->tx_port != port || n->n_tx == DP_VECTOR)) {
		if (n->n_tx)
			flush(w);
		n->tx_port = port;
	}
	n->tx[n->n_tx++] = m;
}

/* An answer to STUN: whole but for lengths and checksums. */
static void finish(struct rte_mbuf *m)
{
	const struct dp_pkt *p = dp_pkt(m);

	dp_frame_finish(rte_pktmbuf_mtod(m, uint8_t *), p->l2_len, p->l3_len,
	                (uint16_t)(m->data_len - p->l2_len - p->l3_len), true);
}

/* IPv4 to tagged IPv6 in two copies of constant size. */
static inline void put_header(uint8_t *to, const struct dp_path *path)
{
	if (likely(path->len >= 32 && path->len <= 64)) {
		memcpy(to, path->header, 32);
		memcpy(to + path->len - 32, path->header + path->len - 32, 32);
	} else {
		memcpy(to, path->header, path->len);
	}
}

/* Lengths and checksums; sums of what does not change are the path's. */
static inline void seal(uint8_t *frame, const struct dp_path *path, uint16_t len)
{
	uint8_t *ip = frame + path->l2_len, *udp = ip + path->l3_len;
	uint16_t udp_len = (uint16_t)(len + 8), total = (uint16_t)(path->l3_len + udp_len), c;
	uint64_t sum = path->pseudo + (uint64_t)rte_cpu_to_be_16(udp_len);

	dp_put16(udp + 4, udp_len);
	if (path->family == 4) {
		dp_put16(ip + 2, total);
		c = (uint16_t)~dp_csum_fold(path->ip_sum + (uint64_t)rte_cpu_to_be_16(total));
		memcpy(ip + 10, &c, 2);
	} else {
		dp_put16(ip + 4, udp_len);
	}
	if (path->ol_flags) {
		c = dp_csum_fold(sum);
	} else {
		c = (uint16_t)~dp_csum_fold(
		    dp_csum_add(sum + rte_cpu_to_be_16(udp_len), udp + 8, len));
		if (!c) // RFC 768: zero would say that there is none
			c = 0xffff;
	}
	memcpy(udp + 6, &c, 2);
}

/* Why a packet cannot go this way; 0: it can. */
static inline unsigned refuse(const struct dp_path *path, const struct rte_mbuf *m)
{
	if (unlikely(!path || !path->routed))
		return SH_STAT_drop_no_route;
	if (unlikely(!path->reachable))
		return SH_STAT_drop_no_neighbour;
	if (unlikely((path->mtu && m->data_len + path->l3_len + 8u > path->mtu) ||
	             path->len > rte_pktmbuf_headroom(m)))
		return SH_STAT_drop_too_long;
	return 0;
}

/* Puts the endpoint's path in front. */
static inline void encapsulate(struct rte_mbuf *m, const struct dp_path *path)
{
	uint16_t len = m->data_len;
	uint8_t *frame;

	m->data_off -= path->len;
	m->data_len += path->len;
	m->pkt_len = m->data_len;
	frame = rte_pktmbuf_mtod(m, uint8_t *);
	put_header(frame, path);
	seal(frame, path, len);
	if (path->ol_flags) {
		m->l2_len = path->l2_len;
		m->l3_len = path->l3_len;
		m->ol_flags |= path->ol_flags;
	}
}

/* From the second cache level, where fanout's questions brought it, to the first. */
static inline void fetch_near(struct rte_mbuf *m)
{
	const struct dp_pkt *p = dp_pkt(m);

	if (p->flags & DP_PKT_FRAMED)
		return;
	rte_prefetch0(dp_path(p->endpoint));
	rte_prefetch0(&dp_slabs.endpoint[p->endpoint].ice);
}

static uint16_t tx(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct dp_worker *w = dp_self;
	struct dp_node *n = dp_node(w);
	uint64_t bytes = 0;

	for (uint16_t i = 0; i < nb; i++) {
		struct rte_mbuf *m = objs[i];
		struct dp_pkt *p = dp_pkt(m);
		const struct dp_path *path;
		struct sh_endpoint *e;
		unsigned why;

		if (i % DP_FETCH_EVERY == 0)
			dp_fanout_fetch(w, DP_FETCH);
		if (i + DP_AHEAD < nb)
			fetch_near(objs[i + DP_AHEAD]);
		if (p->flags & DP_PKT_FRAMED) {
			finish(m);
			put(w, n, m, p->port);
			continue;
		}
		path = dp_path(p->endpoint);
		why = refuse(path, m);
		if (unlikely(why)) {
			dp_drop(w, why, m);
			continue;
		}
		e = &dp_slabs.endpoint[p->endpoint];
		e->tx_packets++;
		e->tx_bytes += m->data_len;
		bytes += m->data_len;
		encapsulate(m, path);
		put(w, n, m, path->port);
		if (p->at_ns && w->latency)
			arrived(n, p->at_ns);
	}
	DP_COUNT(w, tx_bytes, bytes);
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
