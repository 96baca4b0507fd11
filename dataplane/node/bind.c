/* Which stream an SSRC of an endpoint is. SSRCs are looked for among those that the endpoint's
 * tracks have learned, then those that SDP signaled; an authenticated packet of another SSRC finds
 * its track by MID and layer by RID (RFC 8843 §9.2, RFC 8852), or, without MID, by a payload type
 * that only one track has. */
#include "dataplane/node/node.h"
#include <rte_hash_crc.h>
#include <string.h>

enum { REBINDS_PER_S = 16 };

static struct dp_bound *bound_entry(struct dp_worker *w, uint32_t endpoint, uint32_t ssrc)
{
	return &dp_node(w)->bound[rte_hash_crc_4byte(ssrc, endpoint) % DP_BOUNDS];
}

static bool track_of(uint32_t track, uint32_t endpoint)
{
	const struct sh_track *t = &dp_slabs.track[track];

	return dp_live(&t->state) && SH_ID_INDEX(t->set.endpoint) == endpoint;
}

static bool find_learned(struct dp_stream_ref *out, const struct dp_fanout *tracks, uint32_t ssrc)
{
	for (uint32_t i = 0; i < tracks->n; i++) {
		const struct sh_track *t = &dp_slabs.track[tracks->sub[i]];

		for (uint8_t l = 0; l < SH_MAX_LAYERS; l++) {
			bool rtx = t->rtx[l].ssrc == ssrc;

			if (t->media[l].ssrc != ssrc && !rtx)
				continue;
			*out = (struct dp_stream_ref){tracks->sub[i], l, rtx};
			return true;
		}
	}
	return false;
}

static bool find_signaled(struct dp_stream_ref *out, const struct dp_fanout *tracks, uint32_t ssrc)
{
	for (uint32_t i = 0; i < tracks->n; i++) {
		const struct sh_track *t = &dp_slabs.track[tracks->sub[i]];

		for (uint8_t l = 0; l < t->set.layers; l++) {
			bool rtx = t->set.layer[l].rtx_ssrc == ssrc;

			if (t->set.layer[l].ssrc != ssrc && !rtx)
				continue;
			*out = (struct dp_stream_ref){tracks->sub[i], l, rtx};
			return true;
		}
	}
	return false;
}

bool dp_stream_find(struct dp_worker *w, struct dp_stream_ref *out, uint32_t endpoint,
                    uint32_t ssrc)
{
	struct dp_bound *b = bound_entry(w, endpoint, ssrc);
	const struct dp_fanout *tracks;

	if (!ssrc)
		return false;
	if (b->ssrc == ssrc && b->endpoint == endpoint) {
		*out = (struct dp_stream_ref){b->track, b->layer, b->rtx};
		if (dp_stream(out)->ssrc == ssrc && track_of(b->track, endpoint))
			return true;
	}
	tracks = dp_endpoint_tracks(endpoint);
	if (!tracks)
		return false;
	if (find_learned(out, tracks, ssrc)) {
		*b = (struct dp_bound){endpoint, ssrc, out->track, out->layer, out->rtx, {0}};
		return true;
	}
	// signaled, but the stream may have moved on to another SSRC since: then it has to be bound
	// again
	return find_signaled(out, tracks, ssrc) && !dp_stream(out)->ssrc;
}

void dp_stream_prefetch(struct dp_worker *w, uint32_t endpoint, uint32_t ssrc)
{
	rte_prefetch0(bound_entry(w, endpoint, ssrc));
}

static inline void fetch(const void *what, size_t bytes)
{
	const char *end = (const char *)what + bytes;

	for (const char *at = what; at < end; at += RTE_CACHE_LINE_SIZE)
		rte_prefetch0(at);
	rte_prefetch0(end - 1);
}

void dp_stream_prefetch_track(struct dp_worker *w, uint32_t endpoint, uint32_t ssrc)
{
	const struct dp_bound *b = bound_entry(w, endpoint, ssrc);
	const struct sh_track *t = &dp_slabs.track[b->track];

	if (b->ssrc != ssrc || b->endpoint != endpoint)
		return;
	fetch(&t->set, sizeof(t->set));
	fetch(dp_stream(&(struct dp_stream_ref){b->track, b->layer, b->rtx}),
	      sizeof(struct sh_rx_stream));
	rte_prefetch0(&t->spatial);
	rte_prefetch0(&t->follower);
	rte_prefetch0(&dp_node(w)->track[b->track]);
	fetch(&dp_node(w)->frames[b->track], DP_TRACK_FRAMES_HOT);
}

static const struct dp_retired *find_retired(struct dp_worker *w, uint32_t endpoint, uint32_t ssrc)
{
	const struct dp_fanout *tracks = dp_endpoint_tracks(endpoint);

	for (uint32_t i = 0; tracks && i < tracks->n; i++) {
		const struct dp_track_rt *r = dp_track_rt(w, tracks->sub[i]);

		for (unsigned k = 0; k < DP_RETIRED; k++)
			if (r->retired[k].ssrc == ssrc)
				return &r->retired[k];
	}
	return NULL;
}

uint64_t dp_stream_guess_unknown(struct dp_worker *w, uint32_t endpoint, uint32_t ssrc,
                                 uint16_t seq)
{
	const struct dp_retired *d = find_retired(w, endpoint, ssrc);
	struct sh_rx_crypto c = {0};
	uint64_t index;

	if (!d)
		return seq;
	c.index = d->index;
	c.started = 1;
	index = dp_srtp_index_guess(&c, seq);
	return index != UINT64_MAX && index > d->index ? index : UINT64_MAX;
}

static bool same_label(const uint8_t *a, uint32_t a_len, const uint8_t *buf,
                       const struct dp_rtp_exts *x, enum sh_ext kind)
{
	return (x->present & 1u << kind) && a_len && x->len[kind] == a_len &&
	       !memcmp(a, buf + x->off[kind], a_len);
}

/* Layer of a track for this packet: by RID or repaired RID, or the only one. -1: none. */
static int pick_layer(const struct sh_track *t, const struct dp_rtp_exts *x, const uint8_t *buf,
                      bool rtx)
{
	enum sh_ext kind = rtx && (x->present & 1u << SH_EXT_RRID) ? SH_EXT_RRID : SH_EXT_RID;

	if (t->set.layers == 1 && !t->set.layer[0].rid_len)
		return 0;
	for (int l = 0; l < t->set.layers; l++)
		if (same_label(t->set.layer[l].rid, t->set.layer[l].rid_len, buf, x, kind))
			return l;
	return t->set.layers == 1 && !(x->present & 1u << kind) ? 0 : -1;
}

/* Without MID: the one track of the endpoint that has this payload type, that no SDP named SSRCs
 * for, and that is not being sent under another SSRC right now. */
static int pick_track_by_pt(struct dp_worker *w, const struct dp_fanout *tracks, uint8_t pt)
{
	int found = -1;

	for (uint32_t i = 0; i < tracks->n; i++) {
		const struct sh_track *t = &dp_slabs.track[tracks->sub[i]];
		int slot = dp_pt_slot(t, pt);
		const struct sh_rx_stream *s;

		if (slot < 0 || t->set.layers != 1)
			continue;
		if (found >= 0)
			return -1;
		s = t->set.pt[slot].codec == SH_CODEC_RTX ? &t->rtx[0] : &t->media[0];
		if (t->set.layer[0].ssrc && !s->ssrc && t->set.pt[slot].codec != SH_CODEC_RTX)
			continue;
		if (s->ssrc && w->now_ns - s->last_at_ns < 500000000u)
			return -1;
		found = (int)tracks->sub[i];
	}
	return found;
}

static int pick_track(struct dp_worker *w, const struct dp_fanout *tracks,
                      const struct dp_rtp_hdr *hdr, const struct dp_rtp_exts *x, const uint8_t *buf)
{
	if (!(x->present & 1u << SH_EXT_MID))
		return pick_track_by_pt(w, tracks, hdr->pt);
	for (uint32_t i = 0; i < tracks->n; i++) {
		const struct sh_track *t = &dp_slabs.track[tracks->sub[i]];

		if (same_label(t->set.mid, t->set.mid_len, buf, x, SH_EXT_MID))
			return (int)tracks->sub[i];
	}
	return -1;
}

static bool rebind_allowed(struct dp_worker *w, struct dp_track_rt *r)
{
	uint32_t second = (uint32_t)(w->now_ns / 1000000000u);

	if (r->rebind_s != second) {
		r->rebind_s = second;
		r->rebinds = 0;
	}
	return r->rebinds++ < REBINDS_PER_S;
}

/* The stream changes its SSRC, or gets its first one: it starts anew, and the old SSRC's index is
 * remembered. */
static unsigned take_over(struct dp_worker *w, const struct dp_stream_ref *ref, uint32_t ssrc,
                          uint64_t index)
{
	struct sh_rx_stream *s = dp_stream(ref);
	struct dp_track_rt *r = dp_track_rt(w, ref->track);

	if (s->ssrc) {
		if (!rebind_allowed(w, r))
			return SH_STAT_drop_rtp_streams;
		r->retired[r->retired_next++ % DP_RETIRED] =
		    (struct dp_retired){s->ssrc, s->crypto.index};
	}
	for (unsigned k = 0; k < DP_RETIRED; k++)
		if (r->retired[k].ssrc == ssrc)
			r->retired[k] = (struct dp_retired){0};
	memset(s, 0, sizeof(*s));
	s->ssrc = ssrc;
	if (!ref->rtx && r->nack[ref->layer])
		memset(&dp_node(w)->nack[r->nack[ref->layer] - 1], 0, sizeof(struct dp_nack));
	return 0;
}

unsigned dp_stream_bind(struct dp_worker *w, struct dp_stream_ref *out, uint32_t endpoint,
                        const struct dp_rtp_hdr *hdr, const struct dp_rtp_exts *x,
                        const uint8_t *buf, uint64_t index)
{
	const struct dp_fanout *tracks = dp_endpoint_tracks(endpoint);
	int track = -1, layer, slot;
	bool rtx;

	if (!tracks || !hdr->ssrc)
		return SH_STAT_drop_rtp_ssrc;
	if (find_learned(out, tracks,
	                 hdr->ssrc)) // bound by a packet before this one in the same vector
		return 0;
	if (find_signaled(out, tracks, hdr->ssrc) && !dp_stream(out)->ssrc)
		return take_over(w, out, hdr->ssrc, index);
	track = pick_track(w, tracks, hdr, x, buf);
	if (track < 0 && find_signaled(out, tracks, hdr->ssrc))
		return take_over(w, out, hdr->ssrc, index); // back to what SDP said
	if (track < 0)
		return SH_STAT_drop_rtp_ssrc;
	slot = dp_pt_slot(&dp_slabs.track[track], hdr->pt);
	if (slot < 0)
		return SH_STAT_drop_rtp_pt;
	rtx = dp_slabs.track[track].set.pt[slot].codec == SH_CODEC_RTX;
	layer = pick_layer(&dp_slabs.track[track], x, buf, rtx);
	if (layer < 0)
		return SH_STAT_drop_rtp_ssrc;
	*out = (struct dp_stream_ref){(uint32_t)track, (uint8_t)layer, rtx};
	return take_over(w, out, hdr->ssrc, index);
}
