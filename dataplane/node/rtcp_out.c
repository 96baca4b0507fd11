/* The RTCP that we originate. A report to an endpoint is one compound: an SR for each subscription
 * that has been sent something, an RR about each stream that it publishes, SDES with our CNAME (RFC
 * 3550 §6.1). Feedback to a publisher goes at once, alone where reduced size was negotiated (RFC
 * 5506), else behind an empty RR. */
#include <stddef.h>
#include "dataplane/bwe/twcc.h"
#include "dataplane/node/node.h"
#include "dataplane/node/report.h"
#include "dataplane/rtcp/rtcp.h"

enum {
	COMPOUND_MAX = 1200,
	COMPOUNDS_MAX = 8,  // in one report; what they do not hold comes with the next one
	BLOCKS_MAX = 24,    // in one RR
	BLOCK = 24,         // bytes of one (RFC 3550 §6.4.1)
	PER_SUB = 28 + 48,  // SR and SDES of one subscription, bytes
	NACK_MAX = 64,      // sequence numbers in one feedback packet
	REPORTS_AHEAD = 16, // endpoints whose state is fetched together
	SUBS_AHEAD = 4,     // … with so many of their subscriptions
};
#define FIR_SAME_NS UINT64_C(1000000000)
#define SR_SILENCE_NS                                                                              \
	UINT64_C(10000000000) // a subscription that was sent nothing for so long gets no SR

static struct rte_mbuf *begin(struct dp_worker *w, uint32_t endpoint, struct dp_rtcp_out *o)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);

	if (!m) {
		w->stat[SH_STAT_drop_no_mbuf]++;
		return NULL;
	}
	m->data_off = DP_HEADROOM;
	*dp_pkt(m) = (struct dp_pkt){.endpoint = endpoint, .flags = DP_PKT_RTCP};
	*o = (struct dp_rtcp_out){
	    .buf = rte_pktmbuf_mtod(m, uint8_t *),
	    .room =
	        RTE_MIN((uint32_t)COMPOUND_MAX, (uint32_t)m->buf_len - DP_HEADROOM - DP_TAILROOM),
	};
	return m;
}

/* SRTCP indexes are one counter for all that we send to an endpoint (31 bits; the key is used up
 * after). */
static void send(struct dp_worker *w, struct rte_graph *graph, struct rte_node *node,
                 struct rte_mbuf *m, const struct dp_rtcp_out *o)
{
	struct dp_pkt *p = dp_pkt(m);
	struct sh_endpoint *e = &dp_slabs.endpoint[p->endpoint];

	if (o->len < DP_SRTCP_HDR_MIN || e->srtcp_tx_index >= DP_SRTCP_INDEX_MAX) {
		rte_pktmbuf_free(m);
		return;
	}
	p->index = ++e->srtcp_tx_index; // from 1 on, as libsrtp2 counts
	p->hdr_len = DP_SRTCP_HDR_MIN;
	p->payload_len = (uint16_t)(o->len - DP_SRTCP_HDR_MIN);
	m->data_len = (uint16_t)o->len;
	m->pkt_len = o->len;
	rte_node_enqueue_x1(graph, node, RTCP_OUT_SRTP_OUT, m);
}

static void put_sender(struct dp_worker *w, struct dp_rtcp_out *o, struct sh_sub *s,
                       const struct sh_endpoint *e)
{
	struct dp_sub_rt *r = dp_sub_rt(w, (uint32_t)(s - dp_slabs.sub));
	const struct dp_segment *g = dp_seqmap_newest(&r->map);
	const struct sh_track *t;
	struct sh_rx_stream stream;
	struct dp_sr_time time;
	struct dp_rtcp_sr sr;

	if (!g || !s->packets || w->now_ns - s->last_at_ns > SR_SILENCE_NS)
		return;
	t = &dp_slabs.track[g->track]; // of a slot, the one that was last in it
	if (!dp_live(&t->state) || !t->media[g->layer].clock_hz ||
	    (SH_ID_INDEX(s->set.track) != g->track && t->media[g->layer].ssrc != g->ssrc))
		return;
	stream = dp_sr_copy(&t->media[g->layer]);
	time = dp_sr_time(&(struct dp_sr_in){
	    .now_ns = w->now_ns,
	    .ntp_now = w->ntp_now,
	    .stream = &stream,
	    .skew = dp_slabs.endpoint[SH_ID_INDEX(t->set.endpoint)].ntp_skew,
	    .ts_offset = s->ts_offset,
	    .clock_hz = t->media[g->layer].clock_hz,
	    .last_ts = s->last_ts,
	    .last_at_ns = s->last_at_ns,
	});
	sr = (struct dp_rtcp_sr){
	    .ssrc = s->set.ssrc,
	    .rtp_ts = time.rtp,
	    .ntp = time.ntp,
	    .packets = (uint32_t)s->packets,
	    .octets = (uint32_t)s->bytes,
	};
	if (dp_rtcp_put_sr(o, &sr, NULL, 0))
		return;
	(void)dp_rtcp_put_sdes(o, s->set.ssrc, e->set.cname, e->set.cname_len);
	s->sr_at_ns = w->now_ns;
	s->sr_ntp_mid = dp_ntp_mid(time.ntp);
}

/* As many as fit before `end` bytes, from the cursor on; returns how many subscriptions that leaves
 * of `left`. */
static uint32_t put_senders(struct dp_worker *w, struct dp_rtcp_out *o, uint32_t endpoint,
                            uint32_t left, uint32_t end)
{
	const struct dp_fanout *subs = dp_endpoint_subs(endpoint);
	struct dp_ep_rt *r = dp_ep_rt(w, endpoint);

	for (; left && o->len + PER_SUB <= end; left--) {
		uint32_t sub;

		if (r->report_cursor >= subs->n)
			r->report_cursor = 0;
		sub = subs->sub[r->report_cursor++];
		dp_sub_rt_check(w, sub);
		put_sender(w, o, &dp_slabs.sub[sub], &dp_slabs.endpoint[endpoint]);
	}
	return left;
}

static unsigned blocks_of(struct dp_worker *w, struct dp_rtcp_block *b, uint32_t endpoint)
{
	const struct dp_fanout *tracks = dp_endpoint_tracks(endpoint);
	unsigned n = 0;

	for (uint32_t i = 0; tracks && i < tracks->n; i++) {
		struct sh_track *t = &dp_slabs.track[tracks->sub[i]];

		for (unsigned l = 0; l < 2 * SH_MAX_LAYERS; l++) {
			struct sh_rx_stream *s =
			    l < SH_MAX_LAYERS ? &t->media[l] : &t->rtx[l - SH_MAX_LAYERS];

			// RFC 3550 §6.4: about sources heard since the last report
			if (!s->ssrc || !s->received || s->received == s->received_prior)
				continue;
			if (n < BLOCKS_MAX)
				dp_rtcp_block_of(&b[n++], s, w->now_ns);
		}
	}
	return n;
}

/* One compound; the first one speaks of what the endpoint publishes, too. Returns how many
 * subscriptions are left for the next. */
static uint32_t compound(struct dp_worker *w, struct rte_graph *graph, struct rte_node *node,
                         uint32_t endpoint, uint32_t left, bool first)
{
	struct sh_endpoint *e = &dp_slabs.endpoint[endpoint];
	struct dp_rtcp_block blocks[BLOCKS_MAX];
	struct dp_rtcp_out o;
	struct rte_mbuf *m = begin(w, endpoint, &o);
	unsigned n = first ? blocks_of(w, blocks, endpoint) : 0;

	if (!m)
		return 0;
	left = put_senders(w, &o, endpoint, left, o.room - n * BLOCK - PER_SUB);
	if (n || (first && !o.len)) {
		(void)dp_rtcp_put_rr(&o, e->set.rtcp_ssrc, blocks, n);
		(void)dp_rtcp_put_sdes(&o, e->set.rtcp_ssrc, e->set.cname, e->set.cname_len);
	}
	send(w, graph, node, m, &o);
	return left;
}

static void report(struct dp_worker *w, struct rte_graph *graph, struct rte_node *node,
                   uint32_t endpoint)
{
	const struct dp_fanout *subs = dp_endpoint_subs(endpoint);
	uint32_t left = subs ? subs->n : 0;

	left = compound(w, graph, node, endpoint, left, true);
	for (unsigned i = 1; left && i < COMPOUNDS_MAX; i++)
		left = compound(w, graph, node, endpoint, left, false);
	dp_slabs.endpoint[endpoint].rtcp_at_ns = w->now_ns;
	dp_ep_rt(w, endpoint)->video = dp_endpoint_has_video(endpoint);
}

/* RFC 5104 §4.3.1.2: a repeated command carries the number of the first, a new one the next. It is
 * a repetition while no key frame has come; but for one that came and got lost there must be a new
 * one, so only for a while. */
static uint8_t fir_seq(struct dp_worker *w, struct sh_track *t, struct dp_track_rt *r, unsigned l)
{
	uint64_t keys = t->media[l].key_frames;

	if (!r->fir_at_ns[l] || r->fir_keys[l] != keys ||
	    w->now_ns - r->fir_at_ns[l] > FIR_SAME_NS) {
		r->fir_seq[l] = (uint8_t)t->fir_seq++;
		r->fir_keys[l] = keys;
		r->fir_at_ns[l] = w->now_ns;
	}
	return r->fir_seq[l];
}

static void ask_key_frame(struct dp_worker *w, struct dp_rtcp_out *o, struct sh_track *t,
                          struct dp_track_rt *r, uint32_t sender, unsigned l)
{
	struct sh_rx_stream *s = &t->media[l];
	int err = -1;

	if (t->set.flags & SH_TRACK_PLI)
		err = dp_rtcp_put_pli(o, sender, s->ssrc);
	else if (t->set.flags & SH_TRACK_FIR)
		err = dp_rtcp_put_fir(o, sender, s->ssrc, fir_seq(w, t, r, l));
	s->pli_at_ns = w->now_ns;
	if (err)
		return;
	s->plis_sent++;
	DP_COUNT(w, pli_out, 1);
}

static void ask(struct dp_worker *w, struct dp_rtcp_out *o, struct sh_track *t,
                struct dp_track_rt *r, uint32_t sender)
{
	for (unsigned l = 0; l < SH_MAX_LAYERS; l++) {
		struct sh_rx_stream *s = &t->media[l];
		uint16_t seqs[NACK_MAX];
		uint32_t n;

		if (!s->ssrc)
			continue;
		if ((r->want_key & 1u << l) &&
		    (!s->pli_at_ns ||
		     w->now_ns - s->pli_at_ns >= dp_pli_interval_ns(dp_node(w), r, l))) {
			r->want_key &= (uint8_t) ~(1u << l);
			ask_key_frame(w, o, t, r, sender, l);
		}
		if (!r->nack[l])
			continue;
		n = dp_nack_due(&dp_node(w)->nack[r->nack[l] - 1], w->now_ns, 0, seqs, NACK_MAX);
		if (n && !dp_rtcp_put_nack(o, sender, s->ssrc, seqs, n)) {
			s->nacks_sent += n;
			DP_COUNT(w, nack_out, n);
		}
	}
}

/* What precedes feedback (RFC 4585 §3.1) unless RFC 5506 was agreed. */
static void put_head(struct dp_rtcp_out *o, const struct sh_endpoint *e)
{
	if (e->set.flags & SH_EP_RTCP_RSIZE)
		return;
	(void)dp_rtcp_put_rr(o, e->set.rtcp_ssrc, NULL, 0);
	(void)dp_rtcp_put_sdes(o, e->set.rtcp_ssrc, e->set.cname, e->set.cname_len);
}

/* Transport-wide feedback, in as many compounds as it takes. */
static void arrivals(struct dp_worker *w, struct rte_graph *graph, struct rte_node *node,
                     uint32_t endpoint)
{
	const struct sh_endpoint *e = &dp_slabs.endpoint[endpoint];
	struct dp_twcc_rx *rx = &dp_node(w)->heard[endpoint];
	int more = 1;

	if (e->ice != SH_ICE_CONNECTED || !dp_session(endpoint))
		return;
	for (unsigned i = 0; more > 0 && i < COMPOUNDS_MAX; i++) {
		struct dp_rtcp_out o;
		struct rte_mbuf *m = begin(w, endpoint, &o);
		uint32_t head;

		if (!m)
			return;
		put_head(&o, e);
		head = o.len;
		more = dp_twcc_rx_put(rx, &o, e->set.rtcp_ssrc, 0, w->now_ns);
		if (o.len == head)
			o.len = 0;
		else
			DP_COUNT(w, twcc_out, 1);
		send(w, graph, node, m, &o);
	}
}

static void feedback(struct dp_worker *w, struct rte_graph *graph, struct rte_node *node,
                     uint32_t track)
{
	struct sh_track *t = &dp_slabs.track[track];
	uint32_t endpoint = SH_ID_INDEX(t->set.endpoint), head;
	const struct sh_endpoint *e = &dp_slabs.endpoint[endpoint];
	struct dp_rtcp_out o;
	struct rte_mbuf *m;

	if (e->ice != SH_ICE_CONNECTED || !dp_session(endpoint))
		return;
	m = begin(w, endpoint, &o);
	if (!m)
		return;
	put_head(&o, e);
	head = o.len;
	ask(w, &o, t, dp_track_rt(w, track), e->set.rtcp_ssrc);
	if (o.len == head)
		o.len = 0; // nothing to ask for yet: not sent
	send(w, graph, node, m, &o);
}

/* What a report is made of lies behind one another: list, subscription, track, publisher. Asked of
 * the memory for several endpoints at a time, a step each. */
static void fetch_reports(struct dp_worker *w, const uint32_t *endpoint, unsigned many)
{
	struct dp_node *n = dp_node(w);
	const struct dp_fanout *subs[REPORTS_AHEAD];

	for (unsigned i = 0; i < many; i++) {
		const char *e = (const char *)&dp_slabs.endpoint[endpoint[i]];

		for (unsigned l = 0; l < offsetof(struct sh_endpoint, keys);
		     l += RTE_CACHE_LINE_SIZE)
			rte_prefetch0(e + l);
		rte_prefetch0(e + offsetof(struct sh_endpoint, ice));
		rte_prefetch0(&n->ep[endpoint[i]]);
		if (dp_session(endpoint[i]))
			dp_srtp_prefetch(dp_session(endpoint[i]));
		subs[i] = dp_endpoint_subs(endpoint[i]);
		rte_prefetch0(subs[i]);
	}
	for (unsigned i = 0; i < many; i++) {
		const struct dp_srtp_session *session = dp_session(endpoint[i]);

		rte_prefetch0(dp_path(endpoint[i]));
		if (session)
			dp_srtcp_prefetch_keys(w->srtp, session);
		for (uint32_t k = 0; subs[i] && k < subs[i]->n && k < SUBS_AHEAD; k++) {
			const char *s = (const char *)&dp_slabs.sub[subs[i]->sub[k]];
			const char *r = (const char *)&n->sub[subs[i]->sub[k]];

			rte_prefetch0(s);
			rte_prefetch0(s + RTE_CACHE_LINE_SIZE);
			rte_prefetch0(s + 2 * RTE_CACHE_LINE_SIZE);
			rte_prefetch0(r + RTE_CACHE_LINE_SIZE);
			rte_prefetch0(&n->sub[subs[i]->sub[k]].conf);
		}
	}
	for (unsigned i = 0; i < many; i++) {
		for (uint32_t k = 0; subs[i] && k < subs[i]->n && k < SUBS_AHEAD; k++) {
			uint32_t track = SH_ID_INDEX(dp_slabs.sub[subs[i]->sub[k]].set.track);

			rte_prefetch0(&dp_slabs.track[track]);
			rte_prefetch0(&dp_slabs.track[track].media[0].sr_ntp);
		}
	}
	for (unsigned i = 0; i < many; i++) {
		for (uint32_t k = 0; subs[i] && k < subs[i]->n && k < SUBS_AHEAD; k++) {
			uint32_t track = SH_ID_INDEX(dp_slabs.sub[subs[i]->sub[k]].set.track);
			uint32_t source = SH_ID_INDEX(dp_slabs.track[track].set.endpoint);

			rte_prefetch0(&dp_slabs.endpoint[source].ntp_skew);
		}
	}
}

static uint16_t rtcp_out(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct dp_worker *w = dp_self;
	struct dp_node *n = dp_node(w);

	for (uint32_t i = 0; i < n->n_due_feedback; i++)
		if (dp_live(&dp_slabs.track[n->due_feedback[i]].state))
			feedback(w, graph, node, n->due_feedback[i]);
	for (uint32_t i = 0; i < n->n_due_report; i++) {
		if (i % REPORTS_AHEAD == 0)
			fetch_reports(w, n->due_report + i,
			              RTE_MIN(n->n_due_report - i, (uint32_t)REPORTS_AHEAD));
		if (dp_live(&dp_slabs.endpoint[n->due_report[i]].state))
			report(w, graph, node, n->due_report[i]);
	}
	for (uint32_t i = 0; i < n->n_due_twcc; i++)
		if (dp_live(&dp_slabs.endpoint[n->due_twcc[i]].state))
			arrivals(w, graph, node, n->due_twcc[i]);
	n->n_due_twcc = 0;
	n->n_due_feedback = 0;
	n->n_due_report = 0;
	return nb;
}

static struct rte_node_register rtcp_out_node = {
    .name = "dp_rtcp_out",
    .process = rtcp_out,
    .nb_edges = RTCP_OUT_EDGES,
    .next_nodes = {[RTCP_OUT_SRTP_OUT] = "dp_srtp_out"},
};
RTE_NODE_REGISTER(rtcp_out_node);
