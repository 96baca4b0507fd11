/* DTLS goes up to the daemon: from validated addresses only (classify saw to that), with records
 * that look like records, and not more of them a second than a handshake needs. */
#include "dataplane/node/frame.h"
#include "dataplane/node/node.h"

/* Until a pair is nominated the answer goes where the peer speaks from. */
static void follow(struct dp_worker *w, const struct rte_mbuf *m)
{
	const struct dp_pkt *p = dp_pkt((struct rte_mbuf *)(uintptr_t)m);
	struct sh_endpoint *e = &dp_slabs.endpoint[p->endpoint];
	uint32_t head = p->l2_len + p->l3_len + 8u;
	struct dp_frame f;
	unsigned why;

	if (e->ice != SH_ICE_NEW)
		return;
	if (dp_frame_parse(&f, rte_pktmbuf_mtod(m, const uint8_t *) - head, m->data_len + head,
	                   &why) ||
	    dp_addr_equal(&f.src, &e->remote))
		return;
	(void)dp_tuple_set(w, p->endpoint, &f.dst, &f.src);
	e->local = f.dst;
	e->remote = f.src;
	dp_notify(w, DP_NOTE_ICE, p->endpoint);
}

static void punt_one(struct dp_worker *w, struct rte_mbuf *m)
{
	struct dp_pkt *p = dp_pkt(m);
	struct dp_ep_rt *r = dp_ep_rt(w, p->endpoint);

	if (m->data_len > SH_PACKET_MAX ||
	    dp_dtls_records(rte_pktmbuf_mtod(m, uint8_t *), m->data_len)) {
		DP_DROP(w, dtls_malformed, m);
		return;
	}
	if (!dp_token(&r->dtls_tokens, &r->dtls_at_ns, w->now_ns, dp_nodes_config.dtls_per_s)) {
		DP_DROP(w, dtls_rate, m);
		return;
	}
	follow(w, m);
	p->flags = 0;
	if (rte_ring_enqueue(w->punt, m)) {
		DP_DROP(w, punt_full, m);
		return;
	}
	w->punted = true;
	DP_COUNT(w, dtls_punted, 1);
}

static uint16_t dtls_punt(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	for (uint16_t i = 0; i < nb; i++)
		punt_one(dp_self, objs[i]);
	return nb;
}

static struct rte_node_register dtls_punt_node = {
    .name = "dp_dtls_punt",
    .process = dtls_punt,
};
RTE_NODE_REGISTER(dtls_punt_node);
