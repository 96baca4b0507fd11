/* Transactions onto slabs: what is accepted, refused, replayed, taken over after a crash, and
 * undone when memory runs out. There is no worker: the ops that owners would do are done where
 * control waits for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <unistd.h>
#include <cmocka.h>
#include "dataplane/srtp/srtp.h"
#include "dataplane/table/group.h"
#include "dataplane/table/table.h"
#include "shared/msg.h"

enum { ENDPOINTS = 64, TRACKS = 128, SUBS = 4096, WORKERS = 2 };

static char path[64];
static struct dp_worker workers[WORKERS];
static unsigned forgotten[DP_KINDS], rekeyed, gone_calls;
static uint64_t txn;
static uint32_t staged;

/* ---- the n-th allocation fails ---- */

static long fail_at = -1;
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t k);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t k);
void *__wrap_realloc(void *p, size_t n);

static bool fails(void)
{
	return fail_at >= 0 && fail_at-- == 0;
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

static void do_ops(void *arg)
{
	for (unsigned w = 0; w < WORKERS; w++) {
		struct dp_ops *q = dp_table_ops(w);
		const struct dp_op *op;

		while ((op = dp_ops_peek(q))) {
			switch (op->type) {
			case DP_OP_FORGET_SUB:
				forgotten[DP_KIND_SUB]++;
				break;
			case DP_OP_FORGET_TRACK:
				forgotten[DP_KIND_TRACK]++;
				break;
			case DP_OP_FORGET_ENDPOINT:
				assert_int_equal(dp_slabs.endpoint[op->index].set.worker, w);
				dp_tuple_clear(&workers[w], op->index);
				forgotten[DP_KIND_ENDPOINT]++;
				break;
			case DP_OP_REKEY:
				dp_table_rekey(op->index, op->arg);
				rekeyed++;
				break;
			}
			dp_ops_done(q);
		}
	}
}

static void gone(void *arg, uint32_t endpoint)
{
	gone_calls++;
}

static void attach(void)
{
	struct dp_table_cfg cfg = {
	    .workers = WORKERS,
	    .backend = dp_srtp_backend_find("libsrtp2"),
	    .wait = do_ops,
	    .gone = gone,
	};
	struct dp_table_report r;
	bool created;

	assert_int_equal(sh_slabs_create(&dp_slabs, path, ENDPOINTS, TRACKS, SUBS, &created), 0);
	assert_int_equal(dp_table_init(&cfg), 0);
	assert_int_equal(dp_table_rebuild(&r), 0);
}

static void detach(void)
{
	dp_table_free();
	sh_slabs_close(&dp_slabs);
}

static int setup(void **state)
{
	snprintf(path, sizeof(path), "/tmp/table_test.%d", getpid());
	unlink(path);
	for (unsigned w = 0; w < WORKERS; w++)
		workers[w].index = w;
	memset(forgotten, 0, sizeof(forgotten));
	rekeyed = gone_calls = 0;
	attach();
	return 0;
}

static int teardown(void **state)
{
	dp_reap_all();
	detach();
	unlink(path);
	return 0;
}

/* ---- records ---- */

static void begin(void)
{
	dp_stage_begin(++txn);
	staged = 0;
}

static void record(unsigned type, const void *body, uint32_t len)
{
	assert_int_equal(sh_msg_check(type, body, len), 0);
	dp_stage_record(type, body, len);
	staged++;
}

static struct sh_msg_committed commit_as(bool full, uint32_t records)
{
	struct sh_msg_commit c = {.txn = txn, .records = records, .full = full};
	struct sh_msg_committed out;

	dp_stage_commit(&c, &out);
	assert_int_equal(out.txn, txn);
	return out;
}

static int commit(bool full)
{
	return commit_as(full, staged).error;
}

static struct sh_msg_endpoint_set endpoint_of(sh_id id, unsigned worker, const char *ufrag)
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

static void endpoint(sh_id id, unsigned worker, const char *ufrag)
{
	struct sh_msg_endpoint_set m = endpoint_of(id, worker, ufrag);

	record(SH_MSG_ENDPOINT_SET, &m, sizeof(m));
}

static struct sh_msg_endpoint_keys keys_of(sh_id id, uint8_t seed)
{
	struct sh_msg_endpoint_keys m = {.id = id, .profile = SH_SRTP_AEAD_AES_128_GCM};

	memset(m.rx.bytes, seed, 28);
	memset(m.tx.bytes, seed + 1, 28);
	return m;
}

static void keys(sh_id id, uint8_t seed)
{
	struct sh_msg_endpoint_keys m = keys_of(id, seed);

	record(SH_MSG_ENDPOINT_KEYS, &m, sizeof(m));
}

static void track_flags(sh_id id, sh_id ep, uint8_t flags)
{
	struct sh_msg_track_set m = {
	    .id = id, .endpoint = ep, .kind = SH_KIND_AUDIO, .layers = 1, .flags = flags};

	m.mid_len = 1;
	m.mid[0] = '0';
	for (unsigned i = 0; i < SH_MAX_PTS; i++)
		m.pt[i] = (struct sh_track_pt){.pt = 255, .apt_slot = 255};
	m.pt[0] = (struct sh_track_pt){
	    .pt = 111, .codec = SH_CODEC_OPUS, .apt_slot = 255, .clock_hz = 48000};
	record(SH_MSG_TRACK_SET, &m, sizeof(m));
}

static void track_of(sh_id id, sh_id ep, uint32_t group, uint8_t flags, uint8_t at)
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
	record(SH_MSG_TRACK_SET, &m, sizeof(m));
}

static void slot(sh_id id, uint32_t group, uint8_t at)
{
	track_of(id, 0, group, SH_TRACK_SLOT, at);
}

static void member(sh_id id, sh_id ep, uint32_t group)
{
	track_of(id, ep, group, SH_TRACK_FOLLOW, 0);
}

static void track(sh_id id, sh_id ep)
{
	track_flags(id, ep, 0);
}

static void sub_ssrc(sh_id id, sh_id tr, sh_id ep, uint32_t ssrc, uint32_t rtx)
{
	struct sh_msg_sub_set m = {
	    .id = id, .track = tr, .endpoint = ep, .ssrc = ssrc, .rtx_ssrc = rtx};

	memset(m.pt, 255, sizeof(m.pt));
	m.pt[0] = 96;
	m.mid_len = 1;
	m.mid[0] = '1';
	record(SH_MSG_SUB_SET, &m, sizeof(m));
}

static void sub(sh_id id, sh_id tr, sh_id ep)
{
	sub_ssrc(id, tr, ep, 1000 + id, 0);
}

static void del(sh_id id, unsigned what)
{
	struct sh_msg_del m = {.id = id, .what = (uint8_t)what};

	record(SH_MSG_DEL, &m, sizeof(m));
}

#define E(i, g) SH_ID((uint32_t)(i), (uint32_t)(g))

static bool in_list(const struct dp_fanout *f, uint32_t item)
{
	unsigned n = 0;

	for (uint32_t i = 0; f && i < f->n; i++)
		n += f->sub[i] == item;
	assert_in_range(n, 0, 1);
	return n;
}

static uint32_t length(const struct dp_fanout *f)
{
	return f ? f->n : 0;
}

/* Each track of a group is in it, once, as a member or at its place; sources and slots name each other. */
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
			assert_int_equal(dp_slabs.track[SH_ID_INDEX(t->follower)].source, t->set.id);
		if (t->source)
			assert_int_equal(dp_slabs.track[SH_ID_INDEX(t->source)].follower, t->set.id);
	}
	assert_int_equal(have, want);
}

/* Indexes are what a walk over the slabs says they should be. */
static void assert_consistent(void)
{
	uint32_t n[3] = {0}, listed[3] = {0}, fans = 0;
	bool rtx;

	for (uint32_t i = 0; i < ENDPOINTS; i++) {
		const struct sh_endpoint *e = &dp_slabs.endpoint[i];

		listed[1] += length(dp_endpoint_tracks(i));
		listed[2] += length(dp_endpoint_subs(i));
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
		listed[0] += length(dp_worker_endpoints(w));
	for (uint32_t i = 0; i < TRACKS; i++) {
		for (unsigned w = 0; w < WORKERS; w++) {
			fans += length(dp_fanout(i, w));
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
static void call(void)
{
	begin();
	endpoint(E(0, 1), 0, "aaaa");
	keys(E(0, 1), 10);
	endpoint(E(1, 1), 1, "bbbb");
	keys(E(1, 1), 20);
	track(E(0, 1), E(0, 1));
	track(E(1, 1), E(1, 1));
	sub_ssrc(E(0, 1), E(0, 1), E(1, 1), 100, 101);
	sub_ssrc(E(1, 1), E(1, 1), E(0, 1), 100, 101); // another endpoint, so the same SSRC is fine
	assert_int_equal(commit(false), 0);
	assert_consistent();
}

/* ---- tests ---- */

static void a_call_comes_and_goes(void **state)
{
	call();
	assert_int_equal(length(dp_fanout(0, 1)), 1);
	assert_int_equal(length(dp_fanout(0, 0)), 0);
	assert_int_equal(dp_fanout_workers(0), 2);
	assert_int_equal(dp_slabs.sub[0].layer, 255);
	begin();
	del(E(0, 1), SH_DEL_ENDPOINT);
	assert_int_equal(commit(false), 0);
	assert_consistent();
	/* With it went its track, the subscription of that, and its own subscription. */
	assert_int_equal(dp_slabs.endpoint[0].state, SH_DEAD);
	assert_int_equal(dp_slabs.track[0].state, SH_DEAD);
	assert_int_equal(dp_slabs.sub[0].state, SH_DEAD);
	assert_int_equal(dp_slabs.sub[1].state, SH_DEAD);
	assert_int_equal(dp_slabs.track[1].state, SH_LIVE);
	assert_int_equal(gone_calls, 1);
	dp_reap_all();
	assert_int_equal(forgotten[DP_KIND_ENDPOINT], 1);
	assert_int_equal(forgotten[DP_KIND_TRACK], 1);
	assert_int_equal(forgotten[DP_KIND_SUB], 2);
	/* Wiped, keys and all. */
	static const struct sh_endpoint zero;
	assert_memory_equal(&dp_slabs.endpoint[0], &zero, sizeof(zero));
	assert_consistent();
}

static void nothing_is_wiped_before_its_owner_forgot_it(void **state)
{
	call();
	begin();
	del(E(1, 1), SH_DEL_ENDPOINT);
	assert_int_equal(commit(false), 0);
	for (unsigned i = 0; i < 10; i++)
		assert_true(dp_reap());
	assert_int_equal(dp_slabs.endpoint[1].state, SH_DEAD);
	assert_int_equal(dp_slabs.endpoint[1].keys.profile, SH_SRTP_AEAD_AES_128_GCM);
	do_ops(NULL); // the drain
	assert_true(dp_reap());
	assert_int_equal(forgotten[DP_KIND_ENDPOINT], 0);
	do_ops(NULL); // the forgetting
	assert_false(dp_reap());
	assert_int_equal(forgotten[DP_KIND_ENDPOINT], 1);
	assert_int_equal(dp_slabs.endpoint[1].state, SH_FREE);
}

struct refusal {
	const char *name;
	void (*stage)(void);
	int error;
	uint32_t record;
};

static void r_worker(void)
{
	endpoint(E(9, 1), WORKERS, "wwww");
}
static void r_index(void)
{
	endpoint(E(ENDPOINTS, 1), 0, "wwww");
}
static void r_sub_index(void)
{
	sub(E(SUBS, 1), E(0, 1), E(1, 1));
}
static void r_ufrag_taken(void)
{
	endpoint(E(8, 1), 0, "xxxx");
	endpoint(E(9, 1), 0, "aaaa");
}
static void r_ufrag_twice(void)
{
	endpoint(E(8, 1), 0, "xxxx");
	endpoint(E(9, 1), 0, "xxxx");
}
static void r_other_generation(void)
{
	endpoint(E(0, 2), 0, "xxxx");
}
static void r_track_of_nobody(void)
{
	track(E(5, 1), E(7, 1));
}
static void r_track_of_stale(void)
{
	track(E(5, 1), E(0, 2));
}
static void r_track_moves(void)
{
	track(E(0, 1), E(1, 1));
}
static void r_worker_moves(void)
{
	endpoint(E(0, 1), 1, "aaaa");
}
static void r_sub_moves(void)
{
	sub(E(0, 1), E(1, 1), E(1, 1));
}
static void r_sub_of_no_track(void)
{
	sub(E(9, 1), E(9, 1), E(0, 1));
}
static void r_ssrc_taken(void)
{
	sub_ssrc(E(9, 1), E(0, 1), E(1, 1), 101, 0);
}
static void r_ssrc_twice(void)
{
	sub_ssrc(E(8, 1), E(0, 1), E(1, 1), 500, 501);
	sub_ssrc(E(9, 1), E(0, 1), E(1, 1), 502, 500);
}
static void r_keys_of_nobody(void)
{
	keys(E(9, 1), 1);
}
static void r_keys_stale(void)
{
	keys(E(0, 3), 1);
}
static void r_del_stale(void)
{
	del(E(0, 2), SH_DEL_ENDPOINT);
}
static void r_after_del(void)
{
	del(E(0, 1), SH_DEL_ENDPOINT);
	track(E(5, 1), E(0, 1));
}
static void r_del_and_back(void)
{
	del(E(0, 1), SH_DEL_ENDPOINT);
	endpoint(E(0, 1), 0, "aaaa");
}
static void r_cascaded_back(void)
{
	del(E(0, 1), SH_DEL_ENDPOINT);
	track(E(0, 1), E(1, 1));
}

/* A good record before and one after the bad one: none of them may have an effect. */
static void refusals(void **state)
{
	static const struct refusal t[] = {
	    {"worker out of range", r_worker, -EINVAL, 1},
	    {"index out of range", r_index, -EINVAL, 1},
	    {"subscription index out of range", r_sub_index, -EINVAL, 1},
	    {"ufrag of another endpoint", r_ufrag_taken, -EEXIST, 2},
	    {"ufrag twice in one transaction", r_ufrag_twice, -EEXIST, 2},
	    {"slot holds another generation", r_other_generation, -EEXIST, 1},
	    {"track of no endpoint", r_track_of_nobody, -ENOENT, 1},
	    {"track of an older endpoint", r_track_of_stale, -ESTALE, 1},
	    {"track changes publisher", r_track_moves, -EINVAL, 1},
	    {"endpoint changes worker", r_worker_moves, -EINVAL, 1},
	    {"subscription changes track", r_sub_moves, -EINVAL, 1},
	    {"subscription of no track", r_sub_of_no_track, -ENOENT, 1},
	    {"SSRC of another subscription", r_ssrc_taken, -EEXIST, 1},
	    {"SSRC twice in one transaction", r_ssrc_twice, -EEXIST, 2},
	    {"keys of no endpoint", r_keys_of_nobody, -ENOENT, 1},
	    {"keys of an older endpoint", r_keys_stale, -ESTALE, 1},
	    {"removal of an older endpoint", r_del_stale, -ESTALE, 1},
	    {"reference to what was just removed", r_after_del, -ENOENT, 2},
	    {"the same generation again", r_del_and_back, -ESTALE, 2},
	    {"the same generation of what went along", r_cascaded_back, -ESTALE, 2},
	};
	size_t n = dp_slabs.head->total;
	uint8_t *before = malloc(n);

	call();
	memcpy(before, dp_slabs.head, n);
	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct sh_msg_committed out;

		begin();
		endpoint(E(20, 1), 0, "good");
		t[i].stage();
		endpoint(E(21, 1), 0, "fine");
		out = commit_as(false, staged);
		if (out.error != t[i].error || out.record != t[i].record)
			fail_msg("%s: error %d record %u", t[i].name, out.error, out.record);
		assert_memory_equal(before, dp_slabs.head, n);
		assert_consistent();
	}
	free(before);
}

static void counts_and_order(void **state)
{
	struct sh_msg_commit c = {.txn = 77};
	struct sh_msg_committed out;

	dp_stage_commit(&c, &out); // no BEGIN
	assert_int_equal(out.error, -EPROTO);
	begin();
	endpoint(E(0, 1), 0, "aaaa");
	assert_int_equal(commit_as(false, 2).error, -EPROTO); // one was lost
	begin();
	endpoint(E(0, 1), 0, "aaaa");
	txn++;
	assert_int_equal(commit(false), -EPROTO); // another transaction's
	begin();
	endpoint(E(0, 1), 0, "aaaa");
	dp_stage_refuse(-EMSGSIZE); // one was malformed
	staged++;
	endpoint(E(1, 1), 0, "bbbb");
	out = commit_as(false, staged);
	assert_int_equal(out.error, -EMSGSIZE);
	assert_int_equal(out.record, 1);
	begin();
	endpoint(E(0, 1), 0, "aaaa");
	begin(); // the first one is forgotten
	endpoint(E(1, 1), 0, "bbbb");
	assert_int_equal(commit(false), 0);
	assert_int_equal(dp_slabs.endpoint[0].state, SH_FREE);
	begin();
	assert_int_equal(commit(false), 0); // an empty one is fine
	assert_consistent();
}

static void removal_is_idempotent(void **state)
{
	call();
	begin();
	del(E(0, 1), SH_DEL_ENDPOINT);
	del(E(0, 1), SH_DEL_TRACK); // went with it
	del(E(1, 1), SH_DEL_SUB);
	del(E(30, 1), SH_DEL_SUB); // never was
	assert_int_equal(commit(false), 0);
	begin();
	del(E(0, 1), SH_DEL_ENDPOINT);
	assert_int_equal(commit(false), 0);
	assert_consistent();
}

static void a_slot_is_filled_again(void **state)
{
	struct dp_srtp_session *old;

	call();
	old = dp_session(0);
	dp_slabs.sub[0].packets = 5;
	begin();
	del(E(0, 1), SH_DEL_ENDPOINT);
	endpoint(E(0, 2), 1, "cccc"); // and on another worker
	keys(E(0, 2), 30);
	track(E(0, 2), E(0, 2));
	sub(E(0, 2), E(0, 2), E(1, 1));
	assert_int_equal(commit(false), 0);
	assert_consistent();
	assert_int_equal(dp_endpoint_by_ufrag((const uint8_t *)"aaaa", 4), -1);
	assert_int_equal(dp_slabs.endpoint[0].set.worker, 1);
	assert_int_equal(dp_slabs.sub[0].packets, 0);
	assert_int_equal(dp_slabs.sub[1].state, SH_FREE);
	assert_int_equal(forgotten[DP_KIND_ENDPOINT], 1);
	assert_ptr_not_equal(dp_session(0), old);
	/* Removed in one transaction, filled in the next, before anything was reaped. */
	begin();
	del(E(0, 2), SH_DEL_ENDPOINT);
	assert_int_equal(commit(false), 0);
	begin();
	endpoint(E(0, 3), 0, "dddd");
	assert_int_equal(commit(false), 0);
	assert_int_equal(forgotten[DP_KIND_ENDPOINT], 2);
	assert_consistent();
}

static void changes_in_place(void **state)
{
	struct sh_msg_endpoint_set restart = endpoint_of(E(0, 1), 0, "rest");
	struct dp_srtp_session *s;

	call();
	s = dp_session(0);
	dp_slabs.endpoint[0].ice = SH_ICE_CONNECTED;
	dp_slabs.sub[0].tx_index = 0x30005;
	begin();
	record(SH_MSG_ENDPOINT_SET, &restart, sizeof(restart)); // ICE restart
	track_flags(E(0, 1), E(0, 1), SH_TRACK_MUTED);
	sub_ssrc(E(0, 1), E(0, 1), E(1, 1), 100, 333);
	assert_int_equal(commit(false), 0);
	assert_consistent();
	assert_int_equal(dp_endpoint_by_ufrag((const uint8_t *)"aaaa", 4), -1);
	assert_int_equal(dp_endpoint_by_ufrag((const uint8_t *)"rest", 4), 0);
	assert_int_equal(dp_slabs.endpoint[0].ice, SH_ICE_CONNECTED);
	assert_int_equal(dp_slabs.sub[0].tx_index, 0x30005);
	assert_int_equal(dp_slabs.track[0].set.flags, SH_TRACK_MUTED);
	assert_ptr_equal(dp_session(0), s);
	/* Two endpoints swap their ufrags: each is free when all is done. */
	begin();
	endpoint(E(0, 1), 0, "bbbb");
	endpoint(E(1, 1), 1, "rest");
	assert_int_equal(commit(false), 0);
	assert_consistent();
	/* Two subscriptions of one endpoint swap SSRC and RTX SSRC. */
	begin();
	sub_ssrc(E(0, 1), E(0, 1), E(1, 1), 333, 100);
	assert_int_equal(commit(false), 0);
	assert_consistent();
}

static void new_keys(void **state)
{
	struct sh_msg_endpoint_keys k = keys_of(E(0, 1), 10);
	struct dp_srtp_session *s;

	call();
	s = dp_session(0);
	begin();
	record(SH_MSG_ENDPOINT_KEYS, &k, sizeof(k)); // the same
	assert_int_equal(commit(false), 0);
	assert_ptr_equal(dp_session(0), s);
	assert_int_equal(rekeyed, 0);
	dp_slabs.sub[1].tx_index = 0x3abcd;
	dp_slabs.sub[1].seq_offset = 0x3abcd - 0x11000;
	dp_slabs.track[0].media[0].crypto.started = 1;
	dp_slabs.track[0].media[0].crypto.index = 0x21234;
	dp_slabs.endpoint[0].srtcp_tx_index = 9;
	begin();
	keys(E(0, 1), 99);
	assert_int_equal(commit(false), 0);
	assert_int_equal(rekeyed, 1);
	assert_ptr_not_equal(dp_session(0), s);
	/* A new cryptographic context: roll-over counters begin at 0, sequence numbers go on. */
	assert_int_equal(dp_slabs.sub[1].tx_index, 0xabcd);
	assert_int_equal(0x11000 + dp_slabs.sub[1].seq_offset, 0xabcd);
	assert_int_equal(dp_slabs.track[0].media[0].crypto.started, 0);
	assert_int_equal(dp_slabs.endpoint[0].srtcp_tx_index, 0);
	assert_consistent();
	dp_reap_all();
	assert_int_equal(s->profile, SH_SRTP_NONE); // wiped
	/* Taken away. */
	memset(&k, 0, sizeof(k));
	k.id = E(0, 1);
	if (sh_msg_check(SH_MSG_ENDPOINT_KEYS, &k, sizeof(k)) == 0) {
		begin();
		record(SH_MSG_ENDPOINT_KEYS, &k, sizeof(k));
		assert_int_equal(commit(false), 0);
		assert_null(dp_session(0));
		assert_consistent();
	}
}

static void full_replay(void **state)
{
	struct dp_srtp_session *s;
	uint8_t *before = malloc(sizeof(struct sh_endpoint));
	const struct dp_fanout *fan;

	call();
	begin();
	endpoint(E(2, 1), 0, "left");
	track(E(2, 1), E(2, 1));
	sub(E(2, 1), E(2, 1), E(0, 1));
	assert_int_equal(commit(false), 0);
	s = dp_session(0);
	fan = dp_fanout(0, 1);
	dp_slabs.endpoint[0].rx_packets = 1234;
	memcpy(before, &dp_slabs.endpoint[0], sizeof(struct sh_endpoint));
	/* The new daemon says the call again, knows nothing of endpoint 2, and something else of
	 * slot 3. */
	begin();
	endpoint(E(0, 1), 0, "aaaa");
	keys(E(0, 1), 10);
	endpoint(E(1, 1), 1, "bbbb"); // without its keys: they stay
	track(E(0, 1), E(0, 1));
	track(E(1, 1), E(1, 1));
	sub_ssrc(E(0, 1), E(0, 1), E(1, 1), 100, 101);
	sub_ssrc(E(1, 1), E(1, 1), E(0, 1), 100, 101);
	endpoint(E(3, 1), 0, "left"); // the ufrag of what goes
	assert_int_equal(commit(true), 0);
	assert_consistent();
	assert_memory_equal(before, &dp_slabs.endpoint[0], sizeof(struct sh_endpoint));
	assert_ptr_equal(dp_session(0), s);
	assert_non_null(dp_session(1));
	assert_ptr_equal(dp_fanout(0, 1), fan); // not even rebuilt
	assert_int_equal(dp_slabs.endpoint[2].state, SH_DEAD);
	assert_int_equal(rekeyed, 0);
	/* Another generation in a replay replaces; what was not named may not be referred to. */
	begin();
	endpoint(E(0, 7), 0, "aaaa");
	track(E(0, 1), E(0, 1));
	assert_int_equal(commit(true), -ESTALE);
	begin();
	endpoint(E(0, 7), 0, "aaaa");
	assert_int_equal(commit(true), 0);
	assert_consistent();
	assert_int_equal(dp_slabs.endpoint[0].rx_packets, 0);
	assert_int_equal(dp_slabs.endpoint[1].state != SH_LIVE, 1);
	begin();
	assert_int_equal(commit(true), 0); // of nothing
	dp_reap_all();
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		assert_int_equal(dp_slabs.endpoint[i].state, SH_FREE);
	assert_consistent();
	free(before);
}

static void taken_over(void **state)
{
	struct sh_addr remote = {.family = 4, .port = 5000, .ip = {10, 0, 0, 1}}, local = remote;
	struct dp_table_report r;

	call();
	dp_tuple_set(&workers[0], 0, &local, &remote);
	begin();
	endpoint(E(2, 1), 0, "gone");
	track(E(2, 1), E(2, 1));
	sub(E(2, 1), E(2, 1), E(1, 1));
	assert_int_equal(commit(false), 0);
	/* A crash in the middle of things. */
	atomic_store(&dp_slabs.endpoint[2].state, SH_DEAD);
	dp_slabs.track[5].set.id = E(5, 1);
	dp_slabs.track[5].set.endpoint = E(40, 1);
	atomic_store(&dp_slabs.track[5].state, SH_LIVE);
	dp_table_free();
	sh_slabs_close(&dp_slabs);
	{
		struct dp_table_cfg cfg = {.workers = WORKERS,
		                           .backend = dp_srtp_backend_find("libsrtp2"),
		                           .wait = do_ops};
		bool created;

		assert_int_equal(
		    sh_slabs_create(&dp_slabs, path, ENDPOINTS, TRACKS, SUBS, &created), 0);
		assert_false(created);
		assert_int_equal(dp_table_init(&cfg), 0);
		assert_int_equal(dp_table_rebuild(&r), 0);
	}
	assert_int_equal(r.endpoints, 2);
	assert_int_equal(r.tracks, 2);
	assert_int_equal(r.subs, 2);
	assert_int_equal(r.dropped, 4);
	assert_consistent();
	assert_non_null(dp_session(0));
	assert_int_equal(dp_endpoint_by_tuple(&workers[0], &remote), 0);
	assert_int_equal(dp_endpoint_by_tuple(&workers[1], &remote), -1);
	assert_int_equal(dp_slabs.endpoint[2].state, SH_FREE);
	/* And it goes on from there. */
	begin();
	del(E(1, 1), SH_DEL_ENDPOINT);
	endpoint(E(2, 2), 1, "more");
	assert_int_equal(commit(false), 0);
	assert_consistent();
}

static void tuples(void **state)
{
	struct sh_addr a = {.family = 4, .port = 1, .ip = {192, 0, 2, 1}}, local = a, b = a;

	begin();
	for (unsigned i = 0; i < ENDPOINTS; i++) {
		char ufrag[8];

		snprintf(ufrag, sizeof(ufrag), "uf%02u", i);
		endpoint(E(i, 1), 0, ufrag);
	}
	assert_int_equal(commit(false), 0);
	srandom(1);
	for (unsigned n = 0; n < 20000; n++) {
		uint32_t i = (uint32_t)random() % ENDPOINTS;
		int at;

		a.port = (uint16_t)(random() % 200 + 1);
		if (random() % 4 == 0)
			dp_tuple_clear(&workers[0], i);
		else
			assert_int_equal(dp_tuple_set(&workers[0], i, &local, &a), 0);
		/* Whoever has an address by the table has it by the slab; nobody is lost. */
		b.port = (uint16_t)(random() % 200 + 1);
		at = dp_endpoint_by_tuple(&workers[0], &b);
		if (at >= 0) {
			assert_memory_equal(&dp_slabs.endpoint[at].remote, &b, sizeof(b));
		} else {
			/* At most those whose address another one took. */
			for (unsigned k = 0; k < ENDPOINTS; k++)
				assert_true(dp_slabs.endpoint[k].remote.port != b.port || k != i ||
				            dp_slabs.endpoint[k].remote.family == 0 ||
				            a.port != b.port);
		}
	}
	a.port = 777;
	dp_tuple_set(&workers[0], 3, &local, &a);
	dp_tuple_set(&workers[0], 4, &local, &a); // the newest authenticated one has it
	assert_int_equal(dp_endpoint_by_tuple(&workers[0], &a), 4);
	dp_tuple_clear(&workers[0], 3);
	assert_int_equal(dp_endpoint_by_tuple(&workers[0], &a), 4);
	b.family = 0;
	assert_int_equal(dp_tuple_set(&workers[0], 4, &local, &b), -EINVAL);
}

static void a_room(void **state)
{
	enum { PEOPLE = 40 };
	uint32_t s = 0;

	begin();
	for (uint32_t i = 0; i < PEOPLE; i++) {
		char ufrag[8];

		snprintf(ufrag, sizeof(ufrag), "room%02u", i);
		endpoint(E(i, 1), i % WORKERS, ufrag);
		track(E(i, 1), E(i, 1));
	}
	for (uint32_t i = 0; i < PEOPLE; i++)
		for (uint32_t k = 0; k < PEOPLE; k++)
			if (i != k)
				sub(E(s++, 1), E(i, 1), E(k, 1));
	assert_int_equal(commit(false), 0);
	assert_consistent();
	for (uint32_t i = 0; i < PEOPLE; i++)
		assert_int_equal(length(dp_fanout(i, 0)) + length(dp_fanout(i, 1)), PEOPLE - 1);
	begin();
	for (uint32_t i = 0; i < PEOPLE; i += 2)
		del(E(i, 1), SH_DEL_ENDPOINT);
	assert_int_equal(commit(false), 0);
	assert_consistent();
	for (uint32_t i = 1; i < PEOPLE; i += 2)
		assert_int_equal(length(dp_endpoint_subs(i)), PEOPLE / 2 - 1);
	dp_reap_all();
	begin();
	s = SUBS / 2;
	for (uint32_t i = 0; i < PEOPLE; i += 2) {
		char ufrag[8];

		snprintf(ufrag, sizeof(ufrag), "new%02u", i);
		endpoint(E(i, 2), 0, ufrag);
		for (uint32_t k = 1; k < PEOPLE; k += 2)
			sub(E(s++, 1), E(k, 1), E(i, 2));
	}
	assert_int_equal(commit(false), 0);
	assert_consistent();
}

/* Whichever allocation fails, a transaction is applied whole or not at all, and the next one works.
 */
static void out_of_memory(void **state)
{
	unsigned applied = 0, refused = 0;

	call();
	dp_reap_all();
	for (long n = 0; n < 60; n++) {
		uint32_t g = 2 + applied;
		struct sh_msg_committed out;
		int err;

		begin();
		fail_at = n;
		del(E(0, g - 1), SH_DEL_ENDPOINT);
		endpoint(E(0, g), 0, "aaaa");
		keys(E(0, g), 40);
		track(E(0, g), E(0, g));
		sub(E(0, g), E(0, g), E(1, 1));
		sub(E(1, g), E(1, 1), E(0, g));
		out = commit_as(false, staged);
		fail_at = -1;
		err = out.error;
		assert_consistent();
		if (err == 0) {
			applied++;
			assert_int_equal(dp_slabs.endpoint[0].set.id, E(0, g));
		} else {
			refused++;
			assert_int_equal(err, -ENOMEM);
			assert_int_equal(dp_slabs.endpoint[0].set.id, E(0, g - 1));
			assert_int_equal(dp_slabs.endpoint[0].state, SH_LIVE);
		}
		dp_reap_all();
	}
	assert_in_range(refused, 10, 55);
	assert_in_range(applied, 5, 50);
}

/* A room of two publishers, with two slots, one of them with a source, and a subscription to each. */
static void room_with_slots(void)
{
	call();
	begin();
	member(E(10, 1), E(0, 1), 7);
	member(E(11, 1), E(1, 1), 7);
	slot(E(12, 1), 7, 0);
	slot(E(13, 1), 7, 1);
	sub_ssrc(E(10, 1), E(12, 1), E(0, 1), 200, 0);
	sub_ssrc(E(11, 1), E(13, 1), E(1, 1), 200, 0);
	assert_int_equal(commit(false), 0);
	dp_slot_set(12, 10);
	assert_consistent();
}

static int one(void (*what)(sh_id, uint32_t, uint8_t), sh_id id, uint32_t group, uint8_t at)
{
	begin();
	what(id, group, at);
	return commit(false);
}

static void slots(void **state)
{
	struct dp_group *g;
	uint32_t turn;

	room_with_slots();
	g = dp_group_find(7);
	assert_int_equal(g->audio.n, 2);
	assert_int_equal(g->audio_slots, 2);
	assert_int_equal(dp_source_of(12), 10);
	assert_int_equal(dp_source_of(13), -1);
	assert_int_equal(dp_source_of(10), 10);
	assert_int_equal(one(slot, E(14, 1), 7, 1), -EEXIST); // the place is taken
	assert_int_equal(one(slot, E(13, 1), 7, 2), -EINVAL); // fixed for life
	assert_int_equal(one(slot, E(13, 1), 8, 1), -EINVAL);
	begin();
	slot(E(14, 1), 9, 3);
	slot(E(15, 1), 9, 3); // twice in one transaction
	assert_int_equal(commit(false), -EEXIST);
	begin();
	member(E(10, 1), E(0, 1), 8);
	assert_int_equal(commit(false), -EINVAL);
	begin();
	track_of(E(10, 1), 0, 7, SH_TRACK_SLOT, 2); // a publisher's does not become one
	assert_int_equal(commit(false), -EINVAL);
	assert_consistent();
	turn = dp_slot_turn(12);
	dp_slot_set(12, 11); // one for the other
	assert_int_equal(dp_slabs.track[10].follower, 0);
	assert_int_not_equal(dp_slot_turn(12), turn);
	assert_consistent();
	begin(); // the place of one that goes, in the same transaction
	del(E(12, 1), SH_DEL_TRACK);
	slot(E(14, 1), 7, 0);
	assert_int_equal(commit(false), 0);
	dp_reap_all();
	assert_int_equal(dp_slabs.track[11].follower, 0);
	assert_int_equal(dp_slabs.sub[10].state, SH_FREE); // went with its slot
	assert_int_equal(dp_slabs.track[14].source, 0);
	assert_consistent();
	dp_slot_set(14, 11);
	begin(); // with its publisher
	del(E(1, 1), SH_DEL_ENDPOINT);
	assert_int_equal(commit(false), 0);
	dp_reap_all();
	assert_int_equal(dp_slabs.track[14].source, 0);
	assert_int_equal(g->audio.n, 1);
	assert_consistent();
	begin();
	assert_int_equal(commit(true), 0); // nothing is named, so nothing is left
	dp_reap_all();
	assert_int_equal(dp_groups(), 0);
	assert_consistent();
}

static void slots_outlive(void **state)
{
	room_with_slots();
	detach();
	attach();
	assert_consistent();
	assert_int_equal(dp_source_of(12), 10);
	assert_int_equal(length(dp_fanout(12, 0)) + length(dp_fanout(12, 1)), 1);
	dp_slabs.track[11].follower = E(12, 1); // half done when it died: two in one slot
	dp_slabs.track[13].source = E(11, 1);
	dp_slabs.track[10].source = E(11, 1);
	detach();
	attach();
	assert_consistent();
	assert_int_equal(dp_slabs.track[11].follower, 0);
	assert_int_equal(dp_source_of(13), -1);
	begin(); // the same again by a replay, which touches nothing
	endpoint(E(0, 1), 0, "aaaa");
	keys(E(0, 1), 10);
	slot(E(13, 1), 7, 1);
	assert_int_equal(commit(true), 0);
	dp_reap_all();
	assert_int_equal(dp_group_find(7)->audio_slots, 2);
	assert_int_equal(dp_group_find(7)->audio.n, 0);
	assert_consistent();
}

static void key_frames(void **state)
{
	assert_int_equal(dp_keyframe_take(3), 0);
	dp_keyframe_request(3, 0);
	dp_keyframe_request(3, 2);
	dp_keyframe_request(3, SH_MAX_LAYERS); // no such layer
	dp_keyframe_request(TRACKS, 0);
	assert_int_equal(dp_keyframe_take(3), 5);
	assert_int_equal(dp_keyframe_take(3), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_call_comes_and_goes),
	    TEST(nothing_is_wiped_before_its_owner_forgot_it),
	    TEST(refusals),
	    TEST(counts_and_order),
	    TEST(removal_is_idempotent),
	    TEST(a_slot_is_filled_again),
	    TEST(changes_in_place),
	    TEST(new_keys),
	    TEST(full_replay),
	    TEST(taken_over),
	    TEST(tuples),
	    TEST(a_room),
	    TEST(out_of_memory),
	    TEST(slots), TEST(slots_outlive), TEST(key_frames),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
