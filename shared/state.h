/* State slabs: everything the dataplane knows of a session, pointer-free, in one shared mapping that
 * outlives both processes (a file on tmpfs). The dataplane maps it read-write; the daemon and callstackctl
 * map it read-only (it holds keys: mode 0600, owned by the dataplane's user).
 *
 * Writers. Each entry has a config part, written by the dataplane's control thread only while `state` is not
 * LIVE or by the rules noted, and a live part, written only by the worker that owns the entry's endpoint
 * (a track: its publisher's worker; a subscription: its subscriber's). Anyone may read counters, torn or not:
 * they are single aligned words.
 *
 * Life of an entry: FREE → (config written) → LIVE → DEAD (removed from the indexes) → every worker was
 * quiescent → wiped → FREE. After a crash the next dataplane rebuilds its indexes from the LIVE entries
 * and wipes the others. */
#pragma once
#include <stdbool.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include "shared/addr.h"
#include "shared/hist.h"
#include "shared/limits.h"
#include "shared/msg.h"
#include "shared/quality.h"
#include "shared/secret.h"
#include "shared/stats.h"

enum sh_slab_state { SH_FREE = 0, SH_LIVE = 1, SH_DEAD = 2 };

/* SRTP receive state of one SSRC (RFC 3711 §3.2.1): index = roc << 16 | seq, newest authenticated one. */
struct sh_rx_crypto {
	uint64_t index;                       // highest authenticated packet index
	uint64_t window[SH_REPLAY_BITS / 64]; // bit (i mod SH_REPLAY_BITS): index i was seen
	uint8_t started, pad[7];
};

/* SRTCP receive state of one sender SSRC: each is a cryptographic context with an index of its own (RFC 3711
 * §3.4), and a browser sends RTCP from every SSRC that it sends media with. */
struct sh_rx_srtcp {
	uint32_t ssrc;
	uint32_t index; // highest authenticated, 31 bits
	uint64_t window[SH_REPLAY_RTCP_BITS /
	                64]; // bit (i mod SH_REPLAY_RTCP_BITS): index i was seen; 0: free
};

/* One incoming SSRC: a layer's media or its RTX. Worker: rw. */
struct sh_rx_stream {
	uint32_t ssrc; // 0: not seen yet
	uint32_t clock_hz;
	uint64_t packets, bytes; // authenticated; bytes of payload
	/* RFC 3550 A.3/A.8 */
	uint32_t base_ext_seq, max_ext_seq; // extended sequence numbers
	uint32_t received, expected_prior, received_prior;
	uint32_t jitter_q4;                 // RTP units, times 16
	uint32_t transit;                   // last relative transit, RTP units
	/* for SR towards subscribers and DLSR towards the publisher (RFC 3550 §6.4.1) */
	uint64_t sr_ntp;     // NTP time of the publisher's last SR, 32.32
	uint32_t sr_rtp;     // its RTP timestamp
	uint32_t frames;     // packets that end a frame (RTP marker), those restored from RTX too
	uint64_t sr_at_ns;   // when it arrived; 0: none yet
	uint64_t last_at_ns; // when the last packet arrived
	uint64_t pli_at_ns;  // when we last asked for a key frame
	uint64_t key_frames, nacks_sent, plis_sent, recovered; // recovered: by RTX
	uint8_t pt_slot, pad[7]; // position in the track's pt[] of the last packet
	struct sh_rx_crypto crypto;
};

/* What a subscriber's link bears, as far as we know; a publisher's, as told to it by REMB or left to it by TWCC. */
struct sh_bwe {
	uint32_t estimate_bps; // what may be sent to it; 0: no estimate
	uint32_t remb_bps;     // as it says itself; 0: it does not
	uint32_t allocated_bps, wanted_bps; // by its subscriptions now; if all had what they want
	uint32_t rtt_us;       // of transport feedback; 0: unknown
	uint32_t queue_us;     // how long packets wait for their turn here (pacer)
	uint8_t loss;          // 1/256
	uint8_t overuse, pad[6]; // enum dp_bwe_usage
	uint64_t feedbacks, probes, padding_bytes, overuses;
};

struct sh_endpoint {
	/* config — control: rw, workers: ro */
	_Alignas(64) _Atomic uint8_t state; // enum sh_slab_state
	uint8_t pad0[3];
	struct sh_msg_endpoint_set set;
	struct sh_msg_endpoint_keys keys; // profile NONE until ENDPOINT_KEYS
	/* live — owning worker: rw; the first cache line is what each packet to or from it touches */
	_Alignas(64) uint32_t ice; // enum sh_ice_state
	uint32_t twcc_tx_seq;    // next transport-wide sequence number
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes; // datagrams, UDP payload bytes
	uint64_t consent_at_ns;  // last authenticated check from `remote`
	uint64_t rtcp_at_ns;     // when we last sent a compound report
	uint32_t srtcp_tx_index; // 31 bits; the newest used (RFC 3711 §3.4)
	uint32_t linked;         // its id: its worker estimates and paces what is sent to it; 0: it does not
	struct sh_addr local, remote; // nominated pair
	struct sh_rx_srtcp srtcp_rx[SH_SRTCP_SSRCS]; // one a sender SSRC, the newest heard first
	int64_t ntp_skew;        // our NTP clock − the peer's, 32.32 s, from its SRs; 0: unknown
	struct sh_bwe bwe;
};
_Static_assert(offsetof(struct sh_endpoint, local) - offsetof(struct sh_endpoint, ice) == 64, "one cache line");

struct sh_track {
	_Atomic uint8_t state;
	uint8_t pad0[3];
	struct sh_msg_track_set set; // control: rw, workers: ro
	/* live — publisher's worker: rw */
	struct sh_rx_stream media[SH_MAX_LAYERS];
	struct sh_rx_stream rtx[SH_MAX_LAYERS];
	uint32_t fir_seq; // next command sequence number (RFC 5104 §4.3.1.1)
	uint8_t spatial, temporal; // layers in it: SVC has more than one spatial layer in media[0]; 0: not known
	uint8_t level;    // audio: smoothed, −dBov, 0 loudest to 127 silent (RFC 6464)
	uint8_t pad1;
	/* Of just that quality and temporal layer, RTP packets with their headers, in the last second that had any of that
	 * quality: one that pauses keeps what it had, as what it would cost; whether it is there, last_at_ns of its
	 * media[] says, or `spatial`. */
	uint32_t rate_bps[SH_MAX_LAYERS][SH_MAX_TEMPORAL];
	uint16_t width[SH_MAX_LAYERS], height[SH_MAX_LAYERS]; // of its last key frame; 0: not known
	uint32_t key_bytes[SH_MAX_LAYERS]; // of its last key frame, as rate_bps; 0: not known
	uint64_t spoke_at_ns; // when it was last loud enough to be speech
	/* control thread: rw, workers: ro */
	_Atomic uint32_t follower; // id of the slot that it is in; 0: none
	_Atomic uint32_t source;   // a slot: id of the track in it; 0: none
	struct sh_quality quality[SH_MAX_LAYERS]; // of media[]
};

/* The first two cache lines are what each packet touches. */
struct sh_sub {
	_Alignas(64) _Atomic uint8_t state;
	uint8_t pad0[3];
	struct sh_msg_sub_set set; // control: rw, workers: ro
	/* live — subscriber's worker: rw. Outgoing index = roc << 16 | seq, always growing, so that no SRTP index
	 * is used twice with one key; advanced before the packet is encrypted. */
	uint8_t layer;         // the one being sent, of a track with several SSRCs or spatial layers; 255: waiting for a key frame
	uint8_t want_layer;    // switch to it at its next key frame; 255: paused for want of bandwidth
	uint8_t temporal, want_temporal; // the same of temporal layers
	uint8_t ideal_layer;   // that it would have with all the bandwidth it wants
	uint8_t pad1[3];
	uint64_t tx_index;     // newest sent; 0: none yet
	uint64_t seq_offset;   // tx index − publisher's extended index, of the current layer
	uint32_t ts_offset;    // our RTP timestamp − publisher's
	uint32_t last_ts;      // newest sent
	uint64_t last_at_ns;   // when that was
	uint64_t packets, bytes, rtx_packets;
	uint64_t rtx_index;
	uint64_t nacks, nack_misses, plis; // nacks: sequence numbers asked for
	/* the subscriber's view, from its last report block (RFC 3550 §6.4.1) */
	uint32_t rr_lost, rr_jitter; // cumulative packets; RTP units
	uint32_t rr_rtt_us;          // 0: not known yet
	uint8_t rr_fraction;
	uint8_t tl0_offset, keyidx_offset, pad2; // ours − publisher's, of the current layer: TL0PICIDX, KEYIDX (VP8) …
	uint64_t sr_at_ns;     // when we last sent an SR for it
	uint32_t sr_ntp_mid;   // middle 32 bits of its NTP time, to match LSR
	uint16_t pid_offset, frame_offset; // … picture id (VP8, VP9), the Dependency Descriptor's frame number
	uint64_t rr_at_ns;     // when the last report block came; 0: none yet
	/* control thread: rw, workers: ro */
	struct sh_quality quality;
};
_Static_assert(offsetof(struct sh_sub, tx_index) == 64 && offsetof(struct sh_sub, nacks) == 128, "cache lines");

/* Counters of one worker, and one more set for the control thread; index = enum sh_stat. */
struct sh_stats {
	_Alignas(64) uint64_t v[SH_STAT_COUNT]; // its thread: rw; all others: ro
	uint64_t lcore, busy_cycles, idle_cycles, bursts, packets;
	/* Media from arrival to the port's transmit queue: from the begin of the walk that took the packet from the port's
	 * queue until the frames of a burst are handed over for sending, pacing included. What a packet waits in the NIC's
	 * receive queue is not in it, nor are retransmissions. */
	struct sh_hist latency;
};

enum { SH_STATE_MAGIC = 0x4353544bu, SH_STATE_VERSION = 5 };

/* Head of the mapping; offsets are from its start, in bytes, 4096-aligned. */
struct sh_state {
	uint32_t magic, version;
	uint32_t entry_size[3];  // endpoint, track, sub: refuse a mapping of another build
	uint32_t count[3];       // entries
	uint64_t counters;       // sh_stat_names() of stats.def: v[] of another one would go by wrong names
	uint64_t offset[3];
	uint64_t total;          // bytes of the mapping
	uint64_t slab_epoch;     // random, when created
	uint64_t dataplane_epoch; // of the dataplane that last attached
	uint64_t daemon_epoch;   // of the daemon whose COMMIT was applied last
	uint64_t tsc_hz;
	uint32_t workers, base_port;
	uint64_t heartbeat_ns;   // control thread, CLOCK_MONOTONIC, at least once a second
	struct sh_stats stats[SH_MAX_WORKERS + 1]; // the last is the control thread's
	struct sh_quality_sum quality[SH_MAX_WORKERS][SH_QUALITY_WAYS]; // control thread: rw
};

/* A process's view of the mapping: plain pointers, made at attach. */
struct sh_slabs {
	struct sh_state *head;
	struct sh_endpoint *endpoint;
	struct sh_track *track;
	struct sh_sub *sub;
	uint32_t endpoints, tracks, subs;
	int fd;
	uint64_t bytes; // of the mapping
};

#define SH_STATE_FILE "dataplane.state"
/* Where the slabs of that run directory are: in it when it is on tmpfs, else /dev/shm/callstack-HASH.state, as writing to a
 * mapping of a disk's file may wait for the disk, and workers write to it all the time. buf, or NULL: size is too small. */
const char *sh_state_path(char *buf, size_t size, const char *rundir);

/* Dataplane: open or create the file (0600). An existing one of the same shape is kept, one of another shape
 * or of another build is replaced (*created = true). The file is locked while it is open and allocated whole.
 * 0, -EBUSY (another dataplane has it), -EINVAL (a count is not 1..2^20), -ENOSPC, -errno. Control thread. */
int sh_slabs_create(struct sh_slabs *out, const char *path, uint32_t endpoints, uint32_t tracks,
                    uint32_t subs, bool *created);
/* Anyone else: read-only. -ENOENT, -EPROTO (another build's), -errno. */
int sh_slabs_open(struct sh_slabs *out, const char *path);
void sh_slabs_close(struct sh_slabs *s);
