/* From a publisher's packet index to ours, and back for NACK. Pure.
 *
 * What a subscriber gets is a chain of segments, each a run of one incoming stream (layer and SSRC)
 * with a fixed distance between its index and ours. A switch of layer, a resumed pause or a
 * publisher's new SSRC starts a segment right behind the newest index sent, so our sequence numbers
 * go on without a gap; a gap inside a segment stays a gap, so that the subscriber can ask for what
 * is missing, and a late packet finds its place. Invariants: the segments' ranges [first_out, next
 * segment's first_out) do not overlap; within one, our index = theirs + offset. The input is free
 * of duplicates (replay window), so no index of ours is used twice.
 *
 * Where packets in the middle of a segment are left out, layers that the subscriber does not get,
 * the segment has a map of them (drops.h) and its offset is that of the newest index. A packet that
 * turns out to be left out after later ones were numbered has a number already: it is sent empty,
 * without payload, which receivers take for padding; asked for again, it is empty again. So no hole
 * remains that could be asked for in vain.
 *
 * The same holds for the numbers inside of payloads and extensions (struct dp_ids): within a
 * segment ours differ from the publisher's by the segment's, which make the first picture follow
 * the last one sent; VP8's picture ids close up over pictures left out. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "dataplane/node/drops.h"
#include "dataplane/rtp/layers.h"
#include "shared/state.h"

enum {
	DP_SEGMENTS = 4,          // remembered; older ones can no longer be asked for
	DP_SEQMAP_JUMP = 1 << 13, // a forward gap this wide is a restart, not loss
};

struct dp_segment {
	uint64_t first_out;
	uint64_t offset;    // ours − theirs, modulo 2^64
	uint32_t ssrc;      // publisher's
	uint32_t ts_offset; // our RTP timestamp − theirs
	uint32_t track;     // publisher's: of a slot it changes
	uint8_t layer;
	uint8_t drops; // its map, plus one; 0: nothing left out; DP_DROPS_GONE: another's now
	uint8_t tl0, keyidx; // ours − theirs, of dp_ids …
	uint16_t pid;        // … this one of the newest index
	uint16_t frame, pad[2];
};
enum { DP_DROPS_MAPS = 2, DP_DROPS_GONE = 255 }; // of the newest segments that left out something

/* Worker-private; zeroed = new. Newest first: seg[0] is the one that goes on. */
struct dp_seqmap {
	uint8_t count, pad[7];
	struct dp_segment seg[DP_SEGMENTS];
};

/* An incoming packet. */
struct dp_seqmap_in {
	uint64_t index;
	uint32_t ssrc, ts;
	uint32_t track; // index
	uint8_t layer;
	bool start; // begins a new segment in any case (layer switch, end of a pause)
	uint32_t clock_hz;
	uint64_t now_ns;
	const uint32_t *ts_out; // start of a segment: our timestamp of this packet when it is known
	                        // (SRs); or NULL
	/* of a stream with layers, else zero: */
	struct dp_drops *drops;    // [DP_DROPS_MAPS] of this subscriber; NULL: nothing is left out
	bool skip;                 // not to be sent
	bool picture;              // skip: the first of a picture whose id is closed up
	bool mark;                 // sent with a marker bit that it has not
	const struct dp_ids *ids;  // its own
	const struct dp_ids *last; // as sent last to this subscriber
};

enum { DP_SEQ_SEND = 0, DP_SEQ_LEFT_OUT = 1, DP_SEQ_EMPTY = 2 };

/* Maps a packet, advances s->tx_index, and keeps seq_offset, ts_offset, last_ts and last_at_ns of s
 * right. first: index that a new subscription starts behind. DP_SEQ_SEND with *index and *ts;
 * DP_SEQ_EMPTY with the same: to be sent without payload; DP_SEQ_LEFT_OUT: nothing to send;
 * -ESTALE: it is older than what was sent of its stream's segment (a late packet from before a
 * switch): not to be sent. */
int dp_seqmap_out(struct dp_seqmap *m, struct sh_sub *s, const struct dp_seqmap_in *in,
                  uint16_t first, uint64_t *index, uint32_t *ts);

/* A packet that is not forwarded at all (a payload type that the subscriber has not): leaves no
 * gap. */
void dp_seqmap_skip(struct dp_seqmap *m, struct sh_sub *s, uint64_t index, uint32_t ssrc,
                    uint8_t layer);

/* The segment that holds our index, and the publisher's index of that packet; NULL: never sent, or
 * forgotten. drops: as above. */
const struct dp_segment *dp_seqmap_find(const struct dp_seqmap *m, const struct dp_drops *drops,
                                        uint64_t tx_index, uint64_t index, uint64_t *theirs);
/* What has to be added to the ids of a packet of a segment. */
struct dp_ids dp_seqmap_ids(const struct dp_segment *g, const struct dp_drops *drops,
                            uint64_t theirs);
/* Whether a packet was sent empty, or with a marker. */
static inline bool dp_seqmap_was(const struct dp_segment *g, const struct dp_drops *drops,
                                 enum dp_drops_kind kind, uint64_t theirs)
{
	return g->drops && g->drops <= DP_DROPS_MAPS &&
	       dp_drops_get(&drops[g->drops - 1], kind, theirs);
}

/* Newest segment's timestamp offset and layer are what SRs are made with; NULL: nothing sent yet.
 */
static inline const struct dp_segment *dp_seqmap_newest(const struct dp_seqmap *m)
{
	return m->count ? &m->seg[0] : NULL;
}

/* dp_seqmap_out() for nearly every packet: the next one, or one soon after it, of the segment that
 * goes on. false: nothing was done. */
static inline bool dp_seqmap_next(const struct dp_seqmap *m, struct sh_sub *s,
                                  const struct dp_seqmap_in *in, uint64_t *index, uint32_t *ts)
{
	const struct dp_segment *g = &m->seg[0];
	uint64_t out = in->index + g->offset;

	if (!m->count || in->start || in->drops || g->ssrc != in->ssrc || g->layer != in->layer ||
	    out - s->tx_index - 1 >= DP_SEQMAP_JUMP || g->first_out > s->tx_index + 1)
		return false;
	s->tx_index = out;
	*index = out;
	*ts = in->ts + g->ts_offset;
	s->last_ts = *ts;
	s->last_at_ns = in->now_ns;
	return true;
}
