#include "dataplane/node/told.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* Two spatial layers of two temporal ones, target of (q, t): 2 q + t. */
static const struct dp_dd_targets plain = {
    .active = 15,
    .with = {3, 15, 0},
    .upto = {5, 15, 15, 15},
    .n = 4,
};
static struct dp_dd_targets structure(void)
{
	struct dp_dd_targets k = plain;

	k.structure = true;
	return k;
}

static uint32_t find(const struct dp_told *d, uint32_t index)
{
	uint32_t active = 99;

	assert_int_equal(dp_told_find(&active, d, index, &plain), 0);
	return active;
}

/* Nothing is left out: nothing is said. Once it was: every change, until a structure says it. */
static void says(void **state)
{
	struct dp_dd_targets s = structure();
	struct dp_told d = {0};

	dp_told_next(&d, 10, DP_SENT(1, 1), &plain, false);
	assert_int_equal(find(&d, 10), 0);
	dp_told_next(&d, 20, DP_SENT(1, 0), &plain, false);
	assert_int_equal(find(&d, 20), 5);
	dp_told_next(&d, 30, DP_SENT(0, 3), &plain, false);
	assert_int_equal(find(&d, 30), 3);
	dp_told_next(&d, 40, DP_SENT(1, 3), &plain, false);
	assert_int_equal(find(&d, 40), 15);
	dp_told_next(&d, 50, DP_SENT(1, 3), &plain, false);
	assert_int_equal(find(&d, 50), 15);
	dp_told_next(&d, 60, DP_SENT(1, 3), &s, false);
	assert_int_equal(find(&d, 60), 0);
	dp_told_next(&d, 70, DP_SENT(1, 3), &plain, false);
	assert_int_equal(find(&d, 70), 0);
	dp_told_next(&d, 80, DP_SENT(DP_DD_ALL, 0), &plain, false); // a stream of simulcast
	assert_int_equal(find(&d, 80), 5);
	// as they were told at first
	assert_int_equal(find(&d, 25), 5);
	assert_int_equal(find(&d, 39), 3);
	assert_int_equal(find(&d, 79), 0);
}

/* What the packet says itself stays. */
static void says_itself(void **state)
{
	struct dp_dd_targets k = plain, s = structure();
	struct dp_told d = {0};
	uint32_t active;

	k.told = true;
	k.active = 3;
	dp_told_next(&d, 1, DP_SENT(1, 0), &plain, false);
	dp_told_next(&d, 2, DP_SENT(0, 3), &k, false); // all that are left are sent
	assert_int_equal(dp_told_find(&active, &d, 2, &k), 0);
	assert_int_equal(active, 0);
	k.told = false;
	assert_int_equal(dp_told_find(&active, &d, 2, &k), 0);
	assert_int_equal(active, 3);
	dp_told_next(&d, 3, DP_SENT(0, 0), &s, false); // a structure would say that all are there
	assert_int_equal(dp_told_find(&active, &d, 3, &s), 0);
	assert_int_equal(active, 1);
}

static void forgets(void **state)
{
	struct dp_told d = {0};
	uint32_t active;

	assert_int_equal(dp_told_find(&active, &d, 5, &plain), 0); // nothing was said
	assert_int_equal(active, 0);
	for (unsigned i = 0; i <= DP_TOLD; i++)
		dp_told_next(&d, UINT32_MAX - 3 + i * 2, DP_SENT(1, i & 1), &plain, false);
	assert_int_equal(dp_told_find(&active, &d, UINT32_MAX - 3, &plain), -ENOENT);
	assert_int_equal(find(&d, UINT32_MAX - 1), 15);
	assert_int_equal(find(&d, UINT32_MAX), 15);
	assert_int_equal(find(&d, 1), 5); // over the wrap
	assert_int_equal(find(&d, 2), 15);
	// numbers begin anew
	dp_told_next(&d, UINT32_MAX - 20, DP_SENT(1, 3), &plain, false);
	assert_int_equal(find(&d, UINT32_MAX - 20), 15);
	assert_int_equal(d.n, 1);
}

/* After a restart nobody knows what was said. */
static void again(void **state)
{
	struct dp_dd_targets s = structure();
	struct dp_told d = {0};

	dp_told_next(&d, 100, DP_SENT(1, 3), &plain, true);
	assert_int_equal(find(&d, 100), 15);
	dp_told_next(&d, 101, DP_SENT(1, 3), &s, true);
	dp_told_next(&d, 102, DP_SENT(1, 3), &plain, true);
	assert_int_equal(find(&d, 102), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(says),
	    cmocka_unit_test(says_itself),
	    cmocka_unit_test(forgets),
	    cmocka_unit_test(again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
