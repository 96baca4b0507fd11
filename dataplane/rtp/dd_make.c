#include "dataplane/rtp/dd_make.h"
#include <string.h>

struct writer {
	uint8_t *p;
	unsigned at; // bits
};

static void put(struct writer *w, unsigned value, unsigned bits)
{
	while (bits--) {
		if (value >> bits & 1)
			w->p[w->at >> 3] |= (uint8_t)(0x80 >> (w->at & 7));
		w->at++;
	}
}

static void put_ns(struct writer *w, unsigned value, unsigned n)
{
	unsigned bits = 0, m;

	for (unsigned x = n; x; x >>= 1)
		bits++;
	m = (1u << bits) - n;
	if (value < m)
		put(w, value, bits - 1);
	else
		put(w, value + m, bits);
}

/* Template i of a spatial layer: 0 is the key frame's. */
static unsigned indication(const struct dd_shape *s, unsigned sid, unsigned i, unsigned q,
                           unsigned t)
{
	enum { NOT_PRESENT, DISCARDABLE, SWITCH, REQUIRED };
	unsigned tid = i ? i - 1 : 0;

	if (t < tid || q < sid)
		return NOT_PRESENT;
	if (!i)
		return SWITCH;
	if (q > sid)
		return s->full ? REQUIRED : NOT_PRESENT;
	if (!tid)
		return SWITCH;
	return t == tid ? DISCARDABLE : REQUIRED;
}

static void structure(struct writer *w, const struct dd_shape *s)
{
	unsigned targets = s->spatial * s->temporal, per = s->temporal + 1;

	put(w, s->offset, 6);
	put(w, targets - 1, 5);
	for (unsigned sid = 0; sid < s->spatial; sid++)
		for (unsigned i = 0; i < per; i++)
			put(w, i + 1 < per ? (i ? 1 : 0) : (sid + 1 < s->spatial ? 2 : 3), 2);
	for (unsigned sid = 0; sid < s->spatial; sid++)
		for (unsigned i = 0; i < per; i++)
			for (unsigned q = 0; q < s->spatial; q++)
				for (unsigned t = 0; t < s->temporal; t++)
					put(w, indication(s, sid, i, q, t), 2);
	for (unsigned sid = 0; sid < s->spatial; sid++) {
		for (unsigned i = 0; i < per; i++) {
			if (i) { // the picture before
				put(w, 1, 1);
				put(w, s->spatial - 1, 4);
			}
			if (sid && (!i || s->full)) { // the layer below
				put(w, 1, 1);
				put(w, 0, 4);
			}
			put(w, 0, 1);
		}
	}
	put_ns(w, s->spatial, targets + 1); // a chain for each spatial layer
	for (unsigned q = 0; q < s->spatial; q++)
		for (unsigned t = 0; t < s->temporal; t++)
			put_ns(w, q, s->spatial);
	for (unsigned i = 0; i < s->spatial * per * s->spatial; i++)
		put(w, i & 15, 4);
	put(w, s->width != 0, 1);
	for (unsigned sid = 0; s->width && sid < s->spatial; sid++) {
		put(w, (s->width >> (s->spatial - 1 - sid)) - 1, 16);
		put(w, (s->height >> (s->spatial - 1 - sid)) - 1, 16);
	}
}

unsigned dd_make(uint8_t *buf, const struct dd_shape *s, const struct dd_frame *f)
{
	struct writer w = {.p = buf};
	bool with = f->key && f->start && !f->sid;

	memset(buf, 0, 256);
	put(&w, f->start, 1);
	put(&w, f->end, 1);
	put(&w, (s->offset + f->sid * (s->temporal + 1) + (f->key ? 0 : f->tid + 1)) & 63, 6);
	put(&w, f->number & 0xffff, 16);
	if (with || f->active) {
		put(&w, with, 1);
		put(&w, f->active != 0, 1);
		put(&w, 0, 3);
		if (with)
			structure(&w, s);
		if (f->active)
			put(&w, f->active, s->spatial * s->temporal);
	}
	return (w.at + 7) / 8;
}
