/* Whether queues grow: the trend of one-way delay, after the published Google congestion control
 * (draft-ietf-rmcat-gcc-02 §5; the trend line and the adaptive threshold as Carlucci et al.,
 * "Congestion Control for Web Real-Time Communication", 2017): packets sent within 5 ms are a
 * group; the differences of delay between groups are summed and smoothed; a line through the last
 * 20 sums has a slope, which is compared with a threshold that adapts, so that it is not pushed
 * aside by flows that fill the queue.
 *
 * Beside the slope, the level: each packet's one-way delay above the least of the last 15 to 30 s,
 * of which the least in each feedback is kept. A burst's own queue does not count in it, a standing
 * one does. Neither clock has to be right: a drift of 100 ppm is 3 ms in that time.
 *
 * A receiver that was late itself, as its process had no turn or its radio slept, then reads what
 * lay there much faster than it was sent, which no full link can. What a feedback says in the midst
 * of that is no queue, and one that leaps by 200 ms is believed when the next one says so too. */
#include "dataplane/bwe/priv.h"
#include <math.h>

enum {
	BASE_US = 15000000,
	GAP_US = 2000000,
	BURST_US = 100000,
	CATCH_UP_US = 2000,
	LEAP_US = 200000,
	COUNT_MAX = 60
};
static const float gain = 4, smoothing = 0.9f, k_up = 0.0087f, k_down = 0.039f;
static const float threshold_min = 6, threshold_max = 600, over_ms_min = 10;

static void forget_trend(struct dp_bwe_delay *d)
{
	d->n = 0;
	d->sum = d->smooth = d->trend = d->prev_trend = d->over_ms = 0;
	d->over_n = 0;
	d->overuse = 0;
	d->cur.any = d->prev.any = false;
}

/* Slope of the line of least squares, ms a ms. */
static float slope(const struct dp_bwe_delay *d)
{
	uint32_t n = d->n < DP_BWE_TREND ? d->n : DP_BWE_TREND,
	         oldest = d->x[d->n < DP_BWE_TREND ? 0 : d->n % DP_BWE_TREND];
	float mx = 0, my = 0, num = 0, den = 0;

	for (uint32_t i = 0; i < n; i++) {
		mx += (float)(d->x[i] - oldest) / 1000;
		my += d->y[i];
	}
	mx /= (float)n;
	my /= (float)n;
	for (uint32_t i = 0; i < n; i++) {
		float dx = (float)(d->x[i] - oldest) / 1000 - mx;

		num += dx * (d->y[i] - my);
		den += dx * dx;
	}
	return den > 0 ? num / den : 0;
}

static void adapt(struct dp_bwe_delay *d, float trend, int64_t now_us)
{
	float away = fabsf(trend) - d->threshold;
	float ms = (float)(now_us - d->detect_us) / 1000;

	d->detect_us = now_us;
	if (away > 15) // a sudden jump, as of a route change, is no measure
		return;
	d->threshold += (away < 0 ? k_down : k_up) * away * (ms < 0 ? 0 : ms > 100 ? 100 : ms);
	d->threshold = fminf(fmaxf(d->threshold, threshold_min), threshold_max);
}

static void detect(struct dp_bwe_delay *d, float sent_ms, int64_t arrival_us)
{
	float trend = d->n < 2 ? 0 : (float)(d->n < COUNT_MAX ? d->n : COUNT_MAX) * slope(d) * gain;

	d->trend = trend;
	if (trend > d->threshold) {
		d->over_ms += d->over_n ? sent_ms : sent_ms / 2;
		d->over_n++;
		if (d->over_ms > over_ms_min && d->over_n > 1 && trend >= d->prev_trend) {
			d->over_ms = 0;
			d->over_n = 0;
			d->overuse = 1;
		}
	} else {
		d->over_ms = 0;
		d->over_n = 0;
		d->overuse = 0;
	}
	d->prev_trend = trend;
	adapt(d, trend, arrival_us);
}

/* A whole group, and the one before it. */
static void compare(struct dp_bwe_delay *d)
{
	int64_t sent = (int64_t)(d->cur.last_us - d->prev.last_us);
	int64_t came = d->cur.arrival_us - d->prev.arrival_us;

	if (came < 0 || came > GAP_US || sent > GAP_US) {
		forget_trend(d);
		return;
	}
	d->sum += (float)(came - sent) / 1000;
	d->jitter_us += (fabsf((float)(came - sent)) - d->jitter_us) / 16;
	d->smooth = smoothing * d->smooth + (1 - smoothing) * d->sum;
	d->x[d->n % DP_BWE_TREND] = (uint32_t)d->cur.arrival_us;
	d->y[d->n % DP_BWE_TREND] = d->smooth;
	d->n++;
	if (d->n == 1000 * DP_BWE_TREND) // the same position, and still many
		d->n = 100 * DP_BWE_TREND;
	detect(d, (float)sent / 1000, d->cur.arrival_us);
}

static bool same_group(const struct dp_bwe_group *g, uint64_t sent_us, int64_t arrival_us)
{
	int64_t came = arrival_us - g->arrival_us;

	if (sent_us - g->first_us <= DP_BWE_GROUP_US)
		return true;
	/* sent apart, arrived together: something on the way held them all back */
	return came - (int64_t)(sent_us - g->last_us) < 0 && came <= DP_BWE_GROUP_US &&
	       arrival_us - g->first_arrival_us < BURST_US;
}

static void group(struct dp_bwe_delay *d, uint64_t sent_us, int64_t arrival_us)
{
	struct dp_bwe_group *g = &d->cur;

	if (g->any && sent_us < g->first_us)
		return; // reordered
	if (g->any && same_group(g, sent_us, arrival_us)) {
		g->last_us = sent_us > g->last_us ? sent_us : g->last_us;
		g->arrival_us = arrival_us > g->arrival_us ? arrival_us : g->arrival_us;
		return;
	}
	if (g->any && d->prev.any)
		compare(d);
	if (g->any)
		d->prev = *g;
	*g = (struct dp_bwe_group){sent_us, sent_us, arrival_us, arrival_us, true};
}

static void level(struct dp_bwe_delay *d, int64_t owd, int64_t arrival_us)
{
	if (!d->has_base || arrival_us - d->base_at_us > 2 * BASE_US ||
	    arrival_us < d->base_at_us - GAP_US) {
		d->base[0] = d->base[1] = owd;
		d->base_at_us = arrival_us;
		d->has_base = 1;
	} else if (arrival_us - d->base_at_us > BASE_US) {
		d->base[1] = d->base[0];
		d->base[0] = owd;
		d->base_at_us = arrival_us;
	}
	if (owd < d->base[0])
		d->base[0] = owd;
	d->last_owd_us = owd;
	if (!d->has_least) {
		d->from_owd_us = owd;
		d->from_us = arrival_us;
	}
	d->to_us = arrival_us;
	if (!d->has_least || owd < d->least_us)
		d->least_us = owd;
	d->has_least = 1;
}

void dp_bwe_delay_packet(struct dp_bwe_delay *d, const struct dp_twcc_ack *a, bool probe)
{
	if (!d->started) {
		d->started = 1;
		d->threshold = 12.5f;
		d->sent_us = a->sent_us;
		d->detect_us = a->arrival_us;
	}
	d->sent_us += (uint64_t)(int64_t)(int32_t)(a->sent_us - (uint32_t)d->sent_us);
	level(d, a->arrival_us - (int64_t)d->sent_us, a->arrival_us);
	if (!probe)
		group(d, d->sent_us, a->arrival_us);
}

/* They came at three times the rate at which they were sent, or faster: a link that has not enough
 * for them lets none catch up. */
static bool catches_up(const struct dp_bwe_delay *d)
{
	int64_t came = d->to_us - d->from_us, fell = d->from_owd_us - d->last_owd_us;

	return came >= 0 && fell > CATCH_UP_US && fell > 2 * came;
}

void dp_bwe_delay_done(struct dp_bwe_delay *d)
{
	int64_t base = d->base[0] < d->base[1] ? d->base[0] : d->base[1];
	float level = (float)(d->least_us - base), least;

	if (!d->has_least)
		return;
	d->has_least = 0;
	if (level > d->queue_us && catches_up(d))
		return; // what is left of it shows when all of it is there
	/* a leap is believed when the next one says the same */
	least = level > d->queue_us + LEAP_US ? fminf(level, d->level_us) : level;
	d->level_us = level;
	d->queue_us += (least - d->queue_us) / 2;
}

int64_t dp_bwe_delay_rising(const struct dp_bwe_delay *d)
{
	int64_t base = d->base[0] < d->base[1] ? d->base[0] : d->base[1];

	return d->has_base && d->last_owd_us >= d->from_owd_us ? d->last_owd_us - base : 0;
}

void dp_bwe_delay_rebase(struct dp_bwe_delay *d)
{
	d->base[0] = d->base[1] = d->last_owd_us;
	d->queue_us = 0;
}
