#include "bench/loadgen/packet.h"
#include "bench/loadgen/bytes.h"

enum { FIXED = 12, ONE_BYTE = 0xbede, TWO_BYTE = 0x1000 };

size_t lg_rtp_head(const uint8_t *b, size_t len)
{
	size_t n = FIXED + 4U * (b[0] & 15);

	if (b[0] & 0x10) {
		if (n + 4 > len)
			return 0;
		n += 4 + 4 * (size_t)lg_get16(b + n + 2);
	}
	return n <= len ? n : 0;
}

const uint8_t *lg_rtp_ext(const uint8_t *b, uint8_t id, size_t *n)
{
	const uint8_t *p = b + FIXED + 4U * (b[0] & 15), *end;
	uint16_t profile;

	if (!(b[0] & 0x10) || !id)
		return NULL;
	profile = lg_get16(p);
	end = p + 4 + 4 * (size_t)lg_get16(p + 2);
	if (profile != ONE_BYTE && (profile & 0xfff0) != TWO_BYTE)
		return NULL;
	for (p += 4; p < end;) {
		size_t len, head = profile == ONE_BYTE ? 1 : 2;
		uint8_t this;

		if (!*p) { // padding
			p++;
			continue;
		}
		if (p + head > end)
			return NULL;
		this = profile == ONE_BYTE ? *p >> 4 : *p;
		len = profile == ONE_BYTE ? (*p & 15) + 1U : p[1];
		p += head;
		if (len > (size_t)(end - p) || (profile == ONE_BYTE && this == 15))
			return NULL;
		if (this == id) {
			*n = len;
			return p;
		}
		p += len;
	}
	return NULL;
}

size_t lg_rtp_unpadded(const uint8_t *b, size_t len, size_t head)
{
	size_t n = b[0] & 0x20 ? b[len - 1] : 0;

	return head + n <= len ? len - n : 0;
}
