/* Codecs of an m-line: read from SDP (RFC 8866 §6.6, RFC 3551, 4585, 4588, 6184, 7587), matched,
 * cut to what a track's slots hold, and the fixed payload types of our own offers. Inside nego/
 * only. Pure. */
#pragma once
#include "controlplane/nego/nego.h"
#include "controlplane/nego/sdp.h"

/* Reads the codecs that we know of m into out[CP_NEGO_CODECS_MAX] in the m-line's order, RTX and
 * RED only with the codec they carry. 0: none usable. -EBADMSG with err. used[]: every payload type
 * the m-line names, known or not. */
int cp_codecs_read(const struct cp_sdp *s, const struct cp_sdp_media *m, enum sh_kind kind,
                   struct cp_codec *out, bool used[128], char *err);

bool cp_codec_is_media(const struct cp_codec *c); // not RTX, RED, CN, telephone-event
/* One codec configuration: what an answer must repeat. H264: profile and packetization-mode (RFC
 * 6184 §8.2.2). */
bool cp_codec_same(const struct cp_codec *a, const struct cp_codec *b);
/* A receiver that offered dst can take what a sender of src sends: the same, or a superset of it.
 */
bool cp_codec_takes(const struct cp_codec *dst, const struct cp_codec *src);

/* Cuts a published m-line's codecs to SH_MAX_PTS, order kept, giving each video codec an RTX entry:
 * the peer's, or one of ours on a payload type that is not in `used`, so that subscribers can have
 * RTX where the publisher has none. */
uint8_t cp_codecs_fit(struct cp_codec *codec, uint8_t n, enum sh_kind kind, bool used[128]);

/* codec[i] = src[i] as we offer it; a codec that our table lacks is left out. Their number. */
uint8_t cp_codecs_ours(struct cp_codec *codec, const struct cp_codec *src, uint8_t n_src);
/* For each of the peer's codecs which payload type of the publisher it carries (src_pt), or 255;
 * matched ones and what belongs to them go to the front. false: no media codec in common, codec[]
 * as before. */
bool cp_codecs_bind(struct cp_codec *codec, uint8_t n, const struct cp_codec *src, uint8_t n_src);

/* Parameter `key` of an fmtp; false if absent or longer than size - 1. */
bool cp_fmtp_get(const char *fmtp, const char *key, char *buf, size_t size);
