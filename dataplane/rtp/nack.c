/* Gaps in an incoming stream and when to ask for them. The missing numbers are a short ascending
 * array: appended to when a packet jumps ahead, searched when one comes late, compacted when they
 * are asked for. With no loss nothing but `newest` is touched. */
#include "dataplane/rtp/rtp.h"
#include <string.h>

static void forget_oldest(struct dp_nack *n, uint32_t k)
{
	n->given_up += k;
	n->count -= k;
	memmove(n->miss, n->miss + k, n->count * sizeof(n->miss[0]));
}

static void note_gap(struct dp_nack *n, uint16_t from, uint32_t missing, uint32_t now_us)
{
	if (missing > DP_NACK_MAX) {
		n->given_up += missing - DP_NACK_MAX;
		from += missing - DP_NACK_MAX;
		missing = DP_NACK_MAX;
	}
	if (n->count + missing > DP_NACK_MAX)
		forget_oldest(n, n->count + missing - DP_NACK_MAX);
	for (uint32_t i = 0; i < missing; i++)
		n->miss[n->count++] = (struct dp_nack_miss){
		    .since_us = now_us,
		    .next_us = now_us + DP_NACK_REORDER_US,
		    .seq = from + i,
		};
}

/* Position of seq in miss[], or count. */
static uint32_t find(const struct dp_nack *n, uint16_t seq)
{
	uint32_t lo = 0, hi = n->count;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if ((uint16_t)(n->newest - n->miss[mid].seq) > (uint16_t)(n->newest - seq))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n->count && n->miss[lo].seq == seq ? lo : n->count;
}

/* Which of several requests a packet answers is not known, and to take only those that were asked
 * for once would never see that the path has become longer than the time between two requests. So
 * these count from the first, at half the weight: with a tenth of the answers lost that is 5 % too
 * much. */
static void measure(struct dp_nack *n, const struct dp_nack_miss *m, uint32_t now_us)
{
	uint32_t sample = now_us - m->asked_us, weight = m->tries > 1 ? 16 : 8;

	if (!m->tries || sample > DP_NACK_RTT_MAX_US)
		return;
	if (!n->rtt_us)
		n->rtt_us = sample ? sample : 1;
	else
		n->rtt_us += (uint32_t)(((int32_t)sample - (int32_t)n->rtt_us) / (int32_t)weight);
}

static enum dp_nack_seen seen(struct dp_nack *n, uint16_t seq, uint64_t now_ns, bool repaired)
{
	uint32_t i;

	if (!n->started) {
		n->started = 1;
		n->newest = seq;
		return DP_NACK_NEXT;
	}
	if (dp_seq_newer(seq, n->newest)) {
		if ((uint16_t)(seq - n->newest) > 1)
			note_gap(n, n->newest + 1, (uint16_t)(seq - n->newest) - 1u,
			         (uint32_t)(now_ns / 1000));
		n->newest = seq;
		/* keep every entry within half the number space of newest: find() depends on it */
		while (n->count && (uint16_t)(n->newest - n->miss[0].seq) > INT16_MAX)
			forget_oldest(n, 1);
		return DP_NACK_NEXT;
	}
	i = find(n, seq);
	if (i == n->count)
		return DP_NACK_OLD;
	if (repaired)
		measure(n, &n->miss[i], (uint32_t)(now_ns / 1000));
	n->count--;
	memmove(n->miss + i, n->miss + i + 1, (n->count - i) * sizeof(n->miss[0]));
	return DP_NACK_RECOVERED;
}

enum dp_nack_seen dp_nack_seen(struct dp_nack *n, uint16_t seq, uint64_t now_ns)
{
	return seen(n, seq, now_ns, false);
}

enum dp_nack_seen dp_nack_repaired(struct dp_nack *n, uint16_t seq, uint64_t now_ns)
{
	return seen(n, seq, now_ns, true);
}

uint32_t dp_nack_due(struct dp_nack *n, uint64_t now_ns, uint32_t rtt_us, uint16_t *out,
                     uint32_t max)
{
	uint32_t now = (uint32_t)(now_ns / 1000), wait, age, kept = 0, k = 0;

	if (!n->count)
		return 0;
	if (!rtt_us)
		rtt_us = n->rtt_us ? n->rtt_us : 100000;
	/* an answer on its way should not be asked for again */
	wait = rtt_us + rtt_us / 8 + DP_NACK_REORDER_US;
	if (wait < DP_NACK_RETRY_US)
		wait = DP_NACK_RETRY_US;
	age = wait * DP_NACK_TRIES_MIN > DP_NACK_AGE_US ? wait * DP_NACK_TRIES_MIN : DP_NACK_AGE_US;
	for (uint32_t i = 0; i < n->count; i++) {
		struct dp_nack_miss m = n->miss[i];
		bool due = (int32_t)(now - m.next_us) >= 0;

		if (now - m.since_us > age || (due && m.tries == DP_NACK_TRIES)) {
			n->given_up++;
			continue;
		}
		if (due && k < max) {
			out[k++] = m.seq;
			if (!m.tries++)
				m.asked_us = now;
			m.next_us = now + wait;
		}
		n->miss[kept++] = m;
	}
	n->count = kept;
	return k;
}
