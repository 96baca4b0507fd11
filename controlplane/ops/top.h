/* What callstackctl top shows, read from the dataplane's mapping: works whatever the daemon does.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shared/state.h"

enum {
	TOP_SORT_WORST,
	TOP_SORT_LOSS,
	TOP_SORT_JITTER,
	TOP_SORT_RTT,
	TOP_SORT_RATE,
	TOP_SORT_QUEUE,
	TOP_SORTS
};
extern const char *const top_sort_name[TOP_SORTS];
/* -1: no such name. */
int top_sort_parse(const char *text);

/* A layer of a track as we receive it, or a subscription. */
struct top_row {
	bool sub, video;
	sh_id id, track, endpoint; // track: of a subscription, the one that it takes
	uint8_t layer, temporal, worker;
	struct sh_quality q;
	uint32_t estimate_bps, queue_us; // of the endpoint; 0: none
	uint32_t badness; // the largest of: 25 a tenth of MOS below 4.4, 4 a 1/256 of loss, a ms of
	                  // jitter, half a ms of RTT
};

struct top_worker {
	double load;                  // share of its time that it had something to do
	double rx_pps, tx_pps, drops; // a second
	int worst_drop;               // enum sh_stat of most of them; -1: none
	struct sh_hist latency;       // of the interval
};

/* Rows of all live streams at now_ns (CLOCK_MONOTONIC), sorted, worst first; *out is malloc'd.
 * Number of them, or -ENOMEM. */
int top_rows(struct top_row **out, const struct sh_slabs *s, uint64_t now_ns, int sort);
/* What worker w did between two copies of its counters, taken ns apart. */
void top_worker(struct top_worker *out, const struct sh_stats *before, const struct sh_stats *now,
                uint64_t ns);
