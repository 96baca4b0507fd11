#include "dataplane/rtcp/rtcp.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "dataplane/rtp/rtp.h"

static void ntp(void **state)
{
	assert_true(dp_ntp_from_unix_ns(0) == 2208988800ull << 32);
	assert_true(dp_ntp_from_unix_ns(500000000) == (2208988800ull << 32 | 0x80000000u));
	assert_true(dp_ntp_from_unix_ns(999999999) >> 32 == 2208988800ull);
	/* 7 February 2036, 06:28:16: era 1 begins, the seconds wrap to 0 */
	assert_true(dp_ntp_from_unix_ns(2085978496ull * 1000000000u) == 0);
	assert_true(dp_ntp_mid(0x0123456789abcdefull) == 0x456789ab);
	assert_int_equal(dp_ntp_short_from_ns(1000000000), 65536);
	assert_int_equal(dp_ntp_short_from_ns(5250000000ull), 5 * 65536 + 16384);
	assert_true(dp_ntp_short_from_ns(65535999999999ull) > 0xfffffff0u);
	assert_true(dp_ntp_short_from_ns(UINT64_MAX) == UINT32_MAX);
	assert_true(dp_ntp_short_to_us(65536 + 32768) == 1500000);
}

/* The example of RFC 3550 figure 2: 6.125 s. */
static void round_trip(void **state)
{
	struct dp_rtcp_block b = {.lsr = 0xb7052000, .dlsr = 0x00054000};
	uint32_t us = 1;

	assert_true(dp_rtcp_rtt_us(&us, 0xb7108000, &b));
	assert_int_equal(us, 6125000);
	assert_true(dp_rtcp_rtt_us(&us, b.lsr + b.dlsr - 60, &b)); // a hair before it could be
	assert_int_equal(us, 0);
	us = 7;
	assert_false(dp_rtcp_rtt_us(&us, b.lsr + b.dlsr - 70, &b));
	assert_false(dp_rtcp_rtt_us(&us, b.lsr + b.dlsr + (61 << 16), &b));
	b.lsr = 0;
	assert_false(dp_rtcp_rtt_us(&us, 5, &b));
	assert_int_equal(us, 7);
}

static void block_of_stream(void **state)
{
	struct sh_rx_stream s = {.ssrc = 77, .clock_hz = 90000};
	struct dp_rtcp_block b;

	for (unsigned i = 0; i < 10; i++)
		if (i != 4)
			dp_rtp_rx_update(&s, &(struct dp_rtp_hdr){.seq = 65530 + i, .ts = i * 3000},
			                 i * 33333333ull);
	dp_rtcp_block_of(&b, &s, 0);
	assert_int_equal(b.ssrc, 77);
	assert_int_equal(b.max_ext_seq, 65539);
	assert_int_equal(b.lost, 1);
	assert_int_equal(b.fraction, 25);
	assert_int_equal(b.lsr, 0);
	assert_int_equal(b.dlsr, 0);
	s.sr_ntp = 0x0123456789abcdefull;
	s.sr_at_ns = 1000000000;
	dp_rtcp_block_of(&b, &s, 3000000000ull);
	assert_true(b.lsr == 0x456789ab);
	assert_int_equal(b.dlsr, 2 * 65536);
	assert_int_equal(b.fraction, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ntp),
	    cmocka_unit_test(round_trip),
	    cmocka_unit_test(block_of_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
