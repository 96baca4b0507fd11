#include "bench/forward.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rte_cycles.h>
#include "bench/bench.h"
#include "dataplane/clock.h"
#include "dataplane/port.h"
#include "dataplane/rtp/rtp.h"
#include "dataplane/run.h"
#include "dataplane/table/table.h"

enum { SETTLE_MS = 3000 };

static struct {
	struct fwd_shape shape;
	struct fwd_layout layout;
	uint64_t bytes;
	uint64_t started, stopped; // the last turn
	uint64_t at;               // fwd_turn_at(): when it was
	uint32_t *place;           // a permutation of the subscriptions: who is whose subscriber
} world;

/* ---- peers, connected and warm ---- */

/* What control does when it hears of a nominated address. */
static void add_path(uint32_t endpoint)
{
	const struct sh_endpoint *e = &dp_slabs.endpoint[endpoint];
	struct dp_path *path = dp_path_new();
	uint8_t *ip;

	if (!path)
		fwd_die("no memory");
	memcpy(path->header, "\2\0\0\0\0\2\2\0\0\0\0\1\x08\0", 14);
	ip = path->header + 14;
	memcpy(ip, "\x45\0\0\0\0\0\x40\0\x40\x11\0\0", 12);
	memcpy(ip + 12, e->local.ip, 4);
	memcpy(ip + 16, e->remote.ip, 4);
	dp_put16(ip + 20, e->local.port);
	dp_put16(ip + 22, e->remote.port);
	path->len = FWD_HEAD;
	path->l2_len = 14;
	path->l3_len = 20;
	path->family = 4;
	path->port = dp_ports[world.layout.link ? FWD_ETH_LINK : FWD_ETH_NULL].eth;
	path->mtu = 1500;
	path->reachable = path->routed = true;
	dp_path_set(endpoint, path);
}

static void drain_punt(void)
{
	void *m;

	for (unsigned w = 0; w < world.layout.workers; w++)
		while (!rte_ring_dequeue(dp_workers[w]->punt, &m))
			if (!dp_punt_is_note(m))
				rte_pktmbuf_free(m);
}

static void connect_all(void)
{
	static uint8_t frame[FWD_FRAME];
	const uint8_t *at = frame;
	unsigned n = world.layout.endpoints;

	fwd_by_wire(false);
	for (uint32_t i = 0; i < n; i++) {
		unsigned worker = fwd_worker(&world.layout, i);
		uint16_t len = fwd_check(i, worker, frame);

		fwd_inject(&at, &len, 1);
		dp_worker_turn(0);
		if (worker)
			fwd_pair_connected(i);
		if (dp_slabs.endpoint[i].ice != SH_ICE_CONNECTED)
			fwd_die("endpoint %u did not connect", i);
		add_path(i);
		if (i % 512 == 0)
			drain_punt();
	}
	for (unsigned i = 0; i < 64; i++) // answers to checks came back through the ring
		dp_worker_turn(0);
	fwd_by_wire(true);
}

/* Two rounds of packets: subscriptions begin with a key frame, history and trackers are made. */
static void warm_up(void)
{
	unsigned tracks = fwd_tracks(&world.shape);
	uint64_t before = fwd_stat(SH_STAT_rtp_out);

	for (unsigned done = 0; done < 2 * tracks;) {
		unsigned n = RTE_MIN(2 * tracks - done, (unsigned)FWD_CHUNK);

		fwd_feed_make(n, 0);
		for (unsigned at = 0; at < n; at += DP_BURST) {
			fwd_inject(fwd_feed_frames() + at, fwd_feed_lens() + at,
			           RTE_MIN(n - at, (unsigned)DP_BURST));
			dp_worker_turn(0);
		}
		done += n;
	}
	if (world.layout.workers > 1)
		fwd_pair_wait(before + 2ull * world.shape.subs);
	drain_punt();
	if (world.shape.memif || world.shape.af_xdp)
		return;
	if (fwd_stat(SH_STAT_rtp_out) - before != 2ull * world.shape.subs)
		fwd_die("of %u packets %llu came out in the warm-up", 2 * world.shape.subs,
		        (unsigned long long)(fwd_stat(SH_STAT_rtp_out) - before));
}

/* ---- life ---- */

static uint64_t resident(void)
{
	unsigned long size = 0, pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%lu %lu", &size, &pages) != 2)
		pages = 0;
	if (f)
		fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void make_place(void)
{
	uint64_t seed = 7;

	if (!world.place)
		world.place = bench_memory(FWD_SUBS_MAX * sizeof(*world.place));
	for (uint32_t i = 0; i < world.shape.subs; i++)
		world.place[i] = i;
	for (uint32_t i = world.shape.subs; i > 1; i--) {
		uint32_t j = (uint32_t)(bench_random(&seed) % i), t = world.place[i - 1];

		world.place[i - 1] = world.place[j];
		world.place[j] = t;
	}
}

static void wait_turn(void *arg)
{
	dp_worker_turn(0);
}

static void open_slabs(void)
{
	char path[] = "/dev/shm/bench_forward_XXXXXX";
	const struct fwd_layout *s = &world.layout;
	int fd = mkstemp(path), err;
	bool created;

	if (fd < 0)
		fwd_die("%s: %s", path, strerror(errno));
	close(fd);
	unlink(path);
	err = sh_slabs_create(&dp_slabs, path, s->endpoints, s->tracks, s->subs, &created);
	unlink(path);
	if (err)
		fwd_die("slabs: %s", strerror(-err));
	dp_slabs.head->base_port = FWD_PORT;
	dp_slabs.head->workers = 1;
}

void fwd_open_layout(const struct fwd_layout *layout)
{
	struct dp_table_cfg cfg = {
	    .workers = layout->workers, .backend = fwd_backend(), .wait = wait_turn};
	struct dp_run_params run = {
	    .workers = layout->workers,
	    .base_port = FWD_PORT,
	    .poll = DP_POLL_BUSY,
	    .pool = fwd_pool(),
	    .backend = fwd_backend(),
	};
	int err;

	world.layout = *layout;
	dp_clock_update(rte_get_tsc_hz()); // real time again
	world.bytes = resident();
	open_slabs();
	err = dp_table_init(&cfg);
	if (!err)
		err = dp_workers_init(&run);
	if (err)
		fwd_die("%s", strerror(-err));
	for (unsigned w = 0; w < layout->workers && !layout->link; w++)
		dp_workers[w]->n_ports = 1; // nothing comes in but through the ring
	dp_worker_enter(0);
	if (layout->workers > 1)
		fwd_pair_begin();
	fwd_fill_tables(&world.layout);
	connect_all();
	world.started = world.stopped = world.at = bench_ticks();
}

static void shape_track(uint32_t i, struct fwd_track *out)
{
	*out = (struct fwd_track){i, world.shape.payload, 0};
}

static void shape_sub(uint32_t i, struct fwd_sub *out)
{
	uint32_t tracks = fwd_tracks(&world.shape);

	*out = (struct fwd_sub){world.place[i] % tracks, tracks + i, world.shape.payload, 0};
}

void fwd_open(const struct fwd_shape *shape)
{
	const struct fwd_layout layout = {
	    .profile = shape->profile,
	    .link = shape->memif || shape->af_xdp,
	    .links = shape->links,
	    .endpoints = fwd_endpoints(shape),
	    .tracks = fwd_tracks(shape),
	    .subs = shape->subs,
	    .workers = shape->workers,
	    .track = shape_track,
	    .sub = shape_sub,
	};

	world.shape = *shape;
	fwd_feed_open(shape);
	make_place();
	fwd_open_layout(&layout);
	warm_up();
	world.started = world.stopped = bench_ticks();
	world.bytes = resident() - world.bytes;
}

uint64_t fwd_bytes(void)
{
	return world.bytes;
}

void fwd_close_layout(void)
{
	if (world.layout.workers > 1)
		fwd_pair_end();
	dp_worker_leave(0);
	dp_workers_free();
	dp_table_free();
	sh_slabs_close(&dp_slabs);
	memset(&dp_slabs, 0, sizeof(dp_slabs));
}

void fwd_close(void)
{
	fwd_close_layout();
	fwd_feed_close();
}

/* The clock is moved on by so many ticks. It is the worker's alone: it stands still between turns.
 */
static uint64_t turn_after(uint64_t ticks)
{
	uint64_t mono, ntp;

	dp_clock_read(dp_clock.tsc + ticks, &mono, &ntp);
	world.started = bench_ticks();
	dp_clock.mono_ns = mono;
	dp_clock.ntp = ntp;
	dp_clock.tsc = world.started;
	dp_worker_turn(0);
	world.stopped = bench_ticks();
	return world.stopped - world.started;
}

uint64_t fwd_turn_at(uint64_t tsc)
{
	uint64_t ticks = tsc > world.at ? tsc - world.at : 0;

	world.at += ticks;
	return turn_after(ticks);
}

uint64_t fwd_turn_ns(uint64_t tsc)
{
	uint64_t mono, ntp;

	dp_clock_read(dp_clock.tsc + (tsc > world.at ? tsc - world.at : 0), &mono, &ntp);
	return mono;
}

uint64_t fwd_turn(void)
{
	return turn_after(world.stopped - world.started);
}

void fwd_turn_forget(uint64_t ticks)
{
	uint64_t seen = dp_workers[0]->now_ns, ns = 1000; // the worker's time never goes back

	if (seen > dp_clock.mono_ns)
		ns += seen - dp_clock.mono_ns;
	world.stopped = dp_clock.tsc + RTE_MAX(ticks, ns * (rte_get_tsc_hz() / 1000000) / 1000);
}

void fwd_settle(void)
{
	uint64_t step = rte_get_tsc_hz() / 1000;

	for (unsigned ms = 0; ms < SETTLE_MS; ms++)
		fwd_turn_at(world.stopped + step);
}

/* ---- counters ---- */

uint64_t fwd_stat(unsigned stat)
{
	uint64_t sum = 0;

	for (unsigned w = 0; w < world.layout.workers; w++)
		sum += __atomic_load_n(&dp_workers[w]->stat[stat], __ATOMIC_RELAXED);
	return sum;
}

uint64_t fwd_drops(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < SH_STAT_COUNT; i++)
		if (sh_stat_info[i].kind == SH_STAT_KIND_DROP)
			sum += fwd_stat(i);
	return sum;
}

void fwd_drops_print(const uint64_t *before)
{
	for (unsigned i = 0; i < SH_STAT_COUNT; i++)
		if (sh_stat_info[i].kind == SH_STAT_KIND_DROP && fwd_stat(i) != before[i])
			fprintf(stderr, "  dropped: %s %llu\n", sh_stat_info[i].name,
			        (unsigned long long)(fwd_stat(i) - before[i]));
}
