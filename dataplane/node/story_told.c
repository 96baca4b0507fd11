/* What publishers are told of what arrived: transport-wide feedback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "dataplane/node/story.h"

enum { TWCC_ID = 5 };

struct told {
	bool arrived[256];
	unsigned packets;
	uint8_t fb_count;
};

static void hear_all(struct peer *pub, struct told *t)
{
	static uint8_t buf[FRAME_MAX];
	uint32_t len;

	while (peer_take_rtcp(pub, buf, &len)) {
		struct dp_rtcp_iter it;
		struct dp_rtcp_pkt p;
		struct dp_rtcp_fb fb;
		struct dp_rtcp_twcc tw;
		struct dp_rtcp_twcc_iter si;
		struct dp_rtcp_twcc_status s;

		assert_int_equal(dp_rtcp_first(&it, buf, len, 0), 0);
		while (dp_rtcp_next(&it, &p)) {
			if (p.type != DP_RTCP_RTPFB || p.count != DP_RTCP_RTPFB_TWCC)
				continue;
			assert_int_equal(dp_rtcp_fb(&fb, &p), 0);
			assert_int_equal(dp_rtcp_twcc(&tw, &fb), 0);
			assert_int_equal(fb.sender, pub->set.rtcp_ssrc);
			if (t->packets++)
				assert_int_equal(tw.fb_count, (uint8_t)(t->fb_count + 1));
			t->fb_count = tw.fb_count;
			for (dp_rtcp_twcc_first(&si, &tw); dp_rtcp_twcc_next(&si, &s);)
				if (s.received)
					t->arrived[(uint8_t)s.seq] = true;
		}
	}
}

static void send_numbered(struct peer *pub, uint8_t pt, uint32_t ssrc, uint16_t seq,
                          uint16_t number, uint32_t len)
{
	uint8_t ext[4] = {TWCC_ID << 4 | 1, (uint8_t)(number >> 8), (uint8_t)number, 0};

	send_rtp(pub, &(struct rtp){.pt = pt,
	                            .seq = seq,
	                            .ts = seq * 960u,
	                            .ssrc = ssrc,
	                            .ext = ext,
	                            .ext_len = 4,
	                            .payload = (const uint8_t *)"opus payload",
	                            .len = len});
}

/* Media, padding on the RTX stream and what leads to no track are all told of; losses too. */
static void tells_publishers(void **state)
{
	struct told t = {0};
	struct pair c;

	pair_start(&c);
	c.pub.set.flags = SH_EP_TWCC;
	peer_ext(&c.pub, SH_EXT_TWCC, TWCC_ID);
	for (unsigned i = 0; i < 200; i++) {
		uint16_t number = (uint16_t)(65500 + i); // over the wrap

		if (i == 100 || i == 101)
			continue;
		if (i == 50)
			send_numbered(&c.pub, PT_RTX, SSRC_VIDEO_RTX, (uint16_t)i, number, 0);
		else if (i == 60)
			send_numbered(&c.pub, 77, 0x777, (uint16_t)i, number, 12);
		else
			send_numbered(&c.pub, PT_OPUS, SSRC_AUDIO, (uint16_t)i, number, 12);
		world_run(5);
		hear_all(&c.pub, &t);
	}
	world_run(300);
	hear_all(&c.pub, &t);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(t.arrived[(uint8_t)(65500 + i)], i != 100 && i != 101);
	assert_in_range(t.packets, 4, 26); // a second
	assert_int_equal(world_stat(SH_STAT_twcc_out), t.packets);
	t.packets = 0;
	world_run(1000); // nothing came, nothing is told
	hear_all(&c.pub, &t);
	assert_int_equal(t.packets, 0);
	pair_stop(&c);
}

/* The extension without the agreement to hear of it. */
static void tells_only_who_asked(void **state)
{
	struct told t = {0};
	struct pair c;

	pair_start(&c);
	peer_ext(&c.pub, SH_EXT_TWCC, TWCC_ID);
	for (unsigned i = 0; i < 50; i++) {
		send_numbered(&c.pub, PT_OPUS, SSRC_AUDIO, (uint16_t)i, (uint16_t)i, 12);
		world_run(10);
	}
	hear_all(&c.pub, &t);
	assert_int_equal(t.packets, 0);
	pair_stop(&c);
}

int stories_told(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tells_publishers),
	    cmocka_unit_test(tells_only_who_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
