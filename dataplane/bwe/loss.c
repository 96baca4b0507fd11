/* Losses as a sign of congestion. Radio loses packets whatever is sent, a policer or a short queue those above its
 * rate: so what counts is loss above what is usual on this link, by more than chance explains. Then the rate is bound
 * to what arrived, and let up slowly, or at once when a probe shows that more passes. */
#include "dataplane/bwe/priv.h"
#include <math.h>

#define INTERVAL_NS 500000000ull
enum { PACKETS = 20 };
static const float usual_max = 0.15f, excess = 0.08f;

/* The standard deviation of a share of n packets that are lost with probability p. */
static float deviation(float p, uint32_t n)
{
	p = p < 0.02f ? 0.02f : p;
	return sqrtf(p * (1 - p) / (float)n);
}

void dp_bwe_loss_add(struct dp_bwe_loss *l, const struct dp_twcc_ack *a, uint64_t now_ns)
{
	if (!l->since_ns)
		l->since_ns = now_ns;
	if (a->late) {
		l->lost -= l->lost > 0; // it was reordered
		l->received++;
	} else if (a->received) {
		l->received++;
	} else {
		l->lost++;
	}
}

static void relax(struct dp_bwe_loss *l, uint64_t now_ns)
{
	if (!l->bound_bps || now_ns - l->relaxed_ns < INTERVAL_NS)
		return;
	l->bound_bps = dp_bwe_clamp(l->bound_bps * 1.03, 1, UINT32_MAX);
	l->relaxed_ns = now_ns;
}

/* What a share of n packets says; whether it is congestion. */
static bool judge(struct dp_bwe_loss *l, float f, uint32_t n, bool queue)
{
	bool heavy = f > l->usual + excess + 2 * deviation(l->usual, n);
	float weight = l->intervals < 16 ? 1 / (1 + (float)l->intervals) : 1 / 16.f;

	l->fraction += (f - l->fraction) * 0.1f;
	l->bad = heavy ? l->bad + (l->bad < 255) : 0;
	/* also when it is heavy, so that a link that becomes worse is learned in the end; but a full queue's losses are
	 * never usual */
	if (!queue || f < l->usual)
		l->usual += (f - l->usual) * (heavy ? weight / 4 : weight);
	l->usual = fminf(l->usual, usual_max);
	l->intervals += l->intervals < 255;
	return l->bad >= 2 || (heavy && f > 0.4f);
}

bool dp_bwe_loss_done(struct dp_bwe_loss *l, uint32_t acked_bps, bool queue, uint64_t now_ns)
{
	uint32_t n = l->lost + l->received, bound;
	bool congested;

	if (!l->since_ns || now_ns - l->since_ns < INTERVAL_NS)
		return false;
	if (n < PACKETS && now_ns - l->since_ns < 4 * INTERVAL_NS)
		return false;
	congested = n >= PACKETS / 2 && judge(l, (float)l->lost / (float)n, n, queue);
	l->lost = l->received = 0;
	l->since_ns = now_ns;
	if (!congested || !acked_bps) {
		relax(l, now_ns);
		return false;
	}
	bound = dp_bwe_clamp(acked_bps * 0.95, 1, UINT32_MAX);
	l->relaxed_ns = now_ns;
	if (l->bound_bps && l->bound_bps <= bound)
		return false;
	l->bound_bps = bound;
	return true;
}

void dp_bwe_loss_report(struct dp_bwe_loss *l, uint8_t fraction, uint32_t estimate_bps, uint64_t now_ns)
{
	float f = (float)fraction / 256;

	l->fraction += (f - l->fraction) * 0.1f;
	/* draft-ietf-rmcat-gcc-02 §6 */
	if (f > 0.1f) {
		l->bound_bps = dp_bwe_clamp((double)estimate_bps * (1 - 0.5f * f), 1, UINT32_MAX);
		l->relaxed_ns = now_ns;
	} else if (f < 0.02f) {
		relax(l, now_ns);
	}
}

void dp_bwe_loss_raise(struct dp_bwe_loss *l, uint32_t bps)
{
	if (l->bound_bps && l->bound_bps < bps)
		l->bound_bps = bps;
}
