/* What lies between us and a subscriber, on the worker that owns its endpoint: the estimate of what
 * it bears (dataplane/bwe), what waits for its turn, and how the bandwidth is spread over the
 * subscriptions.
 *
 *   link.c      made and dropped, feedback in, once in a while: tick, allocation, the slab's
 *               numbers
 *   allocate.c  layers of each subscription, from the budget
 *   pace.c      packets that wait, and the source node that lets them go; probes
 *
 * Only an endpoint that negotiated transport-wide feedback or REMB, and has subscriptions, has a
 * link (sh_endpoint.linked); others are sent to as if their links were endless. All of it is the
 * owning worker's. A link's place is its endpoint's index; it holds for the endpoint whose id it
 * carries. */
#pragma once
#include "dataplane/bwe/alloc.h"
#include "dataplane/bwe/bwe.h"
#include "dataplane/bwe/pacer.h"
#include "dataplane/node/node.h"

enum {
	DP_LINK_SENT = 256,      // packets under way that each link remembers …
	DP_LINK_SENT_BIG = 4096, // … and those for which that has proved too few
	DP_LINK_ALLOC = 1024,    // subscriptions of one endpoint that are allocated together
	DP_WAITING = 65536,      // packets that may wait on one worker …
	DP_WAITING_LINK = 2048,  // … for one link
};

enum dp_pace_class { DP_PACE_RTX, DP_PACE_VIDEO, DP_PACE_CLASSES };

/* A packet that waits: not numbered yet, so that what is dropped leaves no gap. It has a reference
 * to src. */
struct dp_waiting {
	struct rte_mbuf *src;
	uint64_t index; // RTX: of the packet that is repeated
	sh_id sub;
	uint32_t ts;            // RTX: its timestamp
	uint32_t next;          // in its queue or among the free ones, plus one
	uint32_t at_ms;         // since when, modulo 2^32
	uint16_t bytes;         // of the IP packet, about
	uint8_t flags, pt_slot; // of dp_pkt
	uint8_t sent;           // the same: its layer
	uint8_t pad[3];
};

struct dp_pace_queue {
	uint32_t head, tail; // in dp_node.waiting, plus one; 0: empty
};

struct dp_link {
	/* what each packet to it looks at */
	sh_id id; // of its endpoint; 0: none
	uint32_t queued, queued_bytes;
	uint16_t overhead; // IP and UDP headers, SRTP tag and our extensions, bytes
	uint8_t pacing, pad;
	struct dp_pacer pacer;
	struct dp_pace_queue queue[DP_PACE_CLASSES];
	_Alignas(RTE_CACHE_LINE_SIZE) struct dp_bwe bwe; // of it two lines
	/* the rest */
	uint32_t pos, busy_pos; // in dp_node.links and dp_node.busy, plus one; 0: not in it
	uint32_t endpoint;
	uint32_t big;         // sent packets in dp_node.sent_big, plus one
	uint32_t sub_turn;    // whose packets probes repeat, in the endpoint's list
	uint32_t repeat;      // how far back, packets
	uint64_t probe_at_ns; // when a probe goes on
	uint64_t alloc_at_ns; // when the allocator ran
	uint64_t pushed;      // of tx, as last looked at
	uint64_t padding_bytes;
	int64_t rtx_credit; // bytes that may be repeated at rtx_at_ns
	uint64_t rtx_at_ns;
	struct dp_alloc alloc;
} __rte_cache_aligned;
_Static_assert(offsetof(struct dp_link, bwe) == RTE_CACHE_LINE_SIZE,
               "queues end with the first line");
_Static_assert(offsetof(struct dp_bwe, probe.active) < 2 * RTE_CACHE_LINE_SIZE,
               "what sending touches");

/* Before a packet is told to the link: where that will be noted. */
static inline void dp_link_prefetch_sent(const struct dp_link *l)
{
	const struct dp_twcc_tx *t = &l->bwe.tx;

	rte_prefetch0(&t->sent[t->next & t->mask]);
	rte_prefetch0(&t->sent[t->tail & t->mask]);
}

/* The link of an endpoint; NULL: it has none. After a restart of this process `linked` may name one that was. */
static inline struct dp_link *dp_link_of(struct dp_worker *w, uint32_t endpoint)
{
	uint32_t id = dp_slabs.endpoint[endpoint].linked;
	struct dp_link *l = &dp_node(w)->link[endpoint];

	return id && l->id == id ? l : NULL;
}

/* ---- link.c ---- */

/* Makes or drops it, as negotiated; called when the endpoint is looked at by the timers and is
 * connected. */
void dp_link_check(struct dp_worker *w, uint32_t endpoint);
/* With all that waits. Safe for an endpoint without one. */
void dp_link_drop(struct dp_worker *w, uint32_t endpoint);
void dp_link_feedback(struct dp_worker *w, uint32_t endpoint, const struct dp_rtcp_fb *fb);
void dp_link_remb(struct dp_worker *w, uint32_t endpoint, const struct dp_rtcp_fb *fb);
/* rtt_us 0: unknown. */
void dp_link_report(struct dp_worker *w, uint32_t endpoint, uint8_t fraction, uint32_t rtt_us);
/* Whether so many bytes may be repeated now: at most half of what the link bears goes to that. */
bool dp_link_may_repeat(struct dp_worker *w, struct dp_link *l, uint32_t bytes);
/* A packet with a transport-wide number is on its way out. bytes: UDP payload without the SRTP tag.
 */
static inline void dp_link_sent(struct dp_worker *w, uint32_t endpoint, uint32_t seq,
                                uint32_t bytes)
{
	struct dp_link *l = dp_link_of(w, endpoint);

	if (likely(l != NULL))
		dp_bwe_sent(&l->bwe, seq, bytes + l->overhead, w->now_ns);
}

/* ---- allocate.c ---- */

/* Gives each subscription its layers. budget_bps 0: endless. */
void dp_link_allocate(struct dp_worker *w, struct dp_link *l, uint32_t budget_bps);
/* Subscriptions of an endpoint without a link get all they want again. */
void dp_link_release_subs(struct dp_worker *w, uint32_t endpoint);

/* ---- pace.c ---- */

/* Whether a packet must wait, and does now, or was dropped: true. src is referenced anew. false: it
 * goes at once. Called for packets to endpoints with `linked`. */
bool dp_pace_hold(struct dp_worker *w, struct rte_mbuf *src, uint32_t sub, uint8_t flags,
                  uint8_t pt_slot, bool video);
/* The same of a repeated packet, whose reference is handed over when it waits. -EAGAIN: it goes at
 * once; 0: it waits; -ENOSPC: no room, nothing was done. */
int dp_pace_repeat(struct dp_worker *w, struct dp_link *l, const struct dp_waiting *like);
void dp_pace_empty(struct dp_worker *w, struct dp_link *l);
/* The pacer's rate, from the estimate and what waits. */
void dp_link_pace(struct dp_worker *w, struct dp_link *l);
/* Whether there is anything to pad with. */
bool dp_pace_may_probe(struct dp_link *l);
/* pace looks at it again. */
void dp_pace_busy(struct dp_worker *w, struct dp_link *l);

/* For fanout, when the endpoint has a link. */
static inline void dp_link_prefetch(const struct dp_worker *w, uint32_t endpoint)
{
	const struct dp_link *l = &dp_node(w)->link[endpoint];

	rte_prefetch0(l);
	rte_prefetch0((const char *)l + RTE_CACHE_LINE_SIZE);
	rte_prefetch0((const char *)l + 2 * RTE_CACHE_LINE_SIZE);
}
