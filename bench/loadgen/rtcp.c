#include "bench/loadgen/rtcp.h"
#include <string.h>

enum { SR = 200, RR = 201, SDES = 202, BYE = 203, RTPFB = 205, PSFB = 206 };

static uint8_t *put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	return put16(put16(p, v >> 16), v & 0xffff);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint8_t *head(uint8_t *p, unsigned count, unsigned type, size_t bytes)
{
	p[0] = (uint8_t)(0x80 | count);
	p[1] = (uint8_t)type;
	return put16(p + 2, (uint32_t)(bytes / 4 - 1));
}

static uint8_t *put_cname(uint8_t *p, uint32_t ssrc, const char *cname)
{
	size_t n = strlen(cname), bytes = (8 + 2 + n + 1 + 3) & ~(size_t)3;
	uint8_t *at = put32(head(p, 1, SDES, bytes), ssrc);

	memset(at, 0, bytes - 8);
	at[0] = 1;
	at[1] = (uint8_t)n;
	memcpy(at + 2, cname, n);
	return p + bytes;
}

size_t lg_rtcp_rr(uint8_t *p, uint32_t ssrc, const struct lg_rx_report *block, unsigned n,
                  const char *cname)
{
	uint8_t *at = put32(head(p, n, RR, 8 + 24 * (size_t)n), ssrc);

	for (unsigned i = 0; i < n; i++) {
		at = put32(at, block[i].ssrc);
		at = put32(at, (uint32_t)block[i].fraction << 24 | (block[i].lost & 0xffffff));
		at = put32(at, block[i].max_seq);
		at = put32(at, block[i].jitter);
		at = put32(at, block[i].last_sr);
		at = put32(at, block[i].delay);
	}
	return (size_t)(put_cname(at, ssrc, cname) - p);
}

size_t lg_rtcp_sr(uint8_t *p, const struct lg_sr *sr, const char *cname)
{
	uint8_t *at = put32(head(p, 0, SR, 28), sr->ssrc);

	at = put32(at, (uint32_t)(sr->ntp >> 32));
	at = put32(at, (uint32_t)sr->ntp);
	at = put32(at, sr->rtp_ts);
	at = put32(at, sr->packets);
	at = put32(at, sr->bytes);
	return (size_t)(put_cname(at, sr->ssrc, cname) - p);
}

size_t lg_rtcp_pli(uint8_t *p, uint32_t ssrc, uint32_t media_ssrc)
{
	return (size_t)(put32(put32(head(p, 1, PSFB, 12), ssrc), media_ssrc) - p);
}

static void feedback(const uint8_t *p, size_t len, const struct lg_rtcp_in *in)
{
	unsigned fmt = p[0] & 31;

	if (p[1] == PSFB && fmt == 1 && in->key_frame)
		in->key_frame(in->arg, get32(p + 8));
	if (p[1] == PSFB && fmt == 4 && in->key_frame)
		for (size_t at = 12; at + 8 <= len; at += 8)
			in->key_frame(in->arg, get32(p + at));
	if (p[1] == RTPFB && fmt == 1 && in->nack)
		for (size_t at = 12; at + 4 <= len; at += 4) {
			uint32_t v = get32(p + at);

			in->nack(in->arg, get32(p + 8), (uint16_t)(v >> 16));
			for (unsigned i = 0; i < 16; i++)
				if (v >> i & 1)
					in->nack(in->arg, get32(p + 8),
					         (uint16_t)((v >> 16) + i + 1));
		}
}

bool lg_rtcp_parse(const uint8_t *p, size_t len, const struct lg_rtcp_in *in)
{
	while (len) {
		size_t bytes;

		if (len < 4 || p[0] >> 6 != 2)
			return false;
		bytes = 4 * ((size_t)p[2] << 8 | p[3]) + 4;
		if (bytes > len)
			return false;
		if (p[1] == SR && bytes >= 28 && in->sr)
			in->sr(in->arg, get32(p + 4), get32(p + 10));
		else if ((p[1] == RTPFB || p[1] == PSFB) && bytes >= 12)
			feedback(p, bytes, in);
		else if (p[1] == BYE && in->bye)
			for (size_t i = 0; i < (p[0] & 31U) && 8 + 4 * i <= bytes; i++)
				in->bye(in->arg, get32(p + 4 + 4 * i));
		p += bytes;
		len -= bytes;
	}
	return true;
}
