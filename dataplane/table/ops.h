/* Control thread → one worker: what must be done between two walks by the owner of the state. SPSC;
 * the number of the last op done is its acknowledgement. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdatomic.h>

enum dp_op_type {
	DP_OP_DRAIN, // pass over what lies in fanin and inject now, so that no packet names what is
	             // being removed
	DP_OP_FORGET_SUB, // index: the nodes drop what they kept for it
	DP_OP_FORGET_TRACK,
	DP_OP_FORGET_ENDPOINT, // and its 5-tuple
	DP_OP_REKEY, // index: endpoint; arg: its new session or NULL; SRTP state starts anew
};

struct dp_op {
	uint32_t type, index;
	void *arg;
};

enum { DP_OPS = 1024 };
struct dp_ops {
	_Alignas(64) _Atomic uint32_t posted; // control: rw
	_Alignas(64) _Atomic uint32_t done;   // worker: rw
	struct dp_op v[DP_OPS];
};

/* Control thread. false: no room. */
static inline bool dp_ops_post(struct dp_ops *q, struct dp_op op)
{
	uint32_t at = atomic_load_explicit(&q->posted, memory_order_relaxed);

	if (at - atomic_load_explicit(&q->done, memory_order_acquire) >= DP_OPS)
		return false;
	q->v[at % DP_OPS] = op;
	atomic_store_explicit(&q->posted, at + 1, memory_order_seq_cst);
	return true;
}

/* Worker: the next op, or NULL; dp_ops_done() when it was carried out. */
static inline const struct dp_op *dp_ops_peek(struct dp_ops *q)
{
	uint32_t at = atomic_load_explicit(&q->done, memory_order_relaxed);

	if (at == atomic_load_explicit(&q->posted, memory_order_acquire))
		return NULL;
	return &q->v[at % DP_OPS];
}

static inline void dp_ops_done(struct dp_ops *q)
{
	atomic_fetch_add_explicit(&q->done, 1, memory_order_release);
}

static inline bool dp_ops_idle(struct dp_ops *q)
{
	return atomic_load_explicit(&q->done, memory_order_acquire) ==
	       atomic_load_explicit(&q->posted, memory_order_seq_cst);
}
