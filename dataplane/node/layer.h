/* Which simulcast layer a subscriber gets. Pure. A switch happens only where a decoder can start:
 * at a key frame of the layer switched to. Audio and single-layer tracks are layer 0 with every
 * audio packet a start. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shared/limits.h"

enum { DP_LAYER_NONE = 255 };

enum dp_layer_verdict {
	DP_LAYER_SKIP, // not the layer that is sent: nothing is lost
	DP_LAYER_WAIT, // nothing is sent until a key frame comes: the packet counts as dropped
	DP_LAYER_SEND,
	DP_LAYER_SWITCH, // send, as the first of a new segment; *current was changed
};

struct dp_layer_in {
	uint8_t layers; // of the track, 1..SH_MAX_LAYERS
	uint8_t active; // bit l: layer l had packets lately; the packet's own bit is set
	uint8_t limit;  // highest that may be sent: min(want_layer, max_layer)
	uint8_t layer;  // the packet's
	bool key;       // it starts a key frame, or is audio
};

/* The layer to aim at: the highest active one within the limit, else the lowest active one. */
uint8_t dp_layer_target(const struct dp_layer_in *in);
/* *current: layer being sent or DP_LAYER_NONE. *ask: bit l = a key frame of layer l is wanted. */
enum dp_layer_verdict dp_layer_choose(uint8_t *current, const struct dp_layer_in *in, uint8_t *ask);
