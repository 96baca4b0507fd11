/* Header extensions in and out: what ext.c finds is checked against bytes by hand, and what write.c
 * makes against what ext.c finds in it. */
#include "dataplane/rtp/rtp.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ids in these tests: MID 1, audio level 2, abs-send-time 3, TWCC 4, dependency descriptor 5,
 * colour space 20 */
static const uint8_t ids[SH_EXT_COUNT] = {
    [SH_EXT_MID] = 1,  [SH_EXT_AUDIO_LEVEL] = 2, [SH_EXT_ABS_SEND_TIME] = 3,
    [SH_EXT_TWCC] = 4, [SH_EXT_DEPENDENCY] = 5,  [SH_EXT_COLOR_SPACE] = 20,
};

struct packet {
	uint8_t buf[600];
	uint32_t len;
	struct dp_rtp_hdr h;
	struct dp_rtp_exts e;
};

/* A packet with an extension of that profile and body, whose length is made a multiple of 4 by the
 * caller. */
static int make(struct packet *p, uint16_t profile, const void *body, uint32_t len)
{
	memset(p, 0, sizeof(*p));
	p->buf[0] = 0x90;
	dp_put16(p->buf + 12, profile);
	dp_put16(p->buf + 14, len / 4);
	memcpy(p->buf + 16, body, len);
	p->len = 16 + len + 3;
	assert_int_equal(len % 4, 0);
	assert_int_equal(dp_rtp_parse(&p->h, p->buf, p->len), 0);
	return dp_rtp_ext_parse(&p->e, &p->h, p->buf, ids);
}

static void check(const struct packet *p, unsigned kind, const void *data, uint32_t len)
{
	assert_true(p->e.present & 1u << kind);
	assert_int_equal(p->e.len[kind], len);
	assert_memory_equal(p->buf + p->e.off[kind], data, len);
}

static void one_byte(void **state)
{
	struct packet p;

	assert_int_equal(make(&p, 0xbede,
	                      "\x10\x61\x00\x00\x20\x85\x32\x01\x02\x03\x41\xbe\xef\x91\xff\xff",
	                      16),
	                 0);
	assert_int_equal(p.e.present, 1u << SH_EXT_MID | 1u << SH_EXT_AUDIO_LEVEL |
	                                  1u << SH_EXT_ABS_SEND_TIME | 1u << SH_EXT_TWCC);
	check(&p, SH_EXT_MID, "a", 1);
	check(&p, SH_EXT_AUDIO_LEVEL, "\x85", 1);
	check(&p, SH_EXT_ABS_SEND_TIME, "\x01\x02\x03", 3);
	check(&p, SH_EXT_TWCC, "\xbe\xef", 2);
	assert_int_equal(p.e.off[SH_EXT_RID], 0);
}

static void one_byte_edges(void **state)
{
	struct packet p;

	/* id 15 ends it */
	assert_int_equal(make(&p, 0xbede, "\xf0\x00\x10\x61", 4), 0);
	assert_int_equal(p.e.present, 0);
	/* the first of two counts */
	assert_int_equal(make(&p, 0xbede, "\x10\x61\x10\x62", 4), 0);
	check(&p, SH_EXT_MID, "a", 1);
	/* 16 bytes, the longest */
	assert_int_equal(make(&p, 0xbede,
	                      "\x1f"
	                      "0123456789abcdef\0\0\0",
	                      20),
	                 0);
	check(&p, SH_EXT_MID, "0123456789abcdef", 16);
	/* past the end: what came before is kept */
	assert_int_equal(make(&p, 0xbede, "\x10\x61\x33\x01", 4), -EBADMSG);
	check(&p, SH_EXT_MID, "a", 1);
	assert_int_equal(p.e.present, 1u << SH_EXT_MID);
	/* only padding; no words; another profile */
	assert_int_equal(make(&p, 0xbede, "\0\0\0\0", 4), 0);
	assert_int_equal(p.e.present, 0);
	assert_int_equal(make(&p, 0xbede, "", 0), 0);
	assert_int_equal(p.e.present, 0);
	assert_int_equal(make(&p, 0x1234, "\x10\x61\x10\x62", 4), 0);
	assert_int_equal(p.e.present, 0);
}

static void two_byte(void **state)
{
	struct packet p;

	/* application bits in the profile; padding; an empty element; an id above 15 */
	assert_int_equal(make(&p, 0x1005, "\x01\x01\x61\x00\x02\x00\x14\x04\x09\x08\x07\x06", 12),
	                 0);
	check(&p, SH_EXT_MID, "a", 1);
	check(&p, SH_EXT_AUDIO_LEVEL, "", 0);
	assert_int_not_equal(p.e.off[SH_EXT_AUDIO_LEVEL], 0);
	check(&p, SH_EXT_COLOR_SPACE, "\x09\x08\x07\x06", 4);
	assert_int_equal(make(&p, 0x1000, "\x01\x01\x61\x02", 4), -EBADMSG); // id without length
	check(&p, SH_EXT_MID, "a", 1);
	assert_int_equal(make(&p, 0x1000, "\x01\x03\x61\x02", 4), -EBADMSG);
	assert_int_equal(p.e.present, 0);
	assert_int_equal(make(&p, 0x1010, "\x01\x01\x61\x00", 4), 0); // not 0x100x
	assert_int_equal(p.e.present, 0);
}

/* Writes what w and t say, and parses it with the ids of the receiver. */
static int rewrite(struct packet *out, const struct dp_rtp_tmpl *t, const struct dp_rtp_write *w,
                   const uint8_t *out_ids)
{
	int n = dp_rtp_write(out->buf, sizeof(out->buf), t, w);

	if (n < 0)
		return n;
	memset(out->buf + n, 0xee, 4);
	assert_int_equal(dp_rtp_parse(&out->h, out->buf, n + 4), 0);
	assert_int_equal(out->h.payload_off, n);
	assert_int_equal(dp_rtp_ext_parse(&out->e, &out->h, out->buf, out_ids), 0);
	return n;
}

static const uint8_t other_ids[SH_EXT_COUNT] = {
    [SH_EXT_MID] = 9,  [SH_EXT_AUDIO_LEVEL] = 8, [SH_EXT_ABS_SEND_TIME] = 7,
    [SH_EXT_TWCC] = 6, [SH_EXT_DEPENDENCY] = 2,  [SH_EXT_COLOR_SPACE] = 11,
};

static void writes_plain(void **state)
{
	const uint8_t none[SH_EXT_COUNT] = {0};
	struct dp_rtp_write w = {
	    .ts = 0xfffffffe, .ssrc = 0x80000001, .seq = 65535, .pt = 127, .marker = 1};
	struct dp_rtp_tmpl t;
	struct packet p;

	dp_rtp_tmpl_init(&t, none, true, (const uint8_t *)"a", 1);
	assert_int_equal(rewrite(&p, &t, &w, none), 12);
	assert_int_equal(p.buf[0], 0x80);
	assert_true(p.h.ts == w.ts && p.h.ssrc == w.ssrc);
	assert_int_equal(p.h.seq, 65535);
	assert_int_equal(p.h.pt, 127);
	assert_int_equal(p.h.marker, 1);
	w.csrc = (const uint8_t *)"\1\2\3\4\5\6\7\10";
	w.csrc_count = 2;
	assert_int_equal(rewrite(&p, &t, &w, none), 20);
	assert_memory_equal(p.buf + 12, w.csrc, 8);
}

static void writes_fresh_and_copies(void **state)
{
	struct dp_rtp_write w = {.abs_send_time = 0xabcdef, .twcc_seq = 0x1234};
	struct packet in, out;
	struct dp_rtp_tmpl t;

	/* MID, abs-send-time and TWCC of the publisher must not come through; audio level must */
	assert_int_equal(make(&in, 0xbede, "\x10\x61\x20\x85\x32\x01\x02\x03\x41\xbe\xef\x00", 12),
	                 0);
	dp_rtp_tmpl_init(&t, other_ids, false, (const uint8_t *)"video", 5);
	w.exts = &in.e;
	w.exts_buf = in.buf;
	assert_int_equal(rewrite(&out, &t, &w, other_ids),
	                 12 + 4 + 16); // 6 + 4 + 3 + 2 bytes, padded
	assert_int_equal(out.h.ext_profile, 0xbede);
	check(&out, SH_EXT_MID, "video", 5);
	check(&out, SH_EXT_ABS_SEND_TIME, "\xab\xcd\xef", 3);
	check(&out, SH_EXT_TWCC, "\x12\x34", 2);
	check(&out, SH_EXT_AUDIO_LEVEL, "\x85", 1);
	w.exts = NULL;
	rewrite(&out, &t, &w, other_ids);
	assert_false(out.e.present & 1u << SH_EXT_AUDIO_LEVEL);
	check(&out, SH_EXT_MID, "video", 5);
}

static void long_element(void **state)
{
	struct dp_rtp_write w = {.abs_send_time = 1, .twcc_seq = 2};
	uint8_t body[28] = {5, 25, 1, 2, 3, 4, 5};
	struct packet in, out;
	struct dp_rtp_tmpl t;

	assert_int_equal(make(&in, 0x1000, body, sizeof(body)), 0);
	w.exts = &in.e;
	w.exts_buf = in.buf;
	/* allowed: the whole packet changes to the two-byte form */
	dp_rtp_tmpl_init(&t, other_ids, true, (const uint8_t *)"0123456789abcdef", 16);
	rewrite(&out, &t, &w, other_ids);
	assert_int_equal(out.h.ext_profile, 0x1000);
	check(&out, SH_EXT_DEPENDENCY, body + 2, 25);
	check(&out, SH_EXT_MID, "0123456789abcdef", 16);
	check(&out, SH_EXT_ABS_SEND_TIME, "\0\0\1", 3);
	check(&out, SH_EXT_TWCC, "\0\2", 2);
	/* the next packet without it goes back */
	w.exts = NULL;
	rewrite(&out, &t, &w, other_ids);
	assert_int_equal(out.h.ext_profile, 0xbede);
	/* not allowed: the element is left out */
	w.exts = &in.e;
	dp_rtp_tmpl_init(&t, other_ids, false, (const uint8_t *)"a", 1);
	rewrite(&out, &t, &w, other_ids);
	assert_int_equal(out.h.ext_profile, 0xbede);
	assert_false(out.e.present & 1u << SH_EXT_DEPENDENCY);
	check(&out, SH_EXT_MID, "a", 1);
}

static void empty_element_is_left_out(void **state)
{
	const uint8_t only_level[SH_EXT_COUNT] = {[SH_EXT_AUDIO_LEVEL] = 3};
	struct dp_rtp_write w = {0};
	struct packet in, out;
	struct dp_rtp_tmpl t;

	assert_int_equal(make(&in, 0x1000, "\x02\x00\x00\x00", 4), 0);
	w.exts = &in.e;
	w.exts_buf = in.buf;
	dp_rtp_tmpl_init(&t, only_level, false, NULL, 0);
	assert_int_equal(rewrite(&out, &t, &w, only_level), 12); // and no empty extension either
	dp_rtp_tmpl_init(&t, only_level, true, NULL, 0);
	rewrite(&out, &t, &w, only_level);
	check(&out, SH_EXT_AUDIO_LEVEL, "", 0);
}

static void high_ids(void **state)
{
	uint8_t high[SH_EXT_COUNT];
	struct dp_rtp_write w = {.abs_send_time = 0x10203, .twcc_seq = 0x405};
	struct packet in, out;
	struct dp_rtp_tmpl t;

	memcpy(high, other_ids, sizeof(high));
	high[SH_EXT_AUDIO_LEVEL] = 200;
	make(&in, 0xbede, "\x20\x85\x10\x61", 4);
	w.exts = &in.e;
	w.exts_buf = in.buf;
	/* only a copied kind is high: two-byte form for packets that carry it */
	dp_rtp_tmpl_init(&t, high, true, (const uint8_t *)"a", 1);
	rewrite(&out, &t, &w, high);
	assert_int_equal(out.h.ext_profile, 0x1000);
	check(&out, SH_EXT_AUDIO_LEVEL, "\x85", 1);
	check(&out, SH_EXT_TWCC, "\x04\x05", 2);
	/* a written kind is high: two-byte form always, or left out */
	high[SH_EXT_TWCC] = 15;
	w.exts = NULL;
	dp_rtp_tmpl_init(&t, high, true, (const uint8_t *)"a", 1);
	rewrite(&out, &t, &w, high);
	assert_int_equal(out.h.ext_profile, 0x1000);
	check(&out, SH_EXT_TWCC, "\x04\x05", 2);
	check(&out, SH_EXT_ABS_SEND_TIME, "\1\2\3", 3);
	dp_rtp_tmpl_init(&t, high, false, (const uint8_t *)"a", 1);
	rewrite(&out, &t, &w, high);
	assert_int_equal(out.h.ext_profile, 0xbede);
	assert_false(out.e.present & 1u << SH_EXT_TWCC);
}

static void bounded(void **state)
{
	struct dp_rtp_write w = {0};
	struct packet in, out;
	uint8_t body[200] = {5, 198};
	struct dp_rtp_tmpl t;
	int n;

	make(&in, 0x1000, body, sizeof(body));
	w.exts = &in.e;
	w.exts_buf = in.buf;
	dp_rtp_tmpl_init(&t, other_ids, true, (const uint8_t *)"a", 1);
	n = rewrite(&out, &t, &w, other_ids);
	assert_true(n > 0 && n % 4 == 0);
	for (int room = 0; room <= n; room++) {
		uint8_t *exact = malloc(room ? room : 1);

		assert_int_equal(dp_rtp_write(exact, room, &t, &w), room < n ? -ENOSPC : n);
		free(exact);
	}
}

/* Every mix of what a template may hold, in both forms, with an audio level and without: the short
 * way writes what the long one does, and says when it cannot. */
static void the_short_way(void **state)
{
	static const uint8_t in[] = {0, 0x7f};
	unsigned levels = 0;

	for (unsigned mix = 0; mix < 64; mix++) {
		struct dp_rtp_exts x = {
		    .present = mix & 16 ? 1 << SH_EXT_AUDIO_LEVEL : 0,
		    .off[SH_EXT_AUDIO_LEVEL] = 1,
		    .len[SH_EXT_AUDIO_LEVEL] = 1,
		};
		uint8_t id[SH_EXT_COUNT] = {0}, a[128], b[128];
		struct dp_rtp_write w = {.ts = 0x01020304,
		                         .ssrc = 0xa0b0c0d0,
		                         .seq = 0xfedc,
		                         .pt = 102,
		                         .marker = mix & 1,
		                         .abs_send_time = 0x123456,
		                         .twcc_seq = 0x789a,
		                         .exts = &x,
		                         .exts_buf = in};
		bool two_byte = mix & 8;
		struct dp_rtp_tmpl t;
		int len;

		id[SH_EXT_MID] = mix & 1 ? 1 : 0;
		id[SH_EXT_ABS_SEND_TIME] = mix & 2 ? (two_byte ? 200 : 2) : 0;
		id[SH_EXT_TWCC] = mix & 4 ? 3 : 0;
		id[SH_EXT_AUDIO_LEVEL] = mix & 32 ? (two_byte ? 201 : 4) : 0;
		dp_rtp_tmpl_init(&t, id, two_byte, (const uint8_t *)"abcdefghijklmno", mix & 15);
		if (!dp_rtp_is_plain(&t, &x)) {
			assert_true((mix & 48) == 48 && two_byte);
			continue;
		}
		levels += (mix & 48) == 48;
		memset(a, 0xaa, sizeof(a));
		memset(b, 0xbb, sizeof(b));
		len = dp_rtp_write(a, sizeof(a), &t, &w);
		assert_true(len >= 12);
		assert_int_equal(dp_rtp_write_plain(b, &t, &w), len);
		assert_memory_equal(a, b, (size_t)len);
	}
	assert_int_equal(levels, 8);
}

/* A level of another length, or beside something else, is no case for it. */
static void not_the_short_way(void **state)
{
	uint8_t id[SH_EXT_COUNT] = {[SH_EXT_AUDIO_LEVEL] = 4, [SH_EXT_VIDEO_ORIENTATION] = 5};
	struct dp_rtp_exts x = {.present = 1 << SH_EXT_AUDIO_LEVEL, .len[SH_EXT_AUDIO_LEVEL] = 2};
	struct dp_rtp_tmpl t;

	dp_rtp_tmpl_init(&t, id, false, NULL, 0);
	assert_false(dp_rtp_is_plain(&t, &x));
	x.len[SH_EXT_AUDIO_LEVEL] = 1;
	assert_true(dp_rtp_is_plain(&t, &x));
	x.present |= 1 << SH_EXT_VIDEO_ORIENTATION;
	assert_false(dp_rtp_is_plain(&t, &x));
	x.present = 1 << SH_EXT_ABS_CAPTURE_TIME; // not negotiated with this one
	assert_true(dp_rtp_is_plain(&t, &x));
}

static void abs_send_time(void **state)
{
	assert_int_equal(dp_rtp_abs_send_time(0), 0);
	assert_int_equal(dp_rtp_abs_send_time(500000000u), 1 << 17);
	assert_int_equal(dp_rtp_abs_send_time(63999999999u), 0xffffff);
	assert_int_equal(dp_rtp_abs_send_time(64000000000u), 0); // wraps each 64 s
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_byte),
	    cmocka_unit_test(one_byte_edges),
	    cmocka_unit_test(two_byte),
	    cmocka_unit_test(writes_plain),
	    cmocka_unit_test(writes_fresh_and_copies),
	    cmocka_unit_test(long_element),
	    cmocka_unit_test(empty_element_is_left_out),
	    cmocka_unit_test(high_ids),
	    cmocka_unit_test(bounded),
	    cmocka_unit_test(the_short_way),
	    cmocka_unit_test(not_the_short_way),
	    cmocka_unit_test(abs_send_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
