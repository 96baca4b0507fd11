/* As much SDP as a client needs that knows what it wants: Opus and VP8, one BUNDLE, or one m-line
 * with SDES. Pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "bench/loadgen/ext.h"
#include "bench/loadgen/scenario.h"

enum { LG_SDP_MEDIA = 130, LG_PT_NONE = 255 };
enum { LG_PT_OPUS = 111, LG_PT_VP8 = 96, LG_PT_RTX = 97 }; // in our offers

enum lg_dir { LG_INACTIVE, LG_SENDONLY, LG_RECVONLY, LG_SENDRECV };

struct lg_sdp_media {
	bool video, other, rejected, mux; // other: neither audio nor video
	enum lg_dir dir;                  // as its writer sees it
	char mid[20], proto[24], first_fmt[8];
	uint8_t pt, rtx;             // of Opus or VP8, and its RTX; LG_PT_NONE
	uint8_t ext[LG_EXTS];        // ids, 0: none
	bool nack, twcc, remb;       // rtcp-fb of that codec, or of all
	uint32_t ssrc;               // first one told; 0: none
	uint32_t repaired, rtx_ssrc; // a=ssrc-group:FID (RFC 5576 §4.2)
	uint16_t port;
	char suite[32], key[64]; // a=crypto, first one with a suite that we know
	unsigned crypto_tag;
};

struct lg_sdp {
	char ufrag[260], pwd[260], fingerprint[128]; // "sha-256 AA:…"
	bool ice_lite, actpass, active;
	bool rsize;       // RFC 5506, in some m-line
	char address[48]; // first IPv4 UDP candidate of component 1, else that of c=
	uint16_t port;
	unsigned n;
	struct lg_sdp_media media[LG_SDP_MEDIA];
};

/* 0; -EBADMSG: no SDP; -E2BIG: more m-lines than we take. */
int lg_sdp_parse(struct lg_sdp *s, const char *text);

/* What we say of ourselves. */
struct lg_sdp_own {
	const char *ufrag, *pwd, *fingerprint; // fingerprint NULL: SDES
	const char *address;                   // NULL: none to tell (ICE: prflx)
	uint16_t port;
	const char *suite, *key; // SDES
	uint64_t session;
	enum lg_feedback feedback; // offered, or taken where it is offered
	bool nack;
};
struct lg_sdp_want {
	bool video, send;
	unsigned layers; // send: simulcast when over 1
	uint32_t ssrc, rtx_ssrc;
};
/* Both return the length, or 0 when size is too small. */
size_t lg_sdp_offer(char *buf, size_t size, const struct lg_sdp_own *own,
                    const struct lg_sdp_want *want, unsigned n);
/* Takes all audio and video that is offered to us, and nothing else. */
size_t lg_sdp_answer(char *buf, size_t size, const struct lg_sdp_own *own,
                     const struct lg_sdp *offer);
