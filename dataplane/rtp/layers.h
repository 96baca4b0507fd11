/* What one packet says about the frame that it is part of: where the frame starts and ends, which
 * spatial and temporal layer it is of, who needs it, and the numbers that a receiver expects to go
 * on without a gap. Read once a packet, from the payload formats' descriptors or from the
 * Dependency Descriptor.
 *
 * VP8: RFC 7741. VP9: RFC 9628. H264: RFC 6184, RFC 6190 §1.1.3 (prefix NAL units). AV1 and
 * Dependency Descriptor: AV1 RTP specification 1.0, §4 and appendix A. Where a Dependency
 * Descriptor is understood, it alone decides, whatever the codec, so that the payload may be
 * encrypted end to end; VP8's and VP9's payload descriptors stay in the clear then too.
 *
 * Pure, as all of rtp/: any thread, on data it owns; nothing outside the given bytes is read. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shared/limits.h"

enum {
	DP_FRAME_START = 1,    // first packet of a (layer) frame; H264: as far as one packet tells
	DP_FRAME_KEY = 2,      // with START: a decoder can start here; begins a key picture
	DP_FRAME_END = 4,      // last packet of a (layer) frame
	DP_FRAME_PICTURE = 8,  // first packet seen of a new picture (timestamp); node/frames.c
	DP_FRAME_SYNC = 16,    // VP8 Y: depends on temporal layer 0 only
	DP_FRAME_LAYERED = 32, // its stream has several layers, of either kind; node/frames.c
	DP_FRAME_SLICE = 64,   // H264, AV1: has (a part of) a slice, or an OBU, that tells tid
};

/* Numbers of a frame that receivers want to go on over a switch of streams, as in the packet. */
enum {
	DP_IDS_VP8 = 1,
	DP_IDS_VP9 = 2,
	DP_IDS_PID = 4,     // pid, 7 bits …
	DP_IDS_PID15 = 8,   // … or 15
	DP_IDS_TL0 = 16,    // tl0: TL0PICIDX
	DP_IDS_KEYIDX = 32, // keyidx, 5 bits
	DP_IDS_DD = 64,     // frame: the Dependency Descriptor's frame_number
};
struct dp_ids {
	uint16_t pid, frame;
	uint8_t tl0, keyidx;
	uint8_t has; // DP_IDS_*
	uint8_t pad;
};
_Static_assert(sizeof(struct dp_ids) == 8, "copied for every packet");

#define DP_UP(q, t) ((uint16_t)(1u << ((q)*SH_MAX_TEMPORAL + (t))))

struct dp_frame_info {
	uint8_t flags; // DP_FRAME_*
	uint8_t sid,
	    tid;      // spatial 0..SH_MAX_LAYERS-1, temporal 0..SH_MAX_TEMPORAL-1; higher are cut
	uint8_t need; // bit q: who is sent spatial layer q needs it (unless its tid is too high)
	/* DP_UP(q, t): who is sent this frame and spatial layer q may go up to temporal layer t
	 * from here on: no later frame up to t depends on an earlier one that was left out */
	uint16_t up;
	uint8_t spatial; // bit s: spatial layer s is being sent; 0: this packet does not say
	uint8_t streams; // bit l: stream (simulcast layer) l is being sent; node/frames.c
	struct dp_ids ids;
};
_Static_assert(sizeof(struct dp_frame_info) == 16, "beside the packet");

/* Sizes of the spatial layers, as far as a key frame's first packet tells. */
struct dp_frame_sizes {
	uint8_t n; // 0: nothing said
	uint16_t width[SH_MAX_LAYERS], height[SH_MAX_LAYERS];
};

/* ---- Dependency Descriptor (dd.c) ---- */

enum { DP_DD_TEMPLATES = 64, DP_DD_TARGETS = 32 };

/* What later packets of a stream refer to: its template structure, in our words. Zeroed: none yet.
 */
struct dp_dd {
	uint64_t index;    // of the packet that brought it
	uint32_t active;   // bit d: decode target d is being sent
	uint8_t templates; // 1..64; 0: no structure
	uint8_t offset;    // template_id of the first
	uint8_t targets, chains;
	struct dp_frame_sizes sizes;
	uint8_t target_sid[DP_DD_TARGETS], target_tid[DP_DD_TARGETS];
	uint32_t with[SH_MAX_LAYERS], upto[SH_MAX_TEMPORAL]; // dp_dd_targets
	uint8_t target[SH_MAX_LAYERS]
	              [SH_MAX_TEMPORAL]; // decode target of such layers, plus one; 0: none
	struct {
		uint16_t up;
		uint8_t need, sid, tid, pad;
	} t[DP_DD_TEMPLATES];
};

/* What has to be known of a packet to tell who is not sent all layers which decode targets there
 * are. Bit d of each: decode target d. */
struct dp_dd_targets {
	uint32_t active;                // being sent by the publisher
	uint32_t with[SH_MAX_LAYERS];   // all its frames are there for who is sent spatial layer q
	uint32_t upto[SH_MAX_TEMPORAL]; // it has no higher temporal layer than t
	uint16_t at;                    // the bitmask's place in the descriptor, bits
	uint8_t n;                      // of targets, 1..DP_DD_TARGETS
	bool structure, told;           // the packet has a structure; it has a bitmask
};

/* Those that are left for who is sent such layers; spatial DP_DD_ALL: of every spatial layer. */
enum { DP_DD_ALL = 15 };
static inline uint32_t dp_dd_left(const struct dp_dd_targets *k, unsigned spatial,
                                  unsigned temporal)
{
	return k->active & (spatial < SH_MAX_LAYERS ? k->with[spatial] : UINT32_MAX) &
	       (temporal < SH_MAX_TEMPORAL ? k->upto[temporal] : UINT32_MAX);
}

/* The descriptor with another active_decode_targets_bitmask, in the place of its own or where it
 * had none. k: as it was read. out: room for len + DP_DD_GROWS. Returns its length. */
enum {
	DP_DD_GROWS = 6,
	DP_DD_NARROW = 16,
	DP_DD_MAX = 255
}; // bytes; that the one-byte form can hold; at all
uint32_t dp_dd_tell(uint8_t *out, const uint8_t *dd, uint32_t len, const struct dp_dd_targets *k,
                    uint32_t active);

/* ---- payload formats (frame.c, nal.c, obu.c) ---- */

struct dp_frame_in {
	unsigned codec;         // enum sh_codec
	const uint8_t *payload; // after RTX restoring
	uint32_t len;
	bool marker;
	const uint8_t *dd; // Dependency Descriptor, or NULL
	uint32_t dd_len;
	struct dp_dd *state; // of the stream, or NULL: descriptors are not understood
	struct dp_dd_targets
	    *targets;        // NULL, or where to put what a frame's first packet tells of them
	uint64_t index;      // of the packet
	bool newest;         // no later packet of the stream was seen
};

/* Reads the descriptor in->dd: sets all of *f but what node/frames.c adds; ids: frame and its bit.
 * When the packet did not come late, its structure or active targets are taken over into
 * *in->state. 0; -EBADMSG: malformed, or its template is not in the structure; -ENOENT: no
 * structure is known yet. On errors nothing is changed. */
int dp_dd_read(struct dp_frame_info *f, const struct dp_frame_in *in);

/* Fills *f. Non-video codecs: START, KEY and END. Malformed or empty: no flags but END. */
void dp_frame_read(struct dp_frame_info *f, const struct dp_frame_in *in);
/* Sizes that a packet with DP_FRAME_KEY tells. */
void dp_frame_sizes(struct dp_frame_sizes *s, const struct dp_frame_in *in);

/* The parts. p[0..len), len at least 1. */
void dp_frame_h264(struct dp_frame_info *f, const uint8_t *p, uint32_t len);
void dp_sizes_h264(struct dp_frame_sizes *s, const uint8_t *p, uint32_t len);
void dp_frame_av1(struct dp_frame_info *f, const uint8_t *p, uint32_t len);
void dp_sizes_av1(struct dp_frame_sizes *s, const uint8_t *p, uint32_t len);

/* ---- rewriting (ids.c) ---- */

/* Adds, modulo the width of each, what delta says to the numbers of a VP8 or VP9 payload
 * descriptor; has says what is there (dp_frame_info.ids). */
void dp_ids_patch(uint8_t *payload, uint32_t len, uint8_t has, const struct dp_ids *delta);
/* What has to be added so that `first`, the ids of a key frame, follows `last`, those sent last. */
struct dp_ids dp_ids_follow(const struct dp_ids *last, const struct dp_ids *first);

/* ---- bits, most significant first; reading past the end gives zeros and sets bad ---- */

struct dp_bits {
	const uint8_t *p;
	uint32_t at, end; // bits
	bool bad;
};

static inline struct dp_bits dp_bits(const uint8_t *p, uint32_t len)
{
	return (struct dp_bits){.p = p, .end = len * 8};
}

static inline uint32_t dp_bits_get(struct dp_bits *b, unsigned n) // n <= 32
{
	uint32_t v = 0;

	if (n > b->end - b->at) {
		b->bad = true;
		b->at = b->end;
		return 0;
	}
	for (; n; n--, b->at++)
		v = v << 1 | (b->p[b->at >> 3] >> (7 - (b->at & 7)) & 1);
	return v;
}
