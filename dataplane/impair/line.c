#include "dataplane/impair/line.h"
#include <stdlib.h>
#include "dataplane/impair/wire.h"

struct entry {
	uint64_t at_ns, turn;
	void *packet;
};

/* A heap, earliest first. */
struct dp_line {
	struct dp_wire wire;
	uint64_t turn;
	uint32_t n, room;
	struct entry e[];
};

struct dp_line *dp_line_new(const struct dp_wire_conf *conf, uint64_t seed, uint32_t room)
{
	struct dp_line *l = calloc(1, sizeof(*l) + room * sizeof(l->e[0]));

	if (!l)
		return NULL;
	l->room = room;
	dp_wire_init(&l->wire, conf, seed);
	return l;
}

void dp_line_free(struct dp_line *l)
{
	free(l);
}

unsigned dp_line_fate(struct dp_line *l, uint32_t bytes, uint64_t now_ns, uint64_t out_ns[2])
{
	return dp_wire_send(&l->wire, bytes, now_ns, out_ns);
}

static bool earlier(const struct entry *a, const struct entry *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->turn < b->turn;
}

bool dp_line_put(struct dp_line *l, void *packet, uint64_t out_ns)
{
	struct entry new = {out_ns, l->turn++, packet};
	uint32_t i = l->n;

	if (l->n == l->room)
		return false;
	for (l->n++; i && earlier(&new, &l->e[(i - 1) / 2]); i = (i - 1) / 2)
		l->e[i] = l->e[(i - 1) / 2];
	l->e[i] = new;
	return true;
}

void *dp_line_take(struct dp_line *l, uint64_t now_ns)
{
	struct entry last;
	void *packet;
	uint32_t i = 0;

	if (!l->n || l->e[0].at_ns > now_ns)
		return NULL;
	packet = l->e[0].packet;
	last = l->e[--l->n];
	for (uint32_t k; (k = 2 * i + 1) < l->n; i = k) {
		if (k + 1 < l->n && earlier(&l->e[k + 1], &l->e[k]))
			k++;
		if (!earlier(&l->e[k], &last))
			break;
		l->e[i] = l->e[k];
	}
	l->e[i] = last;
	return packet;
}
