#include "bench/loadgen/rtcp.h"
#include <string.h>
#include "bench/loadgen/bytes.h"

enum { SR = 200, RR = 201, SDES = 202, BYE = 203, RTPFB = 205, PSFB = 206 };
enum { NACK = 1, TWCC = 15, PLI = 1, FIR = 4, AFB = 15 }; // formats of the last two

static uint8_t *head(uint8_t *p, unsigned count, unsigned type, size_t bytes)
{
	p[0] = (uint8_t)(0x80 | count);
	p[1] = (uint8_t)type;
	return lg_put16(p + 2, (uint32_t)(bytes / 4 - 1));
}

static uint8_t *put_cname(uint8_t *p, uint32_t ssrc, const char *cname)
{
	size_t n = strlen(cname), bytes = (8 + 2 + n + 1 + 3) & ~(size_t)3;
	uint8_t *at = lg_put32(head(p, 1, SDES, bytes), ssrc);

	memset(at, 0, bytes - 8);
	at[0] = 1;
	at[1] = (uint8_t)n;
	memcpy(at + 2, cname, n);
	return p + bytes;
}

size_t lg_rtcp_rr(uint8_t *p, uint32_t ssrc, const struct lg_rx_report *block, unsigned n,
                  const char *cname)
{
	uint8_t *at = lg_put32(head(p, n, RR, 8 + 24 * (size_t)n), ssrc);

	for (unsigned i = 0; i < n; i++) {
		at = lg_put32(at, block[i].ssrc);
		at = lg_put32(at, (uint32_t)block[i].fraction << 24 | (block[i].lost & 0xffffff));
		at = lg_put32(at, block[i].max_seq);
		at = lg_put32(at, block[i].jitter);
		at = lg_put32(at, block[i].last_sr);
		at = lg_put32(at, block[i].delay);
	}
	return (size_t)(put_cname(at, ssrc, cname) - p);
}

size_t lg_rtcp_sr(uint8_t *p, const struct lg_sr *sr, const char *cname)
{
	uint8_t *at = lg_put32(head(p, 0, SR, 28), sr->ssrc);

	at = lg_put32(at, (uint32_t)(sr->ntp >> 32));
	at = lg_put32(at, (uint32_t)sr->ntp);
	at = lg_put32(at, sr->rtp_ts);
	at = lg_put32(at, sr->packets);
	at = lg_put32(at, sr->bytes);
	return (size_t)(put_cname(at, sr->ssrc, cname) - p);
}

size_t lg_rtcp_pli(uint8_t *p, uint32_t ssrc, uint32_t media_ssrc)
{
	return (size_t)(lg_put32(lg_put32(head(p, PLI, PSFB, 12), ssrc), media_ssrc) - p);
}

size_t lg_rtcp_nack(uint8_t *p, uint32_t ssrc, uint32_t media_ssrc, const uint16_t *seqs,
                    unsigned n)
{
	uint8_t *at = p + 12;

	for (unsigned i = 0; i < n;) {
		uint16_t pid = seqs[i++], bits = 0;

		for (; i < n && (uint16_t)(seqs[i] - pid) <= 16; i++)
			if (seqs[i] != pid)
				bits |= (uint16_t)(1 << ((uint16_t)(seqs[i] - pid) - 1));
		at = lg_put16(lg_put16(at, pid), bits);
	}
	lg_put32(lg_put32(head(p, NACK, RTPFB, (size_t)(at - p)), ssrc), media_ssrc);
	return (size_t)(at - p);
}

size_t lg_rtcp_remb(uint8_t *p, uint32_t ssrc, uint64_t bps, const uint32_t *ssrcs, unsigned n)
{
	uint8_t *at = lg_put32(lg_put32(head(p, AFB, PSFB, 20 + 4 * (size_t)n), ssrc), 0);
	unsigned exp = 0;

	for (; bps >> exp > 0x3ffff; exp++)
		;
	memcpy(at, "REMB", 4);
	at = lg_put32(at + 4, n << 24 | exp << 18 | (uint32_t)(bps >> exp));
	for (unsigned i = 0; i < n; i++)
		at = lg_put32(at, ssrcs[i]);
	return (size_t)(at - p);
}

static void payload_feedback(const uint8_t *p, size_t len, const struct lg_rtcp_in *in)
{
	unsigned fmt = p[0] & 31;

	if (fmt == PLI && in->key_frame)
		in->key_frame(in->arg, lg_get32(p + 8));
	if (fmt == FIR && in->key_frame)
		for (size_t at = 12; at + 8 <= len; at += 8)
			in->key_frame(in->arg, lg_get32(p + at));
	if (fmt == AFB && len >= 20 && memcmp(p + 12, "REMB", 4) == 0 && in->remb) {
		uint32_t v = lg_get32(p + 16) & 0xffffff;

		in->remb(in->arg, v >> 18 < 46 ? (uint64_t)(v & 0x3ffff) << (v >> 18) : UINT64_MAX);
	}
}

static void transport_feedback(const uint8_t *p, size_t len, const struct lg_rtcp_in *in)
{
	unsigned fmt = p[0] & 31;

	if (fmt == TWCC && in->twcc)
		in->twcc(in->arg, lg_get32(p + 4), lg_get32(p + 8), p + 12, len - 12);
	for (size_t at = 12; fmt == NACK && in->nack && at + 4 <= len; at += 4) {
		uint32_t v = lg_get32(p + at);

		in->nack(in->arg, lg_get32(p + 8), (uint16_t)(v >> 16));
		for (unsigned i = 0; i < 16; i++)
			if (v >> i & 1)
				in->nack(in->arg, lg_get32(p + 8), (uint16_t)((v >> 16) + i + 1));
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
			in->sr(in->arg, lg_get32(p + 4), lg_get32(p + 10));
		else if (p[1] == RTPFB && bytes >= 12)
			transport_feedback(p, bytes, in);
		else if (p[1] == PSFB && bytes >= 12)
			payload_feedback(p, bytes, in);
		else if (p[1] == BYE && in->bye)
			for (size_t i = 0; i < (p[0] & 31U) && 8 + 4 * i <= bytes; i++)
				in->bye(in->arg, lg_get32(p + 4 + 4 * i));
		p += bytes;
		len -= bytes;
	}
	return true;
}
