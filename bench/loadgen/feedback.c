/* What a transport tells of what it receives, and what the server tells of what it sends: reports
 * (RFC 3550 §6.4), transport-wide feedback, REMB, NACK. The figures that end in a report are
 * counted here and in stream.c; of the server's code only the wire format of transport-wide
 * feedback is used. */
#include <stdlib.h>
#include <string.h>
#include "bench/loadgen/bytes.h"
#include "bench/loadgen/lg.h"
#include "bench/loadgen/packet.h"

enum {
	TELL_PACKETS = 128, // untold of, that do not wait for their time
	NACK_MS = 10,       // while something is missing
};

static void send_rtcp(struct lg_peer *p, uint8_t *buf, size_t len)
{
	int n = (int)len;

	if (lg_crypto_protect_rtcp(p, buf, &n) == 0)
		lg_net->send(p, buf, (size_t)n);
}

/* What must stand before feedback (RFC 4585 §3.1), unless reduced size was agreed. */
static size_t begin(const struct lg_peer *p, uint8_t *buf)
{
	return p->rsize ? 0 : lg_rtcp_rr(buf, p->ssrc, NULL, 0, "load");
}

/* ---- reports ---- */

static void send_srs(struct lg_peer *p, uint64_t now)
{
	uint8_t buf[LG_PACKET];

	for (unsigned i = 0; i < p->n_sources; i++) {
		const struct lg_source *s = p->source[i];
		struct lg_sr sr = {
		    .ssrc = s->conf.ssrc,
		    .rtp_ts = s->last_ts,
		    .packets = (uint32_t)s->packets,
		    .bytes = (uint32_t)s->bytes,
		    .ntp = now / 1000000000 << 32 | (now % 1000000000 << 32) / 1000000000,
		};

		send_rtcp(p, buf, lg_rtcp_sr(buf, &sr, "load"));
	}
}

static void send_rrs(struct lg_peer *p, uint64_t now)
{
	uint8_t buf[LG_PACKET];
	struct lg_rx_report block[LG_RTCP_BLOCKS];
	unsigned n = 0;

	for (unsigned i = 0; i < p->n_streams; i++) {
		if (p->stream[i]->rtx || !p->stream[i]->rx.packets)
			continue;
		lg_rx_report(&p->stream[i]->rx, &block[n++], now);
		if (n == LG_RTCP_BLOCKS) {
			send_rtcp(p, buf, lg_rtcp_rr(buf, p->ssrc, block, n, "load"));
			n = 0;
		}
	}
	if (n)
		send_rtcp(p, buf, lg_rtcp_rr(buf, p->ssrc, block, n, "load"));
}

static void send_remb(struct lg_peer *p, uint64_t now)
{
	uint8_t buf[LG_PACKET];
	size_t at = begin(p, buf);
	unsigned n = p->n_streams < LG_RTCP_REMB_SSRCS ? p->n_streams : LG_RTCP_REMB_SSRCS;
	uint64_t packets = 0, lost = 0, bps;

	for (unsigned i = 0; i < p->n_streams; i++) {
		const struct lg_rx *r = &p->stream[i]->rx;

		if (p->stream[i]->rtx)
			continue;
		packets += r->packets - r->repaired;
		lost += lg_rx_lost(r) + r->repaired; // as the path had it
	}
	bps = p->remb ? lg_remb_bound(p->remb, packets, lost, lg_sc.remb * 1000ULL, now) : 0;
	if (!n || !bps)
		return;
	at += lg_rtcp_remb(buf + at, p->ssrc, bps, p->ssrcs, n);
	send_rtcp(p, buf, at);
	p->told.remb_sent++;
	p->told.remb_bps = bps;
	p->told.congested += p->remb->congested;
}

/* ---- of what comes ---- */

static void note_remb(struct lg_peer *p, const uint8_t *b, size_t len, uint64_t now)
{
	size_t n = 0;
	const uint8_t *v = lg_rtp_ext(b, p->time_ext, &n);

	if (!p->remb)
		p->remb = calloc(1, sizeof(*p->remb));
	if (p->remb)
		lg_remb_packet(p->remb, (uint32_t)len,
		               v && n == 3 ? v[0] << 16 | v[1] << 8 | v[2] : -1, now);
}

void lg_feedback_came(struct lg_peer *p, const uint8_t *b, size_t len, uint32_t ssrc, uint64_t now)
{
	const uint8_t *v;
	size_t n;

	if (p->tells == LG_FEEDBACK_NONE || !p->receives)
		return;
	if (p->tells == LG_FEEDBACK_REMB) {
		note_remb(p, b, len, now);
		return;
	}
	v = lg_rtp_ext(b, p->twcc_ext, &n);
	if (!v || n < 2)
		return;
	if (!p->came)
		p->came = calloc(1, sizeof(*p->came));
	if (!p->came)
		return;
	dp_twcc_rx(p->came, lg_get16(v), ssrc, (uint32_t)len, now);
	if (p->came->newest - p->came->next >= TELL_PACKETS && p->next_ns > now)
		p->next_ns = now;
}

/* When its packets are to be told of; UINT64_MAX: there is nothing to tell. */
static uint64_t tell_at(const struct dp_twcc_rx *r)
{
	if (r->next == r->newest + 1)
		return UINT64_MAX;
	return r->newest - r->next >= TELL_PACKETS ? 0 : r->told_ns + lg_sc.tell * 1000000ULL;
}

static void send_twcc(struct lg_peer *p, uint64_t now)
{
	uint8_t buf[LG_PACKET];
	int more = 1;

	while (more > 0) {
		struct dp_rtcp_out o = {.buf = buf, .room = LG_RTCP_MAX};

		o.len = (uint32_t)begin(p, buf);
		more = dp_twcc_rx_put(p->came, &o, p->ssrc, 0, now);
		if (more < 0)
			return;
		send_rtcp(p, buf, o.len);
		p->told.twcc_sent++;
	}
}

static void send_nacks(struct lg_peer *p, uint64_t now)
{
	uint16_t seqs[LG_NACK_MAX];

	p->nacking = false;
	for (unsigned i = 0; i < p->n_streams; i++) {
		struct lg_nack *k = p->stream[i]->nack;
		uint8_t buf[LG_PACKET];
		unsigned n;
		size_t at;

		if (!k || !k->n)
			continue;
		n = lg_nack_due(k, seqs, now);
		p->nacking |= k->n > 0;
		if (!n)
			continue;
		at = begin(p, buf);
		at += lg_rtcp_nack(buf + at, p->ssrc, p->stream[i]->rx.ssrc, seqs, n);
		send_rtcp(p, buf, at);
		p->told.nacks_sent++;
	}
}

void lg_feedback_timer(struct lg_peer *p, uint64_t now)
{
	if (now >= p->report_ns) {
		p->report_ns += LG_REPORT_MS * 1000000ULL;
		send_srs(p, now);
		send_rrs(p, now);
		if (p->receives && p->tells == LG_FEEDBACK_REMB)
			send_remb(p, now);
	}
	if (p->came && tell_at(p->came) <= now)
		send_twcc(p, now);
	if (p->nacking)
		send_nacks(p, now);
	if (p->nacking && p->next_ns > now + NACK_MS * 1000000ULL)
		p->next_ns = now + NACK_MS * 1000000ULL;
	if (p->came && p->next_ns > tell_at(p->came))
		p->next_ns = tell_at(p->came);
}

/* ---- of what we send ---- */

void lg_feedback_left(struct lg_peer *p, uint32_t seq, size_t len, uint64_t now)
{
	if (p->flight)
		dp_twcc_tx_sent(&p->flight->tx, seq, (uint32_t)len, 0, now);
}

static void on_twcc(void *arg, uint32_t sender, uint32_t media, const uint8_t *fci, size_t len)
{
	struct lg_peer *p = arg;
	struct dp_rtcp_fb fb = {sender, media, fci, (uint16_t)len};
	struct lg_flight *f = p->flight;
	struct dp_rtcp_twcc t;
	struct dp_twcc_match m;
	struct dp_twcc_ack a;

	if (!f || dp_rtcp_twcc(&t, &fb))
		return;
	p->told.twcc++;
	for (dp_twcc_tx_first(&m, &f->tx, &t); dp_twcc_tx_next(&m, &a);) {
		int64_t us = (int32_t)((uint32_t)a.arrival_us - a.sent_us);

		if (!a.received) {
			p->told.lost++;
			continue;
		}
		p->told.arrived++;
		p->told.lost -= a.late && p->told.lost;
		if (!f->any || (int32_t)(us - f->least_us) < 0)
			f->least_us = us;
		f->any = true;
		if ((uint32_t)(us - f->least_us) > p->told.delay_us)
			p->told.delay_us = (uint32_t)(us - f->least_us);
	}
}

static void on_remb(void *arg, uint64_t bps)
{
	struct lg_peer *p = arg;

	p->told.remb++;
	p->told.remb_bps = bps;
}

static void on_nack(void *arg, uint32_t ssrc, uint16_t seq)
{
	struct lg_peer *p = arg;

	p->told.nacked++;
	for (unsigned i = 0; i < p->n_sources; i++)
		if (p->source[i]->conf.ssrc == ssrc)
			p->told.resent += lg_peer_send_again(p, p->source[i], seq, lg_now());
}

static void on_sr(void *arg, uint32_t ssrc, uint32_t ntp_middle)
{
	struct lg_peer *p = arg;

	for (unsigned i = 0; i < p->n_streams; i++)
		if (p->ssrcs[i] == ssrc) {
			p->stream[i]->rx.last_sr = ntp_middle;
			p->stream[i]->rx.last_sr_ns = p->heard_ns;
		}
}

static void on_key_frame(void *arg, uint32_t ssrc)
{
	struct lg_peer *p = arg;

	for (unsigned i = 0; i < p->n_sources; i++)
		if (p->source[i]->conf.ssrc == ssrc && p->source[i]->conf.video)
			lg_source_key(p->source[i]);
}

void lg_feedback_rtcp(struct lg_peer *p, const uint8_t *b, size_t len, uint64_t now)
{
	struct lg_rtcp_in in = {.arg = p,
	                        .sr = on_sr,
	                        .key_frame = on_key_frame,
	                        .nack = on_nack,
	                        .remb = on_remb,
	                        .twcc = on_twcc};

	p->heard_ns = now;
	lg_rtcp_parse(b, len, &in);
}

void lg_feedback_restart(struct lg_peer *p)
{
	memset(&p->told, 0, sizeof(p->told));
	for (unsigned i = 0; i < p->n_streams; i++)
		if (p->stream[i]->nack)
			lg_nack_restart(p->stream[i]->nack);
}
