/* Our offers to subscribers, the answers to them, and players that offer themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/nego/nego_fixture.h"

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
		fail_msg("%s", why);
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
	assert_non_null(strstr(why, "no offer awaits an answer"));
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
	sdp = subscribe(&sub, &pub);
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
	sdp = subscribe(&sub, &pub);
	full = willing(sdp);
	before = cp_nego_save(&sub);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char *bad = replaced(full, table[i].from, table[i].to);
		int rc = answered(&sub, bad);

		if (rc != -EPROTO || !strstr(why, table[i].err))
			fail_msg("row %zu: %d \"%s\"", i, rc, why);
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
	assert_non_null(strstr(why, "1 m-lines answer 2"));
	free(sdp);
	cp_nego_close(&sub);
	cp_nego_close(&pub);
}

static void m_lines_are_used_again(void **state)
{
	struct cp_nego pub, sub;
	struct cp_nego_send s;
	char *sdp, *ans, *edited;
	size_t i;

	init(&pub, false);
	take(&pub, "chromium_av");
	sdp = subscribe(&sub, &pub);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(real_answers_are_taken),  cmocka_unit_test(answers_narrow),
	    cmocka_unit_test(bad_answers_are_refused), cmocka_unit_test(m_lines_are_used_again),
	    cmocka_unit_test(whep_is_filled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
