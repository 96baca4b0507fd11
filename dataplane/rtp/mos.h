/* How a listener would judge a voice stream: the E-model (ITU-T G.107) with all its parameters at
 * their defaults but for what a packet network changes: one-way delay, codec, and packet loss.
 *
 *   R = 93.2 - Idd(Ta) - Ie,eff                              G.107 (3-1) with Ro - Is of the
 *                                                            defaults, A = 0, no echo heard
 *   Ie,eff = Ie + (95 - Ie) Ppl / (Ppl / BurstR + Bpl)       G.107 (3-29)
 *   MOS of R                                                 G.107 Annex B
 *
 * The scale is that of narrowband telephony: 4.4 is the best there is, and what a wider band adds
 * does not count. Fixed point; no clock, no allocation. */
#pragma once
#include <stdint.h>

struct dp_mos_in {
	uint8_t codec;      // enum sh_codec
	uint8_t lost;       // of the packets, 1/256, after all repair
	uint32_t rtt_us;    // both ways over the network, all hops; half of it is a packet's delay
	uint32_t jitter_us; // RFC 3550 §6.4.1; the receiver's buffer is taken to hold twice that
};

/* Equipment impairment factor and packet loss robustness of a codec, in hundredths; ms from speech
 * to packet (frame and look-ahead). PCMU and PCMA with concealment: G.113 Appendix I. For G.722 and
 * Opus ITU-T has no values on this scale: both are heard as no worse than G.711; a client conceals
 * G.722 as it does G.711, and Opus with its in-band FEC, which is what WebRTC clients use, is
 * given 20. */
struct dp_mos_codec {
	uint16_t ie, bpl, delay_ms;
};
/* NULL: not a speech codec (telephone-event, comfort noise, video). */
const struct dp_mos_codec *dp_mos_codec(unsigned codec);

/* Idd, G.107 (3-27) and (3-28), in hundredths; Ta in ms. */
uint32_t dp_mos_idd(uint32_t ta_ms);
/* Ie,eff in hundredths; random loss (BurstR = 1) of `lost`/256. */
uint32_t dp_mos_ie_eff(const struct dp_mos_codec *c, uint32_t lost);
/* MOS, thousandths: 1000..4500, of R in hundredths. */
uint32_t dp_mos_of_r(int32_t r);
/* Ta as taken for a stream, ms. */
uint32_t dp_mos_delay_ms(const struct dp_mos_codec *c, const struct dp_mos_in *in);
/* MOS times 10, 10..45; 0: not a speech codec. */
uint8_t dp_mos(const struct dp_mos_in *in);
