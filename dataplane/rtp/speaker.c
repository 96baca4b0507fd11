#include "dataplane/rtp/speaker.h"

#define MEDIUM_NS  UINT64_C(600000000)
#define LASTING_NS UINT64_C(1500000000)
/* What sounded so lately is as good as sounding now. */
#define LATELY_NS UINT64_C(250000000)

/* Exponential mean with time constant tau, for a step of dt. */
static uint16_t mean(uint16_t m, bool speech, uint64_t dt_ns, uint64_t tau_ns)
{
	int64_t d = (speech ? DP_SHARE_ONE : 0) - (int64_t)m;

	if (dt_ns >= tau_ns)
		return speech ? DP_SHARE_ONE : 0;
	// 1 - e^-x by x / (1 + x/2), good to a percent for the steps that are made
	return (uint16_t)(m + d * (int64_t)dt_ns / (int64_t)(tau_ns + dt_ns / 2));
}

void dp_speaker_hear(struct dp_speaker *s, uint8_t level, uint64_t now_ns, uint64_t dt_ns)
{
	bool speech = level < DP_LEVEL_SPEECH;
	uint64_t fall;

	fall = s->heard_q8 ? s->heard_q8 + dt_ns * 10 * 256 / 1000000000u : UINT16_MAX;
	s->heard_q8 = fall < level * 256u + 255u ? (uint16_t)fall : (uint16_t)(level * 256u + 255u);
	s->level = level;
	s->medium = mean(s->medium, speech, dt_ns, MEDIUM_NS);
	s->lasting = mean(s->lasting, speech, dt_ns, LASTING_NS);
	if (speech)
		s->sounded_at_ns = now_ns;
	if (speech && dp_speaker_talks(s))
		s->talked_at_ns = now_ns;
}

/* ---- the floor ---- */

void dp_floor_offer(struct dp_floor *f, uint32_t name, const struct dp_speaker *s)
{
	if (name == f->has) {
		f->of_has = *s;
		f->seen = true;
		return;
	}
	if (!dp_speaker_talks(s) || s->level >= DP_LEVEL_SPEECH)
		return;
	if (f->best && (s->lasting < f->of_best.lasting ||
	                (s->lasting == f->of_best.lasting && s->level >= f->of_best.level)))
		return;
	f->best = name;
	f->of_best = *s;
}

uint32_t dp_floor_end(const struct dp_floor *f)
{
	if (!f->seen)
		return f->best;
	if (f->best && f->of_best.lasting > f->of_has.lasting + DP_MARGIN)
		return f->best;
	return f->has;
}

/* ---- places ---- */

void dp_places_offer(struct dp_places *p, const struct dp_place *who)
{
	unsigned i = p->bests;

	if (!p->n || (i == p->n && who->key <= p->best[i - 1].key))
		return;
	if (i == p->n)
		i--;
	else
		p->bests++;
	for (; i && p->best[i - 1].key < who->key; i--)
		p->best[i] = p->best[i - 1];
	p->best[i] = *who;
}

uint64_t dp_heard_key(const struct dp_speaker *s, uint64_t now_ns)
{
	if (s->sounded_at_ns && now_ns - s->sounded_at_ns < DP_HOLD_NS)
		return UINT64_C(1) << 63 | (uint64_t)(DP_LEVEL_SILENT - dp_speaker_heard(s));
	return s->sounded_at_ns;
}

static int free_place(const struct dp_places *p)
{
	for (unsigned i = 0; i < p->n; i++)
		if (!p->held[i].name)
			return (int)i;
	return -1;
}

static bool give(struct dp_places *p, unsigned to, unsigned *at, struct dp_place *who)
{
	*who = p->best[p->next++];
	p->held[to] = *who;
	*at = to;
	return true;
}

bool dp_places_next_heard(struct dp_places *p, unsigned *at, struct dp_place *who, uint64_t now_ns)
{
	const struct dp_place *in;
	int to = free_place(p);

	if (p->next == p->bests)
		return false;
	if (to >= 0)
		return give(p, (unsigned)to, at, who);
	in = &p->best[p->next];
	if (!in->sounded_at_ns || now_ns - in->sounded_at_ns >= LATELY_NS)
		return false;
	for (unsigned i = 0; i < p->n; i++) {
		const struct dp_place *h = &p->held[i];
		bool quiet = !h->sounded_at_ns || now_ns - h->sounded_at_ns >= DP_HOLD_NS;
		bool louder =
		    in->level + DP_LEVEL_CLEARLY <= h->level && now_ns - h->since_ns >= DP_STAY_NS;

		if ((quiet || louder) && (to < 0 || h->key < p->held[to].key))
			to = (int)i;
	}
	return to >= 0 && give(p, (unsigned)to, at, who);
}

bool dp_places_next_seen(struct dp_places *p, unsigned *at, struct dp_place *who)
{
	int to = free_place(p);

	if (p->next == p->bests)
		return false;
	if (to >= 0)
		return give(p, (unsigned)to, at, who);
	to = 0;
	for (unsigned i = 1; i < p->n; i++)
		if (p->held[i].key < p->held[to].key)
			to = (int)i;
	if (p->best[p->next].key <= p->held[to].key + (p->held[to].key ? DP_VIDEO_NS : 0))
		return false;
	return give(p, (unsigned)to, at, who);
}
