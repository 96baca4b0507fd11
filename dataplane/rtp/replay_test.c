/* Windows against a model that simply remembers everything, and the tables of RFC 3711. */
#include "dataplane/rtp/rtp.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t rng = 1;

static uint32_t rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 17;
	rng ^= rng << 5;
	return rng;
}

/* RFC 3711 appendix A, as it is written there. */
static int64_t guess_by_the_book(uint32_t roc, uint16_t s_l, uint16_t seq)
{
	int64_t v;

	if (s_l < 32768)
		v = (int)seq - s_l > 32768 ? (int64_t)roc - 1 : roc;
	else
		v = s_l - 32768 > seq ? (int64_t)roc + 1 : roc;
	return v * 65536 + seq;
}

static void index_guess(void **state)
{
	static const uint16_t edge[] = {0, 1, 2, 100, 32766, 32767, 32768, 32769, 65534, 65535};
	struct sh_rx_crypto c = {.started = 1};

	for (unsigned r = 0; r < 3; r++)
		for (unsigned i = 0; i < 10; i++)
			for (unsigned j = 0; j < 10; j++) {
				int64_t want = guess_by_the_book(r, edge[i], edge[j]);
				uint64_t got;

				c.index = (uint64_t)r << 16 | edge[i];
				got = dp_srtp_index_guess(&c, edge[j]);
				/* exactly 2^15 apart is a tie; the book breaks it by the half that
				 * s_l is in */
				if ((uint16_t)(edge[i] - edge[j]) == 32768)
					continue;
				if (want < 0)
					assert_true(got == UINT64_MAX);
				else
					assert_true(got == (uint64_t)want);
			}
	c.started = 0;
	c.index = 0;
	assert_true(dp_srtp_index_guess(&c, 65535) == 65535);
}

static void table(void **state)
{
	static const struct {
		uint64_t index;
		int err;
	} row[] = {
	    {5000, 0},
	    {5000, -EALREADY},
	    {4999, 0},
	    {4999, -EALREADY},
	    {3977, 0},
	    {3976, -ESTALE},
	    {6000, 0},
	    {5000, -EALREADY},
	    {5001, 0},
	    {4977, 0},
	    {4976, -ESTALE},
	    {6000, -EALREADY},
	    {7024, 0},
	    {6000, -ESTALE},
	    {6001, 0},
	    {100000, 0},
	    {98977, 0},
	    {98976, -ESTALE},
	    {99999, 0},
	    {UINT64_MAX, -ESTALE},
	    {1ull << 48, -EOVERFLOW},
	    {(1ull << 48) - 1, 0},
	    {(1ull << 48) - 1, -EALREADY},
	};
	struct sh_rx_crypto c = {0};

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct sh_rx_crypto before = c;
		int err = dp_replay_check(&c, row[i].index);

		assert_memory_equal(&c, &before, sizeof(c));
		if (err != row[i].err)
			fail_msg("row %u: %d", i, err);
		assert_int_equal(dp_replay_commit(&c, row[i].index), err);
		if (err)
			assert_memory_equal(&c, &before, sizeof(c));
	}
}

static void against_memory(void **state)
{
	static uint8_t seen[1 << 22];
	struct sh_rx_crypto c = {0};
	uint64_t newest = 0, accepted = 0;

	for (unsigned i = 0; i < 400000; i++) {
		uint64_t at = newest + 20, back = rnd() % 1200;
		int want;

		/* mostly near the front, at times a jump across words and across the window */
		if (rnd() % 1000 == 0)
			at += rnd() % 3000;
		at -= back < at ? back : 0;
		if (at >= sizeof(seen))
			break;
		want = i == 0 || at > newest           ? 0
		       : newest - at >= SH_REPLAY_BITS ? -ESTALE
		       : seen[at]                      ? -EALREADY
		                                       : 0;
		assert_int_equal(dp_replay_check(&c, at), want);
		assert_int_equal(dp_replay_commit(&c, at), want);
		if (want)
			continue;
		seen[at] = 1;
		accepted++;
		newest = at > newest ? at : newest;
		assert_true(c.index == newest);
	}
	assert_true(accepted > 100000);
}

static void wraps_with_loss(void **state)
{
	struct sh_rx_crypto c = {0};
	uint64_t sent = 60000;

	for (unsigned i = 0; i < 200000; i++, sent += 1 + rnd() % 40) {
		uint64_t g = dp_srtp_index_guess(&c, (uint16_t)sent);

		assert_true(g == sent);
		assert_int_equal(dp_replay_commit(&c, g), 0);
	}
	assert_true(sent >> 16 > 30);
}

static void srtcp_each_ssrc(void **state)
{
	struct sh_endpoint *e = calloc(1, sizeof(*e));

	/* two senders of one browser with the same indexes */
	for (uint32_t i = 0; i < 300; i++) {
		assert_int_equal(dp_replay_rtcp_check(e, 111, i), 0);
		assert_int_equal(dp_replay_rtcp_commit(e, 111, i), 0);
		assert_int_equal(dp_replay_rtcp_commit(e, 222, i), 0);
		assert_int_equal(dp_replay_rtcp_check(e, 111, i), -EALREADY);
		assert_int_equal(dp_replay_rtcp_commit(e, 222, i), -EALREADY);
	}
	assert_int_equal(dp_replay_rtcp_check(e, 111, 299 - 63), -EALREADY);
	assert_int_equal(dp_replay_rtcp_check(e, 111, 299 - 64), -ESTALE);
	assert_int_equal(dp_replay_rtcp_check(e, 111, 1u << 31), -EOVERFLOW);
	/* more SSRCs than there is room: the longest silent one goes, an active one stays */
	for (uint32_t s = 0; s < SH_SRTCP_SSRCS; s++) {
		assert_int_equal(dp_replay_rtcp_commit(e, 1000 + s, 7), 0);
		assert_int_equal(dp_replay_rtcp_commit(e, 111, 300 + s), 0);
	}
	assert_int_equal(dp_replay_rtcp_check(e, 111, 300), -EALREADY);
	assert_int_equal(dp_replay_rtcp_check(e, 1000 + SH_SRTCP_SSRCS - 1, 7), -EALREADY);
	assert_int_equal(dp_replay_rtcp_check(e, 222, 299), 0);
	free(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(index_guess),     cmocka_unit_test(table),
	    cmocka_unit_test(against_memory),  cmocka_unit_test(wraps_with_loss),
	    cmocka_unit_test(srtcp_each_ssrc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
