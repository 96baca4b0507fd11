#include "dataplane/rtp/speaker.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

/* A room on a virtual clock: each track has a level, packets come every 20 ms, the floor and the
 * places are looked at every 100 ms. */
enum { MANY = 1000, TICK_MS = 100 };
static struct {
	uint64_t now;
	unsigned n, places;
	uint8_t level[MANY], mean[MANY]; // as measured by the sender; smoothed
	struct dp_speaker s[MANY];
	uint32_t floor, slot[DP_PLACES_MAX];
	uint64_t since[DP_PLACES_MAX];
	unsigned floor_changes, slot_changes;
} r;

static void start(unsigned n, unsigned places)
{
	memset(&r, 0, sizeof(r));
	r.now = 5000000000;
	r.n = n;
	r.places = places;
	memset(r.level, DP_LEVEL_SILENT, sizeof(r.level));
	memset(r.mean, DP_LEVEL_SILENT, sizeof(r.mean));
}

static bool in_slot(uint32_t name)
{
	for (unsigned i = 0; i < r.places; i++)
		if (r.slot[i] == name)
			return true;
	return false;
}

static struct dp_place place_of(uint32_t name)
{
	const struct dp_speaker *s = &r.s[name - 1];

	return (struct dp_place){.name = name,
	                         .level = dp_speaker_heard(s),
	                         .key = dp_heard_key(s, r.now),
	                         .sounded_at_ns = s->sounded_at_ns};
}

static void decide(void)
{
	struct dp_floor f;
	struct dp_places p;
	struct dp_place who;
	unsigned at;
	uint32_t has;

	dp_floor_begin(&f, r.floor);
	dp_places_begin(&p, r.places);
	for (unsigned i = 0; i < r.places; i++) {
		if (!r.slot[i])
			continue;
		who = place_of(r.slot[i]);
		who.since_ns = r.since[i];
		dp_places_hold(&p, i, &who);
	}
	for (uint32_t i = 1; i <= r.n; i++) {
		dp_floor_offer(&f, i, &r.s[i - 1]);
		who = place_of(i);
		if (!in_slot(i))
			dp_places_offer(&p, &who);
	}
	has = dp_floor_end(&f);
	r.floor_changes += has != r.floor;
	r.floor = has;
	while (dp_places_next_heard(&p, &at, &who, r.now)) {
		r.slot_changes += r.slot[at] != 0;
		r.slot[at] = who.name;
		r.since[at] = r.now;
	}
}

static void run(unsigned ms)
{
	for (unsigned t = 0; t < ms; t += 20) {
		r.now += 20000000;
		for (unsigned i = 0; i < r.n; i++)
			r.mean[i] = dp_level_smooth(r.mean[i], r.level[i]);
		if (r.now / 1000000 % TICK_MS)
			continue;
		for (unsigned i = 0; i < r.n; i++)
			dp_speaker_hear(&r.s[i], r.mean[i], r.now, TICK_MS * 1000000ull);
		decide();
	}
}

static void levels(void **state)
{
	uint8_t e;

	e = 128 | 30;
	assert_int_equal(dp_level_of(&e, 80), 30);
	e = 30; // no voice
	assert_int_equal(dp_level_of(&e, 80), 42);
	e = 127;
	assert_int_equal(dp_level_of(&e, 80), 127);
	assert_int_equal(dp_level_of(NULL, 80), DP_LEVEL_UNTOLD);
	assert_int_equal(dp_level_of(NULL, 1), DP_LEVEL_SILENT);
	for (unsigned to = 0; to < 128; to += 127) { // gets where it goes, in a few packets
		uint8_t m = (uint8_t)(127 - to);

		for (unsigned i = 0; i < 20; i++)
			m = dp_level_smooth(m, (uint8_t)to);
		assert_int_equal(m, to);
	}
	e = 127;
	for (unsigned i = 0; i < 6; i++)
		e = dp_level_smooth(e, 25);
	assert_true(e < DP_LEVEL_SPEECH); // six packets of a loud voice are heard
}

static void first_speaker(void **state)
{
	start(5, 2);
	run(1000);
	assert_int_equal(r.floor, 0); // nobody has spoken
	assert_int_equal(r.slot[0], 1);
	assert_int_equal(r.slot[1], 2); // first come
	r.level[3] = 30;
	run(200);
	assert_true(in_slot(4)); // heard at once
	run(600);
	assert_int_equal(r.floor, 4);
	assert_int_equal(r.slot_changes, 1);
}

static void cough(void **state)
{
	start(4, 2);
	r.level[0] = 35;
	run(4000);
	assert_int_equal(r.floor, 1);
	for (unsigned i = 0; i < 20; i++) { // loud, short, again and again, while 1 makes pauses
		r.level[1] = 10;
		run(200);
		r.level[1] = DP_LEVEL_SILENT;
		run(600);
		r.level[0] = i % 2 ? 35 : DP_LEVEL_SILENT;
		run(400);
	}
	assert_int_equal(r.floor, 1);
	assert_int_equal(r.floor_changes, 1);
	r.level[0] = DP_LEVEL_SILENT;
	run(30000); // long silence: who spoke last still has the floor
	r.level[2] = 15;
	run(300);
	r.level[2] = DP_LEVEL_SILENT;
	run(3000);
	assert_int_equal(r.floor, 1);
}

static void turns(void **state)
{
	start(3, 3);
	r.level[0] = 40;
	run(10000);
	assert_int_equal(r.floor, 1);
	for (unsigned i = 1; i <= 6; i++) { // the new voice is quieter or louder: no matter
		unsigned was = (i - 1) % 3, is = i % 3, ms = 0;

		r.level[was] = DP_LEVEL_SILENT;
		r.level[is] = (uint8_t)(25 + 8 * is);
		while (r.floor != is + 1 && ms < 5000) {
			run(100);
			ms += 100;
		}
		assert_in_range(ms, 500, 2000);
		run(5000);
	}
	assert_int_equal(r.floor_changes, 7);
	assert_int_equal(r.slot_changes, 0); // all have a place
}

static void double_talk(void **state)
{
	start(3, 2);
	r.level[0] = 40;
	run(5000);
	r.level[1] = 20; // louder, but 1 has the floor
	run(20000);
	assert_int_equal(r.floor, 1);
	assert_int_equal(r.floor_changes, 1);
	r.level[0] = DP_LEVEL_SILENT;
	run(1000);
	assert_int_equal(r.floor, 2);
}

static void noise(void **state)
{
	uint8_t fan = 45; // a fan, measured as loud as speech, but the sender knows better

	start(3, 1);
	r.level[0] = dp_level_of(&fan, 100);
	run(10000);
	assert_int_equal(r.floor, 0);
	r.level[1] = DP_LEVEL_UNTOLD; // a sender that does not tell its level
	run(10000);
	assert_int_equal(r.floor, 0);
	r.level[2] = 40;
	run(300);
	assert_true(in_slot(3));
}

/* More voices than places: the loudest are heard, others do not make them change all the time. */
static void loudest(void **state)
{
	start(MANY, 5);
	for (unsigned i = 0; i < 10; i++)
		r.level[i * 100] = (uint8_t)(45 - 2 * i); // 27 is the loudest
	run(10000);
	for (unsigned i = 8; i < 10; i++)
		assert_true(in_slot(i * 100 + 1));
	r.slot_changes = 0;
	run(60000);
	assert_int_equal(r.slot_changes, 0);
	for (unsigned i = 0; i < 600; i++) { // levels that swing by less than what counts
		for (unsigned k = 0; k < 10; k++)
			r.level[k * 100] = (uint8_t)(40 + (i + k) % 3);
		run(100);
	}
	assert_true(r.slot_changes <= 5);
}

static void keeps_place(void **state)
{
	uint32_t was[2];

	start(10, 2);
	r.level[4] = r.level[7] = 30;
	run(2000);
	assert_true(in_slot(5) && in_slot(8));
	memcpy(was, r.slot, sizeof(was));
	for (unsigned i = 0; i < 10; i++) { // pauses between words
		r.level[4] = DP_LEVEL_SILENT;
		r.level[1] = 45;
		run(400);
		r.level[4] = 30;
		r.level[1] = DP_LEVEL_SILENT;
		run(600);
	}
	assert_memory_equal(was, r.slot, sizeof(was));
	r.level[4] = DP_LEVEL_SILENT;
	run(5000);
	assert_memory_equal(was, r.slot, sizeof(was)); // silence alone moves nobody
	r.level[1] = 45;
	run(500);
	assert_true(in_slot(2) && in_slot(8) && !in_slot(5));
}

static void leaves(void **state)
{
	start(3, 2);
	r.level[0] = 30;
	run(3000);
	assert_int_equal(r.floor, 1);
	r.n = 3;
	memset(&r.s[0], 0, sizeof(r.s[0]));
	r.level[0] = DP_LEVEL_SILENT;
	{ // the one with the floor is offered no more
		struct dp_floor f;

		dp_floor_begin(&f, 1);
		dp_floor_offer(&f, 2, &r.s[1]);
		assert_int_equal(dp_floor_end(&f), 0);
	}
}

static void seen(void **state)
{
	struct dp_places p;
	struct dp_place who;
	unsigned at;
	const uint64_t s = 1000000000;

	dp_places_begin(&p, 3);
	dp_places_hold(&p, 0, &(struct dp_place){.name = 1, .key = 10 * s});
	dp_places_hold(&p, 1, &(struct dp_place){.name = 2, .key = 0});
	dp_places_hold(&p, 2, &(struct dp_place){.name = 3, .key = 50 * s});
	for (uint32_t i = 4; i < 40; i++)
		dp_places_offer(&p, &(struct dp_place){.name = i,
		                                       .key = i == 20   ? 11 * s
		                                              : i == 30 ? 40 * s
		                                                        : 0});
	assert_true(dp_places_next_seen(&p, &at, &who));
	assert_int_equal(at, 1); // never spoke
	assert_int_equal(who.name, 30);
	assert_false(dp_places_next_seen(&p, &at, &who)); // 11 s is hardly later than 10 s
	dp_places_begin(&p, 3);
	for (uint32_t i = 4; i < 40; i++)
		dp_places_offer(&p, &(struct dp_place){.name = i, .key = i == 20});
	assert_true(dp_places_next_seen(&p, &at, &who));
	assert_int_equal(who.name, 20);
	assert_true(dp_places_next_seen(&p, &at, &who));
	assert_int_equal(who.name, 4); // first come
	assert_true(dp_places_next_seen(&p, &at, &who));
	assert_int_equal(who.name, 5);
	assert_false(dp_places_next_seen(&p, &at, &who));
	dp_places_begin(&p, 0);
	dp_places_offer(&p, &who);
	assert_false(dp_places_next_seen(&p, &at, &who));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(levels),  cmocka_unit_test(first_speaker), cmocka_unit_test(cough),
	    cmocka_unit_test(turns),   cmocka_unit_test(double_talk),   cmocka_unit_test(noise),
	    cmocka_unit_test(loudest), cmocka_unit_test(keeps_place),   cmocka_unit_test(leaves),
	    cmocka_unit_test(seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
