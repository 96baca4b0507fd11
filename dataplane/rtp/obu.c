/* AV1 payloads (AV1 RTP specification §4.4, AV1 bitstream specification §5.3, §5.5, §5.9), for
 * streams without a Dependency Descriptor: key frames, the size, and the temporal layer, which all
 * OBUs of a temporal unit share. Spatial layers are not told apart: where the frame of one ends,
 * which has to be marked when it is the last that is sent, only a descriptor says. */
#include "dataplane/rtp/layers.h"
#include "dataplane/rtp/rtp.h"

enum { BOTH = DP_FRAME_START | DP_FRAME_KEY };
enum { Z = 0x80, N = 0x08 };
enum { OBU_EXTENSION = 4 };
enum { SEQUENCE_HEADER = 1, TEMPORAL_DELIMITER = 2, FRAME_HEADER = 3, FRAME = 6 };

/* leb128 of at most 4 bytes (a packet is shorter than 2^28); 0 bytes used: malformed. */
static uint32_t leb128(uint32_t *value, const uint8_t *p, uint32_t len)
{
	*value = 0;
	for (uint32_t i = 0; i < len && i < 4; i++) {
		*value |= (uint32_t)(p[i] & 0x7f) << 7 * i;
		if (!(p[i] & 0x80))
			return i + 1;
	}
	return 0;
}

/* Where the payload of an OBU begins; len: nowhere. */
static uint32_t obu_body(const uint8_t *p, uint32_t len)
{
	uint32_t at = 1 + !!(p[0] & OBU_EXTENSION), size, n; // extension byte

	if (p[0] & 2) { // the RTP format tells senders to leave obu_size out, but allows it
		if (at >= len)
			return len;
		n = leb128(&size, p + at, len - at);
		if (!n)
			return len;
		at += n;
	}
	return at < len ? at : len;
}

/* The next OBU element of an aggregation packet; false: no more. */
struct elements {
	uint32_t at, size;
	unsigned i;
};

static bool next_element(struct elements *e, const uint8_t *p, uint32_t len)
{
	unsigned count = p[0] >> 4 & 3;

	e->at += e->size;
	if (e->at >= len || (count && e->i == count))
		return false;
	e->i++;
	e->size = len - e->at;
	if (e->i != count) {
		uint32_t n = leb128(&e->size, p + e->at, len - e->at);

		e->at += n;
		if (!n || e->size > len - e->at)
			return false;
	}
	return true;
}

/* START and KEY. */
static unsigned starts(const uint8_t *p, uint32_t len)
{
	struct elements e = {.at = 1};
	unsigned flags = 0;

	if (p[0] & Z)
		return 0;
	if (p[0] & N)
		return BOTH;
	while (next_element(&e, p, len)) {
		const uint8_t *obu = p + e.at;
		uint32_t body;

		if (!e.size)
			continue;
		switch (obu[0] >> 3 & 15) {
		case SEQUENCE_HEADER:
			flags |= BOTH;
			break;
		case TEMPORAL_DELIMITER:
			flags |= DP_FRAME_START;
			break;
		case FRAME_HEADER: // show_existing_frame 0 and frame_type KEY_FRAME 0
		case FRAME:
			body = obu_body(obu, e.size);
			flags |= DP_FRAME_START;
			return body < e.size && (obu[body] & 0xe0) ? flags & ~(unsigned)DP_FRAME_KEY
			                                           : flags;
		}
	}
	return flags;
}

void dp_frame_av1(struct dp_frame_info *f, const uint8_t *p, uint32_t len)
{
	struct elements e = {.at = 1};
	bool part = p[0] & Z; // of an OBU, without its header

	f->flags |= (uint8_t)starts(p, len);
	for (; next_element(&e, p, len); part = false) {
		const uint8_t *obu = p + e.at;
		unsigned tid;

		if (part || e.size < 2 || !(obu[0] & OBU_EXTENSION))
			continue;
		tid = obu[1] >> 5; // the same in all of a packet
		f->tid = (uint8_t)(tid < SH_MAX_TEMPORAL ? tid : SH_MAX_TEMPORAL - 1);
		f->flags |= DP_FRAME_SLICE;
		return;
	}
}

static void skip_uvlc(struct dp_bits *b)
{
	unsigned zeros = 0;

	while (!dp_bits_get(b, 1) && !b->bad)
		zeros++;
	if (zeros < 32)
		(void)dp_bits_get(b, zeros);
}

/* timing_info() and decoder_model_info(); returns buffer_delay_length, 0: no decoder model. */
static unsigned timing(struct dp_bits *b)
{
	unsigned delay;

	(void)dp_bits_get(b, 32);
	(void)dp_bits_get(b, 32);
	if (dp_bits_get(b, 1))
		skip_uvlc(b);
	if (!dp_bits_get(b, 1))
		return 0;
	delay = dp_bits_get(b, 5) + 1;
	(void)dp_bits_get(b, 32);
	(void)dp_bits_get(b, 10);
	return delay;
}

static void operating_points(struct dp_bits *b)
{
	unsigned delay = dp_bits_get(b, 1) ? timing(b) : 0;
	unsigned initial = dp_bits_get(b, 1), points = dp_bits_get(b, 5) + 1;

	for (unsigned i = 0; i < points && !b->bad; i++) {
		(void)dp_bits_get(b, 12);
		if (dp_bits_get(b, 5) > 7) // seq_level_idx
			(void)dp_bits_get(b, 1);
		if (delay && dp_bits_get(b, 1)) {
			(void)dp_bits_get(b, delay);
			(void)dp_bits_get(b, delay);
			(void)dp_bits_get(b, 1);
		}
		if (initial && dp_bits_get(b, 1))
			(void)dp_bits_get(b, 4);
	}
}

static void sequence_header(struct dp_frame_sizes *s, const uint8_t *p, uint32_t len)
{
	struct dp_bits b = dp_bits(p, len);
	unsigned wide, high;
	uint32_t w, h;

	(void)dp_bits_get(&b, 4); // seq_profile, still_picture
	if (dp_bits_get(&b, 1))   // reduced_still_picture_header
		(void)dp_bits_get(&b, 5);
	else
		operating_points(&b);
	wide = dp_bits_get(&b, 4) + 1;
	high = dp_bits_get(&b, 4) + 1;
	w = dp_bits_get(&b, wide) + 1;
	h = dp_bits_get(&b, high) + 1;
	if (b.bad || w > UINT16_MAX || h > UINT16_MAX)
		return;
	s->n = 1;
	s->width[0] = (uint16_t)w;
	s->height[0] = (uint16_t)h;
}

void dp_sizes_av1(struct dp_frame_sizes *s, const uint8_t *p, uint32_t len)
{
	struct elements e = {.at = 1};

	if (p[0] & Z)
		return;
	while (next_element(&e, p, len)) {
		uint32_t body;

		if (!e.size || (p[e.at] >> 3 & 15) != SEQUENCE_HEADER)
			continue;
		body = obu_body(p + e.at, e.size);
		sequence_header(s, p + e.at + body, e.size - body);
		return;
	}
}
