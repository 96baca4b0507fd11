/* Events: each to its handler, bad ones to nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "controlplane/plane/plane_fixture.h"
#include "tests/fakes/samples.h"

static void events_reach_their_handlers(void **state)
{
	_Alignas(8) uint8_t body[SAMPLE_MAX];

	connect_all();
	sh_id a = add_endpoint(true), t = add_track(a);
	settle();
	struct sh_msg_endpoint_state es = {.id = a,
	                                   .ice = SH_ICE_CONNECTED,
	                                   .local = sample_addr(1, 10000),
	                                   .remote = sample_addr(9, 4000)};
	assert_true(fake_dp_event(&w.dp, SH_MSG_ENDPOINT_STATE, &es, sizeof(es)));
	settle();
	assert_int_equal(w.states, 1);
	assert_int_equal(w.last_id, a);
	struct sh_msg_packet pk = {.endpoint = a, .len = 33};
	assert_true(fake_dp_event(&w.dp, SH_MSG_RX_DTLS, &pk, sh_msg_packet_size(33)));
	settle();
	assert_int_equal(w.dtls, 1);
	assert_int_equal(w.dtls_len, 33);
	struct sh_msg_track_state ts = {.id = t, .layer_active = 1, .ssrc = {5}};
	assert_true(fake_dp_event(&w.dp, SH_MSG_TRACK_STATE, &ts, sizeof(ts)));
	settle();
	assert_int_equal(w.tracks, 1);

	/* Of an id that is gone: normal, silent. */
	es.id = SH_ID(SH_ID_INDEX(a), SH_ID_GEN(a) - 1);
	assert_true(fake_dp_event(&w.dp, SH_MSG_ENDPOINT_STATE, &es, sizeof(es)));
	/* Commands, a second hello, unknown types, wrong lengths: counted and skipped. */
	for (unsigned type = 1; type < 70; type++) {
		uint32_t len = sample(type, body);
		if (sh_msg_direction(type) == 'E' && type != SH_MSG_E_HELLO &&
		    type != SH_MSG_COMMITTED)
			len--;
		assert_true(fake_dp_event(&w.dp, type, body, len));
	}
	struct sh_rec *huge = sh_ring_reserve(&w.dp.link.tx, SH_MSG_RX_DTLS, 0, 60000);
	assert_non_null(huge);
	sh_ring_commit(&w.dp.link.tx);
	settle();
	struct cp_plane_counts n;
	cp_plane_counts(w.p, &n);
	assert_int_equal(n.events_stale, 1);
	assert_int_equal(n.events_bad, 69 + 1);
	assert_true(cp_plane_up(w.p));
	assert_int_equal(w.states + w.dtls + w.tracks, 3);
}

static void a_corrupt_ring_ends_the_link(void **state)
{
	connect_all();
	add_endpoint(true);
	settle();
	w.dp.link.tx.ring->head += 3;
	sh_link_again(&w.p->link);
	turn();
	assert_int_equal(w.downs, 1);
	assert_string_equal(w.reason, "its ring is corrupt");
	cp_plane_tick(w.p, w.now += 6000 * MS);
	settle();
	assert_true(cp_plane_up(w.p)); // a fresh ring
	assert_same();
}

static void endless_events_let_others_live(void **state)
{
	connect_all();
	sh_id a = add_endpoint(true);
	settle();
	struct sh_msg_packet pk = {.endpoint = a, .len = 1};
	for (int i = 0; i < 2000; i++)
		assert_true(fake_dp_event(&w.dp, SH_MSG_RX_DTLS, &pk, sh_msg_packet_size(1)));
	turn();
	assert_int_equal(w.dtls, 512);
	settle();
	assert_int_equal(w.dtls, 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(events_reach_their_handlers),
	    T(a_corrupt_ring_ends_the_link),
	    T(endless_events_let_others_live),
	};

	sh_log_levels("error,plane=error");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
