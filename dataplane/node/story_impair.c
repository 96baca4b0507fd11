/* The impairment node, in builds that have it: what is late, lost, doubled and spared, the same for
 * the same seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/node/impair.h"
#include "dataplane/node/story.h"

enum { N = 2000 };

/* The pair is connected: from now on the network is as dp_impair_config says. */
static void impair(void)
{
	for (unsigned i = 0; i < world.workers; i++) {
		dp_impair_free(world.w[i]);
		assert_int_equal(dp_impair_init(world.w[i]), 0);
	}
}

static void begin(struct pair *c, uint64_t seed)
{
	memset(&dp_impair_config, 0, sizeof(dp_impair_config));
	pair_start(c);
	dp_impair_config.seed = seed;
}

static void end(struct pair *c)
{
	pair_stop(c);
	memset(&dp_impair_config, 0, sizeof(dp_impair_config));
}

static void late(void **state)
{
	struct pair c;

	begin(&c, 1);
	dp_impair_config.way[DP_IMPAIR_IN].delay_us = 20000;
	dp_impair_config.way[DP_IMPAIR_OUT].delay_us = 30000;
	impair();
	send_audio(&c.pub, 1);
	world_run(19);
	assert_int_equal(world_stat(SH_STAT_rtp_in), 0);
	world_run(2);
	assert_int_equal(world_stat(SH_STAT_rtp_in), 1);
	world_run(27);
	assert_int_equal(count_rtp(&c.sub), 0);
	world_run(5);
	assert_int_equal(count_rtp(&c.sub), 1);
	for (unsigned i = 0; i < 20; i++) // what is on its way is given back with the rest
		send_audio(&c.pub, (uint16_t)(2 + i));
	world_run(25);
	for (unsigned i = 0; i < 20; i++)
		send_audio(&c.pub, (uint16_t)(22 + i));
	world_run(2);
	end(&c);
}

/* Bit i of came[]: packet i arrived. Returns how many. */
static unsigned send_many(struct pair *c, uint8_t came[N])
{
	struct rtp_out o;
	uint16_t first = 0;
	unsigned n = 0;

	memset(came, 0, N);
	for (unsigned i = 0; i < N; i++) {
		send_audio(&c->pub, (uint16_t)(100 + i));
		world_run(1);
		while (peer_take_rtp(&c->sub, &o)) {
			if (!n)
				first = (uint16_t)(o.hdr.seq - i);
			came[(uint16_t)(o.hdr.seq - first)] = 1;
			n++;
		}
	}
	return n;
}

static void lost(void **state)
{
	static uint8_t came[3][N];
	static const uint64_t seeds[] = {5, 5, 6};
	unsigned n[3], runs = 0;

	for (unsigned k = 0; k < 3; k++) {
		struct pair c;

		begin(&c, seeds[k]);
		dp_impair_config.way[DP_IMPAIR_IN].loss = 50000;
		impair();
		n[k] = send_many(&c, came[k]);
		assert_in_range(n[k], N - N / 20 - 40, N - N / 20 + 40); // 4 standard deviations
		assert_int_equal(world_stat(SH_STAT_drop_impaired), N - n[k]);
		end(&c);
	}
	assert_memory_equal(came[0], came[1], N);
	assert_memory_not_equal(came[0], came[2], N);
	for (unsigned i = 1; i < N; i++)
		runs += !came[0][i] && came[0][i - 1];
	assert_true(runs > (N - n[0]) * 8 / 10); // one by one
}

/* 2 % of the packets begin a burst of 10 on average: a sixth of all is lost, and in few runs. */
static void lost_in_bursts(void **state)
{
	static uint8_t came[N];
	struct pair c;
	unsigned n, runs = 0;

	begin(&c, 3);
	dp_impair_config.way[DP_IMPAIR_OUT] =
	    (struct dp_impair_way){.loss_bad = 1000000, .to_bad = 20000, .to_good = 100000};
	impair();
	n = send_many(&c, came);
	for (unsigned i = 1; i < N; i++)
		runs += !came[i] && came[i - 1];
	assert_in_range(N - n, N / 12, N / 4);
	assert_true(runs * 4 < N - n);
	end(&c);
}

static void doubled_and_spared(void **state)
{
	struct pair c;

	begin(&c, 1);
	dp_impair_config.way[DP_IMPAIR_IN].duplicate = 1000000;
	impair();
	for (unsigned i = 0; i < 50; i++) {
		send_audio(&c.pub, (uint16_t)i);
		world_run(1);
	}
	assert_int_equal(world_stat(SH_STAT_drop_srtp_replay), 50);
	assert_int_equal(count_rtp(&c.sub), 50);
	// whom it does not concern
	dp_impair_config.way[DP_IMPAIR_IN] = (struct dp_impair_way){.loss = 1000000};
	dp_impair_config.way[DP_IMPAIR_OUT] = (struct dp_impair_way){.loss = 1000000};
	dp_impair_config.peer = c.pub.addr;
	dp_impair_config.peer.ip[1] ^= 1;
	impair();
	for (unsigned i = 0; i < 50; i++)
		send_audio(&c.pub, (uint16_t)(50 + i));
	world_run(3);
	assert_int_equal(count_rtp(&c.sub), 50);
	dp_impair_config.peer = c.pub.addr;
	impair();
	send_audio(&c.pub, 100);
	world_run(3);
	assert_int_equal(count_rtp(&c.sub), 0);
	assert_int_equal(world_stat(SH_STAT_drop_impaired), 1);
	end(&c);
}

/* 64 kbit/s with room for 4,000 bytes: what is more than that is lost, the rest comes at that rate.
 */
static void limited(void **state)
{
	struct pair c;
	unsigned n;

	begin(&c, 1);
	dp_impair_config.way[DP_IMPAIR_OUT] =
	    (struct dp_impair_way){.rate_kbps = 64, .queue_bytes = 4000};
	impair();
	for (unsigned i = 0; i < 200; i++)
		send_audio(&c.pub, (uint16_t)i);
	world_run(100);
	n = count_rtp(&c.sub);
	assert_in_range(n, 5, 12); // 800 bytes of about 80 to 100 each
	world_run(1000);
	n += count_rtp(&c.sub);
	assert_in_range(n, 35, 55);
	assert_true(world_stat(SH_STAT_drop_impaired) >= 200 - n);
	end(&c);
}

int stories_impair(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(late),           cmocka_unit_test(lost),
	    cmocka_unit_test(lost_in_bursts), cmocka_unit_test(doubled_and_spared),
	    cmocka_unit_test(limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
