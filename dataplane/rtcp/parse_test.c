/* Parsing against bytes written by hand from the figures of the RFCs. */
#include "dataplane/rtcp/rtcp.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int first_exact(const uint8_t *p, uint32_t len, unsigned flags, unsigned *packets)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct dp_rtcp_iter it;
	struct dp_rtcp_pkt pkt;
	int err;

	memcpy(copy, p, len);
	err = dp_rtcp_first(&it, copy, len, flags);
	*packets = 0;
	while (!err && dp_rtcp_next(&it, &pkt))
		(*packets)++;
	free(copy);
	return err;
}

static void framing(void **state)
{
	static const struct {
		uint32_t len;
		unsigned flags, packets;
		int err;
		uint8_t p[24];
	} row[] = {
	    {8, 0, 1, 0, {0x80, 201, 0, 1}},                               // 0 RR alone
	    {12, 0, 2, 0, {0x80, 201, 0, 1, 0, 0, 0, 1, 0x80, 203, 0, 0}}, // 1 RR, BYE
	    {8, 0, 0, -EBADMSG, {0x81, 206, 0, 1}},                        // 2 not SR or RR first
	    {8, DP_RTCP_RSIZE, 1, 0, {0x81, 206, 0, 1}},                   // 3 unless agreed
	    {8, 0, 0, -EBADMSG, {0x40, 201, 0, 1}},                        // 4 version
	    {8, 0, 0, -EBADMSG, {0x80, 201, 0, 2}},  // 5 longer than the datagram
	    {12, 0, 0, -EBADMSG, {0x80, 201, 0, 1}}, // 6 a tail of zeros
	    {10, 0, 0, -EBADMSG, {0x80, 201, 0, 1}}, // 7 half a head
	    {12,
	     0,
	     0,
	     -EBADMSG,
	     {0x80, 201, 0, 1, 0, 0, 0, 1, 0x40, 203, 0, 0}},         // 8 version of the second
	    {12, 0, 1, 0, {0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4}}, // 9 padding
	    {12, 0, 0, -EBADMSG, {0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0}},  // 10 of nothing
	    {12, 0, 1, 0, {0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3}},         // 11 not in words
	    {12, 0, 0, -EBADMSG, {0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 12}}, // 12 with the head
	    {16,
	     0,
	     2,
	     0,
	     {0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4, 0x80, 203, 0, 0}}, // 13 not last
	    {0, 0, 0, -EBADMSG, {0}},
	    {0, DP_RTCP_RSIZE, 0, -EBADMSG, {0}},
	    {3, DP_RTCP_RSIZE, 0, -EBADMSG, {0x80, 206, 0}},
	    {4, 0, 0, -EBADMSG, {0x80, 201, 0, 0}}, // 17 RR without SSRC
	    {4, DP_RTCP_RSIZE, 1, 0, {0x80, 203, 0, 0}},
	    {20, 0, 3, 0, {0x80, 201, 0, 1, 0, 0, 0,    1,   0x80, 207,
	                   0,    1,   9, 9, 9, 9, 0x9f, 255, 0,    0}}, // 19 XR, unknown
	    {20, 0, 3, 0, {0x80, 201, 0, 1, 0, 0, 0,    1,   0xaf, 205,
	                   0,    1,   0, 0, 0, 2, 0x80, 203, 0,    0}}, // 20 feedback that pads itself
	    {8, DP_RTCP_RSIZE, 1, 0, {0xaf, 205, 0, 1, 0, 0, 0, 3}},
	    {8, DP_RTCP_RSIZE, 0, -EBADMSG, {0xaf, 205, 0, 1, 0, 0, 0, 0}}, // 22 of nothing
	    {8, DP_RTCP_RSIZE, 0, -EBADMSG, {0xaf, 205, 0, 1, 0, 0, 0, 5}},
	    {8, DP_RTCP_RSIZE, 0, -EBADMSG, {0xa1, 205, 0, 1, 0, 0, 0, 2}}, // 24 other feedback may not
	    {4, DP_RTCP_RSIZE, 0, -EBADMSG, {0xaf, 205, 0, 0}},
	};

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		unsigned packets;

		if (first_exact(row[i].p, row[i].len, row[i].flags, &packets) != row[i].err ||
		    packets != row[i].packets)
			fail_msg("row %u", i);
	}
}

static struct dp_rtcp_pkt only(const uint8_t *p, uint32_t len)
{
	struct dp_rtcp_iter it;
	struct dp_rtcp_pkt pkt;

	assert_int_equal(dp_rtcp_first(&it, p, len, DP_RTCP_RSIZE), 0);
	assert_true(dp_rtcp_next(&it, &pkt));
	assert_false(dp_rtcp_next(&it, (struct dp_rtcp_pkt[1]){0}));
	return pkt;
}

static const uint8_t sr[] = {
    0x81, 200,  0,    12,   0xde, 0xad, 0xbe, 0xef, 0x83, 0xaa,
    0x7e, 0x80, 0x40, 0,    0,    0, // NTP
    0,    1,    2,    3,    0,    0,    0,    5,    0,    0,
    1,    0,    0xca, 0xfe, 0xba, 0xbe, 0x40, 0xff, 0xff, 0xfe, // fraction 1/4, lost -2
    0,    2,    0,    7,    0,    0,    0,    9,    1,    2,
    3,    4,    0,    1,    0,    0,
};

static void sender_report(void **state)
{
	uint8_t buf[sizeof(sr) + 4];
	struct dp_rtcp_pkt p = only(sr, sizeof(sr));
	struct dp_rtcp_sr s;
	struct dp_rtcp_block b;

	assert_int_equal(p.type, DP_RTCP_SR);
	assert_int_equal(dp_rtcp_sr(&s, &p), 0);
	assert_true(s.ssrc == 0xdeadbeef && s.ntp == 0x83aa7e8040000000ull);
	assert_int_equal(s.rtp_ts, 0x00010203);
	assert_int_equal(s.packets, 5);
	assert_int_equal(s.octets, 256);
	dp_rtcp_block(&b, &p, 0);
	assert_true(b.ssrc == 0xcafebabe);
	assert_int_equal(b.fraction, 64);
	assert_int_equal(b.lost, -2);
	assert_int_equal(b.max_ext_seq, 0x20007);
	assert_int_equal(b.jitter, 9);
	assert_int_equal(b.lsr, 0x01020304);
	assert_int_equal(b.dlsr, 65536);

	/* two blocks said, one there; a profile extension behind the blocks is right */
	memcpy(buf, sr, sizeof(sr));
	buf[0] = 0x82;
	p = only(buf, sizeof(sr));
	assert_int_equal(dp_rtcp_sr(&s, &p), -EBADMSG);
	buf[0] = 0x81;
	buf[3] = 13;
	memset(buf + sizeof(sr), 0, 4);
	p = only(buf, sizeof(buf));
	assert_int_equal(dp_rtcp_sr(&s, &p), 0);
	/* padding does not count as blocks */
	buf[0] = 0xa1;
	buf[sizeof(buf) - 1] = 8;
	p = only(buf, sizeof(buf));
	assert_int_equal(dp_rtcp_sr(&s, &p), -EBADMSG);
}

static void receiver_report(void **state)
{
	uint8_t rr[32] = {0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0x7f, 0xff, 0xff};
	struct dp_rtcp_pkt p = only(rr, sizeof(rr));
	struct dp_rtcp_block b;
	uint32_t ssrc;

	assert_int_equal(dp_rtcp_rr(&ssrc, &p), 0);
	assert_int_equal(ssrc, 1);
	dp_rtcp_block(&b, &p, 0);
	assert_int_equal(b.ssrc, 2);
	assert_int_equal(b.lost, 0x7fffff);
	assert_int_equal(b.fraction, 255);
	rr[0] = 0x82;
	p = only(rr, sizeof(rr));
	assert_int_equal(dp_rtcp_rr(&ssrc, &p), -EBADMSG);
}

static void sdes(void **state)
{
	/* two chunks; the first has a NAME only and ends on a word, so a whole word of zeros
	 * follows */
	uint8_t two[] = {0x82, 202, 0, 7, 0, 0, 0,   1,   2,   2,   'x', 'y', 0, 0, 0, 0,
	                 0,    0,   0, 9, 1, 4, 'a', '@', 'b', 'c', 0,   0,   0, 0, 0, 0};
	struct dp_rtcp_pkt p = only(two, sizeof(two));
	const uint8_t *cname;
	uint32_t ssrc;
	uint8_t len;

	assert_int_equal(dp_rtcp_sdes_cname(&ssrc, &cname, &len, &p), 0);
	assert_int_equal(ssrc, 9);
	assert_int_equal(len, 4);
	assert_memory_equal(cname, "a@bc", 4);
	two[21] = 11; // longer than the packet
	assert_int_equal(dp_rtcp_sdes_cname(&ssrc, &cname, &len, &p), -EBADMSG);
	two[20] = 3; // another item instead
	two[21] = 4;
	assert_int_equal(dp_rtcp_sdes_cname(&ssrc, &cname, &len, &p), -ENOENT);
	p.count = 3; // the rest is too short for a third
	assert_int_equal(dp_rtcp_sdes_cname(&ssrc, &cname, &len, &p), -EBADMSG);
	p.count = 0;
	assert_int_equal(dp_rtcp_sdes_cname(&ssrc, &cname, &len, &p), -ENOENT);
	/* items up to the last byte, without the null that ends them */
	p = only((const uint8_t[]){0x81, 202, 0, 2, 0, 0, 0, 1, 2, 2, 'x', 'y'}, 12);
	assert_int_equal(dp_rtcp_sdes_cname(&ssrc, &cname, &len, &p), -EBADMSG);
	p = only((const uint8_t[]){0x81, 202, 0, 2, 0, 0, 0, 1, 2, 1, 'x', 1}, 12);
	assert_int_equal(dp_rtcp_sdes_cname(&ssrc, &cname, &len, &p), -EBADMSG);
}

static void bye(void **state)
{
	const uint8_t b[] = {0x82, 203, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2};
	struct dp_rtcp_pkt p = only(b, sizeof(b));

	assert_int_equal(dp_rtcp_bye(&p), 0);
	assert_int_equal(dp_rtcp_bye_ssrc(&p, 0), 1);
	assert_int_equal(dp_rtcp_bye_ssrc(&p, 1), 2);
	p.count = 3;
	assert_int_equal(dp_rtcp_bye(&p), -EBADMSG);
}

static void nack(void **state)
{
	static const uint16_t want[] = {65535, 0, 15, 300};
	const uint8_t b[] = {0x81, 205, 0,    4,    0,    0,    0,    1,    0, 0,
	                     0,    2,   0xff, 0xff, 0x80, 0x01, 0x01, 0x2c, 0, 0};
	struct dp_rtcp_pkt p = only(b, sizeof(b));
	struct dp_rtcp_nack_iter it;
	struct dp_rtcp_fb fb;
	uint16_t seq;

	assert_int_equal(dp_rtcp_fb(&fb, &p), 0);
	assert_int_equal(fb.sender, 1);
	assert_int_equal(fb.media, 2);
	assert_int_equal(dp_rtcp_nack_first(&it, &fb), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(dp_rtcp_nack_next(&it, &seq));
		assert_int_equal(seq, want[i]);
	}
	assert_false(dp_rtcp_nack_next(&it, &seq));
	fb.fci_len = 0;
	assert_int_equal(dp_rtcp_nack_first(&it, &fb), -EBADMSG);
	p.len = 7;
	assert_int_equal(dp_rtcp_fb(&fb, &p), -EBADMSG);
}

static void fir(void **state)
{
	const uint8_t b[] = {0x84, 206, 0, 6, 0, 0, 0, 1, 0, 0, 0,   0, 0, 0,
	                     0,    7,   3, 0, 0, 0, 0, 0, 0, 8, 255, 0, 0, 0};
	struct dp_rtcp_pkt p = only(b, sizeof(b));
	struct dp_rtcp_fb fb;
	uint32_t count, ssrc;
	uint8_t seq;

	assert_int_equal(dp_rtcp_fb(&fb, &p), 0);
	assert_int_equal(dp_rtcp_fir_count(&count, &fb), 0);
	assert_int_equal(count, 2);
	dp_rtcp_fir(&ssrc, &seq, &fb, 1);
	assert_int_equal(ssrc, 8);
	assert_int_equal(seq, 255);
	fb.fci_len = 12;
	assert_int_equal(dp_rtcp_fir_count(&count, &fb), -EBADMSG);
	fb.fci_len = 0;
	assert_int_equal(dp_rtcp_fir_count(&count, &fb), -EBADMSG);
}

static void remb(void **state)
{
	uint8_t b[] = {0x8f, 206, 0, 6,    0,    0,    0, 1, 0, 0, 0, 0, 'R', 'E',
	               'M',  'B', 2, 0x0b, 0xff, 0xff, 0, 0, 0, 7, 0, 0, 0,   8};
	struct dp_rtcp_pkt p = only(b, sizeof(b));
	struct dp_rtcp_remb r;
	struct dp_rtcp_fb fb;

	assert_int_equal(dp_rtcp_fb(&fb, &p), 0);
	assert_int_equal(dp_rtcp_remb(&r, &fb), 0);
	assert_true(r.bps == 0x3ffffull << 2);
	assert_int_equal(r.count, 2);
	assert_int_equal(r.ssrcs[7], 8);
	b[17] = 46 << 2 | 3; // largest exponent that fits 18 bits into 64
	assert_int_equal(dp_rtcp_remb(&r, &fb), 0);
	assert_true(r.bps == 0x3ffffull << 46);
	b[17] = 47 << 2 | 3;
	assert_int_equal(dp_rtcp_remb(&r, &fb), 0);
	assert_true(r.bps == UINT64_MAX);
	b[16] = 3;
	assert_int_equal(dp_rtcp_remb(&r, &fb), -EBADMSG);
	b[12] = 'r';
	assert_int_equal(dp_rtcp_remb(&r, &fb), -ENOENT);
	fb.fci_len = 0;
	assert_int_equal(dp_rtcp_remb(&r, &fb), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(framing),
	    cmocka_unit_test(sender_report),
	    cmocka_unit_test(receiver_report),
	    cmocka_unit_test(sdes),
	    cmocka_unit_test(bye),
	    cmocka_unit_test(nack),
	    cmocka_unit_test(fir),
	    cmocka_unit_test(remb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
