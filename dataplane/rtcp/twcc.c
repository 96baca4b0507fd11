/* Transport-wide congestion control feedback, draft-holmer-rmcat-transport-wide-cc-extensions-01
 * §3.1: base, count, a reference time, then status chunks of 16 bits for count packets, then a
 * delta for each of them that arrived. */
#include "dataplane/rtcp/rtcp.h"
#include <errno.h>
#include <string.h>
#include "dataplane/rtp/rtp.h"

enum { HEAD = 8, FB_HEAD = 12, RUN_MAX = 8191, VECTOR1 = 14, VECTOR2 = 7 };
enum symbol { NOT_RECEIVED, SMALL, LARGE, RESERVED }; // bytes of delta, but for the last

/* How many statuses a chunk holds. */
static uint32_t chunk_len(uint16_t word)
{
	if (!(word & 0x8000))
		return word & 0x1fff;
	return word & 0x4000 ? VECTOR2 : VECTOR1;
}

/* The one with `left` to come, itself included; 1 <= left <= chunk_len(). */
static enum symbol chunk_symbol(uint16_t word, uint32_t left)
{
	if (!(word & 0x8000))
		return word >> 13 & 3;
	if (word & 0x4000)
		return word >> (2 * (left - 1)) & 3;
	return word >> (left - 1) & 1;
}

int dp_rtcp_twcc(struct dp_rtcp_twcc *out, const struct dp_rtcp_fb *fb)
{
	const uint8_t *p = fb->fci + HEAD, *end = fb->fci + fb->fci_len;
	uint32_t left, deltas = 0;

	if (fb->fci_len < HEAD)
		return -EBADMSG;
	out->base = dp_get16(fb->fci);
	out->count = dp_get16(fb->fci + 2);
	out->ref_time = dp_get32(fb->fci + 4) >> 8;
	out->fb_count = fb->fci[7];
	out->chunks = p;
	if (!out->count)
		return -EBADMSG;
	for (left = out->count; left; p += 2) {
		uint32_t in, n;
		uint16_t word;

		if (end - p < 2)
			return -EBADMSG;
		word = dp_get16(p);
		in = chunk_len(word);
		n = in < left ? in : left;
		left -= n;
		if (!(word & 0x8000)) {
			if (n && chunk_symbol(word, 1) == RESERVED)
				return -EBADMSG;
			deltas += n * chunk_symbol(word, 1);
			continue;
		}
		for (; n; n--, in--) {
			if (chunk_symbol(word, in) == RESERVED)
				return -EBADMSG;
			deltas += chunk_symbol(word, in);
		}
	}
	out->deltas = p;
	out->end = end;
	return (uint32_t)(end - p) < deltas ? -EBADMSG : 0;
}

void dp_rtcp_twcc_first(struct dp_rtcp_twcc_iter *it, const struct dp_rtcp_twcc *t)
{
	*it = (struct dp_rtcp_twcc_iter){
	    .chunk = t->chunks,
	    .delta = t->deltas,
	    .ticks = t->ref_time << 8,
	    .left = t->count,
	    .seq = t->base,
	};
}

bool dp_rtcp_twcc_next(struct dp_rtcp_twcc_iter *it, struct dp_rtcp_twcc_status *out)
{
	enum symbol s;

	if (!it->left)
		return false;
	while (!it->in_chunk) { // a run may be 0 long
		it->word = dp_get16(it->chunk);
		it->chunk += 2;
		it->in_chunk = chunk_len(it->word);
	}
	s = chunk_symbol(it->word, it->in_chunk);
	if (s == SMALL)
		it->ticks += *it->delta;
	else if (s == LARGE)
		it->ticks += (uint32_t)(int16_t)dp_get16(it->delta);
	it->delta += s;
	it->in_chunk--;
	it->left--;
	*out = (struct dp_rtcp_twcc_status){it->ticks, it->seq++, s != NOT_RECEIVED};
	return true;
}

/* Symbol of ticks[i], with *last as the arrival before it, which moves on; -1: the delta is too
 * large. */
static int symbol_of(const uint32_t *ticks, uint32_t i, uint32_t *last)
{
	int32_t delta = (int32_t)(ticks[i] - *last);

	if (ticks[i] == DP_TWCC_LOST)
		return NOT_RECEIVED;
	if (delta < INT16_MIN || delta > INT16_MAX)
		return -1;
	*last = ticks[i];
	return delta >= 0 && delta <= UINT8_MAX ? SMALL : LARGE;
}

/* Takes statuses off s[0..n) into one chunk. */
static uint16_t make_chunk(uint32_t *taken, const uint8_t *s, uint32_t n)
{
	uint32_t run = 1, fit = n < VECTOR1 ? n : VECTOR1;
	uint16_t word;

	while (run < n && run < RUN_MAX && s[run] == s[0])
		run++;
	if (run == n || run >= VECTOR1 || (run >= VECTOR2 && s[0] == LARGE)) {
		*taken = run;
		return (uint16_t)(s[0] << 13 | run);
	}
	*taken = fit;
	if (!memchr(s, LARGE, fit)) {
		word = 0x8000;
		for (uint32_t i = 0; i < fit; i++)
			word |= s[i] << (VECTOR1 - 1 - i);
		return word;
	}
	*taken = fit = n < VECTOR2 ? n : VECTOR2;
	word = 0xc000;
	for (uint32_t i = 0; i < fit; i++)
		word |= s[i] << (2 * (VECTOR2 - 1 - i));
	return word;
}

/* Symbols of all, in s[]; their number, cut before a delta that is too large. 0: none arrived. */
static uint32_t symbols(uint8_t *s, uint32_t *ref, const struct dp_rtcp_twcc_make *m)
{
	uint32_t first = 0, last, n;

	while (first < m->n && m->ticks[first] == DP_TWCC_LOST)
		first++;
	if (first == m->n)
		return 0;
	*ref = last = m->ticks[first] & ~255u;
	for (n = 0; n < m->n; n++) {
		int k = symbol_of(m->ticks, n, &last);

		if (k < 0)
			break;
		s[n] = k;
	}
	return n;
}

int dp_rtcp_put_twcc(struct dp_rtcp_out *o, const struct dp_rtcp_twcc_make *m)
{
	uint8_t s[DP_TWCC_MAX], *head = o->buf + o->len, *p, *end = o->buf + o->room;
	uint32_t ref, n, taken, last;

	if (!m->n || m->n > DP_TWCC_MAX)
		return -EINVAL;
	n = symbols(s, &ref, m);
	if (!n)
		return -EINVAL;
	if (o->room - o->len < FB_HEAD + HEAD)
		return -ENOSPC;
	p = head + FB_HEAD + HEAD;
	for (uint32_t i = 0; i < n; i += taken, p += 2) {
		if (end - p < 2)
			return -ENOSPC;
		dp_put16(p, make_chunk(&taken, s + i, n - i));
	}
	last = ref;
	for (uint32_t i = 0; i < n; p += s[i++]) {
		if (end - p < s[i])
			return -ENOSPC;
		if (s[i] == SMALL)
			*p = (uint8_t)(m->ticks[i] - last);
		else if (s[i] == LARGE)
			dp_put16(p, (uint16_t)(m->ticks[i] - last));
		if (s[i])
			last = m->ticks[i];
	}
	/* zeros to a whole word, not RTCP padding: that is for the last packet of a compound only
	 * (RFC 3550 §6.4.1) */
	for (; (p - head) % 4; *p++ = 0)
		if (p == end)
			return -ENOSPC;
	head[0] = 0x80 | DP_RTCP_RTPFB_TWCC;
	head[1] = DP_RTCP_RTPFB;
	dp_put16(head + 2, (uint16_t)((p - head) / 4 - 1));
	dp_put32(head + 4, m->sender);
	dp_put32(head + 8, m->media);
	dp_put16(head + 12, m->base);
	dp_put16(head + 14, (uint16_t)n);
	dp_put32(head + 16, ref >> 8 << 8 | m->fb_count);
	o->len += (uint32_t)(p - head);
	return (int)n;
}
