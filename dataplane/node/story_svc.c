/* Layers of one stream: VP9's and AV1's spatial and temporal ones, and what Dependency Descriptors
 * or NAL units say of others. As in story_layers.c: numbers without a hole, and a start where a
 * decoder can. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include "dataplane/node/feed.h"
#include "dataplane/rtp/dd_make.h"

/* ---- VP9, three spatial and three temporal layers, inter-layer prediction on key pictures only
 * ---- */

static void vp9_picture(struct feed *f, unsigned tid, bool key, unsigned top)
{
	feed_time(f);
	f->pid = (f->pid + 1) & 0x7fff;
	f->tl0 += !tid;
	for (unsigned sid = 0; sid <= top; sid++) {
		for (unsigned part = 0; part < 2; part++) {
			uint8_t b[LEN] = {0xa0}; // I, L

			b[0] |= (uint8_t)(key ? 0 : 0x40);     // P
			b[0] |= part ? 0x04 : 0x08;            // B, E
			b[0] |= !key || sid == top ? 0x01 : 0; // Z
			dp_put16(b + 1, 0x8000 | f->pid);
			b[3] = (uint8_t)(tid << 5 | (tid ? 0 : 0x10) | sid << 1 | (key && sid));
			b[4] = f->tl0;
			if (key && !sid && !part) {
				b[0] |= 2;                         // V
				b[5] = (uint8_t)(top << 5 | 0x10); // N_S, Y
				for (unsigned k = 0; k <= top; k++) {
					dp_put16(b + 6 + 4 * k, (uint16_t)(160 << k));
					dp_put16(b + 8 + 4 * k, (uint16_t)(90 << k));
				}
			}
			dp_put16(b + 20, f->number);
			feed_payload(f, b, LEN, NULL, 0, part && sid == top);
		}
	}
	world_run(33);
}

/* Pictures of a subscriber at (spatial, temporal): packets, ends and marks are theirs. */
static void check_svc(struct row *r, unsigned codec, unsigned sid)
{
	struct seen s;

	for (; feed_take(&s, codec); r->last = s, r->any = true) {
		bool end = s.f.flags & DP_FRAME_END;

		assert_true(s.f.sid <= sid);
		assert_int_equal(s.o.hdr.marker, end && s.f.sid == sid); // closes its picture
		if (r->any)
			assert_int_equal(s.o.hdr.seq, (uint16_t)(r->last.o.hdr.seq + 1));
		r->packets++;
		r->pictures += !r->any || s.o.hdr.ts != r->last.o.hdr.ts;
		r->marks += s.o.hdr.marker;
	}
}

static void vp9_svc(void **state)
{
	static const uint8_t tids[] = {0, 2, 1, 2};
	const struct sh_track *t = &dp_slabs.track[TRACK];
	struct row r = {0};
	struct feed f;
	uint16_t pid;

	feed_begin(SH_CODEC_VP9, 1, &f);
	vp9_picture(&f, 0, true, 2);
	for (unsigned i = 1; i < 40; i++)
		vp9_picture(&f, tids[i % 4], false, 2);
	t = &dp_slabs.track[TRACK];
	assert_int_equal(t->spatial, 3);
	assert_int_equal(t->temporal, 3);
	assert_int_equal(t->height[0], 90);
	assert_int_equal(t->width[2], 640);
	check_svc(&r, SH_CODEC_VP9, 2);
	assert_int_equal(r.pictures, 40);
	assert_int_equal(r.packets, 6 + 39 * 2); // of other pictures the highest layer only
	assert_int_equal(r.marks, 40);
	for (unsigned q = 0; q < 3; q++)
		for (unsigned k = 0; k < 3; k++) // 15 or 7.5 pictures a second, two packets each
			assert_in_range(t->rate_bps[q][k], 2 * 7 * 8 * (LEN + 12),
			                2 * 20 * 8 * (LEN + 12));
	assert_int_equal(t->rate_bps[0][3], 0);
	// temporal down and up, no key frame
	r = (struct row){0};
	feed_want(2, 0);
	for (unsigned i = 0; i < 8; i++)
		vp9_picture(&f, tids[i % 4], false, 2);
	check_svc(&r, SH_CODEC_VP9, 2);
	assert_int_equal(r.pictures, 2);
	feed_want(2, 3);
	for (unsigned i = 0; i < 8; i++)
		vp9_picture(&f, tids[i % 4], false, 2);
	check_svc(&r, SH_CODEC_VP9, 2);
	assert_int_equal(r.pictures, 10);
	assert_int_equal(feed_plis(0), 0);
	pid = r.last.f.ids.pid;
	assert_int_equal(pid, f.pid); // positions in the structure stay
	// spatial down: lower layers were left out, so at the key picture that is asked for
	feed_want(0, 3);
	for (unsigned i = 0; i < 4; i++)
		vp9_picture(&f, tids[i % 4], false, 2);
	check_svc(&r, SH_CODEC_VP9, 2);
	assert_int_equal(r.pictures, 14);
	assert_int_equal(feed_plis(0), 1);
	vp9_picture(&f, 0, true, 2);
	for (unsigned i = 1; i < 4; i++)
		vp9_picture(&f, tids[i % 4], false, 2);
	check_svc(&r, SH_CODEC_VP9, 0);
	assert_int_equal(r.pictures, 18);
	feed_same_again(&r.last.o);
	assert_int_equal(r.last.o.hdr.marker, 1);
	// and up again
	feed_want(1, 3);
	vp9_picture(&f, 0, false, 2);
	check_svc(&r, SH_CODEC_VP9, 0);
	vp9_picture(&f, 0, true, 2);
	vp9_picture(&f, 2, false, 2);
	check_svc(&r, SH_CODEC_VP9, 1);
	assert_int_equal(r.pictures, 21);
	feed_same_again(&r.last.o);
	// the publisher stops its higher layers; what is sent ends with a marker all the same
	feed_want(2, 3);
	vp9_picture(&f, 0, true, 2);
	check_svc(&r, SH_CODEC_VP9, 2);
	for (unsigned i = 0; i < 12; i++)
		vp9_picture(&f, 0, false, 0);
	world_run(400);
	vp9_picture(&f, 0, true, 0);
	vp9_picture(&f, 0, false, 0);
	r = (struct row){0};
	check_svc(&r, SH_CODEC_VP9, 0);
	assert_int_equal(r.pictures, 2);
	assert_int_equal(t->spatial, 1);
	feed_end();
}

/* Who is shown it in small is not sent more. */
static void wanted_height(void **state)
{
	struct sh_msg_sub_set s = video_sub;
	struct row r = {0};
	struct feed f;

	feed_begin(SH_CODEC_VP9, 1, &f);
	s.max_temporal = 3;
	s.want_height = 100;
	world_sub(SUB, TRACK, &feed_pair.sub, &s);
	vp9_picture(&f, 0, true, 2); // brings the sizes
	vp9_picture(&f, 0, false, 2);
	check_svc(&r, SH_CODEC_VP9, dp_slabs.sub[SUB].layer);
	assert_int_equal(dp_slabs.sub[SUB].layer, 1);
	s.want_height = 90;
	world_sub(SUB, TRACK, &feed_pair.sub, &s);
	vp9_picture(&f, 0, true, 2);
	assert_int_equal(dp_slabs.sub[SUB].layer, 0);
	feed_end();
}

/* ---- AV1 and others by Dependency Descriptor; the payload is noise ---- */

/* Without a descriptor the OBUs tell, in the first packet of a unit only. part: 1: its first
 * packet, 2: its second. */
static void obu_part(struct feed *f, unsigned tid, bool key, unsigned part)
{
	uint8_t b[LEN] = {0x50, 0x34, (uint8_t)(tid << 5), key ? 0x10 : 0x30}; // Y, W 1; a frame

	if (part == 2)
		memset(b, 0x90, 1); // Z; bytes that look like an OBU of a high layer
	if (part == 2)
		b[2] = 0x60;
	if (part == 1 && key)
		b[0] |= 0x08; // N
	dp_put16(b + 20, f->number);
	feed_payload(f, b, LEN, NULL, 0, part == 2);
}

static void obu_picture(struct feed *f, unsigned tid, bool key)
{
	feed_time(f);
	obu_part(f, tid, key, 1);
	obu_part(f, tid, key, 2);
	world_run(33);
}

static void av1_obus(void **state)
{
	static const uint8_t tids[] = {0, 2, 1, 2};
	struct row r = {0};
	struct feed f, late;
	struct seen s;

	feed_begin(SH_CODEC_AV1, 1, &f);
	obu_picture(&f, 0, true);
	for (unsigned i = 1; i < 8; i++)
		obu_picture(&f, tids[i % 4], false);
	check_svc(&r, SH_CODEC_AV1, 0);
	assert_int_equal(r.packets, 16);
	assert_int_equal(dp_slabs.track[TRACK].temporal, 3);
	feed_want(0, 1);
	for (unsigned i = 0; i < 8; i++)
		obu_picture(&f, tids[i % 4], false);
	check_svc(&r, SH_CODEC_AV1, 0);
	assert_int_equal(r.packets, 16 + 8);
	feed_want(0, 3);
	for (unsigned i = 1; i < 8; i++) // 2 1 2 0 2 1 2: up at the 0
		obu_picture(&f, tids[i % 4], false);
	check_svc(&r, SH_CODEC_AV1, 0);
	assert_int_equal(r.packets, 24 + 2 + 8);
	assert_int_equal(feed_plis(0), 0);
	feed_same_again(&r.last.o);
	feed_want(0, 0);
	obu_picture(&f, 0, false);
	check_svc(&r, SH_CODEC_AV1, 0);
	assert_int_equal(r.packets, 34 + 2);
	feed_time(&f); // of a unit that is left out, the second packet comes after the next unit
	obu_part(&f, 2, false, 1);
	late = f;
	f.seq++;
	obu_picture(&f, 0, false);
	for (unsigned i = 2; i < 4; i++) {
		assert_true(feed_take(&s, SH_CODEC_AV1));
		assert_int_equal(s.o.hdr.seq, (uint16_t)(r.last.o.hdr.seq + i));
	}
	obu_part(&late, 2, false, 2);
	world_walk();
	assert_true(feed_take(&s, SH_CODEC_AV1)); // its number was counted: empty
	assert_int_equal(s.o.hdr.seq, (uint16_t)(r.last.o.hdr.seq + 1));
	assert_int_equal(s.o.hdr.payload_len, 0);
	assert_false(feed_take(&s, SH_CODEC_AV1));
	feed_end();
}

/* Of so many spatial layers; active: as the first packet announces, 0: nothing. */
static void dd_layers(struct feed *f, const struct dd_shape *shape, unsigned tid, bool key,
                      unsigned spatial, unsigned active)
{
	feed_time(f);
	for (unsigned sid = 0; sid < spatial; sid++, f->frame++) {
		for (unsigned part = 0; part < 2; part++) {
			struct dd_frame d = {.sid = sid,
			                     .tid = tid,
			                     .key = key,
			                     .start = !part,
			                     .end = part,
			                     .active = sid || part ? 0 : active,
			                     .number = f->frame};
			uint8_t dd[256], b[LEN];
			unsigned len = dd_make(dd, shape, &d);

			memset(b, 0xff, sizeof(b));
			dp_put16(b + 20, f->number);
			feed_payload(f, b, LEN, dd, len, part && sid + 1 == spatial);
		}
	}
	world_run(33);
}

static void dd_picture(struct feed *f, const struct dd_shape *shape, unsigned tid, bool key)
{
	dd_layers(f, shape, tid, key, shape->spatial, 0);
}

static void av1_temporal(void **state)
{
	static const uint8_t tids[] = {0, 2, 1, 2};
	struct dd_shape shape = {1, 3, false, 7, 640, 360};
	struct row r = {0};
	struct feed f;

	feed_begin(SH_CODEC_AV1, 1, &f);
	dd_picture(&f, &shape, 0, true);
	for (unsigned i = 1; i < 8; i++)
		dd_picture(&f, &shape, tids[i % 4], false);
	check_svc(&r, SH_CODEC_AV1, 0);
	assert_int_equal(r.pictures, 8);
	assert_int_equal(dp_slabs.track[TRACK].height[0], 360);
	feed_want(0, 1);
	for (unsigned i = 0; i < 8; i++)
		dd_picture(&f, &shape, tids[i % 4], false);
	check_svc(&r, SH_CODEC_AV1, 0);
	assert_int_equal(r.pictures, 12);
	assert_int_equal(feed_dd.active, 3);
	assert_int_equal(r.last.f.ids.frame, (uint16_t)(f.frame - 2)); // diffs still hold
	feed_want(0, 3);
	for (unsigned i = 1; i < 8; i++) // 2 1 2 0 2 1 2: up at the 0
		dd_picture(&f, &shape, tids[i % 4], false);
	check_svc(&r, SH_CODEC_AV1, 0);
	assert_int_equal(r.pictures, 12 + 1 + 4);
	assert_int_equal(feed_dd.active, 7);
	assert_int_equal(feed_plis(0), 0);
	feed_same_again(&r.last.o);
	feed_end();
}

static void av1_spatial(void **state)
{
	struct dd_shape shape = {3, 3, true, 60, 640, 360};
	struct row r = {0};
	struct feed f;

	feed_begin(SH_CODEC_AV1, 1, &f);
	dd_picture(&f, &shape, 0, true);
	dd_picture(&f, &shape, 0, false);
	check_svc(&r, SH_CODEC_AV1, 2);
	assert_int_equal(r.packets, 12);
	assert_int_equal(dp_slabs.track[TRACK].spatial, 3);
	assert_int_equal(r.last.o.exts.len[SH_EXT_DEPENDENCY], 3); // nothing to be told
	feed_want(1, 3); // every picture has all layers below: down at once
	dd_picture(&f, &shape, 0, false);
	dd_picture(&f, &shape, 2, false);
	check_svc(&r, SH_CODEC_AV1, 1);
	assert_int_equal(r.packets, 12 + 8);
	assert_int_equal(feed_dd.active, 0x3f);
	assert_int_equal(feed_plis(0), 0);
	feed_same_again(&r.last.o);
	feed_want(2, 0); // up at a key picture, temporal at once
	dd_picture(&f, &shape, 0, false);
	dd_picture(&f, &shape, 1, false);
	check_svc(&r, SH_CODEC_AV1, 1);
	assert_int_equal(r.packets, 20 + 4);
	assert_int_equal(feed_plis(0), 1);
	assert_int_equal(feed_dd.active, 0x09); // of spatial layers 0 and 1 the lowest temporal one
	dd_picture(&f, &shape, 0, true);
	check_svc(&r, SH_CODEC_AV1, 2);
	assert_int_equal(r.packets, 24 + 6);
	assert_int_equal(feed_dd.active, 0x49);
	feed_same_again(&r.last.o);
	feed_want(2, 3); // all is there again, and he is told until a structure says it
	dd_picture(&f, &shape, 0, false);
	check_svc(&r, SH_CODEC_AV1, 2);
	assert_int_equal(feed_dd.active, 0x1ff);
	assert_true(r.last.targets.told);
	dd_picture(&f, &shape, 0, true);
	dd_picture(&f, &shape, 0, false);
	check_svc(&r, SH_CODEC_AV1, 2);
	assert_int_equal(feed_dd.active, 0x1ff);
	assert_false(r.last.targets.told);
	feed_end();
}

/* The publisher pauses its highest layer and goes on with it: who had it has it again at once, the
 * others with a key frame. */
static void av1_goes_on(void **state)
{
	struct dd_shape shape = {3, 1, true, 60, 640, 360};
	struct row r = {0};
	struct feed f;

	feed_begin(SH_CODEC_AV1, 1, &f);
	dd_picture(&f, &shape, 0, true);
	dd_picture(&f, &shape, 0, false);
	check_svc(&r, SH_CODEC_AV1, 2);
	for (unsigned i = 0; i < 12; i++)
		dd_layers(&f, &shape, 0, false, 2, i ? 0 : 3);
	check_svc(&r, SH_CODEC_AV1, 1);
	assert_int_equal(r.packets, 12 + 12 * 4);
	assert_int_equal(feed_dd.active, 3);
	dd_layers(&f, &shape, 0, false, 3, 7);
	dd_picture(&f, &shape, 0, false);
	check_svc(&r, SH_CODEC_AV1, 2);
	assert_int_equal(r.packets, 12 + 12 * 4 + 12);
	assert_int_equal(feed_dd.active, 7);
	assert_int_equal(feed_plis(0), 0);
	feed_same_again(&r.last.o);
	feed_want(1, 3);
	dd_picture(&f, &shape, 0, false);
	check_svc(&r, SH_CODEC_AV1, 1);
	dd_layers(&f, &shape, 0, false, 2, 3);
	feed_want(2, 3);
	dd_layers(&f, &shape, 0, false, 3, 7);
	check_svc(&r, SH_CODEC_AV1, 1);
	assert_int_equal(feed_plis(0), 1);
	feed_end();
}

/* First packets of pictures have no bitmask, or this one; all that came. */
static void check_told(struct row *r, unsigned sid, bool told, uint32_t active)
{
	struct seen s;

	for (; feed_take(&s, SH_CODEC_AV1); r->last = s) {
		assert_true(s.f.sid <= sid);
		if (!(s.f.flags & DP_FRAME_START))
			continue;
		r->pictures++;
		assert_int_equal(s.targets.told, told);
		assert_int_equal(s.targets.active, active);
	}
	assert_true(r->pictures);
	r->pictures = 0;
}

/* Inter-layer prediction on key pictures only: who is sent a layer lacks the lower ones. */
static void av1_told(void **state)
{
	struct dd_shape shape = {3, 2, false, 9, 640, 360};
	struct row r = {0};
	struct feed f;

	feed_begin(SH_CODEC_AV1, 1, &f);
	dd_picture(&f, &shape, 0, true);
	dd_picture(&f, &shape, 1, false);
	dd_picture(&f, &shape, 0, false);
	check_told(&r, 2, true, 0x30);
	feed_same_again(&r.last.o);
	feed_want(1, 3);
	dd_picture(&f, &shape, 0, false);
	check_told(&r, 2, true, 0x30); // still
	dd_picture(&f, &shape, 0, true);
	dd_picture(&f, &shape, 0, false);
	check_told(&r, 1, true, 0x0c);
	feed_want(0, 0);
	dd_picture(&f, &shape, 0, true);
	dd_picture(&f, &shape, 0, false);
	check_told(&r, 0, true, 0x01);
	feed_want(0, 1);
	dd_picture(&f, &shape, 0, false);
	check_told(&r, 0, true, 0x03);
	world_restart(); // it cannot be known what was said
	peer_path(&feed_pair.pub);
	peer_path(&feed_pair.sub);
	dd_picture(&f, &shape, 0, true);
	dd_picture(&f, &shape, 0, false);
	check_told(&r, 0, true, 0x03);
	feed_end();
}

/* A receiver of one-byte elements only: what a bitmask makes too long for him stays as it was. */
static void av1_narrow(void **state)
{
	struct dd_shape shape = {1, 3, false, 7, 0, 0};
	struct row r = {0};
	struct seen s;
	struct feed f;
	unsigned len;
	uint8_t dd[256], b[LEN] = {0};

	feed_begin(SH_CODEC_AV1, 1, &f);
	feed_pair.sub.set.ext_two_byte = 0;
	peer_ext(&feed_pair.sub, SH_EXT_DEPENDENCY, EXT_DD + 1);
	len = dd_make(dd, &shape, &(struct dd_frame){.key = true, .start = true, .end = true});
	assert_true(len <= 16);
	len = 16; // with padding
	feed_payload(&f, b, LEN, dd, len, true);
	world_walk();
	assert_true(feed_take(&s, SH_CODEC_AV1));
	assert_int_equal(s.o.exts.len[SH_EXT_DEPENDENCY], 16);
	f.frame = 1;
	dd_picture(&f, &shape, 2, false);
	check_told(&r, 0, false, 7);
	feed_want(0, 0);
	dd_picture(&f, &shape, 0, false);
	check_told(&r, 0, true, 1);
	assert_int_equal(r.last.o.hdr.ext_profile, 0xBEDE);
	feed_time(&f);
	feed_payload(&f, b, LEN, dd, len, true);
	world_walk();
	assert_true(feed_take(&s, SH_CODEC_AV1));
	assert_int_equal(s.o.exts.len[SH_EXT_DEPENDENCY], 16);
	assert_false(s.targets.told);
	feed_same_again(&s.o);
	feed_end();
}

/* Frame numbers of one stream go on in another's. VP8 whose payload is encrypted end to end does as
 * well, its descriptor being in the clear. */
static void dd_simulcast(void **state)
{
	static const unsigned codecs[] = {SH_CODEC_AV1, SH_CODEC_H264};

	for (unsigned k = 0; k < 2; k++) {
		struct dd_shape shape = {1, 1, false, 3, 0, 0};
		struct row r = {0};
		struct feed f[3];
		struct seen s;
		unsigned n = 0;

		feed_begin(codecs[k], 3, f);
		for (unsigned i = 0; i < 12; i++) {
			feed_want(i < 4 ? 0 : i < 8 ? 2 : 1, 3);
			for (unsigned l = 0; l < 3; l++)
				dd_picture(&f[l], &shape, 0, i % 4 == 0);
		}
		for (; feed_take(&s, codecs[k]); n++, r.last = s) {
			if (n)
				assert_int_equal(s.o.hdr.seq, (uint16_t)(r.last.o.hdr.seq + 1));
			if (n)
				assert_int_equal(s.f.ids.frame,
				                 (uint16_t)(r.last.f.ids.frame + !(n & 1)));
			r.keys += !!(s.f.flags & DP_FRAME_KEY);
		}
		assert_int_equal(n,
		                 26); // up at the second key pictures, behind the low layer's one
		assert_int_equal(r.keys, 4);
		feed_same_again(&r.last.o);
		feed_end();
	}
}

/* Every second picture is no reference; one begins with a delimiter in a packet of its own. */
static void h264_temporal(void **state)
{
	struct row r = {0};
	struct feed f;
	struct seen s;

	feed_begin(SH_CODEC_H264, 1, &f);
	for (unsigned i = 0; i < 16; i++) {
		uint8_t fu[LEN] = {0x7c, 0x85, 0x88};

		if (i == 12)
			feed_want(0, 3);
		if (i == 4)
			feed_want(0, 0);
		feed_time(&f);
		if (!i)
			feed_payload(
			    &f,
			    (const uint8_t
			         *)"\x67\x42\xc0\x28\xda\x01\xe0\x08\x9f\x96\x10\0\0\3\0\x10",
			    16, NULL, 0, false);
		if (i == 9) {
			uint8_t delimiter[LEN] = {0x09, 0x10};

			feed_payload(&f, delimiter, LEN, NULL, 0, false);
		}
		if (i) {
			fu[0] = i & 1 ? 0x1c : 0x5c;
			fu[1] = 0x81;
		}
		dp_put16(fu + 20, f.number);
		feed_payload(&f, fu, LEN, NULL, 0, false);
		fu[1] = fu[1] & 0x1f ? 0x40 | (fu[1] & 0x1f) : 0;
		feed_payload(&f, fu, LEN, NULL, 0, true);
		world_run(33);
	}
	assert_int_equal(dp_slabs.track[TRACK].height[0], 1080);
	assert_int_equal(dp_slabs.track[TRACK].temporal, 2);
	for (; feed_take(&s, SH_CODEC_H264); r.last = s, r.any = true, r.packets++) {
		if (r.any)
			assert_int_equal(s.o.hdr.seq, (uint16_t)(r.last.o.hdr.seq + 1));
		r.marks += s.o.hdr.marker;
	}
	// 5, 7 and 11 were left out; 9 could not be told in time
	assert_int_equal(r.marks, 16 - 3);
	assert_int_equal(r.packets, 16 * 2 + 2 - 3 * 2);
	assert_int_equal(feed_plis(0), 0);
	feed_end();
}

int stories_svc(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(vp9_svc),       cmocka_unit_test(wanted_height),
	    cmocka_unit_test(av1_temporal),  cmocka_unit_test(av1_spatial),
	    cmocka_unit_test(av1_goes_on),   cmocka_unit_test(av1_told),
	    cmocka_unit_test(av1_narrow),    cmocka_unit_test(dd_simulcast),
	    cmocka_unit_test(h264_temporal), cmocka_unit_test(av1_obus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
