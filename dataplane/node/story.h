/* What the stories of the graph tests have in common: a publisher with an audio and a video track,
 * a subscriber to both, packets from the one and what arrives at the other. */
#pragma once
#include "dataplane/node/world.h"

struct CMUnitTest;

enum {
	PT_OPUS = 111,
	PT_VP8 = 96,
	PT_RTX = 97,
	OUT_OPUS = 100,
	OUT_VP8 = 120,
	OUT_RTX = 121,
	SSRC_AUDIO = 0xa0000001,
	SSRC_VIDEO = 0xb0000001,
	SSRC_VIDEO_RTX = 0xb0000002,
	OUR_AUDIO = 0xc0000001,
	OUR_VIDEO = 0xc0000002,
	OUR_RTX = 0xc0000003,
};

extern const struct sh_msg_track_set audio_track, video_track;
extern const struct sh_msg_sub_set audio_sub, video_sub;
extern const uint8_t dtls_hello[17];

struct rtp {
	uint8_t pt, marker;
	uint16_t seq;
	uint32_t ts, ssrc;
	const uint8_t *ext; // elements, padded, of the one-byte form …
	uint32_t ext_len;
	bool two_byte; // … or this one
	const uint8_t *payload;
	uint32_t len;
};

/* Bytes of the packet in buf. */
uint32_t make_rtp(uint8_t *buf, const struct rtp *r);
void send_rtp(struct peer *p, const struct rtp *r);
void send_audio(struct peer *p, uint16_t seq);
void send_video(struct peer *p, uint16_t seq, bool key);
void send_video_as(struct peer *p, uint32_t ssrc, uint16_t seq, uint32_t ts, bool key);
/* What a receiver asks for of a stream, behind an empty report; the graph has walked then. */
void send_pli(struct peer *p, uint32_t media);
void send_fir(struct peer *p, uint32_t media, uint8_t command);
void send_nack(struct peer *p, uint32_t media, uint16_t seq);
/* Packets that arrived at a peer; all are taken. */
unsigned count_rtp(struct peer *p);
/* Packets of one RTCP type (and FMT, for feedback); all RTCP is taken. last: NULL, or the last
 * feedback. */
unsigned count_rtcp(struct peer *p, uint8_t type, uint8_t fmt, struct dp_rtcp_fb *last);

/* Publisher 0 with audio track 0 and video track 1, subscriber 1 to both. */
struct pair {
	struct peer pub, sub;
};

/* Every story is run in each of these places. */
struct place {
	const char *backend;
	unsigned workers; // the subscriber is on the last one
	bool ip6;
	unsigned vlans;
};
extern struct place place;

void pair_start(struct pair *c); // in the present place
void pair_start_on(struct pair *c, uint16_t profile, unsigned workers, bool ip6, unsigned vlans);
void pair_stop(struct pair *c);

/* Each file's stories, in groups. */
int stories_ice(void), stories_media(void), stories_layers(void), stories_svc(void),
    stories_rtcp(void), stories_bwe(void), stories_start(void), stories_told(void), stories_life(void),
    stories_slots(void), stories_slots_video(void), stories_red(void), stories_quality(void),
    stories_impair(void);
