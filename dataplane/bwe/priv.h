/* The parts of the estimator, among themselves. */
#pragma once
#include "dataplane/bwe/bwe.h"

static inline uint32_t dp_bwe_clamp(double bps, uint32_t low, uint32_t high)
{
	return bps <= low ? low : bps >= high ? high : (uint32_t)bps;
}

/* ---- delay.c ---- */
/* A packet that arrived. probe: it counts for the queue, not for the trend, as a probe makes a
 * queue on purpose. */
void dp_bwe_delay_packet(struct dp_bwe_delay *d, const struct dp_twcc_ack *a, bool probe);
/* All of a feedback's packets were told. */
void dp_bwe_delay_done(struct dp_bwe_delay *d);
/* One-way delay of the newest packet above the least, while it does not fall; 0: it falls. */
int64_t dp_bwe_delay_rising(const struct dp_bwe_delay *d);
/* What stands in queues now is how this way is: take it for none. */
void dp_bwe_delay_rebase(struct dp_bwe_delay *d);

/* ---- rate.c ---- */
void dp_bwe_rate_add(struct dp_bwe_rate *r, int64_t arrival_us, uint32_t bytes);
/* Over the last window_us, at most 750000; 0: not known yet. */
uint32_t dp_bwe_rate_bps(const struct dp_bwe_rate *r, uint32_t window_us);

/* ---- loss.c ---- */
void dp_bwe_loss_add(struct dp_bwe_loss *l, const struct dp_twcc_ack *a, uint64_t now_ns);
/* Once a feedback, with what arrives now; queue: one stands. True when the bound was lowered. */
bool dp_bwe_loss_done(struct dp_bwe_loss *l, uint32_t acked_bps, bool queue, uint64_t now_ns);
/* Of a receiver report, for those without transport-wide feedback; estimate: what the bound holds
 * against. */
void dp_bwe_loss_report(struct dp_bwe_loss *l, uint8_t fraction, uint32_t estimate_bps,
                        uint64_t now_ns);
/* Something else has shown that so much passes. */
void dp_bwe_loss_raise(struct dp_bwe_loss *l, uint32_t bps);

/* ---- probe.c ---- */
void dp_bwe_probe_sent(struct dp_bwe *b, uint32_t bytes, uint64_t now_ns);
void dp_bwe_probe_acked(struct dp_bwe_probe *p, const struct dp_twcc_ack *a); // lost ones too
/* After each feedback: whether a cluster is complete, and what it says. newest_us: sent time of the
 * newest packet that arrived. Returns the rate that was seen to pass, 0: none. */
uint32_t dp_bwe_probe_result(struct dp_bwe *b, uint32_t newest_us, uint64_t now_ns);
/* Time passes: nothing is heard of a cluster. */
void dp_bwe_probe_tick(struct dp_bwe *b, uint64_t now_ns);
/* The last raise was wrong. */
void dp_bwe_probe_misled(struct dp_bwe_probe *p);
/* Congestion: whatever is under way says nothing, and the next one waits. */
void dp_bwe_probe_abort(struct dp_bwe *b, uint64_t now_ns);
