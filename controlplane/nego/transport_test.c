/* What a description says of its transport: required parts, ICE restarts, trickled fragments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/nego/nego_fixture.h"

static char *without(char *text, const char *what)
{
	char *at;

	while ((at = strstr(text, what))) {
		char *end = strchr(at, '\n') + 1;

		memmove(at, end, strlen(end) + 1);
	}
	return text;
}

static void a_transport_is_required(void **state)
{
	struct cp_nego n;
	char *sdp, *base;

	init(&n, false);
	sdp = without(load("chromium_av"), "a=ice-ufrag");
	assert_int_equal(offer(&n, sdp), -EPROTO);
	assert_non_null(strstr(why, "no a=ice-ufrag and a=ice-pwd"));
	free(sdp);
	sdp = without(load("chromium_av"), "a=fingerprint");
	assert_int_equal(offer(&n, sdp), -EPROTO);
	assert_non_null(strstr(why, "DTLS-SRTP is required"));
	free(sdp);
	base = load("baresip_like");
	sdp = replaced(base,
	               "SHA-256 "
	               "19:e2:1c:3b:4b:9f:81:e6:b8:5c:f4:a5:a8:d8:73:04:bb:05:2f:70:9f:04:a9:0e:05:"
	               "e9:26:33:e8:70:88:a2",
	               "sha-1 19:e2:1c:3b:4b:9f:81:e6:b8:5c:f4:a5:a8:d8:73:04:bb:05:2f:70");
	assert_int_equal(offer(&n, sdp), -EPROTO);
	assert_non_null(strstr(why, "sha-256, sha-384 or sha-512"));
	free(sdp);
	free(base);
	cp_nego_close(&n);
}

static void ice_restart_by_us(void **state)
{
	struct cp_nego_conf conf = {.ufrag = "second",
	                            .pwd = "anotherpassword0123456789",
	                            .cname = "callstack",
	                            .fingerprint = "sha-256 00",
	                            .addrs = 0};
	struct cp_nego n;
	char *sdp, *frag;

	init(&n, false);
	take(&n, "chromium_av");
	assert_int_equal(cp_nego_restart(&n, &conf), 0);
	sdp = answer(&n);
	assert_int_equal(count(sdp, "a=ice-ufrag:second\r\n"), 2);
	assert_non_null(strstr(sdp, "m=audio 9 ")); // no address: as in trickle
	free(sdp);
	assert_int_equal(cp_nego_fragment_out(&n, &frag), 0);
	assert_non_null(strstr(frag, "a=ice-ufrag:second\r\n"));
	assert_non_null(strstr(frag, "a=mid:0\r\n"));
	free(frag);
	conf.ufrag = "";
	assert_int_equal(cp_nego_restart(&n, &conf), -EINVAL);
	conf.ufrag = "123456789012345678901234567890123";
	assert_int_equal(cp_nego_restart(&n, &conf), -EINVAL);
	assert_string_equal(n.conf.ufrag, "second");
	cp_nego_close(&n);
}

static void fragments_are_read(void **state)
{
	static const struct {
		const char *text;
		int rc;
		const char *ufrag, *err;
	} table[] = {
	    {"a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP "
	     "0\r\na=mid:0\r\na=candidate:1387637174 1 udp "
	     "2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id "
	     "1\r\na=end-of-candidates\r\n",
	     0, "EsAw", ""},
	    {"m=audio 9 UDP/TLS/RTP/SAVPF "
	     "111\na=ice-ufrag:EsAw\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\n",
	     0, "EsAw", ""},
	    {"m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=end-of-candidates", 0, "", ""},
	    {"", 0, "", ""},
	    {"a=ice-ufrag:EsAw\r\n", -EBADMSG, NULL, "come together"},
	    {"a=candidate:1 1 udp 1 192.0.2.1 99999 typ host\r\n", -EBADMSG, NULL,
	     "line 1: malformed a=candidate: port"},
	    {"v=0\r\n", -EBADMSG, NULL, "line 1: malformed fragment"},
	    {"{\"candidate\": 1}", -EBADMSG, NULL, "line 1: not of the form"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char ufrag[257], pwd[257];
		int rc = cp_nego_fragment_in(table[i].text, strlen(table[i].text), ufrag, pwd, why);

		if (rc != table[i].rc || (rc && !strstr(why, table[i].err)))
			fail_msg("row %zu: %d %s", i, rc, why);
		if (!rc)
			assert_string_equal(ufrag, table[i].ufrag);
	}
}

static void credentials_are_random(void **state)
{
	char u[2][CP_ICE_UFRAG + 1], p[2][CP_ICE_PWD + 1];

	for (int i = 0; i < 2; i++) {
		assert_int_equal(cp_ice_credentials(u[i], p[i]), 0);
		assert_int_equal(strlen(u[i]), CP_ICE_UFRAG);
		assert_int_equal(strlen(p[i]), CP_ICE_PWD);
	}
	assert_string_not_equal(u[0], u[1]);
	assert_string_not_equal(p[0], p[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_transport_is_required),
	    cmocka_unit_test(ice_restart_by_us),
	    cmocka_unit_test(fragments_are_read),
	    cmocka_unit_test(credentials_are_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
