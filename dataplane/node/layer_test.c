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
		struct dp_layer_in in = {.layers = 3, .active = t[i].active, .limit = t[i].limit};

		assert_int_equal(dp_layer_target(&in), t[i].want);
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
	};

	for (unsigned i = 0; i < sizeof(t) / sizeof(*t); i++) {
		uint8_t now = t[i].now, ask = 99;
		struct dp_layer_in in = {
		    .layers = t[i].layers,
		    .active = t[i].active,
		    .limit = t[i].limit,
		    .layer = t[i].layer,
		    .key = t[i].key,
		};

		assert_int_equal(dp_layer_choose(&now, &in, &ask), t[i].verdict);
		assert_int_equal(now, t[i].after);
		assert_int_equal(ask, t[i].ask);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(target), cmocka_unit_test(choices)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
