#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "dataplane/node/layer.h"

#define NONE DP_LAYER_NONE

static void target(void **state)
{
	static const struct {
		uint8_t active, limit, want;
	} t[] = {
	    {7, 2, 2}, {7, 1, 1}, {7, 0, 0}, {3, 2, 1}, {5, 1, 0},
	    {4, 1, 2}, {6, 0, 1}, {0, 2, 0}, {1, 2, 0},
	};

	for (unsigned i = 0; i < sizeof(t) / sizeof(*t); i++) {
		assert_int_equal(dp_layer_target(t[i].active, t[i].limit), t[i].want);
	}
}

static void choices(void **state)
{
	static const struct {
		uint8_t now, layers, active, limit, layer, key;
		uint8_t verdict, after, ask;
	} t[] = {
	    // one layer: begins at a key frame
	    {NONE, 1, 1, 2, 0, 0, DP_LAYER_WAIT, NONE, 1},
	    {NONE, 1, 1, 2, 0, 1, DP_LAYER_SWITCH, 0, 0},
	    {0, 1, 1, 2, 0, 0, DP_LAYER_SEND, 0, 0},
	    {0, 1, 1, 2, 0, 1, DP_LAYER_SEND, 0, 0},
	    // three: any key frame within the limit is a start, the target follows at its own
	    {NONE, 3, 7, 2, 0, 1, DP_LAYER_SWITCH, 0, 4},
	    {NONE, 3, 7, 1, 2, 1, DP_LAYER_SKIP, NONE, 2},
	    {NONE, 3, 7, 1, 1, 0, DP_LAYER_WAIT, NONE, 2},
	    {0, 3, 7, 2, 0, 0, DP_LAYER_SEND, 0, 4},
	    {0, 3, 7, 2, 2, 0, DP_LAYER_SKIP, 0, 4},
	    {0, 3, 7, 2, 1, 1, DP_LAYER_SKIP, 0, 4},
	    {0, 3, 7, 2, 2, 1, DP_LAYER_SWITCH, 2, 0},
	    {2, 3, 7, 2, 2, 0, DP_LAYER_SEND, 2, 0},
	    {2, 3, 7, 2, 0, 1, DP_LAYER_SKIP, 2, 0},
	    // the limit fell, or the layer fell silent: down at the lower one's key frame
	    {2, 3, 7, 1, 2, 0, DP_LAYER_SEND, 2, 2},
	    {2, 3, 7, 1, 1, 1, DP_LAYER_SWITCH, 1, 0},
	    {2, 3, 3, 2, 1, 0, DP_LAYER_SKIP, 2, 2},
	    {2, 3, 3, 2, 1, 1, DP_LAYER_SWITCH, 1, 0},
	    // what was sent has ended: any key frame within the limit is better than nothing
	    {2, 3, 3, 2, 0, 1, DP_LAYER_SWITCH, 0, 2},
	};

	for (unsigned i = 0; i < sizeof(t) / sizeof(*t); i++) {
		uint8_t ask = 99;
		struct dp_layer_at now = {.layer = t[i].now};
		struct dp_frame_info f = {
		    .flags = DP_FRAME_START | (t[i].key ? DP_FRAME_KEY : 0),
		    .need = 7,
		    .spatial = 1,
		};
		struct dp_layer_in in = {
		    .layers = t[i].layers,
		    .active = t[i].active,
		    .limit = t[i].limit,
		    .layer = t[i].layer,
		    .f = &f,
		};

		assert_int_equal(dp_layer_choose(&now, &in, &ask), t[i].verdict);
		assert_int_equal(now.layer, t[i].after);
		assert_int_equal(ask, t[i].ask);
	}
}

enum {
	S = DP_FRAME_START,
	P = DP_FRAME_START | DP_FRAME_PICTURE,
	K = DP_FRAME_START | DP_FRAME_PICTURE | DP_FRAME_KEY,
	Y = DP_FRAME_SYNC,
	E = DP_FRAME_END,
	SEND = DP_LAYER_SEND,
	LEAVE = DP_LAYER_LEAVE,
	MARK = DP_LAYER_MARK,
};

struct step {
	uint8_t limit, limit_t, flags, sid, tid, need;
	uint16_t up;
	uint8_t verdict, layer, temporal, ask;
};

static void run(struct dp_layer_at at, const struct step *t, unsigned n, uint8_t spatial)
{
	for (unsigned i = 0; i < n; i++) {
		struct dp_frame_info f = {
		    .flags = t[i].flags,
		    .sid = t[i].sid,
		    .tid = t[i].tid,
		    .need = t[i].need,
		    .up = t[i].up,
		    .spatial = spatial,
		};
		struct dp_layer_in in = {
		    .layers = 1, .limit = t[i].limit, .limit_temporal = t[i].limit_t, .f = &f};
		uint8_t ask;
		enum dp_layer_verdict v = dp_layer_choose(&at, &in, &ask);

		if (v != t[i].verdict || at.layer != t[i].layer || at.temporal != t[i].temporal ||
		    ask != t[i].ask)
			fail_msg("step %u: verdict %u, layer %u, temporal %u, ask %u", i, v,
			         at.layer, at.temporal, ask);
	}
}

static void temporal_vp8(void **state)
{
	static const struct step t[] = {
	    {0, 2, P, 0, 0, 7, 0, SEND, 0, 2, 0},
	    {0, 2, P | E, 0, 2, 7, 0, SEND, 0, 2, 0},
	    {0, 0, S, 0, 2, 7, 0, SEND, 0, 2, 0}, // in the middle of a picture: nothing changes
	    {0, 0, P | E, 0, 1, 7, 0, LEAVE, 0, 0, 0},
	    {0, 0, P | E, 0, 0, 7, 0, SEND, 0, 0, 0},
	    {0, 2, P | E, 0, 2, 7, 0, LEAVE, 0, 0, 0},     // up: not without Y
	    {0, 2, P | E | Y, 0, 2, 7, 0, LEAVE, 0, 0, 0}, // nor two at once
	    {0, 2, P | E | Y, 0, 1, 7, 0, SEND, 0, 1, 0},
	    {0, 2, P | E, 0, 2, 7, 0, LEAVE, 0, 1, 0},
	    {0, 2, P | E | Y, 0, 2, 7, 0, SEND, 0, 2, 0},
	    {0, 0, P | E, 0, 0, 7, 0, SEND, 0, 0, 0},
	    {0, 2, K | E, 0, 0, 7, 0, SEND, 0, 2, 0}, // a key frame lets all go up
	};

	run((struct dp_layer_at){0, 2, 7}, t, sizeof(t) / sizeof(*t), 1);
}

static void temporal_by_mask(void **state)
{
	static const struct step t[] = {
	    {0, 2, P, 0, 1, 1, DP_UP(0, 2), LEAVE, 0, 0, 0}, // not of a layer that is not sent
	    {0, 2, P, 0, 0, 1, 0, SEND, 0, 0, 0},
	    {0, 2, P, 0, 0, 1, DP_UP(0, 0) | DP_UP(0, 1), SEND, 0, 1, 0}, // as far as it says
	    {0, 2, P, 0, 2, 1, 0, LEAVE, 0, 1, 0},
	    {0, 2, P, 0, 1, 1, DP_UP(0, 1) | DP_UP(0, 2), SEND, 0, 2, 0},
	    {0, 1, P, 0, 2, 1, 0, LEAVE, 0, 1, 0},
	};

	run((struct dp_layer_at){0, 0, 7}, t, sizeof(t) / sizeof(*t), 1);
}

/* Every picture depends on its lower layers: down at once, up at a key picture. */
static void spatial_full(void **state)
{
	static const struct step t[] = {
	    {2, 0, K | E, 0, 0, 7, 0, SEND, 2, 0, 0},
	    {2, 0, S | E, 1, 0, 6, 0, SEND, 2, 0, 0},
	    {2, 0, S | E, 2, 0, 4, 0, MARK, 2, 0, 0},
	    {2, 0, P | E, 0, 0, 7, 0, SEND, 2, 0, 0},
	    {1, 0, S | E, 1, 0, 6, 0, SEND, 2, 0, 0}, // within a picture: not yet
	    {1, 0, S | E, 2, 0, 4, 0, MARK, 2, 0, 0},
	    {1, 0, P | E, 0, 0, 7, 0, SEND, 1, 0, 0},
	    {1, 0, S, 1, 0, 6, 0, SEND, 1, 0, 0},
	    {1, 0, E, 1, 0, 6, 0, MARK, 1, 0, 0},
	    {1, 0, S | E, 2, 0, 4, 0, LEAVE, 1, 0, 0},
	    {0, 0, P | E, 0, 0, 7, 0, MARK, 0, 0, 0},
	    {0, 0, S | E, 1, 0, 6, 0, LEAVE, 0, 0, 0},
	    {2, 0, P | E, 0, 0, 7, 0, MARK, 0, 0, 1}, // up: asks
	    {2, 0, S | E, 1, 0, 6, 0, LEAVE, 0, 0, 0},
	    {2, 0, K | E, 0, 0, 7, 0, SEND, 2, 0, 0},
	};

	run((struct dp_layer_at){2, 0, 7}, t, sizeof(t) / sizeof(*t), 7);
}

/* Only key pictures do: the lower layers are left out of the others, so down takes a key picture.
 */
static void spatial_key(void **state)
{
	static const struct step t[] = {
	    {1, 0, K | E, 0, 0, 7, 0, SEND, 1, 0, 0},  {1, 0, S | E, 1, 0, 6, 0, MARK, 1, 0, 0},
	    {1, 0, S | E, 2, 0, 4, 0, LEAVE, 1, 0, 0}, {1, 0, P | E, 0, 0, 1, 0, LEAVE, 1, 0, 0},
	    {1, 0, S | E, 1, 0, 2, 0, MARK, 1, 0, 0},  {0, 0, P | E, 0, 0, 1, 0, LEAVE, 1, 0, 1},
	    {0, 0, S | E, 1, 0, 2, 0, MARK, 1, 0, 0},  {0, 0, K | E, 0, 0, 7, 0, MARK, 0, 0, 0},
	    {0, 0, S | E, 1, 0, 6, 0, LEAVE, 0, 0, 0}, {0, 0, P | E, 0, 0, 1, 0, MARK, 0, 0, 0},
	};

	run((struct dp_layer_at){1, 0, 7}, t, sizeof(t) / sizeof(*t), 7);
}

/* The publisher stops its highest layer. */
static void spatial_ends(void **state)
{
	static const struct step t[] = {
	    {2, 0, P | E, 0, 0, 7, 0, SEND, 1, 0, 0},
	    {2, 0, S | E, 1, 0, 6, 0, MARK, 1, 0, 0},
	};

	run((struct dp_layer_at){2, 0, 7}, t, sizeof(t) / sizeof(*t), 3);
}

/* The publisher pauses its highest layer, which was sent, and goes on with it. */
static void spatial_goes_on(void **state)
{
	static const struct step ends[] = {{2, 0, P | E, 0, 0, 7, 0, SEND, 1, 0, 0}},
	                         on[] = {
	                             {2, 0, P | E, 0, 0, 7, 0, SEND, 2, 0, 0},
	                             {2, 0, S | E, 1, 0, 6, 0, SEND, 2, 0, 0},
	                             {2, 0, S | E, 2, 0, 4, 0, MARK, 2, 0, 0},
	                         };
	static const struct step less[] = {
	    {1, 0, P | E, 0, 0, 7, 0, SEND, 1, 0, 0},
	    {1, 0, S | E, 1, 0, 6, 0, MARK, 1, 0, 0},
	    {1, 0, S | E, 2, 0, 4, 0, LEAVE, 1, 0, 0},
	    {2, 0, P | E, 0, 0, 7, 0, SEND, 1, 0, 1},
	};

	run((struct dp_layer_at){2, 0, 0x77}, ends, 1, 3);
	run((struct dp_layer_at){1, 0, 0x77}, on, 3, 7);
	run((struct dp_layer_at){1, 0, 0x77}, less, 4, 7); // what was left out is missing
}

/* Only frames of a higher temporal layer were left out: the switch goes back to the lowest one. */
static void spatial_torn(void **state)
{
	static const struct step t[] = {
	    {1, 2, P | E, 0, 1, 7, 0, SEND, 1, 2, 0},
	    {1, 2, S | E, 2, 1, 4, 0, LEAVE, 1, 2, 0},
	    {2, 2, P | E, 0, 2, 7, 0, LEAVE, 2, 0, 0},
	    {2, 2, P | E, 0, 0, 7, 0, SEND, 2, 0, 0},
	    {2, 2, S | E, 2, 0, 4, DP_UP(2, 1) | DP_UP(2, 2), MARK, 2, 2, 0},
	};

	run((struct dp_layer_at){1, 2, 0x77}, t, 5, 7);
}

/* A switch indication of the picture's first frame. */
static void spatial_indicated(void **state)
{
	static const struct {
		uint8_t now, limit, has, sid, tid, need;
		uint16_t up;
		uint8_t after, temporal, ask;
	} t[] = {
	    {0, 2, DP_IDS_DD, 0, 0, 7, DP_UP(2, 0) | DP_UP(2, 1), 2, 1, 0},
	    {0, 2, DP_IDS_DD, 0, 0, 7, DP_UP(1, 1), 1, 1, 1}, // half of the way
	    {0, 2, DP_IDS_DD, 0, 0, 7, DP_UP(2, 3), 0, 1, 1}, // more than it may have
	    {0, 2, DP_IDS_DD, 0, 1, 7, DP_UP(2, 2), 2, 2, 0},
	    {0, 2, DP_IDS_DD, 0, 2, 7, DP_UP(2, 2), 0, 1, 1}, // of a frame that is not sent: of a
	    {1, 2, DP_IDS_DD, 0, 0, 5, DP_UP(2, 2), 1, 1, 1}, // … higher layer, of another one
	    {0, 2, DP_IDS_DD, 1, 0, 6, DP_UP(2, 2), 0, 1, 1},
	    {0, 2, DP_IDS_VP9, 0, 0, 7, UINT16_MAX, 0, 2, 1}, // VP9's U is of temporal layers
	    {2, 1, DP_IDS_DD, 0, 0, 3, DP_UP(1, 2), 2, 1, 1},
	    {2, 1, DP_IDS_DD, 0, 0, 6 | 1, DP_UP(1, 2), 1, 2, 0}, // down, too
	};

	for (unsigned i = 0; i < sizeof(t) / sizeof(*t); i++) {
		struct dp_layer_at at = {t[i].now, 1, 0};
		struct dp_frame_info f = {.flags = P | E,
		                          .sid = t[i].sid,
		                          .tid = t[i].tid,
		                          .need = t[i].need,
		                          .up = t[i].up,
		                          .spatial = 7,
		                          .ids = {.has = t[i].has}};
		struct dp_layer_in in = {
		    .layers = 1, .limit = t[i].limit, .limit_temporal = 2, .f = &f};
		uint8_t ask;

		(void)dp_layer_choose(&at, &in, &ask);
		if (at.layer != t[i].after || at.temporal != t[i].temporal || ask != t[i].ask)
			fail_msg("row %u: layer %u, temporal %u, ask %u", i, at.layer, at.temporal,
			         ask);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(target),       cmocka_unit_test(choices),
	    cmocka_unit_test(temporal_vp8), cmocka_unit_test(temporal_by_mask),
	    cmocka_unit_test(spatial_full), cmocka_unit_test(spatial_key),
	    cmocka_unit_test(spatial_ends), cmocka_unit_test(spatial_goes_on),
	    cmocka_unit_test(spatial_torn), cmocka_unit_test(spatial_indicated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
