/* A story with each allocation of the daemon failing in turn: whatever the replies are, nothing
 * crashes, nothing hangs, and nothing is left behind. Run with LD_PRELOAD=libnth_alloc.so; without
 * it, the story once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "tests/fakes/call_world.h"
#include "tests/fakes/nth_alloc.h"

static long left; // allocations until the one that fails; 0: it has
static bool armed;
static struct cp_conn a, b;
static char *av, *recvonly, secret[65];

/* Only what the daemon does between the two is counted. */
static void arm(void)
{
	armed = true;
	if (nth_alloc_arm)
		nth_alloc_arm(left > 0 ? (unsigned long)left : 0);
}

static void disarm(void)
{
	long used = nth_alloc_count ? (long)nth_alloc_count() : 0;

	if (nth_alloc_arm)
		nth_alloc_arm(0);
	left = left > used ? left - used : 0;
	armed = false;
}

/* Not ours to test: jansson 2.14 may abort() when memory runs out while it reads. */
json_t *__real_json_loadb(const char *text, size_t len, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *text, size_t len, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *text, size_t len, size_t flags, json_error_t *error)
{
	bool was = armed;
	json_t *o;

	if (was)
		disarm();
	o = __real_json_loadb(text, len, flags, error);
	if (was)
		arm();
	return o;
}

static void say(struct cp_conn *c, json_t *req)
{
	char *text;

	json_object_set_new(req, "id", json_integer(c->id++));
	text = json_dumps(req, JSON_COMPACT);
	json_decref(req);
	arm();
	conn_text(c, text, strlen(text));
	world_settle();
	disarm();
	free(text);
}

/* The last frame of that type that came, or NULL; the others are forgotten. */
static json_t *last(struct cp_conn *c, const char *type)
{
	json_t *o, *found = NULL;

	while ((o = conn_take(c)))
		if (strcmp(text_at(o, "type"), type) == 0) {
			json_decref(found);
			found = o;
		} else {
			json_decref(o);
		}
	return found;
}

static void take_offer(struct cp_conn *c)
{
	json_t *o = last(c, "offer");
	char *sdp;

	if (!o)
		return;
	sdp = sdp_answer(text_at(o, "sdp"), "clnt", UINT64_MAX);
	say(c, json_pack("{ss sI ss}", "type", "answer", "rev", int_at(o, "rev"), "sdp", sdp));
	free(sdp);
	json_decref(o);
}

static void request(enum cp_method method, const char *path, const char *type, const char *body,
                    char location[128])
{
	struct cp_http h;

	arm();
	h = http(method, path, "t-eve", type, "*", body);
	disarm();
	if (location)
		snprintf(location, 128, "%s", h.location);
	http_done(&h);
}

static void story(void)
{
	char whip[128], whep[128];
	json_t *o;

	conn_open(&a);
	conn_open(&b);
	say(&a, json_pack("{ss ss ss}", "type", "login", "user", "ann", "password", "p-ann"));
	o = last(&a, "ok");
	if (o)
		snprintf(secret, sizeof(secret), "%s", text_at(o, "resume"));
	json_decref(o);
	say(&b, json_pack("{ss ss}", "type", "login", "token", "t-bob"));
	say(&b, json_pack("{ss}", "type", "presence"));
	say(&a, json_pack("{ss ss ss}", "type", "call", "to", "bob", "media", "audio"));
	o = last(&b, "ring");
	if (o)
		say(&b, json_pack("{ss ss}", "type", "decline", "call", text_at(o, "call")));
	json_decref(o);
	say(&a, json_pack("{ss ss}", "type", "join", "room", "r"));
	say(&b, json_pack("{ss ss}", "type", "join", "room", "r"));
	say(&a, json_pack("{ss ss}", "type", "publish", "sdp", av));
	take_offer(&b);
	say(&a, json_pack("{ss ss}", "type", "chat", "text", "hi"));
	request(CP_POST, "/whip/r?name=cam", "application/sdp", av, whip);
	take_offer(&b);
	take_offer(&a);
	request(CP_POST, "/whep/r", "application/sdp", recvonly, whep);
	request(CP_PATCH, whep[0] ? whep : "/whep/session/x", "application/trickle-ice-sdpfrag",
	        "a=ice-ufrag:NEW1\r\na=ice-pwd:P6WfB9YckMl1taSkR5AUG5\r\nm=audio 9 "
	        "UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n",
	        NULL);
	say(&b, json_pack("{ss ss}", "type", "restart", "target", "subscribe"));
	take_offer(&b);
	conn_drop(&a);
	conn_open(&a);
	say(&a, json_pack("{ss ss sI}", "type", "resume", "resume", *secret ? secret : "0", "seq",
	                  (json_int_t)0));
	request(CP_DELETE, whip[0] ? whip : "/whip/session/x", NULL, NULL, NULL);
	say(&a, json_pack("{ss}", "type", "leave"));
	say(&b, json_pack("{ss}", "type", "logout"));
	conn_drop(&a);
	conn_drop(&b);
}

static void check_nothing_left(void)
{
	struct cp_calls_counts n;
	struct cp_plane_counts p;

	world_advance(63000);
	n = world_counts();
	cp_plane_counts(world.plane, &p);
	assert_int_equal(
	    n.rooms + n.participants + n.endpoints + n.tracks + n.subs + n.dtls + n.calls, 0);
	assert_int_equal(p.endpoints + p.tracks + p.subs, 0);
	assert_int_equal(
	    world.sig->counts.sessions + world.sig->counts.whip + world.sig->counts.whep, 0);
	assert_null(world.calls->users);
	assert_int_equal(world.sig->counts.connected, 0);
}

static void each_fails(void **state)
{
	unsigned long n = 0;

	world_open(true);
	av = sdp_file("aiortc_av");
	recvonly = sdp_file("aiortc_recvonly");
	do {
		n += n < 400 ? 1 : 13;
		left = (long)n;
		story();
		check_nothing_left();
	} while (nth_alloc_arm && left == 0);
	print_message("%lu allocations\n", n);
	free(av);
	free(recvonly);
	world_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
