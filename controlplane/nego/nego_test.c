/* Agreement: real peers' descriptions, rules and their errors, both shapes over several rounds, the
 * journal, and each operation with its n-th allocation failing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/nego/codec.h"
#include "controlplane/nego/nego.h"

/* The linker sends nego's allocations here (meson: --wrap). */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
static int fail_at; // 0: never; else counts down to the failing one

static bool fails(void)
{
	return fail_at && --fail_at == 0;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

static char err[CP_NEGO_ERROR_MAX];
static bool restarted;

static void init(struct cp_nego *n, bool offerer)
{
	static const struct sh_addr addr[2] = {
	    {.family = 4, .port = 10000, .ip = {192, 0, 2, 1}},
	    {.family = 6, .port = 10000, .ip = {0x20, 1, 0xd, 0xb8, [15] = 1}}};
	struct cp_nego_conf conf = {.ufrag = "ourufrag",
	                            .pwd = "ourpassword0123456789abcd",
	                            .cname = "callstack",
	                            .addr = addr,
	                            .addrs = 2,
	                            .offerer = offerer,
	                            .fingerprint =
	                                "sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:"
	                                "0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F"};

	assert_int_equal(cp_nego_init(n, &conf, 1), 0);
}

static char *load(const char *name)
{
	char path[512], *text = malloc(65536);
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.sdp", TESTDATA, name);
	f = fopen(path, "r");
	assert_non_null(f);
	text[fread(text, 1, 65535, f)] = '\0';
	fclose(f);
	return text;
}

/* text with the first `from` made `to`. */
static char *replaced(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	char *out = malloc(strlen(text) + strlen(to) + 1);

	if (!at)
		fail_msg("no \"%s\" to replace", from);
	sprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	return out;
}

static int offer(struct cp_nego *n, const char *sdp)
{
	return cp_nego_offer_in(n, sdp, strlen(sdp), &restarted, err);
}

static char *answer(struct cp_nego *n)
{
	char *sdp = NULL;

	assert_int_equal(cp_nego_answer_out(n, &sdp), 0);
	return sdp;
}

/* Our own text as if a full ICE agent had written it. */
static int offer_of_ours(struct cp_nego *n, const char *sdp)
{
	char *text = replaced(sdp, "a=ice-lite\r\n", "");
	int rc = offer(n, text);

	free(text);
	return rc;
}

static void take(struct cp_nego *n, const char *fixture)
{
	char *sdp = load(fixture);

	if (offer(n, sdp))
		fail_msg("%s: %s", fixture, err);
	free(sdp);
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

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
			fail_msg("%s: own answer: %s", table[i].name, err);
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

		if (rc != table[i].rc || !strstr(err, table[i].err))
			fail_msg("row %zu (%s): %d \"%s\"", i, table[i].to, rc, err);
		free(sdp);
		after = cp_nego_save(&n);
		assert_true(json_equal(before, after)); // all or nothing
		json_decref(after);
	}
	json_decref(before);
	cp_nego_close(&n);
	free(base);
}

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
	assert_non_null(strstr(err, "no a=ice-ufrag and a=ice-pwd"));
	free(sdp);
	sdp = without(load("chromium_av"), "a=fingerprint");
	assert_int_equal(offer(&n, sdp), -EPROTO);
	assert_non_null(strstr(err, "DTLS-SRTP is required"));
	free(sdp);
	base = load("baresip_like");
	sdp = replaced(base,
	               "SHA-256 "
	               "19:e2:1c:3b:4b:9f:81:e6:b8:5c:f4:a5:a8:d8:73:04:bb:05:2f:70:9f:04:a9:0e:05:"
	               "e9:26:33:e8:70:88:a2",
	               "sha-1 19:e2:1c:3b:4b:9f:81:e6:b8:5c:f4:a5:a8:d8:73:04:bb:05:2f:70");
	assert_int_equal(offer(&n, sdp), -EPROTO);
	assert_non_null(strstr(err, "sha-256, sha-384 or sha-512"));
	free(sdp);
	free(base);
	cp_nego_close(&n);
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
	assert_non_null(strstr(err, "fingerprint changed without an ICE restart"));
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
	assert_non_null(strstr(err, "another a=mid than before"));
	free(sdp);
	free(two);
	sdp = load("baresip_like");
	assert_int_equal(offer(&n, sdp), -EPROTO);
	assert_non_null(strstr(err, "1 m-lines, 2 before"));
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
	assert_non_null(strstr(err, "DTLS role changed"));
	free(two);
	free(sdp);
	cp_nego_close(&n);
	free(base);
}

static struct cp_nego_send track(struct cp_nego *pub, size_t i)
{
	static uint32_t ssrc = 100;
	static char name[16];

	ssrc += 2;
	snprintf(name, sizeof(name), "t%u", ssrc);
	return (struct cp_nego_send){.kind = pub->media[i].kind,
	                             .src = pub->media[i].codec,
	                             .n_src = pub->media[i].codecs,
	                             .ssrc = ssrc,
	                             .rtx_ssrc = ssrc + 1,
	                             .stream = "s",
	                             .track = name,
	                             .user = pub};
}

static size_t add(struct cp_nego *sub, struct cp_nego *pub, size_t i)
{
	struct cp_nego_send s = track(pub, i);
	size_t index;

	assert_int_equal(cp_nego_send_add(sub, &index, &s), 0);
	return index;
}

static char *make_offer(struct cp_nego *n)
{
	char *sdp;

	assert_int_equal(cp_nego_offer_out(n, &sdp), 0);
	return sdp;
}

static int answered(struct cp_nego *n, const char *sdp)
{
	return cp_nego_answer_in(n, sdp, strlen(sdp), err);
}

/* A peer that takes all of our offer: our own answerer, sending nothing. */
static char *willing(const char *sdp)
{
	struct cp_nego peer;
	char *out, *turned;

	init(&peer, false);
	if (offer_of_ours(&peer, sdp))
		fail_msg("own offer: %s", err);
	out = answer(&peer);
	cp_nego_close(&peer);
	turned = replaced(out, "a=ice-lite\r\n", "");
	free(out);
	while (strstr(turned, "a=setup:passive")) {
		out = replaced(turned, "a=setup:passive", "a=setup:active");
		free(turned);
		turned = out;
	}
	return turned;
}

static void real_answers_are_taken(void **state)
{
	uint8_t pts[SH_MAX_PTS];
	struct sh_track_pt slots[SH_MAX_PTS];
	struct cp_nego pub, sub;
	char *sdp;

	init(&pub, false);
	take(&pub, "chromium_av");
	init(&sub, true);
	for (int i = 0; i < 4; i++)
		add(&sub, &pub, (size_t)i % 2);
	sdp = make_offer(&sub);
	assert_int_equal(count(sdp, "a=setup:actpass"), 4);
	assert_non_null(strstr(sdp, "a=group:BUNDLE 0 1 2 3\r\n"));
	assert_int_equal(count(sdp, "a=extmap:10 https://aomediacodec.github.io/av1-rtp-spec/"
	                            "#dependency-descriptor-rtp-header-extension\r\n"),
	                 2); // video only
	assert_non_null(strstr(sdp, "a=ice-lite\r\n"));
	assert_int_equal(count(sdp, "a=ssrc-group:FID"), 2);
	free(sdp);
	assert_false(sub.media[0].agreed);
	sdp = load("chromium_answer");
	if (answered(&sub, sdp))
		fail_msg("%s", err);
	free(sdp);
	assert_int_equal(sub.setup, CP_SETUP_PASSIVE);
	assert_int_equal(cp_nego_feedback(&sub), SH_EP_TWCC);
	for (int i = 0; i < 4; i++) {
		assert_true(sub.media[i].agreed);
		assert_int_equal(sub.media[i].dir, CP_DIR_SEND);
		assert_int_equal(sub.media[i].codecs, 8);
		assert_int_equal(sub.media[i].ext_id[SH_EXT_MID], 1);
	}
	assert_true(sub.media[1].codec[0].nack);
	cp_nego_track_pts(&pub.media[1], slots);
	cp_nego_sub_pts(&sub.media[1], slots, pts);
	assert_int_equal(slots[0].codec, SH_CODEC_VP8);
	assert_int_equal(slots[1].apt_slot, 0);
	assert_int_equal(pts[0], 96);
	assert_int_equal(pts[1], 97);
	for (int i = 0; i < 8; i++)
		assert_int_not_equal(pts[i], 255);
	sdp = load("chromium_answer");
	assert_int_equal(answered(&sub, sdp), -EPROTO);
	assert_non_null(strstr(err, "no offer awaits an answer"));
	free(sdp);
	cp_nego_close(&sub);
	cp_nego_close(&pub);
}

static void answers_narrow(void **state)
{
	uint8_t pts[SH_MAX_PTS];
	struct sh_track_pt slots[SH_MAX_PTS];
	struct cp_nego pub, sub;
	char *sdp, *full, *less;

	init(&pub, false);
	take(&pub, "obs_like"); // H264 without RTX
	init(&sub, true);
	add(&sub, &pub, 0);
	add(&sub, &pub, 1);
	sdp = make_offer(&sub);
	assert_non_null(strstr(
	    sdp,
	    "a=fmtp:108 profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1"));
	assert_non_null(strstr(sdp, "a=fmtp:109 apt=108"));
	full = willing(sdp);
	less = replaced(full, " 108 109\r\n", " 108\r\n");
	free(full);
	full = replaced(less, "a=rtcp-fb:108 ccm fir\r\n", "");
	assert_int_equal(answered(&sub, full), 0);
	assert_int_equal(sub.media[1].codecs, 1);
	assert_int_equal(sub.media[1].rtx_ssrc, 0);
	assert_true(sub.media[1].codec[0].pli && !sub.media[1].codec[0].fir);
	cp_nego_track_pts(&pub.media[1], slots);
	assert_int_equal(slots[1].codec, SH_CODEC_RTX); // local: its number is one that nobody uses
	cp_nego_sub_pts(&sub.media[1], slots, pts);
	assert_int_equal(pts[0], 108);
	assert_int_equal(pts[1], 255);
	free(less);
	free(full);
	free(sdp);

	sdp = make_offer(&sub); // the same again, the subscriber has no H264 of that profile
	full = willing(sdp);
	less = replaced(full, "profile-level-id=42e01f", "profile-level-id=64001f");
	assert_int_equal(answered(&sub, less), 0);
	assert_int_equal(sub.media[1].dir, CP_DIR_INACTIVE);
	cp_nego_sub_pts(&sub.media[1], slots, pts);
	assert_int_equal(pts[0], 255);
	free(less);
	free(full);
	free(sdp);
	cp_nego_close(&sub);
	cp_nego_close(&pub);
}

static void bad_answers_are_refused(void **state)
{
	static const struct {
		const char *from, *to, *err;
	} table[] = {
	    {"a=setup:active", "a=setup:actpass", "a=setup:active or passive"},
	    {"a=mid:1\r\n", "a=mid:2\r\n", "BUNDLE names"},
	    {"m=video", "m=audio", "another kind"},
	    {"a=group:BUNDLE 0 1", "a=group:BUNDLE 0", "accepted outside the BUNDLE"},
	    {"a=rtcp-mux\r\n", "", "without a=rtcp-mux"},
	};
	struct cp_nego pub, sub;
	char *sdp, *full;
	json_t *before, *after;

	init(&pub, false);
	take(&pub, "chromium_av");
	init(&sub, true);
	add(&sub, &pub, 0);
	add(&sub, &pub, 1);
	sdp = make_offer(&sub);
	full = willing(sdp);
	before = cp_nego_save(&sub);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char *bad = replaced(full, table[i].from, table[i].to);
		int rc = answered(&sub, bad);

		if (rc != -EPROTO || !strstr(err, table[i].err))
			fail_msg("row %zu: %d \"%s\"", i, rc, err);
		after = cp_nego_save(&sub);
		assert_true(json_equal(before, after));
		json_decref(after);
		free(bad);
	}
	json_decref(before);
	assert_int_equal(answered(&sub, full), 0);
	free(sdp);
	free(full);
	sdp = load("baresip_like");
	free(make_offer(&sub));
	assert_int_equal(answered(&sub, sdp), -EPROTO);
	assert_non_null(strstr(err, "1 m-lines answer 2"));
	free(sdp);
	cp_nego_close(&sub);
	cp_nego_close(&pub);
}

/* A description with one m-line more or less: `from` in a fixture made `to`, taken as an offer. */
static char *take_changed(struct cp_nego *n, const char *fixture, const char *from, const char *to)
{
	char *sdp = load(fixture), *changed = replaced(sdp, from, to), *out;

	if (offer(n, changed))
		fail_msg("%s: %s", fixture, err);
	out = answer(n);
	free(changed);
	free(sdp);
	return out;
}

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
			fail_msg("row %zu: %s", i, err);
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

/* What a publisher says of its audio goes back to it as it was; forward error correction for video
 * is not agreed to by anybody. */
static void red_and_dtx_pass(void **state)
{
	struct cp_nego pub, sub;
	char *out;

	init(&pub, false);
	out = take_changed(&pub, "chromium_av", "a=fmtp:111 minptime=10;useinbandfec=1",
	                   "a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1");
	assert_non_null(strstr(out, "a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1\r\n"));
	assert_non_null(strstr(out, "a=rtpmap:63 red/48000/2\r\n"));
	assert_non_null(strstr(out, "a=fmtp:63 111/111\r\n"));
	assert_null(strstr(out, "ulpfec"));
	assert_null(strstr(out, "flexfec"));
	assert_null(strstr(out, "red/90000"));
	free(out);
	init(&sub, true);
	add(&sub, &pub, 0);
	add(&sub, &pub, 1);
	out = make_offer(&sub);
	assert_non_null(strstr(out, "a=fmtp:63 111/111\r\n"));
	assert_null(strstr(out, "fec/90000"));
	free(out);
	cp_nego_close(&sub);
	cp_nego_close(&pub);
}

static void remb_is_for_those_without_better(void **state)
{
	struct cp_nego pub, sub;
	char *out, *full;

	init(&pub, false);
	take(&pub, "aiortc_av");
	assert_int_equal(cp_nego_feedback(&pub), SH_EP_REMB);
	out = answer(&pub);
	assert_int_equal(count(out, "goog-remb"), 3);
	assert_null(strstr(out, "transport-cc"));
	free(out);
	init(&sub, true);
	add(&sub, &pub, 0);
	add(&sub, &pub, 1);
	out = make_offer(&sub);
	assert_int_equal(count(out, "goog-remb"), 3);
	full = willing(out);
	assert_int_equal(cp_nego_feedback(&sub), 0); // nothing is agreed yet
	assert_int_equal(answered(&sub, full), 0);
	free(full);
	free(out);
	cp_nego_close(&sub);
	cp_nego_close(&pub);

	init(&pub, false);
	take(&pub, "baresip_like");
	assert_int_equal(cp_nego_feedback(&pub), 0);
	cp_nego_close(&pub);

	init(&pub, false);
	take(&pub, "obs_like");
	init(&sub, true);
	add(&sub, &pub, 1);
	out = make_offer(&sub);
	full = willing(out);
	assert_int_equal(answered(&sub, full), 0);
	assert_true(sub.media[0].codec[0].remb || sub.media[0].codec[0].twcc);
	free(full);
	free(out);
	cp_nego_close(&sub);
	cp_nego_close(&pub);
}

#define TWCC_EXT                                                                                   \
	"a=extmap:9 "                                                                              \
	"http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n"

static void transport_feedback_is_for_the_whole_bundle(void **state)
{
	static const struct {
		const char *without; // taken out of the answer of one who takes all
		unsigned times;
		uint8_t feedback;
	} table[] = {
	    {"a=x", 0, SH_EP_TWCC},
	    {TWCC_EXT, 1, SH_EP_REMB}, // audio would look lost
	    {TWCC_EXT, 2, SH_EP_REMB},
	    {"a=rtcp-fb:96 transport-cc\r\n", 1, SH_EP_TWCC}, // other codecs of it have it
	};
	uint8_t ext[SH_EXT_COUNT];
	struct cp_nego pub, sub;
	char *sdp, *full, *less;

	init(&pub, false);
	take(&pub, "chromium_av");
	assert_int_equal(cp_nego_feedback(&pub), SH_EP_TWCC);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		init(&sub, true);
		add(&sub, &pub, 0);
		add(&sub, &pub, 1);
		sdp = make_offer(&sub);
		assert_int_equal(count(sdp, TWCC_EXT), 2);
		assert_non_null(strstr(sdp, "a=rtcp-fb:111 transport-cc\r\n"));
		assert_non_null(strstr(sdp, "a=rtcp-fb:96 goog-remb\r\n"));
		full = strdup(sdp); // who has all we offer, and says so
		for (const char *const *r =
		         (const char *const[]){"a=ice-lite\r\n", "", "a=setup:actpass",
		                               "a=setup:active", "a=setup:actpass",
		                               "a=setup:active", "a=sendonly", "a=recvonly",
		                               "a=sendonly", "a=recvonly", NULL};
		     *r; r += 2) {
			less = replaced(full, r[0], r[1]);
			free(full);
			full = less;
		}
		for (unsigned k = 0; k < table[i].times; k++) {
			less = replaced(full, table[i].without, "");
			free(full);
			full = less;
		}
		cp_nego_ext_ids(&sub, ext);
		assert_int_equal(ext[SH_EXT_TWCC], 0); // not before the answer
		if (answered(&sub, full))
			fail_msg("row %zu: %s", i, err);
		assert_int_equal(cp_nego_feedback(&sub), table[i].feedback);
		cp_nego_ext_ids(&sub, ext);
		assert_int_equal(ext[SH_EXT_TWCC], table[i].feedback == SH_EP_TWCC ? 9 : 0);
		cp_nego_send_remove(&sub, 0); // audio, that some rows speak of, goes
		assert_int_equal(cp_nego_feedback(&sub), i == 2 ? SH_EP_REMB : SH_EP_TWCC);
		free(full);
		free(sdp);
		cp_nego_close(&sub);
	}
	cp_nego_close(&pub);
}

/* Players offer, and our answer says what we will do. */
static void players_get_what_all_their_m_lines_have(void **state)
{
	struct cp_nego pub, play;
	struct cp_nego_send s;
	char *sdp, *changed, *out;

	init(&pub, false);
	take(&pub, "chromium_av");
	for (int audio = 0; audio < 2; audio++) {
		init(&play, false);
		sdp = load("chromium_recvonly");
		changed = replaced(
		    sdp, audio ? "a=rtcp-fb:111 transport-cc\r\n" : "a=rtcp-rsize\r\n", "");
		if (offer(&play, changed))
			fail_msg("%s", err);
		for (size_t i = 0; i < 2; i++) {
			s = track(&pub, i);
			assert_int_equal(cp_nego_send_fill(&play, i, &s), 0);
		}
		out = answer(&play);
		assert_int_equal(strstr(out, "transport-cc") != NULL, !audio);
		assert_int_equal(strstr(out, "transport-wide-cc") != NULL, !audio);
		assert_int_equal(strstr(out, "goog-remb") != NULL, audio);
		assert_int_equal(cp_nego_feedback(&play), audio ? SH_EP_REMB : SH_EP_TWCC);
		free(out);
		free(changed);
		free(sdp);
		cp_nego_close(&play);
	}
	cp_nego_close(&pub);
}

static void publishers_need_the_extension_too(void **state)
{
	uint8_t ext[SH_EXT_COUNT];
	struct cp_nego n;
	char *out;

	init(&n, false);
	take(&n, "gstreamer_av"); // transport-cc, and no extension to number packets with
	assert_int_equal(cp_nego_feedback(&n), 0);
	out = answer(&n);
	assert_null(strstr(out, "transport-cc"));
	free(out);
	cp_nego_close(&n);

	init(&n, false);
	take(&n, "firefox_like"); // the extension, and REMB
	assert_int_equal(cp_nego_feedback(&n), SH_EP_REMB);
	cp_nego_ext_ids(&n, ext);
	assert_int_equal(ext[SH_EXT_TWCC], 0);
	out = answer(&n);
	assert_null(strstr(out, "transport-wide-cc"));
	assert_non_null(strstr(out, "goog-remb"));
	free(out);
	cp_nego_close(&n);

	init(&n, false); // video alone: its packets are all that are numbered
	out = take_changed(&n, "firefox_like", "a=rtcp-fb:120 goog-remb\r\n",
	                   "a=rtcp-fb:120 goog-remb\r\na=rtcp-fb:120 transport-cc\r\n");
	assert_int_equal(cp_nego_feedback(&n), SH_EP_TWCC);
	assert_non_null(strstr(out, "a=rtcp-fb:120 transport-cc\r\n"));
	assert_null(strstr(out, "goog-remb"));
	cp_nego_ext_ids(&n, ext);
	assert_int_equal(ext[SH_EXT_TWCC], 7);
	free(out);
	cp_nego_close(&n);
}

static void m_lines_are_used_again(void **state)
{
	struct cp_nego pub, sub;
	struct cp_nego_send s;
	char *sdp, *ans, *edited;
	size_t i;

	init(&pub, false);
	take(&pub, "chromium_av");
	init(&sub, true);
	add(&sub, &pub, 0);
	add(&sub, &pub, 1);
	sdp = make_offer(&sub);
	ans = willing(sdp);
	/* changes while the offer is out wait for the next one */
	assert_int_equal(add(&sub, &pub, 1), 2);
	cp_nego_send_remove(&sub, 1);
	assert_int_equal(answered(&sub, ans), 0);
	assert_true(sub.media[0].agreed && !sub.media[1].agreed && !sub.media[2].agreed);
	assert_int_equal(sub.media[1].dir, CP_DIR_INACTIVE);
	assert_int_equal(sub.media[2].dir, CP_DIR_SEND);
	free(sdp);
	free(ans);
	sdp = make_offer(&sub);
	assert_int_equal(count(sdp, "a=inactive"), 1);
	ans = willing(sdp);
	assert_int_equal(answered(&sub, ans), 0);
	assert_true(sub.media[1].agreed && sub.media[2].agreed);
	free(sdp);
	free(ans);
	assert_int_equal(add(&sub, &pub, 1), 1);
	assert_string_equal(sub.media[1].mid, "1");
	assert_int_equal(add(&sub, &pub, 0), 3);
	sdp = make_offer(&sub);
	ans = willing(sdp);
	edited = replaced(ans, "m=audio 10000", "m=audio 0"); // the peer refuses the first
	assert_int_equal(answered(&sub, edited), 0);
	assert_true(sub.media[0].rejected);
	assert_int_equal(sub.media[0].dir, CP_DIR_INACTIVE);
	assert_ptr_equal(sub.media[0].user, &pub);
	free(sdp);
	free(ans);
	free(edited);
	cp_nego_send_remove(&sub, 0);
	sdp = make_offer(&sub); // once more with port 0
	assert_non_null(strstr(sdp, "m=audio 0 "));
	assert_non_null(strstr(sdp, "BUNDLE 1 2 3\r\n"));
	assert_true(strstr(sdp, "a=candidate") > strstr(sdp, "m=video"));
	ans = willing(sdp);
	assert_int_equal(answered(&sub, ans), 0);
	assert_int_equal(add(&sub, &pub, 1), 0); // and then as another
	assert_string_equal(sub.media[0].mid, "4");
	assert_false(sub.media[0].rejected);
	free(sdp);
	free(ans);
	sdp = make_offer(&sub);
	ans = willing(sdp);
	assert_int_equal(answered(&sub, ans), 0);
	free(sdp);
	free(ans);

	s = track(&pub, 0);
	assert_int_equal(cp_nego_send_change(&sub, 3, &s), 0);
	assert_false(sub.media[3].agreed);
	assert_int_equal(cp_nego_send_change(&sub, 2, &s), -EINVAL);
	s.src = &(struct cp_codec){
	    .codec = SH_CODEC_H264, .pt = 96, .clock_hz = 90000, .fmtp = "packetization-mode=2"};
	s.n_src = 1;
	assert_int_equal(cp_nego_send_add(&sub, &i, &s), -EPROTO);
	s = track(&pub, 0);
	while (sub.n_media < CP_NEGO_MEDIA_MAX)
		add(&sub, &pub, 0);
	assert_int_equal(cp_nego_send_add(&sub, &i, &s), -E2BIG);
	sdp = make_offer(&sub);
	assert_true(strlen(sdp) < CP_NEGO_SDP_MAX);
	free(sdp);
	cp_nego_close(&sub);
	cp_nego_close(&pub);
}

/* One payload type, one configuration across the BUNDLE. */
static void fmtp_is_the_first_one(void **state)
{
	struct cp_codec a = {.pt = 96,
	                     .codec = SH_CODEC_H264,
	                     .clock_hz = 90000,
	                     .apt = 255,
	                     .src_pt = 255,
	                     .fmtp = "packetization-mode=1;profile-level-id=42e01f"};
	struct cp_codec b = a;
	struct cp_nego_send s = {
	    .kind = SH_KIND_VIDEO, .src = &a, .n_src = 1, .stream = "s", .track = "t", .user = &a};
	struct cp_nego sub;
	size_t i;

	strcpy(b.fmtp, "profile-level-id=42e034;packetization-mode=1");
	init(&sub, true);
	assert_int_equal(cp_nego_send_add(&sub, &i, &s), 0);
	s.src = &b;
	assert_int_equal(cp_nego_send_add(&sub, &i, &s), 0);
	assert_string_equal(sub.media[1].codec[0].fmtp, a.fmtp);
	assert_int_equal(sub.media[1].codec[0].pt, 108);
	strcpy(b.fmtp, "profile-level-id=42e034"); // mode 0 is another number
	assert_int_equal(cp_nego_send_add(&sub, &i, &s), 0);
	assert_int_equal(sub.media[2].codec[0].pt, 114);
	cp_nego_close(&sub);
}

static void whep_is_filled(void **state)
{
	uint8_t pts[SH_MAX_PTS];
	struct sh_track_pt slots[SH_MAX_PTS];
	struct cp_nego obs, chromium, play;
	struct cp_nego_send s;
	char *sdp;

	init(&obs, false);
	take(&obs, "obs_like");
	init(&chromium, false);
	take(&chromium, "chromium_av");
	init(&play, false);
	take(&play, "chromium_recvonly");
	s = track(&obs, 1);
	assert_int_equal(cp_nego_send_fill(&play, 0, &s), -EINVAL); // video into audio
	assert_int_equal(cp_nego_send_fill(&play, 2, &s), -EINVAL);
	assert_int_equal(cp_nego_send_fill(&play, 1, &s), 0);
	sdp = answer(&play);
	assert_non_null(strstr(sdp, "m=video 10000 UDP/TLS/RTP/SAVPF 108 109 96"));
	assert_int_equal(count(sdp, "a=ssrc-group:FID"), 1);
	free(sdp);
	cp_nego_track_pts(&obs.media[1], slots);
	cp_nego_sub_pts(&play.media[1], slots, pts);
	assert_int_equal(pts[0], 108);
	assert_int_equal(pts[1], 109);
	s = track(&chromium, 1); // the room goes on to another publisher, without a new offer
	assert_int_equal(cp_nego_send_fill(&play, 1, &s), 0);
	cp_nego_track_pts(&chromium.media[1], slots);
	cp_nego_sub_pts(&play.media[1], slots, pts);
	for (int i = 0; i < 8; i++)
		assert_int_not_equal(pts[i], 255);
	s.src = &(struct cp_codec){
	    .codec = SH_CODEC_H264, .pt = 96, .clock_hz = 90000, .fmtp = "profile-level-id=7a001f"};
	s.n_src = 1;
	assert_int_equal(cp_nego_send_fill(&play, 1, &s), -EPROTO);
	cp_nego_sub_pts(&play.media[1], slots, pts);
	assert_int_equal(pts[0], 96);
	cp_nego_close(&obs);
	cp_nego_close(&chromium);
	cp_nego_close(&play);
}

static void h264_is_matched_by_profile_and_mode(void **state)
{
	static const struct {
		const char *a, *b;
		bool same, b_takes_a;
	} table[] = {
	    {"profile-level-id=42e01f;packetization-mode=1",
	     "packetization-mode=1;profile-level-id=42E034", true, true},
	    {"profile-level-id=42e01f;packetization-mode=1",
	     "profile-level-id=42e01f;packetization-mode=0", false, false},
	    {"profile-level-id=42e01f", "profile-level-id=42e01f;packetization-mode=1", false,
	     true},
	    {"profile-level-id=42c01f", "profile-level-id=4d801f", true,
	     true}, // two ways to say constrained baseline
	    {"profile-level-id=42e01f", "profile-level-id=42001f", false, true},
	    {"profile-level-id=42001f", "profile-level-id=42e01f", false, false},
	    {"profile-level-id=42e01f", "profile-level-id=64001f", false, true},
	    {"profile-level-id=64001f", "profile-level-id=42e01f", false, false},
	    {"profile-level-id=640c1f", "profile-level-id=64001f", false, true},
	    {"", "profile-level-id=420010", true, true},
	    {"profile-level-id=xyz", "profile-level-id=xyz", false, false},
	    {"packetization-mode=2", "packetization-mode=2", false, false},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct cp_codec a = {.codec = SH_CODEC_H264, .clock_hz = 90000}, b = a;

		strcpy(a.fmtp, table[i].a);
		strcpy(b.fmtp, table[i].b);
		if (cp_codec_same(&a, &b) != table[i].same ||
		    cp_codec_takes(&b, &a) != table[i].b_takes_a)
			fail_msg("row %zu", i);
	}
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
		int rc = cp_nego_fragment_in(table[i].text, strlen(table[i].text), ufrag, pwd, err);

		if (rc != table[i].rc || (rc && !strstr(err, table[i].err)))
			fail_msg("row %zu: %d %s", i, rc, err);
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

static void the_journal_brings_it_back(void **state)
{
	struct cp_nego pub, sub, back;
	json_t *saved, *again;
	char *sdp, *ans;
	const char *key;
	json_t *value;

	init(&pub, false);
	take(&pub, "chromium_simulcast");
	init(&sub, true);
	add(&sub, &pub, 0);
	add(&sub, &pub, 1);
	sdp = make_offer(&sub);
	ans = willing(sdp);
	saved = cp_nego_save(&sub);
	assert_int_equal(cp_nego_load(&back, saved), 0);
	again = cp_nego_save(&back);
	assert_true(json_equal(saved, again));
	json_decref(again);
	assert_int_equal(answered(&back, ans), 0); // where the old one left off
	assert_true(back.media[1].agreed);
	cp_nego_close(&back);
	json_object_foreach (saved, key, value) { // each field missing, or of another type
		json_t *copy = json_deep_copy(saved);

		json_object_del(copy, key);
		assert_int_equal(cp_nego_load(&back, copy), -EBADMSG);
		json_object_set_new(copy, key, json_real(1.5));
		assert_int_equal(cp_nego_load(&back, copy), -EBADMSG);
		json_decref(copy);
	}
	json_decref(saved);
	free(sdp);
	free(ans);
	saved = cp_nego_save(&pub);
	assert_int_equal(cp_nego_load(&back, saved), 0);
	take(&back, "chromium_simulcast");
	assert_false(restarted);
	again = cp_nego_save(&back);
	assert_true(json_equal(saved, again));
	json_decref(again);
	json_decref(saved);
	cp_nego_close(&back);
	cp_nego_close(&sub);
	cp_nego_close(&pub);
}

/* Each allocation in turn: -ENOMEM and nothing changed, or success. */
static void allocations_may_fail(void **state)
{
	struct cp_nego pub, sub;
	char *sdp = load("chromium_simulcast"), *made = NULL, *ans = NULL;
	struct cp_nego_send s;
	size_t index;
	json_t *before, *after;
	int rc, at;

	init(&pub, false);
	take(&pub, "chromium_simulcast");
	init(&sub, true);
	before = cp_nego_save(&pub);
	for (at = 1, rc = -1; rc; at++) {
		fail_at = at;
		rc = offer(&pub, sdp);
		fail_at = 0;
		assert_true(rc == 0 || rc == -ENOMEM);
		after = cp_nego_save(&pub);
		assert_true(json_equal(before, after));
		json_decref(after);
	}
	assert_true(at > 4);
	for (at = 1, rc = -1; rc; at++) {
		uint64_t version = pub.version;

		fail_at = at;
		rc = cp_nego_answer_out(&pub, &made);
		fail_at = 0;
		assert_true(rc == 0 || (rc == -ENOMEM && pub.version == version));
	}
	assert_true(at > 4);
	free(made);
	s = track(&pub, 1);
	for (at = 1, rc = -1; rc; at++) {
		fail_at = at;
		rc = cp_nego_send_add(&sub, &index, &s);
		fail_at = 0;
		assert_true(rc == 0 || (rc == -ENOMEM && sub.n_media == 0));
	}
	for (at = 1, rc = -1; rc; at++) {
		fail_at = at;
		rc = cp_nego_offer_out(&sub, &made);
		fail_at = 0;
		assert_true(rc == 0 || (rc == -ENOMEM && !sub.offered));
	}
	ans = willing(made);
	for (at = 1, rc = -1; rc; at++) {
		fail_at = at;
		rc = answered(&sub, ans);
		fail_at = 0;
		assert_true(rc == 0 || (rc == -ENOMEM && sub.offered && !sub.media[0].agreed));
	}
	for (at = 1, rc = -1; rc; at++) {
		struct cp_nego back;

		fail_at = at;
		rc = cp_nego_load(&back, before);
		fail_at = 0;
		assert_true(rc == 0 || rc == -ENOMEM);
		if (!rc)
			cp_nego_close(&back);
	}
	json_decref(before);
	free(made);
	free(ans);
	free(sdp);
	cp_nego_close(&pub);
	cp_nego_close(&sub);
}

static size_t json_fail_at;

static void *json_alloc(size_t n)
{
	return json_fail_at && --json_fail_at == 0 ? NULL : malloc(n);
}

static void saving_may_fail(void **state)
{
	struct cp_nego pub;
	json_t *saved = NULL, *whole;
	size_t at;

	init(&pub, false);
	take(&pub, "chromium_simulcast");
	json_set_alloc_funcs(json_alloc, free);
	whole = cp_nego_save(&pub);
	for (at = 1; at < 5000; at++) {
		json_fail_at = at;
		saved = cp_nego_save(&pub);
		if (json_fail_at) // it did not come to that
			break;
		json_fail_at = 0;
		assert_true(!saved ||
		            json_equal(saved, whole)); // jansson may do without a bigger table
		json_decref(saved);
	}
	json_fail_at = 0;
	assert_in_range(at, 50, 4999);
	json_decref(saved);
	json_decref(whole);
	json_set_alloc_funcs(malloc, free);
	cp_nego_close(&pub);
}

/* Every cut of a real offer is an error or an offer, and after an error nothing has changed. */
static void cuts_are_harmless(void **state)
{
	char *sdp = load("chromium_simulcast");
	struct cp_nego n;

	for (size_t len = 0; len < strlen(sdp); len += 3) {
		int rc;

		init(&n, false);
		rc = cp_nego_offer_in(&n, sdp, len, &restarted, err);
		assert_true(rc == 0 || rc == -EBADMSG || rc == -EPROTO);
		assert_true(rc == 0 || (n.n_media == 0 && err[0]));
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
	    cmocka_unit_test(a_transport_is_required),
	    cmocka_unit_test(what_cannot_be_served_is_rejected),
	    cmocka_unit_test(offers_follow_each_other),
	    cmocka_unit_test(real_answers_are_taken),
	    cmocka_unit_test(answers_narrow),
	    cmocka_unit_test(bad_answers_are_refused),
	    cmocka_unit_test(simulcast_is_sorted),
	    cmocka_unit_test(ssrc_groups_are_layers),
	    cmocka_unit_test(red_and_dtx_pass),
	    cmocka_unit_test(remb_is_for_those_without_better),
	    cmocka_unit_test(transport_feedback_is_for_the_whole_bundle),
	    cmocka_unit_test(players_get_what_all_their_m_lines_have),
	    cmocka_unit_test(publishers_need_the_extension_too),
	    cmocka_unit_test(m_lines_are_used_again),
	    cmocka_unit_test(fmtp_is_the_first_one),
	    cmocka_unit_test(whep_is_filled),
	    cmocka_unit_test(h264_is_matched_by_profile_and_mode),
	    cmocka_unit_test(ice_restart_by_us),
	    cmocka_unit_test(fragments_are_read),
	    cmocka_unit_test(credentials_are_random),
	    cmocka_unit_test(the_journal_brings_it_back),
	    cmocka_unit_test(allocations_may_fail),
	    cmocka_unit_test(saving_may_fail),
	    cmocka_unit_test(cuts_are_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
