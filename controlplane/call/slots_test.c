/* Rooms that grow: from everything to slots, who is told what, and what a restart keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "tests/fakes/call_world.h"

enum { PEOPLE = 5 };
static struct cp_conn who[PEOPLE];
static char secret[65]; // of the first
static char audio[PEOPLE][CP_ID_MAX], video[PEOPLE][CP_ID_MAX], id[PEOPLE][CP_ID_MAX];

static int setup(void **state)
{
	static const char *const names[PEOPLE] = {"ann", "bob", "eve", "dan", "kim"};

	world_open(true);
	world.limits.direct_max = world.calls->limits.direct_max = 3;
	for (unsigned i = 0; i < PEOPLE; i++)
		conn_login(&who[i], names[i], i ? NULL : secret);
	return 0;
}

static int teardown(void **state)
{
	struct cp_calls_counts n;
	struct cp_plane_counts p;

	for (unsigned i = 0; i < PEOPLE; i++)
		conn_drop(&who[i]);
	world_advance(61000);
	n = world_counts();
	cp_plane_counts(world.plane, &p);
	assert_int_equal(n.rooms + n.participants + n.endpoints + n.tracks + n.subs, 0);
	assert_int_equal(p.endpoints + p.tracks + p.subs, 0); // slots too
	for (unsigned i = 0; i < FAKE_TRACKS; i++)
		assert_int_equal(world.dp.now.track[i].id, 0);
	assert_int_equal(world.dp.refusals, 0);
	world_close();
	return 0;
}

static void enter(unsigned i, bool auto_sub)
{
	json_decref(
	    conn_ok(&who[i], "{ss ss sb}", "type", "join", "room", "hall", "auto", auto_sub));
	snprintf(id[i], sizeof(id[i]), "%s", conn_party(&who[i])->id);
}

static void come(unsigned i)
{
	enter(i, true);
	conn_publish(&who[i], audio[i], video[i]);
}

static const struct sh_msg_track_set *slot_in_plane(enum sh_kind kind, unsigned place)
{
	for (unsigned i = 0; i < FAKE_TRACKS; i++) {
		const struct sh_msg_track_set *t = &world.dp.now.track[i];

		if (t->id && (t->flags & SH_TRACK_SLOT) && t->kind == kind && t->slot == place)
			return t;
	}
	return NULL;
}

static unsigned subs_of(unsigned i)
{
	const struct cp_endpoint *e = conn_party(&who[i])->endpoint[CP_SUBSCRIBE];
	unsigned n = 0;

	for (unsigned k = 0; e && k < FAKE_SUBS; k++)
		n += world.dp.now.sub[k].id && world.dp.now.sub[k].endpoint == e->id;
	return n;
}

/* Answers offers until there are none; their number, and the tracks of the last. */
static unsigned answer_all(unsigned i, json_t **tracks)
{
	unsigned n = 0;
	json_t *o;

	*tracks = NULL;
	while ((o = conn_take(&who[i]))) {
		if (strcmp(text_at(o, "type"), "offer") == 0) {
			char *sdp = sdp_answer(text_at(o, "sdp"), "abcd", UINT64_MAX);

			json_decref(*tracks);
			*tracks = json_incref(json_object_get(o, "tracks"));
			conn_do(&who[i], "{ss sI ss}", "type", "answer", "rev", int_at(o, "rev"),
			        "sdp", sdp);
			free(sdp);
			n++;
		}
		json_decref(o);
		world_settle();
	}
	return n;
}

static void settle_all(void)
{
	json_t *tracks;

	for (unsigned i = 0; i < PEOPLE; i++) {
		if (conn_party(&who[i]))
			(void)answer_all(i, &tracks);
		else
			tracks = NULL;
		json_decref(tracks);
	}
}

static void grow_to(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		come(i);
		settle_all();
	}
}

static void assert_slots(const json_t *tracks, unsigned want, unsigned want_direct)
{
	unsigned slots = 0, direct = 0;
	json_t *o;
	size_t i;

	json_array_foreach (tracks, i, o) {
		bool slot = json_is_true(json_object_get(o, "slot"));

		slots += slot;
		direct += !slot;
		assert_true(slot == !json_object_get(o, "participant"));
	}
	assert_int_equal(slots, want);
	assert_int_equal(direct, want_direct);
}

/* One offer each when the room turns; one to who comes later; nothing when others come. */
static void turns(void **state)
{
	const struct sh_msg_track_set *t;
	json_t *tracks;

	grow_to(3);
	assert_null(slot_in_plane(SH_KIND_AUDIO, 0));
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(subs_of(i), 4);
	come(3); // one more than direct_max
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(answer_all(i, &tracks), 1);
		assert_slots(tracks, 4, 0);
		json_decref(tracks);
		assert_int_equal(subs_of(i), 4);
	}
	(void)answer_all(3, &tracks); // was offered the room as it was, perhaps
	assert_slots(tracks, 4, 0);
	json_decref(tracks);
	t = slot_in_plane(SH_KIND_VIDEO, 1);
	assert_non_null(t);
	assert_int_equal(t->endpoint, 0);
	assert_int_equal(t->layers, SH_MAX_LAYERS);
	assert_int_equal(t->group, conn_party(&who[0])->room->number);
	assert_null(slot_in_plane(SH_KIND_VIDEO, 2));
	assert_int_equal(slot_in_plane(SH_KIND_AUDIO, 0)->pt[0].codec, SH_CODEC_OPUS);
	come(4);
	assert_int_equal(answer_all(4, &tracks), 1);
	assert_slots(tracks, 4, 0);
	json_decref(tracks);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(answer_all(i, &tracks), 0);
		assert_int_equal(subs_of(i), 4);
	}
	for (unsigned i = 0; i < PEOPLE; i++) { // owners and groups
		const struct cp_participant *p = conn_party(&who[i]);
		const struct cp_track *own = TAILQ_FIRST(&p->tracks);

		assert_int_equal(
		    world.dp.now.endpoint[SH_ID_INDEX(p->endpoint[CP_PUBLISH]->id)].owner,
		    p->number);
		assert_int_equal(
		    world.dp.now.endpoint[SH_ID_INDEX(p->endpoint[CP_SUBSCRIBE]->id)].owner,
		    p->number);
		assert_int_equal(world.dp.now.track[SH_ID_INDEX(own->plane_id)].group,
		                 p->room->number);
		assert_true(world.dp.now.track[SH_ID_INDEX(own->plane_id)].flags & SH_TRACK_FOLLOW);
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(p->number, conn_party(&who[k])->number);
	}
	for (unsigned i = 1; i < PEOPLE; i++) // smaller again: it stays so
		conn_do(&who[i], "{ss}", "type", "leave");
	assert_non_null(slot_in_plane(SH_KIND_AUDIO, 0));
	conn_do(&who[0], "{ss}", "type", "leave");
	assert_null(slot_in_plane(SH_KIND_AUDIO, 0));
}

/* What was asked for by name stays; and a screen is no camera. */
static void pins(void **state)
{
	json_t *tracks;
	char *sdp;

	come(0);
	enter(1, false);
	conn_do(&who[1], "{ss s[s]}", "type", "subscribe", "tracks", video[0]);
	settle_all();
	assert_int_equal(subs_of(1), 1);
	come(2);
	come(3);
	come(4);
	settle_all();
	assert_non_null(slot_in_plane(SH_KIND_AUDIO, 0));
	assert_int_equal(subs_of(1), 1); // not auto: nothing but what it asked for
	assert_int_equal(subs_of(2), 4);
	conn_do(&who[2], "{ss s[s]}", "type", "subscribe", "tracks", video[0]);
	assert_int_equal(answer_all(2, &tracks), 1);
	assert_slots(tracks, 4, 1);
	json_decref(tracks);
	assert_int_equal(subs_of(2), 5);
	conn_refused(&who[2], "conflict", "{ss s[s]}", "type", "subscribe", "tracks", video[0]);
	conn_do(&who[2], "{ss s[s]}", "type", "unsubscribe", "tracks", video[0]);
	assert_int_equal(answer_all(2, &tracks), 1);
	assert_slots(tracks, 4, 0);
	json_decref(tracks);
	sdp = sdp_file("aiortc_av");
	json_decref(conn_ok(&who[1], "{ss ss s[{ssss}{ssss}]}", "type", "publish", "sdp", sdp,
	                    "tracks", "mid", "0", "source", "screen_audio", "mid", "1", "source",
	                    "screen"));
	free(sdp);
	assert_int_equal(answer_all(2, &tracks), 1);
	assert_slots(tracks, 4, 2);
	json_decref(tracks);
	assert_int_equal(subs_of(2), 6);
	{
		const struct cp_track *t = TAILQ_FIRST(&conn_party(&who[1])->tracks);

		assert_false(world.dp.now.track[SH_ID_INDEX(t->plane_id)].flags & SH_TRACK_FOLLOW);
	}
	conn_do(&who[2], "{ss s[s] sb}", "type", "pause", "tracks",
	        TAILQ_FIRST(&conn_party(&who[2])->room->slots)->id, "paused", 1);
}

static sh_id plane_id(unsigned i, enum sh_kind kind)
{
	const struct cp_track *t;

	TAILQ_FOREACH (t, &conn_party(&who[i])->tracks, entry)
		if (t->kind == kind)
			return t->plane_id;
	return 0;
}

static void say(struct sh_msg_speakers *m)
{
	assert_true(fake_dp_event(&world.dp, SH_MSG_SPEAKERS, m, sizeof(*m)));
	world_settle();
}

/* Who speaks is told to all, with participants for ids, and not more than four times a second. */
static void speakers(void **state)
{
	struct sh_msg_speakers m = {.audio_slots = 2, .video_slots = 2};
	json_t *o, *first;
	unsigned n = 0;

	grow_to(5);
	for (unsigned i = 0; i < PEOPLE; i++)
		conn_forget(&who[i]);
	m.group = conn_party(&who[0])->room->number;
	m.dominant = plane_id(3, SH_KIND_AUDIO);
	m.audio[0] = plane_id(3, SH_KIND_AUDIO);
	m.video[1] = plane_id(1, SH_KIND_VIDEO);
	say(&m);
	for (unsigned i = 0; i < PEOPLE; i++) {
		o = conn_event(&who[i], "speakers");
		assert_string_equal(text_at(o, "dominant"), id[3]);
		assert_int_equal(json_array_size(json_object_get(o, "audio")), 2);
		assert_int_equal(json_array_size(json_object_get(o, "video")), 2);
		first = json_array_get(json_object_get(o, "audio"), 0);
		assert_string_equal(text_at(first, "participant"), id[3]);
		assert_string_equal(text_at(first, "track"), audio[3]);
		assert_non_null(cp_room_track(conn_party(&who[0])->room, text_at(first, "slot")));
		first = json_array_get(json_object_get(o, "video"), 0);
		assert_true(json_is_null(json_object_get(first, "participant")));
		first = json_array_get(json_object_get(o, "video"), 1);
		assert_string_equal(text_at(first, "track"), video[1]);
		json_decref(o);
	}
	{ // a stream by way of a slot is named after who is in it
		const struct cp_sub *s = TAILQ_FIRST(&conn_party(&who[0])->subs);
		json_t *ids = json_pack("[I]", (json_int_t)s->plane_id), *none = json_array();

		o = cp_calls_names_json(world.calls, none, ids);
		first = json_array_get(json_object_get(o, "subs"), 0);
		assert_string_equal(text_at(first, "user"), "ann");
		assert_string_equal(text_at(first, "from"), "dan");
		assert_string_equal(text_at(first, "source"), "microphone");
		json_decref(o);
		json_decref(ids);
		json_decref(none);
	}
	say(&m); // nothing new
	world_advance(1000);
	conn_silent(&who[0]);
	for (unsigned i = 0; i < 40; i++) { // 4 s of quarrel
		m.dominant = plane_id(i % 2, SH_KIND_AUDIO);
		say(&m);
		world_advance(100);
	}
	world_advance(1000);
	while ((o = conn_take(&who[0]))) {
		assert_string_equal(text_at(o, "type"), "speakers");
		n++;
		json_decref(o);
	}
	assert_in_range(n, 8, 18);
	m.group = 999; // of nobody
	say(&m);
	m.group = conn_party(&who[0])->room->number;
	m.dominant = SH_ID(1000, 5); // of a track that is gone
	say(&m);
	world_advance(1000);
	o = conn_event(&who[0], "speakers");
	assert_true(json_is_null(json_object_get(o, "dominant")));
	json_decref(o);
}

/* Two come, and the second speaks. */
static struct sh_msg_speakers second_speaks(void)
{
	struct sh_msg_speakers m = {0};

	come(0);
	come(1);
	settle_all();
	m.group = conn_party(&who[0])->room->number;
	m.dominant = plane_id(1, SH_KIND_AUDIO);
	say(&m);
	return m;
}

/* A newcomer, and who resumes, learn who speaks. */
static void newcomers(void **state)
{
	json_t *o;

	(void)second_speaks();
	o = conn_event(&who[0], "speakers");
	assert_string_equal(text_at(o, "dominant"), id[1]);
	assert_int_equal(json_array_size(json_object_get(o, "audio")), 0);
	json_decref(o);
	enter(2, false);
	o = conn_event(&who[2], "speakers");
	assert_string_equal(text_at(o, "dominant"), id[1]);
	json_decref(o);
}

static void watch_id(sh_id track, uint8_t layers)
{
	struct sh_msg_track_watch m = {.id = track, .layers = layers};

	assert_true(fake_dp_event(&world.dp, SH_MSG_TRACK_WATCH, &m, sizeof(m)));
	world_settle();
}

static void watch(unsigned i, uint8_t layers)
{
	watch_id(plane_id(i, SH_KIND_VIDEO), layers);
}

/* The next event is of the track's layers; which of them are watched. */
static unsigned active(unsigned i, const char *const *rids, unsigned n)
{
	json_t *o = conn_event(&who[i], "layers"), *list = json_object_get(o, "layers"), *l;
	unsigned mask = 0;
	size_t k;

	assert_int_equal(json_array_size(list), n);
	json_array_foreach (list, k, l) {
		assert_string_equal(text_at(l, "rid"), rids[k]);
		mask |= (unsigned)json_is_true(json_object_get(l, "active")) << k;
	}
	json_decref(o);
	return mask;
}

static const char *const three[] = {"q", "h", "f"}, *const one[] = {""};

static void layers(void **state)
{
	char *sdp = sdp_file("chromium_simulcast");

	enter(0, true);
	json_decref(conn_ok(&who[0], "{ss ss}", "type", "publish", "sdp", sdp));
	free(sdp);
	come(1);
	settle_all();
	watch(0, 7);
	conn_silent(&who[0]); // as it is at first
	watch(0, 1);
	assert_int_equal(active(0, three, 3), 1);
	watch(0, 1);
	conn_silent(&who[0]);
	conn_silent(&who[1]);
	watch(0, 3);
	assert_int_equal(active(0, three, 3), 3);
}

/* A camera of one layer may rest as well; who publishes by WHIP cannot be told, and is not asked. */
static void one_layer(void **state)
{
	come(0);
	come(1);
	settle_all();
	conn_forget(&who[0]);
	watch(0, 1);
	conn_silent(&who[0]); // as it is at first
	watch(0, 0);
	assert_int_equal(active(0, one, 1), 0);
	conn_silent(&who[1]);
	watch(0, 1);
	assert_int_equal(active(0, one, 1), 1);
	conn_silent(&who[0]);
}

/* Resumes behind an event that the server does not have: none is replayed. */
static void resume_lost(void)
{
	json_t *o;

	conn_drop(&who[0]);
	conn_open(&who[0]);
	o = conn_ok(&who[0], "{ss ss sI}", "type", "resume", "resume", secret, "seq",
	            (json_int_t)900000000);
	assert_true(json_is_false(json_object_get(o, "replayed")));
	snprintf(secret, sizeof(secret), "%s", text_at(o, "resume"));
	json_decref(o);
}

/* Whose history is lost is told how it is now, also what is as at first: it may know otherwise. */
static void resumed(void **state)
{
	struct sh_msg_speakers m = second_speaks();
	sh_id camera = plane_id(0, SH_KIND_VIDEO);
	json_t *o;

	watch_id(camera, 0);
	conn_drop(&who[0]); // which paused its camera, and then does not hear that somebody watches
	watch_id(camera, 1);
	for (unsigned i = 0; i < 3; i++) {
		resume_lost();
		o = conn_event(&who[0], "speakers");
		assert_string_equal(text_at(o, "dominant"), id[1]);
		json_decref(o);
		assert_int_equal(active(0, one, 1), i == 0);
		conn_silent(&who[0]);
		watch_id(camera, 0);
		if (i == 0)
			assert_int_equal(active(0, one, 1), 0);
		if (i != 1)
			continue;
		world_restart(true); // all that the next daemon knows is from the dataplane
		say(&m);
		watch_id(camera, 0);
	}
}

/* The next daemon finds slots, numbers and pins as they were: the dataplane sees no change. */
static void restarts(void **state)
{
	struct sh_msg_track_set was;
	unsigned changes;

	grow_to(4);
	conn_do(&who[1], "{ss s[s]}", "type", "subscribe", "tracks", video[0]);
	settle_all();
	was = *slot_in_plane(SH_KIND_VIDEO, 1);
	assert_int_equal(subs_of(1), 5);
	for (int killed = 0; killed < 2; killed++) {
		changes = world.dp.changes;
		world_restart(killed);
		world_settle();
		assert_int_equal(world.dp.changes, changes);
		assert_memory_equal(slot_in_plane(SH_KIND_VIDEO, 1), &was, sizeof(was));
		assert_int_equal(world_counts().subs, 17);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(turns, setup, teardown),
	    cmocka_unit_test_setup_teardown(pins, setup, teardown),
	    cmocka_unit_test_setup_teardown(speakers, setup, teardown),
	    cmocka_unit_test_setup_teardown(newcomers, setup, teardown),
	    cmocka_unit_test_setup_teardown(layers, setup, teardown),
	    cmocka_unit_test_setup_teardown(one_layer, setup, teardown),
	    cmocka_unit_test_setup_teardown(resumed, setup, teardown),
	    cmocka_unit_test_setup_teardown(restarts, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
