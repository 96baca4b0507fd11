/* For tests: Dependency Descriptors (AV1 RTP specification, appendix A) of regular structures, as a
 * sender would write them. Templates of spatial layer s: its key frame, its temporal layers from 0
 * on. Decode target of (q, t): q * temporal + t. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct dd_shape {
	unsigned spatial, temporal; // layers, 1..3 each
	bool full;       // every picture depends on the lower spatial layers; else key ones only
	unsigned offset; // template_id_offset
	unsigned width, height; // of the highest; each lower one has half of it
};

struct dd_frame {
	unsigned sid, tid, number;
	bool key; // of a key picture; the first packet of its layer 0 brings the structure
	bool start, end;
	unsigned active; // decode targets to announce; 0: don't
};

/* Bytes written to buf[256]. */
unsigned dd_make(uint8_t *buf, const struct dd_shape *shape, const struct dd_frame *frame);
