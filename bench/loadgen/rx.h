/* What a receiver keeps of one RTP stream: continuity, jitter (RFC 3550 §6.4.1, A.8), freezes.
 * Pure; time is an argument. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { LG_RX_WINDOW = 1024 };

/* What each packet touches stands first. */
struct lg_rx {
	uint32_t ssrc, clock_hz;
	uint8_t pt;
	bool video;
	uint64_t packets;            // each sequence number once
	uint64_t first_ext, max_ext; // extended sequence numbers (RFC 3550 A.1)
	uint64_t last_ns;
	double jitter; // in clock units
	int64_t transit;
	uint64_t seen[LG_RX_WINDOW / 64];
	uint64_t repaired; // of the packets, those that came by RTX
	uint64_t duplicates, reordered;
	uint64_t first_ns;
	uint32_t freezes; // video: nothing for over 500 ms
	uint64_t frozen_ns;
	uint64_t prior_expected, prior_packets; // at the last report, without repairs
	uint32_t last_sr; // middle 32 bits of the last sender report's NTP time
	uint64_t last_sr_ns;
};

void lg_rx_init(struct lg_rx *r, uint32_t ssrc, uint8_t pt, bool video, uint32_t clock_hz);
/* true: new, false: had it already, or too old to tell. */
bool lg_rx_packet(struct lg_rx *r, uint16_t seq, uint32_t ts, uint64_t now_ns);
/* RTX brought this one (RFC 4588): as above, but its time says nothing of the path. */
bool lg_rx_repair(struct lg_rx *r, uint16_t seq);
/* Of those between the first and the highest, how many did not come, nor were repaired. */
uint64_t lg_rx_lost(const struct lg_rx *r);
/* What is counted begins anew with the next packet: streams that were cut off while joining. */
void lg_rx_restart(struct lg_rx *r);

/* A report block's numbers for the time since the last call; what was repaired counts as lost. */
struct lg_rx_report {
	uint32_t ssrc;
	uint8_t fraction; // lost, of 256
	uint32_t lost;    // 24 bits
	uint32_t max_seq, jitter, last_sr, delay;
};
void lg_rx_report(struct lg_rx *r, struct lg_rx_report *out, uint64_t now_ns);
