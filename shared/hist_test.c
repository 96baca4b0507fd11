#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "shared/hist.h"

static struct sh_hist h, g, d;

/* Every bucket begins where the one before ends, holds its own bounds, and is no wider than 1/32 of
 * them. */
static void buckets(void **state)
{
	for (unsigned i = 0; i < SH_HIST_BUCKETS; i++) {
		uint64_t low = sh_hist_lower(i), end = sh_hist_lower(i + 1);

		assert_true(end > low);
		assert_int_equal(sh_hist_index(low), i);
		assert_int_equal(sh_hist_index(end - 1), i);
		if (low >= SH_HIST_SUBS)
			assert_true((end - low) * SH_HIST_SUBS <= low);
	}
	assert_int_equal(sh_hist_lower(SH_HIST_BUCKETS), UINT64_C(1) << SH_HIST_BITS);
	assert_int_equal(sh_hist_index(UINT64_C(1) << SH_HIST_BITS), SH_HIST_BUCKETS - 1);
	assert_int_equal(sh_hist_index(UINT64_MAX), SH_HIST_BUCKETS - 1);
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Against the sorted values. */
static void quantiles(void **state)
{
	static const uint32_t part[] = {0, 1, 500000, 900000, 990000, 999000, 999900, 1000000};
	enum { N = 20000 };
	static uint64_t v[N];
	uint64_t x = 88172645463325252u, sum = 0;

	memset(&h, 0, sizeof(h));
	assert_int_equal(sh_hist_quantile(&h, 500000), 0);
	for (unsigned i = 0; i < N; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		v[i] = x >> (31 + x % 33);
		sum += v[i];
		sh_hist_add(&h, v[i], 1);
	}
	qsort(v, N, sizeof(v[0]), compare);
	assert_int_equal(sh_hist_count(&h), N);
	assert_int_equal(h.sum, sum);
	assert_int_equal(h.max, v[N - 1]);
	for (unsigned i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		uint64_t rank = ((uint64_t)N * part[i] + 999999) / 1000000;
		uint64_t want = v[rank ? rank - 1 : 0], got = sh_hist_quantile(&h, part[i]);

		assert_true(got >= want && got <= want + want / SH_HIST_SUBS + 1);
	}
	for (unsigned bits = 0; bits <= SH_HIST_BITS; bits++) {
		uint64_t n = 0;

		while (n < N && v[n] < UINT64_C(1) << bits)
			n++;
		assert_int_equal(sh_hist_below(&h, bits), n);
	}
}

static void differences(void **state)
{
	memset(&h, 0, sizeof(h));
	sh_hist_add(&h, 1000, 5);
	memcpy(&g, &h, sizeof(g));
	sh_hist_add(&h, 70000, 3);
	sh_hist_add(&h, UINT64_C(1) << 40, 1);
	sh_hist_diff(&d, &h, &g);
	assert_int_equal(sh_hist_count(&d), 4);
	assert_int_equal(d.sum, 210000 + (UINT64_C(1) << 40));
	assert_int_equal(sh_hist_quantile(&d, 500000), sh_hist_lower(sh_hist_index(70000) + 1) - 1);
	assert_int_equal(sh_hist_quantile(&d, 1000000), UINT64_C(1) << 40);
	sh_hist_merge(&d, &g);
	assert_memory_equal(d.bucket, h.bucket, sizeof(h.bucket));
	assert_int_equal(d.sum, h.sum);
	sh_hist_diff(&d, &h, NULL);
	assert_memory_equal(&d, &h, sizeof(h));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(buckets),
	    cmocka_unit_test(quantiles),
	    cmocka_unit_test(differences),
	};

	return cmocka_run_group_tests_name("hist", tests, NULL, NULL);
}
