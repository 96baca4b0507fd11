/* Which packets of a stream were left out on the way to one subscriber, among the last DP_DROPS
 * that came in: so that our numbers close up over them, a late packet finds its place and a number
 * of ours its packet. Pure.
 *
 * Whatever was not seen when a later packet came counts as to be sent, and has a number: when it
 * comes after all and is not to be sent, its number is sent empty (seqmap.h). Invariant: the number
 * of index i is i − before(i) + a constant; before(i) never changes once i < end. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { DP_DROPS = 1024, DP_DROPS_WORDS = DP_DROPS / 64 };

enum dp_drops_kind {
	DP_DROPS_PACKET,  // left out
	DP_DROPS_PICTURE, // first of a left out picture whose id is closed up too
	DP_DROPS_EMPTY,   // sent without its payload
	DP_DROPS_MARKED,  // sent with the marker bit, which it did not have
	DP_DROPS_KINDS,
};

/* Zeroed: nothing left out yet; dp_drops_begin() before use. */
struct dp_drops {
	uint64_t first;    // nothing was left out before this index
	uint64_t end;      // behind the newest
	uint64_t total[2]; // of packets, of pictures
	uint64_t bit[DP_DROPS_KINDS][DP_DROPS_WORDS];
	uint16_t before[2][DP_DROPS_WORDS]; // total before each word, modulo 2^16
};

void dp_drops_begin(struct dp_drops *d, uint64_t index);
/* The next index, end or later. */
void dp_drops_advance(struct dp_drops *d, uint64_t index);
/* index: before end. */
bool dp_drops_knows(const struct dp_drops *d, uint64_t index);
void dp_drops_set(struct dp_drops *d, enum dp_drops_kind kind, uint64_t index);
bool dp_drops_get(const struct dp_drops *d, enum dp_drops_kind kind, uint64_t index);
/* How many packets or pictures were left out from index on: what has to be added to what holds for
 * the newest. An index that is known. */
uint64_t dp_drops_since(const struct dp_drops *d, enum dp_drops_kind kind, uint64_t index);
/* The index whose number is `number`, when the next one would have the number end + offset. false:
 * not known (any more). */
bool dp_drops_find(const struct dp_drops *d, uint64_t offset, uint64_t number, uint64_t *index);
