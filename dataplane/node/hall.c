#include "dataplane/node/hall.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/event.h"
#include "dataplane/rtp/speaker.h"
#include "dataplane/speaker.h"

struct hall hall;

static const struct sh_msg_track_set opus_slot = {
    .kind = SH_KIND_AUDIO,
    .layers = 1,
    .pt =
        {{PT_OPUS, SH_CODEC_OPUS, 255, 0, 48000}, {255}, {255}, {255}, {255}, {255}, {255}, {255}},
};
/* Another order than the publishers have. */
const struct sh_msg_track_set hall_video_slot = {
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
const struct sh_msg_sub_set hall_video_sub = {
    .ssrc = OUR_VIDEO,
    .rtx_ssrc = OUR_RTX,
    .pt = {110, 111, OUT_VP8, OUT_RTX, 255, 255, 255, 255},
    .mid_len = 2,
    .mid = "s1",
    .flags = SH_SUB_NACK,
    .max_layer = 2,
};

static void track_of(unsigned i, bool video)
{
	struct sh_msg_track_set t = video ? video_track : audio_track;

	t.group = GROUP;
	t.flags |= SH_TRACK_FOLLOW;
	t.layer[0].ssrc += i * 16;
	if (video)
		t.layer[0].rtx_ssrc += i * 16;
	world_track(video ? PUBS + i : i, &hall.pub[i], &t);
}

void hall_start(bool video, unsigned audio_slots)
{
	memset(&hall, 0, sizeof(hall));
	world_start(place.workers, place.backend);
	assert_int_equal(dp_event_init(), 0);
	assert_int_equal(dp_speakers_init(), 0);
	for (unsigned i = 0; i < PUBS; i++) {
		peer_new(&hall.pub[i], i, i % place.workers, SH_SRTP_AEAD_AES_128_GCM, place.ip6);
		hall.pub[i].set.owner = 100 + i;
		peer_ext(&hall.pub[i], SH_EXT_AUDIO_LEVEL, LEVEL_ID);
		track_of(i, false);
		if (video)
			track_of(i, true);
		peer_connect(&hall.pub[i]);
		hall.level[i] = 127;
	}
	peer_new(&hall.ear, LISTENER, place.workers - 1, SH_SRTP_AEAD_AES_128_GCM, place.ip6);
	peer_new(&hall.own_ear, LISTENER + 1, 0, SH_SRTP_AEAD_AES_128_GCM, place.ip6);
	hall.own_ear.set.owner = 100;
	hall.ear.set.owner = 200;
	peer_ext(&hall.ear, SH_EXT_MID, 9);
	peer_ext(&hall.own_ear, SH_EXT_MID, 9);
	for (unsigned i = 0; i < audio_slots; i++) {
		struct sh_msg_sub_set s = audio_sub;

		world_slot(AUDIO_SLOT + i, GROUP, (uint8_t)i, &opus_slot);
		s.ssrc = OUR_AUDIO + 0x100 * i;
		world_sub(2 * i, AUDIO_SLOT + i, &hall.ear, &s);
		world_sub(2 * i + 1, AUDIO_SLOT + i, &hall.own_ear, &s);
	}
	if (video) {
		world_slot(VIDEO_SLOT, GROUP, 0, &hall_video_slot);
		world_sub(8, VIDEO_SLOT, &hall.ear, &hall_video_sub);
		world_sub(9, VIDEO_SLOT, &hall.own_ear, &hall_video_sub);
	}
	peer_connect(&hall.ear);
	peer_connect(&hall.own_ear);
	hall.seq = 65000; // over the wrap
}

void hall_stop(void)
{
	for (unsigned i = 0; i < PUBS; i++)
		peer_free(&hall.pub[i]);
	peer_free(&hall.ear);
	peer_free(&hall.own_ear);
	dp_speakers_free();
	dp_event_free();
	world_stop();
}

void hall_speak(unsigned i)
{
	uint8_t ext[] = {LEVEL_ID << 4, (uint8_t)(hall.level[i] | 0x80), 0, 0};
	uint8_t payload[12] = {(uint8_t)i};

	send_rtp(&hall.pub[i], &(struct rtp){.pt = PT_OPUS,
	                                     .seq = (uint16_t)(hall.seq + 1000 * i),
	                                     .ts = hall.seq * 960u + 777777 * i,
	                                     .ssrc = SSRC_AUDIO + 16 * i,
	                                     .ext = ext,
	                                     .ext_len = sizeof(ext),
	                                     .payload = payload,
	                                     .len = sizeof(payload)});
}

void hall_look(void)
{
	if (world.now_ns - hall.look_at_ns < DP_SPEAKERS_MS * 1000000ull)
		return;
	hall.look_at_ns = world.now_ns;
	dp_speakers_tick(world.now_ns);
}

void hall_talk(unsigned ms)
{
	for (unsigned t = 0; t < ms; t += 20) {
		for (unsigned i = 0; i < PUBS; i++)
			hall_speak(i);
		hall.seq++;
		world_run(20);
		hall_look();
	}
}

uint32_t hall_source(uint32_t slot)
{
	uint32_t id = dp_slabs.track[slot].source;

	return id ? SH_ID_INDEX(id) : UINT32_MAX;
}

void hall_listen(struct peer *p, struct heard *h)
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
