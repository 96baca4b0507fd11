/* The little RTCP that a client needs (RFC 3550 §6, RFC 4585 §6.3.1, RFC 5104 §4.3.1). Pure;
 * written apart from the server's on purpose. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "bench/loadgen/rx.h"

enum { LG_RTCP_MAX = 1200, LG_RTCP_BLOCKS = 31 };

/* A compound of one receiver report with n blocks (at most LG_RTCP_BLOCKS) and a CNAME; returns its
 * length. */
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

struct lg_rtcp_in {
	void *arg;
	void (*sr)(void *arg, uint32_t ssrc, uint32_t ntp_middle);
	void (*key_frame)(void *arg, uint32_t media_ssrc); // PLI or FIR
	void (*nack)(void *arg, uint32_t media_ssrc, uint16_t seq);
	void (*bye)(void *arg, uint32_t ssrc);
};
/* Each member may be NULL. false: malformed; what came before was told. */
bool lg_rtcp_parse(const uint8_t *p, size_t len, const struct lg_rtcp_in *in);
