#include <stdlib.h>
#include <string.h>
#include "bench/bench.h"
#include "bench/forward.h"

enum {
	PACKETS = 8,
	BYTES = 1200,
	SLOT = 2048,
	CHAIN = 1 << 19, // cache lines: 32 MiB
	HOPS = 48,
	TAKES = 4096,
	RECENT = 9,
};

static struct {
	struct dp_srtp_session *session;
	struct dp_srtp_batch *batch;
	uint8_t *slot;
	struct {
		uint32_t next, pad[15];
	} * chain;
	uint32_t at;
	uint64_t index;
	double crypto[TAKES], memory[TAKES];
	double recent; // of the last of `known`
	unsigned n, known;
} calib;

/* One cycle through all lines, in an order that no prefetcher guesses (Sattolo). */
static void make_chain(void)
{
	uint64_t seed = 17;

	calib.chain = bench_memory(CHAIN * sizeof(*calib.chain));
	for (uint32_t i = 0; i < CHAIN; i++)
		calib.chain[i].next = i;
	for (uint32_t i = CHAIN - 1; i > 0; i--) {
		uint32_t j = (uint32_t)(bench_random(&seed) % i), t = calib.chain[i].next;

		calib.chain[i].next = calib.chain[j].next;
		calib.chain[j].next = t;
	}
}

void fwd_calib_open(void)
{
	struct sh_srtp_secret tx, rx;

	calib.session = bench_memory(sizeof(*calib.session));
	calib.slot = bench_memory((PACKETS + 1) * SLOT);
	fwd_keys(0, SH_SRTP_AEAD_AES_128_GCM, &rx, &tx);
	if (dp_srtp_batch_new(&calib.batch, fwd_backend()) ||
	    dp_srtp_session_init(fwd_backend(), calib.session, SH_SRTP_AEAD_AES_128_GCM, &rx, &tx))
		abort();
	make_chain();
}

void fwd_calib_clear(void)
{
	calib.n = calib.known = 0;
}

static double crypto(void)
{
	struct dp_srtp_op op[PACKETS];
	uint64_t t;

	calib.index++;
	for (unsigned i = 0; i < PACKETS; i++) {
		uint8_t *dst = calib.slot + (i + 1) * SLOT;

		dst[0] = 0x80;
		op[i] = (struct dp_srtp_op){
		    .session = calib.session,
		    .src = calib.slot,
		    .dst = dst,
		    .index = calib.index,
		    .len = DP_SRTP_HDR_MIN + BYTES,
		    .hdr_len = DP_SRTP_HDR_MIN,
		};
	}
	t = bench_ticks();
	if (dp_srtp_protect(calib.batch, op, PACKETS) != PACKETS)
		abort();
	return (double)(bench_ticks() - t) / PACKETS;
}

static double memory(void)
{
	uint32_t at = calib.at;
	uint64_t t = bench_ticks();

	for (unsigned i = 0; i < HOPS; i++)
		at = calib.chain[at].next;
	calib.at = at;
	return (double)(bench_ticks() - t) / HOPS;
}

void fwd_calib_take(void)
{
	uint64_t switches = bench_switches();
	double c, m;

	if (calib.n == TAKES)
		return;
	crypto(); // its packets are in the cache for the one that counts
	c = crypto();
	m = memory();
	if (bench_switches() != switches)
		return;
	calib.crypto[calib.n] = c;
	calib.memory[calib.n++] = m;
}

double fwd_calib_recent(void)
{
	double last[RECENT];
	unsigned n = calib.n < RECENT ? calib.n : RECENT;

	if (calib.n == calib.known)
		return calib.recent;
	calib.known = calib.n;
	memcpy(last, calib.crypto + calib.n - n, n * sizeof(*last));
	calib.recent = bench_stat(last, n).median;
	return calib.recent;
}

struct fwd_calib fwd_calib_get(void)
{
	if (!calib.n)
		return (struct fwd_calib){0};
	return (struct fwd_calib){.crypto = bench_stat(calib.crypto, calib.n).median,
	                          .memory = bench_stat(calib.memory, calib.n).median};
}
