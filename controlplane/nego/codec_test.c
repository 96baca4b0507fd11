/* Codecs: which match, which pass, and their numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/nego/codec.h"
#include "controlplane/nego/nego_fixture.h"

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
	out = subscribe(&sub, &pub);
	assert_non_null(strstr(out, "a=fmtp:63 111/111\r\n"));
	assert_null(strstr(out, "fec/90000"));
	free(out);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(red_and_dtx_pass),
	    cmocka_unit_test(fmtp_is_the_first_one),
	    cmocka_unit_test(h264_is_matched_by_profile_and_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
