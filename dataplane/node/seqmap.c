#include "dataplane/node/seqmap.h"
#include <errno.h>
#include <stddef.h>
#include <string.h>

#define unlikely(x) __builtin_expect(!!(x), 0)

/* Our timestamp for the first packet of a segment: time goes on as it did on our clock, never back.
 */
static uint32_t continue_ts(const struct sh_sub *s, const struct dp_seqmap_in *in)
{
	uint64_t ns = in->now_ns - s->last_at_ns;
	uint32_t step = 1;

	if (ns < 3600000000000u)
		step = (uint32_t)(ns * (in->clock_hz / 100) / 10000000u);
	return s->last_ts + (step ? step : 1);
}

/* Room for a new one in front; the oldest is forgotten. */
static struct dp_segment *push(struct dp_seqmap *m)
{
	memmove(&m->seg[1], &m->seg[0], (DP_SEGMENTS - 1) * sizeof(m->seg[0]));
	if (m->count < DP_SEGMENTS)
		m->count++;
	return &m->seg[0];
}

/* What makes the first picture of a segment follow the last one sent. */
static void continue_ids(struct dp_segment *g, struct sh_sub *s, const struct dp_seqmap_in *in)
{
	struct dp_ids d = {0};

	if (in->ids && in->last && in->last->has)
		d = dp_ids_follow(in->last, in->ids);
	g->pid = d.pid;
	g->frame = d.frame;
	g->tl0 = d.tl0;
	g->keyidx = d.keyidx;
	s->pid_offset = d.pid;
	s->frame_offset = d.frame;
	s->tl0_offset = d.tl0;
	s->keyidx_offset = d.keyidx;
}

static void start_segment(struct dp_seqmap *m, struct sh_sub *s, const struct dp_seqmap_in *in,
                          uint16_t first)
{
	const struct dp_segment *old = dp_seqmap_newest(m);
	uint64_t out = s->tx_index ? s->tx_index + 1 : (uint64_t)(first & 0x7fff) + 1;
	uint32_t ts_offset = s->ts_offset;

	if (!s->tx_index)
		ts_offset = 0;
	else if (!old || old->ssrc != in->ssrc || old->layer != in->layer)
		ts_offset = (in->ts_out ? *in->ts_out : continue_ts(s, in)) - in->ts;
	*push(m) = (struct dp_segment){
	    .first_out = out,
	    .offset = out - in->index,
	    .ssrc = in->ssrc,
	    .ts_offset = ts_offset,
	    .layer = in->layer,
	    .track = in->track,
	};
	continue_ids(&m->seg[0], s, in);
	s->seq_offset = m->seg[0].offset;
	s->ts_offset = ts_offset;
}

/* The newest segment's map, made when it has none: one that no newer segment than the one before
 * uses. */
static struct dp_drops *drops_of(struct dp_seqmap *m, const struct dp_seqmap_in *in)
{
	uint8_t slot = 0;

	if (m->seg[0].drops)
		return &in->drops[m->seg[0].drops - 1];
	for (unsigned k = 1; k < m->count && !slot; k++)
		if (m->seg[k].drops)
			slot = m->seg[k].drops == DP_DROPS_GONE ? 1 : 3 - m->seg[k].drops;
	slot = slot ? slot : 1;
	for (unsigned k = 1; k < m->count; k++)
		if (m->seg[k].drops == slot)
			m->seg[k].drops = DP_DROPS_GONE;
	m->seg[0].drops = slot;
	dp_drops_begin(&in->drops[slot - 1], in->index);
	return &in->drops[slot - 1];
}

/* Index behind the last one of segment k (0 = newest). */
static uint64_t end_of(const struct dp_seqmap *m, uint64_t tx_index, unsigned k)
{
	return k ? m->seg[k - 1].first_out : tx_index + 1;
}

/* Our index of theirs in a segment; false: not known any more. */
static bool number(const struct dp_segment *g, const struct dp_drops *drops, uint64_t theirs,
                   uint64_t *ours)
{
	*ours = theirs + g->offset;
	if (!g->drops)
		return true;
	if (!drops || g->drops > DP_DROPS_MAPS || !dp_drops_knows(&drops[g->drops - 1], theirs))
		return false;
	*ours += dp_drops_since(&drops[g->drops - 1], DP_DROPS_PACKET, theirs);
	return true;
}

/* A packet that later ones have overtaken, of this segment or an older one of its stream. */
static int map_late(struct dp_seqmap *m, struct sh_sub *s, const struct dp_seqmap_in *in,
                    uint64_t *index, uint32_t *ts)
{
	for (unsigned k = 0; k < m->count; k++) {
		struct dp_segment *g = &m->seg[k];
		uint64_t out, end = end_of(m, s->tx_index, k);

		if (g->ssrc != in->ssrc || g->layer != in->layer)
			continue;
		if (k == 0 && in->drops && g->drops)
			end = in->drops[g->drops - 1].end +
			      g->offset; // the newest may have been left out
		if (!number(g, in->drops, in->index, &out) ||
		    out - g->first_out >= end - g->first_out)
			continue;
		*index = out;
		*ts = in->ts + g->ts_offset;
		if (out > s->tx_index) {
			s->tx_index = out;
			s->last_ts = *ts;
			s->last_at_ns = in->now_ns;
		}
		if (!in->skip && !in->mark)
			return DP_SEQ_SEND;
		if (!in->drops || (k && !g->drops))
			return in->skip ? -ESTALE : DP_SEQ_SEND;
		if (!g->drops) { // nothing was left out so far; from here on it is watched
			struct dp_drops *d = drops_of(m, in);

			dp_drops_advance(d, s->tx_index - g->offset);
		}
		if (in->index < in->drops[g->drops - 1].first) // could not be remembered
			return in->skip ? -ESTALE : DP_SEQ_SEND;
		dp_drops_set(&in->drops[g->drops - 1], in->skip ? DP_DROPS_EMPTY : DP_DROPS_MARKED,
		             in->index);
		return in->skip ? DP_SEQ_EMPTY : DP_SEQ_SEND;
	}
	return -ESTALE;
}

/* After a restart of this process the slab still knows the distances that the running segment had:
 * go on with them when the packet fits. A track with one layer has the same ones; otherwise the
 * switch decides. */
static void adopt(struct dp_seqmap *m, const struct sh_sub *s, const struct dp_seqmap_in *in)
{
	if (!s->tx_index || in->index + s->seq_offset - s->tx_index - 1 >= DP_SEQMAP_JUMP)
		return;
	m->count = 1;
	m->seg[0] = (struct dp_segment){
	    .first_out = s->tx_index + 1,
	    .offset = s->seq_offset,
	    .ssrc = in->ssrc,
	    .ts_offset = s->ts_offset,
	    .layer = in->layer,
	    .track = in->track,
	    .pid = s->pid_offset,
	    .frame = s->frame_offset,
	    .tl0 = s->tl0_offset,
	    .keyidx = s->keyidx_offset,
	};
}

/* The next one of the newest segment, or one that is to be left out of it. */
static int next(struct dp_seqmap *m, struct sh_sub *s, const struct dp_seqmap_in *in,
                uint64_t *index, uint32_t *ts)
{
	struct dp_segment *g = &m->seg[0];
	struct dp_drops *d = NULL;

	if (in->drops && (g->drops || in->skip || in->mark)) {
		d = drops_of(m, in);
		dp_drops_advance(d, in->index);
	}
	if (in->skip && d) {
		dp_drops_set(d, DP_DROPS_PACKET, in->index);
		s->seq_offset = --g->offset;
		if (in->picture) {
			dp_drops_set(d, DP_DROPS_PICTURE, in->index);
			s->pid_offset = --g->pid;
		}
		return DP_SEQ_LEFT_OUT;
	}
	if (in->mark && d)
		dp_drops_set(d, DP_DROPS_MARKED, in->index);
	s->tx_index = in->index + g->offset;
	*index = s->tx_index;
	*ts = in->ts + g->ts_offset;
	s->last_ts = *ts;
	s->last_at_ns = in->now_ns;
	return DP_SEQ_SEND;
}

int dp_seqmap_out(struct dp_seqmap *m, struct sh_sub *s, const struct dp_seqmap_in *in,
                  uint16_t first, uint64_t *index, uint32_t *ts)
{
	const struct dp_segment *g;
	uint64_t newest;
	int how;

	// new keys took the roll-over counter back, and the segments with it (dp_table_rekey)
	if (unlikely(m->count && m->seg[0].first_out > s->tx_index + 1))
		m->count = 0;
	if (unlikely(!m->count && !in->start))
		adopt(m, s, in);
	g = dp_seqmap_newest(m);
	if (!g || in->start || g->ssrc != in->ssrc || g->layer != in->layer) {
		// an SSRC that we left comes late: not a reason to go back to it
		if (g && !in->start && (how = map_late(m, s, in, index, ts)) >= 0)
			return how;
		if (in->skip) // nothing was sent of it yet
			return DP_SEQ_LEFT_OUT;
		start_segment(m, s, in, first);
		return next(m, s, in, index, ts);
	}
	newest = s->tx_index - g->offset;
	if (g->drops && in->drops)
		newest = in->drops[g->drops - 1].end - 1;
	if ((int64_t)(in->index - newest) <= 0 && newest - in->index < DP_SEQMAP_JUMP)
		return map_late(m, s, in, index, ts);
	if (unlikely(in->index - newest >
	             DP_SEQMAP_JUMP)) { // far ahead, or far behind: the input began anew
		if (in->skip)
			return DP_SEQ_LEFT_OUT;
		start_segment(m, s, in, first);
	}
	return next(m, s, in, index, ts);
}

void dp_seqmap_skip(struct dp_seqmap *m, struct sh_sub *s, uint64_t index, uint32_t ssrc,
                    uint8_t layer)
{
	struct dp_segment *g = &m->seg[0], next = *g;
	uint64_t out = index + g->offset;

	// what comes late, or after a gap, is not known to leave none
	if (!m->count || g->drops || g->ssrc != ssrc || g->layer != layer ||
	    out != s->tx_index + 1)
		return;
	next.first_out = out;
	next.offset--;
	if (g->first_out != out) // else nothing was sent of it yet
		g = push(m);
	*g = next;
	s->seq_offset = next.offset;
}

const struct dp_segment *dp_seqmap_find(const struct dp_seqmap *m, const struct dp_drops *drops,
                                        uint64_t tx_index, uint64_t index, uint64_t *theirs)
{
	for (unsigned k = 0; k < m->count; k++) {
		const struct dp_segment *g = &m->seg[k];

		if (index - g->first_out >= end_of(m, tx_index, k) - g->first_out)
			continue;
		*theirs = index - g->offset;
		if (!g->drops)
			return g;
		if (!drops || g->drops > DP_DROPS_MAPS ||
		    !dp_drops_find(&drops[g->drops - 1], g->offset, index, theirs))
			return NULL;
		return g;
	}
	return NULL;
}

struct dp_ids dp_seqmap_ids(const struct dp_segment *g, const struct dp_drops *drops,
                            uint64_t theirs)
{
	struct dp_ids d = {.pid = g->pid, .frame = g->frame, .tl0 = g->tl0, .keyidx = g->keyidx};

	if (g->drops && g->drops <= DP_DROPS_MAPS)
		d.pid = (uint16_t)(d.pid +
		                   dp_drops_since(&drops[g->drops - 1], DP_DROPS_PICTURE, theirs));
	d.pid &= 0x7fff;
	return d;
}
