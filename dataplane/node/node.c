/* The media path of a worker, one file a node, in packet order (DESIGN §4):
 *
 *   rx, handover → classify ┬ stun → tx
 *                           ├ dtls_punt → control
 *                           └ srtp_in ┬ rtp_in → fanout → rewrite → srtp_out → tx
 *                                     └ rtcp_in ────────────┘
 *   fanin (other workers) → fanout    pace → rewrite    timers → rtcp_out → srtp_out
 *   inject (control) → tx             fanout hands others' packets to their fanin
 *
 * Decisions are in files without DPDK: frame (headers), ice (addresses, consent), layer
 * (simulcast, spatial and temporal layers), seqmap and drops (our sequence numbers), told (decode
 * targets), report (RTCP times); the nodes carry packets to them. beside, bind, frames, history,
 * hear, link and valid keep the per-worker state that the nodes share. This file alone allocates.
 *
 * Threads. Every node runs on its worker's lcore only; dp_nodes_init() and dp_nodes_free() on the
 * control thread while the lcore does not run. The only packets that more than one worker sees are
 * plaintexts between fanout and srtp_out (or a history): reference counted, read-only.
 *
 * Lifetimes. State beside a slab entry carries the entry's id and is made anew when another entry
 * took the place, so that nothing outlives its entry even when a forget call came late or not at
 * all. Arrays are mapped at start and touched when used; no node allocates anything but packets
 * from its pool. */
#include "dataplane/node/node.h"
#include "dataplane/node/impair.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "dataplane/map.h"
#include "dataplane/node/link.h"

struct dp_nodes_config dp_nodes_config = {
    .history_video = 1024,
    .history_audio = 0,
    .histories = 2048,
    .history_ms = 1000,
    .history_share = 25,
    .nack_streams = 4096,
    .nack = 1,
    .pli_interval_ms = 300,
    .consent_s = 30,
    .dtls_per_s = 100,
    .retransmit_per_s = 500,
    .bwe_start_kbps = 600,
    .bwe_min_kbps = 50,
    .bwe_max_kbps = 50000,
    .pacing = 1,
    .probing = 1,
};

const char *const dp_node_names[] = {
#ifdef CALLSTACK_IMPAIRMENT
    "dp_impair",
#endif
    "dp_rx",      "dp_handover", "dp_fanin",       "dp_inject",    "dp_timers",   "dp_rtcp_out",
    "dp_pace",    "dp_classify", "dp_stun",        "dp_dtls_punt", "dp_srtp_in",  "dp_rtp_in",
    "dp_rtcp_in", "dp_fanout",   "dp_fanout_more", "dp_rewrite",   "dp_srtp_out", "dp_tx",
};
const unsigned dp_node_count = RTE_DIM(dp_node_names);

/* Huge pages where an entry in use means a place in use. Where a worker takes one of many in a walk
 * it shall not wait until the kernel has cleared 2 MB for it. */
enum touched { BY_ENTRY, BY_NEED };

static void *map(struct dp_node *n, unsigned slot, size_t count, size_t size, enum touched how)
{
	n->bytes[slot] = RTE_ALIGN_CEIL((count ? count : 1) * size, (size_t)4096);
	return dp_map(n->bytes[slot], how == BY_ENTRY ? n->bytes[slot] : 0);
}

static int pool_init(struct dp_pool *p, uint32_t n)
{
	p->free = malloc(n * sizeof(*p->free));
	if (!p->free)
		return -ENOMEM;
	for (p->n = 0; p->n < n; p->n++)
		p->free[p->n] = n - 1 - p->n;
	return 0;
}

static int map_all(struct dp_worker *w, struct dp_node *n)
{
	const struct dp_nodes_config *c = &dp_nodes_config;
	uint32_t workers = RTE_MAX(dp_slabs.head->workers, 1u);
	uint32_t bigs = dp_slabs.endpoints / 4 + 64;
	uint64_t share = (uint64_t)w->pool->size * c->history_share / 100 / workers;

	n->kept_size = share < 2 ? 2 : (uint32_t)rte_align64prevpow2(share);
	n->sub = map(n, 0, dp_slabs.subs, sizeof(*n->sub), BY_ENTRY);
	n->ep = map(n, 1, dp_slabs.endpoints, sizeof(*n->ep), BY_ENTRY);
	n->track = map(n, 2, dp_slabs.tracks, sizeof(*n->track), BY_ENTRY);
	n->history = map(n, 3, c->histories, sizeof(*n->history), BY_NEED);
	n->history_slots =
	    map(n, 4, (size_t)c->histories * dp_history_stride(), sizeof(*n->history_slots), BY_NEED);
	n->kept = map(n, 5, n->kept_size, sizeof(*n->kept), BY_NEED);
	n->nack = map(n, 6, c->nack_streams, sizeof(*n->nack), BY_NEED);
	n->active = map(n, 7, dp_slabs.tracks, sizeof(*n->active), BY_ENTRY);
	n->due_ms = map(n, 8, dp_slabs.endpoints, sizeof(*n->due_ms), BY_ENTRY);
	n->again = map(n, 9, DP_AGAINS, sizeof(*n->again), BY_NEED);
	n->link = map(n, 10, dp_slabs.endpoints, sizeof(*n->link), BY_ENTRY);
	n->links = map(n, 11, dp_slabs.endpoints, sizeof(*n->links), BY_ENTRY);
	n->busy = map(n, 12, dp_slabs.endpoints, sizeof(*n->busy), BY_ENTRY);
	n->waiting = map(n, 13, DP_WAITING, sizeof(*n->waiting), BY_NEED);
	n->alloc = map(n, 14, DP_LINK_ALLOC, sizeof(*n->alloc), BY_NEED);
	n->sent = map(n, 15, (size_t)dp_slabs.endpoints * DP_LINK_SENT, sizeof(*n->sent), BY_ENTRY);
	n->sent_big = map(n, 16, (size_t)bigs * DP_LINK_SENT_BIG, sizeof(*n->sent_big), BY_NEED);
	n->heard = map(n, 17, dp_slabs.endpoints, sizeof(*n->heard), BY_ENTRY);
	n->hearing = map(n, 18, dp_slabs.endpoints, sizeof(*n->hearing), BY_ENTRY);
	n->frames = map(n, 19, dp_slabs.tracks, sizeof(*n->frames), BY_ENTRY);
	n->drops = map(n, 20, dp_slabs.subs, sizeof(*n->drops), BY_ENTRY);
	n->dd = map(n, 21, c->nack_streams, sizeof(*n->dd), BY_NEED);
	n->told = map(n, 22, dp_slabs.subs, sizeof(*n->told), BY_NEED);
	n->valid = calloc(DP_VALIDS, sizeof(*n->valid));
	n->bound = calloc(DP_BOUNDS, sizeof(*n->bound));
	n->pending = calloc(DP_PENDING, sizeof(*n->pending));
	if (!n->sub || !n->ep || !n->track || !n->history || !n->history_slots || !n->kept ||
	    !n->nack || !n->active || !n->due_ms || !n->again || !n->valid || !n->bound ||
	    !n->pending)
		return -ENOMEM;
	if (!n->link || !n->links || !n->busy || !n->waiting || !n->alloc || !n->sent ||
	    !n->sent_big || !n->heard || !n->hearing || !n->frames || !n->drops || !n->dd ||
	    !n->told || pool_init(&n->sents_big, bigs))
		return -ENOMEM;
	if (pool_init(&n->histories, c->histories) || pool_init(&n->nacks, c->nack_streams) ||
	    pool_init(&n->dds, c->nack_streams))
		return -ENOMEM;
	return 0;
}

int dp_nodes_init(struct dp_worker *w)
{
	struct dp_node *n;
	int err;

	if (!dp_nodes_config.histories || !rte_is_power_of_2(dp_nodes_config.history_video) ||
	    (dp_nodes_config.history_audio && !rte_is_power_of_2(dp_nodes_config.history_audio)))
		return -EINVAL;
	n = aligned_alloc(RTE_CACHE_LINE_SIZE,
	                  RTE_ALIGN_CEIL(sizeof(*n), (size_t)RTE_CACHE_LINE_SIZE));
	if (!n)
		return -ENOMEM;
	memset(n, 0, sizeof(*n));
	w->node = n;
	err = map_all(w, n);
#ifdef CALLSTACK_IMPAIRMENT
	if (!err)
		err = dp_impair_init(w);
#endif
	if (err) {
		dp_nodes_free(w);
		return err;
	}
	return 0;
}

static void unmap(void *p, size_t bytes)
{
	if (p)
		munmap(p, bytes);
}

void dp_nodes_free(struct dp_worker *w)
{
	struct dp_node *n = dp_node(w);

	if (!n)
		return;
#ifdef CALLSTACK_IMPAIRMENT
	dp_impair_free(w);
#endif
	for (; n->kept && n->kept_tail != n->kept_head; n->kept_tail++)
		rte_pktmbuf_free(n->kept[n->kept_tail & (n->kept_size - 1)].m);
	for (; n->pending && n->pending_tail != n->pending_head; n->pending_tail++)
		rte_pktmbuf_free(n->pending[n->pending_tail % DP_PENDING].m);
	for (uint32_t i = 0; n->waiting && i < n->waiting_used; i++)
		rte_pktmbuf_free(n->waiting[i].src);
	unmap(n->sub, n->bytes[0]);
	unmap(n->ep, n->bytes[1]);
	unmap(n->track, n->bytes[2]);
	unmap(n->history, n->bytes[3]);
	unmap(n->history_slots, n->bytes[4]);
	unmap(n->kept, n->bytes[5]);
	unmap(n->nack, n->bytes[6]);
	unmap(n->active, n->bytes[7]);
	unmap(n->due_ms, n->bytes[8]);
	unmap(n->again, n->bytes[9]);
	unmap(n->link, n->bytes[10]);
	unmap(n->links, n->bytes[11]);
	unmap(n->busy, n->bytes[12]);
	unmap(n->waiting, n->bytes[13]);
	unmap(n->alloc, n->bytes[14]);
	unmap(n->sent, n->bytes[15]);
	unmap(n->sent_big, n->bytes[16]);
	unmap(n->heard, n->bytes[17]);
	unmap(n->hearing, n->bytes[18]);
	unmap(n->frames, n->bytes[19]);
	unmap(n->drops, n->bytes[20]);
	unmap(n->dd, n->bytes[21]);
	unmap(n->told, n->bytes[22]);
	free(n->valid);
	free(n->bound);
	free(n->pending);
	free(n->histories.free);
	free(n->nacks.free);
	free(n->sents_big.free);
	free(n->dds.free);
	free(n);
	w->node = NULL;
}
