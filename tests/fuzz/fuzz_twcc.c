/* Transport-wide feedback: whatever parses is walked, built again and compared; and told to an estimator that has sent
 * all of those numbers. Input: a byte of time, then the FCI. */
#include "dataplane/bwe/bwe.h"
#include "dataplane/rtp/rtp.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
	if (!truth)
		abort();
}

static uint32_t ticks[65535];
static bool arrived[65535];
static uint8_t room[1 << 18];

static uint32_t walk(const struct dp_rtcp_twcc *t)
{
	struct dp_rtcp_twcc_status s;
	struct dp_rtcp_twcc_iter it;
	uint32_t n = 0;

	for (dp_rtcp_twcc_first(&it, t); dp_rtcp_twcc_next(&it, &s); n++) {
		require(s.seq == (uint16_t)(t->base + n));
		require(it.chunk <= t->deltas && it.delta <= t->end);
		arrived[n] = s.received;
		ticks[n] = s.ticks;
	}
	require(n == t->count);
	return n;
}

/* Builds packets until all is told, and requires that each says the same. */
static void build(const struct dp_rtcp_twcc *t, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		ticks[i] = !arrived[i] ? DP_TWCC_LOST : ticks[i] ? ticks[i] : 1;
	for (uint32_t at = 0; at < n;) {
		uint32_t left = n - at < DP_TWCC_MAX ? n - at : DP_TWCC_MAX, k = 0;
		struct dp_rtcp_twcc_make m = {1, 2, ticks + at, (uint16_t)(t->base + at), (uint16_t)left, t->fb_count};
		struct dp_rtcp_out o = {room, sizeof(room), 0};
		struct dp_rtcp_twcc_status s;
		struct dp_rtcp_twcc_iter it;
		struct dp_rtcp_twcc again;
		struct dp_rtcp_iter all;
		struct dp_rtcp_pkt p;
		struct dp_rtcp_fb fb;
		int told = dp_rtcp_put_twcc(&o, &m);

		if (told == -EINVAL) { // none of them arrived
			for (; left; left--, at++)
				require(ticks[at] == DP_TWCC_LOST);
			continue;
		}
		require(told > 0 && told <= (int)left && o.len <= 24 + 4 * left);
		require(dp_rtcp_first(&all, room, o.len, DP_RTCP_RSIZE) == 0 && dp_rtcp_next(&all, &p));
		require(dp_rtcp_fb(&fb, &p) == 0 && dp_rtcp_twcc(&again, &fb) == 0 && again.count == told);
		for (dp_rtcp_twcc_first(&it, &again); dp_rtcp_twcc_next(&it, &s); k++)
			require(s.received == (ticks[at + k] != DP_TWCC_LOST) && (!s.received || s.ticks == ticks[at + k]));
		at += (uint32_t)told;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dp_twcc_sent sent[1024];
	static struct dp_bwe b;
	static uint64_t now;
	struct dp_rtcp_twcc t;
	struct dp_rtcp_fb fb;
	uint8_t *fci;
	uint64_t ns;

	if (size < 1 || size > 65000)
		return 0;
	fci = malloc(size);
	memcpy(fci, data + 1, size - 1);
	fb = (struct dp_rtcp_fb){1, 2, fci, (uint16_t)(size - 1)};
	if (dp_rtcp_twcc(&t, &fb) == 0) {
		uint32_t n = walk(&t);

		ns = 1000000000ull;
		dp_bwe_init(&b, NULL, sent, 1024, ns);
		dp_bwe_expect(&b, true, ns);
		dp_bwe_needs(&b, 100000, 4000000000u);
		for (uint32_t i = 0; i < 1000; i++)
			dp_bwe_sent(&b, 0x10000u + t.base + i, 40 + i, ns += 1000000u * (data[0] % 8));
		for (now = ns + data[0] * 1000000ull; ns < now + 300000000u; ns += 100000000u) {
			dp_bwe_feedback(&b, &t, ns);
			dp_bwe_tick(&b, ns);
			dp_bwe_sent(&b, b.tx.next, dp_bwe_probe(&b, ns), ns);
			require(b.estimate_bps >= b.conf.min_bps && b.estimate_bps <= b.conf.max_bps);
		}
		build(&t, n);
	}
	free(fci);
	return 0;
}
