/* ns per packet of dataplane/srtp: profile, backend, direction, payload size, sessions.
 *
 * floor      the cipher alone: direct calls of the ipsec_mb library on one hot key, as many packets
 *            side by side as in a batch; the other rows' ratios are taken to it
 * ipsec_mb   dp_srtp_protect (out of place from one shared payload, as a fan-out does), unprotect
 * libsrtp2   the same over the reference backend; up to 1,000 sessions
 * openssl    EVP on one hot key, for scale
 *
 * Every batch takes other sessions: all of them in a random order before any comes again. Only the
 * calls are timed; packets to unprotect are made in between. */
#include "bench/bench.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <intel-ipsec-mb.h>
#include <openssl/evp.h>
#include "dataplane/srtp/srtp.h"

enum { HDR = 20, BUF = 2048, BATCH_MAX = 256, SESSIONS_MAX = 50000 };

static const struct {
	uint16_t id;
	const char *name;
	bool gcm, big;
} profiles[] = {
    {SH_SRTP_AEAD_AES_128_GCM, "AEAD_AES_128_GCM", true, false},
    {SH_SRTP_AEAD_AES_256_GCM, "AEAD_AES_256_GCM", true, true},
    {SH_SRTP_AES128_CM_SHA1_80, "AES_CM_SHA1_80", false, false},
    {SH_SRTP_AES128_CM_SHA1_32, "AES_CM_SHA1_32", false, false},
};

static struct bench *bench;
static unsigned batch_size;
static uint8_t (*buf)[BUF];
static uint8_t *payload;
static uint32_t *order; // a permutation of the sessions
static uint64_t seed = 1;

static void shuffle(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		order[i] = i;
	for (unsigned i = n; i > 1; i--) {
		unsigned j = (unsigned)(bench_random(&seed) % i);
		uint32_t t = order[i - 1];

		order[i - 1] = order[j];
		order[j] = t;
	}
}

static void header(uint8_t *p, uint64_t index)
{
	static const uint8_t h[HDR] = {0x90, 96, 0,    0,    0, 0, 0,    0, 0, 0,
	                               0,    7,  0xbe, 0xde, 0, 1, 0x10, 1, 0, 0};

	memcpy(p, h, HDR);
	p[2] = (uint8_t)(index >> 8);
	p[3] = (uint8_t)index;
}

/* ---- dp_srtp over a backend ---- */

struct rig {
	const struct dp_srtp_backend *backend;
	struct dp_srtp_batch *batch, *maker; // the maker's packets are unprotected: always ipsec_mb
	struct dp_srtp_session *send, *receive;
	struct dp_srtp_rx *ear;
	uint64_t count; // packets so far: every session sees its index grow by one
};

static void rig_sessions(struct rig *r, uint16_t profile, unsigned n, bool wipe)
{
	const struct dp_srtp_backend *maker = dp_srtp_backend_find("ipsec_mb");

	for (unsigned i = 0; i < n; i++) {
		struct sh_srtp_secret key[2];

		if (wipe) {
			dp_srtp_session_wipe(r->backend, &r->receive[i]);
			dp_srtp_session_wipe(maker, &r->send[i]);
			continue;
		}
		for (unsigned k = 0; k < sizeof(key); k++)
			((uint8_t *)key)[k] = (uint8_t)bench_random(&seed);
		if (dp_srtp_session_init(r->backend, &r->receive[i], profile, &key[0], &key[1]) ||
		    dp_srtp_session_init(maker, &r->send[i], profile, &key[1], &key[0]))
			abort();
		(void)dp_srtp_session_receive(r->backend, &r->receive[i], &r->ear[i]);
	}
}

static void fill_ops(struct dp_srtp_op *op, struct dp_srtp_session *sessions, uint64_t count,
                     unsigned n_sessions, unsigned size)
{
	for (unsigned i = 0; i < batch_size; i++) {
		op[i] = (struct dp_srtp_op){
		    .session = &sessions[order[(count + i) % n_sessions]],
		    .src = payload,
		    .dst = buf[i],
		    .index = (count + i) / n_sessions,
		    .len = (uint16_t)(HDR + size),
		    .hdr_len = HDR,
		};
		header(buf[i], op[i].index);
	}
}

/* One run over `packets` packets; ns each. */
static double rig_run(struct rig *r, unsigned n_sessions, unsigned size, unsigned packets,
                      bool protect)
{
	struct dp_srtp_op op[BATCH_MAX];
	uint64_t ticks = 0, t;
	unsigned done, at;

	for (at = 0; at < packets; at += batch_size, r->count += batch_size) {
		if (protect) {
			/* the backend's tx keys: what it sends with is in receive[] */
			fill_ops(op, r->receive, r->count, n_sessions, size);
			t = bench_ticks();
			done = dp_srtp_protect(r->batch, op, batch_size);
		} else {
			fill_ops(op, r->send, r->count, n_sessions, size);
			if (dp_srtp_protect(r->maker, op, batch_size) != batch_size)
				abort();
			for (unsigned i = 0; i < batch_size; i++) {
				op[i].session = &r->receive[op[i].session - r->send];
				op[i].len = op[i].out_len;
			}
			t = bench_ticks();
			done = dp_srtp_unprotect(r->batch, op, batch_size);
		}
		ticks += bench_ticks() - t;
		if (done != batch_size)
			abort();
	}
	return bench_ticks_to_ns((double)ticks) / at;
}

/* ---- floors ---- */

static struct {
	IMB_MGR *mgr;
	struct {
		_Alignas(64) struct gcm_key_data key;
	} gcm[2];
	_Alignas(64) uint8_t aes[176], aes_dec[176];
	_Alignas(64) uint8_t
	    iv[BATCH_MAX][16]; // made before: a fresh one would stall the cipher's first load
	uint8_t ipad[20], opad[20], digest[BATCH_MAX][20];
	IMB_JOB job[BATCH_MAX];
} raw;

static void raw_init(void)
{
	static const uint8_t key[32] = {1, 2, 3};

	raw.mgr = alloc_mb_mgr(0);
	init_mb_mgr_auto(raw.mgr, NULL);
	IMB_AES128_GCM_PRE(raw.mgr, key, &raw.gcm[0].key);
	IMB_AES256_GCM_PRE(raw.mgr, key, &raw.gcm[1].key);
	IMB_AES_KEYEXP_128(raw.mgr, key, raw.aes, raw.aes_dec);
	for (unsigned i = 0; i < BATCH_MAX; i++)
		raw.iv[i][11] = (uint8_t)i;
}

static void raw_gcm(bool big, unsigned size, bool protect)
{
	struct gcm_context_data ctx;
	uint8_t tag[16];

	for (unsigned i = 0; i < batch_size; i++) {
		uint8_t *p = buf[i] + HDR;
		const uint8_t *from = protect ? payload : p, *iv = raw.iv[i];

		if (big && protect)
			IMB_AES256_GCM_ENC(raw.mgr, &raw.gcm[1].key, &ctx, p, from, size, iv,
			                   buf[i], HDR, tag, 16);
		else if (big)
			IMB_AES256_GCM_DEC(raw.mgr, &raw.gcm[1].key, &ctx, p, from, size, iv,
			                   buf[i], HDR, tag, 16);
		else if (protect)
			IMB_AES128_GCM_ENC(raw.mgr, &raw.gcm[0].key, &ctx, p, from, size, iv,
			                   buf[i], HDR, tag, 16);
		else
			IMB_AES128_GCM_DEC(raw.mgr, &raw.gcm[0].key, &ctx, p, from, size, iv,
			                   buf[i], HDR, tag, 16);
	}
}

static void raw_cm(unsigned size, bool protect)
{
	for (unsigned i = 0; i < batch_size; i++) {
		uint8_t *p = buf[i] + HDR;

		raw.job[i] = (IMB_JOB){
		    .src = protect ? payload : p,
		    .dst = p,
		    .msg_len_to_cipher_in_bytes = size,
		    .iv = raw.iv[i],
		    .iv_len_in_bytes = 16,
		    .enc_keys = raw.aes,
		    .dec_keys = raw.aes,
		    .key_len_in_bytes = 16,
		    .msg_len_to_hash_in_bytes = HDR + size + 4,
		    .auth_tag_output = raw.digest[i],
		    .auth_tag_output_len_in_bytes = 20,
		    .u.HMAC._hashed_auth_key_xor_ipad = raw.ipad,
		    .u.HMAC._hashed_auth_key_xor_opad = raw.opad,
		};
	}
	IMB_SUBMIT_CIPHER_BURST_NOCHECK(raw.mgr, raw.job, batch_size, IMB_CIPHER_CNTR,
	                                IMB_DIR_ENCRYPT, IMB_KEY_128_BYTES);
	for (unsigned i = 0; i < batch_size; i++)
		raw.job[i].src = buf[i];
	IMB_SUBMIT_HASH_BURST_NOCHECK(raw.mgr, raw.job, batch_size, IMB_AUTH_HMAC_SHA_1);
}

static double raw_run(unsigned p, unsigned size, unsigned packets, bool protect)
{
	uint64_t ticks = 0, t;
	unsigned at;

	for (at = 0; at < packets; at += batch_size) {
		t = bench_ticks();
		if (profiles[p].gcm)
			raw_gcm(profiles[p].big, size, protect);
		else
			raw_cm(size, protect);
		ticks += bench_ticks() - t;
	}
	return bench_ticks_to_ns((double)ticks) / at;
}

/* ---- OpenSSL, for scale ---- */

static struct {
	EVP_CIPHER_CTX *gcm[2][2], *ctr; // AES-128/-256, protect/unprotect
	EVP_MAC_CTX *mac;
} evp;

static void evp_init(void)
{
	static const uint8_t key[32] = {1};
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string("digest", (char *)(uintptr_t) "SHA1", 0),
	    OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);

	for (unsigned big = 0; big < 2; big++) {
		for (unsigned d = 0; d < 2; d++) {
			evp.gcm[big][d] = EVP_CIPHER_CTX_new();
			EVP_CipherInit_ex(evp.gcm[big][d],
			                  big ? EVP_aes_256_gcm() : EVP_aes_128_gcm(), NULL, key,
			                  NULL, d == 0);
		}
	}
	evp.ctr = EVP_CIPHER_CTX_new();
	EVP_EncryptInit_ex(evp.ctr, EVP_aes_128_ctr(), NULL, key, NULL);
	evp.mac = EVP_MAC_CTX_new(mac);
	if (EVP_MAC_init(evp.mac, key, 20, params) != 1)
		abort();
}

static void evp_packet(unsigned p, uint8_t *b, unsigned size, bool protect, uint8_t n)
{
	uint8_t iv[16] = {n}, tag[20];
	EVP_CIPHER_CTX *c = profiles[p].gcm ? evp.gcm[profiles[p].big][!protect] : evp.ctr;
	const uint8_t *from = protect ? payload : b + HDR;
	size_t tag_len;
	int len;

	EVP_CipherInit_ex(c, NULL, NULL, NULL, iv, -1);
	if (profiles[p].gcm) {
		if (!protect)
			EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, 16, tag);
		EVP_CipherUpdate(c, NULL, &len, b, HDR);
		EVP_CipherUpdate(c, b + HDR, &len, from, (int)size);
		EVP_CipherFinal_ex(c, tag, &len);
		if (protect)
			EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, b + HDR + size);
		return;
	}
	EVP_CipherUpdate(c, b + HDR, &len, from, (int)size);
	EVP_MAC_init(evp.mac, NULL, 0, NULL);
	EVP_MAC_update(evp.mac, b, HDR + size + 4);
	EVP_MAC_final(evp.mac, tag, &tag_len, sizeof(tag));
}

static double evp_run(unsigned p, unsigned size, unsigned packets, bool protect)
{
	uint64_t t = bench_ticks();

	for (unsigned at = 0; at < packets; at++)
		evp_packet(p, buf[at % batch_size], size, protect, (uint8_t)at);
	return bench_ticks_to_ns((double)(bench_ticks() - t)) / packets;
}

/* ---- rows ---- */

struct cell {
	unsigned profile, size, sessions;
	bool protect;
	const char *what;
};

static void cell_values(const struct cell *c, const char *values[5], char text[2][16])
{
	snprintf(text[0], 16, "%u", c->size);
	snprintf(text[1], 16, "%u", c->sessions);
	values[0] = profiles[c->profile].name;
	values[1] = c->what;
	values[2] = c->protect ? "protect" : "unprotect";
	values[3] = text[0];
	values[4] = text[1];
}

static struct bench_stat measure(const struct cell *c, struct rig *r, unsigned packets)
{
	double sample[BENCH_RUNS_MAX];
	unsigned n = bench_runs(bench);

	for (unsigned i = 0; i <= n; i++) { // the first one warms up
		double *s = &sample[i ? i - 1 : 0];

		if (r)
			*s = rig_run(r, c->sessions, c->size, packets, c->protect);
		else if (c->what[0] == 'f')
			*s = raw_run(c->profile, c->size, packets, c->protect);
		else
			*s = evp_run(c->profile, c->size, packets, c->protect);
	}
	return bench_stat(sample, n);
}

static struct bench_stat row(const struct cell *c, struct rig *r, unsigned packets,
                             const struct bench_stat *floor)
{
	const char *values[5];
	char text[2][16];
	struct bench_stat s = {0};

	cell_values(c, values, text);
	if (floor && !bench_wanted(bench, values))
		return s;
	s = measure(c, r, packets);
	if (bench_wanted(bench, values))
		bench_row(bench, values, &s, floor);
	return s;
}

/* All rows of one profile. Floors first, then each number of sessions. */
static void run_profile(struct rig *rigs, unsigned profile, unsigned packets)
{
	static const unsigned sizes[] = {160, 1200}, counts[] = {1, 1000, 10000, SESSIONS_MAX};
	struct bench_stat floor[2][2];
	struct cell c = {.profile = profile, .sessions = 1};

	for (unsigned k = 0; k < 4; k++) {
		c.size = sizes[k / 2];
		c.protect = k % 2 == 0;
		c.what = "floor";
		floor[k / 2][k % 2] = row(&c, NULL, packets, NULL);
		c.what = "openssl";
		row(&c, NULL, packets / 4, &floor[k / 2][k % 2]);
	}
	for (unsigned b = 0; b < 2; b++) {
		for (unsigned n = 0; n < (b ? 2 : bench_quick(bench) ? 3 : 4); n++) {
			c.what = dp_srtp_backend_name(rigs[b].backend);
			c.sessions = counts[n];
			rigs[b].count = 0;
			rig_sessions(&rigs[b], profiles[profile].id, c.sessions, false);
			shuffle(c.sessions);
			for (unsigned k = 0; k < 4; k++) {
				c.size = sizes[k / 2];
				c.protect = k % 2 == 0;
				row(&c, &rigs[b], b ? packets / 16 : packets, &floor[k / 2][k % 2]);
			}
			rig_sessions(&rigs[b], 0, c.sessions, true);
		}
	}
}

int main(int argc, char **argv)
{
	static const char *const columns[] = {"profile", "code",     "direction",
	                                      "size",    "sessions", NULL};
	static const char *const names[] = {"ipsec_mb", "libsrtp2"};
	struct rig rigs[2];
	unsigned packets, only;
	char text[16];

	bench = bench_open("bench_srtp", "[--batch N] [--profile 1|2|7|8]", argc, argv);
	batch_size = (unsigned)bench_option(bench, "--batch", 64);
	only = (unsigned)bench_option(bench, "--profile", 0); // RFC 5764's numbers
	if (batch_size < 1 || batch_size > BATCH_MAX) {
		fprintf(stderr, "bench_srtp: --batch is 1..%d\n", BATCH_MAX);
		return 2;
	}
	snprintf(text, sizeof(text), "%u", batch_size);
	bench_fact(bench, "batch", text);
	bench_columns(bench, columns);
	buf = bench_memory((size_t)BATCH_MAX * BUF);
	payload = bench_memory(BUF);
	order = bench_memory(SESSIONS_MAX * sizeof(*order));
	raw_init();
	evp_init();
	packets = bench_quick(bench) ? 1 << 14 : 1 << 17;
	for (unsigned b = 0; b < 2; b++) {
		struct rig *r = &rigs[b];

		*r = (struct rig){.backend = dp_srtp_backend_find(names[b])};
		if (!r->backend || dp_srtp_batch_new(&r->batch, r->backend) ||
		    dp_srtp_batch_new(&r->maker, dp_srtp_backend_find("ipsec_mb"))) {
			fprintf(stderr, "bench_srtp: no backend %s here\n", names[b]);
			return 1;
		}
		r->send = b ? rigs[0].send : bench_memory(SESSIONS_MAX * sizeof(*r->send));
		r->receive = b ? rigs[0].receive : bench_memory(SESSIONS_MAX * sizeof(*r->receive));
		r->ear = b ? rigs[0].ear : bench_memory(SESSIONS_MAX * sizeof(*r->ear));
	}
	for (unsigned p = 0; p < sizeof(profiles) / sizeof(profiles[0]); p++)
		if (only == 0 || only == profiles[p].id)
			run_profile(rigs, p, packets);
	for (unsigned b = 0; b < 2; b++) {
		dp_srtp_batch_free(rigs[b].batch);
		dp_srtp_batch_free(rigs[b].maker);
	}
	return bench_close(bench);
}
