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
	struct dp_drops drops[DP_DROPS_MAPS];
	uint64_t theirs;
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
	g = dp_seqmap_find(&r.m, r.drops, r.s.tx_index, 102, &r.theirs);
	assert_non_null(g);
	assert_int_equal(102 - g->offset, 1001);
	assert_int_equal(g->layer, 0);
	g = dp_seqmap_find(&r.m, r.drops, r.s.tx_index, 103, &r.theirs);
	assert_int_equal(103 - g->offset, 50);
	assert_int_equal(g->layer, 2);
	assert_null(dp_seqmap_find(&r.m, r.drops, r.s.tx_index, 106, &r.theirs));
	assert_null(dp_seqmap_find(&r.m, r.drops, r.s.tx_index, 100, &r.theirs));
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
	assert_int_equal(60,
	                 102 - dp_seqmap_find(&r.m, r.drops, r.s.tx_index, 102, &r.theirs)->offset);
	assert_int_equal(10,
	                 101 - dp_seqmap_find(&r.m, r.drops, r.s.tx_index, 101, &r.theirs)->offset);
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
	assert_null(dp_seqmap_find(&r.m, r.drops, r.s.tx_index, 102,
	                           &r.theirs)); // its packet is gone with us
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
		assert_int_equal(
		    r.index -
		        dp_seqmap_find(&r.m, r.drops, r.s.tx_index, r.index, &r.theirs)->offset,
		    index);
		assert_int_equal(
		    dp_seqmap_find(&r.m, r.drops, r.s.tx_index, r.index, &r.theirs)->layer, layer);
	}
	free(used);
}

static int put_skip(struct run *r, uint64_t index, bool picture)
{
	int how;

	r->in.drops = r->drops;
	r->in.skip = true;
	r->in.picture = picture;
	how = put(r, index, false);
	r->in.skip = r->in.picture = false;
	return how;
}

static uint64_t source(struct run *r, uint64_t index)
{
	uint64_t theirs = 0;

	assert_non_null(dp_seqmap_find(&r->m, r->drops, r->s.tx_index, index, &theirs));
	return theirs;
}

static void left_out_closes_up(void **state)
{
	static const uint64_t want[] = {10, 13, 14, 15, 17};
	struct run r;

	begin(&r);
	r.in.drops = r.drops;
	assert_int_equal(put(&r, 10, true), DP_SEQ_SEND); // 101
	assert_int_equal(put_skip(&r, 11, true), DP_SEQ_LEFT_OUT);
	assert_int_equal(put_skip(&r, 12, false), DP_SEQ_LEFT_OUT);
	assert_int_equal(put(&r, 14, false), DP_SEQ_SEND); // 13 is missing
	assert_int_equal(r.index, 103);
	assert_int_equal(put_skip(&r, 16, true), DP_SEQ_LEFT_OUT); // 15 is, too
	assert_int_equal(put(&r, 15, false), DP_SEQ_SEND); // newer than any sent, older than 16
	assert_int_equal(r.index, 104);
	assert_int_equal(r.s.tx_index, 104);
	assert_int_equal(put(&r, 17, false), DP_SEQ_SEND);
	assert_int_equal(r.index, 105);
	assert_int_equal(put(&r, 13, false), DP_SEQ_SEND); // finds its place
	assert_int_equal(r.index, 102);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(source(&r, 101 + i), want[i]);
	// to be left out, but its number is given away: sent empty, and known to be
	assert_int_equal(put(&r, 19, false), DP_SEQ_SEND);
	assert_int_equal(put_skip(&r, 18, true), DP_SEQ_EMPTY);
	assert_int_equal(r.index, 106);
	assert_true(dp_seqmap_was(&r.m.seg[0], r.drops, DP_DROPS_EMPTY, source(&r, 106)));
	assert_false(dp_seqmap_was(&r.m.seg[0], r.drops, DP_DROPS_EMPTY, source(&r, 107)));
	assert_int_equal(r.m.count, 1);
	// picture ids: by the pictures left out before each
	assert_int_equal(dp_seqmap_ids(&r.m.seg[0], r.drops, 10).pid, 0);
	assert_int_equal(dp_seqmap_ids(&r.m.seg[0], r.drops, 13).pid, 0x7fff);
	assert_int_equal(dp_seqmap_ids(&r.m.seg[0], r.drops, 19).pid, 0x7ffe);
}

/* The first thing that is left out comes late. */
static void first_left_out_is_late(void **state)
{
	struct run r;

	begin(&r);
	r.in.drops = r.drops;
	put(&r, 10, true);
	put(&r, 13, false);
	assert_int_equal(put_skip(&r, 12, false), DP_SEQ_EMPTY);
	assert_int_equal(r.index, 103);
	assert_int_equal(put_skip(&r, 11, false), -ESTALE); // before what is remembered
	assert_int_equal(put(&r, 14, false), DP_SEQ_SEND);
	assert_int_equal(r.index, 105);
	assert_int_equal(put_skip(&r, 15, false), DP_SEQ_LEFT_OUT);
	assert_int_equal(put(&r, 16, false), DP_SEQ_SEND);
	assert_int_equal(r.index, 106);
}

/* Marks are remembered, whether anything is left out or not. */
static void marks(void **state)
{
	struct run r;

	begin(&r);
	r.in.drops = r.drops;
	put(&r, 10, true);
	r.in.mark = true;
	put(&r, 11, false);
	r.in.mark = false;
	put(&r, 12, false);
	assert_int_equal(r.index, 103);
	assert_true(dp_seqmap_was(&r.m.seg[0], r.drops, DP_DROPS_MARKED, 11));
	assert_false(dp_seqmap_was(&r.m.seg[0], r.drops, DP_DROPS_MARKED, 10));
}

/* Ids go on over segments; late ones and those asked for again are those of their own. */
static void ids_go_on(void **state)
{
	struct dp_ids last = {0}, ids = {.pid = 0x7ffe, .tl0 = 255, .has = 0xff}, d;
	struct run r;
	uint64_t theirs;
	const struct dp_segment *g;

	begin(&r);
	r.in.ids = &ids;
	r.in.last = &last;
	put(&r, 10, true);
	d = dp_seqmap_ids(&r.m.seg[0], r.drops, 10);
	assert_int_equal(d.pid | d.tl0 | d.keyidx | d.frame, 0);
	last = ids;
	ids = (struct dp_ids){.pid = 77, .tl0 = 3, .keyidx = 30, .frame = 9, .has = 0xff};
	r.in.layer = 1;
	r.in.ssrc = 2;
	put(&r, 500, true);
	d = dp_seqmap_ids(&r.m.seg[0], r.drops, 500);
	assert_int_equal((d.pid + 77) & 0x7fff, 0x7fff);
	assert_int_equal((uint8_t)(d.tl0 + 3), 0);
	assert_int_equal((d.keyidx + 30) & 31, 1);
	assert_int_equal((uint16_t)(d.frame + 9), 1);
	g = dp_seqmap_find(&r.m, r.drops, r.s.tx_index, 101, &theirs);
	assert_int_equal(dp_seqmap_ids(g, r.drops, theirs).pid, 0);
	// a restart of ours finds them in the slab
	memset(&r.m, 0, sizeof(r.m));
	put(&r, 501, false);
	assert_int_equal(dp_seqmap_ids(&r.m.seg[0], r.drops, 501).pid, d.pid);
	assert_int_equal(dp_seqmap_ids(&r.m.seg[0], r.drops, 501).frame, d.frame);
}

/* Streams with layers left out, late and lost packets, switches: what is sent is numbered without a
 * hole but for what is still missing, no number twice, in the order of the input, and every one is
 * found again. */
static void layers_at_random(void **state)
{
	enum { N = 100000 };
	uint64_t *from = calloc(N * 2, sizeof(*from)), next[2] = {1000, 90000};
	uint64_t missing[16], start_out = 0;
	bool missing_skip[16];
	unsigned n_missing = 0, stream = 0, holes = 0;
	struct run r;

	assert_non_null(from);
	srand(11);
	begin(&r);
	r.in.drops = r.drops;
	for (unsigned i = 0; i < N; i++) {
		bool start = !i || rand() % 700 == 0, skip = !start && rand() % 100 < 40;
		uint64_t index;
		int how;

		if (start) {
			stream ^= 1;
			n_missing = 0;
			start_out = r.s.tx_index + 1;
		}
		r.in.layer = (uint8_t)stream;
		r.in.ssrc = stream + 1;
		if (n_missing && rand() % 3 == 0) {
			n_missing--;
			skip = missing_skip[n_missing];
			index = missing[n_missing];
			start = false;
		} else {
			if (!start && n_missing < 16 && rand() % 10 == 0) {
				missing_skip[n_missing] = skip;
				missing[n_missing++] = next[stream]++;
				skip = rand() % 2;
			}
			index = next[stream]++;
		}
		how = skip ? put_skip(&r, index, false) : put(&r, index, start);
		if (how == DP_SEQ_LEFT_OUT || how < 0) {
			holes += how < 0;
			continue;
		}
		assert_true(r.index < 2 * N);
		assert_int_equal(from[r.index], 0);
		from[r.index] = index;
		if (r.index > start_out)
			assert_true(!from[r.index - 1] || from[r.index - 1] < index);
		assert_int_equal(source(&r, r.index), index);
	}
	assert_in_range(holes, 0,
	                N / 100); // late ones to be left out, before the first map of a segment
	for (uint64_t k = r.s.tx_index > 500 ? r.s.tx_index - 500 : 1; k <= r.s.tx_index; k++)
		if (from[k] && dp_seqmap_find(&r.m, r.drops, r.s.tx_index, k, &r.theirs))
			assert_int_equal(r.theirs, from[k]);
	free(from);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(in_order_with_gaps),
	    cmocka_unit_test(layers_follow_each_other),
	    cmocka_unit_test(known_timestamp_is_taken),
	    cmocka_unit_test(pause_of_one_stream),
	    cmocka_unit_test(skipped_leave_no_gap),
	    cmocka_unit_test(restart_of_publisher),
	    cmocka_unit_test(restart_of_ours),
	    cmocka_unit_test(no_index_twice),
	    cmocka_unit_test(left_out_closes_up),
	    cmocka_unit_test(first_left_out_is_late),
	    cmocka_unit_test(marks),
	    cmocka_unit_test(ids_go_on),
	    cmocka_unit_test(layers_at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
