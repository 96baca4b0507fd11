/* One association = one SSL between two BIO callbacks: reading takes the datagram at hand, each
 * write is a datagram. So nothing is queued here and datagram borders are kept, which OpenSSL's own
 * memory BIO does not do.
 *
 * Order of things: cp_dtls_recv → filter (dtls_record.c) → SSL → send; then, outside of OpenSSL,
 * keys or closed. The timer is armed while the handshake lasts: for OpenSSL's retransmission, and
 * for the deadline.
 *
 * Unprotected records are anyone's who can forge a source address. An alert among them is not
 * believed at once: it shortens the deadline, and progress takes that back. A ClientHello that
 * OpenSSL refuses leaves no trace: the next one finds a fresh SSL. What remains possible for such a
 * forger is to get a well-formed wrong message in before the right one; the handshake then fails,
 * as it does in any DTLS 1.2. */
#include "controlplane/nego/dtls.h"
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include "controlplane/loop.h"
#include "controlplane/nego/cert.h"
#include "controlplane/nego/dtls_record.h"

enum {
	DEADLINE_MS = 30000,
	ALERTED_MS = 2000, // how long a peer that seems to have given up may still prove us wrong
	FIRST_RETRANSMIT_US = 200000, // doubles each time (RFC 6347 §4.2.4.1 allows less than 1 s)
	LAST_RETRANSMIT_US = 4000000, // OpenSSL gives up after twelve: later than our deadline
	RESETS_MAX = 32,              // refused ClientHellos
	READS_MAX = 128,              // application records a datagram
};

struct cp_dtls_ctx {
	SSL_CTX *ssl;
	BIO_METHOD *bio;
	char fingerprint[CP_FINGERPRINT_STR];
};

struct cp_dtls {
	struct cp_dtls_ctx *ctx;
	SSL *ssl;
	struct cp_dtls_events ev;
	enum cp_dtls_role role;
	struct cp_timer *timer;
	uint64_t deadline_ns; // of the handshake
	uint64_t give_up_ns;  // after an alert without progress since; 0: none
	const EVP_MD *md;     // of the fingerprint
	uint8_t want[EVP_MAX_MD_SIZE];
	struct cp_dtls_filter filter;
	bool mismatch; // the certificate was not the announced one
	bool established, deaf, over;
	unsigned resets;
	size_t in_len; // datagram at hand, taken by the first read
	uint8_t in[SH_PACKET_MAX];
};

static int bio_read(BIO *b, char *out, int size)
{
	struct cp_dtls *d = BIO_get_data(b);
	size_t n = d->in_len < (size_t)size ? d->in_len : (size_t)size;

	BIO_clear_retry_flags(b);
	if (!n) {
		BIO_set_retry_read(b);
		return -1;
	}
	memcpy(out, d->in, n);
	d->in_len = 0;
	return (int)n;
}

static int bio_write(BIO *b, const char *data, int len)
{
	struct cp_dtls *d = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	d->ev.send(d->ev.arg, (const uint8_t *)data, (size_t)len);
	return len;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	switch (cmd) {
	case BIO_CTRL_FLUSH:
	case BIO_CTRL_DUP:
		return 1;
	case BIO_CTRL_DGRAM_QUERY_MTU:
	case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
		return CP_DTLS_DATAGRAM_MAX;
	default:
		return 0; // MTU overhead too: the link MTU that we set is that of UDP payloads
	}
}

static int bio_create(BIO *b)
{
	BIO_set_init(b, 1);
	return 1;
}

/* RFC 5763 §5, RFC 8122 §6.2: the certificate counts by its fingerprint, not by a chain, a name or
 * a date. */
static int verify(X509_STORE_CTX *store, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct cp_dtls *d = SSL_get_app_data(ssl);
	X509 *cert = X509_STORE_CTX_get0_cert(store);
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (cert && X509_digest(cert, d->md, digest, &n) && n == (unsigned)EVP_MD_get_size(d->md) &&
	    sh_secret_equal(digest, d->want, n))
		return 1;
	d->mismatch = true;
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
	return 0;
}

static bool configure(SSL_CTX *c, X509 *cert, EVP_PKEY *key)
{
	/* Ours first; the server's order decides (RFC 5764 §4.1.1). */
	static const char profiles[] = "SRTP_AEAD_AES_128_GCM:SRTP_AEAD_AES_256_GCM:SRTP_AES128_CM_"
	                               "SHA1_80:SRTP_AES128_CM_SHA1_32";
	static const char ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES+SHA1";

	SSL_CTX_set_options(c, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
	                           SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(c, 1);
	SSL_CTX_set_max_cert_list(c, 16384);
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(c, verify, NULL);
	return SSL_CTX_set_min_proto_version(c, DTLS1_2_VERSION) &&
	       SSL_CTX_set_cipher_list(c, ciphers) &&
	       SSL_CTX_set1_groups_list(c, "X25519:P-256:P-384") &&
	       SSL_CTX_use_certificate(c, cert) && SSL_CTX_use_PrivateKey(c, key) &&
	       SSL_CTX_set_tlsext_use_srtp(c, profiles) == 0;
}

int cp_dtls_ctx_alloc(struct cp_dtls_ctx **out, const char *dir)
{
	struct cp_dtls_ctx *ctx = calloc(1, sizeof(*ctx));
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;
	int err;

	if (!ctx)
		return -ENOMEM;
	err = cp_cert_load(&cert, &key, dir);
	if (!err)
		err = cp_cert_fingerprint(ctx->fingerprint, sizeof(ctx->fingerprint), cert);
	if (err)
		goto out;
	err = -ENOMEM;
	ctx->ssl = SSL_CTX_new(DTLS_method());
	ctx->bio = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "association");
	if (!ctx->ssl || !ctx->bio || !configure(ctx->ssl, cert, key) ||
	    !BIO_meth_set_create(ctx->bio, bio_create) || !BIO_meth_set_read(ctx->bio, bio_read) ||
	    !BIO_meth_set_write(ctx->bio, bio_write) || !BIO_meth_set_ctrl(ctx->bio, bio_ctrl))
		goto out;
	*out = ctx;
	ctx = NULL;
	err = 0;
out:
	X509_free(cert);
	EVP_PKEY_free(key);
	cp_dtls_ctx_free(ctx);
	ERR_clear_error();
	return err;
}

void cp_dtls_ctx_free(struct cp_dtls_ctx *ctx)
{
	if (!ctx)
		return;
	SSL_CTX_free(ctx->ssl);
	BIO_meth_free(ctx->bio);
	free(ctx);
}

const char *cp_dtls_fingerprint(const struct cp_dtls_ctx *ctx)
{
	return ctx->fingerprint;
}

static unsigned retransmit_us(SSL *ssl, unsigned last)
{
	if (!last)
		return FIRST_RETRANSMIT_US;
	return last * 2 < LAST_RETRANSMIT_US ? last * 2 : LAST_RETRANSMIT_US;
}

static SSL *fresh_ssl(struct cp_dtls *d)
{
	SSL *ssl = SSL_new(d->ctx->ssl);
	BIO *bio = ssl ? BIO_new(d->ctx->bio) : NULL;

	if (!bio) {
		SSL_free(ssl);
		return NULL;
	}
	BIO_set_data(bio, d);
	SSL_set_bio(ssl, bio, bio);
	if (!SSL_set_app_data(ssl, d) || !DTLS_set_link_mtu(ssl, CP_DTLS_DATAGRAM_MAX)) {
		SSL_free(ssl);
		return NULL;
	}
	DTLS_set_timer_cb(ssl, retransmit_us);
	if (d->role == CP_DTLS_CLIENT)
		SSL_set_connect_state(ssl);
	else
		SSL_set_accept_state(ssl);
	return ssl;
}

/* The last thing done with d: the handler may free it. */
static void over(struct cp_dtls *d, const char *reason)
{
	if (d->over)
		return;
	d->over = true;
	cp_timer_cancel(d->timer);
	d->ev.closed(d->ev.arg, reason);
}

static uint64_t deadline(const struct cp_dtls *d)
{
	return d->give_up_ns && d->give_up_ns < d->deadline_ns ? d->give_up_ns : d->deadline_ns;
}

/* Until OpenSSL's next retransmission or our deadline, whichever is first. */
static void arm(struct cp_dtls *d)
{
	uint64_t now = cp_now_ns(), end = deadline(d);
	uint64_t ms = end > now ? (end - now + 999999) / 1000000 : 0;
	struct timeval tv;

	if (DTLSv1_get_timeout(d->ssl, &tv)) {
		uint64_t t = (uint64_t)tv.tv_sec * 1000 + (uint64_t)(tv.tv_usec + 999) / 1000;

		ms = t < ms ? t : ms;
	}
	cp_timer_start(d->timer, ms ? ms : 1);
}

static bool profile_sizes(unsigned long id, size_t *key, size_t *salt)
{
	switch (id) {
	case SH_SRTP_AEAD_AES_128_GCM:
		*key = 16;
		*salt = 12;
		return true;
	case SH_SRTP_AEAD_AES_256_GCM:
		*key = 32;
		*salt = 12;
		return true;
	case SH_SRTP_AES128_CM_SHA1_80:
	case SH_SRTP_AES128_CM_SHA1_32:
		*key = 16;
		*salt = 14;
		return true;
	default:
		return false;
	}
}

/* RFC 5764 §4.2: client key, server key, client salt, server salt. */
static bool export_keys(struct cp_dtls *d)
{
	static const char label[] = "EXTRACTOR-dtls_srtp";
	const SRTP_PROTECTION_PROFILE *p = SSL_get_selected_srtp_profile(d->ssl);
	struct sh_srtp_secret client = {0}, server = {0};
	uint8_t block[2 * (32 + 14)];
	size_t key, salt;
	bool ok;

	if (!p || !profile_sizes(p->id, &key, &salt))
		return false;
	ok = SSL_export_keying_material(d->ssl, block, 2 * (key + salt), label, sizeof(label) - 1,
	                                NULL, 0, 0) == 1;
	if (ok) {
		bool ours_is_client = d->role == CP_DTLS_CLIENT;

		memcpy(client.bytes, block, key);
		memcpy(server.bytes, block + key, key);
		memcpy(client.bytes + key, block + 2 * key, salt);
		memcpy(server.bytes + key, block + 2 * key + salt, salt);
		d->ev.keys(d->ev.arg, (enum sh_srtp_profile)p->id,
		           ours_is_client ? &server : &client, ours_is_client ? &client : &server);
	}
	sh_secret_wipe(block, sizeof(block));
	sh_secret_wipe(&client, sizeof(client));
	sh_secret_wipe(&server, sizeof(server));
	return ok;
}

/* A server that has not answered yet forgets what it refused. */
static bool start_over(struct cp_dtls *d)
{
	SSL *ssl;

	if (d->role != CP_DTLS_SERVER || d->mismatch || d->resets == RESETS_MAX)
		return false;
	ssl = fresh_ssl(d);
	if (!ssl)
		return false;
	SSL_free(d->ssl);
	d->ssl = ssl;
	d->resets++;
	d->filter.ignored++;
	d->filter.started = false;
	return true;
}

static const char *handshake(struct cp_dtls *d)
{
	OSSL_HANDSHAKE_STATE before = SSL_get_state(d->ssl);
	int rc;

	ERR_clear_error();
	rc = SSL_do_handshake(d->ssl);
	if (rc == 1) {
		d->established = d->filter.established = true;
		cp_timer_cancel(d->timer);
		return export_keys(d) ? NULL : "no SRTP profile in common";
	}
	switch (SSL_get_error(d->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		if (SSL_get_state(d->ssl) != before) {
			d->filter.alert = 0;
			d->give_up_ns = 0;
		} else if (d->filter.alert && !d->give_up_ns) {
			d->give_up_ns = cp_now_ns() + ALERTED_MS * 1000000ull;
		}
		return NULL;
	default:
		if (d->mismatch)
			return "the certificate does not match the fingerprint";
		return before == TLS_ST_BEFORE && start_over(d) ? NULL : "handshake failed";
	}
}

/* Application data has no use here (RFC 5764 §1): read to see alerts, then forgotten. */
static const char *drain(struct cp_dtls *d)
{
	uint8_t junk[2048];

	for (int i = 0; i < READS_MAX; i++) {
		int rc, reason;

		ERR_clear_error();
		rc = SSL_read(d->ssl, junk, sizeof(junk));
		if (rc > 0)
			continue;
		reason = SSL_get_error(d->ssl, rc);
		if (reason == SSL_ERROR_ZERO_RETURN) {
			SSL_shutdown(d->ssl);
			return "close_notify";
		}
		if (SSL_get_shutdown(d->ssl) & SSL_RECEIVED_SHUTDOWN)
			return "fatal alert";
		/* Anything else is OpenSSL's trouble with the peer, not the media's: the keys stay
		 * good. */
		d->deaf = reason == SSL_ERROR_SSL || reason == SSL_ERROR_SYSCALL;
		break;
	}
	return NULL;
}

static void step(struct cp_dtls *d)
{
	const char *reason = NULL;

	if (!d->established)
		reason = handshake(d);
	if (!reason && d->established)
		reason = drain(d);
	ERR_clear_error();
	if (reason)
		over(d, reason);
	else if (!d->established)
		arm(d);
}

void cp_dtls_recv(struct cp_dtls *d, const uint8_t *data, size_t len)
{
	if (d->over || d->deaf || len > sizeof(d->in)) {
		d->filter.ignored++;
		return;
	}
	d->in_len = cp_dtls_filter(&d->filter, d->in, data, len);
	if (d->in_len || d->filter.alert)
		step(d);
	d->in_len = 0;
}

static void on_timer(void *arg)
{
	struct cp_dtls *d = arg;

	if (cp_now_ns() >= deadline(d)) {
		over(d, d->filter.alert ? "fatal alert" : "handshake timeout");
		return;
	}
	ERR_clear_error();
	if (DTLSv1_handle_timeout(d->ssl) < 0) {
		ERR_clear_error();
		over(d, "handshake timeout");
		return;
	}
	arm(d);
}

int cp_dtls_alloc(struct cp_dtls **out, struct cp_dtls_ctx *ctx, enum cp_dtls_role role,
                  const char *remote_fingerprint, const struct cp_dtls_events *ev)
{
	struct cp_dtls *d = calloc(1, sizeof(*d));
	int err = -ENOMEM;

	if (!d)
		return -ENOMEM;
	d->ctx = ctx;
	d->role = role;
	d->ev = *ev;
	d->filter.server = role == CP_DTLS_SERVER;
	d->md = cp_fingerprint_parse(remote_fingerprint, d->want);
	if (!d->md) {
		err = -EINVAL;
		goto fail;
	}
	d->ssl = fresh_ssl(d);
	if (!d->ssl || cp_timer_alloc(&d->timer, on_timer, d))
		goto fail;
	d->deadline_ns = cp_now_ns() + DEADLINE_MS * 1000000ull;
	if (role == CP_DTLS_CLIENT && handshake(d)) {
		err = -EIO;
		goto fail;
	}
	arm(d);
	*out = d;
	return 0;
fail:
	d->over = true;
	cp_dtls_free(d);
	return err;
}

void cp_dtls_free(struct cp_dtls *d)
{
	if (!d)
		return;
	if (d->established && !d->over && !d->deaf)
		SSL_shutdown(d->ssl);
	SSL_free(d->ssl);
	if (d->timer)
		cp_timer_free(d->timer);
	ERR_clear_error();
	sh_secret_wipe(d, sizeof(*d));
	free(d);
}

bool cp_dtls_established(const struct cp_dtls *d)
{
	return d->established;
}

uint64_t cp_dtls_ignored(const struct cp_dtls *d)
{
	return d->filter.ignored;
}
