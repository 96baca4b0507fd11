/* How much a subscriber's link bears, and how to find out.
 *
 * One struct dp_bwe per endpoint that subscribes. Everything sent to it with a transport-wide number is
 * told to dp_bwe_sent(); its feedback goes to dp_bwe_feedback(), its REMB and receiver reports to
 * dp_bwe_remb() and dp_bwe_report(). dp_bwe_tick() is for what must happen when nothing comes. The result is
 * estimate_bps, for the allocator (alloc.h) and the pacer (pacer.h).
 *
 * All rates are bits a second of IP packets (IP, UDP, RTP and SRTP headers included), as that is what a link
 * is limited in. All times are CLOCK_MONOTONIC ns. Pure: no clock, no allocation, no DPDK; the struct is its
 * caller's, one thread's at a time. Nothing overflows for rates up to 4 Gb/s and any feedback.
 *
 *	packet sent        dp_bwe_sent(b, seq, bytes, now)          any walk; also RTX, padding and audio
 *	feedback arrives   dp_bwe_feedback(b, &twcc, now)           then the allocator, when `changed` says so
 *	every 5 to 50 ms   dp_bwe_tick(b, now)                      5 ms while dp_bwe_probe_at() says so
 *	                   n = dp_bwe_probe(b, now)                 send n bytes of padding now
 *	allocator ran      dp_bwe_needs(b, allocated, wanted)       so that it knows whether to probe */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "dataplane/bwe/twcc.h"

enum dp_bwe_usage { DP_BWE_NORMAL = 0, DP_BWE_OVERUSE = 1, DP_BWE_UNDERUSE = 2 };

/* What holds the estimate where it is, for those who look at it. */
enum dp_bwe_bound { DP_BWE_BY_START, DP_BWE_BY_DELAY, DP_BWE_BY_LOSS, DP_BWE_BY_REMB, DP_BWE_BY_MAX, DP_BWE_BY_SILENCE };

struct dp_bwe_conf {
	uint32_t start_bps; // before anything is known; 0: 600000
	uint32_t min_bps;   // never below; 0: 50000
	uint32_t max_bps;   // never above; 0: 50000000
};

/* Delay of groups of packets sent within 5 ms, and its trend (delay.c). */
enum { DP_BWE_TREND = 20, DP_BWE_GROUP_US = 5000 };
struct dp_bwe_group {
	uint32_t first_us, last_us; // sent, modulo 2^32
	int64_t arrival_us;         // of its last packet
	uint32_t bytes;
	uint8_t any, pad[3];
};
struct dp_bwe_delay {
	struct dp_bwe_group cur, prev;
	float x[DP_BWE_TREND], y[DP_BWE_TREND]; // ms of arrival; smoothed sum of delay differences, ms
	uint32_t n;              // groups so far
	int64_t first_arrival_us;
	float sum, smooth;       // ms
	float trend;             // ms a ms
	float threshold;         // ms, adaptive
	float over_ms, prev_trend;
	uint32_t over_n;
	int64_t threshold_at_us, detect_at_us; // arrival clock
	/* one-way delay above the least seen lately: what stands in queues */
	int64_t base_us[2];      // least of the current and of the last interval; arrival − sent clock
	int64_t base_at_us;      // when the current interval began, arrival clock
	uint64_t sent_us;        // send clock, unwrapped
	int64_t owd_us;          // smoothed queueing delay, us
	uint8_t started, has_base, pad[6];
};

/* Bits that arrived, by arrival time (rate.c): buckets of 50 ms. */
enum { DP_BWE_BUCKETS = 16, DP_BWE_BUCKET_US = 50000 };
struct dp_bwe_rate {
	uint32_t bytes[DP_BWE_BUCKETS];
	int64_t newest;  // number of the newest bucket
	int64_t first;   // of the first one filled
	uint8_t started, pad[7];
};

/* Losses (loss.c). */
struct dp_bwe_loss {
	uint32_t bound_bps;      // 0: none
	uint32_t lost, received; // in the current interval
	uint64_t since_ns;       // start of it
	uint64_t cut_ns;         // when it last lowered the bound
	float fraction;          // smoothed
	float usual;             // what this link loses at any rate
	uint8_t bad;             // intervals of heavy loss in a row
	uint8_t pad[7];
};

/* Prober (probe.c). Clusters of packets at a rate above the estimate; their arrival says what the link can do. */
enum { DP_BWE_CLUSTERS = 2 };
struct dp_bwe_cluster {
	uint8_t id;              // 1..255; 0: none
	uint8_t packets;         // arrived; saturates
	uint8_t done;            // all of it was sent
	uint8_t over;            // congestion set in while it was on its way
	uint32_t target_bps;
	uint32_t sent_bytes, bytes; // sent; arrived
	uint32_t first_sent_us, last_sent_us;
	int64_t first_us, last_us;  // arrival
	uint32_t first_bytes, last_bytes; // of those two packets
	uint64_t end_ns;         // when its last packet went
};
struct dp_bwe_probe {
	struct dp_bwe_cluster cluster[DP_BWE_CLUSTERS];
	uint8_t id;              // newest cluster's; 0: none ever
	uint8_t active;          // its packets are being sent now
	uint8_t stage;           // of the start: 0 3x, 1 6x, then steps
	uint8_t length;          // clusters last 40 ms << length
	uint8_t failed;          // in a row
	uint8_t pad[3];
	uint64_t at_ns;          // when the next may start; 0: when there is a need
	uint64_t start_ns, until_ns; // of the active one
	uint32_t budget_bytes;   // of it, all in
	uint32_t raised_from_bps; // estimate before the last one that raised it
	uint64_t raised_ns;
};

struct dp_bwe {
	/* results */
	uint32_t estimate_bps;   // what may be sent in all; 0: no way to know (no feedback of any kind negotiated yet)
	uint32_t acked_bps;      // what arrived lately, by feedback; 0: unknown
	uint32_t rtt_us;         // smoothed; 0: unknown
	uint32_t queue_us;       // one-way delay above the least of the last half minute
	uint8_t usage;           // enum dp_bwe_usage
	uint8_t bound;           // enum dp_bwe_bound
	uint8_t loss;            // 1/256, smoothed
	uint8_t changed;         // set when estimate_bps moved by over 3 %, or down at all under allocated_bps: run the allocator, clear it
	uint64_t feedbacks, probes, probe_bytes, overuses;

	struct dp_bwe_conf conf;
	struct dp_twcc_tx tx;
	struct dp_bwe_delay delay;
	struct dp_bwe_rate rate;
	struct dp_bwe_loss losses;
	struct dp_bwe_probe probe;

	uint32_t target_bps;     // of the delay-based control, before the other bounds
	uint32_t remb_bps;       // 0: none
	uint32_t allocated_bps, wanted_bps; // as the allocator said last
	uint32_t told_bps;       // estimate when `changed` was last set
	float link_bps, link_var; // capacity seen at overuse: mean and relative variance; 0: unknown
	uint64_t remb_ns, feedback_ns, sent_ns, cut_ns, grown_ns, start_ns;
	uint32_t sent_acc;       // bytes of the current 100 ms
	uint32_t sent_bps;       // smoothed
	uint64_t sent_acc_ns;
	uint32_t min_rtt_us;
	uint8_t cuts;            // in one overuse
	uint8_t twcc, pad[6];    // a feedback came: it is more than REMB
};

/* History memory: entries as in twcc.h. conf may be NULL. The result has no estimate until expect is called or
 * feedback comes. -EINVAL: entries, or min above start or start above max. */
int dp_bwe_init(struct dp_bwe *b, const struct dp_bwe_conf *conf, struct dp_twcc_sent *sent,
                uint32_t entries, uint64_t now_ns);
/* Feedback was negotiated (SH_EP_TWCC or SH_EP_REMB): from now on estimate_bps is the start value. */
void dp_bwe_expect(struct dp_bwe *b, bool twcc, uint64_t now_ns);

/* A packet with a transport-wide number leaves (goes to the port): seq is the extended number. bytes: of the IP
 * packet. What is sent while a probe is active belongs to it. */
void dp_bwe_sent(struct dp_bwe *b, uint32_t seq, uint32_t bytes, uint64_t now_ns);
/* t passed dp_rtcp_twcc(). */
void dp_bwe_feedback(struct dp_bwe *b, const struct dp_rtcp_twcc *t, uint64_t now_ns);
/* REMB: cap for 10 s. For a client without TWCC it is the estimate, held back by losses. */
void dp_bwe_remb(struct dp_bwe *b, uint64_t bps, uint64_t now_ns);
/* A receiver report's worst block (RFC 3550 §6.4.1). rtt_us 0: unknown. Losses count only without TWCC. */
void dp_bwe_report(struct dp_bwe *b, uint8_t fraction, uint32_t rtt_us, uint64_t now_ns);
/* Time passes: without feedback for some round trips while packets are being sent the estimate decays. */
void dp_bwe_tick(struct dp_bwe *b, uint64_t now_ns);

/* What the allocator gave out, and what it would with enough. */
void dp_bwe_needs(struct dp_bwe *b, uint32_t allocated_bps, uint32_t wanted_bps);
/* Bytes of padding or repeats that should go now, in packets of any size (each goes through dp_bwe_sent()); 0: none. It starts
 * a cluster when one is due and goes on with it. A caller that has nothing to pad with does not call it. */
uint32_t dp_bwe_probe(struct dp_bwe *b, uint64_t now_ns);
/* When dp_bwe_probe() may next return more than 0; UINT64_MAX: not before something else happens. */
uint64_t dp_bwe_probe_at(const struct dp_bwe *b, uint64_t now_ns);
