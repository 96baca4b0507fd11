/* Encryption, a vector at a time: media from the shared plaintext into each packet, RTCP in place.
 */
#include "dataplane/node/node.h"

/* References to plaintexts come in runs of one packet's subscribers: given back a run at a time. */
struct run {
	struct rte_mbuf *m;
	int n;
};

static void run_end(struct run *r)
{
	if (!r->m)
		return;
	if (r->n > 1)
		rte_pktmbuf_refcnt_update(r->m, (int16_t)(1 - r->n));
	rte_pktmbuf_free(r->m);
}

static void run_add(struct run *r, struct rte_mbuf *m)
{
	if (m != r->m) {
		run_end(r);
		*r = (struct run){m, 0};
	}
	r->n++;
}

static bool prepare(struct dp_worker *w, struct rte_mbuf *m, struct dp_srtp_op *op)
{
	struct dp_pkt *p = dp_pkt(m);
	const struct dp_srtp_session *session = dp_session(p->endpoint);

	if (unlikely(!session)) {
		rte_pktmbuf_free(p->src);
		DP_DROP(w, sub_not_connected, m);
		return false;
	}
	op->session = session;
	op->dst = rte_pktmbuf_mtod(m, uint8_t *);
	op->index = p->index;
	op->hdr_len = p->hdr_len;
	op->len = (uint16_t)(p->hdr_len + p->payload_len);
	op->src = p->src ? rte_pktmbuf_mtod_offset(p->src, uint8_t *, dp_pkt(p->src)->hdr_len)
	                 : op->dst + p->hdr_len;
	return true;
}

/* What was encrypted stays in m[], in order; returns how many. */
static unsigned collect(struct dp_worker *w, struct rte_mbuf **m, unsigned n)
{
	const struct dp_srtp_op *ops = dp_node(w)->ops;
	struct run run = {0};
	unsigned good = 0;

	for (unsigned i = 0; i < n; i++) {
		struct dp_pkt *p = dp_pkt(m[i]);

		if (p->src)
			run_add(&run, p->src);
		if (unlikely(ops[i].status)) {
			DP_DROP(w, srtp_encrypt, m[i]);
			continue;
		}
		m[i]->data_len = ops[i].out_len;
		m[i]->pkt_len = ops[i].out_len;
		m[good++] = m[i];
	}
	run_end(&run);
	return good;
}

static void some(struct rte_graph *graph, struct rte_node *node, void **objs, unsigned nb)
{
	struct dp_worker *w = dp_self;
	struct dp_node *s = dp_node(w);
	struct rte_mbuf **m = s->op_mbuf, *control[DP_VECTOR];
	unsigned n_media = 0, n_control = 0;

	for (unsigned i = 0; i < nb; i++) {
		if (unlikely(dp_pkt(objs[i])->flags & DP_PKT_RTCP))
			control[n_control++] = objs[i];
		else if (prepare(w, objs[i], &s->ops[n_media]))
			m[n_media++] = objs[i];
	}
	if (n_media) {
		dp_srtp_protect(w->srtp, s->ops, n_media);
		n_media = collect(w, m, n_media);
		DP_COUNT(w, rtp_out, n_media);
		rte_node_enqueue(graph, node, SRTP_OUT_TX, (void **)m, (uint16_t)n_media);
	}
	if (!n_control)
		return;
	nb = n_control;
	n_control = 0;
	for (unsigned i = 0; i < nb; i++)
		if (prepare(w, control[i], &s->ops[n_control]))
			control[n_control++] = control[i];
	dp_srtcp_protect(w->srtp, s->ops, n_control);
	n_control = collect(w, control, n_control);
	DP_COUNT(w, rtcp_out, n_control);
	if (n_control)
		rte_node_enqueue(graph, node, SRTP_OUT_TX, (void **)control, (uint16_t)n_control);
}

static uint16_t srtp_out(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	for (uint16_t i = 0; i < nb; i += DP_VECTOR)
		some(graph, node, objs + i, RTE_MIN(nb - i, DP_VECTOR));
	return nb;
}

static struct rte_node_register srtp_out_node = {
    .name = "dp_srtp_out",
    .process = srtp_out,
    .nb_edges = SRTP_OUT_EDGES,
    .next_nodes = {[SRTP_OUT_TX] = "dp_tx"},
};
RTE_NODE_REGISTER(srtp_out_node);
