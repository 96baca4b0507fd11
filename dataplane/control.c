#include "dataplane/control.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include "dataplane/clock.h"
#include "dataplane/command.h"
#include "dataplane/event.h"
#include "dataplane/port.h"
#include "dataplane/quality.h"
#include "dataplane/route.h"
#include "dataplane/run.h"
#include "dataplane/speaker.h"
#include "dataplane/table/table.h"
#include "dataplane/worker.h"
#include "shared/link.h"
#include "shared/log.h"

#define SUBSYS "control"

enum {
	TICK_MS = 500,
	COMMANDS = 512,  // records taken before others have their turn
	PUNTS = 256,     // of one worker
	STREAMS = 512,   // whose quality is looked at before others have their turn
	RETRY_MS = 5,    // the event ring is full, or a next hop waits for the kernel
	BODY_MAX = 4096, // no command is longer
};

enum source {
	SRC_LISTEN,
	SRC_LINK,
	SRC_COMMANDS,
	SRC_WORKERS,
	SRC_TIMER,
	SRC_SPEAKERS,
	SRC_SIGNAL,
	SRC_ROUTES,
};

static struct {
	struct dp_control_params p;
	int epfd, timer, speakers, signals;
	bool listening; // the speakers' timer runs
	struct sh_link_server server;
	struct sh_link link;
	struct dp_command command;
	bool again; // something was left: do not sleep
	bool stop;
	unsigned ticks;
} ct = {.epfd = -1, .timer = -1, .speakers = -1, .signals = -1, .server.fd = -1, .link = SH_LINK_CLOSED};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static uint64_t *stats(void)
{
	return dp_slabs.head->stats[SH_MAX_WORKERS].v;
}

static void scan(void);

/* ---- what commands do besides the tables ---- */

static void hello(void *arg, struct sh_msg_e_hello *out)
{
	const struct dp_conf *c = ct.p.conf;

	out->version = SH_MSG_VERSION;
	out->pid = (uint32_t)getpid();
	out->epoch = ct.p.epoch;
	out->slab_epoch = dp_slabs.head->slab_epoch;
	out->daemon_epoch = dp_slabs.head->daemon_epoch;
	out->max_endpoints = dp_slabs.endpoints;
	out->max_tracks = dp_slabs.tracks;
	out->max_subs = dp_slabs.subs;
	out->base_port = (uint16_t)c->base_port;
	out->workers = (uint8_t)c->workers;
	out->addrs = (uint8_t)dp_route_addresses(out->addr, SH_MAX_ADDRS);
	sh_msg_sizes(out->size);
	sh_info(SUBSYS, "daemon is here; %u media addresses told", out->addrs);
}

static int reply(void *arg, unsigned type, const void *body, uint32_t len)
{
	return dp_event_reply(type, body, len);
}

static void inject(void *arg, uint32_t endpoint, const void *data, uint32_t len)
{
	struct dp_worker *w = dp_workers[dp_slabs.endpoint[endpoint].set.worker];
	struct rte_mbuf *m = rte_pktmbuf_alloc(ct.p.pool);
	char *p;

	if (!m) {
		stats()[SH_STAT_drop_no_mbuf]++;
		return;
	}
	m->data_off = DP_HEADROOM;
	p = rte_pktmbuf_append(m, (uint16_t)len);
	if (!p) {
		stats()[SH_STAT_drop_too_long]++;
		rte_pktmbuf_free(m);
		return;
	}
	memcpy(p, data, len);
	memset(dp_pkt(m), 0, sizeof(struct dp_pkt));
	dp_pkt(m)->endpoint = endpoint;
	if (rte_ring_enqueue(w->inject, m) != 0) {
		stats()[SH_STAT_drop_tx_full]++;
		rte_pktmbuf_free(m);
		return;
	}
	dp_worker_wake(w->index);
}

/* After a replay the daemon knows the entries, but not what became of them. */
static void applied(void *arg, bool full)
{
	if (!full)
		return;
	dp_event_forget();
	dp_speakers_replay();
	scan();
}

void dp_control_wanted(void *arg, uint32_t track)
{
	int source = dp_source_of(track);

	if (source >= 0)
		dp_event_watch((uint32_t)source, now_ns());
}

/* ---- the link ---- */

static int watch(int fd, enum source src)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u32 = src};

	return epoll_ctl(ct.epfd, EPOLL_CTL_ADD, fd, &e) == 0 ? 0 : -errno;
}

/* The calls that run go on as they are. */
static void unlink_daemon(const char *why)
{
	if (ct.link.sock < 0)
		return;
	sh_info(SUBSYS, "daemon is gone: %s; media goes on", why);
	dp_command_end(&ct.command);
	dp_event_link(NULL);
	sh_link_close(&ct.link);
}

static void accept_daemon(void)
{
	static const struct dp_command_h h = {
	    .hello = hello, .reply = reply, .inject = inject, .applied = applied};
	int err;

	if (ct.link.sock >= 0 && !sh_link_alive(&ct.link))
		unlink_daemon("closed");
	err = sh_link_accept(&ct.server, &ct.link);
	if (err == -EAGAIN)
		return;
	if (err) {
		sh_warn(SUBSYS, "a connection was refused: %s", strerror(-err));
		return;
	}
	dp_command_init(&ct.command, &h);
	dp_event_link(&ct.link.tx);
	err = watch(ct.link.sock, SRC_LINK);
	if (!err)
		err = watch(ct.link.rx_event, SRC_COMMANDS);
	if (err)
		unlink_daemon(strerror(-err));
	ct.again = true;
}

/* Takes commands until the ring is empty, answers wait, or others are due. */
static void take_commands(void)
{
	static _Alignas(8) uint8_t body[BODY_MAX];
	struct sh_rec hdr;
	int err;

	if (ct.link.sock < 0 || dp_event_blocked())
		return;
	for (unsigned n = 0; n < COMMANDS; n++) {
		err = sh_ring_take(&ct.link.rx, &hdr, body, sizeof(body));
		if (err == -EAGAIN) {
			ct.again |= !sh_ring_sleep(&ct.link.rx);
			return;
		}
		if (err == -EMSGSIZE) {
			stats()[SH_STAT_records_refused]++;
			dp_stage_refuse(-EMSGSIZE);
			continue;
		}
		if (!err)
			err = dp_command_take(&ct.command, &hdr, body);
		if (err) {
			unlink_daemon(strerror(-err));
			return;
		}
		if (dp_event_blocked())
			break;
	}
	ct.again = true;
}

/* ---- workers ---- */

static void endpoint_changed(uint32_t index)
{
	struct sh_endpoint *ep;

	if (index >= dp_slabs.endpoints)
		return;
	ep = &dp_slabs.endpoint[index];
	if (atomic_load(&ep->state) != SH_LIVE)
		return;
	dp_route_want(index, &ep->local, &ep->remote);
	dp_event_endpoint(index);
}

static void endpoint_scanned(uint32_t index, uint64_t now)
{
	const struct dp_fanout *tracks = dp_endpoint_tracks(index);

	endpoint_changed(index);
	for (uint32_t i = 0; tracks && i < tracks->n; i++)
		dp_event_track(tracks->sub[i], now);
	for (uint32_t i = 0; ct.ticks % 2 == 0 && tracks && i < tracks->n; i++)
		dp_event_watch(tracks->sub[i], now);
}

static void note(const void *p)
{
	uint32_t index = dp_punt_note_index(p);

	if (dp_punt_note_type(p) == DP_NOTE_ICE)
		endpoint_changed(index);
	else
		dp_event_track(index, now_ns());
}

static void take_punts(void)
{
	for (unsigned w = 0; w < ct.p.conf->workers; w++) {
		void *v[PUNTS];
		unsigned n = rte_ring_dequeue_burst(dp_workers[w]->punt, v, PUNTS, NULL);

		for (unsigned i = 0; i < n; i++) {
			struct rte_mbuf *m = v[i];

			if (dp_punt_is_note(m)) {
				note(m);
				continue;
			}
			dp_event_dtls(dp_pkt(m)->endpoint, rte_pktmbuf_mtod(m, void *),
			              m->data_len);
			rte_pktmbuf_free(m);
		}
		ct.again |= n == PUNTS;
	}
}

/* ---- timers ---- */

/* Notes may have been lost: every endpoint's address is compared with what its path was made for.
 */
static void scan(void)
{
	for (unsigned w = 0; w < ct.p.conf->workers; w++) {
		const struct dp_fanout *f = dp_worker_endpoints(w);

		for (uint32_t i = 0; f && i < f->n; i++)
			endpoint_scanned(f->sub[i], now_ns());
	}
}

static void tick(void)
{
	uint64_t n;

	if (read(ct.timer, &n, sizeof(n)) < 0)
		return;
	dp_slabs.head->heartbeat_ns = now_ns();
	if (ct.link.sock >= 0 && !sh_link_alive(&ct.link))
		unlink_daemon("closed");
	dp_route_tick(now_ns());
	scan();
	if (ct.ticks++ % 2)
		return;
	dp_quality_begin(now_ns());
	dp_clock_update(0);
	dp_ports_check();
}

/* Rooms are listened to while there are some. */
static void listen_to_rooms(void)
{
	bool on = dp_speakers_any();
	long ns = on ? DP_SPEAKERS_MS * 1000000l : 0;
	struct itimerspec t = {.it_interval.tv_nsec = ns, .it_value.tv_nsec = ns};

	if (on != ct.listening && timerfd_settime(ct.speakers, 0, &t, NULL) == 0)
		ct.listening = on;
}

static void hear_rooms(void)
{
	uint64_t n;

	if (read(ct.speakers, &n, sizeof(n)) == sizeof(n))
		dp_speakers_tick(now_ns());
}

/* Cycles of each node of each worker, for callstackctl and for whoever asks with SIGUSR1. */
static void write_nodes(void)
{
	char path[160], tmp[168];
	FILE *f;

	snprintf(path, sizeof(path), "%s/nodes.json", ct.p.conf->rundir);
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	f = fopen(tmp, "we");
	if (!f) {
		sh_warn(SUBSYS, "%s: %s", tmp, strerror(errno));
		return;
	}
	fprintf(f, "{\"tsc_hz\":%llu,\"workers\":[", (unsigned long long)dp_slabs.head->tsc_hz);
	for (unsigned w = 0; w < ct.p.conf->workers; w++) {
		struct dp_node_stat s[64];
		unsigned n = dp_worker_nodes(w, s, 64);

		fprintf(f, "%s{\"nodes\":[", w ? "," : "");
		for (unsigned i = 0; i < n && i < 64; i++)
			fprintf(
			    f,
			    "%s{\"name\":\"%s\",\"calls\":%llu,\"packets\":%llu,\"cycles\":%llu}",
			    i ? "," : "", s[i].name, (unsigned long long)s[i].calls,
			    (unsigned long long)s[i].objs, (unsigned long long)s[i].cycles);
		fprintf(f, "]}");
	}
	fprintf(f, "]}\n");
	if (fclose(f) != 0 || rename(tmp, path) != 0)
		sh_warn(SUBSYS, "%s: %s", path, strerror(errno));
}

static void take_signal(void)
{
	struct signalfd_siginfo s;

	while (read(ct.signals, &s, sizeof(s)) == sizeof(s)) {
		if (s.ssi_signo == SIGUSR1) {
			write_nodes();
			continue;
		}
		sh_info(SUBSYS, "signal %u: stopping", s.ssi_signo);
		ct.stop = true;
	}
}

/* ---- the loop ---- */

static void dispatch(enum source src)
{
	switch (src) {
	case SRC_LISTEN:
		accept_daemon();
		break;
	case SRC_LINK:
		if (!sh_link_alive(&ct.link))
			unlink_daemon("closed");
		break;
	case SRC_COMMANDS:
		if (ct.link.sock >= 0)
			sh_link_woken(&ct.link);
		break;
	case SRC_WORKERS:
		break; // looked at in every round
	case SRC_TIMER:
		tick();
		break;
	case SRC_SPEAKERS:
		hear_rooms();
		break;
	case SRC_SIGNAL:
		take_signal();
		break;
	case SRC_ROUTES:
		dp_route_input();
		break;
	}
}

static void round_once(void)
{
	struct epoll_event e[8];
	bool kept = false;
	int n, timeout;

	ct.again = false;
	take_punts();
	dp_route_publish(); // before commands: a flight takes the way that the newest check showed
	take_commands();
	dp_route_publish();
	listen_to_rooms();
	if (dp_reap())
		dp_workers_wake();
	kept = !dp_event_flush();
	ct.again |= dp_quality_step(now_ns(), STREAMS);
	if (ct.link.sock >= 0)
		sh_link_wake(&ct.link);
	timeout = ct.again || !dp_control_sleep() ? 0 : kept ? RETRY_MS : -1;
	n = epoll_wait(ct.epfd, e, (int)RTE_DIM(e), timeout);
	dp_control_awake();
	for (int i = 0; i < n; i++)
		dispatch((enum source)e[i].data.u32);
}

int dp_control_run(void)
{
	while (!ct.stop)
		round_once();
	return 0;
}

static int open_timer(void)
{
	struct itimerspec t = {
	    .it_interval.tv_nsec = TICK_MS * 1000000l,
	    .it_value.tv_nsec = TICK_MS * 1000000l,
	};

	ct.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (ct.timer < 0 || timerfd_settime(ct.timer, 0, &t, NULL) < 0)
		return -errno;
	ct.speakers = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (ct.speakers < 0)
		return -errno;
	return 0;
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	ct.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return ct.signals < 0 ? -errno : 0;
}

int dp_control_open(const struct dp_control_params *params)
{
	struct sh_link_conf lc = {
	    .rundir = params->conf->rundir,
	    .peer = (uid_t)params->uid,
	    .group = (gid_t)params->gid,
	};
	int err;

	ct.p = *params;
	ct.epfd = epoll_create1(EPOLL_CLOEXEC);
	err = ct.epfd < 0 ? -errno : open_timer();
	if (!err)
		err = open_signals();
	if (!err)
		err = dp_event_init();
	if (!err)
		err = dp_speakers_init();
	if (!err)
		err = dp_quality_init(params->conf->workers);
	if (!err)
		err = sh_link_listen(&ct.server, &lc);
	if (err) {
		sh_error(SUBSYS, "%s/%s: %s", lc.rundir, SH_LINK_SOCKET, strerror(-err));
		return err;
	}
	err = watch(ct.server.fd, SRC_LISTEN);
	if (!err)
		err = watch(ct.timer, SRC_TIMER);
	if (!err)
		err = watch(ct.speakers, SRC_SPEAKERS);
	if (!err)
		err = watch(ct.signals, SRC_SIGNAL);
	if (!err)
		err = watch(dp_control_fd(), SRC_WORKERS);
	if (!err)
		err = watch(dp_route_fd(), SRC_ROUTES);
	return err;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void dp_control_close(void)
{
	unlink_daemon("we stop");
	if (ct.server.fd >= 0)
		sh_link_unlisten(&ct.server);
	ct.server.fd = -1;
	dp_quality_free();
	dp_event_free();
	dp_speakers_free();
	close_fd(&ct.speakers);
	close_fd(&ct.signals);
	close_fd(&ct.timer);
	close_fd(&ct.epfd);
}
