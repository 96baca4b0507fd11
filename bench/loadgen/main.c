/* loadgen: rooms of clients from a scenario against one server.
 *
 *   loadgen --config bench/scenarios/one-to-200.yaml --set server.token_file=FILE [--json FILE]
 *
 * In order: publishers join, then those who watch; when all have media, everything is counted anew
 * and either the duration is measured at the scenario's rate, or the highest rate without loss is
 * looked for. Exit status: 0; 1 loss above run.max_loss, or somebody without media; 2 a scenario or
 * a server that cannot be used. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/resource.h>
#include <openssl/rand.h>
#include "bench/loadgen/lg.h"
#include "bench/loadgen/report.h"
#include "bench/loadgen/server.h"

enum { SETTLE_MS = 300, BACK = 10 };

struct lg_scenario lg_sc;
const struct lg_net *lg_net;
static struct lg_room *rooms;
static volatile sig_atomic_t stopped;
static bool progress_shown;
static unsigned turn_ms = 20; // of signaling at a time; longer once everybody is in

uint64_t lg_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void lg_random(void *p, size_t n)
{
	if (RAND_bytes(p, (int)n) != 1)
		abort();
}

uint32_t lg_random32(void)
{
	uint32_t v;

	lg_random(&v, sizeof(v));
	return v;
}

void lg_say(const char *fmt, ...)
{
	va_list ap;

	if (progress_shown)
		fputc('\n', stderr);
	progress_shown = false;
	fputs("loadgen: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

const char *lg_token(void)
{
	static char token[2048];
	FILE *f;

	if (token[0])
		return token;
	if (!lg_sc.token_file[0]) {
		lg_say(
		    "server.token_file: none; expected a file with what callstackctl token prints");
		return NULL;
	}
	f = fopen(lg_sc.token_file, "re");
	if (!f || !fgets(token, sizeof(token), f))
		lg_say("server.token_file: %s: %s", lg_sc.token_file,
		       f ? "empty" : strerror(errno));
	if (f)
		fclose(f);
	token[strcspn(token, "\r\n")] = '\0';
	return token[0] ? token : NULL;
}

const struct lg_adapter *lg_adapter(void)
{
	static const struct lg_adapter *const all[] = {
	    [LG_CALLSTACK] = &lg_adapter_callstack,
	    [LG_WHIP] = &lg_adapter_whip,
	    [LG_JANUS] = &lg_adapter_janus,
	    [LG_RTPENGINE] = &lg_adapter_rtpengine,
	};

	return all[lg_sc.kind];
}

/* ---- who is there ---- */

unsigned lg_watched_index(const struct lg_member *m, unsigned k)
{
	return (m->index + k + (m->publishes ? 1 : 0)) % lg_sc.publishers;
}

bool lg_has_camera(unsigned index)
{
	return lg_sc.video && (!lg_sc.cameras || index < lg_sc.cameras);
}

static int make_rooms(void)
{
	rooms = calloc(lg_sc.rooms, sizeof(*rooms));
	for (unsigned r = 0; rooms && r < lg_sc.rooms; r++) {
		rooms[r].index = r;
		snprintf(rooms[r].name, sizeof(rooms[r].name), "%s-%u", lg_sc.name, r);
		rooms[r].member = calloc(lg_sc.participants, sizeof(struct lg_member));
		if (!rooms[r].member)
			return -ENOMEM;
		for (unsigned i = 0; i < lg_sc.participants; i++) {
			struct lg_member *m = &rooms[r].member[i];

			m->room = &rooms[r];
			m->index = i;
			m->publishes = i < lg_sc.publishers;
			m->watches = lg_watched(&lg_sc, i);
			m->sub = calloc(m->watches + 1, sizeof(struct lg_peer *));
			if (!m->sub)
				return -ENOMEM;
			for (unsigned k = 0; k < m->watches; k++)
				rooms[r].member[lg_watched_index(m, k)].fanout++;
		}
	}
	return rooms ? 0 : -ENOMEM;
}

/* ---- joining ---- */

static void turn(unsigned ms)
{
	if (lg_adapter()->turn)
		lg_adapter()->turn(ms);
	else
		usleep(ms * 1000);
}

static void progress(const char *what)
{
	static uint64_t last_ns, last_sent, last_received;
	uint64_t now = lg_now();
	double s = (double)(now - last_ns) / 1e9;

	if (!lg_sc.progress || s < 1)
		return;
	if (last_ns) {
		fprintf(
		    stderr,
		    "%-9s %5llu up, %5llu with all media, %3llu failed; in %8.0f/s, out %9.0f/s, "
		    "%llu not authentic\n",
		    what, (unsigned long long)lg_totals.up, (unsigned long long)lg_totals.alive,
		    (unsigned long long)lg_totals.failed, (double)(lg_totals.sent - last_sent) / s,
		    (double)(lg_totals.received - last_received) / s,
		    (unsigned long long)lg_totals.bad);
	}
	last_ns = now;
	last_sent = lg_totals.sent;
	last_received = lg_totals.received;
}

static void wait_turn(uint64_t due_ns, const char *what)
{
	do {
		uint64_t now = lg_now();
		uint64_t left_ms = now < due_ns ? (due_ns - now) / 1000000 : 0;

		progress(what);
		turn(left_ms < turn_ms ? (unsigned)left_ms : turn_ms);
	} while (lg_now() < due_ns && !stopped);
}

/* Room by room within each pass, at the ramp's rate. */
static int join_all(bool publish)
{
	uint64_t due = lg_now();

	for (unsigned i = 0; i < lg_sc.participants; i++)
		for (unsigned r = 0; r < lg_sc.rooms; r++) {
			struct lg_member *m = &rooms[r].member[i];
			int err = 0;

			if (stopped)
				return -EINTR;
			if (publish ? !m->publishes : !m->watches)
				continue;
			wait_turn(due, "joining");
			due += 1000000000 / lg_sc.ramp;
			err = publish ? lg_adapter()->publish(m) : lg_adapter()->subscribe(m);
			if (err) {
				lg_say("%s, participant %u: does not get in: %s", m->room->name, i,
				       strerror(-err));
				return err;
			}
		}
	return 0;
}

/* Some servers know a publisher only once its transport is up. */
static int wait_for_publishers(void)
{
	uint64_t until = lg_now() + lg_sc.join_timeout * 1000000000ULL;

	while (lg_totals.up < lg_peer_count && !lg_totals.failed && !stopped) {
		if (lg_now() > until)
			break;
		progress("joining");
		turn(5);
	}
	if (lg_totals.up == lg_peer_count)
		return 0;
	lg_say("%llu of %u publishers are connected", (unsigned long long)lg_totals.up,
	       lg_peer_count);
	return stopped ? -EINTR : -ETIMEDOUT;
}

static unsigned receivers(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < lg_peer_count; i++)
		n += lg_peers[i]->receives && lg_peers[i]->expects;
	return n;
}

/* With signaling that tells of publishers by events, transports to receive on come after the joins.
 */
static bool all_here(void)
{
	for (unsigned r = 0; r < lg_sc.rooms; r++)
		for (unsigned i = 0; i < lg_sc.participants; i++)
			if (rooms[r].member[i].watches && !rooms[r].member[i].n_sub)
				return false;
	return true;
}

static bool wait_for_media(void)
{
	uint64_t until = lg_now() + lg_sc.join_timeout * 1000000000ULL;

	while (lg_now() < until && !stopped) {
		if (all_here() && lg_totals.alive >= receivers() &&
		    lg_totals.up + lg_totals.failed >= lg_peer_count)
			return lg_totals.failed == 0;
		progress("waiting");
		turn(20);
	}
	lg_say("%llu of %u receivers have all their streams after %u s, %llu transports failed",
	       (unsigned long long)lg_totals.alive, receivers(), lg_sc.join_timeout,
	       (unsigned long long)lg_totals.failed);
	return false;
}

/* ---- measuring ---- */

static void settle(void)
{
	lg_media_ask(LG_ASK_PAUSE, 0, NULL);
	wait_turn(lg_now() + SETTLE_MS * 1000000ULL, "settling");
}

/* At the rate that is measured next. */
static void warm_up(uint32_t kbps)
{
	if (lg_sc.search_from)
		lg_media_ask(LG_ASK_RATE, kbps, NULL);
	if (!lg_sc.warm_up)
		return;
	lg_media_ask(LG_ASK_RESUME, 0, NULL);
	wait_turn(lg_now() + lg_sc.warm_up * 1000000000ULL, "warming");
	settle();
}

/* Sources stand still before and after, so that sent and received belong together. */
static void measure(struct lg_figures *f, uint32_t kbps, unsigned seconds, const char *what)
{
	static struct lg_mark from, to;
	static struct lg_taken taken;
	double s;

	lg_media_ask(LG_ASK_TAKE, 0, &taken);
	lg_mark(&from);
	lg_media_ask(LG_ASK_RESUME, 0, NULL);
	wait_turn(from.at_ns + seconds * 1000000000ULL, what);
	s = (double)(lg_now() - from.at_ns) / 1e9;
	settle();
	lg_mark(&to);
	lg_figures(f, &from, &to);
	f->seconds = s;
	f->kbps = kbps;
	lg_media_ask(LG_ASK_TAKE, 0, &taken);
	f->latency = taken.latency;
	f->late = taken.late;
	f->gap_ns = taken.gap_ns;
	/* The server's CPU over the pause too: it is counted, the pause's time is not. */
	f->to.at_ns = f->from.at_ns + (uint64_t)(s * 1e9);
}

static bool good(const struct lg_figures *f)
{
	return f->expected > 0 && lg_loss_ppm(f) <= lg_sc.search_loss &&
	       (!lg_sc.search_p99 || lg_hist_at(&f->latency, .99) <= lg_sc.search_p99 * 1000000ULL);
}

struct best {
	struct lg_figures figures;
	json_t *steps;
};

static bool try_step(struct best *b, uint32_t kbps)
{
	static struct lg_figures f;
	bool ok = false;

	for (unsigned i = 0; i < lg_sc.search_tries && !ok && !stopped; i++) {
		json_t *o;

		warm_up(kbps);
		measure(&f, kbps, lg_sc.search_step, "step");
		ok = good(&f);
		lg_step_print(&f, ok, stderr);
		o = lg_figures_json(&f);
		json_object_set_new(o, "good", json_boolean(ok));
		json_array_append_new(b->steps, o);
	}
	if (ok && lg_rate(&f) > lg_rate(&b->figures))
		b->figures = f;
	return ok;
}

static void search(struct best *b)
{
	double low = 0, high = 0, kbps = lg_sc.search_from;

	lg_step_head(stderr);
	while (kbps <= lg_sc.search_to && !high && !stopped) {
		if (try_step(b, (uint32_t)kbps))
			low = kbps;
		else
			high = kbps;
		kbps = kbps * lg_sc.search_factor / 100;
	}
	for (unsigned i = 0; i < lg_sc.search_halves && high && !stopped; i++) {
		double mid = (low + high) / 2;

		if (try_step(b, (uint32_t)mid))
			low = mid;
		else
			high = mid;
	}
}

/* ---- the run ---- */

static json_t *describe(void)
{
	static const char *const kind[] = {
#define X(sym, word) word,
	    LG_KINDS(X)
#undef X
	};
	static const char *const feedback[] = {
#define X(sym, word) word,
	    LG_FEEDBACKS(X)
#undef X
	};

	return json_pack("{ss ss ss ss sb si si si si sb sb si si si}", "server", kind[lg_sc.kind],
	                 "transport", lg_net->name, "srtp", lg_crypto_sdes(), "feedback",
	                 feedback[lg_sc.feedback], "nack", lg_sc.nack, "rooms", (int)lg_sc.rooms,
	                 "participants", (int)lg_sc.participants, "publishers",
	                 (int)lg_sc.publishers, "watch", (int)lg_sc.watch, "audio", lg_sc.audio,
	                 "video", lg_sc.video, "video_size", (int)lg_sc.video_size, "video_kbps",
	                 (int)lg_sc.bitrate, "decrypted_one_in", (int)lg_sc.sample);
}

static bool write_json(json_t *o)
{
	int err;

	if (strcmp(lg_sc.json, "-") == 0) {
		err = json_dumpf(o, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
		putchar('\n');
	} else {
		err = json_dump_file(o, lg_sc.json, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
	}
	if (err)
		lg_say("run.json: cannot write %s", lg_sc.json);
	return !err;
}

static bool report(json_t *o, struct lg_figures *f, bool all_in)
{
	json_t *peers = lg_peers_json();
	bool table = strcmp(lg_sc.json, "-") != 0, ok;

	/* Of several layers one is forwarded, of a large room those who speak: only continuity can
	 * tell. */
	if (lg_sc.layers > 1 || lg_sc.slots)
		f->expected =
		    f->received + (uint64_t)json_integer_value(json_object_get(peers, "lost"));
	json_object_set_new(o, "figures", lg_figures_json(f));
	json_object_set(o, "receivers", peers);
	if (table) {
		lg_figures_print(f, stdout);
		lg_peers_print(peers, stdout);
	}
	ok = all_in && json_integer_value(json_object_get(peers, "missing_streams")) == 0 &&
	     json_integer_value(json_object_get(peers, "failed_transports")) == 0 &&
	     json_integer_value(json_object_get(peers, "not_authentic")) == 0 && f->received > 0 &&
	     (lg_sc.search_from || lg_loss_ppm(f) <= lg_sc.max_loss);
	json_object_set_new(o, "good", json_boolean(ok));
	json_decref(peers);
	if (lg_sc.json[0])
		ok &= write_json(o);
	return ok;
}

static bool run(json_t *o)
{
	static struct best b;
	bool all_in = wait_for_media();

	/* From here on signaling gives way to media, where both have one CPU: this thread's only.
	 */
	setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + BACK);
	turn_ms = 80;
	settle();
	if (!lg_sc.search_from)
		warm_up(lg_sc.bitrate);
	lg_media_ask(LG_ASK_RESTART, 0, NULL);
	if (lg_sc.search_from && all_in) {
		b.steps = json_array();
		search(&b);
		json_object_set_new(o, "steps", b.steps);
	} else if (!stopped) {
		measure(&b.figures, lg_sc.bitrate, lg_sc.duration, "running");
	}
	lg_media_stop();
	for (unsigned r = 0; r < lg_sc.rooms; r++)
		for (unsigned i = 0; i < lg_sc.participants; i++)
			lg_adapter()->leave(&rooms[r].member[i]);
	return report(o, &b.figures, all_in);
}

static void on_signal(int sig)
{
	stopped = 1;
}

/* --json FILE is run.json. */
static int arguments(int argc, char **argv)
{
	char **v = calloc((size_t)argc + 1, sizeof(char *));
	char json[300];
	int n = 0, rc;

	for (int i = 0; v && i < argc; i++)
		if (strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
			snprintf(json, sizeof(json), "run.json=%s", argv[++i]);
			v[n++] = (char *)"--set";
			v[n++] = json;
		} else {
			v[n++] = argv[i];
		}
	rc = v ? sh_conf_args(&lg_scenario_table, &lg_sc, n, v) : 2;
	free(v);
	return rc;
}

static int open_all(void)
{
	int err;

	lg_net = lg_sc.transport != LG_SOCKETS ? &lg_net_dpdk
	         : lg_sc.ice == LG_AGENT       ? &lg_net_nice
	                                       : &lg_net_udp;
	err = lg_crypto_open();
	if (!err)
		err = lg_dtls_open();
	if (!err)
		err = lg_server_open();
	if (!err)
		err = lg_net->open();
	if (!err)
		err = lg_adapter()->open();
	if (!err)
		err = make_rooms();
	if (!err)
		err = lg_media_start();
	return err;
}

int main(int argc, char **argv)
{
	int rc = arguments(argc, argv), err;
	json_t *o;
	bool ok;

	if (rc >= 0)
		return rc;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	err = open_all();
	if (err) {
		lg_say("cannot begin: %s", strerror(-err));
		return 2;
	}
	o = describe();
	err = join_all(true);
	if (!err)
		err = wait_for_publishers();
	if (!err)
		err = join_all(false);
	if (err && err != -EINTR) {
		lg_media_stop();
		lg_net->close();
		return 2;
	}
	ok = run(o);
	lg_adapter()->close();
	lg_net->close();
	json_decref(o);
	return ok ? 0 : 1;
}
