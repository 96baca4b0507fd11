/* Receiver statistics of one incoming stream, RFC 3550 A.1, A.3, A.8. Its packets are
 * authenticated, so there is no probation: the first one counts. */
#include "dataplane/rtp/rtp.h"

enum { MAX_DROPOUT = 3000, TRANSIT_JUMP_S = 5 };

static void update_jitter(struct sh_rx_stream *s, uint32_t ts, uint64_t now_ns, bool first)
{
	uint32_t hz = s->clock_hz;
	uint32_t arrival =
	    (uint32_t)(now_ns / 1000000000u * hz + now_ns % 1000000000u * hz / 1000000000u);
	uint32_t transit = arrival - ts, d = transit - s->transit;

	s->transit = transit;
	if ((int32_t)d < 0)
		d = -d;
	/* a source that changed its timestamp base says nothing about the network */
	if (!first && d < TRANSIT_JUMP_S * hz)
		s->jitter_q4 += d - ((s->jitter_q4 + 8) >> 4);
}

uint32_t dp_rtp_rx_update(struct sh_rx_stream *s, const struct dp_rtp_hdr *hdr, uint64_t now_ns)
{
	bool first = s->packets == 0;
	uint32_t ext = first ? hdr->seq : dp_seq_extend(s->max_ext_seq, hdr->seq);
	int32_t ahead = (int32_t)(ext - s->max_ext_seq);

	if (first || ahead >= MAX_DROPOUT) {
		s->base_ext_seq = ext;
		s->received = s->expected_prior = s->received_prior = 0;
		s->max_ext_seq = ext;
	} else if (ahead > 0) {
		s->max_ext_seq = ext;
	}
	s->received++;
	s->packets++;
	s->bytes += hdr->payload_len;
	s->last_at_ns = now_ns;
	update_jitter(s, hdr->ts, now_ns, first);
	return ext;
}

void dp_rtp_rx_loss(struct sh_rx_stream *s, uint8_t *fraction, int32_t *lost)
{
	uint32_t expected = s->packets ? s->max_ext_seq - s->base_ext_seq + 1 : 0;
	uint32_t expected_interval = expected - s->expected_prior;
	int32_t lost_interval = (int32_t)(expected_interval - (s->received - s->received_prior));
	int32_t all = (int32_t)(expected - s->received);

	s->expected_prior = expected;
	s->received_prior = s->received;
	*lost = all > 0x7fffff ? 0x7fffff : all < -0x800000 ? -0x800000 : all;
	*fraction = 0;
	if (expected_interval && lost_interval > 0) {
		uint32_t f = (uint32_t)(((uint64_t)lost_interval << 8) / expected_interval);

		*fraction = f > 255 ? 255 : f;
	}
}
