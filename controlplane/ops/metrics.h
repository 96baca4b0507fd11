/* Counters of the daemon, and the Prometheus text (exposition format 0.0.4) of these and the
 * dataplane's. The loop's thread only. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum cp_metric {
#define X(sym, kind, help) CP_METRIC_##sym,
#include "controlplane/ops/metrics.def"
#undef X
	CP_METRIC_COUNT
};

extern uint64_t cp_metric_value[CP_METRIC_COUNT];

/* n may be (uint64_t)-1 for a gauge that goes down. */
static inline void cp_metric_add(enum cp_metric m, uint64_t n)
{
	cp_metric_value[m] += n;
}
static inline void cp_metric_set(enum cp_metric m, uint64_t n)
{
	cp_metric_value[m] = n;
}

/* All of it as text; the caller frees. state_path: the dataplane's mapping (shared/state.h), read
 * each time, so that a dataplane that is down or was replaced shows as it is. now_ns:
 * CLOCK_MONOTONIC. NULL: no memory. */
char *cp_metrics_text(const char *state_path, uint64_t now_ns, size_t *len);
