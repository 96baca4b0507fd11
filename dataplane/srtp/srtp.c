/* SRTP: the one door to two backends.
 *
 *   srtp.h            the contract
 *   backend.h         what a backend is; checks that both share
 *   srtp.c            profiles, choice of the backend, dispatch
 *   kdf.c             session keys from master keys (RFC 3711 §4.3, RFC 6188), for ipsec_mb
 *   ipsec_mb.c        its set-up: managers, key expansion
 *   ipsec_mb_run.c    its packets: loops, prefetch, GCM
 *   ipsec_mb_cm.c     its packets: AES-CM, and HMAC-SHA1 with many packets side by side
 *   libsrtp2.c        the reference
 *
 * Nothing here knows what was sent or received before: a worker that got an index from its replay
 * window can run its packets in any order. What is set up at start (backend, contexts) lives as
 * long as the process; a session lives as long as its endpoint has keys. */
#include "dataplane/srtp/srtp.h"
#include "dataplane/srtp/backend.h"

/* SRTCP tags are 80 bits long in AES_CM_128_HMAC_SHA1_32 too (RFC 3711 §5.2, RFC 4568 §6.2.2). */
static const struct dp_srtp_profile profiles[] = {
    {SH_SRTP_AEAD_AES_128_GCM, 16, 12, 16, 20, true},
    {SH_SRTP_AEAD_AES_256_GCM, 32, 12, 16, 20, true},
    {SH_SRTP_AES128_CM_SHA1_80, 16, 14, 10, 14, false},
    {SH_SRTP_AES128_CM_SHA1_32, 16, 14, 4, 14, false},
};

const struct dp_srtp_profile *dp_srtp_profile_find(uint16_t id)
{
	for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++)
		if (profiles[i].id == id)
			return &profiles[i];
	return NULL;
}

unsigned dp_srtp_key_len(uint16_t profile)
{
	const struct dp_srtp_profile *p = dp_srtp_profile_find(profile);

	return p ? p->key_len : 0;
}

unsigned dp_srtp_salt_len(uint16_t profile)
{
	const struct dp_srtp_profile *p = dp_srtp_profile_find(profile);

	return p ? p->salt_len : 0;
}

static const struct dp_srtp_backend *const backends[] = {
#ifdef DP_SRTP_IPSEC_MB
    &dp_srtp_ipsec_mb,
#endif
    &dp_srtp_libsrtp2,
};

const struct dp_srtp_backend *dp_srtp_backend_find(const char *name)
{
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
		if (strcmp(backends[i]->name, name) == 0)
			return backends[i]->ready() == 0 ? backends[i] : NULL;
	return NULL;
}

const char *dp_srtp_backend_name(const struct dp_srtp_backend *backend)
{
	return backend->name;
}

int dp_srtp_batch_new(struct dp_srtp_batch **out, const struct dp_srtp_backend *backend)
{
	int err = backend->batch_new(out);

	if (err)
		return err;
	(*out)->backend = backend;
	return 0;
}

void dp_srtp_batch_free(struct dp_srtp_batch *batch)
{
	if (batch)
		batch->backend->batch_free(batch);
}

int dp_srtp_session_init(const struct dp_srtp_backend *backend, struct dp_srtp_session *session,
                         uint16_t profile, const struct sh_srtp_secret *rx,
                         const struct sh_srtp_secret *tx)
{
	const struct sh_srtp_secret *const secret[DP_SRTP_WAYS] = {
	    [DP_SRTP_TX] = tx,
	    [DP_SRTP_RX] = rx,
	};
	const struct dp_srtp_profile *p = dp_srtp_profile_find(profile);
	int err;

	if (!p || (uintptr_t)session % 64)
		return -EINVAL;
	memset(session, 0, sizeof(*session));
	err = backend->session_init(session, profile, secret);
	if (err) {
		sh_secret_wipe(session, sizeof(*session));
		return err;
	}
	session->rtp_trailer = p->rtp_trailer;
	session->rtcp_trailer = p->rtcp_trailer;
	session->profile = profile;
	return 0;
}

bool dp_srtp_session_receive(const struct dp_srtp_backend *backend, struct dp_srtp_session *session,
                             struct dp_srtp_rx *rx)
{
	if (session->rx || !backend->receive || !backend->receive(session, rx))
		return false;
	__atomic_store_n(&session->rx, rx, __ATOMIC_RELEASE);
	return true;
}

void dp_srtp_session_wipe(const struct dp_srtp_backend *backend, struct dp_srtp_session *session)
{
	if (session->profile != SH_SRTP_NONE)
		backend->session_wipe(session);
	if (session->rx)
		sh_secret_wipe(session->rx, sizeof(*session->rx));
	sh_secret_wipe(session, sizeof(*session));
}

unsigned dp_srtp_protect(struct dp_srtp_batch *batch, struct dp_srtp_op *ops, unsigned n)
{
	return batch->backend->run[DP_SRTP_PROTECT](batch, ops, n);
}

void dp_srtp_prefetch_keys(struct dp_srtp_batch *batch, const struct dp_srtp_op *op)
{
	if (batch->backend->prefetch)
		batch->backend->prefetch(batch, op);
}

void dp_srtcp_prefetch_keys(struct dp_srtp_batch *batch, const struct dp_srtp_session *session)
{
	if (batch->backend->prefetch_rtcp)
		batch->backend->prefetch_rtcp(session);
}

unsigned dp_srtp_unprotect(struct dp_srtp_batch *batch, struct dp_srtp_op *ops, unsigned n)
{
	return batch->backend->run[DP_SRTP_UNPROTECT](batch, ops, n);
}

unsigned dp_srtcp_protect(struct dp_srtp_batch *batch, struct dp_srtp_op *ops, unsigned n)
{
	return batch->backend->run[DP_SRTCP_PROTECT](batch, ops, n);
}

unsigned dp_srtcp_unprotect(struct dp_srtp_batch *batch, struct dp_srtp_op *ops, unsigned n)
{
	return batch->backend->run[DP_SRTCP_UNPROTECT](batch, ops, n);
}

/* E || index is the last word with AEAD (RFC 7714 §9.2), and before the tag without (RFC 3711
 * §3.4). */
int dp_srtcp_peek_index(const struct dp_srtp_session *session, const uint8_t *packet, unsigned len,
                        uint32_t *index)
{
	const struct dp_srtp_profile *p = dp_srtp_profile_find(session->profile);

	if (!p || len < DP_SRTCP_HDR_MIN + (unsigned)p->rtcp_trailer)
		return -EINVAL;
	*index = dp_srtp_be32(packet + len - (p->aead ? 4 : p->rtcp_trailer)) & DP_SRTCP_INDEX_MAX;
	return 0;
}
