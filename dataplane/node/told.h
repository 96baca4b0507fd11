/* Which decode targets a subscriber was told of, by the active_decode_targets_bitmask of Dependency
 * Descriptors (AV1 RTP specification §A.4). Pure.
 *
 * Who is not sent all layers of a stream is told so by the first packet of every frame, so that no
 * loss keeps it from him; and once he was, he is told of every change until a template structure
 * says anew that all are there. A packet asked for again has the bitmask that it had at first, so
 * what he was sent is remembered by our numbers.
 *
 * Invariant: from[] are in falling order of index; entry k holds for the indexes from its own up to
 * the one of entry k - 1. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "dataplane/rtp/layers.h"
#include "shared/state.h"

enum { DP_TOLD = 6 }; // changes remembered

/* What he is sent of: spatial layer (DP_DD_ALL: every one) and temporal layer. */
#define DP_SENT(spatial, temporal) ((uint8_t)((spatial) << 4 | (temporal)))

struct dp_told {
	sh_id id; // of the subscription; another one: nothing of this holds
	uint8_t n;
	uint8_t pad[3];
	struct {
		uint32_t index; // ours, modulo 2^32
		uint8_t sent;   // DP_SENT
		bool say;       // he is told
		uint8_t pad[2];
	} from[DP_TOLD];
};

/* The newest packet, when it is the first of a frame: index is ours. again: whether he may have
 * been told something by packets that are not remembered. */
void dp_told_next(struct dp_told *d, uint64_t index, uint8_t sent, const struct dp_dd_targets *k,
                  bool again);
/* The bitmask for such a packet, new or old; 0: its descriptor stays as it is. -ENOENT: it is too
 * long ago. */
int dp_told_find(uint32_t *active, const struct dp_told *d, uint32_t index,
                 const struct dp_dd_targets *k);
