#include "dataplane/table/priv.h"
#include "dataplane/table/rcu.h"
#include <stdlib.h>
#include <string.h>

/* Removed entries go in batches: unpublished → all workers quiescent → rings that may still name
 * them drained → owners forgot → wiped. Each arrow but the first waits for workers, so dp_reap()
 * only looks whether it may go on. */
enum { REAP_IDLE, REAP_DRAIN, REAP_FORGET };

static void free_garbage(void)
{
	while (dp_tb.garbage) {
		struct dp_garbage *g = dp_tb.garbage;

		dp_tb.garbage = g->next;
		free(g);
	}
	paths_free();
}

static bool all_idle(void)
{
	for (unsigned w = 0; w < dp_tb.cfg.workers; w++)
		if (!dp_ops_idle(dp_tb.ops[w]))
			return false;
	return true;
}

/* false: a queue had no room for it. */
static bool post_forget(struct touch t)
{
	static const uint32_t op[] = {DP_OP_FORGET_ENDPOINT, DP_OP_FORGET_TRACK, DP_OP_FORGET_SUB};

	if (t.kind == DP_KIND_SESSION)
		return true;
	return dp_ops_post(dp_tb.ops[slab_owner(t.kind, t.index)],
	                   (struct dp_op){op[t.kind], t.index, NULL});
}

static void bury(struct touch t)
{
	if (t.kind == DP_KIND_SESSION) {
		session_drop(session_of(t.index));
		return;
	}
	slab_wipe(t.kind, t.index);
}

/* One step; false: it must wait. */
static bool step(void)
{
	switch (dp_tb.reap_stage) {
	case REAP_IDLE:
		if (!dp_tb.garbage && !dp_tb.path_garbage && dp_tb.dead.n == 0)
			return false;
		dp_rcu_synchronize();
		free_garbage();
		if (dp_tb.dead.n == 0)
			return false;
		/* One batch at a time: what is removed meanwhile is the next. */
		{
			struct touches empty = dp_tb.reaping;

			dp_tb.reaping = dp_tb.dead;
			dp_tb.dead = empty;
			dp_tb.dead.n = 0;
		}
		for (unsigned w = 0; w < dp_tb.cfg.workers; w++)
			while (!dp_ops_post(dp_tb.ops[w], (struct dp_op){DP_OP_DRAIN, 0, NULL}))
				dp_tb.cfg.wait(dp_tb.cfg.arg);
		dp_tb.reap_stage = REAP_DRAIN;
		dp_tb.reap_at = 0;
		return true;
	case REAP_DRAIN:
		if (!all_idle())
			return false;
		dp_tb.reap_stage = REAP_FORGET;
		return true;
	default:
		while (dp_tb.reap_at < dp_tb.reaping.n &&
		       post_forget(dp_tb.reaping.v[dp_tb.reap_at]))
			dp_tb.reap_at++;
		if (dp_tb.reap_at < dp_tb.reaping.n || !all_idle())
			return false;
		/* Endpoints last: they say who owns the others. */
		for (int kind = DP_KIND_SESSION; kind >= DP_KIND_ENDPOINT; kind--)
			for (uint32_t i = 0; i < dp_tb.reaping.n; i++)
				if ((int)dp_tb.reaping.v[i].kind == kind)
					bury(dp_tb.reaping.v[i]);
		dp_tb.reaping.n = 0;
		dp_tb.reap_stage = REAP_IDLE;
		return true;
	}
}

bool dp_reap(void)
{
	while (step())
		;
	return dp_tb.reap_stage != REAP_IDLE;
}

void dp_reap_all(void)
{
	while (dp_reap())
		dp_tb.cfg.wait(dp_tb.cfg.arg);
}

void reap_free(void)
{
	free_garbage();
	free(dp_tb.dead.v);
	free(dp_tb.reaping.v);
	memset(&dp_tb.dead, 0, sizeof(dp_tb.dead));
	memset(&dp_tb.reaping, 0, sizeof(dp_tb.reaping));
}
