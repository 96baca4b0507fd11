/* RFC 5769 vectors, every truncation and bit flip of them, answers, and bounds. peer_test.c has the
 * differential check against libnice. */
#include "dataplane/stun/internal.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

static const char pwd[] = "VOkJxbRl1RmTxUk/WvJxBt";
enum { PWD_LEN = sizeof(pwd) - 1 };

/* RFC 5769 §2.1, §2.2, §2.3 */
static const uint8_t request[] = {
    0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,
    0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73,
    0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff,
    0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09,
    0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76, 0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14,
    0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49,
    0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf,
};
static const uint8_t response4[] = {
    0x01, 0x01, 0x00, 0x3c, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,
    0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63,
    0x74, 0x6f, 0x72, 0x20, 0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43,
    0x00, 0x08, 0x00, 0x14, 0x2b, 0x91, 0xf5, 0x99, 0xfd, 0x9e, 0x90, 0xc3, 0x8c, 0x74, 0x89, 0xf9,
    0x2a, 0xf9, 0xba, 0x53, 0xf0, 0x6b, 0xe7, 0xd7, 0x80, 0x28, 0x00, 0x04, 0xc0, 0x7d, 0x4c, 0x96,
};
static const uint8_t response6[] = {
    0x01, 0x01, 0x00, 0x48, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,
    0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63,
    0x74, 0x6f, 0x72, 0x20, 0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa,
    0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9, 0x00, 0x08, 0x00, 0x14,
    0xa3, 0x82, 0x95, 0x4e, 0x4b, 0xe6, 0x7b, 0xf1, 0x17, 0x84, 0xc9, 0x7c, 0x82, 0x92, 0xc2, 0x75,
    0xbf, 0xe3, 0xed, 0x41, 0x80, 0x28, 0x00, 0x04, 0xc8, 0xfb, 0x0b, 0x4c,
};

static const struct sh_addr addr4 = {.family = 4, .port = 32853, .ip = {192, 0, 2, 1}};
static const struct sh_addr addr6 = {
    .family = 6,
    .port = 32853,
    .ip = {0x20, 0x01, 0x0d, 0xb8, 0x12, 0x34, 0x56, 0x78, 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66,
           0x77},
};

static int check(const struct dp_stun_msg *m)
{
	return dp_stun_check(m, (const uint8_t *)pwd, PWD_LEN);
}

static void vector_request(void **state)
{
	struct dp_stun_msg m;
	const uint8_t *ufrag;
	uint32_t len;

	assert_int_equal(dp_stun_parse(&m, request, sizeof(request)), 0);
	assert_int_equal(m.type, DP_STUN_BINDING_REQUEST);
	assert_int_equal(m.flags,
	                 DP_STUN_HAS_PRIORITY | DP_STUN_HAS_CONTROLLED | DP_STUN_HAS_FINGERPRINT);
	assert_int_equal(m.priority, 0x6e0001ff);
	assert_true(m.tie_breaker == 0x932ff9b151263b36ull);
	assert_int_equal(m.unknown_count, 0);
	assert_int_equal(dp_stun_ufrag(&m, &ufrag, &len), 0);
	assert_int_equal(len, 4);
	assert_memory_equal(ufrag, "evtj", 4);
	assert_int_equal(check(&m), 0);
	assert_int_equal(dp_stun_check(&m, (const uint8_t *)pwd, PWD_LEN - 1), -EKEYREJECTED);
	assert_int_equal(dp_stun_check(&m, NULL, 0), -EKEYREJECTED);
	assert_int_equal(dp_stun_refusal(&m), 487);
}

static void vector_responses(void **state)
{
	struct dp_stun_msg m;

	assert_int_equal(dp_stun_parse(&m, response4, sizeof(response4)), 0);
	assert_int_equal(m.type, DP_STUN_BINDING_SUCCESS);
	assert_int_equal(check(&m), 0);
	assert_true(m.flags & DP_STUN_HAS_MAPPED);
	assert_memory_equal(&m.mapped, &addr4, sizeof(addr4));
	assert_int_equal(dp_stun_parse(&m, response6, sizeof(response6)), 0);
	assert_int_equal(check(&m), 0);
	assert_memory_equal(&m.mapped, &addr6, sizeof(addr6));
}

/* The vectors made by our own writer; the RFC pads with spaces, so their padding is put back before
 * signing. */
static void vector_responses_written(void **state)
{
	static const struct {
		const uint8_t *want;
		uint32_t len;
		const struct sh_addr *addr;
	} row[] = {{response4, sizeof(response4), &addr4}, {response6, sizeof(response6), &addr6}};

	for (unsigned i = 0; i < 2; i++) {
		struct dp_stun_out o;
		uint8_t buf[128];

		dp_stun_begin(&o, buf, sizeof(buf), DP_STUN_BINDING_SUCCESS, request + 8);
		dp_stun_put(&o, DP_STUN_SOFTWARE, "test vector", 11);
		buf[o.len - 1] = ' ';
		dp_stun_put_xor_addr(&o, DP_STUN_XOR_MAPPED_ADDRESS, row[i].addr);
		dp_stun_put_integrity(&o, (const uint8_t *)pwd, PWD_LEN);
		dp_stun_put_fingerprint(&o);
		assert_int_equal(dp_stun_end(&o), row[i].len);
		assert_memory_equal(buf, row[i].want, row[i].len);
	}
}

static int parse_exact(const uint8_t *p, uint32_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct dp_stun_msg m;
	int err;

	memcpy(copy, p, len);
	err = dp_stun_parse(&m, copy, len);
	if (!err)
		err = check(&m);
	free(copy);
	return err;
}

static void truncations_and_flips(void **state)
{
	uint8_t bare[sizeof(request) - 8], one[sizeof(request)];

	for (uint32_t len = 0; len < sizeof(request); len++) {
		assert_int_not_equal(parse_exact(request, len), 0);
		if (len < 20)
			continue;
		memcpy(one, request, len);
		dp_put16(one + 2, len - 20); // with a length that agrees
		if (len != sizeof(bare))
			assert_int_not_equal(parse_exact(one, len), 0);
	}
	/* without FINGERPRINT, integrity alone has to see each flip in what it covers, and in
	 * itself */
	memcpy(bare, request, sizeof(bare));
	dp_put16(bare + 2, sizeof(bare) - 20);
	assert_int_equal(parse_exact(bare, sizeof(bare)), 0);
	for (uint32_t bit = 0; bit < 8 * sizeof(request); bit++) {
		memcpy(one, request, sizeof(request));
		one[bit / 8] ^= 1 << bit % 8;
		/* FINGERPRINT under another name is an attribute behind MESSAGE-INTEGRITY, ignored
		 * as such */
		if (bit / 8 != sizeof(bare) && bit / 8 != sizeof(bare) + 1)
			assert_int_not_equal(parse_exact(one, sizeof(request)), 0);
		if (bit >= 8 * sizeof(bare))
			continue;
		bare[bit / 8] ^= 1 << bit % 8;
		assert_int_not_equal(parse_exact(bare, sizeof(bare)), 0);
		bare[bit / 8] ^= 1 << bit % 8;
	}
}

/* Begins a message in buf[512]; the caller adds attributes and calls parse(). */
static void begin(struct dp_stun_out *o, uint8_t *buf, uint16_t type)
{
	dp_stun_begin(o, buf, 512, type, (const uint8_t *)"transaction!");
}

static int parse(struct dp_stun_msg *m, const struct dp_stun_out *o)
{
	assert_true(dp_stun_end(o) > 0);
	return dp_stun_parse(m, o->buf, o->len);
}

static void malformed(void **state)
{
	static const struct {
		uint16_t attr, len;
		int err;
	} row[] = {
	    {DP_STUN_PRIORITY, 4, 0},
	    {DP_STUN_PRIORITY, 3, -EBADMSG},
	    {DP_STUN_PRIORITY, 8, -EBADMSG},
	    {DP_STUN_ICE_CONTROLLING, 8, 0},
	    {DP_STUN_ICE_CONTROLLING, 4, -EBADMSG},
	    {DP_STUN_ICE_CONTROLLED, 0, -EBADMSG},
	    {DP_STUN_MESSAGE_INTEGRITY, 20, 0},
	    {DP_STUN_MESSAGE_INTEGRITY, 19, -EBADMSG},
	    {DP_STUN_MESSAGE_INTEGRITY_SHA256, 32, 0},
	    {DP_STUN_MESSAGE_INTEGRITY_SHA256, 16, 0},
	    {DP_STUN_MESSAGE_INTEGRITY_SHA256, 12, -EBADMSG},
	    {DP_STUN_MESSAGE_INTEGRITY_SHA256, 36, -EBADMSG},
	    {DP_STUN_FINGERPRINT, 4, -EBADMSG}, // zero is not its value
	    {DP_STUN_FINGERPRINT, 5, -EBADMSG},
	    {DP_STUN_USERNAME, 0, 0},
	    {DP_STUN_USE_CANDIDATE, 0, 0},
	    {DP_STUN_XOR_MAPPED_ADDRESS, 8, -EBADMSG}, // family 0
	    {DP_STUN_ERROR_CODE, 4, -EBADMSG},         // class 0
	    {0x7fff, 7, 0},
	    {0xffff, 5, 0},
	};
	static const uint8_t zeros[64];

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct dp_stun_msg m;
		struct dp_stun_out o;
		uint8_t buf[512];

		begin(&o, buf, DP_STUN_BINDING_REQUEST);
		dp_stun_put(&o, row[i].attr, zeros, row[i].len);
		if (parse(&m, &o) != row[i].err)
			fail_msg("row %u", i);
	}
}

static void headers(void **state)
{
	uint8_t h[24] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
	struct dp_stun_msg m;

	assert_true(dp_stun_is(h, 20) && !dp_stun_is(h, 19));
	assert_int_equal(dp_stun_parse(&m, h, 20), 0);
	assert_int_equal(check(&m), -ENOENT);
	assert_int_equal(dp_stun_parse(&m, h, 24), -EBADMSG); // length does not agree
	h[3] = 4;
	assert_int_equal(dp_stun_parse(&m, h, 20), -EBADMSG);
	assert_int_equal(dp_stun_parse(&m, h, 24), 0);
	h[23] = 1; // an attribute of one byte, that is of four, is not there
	assert_int_equal(dp_stun_parse(&m, h, 24), -EBADMSG);
	h[23] = 0;
	h[0] = 0x40;
	assert_int_equal(dp_stun_parse(&m, h, 24), -EBADMSG);
	h[0] = 0;
	h[7] = 0;
	assert_int_equal(dp_stun_parse(&m, h, 24), -EBADMSG); // RFC 3489 had no cookie
	h[7] = 0x42;
	h[1] = 3; // TURN Allocate
	assert_int_equal(dp_stun_parse(&m, h, 24), -EOPNOTSUPP);
	h[1] = 0x11;
	assert_int_equal(dp_stun_parse(&m, h, 24), 0);
	assert_int_equal(m.type, DP_STUN_BINDING_INDICATION);
}

static void order_and_repetition(void **state)
{
	struct dp_stun_msg m;
	struct dp_stun_out o;
	const uint8_t *ufrag;
	uint8_t buf[512];
	uint32_t len;

	begin(&o, buf, DP_STUN_BINDING_REQUEST);
	dp_stun_put(&o, DP_STUN_USERNAME, "first:x", 7);
	dp_stun_put(&o, DP_STUN_USERNAME, "second:x", 8);
	dp_stun_put(&o, DP_STUN_PRIORITY, "\0\0\0\1", 4);
	dp_stun_put(&o, DP_STUN_PRIORITY, "\0\0\0\2", 4);
	dp_stun_put_integrity(&o, (const uint8_t *)pwd, PWD_LEN);
	dp_stun_put(&o, DP_STUN_USE_CANDIDATE, NULL, 0); // not covered, so not there
	dp_stun_put(&o, 0x7000, NULL, 0);
	dp_stun_put_fingerprint(&o);
	assert_int_equal(parse(&m, &o), 0);
	assert_int_equal(check(&m), 0);
	assert_int_equal(dp_stun_ufrag(&m, &ufrag, &len), 0);
	assert_true(len == 5 && !memcmp(ufrag, "first", 5));
	assert_int_equal(m.priority, 1);
	assert_int_equal(m.flags, DP_STUN_HAS_PRIORITY | DP_STUN_HAS_FINGERPRINT);
	assert_int_equal(m.unknown_count, 0);
	assert_int_equal(dp_stun_refusal(&m), 0);
	dp_stun_put(&o, DP_STUN_SOFTWARE, "x", 1); // FINGERPRINT is no longer last
	assert_int_equal(parse(&m, &o), -EBADMSG);
}

static void ufrags(void **state)
{
	static const struct {
		const char *name;
		int err;
		uint32_t len;
	} row[] = {{"ab:cd", 0, 2},       {"ab:", 0, 2},     {":cd", -EBADMSG, 0},
	           {"abcd", -EBADMSG, 0}, {"", -EBADMSG, 0}, {"a:b:c", 0, 1}};
	struct dp_stun_msg m;
	struct dp_stun_out o;
	const uint8_t *ufrag;
	uint8_t buf[512];
	uint32_t len;

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		begin(&o, buf, DP_STUN_BINDING_REQUEST);
		dp_stun_put(&o, DP_STUN_USERNAME, row[i].name, strlen(row[i].name));
		assert_int_equal(parse(&m, &o), 0);
		assert_int_equal(dp_stun_ufrag(&m, &ufrag, &len), row[i].err);
		if (!row[i].err)
			assert_int_equal(len, row[i].len);
	}
	begin(&o, buf, DP_STUN_BINDING_REQUEST);
	assert_int_equal(parse(&m, &o), 0);
	assert_int_equal(dp_stun_ufrag(&m, &ufrag, &len), -ENOENT);
}

static void make_request(struct dp_stun_msg *m, uint8_t *buf, bool sha256, unsigned unknown)
{
	struct dp_stun_out o;

	begin(&o, buf, DP_STUN_BINDING_REQUEST);
	dp_stun_put(&o, DP_STUN_USERNAME, "evtj:h6vY", 9);
	dp_stun_put(&o, DP_STUN_ICE_CONTROLLING, "12345678", 8);
	dp_stun_put(&o, DP_STUN_USE_CANDIDATE, NULL, 0);
	for (unsigned i = 0; i < unknown; i++)
		dp_stun_put(&o, 0x7000 + i, "abc", 3);
	if (sha256)
		dp_stun_put_integrity_sha256(&o, (const uint8_t *)pwd, PWD_LEN);
	else
		dp_stun_put_integrity(&o, (const uint8_t *)pwd, PWD_LEN);
	dp_stun_put_fingerprint(&o);
	assert_int_equal(parse(m, &o), 0);
	assert_int_equal(check(m), 0);
	assert_true(m->flags & DP_STUN_HAS_USE_CANDIDATE);
}

static void success(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		const struct sh_addr *addr = i & 1 ? &addr6 : &addr4;
		uint8_t in[512], out[DP_STUN_RESPONSE_MAX];
		struct dp_stun_msg req, res;
		int n;

		make_request(&req, in, i & 2, 0);
		assert_int_equal(dp_stun_refusal(&req), 0);
		n = dp_stun_success(out, sizeof(out), &req, addr, (const uint8_t *)pwd, PWD_LEN);
		assert_true(n > 0);
		assert_int_equal(dp_stun_parse(&res, out, n), 0);
		assert_int_equal(res.type, DP_STUN_BINDING_SUCCESS);
		assert_int_equal(check(&res), 0);
		assert_true(!!res.mi256_off == !!(i & 2) && !!res.mi_off == !(i & 2));
		assert_true(res.flags & DP_STUN_HAS_FINGERPRINT);
		assert_memory_equal(&res.mapped, addr, sizeof(*addr));
		assert_memory_equal(out + 8, in + 8, 12);
		for (int room = 0; room < n; room++) {
			uint8_t *exact = malloc(room ? room : 1);

			assert_int_equal(
			    dp_stun_success(exact, room, &req, addr, (const uint8_t *)pwd, PWD_LEN),
			    -ENOSPC);
			free(exact);
		}
	}
}

static void errors(void **state)
{
	static const unsigned code[] = {400, 401, 420, 487, 500};

	for (unsigned i = 0; i < 5; i++)
		for (unsigned sha256 = 0; sha256 < 2; sha256++) {
			uint8_t in[512], out[DP_STUN_RESPONSE_MAX];
			bool sign = code[i] >= 420;
			struct dp_stun_msg req, res;
			int n;

			make_request(&req, in, sha256, 12); // more than are listed
			assert_int_equal(dp_stun_refusal(&req), 420);
			n = dp_stun_error(out, sizeof(out), &req, code[i],
			                  sign ? (const uint8_t *)pwd : NULL, PWD_LEN);
			assert_true(n > 0);
			assert_int_equal(dp_stun_parse(&res, out, n), 0);
			assert_int_equal(res.type, DP_STUN_BINDING_ERROR);
			assert_int_equal(res.error, code[i]);
			assert_int_equal(check(&res), sign ? 0 : -ENOENT);
			if (code[i] == 420) {
				const uint8_t want[] = {0x00, 0x0a, 0x00, 0x10, 0x70, 0x00, 0x70,
				                        0x01, 0x70, 0x02, 0x70, 0x03, 0x70, 0x04,
				                        0x70, 0x05, 0x70, 0x06, 0x70, 0x07};

				assert_memory_equal(out + 48, want, sizeof(want));
				assert_memory_equal(
				    out + 20, "\0\x09\0\x15\0\0\4\x14Unknown Attribute\0\0\0", 28);
			}
		}
}

/* HMAC of every message length and of key lengths around the block, against OpenSSL's own. */
static void hmac(void **state)
{
	uint8_t key[150], msg[300], got[32], want[32];
	unsigned n;

	for (unsigned i = 0; i < sizeof(msg); i++)
		msg[i] = i * 7 + 1;
	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = i * 11 + 5;
	for (uint32_t len = 20; len < sizeof(msg); len++)
		for (uint32_t k = 1; k < sizeof(key); k += 7)
			for (int sha256 = 0; sha256 < 2; sha256++) {
				dp_stun_hmac(got, sha256, key, k, msg, len, dp_get16(msg + 2));
				HMAC(sha256 ? EVP_sha256() : EVP_sha1(), key, k, msg, len, want,
				     &n);
				assert_memory_equal(got, want, n);
			}
	assert_true(dp_stun_crc32((const uint8_t *)"123456789", 9) == 0xcbf43926);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(vector_request),
	    cmocka_unit_test(vector_responses),
	    cmocka_unit_test(vector_responses_written),
	    cmocka_unit_test(truncations_and_flips),
	    cmocka_unit_test(malformed),
	    cmocka_unit_test(headers),
	    cmocka_unit_test(order_and_repetition),
	    cmocka_unit_test(ufrags),
	    cmocka_unit_test(success),
	    cmocka_unit_test(errors),
	    cmocka_unit_test(hmac),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
