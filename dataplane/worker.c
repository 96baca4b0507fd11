/* The worker loop. A turn is: time, one walk over the graph, quiescent state, ops of control,
 * frames of others. Its state here is private to the worker but for `asleep`, by which others know
 * that it must be woken. */
#include "dataplane/worker.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_graph.h>
#include <rte_graph_worker.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>
#include <rte_ring.h>
#include "dataplane/clock.h"
#include "dataplane/port.h"
#include "dataplane/run.h"
#include "dataplane/srtp/srtp.h"
#include "dataplane/table/rcu.h"
#include "dataplane/table/table.h"
#include "shared/log.h"

#define SUBSYS "worker"

enum {
	HANDOVER_RING = 4096,
	FANIN_RING = 4096,
	INJECT_RING = 1024,
	PUNT_RING = 4096,
	SPIN_TURNS = 256, // empty turns before the first nap
	PAUSE_TURNS = 64, // of these, how many without a pause
	NAP_FIRST_US = 10,
	REST_AFTER_NS = 1000000000, // idle for so long, and sleeping on descriptors: longer naps
	REST_FACTOR = 10,
	REST_MAX_US = 10000,
	FDS = 32,
	TIMER_SLACK_NS = 1000,
};

struct runner {
	struct dp_worker w;
	struct dp_ops *ops;
	struct sh_stats *stats;
	rte_graph_t graph_id;
	bool has_graph;
	int wake_fd;
	_Alignas(64) _Atomic uint32_t asleep; // itself sets and clears; others: ro
	/* DP_OP_DRAIN in progress: how far these rings must be read */
	bool draining;
	uint32_t drain_fanin, drain_inject;
	/* adaptive polling */
	uint32_t empty_turns;
	uint32_t nap_us;
	uint64_t busy_at_ns;
	struct pollfd fd[FDS];
	unsigned fds;
	bool fds_complete;
	uint64_t turn_frames, turn_at;
};

__thread struct dp_worker *dp_self;
struct dp_worker *dp_workers[SH_MAX_WORKERS];

static struct runner *runners[SH_MAX_WORKERS];
static struct dp_run_params run;
static _Atomic bool stopping;
static bool started;
static int control_fd = -1;
static _Atomic uint32_t control_asleep;

/* ---- wakes ---- */

static void signal_fd(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		return; // full: it is readable already
}

static void clear_fd(int fd)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) < 0)
		return;
}

void dp_worker_wake(unsigned worker)
{
	struct runner *r = runners[worker];

	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&r->asleep, memory_order_relaxed) &&
	    atomic_exchange_explicit(&r->asleep, 0, memory_order_relaxed))
		signal_fd(r->wake_fd);
}

void dp_workers_wake(void)
{
	for (unsigned i = 0; i < run.workers; i++)
		if (runners[i])
			dp_worker_wake(i);
}

int dp_control_fd(void)
{
	return control_fd;
}

static bool punt_waits(void)
{
	for (unsigned i = 0; i < run.workers; i++)
		if (!rte_ring_empty(dp_workers[i]->punt))
			return true;
	return false;
}

bool dp_control_sleep(void)
{
	atomic_store(&control_asleep, 1);
	atomic_thread_fence(memory_order_seq_cst);
	if (!punt_waits())
		return true;
	atomic_store(&control_asleep, 0);
	return false;
}

void dp_control_awake(void)
{
	atomic_store(&control_asleep, 0);
	clear_fd(control_fd);
}

static void wake_control(void)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&control_asleep, memory_order_relaxed) &&
	    atomic_exchange_explicit(&control_asleep, 0, memory_order_relaxed))
		signal_fd(control_fd);
}

static bool ports_wait(void)
{
	for (unsigned i = 0; i < dp_port_count; i++) {
		const struct dp_port *p = &dp_ports[i];

		if (p->stashed || (p->tx_ring && !rte_ring_empty(p->tx_ring)) ||
		    (p->twin_ring && !rte_ring_empty(p->twin_ring)))
			return true;
	}
	return false;
}

static bool rings_wait(const struct runner *r)
{
	const struct dp_worker *w = &r->w;

	return !rte_ring_empty(w->handover) || !rte_ring_empty(w->fanin) ||
	       !rte_ring_empty(w->inject) || !dp_ops_idle(r->ops) ||
	       (w->index == 0 && ports_wait());
}

/* Nodes put things into other workers' rings and make no system call; so here it is looked who
 * sleeps on them. */
static void wake_others(const struct runner *self)
{
	atomic_thread_fence(memory_order_seq_cst);
	for (unsigned i = 0; i < run.workers; i++)
		if (runners[i] != self &&
		    atomic_load_explicit(&runners[i]->asleep, memory_order_relaxed) &&
		    rings_wait(runners[i]))
			dp_worker_wake(i);
}

/* ---- notes ---- */

void dp_notify(struct dp_worker *w, enum dp_note_type type, uint32_t index)
{
	uintptr_t note = (uintptr_t)index << 8 | (uintptr_t)type << 1 | 1;

	if (rte_ring_enqueue(w->punt, (void *)note) == 0)
		w->punted = true;
}

/* ---- ops of the control thread ---- */

/* Everything that was in the rings when the op came has been taken: compare ring positions, which
 * wrap. */
static bool drained(struct runner *r)
{
	if (!r->draining) {
		r->drain_fanin = __atomic_load_n(&r->w.fanin->prod.tail, __ATOMIC_ACQUIRE);
		r->drain_inject = __atomic_load_n(&r->w.inject->prod.tail, __ATOMIC_ACQUIRE);
		r->draining = true;
	}
	if ((int32_t)(r->w.fanin->cons.tail - r->drain_fanin) < 0 ||
	    (int32_t)(r->w.inject->cons.tail - r->drain_inject) < 0)
		return false;
	r->draining = false;
	return true;
}

static bool run_ops(struct runner *r)
{
	const struct dp_op *op;
	bool any = false;

	while ((op = dp_ops_peek(r->ops))) {
		switch (op->type) {
		case DP_OP_DRAIN:
			if (!drained(r))
				return any;
			break;
		case DP_OP_FORGET_SUB:
			dp_nodes_forget_sub(&r->w, op->index);
			break;
		case DP_OP_FORGET_TRACK:
			dp_nodes_forget_track(&r->w, op->index);
			break;
		case DP_OP_FORGET_ENDPOINT:
			dp_nodes_forget_endpoint(&r->w, op->index);
			dp_tuple_clear(&r->w, op->index);
			break;
		case DP_OP_REKEY:
			dp_table_rekey(op->index, op->arg);
			break;
		}
		dp_ops_done(r->ops);
		any = true;
	}
	return any;
}

/* ---- the loop ---- */

static bool turn(struct runner *r)
{
	struct dp_worker *w = &r->w;
	uint64_t tsc = rte_rdtsc(), now, spent;
	bool busy;

	dp_clock_read(tsc, &now, &w->ntp_now);
	if (now > w->now_ns)
		w->now_ns = now;
	w->walk_tsc = tsc;
	w->tsc_ns = __atomic_load_n(&dp_clock.mult, __ATOMIC_RELAXED);
	busy =
	    !rte_ring_empty(w->handover) || !rte_ring_empty(w->fanin) || !rte_ring_empty(w->inject);
	w->punted = false;
	rte_graph_walk(w->graph);
	dp_rcu_quiescent();
	busy |= w->frames != r->turn_frames;
	r->stats->packets += w->frames - r->turn_frames;
	r->turn_frames = w->frames;
	/* Control waits for ops, so it is told of them as of what was punted. */
	w->punted |= run_ops(r);
	dp_port_turn(w);
	if (w->punted)
		wake_control();
	busy |= w->punted;
	if (busy && run.workers > 1)
		wake_others(r);
	spent = rte_rdtsc() - tsc;
	if (busy) {
		r->stats->busy_cycles += spent;
		r->stats->bursts++;
	} else {
		r->stats->idle_cycles += spent;
	}
	return busy;
}

static uint32_t rest_us(void)
{
	uint32_t us = RTE_MIN(run.poll_sleep_us * REST_FACTOR, (uint32_t)REST_MAX_US);

	return RTE_MAX(us, run.poll_sleep_us);
}

/* An idle worker sleeps on its descriptors, where frames wake it, and never longer than its timers
 * can wait. */
static void nap(struct runner *r)
{
	struct timespec t = {0};
	uint64_t tsc = rte_rdtsc();
	uint32_t us = r->nap_us;

	if (r->fds_complete && r->w.now_ns - r->busy_at_ns > REST_AFTER_NS)
		us = rest_us();
	r->nap_us = RTE_MIN(r->nap_us * 2, run.poll_sleep_us);
	t.tv_nsec = (long)us * 1000;
	dp_rcu_offline();
	atomic_store(&r->asleep, 1);
	atomic_thread_fence(memory_order_seq_cst);
	if (!rings_wait(r) && !atomic_load(&stopping) && ppoll(r->fd, r->fds, &t, NULL) > 0 &&
	    (r->fd[0].revents & POLLIN))
		clear_fd(r->wake_fd);
	atomic_store(&r->asleep, 0);
	dp_rcu_online();
	r->stats->idle_cycles += rte_rdtsc() - tsc;
}

static void idle(struct runner *r)
{
	r->empty_turns++;
	if (r->empty_turns < PAUSE_TURNS)
		return;
	if (run.poll == DP_POLL_BUSY || r->empty_turns < SPIN_TURNS) {
		for (unsigned i = 0; i < 16; i++)
			rte_pause();
		return;
	}
	nap(r);
}

static void find_fds(struct runner *r)
{
	int fd[FDS - 1];
	unsigned n = dp_port_fds(&r->w, run.workers, fd, RTE_DIM(fd), &r->fds_complete);

	r->fd[0] = (struct pollfd){r->wake_fd, POLLIN, 0};
	for (unsigned i = 0; i < n; i++)
		r->fd[i + 1] = (struct pollfd){fd[i], POLLIN, 0};
	r->fds = n + 1;
	/* Frames wake it, so the first nap may be a long one. */
	r->nap_us = r->fds_complete ? run.poll_sleep_us : NAP_FIRST_US;
}

void dp_worker_enter(unsigned worker)
{
	struct runner *r = runners[worker];

	dp_self = &r->w;
	find_fds(r);
	urcu_qsbr_register_thread();
}

void dp_worker_leave(unsigned worker)
{
	urcu_qsbr_unregister_thread();
	dp_self = NULL;
}

bool dp_worker_turn(unsigned worker)
{
	return turn(runners[worker]);
}

static int loop(void *arg)
{
	struct runner *r = arg;

	prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
	if (run.enter && run.enter() != 0)
		return -EPERM;
	dp_worker_enter(r->w.index);
	while (!atomic_load_explicit(&stopping, memory_order_relaxed)) {
		if (!turn(r)) {
			idle(r);
			continue;
		}
		r->empty_turns = 0;
		r->busy_at_ns = r->w.now_ns;
		r->nap_us = r->fds_complete ? run.poll_sleep_us : NAP_FIRST_US;
	}
	dp_worker_leave(r->w.index);
	return 0;
}

/* ---- a worker's life ---- */

static struct rte_ring *ring(const char *what, unsigned worker, unsigned size, unsigned flags)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s-%u", what, worker);
	return rte_ring_create(name, size, SOCKET_ID_ANY, flags);
}

static int make_rings(struct dp_worker *w)
{
	w->handover = ring("handover", w->index, HANDOVER_RING, RING_F_SC_DEQ);
	w->fanin = ring("fanin", w->index, FANIN_RING, RING_F_SC_DEQ);
	w->inject = ring("inject", w->index, INJECT_RING, RING_F_SP_ENQ | RING_F_SC_DEQ);
	w->punt = ring("punt", w->index, PUNT_RING, RING_F_SP_ENQ | RING_F_SC_DEQ);
	return w->handover && w->fanin && w->inject && w->punt ? 0 : -rte_errno;
}

static int make_graph(struct runner *r)
{
	const char *patterns[64];
	struct rte_graph_param prm = {
	    .socket_id = SOCKET_ID_ANY,
	    .nb_node_patterns = (uint16_t)dp_node_count,
	    .node_patterns = patterns,
	};
	char name[RTE_GRAPH_NAMESIZE];

	if (dp_node_count == 0 || dp_node_count > RTE_DIM(patterns))
		return -EINVAL;
	for (unsigned i = 0; i < dp_node_count; i++)
		patterns[i] = dp_node_names[i];
	snprintf(name, sizeof(name), "worker-%u", r->w.index);
	r->graph_id = rte_graph_create(name, &prm);
	if (r->graph_id == RTE_GRAPH_ID_INVALID)
		return -rte_errno;
	r->has_graph = true;
	r->w.graph = rte_graph_lookup(name);
	return r->w.graph ? 0 : -rte_errno;
}

static int make(unsigned index, unsigned lcore)
{
	struct runner *r = aligned_alloc(64, (sizeof(*r) + 63) & ~(size_t)63);
	struct dp_worker *w;
	int err;

	if (!r)
		return -ENOMEM;
	memset(r, 0, sizeof(*r));
	runners[index] = r;
	w = &r->w;
	dp_workers[index] = w;
	w->index = index;
	w->lcore = lcore;
	w->udp_port = (uint16_t)(run.base_port + index);
	w->pool = run.pool;
	r->stats = &dp_slabs.head->stats[index];
	r->stats->lcore = lcore;
	w->stat = r->stats->v;
	w->latency = &r->stats->latency;
	r->ops = dp_table_ops(index);
	r->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (r->wake_fd < 0)
		return -errno;
	if (getrandom(&w->random, sizeof(w->random), 0) != sizeof(w->random))
		return -EIO;
	w->random |= 1; // xorshift stays at 0
	dp_ports_assign(w);
	dp_clock_read(rte_rdtsc(), &w->now_ns, &w->ntp_now);
	err = make_rings(w);
	if (!err)
		err = dp_srtp_batch_new(&w->srtp, run.backend);
	if (!err)
		err = dp_nodes_init(w);
	if (!err)
		err = make_graph(r);
	return err;
}

int dp_workers_init(const struct dp_run_params *params)
{
	unsigned lcore = rte_get_next_lcore(-1, 1, 0);
	int err = 0;

	run = *params;
	dp_slabs.head->workers = run.workers;
	dp_slabs.head->base_port = run.base_port;
	atomic_store(&stopping, false);
	control_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (control_fd < 0)
		return -errno;
	for (unsigned i = 0; i < run.workers && !err; i++) {
		err = make(i, lcore);
		if (err)
			sh_error(SUBSYS, "worker %u: %s", i, strerror(-err));
		lcore = rte_get_next_lcore(lcore, 1, 0);
	}
	return err;
}

int dp_workers_start(void)
{
	for (unsigned i = 0; i < run.workers; i++) {
		int err;

		if (dp_workers[i]->lcore >= RTE_MAX_LCORE)
			return -ENODEV;
		err = rte_eal_remote_launch(loop, runners[i], dp_workers[i]->lcore);
		if (err)
			return err;
		started = true;
	}
	return 0;
}

void dp_workers_stop(void)
{
	if (!started)
		return;
	atomic_store(&stopping, true);
	for (unsigned i = 0; i < run.workers; i++)
		signal_fd(runners[i]->wake_fd);
	rte_eal_mp_wait_lcore();
	started = false;
}

static void empty_ring(struct rte_ring *r)
{
	void *m;

	while (r && rte_ring_dequeue(r, &m) == 0)
		if (!dp_punt_is_note(m))
			rte_pktmbuf_free(m);
	rte_ring_free(r);
}

void dp_workers_free(void)
{
	for (unsigned i = 0; i < SH_MAX_WORKERS; i++) {
		struct runner *r = runners[i];

		if (!r)
			continue;
		if (r->has_graph)
			rte_graph_destroy(r->graph_id);
		if (r->w.node)
			dp_nodes_free(&r->w);
		dp_srtp_batch_free(r->w.srtp);
		empty_ring(r->w.handover);
		empty_ring(r->w.fanin);
		empty_ring(r->w.inject);
		empty_ring(r->w.punt);
		if (r->wake_fd >= 0)
			close(r->wake_fd);
		free(r);
		runners[i] = NULL;
		dp_workers[i] = NULL;
	}
	if (control_fd >= 0)
		close(control_fd);
	control_fd = -1;
}

unsigned dp_worker_nodes(unsigned worker, struct dp_node_stat *out, unsigned n)
{
	struct rte_graph *g = dp_workers[worker]->graph;
	struct rte_node *node;
	rte_graph_off_t off;
	rte_node_t i;

	rte_graph_foreach_node(i, off, g, node)
	{
		if (i >= n)
			continue;
		snprintf(out[i].name, sizeof(out[i].name), "%.31s", node->name);
		out[i].calls = node->total_calls;
		out[i].objs = node->total_objs;
		out[i].cycles = node->total_cycles;
	}
	return i;
}
