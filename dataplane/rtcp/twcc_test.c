/* Feedback byte by byte from the figures of draft-holmer-rmcat-transport-wide-cc-extensions-01
 * §3.1, and what is built through the parser again. */
#include "dataplane/rtcp/rtcp.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int parse_fci(struct dp_rtcp_twcc *t, const uint8_t *fci, uint16_t len)
{
	const struct dp_rtcp_fb fb = {1, 2, fci, len};

	return dp_rtcp_twcc(t, &fb);
}

static void chunks(void **state)
{
	/* 5 lost in a run, 14 in a 1-bit vector, 7 in a 2-bit vector of which 4 count */
	static const uint8_t fci[] = {0xff, 0xfe, 0,    23,   0x01, 0x02, 0x03, 9,    0x00, 0x05,
	                              0xa0, 0x01, 0xd8, 0xff, 4,    5,    6,    0xff, 0xf0, 7};
	static const uint32_t want[23] = {
	    [5] = 0x01020304, [18] = 0x01020309, [19] = 0x0102030f, [20] = 0x010202ff};
	struct dp_rtcp_twcc_status s;
	struct dp_rtcp_twcc_iter it;
	struct dp_rtcp_twcc t;
	uint32_t n = 0;

	/* 2-bit vector 0xd8ff: 11 01 10 00 11 …: small, large, lost, reserved */
	assert_int_equal(parse_fci(&t, fci, sizeof(fci)), -EBADMSG);
	{
		uint8_t ok[sizeof(fci)];

		memcpy(ok, fci, sizeof(fci));
		ok[13] = 0x00; // small, large, lost, lost
		assert_int_equal(parse_fci(&t, ok, sizeof(ok)), 0);
		assert_int_equal(t.base, 0xfffe);
		assert_int_equal(t.count, 23);
		assert_int_equal(t.ref_time, 0x010203);
		assert_int_equal(t.fb_count, 9);
		for (dp_rtcp_twcc_first(&it, &t); dp_rtcp_twcc_next(&it, &s); n++) {
			assert_int_equal(s.seq, (uint16_t)(0xfffe + n));
			assert_int_equal(s.received, want[n] != 0);
			if (s.received)
				assert_int_equal(s.ticks, want[n]);
		}
		assert_int_equal(n, 23);
		for (uint16_t len = 0; len < sizeof(ok) - 1; len++) // the last byte is padding
			assert_int_equal(parse_fci(&t, ok, len), -EBADMSG);
		assert_int_equal(parse_fci(&t, ok, sizeof(ok) - 1), 0);
	}
}

static void refuses(void **state)
{
	static const struct {
		uint16_t len;
		uint8_t fci[16];
	} row[] = {
	    {12, {0, 1, 0, 0, 0, 0, 0, 0, 0x20, 1, 1}},       // 0 no status
	    {12, {0, 1, 0, 1, 0, 0, 0, 0, 0x60, 1, 1}},       // 1 reserved, in a run
	    {12, {0, 1, 0, 9, 0, 0, 0, 0, 0x20, 1, 0x20, 1}}, // 2 chunks do not make up the count
	    {12, {0, 1, 0, 3, 0, 0, 0, 0, 0x20, 3, 1, 1}},    // 3 a delta is missing
	    {12, {0, 1, 0, 2, 0, 0, 0, 0, 0x40, 2, 1, 1}},    // 4 large ones
	    {10, {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0x3f, 0xff}}, // 5
	};
	struct dp_rtcp_twcc t;

	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		uint8_t *exact = malloc(row[i].len);

		memcpy(exact, row[i].fci, row[i].len);
		assert_int_equal(parse_fci(&t, exact, row[i].len), -EBADMSG);
		free(exact);
	}
}

/* Builds, and compares what comes out of the parser; returns how many were told, and the size. */
static uint32_t round_trip(const uint32_t *ticks, uint32_t n, uint16_t base, uint32_t *size)
{
	static uint8_t buf[8192];
	const struct dp_rtcp_twcc_make m = {11, 12, ticks, base, (uint16_t)n, 77};
	struct dp_rtcp_out o = {buf, sizeof(buf), 0};
	struct dp_rtcp_twcc_status s;
	struct dp_rtcp_twcc_iter it;
	struct dp_rtcp_iter all;
	struct dp_rtcp_twcc t;
	struct dp_rtcp_pkt p;
	struct dp_rtcp_fb fb;
	uint32_t i = 0;
	int told = dp_rtcp_put_twcc(&o, &m);

	assert_true(told > 0 && told <= (int)n);
	assert_int_equal(dp_rtcp_first(&all, buf, o.len, DP_RTCP_RSIZE), 0);
	assert_true(dp_rtcp_next(&all, &p));
	assert_int_equal(p.type, DP_RTCP_RTPFB);
	assert_int_equal(p.count, DP_RTCP_RTPFB_TWCC);
	assert_int_equal(dp_rtcp_fb(&fb, &p), 0);
	assert_true(fb.sender == 11 && fb.media == 12);
	assert_int_equal(dp_rtcp_twcc(&t, &fb), 0);
	assert_true(t.base == base && t.count == told && t.fb_count == 77);
	for (dp_rtcp_twcc_first(&it, &t); dp_rtcp_twcc_next(&it, &s); i++) {
		assert_int_equal(s.received, ticks[i] != DP_TWCC_LOST);
		if (s.received)
			assert_int_equal(s.ticks, ticks[i]);
	}
	assert_int_equal(i, told);
	*size = o.len;
	return told;
}

static void builds(void **state)
{
	uint32_t ticks[DP_TWCC_MAX], size;

	for (uint32_t i = 0; i < 100; i++)
		ticks[i] = 1000 + 4 * i;
	assert_int_equal(round_trip(ticks, 100, 65500, &size), 100);
	assert_int_equal(size, 20 + 2 + 100 + 2); // one run, small deltas
	ticks[50] = DP_TWCC_LOST;
	ticks[60] += 3;
	assert_int_equal(round_trip(ticks, 100, 5, &size), 100);
	ticks[70] -= 40; // went backwards
	assert_int_equal(round_trip(ticks, 100, 5, &size), 100);
	ticks[80] += 300; // a large delta
	assert_int_equal(round_trip(ticks, 100, 5, &size), 100);
	for (uint32_t i = 90; i < 100; i++)
		ticks[i] += 40000; // too large a one: it ends there
	assert_int_equal(round_trip(ticks, 100, 5, &size), 90);
	for (uint32_t i = 0; i < 10; i++)
		ticks[i] = UINT32_MAX - 4 + 2 * i; // the clock wraps, past 0
	assert_int_equal(round_trip(ticks, 10, 5, &size), 10);
	srand(5);
	for (unsigned round = 0; round < 3000; round++) {
		uint32_t n = 1 + rand() % DP_TWCC_MAX, lost = rand() % 100, wild = rand() % 20;
		uint32_t at = (uint32_t)rand() * 2u | 1;

		for (uint32_t i = 0; i < n; i++) {
			at += rand() % 100 < (int)wild ? (uint32_t)(rand() % 20000 - 9000)
			                               : (uint32_t)(rand() % 30);
			ticks[i] = rand() % 100 < (int)lost ? DP_TWCC_LOST : at ? at : 1;
		}
		ticks[rand() % n] = at | 1;
		if (round_trip(ticks, n, rand(), &size) == n)
			assert_true(size <= 20 + 2 * n + 2 * n + 4);
	}
}

static void bounded(void **state)
{
	uint32_t ticks[40];
	struct dp_rtcp_twcc_make m = {11, 12, ticks, 3, 40, 1};
	uint8_t big[512];
	struct dp_rtcp_out all = {big, sizeof(big), 0};

	for (uint32_t i = 0; i < 40; i++)
		ticks[i] = i % 3 ? 5 + 300 * i : DP_TWCC_LOST;
	assert_int_equal(dp_rtcp_put_twcc(&all, &m), 40);
	for (uint32_t room = 0; room <= all.len; room++) {
		uint8_t *exact = malloc(room ? room : 1);
		struct dp_rtcp_out o = {exact, room, 0};

		assert_int_equal(dp_rtcp_put_twcc(&o, &m), room < all.len ? -ENOSPC : 40);
		assert_int_equal(o.len, room < all.len ? 0 : room);
		free(exact);
	}
	m.n = 0;
	assert_int_equal(dp_rtcp_put_twcc(&all, &m), -EINVAL);
	m.n = DP_TWCC_MAX + 1;
	assert_int_equal(dp_rtcp_put_twcc(&all, &m), -EINVAL);
	m.n = 1; // lost
	assert_int_equal(dp_rtcp_put_twcc(&all, &m), -EINVAL);
}

static void remb(void **state)
{
	static const struct {
		uint64_t in, out;
	} row[] = {{0, 0},
	           {1, 1},
	           {262143, 262143},
	           {262145, 262144},
	           {3000000, 3000000},
	           {10000001, 9999936 + 64},
	           {1ull << 62, 1ull << 62},
	           {UINT64_MAX, 0x3ffffull << 46}};
	static const uint32_t ssrcs[] = {7, 8, 9};

	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		uint8_t buf[64];
		struct dp_rtcp_out o = {buf, sizeof(buf), 0};
		struct dp_rtcp_iter all;
		struct dp_rtcp_remb r;
		struct dp_rtcp_pkt p;
		struct dp_rtcp_fb fb;

		assert_int_equal(dp_rtcp_put_remb(&o, 3, row[i].in, ssrcs, 3), 0);
		assert_int_equal(o.len, 32);
		assert_int_equal(dp_rtcp_first(&all, buf, o.len, DP_RTCP_RSIZE), 0);
		assert_true(dp_rtcp_next(&all, &p));
		assert_int_equal(dp_rtcp_fb(&fb, &p), 0);
		assert_int_equal(dp_rtcp_remb(&r, &fb), 0);
		assert_int_equal(r.count, 3);
		assert_int_equal(r.ssrcs[11], 9);
		assert_true(r.bps == row[i].out);
	}
	{
		uint8_t small[31];
		struct dp_rtcp_out o = {small, sizeof(small), 0};

		assert_int_equal(dp_rtcp_put_remb(&o, 3, 5, ssrcs, 3), -ENOSPC);
		assert_int_equal(dp_rtcp_put_remb(&o, 3, 5, ssrcs, 0), -EINVAL);
		assert_int_equal(o.len, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(chunks),  cmocka_unit_test(refuses), cmocka_unit_test(builds),
	    cmocka_unit_test(bounded), cmocka_unit_test(remb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
