/* Authentication of what comes in, a vector at a time. Which stream an SSRC is, the packet's index
 * and whether it was seen are looked up before; nothing is written before the tag was right. */
#include <errno.h>
#include <string.h>
#include "dataplane/node/node.h"

enum { PASSES = 3 };

struct in {
	struct dp_rtp_hdr hdr;
	struct dp_stream_ref ref;
	bool known; // SSRC has a stream
};

static void count_authentic(struct dp_worker *w, struct rte_mbuf *m, uint32_t wire_len)
{
	struct sh_endpoint *e = &dp_slabs.endpoint[dp_pkt(m)->endpoint];

	e->rx_packets++;
	e->rx_bytes += wire_len;
}

/* The op of one RTP packet; false: dropped. */
static bool prepare(struct dp_worker *w, struct rte_mbuf *m, struct in *in, struct dp_srtp_op *op)
{
	struct dp_pkt *p = dp_pkt(m);
	const struct dp_srtp_session *session = dp_session(p->endpoint);
	const struct sh_rx_crypto *c = NULL;
	int err;

	if (!session) {
		DP_DROP(w, srtp_no_keys, m);
		return false;
	}
	if (dp_rtp_parse_clear(&in->hdr, rte_pktmbuf_mtod(m, uint8_t *), m->data_len)) {
		DP_DROP(w, rtp_malformed, m);
		return false;
	}
	if (m->data_len < in->hdr.payload_off + dp_srtp_rtp_trailer(session)) {
		DP_DROP(w, srtp_short, m);
		return false;
	}
	in->known = dp_stream_find(w, &in->ref, p->endpoint, in->hdr.ssrc);
	if (in->known) {
		c = &dp_stream(&in->ref)->crypto;
		p->index = dp_srtp_index_guess(c, in->hdr.seq);
	} else {
		p->index = dp_stream_guess_unknown(w, p->endpoint, in->hdr.ssrc, in->hdr.seq);
	}
	err = p->index == UINT64_MAX ? -ESTALE : c ? dp_replay_check(c, p->index) : 0;
	if (err) {
		DP_DROP(w, srtp_replay, m);
		return false;
	}
	*op = (struct dp_srtp_op){
	    .session = session,
	    .dst = rte_pktmbuf_mtod(m, uint8_t *),
	    .index = p->index,
	    .len = m->data_len,
	    .hdr_len = in->hdr.payload_off,
	};
	return true;
}

/* For rtp_in and fanout, which come to it when the whole vector is through here. */
static inline void fetch_next(const struct dp_worker *w, const struct dp_pkt *p)
{
	const struct dp_node *n = dp_node(w);
	const struct dp_track_rt *r = &n->track[p->track];

	if (r->nack[p->layer])
		rte_prefetch0(&n->nack[r->nack[p->layer] - 1]);
	if (r->hist[p->layer])
		rte_prefetch0(&n->history[r->hist[p->layer] - 1]);
	rte_prefetch0(dp_slabs.endpoint[p->endpoint].set.ext_id);
	rte_prefetch0(dp_fanout(p->track, w->index));
}

/* An authentic packet moves its stream's state. */
static bool accept(struct dp_worker *w, struct rte_mbuf *m, struct in *in,
                   const struct dp_srtp_op *op)
{
	struct dp_pkt *p = dp_pkt(m);
	struct sh_rx_stream *s;
	unsigned why;

	count_authentic(w, m, m->data_len);
	m->data_len = op->out_len;
	m->pkt_len = op->out_len;
	if (!in->known || !dp_stream(&in->ref)->ssrc) {
		struct dp_rtp_exts x;

		(void)dp_rtp_ext_parse(&x, &in->hdr, op->dst,
		                       dp_slabs.endpoint[p->endpoint].set.ext_id);
		why = dp_stream_bind(w, &in->ref, p->endpoint, &in->hdr, &x, op->dst, p->index);
		if (why) {
			dp_hear_packet(w, p->endpoint, &x, op->dst, op->out_len);
			dp_drop(w, why, m);
			return false;
		}
	}
	s = dp_stream(&in->ref);
	// a copy of it may have stood before it in this vector
	if (s->ssrc != in->hdr.ssrc || dp_replay_check(&s->crypto, p->index)) {
		DP_DROP(w, srtp_replay, m);
		return false;
	}
	dp_replay_commit(&s->crypto, p->index);
	p->track = in->ref.track;
	p->layer = in->ref.layer;
	p->flags = in->ref.rtx ? DP_PKT_RTX : 0;
	p->at_ns = w->now_ns;
	fetch_next(w, p);
	return true;
}

/* A stream that has not begun has no roll-over counter to guess with; its second packet waits for
 * the first. */
static bool must_wait(const struct in *in, unsigned k, struct rte_mbuf *const *m,
                      struct rte_mbuf *mine)
{
	const struct in *me = &in[k];

	if (me->known && dp_stream(&me->ref)->crypto.started)
		return false;
	for (unsigned i = 0; i < k; i++)
		if (in[i].hdr.ssrc == me->hdr.ssrc &&
		    dp_pkt(m[i])->endpoint == dp_pkt(mine)->endpoint)
			return true;
	return false;
}

/* One round over m[n]: what can be tried is, what must wait is put in later[]. Returns how many
 * wait. */
static unsigned pass(struct dp_worker *w, struct rte_mbuf **m, unsigned n, bool last,
                     struct rte_mbuf **good, unsigned *n_good)
{
	struct dp_node *s = dp_node(w);
	struct in in[DP_VECTOR];
	unsigned k = 0, waiting = 0;

	for (unsigned i = 0; i < n; i++) {
		if (!prepare(w, m[i], &in[k], &s->ops[k]))
			continue;
		if (!last && must_wait(in, k, s->op_mbuf, m[i])) {
			s->later[waiting++] = m[i];
			continue;
		}
		s->op_mbuf[k++] = m[i];
	}
	dp_srtp_unprotect(w->srtp, s->ops, k);
	for (unsigned i = 0; i < k; i++) {
		if (s->ops[i].status)
			dp_drop(w,
			        s->ops[i].status == -EBADMSG ? SH_STAT_drop_srtp_auth
			                                     : SH_STAT_drop_srtp_short,
			        s->op_mbuf[i]);
		else if (accept(w, s->op_mbuf[i], &in[i], &s->ops[i]))
			good[(*n_good)++] = s->op_mbuf[i];
	}
	return waiting;
}

static unsigned rtp(struct dp_worker *w, struct rte_mbuf **m, unsigned n, struct rte_mbuf **good)
{
	struct dp_node *s = dp_node(w);
	unsigned n_good = 0;

	for (unsigned i = 1; n; i++) {
		n = pass(w, m, n, i == PASSES, good, &n_good);
		memcpy(m, s->later, n * sizeof(*m));
	}
	DP_COUNT(w, rtp_in, n_good);
	return n_good;
}

static bool prepare_rtcp(struct dp_worker *w, struct rte_mbuf *m, struct dp_srtp_op *op)
{
	struct dp_pkt *p = dp_pkt(m);
	const struct dp_srtp_session *session = dp_session(p->endpoint);
	const uint8_t *buf = rte_pktmbuf_mtod(m, uint8_t *);
	uint32_t index;

	if (!session) {
		DP_DROP(w, srtp_no_keys, m);
		return false;
	}
	if (m->data_len < DP_SRTCP_HDR_MIN ||
	    dp_srtcp_peek_index(session, buf, m->data_len, &index)) {
		DP_DROP(w, srtp_short, m);
		return false;
	}
	if (dp_replay_rtcp_check(&dp_slabs.endpoint[p->endpoint], dp_get32(buf + 4), index)) {
		DP_DROP(w, srtp_replay, m);
		return false;
	}
	*op = (struct dp_srtp_op){
	    .session = session,
	    .dst = rte_pktmbuf_mtod(m, uint8_t *),
	    .len = m->data_len,
	    .hdr_len = DP_SRTCP_HDR_MIN,
	};
	return true;
}

static unsigned rtcp(struct dp_worker *w, struct rte_mbuf **m, unsigned n, struct rte_mbuf **good)
{
	struct dp_node *s = dp_node(w);
	unsigned k = 0, n_good = 0;

	for (unsigned i = 0; i < n; i++)
		if (prepare_rtcp(w, m[i], &s->ops[k]))
			s->op_mbuf[k++] = m[i];
	dp_srtcp_unprotect(w->srtp, s->ops, k);
	for (unsigned i = 0; i < k; i++) {
		struct rte_mbuf *o = s->op_mbuf[i];
		struct dp_srtp_op *op = &s->ops[i];
		struct sh_endpoint *e = &dp_slabs.endpoint[dp_pkt(o)->endpoint];
		uint32_t ssrc = dp_get32(op->dst + 4);

		if (op->status) {
			dp_drop(w,
			        op->status == -EBADMSG ? SH_STAT_drop_srtp_auth
			                               : SH_STAT_drop_srtp_short,
			        o);
			continue;
		}
		if (dp_replay_rtcp_check(e, ssrc, (uint32_t)op->index)) {
			DP_DROP(w, srtp_replay, o);
			continue;
		}
		dp_replay_rtcp_commit(e, ssrc, (uint32_t)op->index);
		count_authentic(w, o, o->data_len);
		o->data_len = op->out_len;
		o->pkt_len = op->out_len;
		good[n_good++] = o;
	}
	DP_COUNT(w, rtcp_in, n_good);
	return n_good;
}

/* Before prepare, in two rounds: keys and stream of many packets. */
static void fetch(struct dp_worker *w, struct rte_mbuf *const *m, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct dp_srtp_session *session = dp_session(dp_pkt(m[i])->endpoint);

		if (session)
			dp_srtp_prefetch(session);
		if (m[i]->data_len >= DP_RTP_HDR_MIN)
			dp_stream_prefetch(w, dp_pkt(m[i])->endpoint,
			                   dp_get32(rte_pktmbuf_mtod_offset(m[i], uint8_t *, 8)));
	}
	for (unsigned i = 0; i < n; i++)
		if (m[i]->data_len >= DP_RTP_HDR_MIN)
			dp_stream_prefetch_track(
			    w, dp_pkt(m[i])->endpoint,
			    dp_get32(rte_pktmbuf_mtod_offset(m[i], uint8_t *, 8)));
}

static void some(struct rte_graph *graph, struct rte_node *node, void **objs, unsigned nb)
{
	struct dp_worker *w = dp_self;
	struct dp_node *s = dp_node(w);
	struct rte_mbuf *control[DP_VECTOR];
	unsigned n_media = 0, n_control = 0, n;

	for (unsigned i = 0; i < nb; i++) {
		if (dp_pkt(objs[i])->flags & DP_PKT_RTCP)
			control[n_control++] = objs[i];
		else
			s->burst[n_media++] = objs[i];
	}
	if (n_media) {
		fetch(w, s->burst, n_media);
		n = rtp(w, s->burst, n_media, (struct rte_mbuf **)s->out);
		if (n)
			rte_node_enqueue(graph, node, SRTP_IN_RTP, s->out, (uint16_t)n);
	}
	if (n_control) {
		n = rtcp(w, control, n_control, (struct rte_mbuf **)s->out);
		if (n)
			rte_node_enqueue(graph, node, SRTP_IN_RTCP, s->out, (uint16_t)n);
	}
}

static uint16_t srtp_in(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	for (uint16_t i = 0; i < nb; i += DP_VECTOR)
		some(graph, node, objs + i, RTE_MIN(nb - i, DP_VECTOR));
	return nb;
}

static struct rte_node_register srtp_in_node = {
    .name = "dp_srtp_in",
    .process = srtp_in,
    .nb_edges = SRTP_IN_EDGES,
    .next_nodes = {[SRTP_IN_RTP] = "dp_rtp_in", [SRTP_IN_RTCP] = "dp_rtcp_in"},
};
RTE_NODE_REGISTER(srtp_in_node);
