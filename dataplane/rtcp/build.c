/* RTCP out: each call appends one packet to a compound, or leaves it as it was. */
#include "dataplane/rtcp/rtcp.h"
#include <errno.h>
#include <string.h>
#include "dataplane/rtp/rtp.h"

enum { HEAD = 4, BLOCK = 24, PACKET_MAX = 4 * 65536, COUNT_MAX = 31 };

/* Space for a packet of len bytes (multiple of 4) with its head written; its body, or NULL. */
static uint8_t *append(struct dp_rtcp_out *o, uint8_t type, uint8_t count, uint64_t len)
{
	uint8_t *p = o->buf + o->len;

	if (len > o->room - o->len || len > PACKET_MAX)
		return NULL;
	p[0] = 0x80 | count;
	p[1] = type;
	dp_put16(p + 2, len / 4 - 1);
	o->len += len;
	return p + HEAD;
}

static void put_blocks(uint8_t *p, const struct dp_rtcp_block *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++, p += BLOCK) {
		dp_put32(p, b[i].ssrc);
		dp_put32(p + 4, (uint32_t)b[i].fraction << 24 | ((uint32_t)b[i].lost & 0xffffff));
		dp_put32(p + 8, b[i].max_ext_seq);
		dp_put32(p + 12, b[i].jitter);
		dp_put32(p + 16, b[i].lsr);
		dp_put32(p + 20, b[i].dlsr);
	}
}

int dp_rtcp_put_sr(struct dp_rtcp_out *o, const struct dp_rtcp_sr *sr,
                   const struct dp_rtcp_block *blocks, uint32_t n)
{
	uint8_t *p;

	if (n > COUNT_MAX)
		return -EINVAL;
	p = append(o, DP_RTCP_SR, n, HEAD + 24 + BLOCK * n);
	if (!p)
		return -ENOSPC;
	dp_put32(p, sr->ssrc);
	dp_put32(p + 4, sr->ntp >> 32);
	dp_put32(p + 8, (uint32_t)sr->ntp);
	dp_put32(p + 12, sr->rtp_ts);
	dp_put32(p + 16, sr->packets);
	dp_put32(p + 20, sr->octets);
	put_blocks(p + 24, blocks, n);
	return 0;
}

int dp_rtcp_put_rr(struct dp_rtcp_out *o, uint32_t ssrc, const struct dp_rtcp_block *blocks,
                   uint32_t n)
{
	uint8_t *p;

	if (n > COUNT_MAX)
		return -EINVAL;
	p = append(o, DP_RTCP_RR, n, HEAD + 4 + BLOCK * n);
	if (!p)
		return -ENOSPC;
	dp_put32(p, ssrc);
	put_blocks(p + 4, blocks, n);
	return 0;
}

int dp_rtcp_put_sdes(struct dp_rtcp_out *o, uint32_t ssrc, const uint8_t *cname, uint8_t len)
{
	/* one chunk: SSRC, the item, and one to four null octets (RFC 3550 §6.5) */
	uint32_t chunk = (4 + 2 + len + 4) & ~3u;
	uint8_t *p = append(o, DP_RTCP_SDES, 1, HEAD + chunk);

	if (!p)
		return -ENOSPC;
	memset(p, 0, chunk);
	dp_put32(p, ssrc);
	p[4] = 1;
	p[5] = len;
	memcpy(p + 6, cname, len);
	return 0;
}

int dp_rtcp_put_bye(struct dp_rtcp_out *o, const uint32_t *ssrcs, uint32_t n)
{
	uint8_t *p;

	if (!n || n > COUNT_MAX)
		return -EINVAL;
	p = append(o, DP_RTCP_BYE, n, HEAD + 4 * n);
	if (!p)
		return -ENOSPC;
	for (uint32_t i = 0; i < n; i++)
		dp_put32(p + 4 * i, ssrcs[i]);
	return 0;
}

static uint8_t *append_fb(struct dp_rtcp_out *o, uint8_t type, uint8_t fmt, uint32_t sender,
                          uint32_t media, uint64_t fci_len)
{
	uint8_t *p = append(o, type, fmt, HEAD + 8 + fci_len);

	if (!p)
		return NULL;
	dp_put32(p, sender);
	dp_put32(p + 4, media);
	return p + 8;
}

int dp_rtcp_put_pli(struct dp_rtcp_out *o, uint32_t sender, uint32_t media)
{
	return append_fb(o, DP_RTCP_PSFB, DP_RTCP_PSFB_PLI, sender, media, 0) ? 0 : -ENOSPC;
}

int dp_rtcp_put_fir(struct dp_rtcp_out *o, uint32_t sender, uint32_t media, uint8_t seq)
{
	/* the head's media SSRC is 0, the entry names the source (RFC 5104 §4.3.1.2) */
	uint8_t *p = append_fb(o, DP_RTCP_PSFB, DP_RTCP_PSFB_FIR, sender, 0, 8);

	if (!p)
		return -ENOSPC;
	dp_put32(p, media);
	dp_put32(p + 4, (uint32_t)seq << 24);
	return 0;
}

/* How many of seqs[0..n) one entry starting at seqs[0] takes, and its BLP. */
static uint32_t nack_entry(const uint16_t *seqs, uint32_t n, uint16_t *blp)
{
	uint32_t i;

	*blp = 0;
	for (i = 1; i < n; i++) {
		uint16_t ahead = seqs[i] - seqs[0];

		if (ahead > 16)
			break;
		if (ahead)
			*blp |= 1u << (ahead - 1);
	}
	return i;
}

int dp_rtcp_put_nack(struct dp_rtcp_out *o, uint32_t sender, uint32_t media, const uint16_t *seqs,
                     uint32_t n)
{
	uint64_t entries = 0;
	uint16_t blp;
	uint8_t *p;

	if (!n)
		return -EINVAL;
	for (uint32_t i = 0; i < n; entries++)
		i += nack_entry(seqs + i, n - i, &blp);
	p = append_fb(o, DP_RTCP_RTPFB, DP_RTCP_RTPFB_NACK, sender, media, 4 * entries);
	if (!p)
		return -ENOSPC;
	for (uint32_t i = 0; i < n; p += 4) {
		uint32_t taken = nack_entry(seqs + i, n - i, &blp);

		dp_put16(p, seqs[i]);
		dp_put16(p + 2, blp);
		i += taken;
	}
	return 0;
}

int dp_rtcp_put_remb(struct dp_rtcp_out *o, uint32_t sender, uint64_t bps, const uint32_t *ssrcs,
                     uint32_t n)
{
	unsigned exp = 0;
	uint8_t *p;

	if (!n || n > UINT8_MAX)
		return -EINVAL;
	/* the head's media SSRC is 0 (draft-alvestrand-rmcat-remb-03 §2.2) */
	p = append_fb(o, DP_RTCP_PSFB, DP_RTCP_PSFB_AFB, sender, 0, 8 + 4 * n);
	if (!p)
		return -ENOSPC;
	for (; bps >> 18; bps >>= 1)
		exp++;
	memcpy(p, "REMB", 4);
	p[4] = n;
	p[5] = exp << 2 | bps >> 16;
	dp_put16(p + 6, (uint16_t)bps);
	for (uint32_t i = 0; i < n; i++)
		dp_put32(p + 8 + 4 * i, ssrcs[i]);
	return 0;
}
