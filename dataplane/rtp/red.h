/* Redundant audio data (RFC 2198): where in a payload the primary block is, the newest audio, which
 * stands by itself; the blocks before it repeat what earlier packets said. Pure, as rtp.h. */
#pragma once
#include <stdint.h>

struct dp_red {
	uint16_t off;      // of the primary block, from the payload's start, 1..65535
	uint16_t len;      // its bytes, up to the payload's end; 0 is legal
	uint8_t pt;        // what it is, 0..127
	uint8_t redundant; // blocks before it, 255: that many or more
};

/* payload[len], without RTP padding, at most 65535 bytes. 0, or -EBADMSG: empty, or headers or
 * redundant blocks do not fit (RFC 2198 §3); then *out is not written. */
int dp_red_parse(struct dp_red *out, const uint8_t *payload, uint32_t len);
