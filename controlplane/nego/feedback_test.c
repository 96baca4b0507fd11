/* Congestion feedback: transport-wide where all of a BUNDLE has it, REMB where that is all there
 * is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/nego/nego_fixture.h"

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
	out = subscribe(&sub, &pub);
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
	char *sdp, *full;

	init(&pub, false);
	take(&pub, "chromium_av");
	assert_int_equal(cp_nego_feedback(&pub), SH_EP_TWCC);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		sdp = subscribe(&sub, &pub);
		assert_int_equal(count(sdp, TWCC_EXT), 2);
		assert_non_null(strstr(sdp, "a=rtcp-fb:111 transport-cc\r\n"));
		assert_non_null(strstr(sdp, "a=rtcp-fb:96 goog-remb\r\n"));
		full = strdup(sdp); // who has all we offer, and says so
		for (const char *const *r =
		         (const char *const[]){"a=ice-lite\r\n", "", "a=setup:actpass",
		                               "a=setup:active", "a=setup:actpass",
		                               "a=setup:active", "a=sendonly", "a=recvonly",
		                               "a=sendonly", "a=recvonly", NULL};
		     *r; r += 2)
			full = replaced_in(full, r[0], r[1]);
		for (unsigned k = 0; k < table[i].times; k++)
			full = replaced_in(full, table[i].without, "");
		cp_nego_ext_ids(&sub, ext);
		assert_int_equal(ext[SH_EXT_TWCC], 0); // not before the answer
		if (answered(&sub, full))
			fail_msg("row %zu: %s", i, why);
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
			fail_msg("%s", why);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(remb_is_for_those_without_better),
	    cmocka_unit_test(transport_feedback_is_for_the_whole_bundle),
	    cmocka_unit_test(players_get_what_all_their_m_lines_have),
	    cmocka_unit_test(publishers_need_the_extension_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
