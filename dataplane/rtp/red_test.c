#include "dataplane/rtp/red.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Payloads, in copies of their own so that a read past the end is seen. */
static const struct {
	const char *what;
	uint32_t len;
	uint8_t p[24];
	int err;
	struct dp_red out;
} rows[] = {
    {"primary alone", 4, {111, 1, 2, 3}, 0, {1, 3, 111, 0}},
    {"nothing in it", 1, {111}, 0, {1, 0, 111, 0}},
    {"payload type 0", 2, {0, 9}, 0, {1, 1, 0, 0}},
    {"one before it", 10, {0xef, 0x0f, 0x00, 0x02, 111, 7, 7, 1, 2, 3}, 0, {7, 3, 111, 1}},
    {"an empty one before it", 6, {0xef, 0x0f, 0x00, 0x00, 111, 1}, 0, {5, 1, 111, 1}},
    {"two before it, of another type",
     14,
     {0x80, 0x1e, 0x00, 0x02, 0xef, 0x0f, 0x00, 0x01, 111, 5, 5, 7, 1, 2},
     0,
     {12, 2, 111, 2}},
    // the offset's low bits are no part of the length
    {"longest offset", 6, {0xef, 0xff, 0xfc, 0x00, 111, 1}, 0, {5, 1, 111, 1}},
    {"blocks up to the end", 7, {0xef, 0x0f, 0x00, 0x02, 111, 7, 7}, 0, {7, 0, 111, 1}},
    {"empty", 0, {0}, -EBADMSG, {0}},
    {"half a header", 1, {0xef}, -EBADMSG, {0}},
    {"nearly a header", 3, {0xef, 0x0f, 0x00}, -EBADMSG, {0}},
    {"no last header", 4, {0xef, 0x0f, 0x00, 0x00}, -EBADMSG, {0}},
    {"headers only", 8, {0xef, 0, 0, 0, 0xef, 0, 0, 0}, -EBADMSG, {0}},
    {"a block one byte too long", 7, {0xef, 0x0f, 0x00, 0x03, 111, 7, 7}, -EBADMSG, {0}},
    {"the longest in a short packet", 7, {0xef, 0x0f, 0x03, 0xff, 111, 7, 7}, -EBADMSG, {0}},
    {"together too long", 13, {0xef, 0, 0, 2, 0xef, 0, 0, 3, 111, 7, 7, 7, 7}, -EBADMSG, {0}},
};

static void finds(void **state)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t *p = malloc(rows[i].len ? rows[i].len : 1);
		struct dp_red r, before = {1, 2, 3, 4};

		memcpy(p, rows[i].p, rows[i].len);
		r = before;
		if (dp_red_parse(&r, p, rows[i].len) != rows[i].err)
			fail_msg("%s", rows[i].what);
		if (memcmp(&r, rows[i].err ? &before : &rows[i].out, sizeof(r)))
			fail_msg("%s: %u %u %u %u", rows[i].what, r.off, r.len, r.pt, r.redundant);
		free(p);
	}
}

/* All that 16 bits can say, filled with headers, with one block too many, and with the longest. */
static void long_ones(void **state)
{
	static uint8_t p[65536];
	struct dp_red r;

	for (uint32_t i = 0; i < sizeof(p); i += 4)
		memcpy(p + i, (const uint8_t[]){0xef, 0x0f, 0x00, 0x00}, 4);
	assert_int_equal(dp_red_parse(&r, p, 65535), -EBADMSG);
	assert_int_equal(dp_red_parse(&r, p, 65536), -EBADMSG);
	p[4 * 1000] = 111;
	assert_int_equal(dp_red_parse(&r, p, 65535), 0);
	assert_int_equal(r.off, 4001);
	assert_int_equal(r.len, 65535 - 4001);
	assert_int_equal(r.redundant, 255);
	for (uint32_t i = 0; i < 1000; i++) { // 1,023,000 bytes of them
		p[4 * i + 2] = 0x03;
		p[4 * i + 3] = 0xff;
	}
	assert_int_equal(dp_red_parse(&r, p, 65535), -EBADMSG);
	memset(p, 0xff, sizeof(p));
	for (uint32_t len = 0; len < 3000; len++)
		assert_int_equal(dp_red_parse(&r, p, len), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(finds), cmocka_unit_test(long_ones)};

	return cmocka_run_group_tests_name("red", tests, NULL, NULL);
}
