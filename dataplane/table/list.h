/* Immutable lists of slab indexes, replaced whole under RCU: fan-out of a track on a worker, tracks
 * and subscriptions of an endpoint, endpoints of a worker. One class of lists holds items of one
 * kind, and an item is in at most one list of a class.
 *
 * A commit collects edits, sorts them by list and builds every touched list once: prepare allocates
 * and may fail, publish swaps pointers and cannot. Control thread; readers use dp_list_get()
 * between quiescent states. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "dataplane/worker.h"

/* First member of what waits for quiescence to be freed. */
struct dp_garbage {
	struct dp_garbage *next;
};

/* A list as allocated. */
struct dp_list {
	struct dp_garbage link;
	struct dp_fanout f;
};

struct dp_lists {
	struct dp_list **v; // published with release order
	uint32_t lists, items;
	uint8_t *gone; // scratch of prepare: item is removed by these edits
};

struct dp_edit {
	uint32_t list, item;
	bool add;
};

struct dp_edits {
	struct dp_edit *v;
	uint32_t n, cap;
	struct dp_swap {
		uint32_t list;
		struct dp_list *fresh;
	} * swap;
	uint32_t swaps;
};

/* 0, -ENOMEM. */
int dp_lists_init(struct dp_lists *l, uint32_t lists, uint32_t items);
/* Frees the lists themselves too: no worker may run any more. */
void dp_lists_free(struct dp_lists *l);

static inline const struct dp_fanout *dp_list_get(const struct dp_lists *l, uint32_t list)
{
	const struct dp_list *p = __atomic_load_n(&l->v[list], __ATOMIC_CONSUME);

	return p ? &p->f : NULL;
}

/* 0, -ENOMEM. */
int dp_edit_add(struct dp_edits *e, uint32_t list, uint32_t item, bool add);
/* Builds the new lists. Removals only: additions are left out. 0, -ENOMEM (nothing is kept). */
int dp_lists_prepare(struct dp_lists *l, struct dp_edits *e, bool removals_only);
/* Swaps them in; what they replace goes in front of *garbage. */
void dp_lists_publish(struct dp_lists *l, struct dp_edits *e, struct dp_garbage **garbage);
/* Drops edits, and lists that were prepared and not published. */
void dp_edits_clear(struct dp_edits *e);
void dp_edits_free(struct dp_edits *e);
