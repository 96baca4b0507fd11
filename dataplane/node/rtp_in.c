/* An authentic RTP packet becomes a plaintext that can be fanned out: header and extensions read
 * once, RTX undone, its stream accounted for. From here on nothing writes to it. */
#include <errno.h>
#include <string.h>
#include "dataplane/node/node.h"
#include "dataplane/rtp/red.h"
#include "dataplane/rtp/speaker.h"

/* An RTX packet may overtake what it repeats, but not lead its stream's roll-over counter astray.
 */
enum { RTX_AHEAD = 512 };

static void mark_alive(struct dp_worker *w, struct dp_track_rt *r, const struct dp_pkt *p)
{
	struct dp_node *n = dp_node(w);

	if (!r->active_pos) {
		n->active[n->n_active++] = p->track;
		r->active_pos = n->n_active;
	}
	r->alive |= (uint8_t)(1u << p->layer);
	dp_notify(w, DP_NOTE_TRACK, p->track);
}

/* Tells the gap tracker of a stream that we may ask its publisher for losses of. */
static bool track_gap(struct dp_worker *w, struct dp_track_rt *r, const struct sh_track *t,
                      const struct dp_pkt *p)
{
	struct dp_node *n = dp_node(w);
	uint32_t i;

	if (!(t->set.flags & SH_TRACK_NACK) || !dp_nodes_config.nack)
		return false;
	if (!r->nack[p->layer]) {
		i = dp_pool_take(&n->nacks);
		if (i == DP_NO_ENTRY)
			return false;
		memset(&n->nack[i], 0, sizeof(n->nack[i]));
		r->nack[p->layer] = i + 1;
	}
	i = r->nack[p->layer] - 1;
	// without RTX an answer looks like the packet itself
	if ((p->flags & DP_PKT_RTX) || !t->rtx[p->layer].ssrc)
		return dp_nack_repaired(&n->nack[i], (uint16_t)p->index, w->now_ns) ==
		       DP_NACK_RECOVERED;
	return dp_nack_seen(&n->nack[i], (uint16_t)p->index, w->now_ns) == DP_NACK_RECOVERED;
}

/* RFC 4588 §4: hdr becomes the original's. 0, or the drop reason. */
static unsigned restore(struct dp_worker *w, struct dp_pkt *p, struct sh_track *t,
                        struct dp_rtp_hdr *hdr, const uint8_t *buf, unsigned slot)
{
	struct sh_rx_stream *media = &t->media[p->layer];
	uint8_t apt = t->set.pt[slot].apt_slot;
	uint16_t osn;
	int err = dp_rtx_osn(&osn, hdr, buf);

	if (err)
		return err == -ENODATA ? SH_STAT_drop_rtx_padding : SH_STAT_drop_rtx_malformed;
	if (apt >= SH_MAX_PTS || t->set.pt[apt].pt == 255 || !media->ssrc || !media->crypto.started)
		return SH_STAT_drop_rtx_malformed;
	p->index = dp_srtp_index_guess(&media->crypto, osn);
	if (p->index == UINT64_MAX || dp_replay_check(&media->crypto, p->index))
		return SH_STAT_drop_duplicate;
	if ((int64_t)(p->index - media->crypto.index) > RTX_AHEAD)
		return SH_STAT_drop_rtx_malformed;
	dp_replay_commit(&media->crypto, p->index);
	p->pt_slot = apt;
	hdr->ssrc = media->ssrc;
	hdr->payload_off += 2;
	hdr->payload_len -= 2;
	DP_COUNT(w, rtx_in, 1);
	return 0;
}

static unsigned account(struct dp_worker *w, struct dp_pkt *p, struct sh_track *t,
                        struct dp_rtp_hdr *hdr, const uint8_t *buf)
{
	int slot = dp_pt_slot(t, hdr->pt);
	bool rtx = p->flags & DP_PKT_RTX;
	struct sh_rx_stream *s = rtx ? &t->rtx[p->layer] : &t->media[p->layer];

	if (slot < 0 || (t->set.pt[slot].codec == SH_CODEC_RTX) != rtx)
		return SH_STAT_drop_rtp_pt;
	if (!s->clock_hz)
		s->clock_hz = t->set.pt[slot].clock_hz;
	dp_rtp_rx_update(s, hdr, w->now_ns);
	p->pt_slot = s->pt_slot = (uint8_t)slot;
	return rtx ? restore(w, p, t, hdr, buf, (unsigned)slot) : 0;
}

static void mark_frame(struct dp_worker *w, struct dp_track_rt *r, struct rte_mbuf *m,
                       struct sh_track *t, const struct dp_rtp_hdr *hdr, const uint8_t *buf)
{
	struct dp_pkt *p = dp_pkt(m);
	struct dp_scratch *x = dp_scratch(m);

	if (t->set.kind != SH_KIND_VIDEO) {
		x->f = (struct dp_frame_info){
		    .flags = DP_FRAME_START | DP_FRAME_KEY,
		    .need = 1,
		    .spatial = 1,
		    .streams = 1,
		};
		p->frame = x->f.flags;
		p->flags |= DP_PKT_KEY;
		dp_frames_sound(w, m);
		return;
	}
	dp_frames_read(w, m, hdr, buf);
	p->frame = x->f.flags;
	if (!(p->frame & DP_FRAME_KEY))
		return;
	p->flags |= DP_PKT_KEY;
	t->media[p->layer].key_frames++;
	r->want_key &= (uint8_t) ~(1u << p->layer);
}

/* Where those who did not take RED find what they are sent. false: malformed. */
static bool find_primary(const struct sh_track *t, struct dp_pkt *p, const uint8_t *buf)
{
	struct dp_red red;
	int slot;

	if (!p->payload_len) // nothing but padding
		return true;
	if (dp_red_parse(&red, buf + p->hdr_len, p->payload_len))
		return false;
	slot = dp_pt_slot(t, red.pt);
	if (slot < 0 || t->set.pt[slot].codec == SH_CODEC_RED)
		slot = 255;
	p->red = red.off;
	p->red_slot = (uint8_t)slot;
	return true;
}

/* How loud it is (RFC 6464), for the control thread to see who speaks. */
static void hear(const struct dp_worker *w, struct sh_track *t, const struct dp_pkt *p,
                 const struct dp_rtp_exts *x, const uint8_t *buf)
{
	bool told = x->present & 1u << SH_EXT_AUDIO_LEVEL && x->len[SH_EXT_AUDIO_LEVEL];

	t->level =
	    dp_level_smooth(t->level, dp_level_of(told ? buf + x->off[SH_EXT_AUDIO_LEVEL] : NULL,
	                                          p->payload_len - p->red));
	if (t->level < DP_LEVEL_SPEECH)
		t->spoke_at_ns = w->now_ns;
}

static bool rtp_in_one(struct dp_worker *w, struct rte_mbuf *m)
{
	struct dp_pkt *p = dp_pkt(m);
	struct sh_track *t = &dp_slabs.track[p->track];
	struct dp_track_rt *r = dp_track_rt(w, p->track);
	struct dp_rtp_exts *x = &dp_scratch(m)->exts;
	const uint8_t *buf = rte_pktmbuf_mtod(m, uint8_t *);
	struct dp_rtp_hdr hdr;
	unsigned why;
	int err;

	if (dp_rtp_parse(&hdr, buf, m->data_len) ||
	    unlikely(rte_pktmbuf_headroom(m) < sizeof(struct dp_scratch))) {
		DP_DROP(w, rtp_malformed, m);
		return false;
	}
	err = dp_rtp_ext_parse(x, &hdr, buf, dp_slabs.endpoint[p->endpoint].set.ext_id);
	dp_hear_packet(w, p->endpoint, x, buf, m->data_len); // whatever becomes of it
	why = account(w, p, t, &hdr, buf);
	if (why) {
		dp_drop(w, why, m);
		return false;
	}
	if (unlikely(!(r->alive & 1u << p->layer)))
		mark_alive(w, r, p);
	if (track_gap(w, r, t, p) && (p->flags & DP_PKT_RTX))
		t->media[p->layer].recovered++;
	p->flags &= DP_PKT_RTX;
	if (err) {
		DP_DROP(w, rtp_malformed, m);
		return false;
	}
	p->hdr_len = hdr.payload_off;
	p->payload_len = hdr.payload_len;
	p->red = 0;
	p->ts = hdr.ts;
	p->ssrc = hdr.ssrc;
	p->ast = dp_rtp_abs_send_time(p->at_ns);
	if (hdr.marker) {
		p->flags |= DP_PKT_MARKER;
		t->media[p->layer].frames++;
	}
	if (t->set.kind == SH_KIND_AUDIO) {
		if (unlikely(t->set.pt[p->pt_slot].codec == SH_CODEC_RED) &&
		    !find_primary(t, p, buf)) {
			DP_DROP(w, red_malformed, m);
			return false;
		}
		hear(w, t, p, x, buf);
	}
	mark_frame(w, r, m, t, &hdr, buf);
	dp_history_prefetch(w, r, p);
	return true;
}

static uint16_t rtp_in(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	for (uint16_t i = 0; i < nb; i++)
		if (rtp_in_one(dp_self, objs[i]))
			rte_node_enqueue_x1(graph, node, RTP_IN_FANOUT, objs[i]);
	return nb;
}

static struct rte_node_register rtp_in_node = {
    .name = "dp_rtp_in",
    .process = rtp_in,
    .nb_edges = RTP_IN_EDGES,
    .next_nodes = {[RTP_IN_FANOUT] = "dp_fanout"},
};
RTE_NODE_REGISTER(rtp_in_node);
