/* What the dataplane says each second of how a stream is; kept for rooms, and summed up for what is
 * told at its end (CDRs). A track's layer as we receive it, or a subscription as its subscriber
 * does. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "shared/msg.h"

struct cp_measured {
	/* the last second that was told */
	uint64_t at_ns; // when, CLOCK_MONOTONIC; 0: none yet
	uint32_t bps;
	uint16_t jitter_ms, rtt_ms; // rtt 0: not known
	uint8_t lost;               // 1/256
	uint8_t mos;                // times 10; 0: not known
	uint8_t layer;              // of a subscription: the one that it is sent
	/* since it began */
	uint8_t mos_worst, lost_worst; // mos 0: none known
	uint32_t seconds, mos_seconds; // rows; and those with a MOS
	uint64_t mos_sum, lost_sum, bps_sum, jitter_sum;
};

/* One second more. */
void cp_measured_add(struct cp_measured *q, const struct sh_quality_row *row, uint64_t now_ns);
/* No row for longer: the stream is silent. */
bool cp_measured_fresh(const struct cp_measured *q, uint64_t now_ns);
/* {"loss": %, "jitter_ms", "rtt_ms", "bps", "mos", "mos_worst", "mos_average", "loss_average"},
 * without what is not known; null: nothing yet. A new reference. */
json_t *cp_measured_json(const struct cp_measured *q, uint64_t now_ns);
