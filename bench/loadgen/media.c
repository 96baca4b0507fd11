/* The media thread: what is due goes out, what comes is handed on, timers, and what the main thread
 * asks for. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "bench/loadgen/lg.h"

enum {
	SCAN_MS = 5, // timers are looked at so often
	TIMERS = 16, // peers whose timers are turned before looking at what came
	MAX_WAIT_US = 1000,
};

struct lg_totals lg_totals;
struct lg_hist lg_latency;
struct lg_late lg_late;

struct due {
	uint64_t due_ns; // the source's
	struct lg_source *source;
	struct lg_peer *peer;
};
static struct {
	pthread_t thread;
	_Atomic bool stop, paused;
	pthread_mutex_t lock;
	struct lg_peer **fresh; // lock; main → media
	unsigned n_fresh, cap_fresh;
	struct lg_peer **peer; // media thread's
	unsigned n, cap;
	struct due *heap; // by due_ns
	unsigned n_heap, cap_heap;
	uint64_t scan_ns;
	_Atomic int ask;
	uint32_t value;
	struct lg_taken *out;
	clockid_t clock;
} md = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- turns ---- */

static uint64_t cpu_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void lg_media_turn(enum lg_cause c)
{
	lg_late_turn(&lg_late, c, lg_now(), cpu_time);
	if (lg_net->drain)
		lg_net->drain();
}

void lg_media_sleep(uint64_t ns)
{
	struct timespec t = {0, (long)ns};

	nanosleep(&t, NULL);
	lg_late_slept(&lg_late, ns, lg_now());
}

/* ---- a heap of sources ---- */

static bool before(unsigned a, unsigned b)
{
	return md.heap[a].due_ns < md.heap[b].due_ns;
}

static void swap(unsigned a, unsigned b)
{
	struct due t = md.heap[a];

	md.heap[a] = md.heap[b];
	md.heap[b] = t;
}

static void sink(unsigned i)
{
	for (;;) {
		unsigned least = i, l = 2 * i + 1, r = l + 1;

		if (l < md.n_heap && before(l, least))
			least = l;
		if (r < md.n_heap && before(r, least))
			least = r;
		if (least == i)
			return;
		swap(i, least);
		i = least;
	}
}

static void rise(unsigned i)
{
	for (; i && before(i, (i - 1) / 2); i = (i - 1) / 2)
		swap(i, (i - 1) / 2);
}

/* Not all at once: publishers do not keep step. */
static uint64_t phase(const struct lg_source *s, uint64_t now)
{
	uint64_t span =
	    s->conf.video && !s->conf.paced ? 1000000000 / s->conf.fps : (uint64_t)s->interval_ns;

	return now + (span ? (uint64_t)lg_random32() * 1000 % span : 0);
}

void lg_media_sources(struct lg_peer *p, uint64_t now)
{
	for (unsigned i = 0; i < p->n_sources; i++) {
		if (md.n_heap == md.cap_heap) {
			struct due *more = realloc(md.heap, (md.cap_heap * 2 + 16) * sizeof(*more));

			if (!more)
				return;
			md.heap = more;
			md.cap_heap = md.cap_heap * 2 + 16;
		}
		lg_source_resume(p->source[i], phase(p->source[i], now));
		md.heap[md.n_heap] = (struct due){p->source[i]->due_ns, p->source[i], p};
		rise(md.n_heap++);
	}
}

static void count(_Atomic uint64_t *v, uint64_t n)
{
	atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n,
	                      memory_order_relaxed);
}

static void send_due(void)
{
	uint64_t now = lg_now();

	for (unsigned i = 0; i < LG_TURN && md.n_heap && md.heap[0].due_ns <= now; i++) {
		struct due *d = &md.heap[0];

		if (now - d->due_ns > lg_late.send_ns)
			lg_late.send_ns = now - d->due_ns;
		lg_peer_send_source(d->peer, d->source, now);
		if (d->peer->state != LG_UP) {
			md.heap[0] = md.heap[--md.n_heap];
			sink(0);
			continue;
		}
		count(&lg_totals.sent, 1);
		count(&lg_totals.expected, d->peer->member->fanout);
		d->due_ns = d->source->due_ns;
		sink(0);
		now = lg_now();
	}
	lg_net->flush();
}

/* ---- what the main thread asks for ---- */

static void change_rate(uint32_t kbps, uint64_t now)
{
	for (unsigned i = 0; i < md.n_heap; i++)
		if (md.heap[i].source->conf.video)
			lg_source_rate(md.heap[i].source, kbps, now);
}

static void resume(uint64_t now)
{
	unsigned n = md.n_heap;

	for (unsigned i = 0; i < n; i++) {
		lg_source_resume(md.heap[i].source, phase(md.heap[i].source, now));
		md.heap[i].due_ns = md.heap[i].source->due_ns;
	}
	for (md.n_heap = 0; md.n_heap < n;)
		rise(md.n_heap++);
}

static void restart(void)
{
	for (unsigned i = 0; i < md.n; i++)
		for (unsigned k = 0; k < md.peer[i]->n_streams; k++)
			lg_rx_restart(&md.peer[i]->stream[k]->rx);
	for (unsigned i = 0; i < md.n; i++)
		lg_feedback_restart(md.peer[i]);
}

static void take(struct lg_taken *out)
{
	*out = (struct lg_taken){
	    .latency = lg_latency,
	    .late = lg_late,
	    .gap_ns = lg_net->gap ? lg_net->gap() : 0,
	};
	memset(&lg_latency, 0, sizeof(lg_latency));
	lg_late_restart(&lg_late);
}

static void take_ask(uint64_t now)
{
	int ask = atomic_load_explicit(&md.ask, memory_order_acquire);

	switch ((enum lg_ask)ask) {
	case LG_ASK_NONE:
		return;
	case LG_ASK_PAUSE:
		md.paused = true;
		break;
	case LG_ASK_RESUME:
		md.paused = false;
		resume(now);
		break;
	case LG_ASK_RATE:
		change_rate(md.value, now);
		resume(now);
		break;
	case LG_ASK_TAKE:
		take(md.out);
		break;
	case LG_ASK_RESTART:
		restart();
		break;
	}
	atomic_store(&md.ask, LG_ASK_NONE);
}

static void take_fresh(uint64_t now)
{
	pthread_mutex_lock(&md.lock);
	for (unsigned i = 0; i < md.n_fresh; i++) {
		if (md.n == md.cap) {
			struct lg_peer **more =
			    realloc(md.peer, (md.cap * 2 + 64) * sizeof(struct lg_peer *));

			if (!more)
				break;
			md.peer = more;
			md.cap = md.cap * 2 + 64;
		}
		md.peer[md.n++] = md.fresh[i];
		lg_peer_start(md.fresh[i], now);
	}
	md.n_fresh = 0;
	pthread_mutex_unlock(&md.lock);
}

static void scan(uint64_t now)
{
	unsigned turned = 0;

	md.scan_ns = now + SCAN_MS * 1000000ULL;
	take_fresh(now);
	lg_media_turn(LG_ASK);
	for (unsigned i = 0; i < md.n; i++) {
		if (md.peer[i]->next_ns > now)
			continue;
		lg_peer_timer(md.peer[i], now);
		if (++turned % TIMERS == 0)
			lg_media_turn(LG_TIMERS);
	}
	lg_net->flush();
	lg_media_turn(LG_TIMERS);
}

static void *media_main(void *arg)
{
	if (lg_net->enter)
		lg_net->enter();
	lg_late_start(&lg_late, lg_now(), cpu_time);
	while (!atomic_load_explicit(&md.stop, memory_order_relaxed)) {
		uint64_t now, until;

		if (!md.paused)
			send_due();
		lg_media_turn(LG_SEND);
		now = lg_now();
		take_ask(now);
		if (now >= md.scan_ns)
			scan(now);
		until = now + MAX_WAIT_US * 1000;
		if (md.n_heap && !md.paused && md.heap[0].due_ns < until)
			until = md.heap[0].due_ns;
		lg_net->poll(until > now ? until - now : 0);
		lg_net->flush();
		count(&lg_totals.loops, 1);
	}
	for (unsigned i = 0; i < md.n; i++)
		lg_peer_close(md.peer[i]);
	return NULL;
}

/* ---- main thread ---- */

static void pin(void)
{
	cpu_set_t set;

	if (!lg_sc.lcore[0])
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned)atoi(lg_sc.lcore), &set);
	if (pthread_setaffinity_np(md.thread, sizeof(set), &set))
		lg_say("net.cpu: cannot run on CPU %s", lg_sc.lcore);
}

int lg_media_start(void)
{
	int err = pthread_create(&md.thread, NULL, media_main, NULL);

	if (err)
		return -err;
	pin();
	return pthread_getcpuclockid(md.thread, &md.clock) ? -EINVAL : 0;
}

void lg_media_add(struct lg_peer *p)
{
	pthread_mutex_lock(&md.lock);
	if (md.n_fresh == md.cap_fresh) {
		struct lg_peer **more =
		    realloc(md.fresh, (md.cap_fresh * 2 + 64) * sizeof(struct lg_peer *));

		if (more) {
			md.fresh = more;
			md.cap_fresh = md.cap_fresh * 2 + 64;
		}
	}
	if (md.n_fresh < md.cap_fresh)
		md.fresh[md.n_fresh++] = p;
	pthread_mutex_unlock(&md.lock);
}

void lg_media_ask(enum lg_ask what, uint32_t value, struct lg_taken *out)
{
	struct timespec t = {0, 200000};

	md.value = value;
	md.out = out;
	atomic_store_explicit(&md.ask, (int)what, memory_order_release);
	while (atomic_load_explicit(&md.ask, memory_order_acquire) != LG_ASK_NONE)
		nanosleep(&t, NULL);
}

void lg_media_stop(void)
{
	atomic_store(&md.stop, true);
	pthread_join(md.thread, NULL);
}

uint64_t lg_media_cpu(void)
{
	struct timespec t;

	return clock_gettime(md.clock, &t) ? 0
	                                   : (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}
