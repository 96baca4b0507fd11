/* Workers that read everything they can reach, while control adds, changes, removes and refills.
 * What is freed or wiped too early shows as a wrong generation here, and as a use after free in the
 * build with sanitizers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "dataplane/srtp/srtp.h"
#include "dataplane/table/rcu.h"
#include "dataplane/table/table.h"

enum { ENDPOINTS = 16, TRACKS = 16, SUBS = 256, WORKERS = 2, COMMITS = 1000 };

static struct dp_worker workers[WORKERS];
static atomic_bool stop;
static atomic_ulong walks, seen, wrong;
static uint32_t generation[ENDPOINTS];
static bool present[ENDPOINTS];
static uint64_t txn;
static uint32_t staged;

/* ---- a worker ---- */

static void run_ops(unsigned w)
{
	const struct dp_op *op;

	while ((op = dp_ops_peek(dp_table_ops(w)))) {
		if (op->type == DP_OP_FORGET_ENDPOINT)
			dp_tuple_clear(&workers[w], op->index);
		else if (op->type == DP_OP_REKEY)
			dp_table_rekey(op->index, op->arg);
		dp_ops_done(dp_table_ops(w));
	}
}

/* Within a walk whatever a list leads to is an entry that was there when the walk began: live, or
 * dying but whole. */
static void look_at_endpoint(unsigned w, uint32_t e)
{
	const struct dp_fanout *tracks = dp_endpoint_tracks(e), *subs = dp_endpoint_subs(e);
	const struct dp_srtp_session *s = dp_session(e);
	const struct dp_path *p = dp_path(e);
	struct sh_addr a = {.family = 4, .port = (uint16_t)(e + 1), .ip = {10}};

	wrong += dp_slabs.endpoint[e].set.id == 0 || dp_slabs.endpoint[e].set.worker != w;
	wrong += s && s->profile != SH_SRTP_AEAD_AES_128_GCM;
	wrong += p && p->mtu != 1000 + e;
	for (uint32_t i = 0; tracks && i < tracks->n; i++)
		wrong += SH_ID_INDEX(dp_slabs.track[tracks->sub[i]].set.endpoint) != e;
	for (uint32_t i = 0; subs && i < subs->n; i++) {
		const struct sh_sub *sub = &dp_slabs.sub[subs->sub[i]];
		bool rtx;
		int found = dp_sub_by_ssrc(e, sub->set.ssrc, &rtx);

		wrong += SH_ID_INDEX(sub->set.endpoint) != e;
		wrong += found >= 0 && (uint32_t)found != subs->sub[i];
		seen++;
	}
	dp_tuple_set(&workers[w], e, &a, &a);
	if (dp_slabs.endpoint[e].state == SH_LIVE)
		dp_endpoint_by_tuple(&workers[w], &a);
}

static void walk(unsigned w)
{
	const struct dp_fanout *own = dp_worker_endpoints(w);

	for (uint32_t i = 0; own && i < own->n; i++)
		look_at_endpoint(w, own->sub[i]);
	for (uint32_t t = 0; t < TRACKS; t++) {
		const struct dp_fanout *f = dp_fanout(t, w);

		for (uint32_t i = 0; f && i < f->n; i++)
			wrong += SH_ID_INDEX(dp_slabs.sub[f->sub[i]].set.track) != t;
	}
	for (uint32_t e = 0; e < ENDPOINTS; e++) {
		char ufrag[16];
		int n = snprintf(ufrag, sizeof(ufrag), "frag%03u", e), at;

		at = dp_endpoint_by_ufrag((const uint8_t *)ufrag, (uint32_t)n);
		wrong += at >= 0 && (uint32_t)at != e;
	}
}

static void *worker(void *arg)
{
	unsigned w = (unsigned)(uintptr_t)arg;

	urcu_qsbr_register_thread();
	while (!atomic_load(&stop)) {
		walk(w);
		dp_rcu_quiescent();
		run_ops(w);
		walks++;
	}
	run_ops(w);
	urcu_qsbr_unregister_thread();
	return NULL;
}

/* ---- control ---- */

static void wait_a_little(void *arg)
{
	nanosleep(&(struct timespec){.tv_nsec = 10000}, NULL);
}

static void record(unsigned type, const void *body, uint32_t len)
{
	assert_int_equal(sh_msg_check(type, body, len), 0);
	dp_stage_record(type, body, len);
	staged++;
}

static void set_endpoint(uint32_t i)
{
	struct sh_msg_endpoint_set m = {.id = SH_ID(i, generation[i]),
	                                .worker = (uint8_t)(i % WORKERS),
	                                .pwd_len = 24,
	                                .rtcp_ssrc = 1,
	                                .cname_len = 1};
	struct sh_msg_endpoint_keys k = {.id = m.id, .profile = SH_SRTP_AEAD_AES_128_GCM};

	m.ufrag_len = (uint8_t)snprintf((char *)m.ufrag, sizeof(m.ufrag), "frag%03u", i);
	memset(m.pwd, 'p', 24);
	m.cname[0] = 'c';
	memset(k.rx.bytes, (int)random(), 28);
	record(SH_MSG_ENDPOINT_SET, &m, sizeof(m));
	record(SH_MSG_ENDPOINT_KEYS, &k, sizeof(k));
}

static void set_track(uint32_t i)
{
	struct sh_msg_track_set m = {.id = SH_ID(i, generation[i]),
	                             .endpoint = SH_ID(i, generation[i]),
	                             .kind = SH_KIND_AUDIO,
	                             .layers = 1,
	                             .mid_len = 1,
	                             .mid = "0"};

	for (unsigned s = 0; s < SH_MAX_PTS; s++)
		m.pt[s] = (struct sh_track_pt){.pt = 255, .apt_slot = 255};
	m.pt[0] = (struct sh_track_pt){
	    .pt = 111, .codec = SH_CODEC_OPUS, .apt_slot = 255, .clock_hz = 48000};
	record(SH_MSG_TRACK_SET, &m, sizeof(m));
}

/* Slot t * ENDPOINTS + e is the subscription of e to t. */
static void set_sub(uint32_t t, uint32_t e)
{
	uint32_t i = t * ENDPOINTS + e;
	struct sh_msg_sub_set m = {.id = SH_ID(i, (generation[t] * 61 + generation[e]) % 4095 + 1),
	                           .track = SH_ID(t, generation[t]),
	                           .endpoint = SH_ID(e, generation[e]),
	                           .ssrc = 1 + t,
	                           .mid_len = 1,
	                           .mid = "1"};

	memset(m.pt, 255, sizeof(m.pt));
	record(SH_MSG_SUB_SET, &m, sizeof(m));
}

static void churn(uint32_t i)
{
	struct sh_msg_begin b = {.txn = ++txn};
	struct sh_msg_commit c = {.txn = txn};
	struct sh_msg_committed out;
	bool was = present[i];

	staged = 0;
	dp_stage_begin(b.txn);
	if (was) {
		struct sh_msg_del d = {.id = SH_ID(i, generation[i]), .what = SH_DEL_ENDPOINT};

		record(SH_MSG_DEL, &d, sizeof(d));
	}
	/* Gone, or back at once with the next generation, in the same slots. */
	present[i] = !was || random() % 2;
	if (present[i]) {
		generation[i] = generation[i] % 4000 + 1;
		set_endpoint(i);
		set_track(i);
		for (uint32_t k = 0; k < ENDPOINTS; k++) {
			if (!present[k] || k == i)
				continue;
			set_sub(i, k);
			set_sub(k, i);
		}
	}
	c.records = staged;
	dp_stage_commit(&c, &out);
	assert_int_equal(out.error, 0);
	if (present[i]) {
		struct dp_path *p = dp_path_new();

		p->mtu = (uint16_t)(1000 + i);
		dp_path_set(i, p);
	}
	dp_reap();
}

static void rekey(uint32_t i)
{
	struct sh_msg_commit c = {.txn = ++txn, .records = 2};
	struct sh_msg_committed out;

	if (!present[i])
		return;
	dp_stage_begin(txn);
	set_endpoint(i);
	dp_stage_commit(&c, &out);
	assert_int_equal(out.error, 0);
	dp_reap();
}

static void everything_at_once(void **state)
{
	struct dp_table_cfg cfg = {
	    .workers = WORKERS, .backend = dp_srtp_backend_find("libsrtp2"), .wait = wait_a_little};
	pthread_t thread[WORKERS];
	char path[64];
	bool created;

	snprintf(path, sizeof(path), "/tmp/table_stress.%d", getpid());
	assert_int_equal(sh_slabs_create(&dp_slabs, path, ENDPOINTS, TRACKS, SUBS, &created), 0);
	unlink(path);
	assert_int_equal(dp_table_init(&cfg), 0);
	srandom(7);
	for (unsigned w = 0; w < WORKERS; w++) {
		workers[w].index = w;
		assert_int_equal(pthread_create(&thread[w], NULL, worker, (void *)(uintptr_t)w), 0);
	}
	for (unsigned n = 0; n < COMMITS; n++) {
		if (random() % 8)
			churn((uint32_t)random() % ENDPOINTS);
		else
			rekey((uint32_t)random() % ENDPOINTS);
	}
	dp_reap_all();
	atomic_store(&stop, true);
	for (unsigned w = 0; w < WORKERS; w++)
		pthread_join(thread[w], NULL);
	print_message("# %lu walks, %lu subscriptions looked at\n", walks, seen);
	assert_int_equal(wrong, 0);
	assert_true(seen > 1000);
	dp_table_free();
	sh_slabs_close(&dp_slabs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(everything_at_once)};

	return cmocka_run_group_tests_name("table_stress", tests, NULL, NULL);
}
