/* One plaintext, many subscribers. Workers with subscribers of the track get a reference each;
 * those of this worker get a packet each, whose payload stays where it is until srtp_out encrypts
 * it into the packet.
 *
 * A vector of plaintexts can mean tens of thousands of packets, so they are made a chunk at a time:
 * fanout keeps a queue of plaintexts, makes CHUNK packets, and sends itself a token by way of
 * fanout_more, behind which rewrite, srtp_out and tx get their turn while the packets are still in
 * the cache. The queue is empty at the end of every walk. */
#include "dataplane/node/layer.h"
#include "dataplane/node/link.h"
#include "dataplane/node/node.h"

/* Enough for the multi-buffer crypto, few enough to stay near the first cache level. */
enum { CHUNK = 32 };

/* Returns all workers that have subscribers. */
static uint32_t to_other_workers(struct dp_worker *w, struct rte_mbuf *m, sh_id slot)
{
	uint32_t all = dp_fanout_workers(dp_pkt(m)->track), workers;

	if (slot)
		all |= dp_fanout_workers(SH_ID_INDEX(slot));
	workers = all & ~(1u << w->index);
	for (; workers; workers &= workers - 1) {
		struct dp_worker *o = dp_workers[rte_bsf32(workers)];

		if (!o)
			continue;
		rte_pktmbuf_refcnt_update(m, 1);
		if (rte_ring_enqueue(o->fanin, m)) {
			rte_pktmbuf_refcnt_update(m, -1); // ours is still held
			w->stat[SH_STAT_drop_fanout_full]++;
		}
	}
	return all;
}

/* Queues a packet for a list, with a reference of its own; NULL: no room. */
static struct dp_pending *queue(struct dp_worker *w, struct rte_mbuf *m, const struct sh_track *t,
                                const struct dp_fanout *list)
{
	struct dp_node *n = dp_node(w);
	struct dp_pending *q = &n->pending[n->pending_head % DP_PENDING];

	if (n->pending_head - n->pending_tail == DP_PENDING) {
		w->stat[SH_STAT_drop_fanout_full]++;
		return NULL;
	}
	n->pending_head++;
	rte_pktmbuf_refcnt_update(m, 1);
	*q = (struct dp_pending){
	    .m = m,
	    .list = list,
	    .layers = t->set.layers,
	    .video = t->set.kind == SH_KIND_VIDEO,
	    .plain = t->set.layers == 1 && !(dp_pkt(m)->frame & DP_FRAME_LAYERED),
	    .pt_slot = dp_pkt(m)->pt_slot,
	    .red_slot = dp_red_slot_in(t, t, dp_pkt(m)),
	};
	return q;
}

/* For the subscribers of the slot that the track is in. */
static void take_in_slot(struct dp_worker *w, struct rte_mbuf *m, const struct sh_track *t,
                         sh_id slot, bool twin)
{
	const struct sh_track *to = &dp_slabs.track[SH_ID_INDEX(slot)];
	const struct dp_fanout *list = dp_fanout(SH_ID_INDEX(slot), w->index);
	struct dp_pending *q = list && list->n ? queue(w, m, t, list) : NULL;

	if (!q)
		return;
	q->slot = true;
	q->twin = twin;
	q->source = t->set.id;
	q->turn = dp_slot_turn(SH_ID_INDEX(slot));
	q->owner = dp_slabs.endpoint[SH_ID_INDEX(t->set.endpoint)].set.owner;
	q->pt_slot = dp_pt_slot_in(to, t, q->pt_slot);
	q->red_slot = dp_red_slot_in(to, t, dp_pkt(m));
	if (unlikely(q->pt_slot == 255))
		q->pt_slot = q->red_slot;
}

static void take_in(struct dp_worker *w, struct rte_mbuf *m)
{
	uint32_t track = dp_pkt(m)->track;
	const struct sh_track *t = &dp_slabs.track[track];
	const struct dp_fanout *list = dp_fanout(track, w->index);
	sh_id slot = atomic_load_explicit(&t->follower, memory_order_acquire);
	bool ours = dp_slabs.endpoint[SH_ID_INDEX(t->set.endpoint)].set.worker == w->index, twin;

	if (ours && !to_other_workers(w, m, slot))
		w->stat[SH_STAT_drop_no_subscribers]++;
	twin = list && list->n && queue(w, m, t, list);
	if (unlikely(slot))
		take_in_slot(w, m, t, slot, twin);
	rte_pktmbuf_free(m);
}

/* The highest quality it may be sent: no more than it wants, is allowed and can show. */
static uint8_t limit_of(const struct sh_sub *s, const struct sh_track *t)
{
	uint8_t limit = RTE_MIN(s->want_layer, s->set.max_layer);

	if (s->set.want_height)
		for (uint8_t l = 0; l < limit; l++)
			if (__atomic_load_n(&t->height[l], __ATOMIC_RELAXED) >= s->set.want_height)
				return l;
	return limit;
}

/* It is older than what was looked at for this subscriber. */
static bool seen(const struct dp_sub_rt *r, const struct dp_pkt *p)
{
	return r->head_ssrc == p->ssrc && r->head - p->index < DP_SEQMAP_JUMP;
}

/* Whether this subscriber gets the packet, when it is not plain, or rewrite has to know that it
 * does not; counted when not. */
static bool choose(struct dp_worker *w, struct dp_pending *q, const struct dp_pkt *p, uint32_t sub,
                   uint8_t pt_slot, uint8_t *flags)
{
	struct sh_sub *s = &dp_slabs.sub[sub];
	struct dp_sub_rt *r = dp_sub_rt(w, sub); // makes a new one ready, its layer too
	const struct dp_frame_info *f = &dp_scratch(q->m)->f;
	struct dp_layer_at at;
	enum dp_layer_verdict v;
	uint8_t ask;

	if ((s->set.flags & SH_SUB_PAUSED) || !dp_live(&s->state) ||
	    (q->video && s->want_layer == DP_LAYER_NONE)) {
		s->layer = DP_LAYER_NONE;
		w->stat[SH_STAT_drop_sub_paused]++;
		return false;
	}
	if (!dp_connected(SH_ID_INDEX(s->set.endpoint))) {
		s->layer = DP_LAYER_NONE; // its decoder starts, or starts again, with a key frame
		w->stat[SH_STAT_drop_sub_not_connected]++;
		return false;
	}
	at = (struct dp_layer_at){s->layer, s->temporal, r->intact};
	v = dp_layer_choose(&at,
	                    &(struct dp_layer_in){
	                        .layers = q->layers,
	                        .active = f->streams,
	                        .limit = limit_of(s, &dp_slabs.track[p->track]),
	                        .limit_temporal = RTE_MIN(s->want_temporal, s->set.max_temporal),
	                        .layer = p->layer,
	                        .late = seen(r, p),
	                        .f = f,
	                    },
	                    &ask);
	q->ask |= ask;
	if (v == DP_LAYER_SKIP)
		return false;
	if (v == DP_LAYER_WAIT) {
		w->stat[SH_STAT_drop_sub_paused]++;
		return false;
	}
	// within a segment rewrite drops it, which knows what that means for the numbers
	if (s->set.pt[pt_slot] == 255 && v == DP_LAYER_SWITCH) {
		s->layer = DP_LAYER_NONE;
		w->stat[SH_STAT_drop_sub_pt]++;
		return false;
	}
	s->layer = at.layer;
	s->temporal = at.temporal;
	r->intact = at.intact;
	if (!q->plain) {
		r->layered = true;
		if (v == DP_LAYER_SWITCH || r->head_ssrc != p->ssrc || !seen(r, p)) {
			r->head = p->index;
			r->head_ssrc = p->ssrc;
		}
	}
	*flags = v == DP_LAYER_SWITCH  ? DP_PKT_SWITCH
	         : v == DP_LAYER_LEAVE ? DP_PKT_LEAVE
	         : v == DP_LAYER_MARK  ? DP_PKT_MARKER
	                               : 0;
	return true;
}

/* ---- fetching ahead ----
 *
 * With tens of thousands of subscriptions none of what a packet needs is in a cache: subscription,
 * its template and map, its endpoint, that one's keys and path, each found through the one before.
 * So three stages run ahead of the packets being made, a chunk apart: while chunk k is made, the
 * memory answers for k+1, k+2 and k+3. It answers a few questions at a time only, so they are asked
 * a few at a time, by the nodes that follow (dp_fanout_fetch), which have other work in between. */

static inline void fetch_sub(struct dp_worker *w, uint32_t sub)
{
	const char *s = (const char *)&dp_slabs.sub[sub], *r = (const char *)&dp_node(w)->sub[sub];

	rte_prefetch0(s);
	rte_prefetch0(s + RTE_CACHE_LINE_SIZE);
	rte_prefetch0(r);
	rte_prefetch0(r + RTE_CACHE_LINE_SIZE);
}

static inline void fetch_peer(uint32_t sub)
{
	uint32_t endpoint = SH_ID_INDEX(dp_slabs.sub[sub].set.endpoint);

	rte_prefetch0(&dp_slabs.endpoint[endpoint].ice);
	rte_prefetch0(&dp_peers[endpoint]);
}

static inline void fetch_path(const struct dp_worker *w, uint32_t sub)
{
	uint32_t endpoint = SH_ID_INDEX(dp_slabs.sub[sub].set.endpoint);

	rte_prefetch0(dp_session(endpoint));
	rte_prefetch0(dp_path(endpoint));
	if (dp_slabs.endpoint[endpoint].linked)
		dp_link_prefetch(w, endpoint);
}

/* For the first stage: what comes next of its list, and the head of the one after it. */
static inline void fetch_list(const struct dp_node *n, const struct dp_cursor *c,
                              const struct dp_fanout *list)
{
	rte_prefetch0(&list->sub[c->at + CHUNK]);
	if (!c->at && c->turn + 1 != n->pending_head) {
		list = n->pending[(c->turn + 1) % DP_PENDING].list;
		rte_prefetch0(list);
		rte_prefetch0(list->sub + 16);
	}
}

/* The next few subscriptions of a cursor, all of one list; NULL: it stands where it shall. */
static inline const uint32_t *next_run(const struct dp_node *n, struct dp_cursor *c,
                                       unsigned chunks, bool ahead, int32_t *left, uint32_t *many)
{
	int32_t most = (int32_t)(n->chosen + chunks * CHUNK - c->passed);

	for (most = RTE_MIN(most, *left); most > 0 && c->turn != n->pending_head;
	     c->turn++, c->at = 0) {
		const struct dp_fanout *list = n->pending[c->turn % DP_PENDING].list;
		const uint32_t *run = list->sub + c->at;

		if (ahead)
			fetch_list(n, c, list);

		if (c->at == list->n)
			continue;
		*many = RTE_MIN(list->n - c->at, (uint32_t)most);
		c->at += *many;
		c->passed += *many;
		*left -= (int32_t)*many;
		return run;
	}
	return NULL;
}

void dp_fanout_fetch(struct dp_worker *w, int32_t most)
{
	struct dp_node *n = dp_node(w);
	const uint32_t *run;
	int32_t left;
	uint32_t many;

	for (left = most; (run = next_run(n, &n->fetch_sub, 3, true, &left, &many));)
		for (uint32_t i = 0; i < many; i++)
			fetch_sub(w, run[i]);
	for (left = most; (run = next_run(n, &n->fetch_peer, 2, false, &left, &many));)
		for (uint32_t i = 0; i < many; i++)
			fetch_peer(run[i]);
	for (left = most; (run = next_run(n, &n->fetch_path, 1, false, &left, &many));)
		for (uint32_t i = 0; i < many; i++)
			fetch_path(w, run[i]);
}

/* ---- packets ---- */

/* One layer, and nothing is in the way: what nearly every packet meets. */
static inline bool plain(const struct dp_node *n, const struct dp_pending *q, uint32_t sub,
                         const struct sh_sub *s, uint8_t pt_slot)
{
	return q->plain && s->layer == 0 && !(s->set.flags & SH_SUB_PAUSED) && dp_live(&s->state) &&
	       n->sub[sub].id == s->set.id && s->set.pt[pt_slot] != 255 &&
	       dp_connected(SH_ID_INDEX(s->set.endpoint));
}

/* Whether one that is not so plain gets the packet; and of RED that he did not take its primary
 * block alone, which is plain again. */
static bool look_closer(struct dp_worker *w, struct dp_pending *q, const struct dp_pkt *p,
                        uint32_t sub, uint8_t *pt_slot, uint8_t *flags)
{
	const struct sh_sub *s = &dp_slabs.sub[sub];

	if (q->red_slot != 255 && s->set.pt[*pt_slot] == 255) {
		*pt_slot = q->red_slot;
		if (plain(dp_node(w), q, sub, s, *pt_slot))
			return true;
	}
	return choose(w, q, p, sub, *pt_slot, flags);
}

/* Whether a subscriber of a slot is to be sent what is in it: not what is his own, and of another
 * source than before it begins as of another layer, with a key frame. */
static bool follows(struct dp_worker *w, const struct dp_pending *q, const struct dp_pkt *p,
                    uint32_t sub)
{
	struct dp_sub_rt *r = dp_sub_rt(w, sub);
	struct sh_sub *s = &dp_slabs.sub[sub];

	if (q->owner && r->owner == q->owner) {
		w->stat[SH_STAT_drop_own]++;
		return false;
	}
	if (r->source != q->source || r->turn != q->turn) {
		r->source = q->source;
		r->turn = q->turn;
		s->layer = DP_LAYER_NONE;
	}
	if (unlikely(q->pt_slot == 255)) { // nothing that the slot has a payload type for
		dp_seqmap_skip(&r->map, s, p->index, p->ssrc, p->layer);
		w->stat[SH_STAT_drop_sub_pt]++;
		return false;
	}
	return true;
}

/* One packet that is in both lists is kept once. */
static void keep(struct dp_worker *w, struct dp_pending *q)
{
	struct dp_node *n = dp_node(w);
	const struct dp_pending *before =
	    &n->pending[((uint32_t)(q - n->pending) - 1) % DP_PENDING];

	q->kept = true;
	if (!(q->twin && before->m == q->m && before->kept))
		dp_history_put(w, q->m);
}

/* What is known of the plaintext after this one: it came in with the whole burst, thousands of
 * packets ago. */
static inline void fetch_plain(const struct dp_node *n, const struct dp_pending *q)
{
	const struct dp_pending *next = &n->pending[(n->pending_tail + 1) % DP_PENDING];

	if (q->at || n->pending_tail + 1 == n->pending_head)
		return;
	rte_prefetch0(dp_pkt(next->m));
	rte_prefetch0(dp_scratch(next->m));
	rte_prefetch0(rte_pktmbuf_mtod(next->m, void *));
}

/* Packets to the subscribers of one plaintext, into m[have..], as far as there is room. Returns how
 * many m[] holds. */
static unsigned fill(struct dp_worker *w, struct dp_pending *q, struct rte_mbuf **m, unsigned have,
                     unsigned room)
{
	struct dp_node *n = dp_node(w);
	const struct dp_pkt *p = dp_pkt(q->m);
	const struct dp_fanout *list = q->list;
	unsigned before = have;
	uint32_t from = q->at;

	fetch_plain(n, q);
	for (; q->at < list->n && have < room; q->at++) {
		uint32_t sub = list->sub[q->at];
		const struct sh_sub *s = &dp_slabs.sub[sub];
		struct dp_pkt *out = dp_pkt(m[have]);
		uint8_t flags = 0, pt_slot = q->pt_slot;

		if (q->slot && !follows(w, q, p, sub))
			continue;
		if (unlikely(!plain(n, q, sub, s, pt_slot)) &&
		    !look_closer(w, q, p, sub, &pt_slot, &flags))
			continue;
		if (!q->kept && (s->set.flags & SH_SUB_NACK))
			keep(w, q);
		if (unlikely(dp_slabs.endpoint[SH_ID_INDEX(s->set.endpoint)].linked) &&
		    dp_pace_hold(w, q->m, sub, flags, pt_slot, q->video))
			continue;
		out->endpoint = SH_ID_INDEX(s->set.endpoint);
		out->sub = sub;
		out->flags = flags;
		out->layer = DP_SENT(s->layer, s->temporal);
		out->pt_slot = pt_slot;
		out->src = q->m;
		have++;
	}
	n->chosen += q->at - from;
	if (have != before)
		rte_pktmbuf_refcnt_update(q->m, (int16_t)(have - before));
	return have;
}

static void finish(struct dp_worker *w, struct dp_pending *q)
{
	uint32_t track = dp_pkt(q->m)->track;

	for (unsigned l = 0; q->ask; l++, q->ask >>= 1)
		if (q->ask & 1)
			dp_keyframe_request(track, l);
	rte_pktmbuf_free(q->m);
}

/* Of subscribers that wait, up to a chunk. */
static unsigned waiting(const struct dp_node *n)
{
	unsigned sum = 0;

	for (uint32_t i = n->pending_tail; i != n->pending_head && sum < CHUNK; i++) {
		const struct dp_pending *q = &n->pending[i % DP_PENDING];

		sum += q->list->n - q->at;
	}
	return RTE_MIN(sum, (unsigned)CHUNK);
}

/* Without packet buffers, what waits is lost: the next burst finds some again. */
static void lose(struct dp_worker *w)
{
	struct dp_node *n = dp_node(w);

	for (; n->pending_tail != n->pending_head; n->pending_tail++) {
		struct dp_pending *q = &n->pending[n->pending_tail % DP_PENDING];

		w->stat[SH_STAT_drop_no_mbuf] += q->list->n - q->at;
		finish(w, q);
	}
}

/* The next chunk of packets, into m[CHUNK]. From the pool they come with next, nb_segs and refcnt
 * as they must be; what else of their headers anybody reads is set here and in srtp_out. */
static unsigned make(struct dp_worker *w, struct rte_mbuf **m)
{
	struct dp_node *n = dp_node(w);
	unsigned room = waiting(n), have = 0;

	if (!room)
		return 0;
	if (unlikely(rte_mempool_get_bulk(w->pool, (void **)m, room))) {
		lose(w);
		return 0;
	}
	for (unsigned i = 0; i < room; i++)
		m[i]->ol_flags = 0;
	while (n->pending_tail != n->pending_head) {
		struct dp_pending *q = &n->pending[n->pending_tail % DP_PENDING];

		have = fill(w, q, m, have, room);
		if (q->at < q->list->n)
			break;
		finish(w, q);
		n->pending_tail++;
	}
	if (unlikely(have < room))
		rte_mempool_put_bulk(w->pool, (void **)(m + have), room - have);
	return have;
}

static uint16_t fanout(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct dp_worker *w = dp_self;
	struct dp_node *n = dp_node(w);
	struct rte_mbuf **m;
	unsigned made;

	for (uint16_t i = 0; i < nb; i++) {
		if (objs[i] == (void *)n)
			n->more_queued = false;
		else
			take_in(w, objs[i]);
	}
	dp_fanout_fetch(w, INT32_MAX);
	m = (struct rte_mbuf **)rte_node_next_stream_get(graph, node, FANOUT_REWRITE, CHUNK);
	made = make(w, m);
	rte_node_next_stream_put(graph, node, FANOUT_REWRITE, (uint16_t)made);
	if (n->pending_tail == n->pending_head) {
		n->fetch_sub = n->fetch_peer = n->fetch_path =
		    (struct dp_cursor){.turn = n->pending_head, .passed = n->chosen};
	} else if (!n->more_queued) {
		n->more_queued = true;
		rte_node_enqueue_x1(graph, node, FANOUT_MORE, n);
	}
	return nb;
}

static struct rte_node_register fanout_node = {
    .name = "dp_fanout",
    .process = fanout,
    .nb_edges = FANOUT_EDGES,
    .next_nodes = {[FANOUT_REWRITE] = "dp_rewrite", [FANOUT_MORE] = "dp_fanout_more"},
};
RTE_NODE_REGISTER(fanout_node);

/* A node cannot be its own next one. */
static uint16_t fanout_more(struct rte_graph *graph, struct rte_node *node, void **objs,
                            uint16_t nb)
{
	rte_node_enqueue(graph, node, MORE_FANOUT, objs, nb);
	return nb;
}

static struct rte_node_register fanout_more_node = {
    .name = "dp_fanout_more",
    .process = fanout_more,
    .nb_edges = MORE_EDGES,
    .next_nodes = {[MORE_FANOUT] = "dp_fanout"},
};
RTE_NODE_REGISTER(fanout_more_node);

/* Plaintexts of publishers on other workers. */
static uint16_t fanin(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	uint16_t got = (uint16_t)rte_ring_dequeue_burst(dp_self->fanin, node->objs, DP_BURST, NULL);

	if (!got)
		return 0;
	for (uint16_t i = 0; i < got; i++)
		rte_prefetch0(dp_pkt(node->objs[i]));
	node->idx = got;
	rte_node_next_stream_move(graph, node, FANIN_FANOUT);
	return got;
}

static struct rte_node_register fanin_node = {
    .name = "dp_fanin",
    .process = fanin,
    .flags = RTE_NODE_SOURCE_F,
    .nb_edges = FANIN_EDGES,
    .next_nodes = {[FANIN_FANOUT] = "dp_fanout"},
};
RTE_NODE_REGISTER(fanin_node);
