/* Offers: real peers' and what we answer, rules and their errors, several rounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/nego/nego_fixture.h"

static void real_offers_are_answered(void **state)
{
	static const struct {
		const char *name;
		size_t media;
		const char *expect;      // a letter an m-line: r, s, b(oth), i, x (rejected)
		unsigned codecs, layers; // of the last live m-line
	} table[] = {
	    {"chromium_av", 2, "rr", 8, 1},
	    {"chromium_sendrecv", 2, "bb", 8, 1},
	    {"chromium_simulcast", 2, "rr", 8, 3},
	    {"chromium_recvonly", 2, "ss", 30, 1},
	    {"chromium_datachannel", 4, "rrrx", 8, 1},
	    {"chromium_reoffer", 4, "rrrx", 8, 1},
	    {"aiortc_av", 2, "bb", 6, 1},
	    {"aiortc_recvonly", 2, "ss", 6, 1},
	    {"aiortc_datachannel", 2, "bx", 3, 1},
	    {"gstreamer_av", 2, "bb", 2, 1},
	    {"gstreamer_recvonly", 2, "ss", 1, 1},
	    {"firefox_like", 2, "rr", 8, 3},
	    {"obs_like", 2, "rr", 2, 1},
	    {"baresip_like", 1, "b", 5, 1},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct cp_nego n, peer;
		size_t last = 0;
		char *sdp;

		init(&n, false);
		take(&n, table[i].name);
		if (n.n_media != table[i].media)
			fail_msg("%s: %zu m-lines", table[i].name, n.n_media);
		for (size_t k = 0; k < n.n_media; k++) {
			char is = n.media[k].rejected ? 'x' : "isrb"[n.media[k].dir];

			if (is != table[i].expect[k])
				fail_msg("%s: m-line %zu is %c", table[i].name, k, is);
			last = n.media[k].rejected ? last : k;
		}
		if (n.media[last].codecs != table[i].codecs ||
		    n.media[last].layers != table[i].layers)
			fail_msg("%s: %u codecs, %u layers", table[i].name, n.media[last].codecs,
			         n.media[last].layers);
		assert_int_equal(n.setup, CP_SETUP_PASSIVE);
		assert_false(restarted);
		sdp = answer(&n);
		assert_int_equal(count(sdp, "\r\nm="), n.n_media);
		assert_int_equal(count(sdp, "a=candidate:"), 2);
		assert_int_equal(count(sdp, "a=setup:passive"), n.n_media);
		init(&peer, false); // what we write, we can read
		if (offer_of_ours(&peer, sdp))
			fail_msg("%s: own answer: %s", table[i].name, why);
		cp_nego_close(&peer);
		free(sdp);
		cp_nego_close(&n);
	}
}

static void what_fixtures_say_is_understood(void **state)
{
	struct cp_nego n;
	uint8_t ext[SH_EXT_COUNT];
	char *sdp;

	init(&n, false);
	take(&n, "chromium_simulcast");
	assert_memory_equal(n.media[1].layer[0].rid, "q", 1);
	assert_memory_equal(n.media[1].layer[2].rid, "f", 1);
	assert_int_equal(n.media[1].layer[0].ssrc, 0);
	assert_true(n.rtcp_rsize && n.ext_two_byte);
	cp_nego_ext_ids(&n, ext);
	assert_int_equal(ext[SH_EXT_MID], 4);
	assert_int_equal(ext[SH_EXT_RID], 10);
	assert_int_equal(ext[SH_EXT_RRID], 11);
	assert_int_equal(ext[SH_EXT_AUDIO_LEVEL], 1);
	assert_int_equal(ext[SH_EXT_TWCC], 3);
	assert_int_equal(ext[SH_EXT_DEPENDENCY], 12);
	sdp = answer(&n);
	assert_non_null(strstr(sdp, "a=simulcast:recv q;h;f\r\n"));
	assert_non_null(strstr(sdp, "a=rtcp-fb:111 transport-cc\r\n"));
	assert_non_null(strstr(sdp, "a=rtcp-fb:96 transport-cc\r\n"));
	assert_null(strstr(sdp, "goog-remb"));
	assert_non_null(
	    strstr(sdp, "m=video 10000 UDP/TLS/RTP/SAVPF 96 97 108 109 45 46 98 99\r\n"));
	assert_non_null(strstr(sdp, "a=group:BUNDLE 0 1\r\n"));
	free(sdp);
	cp_nego_close(&n);

	init(&n, false);
	take(&n, "firefox_like"); // hi, mid and lo by name; max-width on one only
	assert_memory_equal(n.media[1].layer[0].rid, "lo", 2);
	assert_memory_equal(n.media[1].layer[2].rid, "hi", 2);
	assert_string_equal(n.rufrag, "4bd9ab1c");
	assert_true(n.media[1].codec[0].nack && n.media[1].codec[0].pli && n.media[1].codec[0].fir);
	cp_nego_ext_ids(&n, ext);
	assert_int_equal(ext[SH_EXT_PLAYOUT_DELAY],
	                 0); // recvonly for the peer, which only sends here
	assert_int_equal(ext[SH_EXT_RID], 8);
	sdp = answer(&n);
	assert_non_null(strstr(sdp, "a=simulcast:recv hi;mid;lo\r\n"));
	assert_non_null(strstr(sdp, "a=rid:mid recv max-width=640\r\n"));
	assert_non_null(
	    strstr(sdp, "a=extmap:8/recvonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n"));
	free(sdp);
	cp_nego_close(&n);

	init(&n, false);
	take(&n, "aiortc_av"); // id 2 is audio-level in one m-line, abs-send-time in the other
	cp_nego_ext_ids(&n, ext);
	assert_int_equal(ext[SH_EXT_MID], 1);
	assert_int_equal(ext[SH_EXT_AUDIO_LEVEL], 2);
	assert_int_equal(ext[SH_EXT_ABS_SEND_TIME], 0);
	assert_int_not_equal(n.media[1].layer[0].rtx_ssrc, 0);
	cp_nego_close(&n);

	init(&n, false);
	take(&n, "obs_like"); // no RTX of its own: a slot of ours
	assert_string_equal(n.media[1].stream, "s8Kp0dGm");
	assert_string_equal(n.media[1].track, "s8Kp0dGm-video");
	assert_int_equal(n.media[1].codec[1].codec, SH_CODEC_RTX);
	assert_true(n.media[1].codec[1].local);
	sdp = answer(&n);
	assert_non_null(strstr(sdp, "m=video 10000 UDP/TLS/RTP/SAVPF 96\r\n"));
	assert_non_null(strstr(
	    sdp, "a=fmtp:111 "
	         "minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1"));
	free(sdp);
	cp_nego_close(&n);

	init(&n, false);
	take(&n, "baresip_like"); // no BUNDLE, no mid, session-level ICE, lower-case fingerprint
	assert_string_equal(n.media[0].mid, "");
	assert_memory_equal(n.rfingerprint, "sha-256 19:E2:1C", 16);
	sdp = answer(&n);
	assert_null(strstr(sdp, "a=mid"));
	assert_null(strstr(sdp, "BUNDLE"));
	free(sdp);
	cp_nego_close(&n);
}

static void rules_are_kept(void **state)
{
	static const struct {
		const char *from, *to;
		int rc;
		const char *err; // part of it
	} table[] = {
	    {"a=group:BUNDLE 0 1\r\n", "", -EPROTO, "second m-line without a=group:BUNDLE"},
	    {"a=group:BUNDLE 0 1", "a=group:BUNDLE 0 7", -EPROTO,
	     "BUNDLE names a mid that no m-line has"},
	    {"a=group:BUNDLE 0 1", "a=group:BUNDLE 0 0", -EPROTO, "BUNDLE names a mid twice"},
	    {"a=extmap-allow-mixed", "a=ice-lite", -EPROTO, "line 6: a=ice-lite"},
	    {"a=group:BUNDLE 0 1", "a=group", -EBADMSG, "malformed a=group"},
	    {"a=mid:1", "a=mid:0", -EPROTO, "second a=mid:0"},
	    {"a=mid:1", "a=mid:a b", -EBADMSG, "malformed a=mid"},
	    {"a=mid:1", "a=mid:12345678901234567", -E2BIG, "a=mid longer than 16"},
	    {"a=rtcp-mux\r\n", "", -EPROTO, "line 8: m-line without a=rtcp-mux"},
	    {"a=setup:actpass", "a=setup:holdconn", -EPROTO, "holdconn"},
	    {"a=setup:actpass", "a=setup:x", -EBADMSG, "malformed a=setup"},
	    {"a=ice-ufrag:", "a=ice-ufrag:!", -EBADMSG, "malformed a=ice-ufrag"},
	    {"a=ice-pwd:", "a=ice-pwd:short\r\na=x:", -EBADMSG, "malformed a=ice-pwd"},
	    {"a=fingerprint:sha-256 ", "a=fingerprint:sha-256 0", -EBADMSG,
	     "malformed a=fingerprint"},
	    {"a=fingerprint:sha-256 ", "a=fingerprint:sha-512 ", -EBADMSG,
	     "malformed a=fingerprint"},
	    {"a=candidate:", "a=candidate:! ", -EBADMSG, "malformed a=candidate: foundation"},
	    {" typ host", " host", -EBADMSG, "malformed a=candidate: typ"},
	    {"a=extmap:1 ", "a=extmap:0 ", -EBADMSG, "malformed a=extmap: id"},
	    {"a=extmap:1 ", "a=extmap:300 ", -EBADMSG, "malformed a=extmap: id"},
	    {"a=extmap:1 ", "a=extmap:1/up ", -EBADMSG, "malformed a=extmap: direction"},
	    {"a=extmap:1 ", "a=extmap:1\r\na=x:", -EBADMSG, "malformed a=extmap"},
	    {"a=rtpmap:111 opus/48000/2", "a=rtpmap:111 opus", -EBADMSG, "malformed a=rtpmap"},
	    {"a=rtpmap:111 opus/48000/2", "a=rtpmap:111 opus/x", -EBADMSG, "malformed a=rtpmap"},
	    {"a=rtpmap:111 opus/48000/2", "a=rtpmap:211 opus/48000/2", -EBADMSG,
	     "malformed a=rtpmap"},
	    {"a=rtpmap:111 ", "a=rtpmap:111 red/48000/2\r\na=rtpmap:111 ", -EBADMSG,
	     "second a=rtpmap"},
	    {"a=fmtp:111 ", "a=fmtp:abc ", -EBADMSG, "malformed a=fmtp"},
	    {"a=rtcp-fb:111 transport-cc", "a=rtcp-fb:", -EBADMSG, "malformed a=rtcp-fb"},
	    {"SAVPF 111 63", "SAVPF 111 111", -EBADMSG, "payload type 111 twice"},
	    {"SAVPF 111 63", "SAVPF 111 128", -EBADMSG, "malformed m= line: payload type"},
	    {"a=ssrc-group:FID ", "a=ssrc-group:FID x ", -EBADMSG, "malformed a=ssrc-group"},
	    {"a=ssrc:", "a=ssrc:x", -EBADMSG, "malformed a=ssrc"},
	    {"a=rtcp-rsize", "a=rid:x! send", -EBADMSG, "malformed a=rid"},
	    {"a=rtcp-rsize", "a=rid:x up", -EBADMSG, "malformed a=rid"},
	    {"a=rtcp-rsize", "a=rid:12345678901234567 send", -E2BIG, "a=rid longer than 16"},
	    {"a=rtcp-rsize", "a=rid:x send\r\na=rid:x send", -EBADMSG, "second a=rid:x"},
	    {"a=rtcp-rsize", "a=simulcast:up x", -EBADMSG, "malformed a=simulcast"},
	    {"a=rtcp-rsize", "a=simulcast:send", -EBADMSG, "malformed a=simulcast"},
	};
	char *base = load("chromium_av");
	struct cp_nego n;
	json_t *before, *after;

	init(&n, false);
	take(&n, "chromium_av");
	before = cp_nego_save(&n);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char *sdp = replaced(base, table[i].from, table[i].to);
		int rc = offer(&n, sdp);

		if (rc != table[i].rc || !strstr(why, table[i].err))
			fail_msg("row %zu (%s): %d \"%s\"", i, table[i].to, rc, why);
		free(sdp);
		after = cp_nego_save(&n);
		assert_true(json_equal(before, after)); // all or nothing
		json_decref(after);
	}
	json_decref(before);
	cp_nego_close(&n);
	free(base);
}

static void what_cannot_be_served_is_rejected(void **state)
{
	char *base = load("chromium_av"), *sdp, *out;
	struct cp_nego n;

	init(&n, false);
	sdp = replaced(base, "a=group:BUNDLE 0 1", "a=group:BUNDLE 1"); // outside the group
	assert_int_equal(offer(&n, sdp), 0);
	assert_true(n.media[0].rejected && !n.media[1].rejected);
	out = answer(&n);
	assert_non_null(strstr(out, "m=audio 0 UDP/TLS/RTP/SAVPF 111 63"));
	assert_non_null(strstr(out, "a=group:BUNDLE 1\r\n"));
	assert_true(strstr(out, "a=candidate") > strstr(out, "m=video"));
	free(out);
	free(sdp);
	cp_nego_close(&n);

	init(&n, false);
	sdp = replaced(base, "m=video 9", "m=text 9");
	assert_int_equal(offer(&n, sdp), 0);
	assert_true(n.media[1].rejected && n.media[1].kind == 0);
	free(sdp);
	cp_nego_close(&n);

	init(&n, false);
	sdp = replaced(base, "111 63 9 0 8 13 110 126", "13 110"); // no codec of its own
	assert_int_equal(offer(&n, sdp), 0);
	assert_true(n.media[0].rejected);
	free(sdp);
	cp_nego_close(&n);

	init(&n, false); // nothing left is no error
	sdp = load("aiortc_datachannel");
	out = replaced(sdp, "m=audio", "m=image");
	assert_int_equal(offer(&n, out), 0);
	assert_string_equal(n.rufrag, "");
	free(sdp);
	sdp = answer(&n);
	assert_null(strstr(sdp, "BUNDLE"));
	free(sdp);
	free(out);
	cp_nego_close(&n);

	init(&n, false); // refused by us
	assert_int_equal(offer(&n, base), 0);
	n.media[1].rejected = true;
	out = answer(&n);
	assert_non_null(strstr(out, "m=video 0 "));
	assert_non_null(strstr(out, "a=group:BUNDLE 0\r\n"));
	free(out);
	cp_nego_close(&n);
	free(base);
}

static void offers_follow_each_other(void **state)
{
	char *base = load("chromium_av"), *sdp, *two;
	struct cp_nego n;

	init(&n, false);
	assert_int_equal(offer(&n, base), 0);
	n.media[1].user = &n;
	free(answer(&n));
	assert_int_equal(offer(&n, base), 0);
	assert_false(restarted);
	assert_ptr_equal(n.media[1].user, &n);
	two = replaced(base, "a=ice-ufrag:", "a=ice-ufrag:new");
	assert_int_equal(offer(&n, two), 0);
	assert_true(restarted);
	free(two);
	assert_int_equal(offer(&n, base), 0);
	sdp = replaced(base, "a=fingerprint:sha-256 ",
	               "a=fingerprint:sha-256 19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:"
	               "73:04:BB:05:2F:70:9F:04:A9:0E:05:E9:26:33:E8:70:88:A2\r\na=x:");
	assert_int_equal(offer(&n, sdp), -EPROTO);
	assert_non_null(strstr(why, "fingerprint changed without an ICE restart"));
	two = replaced(sdp, "a=ice-ufrag:", "a=ice-ufrag:new");
	assert_int_equal(offer(&n, two), 0);
	free(two);
	free(sdp);
	sdp = replaced(base, "m=video 9", "m=video 0"); // the peer stops it
	assert_int_equal(offer(&n, sdp), 0);
	assert_true(n.media[1].rejected);
	assert_ptr_equal(n.media[1].user, &n); // for the caller to let go
	two = replaced(base, "a=mid:1", "a=mid:fresh");
	free(sdp);
	sdp = replaced(two, "BUNDLE 0 1", "BUNDLE 0 fresh");
	assert_int_equal(offer(&n, sdp), 0);
	assert_null(n.media[1].user);
	assert_string_equal(n.media[1].mid, "fresh");
	assert_int_equal(offer(&n, base), -EPROTO);
	assert_non_null(strstr(why, "another a=mid than before"));
	free(sdp);
	free(two);
	sdp = load("baresip_like");
	assert_int_equal(offer(&n, sdp), -EPROTO);
	assert_non_null(strstr(why, "1 m-lines, 2 before"));
	free(sdp);
	cp_nego_close(&n);

	init(&n, false);
	sdp = replaced(base, "a=setup:actpass", "a=setup:passive");
	assert_int_equal(offer(&n, sdp), 0);
	assert_int_equal(n.setup, CP_SETUP_ACTIVE);
	two = answer(&n);
	assert_non_null(strstr(two, "a=setup:active"));
	free(two);
	assert_int_equal(offer(&n, base), 0); // actpass: the association stays as it is
	assert_int_equal(n.setup, CP_SETUP_ACTIVE);
	two = replaced(base, "a=setup:actpass", "a=setup:active");
	assert_int_equal(offer(&n, two), -EPROTO);
	assert_non_null(strstr(why, "DTLS role changed"));
	free(two);
	free(sdp);
	cp_nego_close(&n);
	free(base);
}

/* Every cut of a real offer is an error or an offer, and after an error nothing has changed. */
static void cuts_are_harmless(void **state)
{
	char *sdp = load("chromium_simulcast");
	struct cp_nego n;

	for (size_t len = 0; len < strlen(sdp); len += 3) {
		int rc;

		init(&n, false);
		rc = cp_nego_offer_in(&n, sdp, len, &restarted, why);
		assert_true(rc == 0 || rc == -EBADMSG || rc == -EPROTO);
		assert_true(rc == 0 || (n.n_media == 0 && why[0]));
		if (!rc)
			free(answer(&n));
		cp_nego_close(&n);
	}
	free(sdp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(real_offers_are_answered),
	    cmocka_unit_test(what_fixtures_say_is_understood),
	    cmocka_unit_test(rules_are_kept),
	    cmocka_unit_test(what_cannot_be_served_is_rejected),
	    cmocka_unit_test(offers_follow_each_other),
	    cmocka_unit_test(cuts_are_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
