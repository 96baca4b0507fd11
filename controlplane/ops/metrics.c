#include "controlplane/ops/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "shared/state.h"
#include "shared/stats.h"

uint64_t cp_metric_value[CP_METRIC_COUNT];

static const struct {
	const char *name, *kind, *help;
} info[] = {
#define X(sym, kind, help) {#sym, #kind, help},
#include "controlplane/ops/metrics.def"
#undef X
};

static void help_line(FILE *f, const char *name, const char *kind, const char *help)
{
	fprintf(f, "# HELP %s ", name);
	for (; *help; help++) {
		if (*help == '\\')
			fputs("\\\\", f);
		else
			fputc(*help, f);
	}
	fprintf(f, "\n# TYPE %s %s\n", name, kind);
}

static void put_daemon(FILE *f)
{
	for (unsigned i = 0; i < CP_METRIC_COUNT; i++) {
		char name[96];

		snprintf(name, sizeof(name), "callstackd_%s%s", info[i].name,
		         strcmp(info[i].kind, "counter") ? "" : "_total");
		help_line(f, name, info[i].kind, info[i].help);
		fprintf(f, "%s %llu\n", name, (unsigned long long)cp_metric_value[i]);
	}
}

/* Worker w, or "control" for the last set. */
static void put_value(FILE *f, const char *name, const char *extra, unsigned w, uint64_t v)
{
	char worker[16] = "control";

	if (w < SH_MAX_WORKERS)
		snprintf(worker, sizeof(worker), "%u", w);
	fprintf(f, "%s{worker=\"%s\"%s} %llu\n", name, worker, extra, (unsigned long long)v);
}

#define FOR_WORKERS(w, s)                                                                          \
	for (unsigned w = 0; w <= SH_MAX_WORKERS; w++)                                             \
		if (w < (s)->workers || w == SH_MAX_WORKERS)

static void put_counters(FILE *f, const struct sh_state *s)
{
	char name[96], extra[96];

	for (unsigned i = 0; i < SH_STAT_COUNT; i++) {
		if (sh_stat_info[i].kind == SH_STAT_KIND_DROP)
			continue;
		snprintf(name, sizeof(name), "callstack_%s_total", sh_stat_info[i].name);
		help_line(f, name, "counter", sh_stat_info[i].help);
		FOR_WORKERS(w, s)
		put_value(f, name, "", w, s->stats[w].v[i]);
	}
	help_line(f, "callstack_drop_total", "counter", "packets discarded, by reason");
	for (unsigned i = 0; i < SH_STAT_COUNT; i++) {
		if (sh_stat_info[i].kind != SH_STAT_KIND_DROP)
			continue;
		snprintf(extra, sizeof(extra), ",reason=\"%s\"", sh_stat_info[i].name);
		FOR_WORKERS(w, s)
		put_value(f, "callstack_drop_total", extra, w, s->stats[w].v[i]);
	}
}

static void put_cycles(FILE *f, const struct sh_state *s)
{
	static const struct {
		const char *name, *help;
		size_t at;
	} field[] = {
	    {"callstack_worker_busy_cycles_total", "TSC cycles in which a worker had packets",
	     offsetof(struct sh_stats, busy_cycles)},
	    {"callstack_worker_idle_cycles_total", "TSC cycles in which it had none",
	     offsetof(struct sh_stats, idle_cycles)},
	    {"callstack_worker_bursts_total", "bursts taken from the ports",
	     offsetof(struct sh_stats, bursts)},
	};

	for (size_t i = 0; i < sizeof(field) / sizeof(field[0]); i++) {
		help_line(f, field[i].name, "counter", field[i].help);
		for (unsigned w = 0; w < s->workers && w < SH_MAX_WORKERS; w++) {
			uint64_t v;

			memcpy(&v, (const char *)&s->stats[w] + field[i].at, sizeof(v));
			put_value(f, field[i].name, "", w, v);
		}
	}
	help_line(f, "callstack_tsc_hertz", "gauge", "frequency that the cycles are counted at");
	fprintf(f, "callstack_tsc_hertz %llu\n", (unsigned long long)s->tsc_hz);
}

/* ---- streams and forwarding: sh_state.quality and .stats[].latency ---- */

static const char *const way_name[SH_QUALITY_WAYS] = {"in", "out"};

/* bound[n] are the upper ends of count[n + 1] buckets; divisor: of a bound, to the unit of the metric. */
static void put_histogram(FILE *f, const char *name, const char *labels, const uint32_t *bound, unsigned n,
                          const uint64_t *count, uint64_t sum, double divisor)
{
	uint64_t seen = 0;

	for (unsigned i = 0; i <= n; i++) {
		seen += count[i];
		if (i < n)
			fprintf(f, "%s_bucket{%s,le=\"%g\"} %llu\n", name, labels, bound[i] / divisor,
			        (unsigned long long)seen);
		else
			fprintf(f, "%s_bucket{%s,le=\"+Inf\"} %llu\n", name, labels, (unsigned long long)seen);
	}
	fprintf(f, "%s_sum{%s} %.9g\n%s_count{%s} %llu\n", name, labels, (double)sum / divisor, name, labels,
	        (unsigned long long)seen);
}

#define FOR_WAYS(w, way, s)                                                                        \
	for (unsigned w = 0; w < (s)->workers && w < SH_MAX_WORKERS; w++)                          \
		for (unsigned way = 0; way < SH_QUALITY_WAYS; way++)

static void put_streams(FILE *f, const struct sh_state *s)
{
	static const struct {
		const char *name, *kind, *help;
		size_t at;
	} plain[] = {
	    {"callstack_streams", "gauge",
	     "streams with packets in the last second: in, layers of tracks; out, subscriptions",
	     offsetof(struct sh_quality_sum, streams)},
	    {"callstack_stream_packets_total", "counter", "their packets: in, expected; out, sent",
	     offsetof(struct sh_quality_sum, packets)},
	    {"callstack_stream_lost_total", "counter",
	     "of these, lost: in, after recovery by RTX; out, by receiver reports",
	     offsetof(struct sh_quality_sum, lost)},
	};
	static const struct {
		const char *name, *help;
		const uint32_t *bound;
		unsigned bounds;
		size_t at, sum;
		double divisor;
	} hist[] = {
#define HIST(name, help, field, n, divisor)                                                        \
	{name, help, sh_quality_##field##_bound, n, offsetof(struct sh_quality_sum, field),          \
	 offsetof(struct sh_quality_sum, field##_sum), divisor}
	    HIST("callstack_stream_mos", "MOS of audio streams (ITU-T G.107), each second of each", mos,
	         SH_QUALITY_MOS_BOUNDS, 10),
	    HIST("callstack_stream_rtt_seconds", "round-trip time to the stream's peer, each second of each", rtt,
	         SH_QUALITY_RTT_BOUNDS, 1000),
	    HIST("callstack_stream_jitter_seconds", "interarrival jitter (RFC 3550), each second of each stream", jitter,
	         SH_QUALITY_JITTER_BOUNDS, 1000),
	    HIST("callstack_stream_loss_ratio", "share of lost packets, each second of each stream", loss,
	         SH_QUALITY_LOSS_BOUNDS, 256),
#undef HIST
	};
	char labels[64];

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		help_line(f, plain[i].name, plain[i].kind, plain[i].help);
		FOR_WAYS(w, way, s)
		{
			uint64_t v;

			memcpy(&v, (const char *)&s->quality[w][way] + plain[i].at, sizeof(v));
			snprintf(labels, sizeof(labels), ",direction=\"%s\"", way_name[way]);
			put_value(f, plain[i].name, labels, w, v);
		}
	}
	for (size_t i = 0; i < sizeof(hist) / sizeof(hist[0]); i++) {
		help_line(f, hist[i].name, "histogram", hist[i].help);
		FOR_WAYS(w, way, s)
		{
			const char *q = (const char *)&s->quality[w][way];

			snprintf(labels, sizeof(labels), "worker=\"%u\",direction=\"%s\"", w, way_name[way]);
			put_histogram(f, hist[i].name, labels, hist[i].bound, hist[i].bounds,
			              (const uint64_t *)(const void *)(q + hist[i].at),
			              *(const uint64_t *)(const void *)(q + hist[i].sum), hist[i].divisor);
		}
	}
}

/* Buckets end at powers of two of a nanosecond, where those of the histogram do too: 1 us to 8.6 s. */
static void put_latency(FILE *f, const struct sh_state *s)
{
	static const struct {
		const char *name;
		uint32_t part;
	} quantile[] = {{"0.5", 500000}, {"0.9", 900000}, {"0.99", 990000}, {"0.999", 999000}, {"0.9999", 999900}};
	enum { FIRST = 10, LAST = 33 };

	help_line(f, "callstack_forwarding_seconds", "histogram",
	          "media packets, from the walk that took them from the port to their hand-over for sending");
	for (unsigned w = 0; w < s->workers && w < SH_MAX_WORKERS; w++) {
		struct sh_hist h = s->stats[w].latency; // so that the buckets and their count fit each other
		unsigned long long n = sh_hist_count(&h);

		for (unsigned bits = FIRST; bits <= LAST; bits++)
			fprintf(f, "callstack_forwarding_seconds_bucket{worker=\"%u\",le=\"%.9g\"} %llu\n", w,
			        (double)(UINT64_C(1) << bits) / 1e9, (unsigned long long)sh_hist_below(&h, bits));
		fprintf(f, "callstack_forwarding_seconds_bucket{worker=\"%u\",le=\"+Inf\"} %llu\n", w, n);
		fprintf(f, "callstack_forwarding_seconds_sum{worker=\"%u\"} %.9g\n", w, (double)h.sum / 1e9);
		fprintf(f, "callstack_forwarding_seconds_count{worker=\"%u\"} %llu\n", w, n);
	}
	help_line(f, "callstack_forwarding_latency_seconds", "summary",
	          "the same as quantiles since the state was made; for a time window take the histogram");
	for (unsigned w = 0; w < s->workers && w < SH_MAX_WORKERS; w++) {
		struct sh_hist h = s->stats[w].latency;

		for (size_t i = 0; i < sizeof(quantile) / sizeof(quantile[0]); i++)
			fprintf(f, "callstack_forwarding_latency_seconds{worker=\"%u\",quantile=\"%s\"} %.9g\n", w,
			        quantile[i].name, (double)sh_hist_quantile(&h, quantile[i].part) / 1e9);
		fprintf(f, "callstack_forwarding_latency_seconds_sum{worker=\"%u\"} %.9g\n", w, (double)h.sum / 1e9);
		fprintf(f, "callstack_forwarding_latency_seconds_count{worker=\"%u\"} %llu\n", w,
		        (unsigned long long)sh_hist_count(&h));
	}
}

static void put_gauge(FILE *f, const char *name, const char *help, double v)
{
	help_line(f, name, "gauge", help);
	fprintf(f, "%s %.9g\n", name, v);
}

#define COUNT_LIVE(array, n)                                                                       \
	({                                                                                         \
		unsigned live = 0;                                                                 \
		for (uint32_t i = 0; i < (n); i++)                                                 \
			live += atomic_load_explicit(&(array)[i].state, memory_order_relaxed) ==   \
			        SH_LIVE;                                                           \
		live;                                                                              \
	})

static void put_slabs(FILE *f, const struct sh_slabs *s, uint64_t now_ns)
{
	uint64_t beat = s->head->heartbeat_ns;
	unsigned connected = 0;

	for (uint32_t i = 0; i < s->endpoints; i++)
		connected +=
		    atomic_load_explicit(&s->endpoint[i].state, memory_order_relaxed) == SH_LIVE &&
		    s->endpoint[i].ice == SH_ICE_CONNECTED;
	put_gauge(f, "callstack_endpoints", "transports known to the dataplane",
	          COUNT_LIVE(s->endpoint, s->endpoints));
	put_gauge(f, "callstack_endpoints_connected", "transports whose ICE is connected",
	          connected);
	put_gauge(f, "callstack_tracks", "published tracks known to the dataplane",
	          COUNT_LIVE(s->track, s->tracks));
	put_gauge(f, "callstack_subscriptions", "subscriptions known to the dataplane",
	          COUNT_LIVE(s->sub, s->subs));
	put_gauge(f, "callstack_endpoints_max", "slab size, endpoints", s->endpoints);
	put_gauge(f, "callstack_tracks_max", "slab size, tracks", s->tracks);
	put_gauge(f, "callstack_subscriptions_max", "slab size, subscriptions", s->subs);
	put_gauge(f, "callstack_workers", "worker cores", s->head->workers);
	put_gauge(f, "callstack_heartbeat_age_seconds",
	          "since the dataplane's control thread last said it lives",
	          now_ns > beat ? (double)(now_ns - beat) / 1e9 : 0);
	put_counters(f, s->head);
	put_cycles(f, s->head);
	put_streams(f, s->head);
	put_latency(f, s->head);
}

char *cp_metrics_text(const char *state_path, uint64_t now_ns, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);
	struct sh_slabs slabs;
	int err;

	if (!f)
		return NULL;
	put_daemon(f);
	err = sh_slabs_open(&slabs, state_path);
	help_line(f, "callstack_state_readable", "gauge",
	          "1 when the dataplane's state could be read");
	fprintf(f, "callstack_state_readable %d\n", !err);
	if (!err) {
		put_slabs(f, &slabs, now_ns);
		sh_slabs_close(&slabs);
	}
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}
