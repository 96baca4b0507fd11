/* What the control thread makes quality of, and how long forwarding takes: the counters that move with packets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <rte_cycles.h>
#include "dataplane/node/story.h"

static const struct sh_hist *latency(const struct peer *p)
{
	return &dp_slabs.head->stats[p->worker].latency;
}

/* In the world a walk takes no time unless it is said when it began. */
static void began(uint64_t ticks_ago)
{
	for (unsigned i = 0; i < world.workers; i++) {
		world.w[i]->walk_tsc = rte_rdtsc() - ticks_ago;
		world.w[i]->tsc_ns = UINT64_C(1) << 32; // a nanosecond a tick
	}
}

static void forwarding_takes_time(void **state)
{
	struct pair c;
	uint8_t buf[64];
	struct dp_rtcp_out o = {.buf = buf, .room = sizeof(buf)};
	uint16_t seq;
	struct rtp_out got;

	pair_start(&c);
	assert_int_equal(sh_hist_count(latency(&c.sub)), 0); // STUN and RTCP are not media
	began(1000000);
	for (unsigned i = 0; i < 40; i++)
		send_video(&c.pub, (uint16_t)(1 + i), !i);
	world_walk();
	assert_int_equal(sh_hist_count(latency(&c.sub)), 40);
	assert_true(sh_hist_quantile(latency(&c.sub), 1) >= 1000000);
	assert_true(latency(&c.sub)->max < UINT64_C(100000000000));
	assert_true(peer_take_rtp(&c.sub, &got));
	assert_int_equal(count_rtp(&c.sub), 39);
	seq = got.hdr.seq;
	dp_rtcp_put_nack(&o, 1, OUR_VIDEO, &seq, 1); // repeated packets are not forwarded in time
	peer_rtcp(&c.sub, buf, o.len);
	world_run(2);
	assert_int_equal(count_rtp(&c.sub), 1);
	assert_int_equal(sh_hist_count(latency(&c.sub)), 40);
	pair_stop(&c);
}

static void frames_and_codec(void **state)
{
	const struct sh_rx_stream *s;
	struct pair c;

	pair_start(&c);
	s = &dp_slabs.track[1].media[0];
	send_video(&c.pub, 1, true);
	world_walk();
	assert_int_equal(dp_slabs.track[1].set.pt[s->pt_slot].codec, SH_CODEC_VP8);
	assert_int_equal(s->frames, 1); // each of send_video()'s is a whole frame
	send_rtp(&c.pub, &(struct rtp){.pt = PT_VP8,
	                               .seq = 2,
	                               .ts = 6000,
	                               .ssrc = SSRC_VIDEO,
	                               .payload = (const uint8_t *)"\x10\x01\x00\x00",
	                               .len = 4});
	world_walk();
	assert_int_equal(s->packets, 2);
	assert_int_equal(s->frames, 1);
	send_video(&c.pub, 3, false);
	world_walk();
	assert_int_equal(s->frames, 2);
	pair_stop(&c);
}

int stories_quality(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(forwarding_takes_time),
	    cmocka_unit_test(frames_and_codec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
