/* Set-up of the ipsec_mb backend: nothing here runs per packet. */
#include "dataplane/srtp/ipsec_mb.h"
#include <pthread.h>
#include <stdlib.h>
#include "dataplane/srtp/kdf.h"

static IMB_MGR *setup_mgr; // expands keys; control thread; lives as long as the process
static pthread_once_t setup_once = PTHREAD_ONCE_INIT;

/* The library's best manager for this CPU. Its GCM key layout differs by CPU, so sessions are
 * expanded by the same kind of manager that runs the packets. */
static IMB_MGR *mgr_best(void)
{
	IMB_MGR *m = alloc_mb_mgr(0);

	if (!m)
		return NULL;
	init_mb_mgr_auto(m, NULL);
	if (imb_get_errno(m) == 0 && (m->features & IMB_FEATURE_AESNI) &&
	    (m->features & IMB_FEATURE_PCLMULQDQ))
		return m;
	free_mb_mgr(m);
	return NULL;
}

static void setup(void)
{
	setup_mgr = mgr_best();
}

static int ready(void)
{
	pthread_once(&setup_once, setup);
	return setup_mgr ? 0 : -ENOTSUP;
}

static IMB_MGR *mgr_sha_ni(void)
{
	IMB_MGR *m = alloc_mb_mgr(0);

	if (!m)
		return NULL;
	if (m->features & IMB_FEATURE_SHANI) {
		init_mb_mgr_sse(m);
		if (imb_get_errno(m) == 0)
			return m;
	}
	free_mb_mgr(m);
	return NULL;
}

/* Where the library keeps the powers of the hash key: 48, 16 B each and the highest first, with
 * VAES; otherwise 8, twice with SSE and AVX. */
static void gcm_lines(struct imb_batch *b)
{
	const unsigned powers = IMB_GCM_KEYS, vaes = IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ;

	if (b->wide->used_arch == IMB_ARCH_AVX512 && (b->wide->features & vaes) == vaes) {
		b->gcm_hi = powers + 48 * 16;
		b->gcm_lo = b->gcm_hi - 17 * 16;
	} else {
		b->gcm_hi = powers + (b->wide->used_arch >= IMB_ARCH_AVX2 ? 8 : 16) * 16;
		b->gcm_lo = powers;
	}
}

static void imb_free(struct imb_batch *b)
{
	if (b->wide)
		free_mb_mgr(b->wide);
	if (b->narrow)
		free_mb_mgr(b->narrow);
	sh_secret_wipe(b, sizeof(*b));
	free(b);
}

static void batch_free(struct dp_srtp_batch *batch)
{
	imb_free((struct imb_batch *)batch);
}

static int batch_new(struct dp_srtp_batch **out)
{
	size_t size = (sizeof(struct imb_batch) + 63) & ~(size_t)63;
	struct imb_batch *b = aligned_alloc(64, size);

	if (!b)
		return -ENOMEM;
	memset(b, 0, size);
	b->wide = mgr_best();
	b->narrow = mgr_sha_ni();
	if (!b->wide) {
		imb_free(b);
		return -ENOMEM;
	}
	b->lanes = b->wide->used_arch == IMB_ARCH_AVX512 ? 16
	           : b->wide->used_arch == IMB_ARCH_AVX2 ? 8
	                                                 : 4;
	gcm_lines(b);
	b->gcm_enc[0] = b->wide->gcm128_enc;
	b->gcm_enc[1] = b->wide->gcm256_enc;
	b->gcm_dec[0] = b->wide->gcm128_dec;
	b->gcm_dec[1] = b->wide->gcm256_dec;
	b->gcm_pre[0] = b->wide->gcm128_pre;
	b->gcm_pre[1] = b->wide->gcm256_pre;
	b->cipher.iv_len_in_bytes = 16;
	b->cipher.key_len_in_bytes = 16;
	for (unsigned i = 0; i < IMB_QUEUE; i++) {
		b->hash[i].auth_tag_output = b->pending[i].digest;
		b->hash[i].auth_tag_output_len_in_bytes = IMB_SHA1_TAG;
	}
	*out = &b->base;
	return 0;
}

/* One way, RTP or RTCP (label: 0 or DP_SRTP_LABEL_RTCP). */
static void cm_expand(struct imb_cm_key *key, const uint8_t *secret, unsigned label)
{
	struct {
		_Alignas(16) uint8_t key[16], auth[64], dec[IMB_AES128_KEYS];
	} t = {0};

	dp_srtp_kdf(setup_mgr, secret, 16, secret + 16, 14, label + DP_SRTP_LABEL_KEY, t.key, 16);
	dp_srtp_kdf(setup_mgr, secret, 16, secret + 16, 14, label + DP_SRTP_LABEL_AUTH, t.auth, 20);
	dp_srtp_kdf(setup_mgr, secret, 16, secret + 16, 14, label + DP_SRTP_LABEL_SALT, key->salt,
	            14);
	IMB_AES_KEYEXP_128(setup_mgr, t.key, key->round_keys, t.dec);
	for (unsigned i = 0; i < sizeof(t.auth); i++)
		t.auth[i] ^= 0x36;
	IMB_SHA1_ONE_BLOCK(setup_mgr, t.auth, key->ipad);
	for (unsigned i = 0; i < sizeof(t.auth); i++)
		t.auth[i] ^= 0x36 ^ 0x5c;
	IMB_SHA1_ONE_BLOCK(setup_mgr, t.auth, key->opad);
	sh_secret_wipe(&t, sizeof(t));
}

static void gcm_pre(struct imb_gcm_rtp *out, const uint8_t *key, unsigned key_len)
{
	if (key_len == 32)
		IMB_AES256_GCM_PRE(setup_mgr, key, &out->key);
	else
		IMB_AES128_GCM_PRE(setup_mgr, key, &out->key);
}

void imb_gcm_set(struct imb_session *s, unsigned way, bool rtcp, const uint8_t *key,
                 unsigned key_len, const uint8_t *salt)
{
	memcpy(rtcp ? s->gcm.rtcp[way].salt : s->gcm_salt[way], salt, 12);
	if (rtcp)
		memcpy(s->gcm.rtcp[way].key, key, key_len);
	else if (way == DP_SRTP_RX)
		memcpy(s->gcm.rx_key, key, key_len);
	else
		gcm_pre(&s->gcm.tx, key, key_len);
}

static bool receive(const struct dp_srtp_session *session, struct dp_srtp_rx *rx)
{
	const struct imb_session *s = (const struct imb_session *)(const void *)session;
	const struct dp_srtp_profile *p = dp_srtp_profile_find(session->profile);

	if (!p || !p->aead)
		return false;
	gcm_pre((struct imb_gcm_rtp *)(void *)rx, s->gcm.rx_key, p->key_len);
	return true;
}

/* RFC 7714 §11: keys and salts come from the PRF as those of RFC 3711 do. */
static void gcm_derive(struct imb_session *s, unsigned way, bool rtcp, const uint8_t *secret,
                       unsigned key_len)
{
	const unsigned label = rtcp ? DP_SRTP_LABEL_RTCP : 0;
	uint8_t key[32], salt[12];

	dp_srtp_kdf(setup_mgr, secret, key_len, secret + key_len, 12, label + DP_SRTP_LABEL_KEY,
	            key, key_len);
	dp_srtp_kdf(setup_mgr, secret, key_len, secret + key_len, 12, label + DP_SRTP_LABEL_SALT,
	            salt, 12);
	imb_gcm_set(s, way, rtcp, key, key_len, salt);
	sh_secret_wipe(key, sizeof(key));
	sh_secret_wipe(salt, sizeof(salt));
}

static int session_init(struct dp_srtp_session *session, uint16_t profile,
                        const struct sh_srtp_secret *const secret[DP_SRTP_WAYS])
{
	struct imb_session *s = (struct imb_session *)(void *)session;
	const struct dp_srtp_profile *p = dp_srtp_profile_find(profile);

	for (unsigned way = 0; way < DP_SRTP_WAYS; way++) {
		const uint8_t *bytes = secret[way]->bytes;

		if (p->aead) {
			gcm_derive(s, way, false, bytes, p->key_len);
			gcm_derive(s, way, true, bytes, p->key_len);
		} else {
			cm_expand(&s->cm.rtp[way], bytes, 0);
			cm_expand(&s->cm.rtcp[way], bytes, DP_SRTP_LABEL_RTCP);
		}
	}
	return 0;
}

static void session_wipe(struct dp_srtp_session *session)
{
	/* nothing beyond its bytes */
}

const struct dp_srtp_backend dp_srtp_ipsec_mb = {
    .name = "ipsec_mb",
    .ready = ready,
    .batch_new = batch_new,
    .batch_free = batch_free,
    .session_init = session_init,
    .session_wipe = session_wipe,
    .receive = receive,
    .run =
        {
            [DP_SRTP_PROTECT] = imb_protect,
            [DP_SRTP_UNPROTECT] = imb_unprotect,
            [DP_SRTCP_PROTECT] = imb_rtcp_protect,
            [DP_SRTCP_UNPROTECT] = imb_rtcp_unprotect,
        },
    .prefetch = imb_prefetch,
    .prefetch_rtcp = imb_prefetch_rtcp,
};
