/* What a client says and hears of lost packets, as far as it is pure: NACK and repairs, header
 * extensions, what is agreed in SDP. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "bench/loadgen/bytes.h"
#include "bench/loadgen/nack.h"
#include "bench/loadgen/packet.h"
#include "bench/loadgen/rtcp.h"
#include "bench/loadgen/rx.h"
#include "bench/loadgen/sdp.h"
#include "bench/loadgen/source.h"
#include "dataplane/bwe/twcc.h"

enum { MS = 1000000 };

/* ---- repairs ---- */

static void rx_repairs(void **state)
{
	struct lg_rx r;
	struct lg_rx_report rep;
	double jitter;

	lg_rx_init(&r, 7, 96, true, 90000);
	assert_false(lg_rx_repair(&r, 5)); // of a stream that has not begun
	for (unsigned i = 0; i < 100; i++)
		if (i % 10 != 5)
			lg_rx_packet(&r, (uint16_t)(65500 + i), i * 3000, (1 + i) * 33ULL * MS);
	jitter = r.jitter;
	for (unsigned i = 5; i < 55; i += 10)
		assert_true(lg_rx_repair(&r, (uint16_t)(65500 + i)));
	assert_false(lg_rx_repair(&r, (uint16_t)(65500 + 5)));  // again
	assert_false(lg_rx_repair(&r, (uint16_t)(65500 + 4)));  // was there
	assert_false(lg_rx_repair(&r, (uint16_t)(65500 - 10))); // before the first
	assert_int_equal(r.repaired, 5);
	assert_int_equal(lg_rx_lost(&r), 5);
	assert_int_equal(r.duplicates, 0);
	assert_true(r.jitter == jitter);
	lg_rx_report(&r, &rep, 0); // RFC 4588 §6.3: of the original stream, as the path had it
	assert_int_equal(rep.lost, 10);
	assert_int_equal(rep.fraction, 25);
	for (unsigned i = 100; i < 110; i++)
		lg_rx_packet(&r, (uint16_t)(65500 + i), i * 3000, (1 + i) * 33ULL * MS);
	lg_rx_repair(&r, (uint16_t)(65500 + 65));
	lg_rx_report(&r, &rep, 0);
	assert_int_equal(rep.fraction, 0);
	assert_int_equal(rep.lost, 10);
	assert_int_equal(lg_rx_lost(&r), 4);
}

/* ---- nack ---- */

/* What stood still before counting began is no freeze of what is counted. */
static void rx_restarts_after_a_pause(void **state)
{
	struct lg_rx r;

	lg_rx_init(&r, 7, 96, true, 90000);
	lg_rx_packet(&r, 1, 0, 1000ULL * MS);
	lg_rx_restart(&r);
	lg_rx_packet(&r, 2, 90000, 9000ULL * MS);
	assert_int_equal(r.freezes, 0);
	lg_rx_packet(&r, 3, 180000, 9600ULL * MS);
	assert_int_equal(r.freezes, 1);
	assert_int_equal(r.frozen_ns, 600ULL * MS);
}

static void nack_asks_by_round_trip(void **state)
{
	struct lg_nack k = {0};
	uint16_t seqs[LG_NACK_MAX];

	lg_nack_gap(&k, 65534, 4, 1000 * MS);
	assert_int_equal(lg_nack_due(&k, seqs, 1000 * MS), 4);
	assert_int_equal(seqs[0], 65534);
	assert_int_equal(seqs[3], 1);
	assert_int_equal(lg_nack_due(&k, seqs, 1149 * MS), 0); // 100 ms until it knows better
	lg_nack_came(&k, 0, true, 1040ULL * MS);
	assert_int_equal(k.rtt_us, 40000);
	assert_int_equal(lg_nack_due(&k, seqs, 1059ULL * MS), 0);
	assert_int_equal(lg_nack_due(&k, seqs, 1060ULL * MS), 3);
	lg_nack_came(&k, 65534, true, 1061ULL * MS); // to the first or the second? not timed
	assert_int_equal(k.rtt_us, 40000);
	lg_nack_came(&k, 1, false, 1062ULL * MS); // the original was only late
	lg_nack_came(&k, 777, true, 1062ULL * MS);
	assert_int_equal(k.n, 1);
	assert_int_equal(k.asked, 7);
	assert_int_equal(k.given_up, 0);
}

static void nack_gives_up(void **state)
{
	struct lg_nack k = {0};
	uint16_t seqs[LG_NACK_MAX];
	unsigned asked = 0;

	k.rtt_us = 1000; // 20 ms between tries all the same
	lg_nack_gap(&k, 7, 1, 0);
	for (uint64_t now = 0; now < 2000ULL * MS; now += 5 * MS)
		asked += lg_nack_due(&k, seqs, now);
	assert_int_equal(asked, LG_NACK_TRIES);
	assert_int_equal(k.given_up, 1);
	assert_int_equal(k.n, 0);
	k.rtt_us = 300000; // too far away for ten tries in a second
	lg_nack_gap(&k, 8, 1, 0);
	for (uint64_t now = asked = 0; now < 3000ULL * MS; now += 5 * MS)
		asked += lg_nack_due(&k, seqs, now);
	assert_int_equal(asked, 3); // at 0, 450 and 900 ms
	assert_int_equal(k.given_up, 2);
}

static void nack_keeps_the_newest(void **state)
{
	struct lg_nack k = {0};
	uint16_t seqs[LG_NACK_MAX];

	lg_nack_gap(&k, 100, 50, 0);
	lg_nack_gap(&k, 200, 100, 0);
	assert_int_equal(k.given_up, 22);
	assert_int_equal(lg_nack_due(&k, seqs, 0), LG_NACK_MAX);
	assert_int_equal(seqs[0], 122);
	assert_int_equal(seqs[LG_NACK_MAX - 1], 299);
	lg_nack_gap(&k, 1000, 5000, 0);
	assert_int_equal(k.given_up, 22 + 5000);
	assert_int_equal(k.missing[0].seq, (uint16_t)(6000 - LG_NACK_MAX));
	lg_nack_restart(&k);
	assert_int_equal(lg_nack_due(&k, seqs, 0), 0);
	assert_int_equal(k.asked, 0);
}

/* ---- rtcp ---- */

struct told {
	unsigned nacks, twccs;
	uint16_t nack[300];
	uint32_t nack_ssrc;
	uint64_t bps;
	struct dp_rtcp_twcc twcc;
};

static void on_nack(void *arg, uint32_t ssrc, uint16_t seq)
{
	struct told *t = arg;

	t->nack_ssrc = ssrc;
	if (t->nacks < 300)
		t->nack[t->nacks++] = seq;
}

static void on_remb(void *arg, uint64_t bps)
{
	((struct told *)arg)->bps = bps;
}

static void on_twcc(void *arg, uint32_t sender, uint32_t media, const uint8_t *fci, size_t len)
{
	struct told *t = arg;
	struct dp_rtcp_fb fb = {sender, media, fci, (uint16_t)len};

	assert_int_equal(sender, 5);
	assert_int_equal(media, 6);
	t->twccs += dp_rtcp_twcc(&t->twcc, &fb) == 0;
}

static void rtcp_feedback_round_trip(void **state)
{
	static struct told t;
	struct lg_rtcp_in in = {.arg = &t, .nack = on_nack, .remb = on_remb, .twcc = on_twcc};
	static const uint16_t seqs[] = {65530, 65531, 65535, 0, 10, 11, 27, 500};
	static const uint8_t nack[] = {0x81, 205,  0,    5,    0, 0,  0,    5, 0,    0,    0, 9,
	                               0xff, 0xfa, 0x80, 0x31, 0, 11, 0x80, 0, 0x01, 0xf4, 0, 0};
	static struct dp_twcc_rx heard;
	uint8_t buf[LG_RTCP_MAX];
	uint32_t ssrcs[2] = {1, 2};
	struct dp_rtcp_out o = {.buf = buf, .room = sizeof(buf)};
	size_t n = lg_rtcp_nack(buf, 5, 9, seqs, 8);

	/* 65530 + 16 = 10 is the last of the first entry; 11 + 16 = 27 of the second */
	assert_int_equal(n, sizeof(nack));
	assert_memory_equal(buf, nack, n);
	assert_true(lg_rtcp_parse(buf, n, &in));
	assert_int_equal(t.nacks, 8);
	assert_memory_equal(t.nack, seqs, sizeof(seqs));
	assert_int_equal(t.nack_ssrc, 9);
	n = lg_rtcp_rr(buf, 5, NULL, 0, "load"); // what stands before feedback
	assert_int_equal(n, 8 + 16);
	n += lg_rtcp_remb(buf + n, 5, 20000000, ssrcs, 2);
	assert_true(lg_rtcp_parse(buf, n, &in));
	assert_in_range(t.bps, 20000000 - (1 << 7), 20000000);
	for (unsigned i = 0; i < 20; i++)
		if (i != 7)
			dp_twcc_rx(&heard, (uint16_t)(65530 + i), 6, 1200,
			           (1000 + i) * (uint64_t)MS);
	assert_int_equal(dp_twcc_rx_put(&heard, &o, 5, 0, 1020ULL * MS), 0);
	assert_true(lg_rtcp_parse(buf, o.len, &in));
	assert_int_equal(t.twccs, 1);
	assert_int_equal(t.twcc.base, 65530);
	assert_int_equal(t.twcc.count, 20);
}

/* ---- header extensions ---- */

static void packet_extensions(void **state)
{
	static const uint8_t one[] = {0x91, 96,  0, 1,    0,    0,    0,    0,    0,  0,
	                              0,    9,   1, 1,    1,    1,    0xbe, 0xde, 0,  2,
	                              0x10, 'a', 0, 0x31, 0x12, 0x34, 0,    0,    'p'};
	static const uint8_t two[] = {0x90, 96,   0, 1, 0, 0, 0, 0, 0, 0,    0,    9,
	                              0x10, 0x00, 0, 2, 1, 0, 0, 3, 2, 0x12, 0x34, 0};
	static const uint8_t cut[] = {0x90, 96, 0,    1,    0, 0, 0,    0, 0, 0,
	                              0,    9,  0xbe, 0xde, 0, 1, 0x37, 1, 2, 3};
	size_t n = 0;
	const uint8_t *v;

	assert_int_equal(lg_rtp_head(one, sizeof(one)), 28);
	assert_int_equal(lg_rtp_head(one, 27), 0);
	v = lg_rtp_ext(one, 3, &n);
	assert_int_equal(n, 2);
	assert_int_equal(lg_get16(v), 0x1234);
	assert_null(lg_rtp_ext(one, 4, &n));
	assert_null(lg_rtp_ext(one, 0, &n));
	assert_int_equal(lg_rtp_head(two, sizeof(two)), 24);
	v = lg_rtp_ext(two, 3, &n);
	assert_int_equal(lg_get16(v), 0x1234);
	assert_null(lg_rtp_ext(cut, 3, &n)); // eight bytes told, three there
}

static void packet_padding(void **state)
{
	uint8_t b[20] = {0xa0};

	b[19] = 6;
	assert_int_equal(lg_rtp_unpadded(b, 20, 12), 14);
	b[19] = 8;
	assert_int_equal(lg_rtp_unpadded(b, 20, 12), 12);
	b[19] = 9;
	assert_int_equal(lg_rtp_unpadded(b, 20, 12), 0);
	b[0] = 0x80;
	assert_int_equal(lg_rtp_unpadded(b, 20, 12), 20);
}

/* All sources of a transport take their numbers from one counter. */
static void source_numbers(void **state)
{
	uint32_t next = 0x1ffff;
	struct lg_source audio, video;
	struct lg_source_conf c = {.pt = 111, .size = 80, .ext = {1, 2, 3, 4, 5}, .twcc = &next};
	uint8_t buf[LG_SOURCE_MAX];
	const uint8_t *v;
	size_t n;

	lg_source_init(&audio, &c, 0);
	c.video = true;
	c.kbps = c.fps = 30;
	lg_source_init(&video, &c, 0);
	audio.level = 0x80 | 30;
	lg_source_next(&audio, buf, 1500000000);
	assert_int_equal(lg_get16(lg_rtp_ext(buf, 3, &n)), 0xffff);
	v = lg_rtp_ext(buf, 4, &n);
	assert_int_equal(n, 3);
	assert_memory_equal(v, "\x06\x00\x00", 3); // 1.5 s in 6.18
	assert_int_equal(*lg_rtp_ext(buf, 5, &n), 0x80 | 30);
	assert_null(lg_rtp_ext(buf, 1, &n)); // no MID to send
	assert_int_equal(lg_source_next(&video, buf, 65500000000) - lg_rtp_head(buf, 1000), 80);
	assert_int_equal(lg_get16(lg_rtp_ext(buf, 3, &n)), 0);
	assert_memory_equal(lg_rtp_ext(buf, 4, &n), "\x06\x00\x00", 3); // every 64 s anew
	assert_null(lg_rtp_ext(buf, 5, &n));
	assert_int_equal(next, 0x20001);
}

static void source_rolls_over(void **state)
{
	struct lg_source s;
	struct lg_source_conf c = {.pt = 111, .size = 80, .seq = 65534};
	uint8_t buf[LG_SOURCE_MAX];

	lg_source_init(&s, &c, 0);
	for (unsigned i = 0; i < 2 + 65536 + 1; i++) {
		lg_source_next(&s, buf, 0);
		assert_int_equal(lg_get16(buf + 2), (uint16_t)(65534 + i));
		assert_int_equal(lg_source_roc(&s), (65534 + i) >> 16);
	}
	assert_int_equal(lg_source_roc(&s), 2);
}

static void talkers_take_turns(void **state)
{
	const uint64_t s = 1000000000;

	for (unsigned at = 0; at < 60; at++) {
		unsigned voices = 0;

		for (unsigned i = 0; i < 7; i++)
			voices += lg_talk_level(i, 7, 3, 5, at * s) >> 7;
		assert_int_equal(voices, 3);
	}
	assert_int_equal(lg_talk_level(0, 7, 3, 5, 4 * s) >> 7, 1);
	assert_int_equal(lg_talk_level(0, 7, 3, 5, 5 * s) >> 7, 0);
	assert_int_equal(lg_talk_level(3, 7, 3, 5, 5 * s) >> 7, 1);
	assert_int_equal(lg_talk_level(6, 7, 0, 5, 0) >> 7, 1); // 0: all speak
}

/* ---- sdp ---- */

static struct lg_sdp_own own(enum lg_feedback feedback, bool nack)
{
	return (struct lg_sdp_own){.ufrag = "uuuu",
	                           .pwd = "pppppppppppppppppppppp",
	                           .fingerprint = "sha-256 CC:DD",
	                           .feedback = feedback,
	                           .nack = nack};
}

static void sdp_offers_feedback(void **state)
{
	static struct lg_sdp s;
	static char text[16384];
	struct lg_sdp_want want[2] = {{.send = true, .ssrc = 5},
	                              {.video = true, .send = true, .layers = 1, .ssrc = 6}};
	static const struct {
		enum lg_feedback feedback;
		bool nack, twcc, remb, time;
	} row[] = {{LG_FEEDBACK_TWCC, true, true, false, true},
	           {LG_FEEDBACK_TWCC, false, true, false, true},
	           {LG_FEEDBACK_REMB, true, false, true, true},
	           {LG_FEEDBACK_NONE, true, false, false, false}};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct lg_sdp_own o = own(row[i].feedback, row[i].nack);
		struct lg_sdp_own sdes = {.address = "192.0.2.7",
		                          .port = 4000,
		                          .suite = "AEAD_AES_128_GCM",
		                          .key = "QUJD",
		                          .feedback = row[i].feedback,
		                          .nack = row[i].nack};

		assert_true(lg_sdp_offer(text, sizeof(text), &o, want, 2) > 0);
		assert_int_equal(lg_sdp_parse(&s, text), 0);
		assert_true(s.rsize);
		for (unsigned k = 0; k < 2; k++) {
			assert_int_equal(s.media[k].twcc, row[i].twcc);
			assert_int_equal(s.media[k].ext[LG_EXT_TWCC],
			                 row[i].twcc ? LG_EXT_TWCC + 1 : 0);
			assert_int_equal(s.media[k].ext[LG_EXT_SEND_TIME] != 0, row[i].time);
			assert_int_equal(s.media[k].ext[LG_EXT_LEVEL] != 0, k == 0);
		}
		assert_int_equal(s.media[1].remb, row[i].remb);
		assert_int_equal(s.media[1].nack, row[i].nack);
		assert_int_equal(s.media[1].rtx, row[i].nack ? LG_PT_RTX : LG_PT_NONE);
		assert_false(s.media[0].nack);
		assert_true(lg_sdp_offer(text, sizeof(text), &sdes, want, 2) > 0);
		assert_null(strstr(text, "transport-cc"));
		assert_null(strstr(text, "extmap"));
	}
}

static const char offered[] =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "m=video 10000 UDP/TLS/RTP/SAVPF 120 121\r\nc=IN IP4 192.0.2.1\r\na=mid:0\r\na=sendonly\r\n"
    "a=rtpmap:120 VP8/90000\r\na=rtcp-fb:120 nack\r\na=rtcp-fb:120 nack pli\r\n"
    "a=rtcp-fb:* transport-cc\r\na=rtcp-fb:121 goog-remb\r\na=rtpmap:121 rtx/90000\r\n"
    "a=fmtp:121 apt=120\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
    "a=extmap:9 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n"
    "a=ssrc-group:FID 77 78\r\na=ssrc:77 cname:x\r\na=ssrc:78 cname:x\r\n";

static void sdp_takes_what_is_offered(void **state)
{
	static struct lg_sdp s, back;
	static char text[16384];
	struct lg_sdp_own o = own(LG_FEEDBACK_TWCC, true);

	assert_int_equal(lg_sdp_parse(&s, offered), 0);
	assert_false(s.rsize);
	assert_int_equal(s.media[0].repaired, 77);
	assert_int_equal(s.media[0].rtx_ssrc, 78);
	assert_false(s.media[0].remb); // of another format
	assert_true(lg_sdp_answer(text, sizeof(text), &o, &s) > 0);
	assert_int_equal(lg_sdp_parse(&back, text), 0);
	assert_true(back.media[0].twcc && back.media[0].nack && !back.media[0].remb);
	assert_int_equal(back.media[0].ext[LG_EXT_TWCC], 9);
	assert_int_equal(back.media[0].ext[LG_EXT_SEND_TIME], 0); // not offered
	o = own(LG_FEEDBACK_NONE, false);
	assert_true(lg_sdp_answer(text, sizeof(text), &o, &s) > 0);
	assert_int_equal(lg_sdp_parse(&back, text), 0);
	assert_false(back.media[0].twcc || back.media[0].nack);
	assert_int_equal(back.media[0].rtx, LG_PT_NONE);
	assert_int_equal(back.media[0].ext[LG_EXT_TWCC], 0);
	assert_int_equal(back.media[0].ext[LG_EXT_MID], 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rx_repairs),
	    cmocka_unit_test(rx_restarts_after_a_pause),
	    cmocka_unit_test(nack_asks_by_round_trip),
	    cmocka_unit_test(nack_gives_up),
	    cmocka_unit_test(nack_keeps_the_newest),
	    cmocka_unit_test(rtcp_feedback_round_trip),
	    cmocka_unit_test(packet_extensions),
	    cmocka_unit_test(packet_padding),
	    cmocka_unit_test(source_numbers),
	    cmocka_unit_test(source_rolls_over),
	    cmocka_unit_test(talkers_take_turns),
	    cmocka_unit_test(sdp_offers_feedback),
	    cmocka_unit_test(sdp_takes_what_is_offered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
