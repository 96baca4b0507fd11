/* What the graph nodes of one worker share: their state, the edges between them, and the few
 * helpers that all of them use. Included by node/ only, but for dp_nodes_config, which the
 * configuration sets before the start. */
#pragma once
#include <rte_graph_worker.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "dataplane/bwe/cost.h"
#include "dataplane/node/ice.h"
#include "dataplane/node/seqmap.h"
#include "dataplane/node/told.h"
#include "dataplane/rtp/layers.h"
#include "dataplane/rtp/rtp.h"
#include "dataplane/srtp/srtp.h"
#include "dataplane/worker.h"

/* Set before dp_nodes_init(), the same for all workers. */
struct dp_nodes_config {
	uint32_t history_video; // packets kept a stream for NACK, power of two, 64..32768
	uint32_t history_audio; // the same for audio; 0: none
	uint32_t histories;     // streams with a history a worker; memory is touched when used
	uint32_t history_ms;    // packets older than this are given back
	uint32_t history_share; // percent of the packet pool that all histories of all workers may
	                        // hold, 1..50
	uint32_t nack_streams;  // incoming streams with gap tracking a worker
	uint32_t nack;          // 0: publishers are never asked for losses
	uint32_t pli_interval_ms; // shortest time between two key frame requests for one layer
	uint32_t dtls_per_s;      // DTLS datagrams an endpoint may send to the daemon, and burst
	uint32_t
	    consent_s; // without an authenticated check for so long no more is sent (RFC 7675: 30)
	uint32_t retransmit_per_s; // retransmissions a subscription may ask for, and burst
	uint32_t bwe_start_kbps;   // what a link is taken to bear before anything is known,
	uint32_t bwe_min_kbps, bwe_max_kbps; // never less, never more
	uint32_t pacing, probing;            // 0: not done
};
extern struct dp_nodes_config dp_nodes_config;

/* More of dp_pkt.flags, inside the graph only. */
enum {
	DP_PKT_FRAMED = 32, // whole frame, headers in front of the data: lengths and checksums are
	                    // to be filled in
	DP_PKT_SWITCH = 64, // fanout → rewrite: first packet of a segment
	DP_PKT_LEAVE = 128, // fanout → rewrite: not to be sent, the numbers close up over it
	                    // (DP_PKT_MARKER: to be sent with a marker)
};

enum { DP_AHEAD = 4 }; // packets that a loop prefetches ahead

/* The edges of each node, in the order of its next_nodes[]. */
enum { RX_CLASSIFY, RX_EDGES };
enum { IMPAIR_CLASSIFY, IMPAIR_EDGES };
enum { HANDOVER_CLASSIFY, HANDOVER_EDGES };
enum { FANIN_FANOUT, FANIN_EDGES };
enum { INJECT_TX, INJECT_EDGES };
enum { TIMERS_RTCP_OUT, TIMERS_EDGES };
enum { RTCP_OUT_SRTP_OUT, RTCP_OUT_EDGES };
enum { CLASSIFY_STUN, CLASSIFY_DTLS, CLASSIFY_SRTP, CLASSIFY_EDGES };
enum { STUN_TX, STUN_EDGES };
enum { SRTP_IN_RTP, SRTP_IN_RTCP, SRTP_IN_EDGES };
enum { RTP_IN_FANOUT, RTP_IN_EDGES };
enum { PACE_REWRITE, PACE_EDGES };
enum { RTCP_IN_REWRITE, RTCP_IN_EDGES };
enum { FANOUT_REWRITE, FANOUT_MORE, FANOUT_EDGES };
enum { MORE_FANOUT, MORE_EDGES };
enum { REWRITE_SRTP_OUT, REWRITE_EDGES };
enum { SRTP_OUT_TX, SRTP_OUT_EDGES };

/* ---- state beside the slabs, by slab index; zero = not seen yet, id says for which entry it holds
 * ---- */

/* What a plaintext's reader learned that its senders need; in front of it, where the frame's
 * headers were, which nobody needs any more. One cache line, and one that only Dependency
 * Descriptors need. */
struct dp_scratch {
	struct dp_rtp_exts exts;
	struct dp_frame_info f;
	struct dp_dd_targets targets __rte_cache_aligned; // of a frame's first packet
};
_Static_assert(offsetof(struct dp_scratch, targets) == RTE_CACHE_LINE_SIZE, "one cache line");
_Static_assert(sizeof(struct dp_scratch) <= RTE_PKTMBUF_HEADROOM, "in front of every frame");

static inline struct dp_scratch *dp_scratch(const struct rte_mbuf *m)
{
	return m->buf_addr;
}

/* A subscription on its way out. The first two cache lines are read for every packet. */
struct dp_sub_rt {
	struct dp_rtp_tmpl tmpl;
	sh_id id;
	struct dp_ids last; // as sent with the newest packet
	uint8_t intact;     // dp_layer_at
	bool layered;       // packets may have been left out: it has maps in dp_node.drops
	bool renumbered;    // ids inside its packets differ from the publisher's
	bool adopted;       // packets were sent before this process knew it
	struct dp_seqmap map;
	uint32_t conf;       // hash of what tmpl was made of
	uint32_t owner;      // of its endpoint
	sh_id source;        // of a slot: the track that it was last sent
	uint32_t turn;       // … and when
	uint64_t rtx_at_ns;  // when they were last topped up
	uint32_t rtx_tokens; // retransmissions that it may ask for now
	uint32_t fir_keys;   // key frames of its layer that had come at its last FIR command
	uint64_t head;       // newest index seen of a stream with layers …
	uint32_t head_ssrc;  // … this one
	uint16_t fir;        // 256 + the sequence number of its last FIR command; 0: none
	uint16_t pad2;
} __rte_cache_aligned;
_Static_assert(sizeof(struct dp_sub_rt) <= 320, "the bar is 4 KiB a subscription, all in");
_Static_assert(offsetof(struct dp_sub_rt, map.seg[0].pid) <= 2 * RTE_CACHE_LINE_SIZE,
               "what goes on is in the first two lines");

struct dp_ep_rt {
	sh_id id;
	uint32_t dtls_tokens;
	uint64_t dtls_at_ns;
	uint64_t report_at_ns; // next compound; 0: not scheduled
	uint32_t video : 1;    // as of the last report
	uint32_t report_cursor : 31; // next subscription to report on, when one compound does not
	                             // hold all
	uint32_t hear_pos; // in dp_node.hearing, plus one; 0: no transport-wide numbers from it
	struct dp_ice ice;
} __rte_cache_aligned;
_Static_assert(sizeof(struct dp_ep_rt) == RTE_CACHE_LINE_SIZE, "one cache line");

enum { DP_RETIRED = 4, DP_NO_ENTRY = UINT32_MAX };
struct dp_retired {
	uint32_t ssrc;
	uint64_t index; // newest authenticated: the SSRC comes back above it or not at all (RFC
	                // 3711 §3.3.2)
};

/* What every packet of it looks at comes first. */
struct dp_track_rt {
	sh_id id;
	uint32_t active_pos;          // in dp_node.active, plus one; 0: not in it
	uint32_t nack[SH_MAX_LAYERS]; // gap tracker, plus one
	uint32_t hist[SH_MAX_LAYERS]; // history, plus one
	uint8_t want_key;             // bit l: a key frame of layer l is to be asked for
	uint8_t alive;                // bit l: as last told to control
	uint8_t rebinds;              // SSRC changes in the current second
	uint8_t retired_next;
	uint32_t rebind_s;
	uint64_t fir_keys[SH_MAX_LAYERS]; // key frames that had come at the last FIR
	uint64_t fir_at_ns[SH_MAX_LAYERS];
	uint8_t fir_seq[SH_MAX_LAYERS];
	struct dp_retired retired[DP_RETIRED];
} __rte_cache_aligned;
_Static_assert(offsetof(struct dp_track_rt, rebinds) < RTE_CACHE_LINE_SIZE, "one cache line");

/* Of a video track's streams, by its publisher's worker (frames.c). Zero: nothing seen yet. */
enum { DP_UNITS = 8 };
struct dp_stream_frames {
	uint64_t head; // newest index
	uint32_t ssrc, ts;
	uint32_t pictures;                 // so far
	uint32_t picture_at;               // dp_track_frames.pictures at the last one
	uint32_t sid_at[SH_MAX_LAYERS];    // `pictures` when a spatial layer was last seen
	uint32_t dd;                       // what its Dependency Descriptors refer to, plus one
	uint8_t top;                       // highest spatial layer seen
	uint8_t unit;                      // H264, AV1: the present access unit's, in these
	bool in_key;                       // the newest picture is a key frame
	uint32_t key_bytes[SH_MAX_LAYERS]; // of it so far, by spatial layer
	uint32_t unit_ts[DP_UNITS];        // of the last units: timestamp …
	uint8_t unit_tid[DP_UNITS];        // … and temporal layer
};
struct dp_track_frames {
	struct dp_stream_frames stream[SH_MAX_LAYERS];
	uint32_t pictures; // of all streams
	struct dp_cost cost;
} __rte_cache_aligned;
enum { DP_TRACK_FRAMES_HOT = offsetof(struct dp_track_frames, cost.bps) };

/* A plaintext packet kept for retransmission; position in dp_node.kept is the handle in dp_hist. */
struct dp_kept {
	struct rte_mbuf *m; // NULL: given back before its turn
	uint64_t at_ns;
	uint32_t hist;
	uint32_t ext_seq;
};

struct dp_history {
	struct dp_hist h;
	sh_id track;
	uint32_t ssrc;
	uint32_t held; // packets in it
	uint8_t layer, used;
};

struct dp_pool { // of numbers 0..n-1
	uint32_t *free;
	uint32_t n;
};

/* An address that an authenticated check came from: DTLS and SRTP from there are the endpoint's,
 * nominated or not. */
struct dp_valid {
	struct sh_addr addr;
	uint32_t endpoint;
	sh_id id;
	uint32_t pad;
	uint64_t at_ns;
};

struct dp_bound { // where an endpoint's SSRC was found; checked against the slab before use
	uint32_t endpoint, ssrc, track;
	uint8_t layer, rtx, pad[2];
};

struct dp_pending { // plaintext on its way through fanout
	struct rte_mbuf *m;
	const struct dp_fanout *list; // of this walk
	uint32_t at;                  // next position in it
	uint8_t layers;               // streams of its track
	bool plain;                   // one layer of every kind
	uint8_t ask;                  // bit l: somebody waits for a key frame of stream l
	bool kept;                    // it is in the history
	bool video;
	bool slot; // the list is of a slot that the packet's track is in
	bool twin; // … and the one before is of the same packet
	uint8_t
	    pt_slot; // its payload type, as what is subscribed to numbers it; 255: it has none such
	uint8_t red_slot; // RED: the same of its primary block; else 255
	uint32_t owner;   // slot: the track's
	sh_id source;     // slot: the track
	uint32_t turn;    // slot: dp_slot_turn()
};

/* Where a stage of fanout stands: position `at` in the list of pending[turn]. */
struct dp_cursor {
	uint32_t turn, at;
	uint32_t passed; // subscriptions, since the queue was last empty
};

/* A packet that was sent again; place by hash, the newer one stays. */
struct dp_again {
	sh_id sub;
	uint16_t seq, pad;
	uint32_t at_us; // modulo 2^32
};

enum {
	DP_AGAINS = 32768,
	DP_VALIDS = 8192,
	DP_BOUNDS = 16384,
	DP_PENDING = 4096,
	DP_DUE = 256, // reports and feedback made in one walk
};

struct dp_link;
struct dp_waiting;
struct dp_alloc_sub;
struct dp_twcc_sent;
struct dp_twcc_rx;

struct dp_node {
	struct dp_sub_rt *sub;
	struct dp_ep_rt *ep;
	struct dp_track_rt *track;
	struct dp_track_frames *frames;          // by track
	struct dp_drops (*drops)[DP_DROPS_MAPS]; // by subscription
	struct dp_told *told;                    // the same
	uint8_t dd_out[DP_DD_MAX + DP_DD_GROWS]; // rewrite: the descriptor of the packet at hand
	struct dp_dd *dd;
	struct dp_pool dds;
	struct dp_valid *valid;
	struct dp_bound *bound;

	struct dp_pending *pending; // ring of DP_PENDING
	uint32_t pending_head, pending_tail;
	struct dp_cursor fetch_sub, fetch_peer, fetch_path; // how far fanout has fetched ahead …
	uint32_t chosen;  // … of how many subscriptions it has looked at
	bool more_queued; // a token is on its way to fanout

	struct dp_history *history;
	struct dp_hist_slot *history_slots; // dp_history_stride() of them each
	struct dp_pool histories;
	struct dp_kept *kept; // ring of kept_size, oldest at kept_tail
	uint32_t kept_size, kept_head, kept_tail;
	uint32_t history_sweep;

	struct dp_nack *nack;
	struct dp_pool nacks;

	struct dp_again *again; // DP_AGAINS

	/* links (link.h) */
	struct dp_link *link;     // by endpoint
	uint32_t *links, n_links; // endpoints that have one
	uint32_t *busy, n_busy;   // of these, those that pace has work with
	uint32_t scan_link, pace_turn;
	uint64_t pace_at_ns;
	struct dp_waiting *waiting; // DP_WAITING
	uint32_t waiting_free, waiting_used,
	    n_waiting;                 // first free one, plus one; used ever; in use
	struct dp_alloc_sub *alloc;    // scratch, DP_LINK_ALLOC
	struct dp_twcc_sent *sent;     // DP_LINK_SENT an endpoint
	struct dp_twcc_sent *sent_big; // DP_LINK_SENT_BIG each
	struct dp_pool sents_big;

	/* publishers that number their packets transport-wide (hear.c) */
	struct dp_twcc_rx *heard; // by endpoint
	uint32_t *hearing, n_hearing, scan_hearing;
	uint32_t due_twcc[DP_DUE], n_due_twcc; // endpoints

	uint32_t *due_ms; // by endpoint: when timers looks at it again, modulo 2^32
	uint32_t *active; // tracks that had packets, ours
	uint32_t n_active;
	uint32_t scan_endpoint, scan_track; // where the timers' walk goes on
	uint64_t scan_at_ns;
	uint32_t due_report[DP_DUE], n_due_report;     // endpoints
	uint32_t due_feedback[DP_DUE], n_due_feedback; // tracks

	uint32_t refusals; // unauthenticated STUN that may be answered now
	uint64_t refusals_at_ns;

#ifdef CALLSTACK_IMPAIRMENT
	struct dp_line *impair[2]; // by DP_IMPAIR_*; NULL: that direction is as it is
#endif

	/* scratch of one node call */
	struct dp_srtp_op ops[DP_VECTOR];
	struct rte_mbuf *op_mbuf[DP_VECTOR];
	struct rte_mbuf *burst[DP_VECTOR];
	struct rte_mbuf *later[DP_VECTOR];
	void *out[DP_VECTOR];
	struct rte_mbuf *tx[DP_VECTOR]; // frames for tx_port
	uint16_t tx_port, n_tx, n_arrived;
	struct { // runs of frames in tx[] that came in the same walk
		uint64_t at_ns;
		uint64_t many;
	} arrived[DP_VECTOR];
	size_t bytes[23]; // of the mappings above, for dp_nodes_free()
};

static inline struct dp_node *dp_node(const struct dp_worker *w)
{
	return w->node;
}

/* A discarded packet: its named reason and its end, in one line. */
#define DP_DROP(w, sym, m) dp_drop(w, SH_STAT_drop_##sym, m)
static inline void dp_drop(struct dp_worker *w, unsigned why, struct rte_mbuf *m)
{
	w->stat[why]++;
	rte_pktmbuf_free(m);
}

static inline uint64_t dp_random(struct dp_worker *w) // xorshift64
{
	uint64_t x = w->random ? w->random : 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return w->random = x;
}

/* Tokens of a bucket that fills at `rate` a second up to `rate`; takes one if there is one. */
static inline bool dp_token(uint32_t *tokens, uint64_t *at_ns, uint64_t now_ns, uint32_t rate)
{
	uint64_t ns = now_ns - *at_ns;

	if (!*at_ns || ns >= 1000000000u) {
		*tokens = rate;
		*at_ns = now_ns;
	} else {
		uint32_t add = (uint32_t)(ns * rate / 1000000000u);

		if (add) {
			*tokens = *tokens + add > rate ? rate : *tokens + add;
			*at_ns = now_ns;
		}
	}
	if (!*tokens)
		return false;
	--*tokens;
	return true;
}

static inline bool dp_live(const _Atomic uint8_t *state)
{
	return atomic_load_explicit(state, memory_order_acquire) == SH_LIVE;
}

/* An endpoint that can be sent media: its peer is there, and so are keys and a way to it. */
static inline bool dp_connected(uint32_t endpoint)
{
	return dp_slabs.endpoint[endpoint].ice == SH_ICE_CONNECTED && dp_session(endpoint) &&
	       dp_path(endpoint);
}

/* The state beside a slab entry, made new when the entry is another one than before (node.c). */
struct dp_sub_rt *dp_sub_rt_renew(struct dp_worker *w, uint32_t index);
/* Makes it anew when the configuration it was made of has changed; about once a second. */
void dp_sub_rt_check(struct dp_worker *w, uint32_t index);
struct dp_track_rt *dp_track_rt_renew(struct dp_worker *w, uint32_t index);
struct dp_ep_rt *dp_ep_rt_renew(struct dp_worker *w, uint32_t index);

static inline struct dp_sub_rt *dp_sub_rt(struct dp_worker *w, uint32_t index)
{
	struct dp_sub_rt *r = &dp_node(w)->sub[index];

	return likely(r->id == dp_slabs.sub[index].set.id) ? r : dp_sub_rt_renew(w, index);
}

static inline struct dp_track_rt *dp_track_rt(struct dp_worker *w, uint32_t index)
{
	struct dp_track_rt *r = &dp_node(w)->track[index];

	return likely(r->id == dp_slabs.track[index].set.id) ? r : dp_track_rt_renew(w, index);
}

static inline struct dp_ep_rt *dp_ep_rt(struct dp_worker *w, uint32_t index)
{
	struct dp_ep_rt *r = &dp_node(w)->ep[index];

	return likely(r->id == dp_slabs.endpoint[index].set.id) ? r : dp_ep_rt_renew(w, index);
}

/* Numbers of a pool; DP_NO_ENTRY: none left. */
static inline uint32_t dp_pool_take(struct dp_pool *p)
{
	return p->n ? p->free[--p->n] : DP_NO_ENTRY;
}

static inline void dp_pool_give(struct dp_pool *p, uint32_t i)
{
	p->free[p->n++] = i;
}

/* How many of a list a scan looks at now, when it is to come to all of them in period_ns and the
 * last call was so long ago. */
static inline uint64_t dp_scan_quota(uint32_t n, uint64_t elapsed_ns, uint64_t period_ns)
{
	return elapsed_ns >= period_ns ? n : n * elapsed_ns / period_ns + 1;
}

/* Shortest time between two key frame requests for one layer: as configured, but never before the
 * first one could have been answered. */
static inline uint64_t dp_pli_interval_ns(const struct dp_node *n, const struct dp_track_rt *r,
                                          unsigned layer)
{
	uint64_t ns = dp_nodes_config.pli_interval_ms * UINT64_C(1000000), rtt = 0;

	if (r->nack[layer])
		rtt = n->nack[r->nack[layer] - 1].rtt_us * UINT64_C(1500);
	return ns > rtt ? ns : rtt;
}

/* Whether it sends or gets video, so reports are due more often (timers.c). */
bool dp_endpoint_has_video(uint32_t endpoint);

/* ---- incoming streams (bind.c) ---- */

struct dp_stream_ref {
	uint32_t track;
	uint8_t layer, rtx;
};
static inline struct sh_rx_stream *dp_stream(const struct dp_stream_ref *r)
{
	struct sh_track *t = &dp_slabs.track[r->track];

	return r->rtx ? &t->rtx[r->layer] : &t->media[r->layer];
}
/* Stream of an endpoint's SSRC, learned or signaled; false: neither. Changes no state. */
bool dp_stream_find(struct dp_worker *w, struct dp_stream_ref *out, uint32_t endpoint,
                    uint32_t ssrc);
/* Before many of these: asks the memory for the place of the answer; when that has arrived, for the
 * track. */
void dp_stream_prefetch(struct dp_worker *w, uint32_t endpoint, uint32_t ssrc);
void dp_stream_prefetch_track(struct dp_worker *w, uint32_t endpoint, uint32_t ssrc);
/* After authentication: the stream of a packet whose SSRC has none yet, made ready to count it.
 * index: what the packet was authenticated with. 0; or the drop reason, enum sh_stat. */
unsigned dp_stream_bind(struct dp_worker *w, struct dp_stream_ref *out, uint32_t endpoint,
                        const struct dp_rtp_hdr *hdr, const struct dp_rtp_exts *exts,
                        const uint8_t *buf, uint64_t index);
/* Index that a packet of an unknown SSRC is tried with: behind the one it had when it was last
 * ours. */
uint64_t dp_stream_guess_unknown(struct dp_worker *w, uint32_t endpoint, uint32_t ssrc,
                                 uint16_t seq);
/* Slot of a payload type in a track's pt[], or -1. */
static inline int dp_pt_slot(const struct sh_track *t, uint8_t pt)
{
	for (int i = 0; i < SH_MAX_PTS; i++)
		if (t->set.pt[i].pt == pt)
			return i;
	return -1;
}

/* Position of a source's payload type in the pt[] of a slot that it is in: that of the same codec,
 * or, of RTX, the one that repairs the same. 255: the slot has none. Of a track for itself: the
 * same. */
static inline uint8_t dp_pt_slot_in(const struct sh_track *t, const struct sh_track *source,
                                    uint8_t slot)
{
	uint8_t codec = source->set.pt[slot].codec;

	if (t == source)
		return slot;
	for (uint8_t i = 0; i < SH_MAX_PTS; i++)
		if (t->set.pt[i].pt != 255 && t->set.pt[i].codec == codec &&
		    t->set.pt[i].clock_hz == source->set.pt[slot].clock_hz)
			return i;
	return 255;
}
/* The same of the primary block of a packet that is RED (RFC 2198); else 255. */
static inline uint8_t dp_red_slot_in(const struct sh_track *t, const struct sh_track *source,
                                     const struct dp_pkt *p)
{
	return p->red && p->red_slot != 255 ? dp_pt_slot_in(t, source, p->red_slot) : 255;
}

/* Position in a subscription's pt[] of what it is sent of a packet: itself or, where that is RED
 * and RED was not taken, its primary block alone. 255: nothing. */
static inline uint8_t dp_pt_slot_to(const struct sh_sub *s, const struct sh_track *source,
                                    const struct dp_pkt *p)
{
	const struct sh_track *t = &dp_slabs.track[SH_ID_INDEX(s->set.track)];
	uint8_t slot = dp_pt_slot_in(t, source, p->pt_slot);

	if (slot == 255 || s->set.pt[slot] == 255)
		slot = dp_red_slot_in(t, source, p);
	return slot == 255 || s->set.pt[slot] == 255 ? 255 : slot;
}
/* ---- frames and layers of video (frames.c) ---- */

/* Fills dp_scratch.f of a packet whose other fields are those that rtp_in set; sizes, rates and
 * layers of its track. */
void dp_frames_read(struct dp_worker *w, struct rte_mbuf *m, const struct dp_rtp_hdr *hdr,
                    const uint8_t *buf);
/* Of audio: what it costs. */
void dp_frames_sound(struct dp_worker *w, struct rte_mbuf *m);
void dp_frames_forget(struct dp_worker *w, uint32_t track);

/* ---- retransmission (history.c) ---- */

/* Slots that each history has room for. */
static inline uint32_t dp_history_stride(void)
{
	const struct dp_nodes_config *c = &dp_nodes_config;

	return c->history_video > c->history_audio ? c->history_video : c->history_audio;
}
/* Keeps a reference to a plaintext packet; m's fields are those that rtp_in set. */
void dp_history_put(struct dp_worker *w, struct rte_mbuf *m);
/* The packet of that index of a layer of a track, still the history's; NULL: not kept (any more).
 */
struct rte_mbuf *dp_history_get(struct dp_worker *w, uint32_t track, uint8_t layer, uint32_t ssrc,
                                uint64_t index);
void dp_history_forget(struct dp_worker *w, uint32_t slot);
/* Before dp_history_put(): where it will write. */
static inline void dp_history_prefetch(const struct dp_worker *w, const struct dp_track_rt *r,
                                       const struct dp_pkt *p)
{
	const struct dp_hist *h;

	if (!r->hist[p->layer])
		return;
	h = &dp_node(w)->history[r->hist[p->layer] - 1].h;
	rte_prefetch0(&h->slot[p->index & h->mask]);
}
/* Gives back what is too old; called once a walk. */
void dp_history_expire(struct dp_worker *w);

/* ---- what fanout will need soon (fanout.c) ---- */

enum { DP_FETCH_EVERY = 16, DP_FETCH = 8 };
/* Asks the memory for it, for at most so many subscriptions a stage. */
void dp_fanout_fetch(struct dp_worker *w, int32_t most);

/* ---- transport-wide feedback to publishers (hear.c) ---- */

/* An authenticated packet whose extensions were read; of an endpoint with which feedback was
 * agreed. */
void dp_hear(struct dp_worker *w, uint32_t endpoint, uint16_t seq, uint32_t ssrc, uint32_t bytes);
static inline void dp_hear_packet(struct dp_worker *w, uint32_t endpoint,
                                  const struct dp_rtp_exts *x, const uint8_t *buf, uint32_t len)
{
	if ((x->present & 1u << SH_EXT_TWCC) && x->len[SH_EXT_TWCC] >= 2 &&
	    (dp_slabs.endpoint[endpoint].set.flags & SH_EP_TWCC))
		dp_hear(w, endpoint, dp_get16(buf + x->off[SH_EXT_TWCC]), dp_get32(buf + 8), len);
}
void dp_hear_stop(struct dp_worker *w, uint32_t endpoint);
/* Puts those who are to be told into due_twcc. */
void dp_hear_scan(struct dp_worker *w, uint64_t elapsed);

/* ---- links (link.c) ---- */

/* Looks after them, all within 10 ms. */
void dp_links_scan(struct dp_worker *w, uint64_t elapsed);

/* ---- addresses of authenticated checks (valid.c) ---- */

void dp_valid_put(struct dp_worker *w, const struct sh_addr *addr, uint32_t endpoint);
int dp_valid_find(struct dp_worker *w, const struct sh_addr *addr); // endpoint, or -1
