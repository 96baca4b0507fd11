/* Layers: what a subscriber gets of simulcast, spatial and temporal layers has one row of sequence
 * numbers, picture ids and frame numbers without a hole, and starts where a decoder can. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include "dataplane/node/story.h"
#include "dataplane/rtp/dd_make.h"

enum { TRACK = 2, SUB = 2, PT_VIDEO = 98, EXT_DD = 12, LEN = 60 };

/* What a publisher sends of one stream. */
struct feed {
	struct peer *p;
	uint32_t ssrc, ts;
	uint16_t seq, pid, frame;
	uint8_t tl0, keyidx;
	uint8_t marker;
	uint16_t number; // of the picture, in each of its payloads behind the descriptor
};

static struct pair c;

static struct sh_msg_track_set track_of(unsigned codec, unsigned layers)
{
	struct sh_msg_track_set t = video_track;

	t.pt[0] = (struct sh_track_pt){PT_VIDEO, (uint8_t)codec, 255, 0, 90000};
	t.layers = (uint8_t)layers;
	for (unsigned l = 0; l < layers; l++) {
		t.layer[l].ssrc = 0xd0000000 + l;
		t.layer[l].rtx_ssrc = 0;
		if (layers > 1) {
			t.layer[l].rid_len = 1;
			t.layer[l].rid[0] = (uint8_t)('a' + l);
		}
	}
	return t;
}

static void begin(unsigned codec, unsigned layers, struct feed *f)
{
	struct sh_msg_track_set t = track_of(codec, layers);
	struct sh_msg_sub_set s = video_sub;

	s.max_temporal = SH_MAX_TEMPORAL - 1;
	dp_nodes_config.history_ms = 60000;
	pair_start(&c);
	world_del(SH_DEL_TRACK, world_id(1));
	c.pub.set.ext_two_byte = c.sub.set.ext_two_byte = 1;
	peer_ext(&c.pub, SH_EXT_DEPENDENCY, EXT_DD);
	peer_ext(&c.sub, SH_EXT_DEPENDENCY, EXT_DD + 1);
	world_track(TRACK, &c.pub, &t);
	world_sub(SUB, TRACK, &c.sub, &s);
	for (unsigned l = 0; l < layers; l++)
		f[l] = (struct feed){.p = &c.pub,
		                     .ssrc = 0xd0000000 + l,
		                     .ts = 1000 + l * 77777,
		                     .seq = (uint16_t)(65500 + 300 * l),
		                     .pid = (uint16_t)(32760 + 100 * l),
		                     .frame = (uint16_t)(65530 + 100 * l),
		                     .tl0 = (uint8_t)(250 + 50 * l),
		                     .keyidx = (uint8_t)(30 + l)};
}

static void end(void)
{
	pair_stop(&c);
	dp_nodes_config.history_ms = 1000;
}

static void want(unsigned layer, unsigned temporal)
{
	struct sh_msg_sub_set s = video_sub;

	s.max_layer = (uint8_t)layer;
	s.max_temporal = (uint8_t)temporal;
	world_sub(SUB, TRACK, &c.sub, &s);
}

static void send_payload(struct feed *f, const uint8_t *payload, uint32_t len, const uint8_t *dd,
                         unsigned dd_len, bool marker)
{
	uint8_t ext[260] = {EXT_DD, (uint8_t)dd_len};

	if (dd_len)
		memcpy(ext + 2, dd, dd_len);
	send_rtp(f->p, &(struct rtp){.pt = PT_VIDEO,
	                             .marker = marker,
	                             .seq = f->seq++,
	                             .ts = f->ts,
	                             .ssrc = f->ssrc,
	                             .ext = dd_len ? ext : NULL,
	                             .ext_len = (dd_len + 2 + 3) & ~3u,
	                             .two_byte = true,
	                             .payload = payload,
	                             .len = len});
}

static void frame_time(struct feed *f)
{
	f->ts += 3000;
	f->number++;
}

enum { KEY = 1, SYNC = 2, FIRST = 4, LAST = 8, WHOLE = 12 };

/* One packet of a VP8 picture, all ids there; FIRST advances them. */
static void vp8(struct feed *f, unsigned tid, unsigned flags)
{
	uint8_t b[LEN] = {flags & FIRST ? 0x90 : 0x80, 0xf0};

	if (flags & FIRST) {
		frame_time(f);
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
	send_payload(f, b, LEN, NULL, 0, flags & LAST);
}

struct seen { // at the subscriber
	struct rtp_out o;
	struct dp_frame_info f;
	uint16_t number; // behind the descriptor
};

static struct dp_dd sub_dd; // as the subscriber understands them

static bool take(struct seen *s, unsigned codec)
{
	struct dp_frame_in in = {.codec = codec, .state = &sub_dd, .newest = true};

	if (!peer_take_rtp(&c.sub, &s->o))
		return false;
	in.payload = s->o.buf + s->o.hdr.payload_off;
	in.len = s->o.hdr.payload_len;
	in.marker = s->o.hdr.marker;
	if (s->o.exts.present & 1u << SH_EXT_DEPENDENCY) {
		in.dd = s->o.buf + s->o.exts.off[SH_EXT_DEPENDENCY];
		in.dd_len = s->o.exts.len[SH_EXT_DEPENDENCY];
	}
	dp_frame_read(&s->f, &in);
	s->number = in.len >= 22 ? dp_get16(in.payload + 20) : 0;
	return true;
}

/* Everything that came, in order: numbers without a hole. Keeps the last. Returns how many. */
struct row {
	struct seen last;
	bool any;
	unsigned packets, pictures, keys, marks;
};

static unsigned check_row(struct row *r, unsigned codec)
{
	struct seen s;
	unsigned n = 0;

	for (; take(&s, codec); n++, r->last = s, r->any = true) {
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

/* Asks for a packet that was sent; what comes is the same, bytes and all. */
static uint16_t nacked;
static void put_nack(struct dp_rtcp_out *o)
{
	dp_rtcp_put_nack(o, 0x5555, OUR_VIDEO, &nacked, 1);
}

static bool ask_again(uint16_t seq, struct rtp_out *rtx)
{
	uint8_t buf[200];
	struct dp_rtcp_out o = {.buf = buf, .room = sizeof(buf)};

	world.now_ns += 200000000; // as often as it likes
	nacked = seq;
	dp_rtcp_put_rr(&o, 0x5555, NULL, 0);
	dp_rtcp_put_sdes(&o, 0x5555, (const uint8_t *)"x", 1);
	put_nack(&o);
	peer_rtcp(&c.sub, buf, o.len);
	while (peer_take_rtp(&c.sub, rtx))
		if (rtx->hdr.ssrc == OUR_RTX)
			return true;
	return false;
}

static void same_again(const struct rtp_out *first)
{
	struct rtp_out rtx;

	assert_true(ask_again(first->hdr.seq, &rtx));
	assert_int_equal(dp_get16(rtx.buf + rtx.hdr.payload_off), first->hdr.seq);
	assert_int_equal(rtx.hdr.payload_len, first->hdr.payload_len + 2);
	assert_int_equal(rtx.hdr.ts, first->hdr.ts);
	assert_int_equal(rtx.hdr.marker, first->hdr.marker);
	assert_memory_equal(rtx.buf + rtx.hdr.payload_off + 2, first->buf + first->hdr.payload_off,
	                    first->hdr.payload_len);
	assert_int_equal(rtx.exts.len[SH_EXT_DEPENDENCY], first->exts.len[SH_EXT_DEPENDENCY]);
	if (first->exts.len[SH_EXT_DEPENDENCY])
		assert_memory_equal(rtx.buf + rtx.exts.off[SH_EXT_DEPENDENCY],
		                    first->buf + first->exts.off[SH_EXT_DEPENDENCY],
		                    first->exts.len[SH_EXT_DEPENDENCY]);
}

static uint32_t plis(unsigned layer)
{
	return (uint32_t)dp_slabs.track[TRACK].media[layer].plis_sent;
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

	begin(SH_CODEC_VP8, 3, f);
	want(0, 3);
	vp8_all(f, 7);
	for (unsigned i = 0; i < 10; i++)
		vp8_all(f, 0);
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 22);
	assert_int_equal(r.last.number, f[0].number);
	assert_int_equal(plis(0) + plis(1) + plis(2), 0);
	want(2, 3); // up: the old one goes on until the new one's key frame
	for (unsigned i = 0; i < 6; i++)
		vp8_all(f, 0);
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 12);
	assert_int_equal(r.keys, 1);
	assert_true(plis(2) >= 1);
	assert_int_equal(plis(0) + plis(1), 0);
	vp8_all(f, 4);
	for (unsigned i = 0; i < 40; i++) // over the wrap of ids
		vp8_all(f, 0);
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 84); // the low layer's picture before it
	assert_int_equal(r.keys, 2);
	assert_int_equal(dp_slabs.sub[SUB].layer, 2);
	same_again(&r.last.o);
	same_again(&r.last.o);
	assert_true(dp_slabs.sub[SUB].nack_misses == 0);
	want(1, 3); // down
	vp8_all(f, 2);
	vp8_all(f, 1);
	vp8_all(f, 4);
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 6);
	assert_int_equal(dp_slabs.sub[SUB].layer, 1);
	assert_int_equal(r.keys, 3);
	same_again(&r.last.o);
	end();
}

/* What was sent before a switch can still be asked for, with the ids that it had. */
static void nack_over_switch(void **state)
{
	struct seen s[10];
	struct feed f[3];

	begin(SH_CODEC_VP8, 3, f);
	want(1, 3);
	vp8_all(f, 7);
	want(2, 3);
	vp8_all(f, 4);
	want(0, 3);
	vp8_all(f, 1);
	for (unsigned i = 0; i < 10; i++) // of layers 0 1, 1 2, 0
		assert_true(take(&s[i], SH_CODEC_VP8));
	for (unsigned i = 1; i < 10; i++)
		assert_int_equal(s[i].f.ids.pid, (s[0].f.ids.pid + i / 2) & 0x7fff);
	for (unsigned i = 0; i < 10; i++)
		same_again(&s[i].o);
	end();
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

	begin(SH_CODEC_VP8, 1, &f);
	vp8(&f, 0, WHOLE | KEY);
	vp8_cycle(&f);
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 9);
	for (unsigned k = 0; k < 12; k++) {
		unsigned t = (const uint8_t[]){1, 0, 2, 0, 1, 2, 3, 1, 1, 0, 0, 2}[k], n;

		want(0, t);
		vp8_cycle(&f);
		n = check_row(&r, SH_CODEC_VP8);
		assert_in_range(n, 2, 8);
		same_again(&r.last.o);
		vp8_cycle(&f);
		n = check_row(&r, SH_CODEC_VP8);
		assert_int_equal(n, per_cycle[t]);
		assert_int_equal(dp_slabs.sub[SUB].temporal, t > 2 ? 2 : t);
	}
	assert_int_equal(r.keys, 1); // and none was asked for
	assert_int_equal(plis(0), 0);
	assert_int_equal(dp_slabs.track[TRACK].temporal, 3);
	assert_true(world_stat(SH_STAT_drop_sub_layer) > 0);
	end();
}

/* Lost on the way to us, and there when others have been numbered: what is to be sent finds its
 * place, what is not leaves no hole either. */
static void late_ones(void **state)
{
	struct feed f, late;
	struct seen s[8];
	struct rtp_out rtx;

	begin(SH_CODEC_VP8, 1, &f);
	want(0, 0);
	vp8(&f, 0, WHOLE | KEY); // 0
	vp8(&f, 1, WHOLE);       // left out
	late = f;
	frame_time(&f); // this packet of layer 1, and
	f.pid++;
	f.seq += 2; // the first of the next picture are late
	f.tl0++;
	f.pid++;
	frame_time(&f);
	vp8(&f, 0, LAST); // 3
	vp8(&f, 1, WHOLE);
	vp8(&f, 0, WHOLE); // 4
	world_walk();
	vp8(&late, 1, WHOLE); // 1, empty
	vp8(&late, 0, FIRST); // 2
	vp8(&f, 0, WHOLE);    // 5
	world_walk();
	for (unsigned i = 0; i < 6; i++)
		assert_true(take(&s[i], SH_CODEC_VP8));
	assert_false(take(&s[6], SH_CODEC_VP8));
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
			same_again(&s[i].o);
	}
	assert_true(ask_again(s[3].o.hdr.seq, &rtx)); // as empty as before
	assert_int_equal(rtx.hdr.payload_len, 2);
	end();
}

/* One layer: over a pause, and when the publisher begins anew, ids go on. */
static void pause_and_restart(void **state)
{
	static const uint8_t mid[] = {EXT_DD + 1, 1, '1', 0};
	struct sh_msg_sub_set s = video_sub;
	struct row r = {0};
	struct feed f;

	begin(SH_CODEC_VP8, 1, &f);
	peer_ext(&c.pub, SH_EXT_MID, EXT_DD + 1);
	vp8(&f, 0, WHOLE | KEY);
	for (unsigned i = 0; i < 20; i++)
		vp8(&f, 0, WHOLE);
	world_walk();
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 21);
	assert_int_equal(r.last.number, f.number);
	s.flags |= SH_SUB_PAUSED;
	world_sub(SUB, TRACK, &c.sub, &s);
	for (unsigned i = 0; i < 7; i++)
		vp8(&f, 0, WHOLE);
	world_run(250);
	world_sub(SUB, TRACK, &c.sub, &video_sub);
	vp8(&f, 0, WHOLE);
	vp8(&f, 0, WHOLE | KEY);
	vp8(&f, 0, WHOLE);
	world_walk();
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 2);
	same_again(&r.last.o);
	// another SSRC, other numbers
	f = (struct feed){.p = &c.pub, .ssrc = 0xe0000000, .seq = 5, .ts = 99, .pid = 20, .tl0 = 7};
	{
		uint8_t b[LEN] = {0x90, 0xf0, 0x80, 21, 8, 1, 0x10};

		send_rtp(&c.pub, &(struct rtp){.pt = PT_VIDEO,
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
	same_again(&r.last.o);
	world_restart(); // of ours: what the ids differ by is in the slab
	peer_path(&c.pub);
	peer_path(&c.sub);
	vp8(&f, 0, WHOLE);
	vp8(&f, 0, WHOLE);
	world_walk();
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 2);
	end();
}

/* ---- VP9, three spatial and three temporal layers, inter-layer prediction on key pictures only
 * ---- */

static void vp9_picture(struct feed *f, unsigned tid, bool key, unsigned top)
{
	frame_time(f);
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
			send_payload(f, b, LEN, NULL, 0, part && sid == top);
		}
	}
	world_run(33);
}

/* Pictures of a subscriber at (spatial, temporal): packets, ends and marks are theirs. */
static void check_svc(struct row *r, unsigned codec, unsigned sid)
{
	struct seen s;

	for (; take(&s, codec); r->last = s, r->any = true) {
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

	begin(SH_CODEC_VP9, 1, &f);
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
	want(2, 0);
	for (unsigned i = 0; i < 8; i++)
		vp9_picture(&f, tids[i % 4], false, 2);
	check_svc(&r, SH_CODEC_VP9, 2);
	assert_int_equal(r.pictures, 2);
	want(2, 3);
	for (unsigned i = 0; i < 8; i++)
		vp9_picture(&f, tids[i % 4], false, 2);
	check_svc(&r, SH_CODEC_VP9, 2);
	assert_int_equal(r.pictures, 10);
	assert_int_equal(plis(0), 0);
	pid = r.last.f.ids.pid;
	assert_int_equal(pid, f.pid); // positions in the structure stay
	// spatial down: lower layers were left out, so at the key picture that is asked for
	want(0, 3);
	for (unsigned i = 0; i < 4; i++)
		vp9_picture(&f, tids[i % 4], false, 2);
	check_svc(&r, SH_CODEC_VP9, 2);
	assert_int_equal(r.pictures, 14);
	assert_int_equal(plis(0), 1);
	vp9_picture(&f, 0, true, 2);
	for (unsigned i = 1; i < 4; i++)
		vp9_picture(&f, tids[i % 4], false, 2);
	check_svc(&r, SH_CODEC_VP9, 0);
	assert_int_equal(r.pictures, 18);
	same_again(&r.last.o);
	assert_int_equal(r.last.o.hdr.marker, 1);
	// and up again
	want(1, 3);
	vp9_picture(&f, 0, false, 2);
	check_svc(&r, SH_CODEC_VP9, 0);
	vp9_picture(&f, 0, true, 2);
	vp9_picture(&f, 2, false, 2);
	check_svc(&r, SH_CODEC_VP9, 1);
	assert_int_equal(r.pictures, 21);
	same_again(&r.last.o);
	// the publisher stops its higher layers; what is sent ends with a marker all the same
	want(2, 3);
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
	end();
}

/* Who is shown it in small is not sent more. */
static void wanted_height(void **state)
{
	struct sh_msg_sub_set s = video_sub;
	struct row r = {0};
	struct feed f;

	begin(SH_CODEC_VP9, 1, &f);
	s.max_temporal = 3;
	s.want_height = 100;
	world_sub(SUB, TRACK, &c.sub, &s);
	vp9_picture(&f, 0, true, 2); // brings the sizes
	vp9_picture(&f, 0, false, 2);
	check_svc(&r, SH_CODEC_VP9, dp_slabs.sub[SUB].layer);
	assert_int_equal(dp_slabs.sub[SUB].layer, 1);
	s.want_height = 90;
	world_sub(SUB, TRACK, &c.sub, &s);
	vp9_picture(&f, 0, true, 2);
	assert_int_equal(dp_slabs.sub[SUB].layer, 0);
	end();
}

/* ---- AV1 and others by Dependency Descriptor; the payload is noise ---- */

static void dd_picture(struct feed *f, const struct dd_shape *shape, unsigned tid, bool key)
{
	frame_time(f);
	for (unsigned sid = 0; sid < shape->spatial; sid++, f->frame++) {
		for (unsigned part = 0; part < 2; part++) {
			struct dd_frame d = {.sid = sid,
			                     .tid = tid,
			                     .key = key,
			                     .start = !part,
			                     .end = part,
			                     .number = f->frame};
			uint8_t dd[256], b[LEN];
			unsigned len = dd_make(dd, shape, &d);

			memset(b, 0xff, sizeof(b));
			dp_put16(b + 20, f->number);
			send_payload(f, b, LEN, dd, len, part && sid + 1 == shape->spatial);
		}
	}
	world_run(33);
}

static void av1_temporal(void **state)
{
	static const uint8_t tids[] = {0, 2, 1, 2};
	struct dd_shape shape = {1, 3, false, 7, 640, 360};
	struct row r = {0};
	struct feed f;

	begin(SH_CODEC_AV1, 1, &f);
	memset(&sub_dd, 0, sizeof(sub_dd));
	dd_picture(&f, &shape, 0, true);
	for (unsigned i = 1; i < 8; i++)
		dd_picture(&f, &shape, tids[i % 4], false);
	check_svc(&r, SH_CODEC_AV1, 0);
	assert_int_equal(r.pictures, 8);
	assert_int_equal(dp_slabs.track[TRACK].height[0], 360);
	want(0, 1);
	for (unsigned i = 0; i < 8; i++)
		dd_picture(&f, &shape, tids[i % 4], false);
	check_svc(&r, SH_CODEC_AV1, 0);
	assert_int_equal(r.pictures, 12);
	assert_int_equal(r.last.f.ids.frame, (uint16_t)(f.frame - 2)); // diffs still hold
	want(0, 3);
	for (unsigned i = 1; i < 8; i++) // 2 1 2 0 2 1 2: up at the 0
		dd_picture(&f, &shape, tids[i % 4], false);
	check_svc(&r, SH_CODEC_AV1, 0);
	assert_int_equal(r.pictures, 12 + 1 + 4);
	assert_int_equal(plis(0), 0);
	same_again(&r.last.o);
	end();
}

static void av1_spatial(void **state)
{
	struct dd_shape shape = {3, 3, true, 60, 640, 360};
	struct row r = {0};
	struct feed f;

	begin(SH_CODEC_AV1, 1, &f);
	memset(&sub_dd, 0, sizeof(sub_dd));
	dd_picture(&f, &shape, 0, true);
	dd_picture(&f, &shape, 0, false);
	check_svc(&r, SH_CODEC_AV1, 2);
	assert_int_equal(r.packets, 12);
	assert_int_equal(dp_slabs.track[TRACK].spatial, 3);
	want(1, 3); // every picture has all layers below: down at once
	dd_picture(&f, &shape, 0, false);
	dd_picture(&f, &shape, 2, false);
	check_svc(&r, SH_CODEC_AV1, 1);
	assert_int_equal(r.packets, 12 + 8);
	assert_int_equal(plis(0), 0);
	same_again(&r.last.o);
	want(2, 0); // up at a key picture, temporal at once
	dd_picture(&f, &shape, 0, false);
	dd_picture(&f, &shape, 1, false);
	check_svc(&r, SH_CODEC_AV1, 1);
	assert_int_equal(r.packets, 20 + 4);
	assert_int_equal(plis(0), 1);
	dd_picture(&f, &shape, 0, true);
	check_svc(&r, SH_CODEC_AV1, 2);
	assert_int_equal(r.packets, 24 + 6);
	end();
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

		begin(codecs[k], 3, f);
		memset(&sub_dd, 0, sizeof(sub_dd));
		for (unsigned i = 0; i < 12; i++) {
			want(i < 4 ? 0 : i < 8 ? 2 : 1, 3);
			for (unsigned l = 0; l < 3; l++)
				dd_picture(&f[l], &shape, 0, i % 4 == 0);
		}
		for (; take(&s, codecs[k]); n++, r.last = s) {
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
		same_again(&r.last.o);
		end();
	}
}

/* Every second picture is no reference; one begins with a delimiter in a packet of its own. */
static void h264_temporal(void **state)
{
	struct row r = {0};
	struct feed f;
	struct seen s;

	begin(SH_CODEC_H264, 1, &f);
	for (unsigned i = 0; i < 16; i++) {
		uint8_t fu[LEN] = {0x7c, 0x85, 0x88};

		if (i == 12)
			want(0, 3);
		if (i == 4)
			want(0, 0);
		frame_time(&f);
		if (!i)
			send_payload(
			    &f,
			    (const uint8_t
			         *)"\x67\x42\xc0\x28\xda\x01\xe0\x08\x9f\x96\x10\0\0\3\0\x10",
			    16, NULL, 0, false);
		if (i == 9) {
			uint8_t delimiter[LEN] = {0x09, 0x10};

			send_payload(&f, delimiter, LEN, NULL, 0, false);
		}
		if (i) {
			fu[0] = i & 1 ? 0x1c : 0x5c;
			fu[1] = 0x81;
		}
		dp_put16(fu + 20, f.number);
		send_payload(&f, fu, LEN, NULL, 0, false);
		fu[1] = fu[1] & 0x1f ? 0x40 | (fu[1] & 0x1f) : 0;
		send_payload(&f, fu, LEN, NULL, 0, true);
		world_run(33);
	}
	assert_int_equal(dp_slabs.track[TRACK].height[0], 1080);
	assert_int_equal(dp_slabs.track[TRACK].temporal, 2);
	for (; take(&s, SH_CODEC_H264); r.last = s, r.any = true, r.packets++) {
		if (r.any)
			assert_int_equal(s.o.hdr.seq, (uint16_t)(r.last.o.hdr.seq + 1));
		r.marks += s.o.hdr.marker;
	}
	// 5, 7 and 11 were left out; 9 could not be told in time
	assert_int_equal(r.marks, 16 - 3);
	assert_int_equal(r.packets, 16 * 2 + 2 - 3 * 2);
	assert_int_equal(plis(0), 0);
	end();
}

/* The stream that is sent ends: another one within half a second, at a key frame. */
static void stream_ends(void **state)
{
	struct row r = {0};
	struct feed f[3];
	unsigned i;

	begin(SH_CODEC_VP8, 3, f);
	want(2, 3);
	for (i = 0; i < 10; i++)
		vp8_all(f, i < 2 ? 7 : 0);
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 24); // by way of 0 and 1
	assert_int_equal(dp_slabs.sub[SUB].layer, 2);
	for (i = 0; i < 60 && !plis(1); i++) {
		for (unsigned l = 0; l < 2; l++)
			vp8(&f[l], 0, WHOLE);
		world_run(33);
	}
	assert_in_range(i, 8, 15);
	assert_int_equal(plis(0) + plis(2), 0);
	vp8(&f[1], 0, WHOLE | KEY);
	vp8(&f[1], 0, WHOLE);
	world_walk();
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 2);
	assert_int_equal(dp_slabs.sub[SUB].layer, 1);
	vp8(&f[2], 0, WHOLE | KEY); // and back
	world_walk();
	assert_int_equal(check_row(&r, SH_CODEC_VP8), 1);
	assert_int_equal(dp_slabs.sub[SUB].layer, 2);
	end();
}

int stories_layers(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(vp8_simulcast),     cmocka_unit_test(nack_over_switch),
	    cmocka_unit_test(vp8_temporal),      cmocka_unit_test(late_ones),
	    cmocka_unit_test(pause_and_restart), cmocka_unit_test(vp9_svc),
	    cmocka_unit_test(wanted_height),     cmocka_unit_test(av1_temporal),
	    cmocka_unit_test(av1_spatial),       cmocka_unit_test(dd_simulcast),
	    cmocka_unit_test(h264_temporal),     cmocka_unit_test(stream_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
