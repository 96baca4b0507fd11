#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/node/drops.h"

static struct dp_drops d;

static void nothing(void **state)
{
	uint64_t i;

	dp_drops_begin(&d, 1000);
	assert_int_equal(dp_drops_since(&d, DP_DROPS_PACKET, 5), 0);
	assert_true(dp_drops_find(&d, 7, 507, &i));
	assert_int_equal(i, 500);
	assert_false(dp_drops_find(&d, 7, 1007, &i)); // not sent yet
	dp_drops_advance(&d, 1000);
	assert_true(dp_drops_find(&d, 7, 1007, &i));
	assert_int_equal(i, 1000);
	assert_false(dp_drops_find(&d, 7, 1008, &i));
}

/* Against a plain model: every index forwarded, left out, or never seen; far jumps now and then. */
static void model(void **state)
{
	enum { N = 60000 };
	uint8_t *left = calloc(N, 1);
	uint64_t *before = calloc(N + 1, sizeof(*before)),
	         *pictures = calloc(N + 1, sizeof(*pictures));
	uint64_t at = 100, first = 100, found;

	assert_non_null(left);
	assert_true(before && pictures);
	srand(3);
	for (unsigned k = 0; k < 100; k++)
		assert_int_equal(before[k], 0);
	dp_drops_begin(&d, first);
	while (at < N - 4000) {
		uint64_t to = at + (rand() % 1000 ? (unsigned)rand() % 3 : (unsigned)rand() % 3000);
		bool out = rand() % 100 < 60, picture = out && rand() % 4 == 0;

		for (; at <= to; at++) { // what was jumped over is to be sent
			left[at] = at == to && out;
			before[at + 1] = before[at] + left[at];
			pictures[at + 1] = pictures[at] + (at == to && picture);
		}
		dp_drops_advance(&d, to);
		if (out)
			dp_drops_set(&d, DP_DROPS_PACKET, to);
		if (picture)
			dp_drops_set(&d, DP_DROPS_PICTURE, to);
		if (rand() % 16)
			continue;
		for (uint64_t i = to - (to < 1200 ? to : 1200); i <= to; i++) {
			if (!dp_drops_knows(&d, i)) {
				assert_true(to - i >= DP_DROPS - 64);
				continue;
			}
			assert_int_equal(dp_drops_since(&d, DP_DROPS_PACKET, i),
			                 before[at] - before[i]);
			assert_int_equal(dp_drops_since(&d, DP_DROPS_PICTURE, i),
			                 pictures[at] - pictures[i]);
			assert_int_equal(dp_drops_get(&d, DP_DROPS_PACKET, i), left[i]);
			if (left[i])
				continue;
			assert_true(
			    dp_drops_find(&d, 5000 - before[at], i + 5000 - before[i], &found));
			assert_int_equal(found, i);
		}
		assert_false(dp_drops_find(&d, 5000 - before[at], at + 5000 - before[at], &found));
		assert_false(dp_drops_find(&d, 5000 - before[at], at + 6000 - before[at], &found));
	}
	free(left);
	free(before);
	free(pictures);
}

/* All of a window left out, and more. */
static void long_run(void **state)
{
	uint64_t i;

	dp_drops_begin(&d, 50);
	for (uint64_t k = 50; k < 70050; k++) {
		dp_drops_advance(&d, k);
		dp_drops_set(&d, DP_DROPS_PACKET, k);
	}
	dp_drops_advance(&d, 70050);
	assert_true(dp_drops_find(&d, 0 - UINT64_C(70000), 50, &i));
	assert_int_equal(i, 70050);
	assert_true(dp_drops_find(&d, 0 - UINT64_C(70000), 49, &i)); // from before it all
	assert_int_equal(i, 49);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing),
	    cmocka_unit_test(model),
	    cmocka_unit_test(long_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
