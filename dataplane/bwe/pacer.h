/* When queued packets of one subscriber may go: bookkeeping only, the queue is its caller's.
 *
 * Video leaves at twice the estimate, so that a key frame does not hit the link as one burst,
 * yet no packet waits for longer than 400 ms: a longer queue raises the rate. Audio and RTCP do not
 * wait: tell their bytes (dp_pacer_sent()) and send. Pure; one thread's at a time.
 *
 *	dp_pacer_rate(p, estimate, queued)    when the estimate changes, and once a timer run while
 *	                                      packets are queued
 *	while (queue && (room = dp_pacer_room(p, now)) > 0)
 *		send one, dp_pacer_sent(p, its bytes, now)
 *	sleep until dp_pacer_next(p, now)
 *
 * A packet that finds the queue empty and room > 0 goes straight through. */
#pragma once
#include <stdint.h>

enum {
	DP_PACER_FACTOR_Q8 = 512,  // 2
	DP_PACER_DEBT_US = 125000, // how long what does not wait may hold back the rest
	DP_PACER_DRAIN_US = 400000,
	DP_PACER_BURST_US = 5000,    // what may go at once: as much as the rate has in this time,
	DP_PACER_BURST_BYTES = 3000, // but this at least
};

/* Zeroed = new: unlimited. */
struct dp_pacer {
	uint32_t rate_bps; // 0: unlimited
	uint32_t pad;
	int64_t credit_bits_ns; // bits * 1e9, at at_ns; below 0: wait. At most the burst.
	uint64_t at_ns;
};

/* estimate_bps 0: no limit. queued_bytes: in the queue now. */
void dp_pacer_rate(struct dp_pacer *p, uint32_t estimate_bps, uint32_t queued_bytes,
                   uint64_t now_ns);
/* Bytes that may go now; a packet may be sent when it is above 0, even if bigger. */
uint32_t dp_pacer_room(struct dp_pacer *p, uint64_t now_ns);
void dp_pacer_sent(struct dp_pacer *p, uint32_t bytes, uint64_t now_ns);
/* When room will be above 0; now_ns: it is. */
uint64_t dp_pacer_next(struct dp_pacer *p, uint64_t now_ns);
