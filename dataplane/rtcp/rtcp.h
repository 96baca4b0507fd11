/* RTCP: compounds in and out. RFC 3550 §6, 4585 (NACK, PLI), 5104 (FIR), 5506 (reduced size),
 * draft-alvestrand-rmcat-remb-03 (REMB), draft-holmer-rmcat-transport-wide-cc-extensions-01 (TWCC).
 * XR (RFC 3611) and unknown types are passed over.
 *
 * Pure code: no clock, no allocation, no DPDK. buf/len is one whole decrypted compound; nothing
 * outside it is read, and the parsed structures point into it. int results: 0 or -errno. Any
 * thread, on data it owns. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shared/state.h"

enum dp_rtcp_type {
	DP_RTCP_SR = 200,
	DP_RTCP_RR = 201,
	DP_RTCP_SDES = 202,
	DP_RTCP_BYE = 203,
	DP_RTCP_APP = 204,
	DP_RTCP_RTPFB = 205, // transport layer feedback; count field = FMT
	DP_RTCP_PSFB = 206,  // payload-specific feedback
	DP_RTCP_XR = 207,
};

enum dp_rtcp_fmt {
	DP_RTCP_RTPFB_NACK = 1,
	DP_RTCP_RTPFB_TWCC = 15,
	DP_RTCP_PSFB_PLI = 1,
	DP_RTCP_PSFB_FIR = 4,
	DP_RTCP_PSFB_AFB = 15, // REMB among others
};

/* ---- parsing (parse.c) ---- */

/* One packet of a compound. */
struct dp_rtcp_pkt {
	const uint8_t *body; // after the 4-byte head
	uint16_t len;        // bytes of body, without padding
	uint8_t type;        // enum dp_rtcp_type, or any
	uint8_t count;       // 0..31: report blocks, chunks, sources or FMT
};

struct dp_rtcp_iter {
	const uint8_t *at, *end;
};

enum { DP_RTCP_RSIZE = 1 }; // RFC 5506 negotiated: the first packet may be of any type

/* Checks the framing of the whole compound (RFC 3550 A.2): versions, lengths that add up to len
 * exactly, padding in the last packet only (and in transport-wide feedback, to whole words), and SR
 * or RR first unless DP_RTCP_RSIZE. 0, or -EBADMSG. */
int dp_rtcp_first(struct dp_rtcp_iter *it, const uint8_t *buf, uint32_t len, unsigned flags);
/* Next packet, in order; false: no more. */
bool dp_rtcp_next(struct dp_rtcp_iter *it, struct dp_rtcp_pkt *out);

/* RFC 3550 §6.4.1. lost: 24 bits signed. delay: 1/65536 s; lsr, dlsr 0: none yet. */
struct dp_rtcp_block {
	uint32_t ssrc;
	int32_t lost;
	uint32_t max_ext_seq, jitter, lsr, dlsr;
	uint8_t fraction, pad[3];
};

struct dp_rtcp_sr {
	uint32_t ssrc;
	uint32_t rtp_ts;
	uint64_t ntp; // 32.32, since 1900
	uint32_t packets, octets;
};

/* -EBADMSG: too short for its count of report blocks. */
int dp_rtcp_sr(struct dp_rtcp_sr *out, const struct dp_rtcp_pkt *p);
int dp_rtcp_rr(uint32_t *ssrc, const struct dp_rtcp_pkt *p);
/* Report block i of an SR or RR that passed the above, i < p->count. */
void dp_rtcp_block(struct dp_rtcp_block *out, const struct dp_rtcp_pkt *p, unsigned i);

/* CNAME of the first chunk that has one. -ENOENT: none; -EBADMSG: chunks do not fit. */
int dp_rtcp_sdes_cname(uint32_t *ssrc, const uint8_t **cname, uint8_t *len,
                       const struct dp_rtcp_pkt *p);

/* -EBADMSG: shorter than its count. Source i: dp_rtcp_bye_ssrc(p, i), i < p->count. */
int dp_rtcp_bye(const struct dp_rtcp_pkt *p);
uint32_t dp_rtcp_bye_ssrc(const struct dp_rtcp_pkt *p, unsigned i);

/* Head that all feedback has (RFC 4585 §6.1), for RTPFB and PSFB. */
struct dp_rtcp_fb {
	uint32_t sender, media;
	const uint8_t *fci;
	uint16_t fci_len;
};
int dp_rtcp_fb(struct dp_rtcp_fb *out, const struct dp_rtcp_pkt *p); // -EBADMSG

/* Generic NACK (RFC 4585 §6.2.1): for (dp_rtcp_nack_first(&it, &fb) == 0; dp_rtcp_nack_next(&it,
 * &seq);) … */
struct dp_rtcp_nack_iter {
	const uint8_t *at, *end;
	uint32_t bits; // of the current entry: bit 0 = pid, bit i = pid + i
	uint16_t pid;
};
int dp_rtcp_nack_first(struct dp_rtcp_nack_iter *it, const struct dp_rtcp_fb *fb); // -EBADMSG
bool dp_rtcp_nack_next(struct dp_rtcp_nack_iter *it, uint16_t *seq);

/* FIR (RFC 5104 §4.3.1): entries of the FCI. -EBADMSG: not whole entries, or none. */
int dp_rtcp_fir_count(uint32_t *count, const struct dp_rtcp_fb *fb);
void dp_rtcp_fir(uint32_t *ssrc, uint8_t *seq, const struct dp_rtcp_fb *fb, uint32_t i);

/* REMB. bps saturates at UINT64_MAX. -ENOENT: another application layer feedback; -EBADMSG. SSRC i
 * is dp_get32(out->ssrcs + 4 * i). */
struct dp_rtcp_remb {
	uint64_t bps;
	const uint8_t *ssrcs;
	uint8_t count;
};
int dp_rtcp_remb(struct dp_rtcp_remb *out, const struct dp_rtcp_fb *fb);

/* Transport-wide feedback (twcc.c): of a run of consecutive transport-wide sequence numbers, which
 * arrived and when. Times are in ticks of 250 us on the receiver's clock, of any epoch, modulo
 * 2^32. */
enum { DP_TWCC_TICK_NS = 250000, DP_TWCC_MAX = 1024 };

struct dp_rtcp_twcc {
	uint16_t base;     // the first number reported on
	uint16_t count;    // how many are: 1..65535
	uint32_t ref_time; // 24 bits, units of 64 ms (256 ticks)
	uint8_t fb_count;  // of this packet, modulo 256: a gap is lost feedback
	const uint8_t *chunks, *deltas, *end;
};
/* Checks all of it: chunks that make up count, and a delta for each that arrived. -EBADMSG: they do
 * not, or a status is the reserved one. What comes behind the deltas is padding. */
int dp_rtcp_twcc(struct dp_rtcp_twcc *out, const struct dp_rtcp_fb *fb);

struct dp_rtcp_twcc_iter {
	const uint8_t *chunk, *delta;
	uint32_t ticks; // of the last one that arrived
	uint32_t left;  // statuses to come
	uint16_t seq;
	uint16_t word;  // current chunk
	uint16_t in_chunk; // statuses left in it
};
struct dp_rtcp_twcc_status {
	uint32_t ticks; // of its arrival, if it did
	uint16_t seq;
	bool received;
};
/* Only of a feedback that passed dp_rtcp_twcc(): for (dp_rtcp_twcc_first(&it, &t);
 * dp_rtcp_twcc_next(&it, &s);) … in ascending order, exactly count of them. Arrivals may go
 * backwards (reordering). */
void dp_rtcp_twcc_first(struct dp_rtcp_twcc_iter *it, const struct dp_rtcp_twcc *t);
bool dp_rtcp_twcc_next(struct dp_rtcp_twcc_iter *it, struct dp_rtcp_twcc_status *out);

/* ---- building (build.c): each appends one packet ---- */

struct dp_rtcp_out {
	uint8_t *buf;
	uint32_t room, len; // len: written so far, multiple of 4
};

/* All: 0; -ENOSPC (nothing was written, len unchanged); -EINVAL: none, or too many for the count.
 */
int dp_rtcp_put_sr(struct dp_rtcp_out *o, const struct dp_rtcp_sr *sr,
                   const struct dp_rtcp_block *blocks, uint32_t n); // n 0..31
int dp_rtcp_put_rr(struct dp_rtcp_out *o, uint32_t ssrc, const struct dp_rtcp_block *blocks,
                   uint32_t n);
int dp_rtcp_put_sdes(struct dp_rtcp_out *o, uint32_t ssrc, const uint8_t *cname, uint8_t len);
int dp_rtcp_put_bye(struct dp_rtcp_out *o, const uint32_t *ssrcs, uint32_t n); // n 1..31
int dp_rtcp_put_pli(struct dp_rtcp_out *o, uint32_t sender, uint32_t media);
int dp_rtcp_put_fir(struct dp_rtcp_out *o, uint32_t sender, uint32_t media, uint8_t seq);
/* seqs ascending modulo 2^16 pack best (17 an entry); any order and repetition is right. n >= 1. */
int dp_rtcp_put_nack(struct dp_rtcp_out *o, uint32_t sender, uint32_t media, const uint16_t *seqs,
                     uint32_t n);
/* bps is rounded down to 18 significant bits. n 1..255 SSRCs that it holds for. */
int dp_rtcp_put_remb(struct dp_rtcp_out *o, uint32_t sender, uint64_t bps, const uint32_t *ssrcs,
                     uint32_t n);

/* TWCC (twcc.c). ticks[i], i < n <= DP_TWCC_MAX: arrival of packet base + i; DP_TWCC_LOST: none. At
 * least one arrived. Returns how many of them the packet reports on, 1..n: it ends early where a
 * delta is beyond 16 bits (8.19 s); or -ENOSPC (room for all n is 20 + 2 * n + 2 * arrivals at most,
 * usually far less), -EINVAL. */
struct dp_rtcp_twcc_make {
	uint32_t sender, media;
	const uint32_t *ticks;
	uint16_t base, n;
	uint8_t fb_count;
};
enum { DP_TWCC_LOST = 0 }; // a tick that is 0 by chance is told as 1
int dp_rtcp_put_twcc(struct dp_rtcp_out *o, const struct dp_rtcp_twcc_make *m);

/* ---- time (NTP short and long form, RFC 3550 §4) and reports ---- */

/* unix_ns: CLOCK_REALTIME, ns since 1970. */
static inline uint64_t dp_ntp_from_unix_ns(uint64_t unix_ns)
{
	return ((unix_ns / 1000000000u + 2208988800u) << 32) |
	       (((unix_ns % 1000000000u) << 32) / 1000000000u);
}

static inline uint32_t dp_ntp_mid(uint64_t ntp)
{
	return (uint32_t)(ntp >> 16);
}

/* A duration in units of 1/65536 s, as DLSR has it; saturates. */
static inline uint32_t dp_ntp_short_from_ns(uint64_t ns)
{
	return ns >= 65536000000000u ? UINT32_MAX : (uint32_t)((ns << 10) / 15625000u);
}

static inline uint64_t dp_ntp_short_to_us(uint32_t d)
{
	return ((uint64_t)d * 1000000u) >> 16;
}

/* Round-trip time from a report block that arrived at now_mid (dp_ntp_mid of the clock that SRs are
 * sent with). false: no LSR yet, or a result below -1 ms or over 60 s (then *us is untouched). */
bool dp_rtcp_rtt_us(uint32_t *us, uint32_t now_mid, const struct dp_rtcp_block *b);

/* Report block about s at now_ns (clock of s->sr_at_ns). Advances s's priors: once a report. */
void dp_rtcp_block_of(struct dp_rtcp_block *out, struct sh_rx_stream *s, uint64_t now_ns);
