/* callstackctl top: each second, how every stream is, worst first, and what the workers do. Reads
 * the dataplane's mapping; asks the daemon only whose the streams are that it shows, and shows ids
 * when it does not answer. */
#include "controlplane/ops/ctl.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include "controlplane/ops/top.h"
#include "shared/stats.h"

enum { ROWS_ONCE = 1000000, ASK_ROWS = 1000, NAMES_TIMEOUT_S = 2 };

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

/* ---- a terminal ---- */

/* Control characters and the like are not the terminal's to interpret. */
static void cell(const char *s, int width)
{
	int n = 0;

	for (; *s && n < width; s++) {
		unsigned char ch = (unsigned char)*s;

		if ((ch & 0xc0) == 0x80)
			putchar(ch); // of the character before
		else if (ch < 0x20 || ch == 0x7f)
			putchar('?'), n++;
		else
			putchar(ch), n++;
	}
	while (*s && (*s & 0xc0) == 0x80)
		putchar(*s++);
	printf("%*s", width - n + 1, "");
}

static void number(double v, int width, int digits, bool known)
{
	if (known)
		printf("%*.*f ", width, digits, v);
	else
		printf("%*s ", width, "-");
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
	printf("%u streams in, %u out; dataplane heard from %.1f s ago%s; sorted by %s\n", in,
	       (unsigned)t->n - in, age,
	       t->names ? "" : "; callstackd does not answer, so ids for names",
	       top_sort_name[t->sort]);
	printf("worker  load %%    rx/s      tx/s   drops/s  forwarding us: p50       p99     "
	       "p99.9\n");
	for (unsigned w = 0; w < t->workers; w++) {
		const struct top_worker *k = &t->worker[w];
		bool any = sh_hist_count(&k->latency) != 0;

		printf("%6u  %6.1f  %7.0f  %8.0f  %8.0f  ", w, k->load * 100, k->rx_pps, k->tx_pps,
		       k->drops);
		number(us(&k->latency, 500000), 18, 1, any);
		number(us(&k->latency, 990000), 9, 1, any);
		number(us(&k->latency, 999000), 9, 1, any);
		if (k->worst_drop >= 0)
			printf(" %s", sh_stat_info[k->worst_drop].name);
		putchar('\n');
	}
	printf("\n%-14s %-14s %-3s %-20s %-6s %-5s %8s %4s %6s %7s %6s %4s %8s %7s\n", "ROOM",
	       "WHO", "DIR", "WHAT", "CODEC", "LAYER", "KBIT/S", "FPS", "LOSS%", "JIT ms", "RTT ms",
	       "MOS", "EST KB/S", "QUE ms");
}

static void print_row(const struct top_row *r, const json_t *name)
{
	char who[32], what[80], layer[16] = "-";

	snprintf(who, sizeof(who), "endpoint %u", SH_ID_INDEX(r->endpoint));
	snprintf(what, sizeof(what), "%s %u", r->video ? "video" : "audio", SH_ID_INDEX(r->track));
	if (json_is_object(name))
		snprintf(what, sizeof(what), "%s%s%s", text(name, "from"), r->sub ? " " : "",
		         text(name, "source"));
	cell(json_is_object(name) ? text(name, "room") : "-", 14);
	cell(json_is_object(name) ? text(name, "user") : who, 14);
	cell(r->sub ? "out" : "in", 3);
	cell(what, 20);
	cell(r->q.codec < SH_CODEC_COUNT ? codec_name[r->q.codec] : "?", 6);
	if (r->video && r->layer < SH_MAX_LAYERS && r->temporal < SH_MAX_TEMPORAL)
		snprintf(layer, sizeof(layer), "%u T%u", r->layer, r->temporal);
	else if (r->video && r->layer < SH_MAX_LAYERS)
		snprintf(layer, sizeof(layer), "%u", r->layer);
	cell(layer, 5);
	number(r->q.bps / 1000., 8, 1, true);
	number(r->q.fps, 4, 0, r->video && !r->sub);
	number(r->q.lost * 100. / 256, 6, 1, true);
	number(r->q.jitter_us / 1000., 7, 1, true);
	number(r->q.rtt_us / 1000., 6, 1, r->q.rtt_us != 0);
	number(r->q.mos / 10., 4, 1, r->q.mos != 0);
	number(r->estimate_bps / 1000., 8, 0, r->estimate_bps != 0);
	number(r->queue_us / 1000., 7, 1, r->sub);
	putchar('\n');
}

static void print_table(const struct top *t, int most)
{
	size_t at[2] = {0, 0};

	print_header(t);
	for (int i = 0; i < t->n && i < most; i++)
		print_row(&t->rows[i], name_of(t, &t->rows[i], at));
	if (t->n > most)
		printf("… and %d more\n", t->n - most);
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

/* ---- the screen ---- */

static struct termios cooked;
static bool raw;

static void leave_screen(void)
{
	if (!raw)
		return;
	raw = false;
	tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
	fputs("\033[?1049l\033[?25h", stdout);
	fflush(stdout);
}

static void enter_screen(void)
{
	struct termios t;

	if (tcgetattr(STDIN_FILENO, &cooked) < 0)
		return;
	t = cooked;
	t.c_lflag &= (tcflag_t) ~(ICANON | ECHO | ISIG); // Ctrl-C comes as a key
	t.c_cc[VMIN] = 0;
	t.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSANOW, &t);
	raw = true;
	atexit(leave_screen);
	fputs("\033[?1049h\033[?25l", stdout);
}

static int screen_rows(void)
{
	struct winsize w;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row ? w.ws_row : 24;
}

/* Until the next look is due. false: q, or Ctrl-C. */
static bool wait_keys(struct top *t)
{
	uint64_t end = t->now_ns + 1000000000u;

	for (;;) {
		struct pollfd p = {.fd = raw ? STDIN_FILENO : -1, .events = POLLIN};
		int64_t left = (int64_t)(end - monotonic());
		char key;

		if (left <= 0)
			return true;
		if (poll(&p, 1, (int)(left / 1000000) + 1) <= 0)
			continue;
		if (read(STDIN_FILENO, &key, 1) != 1)
			return false; // the terminal is gone
		if (key == 'q' || key == 3)
			return false;
		if (key == 's') {
			t->sort = (t->sort + 1) % TOP_SORTS;
			return true;
		}
	}
}

static int watch(struct top *t)
{
	int code, most;

	if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		enter_screen();
	for (bool first = true;; first = false) {
		if (!wait_keys(t))
			return 0;
		sh_slabs_close(&t->slabs); // another dataplane may have made another mapping
		code = open_state(t);
		if (code)
			return code;
		if (t->dataplane_epoch != t->slabs.head->slab_epoch)
			keep_counters(t);
		most = t->most ? t->most : raw ? screen_rows() - 6 - (int)t->workers : ROWS_ONCE;
		code = look(t, most > 0 ? most : 1);
		if (code)
			return code;
		if (raw)
			fputs("\033[H\033[J", stdout);
		else if (!first)
			putchar('\n');
		print_table(t, most > 0 ? most : 1);
		if (raw)
			printf("q: quit, s: sort by the next");
		if (fflush(stdout) != 0)
			return CTL_FAILED; // nobody reads
	}
}

static int once(struct top *t)
{
	int code, most = t->most ? t->most : ROWS_ONCE;

	wait_keys(t); // rates need a second
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
	t.now_ns = monotonic();
	keep_counters(&t);
	code = just_once ? once(&t) : watch(&t);
	leave_screen();
	if (t.slabs.head)
		sh_slabs_close(&t.slabs);
	json_decref(t.names);
	free(t.before);
	free(t.rows);
	return code;
}
