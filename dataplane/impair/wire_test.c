/* The wire does what its numbers say, and the same again from the same seed. */
#include "dataplane/impair/wire.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdbool.h>
#include <cmocka.h>
#include <string.h>

enum { N = 200000 };
#define MS 1000000ull

static void repeats(void **state)
{
	const struct dp_wire_conf c = {.to_bad_ppm = 10000,
	                               .to_good_ppm = 300000,
	                               .loss_bad_ppm = 500000,
	                               .rate_bps = 2000000,
	                               .queue_bytes = 30000,
	                               .delay_us = 20000,
	                               .jitter_us = 5000,
	                               .reorder_ppm = 10000,
	                               .reorder_us = 9000,
	                               .duplicate_ppm = 5000};
	struct dp_wire a, b, other;
	unsigned differ = 0;

	dp_wire_init(&a, &c, 7);
	dp_wire_init(&b, &c, 7);
	dp_wire_init(&other, &c, 8);
	for (uint64_t i = 0; i < 20000; i++) {
		uint64_t x[2] = {0}, y[2] = {0}, z[2] = {0};
		unsigned n = dp_wire_send(&a, 1000, i * 4 * MS, x);

		assert_int_equal(dp_wire_send(&b, 1000, i * 4 * MS, y), n);
		assert_memory_equal(x, y, sizeof(x));
		differ += dp_wire_send(&other, 1000, i * 4 * MS, z) != n || memcmp(x, z, sizeof(x));
	}
	assert_memory_equal(&a, &b, sizeof(a));
	assert_true(differ > 10000);
}

/* Shares within four standard deviations of what theory says. */
static void losses(void **state)
{
	static const struct {
		struct dp_wire_conf c;
		double loss, burst; // share lost; mean length of a run of losses
	} row[] = {
	    {{.loss_good_ppm = 50000}, 0.05, 1 / 0.95},
	    {{.to_bad_ppm = 10000, .to_good_ppm = 250000, .loss_bad_ppm = 1000000}, 0.0385, 4},
	    {{0}, 0, 0},
	    {{.loss_good_ppm = 1000000}, 1, 0},
	};

	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct dp_wire w;
		uint64_t out[2], runs = 0;
		bool before = false;

		dp_wire_init(&w, &row[i].c, 1 + i);
		for (uint64_t k = 0; k < N; k++) {
			bool gone = !dp_wire_send(&w, 100, k, out);

			runs += gone && !before;
			before = gone;
		}
		assert_true((double)w.lost / N >= row[i].loss * 0.93);
		assert_true((double)w.lost / N <= row[i].loss * 1.07);
		if (row[i].burst > 0) {
			assert_true((double)w.lost / runs > row[i].burst * 0.93);
			assert_true((double)w.lost / runs < row[i].burst * 1.07);
		}
	}
}

/* Twice the rate goes in: half of it comes out, at that rate, and no packet waits longer than the
 * queue is. */
static void limits(void **state)
{
	const struct dp_wire_conf c = {
	    .rate_bps = 1000000, .queue_bytes = 25000, .delay_us = 10000};
	struct dp_wire w;
	uint64_t out[2], last = 0, most = 0;

	dp_wire_init(&w, &c, 1);
	for (uint64_t k = 0; k < 10000; k++) {
		uint64_t now = k * 4 * MS; // 1000 bytes: 2 Mb/s

		if (!dp_wire_send(&w, 1000, now, out))
			continue;
		assert_true(out[0] >= last + 8 * MS || !last);
		last = out[0];
		most = out[0] - now > most ? out[0] - now : most;
	}
	assert_in_range(w.packets - w.full, 4990, 5040);
	assert_true(most <= 10 * MS + 200 * MS + 8 * MS && most > 190 * MS);
	assert_int_equal(w.fate, DP_WIRE_FULL);
	/* lifted: what waits is gone ten times faster */
	dp_wire_conf(&w, &(struct dp_wire_conf){.rate_bps = 10000000}, 40000 * MS);
	assert_in_range(dp_wire_wait(&w, 40000 * MS), 15 * MS, 20 * MS);
	dp_wire_conf(&w, &(struct dp_wire_conf){0}, 40000 * MS);
	assert_int_equal(dp_wire_wait(&w, 40000 * MS), 0);
}

static void bursts(void **state)
{
	const struct dp_wire_conf c = {.rate_bps = 1000000, .burst_bytes = 10000};
	struct dp_wire w;
	uint64_t out[2], now = 1000 * MS;

	dp_wire_init(&w, &c, 1);
	for (unsigned k = 0; k < 10; k++) {
		assert_int_equal(dp_wire_send(&w, 1000, now, out), 1);
		assert_true(out[0] == now);
	}
	dp_wire_send(&w, 1000, now, out);
	assert_true(out[0] == now + 8 * MS);
	now += 48 * MS; // five of them have come back
	for (unsigned k = 0; k < 5; k++) {
		dp_wire_send(&w, 1000, now, out);
		assert_true(out[0] == now);
	}
	dp_wire_send(&w, 1000, now, out);
	assert_true(out[0] == now + 8 * MS);
}

static void order(void **state)
{
	struct dp_wire_conf c = {.delay_us = 20000, .jitter_us = 30000, .duplicate_ppm = 100000};
	struct dp_wire w;
	uint64_t out[2], last = 0, least = UINT64_MAX, most = 0, behind = 0;

	dp_wire_init(&w, &c, 3);
	for (uint64_t k = 0; k < N; k++) {
		dp_wire_send(&w, 100, k * 10 * MS, out);
		assert_true(out[0] >= last);
		last = out[0];
		least = out[0] - k * 10 * MS < least ? out[0] - k * 10 * MS : least;
		most = out[0] - k * 10 * MS > most ? out[0] - k * 10 * MS : most;
	}
	assert_true(least >= 20 * MS && least < 21 * MS && most < 50 * MS && most > 49 * MS);
	assert_in_range(w.duplicated, N / 10 - 600, N / 10 + 600);
	c = (struct dp_wire_conf){.reorder_ppm = 50000, .reorder_us = 25000};
	dp_wire_init(&w, &c, 3);
	last = 0;
	for (uint64_t k = 0; k < N; k++) {
		dp_wire_send(&w, 100, k * 10 * MS, out);
		behind += out[0] < last;
		last = out[0];
	}
	assert_in_range(w.reordered, N / 20 - 500, N / 20 + 500);
	assert_true(behind > w.reordered * 9 / 10 && behind <= w.reordered);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(repeats), cmocka_unit_test(losses), cmocka_unit_test(limits),
	    cmocka_unit_test(bursts),  cmocka_unit_test(order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
