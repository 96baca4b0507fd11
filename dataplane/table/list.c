#include "dataplane/table/list.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int dp_lists_init(struct dp_lists *l, uint32_t lists, uint32_t items)
{
	l->v = calloc(lists, sizeof(*l->v));
	l->gone = calloc(items, 1);
	l->lists = lists;
	l->items = items;
	if (!l->v || !l->gone) {
		dp_lists_free(l);
		return -ENOMEM;
	}
	return 0;
}

void dp_lists_free(struct dp_lists *l)
{
	for (uint32_t i = 0; l->v && i < l->lists; i++)
		free(l->v[i]);
	free(l->v);
	free(l->gone);
	memset(l, 0, sizeof(*l));
}

int dp_edit_add(struct dp_edits *e, uint32_t list, uint32_t item, bool add)
{
	if (e->n == e->cap) {
		uint32_t cap = e->cap ? e->cap * 2 : 64;
		struct dp_edit *v = realloc(e->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		e->v = v;
		e->cap = cap;
	}
	e->v[e->n++] = (struct dp_edit){list, item, add};
	return 0;
}

static int by_list(const void *a, const void *b)
{
	const struct dp_edit *x = a, *y = b;

	if (x->list != y->list)
		return x->list < y->list ? -1 : 1;
	return x->item < y->item ? -1 : x->item > y->item;
}

/* One list from its old items without the gone ones, then the added ones. NULL in *out: it became
 * empty. */
static int build(struct dp_list **out, const struct dp_lists *l, const struct dp_edit *e,
                 uint32_t n, bool removals_only)
{
	const struct dp_fanout *old = dp_list_get(l, e->list);
	uint32_t adds = 0, kept = 0;
	struct dp_list *p;

	for (uint32_t i = 0; i < n && !removals_only; i++)
		adds += e[i].add;
	for (uint32_t i = 0; old && i < old->n; i++)
		kept += !l->gone[old->sub[i]];
	*out = NULL;
	if (adds + kept == 0)
		return 0;
	p = malloc(sizeof(*p) + (size_t)(adds + kept) * sizeof(p->f.sub[0]));
	if (!p)
		return -ENOMEM;
	p->link.next = NULL;
	p->f.n = 0;
	for (uint32_t i = 0; old && i < old->n; i++)
		if (!l->gone[old->sub[i]])
			p->f.sub[p->f.n++] = old->sub[i];
	for (uint32_t i = 0; i < n && !removals_only; i++)
		if (e[i].add)
			p->f.sub[p->f.n++] = e[i].item;
	*out = p;
	return 0;
}

static void mark(struct dp_lists *l, const struct dp_edits *e, uint8_t value)
{
	for (uint32_t i = 0; i < e->n; i++)
		if (!e->v[i].add)
			l->gone[e->v[i].item] = value;
}

static void drop_swaps(struct dp_edits *e)
{
	for (uint32_t i = 0; i < e->swaps; i++)
		free(e->swap[i].fresh);
	free(e->swap);
	e->swap = NULL;
	e->swaps = 0;
}

int dp_lists_prepare(struct dp_lists *l, struct dp_edits *e, bool removals_only)
{
	uint32_t groups = 0;
	int err = 0;

	if (e->n == 0)
		return 0;
	qsort(e->v, e->n, sizeof(*e->v), by_list);
	for (uint32_t i = 0; i < e->n; i++)
		groups += i == 0 || e->v[i].list != e->v[i - 1].list;
	e->swap = calloc(groups, sizeof(*e->swap));
	if (!e->swap)
		return -ENOMEM;
	mark(l, e, 1);
	for (uint32_t i = 0, k; i < e->n && !err; i = k) {
		for (k = i + 1; k < e->n && e->v[k].list == e->v[i].list; k++)
			;
		e->swap[e->swaps].list = e->v[i].list;
		err = build(&e->swap[e->swaps].fresh, l, &e->v[i], k - i, removals_only);
		e->swaps += !err;
	}
	mark(l, e, 0);
	if (err)
		drop_swaps(e);
	return err;
}

void dp_lists_publish(struct dp_lists *l, struct dp_edits *e, struct dp_garbage **garbage)
{
	for (uint32_t i = 0; i < e->swaps; i++) {
		struct dp_list *old =
		    __atomic_exchange_n(&l->v[e->swap[i].list], e->swap[i].fresh, __ATOMIC_ACQ_REL);

		if (old) {
			old->link.next = *garbage;
			*garbage = &old->link;
		}
	}
	free(e->swap);
	e->swap = NULL;
	e->swaps = 0;
	e->n = 0;
}

void dp_edits_clear(struct dp_edits *e)
{
	drop_swaps(e);
	e->n = 0;
}

void dp_edits_free(struct dp_edits *e)
{
	dp_edits_clear(e);
	free(e->v);
	memset(e, 0, sizeof(*e));
}
