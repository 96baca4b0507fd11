/* Frames: what is one, which is refused, in which state, and what comes back in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "tests/fakes/call_world.h"

static int setup(void **state)
{
	world_open(false);
	return 0;
}

static int teardown(void **state)
{
	world_close();
	return 0;
}

/* ---- frames ---- */

static void frames(void **state)
{
	static const struct {
		int n;
		const char *text;
		uint16_t closed; // 0: the connection stays
		const char *code;
	} t[] = {
	    {1, "", 1007, NULL},
	    {2, "hello", 1007, NULL},
	    {3, "[]", 1007, NULL},
	    {4, "7", 1007, NULL},
	    {5, "null", 1007, NULL},
	    {6, "{\"id\":1,\"type\":\"ping\"", 1007, NULL},
	    {7, "{\"id\":1,\"type\":\"ping\"} x", 1007, NULL},
	    {8, "{\"type\":\"ping\"}", 1008, NULL},
	    {9, "{\"id\":0,\"type\":\"ping\"}", 1008, NULL},
	    {10, "{\"id\":-1,\"type\":\"ping\"}", 1008, NULL},
	    {11, "{\"id\":2147483648,\"type\":\"ping\"}", 1008, NULL},
	    {12, "{\"id\":\"1\",\"type\":\"ping\"}", 1008, NULL},
	    {13, "{\"id\":1.0,\"type\":\"ping\"}", 1008, NULL},
	    {14, "{\"id\":2147483647,\"type\":\"ping\"}", 0, NULL},
	    {15, "{\"id\":1,\"type\":\"ping\",\"x\":[[[[[[[]]]]]]]}", 0, "bad_request"}, // depth 8
	    {16, "{\"id\":1,\"type\":\"ping\",\"x\":[[[[[[[[]]]]]]]]}", 1007, NULL},
	    {17, "{\"id\":1,\"type\":\"ping\",\"x\":\"[[[[[[[[[[[[[[\"}", 0, "bad_request"},
	    {18, "{\"id\":1,\"type\":\"ping\",\"x\":\"\\\"[[[[[[[[[\"}", 0, "bad_request"},
	    {19, "{\"id\":1,\"type\":\"ping\",\"type\":\"ping\"}", 0, "bad_request"},
	    {20, "{\"id\":1,\"type\":7}", 0, "bad_request"},
	    {21, "{\"id\":1}", 0, "bad_request"},
	    {22, "{\"id\":1,\"type\":\"fly\"}", 0, "bad_request"},
	    {23,
	     "{\"id\":1,\"type\":"
	     "\"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
	     "\xc3\xa4"
	     "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xe2\x82\xac\"}",
	     0, "bad_request"},
	    {24, "{\"id\":1,\"type\":\"ping\\u0000\"}", 1007, NULL},
	    {25, "{\"id\":1,\"type\":\"ping\",\"n\":99999999999999999999}", 1007, NULL},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct cp_conn c;
		json_t *o;

		print_message("%d ", t[i].n);
		conn_open(&c);
		conn_text(&c, t[i].text, strlen(t[i].text));
		assert_int_equal(c.close_code, t[i].closed);
		o = conn_take(&c);
		assert_int_equal(o != NULL, t[i].closed == 0);
		if (o) {
			assert_string_equal(text_at(o, "type"), t[i].code ? "error" : "ok");
			if (t[i].code)
				assert_string_equal(text_at(o, "code"), t[i].code);
		}
		json_decref(o);
		conn_drop(&c);
	}
	print_message("\n");
}

/* ---- the request table ---- */

/* Each request complete as {…}, and in which state it is good for something: o before login, i
 * logged in, r in a room. */
static const struct good {
	const char *type, *state, *fields;
} good[] = {
    {"login", "o", "\"user\":\"ann\",\"password\":\"x\",\"display\":\"Ann\""},
    {"resume", "o", "\"resume\":\"00\",\"seq\":0"},
    {"logout", "ir", ""},
    {"presence", "ir", ""},
    {"call", "ir", "\"to\":\"bob\",\"media\":\"audio\""},
    {"cancel", "ir", "\"call\":\"c\""},
    {"accept", "ir", "\"call\":\"c\""},
    {"decline", "ir", "\"call\":\"c\",\"reason\":\"busy\""},
    {"hangup", "ir", "\"call\":\"c\""},
    {"join", "ir", "\"room\":\"r\",\"display\":\"A\",\"auto\":false"},
    {"leave", "r", ""},
    {"publish", "r",
     "\"sdp\":\"v=0\",\"tracks\":[{\"mid\":\"0\",\"source\":\"camera\",\"muted\":true}]"},
    {"unpublish", "r", "\"tracks\":[\"t\"]"},
    {"subscribe", "r", "\"tracks\":[\"t\"]"},
    {"unsubscribe", "r", "\"tracks\":[\"t\"]"},
    {"pause", "r", "\"tracks\":[\"t\"],\"paused\":true"},
    {"quality", "r",
     "\"track\":\"t\",\"height\":360,\"max_layer\":2,\"max_temporal\":3,\"priority\":255"},
    {"answer", "r", "\"rev\":1,\"sdp\":\"v=0\""},
    {"candidate", "r", "\"target\":\"publish\",\"candidate\":\"\",\"mid\":\"0\""},
    {"restart", "r", "\"target\":\"publish\",\"sdp\":\"v=0\",\"tracks\":[]"},
    {"mute", "r", "\"track\":\"t\",\"muted\":true"},
    {"chat", "r", "\"text\":\"hi\""},
    {"ping", "oir", ""},
};
static const char optional[] = " display reason auto height max_layer max_temporal priority "
                               "sdp-of-restart tracks-of-restart tracks-of-publish mid ";

static bool is_optional(const char *type, const char *key)
{
	char both[64], plain[64];

	snprintf(both, sizeof(both), " %s-of-%s ", key, type);
	snprintf(plain, sizeof(plain), " %s ", key);
	return strstr(optional, both) || strstr(optional, plain);
}

static char *reply_code(struct cp_conn *c, json_t *req)
{
	static char code[32];
	char *text = json_dumps(req, JSON_COMPACT);
	json_t *o;

	conn_text(c, text, strlen(text));
	free(text);
	world_settle();
	while ((o = conn_take(c)) && !json_object_get(o, "re"))
		json_decref(o);
	assert_non_null(o);
	assert_int_equal(int_at(o, "re"), int_at(req, "id"));
	snprintf(code, sizeof(code), "%s",
	         strcmp(text_at(o, "type"), "ok") == 0 ? "ok" : text_at(o, "code"));
	if (strcmp(code, "bad_request") == 0) { /* and the key that it names first */
		const char *key = strchr(text_at(o, "message"), '\'');

		snprintf(code, sizeof(code), "bad %.*s", key ? (int)strcspn(key + 1, "'") + 2 : 0,
		         key ? key : "");
	}
	json_decref(o);
	return code;
}

static json_t *request(const struct good *g)
{
	char text[512];
	json_t *o;

	snprintf(text, sizeof(text), "{\"id\":5,\"type\":\"%s\"%s%s}", g->type,
	         *g->fields ? "," : "", g->fields);
	o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(o);
	return o;
}

static void to_state(struct cp_conn *c, char state)
{
	if (state == 'o')
		conn_open(c);
	else
		conn_login(c, "zoe", NULL);
	if (state == 'r')
		conn_do(c, "{ss ss}", "type", "join", "room", "elsewhere");
}

static void wrong_states(void **state)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		for (const char *s = "oir"; *s; s++) {
			struct cp_conn c;
			json_t *req;
			const char *code;

			if (strchr(good[i].state, *s))
				continue;
			to_state(&c, *s);
			req = request(&good[i]);
			code = reply_code(&c, req);
			assert_string_equal(code, *s == 'o' ? "unauthorized" : "conflict");
			json_decref(req);
			if (*s != 'o')
				conn_do(&c, "{ss}", "type", "logout");
			conn_drop(&c);
		}
}

/* Without a key, with another, and with each key of every wrong type: refused, and the key is
 * named. */
static void wrong_keys(void **state)
{
	static const char *const values[] = {"null",
	                                     "true",
	                                     "-1",
	                                     "1.5",
	                                     "\"\\u0007\"",
	                                     "[]",
	                                     "{}",
	                                     "[\"\\u0001\", 4]",
	                                     "[{\"mid\":\"0\"}]"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char s = strchr(good[i].state, 'r') ? 'r' : good[i].state[0], named[64];
		json_t *req = request(&good[i]), *v, *bad;
		struct cp_conn c;
		const char *key;
		void *next;

		to_state(&c, s);
		json_object_set_new(req, "extra", json_true());
		assert_string_equal(reply_code(&c, req), "bad 'extra'");
		json_object_del(req, "extra");
		json_object_foreach_safe(req, next, key, v)
		{
			if (strcmp(key, "id") == 0 || strcmp(key, "type") == 0)
				continue;
			snprintf(named, sizeof(named), "bad '%s'", key);
			bad = json_copy(req);
			json_object_del(bad, key);
			if (!is_optional(good[i].type, key) && strcmp(good[i].type, "login") != 0)
				assert_string_equal(reply_code(&c, bad), named);
			for (size_t k = 0; k < sizeof(values) / sizeof(values[0]); k++) {
				json_t *wrong = json_loads(values[k], JSON_DECODE_ANY, NULL);

				/* Where that happens to be right. */
				if ((json_is_boolean(wrong) && json_is_boolean(v)) ||
				    (json_is_array(wrong) && json_array_size(wrong) == 0 &&
				     strcmp(key, "tracks") == 0 && (s == 'r') &&
				     json_is_object(json_array_get(v, 0))) ||
				    (strcmp(good[i].type, "restart") == 0 &&
				     strcmp(key, "tracks") == 0 && !json_array_size(wrong) &&
				     json_is_array(wrong)) ||
				    (json_is_string(wrong) &&
				     (strcmp(key, "reason") == 0 || strcmp(key, "target") == 0 ||
				      strcmp(key, "media") == 0 || strcmp(key, "mid") == 0 ||
				      strcmp(key, "sdp") == 0 || strcmp(key, "call") == 0 ||
				      strcmp(key, "track") == 0 || strcmp(key, "password") == 0 ||
				      strcmp(key, "resume") == 0))) {
					json_decref(wrong);
					continue;
				}
				json_object_set_new(bad, key, wrong);
				assert_string_equal(reply_code(&c, bad), named);
			}
			json_decref(bad);
		}
		json_decref(req);
		conn_drop(&c);
		world_advance(61000);
	}
}

/* Values of the right type that are nevertheless none. */
static void wrong_values(void **state)
{
	static const struct {
		int n;
		const char *text, *code;
	} t[] = {
	    {1, "{\"type\":\"call\",\"to\":\"bob\",\"media\":\"smell\"}", "bad 'media'"},
	    {2, "{\"type\":\"call\",\"to\":\"b ob\",\"media\":\"audio\"}", "bad 'to'"},
	    {3, "{\"type\":\"call\",\"to\":\"\",\"media\":\"audio\"}", "bad 'to'"},
	    {4, "{\"type\":\"call\",\"to\":\"zoe\",\"media\":\"audio\"}", "bad "},
	    {5, "{\"type\":\"decline\",\"call\":\"c\",\"reason\":\"bored\"}", "bad 'reason'"},
	    {6, "{\"type\":\"decline\",\"call\":\"c\"}", "not_found"},
	    {7, "{\"type\":\"join\",\"room\":\"r\",\"display\":\"\"}", "bad 'display'"},
	    {8, "{\"type\":\"join\",\"room\":\"call-abc\"}", "conflict"},
	    {9, "{\"type\":\"join\",\"room\":\"elsewhere2\"}", "conflict"}, // in a room already
	    {10, "{\"type\":\"chat\",\"text\":\"\"}", "bad 'text'"},
	    {11, "{\"type\":\"chat\",\"text\":\"a\\nb\\tc\"}", "ok"},
	    {12, "{\"type\":\"chat\",\"text\":\"a\\u001bb\"}", "bad 'text'"},
	    {13, "{\"type\":\"chat\",\"text\":\"a\\u0085b\"}", "bad 'text'"},
	    {14, "{\"type\":\"candidate\",\"target\":\"both\",\"candidate\":\"\"}", "bad 'target'"},
	    {15, "{\"type\":\"candidate\",\"target\":\"publish\",\"candidate\":\"\"}", "conflict"},
	    {16, "{\"type\":\"restart\",\"target\":\"publish\"}", "bad 'sdp'"},
	    {17, "{\"type\":\"restart\",\"target\":\"subscribe\",\"sdp\":\"v=0\"}", "bad 'sdp'"},
	    {18, "{\"type\":\"restart\",\"target\":\"subscribe\"}", "not_found"},
	    {19, "{\"type\":\"publish\",\"sdp\":\"v=0\"}", "bad_sdp"},
	    {20, "{\"type\":\"answer\",\"rev\":1,\"sdp\":\"v=0\"}", "conflict"},
	    {21, "{\"type\":\"answer\",\"rev\":4294967297,\"sdp\":\"v=0\"}", "conflict"},
	    {22, "{\"type\":\"mute\",\"track\":\"t\",\"muted\":true}", "not_found"},
	    {23, "{\"type\":\"subscribe\",\"tracks\":[\"t\"]}", "not_found"},
	    {24, "{\"type\":\"subscribe\",\"tracks\":[]}", "bad 'tracks'"},
	    {25,
	     "{\"type\":\"publish\",\"sdp\":\"v=0\",\"tracks\":[{\"mid\":\"0\",\"source\":"
	     "\"camera\"},"
	     "{\"mid\":\"0\",\"source\":\"screen\"}]}",
	     "bad 'tracks'"},
	    {26,
	     "{\"type\":\"publish\",\"sdp\":\"v=0\",\"tracks\":[{\"mid\":\"0\",\"source\":"
	     "\"camera\",\"x\":1}]}",
	     "bad 'tracks'"},
	    {27, "{\"type\":\"login\",\"token\":\"t-ann\"}", "conflict"},
	    {28, "{\"type\":\"hangup\",\"call\":\"c\"}", "not_found"},
	    {29, "{\"type\":\"cancel\",\"call\":\"c\"}", "not_found"},
	    {30, "{\"type\":\"quality\",\"track\":\"t\"}", "not_found"},
	    {31, "{\"type\":\"quality\"}", "bad 'track'"},
	    {32, "{\"type\":\"quality\",\"track\":\"\"}", "bad 'track'"},
	    {33, "{\"type\":\"quality\",\"height\":180}", "bad 'track'"},
	    {34, "{\"type\":\"quality\",\"track\":\"t\",\"height\":65536}", "bad 'height'"},
	    {35, "{\"type\":\"quality\",\"track\":\"t\",\"max_layer\":3}", "bad 'max_layer'"},
	    {36, "{\"type\":\"quality\",\"track\":\"t\",\"max_temporal\":4}", "bad 'max_temporal'"},
	    {37, "{\"type\":\"quality\",\"track\":\"t\",\"priority\":256}", "bad 'priority'"},
	    {38, "{\"type\":\"quality\",\"tracks\":[{\"track\":\"t\",\"height\":180}]}",
	     "not_found"},
	    {39, "{\"type\":\"quality\",\"tracks\":[]}", "bad 'tracks'"},
	    {40, "{\"type\":\"quality\",\"tracks\":[{\"height\":180}]}", "bad 'tracks'"},
	    {41, "{\"type\":\"quality\",\"tracks\":[{\"track\":\"t\",\"x\":1}]}", "bad 'tracks'"},
	    {42, "{\"type\":\"quality\",\"tracks\":[{\"track\":\"t\",\"height\":-1}]}",
	     "bad 'tracks'"},
	    {43, "{\"type\":\"quality\",\"tracks\":[{\"track\":\"t\"}],\"height\":1}",
	     "bad 'tracks'"},
	    {44, "{\"type\":\"quality\",\"tracks\":[7]}", "bad 'tracks'"},
	};
	struct cp_conn c;

	to_state(&c, 'r');
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		json_t *req = json_loads(t[i].text, 0, NULL);

		print_message("%d ", t[i].n);
		json_object_set_new(req, "id", json_integer(7));
		assert_string_equal(reply_code(&c, req), t[i].code);
		json_decref(req);
	}
	print_message("\n");
	conn_drop(&c);
}

/* ---- logging in ---- */

static void login(void **state)
{
	static const struct {
		int n;
		const char *text, *code;
	} t[] = {
	    {1, "{\"type\":\"login\"}", "bad 'token'"},
	    {2, "{\"type\":\"login\",\"user\":\"ann\"}", "bad 'token'"},
	    {3, "{\"type\":\"login\",\"user\":\"ann\",\"token\":\"t-ann\"}", "bad 'token'"},
	    {4, "{\"type\":\"login\",\"user\":\"ann\",\"password\":\"p-bob\"}", "unauthorized"},
	    {5, "{\"type\":\"login\",\"token\":\"x\"}", "unauthorized"},
	    {6, "{\"type\":\"resume\",\"resume\":\"00\",\"seq\":0}", "not_found"},
	    {7, "{\"type\":\"login\",\"token\":\"t-ann\",\"display\":\"Ann \xc3\x84\"}", "ok"},
	};
	struct cp_conn c;

	conn_open(&c);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		json_t *req = json_loads(t[i].text, 0, NULL);

		print_message("%d ", t[i].n);
		json_object_set_new(req, "id", json_integer(7));
		assert_string_equal(reply_code(&c, req), t[i].code);
		json_decref(req);
	}
	print_message("\n");
	assert_string_equal(conn_session(&c)->who.display, "Ann \xc3\x84");
	conn_drop(&c);
}

/* A connection without a login is closed in time, also after a logout and after a wrong password.
 */
static void overdue(void **state)
{
	struct cp_conn c;

	conn_open(&c);
	world_advance(9000);
	conn_refused(&c, "unauthorized", "{ss ss ss}", "type", "login", "user", "ann", "password",
	             "no");
	world_advance(9500);
	assert_true(c.open);
	world_advance(1000);
	assert_int_equal(c.close_code, 1008);
	conn_drop(&c);
	conn_login(&c, "ann", NULL);
	world_advance(100000);
	assert_true(c.open);
	conn_do(&c, "{ss}", "type", "logout");
	conn_refused(&c, "unauthorized", "{ss}", "type", "presence");
	world_advance(10500);
	assert_int_equal(c.close_code, 1008);
	conn_drop(&c);
}

/* Replies keep the order of requests even while a password is being verified. */
static void pipelined(void **state)
{
	struct cp_conn c;
	json_t *o;

	world.slow_passwords = true;
	conn_open(&c);
	conn_send(&c, "{ss ss ss}", "type", "login", "user", "ann", "password", "p-bob");
	conn_send(&c, "{ss ss ss}", "type", "login", "user", "ann", "password", "p-ann");
	conn_send(&c, "{ss ss}", "type", "join", "room", "r");
	conn_send(&c, "{ss ss}", "type", "chat", "text", "hi");
	world_settle();
	conn_silent(&c);
	world_passwords(); // all of them: the second login is verified once the first is refused
	world_settle();
	for (int i = 1; i <= 4; i++) {
		o = conn_take(&c);
		assert_int_equal(int_at(o, "re"), i);
		assert_string_equal(text_at(o, "type"), i == 1 ? "error" : "ok");
		json_decref(o);
	}
	conn_skip(&c, "chat");
	conn_silent(&c);
	conn_drop(&c);
	/* Gone in the middle, and too much at once. */
	conn_open(&c);
	conn_send(&c, "{ss ss ss}", "type", "login", "user", "bob", "password", "p-bob");
	conn_send(&c, "{ss}", "type", "presence");
	conn_drop(&c);
	world_passwords();
	conn_open(&c);
	conn_send(&c, "{ss ss ss}", "type", "login", "user", "bob", "password", "p-bob");
	for (int i = 0; i < 40; i++)
		conn_send(&c, "{ss}", "type", "ping");
	assert_int_equal(c.close_code, 1008);
	world_passwords();
	conn_drop(&c);
}

static void too_fast(void **state)
{
	struct cp_conn c;
	unsigned ok = 0;
	json_t *o;

	world.sig->conf.burst = 20;
	conn_login(&c, "ann", NULL);
	for (int i = 0; i < 100; i++)
		conn_send(&c, "{ss}", "type", "ping");
	while ((o = conn_take(&c))) {
		ok += strcmp(text_at(o, "type"), "ok") == 0;
		if (json_object_get(o, "code"))
			assert_string_equal(text_at(o, "code"), "rate_limited");
		json_decref(o);
	}
	assert_int_equal(ok, 19);
	world_advance(100); // 50 a second
	for (int i = 0; i < 10; i++)
		conn_send(&c, "{ss}", "type", "ping");
	for (ok = 0; (o = conn_take(&c)); json_decref(o))
		ok += strcmp(text_at(o, "type"), "ok") == 0;
	assert_int_equal(ok, 5);
	conn_drop(&c);
}

/* What a guest's token opens: its room. */
static void guests(void **state)
{
	struct cp_conn g, ann;
	json_t *o;

	conn_login(&ann, "ann", NULL);
	conn_refused(&ann, "forbidden", "{ss ss}", "type", "join", "room", "call-cabc"); // not hers
	conn_open(&g);
	conn_do(&g, "{ss ss}", "type", "login", "token", "t-gus-lobby");
	conn_refused(&g, "forbidden", "{ss}", "type", "presence");
	conn_refused(&g, "forbidden", "{ss ss ss}", "type", "call", "to", "ann", "media", "audio");
	conn_refused(&g, "forbidden", "{ss ss}", "type", "accept", "call", "c");
	conn_refused(&g, "forbidden", "{ss ss}", "type", "hangup", "call", "c");
	conn_refused(&g, "forbidden", "{ss ss}", "type", "join", "room", "kitchen");
	conn_do(&g, "{ss ss}", "type", "join", "room", "lobby");
	o = conn_ok(&ann, "{ss}", "type", "presence");
	assert_int_equal(json_array_size(json_object_get(o, "users")),
	                 1); // ann; gus is no one to call
	json_decref(o);
	o = conn_ok(&ann, "{ss ss ss}", "type", "call", "to", "gus", "media", "audio");
	json_decref(o);
	o = conn_event(&ann, "presence");
	json_decref(o);
	o = conn_event(&ann, "failed");
	assert_string_equal(text_at(o, "reason"), "offline");
	json_decref(o);
	conn_do(&g, "{ss}", "type", "leave");
	conn_drop(&g);
	conn_drop(&ann);
}

static void kicked(void **state)
{
	struct cp_conn a, b;

	conn_login(&a, "ann", NULL);
	conn_login(&b, "bob", NULL);
	conn_do(&a, "{ss ss}", "type", "join", "room", "r");
	assert_int_equal(cp_signaling_kick(world.sig, "ann"), 1);
	world_settle();
	assert_int_equal(a.close_code, 1008);
	assert_false(a.open);
	assert_true(b.open);
	assert_int_equal(world_counts().participants, 0);
	assert_int_equal(world.sig->counts.sessions, 1);
	conn_drop(&a);
	conn_drop(&b);
}

static void session_limit(void **state)
{
	struct cp_conn c[3];

	world.sig->conf.max_sessions = 2;
	conn_login(&c[0], "a", NULL);
	conn_login(&c[1], "b", NULL);
	conn_open(&c[2]);
	conn_refused(&c[2], "limit", "{ss ss}", "type", "login", "token", "t-c");
	conn_do(&c[0], "{ss}", "type", "logout");
	conn_do(&c[2], "{ss ss}", "type", "login", "token", "t-c");
	for (int i = 0; i < 3; i++)
		conn_drop(&c[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(frames, setup, teardown),
	    cmocka_unit_test_setup_teardown(wrong_states, setup, teardown),
	    cmocka_unit_test_setup_teardown(wrong_keys, setup, teardown),
	    cmocka_unit_test_setup_teardown(wrong_values, setup, teardown),
	    cmocka_unit_test_setup_teardown(login, setup, teardown),
	    cmocka_unit_test_setup_teardown(overdue, setup, teardown),
	    cmocka_unit_test_setup_teardown(pipelined, setup, teardown),
	    cmocka_unit_test_setup_teardown(too_fast, setup, teardown),
	    cmocka_unit_test_setup_teardown(guests, setup, teardown),
	    cmocka_unit_test_setup_teardown(kicked, setup, teardown),
	    cmocka_unit_test_setup_teardown(session_limit, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
