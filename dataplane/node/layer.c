#include "dataplane/node/layer.h"

uint8_t dp_layer_target(const struct dp_layer_in *in)
{
	uint8_t lowest = 0;

	for (int l = SH_MAX_LAYERS - 1; l >= 0; l--) {
		if (!(in->active & 1u << l))
			continue;
		if (l <= in->limit)
			return (uint8_t)l;
		lowest = (uint8_t)l;
	}
	return lowest;
}

enum dp_layer_verdict dp_layer_choose(uint8_t *current, const struct dp_layer_in *in, uint8_t *ask)
{
	uint8_t target = in->layers > 1 ? dp_layer_target(in) : 0;

	*ask = 0;
	if (*current == target)
		return in->layer == target ? DP_LAYER_SEND : DP_LAYER_SKIP;
	if (in->layer == target && in->key) {
		*current = target;
		return DP_LAYER_SWITCH;
	}
	*ask = (uint8_t)(1u << target);
	if (*current == DP_LAYER_NONE) {
		// any layer within the limit is a picture at once; the target follows
		if (in->key && in->layer <= in->limit) {
			*current = in->layer;
			return DP_LAYER_SWITCH;
		}
		return in->layer == target ? DP_LAYER_WAIT : DP_LAYER_SKIP;
	}
	return in->layer == *current ? DP_LAYER_SEND : DP_LAYER_SKIP;
}
