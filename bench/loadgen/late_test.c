/* What the generator says of itself: whose fault it was that it was late, where a packet's stream
 * is, what an old browser would name in REMB. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "bench/loadgen/flows.h"
#include "bench/loadgen/late.h"
#include "bench/loadgen/remb.h"

enum { MS = 1000000 };
static const uint64_t S = 1000000000;

/* ---- late ---- */

static uint64_t cpu_ns;

static uint64_t cpu(void)
{
	return cpu_ns;
}

static void late_by_cause(void **state)
{
	struct lg_late l;

	cpu_ns = 7 * MS;
	lg_late_start(&l, 100 * MS, cpu);
	cpu_ns += 3 * MS;
	lg_late_turn(&l, LG_HANDSHAKE, 103 * MS, cpu); // it worked all the time
	assert_int_equal(l.row[LG_HANDSHAKE].longest_ns, 3 * MS);
	assert_int_equal(l.row[LG_HANDSHAKE].over, 1);
	lg_late_turn(&l, LG_SEND, 103 * MS + MS / 2, cpu); // short: whose it is does not matter
	assert_int_equal(l.row[LG_SEND].longest_ns, MS / 2);
	assert_int_equal(l.row[LG_SEND].over, 0);
	cpu_ns += MS;
	lg_late_turn(&l, LG_SEND, 123 * MS + MS / 2, cpu); // 20 ms, in which it ran for 1
	assert_int_equal(l.row[LG_SEND].longest_ns, MS / 2);
	assert_int_equal(l.row[LG_OFF_CPU].longest_ns, 20 * MS);
	assert_int_equal(l.row[LG_OFF_CPU].over_ns, 20 * MS);
	lg_late_restart(&l);
	cpu_ns += 2 * MS;
	lg_late_turn(&l, LG_SEND, 125 * MS + MS / 2, cpu);
	assert_int_equal(l.row[LG_OFF_CPU].longest_ns, 0);
	assert_int_equal(l.row[LG_SEND].longest_ns, 2 * MS);
}

/* Sleeping on purpose is not being kept from the CPU, oversleeping is. */
static void late_sleeps(void **state)
{
	struct lg_late l;

	cpu_ns = 0;
	lg_late_start(&l, 0, cpu);
	for (unsigned i = 1; i <= 4; i++)
		lg_late_slept(&l, MS, i * MS);
	cpu_ns = 2 * MS;
	lg_late_turn(&l, LG_RECEIVE, 6 * MS, cpu);
	assert_int_equal(l.row[LG_OFF_CPU].longest_ns, 0);
	assert_int_equal(l.row[LG_RECEIVE].longest_ns, 2 * MS);
	lg_late_slept(&l, MS, 16 * MS);
	assert_int_equal(l.row[LG_OFF_CPU].longest_ns, 9 * MS);
	assert_int_equal(l.row[LG_OFF_CPU].over, 1);
}

/* ---- flows ---- */

static void flows_find_their_own(void **state)
{
	enum { N = 5000 };
	static char stream[N];
	struct lg_flows f = {0};

	assert_null(lg_flow_find(&f, 0, 0));
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(
		    lg_flow_add(&f, i % 50, i * 77, (struct lg_stream *)(void *)&stream[i]), 0);
	for (uint32_t i = 0; i < N; i++) {
		assert_ptr_equal(lg_flow_find(&f, i % 50, i * 77), &stream[i]);
		assert_null(lg_flow_find(&f, i % 50 + 50, i * 77)); // another's SSRC
	}
	assert_int_equal(f.n, N);
	assert_true(2 * f.n <= f.mask + 1);
	lg_flow_close(&f);
}

/* ---- REMB ---- */

static int32_t stamp(uint64_t ns)
{
	return (int32_t)(ns % (64 * S) * (1 << 18) / S);
}

/* A second's packets, each delay_ns on its way; the bound behind them. */
static uint64_t second(struct lg_remb *r, uint64_t *now, unsigned n, uint64_t delay_ns,
                       uint64_t lost)
{
	static uint64_t packets;

	if (!r->since_ns) {
		packets = 0;
		lg_remb_packet(r, 0, -1, *now);
	}
	for (unsigned i = 0; i < n; i++) {
		*now += S / n;
		lg_remb_packet(r, 1250, stamp(*now - delay_ns), *now);
	}
	packets += n;
	return lg_remb_bound(r, packets, lost, 20000000, *now);
}

static void remb_grows_and_falls(void **state)
{
	struct lg_remb r = {0};
	uint64_t now = 60 * S, bps; // send times begin anew in between

	assert_int_equal(lg_remb_bound(&r, 0, 0, 20000000, now), 0);
	bps = second(&r, &now, 100, 30 * MS, 0); // 1 Mbit/s
	assert_in_range(bps, 1499000, 1500000);
	bps = second(&r, &now, 50, 30 * MS, 0);
	assert_in_range(bps, 1499000, 1500000); // does not fall for want of packets
	for (unsigned i = 0; i < 5; i++)
		bps = second(&r, &now, 200, 30 * MS, 0);
	assert_in_range(bps, 2999000, 3000000);
	assert_false(r.congested);
	bps = second(&r, &now, 200, 80 * MS, 0); // a queue of 50 ms
	assert_true(r.congested);
	assert_in_range(bps, 1699000, 1700000);
	bps = second(&r, &now, 170, 30 * MS, 0);
	assert_in_range(bps, 1834000, 1836000); // 8 %
	bps = second(&r, &now, 170, 30 * MS, 3);
	assert_false(r.congested); // 3 of 173
	bps = second(&r, &now, 170, 30 * MS, 10);
	assert_true(r.congested);
	assert_in_range(bps, 1444000, 1445000);
}

static void remb_bounds(void **state)
{
	struct lg_remb r = {0};
	uint64_t now = S, bps;

	bps = second(&r, &now, 3000, MS, 0); // 30 Mbit/s
	assert_int_equal(bps, 20000000);
	bps = second(&r, &now, 1, 100 * MS, 0);
	assert_int_equal(bps, LG_REMB_LEAST);
	assert_int_equal(lg_remb_bound(&r, 3001, 0, 20000000, now + S), LG_REMB_LEAST);
}

/* Then only loss tells. */
static void remb_without_send_times(void **state)
{
	struct lg_remb r = {0};

	lg_remb_packet(&r, 1250, -1, S);
	for (unsigned i = 1; i <= 10; i++)
		lg_remb_packet(&r, 12500, -1, S + i * (S / 10));
	assert_in_range(lg_remb_bound(&r, 11, 0, 20000000, 2 * S), 1510000, 1520000);
	assert_false(r.congested);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(late_by_cause),        cmocka_unit_test(late_sleeps),
	    cmocka_unit_test(flows_find_their_own), cmocka_unit_test(remb_grows_and_falls),
	    cmocka_unit_test(remb_bounds),          cmocka_unit_test(remb_without_send_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
