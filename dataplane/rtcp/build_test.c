/* What build.c makes, byte by byte where the RFC draws it, and through the parser otherwise. */
#include "dataplane/rtcp/rtcp.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct dp_rtcp_block blocks[32] = {
    {.ssrc = 7, .lost = -5, .max_ext_seq = 70000, .jitter = 3, .lsr = 4, .dlsr = 5, .fraction = 12},
    {.ssrc = 8, .lost = 0x7fffff, .fraction = 255},
};

static void compound(void **state)
{
	const struct dp_rtcp_sr sr = {0xdeadbeef, 90000, 0x0123456789abcdefull, 10, 20};
	uint8_t buf[256];
	struct dp_rtcp_out o = {buf, sizeof(buf), 0};
	struct dp_rtcp_iter it;
	struct dp_rtcp_pkt p;
	struct dp_rtcp_sr got;
	struct dp_rtcp_block b;
	const uint8_t *cname;
	uint32_t ssrc;
	uint8_t len;

	assert_int_equal(dp_rtcp_put_sr(&o, &sr, blocks, 2), 0);
	assert_int_equal(o.len, 28 + 48);
	assert_int_equal(dp_rtcp_put_sdes(&o, sr.ssrc, (const uint8_t *)"cname-12", 8), 0);
	assert_int_equal(dp_rtcp_put_bye(&o, &sr.ssrc, 1), 0);
	assert_int_equal(dp_rtcp_first(&it, buf, o.len, 0), 0);
	assert_true(dp_rtcp_next(&it, &p));
	assert_int_equal(dp_rtcp_sr(&got, &p), 0);
	assert_memory_equal(&got, &sr, sizeof(sr));
	for (unsigned i = 0; i < 2; i++) {
		dp_rtcp_block(&b, &p, i);
		assert_memory_equal(&b, &blocks[i], sizeof(b));
	}
	assert_true(dp_rtcp_next(&it, &p));
	assert_int_equal(dp_rtcp_sdes_cname(&ssrc, &cname, &len, &p), 0);
	assert_true(ssrc == sr.ssrc && len == 8 && !memcmp(cname, "cname-12", 8));
	assert_true(dp_rtcp_next(&it, &p));
	assert_int_equal(p.type, DP_RTCP_BYE);
	assert_int_equal(dp_rtcp_bye(&p), 0);
	assert_true(dp_rtcp_bye_ssrc(&p, 0) == sr.ssrc);
	assert_false(dp_rtcp_next(&it, &p));
}

/* Every CNAME length: in words, at least one null octet after the item (RFC 3550 §6.5). */
static void sdes_lengths(void **state)
{
	uint8_t buf[300], name[255];

	memset(name, 'n', sizeof(name));
	for (unsigned n = 0; n <= 255; n++) {
		struct dp_rtcp_out o = {buf, sizeof(buf), 0};
		struct dp_rtcp_iter it;
		struct dp_rtcp_pkt p;
		const uint8_t *cname;
		uint32_t ssrc;
		uint8_t len;

		memset(buf, 0xff, sizeof(buf));
		assert_int_equal(dp_rtcp_put_sdes(&o, 5, name, n), 0);
		assert_int_equal(o.len % 4, 0);
		assert_true(o.len >= 10 + n + 1 && o.len <= 10 + n + 4);
		for (unsigned i = 10 + n; i < o.len; i++)
			assert_int_equal(buf[i], 0);
		assert_int_equal(dp_rtcp_first(&it, buf, o.len, DP_RTCP_RSIZE), 0);
		assert_true(dp_rtcp_next(&it, &p));
		assert_int_equal(dp_rtcp_sdes_cname(&ssrc, &cname, &len, &p), 0);
		assert_int_equal(len, n);
	}
}

static void feedback_bytes(void **state)
{
	static const uint8_t pli[] = {0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2};
	static const uint8_t fir[] = {0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0,
	                              0,    0,   0, 0, 0, 2, 9, 0, 0, 0};
	uint8_t buf[64];
	struct dp_rtcp_out o = {buf, sizeof(buf), 0};

	assert_int_equal(dp_rtcp_put_pli(&o, 1, 2), 0);
	assert_int_equal(dp_rtcp_put_fir(&o, 1, 2, 9), 0);
	assert_int_equal(o.len, sizeof(pli) + sizeof(fir));
	assert_memory_equal(buf, pli, sizeof(pli));
	assert_memory_equal(buf + sizeof(pli), fir, sizeof(fir));
}

/* Packs, and gives back through the iterator the set that went in; *entries is how many it took. */
static void nack_roundtrip(const uint16_t *seqs, uint32_t n, uint32_t *entries)
{
	static uint8_t in[65536], got[65536], buf[4096];
	struct dp_rtcp_out o = {buf, sizeof(buf), 0};
	struct dp_rtcp_nack_iter it;
	struct dp_rtcp_iter all;
	struct dp_rtcp_pkt p;
	struct dp_rtcp_fb fb;
	uint16_t seq;

	memset(in, 0, sizeof(in));
	memset(got, 0, sizeof(got));
	for (uint32_t i = 0; i < n; i++)
		in[seqs[i]] = 1;
	assert_int_equal(dp_rtcp_put_nack(&o, 1, 2, seqs, n), 0);
	assert_int_equal(dp_rtcp_first(&all, buf, o.len, DP_RTCP_RSIZE), 0);
	assert_true(dp_rtcp_next(&all, &p));
	assert_int_equal(p.type, DP_RTCP_RTPFB);
	assert_int_equal(p.count, DP_RTCP_RTPFB_NACK);
	assert_int_equal(dp_rtcp_fb(&fb, &p), 0);
	assert_int_equal(dp_rtcp_nack_first(&it, &fb), 0);
	while (dp_rtcp_nack_next(&it, &seq))
		got[seq] = 1;
	assert_memory_equal(in, got, sizeof(in));
	*entries = fb.fci_len / 4;
}

static void nack_packs(void **state)
{
	uint16_t seqs[200];
	uint32_t entries;

	for (unsigned i = 0; i < 17; i++)
		seqs[i] = 65530 + i;
	nack_roundtrip(seqs, 17, &entries);
	assert_int_equal(entries, 1);
	seqs[17] = seqs[16] + 1;
	nack_roundtrip(seqs, 18, &entries);
	assert_int_equal(entries, 2);
	seqs[1] = seqs[0]; // the same twice
	nack_roundtrip(seqs, 17, &entries);
	assert_int_equal(entries, 1);
	nack_roundtrip((const uint16_t[]){5, 4, 3}, 3, &entries); // against the order
	assert_int_equal(entries, 3);
	srand(11);
	for (unsigned round = 0; round < 300; round++) {
		for (unsigned i = 0; i < 200; i++)
			seqs[i] = i ? seqs[i - 1] + (round % 3 ? 1 + rand() % 12 : rand() % 65536)
			            : rand();
		nack_roundtrip(seqs, 200, &entries);
	}
}

/* Each builder with each room: -ENOSPC and nothing moved, or what it is with plenty. */
static int put(unsigned which, struct dp_rtcp_out *o)
{
	static const struct dp_rtcp_sr sr = {1, 2, 3, 4, 5};
	static const uint32_t ssrcs[3] = {1, 2, 3};
	static const uint16_t seqs[3] = {1, 100, 200};

	switch (which) {
	case 0:
		return dp_rtcp_put_sr(o, &sr, blocks, 31);
	case 1:
		return dp_rtcp_put_rr(o, 1, blocks, 2);
	case 2:
		return dp_rtcp_put_sdes(o, 1, (const uint8_t *)"abc", 3);
	case 3:
		return dp_rtcp_put_bye(o, ssrcs, 3);
	case 4:
		return dp_rtcp_put_pli(o, 1, 2);
	case 5:
		return dp_rtcp_put_fir(o, 1, 2, 3);
	default:
		return dp_rtcp_put_nack(o, 1, 2, seqs, 3);
	}
}

static void bounded(void **state)
{
	for (unsigned which = 0; which < 7; which++) {
		uint8_t buf[1024];
		struct dp_rtcp_out all = {buf, sizeof(buf), 0};

		assert_int_equal(put(which, &all), 0);
		for (uint32_t room = 8; room <= all.len + 8; room++) {
			uint8_t *exact = malloc(room);
			struct dp_rtcp_out o = {exact, room, 8};

			memset(exact, 0xaa, room);
			assert_int_equal(put(which, &o), room < all.len + 8 ? -ENOSPC : 0);
			assert_int_equal(o.len, room < all.len + 8 ? 8 : room);
			for (uint32_t i = 8; o.len == 8 && i < room; i++)
				assert_int_equal(exact[i], 0xaa);
			free(exact);
		}
	}
}

static void refuses_counts(void **state)
{
	uint8_t buf[2048];
	struct dp_rtcp_out o = {buf, sizeof(buf), 0};
	uint32_t ssrcs[32] = {0};

	assert_int_equal(dp_rtcp_put_rr(&o, 1, blocks, 32), -EINVAL);
	assert_int_equal(dp_rtcp_put_sr(&o, &(struct dp_rtcp_sr){0}, blocks, 32), -EINVAL);
	assert_int_equal(dp_rtcp_put_bye(&o, ssrcs, 32), -EINVAL);
	assert_int_equal(dp_rtcp_put_bye(&o, ssrcs, 0), -EINVAL);
	assert_int_equal(dp_rtcp_put_nack(&o, 1, 2, NULL, 0), -EINVAL);
	assert_int_equal(o.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(compound),       cmocka_unit_test(sdes_lengths),
	    cmocka_unit_test(feedback_bytes), cmocka_unit_test(nack_packs),
	    cmocka_unit_test(bounded),        cmocka_unit_test(refuses_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
