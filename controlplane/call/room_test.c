/* Rooms: who is in them, what they publish, what they are sent; and what the dataplane is told of
 * it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "tests/fakes/call_world.h"

static struct cp_conn a, b, c;

static int setup(void **state)
{
	world_open(false);
	conn_login(&a, "ann", NULL);
	conn_login(&b, "bob", NULL);
	conn_login(&c, "eve", NULL);
	return 0;
}

static void assert_empty(void)
{
	struct cp_calls_counts n = world_counts();
	struct cp_plane_counts p;

	world_settle();
	cp_plane_counts(world.plane, &p);
	assert_int_equal(n.rooms + n.participants + n.endpoints + n.tracks + n.subs + n.dtls, 0);
	assert_int_equal(p.endpoints + p.tracks + p.subs, 0);
	for (unsigned i = 0; i < FAKE_ENDPOINTS; i++)
		assert_int_equal(world.dp.now.endpoint[i].id | world.dp.now.track[i].id |
		                     world.dp.now.sub[i].id,
		                 0);
	for (unsigned w = 0; w < SH_MAX_WORKERS; w++)
		assert_int_equal(world.calls->load[w], 0);
}

static int teardown(void **state)
{
	conn_drop(&a);
	conn_drop(&b);
	conn_drop(&c);
	world_advance(61000);
	assert_empty();
	assert_int_equal(world.dp.refusals, 0);
	world_close();
	return 0;
}

static void join(struct cp_conn *who, bool auto_sub)
{
	json_decref(
	    conn_ok(who, "{ss ss sb}", "type", "join", "room", "kitchen", "auto", auto_sub));
}

static unsigned in_plane(unsigned what)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FAKE_ENDPOINTS; i++)
		n += what == SH_DEL_ENDPOINT ? world.dp.now.endpoint[i].id != 0
		     : what == SH_DEL_TRACK  ? world.dp.now.track[i].id != 0
		                             : world.dp.now.sub[i].id != 0;
	return n;
}

/* ---- in and out ---- */

static void in_and_out(void **state)
{
	json_t *o, *list;
	char id[CP_ID_MAX];

	o = conn_ok(&a, "{ss ss ss}", "type", "join", "room", "kitchen", "display", "Ann A.");
	assert_string_equal(text_at(o, "room"), "kitchen");
	assert_int_equal(json_array_size(json_object_get(o, "participants")), 0);
	snprintf(id, sizeof(id), "%s", text_at(o, "participant"));
	json_decref(o);
	o = conn_ok(&b, "{ss ss}", "type", "join", "room", "kitchen");
	list = json_object_get(o, "participants");
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(text_at(json_array_get(list, 0), "participant"), id);
	assert_string_equal(text_at(json_array_get(list, 0), "display"), "Ann A.");
	assert_string_equal(text_at(json_array_get(list, 0), "user"), "ann");
	json_decref(o);
	o = conn_event(&a, "joined");
	assert_string_equal(text_at(json_object_get(o, "participant"), "user"), "bob");
	json_decref(o);
	conn_do(&c, "{ss ss}", "type", "join", "room", "cellar"); // hears nothing of this
	conn_do(&a, "{ss ss}", "type", "chat", "text", "hello \xf0\x9f\x99\x82");
	o = conn_event(&a, "chat");
	json_decref(o);
	o = conn_event(&b, "chat");
	assert_string_equal(text_at(o, "participant"), id);
	assert_string_equal(text_at(o, "user"), "ann");
	assert_string_equal(text_at(o, "display"), "Ann A.");
	assert_string_equal(text_at(o, "text"), "hello \xf0\x9f\x99\x82");
	assert_true(int_at(o, "time") > 1600000000000);
	json_decref(o);
	conn_do(&a, "{ss}", "type", "leave");
	conn_silent(&a);
	o = conn_event(&b, "left");
	assert_string_equal(text_at(o, "participant"), id);
	assert_string_equal(text_at(o, "reason"), "left");
	json_decref(o);
	join(&a, true);
	conn_skip(&b, "joined");
	conn_drop(&a);
	world_advance(61000);
	o = conn_event(&b, "left");
	assert_string_equal(text_at(o, "reason"), "lost");
	json_decref(o);
	conn_silent(&c);
	conn_open(&a);
}

static void maxima(void **state)
{
	struct cp_conn extra[8];

	world.calls->limits.max_rooms = 2;
	world.calls->limits.max_participants = 3;
	join(&a, true);
	join(&b, true);
	join(&c, true);
	for (int i = 0; i < 3; i++) {
		char user[8] = {'x', (char)('0' + i), 0};

		conn_login(&extra[i], user, NULL);
	}
	conn_refused(&extra[0], "limit", "{ss ss}", "type", "join", "room", "kitchen");
	conn_do(&extra[0], "{ss ss}", "type", "join", "room", "cellar");
	conn_refused(&extra[1], "limit", "{ss ss}", "type", "join", "room", "attic");
	conn_do(&extra[1], "{ss ss}", "type", "join", "room", "cellar");
	conn_do(&extra[0], "{ss}", "type", "leave");
	conn_refused(&extra[2], "limit", "{ss ss}", "type", "join", "room", "attic");
	conn_do(&extra[1], "{ss}", "type", "leave");
	conn_do(&extra[2], "{ss ss}", "type", "join", "room", "attic");
	for (int i = 0; i < 3; i++)
		conn_drop(&extra[i]);
}

/* ---- tracks ---- */

static void publish_and_watch(void **state)
{
	char audio[CP_ID_MAX], video[CP_ID_MAX];
	const struct sh_msg_sub_set *sub = NULL;
	json_t *o, *t;

	join(&a, true);
	join(&b, true);
	conn_skip(&a, "joined");
	conn_publish(&a, audio, video);
	for (int i = 0; i < 2; i++) {
		o = conn_event(&b, "track_added");
		assert_string_equal(text_at(o, "participant"), conn_party(&a)->id);
		t = json_object_get(o, "track");
		assert_string_equal(text_at(t, "track"), i ? video : audio);
		assert_string_equal(text_at(t, "kind"), i ? "video" : "audio");
		assert_string_equal(text_at(t, "source"), i ? "camera" : "microphone");
		assert_true(json_is_false(json_object_get(t, "muted")));
		json_decref(o);
	}
	assert_int_equal(in_plane(SH_DEL_ENDPOINT), 2);
	assert_int_equal(in_plane(SH_DEL_TRACK), 2);
	assert_int_equal(in_plane(SH_DEL_SUB), 0); // nothing is sent before the answer
	assert_int_equal(conn_answer(&b), 2);
	conn_silent(&b);
	assert_int_equal(in_plane(SH_DEL_SUB), 2);
	for (unsigned i = 0; i < FAKE_SUBS; i++)
		if (world.dp.now.sub[i].id && world.dp.now.sub[i].rtx_ssrc)
			sub = &world.dp.now.sub[i];
	assert_non_null(sub); // the video
	assert_int_equal(sub->flags, SH_SUB_NACK);
	assert_int_not_equal(sub->pt[0], 255);
	/* pause, mute */
	conn_do(&b, "{ss s[s] sb}", "type", "pause", "tracks", video, "paused", 1);
	assert_int_equal(sub->flags, SH_SUB_NACK | SH_SUB_PAUSED);
	conn_do(&b, "{ss s[s] sb}", "type", "pause", "tracks", video, "paused", 0);
	assert_int_equal(sub->flags, SH_SUB_NACK);
	conn_silent(&b);
	conn_refused(&b, "not_found", "{ss ss sb}", "type", "mute", "track", video, "muted", 1);
	conn_do(&a, "{ss ss sb}", "type", "mute", "track", audio, "muted", 1);
	conn_do(&a, "{ss ss sb}", "type", "mute", "track", audio, "muted", 1); // no news
	o = conn_event(&b, "track_updated");
	assert_true(json_is_true(json_object_get(json_object_get(o, "track"), "muted")));
	json_decref(o);
	conn_silent(&b);
	/* one who comes later has it all in the reply, and an offer */
	o = conn_ok(&c, "{ss ss}", "type", "join", "room", "kitchen");
	t = json_array_get(
	    json_object_get(json_array_get(json_object_get(o, "participants"), 0), "tracks"), 0);
	assert_string_equal(text_at(t, "track"), audio);
	assert_true(json_is_true(json_object_get(t, "muted")));
	json_decref(o);
	assert_int_equal(conn_answer(&c), 2);
	assert_int_equal(in_plane(SH_DEL_SUB), 4);
	/* unpublish ends one at once; the m-line goes inactive */
	conn_skip(&b, "joined");
	conn_do(&a, "{ss s[s]}", "type", "unpublish", "tracks", video);
	assert_int_equal(in_plane(SH_DEL_SUB), 2);
	o = conn_event(&b, "track_removed");
	assert_string_equal(text_at(o, "track"), video);
	json_decref(o);
	o = conn_event(&b, "offer");
	assert_int_equal(sdp_count(text_at(o, "sdp"), "a=inactive"), 1);
	assert_int_equal(json_array_size(json_object_get(o, "tracks")), 1);
	json_decref(o);
	conn_refused(&a, "not_found", "{ss s[s]}", "type", "unpublish", "tracks", video);
	conn_do(&a, "{ss}", "type", "leave");
	conn_skip(&b, "left"); // which says it all: no track_removed
	conn_silent(&b);       // its answer is outstanding
	assert_int_equal(in_plane(SH_DEL_TRACK) + in_plane(SH_DEL_SUB), 0);
}

static void offers_one_at_a_time(void **state)
{
	char audio[CP_ID_MAX], video[CP_ID_MAX], *sdp;
	json_int_t rev;
	json_t *o;

	join(&a, true);
	join(&b, true);
	join(&c, true);
	conn_publish(&a, audio, video);
	conn_forget(&a);
	conn_skip(&c, "track_added");
	conn_skip(&c, "track_added");
	o = conn_event(&c, "offer");
	rev = int_at(o, "rev");
	sdp = sdp_answer(text_at(o, "sdp"), "clnt", UINT64_MAX);
	json_decref(o);
	conn_publish(&b, NULL, NULL);
	conn_skip(&c, "track_added");
	conn_skip(&c, "track_added");
	conn_silent(&c);
	conn_do(&a, "{ss s[s]}", "type", "unpublish", "tracks", video);
	conn_skip(&c, "track_removed");
	conn_silent(&c);
	conn_refused(&c, "conflict", "{ss sI ss}", "type", "answer", "rev", rev + 1, "sdp", sdp);
	conn_refused(&c, "bad_sdp", "{ss sI ss}", "type", "answer", "rev", rev, "sdp", "v=0\r\n");
	conn_do(&c, "{ss sI ss}", "type", "answer", "rev", rev, "sdp", sdp);
	conn_refused(&c, "conflict", "{ss sI ss}", "type", "answer", "rev", rev, "sdp", sdp);
	free(sdp);
	/* All that waited comes in one offer, on the m-line that became free too. */
	o = conn_event(&c, "offer");
	assert_int_equal(int_at(o, "rev"), rev + 1);
	assert_int_equal(json_array_size(json_object_get(o, "tracks")), 3);
	assert_int_equal(sdp_count(text_at(o, "sdp"), "m="), 3);
	json_decref(o);
	conn_silent(&c);
}

static void by_hand(void **state)
{
	char audio[CP_ID_MAX], video[CP_ID_MAX];

	join(&a, true);
	join(&b, false);
	conn_publish(&a, audio, video);
	conn_skip(&b, "track_added");
	conn_skip(&b, "track_added");
	conn_silent(&b);
	conn_refused(&b, "not_found", "{ss s[ss]}", "type", "subscribe", "tracks", video,
	             "nothing");
	conn_refused(&b, "bad_request", "{ss s[ss]}", "type", "subscribe", "tracks", video, video);
	conn_refused(&a, "unsupported", "{ss s[s]}", "type", "subscribe", "tracks", video);
	conn_refused(&b, "conflict", "{ss s[s]}", "type", "unsubscribe", "tracks", video);
	conn_refused(&b, "conflict", "{ss s[s] sb}", "type", "pause", "tracks", video, "paused", 1);
	conn_do(&b, "{ss s[s]}", "type", "subscribe", "tracks", video);
	conn_do(&b, "{ss s[s] sb}", "type", "pause", "tracks", video, "paused",
	        1); // before it flows
	assert_int_equal(conn_answer(&b), 1);
	assert_int_equal(in_plane(SH_DEL_SUB), 1);
	conn_refused(&b, "conflict", "{ss s[ss]}", "type", "subscribe", "tracks", audio,
	             video); // none of both
	conn_silent(&b);
	conn_do(&b, "{ss s[s]}", "type", "subscribe", "tracks", audio);
	assert_int_equal(conn_answer(&b), 2);
	conn_do(&b, "{ss s[ss]}", "type", "unsubscribe", "tracks", audio, video);
	assert_int_equal(in_plane(SH_DEL_SUB), 0);
	assert_int_equal(conn_answer(&b), 0);
	conn_do(&b, "{ss s[ss]}", "type", "subscribe", "tracks", audio, video);
	assert_int_equal(conn_answer(&b), 2);
	conn_silent(&b);
}

/* Sizes, layers and priorities as said, also before the track flows; what is not said stays. */
static void quality(void **state)
{
	char audio[CP_ID_MAX], video[CP_ID_MAX];
	const struct sh_msg_sub_set *sub = NULL;

	join(&a, true);
	join(&b, false);
	conn_publish(&a, audio, video);
	conn_skip(&b, "track_added");
	conn_skip(&b, "track_added");
	conn_refused(&b, "conflict", "{ss ss si}", "type", "quality", "track", video, "height", 9);
	conn_do(&b, "{ss s[ss]}", "type", "subscribe", "tracks", audio, video);
	conn_do(&b, "{ss ss si si}", "type", "quality", "track", video, "height", 360, "priority",
	        7);
	assert_int_equal(conn_answer(&b), 2);
	for (unsigned i = 0; i < FAKE_SUBS; i++)
		if (world.dp.now.sub[i].id && world.dp.now.sub[i].rtx_ssrc)
			sub = &world.dp.now.sub[i];
	assert_non_null(sub);
	assert_int_equal(sub->want_height, 360);
	assert_int_equal(sub->priority, 7);
	assert_int_equal(sub->max_layer, SH_MAX_LAYERS - 1);
	assert_int_equal(sub->max_temporal, SH_MAX_TEMPORAL - 1);
	conn_do(&b, "{ss s[{ss si si} {ss si}]}", "type", "quality", "tracks", "track", video,
	        "max_layer", 0, "max_temporal", 1, "track", audio, "priority", 255);
	assert_int_equal(sub->want_height, 360);
	assert_int_equal(sub->priority, 7);
	assert_int_equal(sub->max_layer, 0);
	assert_int_equal(sub->max_temporal, 1);
	conn_refused(&b, "not_found", "{ss s[{ss si} {ss}]}", "type", "quality", "tracks", "track",
	             video, "height", 1, "track", "t-other");
	conn_refused(&b, "bad_request", "{ss s[{ss si} {ss}]}", "type", "quality", "tracks",
	             "track", video, "height", 1, "track", video);
	conn_refused(&a, "conflict", "{ss ss}", "type", "quality", "track", video); // its own
	assert_int_equal(sub->want_height, 360);                                    // nothing of it
	conn_do(&b, "{ss ss si}", "type", "quality", "track", video, "height", 0);
	assert_int_equal(sub->want_height, 0);
	conn_do(&b, "{ss s[s] sb}", "type", "pause", "tracks", video, "paused", 1);
	assert_int_equal(sub->max_layer, 0); // a change of something else keeps it
	conn_silent(&b);
}

/* What the subscriber does not take is not sent; what it stops taking stops. */
static void refused_m_lines(void **state)
{
	char *sdp;
	json_t *o;

	join(&a, true);
	join(&b, true);
	conn_publish(&a, NULL, NULL);
	conn_skip(&b, "track_added");
	conn_skip(&b, "track_added");
	o = conn_event(&b, "offer");
	sdp = sdp_answer(text_at(o, "sdp"), "clnt", 1);
	conn_do(&b, "{ss sI ss}", "type", "answer", "rev", int_at(o, "rev"), "sdp", sdp);
	free(sdp);
	json_decref(o);
	assert_int_equal(in_plane(SH_DEL_SUB), 1);
	join(&c, true);
	conn_skip(&b, "joined");
	conn_publish(&c, NULL, NULL);
	conn_skip(&b, "track_added");
	conn_skip(&b, "track_added");
	conn_forget(&c);
	o = conn_event(&b, "offer");
	sdp = sdp_answer(text_at(o, "sdp"), "clnt",
	                 4 | 8); // the first is stopped, two new ones taken
	conn_do(&b, "{ss sI ss}", "type", "answer", "rev", int_at(o, "rev"), "sdp", sdp);
	free(sdp);
	json_decref(o);
	world_settle();
	for (unsigned i = 0, flows = 0; i < FAKE_SUBS; i++) {
		const struct sh_msg_sub_set *s = &world.dp.now.sub[i];

		for (unsigned k = 0; s->id && k < SH_MAX_PTS; k++)
			if (s->pt[k] != 255) {
				flows++;
				break;
			}
		if (i == FAKE_SUBS - 1)
			assert_int_equal(flows, 2);
	}
}

/* ---- offers of the publisher ---- */

static void bad_offers(void **state)
{
	char audio[CP_ID_MAX], video[CP_ID_MAX], *sdp;
	struct cp_track *t;

	join(&a, true);
	join(&b, true);
	conn_skip(&a, "joined");
	/* A first offer that fails leaves nothing. */
	conn_refused(&a, "bad_sdp", "{ss ss}", "type", "publish", "sdp", "v=0\r\n");
	assert_int_equal(in_plane(SH_DEL_ENDPOINT), 0);
	sdp = sdp_edit(sdp_file("aiortc_av"), "a=ssrc-group:FID 373629212 3618038056",
	               "a=ssrc-group:SIM 373629212 373629212");
	conn_refused(&a, "bad_sdp", "{ss ss}", "type", "publish", "sdp", sdp);
	free(sdp);
	assert_int_equal(world_counts().endpoints, 0);
	conn_silent(&b);
	/* A later one leaves all as it was. */
	conn_publish(&a, audio, video);
	conn_forget(&b);
	t = cp_track_find(conn_party(&a), audio);
	conn_refused(&a, "bad_sdp", "{ss ss}", "type", "publish", "sdp", "v=0\r\n");
	world.calls->limits.max_tracks = 1;
	sdp = sdp_file("aiortc_av");
	conn_refused(&a, "limit", "{ss ss}", "type", "publish", "sdp", sdp);
	world.calls->limits.max_tracks = 4;
	world_dataplane_dies();
	conn_refused(&a, "unavailable", "{ss ss}", "type", "publish", "sdp", sdp);
	world_dataplane_comes(false);
	assert_ptr_equal(cp_track_find(conn_party(&a), audio), t);
	conn_silent(&a);
	conn_silent(&b);
	/* The same again changes nothing; without the video, it ends; with another source, that is
	 * news. */
	conn_do(&a, "{ss ss s[{ss ss}]}", "type", "publish", "sdp", sdp, "tracks", "mid", "1",
	        "source", "camera");
	conn_silent(&b);
	conn_do(&a, "{ss ss s[{ss ss}]}", "type", "publish", "sdp", sdp, "tracks", "mid", "1",
	        "source", "screen");
	conn_skip(&b, "track_updated");
	conn_do(&a, "{ss ss s[{ss ss sb}]}", "type", "publish", "sdp", sdp, "tracks", "mid", "1",
	        "source", "microphone", "muted", 1);
	conn_skip(&b, "track_updated"); // muted; no microphone is a video
	conn_silent(&b);
	assert_int_equal(cp_track_find(conn_party(&a), video)->source, CP_SCREEN);
	sdp = sdp_edit(sdp, "m=video 49748", "m=video 0");
	conn_do(&a, "{ss ss}", "type", "publish", "sdp", sdp);
	conn_skip(&b, "track_removed");
	conn_silent(&b);
	assert_int_equal(in_plane(SH_DEL_TRACK), 1);
	free(sdp);
}

static void ice_restarts(void **state)
{
	struct cp_endpoint *e;
	char *sdp, ufrag[33], audio[CP_ID_MAX];
	json_t *o;

	join(&a, true);
	join(&b, true);
	conn_publish(&a, audio, NULL);
	conn_skip(&b, "track_added");
	conn_skip(&b, "track_added");
	(void)conn_answer(&b);
	conn_forget(&a);
	e = conn_party(&a)->endpoint[CP_PUBLISH];
	snprintf(ufrag, sizeof(ufrag), "%s", e->ufrag);
	sdp = sdp_edit(sdp_file("aiortc_av"), "a=ice-ufrag:POw1", "a=ice-ufrag:NEW1");
	o = conn_ok(&a, "{ss ss ss}", "type", "restart", "target", "publish", "sdp", sdp);
	assert_string_not_equal(e->ufrag, ufrag);
	assert_non_null(strstr(text_at(o, "sdp"), e->ufrag));
	assert_ptr_equal(e, conn_party(&a)->endpoint[CP_PUBLISH]);
	assert_non_null(cp_track_find(conn_party(&a), audio));
	json_decref(o);
	free(sdp);
	/* On our side: a new offer, and in the place of one that is outstanding too. */
	e = conn_party(&b)->endpoint[CP_SUBSCRIBE];
	for (int i = 0; i < 2; i++) {
		snprintf(ufrag, sizeof(ufrag), "%s", e->ufrag);
		conn_do(&b, "{ss ss}", "type", "restart", "target", "subscribe");
		assert_string_not_equal(e->ufrag, ufrag);
		o = conn_event(&b, "offer");
		assert_non_null(strstr(text_at(o, "sdp"), e->ufrag));
		if (i == 1) {
			sdp = sdp_answer(text_at(o, "sdp"), "cln2", UINT64_MAX);
			conn_refused(&b, "conflict", "{ss sI ss}", "type", "answer", "rev",
			             int_at(o, "rev") - 1, "sdp", sdp);
			conn_do(&b, "{ss sI ss}", "type", "answer", "rev", int_at(o, "rev"), "sdp",
			        sdp);
			free(sdp);
		}
		json_decref(o);
	}
	conn_silent(&b);
	assert_int_equal(in_plane(SH_DEL_SUB), 2);
	for (unsigned i = 0; i < FAKE_ENDPOINTS; i++)
		if (world.dp.now.endpoint[i].id == e->id)
			assert_memory_equal(world.dp.now.endpoint[i].ufrag, e->ufrag,
			                    strlen(e->ufrag));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(in_and_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(maxima, setup, teardown),
	    cmocka_unit_test_setup_teardown(publish_and_watch, setup, teardown),
	    cmocka_unit_test_setup_teardown(offers_one_at_a_time, setup, teardown),
	    cmocka_unit_test_setup_teardown(by_hand, setup, teardown),
	    cmocka_unit_test_setup_teardown(refused_m_lines, setup, teardown),
	    cmocka_unit_test_setup_teardown(bad_offers, setup, teardown),
	    cmocka_unit_test_setup_teardown(quality, setup, teardown),
	    cmocka_unit_test_setup_teardown(ice_restarts, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
