/* Who speaks, and what is watched, as the daemon is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/event.h"
#include "dataplane/event_fixture.h"
#include "dataplane/speaker.h"
#include "dataplane/table/group.h"
#include "dataplane/table/table.h"

static uint64_t txn = 100;
static void apply(unsigned type, const void *m, uint32_t len)
{
	struct sh_msg_commit c = {.txn = ++txn, .records = 1};
	struct sh_msg_committed done;

	assert_int_equal(sh_msg_check(type, m, len), 0);
	dp_stage_begin(c.txn);
	dp_stage_record(type, m, len);
	dp_stage_commit(&c, &done);
	assert_int_equal(done.error, 0);
}

static void add_endpoint(uint32_t i, uint32_t owner)
{
	struct sh_msg_endpoint_set m = {
	    .id = SH_ID(i, 1u), .ufrag_len = 4, .pwd_len = 24, .owner = owner};

	memset(m.ufrag, 'a' + (int)i, 4);
	memset(m.pwd, 'p', 24);
	apply(SH_MSG_ENDPOINT_SET, &m, sizeof(m));
}

static void add_track(uint32_t i, sh_id endpoint, enum sh_kind kind, uint8_t flags, uint8_t at)
{
	bool slot = flags & SH_TRACK_SLOT;
	struct sh_msg_track_set m = {
	    .id = SH_ID(i, 1u),
	    .endpoint = endpoint,
	    .group = 4,
	    .kind = kind,
	    .layers = kind == SH_KIND_AUDIO ? 1 : SH_MAX_LAYERS,
	    .flags = flags,
	    .slot = at,
	};

	for (unsigned k = 0; k < SH_MAX_PTS; k++)
		m.pt[k] = (struct sh_track_pt){.pt = 255, .apt_slot = 255};
	m.pt[0] =
	    (struct sh_track_pt){.pt = 96,
	                         .codec = kind == SH_KIND_AUDIO ? SH_CODEC_OPUS : SH_CODEC_VP8,
	                         .apt_slot = 255,
	                         .clock_hz = kind == SH_KIND_AUDIO ? 48000 : 90000};
	for (unsigned l = 0; kind == SH_KIND_VIDEO && !slot && l < SH_MAX_LAYERS; l++) {
		m.layer[l].rid_len = 1;
		m.layer[l].rid[0] = (uint8_t)('q' + l);
	}
	apply(SH_MSG_TRACK_SET, &m, sizeof(m));
}

static void add_sub(uint32_t i, uint32_t track, uint32_t endpoint, uint8_t flags)
{
	struct sh_msg_sub_set m = {.id = SH_ID(i, 1u),
	                           .track = SH_ID(track, 1u),
	                           .endpoint = SH_ID(endpoint, 1u),
	                           .ssrc = 1 + i,
	                           .flags = flags,
	                           .max_layer = 2};

	memset(m.pt, 255, sizeof(m.pt));
	apply(SH_MSG_SUB_SET, &m, sizeof(m));
}

static void speak(uint32_t track, uint64_t *now, unsigned ms)
{
	for (unsigned t = 0; t < ms; t += DP_SPEAKERS_MS) {
		*now += DP_SPEAKERS_MS * 1000000ull;
		for (uint32_t i = 0; i < 2; i++) {
			dp_slabs.track[i].level = i == track ? 30 : 127;
			dp_slabs.track[i].media[0].last_at_ns = *now;
		}
		dp_speakers_tick(*now);
	}
	assert_true(dp_event_flush());
}

/* The next event of the group; what is watched is another matter. */
static unsigned next_speakers(void)
{
	unsigned type;

	do
		type = event_next();
	while (type == SH_MSG_TRACK_WATCH);
	return type;
}

/* Two who publish audio (0, 1) and video (2, 3), a slot of each kind (4, 5). */
static void speakers(void **state)
{
	uint64_t now = 10000000000;
	struct sh_msg_speakers last = {0};

	assert_int_equal(dp_speakers_init(), 0);
	add_endpoint(0, 100);
	add_endpoint(1, 101);
	for (uint32_t i = 0; i < 4; i++)
		add_track(i, SH_ID(i % 2, 1u), i < 2 ? SH_KIND_AUDIO : SH_KIND_VIDEO,
		          SH_TRACK_FOLLOW, 0);
	add_track(4, 0, SH_KIND_AUDIO, SH_TRACK_SLOT, 0);
	add_track(5, 0, SH_KIND_VIDEO, SH_TRACK_SLOT, 0);
	assert_true(dp_speakers_any());
	speak(2, &now, 100); // nobody
	assert_int_equal(next_speakers(), SH_MSG_SPEAKERS);
	assert_int_equal(event_body.speakers.group, 4);
	assert_int_equal(event_body.speakers.dominant, 0);
	assert_int_equal(event_body.speakers.audio_slots, 1);
	assert_int_equal(event_body.speakers.audio[0], SH_ID(0u, 1u)); // first come
	assert_int_equal(event_body.speakers.video[0], SH_ID(2u, 1u));
	assert_int_equal(next_speakers(), 0);
	speak(1, &now, 2500);
	while (next_speakers())
		last = event_body.speakers;
	assert_int_equal(last.dominant, SH_ID(1u, 1u));
	assert_int_equal(last.audio[0], SH_ID(1u, 1u));
	assert_int_equal(last.video[0], SH_ID(3u, 1u)); // of the same owner
	speak(1, &now, 2000);
	assert_int_equal(next_speakers(), 0); // no news
	dp_event_link(NULL);                  // the daemon dies; others speak
	speak(0, &now, 3000);
	dp_event_link(&event_tx);
	dp_event_forget();
	dp_speakers_replay();
	assert_true(dp_event_flush());
	assert_int_equal(next_speakers(), SH_MSG_SPEAKERS);
	assert_int_equal(event_body.speakers.dominant, SH_ID(0u, 1u));
	assert_int_equal(event_body.speakers.video[0], SH_ID(2u, 1u));
	assert_int_equal(next_speakers(), 0);
	dp_speakers_free();
}

static unsigned watched(uint32_t track, uint64_t now)
{
	dp_event_watch(track, now);
	assert_true(dp_event_flush());
	return event_next() == SH_MSG_TRACK_WATCH ? event_body.watch.layers : 99;
}

static void watches(void **state)
{
	const uint64_t s = 1000000000;

	assert_int_equal(dp_speakers_init(), 0);
	add_endpoint(0, 100);
	add_endpoint(1, 101);
	add_track(2, SH_ID(0u, 1u), SH_KIND_VIDEO, SH_TRACK_FOLLOW, 0);
	add_track(5, 0, SH_KIND_VIDEO, SH_TRACK_SLOT, 0);
	assert_int_equal(watched(2, 10 * s), 99); // nobody's, but that may be new
	assert_int_equal(watched(2, 14 * s), 99);
	assert_int_equal(watched(2, 15 * s), 0);
	assert_int_equal(watched(2, 25 * s), 99); // told
	add_sub(1, 2, 1, 0);
	assert_int_equal(watched(2, 26 * s), 7); // at once
	dp_slabs.sub[1].want_layer = dp_slabs.sub[1].ideal_layer = 1;
	assert_int_equal(watched(2, 27 * s), 99);
	dp_slabs.sub[1].ideal_layer = 2; // bandwidth is missing, not the wish
	assert_int_equal(watched(2, 40 * s), 99);
	dp_slabs.sub[1].ideal_layer = 1;
	assert_int_equal(watched(2, 41 * s), 99);
	assert_int_equal(watched(2, 46 * s), 3);
	add_sub(1, 2, 1, SH_SUB_PAUSED);
	assert_int_equal(watched(2, 50 * s), 99);
	assert_int_equal(watched(2, 56 * s), 0);
	add_sub(2, 5, 0, 0); // by way of a slot, but of its own owner
	dp_slot_set(5, 2);
	assert_int_equal(watched(2, 57 * s), 99);
	add_sub(3, 5, 1, 0);
	assert_int_equal(watched(2, 58 * s), 7);
	dp_event_forget(); // another daemon
	assert_true(dp_event_flush());
	assert_int_equal(event_next(), SH_MSG_TRACK_WATCH);
	assert_int_equal(event_body.watch.layers, 7);
	assert_int_equal(watched(2, 59 * s), 99);
	dp_speakers_free();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, event_setup, event_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(speakers),
	    TEST(watches),
	};

	return cmocka_run_group_tests_name("speakers", tests, NULL, NULL);
}
