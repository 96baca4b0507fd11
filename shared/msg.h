/* Bodies of the ring messages (msg.def). Fixed-width integers, host byte order (both ends are one host),
 * explicit padding (must be zero; the receiver refuses otherwise), sizes asserted. Strings are byte arrays
 * with a length beside them, not NUL-terminated. An id is an sh_id; index and generation are the daemon's
 * to assign. Unless said otherwise, time is CLOCK_MONOTONIC in nanoseconds. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "shared/addr.h"
#include "shared/limits.h"
#include "shared/ring.h"
#include "shared/secret.h"

enum { SH_MSG_VERSION = 2, SH_MSG_TYPES_MAX = 64 };

enum sh_msg_type {
#define X(num, sym, suffix, dir, flags, doc) SH_MSG_##sym = num,
#include "shared/msg.def"
#undef X
};

/* Hello. size[t] = sizeof the body of message t, 0 for unused numbers: any difference refuses the peer.
 * epoch: random, new at each start of that process. */
struct sh_msg_c_hello {
	uint32_t version;
	uint32_t pid;
	uint64_t epoch; // the daemon's
	uint16_t size[SH_MSG_TYPES_MAX];
};

struct sh_msg_e_hello {
	uint32_t version;
	uint32_t pid;
	uint64_t epoch;        // the dataplane's
	uint64_t slab_epoch;   // changes only when the slabs were created anew (their content was lost)
	uint64_t daemon_epoch; // of the daemon whose COMMIT was applied last; 0: none
	uint32_t max_endpoints, max_tracks, max_subs; // slab sizes, entries
	uint16_t base_port;    // worker w receives media on UDP base_port + w
	uint8_t workers;       // 1..SH_MAX_WORKERS
	uint8_t addrs;         // entries used in addr[]
	struct sh_addr addr[SH_MAX_ADDRS]; // host candidates; port 0
	uint16_t size[SH_MSG_TYPES_MAX];
};

struct sh_msg_begin {
	uint64_t txn; // daemon's, increasing
};

struct sh_msg_endpoint_set {
	sh_id id;
	uint8_t worker;       // 0..workers-1; fixed for the endpoint's life
	uint8_t ufrag_len;    // 4..SH_UFRAG_MAX
	uint8_t pwd_len;      // 22..SH_PWD_MAX
	uint8_t flags;        // SH_EP_*
	uint8_t ufrag[SH_UFRAG_MAX]; // ours: the part before ':' in USERNAME of checks sent to us; unique
	uint8_t pwd[SH_PWD_MAX];     // ours: key of MESSAGE-INTEGRITY of checks sent to us
	uint8_t ext_id[SH_EXT_COUNT]; // 1..14 (one byte) or 15..255 (two-byte form); 0: not negotiated
	uint8_t ext_two_byte; // 1: a=extmap-allow-mixed, so two-byte headers may be sent
	uint8_t pad[3];
	uint32_t rtcp_ssrc;   // SSRC of RTCP that we send of our own accord (RR, PLI, NACK)
	uint32_t owner;       // the daemon's number of whose transport it is: nobody is sent back what is its own by way of
	                      // a slot; 0: nobody's
	uint8_t cname_len, pad2[3];
	uint8_t cname[32];    // SDES CNAME that we send
};
enum {
	SH_EP_RTCP_RSIZE = 1, // RFC 5506 negotiated
	SH_EP_TWCC = 2,       // a=rtcp-fb transport-cc agreed: feedback about ext TWCC goes to it, or comes from it
	SH_EP_REMB = 4,       // a=rtcp-fb goog-remb agreed
};

struct sh_msg_endpoint_keys {
	sh_id id;
	uint16_t profile; // enum sh_srtp_profile
	uint16_t pad;
	struct sh_srtp_secret rx; // the peer's master key and salt: we decrypt with it
	struct sh_srtp_secret tx; // ours
};

/* A payload type of a track as its publisher numbers it. Position in pt[] is the slot that
 * sub_set.pt[] mirrors. apt_slot: for RTX the slot of the codec it repairs (RFC 4588 apt), else 255. */
struct sh_track_pt {
	uint8_t pt;    // 0..127; 255: slot unused
	uint8_t codec; // enum sh_codec
	uint8_t apt_slot;
	uint8_t pad;
	uint32_t clock_hz;
};

/* One simulcast encoding. ssrc/rtx_ssrc as signaled in SDP, or 0: learned from MID (and RID) of an
 * authenticated packet. rid_len 0: no simulcast, one layer. Layers go from low to high quality. */
struct sh_track_layer {
	uint32_t ssrc, rtx_ssrc;
	uint8_t rid_len, pad[3];
	uint8_t rid[SH_MID_MAX];
};

struct sh_msg_track_set {
	sh_id id;
	sh_id endpoint; // publisher; fixed for the track's life; 0: a slot
	uint32_t group; // tracks whose loudness is compared (a room), the daemon's number; fixed; 0: none
	uint8_t kind;   // enum sh_kind
	uint8_t layers; // 1..SH_MAX_LAYERS; of a slot SH_MAX_LAYERS for video, 1 for audio
	uint8_t mid_len;
	uint8_t flags;  // SH_TRACK_*
	uint8_t slot;   // SH_TRACK_SLOT: place, unique in its group and kind; fixed. Sources keep theirs while they stay
	uint8_t pad[3];
	uint8_t mid[SH_MID_MAX];
	struct sh_track_pt pt[SH_MAX_PTS];
	struct sh_track_layer layer[SH_MAX_LAYERS];
};
enum {
	SH_TRACK_NACK = 1,  // generic NACK negotiated with the publisher: we may ask it for losses
	SH_TRACK_PLI = 2,   // nack pli negotiated
	SH_TRACK_FIR = 4,   // ccm fir negotiated
	SH_TRACK_MUTED = 8, // said by signaling: silence is not a fault
	/* A slot publishes nothing itself: it stands for the track of its group and kind that the dataplane puts into it,
	 * the loudest (audio), or of those who spoke last (video). Subscriptions to it are as to any track; its payload
	 * type slots are by codec, and what a source sends in another codec than any of them is not forwarded. */
	SH_TRACK_SLOT = 16,
	SH_TRACK_FOLLOW = 32, // may be put into a slot of its group
};

struct sh_msg_sub_set {
	sh_id id;
	sh_id track, endpoint;  // fixed for the subscription's life, but that it may go from slot to slot of a group and kind
	uint32_t ssrc, rtx_ssrc; // ours towards the subscriber; rtx_ssrc 0: no RTX negotiated
	uint8_t pt[SH_MAX_PTS]; // slot → payload type towards the subscriber; 255: not forwarded
	uint8_t mid_len;
	uint8_t flags;          // SH_SUB_*
	uint8_t max_layer;      // highest quality to send, 0..SH_MAX_LAYERS-1
	uint8_t max_temporal;   // highest temporal layer, 0..SH_MAX_TEMPORAL-1
	uint8_t mid[SH_MID_MAX]; // m-line of the subscriber that carries it
	uint16_t want_height;   // pixels that it will be shown with: no layer above the first that reaches it; 0: any
	uint8_t priority;       // 0 (usual) to 255: who gets bandwidth first
	uint8_t pad;
};
enum {
	SH_SUB_PAUSED = 1, // keep it, forward nothing
	SH_SUB_NACK = 2,   // subscriber may send generic NACK: keep history for it
};

/* May a subscription go from one to the other? Its stream goes on: SSRC, numbers and timestamps. */
static inline bool sh_msg_slots_alike(const struct sh_msg_track_set *a, const struct sh_msg_track_set *b)
{
	return (a->flags & b->flags & SH_TRACK_SLOT) && a->group == b->group && a->kind == b->kind;
}

struct sh_msg_del {
	sh_id id;
	uint8_t what; // SH_DEL_*; an endpoint takes its tracks and subscriptions with it, a track its subscriptions
	uint8_t pad[3];
};
enum { SH_DEL_ENDPOINT = 1, SH_DEL_TRACK = 2, SH_DEL_SUB = 3 };

struct sh_msg_commit {
	uint64_t txn;
	uint32_t records; // staged since BEGIN; a different count refuses the transaction
	uint32_t full;    // 1: a replay of everything; entries not named are removed, equal ones not touched
};

struct sh_msg_packet {
	sh_id endpoint;
	uint16_t len; // 1..SH_PACKET_MAX
	uint16_t pad;
	uint8_t data[SH_PACKET_MAX];
};

struct sh_msg_keyframe {
	sh_id track;
};

struct sh_msg_committed {
	uint64_t txn;
	int32_t error;   // 0, or -errno of the first refused record: then nothing was applied
	uint32_t record; // its position since BEGIN, from 0
};

enum sh_ice_state { SH_ICE_NEW = 0, SH_ICE_CONNECTED = 1, SH_ICE_DISCONNECTED = 2 /* consent lost, RFC 7675 */ };
struct sh_msg_endpoint_state {
	sh_id id;
	uint8_t ice; // enum sh_ice_state
	uint8_t pad[3];
	struct sh_addr local, remote; // nominated pair; family 0 before
};

struct sh_msg_track_state {
	sh_id id;
	uint8_t layer_active; // bit l: layer l had packets within the last second
	uint8_t pad[3];
	uint32_t ssrc[SH_MAX_LAYERS]; // as learned, 0 = not yet
};

/* Sources of slots, by place; 0: nobody in it. */
struct sh_msg_speakers {
	uint32_t group;
	sh_id dominant; // audio track; 0: nobody has spoken yet
	uint8_t audio_slots, video_slots;
	uint8_t pad[2];
	sh_id audio[SH_MAX_AUDIO_SLOTS], video[SH_MAX_VIDEO_SLOTS];
};

struct sh_msg_track_watch {
	sh_id id;
	uint8_t layers; // bit l: somebody is sent layer l, or would be if it were there
	uint8_t pad[3];
};

enum { SH_QUALITY_TRACK = 1, SH_QUALITY_SUB = 2, SH_QUALITY_ROWS = 64 };
/* One stream: a layer of a track as we receive it, or a subscription as its subscriber does. */
struct sh_quality_row {
	sh_id id;
	uint8_t what, layer; // SH_QUALITY_*
	uint8_t lost;        // of the last second's packets, 1/256
	uint8_t mos;         // G.107, times 10: 10..45; audio only, else 0
	uint32_t bps;        // payload
	uint16_t jitter_ms, rtt_ms;
};
struct sh_msg_quality {
	uint16_t rows; // 1..SH_QUALITY_ROWS
	uint16_t pad;
	struct sh_quality_row row[SH_QUALITY_ROWS];
};

/* Bodies are put whole, but for the packets, which are cut after len bytes of data. */
static inline uint32_t sh_msg_packet_size(uint32_t len)
{
	return (uint32_t)__builtin_offsetof(struct sh_msg_packet, data) + len;
}

/* Sizes of all messages, index = type, for the hello. */
void sh_msg_sizes(uint16_t size[SH_MSG_TYPES_MAX]);
/* Name of a type ("endpoint_set"), or "?" . */
const char *sh_msg_name(unsigned type);
/* Flags that a record of this type must carry (SH_REC_SECRET or 0), and its direction: 'C', 'E', 0: no such type. */
uint16_t sh_msg_flags(unsigned type);
char sh_msg_direction(unsigned type);
/* Shape check by type: length, padding, lengths within arrays, enums in range. 0 or -EINVAL / -ENOENT (no
 * such type) / -EMSGSIZE. body is 8-aligned private memory: the peer must not be able to change it meanwhile
 * (sh_ring_take). Says nothing about whether the ids exist. Both receivers call it first. */
int sh_msg_check(unsigned type, const void *body, uint32_t len);
/* The peer's first record: is it the hello that we expect, from a build with our version and sizes? Called in
 * place of sh_msg_check(), as another version's hello may have another shape. 0 or -EPROTO with why[] saying
 * what differs, for the log. */
int sh_msg_hello_check(unsigned want, unsigned type, const void *body, uint32_t len, char *why, size_t size);
/* Lengths of the master key and salt in struct sh_srtp_secret, bytes. false: no such profile. */
bool sh_srtp_profile_lens(unsigned profile, unsigned *key, unsigned *salt);
