#include "controlplane/signaling/limit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { NAME_MAX_ = 80, WAYS = 8 };

struct bucket {
	char name[NAME_MAX_]; // "" free; longer names share by their first bytes
	int64_t milli;        // thousandths of a token; negative: debt
	uint64_t at_ns;
};

struct cp_limit {
	unsigned buckets, refill_ms;
	int64_t burst; // thousandths
	uint64_t seed; // so that nobody can choose names that share a set
	struct bucket bucket[];
};

int cp_limit_alloc(struct cp_limit **out, unsigned buckets, unsigned burst, unsigned refill_ms)
{
	struct cp_limit *l;

	if (!buckets || buckets > 65536 || !burst || burst > 1000 || !refill_ms)
		return -EINVAL;
	buckets = (buckets + WAYS - 1) / WAYS * WAYS;
	l = calloc(1, sizeof(*l) + buckets * sizeof(l->bucket[0]));
	if (!l)
		return -ENOMEM;
	if (getrandom(&l->seed, sizeof(l->seed), 0) != sizeof(l->seed)) {
		free(l);
		return -EIO;
	}
	l->buckets = buckets;
	l->burst = (int64_t)burst * 1000;
	l->refill_ms = refill_ms;
	*out = l;
	return 0;
}

void cp_limit_free(struct cp_limit *l)
{
	free(l);
}

static uint64_t hash(uint64_t h, const char *name)
{
	for (; *name; name++) {
		h = (h ^ (uint8_t)*name) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	return h;
}

static int64_t level(const struct cp_limit *l, const struct bucket *b, uint64_t now_ns)
{
	uint64_t ms = now_ns > b->at_ns ? (now_ns - b->at_ns) / 1000000u : 0;
	uint64_t full = (uint64_t)(2 * l->burst) / 1000 * l->refill_ms;
	int64_t v = b->milli + (int64_t)((ms > full ? full : ms) * 1000 / l->refill_ms);

	return v > l->burst ? l->burst : v;
}

static struct bucket *find(struct cp_limit *l, const char *name, uint64_t now_ns, bool make)
{
	char key[NAME_MAX_];
	struct bucket *set, *victim = NULL;

	strncpy(key, name, sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	if (!key[0])
		key[0] = '?';
	set = &l->bucket[hash(l->seed, key) % (l->buckets / WAYS) * WAYS];
	for (unsigned i = 0; i < WAYS; i++) {
		if (!strcmp(set[i].name, key))
			return &set[i];
		if (!victim ||
		    (victim->name[0] &&
		     (!set[i].name[0] || level(l, &set[i], now_ns) > level(l, victim, now_ns))))
			victim = &set[i];
	}
	if (!make)
		return NULL;
	memcpy(victim->name, key, sizeof(key));
	victim->milli = l->burst;
	victim->at_ns = now_ns;
	return victim;
}

bool cp_limit_ok(struct cp_limit *l, const char *name, uint64_t now_ns)
{
	struct bucket *b = find(l, name, now_ns, false);

	return !b || level(l, b, now_ns) >= 1000;
}

void cp_limit_charge(struct cp_limit *l, const char *name, uint64_t now_ns)
{
	struct bucket *b = find(l, name, now_ns, true);
	int64_t v = level(l, b, now_ns) - 1000;

	b->milli = v < -l->burst ? -l->burst : v;
	b->at_ns = now_ns;
}

unsigned cp_limit_wait_s(struct cp_limit *l, const char *name, uint64_t now_ns)
{
	struct bucket *b = find(l, name, now_ns, false);
	int64_t missing = b ? 1000 - level(l, b, now_ns) : 0;

	return missing <= 0 ? 0 : (unsigned)((missing * l->refill_ms / 1000 + 999) / 1000);
}
