#include "dataplane/table/priv.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bodies lie in blocks that never move, so that overlays can point at them. */
enum { BLOCK = 256 * 1024 };
struct block {
	struct block *next;
	uint32_t used;
	_Alignas(8) uint8_t data[BLOCK];
};

static struct {
	bool open;
	uint64_t txn;
	uint32_t seen; // records since BEGIN, stored or not
	uint32_t n, cap;
	struct staged {
		uint16_t type;
		const void *body;
	} * v;
	struct block *blocks;
	int error; // of the first record refused
	uint32_t error_record;
} st;

bool dp_stage_open(void)
{
	return st.open;
}

/* Keys were in there: wiped, but for one block that the next transaction starts with. */
static void drop_blocks(void)
{
	while (st.blocks) {
		struct block *b = st.blocks;

		st.blocks = b->next;
		sh_secret_wipe(b->data, b->used);
		free(b);
	}
}

void dp_stage_abort(void)
{
	drop_blocks();
	free(st.v);
	memset(&st, 0, sizeof(st));
}

void dp_stage_begin(uint64_t txn)
{
	dp_stage_abort();
	st.open = true;
	st.txn = txn;
}

void dp_stage_refuse(int error)
{
	if (st.open && !st.error) {
		st.error = error;
		st.error_record = st.seen;
	}
	st.seen++;
}

static void *arena(uint32_t len)
{
	void *p;

	len = (len + 7) & ~7u;
	if (!st.blocks || st.blocks->used + len > BLOCK) {
		struct block *b = malloc(sizeof(*b));

		if (!b)
			return NULL;
		b->next = st.blocks;
		b->used = 0;
		st.blocks = b;
	}
	p = st.blocks->data + st.blocks->used;
	st.blocks->used += len;
	return p;
}

void dp_stage_record(unsigned type, const void *body, uint32_t len)
{
	uint64_t most = 4ull * (dp_tb.count[0] + dp_tb.count[1] + dp_tb.count[2]) + 1024;
	void *copy;

	if (!st.open || st.error) {
		st.seen++;
		return;
	}
	if (st.seen >= most) {
		dp_stage_refuse(-E2BIG);
		return;
	}
	if (st.n == st.cap) {
		uint32_t cap = st.cap ? st.cap * 2 : 32;
		struct staged *v = realloc(st.v, cap * sizeof(*v));

		if (!v) {
			dp_stage_refuse(-ENOMEM);
			return;
		}
		st.v = v;
		st.cap = cap;
	}
	copy = arena(len);
	if (!copy) {
		dp_stage_refuse(-ENOMEM);
		return;
	}
	memcpy(copy, body, len);
	st.v[st.n++] = (struct staged){(uint16_t)type, copy};
	st.seen++;
}

/* ---- the view: slabs as the transaction will leave them ---- */

static const void *slab_set(enum dp_kind kind, uint32_t index)
{
	switch (kind) {
	case DP_KIND_ENDPOINT:
		return &dp_slabs.endpoint[index].set;
	case DP_KIND_TRACK:
		return &dp_slabs.track[index].set;
	default:
		return &dp_slabs.sub[index].set;
	}
}

/* The entry's own existence, whatever became of what it refers to. */
static const void *raw(enum dp_kind kind, uint32_t index, sh_id *id)
{
	const struct overlay *o = over(kind, index);

	*id = 0;
	if (o && o->named) {
		*id = o->id;
		return o->set;
	}
	if ((o && o->deleted) || dp_tb.full || !slab_live(kind, index))
		return NULL;
	*id = slab_id(kind, index);
	return slab_set(kind, index);
}

static const void *raw_by_id(enum dp_kind kind, sh_id id)
{
	sh_id have;
	const void *set;

	if (SH_ID_INDEX(id) >= dp_tb.count[kind])
		return NULL;
	set = raw(kind, SH_ID_INDEX(id), &have);
	return set && have == id ? set : NULL;
}

bool view_endpoint(sh_id id, const struct sh_msg_endpoint_set **set)
{
	const struct sh_msg_endpoint_set *s = raw_by_id(DP_KIND_ENDPOINT, id);

	if (s && set)
		*set = s;
	return s != NULL;
}

bool view_track(sh_id id, const struct sh_msg_track_set **set)
{
	const struct sh_msg_track_set *s = raw_by_id(DP_KIND_TRACK, id);

	if (!s || (!(s->flags & SH_TRACK_SLOT) && !view_endpoint(s->endpoint, NULL)))
		return false;
	if (set)
		*set = s;
	return true;
}

bool view_sub(sh_id id, const struct sh_msg_sub_set **set)
{
	const struct sh_msg_sub_set *s = raw_by_id(DP_KIND_SUB, id);

	if (!s || !view_track(s->track, NULL) || !view_endpoint(s->endpoint, NULL))
		return false;
	if (set)
		*set = s;
	return true;
}

static bool view(enum dp_kind kind, sh_id id)
{
	switch (kind) {
	case DP_KIND_ENDPOINT:
		return view_endpoint(id, NULL);
	case DP_KIND_TRACK:
		return view_track(id, NULL);
	default:
		return view_sub(id, NULL);
	}
}

sh_id view_id(enum dp_kind kind, uint32_t index)
{
	sh_id id;

	return raw(kind, index, &id) && view(kind, id) ? id : 0;
}

/* ---- records into overlays ---- */

int touches_add(struct touches *t, enum dp_kind kind, uint32_t index)
{
	if (t->n == t->cap) {
		uint32_t cap = t->cap ? t->cap * 2 : 64;
		struct touch *v = realloc(t->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		t->v = v;
		t->cap = cap;
	}
	t->v[t->n++] = (struct touch){kind, index};
	return 0;
}

int overlay_touch(enum dp_kind kind, uint32_t index, uint32_t record, struct overlay **out)
{
	struct overlay *o = &dp_tb.over[kind][index];
	int err;

	if (o->serial != dp_tb.serial) {
		err = touches_add(&dp_tb.touched, kind, index);
		if (err)
			return err;
		memset(o, 0, sizeof(*o));
		o->serial = dp_tb.serial;
		o->record = record;
	}
	*out = o;
	return 0;
}

static bool slots_alike(sh_id from, sh_id to)
{
	const struct sh_msg_track_set *a, *b;

	return view_track(from, &a) && view_track(to, &b) && sh_msg_slots_alike(a, b);
}

/* What is fixed for life must be as it was, in the slab or earlier in this transaction. */
static bool same_fixed(enum dp_kind kind, const void *a, const void *b)
{
	if (kind == DP_KIND_ENDPOINT) {
		const struct sh_msg_endpoint_set *x = a, *y = b;

		return x->worker == y->worker;
	}
	if (kind == DP_KIND_TRACK) {
		const struct sh_msg_track_set *x = a, *y = b;

		return x->endpoint == y->endpoint && x->kind == y->kind && x->group == y->group &&
		       x->slot == y->slot && !((x->flags ^ y->flags) & SH_TRACK_SLOT);
	}
	{
		const struct sh_msg_sub_set *x = a, *y = b;

		return x->endpoint == y->endpoint &&
		       (x->track == y->track || slots_alike(x->track, y->track));
	}
}

static int reference(enum dp_kind kind, sh_id id)
{
	sh_id have;

	if (view(kind, id))
		return 0;
	if (SH_ID_INDEX(id) >= dp_tb.count[kind])
		return -ENOENT;
	return raw(kind, SH_ID_INDEX(id), &have) && have != id ? -ESTALE : -ENOENT;
}

static int references(enum dp_kind kind, const void *body)
{
	int err;

	if (kind == DP_KIND_ENDPOINT)
		return ((const struct sh_msg_endpoint_set *)body)->worker < dp_tb.cfg.workers
		           ? 0
		           : -EINVAL;
	if (kind == DP_KIND_TRACK) {
		const struct sh_msg_track_set *t = body;

		return t->flags & SH_TRACK_SLOT ? 0 : reference(DP_KIND_ENDPOINT, t->endpoint);
	}
	{
		const struct sh_msg_sub_set *s = body;

		if (s->ssrc == 0 || s->ssrc == s->rtx_ssrc)
			return -EINVAL;
		err = reference(DP_KIND_TRACK, s->track);
		return err ? err : reference(DP_KIND_ENDPOINT, s->endpoint);
	}
}

static int take_set(enum dp_kind kind, sh_id id, const void *body, uint32_t record)
{
	uint32_t index = SH_ID_INDEX(id);
	bool in_slab, same;
	struct overlay *o;
	sh_id have;
	int err;

	if (index >= dp_tb.count[kind] || SH_ID_GEN(id) == 0)
		return -EINVAL;
	have = view_id(kind, index);
	if (have && have != id)
		return -EEXIST;
	in_slab = slab_live(kind, index) && slab_id(kind, index) == id;
	o = over(kind, index);
	/* Removed here, itself or with what it hangs on: to live on, it needs a new generation. */
	if (in_slab && !have && ((o && o->deleted) || !dp_tb.full))
		return -ESTALE;
	same = (!have || same_fixed(kind, raw_by_id(kind, id), body)) &&
	       (!in_slab || same_fixed(kind, slab_set(kind, index), body));
	if (!same)
		return -EINVAL;
	err = references(kind, body);
	if (err)
		return err;
	err = overlay_touch(kind, index, record, &o);
	if (err)
		return err;
	if (o->named && o->id != id)
		o->keys = NULL;
	o->named = true;
	o->id = id;
	o->set = body;
	o->record = record;
	return 0;
}

static int take_keys(const struct sh_msg_endpoint_keys *k, uint32_t record)
{
	struct overlay *o;
	int err = reference(DP_KIND_ENDPOINT, k->id);

	if (err)
		return err;
	err = overlay_touch(DP_KIND_ENDPOINT, SH_ID_INDEX(k->id), record, &o);
	if (err)
		return err;
	o->keys = k;
	o->record = record;
	return 0;
}

/* Removing what is not there is fine: it went with its endpoint or track. */
static int take_del(const struct sh_msg_del *d, uint32_t record)
{
	enum dp_kind kind = d->what == SH_DEL_ENDPOINT ? DP_KIND_ENDPOINT
	                    : d->what == SH_DEL_TRACK  ? DP_KIND_TRACK
	                                               : DP_KIND_SUB;
	uint32_t index = SH_ID_INDEX(d->id);
	struct overlay *o;
	sh_id have;
	int err;

	if (index >= dp_tb.count[kind] || SH_ID_GEN(d->id) == 0)
		return -EINVAL;
	have = view_id(kind, index);
	if (have == 0)
		return 0;
	if (have != d->id)
		return -ESTALE;
	err = overlay_touch(kind, index, record, &o);
	if (err)
		return err;
	o->named = false;
	o->deleted = true;
	o->keys = NULL;
	o->record = record;
	return 0;
}

static int take(const struct staged *s, uint32_t record)
{
	switch (s->type) {
	case SH_MSG_ENDPOINT_SET:
		return take_set(DP_KIND_ENDPOINT, ((const struct sh_msg_endpoint_set *)s->body)->id,
		                s->body, record);
	case SH_MSG_TRACK_SET:
		return take_set(DP_KIND_TRACK, ((const struct sh_msg_track_set *)s->body)->id,
		                s->body, record);
	case SH_MSG_SUB_SET:
		return take_set(DP_KIND_SUB, ((const struct sh_msg_sub_set *)s->body)->id, s->body,
		                record);
	case SH_MSG_ENDPOINT_KEYS:
		return take_keys(s->body, record);
	case SH_MSG_DEL:
		return take_del(s->body, record);
	default:
		return -EINVAL;
	}
}

static int commit(const struct sh_msg_commit *c, uint32_t *record)
{
	int err = 0;

	*record = 0;
	if (!st.open || st.txn != c->txn)
		return -EPROTO;
	*record = st.error_record;
	if (st.error)
		return st.error;
	*record = st.n;
	if (c->records != st.seen)
		return -EPROTO;
	dp_tb.serial++;
	dp_tb.full = c->full != 0;
	dp_tb.touched.n = 0;
	for (uint32_t i = 0; i < st.n && !err; i++) {
		*record = i;
		err = take(&st.v[i], i);
	}
	if (!err)
		err = check_unique(record);
	return err ? err : apply(record);
}

void dp_stage_commit(const struct sh_msg_commit *c, struct sh_msg_committed *out)
{
	uint32_t record;

	memset(out, 0, sizeof(*out));
	out->txn = c->txn;
	out->error = commit(c, &record);
	out->record = out->error ? record : 0;
	dp_stage_abort();
}
