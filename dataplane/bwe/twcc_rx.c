/* Arrivals of a publisher's packets, by transport-wide number, until they are told. A packet that
 * comes after its gap was told moves `next` back, so that the next feedback tells of it, and again
 * of what came after it: senders take the first word on each packet and the last on losses. */
#include "dataplane/bwe/twcc.h"
#include <errno.h>
#include "dataplane/rtp/rtp.h"

enum { MASK = DP_TWCC_RX - 1, COST_BYTES = 2000 };

static uint32_t ticks_of(uint64_t now_ns)
{
	uint32_t t = (uint32_t)(now_ns / DP_TWCC_TICK_NS);

	return t == DP_TWCC_LOST ? t + 1 : t;
}

static void restart(struct dp_twcc_rx *r, uint16_t seq)
{
	__builtin_memset(r->ticks, 0, sizeof(r->ticks));
	r->newest = r->next = 0x10000u + seq; // so that an older one is not below 0
	r->started = 1;
	r->has_strange = 0;
}

/* Whether a number far away is believed: as RFC 3550 A.1 does, when the one before it was its
 * neighbour. */
static bool believed(struct dp_twcc_rx *r, uint16_t seq)
{
	bool yes = r->has_strange && (uint16_t)(seq - r->strange) < 16;

	r->strange = seq + 1;
	r->has_strange = 1;
	return yes;
}

void dp_twcc_rx(struct dp_twcc_rx *r, uint16_t seq, uint32_t ssrc, uint32_t bytes, uint64_t now_ns)
{
	uint32_t ext;
	int32_t ahead;

	if (!r->started) {
		restart(r, seq);
		r->told_ns = now_ns;
	}
	ext = dp_seq_extend(r->newest, seq);
	ahead = (int32_t)(ext - r->newest);
	if (ahead >= DP_TWCC_RX || ahead <= -DP_TWCC_RX) {
		if (!believed(r, seq))
			return;
		restart(r, seq);
		r->restarts++;
		ext = r->newest;
		ahead = 0;
	}
	if (ahead > 0) {
		for (uint32_t i = r->newest + 1; i != ext; i++)
			r->ticks[i & MASK] = DP_TWCC_LOST;
		r->newest = ext;
		if (ext - r->next >= DP_TWCC_RX)
			r->next = ext - DP_TWCC_RX + 1;
	} else if (-ahead > DP_TWCC_RX_LATE) {
		r->late++;
		return;
	} else if (r->ticks[ext & MASK] != DP_TWCC_LOST) {
		r->repeated++;
		return;
	} else if ((int32_t)(ext - r->next) < 0) {
		r->next = ext;
	}
	r->ticks[ext & MASK] = ticks_of(now_ns);
	r->media = ssrc;
	r->bytes += bytes;
}

bool dp_twcc_rx_due(const struct dp_twcc_rx *r, uint64_t now_ns)
{
	uint64_t us = (now_ns - r->told_ns) / 1000;

	if (!r->started || r->next == r->newest + 1)
		return false;
	if (r->newest + 1 - r->next >= DP_TWCC_RX / 4)
		return true;
	return us >= DP_TWCC_EVERY_MAX_US || (us >= DP_TWCC_EVERY_MIN_US && r->bytes >= COST_BYTES);
}

int dp_twcc_rx_put(struct dp_twcc_rx *r, struct dp_rtcp_out *o, uint32_t sender, uint32_t most,
                   uint64_t now_ns)
{
	uint32_t ticks[DP_TWCC_RX], n = r->newest + 1 - r->next, first = 0;
	struct dp_rtcp_twcc_make m = {sender, r->media, ticks, (uint16_t)r->next, 0, r->fb_count};
	int told;

	if (!r->started || !n)
		return -ENODATA;
	for (uint32_t i = 0; i < n; i++)
		ticks[i] = r->ticks[(r->next + i) & MASK];
	while (ticks[first] == DP_TWCC_LOST) // the newest one arrived
		first++;
	if (most && n > most)
		n = first + 1 > most ? first + 1 : most;
	for (;;) {
		m.n = (uint16_t)n;
		told = dp_rtcp_put_twcc(o, &m);
		if (told != -ENOSPC || n == first + 1)
			break;
		n = n / 2 > first ? n / 2 : first + 1;
	}
	if (told < 0)
		return told;
	r->next += (uint32_t)told;
	r->fb_count++;
	r->bytes = 0;
	r->told_ns = now_ns;
	return r->next != r->newest + 1;
}
