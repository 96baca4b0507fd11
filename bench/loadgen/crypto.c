/* SRTP by libraries, so that nothing of the server's own code judges the server. AES-GCM (RFC 7714)
 * is OpenSSL's. Debian's libsrtp2 is built on NSS, whose GCM took 13 µs a packet here and a fifth
 * of the generator's time even with srtp.sample, by which a receiver decrypts one packet in so many
 * and still sees every sequence number; it does the other suites. */
#include <errno.h>
#include <stdlib.h>
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

/* One direction's: RTP, RTCP. */
struct lg_seal {
	EVP_CIPHER_CTX *rtp, *rtcp;
	uint8_t rtp_salt[SEAL_SALT], rtcp_salt[SEAL_SALT];
	uint32_t index; // of RTCP that is sent
};

static EVP_CIPHER_CTX *make_context(const struct suite *s, const uint8_t *master, uint8_t label,
                                    bool encrypts)
{
	const EVP_CIPHER *aes = s->key == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t key[32];

	if (c && derive(key, s->key, s, master, label) &&
	    EVP_CipherInit_ex(c, aes, NULL, key, NULL, encrypts) == 1)
		return c;
	EVP_CIPHER_CTX_free(c);
	return NULL;
}

static void free_seal(struct lg_seal *k)
{
	if (k) {
		EVP_CIPHER_CTX_free(k->rtp);
		EVP_CIPHER_CTX_free(k->rtcp);
	}
	free(k);
}

/* NULL: not GCM, or it cannot. */
static struct lg_seal *make_seal(const struct suite *s, const uint8_t *master, bool encrypts)
{
	enum { RTP_KEY = 0, RTP_SALT = 2, RTCP_KEY = 3, RTCP_SALT = 5 };
	struct lg_seal *k = s->salt == SEAL_SALT ? calloc(1, sizeof(*k)) : NULL;

	if (!k)
		return NULL;
	k->rtp = make_context(s, master, RTP_KEY, encrypts);
	k->rtcp = make_context(s, master, RTCP_KEY, encrypts);
	if (k->rtp && k->rtcp && derive(k->rtp_salt, SEAL_SALT, s, master, RTP_SALT) &&
	    derive(k->rtcp_salt, SEAL_SALT, s, master, RTCP_SALT))
		return k;
	free_seal(k);
	return NULL;
}

/* What one packet's cipher works on; the tag stands behind the text. */
struct text {
	EVP_CIPHER_CTX *c;
	uint8_t iv[SEAL_SALT];
	const uint8_t *head, *index; // authenticated; index: four bytes or NULL
	int head_len;
	uint8_t *text;
	int n;
};

static bool begin(const struct text *t)
{
	int done = 0;

	return EVP_CipherInit_ex(t->c, NULL, NULL, NULL, t->iv, -1) == 1 &&
	       EVP_CipherUpdate(t->c, NULL, &done, t->head, t->head_len) == 1 &&
	       (!t->index || EVP_CipherUpdate(t->c, NULL, &done, t->index, 4) == 1) &&
	       EVP_CipherUpdate(t->c, t->text, &done, t->text, t->n) == 1;
}

static int encrypt(const struct text *t)
{
	int done = 0;

	return begin(t) && EVP_CipherFinal_ex(t->c, t->text + t->n, &done) == 1 &&
	               EVP_CIPHER_CTX_ctrl(t->c, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG, t->text + t->n) ==
	                   1
	           ? 0
	           : -EIO;
}

static int decrypt(const struct text *t)
{
	uint8_t rest[16];
	int done = 0;

	return t->n >= 0 && begin(t) &&
	               EVP_CIPHER_CTX_ctrl(t->c, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG, t->text + t->n) ==
	                   1 &&
	               EVP_CipherFinal_ex(t->c, rest, &done) == 1
	           ? 0
	           : -EBADMSG;
}

/* RFC 7714 §8.1 and §8.2: the header is authenticated, the payload encrypted. len: without the tag.
 */
static void of_rtp(struct text *t, const struct lg_seal *k, uint8_t *buf, int len, uint32_t roc)
{
	int head = (int)lg_rtp_head(buf, (size_t)len);

	*t = (struct text){
	    .c = k->rtp, .head = buf, .head_len = head, .text = buf + head, .n = len - head};
	memcpy(t->iv + 2, buf + 8, 4);
	lg_put32(t->iv + 6, roc);
	memcpy(t->iv + 10, buf + 2, 2);
	for (unsigned i = 0; i < SEAL_SALT; i++)
		t->iv[i] ^= k->rtp_salt[i];
}

/* RFC 7714 §9.1 and §9.2: the first eight bytes are authenticated, and the index behind the tag. */
static void of_rtcp(struct text *t, const struct lg_seal *k, uint8_t *buf, int len,
                    const uint8_t *index)
{
	enum { HEAD = 8 };

	*t = (struct text){.c = k->rtcp,
	                   .head = buf,
	                   .head_len = HEAD,
	                   .index = index,
	                   .text = buf + HEAD,
	                   .n = len - HEAD};
	memcpy(t->iv + 2, buf + 4, 4);
	lg_put32(t->iv + 8, lg_get32(index) & 0x7fffffff);
	for (unsigned i = 0; i < SEAL_SALT; i++)
		t->iv[i] ^= k->rtcp_salt[i];
}

static int seal_rtcp(struct lg_seal *k, uint8_t *buf, int *len)
{
	uint8_t index[4];
	struct text t;

	lg_put32(index, 0x80000000 | k->index);
	k->index = (k->index + 1) & 0x7fffffff;
	of_rtcp(&t, k, buf, *len, index);
	memcpy(buf + *len + SEAL_TAG, index, 4);
	*len += SEAL_TAG + 4;
	return encrypt(&t);
}

int lg_crypto_unprotect(struct lg_peer *p, uint8_t *buf, int *len, uint32_t roc)
{
	struct text t;

	if (!p->unseal)
		return srtp_unprotect(p->in, buf, len) == srtp_err_status_ok ? 0 : -EBADMSG;
	*len -= SEAL_TAG;
	if (*len < 12 || !lg_rtp_head(buf, (size_t)*len))
		return -EBADMSG;
	of_rtp(&t, p->unseal, buf, *len, roc);
	return decrypt(&t);
}

/* Without the E bit it would come in the clear, which nobody here sends. */
int lg_crypto_unprotect_rtcp(struct lg_peer *p, uint8_t *buf, int *len)
{
	uint8_t index[4];
	struct text t;

	if (!p->unseal)
		return srtp_unprotect_rtcp(p->in, buf, len) == srtp_err_status_ok ? 0 : -EBADMSG;
	*len -= SEAL_TAG + 4;
	if (*len < 8 || !(buf[*len + SEAL_TAG] & 0x80))
		return -EBADMSG;
	memcpy(index, buf + *len + SEAL_TAG, 4);
	of_rtcp(&t, p->unseal, buf, *len, index);
	return decrypt(&t);
}

int lg_crypto_protect(struct lg_peer *p, uint8_t *buf, int *len, uint32_t roc)
{
	struct text t;

	if (p->seal) {
		of_rtp(&t, p->seal, buf, *len, roc);
		*len += SEAL_TAG;
		return encrypt(&t);
	}
	return srtp_protect(p->out, buf, len) == srtp_err_status_ok ? 0 : -EIO;
}

int lg_crypto_protect_rtcp(struct lg_peer *p, uint8_t *buf, int *len)
{
	if (p->seal)
		return seal_rtcp(p->seal, buf, len);
	return srtp_protect_rtcp(p->out, buf, len) == srtp_err_status_ok ? 0 : -EIO;
}

int lg_crypto_keys(struct lg_peer *p, const char *name, const uint8_t *own, const uint8_t *theirs)
{
	const struct suite *s = suite_of(name);

	if (!s)
		return -ENOTSUP;
	strcpy(p->suite, s->sdes);
	p->seal = make_seal(s, own, true);
	p->unseal = make_seal(s, theirs, false);
	if (s->salt == SEAL_SALT && (!p->seal || !p->unseal))
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
	free_seal(p->seal);
	free_seal(p->unseal);
	p->seal = p->unseal = NULL;
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
