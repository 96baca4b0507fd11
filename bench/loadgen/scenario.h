/* A scenario: scenario.def as a struct. Plain data, filled once at start. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shared/conf.h"

#define LG_KINDS(X)                                                                                \
	X(LG_CALLSTACK, "callstack")                                                               \
	X(LG_WHIP, "whip")                                                                         \
	X(LG_JANUS, "janus")                                                                       \
	X(LG_RTPENGINE, "rtpengine")
#define LG_TRANSPORTS(X)                                                                           \
	X(LG_SOCKETS, "sockets")                                                                   \
	X(LG_AF_XDP, "af_xdp")                                                                     \
	X(LG_MEMIF, "memif")
#define LG_ICES(X)                                                                                 \
	X(LG_CHECKS, "checks")                                                                     \
	X(LG_AGENT, "agent")
#define LG_PROFILES(X)                                                                             \
	X(LG_GCM128, "gcm128")                                                                     \
	X(LG_GCM256, "gcm256")                                                                     \
	X(LG_CM80, "cm80")

#define LG_FEEDBACKS(X)                                                                            \
	X(LG_FEEDBACK_TWCC, "twcc")                                                                \
	X(LG_FEEDBACK_REMB, "remb")                                                                \
	X(LG_FEEDBACK_NONE, "none")

enum lg_kind {
#define X(sym, word) sym,
	LG_KINDS(X)
#undef X
};
enum lg_transport {
#define X(sym, word) sym,
	LG_TRANSPORTS(X)
#undef X
};
enum lg_ice {
#define X(sym, word) sym,
	LG_ICES(X)
#undef X
};
enum lg_profile {
#define X(sym, word) sym,
	LG_PROFILES(X)
#undef X
};

enum lg_feedback {
#define X(sym, word) sym,
	LG_FEEDBACKS(X)
#undef X
};

struct lg_scenario {
#include "shared/conf_struct.h"
#include "bench/loadgen/scenario.def"
};

/* For sh_conf_args(). Its check fills what depends on other keys. */
extern const struct sh_conf lg_scenario_table;
/* How many publishers a participant of this index is sent. */
unsigned lg_watched(const struct lg_scenario *s, unsigned participant);
