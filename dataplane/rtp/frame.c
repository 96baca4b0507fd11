/* What a packet says of its frame: the first bytes of the payload formats.
 *   VP8: RFC 7741 §4.2, §4.3, RFC 6386 §9.1. VP9: RFC 9628 §4.2.
 *   H264 is in nal.c, AV1's own units in obu.c, the Dependency Descriptor in dd.c. */
#include "dataplane/rtp/layers.h"
#include "dataplane/rtp/rtp.h"
#include <string.h>

enum { BOTH = DP_FRAME_START | DP_FRAME_KEY };
enum { ALL_NEED = (1 << SH_MAX_LAYERS) - 1, UP_ANY = (1 << SH_MAX_LAYERS * SH_MAX_TEMPORAL) - 1 };
_Static_assert(SH_MAX_LAYERS *SH_MAX_TEMPORAL <= 16, "up has a bit for each");

static uint32_t picture_id(struct dp_ids *ids, const uint8_t *p, uint32_t at, uint32_t len)
{
	if (at >= len)
		return len + 1;
	if (!(p[at] & 0x80)) {
		ids->pid = p[at];
		ids->has |= DP_IDS_PID;
		return at + 1;
	}
	if (at + 1 >= len)
		return len + 1;
	ids->pid = dp_get16(p + at) & 0x7fff;
	ids->has |= DP_IDS_PID15;
	return at + 2;
}

/* Returns where the VP8 payload begins; beyond len: the descriptor is cut off. */
static uint32_t vp8_descriptor(struct dp_frame_info *f, const uint8_t *p, uint32_t len)
{
	struct dp_ids *ids = &f->ids;
	uint32_t at = 2;
	uint8_t bits;

	ids->has = DP_IDS_VP8;
	if (!(p[0] & 0x80)) // X
		return 1;
	if (len < 2)
		return len + 1;
	bits = p[1];
	if (bits & 0x80) // I
		at = picture_id(ids, p, at, len);
	if (bits & 0x40) { // L
		if (at >= len)
			return len + 1;
		ids->tl0 = p[at++];
		ids->has |= DP_IDS_TL0;
	}
	if (bits & 0x30) { // T, K
		if (at >= len)
			return len + 1;
		if (bits & 0x20) {
			f->tid = p[at] >> 6;
			if (p[at] & 0x20)
				f->flags |= DP_FRAME_SYNC;
		}
		if (bits & 0x10) {
			ids->keyidx = p[at] & 31;
			ids->has |= DP_IDS_KEYIDX;
		}
		at++;
	}
	return at;
}

static void frame_vp8(struct dp_frame_info *f, const uint8_t *p, uint32_t len)
{
	uint32_t at = vp8_descriptor(f, p, len);

	if (at > len) { // not to be rewritten either
		f->ids.has = 0;
		f->flags &= DP_FRAME_END;
		return;
	}
	if (!(p[0] & 0x10) || (p[0] & 0x07) || at == len) // S and PID 0: first packet of the frame
		return;
	f->flags |= p[at] & 1 ? DP_FRAME_START : BOTH; // frame header: P, inverse key frame flag
}

static void sizes_vp8(struct dp_frame_sizes *s, const uint8_t *p, uint32_t len)
{
	struct dp_frame_info f = {0};
	uint32_t at = vp8_descriptor(&f, p, len);

	if (at > len || len - at < 10 || p[at + 3] != 0x9d || p[at + 4] != 0x01 ||
	    p[at + 5] != 0x2a)
		return;
	s->n = 1;
	s->width[0] = (uint16_t)(p[at + 6] | p[at + 7] << 8) & 0x3fff;
	s->height[0] = (uint16_t)(p[at + 8] | p[at + 9] << 8) & 0x3fff;
}

enum {
	VP9_I = 0x80,
	VP9_P = 0x40,
	VP9_L = 0x20,
	VP9_F = 0x10,
	VP9_B = 8,
	VP9_E = 4,
	VP9_V = 2,
	VP9_Z = 1
};

/* Returns where the scalability structure or payload begins. */
static uint32_t vp9_descriptor(struct dp_frame_info *f, const uint8_t *p, uint32_t len)
{
	uint32_t at = 1;
	unsigned sid = 0;

	f->ids.has = DP_IDS_VP9;
	if (p[0] & VP9_I)
		at = picture_id(&f->ids, p, at, len);
	if (p[0] & VP9_L) {
		if (at >= len)
			return len + 1;
		f->tid = p[at] >> 5;
		sid = p[at] >> 1 & 7;
		f->up = p[at] & 0x10 ? UP_ANY : 0; // U
		at++;
		if (!(p[0] & VP9_F)) {
			if (at >= len)
				return len + 1;
			f->ids.tl0 = p[at++];
			f->ids.has |= DP_IDS_TL0;
		}
		if (f->tid >= SH_MAX_TEMPORAL)
			f->tid = SH_MAX_TEMPORAL - 1;
		f->sid = (uint8_t)(sid < SH_MAX_LAYERS ? sid : SH_MAX_LAYERS - 1);
		f->need = (uint8_t)(ALL_NEED & ~((1u << f->sid) - 1));
		if (p[0] &
		    VP9_Z) // not a reference for upper layers: who is sent those can do without
			f->need = (uint8_t)(1u << f->sid);
	}
	if ((p[0] & (VP9_F | VP9_P)) == (VP9_F | VP9_P)) {
		for (unsigned i = 0; i < 3; i++) { // P_DIFF, N
			if (at >= len)
				return len + 1;
			if (!(p[at++] & 1))
				break;
		}
	}
	return at;
}

static void frame_vp9(struct dp_frame_info *f, const uint8_t *p, uint32_t len)
{
	uint32_t at = vp9_descriptor(f, p, len);

	if (at > len) {
		*f = (struct dp_frame_info){.need = ALL_NEED, .flags = f->flags & DP_FRAME_END};
		return;
	}
	if ((p[0] & VP9_V) && at < len) { // N_S
		unsigned n = (p[at] >> 5) + 1u;

		f->spatial = (uint8_t)(n >= SH_MAX_LAYERS ? ALL_NEED : (1u << n) - 1);
	}
	f->flags = p[0] & VP9_E ? DP_FRAME_END : 0;
	if (p[0] & VP9_B)
		f->flags |= (p[0] & VP9_P) || f->sid ? DP_FRAME_START : BOTH;
}

static void sizes_vp9(struct dp_frame_sizes *s, const uint8_t *p, uint32_t len)
{
	struct dp_frame_info f = {0};
	uint32_t at = vp9_descriptor(&f, p, len);
	unsigned n;

	if (!(p[0] & VP9_V) || at >= len || !(p[at] & 0x10)) // Y
		return;
	n = (p[at++] >> 5) + 1u;
	if (len - at < 4 * n)
		return;
	for (unsigned i = 0; i < n && i < SH_MAX_LAYERS; i++) {
		s->width[i] = dp_get16(p + at + 4 * i);
		s->height[i] = dp_get16(p + at + 4 * i + 2);
		s->n = (uint8_t)(i + 1);
	}
}

static void by_codec(struct dp_frame_info *f, const struct dp_frame_in *in)
{
	switch (in->codec) {
	case SH_CODEC_VP8:
		frame_vp8(f, in->payload, in->len);
		return;
	case SH_CODEC_VP9:
		frame_vp9(f, in->payload, in->len);
		return;
	case SH_CODEC_H264:
		dp_frame_h264(f, in->payload, in->len);
		break;
	case SH_CODEC_AV1:
		dp_frame_av1(f, in->payload, in->len);
		break;
	case SH_CODEC_NONE:
	case SH_CODEC_RTX:
		return;
	default: // audio
		f->flags |= BOTH;
		return;
	}
	if (!f->tid) // layers are nested: a frame of the lowest is enough to go up from
		f->up = UP_ANY;
}

void dp_frame_read(struct dp_frame_info *f, const struct dp_frame_in *in)
{
	*f = (struct dp_frame_info){.need = ALL_NEED, .flags = in->marker ? DP_FRAME_END : 0};
	if (!in->len)
		return;
	if (in->dd && in->state) {
		if (in->codec != SH_CODEC_AV1) // for the ids, which stay in the clear
			by_codec(f, in);
		if (!dp_dd_read(f, in) || in->codec != SH_CODEC_AV1)
			return;
	}
	by_codec(f, in);
}

void dp_frame_sizes(struct dp_frame_sizes *s, const struct dp_frame_in *in)
{
	*s = (struct dp_frame_sizes){0};
	if (!in->len)
		return;
	if (in->dd && in->state && in->state->templates && in->state->sizes.n) {
		*s = in->state->sizes;
		return;
	}
	if (in->codec == SH_CODEC_VP8)
		sizes_vp8(s, in->payload, in->len);
	if (in->codec == SH_CODEC_VP9)
		sizes_vp9(s, in->payload, in->len);
	if (in->codec == SH_CODEC_H264)
		dp_sizes_h264(s, in->payload, in->len);
	if (in->codec == SH_CODEC_AV1)
		dp_sizes_av1(s, in->payload, in->len);
}
