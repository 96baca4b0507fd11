/* A subscriber: feedback, requests for what is missing, and whole frames as a measure of what it
 * could show. */
#include "tests/sim/sim.h"

static void count_frame(struct sim *s, struct sim_peer *p, struct sim_view *v,
                        const struct sim_pkt *k, uint64_t now_ns)
{
	uint8_t *got = &v->got[k->frame % SIM_HISTORY];
	struct sim_figures *f = &p->figure[p->now_phase];

	if (k->frame > v->done_frame) {
		for (uint32_t i = v->done_frame + 1; i <= k->frame; i++)
			v->got[i % SIM_HISTORY] = 0;
		v->done_frame = k->frame;
	}
	if (v->done_frame - k->frame >= SIM_HISTORY || ++*got != k->of)
		return;
	p->frames_whole++;
	if (!p->first_ns)
		p->first_ns = now_ns;
	if (v->shown_ns && f->converge_s >= 0 && now_ns > v->shown_ns &&
	    (now_ns - v->shown_ns) / 1e6 > f->freeze_ms && v->layer != DP_ALLOC_NONE)
		f->freeze_ms = (double)(now_ns - v->shown_ns) / 1e6;
	v->shown_ns = now_ns;
}

/* A busy process, or a radio that sleeps: what comes meanwhile is read when it is over, one packet
 * after the other, each with the time at which it was. Returns when this one is. */
uint64_t sim_peer_read(struct sim *s, struct sim_peer *p, uint64_t at_ns)
{
	while (p->stalls && at_ns >= p->stall_ns) {
		p->awake_ns = p->stall_ns + (20 + sim_draw(s, 580)) * SIM_MS;
		p->stall_ns = p->awake_ns + (100 + sim_draw(s, 800)) * SIM_MS;
	}
	if (at_ns < p->awake_ns)
		at_ns = p->awake_ns;
	if (at_ns < p->read_ns + 300000)
		at_ns = p->read_ns + 300000;
	p->read_ns = at_ns;
	return at_ns;
}

void sim_peer_receive(struct sim *s, struct sim_peer *p, const struct sim_pkt *k, uint64_t now_ns)
{
	struct sim_view *v = &p->view[k->track];

	dp_twcc_rx(&p->rx, (uint16_t)k->twcc, k->track, k->bytes, now_ns);
	if (k->flags & (SIM_PAD | SIM_AUDIO))
		return;
	if (dp_nack_seen(&v->nack, (uint16_t)k->seq, now_ns) != DP_NACK_OLD)
		count_frame(s, p, v, k, now_ns);
}

static void missing(struct sim *s, struct sim_peer *p, struct dp_rtcp_out *o)
{
	/* it measures the round trip with the queue in it, as the other end does */
	uint32_t rtt_us = p->bwe.rtt_us ? p->bwe.rtt_us : p->rtt_ms * 1000;

	for (uint32_t i = 0; i < s->tracks; i++) {
		struct sim_view *v = &p->view[i];
		uint16_t seqs[64];
		uint32_t n;

		if (s->track[i].kind != SH_KIND_VIDEO)
			continue;
		n = dp_nack_due(&v->nack, s->now_ns, rtt_us, seqs, 64);
		if (n)
			dp_rtcp_put_nack(o, 1, i, seqs, n);
		if (v->nack.given_up) {
			v->nack.given_up = 0;
			dp_rtcp_put_pli(o, 1, i);
		}
	}
}

void sim_peer_tick(struct sim *s, struct sim_peer *p)
{
	uint8_t buf[1400];
	struct dp_rtcp_out o = {buf, sizeof(buf), 0};

	if (s->now_ns < p->awake_ns)
		return;
	if (s->now_ns >= p->nack_ns) {
		p->nack_ns = s->now_ns + 10 * SIM_MS;
		missing(s, p, &o);
	}
	if (dp_twcc_rx_due(&p->rx, s->now_ns))
		while (dp_twcc_rx_put(&p->rx, &o, 1, 0, s->now_ns) > 0)
			;
	if (o.len)
		sim_up(s, p, buf, o.len);
}
