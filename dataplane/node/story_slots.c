/* Rooms with slots: many publish, and a listener has as many streams as there are places. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/event.h"
#include "dataplane/node/frame.h"
#include "dataplane/node/story.h"
#include "dataplane/rtp/speaker.h"
#include "dataplane/speaker.h"
#include "dataplane/table/group.h"

enum { PUBS = 5, LISTENER = 8, GROUP = 77, AUDIO_SLOT = 10, VIDEO_SLOT = 12, LEVEL_ID = 3 };

static const struct sh_msg_track_set opus_slot = {
    .kind = SH_KIND_AUDIO,
    .layers = 1,
    .pt =
        {{PT_OPUS, SH_CODEC_OPUS, 255, 0, 48000}, {255}, {255}, {255}, {255}, {255}, {255}, {255}},
};
/* Another order than the publishers have. */
static const struct sh_msg_track_set video_slot = {
    .kind = SH_KIND_VIDEO,
    .layers = SH_MAX_LAYERS,
    .pt = {{100, SH_CODEC_H264, 255, 0, 90000},
           {101, SH_CODEC_RTX, 0, 0, 90000},
           {102, SH_CODEC_VP8, 255, 0, 90000},
           {103, SH_CODEC_RTX, 2, 0, 90000},
           {255},
           {255},
           {255},
           {255}},
};
static const struct sh_msg_sub_set slot_video_sub = {
    .ssrc = OUR_VIDEO,
    .rtx_ssrc = OUR_RTX,
    .pt = {110, 111, OUT_VP8, OUT_RTX, 255, 255, 255, 255},
    .mid_len = 2,
    .mid = "s1",
    .flags = SH_SUB_NACK,
    .max_layer = 2,
};

/* Publishers 0..4, number 0 with ears of its own (owner 100); a listener on the last worker. */
static struct room {
	struct peer pub[PUBS], ear, own_ear;
	uint8_t level[PUBS];
	uint32_t seq;
	uint64_t look_at_ns;
} r;

static void track_of(unsigned i, bool video)
{
	struct sh_msg_track_set t = video ? video_track : audio_track;

	t.group = GROUP;
	t.flags |= SH_TRACK_FOLLOW;
	t.layer[0].ssrc += i * 16;
	if (video)
		t.layer[0].rtx_ssrc += i * 16;
	world_track(video ? PUBS + i : i, &r.pub[i], &t);
}

static void room_start(bool video, unsigned audio_slots)
{
	memset(&r, 0, sizeof(r));
	world_start(place.workers, place.backend);
	assert_int_equal(dp_event_init(), 0);
	assert_int_equal(dp_speakers_init(), 0);
	for (unsigned i = 0; i < PUBS; i++) {
		peer_new(&r.pub[i], i, i % place.workers, SH_SRTP_AEAD_AES_128_GCM, place.ip6);
		r.pub[i].set.owner = 100 + i;
		peer_ext(&r.pub[i], SH_EXT_AUDIO_LEVEL, LEVEL_ID);
		track_of(i, false);
		if (video)
			track_of(i, true);
		peer_connect(&r.pub[i]);
		r.level[i] = 127;
	}
	peer_new(&r.ear, LISTENER, place.workers - 1, SH_SRTP_AEAD_AES_128_GCM, place.ip6);
	peer_new(&r.own_ear, LISTENER + 1, 0, SH_SRTP_AEAD_AES_128_GCM, place.ip6);
	r.own_ear.set.owner = 100;
	r.ear.set.owner = 200;
	peer_ext(&r.ear, SH_EXT_MID, 9);
	peer_ext(&r.own_ear, SH_EXT_MID, 9);
	for (unsigned i = 0; i < audio_slots; i++) {
		struct sh_msg_sub_set s = audio_sub;

		world_slot(AUDIO_SLOT + i, GROUP, (uint8_t)i, &opus_slot);
		s.ssrc = OUR_AUDIO + 0x100 * i;
		world_sub(2 * i, AUDIO_SLOT + i, &r.ear, &s);
		world_sub(2 * i + 1, AUDIO_SLOT + i, &r.own_ear, &s);
	}
	if (video) {
		world_slot(VIDEO_SLOT, GROUP, 0, &video_slot);
		world_sub(8, VIDEO_SLOT, &r.ear, &slot_video_sub);
		world_sub(9, VIDEO_SLOT, &r.own_ear, &slot_video_sub);
	}
	peer_connect(&r.ear);
	peer_connect(&r.own_ear);
	r.seq = 65000; // over the wrap
}

static void room_stop(void)
{
	for (unsigned i = 0; i < PUBS; i++)
		peer_free(&r.pub[i]);
	peer_free(&r.ear);
	peer_free(&r.own_ear);
	dp_speakers_free();
	dp_event_free();
	world_stop();
}

/* Who it is stands in the payload. */
static void speak(unsigned i)
{
	uint8_t ext[] = {LEVEL_ID << 4, (uint8_t)(r.level[i] | 0x80), 0, 0};
	uint8_t payload[12] = {(uint8_t)i};

	send_rtp(&r.pub[i], &(struct rtp){.pt = PT_OPUS,
	                                  .seq = (uint16_t)(r.seq + 1000 * i),
	                                  .ts = r.seq * 960u + 777777 * i,
	                                  .ssrc = SSRC_AUDIO + 16 * i,
	                                  .ext = ext,
	                                  .ext_len = sizeof(ext),
	                                  .payload = payload,
	                                  .len = sizeof(payload)});
}

static void look(void)
{
	if (world.now_ns - r.look_at_ns < DP_SPEAKERS_MS * 1000000ull)
		return;
	r.look_at_ns = world.now_ns;
	dp_speakers_tick(world.now_ns);
}

static void talk(unsigned ms)
{
	for (unsigned t = 0; t < ms; t += 20) {
		for (unsigned i = 0; i < PUBS; i++)
			speak(i);
		r.seq++;
		world_run(20);
		look();
	}
}

static uint32_t source(uint32_t slot)
{
	uint32_t id = dp_slabs.track[slot].source;

	return id ? SH_ID_INDEX(id) : UINT32_MAX;
}

/* Streams that a listener got since the last call, each without a gap and with time going on. */
struct heard {
	struct {
		uint32_t n, ts, from; // bit i: of publisher i
		uint16_t seq;
	} slot[4];
};

static void listen(struct peer *p, struct heard *h)
{
	struct rtp_out o;

	for (unsigned i = 0; i < 4; i++)
		h->slot[i].from = 0;
	while (peer_take_rtp(p, &o)) {
		unsigned k = (o.hdr.ssrc - OUR_AUDIO) / 0x100;

		assert_in_range(k, 0, 3);
		assert_int_equal(o.hdr.pt, OUT_OPUS);
		if (h->slot[k].n++) {
			assert_int_equal(o.hdr.seq, (uint16_t)(h->slot[k].seq + 1));
			assert_in_range(o.hdr.ts - h->slot[k].ts, 1, 960 * 300);
		}
		h->slot[k].seq = o.hdr.seq;
		h->slot[k].ts = o.hdr.ts;
		h->slot[k].from |= 1u << o.buf[o.hdr.payload_off];
	}
}

static void loudest_are_heard(void **state)
{
	struct heard h = {0}, own = {0};

	room_start(false, 2);
	talk(100);
	assert_int_equal(source(AUDIO_SLOT), 0); // first come
	assert_int_equal(source(AUDIO_SLOT + 1), 1);
	r.level[3] = 30;
	r.level[4] = 35;
	talk(600);
	assert_true((source(AUDIO_SLOT) == 3 && source(AUDIO_SLOT + 1) == 4) ||
	            (source(AUDIO_SLOT) == 4 && source(AUDIO_SLOT + 1) == 3));
	listen(&r.ear, &h);
	assert_int_equal(h.slot[2].n + h.slot[3].n, 0);
	for (unsigned turn = 0; turn < 12; turn++) { // one after the other
		memset(r.level, 127, sizeof(r.level));
		r.level[turn % PUBS] = 30;
		talk(2000);
		assert_true(source(AUDIO_SLOT) == turn % PUBS ||
		            source(AUDIO_SLOT + 1) == turn % PUBS);
		listen(&r.ear, &h);
		assert_true((h.slot[0].from | h.slot[1].from) & 1u << turn % PUBS);
		assert_int_equal(dp_group_find(GROUP)->dominant, world_id(turn % PUBS));
		listen(&r.own_ear, &own);
		assert_false((own.slot[0].from | own.slot[1].from) & 1); // not what is his own
		world_forget_out();
	}
	assert_true(own.slot[0].n + own.slot[1].n > 100);
	assert_true(world_stat(SH_STAT_drop_own) > 50);
	assert_int_equal(world_stat(SH_STAT_drop_fanout_full), 0);
	room_stop();
}

/* A publisher that leaves leaves its place; one that comes again is another. */
static void sources_leave(void **state)
{
	struct heard h = {0};

	room_start(false, 2);
	r.level[2] = 30;
	talk(1500);
	assert_true(source(AUDIO_SLOT) == 2 || source(AUDIO_SLOT + 1) == 2);
	assert_int_equal(dp_group_find(GROUP)->dominant, world_id(2));
	world_del(SH_DEL_TRACK, world_id(2));
	assert_true(source(AUDIO_SLOT) != 2 && source(AUDIO_SLOT + 1) != 2);
	for (unsigned i = 0; i < 10; i++) {
		speak(0);
		speak(1);
		r.seq++;
		world_run(20);
		look();
	}
	assert_int_not_equal(source(AUDIO_SLOT), UINT32_MAX); // somebody else has the place
	assert_int_not_equal(source(AUDIO_SLOT + 1), UINT32_MAX);
	assert_int_equal(dp_group_find(GROUP)->dominant, 0);
	listen(&r.ear, &h);
	world_del(SH_DEL_TRACK, world_id(AUDIO_SLOT)); // and the slot itself
	for (unsigned i = 0; i < PUBS; i++)
		assert_true(SH_ID_INDEX(dp_slabs.track[i].follower) != AUDIO_SLOT);
	assert_int_equal(dp_slabs.sub[0].state, SH_FREE);
	room_stop();
}

/* ---- video ---- */

static unsigned plis(unsigned i)
{
	return count_rtcp(&r.pub[i], DP_RTCP_PSFB, DP_RTCP_PSFB_PLI, NULL);
}

static void show(unsigned i, uint16_t seq, bool key)
{
	send_video_as(&r.pub[i], SSRC_VIDEO + 16 * i, seq, seq * 3000u + 99999 * i, key);
}

static void video_follows(void **state)
{
	struct rtp_out o, last = {0}, again;
	unsigned n = 0;
	uint16_t lost;

	room_start(true, 2);
	show(0, 100, true);
	show(1, 200, true);
	world_run(20);
	look();
	assert_int_equal(source(VIDEO_SLOT), PUBS + 0); // first come
	r.level[1] = 30;
	talk(1000);
	assert_int_equal(source(VIDEO_SLOT), PUBS + 1); // who spoke
	show(1, 201, false);
	world_forget_out();
	world_run(400);
	assert_int_equal(plis(1), 1);
	assert_int_equal(plis(0) + plis(2), 0);
	assert_int_equal(count_rtp(&r.ear), 0); // not before the key frame
	for (uint16_t i = 0; i < 10; i++)
		show(1, (uint16_t)(202 + i), i == 0);
	world_walk();
	while (peer_take_rtp(&r.ear, &o)) {
		assert_int_equal(o.hdr.ssrc, OUR_VIDEO);
		assert_int_equal(o.hdr.pt, OUT_VP8);
		assert_true(!n || o.hdr.seq == (uint16_t)(last.hdr.seq + 1));
		last = o;
		n++;
	}
	assert_int_equal(n, 10);
	lost = (uint16_t)(last.hdr.seq - 3);
	send_nack(&r.ear, OUR_VIDEO, lost);
	assert_true(peer_take_rtp(&r.ear, &again));
	assert_int_equal(again.hdr.pt, OUT_RTX);
	assert_int_equal(again.hdr.ssrc, OUR_RTX);
	assert_int_equal(dp_get16(again.buf + again.hdr.payload_off), lost);
	assert_int_equal(again.buf[again.hdr.payload_off + 2 + 10], (uint8_t)(211 - 3));

	// the next speaker; what was sent before can still be asked for
	r.level[1] = 127;
	r.level[2] = 30;
	for (unsigned t = 0; t < 50 && source(VIDEO_SLOT) != PUBS + 2; t++)
		talk(100);
	assert_int_equal(source(VIDEO_SLOT), PUBS + 2);
	world_forget_out();
	show(2, 7, true);
	show(1, 212, false); // not in the slot any more
	show(2, 8, false);
	world_walk();
	assert_true(peer_take_rtp(&r.ear, &o));
	assert_int_equal(o.hdr.seq, (uint16_t)(last.hdr.seq + 1));
	assert_true((int32_t)(o.hdr.ts - last.hdr.ts) > 0);
	assert_int_equal(o.buf[o.hdr.payload_off + 10], 7);
	assert_true(peer_take_rtp(&r.ear, &o));
	assert_int_equal(o.buf[o.hdr.payload_off + 10], 8);
	assert_int_equal(count_rtp(&r.ear), 0);
	world_run(400);
	world_forget_out();
	send_pli(&r.ear, OUR_VIDEO);
	world_run(400);
	assert_int_equal(plis(2), 1);
	assert_int_equal(plis(1), 0);

	// nobody sees himself
	r.level[2] = 127;
	r.level[0] = 30;
	for (unsigned t = 0; t < 50 && source(VIDEO_SLOT) != PUBS + 0; t++)
		talk(100);
	world_forget_out();
	show(0, 101, true);
	world_walk();
	assert_int_equal(count_rtp(&r.ear), 1);
	assert_int_equal(count_rtp(&r.own_ear), 0);
	room_stop();
}

/* A track of which somebody has a subscription of his own is in the slot too: one packet, two
 * lists, kept once. */
static void pinned_and_followed(void **state)
{
	struct sh_msg_sub_set s = video_sub;
	struct rtp_out o;
	unsigned pinned = 0, followed = 0;

	room_start(true, 1);
	s.ssrc = 0xd0000001;
	s.rtx_ssrc = 0xd0000002;
	world_sub(20, PUBS + 0, &r.ear, &s);
	look();
	world_run(100);
	look();
	assert_int_equal(source(VIDEO_SLOT), PUBS + 0);
	for (uint16_t i = 0; i < 20; i++)
		show(0, (uint16_t)(10 + i), i == 0);
	world_walk();
	while (peer_take_rtp(&r.ear, &o)) {
		pinned += o.hdr.ssrc == 0xd0000001;
		followed += o.hdr.ssrc == OUR_VIDEO;
	}
	assert_int_equal(pinned, 20);
	assert_int_equal(followed, 20);
	assert_int_equal(dp_node(world.w[place.workers - 1])->kept_head, 20);
	assert_int_equal(dp_watched_layers(PUBS + 0), 1);
	assert_int_equal(dp_watched_layers(PUBS + 1), 0); // nobody's
	world_del(SH_DEL_SUB, world_id(20));
	assert_int_equal(dp_watched_layers(PUBS + 0), 1);
	room_stop();
}

/* A subscription goes from slot to slot: another source, and the same stream. */
static void voices_move(void **state)
{
	struct sh_msg_sub_set s = audio_sub;
	struct heard h = {0};

	s.ssrc = OUR_AUDIO;
	room_start(false, 2);
	talk(300);
	assert_int_equal(source(AUDIO_SLOT), 0);
	assert_int_equal(source(AUDIO_SLOT + 1), 1);
	listen(&r.ear, &h);
	assert_int_equal(h.slot[0].from, 1u << 0);
	for (unsigned turn = 1; turn < 6; turn++) {
		world_sub(0, AUDIO_SLOT + turn % 2, &r.ear, &s);
		talk(300);
		listen(&r.ear, &h);
		assert_int_equal(h.slot[0].from, 1u << turn % 2);
		assert_int_equal(h.slot[1].from, 1u << 1);
	}
	assert_int_equal(h.slot[0].n, h.slot[1].n); // none is missing
	room_stop();
}

static void pictures_move(void **state)
{
	struct rtp_out o, last = {0};
	uint16_t lost;

	room_start(true, 2);
	world_slot(VIDEO_SLOT + 1, GROUP, 1, &video_slot);
	show(0, 100, true);
	show(1, 200, true);
	world_run(20);
	look();
	assert_int_equal(source(VIDEO_SLOT), PUBS + 0);
	assert_int_equal(source(VIDEO_SLOT + 1), PUBS + 1);
	world_forget_out();
	show(0, 101, true);
	show(0, 102, false);
	world_walk();
	while (peer_take_rtp(&r.ear, &o))
		last = o;
	world_run(20);
	world_forget_out();
	world_sub(8, VIDEO_SLOT + 1, &r.ear, &slot_video_sub);
	show(0, 103, false);
	show(1, 201, false);
	world_run(400);
	assert_int_equal(count_rtp(&r.ear), 0); // not before the key frame, which it asks for
	assert_int_equal(plis(1), 1);
	show(1, 202, true);
	show(1, 203, false);
	world_walk();
	for (unsigned i = 0; i < 2; i++) {
		assert_true(peer_take_rtp(&r.ear, &o));
		assert_int_equal(o.hdr.ssrc, OUR_VIDEO);
		assert_int_equal(o.hdr.seq, (uint16_t)(last.hdr.seq + 1));
		assert_true((int32_t)(o.hdr.ts - last.hdr.ts) > 0);
		last = o;
	}
	lost = (uint16_t)(last.hdr.seq - 2); // of before
	send_nack(&r.ear, OUR_VIDEO, lost);
	assert_true(peer_take_rtp(&r.ear, &o));
	assert_int_equal(o.hdr.ssrc, OUR_RTX);
	assert_int_equal(dp_get16(o.buf + o.hdr.payload_off), lost);
	room_stop();
}

/* Another dataplane finds the slabs: who is in which slot, and sequence numbers go on. */
static void outlives(void **state)
{
	struct heard h = {0};
	uint32_t was[2];

	room_start(true, 2);
	r.level[3] = 30;
	talk(2000);
	listen(&r.ear, &h);
	was[0] = source(AUDIO_SLOT);
	was[1] = source(VIDEO_SLOT);
	assert_int_equal(was[1], PUBS + 3);
	dp_slabs.track[4].follower = world_id(AUDIO_SLOT); // as half done
	dp_speakers_free();
	world_restart();
	assert_int_equal(dp_speakers_init(), 0);
	assert_int_equal(dp_slabs.track[4].follower, 0);
	peer_path(&r.ear);
	peer_path(&r.own_ear);
	assert_int_equal(source(AUDIO_SLOT), was[0]);
	assert_int_equal(source(VIDEO_SLOT), was[1]);
	talk(1000);
	assert_int_equal(source(VIDEO_SLOT), was[1]);
	listen(&r.ear, &h);
	assert_true((h.slot[0].from | h.slot[1].from) & 1u << 3);
	room_stop();
}

/* Frames of 33 ms for so long, of the layers that are sent; a key frame when one is asked for, 100 ms later. Returns
 * when a picture came to the listener, ms; or ms. */
static unsigned film(unsigned i, unsigned layers, uint16_t *seq, unsigned ms)
{
	unsigned came = ms, key_at = UINT32_MAX;

	for (unsigned t = 0; t < ms; t += 33) {
		for (unsigned l = 0; l < layers; l++)
			send_video_as(&r.pub[i], SSRC_VIDEO + 16 * i + 0x1000 * l, *seq,
			              *seq * 3000u, t >= key_at);
		++*seq;
		key_at = t >= key_at ? UINT32_MAX : key_at;
		world_run(33);
		look();
		if (plis(i) && key_at == UINT32_MAX)
			key_at = t + 100;
		if (count_rtp(&r.ear) && came == ms)
			came = t;
		world_forget_out();
	}
	return came;
}

/* What a slot shows comes back with another dataplane, though nobody at either end says anything:
 * it begins as after a change of sources, so a key frame is asked for. */
static void picture_comes_back(void **state)
{
	for (unsigned layers = 1; layers <= 3; layers += 2) {
		struct sh_msg_track_set t = video_track;
		uint16_t seq = 65500;

		room_start(true, 1);
		world_del(SH_DEL_TRACK, world_id(PUBS + 3));
		t.group = GROUP;
		t.flags |= SH_TRACK_FOLLOW;
		t.layers = (uint8_t)layers;
		for (unsigned l = 0; l < layers; l++)
			t.layer[l].ssrc = SSRC_VIDEO + 16 * 3 + 0x1000 * l;
		t.layer[0].rtx_ssrc = 0;
		world_track(14, &r.pub[3], &t);
		r.level[3] = 30;
		talk(3000);
		assert_int_equal(source(VIDEO_SLOT), 14);
		world_forget_out();
		assert_in_range(film(3, layers, &seq, 3000), 0, 1000);
		dp_speakers_free();
		world_restart();
		assert_int_equal(dp_speakers_init(), 0);
		for (unsigned i = 0; i < PUBS; i++)
			peer_path(&r.pub[i]);
		peer_path(&r.ear);
		peer_path(&r.own_ear);
		assert_int_equal(source(VIDEO_SLOT), 14);
		assert_in_range(film(3, layers, &seq, 3000), 100, 300); // with the key frame
		room_stop();
	}
}

/* Opus in DTX: a packet each 400 ms, numbers without a gap (RFC 7587 §3.1.3). No loss to ask for,
 * no silence of the track, and time goes on as it does at the publisher. */
static void dtx_is_no_loss(void **state)
{
	struct sh_msg_track_set t = audio_track;
	struct rtp_out o, last = {0};
	struct pair c;
	uint32_t ts = 1000;

	pair_start(&c);
	t.flags |= SH_TRACK_NACK;
	world_track(0, &c.pub, &t);
	for (uint16_t i = 0; i < 100; i++) {
		bool dtx = i >= 40 && i < 60;

		send_rtp(&c.pub, &(struct rtp){.pt = PT_OPUS,
		                               .seq = i,
		                               .ts = ts,
		                               .ssrc = SSRC_AUDIO,
		                               .payload = (const uint8_t *)"opus payload",
		                               .len = dtx ? 1 : 12});
		world_run(dtx ? 400 : 20);
		assert_true(peer_take_rtp(&c.sub, &o));
		assert_false(peer_take_rtp(&c.sub, &last));
		assert_true(!i || o.hdr.ts == last.hdr.ts + (i > 40 && i <= 60 ? 19200u : 960u));
		assert_true(!i || o.hdr.seq == (uint16_t)(last.hdr.seq + 1));
		assert_int_equal(o.hdr.payload_len, dtx ? 1 : 12);
		last = o;
		ts += dtx ? 19200 : 960;
		assert_true(dp_node(world.w[0])->track[0].alive & 1);
		if (i > 50 && i < 60)
			assert_true(dp_slabs.track[0].level > DP_LEVEL_UNTOLD); // silent
	}
	assert_int_equal(count_rtcp(&c.pub, DP_RTCP_RTPFB, DP_RTCP_RTPFB_NACK, NULL), 0);
	assert_int_equal(dp_slabs.track[0].media[0].max_ext_seq -
	                     dp_slabs.track[0].media[0].base_ext_seq + 1,
	                 dp_slabs.track[0].media[0].received);
	pair_stop(&c);
}

int stories_slots(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(loudest_are_heard), cmocka_unit_test(sources_leave),
	    cmocka_unit_test(video_follows),     cmocka_unit_test(pinned_and_followed),
	    cmocka_unit_test(voices_move),       cmocka_unit_test(pictures_move),
	    cmocka_unit_test(outlives),          cmocka_unit_test(picture_comes_back),
	    cmocka_unit_test(dtx_is_no_loss),
	};

	return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
