/* Dependency Descriptor, AV1 RTP specification appendix A. Names are that document's.
 *
 * Of a structure no more is kept than decisions need: for each template which layer it is of, which
 * spatial targets need it and where it lets a receiver go up. Frame diffs and chains are read over:
 * whether a subscriber has what a frame refers to follows from what it was sent since the last key
 * picture (node/layer.c). Whoever is not sent all layers is told by another bitmask of active
 * decode targets which ones there are for him: a receiver that waits for frames of a target that is
 * not forwarded would wait for ever (§A.4). */
#include "dataplane/rtp/layers.h"
#include <errno.h>
#include <string.h>

enum { NOT_PRESENT = 0, SWITCH = 2 }; // decode target indications
enum { NEXT_TEMPORAL = 1, NEXT_SPATIAL = 2, NO_MORE = 3 };
/* The five flags of the extended part, and where they are; bits. */
enum { FLAGS_AT = 24, FLAGS = 5, ACTIVE_PRESENT = 8 };
enum { SID_MAX = SH_MAX_LAYERS - 1, TID_MAX = SH_MAX_TEMPORAL - 1 };

/* Two bits each. */
typedef uint64_t dtis;

static unsigned dti(dtis d, unsigned target)
{
	return d >> 2 * target & 3;
}

static uint32_t get_ns(struct dp_bits *b, uint32_t n) // non-symmetric, values 0..n-1
{
	unsigned w = 0;
	uint32_t m, v;

	for (uint32_t x = n; x; x >>= 1)
		w++;
	m = (1u << w) - n;
	v = dp_bits_get(b, w - 1);
	return v < m ? v : (v << 1) - m + dp_bits_get(b, 1);
}

static dtis get_dtis(struct dp_bits *b, unsigned targets)
{
	dtis d = 0;

	for (unsigned t = 0; t < targets; t++)
		d |= (dtis)dp_bits_get(b, 2) << 2 * t;
	return d;
}

static void skip_bits(struct dp_bits *b, uint32_t n)
{
	for (; n > 32; n -= 32)
		(void)dp_bits_get(b, 32);
	(void)dp_bits_get(b, n);
}

static int template_layers(struct dp_dd *s, struct dp_bits *b)
{
	unsigned sid = 0, tid = 0, next;

	do {
		if (s->templates == DP_DD_TEMPLATES)
			return -EBADMSG;
		s->t[s->templates].sid = (uint8_t)sid;
		s->t[s->templates++].tid = (uint8_t)tid;
		next = dp_bits_get(b, 2);
		if (next == NEXT_TEMPORAL)
			tid++;
		if (next == NEXT_SPATIAL) {
			tid = 0;
			sid++;
		}
	} while (next != NO_MORE && !b->bad);
	return b->bad ? -EBADMSG : 0;
}

static void template_fdiffs(const struct dp_dd *s, struct dp_bits *b)
{
	for (unsigned i = 0; i < s->templates; i++)
		while (dp_bits_get(b, 1))
			(void)dp_bits_get(b, 4);
}

static void template_chains(struct dp_dd *s, struct dp_bits *b)
{
	s->chains = (uint8_t)get_ns(b, s->targets + 1u);
	if (!s->chains)
		return;
	for (unsigned t = 0; t < s->targets; t++)
		(void)get_ns(b, s->chains);
	skip_bits(b, 4u * s->templates * s->chains);
}

/* decode_target_layers(): of the highest layers that it has frames of. */
static void target_layers(struct dp_dd *s, const dtis *d)
{
	for (unsigned t = 0; t < s->targets; t++) {
		unsigned sid = 0, tid = 0;

		for (unsigned i = 0; i < s->templates; i++) {
			if (dti(d[i], t) == NOT_PRESENT)
				continue;
			sid = s->t[i].sid > sid ? s->t[i].sid : sid;
			tid = s->t[i].tid > tid ? s->t[i].tid : tid;
		}
		s->target_sid[t] = (uint8_t)(sid > SID_MAX ? SID_MAX : sid);
		s->target_tid[t] = (uint8_t)(tid > TID_MAX ? TID_MAX : tid);
		if (sid <= SID_MAX && tid <= TID_MAX && !s->target[sid][tid])
			s->target[sid][tid] = (uint8_t)(t + 1);
	}
}

/* Which spatial targets need a frame, and where it lets go up. */
static void meaning(uint8_t *need, uint16_t *up, const struct dp_dd *s, dtis d)
{
	*need = 0;
	*up = 0;
	for (unsigned q = 0; q < SH_MAX_LAYERS; q++) {
		for (unsigned t = 0; t < SH_MAX_TEMPORAL; t++) {
			unsigned target = s->target[q][t];

			if (!target)
				continue;
			if (dti(d, target - 1) != NOT_PRESENT)
				*need |= (uint8_t)(1u << q);
			if (dti(d, target - 1) == SWITCH)
				*up |= DP_UP(q, t);
		}
	}
}

/* Which decode targets can be decoded by who is sent spatial layer q: it gets every frame that they
 * need. With inter-layer prediction on key pictures only, that is not so of lower layers. */
static void targets_with(struct dp_dd *s, const dtis *d)
{
	for (unsigned t = 0; t < s->targets; t++) {
		unsigned with = (1u << SH_MAX_LAYERS) - 1;

		for (unsigned i = 0; i < s->templates; i++)
			if (dti(d[i], t) != NOT_PRESENT)
				with &= s->t[i].need;
		for (unsigned q = s->target_sid[t]; q < SH_MAX_LAYERS; q++)
			if (with & 1u << q)
				s->with[q] |= UINT32_C(1) << t;
		for (unsigned k = s->target_tid[t]; k < SH_MAX_TEMPORAL; k++)
			s->upto[k] |= UINT32_C(1) << t;
	}
}

static void render_resolutions(struct dp_dd *s, struct dp_bits *b)
{
	unsigned top = s->t[s->templates - 1].sid;

	for (unsigned sid = 0; sid <= top; sid++) {
		uint32_t w = dp_bits_get(b, 16) + 1, h = dp_bits_get(b, 16) + 1;

		if (sid > SID_MAX)
			continue;
		s->sizes.width[sid] = (uint16_t)(w > UINT16_MAX ? UINT16_MAX : w);
		s->sizes.height[sid] = (uint16_t)(h > UINT16_MAX ? UINT16_MAX : h);
		s->sizes.n = (uint8_t)(sid + 1);
	}
}

static int structure(struct dp_dd *s, struct dp_bits *b, uint64_t index)
{
	dtis d[DP_DD_TEMPLATES];

	memset(s, 0, sizeof(*s));
	s->index = index;
	s->offset = (uint8_t)dp_bits_get(b, 6);
	s->targets = (uint8_t)(dp_bits_get(b, 5) + 1);
	if (template_layers(s, b))
		return -EBADMSG;
	for (unsigned i = 0; i < s->templates; i++)
		d[i] = get_dtis(b, s->targets);
	template_fdiffs(s, b);
	template_chains(s, b);
	target_layers(s, d);
	if (dp_bits_get(b, 1))
		render_resolutions(s, b);
	for (unsigned i = 0; i < s->templates; i++)
		meaning(&s->t[i].need, &s->t[i].up, s, d[i]);
	targets_with(s, d);
	s->active = (uint32_t)((UINT64_C(1) << s->targets) - 1);
	return b->bad ? -EBADMSG : 0;
}

static uint8_t active_spatial(const struct dp_dd *s, uint32_t active)
{
	uint8_t mask = 0;

	for (unsigned t = 0; t < s->targets; t++)
		if (active >> t & 1)
			mask |= (uint8_t)(1u << s->target_sid[t]);
	return mask;
}

static void tell_targets(struct dp_dd_targets *k, const struct dp_dd *s)
{
	k->n = s->targets;
	memcpy(k->with, s->with, sizeof(k->with));
	memcpy(k->upto, s->upto, sizeof(k->upto));
}

int dp_dd_read(struct dp_frame_info *f, const struct dp_frame_in *in)
{
	struct dp_bits b = dp_bits(in->dd, in->dd_len);
	bool start = dp_bits_get(&b, 1), end = dp_bits_get(&b, 1), custom_dtis = false;
	unsigned id = dp_bits_get(&b, 6), i;
	struct dp_dd_targets k = {.at = FLAGS_AT + FLAGS};
	uint16_t number = (uint16_t)dp_bits_get(&b, 16);
	const struct dp_dd *s = in->state;
	struct dp_dd fresh;
	uint8_t need;
	uint16_t up;

	if (b.bad)
		return -EBADMSG;
	k.active = s->active;
	if (in->dd_len > 3) {
		k.structure = dp_bits_get(&b, 1);
		k.told = dp_bits_get(&b, 1);
		custom_dtis = dp_bits_get(&b, 1);
		(void)dp_bits_get(&b, 2); // custom_fdiffs, custom_chains: last, and not read
		if (k.structure) {
			if (structure(&fresh, &b, in->index))
				return -EBADMSG;
			s = &fresh;
			k.active = fresh.active;
		}
		k.at = (uint16_t)b.at;
	}
	if (!s->templates)
		return -ENOENT;
	if (k.told)
		k.active = dp_bits_get(&b, s->targets);
	i = (id + 64u - s->offset) & 63;
	if (i >= s->templates)
		return -EBADMSG;
	need = s->t[i].need;
	up = s->t[i].up;
	if (custom_dtis)
		meaning(&need, &up, s, get_dtis(&b, s->targets));
	if (b.bad)
		return -EBADMSG;
	f->sid = s->t[i].sid > SID_MAX ? SID_MAX : s->t[i].sid;
	f->tid = s->t[i].tid > TID_MAX ? TID_MAX : s->t[i].tid;
	f->need = need;
	f->up = up;
	f->spatial = active_spatial(s, k.active);
	/* a structure comes with the first frame of a coded video sequence only (§A.2) */
	f->flags = (uint8_t)((start ? DP_FRAME_START : 0) | (end ? DP_FRAME_END : 0) |
	                     (start && k.structure && !f->sid ? DP_FRAME_KEY : 0));
	f->ids.frame = number;
	f->ids.has |= DP_IDS_DD;
	if (in->targets && start) {
		tell_targets(&k, s);
		*in->targets = k;
	}
	if (in->newest || !in->state->templates) {
		if (k.structure)
			*in->state = fresh;
		in->state->active = k.active;
	}
	return 0;
}

/* Appends bits to what is zero there. */
static void put_bits(uint8_t *out, uint32_t *at, uint32_t value, unsigned n)
{
	for (; n; n--, ++*at)
		if (value >> (n - 1) & 1)
			out[*at >> 3] |= (uint8_t)(0x80 >> (*at & 7));
}

uint32_t dp_dd_tell(uint8_t *out, const uint8_t *dd, uint32_t len, const struct dp_dd_targets *k,
                    uint32_t active)
{
	struct dp_bits b = dp_bits(dd, len);
	uint32_t at = k->at, whole = k->at >> 3;

	if (len <= 3) {
		whole = 3;
		at = FLAGS_AT;
	}
	memset(out + whole, 0, len + DP_DD_GROWS - whole);
	memcpy(out, dd, whole);
	b.at = whole * 8;
	if (len <= 3) {
		put_bits(out, &at, ACTIVE_PRESENT, FLAGS);
	} else {
		uint32_t from = b.at;

		put_bits(out, &from, dp_bits_get(&b, k->at & 7), k->at & 7);
		out[FLAGS_AT >> 3] |= ACTIVE_PRESENT << (8 - FLAGS);
	}
	put_bits(out, &at, active, k->n);
	if (k->told)
		(void)dp_bits_get(&b, k->n);
	for (; b.at < b.end; at++) // custom parts, padding
		if (dp_bits_get(&b, 1))
			out[at >> 3] |= (uint8_t)(0x80 >> (at & 7));
	return (at + 7) >> 3;
}
