/* The model on the command line: what bench/planner fits and asks.
 *
 *   cost_model fit SAMPLES.json    samples of bench_room, bench_forward → the model file, on
 *                                  standard output
 *   cost_model ask MODEL.json SCENARIO.yaml [--budget PERCENT] [--rooms N] [--workers N]
 *              [--port NAME] [--audio-slots N] [--video-slots N]
 *   cost_model host                sizes that this build has, for the memory part
 *
 * `ask` writes JSON: the scenario's load, for 1, 2, 4 … workers the most rooms that fit and what
 * runs out first, and for so many rooms how many workers, what port speed, memory and packet
 * buffers. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bench/cost_fit.h"
#include "bench/cost_scenario.h"
#include "shared/cost_file.h"
#include "shared/state.h"

enum {
	HISTORY_VIDEO = 512,
	HISTORY_AUDIO = 128,
	HISTORY_SHARE = 4,
	WORKERS_MAX = 16,
	SELDOM_PPS = 64 * 200, // a burst takes 5 ms, in which tracks are looked at
	ROOMS_MAX = 1 << 22
};

static __attribute__((noreturn, format(printf, 1, 2))) void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("cost_model: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static void print(json_t *o)
{
	if (!o || json_dumpf(o, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(8)))
		die("no memory");
	putchar('\n');
	json_decref(o);
}

static double number(const json_t *o, const char *key, double otherwise)
{
	const json_t *v = json_object_get(o, key);

	return json_is_number(v) ? json_number_value(v) : otherwise;
}

/* ---- fit ---- */

static enum sh_cost_cipher cipher_of(const char *profile)
{
	if (strstr(profile, "256"))
		return SH_COST_GCM256;
	return strstr(profile, "SHA1") ? SH_COST_CM_SHA1 : SH_COST_GCM128;
}

static unsigned port_of(struct cost_fit *f, unsigned *ports, const char *name)
{
	for (unsigned i = 0; i < *ports; i++)
		if (strcmp(f->port[i].name, name) == 0)
			return i;
	if (*ports == COST_PORTS_MAX)
		die("more than %d ports", COST_PORTS_MAX);
	snprintf(f->port[*ports].name, SH_COST_NAME_MAX, "%s", name);
	return (*ports)++;
}

/* Of bench_room: the load of its scenario. */
static void room_load(struct cost_sample *s, enum sh_cost_cipher cipher, const json_t *o)
{
	const struct cost_scenario sc = {
	    .participants = (unsigned)number(o, "participants", 0),
	    .publishers = (unsigned)number(o, "publishers", 0),
	    .watch = (unsigned)number(o, "watch", 0),
	    .publishers_watch = true,
	    .cameras = (unsigned)number(o, "cameras", 0),
	    .grown = number(o, "audio_slots", 0) > 0,
	    .audio_slots = (unsigned)number(o, "audio_slots", 0),
	    .video_slots = (unsigned)number(o, "video_slots", 0),
	    .feedback = number(o, "feedback", 1) > 0,
	    .audio = number(o, "audio", 0) > 0,
	    .video = number(o, "kbps", 0) > 0,
	    .audio_size = (unsigned)number(o, "audio", 0),
	    .kbps = (unsigned)number(o, "kbps", 0),
	    .video_size = (unsigned)number(o, "payload", 1),
	    .layers = 1,
	    .cipher = cipher,
	};
	struct sh_cost_load all;

	if (sc.video && !sc.video_size)
		die("a sample's video has packets of no size");
	cost_scenario_load_of(&sc, number(o, "rooms", 0), 1, &all);
	if (!(all.out[cipher].pps > 0))
		die("a sample's rooms send nothing");
	s->load = all;
	s->seldom = all.in[cipher].pps + all.told < SELDOM_PPS;
}

static size_t read_samples(struct cost_fit *f, struct cost_sample *s, unsigned *ports, json_t *list)
{
	json_t *o;
	size_t i;

	if (json_array_size(list) > COST_SAMPLES_MAX)
		die("more than %d samples", COST_SAMPLES_MAX);
	json_array_foreach (list, i, o) {
		const char *profile = json_string_value(json_object_get(o, "profile")),
		           *port = json_string_value(json_object_get(o, "port"));

		if (!profile || !port)
			die("sample %zu: no profile or port", i);
		s[i] = (struct cost_sample){
		    .port = port_of(f, ports, port),
		    .cycles = number(o, "cycles", 0),
		    .timers = number(o, "timers", 0),
		    .base = number(o, "base", 0),
		    .held_out = json_is_true(json_object_get(o, "held_out")),
		};
		if (json_object_get(o, "rooms"))
			room_load(&s[i], cipher_of(profile), o);
		else
			cost_sample_uniform(&s[i], cipher_of(profile), number(o, "payload", 0),
			                    fmax(number(o, "fanout", 1), 1), number(o, "subs", 1));
	}
	return json_array_size(list);
}

static void limits(struct cost_fit *f, unsigned ports, const json_t *doc)
{
	for (unsigned i = 0; i < ports; i++) {
		const json_t *p = json_object_get(json_object_get(doc, "ports"), f->port[i].name);

		f->port[i].max_pps = number(p, "max_pps", 0);
		f->port[i].max_bps = number(p, "max_bps", 0);
	}
}

static json_t *port_json(const struct sh_cost_port *p)
{
	return json_pack("{ss sf sf sf sf sf sf}", "name", p->name, "in", p->in, "in_byte",
	                 p->in_byte, "out", p->out, "out_byte", p->out_byte, "max_pps", p->max_pps,
	                 "max_bps", p->max_bps);
}

static int fit(const char *path)
{
	static struct cost_sample s[COST_SAMPLES_MAX];
	struct cost_fit f = {.port[0].name = "null"};
	json_error_t wrong;
	json_t *doc = json_load_file(path, 0, &wrong), *out, *list, *all;
	const json_t *mem = json_object_get(doc, "memory");
	const char *want = json_string_value(json_object_get(doc, "port"));
	unsigned ports = 1;
	size_t n;

	if (!doc)
		die("%s: line %d: %s", path, wrong.line, wrong.text);
	f.model.tsc_hz = number(doc, "tsc_hz", 0);
	n = read_samples(&f, s, &ports, json_object_get(doc, "samples"));
	if (cost_fit(&f, s, n, ports))
		die("%s: too few samples, or one that is none", path);
	limits(&f, ports, doc);
	f.model.port = f.port[want ? port_of(&f, &ports, want) : 0];
	f.model.usable = number(doc, "usable", 1);
	f.model.error =
	    fmax(number(doc, "error", 0), fmax(f.held_worst, 2 * fmax(f.rms, f.out_rms)));
	f.model.base_bytes = number(mem, "base", 0);
	f.model.endpoint_bytes = number(mem, "endpoint", 0);
	f.model.sub_bytes = number(mem, "subscription", 0);
	f.model.video_bytes = number(mem, "video", 0);
	f.model.audio_bytes = number(mem, "audio", 0);
	f.model.memory = number(mem, "available", 0);
	if (!sh_cost_valid(&f.model))
		die("the fit has a number out of its range: the samples are no good");
	out = sh_cost_json(&f.model);
	list = json_array();
	for (size_t i = 0; i < n; i++) {
		json_t *o = json_array_get(json_object_get(doc, "samples"), i);

		json_object_set_new(o, "predicted", json_real(s[i].predicted));
		json_object_set_new(o, "without", json_real(s[i].without));
		json_array_append(list, o);
	}
	all = json_object();
	for (unsigned i = 0; i < ports; i++)
		json_object_set_new(all, f.port[i].name, port_json(&f.port[i]));
	json_object_set_new(out, "ports", all);
	json_object_set_new(out, "fit",
	                    json_pack("{sf sf sf sf sf sf si si so}", "rms", f.rms, "worst",
	                              f.worst, "held_out_rms", f.held_rms, "held_out_worst",
	                              f.held_worst, "one_out_rms", f.out_rms, "one_out_worst",
	                              f.out_worst, "fitted", (int)f.fitted, "held_out", (int)f.held,
	                              "samples", list));
	json_decref(doc);
	print(out);
	return 0;
}

/* ---- ask ---- */

struct asked {
	struct sh_cost_model model;
	struct cost_scenario scenario;
	double budget; // share
};

static struct sh_cost_answer answer(const struct asked *q, double rooms, unsigned workers,
                                    double error)
{
	struct sh_cost_load load;
	struct sh_cost_answer a;

	cost_scenario_load_of(&q->scenario, rooms, workers, &load);
	sh_cost_predict(&q->model, &load, workers, &a);
	a.used[SH_COST_CPU] *= 1 + error;
	a.utilisation *= 1 + error;
	return a;
}

static bool fits(const struct asked *q, double rooms, unsigned workers, double error)
{
	struct sh_cost_answer a = answer(q, rooms, workers, error);

	for (unsigned i = 0; i < SH_COST_LIMIT_COUNT; i++)
		if (a.used[i] > q->budget)
			return false;
	return true;
}

/* The most rooms that fit. Use grows with rooms. */
static unsigned most(const struct asked *q, unsigned workers, double error)
{
	unsigned lo = 0, hi = 1;

	while (hi < ROOMS_MAX && fits(q, hi, workers, error)) {
		lo = hi;
		hi *= 2;
	}
	while (hi - lo > 1) {
		unsigned mid = lo + (hi - lo) / 2;

		*(fits(q, mid, workers, error) ? &lo : &hi) = mid;
	}
	return lo;
}

static json_t *used_json(const struct sh_cost_answer *a)
{
	json_t *o = json_object();

	for (unsigned i = 0; i < SH_COST_LIMIT_COUNT; i++)
		json_object_set_new(o, sh_cost_limit_name[i], json_real(a->used[i]));
	return o;
}

static json_t *at_workers(const struct asked *q, unsigned workers)
{
	unsigned rooms = most(q, workers, 0);
	struct sh_cost_answer a = answer(q, rooms + 1, workers, 0);

	return json_pack("{si si si si ss sf sf so}", "workers", (int)workers, "rooms", (int)rooms,
	                 "rooms_low", (int)most(q, workers, q->model.error), "rooms_high",
	                 (int)most(q, workers, -fmin(q->model.error, 0.9)), "bottleneck",
	                 sh_cost_limit_name[a.bottleneck], "out_pps", a.out_pps, "out_bps",
	                 a.out_bps, "used", used_json(&a));
}

static unsigned workers_for(const struct asked *q, double rooms, double error)
{
	for (unsigned w = 1; w <= WORKERS_MAX; w++)
		if (answer(q, rooms, w, error).used[SH_COST_CPU] <= q->budget)
			return w;
	return 0;
}

/* The smallest usual Ethernet whose budget it is in. */
static double port_speed(const struct asked *q, const struct sh_cost_answer *a)
{
	static const double gbit[] = {1, 2.5, 5, 10, 25, 40, 50, 100, 200, 400};

	for (size_t i = 0; i < sizeof(gbit) / sizeof(gbit[0]); i++)
		if (fmax(a->in_bps, a->out_bps) <= gbit[i] * 1e9 * q->budget)
			return gbit[i];
	return 0;
}

static json_t *for_rooms(const struct asked *q, unsigned rooms)
{
	double buffers = HISTORY_SHARE *
	                 cost_scenario_buffers(&q->scenario, rooms, HISTORY_VIDEO, HISTORY_AUDIO);
	unsigned low = workers_for(q, rooms, -fmin(q->model.error, 0.9)),
	         w = workers_for(q, rooms, 0), high = workers_for(q, rooms, q->model.error);
	struct sh_cost_answer a = answer(q, rooms, w ? w : WORKERS_MAX, 0);
	struct sh_cost_load load;

	cost_scenario_load_of(&q->scenario, rooms, w ? w : WORKERS_MAX, &load);
	return json_pack("{si si si si sf sf sf sf sf sf sf sf sf sf so}", "rooms", (int)rooms,
	                 "workers", (int)w, "workers_low", (int)low, "workers_high", (int)high,
	                 "utilisation", a.utilisation, "in_pps", a.in_pps, "out_pps", a.out_pps,
	                 "in_bps", a.in_bps, "out_bps", a.out_bps, "port_gbit", port_speed(q, &a),
	                 "bytes", a.bytes, "mbufs", fmax(32768, buffers + 16384), "endpoints",
	                 load.endpoints, "subscriptions", load.subs, "used", used_json(&a));
}

/* Rooms, not whole, that one worker's core is just full of, all of it, with nothing else a limit:
 * what a validating run finds. */
static double full_at(const struct asked *q)
{
	double lo = 0, hi = 1;

	while (hi < ROOMS_MAX && answer(q, hi, 1, 0).utilisation * q->model.usable < 1)
		hi *= 2;
	for (int i = 0; i < 60; i++) {
		double mid = (lo + hi) / 2;

		*(answer(q, mid, 1, 0).utilisation * q->model.usable < 1 ? &lo : &hi) = mid;
	}
	return lo;
}

/* The same in kbit/s of the video, with so many rooms: what loadgen's search finds. 0: there is no
 * video. */
static double full_at_kbps(const struct asked *asked, unsigned rooms)
{
	struct asked q = *asked;
	unsigned lo = 1, hi = 100000000;

	if (!q.scenario.video)
		return 0;
	while (hi - lo > 1) {
		unsigned mid = lo + (hi - lo) / 2;

		q.scenario.kbps = mid;
		*(answer(&q, rooms, 1, 0).utilisation * q.model.usable < 1 ? &lo : &hi) = mid;
	}
	return lo;
}

/* Shares of a worker's cycles by what they go into, at the most rooms of one worker: what to look
 * at first. */
static json_t *parts(const struct asked *q)
{
	struct sh_cost_load load, part;
	json_t *o = json_object();
	double all, told, in, clock;

	cost_scenario_load_of(&q->scenario, most(q, 1, 0) + 1, 1, &load);
	all = sh_cost_cycles(&q->model, &load);
	part = load;
	part.told = part.tracked = 0;
	told = all - sh_cost_cycles(&q->model, &part);
	memset(part.out, 0, sizeof(part.out));
	in = sh_cost_cycles(&q->model, &part);
	memset(part.in, 0, sizeof(part.in));
	clock = sh_cost_cycles(&q->model, &part);
	json_object_set_new(o, "receive and decrypt", json_real((in - clock) / all));
	json_object_set_new(o, "transports (timers, reports)", json_real(clock / all));
	json_object_set_new(o, "fan out, encrypt, send", json_real((all - told - in) / all));
	json_object_set_new(o, "feedback", json_real(told / all));
	return o;
}

/* Tracks that are looked at to see who speaks, of rooms that have grown. */
static double members(const struct asked *q, unsigned rooms)
{
	struct sh_cost_load load;

	cost_scenario_load_of(&q->scenario, rooms, 1, &load);
	return q->scenario.grown ? load.audios + load.videos : 0;
}

static void take_port(struct asked *q, const char *path, const char *name)
{
	json_t *doc = json_load_file(path, 0, NULL),
	       *p = json_object_get(json_object_get(doc, "ports"), name);
	char why[256];

	if (!p)
		die("%s: port %s was not measured", path, name);
	json_object_set(doc, "port", p);
	if (sh_cost_load_json(&q->model, doc, why, sizeof(why)))
		die("%s: %s", path, why);
	json_decref(doc);
}

static int ask(int argc, char **argv)
{
	struct asked q = {.budget = 0.8};
	unsigned rooms = 0, workers = 0;
	json_t *table = json_array();
	char why[512];

	if (sh_cost_load_file(&q.model, argv[2], why, sizeof(why)) ||
	    cost_scenario_load(&q.scenario, argv[3], why, sizeof(why)))
		die("%s", why);
	for (int i = 4; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--budget") == 0)
			q.budget = strtod(argv[i + 1], NULL) / 100;
		else if (strcmp(argv[i], "--rooms") == 0)
			rooms = (unsigned)strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--workers") == 0)
			workers = (unsigned)strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--audio-slots") == 0)
			q.scenario.audio_slots = (unsigned)strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--video-slots") == 0)
			q.scenario.video_slots = (unsigned)strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--port") == 0)
			take_port(&q, argv[2], argv[i + 1]);
		else
			die("no option %s", argv[i]);
	}
	if (q.scenario.audio_slots > SH_MAX_AUDIO_SLOTS ||
	    q.scenario.video_slots > SH_MAX_VIDEO_SLOTS)
		die("slots are at most %d and %d", SH_MAX_AUDIO_SLOTS, SH_MAX_VIDEO_SLOTS);
	if (!(q.budget > 0 && q.budget <= 1))
		die("--budget is 1 to 100");
	if (workers > WORKERS_MAX)
		die("--workers is 1 to %d", WORKERS_MAX);
	for (unsigned w = workers ? workers : 1; w <= (workers ? workers : WORKERS_MAX); w *= 2)
		json_array_append_new(table, at_workers(&q, w));
	print(json_pack(
	    "{sf sf ss so so so sf sf sf sf}", "budget", q.budget, "error", q.model.error, "port",
	    q.model.port.name, "most", table, "wanted",
	    for_rooms(&q, rooms ? rooms : q.scenario.rooms), "cycles", parts(&q), "full_at",
	    full_at(&q), "full_at_kbps", full_at_kbps(&q, rooms ? rooms : q.scenario.rooms), "busy",
	    answer(&q, rooms ? rooms : q.scenario.rooms, 1, 0).utilisation * q.model.usable,
	    "members", members(&q, rooms ? rooms : q.scenario.rooms)));
	return 0;
}

static int host(void)
{
	print(json_pack("{si si si}", "endpoint", (int)sizeof(struct sh_endpoint), "track",
	                (int)sizeof(struct sh_track), "subscription", (int)sizeof(struct sh_sub)));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "fit") == 0)
		return fit(argv[2]);
	if (argc >= 4 && argc % 2 == 0 && strcmp(argv[1], "ask") == 0)
		return ask(argc, argv);
	if (argc == 2 && strcmp(argv[1], "host") == 0)
		return host();
	fputs("usage: cost_model fit SAMPLES.json | ask MODEL.json SCENARIO.yaml [--budget "
	      "PERCENT] [--rooms N]\n"
	      "                  [--workers N] [--port NAME] [--audio-slots N] [--video-slots N] | "
	      "host\n",
	      stderr);
	return 2;
}
