/* What each quality of a track costs, from what came of it in the last seconds.
 *
 * One second is a poor measure: a key frame, which a switch of our own asks for, and which some
 * encoders then make of all their qualities, is worth half a second or more of its stream. A
 * choice made on such a second is taken back in the next. So the rates of the last five seconds
 * are kept, the lowest and the highest of them left out, and the mean of the others is the cost.
 * Pure; one thread's at a time. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shared/limits.h"

enum { DP_COST_SECONDS = 5 };

/* Zeroed = new. */
struct dp_cost {
	uint64_t since_ns;                              // start of the current second; 0: new
	uint32_t bytes[SH_MAX_LAYERS][SH_MAX_TEMPORAL]; // of it
	uint32_t bps[DP_COST_SECONDS][SH_MAX_LAYERS][SH_MAX_TEMPORAL];
	uint8_t n[SH_MAX_LAYERS], at[SH_MAX_LAYERS]; // seconds kept; where the next one goes
	uint8_t pad[2];
};

/* A packet of that quality and temporal layer. True: a second is over, and some rates are new. */
bool dp_cost_add(struct dp_cost *c, uint32_t layer, uint32_t temporal, uint32_t bytes,
                 uint64_t now_ns);
/* By temporal layer, each without those below it; false: nothing is known. A quality of which
 * nothing comes keeps what it had. */
bool dp_cost_bps(const struct dp_cost *c, uint32_t layer, uint32_t out[SH_MAX_TEMPORAL]);
/* The highest of the seconds: for what is silent at times. */
uint32_t dp_cost_peak_bps(const struct dp_cost *c, uint32_t layer);
