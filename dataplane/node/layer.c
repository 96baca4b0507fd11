#include "dataplane/node/layer.h"

enum { ALL = (1 << SH_MAX_LAYERS) - 1 };

uint8_t dp_layer_target(uint8_t active, uint8_t limit)
{
	uint8_t lowest = 0;

	for (int l = SH_MAX_LAYERS - 1; l >= 0; l--) {
		if (!(active & 1u << l))
			continue;
		if (l <= limit)
			return (uint8_t)l;
		lowest = (uint8_t)l;
	}
	return lowest;
}

static void start(struct dp_layer_at *at, const struct dp_layer_in *in, uint8_t layer)
{
	at->layer = layer;
	at->temporal = in->limit_temporal;
	at->intact = ALL;
}

static void move_temporal(struct dp_layer_at *at, const struct dp_layer_in *in)
{
	const struct dp_frame_info *f = in->f;
	unsigned q = in->layers > 1 ? f->sid : at->layer;

	if ((f->flags & DP_FRAME_PICTURE) && at->temporal > in->limit_temporal)
		at->temporal = in->limit_temporal;
	if (!(f->flags & DP_FRAME_START) || at->temporal >= in->limit_temporal)
		return;
	if (f->flags & DP_FRAME_KEY) {
		at->temporal = in->limit_temporal;
	} else if (f->flags & DP_FRAME_SYNC) {
		if (f->tid == at->temporal + 1)
			at->temporal = f->tid;
	} else if (f->tid <= at->temporal) {
		uint8_t t = in->limit_temporal;

		while (t > at->temporal && !(f->up & DP_UP(q, t)))
			t--;
		at->temporal = t;
	}
}

/* Of the stream that is sent. */
static enum dp_layer_verdict within(struct dp_layer_at *at, const struct dp_layer_in *in)
{
	const struct dp_frame_info *f = in->f;
	bool one = in->layers == 1;

	if (!in->late)
		move_temporal(at, in);
	if (one && (f->sid > at->layer || !(f->need & 1u << at->layer))) {
		if (!f->tid)
			at->intact &= (uint8_t) ~(1u << f->sid);
		return DP_LAYER_LEAVE;
	}
	if (f->tid > at->temporal)
		return DP_LAYER_LEAVE;
	if (one && (at->layer || f->spatial > 1) && (f->flags & DP_FRAME_END) &&
	    f->sid == at->layer)
		return DP_LAYER_MARK;
	return DP_LAYER_SEND;
}

static enum dp_layer_verdict choose_spatial(struct dp_layer_at *at, const struct dp_layer_in *in,
                                            uint8_t *ask)
{
	const struct dp_frame_info *f = in->f;
	uint8_t target = f->spatial > 1 ? dp_layer_target(f->spatial, in->limit) : 0;
	bool key = f->flags & DP_FRAME_KEY;

	if (at->layer == DP_LAYER_NONE) {
		if (!key) {
			*ask = 1;
			return DP_LAYER_WAIT;
		}
		start(at, in, target);
		return DP_LAYER_SWITCH;
	}
	if ((f->flags & DP_FRAME_PICTURE) && !in->late) {
		if (key) {
			at->layer = target;
			at->intact = ALL;
		} else if (target < at->layer && (at->intact & 1u << target)) {
			at->layer = target;
		} else if (target != at->layer) {
			*ask = 1;
		}
	}
	return within(at, in);
}

enum dp_layer_verdict dp_layer_choose(struct dp_layer_at *at, const struct dp_layer_in *in,
                                      uint8_t *ask)
{
	bool key = in->f->flags & DP_FRAME_KEY;
	uint8_t target;

	*ask = 0;
	if (in->layers == 1)
		return choose_spatial(at, in, ask);
	target = dp_layer_target(in->active, in->limit);
	if (at->layer == target)
		return in->layer == target ? within(at, in) : DP_LAYER_SKIP;
	if (in->layer == target && key) {
		start(at, in, target);
		return DP_LAYER_SWITCH;
	}
	*ask = (uint8_t)(1u << target);
	// nothing is sent, or what is has ended: any layer within the limit is a picture at once;
	// the target follows
	if (at->layer == DP_LAYER_NONE || !(in->active & 1u << at->layer)) {
		if (key && in->layer <= in->limit) {
			start(at, in, in->layer);
			return DP_LAYER_SWITCH;
		}
		if (at->layer == DP_LAYER_NONE)
			return in->layer == target ? DP_LAYER_WAIT : DP_LAYER_SKIP;
	}
	return in->layer == at->layer ? within(at, in) : DP_LAYER_SKIP;
}
