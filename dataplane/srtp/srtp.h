/* SRTP and SRTCP (RFC 3711, RFC 7714), batches in and out, over one of two backends:
 *   ipsec_mb  Intel multi-buffer library, x86-64; the default
 *   libsrtp2  the reference that the fast one is compared to, bit by bit, and for other CPUs. It
 *             allocates inside its calls and costs micro-seconds a packet
 *
 * The crypto here is a pure function of (keys, index, packet): which index a packet has, replay
 * windows and roll-over counters are the caller's (dataplane/rtp). On the sending side the caller
 * never uses one index twice with one session and SSRC: the IV is made of these three.
 *
 * Threads. A backend is chosen once at start. A session is made and wiped by the control thread,
 * while no worker can see it; then it belongs to one worker, its endpoint's. A batch context
 * belongs to one worker. protect and unprotect make no allocation (ipsec_mb), take no lock and make
 * no system call. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "shared/limits.h"
#include "shared/secret.h"

/* Bytes that protect adds to RTP and RTCP at most: free room that dst must have behind len. */
enum { DP_SRTP_TRAILER_MAX = 16, DP_SRTCP_TRAILER_MAX = 20 };

enum {
	DP_SRTP_HDR_MIN = 12, // RFC 3550 §5.1
	DP_SRTCP_HDR_MIN = 8, // RTCP bytes that stay in clear (RFC 3711 §3.4)
	DP_SRTP_SESSION_BYTES = 1216,
	DP_SRTP_RX_BYTES = 1024,
};
#define DP_SRTP_INDEX_MAX  ((UINT64_C(1) << 48) - 1)
#define DP_SRTCP_INDEX_MAX ((UINT64_C(1) << 31) - 1)

/* What received RTP is decrypted with, expanded: most of what an endpoint's keys take, and of no
 * use to one that only listens. Process-private, an array of the caller's as sessions are. */
struct dp_srtp_rx {
	_Alignas(64) uint8_t priv[DP_SRTP_RX_BYTES];
};

/* Session keys of one endpoint, both ways, RTP and RTCP: expanded for the RTP that is sent, all
 * others expanded as far as they are needed often. Process-private, never in the slabs. Sessions
 * lie in one array of the caller's, 64-byte aligned, on huge pages when there are any. The head is
 * for reading; the rest is the backend's. */
struct dp_srtp_session {
	_Alignas(64) uint16_t profile; // enum sh_srtp_profile; SH_SRTP_NONE: no keys
	uint8_t rtp_trailer;           // bytes that protect adds: 16, 10 or 4
	uint8_t rtcp_trailer;          // 20 or 14
	uint8_t pad[4];
	struct dp_srtp_rx *rx; // dp_srtp_session_receive(); NULL: none
	uint8_t priv[DP_SRTP_SESSION_BYTES - 16];
};
_Static_assert(sizeof(struct dp_srtp_session) == DP_SRTP_SESSION_BYTES, "whole cache lines");

/* One packet. All pointers are the caller's.
 *
 * protect: dst holds the finished header (RTP: hdr_len = 12 + CSRCs + extension, RTCP: 8 bytes,
 * hdr_len is not read). The plaintext payload, len - hdr_len bytes, is read from src and its
 * ciphertext is written behind the header, then the trailer; src == dst + hdr_len encrypts in
 * place, and any other overlap is forbidden. src is never written otherwise: many ops may share it.
 * DP_SRT(C)P_TRAILER_MAX bytes behind dst[len] must be writable.
 *
 * unprotect: in place in dst; src is not read. The header was parsed by the caller, who alone
 * vouches that hdr_len lies behind CSRCs and extension. After -EBADMSG the content of dst is
 * undefined.
 *
 * index: RTP: roc << 16 | seq, 0..2^48-1, in. SRTCP: 0..2^31-1; protect: in (start at 1: libsrtp
 * cannot send 0, and refuses it with -EINVAL); unprotect: out, read from the packet, and to be
 * believed when status is 0 only. */
struct dp_srtp_op {
	const struct dp_srtp_session *session;
	const uint8_t *src; // protect: plaintext behind the header
	uint8_t *dst;       // first byte of the RTP or RTCP header
	uint64_t index;
	uint16_t len;     // in: bytes of the packet, header included
	uint16_t hdr_len; // in, RTP: header bytes that stay in clear, 12..len
	uint16_t out_len; // out: bytes of the packet now; 0 when status is not 0
	int16_t status;   // out: 0; -EBADMSG: tag wrong; -EINVAL: lengths or index, or no keys
};

struct dp_srtp_backend; // chosen by name at start, static
struct dp_srtp_batch;   // a worker's context: multi-buffer manager and scratch

/* "ipsec_mb", "libsrtp2"; NULL: no such backend, or this CPU cannot run it. Initialises the library
 * on first use. Control thread. */
const struct dp_srtp_backend *dp_srtp_backend_find(const char *name);
const char *dp_srtp_backend_name(const struct dp_srtp_backend *backend);

/* A worker's context; at start. 0, -ENOMEM, -ENOTSUP. Free with dp_srtp_batch_free(), which takes
 * NULL. */
int dp_srtp_batch_new(struct dp_srtp_batch **out, const struct dp_srtp_backend *backend);
void dp_srtp_batch_free(struct dp_srtp_batch *batch);

/* Derives the session keys (RFC 3711 §4.3, AES-256: RFC 6188) from the master keys and salts of
 * both directions: rx is the peer's, tx is ours. Control thread; the session's memory must be
 * 64-byte aligned, and wiped or zero. 0, -EINVAL (profile), -ENOMEM (libsrtp2). */
int dp_srtp_session_init(const struct dp_srtp_backend *backend, struct dp_srtp_session *session,
                         uint16_t profile, const struct sh_srtp_secret *rx,
                         const struct sh_srtp_secret *tx);
/* Much RTP will come: with AES-GCM its keys are expanded into *rx, once, instead of for each packet
 * (100 ns). rx is zero, and the session's until that is wiped. False: the session needs none, or
 * has one, and rx stays the caller's. Control thread; a worker may use the session meanwhile. */
bool dp_srtp_session_receive(const struct dp_srtp_backend *backend, struct dp_srtp_session *session,
                             struct dp_srtp_rx *rx);
/* Wipes the keys, those in session->rx too, which is the caller's again; a zeroed or wiped session
 * is fine. Control thread, when no worker can see the session. */
void dp_srtp_session_wipe(const struct dp_srtp_backend *backend, struct dp_srtp_session *session);

/* Worker. Each op gets its status, a bad one does not hurt its neighbours; returns how many are 0.
 * Sessions and profiles may be mixed. HMAC-SHA1 runs many packets side by side, so give all that
 * there are. */
unsigned dp_srtp_protect(struct dp_srtp_batch *batch, struct dp_srtp_op *ops, unsigned n);
unsigned dp_srtp_unprotect(struct dp_srtp_batch *batch, struct dp_srtp_op *ops, unsigned n);
/* SRTCP (RFC 3711 §3.4, RFC 7714 §9). Always sent encrypted (E = 1); an authentic packet with E = 0
 * is taken as the RFC defines it. len covers the whole compound. */
unsigned dp_srtcp_protect(struct dp_srtp_batch *batch, struct dp_srtp_op *ops, unsigned n);
unsigned dp_srtcp_unprotect(struct dp_srtp_batch *batch, struct dp_srtp_op *ops, unsigned n);

/* Bytes of master key (16, 32) and salt (14, 12) of a profile; 0 for an unknown one. Any thread. */
unsigned dp_srtp_key_len(uint16_t profile);
unsigned dp_srtp_salt_len(uint16_t profile);

/* Trailer bytes of a received packet; what is shorter than header + this cannot be valid. */
static inline unsigned dp_srtp_rtp_trailer(const struct dp_srtp_session *session)
{
	return session->rtp_trailer;
}

/* For a node that knows long before which sessions a batch will use: within a call the keys of its
 * first DP_SRTP_FIRST packets cannot be fetched ahead of time. First the head of each session,
 * then, when that has arrived, the keys that protect reads for a prepared op. */
enum { DP_SRTP_FIRST = 8 };
static inline void dp_srtp_prefetch(const struct dp_srtp_session *session)
{
	__builtin_prefetch(session);
}
void dp_srtp_prefetch_keys(struct dp_srtp_batch *batch, const struct dp_srtp_op *op);
/* What srtcp_protect will read of a session, behind its head. */
void dp_srtcp_prefetch_keys(struct dp_srtp_batch *batch, const struct dp_srtp_session *session);

/* The index that a received SRTCP packet claims, before authentication, so that replays can be
 * dropped cheaply. 0, -EINVAL: too short. */
int dp_srtcp_peek_index(const struct dp_srtp_session *session, const uint8_t *packet, unsigned len,
                        uint32_t *index);
