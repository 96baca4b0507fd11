/* The workers as a whole: made, run on their lcores, stopped, freed. For main and control, and for
 * benches and tests, which build workers in their own process and may turn one by hand. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "dataplane/conf.h"
#include "dataplane/table/ops.h"
#include "dataplane/worker.h"

struct dp_srtp_backend;

struct dp_run_params {
	unsigned workers; // 1..SH_MAX_WORKERS
	uint16_t base_port;
	enum dp_poll poll;
	uint32_t poll_sleep_us; // longest nap of an idle worker
	struct rte_mempool *pool;
	const struct dp_srtp_backend *backend;
	int (*enter)(void); // run by each worker on its lcore before its first turn; may be NULL
};

/* EAL, ports, slabs and tables are there. Worker w gets the w-th worker lcore of EAL; its graph
 * holds dp_node_names. 0, -errno (said in the log); then dp_workers_free() takes what was made. */
int dp_workers_init(const struct dp_run_params *params);
/* Runs them on their lcores; dp_workers_init() was called by this thread. 0, -errno. */
int dp_workers_start(void);
/* Returns when all have stopped. Fine when none was started. */
void dp_workers_stop(void);
void dp_workers_free(void);

/* One turn of worker w on the calling thread, which has made itself that worker by
 * dp_worker_enter(): time, graph walk, ops, hand-overs. Returns true when there was work. */
void dp_worker_enter(unsigned worker);
void dp_worker_leave(unsigned worker);
bool dp_worker_turn(unsigned worker);

/* Control: something was put into the worker's rings or ops. */
void dp_worker_wake(unsigned worker);
void dp_workers_wake(void);
/* Control sleeps on this descriptor: dp_control_sleep() before, false: don't; dp_control_awake()
 * after. */
int dp_control_fd(void);
bool dp_control_sleep(void);
void dp_control_awake(void);

/* Notes in the punt ring are numbers, not packets: odd, where a pointer is even. */
static inline bool dp_punt_is_note(const void *p)
{
	return (uintptr_t)p & 1;
}
static inline enum dp_note_type dp_punt_note_type(const void *p)
{
	return (enum dp_note_type)(((uintptr_t)p >> 1) & 0x7f);
}
static inline uint32_t dp_punt_note_index(const void *p)
{
	return (uint32_t)((uintptr_t)p >> 8);
}

/* What a worker's nodes did since it was made. */
struct dp_node_stat {
	char name[32];
	uint64_t calls, objs, cycles;
};
/* Fills out[n], returns how many nodes there are. */
unsigned dp_worker_nodes(unsigned worker, struct dp_node_stat *out, unsigned n);
