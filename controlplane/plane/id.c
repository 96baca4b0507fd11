/* Ids. Free indexes queue up first in, first out, and only when REUSE_MIN of them wait is one
 * reused before a fresh one is taken: so a generation comes back after at least 4,095 * REUSE_MIN
 * allocations, and the table stays small. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/plane/plane_priv.h"
#include "shared/state.h"

enum { REUSE_MIN = 64, FIRST_CAP = 256, GEN_MAX = (1 << (32 - SH_ID_INDEX_BITS)) - 1 };

static bool what_ok(unsigned what)
{
	return what >= SH_DEL_ENDPOINT && what <= SH_DEL_SUB;
}

static void list_remove(struct cp_ids *ids, uint32_t i)
{
	struct cp_slot *s = &ids->slot[i];

	if (s->prev == CP_NO_SLOT)
		ids->first = s->next;
	else
		ids->slot[s->prev].next = s->next;
	if (s->next == CP_NO_SLOT)
		ids->last = s->prev;
	else
		ids->slot[s->next].prev = s->prev;
	s->free = false;
	ids->frees--;
}

static void list_append(struct cp_ids *ids, uint32_t i)
{
	struct cp_slot *s = &ids->slot[i];

	s->free = true;
	s->next = CP_NO_SLOT;
	s->prev = ids->last;
	if (ids->last == CP_NO_SLOT)
		ids->first = i;
	else
		ids->slot[ids->last].next = i;
	ids->last = i;
	ids->frees++;
}

static int grow(struct cp_ids *ids, uint32_t need)
{
	uint32_t cap = ids->cap ? ids->cap : FIRST_CAP;

	while (cap < need)
		cap *= 2;
	if (cap == ids->cap)
		return 0;
	struct cp_slot *slot = realloc(ids->slot, cap * sizeof(*slot));
	if (!slot)
		return -ENOMEM;
	memset(slot + ids->cap, 0, (cap - ids->cap) * sizeof(*slot));
	ids->slot = slot;
	ids->cap = cap;
	return 0;
}

/* Where generations start: another place in each run, so that stale ids of the last one are seldom
 * ours. */
static uint16_t first_gen(const struct cp_plane *p)
{
	return (uint16_t)(p->conf.epoch % GEN_MAX);
}

/* Slots 0..n-1 exist, the new ones free. */
static int make_slots(struct cp_plane *p, struct cp_ids *ids, uint32_t n)
{
	int err = grow(ids, n);

	for (; !err && ids->high < n; ids->high++) {
		ids->slot[ids->high].gen = first_gen(p);
		list_append(ids, ids->high);
	}
	return err;
}

void cp_ids_init(struct cp_plane *p)
{
	for (unsigned what = SH_DEL_ENDPOINT; what <= SH_DEL_SUB; what++)
		p->ids[what] = (struct cp_ids){
		    .limit = 1u << SH_ID_INDEX_BITS,
		    .first = CP_NO_SLOT,
		    .last = CP_NO_SLOT,
		};
}

/* Index i is in use by this id in the slabs that the last run left: the next owner's generation
 * must differ. */
static int learn(struct cp_plane *p, unsigned what, uint32_t i, sh_id id)
{
	struct cp_ids *ids = &p->ids[what];

	if (SH_ID_GEN(id) == 0 || SH_ID_INDEX(id) != i)
		return 0;
	int err = make_slots(p, ids, i + 1);
	if (!err)
		ids->slot[i].gen = (uint16_t)SH_ID_GEN(id);
	return err;
}

int cp_ids_learn(struct cp_plane *p, const char *path)
{
	struct sh_slabs s;
	int err = sh_slabs_open(&s, path);

	if (err)
		return err;
	for (uint32_t i = 0; !err && i < s.endpoints; i++)
		if (s.endpoint[i].state != SH_FREE)
			err = learn(p, SH_DEL_ENDPOINT, i, s.endpoint[i].set.id);
	for (uint32_t i = 0; !err && i < s.tracks; i++)
		if (s.track[i].state != SH_FREE)
			err = learn(p, SH_DEL_TRACK, i, s.track[i].set.id);
	for (uint32_t i = 0; !err && i < s.subs; i++)
		if (s.sub[i].state != SH_FREE)
			err = learn(p, SH_DEL_SUB, i, s.sub[i].set.id);
	sh_slabs_close(&s);
	return err;
}

void cp_ids_close(struct cp_plane *p)
{
	for (unsigned what = SH_DEL_ENDPOINT; what <= SH_DEL_SUB; what++) {
		for (uint32_t i = 0; i < p->ids[what].high; i++) {
			struct cp_entry *e = p->ids[what].slot[i].entry;
			if (e) {
				sh_secret_wipe(&e->body, sizeof(e->body));
				free(e);
			}
		}
		free(p->ids[what].slot);
	}
}

struct cp_entry *cp_ids_find(const struct cp_plane *p, unsigned what, sh_id id)
{
	if (!what_ok(what) || SH_ID_INDEX(id) >= p->ids[what].high)
		return NULL;
	struct cp_entry *e = p->ids[what].slot[SH_ID_INDEX(id)].entry;
	return e && e->id == id && !e->dying ? e : NULL;
}

void cp_ids_release(struct cp_plane *p, struct cp_entry *e)
{
	struct cp_ids *ids = &p->ids[e->what];

	ids->slot[SH_ID_INDEX(e->id)].entry = NULL;
	list_append(ids, SH_ID_INDEX(e->id));
	sh_secret_wipe(&e->body, sizeof(e->body));
	free(e);
}

static struct cp_entry *entry_new(unsigned what, sh_id id)
{
	struct cp_entry *e = calloc(1, sizeof(*e));

	if (e) {
		e->what = (uint8_t)what;
		e->id = id;
		LIST_INIT(&e->tracks);
		LIST_INIT(&e->subs);
	}
	return e;
}

/* An index for a new object: not taken from the free list yet. */
static int pick(struct cp_plane *p, struct cp_ids *ids, uint32_t *out)
{
	if (ids->frees < REUSE_MIN && ids->high < ids->limit) {
		*out = ids->high;
		return make_slots(p, ids, ids->high + 1);
	}
	/* An index beyond what a smaller, restarted dataplane has is of no use, but may be again.
	 */
	for (uint32_t i = ids->first; i != CP_NO_SLOT; i = ids->slot[i].next) {
		if (i < ids->limit) {
			*out = i;
			return 0;
		}
	}
	return -ENOSPC;
}

int cp_plane_id_new(struct cp_plane *p, unsigned what, sh_id *id)
{
	uint32_t i;

	if (!what_ok(what))
		return -EINVAL;
	struct cp_ids *ids = &p->ids[what];
	int err = pick(p, ids, &i);
	if (err)
		return err;
	struct cp_slot *s = &ids->slot[i];
	uint16_t gen = s->gen >= GEN_MAX ? 1 : s->gen + 1;
	s->entry = entry_new(what, SH_ID(i, gen));
	if (!s->entry)
		return -ENOMEM;
	list_remove(ids, i);
	s->gen = gen;
	ids->live++;
	*id = s->entry->id;
	return 0;
}

int cp_plane_id_claim(struct cp_plane *p, unsigned what, sh_id id)
{
	uint32_t i = SH_ID_INDEX(id);

	if (!what_ok(what) || SH_ID_GEN(id) == 0)
		return -EINVAL;
	struct cp_ids *ids = &p->ids[what];
	int err = make_slots(p, ids, i + 1);
	if (err)
		return err;
	struct cp_slot *s = &ids->slot[i];
	if (!s->free)
		return -EEXIST;
	s->entry = entry_new(what, id);
	if (!s->entry)
		return -ENOMEM;
	s->entry->known = true; // so that its deletion is told
	list_remove(ids, i);
	s->gen = (uint16_t)SH_ID_GEN(id);
	ids->live++;
	return 0;
}

void cp_plane_id_free(struct cp_plane *p, unsigned what, sh_id id)
{
	cp_plane_del(p, what, id);
}
