/* DTLS-SRTP (RFC 5764) by OpenSSL, one certificate for all. Datagrams go through a BIO of ours, so
 * that each record flight leaves as OpenSSL wrote it and nothing is merged. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include "bench/loadgen/lg.h"

enum { MTU = 1200, TICK_MS = 50 };

static SSL_CTX *ctx;
static BIO_METHOD *method;
static char own_fingerprint[128];

/* ---- the BIO ---- */

static int bio_write(BIO *b, const char *buf, int len)
{
	lg_net->send(BIO_get_data(b), buf, (size_t)len);
	return len;
}

static int bio_read(BIO *b, char *buf, int size)
{
	struct lg_peer *p = BIO_get_data(b);
	int n = (int)p->record_len;

	BIO_clear_retry_flags(b);
	if (!p->record) {
		BIO_set_retry_read(b);
		return -1;
	}
	if (n > size)
		n = size;
	memcpy(buf, p->record, (size_t)n);
	p->record = NULL;
	return n;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	switch (cmd) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_DGRAM_QUERY_MTU:
	case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
		return MTU;
	default:
		return 0;
	}
}

static int bio_create(BIO *b)
{
	BIO_set_init(b, 1);
	return 1;
}

/* ---- certificate ---- */

static int take_any(int ok, X509_STORE_CTX *store)
{
	return 1; // judged by its fingerprint
}

static int fingerprint_of(X509 *cert, const EVP_MD *md, const char *name, char *out, size_t size)
{
	uint8_t d[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	size_t at;

	if (!X509_digest(cert, md, d, &n) || size < strlen(name) + 2 + 3 * (size_t)n)
		return -EINVAL;
	at = (size_t)sprintf(out, "%s ", name);
	for (unsigned i = 0; i < n; i++)
		at += (size_t)sprintf(out + at, "%s%02X", i ? ":" : "", d[i]);
	return 0;
}

static int make_certificate(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_NAME *name;
	int err = -ENOMEM;

	if (!key || !cert)
		goto out;
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), (long)(lg_random32() >> 1));
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 30L * 86400);
	X509_set_pubkey(cert, key);
	name = X509_get_subject_name(cert);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"load", -1, -1, 0);
	X509_set_issuer_name(cert, name);
	if (X509_sign(cert, key, EVP_sha256()) && SSL_CTX_use_certificate(ctx, cert) == 1 &&
	    SSL_CTX_use_PrivateKey(ctx, key) == 1)
		err = fingerprint_of(cert, EVP_sha256(), "sha-256", own_fingerprint,
		                     sizeof(own_fingerprint));
out:
	X509_free(cert);
	EVP_PKEY_free(key);
	return err;
}

int lg_dtls_open(void)
{
	ctx = SSL_CTX_new(DTLS_method());
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "peer");
	if (!ctx || !method)
		return -ENOMEM;
	BIO_meth_set_write(method, bio_write);
	BIO_meth_set_read(method, bio_read);
	BIO_meth_set_ctrl(method, bio_ctrl);
	BIO_meth_set_create(method, bio_create);
	SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, take_any);
	if (SSL_CTX_set_tlsext_use_srtp(ctx, lg_crypto_dtls()) != 0) // 0 is success here
		return -EINVAL;
	return make_certificate();
}

const char *lg_dtls_fingerprint(void)
{
	return own_fingerprint;
}

/* ---- a handshake ---- */

/* RFC 8122 §5: the certificate must be the one that signaling told. */
static bool is_the_server(const struct lg_peer *p)
{
	X509 *cert = SSL_get1_peer_certificate(p->ssl);
	char name[16] = "", got[160];
	const EVP_MD *md;
	char *dash;
	bool ok = false;

	sscanf(p->fingerprint, "%15s", name);
	dash = strchr(name, '-'); // OpenSSL says sha256
	if (dash)
		memmove(dash, dash + 1, strlen(dash));
	md = EVP_get_digestbyname(name);
	sscanf(p->fingerprint, "%15s", name);
	if (cert && md && fingerprint_of(cert, md, name, got, sizeof(got)) == 0)
		ok = strcasecmp(got, p->fingerprint) == 0;
	X509_free(cert);
	return ok;
}

static void finished(struct lg_peer *p, uint64_t now)
{
	static const char label[] = "EXTRACTOR-dtls_srtp";
	SRTP_PROTECTION_PROFILE *profile = SSL_get_selected_srtp_profile(p->ssl);
	uint8_t raw[2 * LG_KEY_MAX], key[2][LG_KEY_MAX];
	unsigned all, n, salt;
	bool server = SSL_is_server(p->ssl);

	if (!is_the_server(p)) {
		lg_peer_fail(p, "DTLS: another certificate than signaled");
		return;
	}
	if (!profile || !(all = lg_crypto_key_len(profile->name))) {
		lg_peer_fail(p, "DTLS: no SRTP profile");
		return;
	}
	salt = strstr(profile->name, "AEAD") ? 12 : 14;
	n = all - salt;
	if (!SSL_export_keying_material(p->ssl, raw, 2 * (size_t)all, label, sizeof(label) - 1,
	                                NULL, 0, 0)) {
		lg_peer_fail(p, "DTLS: no keying material");
		return;
	}
	for (unsigned i = 0; i < 2; i++) { // client's, server's
		memcpy(key[i], raw + i * n, n);
		memcpy(key[i] + n, raw + 2 * n + i * salt, salt);
	}
	if (lg_crypto_keys(p, profile->name, key[server], key[!server]))
		lg_peer_fail(p, "SRTP: libsrtp takes no keys");
	else
		lg_peer_keyed(p, now);
}

static void step(struct lg_peer *p, uint64_t now)
{
	int n, err;
	char data[256];

	if (p->state == LG_UP) {
		n = SSL_read(p->ssl, data, sizeof(data));
		if (n <= 0 && SSL_get_shutdown(p->ssl) & SSL_RECEIVED_SHUTDOWN)
			lg_peer_fail(p, "DTLS: closed by the server");
		return;
	}
	ERR_clear_error();
	n = SSL_do_handshake(p->ssl);
	if (n == 1) {
		finished(p, now);
		return;
	}
	err = SSL_get_error(p->ssl, n);
	if (err != SSL_ERROR_WANT_READ && err != SSL_ERROR_WANT_WRITE) {
		snprintf(data, sizeof(data), "DTLS: %s",
		         ERR_reason_error_string(ERR_peek_error())
		             ? ERR_reason_error_string(ERR_peek_error())
		             : "failed");
		lg_peer_fail(p, data);
	}
}

int lg_dtls_start(struct lg_peer *p, uint64_t now)
{
	BIO *bio = BIO_new(method);

	p->ssl = SSL_new(ctx);
	if (!p->ssl || !bio) {
		BIO_free(bio);
		return -ENOMEM;
	}
	BIO_set_data(bio, p);
	SSL_set_bio(p->ssl, bio, bio);
	SSL_set_mtu(p->ssl, MTU);
	if (p->passive)
		SSL_set_accept_state(p->ssl);
	else
		SSL_set_connect_state(p->ssl);
	p->dtls_ns = now + TICK_MS * 1000000ULL;
	step(p, now);
	return 0;
}

void lg_dtls_input(struct lg_peer *p, const uint8_t *buf, size_t len, uint64_t now)
{
	if (!p->ssl || p->state == LG_FAILED)
		return;
	p->record = buf;
	p->record_len = len;
	step(p, now);
	p->record = NULL;
}

void lg_dtls_timer(struct lg_peer *p, uint64_t now)
{
	if (!p->ssl || p->state != LG_DTLS || now < p->dtls_ns)
		return;
	p->dtls_ns = now + TICK_MS * 1000000ULL;
	if (DTLSv1_handle_timeout(p->ssl) < 0)
		lg_peer_fail(p, "DTLS: no answer");
}

void lg_dtls_close(struct lg_peer *p)
{
	if (p->ssl && p->state == LG_UP)
		SSL_shutdown(p->ssl); // close_notify
	SSL_free(p->ssl);
	p->ssl = NULL;
}
