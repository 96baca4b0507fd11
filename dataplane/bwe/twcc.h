/* Both ends of transport-wide congestion control,
 * draft-holmer-rmcat-transport-wide-cc-extensions-01.
 *
 * struct dp_twcc_rx, one per endpoint that publishes: remembers when its packets arrived, and makes
 * the feedback to it. struct dp_twcc_tx, one per endpoint that subscribes: remembers what was sent
 * to it and when, and turns its feedback into acknowledged and lost packets.
 *
 * Pure: no clock, no allocation, no DPDK; memory is the caller's, and one thread's at a time (the
 * worker that owns the endpoint). Times are CLOCK_MONOTONIC, ns. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "dataplane/rtcp/rtcp.h"

/* ---- receiver (twcc_rx.c) ---- */

enum {
	DP_TWCC_RX = 512,      // packets remembered, power of two
	DP_TWCC_RX_LATE = 128, // one that comes later than so many newer ones is not told any more
	DP_TWCC_EVERY_MIN_US = 50000,
	DP_TWCC_EVERY_MAX_US = 250000,
};

/* Zeroed = new. 2 KiB and a bit: make it when the first packet with the extension arrives. */
struct dp_twcc_rx {
	uint32_t newest;  // extended number, the highest that arrived
	uint32_t next;    // first that no feedback has told of; newest + 1: nothing to tell
	uint64_t told_ns; // when the last feedback was made
	uint32_t bytes;   // since then
	uint32_t media;   // SSRC of the newest packet, for the head of the feedback
	uint16_t
	    strange; // number behind one that did not fit, which a new numbering would go on with
	uint8_t started, fb_count, has_strange, pad[3];
	uint64_t restarts, late,
	    repeated;               // numbering that jumped; packets too late to tell; duplicates
	uint32_t ticks[DP_TWCC_RX]; // by number; DP_TWCC_LOST: did not arrive
};

/* Every authenticated packet with the extension, RTX and padding too. bytes: of the datagram. Two
 * in a row that lie together and DP_TWCC_RX or more away from the others are a new numbering: what
 * was not told before is forgotten. */
void dp_twcc_rx(struct dp_twcc_rx *r, uint16_t seq, uint32_t ssrc, uint32_t bytes, uint64_t now_ns);
/* Whether feedback should go now: every 50 to 250 ms, so that it costs about a twentieth of what
 * comes in, and before a quarter of the memory is untold. */
bool dp_twcc_rx_due(const struct dp_twcc_rx *r, uint64_t now_ns);
/* Appends the next feedback packet, at most `most` statuses long (0: as many as fit in o, up to
 * all; a longer gap of lost ones in front is told whole). Returns 1 while there is more to tell
 * after it (call again, in this compound or the next), 0: all told; -ENOSPC: nothing was appended.
 * -ENODATA: there was nothing to tell. */
int dp_twcc_rx_put(struct dp_twcc_rx *r, struct dp_rtcp_out *o, uint32_t sender, uint32_t most,
                   uint64_t now_ns);

/* ---- sender (twcc_tx.c) ---- */

/* A packet on its way; 8 bytes, as there is one for each packet of the last round trip and more,
 * for each subscriber. */
struct dp_twcc_sent {
	uint32_t at_us; // modulo 2^32
	uint16_t bytes;
	uint8_t cluster; // of a probe; 0: none
	uint8_t state;   // enum dp_twcc_state
};
enum dp_twcc_state {
	DP_TWCC_FREE,
	DP_TWCC_FLYING,
	DP_TWCC_GONE /* told lost; may still be told received */,
	DP_TWCC_ACKED
};

/* entries: power of two, 64..8192. What must fit: the packets of one round trip plus 250 ms (5 Mb/s
 * at 1200 B and 300 ms: 290). Packets that are pushed out before their feedback count in `pushed`:
 * then a bigger one pays. */
struct dp_twcc_tx {
	struct dp_twcc_sent *sent;
	uint32_t mask;
	uint32_t next;         // extended number behind the newest sent
	uint32_t tail;         // oldest one kept
	uint32_t flying_bytes; // of packets not acknowledged nor told lost
	uint64_t newest_ns;    // when the newest was sent
	uint64_t pushed;
	/* arrival clock: ticks of the newest feedback, unwrapped to 64 bits of us */
	int64_t arrival_us;
	uint32_t ticks;
	uint8_t has_ticks, fb_count, has_fb, pad;
	uint64_t fb_lost; // feedback packets that never came, by their count
};

/* sent[0..entries) is wiped. -EINVAL: entries. */
int dp_twcc_tx_init(struct dp_twcc_tx *t, struct dp_twcc_sent *sent, uint32_t entries);
/* Moves to another memory, bigger or smaller; the newest that fit stay. The old one is the caller's
 * again. -EINVAL: entries. */
int dp_twcc_tx_move(struct dp_twcc_tx *t, struct dp_twcc_sent *sent, uint32_t entries);
/* Remembers a packet. seq: extended, one more than the last one's (a gap is allowed: those were not
 * sent; going back starts anew). bytes: of the IP packet, cut at 65535. */
void dp_twcc_tx_sent(struct dp_twcc_tx *t, uint32_t seq, uint32_t bytes, uint8_t cluster,
                     uint64_t now_ns);

/* One packet that a feedback tells news of. */
struct dp_twcc_ack {
	uint32_t seq;       // extended
	uint32_t sent_us;   // CLOCK_MONOTONIC, modulo 2^32
	int64_t arrival_us; // receiver's clock, its epoch unknown but the same for all; if received
	uint16_t bytes;
	uint8_t cluster;
	bool received; // false: lost (it may still come in a later feedback, as received, then
	               // `late`)
	bool late;     // was told lost before
};
struct dp_twcc_match {
	struct dp_twcc_tx *tx;
	struct dp_rtcp_twcc_iter it;
	uint32_t base;   // extended
	uint32_t newest; // highest in this feedback that was received, extended
	uint32_t end;    // one behind it: those above are not called lost yet
};
/* for (dp_twcc_tx_first(&m, tx, &t); dp_twcc_tx_next(&m, &ack);) … in ascending order; what was
 * told before and what is not in the history is left out. Statuses behind the last received one of
 * a feedback are not taken as lost. t passed dp_rtcp_twcc(). */
void dp_twcc_tx_first(struct dp_twcc_match *m, struct dp_twcc_tx *tx, const struct dp_rtcp_twcc *t);
bool dp_twcc_tx_next(struct dp_twcc_match *m, struct dp_twcc_ack *out);
