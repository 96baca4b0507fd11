#include "dataplane/node/told.h"
#include <errno.h>
#include <string.h>

static uint32_t left(uint8_t sent, const struct dp_dd_targets *k)
{
	return dp_dd_left(k, sent >> 4, sent & 15);
}

void dp_told_next(struct dp_told *d, uint64_t index, uint8_t sent, const struct dp_dd_targets *k,
                  bool again)
{
	bool say = left(sent, k) != k->active;

	// new keys took the roll-over counter back: nothing older can be asked for
	if (d->n && (int32_t)((uint32_t)index - d->from[0].index) < 0) {
		d->n = 0;
		again = true;
	}
	if (!k->structure)
		say |= d->n ? d->from[0].say : again;
	if (d->n && d->from[0].sent == sent && d->from[0].say == say)
		return;
	memmove(&d->from[1], &d->from[0], (DP_TOLD - 1) * sizeof(d->from[0]));
	d->from[0].index = (uint32_t)index;
	d->from[0].sent = sent;
	d->from[0].say = say;
	d->n = (uint8_t)(d->n < DP_TOLD ? d->n + 1 : DP_TOLD);
}

int dp_told_find(uint32_t *active, const struct dp_told *d, uint32_t index,
                 const struct dp_dd_targets *k)
{
	*active = 0;
	for (unsigned i = 0; i < d->n; i++) {
		if ((int32_t)(index - d->from[i].index) < 0)
			continue;
		if (!d->from[i].say)
			return 0;
		*active = left(d->from[i].sent, k);
		if (*active == k->active && (k->told || k->structure)) // it says so itself
			*active = 0;
		return 0;
	}
	return d->n == DP_TOLD ? -ENOENT : 0;
}
