/* What outlives a connection, and what outlives the daemon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "tests/fakes/call_world.h"

static struct cp_conn a, b, a2;
static char secret[65], secret_b[65];

static int setup(void **state)
{
	world_open(true);
	conn_login(&a, "ann", secret);
	conn_login(&b, "bob", secret_b);
	return 0;
}

static int teardown(void **state)
{
	conn_drop(&a);
	conn_drop(&b);
	world_close();
	return 0;
}

static json_int_t last_seq(struct cp_conn *c)
{
	return (json_int_t)conn_session(c)->seq;
}

/* Resumes on a connection of its own; the reply is to be decref'd. */
static json_t *resume(struct cp_conn *c, char with[65], json_int_t seq)
{
	json_t *o;

	conn_open(c);
	o = conn_ok(c, "{ss ss sI}", "type", "resume", "resume", with, "seq", seq);
	snprintf(with, 65, "%s", text_at(o, "resume"));
	return o;
}

static void both_join(void)
{
	conn_do(&a, "{ss ss}", "type", "join", "room", "kitchen");
	conn_do(&b, "{ss ss}", "type", "join", "room", "kitchen");
	conn_skip(&a, "joined");
}

static void replays(void **state)
{
	char id[CP_ID_MAX];
	json_int_t seen;
	json_t *o;

	both_join();
	snprintf(id, sizeof(id), "%s", conn_party(&a)->id);
	seen = last_seq(&a);
	conn_drop(&a);
	for (int i = 0; i < 3; i++)
		conn_do(&b, "{ss ss}", "type", "chat", "text", "anyone?");
	conn_forget(&b);
	o = resume(&a, secret, seen);
	assert_string_equal(text_at(o, "user"), "ann");
	assert_string_equal(text_at(o, "room"), "kitchen");
	assert_string_equal(text_at(o, "participant"), id);
	assert_int_equal(json_array_size(json_object_get(o, "participants")), 1);
	assert_true(json_is_true(json_object_get(o, "replayed")));
	assert_int_equal(int_at(o, "seq"), seen);
	assert_int_equal(int_at(o, "resume_ttl"), 60);
	json_decref(o);
	for (int i = 1; i <= 3; i++) {
		o = conn_event(&a, "chat");
		assert_int_equal(int_at(o, "seq"), seen + i);
		json_decref(o);
	}
	conn_silent(&a);
	conn_silent(&b); // bob noticed nothing
	/* Nothing was missed. */
	conn_drop(&a);
	o = resume(&a, secret, seen + 3);
	assert_true(json_is_true(json_object_get(o, "replayed")));
	json_decref(o);
	conn_silent(&a);
	/* A number from the future, and one long gone. */
	conn_drop(&a);
	o = resume(&a, secret, 1000000);
	assert_true(json_is_false(json_object_get(o, "replayed")));
	assert_int_equal(int_at(o, "seq"), last_seq(&a));
	json_decref(o);
	conn_silent(&a);
	conn_drop(&a);
	for (int i = 0; i < CP_EVENTS_KEPT + 1; i++) {
		conn_send(&b, "{ss ss}", "type", "chat", "text", "?");
		world_advance(20);
	}
	conn_forget(&b);
	o = resume(&a, secret, seen + 3);
	assert_true(json_is_false(json_object_get(o, "replayed")));
	json_decref(o);
	conn_silent(&a);
}

/* Kept events have a limit in bytes too. */
static void long_events(void **state)
{
	char *text = calloc(1, CP_CHAT_MAX + 1);
	json_int_t seen;
	json_t *o;

	both_join();
	seen = last_seq(&a);
	conn_drop(&a);
	memset(text, 'x', CP_CHAT_MAX);
	for (int i = 0; i < 200; i++) {
		conn_send(&b, "{ss ss}", "type", "chat", "text", text);
		world_advance(20);
	}
	free(text);
	o = resume(&a, secret, seen);
	assert_true(json_is_false(json_object_get(o, "replayed")));
	assert_true(conn_session(&a)->kept <= CP_EVENTS_BYTES);
	json_decref(o);
	conn_drop(&a);
	o = resume(&a, secret,
	           last_seq(&b) > 50 ? (json_int_t)world.sig->sessions.tqh_first->seq - 50 : 0);
	assert_true(json_is_true(json_object_get(o, "replayed")));
	json_decref(o);
	conn_forget(&a);
}

static void secrets(void **state)
{
	char old[65], lost[65];
	json_t *o;

	snprintf(old, sizeof(old), "%s", secret);
	conn_drop(&a);
	conn_open(&a2);
	conn_refused(&a2, "not_found", "{ss ss sI}", "type", "resume", "resume", "0", "seq",
	             (json_int_t)0);
	conn_refused(&a2, "bad_request", "{ss ss}", "type", "resume", "resume", "0");
	conn_drop(&a2);
	/* 1: the reply with the new secret is lost: the old one is good still */
	json_decref(resume(&a, secret, 0));
	conn_drop(&a);
	snprintf(lost, sizeof(lost), "%s", secret);
	snprintf(secret, sizeof(secret), "%s", old);
	json_decref(resume(&a, secret, 0));
	/* 2: until a request shows that it arrived; the lost one is not good for anything */
	conn_do(&a, "{ss}", "type", "ping");
	conn_drop(&a);
	conn_open(&a2);
	conn_refused(&a2, "not_found", "{ss ss sI}", "type", "resume", "resume", old, "seq",
	             (json_int_t)0);
	conn_refused(&a2, "not_found", "{ss ss sI}", "type", "resume", "resume", lost, "seq",
	             (json_int_t)0);
	conn_drop(&a2);
	/* 3: a ghost: the old connection is not closed yet */
	json_decref(resume(&a, secret, 0));
	o = resume(&a2, secret, 0);
	json_decref(o);
	world_settle();
	assert_int_equal(a.close_code, 1000);
	assert_false(a.open);
	conn_do(&a2, "{ss}", "type", "ping");
	world_advance(70000);
	conn_do(&a2, "{ss}", "type", "ping"); // the ghost's end did not start the clock
	/* 4: too late */
	conn_drop(&a2);
	world_advance(61000);
	conn_open(&a2);
	conn_refused(&a2, "not_found", "{ss ss sI}", "type", "resume", "resume", secret, "seq",
	             (json_int_t)0);
	conn_drop(&a2);
	/* 5: after a logout */
	conn_do(&b, "{ss}", "type", "logout");
	conn_refused(&b, "not_found", "{ss ss sI}", "type", "resume", "resume", secret_b, "seq",
	             (json_int_t)0);
}

/* An offer that was missed comes by replay; one whose answer was lost comes again. */
static void offers(void **state)
{
	json_int_t seen, rev;
	char *sdp;
	json_t *o;

	both_join();
	seen = last_seq(&a);
	conn_drop(&a);
	conn_publish(&b, NULL, NULL);
	json_decref(resume(&a, secret, seen));
	conn_skip(&a, "track_added");
	conn_skip(&a, "track_added");
	o = conn_event(&a, "offer");
	rev = int_at(o, "rev");
	seen = int_at(o, "seq");
	sdp = sdp_answer(text_at(o, "sdp"), "clnt", UINT64_MAX);
	json_decref(o);
	conn_silent(&a);
	conn_drop(&a);
	json_decref(resume(&a, secret, seen));
	o = conn_event(&a, "offer");
	assert_int_equal(int_at(o, "rev"), rev + 1);
	conn_refused(&a, "conflict", "{ss sI ss}", "type", "answer", "rev", rev, "sdp", sdp);
	conn_do(&a, "{ss sI ss}", "type", "answer", "rev", rev + 1, "sdp", sdp);
	free(sdp);
	json_decref(o);
	conn_silent(&a);
	conn_drop(&a);
	json_decref(resume(&a, secret, last_seq(&b) + 1000));
	conn_silent(&a); // answered: nothing to say
}

/* ---- the daemon ---- */

static void connect_all(void)
{
	conn_publish(&a, NULL, NULL);
	world_connect(conn_party(&a)->endpoint[CP_PUBLISH]);
	conn_forget(&a);
	conn_skip(&b, "track_added");
	conn_skip(&b, "track_added");
	(void)conn_answer(&b);
	world_connect(conn_party(&b)->endpoint[CP_SUBSCRIBE]);
	conn_forget(&b);
}

static void daemon_restart(bool killed)
{
	static struct fake_tables before;
	char id[CP_ID_MAX];
	json_int_t seen;
	unsigned changes, packets;
	json_t *o;

	both_join();
	connect_all();
	conn_do(&b, "{ss s[s] sb}", "type", "pause", "tracks",
	        TAILQ_FIRST(&conn_party(&a)->tracks)->id, "paused", 1);
	conn_do(&b, "{ss ss si si si si}", "type", "quality", "track",
	        TAILQ_FIRST(&conn_party(&a)->tracks)->id, "height", 180, "max_layer", 1,
	        "max_temporal", 2, "priority", 9);
	conn_do(&a, "{ss ss sb}", "type", "mute", "track",
	        TAILQ_NEXT(TAILQ_FIRST(&conn_party(&a)->tracks), entry)->id, "muted", 1);
	conn_forget(&b);
	snprintf(id, sizeof(id), "%s", conn_party(&a)->id);
	seen = last_seq(&a);
	before = world.dp.now;
	changes = world.dp.changes;
	packets = world.dtls_in;
	world_restart(killed);
	if (!killed) {
		o = conn_event(&a, "shutdown");
		assert_int_equal(int_at(o, "seq"), seen + 1);
		seen++;
		json_decref(o);
	}
	/* The same names, the same keys; nothing touched; no close_notify to anybody. */
	for (unsigned i = 0; i < FAKE_ENDPOINTS; i++) {
		assert_memory_equal(&before.endpoint[i], &world.dp.now.endpoint[i],
		                    sizeof(before.endpoint[i]));
		assert_memory_equal(&before.keys[i], &world.dp.now.keys[i], sizeof(before.keys[i]));
		assert_memory_equal(&before.track[i], &world.dp.now.track[i],
		                    sizeof(before.track[i]));
		assert_memory_equal(&before.sub[i], &world.dp.now.sub[i], sizeof(before.sub[i]));
	}
	assert_int_equal(world.dp.changes, changes);
	assert_int_equal(world.dtls_in, packets);
	assert_int_equal(world.dp.full_commits, 2);
	assert_int_equal(world_counts().subs, 2);
	json_decref(a.frames);
	json_decref(b.frames);
	o = resume(&a, secret, seen);
	assert_true(json_is_false(json_object_get(o, "replayed")));
	assert_string_equal(text_at(o, "participant"), id);
	assert_string_equal(text_at(o, "room"), "kitchen");
	json_decref(o);
	conn_silent(&a);
	json_decref(resume(&b, secret_b, 0));
	conn_silent(&b);
	/* Life goes on: numbers grow, media is where it was, and offers follow on. */
	conn_do(&a, "{ss ss}", "type", "chat", "text", "back");
	o = conn_event(&a, "chat");
	assert_true(int_at(o, "seq") > seen + 1);
	json_decref(o);
	conn_skip(&b, "chat");
	assert_int_equal(conn_party(&b)->endpoint[CP_SUBSCRIBE]->state, CP_MEDIA_CONNECTED);
	conn_publish(&b, NULL, NULL);
	conn_skip(&a, "track_added");
	conn_skip(&a, "track_added");
	assert_int_equal(conn_answer(&a), 2);
	conn_do(&a, "{ss}", "type", "leave");
	conn_skip(&b, "left");
	o = conn_event(&b, "offer");
	assert_int_equal(sdp_count(text_at(o, "sdp"), "a=inactive"), 2);
	json_decref(o);
}

static void daemon_killed(void **state)
{
	daemon_restart(true);
}

static void daemon_stopped(void **state)
{
	daemon_restart(false);
}

/* In the middle of things: an offer without its answer, an m-line to be tidied, a session without a
 * client. */
static void killed_in_the_middle(void **state)
{
	char *sdp;
	json_t *o;

	both_join();
	conn_publish(&a, NULL, NULL);
	conn_skip(&b, "track_added");
	conn_skip(&b, "track_added");
	conn_skip(&b, "offer");
	conn_do(&a, "{ss s[s]}", "type", "unpublish", "tracks",
	        TAILQ_FIRST(&conn_party(&a)->tracks)->id);
	conn_drop(&a);
	world_restart(true);
	assert_int_equal(world_counts().participants, 2);
	json_decref(b.frames);
	json_decref(resume(&b, secret_b, 0));
	o = conn_event(&b, "offer");
	assert_int_equal(int_at(o, "rev"), 2);
	assert_int_equal(sdp_count(text_at(o, "sdp"), "m="), 2);
	assert_int_equal(json_array_size(json_object_get(o, "tracks")), 1);
	sdp = sdp_answer(text_at(o, "sdp"), "clnt", UINT64_MAX);
	conn_do(&b, "{ss sI ss}", "type", "answer", "rev", (json_int_t)2, "sdp", sdp);
	json_decref(o);
	free(sdp);
	conn_silent(&b);
	world_advance(61000); // ann does not come back
	conn_skip(&b, "left");
	assert_int_equal(world_counts().participants, 1);
	conn_open(&a);
}

static void calls_go_on(void **state)
{
	char call[CP_ID_MAX], room[CP_ID_MAX + 8];
	json_t *o = conn_ok(&a, "{ss ss ss}", "type", "call", "to", "bob", "media", "audio");

	snprintf(call, sizeof(call), "%s", text_at(o, "call"));
	snprintf(room, sizeof(room), "%s", text_at(o, "room"));
	json_decref(o);
	world_restart(true);
	json_decref(a.frames);
	json_decref(b.frames);
	json_decref(resume(&a, secret, 1));
	json_decref(resume(&b, secret_b, 1));
	o = conn_event(&b, "ring"); // said again, since it may have been missed
	assert_string_equal(text_at(o, "call"), call);
	json_decref(o);
	conn_do(&b, "{ss ss}", "type", "accept", "call", call);
	conn_skip(&a, "accepted");
	conn_do(&a, "{ss ss}", "type", "join", "room", room);
	conn_do(&b, "{ss ss}", "type", "join", "room", room);
	world_restart(true);
	json_decref(a.frames);
	json_decref(b.frames);
	json_decref(resume(&a, secret, 1));
	json_decref(resume(&b, secret_b, 1));
	assert_int_equal(world_counts().calls, 1);
	conn_do(&b, "{ss ss}", "type", "hangup", "call", call);
	conn_skip(&b, "left");
	conn_skip(&b, "ended");
	conn_skip(&a, "ended");
	world_restart(true);
	assert_int_equal(world_counts().calls, 0);
	assert_int_equal(world_counts().participants, 0);
	conn_drop(&a);
	conn_drop(&b);
	conn_open(&a);
	conn_open(&b);
}

/* Dataplane and daemon are both gone (a reboot): the journal speaks of slabs that are no more. */
static void all_restarts(void **state)
{
	json_t *o;

	both_join();
	connect_all();
	world_reboot();
	assert_int_equal(world_counts().participants, 2);
	assert_int_equal(world_counts().endpoints, 0);
	json_decref(a.frames);
	json_decref(b.frames);
	o = resume(&a, secret, 1);
	json_decref(o);
	json_decref(resume(&b, secret_b, 1));
	conn_forget(&a);
	conn_forget(&b);
	conn_publish(&a, NULL, NULL);
	conn_skip(&b, "track_added");
	conn_skip(&b, "track_added");
	assert_int_equal(conn_answer(&b), 2);
}

/* The transports were lost, and so are the events that said so. */
static void reset_unheard(void **state)
{
	json_int_t seen;
	json_t *o;

	both_join();
	connect_all();
	seen = last_seq(&a);
	conn_drop(&a);
	world_dataplane_dies();
	world_dataplane_comes(true);
	for (int i = 0; i < CP_EVENTS_KEPT + 1; i++) {
		conn_send(&b, "{ss ss}", "type", "chat", "text", "?");
		world_advance(20);
	}
	conn_forget(&b);
	o = resume(&a, secret, seen);
	assert_true(json_is_false(json_object_get(o, "replayed")));
	json_decref(o);
	o = conn_event(&a, "media_reset");
	assert_string_equal(text_at(o, "target"), "publish");
	json_decref(o);
	conn_silent(&a);
	seen = last_seq(&a);
	conn_drop(&a);
	json_decref(resume(&a, secret, seen));
	conn_silent(&a);
}

/* What the journal must not hold up: documents that are not ours, and a file that is none. */
static void damaged_journal(void **state)
{
	static const char *const docs[] = {
	    "{}",
	    "[]",
	    "7",
	    "nonsense",
	    "{\"id\":\"s1\",\"user\":\"u\",\"display\":\"\",\"room\":\"\",\"resume\":\"zz\","
	    "\"older\":\"\",\"seq\":1}",
	    "{\"id\":\"s1\",\"user\":\"u\",\"display\":\"\",\"room\":\"\",\"resume\":\"\","
	    "\"older\":\"\",\"seq\":-1}",
	};
	FILE *f;

	both_join();
	for (size_t i = 0; i < sizeof(docs) / sizeof(docs[0]); i++)
		for (int kind = 0; kind < 3; kind++) {
			static const char *const kinds[] = {"session", "player", "calls"};
			json_t *doc = json_loads(docs[i], JSON_DECODE_ANY, NULL);
			char id[8] = {'x', (char)('0' + i), 0};

			cp_journal_put(world.sig->journal, kinds[kind], id, doc);
		}
	world_restart(true);
	assert_int_equal(world.sig->counts.sessions, 2);
	f = fopen(world.journal, "w");
	assert_non_null(f);
	for (int i = 0; i < 5000; i++)
		fputc(i * 37, f);
	fclose(f);
	world_restart(true);
	conn_drop(&a);
	conn_drop(&b);
	conn_login(&a, "ann", secret);
	conn_login(&b, "bob", secret_b);
	both_join();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(replays, setup, teardown),
	    cmocka_unit_test_setup_teardown(long_events, setup, teardown),
	    cmocka_unit_test_setup_teardown(secrets, setup, teardown),
	    cmocka_unit_test_setup_teardown(offers, setup, teardown),
	    cmocka_unit_test_setup_teardown(daemon_killed, setup, teardown),
	    cmocka_unit_test_setup_teardown(daemon_stopped, setup, teardown),
	    cmocka_unit_test_setup_teardown(killed_in_the_middle, setup, teardown),
	    cmocka_unit_test_setup_teardown(calls_go_on, setup, teardown),
	    cmocka_unit_test_setup_teardown(all_restarts, setup, teardown),
	    cmocka_unit_test_setup_teardown(reset_unheard, setup, teardown),
	    cmocka_unit_test_setup_teardown(damaged_journal, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
