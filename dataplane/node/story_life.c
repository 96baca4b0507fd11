/* Many, long and hostile: what is left when it is over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/node/frame.h"
#include "dataplane/node/story.h"

static void large_fanout(void **state)
{
	enum { SUBS = 390, PACKETS = 9 };
	struct sh_msg_sub_set s = audio_sub;
	struct rtp_out o;
	struct pair c;
	unsigned n = 0;

	pair_start_on(&c, SH_SRTP_AEAD_AES_128_GCM, 2, false, 0);
	for (unsigned i = 0; i < SUBS; i++) {
		s.ssrc = 0xf0000000 + i;
		world_sub(2 + i, 0, &c.sub, &s);
	}
	for (unsigned i = 0; i < PACKETS; i++)
		send_audio(&c.pub, (uint16_t)i);
	world_walk();
	for (unsigned i = 0; peer_take_rtp(&c.sub, &o); i++)
		n++;
	assert_int_equal(n, PACKETS * (SUBS + 1));
	assert_int_equal(world_stat(SH_STAT_drop_no_mbuf), 0);
	pair_stop(&c);
}

static void leaving_frees(void **state)
{
	struct pair c;

	pair_start_on(&c, SH_SRTP_AEAD_AES_128_GCM, 2, false, 0);
	for (unsigned i = 0; i < 50; i++)
		send_video(&c.pub, (uint16_t)i, i == 0);
	world_walk();
	assert_int_equal(count_rtp(&c.sub), 50);
	assert_int_equal(rte_mempool_in_use_count(world.pool), 50);
	world_del(SH_DEL_ENDPOINT, c.pub.id);
	world_run(1);
	send_video(&c.pub, 51, true);
	world_walk();
	assert_int_equal(count_rtp(&c.sub), 0);
	assert_int_equal(world_stat(SH_STAT_drop_unknown_source), 1);
	world_run(1500); // the other worker's history is only aged out
	assert_int_equal(rte_mempool_in_use_count(world.pool), 0);
	pair_stop(&c);
}

static void new_keys_go_on(void **state)
{
	struct pair c;
	struct rtp_out a, b;

	pair_start(&c);
	for (unsigned i = 0; i < 100; i++) {
		send_video(&c.pub, (uint16_t)(65500 + i), i == 0);
		if (i % 50 == 0)
			world_walk();
	}
	world_walk();
	while (peer_take_rtp(&c.sub, &a))
		;
	peer_keys(&c.pub);
	peer_keys(&c.sub);
	for (unsigned i = 100; i < 110; i++)
		send_video(&c.pub, (uint16_t)(65500 + i), i == 105);
	world_walk();
	for (unsigned i = 0; i < 10; i++) {
		assert_true(peer_take_rtp(&c.sub, &b));
		assert_int_equal(b.hdr.seq, (uint16_t)(a.hdr.seq + 1 + i));
	}
	pair_stop(&c);
}

/* kill -9 of the process: sequence numbers, indexes and addresses go on where they were. */
static void restart(void **state)
{
	struct pair c;
	struct rtp_out a, v, b;

	pair_start(&c);
	for (unsigned i = 0; i < 40; i++) {
		send_audio(&c.pub, (uint16_t)(65520 + i));
		send_video(&c.pub, (uint16_t)(500 + i), i == 0);
	}
	world_walk();
	while (peer_take_rtp(&c.sub, &b))
		*(b.hdr.ssrc == OUR_AUDIO ? &a : &v) = b;
	world_restart();
	peer_path(&c.sub);
	world_run(5);
	send_audio(&c.pub, (uint16_t)(65520 + 40));
	send_video(&c.pub, 540, false);
	world_walk();
	for (unsigned i = 0; i < 2; i++) {
		assert_true(peer_take_rtp(&c.sub, &b));
		assert_int_equal(b.hdr.seq,
		                 (uint16_t)((b.hdr.ssrc == OUR_AUDIO ? &a : &v)->hdr.seq + 1));
		assert_int_equal(b.hdr.ts - (b.hdr.ssrc == OUR_AUDIO ? &a : &v)->hdr.ts,
		                 b.hdr.ssrc == OUR_AUDIO ? 960 : 3000);
	}
	peer_send(&c.pub, dtls_hello, sizeof(dtls_hello)); // its address is still known
	world_walk();
	assert_int_equal(world.n_punted, 1);
	pair_stop(&c);
}

static uint32_t rnd(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	return (uint32_t)((x ^= x << 17) >> 16);
}

/* A peer with good keys that sends nonsense: nothing breaks, nobody else is hurt, no buffer is
 * lost. */
static void authenticated_nonsense(void **state)
{
	struct pair c;
	uint8_t buf[FRAME_MAX];

	pair_start(&c);
	peer_ext(&c.pub, SH_EXT_MID, 1);
	peer_ext(&c.pub, SH_EXT_RID, 2);
	peer_ext(&c.sub, SH_EXT_MID, 9);
	send_audio(&c.pub, 1000);
	send_video(&c.pub, 1000, true);
	world_walk();
	for (unsigned i = 0; i < 20000; i++) {
		uint32_t len = 12 + rnd() % 200;
		int n = (int)len;
		struct peer *p = rnd() % 4 ? &c.pub : &c.sub;
		bool rtcp = rnd() % 3 == 0;

		for (uint32_t k = 0; k < len; k++)
			buf[k] = (uint8_t)rnd();
		buf[0] = (uint8_t)(0x80 | (rnd() % 8 ? rnd() % 64 : 0));
		if (rtcp) {
			static const uint32_t ssrcs[] = {OUR_AUDIO, OUR_VIDEO, OUR_RTX, SSRC_VIDEO};

			len = (len + 3) & ~3u;
			n = (int)len;
			buf[1] = (uint8_t)(200 + rnd() % 8);
			dp_put16(buf + 2, (uint16_t)(rnd() % 4 ? len / 4 - 1 : rnd() % (len / 4)));
			dp_put32(buf + 8, ssrcs[rnd() % 4]);
			if (srtp_protect_rtcp(p->tx, buf, &n))
				continue;
		} else {
			static const uint8_t pts[] = {PT_OPUS, PT_VP8, PT_RTX, 5};
			static const uint32_t ssrcs[] = {SSRC_AUDIO, SSRC_VIDEO, SSRC_VIDEO_RTX,
			                                 0x1234};

			buf[1] = (uint8_t)(pts[rnd() % 4] | (rnd() & 128));
			dp_put16(buf + 2,
			         (uint16_t)(1000 + i)); // so that both ends agree on roll-overs
			dp_put32(buf + 8, ssrcs[rnd() % 4]);
			dp_put16(buf + 12, 0xbede);
			dp_put16(buf + 14, (uint16_t)(rnd() % 12));
			buf[16] = (uint8_t)(rnd() % 3 << 4);
			if (srtp_protect(p->tx, buf, &n))
				continue;
		}
		peer_send(p, buf, (uint32_t)n);
		if (i % 16 == 0) {
			world_run(1);
			world_forget_out();
		}
	}
	world_run(1);
	assert_true(world_stat(SH_STAT_drop_rtp_malformed) > 0);
	assert_true(world_stat(SH_STAT_drop_rtcp_malformed) > 0);
	assert_int_equal(world_stat(SH_STAT_drop_srtp_auth), 0);
	pair_stop(&c);
}

/* Frames of any bytes, and known ones with a few bytes changed. */
static void unauthenticated_nonsense(void **state)
{
	struct pair c;
	uint8_t frame[FRAME_MAX], buf[512];
	uint64_t authentic;

	pair_start(&c);
	send_audio(&c.pub, 1);
	world_walk();
	authentic = dp_slabs.endpoint[0].rx_packets;
	for (unsigned i = 0; i < 20000; i++) {
		uint32_t len = peer_stun(&c.sub, buf, rnd() % 2 ? PEER_NOMINATE : 0, 1);

		if (rnd() % 2) {
			for (uint32_t k = 0; k < len; k++)
				buf[k] = (uint8_t)rnd();
			buf[0] = (uint8_t)(rnd() % 4 ? 0x80 : rnd());
		}
		len = peer_frame(&c.sub, frame, buf, len);
		for (uint32_t k = 1 + rnd() % 6; k; k--)
			frame[rnd() % len] = (uint8_t)rnd();
		world_frame(c.sub.worker, frame, rnd() % 4 ? len : rnd() % (len + 1));
		if (i % 16 == 0) {
			world_walk();
			world_forget_out();
		}
	}
	world_walk();
	assert_int_equal(dp_slabs.endpoint[0].rx_packets, authentic);
	assert_int_equal(dp_slabs.endpoint[1].rx_packets, 0);
	pair_stop(&c);
}

int stories_life(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(large_fanout),           cmocka_unit_test(leaving_frees),
	    cmocka_unit_test(new_keys_go_on),         cmocka_unit_test(restart),
	    cmocka_unit_test(authenticated_nonsense), cmocka_unit_test(unauthenticated_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
