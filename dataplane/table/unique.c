/* What must be unique when a transaction is done: ufrags among all endpoints, SSRCs towards one
 * endpoint, as two streams with one SSRC under one key would use an SRTP IV twice, and slots at one
 * place of a group. Looked at in the
 * end and not record by record, so that two entries may swap. */
#include "dataplane/table/priv.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct unique {
	uint64_t *key; // 0: free
	uint32_t *who;
	uint32_t mask;
};

static int unique_init(struct unique *u, uint32_t n)
{
	uint32_t size = 64;

	while (size < 2 * n)
		size *= 2;
	u->key = calloc(size, sizeof(*u->key));
	u->who = calloc(size, sizeof(*u->who));
	u->mask = size - 1;
	return u->key && u->who ? 0 : -ENOMEM;
}

static void unique_free(struct unique *u)
{
	free(u->key);
	free(u->who);
}

/* Slot of the next entry with that key from *at on, or of a free one (key 0 there). */
static uint32_t unique_probe(const struct unique *u, uint64_t key, uint32_t at)
{
	while (u->key[at & u->mask] && u->key[at & u->mask] != key)
		at++;
	return at & u->mask;
}

static int ufrag_check(struct unique *u, uint32_t index, const struct sh_msg_endpoint_set *s)
{
	uint32_t hash = ufrag_hash(s->ufrag, s->ufrag_len);
	uint64_t key = hash | 1ull << 32;
	uint32_t at = unique_probe(u, key, hash);
	int other;

	while (u->key[at]) {
		const struct sh_msg_endpoint_set *t = dp_tb.over[DP_KIND_ENDPOINT][u->who[at]].set;

		if (t->ufrag_len == s->ufrag_len && memcmp(t->ufrag, s->ufrag, s->ufrag_len) == 0)
			return -EEXIST;
		at = unique_probe(u, key, at + 1);
	}
	u->key[at] = key;
	u->who[at] = index;
	other = dp_endpoint_by_ufrag(s->ufrag, s->ufrag_len);
	if (other >= 0 && (uint32_t)other != index) {
		const struct overlay *o = over(DP_KIND_ENDPOINT, (uint32_t)other);

		/* One that this transaction names is checked by its own new ufrag. */
		if (!(o && o->named) && view_id(DP_KIND_ENDPOINT, (uint32_t)other))
			return -EEXIST;
	}
	return 0;
}

static int ssrc_one(struct unique *u, uint32_t index, uint32_t endpoint, uint32_t ssrc)
{
	uint64_t key = (uint64_t)(endpoint + 1) << 32 | ssrc;
	uint32_t at = unique_probe(u, key, dp_hash_mix(key));
	bool rtx;
	int other;

	if (u->key[at])
		return -EEXIST;
	u->key[at] = key;
	u->who[at] = index;
	other = dp_sub_by_ssrc(endpoint, ssrc, &rtx);
	if (other >= 0 && (uint32_t)other != index) {
		const struct overlay *o = over(DP_KIND_SUB, (uint32_t)other);

		if (!(o && o->named) && view_id(DP_KIND_SUB, (uint32_t)other))
			return -EEXIST;
	}
	return 0;
}

static int ssrc_check(struct unique *u, uint32_t index, const struct sh_msg_sub_set *s)
{
	uint32_t endpoint = SH_ID_INDEX(s->endpoint);
	int err = ssrc_one(u, index, endpoint, s->ssrc);

	return err || s->rtx_ssrc == 0 ? err : ssrc_one(u, index, endpoint, s->rtx_ssrc);
}

static int slot_check(struct unique *u, uint32_t index, const struct sh_msg_track_set *s)
{
	uint64_t key = (uint64_t)s->group << 32 | (uint64_t)s->kind << 8 | s->slot;
	uint32_t at = unique_probe(u, key, dp_hash_mix(key));
	int other;

	if (!(s->flags & SH_TRACK_SLOT))
		return 0;
	if (u->key[at])
		return -EEXIST;
	u->key[at] = key;
	u->who[at] = index;
	other = group_slot(s->group, s->kind, s->slot);
	if (other >= 0 && (uint32_t)other != index && view_id(DP_KIND_TRACK, (uint32_t)other))
		return -EEXIST;
	return 0;
}

int check_unique(uint32_t *record)
{
	struct unique ufrags = {0}, ssrcs = {0}, slots = {0};
	int err;

	err = unique_init(&ufrags, dp_tb.touched.n);
	if (!err)
		err = unique_init(&ssrcs, 2 * dp_tb.touched.n);
	if (!err)
		err = unique_init(&slots, dp_tb.touched.n);
	for (uint32_t i = 0; i < dp_tb.touched.n && !err; i++) {
		struct touch t = dp_tb.touched.v[i];
		const struct overlay *o = over(t.kind, t.index);

		if (!o->named || view_id(t.kind, t.index) == 0)
			continue;
		if (t.kind == DP_KIND_ENDPOINT)
			err = ufrag_check(&ufrags, t.index, o->set);
		else if (t.kind == DP_KIND_SUB)
			err = ssrc_check(&ssrcs, t.index, o->set);
		else
			err = slot_check(&slots, t.index, o->set);
		*record = o->record;
	}
	unique_free(&ufrags);
	unique_free(&ssrcs);
	unique_free(&slots);
	return err;
}
