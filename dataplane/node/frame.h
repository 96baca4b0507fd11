/* The walk from an Ethernet frame to its UDP payload. Pure: no DPDK. Inbound checksums are never
 * looked at: what a local socket sent over lo or veth has an unfinished one (DESIGN §2), and SRTP,
 * DTLS and STUN authenticate what matters. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shared/addr.h"

enum {
	DP_FRAME_VLANS = 2,      // 802.1Q/802.1ad tags at most
	DP_FRAME_V6_HEADERS = 4, // IPv6 extension headers at most (RFC 8200 §4)
};

struct dp_frame {
	struct sh_addr src, dst;
	uint16_t payload_off,
	    payload_len; // of UDP, bytes from the frame's start; without Ethernet padding
	uint8_t l2_len;  // Ethernet with its tags
	uint8_t l3_len;  // IP with options or extension headers
	uint8_t family;  // 4, 6
};

/* 0, or -EBADMSG with *drop = the enum sh_stat that says why. frame[len] is one whole frame. */
int dp_frame_parse(struct dp_frame *out, const uint8_t *frame, uint32_t len, unsigned *drop);

/* RFC 7983 §7, RFC 5761 §4. */
enum dp_frame_kind {
	DP_FRAME_IS_STUN,
	DP_FRAME_IS_DTLS,
	DP_FRAME_IS_RTP,
	DP_FRAME_IS_RTCP,
	DP_FRAME_IS_NONE
};
enum dp_frame_kind dp_frame_kind(const uint8_t *payload, uint32_t len);

/* Every record of a DTLS datagram has a plausible header and fits (RFC 6347 §4.1, RFC 9147 §4). 0,
 * -EBADMSG. */
int dp_dtls_records(const uint8_t *payload, uint32_t len);

/* Longest header that dp_frame_reply() writes. */
enum { DP_FRAME_REPLY_MAX = 14 + 4 * DP_FRAME_VLANS + 40 + 8 };
/* The headers of an answer to frame: addresses and ports swapped, VLAN tags kept, IP options and
 * extension headers gone, lengths and checksums zero. out[DP_FRAME_REPLY_MAX]; returns its length
 * and sets *l3_len. */
uint32_t dp_frame_reply(uint8_t *out, uint8_t *l3_len, const uint8_t *frame,
                        const struct dp_frame *f);

/* Internet checksum (RFC 1071) of data, added to sum; not folded (csum.c). */
uint64_t dp_csum_add(uint64_t sum, const uint8_t *data, uint32_t len);
static inline uint16_t dp_csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffffu) + (sum >> 32);
	sum = (sum & 0xffffffffu) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}
/* Fills IP length, IPv4 header checksum, UDP length and UDP checksum of a frame whose other header
 * fields are set. udp_len: UDP header and payload. payload_csum false: the UDP checksum is that of
 * the pseudo header only, as NICs want it that fill in the rest. */
void dp_frame_finish(uint8_t *frame, uint8_t l2_len, uint8_t l3_len, uint16_t udp_len,
                     bool payload_csum);
