#include "dataplane/rtp/mos.h"
#include <stddef.h>
#include "shared/limits.h"

enum { R_DEFAULT = 9320 }; // hundredths

const struct dp_mos_codec *dp_mos_codec(unsigned codec)
{
	static const struct dp_mos_codec g711 = {0, 2510, 20}, wide = {0, 2510, 22},
	                                 opus = {0, 2000, 27};

	switch (codec) {
	case SH_CODEC_PCMU:
	case SH_CODEC_PCMA:
		return &g711;
	case SH_CODEC_G722:
		return &wide;
	case SH_CODEC_OPUS:
	case SH_CODEC_RED: // of Opus
		return &opus;
	default:
		return NULL;
	}
}

uint32_t dp_mos_idd(uint32_t ta_ms)
{
	/* 25 {(1 + X^6)^(1/6) - 3 (1 + (X/3)^6)^(1/6) + 2}, X = log2(Ta / 100): points of it, and
	 * straight lines between them, at most a quarter of a point of R beside it */
	static const struct {
		uint16_t ta, idd;
	} at[] = {
	    {100, 0},    {120, 0},     {140, 5},     {160, 39},    {180, 135},   {200, 304},
	    {220, 526},  {240, 769},   {260, 1014},  {280, 1251},  {300, 1476},  {330, 1789},
	    {360, 2072}, {400, 2407},  {450, 2764},  {500, 3064},  {600, 3525},  {700, 3850},
	    {800, 4083}, {1000, 4379}, {1300, 4607}, {1700, 4750}, {2200, 4834}, {3000, 4896},
	};
	enum { POINTS = sizeof(at) / sizeof(at[0]) };

	if (ta_ms <= at[0].ta)
		return 0;
	for (unsigned i = 1; i < POINTS; i++)
		if (ta_ms < at[i].ta)
			return at[i - 1].idd + (at[i].idd - at[i - 1].idd) *
			                           (ta_ms - at[i - 1].ta) /
			                           (at[i].ta - at[i - 1].ta);
	return at[POINTS - 1].idd;
}

uint32_t dp_mos_ie_eff(const struct dp_mos_codec *c, uint32_t lost)
{
	uint32_t ppl = lost * 10000 / 256; // hundredths of a percent

	return c->ie + (9500u - c->ie) * ppl / (ppl + c->bpl);
}

uint32_t dp_mos_of_r(int32_t r)
{
	int64_t m;

	if (r <= 0)
		return 1000;
	if (r >= 10000)
		return 4500;
	/* 1 + 0.035 R + R (R - 60) (100 - R) 7e-6 dips below 1 for small R, which Annex B does not
	 * mean */
	m = 1000 + (350000000ll * r + 7ll * r * (r - 6000) * (10000 - r)) / 1000000000;
	return m < 1000 ? 1000 : (uint32_t)m;
}

uint32_t dp_mos_delay_ms(const struct dp_mos_codec *c, const struct dp_mos_in *in)
{
	uint64_t us = in->rtt_us / 2 + 2 * (uint64_t)in->jitter_us;

	return c->delay_ms + (uint32_t)((us > 10000000 ? 10000000 : us) / 1000);
}

uint8_t dp_mos(const struct dp_mos_in *in)
{
	const struct dp_mos_codec *c = dp_mos_codec(in->codec);
	int32_t r;

	if (!c)
		return 0;
	r = R_DEFAULT - (int32_t)dp_mos_idd(dp_mos_delay_ms(c, in)) -
	    (int32_t)dp_mos_ie_eff(c, in->lost);
	return (uint8_t)((dp_mos_of_r(r) + 50) / 100);
}
