/* Receiver and sender of transport-wide feedback against each other, over losses, reordering, wraps
 * and restarts. */
#include "dataplane/bwe/twcc.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000ull
#define T0 (5000000 * MS)

static uint8_t buf[4096];

/* Takes a compound of feedback to the sender; what it learns is counted by got[seq & 65535]. */
struct learned {
	uint8_t acked[65536], lost[65536], late[65536];
	uint32_t n;
	int64_t arrival_us;
};

static void learn(struct learned *l, struct dp_twcc_tx *tx, uint32_t len)
{
	struct dp_rtcp_iter all;
	struct dp_rtcp_pkt p;

	assert_int_equal(dp_rtcp_first(&all, buf, len, DP_RTCP_RSIZE), 0);
	while (dp_rtcp_next(&all, &p)) {
		struct dp_twcc_match m;
		struct dp_rtcp_twcc t;
		struct dp_twcc_ack a;
		struct dp_rtcp_fb fb;

		assert_int_equal(dp_rtcp_fb(&fb, &p), 0);
		assert_int_equal(dp_rtcp_twcc(&t, &fb), 0);
		for (dp_twcc_tx_first(&m, tx, &t); dp_twcc_tx_next(&m, &a); l->n++) {
			l->acked[a.seq & 65535] += a.received;
			l->lost[a.seq & 65535] += !a.received;
			l->late[a.seq & 65535] += a.late;
			if (a.received)
				l->arrival_us = a.arrival_us;
		}
	}
}

static uint32_t feedback(struct dp_twcc_rx *r, uint64_t now)
{
	struct dp_rtcp_out o = {buf, sizeof(buf), 0};

	while (dp_twcc_rx_put(r, &o, 1, 0, now) > 0)
		;
	return o.len;
}

static void plain(void **state)
{
	static struct dp_twcc_sent sent[512];
	static struct dp_twcc_rx r;
	static struct learned l;
	struct dp_twcc_tx tx;

	memset(&r, 0, sizeof(r));
	memset(&l, 0, sizeof(l));
	assert_int_equal(dp_twcc_tx_init(&tx, sent, 512), 0);
	for (uint32_t i = 0; i < 200; i++) {
		dp_twcc_tx_sent(&tx, 65500 + i, 1000 + i, 0, T0 + i * MS);
		if (i % 10 != 3)
			dp_twcc_rx(&r, (uint16_t)(65500 + i), 9, 1000, T0 + 20 * MS + i * MS);
		if (dp_twcc_rx_due(&r, T0 + 20 * MS + i * MS))
			learn(&l, &tx, feedback(&r, T0 + 20 * MS + i * MS));
	}
	learn(&l, &tx, feedback(&r, T0 + 250 * MS));
	for (uint32_t i = 0; i < 200; i++) {
		assert_int_equal(l.acked[(65500 + i) & 65535], i % 10 != 3);
		assert_int_equal(l.lost[(65500 + i) & 65535], i % 10 == 3);
	}
	assert_int_equal(l.n, 200);
	assert_int_equal(tx.flying_bytes, 0);
	assert_int_equal(tx.fb_lost, 0);
	assert_int_equal(tx.pushed, 0);
	/* clocks: 199 ms between the arrivals of the first and of the last, and both came after 20
	 * ms */
	assert_in_range(l.arrival_us - (1ll << 40), 198500, 199500);
}

/* A packet that comes after it was told lost is told late, once. */
static void reordered(void **state)
{
	static struct dp_twcc_sent sent[64];
	static struct dp_twcc_rx r;
	static struct learned l;
	struct dp_twcc_tx tx;

	memset(&r, 0, sizeof(r));
	memset(&l, 0, sizeof(l));
	dp_twcc_tx_init(&tx, sent, 64);
	for (uint32_t i = 0; i < 20; i++) {
		dp_twcc_tx_sent(&tx, 10 + i, 100, 0, T0);
		if (i != 7)
			dp_twcc_rx(&r, (uint16_t)(10 + i), 9, 100, T0 + i * MS);
	}
	dp_twcc_rx(&r, 12, 9, 100, T0 + 30 * MS); // a duplicate
	assert_int_equal(r.repeated, 1);
	learn(&l, &tx, feedback(&r, T0 + 50 * MS));
	assert_true(l.lost[17] == 1 && l.acked[17] == 0);
	assert_false(dp_twcc_rx_due(&r, T0 + 1000 * MS));
	assert_int_equal(feedback(&r, T0 + 51 * MS), 0);
	dp_twcc_rx(&r, 17, 9, 100, T0 + 60 * MS);
	assert_true(dp_twcc_rx_due(&r, T0 + 1000 * MS));
	learn(&l, &tx, feedback(&r, T0 + 1000 * MS));
	assert_true(l.lost[17] == 1 && l.acked[17] == 1 && l.late[17] == 1);
	assert_int_equal(l.n, 21);
	assert_int_equal(tx.flying_bytes, 0);
}

static void many_packets(void **state)
{
	static struct dp_twcc_rx r;
	struct dp_rtcp_out o = {buf, sizeof(buf), 0};
	unsigned packets = 0;
	uint32_t len;
	int more;

	memset(&r, 0, sizeof(r));
	/* gaps of 9 s between arrivals fit no delta: a packet each */
	dp_twcc_rx(&r, 1, 9, 100, T0);
	dp_twcc_rx(&r, 2, 9, 100, T0 + 9000 * MS);
	dp_twcc_rx(&r, 300, 9, 100, T0 + 18000 * MS);
	do {
		more = dp_twcc_rx_put(&r, &o, 1, 0, T0);
		packets++;
	} while (more > 0);
	assert_int_equal(packets, 3);
	assert_int_equal(more, 0);
	/* little room: as many as fit; a gap longer than `most` is told whole */
	for (uint32_t i = 301; i < 500; i++)
		dp_twcc_rx(&r, (uint16_t)i, 9, 100, T0 + 18000 * MS + i * 40 * MS);
	o = (struct dp_rtcp_out){buf, 60, 0};
	assert_int_equal(dp_twcc_rx_put(&r, &o, 1, 0, T0), 1);
	assert_true(o.len > 24 && o.len <= 60);
	len = o.len;
	assert_int_equal(dp_twcc_rx_put(&r, &o, 1, 0, T0), -ENOSPC);
	assert_int_equal(o.len, len);
	for (packets = 0; packets < 100; packets++) {
		o = (struct dp_rtcp_out){buf, sizeof(buf), 0};
		if (dp_twcc_rx_put(&r, &o, 1, 10, T0) <= 0)
			break;
	}
	assert_in_range(packets, 15, 25);
	dp_twcc_rx(&r, 900, 9, 100, T0 + 30000 * MS);
	o = (struct dp_rtcp_out){buf, sizeof(buf), 0};
	assert_int_equal(dp_twcc_rx_put(&r, &o, 1, 10, T0), 0);
	assert_true(o.len <= 24 + 4);
	assert_int_equal(dp_twcc_rx_put(&r, &o, 1, 10, T0), -ENODATA);
}

static void restarts(void **state)
{
	static struct dp_twcc_rx r;

	memset(&r, 0, sizeof(r));
	dp_twcc_rx(&r, 100, 9, 100, T0);
	feedback(&r, T0);
	dp_twcc_rx(&r, 40000, 9, 100, T0 + MS); // alone: not believed
	assert_false(dp_twcc_rx_due(&r, T0 + 1000 * MS));
	dp_twcc_rx(&r, 101, 9, 100, T0 + 2 * MS);
	assert_true(dp_twcc_rx_due(&r, T0 + 1000 * MS));
	assert_true(feedback(&r, T0) > 0);
	dp_twcc_rx(&r, 40001, 9, 100, T0 + 3 * MS);
	assert_int_equal(r.restarts, 1);
	dp_twcc_rx(&r, 40002, 9, 100, T0 + 3 * MS);
	assert_true(dp_twcc_rx_due(&r, T0 + 1000 * MS));
	assert_int_equal(r.newest & 65535, 40002);
	/* too late to tell */
	for (uint32_t i = 40003; i < 40300; i++)
		dp_twcc_rx(&r, (uint16_t)i, 9, 100, T0 + 4 * MS);
	dp_twcc_rx(&r, 39999, 9, 100, T0 + 5 * MS);
	assert_int_equal(r.late, 1);
	/* untold ones are pushed out, and it stays consistent */
	for (uint32_t i = 40300; i < 42000; i++)
		dp_twcc_rx(&r, (uint16_t)i, 9, 100, T0 + 6 * MS);
	assert_int_equal(r.newest + 1 - r.next, DP_TWCC_RX);
	assert_true(feedback(&r, T0) > 0);
}

static void due(void **state)
{
	static struct dp_twcc_rx r;

	memset(&r, 0, sizeof(r));
	assert_false(dp_twcc_rx_due(&r, T0));
	dp_twcc_rx(&r, 1, 9, 100, T0);
	assert_false(dp_twcc_rx_due(&r, T0 + 249 * MS)); // little came in: not so often
	assert_true(dp_twcc_rx_due(&r, T0 + 250 * MS));
	for (unsigned i = 2; i < 30; i++)
		dp_twcc_rx(&r, (uint16_t)i, 9, 1200, T0 + 10 * MS);
	assert_false(dp_twcc_rx_due(&r, T0 + 49 * MS));
	assert_true(dp_twcc_rx_due(&r, T0 + 50 * MS));
	for (unsigned i = 30; i < 140; i++)
		dp_twcc_rx(&r, (uint16_t)i, 9, 1200, T0 + 10 * MS);
	assert_true(dp_twcc_rx_due(&r, T0 + 11 * MS));
}

/* Feedback for what was never sent, is long gone, or comes twice, changes nothing; gaps in our
 * numbers are not lost. */
static void history(void **state)
{
	static struct dp_twcc_sent sent[64], more[256];
	uint32_t ticks[300], len;
	struct dp_rtcp_twcc_make m = {1, 2, ticks, 0, 300, 0};
	struct dp_rtcp_out o = {buf, sizeof(buf), 0};
	static struct learned l;
	struct dp_twcc_tx tx;

	memset(&l, 0, sizeof(l));
	for (uint32_t i = 0; i < 300; i++)
		ticks[i] = i % 2 ? 1000 + i : DP_TWCC_LOST;
	assert_int_equal(dp_twcc_tx_init(&tx, sent, 63), -EINVAL);
	assert_int_equal(dp_twcc_tx_init(&tx, sent, 32), -EINVAL);
	assert_int_equal(dp_twcc_tx_init(&tx, sent, 64), 0);
	assert_int_equal(dp_rtcp_put_twcc(&o, &m), 300);
	len = o.len;
	learn(&l, &tx, len); // nothing was sent yet
	assert_int_equal(l.n, 0);
	for (uint32_t i = 0; i < 200; i++)
		if (i < 150 || i > 160)
			dp_twcc_tx_sent(&tx, i, 100, 0, T0 + i * MS);
	assert_int_equal(tx.pushed, 136);
	assert_int_equal(dp_twcc_tx_move(&tx, more, 256), 0);
	learn(&l, &tx, len);
	assert_int_equal(l.n, 64 - 11);
	assert_true(!l.acked[155] && !l.lost[154] && l.acked[199] && l.lost[198]);
	learn(&l, &tx, len);
	assert_int_equal(l.n, 64 - 11);
	assert_int_equal(tx.flying_bytes, 0);
	/* smaller again, after more: only the newest stay */
	for (uint32_t i = 200; i < 300; i++)
		dp_twcc_tx_sent(&tx, i, 100, 0, T0 + i * MS);
	assert_int_equal(dp_twcc_tx_move(&tx, sent, 64), 0);
	assert_int_equal(tx.flying_bytes, 6400);
	learn(&l, &tx, len);
	assert_int_equal(l.n, 64 - 11 + 64);
	/* numbers that go back, and a pause over which at_us could be mistaken */
	dp_twcc_tx_sent(&tx, 300, 100, 0, T0 + 300 * MS);
	dp_twcc_tx_sent(&tx, 7, 100, 0, T0 + 301 * MS);
	assert_int_equal(tx.flying_bytes, 100);
	dp_twcc_tx_sent(&tx, 8, 100, 0, T0 + 100000 * MS);
	assert_int_equal(tx.flying_bytes, 100);
	assert_int_equal(tx.tail, 8);
}

/* 30,000 packets over a bad way with lost feedback too: each is told of once as lost at most and
 * once as arrived. */
static void storm(void **state)
{
	static struct dp_twcc_sent sent[1024];
	static struct dp_twcc_rx r;
	static struct learned l;
	static uint8_t came[30000];
	struct dp_twcc_tx tx;
	uint32_t told = 0, arrived = 0;

	memset(&r, 0, sizeof(r));
	memset(&l, 0, sizeof(l));
	srand(4);
	dp_twcc_tx_init(&tx, sent, 1024);
	for (uint32_t i = 0; i < 30000; i++) {
		uint64_t now = T0 + i * MS;
		uint32_t k = i >= 20 && rand() % 20 == 0 ? i - rand() % 20 : i;

		dp_twcc_tx_sent(&tx, 50000 + i, 1000, 0, now);
		if (rand() % 10) {
			dp_twcc_rx(&r, (uint16_t)(50000 + k), 9, 1000, now);
			came[k] = 1;
		}
		if (dp_twcc_rx_due(&r, now)) {
			uint32_t len = feedback(&r, now);

			if (rand() % 50)
				learn(&l, &tx, len);
		}
	}
	for (uint32_t i = 0; i < 30000; i++) {
		uint16_t s = (uint16_t)(50000 + i);

		assert_true(l.acked[s] <= 1 && l.lost[s] <= 1 && l.acked[s] <= came[i]);
		told += l.acked[s];
		arrived += came[i];
	}
	assert_true(tx.fb_lost > 5);
	assert_true(told > arrived * 95 / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(plain),    cmocka_unit_test(reordered), cmocka_unit_test(many_packets),
	    cmocka_unit_test(restarts), cmocka_unit_test(due),       cmocka_unit_test(history),
	    cmocka_unit_test(storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
