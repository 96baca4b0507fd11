/* A synthetic RTP source: when the next packet is due and what it looks like. Pure; time is an
 * argument.
 *
 * Audio: one packet every 20 ms, 960 ticks of 48 kHz. Video: VP8 (RFC 7741) at a bitrate that may
 * change, frames as the payload size divides them, the picture id, TL0PICIDX and key frame header
 * that a forwarder looks at; the rest is filler. Header extensions as far as conf.ext has ids for
 * them. Each payload has a stamp: when it was made
 * (CLOCK_MONOTONIC), found by its mark at a fixed place.
 *
 * Of the last packets it remembers what they were made of, so that those that are asked for again
 * can be made again: as RTX, or bit for bit. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "bench/loadgen/ext.h"

enum {
	LG_STAMP_AT = 20, // of the payload
	LG_STAMP_LEN = 12,
	LG_SOURCE_MAX = 1400,
	LG_AGAIN_MS = 5, // a packet is not repeated sooner, however often it is asked for
};

struct lg_source_conf {
	bool video, paced;
	uint32_t ssrc;
	uint8_t pt;
	uint16_t size; // payload bytes
	uint32_t kbps, fps;
	uint8_t ext[LG_EXTS]; // ids, 0: not written
	char mid[12], rid[12];
	uint32_t *twcc; // next transport-wide number: one for all sources of a transport
	bool rtx;       // RFC 4588, by this SSRC and payload type
	uint8_t rtx_pt;
	uint32_t rtx_ssrc;
	uint16_t seq;
	uint32_t ts;
};

/* What a packet was made of. */
struct lg_made {
	uint64_t index; // conf.seq + packets before it: sequence number and rollover counter
	uint64_t at_ns, again_ns;
	uint32_t ts;
	uint16_t twcc, picture_id;
	uint8_t tl0, level;
	bool start, last, key; // of a frame; it is a key frame
};

struct lg_source {
	struct lg_source_conf conf;
	struct lg_made *kept; // the caller's; a ring, by index
	uint32_t kept_mask;
	uint64_t repeats;          // RTX packets made
	uint64_t origin_ns;        // of packet 0
	uint64_t k;                // packets made since origin
	double interval_ns;        // between packets, on average
	uint64_t due_ns;           // of the next
	uint32_t ts0;              // timestamp of frame 0 since origin
	uint64_t last_frame;       // of the last packet
	bool begun, want_key, key; // key: the frame that is being sent is one
	uint16_t picture_id;
	uint8_t tl0;
	uint64_t packets, bytes;
	uint32_t key_frames, last_ts;
	uint8_t level; // of the next packet (RFC 6464 §3): 0x80 voice; dB below overload
};

void lg_source_init(struct lg_source *s, const struct lg_source_conf *conf, uint64_t now_ns);
/* From now on; sequence numbers and timestamps go on. */
void lg_source_rate(struct lg_source *s, uint32_t kbps, uint64_t now_ns);
/* The next frame that begins is a key frame. */
void lg_source_key(struct lg_source *s);
/* A pause ends: the past is not made up for. */
void lg_source_resume(struct lg_source *s, uint64_t now_ns);
/* The packet that is due, without SRTP, into buf of LG_SOURCE_MAX; returns its length. */
size_t lg_source_next(struct lg_source *s, uint8_t *buf, uint64_t now_ns);
/* From now on the last n packets (a power of two) are remembered, in the caller's memory. */
void lg_source_keep(struct lg_source *s, struct lg_made *kept, uint32_t n);
/* The packet `seq` once more, without SRTP, into buf of LG_SOURCE_MAX + 2: as RTX when conf.rtx,
 * else as it was. Returns its length and in *roc its rollover counter; 0: it is not remembered, or
 * was repeated less than LG_AGAIN_MS ago. */
size_t lg_source_again(struct lg_source *s, uint16_t seq, uint8_t *buf, uint32_t *roc,
                       uint64_t now_ns);
/* Rollover counter of the packet made last (RFC 3711 §3.3.1). */
uint32_t lg_source_roc(const struct lg_source *s);
double lg_source_pps(const struct lg_source *s);

/* What the index-th of n publishers sends as its level when `talkers` of them speak at a time and
 * the next ones have their turn after turn_s; talkers 0: all speak. */
uint8_t lg_talk_level(unsigned index, unsigned n, unsigned talkers, unsigned turn_s,
                      uint64_t now_ns);

/* When a payload (decrypted, without the RTP header) was made; 0: it is none of ours. */
uint64_t lg_stamp(const uint8_t *payload, size_t len);
