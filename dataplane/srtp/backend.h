/* What a backend is to srtp.c, and the checks of an op that all backends share. Private to this
 * folder. */
#pragma once
#include <errno.h>
#include <endian.h>
#include <string.h>
#include "dataplane/srtp/srtp.h"

enum dp_srtp_run {
	DP_SRTP_PROTECT,
	DP_SRTP_UNPROTECT,
	DP_SRTCP_PROTECT,
	DP_SRTCP_UNPROTECT,
	DP_SRTP_RUNS
};

enum { DP_SRTP_TX, DP_SRTP_RX, DP_SRTP_WAYS };

typedef unsigned(dp_srtp_run_h)(struct dp_srtp_batch *batch, struct dp_srtp_op *ops, unsigned n);

/* First member of every backend's context. */
struct dp_srtp_batch {
	const struct dp_srtp_backend *backend;
};

/* srtp.c writes a session's head after session_init returned 0, and wipes all of it after
 * session_wipe. */
struct dp_srtp_backend {
	const char *name;
	int (*ready)(void); // once, at first find: 0, or -ENOTSUP
	int (*batch_new)(struct dp_srtp_batch **out);
	void (*batch_free)(struct dp_srtp_batch *batch);
	int (*session_init)(struct dp_srtp_session *session, uint16_t profile,
	                    const struct sh_srtp_secret *const secret[DP_SRTP_WAYS]);
	void (*session_wipe)(struct dp_srtp_session *session);
	/* may be NULL; false: nothing to expand. srtp.c publishes rx */
	bool (*receive)(const struct dp_srtp_session *session, struct dp_srtp_rx *rx);
	dp_srtp_run_h *run[DP_SRTP_RUNS];
	/* may be NULL */
	void (*prefetch)(struct dp_srtp_batch *batch, const struct dp_srtp_op *op);
	void (*prefetch_rtcp)(const struct dp_srtp_session *session);
};

extern const struct dp_srtp_backend dp_srtp_ipsec_mb, dp_srtp_libsrtp2;

struct dp_srtp_profile {
	uint16_t id; // enum sh_srtp_profile
	uint8_t key_len, salt_len, rtp_trailer, rtcp_trailer;
	bool aead;
};

/* NULL: no such profile. */
const struct dp_srtp_profile *dp_srtp_profile_find(uint16_t id);

/* 0 or -EINVAL; what passes stays within [dst, dst + len + trailer). */
static inline int dp_srtp_op_check(const struct dp_srtp_op *op, enum dp_srtp_run run)
{
	const struct dp_srtp_session *s = op->session;
	bool rtcp = run >= DP_SRTCP_PROTECT;
	unsigned head = rtcp ? DP_SRTCP_HDR_MIN : op->hdr_len;
	unsigned trailer = rtcp ? s->rtcp_trailer : s->rtp_trailer;

	if (s->profile == SH_SRTP_NONE || head < (rtcp ? DP_SRTCP_HDR_MIN : DP_SRTP_HDR_MIN))
		return -EINVAL;
	if (run == DP_SRTP_UNPROTECT || run == DP_SRTCP_UNPROTECT) {
		if (op->len < head + trailer)
			return -EINVAL;
	} else if (op->len < head || op->len + trailer > UINT16_MAX) {
		return -EINVAL;
	}
	if (run != DP_SRTCP_UNPROTECT &&
	    op->index > (rtcp ? DP_SRTCP_INDEX_MAX : DP_SRTP_INDEX_MAX))
		return -EINVAL;
	return 0;
}

static inline unsigned dp_srtp_op_done(struct dp_srtp_op *op, int status, unsigned out_len)
{
	op->status = (int16_t)status;
	op->out_len = status ? 0 : (uint16_t)out_len;
	return status == 0;
}

static inline uint32_t dp_srtp_be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return be32toh(v);
}

static inline void dp_srtp_put_be32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, 4);
}
