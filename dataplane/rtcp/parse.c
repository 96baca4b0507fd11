/* RTCP in. dp_rtcp_first() proves the framing of the whole compound once, so that the walk over it
 * and the accessors below need no more checks than each packet's own count (RFC 3550 A.2).
 *
 * parse.c takes compounds apart, twcc.c transport-wide feedback, build.c makes them, report.c relates reports to streams and
 * clocks. */
#include "dataplane/rtcp/rtcp.h"
#include <errno.h>
#include <string.h>
#include "dataplane/rtp/rtp.h"

enum { HEAD = 4, BLOCK = 24, SR_INFO = 24, FB_HEAD = 8, SDES_CNAME = 1 };

static uint32_t packet_len(const uint8_t *p)
{
	return 4u * (dp_get16(p + 2) + 1u);
}

/* RFC 3550 §6.4.1: in the last packet only, and whole words. Transport-wide feedback is made whole words by padding of 1
 * to 3 bytes, which libwebrtc says by the padding bit, wherever in a compound it stands. */
static bool padding_ok(const uint8_t *p, uint32_t n, bool last)
{
	uint8_t pad = p[n - 1];

	if (!pad || pad > n - HEAD)
		return false;
	if (p[1] == DP_RTCP_RTPFB && (p[0] & 31) == DP_RTCP_RTPFB_TWCC)
		return true;
	return last && pad % 4 == 0;
}

int dp_rtcp_first(struct dp_rtcp_iter *it, const uint8_t *buf, uint32_t len, unsigned flags)
{
	if (len > UINT16_MAX || (len < HEAD + 4 && !(flags & DP_RTCP_RSIZE)))
		return -EBADMSG;
	if (!(flags & DP_RTCP_RSIZE) && buf[1] != DP_RTCP_SR && buf[1] != DP_RTCP_RR)
		return -EBADMSG;
	it->at = buf;
	it->end = buf + len;
	for (uint32_t off = 0; off < len;) {
		uint32_t n;

		if (len - off < HEAD || buf[off] >> 6 != 2)
			return -EBADMSG;
		n = packet_len(buf + off);
		if (n > len - off)
			return -EBADMSG;
		if ((buf[off] & 0x20) && !padding_ok(buf + off, n, off + n == len))
			return -EBADMSG;
		off += n;
	}
	return len ? 0 : -EBADMSG;
}

bool dp_rtcp_next(struct dp_rtcp_iter *it, struct dp_rtcp_pkt *out)
{
	const uint8_t *p = it->at;
	uint32_t n;

	if (p == it->end)
		return false;
	n = packet_len(p);
	it->at = p + n;
	out->body = p + HEAD;
	out->type = p[1];
	out->count = p[0] & 31;
	out->len = n - HEAD - (p[0] & 0x20 ? p[n - 1] : 0);
	return true;
}

int dp_rtcp_sr(struct dp_rtcp_sr *out, const struct dp_rtcp_pkt *p)
{
	const uint8_t *b = p->body;

	if (p->len < SR_INFO + BLOCK * p->count)
		return -EBADMSG;
	out->ssrc = dp_get32(b);
	out->ntp = (uint64_t)dp_get32(b + 4) << 32 | dp_get32(b + 8);
	out->rtp_ts = dp_get32(b + 12);
	out->packets = dp_get32(b + 16);
	out->octets = dp_get32(b + 20);
	return 0;
}

int dp_rtcp_rr(uint32_t *ssrc, const struct dp_rtcp_pkt *p)
{
	if (p->len < 4 + BLOCK * p->count)
		return -EBADMSG;
	*ssrc = dp_get32(p->body);
	return 0;
}

void dp_rtcp_block(struct dp_rtcp_block *out, const struct dp_rtcp_pkt *p, unsigned i)
{
	const uint8_t *b = p->body + (p->type == DP_RTCP_SR ? SR_INFO : 4) + BLOCK * i;
	uint32_t loss = dp_get32(b + 4);

	*out = (struct dp_rtcp_block){
	    .ssrc = dp_get32(b),
	    .lost = (int32_t)(loss << 8) >> 8,
	    .max_ext_seq = dp_get32(b + 8),
	    .jitter = dp_get32(b + 12),
	    .lsr = dp_get32(b + 16),
	    .dlsr = dp_get32(b + 20),
	    .fraction = loss >> 24,
	};
}

int dp_rtcp_sdes_cname(uint32_t *ssrc, const uint8_t **cname, uint8_t *len,
                       const struct dp_rtcp_pkt *p)
{
	uint32_t at = 0;

	for (unsigned chunk = 0; chunk < p->count; chunk++) {
		uint32_t start = at;

		/* an SSRC, items, a null octet, and zeros up to the next word (§6.5) */
		if (at + 5 > p->len)
			return -EBADMSG;
		for (at += 4; at < p->len && p->body[at]; at += 2 + p->body[at + 1]) {
			if (at + 2 > p->len || at + 2 + p->body[at + 1] > p->len)
				return -EBADMSG;
			if (p->body[at] != SDES_CNAME)
				continue;
			*ssrc = dp_get32(p->body + start);
			*cname = p->body + at + 2;
			*len = p->body[at + 1];
			return 0;
		}
		at = (at + 4) & ~3u;
		if (at > p->len)
			return -EBADMSG;
	}
	return -ENOENT;
}

int dp_rtcp_bye(const struct dp_rtcp_pkt *p)
{
	return p->len < 4 * p->count ? -EBADMSG : 0;
}

uint32_t dp_rtcp_bye_ssrc(const struct dp_rtcp_pkt *p, unsigned i)
{
	return dp_get32(p->body + 4 * i);
}

int dp_rtcp_fb(struct dp_rtcp_fb *out, const struct dp_rtcp_pkt *p)
{
	if (p->len < FB_HEAD)
		return -EBADMSG;
	out->sender = dp_get32(p->body);
	out->media = dp_get32(p->body + 4);
	out->fci = p->body + FB_HEAD;
	out->fci_len = p->len - FB_HEAD;
	return 0;
}

int dp_rtcp_nack_first(struct dp_rtcp_nack_iter *it, const struct dp_rtcp_fb *fb)
{
	if (!fb->fci_len || fb->fci_len % 4)
		return -EBADMSG;
	it->at = fb->fci;
	it->end = fb->fci + fb->fci_len;
	it->bits = 0;
	it->pid = 0;
	return 0;
}

bool dp_rtcp_nack_next(struct dp_rtcp_nack_iter *it, uint16_t *seq)
{
	if (!it->bits) {
		if (it->at == it->end)
			return false;
		it->pid = dp_get16(it->at);
		it->bits = 1 | (uint32_t)dp_get16(it->at + 2) << 1;
		it->at += 4;
	}
	*seq = it->pid + __builtin_ctz(it->bits);
	it->bits &= it->bits - 1;
	return true;
}

int dp_rtcp_fir_count(uint32_t *count, const struct dp_rtcp_fb *fb)
{
	*count = fb->fci_len / 8;
	return fb->fci_len % 8 || !fb->fci_len ? -EBADMSG : 0;
}

void dp_rtcp_fir(uint32_t *ssrc, uint8_t *seq, const struct dp_rtcp_fb *fb, uint32_t i)
{
	*ssrc = dp_get32(fb->fci + 8 * i);
	*seq = fb->fci[8 * i + 4];
}

int dp_rtcp_remb(struct dp_rtcp_remb *out, const struct dp_rtcp_fb *fb)
{
	const uint8_t *f = fb->fci;
	unsigned exp;
	uint64_t mantissa;

	if (fb->fci_len < 4 || memcmp(f, "REMB", 4))
		return -ENOENT;
	if (fb->fci_len < 8 || fb->fci_len < 8u + 4u * f[4])
		return -EBADMSG;
	exp = f[5] >> 2;
	mantissa = (uint64_t)(f[5] & 3) << 16 | dp_get16(f + 6);
	out->bps = mantissa << exp >> exp == mantissa ? mantissa << exp : UINT64_MAX;
	out->ssrcs = f + 8;
	out->count = f[4];
	return 0;
}
