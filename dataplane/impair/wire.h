/* A bad wire, one direction: Gilbert-Elliott loss, a rate limit with a queue, delay, jitter,
 * reordering and duplication, all from one seed, so that a run can be repeated. For tests and
 * benches only.
 *
 * It holds no packets: it says of each one when it comes out, and its caller keeps it until then.
 * In this order: loss, the limit (token bucket as tc-tbf has it: `burst_bytes` pass at once, then
 * `rate_bps`, with a queue in front of which a packet is dropped when it is full), delay and
 * jitter, duplication. Pure: no clock, no allocation, no DPDK. */
#pragma once
#include <stdint.h>

enum { DP_WIRE_PPM = 1000000 }; // probabilities are in millionths

struct dp_wire_conf {
	/* Gilbert-Elliott: two states; each packet moves between them, then is lost with the
	 * state's probability. Independent loss: loss_good_ppm alone. */
	uint32_t to_bad_ppm, to_good_ppm;
	uint32_t loss_good_ppm, loss_bad_ppm;
	uint64_t rate_bps;    // 0: unlimited
	uint32_t queue_bytes; // most that may wait for its turn; 0: no limit
	uint32_t burst_bytes; // 0: none
	uint32_t delay_us;
	uint32_t jitter_us;   // each packet gets 0..jitter_us more, evenly; their order stays
	uint32_t reorder_ppm; // packets that come later by reorder_us, the others may pass them
	uint32_t reorder_us;
	uint32_t duplicate_ppm;
	uint32_t overhead_bytes; // of each packet, counted by the limit
};

enum dp_wire_fate { DP_WIRE_LOST, DP_WIRE_FULL, DP_WIRE_PASSED };

struct dp_wire {
	struct dp_wire_conf conf;
	uint64_t random;
	uint64_t busy_ns;          // until when the limit is taken; may lie back by the burst
	uint64_t last_ns;          // when the newest one comes out that keeps the order
	uint8_t bad, fate, pad[6]; // Gilbert-Elliott state; enum dp_wire_fate of the last packet
	uint64_t packets, lost, full, reordered, duplicated, bytes; // bytes: of those that passed
};

void dp_wire_init(struct dp_wire *w, const struct dp_wire_conf *conf, uint64_t seed);
/* Another configuration from now on; what waits in the queue is served at the new rate as far as
 * later packets are concerned. */
void dp_wire_conf(struct dp_wire *w, const struct dp_wire_conf *conf, uint64_t now_ns);
/* A packet goes in. Returns how many copies come out (0, 1 or 2) and when, out_ns >= now_ns. now_ns
 * never goes back. */
unsigned dp_wire_send(struct dp_wire *w, uint32_t bytes, uint64_t now_ns, uint64_t out_ns[2]);
/* How long a packet that came now would wait for its turn, ns. */
uint64_t dp_wire_wait(const struct dp_wire *w, uint64_t now_ns);
