/* Which packets of a stream are missing, and when to ask for them (RFC 4585 §6.2.1). Pure; time is
 * an argument.
 *
 * A number is asked for at once, then again after one and a half of the round trips that repairs
 * were seen to take, LG_NACK_TRIES times at most and not after LG_NACK_AGE_MS: no receiver would
 * play it any more. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum {
	LG_NACK_MAX = 128, // missing ones remembered; of more, the newest
	LG_NACK_TRIES = 10,
	LG_NACK_AGE_MS = 1000,
	LG_NACK_RTT_MS = 100, // taken for the round trip before one was seen
	LG_NACK_RETRY_MIN_MS = 20,
};

struct lg_missing {
	uint16_t seq;
	uint8_t tries;
	uint64_t since_ns, asked_ns;
};

/* Zeroed = new. */
struct lg_nack {
	unsigned n;
	struct lg_missing missing[LG_NACK_MAX]; // ascending
	uint32_t rtt_us;                        // smoothed; 0: no repair was timed yet
	uint64_t asked;                         // numbers, each time that one was
	uint64_t given_up;
};

/* `first` and the n - 1 behind it did not come before a newer one. */
void lg_nack_gap(struct lg_nack *k, uint16_t first, uint32_t n, uint64_t now_ns);
/* It came late, or by RTX: not asked for any more. Times the round trip of what was asked for
 * once. */
void lg_nack_came(struct lg_nack *k, uint16_t seq, bool rtx, uint64_t now_ns);
/* Numbers to ask for now, into seqs[LG_NACK_MAX], ascending; how many. */
unsigned lg_nack_due(struct lg_nack *k, uint16_t *seqs, uint64_t now_ns);
/* The stream begins anew, or is counted anew. */
void lg_nack_restart(struct lg_nack *k);
