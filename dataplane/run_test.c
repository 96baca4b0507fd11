/* Workers in this very process, turned by hand, over a ring port: what benches do, and what the
 * loop does between two walks. EAL without huge pages, no lcore is launched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_ring.h>
#include <cmocka.h>
#include "dataplane/clock.h"
#include "dataplane/port.h"
#include "dataplane/run.h"
#include "dataplane/srtp/srtp.h"
#include "dataplane/table/table.h"

enum { WORKERS = 2, BASE = 10000, MBUFS = 8191 };

static struct rte_mempool *pool;
static char path[64];
static unsigned self; // worker that this thread is

static void as(unsigned w)
{
	dp_worker_leave(self);
	self = w;
	dp_worker_enter(w);
}

static void turn_all(void *arg)
{
	unsigned me = self;

	for (unsigned w = 0; w < WORKERS; w++) {
		as(w);
		dp_worker_turn(w);
	}
	as(me);
}

/* The driver does not give all its rings back, so there is one port for all tests. */
static int open_port(void **state)
{
	static struct dp_conf_port conf = {.kind = DP_PORT_RING, .queues = 1};
	struct dp_port_params pp = {
	    .conf = &conf, .workers = WORKERS, .base_port = BASE, .rundir = "/tmp"};

	pool = dp_pool_new("packets", MBUFS, true);
	assert_non_null(pool);
	pp.pool = pool;
	assert_int_equal(dp_port_open(&pp), 0);
	dp_clock_update(rte_get_tsc_hz());
	return 0;
}

static int close_port(void **state)
{
	dp_ports_close();
	assert_int_equal(dp_port_count, 0);
	rte_mempool_free(pool);
	return 0;
}

static int setup(void **state)
{
	struct dp_table_cfg cfg = {.workers = WORKERS, .wait = turn_all};
	struct dp_run_params rp = {.workers = WORKERS,
	                           .base_port = BASE,
	                           .poll = DP_POLL_BUSY,
	                           .poll_sleep_us = 100,
	                           .pool = pool};
	bool created;

	cfg.backend = rp.backend = dp_srtp_backend_find("libsrtp2");
	snprintf(path, sizeof(path), "/tmp/run_test.%d", getpid());
	assert_int_equal(sh_slabs_create(&dp_slabs, path, 64, 64, 64, &created), 0);
	assert_int_equal(dp_table_init(&cfg), 0);
	assert_int_equal(dp_workers_init(&rp), 0);
	self = 0;
	dp_worker_enter(0);
	return 0;
}

static int teardown(void **state)
{
	dp_worker_leave(self);
	dp_workers_stop();
	dp_workers_free();
	dp_table_free();
	sh_slabs_close(&dp_slabs);
	assert_int_equal(rte_mempool_avail_count(pool), MBUFS); // every packet came back
	return unlink(path);
}

static struct rte_mbuf *datagram(uint16_t port, uint8_t first)
{
	static const uint8_t hdr[42] = {2,    0, 0,  0,  0, 2, 2,    0,    0,  0,  0, 1, 8,  0,
	                                0x45, 0, 0,  48, 0, 0, 0,    0,    64, 17, 0, 0, 10, 0,
	                                0,    1, 10, 0,  0, 2, 0x13, 0x88, 0,  0,  0, 28};
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t *p = m ? (uint8_t *)rte_pktmbuf_append(m, 62) : NULL;

	if (!p)
		abort();
	memset(p, 0, 62);
	memcpy(p, hdr, sizeof(hdr));
	p[36] = (uint8_t)(port >> 8);
	p[37] = (uint8_t)port;
	p[42] = first;
	return m;
}

/* Onto the wire: a ring port hears what it says. */
static void arrive(struct rte_mbuf *m)
{
	assert_int_equal(rte_eth_tx_burst(dp_ports[0].eth, 0, &m, 1), 1);
}

static uint64_t count(unsigned w, enum sh_stat s)
{
	return dp_slabs.head->stats[w].v[s];
}

static void a_packet_walks(void **state)
{
	struct dp_node_stat nodes[64];
	unsigned n, found = 0;

	assert_false(dp_worker_turn(0));
	arrive(datagram(BASE, 128));
	assert_true(dp_worker_turn(0));
	assert_int_equal(count(0, SH_STAT_rx_packets), 1);
	assert_int_equal(count(0, SH_STAT_drop_unknown_source), 1);
	assert_false(dp_worker_turn(0));
	assert_int_equal(dp_slabs.head->stats[0].packets, 1);
	assert_int_equal(dp_slabs.head->stats[0].bursts, 1);
	assert_true(dp_slabs.head->stats[0].busy_cycles > 0);
	assert_true(dp_slabs.head->stats[0].idle_cycles > 0);
	n = dp_worker_nodes(0, nodes, 64);
	assert_int_equal(n, dp_node_count);
	for (unsigned i = 0; i < n; i++) {
		if (strcmp(nodes[i].name, "dp_rx") != 0)
			continue;
		found++;
		assert_int_equal(nodes[i].calls, 3);
		assert_int_equal(nodes[i].objs, 1);
	}
	assert_int_equal(found, 1);
}

static void handed_over_and_back(void **state)
{
	struct rte_mbuf *m;

	/* Worker 0 polls the one queue; the port is worker 1's. */
	arrive(datagram(BASE + 1, 128));
	assert_true(dp_worker_turn(0));
	assert_int_equal(count(0, SH_STAT_rx_handover), 1);
	as(1);
	assert_true(dp_worker_turn(1));
	assert_int_equal(count(1, SH_STAT_drop_unknown_source), 1);
	/* What worker 1 sends goes out with worker 0's next turn. */
	m = datagram(BASE, 128);
	assert_int_equal(dp_port_tx(dp_workers[1], dp_ports[0].eth, &m, 1), 1);
	as(0);
	assert_false(dp_worker_turn(0)); // out …
	assert_true(dp_worker_turn(0));  // … and in again
	assert_int_equal(count(0, SH_STAT_drop_unknown_source), 1);
	m = datagram(BASE, 128);
	assert_int_equal(dp_port_tx(dp_workers[0], 77, &m, 1), 0); // no such port: still ours
	rte_pktmbuf_free(m);
}

static void time_is_right(void **state)
{
	struct timespec m, r;
	uint64_t ns, ntp, frac;

	for (unsigned i = 0; i < 3; i++) {
		nanosleep(&(struct timespec){.tv_nsec = 150000000}, NULL);
		dp_worker_turn(0);
		clock_gettime(CLOCK_MONOTONIC, &m);
		clock_gettime(CLOCK_REALTIME, &r);
		ns = (uint64_t)m.tv_sec * 1000000000u + (uint64_t)m.tv_nsec;
		assert_in_range(ns - dp_workers[0]->now_ns, 0, 20000000);
		ntp = dp_workers[0]->ntp_now;
		frac = (uint64_t)(((double)(ntp & 0xffffffffu) / 4294967296.0) * 1e9);
		ns = (uint64_t)r.tv_sec * 1000000000u + (uint64_t)r.tv_nsec;
		assert_in_range(ns - ((ntp >> 32) - 2208988800u) * 1000000000u - frac, 0, 20000000);
		dp_clock_update(0); // measured now
	}
	ns = dp_workers[0]->now_ns;
	for (unsigned i = 0; i < 1000; i++) {
		dp_worker_turn(0);
		assert_true(dp_workers[0]->now_ns >= ns);
		ns = dp_workers[0]->now_ns;
	}
}

static void notes_reach_control(void **state)
{
	void *p = NULL;

	assert_true(dp_control_sleep());
	dp_control_awake();
	dp_notify(dp_workers[0], DP_NOTE_TRACK, 0xfffff);
	assert_false(dp_control_sleep()); // something waits
	assert_int_equal(rte_ring_dequeue(dp_workers[0]->punt, &p), 0);
	assert_true(dp_punt_is_note(p));
	assert_int_equal(dp_punt_note_type(p), DP_NOTE_TRACK);
	assert_int_equal(dp_punt_note_index(p), 0xfffff);
	/* More than the ring holds are lost without harm. */
	for (unsigned i = 0; i < 10000; i++)
		dp_notify(dp_workers[0], DP_NOTE_ICE, i);
}

/* An op waits until what lay in the rings has been taken. */
static void a_drain_waits_for_the_rings(void **state)
{
	struct dp_ops *ops = dp_table_ops(0);
	unsigned turns = 0;

	for (unsigned i = 0; i < 5 * DP_BURST; i++) {
		struct rte_mbuf *m = datagram(BASE, 128);

		memset(dp_pkt(m), 0, sizeof(struct dp_pkt));
		assert_int_equal(rte_ring_enqueue(dp_workers[0]->inject, m), 0);
	}
	assert_true(dp_ops_post(ops, (struct dp_op){DP_OP_DRAIN, 0, NULL}));
	assert_true(dp_ops_post(ops, (struct dp_op){DP_OP_FORGET_TRACK, 3, NULL}));
	while (!dp_ops_idle(ops)) {
		assert_true(turns == 0 || !rte_ring_empty(dp_workers[0]->inject) || turns >= 5);
		dp_worker_turn(0);
		assert_in_range(turns++, 0, 20);
	}
	assert_true(turns >= 5);
	assert_true(rte_ring_empty(dp_workers[0]->inject));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(int argc, char **argv)
{
	char *args[] = {argv[0],
	                "-l",
	                "0",
	                "--no-huge",
	                "-m",
	                "128",
	                "--no-shconf",
	                "--no-pci",
	                "--iova-mode=va",
	                "--no-telemetry",
	                "--log-level=*:error",
	                NULL};
	const struct CMUnitTest tests[] = {
	    TEST(a_packet_walks),      TEST(handed_over_and_back),        TEST(time_is_right),
	    TEST(notes_reach_control), TEST(a_drain_waits_for_the_rings),
	};

	if (rte_eal_init((int)(sizeof(args) / sizeof(args[0])) - 1, args) < 0)
		return 1;
	return cmocka_run_group_tests_name("run", tests, open_port, close_port);
}
