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
