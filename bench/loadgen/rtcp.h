/* The little RTCP that a client needs (RFC 3550 §6, RFC 4585 §6.2.1 and §6.3.1, RFC 5104 §4.3.1,
 * draft-alvestrand-rmcat-remb-03). Pure; written apart from the server's on purpose, but for
 * transport-wide feedback, which is dataplane/rtcp's: the parser only hands it on. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "bench/loadgen/rx.h"

enum { LG_RTCP_MAX = 1200, LG_RTCP_BLOCKS = 31, LG_RTCP_REMB_SSRCS = 64 };

/* A compound of one receiver report with n blocks (at most LG_RTCP_BLOCKS) and a CNAME; returns its
 * length. n 0: what must stand before feedback where reduced size was not agreed (RFC 5506). */
size_t lg_rtcp_rr(uint8_t *p, uint32_t ssrc, const struct lg_rx_report *block, unsigned n,
                  const char *cname);
/* A compound of a sender report and a CNAME. */
struct lg_sr {
	uint32_t ssrc, rtp_ts, packets, bytes;
	uint64_t ntp;
};
size_t lg_rtcp_sr(uint8_t *p, const struct lg_sr *sr, const char *cname);
/* Picture loss indication. */
size_t lg_rtcp_pli(uint8_t *p, uint32_t ssrc, uint32_t media_ssrc);
/* Asks for seqs[0..n), which ascend modulo 2^16; at most 17 fit into one entry. */
size_t lg_rtcp_nack(uint8_t *p, uint32_t ssrc, uint32_t media_ssrc, const uint16_t *seqs,
                    unsigned n);
/* The receiver's bound for n streams (at most LG_RTCP_REMB_SSRCS) together. */
size_t lg_rtcp_remb(uint8_t *p, uint32_t ssrc, uint64_t bps, const uint32_t *ssrcs, unsigned n);

struct lg_rtcp_in {
	void *arg;
	void (*sr)(void *arg, uint32_t ssrc, uint32_t ntp_middle);
	void (*key_frame)(void *arg, uint32_t media_ssrc); // PLI or FIR
	void (*nack)(void *arg, uint32_t media_ssrc, uint16_t seq);
	void (*bye)(void *arg, uint32_t ssrc);
	void (*remb)(void *arg, uint64_t bps);
	/* transport-wide feedback: sender, media, and what is behind them */
	void (*twcc)(void *arg, uint32_t sender, uint32_t media_ssrc, const uint8_t *fci,
	             size_t len);
};
/* Each member may be NULL. false: malformed; what came before was told. */
bool lg_rtcp_parse(const uint8_t *p, size_t len, const struct lg_rtcp_in *in);
