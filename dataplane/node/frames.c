/* What the publisher's worker knows of a video stream beyond its packets: pictures, which layers
 * are there, their rates and sizes. Fills the dp_frame_info that goes with each plaintext. */
#include <string.h>
#include "dataplane/node/node.h"

#define SILENT_NS UINT64_C(2000000000)
#define PAUSED_NS UINT64_C(300000000)
enum {
	ABSENT = 8,  // pictures without a frame of a spatial layer: it is not being sent
	PAUSED = 16, // pictures of other streams without one of this: it is not being sent
};

static void renew(struct dp_worker *w, struct dp_stream_frames *st, uint32_t ssrc)
{
	uint32_t dd = st->dd;

	*st = (struct dp_stream_frames){.ssrc = ssrc, .dd = dd};
	if (dd)
		dp_node(w)->dd[dd - 1].templates = 0;
}

/* What descriptors of this stream refer to; NULL: no more room. */
static struct dp_dd *dd_of(struct dp_worker *w, struct dp_stream_frames *st)
{
	struct dp_node *n = dp_node(w);

	if (!st->dd) {
		uint32_t i = dp_pool_take(&n->dds);

		if (i == DP_NO_ENTRY)
			return NULL;
		memset(&n->dd[i], 0, sizeof(n->dd[i]));
		st->dd = i + 1;
	}
	return &n->dd[st->dd - 1];
}

/* The temporal layer of an access unit (H264) or temporal unit (AV1) is told by the first of its
 * packets, as far as it has slices or OBUs that tell it, not by what may stand in others, and all
 * of it goes or stays, what comes late too. */
static void unit_layer(struct dp_stream_frames *st, struct dp_frame_info *f, bool newest,
                       uint32_t ts)
{
	unsigned i = st->unit;

	if (newest && (f->flags & DP_FRAME_PICTURE)) {
		st->unit = i = (i + 1) % DP_UNITS;
		st->unit_ts[i] = ts;
		st->unit_tid[i] = f->flags & DP_FRAME_SLICE ? f->tid : 0;
	}
	for (unsigned k = 0; st->unit_ts[i] != ts; k++) {
		if (k == DP_UNITS - 1)
			return;
		i = (i + DP_UNITS - 1) % DP_UNITS;
	}
	f->tid = st->unit_tid[i];
	if (f->tid)
		f->up = 0;
}

static uint8_t spatial_now(struct dp_stream_frames *st, const struct dp_frame_info *f, bool newest)
{
	uint8_t mask = 0;

	for (unsigned s = 0; newest && f->spatial && s < SH_MAX_LAYERS; s++) { // announced
		st->sid_at[s] = f->spatial & 1u << s ? st->pictures : 0;
		st->top = f->spatial & 1u << s ? (uint8_t)s : st->top;
	}
	if (newest)
		st->sid_at[f->sid] = st->pictures;
	if (f->sid > st->top)
		st->top = f->sid;
	if (!st->top)
		return 1;
	for (unsigned s = 0; s <= st->top; s++)
		if (st->sid_at[s] && st->pictures - st->sid_at[s] <= ABSENT)
			mask |= (uint8_t)(1u << s);
	return mask;
}

/* Streams of the track that are being sent: a slow one is not taken for a paused one. */
static uint8_t streams_now(const struct dp_worker *w, const struct dp_track_frames *k,
                           const struct sh_track *t)
{
	uint8_t mask = 0;

	for (unsigned l = 0; l < t->set.layers; l++) {
		uint64_t silent = w->now_ns - t->media[l].last_at_ns;

		if (!t->media[l].last_at_ns || silent >= SILENT_NS ||
		    (silent >= PAUSED_NS && k->pictures - k->stream[l].picture_at > PAUSED))
			continue;
		mask |= (uint8_t)(1u << l);
	}
	return mask;
}

static void publish_rates(const struct dp_cost *c, struct sh_track *t)
{
	uint32_t bps[SH_MAX_TEMPORAL];

	for (unsigned q = 0; q < SH_MAX_LAYERS; q++)
		for (unsigned i = 0; dp_cost_bps(c, q, bps) && i < SH_MAX_TEMPORAL; i++)
			__atomic_store_n(&t->rate_bps[q][i], bps[i], __ATOMIC_RELAXED);
}

void dp_frames_sound(struct dp_worker *w, struct rte_mbuf *m)
{
	uint32_t track = dp_pkt(m)->track;
	struct dp_cost *c = &dp_node(w)->frames[track].cost;

	if (unlikely(dp_cost_add(c, 0, 0, m->data_len, w->now_ns)))
		__atomic_store_n(&dp_slabs.track[track].rate_bps[0][0], dp_cost_peak_bps(c, 0),
		                 __ATOMIC_RELAXED);
}

static void keep_sizes(struct sh_track *t, unsigned layer, const struct dp_frame_in *in)
{
	struct dp_frame_sizes s;

	dp_frame_sizes(&s, in);
	for (unsigned i = 0; i < s.n; i++) {
		unsigned q = t->set.layers > 1 ? layer : i;

		if (t->set.layers > 1 && i + 1 < s.n) // of a stream the highest counts
			continue;
		if (!s.width[i] || !s.height[i]) // not said, or nonsense
			continue;
		__atomic_store_n(&t->width[q], s.width[i], __ATOMIC_RELAXED);
		__atomic_store_n(&t->height[q], s.height[i], __ATOMIC_RELAXED);
	}
}

static void keep_layers(struct sh_track *t, const struct dp_frame_info *f)
{
	uint8_t spatial = t->set.layers > 1 ? 1 : (uint8_t)(32 - __builtin_clz(f->spatial | 1u));

	if (unlikely(t->spatial != spatial))
		__atomic_store_n(&t->spatial, spatial, __ATOMIC_RELAXED);
	if (unlikely(t->temporal <= f->tid))
		__atomic_store_n(&t->temporal, (uint8_t)(f->tid + 1), __ATOMIC_RELAXED);
}

/* How large key frames are: told when the next picture begins. */
static void measure_key(struct dp_stream_frames *st, struct sh_track *t, unsigned layer,
                        const struct dp_frame_info *f, uint32_t ts, uint32_t bytes)
{
	bool many = t->set.layers > 1;

	if (f->flags & DP_FRAME_PICTURE) {
		for (unsigned s = 0; st->in_key && s < SH_MAX_LAYERS; s++)
			if (st->key_bytes[s])
				__atomic_store_n(&t->key_bytes[many ? layer : s], st->key_bytes[s],
				                 __ATOMIC_RELAXED);
		st->in_key = f->flags & DP_FRAME_KEY;
		memset(st->key_bytes, 0, sizeof(st->key_bytes));
	}
	if (st->in_key && ts == st->ts)
		st->key_bytes[many ? 0 : f->sid] += bytes;
}

void dp_frames_read(struct dp_worker *w, struct rte_mbuf *m, const struct dp_rtp_hdr *hdr,
                    const uint8_t *buf)
{
	struct dp_pkt *p = dp_pkt(m);
	struct dp_scratch *x = dp_scratch(m);
	struct dp_frame_info *f = &x->f;
	struct sh_track *t = &dp_slabs.track[p->track];
	struct dp_track_frames *k = &dp_node(w)->frames[p->track];
	struct dp_stream_frames *st = &k->stream[p->layer];
	struct dp_frame_in in = {
	    .codec = t->set.pt[p->pt_slot].codec,
	    .payload = buf + hdr->payload_off,
	    .len = hdr->payload_len,
	    .marker = hdr->marker,
	    .index = p->index,
	};

	if (unlikely(st->ssrc != hdr->ssrc))
		renew(w, st, hdr->ssrc);
	in.newest = !st->pictures || (int64_t)(p->index - st->head) > 0 ||
	            st->head - p->index > DP_SEQMAP_JUMP; // new keys: counted anew
	if (x->exts.present & 1u << SH_EXT_DEPENDENCY) {
		in.dd = buf + x->exts.off[SH_EXT_DEPENDENCY];
		in.dd_len = x->exts.len[SH_EXT_DEPENDENCY];
		in.state = dd_of(w, st);
		in.targets = &x->targets;
	}
	dp_frame_read(f, &in);
	if (in.newest) {
		st->head = p->index;
		if (!st->pictures || hdr->ts != st->ts) {
			f->flags |= DP_FRAME_PICTURE;
			st->ts = hdr->ts;
			st->pictures++;
			st->picture_at = ++k->pictures;
		}
	}
	if ((in.codec == SH_CODEC_H264 || in.codec == SH_CODEC_AV1) && !(f->ids.has & DP_IDS_DD))
		unit_layer(st, f, in.newest, hdr->ts);
	if (!(f->ids.has & DP_IDS_DD))
		f->spatial = spatial_now(st, f, in.newest);
	keep_layers(t, f);
	if (t->set.layers > 1 || t->temporal > 1 || f->spatial > 1)
		f->flags |= DP_FRAME_LAYERED;
	f->streams = t->set.layers > 1 ? streams_now(w, k, t) : 1;
	if (unlikely(dp_cost_add(&k->cost, t->set.layers > 1 ? p->layer : f->sid, f->tid,
	                         m->data_len, w->now_ns)))
		publish_rates(&k->cost, t);
	measure_key(st, t, p->layer, f, hdr->ts, m->data_len);
	if (f->flags & DP_FRAME_KEY)
		keep_sizes(t, p->layer, &in);
}

void dp_frames_forget(struct dp_worker *w, uint32_t track)
{
	struct dp_node *n = dp_node(w);
	struct dp_track_frames *k = &n->frames[track];

	for (unsigned l = 0; l < SH_MAX_LAYERS; l++)
		if (k->stream[l].dd)
			dp_pool_give(&n->dds, k->stream[l].dd - 1);
	memset(k, 0, sizeof(*k));
}
