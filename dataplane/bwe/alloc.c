/* The allocator. A subscription's qualities are steps: each temporal layer of its lowest quality,
 * then, of those above, the two highest frame rates only, as a large picture at a quarter of its
 * frame rate is worse than a small one at the full. Nothing is kept per step: costs are added up
 * when they are asked for. */
#include "dataplane/bwe/alloc.h"
#include <stdbool.h>
#include "shared/limits.h"

#define UP_PAUSE_NS 1500000000ull
#define HELD_NS     8000000000ull  // a step up that lasts so long was right
#define BOLD_NS     30000000000ull // after so long it is worth a try again
enum {
	AUDIO_HEAD_BPS = 17600,  // 50 packets a second with 44 bytes of IPv4, UDP and SRTP tag
	AUDIO_GUESS_BPS = 43200, // 32 kb/s of sound, with RTP headers and extensions
	HOLD = 16, // what it had may be so much (1/16) above the budget: rates waver, and the pacer
	           // evens it out
	HEADROOM = 8, // a step up needs 1/8 of it all to spare,
	KEY_MS = 300, // a key frame that takes longer is a dear one
	SHY_MAX = 3,  // and as much again for each time that a step up was taken back at once
};

struct step {
	uint8_t layer, temporal; // layer DP_ALLOC_NONE: nothing
};

struct run {
	struct dp_alloc *a;
	uint64_t total, budget; // budget UINT64_MAX: unlimited
	uint32_t loss;
	bool may_rise, rose;
};

static uint32_t temporals(const struct dp_alloc_sub *s)
{
	return s->temporals < 1                 ? 1
	       : s->temporals > SH_MAX_TEMPORAL ? SH_MAX_TEMPORAL
	                                        : s->temporals;
}

static uint8_t top_temporal(const struct dp_alloc_sub *s)
{
	uint32_t t = temporals(s) - 1;

	return (uint8_t)(s->max_temporal < t ? s->max_temporal : t);
}

static uint32_t active(const struct dp_alloc_sub *s)
{
	return s->active & ((1u << SH_MAX_LAYERS) - 1);
}

/* The highest quality that makes sense: within the limit, and none above the first that is large
 * enough. */
static uint8_t top_layer(const struct dp_alloc_sub *s)
{
	uint32_t mask = active(s), top = (uint32_t)__builtin_ctz(mask);

	for (uint32_t l = top; l < SH_MAX_LAYERS && l <= s->max_layer; l++) {
		if (!(mask >> l & 1))
			continue;
		top = l;
		if (s->want_height && s->height[l] >= s->want_height)
			break;
	}
	return (uint8_t)top;
}

/* What nobody has measured yet. Encoders give each quality about three times the one below. */
static uint64_t guess(const struct dp_alloc_sub *s, uint32_t layer)
{
	static const uint32_t usual[SH_MAX_LAYERS] = {150000, 500000, 1700000};

	return s->kind == SH_KIND_AUDIO ? AUDIO_GUESS_BPS : usual[layer];
}

/* Payload of one quality up to a temporal layer. */
static uint64_t payload(const struct dp_alloc_sub *s, uint32_t layer, uint32_t temporal)
{
	uint64_t bps = 0;

	for (uint32_t t = 0; s->rate_bps && t <= temporal; t++)
		bps += s->rate_bps[layer][t];
	return bps ? bps : guess(s, layer);
}

static uint64_t cost(const struct run *r, const struct dp_alloc_sub *s, struct step p)
{
	uint64_t bps = 0;

	if (p.layer == DP_ALLOC_NONE)
		return 0;
	if (s->kind == SH_KIND_AUDIO)
		return payload(s, 0, 0) + AUDIO_HEAD_BPS;
	for (uint32_t l = s->svc ? 0 : p.layer; l <= p.layer; l++)
		if (active(s) >> l & 1)
			bps += payload(s, l, p.temporal);
	bps += bps / 16;                              // headers: 68 bytes of 1100
	return bps + bps * r->loss / (256 - r->loss); // a retransmission can be lost too
}

static bool has(const struct dp_alloc_sub *s)
{
	return !s->off && (s->kind == SH_KIND_AUDIO || active(s));
}

/* The step after p; false: it is the last. */
static bool next(const struct dp_alloc_sub *s, struct step p, struct step *out)
{
	uint32_t low = (uint32_t)__builtin_ctz(active(s)), top = top_layer(s);
	uint8_t t = top_temporal(s);

	if (p.layer == DP_ALLOC_NONE) {
		*out = (struct step){(uint8_t)low, 0};
		return true;
	}
	if (p.temporal < t) {
		*out = (struct step){p.layer, (uint8_t)(p.temporal + 1)};
		return true;
	}
	for (uint32_t l = p.layer + 1u; l <= top; l++)
		if (active(s) >> l & 1) {
			*out = (struct step){(uint8_t)l, t >= 2 ? (uint8_t)(t - 1) : t};
			return true;
		}
	return false;
}

/* A switch begins with a key frame. One that takes the whole link for long is worth it when all of
 * the quality fits, not for a part of its frame rate. */
static bool dear(const struct run *r, const struct dp_alloc_sub *s, struct step to)
{
	uint64_t bytes = 0;

	if (!s->key_bytes || to.temporal == top_temporal(s))
		return false;
	for (uint32_t l = s->svc ? 0 : to.layer; l <= to.layer; l++)
		bytes += s->key_bytes[l];
	return bytes * 8 * 1000 / KEY_MS > r->budget;
}

static struct step ideal(const struct dp_alloc_sub *s)
{
	return (struct step){top_layer(s), top_temporal(s)};
}

/* What it had last time, as far as it may still have it. */
static struct step had(const struct dp_alloc_sub *s)
{
	struct step top = ideal(s), p = {s->layer, s->temporal};

	if (p.layer == DP_ALLOC_NONE)
		return p;
	if (p.layer > top.layer)
		return top;
	if (p.temporal > top.temporal)
		p.temporal = top.temporal;
	return p;
}

static bool above(struct step a, struct step b)
{
	if (b.layer == DP_ALLOC_NONE)
		return a.layer != DP_ALLOC_NONE;
	return a.layer != DP_ALLOC_NONE &&
	       (a.layer > b.layer || (a.layer == b.layer && a.temporal > b.temporal));
}

/* On a link that nobody knows the first picture may be the probe, as long as one that was taken so
 * has not proved to pass. */
static bool dares(const struct run *r, const struct dp_alloc_sub *s, uint64_t total)
{
	return r->a->dare && s->want_layer == DP_ALLOC_NONE &&
	       (total <= 2 * r->budget || r->total <= r->budget);
}

/* Raises s by one step when that fits. */
static bool raise(struct run *r, struct dp_alloc_sub *s)
{
	struct step now = {s->want_layer, s->want_temporal}, to;
	uint64_t total, need;

	if (!next(s, now, &to))
		return false;
	while (now.layer != DP_ALLOC_NONE && to.layer != now.layer && to.layer != had(s).layer &&
	       dear(r, s, to))
		to.temporal++;
	total = r->total - s->cost_bps + cost(r, s, to);
	if (above(to, had(s))) {
		need = total + total / HEADROOM * (1 + r->a->shy);
		if (need > r->budget && r->may_rise && dares(r, s, total)) {
			r->a->dared = 1;
		} else if (need > r->budget || !r->may_rise) {
			if (!r->a->next_bps)
				r->a->next_bps = need > UINT32_MAX ? UINT32_MAX : (uint32_t)need;
			return false;
		}
	} else if (total > r->budget && total - r->budget > r->budget / HOLD &&
	           !(r->a->unproven && now.layer == DP_ALLOC_NONE)) {
		if (!r->a->next_bps)
			r->a->next_bps = total > UINT32_MAX ? UINT32_MAX : (uint32_t)total;
		return false;
	}
	r->rose |= above(to, had(s));
	r->total = total;
	s->cost_bps = (uint32_t)cost(r, s, to);
	s->want_layer = to.layer;
	s->want_temporal = to.temporal;
	return true;
}

static int rank(const struct dp_alloc_sub *s)
{
	return (s->speaker ? 256 : 0) + s->priority;
}

/* The highest rank below `below` that any video has; -1: none. */
static int rank_below(const struct dp_alloc_sub *subs, uint32_t n, int below)
{
	int best = -1;

	for (uint32_t i = 0; i < n; i++)
		if (has(&subs[i]) && subs[i].kind != SH_KIND_AUDIO && rank(&subs[i]) < below &&
		    rank(&subs[i]) > best)
			best = rank(&subs[i]);
	return best;
}

/* One step for each of that rank; whether any was raised. */
static bool round_of(struct run *r, struct dp_alloc_sub *subs, uint32_t n, int of)
{
	bool any = false;

	for (uint32_t i = 0; i < n; i++)
		if (has(&subs[i]) && subs[i].kind != SH_KIND_AUDIO && rank(&subs[i]) == of)
			any |= raise(r, &subs[i]);
	return any;
}

static void start(struct run *r, struct dp_alloc_sub *s, uint64_t *wanted)
{
	s->want_layer = s->ideal_layer = DP_ALLOC_NONE;
	s->want_temporal = s->ideal_temporal = 0;
	s->cost_bps = s->ideal_bps = 0;
	if (!has(s))
		return;
	if (s->kind == SH_KIND_AUDIO) {
		s->want_layer = s->ideal_layer = 0;
		s->cost_bps = s->ideal_bps = (uint32_t)cost(r, s, (struct step){0, 0});
		r->total += s->cost_bps;
	} else {
		struct step top = ideal(s);

		s->ideal_layer = top.layer;
		s->ideal_temporal = top.temporal;
		s->ideal_bps = (uint32_t)cost(r, s, top);
	}
	*wanted += s->ideal_bps;
}

void dp_alloc_run(struct dp_alloc *a, struct dp_alloc_sub *subs, uint32_t n, uint32_t budget_bps,
                  uint8_t loss, uint64_t now_ns)
{
	struct run r = {a, 0, budget_bps ? budget_bps : UINT64_MAX, loss, true, false};
	bool lowered = false;
	uint64_t wanted = 0;

	if (budget_bps / 13 * 10 > a->shy_bps) // another link than then
		a->shy = 0;
	if (a->shy && now_ns - a->lowered_ns > BOLD_NS) {
		a->shy--;
		a->lowered_ns = now_ns - UP_PAUSE_NS;
	}
	r.may_rise = !budget_bps || !a->lowered_ns || now_ns - a->lowered_ns >= UP_PAUSE_NS;
	a->next_bps = a->paused = 0;
	a->dared = 0;
	for (uint32_t i = 0; i < n; i++)
		start(&r, &subs[i], &wanted);
	for (int k = rank_below(subs, n, 1 << 16); k >= 0; k = rank_below(subs, n, k))
		round_of(&r, subs, n, k);
	for (int k = rank_below(subs, n, 1 << 16); k >= 0; k = rank_below(subs, n, k))
		while (round_of(&r, subs, n, k))
			;
	for (uint32_t i = 0; i < n; i++) {
		const struct dp_alloc_sub *s = &subs[i];

		if (!has(s) || s->kind == SH_KIND_AUDIO)
			continue;
		a->paused += s->want_layer == DP_ALLOC_NONE;
		if (above(had(s), (struct step){s->want_layer, s->want_temporal}))
			lowered = true;
	}
	if (lowered) {
		a->shy += a->raised_ns && now_ns - a->raised_ns < HELD_NS && a->shy < SHY_MAX;
		a->lowered_ns = now_ns;
		a->raised_ns = 0;
	} else if (r.rose) {
		a->raised_ns = now_ns;
		a->shy_bps = budget_bps;
	}
	a->allocated_bps = r.total > UINT32_MAX ? UINT32_MAX : (uint32_t)r.total;
	a->wanted_bps = wanted > UINT32_MAX ? UINT32_MAX : (uint32_t)wanted;
}
