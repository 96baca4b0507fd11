/* The two backends against each other, bit by bit, on random packets: every profile, sizes from the
 * bare header to 1,500 B, CSRCs and extensions, indices with roll-over, repeats and jumps, mixed
 * sessions and profiles in batches of 1 to 256, in place and out of place; and whatever was
 * tampered with fails in both. The seed is printed; CALLSTACK_TEST_SEED sets it. */
#include "dataplane/srtp/srtp.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

enum { SESSIONS = 12, BATCH = 256, BUF = 1600, GUARD = 0xa5 };

static uint64_t rng;

static uint32_t rnd(uint32_t below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)((rng >> 16) % below);
}

static void rnd_bytes(uint8_t *p, size_t n)
{
	while (n--)
		*p++ = (uint8_t)rnd(256);
}

struct side {
	const struct dp_srtp_backend *backend;
	struct dp_srtp_batch *batch;
	struct dp_srtp_session *session; // [SESSIONS], what A sends with
	struct dp_srtp_session *peer;    // [SESSIONS], what B receives with
	struct dp_srtp_rx *ear;          // [SESSIONS], half of them used
	uint8_t buf[BATCH][BUF];
	struct dp_srtp_op op[BATCH];
};

static struct side sides[2];
static const uint16_t profiles[] = {SH_SRTP_AEAD_AES_128_GCM, SH_SRTP_AES128_CM_SHA1_80,
                                    SH_SRTP_AEAD_AES_256_GCM, SH_SRTP_AES128_CM_SHA1_32};

static int setup(void **state)
{
	const char *seed = getenv("CALLSTACK_TEST_SEED");
	struct sh_srtp_secret tx[SESSIONS], rx[SESSIONS];

	rng = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;
	printf("CALLSTACK_TEST_SEED=%llu\n", (unsigned long long)rng);
	for (unsigned i = 0; i < SESSIONS; i++) {
		rnd_bytes(tx[i].bytes, sizeof(tx[i].bytes));
		rnd_bytes(rx[i].bytes, sizeof(rx[i].bytes));
	}
	for (unsigned b = 0; b < 2; b++) {
		struct side *s = &sides[b];

		s->backend = dp_srtp_backend_find(b ? "libsrtp2" : "ipsec_mb");
		assert_non_null(s->backend);
		assert_int_equal(dp_srtp_batch_new(&s->batch, s->backend), 0);
		s->session = aligned_alloc(64, sizeof(struct dp_srtp_session) * SESSIONS);
		s->peer = aligned_alloc(64, sizeof(struct dp_srtp_session) * SESSIONS);
		s->ear = aligned_alloc(64, sizeof(struct dp_srtp_rx) * SESSIONS);
		for (unsigned i = 0; i < SESSIONS; i++) {
			assert_int_equal(dp_srtp_session_init(s->backend, &s->session[i],
			                                      profiles[i % 4], &rx[i], &tx[i]),
			                 0);
			assert_int_equal(dp_srtp_session_init(s->backend, &s->peer[i],
			                                      profiles[i % 4], &tx[i], &rx[i]),
			                 0);
			if (i / 4 % 2)
				(void)dp_srtp_session_receive(s->backend, &s->peer[i], &s->ear[i]);
		}
	}
	return 0;
}

static int teardown(void **state)
{
	for (unsigned b = 0; b < 2; b++) {
		struct side *s = &sides[b];

		for (unsigned i = 0; i < SESSIONS; i++) {
			dp_srtp_session_wipe(s->backend, &s->session[i]);
			dp_srtp_session_wipe(s->backend, &s->peer[i]);
		}
		free(s->session);
		free(s->peer);
		free(s->ear);
		dp_srtp_batch_free(s->batch);
	}
	return 0;
}

/* A packet of `len` bytes or a few more, header in buf, all of it plaintext in plain; returns its
 * header length. */
static unsigned make_rtp(uint8_t *plain, unsigned *len, uint64_t index, uint32_t ssrc)
{
	unsigned cc = rnd(3) ? 0 : rnd(16), ext = rnd(2) ? 1 + rnd(9) : 0;
	unsigned hdr = 12 + 4 * cc + (ext ? 4 * ext : 0);

	if (*len < hdr)
		*len = hdr;
	rnd_bytes(plain, *len);
	plain[0] = (uint8_t)(0x80 | (ext ? 0x10 : 0) | cc);
	plain[2] = (uint8_t)(index >> 8);
	plain[3] = (uint8_t)index;
	plain[8] = plain[9] = plain[10] = 0x11;
	plain[11] = (uint8_t)ssrc;
	if (ext) {
		uint8_t *x = plain + 12 + 4 * cc;

		x[0] = 0xbe;
		x[1] = 0xde;
		x[2] = 0;
		x[3] = (uint8_t)(ext - 1);
	}
	return hdr;
}

static uint64_t rnd_index(void)
{
	switch (rnd(4)) {
	case 0:
		return rnd(65536);
	case 1:
		return 0x1fff0 + rnd(32); // around a roll-over, with repeats
	case 2:
		return (uint64_t)rnd(UINT32_MAX) << 16 | rnd(65536);
	default:
		return DP_SRTP_INDEX_MAX - rnd(4);
	}
}

static unsigned rnd_len(bool rtcp)
{
	static const uint16_t edge[] = {12,  13,  27,  28,  29,  44,  63,  64,  65,
	                                128, 255, 256, 268, 284, 524, 780, 1036};

	if (rtcp)
		return 8 + 4 * rnd(120);
	return rnd(3) ? 12 + rnd(1489) : edge[rnd(sizeof(edge) / sizeof(edge[0]))];
}

static uint8_t plain[BATCH][BUF];
static unsigned plain_len[BATCH], plain_hdr[BATCH];

/* Fills both sides' ops with the same n packets. */
static void make_batch(unsigned n, bool rtcp, unsigned only)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned s = only < SESSIONS ? only : rnd(SESSIONS), len = rnd_len(rtcp);
		uint64_t index = rtcp ? 1 + rnd(rnd(2) ? 50 : DP_SRTCP_INDEX_MAX - 1) : rnd_index();
		bool in_place = rnd(2);

		if (rtcp) {
			rnd_bytes(plain[i], len);
			plain[i][4] = plain[i][5] = plain[i][6] = 0x22;
			plain[i][7] = (uint8_t)rnd(6);
			plain_hdr[i] = 8;
		} else {
			plain_hdr[i] = make_rtp(plain[i], &len, index, rnd(6));
		}
		plain_len[i] = len;
		for (unsigned b = 0; b < 2; b++) {
			uint8_t *buf = sides[b].buf[i];

			memset(buf, GUARD, BUF);
			memcpy(buf, plain[i], in_place ? len : plain_hdr[i]);
			sides[b].op[i] = (struct dp_srtp_op){
			    .session = &sides[b].session[s],
			    .src = in_place ? buf + plain_hdr[i] : plain[i] + plain_hdr[i],
			    .dst = buf,
			    .index = index,
			    .len = (uint16_t)len,
			    .hdr_len = (uint16_t)plain_hdr[i],
			};
		}
	}
}

typedef unsigned(run_h)(struct dp_srtp_batch *, struct dp_srtp_op *, unsigned);

static void protect_both(unsigned n, run_h *run)
{
	for (unsigned b = 0; b < 2; b++)
		assert_int_equal(run(sides[b].batch, sides[b].op, n), n);
	for (unsigned i = 0; i < n; i++) {
		const struct dp_srtp_op *op = &sides[0].op[i];

		assert_int_equal(op->status, 0);
		assert_int_equal(sides[1].op[i].status, 0);
		assert_int_equal(op->out_len, sides[1].op[i].out_len);
		assert_memory_equal(sides[0].buf[i], sides[1].buf[i], op->out_len);
		assert_memory_equal(sides[0].buf[i], plain[i], plain_hdr[i]);
		for (unsigned k = op->len + DP_SRTCP_TRAILER_MAX; k < BUF; k++)
			assert_int_equal(sides[0].buf[i][k], GUARD);
	}
}

/* The sent packets arrive: same buffers, the peers' sessions. */
static void turn_around(unsigned n, bool rtcp)
{
	for (unsigned b = 0; b < 2; b++) {
		for (unsigned i = 0; i < n; i++) {
			struct dp_srtp_op *op = &sides[b].op[i];

			op->session = &sides[b].peer[op->session - sides[b].session];
			op->len = op->out_len;
			op->src = NULL;
			if (rtcp)
				op->index = UINT64_MAX;
		}
	}
}

static void round_trip(unsigned n, bool rtcp, unsigned only)
{
	uint64_t index[BATCH];

	make_batch(n, rtcp, only);
	for (unsigned i = 0; i < n; i++)
		index[i] = sides[0].op[i].index;
	protect_both(n, rtcp ? dp_srtcp_protect : dp_srtp_protect);
	turn_around(n, rtcp);
	for (unsigned b = 0; b < 2; b++) {
		run_h *run = rtcp ? dp_srtcp_unprotect : dp_srtp_unprotect;

		assert_int_equal(run(sides[b].batch, sides[b].op, n), n);
		for (unsigned i = 0; i < n; i++) {
			assert_int_equal(sides[b].op[i].status, 0);
			assert_int_equal(sides[b].op[i].out_len, plain_len[i]);
			assert_int_equal(sides[b].op[i].index, index[i]);
			assert_memory_equal(sides[b].buf[i], plain[i], plain_len[i]);
		}
	}
}

static void test_rtp(void **state)
{
	for (unsigned n = 1; n <= 24; n++)
		round_trip(n, false, SESSIONS);
	for (unsigned i = 0; i < 4; i++)
		for (unsigned k = 0; k < 20; k++)
			round_trip(1 + rnd(80), false, i);
	for (unsigned k = 0; k < 10; k++)
		round_trip(1 + rnd(BATCH), false, SESSIONS);
	round_trip(BATCH, false, SESSIONS);
}

static void test_rtcp(void **state)
{
	for (unsigned n = 1; n <= 24; n++)
		round_trip(n, true, SESSIONS);
	for (unsigned k = 0; k < 5; k++)
		round_trip(1 + rnd(BATCH), true, SESSIONS);
}

/* Packets as a sender makes them: index by index, over a roll-over, some lost, some reordered. */
static void test_sequence(void **state)
{
	for (unsigned s = 0; s < 4; s++) {
		uint64_t index = 65536 * 3 - 300;

		for (unsigned k = 0; k < 8; k++) {
			make_batch(100, false, s);
			for (unsigned i = 0; i < 100; i++) {
				uint64_t at = index + (i ^ rnd(4));

				plain[i][2] = (uint8_t)(at >> 8);
				plain[i][3] = (uint8_t)at;
				for (unsigned b = 0; b < 2; b++) {
					memcpy(sides[b].buf[i], plain[i], 12);
					sides[b].op[i].index = at;
				}
			}
			protect_both(100, dp_srtp_protect);
			turn_around(100, false);
			for (unsigned b = 0; b < 2; b++)
				assert_int_equal(
				    dp_srtp_unprotect(sides[b].batch, sides[b].op, 100), 100);
			index += 100 + rnd(50);
		}
	}
}

/* One bit flipped anywhere, a wrong roll-over counter, a byte cut off: refused by both; the others
 * pass. */
static void tamper(bool rtcp)
{
	const unsigned n = 60;
	bool hurt[BATCH];

	make_batch(n, rtcp, SESSIONS);
	protect_both(n, rtcp ? dp_srtcp_protect : dp_srtp_protect);
	turn_around(n, rtcp);
	for (unsigned i = 0; i < n; i++) {
		unsigned how = rnd(4), bit = rnd(8), at = rnd(sides[0].op[i].len);

		/* the RTP header's shape and the sequence number are the caller's to read: leave
		 * them */
		if (!rtcp && (at == 0 || at == 2 || at == 3 || (at >= 12 && at < plain_hdr[i])))
			at = sides[0].op[i].len - 1;
		hurt[i] = how != 0;
		for (unsigned b = 0; b < 2; b++) {
			struct dp_srtp_op *op = &sides[b].op[i];

			if (how == 1 || (how == 2 && rtcp))
				sides[b].buf[i][at] ^= (uint8_t)(1u << bit);
			else if (how == 2)
				op->index ^= UINT64_C(1) << 16;
			else if (how == 3)
				op->len--;
		}
	}
	for (unsigned b = 0; b < 2; b++) {
		(rtcp ? dp_srtcp_unprotect : dp_srtp_unprotect)(sides[b].batch, sides[b].op, n);
		for (unsigned i = 0; i < n; i++) {
			const struct dp_srtp_op *op = &sides[b].op[i];
			const struct dp_srtp_session *keys = op->session;
			bool cut = op->len <
			           plain_hdr[i] + (rtcp ? keys->rtcp_trailer : keys->rtp_trailer);
			int st = op->status;

			assert_int_equal(st, !hurt[i] ? 0 : cut ? -EINVAL : -EBADMSG);
			assert_true(st == 0 || op->out_len == 0);
		}
	}
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(sides[0].op[i].status, sides[1].op[i].status);
}

static void test_tamper(void **state)
{
	for (unsigned k = 0; k < 20; k++) {
		tamper(false);
		tamper(true);
	}
}

/* An SRTCP index may be the last one that there is. */
static void test_rtcp_last_index(void **state)
{
	static const uint32_t index[] = {
	    1, 2, 127, 128, 129, 0x7fffff7e, 0x7fffff80, 0x7fffff81, 0x7ffffffe, 0x7fffffff};
	const unsigned n = sizeof(index) / sizeof(index[0]);

	for (unsigned s = 0; s < 4; s++) {
		make_batch(n, true, s);
		for (unsigned i = 0; i < n; i++)
			for (unsigned b = 0; b < 2; b++)
				sides[b].op[i].index = index[i];
		protect_both(n, dp_srtcp_protect);
		for (unsigned i = 0; i < n; i++) {
			const struct dp_srtp_op *op = &sides[0].op[i];
			bool aead = op->session->rtp_trailer == 16;
			const uint8_t *word = op->dst + op->len + (aead ? 16 : 0);

			assert_int_equal(word[0] & 0x80, 0x80); // E
			assert_int_equal((word[0] & 0x7f) << 24 | word[1] << 16 | word[2] << 8 |
			                     word[3],
			                 index[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rtp),
	    cmocka_unit_test(test_rtcp),
	    cmocka_unit_test(test_sequence),
	    cmocka_unit_test(test_tamper),
	    cmocka_unit_test(test_rtcp_last_index),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
