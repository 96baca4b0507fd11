#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "dataplane/node/report.h"

#define S UINT64_C(1000000000)

static void intervals(void **state)
{
	for (uint32_t r = 0; r < 5000; r += 7) {
		assert_in_range(dp_report_next(S, true, false, r) - S, S / 2, 3 * S / 2);
		assert_in_range(dp_report_next(S, true, true, r) - S, S / 4, 3 * S / 4);
		assert_in_range(dp_report_next(S, false, false, r) - S, 5 * S / 2, 15 * S / 2);
	}
	assert_int_not_equal(dp_report_next(S, true, false, 1),
	                     dp_report_next(S, true, false, 1000));
}

static void skew(void **state)
{
	const uint64_t sec = UINT64_C(1) << 32;
	int64_t s = dp_ntp_skew(0, 1000 * sec, 400 * sec);

	assert_int_equal(s, 600 * (int64_t)sec);
	// an SR that the network held up by 200 ms
	assert_true(dp_ntp_skew(s, 1001 * sec + sec / 5, 401 * sec) - s < (int64_t)sec / 200);
	// one that came quicker than all before
	assert_int_equal(dp_ntp_skew(s, 1001 * sec - 1000, 401 * sec), s - 1000);
	// the peer set its clock
	assert_int_equal(dp_ntp_skew(s, 1002 * sec, 300 * sec), 702 * (int64_t)sec);
	assert_int_not_equal(dp_ntp_skew(0, 5, 5), 0); // 0 means unknown
}

static void senders_time(void **state)
{
	const uint64_t sec = UINT64_C(1) << 32;
	struct sh_rx_stream st = {.sr_ntp = 400 * sec, .sr_rtp = 90000, .sr_at_ns = 50 * S};
	struct dp_sr_in in = {
	    .now_ns = 52 * S,
	    .ntp_now = 1002 * sec,
	    .stream = &st,
	    .skew = 600 * (int64_t)sec,
	    .ts_offset = 7,
	    .clock_hz = 90000,
	    .last_ts = 1234,
	    .last_at_ns = 51 * S,
	};

	assert_int_equal(dp_sr_time(&in).ntp, in.ntp_now);
	assert_int_equal(dp_sr_time(&in).rtp, 90000 + 7 + 2 * 90000);
	st.sr_at_ns = 0; // it never sent one
	assert_int_equal(dp_sr_time(&in).rtp, 1234 + 90000);
	st.sr_at_ns = 50 * S;
	in.ntp_now = 10 * sec; // nonsense: before its SR
	assert_int_equal(dp_sr_time(&in).rtp, 1234 + 90000);
}

static void translate(void **state)
{
	const uint64_t sec = UINT64_C(1) << 32;
	struct sh_rx_stream a = {.sr_ntp = 100 * sec, .sr_rtp = 5000, .sr_at_ns = 1};
	struct sh_rx_stream b = {.sr_ntp = 102 * sec, .sr_rtp = 4000000000u, .sr_at_ns = 1};
	uint32_t out;

	// 3 s after a's SR is 1 s after b's
	assert_true(dp_sr_translate(&out, 5000 + 3 * 90000, &a, &b, 90000));
	assert_int_equal(out, 4000000000u + 90000u);
	assert_true(dp_sr_translate(&out, 4000000000u, &b, &a, 90000));
	assert_int_equal(out, 5000 + 2 * 90000);
	b.sr_at_ns = 0;
	assert_false(dp_sr_translate(&out, 1, &a, &b, 90000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(intervals),
	    cmocka_unit_test(skew),
	    cmocka_unit_test(senders_time),
	    cmocka_unit_test(translate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
