/* Gap tracking on a virtual clock, with seeded loss and reordering. */
#include "dataplane/rtp/rtp.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000ull

static uint16_t out[DP_NACK_MAX];

static void gap_and_retry(void **state)
{
	struct dp_nack n = {0};

	assert_int_equal(dp_nack_seen(&n, 65534, 0), DP_NACK_NEXT);
	assert_int_equal(dp_nack_seen(&n, 2, 1 * MS), DP_NACK_NEXT); // 65535, 0, 1 missing
	assert_int_equal(dp_nack_due(&n, 5 * MS, 50000, out, 9), 0); // may be reordering yet
	assert_int_equal(dp_nack_due(&n, 6 * MS, 50000, out, 2), 2);
	assert_int_equal(out[0], 65535);
	assert_int_equal(out[1], 0);
	assert_int_equal(dp_nack_due(&n, 6 * MS, 50000, out, 9), 1); // what had no room
	assert_int_equal(out[0], 1);
	assert_int_equal(dp_nack_due(&n, 40 * MS, 50000, out, 9), 0);
	assert_int_equal(dp_nack_seen(&n, 0, 41 * MS), DP_NACK_RECOVERED);
	assert_int_equal(dp_nack_seen(&n, 0, 42 * MS), DP_NACK_OLD);
	assert_int_equal(dp_nack_seen(&n, 2, 42 * MS), DP_NACK_OLD);
	assert_int_equal(dp_nack_due(&n, 6 * MS + 61250000, 50000, out, 9), 2); // rtt * 9/8 + 5 ms
	assert_int_equal(out[0], 65535);
	assert_int_equal(out[1], 1);
	assert_int_equal(n.given_up, 0);
}

static void gives_up(void **state)
{
	struct dp_nack n = {0};
	unsigned asked = 0;

	dp_nack_seen(&n, 1, 0);
	dp_nack_seen(&n, 3, 0);
	for (unsigned ms = 0; ms < 500; ms++) // 10 tries at the shortest distance take 205 ms
		asked += dp_nack_due(&n, ms * MS, 1, out, 9);
	assert_int_equal(asked, DP_NACK_TRIES);
	assert_int_equal(n.given_up, 1);
	assert_int_equal(n.count, 0);
	assert_int_equal(dp_nack_seen(&n, 2, 600 * MS), DP_NACK_OLD);

	n = (struct dp_nack){0}; // by age, before the tries are used up
	dp_nack_seen(&n, 1, 0);
	dp_nack_seen(&n, 3, 0);
	for (unsigned ms = 0, k = 0; ms <= 1001; ms++) {
		k += dp_nack_due(&n, ms * MS, 250000, out, 9);
		if (ms == 1001)
			assert_int_equal(k, 4); // 5, 291, 577, 863 ms
	}
	assert_int_equal(n.given_up, 1);

	n = (struct dp_nack){0}; // a long way: three requests in any case
	dp_nack_seen(&n, 1, 0);
	dp_nack_seen(&n, 3, 0);
	for (unsigned ms = 0, k = 0; ms <= 2100; ms++) {
		k += dp_nack_due(&n, ms * MS, 600000, out, 9);
		if (ms == 2000)
			assert_int_equal(n.given_up, 0);
		if (ms == 2100)
			assert_int_equal(k, 3); // 5, 685, 1365 ms
	}
	assert_int_equal(n.given_up, 1);
}

/* One packet of three is lost and comes back an RTT after it was asked for; the RTT changes on the
 * way. */
static void measures_rtt(void **state)
{
	static const unsigned rtts[] = {40, 200, 30};
	struct dp_nack n = {0};
	unsigned ms = 0, seq = 0;

	for (unsigned k = 0; k < 3; k++) {
		static unsigned back[4096]; // ms at which a packet is answered
		unsigned asked = 0, lost = 0;

		memset(back, 0, sizeof(back));
		for (unsigned end = ms + 20000; ms < end; ms++) {
			if (ms % 5 == 0 && (++seq % 3))
				dp_nack_seen(&n, (uint16_t)seq, ms * MS);
			lost += ms % 5 == 0 && seq % 3 == 0;
			for (unsigned i = seq > 1000 ? seq - 1000 : 0; i < seq; i++)
				if (back[i % 4096] == ms && ms) {
					dp_nack_repaired(&n, (uint16_t)i, ms * MS);
					back[i % 4096] = 0;
				}
			for (uint32_t j = dp_nack_due(&n, ms * MS, 0, out, 64); j--; asked++) {
				unsigned *at = &back[dp_seq_extend(seq, out[j]) % 4096];

				if (!*at)
					*at = ms + rtts[k];
			}
		}
		assert_in_range(n.rtt_us, rtts[k] * 1000 - 2000, rtts[k] * 1000 + 2000);
		assert_in_range(asked, lost - 1, lost + 200); // the rest before it was learned
	}
	n.rtt_us = 0; // what was not asked for says nothing
	dp_nack_seen(&n, (uint16_t)(seq + 9), ms * MS);
	dp_nack_repaired(&n, (uint16_t)(seq + 8), (ms + 3) * MS);
	assert_int_equal(n.rtt_us, 0);
}

static void overflow(void **state)
{
	struct dp_nack n = {0};

	dp_nack_seen(&n, 0, 0);
	dp_nack_seen(&n, 200, 0); // 199 missing
	dp_nack_seen(&n, 301, 0); // 100 more: the 43 oldest are given up
	assert_int_equal(n.count, DP_NACK_MAX);
	assert_int_equal(n.given_up, 43);
	assert_int_equal(n.miss[0].seq, 44);
	dp_nack_seen(&n, 20302, 0); // 20000 more than fit
	assert_int_equal(n.count, DP_NACK_MAX);
	assert_int_equal(n.given_up, 43 + 20000);
	assert_int_equal(dp_nack_due(&n, 10 * MS, 0, out, DP_NACK_MAX), DP_NACK_MAX);
	assert_int_equal(out[0], 20302 - 256);
	assert_int_equal(out[DP_NACK_MAX - 1], 20301);
}

/* A sender of 100,000 packets, 2 ms apart, over a path that loses some, delays some, and answers
 * NACKs after an RTT with the same loss. Nearly all must come, none be asked for that came, and the
 * microsecond clock wraps within. */
static void lossy_path(void **state)
{
	enum { COUNT = 100000, RTT = 40, LOSS = 10 };
	static uint32_t arrive[COUNT], again[COUNT]; // ms; 0: never
	struct dp_nack n = {0};
	uint64_t base = (1ull << 32) * 1000 - 30000 * MS;
	unsigned missing = 0, asked = 0, wrong = 0, recovered = 0;

	srand(7);
	for (unsigned i = 0; i < COUNT; i++)
		arrive[i] = i && rand() % 100 < LOSS ? 0 : 20 + 2 * i + (rand() % 50 == 0) * 3;
	for (unsigned ms = 20; ms < 2 * COUNT + 2000; ms++) {
		unsigned lo = ms > 1500 ? (ms - 1500) / 2 : 0;

		for (unsigned i = lo; i < COUNT && 2 * i <= ms; i++) {
			if (arrive[i] == ms || again[i] == ms) {
				recovered +=
				    again[i] == ms &&
				    dp_nack_seen(&n, i, base + ms * MS) == DP_NACK_RECOVERED;
				if (arrive[i] == ms)
					dp_nack_seen(&n, i, base + ms * MS);
				arrive[i] = 1; // came
			}
		}
		for (unsigned k = dp_nack_due(&n, base + ms * MS, RTT * 1000, out, 64); k--;
		     asked++) {
			unsigned i = dp_seq_extend(ms / 2, out[k]);

			wrong += arrive[i] == 1;
			if (rand() % 100 >= LOSS)
				again[i] = ms + RTT;
		}
	}
	for (unsigned i = 0; i < COUNT; i++)
		missing += arrive[i] != 1;
	assert_int_equal(wrong, 0);
	assert_int_equal(missing, 0);
	assert_int_equal(n.given_up, 0);
	assert_in_range(recovered, COUNT * 9 / 100, COUNT * 11 / 100);
	/* asked once for each loss and again for the loss among the answers: 1 / (1 - p) times */
	assert_in_range(asked, recovered, recovered * 115 / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(gap_and_retry), cmocka_unit_test(gives_up),
	    cmocka_unit_test(measures_rtt),  cmocka_unit_test(overflow),
	    cmocka_unit_test(lossy_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
