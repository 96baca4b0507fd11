#include "dataplane/node/report.h"
#include <stdatomic.h>

uint64_t dp_report_next(uint64_t now_ns, bool video, bool first, uint32_t random)
{
	uint64_t mean = video ? DP_REPORT_VIDEO_NS : DP_REPORT_AUDIO_NS;
	uint64_t wait = mean / 2 + ((mean >> 10) * (random & 1023));

	return now_ns + (first ? wait / 2 : wait);
}

/* The least delayed SR shows the true difference, so a smaller one is taken at once; a larger one
 * may be clock drift and is followed by 1/64; one a second or more away is another clock. */
int64_t dp_ntp_skew(int64_t old, uint64_t ours, uint64_t theirs)
{
	int64_t skew = (int64_t)(ours - theirs), diff = (int64_t)((uint64_t)skew - (uint64_t)old);
	const int64_t second = INT64_C(1) << 32;

	if (!skew)
		skew = 1;
	if (!old || diff < 0 || diff > second)
		return skew;
	old += diff / 64;
	return old ? old : 1;
}

struct dp_sr_time dp_sr_time(const struct dp_sr_in *in)
{
	const struct sh_rx_stream *s = in->stream;
	uint64_t elapsed;

	if (s->sr_at_ns && in->skew) {
		// our now, on the publisher's clock, as a distance from its SR
		uint64_t there = in->ntp_now - (uint64_t)in->skew - s->sr_ntp;
		uint64_t ns =
		    (there >> 32) * 1000000000u + ((there & 0xffffffffu) * 1000000000u >> 32);

		if (there >> 32 < 3600)
			return (struct dp_sr_time){
			    .ntp = in->ntp_now,
			    .rtp = s->sr_rtp + in->ts_offset + (uint32_t)dp_ticks(ns, in->clock_hz),
			};
	}
	elapsed = in->now_ns - in->last_at_ns;
	return (struct dp_sr_time){
	    .ntp = in->ntp_now,
	    .rtp = in->last_ts + (uint32_t)dp_ticks(elapsed, in->clock_hz),
	};
}

bool dp_sr_translate(uint32_t *out, uint32_t ts, const struct sh_rx_stream *from,
                     const struct sh_rx_stream *to, uint32_t clock_hz)
{
	int64_t ntp, ticks;

	if (!from->sr_at_ns || !to->sr_at_ns)
		return false;
	ntp = (int64_t)(from->sr_ntp - to->sr_ntp); // both SRs are at most a few minutes apart
	ticks = (int64_t)(((__int128)ntp * clock_hz) >> 32);
	*out = to->sr_rtp + (uint32_t)ticks + (ts - from->sr_rtp);
	return true;
}

struct sh_rx_stream dp_sr_copy(const struct sh_rx_stream *s)
{
	struct sh_rx_stream c = {0};

	for (unsigned tries = 0; tries < 4; tries++) {
		c.sr_at_ns = __atomic_load_n(&s->sr_at_ns, __ATOMIC_ACQUIRE);
		c.sr_ntp = __atomic_load_n(&s->sr_ntp, __ATOMIC_RELAXED);
		c.sr_rtp = __atomic_load_n(&s->sr_rtp, __ATOMIC_RELAXED);
		atomic_thread_fence(memory_order_acquire);
		if (c.sr_at_ns == __atomic_load_n(&s->sr_at_ns, __ATOMIC_RELAXED))
			return c;
	}
	c.sr_at_ns = 0; // being written: as if there were none
	return c;
}
