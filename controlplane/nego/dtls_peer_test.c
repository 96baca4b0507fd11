/* An association and a bare OpenSSL client, to offer what our own would not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include "controlplane/nego/dtls_fixture.h"

struct bare {
	SSL_CTX *ctx;
	SSL *ssl;
	struct side side; // queue only
};

static int take_any(X509_STORE_CTX *store, void *arg)
{
	return 1;
}

static void bare_start(struct bare *b, const char *profiles)
{
	EVP_PKEY *key = EVP_RSA_gen(2048); // GStreamer and others still use RSA
	X509 *cert = X509_new();
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned n;
	char fp[CP_FINGERPRINT_STR] = "SHA-384 ";
	struct cp_dtls_events ev = events_of(&server);

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -86400 * 30);
	X509_gmtime_adj(X509_getm_notAfter(cert), -86400); // expired: only the fingerprint counts
	X509_set_pubkey(cert, key);
	X509_sign(cert, key, EVP_sha256());
	X509_digest(cert, EVP_sha384(), md, &n);
	for (unsigned i = 0; i < n; i++)
		sprintf(fp + 8 + 3 * i, "%02x%s", md[i], i + 1 < n ? ":" : "");
	memset(b, 0, sizeof(*b));
	b->ctx = SSL_CTX_new(DTLS_client_method());
	SSL_CTX_use_certificate(b->ctx, cert);
	SSL_CTX_use_PrivateKey(b->ctx, key);
	SSL_CTX_set_verify(b->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(b->ctx, take_any, NULL);
	if (profiles)
		assert_int_equal(SSL_CTX_set_tlsext_use_srtp(b->ctx, profiles), 0);
	b->ssl = SSL_new(b->ctx);
	SSL_set_options(b->ssl, SSL_OP_NO_QUERY_MTU);
	SSL_set_connect_state(b->ssl);
	SSL_set_bio(b->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	X509_free(cert);
	EVP_PKEY_free(key);
	memset(&server, 0, sizeof(server));
	server.peer = &b->side;
	assert_int_equal(cp_dtls_alloc(&server.d, ctx, CP_DTLS_SERVER, fp, &ev), 0);
}

/* The records of a memory BIO, one datagram each: also what a peer with a tiny MTU sends. */
static void bare_run(struct bare *b, unsigned mtu)
{
	DTLS_set_link_mtu(b->ssl, mtu);
	for (int round = 0; round < 20; round++) {
		uint8_t flight[16384];
		int n, at = 0;

		ERR_clear_error();
		if (SSL_do_handshake(b->ssl) == 1)
			SSL_read(b->ssl, flight, sizeof(flight));
		n = BIO_read(SSL_get_wbio(b->ssl), flight, sizeof(flight));
		while (at < n) {
			int len = 13 + (flight[at + 11] << 8 | flight[at + 12]);

			cp_dtls_recv(server.d, flight + at, (size_t)len);
			at += len;
		}
		while (b->side.head != b->side.tail) {
			unsigned k = b->side.head++ % QUEUE;

			BIO_write(SSL_get_rbio(b->ssl), b->side.queue[k].data,
			          b->side.queue[k].len);
			SSL_do_handshake(b->ssl);
		}
	}
}

static void bare_stop(struct bare *b)
{
	SSL_free(b->ssl);
	SSL_CTX_free(b->ctx);
	cp_dtls_free(server.d);
	server.d = NULL;
}

static void each_profile(void **state)
{
	static const struct {
		const char *offer;
		enum sh_srtp_profile want;
		size_t key, salt;
	} table[] = {
	    {"SRTP_AES128_CM_SHA1_80", SH_SRTP_AES128_CM_SHA1_80, 16, 14},
	    {"SRTP_AES128_CM_SHA1_32", SH_SRTP_AES128_CM_SHA1_32, 16, 14},
	    {"SRTP_AEAD_AES_128_GCM", SH_SRTP_AEAD_AES_128_GCM, 16, 12},
	    {"SRTP_AEAD_AES_256_GCM", SH_SRTP_AEAD_AES_256_GCM, 32, 12},
	    {"SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM",
	     SH_SRTP_AEAD_AES_128_GCM, 16, 12},
	    {"SRTP_AES128_CM_SHA1_32:SRTP_AES128_CM_SHA1_80", SH_SRTP_AES128_CM_SHA1_80, 16, 14},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		size_t k = table[i].key, s = table[i].salt;
		uint8_t block[128], zero[48] = {0};
		struct bare b;

		bare_start(&b, table[i].offer);
		bare_run(&b, 1200);
		assert_true(cp_dtls_established(server.d));
		assert_int_equal(server.profile, table[i].want);
		SSL_export_keying_material(b.ssl, block, 2 * (k + s), "EXTRACTOR-dtls_srtp", 19,
		                           NULL, 0, 0);
		assert_memory_equal(server.rx.bytes, block, k);
		assert_memory_equal(server.tx.bytes, block + k, k);
		assert_memory_equal(server.rx.bytes + k, block + 2 * k, s);
		assert_memory_equal(server.tx.bytes + k, block + 2 * k + s, s);
		assert_memory_equal(server.tx.bytes + k + s, zero, 48 - k - s);
		bare_stop(&b);
	}
}

static void no_srtp_is_refused(void **state)
{
	struct bare b;

	bare_start(&b, NULL);
	bare_run(&b, 1200);
	assert_int_equal(server.keyed, 0);
	assert_string_equal(server.reason, "no SRTP profile in common");
	bare_stop(&b);
}

static void tiny_fragments_are_joined(void **state)
{
	struct bare b;

	bare_start(&b, "SRTP_AEAD_AES_128_GCM");
	bare_run(&b, 256); // the ClientHello too comes in several datagrams
	assert_true(cp_dtls_established(server.d));
	bare_stop(&b);
}

static void application_data_is_dropped(void **state)
{
	uint8_t record[2048];
	struct bare b;
	int n;

	bare_start(&b, "SRTP_AEAD_AES_128_GCM");
	bare_run(&b, 1200);
	for (int i = 0; i < 100; i++) {
		SSL_write(b.ssl, "hello", 5);
		n = BIO_read(SSL_get_wbio(b.ssl), record, sizeof(record));
		cp_dtls_recv(server.d, record, (size_t)n);
		cp_dtls_recv(server.d, record, (size_t)n); // replayed
	}
	assert_int_equal(server.closed, 0);
	SSL_shutdown(b.ssl);
	n = BIO_read(SSL_get_wbio(b.ssl), record, sizeof(record));
	cp_dtls_recv(server.d, record, (size_t)n);
	assert_int_equal(server.closed, 1);
	cp_dtls_recv(server.d, record, (size_t)n);
	assert_int_equal(server.closed, 1);
	bare_stop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_profile),
	    cmocka_unit_test(no_srtp_is_refused),
	    cmocka_unit_test(tiny_fragments_are_joined),
	    cmocka_unit_test(application_data_is_dropped),
	};

	return cmocka_run_group_tests(tests, dtls_setup, dtls_teardown);
}
