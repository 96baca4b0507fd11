/* Vectors of RFC 3711 (appendix B), RFC 6188 (§7) and RFC 7714 (§16, §17), and the edges of the
 * interface. */
#include "dataplane/srtp/srtp.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/srtp/ipsec_mb.h"
#include "dataplane/srtp/kdf.h"

static const char *const backend_names[] = {"ipsec_mb", "libsrtp2"};
enum { BACKENDS = 2, BUF = 2048 };

/* Hex, blanks skipped; returns bytes. */
static unsigned hex(uint8_t *out, const char *text)
{
	unsigned n = 0, half = 0, v;

	for (; *text; text++) {
		if (*text == ' ')
			continue;
		v = (unsigned)(*text <= '9' ? *text - '0' : (*text | 32) - 'a' + 10);
		if (half++ % 2)
			out[n++] |= (uint8_t)v;
		else
			out[n] = (uint8_t)(v << 4);
	}
	return n;
}

struct fixture {
	const struct dp_srtp_backend *backend;
	struct dp_srtp_batch *batch;
	struct dp_srtp_session session;
	struct dp_srtp_rx rx;
};

/* Both directions get the same keys, so that what was protected can be unprotected. */
static struct fixture *fixture_new(const char *backend, uint16_t profile, const char *key_salt)
{
	struct fixture *f = aligned_alloc(64, sizeof(*f));
	struct sh_srtp_secret secret = {0};

	memset(f, 0, sizeof(*f));
	f->backend = dp_srtp_backend_find(backend);
	assert_non_null(f->backend);
	assert_string_equal(dp_srtp_backend_name(f->backend), backend);
	assert_int_equal(dp_srtp_batch_new(&f->batch, f->backend), 0);
	assert_int_equal(hex(secret.bytes, key_salt),
	                 dp_srtp_key_len(profile) + dp_srtp_salt_len(profile));
	assert_int_equal(dp_srtp_session_init(f->backend, &f->session, profile, &secret, &secret),
	                 0);
	return f;
}

static void fixture_free(struct fixture *f)
{
	dp_srtp_session_wipe(f->backend, &f->session);
	for (size_t i = 0; i < sizeof(f->session); i++)
		assert_int_equal(((uint8_t *)&f->session)[i], 0);
	for (size_t i = 0; i < sizeof(f->rx); i++)
		assert_int_equal(((uint8_t *)&f->rx)[i], 0);
	dp_srtp_session_wipe(f->backend, &f->session);
	dp_srtp_batch_free(f->batch);
	dp_srtp_batch_free(NULL);
	free(f);
}

struct kdf_vector {
	const char *key, *salt;
	unsigned label;
	const char *out;
};

static const struct kdf_vector kdf_vectors[] = {
    /* RFC 3711 B.3 */
    {"E1F97A0D3E018BE0D64FA32C06DE4139", "0EC675AD498AFEEBB6960B3AABE6", DP_SRTP_LABEL_KEY,
     "C61E7A93744F39EE10734AFE3FF7A087"},
    {"E1F97A0D3E018BE0D64FA32C06DE4139", "0EC675AD498AFEEBB6960B3AABE6", DP_SRTP_LABEL_SALT,
     "30CBBC08863D8C85D49DB34A9AE1"},
    {"E1F97A0D3E018BE0D64FA32C06DE4139", "0EC675AD498AFEEBB6960B3AABE6", DP_SRTP_LABEL_AUTH,
     "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578E"
     "F72270986371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F"
     "34DB60DBDFB2"},
    /* RFC 6188 §7.2 */
    {"f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6",
     "3b04803de51ee7c96423ab5b78d2", DP_SRTP_LABEL_KEY,
     "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"},
    {"f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6",
     "3b04803de51ee7c96423ab5b78d2", DP_SRTP_LABEL_SALT, "fa31791685ca444a9e07c6c64e93"},
};

static void test_kdf(void **state)
{
	IMB_MGR *mgr = alloc_mb_mgr(0);

	init_mb_mgr_auto(mgr, NULL);
	for (size_t i = 0; i < sizeof(kdf_vectors) / sizeof(kdf_vectors[0]); i++) {
		const struct kdf_vector *v = &kdf_vectors[i];
		uint8_t key[32], salt[14], want[DP_SRTP_KDF_MAX], got[DP_SRTP_KDF_MAX];
		unsigned key_len = hex(key, v->key), len = hex(want, v->out);

		assert_int_equal(hex(salt, v->salt), sizeof(salt));
		dp_srtp_kdf(mgr, key, key_len, salt, sizeof(salt), v->label, got, len);
		assert_memory_equal(got, want, len);
	}
	free_mb_mgr(mgr);
}

/* RFC 3711 B.2: keystream of AES-CM. The session key and salt are given, so is a packet of zeroes'
 * result; SSRC and index are 0 there. The keystream shows as the ciphertext of zeroes. */
static void test_aes_cm_keystream(void **state)
{
	static const char first[] = "E03EAD0935C95E80E166B16DD92B4EB4"
	                            "D23513162B02D0F72A43A2FE4A5F97AB"
	                            "41E95B3BB0A2E8DD477901E4FCA894C0";
	struct fixture *f =
	    fixture_new("ipsec_mb", SH_SRTP_AES128_CM_SHA1_80,
	                "00000000000000000000000000000000 0000000000000000000000000000");
	struct imb_session *s = (struct imb_session *)(void *)&f->session;
	uint8_t key[16], want[48], buf[BUF] = {0x80}, dec[176];
	struct dp_srtp_op op = {
	    .session = &f->session, .src = buf + 12, .dst = buf, .len = 60, .hdr_len = 12};
	IMB_MGR *mgr = alloc_mb_mgr(0);

	init_mb_mgr_auto(mgr, NULL);
	hex(key, "2B7E151628AED2A6ABF7158809CF4F3C");
	IMB_AES_KEYEXP_128(mgr, key, s->cm.rtp[DP_SRTP_TX].round_keys, dec);
	hex(s->cm.rtp[DP_SRTP_TX].salt, "F0F1F2F3F4F5F6F7F8F9FAFBFCFD");
	assert_int_equal(dp_srtp_protect(f->batch, &op, 1), 1);
	assert_int_equal(hex(want, first), 48);
	assert_memory_equal(buf + 12, want, 48);
	free_mb_mgr(mgr);
	fixture_free(f);
}

struct packet_vector {
	uint16_t profile;
	const char *key_salt;
	bool rtcp;
	uint64_t index;
	const char *plain, *wire;
};

static const char cm_key[] = "e1f97a0d3e018be0d64fa32c06de4139 0ec675ad498afeebb6960b3aabe6";
static const char cm_rtp[] = "800f1234 decafbad cafebabe abababab abababab abababab abababab";
static const char cm_rtcp[] = "81c8000b cafebabe abababab abababab abababab abababab";

/* Whole packets from a master key: those that libsrtp and its descendants agree on. */
static const struct packet_vector master_vectors[] = {
    {SH_SRTP_AES128_CM_SHA1_80, cm_key, false, 0x1234, cm_rtp,
     "800f1234 decafbad cafebabe 4e55dc4c e79978d8 8ca4d215 949d2402 b78d6acc 99ea179b 8dbb"},
    {SH_SRTP_AES128_CM_SHA1_80, cm_key, true, 1, cm_rtcp,
     "81c8000b cafebabe 7128035b e487b9bd bef89041 f977a5a8 80000001 993e08cd 54d6c123 0798"},
    {SH_SRTP_AES128_CM_SHA1_32, cm_key, false, 0x1234, cm_rtp,
     "800f1234 decafbad cafebabe 4e55dc4c e79978d8 8ca4d215 949d2402 b78d6acc"},
    {SH_SRTP_AES128_CM_SHA1_32, cm_key, true, 1, cm_rtcp,
     "81c8000b cafebabe 7128035b e487b9bd bef89041 f977a5a8 80000001 993e08cd 54d6c123 0798"},
};

static void check_packet(struct fixture *f, const struct packet_vector *v, bool protect)
{
	uint8_t buf[BUF] = {0}, plain[BUF], wire[BUF];
	unsigned plain_len = hex(plain, v->plain), wire_len = hex(wire, v->wire);
	unsigned hdr = v->rtcp ? 8 : 12;
	struct dp_srtp_op op = {.session = &f->session,
	                        .dst = buf,
	                        .src = plain + hdr,
	                        .hdr_len = 12,
	                        .index = v->index};

	if (protect) {
		memcpy(buf, plain, hdr);
		op.len = (uint16_t)plain_len;
		assert_int_equal((v->rtcp ? dp_srtcp_protect : dp_srtp_protect)(f->batch, &op, 1),
		                 1);
		assert_int_equal(op.out_len, wire_len);
		assert_memory_equal(buf, wire, wire_len);
	}
	memcpy(buf, wire, wire_len);
	op.len = (uint16_t)wire_len;
	if (v->rtcp) {
		uint32_t peek;

		assert_int_equal(dp_srtcp_peek_index(&f->session, buf, wire_len, &peek), 0);
		assert_int_equal(peek, v->index);
		op.index = UINT64_MAX;
	}
	assert_int_equal((v->rtcp ? dp_srtcp_unprotect : dp_srtp_unprotect)(f->batch, &op, 1), 1);
	assert_int_equal(op.status, 0);
	assert_int_equal(op.out_len, plain_len);
	assert_int_equal(op.index, v->index);
	assert_memory_equal(buf, plain, plain_len);
}

static void test_master_vectors(void **state)
{
	for (unsigned b = 0; b < BACKENDS; b++) {
		for (size_t i = 0; i < sizeof(master_vectors) / sizeof(master_vectors[0]); i++) {
			const struct packet_vector *v = &master_vectors[i];
			struct fixture *f = fixture_new(backend_names[b], v->profile, v->key_salt);

			check_packet(f, v, true);
			check_packet(f, v, true);
			fixture_free(f);
		}
	}
}

static const char gcm_rtp[] =
    "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 "
    "69736120 696e2070 61727465 73207472 6573";
static const char gcm_rtcp[] =
    "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 "
    "deadbeef deadbeef deadbeef deadbeef deadbeef";
static const char gcm_key[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
static const char gcm_salt[] = "517569642070726f2071756f";

/* RFC 7714 §16.1, §16.2, §17.1 to §17.4; session keys given. The last two are in clear (E = 0). */
static const struct packet_vector gcm_vectors[] = {
    {SH_SRTP_AEAD_AES_128_GCM, "", false, 0xf17b, gcm_rtp,
     "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a "
     "51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce"},
    {SH_SRTP_AEAD_AES_256_GCM, "", false, 0xf17b, gcm_rtp,
     "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 "
     "76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13"},
    {SH_SRTP_AEAD_AES_128_GCM, "", true, 0x5d4, gcm_rtcp,
     "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda "
     "4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4"},
    {SH_SRTP_AEAD_AES_256_GCM, "", true, 0x5d4, gcm_rtcp,
     "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50 a2eaa5c1 110555be "
     "8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4"},
    {SH_SRTP_AEAD_AES_128_GCM, NULL, true, 0x5d4, gcm_rtcp,
     "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef "
     "deadbeef deadbeef deadbeef 841dd968 3dd78ec9 2ae58790 125f62b3 000005d4"},
    {SH_SRTP_AEAD_AES_256_GCM, NULL, true, 0x5d4, gcm_rtcp,
     "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef "
     "deadbeef deadbeef deadbeef 91db4afb feee5a97 8fab4393 ed2615fe 000005d4"},
};

/* What is received is decrypted with keys expanded for each packet, and with kept ones. */
static void test_gcm_vectors(void **state)
{
	const size_t n = sizeof(gcm_vectors) / sizeof(gcm_vectors[0]);

	for (size_t i = 0; i < 2 * n; i++) {
		const struct packet_vector *v = &gcm_vectors[i % n];
		bool big = v->profile == SH_SRTP_AEAD_AES_256_GCM;
		char master[2 * (32 + 12) + 1];
		struct fixture *f;
		uint8_t key[32], salt[12];

		memset(master, '5', sizeof(master));
		master[2 * (big ? 44 : 28)] = 0;
		f = fixture_new("ipsec_mb", v->profile, master);
		hex(key, gcm_key);
		hex(salt, gcm_salt);
		for (unsigned way = 0; way < DP_SRTP_WAYS; way++)
			imb_gcm_set((struct imb_session *)(void *)&f->session, way, v->rtcp, key,
			            big ? 32 : 16, salt);
		if (i >= n) {
			assert_true(dp_srtp_session_receive(f->backend, &f->session, &f->rx));
			assert_false(dp_srtp_session_receive(f->backend, &f->session, &f->rx));
		}
		check_packet(f, v, v->key_salt != NULL);
		fixture_free(f);
	}
}

static const uint16_t all_profiles[] = {SH_SRTP_AEAD_AES_128_GCM, SH_SRTP_AEAD_AES_256_GCM,
                                        SH_SRTP_AES128_CM_SHA1_80, SH_SRTP_AES128_CM_SHA1_32};

static struct fixture *fixture_any(const char *backend, uint16_t profile)
{
	char text[2 * 46 + 1];
	unsigned n = 2 * (dp_srtp_key_len(profile) + dp_srtp_salt_len(profile));

	for (unsigned i = 0; i < n; i++)
		text[i] = "0123456789abcdef"[i * 7 % 16];
	text[n] = 0;
	return fixture_new(backend, profile, text);
}

/* What must be refused is refused, nothing is written, and neighbours in the batch are not hurt. */
static void test_refusals(void **state)
{
	for (unsigned b = 0; b < BACKENDS; b++) {
		for (unsigned p = 0; p < 4; p++) {
			struct fixture *f = fixture_any(backend_names[b], all_profiles[p]);
			unsigned trailer = dp_srtp_rtp_trailer(&f->session);
			static struct dp_srtp_session none;
			uint8_t good[BUF] = {0x80, 96, 0, 1}, bad[BUF], src[64] = {1};
			struct dp_srtp_op base = {.session = &f->session,
			                          .src = src,
			                          .dst = bad,
			                          .index = 1,
			                          .len = 60,
			                          .hdr_len = 12};
			struct dp_srtp_op ops[] = {base, base, base, base, base, base};

			memset(bad, 0xee, sizeof(bad));
			ops[0].hdr_len = 11;
			ops[1].hdr_len = 61;
			ops[2].index = DP_SRTP_INDEX_MAX + 1;
			ops[3].session = &none;
			ops[4].len = 65535 - 3;
			ops[5].dst = good;
			assert_int_equal(dp_srtp_protect(f->batch, ops, 6), 1);
			for (unsigned i = 0; i < 5; i++) {
				assert_int_equal(ops[i].status, -EINVAL);
				assert_int_equal(ops[i].out_len, 0);
			}
			assert_int_equal(ops[5].status, 0);
			assert_int_equal(ops[5].out_len, 60 + trailer);
			for (unsigned i = 0; i < sizeof(bad); i++)
				assert_int_equal(bad[i], 0xee);

			ops[0] = base;
			ops[0].len = (uint16_t)(12 + trailer - 1);
			assert_int_equal(dp_srtp_unprotect(f->batch, ops, 1), 0);
			assert_int_equal(ops[0].status, -EINVAL);
			ops[0].len = (uint16_t)(8 + f->session.rtcp_trailer - 1);
			assert_int_equal(dp_srtcp_unprotect(f->batch, ops, 1), 0);
			assert_int_equal(ops[0].status, -EINVAL);
			ops[0].index = DP_SRTCP_INDEX_MAX + 1;
			ops[0].len = 20;
			assert_int_equal(dp_srtcp_protect(f->batch, ops, 1), 0);
			assert_int_equal(ops[0].status, -EINVAL);
			assert_int_equal(dp_srtp_protect(f->batch, ops, 0), 0);
			fixture_free(f);
		}
	}
}

static void test_profiles(void **state)
{
	static struct dp_srtp_session session;
	static const struct sh_srtp_secret secret;
	const struct dp_srtp_backend *b = dp_srtp_backend_find("ipsec_mb");

	assert_null(dp_srtp_backend_find("openssl"));
	assert_int_equal(dp_srtp_key_len(SH_SRTP_NONE), 0);
	assert_int_equal(dp_srtp_salt_len(5), 0);
	assert_int_equal(dp_srtp_session_init(b, &session, SH_SRTP_NONE, &secret, &secret),
	                 -EINVAL);
	assert_int_equal(dp_srtp_session_init(b, &session, 5, &secret, &secret), -EINVAL);
	for (size_t i = 0; i < sizeof(session); i++)
		assert_int_equal(((uint8_t *)&session)[i], 0);
}

/* rx and tx are not mixed up: what A sends with tx, B reads with rx of the same secret, and A
 * cannot. */
static void test_directions(void **state)
{
	for (unsigned b = 0; b < BACKENDS; b++) {
		for (unsigned p = 0; p < 4; p++) {
			const struct dp_srtp_backend *be = dp_srtp_backend_find(backend_names[b]);
			static struct dp_srtp_session alice, bob;
			static struct dp_srtp_rx ear;
			struct sh_srtp_secret one = {.bytes = {1, 2, 3}},
			                      two = {.bytes = {4, 5, 6}};
			uint8_t buf[2][BUF] = {{0x80, 96, 0, 9}, {0x80, 96, 0, 9}};
			struct dp_srtp_batch *batch;
			struct dp_srtp_op ops[2];

			assert_int_equal(dp_srtp_batch_new(&batch, be), 0);
			assert_int_equal(
			    dp_srtp_session_init(be, &alice, all_profiles[p], &one, &two), 0);
			assert_int_equal(
			    dp_srtp_session_init(be, &bob, all_profiles[p], &two, &one), 0);
			// the first two are GCM's; libsrtp2 keeps its own
			assert_int_equal(dp_srtp_session_receive(be, &bob, &ear), b == 0 && p < 2);
			for (unsigned i = 0; i < 2; i++)
				ops[i] = (struct dp_srtp_op){.session = &alice,
				                             .src = buf[i] + 12,
				                             .dst = buf[i],
				                             .index = 9,
				                             .len = 100,
				                             .hdr_len = 12};
			assert_int_equal(dp_srtp_protect(batch, ops, 2), 2);
			ops[0].len = ops[1].len = ops[0].out_len;
			ops[1].session = &bob;
			assert_int_equal(dp_srtp_unprotect(batch, ops, 2), 1);
			assert_int_equal(ops[0].status, -EBADMSG);
			assert_int_equal(ops[1].status, 0);
			dp_srtp_session_wipe(be, &alice);
			dp_srtp_session_wipe(be, &bob);
			dp_srtp_batch_free(batch);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_kdf),
	    cmocka_unit_test(test_aes_cm_keystream),
	    cmocka_unit_test(test_master_vectors),
	    cmocka_unit_test(test_gcm_vectors),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_profiles),
	    cmocka_unit_test(test_directions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
