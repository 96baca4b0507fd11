/* RTCP compounds: everything that a node would look at, and what we understood built again and
 * compared. Input: flags byte, then the compound. */
#include "dataplane/rtcp/rtcp.h"
#include "dataplane/rtp/rtp.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t room[1 << 17];
static volatile uint32_t sink;

static void require(bool truth)
{
	if (!truth)
		abort();
}

/* The builder's packet must parse to the same body. */
static void same_body(const struct dp_rtcp_out *o, const struct dp_rtcp_pkt *p, uint32_t len)
{
	require(o->len == 4 + len && o->buf[1] == p->type && (o->buf[0] & 31) == p->count);
	require(!memcmp(o->buf + 4, p->body, len));
}

static void report(const struct dp_rtcp_pkt *p)
{
	struct dp_rtcp_out o = {room, sizeof(room), 0};
	struct dp_rtcp_block b[31];
	struct dp_rtcp_sr sr;
	uint32_t ssrc, us;

	if (p->type == DP_RTCP_SR ? dp_rtcp_sr(&sr, p) : dp_rtcp_rr(&ssrc, p))
		return;
	for (unsigned i = 0; i < p->count; i++) {
		dp_rtcp_block(&b[i], p, i);
		if (dp_rtcp_rtt_us(&us, 0x12345678, &b[i]))
			require(us <= 60000000);
	}
	if (p->type == DP_RTCP_SR) {
		require(dp_rtcp_put_sr(&o, &sr, b, p->count) == 0);
		same_body(&o, p, 24 + 24 * p->count);
	} else {
		require(dp_rtcp_put_rr(&o, ssrc, b, p->count) == 0);
		same_body(&o, p, 4 + 24 * p->count);
	}
}

/* Marks the numbers that the feedback names; how many there were, repetitions counted. */
static uint32_t collect(uint8_t *set, uint16_t *seqs, const struct dp_rtcp_fb *fb)
{
	struct dp_rtcp_nack_iter it;
	uint32_t n = 0;

	memset(set, 0, 65536);
	if (dp_rtcp_nack_first(&it, fb))
		return 0;
	while (dp_rtcp_nack_next(&it, &seqs[n]))
		set[seqs[n++]] = 1;
	return n;
}

static void nack(const struct dp_rtcp_fb *fb)
{
	static uint16_t seqs[17 * 65536 / 4], again[17 * 65536 / 4];
	static uint8_t in[65536], back[65536];
	struct dp_rtcp_out o = {room, sizeof(room), 0};
	struct dp_rtcp_iter all;
	struct dp_rtcp_pkt p;
	struct dp_rtcp_fb made;
	uint32_t n = collect(in, seqs, fb);

	if (!n)
		return;
	require(n >= fb->fci_len / 4u && n <= 17u * fb->fci_len / 4);
	require(dp_rtcp_put_nack(&o, 1, 2, seqs, n) == 0 && o.len <= 12u + fb->fci_len);
	require(dp_rtcp_first(&all, room, o.len, DP_RTCP_RSIZE) == 0 && dp_rtcp_next(&all, &p));
	require(dp_rtcp_fb(&made, &p) == 0 && collect(back, again, &made) > 0);
	require(!memcmp(in, back, sizeof(in)));
}

static void feedback(const struct dp_rtcp_pkt *p)
{
	struct dp_rtcp_remb remb;
	struct dp_rtcp_fb fb;
	uint32_t count, ssrc;
	uint8_t seq;

	if (dp_rtcp_fb(&fb, p))
		return;
	if (p->type == DP_RTCP_RTPFB && p->count == DP_RTCP_RTPFB_NACK)
		nack(&fb);
	if (p->type == DP_RTCP_PSFB && dp_rtcp_fir_count(&count, &fb) == 0)
		for (uint32_t i = 0; i < count; i++) {
			dp_rtcp_fir(&ssrc, &seq, &fb, i);
			sink += ssrc + seq;
		}
	if (p->type == DP_RTCP_PSFB && dp_rtcp_remb(&remb, &fb) == 0)
		for (uint32_t i = 0; i < remb.count; i++)
			sink += dp_get32(remb.ssrcs + 4 * i);
}

static void other(const struct dp_rtcp_pkt *p)
{
	const uint8_t *cname;
	uint32_t ssrc;
	uint8_t len;

	if (p->type == DP_RTCP_SDES && dp_rtcp_sdes_cname(&ssrc, &cname, &len, p) == 0)
		for (unsigned i = 0; i < len; i++)
			sink += cname[i];
	if (p->type == DP_RTCP_BYE && dp_rtcp_bye(p) == 0)
		for (unsigned i = 0; i < p->count; i++)
			sink += dp_rtcp_bye_ssrc(p, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dp_rtcp_iter it;
	struct dp_rtcp_pkt p;
	uint32_t left;
	uint8_t *buf;

	if (!size)
		return 0;
	left = size - 1;
	buf = malloc(left ? left : 1);
	memcpy(buf, data + 1, left);
	if (dp_rtcp_first(&it, buf, left, data[0] & DP_RTCP_RSIZE) == 0) {
		while (dp_rtcp_next(&it, &p)) {
			require(p.body >= buf + 4 && p.body + p.len <= buf + left);
			if (p.type == DP_RTCP_SR || p.type == DP_RTCP_RR)
				report(&p);
			else if (p.type == DP_RTCP_RTPFB || p.type == DP_RTCP_PSFB)
				feedback(&p);
			else
				other(&p);
		}
		require(it.at == it.end);
	}
	free(buf);
	return 0;
}
