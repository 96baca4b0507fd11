#include "bench/loadgen/nack.h"
#include <string.h>

static void drop(struct lg_nack *k, unsigned at, unsigned n)
{
	k->n -= n;
	memmove(&k->missing[at], &k->missing[at + n], (k->n - at) * sizeof(k->missing[0]));
}

void lg_nack_gap(struct lg_nack *k, uint16_t first, uint32_t n, uint64_t now_ns)
{
	unsigned over;

	if (n > LG_NACK_MAX) {
		k->given_up += n - LG_NACK_MAX;
		first = (uint16_t)(first + n - LG_NACK_MAX);
		n = LG_NACK_MAX;
	}
	over = k->n + n > LG_NACK_MAX ? k->n + n - LG_NACK_MAX : 0;
	k->given_up += over;
	drop(k, 0, over);
	for (uint32_t i = 0; i < n; i++)
		k->missing[k->n++] =
		    (struct lg_missing){.seq = (uint16_t)(first + i), .since_ns = now_ns};
}

void lg_nack_came(struct lg_nack *k, uint16_t seq, bool rtx, uint64_t now_ns)
{
	const struct lg_missing *m;
	unsigned i = 0;

	while (i < k->n && k->missing[i].seq != seq)
		i++;
	if (i == k->n)
		return;
	m = &k->missing[i];
	/* Of several, who knows which one this answers; what came before we asked answers none. */
	if (rtx && m->tries == 1 && now_ns > m->asked_ns) {
		uint32_t us = (uint32_t)((now_ns - m->asked_ns) / 1000);

		k->rtt_us = k->rtt_us ? (7 * k->rtt_us + us) / 8 : us;
	}
	drop(k, i, 1);
}

static uint64_t retry_ns(const struct lg_nack *k)
{
	uint64_t us = k->rtt_us ? k->rtt_us : LG_NACK_RTT_MS * 1000;

	us = us * 3 / 2;
	return (us > LG_NACK_RETRY_MIN_MS * 1000 ? us : LG_NACK_RETRY_MIN_MS * 1000) * 1000;
}

unsigned lg_nack_due(struct lg_nack *k, uint16_t *seqs, uint64_t now_ns)
{
	uint64_t retry = retry_ns(k);
	unsigned n = 0, kept = 0;

	for (unsigned i = 0; i < k->n; i++) {
		struct lg_missing *m = &k->missing[i];
		bool due = !m->tries || now_ns - m->asked_ns >= retry;

		if (due && (m->tries == LG_NACK_TRIES ||
		            now_ns - m->since_ns > LG_NACK_AGE_MS * 1000000ULL)) {
			k->given_up++;
			continue;
		}
		if (due) {
			m->tries++;
			m->asked_ns = now_ns;
			seqs[n++] = m->seq;
		}
		k->missing[kept++] = *m;
	}
	k->n = kept;
	k->asked += n;
	return n;
}

void lg_nack_restart(struct lg_nack *k)
{
	k->n = 0;
	k->asked = k->given_up = 0;
}
