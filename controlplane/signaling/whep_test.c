/* WHEP: what players are sent, of rooms and of a NAME, and across a restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/signaling/whip_fixture.h"

static unsigned subs_there(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FAKE_SUBS; i++)
		n += world.dp.now.sub[i].id != 0;
	return n;
}

/* The one subscription with that SSRC. */
static const struct sh_msg_sub_set *sub_of(uint32_t ssrc)
{
	const struct sh_msg_sub_set *found = NULL;

	for (unsigned i = 0; i < FAKE_SUBS; i++)
		if (world.dp.now.sub[i].id && world.dp.now.sub[i].ssrc == ssrc) {
			assert_null(found);
			found = &world.dp.now.sub[i];
		}
	assert_non_null(found);
	return found;
}

/* Place of the slot that it is subscribed to. */
static unsigned slot_of(uint32_t ssrc)
{
	const struct sh_msg_track_set *t = &world.dp.now.track[SH_ID_INDEX(sub_of(ssrc)->track)];

	assert_true(t->flags & SH_TRACK_SLOT);
	return t->slot;
}

static uint32_t announced(const char *sdp, const char *media)
{
	const char *at = strstr(sdp, media);

	assert_non_null(at);
	return (uint32_t)strtoul(strstr(at, "a=ssrc:") + 7, NULL, 10);
}

static sh_id published(const char *user, enum sh_kind kind)
{
	struct cp_participant *p = cp_room_member(cp_room_find(world.calls, "r"), user);
	const struct cp_track *t;

	assert_non_null(p);
	TAILQ_FOREACH (t, &p->tracks, entry)
		if (t->kind == kind)
			return t->plane_id;
	return 0;
}

/* As the dataplane would: who has the floor, who is in which of two places; NULL: nobody. */
static void speak(const char *dominant, const char *first, const char *second)
{
	struct sh_msg_speakers m = {
	    .group = cp_room_find(world.calls, "r")->number, .audio_slots = 2, .video_slots = 2};
	const char *who[] = {first, second};

	m.dominant = dominant ? published(dominant, SH_KIND_AUDIO) : 0;
	for (int i = 0; i < 2; i++)
		if (who[i]) {
			m.audio[i] = published(who[i], SH_KIND_AUDIO);
			m.video[i] = published(who[i], SH_KIND_VIDEO);
		}
	assert_true(fake_dp_event(&world.dp, SH_MSG_SPEAKERS, &m, sizeof(m)));
	world_settle();
	world_advance(300); // told at most four times a second
}

/* A player without a NAME: two m-lines, which are slots from the first on. They follow the floor,
 * with the SSRCs that were announced, and outlive who comes and goes. */
static void plays_the_room(void **state)
{
	struct cp_http h = whip_post("/whep/r", "t-eve", whip_chrome_recv), pub, pub2;
	uint32_t a_ssrc, v_ssrc;
	sh_id id;

	assert_string_equal(h.content_type, SDP_TYPE);
	assert_int_equal(strncmp(h.location, "/whep/session/", 14), 0);
	assert_int_equal(sdp_count(h.body, "a=sendonly"), 2);
	a_ssrc = announced(h.body, "m=audio");
	v_ssrc = announced(h.body, "m=video");
	assert_int_equal(slot_of(a_ssrc), 0); // of the empty room
	assert_int_equal(slot_of(v_ssrc), 0);
	assert_int_equal(whip_subs_flowing(), 2);
	id = sub_of(a_ssrc)->id;
	pub = whip_post("/whip/r", "t-bob", whip_av);
	pub2 = whip_post("/whip/r", "t-kim", whip_av);
	speak(NULL, "bob", "kim");
	assert_int_equal(slot_of(a_ssrc), 0); // nobody was louder yet
	speak("kim", "bob", "kim");
	assert_int_equal(slot_of(a_ssrc), 1);
	assert_int_equal(slot_of(v_ssrc), 1);
	assert_int_equal(sub_of(a_ssrc)->id, id);
	assert_int_equal(subs_there(), 2);
	speak("bob", "bob", "kim");
	assert_int_equal(slot_of(a_ssrc), 0);
	assert_int_equal(whip_status(CP_DELETE, pub.location, "t-bob", NULL, NULL, NULL), 200);
	assert_int_equal(slot_of(a_ssrc), 1); // at once: the dataplane has not said anything
	assert_int_equal(slot_of(v_ssrc), 1);
	http_done(&pub);
	pub = whip_post("/whip/r", "t-dan", whip_av);
	speak("dan", "dan", "kim");
	assert_int_equal(slot_of(a_ssrc), 0);
	assert_int_equal(slot_of(v_ssrc), 0);
	assert_int_equal(whip_status(CP_DELETE, pub.location, "t-dan", NULL, NULL, NULL), 200);
	assert_int_equal(whip_status(CP_DELETE, pub2.location, "t-kim", NULL, NULL, NULL), 200);
	speak(NULL, NULL, NULL);
	assert_int_equal(sub_of(a_ssrc)->id, id); // and waits for the next
	assert_int_equal(subs_there(), 2);
	assert_int_equal(whip_status(CP_DELETE, h.location, "t-eve", NULL, NULL, NULL), 200);
	assert_int_equal(subs_there(), 0);
	http_done(&h);
	http_done(&pub);
	http_done(&pub2);
}

/* The slots are the player's alone: who is there by WebSocket goes on being sent the tracks. What
 * no slot stands for, a screen, has an m-line whose slot is empty. */
static void plays_a_small_room(void **state)
{
	struct cp_http h = whip_post("/whep/r", "t-eve", whip_recvonly), pub;
	uint32_t v_ssrc = announced(h.body, "m=video");
	json_t *o;

	conn_do(&whip_ann, "{ss ss}", "type", "join", "room", "r"); // does not see it
	conn_silent(&whip_ann);
	pub = whip_post("/whip/r", "t-bob", whip_av);
	conn_skip(&whip_ann, "joined");
	conn_skip(&whip_ann, "track_added");
	conn_skip(&whip_ann, "track_added");
	o = conn_event(&whip_ann, "offer");
	assert_int_equal(json_array_size(json_object_get(o, "tracks")), 2);
	assert_null(json_object_get(json_array_get(json_object_get(o, "tracks"), 0), "slot"));
	json_decref(o);
	speak("bob", "bob", NULL);
	o = conn_event(&whip_ann, "speakers");
	assert_int_equal(json_array_size(json_object_get(o, "audio")), 0); // nothing to her
	assert_int_equal(json_array_size(json_object_get(o, "video")), 0);
	json_decref(o);
	assert_int_equal(slot_of(v_ssrc), 0);
	assert_int_equal(whip_status(CP_DELETE, pub.location, "t-bob", NULL, NULL, NULL), 200);
	conn_forget(&whip_ann);
	speak(NULL, NULL, NULL);
	json_decref(conn_ok(&whip_ann, "{ss ss s[{ssss}{ssss}]}", "type", "publish", "sdp", whip_av,
	                    "tracks", "mid", "0", "source", "screen_audio", "mid", "1", "source",
	                    "screen"));
	world_settle();
	assert_int_equal(subs_there(), 2);
	for (unsigned i = 0; i < FAKE_SUBS; i++)
		if (world.dp.now.sub[i].id)
			assert_false(
			    world.dp.now.track[SH_ID_INDEX(world.dp.now.sub[i].track)].flags &
			    SH_TRACK_SLOT);
	assert_int_equal(whip_status(CP_DELETE, h.location, "t-eve", NULL, NULL, NULL), 200);
	conn_forget(&whip_ann);
	http_done(&h);
	http_done(&pub);
}

/* Configured to have no slots: tracks themselves, each with an SSRC of its own. */
static void plays_without_slots(void **state)
{
	struct cp_http h, pub, pub2;
	uint32_t first;

	world.calls->limits.audio_slots = 0;
	h = whip_post("/whep/r", "t-eve", whip_chrome_recv);
	assert_int_equal(whip_subs_flowing(), 0);
	first = announced(h.body, "m=audio");
	pub = whip_post("/whip/r", "t-bob", whip_av);
	assert_int_equal(whip_subs_flowing(), 2);
	assert_int_equal(sub_of(first)->track, published("bob", SH_KIND_AUDIO)); // as announced
	pub2 = whip_post("/whip/r", "t-ann", whip_av);
	assert_int_equal(whip_subs_flowing(), 2); // no room for more
	assert_int_equal(whip_status(CP_DELETE, pub.location, "t-bob", NULL, NULL, NULL), 200);
	assert_int_equal(whip_subs_flowing(), 2); // the other's now
	for (unsigned i = 0; i < FAKE_SUBS; i++)
		assert_true(!world.dp.now.sub[i].id || world.dp.now.sub[i].ssrc != first);
	assert_int_equal(whip_status(CP_DELETE, pub2.location, "t-ann", NULL, NULL, NULL), 200);
	assert_int_equal(whip_subs_flowing(), 0);
	conn_do(&whip_ann, "{ss ss}", "type", "join", "room", "r");
	conn_publish(&whip_ann, NULL, NULL);
	assert_int_equal(whip_subs_flowing(), 2);
	conn_do(&whip_ann, "{ss s[s]}", "type", "unpublish", "tracks",
	        TAILQ_FIRST(&conn_party(&whip_ann)->tracks)->id);
	assert_int_equal(whip_subs_flowing(), 1);
	assert_int_equal(whip_status(CP_DELETE, h.location, "t-eve", NULL, NULL, NULL), 200);
	assert_int_equal(whip_subs_flowing(), 0);
	conn_silent(&whip_ann);
	http_done(&h);
	http_done(&pub);
	http_done(&pub2);
}

static void plays_a_name(void **state)
{
	struct cp_http cam = whip_post("/whip/r?name=cam", "t-bob", whip_av),
	               other = whip_post("/whip/r", "t-eve", whip_av), h, g;

	h = whip_post("/whep/r/cam", "t-ann", whip_recvonly);
	assert_int_equal(whip_subs_flowing(), 2);
	assert_int_equal(
	    whip_status(CP_POST, "/whep/r/bob", "t-ann", SDP_TYPE, NULL, whip_recvonly),
	    404); // he is cam here
	g = whip_post("/whep/r/eve", "t-ann", whip_recvonly);
	assert_int_equal(whip_subs_flowing(), 4);
	assert_int_equal(whip_status(CP_DELETE, g.location, "t-ann", NULL, NULL, NULL), 200);
	http_done(&g);
	/* The camera goes: eve does not take its place; it comes back in time; it stays away. */
	world_connect(whip_last_player()->party->endpoint[CP_SUBSCRIBE]);
	assert_int_equal(whip_status(CP_DELETE, cam.location, "t-bob", NULL, NULL, NULL), 200);
	http_done(&cam);
	assert_int_equal(whip_subs_flowing(), 0);
	world_advance(20000);
	cam = whip_post("/whip/r?name=cam", "t-bob", whip_av);
	assert_int_equal(whip_subs_flowing(), 2);
	world_connect(whip_last_player()->party->endpoint[CP_PUBLISH]);
	world_advance(40000);
	assert_int_equal(world.sig->counts.whep, 1);
	assert_int_equal(whip_status(CP_DELETE, cam.location, "t-bob", NULL, NULL, NULL), 200);
	world_advance(34000);
	assert_int_equal(world.sig->counts.whep, 0);
	assert_int_equal(whip_status(CP_DELETE, h.location, "t-ann", NULL, NULL, NULL), 404);
	assert_int_equal(world.sig->counts.whip, 0); // eve never connected
	http_done(&cam);
	http_done(&other);
	http_done(&h);
}

/* The daemon is killed: players and publishers are where they were, and can still be told to end.
 */
static void restarts(void **state)
{
	static struct fake_tables before;
	struct cp_http pub = whip_post("/whip/r?name=cam", "t-bob", whip_av),
	               play = whip_post("/whep/r", "t-eve", whip_chrome_recv), late;
	unsigned changes;
	uint32_t audio;

	world_restart(true); /* not connected yet: it still has its time */
	world_advance(10000);
	assert_int_equal(world.sig->counts.whip + world.sig->counts.whep, 2);
	world_connect(TAILQ_FIRST(&world.sig->players)->party->endpoint[CP_PUBLISH]);
	world_connect(whip_last_player()->party->endpoint[CP_SUBSCRIBE]);
	before = world.dp.now;
	changes = world.dp.changes;
	assert_int_equal(whip_subs_flowing(), 2);
	for (int killed = 0; killed < 2; killed++) {
		world_restart(killed);
		assert_int_equal(world.sig->counts.whip, 1);
		assert_int_equal(world.sig->counts.whep, 1);
		assert_int_equal(world.dp.changes, changes);
		assert_memory_equal(before.sub, world.dp.now.sub, sizeof(before.sub));
		world_advance(5000); // a sweep
		assert_int_equal(world.sig->counts.whip + world.sig->counts.whep, 2);
	}
	assert_int_equal(whip_status(CP_POST, "/whip/r?name=cam", "t-eve", SDP_TYPE, NULL, whip_av),
	                 409);
	audio = announced(play.body, "m=audio");
	assert_int_equal(slot_of(audio), 0);
	late = whip_post("/whip/r", "t-ann", whip_av);
	speak("ann", "cam", "ann");
	assert_int_equal(slot_of(audio), 1); // what was restored follows
	assert_int_equal(whip_status(CP_DELETE, pub.location, "t-bob", NULL, NULL, NULL), 200);
	assert_int_equal(whip_subs_flowing(), 2);
	assert_int_equal(whip_status(CP_DELETE, play.location, "t-eve", NULL, NULL, NULL), 200);
	assert_int_equal(whip_status(CP_DELETE, late.location, "t-ann", NULL, NULL, NULL), 200);
	world_restart(true);
	assert_int_equal(world.sig->counts.whip + world.sig->counts.whep, 0);
	http_done(&pub);
	http_done(&play);
	http_done(&late);
	conn_drop(&whip_ann);
	conn_open(&whip_ann);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, whip_setup, whip_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(plays_the_room), TEST(plays_a_small_room), TEST(plays_without_slots),
	    TEST(plays_a_name),   TEST(restarts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
