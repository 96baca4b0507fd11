/* Sizes that both planes compile in. A change here changes the hello, so mismatched halves refuse each other. */
#pragma once

enum {
	SH_MAX_WORKERS = 16, // worker lcores, and so UDP media ports base..base+15
	SH_MAX_ADDRS = 8,    // local media addresses announced as ICE host candidates
	SH_MAX_PTS = 8,      // payload types of one track (codec, its RTX, RED, comfort noise, …)
	SH_MAX_LAYERS = 3, // qualities of one track: simulcast encodings (RFC 8853 rids) or spatial
	                   // layers (SVC)
	SH_MAX_TEMPORAL = 4,     // temporal layers of a quality
	SH_MAX_AUDIO_SLOTS = 16, // loudest-N and last-N of a room (SH_TRACK_SLOT)
	SH_MAX_VIDEO_SLOTS = 32,
	SH_UFRAG_MAX = 32, // our own ufrag, bytes; ours are 8 to 12 of ice-char (RFC 8839 §5.4)
	SH_PWD_MAX = 32,   // our own pwd, bytes; ours are 24
	SH_MID_MAX =
	    16, // RFC 9143 mid / RFC 8852 rid, bytes, no NUL; longer ones are refused in SDP
	SH_PACKET_MAX = 1500,  // a punted or injected datagram's payload, bytes
	SH_REPLAY_BITS = 1024, // SRTP replay window (RFC 3711 §3.3.2 asks for at least 64)
	SH_REPLAY_RTCP_BITS = 64,
	SH_SRTCP_SSRCS = 12, // RTCP sender SSRCs of one endpoint whose index and window are kept
};

/* RTP header extensions that the dataplane understands; the index into ext_id[] of an endpoint.
 * One X line each: symbol, SDP URI, how it is treated on the way out. */
#define SH_EXT_LIST(X)                                                                             \
	X(MID, "urn:ietf:params:rtp-hdrext:sdes:mid", "written")                                   \
	X(RID, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", "read")                            \
	X(RRID, "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id", "read")                  \
	X(AUDIO_LEVEL, "urn:ietf:params:rtp-hdrext:ssrc-audio-level", "copied")                    \
	X(ABS_SEND_TIME, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time", "written")  \
	X(TWCC, "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",       \
	  "written")                                                                               \
	X(VIDEO_ORIENTATION, "urn:3gpp:video-orientation", "copied")                               \
	X(PLAYOUT_DELAY, "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay", "copied")   \
	X(VIDEO_CONTENT, "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",        \
	  "copied")                                                                                \
	X(COLOR_SPACE, "http://www.webrtc.org/experiments/rtp-hdrext/color-space", "copied")       \
	X(DEPENDENCY, "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension", \
	  "copied")                                                                                \
	X(ABS_CAPTURE_TIME, "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time", "copied")

enum sh_ext {
#define X(sym, uri, how) SH_EXT_##sym,
	SH_EXT_LIST(X)
#undef X
	SH_EXT_COUNT
};

/* Codecs. The name is the SDP encoding name (case-insensitive there); kind 'a' or 'v'; RTP clock in Hz. */
#define SH_CODEC_LIST(X)                                                                           \
	X(NONE, "", '-', 0)                                                                        \
	X(OPUS, "opus", 'a', 48000)                                                                \
	X(PCMU, "PCMU", 'a', 8000)                                                                 \
	X(PCMA, "PCMA", 'a', 8000)                                                                 \
	X(G722, "G722", 'a', 8000)                                                                 \
	X(TEL_EVENT, "telephone-event", 'a', 8000)                                                 \
	X(RED, "red", 'a', 48000)                                                                  \
	X(CN, "CN", 'a', 8000)                                                                     \
	X(VP8, "VP8", 'v', 90000)                                                                  \
	X(VP9, "VP9", 'v', 90000)                                                                  \
	X(H264, "H264", 'v', 90000)                                                                \
	X(AV1, "AV1", 'v', 90000)                                                                  \
	X(RTX, "rtx", 'v', 90000)

enum sh_codec {
#define X(sym, name, kind, hz) SH_CODEC_##sym,
	SH_CODEC_LIST(X)
#undef X
	SH_CODEC_COUNT
};

enum sh_kind { SH_KIND_AUDIO = 1, SH_KIND_VIDEO = 2 };

/* RFC 5764 §4.1.2 and RFC 7714 §14.2 numbers, as DTLS use_srtp carries them; 0 = no keys yet. */
enum sh_srtp_profile {
	SH_SRTP_NONE = 0,
	SH_SRTP_AES128_CM_SHA1_80 = 0x0001,
	SH_SRTP_AES128_CM_SHA1_32 = 0x0002,
	SH_SRTP_AEAD_AES_128_GCM = 0x0007,
	SH_SRTP_AEAD_AES_256_GCM = 0x0008,
};
enum { SH_SRTP_KEY_MAX = 32, SH_SRTP_SALT_MAX = 14 };

/* An id names a slab entry for its lifetime: index in the low 20 bits, generation in the high 12.
 * Generations start at 1, so 0 is no id. A record with a stale generation is refused, never applied. */
typedef unsigned int sh_id;
#define SH_ID_INDEX_BITS 20
#define SH_ID_INDEX(id)  ((id) & ((1u << SH_ID_INDEX_BITS) - 1))
#define SH_ID_GEN(id)    ((id) >> SH_ID_INDEX_BITS)
#define SH_ID(index, gen) ((sh_id)(gen) << SH_ID_INDEX_BITS | (sh_id)(index))
