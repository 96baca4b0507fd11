/* When RTCP reports are due and what time they carry (RFC 3550 §6.2, §6.4.1). Pure; time and
 * randomness are arguments. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shared/state.h"

#define DP_REPORT_VIDEO_NS UINT64_C(1000000000) // mean interval of an endpoint with video
#define DP_REPORT_AUDIO_NS UINT64_C(5000000000) // RFC 3550's minimum, for audio alone

/* Next report's time: the mean interval times 0.5..1.5 (RFC 3550 §6.2), half of that for the first
 * one. */
uint64_t dp_report_next(uint64_t now_ns, bool video, bool first, uint32_t random);

/* Our clock minus a peer's NTP clock, followed slowly: one SR that the network held up does not
 * bend it. old 0: unknown. Units: 32.32 s, signed. */
int64_t dp_ntp_skew(int64_t old, uint64_t ours, uint64_t theirs);

/* A pair for an SR: the same moment on our NTP clock and on the subscription's RTP clock. */
struct dp_sr_time {
	uint64_t ntp;
	uint32_t rtp;
};
struct dp_sr_in {
	uint64_t now_ns, ntp_now;
	const struct sh_rx_stream *stream; // publisher's, of the layer sent
	int64_t skew;                      // of the publisher's clock; 0: unknown
	uint32_t ts_offset;                // ours − publisher's
	uint32_t clock_hz;
	uint32_t last_ts; // newest timestamp sent, and when
	uint64_t last_at_ns;
};
/* On the publisher's own time line when it has sent an SR, so that its tracks stay in step with
 * each other; until then from when its last packet came. */
struct dp_sr_time dp_sr_time(const struct dp_sr_in *in);

/* ns → ticks of a clock of hz, without overflow below 2^33 s. */
static inline uint64_t dp_ticks(uint64_t ns, uint32_t hz)
{
	return ns / 1000000000u * hz + ns % 1000000000u * hz / 1000000000u;
}

/* Where a packet of one stream with timestamp ts lies on another stream's RTP clock, by both
 * streams' SRs (they share the sender's NTP clock). false: an SR is missing. */
bool dp_sr_translate(uint32_t *out, uint32_t ts, const struct sh_rx_stream *from,
                     const struct sh_rx_stream *to, uint32_t clock_hz);

/* A consistent copy of a stream's SR fields, written by another thread: at_ns, ntp, rtp. */
struct sh_rx_stream dp_sr_copy(const struct sh_rx_stream *s);
