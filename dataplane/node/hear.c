/* What publishers with transport-wide numbers are told: when their packets arrived. Theirs is the
 * estimator; here arrivals are remembered (dataplane/bwe/twcc.h) and timers sees when feedback is
 * due. */
#include "dataplane/bwe/twcc.h"
#include "dataplane/node/node.h"
#include <string.h>

#define SCAN_NS UINT64_C(10000000)
enum { OVERHEAD = 28 + 16 }; // IPv4, UDP and a tag; only how often feedback goes depends on it

void dp_hear(struct dp_worker *w, uint32_t endpoint, uint16_t seq, uint32_t ssrc, uint32_t bytes)
{
	struct dp_node *n = dp_node(w);
	struct dp_ep_rt *r = dp_ep_rt(w, endpoint);
	struct dp_twcc_rx *rx = &n->heard[endpoint];

	if (unlikely(!r->hear_pos)) {
		memset(rx, 0, sizeof(*rx));
		n->hearing[n->n_hearing++] = endpoint;
		r->hear_pos = n->n_hearing;
	}
	dp_twcc_rx(rx, seq, ssrc, bytes + OVERHEAD, w->now_ns);
}

void dp_hear_stop(struct dp_worker *w, uint32_t endpoint)
{
	struct dp_node *n = dp_node(w);
	struct dp_ep_rt *r = &n->ep[endpoint];
	uint32_t last;

	if (!r->hear_pos)
		return;
	last = n->hearing[--n->n_hearing];
	n->hearing[r->hear_pos - 1] = last;
	n->ep[last].hear_pos = r->hear_pos;
	r->hear_pos = 0;
}

static bool still_heard(const struct dp_worker *w, uint32_t endpoint)
{
	const struct sh_endpoint *e = &dp_slabs.endpoint[endpoint];

	return dp_live(&e->state) && dp_node(w)->ep[endpoint].id == e->set.id &&
	       (e->set.flags & SH_EP_TWCC);
}

void dp_hear_scan(struct dp_worker *w, uint64_t elapsed)
{
	struct dp_node *n = dp_node(w);
	uint64_t quota = dp_scan_quota(n->n_hearing, elapsed, SCAN_NS);

	for (uint64_t i = 0; i < quota && n->n_hearing; i++) {
		uint32_t endpoint;

		if (n->scan_hearing >= n->n_hearing)
			n->scan_hearing = 0;
		endpoint = n->hearing[n->scan_hearing];
		if (!still_heard(w, endpoint)) {
			dp_hear_stop(w, endpoint);
			continue;
		}
		if (n->n_due_twcc == DP_DUE) // the rest next time
			return;
		n->scan_hearing++;
		if (dp_twcc_rx_due(&n->heard[endpoint], w->now_ns))
			n->due_twcc[n->n_due_twcc++] = endpoint;
	}
}
