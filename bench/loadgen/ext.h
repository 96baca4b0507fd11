/* The header extensions that the generator writes or reads (RFC 8285): one X line each, symbol and
 * URI. In our offers the id of an extension is its place here, from 1. */
#pragma once

#define LG_EXT_LIST(X)                                                                             \
	X(MID, "urn:ietf:params:rtp-hdrext:sdes:mid")                                              \
	X(RID, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id")                                    \
	X(TWCC, "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01")       \
	X(SEND_TIME, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time")                 \
	X(LEVEL, "urn:ietf:params:rtp-hdrext:ssrc-audio-level")                                    \
	X(RRID, "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id")

enum lg_ext {
#define X(sym, uri) LG_EXT_##sym,
	LG_EXT_LIST(X)
#undef X
	    LG_EXTS
};
