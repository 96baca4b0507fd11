#include "dataplane/node/world.h"
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_graph.h>
#include <rte_mempool.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <urcu-qsbr.h>
#include <cmocka.h>
#include "dataplane/table/table.h"

struct world world;
__thread struct dp_worker *dp_self;
struct dp_worker *dp_workers[SH_MAX_WORKERS];

/* ---- what the process gives the nodes ---- */

uint16_t dp_port_rx(struct dp_worker *w, unsigned i, struct rte_mbuf **m, uint16_t n)
{
	unsigned k = RTE_MIN(n, world.n_rx[w->index]);

	memcpy(m, world.rx[w->index], k * sizeof(*m));
	world.n_rx[w->index] -= k;
	memmove(world.rx[w->index], world.rx[w->index] + k, world.n_rx[w->index] * sizeof(*m));
	for (unsigned j = 0; j < k; j++)
		dp_pkt(m[j])->port = 0;
	return (uint16_t)k;
}

uint16_t dp_port_tx(struct dp_worker *w, uint16_t port, struct rte_mbuf **m, uint16_t n)
{
	for (unsigned i = 0; i < n; i++) {
		struct frame *f = &world.out[world.n_out++];

		assert_true(world.n_out < WORLD_OUT);
		assert_int_equal(m[i]->nb_segs, 1);
		assert_int_equal(m[i]->data_len, m[i]->pkt_len);
		assert_int_equal(rte_mbuf_refcnt_read(m[i]), 1);
		assert_true(m[i]->data_len <= FRAME_MAX);
		f->len = m[i]->data_len;
		f->worker = w->index;
		f->taken = false;
		memcpy(f->data, rte_pktmbuf_mtod(m[i], void *), f->len);
		rte_pktmbuf_free(m[i]);
	}
	return n;
}

void dp_notify(struct dp_worker *w, enum dp_note_type type, uint32_t index)
{
	world.notes[type]++;
}

static void run_ops(struct dp_worker *w)
{
	struct dp_ops *q = dp_table_ops(w->index);
	const struct dp_op *op;

	while ((op = dp_ops_peek(q))) {
		if (op->type == DP_OP_FORGET_SUB)
			dp_nodes_forget_sub(w, op->index);
		if (op->type == DP_OP_FORGET_TRACK)
			dp_nodes_forget_track(w, op->index);
		if (op->type == DP_OP_FORGET_ENDPOINT) {
			dp_nodes_forget_endpoint(w, op->index);
			dp_tuple_clear(w, op->index);
		}
		if (op->type == DP_OP_REKEY)
			dp_table_rekey(op->index, op->arg);
		dp_ops_done(q);
	}
}

static void wait_ops(void *arg)
{
	for (unsigned i = 0; i < world.workers; i++)
		run_ops(world.w[i]);
}

/* ---- life ---- */

int world_setup(void)
{
	char *argv[] = {"graph_test", "--no-huge", "--no-shconf", "--no-pci", "--no-telemetry",
	                "-m",         "192",       "-l",          "0",        "--log-level=error",
	                NULL};

	if (rte_eal_init(RTE_DIM(argv) - 1, argv) < 0)
		return -1;
	world.pool =
	    rte_pktmbuf_pool_create("test", 8191, 0, sizeof(struct dp_pkt), 2048, SOCKET_ID_ANY);
	world.out = calloc(WORLD_OUT, sizeof(*world.out));
	urcu_qsbr_register_thread();
	// its init is libsrtp2's, which can be called but once
	return world.pool && world.out && dp_srtp_backend_find("libsrtp2") ? 0 : -1;
}

void world_teardown(void)
{
	urcu_qsbr_unregister_thread();
	free(world.out);
	rte_mempool_free(world.pool);
	rte_eal_cleanup();
}

static struct rte_ring *ring(const char *name, unsigned worker)
{
	char full[32];
	struct rte_ring *r;

	snprintf(full, sizeof(full), "%s%u.%u", name, worker, world.runs);
	r = rte_ring_create(full, 512, SOCKET_ID_ANY, RING_F_SC_DEQ);
	assert_non_null(r);
	return r;
}

static void start_worker(unsigned i, const struct dp_srtp_backend *backend)
{
	struct dp_worker *w = calloc(1, sizeof(*w));
	char name[16];
	struct rte_graph_param param = {
	    .socket_id = SOCKET_ID_ANY,
	    .nb_node_patterns = (uint16_t)dp_node_count,
	    .node_patterns = (const char **)(uintptr_t)dp_node_names,
	};

	*w = (struct dp_worker){
	    .index = i,
	    .now_ns = world.now_ns,
	    .random = 12345 + i,
	    .stat = dp_slabs.head->stats[i].v,
	    .latency = &dp_slabs.head->stats[i].latency,
	    .pool = world.pool,
	    .udp_port = (uint16_t)(WORLD_BASE + i),
	    .n_ports = 1,
	    .handover = ring("handover", i),
	    .fanin = ring("fanin", i),
	    .inject = ring("inject", i),
	    .punt = ring("punt", i),
	};
	assert_int_equal(dp_srtp_batch_new(&w->srtp, backend), 0);
	assert_int_equal(dp_nodes_init(w), 0);
	snprintf(name, sizeof(name), "w%u.%u", i, world.runs);
	assert_int_not_equal(rte_graph_create(name, &param), RTE_GRAPH_ID_INVALID);
	w->graph = rte_graph_lookup(name);
	world.w[i] = w;
	dp_workers[i] = w;
}

static void start_all(void)
{
	struct dp_table_cfg cfg = {.workers = world.workers, .wait = wait_ops};

	cfg.backend = dp_srtp_backend_find(world.backend);
	assert_non_null(cfg.backend);
	assert_int_equal(dp_table_init(&cfg), 0);
	world.runs++; // names differ, so that a failed test does not fail the next ones
	for (unsigned i = 0; i < world.workers; i++)
		start_worker(i, cfg.backend);
}

void world_start(unsigned workers, const char *backend)
{
	char path[] = "/tmp/graph_test_XXXXXX";
	bool created;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	unlink(path);
	assert_int_equal(
	    sh_slabs_create(&dp_slabs, path, WORLD_ENDPOINTS, WORLD_TRACKS, WORLD_SUBS, &created),
	    0);
	unlink(path);
	dp_slabs.head->base_port = WORLD_BASE;
	dp_slabs.head->workers = workers;
	world.workers = workers;
	world.backend = backend;
	world.now_ns = 1000000000000;
	world.n_out = 0;
	world.n_punted = 0;
	memset(world.notes, 0, sizeof(world.notes));
	start_all();
}

static void drain_punt(struct dp_worker *w)
{
	void *m;

	while (!rte_ring_dequeue(w->punt, &m))
		world.punted[world.n_punted++] = m;
}

static void stop_all(void)
{
	for (unsigned i = 0; i < world.workers; i++) {
		struct dp_worker *w = world.w[i];

		dp_nodes_free(w);
		dp_srtp_batch_free(w->srtp);
		assert_true(rte_ring_empty(w->handover) && rte_ring_empty(w->fanin));
		rte_ring_free(w->handover);
		rte_ring_free(w->fanin);
		rte_ring_free(w->inject);
		rte_ring_free(w->punt);
		rte_graph_destroy(rte_graph_from_name(w->graph->name));
		dp_workers[i] = NULL;
		free(w);
	}
	dp_table_free();
}

void world_restart(void)
{
	struct dp_table_report report;

	stop_all();
	start_all();
	assert_int_equal(dp_table_rebuild(&report), 0);
	assert_int_equal(report.dropped, 0);
}

void world_stop(void)
{
	stop_all();
	for (unsigned i = 0; i < world.n_punted; i++)
		rte_pktmbuf_free(world.punted[i]);
	sh_slabs_close(&dp_slabs);
	assert_int_equal(rte_mempool_in_use_count(world.pool), 0);
}

void world_walk(void)
{
	for (unsigned again = 0; again < 4; again++) {
		for (unsigned i = 0; i < world.workers; i++) {
			struct dp_worker *w = world.w[i];

			dp_self = w;
			w->now_ns = world.now_ns;
			w->ntp_now =
			    dp_ntp_from_unix_ns(UINT64_C(1700000000000000000) + world.now_ns);
			rte_graph_walk(w->graph);
			run_ops(w);
			drain_punt(w);
			urcu_qsbr_quiescent_state();
		}
	}
}

void world_run(uint64_t ms)
{
	while (ms--) {
		world.now_ns += 1000000;
		world_walk();
	}
}

/* ---- configuration ---- */

sh_id world_id(uint32_t index)
{
	return SH_ID(index, 1u);
}

void world_commit(unsigned type, const void *body, uint32_t len)
{
	struct sh_msg_commit c = {.txn = ++world.txn, .records = 1};
	struct sh_msg_committed done;

	assert_int_equal(sh_msg_check(type, body, len), 0);
	dp_stage_begin(c.txn);
	dp_stage_record(type, body, len);
	dp_stage_commit(&c, &done);
	assert_int_equal(done.error, 0);
	dp_reap_all();
}

void world_track(uint32_t track, const struct peer *publisher, const struct sh_msg_track_set *like)
{
	struct sh_msg_track_set s = *like;

	s.id = world_id(track);
	s.endpoint = publisher->id;
	world_commit(SH_MSG_TRACK_SET, &s, sizeof(s));
}

void world_slot(uint32_t track, uint32_t group, uint8_t at, const struct sh_msg_track_set *like)
{
	struct sh_msg_track_set s = *like;

	s.id = world_id(track);
	s.flags = SH_TRACK_SLOT;
	s.group = group;
	s.slot = at;
	world_commit(SH_MSG_TRACK_SET, &s, sizeof(s));
}

void world_sub(uint32_t sub, uint32_t track, const struct peer *subscriber,
               const struct sh_msg_sub_set *like)
{
	struct sh_msg_sub_set s = *like;

	s.id = world_id(sub);
	s.track = world_id(track);
	s.endpoint = subscriber->id;
	world_commit(SH_MSG_SUB_SET, &s, sizeof(s));
}

void world_del(uint8_t what, sh_id id)
{
	struct sh_msg_del d = {.id = id, .what = what};

	world_commit(SH_MSG_DEL, &d, sizeof(d));
}

/* ---- packets ---- */

void world_frame(unsigned worker, const uint8_t *frame, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(world.pool);
	char *at = rte_pktmbuf_append(m, (uint16_t)len);

	assert_non_null(at);
	memset(dp_pkt(m), 0xa5, sizeof(struct dp_pkt)); // as found
	memcpy(at, frame, len);
	assert_true(world.n_rx[worker] < RTE_DIM(world.rx[worker]));
	world.rx[worker][world.n_rx[worker]++] = m;
}

void world_forget_out(void)
{
	world.n_out = 0;
}

uint64_t world_stat(unsigned stat)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < world.workers; i++)
		sum += world.w[i]->stat[stat];
	return sum;
}
