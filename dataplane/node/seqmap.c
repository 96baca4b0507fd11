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
	s->seq_offset = m->seg[0].offset;
	s->ts_offset = ts_offset;
}

/* Index behind the last one of segment k (0 = newest). */
static uint64_t end_of(const struct dp_seqmap *m, uint64_t tx_index, unsigned k)
{
	return k ? m->seg[k - 1].first_out : tx_index + 1;
}

/* A packet of an older segment of its stream that was overtaken by the switch. */
static int map_late(const struct dp_seqmap *m, const struct sh_sub *s,
                    const struct dp_seqmap_in *in, uint64_t *index, uint32_t *ts)
{
	for (unsigned k = 0; k < m->count; k++) {
		const struct dp_segment *g = &m->seg[k];
		uint64_t out = in->index + g->offset;

		if (g->ssrc != in->ssrc || g->layer != in->layer)
			continue;
		if (out - g->first_out >= end_of(m, s->tx_index, k) - g->first_out)
			continue;
		*index = out;
		*ts = in->ts + g->ts_offset;
		return 0;
	}
	return -ESTALE;
}

/* After a restart of this process the slab still knows the distance that the running segment had:
 * go on with it when the packet fits. A track with one layer has the same one; otherwise the switch
 * decides. */
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
	};
}

int dp_seqmap_out(struct dp_seqmap *m, struct sh_sub *s, const struct dp_seqmap_in *in,
                  uint16_t first, uint64_t *index, uint32_t *ts)
{
	const struct dp_segment *g;
	uint64_t out;

	// new keys took the roll-over counter back, and the segments with it (dp_table_rekey)
	if (unlikely(m->count && m->seg[0].first_out > s->tx_index + 1))
		m->count = 0;
	if (unlikely(!m->count && !in->start))
		adopt(m, s, in);
	g = dp_seqmap_newest(m);
	if (!g || in->start || g->ssrc != in->ssrc || g->layer != in->layer) {
		// an SSRC that we left comes late: not a reason to go back to it
		if (g && !in->start && !map_late(m, s, in, index, ts))
			return 0;
		start_segment(m, s, in, first);
		g = dp_seqmap_newest(m);
	}
	out = in->index + g->offset;
	if ((int64_t)(out - s->tx_index) <= 0 && s->tx_index - out < DP_SEQMAP_JUMP)
		return map_late(m, s, in, index, ts);
	if (unlikely(out - s->tx_index >
	             DP_SEQMAP_JUMP)) { // far ahead, or far behind: the input began anew
		start_segment(m, s, in, first);
		g = dp_seqmap_newest(m);
		out = in->index + g->offset;
	}
	s->tx_index = out;
	*index = out;
	*ts = in->ts + g->ts_offset;
	s->last_ts = *ts;
	s->last_at_ns = in->now_ns;
	return 0;
}

void dp_seqmap_skip(struct dp_seqmap *m, struct sh_sub *s, uint64_t index, uint32_t ssrc,
                    uint8_t layer)
{
	struct dp_segment *g = &m->seg[0], next = *g;
	uint64_t out = index + g->offset;

	// what comes late, or after a gap, is not known to leave none
	if (!m->count || g->ssrc != ssrc || g->layer != layer || out != s->tx_index + 1)
		return;
	next.first_out = out;
	next.offset--;
	if (g->first_out != out) // else nothing was sent of it yet
		g = push(m);
	*g = next;
	s->seq_offset = next.offset;
}

const struct dp_segment *dp_seqmap_find(const struct dp_seqmap *m, uint64_t tx_index,
                                        uint64_t index)
{
	for (unsigned k = 0; k < m->count; k++) {
		const struct dp_segment *g = &m->seg[k];

		if (index - g->first_out < end_of(m, tx_index, k) - g->first_out)
			return g;
	}
	return NULL;
}
