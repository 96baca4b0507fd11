#include "dataplane/rtp/layers.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct {
	unsigned codec, len;
	uint8_t in[8], out[8];
} rows[] = {
    // pid + 5, tl0 + 3, keyidx + 2
    {SH_CODEC_VP8,
     7,
     {0x90, 0xf0, 0xff, 0xfe, 0xfe, 0x7f, 0x11},
     {0x90, 0xf0, 0x80, 0x03, 0x01, 0x61, 0x11}},
    {SH_CODEC_VP8, 4, {0x90, 0x80, 0x7e, 0x11}, {0x90, 0x80, 0x03, 0x11}},
    {SH_CODEC_VP8, 5, {0x90, 0x60, 0x10, 0x40, 0x11}, {0x90, 0x60, 0x13, 0x40, 0x11}},
    {SH_CODEC_VP8, 4, {0x90, 0x10, 0xdf, 0x11}, {0x90, 0x10, 0xc1, 0x11}},
    {SH_CODEC_VP8, 2, {0x10, 0x11}, {0x10, 0x11}},
    {SH_CODEC_VP9, 6, {0xac, 0x81, 0x22, 0x00, 0x05, 0x18}, {0xac, 0x81, 0x27, 0x00, 0x08, 0x18}},
    {SH_CODEC_VP9, 5, {0xbc, 0x7e, 0x00, 0x05, 0x18}, {0xbc, 0x03, 0x00, 0x05, 0x18}}, // flexible
    {SH_CODEC_VP9, 4, {0x2c, 0x00, 0xff, 0x18}, {0x2c, 0x00, 0x02, 0x18}},
    {SH_CODEC_H264, 4, {0xac, 0x00, 0xff, 0x18}, {0xac, 0x00, 0xff, 0x18}},
};

static void patches(void **state)
{
	const struct dp_ids d = {.pid = 5, .tl0 = 3, .keyidx = 2};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (unsigned len = 0; len <= rows[i].len; len++) { // never beyond a cut one's end
			uint8_t *p = malloc(len ? len : 1);
			struct dp_frame_in in = {.codec = rows[i].codec, .payload = p, .len = len};
			struct dp_frame_info f;

			memcpy(p, rows[i].in, len);
			dp_frame_read(&f, &in);
			dp_ids_patch(p, len, f.ids.has, &d);
			if (len == rows[i].len)
				assert_memory_equal(p, rows[i].out, len);
			free(p);
		}
	}
}

static void follows(void **state)
{
	struct dp_ids last = {.pid = 0x7fff, .frame = 65535, .tl0 = 255, .keyidx = 31, .has = 0xff};
	struct dp_ids first = {.pid = 100, .frame = 7, .tl0 = 9, .keyidx = 3, .has = 0xff};
	struct dp_ids d = dp_ids_follow(&last, &first);

	assert_int_equal((first.pid + d.pid) & 0x7fff, 0);
	assert_int_equal((uint16_t)(first.frame + d.frame), 0);
	assert_int_equal((uint8_t)(first.tl0 + d.tl0), 0);
	assert_int_equal((first.keyidx + d.keyidx) & 31, 0);
	last.has = DP_IDS_DD;
	d = dp_ids_follow(&last, &first);
	assert_int_equal(d.pid | d.tl0 | d.keyidx, 0);
	assert_int_not_equal(d.frame, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(patches), cmocka_unit_test(follows)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
