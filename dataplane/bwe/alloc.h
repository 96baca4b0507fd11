/* Spreads what a subscriber's link bears over its subscriptions.
 *
 * The caller fills one struct dp_alloc_sub per subscription, in any order, and gets the quality
 * (simulcast encoding or spatial layer) and temporal layer of each in the same struct. Audio is
 * served first and whatever the budget. Then all video gets its lowest quality, by rank (speaker,
 * priority, order of the array), then the speaker and those of higher priority are raised, then the
 * others round by round, a step each time. Video whose lowest step does not fit is paused. Pure;
 * any thread; O(n * steps). */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shared/limits.h"

enum { DP_ALLOC_NONE = 255 }; // paused, or nothing sent yet

struct dp_alloc_sub {
	/* in */
	uint8_t kind;     // enum sh_kind
	uint8_t priority; // 0..255, the higher the earlier
	uint8_t speaker;  // 1: who speaks now
	uint8_t off;      // 1: wants nothing (paused by its owner, muted): costs nothing
	uint8_t svc;      // 1: a quality needs those below it too (VP9, AV1 SVC); 0: simulcast
	uint8_t active; // bit l: quality l is being received; 0: none is (costs nothing, gets NONE)
	uint8_t temporals; // temporal layers, 1..SH_MAX_TEMPORAL; fewer than 1 counts as 1
	uint8_t max_layer, max_temporal; // as its owner limits it
	uint8_t layer, temporal;         // what it was given last time; DP_ALLOC_NONE: nothing
	uint16_t want_height;            // no quality above the first that reaches it; 0: any
	uint16_t height[SH_MAX_LAYERS];  // 0: unknown: all is wanted
	const uint32_t (*rate_bps)[SH_MAX_TEMPORAL]; // [quality][temporal]: of just that layer, RTP
	                                             // packets (sh_track.rate_bps); audio: [0][0].
	                                             // 0: unknown, a guess is used
	const uint32_t *key_bytes; // [quality]: what a switch to it begins with; 0, NULL: unknown
	/* out */
	uint8_t want_layer, want_temporal; // DP_ALLOC_NONE: paused
	uint8_t ideal_layer;               // with all it wants; DP_ALLOC_NONE: off or not active
	uint8_t ideal_temporal;
	uint32_t cost_bps; // of what it was given, headers included
	uint32_t ideal_bps;
};

/* Kept by the caller from one run to the next, one per subscriber; zeroed = new. */
struct dp_alloc {
	uint64_t lowered_ns; // when something was last lowered for want of bandwidth; 0: never
	uint64_t raised_ns;  // when it was last raised, if nothing was lowered since; 0: never
	uint32_t allocated_bps, wanted_bps; // results of the last run, for dp_bwe_needs()
	uint32_t next_bps; // budget with which the next step up fits; 0: all have what they want
	uint32_t paused;   // video subscriptions that got nothing though they want something
	uint32_t shy_bps;  // budget of the last raise
	/* in: nothing says for certain that the link has no more than the budget
	 * (dp_bwe_unproven()), so the lowest quality of what is being sent stays, whatever it costs
	 * by now */
	uint8_t unproven;
	/* in: what has no video yet may have its lowest step beyond the budget, to find out
	 * (dp_bwe_may_dare()): up to twice the budget, or one at a time */
	uint8_t dare;
	uint8_t dared; // out: that was made use of
	uint8_t shy;   // 0..3: raises that were taken back within 8 s, forgotten one each 30 s
	uint8_t pad[4];
};

/* budget_bps: the estimate; 0: unlimited. loss: 1/256, what retransmissions will cost. A step up
 * needs 1/8 of headroom over the whole (more, up to 1/2, after steps up that did not last), and 1.5
 * s without a lowering before it; a step down is taken at once. */
void dp_alloc_run(struct dp_alloc *a, struct dp_alloc_sub *subs, uint32_t n, uint32_t budget_bps,
                  uint8_t loss, uint64_t now_ns);
