/* Which layers of a track a subscriber gets: what is sent of a simulcast stream, of spatial and of
 * temporal layers. Pure.
 *
 * Quality. Of several streams (simulcast) one is sent, and a switch happens only where a decoder
 * can start: at a key frame of the stream switched to; until then the old one goes on. Of one
 * stream with spatial layers (SVC) those that the wanted one needs are sent. A switch, up or down,
 * happens where a picture begins, so that its end, which is marked, is known in advance: at a key
 * picture; at the next one, when nothing of the other layer has been left out since the last key
 * picture, as of lower layers that all pictures refer to, or of a higher one that the publisher
 * paused, but not with inter-layer prediction on key pictures only (L3T3_KEY); or where the
 * picture's first frame is sent and has the Dependency Descriptor's switch indication for the other
 * layer. A higher frame that turns out to begin anew when the lower ones are on their way (VP9:
 * neither P nor a key picture) is no such place: their end was marked.
 *
 * Temporal layers. Down at the next picture. Up where the stream allows it: at a key frame; VP8:
 * one layer at a frame of it that depends on layer 0 only (Y); otherwise at a frame that is sent
 * and from which on it says that no higher one depends on what was left out (VP9 U, Dependency
 * Descriptor's switch indication, H264's lowest layer). No key frame is asked for.
 *
 * Audio and tracks with one layer are layer 0, every audio packet a start. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "dataplane/rtp/layers.h"

enum { DP_LAYER_NONE = 255 };

enum dp_layer_verdict {
	DP_LAYER_SKIP, // of a stream that is not sent: nothing is lost
	DP_LAYER_WAIT, // nothing is sent until a key frame comes: the packet counts as dropped
	DP_LAYER_SEND,
	DP_LAYER_MARK,   // send, as the end of its picture
	DP_LAYER_LEAVE,  // leave it out of the stream that is sent
	DP_LAYER_SWITCH, // send, as the first of a new segment
};

/* What a subscriber is sent now. */
struct dp_layer_at {
	uint8_t layer;    // stream, or highest spatial layer of a single one; or DP_LAYER_NONE
	uint8_t temporal; // highest temporal layer
	/* bit s: nothing that spatial layer s needs was left out since the last key picture, but
	 * for higher temporal layers; bit 4 + s: nor any of those */
	uint8_t intact;
};

struct dp_layer_in {
	uint8_t layers;         // streams of the track, 1..SH_MAX_LAYERS
	uint8_t active;         // bit l: stream l is being sent; the packet's own bit is set
	uint8_t limit;          // highest stream or spatial layer that may be sent
	uint8_t limit_temporal; // the same, temporal
	uint8_t layer;          // the packet's stream
	bool late;              // a later packet of its stream was seen: it changes nothing
	const struct dp_frame_info *f;
};

/* The layer to aim at: the highest active one within the limit, else the lowest active one. */
uint8_t dp_layer_target(uint8_t active, uint8_t limit);
/* *ask: bit l = a key frame of stream l is wanted. */
enum dp_layer_verdict dp_layer_choose(struct dp_layer_at *at, const struct dp_layer_in *in,
                                      uint8_t *ask);
