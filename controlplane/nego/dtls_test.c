/* Two associations that find each other, or nobody; and with each allocation failing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/nego/dtls_fixture.h"
#include "controlplane/nego/fake_loop.h"

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
	struct cp_dtls_events ev[2] = {events_of(&server), events_of(&client)};
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(handshake_works),
	    cmocka_unit_test(silence_ends_it),
	    cmocka_unit_test(allocations_may_fail),
	};

	CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free);
	return cmocka_run_group_tests(tests, dtls_setup, dtls_teardown);
}
