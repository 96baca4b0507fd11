/* H264 payloads (RFC 6184 §5.2 to §5.8, packetization modes 0 and 1): where a picture starts, its
 * temporal layer, its size (H.264 §7.3.2.1.1).
 *
 * The temporal layer is that of a prefix NAL unit (RFC 6190 §1.1.3) where there is one; else
 * pictures that nobody refers to (nal_ref_idc 0) are layer 1, all others layer 0. Layers are taken
 * to be nested: nothing refers to a picture of a higher one. */
#include "dataplane/rtp/layers.h"
#include "dataplane/rtp/rtp.h"

enum { BOTH = DP_FRAME_START | DP_FRAME_KEY };
enum {
	SLICE = 1,
	PARTITION_A = 2,
	IDR = 5,
	SEI = 6,
	SPS = 7,
	PPS = 8,
	DELIMITER = 9,
	PREFIX = 14,
	STAP_A = 24,
	FU_A = 28
};

/* One NAL unit, or the first fragment of one: header byte and what is behind it. */
static void unit(struct dp_frame_info *f, uint8_t header, const uint8_t *body, uint32_t len)
{
	bool first = len && (body[0] & 0x80); // first_mb_in_slice is ue(v), 0 is a single 1 bit

	switch (header & 31) {
	case SLICE:
	case PARTITION_A:
		if (!(header & 0x60) && !f->tid) // nal_ref_idc
			f->tid = 1;
		f->flags |= DP_FRAME_SLICE | (first ? DP_FRAME_START : 0);
		return;
	case IDR:
		f->tid = 0;
		f->flags |= DP_FRAME_SLICE | (first ? BOTH : 0);
		return;
	case SPS:
		f->flags |= BOTH;
		return;
	case SEI:
	case PPS:
	case DELIMITER:
		f->flags |= DP_FRAME_START;
		return;
	case PREFIX: // nal_unit_header_svc_extension: temporal_id in the third byte
		if (len < 3 || !(body[0] & 0x80)) // svc_extension_flag
			return;
		f->tid = body[2] >> 5;
		if (f->tid >= SH_MAX_TEMPORAL)
			f->tid = SH_MAX_TEMPORAL - 1;
		f->flags |= DP_FRAME_SLICE | DP_FRAME_START;
		return;
	}
}

/* The units of a STAP-A (§5.7.1), one after the other; *at begins behind its header byte. NULL: no
 * more. */
static const uint8_t *next_unit(const uint8_t *p, uint32_t len, uint32_t *at, uint32_t *size)
{
	const uint8_t *u;

	if (*at + 2 >= len)
		return NULL;
	*size = dp_get16(p + *at);
	if (!*size || *size > len - *at - 2)
		return NULL;
	u = p + *at + 2;
	*at += 2 + *size;
	return u;
}

void dp_frame_h264(struct dp_frame_info *f, const uint8_t *p, uint32_t len)
{
	unsigned type = p[0] & 31;
	uint32_t at = 1, size;
	const uint8_t *u;

	if (type == FU_A) { // S bit; the unit's header is put together of both bytes
		if (len < 2)
			return;
		if (p[1] & 0x80)
			unit(f, (uint8_t)((p[0] & 0xe0) | (p[1] & 31)), p + 2, len - 2);
		else // the middle of a slice: no start, but its layer
			unit(f, (uint8_t)((p[0] & 0xe0) | (p[1] & 31)), NULL, 0);
		if (!(p[1] & 0x80))
			f->flags &= (uint8_t)~BOTH;
		return;
	}
	if (type != STAP_A) {
		unit(f, p[0], p + 1, len - 1);
		return;
	}
	while ((u = next_unit(p, len, &at, &size)))
		unit(f, u[0], u + 1, size - 1);
}

/* ---- sequence parameter set ---- */

struct rbsp { // without emulation prevention bytes (§7.4.1.1); enough for what comes before the
	      // size
	uint8_t buf[128];
	uint32_t len;
};

static void unescape(struct rbsp *r, const uint8_t *p, uint32_t len)
{
	unsigned zeros = 0;

	r->len = 0;
	for (uint32_t i = 0; i < len && r->len < sizeof(r->buf); i++) {
		if (zeros >= 2 && p[i] == 3) {
			zeros = 0;
			continue;
		}
		zeros = p[i] ? 0 : zeros + 1;
		r->buf[r->len++] = p[i];
	}
}

static uint32_t ue(struct dp_bits *b) // §9.1
{
	unsigned zeros = 0;

	while (!dp_bits_get(b, 1)) {
		if (b->bad || ++zeros > 16) { // nothing here is that large
			b->bad = true;
			return 0;
		}
	}
	return (1u << zeros) - 1 + dp_bits_get(b, zeros);
}

static void scaling_list(struct dp_bits *b, unsigned size)
{
	int last = 8, next = 8;

	for (unsigned i = 0; i < size && !b->bad; i++) {
		if (next) {
			uint32_t k = ue(b); // se(v)

			next = (last + (k & 1 ? (int)(k + 1) / 2 : -(int)(k / 2)) + 256) & 255;
		}
		last = next ? next : last;
	}
}

/* Returns chroma_format_idc; *separate: planes are coded one by one. */
static unsigned high_profile(struct dp_bits *b, bool *separate)
{
	unsigned chroma = ue(b);

	*separate = chroma == 3 && dp_bits_get(b, 1);
	(void)ue(b); // bit depths
	(void)ue(b);
	(void)dp_bits_get(b, 1); // qpprime_y_zero_transform_bypass_flag
	if (dp_bits_get(b, 1))   // seq_scaling_matrix_present_flag
		for (unsigned i = 0; i < (chroma == 3 ? 12u : 8u) && !b->bad; i++)
			if (dp_bits_get(b, 1))
				scaling_list(b, i < 6 ? 16 : 64);
	return chroma;
}

static bool is_high(unsigned profile)
{
	static const uint8_t high[] = {100, 110, 122, 244, 44,  83, 86,
	                               118, 128, 138, 139, 134, 135};

	for (unsigned i = 0; i < sizeof(high); i++)
		if (high[i] == profile)
			return true;
	return false;
}

static void order_count(struct dp_bits *b)
{
	unsigned type = ue(b), n;

	if (type == 0)
		(void)ue(b);
	if (type != 1)
		return;
	(void)dp_bits_get(b, 1);
	(void)ue(b);
	(void)ue(b);
	n = ue(b);
	for (unsigned i = 0; i < n && i < 255 && !b->bad; i++)
		(void)ue(b);
}

static void sps(struct dp_frame_sizes *s, const uint8_t *p, uint32_t len)
{
	uint32_t w, h, left = 0, right = 0, top = 0, bottom = 0, profile, frame_only;
	unsigned chroma = 1;
	bool separate = false;
	struct dp_bits b;
	struct rbsp r;

	unescape(&r, p, len);
	b = dp_bits(r.buf, r.len);
	profile = dp_bits_get(&b, 8);
	(void)dp_bits_get(&b, 16); // constraints, level
	(void)ue(&b);              // id
	if (is_high(profile))
		chroma = high_profile(&b, &separate);
	(void)ue(&b); // log2_max_frame_num_minus4
	order_count(&b);
	(void)ue(&b); // max_num_ref_frames
	(void)dp_bits_get(&b, 1);
	w = (ue(&b) + 1) * 16;
	h = (ue(&b) + 1) * 16;
	frame_only = dp_bits_get(&b, 1);
	h *= 2 - frame_only;
	if (!frame_only)
		(void)dp_bits_get(&b, 1);
	(void)dp_bits_get(&b, 1); // direct_8x8_inference_flag
	if (dp_bits_get(&b, 1)) { // cropping, in units of table 6-1
		uint32_t x = !separate && (chroma == 1 || chroma == 2) ? 2 : 1;
		uint32_t y = (!separate && chroma == 1 ? 2 : 1) * (2 - frame_only);

		left = ue(&b) * x;
		right = ue(&b) * x;
		top = ue(&b) * y;
		bottom = ue(&b) * y;
	}
	if (b.bad || left + right >= w || top + bottom >= h || w > UINT16_MAX || h > UINT16_MAX)
		return;
	s->n = 1;
	s->width[0] = (uint16_t)(w - left - right);
	s->height[0] = (uint16_t)(h - top - bottom);
}

void dp_sizes_h264(struct dp_frame_sizes *s, const uint8_t *p, uint32_t len)
{
	uint32_t at = 1, size;
	const uint8_t *u;

	if ((p[0] & 31) == SPS)
		sps(s, p + 1, len - 1);
	if ((p[0] & 31) != STAP_A)
		return;
	while ((u = next_unit(p, len, &at, &size)))
		if ((u[0] & 31) == SPS)
			sps(s, u + 1, size - 1);
}
