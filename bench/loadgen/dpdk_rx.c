/* What comes from a DPDK port, and when.
 *
 * A ring in shared memory does not say when a packet was put there: whoever looks at it first has
 * to note the time, and the media thread may be busy, or not have its CPU. So a thread of its own
 * looks each millisecond, with real-time priority where that is allowed; it takes
 * everything with the time into a queue, and the media thread hands it on from there. The media
 * thread takes as well, between its turns, and then the other one has nothing to do. What neither
 * can know is the time that a host keeps the whole CPU: lg_net->gap() tells of it. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_lcore.h>
#include <rte_udp.h>
#include "bench/loadgen/dpdk.h"

enum {
	BURST = 32,
	BURSTS = 1024,      // of one drain: it ends, even if more comes than can be taken
	EVERY_NS = 1000000, // the receiving thread looks so often …
	RECENT_NS = 500000, // … unless somebody did just now
	MASK = LG_DPDK_QUEUE - 1,
	AHEAD = 4,
};

struct lg_dpdk lg_dpdk;

static struct {
	pthread_t thread;
	_Atomic bool stop;
	bool runs;
	pthread_mutex_t lock; // who takes from the port; priority is inherited
	struct came {
		struct rte_mbuf *m;
		uint64_t at_ns;
	} * queue;
	_Atomic uint32_t head;                     // who has the lock: rw, media thread: ro
	_Atomic uint32_t tail;                     // media thread: rw
	_Atomic uint64_t last_ns, gap_ns, dropped; // who has the lock
} rx;

/* ---- taking ---- */

static void look(uint64_t now)
{
	uint64_t last = atomic_load_explicit(&rx.last_ns, memory_order_relaxed);

	if (last && now - last > atomic_load_explicit(&rx.gap_ns, memory_order_relaxed))
		atomic_store_explicit(&rx.gap_ns, now - last, memory_order_relaxed);
	atomic_store_explicit(&rx.last_ns, now, memory_order_relaxed);
}

static void put(struct rte_mbuf **m, uint16_t n, uint64_t now)
{
	uint32_t head = atomic_load_explicit(&rx.head, memory_order_relaxed);
	uint32_t room =
	    LG_DPDK_QUEUE - (head - atomic_load_explicit(&rx.tail, memory_order_acquire));
	uint16_t fits = n < room ? n : (uint16_t)room;

	for (uint16_t i = 0; i < fits; i++)
		rx.queue[(head + i) & MASK] = (struct came){m[i], now};
	atomic_store_explicit(&rx.head, head + fits, memory_order_release);
	if (fits < n) {
		rte_pktmbuf_free_bulk(m + fits, n - fits);
		atomic_fetch_add_explicit(&rx.dropped, n - fits, memory_order_relaxed);
	}
}

void lg_dpdk_drain(void)
{
	struct rte_mbuf *m[BURST];
	uint16_t n = BURST;

	pthread_mutex_lock(&rx.lock);
	for (unsigned i = 0; i < BURSTS && n == BURST; i++) {
		uint64_t now;

		n = rte_eth_rx_burst(lg_dpdk.eth, 0, m, BURST);
		now = lg_now();
		look(now);
		if (n)
			put(m, n, now);
	}
	pthread_mutex_unlock(&rx.lock);
}

uint64_t lg_dpdk_gap(void)
{
	return atomic_exchange(&rx.gap_ns, 0);
}

uint64_t lg_dpdk_dropped(void)
{
	return atomic_load_explicit(&rx.dropped, memory_order_relaxed);
}

/* ---- handing on ---- */

static bool read_frame(struct lg_in *in, struct rte_mbuf *m)
{
	uint8_t *f = rte_pktmbuf_mtod(m, uint8_t *);
	const struct rte_ether_hdr *eth = (struct rte_ether_hdr *)f;
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(eth + 1);
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)(ip + 1);
	unsigned port, len;

	if (m->data_len < LG_DPDK_HEAD || eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4) ||
	    ip->version_ihl != 0x45 || ip->next_proto_id != IPPROTO_UDP ||
	    ip->dst_addr != lg_dpdk.address.s_addr)
		return false;
	port = (unsigned)rte_be_to_cpu_16(udp->dst_port) - lg_sc.base_port;
	len = rte_be_to_cpu_16(udp->dgram_len);
	if (port >= atomic_load_explicit(&lg_dpdk.used, memory_order_acquire) || len < 8 ||
	    len - 8 > m->data_len - (unsigned)LG_DPDK_HEAD)
		return false;
	in->peer = lg_dpdk.peer[port];
	in->buf = f + LG_DPDK_HEAD;
	in->len = len - 8;
	return in->peer->next_ns != 0;
}

static void fetch(uint32_t at)
{
	struct rte_mbuf *m = rx.queue[at & MASK].m;

	__builtin_prefetch((char *)m->buf_addr + RTE_PKTMBUF_HEADROOM);
}

unsigned lg_dpdk_take(void)
{
	uint32_t tail = atomic_load_explicit(&rx.tail, memory_order_relaxed);
	uint32_t all = atomic_load_explicit(&rx.head, memory_order_acquire) - tail;
	unsigned n = all < LG_TURN ? all : LG_TURN, k = 0;
	struct rte_mbuf *m[LG_TURN];
	struct lg_in in[LG_TURN];
	uint64_t waited;

	if (!n)
		return 0;
	waited = lg_late.at_ns - rx.queue[tail & MASK].at_ns;
	if ((int64_t)waited > (int64_t)lg_late.wait_ns)
		lg_late.wait_ns = waited;
	for (unsigned i = 0; i < n; i++) {
		const struct came *c = &rx.queue[(tail + i) & MASK];

		if (i + AHEAD < n)
			fetch(tail + i + AHEAD);
		m[i] = c->m;
		in[k].at_ns = c->at_ns;
		k += read_frame(&in[k], c->m);
	}
	lg_peer_inputs(in, k);
	atomic_store_explicit(&rx.tail, tail + n, memory_order_release);
	rte_pktmbuf_free_bulk(m, n);
	return n;
}

/* ---- the thread ---- */

static void *receive(void *arg)
{
	struct timespec t;
	uint64_t next = lg_now();

	(void)rte_thread_register(); // for a cache of buffers
	while (!atomic_load_explicit(&rx.stop, memory_order_relaxed)) {
		uint64_t now = lg_now();

		if (now - atomic_load_explicit(&rx.last_ns, memory_order_relaxed) >= RECENT_NS)
			lg_dpdk_drain();
		next += EVERY_NS;
		if (next < now)
			next = now + EVERY_NS;
		t = (struct timespec){(time_t)(next / 1000000000), (long)(next % 1000000000)};
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
	}
	rte_thread_unregister();
	return NULL;
}

static int make_lock(void)
{
	pthread_mutexattr_t a;
	int err = pthread_mutexattr_init(&a);

	if (!err)
		err = pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
	if (!err)
		err = pthread_mutex_init(&rx.lock, &a);
	pthread_mutexattr_destroy(&a);
	return -err;
}

int lg_dpdk_rx_open(void)
{
	struct sched_param priority = {.sched_priority = 1};
	int err = make_lock();

	rx.queue = calloc(LG_DPDK_QUEUE, sizeof(*rx.queue));
	if (!rx.queue)
		return -ENOMEM;
	if (!err)
		err = -pthread_create(&rx.thread, NULL, receive, NULL);
	if (err)
		return err;
	rx.runs = true;
	if (pthread_setschedparam(rx.thread, SCHED_FIFO, &priority))
		lg_say("no real-time priority: packets' times may be late when the CPU is busy");
	return 0;
}

void lg_dpdk_rx_close(void)
{
	atomic_store(&rx.stop, true);
	if (rx.runs)
		pthread_join(rx.thread, NULL);
	free(rx.queue);
	rx.queue = NULL;
}
