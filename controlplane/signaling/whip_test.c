/* WHIP (RFC 9725) and WHEP: requests in, replies out, and what becomes of the room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "tests/fakes/call_world.h"

#define SDP_TYPE  "application/sdp"
#define FRAG_TYPE "application/trickle-ice-sdpfrag"

static struct cp_conn a;
static char *av, *recvonly, *chrome_recv;

static int setup(void **state)
{
	world_open(true);
	conn_login(&a, "ann", NULL);
	av = sdp_file("aiortc_av");
	recvonly = sdp_file("aiortc_recvonly");
	chrome_recv = sdp_file("chromium_recvonly");
	return 0;
}

static int teardown(void **state)
{
	struct cp_calls_counts n;

	conn_drop(&a);
	free(av);
	free(recvonly);
	free(chrome_recv);
	world_advance(62000);
	n = world_counts();
	assert_int_equal(n.rooms + n.participants + n.endpoints + n.tracks + n.subs + n.dtls, 0);
	assert_int_equal(world.sig->counts.whip + world.sig->counts.whep, 0);
	assert_int_equal(world.dp.refusals, 0);
	world_close();
	return 0;
}

static int status(enum cp_method method, const char *path, const char *bearer, const char *type,
                  const char *if_match, const char *body)
{
	struct cp_http h = http(method, path, bearer, type, if_match, body);

	http_done(&h);
	return h.status;
}

/* A session that stands; its Location out. */
static struct cp_http post(const char *path, const char *bearer, const char *sdp)
{
	struct cp_http h = http(CP_POST, path, bearer, SDP_TYPE, NULL, sdp);

	if (h.status != 201)
		print_message("%s: %d %s\n", path, h.status, h.body);
	assert_int_equal(h.status, 201);
	return h;
}

static struct cp_player *last_player(void)
{
	struct cp_player *p = NULL, *o;

	TAILQ_FOREACH (o, &world.sig->players, entry)
		p = o;
	return p;
}

static unsigned subs_flowing(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FAKE_SUBS; i++)
		for (unsigned k = 0; world.dp.now.sub[i].id && k < SH_MAX_PTS; k++)
			if (world.dp.now.sub[i].pt[k] != 255) {
				n++;
				break;
			}
	return n;
}

static void refused(void **state)
{
	char *send = sdp_edit(sdp_file("aiortc_av"), "a=sendrecv", "a=sendonly");
	char *recv = sdp_edit(sdp_file("aiortc_av"), "a=sendrecv", "a=recvonly");
	char *data = sdp_edit(sdp_file("aiortc_datachannel"), "a=sendrecv", "a=inactive");
	char *latin1 = sdp_edit(sdp_file("aiortc_av"), "profile-level-id=42001f",
	                        "profile-level-id=42001f;x=\xe9");
	char *no_ice = sdp_edit(sdp_file("aiortc_av"), "a=ice-ufrag", "a=x-ufrag");
	const struct {
		int n, status;
		enum cp_method method;
		const char *path, *bearer, *type, *body;
	} t[] = {
	    {1, 401, CP_POST, "/whip/r", NULL, SDP_TYPE, av},
	    {2, 401, CP_POST, "/whip/r", "x", SDP_TYPE, av},
	    {3, 403, CP_POST, "/whip/r", "t-ann-other", SDP_TYPE, av},
	    {4, 403, CP_POST, "/whip/call-x", "t-ann", SDP_TYPE, av},
	    {5, 415, CP_POST, "/whip/r", "t-ann", "application/json", av},
	    {6, 415, CP_POST, "/whip/r", "t-ann", NULL, av},
	    {7, 400, CP_POST, "/whip/r", "t-ann", SDP_TYPE, ""},
	    {8, 400, CP_POST, "/whip/r", "t-ann", SDP_TYPE, "v=0\r\n"},
	    {9, 400, CP_POST, "/whip/r?name=", "t-ann", SDP_TYPE, av},
	    {10, 400, CP_POST, "/whip/r?name=a%20b", "t-ann", SDP_TYPE, av},
	    {11, 400, CP_POST, "/whip/r?name=%zz", "t-ann", SDP_TYPE, av},
	    {12, 400, CP_POST,
	     "/whip/"
	     "r?x=1&name=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	     "t-ann", SDP_TYPE, av},
	    {13, 404, CP_POST, "/whip/", "t-ann", SDP_TYPE, av},
	    {14, 404, CP_POST, "/whip/a b", "t-ann", SDP_TYPE, av},
	    {15, 404, CP_POST, "/whip/r/x", "t-ann", SDP_TYPE, av},
	    {16, 404, CP_POST, "/whep/r/x/y", "t-ann", SDP_TYPE, recvonly},
	    {17, 404, CP_POST, "/whep/r/nobody", "t-ann", SDP_TYPE, recvonly},
	    {18, 406, CP_POST, "/whip/r", "t-ann", SDP_TYPE, recv},
	    {19, 406, CP_POST, "/whep/r", "t-ann", SDP_TYPE, send},
	    {20, 406, CP_POST, "/whip/r", "t-ann", SDP_TYPE, data},
	    {21, 406, CP_POST, "/whep/r", "t-ann", SDP_TYPE, data},
	    {22, 405, CP_GET, "/whip/r", "t-ann", NULL, NULL},
	    {23, 405, CP_PUT, "/whep/r", "t-ann", SDP_TYPE, av},
	    {24, 405, CP_DELETE, "/whip/r", "t-ann", NULL, NULL},
	    {25, 405, CP_GET, "/whip/session/x", "t-ann", NULL, NULL},
	    {26, 404, CP_DELETE, "/whip/session/x", "t-ann", NULL, NULL},
	    {27, 401, CP_DELETE, "/whip/session/x", NULL, NULL, NULL},
	    {28, 404, CP_PATCH, "/whip/session/x", "t-ann", FRAG_TYPE, ""},
	    {29, 404, CP_PATCH, "/whip/session/", "t-ann", FRAG_TYPE, ""},
	    {30, 400, CP_POST, "/whip/r", "t-ann", SDP_TYPE, latin1},
	    {31, 400, CP_POST, "/whep/r", "t-ann", SDP_TYPE, latin1},
	    {32, 422, CP_POST, "/whip/r", "t-ann", SDP_TYPE, no_ice},
	};

	conn_do(&a, "{ss ss}", "type", "join", "room", "r");
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int s = status(t[i].method, t[i].path, t[i].bearer, t[i].type, NULL, t[i].body);

		print_message("%d ", t[i].n);
		assert_int_equal(s, t[i].status);
		assert_int_equal(world_counts().participants, 1);
		assert_int_equal(world_counts().endpoints, 0);
	}
	print_message("\n");
	conn_silent(&a); // nobody was seen
	world_dataplane_dies();
	assert_int_equal(status(CP_POST, "/whip/r", "t-ann", SDP_TYPE, NULL, av), 503);
	world_dataplane_comes(false);
	world.calls->limits.max_tracks = 1;
	assert_int_equal(status(CP_POST, "/whip/r", "t-ann", SDP_TYPE, NULL, av), 429);
	world.calls->limits.max_participants = 1;
	assert_int_equal(status(CP_POST, "/whep/r", "t-ann", SDP_TYPE, NULL, recvonly), 429);
	world.calls->limits.max_participants = 9;
	world.sig->conf.max_sessions = 1;
	assert_int_equal(status(CP_POST, "/whep/r", "t-ann", SDP_TYPE, NULL, recvonly), 429);
	conn_silent(&a);
	free(send);
	free(recv);
	free(data);
	free(no_ice);
	free(latin1);
}

static void publishes(void **state)
{
	struct cp_http h, g;
	json_t *o;

	conn_do(&a, "{ss ss}", "type", "join", "room", "r");
	h = post("/whip/r?name=cam-1", "t-bob", av);
	assert_string_equal(h.content_type, SDP_TYPE);
	assert_string_equal(h.etag, "\"1\"");
	assert_string_equal(h.accept, FRAG_TYPE);
	assert_int_equal(strncmp(h.location, "/whip/session/", 14), 0);
	assert_int_equal(sdp_count(h.body, "a=recvonly"), 2);
	assert_int_equal(sdp_count(h.body, "a=setup:passive"), 2);
	assert_int_equal(sdp_count(h.body, "a=ice-lite"), 1);
	o = conn_event(&a, "joined");
	assert_string_equal(text_at(json_object_get(o, "participant"), "display"), "cam-1");
	assert_string_equal(text_at(json_object_get(o, "participant"), "user"), "bob");
	json_decref(o);
	conn_skip(&a, "track_added");
	conn_skip(&a, "track_added");
	assert_int_equal(conn_answer(&a), 2);
	/* names */
	assert_int_equal(status(CP_POST, "/whip/r?name=cam-1", "t-eve", SDP_TYPE, NULL, av), 409);
	assert_int_equal(status(CP_POST, "/whip/r?name=ann", "t-eve", SDP_TYPE, NULL, av), 409);
	g = post("/whip/r?name=ann", "t-ann", av); // her own
	conn_forget(&a);
	assert_int_equal(status(CP_DELETE, g.location, "t-ann", NULL, NULL, NULL), 200);
	http_done(&g);
	g = post("/whip/elsewhere?name=cam-1", "t-eve", av);
	assert_int_equal(status(CP_DELETE, g.location, "t-eve", NULL, NULL, NULL), 200);
	http_done(&g);
	conn_forget(&a);
	/* who may end it */
	assert_int_equal(status(CP_DELETE, h.location, "t-eve", NULL, NULL, NULL), 404);
	assert_int_equal(status(CP_DELETE, h.location, NULL, NULL, NULL, NULL), 401);
	assert_int_equal(status(CP_DELETE, h.location, "t-bob", NULL, "\"7\"", NULL),
	                 200); // etag ignored
	o = conn_event(&a, "left");
	assert_string_equal(text_at(o, "reason"), "left");
	json_decref(o);
	assert_int_equal(status(CP_DELETE, h.location, "t-bob", NULL, NULL, NULL), 404);
	http_done(&h);
	h = http(CP_OPTIONS, "/whip/r", NULL, NULL, NULL, NULL);
	assert_int_equal(h.status, 200);
	assert_string_equal(h.accept, SDP_TYPE);
	http_done(&h);
	h = http(CP_GET, "/whip/r", NULL, NULL, NULL, NULL);
	assert_string_equal(h.allow, "POST, OPTIONS");
	http_done(&h);
}

static void patches(void **state)
{
	static const char same[] =
	    "a=ice-ufrag:POw1\r\na=ice-pwd:P6WfB9YckMl1taSkR5AUG4\r\nm=audio 9 UDP/TLS/RTP/SAVPF "
	    "0\r\n"
	    "a=mid:0\r\na=candidate:1 1 udp 2130706431 192.0.2.2 5000 typ host\r\n"
	    "a=end-of-candidates\r\n";
	static const char other[] = "a=ice-ufrag:NEW1\r\na=ice-pwd:P6WfB9YckMl1taSkR5AUG5\r\nm="
	                            "audio 9 UDP/TLS/RTP/SAVPF 0\r\n"
	                            "a=mid:0\r\n";
	static const char half[] =
	    "a=ice-ufrag:NEW1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n";
	struct cp_http h = post("/whip/r", "t-bob", av), g;
	const struct cp_endpoint *e = last_player()->party->endpoint[CP_PUBLISH];
	const struct {
		int n, status;
		const char *type, *if_match, *body;
	} t[] = {
	    {1, 415, SDP_TYPE, "\"1\"", same},  {2, 428, FRAG_TYPE, NULL, same},
	    {3, 412, FRAG_TYPE, "\"2\"", same}, {4, 412, FRAG_TYPE, "1", same},
	    {5, 204, FRAG_TYPE, "\"1\"", same}, {6, 204, FRAG_TYPE, "\"*\"", same},
	    {7, 400, FRAG_TYPE, "\"1\"", half}, {8, 400, FRAG_TYPE, "*", "nonsense"},
	};
	char ufrag[33];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		print_message("%d ", t[i].n);
		g = http(CP_PATCH, h.location, "t-bob", t[i].type, t[i].if_match, t[i].body);
		assert_int_equal(g.status, t[i].status);
		assert_string_equal(g.etag, "");
		http_done(&g);
	}
	print_message("\n");
	snprintf(ufrag, sizeof(ufrag), "%s", e->ufrag);
	world_dataplane_dies();
	assert_int_equal(status(CP_PATCH, h.location, "t-bob", FRAG_TYPE, "*", other), 503);
	world_dataplane_comes(false);
	assert_string_equal(e->ufrag, ufrag); // as it was
	g = http(CP_PATCH, h.location, "t-bob", FRAG_TYPE, "*", other);
	assert_int_equal(g.status, 200);
	assert_string_equal(g.etag, "\"2\"");
	assert_string_equal(g.content_type, FRAG_TYPE);
	assert_string_not_equal(e->ufrag, ufrag);
	assert_non_null(strstr(g.body, e->ufrag));
	assert_non_null(strstr(g.body, "a=candidate:"));
	http_done(&g);
	assert_int_equal(status(CP_PATCH, h.location, "t-bob", FRAG_TYPE, "\"1\"", other), 412);
	assert_int_equal(status(CP_PATCH, h.location, "t-bob", FRAG_TYPE, "\"2\"", other), 204);
	assert_int_equal(status(CP_PATCH, h.location, "t-bob", FRAG_TYPE, "\"2\"", same),
	                 200); // RFC 9725 §4.3.3
	assert_int_equal(status(CP_PATCH, h.location, "t-eve", FRAG_TYPE, "\"3\"", same), 404);
	assert_int_equal(status(CP_DELETE, h.location, "t-bob", NULL, NULL, NULL), 200);
	http_done(&h);
}

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
	struct cp_http h = post("/whep/r", "t-eve", chrome_recv), pub, pub2;
	uint32_t a_ssrc, v_ssrc;
	sh_id id;

	assert_string_equal(h.content_type, SDP_TYPE);
	assert_int_equal(strncmp(h.location, "/whep/session/", 14), 0);
	assert_int_equal(sdp_count(h.body, "a=sendonly"), 2);
	a_ssrc = announced(h.body, "m=audio");
	v_ssrc = announced(h.body, "m=video");
	assert_int_equal(slot_of(a_ssrc), 0); // of the empty room
	assert_int_equal(slot_of(v_ssrc), 0);
	assert_int_equal(subs_flowing(), 2);
	id = sub_of(a_ssrc)->id;
	pub = post("/whip/r", "t-bob", av);
	pub2 = post("/whip/r", "t-kim", av);
	speak(NULL, "bob", "kim");
	assert_int_equal(slot_of(a_ssrc), 0); // nobody was louder yet
	speak("kim", "bob", "kim");
	assert_int_equal(slot_of(a_ssrc), 1);
	assert_int_equal(slot_of(v_ssrc), 1);
	assert_int_equal(sub_of(a_ssrc)->id, id);
	assert_int_equal(subs_there(), 2);
	speak("bob", "bob", "kim");
	assert_int_equal(slot_of(a_ssrc), 0);
	assert_int_equal(status(CP_DELETE, pub.location, "t-bob", NULL, NULL, NULL), 200);
	assert_int_equal(slot_of(a_ssrc), 1); // at once: the dataplane has not said anything
	assert_int_equal(slot_of(v_ssrc), 1);
	http_done(&pub);
	pub = post("/whip/r", "t-dan", av);
	speak("dan", "dan", "kim");
	assert_int_equal(slot_of(a_ssrc), 0);
	assert_int_equal(slot_of(v_ssrc), 0);
	assert_int_equal(status(CP_DELETE, pub.location, "t-dan", NULL, NULL, NULL), 200);
	assert_int_equal(status(CP_DELETE, pub2.location, "t-kim", NULL, NULL, NULL), 200);
	speak(NULL, NULL, NULL);
	assert_int_equal(sub_of(a_ssrc)->id, id); // and waits for the next
	assert_int_equal(subs_there(), 2);
	assert_int_equal(status(CP_DELETE, h.location, "t-eve", NULL, NULL, NULL), 200);
	assert_int_equal(subs_there(), 0);
	http_done(&h);
	http_done(&pub);
	http_done(&pub2);
}

/* The slots are the player's alone: who is there by WebSocket goes on being sent the tracks. What
 * no slot stands for, a screen, has an m-line whose slot is empty. */
static void plays_a_small_room(void **state)
{
	struct cp_http h = post("/whep/r", "t-eve", recvonly), pub;
	uint32_t v_ssrc = announced(h.body, "m=video");
	json_t *o;

	conn_do(&a, "{ss ss}", "type", "join", "room", "r"); // does not see it
	conn_silent(&a);
	pub = post("/whip/r", "t-bob", av);
	conn_skip(&a, "joined");
	conn_skip(&a, "track_added");
	conn_skip(&a, "track_added");
	o = conn_event(&a, "offer");
	assert_int_equal(json_array_size(json_object_get(o, "tracks")), 2);
	assert_null(json_object_get(json_array_get(json_object_get(o, "tracks"), 0), "slot"));
	json_decref(o);
	speak("bob", "bob", NULL);
	o = conn_event(&a, "speakers");
	assert_int_equal(json_array_size(json_object_get(o, "audio")), 0); // nothing to her
	assert_int_equal(json_array_size(json_object_get(o, "video")), 0);
	json_decref(o);
	assert_int_equal(slot_of(v_ssrc), 0);
	assert_int_equal(status(CP_DELETE, pub.location, "t-bob", NULL, NULL, NULL), 200);
	conn_forget(&a);
	speak(NULL, NULL, NULL);
	json_decref(conn_ok(&a, "{ss ss s[{ssss}{ssss}]}", "type", "publish", "sdp", av, "tracks",
	                    "mid", "0", "source", "screen_audio", "mid", "1", "source", "screen"));
	world_settle();
	assert_int_equal(subs_there(), 2);
	for (unsigned i = 0; i < FAKE_SUBS; i++)
		if (world.dp.now.sub[i].id)
			assert_false(world.dp.now.track[SH_ID_INDEX(world.dp.now.sub[i].track)].flags &
			             SH_TRACK_SLOT);
	assert_int_equal(status(CP_DELETE, h.location, "t-eve", NULL, NULL, NULL), 200);
	conn_forget(&a);
	http_done(&h);
	http_done(&pub);
}

/* Configured to have no slots: tracks themselves, each with an SSRC of its own. */
static void plays_without_slots(void **state)
{
	struct cp_http h, pub, pub2;
	uint32_t first;

	world.calls->limits.audio_slots = 0;
	h = post("/whep/r", "t-eve", chrome_recv);
	assert_int_equal(subs_flowing(), 0);
	first = announced(h.body, "m=audio");
	pub = post("/whip/r", "t-bob", av);
	assert_int_equal(subs_flowing(), 2);
	assert_int_equal(sub_of(first)->track, published("bob", SH_KIND_AUDIO)); // as announced
	pub2 = post("/whip/r", "t-ann", av);
	assert_int_equal(subs_flowing(), 2); // no room for more
	assert_int_equal(status(CP_DELETE, pub.location, "t-bob", NULL, NULL, NULL), 200);
	assert_int_equal(subs_flowing(), 2); // the other's now
	for (unsigned i = 0; i < FAKE_SUBS; i++)
		assert_true(!world.dp.now.sub[i].id || world.dp.now.sub[i].ssrc != first);
	assert_int_equal(status(CP_DELETE, pub2.location, "t-ann", NULL, NULL, NULL), 200);
	assert_int_equal(subs_flowing(), 0);
	conn_do(&a, "{ss ss}", "type", "join", "room", "r");
	conn_publish(&a, NULL, NULL);
	assert_int_equal(subs_flowing(), 2);
	conn_do(&a, "{ss s[s]}", "type", "unpublish", "tracks",
	        TAILQ_FIRST(&conn_party(&a)->tracks)->id);
	assert_int_equal(subs_flowing(), 1);
	assert_int_equal(status(CP_DELETE, h.location, "t-eve", NULL, NULL, NULL), 200);
	assert_int_equal(subs_flowing(), 0);
	conn_silent(&a);
	http_done(&h);
	http_done(&pub);
	http_done(&pub2);
}

static void plays_a_name(void **state)
{
	struct cp_http cam = post("/whip/r?name=cam", "t-bob", av),
	               other = post("/whip/r", "t-eve", av), h, g;

	h = post("/whep/r/cam", "t-ann", recvonly);
	assert_int_equal(subs_flowing(), 2);
	assert_int_equal(status(CP_POST, "/whep/r/bob", "t-ann", SDP_TYPE, NULL, recvonly),
	                 404); // he is cam here
	g = post("/whep/r/eve", "t-ann", recvonly);
	assert_int_equal(subs_flowing(), 4);
	assert_int_equal(status(CP_DELETE, g.location, "t-ann", NULL, NULL, NULL), 200);
	http_done(&g);
	/* The camera goes: eve does not take its place; it comes back in time; it stays away. */
	world_connect(last_player()->party->endpoint[CP_SUBSCRIBE]);
	assert_int_equal(status(CP_DELETE, cam.location, "t-bob", NULL, NULL, NULL), 200);
	http_done(&cam);
	assert_int_equal(subs_flowing(), 0);
	world_advance(20000);
	cam = post("/whip/r?name=cam", "t-bob", av);
	assert_int_equal(subs_flowing(), 2);
	world_connect(last_player()->party->endpoint[CP_PUBLISH]);
	world_advance(40000);
	assert_int_equal(world.sig->counts.whep, 1);
	assert_int_equal(status(CP_DELETE, cam.location, "t-bob", NULL, NULL, NULL), 200);
	world_advance(34000);
	assert_int_equal(world.sig->counts.whep, 0);
	assert_int_equal(status(CP_DELETE, h.location, "t-ann", NULL, NULL, NULL), 404);
	assert_int_equal(world.sig->counts.whip, 0); // eve never connected
	http_done(&cam);
	http_done(&other);
	http_done(&h);
}

/* Media that never comes, goes, or is closed by DTLS ends the session; a dataplane that is away
 * does not. */
static void lost_media(void **state)
{
	struct cp_http h = post("/whip/r", "t-bob", av);
	const struct cp_endpoint *e = last_player()->party->endpoint[CP_PUBLISH];

	http_done(&h);
	world_connect(e);
	world_advance(120000);
	assert_int_equal(world.sig->counts.whip, 1);
	world_ice(e, SH_ICE_DISCONNECTED);
	world_advance(29000);
	assert_int_equal(world.sig->counts.whip, 1);
	world_dataplane_dies();
	world_advance(120000);
	assert_int_equal(world.sig->counts.whip, 1);
	world_dataplane_comes(false);
	world_advance(4000);
	assert_int_equal(world.sig->counts.whip, 0);
	h = post("/whip/r", "t-bob", av);
	http_done(&h);
	world_advance(28000);
	assert_int_equal(world.sig->counts.whip, 1);
	world_advance(5000);
	assert_int_equal(world.sig->counts.whip, 0);
	assert_int_equal(world_counts().rooms, 0);
}

/* The daemon is killed: players and publishers are where they were, and can still be told to end.
 */
static void restarts(void **state)
{
	static struct fake_tables before;
	struct cp_http pub = post("/whip/r?name=cam", "t-bob", av),
	               play = post("/whep/r", "t-eve", chrome_recv), late;
	unsigned changes;
	uint32_t audio;

	world_restart(true); /* not connected yet: it still has its time */
	world_advance(10000);
	assert_int_equal(world.sig->counts.whip + world.sig->counts.whep, 2);
	world_connect(TAILQ_FIRST(&world.sig->players)->party->endpoint[CP_PUBLISH]);
	world_connect(last_player()->party->endpoint[CP_SUBSCRIBE]);
	before = world.dp.now;
	changes = world.dp.changes;
	assert_int_equal(subs_flowing(), 2);
	for (int killed = 0; killed < 2; killed++) {
		world_restart(killed);
		assert_int_equal(world.sig->counts.whip, 1);
		assert_int_equal(world.sig->counts.whep, 1);
		assert_int_equal(world.dp.changes, changes);
		assert_memory_equal(before.sub, world.dp.now.sub, sizeof(before.sub));
		world_advance(5000); // a sweep
		assert_int_equal(world.sig->counts.whip + world.sig->counts.whep, 2);
	}
	assert_int_equal(status(CP_POST, "/whip/r?name=cam", "t-eve", SDP_TYPE, NULL, av), 409);
	audio = announced(play.body, "m=audio");
	assert_int_equal(slot_of(audio), 0);
	late = post("/whip/r", "t-ann", av);
	speak("ann", "cam", "ann");
	assert_int_equal(slot_of(audio), 1); // what was restored follows
	assert_int_equal(status(CP_DELETE, pub.location, "t-bob", NULL, NULL, NULL), 200);
	assert_int_equal(subs_flowing(), 2);
	assert_int_equal(status(CP_DELETE, play.location, "t-eve", NULL, NULL, NULL), 200);
	assert_int_equal(status(CP_DELETE, late.location, "t-ann", NULL, NULL, NULL), 200);
	world_restart(true);
	assert_int_equal(world.sig->counts.whip + world.sig->counts.whep, 0);
	http_done(&pub);
	http_done(&play);
	http_done(&late);
	conn_drop(&a);
	conn_open(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(publishes, setup, teardown),
	    cmocka_unit_test_setup_teardown(patches, setup, teardown),
	    cmocka_unit_test_setup_teardown(plays_the_room, setup, teardown),
	    cmocka_unit_test_setup_teardown(plays_a_small_room, setup, teardown),
	    cmocka_unit_test_setup_teardown(plays_without_slots, setup, teardown),
	    cmocka_unit_test_setup_teardown(plays_a_name, setup, teardown),
	    cmocka_unit_test_setup_teardown(lost_media, setup, teardown),
	    cmocka_unit_test_setup_teardown(restarts, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
