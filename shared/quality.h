/* How streams are: the last second of each, and of all of a worker's together. Part of the state slabs (state.h): the
 * dataplane's control thread writes them once a second, everyone else reads.
 *
 * A stream is a layer of a track as we receive it ("in"), or a subscription as its subscriber reports it ("out"). */
#pragma once
#include <stdint.h>

struct sh_quality {
	uint64_t at_ns;     // end of the last window in which it had packets; 0: none yet
	uint32_t bps;       // payload
	uint32_t jitter_us; // RFC 3550 §6.4.1
	uint32_t rtt_us;    // to that peer; 0: not known
	uint8_t lost;       // of the window's packets, 1/256: in: after recovery by RTX; out: of the last receiver report
	uint8_t mos;        // ITU-T G.107, times 10: 10..45; audio only, else 0
	uint8_t fps;        // video, in
	uint8_t codec;      // enum sh_codec; NONE: not known
};

/* A window that ended longer ago says that the stream is silent. */
#define SH_QUALITY_FRESH_NS UINT64_C(2500000000)

/* Upper bounds of the buckets, in the unit that the values are counted in; one more bucket is above all. */
#define SH_QUALITY_MOS_LIST(X)    X(15) X(20) X(26) X(31) X(36) X(40) X(43)                // MOS times 10
#define SH_QUALITY_RTT_LIST(X)    X(10) X(25) X(50) X(100) X(150) X(200) X(300) X(500) X(1000) // ms
#define SH_QUALITY_JITTER_LIST(X) X(1) X(2) X(5) X(10) X(20) X(30) X(50) X(100) X(200)     // ms
#define SH_QUALITY_LOSS_LIST(X)   X(0) X(3) X(5) X(13) X(26) X(51) X(128)                  // 1/256: 0, 1, 2, 5, 10, 20, 50 %

#define SH_QUALITY_ONE(bound) +1
enum {
	SH_QUALITY_MOS_BOUNDS = SH_QUALITY_MOS_LIST(SH_QUALITY_ONE),
	SH_QUALITY_RTT_BOUNDS = SH_QUALITY_RTT_LIST(SH_QUALITY_ONE),
	SH_QUALITY_JITTER_BOUNDS = SH_QUALITY_JITTER_LIST(SH_QUALITY_ONE),
	SH_QUALITY_LOSS_BOUNDS = SH_QUALITY_LOSS_LIST(SH_QUALITY_ONE),
};

extern const uint32_t sh_quality_mos_bound[SH_QUALITY_MOS_BOUNDS];
extern const uint32_t sh_quality_rtt_bound[SH_QUALITY_RTT_BOUNDS];
extern const uint32_t sh_quality_jitter_bound[SH_QUALITY_JITTER_BOUNDS];
extern const uint32_t sh_quality_loss_bound[SH_QUALITY_LOSS_BOUNDS];

/* Of one worker and direction, since the state was made. An observation is one stream's second. */
struct sh_quality_sum {
	uint64_t streams;       // with packets, in the last round: the only one that also falls
	uint64_t packets, lost; // in: expected, and not come after all; out: sent, and lost by the receiver reports
	uint64_t mos[SH_QUALITY_MOS_BOUNDS + 1], mos_sum;          // audio of which a MOS is known
	uint64_t rtt[SH_QUALITY_RTT_BOUNDS + 1], rtt_sum;          // where it is known
	uint64_t jitter[SH_QUALITY_JITTER_BOUNDS + 1], jitter_sum;
	uint64_t loss[SH_QUALITY_LOSS_BOUNDS + 1], loss_sum;
};
enum { SH_QUALITY_IN, SH_QUALITY_OUT, SH_QUALITY_WAYS };
