/* How much a subscriber's link bears, and how to find out.
 *
 * One struct dp_bwe per endpoint that subscribes. Everything sent to it with a transport-wide number
 * is told to dp_bwe_sent(); its feedback goes to dp_bwe_feedback(), its REMB and receiver reports to
 * dp_bwe_remb() and dp_bwe_report(). dp_bwe_tick() is for what must happen when nothing comes. The
 * result is estimate_bps, for the allocator (alloc.h) and the pacer (pacer.h).
 *
 * All rates are bits a second of IP packets (IP, UDP, RTP and SRTP headers included), as that is
 * what a link is limited in. All times are CLOCK_MONOTONIC ns. Pure: no clock, no allocation, no
 * DPDK; the struct is its caller's, one thread's at a time. Nothing overflows for rates up to 4 Gb/s
 * and any feedback.
 *
 *	packet sent       dp_bwe_sent(b, seq, bytes, now)     any walk; also RTX, padding, audio
 *	feedback arrives  dp_bwe_feedback(b, &twcc, now)      then the allocator, if `changed` says so
 *	every 5 to 50 ms  dp_bwe_tick(b, now)                 5 ms while dp_bwe_probe_at() says so
 *	                  n = dp_bwe_probe(b, now)            send n bytes of padding now
 *	allocator ran     dp_bwe_needs(b, allocated, wanted)  so that it knows whether to probe */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "dataplane/bwe/twcc.h"

enum dp_bwe_usage { DP_BWE_NORMAL = 0, DP_BWE_OVERUSE = 1, DP_BWE_UNDERUSE = 2 };

/* What holds the estimate where it is, for those who look at it. */
enum dp_bwe_bound {
	DP_BWE_BY_START,
	DP_BWE_BY_DELAY,
	DP_BWE_BY_LOSS,
	DP_BWE_BY_REMB,
	DP_BWE_BY_MAX,
	DP_BWE_BY_SILENCE
};

struct dp_bwe_conf {
	uint32_t start_bps; // before anything is known; 0: 300000
	uint32_t min_bps;   // never below; 0: 50000
	uint32_t max_bps;   // never above; 0: 50000000
};

/* Delay of groups of packets sent within 5 ms, its trend, and what stands in queues (delay.c). */
enum { DP_BWE_TREND = 20, DP_BWE_GROUP_US = 5000 };
struct dp_bwe_group {
	uint64_t first_us, last_us;           // sent
	int64_t first_arrival_us, arrival_us; // of its first and of its last packet
	bool any;
};
struct dp_bwe_delay {
	struct dp_bwe_group cur, prev;
	uint32_t x[DP_BWE_TREND]; // arrival, us, modulo 2^32
	float y[DP_BWE_TREND];    // smoothed sum of delay differences, ms
	uint32_t n;               // groups so far
	float sum, smooth;        // ms
	float trend;              // ms a ms, times groups and gain: what is compared with
	float threshold;          // ms, adaptive
	float over_ms, prev_trend;
	uint32_t over_n;
	int64_t detect_us; // arrival clock: when the threshold was last adapted
	uint64_t sent_us;  // send clock, unwrapped to 64 bits
	/* one-way delay (arrival − sent clock, us) */
	int64_t base[2];    // least of the current and of the last quarter of a minute
	int64_t base_at_us; // when the current one began
	int64_t least_us;   // of the current feedback
	float queue_us;     // above base, smoothed: what is left when bursts are gone
	float level_us;     // the least of the last feedback above base, not smoothed
	float jitter_us;    // mean change of delay from group to group
	int64_t last_owd_us, from_owd_us; // of the newest packet, of the first of this feedback
	int64_t from_us, to_us;           // arrival of those two
	uint8_t started, has_least, has_base, overuse; // overuse: as the trend says
	uint8_t pad[4];
};

/* Bytes that arrived, by arrival time (rate.c): buckets of 50 ms. */
enum { DP_BWE_BUCKETS = 16, DP_BWE_BUCKET_US = 50000 };
struct dp_bwe_rate {
	uint32_t bytes[DP_BWE_BUCKETS];
	int64_t newest_us; // newest arrival
	int64_t first_us;  // first one since the last pause
	uint8_t started, pad[7];
};

/* Losses (loss.c). */
struct dp_bwe_loss {
	uint32_t bound_bps;      // 0: none
	uint32_t lost, received; // in the current interval
	uint64_t since_ns;       // start of it
	uint64_t relaxed_ns;     // when the bound was last raised
	float fraction;          // smoothed
	float usual;             // what this link loses at any rate
	uint8_t intervals;       // so far, saturates
	uint8_t bad;             // of heavy loss, in a row
	uint8_t pad[6];
};

/* Prober (probe.c). Clusters of packets at a rate above the estimate; their arrival says what the
 * link can do. */
struct dp_bwe_cluster {
	uint8_t id;       // 1..255; 0: none
	uint8_t done;     // all of it was sent
	uint16_t packets; // that are measured
	uint32_t target_bps;
	uint32_t sent_bytes, bytes, lost_bytes; // sent; arrived; told lost
	/* what is measured: of a long cluster its end, when a token bucket is used up */
	uint32_t from_us; // what was sent from here on
	uint32_t measured_bytes;
	uint32_t first_sent_us, last_sent_us;
	int64_t first_us, last_us;        // arrival
	uint32_t first_bytes, last_bytes; // of those two packets
	uint32_t end_us;                  // when its last packet went, modulo 2^32
	uint64_t end_ns;
};
struct dp_bwe_probe {
	uint8_t active;  // its packets are being sent now
	uint8_t started; // a first one went out
	uint8_t depth;   // of the token bucket that is allowed for: 6 kB << depth
	uint8_t failed;  // in a row
	uint8_t misled;  // a raise was followed by overuse, in a row
	uint8_t founded; // its packets are measured after a bucket was used up
	uint8_t full;    // it ended early, as a queue stood
	uint8_t deaf;    // clusters in a row of which nothing was heard
	struct dp_bwe_cluster c;
	uint64_t at_ns;              // not before; 0: any time
	uint64_t start_ns, until_ns; // of the active one
	uint32_t budget_bytes;       // of it, all in
	uint32_t confirm_bps;        // that passed, and is to be confirmed; 0: nothing is
	uint64_t confirm_ns;         // since then
	uint64_t raised_ns;          // when one last raised the estimate; 0: never, or it has held
	uint8_t limit, pad3[7]; // the last result is the link's limit, not what happened to be sent
};

struct dp_bwe {
	/* what each packet sent touches, two cache lines of a struct that begins one */
	struct dp_twcc_tx tx;
	uint64_t sent_ns;
	uint32_t sent_bytes; // in the current 100 ms
	uint32_t sent_bps;   // smoothed
	uint64_t sent_at_ns; // start of the current 100 ms
	uint32_t unanswered; // packets since the last feedback
	uint32_t pad_sent;
	struct dp_bwe_probe probe;

	/* results */
	uint32_t estimate_bps; // what may be sent in all; 0: no way to know (no feedback of any
	                       // kind negotiated yet)
	uint32_t acked_bps;    // what arrived lately, by feedback; 0: unknown
	uint32_t rtt_us;       // smoothed; 0: unknown
	uint32_t queue_us;     // one-way delay above the least of the last half minute
	uint8_t usage;         // enum dp_bwe_usage
	uint8_t bound;         // enum dp_bwe_bound
	uint8_t loss;          // 1/256, smoothed
	uint8_t changed;       // set when estimate_bps moved by over 3 %, or down at all under
	                       // allocated_bps: run the allocator, clear it
	uint64_t feedbacks, probes, probe_bytes, overuses;

	struct dp_bwe_conf conf;
	struct dp_bwe_delay delay;
	struct dp_bwe_rate rate;
	struct dp_bwe_loss losses;

	uint32_t target_bps;                // of the delay-based control, before the other bounds
	uint32_t remb_bps;                  // 0: none
	uint32_t allocated_bps, wanted_bps; // as the allocator said last
	uint32_t limit_bps;                 // the link's, as the last probe saw it; 0: it saw none
	uint64_t limit_ns;
	uint32_t told_bps; // estimate when `changed` was last set
	uint64_t remb_ns, feedback_ns, cut_ns, grown_ns, decay_ns; // when that last was; 0: never
	uint64_t
	    strong_ns;     // when a queue last left no doubt that the link has not enough; 0: never
	uint64_t dared_ns; // since when media goes beyond the estimate on trial; 0: it does not
	uint64_t dare_at_ns;    // not again before
	uint64_t idle_ns;       // when dp_bwe_tick() last saw that no feedback was due
	uint64_t over_ns;       // when the present overuse began; 0: there is none
	uint32_t over_queue_us; // standing queue at this overuse's last cut; before it, its peak
	uint8_t cuts;           // in this overuse
	uint8_t expect;         // some feedback was negotiated
	uint8_t twcc;           // transport-wide feedback comes, or will
	uint8_t dare_failed;    // trials in a row
	uint8_t pad[4];
};

/* History memory: entries as in twcc.h. conf may be NULL. There is no estimate until
 * dp_bwe_expect() or feedback. -EINVAL: entries, or min above start or start above max. */
int dp_bwe_init(struct dp_bwe *b, const struct dp_bwe_conf *conf, struct dp_twcc_sent *sent,
                uint32_t entries, uint64_t now_ns);
/* Feedback was negotiated (SH_EP_TWCC or SH_EP_REMB): from now on estimate_bps is the start value.
 */
void dp_bwe_expect(struct dp_bwe *b, bool twcc, uint64_t now_ns);

/* A packet with a transport-wide number leaves (goes to the port): seq is the extended number.
 * bytes: of the IP packet. What is sent while a probe is active belongs to it. */
void dp_bwe_sent(struct dp_bwe *b, uint32_t seq, uint32_t bytes, uint64_t now_ns);
/* t passed dp_rtcp_twcc(). */
void dp_bwe_feedback(struct dp_bwe *b, const struct dp_rtcp_twcc *t, uint64_t now_ns);
/* REMB: cap for 10 s. For a client without TWCC it is the estimate, held back by losses. */
void dp_bwe_remb(struct dp_bwe *b, uint64_t bps, uint64_t now_ns);
/* A receiver report's worst block (RFC 3550 §6.4.1). rtt_us 0: unknown. Losses count only without
 * TWCC. */
void dp_bwe_report(struct dp_bwe *b, uint8_t fraction, uint32_t rtt_us, uint64_t now_ns);
/* Time passes: without feedback for some round trips while packets are being sent the estimate
 * decays. */
void dp_bwe_tick(struct dp_bwe *b, uint64_t now_ns);

/* What the allocator gave out, and what it would with enough. */
void dp_bwe_needs(struct dp_bwe *b, uint32_t allocated_bps, uint32_t wanted_bps);
/* No loss, and no queue that was deep or went on growing after a cut, has shown in the last 10 s that
 * the link has not enough for what is sent; nor has it been silent for 3 s. */
bool dp_bwe_unproven(const struct dp_bwe *b, uint64_t now_ns);
/* Whether media may be the probe, as nothing else can: neither answer nor evidence there is, and no
 * padding (padding: the caller has some) is answered. A trial that failed is repeated after 10 s,
 * then 20, 40 and 80. */
bool dp_bwe_may_dare(const struct dp_bwe *b, bool padding, uint64_t now_ns);
/* The allocator made use of that. A queue ends the trial at once. */
void dp_bwe_dared(struct dp_bwe *b, uint64_t now_ns);
/* What the pacer is to take for the estimate: while more is sent on trial its queue holds the excess
 * back for half a second, not for ever. */
uint32_t dp_bwe_pace_bps(const struct dp_bwe *b, uint64_t now_ns);
/* Bytes of padding or repeats that should go now, in packets of any size (each goes through
 * dp_bwe_sent()); 0: none. It starts a cluster when one is due and goes on with it. A caller that
 * has nothing to pad with does not call it. */
uint32_t dp_bwe_probe(struct dp_bwe *b, uint64_t now_ns);
/* When dp_bwe_probe() may next return more than 0; UINT64_MAX: not before something else happens.
 */
uint64_t dp_bwe_probe_at(const struct dp_bwe *b, uint64_t now_ns);
