/* The header of an outgoing packet. What is the same for all packets to a subscription is prepared
 * once in a template; a packet costs one 32-byte copy, two patched values and the copied kinds that
 * it happens to carry. Of these the level, which nearly all audio has, is written by the plain path
 * in rtp.h. */
#include "dataplane/rtp/rtp.h"
#include <errno.h>
#include <string.h>

_Static_assert(sizeof(struct dp_rtp_tmpl) == 64, "one cache line");
_Static_assert(SH_EXT_COUNT <= 16, "kinds are bits of a uint16_t");

enum { ONE_BYTE_ID_MAX = 14 };

static unsigned copied_kinds(void)
{
#define X(sym, uri, how) | (unsigned)((how)[0] == 'c') << SH_EXT_##sym
	return 0 SH_EXT_LIST(X);
#undef X
}

static uint8_t *element(uint8_t *p, bool two_byte, uint8_t id, uint32_t len)
{
	if (two_byte) {
		*p++ = id;
		*p++ = len;
	} else {
		*p++ = id << 4 | (len - 1);
	}
	return p;
}

void dp_rtp_tmpl_init(struct dp_rtp_tmpl *t, const uint8_t ext_id[SH_EXT_COUNT], bool may_two_byte,
                      const uint8_t *mid, uint8_t mid_len)
{
	uint8_t max_id = may_two_byte ? 255 : ONE_BYTE_ID_MAX;
	uint8_t mid_id = mid_len && mid_len <= SH_MID_MAX ? ext_id[SH_EXT_MID] : 0;
	uint8_t ast_id = ext_id[SH_EXT_ABS_SEND_TIME], twcc_id = ext_id[SH_EXT_TWCC];
	uint8_t *p = t->bytes;

	memset(t, 0, sizeof(*t));
	t->may_two_byte = may_two_byte;
	t->two_byte = may_two_byte && (mid_id > ONE_BYTE_ID_MAX || ast_id > ONE_BYTE_ID_MAX ||
	                               twcc_id > ONE_BYTE_ID_MAX);
	if (mid_id && mid_id <= max_id) {
		p = element(p, t->two_byte, mid_id, mid_len);
		memcpy(p, mid, mid_len);
		p += mid_len;
	}
	if (ast_id && ast_id <= max_id) {
		p = element(p, t->two_byte, ast_id, 3);
		t->ast_at = p - t->bytes;
		p += 3;
	}
	if (twcc_id && twcc_id <= max_id) {
		p = element(p, t->two_byte, twcc_id, 2);
		t->twcc_at = p - t->bytes;
		p += 2;
	}
	t->len = p - t->bytes;
	dp_put16(t->head, t->two_byte ? 0x1000 : 0xBEDE);
	dp_put16(t->head + 2, (t->len + 3) / 4);
	for (unsigned k = 0; k < SH_EXT_COUNT; k++) {
		if (!(copied_kinds() & 1u << k) || !ext_id[k] || ext_id[k] > max_id)
			continue;
		t->id[k] = ext_id[k];
		t->copy |= 1u << k;
		if (ext_id[k] > ONE_BYTE_ID_MAX)
			t->wide |= 1u << k;
	}
	t->level = (t->copy & ~t->wide & 1u << SH_EXT_AUDIO_LEVEL) && !t->two_byte &&
	           t->len + 2u <= sizeof(t->bytes);
}

static uint32_t length(const struct dp_rtp_write *w, unsigned kind)
{
	return kind == SH_EXT_DEPENDENCY && w->dd_len ? w->dd_len : w->exts->len[kind];
}

/* Some copied kind of this packet has an id or a length that the one-byte form cannot express (RFC
 * 8285 §4.2). */
static bool needs_two_byte(const struct dp_rtp_tmpl *t, const struct dp_rtp_write *w, unsigned copy)
{
	if (copy & t->wide)
		return true;
	for (; copy; copy &= copy - 1)
		if (length(w, (unsigned)__builtin_ctz(copy)) - 1u > 15)
			return true;
	return false;
}

/* Rewrites the one-byte elements in p[0..len) as two-byte ones; returns the new end. At most three
 * elements. */
static uint8_t *widen(uint8_t *p, uint32_t len)
{
	uint8_t narrow[sizeof(((struct dp_rtp_tmpl *)0)->bytes)];

	memcpy(narrow, p, len);
	for (uint32_t at = 0; at < len;) {
		uint8_t id = narrow[at] >> 4, n = (narrow[at] & 15) + 1;

		p = element(p, true, id, n);
		memcpy(p, narrow + at + 1, n);
		p += n;
		at += 1u + n;
	}
	return p;
}

/* Appends the copied kinds; NULL: no room. */
static uint8_t *copy_kinds(uint8_t *p, const uint8_t *end, const struct dp_rtp_tmpl *t,
                           const struct dp_rtp_write *w, unsigned copy, bool two_byte)
{
	for (; copy; copy &= copy - 1) {
		unsigned k = __builtin_ctz(copy);
		bool other = k == SH_EXT_DEPENDENCY && w->dd_len;
		uint32_t len = length(w, k);

		if (!two_byte && len - 1 > 15)
			continue;
		if (2 + len > (size_t)(end - p))
			return NULL;
		p = element(p, two_byte, t->id[k], len);
		memcpy(p, other ? w->dd : w->exts_buf + w->exts->off[k], len);
		if (k == SH_EXT_DEPENDENCY && w->dd_frame && len >= 3)
			dp_put16(p + 1, (uint16_t)(dp_get16(p + 1) + w->dd_frame));
		p += len;
	}
	return p;
}

int dp_rtp_write(uint8_t *buf, uint32_t room, const struct dp_rtp_tmpl *t,
                 const struct dp_rtp_write *w)
{
	unsigned copy = w->exts ? t->copy & w->exts->present : 0;
	uint32_t fixed = DP_RTP_HDR_MIN + 4u * w->csrc_count;
	bool two_byte = t->two_byte;
	uint8_t *ext, *p;

	if (w->csrc_count > 15 || room < fixed + 4 + sizeof(t->bytes))
		return -ENOSPC;
	buf[0] = 0x80 | w->csrc_count;
	buf[1] = w->marker << 7 | w->pt;
	dp_put16(buf + 2, w->seq);
	dp_put32(buf + 4, w->ts);
	dp_put32(buf + 8, w->ssrc);
	if (w->csrc_count)
		memcpy(buf + DP_RTP_HDR_MIN, w->csrc, 4u * w->csrc_count);

	ext = p = buf + fixed + 4;
	memcpy(p, t->bytes, sizeof(t->bytes));
	if (t->ast_at) {
		p[t->ast_at] = w->abs_send_time >> 16;
		dp_put16(p + t->ast_at + 1, w->abs_send_time);
	}
	if (t->twcc_at)
		dp_put16(p + t->twcc_at, w->twcc_seq);
	p += t->len;
	if (copy) {
		if (!two_byte && t->may_two_byte && needs_two_byte(t, w, copy)) {
			two_byte = true;
			p = widen(ext, t->len);
		}
		p = copy_kinds(p, buf + room, t, w, copy, two_byte);
		if (!p)
			return -ENOSPC;
	}
	if (p == ext)
		return fixed;
	while ((p - ext) & 3) {
		if (p == buf + room)
			return -ENOSPC;
		*p++ = 0;
	}
	buf[0] |= 0x10;
	dp_put16(ext - 4, two_byte ? 0x1000 : 0xBEDE);
	dp_put16(ext - 2, (p - ext) / 4);
	return p - buf;
}
