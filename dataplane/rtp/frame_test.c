#include "dataplane/rtp/layers.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum {
	S = DP_FRAME_START,
	K = DP_FRAME_START | DP_FRAME_KEY,
	E = DP_FRAME_END,
	Y = DP_FRAME_SYNC,
	L = DP_FRAME_SLICE
};

struct row {
	unsigned codec, want, len, dd_len;
	uint8_t p[24], dd[8];
};

static const struct row rows[] = {
    /* 0: VP8, RFC 7741 */
    {SH_CODEC_VP8, K, 4, 0, {0x10, 0x00, 0x9d, 0x01}},                   // no extension, P 0
    {SH_CODEC_VP8, S, 4, 0, {0x10, 0x01, 0x9d, 0x01}},                   // P 1
    {SH_CODEC_VP8, 0, 4, 0, {0x00, 0x00}},                               // S 0: continuation
    {SH_CODEC_VP8, 0, 4, 0, {0x11, 0x00}},                               // second partition
    {SH_CODEC_VP8, K, 4, 0, {0x90, 0x80, 0x11, 0x50}},                   // 7-bit PictureID
    {SH_CODEC_VP8, S, 5, 0, {0x90, 0x80, 0x91, 0x50, 0x51}},             // 15-bit PictureID
    {SH_CODEC_VP8, K, 7, 0, {0x90, 0xf0, 0x91, 0x51, 0x07, 0x20, 0x50}}, // I, L, T, K
    {SH_CODEC_VP8, K, 5, 0, {0x90, 0x10, 0x07, 0x50}},                   // K alone has the byte
    {SH_CODEC_VP8, 0, 6, 0, {0x90, 0xf0, 0x91, 0x51, 0x07, 0x20}},       // ends in the descriptor
    {SH_CODEC_VP8, 0, 1, 0, {0x90}},
    {SH_CODEC_VP8, 0, 2, 0, {0x90, 0x80}},
    {SH_CODEC_VP8, 0, 1, 0, {0x10}},
    {SH_CODEC_VP8, 0, 0, 0, {0}},
    /* 13: VP9, RFC 9628 */
    {SH_CODEC_VP9, K, 4, 0, {0x8c, 0x11}},                         // I B E, no layers
    {SH_CODEC_VP9, S, 4, 0, {0xcc, 0x11}},                         // P
    {SH_CODEC_VP9, 0, 4, 0, {0x84, 0x11}},                         // B 0
    {SH_CODEC_VP9, K, 6, 0, {0xaa, 0x91, 0x22, 0x00, 0x05, 0x18}}, // I L B V, SID 0, TL0PICIDX
    {SH_CODEC_VP9, S, 6, 0, {0xac, 0x91, 0x22, 0x03, 0x05, 0x18}}, // SID 1 of a key picture
    {SH_CODEC_VP9, S, 6, 0, {0xec, 0x91, 0x22, 0x00, 0x05, 0x18}}, // delta, SID 0
    {SH_CODEC_VP9, K, 5, 0, {0xbc, 0x91, 0x22, 0x00, 0x18}},       // flexible: no TL0PICIDX
    {SH_CODEC_VP9, S, 6, 0, {0xfc, 0x91, 0x22, 0x00, 0x02, 0x18}}, // flexible, P_DIFF
    {SH_CODEC_VP9, K, 3, 0, {0x28, 0x80, 0x00}},                   // no PictureID; TID 4
    {SH_CODEC_VP9, 0, 1, 0, {0x8c}},
    {SH_CODEC_VP9, 0, 2, 0, {0xac, 0x11}},
    {SH_CODEC_VP9, 0, 3, 0, {0xac, 0x11, 0x00}}, // TL0PICIDX missing
    /* 25: H264, RFC 6184 */
    {SH_CODEC_H264, K, 3, 0, {0x65, 0x88, 0x84}},       // IDR, first_mb 0
    {SH_CODEC_H264, 0, 3, 0, {0x65, 0x40, 0x84}},       // IDR, a later slice
    {SH_CODEC_H264, S, 3, 0, {0x41, 0x9a, 0x00}},       // slice
    {SH_CODEC_H264, 0, 3, 0, {0x41, 0x1a, 0x00}},       // later slice
    {SH_CODEC_H264, K, 4, 0, {0x67, 0x42, 0xc0, 0x1f}}, // SPS
    {SH_CODEC_H264, S, 2, 0, {0x68, 0xce}},             // PPS alone
    {SH_CODEC_H264, S, 2, 0, {0x09, 0x10}},             // delimiter
    {SH_CODEC_H264, K, 10, 0, {0x78, 0, 2, 0x67, 0x42, 0, 3, 0x68, 0xce, 0x3c}}, // STAP-A
    {SH_CODEC_H264, K, 10, 0, {0x78, 0, 2, 0x09, 0x10, 0, 3, 0x65, 0x88, 0x3c}},
    {SH_CODEC_H264, S, 10, 0, {0x78, 0, 2, 0x09, 0x10, 0, 3, 0x41, 0x9a, 0x3c}},
    {SH_CODEC_H264, S, 10, 0, {0x78, 0, 2, 0x09, 0x10, 0, 9, 0x65, 0x88, 0x3c}}, // second too long
    {SH_CODEC_H264, 0, 4, 0, {0x78, 0, 0, 0x65}},                                // empty unit
    {SH_CODEC_H264, 0, 2, 0, {0x78, 0}},
    {SH_CODEC_H264, K, 4, 0, {0x7c, 0x85, 0x88, 0x84}}, // FU-A start of an IDR
    {SH_CODEC_H264, 0, 4, 0, {0x7c, 0x05, 0x88, 0x84}}, // middle
    {SH_CODEC_H264, 0, 4, 0, {0x7c, 0x45, 0x88, 0x84}}, // end
    {SH_CODEC_H264, S, 4, 0, {0x7c, 0x81, 0x9a, 0x84}},
    {SH_CODEC_H264, 0, 2, 0, {0x7c, 0x85}},
    {SH_CODEC_H264, 0, 1, 0, {0x7c}},
    {SH_CODEC_H264, 0, 1, 0, {0x65}},
    /* 45: AV1 */
    {SH_CODEC_AV1, K, 3, 0, {0x18, 0x0a, 0x0b}}, // N
    {SH_CODEC_AV1, S, 3, 0, {0x10, 0x30, 0x20}}, // frame OBU, inter
    {SH_CODEC_AV1, 0, 3, 0, {0x90, 0x30, 0x20}}, // Z: continued
    {SH_CODEC_AV1,
     K,
     7,
     0,
     {0x20, 0x03, 0x08, 0x00, 0x00, 0x30, 0x00}}, // W 2: sequence header, key frame
    {SH_CODEC_AV1,
     S,
     7,
     0,
     {0x20, 0x03, 0x08, 0x00, 0x00, 0x30, 0x20}}, // repeated before an inter frame
    {SH_CODEC_AV1, S, 7, 0, {0x20, 0x03, 0x08, 0x00, 0x00, 0x30, 0x80}}, // shows an existing one
    {SH_CODEC_AV1,
     K,
     8,
     0,
     {0x00, 0x03, 0x08, 0x00, 0x00, 0x02, 0x30, 0x00}}, // W 0: all have lengths
    {SH_CODEC_AV1,
     K,
     9,
     0,
     {0x00, 0x03, 0x08, 0x00, 0x00, 0x03, 0x32, 0x01, 0x10}}, // with obu_size
    {SH_CODEC_AV1, K, 3, 0, {0x10, 0x08, 0x00}},              // sequence header alone
    {SH_CODEC_AV1, 0, 3, 0, {0x00, 0x7f, 0x08}},              // length past the end
    {SH_CODEC_AV1, 0, 4, 0, {0x00, 0xff, 0xff, 0xff}},        // endless leb128
    {SH_CODEC_AV1, 0, 1, 0, {0x00}},
    {SH_CODEC_AV1, S, 3, 3, {0x10, 0x30, 0x20}, {0x80, 0, 1}}, // DD before its structure is known
    {SH_CODEC_AV1, S, 3, 2, {0x10, 0x30, 0x20}, {0x80, 0}},    // too short to be one
    /* 59: others */
    {SH_CODEC_OPUS, K, 1, 0, {0}},
    {SH_CODEC_PCMU, K, 1, 0, {0}},
    {SH_CODEC_OPUS, 0, 0, 0, {0}},
    {SH_CODEC_RTX, 0, 5, 0, {0}},
    {SH_CODEC_NONE, 0, 5, 0, {0}},
};

static struct dp_frame_info read_exact(unsigned codec, const uint8_t *p, uint32_t len,
                                       const uint8_t *dd, uint32_t dd_len)
{
	uint8_t *a = malloc(len ? len : 1), *b = malloc(dd_len ? dd_len : 1);
	struct dp_dd state = {0};
	struct dp_frame_info f;
	struct dp_frame_sizes sizes;
	struct dp_frame_in in = {
	    .codec = codec,
	    .payload = a,
	    .len = len,
	    .dd = dd_len ? b : NULL,
	    .dd_len = dd_len,
	    .state = &state,
	    .newest = true,
	};

	memcpy(a, p, len);
	memcpy(b, dd, dd_len);
	dp_frame_read(&f, &in);
	dp_frame_sizes(&sizes, &in); // of anything: nothing is read past the end
	assert_true(f.tid < SH_MAX_TEMPORAL && f.sid < SH_MAX_LAYERS);
	free(a);
	free(b);
	return f;
}

static unsigned frame_exact(unsigned codec, const uint8_t *p, uint32_t len, const uint8_t *dd,
                            uint32_t dd_len)
{
	return read_exact(codec, p, len, dd, dd_len).flags & K;
}

static void table(void **state)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		unsigned got = frame_exact(r->codec, r->p, r->len, r->dd, r->dd_len);

		if (got != r->want)
			fail_msg("row %u: %u, not %u", i, got, r->want);
	}
}

/* A key frame cut anywhere is never read past its end, and KEY never comes without START. */
static void truncated(void **state)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (uint32_t len = 0; len < rows[i].len; len++)
			assert_int_not_equal(
			    frame_exact(rows[i].codec, rows[i].p, len, rows[i].dd, rows[i].dd_len),
			    DP_FRAME_KEY);
}

/* Layers and ids: what a payload says of its frame. */
struct layers_row {
	uint32_t len;
	uint8_t p[24];
	struct dp_frame_info want;
};

static void layers(unsigned codec, const struct layers_row *row, size_t n)
{
	static const uint8_t none[1];

	for (size_t i = 0; i < n; i++) {
		const struct dp_frame_info *w = &row[i].want;
		struct dp_frame_info f = read_exact(codec, row[i].p, row[i].len, none, 0);

		if (f.flags != w->flags || f.sid != w->sid || f.tid != w->tid ||
		    f.need != w->need || f.up != w->up)
			fail_msg("row %zu: %#x %u %u %#x %#x", i, f.flags, f.sid, f.tid, f.need,
			         f.up);
		if (f.ids.has != w->ids.has || f.ids.pid != w->ids.pid || f.ids.tl0 != w->ids.tl0 ||
		    f.ids.keyidx != w->ids.keyidx)
			fail_msg("row %zu: ids %#x %#x %u %u", i, f.ids.has, f.ids.pid, f.ids.tl0,
			         f.ids.keyidx);
	}
}

static void layers_of_vp8(void **state)
{
	static const struct layers_row row[] = {
	    {7,
	     {0x90, 0xf0, 0x91, 0x51, 0x07, 0xa3, 0x51},
	     {.flags = S | Y,
	      .tid = 2,
	      .need = 7,
	      .ids.has = DP_IDS_VP8 | DP_IDS_PID15 | DP_IDS_TL0 | DP_IDS_KEYIDX,
	      .ids.pid = 0x1151,
	      .ids.tl0 = 7,
	      .ids.keyidx = 3}},
	    {4,
	     {0x80, 0x80, 0x11, 0x51},
	     {.need = 7, .ids.has = DP_IDS_VP8 | DP_IDS_PID, .ids.pid = 0x11}},
	    {5, {0x90, 0x20, 0x40, 0x51}, {.flags = S, .tid = 1, .need = 7, .ids.has = DP_IDS_VP8}},
	};

	layers(SH_CODEC_VP8, row, sizeof(row) / sizeof(row[0]));
}

static void layers_of_vp9(void **state)
{
	static const struct layers_row row[] = {
	    // TID 2, U, SID 2, D
	    {6,
	     {0xec, 0x91, 0x22, 0x55, 0x05, 0x18},
	     {.flags = S | E,
	      .sid = 2,
	      .tid = 2,
	      .need = 4,
	      .up = 0xfff,
	      .ids.has = DP_IDS_VP9 | DP_IDS_PID15 | DP_IDS_TL0,
	      .ids.pid = 0x1122,
	      .ids.tl0 = 5}},
	    // upper layers need it
	    {6,
	     {0xe8, 0x91, 0x22, 0x23, 0x05, 0x18},
	     {.flags = S,
	      .sid = 1,
	      .tid = 1,
	      .need = 6,
	      .ids.has = DP_IDS_VP9 | DP_IDS_PID15 | DP_IDS_TL0,
	      .ids.pid = 0x1122,
	      .ids.tl0 = 5}},
	    // Z: they don't
	    {6,
	     {0xe9, 0x91, 0x22, 0x23, 0x05, 0x18},
	     {.flags = S,
	      .sid = 1,
	      .tid = 1,
	      .need = 2,
	      .ids.has = DP_IDS_VP9 | DP_IDS_PID15 | DP_IDS_TL0,
	      .ids.pid = 0x1122,
	      .ids.tl0 = 5}},
	    // flexible
	    {5,
	     {0xfc, 0x11, 0x20, 0x02, 0x18},
	     {.flags = S | E,
	      .tid = 1,
	      .need = 7,
	      .ids.has = DP_IDS_VP9 | DP_IDS_PID,
	      .ids.pid = 0x11}},
	    // P_DIFF cut off
	    {4, {0xfc, 0x11, 0x20, 0x03}, {.need = 7}},
	    {3,
	     {0x8c, 0x11, 0x00},
	     {.flags = K | E, .need = 7, .ids.has = DP_IDS_VP9 | DP_IDS_PID, .ids.pid = 0x11}},
	};

	layers(SH_CODEC_VP9, row, sizeof(row) / sizeof(row[0]));
}

static void layers_of_h264(void **state)
{
	static const struct layers_row row[] = {
	    {3, {0x41, 0x9a, 0x00}, {.flags = S | L, .need = 7, .up = 0xfff}},
	    // nal_ref_idc 0
	    {3, {0x01, 0x9a, 0x00}, {.flags = S | L, .tid = 1, .need = 7}},
	    // FU-A, its end
	    {4, {0x1c, 0x41, 0x9a, 0x00}, {.flags = L, .tid = 1, .need = 7}},
	    // prefix: temporal_id 2
	    {12,
	     {0x78, 0, 4, 0x6e, 0xc0, 0x80, 0x47, 0, 3, 0x41, 0x9a, 0},
	     {.flags = S | L, .tid = 2, .need = 7}},
	};

	layers(SH_CODEC_H264, row, sizeof(row) / sizeof(row[0]));
}

static void layers_of_av1(void **state)
{
	static const struct layers_row row[] = {
	    {3, {0x18, 0x0a, 0x0b}, {.flags = K, .need = 7, .up = 0xfff}},
	    // an inter frame with an extension: temporal_id 2, spatial_id 1; 0; 7, cut
	    {4, {0x10, 0x34, 0x48, 0x20}, {.flags = S | L, .tid = 2, .need = 7}},
	    {4, {0x10, 0x34, 0x00, 0x20}, {.flags = S | L, .need = 7, .up = 0xfff}},
	    {4, {0x10, 0x34, 0xe0, 0x20}, {.flags = S | L, .tid = 3, .need = 7}},
	    // behind a padding OBU without one; behind the rest of another
	    {7, {0x20, 0x02, 0x78, 0x00, 0x34, 0x20, 0x20}, {.flags = S | L, .tid = 1, .need = 7}},
	    {7, {0xa0, 0x02, 0x34, 0x40, 0x34, 0x20, 0x20}, {.flags = L, .tid = 1, .need = 7}},
	    // nothing but the rest; the extension is cut off
	    {4, {0x90, 0x34, 0x40, 0x20}, {.need = 7, .up = 0xfff}},
	    {2, {0x10, 0x34}, {.flags = S, .need = 7, .up = 0xfff}},
	};

	layers(SH_CODEC_AV1, row, sizeof(row) / sizeof(row[0]));
}

/* One SPS of the high profile, one of the constrained baseline, cropped. */
static void sizes(void **state)
{
	static const struct {
		unsigned codec, len, n, width, height;
		uint8_t p[40];
	} t[] = {
	    {SH_CODEC_VP8,
	     14,
	     1,
	     640,
	     360,
	     {0x90, 0x80, 0x11, 0x50, 0, 0, 0x9d, 1, 0x2a, 0x80, 0x42, 0x68, 1}},
	    {SH_CODEC_VP8,
	     14,
	     0,
	     0,
	     0,
	     {0x90, 0x80, 0x11, 0x50, 0, 0, 0x9d, 1, 0x2b, 0x80, 0x42, 0x68, 1}},
	    {SH_CODEC_VP8, 10, 0, 0, 0, {0x90, 0x80, 0x11, 0x50, 0, 0, 0x9d, 1, 0x2a, 0x80}},
	    {SH_CODEC_VP9,
	     16,
	     2,
	     640,
	     360,
	     {0xaa, 0x91, 0x22, 0x00, 0x05, 0x30, 1, 0x40, 0, 180, 2, 0x80, 1, 0x68, 0x18, 0}},
	    {SH_CODEC_VP9,
	     12,
	     0,
	     0,
	     0,
	     {0xaa, 0x91, 0x22, 0x00, 0x05, 0x30, 1, 0x40, 0, 180, 2, 0x80}},
	    {SH_CODEC_H264, 23, 1, 640, 360, {0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0,
	                                      0x2f, 0xf9, 0x70, 0x11, 0,    0,    3,    0,
	                                      1,    0,    0,    3,    0,    0x32, 0x0f}},
	    {SH_CODEC_H264,
	     16,
	     1,
	     1920,
	     1080,
	     {0x67, 0x42, 0xc0, 0x28, 0xda, 0x01, 0xe0, 0x08, 0x9f, 0x96, 0x10, 0, 0, 3, 0, 0x10}},
	    {SH_CODEC_H264, 4, 0, 0, 0, {0x67, 0x42, 0xc0, 0x1f}},
	    {SH_CODEC_AV1,
	     9,
	     1,
	     640,
	     360, // W 1: sequence header, 10 and 9 bits of size
	     {0x18, 0x08, 0x00, 0x00, 0x00, 0x24, 0xc4, 0xff, 0x67}},
	};

	for (unsigned k = 0; k < 2 * sizeof(t) / sizeof(t[0]); k++) {
		unsigned i = k / 2;
		struct dp_frame_sizes s;
		struct dp_frame_in in = {.codec = t[i].codec, .payload = t[i].p, .len = t[i].len};
		struct dp_dd structure = {.templates = 1}; // without sizes, as Chromium's of H.264

		if (k & 1) {
			in.dd = t[i].p;
			in.state = &structure;
		}
		dp_frame_sizes(&s, &in);
		if (s.n != t[i].n ||
		    (s.n && (s.width[s.n - 1] != t[i].width || s.height[s.n - 1] != t[i].height)))
			fail_msg("row %u: %u, %ux%u", i, s.n, s.width[0], s.height[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table),          cmocka_unit_test(truncated),
	    cmocka_unit_test(layers_of_vp8),  cmocka_unit_test(layers_of_vp9),
	    cmocka_unit_test(layers_of_h264), cmocka_unit_test(layers_of_av1),
	    cmocka_unit_test(sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
