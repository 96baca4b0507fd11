/* What the workers do: sampled from the dataplane's slabs once a second, and added up by the model.
 */
#include "controlplane/call/admit_priv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include "controlplane/loop.h"

#define SECOND_NS 1000000000ull
enum {
	PERIOD_MS = 1000,
	SHOWN_S = 5,
	SETTLE_S = 10, // a new track counts as usual ones do, until it has shown what it sends
};
/* A stream that falls silent may come back: what it sent fades by so much a second. */
#define FADE 0.95
/* Weight of the last second in a worker's busy share. */
#define NEWEST 0.5
/* Who was let in sends within a few seconds, or not at all: what is left of it after each second.
 */
#define COMING 0.7

/* ---- samples ---- */

static void sample_workers(struct cp_admit *a)
{
	for (unsigned w = 0; w < a->slabs.head->workers && w < SH_MAX_WORKERS; w++) {
		const struct sh_stats *s = &a->slabs.head->stats[w];
		struct cp_admit_measured *m = &a->measured[w];
		uint64_t busy = s->busy_cycles - m->busy, idle = s->idle_cycles - m->idle;
		double share;

		m->busy = s->busy_cycles;
		m->idle = s->idle_cycles;
		m->coming *= COMING;
		if (!m->first) {
			m->first = true;
			continue;
		}
		/* Counters that went back are of another run; a worker that got no CPU at all says
		 * nothing new. */
		if (busy > INT64_MAX || idle > INT64_MAX || busy + idle == 0)
			continue;
		share = (double)busy / (double)(busy + idle);
		m->share += NEWEST * (share - m->share);
	}
}

/* The slab entry, if it is of that track. */
static const struct sh_track *slab_of(const struct cp_admit *a, const struct cp_track *t)
{
	uint32_t i = SH_ID_INDEX(t->plane_id);
	const struct sh_track *s = a->slabs.head && i < a->slabs.tracks ? &a->slabs.track[i] : NULL;

	return s && s->set.id == t->plane_id ? s : NULL;
}

static void fade(struct sh_cost_flow *f, double pps, double bytes)
{
	f->pps = fmax(pps, f->pps * FADE);
	f->bytes = fmax(bytes, f->bytes * FADE);
}

static void sample_track(struct cp_admit *a, const struct cp_track *t, double seconds)
{
	struct cp_rate *r = &a->rate[SH_ID_INDEX(t->plane_id)];
	const struct sh_track *s = slab_of(a, t);
	struct sh_cost_flow all = {0}, most = {0};
	bool first;

	(void)cp_load_rate(a, t);
	if (!s)
		return;
	first = r->first;
	r->first = true;
	for (unsigned i = 0; i < SH_MAX_LAYERS; i++) {
		uint64_t packets = s->media[i].packets - r->packets[i],
		         bytes = s->media[i].bytes - r->bytes[i];

		r->packets[i] += packets;
		r->bytes[i] += bytes;
		if (packets > INT64_MAX || bytes > INT64_MAX)
			continue;
		all.pps += (double)packets / seconds;
		all.bytes += (double)bytes / seconds;
		most.pps = fmax(most.pps, (double)packets / seconds);
		most.bytes = fmax(most.bytes, (double)bytes / seconds);
	}
	if (!first || seconds > 10) // what was counted over a gap is no rate
		return;
	fade(&r->in, all.pps, all.bytes);
	fade(&r->out, most.pps, most.bytes);
}

#define EACH_PARTICIPANT(c, r, p)                                                                  \
	for (const struct cp_room_entry *r = (c)->rooms; r; r = r->hh.next)                        \
		TAILQ_FOREACH (p, &r->room.participants, entry)

static void forget_file(struct cp_admit *a)
{
	if (a->slabs.head)
		sh_slabs_close(&a->slabs);
	a->slabs = (struct sh_slabs){0};
}

/* The file is another one when the dataplane came back in another shape. */
static void follow_file(struct cp_admit *a)
{
	uint64_t epoch = cp_calls_ready(a->calls) ? cp_plane_hello(a->calls->plane)->slab_epoch : 0;

	if (a->slabs.head && a->slabs.head->slab_epoch != epoch)
		forget_file(a);
	if (!a->slabs.head && epoch && sh_slabs_open(&a->slabs, a->state))
		a->slabs = (struct sh_slabs){0};
	if (a->slabs.head && a->slabs.head->slab_epoch != epoch)
		forget_file(a);
}

static void sample(void *arg)
{
	struct cp_admit *a = arg;
	uint64_t now = cp_now_ns();
	double seconds = (double)(now - a->sampled_ns) / 1e9;
	const struct cp_participant *p;
	const struct cp_track *t;

	cp_timer_start(a->timer, PERIOD_MS);
	follow_file(a);
	a->sampled_ns = now;
	if (!a->slabs.head || seconds < 0.1)
		return;
	sample_workers(a);
	EACH_PARTICIPANT(a->calls, r, p)
	TAILQ_FOREACH (t, &p->tracks, entry)
		if (t->plane_id)
			sample_track(a, t, seconds);
	if (now - a->loaded_ns > SHOWN_S * SECOND_NS)
		cp_load_refresh(a); // for the metrics
}

int cp_load_start(struct cp_admit *a)
{
	int err;

	a->rate = calloc(a->calls->tracks_max, sizeof(*a->rate));
	if (!a->rate)
		return -ENOMEM;
	err = cp_timer_alloc(&a->timer, sample, a);
	if (!err)
		cp_timer_start(a->timer, 1);
	return err;
}

void cp_load_stop(struct cp_admit *a)
{
	cp_timer_free(a->timer);
	forget_file(a);
	free(a->rate);
}

/* ---- sums ---- */

unsigned cp_load_workers(const struct cp_admit *a)
{
	unsigned n = cp_plane_hello(a->calls->plane)->workers;

	return n ? n : 1;
}

struct sh_cost_flow cp_load_default(enum sh_kind kind)
{
	struct sh_cost_flow f = {0};

	if (kind == SH_KIND_AUDIO)
		sh_cost_flow(&f, SH_COST_AUDIO_PPS, SH_COST_AUDIO_BYTES);
	else
		sh_cost_flow(&f, SH_COST_VIDEO_PPS, SH_COST_VIDEO_BYTES);
	return f;
}

static void at_least(struct sh_cost_flow *f, const struct sh_cost_flow *than, double times)
{
	f->pps = fmax(f->pps, than->pps * times);
	f->bytes = fmax(f->bytes, than->bytes * times);
}

/* What a slot carries is its source's; nothing while it is empty, but somebody will speak. */
static const struct cp_rate *slot_rate(struct cp_admit *a, const struct cp_track *t)
{
	const struct sh_track *s = slab_of(a, t);
	const struct cp_track *from =
	    s ? a->calls->track[SH_ID_INDEX(atomic_load_explicit(&s->source, memory_order_relaxed))]
	      : NULL;

	return from && from->owner && from->kind == t->kind ? cp_load_rate(a, from) : NULL;
}

const struct cp_rate *cp_load_rate(struct cp_admit *a, const struct cp_track *t)
{
	const struct sh_cost_flow usual = cp_load_default(t->kind);
	struct cp_rate *r = &a->rate[SH_ID_INDEX(t->plane_id)];
	const struct cp_rate *source = t->owner ? NULL : slot_rate(a, t);

	if (source)
		return source;
	if (r->id != t->plane_id)
		*r = (struct cp_rate){.id = t->plane_id, .born_ns = cp_now_ns()};
	/* Two lower layers of a simulcast are about a third of the best one. */
	if (!a->slabs.head || !t->owner || cp_now_ns() - r->born_ns < SETTLE_S * SECOND_NS) {
		at_least(&r->in, &usual, t->set.layers > 1 ? 1.35 : 1);
		at_least(&r->out, &usual, 1);
	}
	return r;
}

enum sh_cost_cipher cp_load_cipher(const struct cp_admit *a, const struct cp_endpoint *e)
{
	uint32_t i = SH_ID_INDEX(e->id);

	if (!a->slabs.head || i >= a->slabs.endpoints || a->slabs.endpoint[i].keys.id != e->id)
		return SH_COST_GCM128;
	return sh_cost_cipher(a->slabs.endpoint[i].keys.profile);
}

/* Whether it tells of what it is sent; browsers do, and players by WHEP. */
static bool tells(const struct cp_admit *a, const struct cp_endpoint *e)
{
	uint32_t i = SH_ID_INDEX(e->id);

	return !a->slabs.head || i >= a->slabs.endpoints || a->slabs.endpoint[i].set.id != e->id ||
	       ((a->slabs.endpoint[i].set.flags & SH_EP_TWCC) &&
	        a->slabs.endpoint[i].set.ext_id[SH_EXT_TWCC]);
}

static void add(struct sh_cost_flow *to, const struct sh_cost_flow *what)
{
	to->pps += what->pps;
	to->bytes += what->bytes;
}

/* As if each listener were sent as much. */
double cp_load_told(const struct sh_cost_load *l)
{
	struct sh_cost_flow all = {0};

	for (unsigned c = 0; c < SH_COST_CIPHER_COUNT; c++)
		add(&all, &l->out[c]);
	return l->links > 0
	           ? l->links * sh_cost_tells((all.bytes + all.pps * SH_COST_RTP_BYTES) / l->links)
	           : 0;
}

/* The track at its publisher, at its subscribers, and handed over to the workers of those. */
static void add_track(struct cp_admit *a, const struct cp_track *t)
{
	const struct cp_endpoint *from = t->owner ? t->owner->endpoint[CP_PUBLISH] : NULL, *to;
	const struct cp_rate *rate = cp_load_rate(a, t);
	unsigned handed = 0;
	const struct cp_sub *s;

	if (t->owner && !from)
		return;
	if (from) {
		add(&a->load[from->worker].in[cp_load_cipher(a, from)], &rate->in);
		a->load[from->worker].video_in += t->kind == SH_KIND_VIDEO ? rate->in.pps : 0;
		*(t->kind == SH_KIND_AUDIO ? &a->load[from->worker].audios
		                           : &a->load[from->worker].videos) += 1;
	}
	TAILQ_FOREACH (s, &t->subs, by_track) {
		to = s->owner->endpoint[CP_SUBSCRIBE];
		if (!to)
			continue;
		a->load[to->worker].subs++;
		if (s->paused)
			continue;
		add(&a->load[to->worker].out[cp_load_cipher(a, to)], &rate->out);
		if (tells(a, to))
			a->load[to->worker].tracked += rate->out.pps;
		if (from && to->worker != from->worker)
			handed |= 1u << to->worker;
	}
	for (unsigned w = 0; handed >> w; w++)
		if (handed >> w & 1)
			a->load[w].handoffs += rate->in.pps;
}

void cp_load_refresh(struct cp_admit *a)
{
	uint64_t now = cp_now_ns();
	const struct cp_participant *p;
	const struct cp_track *t;

	if (a->loaded_ns && now - a->loaded_ns < SECOND_NS)
		return;
	a->loaded_ns = now;
	memset(a->load, 0, sizeof(a->load));
	for (const struct cp_room_entry *r = a->calls->rooms; r; r = r->hh.next)
		TAILQ_FOREACH (t, &r->room.slots, entry)
			add_track(a, t);
	EACH_PARTICIPANT(a->calls, r, p)
	{
		const struct cp_endpoint *listens = p->endpoint[CP_SUBSCRIBE];

		for (int i = 0; i < 2; i++)
			if (p->endpoint[i])
				a->load[p->endpoint[i]->worker].endpoints++;
		if (listens && !TAILQ_EMPTY(&p->subs) && tells(a, listens))
			a->load[listens->worker].links++;
		TAILQ_FOREACH (t, &p->tracks, entry)
			if (t->plane_id)
				add_track(a, t);
	}
	for (unsigned w = 0; w < SH_MAX_WORKERS; w++)
		a->load[w].told = cp_load_told(&a->load[w]);
}
