/* RED (RFC 2198): a listener who took it gets it as it is, one who did not the primary block of
 * each packet as plain Opus, of the same plaintexts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/node/story.h"
#include "dataplane/rtp/speaker.h"
#include "dataplane/table/group.h"

enum { PT_RED = 63, OUT_RED = 101, OUT_AUDIO_RTX = 102, PLAIN = 1, LIKES_RED = 2, LEVEL_ID = 3 };

static const struct sh_msg_track_set red_track = {
    .kind = SH_KIND_AUDIO,
    .layers = 1,
    .mid_len = 1,
    .mid = "0",
    .flags = SH_TRACK_FOLLOW,
    .pt = {{PT_RED, SH_CODEC_RED, 255, 0, 48000},
           {PT_OPUS, SH_CODEC_OPUS, 255, 0, 48000},
           {105, SH_CODEC_CN, 255, 0, 48000},
           {106, SH_CODEC_RTX, 1, 0, 48000},
           {255},
           {255},
           {255},
           {255}},
    .layer = {{.ssrc = SSRC_AUDIO}},
};

/* Publisher 0; listener 1 without RED, listener 2 with it, on the last worker and on the first. */
static struct {
	struct peer pub, plain, red;
	uint8_t said[64]; // the primary block of the last packet
	uint32_t said_len;
	uint8_t payload[256]; // and all of its payload
	uint32_t len;
} r;

static void start(bool nack, bool rtx)
{
	struct sh_msg_sub_set s = audio_sub;

	memset(&r, 0, sizeof(r));
	dp_nodes_config.history_audio = nack ? 256 : 0;
	world_start(place.workers, place.backend);
	peer_new(&r.pub, 0, 0, SH_SRTP_AEAD_AES_128_GCM, place.ip6);
	peer_new(&r.plain, 1, place.workers - 1, SH_SRTP_AEAD_AES_128_GCM, place.ip6);
	peer_new(&r.red, 2, 0, SH_SRTP_AES128_CM_SHA1_80, place.ip6);
	peer_ext(&r.pub, SH_EXT_AUDIO_LEVEL, LEVEL_ID);
	peer_ext(&r.plain, SH_EXT_AUDIO_LEVEL, LEVEL_ID);
	world_track(0, &r.pub, &red_track);
	memcpy(s.pt, (const uint8_t[]){255, OUT_OPUS, 255, rtx ? OUT_AUDIO_RTX : 255}, 4);
	s.flags = nack ? SH_SUB_NACK : 0;
	s.rtx_ssrc = rtx ? OUR_RTX : 0;
	world_sub(PLAIN, 0, &r.plain, &s);
	s.pt[0] = OUT_RED;
	world_sub(LIKES_RED, 0, &r.red, &s);
	peer_connect(&r.pub);
	peer_connect(&r.plain);
	peer_connect(&r.red);
}

static void stop(void)
{
	peer_free(&r.pub);
	peer_free(&r.plain);
	peer_free(&r.red);
	world_stop();
	dp_nodes_config.history_audio = 0;
}

static void send_payload(uint32_t seq, uint8_t pt)
{
	const uint8_t ext[] = {LEVEL_ID << 4, (uint8_t)(0x80 | seq % 100), 0, 0};

	send_rtp(&r.pub, &(struct rtp){.pt = pt,
	                               .marker = seq % 5 == 0,
	                               .seq = (uint16_t)seq,
	                               .ts = seq * 960u,
	                               .ssrc = SSRC_AUDIO,
	                               .ext = ext,
	                               .ext_len = sizeof(ext),
	                               .payload = r.payload,
	                               .len = r.len});
}

/* So many blocks in front of it, of other lengths than its own. */
static void say(uint32_t seq, unsigned blocks)
{
	uint8_t *p = r.payload;

	r.said_len = 3 + seq % 50;
	for (uint32_t i = 0; i < r.said_len; i++)
		r.said[i] = (uint8_t)(seq + i);
	for (unsigned i = 0; i < blocks; i++, p += 4)
		memcpy(p, (const uint8_t[]){0x80 | PT_OPUS, 0x0f, 0, (uint8_t)(10 + i)}, 4);
	*p++ = PT_OPUS;
	for (unsigned i = 0; i < blocks; i++, p += 9 + i)
		memset(p, 0xee, 10 + i);
	memcpy(p, r.said, r.said_len);
	r.len = (uint32_t)(p - r.payload) + r.said_len;
	send_payload(seq, PT_RED);
}

static void say_plainly(uint32_t seq)
{
	memset(r.said, (uint8_t)seq, 12);
	memcpy(r.payload, r.said, 12);
	r.len = r.said_len = 12;
	send_payload(seq, PT_OPUS);
}

static void check(const struct rtp_out *o, uint8_t pt, const uint8_t *what, uint32_t len)
{
	assert_int_equal(o->hdr.pt, pt);
	assert_int_equal(o->hdr.ssrc, OUR_AUDIO);
	assert_int_equal(o->hdr.payload_len, len);
	assert_memory_equal(o->buf + o->hdr.payload_off, what, len);
}

static void each_hears_what_he_took(void **state)
{
	struct rtp_out o, plain = {0}, red = {0};
	uint64_t bytes[2] = {0};

	start(false, false);
	for (unsigned i = 0; i < 300; i++) { // over the wrap; sometimes not RED at all
		uint32_t seq = 65400 + i;
		bool is_red = i % 11 != 7;

		if (is_red)
			say(seq, i % 4);
		else
			say_plainly(seq);
		world_walk();
		assert_true(peer_take_rtp(&r.plain, &o));
		check(&o, OUT_OPUS, r.said, r.said_len);
		assert_int_equal(o.hdr.marker, seq % 5 == 0);
		assert_true(o.exts.present & 1u << SH_EXT_AUDIO_LEVEL);
		assert_int_equal(o.buf[o.exts.off[SH_EXT_AUDIO_LEVEL]], 0x80 | seq % 100);
		assert_true(!i || o.hdr.seq == (uint16_t)(plain.hdr.seq + 1));
		assert_true(!i || o.hdr.ts == plain.hdr.ts + 960u);
		plain = o;
		assert_true(peer_take_rtp(&r.red, &o));
		check(&o, is_red ? OUT_RED : OUT_OPUS, r.payload, r.len);
		assert_true(!i || o.hdr.seq == (uint16_t)(red.hdr.seq + 1));
		red = o;
		assert_int_equal(count_rtp(&r.plain) + count_rtp(&r.red), 0);
		bytes[0] += r.said_len;
		bytes[1] += r.len;
	}
	assert_int_equal(dp_slabs.sub[PLAIN].bytes, bytes[0]);
	assert_int_equal(dp_slabs.sub[LIKES_RED].bytes, bytes[1]);
	assert_int_equal(dp_slabs.sub[PLAIN].packets, 300);
	assert_int_equal(world_stat(SH_STAT_red_unwrapped), 300 - 27);
	assert_int_equal(world_stat(SH_STAT_drop_sub_pt), 0);
	stop();
}

/* A loss, and what comes late, are at both what they are. */
static void gaps_stay(void **state)
{
	struct rtp_out o;
	uint16_t first = 0;
	static const uint16_t order[] = {10, 11, 14, 13, 15};

	start(false, false);
	for (unsigned i = 0; i < 5; i++) {
		say(order[i], 1);
		world_walk();
		assert_true(peer_take_rtp(&r.plain, &o));
		first = i ? first : o.hdr.seq;
		assert_int_equal(o.hdr.seq, (uint16_t)(first + order[i] - 10));
		check(&o, OUT_OPUS, r.said, r.said_len);
		assert_true(peer_take_rtp(&r.red, &o));
		check(&o, OUT_RED, r.payload, r.len);
	}
	stop();
}

/* Cut anywhere, and lengths that lie: nobody gets it, and it has a name. What a primary block is of
 * that a listener did not take leaves no gap. */
static void bad_ones(void **state)
{
	struct rtp_out o, last;
	unsigned bad = 0;
	uint16_t seq = 100;
	uint32_t whole;

	start(false, false);
	say(seq, 3); // three headers and one byte: 13; 10, 11 and 12 bytes of blocks
	whole = r.len;
	assert_int_equal(whole, 13 + 33 + r.said_len);
	world_walk();
	assert_true(peer_take_rtp(&r.plain, &last));
	assert_int_equal(count_rtp(&r.red), 1);
	for (r.len = 1; r.len < 13 + 33; r.len++, bad++)
		send_payload(++seq, PT_RED);
	memset(r.payload, 0xff, sizeof(r.payload));
	for (r.len = 1; r.len <= sizeof(r.payload); r.len++, bad++) {
		send_payload(++seq, PT_RED);
		world_walk();
	}
	world_walk();
	assert_int_equal(count_rtp(&r.plain) + count_rtp(&r.red), 0);
	assert_int_equal(world_stat(SH_STAT_drop_red_malformed), bad);
	say(++seq, 1);
	world_walk();
	assert_true(peer_take_rtp(&r.plain, &o));
	assert_int_equal(o.hdr.seq, (uint16_t)(last.hdr.seq + bad + 1));
	assert_int_equal(count_rtp(&r.red), 1);
	last = o;
	for (unsigned i = 0; i < 4; i++) { // a block of CN, of no type, of RED, and nothing at all
		static const uint8_t odd[] = {105, 77, PT_RED, 0};

		r.payload[0] = odd[i];
		r.len = i < 3 ? 8 : 0;
		send_payload(++seq, PT_RED);
		world_walk();
		assert_int_equal(count_rtp(&r.plain), 0);
		assert_int_equal(count_rtp(&r.red), 1);
	}
	assert_int_equal(world_stat(SH_STAT_drop_sub_pt), 4);
	say(++seq, 0);
	world_walk();
	assert_true(peer_take_rtp(&r.plain, &o));
	assert_int_equal(o.hdr.seq, (uint16_t)(last.hdr.seq + 1));
	check(&o, OUT_OPUS, r.said, r.said_len);
	stop();
}

static void again_as_rtx(void **state)
{
	struct rtp_out first, o;
	uint8_t said[64];
	uint32_t len;

	start(true, true);
	say(1000, 2);
	memcpy(said, r.said, len = r.said_len);
	world_walk();
	assert_true(peer_take_rtp(&r.plain, &first));
	say(1001, 2);
	world_walk();
	assert_int_equal(count_rtp(&r.plain), 1);
	send_nack(&r.plain, OUR_AUDIO, first.hdr.seq);
	assert_true(peer_take_rtp(&r.plain, &o));
	assert_int_equal(o.hdr.pt, OUT_AUDIO_RTX);
	assert_int_equal(o.hdr.ssrc, OUR_RTX);
	assert_int_equal(o.hdr.payload_len, len + 2);
	assert_int_equal(dp_get16(o.buf + o.hdr.payload_off), first.hdr.seq);
	assert_memory_equal(o.buf + o.hdr.payload_off + 2, said, len);
	assert_int_equal(o.hdr.ts, first.hdr.ts);
	assert_int_equal(dp_slabs.sub[PLAIN].nack_misses, 0);
	stop();
}

/* Without RTX one SRTP index is one packet, byte for byte. */
static void again_as_it_was(void **state)
{
	uint8_t first[FRAME_MAX], again[FRAME_MAX];
	uint32_t len, n;

	start(true, false);
	say(1000, 2);
	world_walk();
	assert_true(peer_take_raw(&r.plain, first, &len));
	assert_int_equal(first[1] & 0x7f, OUT_OPUS);
	say(1001, 2);
	world_walk();
	assert_int_equal(count_rtp(&r.plain), 1);
	send_nack(&r.plain, OUR_AUDIO, dp_get16(first + 2));
	assert_true(peer_take_raw(&r.plain, again, &n));
	assert_int_equal(n, len);
	assert_memory_equal(again, first, len);
	assert_int_equal(dp_slabs.sub[PLAIN].nack_misses, 0);
	stop();
}

/* A slot that has no RED passes on what RED carries; one whose listener took it, RED. */
static void in_slots(void **state)
{
	struct sh_msg_track_set t = red_track, slot = {.kind = SH_KIND_AUDIO, .layers = 1};
	struct sh_msg_sub_set s = audio_sub;
	struct rtp_out o;

	for (unsigned has = 0; has < 2; has++) {
		start(false, false);
		t.group = 7;
		t.layer[0].ssrc = SSRC_AUDIO + 16;
		world_track(3, &r.pub, &t);
		for (unsigned i = 0; i < SH_MAX_PTS; i++)
			slot.pt[i].pt = 255;
		slot.pt[0] = red_track.pt[1];
		if (has)
			slot.pt[1] = red_track.pt[0]; // in another order than the publisher
		world_slot(10, 7, 0, &slot);
		memcpy(s.pt, (const uint8_t[]){OUT_OPUS, 255}, 2);
		s.ssrc = OUR_VIDEO;
		world_sub(5, 10, &r.plain, &s);
		s.pt[1] = has ? OUT_RED : 255;
		world_sub(6, 10, &r.red, &s);
		dp_slot_set(10, 3);
		for (uint16_t seq = 5; seq < 10; seq++) {
			say(seq, 1); // to those of the track, which is no story here
			world_walk();
			assert_int_equal(count_rtp(&r.plain), 1);
			assert_int_equal(count_rtp(&r.red), 1);
			send_rtp(&r.pub, &(struct rtp){.pt = PT_RED,
			                               .seq = seq,
			                               .ts = seq * 960u,
			                               .ssrc = SSRC_AUDIO + 16,
			                               .payload = r.payload,
			                               .len = r.len});
			world_walk();
			assert_true(peer_take_rtp(&r.plain, &o));
			assert_int_equal(o.hdr.ssrc, OUR_VIDEO);
			assert_int_equal(o.hdr.pt, OUT_OPUS);
			assert_int_equal(o.hdr.payload_len, r.said_len);
			assert_memory_equal(o.buf + o.hdr.payload_off, r.said, r.said_len);
			assert_true(peer_take_rtp(&r.red, &o));
			assert_int_equal(o.hdr.pt, has ? OUT_RED : OUT_OPUS);
			assert_int_equal(o.hdr.payload_len, has ? r.len : r.said_len);
		}
		stop();
	}
}

/* What a publisher says in one byte is silence (RFC 7587 §3.1.3), whatever repeats what he said
 * before stands in front of it. */
static void silence_is_the_primary_blocks(void **state)
{
	start(false, false);
	for (uint16_t seq = 0; seq < 100; seq++) {
		say(seq, 2);
		r.len -= r.said_len - 1;
		send_rtp(&r.pub, &(struct rtp){.pt = PT_RED,
		                               .seq = (uint16_t)(seq + 200),
		                               .ts = seq * 960u,
		                               .ssrc = SSRC_AUDIO,
		                               .payload = r.payload,
		                               .len = r.len});
	}
	world_walk();
	assert_true(dp_slabs.track[0].level > DP_LEVEL_UNTOLD);
	stop();
}

int stories_red(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_hears_what_he_took),
	    cmocka_unit_test(gaps_stay),
	    cmocka_unit_test(bad_ones),
	    cmocka_unit_test(again_as_rtx),
	    cmocka_unit_test(again_as_it_was),
	    cmocka_unit_test(in_slots),
	    cmocka_unit_test(silence_is_the_primary_blocks),
	};

	return cmocka_run_group_tests_name("red", tests, NULL, NULL);
}
