/* The bound that a receiver names in REMB, as an old browser found it: from what came, not from
 * what was sent (draft-ietf-rmcat-gcc-02, with the controller at the receiver). Pure; time is an
 * argument. Once a second:
 *
 *   congested   over LG_REMB_LOSS_PERCENT of the packets were lost, or the least delay of that
 *               second's packets was over LG_REMB_QUEUE_MS above the least one known: a queue stood
 *               all the time. Bound = 0.85 x what came.
 *   else        it grows: to 1.5 x what came until something was congested, from then on by 8 % a
 *               second and to no more than 1.5 x what came. It never falls for want of packets.
 *
 * Delays are compared by the 24-bit send times of the packets (abs-send-time); without those only
 * loss tells. The least delay known is taken anew every LG_REMB_KEEP_S seconds, as clocks drift. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum {
	LG_REMB_LOSS_PERCENT = 2,
	LG_REMB_QUEUE_MS = 20,
	LG_REMB_KEEP_S = 60,
	LG_REMB_LEAST = 30000, // bit/s, that is ever named
};

/* Zeroed = new. */
struct lg_remb {
	uint64_t since_ns, bytes;          // since the last bound
	uint64_t packets, lost;            // of all streams, as last told
	uint64_t bps;                      // the bound; 0: none yet
	uint32_t base_us, least_us, age_s; // least delay known, of this second, modulo 2^26; s
	bool has_base, has_least;
	bool was_congested, congested; // ever; in the last second
};

/* A packet came; send_time: 6.18 s, or -1: it has none. */
void lg_remb_packet(struct lg_remb *r, uint32_t bytes, int32_t send_time, uint64_t now_ns);
/* Each second: the bound, of at most `most`; bit/s. packets, lost: of all streams since they began.
 * 0: nothing came yet. */
uint64_t lg_remb_bound(struct lg_remb *r, uint64_t packets, uint64_t lost, uint64_t most,
                       uint64_t now_ns);
