/* RTCP ends here: publishers' SRs become our time lines, subscribers' RRs their view of a
 * subscription, NACKs retransmissions, PLI and FIR a wish for a key frame. */
#include "dataplane/node/link.h"
#include "dataplane/node/node.h"
#include "dataplane/node/report.h"
#include "dataplane/rtcp/rtcp.h"
#include <errno.h>

enum { RTT_US = 20000 }; // before the subscriber's reports have told it

struct from {
	struct dp_worker *w;
	struct rte_graph *graph;
	struct rte_node *node;
	uint32_t endpoint;
};

static void sender_report(struct from *f, const struct dp_rtcp_sr *sr)
{
	struct sh_endpoint *e = &dp_slabs.endpoint[f->endpoint];
	struct dp_stream_ref ref;
	struct sh_rx_stream *s;

	if (!dp_stream_find(f->w, &ref, f->endpoint, sr->ssrc) || !dp_stream(&ref)->ssrc ||
	    !sr->ntp)
		return;
	s = dp_stream(&ref);
	e->ntp_skew = dp_ntp_skew(e->ntp_skew, f->w->ntp_now, sr->ntp);
	// other workers copy these three: dp_sr_copy()
	__atomic_store_n(&s->sr_at_ns, 0, __ATOMIC_RELAXED);
	atomic_thread_fence(memory_order_release);
	__atomic_store_n(&s->sr_ntp, sr->ntp, __ATOMIC_RELAXED);
	__atomic_store_n(&s->sr_rtp, sr->rtp_ts, __ATOMIC_RELAXED);
	__atomic_store_n(&s->sr_at_ns, f->w->now_ns, __ATOMIC_RELEASE);
}

static void report_blocks(struct from *f, const struct dp_rtcp_pkt *p)
{
	uint32_t rtt_us = 0;
	uint8_t worst = 0;
	bool ours = false;

	for (unsigned i = 0; i < p->count; i++) {
		struct dp_rtcp_block b;
		struct sh_sub *s;
		bool rtx;
		int sub;

		dp_rtcp_block(&b, p, i);
		sub = dp_sub_by_ssrc(f->endpoint, b.ssrc, &rtx);
		if (sub < 0 || rtx)
			continue;
		s = &dp_slabs.sub[sub];
		s->rr_lost = (uint32_t)b.lost;
		s->rr_jitter = b.jitter;
		s->rr_fraction = b.fraction;
		s->rr_at_ns = f->w->now_ns;
		if (dp_rtcp_rtt_us(&s->rr_rtt_us, dp_ntp_mid(f->w->ntp_now), &b))
			rtt_us = s->rr_rtt_us;
		worst = RTE_MAX(worst, b.fraction);
		ours = true;
	}
	if (ours)
		dp_link_report(f->w, f->endpoint, worst, rtt_us);
}

static void want_key(struct from *f, uint32_t ssrc)
{
	bool rtx;
	int sub = dp_sub_by_ssrc(f->endpoint, ssrc, &rtx);
	const struct sh_rx_stream *stream;
	struct sh_sub *s;
	int track;
	uint8_t layer;

	if (sub < 0)
		return;
	s = &dp_slabs.sub[sub];
	track = dp_source_of(SH_ID_INDEX(s->set.track));
	if (track < 0)
		return;
	// spatial layers of one stream have one publisher's SSRC
	layer = s->layer < dp_slabs.track[track].set.layers ? s->layer : 0;
	stream = &dp_slabs.track[track].media[layer];
	s->plis++;
	DP_COUNT(f->w, pli_in, 1);
	if (stream->pli_at_ns &&
	    f->w->now_ns - stream->pli_at_ns < dp_nodes_config.pli_interval_ms * UINT64_C(1000000))
		DP_COUNT(f->w, pli_throttled, 1);
	dp_keyframe_request((uint32_t)track, layer);
}

/* Where it is noted when a packet was sent again. */
static struct dp_again *again_of(struct from *f, const struct sh_sub *s, uint16_t seq)
{
	uint32_t h = (s->set.id * UINT32_C(2654435761)) >> 8;

	return &dp_node(f->w)->again[(h + seq) % DP_AGAINS];
}

/* So lately that the subscriber could not know of it when it asked once more. */
static bool again_too_soon(struct from *f, const struct dp_again *a, const struct sh_sub *s,
                           uint16_t seq)
{
	uint32_t rtt = s->rr_rtt_us ? s->rr_rtt_us : RTT_US;

	return a->sub == s->set.id && a->seq == seq &&
	       (uint32_t)(f->w->now_ns / 1000) - a->at_us < rtt;
}

/* true: it goes at once. false: it waits for the link, or is refused (*done: counts as answered).
 */
static bool pass_link(struct from *f, const struct dp_waiting *e, bool *done)
{
	struct dp_link *l = dp_link_of(f->w, f->endpoint);
	struct dp_waiting wait = *e;
	int err;

	*done = true;
	if (!l)
		return true;
	wait.bytes =
	    (uint16_t)(dp_pkt(e->src)->hdr_len + dp_pkt(e->src)->payload_len + l->overhead);
	if (!dp_link_may_repeat(f->w, l, wait.bytes)) {
		DP_COUNT(f->w, nack_refused, 1);
		*done = false;
		return false;
	}
	err = dp_pace_repeat(f->w, l, &wait);
	if (!err)
		rte_pktmbuf_refcnt_update(e->src, 1);
	*done = err != -ENOSPC;
	return err == -EAGAIN;
}

/* One lost packet of a subscription is sent again, as RTX when that was negotiated. */
static bool retransmit(struct from *f, uint32_t sub, uint64_t index)
{
	struct sh_sub *s = &dp_slabs.sub[sub];
	struct dp_sub_rt *r = dp_sub_rt(f->w, sub);
	const struct dp_segment *g;
	struct dp_again *a = again_of(f, s, (uint16_t)index);
	struct dp_again now = {s->set.id, (uint16_t)index, 0, (uint32_t)(f->w->now_ns / 1000)};
	struct rte_mbuf *src, *m;
	uint64_t theirs;
	uint8_t pt_slot;
	bool done;

	g = dp_seqmap_find(&r->map, dp_node(f->w)->drops[sub], s->tx_index, index, &theirs);
	if (!g)
		return false;
	src = dp_history_get(f->w, g->track, g->layer, g->ssrc, theirs);
	if (!src)
		return false;
	pt_slot = dp_pt_slot_to(s, &dp_slabs.track[g->track], dp_pkt(src));
	if (pt_slot == 255)
		return false;
	if (again_too_soon(f, a, s, (uint16_t)index)) {
		DP_COUNT(f->w, nack_repeated, 1);
		return true;
	}
	if (!dp_token(&r->rtx_tokens, &r->rtx_at_ns, f->w->now_ns,
	              dp_nodes_config.retransmit_per_s))
		return false;
	if (dp_slabs.endpoint[f->endpoint].linked &&
	    !pass_link(f,
	               &(struct dp_waiting){
	                   .src = src,
	                   .index = index,
	                   .sub = s->set.id,
	                   .ts = dp_pkt(src)->ts + g->ts_offset,
	                   .flags = DP_PKT_RTX,
	                   .pt_slot = pt_slot,
	               },
	               &done)) {
		if (done)
			*a = now;
		return done;
	}
	m = rte_pktmbuf_alloc(f->w->pool);
	if (!m) {
		f->w->stat[SH_STAT_drop_no_mbuf]++;
		return false;
	}
	*a = now;
	rte_pktmbuf_refcnt_update(src, 1);
	*dp_pkt(m) = (struct dp_pkt){
	    .endpoint = f->endpoint,
	    .sub = sub,
	    .flags = DP_PKT_RTX,
	    .pt_slot = pt_slot,
	    .src = src,
	    .index = index,
	    .ts = dp_pkt(src)->ts + g->ts_offset,
	};
	rte_node_enqueue_x1(f->graph, f->node, RTCP_IN_REWRITE, m);
	return true;
}

static void nack(struct from *f, const struct dp_rtcp_fb *fb)
{
	struct dp_rtcp_nack_iter it;
	struct sh_sub *s;
	uint16_t seq;
	bool rtx;
	int sub = dp_sub_by_ssrc(f->endpoint, fb->media, &rtx);

	if (sub < 0 || rtx || dp_rtcp_nack_first(&it, fb))
		return;
	s = &dp_slabs.sub[sub];
	if (!(s->set.flags & SH_SUB_NACK) || !s->tx_index)
		return;
	while (dp_rtcp_nack_next(&it, &seq)) {
		uint64_t index =
		    s->tx_index + (uint64_t)(int64_t)(int16_t)(seq - (uint16_t)s->tx_index);

		s->nacks++;
		DP_COUNT(f->w, nack_in, 1);
		if (index > s->tx_index || !retransmit(f, (uint32_t)sub, index))
			s->nack_misses++;
	}
}

/* RFC 5104 §4.3.1.2: the same number again is the same command, to be followed once; it is repeated
 * until a key frame arrives, so our own request may have been lost when none has come since. */
static void fir(struct from *f, uint32_t ssrc, uint8_t seq)
{
	bool rtx;
	int sub = dp_sub_by_ssrc(f->endpoint, ssrc, &rtx);
	const struct sh_sub *s;
	struct dp_sub_rt *r;
	uint32_t keys;
	int track;

	if (sub < 0)
		return;
	s = &dp_slabs.sub[sub];
	r = dp_sub_rt(f->w, (uint32_t)sub);
	track = dp_source_of(SH_ID_INDEX(s->set.track));
	if (track < 0)
		return;
	keys = (uint32_t)dp_slabs.track[track]
	           .media[s->layer < SH_MAX_LAYERS ? s->layer : 0]
	           .key_frames;
	if (r->fir == 256 + seq) {
		DP_COUNT(f->w, fir_repeated, 1);
		if (r->fir_keys != keys)
			return;
	}
	r->fir = (uint16_t)(256 + seq);
	r->fir_keys = keys;
	want_key(f, ssrc);
}

static void feedback(struct from *f, const struct dp_rtcp_pkt *p)
{
	struct dp_rtcp_fb fb;
	uint32_t n, ssrc;
	uint8_t seq;

	if (dp_rtcp_fb(&fb, p))
		return;
	if (p->type == DP_RTCP_RTPFB && p->count == DP_RTCP_RTPFB_NACK)
		nack(f, &fb);
	if (p->type == DP_RTCP_RTPFB && p->count == DP_RTCP_RTPFB_TWCC)
		dp_link_feedback(f->w, f->endpoint, &fb);
	if (p->type != DP_RTCP_PSFB)
		return;
	if (p->count == DP_RTCP_PSFB_AFB)
		dp_link_remb(f->w, f->endpoint, &fb);
	if (p->count == DP_RTCP_PSFB_PLI)
		want_key(f, fb.media);
	if (p->count == DP_RTCP_PSFB_FIR && !dp_rtcp_fir_count(&n, &fb)) {
		for (uint32_t i = 0; i < n; i++) {
			dp_rtcp_fir(&ssrc, &seq, &fb, i);
			fir(f, ssrc, seq);
		}
	}
}

/* RFC 3550 §6.6: the layer is silent from now on; should it come back, its packets say so. */
static void bye(struct from *f, uint32_t ssrc)
{
	struct dp_stream_ref ref;
	struct dp_track_rt *r;

	if (!dp_stream_find(f->w, &ref, f->endpoint, ssrc) || ref.rtx)
		return;
	r = dp_track_rt(f->w, ref.track);
	dp_stream(&ref)->last_at_ns = 0;
	r->alive &= (uint8_t) ~(1u << ref.layer);
	dp_notify(f->w, DP_NOTE_TRACK, ref.track);
}

static void one_packet(struct from *f, const struct dp_rtcp_pkt *p)
{
	struct dp_rtcp_sr sr;
	uint32_t ssrc;

	switch (p->type) {
	case DP_RTCP_SR:
		if (dp_rtcp_sr(&sr, p))
			return;
		sender_report(f, &sr);
		report_blocks(f, p);
		return;
	case DP_RTCP_RR:
		if (!dp_rtcp_rr(&ssrc, p))
			report_blocks(f, p);
		return;
	case DP_RTCP_BYE:
		for (unsigned i = 0; !dp_rtcp_bye(p) && i < p->count; i++)
			bye(f, dp_rtcp_bye_ssrc(p, i));
		return;
	default:
		feedback(f, p);
	}
}

static uint16_t rtcp_in(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct from f = {.w = dp_self, .graph = graph, .node = node};

	for (uint16_t i = 0; i < nb; i++) {
		struct rte_mbuf *m = objs[i];
		struct dp_rtcp_iter it;
		struct dp_rtcp_pkt p;

		f.endpoint = dp_pkt(m)->endpoint;
		// RFC 5506 is asked of the peer in SDP, and what it sends is read either way
		if (dp_rtcp_first(&it, rte_pktmbuf_mtod(m, uint8_t *), m->data_len,
		                  DP_RTCP_RSIZE)) {
			DP_DROP(f.w, rtcp_malformed, m);
			continue;
		}
		while (dp_rtcp_next(&it, &p))
			one_packet(&f, &p);
		rte_pktmbuf_free(m);
	}
	return nb;
}

static struct rte_node_register rtcp_in_node = {
    .name = "dp_rtcp_in",
    .process = rtcp_in,
    .nb_edges = RTCP_IN_EDGES,
    .next_nodes = {[RTCP_IN_REWRITE] = "dp_rewrite"},
};
RTE_NODE_REGISTER(rtcp_in_node);
