/* Layers: what a subscriber gets of simulcast, spatial and temporal layers has one row of sequence
 * numbers, picture ids and frame numbers without a hole, and starts where a decoder can. Here of
 * VP8, whose streams have all ids; story_svc.c has the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include "dataplane/node/feed.h"

enum { KEY = 1, SYNC = 2, FIRST = 4, LAST = 8, WHOLE = 12 };

/* One packet of a VP8 picture, all ids there; FIRST advances them. */
static void vp8(struct feed *f, unsigned tid, unsigned flags)
{
	uint8_t b[LEN] = {flags & FIRST ? 0x90 : 0x80, 0xf0};

	if (flags & FIRST) {
		feed_time(f);
		f->pid = (f->pid + 1) & 0x7fff;
		f->tl0 += !tid;
		f->keyidx = (f->keyidx + !!(flags & KEY)) & 31;
	}
	dp_put16(b + 2, 0x8000 | f->pid);
	b[4] = f->tl0;
	b[5] = (uint8_t)(tid << 6 | (flags & SYNC ? 0x20 : 0) | f->keyidx);
	memcpy(b + 6,
	       flags & KEY ? "\x10\0\0\x9d\x01\x2a\x80\x02\x68\x01" : "\x11\0\0\0\0\0\0\0\0\0", 10);
	dp_put16(b + 20, f->number);
	feed_payload(f, b, LEN, NULL, 0, flags & LAST);
}

/* Everything that came, in order: numbers without a hole. Keeps the last. Returns how many. */
static unsigned check_row(struct row *r, unsigned codec)
{
	struct seen s;
	unsigned n = 0;

	for (; feed_take(&s, codec); n++, r->last = s, r->any = true) {
		const struct seen *l = &r->last;
		bool picture = !r->any || s.o.hdr.ts != l->o.hdr.ts;

		r->packets++;
		r->pictures += picture;
		r->keys += !!(s.f.flags & DP_FRAME_KEY);
		r->marks += s.o.hdr.marker;
		if (!r->any)
			continue;
		assert_int_equal(s.o.hdr.seq, (uint16_t)(l->o.hdr.seq + 1));
		assert_true((int32_t)(s.o.hdr.ts - l->o.hdr.ts) >= 0);
		if (codec == SH_CODEC_VP8) {
			assert_int_equal(s.f.ids.pid, (l->f.ids.pid + picture) & 0x7fff);
			assert_int_equal(s.f.ids.tl0,
			                 (uint8_t)(l->f.ids.tl0 + (picture && !s.f.tid)));
			assert_int_equal(s.f.ids.keyidx,
			                 (l->f.ids.keyidx + !!(s.f.flags & DP_FRAME_KEY)) & 31);
		}
		assert_true(!picture || l->f.flags & DP_FRAME_END); // whole pictures
	}
	return n;
}

/* A picture of each stream, two packets, 33 ms. */
static void vp8_all(struct feed *f, unsigned keys)
{
	for (unsigned l = 0; l < 3; l++) {
		vp8(&f[l], 0, FIRST | (keys & 1u << l ? KEY : 0));
		world_walk(); // in a vector, the first packets of streams may change places
		vp8(&f[l], 0, LAST);
	}
	world_run(33);
}

static void vp8_simulcast(void **state)
{
	struct row r = {0};
	struct feed f[3];

	feed_begin(SH_CODEC_VP8, 3, f);
	feed_want(0, 3);
	vp8_all(f, 7);
	for (unsigned i = 0; i < 10; i++)
		vp8_all(f, 0);
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 22);
	assert_int_equal(r.last.number, f[0].number);
	assert_int_equal(feed_plis(0) + feed_plis(1) + feed_plis(2), 0);
	feed_want(2, 3); // up: the old one goes on until the new one's key frame
	for (unsigned i = 0; i < 6; i++)
		vp8_all(f, 0);
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 12);
	assert_int_equal(r.keys, 1);
	assert_true(feed_plis(2) >= 1);
	assert_int_equal(feed_plis(0) + feed_plis(1), 0);
	vp8_all(f, 4);
	for (unsigned i = 0; i < 40; i++) // over the wrap of ids
		vp8_all(f, 0);
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 84); // the low layer's picture before it
	assert_int_equal(r.keys, 2);
	assert_int_equal(dp_slabs.sub[SUB].layer, 2);
	feed_same_again(&r.last.o);
	feed_same_again(&r.last.o);
	assert_true(dp_slabs.sub[SUB].nack_misses == 0);
	feed_want(1, 3); // down
	vp8_all(f, 2);
	vp8_all(f, 1);
	vp8_all(f, 4);
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 6);
	assert_int_equal(dp_slabs.sub[SUB].layer, 1);
	assert_int_equal(r.keys, 3);
	feed_same_again(&r.last.o);
	feed_end();
}

/* What was sent before a switch can still be asked for, with the ids that it had. */
static void nack_over_switch(void **state)
{
	struct seen s[10];
	struct feed f[3];

	feed_begin(SH_CODEC_VP8, 3, f);
	feed_want(1, 3);
	vp8_all(f, 7);
	feed_want(2, 3);
	vp8_all(f, 4);
	feed_want(0, 3);
	vp8_all(f, 1);
	for (unsigned i = 0; i < 10; i++) // of layers 0 1, 1 2, 0
		assert_true(feed_take(&s[i], SH_CODEC_VP8));
	for (unsigned i = 1; i < 10; i++)
		assert_int_equal(s[i].f.ids.pid, (s[0].f.ids.pid + i / 2) & 0x7fff);
	for (unsigned i = 0; i < 10; i++)
		feed_same_again(&s[i].o);
	feed_end();
}

/* 0 2 1 2, with Y as libvpx's three layers have it. */
static void vp8_cycle(struct feed *f)
{
	static const struct {
		uint8_t tid, sync;
	} t[] = {{0, 0}, {2, SYNC}, {1, SYNC}, {2, 0}};

	for (unsigned i = 0; i < 4; i++) {
		vp8(f, t[i].tid, FIRST | t[i].sync);
		vp8(f, t[i].tid, LAST);
		world_run(8);
	}
}

static void vp8_temporal(void **state)
{
	static const uint8_t per_cycle[] = {2, 4, 8, 8};
	struct row r = {0};
	struct feed f;

	feed_begin(SH_CODEC_VP8, 1, &f);
	vp8(&f, 0, WHOLE | KEY);
	vp8_cycle(&f);
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 9);
	for (unsigned k = 0; k < 12; k++) {
		unsigned t = (const uint8_t[]){1, 0, 2, 0, 1, 2, 3, 1, 1, 0, 0, 2}[k], n;

		feed_want(0, t);
		vp8_cycle(&f);
		n = check_row(&r, SH_CODEC_VP8);
		assert_in_range(n, 2, 8);
		feed_same_again(&r.last.o);
		vp8_cycle(&f);
		n = check_row(&r, SH_CODEC_VP8);
		assert_int_equal(n, per_cycle[t]);
		assert_int_equal(dp_slabs.sub[SUB].temporal, t > 2 ? 2 : t);
	}
	assert_int_equal(r.keys, 1); // and none was asked for
	assert_int_equal(feed_plis(0), 0);
	assert_int_equal(dp_slabs.track[TRACK].temporal, 3);
	assert_true(world_stat(SH_STAT_drop_sub_layer) > 0);
	feed_end();
}

/* Lost on the way to us, and there when others have been numbered: what is to be sent finds its
 * place, what is not leaves no hole either. */
static void late_ones(void **state)
{
	struct feed f, late;
	struct seen s[8];
	struct rtp_out rtx;

	feed_begin(SH_CODEC_VP8, 1, &f);
	feed_want(0, 0);
	vp8(&f, 0, WHOLE | KEY); // 0
	vp8(&f, 1, WHOLE);       // left out
	late = f;
	feed_time(&f); // this packet of layer 1, and
	f.pid++;
	f.seq += 2; // the first of the next picture are late
	f.tl0++;
	f.pid++;
	feed_time(&f);
	vp8(&f, 0, LAST); // 3
	vp8(&f, 1, WHOLE);
	vp8(&f, 0, WHOLE); // 4
	world_walk();
	vp8(&late, 1, WHOLE); // 1, empty
	vp8(&late, 0, FIRST); // 2
	vp8(&f, 0, WHOLE);    // 5
	world_walk();
	for (unsigned i = 0; i < 6; i++)
		assert_true(feed_take(&s[i], SH_CODEC_VP8));
	assert_false(feed_take(&s[6], SH_CODEC_VP8));
	assert_int_equal(s[1].o.hdr.seq, (uint16_t)(s[0].o.hdr.seq + 3));
	assert_int_equal(s[2].o.hdr.seq, (uint16_t)(s[0].o.hdr.seq + 4));
	assert_int_equal(s[3].o.hdr.seq, (uint16_t)(s[0].o.hdr.seq + 1));
	assert_int_equal(s[3].o.hdr.payload_len, 0);
	assert_int_equal(s[4].o.hdr.seq, (uint16_t)(s[0].o.hdr.seq + 2));
	assert_int_equal(s[4].o.hdr.ts, s[1].o.hdr.ts);
	assert_int_equal(s[4].f.ids.pid, s[1].f.ids.pid);
	assert_int_equal(s[5].o.hdr.seq, (uint16_t)(s[0].o.hdr.seq + 5));
	for (unsigned i = 0; i < 6; i++) {
		if (i != 3)
			feed_same_again(&s[i].o);
	}
	assert_true(feed_ask_again(s[3].o.hdr.seq, &rtx)); // as empty as before
	assert_int_equal(rtx.hdr.payload_len, 2);
	feed_end();
}

/* One layer: over a pause, and when the publisher begins anew, ids go on. */
static void pause_and_restart(void **state)
{
	static const uint8_t mid[] = {EXT_DD + 1, 1, '1', 0};
	struct sh_msg_sub_set s = video_sub;
	struct row r = {0};
	struct feed f;

	feed_begin(SH_CODEC_VP8, 1, &f);
	peer_ext(&feed_pair.pub, SH_EXT_MID, EXT_DD + 1);
	vp8(&f, 0, WHOLE | KEY);
	for (unsigned i = 0; i < 20; i++)
		vp8(&f, 0, WHOLE);
	world_walk();
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 21);
	assert_int_equal(r.last.number, f.number);
	s.flags |= SH_SUB_PAUSED;
	world_sub(SUB, TRACK, &feed_pair.sub, &s);
	for (unsigned i = 0; i < 7; i++)
		vp8(&f, 0, WHOLE);
	world_run(250);
	world_sub(SUB, TRACK, &feed_pair.sub, &video_sub);
	vp8(&f, 0, WHOLE);
	vp8(&f, 0, WHOLE | KEY);
	vp8(&f, 0, WHOLE);
	world_walk();
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 2);
	feed_same_again(&r.last.o);
	// another SSRC, other numbers
	f = (struct feed){
	    .p = &feed_pair.pub, .ssrc = 0xe0000000, .seq = 5, .ts = 99, .pid = 20, .tl0 = 7};
	{
		uint8_t b[LEN] = {0x90, 0xf0, 0x80, 21, 8, 1, 0x10};

		send_rtp(&feed_pair.pub, &(struct rtp){.pt = PT_VIDEO,
		                                       .marker = 1,
		                                       .seq = f.seq++,
		                                       .ts = f.ts,
		                                       .ssrc = f.ssrc,
		                                       .ext = mid,
		                                       .ext_len = 4,
		                                       .two_byte = true,
		                                       .payload = b,
		                                       .len = LEN});
		f.pid = 21;
		f.tl0 = 8;
		f.keyidx = 1;
	}
	for (unsigned i = 0; i < 5; i++)
		vp8(&f, 0, WHOLE);
	world_walk();
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 6);
	assert_int_equal(r.last.number, f.number);
	feed_same_again(&r.last.o);
	world_restart(); // of ours: what the ids differ by is in the slab
	peer_path(&feed_pair.pub);
	peer_path(&feed_pair.sub);
	vp8(&f, 0, WHOLE);
	vp8(&f, 0, WHOLE);
	world_walk();
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 2);
	feed_end();
}

/* The stream that is sent ends: another one within half a second, at a key frame. */
static void stream_ends(void **state)
{
	struct row r = {0};
	struct feed f[3];
	unsigned i;

	feed_begin(SH_CODEC_VP8, 3, f);
	feed_want(2, 3);
	for (i = 0; i < 10; i++)
		vp8_all(f, i < 2 ? 7 : 0);
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 24); // by way of 0 and 1
	assert_int_equal(dp_slabs.sub[SUB].layer, 2);
	for (i = 0; i < 60 && !feed_plis(1); i++) {
		for (unsigned l = 0; l < 2; l++)
			vp8(&f[l], 0, WHOLE);
		world_run(33);
	}
	assert_in_range(i, 8, 15);
	assert_int_equal(feed_plis(0) + feed_plis(2), 0);
	vp8(&f[1], 0, WHOLE | KEY);
	vp8(&f[1], 0, WHOLE);
	world_walk();
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 2);
	assert_int_equal(dp_slabs.sub[SUB].layer, 1);
	vp8(&f[2], 0, WHOLE | KEY); // and back
	world_walk();
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 1);
	assert_int_equal(dp_slabs.sub[SUB].layer, 2);
	feed_end();
}

int stories_layers(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(vp8_simulcast),     cmocka_unit_test(nack_over_switch),
	    cmocka_unit_test(vp8_temporal),      cmocka_unit_test(late_ones),
	    cmocka_unit_test(pause_and_restart), cmocka_unit_test(stream_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
