/* STUN and DTLS: how a peer is found, believed and followed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/node/frame.h"
#include "dataplane/node/story.h"

static void stun_answers(void **state)
{
	struct peer p;
	uint8_t buf[512];
	uint32_t len;
	struct dp_stun_msg m;

	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		for (unsigned vlans = 0; vlans <= 2; vlans++) {
			world_start(1, place.backend);
			peer_new(&p, 3, 0, SH_SRTP_AEAD_AES_128_GCM, ip6);
			p.vlans = vlans;
			peer_check(&p, PEER_NOMINATE);
			assert_true(peer_take_stun(&p, buf, &len));
			assert_int_equal(dp_stun_parse(&m, buf, len), 0);
			assert_int_equal(m.type, DP_STUN_BINDING_SUCCESS);
			assert_true(m.flags & DP_STUN_HAS_FINGERPRINT);
			assert_int_equal(
			    dp_stun_check(&m, (uint8_t *)p.pwd, (uint32_t)strlen(p.pwd)), 0);
			assert_true(dp_addr_equal(&m.mapped, &p.addr));
			assert_int_equal(dp_slabs.endpoint[3].ice, SH_ICE_CONNECTED);
			assert_true(dp_addr_equal(&dp_slabs.endpoint[3].remote, &p.addr));
			assert_true(dp_addr_equal(&dp_slabs.endpoint[3].local, &p.local));
			assert_int_equal(world.notes[DP_NOTE_ICE], 1);
			world_stop();
		}
	}
}

static void stun_error(struct peer *p, unsigned flags, unsigned code, bool is_signed, unsigned stat)
{
	uint8_t buf[512];
	uint32_t len;
	struct dp_stun_msg m;
	uint64_t before = world_stat(stat);

	peer_check(p, flags | PEER_NOMINATE);
	assert_true(peer_take_stun(p, buf, &len));
	assert_int_equal(dp_stun_parse(&m, buf, len), 0);
	assert_int_equal(m.type, DP_STUN_BINDING_ERROR);
	assert_int_equal(m.error, code);
	assert_int_equal(!!m.mi_off, is_signed);
	assert_int_equal(world_stat(stat), before + 1);
	assert_int_equal(dp_slabs.endpoint[p->endpoint].ice, SH_ICE_NEW);
	assert_int_equal(dp_slabs.endpoint[p->endpoint].remote.family, 0);
}

static void stun_refusals(void **state)
{
	struct peer p;

	world_start(1, place.backend);
	uint64_t strangers = world_stat(SH_STAT_drop_stun_ufrag);
	uint8_t buf[512];
	uint32_t len;

	peer_new(&p, 3, 0, SH_SRTP_AEAD_AES_128_GCM, false);
	peer_check(&p, PEER_BAD_UFRAG |
	                   PEER_NOMINATE); // may be known a moment later: silence, not an error
	assert_false(peer_take_stun(&p, buf, &len));
	assert_int_equal(world_stat(SH_STAT_drop_stun_ufrag), strangers + 1);
	stun_error(&p, PEER_BAD_PWD, 401, false, SH_STAT_drop_stun_integrity);
	stun_error(&p, PEER_NO_MI, 400, false, SH_STAT_drop_stun_integrity);
	stun_error(&p, PEER_CONTROLLED, 487, true, SH_STAT_stun_requests);
	stun_error(&p, PEER_UNKNOWN_ATTR, 420, true, SH_STAT_stun_requests);
	assert_int_equal(world.notes[DP_NOTE_ICE], 0);
	world_stop();
}

/* A flood of requests that prove nothing is not answered one by one. */
static void stun_flood(void **state)
{
	struct peer p;
	uint8_t buf[512];

	world_start(1, place.backend);
	peer_new(&p, 3, 0, SH_SRTP_AEAD_AES_128_GCM, false);
	for (unsigned i = 0; i < 1500; i++) {
		peer_send(&p, buf, peer_stun(&p, buf, PEER_BAD_PWD, 1));
		if (i % 50 == 49)
			world_walk();
	}
	assert_int_equal(world_stat(SH_STAT_drop_stun_integrity), 1500);
	assert_int_equal(world.n_out, 1000);
	world_stop();
}

static void stun_wrong_worker(void **state)
{
	struct peer p;

	world_start(2, place.backend);
	peer_new(&p, 3, 1, SH_SRTP_AEAD_AES_128_GCM, false);
	p.local.port = WORLD_BASE; // worker 0's
	p.worker = 0;
	peer_check(&p, PEER_NOMINATE);
	assert_int_equal(world_stat(SH_STAT_drop_stun_worker), 1);
	assert_int_equal(world.n_out, 0);
	world_stop();
}

/* A frame for worker 1's port that came on worker 0's queue. */
static void handover(void **state)
{
	struct peer p;
	uint8_t buf[512];
	uint32_t len;

	world_start(2, place.backend);
	peer_new(&p, 3, 1, SH_SRTP_AEAD_AES_128_GCM, false);
	p.worker = 0;
	peer_check(&p, PEER_NOMINATE);
	assert_int_equal(world_stat(SH_STAT_rx_handover), 1);
	assert_true(peer_take_stun(&p, buf, &len));
	assert_int_equal(world.out[0].worker, 1);
	world_stop();
}

/* RFC 7675: 30 s without a check, and nothing more is sent; a check brings it back. */
static void consent(void **state)
{
	struct pair c;

	pair_start(&c);
	for (unsigned s = 0; s < 29; s++)
		world_run(1000);
	peer_check(&c.pub, 0);
	send_audio(&c.pub, 1);
	world_walk();
	assert_int_equal(count_rtp(&c.sub), 1);
	world.notes[DP_NOTE_ICE] = 0;
	world_run(2000);
	assert_int_equal(dp_slabs.endpoint[1].ice, SH_ICE_DISCONNECTED);
	assert_int_equal(dp_slabs.endpoint[0].ice, SH_ICE_CONNECTED);
	assert_int_equal(world.notes[DP_NOTE_ICE], 1);
	send_audio(&c.pub, 2);
	world_walk();
	assert_int_equal(count_rtp(&c.sub), 0);
	assert_int_equal(world_stat(SH_STAT_drop_sub_not_connected), 1);
	peer_check(&c.sub, 0);
	assert_int_equal(dp_slabs.endpoint[1].ice, SH_ICE_CONNECTED);
	send_audio(&c.pub, 3);
	world_walk();
	assert_int_equal(count_rtp(&c.sub), 1);
	pair_stop(&c);
}

/* A nominated check from another address moves the endpoint, anything less does not. */
static void migration(void **state)
{
	struct pair c;
	struct peer moved;

	pair_start(&c);
	moved = c.sub;
	moved.addr.port++;
	peer_check(&moved, PEER_BAD_PWD | PEER_NOMINATE);
	peer_check(&moved, 0);
	assert_true(dp_addr_equal(&dp_slabs.endpoint[1].remote, &c.sub.addr));
	assert_int_equal(world_stat(SH_STAT_stun_migrations), 0);
	peer_check(&moved, PEER_NOMINATE);
	assert_true(dp_addr_equal(&dp_slabs.endpoint[1].remote, &moved.addr));
	assert_int_equal(world_stat(SH_STAT_stun_migrations), 1);
	peer_path(&moved);
	send_audio(&c.pub, 2);
	world_walk();
	assert_int_equal(count_rtp(&c.sub), 0);
	assert_int_equal(count_rtp(&moved), 1);
	pair_stop(&c);
}

static void dtls(void **state)
{
	struct peer p, other;
	uint8_t buf[64];

	world_start(1, place.backend);
	peer_new(&p, 3, 0, SH_SRTP_AEAD_AES_128_GCM, false);
	peer_send(&p, dtls_hello, sizeof(dtls_hello));
	world_walk();
	assert_int_equal(world_stat(SH_STAT_drop_unknown_source), 1);
	peer_check(&p, 0); // valid, not nominated: DTLS may begin
	assert_int_equal(dp_slabs.endpoint[3].ice, SH_ICE_NEW);
	peer_send(&p, dtls_hello, sizeof(dtls_hello));
	world_walk();
	assert_int_equal(world.n_punted, 1);
	assert_int_equal(dp_pkt(world.punted[0])->endpoint, 3);
	assert_int_equal(world.punted[0]->data_len, sizeof(dtls_hello));
	assert_memory_equal(rte_pktmbuf_mtod(world.punted[0], void *), dtls_hello,
	                    sizeof(dtls_hello));
	// a second valid address of the same peer, and DTLS from there: answers go there
	other = p;
	other.addr.port++;
	peer_check(&other, 0);
	assert_true(dp_addr_equal(&dp_slabs.endpoint[3].remote, &p.addr));
	peer_send(&other, dtls_hello, sizeof(dtls_hello));
	world_walk();
	assert_int_equal(world.n_punted, 2);
	assert_true(dp_addr_equal(&dp_slabs.endpoint[3].remote, &other.addr));
	memcpy(buf, dtls_hello, sizeof(dtls_hello));
	for (uint32_t n = 1; n < sizeof(dtls_hello); n++) {
		peer_send(&p, buf, n);
		world_walk();
	}
	assert_int_equal(world.n_punted, 2);
	assert_int_equal(world_stat(SH_STAT_drop_dtls_malformed), sizeof(dtls_hello) - 1);
	world_stop();
}

static bool is_dtls(const uint8_t *b, uint32_t n)
{
	return dp_frame_kind(b, n) == DP_FRAME_IS_DTLS;
}

static void inject_one(struct dp_worker *w, uint32_t endpoint)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(world.pool);

	m->data_off = DP_HEADROOM;
	memcpy(rte_pktmbuf_append(m, sizeof(dtls_hello)), dtls_hello, sizeof(dtls_hello));
	dp_pkt(m)->endpoint = endpoint;
	assert_int_equal(rte_ring_enqueue(w->inject, m), 0);
	world_walk();
}

static void dtls_down(void **state)
{
	struct peer p;
	uint8_t buf[FRAME_MAX];
	uint32_t len;

	world_start(1, place.backend);
	peer_new(&p, 3, 0, SH_SRTP_AEAD_AES_128_GCM, true);
	inject_one(world.w[0], 3);
	assert_int_equal(world_stat(SH_STAT_drop_inject_unknown), 1);
	peer_check(&p, 0);
	inject_one(world.w[0], 3);
	assert_int_equal(world_stat(SH_STAT_drop_no_route), 1);
	peer_path(&p);
	inject_one(world.w[0], 3);
	assert_true(peer_take(&p, buf, &len, is_dtls));
	assert_int_equal(len, sizeof(dtls_hello));
	assert_memory_equal(buf, dtls_hello, len);
	world_stop();
}

static void dtls_flood(void **state)
{
	struct peer p;

	world_start(1, place.backend);
	peer_new(&p, 3, 0, SH_SRTP_AEAD_AES_128_GCM, false);
	peer_check(&p, 0);
	dp_nodes_config.dtls_per_s = 20;
	for (unsigned i = 0; i < 30; i++)
		peer_send(&p, dtls_hello, sizeof(dtls_hello));
	world_walk();
	dp_nodes_config.dtls_per_s = 100;
	assert_int_equal(world.n_punted, 20);
	assert_int_equal(world_stat(SH_STAT_drop_dtls_rate), 10);
	world_stop();
}

int stories_ice(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stun_answers), cmocka_unit_test(stun_refusals),
	    cmocka_unit_test(stun_flood),   cmocka_unit_test(stun_wrong_worker),
	    cmocka_unit_test(handover),     cmocka_unit_test(consent),
	    cmocka_unit_test(migration),    cmocka_unit_test(dtls),
	    cmocka_unit_test(dtls_down),    cmocka_unit_test(dtls_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
