/* ns a DTLS-SRTP handshake: what each side's calls of nego/dtls.h take, as a server (setup:passive,
 * as when a browser offers) and as a client.
 *
 * floor   the public-key arithmetic alone, straight from libcrypto: X25519 key and agreement, one
 *         ECDSA P-256 signature made and one checked. Each side does just that much.
 *
 * Both sides are in this thread and handed each other's datagrams; while one works, only its clock
 * runs. 1e9 ÷ ns is the handshakes a second that one core does. Certificates are made once, in a
 * folder that is removed. */
#include "bench/bench.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/evp.h>
#include "controlplane/loop.h"
#include "controlplane/nego/dtls.h"

enum { QUEUE = 64, DATAGRAM = CP_DTLS_DATAGRAM_MAX };

struct side {
	struct cp_dtls *dtls;
	struct cp_dtls_ctx *ctx;
	struct {
		size_t len;
		uint8_t data[DATAGRAM];
	} queue[QUEUE]; // towards this side
	unsigned head, tail;
	struct side *peer;
	bool keyed;
	uint64_t ticks;
};
static struct side server, client;

_Noreturn static void give_up(const char *why)
{
	fprintf(stderr, "bench_dtls: %s\n", why);
	exit(1);
}

static void on_send(void *arg, const uint8_t *data, size_t len)
{
	struct side *to = ((struct side *)arg)->peer;

	if (to->tail - to->head == QUEUE || len > DATAGRAM)
		give_up("a flight is longer than any should be");
	to->queue[to->tail % QUEUE].len = len;
	memcpy(to->queue[to->tail++ % QUEUE].data, data, len);
}

static void on_keys(void *arg, enum sh_srtp_profile profile, const struct sh_srtp_secret *rx,
                    const struct sh_srtp_secret *tx)
{
	((struct side *)arg)->keyed = true;
}

static void on_closed(void *arg, const char *reason)
{
	give_up(reason);
}

static void begin(struct side *s, enum cp_dtls_role role)
{
	struct cp_dtls_events ev = {on_send, on_keys, on_closed, s};
	uint64_t t = bench_ticks();

	s->keyed = false;
	s->head = s->tail = 0;
	if (cp_dtls_alloc(&s->dtls, s->ctx, role, cp_dtls_fingerprint(s->peer->ctx), &ev))
		give_up("no association");
	s->ticks += bench_ticks() - t;
}

static bool deliver(struct side *s)
{
	unsigned at = s->head % QUEUE;
	uint64_t t;

	if (s->head == s->tail)
		return false;
	s->head++;
	t = bench_ticks();
	cp_dtls_recv(s->dtls, s->queue[at].data, s->queue[at].len);
	s->ticks += bench_ticks() - t;
	return true;
}

static void end(struct side *s)
{
	uint64_t t = bench_ticks();

	cp_dtls_free(s->dtls);
	s->ticks += bench_ticks() - t;
}

static void handshake(void)
{
	begin(&server, CP_DTLS_SERVER);
	begin(&client, CP_DTLS_CLIENT);
	while (deliver(&server) || deliver(&client))
		;
	if (!server.keyed || !client.keyed)
		give_up("no keys");
	end(&client);
	end(&server);
}

/* ---- floor ---- */

static EVP_PKEY *identity;

static void agree(EVP_PKEY *theirs)
{
	uint8_t secret[32];
	size_t len = sizeof(secret);
	EVP_PKEY *ours = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(ours, NULL);

	if (EVP_PKEY_derive_init(c) != 1 || EVP_PKEY_derive_set_peer(c, theirs) != 1 ||
	    EVP_PKEY_derive(c, secret, &len) != 1)
		give_up("no X25519");
	EVP_PKEY_CTX_free(c);
	EVP_PKEY_free(ours);
}

static void sign_and_check(const uint8_t *digest, size_t digest_len)
{
	uint8_t signature[80];
	size_t len = sizeof(signature);
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(identity, NULL);

	if (EVP_PKEY_sign_init(c) != 1 ||
	    EVP_PKEY_sign(c, signature, &len, digest, digest_len) != 1 ||
	    EVP_PKEY_verify_init(c) != 1 ||
	    EVP_PKEY_verify(c, signature, len, digest, digest_len) != 1)
		give_up("no ECDSA");
	EVP_PKEY_CTX_free(c);
}

static double arithmetic(unsigned n)
{
	static const uint8_t digest[32] = {1};
	EVP_PKEY *theirs = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	uint64_t t = bench_ticks();

	for (unsigned i = 0; i < n; i++) {
		agree(theirs);
		sign_and_check(digest, sizeof(digest));
	}
	t = bench_ticks() - t;
	EVP_PKEY_free(theirs);
	return bench_ticks_to_ns((double)t) / n;
}

/* ---- */

static void remove_identity(const char *dir)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/dtls.pem", dir);
	unlink(path);
	rmdir(dir);
}

static void make_identities(void)
{
	struct side *sides[] = {&server, &client};

	for (unsigned i = 0; i < 2; i++) {
		char dir[] = "/tmp/bench-dtls-XXXXXX";

		if (!mkdtemp(dir) || cp_dtls_ctx_alloc(&sides[i]->ctx, dir))
			give_up("no certificate");
		remove_identity(dir);
		sides[i]->peer = sides[1 - i];
	}
	identity = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	if (!identity)
		give_up("no P-256");
}

static void row(struct bench *b, const char *what, double *samples, const struct bench_stat *floor)
{
	const char *values[] = {what};
	struct bench_stat s = bench_stat(samples, bench_runs(b));

	bench_row(b, values, &s, floor);
	bench_row_value(b, NULL, "handshakes_per_second", 1e9 / s.median);
}

int main(int argc, char **argv)
{
	static const char *const columns[] = {"ns a handshake", NULL};
	struct bench *b =
	    bench_open("bench_dtls", "  --handshakes N  a run (1000; quick 50)\n", argc, argv);
	unsigned n = (unsigned)bench_option(b, "handshakes", bench_quick(b) ? 50 : 1000);
	double floor[BENCH_RUNS_MAX], passive[BENCH_RUNS_MAX], active[BENCH_RUNS_MAX];
	struct bench_stat least;

	if (!n || cp_loop_init())
		give_up("nothing to do");
	bench_columns(b, columns);
	make_identities();
	handshake(); // warms up
	for (unsigned r = 0; r < bench_runs(b); r++) {
		floor[r] = arithmetic(n);
		server.ticks = client.ticks = 0;
		for (unsigned i = 0; i < n; i++)
			handshake();
		passive[r] = bench_ticks_to_ns((double)server.ticks) / n;
		active[r] = bench_ticks_to_ns((double)client.ticks) / n;
	}
	least = bench_stat(floor, bench_runs(b));
	row(b, "floor", floor, NULL);
	row(b, "server", passive, &least);
	row(b, "client", active, &least);
	EVP_PKEY_free(identity);
	cp_dtls_ctx_free(server.ctx);
	cp_dtls_ctx_free(client.ctx);
	cp_loop_close();
	return bench_close(b);
}
