/* What is due without a packet: consent that ran out, tracks that fell silent, key frames and
 * losses to ask publishers for, reports. The worker's endpoints are looked at in slices, all of
 * them within SCAN_NS, but of most no more than when they are due, as there may be tens of
 * thousands; tracks four times as often. What is due is put in two lists, from which rtcp_out makes
 * packets. */
#include "dataplane/node/link.h"
#include "dataplane/node/node.h"
#include "dataplane/node/report.h"

#define SCAN_NS   UINT64_C(20000000)
#define SLICE_NS  UINT64_C(1000000)
#define SILENT_NS UINT64_C(1000000000)
#define IDLE_NS   UINT64_C(100000000) // how late it may be seen that an endpoint was connected
enum { TRACK_SCANS = 4, VISITS = 32 };

bool dp_endpoint_has_video(uint32_t endpoint)
{
	const struct dp_fanout *list = dp_endpoint_tracks(endpoint);

	for (uint32_t i = 0; list && i < list->n; i++)
		if (dp_slabs.track[list->sub[i]].set.kind == SH_KIND_VIDEO)
			return true;
	list = dp_endpoint_subs(endpoint);
	for (uint32_t i = 0; list && i < list->n; i++) {
		const struct sh_sub *s = &dp_slabs.sub[list->sub[i]];

		if (dp_slabs.track[SH_ID_INDEX(s->set.track)].set.kind == SH_KIND_VIDEO)
			return true;
	}
	return false;
}

/* Returns when to look again. */
static uint64_t visit_endpoint(struct dp_worker *w, uint32_t index)
{
	struct dp_node *n = dp_node(w);
	struct sh_endpoint *e = &dp_slabs.endpoint[index];
	struct dp_ep_rt *r = dp_ep_rt(w, index);
	uint64_t consent_ns = dp_nodes_config.consent_s * UINT64_C(1000000000);

	if (!dp_live(&e->state))
		return w->now_ns + IDLE_NS;
	if (dp_ice_expired(e, w->now_ns, consent_ns))
		dp_notify(w, DP_NOTE_ICE, index);
	if (e->ice != SH_ICE_CONNECTED || !dp_session(index)) {
		r->report_at_ns = 0;
		return w->now_ns + IDLE_NS;
	}
	if (!r->report_at_ns) {
		dp_link_check(w, index);
		r->video = dp_endpoint_has_video(index);
		r->report_at_ns = dp_report_next(w->now_ns, r->video, true, (uint32_t)dp_random(w));
	} else if (w->now_ns >= r->report_at_ns) {
		if (n->n_due_report == DP_DUE)
			return w->now_ns;
		n->due_report[n->n_due_report++] = index;
		dp_link_check(w, index);
		r->report_at_ns =
		    dp_report_next(w->now_ns, r->video, false, (uint32_t)dp_random(w));
	}
	return RTE_MIN(r->report_at_ns, e->consent_at_ns + consent_ns + 1000000);
}

static void visit_endpoints(struct dp_worker *w, const uint32_t *index, unsigned many)
{
	struct dp_node *n = dp_node(w);

	for (unsigned i = 0; i < many; i++) {
		rte_prefetch0(&dp_slabs.endpoint[index[i]]);
		rte_prefetch0(&dp_slabs.endpoint[index[i]].ice);
		rte_prefetch0(&n->ep[index[i]]);
		rte_prefetch0(&dp_peers[index[i]]);
	}
	for (unsigned i = 0; i < many; i++)
		n->due_ms[index[i]] =
		    (uint32_t)(visit_endpoint(w, index[i]) / 1000000) | 1; // 0: at once
}

static void scan_endpoints(struct dp_worker *w, uint64_t elapsed)
{
	struct dp_node *n = dp_node(w);
	const struct dp_fanout *list = dp_worker_endpoints(w->index);
	uint32_t now_ms = (uint32_t)(w->now_ns / 1000000), due[VISITS];
	unsigned many = 0;
	uint64_t quota;

	if (!list || !list->n)
		return;
	quota = dp_scan_quota(list->n, elapsed, SCAN_NS);
	for (uint64_t i = 0; i < quota; i++) {
		uint32_t index, at;

		if (n->scan_endpoint >= list->n)
			n->scan_endpoint = 0;
		index = list->sub[n->scan_endpoint++];
		at = n->due_ms[index];
		if (at && (int32_t)(now_ms - at) < 0)
			continue;
		if (n->n_due_report + many == DP_DUE) { // the rest next time
			n->scan_endpoint--;
			break;
		}
		due[many++] = index;
		if (many == VISITS) {
			visit_endpoints(w, due, many);
			many = 0;
		}
	}
	visit_endpoints(w, due, many);
}

/* true: something is to be asked of the publisher. */
static bool visit_layer(struct dp_worker *w, struct sh_track *t, struct dp_track_rt *r, unsigned l)
{
	struct dp_nack *k = r->nack[l] ? &dp_node(w)->nack[r->nack[l] - 1] : NULL;
	const struct sh_rx_stream *s = &t->media[l];

	if ((r->alive & 1u << l) && w->now_ns - s->last_at_ns > SILENT_NS) {
		r->alive &= (uint8_t) ~(1u << l);
		dp_notify(w, DP_NOTE_TRACK, (uint32_t)(t - dp_slabs.track));
	}
	if (!(r->alive & 1u << l))
		return false;
	if (k && k->given_up) {
		k->given_up = 0;
		if (t->set.kind == SH_KIND_VIDEO)
			r->want_key |= (uint8_t)(1u << l);
	}
	if (k && k->count)
		return true;
	return (r->want_key & 1u << l) &&
	       (!s->pli_at_ns || w->now_ns - s->pli_at_ns >= dp_pli_interval_ns(dp_node(w), r, l));
}

static void visit_track(struct dp_worker *w, uint32_t index)
{
	struct dp_node *n = dp_node(w);
	struct sh_track *t = &dp_slabs.track[index];
	struct dp_track_rt *r = dp_track_rt(w, index);
	bool due = false;

	if (!dp_live(&t->state) || !r->active_pos)
		return;
	r->want_key |= (uint8_t)dp_keyframe_take(index);
	for (unsigned l = 0; l < SH_MAX_LAYERS; l++)
		due |= visit_layer(w, t, r, l);
	if (due && n->n_due_feedback < DP_DUE)
		n->due_feedback[n->n_due_feedback++] = index;
}

static void scan_tracks(struct dp_worker *w, uint64_t elapsed)
{
	struct dp_node *n = dp_node(w);
	uint64_t quota = dp_scan_quota(n->n_active, elapsed, SCAN_NS / TRACK_SCANS);

	for (uint64_t i = 0; i < quota && n->n_active; i++) {
		if (n->scan_track >= n->n_active)
			n->scan_track = 0;
		visit_track(w, n->active[n->scan_track++]);
	}
}

static uint16_t timers(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct dp_worker *w = dp_self;
	struct dp_node *n = dp_node(w);
	uint64_t elapsed = w->now_ns - n->scan_at_ns;

	if (elapsed < SLICE_NS)
		return 0;
	n->scan_at_ns = w->now_ns;
	scan_endpoints(w, elapsed);
	scan_tracks(w, elapsed);
	dp_hear_scan(w, elapsed);
	dp_links_scan(w, elapsed);
	dp_history_expire(w);
	if (n->n_due_report || n->n_due_feedback || n->n_due_twcc) // a token: the lists say what
		rte_node_enqueue_x1(graph, node, TIMERS_RTCP_OUT, n);
	return (uint16_t)(n->n_due_report + n->n_due_feedback + n->n_due_twcc);
}

static struct rte_node_register timers_node = {
    .name = "dp_timers",
    .process = timers,
    .flags = RTE_NODE_SOURCE_F,
    .nb_edges = TIMERS_EDGES,
    .next_nodes = {[TIMERS_RTCP_OUT] = "dp_rtcp_out"},
};
RTE_NODE_REGISTER(timers_node);
