/* What was sent to a subscriber, by transport-wide number, until its feedback comes. */
#include "dataplane/bwe/twcc.h"
#include <errno.h>
#include <string.h>
#include "dataplane/rtp/rtp.h"

#define IDLE_NS 60000000000ull // at_us of what is older could be taken for newer

static bool power_of_two(uint32_t n)
{
	return n >= 64 && n <= 8192 && !(n & (n - 1));
}

int dp_twcc_tx_init(struct dp_twcc_tx *t, struct dp_twcc_sent *sent, uint32_t entries)
{
	if (!power_of_two(entries))
		return -EINVAL;
	*t = (struct dp_twcc_tx){.sent = sent, .mask = entries - 1};
	memset(sent, 0, entries * sizeof(*sent));
	return 0;
}

static void drop_tail(struct dp_twcc_tx *t)
{
	struct dp_twcc_sent *s = &t->sent[t->tail++ & t->mask];

	if (s->state == DP_TWCC_FLYING) {
		t->pushed++;
		t->flying_bytes -= s->bytes;
	}
	s->state = DP_TWCC_FREE;
}

int dp_twcc_tx_move(struct dp_twcc_tx *t, struct dp_twcc_sent *sent, uint32_t entries)
{
	if (!power_of_two(entries))
		return -EINVAL;
	memset(sent, 0, entries * sizeof(*sent));
	while (t->next - t->tail > entries)
		drop_tail(t);
	for (uint32_t i = t->tail; i != t->next; i++)
		sent[i & (entries - 1)] = t->sent[i & t->mask];
	t->sent = sent;
	t->mask = entries - 1;
	return 0;
}

static void restart(struct dp_twcc_tx *t, uint32_t seq)
{
	memset(t->sent, 0, (t->mask + 1) * sizeof(*t->sent));
	t->flying_bytes = 0;
	t->tail = t->next = seq;
}

void dp_twcc_tx_sent(struct dp_twcc_tx *t, uint32_t seq, uint32_t bytes, uint8_t cluster,
                     uint64_t now_ns)
{
	struct dp_twcc_sent *s;

	if (seq - t->next > t->mask || now_ns - t->newest_ns > IDLE_NS)
		restart(t, seq);
	while (seq + 1 - t->tail > t->mask + 1)
		drop_tail(t);
	/* numbers that were left out: their places are free, as they were wiped when they fell off
	 * the tail */
	s = &t->sent[seq & t->mask];
	*s = (struct dp_twcc_sent){
	    .at_us = (uint32_t)(now_ns / 1000),
	    .bytes = (uint16_t)(bytes < UINT16_MAX ? bytes : UINT16_MAX),
	    .cluster = cluster,
	    .state = DP_TWCC_FLYING,
	};
	t->flying_bytes += s->bytes;
	t->next = seq + 1;
	t->newest_ns = now_ns;
}

static void count_feedback(struct dp_twcc_tx *tx, uint8_t fb_count)
{
	uint8_t ahead = fb_count - tx->fb_count;

	if (tx->has_fb && ahead && ahead < 128)
		tx->fb_lost += ahead - 1u;
	if (!tx->has_fb || ahead < 128)
		tx->fb_count = fb_count;
	tx->has_fb = 1;
}

void dp_twcc_tx_first(struct dp_twcc_match *m, struct dp_twcc_tx *tx, const struct dp_rtcp_twcc *t)
{
	struct dp_rtcp_twcc_status s;
	uint32_t n = 0;

	m->tx = tx;
	m->base = dp_seq_extend(tx->next, t->base);
	m->end = m->newest = m->base;
	for (dp_rtcp_twcc_first(&m->it, t); dp_rtcp_twcc_next(&m->it, &s); n++)
		if (s.received) {
			m->newest = m->base + n;
			m->end = m->newest + 1;
		}
	dp_rtcp_twcc_first(&m->it, t);
	count_feedback(tx, t->fb_count);
}

/* The receiver's clock goes on from where it was, forwards or back (reordered feedback). */
static int64_t unwrap(struct dp_twcc_tx *tx, uint32_t ticks)
{
	if (!tx->has_ticks) {
		tx->has_ticks = 1;
		tx->ticks = ticks;
		tx->arrival_us = 1ll << 40; // reordering does not lead below 0
	}
	tx->arrival_us += (int64_t)(int32_t)(ticks - tx->ticks) * (DP_TWCC_TICK_NS / 1000);
	tx->ticks = ticks;
	return tx->arrival_us;
}

bool dp_twcc_tx_next(struct dp_twcc_match *m, struct dp_twcc_ack *out)
{
	struct dp_twcc_tx *tx = m->tx;
	struct dp_rtcp_twcc_status st;

	while (m->base != m->end && dp_rtcp_twcc_next(&m->it, &st)) {
		uint32_t seq = m->base++;
		struct dp_twcc_sent *s = &tx->sent[seq & tx->mask];
		bool late = s->state == DP_TWCC_GONE;

		if (seq - tx->tail >= tx->next - tx->tail)
			continue;
		if (s->state != DP_TWCC_FLYING && !(late && st.received))
			continue;
		*out = (struct dp_twcc_ack){
		    .seq = seq,
		    .sent_us = s->at_us,
		    .arrival_us = st.received ? unwrap(tx, st.ticks) : 0,
		    .bytes = s->bytes,
		    .cluster = s->cluster,
		    .received = st.received,
		    .late = late,
		};
		if (!late)
			tx->flying_bytes -= s->bytes;
		s->state = st.received ? DP_TWCC_ACKED : DP_TWCC_GONE;
		return true;
	}
	return false;
}
