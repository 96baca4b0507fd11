/* Bandwidth: a subscriber behind a link that is modelled here: a queue of so many bytes in front of
 * so many bits a second, a delay, and a receiver that tells what arrived. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/bwe/twcc.h"
#include "dataplane/node/layer.h"
#include "dataplane/node/link.h"
#include "dataplane/node/story.h"

enum {
	TWCC_ID = 5,
	LAYER_SSRC = 0xd0000000,
	LAYERS = 3,
	FLIGHT = 4096, // packets on the modelled link
	FRAME_MS = 40,
	DELAY_MS = 20,
	ONE_WAY_QUEUE_MS = 300, // the link's queue holds so much, and drops what comes on top
};

/* Bytes of a frame of each simulcast layer, 25 a second: 150, 500 and 1500 kb/s. */
static const uint32_t frame_bytes[LAYERS] = {750, 2500, 7500};

struct flight {
	uint64_t arrives_ns;
	uint32_t bytes, ssrc;
	uint16_t seq;
	bool twcc;
};

struct link {
	struct pair c;
	uint64_t bps;    // 0: no limit
	unsigned layers; // that are sent, of these bytes a frame
	const uint32_t *bytes;
	uint64_t free_ns;
	struct flight flight[FLIGHT];
	unsigned head, tail;
	struct dp_twcc_rx rx;
	bool feedback, mute, busy; // mute: no audio; busy: the publisher makes no key frames
	/* the publisher */
	uint16_t seq[LAYERS], audio_seq;
	uint32_t ts;
	unsigned key; // bit l: a key frame is asked for
	/* what was seen since it was last cleared */
	uint64_t arrived, video, lost, audio_sent, audio_out, rtx, padding;
	uint64_t worst_queue_ns;
	uint16_t next_video;
	bool any_video, gap;
};

/* The publisher's camera, and a subscriber that says so much of what arrives, to the microphone
 * only. */
static void publish(struct link *k, uint8_t flags, unsigned layers, const uint32_t *bytes)
{
	struct sh_msg_track_set t = video_track;

	memset(k, 0, sizeof(*k));
	k->layers = t.layers = (uint8_t)layers;
	k->bytes = bytes;
	for (unsigned l = 0; l < layers; l++) {
		t.layer[l].ssrc = LAYER_SSRC + l;
		t.layer[l].rtx_ssrc = 0;
		t.layer[l].rid_len = layers > 1;
		t.layer[l].rid[0] = layers > 1 ? (uint8_t)('a' + l) : 0;
	}
	pair_start(&k->c);
	world_del(SH_DEL_TRACK, world_id(1));
	world_track(2, &k->c.pub, &t);
	k->c.sub.set.flags = flags;
	peer_ext(&k->c.sub, SH_EXT_ABS_SEND_TIME, 4);
	if (flags & SH_EP_TWCC)
		peer_ext(&k->c.sub, SH_EXT_TWCC, TWCC_ID);
	k->feedback = flags & SH_EP_TWCC;
	k->key = 7;
}

static void subscribe(struct link *k, uint8_t flags)
{
	struct sh_msg_sub_set s = video_sub;

	publish(k, flags, LAYERS, frame_bytes);
	s.max_temporal = SH_MAX_TEMPORAL - 1;
	world_sub(2, 2, &k->c.sub, &s);
}

static void send_frame(struct link *k, unsigned l)
{
	bool key = k->key & 1u << l;
	uint32_t left = k->bytes[l] * (key ? 4 : 1);

	k->key &= ~(1u << l);
	for (bool first = true; left; first = false) {
		uint32_t n = RTE_MIN(left, 1000u);
		uint8_t payload[1000] = {0};

		if (first)
			memcpy(payload,
			       (uint8_t[]){0x10, key ? 0x10 : 0x11, 0, 0, 0x9d, 0x01, 0x2a,
			                   (320 << l) & 255, (320 << l) >> 8, (180 << l) & 255,
			                   (180 << l) >> 8},
			       11);
		left -= n;
		send_rtp(&k->c.pub, &(struct rtp){.pt = PT_VP8,
		                                  .marker = !left,
		                                  .seq = k->seq[l]++,
		                                  .ts = k->ts,
		                                  .ssrc = LAYER_SSRC + l,
		                                  .payload = payload,
		                                  .len = n});
	}
}

static void publisher_hears(struct link *k)
{
	uint8_t buf[FRAME_MAX];
	uint32_t len;

	while (peer_take_rtcp(&k->c.pub, buf, &len)) {
		struct dp_rtcp_iter it;
		struct dp_rtcp_pkt p;
		struct dp_rtcp_fb fb;

		assert_int_equal(dp_rtcp_first(&it, buf, len, 0), 0);
		while (dp_rtcp_next(&it, &p))
			if (p.type == DP_RTCP_PSFB && p.count == DP_RTCP_PSFB_PLI && !k->busy &&
			    !dp_rtcp_fb(&fb, &p) && fb.media - LAYER_SSRC < LAYERS)
				k->key |= 1u << (fb.media - LAYER_SSRC);
	}
}

static void check_video(struct link *k, const struct rtp_out *o)
{
	if (k->any_video && o->hdr.seq != k->next_video)
		k->gap = true;
	k->any_video = true;
	k->next_video = (uint16_t)(o->hdr.seq + 1);
	k->video++;
}

/* What leaves for the subscriber goes onto the link. */
static void onto_link(struct link *k)
{
	struct rtp_out o;

	while (peer_take_rtp(&k->c.sub, &o)) {
		uint32_t bytes = o.len + 16 + 28;
		uint64_t start = RTE_MAX(k->free_ns, world.now_ns);
		struct flight *f = &k->flight[k->head % FLIGHT];

		if (o.hdr.ssrc == OUR_AUDIO)
			k->audio_out++;
		else if (o.hdr.ssrc == OUR_VIDEO)
			check_video(k, &o);
		else if (o.hdr.padding)
			k->padding++;
		else
			k->rtx++;
		k->worst_queue_ns = RTE_MAX(k->worst_queue_ns, start - world.now_ns);
		if (k->bps && start - world.now_ns > ONE_WAY_QUEUE_MS * UINT64_C(1000000)) {
			k->lost++;
			continue;
		}
		if (k->bps)
			k->free_ns = start + bytes * UINT64_C(8000000000) / k->bps;
		*f = (struct flight){
		    .arrives_ns = RTE_MAX(k->free_ns, world.now_ns) + DELAY_MS * UINT64_C(1000000),
		    .bytes = bytes,
		    .ssrc = o.hdr.ssrc,
		    .twcc = o.exts.present & 1u << SH_EXT_TWCC,
		};
		if (f->twcc)
			f->seq = dp_get16(o.buf + o.exts.off[SH_EXT_TWCC]);
		k->head++;
		assert_true(k->head - k->tail < FLIGHT);
	}
}

static void subscriber_tells(struct link *k)
{
	uint8_t buf[1200], ignored[FRAME_MAX];
	struct dp_rtcp_out o = {buf, sizeof(buf), 0};
	uint32_t len;

	while (peer_take_rtcp(&k->c.sub, ignored, &len))
		;
	for (; k->tail != k->head; k->tail++) {
		const struct flight *f = &k->flight[k->tail % FLIGHT];

		if (f->arrives_ns > world.now_ns)
			break;
		k->arrived += f->bytes;
		if (f->twcc)
			dp_twcc_rx(&k->rx, f->seq, f->ssrc, f->bytes, f->arrives_ns);
	}
	if (!k->feedback || !dp_twcc_rx_due(&k->rx, world.now_ns))
		return;
	dp_rtcp_put_rr(&o, 0x5555, NULL, 0);
	(void)dp_twcc_rx_put(&k->rx, &o, 0x5555, 0, world.now_ns);
	peer_rtcp(&k->c.sub, buf, o.len);
}

static void clear(struct link *k)
{
	k->arrived = k->video = k->lost = k->audio_sent = k->audio_out = k->rtx = k->padding = 0;
	k->worst_queue_ns = 0;
	k->gap = k->any_video = false;
}

/* So many milliseconds of three layers of video and audio every 20. */
static void run(struct link *k, unsigned ms)
{
	clear(k);
	for (unsigned i = 0; i < ms; i++) {
		world.now_ns += 1000000;
		if (i % FRAME_MS == 0) {
			for (unsigned l = 0; l < k->layers; l++)
				send_frame(k, l);
			k->ts += 90 * FRAME_MS;
		}
		if (i % 20 == 7 && !k->mute) {
			send_audio(&k->c.pub, k->audio_seq++);
			k->audio_sent++;
		}
		if (i % 5000 == 0) { // consent (RFC 7675)
			peer_check(&k->c.pub, PEER_NOMINATE);
			peer_check(&k->c.sub, PEER_NOMINATE);
		}
		world_walk();
		onto_link(k);
		assert_int_equal(k->audio_out, k->audio_sent); // it never waits
		subscriber_tells(k);
		onto_link(k);
		publisher_hears(k);
		world_forget_out();
	}
}

static const struct sh_bwe *bwe(void)
{
	return &dp_slabs.endpoint[1].bwe;
}

/* 5 Mb/s, then 500 kb/s, then 5 Mb/s again. */
static void follows_the_link(void **state)
{
	static struct link k;

	subscribe(&k, SH_EP_TWCC);
	k.bps = 5000000;
	run(&k, 15000);
	assert_int_equal(dp_slabs.sub[2].layer, 2);
	assert_true(bwe()->estimate_bps > 1700000);
	assert_true(bwe()->feedbacks > 100);
	assert_in_range(bwe()->rtt_us, DELAY_MS * 1000, DELAY_MS * 5000);
	assert_true(world_stat(SH_STAT_twcc_in) > 100);

	k.bps = 500000;
	run(&k, 10000);
	run(&k, 5000);
	assert_true(dp_slabs.sub[2].layer < 2);
	assert_in_range(bwe()->estimate_bps, 200000, 600000);
	assert_true(k.lost < 20);
	assert_true(k.worst_queue_ns < 200000000);
	assert_false(k.gap); // nothing was dropped between us and the link
	assert_true(k.arrived > 150000 / 8 * 5);

	k.bps = 5000000;
	run(&k, 20000);
	run(&k, 2000);
	assert_int_equal(dp_slabs.sub[2].layer, 2);
	assert_false(k.gap);
	assert_true(world_stat(SH_STAT_probes) > 0);
	assert_true(world_stat(SH_STAT_padding_bytes) > 0);
	assert_true(bwe()->probes > 0);
	assert_int_equal(world_stat(SH_STAT_drop_pace_full), 0);
	assert_int_equal(world_stat(SH_STAT_drop_pace_late), 0);
	pair_stop(&k.c);
}

/* Not enough for the lowest layer: the video is paused, the audio is not, and it resumes. */
static void pauses_video(void **state)
{
	static struct link k;

	subscribe(&k, SH_EP_TWCC);
	k.bps = 100000;
	run(&k, 20000);
	assert_int_equal(dp_slabs.sub[2].want_layer, DP_LAYER_NONE);
	run(&k, 1000);
	assert_int_equal(k.video, 0);
	assert_int_equal(k.audio_out, 50);
	assert_int_equal(k.lost, 0);
	k.bps = 2000000;
	run(&k, 40000);
	run(&k, 1000);
	assert_int_not_equal(dp_slabs.sub[2].want_layer, DP_LAYER_NONE);
	assert_true(k.video > 20);
	pair_stop(&k.c);
}

/* A picture of one layer, 1.5 Mb/s, whose cost is known by now, comes to be wanted by one whose link
 * nobody knows: its key frame takes a while, and is not there before the allocator was. */
static void begin_with(struct link *k, const struct sh_msg_sub_set *like, bool sound, bool answers)
{
	static const uint32_t bytes[] = {7500};
	struct sh_msg_sub_set s = *like;

	publish(k, SH_EP_TWCC, 1, bytes);
	k->mute = !sound;
	k->feedback = answers;
	if (!sound)
		world_del(SH_DEL_SUB, world_id(0));
	s.flags |= SH_SUB_PAUSED;
	world_sub(2, 2, &k->c.sub, &s);
	k->bps = 20000000;
	run(k, 3000);
	assert_int_equal(k->video, 0);
	s.flags = like->flags;
	k->busy = true;
	world_sub(2, 2, &k->c.sub, &s);
	run(k, 300);
	k->busy = false;
}

/* No microphone, so nothing is sent that could be answered, if not padding. */
static void newcomer(void **state)
{
	static struct link k;

	begin_with(&k, &video_sub, false, true);
	assert_true(k.padding > 20);
	run(&k, 1700);
	run(&k, 1000);
	assert_true(k.video >= 24 * 8);
	assert_false(k.gap);
	assert_true(bwe()->estimate_bps > 1600000);
	pair_stop(&k.c);
}

/* The same to one that answers nothing: it is left alone, and has its picture. */
static void newcomer_says_nothing(void **state)
{
	static struct link k;

	begin_with(&k, &video_sub, false, false);
	run(&k, 3000);
	for (unsigned i = 0; i < 3; i++) {
		run(&k, 60000);
		assert_in_range(bwe()->probes, 1, 8);
		assert_true(k.video >= 60 * 24 * 8);
	}
	assert_int_equal(k.padding, 0);
	assert_int_equal(bwe()->feedbacks, 0);
	pair_stop(&k.c);
}

static struct sh_msg_sub_set without_rtx(uint8_t flags)
{
	struct sh_msg_sub_set s = video_sub;

	s.rtx_ssrc = 0;
	s.pt[1] = 255;
	s.flags = flags;
	return s;
}

/* Nothing to pad with: the picture itself shows what the link has. With NACK and no RTX it carries
 * no transport-wide numbers either. */
static void newcomer_without_rtx(void **state)
{
	for (unsigned nack = 0; nack < 2; nack++) {
		static struct link k;
		struct sh_msg_sub_set s = without_rtx(nack ? SH_SUB_NACK : 0);

		begin_with(&k, &s, false, true);
		run(&k, 700);
		run(&k, 1000);
		assert_true(k.video >= 24 * 8);
		run(&k, 20000);
		assert_true(k.video >= 20 * 24 * 8);
		assert_false(k.gap);
		assert_int_equal(k.padding, 0);
		assert_true(nack || bwe()->estimate_bps > 1400000);
		pair_stop(&k.c);
	}
}

/* On a link that has not enough it is taken away within a second, and tried once in 10 s or less;
 * the sound goes on. */
static void newcomer_does_not_fit(void **state)
{
	for (unsigned nack = 0; nack < 2; nack++) {
		static struct link k;
		struct sh_msg_sub_set s = without_rtx(nack ? SH_SUB_NACK : 0);
		uint64_t tried = 0;

		begin_with(&k, &s, true, true);
		k.bps = 300000;
		run(&k, 1000);
		assert_int_equal(dp_slabs.sub[2].want_layer, DP_LAYER_NONE);
		assert_true(k.video > 0);
		for (unsigned i = 0; i < 29; i++) {
			run(&k, 1000);
			tried += k.video > 0;
		}
		assert_in_range(tried, 1, 5);
		pair_stop(&k.c);
	}
}

/* Nothing negotiated: all that it wants, at once, and no word of bandwidth. */
static void without_feedback(void **state)
{
	static struct link k;

	subscribe(&k, 0);
	k.bps = 300000;
	run(&k, 3000);
	assert_int_equal(dp_slabs.endpoint[1].linked, 0);
	assert_int_equal(dp_slabs.sub[2].layer, 2);
	assert_int_equal(bwe()->estimate_bps, 0);
	assert_int_equal(world_stat(SH_STAT_pace_queued), 0);
	assert_int_equal(world_stat(SH_STAT_probes), 0);
	pair_stop(&k.c);
}

/* Who asks for a size gets that size, with or without an estimate. */
static void sizes(void **state)
{
	static const uint8_t flags[] = {0, SH_EP_TWCC};

	for (unsigned how = 0; how < 2; how++) {
		static struct link k;
		struct sh_msg_sub_set s = video_sub;

		subscribe(&k, flags[how]);
		s.max_temporal = SH_MAX_TEMPORAL - 1;
		s.want_height = 300;
		world_sub(2, 2, &k.c.sub, &s);
		run(&k, 8000);
		assert_int_equal(dp_slabs.sub[2].layer, 1);
		s.want_height = 0;
		world_sub(2, 2, &k.c.sub, &s);
		run(&k, 5000);
		assert_int_equal(dp_slabs.sub[2].layer, 2);
		pair_stop(&k.c);
	}
}

static void tell_remb(struct link *k, uint64_t bps)
{
	uint32_t ssrc = OUR_VIDEO;
	uint8_t buf[200];
	struct dp_rtcp_out o = {buf, sizeof(buf), 0};

	dp_rtcp_put_rr(&o, 0x5555, NULL, 0);
	dp_rtcp_put_remb(&o, 0x5555, bps, &ssrc, 1);
	peer_rtcp(&k->c.sub, buf, o.len);
}

static void remb_is_the_estimate(void **state)
{
	static struct link k;

	subscribe(&k, SH_EP_REMB);
	for (unsigned s = 0; s < 5; s++) {
		run(&k, 1000);
		tell_remb(&k, 400000);
	}
	run(&k, 1000);
	assert_int_equal(dp_slabs.sub[2].layer, 0);
	assert_in_range(bwe()->estimate_bps, 300000, 400000);
	assert_in_range(bwe()->remb_bps, 390000, 400000);
	assert_true(world_stat(SH_STAT_remb_in) >= 5);
	for (unsigned s = 0; s < 8; s++) {
		tell_remb(&k, 3000000);
		run(&k, 1000);
	}
	assert_int_equal(dp_slabs.sub[2].layer, 2);
	pair_stop(&k.c);
}

/* With transport-wide feedback of a fast link, REMB is a cap. */
static void remb_caps(void **state)
{
	static struct link k;

	subscribe(&k, SH_EP_TWCC | SH_EP_REMB);
	for (unsigned s = 0; s < 10; s++) {
		tell_remb(&k, 400000);
		run(&k, 1000);
	}
	assert_int_equal(dp_slabs.sub[2].layer, 0);
	assert_true(bwe()->estimate_bps <= 400000);
	pair_stop(&k.c);
}

/* A frame of so many packets of the layer that is being sent. */
static void send_burst(struct link *k, unsigned packets)
{
	unsigned l = dp_slabs.sub[2].layer;

	assert_true(l < LAYERS);
	for (unsigned i = 0; i < packets; i++)
		send_video_as(&k->c.pub, LAYER_SSRC + l, k->seq[l]++, k->ts, i == 0);
	world_walk();
}

/* A big key frame leaves bit by bit, in order and without a gap; audio passes it. */
static void paces(void **state)
{
	static struct link k;
	uint32_t first, spread = 0;

	subscribe(&k, SH_EP_TWCC);
	run(&k, 300);
	clear(&k);
	send_burst(&k, 40);
	onto_link(&k);
	first = (uint32_t)k.video;
	assert_in_range(first, 1, 12);
	assert_true(world_stat(SH_STAT_pace_queued) > 20);
	send_audio(&k.c.pub, k.audio_seq++);
	world_walk();
	onto_link(&k);
	assert_int_equal(k.audio_out, 1);
	for (unsigned ms = 0; ms < 400; ms++) {
		uint64_t before = k.video;

		world_run(1);
		onto_link(&k);
		spread += k.video != before;
		assert_true(k.video - before <= 8);
	}
	assert_true(spread > 20);
	assert_true(k.video >= 40);
	assert_false(k.gap);
	assert_int_equal(world_stat(SH_STAT_drop_pace_late), 0);
	pair_stop(&k.c);
}

/* Whoever goes while packets wait takes them along. */
static void goes_with_a_queue(void **state)
{
	for (unsigned how = 0; how < 4; how++) {
		static struct link k;

		subscribe(&k, SH_EP_TWCC);
		run(&k, 300);
		send_burst(&k, 60);
		assert_true(world_stat(SH_STAT_pace_queued) > 20);
		if (how == 0)
			world_del(SH_DEL_ENDPOINT, k.c.sub.id);
		if (how == 1)
			world_del(SH_DEL_SUB, world_id(2));
		if (how == 2)
			world_del(SH_DEL_TRACK, world_id(2));
		if (how == 3)
			world_restart();
		world_run(how ? 1500 : 3);
		if (how == 0)
			assert_int_equal(dp_slabs.endpoint[1].linked, 0);
		if (how == 3) // another process, the same endpoint: it has a link again
			assert_int_equal(dp_slabs.endpoint[1].linked, k.c.sub.id);
		pair_stop(&k.c);
	}
}

/* Another process begins where the one before it ended: the link is still what it was. */
static void restarts_where_it_was(void **state)
{
	static struct link k;
	uint64_t before;

	subscribe(&k, SH_EP_TWCC);
	k.bps = 5000000;
	run(&k, 15000);
	assert_int_equal(dp_slabs.sub[2].layer, 2);
	run(&k, 2000);
	before = k.video;
	world_restart();
	peer_path(&k.c.pub);
	peer_path(&k.c.sub);
	run(&k, 2000);
	assert_int_equal(dp_slabs.sub[2].layer, 2);
	assert_true(k.video > before * 9 / 10);
	assert_false(k.gap);
	assert_true(bwe()->estimate_bps > 1700000);
	pair_stop(&k.c);
}

/* The worker did not come to it for long: what waited is worthless, the next key frame is not. */
static void too_old(void **state)
{
	static struct link k;

	subscribe(&k, SH_EP_TWCC);
	run(&k, 300);
	send_burst(&k, 60);
	onto_link(&k);
	world.now_ns += 2000000000;
	world_run(2);
	assert_true(world_stat(SH_STAT_drop_pace_late) > 10);
	onto_link(&k);
	k.key = 0;
	run(&k, 3000);
	assert_true(k.video > 20);
	assert_false(k.gap);
	pair_stop(&k.c);
}

/* No estimate any more: layers and packets as they come. */
static void feedback_no_longer_agreed(void **state)
{
	static struct link k;

	subscribe(&k, SH_EP_TWCC);
	k.bps = 300000;
	run(&k, 8000);
	assert_true(dp_slabs.sub[2].layer < 2);
	k.c.sub.set.flags = 0;
	peer_ext(&k.c.sub, SH_EXT_TWCC, 0);
	k.feedback = false;
	k.bps = 0;
	run(&k, 3000);
	assert_int_equal(dp_slabs.endpoint[1].linked, 0);
	assert_int_equal(bwe()->estimate_bps, 0);
	assert_int_equal(dp_slabs.sub[2].layer, 2);
	pair_stop(&k.c);
}

int stories_bwe(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_feedback),
	    cmocka_unit_test(sizes),
	    cmocka_unit_test(follows_the_link),
	    cmocka_unit_test(pauses_video),
	    cmocka_unit_test(newcomer),
	    cmocka_unit_test(newcomer_says_nothing),
	    cmocka_unit_test(newcomer_without_rtx),
	    cmocka_unit_test(newcomer_does_not_fit),
	    cmocka_unit_test(remb_is_the_estimate),
	    cmocka_unit_test(remb_caps),
	    cmocka_unit_test(paces),
	    cmocka_unit_test(goes_with_a_queue),
	    cmocka_unit_test(restarts_where_it_was),
	    cmocka_unit_test(too_old),
	    cmocka_unit_test(feedback_no_longer_agreed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
