/* Packets that wait for their turn on a subscriber's link, and the node that lets them go.
 *
 * The queue stands before rewrite: what waits is a reference to the shared plaintext and a name,
 * with no number, transport-wide number or abs-send-time yet. So what is dropped here leaves no
 * gap, what is sent carries the time at which it was, and a queue costs 40 bytes a packet. Audio
 * and RTCP never wait; repeated packets go before media. A packet that finds the queue empty and
 * the pacer willing is not held at all: nearly every one.
 *
 * The pacer lets a queue stand for 0.4 s at most. What has waited longer all the
 * same (the worker was away, buffers ran out) is dropped with all that waits of its subscription,
 * which goes on at its next key frame: a decoder can do nothing with the rest. */
#include "dataplane/node/layer.h"
#include "dataplane/node/link.h"
#include <errno.h>

#define PACE_NS  UINT64_C(500000)
#define PROBE_NS UINT64_C(5000000) // between the steps of a cluster of probes
enum {
	PACE_CHUNK = 64, // packets made in one walk
	TOO_OLD_MS = 700,
	PAD_MAX = 224,    // bytes of padding in one packet, as browsers send it
	REPEAT_BACK = 32, // how far back a probe looks for packets to repeat
	PAD_HEADER = 40,  // of a packet of padding, about
};

/* ---- the queue ---- */

static struct dp_waiting *waiting_take(struct dp_node *n, uint32_t *at)
{
	if (n->waiting_free) {
		*at = n->waiting_free;
		n->waiting_free = n->waiting[*at - 1].next;
	} else if (n->waiting_used < DP_WAITING) {
		*at = ++n->waiting_used;
	} else {
		return NULL;
	}
	n->n_waiting++;
	return &n->waiting[*at - 1];
}

static void waiting_give(struct dp_node *n, uint32_t at)
{
	n->waiting[at - 1].src = NULL;
	n->waiting[at - 1].next = n->waiting_free;
	n->waiting_free = at;
	n->n_waiting--;
}

void dp_pace_busy(struct dp_worker *w, struct dp_link *l)
{
	struct dp_node *n = dp_node(w);

	if (l->busy_pos)
		return;
	n->busy[n->n_busy++] = l->endpoint;
	l->busy_pos = n->n_busy;
}

static void pace_rest(struct dp_node *n, struct dp_link *l)
{
	uint32_t last;

	if (!l->busy_pos)
		return;
	last = n->busy[--n->n_busy];
	n->busy[l->busy_pos - 1] = last;
	n->link[last].busy_pos = l->busy_pos;
	l->busy_pos = 0;
}

/* false: no room. */
static bool put(struct dp_worker *w, struct dp_link *l, enum dp_pace_class class,
                const struct dp_waiting *like)
{
	struct dp_node *n = dp_node(w);
	struct dp_pace_queue *q = &l->queue[class];
	struct dp_waiting *e;
	uint32_t at;

	if (l->queued >= DP_WAITING_LINK || !(e = waiting_take(n, &at)))
		return false;
	*e = *like;
	e->next = 0;
	e->at_ms = (uint32_t)(w->now_ns / 1000000);
	if (q->tail)
		n->waiting[q->tail - 1].next = at;
	else
		q->head = at;
	q->tail = at;
	l->queued++;
	l->queued_bytes += e->bytes;
	DP_COUNT(w, pace_queued, 1);
	dp_pace_busy(w, l);
	return true;
}

/* Takes out the entry behind `before` (0: the first); its reference is the caller's. */
static struct dp_waiting take(struct dp_node *n, struct dp_link *l, struct dp_pace_queue *q,
                              uint32_t before)
{
	uint32_t *link = before ? &n->waiting[before - 1].next : &q->head, at = *link;
	struct dp_waiting e = n->waiting[at - 1];

	*link = e.next;
	if (q->tail == at)
		q->tail = before;
	l->queued--;
	l->queued_bytes -= e.bytes;
	waiting_give(n, at);
	return e;
}

void dp_pace_empty(struct dp_worker *w, struct dp_link *l)
{
	struct dp_node *n = dp_node(w);

	for (unsigned c = 0; c < DP_PACE_CLASSES; c++)
		while (l->queue[c].head)
			rte_pktmbuf_free(take(n, l, &l->queue[c], 0).src);
	pace_rest(n, l);
}

/* All media of a subscription that waits; it goes on at its next key frame. */
static void give_up(struct dp_worker *w, struct dp_link *l, sh_id sub, unsigned why)
{
	struct dp_node *n = dp_node(w);
	struct dp_pace_queue *q = &l->queue[DP_PACE_VIDEO];
	struct sh_sub *s = &dp_slabs.sub[SH_ID_INDEX(sub)];

	for (uint32_t before = 0, at = q->head; at;
	     at = before ? n->waiting[before - 1].next : q->head) {
		if (n->waiting[at - 1].sub != sub) {
			before = at;
			continue;
		}
		rte_pktmbuf_free(take(n, l, q, before).src);
		w->stat[why]++;
	}
	if (s->set.id == sub)
		s->layer = DP_LAYER_NONE;
}

bool dp_pace_hold(struct dp_worker *w, struct rte_mbuf *src, uint32_t sub, uint8_t flags,
                  uint8_t pt_slot, bool video)
{
	const struct dp_pkt *p = dp_pkt(src);
	const struct sh_sub *s = &dp_slabs.sub[sub];
	struct dp_link *l = dp_link_of(w, SH_ID_INDEX(s->set.endpoint));
	uint32_t bytes = p->hdr_len + p->payload_len;

	if (!l || !l->pacing)
		return false;
	dp_link_prefetch_sent(l);
	bytes += l->overhead;
	if (flags & DP_PKT_LEAVE) { // not to be sent, but to be counted in its turn
		if (!l->queued)
			return false;
		bytes = 0;
	}
	if (!video || (!l->queued && dp_pacer_room(&l->pacer, w->now_ns))) {
		dp_pacer_sent(&l->pacer, bytes, w->now_ns);
		return false;
	}
	if (likely(put(w, l, DP_PACE_VIDEO,
	               &(struct dp_waiting){.src = src,
	                                    .sub = s->set.id,
	                                    .flags = flags,
	                                    .pt_slot = pt_slot,
	                                    .sent = DP_SENT(s->layer, s->temporal),
	                                    .bytes = (uint16_t)bytes}))) {
		rte_pktmbuf_refcnt_update(src, 1);
		return true;
	}
	w->stat[SH_STAT_drop_pace_full]++;
	give_up(w, l, s->set.id, SH_STAT_drop_pace_full);
	return true;
}

int dp_pace_repeat(struct dp_worker *w, struct dp_link *l, const struct dp_waiting *like)
{
	if (!l->pacing)
		return -EAGAIN;
	if (!l->queued && dp_pacer_room(&l->pacer, w->now_ns)) {
		dp_pacer_sent(&l->pacer, like->bytes, w->now_ns);
		return -EAGAIN;
	}
	return put(w, l, DP_PACE_RTX, like) ? 0 : -ENOSPC;
}

/* ---- out ---- */

struct run {
	struct dp_worker *w;
	struct rte_mbuf *m[PACE_CHUNK];
	unsigned n;
};

static struct rte_mbuf *packet(struct run *r)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(r->w->pool);

	if (!m)
		r->w->stat[SH_STAT_drop_no_mbuf]++;
	return m;
}

/* Lets one go, if it still may. false: there are no buffers, it goes on waiting. */
static bool let_go(struct run *r, struct dp_link *l)
{
	struct dp_node *n = dp_node(r->w);
	struct dp_pace_queue *q =
	    &l->queue[l->queue[DP_PACE_RTX].head ? DP_PACE_RTX : DP_PACE_VIDEO];
	const struct dp_waiting *head = &n->waiting[q->head - 1];
	const struct sh_sub *s = &dp_slabs.sub[SH_ID_INDEX(head->sub)];
	struct dp_waiting e;
	struct rte_mbuf *m;

	if (s->set.id != head->sub || !dp_live(&s->state) || (s->set.flags & SH_SUB_PAUSED)) {
		rte_pktmbuf_free(take(n, l, q, 0).src);
		r->w->stat[SH_STAT_drop_sub_paused]++;
		return true;
	}
	if (s->want_layer == DP_LAYER_NONE && q == &l->queue[DP_PACE_VIDEO]) {
		// the link had no room for it: nor has it for what waits
		give_up(r->w, l, head->sub, SH_STAT_drop_sub_layer);
		return true;
	}
	if ((uint32_t)(r->w->now_ns / 1000000) - head->at_ms > TOO_OLD_MS) {
		if (q == &l->queue[DP_PACE_VIDEO]) {
			give_up(r->w, l, head->sub, SH_STAT_drop_pace_late);
		} else {
			rte_pktmbuf_free(take(n, l, q, 0).src);
			r->w->stat[SH_STAT_drop_pace_late]++;
		}
		return true;
	}
	m = packet(r);
	if (!m)
		return false;
	e = take(n, l, q, 0);
	*dp_pkt(m) = (struct dp_pkt){
	    .endpoint = l->endpoint,
	    .sub = SH_ID_INDEX(e.sub),
	    .layer = e.sent,
	    .flags = e.flags,
	    .pt_slot = e.pt_slot,
	    .src = e.src,
	    .index = e.index,
	    .ts = e.ts,
	};
	dp_pacer_sent(&l->pacer, e.bytes, r->w->now_ns);
	r->m[r->n++] = m;
	return true;
}

static void drain(struct run *r, struct dp_link *l)
{
	struct dp_worker *w = r->w;

	if (!l->queued)
		return;
	if (!dp_connected(l->endpoint)) {
		w->stat[SH_STAT_drop_sub_not_connected] += l->queued;
		for (unsigned c = 0; c < DP_PACE_CLASSES; c++)
			while (l->queue[c].head)
				rte_pktmbuf_free(take(dp_node(w), l, &l->queue[c], 0).src);
		return;
	}
	dp_link_pace(w, l);
	while (l->queued && r->n < PACE_CHUNK && dp_pacer_room(&l->pacer, w->now_ns))
		if (!let_go(r, l))
			return;
}

/* ---- probes ---- */

/* The next subscription with RTX. */
static struct sh_sub *probe_sub(struct dp_link *l)
{
	const struct dp_fanout *subs = dp_endpoint_subs(l->endpoint);

	for (uint32_t i = 0; subs && i < subs->n; i++) {
		struct sh_sub *s = &dp_slabs.sub[subs->sub[l->sub_turn % subs->n]];

		if (s->set.rtx_ssrc && dp_live(&s->state))
			return s;
		l->sub_turn++;
	}
	return NULL;
}

bool dp_pace_may_probe(struct dp_link *l)
{
	return dp_nodes_config.probing && probe_sub(l);
}

/* A packet lately sent, to be sent once more: it may even repair something. NULL: none is kept. */
static struct rte_mbuf *recent(struct dp_worker *w, struct dp_link *l, const struct sh_sub *s,
                               struct dp_pkt *out)
{
	const struct dp_sub_rt *r = dp_sub_rt(w, (uint32_t)(s - dp_slabs.sub));
	const struct dp_drops *drops = dp_node(w)->drops[s - dp_slabs.sub];

	if (!(s->set.flags & SH_SUB_NACK))
		return NULL;
	for (unsigned i = 0; i < REPEAT_BACK; i++) {
		uint64_t index = s->tx_index - l->repeat++ % REPEAT_BACK;
		uint64_t theirs;
		const struct dp_segment *g =
		    dp_seqmap_find(&r->map, drops, s->tx_index, index, &theirs);
		struct rte_mbuf *src;

		if (!g)
			continue;
		src = dp_history_get(w, g->track, g->layer, g->ssrc, theirs);
		if (!src)
			continue;
		out->pt_slot = dp_pt_slot_to(s, &dp_slabs.track[g->track], dp_pkt(src));
		if (out->pt_slot == 255)
			continue;
		out->index = index;
		out->ts = dp_pkt(src)->ts + g->ts_offset;
		return src;
	}
	return NULL;
}

/* Returns the bytes of a packet that says nothing new; 0: none can be made. */
static uint32_t pad(struct run *r, struct dp_link *l, uint32_t want)
{
	struct sh_sub *s = probe_sub(l);
	struct dp_pkt p = {.endpoint = l->endpoint, .flags = DP_PKT_RTX};
	struct rte_mbuf *m;
	uint32_t bytes;

	if (!s || !(m = packet(r)))
		return 0;
	p.sub = (uint32_t)(s - dp_slabs.sub);
	p.src = want > PAD_MAX ? recent(r->w, l, s, &p) : NULL;
	if (p.src) {
		rte_pktmbuf_refcnt_update(p.src, 1);
		bytes = dp_pkt(p.src)->payload_len + dp_pkt(p.src)->hdr_len;
	} else {
		p.payload_len = (uint16_t)RTE_MIN(want, (uint32_t)PAD_MAX);
		bytes = p.payload_len + PAD_HEADER;
	}
	*dp_pkt(m) = p;
	r->m[r->n++] = m;
	return bytes + l->overhead;
}

/* true: there is more to come. */
static bool probe(struct run *r, struct dp_link *l)
{
	struct dp_worker *w = r->w;
	uint64_t probes = l->bwe.probes;
	uint32_t want, bytes;

	if (!dp_connected(l->endpoint) || !dp_pace_may_probe(l))
		return false;
	if (w->now_ns < l->probe_at_ns)
		return true;
	l->probe_at_ns = w->now_ns + PROBE_NS;
	want = dp_bwe_probe(&l->bwe, w->now_ns);
	DP_COUNT(w, probes, l->bwe.probes - probes);
	while (want && r->n < PACE_CHUNK) {
		bytes = pad(r, l, want);
		if (!bytes)
			return false;
		l->padding_bytes += bytes;
		DP_COUNT(w, padding_bytes, bytes);
		want -= RTE_MIN(want, bytes);
	}
	return dp_bwe_probe_at(&l->bwe, w->now_ns) <= w->now_ns + PROBE_NS;
}

static uint16_t pace(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct dp_worker *w = dp_self;
	struct dp_node *n = dp_node(w);
	struct run r;

	if (!n->n_busy || w->now_ns - n->pace_at_ns < PACE_NS)
		return 0;
	r.w = w;
	r.n = 0;
	for (uint32_t i = n->n_busy; i-- && r.n < PACE_CHUNK;) {
		struct dp_link *l;
		bool more;

		if (n->pace_turn >= n->n_busy)
			n->pace_turn = 0;
		l = dp_link_of(w, n->busy[n->pace_turn]);
		if (!l) {
			dp_link_drop(w, n->busy[n->pace_turn]);
			continue;
		}
		drain(&r, l);
		more = r.n == PACE_CHUNK || probe(&r, l);
		if (!l->queued && !more)
			pace_rest(n, l); // another takes its place
		else if (r.n < PACE_CHUNK)
			n->pace_turn++;
	}
	if (r.n < PACE_CHUNK)
		n->pace_at_ns = w->now_ns; // else there is more to be done at once
	if (r.n)
		rte_node_enqueue(graph, node, PACE_REWRITE, (void **)r.m, (uint16_t)r.n);
	return (uint16_t)r.n;
}

static struct rte_node_register pace_node = {
    .name = "dp_pace",
    .process = pace,
    .flags = RTE_NODE_SOURCE_F,
    .nb_edges = PACE_EDGES,
    .next_nodes = {[PACE_REWRITE] = "dp_rewrite"},
};
RTE_NODE_REGISTER(pace_node);
