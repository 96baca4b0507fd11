/* The other end of the memif link. It is a process of its own, as memif is between processes: it
 * keeps publishers' packets ready, sends them, takes what the dataplane makes of them, and looks at
 * one thing in it: the RTP timestamp, which goes through unchanged in the first segment of a
 * subscription and says which packet this is a copy of. */
#include "bench/forward.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include "bench/bench.h"
#include "dataplane/rtp/rtp.h"

enum {
	MEMORY_MB = 128,
	BURST = 32,
	READY = 16,     // packets encrypted at a time, so that it is over in a moment
	SENT = 1 << 16, // send times kept
	BINS = 1 << 18, // of BIN_NS
	BIN_NS = 100,
	STALL_MS = 20, // without a packet for so long, what is under way is lost
};

enum cmd { CMD_SHAPE = 1, CMD_RUN, CMD_END };

/* Between the two processes; cmd is written last, done answers it. */
struct shared {
	_Atomic uint32_t order, done, up;
	enum cmd cmd;
	struct fwd_shape shape;
	unsigned ms, window;
	double per_s;
	struct fwd_link_result result;
};

static struct shared *shared;
static pid_t child;

/* ---- the other process ---- */

static struct {
	uint16_t eth;
	struct rte_mempool *pool;
	uint64_t *sent_at;
	uint32_t *seen, *there; // bins
	uint64_t empty_at;      // the last look at the ring that left nothing in it
	uint64_t looked_at, away;
	unsigned ready, next; // packets made, and taken of them
	uint32_t ts;          // of the next packet
	uint64_t sent, received;
} end;

static void count(uint32_t *bin, uint64_t from, uint64_t to)
{
	uint64_t ns = (uint64_t)((double)(to > from ? to - from : 0) * 1e9 / (double)rte_get_tsc_hz());

	bin[RTE_MIN(ns / BIN_NS, (uint64_t)BINS - 1)]++;
}

static void take(void)
{
	struct rte_mbuf *m[BURST];
	uint64_t look = rte_rdtsc(), now;
	uint16_t n = rte_eth_rx_burst(end.eth, 0, m, BURST);

	if (look - end.looked_at > end.away)
		end.away = look - end.looked_at;
	end.looked_at = look;
	now = n ? rte_rdtsc() : look;
	for (uint16_t i = 0; i < n; i++) {
		const uint8_t *rtp = rte_pktmbuf_mtod(m[i], const uint8_t *) + FWD_HEAD;
		uint64_t at;

		if (rtp[1] >= 192 && rtp[1] <= 223) // a report
			continue;
		at = end.sent_at[dp_get32(rtp + 4) % SENT];
		count(end.seen, at, now);
		count(end.there, at, end.empty_at);
		end.received++;
	}
	rte_pktmbuf_free_bulk(m, n);
	if (n < BURST)
		end.empty_at = look;
}

static void make_ready(void)
{
	if (end.next < end.ready)
		return;
	fwd_feed_make(READY, end.ts);
	end.ready = READY;
	end.next = 0;
}

static bool send_one(void)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(end.pool);
	uint16_t len = fwd_feed_lens()[end.next];

	if (!m)
		return false;
	memcpy(rte_pktmbuf_mtod(m, void *), fwd_feed_frames()[end.next], len);
	m->data_len = len;
	m->pkt_len = len;
	end.sent_at[end.ts % SENT] = rte_rdtsc();
	end.next++;
	end.ts++;
	if (rte_eth_tx_burst(end.eth, 0, &m, 1) != 1) {
		rte_pktmbuf_free(m);
		return false;
	}
	end.sent++;
	return true;
}

static double percentile(const uint32_t *bin, double share)
{
	uint64_t sum = 0, want = (uint64_t)((double)end.received * share);

	for (unsigned i = 0; i < BINS; i++) {
		sum += bin[i];
		if (sum > want)
			return i * BIN_NS / 1000.0;
	}
	return BINS * BIN_NS / 1000.0;
}

static struct fwd_link_times times(const uint32_t *bin)
{
	struct fwd_link_times t = {.p50_us = percentile(bin, 0.5), .p99_us = percentile(bin, 0.99)};

	for (unsigned i = 0; i < BINS; i++)
		if (bin[i])
			t.max_us = i * BIN_NS / 1000.0;
	return t;
}

/* A window of packets under way: as fast as they come through. */
static void run_window(uint64_t until)
{
	uint64_t seen = 0, seen_at = rte_rdtsc(), lost = 0;

	while (rte_rdtsc() < until) {
		make_ready();
		if ((end.sent - lost) * shared->shape.fanout <
		    end.received + (uint64_t)shared->window * shared->shape.fanout)
			send_one();
		take();
		if (end.received != seen) {
			seen = end.received;
			seen_at = rte_rdtsc();
		} else if (rte_rdtsc() - seen_at > rte_get_tsc_hz() / 1000 * STALL_MS) {
			lost = end.sent - end.received / shared->shape.fanout;
			seen_at = rte_rdtsc();
		}
	}
}

static void run_paced(uint64_t until, double per_s)
{
	double step = (double)rte_get_tsc_hz() / per_s, due = (double)rte_rdtsc();

	while (rte_rdtsc() < until) {
		make_ready();
		if ((double)rte_rdtsc() >= due) {
			send_one();
			due += step;
			// a pause of this process is not made up for by a burst
			if ((double)rte_rdtsc() > due + 64 * step)
				due = (double)rte_rdtsc();
		}
		take();
	}
}

static void run(void)
{
	uint64_t hz = rte_get_tsc_hz(), begun;

	end.sent = end.received = 0;
	end.away = 0;
	memset(end.seen, 0, BINS * sizeof(*end.seen));
	memset(end.there, 0, BINS * sizeof(*end.there));
	begun = end.looked_at = end.empty_at = rte_rdtsc();
	if (shared->per_s > 0)
		run_paced(begun + hz / 1000 * shared->ms, shared->per_s);
	else
		run_window(begun + hz / 1000 * shared->ms);
	shared->result = (struct fwd_link_result){
	    .sent = end.sent,
	    .received = end.received,
	    .ns = (uint64_t)((double)(rte_rdtsc() - begun) * 1e9 / (double)hz),
	};
	for (unsigned i = 0; i < 100000; i++) // the rest, counted for the percentiles only
		take();
	shared->result.seen = times(end.seen);
	shared->result.there = times(end.there);
	shared->result.away_us = (double)end.away * 1e6 / (double)hz;
}

static bool link_up(void)
{
	struct rte_eth_link link;

	return rte_eth_link_get_nowait(end.eth, &link) == 0 && link.link_status;
}

static void serve(void)
{
	uint32_t order = 0;

	for (;;) {
		uint32_t now = atomic_load(&shared->order);

		atomic_store(&shared->up, link_up());
		if (now == order) {
			take();
			usleep(500);
			continue;
		}
		order = now;
		if (shared->cmd == CMD_END)
			return;
		if (shared->cmd == CMD_SHAPE) {
			fwd_feed_close();
			fwd_feed_open(&shared->shape);
			fwd_feed_skip(2); // the warm-up
			end.ready = end.next = 0;
		} else {
			run();
		}
		atomic_store(&shared->done, order);
	}
}

static __attribute__((noreturn)) void other_process(const char *socket, unsigned cpu)
{
	char cores[16];
	char vdev[256], prefix[64];
	struct rte_eth_conf conf = {0};

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	snprintf(prefix, sizeof(prefix), "bench-peer-%d", (int)getpid());
	snprintf(vdev, sizeof(vdev),
	         "net_memif0,role=client,id=0,socket=%s,socket-abstract=no,bsize=2048,rsize=12",
	         socket);
	for (unsigned i = 0; i < 2000 && access(socket, F_OK) != 0; i++) // the server makes it
		usleep(5000);
	snprintf(cores, sizeof(cores), "0@%u", cpu);
	if (!fwd_eal(prefix, cores, MEMORY_MB, vdev) ||
	    rte_eth_dev_get_port_by_name("net_memif0", &end.eth))
		_exit(1);
	end.pool = rte_pktmbuf_pool_create("peer", 16383, 256, 0, 2048 + RTE_PKTMBUF_HEADROOM,
	                                   SOCKET_ID_ANY);
	end.sent_at = calloc(SENT, sizeof(*end.sent_at));
	end.seen = calloc(BINS, sizeof(*end.seen));
	end.there = calloc(BINS, sizeof(*end.there));
	if (!end.pool || !end.sent_at || !end.seen || !end.there || !dp_srtp_backend_find("ipsec_mb") ||
	    rte_eth_dev_configure(end.eth, 1, 1, &conf) ||
	    rte_eth_rx_queue_setup(end.eth, 0, 4096, SOCKET_ID_ANY, NULL, end.pool) ||
	    rte_eth_tx_queue_setup(end.eth, 0, 4096, SOCKET_ID_ANY, NULL) ||
	    rte_eth_dev_start(end.eth))
		_exit(1);
	serve();
	rte_eth_dev_stop(end.eth);
	rte_eth_dev_close(end.eth);
	rte_eal_cleanup();
	_exit(0);
}

/* ---- this process ---- */

int fwd_link_fork(const char *socket, unsigned cpu)
{
	shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return -errno;
	child = fork();
	if (child < 0)
		return -errno;
	if (child == 0)
		other_process(socket, cpu);
	return 0;
}

static void order(enum cmd cmd)
{
	shared->cmd = cmd;
	atomic_fetch_add(&shared->order, 1);
}

static bool answered(void)
{
	return atomic_load(&shared->done) == atomic_load(&shared->order);
}

bool fwd_link_up(void)
{
	return child > 0 && waitpid(child, NULL, WNOHANG) == 0 && atomic_load(&shared->up);
}

void fwd_link_shape(const struct fwd_shape *shape)
{
	shared->shape = *shape;
	order(CMD_SHAPE);
	while (!answered() && waitpid(child, NULL, WNOHANG) == 0)
		usleep(1000);
}

void fwd_link_go(unsigned ms, double per_s, unsigned window)
{
	shared->ms = ms;
	shared->per_s = per_s;
	shared->window = window;
	order(CMD_RUN);
}

bool fwd_link_done(struct fwd_link_result *out)
{
	if (!answered())
		return false;
	*out = shared->result;
	return true;
}

void fwd_link_end(void)
{
	if (child <= 0)
		return;
	order(CMD_END);
	waitpid(child, NULL, 0);
	child = 0;
}
