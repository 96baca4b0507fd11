/* WHIP (RFC 9725): requests in, replies out, and what becomes of the room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/signaling/whip_fixture.h"

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
	    {1, 401, CP_POST, "/whip/r", NULL, SDP_TYPE, whip_av},
	    {2, 401, CP_POST, "/whip/r", "x", SDP_TYPE, whip_av},
	    {3, 403, CP_POST, "/whip/r", "t-ann-other", SDP_TYPE, whip_av},
	    {4, 403, CP_POST, "/whip/call-x", "t-ann", SDP_TYPE, whip_av},
	    {5, 415, CP_POST, "/whip/r", "t-ann", "application/json", whip_av},
	    {6, 415, CP_POST, "/whip/r", "t-ann", NULL, whip_av},
	    {7, 400, CP_POST, "/whip/r", "t-ann", SDP_TYPE, ""},
	    {8, 400, CP_POST, "/whip/r", "t-ann", SDP_TYPE, "v=0\r\n"},
	    {9, 400, CP_POST, "/whip/r?name=", "t-ann", SDP_TYPE, whip_av},
	    {10, 400, CP_POST, "/whip/r?name=a%20b", "t-ann", SDP_TYPE, whip_av},
	    {11, 400, CP_POST, "/whip/r?name=%zz", "t-ann", SDP_TYPE, whip_av},
	    {12, 400, CP_POST,
	     "/whip/"
	     "r?x=1&name=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	     "t-ann", SDP_TYPE, whip_av},
	    {13, 404, CP_POST, "/whip/", "t-ann", SDP_TYPE, whip_av},
	    {14, 404, CP_POST, "/whip/a b", "t-ann", SDP_TYPE, whip_av},
	    {15, 404, CP_POST, "/whip/r/x", "t-ann", SDP_TYPE, whip_av},
	    {16, 404, CP_POST, "/whep/r/x/y", "t-ann", SDP_TYPE, whip_recvonly},
	    {17, 404, CP_POST, "/whep/r/nobody", "t-ann", SDP_TYPE, whip_recvonly},
	    {18, 406, CP_POST, "/whip/r", "t-ann", SDP_TYPE, recv},
	    {19, 406, CP_POST, "/whep/r", "t-ann", SDP_TYPE, send},
	    {20, 406, CP_POST, "/whip/r", "t-ann", SDP_TYPE, data},
	    {21, 406, CP_POST, "/whep/r", "t-ann", SDP_TYPE, data},
	    {22, 405, CP_GET, "/whip/r", "t-ann", NULL, NULL},
	    {23, 405, CP_PUT, "/whep/r", "t-ann", SDP_TYPE, whip_av},
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

	conn_do(&whip_ann, "{ss ss}", "type", "join", "room", "r");
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int s =
		    whip_status(t[i].method, t[i].path, t[i].bearer, t[i].type, NULL, t[i].body);

		print_message("%d ", t[i].n);
		assert_int_equal(s, t[i].status);
		assert_int_equal(world_counts().participants, 1);
		assert_int_equal(world_counts().endpoints, 0);
	}
	print_message("\n");
	conn_silent(&whip_ann); // nobody was seen
	world_dataplane_dies();
	assert_int_equal(whip_status(CP_POST, "/whip/r", "t-ann", SDP_TYPE, NULL, whip_av), 503);
	world_dataplane_comes(false);
	world.calls->limits.max_tracks = 1;
	assert_int_equal(whip_status(CP_POST, "/whip/r", "t-ann", SDP_TYPE, NULL, whip_av), 429);
	world.calls->limits.max_participants = 1;
	assert_int_equal(whip_status(CP_POST, "/whep/r", "t-ann", SDP_TYPE, NULL, whip_recvonly),
	                 429);
	world.calls->limits.max_participants = 9;
	world.sig->conf.max_sessions = 1;
	assert_int_equal(whip_status(CP_POST, "/whep/r", "t-ann", SDP_TYPE, NULL, whip_recvonly),
	                 429);
	conn_silent(&whip_ann);
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

	conn_do(&whip_ann, "{ss ss}", "type", "join", "room", "r");
	h = whip_post("/whip/r?name=cam-1", "t-bob", whip_av);
	assert_string_equal(h.content_type, SDP_TYPE);
	assert_string_equal(h.etag, "\"1\"");
	assert_string_equal(h.accept, FRAG_TYPE);
	assert_int_equal(strncmp(h.location, "/whip/session/", 14), 0);
	assert_int_equal(sdp_count(h.body, "a=recvonly"), 2);
	assert_int_equal(sdp_count(h.body, "a=setup:passive"), 2);
	assert_int_equal(sdp_count(h.body, "a=ice-lite"), 1);
	o = conn_event(&whip_ann, "joined");
	assert_string_equal(text_at(json_object_get(o, "participant"), "display"), "cam-1");
	assert_string_equal(text_at(json_object_get(o, "participant"), "user"), "bob");
	json_decref(o);
	conn_skip(&whip_ann, "track_added");
	conn_skip(&whip_ann, "track_added");
	assert_int_equal(conn_answer(&whip_ann), 2);
	/* names */
	assert_int_equal(
	    whip_status(CP_POST, "/whip/r?name=cam-1", "t-eve", SDP_TYPE, NULL, whip_av), 409);
	assert_int_equal(whip_status(CP_POST, "/whip/r?name=ann", "t-eve", SDP_TYPE, NULL, whip_av),
	                 409);
	g = whip_post("/whip/r?name=ann", "t-ann", whip_av); // her own
	conn_forget(&whip_ann);
	assert_int_equal(whip_status(CP_DELETE, g.location, "t-ann", NULL, NULL, NULL), 200);
	http_done(&g);
	g = whip_post("/whip/elsewhere?name=cam-1", "t-eve", whip_av);
	assert_int_equal(whip_status(CP_DELETE, g.location, "t-eve", NULL, NULL, NULL), 200);
	http_done(&g);
	conn_forget(&whip_ann);
	/* who may end it */
	assert_int_equal(whip_status(CP_DELETE, h.location, "t-eve", NULL, NULL, NULL), 404);
	assert_int_equal(whip_status(CP_DELETE, h.location, NULL, NULL, NULL, NULL), 401);
	assert_int_equal(whip_status(CP_DELETE, h.location, "t-bob", NULL, "\"7\"", NULL),
	                 200); // etag ignored
	o = conn_event(&whip_ann, "left");
	assert_string_equal(text_at(o, "reason"), "left");
	json_decref(o);
	assert_int_equal(whip_status(CP_DELETE, h.location, "t-bob", NULL, NULL, NULL), 404);
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
	struct cp_http h = whip_post("/whip/r", "t-bob", whip_av), g;
	const struct cp_endpoint *e = whip_last_player()->party->endpoint[CP_PUBLISH];
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
	assert_int_equal(whip_status(CP_PATCH, h.location, "t-bob", FRAG_TYPE, "*", other), 503);
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
	assert_int_equal(whip_status(CP_PATCH, h.location, "t-bob", FRAG_TYPE, "\"1\"", other),
	                 412);
	assert_int_equal(whip_status(CP_PATCH, h.location, "t-bob", FRAG_TYPE, "\"2\"", other),
	                 204);
	assert_int_equal(whip_status(CP_PATCH, h.location, "t-bob", FRAG_TYPE, "\"2\"", same),
	                 200); // RFC 9725 §4.3.3
	assert_int_equal(whip_status(CP_PATCH, h.location, "t-eve", FRAG_TYPE, "\"3\"", same), 404);
	assert_int_equal(whip_status(CP_DELETE, h.location, "t-bob", NULL, NULL, NULL), 200);
	http_done(&h);
}

/* Media that never comes, goes, or is closed by DTLS ends the session; a dataplane that is away
 * does not. */
static void lost_media(void **state)
{
	struct cp_http h = whip_post("/whip/r", "t-bob", whip_av);
	const struct cp_endpoint *e = whip_last_player()->party->endpoint[CP_PUBLISH];

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
	h = whip_post("/whip/r", "t-bob", whip_av);
	http_done(&h);
	world_advance(28000);
	assert_int_equal(world.sig->counts.whip, 1);
	world_advance(5000);
	assert_int_equal(world.sig->counts.whip, 0);
	assert_int_equal(world_counts().rooms, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, whip_setup, whip_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(refused),
	    TEST(publishes),
	    TEST(patches),
	    TEST(lost_media),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
