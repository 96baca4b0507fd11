/* What comes to a transport: streams by their SSRCs, repairs, continuity, a sample decrypted. */
#include <stdlib.h>
#include <string.h>
#include "bench/loadgen/bytes.h"
#include "bench/loadgen/lg.h"
#include "bench/loadgen/packet.h"

enum {
	DECRYPT_FIRST = 4, // of each stream, whatever srtp.sample says
	AUDIO_HZ = 48000,
	VIDEO_HZ = 90000,
};

static void count(_Atomic uint64_t *v, uint64_t n)
{
	atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n,
	                      memory_order_relaxed); // one writer
}

static bool more_streams(struct lg_peer *p)
{
	unsigned n = p->cap_streams * 2 + 2;
	struct lg_stream *s = realloc(p->stream, n * sizeof(*s));
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

static struct lg_stream *stream_of(struct lg_peer *p, uint32_t ssrc, uint8_t pt)
{
	struct lg_stream *s;
	bool video;

	for (unsigned i = 0; i < p->n_streams; i++)
		if (p->ssrcs[i] == ssrc)
			return &p->stream[i];
	if (p->n_streams == p->cap_streams && !more_streams(p))
		return NULL;
	s = &p->stream[p->n_streams];
	memset(s, 0, sizeof(*s));
	video = pt == p->pt[1] || pt == p->rtx[1];
	lg_rx_init(&s->rx, ssrc, pt, video, video ? VIDEO_HZ : AUDIO_HZ);
	s->rtx = pt == p->rtx[0] || pt == p->rtx[1];
	s->repairs = -1;
	p->ssrcs[p->n_streams++] = ssrc;
	return s;
}

static bool unprotect(struct lg_peer *p, struct lg_stream *s, uint8_t *buf, int *n)
{
	if (srtp_unprotect(p->in, buf, n) == srtp_err_status_ok) {
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
	return s->repairs < 0 ? NULL : &p->stream[s->repairs];
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

static void take_rtp(struct lg_peer *p, uint8_t *buf, size_t len, uint64_t now)
{
	uint32_t ssrc;
	uint16_t seq;
	uint64_t before;
	struct lg_stream *s;

	if (len < 12 || !p->in || !lg_rtp_head(buf, len))
		return;
	seq = lg_get16(buf + 2);
	ssrc = lg_get32(buf + 8);
	lg_feedback_came(p, buf, len, ssrc, now);
	s = stream_of(p, ssrc, buf[1] & 0x7f);
	if (!s)
		return;
	if (s->rtx) {
		take_rtx(p, s, buf, len, now);
		return;
	}
	if (!s->rx.first_ns)
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

static void take_rtcp(struct lg_peer *p, uint8_t *buf, size_t len)
{
	int n = (int)len;

	if (p->in && srtp_unprotect_rtcp(p->in, buf, &n) == srtp_err_status_ok)
		lg_feedback_rtcp(p, buf, (size_t)n);
}

/* RFC 7983 §7, RFC 5761 §4. */
void lg_peer_input(struct lg_peer *p, uint8_t *buf, size_t len, uint64_t now)
{
	if (len < 2)
		return;
	if (buf[0] >= 128 && buf[0] < 192) {
		if (buf[1] >= 192 && buf[1] < 224)
			take_rtcp(p, buf, len);
		else
			take_rtp(p, buf, len, now);
	} else if (buf[0] >= 20 && buf[0] < 64) {
		lg_dtls_input(p, buf, len, now);
	} else if (buf[0] < 4) {
		lg_ice_input(p, buf, len, now);
	}
}
