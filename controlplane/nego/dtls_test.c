/* Two associations, or one and a bare OpenSSL peer, over a wire that loses, doubles, reorders, cuts
 * and forges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "controlplane/nego/dtls.h"
#include "controlplane/nego/fake_loop.h"

enum { QUEUE = 512 };
struct side {
	struct cp_dtls *d;
	struct side *peer;
	struct {
		uint16_t len;
		uint8_t data[1500];
	} queue[QUEUE]; // towards this side
	unsigned head, tail, sent, biggest;
	unsigned keyed, closed;
	const char *reason;
	enum sh_srtp_profile profile;
	struct sh_srtp_secret rx, tx;
};

static char dir[64], dir2[64];
static struct cp_dtls_ctx *ctx, *ctx2;

static void push(struct side *to, const uint8_t *data, size_t len)
{
	assert_true(len <= 1500);
	if (to->tail - to->head == QUEUE)
		return;
	to->queue[to->tail % QUEUE].len = (uint16_t)len;
	memcpy(to->queue[to->tail++ % QUEUE].data, data, len);
}

static void on_send(void *arg, const uint8_t *data, size_t len)
{
	struct side *s = arg;

	assert_in_range(len, 1, CP_DTLS_DATAGRAM_MAX);
	s->sent++;
	s->biggest = len > s->biggest ? (unsigned)len : s->biggest;
	push(s->peer, data, len);
}

static void on_keys(void *arg, enum sh_srtp_profile profile, const struct sh_srtp_secret *rx,
                    const struct sh_srtp_secret *tx)
{
	struct side *s = arg;

	s->keyed++;
	s->profile = profile;
	s->rx = *rx;
	s->tx = *tx;
}

static void on_closed(void *arg, const char *reason)
{
	struct side *s = arg;

	s->closed++;
	s->reason = reason;
}

static void start(struct side *s, struct side *peer, struct cp_dtls_ctx *c, enum cp_dtls_role role,
                  const char *fp)
{
	struct cp_dtls_events ev = {
	    .send = on_send, .keys = on_keys, .closed = on_closed, .arg = s};

	memset(s, 0, sizeof(*s));
	s->peer = peer;
	assert_int_equal(cp_dtls_alloc(&s->d, c, role, fp, &ev), 0);
}

static bool deliver(struct side *to)
{
	unsigned at = to->head;

	if (at == to->tail)
		return false;
	to->head++;
	if (to->d)
		cp_dtls_recv(to->d, to->queue[at % QUEUE].data, to->queue[at % QUEUE].len);
	return true;
}

static void run(struct side *a, struct side *b)
{
	while (deliver(a) || deliver(b))
		;
}

static void stop(struct side *a, struct side *b)
{
	cp_dtls_free(a->d);
	cp_dtls_free(b->d);
	a->d = b->d = NULL;
	assert_int_equal(fake_loop_timers(), 0);
}

static void check_up(const struct side *s, const struct side *c, enum sh_srtp_profile profile)
{
	assert_true(cp_dtls_established(s->d) && cp_dtls_established(c->d));
	assert_int_equal(s->keyed, 1);
	assert_int_equal(c->keyed, 1);
	assert_int_equal(s->closed + c->closed, 0);
	assert_int_equal(s->profile, profile);
	assert_int_equal(c->profile, profile);
	assert_memory_equal(&s->rx, &c->tx, sizeof(s->rx));
	assert_memory_equal(&s->tx, &c->rx, sizeof(s->rx));
	assert_memory_not_equal(&s->tx, &s->rx, sizeof(s->rx));
}

static struct side server, client;

static void begin(void)
{
	memset(&server, 0, sizeof(server));
	start(&server, &client, ctx, CP_DTLS_SERVER, cp_dtls_fingerprint(ctx2));
	start(&client, &server, ctx2, CP_DTLS_CLIENT, cp_dtls_fingerprint(ctx));
}

static void handshake_works(void **state)
{
	uint8_t *p, zero[32] = {0};

	begin();
	run(&server, &client);
	check_up(&server, &client, SH_SRTP_AEAD_AES_128_GCM);
	p = server.rx.bytes;
	assert_memory_equal(p + 28, zero, 48 - 28); // 16 + 12 bytes and no more
	cp_dtls_free(client.d);
	client.d = NULL;
	run(&server, &client);
	assert_int_equal(server.closed, 1);
	assert_string_equal(server.reason, "close_notify");
	stop(&server, &client);
}

static void wrong_fingerprint_is_refused(void **state)
{
	char other[CP_FINGERPRINT_STR];

	snprintf(other, sizeof(other), "%s", cp_dtls_fingerprint(ctx2));
	other[strlen(other) - 1] = other[strlen(other) - 1] == '0' ? '1' : '0';
	memset(&server, 0, sizeof(server));
	start(&server, &client, ctx, CP_DTLS_SERVER, other);
	start(&client, &server, ctx2, CP_DTLS_CLIENT, cp_dtls_fingerprint(ctx));
	run(&server, &client);
	assert_int_equal(server.keyed, 0);
	assert_int_equal(server.closed, 1);
	assert_string_equal(server.reason, "the certificate does not match the fingerprint");
	fake_loop_advance(40000);
	assert_int_equal(client.closed, 1);
	assert_int_equal(client.keyed, 0);
	stop(&server, &client);

	start(&server, &client, ctx, CP_DTLS_SERVER, cp_dtls_fingerprint(ctx2));
	start(&client, &server, ctx2, CP_DTLS_CLIENT, other);
	run(&server, &client);
	assert_int_equal(client.keyed + server.keyed, 0);
	assert_string_equal(client.reason, "the certificate does not match the fingerprint");
	fake_loop_advance(5000); // the alert is believed when nothing else comes
	assert_string_equal(server.reason, "fatal alert");
	stop(&server, &client);
}

static void fingerprints_are_checked(void **state)
{
	static const char *const bad[] = {
	    "",
	    "sha-256",
	    "sha-256 ",
	    "sha-1 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33",
	    "sha-256 00:11",
	    "md5 00",
	    "sha-256 "
	    "00-01-02-03-04-05-06-07-08-09-0A-0B-0C-0D-0E-0F-10-11-12-13-14-15-16-17-18-19-1A-1B-"
	    "1C-1D-1E-1F",
	    "sha-256 "
	    "0g:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:"
	    "1C:1D:1E:1F"};
	struct cp_dtls_events ev = {
	    .send = on_send, .keys = on_keys, .closed = on_closed, .arg = &server};
	struct cp_dtls *d;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(cp_dtls_alloc(&d, ctx, CP_DTLS_SERVER, bad[i], &ev), -EINVAL);
	assert_int_equal(fake_loop_timers(), 0);
}

/* Loss of a fraction of the datagrams, repeats and swaps, all from one seed. */
static void rough_wire(unsigned seed, unsigned loss_percent)
{
	begin();
	srand(seed);
	for (unsigned i = 0; i < 3000; i++) {
		struct side *to = rand() & 1 ? &server : &client;
		unsigned waiting = to->tail - to->head;

		if (!waiting) {
			fake_loop_advance(7);
			continue;
		}
		if ((unsigned)rand() % 100 < loss_percent) {
			to->head++;
			continue;
		}
		if (waiting > 1 && rand() % 4 == 0) { // swap with the next
			typeof(to->queue[0]) t = to->queue[to->head % QUEUE];

			to->queue[to->head % QUEUE] = to->queue[(to->head + 1) % QUEUE];
			to->queue[(to->head + 1) % QUEUE] = t;
		}
		if (rand() % 4 == 0)
			push(to, to->queue[to->head % QUEUE].data, to->queue[to->head % QUEUE].len);
		deliver(to);
		if (cp_dtls_established(server.d) && cp_dtls_established(client.d))
			break;
	}
	check_up(&server, &client, SH_SRTP_AEAD_AES_128_GCM);
	stop(&server, &client);
}

static void survives_a_rough_wire(void **state)
{
	for (unsigned seed = 1; seed <= 200; seed++)
		rough_wire(seed, seed % 30);
}

/* The server's last flight is lost: the client's repeated Finished brings it back, in its
 * established state. */
static void last_flight_is_repeated(void **state)
{
	begin();
	while (!cp_dtls_established(server.d))
		if (!deliver(&server))
			assert_true(deliver(&client));
	client.head = client.tail;
	assert_false(cp_dtls_established(client.d));
	fake_loop_advance(300);
	run(&server, &client);
	check_up(&server, &client, SH_SRTP_AEAD_AES_128_GCM);
	stop(&server, &client);
}

static size_t forged(uint8_t *out, unsigned kind)
{
	size_t n = 13 + (size_t)rand() % 200;

	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)rand();
	if (kind % 8 == 0) { // a record header that fits, random content
		out[0] = (uint8_t)(20 + rand() % 4);
		out[1] = 0xfe;
		out[2] = rand() & 1 ? 0xfd : 0xff;
		out[3] = 0;
		out[4] = (uint8_t)(rand() % 3);
		out[11] = 0;
		out[12] = (uint8_t)(n - 13);
	} else if (kind % 8 == 1) { // a fatal alert
		memcpy(out, (uint8_t[]){21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40}, 15);
		n = 15;
	} else if (kind % 8 == 2) { // close_notify
		memcpy(out,
		       (uint8_t[]){21, 0xfe, 0xfd, 0, (uint8_t)(rand() & 1), 0, 0, 0, 0, 0, 9, 0, 2,
		                   1, 0},
		       15);
		n = 15;
	} else if (kind % 8 == 3) { // handshake fragments at odds with themselves
		static const uint8_t types[] = {0, 1, 2, 3, 11, 12, 14, 16, 20, 99};

		memset(out, 0, 40);
		memcpy(out, (uint8_t[]){22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 1, 0, 0, 27}, 13);
		out[13] = types[rand() % sizeof(types)];
		out[16] = 100;
		out[21] = (uint8_t)(90 + rand() % 160);
		out[24] = 15 + 1;
		n = 40;
	}
	return n;
}

/* Whatever a third party sends, at any moment, the handshake completes and the association stays.
 */
static void forgeries_change_nothing(void **state)
{
	for (unsigned seed = 1; seed <= 60; seed++) {
		uint8_t junk[256];
		unsigned n = 0;

		srand(seed);
		begin();
		do {
			for (unsigned i = 0; i < 8; i++) {
				cp_dtls_recv(server.d, junk, forged(junk, n));
				cp_dtls_recv(client.d, junk, forged(junk, n++));
			}
		} while (deliver(&server) || deliver(&client));
		check_up(&server, &client, SH_SRTP_AEAD_AES_128_GCM);
		for (unsigned i = 0; i < 500; i++) {
			cp_dtls_recv(server.d, junk, forged(junk, i));
			cp_dtls_recv(client.d, junk, forged(junk, i));
		}
		fake_loop_advance(60000);
		check_up(&server, &client, SH_SRTP_AEAD_AES_128_GCM);
		assert_true(cp_dtls_ignored(server.d) > 300);
		stop(&server, &client);
	}
}

/* Each prefix of each datagram, before the datagram itself. */
static void truncations_change_nothing(void **state)
{
	struct side *to;

	begin();
	for (;;) {
		to = server.head != server.tail ? &server : &client;
		if (to->head == to->tail)
			break;
		for (unsigned len = 0; len < to->queue[to->head % QUEUE].len; len += 7) {
			uint8_t copy[1500];

			memcpy(copy, to->queue[to->head % QUEUE].data, len);
			cp_dtls_recv(to->d, copy, len);
		}
		deliver(to);
	}
	check_up(&server, &client, SH_SRTP_AEAD_AES_128_GCM);
	stop(&server, &client);
}

static void a_new_hello_resets_nothing(void **state)
{
	uint8_t hello[1500];
	size_t len;

	begin();
	len = server.queue[0].len;
	memcpy(hello, server.queue[0].data, len);
	run(&server, &client);
	for (int i = 0; i < 10; i++)
		cp_dtls_recv(server.d, hello, len);
	assert_int_equal(client.head, client.tail); // no answer either
	check_up(&server, &client, SH_SRTP_AEAD_AES_128_GCM);
	stop(&server, &client);
}

static void refused_hellos_leave_no_trace(void **state)
{
	uint8_t hello[1500];

	begin();
	for (int i = 0; i < 5; i++) { // its cipher suites or lengths destroyed
		size_t len = server.queue[0].len;

		memcpy(hello, server.queue[0].data, len);
		memset(hello + 13 + 12 + 34, 0xff, 8 + (size_t)i);
		cp_dtls_recv(server.d, hello, len);
		assert_int_equal(server.closed, 0);
	}
	client.head = client.tail;
	run(&server, &client);
	check_up(&server, &client, SH_SRTP_AEAD_AES_128_GCM);
	stop(&server, &client);
}

static void silence_ends_it(void **state)
{
	begin();
	server.head = server.tail;
	fake_loop_advance(29000);
	assert_int_equal(server.closed + client.closed, 0);
	assert_in_range(client.sent, 8, 40); // retransmitted, not flooded
	fake_loop_advance(2000);
	assert_int_equal(server.closed, 1);
	assert_int_equal(client.closed, 1);
	assert_string_equal(server.reason, "handshake timeout");
	assert_string_equal(client.reason, "handshake timeout");
	stop(&server, &client);
}

/* A bare OpenSSL client as the peer, to offer what our own would not. */
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
	struct cp_dtls_events ev = {
	    .send = on_send, .keys = on_keys, .closed = on_closed, .arg = &server};

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

static size_t fail_at; // 0: never; else counts OpenSSL's allocations down to the failing one

static void *ssl_malloc(size_t n, const char *file, int line)
{
	return fail_at && --fail_at == 0 ? NULL : malloc(n);
}

static void *ssl_realloc(void *p, size_t n, const char *file, int line)
{
	return fail_at && --fail_at == 0 ? NULL : realloc(p, n);
}

static void ssl_free(void *p, const char *file, int line)
{
	free(p);
}

/* With any one allocation of OpenSSL's failing: established, or closed, or never begun; and nothing
 * left over. */
static void allocations_may_fail(void **state)
{
	struct cp_dtls_events ev[2] = {
	    {.send = on_send, .keys = on_keys, .closed = on_closed, .arg = &server},
	    {.send = on_send, .keys = on_keys, .closed = on_closed, .arg = &client}};
	unsigned up = 0;

	for (size_t at = 1;; at++) {
		bool failed;

		memset(&server, 0, sizeof(server));
		memset(&client, 0, sizeof(client));
		server.peer = &client;
		client.peer = &server;
		fail_at = at;
		if (!cp_dtls_alloc(&server.d, ctx, CP_DTLS_SERVER, cp_dtls_fingerprint(ctx2),
		                   &ev[0]) &&
		    !cp_dtls_alloc(&client.d, ctx2, CP_DTLS_CLIENT, cp_dtls_fingerprint(ctx),
		                   &ev[1]))
			run(&server, &client);
		failed = fail_at == 0;
		fail_at = 0;
		for (int i = 0; i < 40; i++) {
			fake_loop_advance(1000);
			run(&server, &client);
		}
		assert_true(!server.d || cp_dtls_established(server.d) || server.closed);
		assert_true(!client.d || cp_dtls_established(client.d) || client.closed);
		up += server.keyed && client.keyed;
		stop(&server, &client);
		if (!failed)
			break;
		at += at / 40; // all of the first, then a sample
	}
	assert_true(up > 1); // the one without, and those that a retransmission saved
}

static void certificate_is_kept(void **state)
{
	char path[96], first[CP_FINGERPRINT_STR];
	struct cp_dtls_ctx *c;
	struct stat st;
	FILE *f;

	snprintf(path, sizeof(path), "%s/dtls.pem", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	snprintf(first, sizeof(first), "%s", cp_dtls_fingerprint(ctx));
	assert_int_equal(cp_dtls_ctx_alloc(&c, dir), 0);
	assert_string_equal(cp_dtls_fingerprint(c), first);
	cp_dtls_ctx_free(c);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(cp_dtls_ctx_alloc(&c, dir), 0);
	cp_dtls_ctx_free(c);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_string_not_equal(cp_dtls_fingerprint(ctx2), first);
	snprintf(path, sizeof(path), "%s/dtls.pem", dir2);
	f = fopen(path, "w");
	fputs("not a key\n", f);
	fclose(f);
	assert_int_equal(cp_dtls_ctx_alloc(&c, dir2), -EBADMSG); // never silently another identity
	assert_int_equal(cp_dtls_ctx_alloc(&c, "/proc/none/such"), -ENOENT);
}

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/nego-dtls-XXXXXX");
	snprintf(dir2, sizeof(dir2), "/tmp/nego-dtls-XXXXXX");
	return !mkdtemp(dir) || !mkdtemp(dir2) || cp_dtls_ctx_alloc(&ctx, dir) ||
	       cp_dtls_ctx_alloc(&ctx2, dir2);
}

static int teardown(void **state)
{
	char path[96];

	cp_dtls_ctx_free(ctx);
	cp_dtls_ctx_free(ctx2);
	snprintf(path, sizeof(path), "%s/dtls.pem", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/dtls.pem", dir2);
	unlink(path);
	return rmdir(dir) | rmdir(dir2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(handshake_works),
	    cmocka_unit_test(wrong_fingerprint_is_refused),
	    cmocka_unit_test(fingerprints_are_checked),
	    cmocka_unit_test(survives_a_rough_wire),
	    cmocka_unit_test(last_flight_is_repeated),
	    cmocka_unit_test(forgeries_change_nothing),
	    cmocka_unit_test(truncations_change_nothing),
	    cmocka_unit_test(a_new_hello_resets_nothing),
	    cmocka_unit_test(refused_hellos_leave_no_trace),
	    cmocka_unit_test(silence_ends_it),
	    cmocka_unit_test(each_profile),
	    cmocka_unit_test(no_srtp_is_refused),
	    cmocka_unit_test(tiny_fragments_are_joined),
	    cmocka_unit_test(application_data_is_dropped),
	    cmocka_unit_test(allocations_may_fail),
	    cmocka_unit_test(certificate_is_kept),
	};

	CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free);
	return cmocka_run_group_tests(tests, setup, teardown);
}
