#include "dataplane/node/layer.h"

enum { ALL = (1 << SH_MAX_LAYERS) - 1, WHOLE = 4, INTACT = ALL | ALL << WHOLE };

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
	at->intact = INTACT;
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
		at->intact &= (uint8_t) ~((f->tid ? 0 : f->need) | f->need << WHOLE);
		return DP_LAYER_LEAVE;
	}
	if (f->tid > at->temporal)
		return DP_LAYER_LEAVE;
	if (one && (at->layer || f->spatial > 1) && (f->flags & DP_FRAME_END) &&
	    f->sid == at->layer)
		return DP_LAYER_MARK;
	return DP_LAYER_SEND;
}

/* To spatial layer q where a picture begins that is no key picture. false: its frames may refer to
 * what was left out. */
static bool enter(struct dp_layer_at *at, const struct dp_layer_in *in, uint8_t q)
{
	const struct dp_frame_info *f = in->f;
	uint8_t t = in->limit_temporal;

	if (at->intact & 1u << q) {
		if (!(at->intact & 1u << (q + WHOLE)))
			at->temporal = 0; // and up again where the stream allows it
		at->layer = q;
		return true;
	}
	// AV1 RTP specification §A.7: a switch indication counts where its frame can be decoded
	if (!(f->ids.has & DP_IDS_DD) || !(f->flags & DP_FRAME_START) || f->sid > at->layer ||
	    !(f->need & 1u << at->layer) || f->tid > at->temporal)
		return false;
	while (!(f->up & DP_UP(q, t)))
		if (!t--)
			return false;
	at->layer = q;
	at->temporal = t;
	at->intact |= (uint8_t)(1u << q);
	return true;
}

/* As near to the target as can be. */
static void approach(struct dp_layer_at *at, const struct dp_layer_in *in, uint8_t target)
{
	uint8_t q = target;

	while (q != at->layer && !(in->f->spatial & 1u << q && enter(at, in, q)))
		q = (uint8_t)(q < at->layer ? q + 1 : q - 1);
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
			at->intact = INTACT;
		} else if (target != at->layer) {
			approach(at, in, target);
			*ask = at->layer != target;
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
