#include "dataplane/table/table_world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "dataplane/srtp/srtp.h"
#include "dataplane/table/group.h"

char plane_path[64];
struct dp_worker plane_workers[WORKERS];
unsigned plane_forgotten[DP_KINDS], plane_rekeyed, plane_gone, plane_wanted;
uint32_t plane_wanted_track;
uint64_t txn_number;
uint32_t txn_staged;

/* ---- the n-th allocation fails ---- */

long plane_fail_at = -1;
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t k);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t k);
void *__wrap_realloc(void *p, size_t n);

static bool fails(void)
{
	return plane_fail_at >= 0 && plane_fail_at-- == 0;
}
void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t k)
{
	return fails() ? NULL : __real_calloc(n, k);
}
void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

/* ---- a world without workers ---- */

void plane_do_ops(void *arg)
{
	for (unsigned w = 0; w < WORKERS; w++) {
		struct dp_ops *q = dp_table_ops(w);
		const struct dp_op *op;

		while ((op = dp_ops_peek(q))) {
			switch (op->type) {
			case DP_OP_FORGET_SUB:
				plane_forgotten[DP_KIND_SUB]++;
				break;
			case DP_OP_FORGET_TRACK:
				plane_forgotten[DP_KIND_TRACK]++;
				break;
			case DP_OP_FORGET_ENDPOINT:
				assert_int_equal(dp_slabs.endpoint[op->index].set.worker, w);
				dp_tuple_clear(&plane_workers[w], op->index);
				plane_forgotten[DP_KIND_ENDPOINT]++;
				break;
			case DP_OP_REKEY:
				dp_table_rekey(op->index, op->arg);
				plane_rekeyed++;
				break;
			}
			dp_ops_done(q);
		}
	}
}

static void gone(void *arg, uint32_t endpoint)
{
	plane_gone++;
}

static void wanted(void *arg, uint32_t track)
{
	plane_wanted++;
	plane_wanted_track = track;
}

void plane_attach(void)
{
	struct dp_table_cfg cfg = {
	    .workers = WORKERS,
	    .backend = dp_srtp_backend_find("libsrtp2"),
	    .wait = plane_do_ops,
	    .gone = gone,
	    .wanted = wanted,
	};
	struct dp_table_report r;
	bool created;

	assert_int_equal(sh_slabs_create(&dp_slabs, plane_path, ENDPOINTS, TRACKS, SUBS, &created),
	                 0);
	assert_int_equal(dp_table_init(&cfg), 0);
	assert_int_equal(dp_table_rebuild(&r), 0);
}

void plane_detach(void)
{
	dp_table_free();
	sh_slabs_close(&dp_slabs);
}

int plane_setup(void **state)
{
	snprintf(plane_path, sizeof(plane_path), "/tmp/table_test.%d", getpid());
	unlink(plane_path);
	for (unsigned w = 0; w < WORKERS; w++)
		plane_workers[w].index = w;
	memset(plane_forgotten, 0, sizeof(plane_forgotten));
	plane_rekeyed = plane_gone = plane_wanted = 0;
	plane_attach();
	return 0;
}

int plane_teardown(void **state)
{
	dp_reap_all();
	plane_detach();
	unlink(plane_path);
	return 0;
}

/* ---- records ---- */

void txn_begin(void)
{
	dp_stage_begin(++txn_number);
	txn_staged = 0;
}

void txn_record(unsigned type, const void *body, uint32_t len)
{
	assert_int_equal(sh_msg_check(type, body, len), 0);
	dp_stage_record(type, body, len);
	txn_staged++;
}

struct sh_msg_committed txn_commit_as(bool full, uint32_t records)
{
	struct sh_msg_commit c = {.txn = txn_number, .records = records, .full = full};
	struct sh_msg_committed out;

	dp_stage_commit(&c, &out);
	assert_int_equal(out.txn, txn_number);
	return out;
}

int txn_commit(bool full)
{
	return txn_commit_as(full, txn_staged).error;
}

struct sh_msg_endpoint_set endpoint_like(sh_id id, unsigned worker, const char *ufrag)
{
	struct sh_msg_endpoint_set m = {
	    .id = id, .worker = (uint8_t)worker, .pwd_len = 24, .rtcp_ssrc = id + 1};

	m.ufrag_len = (uint8_t)strlen(ufrag);
	memcpy(m.ufrag, ufrag, m.ufrag_len);
	memset(m.pwd, 'p', m.pwd_len);
	m.cname_len = 4;
	memcpy(m.cname, "name", 4);
	return m;
}

void put_endpoint(sh_id id, unsigned worker, const char *ufrag)
{
	struct sh_msg_endpoint_set m = endpoint_like(id, worker, ufrag);

	txn_record(SH_MSG_ENDPOINT_SET, &m, sizeof(m));
}

struct sh_msg_endpoint_keys keys_like(sh_id id, uint8_t seed)
{
	struct sh_msg_endpoint_keys m = {.id = id, .profile = SH_SRTP_AEAD_AES_128_GCM};

	memset(m.rx.bytes, seed, 28);
	memset(m.tx.bytes, seed + 1, 28);
	return m;
}

void put_keys(sh_id id, uint8_t seed)
{
	struct sh_msg_endpoint_keys m = keys_like(id, seed);

	txn_record(SH_MSG_ENDPOINT_KEYS, &m, sizeof(m));
}

void put_track_flags(sh_id id, sh_id ep, uint8_t flags)
{
	struct sh_msg_track_set m = {
	    .id = id, .endpoint = ep, .kind = SH_KIND_AUDIO, .layers = 1, .flags = flags};

	m.mid_len = 1;
	m.mid[0] = '0';
	for (unsigned i = 0; i < SH_MAX_PTS; i++)
		m.pt[i] = (struct sh_track_pt){.pt = 255, .apt_slot = 255};
	m.pt[0] = (struct sh_track_pt){
	    .pt = 111, .codec = SH_CODEC_OPUS, .apt_slot = 255, .clock_hz = 48000};
	txn_record(SH_MSG_TRACK_SET, &m, sizeof(m));
}

void put_track_of(sh_id id, sh_id ep, uint32_t group, uint8_t flags, uint8_t at)
{
	struct sh_msg_track_set m = {.id = id,
	                             .endpoint = ep,
	                             .group = group,
	                             .kind = SH_KIND_AUDIO,
	                             .layers = 1,
	                             .flags = flags,
	                             .slot = at};

	for (unsigned i = 0; i < SH_MAX_PTS; i++)
		m.pt[i] = (struct sh_track_pt){.pt = 255, .apt_slot = 255};
	m.pt[0] = (struct sh_track_pt){
	    .pt = 111, .codec = SH_CODEC_OPUS, .apt_slot = 255, .clock_hz = 48000};
	if (ep) {
		m.mid_len = 1;
		m.mid[0] = '0';
	}
	txn_record(SH_MSG_TRACK_SET, &m, sizeof(m));
}

void put_slot(sh_id id, uint32_t group, uint8_t at)
{
	put_track_of(id, 0, group, SH_TRACK_SLOT, at);
}

void put_member(sh_id id, sh_id ep, uint32_t group)
{
	put_track_of(id, ep, group, SH_TRACK_FOLLOW, 0);
}

void put_track(sh_id id, sh_id ep)
{
	put_track_flags(id, ep, 0);
}

void put_sub_ssrc(sh_id id, sh_id tr, sh_id ep, uint32_t ssrc, uint32_t rtx)
{
	struct sh_msg_sub_set m = {
	    .id = id, .track = tr, .endpoint = ep, .ssrc = ssrc, .rtx_ssrc = rtx};

	memset(m.pt, 255, sizeof(m.pt));
	m.pt[0] = 96;
	m.mid_len = 1;
	m.mid[0] = '1';
	txn_record(SH_MSG_SUB_SET, &m, sizeof(m));
}

void put_sub(sh_id id, sh_id tr, sh_id ep)
{
	put_sub_ssrc(id, tr, ep, 1000 + id, 0);
}

void put_del(sh_id id, unsigned what)
{
	struct sh_msg_del m = {.id = id, .what = (uint8_t)what};

	txn_record(SH_MSG_DEL, &m, sizeof(m));
}

static bool in_list(const struct dp_fanout *f, uint32_t item)
{
	unsigned n = 0;

	for (uint32_t i = 0; f && i < f->n; i++)
		n += f->sub[i] == item;
	assert_in_range(n, 0, 1);
	return n;
}

uint32_t list_length(const struct dp_fanout *f)
{
	return f ? f->n : 0;
}

/* Each track of a group is in it, once, as a member or at its place; sources and slots name each
 * other. */
static void assert_groups(void)
{
	uint32_t want = 0, have = 0;

	for (uint32_t i = 0; i < dp_groups(); i++) {
		const struct dp_group *g = dp_group_at(i);
		uint32_t members = 0;

		assert_ptr_equal(dp_group_find(g->number), g);
		assert_ptr_equal(dp_group_by_index(dp_group_index(g)), g);
		for (uint32_t t = g->audio.first; t != DP_NO_TRACK; t = dp_group_next(t), members++)
			assert_int_equal(dp_slabs.track[t].set.group, g->number);
		for (uint32_t t = g->video.first; t != DP_NO_TRACK; t = dp_group_next(t), members++)
			assert_int_equal(dp_slabs.track[t].set.kind, SH_KIND_VIDEO);
		assert_int_equal(members, g->audio.n + g->video.n);
		for (unsigned k = 0; k < g->audio_slots; k++)
			members += g->audio_slot[k] != 0;
		for (unsigned k = 0; k < g->video_slots; k++)
			members += g->video_slot[k] != 0;
		assert_int_not_equal(members, 0);
		have += members;
	}
	for (uint32_t i = 0; i < TRACKS; i++) {
		const struct sh_track *t = &dp_slabs.track[i];

		if (t->state != SH_LIVE)
			continue;
		want += t->set.group != 0;
		if (t->follower)
			assert_int_equal(dp_slabs.track[SH_ID_INDEX(t->follower)].source,
			                 t->set.id);
		if (t->source)
			assert_int_equal(dp_slabs.track[SH_ID_INDEX(t->source)].follower,
			                 t->set.id);
	}
	assert_int_equal(have, want);
}

/* Indexes are what a walk over the slabs says they should be. */
void assert_consistent(void)
{
	uint32_t n[3] = {0}, listed[3] = {0}, fans = 0;
	bool rtx;

	for (uint32_t i = 0; i < ENDPOINTS; i++) {
		const struct sh_endpoint *e = &dp_slabs.endpoint[i];

		listed[1] += list_length(dp_endpoint_tracks(i));
		listed[2] += list_length(dp_endpoint_subs(i));
		if (e->state != SH_LIVE) {
			assert_null(dp_session(i));
			continue;
		}
		n[0]++;
		assert_int_equal(dp_endpoint_by_ufrag(e->set.ufrag, e->set.ufrag_len), i);
		assert_true(in_list(dp_worker_endpoints(e->set.worker), i));
		assert_int_equal(dp_session(i) != NULL, e->keys.profile != SH_SRTP_NONE);
	}
	for (unsigned w = 0; w < WORKERS; w++)
		listed[0] += list_length(dp_worker_endpoints(w));
	for (uint32_t i = 0; i < TRACKS; i++) {
		for (unsigned w = 0; w < WORKERS; w++) {
			fans += list_length(dp_fanout(i, w));
			assert_int_equal(dp_fanout_workers(i) >> w & 1, dp_fanout(i, w) != NULL);
		}
		if (dp_slabs.track[i].state != SH_LIVE)
			continue;
		if (dp_slabs.track[i].set.flags & SH_TRACK_SLOT)
			continue;
		n[1]++;
		assert_true(
		    in_list(dp_endpoint_tracks(SH_ID_INDEX(dp_slabs.track[i].set.endpoint)), i));
	}
	assert_groups();
	for (uint32_t i = 0; i < SUBS; i++) {
		const struct sh_msg_sub_set *s = &dp_slabs.sub[i].set;
		uint32_t ep = SH_ID_INDEX(s->endpoint);

		if (dp_slabs.sub[i].state != SH_LIVE)
			continue;
		n[2]++;
		assert_int_equal(dp_slabs.endpoint[ep].set.id, s->endpoint);
		assert_int_equal(dp_slabs.track[SH_ID_INDEX(s->track)].set.id, s->track);
		assert_true(in_list(dp_endpoint_subs(ep), i));
		assert_true(
		    in_list(dp_fanout(SH_ID_INDEX(s->track), dp_slabs.endpoint[ep].set.worker), i));
		assert_int_equal(dp_sub_by_ssrc(ep, s->ssrc, &rtx), i);
		assert_false(rtx);
		if (s->rtx_ssrc) {
			assert_int_equal(dp_sub_by_ssrc(ep, s->rtx_ssrc, &rtx), i);
			assert_true(rtx);
		}
	}
	assert_memory_equal(n, listed, sizeof(n));
	assert_int_equal(fans, n[2]);
}

/* Two endpoints with keys, each on its worker, each publishing one track that the other hears. */
void plane_call(void)
{
	txn_begin();
	put_endpoint(E(0, 1), 0, "aaaa");
	put_keys(E(0, 1), 10);
	put_endpoint(E(1, 1), 1, "bbbb");
	put_keys(E(1, 1), 20);
	put_track(E(0, 1), E(0, 1));
	put_track(E(1, 1), E(1, 1));
	put_sub_ssrc(E(0, 1), E(0, 1), E(1, 1), 100, 101);
	put_sub_ssrc(E(1, 1), E(1, 1), E(0, 1), 100,
	             101); // another endpoint, so the same SSRC is fine
	assert_int_equal(txn_commit(false), 0);
	assert_consistent();
}
