/* Encryption, a vector at a time: media from the shared plaintext into each packet, RTCP in place.
 */
#include "dataplane/node/node.h"

/* References to plaintexts come in runs of one packet's subscribers: given back a run at a time,
 * when all of them have been read. */
struct runs {
	struct rte_mbuf *m[DP_VECTOR];
	uint16_t many[DP_VECTOR];
	unsigned n;
};

static inline void runs_add(struct runs *r, struct rte_mbuf *m)
{
	if (r->n && r->m[r->n - 1] == m) {
		r->many[r->n - 1]++;
		return;
	}
	r->m[r->n] = m;
	r->many[r->n++] = 1;
}

static void runs_end(struct runs *r)
{
	for (unsigned i = 0; i < r->n; i++) {
		if (r->many[i] > 1)
			rte_pktmbuf_refcnt_update(r->m[i], (int16_t)(1 - r->many[i]));
		rte_pktmbuf_free(r->m[i]);
	}
}

/* What is sent of a plaintext is its payload, or of RED the block at that one's end. */
static inline const uint8_t *end_of(struct rte_mbuf *src)
{
	const struct dp_pkt *p = dp_pkt(src);

	return rte_pktmbuf_mtod(src, uint8_t *) + p->hdr_len + p->payload_len;
}

static inline bool prepare(struct dp_worker *w, struct rte_mbuf *m, struct dp_srtp_op *op,
                           struct runs *runs)
{
	struct dp_pkt *p = dp_pkt(m);
	const struct dp_srtp_session *session = dp_session(p->endpoint);

	if (p->src)
		runs_add(runs, p->src);
	if (unlikely(!session)) {
		DP_DROP(w, sub_not_connected, m);
		return false;
	}
	op->session = session;
	op->dst = rte_pktmbuf_mtod(m, uint8_t *);
	op->index = p->index;
	op->hdr_len = p->hdr_len;
	op->len = (uint16_t)(p->hdr_len + p->payload_len);
	op->src = p->src ? end_of(p->src) - p->payload_len : op->dst + p->hdr_len;
	return true;
}

/* What was encrypted stays in m[], in order; returns how many. */
static unsigned collect(struct dp_worker *w, struct rte_mbuf **m, unsigned n)
{
	const struct dp_srtp_op *ops = dp_node(w)->ops;
	unsigned good = 0;

	for (unsigned i = 0; i < n; i++) {
		if (unlikely(ops[i].status)) {
			DP_DROP(w, srtp_encrypt, m[i]);
			continue;
		}
		m[i]->data_len = ops[i].out_len;
		m[i]->pkt_len = ops[i].out_len;
		m[good++] = m[i];
	}
	return good;
}

static void some(struct rte_graph *graph, struct rte_node *node, void **objs, unsigned nb)
{
	struct dp_worker *w = dp_self;
	struct dp_node *s = dp_node(w);
	struct rte_mbuf **m, *control[DP_VECTOR];
	unsigned n_media = 0, n_control = 0;
	struct runs runs;

	// tx's vector itself: none is copied
	m = (struct rte_mbuf **)rte_node_next_stream_get(graph, node, SRTP_OUT_TX, (uint16_t)nb);
	runs.n = 0;
	for (unsigned i = 0; i < nb; i++) {
		if (unlikely(dp_pkt(objs[i])->flags & DP_PKT_RTCP))
			control[n_control++] = objs[i];
		else if (prepare(w, objs[i], &s->ops[n_media], &runs))
			m[n_media++] = objs[i];
		if (i + 1 == DP_SRTP_FIRST)
			for (unsigned k = 0; k < n_media; k++)
				dp_srtp_prefetch_keys(w->srtp, &s->ops[k]);
	}
	if (n_media) {
		dp_srtp_protect(w->srtp, s->ops, n_media);
		n_media = collect(w, m, n_media);
		DP_COUNT(w, rtp_out, n_media);
		rte_node_next_stream_put(graph, node, SRTP_OUT_TX, (uint16_t)n_media);
	}
	runs_end(&runs);
	if (!n_control)
		return;
	runs.n = 0;
	nb = n_control;
	n_control = 0;
	for (unsigned i = 0; i < nb; i++)
		if (prepare(w, control[i], &s->ops[n_control], &runs))
			control[n_control++] = control[i];
	dp_srtcp_protect(w->srtp, s->ops, n_control);
	n_control = collect(w, control, n_control);
	DP_COUNT(w, rtcp_out, n_control);
	if (n_control)
		rte_node_enqueue(graph, node, SRTP_OUT_TX, (void **)control, (uint16_t)n_control);
	runs_end(&runs);
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
