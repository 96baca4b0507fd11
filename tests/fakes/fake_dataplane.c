#include "tests/fakes/fake_dataplane.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tests/fakes/samples.h"

int fake_dp_open(struct fake_dp *f, const char *dir, uint32_t command_capacity)
{
	const struct sh_link_conf conf = {.rundir = dir,
	                                  .peer = (uid_t)-1,
	                                  .group = (gid_t)-1,
	                                  .command_capacity = command_capacity};

	f->link = SH_LINK_CLOSED;
	f->greeted = false;
	f->txn = 0;
	if (f->hello.version == 0) {
		f->hello = sample_e_hello();
		f->hello.max_endpoints = FAKE_ENDPOINTS;
		f->hello.max_tracks = FAKE_TRACKS;
		f->hello.max_subs = FAKE_SUBS;
	}
	return sh_link_listen(&f->server, &conf);
}

void fake_dp_kill(struct fake_dp *f)
{
	sh_link_close(&f->link);
	sh_link_unlisten(&f->server);
}

bool fake_dp_event(struct fake_dp *f, unsigned type, const void *body, uint32_t len)
{
	void *at = f->link.mem ? sh_ring_reserve(&f->link.tx, (uint16_t)type, 0, len) : NULL;

	if (!at)
		return false;
	memcpy(at, body, len);
	sh_ring_commit(&f->link.tx);
	sh_link_wake(&f->link);
	return true;
}

/* ---- applying, on a copy ---- */

static sh_id id_at(const struct fake_tables *t, unsigned what, uint32_t i)
{
	if (what == SH_DEL_ENDPOINT)
		return i < FAKE_ENDPOINTS ? t->endpoint[i].id : 0;
	if (what == SH_DEL_TRACK)
		return i < FAKE_TRACKS ? t->track[i].id : 0;
	return i < FAKE_SUBS ? t->sub[i].id : 0;
}

static bool there(const struct fake_tables *t, unsigned what, sh_id id)
{
	return id_at(t, what, SH_ID_INDEX(id)) == id;
}

static void del_sub(struct fake_tables *t, uint32_t i)
{
	memset(&t->sub[i], 0, sizeof(t->sub[i]));
}

static void del_track(struct fake_tables *t, uint32_t i)
{
	for (uint32_t k = 0; k < FAKE_SUBS; k++)
		if (t->sub[k].id && t->sub[k].track == t->track[i].id)
			del_sub(t, k);
	memset(&t->track[i], 0, sizeof(t->track[i]));
}

static void del_endpoint(struct fake_tables *t, uint32_t i)
{
	sh_id id = t->endpoint[i].id;

	for (uint32_t k = 0; k < FAKE_TRACKS; k++)
		if (t->track[k].id && t->track[k].endpoint == id)
			del_track(t, k);
	for (uint32_t k = 0; k < FAKE_SUBS; k++)
		if (t->sub[k].id && t->sub[k].endpoint == id)
			del_sub(t, k);
	memset(&t->endpoint[i], 0, sizeof(t->endpoint[i]));
	memset(&t->keys[i], 0, sizeof(t->keys[i]));
}

/* Free, the same id, or, in a replay, a leftover that will be swept anyway. */
static int room(const struct fake_tables *t, unsigned what, sh_id id, bool full)
{
	static const uint32_t size[] = {0, FAKE_ENDPOINTS, FAKE_TRACKS, FAKE_SUBS};

	if (SH_ID_INDEX(id) >= size[what])
		return -ERANGE;
	sh_id have = id_at(t, what, SH_ID_INDEX(id));
	return have == 0 || have == id || full ? 0 : -EEXIST;
}

static int set_endpoint(struct fake_tables *t, const struct sh_msg_endpoint_set *m, bool full,
                        unsigned workers)
{
	uint32_t i = SH_ID_INDEX(m->id);
	int err = room(t, SH_DEL_ENDPOINT, m->id, full);

	if (err || m->worker >= workers)
		return err ? err : -ERANGE;
	if (t->endpoint[i].id && t->endpoint[i].id != m->id)
		del_endpoint(t, i);
	t->endpoint[i] = *m;
	return 0;
}

static int set_track(struct fake_tables *t, const struct sh_msg_track_set *m, bool full)
{
	uint32_t i = SH_ID_INDEX(m->id);
	int err = room(t, SH_DEL_TRACK, m->id, full);

	if (err || (!(m->flags & SH_TRACK_SLOT) && !there(t, SH_DEL_ENDPOINT, m->endpoint)))
		return err ? err : -ENOENT;
	if (t->track[i].id && t->track[i].id != m->id)
		del_track(t, i);
	t->track[i] = *m;
	return 0;
}

static int set_sub(struct fake_tables *t, const struct sh_msg_sub_set *m, bool full)
{
	int err = room(t, SH_DEL_SUB, m->id, full);

	if (err || !there(t, SH_DEL_ENDPOINT, m->endpoint) || !there(t, SH_DEL_TRACK, m->track))
		return err ? err : -ENOENT;
	t->sub[SH_ID_INDEX(m->id)] = *m;
	return 0;
}

static int del(struct fake_tables *t, const struct sh_msg_del *m)
{
	if (!there(t, m->what, m->id))
		return -ENOENT;
	if (m->what == SH_DEL_ENDPOINT)
		del_endpoint(t, SH_ID_INDEX(m->id));
	else if (m->what == SH_DEL_TRACK)
		del_track(t, SH_ID_INDEX(m->id));
	else
		del_sub(t, SH_ID_INDEX(m->id));
	return 0;
}

static int apply_one(struct fake_dp *f, struct fake_tables *t, const struct fake_record *r,
                     bool full)
{
	const struct sh_msg_endpoint_keys *k = (const void *)r->body;
	int err = f->refuse ? f->refuse(r, f->arg) : 0;

	if (err)
		return err;
	switch (r->type) {
	case SH_MSG_ENDPOINT_SET:
		return set_endpoint(t, (const void *)r->body, full, f->hello.workers);
	case SH_MSG_ENDPOINT_KEYS:
		if (!there(t, SH_DEL_ENDPOINT, k->id))
			return -ENOENT;
		t->keys[SH_ID_INDEX(k->id)] = *k;
		return 0;
	case SH_MSG_TRACK_SET:
		return set_track(t, (const void *)r->body, full);
	case SH_MSG_SUB_SET:
		return set_sub(t, (const void *)r->body, full);
	case SH_MSG_DEL:
		return full ? -EINVAL : del(t, (const void *)r->body);
	}
	return -EPROTO;
}

/* What a replay did not name. The first member of each body is its id. */
static void sweep(struct fake_dp *f, struct fake_tables *t)
{
	static bool named[SH_DEL_SUB + 1][1024];

	memset(named, 0, sizeof(named));
	for (uint32_t n = 0; n < f->n_staged; n++) {
		sh_id id;
		memcpy(&id, f->staged[n].body, sizeof(id));
		unsigned what = f->staged[n].type == SH_MSG_ENDPOINT_SET ? SH_DEL_ENDPOINT
		                : f->staged[n].type == SH_MSG_TRACK_SET  ? SH_DEL_TRACK
		                : f->staged[n].type == SH_MSG_SUB_SET    ? SH_DEL_SUB
		                                                         : 0;
		if (what)
			named[what][SH_ID_INDEX(id)] = true;
	}
	for (uint32_t i = 0; i < FAKE_ENDPOINTS; i++) {
		if (t->sub[i].id && !named[SH_DEL_SUB][i])
			del_sub(t, i);
		if (t->track[i].id && !named[SH_DEL_TRACK][i])
			del_track(t, i);
		if (t->endpoint[i].id && !named[SH_DEL_ENDPOINT][i])
			del_endpoint(t, i);
	}
}

static unsigned differences(const struct fake_tables *a, const struct fake_tables *b)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < 1024; i++)
		n += !!memcmp(&a->endpoint[i], &b->endpoint[i], sizeof(a->endpoint[i])) +
		     !!memcmp(&a->keys[i], &b->keys[i], sizeof(a->keys[i])) +
		     !!memcmp(&a->track[i], &b->track[i], sizeof(a->track[i])) +
		     !!memcmp(&a->sub[i], &b->sub[i], sizeof(a->sub[i]));
	return n;
}

static void commit(struct fake_dp *f, const struct sh_msg_commit *m)
{
	struct sh_msg_committed out = {.txn = m->txn};
	static struct fake_tables next;

	next = f->now;
	if (m->txn != f->txn || m->records != f->n_staged) {
		out.error = -EPROTO;
		out.record = f->n_staged;
	}
	for (uint32_t i = 0; !out.error && i < f->n_staged; i++) {
		out.error = apply_one(f, &next, &f->staged[i], m->full);
		out.record = out.error ? i : 0;
	}
	if (!out.error) {
		if (m->full)
			sweep(f, &next);
		f->changes += differences(&f->now, &next);
		f->now = next;
		f->commits++;
		f->full_commits += m->full;
	} else {
		f->refusals++;
	}
	f->txn = 0;
	sh_secret_wipe(f->staged, f->n_staged * sizeof(f->staged[0]));
	f->n_staged = 0;
	if (!f->mute)
		fake_dp_event(f, SH_MSG_COMMITTED, &out, sizeof(out));
}

/* ---- reading ---- */

static void stage(struct fake_dp *f, const struct sh_rec *hdr, const void *body)
{
	if (!f->txn || f->n_staged == FAKE_STAGED || hdr->len > sizeof(f->staged[0].body)) {
		f->bad++;
		return;
	}
	struct fake_record *r = &f->staged[f->n_staged++];
	r->type = hdr->type;
	r->len = hdr->len;
	memcpy(r->body, body, hdr->len);
}

static void packet(struct fake_dp *f, const struct sh_msg_packet *m)
{
	if (f->txn)
		f->bad++; // nothing but state belongs between BEGIN and COMMIT
	if (f->packet)
		f->packet(m, f->arg);
	if (f->packets == FAKE_PACKETS)
		return;
	f->packet_endpoint[f->packets] = m->endpoint;
	memcpy(&f->packet_number[f->packets++], m->data, 4);
}

static void receive(struct fake_dp *f, const struct sh_rec *hdr, const void *body)
{
	if (!f->greeted) {
		char why[160];
		if (sh_msg_hello_check(SH_MSG_C_HELLO, hdr->type, body, hdr->len, why, sizeof(why)))
			f->bad++;
		f->greeted = true;
		f->hellos++;
		fake_dp_event(f, SH_MSG_E_HELLO, &f->hello, sizeof(f->hello));
		return;
	}
	if (sh_msg_check(hdr->type, body, hdr->len) || sh_msg_direction(hdr->type) != 'C' ||
	    hdr->flags != sh_msg_flags(hdr->type)) {
		f->bad++;
		return;
	}
	switch (hdr->type) {
	case SH_MSG_BEGIN:
		f->bad += f->txn != 0;
		f->txn = ((const struct sh_msg_begin *)body)->txn;
		f->n_staged = 0;
		break;
	case SH_MSG_COMMIT:
		commit(f, body);
		break;
	case SH_MSG_TX_PACKET:
		packet(f, body);
		break;
	case SH_MSG_KEYFRAME:
		f->keyframes++;
		break;
	default:
		stage(f, hdr, body);
	}
}

bool fake_dp_poll(struct fake_dp *f)
{
	_Alignas(8) uint8_t body[2048];
	struct sh_rec hdr;
	bool any = false;

	if (f->server.fd >= 0 && sh_link_accept(&f->server, &f->link) == 0) {
		f->greeted = false;
		f->txn = 0;
		any = true;
	}
	if (!f->link.mem || f->deaf)
		return any;
	for (unsigned n = 0; f->read_max == 0 || n < f->read_max; n++) {
		int err = sh_ring_take(&f->link.rx, &hdr, body, sizeof(body));
		if (err)
			break;
		any = true;
		receive(f, &hdr, body);
	}
	return any;
}
