/* For the stories of bandwidth: a subscriber behind a link that is modelled here: a queue of so many
 * bytes in front of so many bits a second, a delay, and a receiver that tells what arrived. */
#pragma once
#include "dataplane/bwe/twcc.h"
#include "dataplane/node/story.h"

enum {
	LAYER_SSRC = 0xd0000000,
	LAYERS = 3,
	DELAY_MS = 20,
	FLIGHT = 4096 /* packets on the link */
};

struct narrow_flight {
	uint64_t arrives_ns;
	uint32_t bytes, ssrc;
	uint16_t seq;
	bool twcc;
};

struct narrow {
	struct pair c;
	uint64_t bps;    // 0: no limit
	unsigned layers; // that are sent, of these bytes a frame
	const uint32_t *bytes;
	uint64_t free_ns;
	struct narrow_flight flight[FLIGHT];
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

/* The publisher's camera with so many simulcast layers, of these bytes a frame, 25 a second; and a
 * subscriber with those SH_EP_ flags, who gets the microphone only. */
void narrow_publish(struct narrow *k, uint8_t flags, unsigned layers, const uint32_t *bytes);
/* Three layers of 150, 500 and 1500 kb/s, and a subscriber to all. */
void narrow_subscribe(struct narrow *k, uint8_t flags);
/* So many milliseconds of all layers of video, and audio every 20. What was seen begins anew. */
void narrow_run(struct narrow *k, unsigned ms);
void narrow_clear(struct narrow *k);   // what was seen
void narrow_onto(struct narrow *k);    // what leaves for the subscriber goes onto the link
const struct sh_bwe *narrow_bwe(void); // the subscriber's, as told in the slab
