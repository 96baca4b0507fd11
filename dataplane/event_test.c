/* Events under back-pressure: nothing that must arrive is lost, and what is newest is what is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "dataplane/event.h"
#include "dataplane/event_fixture.h"
#include "dataplane/worker.h"

static void states_are_told_once(void **state)
{
	struct sh_endpoint *e = event_alive(3);

	dp_event_endpoint(3);
	dp_event_endpoint(3);
	assert_true(dp_event_flush());
	assert_int_equal(event_next(), SH_MSG_ENDPOINT_STATE);
	assert_int_equal(event_body.endpoint.id, e->set.id);
	assert_int_equal(event_body.endpoint.remote.port, 5003);
	assert_int_equal(event_next(), 0);
	dp_event_endpoint(3);
	assert_true(dp_event_flush());
	assert_int_equal(event_next(), 0);
	e->ice = SH_ICE_DISCONNECTED;
	dp_event_endpoint(3);
	e->ice = SH_ICE_CONNECTED; // and back before it was told: there is no news
	dp_event_endpoint(3);
	dp_event_flush();
	while (event_next())
		assert_int_equal(event_body.endpoint.ice, SH_ICE_CONNECTED);
	/* Another generation in the slot, that has nothing to tell; one that has. */
	e->set.id = SH_ID(3u, 2u);
	e->ice = SH_ICE_NEW;
	dp_event_endpoint(3);
	dp_event_flush();
	assert_int_equal(event_next(), 0);
	e->ice = SH_ICE_CONNECTED;
	dp_event_endpoint(3);
	dp_event_flush();
	assert_int_equal(event_next(), SH_MSG_ENDPOINT_STATE);
	dp_event_forget();
	dp_event_endpoint(3);
	dp_event_flush();
	assert_int_equal(event_next(), SH_MSG_ENDPOINT_STATE);
	/* One that went before it was told. */
	e->ice = SH_ICE_DISCONNECTED;
	dp_event_endpoint(3);
	e->state = SH_DEAD;
	assert_true(dp_event_flush());
	assert_int_equal(event_next(), 0);
	dp_event_endpoint(ENDPOINTS); // out of range
}

static void tracks(void **state)
{
	struct sh_track *t = &dp_slabs.track[2];

	t->set.id = SH_ID(2u, 1u);
	t->state = SH_LIVE;
	dp_event_track(2, 5000000000);
	dp_event_flush();
	assert_int_equal(event_next(), 0); // silent since ever
	t->media[1].ssrc = 77;
	t->media[1].last_at_ns = 5000000000;
	dp_event_track(2, 5000000001);
	dp_event_flush();
	assert_int_equal(event_next(), SH_MSG_TRACK_STATE);
	assert_int_equal(event_body.track.layer_active, 2);
	assert_int_equal(event_body.track.ssrc[1], 77);
	dp_event_track(2, 5900000000);
	dp_event_flush();
	assert_int_equal(event_next(), 0);
	dp_event_track(2, 6000000000); // a second without a packet
	dp_event_flush();
	assert_int_equal(event_next(), SH_MSG_TRACK_STATE);
	assert_int_equal(event_body.track.layer_active, 0);
}

static void a_full_ring_delays_states(void **state)
{
	unsigned told = 0;

	for (uint32_t i = 0; i < ENDPOINTS; i++) {
		event_alive(i);
		dp_event_endpoint(i);
	}
	assert_false(dp_event_flush());
	assert_true(event_counter(SH_STAT_events_full) > 0);
	assert_false(dp_event_blocked()); // commands may go on
	/* What changed while it waited is told as it is now. */
	dp_slabs.endpoint[ENDPOINTS - 1].ice = SH_ICE_DISCONNECTED;
	for (unsigned rounds = 0; rounds < 100; rounds++) {
		while (event_next() == SH_MSG_ENDPOINT_STATE) {
			assert_int_equal(SH_ID_INDEX(event_body.endpoint.id), told);
			assert_int_equal(event_body.endpoint.ice, told == ENDPOINTS - 1
			                                              ? SH_ICE_DISCONNECTED
			                                              : SH_ICE_CONNECTED);
			told++;
		}
		dp_event_flush();
	}
	assert_int_equal(told, ENDPOINTS);
	assert_true(dp_event_flush());
}

static void dtls_comes_after_states_or_not_at_all(void **state)
{
	uint8_t data[1200] = {22, 0xfe, 0xfd};
	unsigned packets = 0;

	event_alive(1);
	dp_event_endpoint(1);
	assert_true(dp_event_dtls(1, data, 100));
	assert_int_equal(event_next(), SH_MSG_ENDPOINT_STATE);
	assert_int_equal(event_next(), SH_MSG_RX_DTLS);
	assert_int_equal(event_body.packet.endpoint, SH_ID(1u, 1u));
	assert_int_equal(event_body.packet.len, 100);
	while (dp_event_dtls(1, data, sizeof(data)))
		packets++;
	assert_in_range(packets, 1, 3);
	assert_int_equal(event_counter(SH_STAT_drop_punt_full), 1);
	for (unsigned i = 0; i < packets; i++)
		assert_int_equal(event_next(), SH_MSG_RX_DTLS);
	assert_int_equal(event_next(), 0);
	assert_false(dp_event_dtls(1, data, 0));
	assert_false(dp_event_dtls(1, data, SH_PACKET_MAX + 1));
	assert_false(dp_event_dtls(2, data, 10)); // no such endpoint
	assert_false(dp_event_dtls(ENDPOINTS, data, 10));
	dp_event_link(NULL);
	assert_false(dp_event_dtls(1, data, 10)); // nobody listens
}

static void answers_wait_in_order(void **state)
{
	struct sh_msg_committed m = {0};
	uint64_t sent = 0, got = 0;

	while (!dp_event_blocked()) {
		m.txn = ++sent;
		assert_int_equal(dp_event_reply(SH_MSG_COMMITTED, &m, sizeof(m)), 0);
	}
	for (unsigned i = 0; i < 10; i++) {
		m.txn = ++sent;
		assert_int_equal(dp_event_reply(SH_MSG_COMMITTED, &m, sizeof(m)), 0);
	}
	do {
		while (event_next() == SH_MSG_COMMITTED)
			assert_int_equal(event_body.committed.txn, ++got);
		dp_event_flush();
	} while (got < sent);
	assert_false(dp_event_blocked());
	assert_int_equal(event_next(), 0);
	/* A daemon that goes takes its answers along. */
	while (!dp_event_blocked())
		dp_event_reply(SH_MSG_COMMITTED, &m, sizeof(m));
	dp_event_link(NULL);
	assert_false(dp_event_blocked());
	assert_true(dp_event_flush());
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, event_setup, event_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(states_are_told_once),      TEST(tracks),
	    TEST(a_full_ring_delays_states), TEST(dtls_comes_after_states_or_not_at_all),
	    TEST(answers_wait_in_order),
	};

	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
