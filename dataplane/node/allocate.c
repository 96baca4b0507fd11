/* Which layers each subscription of an endpoint gets. The rules are dataplane/bwe/alloc.h's; here
 * it is told what there is, and its answer becomes want_layer and want_temporal, which fanout
 * follows at the next key frame or switching point. A subscription whose video is paused for want
 * of bandwidth has want_layer DP_LAYER_NONE. Audio is counted, and never touched. */
#include "dataplane/node/layer.h"
#include "dataplane/node/link.h"

#define SILENT_NS UINT64_C(1000000000)
#define SPEAKS_NS UINT64_C(2000000000) // whoever spoke so lately is the speaker

/* Its publisher speaks, by the audio that comes from the same endpoint. */
static bool speaks(const struct dp_worker *w, const struct sh_track *t)
{
	const struct dp_fanout *list = dp_endpoint_tracks(SH_ID_INDEX(t->set.endpoint));

	for (uint32_t i = 0; list && i < list->n; i++) {
		const struct sh_track *a = &dp_slabs.track[list->sub[i]];
		uint64_t at = __atomic_load_n(&a->spoke_at_ns, __ATOMIC_RELAXED);

		if (a->set.kind == SH_KIND_AUDIO && at &&
		    (int64_t)(w->now_ns - at) < (int64_t)SPEAKS_NS)
			return true;
	}
	return false;
}

static uint8_t active_layers(const struct dp_worker *w, const struct sh_track *t, bool svc)
{
	uint8_t mask = 0;

	for (unsigned l = 0; l < t->set.layers; l++) {
		uint64_t at = __atomic_load_n(&t->media[l].last_at_ns, __ATOMIC_RELAXED);

		if (at && (int64_t)(w->now_ns - at) < (int64_t)SILENT_NS)
			mask |= (uint8_t)(1u << l);
	}
	if (svc && mask)
		mask = (uint8_t)((1u << RTE_MIN(t->spatial, (uint8_t)SH_MAX_LAYERS)) - 1);
	return mask;
}

static void describe(const struct dp_worker *w, struct dp_alloc_sub *a, const struct sh_sub *s)
{
	// a slot stands for the track that is in it
	int source = dp_source_of(SH_ID_INDEX(s->set.track));
	const struct sh_track *t = source < 0 ? NULL : &dp_slabs.track[source];
	static const uint32_t nothing[SH_MAX_LAYERS][SH_MAX_TEMPORAL];

	*a = (struct dp_alloc_sub){
	    .kind = dp_slabs.track[SH_ID_INDEX(s->set.track)].set.kind,
	    .priority = s->set.priority,
	    .off = !t || (s->set.flags & SH_SUB_PAUSED) || !dp_live(&s->state),
	    .max_layer = s->set.max_layer,
	    .max_temporal = s->set.max_temporal,
	    // waiting for a key frame, as after packets that were too old, takes nothing from it
	    .layer = s->tx_index ? s->want_layer : DP_ALLOC_NONE,
	    .temporal = s->want_temporal,
	    .want_height = s->set.want_height,
	    .rate_bps = nothing,
	};
	if (!t)
		return;
	a->off |= !!(t->set.flags & SH_TRACK_MUTED);
	a->svc = t->set.layers == 1 && t->spatial > 1;
	a->active = active_layers(w, t, a->svc);
	a->temporals = t->temporal;
	a->speaker = a->kind == SH_KIND_VIDEO && speaks(w, t);
	a->rate_bps = t->rate_bps;
	a->key_bytes = t->key_bytes;
	for (unsigned l = 0; l < SH_MAX_LAYERS; l++)
		a->height[l] = t->height[l];
}

static void apply(struct sh_sub *s, const struct dp_alloc_sub *a)
{
	bool had_none = s->want_layer == DP_LAYER_NONE;

	if (a->kind != SH_KIND_VIDEO || a->off || !a->active)
		return; // nothing was decided: what comes first is sent as it comes
	s->ideal_layer = a->ideal_layer;
	s->want_temporal = a->want_temporal == DP_ALLOC_NONE ? 0 : a->want_temporal;
	s->want_layer = a->want_layer == DP_ALLOC_NONE ? DP_LAYER_NONE : a->want_layer;
	if (s->want_layer == DP_LAYER_NONE && !had_none)
		s->layer = DP_LAYER_NONE; // fanout asks for a key frame when it is wanted again
}

void dp_link_allocate(struct dp_worker *w, struct dp_link *l, uint32_t budget_bps)
{
	const struct dp_fanout *subs = dp_endpoint_subs(l->endpoint);
	struct dp_alloc_sub *a = dp_node(w)->alloc;
	uint32_t many = subs ? RTE_MIN(subs->n, (uint32_t)DP_LINK_ALLOC) : 0;

	for (uint32_t i = 0; i < many; i++)
		describe(w, &a[i], &dp_slabs.sub[subs->sub[i]]);
	l->alloc.unproven = dp_bwe_unproven(&l->bwe, w->now_ns);
	l->alloc.dare = dp_bwe_may_dare(&l->bwe, dp_pace_may_probe(l), w->now_ns);
	dp_alloc_run(&l->alloc, a, many, budget_bps, l->bwe.loss, w->now_ns);
	if (l->alloc.dared)
		dp_bwe_dared(&l->bwe, w->now_ns);
	for (uint32_t i = 0; i < many; i++)
		apply(&dp_slabs.sub[subs->sub[i]], &a[i]);
}

void dp_link_release_subs(struct dp_worker *w, uint32_t endpoint)
{
	const struct dp_fanout *subs = dp_endpoint_subs(endpoint);

	for (uint32_t i = 0; subs && i < subs->n; i++) {
		struct sh_sub *s = &dp_slabs.sub[subs->sub[i]];

		s->want_layer = s->ideal_layer = SH_MAX_LAYERS - 1;
		s->want_temporal = SH_MAX_TEMPORAL - 1;
	}
}
