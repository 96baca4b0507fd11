#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include "controlplane/signaling/limit.h"

#define MS 1000000ull

static void a_burst_then_one_at_a_time(void **state)
{
	struct cp_limit *l;
	uint64_t now = 5000 * MS;

	assert_int_equal(cp_limit_alloc(&l, 64, 3, 2000), 0);
	for (int i = 0; i < 3; i++) {
		assert_true(cp_limit_ok(l, "u", now));
		cp_limit_charge(l, "u", now);
	}
	assert_false(cp_limit_ok(l, "u", now));
	assert_true(cp_limit_ok(l, "v", now));
	assert_int_equal(cp_limit_wait_s(l, "u", now), 2);
	assert_int_equal(cp_limit_wait_s(l, "v", now), 0);
	assert_false(cp_limit_ok(l, "u", now + 1999 * MS));
	assert_true(cp_limit_ok(l, "u", now + 2000 * MS));
	cp_limit_charge(l, "u", now + 2000 * MS);
	assert_false(cp_limit_ok(l, "u", now + 3999 * MS));
	assert_true(cp_limit_ok(l, "u", now + 60000 * MS));
	/* never more than a burst, however long it was quiet, and clocks that go back are no gift
	 */
	for (int i = 0; i < 3; i++)
		cp_limit_charge(l, "u", now + 9000000 * MS);
	assert_false(cp_limit_ok(l, "u", now + 9000000 * MS));
	assert_false(cp_limit_ok(l, "u", now));
	cp_limit_free(l);
}

static void debt_is_bounded(void **state)
{
	struct cp_limit *l;

	assert_int_equal(cp_limit_alloc(&l, 64, 5, 100), 0);
	for (int i = 0; i < 1000; i++)
		cp_limit_charge(l, "u", 0);
	assert_false(cp_limit_ok(l, "u", 599 * MS));
	assert_true(cp_limit_ok(l, "u", 600 * MS)); // five owed and one to spend
	cp_limit_free(l);
}

static void many_names_forget_the_innocent_first(void **state)
{
	struct cp_limit *l;
	char name[160];

	assert_int_equal(cp_limit_alloc(&l, 8, 2, 1000000), 0);
	cp_limit_charge(l, "guilty", 0);
	cp_limit_charge(l, "guilty", 0);
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "name-%d-%090d", i, i);
		cp_limit_charge(l, name, 0);
	}
	assert_false(cp_limit_ok(l, "guilty", 0));
	cp_limit_charge(l, "", 0);
	assert_true(cp_limit_ok(l, "", 0));
	cp_limit_free(l);
}

static void bad_arguments(void **state)
{
	struct cp_limit *l;

	assert_int_equal(cp_limit_alloc(&l, 0, 1, 1), -EINVAL);
	assert_int_equal(cp_limit_alloc(&l, 65537, 1, 1), -EINVAL);
	assert_int_equal(cp_limit_alloc(&l, 1, 0, 1), -EINVAL);
	assert_int_equal(cp_limit_alloc(&l, 1, 1001, 1), -EINVAL);
	assert_int_equal(cp_limit_alloc(&l, 1, 1, 0), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_burst_then_one_at_a_time),
	    cmocka_unit_test(debt_is_bounded),
	    cmocka_unit_test(many_names_forget_the_innocent_first),
	    cmocka_unit_test(bad_arguments),
	};

	return cmocka_run_group_tests_name("limit", tests, NULL, NULL);
}
