/* SRTP by libsrtp2, so that nothing of the server's own code judges the server. Its 1 to 2 µs a
 * packet (Debian's is built on NSS) are the reason for srtp.sample: a receiver that decrypts one
 * packet in 64 still sees every sequence number. What is sent has to be encrypted whole, which took
 * a third of the generator's time with hundreds of publishers: AES-GCM of RTP that is sent is
 * OpenSSL's (RFC 7714). */
#include <errno.h>
#include <string.h>
#include <openssl/evp.h>
#include "bench/loadgen/bytes.h"
#include "bench/loadgen/lg.h"
#include "bench/loadgen/packet.h"

static const struct suite {
	const char *dtls, *sdes;
	unsigned key, salt;
	void (*rtp)(srtp_crypto_policy_t *), (*rtcp)(srtp_crypto_policy_t *);
} suites[] = {
    [LG_GCM128] = {"SRTP_AEAD_AES_128_GCM", "AEAD_AES_128_GCM", 16, 12,
                   srtp_crypto_policy_set_aes_gcm_128_16_auth,
                   srtp_crypto_policy_set_aes_gcm_128_16_auth},
    [LG_GCM256] = {"SRTP_AEAD_AES_256_GCM", "AEAD_AES_256_GCM", 32, 12,
                   srtp_crypto_policy_set_aes_gcm_256_16_auth,
                   srtp_crypto_policy_set_aes_gcm_256_16_auth},
    [LG_CM80] = {"SRTP_AES128_CM_SHA1_80", "AES_CM_128_HMAC_SHA1_80", 16, 14,
                 srtp_crypto_policy_set_rtp_default, srtp_crypto_policy_set_rtcp_default},
};
enum { SUITES = sizeof(suites) / sizeof(suites[0]), SEAL_SALT = 12, SEAL_TAG = 16 };

int lg_crypto_open(void)
{
	return srtp_init() == srtp_err_status_ok ? 0 : -EIO;
}

static const struct suite *suite_of(const char *name)
{
	for (unsigned i = 0; i < SUITES; i++)
		if (strcmp(name, suites[i].dtls) == 0 || strcmp(name, suites[i].sdes) == 0)
			return &suites[i];
	return NULL;
}

const char *lg_crypto_sdes(void)
{
	return suites[lg_sc.profile].sdes;
}

const char *lg_crypto_dtls(void)
{
	return suites[lg_sc.profile].dtls;
}

unsigned lg_crypto_key_len(const char *name)
{
	const struct suite *s = suite_of(name);

	return s ? s->key + s->salt : 0;
}

static int make(srtp_t *out, const struct suite *s, const uint8_t *key, srtp_ssrc_type_t type)
{
	uint8_t copy[LG_KEY_MAX];
	srtp_policy_t policy = {
	    .ssrc = {.type = type}, .key = copy, .window_size = 4096, .allow_repeat_tx = 1};

	memcpy(copy, key, s->key + s->salt);
	s->rtp(&policy.rtp);
	s->rtcp(&policy.rtcp);
	return srtp_create(out, &policy) == srtp_err_status_ok ? 0 : -EIO;
}

/* RFC 3711 §4.3.1 and .3, RFC 7714 §11: key derivation rate 0. */
static bool derive(uint8_t *out, size_t len, const struct suite *s, const uint8_t *master,
                   uint8_t label)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t x[16] = {0}, zero[32] = {0};
	int n = 0;
	bool ok;

	memcpy(x, master + s->key, s->salt);
	x[7] ^= label;
	ok = c &&
	     EVP_EncryptInit_ex(c, s->key == 16 ? EVP_aes_128_ctr() : EVP_aes_256_ctr(), NULL,
	                        master, x) == 1 &&
	     EVP_EncryptUpdate(c, out, &n, zero, (int)len) == 1;
	EVP_CIPHER_CTX_free(c);
	return ok;
}

static int make_seal(struct lg_peer *p, const struct suite *s, const uint8_t *master)
{
	enum { RTP_KEY = 0, RTP_SALT = 2 };
	const EVP_CIPHER *aes = s->key == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
	uint8_t key[32];

	if (s->salt != SEAL_SALT) // not GCM: libsrtp2 does it
		return 0;
	p->seal = EVP_CIPHER_CTX_new();
	if (!p->seal || !derive(key, s->key, s, master, RTP_KEY) ||
	    !derive(p->seal_salt, SEAL_SALT, s, master, RTP_SALT) ||
	    EVP_EncryptInit_ex(p->seal, aes, NULL, key, NULL) != 1)
		return -EIO;
	return 0;
}

/* RFC 7714 §8.1 and §8.2: the header is authenticated, the payload encrypted. */
static int seal(struct lg_peer *p, uint8_t *buf, int *len, uint32_t roc)
{
	int head = (int)lg_rtp_head(buf, (size_t)*len), n = 0;
	uint8_t iv[SEAL_SALT] = {0};

	memcpy(iv + 2, buf + 8, 4);
	lg_put32(iv + 6, roc);
	memcpy(iv + 10, buf + 2, 2);
	for (unsigned i = 0; i < SEAL_SALT; i++)
		iv[i] ^= p->seal_salt[i];
	if (EVP_EncryptInit_ex(p->seal, NULL, NULL, NULL, iv) != 1 ||
	    EVP_EncryptUpdate(p->seal, NULL, &n, buf, head) != 1 ||
	    EVP_EncryptUpdate(p->seal, buf + head, &n, buf + head, *len - head) != 1 ||
	    EVP_EncryptFinal_ex(p->seal, buf + *len, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(p->seal, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG, buf + *len) != 1)
		return -EIO;
	*len += SEAL_TAG;
	return 0;
}

int lg_crypto_protect(struct lg_peer *p, uint8_t *buf, int *len, uint32_t roc)
{
	if (p->seal)
		return seal(p, buf, len, roc);
	return srtp_protect(p->out, buf, len) == srtp_err_status_ok ? 0 : -EIO;
}

int lg_crypto_keys(struct lg_peer *p, const char *name, const uint8_t *own, const uint8_t *theirs)
{
	const struct suite *s = suite_of(name);

	if (!s)
		return -ENOTSUP;
	strcpy(p->suite, s->sdes);
	if (make_seal(p, s, own))
		return -EIO;
	if (make(&p->out, s, own, ssrc_any_outbound) || make(&p->in, s, theirs, ssrc_any_inbound))
		return -EIO;
	return 0;
}

void lg_crypto_close(struct lg_peer *p)
{
	if (p->in)
		srtp_dealloc(p->in);
	if (p->out)
		srtp_dealloc(p->out);
	p->in = p->out = NULL;
	EVP_CIPHER_CTX_free(p->seal);
	p->seal = NULL;
}

/* ---- SDES (RFC 4568, RFC 7714 §14) ---- */

void lg_crypto_sdes_own(struct lg_peer *p, char *base64, size_t size)
{
	const struct suite *s = &suites[lg_sc.profile];

	if (size < 4 * ((s->key + s->salt + 2) / 3) + 1) {
		base64[0] = '\0';
		return;
	}
	EVP_EncodeBlock((uint8_t *)base64, p->own_key, (int)(s->key + s->salt));
}

/* Some leave the padding of base64 out. */
int lg_crypto_sdes_keys(struct lg_peer *p, const struct lg_sdp_media *m)
{
	const struct suite *s = suite_of(m->suite);
	uint8_t theirs[80];
	char text[80];
	size_t n = strlen(m->key);

	if (!s || s != &suites[lg_sc.profile] || n > 64)
		return -EBADMSG;
	memcpy(text, m->key, n);
	while (n % 4)
		text[n++] = '=';
	if (EVP_DecodeBlock(theirs, (const uint8_t *)text, (int)n) < (int)(s->key + s->salt))
		return -EBADMSG;
	return lg_crypto_keys(p, m->suite, p->own_key, theirs);
}
