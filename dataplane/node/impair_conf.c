/* The impairment node's beginning and end: what it allocates is here, as nodes may not. */
#include <errno.h>
#include <string.h>
#include "dataplane/impair/line.h"
#include "dataplane/impair/wire.h"
#include "dataplane/node/impair.h"
#include "dataplane/node/node.h"

enum { ROOM = 65536 };

struct dp_impair_config dp_impair_config;

static bool any(const struct dp_impair_way *c)
{
	static const struct dp_impair_way none;

	return memcmp(c, &none, sizeof(none)) != 0;
}

static struct dp_wire_conf conf_of(const struct dp_impair_way *c)
{
	return (struct dp_wire_conf){
	    .to_bad_ppm = c->to_bad,
	    .to_good_ppm = c->to_good,
	    .loss_good_ppm = c->loss,
	    .loss_bad_ppm = c->loss_bad,
	    .rate_bps = c->rate_kbps * UINT64_C(1000),
	    .queue_bytes = c->queue_bytes,
	    .burst_bytes = c->burst_bytes,
	    .delay_us = c->delay_us,
	    .jitter_us = c->jitter_us,
	    .reorder_ppm = c->reorder,
	    .reorder_us = c->reorder_us,
	    .duplicate_ppm = c->duplicate,
	};
}

int dp_impair_init(struct dp_worker *w)
{
	for (unsigned way = 0; way < DP_IMPAIR_WAYS; way++) {
		const struct dp_impair_way *c = &dp_impair_config.way[way];
		struct dp_wire_conf conf = conf_of(c);

		if (!any(c))
			continue;
		dp_node(w)->impair[way] = dp_line_new(
		    &conf, dp_impair_config.seed + w->index * DP_IMPAIR_WAYS + way, ROOM);
		if (!dp_node(w)->impair[way])
			return -ENOMEM;
	}
	return 0;
}

void dp_impair_free(struct dp_worker *w)
{
	for (unsigned way = 0; way < DP_IMPAIR_WAYS; way++) {
		struct dp_line *l = dp_node(w)->impair[way];
		struct rte_mbuf *m;

		while (l && (m = dp_line_take(l, UINT64_MAX)))
			rte_pktmbuf_free(m);
		dp_line_free(l);
		dp_node(w)->impair[way] = NULL;
	}
}
