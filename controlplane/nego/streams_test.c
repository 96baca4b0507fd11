/* Encodings of a track: by rid, or by SSRC group. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/nego/nego_fixture.h"

/* Encodings, lowest first, as one word. */
static const char *layers_of(const struct cp_media *m)
{
	static char text[64];

	text[0] = '\0';
	for (uint8_t l = 0; l < m->layers; l++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.*s", l ? " " : "",
		         m->layer[l].rid_len, (const char *)m->layer[l].rid);
	return text;
}

static void simulcast_is_sorted(void **state)
{
	static const char rids[] = "a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\n";
	static const struct {
		const char *lines, *layers, *answer;
	} table[] = {
	    {"a=rid:f send\r\na=rid:h send\r\na=rid:q send\r\na=simulcast:send f;h;q\r\n", "q h f",
	     "f;h;q"},
	    {"a=rid:l send\r\na=rid:h send\r\na=rid:m send\r\na=simulcast:send h;m;l\r\n", "l m h",
	     "h;m;l"},
	    {"a=rid:a send\r\na=rid:b send\r\na=simulcast:send ~a;b\r\n", "a b", "a;b"},
	    /* like with like: what not all have does not count */
	    {"a=rid:a send max-width=1280;max-br=9\r\na=rid:b send max-br=3\r\n"
	     "a=rid:c send max-width=320;max-br=5\r\na=simulcast:send a;b;c\r\n",
	     "b c a", "a;b;c"},
	    /* alternatives: the first that is there and not taken */
	    {"a=rid:1 send\r\na=rid:2 send\r\na=rid:3 send\r\na=simulcast:send 9,1;1,~2,3\r\n",
	     "1 2", "1;2"},
	    {"a=rid:1 send\r\na=rid:2 recv\r\na=simulcast:recv 2 send 1\r\n", "1", NULL},
	    {"a=rid:1 send\r\na=rid:2 send\r\na=rid:3 send\r\na=rid:4 send\r\n"
	     "a=simulcast:send 1;2;3;4\r\n",
	     "1 2 3", "1;2;3"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char *sdp = load("chromium_simulcast"), *bare = replaced(sdp, rids, ""), *out;
		char *with = replaced(bare, "a=simulcast:send q;h;f\r\n", table[i].lines), want[64];
		struct cp_nego n;

		init(&n, false);
		if (offer(&n, with))
			fail_msg("row %zu: %s", i, why);
		assert_string_equal(layers_of(&n.media[1]), table[i].layers);
		out = answer(&n);
		snprintf(want, sizeof(want), "a=simulcast:recv %s\r\n",
		         table[i].answer ? table[i].answer : "");
		assert_int_equal(count(out, "a=simulcast"), table[i].answer != NULL);
		assert_int_equal(count(out, "a=rid:"), n.media[1].layers);
		if (table[i].answer && !strstr(out, want))
			fail_msg("row %zu: no %s in %s", i, want, out);
		free(out);
		free(with);
		free(bare);
		free(sdp);
		cp_nego_close(&n);
	}
}

static void ssrc_groups_are_layers(void **state)
{
	struct cp_nego n;
	char *out;

	init(&n, false);
	out = take_changed(&n, "obs_like", "a=rtcp-fb:96 goog-remb\r\n",
	                   "a=ssrc-group:SIM 11 12 13\r\na=ssrc-group:FID 13 23\r\n"
	                   "a=ssrc-group:FID 11 21\r\na=ssrc:11 cname:x\r\na=ssrc:12 cname:x\r\n");
	assert_int_equal(n.media[1].layers, 3);
	for (uint32_t l = 0; l < 3; l++) {
		assert_int_equal(n.media[1].layer[l].ssrc, 11 + l);
		assert_int_equal(n.media[1].layer[l].rtx_ssrc, l == 1 ? 0 : 21 + l);
		assert_int_equal(n.media[1].layer[l].rid_len, 0);
	}
	free(out);
	cp_nego_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(simulcast_is_sorted),
	    cmocka_unit_test(ssrc_groups_are_layers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
