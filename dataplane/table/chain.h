/* A chained hash over slab indexes that workers read while the control thread changes it. Nodes are
 * numbers: the key lies in the slab, and the caller compares. A node that was unlinked keeps its
 * `next`, so a reader that stands on it walks on; it may be linked again only after every worker
 * was quiescent. */
#pragma once
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { DP_CHAIN_END = UINT32_MAX };

struct dp_chain {
	uint32_t *bucket, *next;
	uint32_t mask, seed;
};

/* 0, -ENOMEM. */
static inline int dp_chain_init(struct dp_chain *c, uint32_t nodes, uint32_t seed)
{
	uint32_t size = 64;

	while (size < nodes)
		size *= 2;
	c->bucket = malloc((size_t)size * sizeof(uint32_t));
	c->next = malloc((size_t)nodes * sizeof(uint32_t));
	c->mask = size - 1;
	c->seed = seed;
	if (!c->bucket || !c->next)
		return -ENOMEM;
	memset(c->bucket, 0xff, (size_t)size * sizeof(uint32_t));
	memset(c->next, 0xff, (size_t)nodes * sizeof(uint32_t));
	return 0;
}

static inline void dp_chain_free(struct dp_chain *c)
{
	free(c->bucket);
	free(c->next);
	memset(c, 0, sizeof(*c));
}

static inline uint32_t dp_chain_first(const struct dp_chain *c, uint32_t hash)
{
	return __atomic_load_n(&c->bucket[hash & c->mask], __ATOMIC_ACQUIRE);
}

static inline uint32_t dp_chain_next(const struct dp_chain *c, uint32_t node)
{
	return __atomic_load_n(&c->next[node], __ATOMIC_ACQUIRE);
}

/* Control thread; the entry is complete, and node is in no chain. */
static inline void dp_chain_link(struct dp_chain *c, uint32_t hash, uint32_t node)
{
	uint32_t *head = &c->bucket[hash & c->mask];

	__atomic_store_n(&c->next[node], *head, __ATOMIC_RELAXED);
	__atomic_store_n(head, node, __ATOMIC_RELEASE);
}

/* Control thread. A node that is not there is fine. */
static inline void dp_chain_unlink(struct dp_chain *c, uint32_t hash, uint32_t node)
{
	uint32_t *p = &c->bucket[hash & c->mask];

	while (*p != DP_CHAIN_END && *p != node)
		p = &c->next[*p];
	if (*p == node)
		__atomic_store_n(p, c->next[node], __ATOMIC_RELEASE);
}

static inline uint32_t dp_hash_mix(uint64_t h)
{
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdull;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53ull;
	return (uint32_t)(h ^ (h >> 33));
}

static inline uint32_t dp_hash_bytes(const uint8_t *p, uint32_t len, uint32_t seed)
{
	uint64_t h = seed ^ ((uint64_t)len << 32);

	while (len >= 8) {
		uint64_t v;

		memcpy(&v, p, 8);
		h = (h ^ v) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 29;
		p += 8;
		len -= 8;
	}
	if (len) {
		uint64_t v = 0;

		memcpy(&v, p, len);
		h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	}
	return dp_hash_mix(h);
}
