#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include "dataplane/impair/line.h"
#include "dataplane/impair/wire.h"

enum { N = 5000 };
static uint64_t at[N];

static void in_order_of_their_times(void **state)
{
	struct dp_wire_conf conf = {
	    .delay_us = 50000, .jitter_us = 20000, .reorder_ppm = 100000, .reorder_us = 30000};
	struct dp_line *l = dp_line_new(&conf, 7, N);
	uint64_t out[2], before = 0, now = 0;
	unsigned came = 0, passed = 0;
	uint64_t *p, *last = NULL;

	for (unsigned i = 0; i < N; i++, now += 100000) {
		assert_int_equal(dp_line_fate(l, 1200, now, out), 1);
		at[i] = out[0];
		assert_true(dp_line_put(l, &at[i], out[0]));
		while ((p = dp_line_take(l, now))) {
			assert_true(*p <= now && *p + 100000 > now); // neither early nor late
			assert_true(*p >= before);
			before = *p;
			passed += last && p < last;
			last = p;
			came++;
		}
	}
	assert_true(passed > N / 50);
	while ((p = dp_line_take(l, UINT64_MAX)))
		came++;
	assert_int_equal(came, N);
	dp_line_free(l);
}

static void equal_times_and_no_room(void **state)
{
	struct dp_wire_conf conf = {.loss_good_ppm = DP_WIRE_PPM};
	struct dp_line *l = dp_line_new(&conf, 1, 3);
	uint64_t out[2];

	assert_int_equal(dp_line_fate(l, 100, 5, out), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_true(dp_line_put(l, &at[i], 9));
	assert_false(dp_line_put(l, &at[3], 1));
	assert_null(dp_line_take(l, 8));
	for (unsigned i = 0; i < 3; i++)
		assert_ptr_equal(dp_line_take(l, 9), &at[i]);
	assert_null(dp_line_take(l, UINT64_MAX));
	dp_line_free(l);
	dp_line_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(in_order_of_their_times),
	    cmocka_unit_test(equal_times_and_no_room),
	};

	return cmocka_run_group_tests_name("line", tests, NULL, NULL);
}
