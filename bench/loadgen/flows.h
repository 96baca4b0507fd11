/* Streams by their transport and SSRC: one table for all transports, so that a packet finds its own
 * with one look. Open addressing, at most half full; nothing is ever removed. One thread's. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct lg_stream;

struct lg_flows {
	struct lg_flow {
		uint32_t peer, ssrc;
		struct lg_stream *stream; // NULL: free
	} * slot;
	uint32_t mask, n; // slots - 1, or 0 before the first
};

static inline uint32_t lg_flow_hash(uint32_t peer, uint32_t ssrc)
{
	uint64_t h = ((uint64_t)peer << 32 | ssrc) * 0x9e3779b97f4a7c15;

	return (uint32_t)(h >> 32);
}

/* For a packet that comes soon. */
static inline void lg_flow_prefetch(const struct lg_flows *f, uint32_t peer, uint32_t ssrc)
{
	if (f->slot)
		__builtin_prefetch(&f->slot[lg_flow_hash(peer, ssrc) & f->mask]);
}

/* NULL: not there. */
static inline struct lg_stream *lg_flow_find(const struct lg_flows *f, uint32_t peer, uint32_t ssrc)
{
	const struct lg_flow *s;

	if (!f->slot)
		return NULL;
	for (uint32_t i = lg_flow_hash(peer, ssrc);; i++) {
		s = &f->slot[i & f->mask];
		if (!s->stream || (s->peer == peer && s->ssrc == ssrc))
			return s->stream;
	}
}

/* It is not there yet. 0, -ENOMEM. */
int lg_flow_add(struct lg_flows *f, uint32_t peer, uint32_t ssrc, struct lg_stream *stream);
void lg_flow_close(struct lg_flows *f);
