/* The RTP header of each egress packet: our SSRC, sequence number, timestamp and payload type, the
 * subscriber's MID and extension ids. sub.tx_index moves here, before encryption, so that whatever
 * happens after, no SRTP index is used for two different packets. */
#include <string.h>
#include "dataplane/node/link.h"
#include "dataplane/node/node.h"
#include "dataplane/node/report.h"

/* Timestamp of the first packet of a new layer, by the publisher's own clock: where the old layer's
 * would be. */
static bool translate_ts(uint32_t *out, const struct dp_sub_rt *r, const struct sh_track *t,
                         const struct sh_sub *s, const struct dp_pkt *src, uint64_t now_ns)
{
	const struct dp_segment *old = dp_seqmap_newest(&r->map);
	struct sh_rx_stream a, b;
	uint32_t hz = t->set.pt[src->pt_slot].clock_hz, ts;
	uint64_t elapsed = now_ns - s->last_at_ns;

	if (!old || old->layer == src->layer || old->layer >= t->set.layers ||
	    old->track != src->track)
		return false;
	a = dp_sr_copy(&t->media[src->layer]);
	b = dp_sr_copy(&t->media[old->layer]);
	if (!dp_sr_translate(&ts, src->ts, &a, &b, hz))
		return false;
	ts += s->ts_offset;
	// what lies behind, or far ahead of what was sent, is a clock that cannot be believed
	if ((int32_t)(ts - s->last_ts) <= 0 ||
	    ts - s->last_ts > dp_ticks(elapsed, hz) + 2 * (uint64_t)hz)
		return false;
	*out = ts;
	return true;
}

/* What becomes of a packet beyond its header. Zero: its payload is sent as it is. */
struct plan {
	struct dp_ids ids; // to be added to its numbers
	uint16_t osn;
	uint16_t cut; // bytes at the payload's begin that are left out
	uint16_t dd_len; // not 0: dp_node.dd_out is its Dependency Descriptor
	bool as_rtx, empty, marker;
};

/* Of a packet of a stream with layers, or whose numbers are not the publisher's: the same each time
 * it is sent. p->index is its index as first sent. */
static void recall(struct dp_worker *w, struct plan *plan, const struct dp_pkt *p,
                   const struct sh_sub *s, const struct dp_sub_rt *r)
{
	const struct dp_drops *drops = dp_node(w)->drops[p->sub];
	uint64_t theirs;
	const struct dp_segment *g = dp_seqmap_find(&r->map, drops, s->tx_index, p->index, &theirs);

	if (!g)
		return;
	plan->ids = dp_seqmap_ids(g, drops, theirs);
	plan->empty = dp_seqmap_was(g, drops, DP_DROPS_EMPTY, theirs);
	plan->marker = dp_seqmap_was(g, drops, DP_DROPS_MARKED, theirs);
}

/* 0, or the drop reason. */
static unsigned map_slowly(struct dp_worker *w, struct plan *plan, struct dp_pkt *p,
                           struct sh_sub *s, struct dp_sub_rt *r, struct dp_seqmap_in *in,
                           const struct dp_pkt *src)
{
	const struct dp_frame_info *f = &dp_scratch(p->src)->f;
	int how;

	in->ids = &f->ids;
	in->last = &r->last;
	if (r->layered) {
		in->drops = dp_node(w)->drops[p->sub];
		in->skip = (p->flags & DP_PKT_LEAVE) || s->set.pt[p->pt_slot] == 255;
		// VP8's ids close up; VP9's are what its structure counts pictures by, and stay
		in->picture = (src->frame & DP_FRAME_PICTURE) && (f->ids.has & DP_IDS_VP8);
		in->mark = (p->flags & DP_PKT_MARKER) && !(src->flags & DP_PKT_MARKER);
	}
	how = dp_seqmap_out(&r->map, s, in, s->tx_index ? 0 : (uint16_t)dp_random(w), &p->index,
	                    &p->ts);
	if (how < 0)
		return SH_STAT_drop_sub_paused; // late, from before a switch
	if (how == DP_SEQ_LEFT_OUT)
		return s->set.pt[p->pt_slot] == 255 ? SH_STAT_drop_sub_pt : SH_STAT_drop_sub_layer;
	if (s->pid_offset | s->frame_offset | s->tl0_offset | s->keyidx_offset)
		r->renumbered = true;
	if (r->layered | r->renumbered)
		recall(w, plan, p, s, r);
	if (p->index != s->tx_index || plan->empty)
		return 0;
	r->last = f->ids;
	r->last.pid = (r->last.pid + plan->ids.pid) & 0x7fff;
	r->last.frame += plan->ids.frame;
	r->last.tl0 += plan->ids.tl0;
	r->last.keyidx = (r->last.keyidx + plan->ids.keyidx) & 31;
	return 0;
}

/* 0, or the drop reason. */
static unsigned map_packet(struct dp_worker *w, struct plan *plan, struct dp_pkt *p,
                           struct sh_sub *s, struct dp_sub_rt *r, const struct dp_pkt *src)
{
	const struct sh_track *t = &dp_slabs.track[src->track];
	struct dp_seqmap_in in = {
	    .index = src->index,
	    .ssrc = src->ssrc,
	    .ts = src->ts,
	    .track = src->track,
	    .layer = src->layer,
	    .start = p->flags & DP_PKT_SWITCH,
	    .clock_hz = t->set.pt[src->pt_slot].clock_hz,
	    .now_ns = w->now_ns,
	};
	uint32_t ts;
	unsigned why;

	if (unlikely(s->set.pt[p->pt_slot] == 255 && !r->layered)) {
		dp_seqmap_skip(&r->map, s, src->index, src->ssrc, src->layer);
		return SH_STAT_drop_sub_pt;
	}
	if (unlikely(in.start) && translate_ts(&ts, r, t, s, src, w->now_ns))
		in.ts_out = &ts;
	if (likely(!r->layered && !r->renumbered &&
	           dp_seqmap_next(&r->map, s, &in, &p->index, &p->ts)))
		r->last = dp_scratch(p->src)->f.ids;
	else if ((why = map_slowly(w, plan, p, s, r, &in, src)))
		return why;
	p->ssrc = s->set.ssrc;
	p->pt = s->set.pt[p->pt_slot];
	s->packets++;
	s->bytes += plan->empty ? 0 : src->payload_len - plan->cut;
	return 0;
}

/* Payload type of the RTX that repairs a slot, towards the subscriber; 255: none. */
static uint8_t rtx_pt(const struct sh_sub *s, const struct sh_track *t, uint8_t slot)
{
	for (unsigned i = 0; i < SH_MAX_PTS; i++)
		if (t->set.pt[i].codec == SH_CODEC_RTX && t->set.pt[i].apt_slot == slot &&
		    s->set.pt[i] != 255)
			return s->set.pt[i];
	return 255;
}

/* What rtcp_in found in the history: plan->osn is its number when it goes out as RTX, else it is
 * the same packet again, byte for byte. */
static void map_again(struct dp_worker *w, struct plan *plan, struct dp_pkt *p, struct sh_sub *s,
                      const struct dp_sub_rt *r)
{
	if (r->layered | r->renumbered)
		recall(w, plan, p, s, r);
	p->pt = s->set.rtx_ssrc ? rtx_pt(s, &dp_slabs.track[SH_ID_INDEX(s->set.track)], p->pt_slot)
	                        : 255;
	plan->as_rtx = p->pt != 255;
	s->rtx_packets++;
	if (!plan->as_rtx) {
		p->pt = s->set.pt[p->pt_slot];
		p->ssrc = s->set.ssrc;
		return;
	}
	plan->osn = (uint16_t)p->index;
	s->rtx_index = s->rtx_index ? s->rtx_index + 1 : (dp_random(w) & 0x7fff) + 1;
	p->index = s->rtx_index;
	p->ssrc = s->set.rtx_ssrc;
	DP_COUNT(w, rtx_out, 1);
}

/* Of RED to one that did not take RED: what stands in front of the primary block. */
static __rte_noinline uint16_t red_cut(struct dp_worker *w, const struct dp_pkt *p,
                                       const struct dp_pkt *src, const struct sh_sub *s)
{
	if (dp_slabs.track[SH_ID_INDEX(s->set.track)].set.pt[p->pt_slot].codec == SH_CODEC_RED)
		return 0;
	DP_COUNT(w, red_unwrapped, 1);
	return src->red;
}

/* Kept out of the way of those without a link. */
static __rte_noinline void tell_link(struct dp_worker *w, const struct dp_pkt *p,
                                     const struct dp_sub_rt *r, uint32_t bytes)
{
	if (r->tmpl.twcc_at)
		dp_link_sent(w, p->endpoint, dp_slabs.endpoint[p->endpoint].twcc_tx_seq - 1, bytes);
}

/* Nothing but padding (RFC 3550 §5.1), on the RTX stream, whose receivers expect that: how browsers
 * probe, too. */
static __rte_noinline unsigned pad_only(struct dp_worker *w, struct rte_mbuf *m)
{
	struct dp_pkt *p = dp_pkt(m);
	struct sh_sub *s = &dp_slabs.sub[p->sub];
	const struct sh_track *t = &dp_slabs.track[SH_ID_INDEX(s->set.track)];
	struct dp_sub_rt *r = dp_sub_rt(w, p->sub);
	struct sh_endpoint *e = &dp_slabs.endpoint[p->endpoint];
	uint8_t *buf = (uint8_t *)m->buf_addr + DP_HEADROOM, pt = 255;
	struct dp_rtp_write out = {.ts = s->last_ts, .ssrc = s->set.rtx_ssrc};

	for (unsigned i = 0; i < SH_MAX_PTS && pt == 255; i++)
		pt = rtx_pt(s, t, (uint8_t)i);
	if (pt == 255 || !s->set.rtx_ssrc)
		return SH_STAT_drop_sub_pt;
	s->rtx_index = s->rtx_index ? s->rtx_index + 1 : (dp_random(w) & 0x7fff) + 1;
	p->index = s->rtx_index;
	out.seq = (uint16_t)p->index;
	out.pt = pt;
	out.abs_send_time = dp_rtp_abs_send_time(w->now_ns);
	if (r->tmpl.twcc_at)
		out.twcc_seq = (uint16_t)e->twcc_tx_seq++;
	m->data_off = DP_HEADROOM;
	p->hdr_len = (uint16_t)dp_rtp_write_plain(buf, &r->tmpl, &out);
	buf[0] |= 0x20;
	memset(buf + p->hdr_len, 0, p->payload_len);
	buf[p->hdr_len + p->payload_len - 1] = (uint8_t)p->payload_len;
	if (e->linked)
		tell_link(w, p, r, p->hdr_len + p->payload_len);
	return 0;
}

static inline bool tells_targets(const struct dp_sub_rt *r, const struct dp_scratch *x,
                                 const struct plan *plan)
{
	return unlikely(r->layered) && (x->f.ids.has & DP_IDS_DD) &&
	       (x->f.flags & DP_FRAME_START) && !plan->empty &&
	       (r->tmpl.copy & x->exts.present & 1u << SH_EXT_DEPENDENCY);
}

/* Of a frame's first packet: the decode targets that are left, when that has to be said. 0, or the
 * drop reason: sent again otherwise than at first, it would be another packet of the same number.
 */
static __rte_noinline unsigned tell_targets(struct dp_worker *w, struct plan *plan,
                                            const struct dp_pkt *p, const struct sh_sub *s,
                                            const struct dp_sub_rt *r)
{
	struct dp_node *n = dp_node(w);
	struct dp_told *d = &n->told[p->sub];
	const struct dp_scratch *x = dp_scratch(p->src);
	const uint8_t *dd = rte_pktmbuf_mtod(p->src, uint8_t *) + x->exts.off[SH_EXT_DEPENDENCY];
	bool streams = dp_slabs.track[dp_pkt(p->src)->track].set.layers > 1;
	uint32_t index =
	    plan->as_rtx ? dp_seq_extend((uint32_t)s->tx_index, plan->osn) : (uint32_t)p->index;
	uint32_t active, len = x->exts.len[SH_EXT_DEPENDENCY];
	bool wide = r->tmpl.two_byte || r->tmpl.may_two_byte || len > DP_DD_NARROW;

	if (d->id != r->id)
		*d = (struct dp_told){.id = r->id};
	if (!(p->flags & DP_PKT_RTX) && p->index == s->tx_index)
		dp_told_next(d, p->index, streams ? DP_SENT(DP_DD_ALL, p->layer & 15) : p->layer,
		             &x->targets, r->adopted);
	if (dp_told_find(&active, d, index, &x->targets))
		return plan->as_rtx ? 0 : SH_STAT_drop_sub_layer;
	if (!active)
		return 0;
	len = dp_dd_tell(n->dd_out, dd, len, &x->targets, active);
	if (len <= (wide ? DP_DD_MAX : DP_DD_NARROW))
		plan->dd_len = (uint16_t)len;
	return 0;
}

/* The payload, when it is not encrypted straight from the shared plaintext: behind an RTX packet's
 * number, without anything in it, or with other ids. at: where it begins. */
static void put_payload(struct dp_pkt *p, uint8_t *at, const uint8_t *from, const struct plan *plan,
                        uint8_t has)
{
	uint16_t len = plan->empty ? 0 : p->payload_len;

	p->payload_len = len;
	if (plan->as_rtx) {
		dp_put16(at, plan->osn);
		at += 2;
		p->payload_len += 2;
	}
	memcpy(at, from, len);
	dp_ids_patch(at, len, has, &plan->ids);
	rte_pktmbuf_free(p->src);
	p->src = NULL;
}

static inline bool roomy(const struct rte_mbuf *m, const struct dp_pkt *src)
{
	return m->buf_len >= DP_HEADROOM + DP_TAILROOM + src->payload_len + 2 +
	                         sizeof(((struct dp_rtp_tmpl *)0)->bytes) + 16;
}

/* Nearly every packet: the next of a stream whose payload goes out as it came. Apart from the rest
 * as nothing in it need be in memory. false: nothing was done. */
static inline bool rewrite_plain(struct dp_worker *w, struct rte_mbuf *m)
{
	struct dp_pkt *p = dp_pkt(m);
	const struct dp_pkt *src = dp_pkt(p->src);
	struct sh_sub *s = &dp_slabs.sub[p->sub];
	struct dp_sub_rt *r = &dp_node(w)->sub[p->sub];
	const struct dp_scratch *x = dp_scratch(p->src);
	const uint8_t *in = rte_pktmbuf_mtod(p->src, uint8_t *);
	struct sh_endpoint *e = &dp_slabs.endpoint[p->endpoint];
	uint8_t pt = s->set.pt[p->pt_slot];
	const struct dp_seqmap_in next = {
	    .index = src->index,
	    .ssrc = src->ssrc,
	    .ts = src->ts,
	    .layer = src->layer,
	    .now_ns = w->now_ns,
	};
	struct dp_rtp_write out;
	uint64_t index;
	uint32_t ts;

	if (p->flags || src->red || (in[0] & 15) || pt == 255 || r->layered || r->renumbered ||
	    r->id != s->set.id || !dp_rtp_is_plain(&r->tmpl, &x->exts) || !roomy(m, src) ||
	    !dp_seqmap_next(&r->map, s, &next, &index, &ts))
		return false;
	r->last = x->f.ids;
	s->packets++;
	s->bytes += src->payload_len;
	out = (struct dp_rtp_write){
	    .ts = ts,
	    .ssrc = s->set.ssrc,
	    .seq = (uint16_t)index,
	    .pt = pt,
	    .marker = (src->flags & DP_PKT_MARKER) != 0,
	    .abs_send_time = src->ast,
	    .twcc_seq = r->tmpl.twcc_at ? (uint16_t)e->twcc_tx_seq++ : 0,
	    .exts = &x->exts,
	    .exts_buf = in,
	};
	m->data_off = DP_HEADROOM;
	p->hdr_len = (uint16_t)dp_rtp_write_plain((uint8_t *)m->buf_addr + DP_HEADROOM, &r->tmpl,
	                                          &out);
	p->payload_len = src->payload_len;
	p->index = index;
	p->at_ns = src->at_ns;
	if (unlikely(e->linked))
		tell_link(w, p, r, (uint32_t)p->hdr_len + p->payload_len);
	return true;
}

/* All others. 0, or the drop reason. */
static __rte_noinline unsigned rewrite_any(struct dp_worker *w, struct rte_mbuf *m)
{
	static const struct dp_rtp_exts none;
	struct dp_pkt *p = dp_pkt(m), *src = dp_pkt(p->src);
	struct sh_sub *s = &dp_slabs.sub[p->sub];
	struct dp_sub_rt *r = dp_sub_rt(w, p->sub);
	struct sh_endpoint *e = &dp_slabs.endpoint[p->endpoint];
	const struct dp_scratch *x = dp_scratch(p->src);
	const uint8_t *in = rte_pktmbuf_mtod(p->src, uint8_t *);
	bool again = p->flags & DP_PKT_RTX;
	uint8_t *buf = (uint8_t *)m->buf_addr + DP_HEADROOM;
	struct plan plan = {0};
	unsigned why;
	struct dp_rtp_write out;
	int len, room = m->buf_len - DP_HEADROOM - DP_TAILROOM - src->payload_len - 2;

	m->data_off = DP_HEADROOM;
	p->at_ns = again ? 0 : src->at_ns;
	if (unlikely(src->red))
		plan.cut = red_cut(w, p, src, s);
	if (unlikely(again))
		map_again(w, &plan, p, s, r);
	else if ((why = map_packet(w, &plan, p, s, r, src)))
		return why;
	if (tells_targets(r, x, &plan) && (why = tell_targets(w, &plan, p, s, r)))
		return why;
	out = (struct dp_rtp_write){
	    .ts = p->ts,
	    .ssrc = p->ssrc,
	    .seq = (uint16_t)p->index,
	    .pt = p->pt,
	    .marker = plan.marker || (src->flags & DP_PKT_MARKER && !plan.empty),
	    .csrc_count = in[0] & 15,
	    .csrc = in + DP_RTP_HDR_MIN,
	    .abs_send_time = unlikely(plan.as_rtx) ? dp_rtp_abs_send_time(w->now_ns) : src->ast,
	    .dd_frame = plan.ids.frame,
	    .dd_len = plan.dd_len,
	    .dd = dp_node(w)->dd_out,
	    .exts = unlikely(plan.empty) ? &none : &x->exts,
	    .exts_buf = in,
	};
	if (r->tmpl.twcc_at)
		out.twcc_seq = (uint16_t)e->twcc_tx_seq++;
	len = room < DP_RTP_HDR_MIN ? -1 : dp_rtp_write(buf, (uint32_t)room, &r->tmpl, &out);
	if (len < 0)
		return SH_STAT_drop_too_long;
	p->hdr_len = (uint16_t)len;
	p->payload_len = src->payload_len - plan.cut;
	if (unlikely(plan.as_rtx || plan.empty || plan.ids.pid || plan.ids.tl0 || plan.ids.keyidx))
		put_payload(p, buf + len, in + src->hdr_len + plan.cut, &plan, x->f.ids.has);
	if (unlikely(e->linked))
		tell_link(w, p, r, (uint32_t)len + p->payload_len);
	return 0;
}

/* From the second cache level, where fanout's questions brought it, to the first. */
static inline void fetch_near(const struct dp_worker *w, const struct rte_mbuf *m)
{
	uint32_t sub = dp_pkt((struct rte_mbuf *)(uintptr_t)m)->sub;
	const char *r = (const char *)&dp_node(w)->sub[sub];

	rte_prefetch0((const char *)m->buf_addr + DP_HEADROOM);
	rte_prefetch0(&dp_slabs.sub[sub].tx_index);
	rte_prefetch0(r);
	rte_prefetch0(r + RTE_CACHE_LINE_SIZE);
}

static uint16_t rewrite(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct dp_worker *w = dp_self;
	uint16_t n = 0;

	for (uint16_t i = 0; i < nb; i++) {
		struct rte_mbuf *m = objs[i];
		unsigned why;

		if (i % DP_FETCH_EVERY == 0)
			dp_fanout_fetch(w, DP_FETCH);
		if (i + DP_AHEAD < nb)
			fetch_near(w, objs[i + DP_AHEAD]);
		why = 0;
		if (unlikely(!dp_pkt(m)->src))
			why = pad_only(w, m);
		else if (unlikely(!rewrite_plain(w, m)))
			why = rewrite_any(w, m);
		if (unlikely(why)) {
			rte_pktmbuf_free(dp_pkt(m)->src);
			dp_drop(w, why, m);
			continue;
		}
		objs[n++] = m;
	}
	node->idx = n; // objs is the node's own stream
	if (n)
		rte_node_next_stream_move(graph, node, REWRITE_SRTP_OUT);
	return nb;
}

static struct rte_node_register rewrite_node = {
    .name = "dp_rewrite",
    .process = rewrite,
    .nb_edges = REWRITE_EDGES,
    .next_nodes = {[REWRITE_SRTP_OUT] = "dp_srtp_out"},
};
RTE_NODE_REGISTER(rewrite_node);
