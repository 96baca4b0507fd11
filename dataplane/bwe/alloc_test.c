/* The allocator: who gets what of how much. */
#include "dataplane/bwe/alloc.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define S 1000000000ull

/* What a camera at 720p sends: 3 simulcast qualities, 3 temporal layers. */
static const uint32_t camera[SH_MAX_LAYERS][SH_MAX_TEMPORAL] = {
    {60000, 40000, 50000}, {200000, 130000, 170000}, {700000, 450000, 550000}};
static const uint32_t voice[SH_MAX_LAYERS][SH_MAX_TEMPORAL] = {{43200}};
enum { L0 = 159375, L1 = 531250, L2 = 1806250, VOICE = 60800 }; // with headers

static struct dp_alloc_sub video(void)
{
	return (struct dp_alloc_sub){.kind = SH_KIND_VIDEO,
	                             .active = 7,
	                             .temporals = 3,
	                             .max_layer = 2,
	                             .max_temporal = 3,
	                             .layer = DP_ALLOC_NONE,
	                             .height = {180, 360, 720},
	                             .rate_bps = camera};
}

static struct dp_alloc_sub audio(void)
{
	return (struct dp_alloc_sub){
	    .kind = SH_KIND_AUDIO, .active = 1, .layer = DP_ALLOC_NONE, .rate_bps = voice};
}

/* Again with what came out as what was sent. */
static void again(struct dp_alloc *a, struct dp_alloc_sub *s, uint32_t n, uint32_t budget,
                  uint64_t now)
{
	for (uint32_t i = 0; i < n; i++) {
		s[i].layer = s[i].want_layer;
		s[i].temporal = s[i].want_temporal;
	}
	dp_alloc_run(a, s, n, budget, 0, now);
}

static void one_video(void **state)
{
	static const struct {
		uint32_t budget, layer, temporal;
	} row[] = {
	    {0, 2, 2},
	    {5000000, 2, 2},
	    {2040000, 2, 2},
	    {2020000, 2, 1},
	    {1380000, 2, 1},
	    {1360000, 1, 2},
	    {600000, 1, 2},
	    {590000, 1, 1},
	    {400000, 1, 1},
	    {390000, 0, 2},
	    {180000, 0, 2},
	    {175000, 0, 1},
	    {115000, 0, 0},
	    {72000, 0, 0},
	    {71000, DP_ALLOC_NONE, 0},
	    {1, DP_ALLOC_NONE, 0},
	    {UINT32_MAX, 2, 2},
	};

	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct dp_alloc_sub s = video();
		struct dp_alloc a = {0};

		dp_alloc_run(&a, &s, 1, row[i].budget, 0, S);
		assert_int_equal(s.want_layer, row[i].layer);
		assert_int_equal(s.want_temporal, row[i].temporal);
		assert_int_equal(s.ideal_layer, 2);
		assert_int_equal(a.wanted_bps, L2);
		assert_int_equal(a.allocated_bps, s.cost_bps);
		assert_int_equal(a.paused, row[i].layer == DP_ALLOC_NONE);
		assert_true(!row[i].budget || s.cost_bps + s.cost_bps / 8 <= row[i].budget);
		if (row[i].layer != 2 || row[i].temporal != 2) {
			uint32_t need = a.next_bps; // and with that it does rise

			assert_true(need > row[i].budget);
			again(&a, &s, 1, need, 2 * S);
			assert_true(s.want_layer != row[i].layer ||
			            s.want_temporal != row[i].temporal);
		}
	}
}

/* On trial: the first picture whatever it costs, more up to twice the budget, none while one is on
 * trial, and nothing but lowest steps. */
static void dare(void **state)
{
	struct dp_alloc_sub s[3] = {video(), video(), video()};
	struct dp_alloc a = {0};

	for (unsigned i = 0; i < 3; i++)
		s[i].active = 4;
	s[1].priority = 1;
	dp_alloc_run(&a, s, 3, 600000, 0, S);
	assert_int_equal(a.paused, 3);
	assert_int_equal(a.dared, 0);
	a.dare = 1;
	dp_alloc_run(&a, s, 3, 600000, 0, S);
	assert_int_equal(a.dared, 1);
	assert_int_equal(a.paused, 2);
	assert_int_equal(s[1].want_layer, 2);
	assert_int_equal(s[1].want_temporal, 0);
	a.unproven = 1;
	again(&a, s, 3, 600000, 2 * S); // 0.74 Mb/s: no more than that one
	assert_int_equal(a.paused, 2);
	assert_int_equal(a.dared, 0);
	again(&a, s, 3, 1000000, 3 * S); // and one more, to twice the budget
	assert_int_equal(a.paused, 1);
	assert_int_equal(a.dared, 1);
	a.dare = a.unproven = 0;
	again(&a, s, 3, 600000, 4 * S);
	assert_int_equal(a.paused, 3);
}

static void limits(void **state)
{
	struct dp_alloc_sub s = video();
	struct dp_alloc a = {0};

	s.want_height = 180;
	dp_alloc_run(&a, &s, 1, 0, 0, S);
	assert_int_equal(s.want_layer, 0);
	s.want_height = 200; // the first that reaches it
	dp_alloc_run(&a, &s, 1, 0, 0, S);
	assert_int_equal(s.want_layer, 1);
	assert_int_equal(a.wanted_bps, L1);
	s.want_height = 4000;
	s.max_temporal = 1;
	dp_alloc_run(&a, &s, 1, 0, 0, S);
	assert_true(s.want_layer == 2 && s.want_temporal == 1);
	s.max_layer = 1;
	dp_alloc_run(&a, &s, 1, 0, 0, S);
	assert_true(s.want_layer == 1);
	s.active = 4; // only the one above the limit is there: better than none
	dp_alloc_run(&a, &s, 1, 0, 0, S);
	assert_int_equal(s.want_layer, 2);
	s.active = 5; // the middle one is paused by its publisher
	s.max_layer = 2;
	dp_alloc_run(&a, &s, 1, 600000, 0, S);
	assert_true(s.want_layer == 0 && s.want_temporal == 1);
	s.active = 0;
	dp_alloc_run(&a, &s, 1, 0, 0, S);
	assert_true(s.want_layer == DP_ALLOC_NONE && a.paused == 0 && a.wanted_bps == 0);
	s.active = 7;
	s.off = 1;
	dp_alloc_run(&a, &s, 1, 0, 0, S);
	assert_true(s.want_layer == DP_ALLOC_NONE && a.paused == 0 && a.wanted_bps == 0);
	/* unknown rates and heights: a guess, and all that is there */
	s = video();
	s.rate_bps = NULL;
	memset(s.height, 0, sizeof(s.height));
	s.want_height = 100;
	dp_alloc_run(&a, &s, 1, 0, 0, S);
	assert_true(s.want_layer == 2 && a.wanted_bps > 1500000);
	s.temporals = 0;
	dp_alloc_run(&a, &s, 1, 600000, 0, S);
	assert_true(s.want_layer == 1 && s.want_temporal == 0);
}

static void scalable(void **state)
{
	struct dp_alloc_sub s = video();
	struct dp_alloc a = {0};

	s.svc = 1; // a quality needs those below it
	dp_alloc_run(&a, &s, 1, 0, 0, S);
	assert_int_equal(a.allocated_bps, 2350000 + 2350000 / 16);
	s.layer = DP_ALLOC_NONE;
	dp_alloc_run(&a, &s, 1, 600000, 0, S);
	assert_true(s.want_layer == 1 && s.want_temporal == 1);
	/* losses cost retransmissions */
	s = video();
	dp_alloc_run(&a, &s, 1, 0, 26, S);
	assert_in_range(a.allocated_bps, L2 * 1.11, L2 * 1.12);
}

/* A switch whose key frame takes the link for longer than 300 ms is made for all of the quality
 * only. */
static void dear_key_frames(void **state)
{
	static const uint32_t keys[SH_MAX_LAYERS] = {8000, 17000, 60000};
	struct dp_alloc_sub s = video();
	struct dp_alloc a = {0};

	s.layer = 0;
	s.temporal = 2;
	dp_alloc_run(&a, &s, 1, 430000, 0, S); // 7 frames a second of quality 1 would fit
	assert_true(s.want_layer == 1 && s.want_temporal == 1);
	s.key_bytes = keys;
	a = (struct dp_alloc){0};
	dp_alloc_run(&a, &s, 1, 430000, 0, S); // 136 kbit of key frame: 316 ms
	assert_true(s.want_layer == 0 && s.want_temporal == 2);
	assert_int_equal(a.next_bps, L1 + L1 / 8);
	dp_alloc_run(&a, &s, 1, 460000, 0, 2 * S); // 296 ms
	assert_true(s.want_layer == 1 && s.want_temporal == 1);
	a = (struct dp_alloc){0};
	dp_alloc_run(&a, &s, 1, L1 + L1 / 8 + 100, 0, 3 * S);
	assert_true(s.want_layer == 1 && s.want_temporal == 2);
	/* what it has it keeps, and the lowest is never dear */
	s.layer = 1;
	s.temporal = 1;
	a = (struct dp_alloc){0};
	dp_alloc_run(&a, &s, 1, 380000, 0, 4 * S);
	assert_true(s.want_layer == 1 && s.want_temporal == 1);
	s.layer = DP_ALLOC_NONE;
	a = (struct dp_alloc){0};
	dp_alloc_run(&a, &s, 1, 100000, 0, 5 * S);
	assert_true(s.want_layer == 0 && s.want_temporal == 0);
}

static void audio_first(void **state)
{
	struct dp_alloc_sub s[3] = {video(), audio(), audio()};
	struct dp_alloc a = {0};

	dp_alloc_run(&a, s, 3, 50000, 0, S); // not even the audio fits: it is sent
	assert_true(s[0].want_layer == DP_ALLOC_NONE && s[1].want_layer == 0 &&
	            s[2].want_layer == 0);
	assert_int_equal(a.allocated_bps, 2 * VOICE);
	assert_int_equal(a.paused, 1);
	dp_alloc_run(&a, s, 3, 2 * VOICE + 90000, 0, 10 * S);
	assert_int_equal(s[0].want_layer, 0);
	s[2].off = 1;
	dp_alloc_run(&a, s, 3, 2 * VOICE, 0, 20 * S);
	assert_int_equal(a.allocated_bps, VOICE);
}

static void ranks(void **state)
{
	struct dp_alloc_sub s[4] = {video(), video(), video(), video()};
	struct dp_alloc a = {0};

	/* equal ones share step by step: none gets the next before all have this one */
	dp_alloc_run(&a, s, 4, 4 * L1 * 9 / 8 + 10, 0, S);
	for (unsigned i = 0; i < 4; i++)
		assert_true(s[i].want_layer == 1 && s[i].want_temporal == 2);
	dp_alloc_run(&a, s, 4, 4 * L0 * 9 / 8 + 10, 0, S);
	for (unsigned i = 0; i < 4; i++)
		assert_true(s[i].want_layer == 0 && s[i].want_temporal == 2);
	/* too little for all: the first ones in the array */
	dp_alloc_run(&a, s, 4, 150000, 0, S);
	assert_true(s[0].want_layer == 0 && s[1].want_layer == 0 &&
	            s[2].want_layer == DP_ALLOC_NONE);
	assert_int_equal(a.paused, 2);
	/* the speaker is raised first, when all have their lowest */
	s[2].speaker = 1;
	dp_alloc_run(&a, s, 4, 1000000, 0, S);
	assert_true(s[2].want_layer == 1 && s[2].want_temporal == 2);
	for (unsigned i = 0; i < 4; i++)
		assert_true(i == 2 || (s[i].want_layer == 0));
	dp_alloc_run(&a, s, 4, 100000, 0, S);
	assert_true(s[2].want_layer == 0 && s[0].want_layer == DP_ALLOC_NONE);
	/* then priority */
	s[3].priority = 200;
	dp_alloc_run(&a, s, 4, 150000, 0, S);
	assert_true(s[2].want_layer == 0 && s[3].want_layer == 0 &&
	            s[0].want_layer == DP_ALLOC_NONE);
	dp_alloc_run(&a, s, 4, (L2 + L1) * 9 / 8 + 160000, 0, S);
	assert_true(s[2].want_layer == 2 && s[2].want_temporal == 2 && s[3].want_layer == 1 &&
	            s[0].want_layer == 0);
}

static void steady(void **state)
{
	struct dp_alloc_sub s = video();
	struct dp_alloc a = {0};
	unsigned changes = 0;
	uint8_t layer = DP_ALLOC_NONE, temporal = 0;

	/* a budget that wavers by 5 % around what a step costs with its headroom changes nothing,
	 * once it has it */
	srand(3);
	dp_alloc_run(&a, &s, 1, L1 * 1.15, 0, S);
	for (uint64_t i = 1; i < 1000; i++) {
		again(&a, &s, 1, (uint32_t)(L1 * (1.00 + rand() % 100 / 1000.)), S + i * S / 10);
		changes += s.want_layer != layer || s.want_temporal != temporal;
		layer = s.want_layer;
		temporal = s.want_temporal;
	}
	assert_int_equal(changes, 1);
	assert_true(layer == 1 && temporal == 2);
	/* down at once, up after a while only */
	again(&a, &s, 1, 200000, 200 * S);
	assert_int_equal(s.want_layer, 0);
	again(&a, &s, 1, 5000000, 201 * S);
	assert_int_equal(s.want_layer, 0);
	again(&a, &s, 1, 5000000, 201 * S + S / 2);
	assert_int_equal(s.want_layer, 2);
	/* raises that are taken back at once make it shy, until the link is another or time has
	 * passed */
	for (unsigned i = 0; i < 5; i++) {
		again(&a, &s, 1, 700000, 300 * S + i * 4 * S);
		again(&a, &s, 1, 200000, 302 * S + i * 4 * S);
	}
	again(&a, &s, 1, 700000, 330 * S);
	assert_true(s.want_layer == 1 && s.want_temporal == 1);
	again(&a, &s, 1, 5000000, 332 * S);
	assert_int_equal(s.want_layer, 2);
	/* a wish for less is no lack of bandwidth */
	s.want_height = 180;
	again(&a, &s, 1, 5000000, 410 * S);
	s.want_height = 0;
	again(&a, &s, 1, 5000000, 410 * S + 1);
	assert_int_equal(s.want_layer, 2);
}

/* Whatever comes in: within the budget, of layers that are there, audio never paused. */
static void anything(void **state)
{
	enum { N = 40 };

	srand(9);
	for (unsigned round = 0; round < 3000; round++) {
		static uint32_t rates[N][SH_MAX_LAYERS][SH_MAX_TEMPORAL];
		struct dp_alloc_sub s[N];
		struct dp_alloc a = {0};
		uint32_t n = 1 + rand() % N, budget = (uint32_t)rand() % 8000000 + 1, sound = 0;
		uint64_t total = 0;

		for (uint32_t i = 0; i < n; i++) {
			uint8_t *raw = (uint8_t *)&s[i];

			for (unsigned k = 0; k < sizeof(s[i]); k++)
				raw[k] = (uint8_t)rand();
			for (unsigned k = 0; k < SH_MAX_LAYERS * SH_MAX_TEMPORAL; k++)
				rates[i][k / SH_MAX_TEMPORAL][k % SH_MAX_TEMPORAL] =
				    rand() % 4 ? rand() % 500000 : 0;
			s[i].rate_bps = rates[i];
			s[i].key_bytes = i % 2 ? rates[i][0] : NULL;
			s[i].kind = rand() % 4 ? SH_KIND_VIDEO : SH_KIND_AUDIO;
			s[i].layer = rand() % 2 ? DP_ALLOC_NONE : rand() % 3;
		}
		dp_alloc_run(&a, s, n, budget, rand(), S);
		for (uint32_t i = 0; i < n; i++) {
			total += s[i].cost_bps;
			if (s[i].kind == SH_KIND_AUDIO) {
				sound += s[i].cost_bps;
				assert_int_equal(s[i].want_layer, s[i].off ? DP_ALLOC_NONE : 0);
			} else if (s[i].want_layer != DP_ALLOC_NONE) {
				assert_true(!s[i].off && s[i].active >> s[i].want_layer & 1);
				assert_true(s[i].want_layer <= s[i].ideal_layer);
				assert_true(s[i].want_temporal <= s[i].max_temporal);
			}
		}
		assert_int_equal(total, a.allocated_bps);
		assert_true(total <= (uint64_t)budget + budget / 16 || total == sound);
		assert_true(a.wanted_bps >= sound);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_video),       cmocka_unit_test(dare),
	    cmocka_unit_test(limits),          cmocka_unit_test(scalable),
	    cmocka_unit_test(dear_key_frames), cmocka_unit_test(audio_first),
	    cmocka_unit_test(ranks),           cmocka_unit_test(steady),
	    cmocka_unit_test(anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
