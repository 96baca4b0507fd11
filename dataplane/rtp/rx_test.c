#include "dataplane/rtp/rtp.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#define MS 1000000ull

static uint32_t get(struct sh_rx_stream *s, uint16_t seq, uint32_t ts, uint64_t now_ns)
{
	struct dp_rtp_hdr h = {.seq = seq, .ts = ts, .payload_len = 100};

	return dp_rtp_rx_update(s, &h, now_ns);
}

static void check_loss(struct sh_rx_stream *s, unsigned fraction, int lost)
{
	uint8_t f;
	int32_t l;

	dp_rtp_rx_loss(s, &f, &l);
	assert_int_equal(f, fraction);
	assert_int_equal(l, lost);
}

static void extends(void **state)
{
	assert_int_equal(dp_seq_extend(65535, 0), 65536);
	assert_int_equal(dp_seq_extend(65536, 65535), 65535);
	assert_int_equal(dp_seq_extend(0x30005, 0xfffe), 0x2fffe);
	assert_true(dp_seq_extend(0, 65535) == UINT32_MAX);
	assert_true(dp_seq_newer(0, 65535) && !dp_seq_newer(65535, 0) && !dp_seq_newer(7, 7));
}

static void loss(void **state)
{
	struct sh_rx_stream s = {.clock_hz = 90000};

	check_loss(&s, 0, 0);              // nothing came yet
	for (unsigned i = 0; i < 100; i++) // 65500..65599, each tenth lost
		if (i % 10 != 5)
			get(&s, 65500 + i, i * 900, i * 10 * MS);
	assert_int_equal(s.max_ext_seq, 65599);
	assert_int_equal(s.packets, 90);
	assert_int_equal(s.bytes, 9000);
	check_loss(&s, 10 * 256 / 100, 10);
	check_loss(&s, 0, 10); // no packets in between
	/* one comes late, one twice: fewer lost, and the interval has a gain, not a loss */
	get(&s, (uint16_t)65505, 5 * 900, 1000 * MS);
	get(&s, (uint16_t)65515, 15 * 900, 1000 * MS);
	get(&s, (uint16_t)65515, 15 * 900, 1000 * MS);
	check_loss(&s, 0, 7);
	/* an interval that lost all but one of 256 */
	get(&s, (uint16_t)(65599 + 256), 90000, 1100 * MS);
	check_loss(&s, 255, 7 + 255);
	assert_int_equal(s.last_at_ns, 1100 * MS);
}

static void restart(void **state)
{
	struct sh_rx_stream s = {.clock_hz = 8000};

	get(&s, 100, 0, 0);
	get(&s, 102, 0, 0);
	check_loss(&s, 85, 1);
	get(&s, 102 + 2999, 0, 0); // A.1: just within MAX_DROPOUT
	check_loss(&s, 255, 1 + 2998);
	get(&s, 30000, 0, 0); // beyond: counted anew from here
	check_loss(&s, 0, 0);
	get(&s, 30001, 0, 0);
	check_loss(&s, 0, 0);
}

static void clamps(void **state)
{
	struct sh_rx_stream s = {
	    .packets = 1, .base_ext_seq = 0, .max_ext_seq = 0x1000000, .received = 1};

	check_loss(&s, 255, 0x7fffff);
	s.received = 0x3000000;
	check_loss(&s, 0, -0x800000);
}

static void jitter(void **state)
{
	struct sh_rx_stream s = {.clock_hz = 8000};
	uint64_t long_up = 400ull * 86400 * 1000 * MS; // more than a year of uptime

	for (unsigned i = 0; i < 50; i++)
		get(&s, i, i * 160, long_up + i * 20 * MS);
	assert_int_equal(s.jitter_q4 >> 4, 0);
	/* alternately 0 and 10 ms late: |D| is 80 units each time, which J approaches (A.8) */
	for (unsigned i = 50; i < 350; i++)
		get(&s, i, i * 160, long_up + i * 20 * MS + (i & 1) * 10 * MS);
	assert_in_range(s.jitter_q4 >> 4, 79, 80);
	/* a new timestamp base is no jitter */
	get(&s, 350, 0x80000000u, long_up + 350 * 20 * MS);
	assert_in_range(s.jitter_q4 >> 4, 79, 80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(extends), cmocka_unit_test(loss),   cmocka_unit_test(restart),
	    cmocka_unit_test(clamps),  cmocka_unit_test(jitter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
