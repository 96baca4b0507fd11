/* Nominated 5-tuples of a worker's endpoints: an open-addressing table that only this worker
 * touches once it runs. The local address is not part of the key: the worker's UDP port is, by
 * being the worker. */
#include "dataplane/table/priv.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct tuple {
	struct sh_addr remote;
	uint32_t endpoint; // index + 1; 0: free
	uint32_t hash;
	uint32_t pad;
};
_Static_assert(sizeof(struct tuple) == 32, "two a cache line");

struct tuples {
	uint32_t mask, seed;
	struct tuple *v;
};

int tuples_init(unsigned worker, uint32_t endpoints, uint32_t seed)
{
	struct tuples *t = calloc(1, sizeof(*t));
	uint32_t size = 64;

	if (!t)
		return -ENOMEM;
	while (size < 2 * endpoints)
		size *= 2;
	t->mask = size - 1;
	t->seed = seed;
	t->v = calloc(size, sizeof(*t->v));
	if (!t->v) {
		free(t);
		return -ENOMEM;
	}
	dp_tb.tuples[worker] = t;
	return 0;
}

void tuples_free(unsigned worker)
{
	struct tuples *t = dp_tb.tuples[worker];

	if (t)
		free(t->v);
	free(t);
	dp_tb.tuples[worker] = NULL;
}

static uint32_t hash_of(const struct tuples *t, const struct sh_addr *a)
{
	uint64_t x, y;

	memcpy(&x, a->ip, 8);
	memcpy(&y, a->ip + 8, 8);
	x ^= (uint64_t)t->seed << 32 | a->port;
	x = (x ^ (uint64_t)a->family << 56) * 0x9e3779b97f4a7c15ull;
	return dp_hash_mix(x ^ y);
}

static bool same_addr(const struct sh_addr *a, const struct sh_addr *b)
{
	return a->port == b->port && a->family == b->family && memcmp(a->ip, b->ip, 16) == 0;
}

/* Slot of the address, or the free one where it belongs. */
static uint32_t find(const struct tuples *t, const struct sh_addr *a, uint32_t hash)
{
	uint32_t at = hash & t->mask;

	while (t->v[at].endpoint && !(t->v[at].hash == hash && same_addr(&t->v[at].remote, a)))
		at = (at + 1) & t->mask;
	return at;
}

/* Closes the gap, so that no probe ends early. */
static void erase(struct tuples *t, uint32_t at)
{
	uint32_t next = at;

	for (;;) {
		uint32_t home;

		next = (next + 1) & t->mask;
		if (t->v[next].endpoint == 0)
			break;
		home = t->v[next].hash & t->mask;
		if (((next - home) & t->mask) >= ((next - at) & t->mask)) {
			t->v[at] = t->v[next];
			at = next;
		}
	}
	t->v[at].endpoint = 0;
}

void tuples_insert(unsigned worker, uint32_t endpoint, const struct sh_addr *remote)
{
	struct tuples *t = dp_tb.tuples[worker];
	uint32_t hash = hash_of(t, remote);
	struct tuple *e = &t->v[find(t, remote, hash)];

	e->remote = *remote;
	e->hash = hash;
	e->endpoint = endpoint + 1;
}

int dp_endpoint_by_tuple(struct dp_worker *w, const struct sh_addr *remote)
{
	const struct tuples *t = dp_tb.tuples[w->index];
	const struct tuple *e = &t->v[find(t, remote, hash_of(t, remote))];

	if (e->endpoint == 0 || !slab_live(DP_KIND_ENDPOINT, e->endpoint - 1))
		return -1;
	return (int)(e->endpoint - 1);
}

void dp_tuple_prefetch(struct dp_worker *w, const struct sh_addr *remote)
{
	const struct tuples *t = dp_tb.tuples[w->index];

	__builtin_prefetch(&t->v[hash_of(t, remote) & t->mask]);
}

void dp_tuple_prefetch_endpoint(struct dp_worker *w, const struct sh_addr *remote)
{
	const struct tuples *t = dp_tb.tuples[w->index];
	uint32_t hash = hash_of(t, remote);
	const struct tuple *e = &t->v[hash & t->mask];

	if (!e->endpoint || e->hash != hash)
		return;
	__builtin_prefetch(&dp_slabs.endpoint[e->endpoint - 1]);
	__builtin_prefetch(&dp_slabs.endpoint[e->endpoint - 1].ice);
	__builtin_prefetch(&dp_peers[e->endpoint - 1]);
}

/* Removes the entry of the endpoint's present remote, unless another endpoint took that address
 * over. */
static void unlink_remote(struct tuples *t, uint32_t endpoint)
{
	const struct sh_addr *remote = &dp_slabs.endpoint[endpoint].remote;
	uint32_t at;

	if (remote->family == 0)
		return;
	at = find(t, remote, hash_of(t, remote));
	if (t->v[at].endpoint == endpoint + 1)
		erase(t, at);
}

int dp_tuple_set(struct dp_worker *w, uint32_t endpoint, const struct sh_addr *local,
                 const struct sh_addr *remote)
{
	struct sh_endpoint *ep = &dp_slabs.endpoint[endpoint];

	if (remote->family != 4 && remote->family != 6)
		return -EINVAL;
	unlink_remote(dp_tb.tuples[w->index], endpoint);
	ep->local = *local;
	ep->remote = *remote;
	tuples_insert(w->index, endpoint, remote);
	return 0;
}

void dp_tuple_clear(struct dp_worker *w, uint32_t endpoint)
{
	struct sh_endpoint *ep = &dp_slabs.endpoint[endpoint];

	unlink_remote(dp_tb.tuples[w->index], endpoint);
	memset(&ep->local, 0, sizeof(ep->local));
	memset(&ep->remote, 0, sizeof(ep->remote));
}
