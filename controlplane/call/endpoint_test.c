/* Transports: ICE and DTLS as the dataplane tells them, new certificates, lost dataplanes; and that
 * a thousand people who come and go leave nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "tests/fakes/call_world.h"

static struct cp_conn a, b;

static int setup(void **state)
{
	world_open(false);
	conn_login(&a, "ann", NULL);
	conn_login(&b, "bob", NULL);
	conn_do(&a, "{ss ss}", "type", "join", "room", "kitchen");
	conn_do(&b, "{ss ss}", "type", "join", "room", "kitchen");
	conn_skip(&a, "joined");
	return 0;
}

static int teardown(void **state)
{
	struct cp_calls_counts n;

	conn_drop(&a);
	conn_drop(&b);
	world_advance(61000);
	n = world_counts();
	assert_int_equal(
	    n.rooms + n.participants + n.endpoints + n.tracks + n.subs + n.dtls + n.calls, 0);
	world_close();
	return 0;
}

static void media(struct cp_conn *c, const char *target, const char *state)
{
	json_t *o = conn_event(c, "media");

	assert_string_equal(text_at(o, "target"), target);
	assert_string_equal(text_at(o, "state"), state);
	json_decref(o);
}

static struct cp_endpoint *publisher(struct cp_conn *c)
{
	return conn_party(c)->endpoint[CP_PUBLISH];
}

static const struct sh_msg_endpoint_keys *keys_of(const struct cp_endpoint *e)
{
	return &world.dp.now.keys[SH_ID_INDEX(e->id)];
}

static void not_before(uint64_t *ticket)
{
	assert_true(*ticket && !cp_plane_told(world.plane, *ticket));
	world_settle();
	assert_true(cp_plane_told(world.plane, *ticket));
	*ticket = 0;
}

/* Credentials are said when the dataplane knows them, and nothing else waits. */
static void answers_wait(void **state)
{
	struct cp_http h;
	char *sdp = sdp_file("aiortc_av");
	json_t *o;

	world_settle();
	assert_int_equal(a.ticket + b.ticket, 0);
	conn_send(&a, "{ss ss}", "type", "publish", "sdp", sdp);
	not_before(&a.ticket);
	conn_forget(&a);
	conn_skip(&b, "track_added");
	conn_skip(&b, "track_added");
	assert_true(b.ticket != 0); // the offer, at the end of the turn
	b.ticket = 0;
	(void)conn_answer(&b);
	conn_send(&a, "{ss ss}", "type", "chat", "text", "hello");
	conn_do(&b, "{ss ss}", "type", "restart", "target", "subscribe");
	assert_true(b.ticket != 0);
	o = conn_event(&b, "chat");
	json_decref(o);
	(void)conn_answer(&b);
	conn_forget(&a);
	assert_int_equal(a.ticket, 0);
	h = http(CP_POST, "/whip/kitchen", "t-eve", "application/sdp", NULL, sdp);
	assert_int_equal(h.status, 201);
	assert_true(h.ticket != 0);
	http_done(&h);
	conn_forget(&a);
	conn_forget(&b);
	free(sdp);
}

/* Both are connected, bob takes what ann sends. */
static void up(void)
{
	conn_publish(&a, NULL, NULL);
	world_connect(publisher(&a));
	media(&a, "publish", "connected");
	conn_skip(&b, "track_added");
	conn_skip(&b, "track_added");
	(void)conn_answer(&b);
	world_connect(conn_party(&b)->endpoint[CP_SUBSCRIBE]);
	media(&b, "subscribe", "connected");
	conn_silent(&a);
	conn_silent(&b);
}

static void connects(void **state)
{
	struct cp_endpoint *e;

	conn_publish(&a, NULL, NULL);
	e = publisher(&a);
	assert_null(e->dtls); // a slow ICE must not eat the handshake's time
	world_advance(40000);
	world_connect(e);
	assert_int_equal(keys_of(e)->profile, SH_SRTP_AEAD_AES_128_GCM);
	media(&a, "publish", "connected");
	world_ice(e, SH_ICE_DISCONNECTED);
	media(&a, "publish", "disconnected");
	world_ice(e, SH_ICE_CONNECTED);
	media(&a, "publish", "connected");
	conn_silent(&a);
	conn_forget(&b);
}

/* A DTLS datagram before ICE is told of, or before the answer, is not lost. */
static void early_dtls(void **state)
{
	struct cp_endpoint *e;
	char *sdp;
	json_t *o;

	conn_publish(&a, NULL, NULL);
	conn_forget(&a);
	conn_skip(&b, "track_added");
	conn_skip(&b, "track_added");
	o = conn_event(&b, "offer");
	e = conn_party(&b)->endpoint[CP_SUBSCRIBE];
	world_ice(e, SH_ICE_CONNECTED);
	for (int i = 0; i < 6; i++) {
		struct sh_msg_packet m = {.endpoint = e->id, .len = 20, .data = {22, 0xfe, 0xfd}};

		fake_dp_event(&world.dp, SH_MSG_RX_DTLS, &m, sh_msg_packet_size(20));
	}
	world_settle();
	assert_int_equal(e->n_early, CP_EARLY_MAX);
	assert_null(e->dtls);
	sdp = sdp_answer(text_at(o, "sdp"), "clnt", UINT64_MAX);
	conn_do(&b, "{ss sI ss}", "type", "answer", "rev", int_at(o, "rev"), "sdp", sdp);
	assert_non_null(e->dtls);
	assert_int_equal(e->n_early, 0);
	free(sdp);
	json_decref(o);
}

/* A handshake that never was done fails after a while, and an ICE restart allows another. */
static void failed_handshake(void **state)
{
	struct cp_endpoint *e;
	char *sdp;

	conn_publish(&a, NULL, NULL);
	conn_forget(&b);
	e = publisher(&a);
	world_ice(e, SH_ICE_CONNECTED);
	world_advance(31000);
	media(&a, "publish", "disconnected");
	sdp = sdp_edit(sdp_file("aiortc_av"), "a=ice-ufrag:POw1", "a=ice-ufrag:NEW1");
	conn_do(&a, "{ss ss ss}", "type", "restart", "target", "publish", "sdp", sdp);
	free(sdp);
	world_connect(e);
	media(&a, "publish", "connected");
}

/* Another certificate in an offer: another transport, so other tracks. */
static void new_publisher_certificate(void **state)
{
	sh_id old;
	char *sdp;

	up();
	old = publisher(&a)->id;
	sdp = sdp_edit(sdp_file("aiortc_av"), cp_dtls_fingerprint(world.peer_dtls),
	               cp_dtls_fingerprint(world.dtls));
	sdp = sdp_edit(sdp, "a=ice-ufrag:POw1", "a=ice-ufrag:NEW1");
	conn_do(&a, "{ss ss}", "type", "publish", "sdp", sdp);
	free(sdp);
	assert_int_not_equal(publisher(&a)->id, old);
	for (int i = 0; i < 2; i++)
		conn_skip(&b, "track_removed");
	for (int i = 0; i < 2; i++)
		conn_skip(&b, "track_added");
	assert_int_equal(conn_answer(&b), 2);
	assert_int_equal(world_counts().tracks, 2);
	assert_int_equal(world_counts().endpoints, 2);
}

/* The same in an answer, after a restart: the subscriber made another peer connection. New keys,
 * same endpoint. */
static void new_subscriber_certificate(void **state)
{
	struct sh_msg_endpoint_keys old;
	struct cp_endpoint *e;
	json_t *o;
	char *sdp;

	up();
	e = conn_party(&b)->endpoint[CP_SUBSCRIBE];
	old = *keys_of(e);
	conn_do(&b, "{ss ss}", "type", "restart", "target", "subscribe");
	o = conn_event(&b, "offer");
	sdp = sdp_answer(text_at(o, "sdp"), "cln2", UINT64_MAX);
	sdp = sdp_edit(sdp, cp_dtls_fingerprint(world.peer_dtls), cp_dtls_fingerprint(world.dtls));
	conn_do(&b, "{ss sI ss}", "type", "answer", "rev", int_at(o, "rev"), "sdp", sdp);
	free(sdp);
	json_decref(o);
	media(&b, "subscribe", "disconnected");
	assert_false(e->dtls_done);
	/* And once more with the certificate that the bench can speak for. */
	conn_do(&b, "{ss ss}", "type", "restart", "target", "subscribe");
	o = conn_event(&b, "offer");
	sdp = sdp_answer(text_at(o, "sdp"), "cln3", UINT64_MAX);
	conn_do(&b, "{ss sI ss}", "type", "answer", "rev", int_at(o, "rev"), "sdp", sdp);
	free(sdp);
	json_decref(o);
	world_connect(e);
	media(&b, "subscribe", "connected");
	assert_memory_not_equal(&old, keys_of(e), sizeof(old));
}

/* The publisher's codecs change: the dataplane maps what both know at once, the rest after the
 * answer. */
static void other_codecs(void **state)
{
	struct cp_sub *s;
	uint8_t before[SH_MAX_PTS], *pt = NULL;
	char *sdp;

	up();
	sdp = sdp_edit(sdp_file("aiortc_av"), "SAVPF 97 98 99 100 101 102", "SAVPF 99 100 97 98");
	TAILQ_FOREACH (s, &conn_party(&b)->subs, entry)
		if (s->track->kind == SH_KIND_VIDEO)
			pt = world.dp.now.sub[SH_ID_INDEX(s->plane_id)].pt;
	assert_non_null(pt);
	memcpy(before, pt, sizeof(before));
	conn_do(&a, "{ss ss}", "type", "publish", "sdp", sdp);
	free(sdp);
	/* VP8 was slot 0 and is slot 2 now, with the same number towards bob. */
	assert_int_equal(pt[2], before[0]);
	assert_int_equal(pt[0], before[2]);
	assert_int_equal(conn_answer(&b), 2);
	conn_silent(&b);
	assert_int_equal(pt[2], before[0]);
}

/* ---- dataplanes ---- */

static void dataplane_comes_back(void **state)
{
	static struct fake_tables before;
	unsigned changes;

	up();
	before = world.dp.now;
	changes = world.dp.changes;
	world_dataplane_dies();
	conn_do(&a, "{ss ss}", "type", "chat", "text", "still here");
	conn_forget(&a);
	conn_forget(&b);
	world_dataplane_comes(false);
	assert_memory_equal(&before, &world.dp.now, sizeof(before));
	assert_int_equal(world.dp.changes, changes);
	conn_silent(&a);
	conn_silent(&b);
}

static void dataplane_lost_its_slabs(void **state)
{
	struct cp_http h;
	json_t *o;
	char *sdp = sdp_file("aiortc_av");

	up();
	h = http(CP_POST, "/whip/kitchen?name=cam", "t-eve", "application/sdp", NULL, sdp);
	assert_int_equal(h.status, 201);
	http_done(&h);
	h = http(CP_POST, "/whep/kitchen", "t-eve", "application/sdp", NULL, sdp);
	assert_int_equal(h.status, 201);
	http_done(&h);
	conn_forget(&a);
	conn_forget(&b);
	world_dataplane_dies();
	world_dataplane_comes(true);
	assert_int_equal(world_counts().endpoints, 0);
	assert_int_equal(world_counts().participants, 2); // HTTP cannot be told to begin anew
	assert_int_equal(world.sig->counts.whip + world.sig->counts.whep, 0);
	for (int i = 0; i < 2; i++) {
		struct cp_conn *c = i ? &b : &a;
		unsigned resets = 0;

		while ((o = conn_take(c))) {
			resets += strcmp(text_at(o, "type"), "media_reset") == 0;
			json_decref(o);
		}
		assert_int_equal(resets, 2 - i); // ann had both, as she was sent the cam
	}
	/* Publishing anew brings all back. */
	conn_do(&a, "{ss ss}", "type", "publish", "sdp", sdp);
	conn_skip(&b, "track_added");
	conn_skip(&b, "track_added");
	assert_int_equal(conn_answer(&b), 2);
	free(sdp);
}

static void fewer_workers(void **state)
{
	up();
	assert_int_equal(world.calls->load[1], 1);
	world_dataplane_dies();
	world.dp.hello.workers = 1;
	world_dataplane_comes(false);
	assert_int_equal(world_counts().endpoints, 0);
	assert_int_equal(world.dp.refusals, 0);
	conn_skip(&a, "media_reset");
}

/* ---- many ---- */

static void a_thousand(void **state)
{
	struct cp_plane_counts p;
	unsigned timers = fake_loop_timers();
	struct cp_conn c;

	up();
	for (int i = 0; i < 1000; i++) {
		conn_login(&c, "guy", NULL);
		conn_do(&c, "{ss ss}", "type", "join", "room", i % 3 ? "kitchen" : "cellar");
		if (i % 2)
			conn_publish(&c, NULL, NULL);
		if (i % 5 == 0) { // as a page that is closed
			conn_drop(&c);
			world_advance(61000);
			continue;
		}
		conn_do(&c, "{ss}", "type", i % 7 ? "leave" : "logout");
		if (i % 7)
			conn_do(&c, "{ss}", "type", "logout");
		conn_drop(&c);
		conn_forget(&a);
		conn_forget(&b);
	}
	cp_plane_counts(world.plane, &p);
	assert_int_equal(world_counts().participants, 2);
	assert_int_equal(p.tracks, 2);
	assert_int_equal(world.sig->counts.sessions, 2);
	assert_true(fake_loop_timers() <= timers + 2); // DTLS of the two
	assert_int_equal(p.events_bad, 0);
	assert_int_equal(world.dp.refusals, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(connects, setup, teardown),
	    cmocka_unit_test_setup_teardown(answers_wait, setup, teardown),
	    cmocka_unit_test_setup_teardown(early_dtls, setup, teardown),
	    cmocka_unit_test_setup_teardown(failed_handshake, setup, teardown),
	    cmocka_unit_test_setup_teardown(new_publisher_certificate, setup, teardown),
	    cmocka_unit_test_setup_teardown(new_subscriber_certificate, setup, teardown),
	    cmocka_unit_test_setup_teardown(other_codecs, setup, teardown),
	    cmocka_unit_test_setup_teardown(dataplane_comes_back, setup, teardown),
	    cmocka_unit_test_setup_teardown(dataplane_lost_its_slabs, setup, teardown),
	    cmocka_unit_test_setup_teardown(fewer_workers, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_thousand, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
