/* Life of a link, and its clockwork. Feedback moves the estimate at once; what follows from it
 * (layers, pacing rate, the numbers in the slab) is done when the timers come by, within TICK_NS.
 */
#include "dataplane/node/link.h"
#include <string.h>

#define TICK_NS  UINT64_C(10000000)
#define ALLOC_NS UINT64_C(150000000) // unless the estimate moved

enum {
	SRTP_TAG = 16, // of GCM; the others are shorter
	REPEAT_BURST_MS = 500,
	REPEAT_BURST_BYTES = 30000, // at least, for a few lost packets on a slow link
};

static bool wants_link(const struct sh_endpoint *e, uint32_t endpoint)
{
	const struct dp_fanout *subs;

	if (!(e->set.flags & SH_EP_REMB) &&
	    !((e->set.flags & SH_EP_TWCC) && e->set.ext_id[SH_EXT_TWCC]))
		return false;
	subs = dp_endpoint_subs(endpoint);
	return subs && subs->n;
}

/* bps: what it bears, as the process before this one knew; 0: nobody knows. */
static void link_make(struct dp_worker *w, uint32_t endpoint, uint32_t bps)
{
	const struct dp_nodes_config *c = &dp_nodes_config;
	struct dp_node *n = dp_node(w);
	struct sh_endpoint *e = &dp_slabs.endpoint[endpoint];
	struct dp_link *l = &n->link[endpoint];
	struct dp_bwe_conf conf = {
	    .start_bps = c->bwe_start_kbps * 1000,
	    .min_bps = c->bwe_min_kbps * 1000,
	    .max_bps = c->bwe_max_kbps * 1000,
	};

	if (bps)
		conf.start_bps = RTE_MAX(bps, conf.min_bps);
	conf.start_bps = RTE_MIN(conf.start_bps, conf.max_bps);
	memset(l, 0, sizeof(*l));
	l->id = e->set.id;
	l->endpoint = endpoint;
	(void)dp_bwe_init(&l->bwe, &conf, n->sent + (size_t)endpoint * DP_LINK_SENT, DP_LINK_SENT,
	                  w->now_ns);
	n->links[n->n_links++] = endpoint;
	l->pos = n->n_links;
	e->linked = e->set.id;
}

/* What may change while it lives. */
static void link_refresh(struct dp_worker *w, uint32_t endpoint)
{
	struct sh_endpoint *e = &dp_slabs.endpoint[endpoint];
	struct dp_link *l = &dp_node(w)->link[endpoint];
	bool twcc = (e->set.flags & SH_EP_TWCC) && e->set.ext_id[SH_EXT_TWCC];

	l->overhead = (uint16_t)((e->remote.family == 6 ? 48 : 28) + SRTP_TAG);
	l->pacing = !!dp_nodes_config.pacing;
	dp_bwe_expect(&l->bwe, twcc, w->now_ns);
}

void dp_link_check(struct dp_worker *w, uint32_t endpoint)
{
	struct sh_endpoint *e = &dp_slabs.endpoint[endpoint];
	struct dp_link *l = dp_link_of(w, endpoint);
	uint32_t known = e->linked == e->set.id ? e->bwe.estimate_bps : 0;

	if (!wants_link(e, endpoint)) {
		if (l || e->linked)
			dp_link_drop(w, endpoint);
		return;
	}
	if (!l) {
		dp_link_drop(w, endpoint); // another endpoint's, or another process's
		link_make(w, endpoint, known);
	}
	link_refresh(w, endpoint);
}

void dp_link_drop(struct dp_worker *w, uint32_t endpoint)
{
	struct dp_node *n = dp_node(w);
	struct dp_link *l = &n->link[endpoint];
	struct sh_endpoint *e = &dp_slabs.endpoint[endpoint];

	if (e->linked) {
		e->linked = 0;
		memset(&e->bwe, 0, sizeof(e->bwe));
		dp_link_release_subs(w, endpoint);
	}
	if (!l->id)
		return;
	dp_pace_empty(w, l);
	if (l->big)
		dp_pool_give(&n->sents_big, l->big - 1);
	if (l->pos) {
		uint32_t last = n->links[--n->n_links];

		n->links[l->pos - 1] = last;
		n->link[last].pos = l->pos;
	}
	memset(l, 0, sizeof(*l));
}

/* ---- feedback ---- */

void dp_link_pace(struct dp_worker *w, struct dp_link *l)
{
	dp_pacer_rate(&l->pacer, l->pacing ? dp_bwe_pace_bps(&l->bwe, w->now_ns) : 0,
	              l->queued_bytes, w->now_ns);
}

/* Packets were forgotten before anything was heard of them: a long or a fast way. */
static void remember_more(struct dp_worker *w, struct dp_link *l)
{
	struct dp_node *n = dp_node(w);
	uint32_t i;

	if (l->big || l->bwe.tx.pushed == l->pushed)
		return;
	l->pushed = l->bwe.tx.pushed;
	i = dp_pool_take(&n->sents_big);
	if (i == DP_NO_ENTRY)
		return;
	if (dp_twcc_tx_move(&l->bwe.tx, n->sent_big + (size_t)i * DP_LINK_SENT_BIG,
	                    DP_LINK_SENT_BIG))
		dp_pool_give(&n->sents_big, i);
	else
		l->big = i + 1;
}

void dp_link_feedback(struct dp_worker *w, uint32_t endpoint, const struct dp_rtcp_fb *fb)
{
	struct dp_link *l = dp_link_of(w, endpoint);
	struct dp_rtcp_twcc t;

	if (!l || !(dp_slabs.endpoint[endpoint].set.flags & SH_EP_TWCC))
		return;
	if (dp_rtcp_twcc(&t, fb)) {
		DP_COUNT(w, twcc_malformed, 1);
		return;
	}
	DP_COUNT(w, twcc_in, 1);
	dp_bwe_feedback(&l->bwe, &t, w->now_ns);
	remember_more(w, l);
	dp_link_pace(w, l);
}

void dp_link_remb(struct dp_worker *w, uint32_t endpoint, const struct dp_rtcp_fb *fb)
{
	struct dp_link *l = dp_link_of(w, endpoint);
	struct dp_rtcp_remb r;

	if (!l || dp_rtcp_remb(&r, fb))
		return;
	DP_COUNT(w, remb_in, 1);
	dp_bwe_remb(&l->bwe, r.bps, w->now_ns);
	dp_link_pace(w, l);
}

void dp_link_report(struct dp_worker *w, uint32_t endpoint, uint8_t fraction, uint32_t rtt_us)
{
	struct dp_link *l = dp_link_of(w, endpoint);

	if (l)
		dp_bwe_report(&l->bwe, fraction, rtt_us, w->now_ns);
}

bool dp_link_may_repeat(struct dp_worker *w, struct dp_link *l, uint32_t bytes)
{
	uint64_t rate = l->bwe.estimate_bps / 16, ns = w->now_ns - l->rtx_at_ns; // bytes a second
	int64_t burst = (int64_t)(rate * REPEAT_BURST_MS / 1000);

	if (!l->bwe.estimate_bps)
		return true;
	burst = RTE_MAX(burst, (int64_t)REPEAT_BURST_BYTES);
	if (!l->rtx_at_ns || ns > UINT64_C(10000000000))
		l->rtx_credit = burst;
	else
		l->rtx_credit =
		    RTE_MIN(burst, l->rtx_credit + (int64_t)(rate * (ns / 1000) / 1000000));
	l->rtx_at_ns = w->now_ns;
	if (l->rtx_credit < (int64_t)bytes)
		return false;
	l->rtx_credit -= bytes;
	return true;
}

/* ---- clockwork ---- */

static void publish(const struct dp_link *l)
{
	struct sh_bwe *out = &dp_slabs.endpoint[l->endpoint].bwe;
	const struct dp_bwe *b = &l->bwe;

	out->estimate_bps = b->estimate_bps;
	out->remb_bps = b->remb_bps;
	out->allocated_bps = l->alloc.allocated_bps;
	out->wanted_bps = l->alloc.wanted_bps;
	out->rtt_us = b->rtt_us;
	out->queue_us = l->pacer.rate_bps
	                    ? (uint32_t)(l->queued_bytes * UINT64_C(8000000) / l->pacer.rate_bps)
	                    : 0;
	out->loss = b->loss;
	out->overuse = b->usage;
	out->feedbacks = b->feedbacks;
	out->probes = b->probes;
	out->padding_bytes = l->padding_bytes;
	out->overuses = b->overuses;
}

static void visit(struct dp_worker *w, struct dp_link *l)
{
	struct dp_bwe *b = &l->bwe;
	uint64_t probes = b->probes;

	dp_bwe_tick(b, w->now_ns);
	if (b->changed || w->now_ns - l->alloc_at_ns >= ALLOC_NS) {
		b->changed = 0;
		l->alloc_at_ns = w->now_ns;
		dp_link_allocate(w, l, b->estimate_bps);
		dp_bwe_needs(b, l->alloc.allocated_bps, l->alloc.wanted_bps);
		dp_link_pace(w, l);
		publish(l);
	}
	if (dp_nodes_config.probing && dp_bwe_probe_at(b, w->now_ns) <= w->now_ns)
		dp_pace_busy(w, l);
	DP_COUNT(w, probes, b->probes - probes);
}

void dp_links_scan(struct dp_worker *w, uint64_t elapsed)
{
	struct dp_node *n = dp_node(w);
	uint64_t quota = dp_scan_quota(n->n_links, elapsed, TICK_NS);

	for (uint64_t i = 0; i < quota && n->n_links; i++) {
		uint32_t endpoint;

		if (n->scan_link >= n->n_links)
			n->scan_link = 0;
		endpoint = n->links[n->scan_link++];
		if (!dp_link_of(w, endpoint))
			dp_link_drop(w, endpoint); // its endpoint went away
		else if (dp_slabs.endpoint[endpoint].ice == SH_ICE_CONNECTED)
			visit(w, &n->link[endpoint]);
	}
}
