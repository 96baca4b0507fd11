/* What reports say about streams and round trips, RFC 3550 §6.4.1. */
#include "dataplane/rtcp/rtcp.h"
#include "dataplane/rtp/rtp.h"

bool dp_rtcp_rtt_us(uint32_t *us, uint32_t now_mid, const struct dp_rtcp_block *b)
{
	enum { SLACK = 66, MAX = 60 << 16 }; // 1 ms, 60 s
	uint32_t rtt = now_mid - b->lsr - b->dlsr;

	if (!b->lsr)
		return false;
	/* the peer's rounding and clock drift can make a tiny round trip negative */
	if (rtt > UINT32_MAX - SLACK)
		rtt = 0;
	if (rtt > MAX)
		return false;
	*us = (uint32_t)dp_ntp_short_to_us(rtt);
	return true;
}

void dp_rtcp_block_of(struct dp_rtcp_block *out, struct sh_rx_stream *s, uint64_t now_ns)
{
	*out = (struct dp_rtcp_block){
	    .ssrc = s->ssrc,
	    .max_ext_seq = s->max_ext_seq,
	    .jitter = s->jitter_q4 >> 4,
	};
	if (s->sr_at_ns) {
		out->lsr = dp_ntp_mid(s->sr_ntp);
		out->dlsr = dp_ntp_short_from_ns(now_ns - s->sr_at_ns);
	}
	dp_rtp_rx_loss(s, &out->fraction, &out->lost);
}
