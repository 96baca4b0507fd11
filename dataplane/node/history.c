/* Plaintext kept for retransmission. Each stream with NACK has a ring of slots by sequence number
 * (struct dp_hist); the packets of all of them stand in one queue by age, `kept`, whose length
 * bounds what histories take from the packet pool. A packet leaves when it is too old, when its
 * slot is needed or when the queue is full. */
#include "dataplane/node/node.h"

enum { KEPT_AHEAD = 8 };

static uint32_t slots_of(unsigned kind)
{
	return kind == SH_KIND_VIDEO ? dp_nodes_config.history_video
	                             : dp_nodes_config.history_audio;
}

static void release(struct dp_node *n, uint32_t handle)
{
	struct dp_kept *k = &n->kept[handle];

	if (!k->m)
		return;
	rte_pktmbuf_free(k->m);
	k->m = NULL;
	n->history[k->hist].held--;
}

/* Those that will be popped a few packets from now, in two steps: nobody has looked at them for a
 * second. */
static inline void fetch_oldest(const struct dp_node *n)
{
	const struct dp_kept *far = &n->kept[(n->kept_tail + 2 * KEPT_AHEAD) & (n->kept_size - 1)];
	const struct dp_kept *k = &n->kept[(n->kept_tail + KEPT_AHEAD) & (n->kept_size - 1)];

	if (far->m)
		rte_prefetch0(&n->history[far->hist]);
	if (k->m) {
		const struct dp_hist *h = &n->history[k->hist].h;

		rte_prefetch0(k->m);
		rte_prefetch0((const char *)k->m + RTE_CACHE_LINE_SIZE);
		rte_prefetch0(&h->slot[k->ext_seq & h->mask]);
	}
}

/* The oldest in the queue; its slot is emptied when it still is the slot's. */
static void pop(struct dp_node *n)
{
	uint32_t handle = n->kept_tail++ & (n->kept_size - 1);
	struct dp_kept *k = &n->kept[handle];

	fetch_oldest(n);
	if (!k->m)
		return;
	struct dp_hist_slot *s =
	    &n->history[k->hist].h.slot[k->ext_seq & n->history[k->hist].h.mask];

	if (s->handle == handle)
		s->handle = DP_HIST_NONE;
	release(n, handle);
}

static void empty(struct dp_node *n, struct dp_history *y)
{
	for (uint32_t i = 0; y->held && i <= y->h.mask; i++) {
		uint32_t handle = dp_hist_take(&y->h, i);

		if (handle != DP_HIST_NONE)
			release(n, handle);
	}
	y->h.any = false;
}

void dp_history_forget(struct dp_worker *w, uint32_t slot)
{
	struct dp_node *n = dp_node(w);
	struct dp_history *y = &n->history[slot];

	empty(n, y);
	y->used = 0;
	dp_pool_give(&n->histories, slot);
}

static struct dp_history *open_history(struct dp_worker *w, struct dp_track_rt *r,
                                       const struct dp_pkt *p)
{
	struct dp_node *n = dp_node(w);
	const struct sh_track *t = &dp_slabs.track[p->track];
	uint32_t slots = slots_of(t->set.kind), i;
	struct dp_history *y;

	if (!slots)
		return NULL;
	i = dp_pool_take(&n->histories);
	if (i == DP_NO_ENTRY)
		return NULL;
	y = &n->history[i];
	*y = (struct dp_history){.track = t->set.id, .ssrc = p->ssrc, .layer = p->layer, .used = 1};
	dp_hist_init(&y->h, n->history_slots + (size_t)i * dp_history_stride(), slots);
	r->hist[p->layer] = i + 1;
	return y;
}

void dp_history_put(struct dp_worker *w, struct rte_mbuf *m)
{
	struct dp_node *n = dp_node(w);
	const struct dp_pkt *p = dp_pkt(m);
	struct dp_track_rt *r = dp_track_rt(w, p->track);
	struct dp_history *y;
	uint32_t handle, old;

	if (r->hist[p->layer])
		y = &n->history[r->hist[p->layer] - 1];
	else if (!(y = open_history(w, r, p)))
		return;
	// another stream, or the same with new keys, whose index began anew
	if (unlikely(y->ssrc != p->ssrc ||
	             (y->h.any && (int32_t)((uint32_t)p->index - y->h.newest) < -DP_SEQMAP_JUMP))) {
		empty(n, y);
		y->ssrc = p->ssrc;
	}
	if (n->kept_head - n->kept_tail == n->kept_size)
		pop(n);
	handle = n->kept_head & (n->kept_size - 1);
	old = dp_hist_put(&y->h, (uint32_t)p->index, handle);
	if (old == handle) // too old to be kept
		return;
	n->kept_head++;
	rte_pktmbuf_refcnt_update(m, 1);
	n->kept[handle] = (struct dp_kept){
	    .m = m,
	    .at_ns = w->now_ns,
	    .hist = (uint32_t)(y - n->history),
	    .ext_seq = (uint32_t)p->index,
	};
	y->held++;
	if (old != DP_HIST_NONE)
		release(n, old);
}

struct rte_mbuf *dp_history_get(struct dp_worker *w, uint32_t track, uint8_t layer, uint32_t ssrc,
                                uint64_t index)
{
	struct dp_node *n = dp_node(w);
	const struct dp_track_rt *r = dp_track_rt(w, track);
	const struct dp_history *y;
	uint32_t handle;

	if (layer >= SH_MAX_LAYERS || !r->hist[layer])
		return NULL;
	y = &n->history[r->hist[layer] - 1];
	if (!y->h.any || y->ssrc != ssrc)
		return NULL;
	handle = dp_hist_get(&y->h, (uint16_t)index);
	if (handle == DP_HIST_NONE || n->kept[handle].ext_seq != (uint32_t)index)
		return NULL;
	return n->kept[handle].m;
}

/* One history a call is looked at: one that holds nothing any more belongs to a track that went
 * silent or away. */
static void sweep_one(struct dp_worker *w)
{
	struct dp_node *n = dp_node(w);
	uint32_t i = n->history_sweep++ % dp_nodes_config.histories;
	struct dp_history *y = &n->history[i];
	struct dp_track_rt *r;

	if (!y->used || y->held)
		return;
	r = &n->track[SH_ID_INDEX(y->track)];
	if (r->id == y->track && r->hist[y->layer] == i + 1)
		r->hist[y->layer] = 0;
	dp_history_forget(w, i);
}

void dp_history_expire(struct dp_worker *w)
{
	struct dp_node *n = dp_node(w);
	uint64_t age = (uint64_t)dp_nodes_config.history_ms * 1000000u;

	for (unsigned i = 0; i < DP_VECTOR && n->kept_head != n->kept_tail; i++) {
		const struct dp_kept *k = &n->kept[n->kept_tail & (n->kept_size - 1)];

		if (k->m && w->now_ns - k->at_ns < age)
			break;
		pop(n);
	}
	sweep_one(w);
}
