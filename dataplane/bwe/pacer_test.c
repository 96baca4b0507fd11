/* The pacer's rate, its bursts and its promise to empty a queue within a quarter of a second. */
#include "dataplane/bwe/pacer.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#define MS 1000000ull
#define T0 (77777 * MS)

static void unlimited(void **state)
{
	struct dp_pacer p = {0};

	assert_true(dp_pacer_room(&p, T0) == UINT32_MAX);
	dp_pacer_sent(&p, 1000000, T0);
	assert_true(dp_pacer_next(&p, T0) == T0);
	dp_pacer_rate(&p, 0, 100000, T0);
	assert_true(dp_pacer_room(&p, T0) == UINT32_MAX);
}

/* A queue that is never empty: what leaves in 10 s, at a call every 100 us. */
static void rate(void **state)
{
	for (uint32_t bps = 50000; bps <= 40000000; bps *= 2) {
		struct dp_pacer p = {0};
		uint64_t bytes = 0;

		dp_pacer_rate(&p, bps, 0, T0);
		for (uint64_t now = T0; now < T0 + 10000 * MS; now += MS / 10)
			while (dp_pacer_room(&p, now)) {
				dp_pacer_sent(&p, 1200, now);
				bytes += 1200;
			}
		assert_in_range(bytes * 8 / 10, bps * 2 * 0.99, bps * 2 * 1.01 + 6000);
	}
}

/* A key frame of 60 kB at 500 kb/s: 400 ms, not 480; the burst goes at once, and next() says when.
 */
static void drains(void **state)
{
	struct dp_pacer p = {0};
	uint64_t now = T0;
	int32_t queue = 60000;
	unsigned at_once = 0;

	dp_pacer_rate(&p, 500000, (uint32_t)queue, T0);
	while (queue > 0) {
		while (queue > 0 && dp_pacer_room(&p, now)) {
			dp_pacer_sent(&p, 1200, now);
			queue -= 1200;
			at_once += now == T0;
		}
		if (queue <= 0)
			break;
		assert_true(dp_pacer_next(&p, now) > now);
		now = dp_pacer_next(&p, now);
		assert_true(dp_pacer_room(&p, now) > 0);
	}
	assert_in_range(at_once, 2, 8);
	assert_in_range(now - T0, 370 * MS, 405 * MS);
}

/* Audio goes past it and is paid back, by an eighth of a second at most. */
static void debt(void **state)
{
	struct dp_pacer p = {0};

	dp_pacer_rate(&p, 100000, 0, T0);
	dp_pacer_sent(&p, 3000, T0);
	assert_int_equal(dp_pacer_room(&p, T0), 0);
	for (unsigned i = 0; i < 1000; i++)
		dp_pacer_sent(&p, 60000, T0);
	assert_true(dp_pacer_next(&p, T0) - T0 < 200 * MS);
	assert_true(dp_pacer_room(&p, T0 + 200 * MS) > 0);
	/* pauses earn no more than the burst */
	assert_in_range(dp_pacer_room(&p, T0 + 100000 * MS), 2999, 3001);
}

/* Rates and times of any size: no overflow, and it always goes on. */
static void extremes(void **state)
{
	struct dp_pacer p = {0};
	uint64_t now = T0;

	srand(8);
	for (unsigned i = 0; i < 200000; i++) {
		now += (uint64_t)rand() % (i % 5 ? 2 * MS : 3000 * MS);
		if (i % 3 == 0)
			dp_pacer_rate(&p, (uint32_t)rand() * (i % 2 ? 2u : 1u),
			              (uint32_t)rand() % 10000000, now);
		dp_pacer_sent(&p, (uint32_t)rand() % 65536, now);
		assert_true(dp_pacer_next(&p, now) - now < 1000 * MS || p.rate_bps < 100000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(unlimited), cmocka_unit_test(rate),     cmocka_unit_test(drains),
	    cmocka_unit_test(debt),      cmocka_unit_test(extremes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
