#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include "dataplane/rtp/mos.h"
#include "shared/limits.h"

/* G.107 Annex B, table B.1 (and G.109's categories), which gives hundredths. */
static void mos_of_r(void **state)
{
	static const struct {
		int32_t r;
		uint32_t mos; // hundredths
	} row[] = {
	    {-500, 100}, {0, 100},    {5000, 258}, {6000, 310},  {7000, 360},
	    {8000, 403}, {9000, 434}, {9320, 441}, {10000, 450}, {12000, 450},
	};
	uint32_t before = 0;

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		assert_true(abs((int)dp_mos_of_r(row[i].r) - (int)row[i].mos * 10) <= 10);
	for (int32_t r = 650; r <= 10000; r++) { // it grows with R
		assert_true(dp_mos_of_r(r) >= before);
		before = dp_mos_of_r(r);
	}
}

/* G.107 (3-27), (3-28). */
static double idd(double ta)
{
	double x = log(ta / 100) / log(2);

	return ta <= 100
	           ? 0
	           : 25 * (pow(1 + pow(x, 6), 1. / 6) - 3 * pow(1 + pow(x / 3, 6), 1. / 6) + 2);
}

static void delay(void **state)
{
	for (uint32_t ta = 0; ta <= 3000; ta++)
		assert_true(fabs(dp_mos_idd(ta) / 100. - idd(ta)) < 0.25);
	assert_int_equal(dp_mos_idd(100), 0);
	assert_true(dp_mos_idd(UINT32_MAX) >= dp_mos_idd(3000));
}

/* G.107 (3-29) with BurstR = 1. */
static void loss(void **state)
{
	static const uint8_t codecs[] = {SH_CODEC_PCMU, SH_CODEC_PCMA, SH_CODEC_G722, SH_CODEC_OPUS,
	                                 SH_CODEC_RED};

	for (unsigned i = 0; i < sizeof(codecs); i++) {
		const struct dp_mos_codec *c = dp_mos_codec(codecs[i]);

		for (uint32_t lost = 0; lost < 256; lost++) {
			double ppl = lost * 100. / 256, ie = c->ie / 100., bpl = c->bpl / 100.;

			assert_true(fabs(dp_mos_ie_eff(c, lost) / 100. -
			                 (ie + (95 - ie) * ppl / (ppl + bpl))) < 0.1);
		}
	}
	// G.711 with concealment (Bpl 25.1): 95 · 5 / 30.1 = 15.8 at 5 %
	assert_in_range(dp_mos_ie_eff(dp_mos_codec(SH_CODEC_PCMU), 13), 1580 - 30, 1580 + 30);
	assert_null(dp_mos_codec(SH_CODEC_NONE));
	assert_null(dp_mos_codec(SH_CODEC_TEL_EVENT));
	assert_null(dp_mos_codec(SH_CODEC_VP8));
	assert_null(dp_mos_codec(255));
}

static void streams(void **state)
{
	static const struct {
		struct dp_mos_in in;
		uint8_t mos;
	} row[] = {
	    {{SH_CODEC_PCMU, 0, 0, 0}, 44},           // R 93.2
	    {{SH_CODEC_OPUS, 0, 100000, 5000}, 44},   // Ta 87
	    {{SH_CODEC_PCMA, 13, 100000, 5000}, 39},  // R 93.2 - 15.9 = 77.3
	    {{SH_CODEC_OPUS, 13, 100000, 5000}, 38},  // R 93.2 - 19.2 = 74.0
	    {{SH_CODEC_PCMU, 0, 600000, 40000}, 36},  // Ta 400: R 69.1
	    {{SH_CODEC_PCMU, 13, 600000, 40000}, 27}, // R 53.2
	    {{SH_CODEC_G722, 51, 20000, 1000}, 26},   // Ppl 19.9: R 51.2
	    {{SH_CODEC_OPUS, 255, 0, 0}, 11},
	    {{SH_CODEC_OPUS, 255, UINT32_MAX, UINT32_MAX}, 10},
	    {{SH_CODEC_VP8, 0, 0, 0}, 0},
	};

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		const struct dp_mos_codec *c = dp_mos_codec(row[i].in.codec);
		double r, want;

		if (!c) {
			assert_int_equal(dp_mos(&row[i].in), 0);
			continue;
		}
		// as the Recommendation says it, in floating point
		r = row[i].in.lost * 100. / 256;
		r = 93.2 - idd(dp_mos_delay_ms(c, &row[i].in)) -
		    (c->ie / 100. + (95 - c->ie / 100.) * r / (r + c->bpl / 100.));
		want = r <= 0 ? 1 : 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6;
		want = want < 1 ? 1 : want;
		assert_true(fabs(dp_mos(&row[i].in) / 10. - want) <= 0.07);
		if (row[i].mos != dp_mos(&row[i].in))
			fail_msg("row %u: %u, not %u", i, dp_mos(&row[i].in), row[i].mos);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(mos_of_r),
	    cmocka_unit_test(delay),
	    cmocka_unit_test(loss),
	    cmocka_unit_test(streams),
	};

	return cmocka_run_group_tests_name("mos", tests, NULL, NULL);
}
