#include "dataplane/node/drops.h"
#include <string.h>

static unsigned word_of(uint64_t index)
{
	return (unsigned)(index / 64) % DP_DROPS_WORDS;
}

static uint64_t bit_of(uint64_t index)
{
	return UINT64_C(1) << index % 64;
}

void dp_drops_begin(struct dp_drops *d, uint64_t index)
{
	memset(d, 0, sizeof(*d));
	d->first = d->end = index;
}

void dp_drops_advance(struct dp_drops *d, uint64_t index)
{
	uint64_t from = d->end / 64 + (d->end % 64 || d->end == d->first ? 1 : 0);
	uint64_t to = index / 64;

	if (to - from < UINT64_MAX / 2 && to - from >= DP_DROPS_WORDS)
		from = to - DP_DROPS_WORDS + 1;
	for (; from <= to; from++) {
		unsigned w = (unsigned)from % DP_DROPS_WORDS;

		for (unsigned k = 0; k < DP_DROPS_KINDS; k++)
			d->bit[k][w] = 0;
		d->before[DP_DROPS_PACKET][w] = (uint16_t)d->total[DP_DROPS_PACKET];
		d->before[DP_DROPS_PICTURE][w] = (uint16_t)d->total[DP_DROPS_PICTURE];
	}
	d->end = index + 1;
}

/* First index of the oldest word that is still there. */
static uint64_t oldest(const struct dp_drops *d)
{
	uint64_t newest = d->end / 64 - !(d->end % 64);

	if (d->end == d->first || newest < DP_DROPS_WORDS ||
	    (newest - DP_DROPS_WORDS + 1) * 64 < d->first)
		return d->first;
	return (newest - DP_DROPS_WORDS + 1) * 64;
}

bool dp_drops_knows(const struct dp_drops *d, uint64_t index)
{
	return index < d->first || (index < d->end && index >= oldest(d));
}

void dp_drops_set(struct dp_drops *d, enum dp_drops_kind kind, uint64_t index)
{
	d->bit[kind][word_of(index)] |= bit_of(index);
	if (kind <= DP_DROPS_PICTURE)
		d->total[kind]++;
}

bool dp_drops_get(const struct dp_drops *d, enum dp_drops_kind kind, uint64_t index)
{
	return index >= d->first && dp_drops_knows(d, index) &&
	       (d->bit[kind][word_of(index)] & bit_of(index));
}

uint64_t dp_drops_since(const struct dp_drops *d, enum dp_drops_kind kind, uint64_t index)
{
	uint16_t before;

	if (index >= d->end)
		return 0;
	if (index < d->first)
		return d->total[kind];
	before =
	    (uint16_t)(d->before[kind][word_of(index)] +
	               __builtin_popcountll(d->bit[kind][word_of(index)] & (bit_of(index) - 1)));
	return (uint16_t)(d->total[kind] - before);
}

bool dp_drops_find(const struct dp_drops *d, uint64_t offset, uint64_t number, uint64_t *index)
{
	uint64_t low = oldest(d), at = d->end;

	while (at > low) { // a word at a time, newest first
		uint64_t first = (at - 1) / 64 * 64 < low ? low : (at - 1) / 64 * 64;
		uint64_t n = number - (first + offset + dp_drops_since(d, DP_DROPS_PACKET, first));

		if (n < DP_DROPS) { // it is in this word: the n-th that was not left out
			uint64_t left = ~d->bit[DP_DROPS_PACKET][word_of(first)] >> first % 64;

			for (uint64_t i = first; i < at; i++, left >>= 1) {
				if (!(left & 1))
					continue;
				if (!n--) {
					*index = i;
					return true;
				}
			}
			return false;
		}
		at = first;
	}
	*index = number - offset - d->total[DP_DROPS_PACKET];
	return *index < d->first;
}
