/* What the files of the ipsec_mb backend share. Private to this folder. */
#pragma once
#include <intel-ipsec-mb.h>
#include "dataplane/srtp/backend.h"

enum {
	IMB_QUEUE = 64, // HMAC jobs in flight: 4 times the widest manager's lanes; 64 jobs fit L1
	IMB_AES128_KEYS = 176, // bytes of round keys
	IMB_GCM_KEYS = 240,    // the same, room for AES-256
	IMB_SHA1_TAG = 20,
	IMB_CM_RTCP_TAG = 10,
};

enum { IMB_GCM_SECRET = 32, IMB_GCM_SALT = 16 }; // room: 16 or 32 used, 12 used

/* SRTCP over GCM is rare, and most endpoints only listen: round keys and the powers of the hash key
 * of all SRTCP, and of RTP that is hardly received, are computed again for each packet (100 ns). */
struct imb_gcm_rtcp {
	uint8_t key[IMB_GCM_SECRET];
	uint8_t salt[IMB_GCM_SALT];
};

/* The library's header forgets the alignment that it was built with. */
struct imb_gcm_rtp {
	_Alignas(64) struct gcm_key_data key;
};
_Static_assert(sizeof(struct imb_gcm_rtp) == DP_SRTP_RX_BYTES, "fills it");

struct imb_cm_key {
	_Alignas(64) uint8_t round_keys[IMB_AES128_KEYS];
	uint8_t ipad[20], opad[20]; // SHA-1 state after the first block (RFC 2104 §4)
	uint8_t salt[16];           // 14 used
};

/* A struct dp_srtp_session, as this backend sees it. Index of the arrays: DP_SRTP_TX, DP_SRTP_RX. A
 * worker that sends to 50,000 of them reads the first line and those of gcm.tx only. */
struct imb_session {
	_Alignas(64) struct {
		uint16_t profile;
		uint8_t rtp_trailer, rtcp_trailer, pad[4];
		/* control: rw, worker: ro; NULL: gcm.rx_key is all there is */
		const struct imb_gcm_rtp *rx;
	} head;
	uint8_t gcm_salt[DP_SRTP_WAYS][IMB_GCM_SALT];
	union {
		struct {
			_Alignas(64) struct imb_gcm_rtp tx;
			struct imb_gcm_rtcp rtcp[DP_SRTP_WAYS]; // the first in one line
			uint8_t rx_key[IMB_GCM_SECRET];
		} gcm;
		struct {
			struct imb_cm_key rtp[DP_SRTP_WAYS], rtcp[DP_SRTP_WAYS];
		} cm;
	};
};
_Static_assert(sizeof(struct imb_session) == DP_SRTP_SESSION_BYTES, "fills it");

/* An HMAC job in flight. */
struct imb_pending {
	struct dp_srtp_op *op;
	uint8_t digest[IMB_SHA1_TAG];
	uint8_t want[12]; // unprotect: the tag that the packet carried
};

struct imb_batch {
	struct dp_srtp_batch base;
	IMB_MGR *wide;   // the CPU's widest: 16 lanes of SHA-1 with AVX-512, 8 with AVX2
	IMB_MGR *narrow; // SHA-NI, two lanes: better for a handful of packets; NULL: CPU has none
	unsigned lanes;
	unsigned gcm_lo, gcm_hi; // bytes of a gcm_key_data read for short packets; up to hi for any
	aes_gcm_enc_dec_t gcm_enc[2], gcm_dec[2]; // AES-128, AES-256
	aes_gcm_pre_t gcm_pre[2];
	IMB_JOB cipher; // constant but for what imb_ctr() sets
	unsigned queued;
	unsigned done; // ops of this call with status 0
	struct gcm_context_data gcm_ctx;
	struct imb_gcm_rtp gcm_rare; // of the packet at hand
	struct imb_pending pending[IMB_QUEUE];
	IMB_JOB hash[IMB_QUEUE];
};

void imb_prefetch(struct dp_srtp_batch *batch, const struct dp_srtp_op *op);
void imb_prefetch_rtcp(const struct dp_srtp_session *session);
dp_srtp_run_h imb_protect, imb_unprotect, imb_rtcp_protect, imb_rtcp_unprotect;

/* ipsec_mb.c: session keys of one way, as derived (or as an RFC's vectors give them). salt: 12
 * bytes. Before dp_srtp_session_receive(). */
void imb_gcm_set(struct imb_session *s, unsigned way, bool rtcp, const uint8_t *key,
                 unsigned key_len, const uint8_t *salt);

/* ipsec_mb_cm.c: queue a checked op of an AES-CM profile; draining the queue finishes it. */
void imb_cm_put(struct imb_batch *b, struct dp_srtp_op *op, enum dp_srtp_run run);
void imb_cm_drain(struct imb_batch *b, enum dp_srtp_run run);

static inline const struct imb_session *imb_session(const struct dp_srtp_op *op)
{
	return (const struct imb_session *)(const void *)op->session;
}

/* salt XOR (SSRC at byte `at`, the 48-bit index right behind it); the salt is zero behind its end.
 * Written by one store of 16 bytes: the library reads it with one load, which could not be
 * forwarded from smaller stores. */
static inline void imb_iv(uint8_t iv[16], const uint8_t *salt, const uint8_t *ssrc, uint64_t index,
                          unsigned at)
{
	typedef uint64_t words __attribute__((vector_size(16)));
	unsigned __int128 v;
	words w, s;
	uint32_t be;

	memcpy(&be, ssrc, 4);
	/* x86-64 only: the lowest byte comes first */
	v = (unsigned __int128)be | (unsigned __int128)(htobe64(index << 16)) << 32;
	v <<= 8 * at;
	w = (words){(uint64_t)v, (uint64_t)(v >> 64)};
	memcpy(&s, salt, 16);
	w ^= s;
	memcpy(iv, &w, 16);
}
