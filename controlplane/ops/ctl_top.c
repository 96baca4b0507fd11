/* callstackctl top: each second, how every stream is, worst first, and what the workers do. Reads
 * the dataplane's mapping; asks the daemon only whose the streams are that it shows, and shows ids
 * when it does not answer. */
#include "controlplane/ops/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "controlplane/ops/ctl_screen.h"
#include "controlplane/ops/top.h"
#include "shared/stats.h"

enum { ROWS_ONCE = 1000000, ASK_ROWS = 1000, NAMES_TIMEOUT_S = 2 };
#define RATES_NS 500000000u // rates over less say little

struct top {
	struct ctl *c;
	char path[512];
	int sort;
	int most; // rows; 0: what the terminal has room for
	struct sh_slabs slabs;
	struct sh_stats *before; // of all workers, at before_ns
	uint64_t before_ns, now_ns;
	uint64_t dataplane_epoch; // that `before` is of
	struct top_row *rows;
	int n;
	json_t
	    *names; // as the daemon gave them, by position among the first rows; NULL: it did not
	struct top_worker worker[SH_MAX_WORKERS];
	unsigned workers;
	bool screen;
	struct ctl_size size; // of it
};

static const char *const codec_name[] = {
#define X(sym, name, kind, hz) [SH_CODEC_##sym] = name,
    SH_CODEC_LIST(X)
#undef X
};

static uint64_t monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- reading ---- */

static int open_state(struct top *t)
{
	int err = sh_slabs_open(&t->slabs, t->path);

	if (!err)
		return 0;
	ctl_screen_leave(); // where it says why would go with it
	return ctl_fail(t->c, err == -ENOENT ? CTL_NO_DAEMON : CTL_FAILED, "%s: %s", t->path,
	                err == -ENOENT   ? "no dataplane has run there"
	                : err == -EPROTO ? "made by another version"
	                                 : strerror(-err));
}

static void keep_counters(struct top *t)
{
	memcpy(t->before, t->slabs.head->stats, SH_MAX_WORKERS * sizeof(*t->before));
	t->before_ns = t->now_ns;
	t->dataplane_epoch = t->slabs.head->slab_epoch;
}

static void ask_names(struct top *t, int rows)
{
	json_t *tracks = json_array(), *subs = json_array();

	json_decref(t->names);
	t->names = NULL;
	for (int i = 0; i < rows; i++)
		json_array_append_new(t->rows[i].sub ? subs : tracks, json_integer(t->rows[i].id));
	if (ctl_query(t->c,
	              json_pack("{ss so so}", "command", "names", "tracks", tracks, "subs", subs),
	              NAMES_TIMEOUT_S, &t->names, NULL, 0))
		t->names = NULL;
}

/* Rows, names of the first of them, and what the workers did since keep_counters(). */
static int look(struct top *t, int most)
{
	int shown;

	t->now_ns = monotonic();
	free(t->rows);
	t->rows = NULL;
	t->n = top_rows(&t->rows, &t->slabs, t->now_ns, t->sort);
	if (t->n < 0)
		return ctl_fail(t->c, CTL_FAILED, "out of memory");
	shown = t->n < most ? t->n : most;
	ask_names(t, shown < ASK_ROWS ? shown : ASK_ROWS);
	if (t->now_ns - t->before_ns < RATES_NS)
		return 0;
	t->workers =
	    t->slabs.head->workers < SH_MAX_WORKERS ? t->slabs.head->workers : SH_MAX_WORKERS;
	for (unsigned w = 0; w < t->workers; w++)
		top_worker(&t->worker[w], &t->before[w], &t->slabs.head->stats[w],
		           t->now_ns - t->before_ns);
	keep_counters(t);
	return 0;
}

/* The name of the next row of its kind; at: how many were before it, by kind. */
static const json_t *name_of(const struct top *t, const struct top_row *r, size_t at[2])
{
	return json_array_get(json_object_get(t->names, r->sub ? "subs" : "tracks"), at[r->sub]++);
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* ---- a table ---- */

enum column {
	ROOM,
	WHO,
	DIR,
	WHAT,
	CODEC,
	LAYER,
	KBITS,
	FPS,
	LOSS,
	JITTER,
	RTT,
	MOS,
	EST,
	QUEUE,
	COLUMNS
};
static const char *const title[COLUMNS] = {"ROOM",   "WHO",    "DIR",      "WHAT",  "CODEC",
                                           "LAYER",  "KBIT/S", "FPS",      "LOSS%", "JIT ms",
                                           "RTT ms", "MOS",    "EST KB/S", "QUE ms"};
static int width[COLUMNS] = {14, 14, 3, 20, 6, 5, 8, 4, 6, 7, 6, 4, 8, 7}; // 0: not shown

/* What a narrow terminal has no room for goes: some numbers first, then letters of names. */
static void lay_out(int columns)
{
	static const int full[COLUMNS] = {14, 14, 3, 20, 6, 5, 8, 4, 6, 7, 6, 4, 8, 7};
	static const int least[COLUMNS] = {[ROOM] = 8, [WHO] = 8, [WHAT] = 12};
	static const enum column spare[] = {EST, QUEUE, FPS, CODEC}, names[] = {WHAT, WHO, ROOM};
	int over = -1 - columns, letters = 0;

	memcpy(width, full, sizeof(width));
	for (int i = 0; i < COLUMNS; i++)
		over += full[i] + 1;
	for (int i = 0; i < 3; i++)
		letters += full[names[i]] - least[names[i]];
	for (int i = 0; i < 4 && over > letters; i++) {
		over -= full[spare[i]] + 1;
		width[spare[i]] = 0;
	}
	for (int i = 0; over > 0 && letters > 0; i = (i + 1) % 3)
		if (width[names[i]] > least[names[i]]) {
			width[names[i]]--;
			over--;
			letters--;
		}
}

static FILE *out; // where the table goes: standard output, or a picture of it

/* Control characters and the like are not the terminal's to interpret. */
static void cell(const char *s, int most)
{
	int n = 0;

	if (!most)
		return;
	for (; *s && n < most; s++) {
		unsigned char ch = (unsigned char)*s;

		if ((ch & 0xc0) == 0x80)
			putc(ch, out); // of the character before
		else if (ch < 0x20 || ch == 0x7f)
			putc('?', out), n++;
		else
			putc(ch, out), n++;
	}
	while (*s && (*s & 0xc0) == 0x80)
		putc(*s++, out);
	fprintf(out, "%*s", most - n + 1, "");
}

static void number(double v, int most, int digits, bool known)
{
	if (most && known)
		fprintf(out, "%*.*f ", most, digits, v);
	else if (most)
		fprintf(out, "%*s ", most, "-");
}

static double us(const struct sh_hist *h, uint32_t part)
{
	return (double)sh_hist_quantile(h, part) / 1000;
}

static void print_header(const struct top *t)
{
	const struct sh_state *h = t->slabs.head;
	double age = t->now_ns > h->heartbeat_ns ? (double)(t->now_ns - h->heartbeat_ns) / 1e9 : 0;
	unsigned in = 0;

	for (int i = 0; i < t->n; i++)
		in += !t->rows[i].sub;
	fprintf(out, "%u streams in, %u out, sorted by %s; dataplane heard from %.1f s ago%s\n", in,
	        (unsigned)t->n - in, top_sort_name[t->sort], age,
	        t->names ? "" : "; callstackd does not answer, so ids for names");
	fprintf(out, "worker  load %%    rx/s      tx/s   drops/s  forwarding: p50, 99, 99.9 us  "
	             "most dropped\n");
	for (unsigned w = 0; w < t->workers; w++) {
		const struct top_worker *k = &t->worker[w];
		bool any = sh_hist_count(&k->latency) != 0;

		fprintf(out, "%6u  %6.1f  %7.0f  %8.0f  %8.0f  ", w, k->load * 100, k->rx_pps,
		        k->tx_pps, k->drops);
		number(us(&k->latency, 500000), 11, 1, any);
		number(us(&k->latency, 990000), 7, 1, any);
		number(us(&k->latency, 999000), 8, 1, any);
		if (k->worst_drop >= 0)
			fprintf(out, "  %s", sh_stat_info[k->worst_drop].name);
		putc('\n', out);
	}
	putc('\n', out);
	for (int i = 0; i < COLUMNS; i++)
		if (width[i])
			fprintf(out, "%*s ", i < KBITS ? -width[i] : width[i], title[i]);
	putc('\n', out);
}

static void print_row(const struct top_row *r, const json_t *name)
{
	char who[32], what[80], layer[16] = "-";

	snprintf(who, sizeof(who), "%s %u", width[WHO] < 14 ? "ep" : "endpoint",
	         SH_ID_INDEX(r->endpoint));
	snprintf(what, sizeof(what), "%s %u", r->video ? "video" : "audio", SH_ID_INDEX(r->track));
	if (json_is_object(name))
		snprintf(what, sizeof(what), "%s%s%s", text(name, "from"), r->sub ? " " : "",
		         text(name, "source"));
	cell(json_is_object(name) ? text(name, "room") : "-", width[ROOM]);
	cell(json_is_object(name) ? text(name, "user") : who, width[WHO]);
	cell(r->sub ? "out" : "in", width[DIR]);
	cell(what, width[WHAT]);
	cell(r->q.codec < SH_CODEC_COUNT ? codec_name[r->q.codec] : "?", width[CODEC]);
	if (r->video && r->layer < SH_MAX_LAYERS && r->temporal < SH_MAX_TEMPORAL)
		snprintf(layer, sizeof(layer), "%u T%u", r->layer, r->temporal);
	else if (r->video && r->layer < SH_MAX_LAYERS)
		snprintf(layer, sizeof(layer), "%u", r->layer);
	cell(layer, width[LAYER]);
	number(r->q.bps / 1000., width[KBITS], 1, true);
	number(r->q.fps, width[FPS], 0, r->video && !r->sub);
	number(r->q.lost * 100. / 256, width[LOSS], 1, true);
	number(r->q.jitter_us / 1000., width[JITTER], 1, true);
	number(r->q.rtt_us / 1000., width[RTT], 1, r->q.rtt_us != 0);
	number(r->q.mos / 10., width[MOS], 1, r->q.mos != 0);
	number(r->estimate_bps / 1000., width[EST], 0, r->estimate_bps != 0);
	number(r->queue_us / 1000., width[QUEUE], 1, r->sub);
	putc('\n', out);
}

static void print_table(const struct top *t, int most)
{
	size_t at[2] = {0, 0};

	print_header(t);
	for (int i = 0; i < t->n && i < most; i++)
		print_row(&t->rows[i], name_of(t, &t->rows[i], at));
	if (t->n > most)
		fprintf(out, "… and %d more\n", t->n - most);
}

/* ---- JSON ---- */

static json_t *json_quantiles(const struct sh_hist *h)
{
	if (!sh_hist_count(h))
		return json_null();
	return json_pack("{sf sf sf sf sf sf}", "p50", us(h, 500000), "p90", us(h, 900000), "p99",
	                 us(h, 990000), "p99.9", us(h, 999000), "p99.99", us(h, 999900), "max",
	                 us(h, 1000000));
}

static json_t *json_worker(unsigned w, const struct top_worker *k)
{
	return json_pack("{si sf sf sf sf ss? so}", "worker", (int)w, "load", k->load, "rx_pps",
	                 k->rx_pps, "tx_pps", k->tx_pps, "drops_per_s", k->drops, "most_dropped",
	                 k->worst_drop < 0 ? NULL : sh_stat_info[k->worst_drop].name, "latency_us",
	                 json_quantiles(&k->latency));
}

static json_t *json_row(const struct top_row *r, const json_t *name)
{
	json_t *o = json_pack("{ss sI sI sI si ss ss si}", "direction", r->sub ? "out" : "in", "id",
	                      (json_int_t)r->id, "track_id", (json_int_t)r->track, "endpoint",
	                      (json_int_t)SH_ID_INDEX(r->endpoint), "worker", (int)r->worker,
	                      "kind", r->video ? "video" : "audio", "codec",
	                      r->q.codec < SH_CODEC_COUNT ? codec_name[r->q.codec] : "", "layer",
	                      r->layer < SH_MAX_LAYERS ? (int)r->layer : -1);

	json_object_update_new(o, json_pack("{sI sf sf}", "bps", (json_int_t)r->q.bps, "loss",
	                                    r->q.lost * 100. / 256, "jitter_ms",
	                                    r->q.jitter_us / 1000.));
	if (r->sub && r->video && r->temporal < SH_MAX_TEMPORAL)
		json_object_set_new(o, "temporal", json_integer(r->temporal));
	if (r->video && !r->sub)
		json_object_set_new(o, "fps", json_integer(r->q.fps));
	if (r->q.rtt_us)
		json_object_set_new(o, "rtt_ms", json_real(r->q.rtt_us / 1000.));
	if (r->q.mos)
		json_object_set_new(o, "mos", json_real(r->q.mos / 10.));
	if (r->estimate_bps)
		json_object_set_new(o, "estimate_bps", json_integer(r->estimate_bps));
	if (r->sub)
		json_object_set_new(o, "queue_ms", json_real(r->queue_us / 1000.));
	if (json_is_object(name))
		json_object_update(o, (json_t *)(uintptr_t)name);
	return o;
}

static void print_json(const struct top *t, int most)
{
	json_t *workers = json_array(), *streams = json_array();
	size_t at[2] = {0, 0};

	for (unsigned w = 0; w < t->workers; w++)
		json_array_append_new(workers, json_worker(w, &t->worker[w]));
	for (int i = 0; i < t->n && i < most; i++)
		json_array_append_new(streams, json_row(&t->rows[i], name_of(t, &t->rows[i], at)));
	ctl_print_json(json_pack("{sb so si so}", "named", t->names != NULL, "workers", workers,
	                         "streams_total", t->n, "streams", streams));
}

/* ---- each second ---- */

/* What a screen has room for beside head, workers, what is left out and the keys. */
static int rows_of(const struct top *t)
{
	int most = t->screen ? t->size.rows - 6 - (int)t->workers : ROWS_ONCE;

	if (t->most && (!t->screen || t->most < most))
		most = t->most;
	return most > 0 ? most : 1;
}

static int draw(struct top *t)
{
	char *text;
	size_t size;
	int err;

	out = open_memstream(&text, &size);
	if (!out)
		return ctl_fail(t->c, CTL_FAILED, "out of memory");
	print_table(t, rows_of(t));
	fputs("q: quit, s: sort by the next", out);
	err = fclose(out) ? -errno : 0;
	out = stdout;
	if (!err)
		err = ctl_screen_draw(text);
	free(text);
	return err ? CTL_FAILED : 0;
}

static int show(struct top *t)
{
	int code;

	sh_slabs_close(&t->slabs); // another dataplane may have made another mapping
	code = open_state(t);
	if (code)
		return code;
	if (t->dataplane_epoch != t->slabs.head->slab_epoch)
		keep_counters(t);
	t->size = ctl_screen_size();
	if (t->screen)
		lay_out(t->size.columns);
	code = look(t, rows_of(t));
	if (code)
		return code;
	if (t->screen)
		return draw(t);
	print_table(t, rows_of(t));
	return fflush(stdout) ? CTL_FAILED : 0; // nobody reads
}

static int watch(struct top *t)
{
	int key, code;

	t->screen = ctl_screen_enter();
	if (t->screen)
		printf("a second for the first rates …");
	fflush(stdout);
	for (bool first = true;; first = false) {
		key = ctl_screen_key(t->now_ns + 1000000000u);
		if (key == CTL_KEY_QUIT)
			return 0;
		if (key == 's')
			t->sort = (t->sort + 1) % TOP_SORTS;
		if (key > 0 && key != 's')
			continue;
		if (!t->screen && !first)
			putchar('\n');
		code = show(t);
		if (code)
			return code;
	}
}

static int once(struct top *t)
{
	int code, most = t->most ? t->most : ROWS_ONCE;

	(void)ctl_screen_key(t->now_ns + 1000000000u); // rates need a second
	code = look(t, most);
	if (code)
		return code;
	if (t->c->json)
		print_json(t, most);
	else
		print_table(t, most);
	return CTL_OK;
}

static int options(struct top *t, bool *just_once)
{
	struct ctl *c = t->c;
	const char *sort, *rows;
	bool bad = false;
	char *end;

	*just_once = ctl_flag(c, "--once") || c->json;
	sort = ctl_option(c, "sort", &bad);
	rows = ctl_option(c, "rows", &bad);
	if (bad || !ctl_words(c, 0, 0))
		return CTL_USAGE;
	t->sort = sort ? top_sort_parse(sort) : TOP_SORT_WORST;
	if (t->sort < 0)
		return ctl_fail(c, CTL_USAGE,
		                "--sort %s: one of worst, loss, jitter, rtt, rate, queue", sort);
	if (rows) {
		long n = strtol(rows, &end, 10);

		if (*end || n < 1 || n > ROWS_ONCE)
			return ctl_fail(c, CTL_USAGE, "--rows %s: 1 to %d", rows, ROWS_ONCE);
		t->most = (int)n;
	}
	return 0;
}

int ctl_top(struct ctl *c)
{
	struct top t = {.c = c};
	bool just_once;
	int code = options(&t, &just_once);

	if (code)
		return code;
	sh_state_path(t.path, sizeof(t.path), c->rundir);
	code = open_state(&t);
	if (code)
		return code;
	t.before = aligned_alloc(_Alignof(struct sh_stats), SH_MAX_WORKERS * sizeof(*t.before));
	if (!t.before) {
		sh_slabs_close(&t.slabs);
		return ctl_fail(c, CTL_FAILED, "out of memory");
	}
	out = stdout;
	t.now_ns = monotonic();
	keep_counters(&t);
	code = just_once ? once(&t) : watch(&t);
	ctl_screen_leave();
	if (t.slabs.head)
		sh_slabs_close(&t.slabs);
	json_decref(t.names);
	free(t.before);
	free(t.rows);
	return code;
}
