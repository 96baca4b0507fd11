/* AES-CM with HMAC-SHA1 (RFC 3711 §4.1.1, §4.2.1) over the ipsec_mb library.
 *
 * AES-CM fills the machine with one packet's blocks, so it is called packet by packet. SHA-1 is a
 * chain: only many packets side by side fill the lanes (AVX-512: 16). The authenticated part is
 * complete in dst after encryption, so packets are encrypted as they come, their HMACs queue up,
 * and run when the queue is full or the batch ends. A last group of a handful runs on SHA-NI
 * instead, where a packet costs 390 ns (1200 B) and not 1,900 ns divided by how many there are. */
#include "dataplane/srtp/ipsec_mb.h"

enum {
	NARROW_MAX = 5,
	WIDE_LANES = 16, // fewer than these lose to SHA-NI (AVX2's 8: 626 ns, SHA-NI: 510)
	SRTCP_E = 0x80,
};

/* RFC 3711 §4.1.1: (salt * 2^16) XOR (SSRC * 2^64) XOR (index * 2^16). */
static void ctr(struct imb_batch *b, const struct imb_cm_key *key, const uint8_t *ssrc,
                uint64_t index, const uint8_t *src, uint8_t *dst, unsigned len)
{
	_Alignas(16) uint8_t iv[16];

	if (len == 0)
		return;
	imb_iv(iv, key->salt, ssrc, index, 4);
	b->cipher.src = src;
	b->cipher.dst = dst;
	b->cipher.msg_len_to_cipher_in_bytes = len;
	b->cipher.iv = iv;
	b->cipher.enc_keys = key->round_keys;
	b->cipher.dec_keys = key->round_keys;
	IMB_SUBMIT_CIPHER_BURST_NOCHECK(b->wide, &b->cipher, 1, IMB_CIPHER_CNTR, IMB_DIR_ENCRYPT,
	                                IMB_KEY_128_BYTES);
}

static inline const struct imb_cm_key *key_of(const struct dp_srtp_op *op, enum dp_srtp_run run)
{
	const struct imb_session *s = imb_session(op);

	switch (run) {
	case DP_SRTP_PROTECT:
		return &s->cm.rtp[DP_SRTP_TX];
	case DP_SRTP_UNPROTECT:
		return &s->cm.rtp[DP_SRTP_RX];
	case DP_SRTCP_PROTECT:
		return &s->cm.rtcp[DP_SRTP_TX];
	default:
		return &s->cm.rtcp[DP_SRTP_RX];
	}
}

/* Makes the authenticated part complete; returns its length. RTP: packet || ROC (RFC 3711 §4.2),
 * the ROC lying for the moment where the tag is or will be. RTCP: packet || E || index. */
static unsigned prepare(struct imb_batch *b, const struct imb_cm_key *key, struct dp_srtp_op *op,
                        uint8_t want[12], enum dp_srtp_run run)
{
	unsigned hdr = op->hdr_len, trailer = op->session->rtp_trailer;
	uint8_t *end = op->dst + op->len;

	switch (run) {
	case DP_SRTP_PROTECT:
		ctr(b, key, op->dst + 8, op->index, op->src, op->dst + hdr, op->len - hdr);
		dp_srtp_put_be32(end, (uint32_t)(op->index >> 16));
		return op->len + 4;
	case DP_SRTP_UNPROTECT:
		memcpy(want, end - trailer, trailer);
		dp_srtp_put_be32(end - trailer, (uint32_t)(op->index >> 16));
		return op->len - trailer + 4;
	case DP_SRTCP_PROTECT:
		hdr = DP_SRTCP_HDR_MIN;
		ctr(b, key, op->dst + 4, op->index, op->src, op->dst + hdr, op->len - hdr);
		dp_srtp_put_be32(end, (uint32_t)op->index);
		*end |= SRTCP_E;
		return op->len + 4;
	default:
		memcpy(want, end - IMB_CM_RTCP_TAG, IMB_CM_RTCP_TAG);
		return op->len - IMB_CM_RTCP_TAG;
	}
}

void imb_cm_put(struct imb_batch *b, struct dp_srtp_op *op, enum dp_srtp_run run)
{
	const struct imb_cm_key *key = key_of(op, run);
	struct imb_pending *p = &b->pending[b->queued];
	IMB_JOB *job = &b->hash[b->queued];

	p->op = op;
	job->src = op->dst;
	job->msg_len_to_hash_in_bytes = prepare(b, key, op, p->want, run);
	job->u.HMAC._hashed_auth_key_xor_ipad = key->ipad;
	job->u.HMAC._hashed_auth_key_xor_opad = key->opad;
	if (++b->queued == IMB_QUEUE)
		imb_cm_drain(b, run);
}

static void hash_queue(struct imb_batch *b)
{
	unsigned wide = b->queued, rest = b->queued % b->lanes;

	if (b->narrow && b->lanes < WIDE_LANES)
		wide = 0;
	else if (b->narrow && rest <= NARROW_MAX)
		wide -= rest;
	if (wide)
		IMB_SUBMIT_HASH_BURST_NOCHECK(b->wide, b->hash, wide, IMB_AUTH_HMAC_SHA_1);
	if (wide < b->queued)
		IMB_SUBMIT_HASH_BURST_NOCHECK(b->narrow, b->hash + wide, b->queued - wide,
		                              IMB_AUTH_HMAC_SHA_1);
}

static void finish_protect(struct imb_batch *b, struct imb_pending *p, enum dp_srtp_run run)
{
	struct dp_srtp_op *op = p->op;
	uint8_t *end = op->dst + op->len;

	if (run == DP_SRTP_PROTECT) {
		memcpy(end, p->digest, op->session->rtp_trailer);
		b->done += dp_srtp_op_done(op, 0, op->len + op->session->rtp_trailer);
	} else {
		memcpy(end + 4, p->digest, IMB_CM_RTCP_TAG);
		b->done += dp_srtp_op_done(op, 0, op->len + 4 + IMB_CM_RTCP_TAG);
	}
}

static void finish_unprotect(struct imb_batch *b, struct imb_pending *p, enum dp_srtp_run run)
{
	struct dp_srtp_op *op = p->op;
	bool rtcp = run == DP_SRTCP_UNPROTECT;
	unsigned tag = rtcp ? IMB_CM_RTCP_TAG : op->session->rtp_trailer;
	unsigned hdr = rtcp ? DP_SRTCP_HDR_MIN : op->hdr_len;
	unsigned plain = op->len - (rtcp ? op->session->rtcp_trailer : tag);
	uint8_t *payload = op->dst + hdr;
	bool encrypted = true;

	if (!sh_secret_equal(p->digest, p->want, tag)) {
		dp_srtp_op_done(op, -EBADMSG, 0);
		return;
	}
	if (rtcp) {
		op->index = dp_srtp_be32(op->dst + plain) & DP_SRTCP_INDEX_MAX;
		encrypted = op->dst[plain] & SRTCP_E;
	}
	if (encrypted)
		ctr(b, key_of(op, run), op->dst + (rtcp ? 4 : 8), op->index, payload, payload,
		    plain - hdr);
	b->done += dp_srtp_op_done(op, 0, plain);
}

void imb_cm_drain(struct imb_batch *b, enum dp_srtp_run run)
{
	hash_queue(b);
	for (unsigned i = 0; i < b->queued; i++) {
		if (run == DP_SRTP_PROTECT || run == DP_SRTCP_PROTECT)
			finish_protect(b, &b->pending[i], run);
		else
			finish_unprotect(b, &b->pending[i], run);
	}
	b->queued = 0;
}
