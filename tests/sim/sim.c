#include "tests/sim/sim.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a heap of what is under way ---- */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

static void push(struct sim_heap *h, struct sim_event e)
{
	uint32_t i = h->n++;

	if (h->n > h->room) {
		h->room = h->room ? 2 * h->room : 1024;
		h->e = realloc(h->e, h->room * sizeof(*h->e));
		if (!h->e)
			abort();
	}
	e.order = h->order++;
	for (; i && before(&e, &h->e[(i - 1) / 2]); i = (i - 1) / 2)
		h->e[i] = h->e[(i - 1) / 2];
	h->e[i] = e;
}

static struct sim_event pop(struct sim_heap *h)
{
	struct sim_event top = h->e[0], last = h->e[--h->n];
	uint32_t i = 0;

	for (;;) {
		uint32_t c = 2 * i + 1;

		if (c >= h->n)
			break;
		if (c + 1 < h->n && before(&h->e[c + 1], &h->e[c]))
			c++;
		if (!before(&h->e[c], &last))
			break;
		h->e[i] = h->e[c];
		i = c;
	}
	h->e[i] = last;
	return top;
}

/* ---- making a room ---- */

struct sim *sim_new(uint64_t seed)
{
	struct sim *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->peer = calloc(SIM_PEERS, sizeof(*s->peer));
	if (!s->peer)
		abort();
	s->random = seed * 0x9e3779b97f4a7c15ull + 1;
	return s;
}

void sim_free(struct sim *s)
{
	while (s->heap.n)
		free(pop(&s->heap).data);
	free(s->heap.e);
	free(s->peer);
	free(s);
}

uint32_t sim_draw(struct sim *s, uint32_t below)
{
	s->random ^= s->random >> 12;
	s->random ^= s->random << 25;
	s->random ^= s->random >> 27;
	return (uint32_t)((s->random * 0x2545f4914f6cdd1dull >> 32) * below >> 32);
}

struct sim_peer *sim_peer(struct sim *s)
{
	return &s->peer[s->peers++];
}

/* ---- ways ---- */

void sim_down(struct sim *s, struct sim_peer *p, const struct sim_pkt *k)
{
	uint64_t at[2];
	unsigned n = dp_wire_send(&p->down, k->bytes, s->now_ns, at);

	for (unsigned i = 0; i < n; i++)
		push(&s->heap, (struct sim_event){
		                   .at_ns = at[i], .peer = (uint32_t)(p - s->peer), .pkt = *k});
}

void sim_up(struct sim *s, struct sim_peer *p, const uint8_t *data, uint32_t len)
{
	uint64_t at[2];
	struct sim_event e = {.up = true, .peer = (uint32_t)(p - s->peer), .len = len};

	if (!dp_wire_send(&p->up, len, s->now_ns, at))
		return;
	e.at_ns = at[0];
	e.data = malloc(len);
	if (!e.data)
		abort();
	memcpy(e.data, data, len);
	push(&s->heap, e);
}

static void deliver(struct sim *s)
{
	while (s->heap.n && s->heap.e[0].at_ns <= s->now_ns) {
		struct sim_event e = pop(&s->heap);
		struct sim_peer *p = &s->peer[e.peer];

		if (!e.up && p->stalls && !e.read) {
			e.at_ns = sim_peer_read(s, p, e.at_ns);
			e.read = true;
			push(&s->heap, e);
			continue;
		}
		if (e.up)
			sim_sfu_rtcp(s, p, e.data, e.len, s->now_ns);
		else
			sim_peer_receive(s, p, &e.pkt, e.at_ns);
		free(e.data);
	}
}

/* ---- measures ---- */

/* What the best choice costs that leaves 15 % of the link (headroom for a step up, probes,
 * feedback, wavering rates): the allocator itself, told the truth. */
static double oracle(const struct sim *s, const struct sim_peer *p)
{
	const struct dp_wire_conf *c = &p->down.conf;
	double pass = 1 - c->loss_good_ppm / 1e6, rate = c->rate_bps / pass * SIM_FAIR;
	struct dp_alloc_sub sub[SIM_TRACKS];
	struct sim_track nominal[SIM_TRACKS];
	struct dp_alloc a = {0};

	sim_alloc_fill(s, p, sub);
	for (uint32_t i = 0; i < s->tracks; i++) {
		nominal[i] = s->track[i];
		sub[i].rate_bps = nominal[i].nominal;
		sub[i].layer = DP_ALLOC_NONE;
	}
	dp_alloc_run(&a, sub, s->tracks, c->rate_bps ? (uint32_t)fmin(rate * 9 / 8, 4e9) : 0,
	             (uint8_t)((1 - pass) * 256), s->now_ns);
	return a.allocated_bps * pass;
}

/* What the present choice costs at nominal rates, without retransmissions. */
static double chosen(const struct sim *s, const struct sim_peer *p)
{
	double bps = 0;

	for (uint32_t i = 0; i < s->tracks; i++) {
		const struct sim_track *t = &s->track[i];
		const struct sim_view *v = &p->view[i];
		double sum = 0;

		if (t->kind == SH_KIND_AUDIO)
			sum = 43200 + 17600;
		else if (v->layer != DP_ALLOC_NONE)
			for (uint32_t l = t->svc ? 0 : v->layer; l <= v->layer; l++)
				for (uint32_t k = 0; k <= v->temporal && k < t->temporals; k++)
					sum += t->nominal[l][k] * 17 / 16.;
		bps += sum;
	}
	return bps;
}

static void sample(struct sim *s, struct sim_peer *p)
{
	struct sim_figures *f = &p->figure[p->now_phase];
	double best = oracle(s, p), now = chosen(s, p),
	       ms = (double)dp_wire_wait(&p->down, s->now_ns) / 1e6;
	double pass = 1 - p->down.conf.loss_good_ppm / 1e6;
	bool above = p->down.conf.rate_bps && now > p->down.conf.rate_bps / pass,
	     fits = now >= 0.95 * best && !above;

	if (s->trace)
		printf("%7.1f est %7.0fk acked %6.0fk alloc %6.0fk best %6.0fk now %6.0fk queue "
		       "%4.0f seen %4.0f trend %6.1f/%4.1f use %u loss %3u usual %.3f bound %u "
		       "probes %lu f%u m%u l%u rtt %u L%d/%d T%u waits %u keys %u\n",
		       s->now_ns / 1e9, p->bwe.estimate_bps / 1e3, p->bwe.acked_bps / 1e3,
		       p->alloc.allocated_bps / 1e3, best / 1e3, now / 1e3, ms,
		       p->bwe.queue_us / 1e3, (double)p->bwe.delay.trend,
		       (double)p->bwe.delay.threshold, p->bwe.usage, p->bwe.loss,
		       (double)p->bwe.losses.usual, p->bwe.bound, p->bwe.probes,
		       p->bwe.probe.failed, p->bwe.probe.misled, p->bwe.probe.depth,
		       p->bwe.rtt_us / 1000, (int8_t)p->view[0].layer, (int8_t)p->view[0].want,
		       p->view[0].temporal, p->queued_bytes, s->track[0].keys);
	if (!fits)
		p->fits_since_ns = 0;
	else if (!p->fits_since_ns)
		p->fits_since_ns = s->now_ns;
	if (f->converge_s < 0 && fits && s->now_ns - p->fits_since_ns >= 2 * SIM_S)
		f->converge_s = (double)(p->fits_since_ns - f->from_ns) / 1e9;
	if (f->converge_s < 0)
		return;
	f->switches += p->samples && now != p->last_choice;
	p->last_choice = now;
	p->samples++;
	p->oracle_sum += best;
	p->use_sum += above ? 0 : fmin(now, best); // what does not pass is of no use
	p->estimate_sum += p->bwe.estimate_bps;
}

/* Of the first video: whether it is there, and keeps its size. */
static void watch_size(struct sim *s, struct sim_peer *p, struct sim_figures *f)
{
	uint8_t layer = p->view[0].layer;

	f->sizes += layer != DP_ALLOC_NONE && layer != p->last_layer;
	f->paused_ms += p->view[0].want == DP_ALLOC_NONE;
	if (layer != DP_ALLOC_NONE)
		p->last_layer = layer;
}

static void watch_start(const struct sim *s, struct sim_peer *p, double ms)
{
	bool dark = false;

	for (uint32_t i = 0; i < s->tracks; i++)
		dark |= s->track[i].kind == SH_KIND_VIDEO && p->view[i].want == DP_ALLOC_NONE;
	p->dark_ms += dark;
	p->slow_ms += ms > 100;
}

/* Each ms: how long a packet would wait now. */
static void watch(struct sim *s, struct sim_peer *p)
{
	struct sim_figures *f = &p->figure[p->now_phase];
	double ms = (double)dp_wire_wait(&p->down, s->now_ns) / 1e6;

	watch_size(s, p, f);
	watch_start(s, p, ms);
	if (f->converge_s < 0)
		return;
	p->queue_sum += ms;
	p->queue_hist[ms < 511 ? (int)ms : 511]++;
	if (ms < p->least_ms)
		p->least_ms = ms;
	if (s->now_ns - p->least_ns < SIM_S)
		return;
	if (p->least_ns && p->least_ms < 1e9 && p->least_ms > f->standing_ms)
		f->standing_ms = p->least_ms;
	p->least_ms = 1e9;
	p->least_ns = s->now_ns;
}

static void close_phase(struct sim *s, struct sim_peer *p)
{
	struct sim_figures *f = &p->figure[p->now_phase];
	double seconds, below = 0, all = 0;

	f->to_ns = s->now_ns;
	seconds = (double)(f->to_ns - f->from_ns) / 1e9;
	f->video_bps = p->video_bytes * 8 / seconds;
	f->padding_bps = p->pad_bytes * 8 / seconds;
	f->rtx_bps = p->rtx_bytes * 8 / seconds;
	f->frames = p->frames_sent ? (double)p->frames_whole / p->frames_sent : 1;
	if (p->down.packets > p->packets0) {
		f->full = (double)(p->down.full - p->full0) / (p->down.packets - p->packets0);
		f->lost = (double)(p->down.lost - p->lost0) / (p->down.packets - p->packets0);
	}
	for (int i = 0; i < 512; i++)
		all += p->queue_hist[i];
	for (int i = 0; all > 0 && i < 512 && below < 0.95 * all; i++) {
		below += p->queue_hist[i];
		f->queue_p95_ms = i;
	}
	f->queue_mean_ms = all > 0 ? p->queue_sum / all : 0;
	if (p->samples) {
		f->oracle_bps = p->oracle_sum / p->samples;
		f->use = p->use_sum / p->oracle_sum;
		f->estimate_bps = p->estimate_sum / p->samples;
	}
}

static void open_phase(struct sim *s, struct sim_peer *p, uint32_t i)
{
	struct dp_wire_conf c = p->phase[i].link;

	c.delay_us += p->rtt_ms * 500;
	if (!i)
		dp_wire_init(&p->down, &c, s->random + (uint64_t)(p - s->peer));
	else
		dp_wire_conf(&p->down, &c, s->now_ns);
	p->now_phase = i;
	p->figure[i] = (struct sim_figures){.from_ns = s->now_ns, .converge_s = -1};
	p->video_bytes = p->pad_bytes = p->rtx_bytes = p->frames_sent = p->frames_whole = 0;
	p->oracle_sum = p->use_sum = p->queue_sum = p->estimate_sum = 0;
	p->samples = 0;
	memset(p->queue_hist, 0, sizeof(p->queue_hist));
	p->fits_since_ns = p->least_ns = 0;
	p->least_ms = 1e9;
	p->packets0 = p->down.packets;
	p->full0 = p->down.full;
	p->lost0 = p->down.lost;
}

static void begin(struct sim *s, struct sim_peer *p)
{
	struct dp_wire_conf up = {.delay_us = p->rtt_ms * 500, .loss_good_ppm = p->up_loss_ppm};
	struct dp_bwe_conf conf = {.start_bps = p->start_bps};

	dp_wire_init(&p->up, &up, s->random ^ 0x5555);
	if (dp_bwe_init(&p->bwe, &conf, p->sent, SIM_ENTRIES, s->now_ns))
		abort();
	dp_bwe_expect(&p->bwe, true, s->now_ns);
	for (uint32_t i = 0; i < SIM_TRACKS; i++)
		p->view[i].layer = p->view[i].want = DP_ALLOC_NONE;
	open_phase(s, p, 0);
}

static void step(struct sim *s, struct sim_peer *p)
{
	uint32_t next = p->now_phase + 1;
	uint64_t ms = s->now_ns / SIM_MS;

	if (next < p->phases && s->now_ns >= p->phase[next].at_s * 1e9) {
		close_phase(s, p);
		open_phase(s, p, next);
	}
	sim_sfu_tick(s, p);
	sim_peer_tick(s, p);
	watch(s, p);
	if (ms % 100 == 0)
		sample(s, p);
}

void sim_run(struct sim *s)
{
	for (struct sim_peer *p = s->peer; p < s->peer + s->peers; p++)
		begin(s, p);
	for (s->now_ns = SIM_MS; s->now_ns < s->end_s * 1e9; s->now_ns += SIM_MS) {
		deliver(s);
		sim_sources(s);
		for (struct sim_peer *p = s->peer; p < s->peer + s->peers; p++)
			step(s, p);
	}
	for (struct sim_peer *p = s->peer; p < s->peer + s->peers; p++)
		close_phase(s, p);
}
