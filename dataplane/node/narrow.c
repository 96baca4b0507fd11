#include "dataplane/node/narrow.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum {
	TWCC_ID = 5,
	FRAME_MS = 40,
	ONE_WAY_QUEUE_MS = 300, // the link's queue holds so much, and drops what comes on top
};

/* Bytes of a frame of each simulcast layer, 25 a second: 150, 500 and 1500 kb/s. */
static const uint32_t frame_bytes[LAYERS] = {750, 2500, 7500};

void narrow_publish(struct narrow *k, uint8_t flags, unsigned layers, const uint32_t *bytes)
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

void narrow_subscribe(struct narrow *k, uint8_t flags)
{
	struct sh_msg_sub_set s = video_sub;

	narrow_publish(k, flags, LAYERS, frame_bytes);
	s.max_temporal = SH_MAX_TEMPORAL - 1;
	world_sub(2, 2, &k->c.sub, &s);
}

static void send_frame(struct narrow *k, unsigned l)
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

static void publisher_hears(struct narrow *k)
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

static void check_video(struct narrow *k, const struct rtp_out *o)
{
	if (k->any_video && o->hdr.seq != k->next_video)
		k->gap = true;
	k->any_video = true;
	k->next_video = (uint16_t)(o->hdr.seq + 1);
	k->video++;
}

void narrow_onto(struct narrow *k)
{
	struct rtp_out o;

	while (peer_take_rtp(&k->c.sub, &o)) {
		uint32_t bytes = o.len + 16 + 28;
		uint64_t start = RTE_MAX(k->free_ns, world.now_ns);
		struct narrow_flight *f = &k->flight[k->head % FLIGHT];

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
		*f = (struct narrow_flight){
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

static void subscriber_tells(struct narrow *k)
{
	uint8_t buf[1200], ignored[FRAME_MAX];
	struct dp_rtcp_out o = {buf, sizeof(buf), 0};
	uint32_t len;

	while (peer_take_rtcp(&k->c.sub, ignored, &len))
		;
	for (; k->tail != k->head; k->tail++) {
		const struct narrow_flight *f = &k->flight[k->tail % FLIGHT];

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

void narrow_clear(struct narrow *k)
{
	k->arrived = k->video = k->lost = k->audio_sent = k->audio_out = k->rtx = k->padding = 0;
	k->worst_queue_ns = 0;
	k->gap = k->any_video = false;
}

void narrow_run(struct narrow *k, unsigned ms)
{
	narrow_clear(k);
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
		narrow_onto(k);
		assert_int_equal(k->audio_out, k->audio_sent); // it never waits
		subscriber_tells(k);
		narrow_onto(k);
		publisher_hears(k);
		world_forget_out();
	}
}

const struct sh_bwe *narrow_bwe(void)
{
	return &dp_slabs.endpoint[1].bwe;
}
