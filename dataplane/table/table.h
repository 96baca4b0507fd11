/* The tables of the dataplane: commands onto slabs, and the indexes over them (worker.h has the
 * readers' side).
 *
 *   stage.c   takes a transaction's records and at COMMIT checks them against slabs and each other
 *   unique.c  … and that no ufrag and no SSRC is used twice
 *   apply.c   carries it out: first what may fail, then publication, which cannot
 *   reap.c    what was removed: quiescence, then the owners forget, then wiped
 *   index.c   ufrag, SSRC, lists, sessions, paths: the readers
 *   table.c   beginning, end, and taking over what the slabs hold
 *   tuple.c   5-tuples, private to each worker
 *   group.c   tracks by group, and which of them is in which slot: control thread only
 *   list.c, chain.h, ops.h: what these are made of
 *
 * One set of tables a process. No DPDK function is called here, so tests and fuzzers link without
 * EAL. All calls are the control thread's, which need not be registered with liburcu. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "dataplane/table/ops.h"
#include "dataplane/worker.h"
#include "shared/msg.h"
#include "shared/state.h"

struct dp_srtp_backend;

enum dp_kind { DP_KIND_ENDPOINT, DP_KIND_TRACK, DP_KIND_SUB, DP_KINDS, DP_KIND_SESSION = DP_KINDS };

struct dp_table_cfg {
	unsigned workers; // 1..SH_MAX_WORKERS
	const struct dp_srtp_backend *backend;
	/* Called while control waits for workers to do their ops: wake them, sleep a little. Tests
	 * run the ops here. */
	void (*wait)(void *arg);
	/* An endpoint is no more: its path need not be kept. May be NULL. */
	void (*gone)(void *arg, uint32_t endpoint);
	/* A subscription to this track came, or changed. May be NULL. */
	void (*wanted)(void *arg, uint32_t track);
	void *arg;
};

/* dp_slabs is attached. 0, -ENOMEM, -EINVAL. */
int dp_table_init(const struct dp_table_cfg *cfg);
/* No worker runs. Slabs stay as they are. */
void dp_table_free(void);

struct dp_table_report {
	uint32_t endpoints, tracks, subs; // taken over
	uint32_t dropped; // wiped: half-written, orphaned, of a worker that is gone, keys refused
};
/* Indexes from the LIVE entries of the slabs; no worker runs yet. 0, -ENOMEM. */
int dp_table_rebuild(struct dp_table_report *report);

/* Staging. A record is a copy; its shape was checked (sh_msg_check). */
void dp_stage_begin(uint64_t txn);
void dp_stage_record(unsigned type, const void *body, uint32_t len);
/* A record of this transaction was refused for its shape: so will be its COMMIT. */
void dp_stage_refuse(int error);
/* True between begin and commit. */
bool dp_stage_open(void);
/* Applies or refuses; *out is the answer for the daemon. After error 0 the slabs hold exactly what
 * was asked for: -EPROTO  no transaction, another txn, or another count of records -EINVAL  a value
 * out of range, or a change of what is fixed for life -ENOENT  a reference to what does not exist;
 * -ESTALE  … of another generation -EEXIST  the slot is taken by another generation, or ufrag or
 * SSRC by another entry -ENOMEM, -E2BIG (more records than could make sense) others: those of the
 * shape check */
void dp_stage_commit(const struct sh_msg_commit *c, struct sh_msg_committed *out);
/* Forgets what is staged: the daemon went away. */
void dp_stage_abort(void);

/* Moves removed entries on; cheap when there are none. True: some are still on their way, call
 * again soon. */
bool dp_reap(void);
/* Until none is. */
void dp_reap_all(void);

/* A zeroed path to fill, or NULL. */
struct dp_path *dp_path_new(void);
/* Fills its sums in and publishes it, now the table's; or NULL. */
void dp_path_set(uint32_t endpoint, struct dp_path *path);

/* Worker side of the ops: the queue, and what DP_OP_REKEY does. */
struct dp_ops *dp_table_ops(unsigned worker);
void dp_table_rekey(uint32_t endpoint, struct dp_srtp_session *session);
