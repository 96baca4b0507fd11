/* Two associations over a wire that loses, doubles, reorders, cuts and forges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/nego/dtls_fixture.h"
#include "controlplane/nego/fake_loop.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(survives_a_rough_wire),
	    cmocka_unit_test(last_flight_is_repeated),
	    cmocka_unit_test(forgeries_change_nothing),
	    cmocka_unit_test(truncations_change_nothing),
	    cmocka_unit_test(a_new_hello_resets_nothing),
	    cmocka_unit_test(refused_hellos_leave_no_trace),
	};

	return cmocka_run_group_tests(tests, dtls_setup, dtls_teardown);
}
