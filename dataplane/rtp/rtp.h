/* RTP as the packet path needs it: header and header extensions in and out, RTX, sequence numbers,
 * receiver statistics, gap tracking, retransmission history, SRTP index and replay window. RFC
 * 3550, 8285, 4588, 3711 §3.3. What payloads say of frames and layers is in layers.h.
 *
 * Pure code: no clock, no allocation, no DPDK. Every function may be called by any thread on data
 * it owns. buf/len is always one whole UDP payload (plaintext); nothing outside it is read. Offsets
 * are from buf. int results: 0 or -errno. */
#pragma once
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include "shared/limits.h"
#include "shared/state.h"

static inline uint16_t dp_get16(const uint8_t *p)
{
	uint16_t v;

	__builtin_memcpy(&v, p, 2);
	return __builtin_bswap16(v);
}

static inline uint32_t dp_get32(const uint8_t *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}

static inline void dp_put16(uint8_t *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	__builtin_memcpy(p, &v, 2);
}

static inline void dp_put32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	__builtin_memcpy(p, &v, 4);
}

/* ---- header (header.c) ---- */

enum { DP_RTP_HDR_MIN = 12 };

struct dp_rtp_hdr {
	uint32_t ts, ssrc;
	uint16_t seq;
	uint16_t ext_profile; // 0xBEDE, 0x100x or another; 0 with ext_off 0
	uint16_t ext_off; // first byte of extension data (after its 4-byte head); 0: no extension
	uint16_t ext_len; // bytes, multiple of 4, may be 0
	uint16_t payload_off;
	uint16_t payload_len; // without padding; 0 is legal (probing)
	uint8_t pt, marker;   // 0..127, 0..1
	uint8_t csrc_count;   // 0..15, from buf + 12
	uint8_t padding;      // bytes of padding, its count byte included
};

/* -EBADMSG: version, CSRCs, extension or padding do not fit, or len > 65535 (RFC 3550 §5.1). */
int dp_rtp_parse(struct dp_rtp_hdr *out, const uint8_t *buf, uint32_t len);

/* The same before decryption, when payload and padding cannot be looked at yet: everything but
 * payload_len without padding. payload_len counts up to len (SRTP tag included), padding is 0. */
int dp_rtp_parse_clear(struct dp_rtp_hdr *out, const uint8_t *buf, uint32_t len);

/* ---- header extensions in (ext.c) ---- */

struct dp_rtp_exts {
	uint16_t present;           // bit k: kind k (enum sh_ext) is there
	uint16_t off[SH_EXT_COUNT]; // of its data, from buf; 0: absent
	uint8_t len[SH_EXT_COUNT];  // bytes of data; one-byte form 1..16, two-byte form 0..255
};

/* Finds each kind by the ids of the sending endpoint (0: not negotiated). Unknown ids are skipped;
 * of one id that comes twice the first counts. -EBADMSG: an element passes the end of the extension
 * (what came before it is kept). No extension, or one that is not RFC 8285: 0, nothing present. */
int dp_rtp_ext_parse(struct dp_rtp_exts *out, const struct dp_rtp_hdr *hdr, const uint8_t *buf,
                     const uint8_t id_of_kind[SH_EXT_COUNT]);

/* ---- header and extensions out (write.c) ---- */

/* What stays the same for all packets to one subscription: its extension ids and MID, ready to be
 * copied. One cache line. Made by dp_rtp_tmpl_init(), read-only afterwards. */
struct dp_rtp_tmpl {
	uint8_t bytes[32]; // MID, abs-send-time and TWCC elements, values of the last two zero
	uint8_t id[SH_EXT_COUNT]; // of copied kinds; 0: don't
	uint16_t copy;            // bit k: kind k is copied
	uint16_t wide;            // of these, the ones that only the two-byte form can name
	uint8_t len;              // of bytes[]
	uint8_t ast_at, twcc_at;  // where their values are in bytes[]; 0: not written
	uint8_t two_byte;         // bytes[] is in the two-byte form: an id is above 14
	uint8_t may_two_byte;
	uint8_t level; // an audio level goes behind bytes[] in the one-byte form
	uint8_t pad[6];
	uint8_t head[4]; // of the extension, when nothing is copied
};

/* ext_id: the receiving endpoint's. Kinds whose id cannot be sent in the allowed form are left out.
 * mid_len 0: no MID is written. mid_len above SH_MID_MAX is cut to none. */
void dp_rtp_tmpl_init(struct dp_rtp_tmpl *t, const uint8_t ext_id[SH_EXT_COUNT], bool may_two_byte,
                      const uint8_t *mid, uint8_t mid_len);

struct dp_rtp_write {
	uint32_t ts, ssrc;
	uint16_t seq;
	uint8_t pt, marker;
	uint8_t csrc_count;     // 0: dropped; else csrc = incoming buf + 12
	const uint8_t *csrc;    // 4 bytes each, network byte order
	uint32_t abs_send_time; // 24 bits, 6.18 s: dp_rtp_abs_send_time()
	uint16_t twcc_seq;
	uint16_t dd_frame; // added to the frame_number of a copied Dependency Descriptor
	uint16_t dd_len;   // not 0: dd, so long, takes the place of the one that would be copied
	const uint8_t *dd;
	/* where copied kinds come from; NULL: nothing is copied */
	const struct dp_rtp_exts *exts;
	const uint8_t *exts_buf;
};

/* Writes a header (no padding bit) into buf[room]; returns its length, a multiple of 4, or -ENOSPC
 * (buf may be partly written; room under 12 + 4 * csrc_count + 36 is always too little, as the
 * template is copied whole). The two-byte form is used only when a packet needs it and the receiver
 * allows it; otherwise an element that does not fit the one-byte form is left out. */
int dp_rtp_write(uint8_t *buf, uint32_t room, const struct dp_rtp_tmpl *t,
                 const struct dp_rtp_write *w);

/* Whether dp_rtp_write_plain() will do: of all that may be copied a packet has nothing, or, as audio
 * does, its level alone. */
static inline bool dp_rtp_is_plain(const struct dp_rtp_tmpl *t, const struct dp_rtp_exts *x)
{
	unsigned copy = t->copy & x->present;

	return !copy || (copy == 1u << SH_EXT_AUDIO_LEVEL && t->level && x->len[SH_EXT_AUDIO_LEVEL] == 1);
}

/* The same as dp_rtp_write() for nearly every packet: no CSRC, and it is plain. room is 12 + 36 at
 * least. */
static inline uint32_t dp_rtp_write_plain(uint8_t *buf, const struct dp_rtp_tmpl *t,
                                          const struct dp_rtp_write *w)
{
	uint8_t *ext = buf + DP_RTP_HDR_MIN + 4;
	bool level = w->exts && t->copy & w->exts->present;
	uint32_t len = t->len + (level ? 2u : 0);

	buf[0] = len ? 0x90 : 0x80;
	buf[1] = (uint8_t)(w->marker << 7 | w->pt);
	dp_put16(buf + 2, w->seq);
	dp_put32(buf + 4, w->ts);
	dp_put32(buf + 8, w->ssrc);
	if (!len)
		return DP_RTP_HDR_MIN;
	__builtin_memcpy(ext - 4, t->head, 4);
	__builtin_memcpy(ext, t->bytes, sizeof(t->bytes)); // zero behind len
	if (t->ast_at) {
		ext[t->ast_at] = (uint8_t)(w->abs_send_time >> 16);
		dp_put16(ext + t->ast_at + 1, (uint16_t)w->abs_send_time);
	}
	if (t->twcc_at)
		dp_put16(ext + t->twcc_at, w->twcc_seq);
	len = (len + 3) & ~3u;
	if (level) {
		ext[t->len] = (uint8_t)(t->id[SH_EXT_AUDIO_LEVEL] << 4);
		ext[t->len + 1] = w->exts_buf[w->exts->off[SH_EXT_AUDIO_LEVEL]];
		dp_put16(ext - 2, (uint16_t)(len / 4));
	}
	return DP_RTP_HDR_MIN + 4 + len;
}

/* 24-bit abs-send-time of a time in ns (any epoch, the same for the whole stream). */
static inline uint32_t dp_rtp_abs_send_time(uint64_t now_ns)
{
	return (uint32_t)(((now_ns / 1000000000u) << 18) +
	                  (((now_ns % 1000000000u) << 18) / 1000000000u)) &
	       0xffffffu;
}

/* ---- RTX, RFC 4588 §4 (session of its own SSRC) ---- */

/* Original sequence number of an RTX packet; the original payload is payload_off + 2, payload_len
 * − 2. -ENODATA: empty payload (padding-only probe); -EBADMSG: one byte. To send RTX:
 * dp_rtp_write() with the RTX SSRC, pt and seq, then dp_put16(osn), then the payload. */
static inline int dp_rtx_osn(uint16_t *osn, const struct dp_rtp_hdr *hdr, const uint8_t *buf)
{
	if (hdr->payload_len < 2)
		return hdr->payload_len ? -EBADMSG : -ENODATA;
	*osn = dp_get16(buf + hdr->payload_off);
	return 0;
}

/* ---- sequence numbers and receiver statistics, RFC 3550 A.1, A.3, A.8 (rx.c) ---- */

/* The extended number nearest to `near` whose low 16 bits are seq (distance −32768..32767). */
static inline uint32_t dp_seq_extend(uint32_t near, uint16_t seq)
{
	return near + (uint32_t)(int16_t)(seq - (uint16_t)near);
}

/* a is newer than b, modulo 2^16. */
static inline bool dp_seq_newer(uint16_t a, uint16_t b)
{
	return (int16_t)(a - b) > 0;
}

/* Counts an authenticated packet (not an RTX restored one) in s and returns its extended sequence
 * number. s->clock_hz must be set; s zeroed starts anew. Writes packets, bytes, base/max_ext_seq,
 * received, jitter_q4, transit, last_at_ns. A forward jump of 3000 or more restarts the loss count
 * (A.1 MAX_DROPOUT). */
uint32_t dp_rtp_rx_update(struct sh_rx_stream *s, const struct dp_rtp_hdr *hdr, uint64_t now_ns);

/* Fraction lost since the last call (1/256) and cumulative loss (24 bits signed, clamped); advances
 * expected_prior and received_prior: call once a report. */
void dp_rtp_rx_loss(struct sh_rx_stream *s, uint8_t *fraction, int32_t *lost);

/* ---- gaps: whom to ask for what again (nack.c) ---- */

enum {
	DP_NACK_MAX = 256, // missing packets remembered a stream
	DP_NACK_TRIES = 10,
	DP_NACK_REORDER_US = 5000, // a gap this young may be reordering
	DP_NACK_RETRY_US = 20000,  // shortest time between two requests for one packet
	DP_NACK_AGE_US = 1000000, // older losses are given up, unless the path is so long that this
	DP_NACK_TRIES_MIN = 3,    // is less than so many requests
	DP_NACK_RTT_MAX_US = 2000000,
};

struct dp_nack_miss {
	uint32_t since_us, next_us; // when noticed, when to ask (again); modulo 2^32
	uint32_t asked_us;          // when first asked
	uint16_t seq;
	uint8_t tries, pad;
};

/* One per incoming stream with NACK. Worker-private memory; zeroed = new. Missing numbers are in
 * miss[0..count), oldest first. */
struct dp_nack {
	uint16_t newest;
	uint16_t count;
	uint8_t started, pad[3];
	/* since the caller last zeroed it: losses that nobody will repair (ask for a key frame) */
	uint32_t given_up;
	uint32_t rtt_us; // from a request to the packet, as measured (smoothed); 0: not yet
	struct dp_nack_miss miss[DP_NACK_MAX];
};

enum dp_nack_seen {
	DP_NACK_NEXT,      // newer than all before
	DP_NACK_RECOVERED, // was missing
	DP_NACK_OLD,       // a duplicate, or given up before
};

/* Every sequence number that arrives, RTX restored ones too. */
enum dp_nack_seen dp_nack_seen(struct dp_nack *n, uint16_t seq, uint64_t now_ns);

/* The same of a packet that came as an answer to a request (RTX, or a stream without RTX): moves
 * rtt_us, which is all that a receiver of media knows of the way to its sender and back. */
enum dp_nack_seen dp_nack_repaired(struct dp_nack *n, uint16_t seq, uint64_t now_ns);

/* Numbers to ask for now, ascending, into out[max]; returns how many. None is asked for again
 * before an RTT has passed: rtt_us, or 0: as measured, or before that 100 ms. Ones that max leaves
 * no room for stay due. Cheap when nothing is missing: call once a burst or a few ms. */
uint32_t dp_nack_due(struct dp_nack *n, uint64_t now_ns, uint32_t rtt_us, uint16_t *out,
                     uint32_t max);

/* ---- retransmission history: a track's recent packets by sequence number ---- */

enum { DP_HIST_NONE = 0xffffffffu };

struct dp_hist_slot {
	uint32_t ext_seq;
	uint32_t handle; // caller's (an mbuf index); DP_HIST_NONE: empty
};

/* slots: caller's memory, power of two entries (at most 32768). */
struct dp_hist {
	struct dp_hist_slot *slot;
	uint32_t mask;
	uint32_t newest; // extended sequence number
	bool any;
};

static inline void dp_hist_init(struct dp_hist *h, struct dp_hist_slot *slots, uint32_t entries)
{
	h->slot = slots;
	h->mask = entries - 1;
	h->newest = 0;
	h->any = false;
	for (uint32_t i = 0; i < entries; i++)
		slots[i] = (struct dp_hist_slot){0, DP_HIST_NONE};
}

/* Keeps handle under ext_seq; returns the handle it pushes out, which is the caller's again, or
 * DP_HIST_NONE. A packet too old to be kept comes back itself. */
static inline uint32_t dp_hist_put(struct dp_hist *h, uint32_t ext_seq, uint32_t handle)
{
	struct dp_hist_slot *s = &h->slot[ext_seq & h->mask];
	uint32_t old = s->handle;

	if (!h->any || (int32_t)(ext_seq - h->newest) > 0) {
		h->newest = ext_seq;
		h->any = true;
	} else if (h->newest - ext_seq > h->mask) {
		return handle;
	}
	s->ext_seq = ext_seq;
	s->handle = handle;
	return old;
}

/* The handle kept under seq, still owned by the history, or DP_HIST_NONE. */
static inline uint32_t dp_hist_get(const struct dp_hist *h, uint16_t seq)
{
	uint32_t ext_seq = dp_seq_extend(h->newest, seq);
	const struct dp_hist_slot *s = &h->slot[ext_seq & h->mask];

	return s->ext_seq == ext_seq ? s->handle : DP_HIST_NONE;
}

/* Takes slot i out, i in 0..mask, to give everything back at the end. */
static inline uint32_t dp_hist_take(struct dp_hist *h, uint32_t i)
{
	uint32_t old = h->slot[i & h->mask].handle;

	h->slot[i & h->mask].handle = DP_HIST_NONE;
	return old;
}

/* ---- SRTP index and replay, RFC 3711 §3.3.1, §3.3.2, appendix A (replay.c) ---- */

/* Index (roc << 16 | seq) of a packet, to be authenticated with. UINT64_MAX: it would lie before
 * index 0. */
static inline uint64_t dp_srtp_index_guess(const struct sh_rx_crypto *c, uint16_t seq)
{
	uint64_t index = c->index + (uint64_t)(int64_t)(int16_t)(seq - (uint16_t)c->index);

	if (!c->started)
		return seq;
	return index >> 63 ? UINT64_MAX : index;
}

/* Before authentication; changes nothing. 0, -EALREADY: seen; -ESTALE: older than the window, or
 * before the first index; -EOVERFLOW: index past 48 bits, the key is used up. */
int dp_replay_check(const struct sh_rx_crypto *c, uint64_t index);
/* After authentication. Checks again, with the same results, since two copies of a packet may have
 * passed the check in one burst: anything but 0 changes nothing, and the packet is a replay. */
int dp_replay_commit(struct sh_rx_crypto *c, uint64_t index);

/* The same for SRTCP; each sender SSRC counts its own 31-bit index (RFC 3711 §3.4: one
 * cryptographic context an SSRC), so state is kept for SH_SRTCP_SSRCS of them, the longest silent
 * one is forgotten first. */
int dp_replay_rtcp_check(const struct sh_endpoint *e, uint32_t ssrc, uint32_t index);
int dp_replay_rtcp_commit(struct sh_endpoint *e, uint32_t ssrc, uint32_t index);
