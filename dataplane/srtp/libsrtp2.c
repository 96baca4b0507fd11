/* The libsrtp2 backend: the reference, and the backend of CPUs that ipsec_mb does not run on.
 *
 * libsrtp keeps its own idea of where each stream (SSRC) is: it estimates the index from the
 * sequence number, and refuses replays. Here the index is an argument. So each session holds four
 * libsrtp sessions (RTP and RTCP, each way), with a few streams each and a note of the index that
 * libsrtp believes in. While that note leads to the wanted index, which is the rule, a packet costs
 * one libsrtp call. When it does not (first packet, a jump, a repeat), the stream is made anew and
 * its roll-over counter is set: slow (key derivation), and right.
 *
 * Allocates inside its calls, as libsrtp does. A session is used by one worker at a time. */
#include "dataplane/srtp/backend.h"
#include <pthread.h>
#include <stdlib.h>
#include <srtp2/srtp.h>

enum { STREAMS = 4, RTCP_E = 0x80 };

struct stream {
	uint32_t ssrc;
	bool used;
	uint64_t last; // the index that libsrtp holds for it
};

struct lane {
	srtp_t srtp;
	uint16_t profile;
	uint8_t next; // stream to replace
	struct stream stream[STREAMS];
	uint8_t key[SH_SRTP_KEY_MAX + SH_SRTP_SALT_MAX + 2];
};

/* By enum dp_srtp_run. */
struct session {
	struct {
		uint16_t profile;
		uint8_t rtp_trailer, rtcp_trailer, pad[4];
		struct dp_srtp_rx *rx; // none
	} head;
	struct lane lane[DP_SRTP_RUNS];
};
_Static_assert(sizeof(struct session) <= DP_SRTP_SESSION_BYTES, "fits");

static int to_errno(srtp_err_status_t st)
{
	switch (st) {
	case srtp_err_status_ok:
		return 0;
	case srtp_err_status_alloc_fail:
		return -ENOMEM;
	case srtp_err_status_auth_fail:
	case srtp_err_status_cipher_fail: // NSS's answer to a wrong GCM tag
		return -EBADMSG;
	default:
		return -EINVAL;
	}
}

static void policy_set(srtp_policy_t *policy, struct lane *lane, uint32_t ssrc)
{
	memset(policy, 0, sizeof(*policy));
	/* libsrtp's numbers of the profiles are those of RFC 5764 too */
	srtp_crypto_policy_set_from_profile_for_rtp(&policy->rtp, (srtp_profile_t)lane->profile);
	srtp_crypto_policy_set_from_profile_for_rtcp(&policy->rtcp, (srtp_profile_t)lane->profile);
	policy->ssrc.type = ssrc_specific;
	policy->ssrc.value = ssrc;
	policy->key = lane->key;
	policy->window_size = 1024;
	policy->allow_repeat_tx = 1;
}

static void stream_drop(struct lane *lane, struct stream *s)
{
	if (s->used)
		srtp_remove_stream(lane->srtp, htobe32(s->ssrc));
	s->used = false;
}

static struct stream *stream_find(struct lane *lane, uint32_t ssrc)
{
	for (unsigned i = 0; i < STREAMS; i++)
		if (lane->stream[i].used && lane->stream[i].ssrc == ssrc)
			return &lane->stream[i];
	return NULL;
}

/* A stream without a past, in the place of the one with this SSRC, or of the oldest. */
static struct stream *stream_renew(struct lane *lane, const srtp_policy_t *policy)
{
	struct stream *s = stream_find(lane, (uint32_t)policy->ssrc.value);

	if (!s) {
		s = &lane->stream[lane->next];
		lane->next = (uint8_t)((lane->next + 1) % STREAMS);
	}
	stream_drop(lane, s);
	if (srtp_add_stream(lane->srtp, policy) != srtp_err_status_ok)
		return NULL;
	*s = (struct stream){.ssrc = (uint32_t)policy->ssrc.value, .used = true};
	return s;
}

/* What libsrtp takes seq for (RFC 3711 appendix A); below 2^15 it knows no roll-over. */
static uint64_t estimate(uint64_t last, uint16_t seq)
{
	uint64_t roc = last >> 16;
	uint16_t top = (uint16_t)last;

	if (last <= 0x8000)
		return seq;
	if (top < 0x8000)
		roc -= seq - top > 0x8000;
	else
		roc += top - 0x8000 > seq;
	return (roc & UINT32_MAX) << 16 | seq;
}

typedef srtp_err_status_t(rtp_call_h)(srtp_t ctx, void *packet, int *len);

static int rtp_run(struct lane *lane, struct dp_srtp_op *op, rtp_call_h *call, int *len)
{
	uint16_t seq = (uint16_t)(op->dst[2] << 8 | op->dst[3]);
	uint32_t ssrc = dp_srtp_be32(op->dst + 8);
	struct stream *s = stream_find(lane, ssrc);
	srtp_err_status_t st;
	srtp_policy_t policy;

	if (seq != (uint16_t)op->index)
		return -EINVAL;
	if (s && estimate(s->last, seq) == op->index) {
		st = call(lane->srtp, op->dst, len);
		if (st == srtp_err_status_ok && op->index > s->last)
			s->last = op->index;
		if (st != srtp_err_status_replay_fail && st != srtp_err_status_replay_old &&
		    st != srtp_err_status_pkt_idx_old)
			return to_errno(st);
	}
	policy_set(&policy, lane, ssrc);
	s = stream_renew(lane, &policy);
	if (!s)
		return -ENOMEM;
	srtp_set_stream_roc(lane->srtp, ssrc, (uint32_t)(op->index >> 16));
	st = call(lane->srtp, op->dst, len);
	if (st != srtp_err_status_ok)
		stream_drop(lane, s);
	s->last = op->index;
	return to_errno(st);
}

/* libsrtp cannot be told an SRTCP index, but it counts on from what it received, and keeps that
 * over a change of keys. So: a stream without encryption or tag receives an empty packet, whose
 * index puts the window where we want it, and then gets its keys. The window is 128 wide and starts
 * 127 below what was received. */
static struct stream *rtcp_seek(struct lane *lane, uint32_t ssrc, uint32_t last)
{
	uint8_t packet[DP_SRTCP_HDR_MIN + 4] = {0x80, 201, 0, 1};
	uint32_t reach = last + 127;
	int len = sizeof(packet);
	srtp_policy_t policy;
	struct stream *s;

	policy_set(&policy, lane, ssrc);
	srtp_crypto_policy_set_null_cipher_hmac_null(&policy.rtp);
	policy.rtcp = policy.rtp;
	s = stream_renew(lane, &policy);
	if (!s)
		return NULL;
	if (reach > DP_SRTCP_INDEX_MAX)
		reach = DP_SRTCP_INDEX_MAX;
	dp_srtp_put_be32(packet + 4, ssrc);
	dp_srtp_put_be32(packet + DP_SRTCP_HDR_MIN, reach);
	policy_set(&policy, lane, ssrc);
	if ((last && srtp_unprotect_rtcp(lane->srtp, packet, &len) != srtp_err_status_ok) ||
	    srtp_update_stream(lane->srtp, &policy) != srtp_err_status_ok) {
		stream_drop(lane, s);
		return NULL;
	}
	s->last = last ? reach - 127 : 0;
	return s;
}

static int rtcp_protect(struct lane *lane, struct dp_srtp_op *op, int *len)
{
	uint32_t ssrc = dp_srtp_be32(op->dst + 4);
	struct stream *s = stream_find(lane, ssrc);
	srtp_err_status_t st;

	if (op->index == 0)
		return -EINVAL;
	if (!s || s->last + 1 != op->index)
		s = rtcp_seek(lane, ssrc, (uint32_t)op->index - 1);
	if (!s)
		return -ENOMEM;
	/* within 127 of the highest index, the window cannot be put right below it */
	while (s->last + 1 < op->index) {
		uint8_t skip[DP_SRTCP_HDR_MIN + SRTP_MAX_TRAILER_LEN + 4] = {0x80, 201, 0, 1};
		int n = DP_SRTCP_HDR_MIN;

		memcpy(skip + 4, op->dst + 4, 4);
		st = srtp_protect_rtcp(lane->srtp, skip, &n);
		if (st != srtp_err_status_ok)
			return to_errno(st);
		s->last++;
	}
	st = srtp_protect_rtcp(lane->srtp, op->dst, len);
	if (st == srtp_err_status_ok)
		s->last = op->index;
	else
		stream_drop(lane, s);
	return to_errno(st);
}

static int rtcp_unprotect(struct lane *lane, struct dp_srtp_op *op, int *len)
{
	const struct dp_srtp_profile *p = dp_srtp_profile_find(lane->profile);
	const uint8_t *e_index = op->dst + op->len - (p->aead ? 4 : p->rtcp_trailer);
	uint32_t ssrc = dp_srtp_be32(op->dst + 4);
	bool clear = !p->aead && !(*e_index & RTCP_E);
	srtp_err_status_t st = srtp_err_status_no_ctx;
	srtp_policy_t policy;
	struct stream *s;

	op->index = dp_srtp_be32(e_index) & DP_SRTCP_INDEX_MAX;
	if (!clear && stream_find(lane, ssrc))
		st = srtp_unprotect_rtcp(lane->srtp, op->dst, len);
	if (st != srtp_err_status_no_ctx && st != srtp_err_status_replay_fail &&
	    st != srtp_err_status_replay_old)
		return to_errno(st);
	policy_set(&policy, lane, ssrc);
	if (clear)
		policy.rtcp.sec_serv = sec_serv_auth;
	s = stream_renew(lane, &policy);
	if (!s)
		return -ENOMEM;
	st = srtp_unprotect_rtcp(lane->srtp, op->dst, len);
	if (clear || st != srtp_err_status_ok)
		stream_drop(lane, s);
	return to_errno(st);
}

static int run_op(struct dp_srtp_op *op, enum dp_srtp_run run, int *len)
{
	struct session *s = (struct session *)(uintptr_t)op->session;
	struct lane *lane = &s->lane[run];
	unsigned hdr = run >= DP_SRTCP_PROTECT ? DP_SRTCP_HDR_MIN : op->hdr_len;
	bool protect = run == DP_SRTP_PROTECT || run == DP_SRTCP_PROTECT;

	if (protect && op->src != op->dst + hdr && op->len > hdr)
		memcpy(op->dst + hdr, op->src, op->len - hdr);
	switch (run) {
	case DP_SRTP_PROTECT:
		return rtp_run(lane, op, srtp_protect, len);
	case DP_SRTP_UNPROTECT:
		return rtp_run(lane, op, srtp_unprotect, len);
	case DP_SRTCP_PROTECT:
		return rtcp_protect(lane, op, len);
	default:
		return rtcp_unprotect(lane, op, len);
	}
}

static unsigned run_all(struct dp_srtp_op *ops, unsigned n, enum dp_srtp_run run)
{
	unsigned done = 0;

	for (unsigned i = 0; i < n; i++) {
		int len = ops[i].len, err = dp_srtp_op_check(&ops[i], run);

		if (!err)
			err = run_op(&ops[i], run, &len);
		done += dp_srtp_op_done(&ops[i], err, (unsigned)len);
	}
	return done;
}

static unsigned protect(struct dp_srtp_batch *batch, struct dp_srtp_op *ops, unsigned n)
{
	return run_all(ops, n, DP_SRTP_PROTECT);
}

static unsigned unprotect(struct dp_srtp_batch *batch, struct dp_srtp_op *ops, unsigned n)
{
	return run_all(ops, n, DP_SRTP_UNPROTECT);
}

static unsigned srtcp_protect(struct dp_srtp_batch *batch, struct dp_srtp_op *ops, unsigned n)
{
	return run_all(ops, n, DP_SRTCP_PROTECT);
}

static unsigned srtcp_unprotect(struct dp_srtp_batch *batch, struct dp_srtp_op *ops, unsigned n)
{
	return run_all(ops, n, DP_SRTCP_UNPROTECT);
}

static void session_wipe(struct dp_srtp_session *session)
{
	struct session *s = (struct session *)(void *)session;

	for (unsigned i = 0; i < DP_SRTP_RUNS; i++)
		if (s->lane[i].srtp)
			srtp_dealloc(s->lane[i].srtp);
}

static int session_init(struct dp_srtp_session *session, uint16_t profile,
                        const struct sh_srtp_secret *const secret[DP_SRTP_WAYS])
{
	struct session *s = (struct session *)(void *)session;

	for (unsigned i = 0; i < DP_SRTP_RUNS; i++) {
		struct lane *lane = &s->lane[i];
		bool tx = i == DP_SRTP_PROTECT || i == DP_SRTCP_PROTECT;
		srtp_err_status_t st = srtp_create(&lane->srtp, NULL);

		if (st != srtp_err_status_ok) {
			lane->srtp = NULL;
			session_wipe(session);
			return -ENOMEM;
		}
		lane->profile = profile;
		memcpy(lane->key, secret[tx ? DP_SRTP_TX : DP_SRTP_RX]->bytes, sizeof(lane->key));
	}
	return 0;
}

static int batch_new(struct dp_srtp_batch **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

static void batch_free(struct dp_srtp_batch *batch)
{
	free(batch);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static srtp_err_status_t init_status;

static void init(void)
{
	init_status = srtp_init();
}

static int ready(void)
{
	pthread_once(&once, init);
	return init_status == srtp_err_status_ok ? 0 : -ENOTSUP;
}

const struct dp_srtp_backend dp_srtp_libsrtp2 = {
    .name = "libsrtp2",
    .ready = ready,
    .batch_new = batch_new,
    .batch_free = batch_free,
    .session_init = session_init,
    .session_wipe = session_wipe,
    .run =
        {
            [DP_SRTP_PROTECT] = protect,
            [DP_SRTP_UNPROTECT] = unprotect,
            [DP_SRTCP_PROTECT] = srtcp_protect,
            [DP_SRTCP_UNPROTECT] = srtcp_unprotect,
        },
};
