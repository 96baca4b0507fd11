#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/node/frame.h"
#include "dataplane/rtp/rtp.h"
#include "shared/stats.h"

enum { MAX = 300 };

struct build {
	unsigned vlans, v4_words, v6_ext; // v6_ext: destination options headers of 8 bytes
	bool ip6;
	uint32_t payload;
	uint32_t trailer; // Ethernet padding
};

static uint32_t build(uint8_t *f, const struct build *b)
{
	uint32_t at = 12, ip;

	memset(f, 0, MAX);
	memset(f, 0x0a, 6);
	memset(f + 6, 0x0b, 6);
	for (unsigned i = 0; i < b->vlans; i++, at += 4)
		dp_put32(f + at, (i ? 0x81000000 : 0x88a80000) + 5);
	dp_put16(f + at, b->ip6 ? 0x86dd : 0x0800);
	ip = at + 2;
	if (b->ip6) {
		at = ip + 40 + 8 * b->v6_ext;
		f[ip] = 0x60;
		dp_put16(f + ip + 4, (uint16_t)(8 * b->v6_ext + 8 + b->payload));
		f[ip + 6] = b->v6_ext ? 60 : 17;
		for (unsigned i = 0; i < b->v6_ext; i++)
			f[ip + 40 + 8 * i] = i + 1 == b->v6_ext ? 17 : 60;
		f[ip + 8] = 0x20;
		f[ip + 23] = 1;
		f[ip + 24] = 0x20;
		f[ip + 39] = 2;
	} else {
		unsigned words = b->v4_words ? b->v4_words : 5;

		at = ip + 4 * words;
		f[ip] = (uint8_t)(0x40 | words);
		dp_put16(f + ip + 2, (uint16_t)(4 * words + 8 + b->payload));
		f[ip + 9] = 17;
		dp_put32(f + ip + 12, 0x01020304);
		dp_put32(f + ip + 16, 0x05060708);
	}
	dp_put16(f + at, 1234);
	dp_put16(f + at + 2, 10000);
	dp_put16(f + at + 4, (uint16_t)(8 + b->payload));
	memset(f + at + 8, 0x5a, b->payload);
	return at + 8 + b->payload + b->trailer;
}

static void good(void **state)
{
	static const struct build cases[] = {
	    {.payload = 20},
	    {.payload = 0},
	    {.payload = 20, .trailer = 10},
	    {.payload = 20, .vlans = 1},
	    {.payload = 20, .vlans = 2},
	    {.payload = 20, .v4_words = 15},
	    {.payload = 20, .ip6 = true},
	    {.payload = 20, .ip6 = true, .v6_ext = 1},
	    {.payload = 20, .ip6 = true, .v6_ext = 4, .vlans = 2, .trailer = 3},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint8_t f[MAX];
		uint32_t len = build(f, &cases[i]);
		struct dp_frame p;
		unsigned why = 0;

		assert_int_equal(dp_frame_parse(&p, f, len, &why), 0);
		assert_int_equal(p.l2_len, 14 + 4 * cases[i].vlans);
		assert_int_equal(p.payload_len, cases[i].payload);
		assert_int_equal(p.payload_off + p.payload_len + cases[i].trailer, len);
		assert_int_equal(p.payload_off, p.l2_len + p.l3_len + 8);
		assert_int_equal(p.src.port, 1234);
		assert_int_equal(p.dst.port, 10000);
		assert_int_equal(p.src.family, cases[i].ip6 ? 6 : 4);
		assert_int_equal(p.src.ip[0], cases[i].ip6 ? 0x20 : 1);
		assert_int_equal(p.dst.ip[cases[i].ip6 ? 15 : 3], cases[i].ip6 ? 2 : 8);
		for (uint32_t n = 0; n < len - cases[i].trailer; n++) // cut anywhere
			assert_int_not_equal(dp_frame_parse(&p, f, n, &why), 0);
	}
}

static void check(const uint8_t *f, uint32_t len, unsigned want)
{
	struct dp_frame p;
	unsigned why = 0;

	assert_int_not_equal(dp_frame_parse(&p, f, len, &why), 0);
	assert_int_equal(why, want);
}

static void bad(void **state)
{
	uint8_t f[MAX], g[MAX];
	uint32_t len = build(f, &(struct build){.payload = 20}), len6;

	memcpy(g, f, MAX);
	dp_put16(g + 12, 0x0806);
	check(g, len, SH_STAT_drop_not_ip);
	len6 = build(g, &(struct build){.payload = 20, .vlans = 3});
	check(g, len6, SH_STAT_drop_not_ip);
	memcpy(g, f, MAX);
	g[14] = 0x44; // header of 16 bytes
	check(g, len, SH_STAT_drop_ip_malformed);
	g[14] = 0x65;
	check(g, len, SH_STAT_drop_ip_malformed);
	memcpy(g, f, MAX);
	dp_put16(g + 16, 60); // longer than the frame
	check(g, len, SH_STAT_drop_ip_malformed);
	memcpy(g, f, MAX);
	dp_put16(g + 20, 0x2000);
	check(g, len, SH_STAT_drop_ip_fragment);
	dp_put16(g + 20, 0x0001);
	check(g, len, SH_STAT_drop_ip_fragment);
	memcpy(g, f, MAX);
	g[23] = 6;
	check(g, len, SH_STAT_drop_not_udp);
	memcpy(g, f, MAX);
	dp_put16(g + 38, 7);
	check(g, len, SH_STAT_drop_udp_malformed);
	dp_put16(g + 38, 29);
	check(g, len, SH_STAT_drop_udp_malformed);
	dp_put16(g + 38, 0);
	check(g, len, SH_STAT_drop_udp_malformed);
	len6 = build(g, &(struct build){.payload = 20, .ip6 = true, .v6_ext = 5});
	check(g, len6, SH_STAT_drop_ip_malformed);
	len6 = build(g, &(struct build){.payload = 20, .ip6 = true, .v6_ext = 1});
	g[20] = 44;
	check(g, len6, SH_STAT_drop_ip_fragment);
	g[20] = 58;
	check(g, len6, SH_STAT_drop_not_udp);
	g[20] = 60;
	g[55] = 255; // of 2048 bytes
	check(g, len6, SH_STAT_drop_ip_malformed);
}

static void kinds(void **state)
{
	for (unsigned b = 0; b < 256; b++) {
		uint8_t p[2] = {(uint8_t)b, 200};
		enum dp_frame_kind want = b < 4                 ? DP_FRAME_IS_STUN
		                          : b >= 20 && b < 64   ? DP_FRAME_IS_DTLS
		                          : b >= 128 && b < 192 ? DP_FRAME_IS_RTCP
		                                                : DP_FRAME_IS_NONE;

		assert_int_equal(dp_frame_kind(p, 2), want);
	}
	for (unsigned b = 0; b < 256; b++) {
		uint8_t p[2] = {0x80, (uint8_t)b};

		assert_int_equal(dp_frame_kind(p, 2),
		                 b >= 192 && b < 224 ? DP_FRAME_IS_RTCP : DP_FRAME_IS_RTP);
	}
	assert_int_equal(dp_frame_kind((const uint8_t *)"", 0), DP_FRAME_IS_NONE);
	assert_int_equal(dp_frame_kind((const uint8_t *)"\x80", 1), DP_FRAME_IS_NONE);
}

static void records(void **state)
{
	static const uint8_t two[] = {22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2,
	                              20, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1};
	static const uint8_t unified[] = {0x2c, 0, 1, 0, 3, 9, 9, 9, 0x20, 7, 1};
	uint8_t b[32];

	assert_int_equal(dp_dtls_records(two, sizeof(two)), 0);
	assert_int_equal(dp_dtls_records(two, 15), 0);
	for (uint32_t n = 0; n < sizeof(two); n++)
		if (n != 15)
			assert_int_not_equal(dp_dtls_records(two, n), 0);
	memcpy(b, two, 15);
	b[1] = 3; // TLS
	assert_int_not_equal(dp_dtls_records(b, 15), 0);
	memcpy(b, two, 15);
	b[0] = 27;
	assert_int_not_equal(dp_dtls_records(b, 15), 0);
	assert_int_equal(dp_dtls_records(unified, sizeof(unified)), 0);
	assert_int_not_equal(dp_dtls_records(unified, 7), 0);
	assert_int_not_equal(dp_dtls_records(unified, 9), 0);
}

/* One word at a time, as RFC 1071 has it. */
static uint16_t slow_sum(const uint8_t *p, uint32_t len)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void sums(void **state)
{
	static uint8_t b[65536];
	uint32_t x = 1;

	for (uint32_t i = 0; i < sizeof(b); i++) {
		x = x * 1664525 + 1013904223;
		b[i] = (uint8_t)(x >> 24);
	}
	for (uint32_t off = 0; off < 3; off++)
		for (uint32_t len = 0; len < 300; len++)
			assert_int_equal(
			    __builtin_bswap16(dp_csum_fold(dp_csum_add(0, b + off, len))),
			    slow_sum(b + off, len));
	memset(b, 0xff, sizeof(b));
	assert_int_equal(dp_csum_fold(dp_csum_add(0, b, sizeof(b))), 0xffff);
}

/* An answer goes back where the request came from, and its checksums are right. */
static void replies(void **state)
{
	for (unsigned k = 0; k < 6; k++) {
		uint8_t f[MAX], out[MAX] = {0}, l3;
		struct build b = {
		    .payload = 33, .vlans = k / 2, .ip6 = k & 1, .v6_ext = k & 1, .v4_words = 6};
		uint32_t len = build(f, &b), head;
		struct dp_frame p, r;
		unsigned why;

		assert_int_equal(dp_frame_parse(&p, f, len, &why), 0);
		head = dp_frame_reply(out, &l3, f, &p);
		memset(out + head, 7, 51);
		dp_frame_finish(out, p.l2_len, l3, 51 + 8, true);
		assert_int_equal(dp_frame_parse(&r, out, head + 51, &why), 0);
		assert_memory_equal(&r.src, &p.dst, sizeof(r.src));
		assert_memory_equal(&r.dst, &p.src, sizeof(r.dst));
		assert_memory_equal(out, f + 6, 6);
		assert_memory_equal(out + 6, f, 6);
		assert_memory_equal(out + 12, f + 12, p.l2_len - 12u);
		assert_int_equal(r.payload_len, 51);
		if (!b.ip6)
			assert_int_equal(slow_sum(out + r.l2_len, 20), 0xffff);
		assert_int_not_equal(dp_get16(out + head - 2), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good), cmocka_unit_test(bad),     cmocka_unit_test(kinds),
	    cmocka_unit_test(sums), cmocka_unit_test(records), cmocka_unit_test(replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
