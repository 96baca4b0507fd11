#include "bench/loadgen/flows.h"
#include <errno.h>
#include <stdlib.h>

enum { FIRST = 256 };

static void put(struct lg_flows *f, const struct lg_flow *new)
{
	uint32_t i = lg_flow_hash(new->peer, new->ssrc);

	while (f->slot[i & f->mask].stream)
		i++;
	f->slot[i & f->mask] = *new;
}

static int grow(struct lg_flows *f)
{
	struct lg_flows old = *f;
	uint32_t size = old.slot ? 2 * (old.mask + 1) : FIRST;

	f->slot = calloc(size, sizeof(*f->slot));
	if (!f->slot) {
		*f = old;
		return -ENOMEM;
	}
	f->mask = size - 1;
	for (uint32_t i = 0; old.slot && i <= old.mask; i++)
		if (old.slot[i].stream)
			put(f, &old.slot[i]);
	free(old.slot);
	return 0;
}

int lg_flow_add(struct lg_flows *f, uint32_t peer, uint32_t ssrc, struct lg_stream *stream)
{
	if ((!f->slot || 2 * (f->n + 1) > f->mask + 1) && grow(f))
		return -ENOMEM;
	put(f, &(struct lg_flow){peer, ssrc, stream});
	f->n++;
	return 0;
}

void lg_flow_close(struct lg_flows *f)
{
	free(f->slot);
	*f = (struct lg_flows){0};
}
