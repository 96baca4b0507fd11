/* One user rings another, in all the ways that it can end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "tests/fakes/call_world.h"

static struct cp_conn ann, bob, bob2, eve;
static char call[CP_ID_MAX], room[CP_ID_MAX + 8];

static int setup(void **state)
{
	world_open(false);
	conn_login(&ann, "ann", NULL);
	conn_login(&bob, "bob", NULL);
	conn_login(&eve, "eve", NULL);
	return 0;
}

static int teardown(void **state)
{
	conn_drop(&ann);
	conn_drop(&bob);
	conn_drop(&eve);
	world_advance(61000); // sessions are over
	assert_int_equal(world_counts().calls, 0);
	assert_int_equal(world_counts().participants, 0);
	assert_int_equal(world.sig->counts.sessions, 0);
	assert_null(world.calls->users);
	world_close();
	return 0;
}

static void word(struct cp_conn *c, const char *type, const char *reason)
{
	json_t *o = conn_event(c, type);

	assert_string_equal(text_at(o, "call"), call);
	if (reason)
		assert_string_equal(text_at(o, "reason"), reason);
	else
		assert_null(json_object_get(o, "reason"));
	json_decref(o);
}

static void presence(struct cp_conn *c, const char *user, const char *state)
{
	json_t *o = conn_event(c, "presence");

	assert_string_equal(text_at(o, "user"), user);
	assert_string_equal(text_at(o, "display"), user);
	assert_string_equal(text_at(o, "state"), state);
	json_decref(o);
}

static void place(void)
{
	json_t *o = conn_ok(&ann, "{ss ss ss}", "type", "call", "to", "bob", "media", "video");

	snprintf(call, sizeof(call), "%s", text_at(o, "call"));
	snprintf(room, sizeof(room), "%s", text_at(o, "room"));
	json_decref(o);
}

static void rings(struct cp_conn *c)
{
	json_t *o = conn_event(c, "ring");

	assert_string_equal(text_at(o, "call"), call);
	assert_string_equal(text_at(o, "from"), "ann");
	assert_string_equal(text_at(o, "display"), "ann");
	assert_string_equal(text_at(o, "media"), "video");
	assert_string_equal(text_at(o, "room"), room);
	json_decref(o);
}

static void ring(void)
{
	place();
	word(&ann, "ringing", NULL);
	rings(&bob);
}

static void over(void)
{
	conn_silent(&ann);
	conn_silent(&bob);
	assert_int_equal(world_counts().calls, 0);
	conn_refused(&ann, "not_found", "{ss ss}", "type", "cancel", "call", call);
	conn_refused(&bob, "not_found", "{ss ss}", "type", "accept", "call", call);
	conn_refused(&bob, "not_found", "{ss ss}", "type", "hangup", "call", call);
	conn_refused(&ann, "forbidden", "{ss ss}", "type", "join", "room", room);
}

static void answer(void)
{
	json_t *o;

	ring();
	o = conn_ok(&bob, "{ss ss}", "type", "accept", "call", call);
	assert_string_equal(text_at(o, "room"), room);
	json_decref(o);
	o = conn_event(&ann, "accepted");
	assert_string_equal(text_at(o, "room"), room);
	json_decref(o);
}

static void answered_and_joined(void)
{
	answer();
	conn_do(&ann, "{ss ss}", "type", "join", "room", room);
	conn_do(&bob, "{ss ss}", "type", "join", "room", room);
	conn_skip(&ann, "joined");
}

static void who_is_there(void **state)
{
	json_t *o = conn_ok(&eve, "{ss}", "type", "presence"), *users = json_object_get(o, "users");

	assert_int_equal(json_array_size(users), 3);
	for (int i = 0; i < 3; i++)
		assert_string_equal(text_at(json_array_get(users, (size_t)i), "state"), "online");
	json_decref(o);
	ring();
	presence(&eve, "ann", "busy");
	presence(&eve, "bob", "busy");
	conn_do(&ann, "{ss ss}", "type", "cancel", "call", call);
	presence(&eve, "ann", "online");
	presence(&eve, "bob", "online");
	conn_login(&bob2, "bob", NULL);
	conn_silent(&eve); // he was there already
	conn_do(&bob2, "{ss}", "type", "logout");
	conn_silent(&eve);
	conn_do(&bob, "{ss}", "type", "logout");
	presence(&eve, "bob", "offline");
	conn_drop(&ann); // away is not gone
	conn_silent(&eve);
	world_advance(61000);
	presence(&eve, "ann", "offline");
	conn_silent(&eve);
	conn_drop(&bob2);
	conn_open(&ann);
}

static void ways_out_of_ringing(void **state)
{
	conn_refused(&ann, "bad_request", "{ss ss ss}", "type", "call", "to", "ann", "media",
	             "audio");
	/* 1: the caller gives up */
	ring();
	conn_refused(&eve, "not_found", "{ss ss}", "type", "accept", "call", call);
	conn_refused(&eve, "not_found", "{ss ss}", "type", "cancel", "call", call);
	conn_refused(&bob, "not_found", "{ss ss}", "type", "cancel", "call", call);
	conn_refused(&ann, "not_found", "{ss ss}", "type", "accept", "call", call);
	conn_refused(&ann, "conflict", "{ss ss}", "type", "hangup", "call", call);
	conn_do(&ann, "{ss ss}", "type", "cancel", "call", call);
	word(&bob, "cancelled", NULL);
	over();
	/* 2: declined; 3: declined as busy */
	ring();
	conn_do(&bob, "{ss ss}", "type", "decline", "call", call);
	word(&ann, "declined", NULL);
	over();
	ring();
	conn_do(&bob, "{ss ss ss}", "type", "decline", "call", call, "reason", "busy");
	word(&ann, "busy", NULL);
	over();
	/* 4: nobody answers */
	ring();
	world_advance(44000);
	conn_silent(&ann);
	world_advance(1500);
	word(&ann, "no_answer", NULL);
	word(&bob, "cancelled", "no_answer");
	over();
	/* 5: callee logs out */
	ring();
	conn_do(&bob, "{ss}", "type", "logout");
	word(&ann, "failed", "offline");
	conn_silent(&bob);
	conn_drop(&bob);
	/* 6: was not there in the first place */
	place();
	word(&ann, "failed", "offline");
	conn_silent(&ann);
	conn_login(&bob, "bob", NULL);
	/* 7: caller logs out; 8: disappears */
	ring();
	conn_do(&ann, "{ss}", "type", "logout");
	word(&bob, "cancelled", "left");
	conn_drop(&ann);
	conn_login(&ann, "ann", NULL);
	world.calls->no_answer_s = 300;
	ring();
	conn_drop(&ann);
	conn_silent(&bob);
	world_advance(61000);
	word(&bob, "cancelled", "lost");
	conn_login(&ann, "ann", NULL);
	conn_silent(&bob);
}

static void busy(void **state)
{
	json_t *o;

	ring();
	conn_refused(&ann, "busy", "{ss ss ss}", "type", "call", "to", "eve", "media", "audio");
	conn_refused(&bob, "busy", "{ss ss ss}", "type", "call", "to", "ann", "media", "audio");
	o = conn_ok(&eve, "{ss ss ss}", "type", "call", "to", "bob", "media", "audio");
	json_decref(o);
	o = conn_event(&eve, "busy");
	json_decref(o);
	o = conn_ok(&eve, "{ss ss ss}", "type", "call", "to", "ann", "media", "audio");
	json_decref(o);
	o = conn_event(&eve, "busy");
	json_decref(o);
	conn_silent(&bob);
	conn_silent(&ann);
	conn_do(&bob, "{ss ss}", "type", "accept", "call", call);
	conn_skip(&ann, "accepted");
	o = conn_ok(&eve, "{ss ss ss}", "type", "call", "to", "bob", "media", "audio");
	json_decref(o);
	conn_skip(&eve, "busy");
	conn_silent(&eve);
	conn_do(&bob, "{ss ss}", "type", "hangup", "call", call);
	word(&ann, "ended", "hangup");
	word(&bob, "ended", "hangup");
	over();
}

static void two_devices(void **state)
{
	conn_login(&bob2, "bob", NULL);
	/* 1: both ring, one answers */
	ring();
	rings(&bob2);
	conn_do(&bob2, "{ss ss}", "type", "accept", "call", call);
	word(&bob, "answered_elsewhere", NULL);
	conn_skip(&ann, "accepted");
	conn_refused(&bob, "conflict", "{ss ss}", "type", "accept", "call", call);
	conn_refused(&bob, "conflict", "{ss ss}", "type", "decline", "call", call);
	conn_refused(&bob, "not_found", "{ss ss}", "type", "hangup", "call", call);
	conn_refused(&bob, "forbidden", "{ss ss}", "type", "join", "room", room);
	conn_do(&bob2, "{ss ss}", "type", "join", "room", room);
	conn_do(&bob, "{ss}", "type", "logout"); // that device was not in it
	conn_silent(&ann);
	conn_do(&ann, "{ss ss}", "type", "hangup", "call", call);
	word(&ann, "ended", "hangup");
	word(&bob2, "ended", "hangup");
	conn_silent(&bob2);
	conn_do(&bob, "{ss ss}", "type", "login", "token", "t-bob");
	/* 2: one declines: that is bob's word */
	ring();
	rings(&bob2);
	conn_do(&bob, "{ss ss}", "type", "decline", "call", call);
	word(&ann, "declined", NULL);
	word(&bob2, "cancelled", "declined");
	over();
	/* 3: one logs out, the other goes on ringing */
	ring();
	rings(&bob2);
	conn_do(&bob2, "{ss}", "type", "logout");
	conn_silent(&ann);
	/* 4: one comes late */
	conn_do(&bob2, "{ss ss}", "type", "login", "token", "t-bob");
	rings(&bob2);
	conn_do(&ann, "{ss ss}", "type", "cancel", "call", call);
	word(&bob, "cancelled", NULL);
	word(&bob2, "cancelled", NULL);
	over();
	conn_silent(&bob2);
	conn_drop(&bob2);
}

static void call_room_is_closed(void **state)
{
	struct cp_http h;

	answer();
	conn_refused(&eve, "forbidden", "{ss ss}", "type", "join", "room", room);
	for (int whep = 0; whep < 2; whep++) {
		char path[128];

		snprintf(path, sizeof(path), "/%s/%s", whep ? "whep" : "whip", room);
		h = http(CP_POST, path, "t-ann", "application/sdp", NULL, "v=0");
		assert_int_equal(h.status, 403);
		http_done(&h);
	}
	conn_do(&ann, "{ss ss}", "type", "hangup", "call", call); // before anybody joined
	word(&ann, "ended", "hangup");
	word(&bob, "ended", "hangup");
	over();
}

static void ways_out_of_a_call(void **state)
{
	/* 1: hang up; the one hears that the other left, and that it is over */
	answered_and_joined();
	conn_publish(&ann, NULL, NULL);
	conn_skip(&bob, "track_added");
	conn_skip(&bob, "track_added");
	assert_int_equal(conn_answer(&bob), 2);
	conn_do(&ann, "{ss ss}", "type", "hangup", "call", call);
	word(&ann, "ended", "hangup");
	conn_skip(&bob, "left");
	word(&bob, "ended", "hangup");
	over();
	assert_null(conn_party(&ann));
	assert_null(conn_party(&bob));
	/* 2: leave is the same, said otherwise */
	answered_and_joined();
	conn_do(&bob, "{ss}", "type", "leave");
	conn_skip(&bob, "left"); // ann was taken out first
	word(&bob, "ended", "left");
	word(&ann, "ended", "left");
	over();
	/* 3: one logs out */
	answered_and_joined();
	conn_do(&bob, "{ss}", "type", "logout");
	conn_skip(&ann, "left");
	word(&ann, "ended", "left");
	conn_silent(&ann);
	assert_null(conn_party(&ann));
	conn_do(&bob, "{ss ss}", "type", "login", "token", "t-bob");
	/* 4: one is lost */
	answered_and_joined();
	conn_drop(&bob);
	world_advance(59000);
	conn_silent(&ann);
	world_advance(2000);
	conn_skip(&ann, "left");
	word(&ann, "ended", "lost");
	conn_silent(&ann);
	conn_login(&bob, "bob", NULL);
	/* 5: an operator ends one */
	answered_and_joined();
	cp_signaling_kick(world.sig, "bob");
	conn_skip(&ann, "left");
	word(&ann, "ended", "kicked");
	conn_silent(&ann);
	conn_drop(&bob);
	conn_login(&bob, "bob", NULL);
}

/* A call answered by somebody who sits in another room does not end that. */
static void from_another_room(void **state)
{
	conn_do(&bob, "{ss ss}", "type", "join", "room", "kitchen");
	answer();
	conn_refused(&bob, "conflict", "{ss ss}", "type", "join", "room", room);
	conn_do(&ann, "{ss ss}", "type", "join", "room", room);
	conn_do(&ann, "{ss ss}", "type", "hangup", "call", call);
	word(&ann, "ended", "hangup");
	word(&bob, "ended", "hangup");
	assert_non_null(conn_party(&bob));
	conn_do(&bob, "{ss}", "type", "leave");
	over();
}

static void without_dataplane(void **state)
{
	world_dataplane_dies();
	conn_refused(&ann, "unavailable", "{ss ss ss}", "type", "call", "to", "bob", "media",
	             "audio");
	conn_refused(&ann, "unavailable", "{ss ss}", "type", "join", "room", "r");
	conn_silent(&bob);
	assert_int_equal(world_counts().calls, 0);
	world_dataplane_comes(false);
	ring();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(who_is_there, setup, teardown),
	    cmocka_unit_test_setup_teardown(ways_out_of_ringing, setup, teardown),
	    cmocka_unit_test_setup_teardown(busy, setup, teardown),
	    cmocka_unit_test_setup_teardown(two_devices, setup, teardown),
	    cmocka_unit_test_setup_teardown(call_room_is_closed, setup, teardown),
	    cmocka_unit_test_setup_teardown(ways_out_of_a_call, setup, teardown),
	    cmocka_unit_test_setup_teardown(from_another_room, setup, teardown),
	    cmocka_unit_test_setup_teardown(without_dataplane, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
