#include "dataplane/bwe/cost.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define MS 1000000ull

static uint64_t now;

/* A second of ten packets of temporal layers 0 and 1, each of so many bytes; the next packet ends
 * it. */
static void second(struct dp_cost *c, uint32_t layer, uint32_t bytes0, uint32_t bytes1)
{
	for (unsigned i = 0; i < 10; i++, now += 100 * MS) {
		dp_cost_add(c, layer, 0, bytes0, now);
		dp_cost_add(c, layer, 1, bytes1, now);
	}
}

static uint32_t all(const struct dp_cost *c, uint32_t layer)
{
	uint32_t t[SH_MAX_TEMPORAL];

	return dp_cost_bps(c, layer, t) ? t[0] + t[1] + t[2] + t[3] : 0;
}

static void begins(void **state)
{
	struct dp_cost c = {0};
	uint32_t t[SH_MAX_TEMPORAL] = {0};

	now = 12345 * MS;
	assert_false(dp_cost_bps(&c, 0, t));
	assert_int_equal(dp_cost_peak_bps(&c, 0), 0);
	second(&c, 0, 1000, 500);
	assert_false(dp_cost_bps(&c, 0, t)); // it is not over
	assert_true(dp_cost_add(&c, 0, 0, 1000, now));
	assert_true(dp_cost_bps(&c, 0, t));
	assert_int_equal(t[0], 80000);
	assert_int_equal(t[1], 40000);
	assert_int_equal(t[2] + t[3], 0);
	assert_false(dp_cost_bps(&c, 1, t)); // another quality
}

static void one_odd_second(void **state)
{
	struct dp_cost c = {0};

	now = 1 * MS;
	for (unsigned i = 0; i < 4; i++)
		second(&c, 2, 1000, 1000);
	second(&c, 2, 9000, 1000); // a key frame
	second(&c, 2, 1000, 1000);
	assert_int_equal(all(&c, 2), 160000);
	assert_in_range(dp_cost_peak_bps(&c, 2), 790000, 810000);
	second(&c, 2, 0, 0); // and one with next to nothing
	second(&c, 2, 1000, 1000);
	assert_in_range(all(&c, 2), 155000, 165000);
}

static void follows(void **state)
{
	struct dp_cost c = {0};

	now = 1 * MS;
	for (unsigned i = 0; i < 6; i++)
		second(&c, 0, 1000, 0);
	for (unsigned i = 0; i < 5; i++)
		second(&c, 0, 3000, 0);
	assert_int_equal(all(&c, 0), 240000);
}

static void pauses(void **state)
{
	struct dp_cost c = {0};

	now = 1 * MS;
	for (unsigned i = 0; i < 6; i++)
		second(&c, 1, 1000, 1000);
	for (unsigned i = 0; i < 10; i++)
		second(&c, 0, 2000, 0);
	assert_int_equal(all(&c, 1), 160000); // what it had
	now += 5000 * MS;                     // all of it: nothing is made of the gap
	assert_false(dp_cost_add(&c, 0, 0, 9, now));
	assert_int_equal(all(&c, 0), 160000);
}

int main(void)
{
	const struct CMUnitTest t[] = {
	    cmocka_unit_test(begins),
	    cmocka_unit_test(one_odd_second),
	    cmocka_unit_test(follows),
	    cmocka_unit_test(pauses),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
