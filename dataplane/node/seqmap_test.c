#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>
#include "dataplane/node/seqmap.h"

struct run {
	struct dp_seqmap m;
	struct sh_sub s;
	struct dp_seqmap_in in;
	uint64_t index;
	uint32_t ts;
};

static void begin(struct run *r)
{
	memset(r, 0, sizeof(*r));
	r->in = (struct dp_seqmap_in){.ssrc = 1, .clock_hz = 90000, .now_ns = 1000000000};
}

static int put(struct run *r, uint64_t index, bool start)
{
	r->in.index = index;
	r->in.ts = (uint32_t)index * 3000;
	r->in.start = start;
	return dp_seqmap_out(&r->m, &r->s, &r->in, 100, &r->index, &r->ts);
}

static void in_order_with_gaps(void **state)
{
	struct run r;

	begin(&r);
	assert_int_equal(put(&r, 65530, true), 0);
	assert_int_equal(r.index, 101);
	assert_int_equal(put(&r, 65531, false), 0);
	assert_int_equal(r.index, 102);
	assert_int_equal(put(&r, 65540, false), 0); // a gap stays one
	assert_int_equal(r.index, 111);
	assert_int_equal(put(&r, 65535, false), 0); // and is filled later
	assert_int_equal(r.index, 106);
	assert_int_equal(r.s.tx_index, 111);
	assert_int_equal(put(&r, 65529, false), -ESTALE); // before our first
	assert_int_equal(r.s.tx_index, 111);
}

static void layers_follow_each_other(void **state)
{
	struct run r;
	const struct dp_segment *g;

	begin(&r);
	put(&r, 1000, true);
	put(&r, 1001, false);
	r.in.layer = 2;
	r.in.ssrc = 3;
	r.in.now_ns += 100000000;
	assert_int_equal(put(&r, 50, true), 0);
	assert_int_equal(r.index, 103);
	assert_int_equal(r.ts, 1001 * 3000 + 9000); // 100 ms later
	assert_int_equal(put(&r, 52, false), 0);
	assert_int_equal(r.index, 105);
	assert_int_equal(r.ts, 1001 * 3000 + 9000 + 6000);
	assert_int_equal(put(&r, 49, false),
	                 -ESTALE); // of the new layer, from before its key frame
	// what is asked for again is found where it came from
	g = dp_seqmap_find(&r.m, r.s.tx_index, 102);
	assert_non_null(g);
	assert_int_equal(102 - g->offset, 1001);
	assert_int_equal(g->layer, 0);
	g = dp_seqmap_find(&r.m, r.s.tx_index, 103);
	assert_int_equal(103 - g->offset, 50);
	assert_int_equal(g->layer, 2);
	assert_null(dp_seqmap_find(&r.m, r.s.tx_index, 106));
	assert_null(dp_seqmap_find(&r.m, r.s.tx_index, 100));
	// a packet that the switch overtook
	r.in.layer = 0;
	r.in.ssrc = 1;
	assert_int_equal(put(&r, 1001, false), 0);
	assert_int_equal(r.index, 102);
	assert_int_equal(r.s.tx_index, 105);
}

static void known_timestamp_is_taken(void **state)
{
	struct run r;
	uint32_t want = 123456;

	begin(&r);
	put(&r, 1000, true);
	r.in.layer = 1;
	r.in.ts_out = &want;
	put(&r, 7, true);
	assert_int_equal(r.ts, 123456);
}

static void pause_of_one_stream(void **state)
{
	struct run r;
	uint32_t ts;

	begin(&r);
	put(&r, 10, true);
	ts = r.ts;
	assert_int_equal(put(&r, 500, true), 0); // the same stream again
	assert_int_equal(r.index, 102);
	assert_int_equal(r.ts, ts + 490 * 3000); // its clock never stopped
}

static void skipped_leave_no_gap(void **state)
{
	struct run r;

	begin(&r);
	put(&r, 10, true);
	for (uint64_t i = 11; i < 60; i++)
		dp_seqmap_skip(&r.m, &r.s, i, 1, 0);
	assert_int_equal(put(&r, 60, false), 0);
	assert_int_equal(r.index, 102);
	assert_int_equal(r.m.count, 2);
	dp_seqmap_skip(&r.m, &r.s, 62, 1, 0); // behind a gap: unknown, so the gap stays
	assert_int_equal(put(&r, 63, false), 0);
	assert_int_equal(r.index, 105);
	assert_int_equal(60, 102 - dp_seqmap_find(&r.m, r.s.tx_index, 102)->offset);
	assert_int_equal(10, 101 - dp_seqmap_find(&r.m, r.s.tx_index, 101)->offset);
}

static void restart_of_publisher(void **state)
{
	struct run r;

	begin(&r);
	put(&r, 10, true);
	r.in.ssrc = 2;
	assert_int_equal(put(&r, 40000, false), 0);
	assert_int_equal(r.index, 102);
	assert_int_equal(put(&r, 40000 + 20000, false), 0); // the same SSRC far ahead
	assert_int_equal(r.index, 103);
	assert_int_equal(put(&r, 5, false), 0); // and far behind: new keys, roll-over counter zero
	assert_int_equal(r.index, 104);
}

static void restart_of_ours(void **state)
{
	struct run r;
	struct sh_sub slab;

	begin(&r);
	put(&r, 10, true);
	put(&r, 11, false);
	slab = r.s;
	begin(&r);
	r.s = slab;
	assert_int_equal(put(&r, 13, false), 0); // 12 was lost while we were away
	assert_int_equal(r.index, 104);
	assert_int_equal(r.ts, 13 * 3000);
	assert_null(dp_seqmap_find(&r.m, r.s.tx_index, 102)); // its packet is gone with us
	// the keys are new, our roll-over counter zero again
	r.s.tx_index += 65536;
	r.s.seq_offset += 65536;
	memset(&r.m, 0, sizeof(r.m));
	assert_int_equal(put(&r, 14, false), 0);
	assert_int_equal(r.index, 65536 + 105);
	r.s.tx_index -= 65536;
	r.s.seq_offset -= 65536;
	assert_int_equal(put(&r, 15, false), 0);
	assert_int_equal(r.index, 106);
}

/* Whatever comes in, no index of ours is used twice, and every one found again maps back to its
 * packet. */
static void no_index_twice(void **state)
{
	enum { N = 200000 };
	uint8_t *used = calloc(N * 4, 1);
	uint64_t next[3] = {100, 70000, 5};
	uint64_t seen[3][64]; // late ones may come once
	struct run r;
	unsigned layer = 0, late_n = 0;

	assert_non_null(used);
	srand(7);
	begin(&r);
	for (unsigned i = 0; i < N; i++) {
		bool start = !i;
		uint64_t index;

		if (rand() % 500 == 0) {
			layer = (unsigned)rand() % 3;
			start = true;
		}
		if (late_n && rand() % 4 == 0) {
			index = seen[layer][--late_n]; // a hole, filled late
			start = false;
		} else {
			index = next[layer]++;
			if (rand() % 20 == 0 && late_n < 64) {
				for (unsigned l = 0; l < 3; l++)
					seen[l][late_n] = l == layer ? index : next[l]++;
				late_n++;
				index = next[layer]++;
			}
		}
		r.in.layer = (uint8_t)layer;
		r.in.ssrc = layer + 1;
		if (!start && rand() % 50 == 0) {
			dp_seqmap_skip(&r.m, &r.s, index, layer + 1, (uint8_t)layer);
			continue;
		}
		if (put(&r, index, start))
			continue;
		assert_true(r.index < N * 4);
		assert_int_equal(used[r.index], 0);
		used[r.index] = 1;
		assert_int_equal(r.index - dp_seqmap_find(&r.m, r.s.tx_index, r.index)->offset,
		                 index);
		assert_int_equal(dp_seqmap_find(&r.m, r.s.tx_index, r.index)->layer, layer);
	}
	free(used);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(in_order_with_gaps),       cmocka_unit_test(layers_follow_each_other),
	    cmocka_unit_test(known_timestamp_is_taken), cmocka_unit_test(pause_of_one_stream),
	    cmocka_unit_test(skipped_leave_no_gap),     cmocka_unit_test(restart_of_publisher),
	    cmocka_unit_test(restart_of_ours),          cmocka_unit_test(no_index_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
