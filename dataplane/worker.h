/* What a worker lcore owns, and the per-packet scratch that its graph nodes pass along (DESIGN §3, §4).
 *
 * A worker runs its own rte_graph to completion. It owns one RX/TX queue pair of each port, the UDP media port
 * base + index, and the live state of the endpoints assigned to it. The control thread (main lcore) writes
 * the tables; workers read them between two quiescent states (liburcu QSBR), one a graph walk. */
#pragma once
#include <rte_common.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include "shared/state.h"

struct rte_graph;
struct dp_srtp_session;
struct dp_srtp_batch;

enum {
	DP_BURST = 64,      // packets a source node takes in one go
	DP_VECTOR = 256,    // packets a node sees at most (RTE_GRAPH_BURST_SIZE)
	DP_HEADROOM = 192,  // bytes before the UDP payload: Ethernet+2 VLAN+IPv6+UDP is 70, RTP header growth the rest
	DP_TAILROOM = 64,   // bytes behind it: SRTP tag 16, SRTCP index 4
	DP_PORTS_MAX = 8,
};

/* One cache line in the mbuf's private area. Which fields hold is said beside the node that sets them. */
struct dp_pkt {
	uint32_t endpoint;   // classify: source's index; fanout/rtcp_out: destination's
	uint32_t track;      // rtp_in: index
	uint32_t sub;        // fanout: index
	uint16_t port;       // rx: ethdev it came from; tx: where it goes
	uint8_t layer;       // rtp_in; fanout → rewrite: DP_SENT, of the layers that are sent
	uint8_t pt_slot;     // rtp_in: position in the track's pt[]; fanout: in that of what is subscribed to
	uint8_t flags;       // DP_PKT_*
	uint8_t l2_len;      // classify: Ethernet header with VLAN tags, kept in front of the data for STUN answers
	uint8_t l3_len;
	uint8_t red_slot;    // rtp_in, with red: position of its primary block's type in the track's pt[]; 255: it has none
	uint16_t hdr_len;    // RTP header with extensions, bytes; in, restored from RTX: the OSN too
	uint16_t payload_len;// RTP payload without padding
	uint32_t ts;         // RTP timestamp, publisher's
	uint32_t ssrc;       // rtp_in: publisher's SSRC (of the original stream); rewrite: ours
	uint64_t index;      // SRTP packet index: extended sequence number (in: publisher's; out: ours)
	struct rte_mbuf *src;// fanout: the shared plaintext that this egress packet takes its payload from
	uint32_t ast;        // rtp_in: abs-send-time of its arrival
	uint8_t pt;          // rewrite: payload type to send
	uint8_t frame;       // rtp_in: DP_FRAME_*
	uint16_t red;        // rtp_in: bytes of the payload in front of the primary block (RFC 2198); 0: it is no RED
	uint64_t at_ns;      // srtp_in: now_ns of the walk that it arrived in
};
_Static_assert(sizeof(struct dp_pkt) == RTE_CACHE_LINE_SIZE, "one cache line");
enum {
	DP_PKT_KEY = 1,     // starts a key frame (video), or audio
	DP_PKT_MARKER = 2,
	DP_PKT_RTX = 4,     // in: restored from RTX; out: to be sent as RTX
	DP_PKT_RTCP = 8,
};
static inline struct dp_pkt *dp_pkt(struct rte_mbuf *m)
{
	return (struct dp_pkt *)(m + 1);
}

/* Who receives a track on one worker: made by the control thread, never changed, replaced under RCU. */
struct dp_fanout {
	uint32_t n;
	uint32_t sub[]; // indexes, grouped by nothing
};

/* A resolved way to a peer: the whole header to put in front of a payload, made by route.c, replaced under RCU. On a
 * cache line of its own; IPv4 without VLAN tags needs no second one. */
struct dp_path {
	uint8_t len, l2_len, l3_len; // of header
	uint8_t family;      // 4 or 6
	uint16_t port;       // ethdev
	uint16_t mtu;
	uint64_t ol_flags;   // 0: compute checksums in software; else the NIC does: or these into mbuf ol_flags, set
	                     // l2_len and l3_len, and leave the folded pseudo header sum with length in the UDP checksum
	uint16_t pseudo;     // sum of the pseudo header without the length, of the UDP ports too unless ol_flags; and
	uint16_t ip_sum;     // of the IPv4 header: both by dp_path_set()
	bool reachable;      // false: the neighbour is not resolved (yet): drop_no_neighbour
	bool routed;         // false: the kernel has no route: drop_no_route
	uint8_t header[72];  // Ethernet, IP, UDP; lengths and checksums zero, offsets above
};

struct dp_worker {
	unsigned index;      // 0..workers-1
	unsigned lcore;
	uint64_t now_ns;     // CLOCK_MONOTONIC, once a walk
	uint64_t ntp_now;    // wall clock as NTP 32.32, once a walk
	uint64_t random;     // xorshift state; seeded from getrandom
	uint64_t *stat;      // own row of sh_stats.v
	struct sh_hist *latency; // own row of sh_stats; NULL: not wanted
	uint64_t walk_tsc;   // CPU counter that now_ns is of; and
	uint64_t tsc_ns;     // ns a count since then, 32.32
	struct rte_graph *graph;
	struct rte_mempool *pool;
	struct dp_srtp_batch *srtp;   // crypto context of this thread
	uint64_t frames;     // taken from ports so far (port.c)
	uint16_t udp_port;   // host order
	uint16_t n_ports;
	uint16_t ports[DP_PORTS_MAX]; // ethdevs, for dp_port_rx and dp_port_tx
	struct rte_ring *handover; // others → me: whole frames for my UDP port (struct rte_mbuf *). The loop of whoever
	                           // put something into another's ring wakes that worker after the walk
	struct rte_ring *fanin;    // others → me: plaintext RTP of tracks that I have subscribers of
	struct rte_ring *inject;   // control → me: payloads to send (dp_pkt.endpoint set, data = UDP payload)
	struct rte_ring *punt;     // me → control: DTLS payloads (dp_pkt.endpoint set), and notes
	bool punted;         // something was put into punt in this walk: the worker loop wakes control after it
	void *node;          // node/'s own per-worker state (histories, NACK trackers, RTCP schedule, scratch)
};
/* RTE_PER_LCORE pointer of the calling worker; NULL on the control thread. */
extern __thread struct dp_worker *dp_self;
/* All workers by index, NULL: no such worker. Set before any lcore starts, cleared after all stopped: others are
 * reached through their handover and fanin rings (multi-producer) only. */
extern struct dp_worker *dp_workers[SH_MAX_WORKERS];

#define DP_COUNT(w, sym, k) ((w)->stat[SH_STAT_##sym] += (k))

/* ---- tables (table/): worker side, inside a graph walk only; indexes, not ids ---- */
extern struct sh_slabs dp_slabs;                 // the mapping, rw
/* Endpoint that owns our ufrag, or -1. */
int dp_endpoint_by_ufrag(const uint8_t *ufrag, uint32_t len);
/* Endpoint with this nominated remote on this worker, or -1. Worker-private: dp_tuple_set is the owner's. */
int dp_endpoint_by_tuple(struct dp_worker *w, const struct sh_addr *remote);
/* For many lookups: asks the memory for the first one's place; and, when that has arrived, for the state of the endpoint
 * that seems to be there. */
void dp_tuple_prefetch(struct dp_worker *w, const struct sh_addr *remote);
void dp_tuple_prefetch_endpoint(struct dp_worker *w, const struct sh_addr *remote);
int dp_tuple_set(struct dp_worker *w, uint32_t endpoint, const struct sh_addr *local, const struct sh_addr *remote);
void dp_tuple_clear(struct dp_worker *w, uint32_t endpoint);
/* What sending to an endpoint needs. Control: rw, workers: ro. */
struct dp_peer {
	struct dp_srtp_session *session;
	const struct dp_path *path;
};
extern struct dp_peer *dp_peers; // by endpoint
/* Session keys of an endpoint, NULL before DTLS is done. */
static inline struct dp_srtp_session *dp_session(uint32_t endpoint)
{
	return __atomic_load_n(&dp_peers[endpoint].session, __ATOMIC_ACQUIRE);
}
/* Path towards an endpoint's nominated remote; NULL until the control thread resolved it. */
static inline const struct dp_path *dp_path(uint32_t endpoint)
{
	return __atomic_load_n(&dp_peers[endpoint].path, __ATOMIC_ACQUIRE);
}
/* Subscribers of a track on worker w (NULL: none) and the set of workers that have some. */
const struct dp_fanout *dp_fanout(uint32_t track, unsigned worker);
uint32_t dp_fanout_workers(uint32_t track); // bit w
/* Whose packets a subscription to `track` gets: its own, or if it is a slot, its source's, changing as people speak;
 * -1: nobody is in it. */
static inline int dp_source_of(uint32_t track)
{
	const struct sh_track *t = &dp_slabs.track[track];
	uint32_t source;

	if (__builtin_expect(!(t->set.flags & SH_TRACK_SLOT), 1))
		return (int)track;
	source = atomic_load_explicit(&t->source, memory_order_acquire);
	return source ? (int)SH_ID_INDEX(source) : -1;
}
/* Counts the changes of a slot's source: one that comes again is not to be taken for one that stayed. */
uint32_t dp_slot_turn(uint32_t slot);
/* Tracks of an endpoint, and subscriptions towards it: RTCP and SSRC demultiplexing walk them. Immutable lists. */
const struct dp_fanout *dp_endpoint_tracks(uint32_t endpoint);
const struct dp_fanout *dp_endpoint_subs(uint32_t endpoint);
/* Subscription by our SSRC or RTX SSRC within an endpoint, or -1 (for RR, NACK, PLI from a subscriber). */
int dp_sub_by_ssrc(uint32_t endpoint, uint32_t ssrc, bool *rtx);
/* Endpoints owned by a worker, for its timers (RTCP, consent): immutable list. */
const struct dp_fanout *dp_worker_endpoints(unsigned worker);

/* ---- notes: worker → control, through the punt ring, for what becomes an event or a table change. In the ring a
 * note is no packet but a number (run.h) ---- */
enum dp_note_type { DP_NOTE_ICE, DP_NOTE_TRACK };
/* Tell control that an endpoint's ICE state or 5-tuple (path to resolve), or a track's activity, changed; the
 * details are read from the slab. Never blocks; a lost one is caught by control's periodic scan. */
void dp_notify(struct dp_worker *w, enum dp_note_type type, uint32_t index);
/* A key frame asked for from outside the publisher's worker (subscriber elsewhere, or the daemon): sets a flag that
 * the publisher's worker sees in its timer node. Any worker or control. */
void dp_keyframe_request(uint32_t track, unsigned layer);
/* The same, taken by the publisher's worker: bit l = layer l wanted since the last call. */
uint32_t dp_keyframe_take(uint32_t track);

/* ---- port.c: frames in and out, for the rx and tx nodes; they never call ethdev themselves ---- */
/* Takes up to n frames of port w->ports[i] from every queue that this worker polls. What is not media on a port whose
 * kernel twin is a TAP has been passed on to it already. dp_pkt is not cleared, except port, which is set. */
uint16_t dp_port_rx(struct dp_worker *w, unsigned i, struct rte_mbuf **m, uint16_t n);
/* Sends finished frames on an ethdev; returns how many were taken, the rest stay the caller's. A worker without a
 * TX queue of its own hands them to the worker that has one. One segment each. */
uint16_t dp_port_tx(struct dp_worker *w, uint16_t port, struct rte_mbuf **m, uint16_t n);

/* ---- node/ → worker.c ---- */
/* Names of the nodes of a worker's graph, in packet order; node/ keeps the list. */
extern const char *const dp_node_names[];
extern const unsigned dp_node_count;
/* Per-worker state of the nodes; control thread, before the lcore starts / after it stopped. */
int dp_nodes_init(struct dp_worker *w);
void dp_nodes_free(struct dp_worker *w);
/* Entry `index` of a slab was removed or (re)configured: owner worker drops what it kept for it (history mbufs, NACK
 * state). Called on the owner worker between walks, before the entry is wiped. */
void dp_nodes_forget_endpoint(struct dp_worker *w, uint32_t index);
void dp_nodes_forget_track(struct dp_worker *w, uint32_t index);
void dp_nodes_forget_sub(struct dp_worker *w, uint32_t index);
