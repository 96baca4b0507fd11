/* Where a frame starts, and whether a decoder can start there: the first bytes of the payload
 * formats.
 *   VP8: RFC 7741 §4.2, §4.3. VP9: RFC 9628 §4.2.
 *   H264: RFC 6184 §5.2 to §5.8 (packetization modes 0 and 1).
 *   AV1: the AV1 RTP specification §4.4 and its Dependency Descriptor. */
#include "dataplane/rtp/rtp.h"

enum { BOTH = DP_FRAME_START | DP_FRAME_KEY };

static unsigned frame_vp8(const uint8_t *p, uint32_t len)
{
	uint32_t at = 1;

	if (!(p[0] & 0x10) || (p[0] & 0x07)) // S and PID 0: first packet of the frame
		return 0;
	if (p[0] & 0x80) {
		if (len < 2)
			return 0;
		at = 2;
		if (p[1] & 0x80) { // I: 7 or 15 bits
			if (at >= len)
				return 0;
			at += p[at] & 0x80 ? 2 : 1;
		}
		at += !!(p[1] & 0x40) + !!(p[1] & 0x30); // L; T and K share a byte
	}
	if (at >= len)
		return 0;
	return p[at] & 1 ? DP_FRAME_START : BOTH; // frame header: P, inverse key frame flag
}

static unsigned frame_vp9(const uint8_t *p, uint32_t len)
{
	enum { I = 0x80, P = 0x40, L = 0x20, B = 0x08 };
	uint32_t at = 1;

	if (!(p[0] & B))
		return 0;
	if (p[0] & I) {
		if (at >= len)
			return 0;
		at += p[at] & 0x80 ? 2 : 1;
	}
	if (p[0] & L) {
		if (at >= len || (p[at] & 0x0e)) // spatial layer 0 begins the picture
			return 0;
		at += p[0] & 0x10 ? 1 : 2; // F: no TL0PICIDX in flexible mode
	}
	if (at > len)
		return 0;
	return p[0] & P ? DP_FRAME_START : BOTH;
}

/* One NAL unit, or the first fragment of one: its type and the byte after its header. */
static unsigned frame_nal(unsigned type, const uint8_t *body, uint32_t len)
{
	switch (type) {
	case 1: // slice: first_mb_in_slice is ue(v), 0 is a single 1 bit (H.264 §7.3.3)
	case 2:
		return len && (body[0] & 0x80) ? DP_FRAME_START : 0;
	case 5:
		return len && (body[0] & 0x80) ? BOTH : 0;
	case 7: // SPS
		return BOTH;
	case 6: // SEI, PPS, access unit delimiter
	case 8:
	case 9:
		return DP_FRAME_START;
	default:
		return 0;
	}
}

static unsigned frame_h264(const uint8_t *p, uint32_t len)
{
	unsigned flags = 0, type = p[0] & 31;

	if (type == 28) // FU-A: S bit and the type of what it is a fragment of
		return len > 1 && (p[1] & 0x80) ? frame_nal(p[1] & 31, p + 2, len - 2) : 0;
	if (type != 24)
		return frame_nal(type, p + 1, len - 1);
	for (uint32_t at = 1; at + 2 < len;) { // STAP-A
		uint32_t size = dp_get16(p + at);

		at += 2;
		if (!size || size > len - at)
			break;
		flags |= frame_nal(p[at] & 31, p + at + 1, size - 1);
		at += size;
	}
	return flags;
}

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

/* The first payload byte of a frame or frame header OBU, or -1. */
static int obu_first_byte(const uint8_t *p, uint32_t len)
{
	uint32_t at = 1 + !!(p[0] & 4), size, n; // extension byte

	if (p[0] & 2) { // the RTP format tells senders to leave obu_size out, but allows it
		if (at >= len)
			return -1;
		n = leb128(&size, p + at, len - at);
		if (!n)
			return -1;
		at += n;
	}
	return at < len ? p[at] : -1;
}

/* For senders without Dependency Descriptor and with an unset N bit: a sequence header in front of
 * a key frame. */
static unsigned frame_av1_obus(const uint8_t *p, uint32_t len)
{
	unsigned count = p[0] >> 4 & 3, flags = 0;
	uint32_t at = 1;

	for (unsigned i = 1; at < len && (!count || i <= count); i++) {
		uint32_t size = len - at, n;
		int first;

		if (i != count) {
			n = leb128(&size, p + at, len - at);
			at += n;
			if (!n || size > len - at)
				break;
		}
		if (!size)
			continue;
		switch (p[at] >> 3 & 15) {
		case 1: // sequence header
			flags |= BOTH;
			break;
		case 2: // temporal delimiter
			flags |= DP_FRAME_START;
			break;
		case 3: // frame header, frame: show_existing_frame 0 and frame_type KEY_FRAME 0
		case 6:
			first = obu_first_byte(p + at, size);
			flags |= DP_FRAME_START;
			return first >= 0 && (first & 0xe0) ? flags & ~DP_FRAME_KEY : flags;
		}
		at += size;
	}
	return flags;
}

static unsigned frame_av1(const uint8_t *p, uint32_t len, const uint8_t *dd, uint32_t dd_len)
{
	enum { Z = 0x80, N = 0x08 };

	if (dd_len >= 3) {
		if (!(dd[0] & 0x80)) // start_of_frame
			return 0;
		/* template_dependency_structure_present_flag: a coded video sequence begins */
		if ((dd_len > 3 && (dd[3] & 0x80)) || (p[0] & N))
			return BOTH;
		return DP_FRAME_START;
	}
	if (p[0] & Z)
		return 0;
	return p[0] & N ? BOTH : frame_av1_obus(p, len);
}

unsigned dp_rtp_frame(unsigned codec, const uint8_t *payload, uint32_t len, const uint8_t *dd,
                      uint32_t dd_len)
{
	if (!len)
		return 0;
	switch (codec) {
	case SH_CODEC_VP8:
		return frame_vp8(payload, len);
	case SH_CODEC_VP9:
		return frame_vp9(payload, len);
	case SH_CODEC_H264:
		return frame_h264(payload, len);
	case SH_CODEC_AV1:
		return frame_av1(payload, len, dd, dd_len);
	case SH_CODEC_NONE:
	case SH_CODEC_RTX:
		return 0;
	default: // audio
		return BOTH;
	}
}
