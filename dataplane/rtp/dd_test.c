#include "dataplane/rtp/layers.h"
#include "dataplane/rtp/dd_make.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct dp_frame_info f;
static struct dp_dd state;
static struct dp_dd_targets targets;

static int read_exact(const uint8_t *p, unsigned len, bool newest)
{
	uint8_t *copy = malloc(len ? len : 1);
	int err;

	memcpy(copy, p, len);
	memset(&f, 0, sizeof(f));
	err = dp_dd_read(&f, &(struct dp_frame_in){.dd = copy,
	                                           .dd_len = len,
	                                           .state = &state,
	                                           .targets = &targets,
	                                           .index = 7,
	                                           .newest = newest});
	free(copy);
	return err;
}

static int read_frame(const struct dd_shape *s, const struct dd_frame *d)
{
	uint8_t buf[256];

	return read_exact(buf, dd_make(buf, s, d), true);
}

/* By hand, a bit at a time: one spatial layer, two temporal ones, the sizes with it. */
static void by_hand(void **state_)
{
	static const uint8_t key[] = {
	    0xc5, 0x12, 0x34, // start, end, template 5, frame 0x1234
	    0x80,             // structure; offset 5 begins: 000|101
	    0,    0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0,
	};
	/* 1 0 0 0 0 | 000101 | 00001 | layers: 01 11 | dtis: 10 10, 00 01 | fdiffs: 1 0001 0, 1
	 * 0000 0 | chains ns(3) = 1: "10" - m = 1, w = 2: value 1 → 2 bits "10" | protected by
	 * ns(1): none | chain fdiffs 0010 0001 | resolutions 1 | 639 16 bits | 359 16 bits */
	static const char bits[] = "10000"
	                           "000101"
	                           "00001"
	                           "0111"
	                           "10100001"
	                           "100010"
	                           "100000"
	                           "10"
	                           "00100001"
	                           "1"
	                           "0000001001111111"
	                           "0000000101100111";
	uint8_t buf[32];
	unsigned n = 24;

	memset(buf, 0, sizeof(buf));
	memcpy(buf, key, 3);
	for (const char *c = bits; *c; c++, n++)
		if (*c == '1')
			buf[n >> 3] |= (uint8_t)(0x80 >> (n & 7));
	memset(&state, 0, sizeof(state));
	assert_int_equal(read_exact(buf, (n + 7) / 8, true), 0);
	assert_int_equal(f.flags, DP_FRAME_START | DP_FRAME_END | DP_FRAME_KEY);
	assert_int_equal(f.ids.frame, 0x1234);
	assert_int_equal(f.ids.has, DP_IDS_DD);
	assert_int_equal(f.need, 1);
	assert_int_equal(f.up, DP_UP(0, 0) | DP_UP(0, 1));
	assert_int_equal(f.spatial, 1);
	assert_int_equal(state.templates, 2);
	assert_int_equal(state.chains, 1);
	assert_int_equal(state.sizes.n, 1);
	assert_int_equal(state.sizes.width[0], 640);
	assert_int_equal(state.sizes.height[0], 360);
	for (unsigned cut = 0; cut < (n + 7) / 8; cut++) { // never a part of it
		struct dp_dd before = state;
		int err = read_exact(buf, cut, true);

		assert_int_equal(err,
		                 cut == 3 ? 0 : -EBADMSG); // three bytes refer to what is known
		assert_memory_equal(&before, &state, sizeof(state));
	}
	buf[0] = 0x46; // template 6: its second; end of a frame
	assert_int_equal(read_exact(buf, 3, true), 0);
	assert_int_equal(f.flags, DP_FRAME_END);
	assert_int_equal(f.tid, 1);
	assert_int_equal(f.up, 0);
	buf[0] = 0xc7; // template 7: not there
	assert_int_equal(read_exact(buf, 3, true), -EBADMSG);
	memset(&state, 0, sizeof(state));
	buf[0] = 0xc5;
	assert_int_equal(read_exact(buf, 3, true), -ENOENT);
	// extended flags alone: the same layer, another indication: custom_dtis, not present for
	// both
	memset(&state, 0, sizeof(state));
	memcpy(buf, key, 3);
	assert_int_equal(read_exact(buf, (n + 7) / 8, true), 0);
	assert_int_equal(read_exact((const uint8_t[]){0xc5, 0, 1, 0x20, 0x00}, 5, true), 0);
	assert_int_equal(f.need, 0);
	assert_int_equal(read_exact((const uint8_t[]){0xc5, 0, 1, 0x20}, 4, true), -EBADMSG);
}

static void shapes(void **state_)
{
	for (unsigned k = 0; k < 18; k++) {
		struct dd_shape s = {.spatial = 1 + k % 3,
		                     .temporal = 1 + k / 3 % 3,
		                     .full = k / 9,
		                     .offset = 60,
		                     .width = 640,
		                     .height = 360};

		memset(&state, 0, sizeof(state));
		assert_int_equal(read_frame(&s, &(struct dd_frame){.start = true}), -ENOENT);
		for (unsigned sid = 0; sid < s.spatial; sid++) {
			assert_int_equal(read_frame(&s, &(struct dd_frame){.sid = sid,
			                                                   .key = true,
			                                                   .start = true,
			                                                   .number = sid}),
			                 0);
			assert_int_equal(f.flags,
			                 sid ? DP_FRAME_START : DP_FRAME_START | DP_FRAME_KEY);
			assert_int_equal(f.sid, sid);
			assert_int_equal(f.tid, 0);
			assert_int_equal(f.need, ((1u << s.spatial) - 1) & ~((1u << sid) - 1));
			assert_int_equal(state.sizes.width[sid], 640 >> (s.spatial - 1 - sid));
		}
		for (unsigned sid = 0; sid < s.spatial; sid++) {
			for (unsigned tid = 0; tid < s.temporal; tid++) {
				struct dd_frame d = {.sid = sid,
				                     .tid = tid,
				                     .start = true,
				                     .end = true,
				                     .number = 99};

				assert_int_equal(read_frame(&s, &d), 0);
				assert_int_equal(f.sid, sid);
				assert_int_equal(f.tid, tid);
				assert_int_equal(f.need, s.full ? ((1u << s.spatial) - 1) &
				                                      ~((1u << sid) - 1)
				                                : 1u << sid);
				for (unsigned t = 0; t < s.temporal; t++)
					assert_int_equal(!!(f.up & DP_UP(sid, t)), !tid);
				assert_int_equal(f.spatial, (1u << s.spatial) - 1);
				assert_int_equal(f.ids.frame, 99);
			}
		}
		// the highest spatial layer is switched off, by a packet of any layer
		assert_int_equal(
		    read_frame(&s,
		               &(struct dd_frame){.start = true, .active = (1u << s.temporal) - 1}),
		    0);
		assert_int_equal(f.spatial, 1);
		assert_int_equal(read_frame(&s, &(struct dd_frame){.start = true}), 0);
		assert_int_equal(f.spatial, 1);
	}
}

/* Which targets there are for whom, and that he can be told. */
static void tell(void **state_)
{
	for (unsigned k = 0; k < 18; k++) {
		struct dd_shape s = {.spatial = 1 + k % 3,
		                     .temporal = 1 + k / 3 % 3,
		                     .full = k / 9,
		                     .offset = 60,
		                     .width = k & 1 ? 640 : 0,
		                     .height = 360};
		uint32_t all = (1u << s.spatial * s.temporal) - 1;

		memset(&state, 0, sizeof(state));
		for (unsigned how = 0; how < 5; how++) { // structure, bitmask
			struct dd_frame d = {.key = how < 2,
			                     .start = true,
			                     .end = true,
			                     .active = how & 1 ? all & 0x155 : 0,
			                     .number = 77};
			uint8_t buf[256], out[256 + DP_DD_GROWS];
			unsigned n = dd_make(buf, &s, &d);
			struct dp_dd_targets was;
			struct dp_frame_info first;

			assert_int_equal(read_exact(buf, n, true), 0);
			was = targets;
			first = f;
			assert_int_equal(was.n, s.spatial * s.temporal);
			assert_int_equal(was.structure, how < 2);
			assert_int_equal(was.told, how & 1);
			if (!how)
				assert_int_equal(was.active, all);
			for (unsigned q = 0; how == 4 && q < s.spatial; q++)
				for (unsigned t = 0; t < s.temporal; t++) {
					unsigned left = 0;

					for (unsigned g = 0; g < was.n; g++)
						if (g % s.temporal <= t &&
						    (s.full || s.spatial == 1
						         ? g / s.temporal <= q
						         : g / s.temporal == q))
							left |= 1u << g;
					assert_int_equal(dp_dd_left(&was, q, t) & all,
					                 left & was.active);
				}
			n = dp_dd_tell(out, buf, n, &was, all & 0x0aa);
			assert_int_equal(read_exact(out, n, true), 0);
			assert_true(targets.told);
			assert_int_equal(targets.structure, was.structure);
			assert_int_equal(targets.active, all & 0x0aa);
			assert_int_equal(targets.at, was.at);
			assert_int_equal(f.flags, first.flags);
			assert_int_equal(f.need, first.need);
			assert_int_equal(f.up, first.up);
			assert_int_equal(f.ids.frame, 77);
			n = dp_dd_tell(buf, out, n, &targets, was.active); // and back
			assert_int_equal(read_exact(buf, n, true), 0);
			assert_int_equal(targets.active, was.active);
		}
	}
}

/* What stands behind the bitmask moves by its bits: 0 1 0 1 0 with a bitmask of four, and a frame
 * diff: 01 0001, 00. */
static void tell_custom(void **state_)
{
	static const uint8_t custom[] = {0x81, 0, 5, 0x11, 0x10}, // 00010|01 0001 00, padding
	    told[] = {0x81, 0, 5, 0x52, 0x88};                    // 01010|0101|…
	struct dp_dd_targets k = {.n = 4, .at = 29};
	uint8_t out[5 + DP_DD_GROWS];
	uint32_t n = dp_dd_tell(out, custom, 5, &k, 5);

	assert_int_equal(n, 6);
	assert_int_equal(out[3], 0x52);
	assert_int_equal(out[4] >> 7, 1);
	// five flags, four bits, then the eleven bits that stood at 29
	for (unsigned i = 0; i < 11; i++)
		assert_int_equal(out[(33 + i) >> 3] >> (7 - ((33 + i) & 7)) & 1,
		                 custom[(29 + i) >> 3] >> (7 - ((29 + i) & 7)) & 1);
	// what is there already is replaced: nothing moves
	k.told = true;
	memcpy(out, told, 5);
	n = dp_dd_tell(out, told, 5, &k, 5);
	assert_int_equal(n, 5);
	assert_memory_equal(out, told, 5);
}

/* A structure that comes late (RTX) does not replace a newer one. */
static void late_structure(void **state_)
{
	struct dd_shape a = {.spatial = 1, .temporal = 3}, b = {.spatial = 3, .temporal = 1};
	uint8_t buf[256];
	unsigned n;

	memset(&state, 0, sizeof(state));
	assert_int_equal(read_frame(&b, &(struct dd_frame){.key = true, .start = true}), 0);
	n = dd_make(buf, &a, &(struct dd_frame){.key = true, .start = true});
	assert_int_equal(read_exact(buf, n, false), 0);
	assert_int_equal(f.spatial, 1); // as it says itself
	assert_int_equal(state.targets, 3);
	assert_int_equal(read_frame(&b, &(struct dd_frame){.sid = 2, .start = true}), 0);
	assert_int_equal(f.sid, 2);
}

/* What is beyond our limits is cut to them, and a chain of layers without end refused. */
static void limits(void **state_)
{
	uint8_t buf[200] = {0x80, 0, 0, 0x80};
	unsigned n = 24 + 5 + 6 + 5;

	memset(&state, 0, sizeof(state));
	assert_int_equal(read_exact(buf, sizeof(buf), true), -EBADMSG); // next_layer_idc 0 for ever
	for (unsigned i = 0; i < 8; i++, n += 2) // eight templates, each a spatial layer higher
		buf[n >> 3] |= (uint8_t)((i < 7 ? 0x80 : 0xc0) >> (n & 7));
	assert_int_equal(read_exact(buf, sizeof(buf), true), 0);
	assert_int_equal(state.templates, 8);
	buf[0] = 0x87;
	assert_int_equal(read_exact(buf, 3, true), 0);
	assert_int_equal(f.sid, SH_MAX_LAYERS - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(by_hand),        cmocka_unit_test(shapes),
	    cmocka_unit_test(tell),           cmocka_unit_test(tell_custom),
	    cmocka_unit_test(late_structure), cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
