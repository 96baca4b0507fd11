/* The generator's pure parts: a bench that counts wrongly proves nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "bench/loadgen/bencode.h"
#include "bench/loadgen/hist.h"
#include "bench/loadgen/rtcp.h"
#include "bench/loadgen/rx.h"
#include "bench/loadgen/sdp.h"
#include "bench/loadgen/source.h"

/* ---- hist ---- */

static void hist_percentiles(void **state)
{
	static struct lg_hist h, other;

	assert_int_equal(lg_hist_at(&h, .5), 0);
	for (uint64_t i = 1; i <= 100000; i++)
		lg_hist_add(&h, i * 100);
	assert_in_range(lg_hist_at(&h, .5), 5000000, 5000000 * 1.017);
	assert_in_range(lg_hist_at(&h, .99), 9900000, 9900000 * 1.017);
	assert_int_equal(lg_hist_at(&h, 1), 10000000);
	lg_hist_add(&other, UINT64_MAX);
	lg_hist_merge(&h, &other);
	assert_int_equal(h.count, 100001);
	assert_int_equal(h.max, UINT64_MAX);
	assert_in_range(lg_hist_at(&h, .5), 5000000, 5000000 * 1.017);
}

static void hist_small_is_exact(void **state)
{
	static struct lg_hist h;

	for (uint64_t i = 0; i < 64; i++)
		lg_hist_add(&h, i);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(lg_hist_at(&h, i / 64.0), i);
}

/* ---- rx ---- */

enum { MS = 1000000 };

static void rx_counts_loss_once(void **state)
{
	struct lg_rx r;
	struct lg_rx_report rep;

	lg_rx_init(&r, 7, 96, true, 90000);
	for (unsigned i = 0; i < 100; i++)
		if (i % 10 != 5)
			assert_true(
			    lg_rx_packet(&r, (uint16_t)(65500 + i), i * 3000, (1 + i) * 33 * MS));
	assert_int_equal(r.packets, 90);
	assert_int_equal(lg_rx_lost(&r), 10);
	lg_rx_report(&r, &rep, 0);
	assert_int_equal(rep.fraction, 25); // 10 of 100
	assert_int_equal(rep.lost, 10);
	assert_int_equal(rep.max_seq & 0xffff, (uint16_t)(65500 + 99));
	lg_rx_report(&r, &rep, 0);
	assert_int_equal(rep.fraction, 0);
	assert_int_equal(r.freezes, 0);
}

static void rx_duplicates_and_order(void **state)
{
	struct lg_rx r;

	lg_rx_init(&r, 7, 111, false, 48000);
	assert_true(lg_rx_packet(&r, 10, 0, 1 * MS));
	assert_true(lg_rx_packet(&r, 12, 0, 2 * MS));
	assert_true(lg_rx_packet(&r, 11, 0, 3 * MS));
	assert_false(lg_rx_packet(&r, 11, 0, 4 * MS));
	assert_false(lg_rx_packet(&r, 9, 0, 5 * MS)); // before the first: never expected
	assert_int_equal(r.reordered, 1);
	assert_int_equal(r.duplicates, 2);
	assert_int_equal(lg_rx_lost(&r), 0);
	lg_rx_restart(&r);
	assert_true(lg_rx_packet(&r, 20, 0, 6 * MS));
	assert_int_equal(lg_rx_lost(&r), 0);
	assert_int_equal(r.packets, 1);
}

/* A gap of more than the window must not leave marks of the time before it. */
static void rx_long_gap(void **state)
{
	struct lg_rx r;

	lg_rx_init(&r, 7, 96, true, 90000);
	for (unsigned i = 0; i < 5000; i++)
		assert_true(lg_rx_packet(&r, (uint16_t)i, 0, (1 + i) * (uint64_t)MS));
	for (unsigned i = 10000; i < 15000; i++)
		assert_true(lg_rx_packet(&r, (uint16_t)i, 0, (1 + i) * (uint64_t)MS));
	assert_int_equal(lg_rx_lost(&r), 5000);
	assert_int_equal(r.freezes, 1);
	assert_int_equal(r.frozen_ns / MS, 5001);
}

static void rx_jitter(void **state)
{
	struct lg_rx r;

	lg_rx_init(&r, 7, 111, false, 48000);
	for (unsigned i = 0; i < 1000; i++)
		lg_rx_packet(&r, (uint16_t)i, i * 960, (1 + i) * 20ULL * MS);
	assert_true(r.jitter < 0.01);
	for (unsigned i = 1000; i < 2000; i++) // each second one 2 ms late: |D| is 96 ticks always
		lg_rx_packet(&r, (uint16_t)i, i * 960, (1 + i) * 20ULL * MS + (i & 1 ? 2 * MS : 0));
	assert_true(r.jitter > 95 && r.jitter < 97);
}

/* ---- rtcp ---- */

struct told {
	unsigned key_frames, nacks, srs;
	uint32_t key_ssrc, sr_ssrc, ntp;
	uint16_t nack[8];
};

static void on_key(void *arg, uint32_t ssrc)
{
	struct told *t = arg;

	t->key_frames++;
	t->key_ssrc = ssrc;
}

static void on_nack(void *arg, uint32_t ssrc, uint16_t seq)
{
	struct told *t = arg;

	if (t->nacks < 8)
		t->nack[t->nacks++] = seq;
}

static void on_sr(void *arg, uint32_t ssrc, uint32_t ntp)
{
	struct told *t = arg;

	t->srs++;
	t->sr_ssrc = ssrc;
	t->ntp = ntp;
}

static void rtcp_round_trip(void **state)
{
	struct told t = {0};
	struct lg_rtcp_in in = {.arg = &t, .sr = on_sr, .key_frame = on_key, .nack = on_nack};
	struct lg_sr sr = {.ssrc = 0x01020304, .ntp = 0x1122334455667788, .packets = 5};
	static const uint8_t nack[] = {0x81, 205, 0, 3, 0,    0, 0,    1,
	                               0,    0,   0, 2, 0x10, 0, 0x80, 0x01};
	static const uint8_t fir[] = {0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0,
	                              0,    0,   0, 0, 0, 9, 1, 0, 0, 0};
	uint8_t buf[LG_RTCP_MAX];
	size_t n = lg_rtcp_sr(buf, &sr, "load");

	assert_int_equal(n % 4, 0);
	n += lg_rtcp_pli(buf + n, 1, 42);
	assert_true(lg_rtcp_parse(buf, n, &in));
	assert_int_equal(t.srs, 1);
	assert_int_equal(t.sr_ssrc, 0x01020304);
	assert_int_equal(t.ntp, 0x33445566);
	assert_int_equal(t.key_frames, 1);
	assert_int_equal(t.key_ssrc, 42);
	assert_true(lg_rtcp_parse(nack, sizeof(nack), &in));
	assert_int_equal(t.nacks, 3);
	assert_int_equal(t.nack[0], 0x1000);
	assert_int_equal(t.nack[1], 0x1001);
	assert_int_equal(t.nack[2], 0x1010);
	assert_true(lg_rtcp_parse(fir, sizeof(fir), &in));
	assert_int_equal(t.key_ssrc, 9);
	for (size_t cut = 1; cut < n; cut++) // whole packets only: 28, 28 + 16, 28 + 16 + 12
		assert_int_equal(lg_rtcp_parse(buf, cut, &in), cut == 28 || cut == 28 + 16);
}

static void rtcp_report_is_read_back(void **state)
{
	struct lg_rx_report b = {
	    .ssrc = 0xa0b0c0d0, .fraction = 3, .lost = 70000, .max_seq = 0x10002};
	uint8_t buf[LG_RTCP_MAX];
	size_t n = lg_rtcp_rr(buf, 5, &b, 1, "load");
	static const uint8_t want[] = {0x81, 201,  0, 7,    0,    0,    0, 5, 0xa0, 0xb0,
	                               0xc0, 0xd0, 3, 0x01, 0x11, 0x70, 0, 1, 0,    2};

	assert_memory_equal(buf, want, sizeof(want));
	assert_int_equal(n, 32 + 16); // SDES: 4 + 4 + 2 + 4 + 1, to a multiple of 4
	assert_int_equal(buf[33], 202);
}

/* ---- source ---- */

static void source_frames(void **state)
{
	struct lg_source s;
	struct lg_source_conf c = {.video = true,
	                           .paced = true,
	                           .ssrc = 9,
	                           .pt = 96,
	                           .size = 1200,
	                           .kbps = 1152,
	                           .fps = 30,
	                           .seq = 65000};
	uint8_t buf[LG_SOURCE_MAX];
	unsigned markers = 0, starts = 0, keys = 0;
	uint64_t now = 1000;

	lg_source_init(&s, &c, now);
	assert_true(lg_source_pps(&s) > 119.9 && lg_source_pps(&s) < 120.1);
	for (unsigned i = 0; i < 120; i++) {
		size_t n = lg_source_next(&s, buf, now = s.due_ns);
		const uint8_t *p = buf + 12;

		assert_int_equal(n, 12 + 1200);
		assert_int_equal((uint16_t)(buf[2] << 8 | buf[3]), (uint16_t)(65000 + i));
		markers += buf[1] >> 7;
		assert_int_equal(buf[1] & 0x7f, 96);
		assert_int_equal(p[0] & 0x87, 0x80); // X, partition 0
		assert_int_equal(p[1], 0xf0);
		if (p[0] & 0x10) {
			starts++;
			keys += !(p[6] & 1);
			if (!(p[6] & 1))
				assert_memory_equal(p + 9, "\x9d\x01\x2a", 3);
		}
		assert_int_equal(lg_stamp(p, n - 12), now);
		if (i == 60)
			lg_source_key(&s);
	}
	assert_int_equal(starts, 30);
	assert_int_equal(markers, 30);
	assert_int_equal(keys, 2);
	assert_int_equal(s.key_frames, 2);
	assert_in_range(s.due_ns, 999990000, 1000010000);
}

static void source_rate_goes_on(void **state)
{
	struct lg_source s;
	struct lg_source_conf c = {
	    .video = true, .pt = 96, .size = 1000, .kbps = 800, .fps = 25, .ts = 77};
	uint8_t buf[LG_SOURCE_MAX];
	uint32_t ts;
	uint16_t seq;

	lg_source_init(&s, &c, 0);
	for (unsigned i = 0; i < 50; i++) // bursts: 4 packets at once
		lg_source_next(&s, buf, s.due_ns);
	assert_int_equal(s.due_ns, 480000000);
	ts = s.last_ts;
	seq = (uint16_t)s.packets;
	lg_source_rate(&s, 8000, 5000000000);
	lg_source_next(&s, buf, s.due_ns);
	assert_int_equal((uint16_t)(buf[2] << 8 | buf[3]), seq);
	assert_int_equal(s.last_ts, ts + 90000 / 25);
	assert_true(buf[12] & 0x10); // a frame begins
	assert_true(lg_source_pps(&s) > 999 && lg_source_pps(&s) < 1001);
	lg_source_resume(&s, 9000000000);
	assert_true(lg_source_pps(&s) > 999 && lg_source_pps(&s) < 1001);
}

static void source_audio_and_extensions(void **state)
{
	struct lg_source s;
	struct lg_source_conf c = {
	    .pt = 111, .size = 80, .ext = {1, 2}, .mid = "0", .rid = "hi", .ts = 1};
	uint8_t buf[LG_SOURCE_MAX];
	size_t n;

	lg_source_init(&s, &c, 0);
	n = lg_source_next(&s, buf, 5);
	assert_int_equal(buf[0], 0x90);
	assert_memory_equal(buf + 12,
	                    "\xbe\xde\x00\x02\x10"
	                    "0\x21"
	                    "hi\0\0\0",
	                    12);
	assert_int_equal(n, 12 + 12 + 80);
	assert_int_equal(buf[24], 0x78);
	assert_int_equal(lg_stamp(buf + 24, 80), 5);
	assert_int_equal(s.due_ns, 20000000);
	lg_source_next(&s, buf, 5);
	assert_int_equal(s.last_ts, 961);
	assert_int_equal(lg_stamp(buf, 10), 0);
}

/* RFC 4588: what is asked for again is made again, under another SSRC or bit for bit. */
static void source_repeats(void **state)
{
	enum { N = 100, KEPT = 64, MS_NS = 1000000 };
	static uint8_t sent[N][LG_SOURCE_MAX + 2];
	static struct lg_made kept[KEPT];
	struct lg_source s;
	uint32_t numbers = 9, roc = 7;
	struct lg_source_conf c = {.video = true,
	                           .ssrc = 9,
	                           .pt = 96,
	                           .size = 1200,
	                           .kbps = 1152,
	                           .fps = 30,
	                           .seq = 65500,
	                           .ext = {1, 2, 3, 4, 5, 6},
	                           .mid = "0",
	                           .rid = "hi",
	                           .twcc = &numbers,
	                           .rtx_pt = 97,
	                           .rtx_ssrc = 10};
	size_t len[N];
	uint8_t buf[LG_SOURCE_MAX + 2];

	lg_source_init(&s, &c, 0);
	assert_int_equal(lg_source_again(&s, 65500, buf, &roc, 1), 0);
	lg_source_keep(&s, kept, KEPT);
	assert_int_equal(lg_source_again(&s, 65500, buf, &roc, 1), 0);
	for (unsigned i = 0; i < N; i++)
		len[i] = lg_source_next(&s, sent[i], 1 + i * 10ULL * MS_NS);
	for (unsigned i = 0; i < N; i++) {
		bool there = N - i <= KEPT;
		size_t n = lg_source_again(&s, (uint16_t)(65500 + i), buf, &roc, 2000ULL * MS_NS);

		assert_int_equal(n, there ? len[i] : 0);
		if (there) {
			assert_memory_equal(buf, sent[i], n);
			assert_int_equal(roc, (65500 + i) >> 16);
		}
	}
	assert_int_equal(lg_source_again(&s, (uint16_t)(65500 + N), buf, &roc, 3000ULL * MS_NS), 0);
	assert_int_equal(lg_source_again(&s, (uint16_t)(65499 + N), buf, &roc, 2004ULL * MS_NS), 0);
	s.conf.rtx = true;
	numbers = 500;
	for (unsigned i = 0; i < 3; i++) {
		size_t n = lg_source_again(&s, (uint16_t)(65550 + i), buf, &roc, 2005ULL * MS_NS);
		size_t head = n - 1200 - 2, was = len[50 + i] - 1200;

		assert_int_equal(buf[1] & 0x7f, 97);
		assert_int_equal(buf[1] & 0x80, sent[50 + i][1] & 0x80);
		assert_int_equal(buf[2] << 8 | buf[3], i);
		assert_memory_equal(buf + 4, sent[50 + i] + 4, 4); // timestamp
		assert_int_equal(buf[11], 10);
		assert_memory_equal(buf + 16,
		                    "\x10"
		                    "0\x61" // MID, repaired RID
		                    "hi\x31\x01",
		                    7);
		assert_int_equal(buf[23], 0xf4 + i); // a number of its own: 500
		assert_int_equal(buf[head] << 8 | buf[head + 1], (uint16_t)(65550 + i));
		assert_memory_equal(buf + head + 2, sent[50 + i] + was, 1200);
		assert_int_equal(roc, 0);
	}
	assert_int_equal(numbers, 503);
}

/* ---- sdp ---- */

static const char answer[] =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=group:BUNDLE 0 1\r\n"
    "m=audio 10000 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 192.0.2.1\r\na=mid:0\r\na=ice-ufrag:abcd\r\n"
    "a=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 AA:BB\r\na=setup:passive\r\n"
    "a=candidate:1 1 udp 2130706431 2001:db8::1 10000 typ host\r\n"
    "a=candidate:2 1 UDP 2130706431 192.0.2.9 10001 typ host\r\na=recvonly\r\na=rtpmap:111 "
    "opus/48000/2\r\n"
    "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=inactive\r\n"
    "m=video 10000 UDP/TLS/RTP/SAVPF 120 121 102\r\na=mid:2\r\na=sendonly\r\na=rtpmap:102 "
    "H264/90000\r\n"
    "a=rtpmap:120 VP8/90000\r\na=rtpmap:121 rtx/90000\r\na=fmtp:121 apt=120\r\n"
    "a=extmap:4/sendonly urn:ietf:params:rtp-hdrext:sdes:mid\r\na=ssrc:77 cname:x\r\na=rtcp-mux\r\n"
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:3\r\n";

static void sdp_reads(void **state)
{
	static struct lg_sdp s;

	assert_int_equal(lg_sdp_parse(&s, answer), 0);
	assert_int_equal(s.n, 4);
	assert_true(s.ice_lite);
	assert_false(s.active);
	assert_string_equal(s.ufrag, "abcd");
	assert_string_equal(s.fingerprint, "sha-256 AA:BB");
	assert_string_equal(s.address, "192.0.2.9");
	assert_int_equal(s.port, 10001);
	assert_int_equal(s.media[0].pt, 111);
	assert_int_equal(s.media[0].dir, LG_RECVONLY);
	assert_true(s.media[1].rejected);
	assert_int_equal(s.media[2].pt, 120);
	assert_int_equal(s.media[2].rtx, 121);
	assert_int_equal(s.media[2].ext[LG_EXT_MID], 4);
	assert_int_equal(s.media[2].ssrc, 77);
	assert_true(s.media[3].other);
	assert_int_equal(lg_sdp_parse(&s, "hello"), -EBADMSG);
	assert_int_equal(lg_sdp_parse(&s, "v=0\r\nnonsense\r\n"), -EBADMSG);
}

static const struct lg_sdp_own own = {.ufrag = "uuuu",
                                      .pwd = "pppppppppppppppppppppp",
                                      .fingerprint = "sha-256 CC:DD",
                                      .session = 3,
                                      .nack = true};

static void sdp_answers_what_is_offered(void **state)
{
	static struct lg_sdp offer, back;
	static char text[16384];

	assert_int_equal(lg_sdp_parse(&offer, answer), 0);
	assert_true(lg_sdp_answer(text, sizeof(text), &own, &offer) > 0);
	assert_int_equal(lg_sdp_parse(&back, text), 0);
	assert_int_equal(back.n, 4);
	assert_true(back.active);
	assert_true(back.media[1].rejected && back.media[3].rejected);
	assert_int_equal(back.media[2].pt, 120);
	assert_int_equal(back.media[2].rtx, 121);
	assert_int_equal(back.media[2].dir, LG_RECVONLY);
	assert_int_equal(back.media[0].dir, LG_INACTIVE); // nothing is sent there
	assert_non_null(strstr(text, "a=group:BUNDLE 0 2\r\n"));
	assert_int_equal(lg_sdp_answer(text, 100, &own, &offer), 0);
}

static void sdp_offers(void **state)
{
	static struct lg_sdp back;
	static char text[16384];
	struct lg_sdp_want want[2] = {{.send = true, .ssrc = 5},
	                              {.video = true, .send = true, .layers = 3, .ssrc = 6}};
	struct lg_sdp_own sdes = {
	    .address = "192.0.2.7", .port = 4000, .suite = "AEAD_AES_128_GCM", .key = "QUJD"};

	assert_true(lg_sdp_offer(text, sizeof(text), &own, want, 2) > 0);
	assert_int_equal(lg_sdp_parse(&back, text), 0);
	assert_int_equal(back.media[0].ssrc, 5);
	assert_int_equal(back.media[1].ssrc, 0); // rids instead
	assert_int_equal(back.media[1].rtx_ssrc, 0);
	assert_int_equal(back.media[1].ext[LG_EXT_RRID], LG_EXT_RRID + 1);
	assert_int_equal(back.media[0].ext[LG_EXT_RRID], 0);
	want[1].layers = 1;
	want[1].rtx_ssrc = 8;
	assert_true(lg_sdp_offer(text, sizeof(text), &own, want, 2) > 0);
	assert_int_equal(lg_sdp_parse(&back, text), 0);
	assert_int_equal(back.media[1].ssrc, 6);
	assert_int_equal(back.media[1].repaired, 6);
	assert_int_equal(back.media[1].rtx_ssrc, 8);
	want[1].layers = 3;
	assert_true(lg_sdp_offer(text, sizeof(text), &own, want, 2) > 0);
	assert_non_null(strstr(text, "a=simulcast:send 0;1;2\r\n"));
	assert_true(lg_sdp_offer(text, sizeof(text), &sdes, want, 1) > 0);
	assert_int_equal(lg_sdp_parse(&back, text), 0);
	assert_string_equal(back.address, "192.0.2.7");
	assert_int_equal(back.port, 4000);
	assert_string_equal(back.media[0].suite, "AEAD_AES_128_GCM");
	assert_string_equal(back.media[0].key, "QUJD");
	assert_true(back.media[0].mux);
}

/* ---- bencode ---- */

static void bencode_writes_and_finds(void **state)
{
	static const char *const list[] = {"one", "three"};
	char buf[128];
	struct lg_bencode b;
	size_t n, len;
	const char *v;

	lg_bencode_begin(&b, buf, sizeof(buf));
	lg_bencode_text(&b, "command", "publish");
	lg_bencode_list(&b, "flags", list, 2);
	lg_bencode_text(&b, "sdp", "v=0");
	n = lg_bencode_end(&b);
	assert_int_equal(n, 51);
	assert_memory_equal(buf, "d7:command7:publish5:flagsl3:one5:threee3:sdp3:v=0e", n);
	v = lg_bencode_find(buf, n, "sdp", &len);
	assert_int_equal(len, 3);
	assert_memory_equal(v, "v=0", 3);
	assert_null(lg_bencode_find(buf, n, "flags", &len)); // no string
	assert_null(lg_bencode_find(buf, n, "none", &len));
	for (size_t cut = 0; cut < n - 1; cut++)
		assert_null(lg_bencode_find(buf, cut, "sdp", &len));
	lg_bencode_begin(&b, buf, 8);
	lg_bencode_text(&b, "command", "publish");
	assert_int_equal(lg_bencode_end(&b), 0);
}

static void bencode_hostile(void **state)
{
	static const char *const bad[] = {"",
	                                  "d",
	                                  "l",
	                                  "d3:sd",
	                                  "d99999999999:",
	                                  "d1:ai5",
	                                  "di5ee",
	                                  "d1:a99:xe",
	                                  "d1:alllllllllllllllllllllllllllllle"};
	size_t len;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_null(lg_bencode_find(bad[i], strlen(bad[i]), "sdp", &len));
	assert_non_null(lg_bencode_find("d1:ai5e1:bd1:cl1:xee3:sdp1:ye", 29, "sdp", &len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hist_percentiles),
	    cmocka_unit_test(hist_small_is_exact),
	    cmocka_unit_test(rx_counts_loss_once),
	    cmocka_unit_test(rx_duplicates_and_order),
	    cmocka_unit_test(rx_long_gap),
	    cmocka_unit_test(rx_jitter),
	    cmocka_unit_test(rtcp_round_trip),
	    cmocka_unit_test(rtcp_report_is_read_back),
	    cmocka_unit_test(source_frames),
	    cmocka_unit_test(source_rate_goes_on),
	    cmocka_unit_test(source_audio_and_extensions),
	    cmocka_unit_test(source_repeats),
	    cmocka_unit_test(sdp_reads),
	    cmocka_unit_test(sdp_answers_what_is_offered),
	    cmocka_unit_test(sdp_offers),
	    cmocka_unit_test(bencode_writes_and_finds),
	    cmocka_unit_test(bencode_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
