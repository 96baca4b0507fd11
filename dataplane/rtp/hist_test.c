#include "dataplane/rtp/rtp.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

static void keeps_the_newest(void **state)
{
	struct dp_hist_slot slots[64];
	struct dp_hist h;

	dp_hist_init(&h, slots, 64);
	assert_true(dp_hist_get(&h, 0) == DP_HIST_NONE);
	for (uint32_t s = 65500; s < 65700; s++) {
		uint32_t out = dp_hist_put(&h, s, s * 3);

		assert_true(out == (s < 65500 + 64 ? DP_HIST_NONE : (s - 64) * 3));
	}
	for (uint32_t s = 65500; s < 65700; s++)
		assert_true(dp_hist_get(&h, (uint16_t)s) ==
		            (s < 65700 - 64 ? DP_HIST_NONE : s * 3));
	assert_true(dp_hist_get(&h, (uint16_t)65700) == DP_HIST_NONE);
}

/* Holes never show what lay there a turn, or 65,536 numbers, before. */
static void holes_and_late_ones(void **state)
{
	struct dp_hist_slot slots[64];
	struct dp_hist h;

	dp_hist_init(&h, slots, 64);
	dp_hist_put(&h, 10, 1);
	dp_hist_put(&h, 80, 2); // 11..79 are holes; slot 10 is still taken by number 10
	assert_true(dp_hist_get(&h, 74) == DP_HIST_NONE);
	assert_true(dp_hist_put(&h, 74, 3) == 1); // came late, pushes 10 out
	assert_true(dp_hist_get(&h, 74) == 3);
	assert_true(dp_hist_put(&h, 16, 4) == 4); // 64 behind: not kept
	assert_true(dp_hist_get(&h, 80) == 2);
	assert_true(dp_hist_put(&h, 17, 5) == DP_HIST_NONE); // 63 behind: kept
	assert_true(dp_hist_put(&h, 65536 + 79, 6) == DP_HIST_NONE);
	assert_true(dp_hist_get(&h, 80) == DP_HIST_NONE);
	assert_true(dp_hist_get(&h, 79) == 6);
}

static void everything_comes_back(void **state)
{
	static uint8_t held[5000];
	struct dp_hist_slot slots[256];
	struct dp_hist h;

	srand(3);
	dp_hist_init(&h, slots, 256);
	for (uint32_t i = 0; i < 5000; i++) {
		uint32_t out;

		held[i] = 1;
		out = dp_hist_put(&h, 70000 + i + rand() % 400, i);
		if (out != DP_HIST_NONE)
			held[out]--;
	}
	for (uint32_t i = 0; i <= h.mask; i++) {
		uint32_t out = dp_hist_take(&h, i);

		if (out != DP_HIST_NONE)
			held[out]--;
		assert_true(dp_hist_take(&h, i) == DP_HIST_NONE);
	}
	for (uint32_t i = 0; i < 5000; i++)
		assert_int_equal(held[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keeps_the_newest),
	    cmocka_unit_test(holes_and_late_ones),
	    cmocka_unit_test(everything_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
