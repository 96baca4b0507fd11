/* What comes to a transport: streams by their SSRCs, repairs, continuity, a sample decrypted. */
#include <stdlib.h>
#include <string.h>
#include "bench/loadgen/bytes.h"
#include "bench/loadgen/flows.h"
#include "bench/loadgen/lg.h"
#include "bench/loadgen/packet.h"

enum {
	DECRYPT_FIRST = 4, // of each stream, whatever srtp.sample says
	AUDIO_HZ = 48000,
	VIDEO_HZ = 90000,
	LINE = 64, // of a cache
};

static void count(_Atomic uint64_t *v, uint64_t n)
{
	atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n,
	                      memory_order_relaxed); // one writer
}

static struct lg_flows flows;

static bool more_streams(struct lg_peer *p)
{
	unsigned n = p->cap_streams * 2 + 2;
	struct lg_stream **s = realloc(p->stream, n * sizeof(struct lg_stream *));
	uint32_t *ssrcs = realloc(p->ssrcs, n * sizeof(*ssrcs));

	if (s)
		p->stream = s;
	if (ssrcs)
		p->ssrcs = ssrcs;
	if (!s || !ssrcs)
		return false;
	p->cap_streams = n;
	return true;
}

static struct lg_stream *new_stream(struct lg_peer *p, uint32_t ssrc, uint16_t seq, uint8_t pt)
{
	bool video = pt == p->pt[1] || pt == p->rtx[1];
	struct lg_stream *s;

	if (p->n_streams == p->cap_streams && !more_streams(p))
		return NULL;
	s = aligned_alloc(LINE, (sizeof(*s) + LINE - 1) & ~(size_t)(LINE - 1));
	if (!s)
		return NULL;
	memset(s, 0, sizeof(*s));
	lg_rx_init(&s->rx, ssrc, pt, video, video ? VIDEO_HZ : AUDIO_HZ);
	s->rtx = pt == p->rtx[0] || pt == p->rtx[1];
	s->repairs = -1;
	s->index = seq;
	if (lg_flow_add(&flows, p->index, ssrc, s)) {
		free(s);
		return NULL;
	}
	p->stream[p->n_streams] = s;
	p->ssrcs[p->n_streams++] = ssrc;
	return s;
}

static bool unprotect(struct lg_peer *p, struct lg_stream *s, uint8_t *buf, int *n)
{
	uint32_t index = s->index + (uint32_t)(int16_t)(lg_get16(buf + 2) - (uint16_t)s->index);

	if (lg_crypto_unprotect(p, buf, n, index >> 16) == 0) {
		s->decrypted++;
		return true;
	}
	s->bad++;
	count(&lg_totals.bad, 1);
	return false;
}

static void decrypt(struct lg_peer *p, struct lg_stream *s, uint8_t *buf, size_t len, uint64_t now)
{
	int n = (int)len;
	size_t head;
	uint64_t made;

	if (!unprotect(p, s, buf, &n))
		return;
	head = lg_rtp_head(buf, (size_t)n);
	made = head ? lg_stamp(buf + head, (size_t)n - head) : 0;
	if (made && now > made)
		lg_hist_add(&lg_latency, now - made);
}

static void first_of_stream(struct lg_peer *p, uint64_t now)
{
	p->alive++;
	if (!p->first_ns)
		p->first_ns = now;
	if (p->alive == p->expects && !p->media_ns) {
		p->media_ns = now;
		atomic_fetch_add(&lg_totals.alive, 1);
	}
}

/* What is missing between the highest number before and the highest now. */
static void note_gap(struct lg_peer *p, struct lg_stream *s, uint64_t before, uint16_t seq,
                     uint64_t now)
{
	if (s->nack && s->nack->n && s->rx.max_ext == before)
		lg_nack_came(s->nack, seq, false, now);
	if (!before || s->rx.max_ext <= before + 1)
		return;
	if (!s->nack)
		s->nack = calloc(1, sizeof(*s->nack));
	if (!s->nack)
		return;
	lg_nack_gap(s->nack, (uint16_t)(before + 1), (uint32_t)(s->rx.max_ext - before - 1), now);
	p->nacking = true;
	p->next_ns = now;
}

static struct lg_stream *repaired_by(struct lg_peer *p, struct lg_stream *s)
{
	const struct lg_repairs *r = atomic_load_explicit(&p->repairs, memory_order_acquire);

	for (unsigned i = 0; s->repairs < 0 && r && i < r->n; i++)
		for (unsigned k = 0; r->pair[i].rtx == s->rx.ssrc && k < p->n_streams; k++)
			if (p->ssrcs[k] == r->pair[i].media)
				s->repairs = (int)k;
	return s->repairs < 0 ? NULL : p->stream[s->repairs];
}

/* RFC 4588 §4: the original's sequence number stands before its payload. All are decrypted, as it
 * is; what is nothing but padding, or a repeat, probes the path. */
static void take_rtx(struct lg_peer *p, struct lg_stream *s, uint8_t *buf, size_t len, uint64_t now)
{
	struct lg_stream *of = repaired_by(p, s);
	int n = (int)len;
	size_t head;
	uint16_t seq;

	count(&lg_totals.rtx, 1);
	if (!unprotect(p, s, buf, &n))
		return;
	head = lg_rtp_head(buf, (size_t)n);
	if (!head || !of || lg_rtp_unpadded(buf, (size_t)n, head) < head + 2)
		return;
	seq = lg_get16(buf + head);
	if (!lg_rx_repair(&of->rx, seq))
		return;
	if (of->nack)
		lg_nack_came(of->nack, seq, true, now);
	count(&lg_totals.received, 1);
	count(&lg_totals.bytes, len);
}

/* s: as it was found before, NULL: it was not. */
static void take_rtp(struct lg_peer *p, struct lg_stream *s, uint8_t *buf, size_t len, uint64_t now)
{
	uint32_t ssrc;
	uint16_t seq;
	uint64_t before;

	if (len < 12 || !p->in || !lg_rtp_head(buf, len))
		return;
	seq = lg_get16(buf + 2);
	ssrc = lg_get32(buf + 8);
	lg_feedback_came(p, buf, len, ssrc, now);
	if (!s) // another packet of this turn may have been its first
		s = lg_flow_find(&flows, p->index, ssrc);
	if (!s)
		s = new_stream(p, ssrc, seq, buf[1] & 0x7f);
	if (!s)
		return;
	if ((int16_t)(seq - (uint16_t)s->index) > 0)
		s->index += (uint16_t)(seq - (uint16_t)s->index);
	if (s->rtx) {
		take_rtx(p, s, buf, len, now);
		return;
	}
	if (!s->rx.packets && !s->rx.first_ns)
		first_of_stream(p, now);
	before = s->rx.packets ? s->rx.max_ext : 0;
	if (!lg_rx_packet(&s->rx, seq, lg_get32(buf + 4), now))
		return;
	if (p->nack && s->rx.video)
		note_gap(p, s, before, seq, now);
	count(&lg_totals.received, 1);
	count(&lg_totals.bytes, len);
	if (s->decrypted < DECRYPT_FIRST || (seq + p->index) % lg_sc.sample == 0)
		decrypt(p, s, buf, len, now);
}

static void take_rtcp(struct lg_peer *p, uint8_t *buf, size_t len, uint64_t now)
{
	int n = (int)len;

	if (p->in && lg_crypto_unprotect_rtcp(p, buf, &n) == 0)
		lg_feedback_rtcp(p, buf, (size_t)n, now);
}

/* RFC 7983 §7, RFC 5761 §4. */
static bool is_rtp(const struct lg_in *in)
{
	return in->len >= 12 && in->buf[0] >> 6 == 2 && (in->buf[1] < 192 || in->buf[1] >= 224);
}

/* A signature takes as long as hundreds of packets. */
static void take_other(struct lg_peer *p, uint8_t *buf, size_t len, uint64_t now)
{
	lg_media_turn(LG_RECEIVE);
	if (buf[0] >= 20 && buf[0] < 64)
		lg_dtls_input(p, buf, len, now);
	else if (buf[0] < 4)
		lg_ice_input(p, buf, len, now);
	lg_media_turn(LG_HANDSHAKE);
}

static void take(struct lg_in *in)
{
	if (is_rtp(in))
		take_rtp(in->peer, in->stream, in->buf, in->len, in->at_ns);
	else if (in->len >= 2 && in->buf[0] >> 6 == 2)
		take_rtcp(in->peer, in->buf, in->len, in->at_ns);
	else if (in->len >= 2)
		take_other(in->peer, in->buf, in->len, in->at_ns);
}

static void fetch_stream(const struct lg_peer *p, const struct lg_stream *s, uint16_t seq)
{
	__builtin_prefetch(s, 1);
	__builtin_prefetch((const char *)s + LINE, 1);
	__builtin_prefetch(&s->rx.seen[seq % LG_RX_WINDOW / 64], 1);
	if (p->came)
		__builtin_prefetch(p->came, 1);
}

/* Tables of thousands of streams are in no near cache: each is asked for while those before it are
 * looked at. */
void lg_peer_inputs(struct lg_in *in, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		__builtin_prefetch(in[i].peer);
		if (is_rtp(&in[i]))
			lg_flow_prefetch(&flows, in[i].peer->index, lg_get32(in[i].buf + 8));
	}
	for (unsigned i = 0; i < n; i++) {
		in[i].stream = is_rtp(&in[i]) ? lg_flow_find(&flows, in[i].peer->index,
		                                             lg_get32(in[i].buf + 8))
		                              : NULL;
		if (in[i].stream)
			fetch_stream(in[i].peer, in[i].stream, lg_get16(in[i].buf + 2));
	}
	for (unsigned i = 0; i < n; i++)
		take(&in[i]);
}
