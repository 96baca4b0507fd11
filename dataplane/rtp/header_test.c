#include "dataplane/rtp/rtp.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A packet in a heap block of its exact length, so that a sanitizer sees each read outside. */
static int parse_exact(struct dp_rtp_hdr *h, const uint8_t *p, uint32_t len, bool clear)
{
	uint8_t *copy = malloc(len ? len : 1);
	int err;

	memcpy(copy, p, len);
	err = clear ? dp_rtp_parse_clear(h, copy, len) : dp_rtp_parse(h, copy, len);
	free(copy);
	return err;
}

static const uint8_t full[] = {
    0xb2, 0xe0, 0x12, 0x34, 0x01, 0x02, 0x03, 0x04, 0xca, 0xfe, 0xba, 0xbe, // V P X CC=2, M, PT 96
    0,    0,    0,    1,    0,    0,    0,    2,                            // CSRCs
    0xbe, 0xde, 0x00, 0x01, 0x10, 0xaa, 0x00, 0x00,                         // extension, one word
    1,    2,    3,    4,    5,                                              // payload
    0,    0,    3,                                                          // padding
};

static void every_field(void **state)
{
	struct dp_rtp_hdr h;

	assert_int_equal(parse_exact(&h, full, sizeof(full), false), 0);
	assert_int_equal(h.pt, 96);
	assert_int_equal(h.marker, 1);
	assert_int_equal(h.seq, 0x1234);
	assert_int_equal(h.ts, 0x01020304);
	assert_true(h.ssrc == 0xcafebabe);
	assert_int_equal(h.csrc_count, 2);
	assert_int_equal(h.ext_profile, 0xbede);
	assert_int_equal(h.ext_off, 24);
	assert_int_equal(h.ext_len, 4);
	assert_int_equal(h.payload_off, 28);
	assert_int_equal(h.payload_len, 5);
	assert_int_equal(h.padding, 3);
	assert_int_equal(parse_exact(&h, full, sizeof(full), true), 0);
	assert_int_equal(h.payload_len, 8);
	assert_int_equal(h.padding, 0);
}

static void every_truncation(void **state)
{
	struct dp_rtp_hdr h;

	for (uint32_t len = 0; len < 28; len++) {
		assert_int_equal(parse_exact(&h, full, len, false), -EBADMSG);
		assert_int_equal(parse_exact(&h, full, len, true), -EBADMSG);
	}
}

static void table(void **state)
{
	static const struct {
		uint8_t p[20];
		uint32_t len;
		int err;
		uint16_t payload_len;
	} row[] = {
	    {{0x80, 0}, 12, 0, 0},                  // 0 bare header
	    {{0x40, 0}, 12, -EBADMSG, 0},           // 1 version 1
	    {{0xc0, 0}, 12, -EBADMSG, 0},           // 2 version 3
	    {{0xa0, 0}, 12, -EBADMSG, 0},           // 3 padding, no room for its count
	    {{0xa0, 0, [12] = 1}, 13, 0, 0},        // 4 padding only
	    {{0xa0, 0, [12] = 0}, 13, -EBADMSG, 0}, // 5 padding count 0
	    {{0xa0, 0, [12] = 2}, 13, -EBADMSG, 0}, // 6 reaches into the header
	    {{0x90, 0, [15] = 0}, 16, 0, 0},        // 7 empty extension
	    {{0x90, 0, [15] = 1}, 16, -EBADMSG, 0}, // 8 extension past the end
	    {{0x90, 0, [14] = 0xff, [15] = 0xff}, 20, -EBADMSG, 0}, // 9 far past it
	    {{0x90, 0, [14] = 0x40, [15] = 0x00}, 20, -EBADMSG, 0}, // 10 4 * length is 2^16
	    {{0x82, 0}, 20, 0, 0},                                  // 11 CSRCs only
	    {{0x83, 0}, 20, -EBADMSG, 0},                           // 12 one CSRC too many
	    {{0x80, 0}, 20, 0, 8},                                  // 13 payload
	};

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct dp_rtp_hdr h;

		if (parse_exact(&h, row[i].p, row[i].len, false) != row[i].err)
			fail_msg("row %u", i);
		if (!row[i].err && h.payload_len != row[i].payload_len)
			fail_msg("row %u: payload of %u", i, h.payload_len);
	}
}

static void rtx_original_number(void **state)
{
	uint8_t p[15] = {0x80, 97, 0, 1, [12] = 0xab, 0xcd, 0x55};
	struct dp_rtp_hdr h;
	uint16_t osn;

	assert_int_equal(dp_rtp_parse(&h, p, 15), 0);
	assert_int_equal(dp_rtx_osn(&osn, &h, p), 0);
	assert_int_equal(osn, 0xabcd);
	assert_int_equal(dp_rtp_parse(&h, p, 13), 0);
	assert_int_equal(dp_rtx_osn(&osn, &h, p), -EBADMSG);
	assert_int_equal(dp_rtp_parse(&h, p, 12), 0);
	assert_int_equal(dp_rtx_osn(&osn, &h, p), -ENODATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_field),
	    cmocka_unit_test(every_truncation),
	    cmocka_unit_test(table),
	    cmocka_unit_test(rtx_original_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
