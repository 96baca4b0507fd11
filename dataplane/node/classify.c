/* A frame becomes a UDP payload of a known endpoint, or one that may make its sender known (STUN).
 */
#include "dataplane/node/frame.h"
#include "dataplane/node/node.h"

struct last { // the lookup before this one: media comes in runs
	struct sh_addr addr;
	int endpoint;
};

static void hand_over(struct dp_worker *w, struct rte_mbuf *m, uint16_t port)
{
	unsigned to = (unsigned)(port - dp_slabs.head->base_port);

	if (port < dp_slabs.head->base_port || to >= SH_MAX_WORKERS || !dp_workers[to]) {
		DP_DROP(w, wrong_port, m);
		return;
	}
	if (rte_ring_enqueue(dp_workers[to]->handover, m)) {
		DP_DROP(w, fanout_full, m);
		return;
	}
	DP_COUNT(w, rx_handover, 1);
}

static int find_endpoint(struct dp_worker *w, struct last *last, const struct sh_addr *src)
{
	if (last->endpoint >= 0 && dp_addr_equal(&last->addr, src))
		return last->endpoint;
	last->addr = *src;
	last->endpoint = dp_endpoint_by_tuple(w, src);
	if (last->endpoint < 0)
		last->endpoint = dp_valid_find(w, src);
	return last->endpoint;
}

/* false: the packet is gone. */
static bool parse(struct dp_worker *w, struct dp_frame *f, struct rte_mbuf *m)
{
	unsigned why;

	if (unlikely(m->nb_segs != 1)) {
		DP_DROP(w, ip_malformed, m);
		return false;
	}
	if (dp_frame_parse(f, rte_pktmbuf_mtod(m, uint8_t *), m->data_len, &why)) {
		dp_drop(w, why, m);
		return false;
	}
	if (f->dst.port != w->udp_port) {
		hand_over(w, m, f->dst.port);
		return false;
	}
	DP_COUNT(w, rx_packets, 1);
	DP_COUNT(w, rx_bytes, f->payload_len);
	if (!f->payload_len) {
		DP_DROP(w, empty, m);
		return false;
	}
	return true;
}

/* Returns the edge, or -1: the packet is gone. */
static int classify_one(struct dp_worker *w, struct last *last, struct rte_mbuf *m,
                        const struct dp_frame *f)
{
	struct dp_pkt *p = dp_pkt(m);
	enum dp_frame_kind kind;
	const uint8_t *payload;
	int endpoint;

	p->l2_len = f->l2_len;
	p->l3_len = f->l3_len;
	payload = rte_pktmbuf_mtod_offset(m, uint8_t *, f->payload_off);
	kind = dp_frame_kind(payload, f->payload_len);
	m->data_off += f->payload_off;
	m->data_len = f->payload_len;
	m->pkt_len = f->payload_len;
	if (kind == DP_FRAME_IS_STUN)
		return CLASSIFY_STUN;
	if (kind == DP_FRAME_IS_NONE) {
		DP_DROP(w, first_byte, m);
		return -1;
	}
	endpoint = find_endpoint(w, last, &f->src);
	if (endpoint < 0) {
		DP_DROP(w, unknown_source, m);
		return -1;
	}
	p->endpoint = (uint32_t)endpoint;
	if (kind == DP_FRAME_IS_DTLS)
		return CLASSIFY_DTLS;
	p->flags = kind == DP_FRAME_IS_RTCP ? DP_PKT_RTCP : 0;
	return CLASSIFY_SRTP;
}

/* Three rounds, so that the lookups of many packets wait for memory together. */
static void some(struct rte_graph *graph, struct rte_node *node, void **objs, unsigned nb)
{
	struct dp_worker *w = dp_self;
	struct last last = {.endpoint = -1};
	struct dp_frame frame[DP_BURST];
	struct rte_mbuf *m[DP_BURST];
	void *srtp[DP_BURST];
	uint16_t n = 0;
	unsigned k = 0;

	for (unsigned i = 0; i < nb; i++) {
		if (i + DP_AHEAD < nb)
			rte_prefetch0(
			    rte_pktmbuf_mtod((struct rte_mbuf *)objs[i + DP_AHEAD], void *));
		if (!parse(w, &frame[k], objs[i]))
			continue;
		dp_tuple_prefetch(w, &frame[k].src);
		m[k++] = objs[i];
	}
	for (unsigned i = 0; i < k; i++)
		dp_tuple_prefetch_endpoint(w, &frame[i].src);
	for (unsigned i = 0; i < k; i++) {
		int edge = classify_one(w, &last, m[i], &frame[i]);

		if (likely(edge == CLASSIFY_SRTP))
			srtp[n++] = m[i];
		else if (edge >= 0)
			rte_node_enqueue_x1(graph, node, (rte_edge_t)edge, m[i]);
	}
	if (n)
		rte_node_enqueue(graph, node, CLASSIFY_SRTP, srtp, n);
}

static uint16_t classify(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	for (uint16_t i = 0; i < nb; i += DP_BURST)
		some(graph, node, objs + i, RTE_MIN(nb - i, DP_BURST));
	return nb;
}

static struct rte_node_register classify_node = {
    .name = "dp_classify",
    .process = classify,
    .nb_edges = CLASSIFY_EDGES,
    .next_nodes =
        {
            [CLASSIFY_STUN] = "dp_stun",
            [CLASSIFY_DTLS] = "dp_dtls_punt",
            [CLASSIFY_SRTP] = "dp_srtp_in",
        },
};
RTE_NODE_REGISTER(classify_node);
