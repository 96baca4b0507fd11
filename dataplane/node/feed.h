/* For the stories of layers: a publisher of streams that are made of them, one subscriber to its
 * track, and what he got as a decoder would understand it. */
#pragma once
#include "dataplane/node/story.h"

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

extern struct pair feed_pair;

/* A track of so many streams, each of f[] one of them. */
void feed_begin(unsigned codec, unsigned layers, struct feed *f);
void feed_end(void);
/* The highest layers that the subscriber wants. */
void feed_want(unsigned layer, unsigned temporal);
/* A packet. dd: its Dependency Descriptor, when dd_len is not 0. */
void feed_payload(struct feed *f, const uint8_t *payload, uint32_t len, const uint8_t *dd,
                  unsigned dd_len, bool marker);
/* The next packets are of another picture. */
void feed_time(struct feed *f);
/* Key frames that the publisher was asked for. */
uint32_t feed_plis(unsigned layer);

struct seen { // at the subscriber
	struct rtp_out o;
	struct dp_frame_info f;
	struct dp_dd_targets targets;
	uint16_t number; // behind the descriptor
};

/* Everything that came: how many, and the last. */
struct row {
	struct seen last;
	bool any;
	unsigned packets, pictures, keys, marks;
};

extern struct dp_dd feed_dd; // as the subscriber understands them
bool feed_take(struct seen *s, unsigned codec);

/* Asks for a packet that was sent. */
bool feed_ask_again(uint16_t seq, struct rtp_out *rtx);
/* … and what comes is the same, bytes and all. */
void feed_same_again(const struct rtp_out *first);
