/* Lines and attributes: what is taken, and what is refused with which line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/nego/nego.h"
#include "controlplane/nego/sdp.h"

#define HEAD "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\n"

static void lines_are_checked(void **state)
{
	static const struct {
		const char *text;
		int rc;
		const char *err; // how it begins
	} table[] = {
	    {HEAD "t=0 0\r\n", 0, ""},
	    {"v=0\no=- 1 2 IN IP6 ::\ns= \nt=0 0\n", 0, ""},
	    {HEAD "t=0 0", 0, ""},
	    {HEAD "t=0 0\r\n\r\n\r\n", 0, ""},
	    {HEAD "i=x\r\nu=x\r\ne=x\r\ne=y\r\np=x\r\nc=IN IP4 "
	          "1.2.3.4\r\nb=AS:1\r\nb=TIAS:2\r\nt=0 0\r\nr=1\r\nt=1 2\r\nz=0\r\nk=x\r\na=b\r\n",
	     0, ""},
	    {HEAD "t=0 0\r\nm=audio 9/2 RTP/AVP 0  8\r\nb=AS:64\r\na=x\r\nc=IN IP4 "
	          "h/127\r\ni=t\r\nk=x\r\n",
	     0, ""},
	    {"", -EBADMSG, "line 1: ends before its t= line"},
	    {"v=0\r\n", -EBADMSG, "line 2: ends before"},
	    {"v=1\r\n", -EBADMSG, "line 1: version is not 0"},
	    {"o=- 1 2 IN IP4 0.0.0.0\r\n", -EBADMSG, "line 1: does not begin with v=0"},
	    {"v=0\r\ns=-\r\n", -EBADMSG, "line 2: s= line out of place"},
	    {"v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\nt=0 0\r\n", -EBADMSG,
	     "line 3: t= line out of place"},
	    {"v=0\r\nv=0\r\n", -EBADMSG, "line 2: v= line out of place"},
	    {HEAD "s=-\r\n", -EBADMSG, "line 4: s= line out of place"},
	    {HEAD "t=0 0\r\nc=IN IP4 1.2.3.4\r\n", -EBADMSG, "line 5: c= line out of place"},
	    {HEAD "c=IN IP4 1.2.3.4\r\nc=IN IP4 1.2.3.4\r\n", -EBADMSG,
	     "line 5: c= line out of place"},
	    {HEAD "a=x\r\nt=0 0\r\n", -EBADMSG, "line 5: t= line out of place"},
	    {HEAD "m=audio 9 X 0\r\n", -EBADMSG, "line 4: no v=, o=, s= and t="},
	    {HEAD "t=0 0\r\nx=1\r\n", -EBADMSG, "line 5: unknown line type"},
	    {HEAD "t=0 0\r\nT=1\r\n", -EBADMSG, "line 5: not of the form x="},
	    {HEAD "t=0 0\r\na\r\n", -EBADMSG, "line 5: not of the form x="},
	    {HEAD "t=0 0\r\n a=x\r\n", -EBADMSG, "line 5: not of the form x="},
	    {HEAD "t=0 0\r\n\r\na=x\r\n", -EBADMSG, "line 5: empty line"},
	    {HEAD "t=0 0\r\na=x\ry\r\n", -EBADMSG, "line 5: CR within a line"},
	    {HEAD "t=0\r\n", -EBADMSG, "line 4: malformed t= line"},
	    {HEAD "t=0 0 0\r\n", -EBADMSG, "line 4: malformed t= line"},
	    {HEAD "t=0 -1\r\n", -EBADMSG, "line 4: malformed t= line"},
	    {"v=0\r\no=- 1 2 IN IP4\r\n", -EBADMSG, "line 2: malformed o= line"},
	    {"v=0\r\no=- x 2 IN IP4 h\r\n", -EBADMSG, "line 2: malformed o= line: session id"},
	    {"v=0\r\no=- 1 99999999999999999999 IN IP4 h\r\n", -EBADMSG,
	     "line 2: malformed o= line: session id"},
	    {"v=0\r\no=- 1 2 XX IP4 h\r\n", -EBADMSG, "line 2: malformed o= line: network type"},
	    {"v=0\r\no=- 1 2 IN IP5 h\r\n", -EBADMSG, "line 2: malformed o= line: address type"},
	    {"v=0\r\no=- 1 2 IN IP4 h more\r\n", -EBADMSG, "line 2: malformed o= line"},
	    {HEAD "c=IN IP4\r\n", -EBADMSG, "line 4: malformed c= line"},
	    {HEAD "c=IN IP7 x\r\n", -EBADMSG, "line 4: malformed c= line"},
	    {HEAD "b=AS\r\n", -EBADMSG, "line 4: malformed b= line"},
	    {HEAD "b=AS:x\r\n", -EBADMSG, "line 4: malformed b= line"},
	    {HEAD "t=0 0\r\na=\r\n", -EBADMSG, "line 5: malformed attribute name"},
	    {HEAD "t=0 0\r\na=:x\r\n", -EBADMSG, "line 5: malformed attribute name"},
	    {HEAD "t=0 0\r\na=b c:x\r\n", -EBADMSG, "line 5: malformed attribute name"},
	    {HEAD "t=0 0\r\nm=audio\r\n", -EBADMSG, "line 5: malformed m= line"},
	    {HEAD "t=0 0\r\nm=audio 9 RTP/AVP\r\n", -EBADMSG,
	     "line 5: malformed m= line: no formats"},
	    {HEAD "t=0 0\r\nm=audio 65536 RTP/AVP 0\r\n", -EBADMSG,
	     "line 5: malformed m= line: port"},
	    {HEAD "t=0 0\r\nm=audio 9/x RTP/AVP 0\r\n", -EBADMSG,
	     "line 5: malformed m= line: port"},
	    {HEAD "t=0 0\r\nm=au(dio 9 RTP/AVP 0\r\n", -EBADMSG, "line 5: malformed m= line"},
	    {HEAD "t=0 0\r\nm=audio 9 RTP/AVP 0\r\ns=-\r\n", -EBADMSG,
	     "line 6: s= line below an m= line"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char err[CP_NEGO_ERROR_MAX] = "";
		struct cp_sdp *s = NULL;
		int rc = cp_sdp_parse(&s, table[i].text, strlen(table[i].text), CP_SDP_WHOLE, err);

		if (rc != table[i].rc || strncmp(err, table[i].err, strlen(table[i].err)))
			fail_msg("row %zu: %d \"%s\"", i, rc, err);
		assert_true(rc == 0 || s == NULL);
		free(s);
	}
}

static void values_are_where_they_belong(void **state)
{
	static const char text[] =
	    HEAD "t=0 0\r\na=group:BUNDLE a b\r\na=ice-lite\r\n"
	         "m=audio 1234 UDP/TLS/RTP/SAVPF 111 0\r\na=mid:a\r\na=rtpmap:111 "
	         "x:y/1\r\na=unknown:1\r\na=rtpmap:0 z\r\n"
	         "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\n";
	char err[CP_NEGO_ERROR_MAX];
	const struct cp_sdp_attr *a;
	struct cp_sdp *s;

	assert_int_equal(cp_sdp_parse(&s, text, sizeof(text) - 1, CP_SDP_WHOLE, err), 0);
	assert_int_equal(s->n_media, 2);
	assert_string_equal(cp_sdp_attr(s, NULL, CP_SDP_GROUP, NULL)->value, "BUNDLE a b");
	assert_string_equal(cp_sdp_attr(s, NULL, CP_SDP_ICE_LITE, NULL)->value, "");
	assert_null(cp_sdp_attr(s, NULL, CP_SDP_MID, NULL));
	assert_string_equal(s->media[0].media, "audio");
	assert_int_equal(s->media[0].port, 1234);
	assert_string_equal(s->media[0].proto, "UDP/TLS/RTP/SAVPF");
	assert_string_equal(s->media[0].fmts, "111 0");
	a = cp_sdp_attr(s, &s->media[0], CP_SDP_RTPMAP, NULL);
	assert_string_equal(a->value, "111 x:y/1");
	assert_int_equal(a->line, 9);
	a = cp_sdp_attr(s, &s->media[0], CP_SDP_RTPMAP, a);
	assert_string_equal(a->value, "0 z");
	assert_null(cp_sdp_attr(s, &s->media[0], CP_SDP_RTPMAP, a));
	assert_null(cp_sdp_attr(s, &s->media[1], CP_SDP_MID, NULL));
	assert_string_equal(s->media[1].fmts, "webrtc-datachannel");
	free(s);
}

static void limits_hold(void **state)
{
	size_t len = 1 << 20;
	char *text = malloc(len), err[CP_NEGO_ERROR_MAX];
	struct cp_sdp *s = NULL;
	size_t at;

	memset(text, 'a', len);
	assert_int_equal(cp_sdp_parse(&s, text, len, CP_SDP_WHOLE, err), -E2BIG);
	assert_string_equal(err, "description of 1048576 bytes, 262144 at most");
	assert_int_equal(cp_sdp_parse(&s, text, CP_NEGO_SDP_MAX, CP_SDP_WHOLE, err), -E2BIG);
	assert_string_equal(err, "line 1: longer than 4096 bytes");
	for (size_t i = 0; i + 1 < CP_NEGO_SDP_MAX; i += 2)
		memcpy(text + i, "a\n", 2);
	assert_int_equal(cp_sdp_parse(&s, text, CP_NEGO_SDP_MAX, CP_SDP_WHOLE, err), -E2BIG);
	assert_string_equal(err, "line 16385: more than 16384 lines");
	memset(text, '\n', CP_NEGO_SDP_MAX);
	assert_int_equal(cp_sdp_parse(&s, text, CP_NEGO_SDP_MAX, CP_SDP_WHOLE, err), -E2BIG);
	at = (size_t)sprintf(text, HEAD "t=0 0\n");
	for (int i = 0; i < 129; i++)
		at += (size_t)sprintf(text + at, "m=audio 9 X 0\n");
	assert_int_equal(cp_sdp_parse(&s, text, at, CP_SDP_WHOLE, err), -E2BIG);
	assert_string_equal(err, "line 133: more than 128 m-lines");
	assert_int_equal(cp_sdp_parse(&s, text, at - 14, CP_SDP_WHOLE, err), 0);
	assert_int_equal(s->n_media, 128);
	free(s);
	assert_int_equal(cp_sdp_parse(&s, "v=0\0\r\n", 6, CP_SDP_WHOLE, err), -EBADMSG);
	assert_string_equal(err, "line 1: NUL byte");
	free(text);
}

static void errors_are_printable(void **state)
{
	char err[CP_NEGO_ERROR_MAX], long_text[400];

	cp_sdp_fail(err, -1, 3, "bad %s", "\x01\xff\"\\\n");
	assert_string_equal(err, "line 3: bad ?????");
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	cp_sdp_fail(err, -1, 0, "%s", long_text);
	assert_int_equal(strlen(err), CP_NEGO_ERROR_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lines_are_checked),
	    cmocka_unit_test(values_are_where_they_belong),
	    cmocka_unit_test(limits_hold),
	    cmocka_unit_test(errors_are_printable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
