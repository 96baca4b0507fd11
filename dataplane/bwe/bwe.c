/* The sender's side of congestion control, for one subscriber.
 *
 * An SFU differs from an encoder: it cannot send at just the rate that it may, only at sums of
 * layers. It is application-limited nearly always, so an estimate that grows while nothing is lost
 * or delayed grows on no evidence, and one that is cut to a share of what arrives falls too low.
 * Hence:
 *
 * - delay.c: whether queues grow (trend line, adaptive threshold) and how much stands in them.
 * - rate.c: what arrives, by the receiver's clock.
 * - loss.c: losses above what this link loses at any rate.
 * - probe.c: what would arrive: clusters of padding, when the allocator could use more.
 * - bwe.c: control. Cut to 0.85 of what arrives when queues grow; grow by 8 % a second, but not
 *   above a tenth over what arrives; beyond that only on a probe's word.
 * - twcc_tx.c, twcc_rx.c: feedback against history; arrivals of publishers.
 * - alloc.c spreads the estimate over subscriptions; pacer.c says when their packets go.
 *
 * A cut needs both signs, a slope above the threshold and a queue that stands, or 80 ms of queue
 * alone. If the queue stays whatever is done, it is not ours (another way, another flow), and
 * becomes the new zero. Nothing here reads a clock; the state of a subscriber is under 1 KiB, and 8
 * bytes for each packet on its way. */
#include "dataplane/bwe/bwe.h"
#include <errno.h>
#include <string.h>
#include "dataplane/bwe/priv.h"

#define MS          1000000ull
#define PATIENCE_NS (400 * MS)
#define LIMIT_NS    (10000 * MS) // how long a probe's word holds
#define SILENT_NS   (3000 * MS)
#define DARE_NS     (10000 * MS)
#define DARE_PACE   (500 * MS)
enum {
	QUEUE_SIGN_US = 10000, // least that stands in queues when a slope is believed
	QUEUE_OWN_US = 50000,  // from here on it is certainly ours
	QUEUE_MAX_US = 80000,
	QUEUE_DEEP_US = 120000,
	QUEUE_STRONG_US = 150000,
	CUTS_MAX = 6,
	REMB_S = 10,
};
static const double cut_to = 0.85, deep_cut_to = 0.75, grow_a_second = 0.08, over_acked = 1.1;

int dp_bwe_init(struct dp_bwe *b, const struct dp_bwe_conf *conf, struct dp_twcc_sent *sent,
                uint32_t entries, uint64_t now_ns)
{
	struct dp_bwe_conf c = conf ? *conf : (struct dp_bwe_conf){0};

	c.start_bps = c.start_bps ? c.start_bps : 300000;
	c.min_bps = c.min_bps ? c.min_bps : 50000;
	c.max_bps = c.max_bps ? c.max_bps : 50000000;
	if (c.min_bps > c.start_bps || c.start_bps > c.max_bps)
		return -EINVAL;
	memset(b, 0, sizeof(*b));
	b->conf = c;
	b->sent_at_ns = now_ns;
	return dp_twcc_tx_init(&b->tx, sent, entries);
}

static void lower(uint32_t *bps, uint32_t to, uint8_t *bound, uint8_t by)
{
	if (*bps > to) {
		*bps = to;
		*bound = by;
	}
}

/* The results, from all that bounds them. */
static void publish(struct dp_bwe *b)
{
	uint32_t bps = b->target_bps, moved;
	uint8_t bound = b->feedbacks || b->remb_bps ? DP_BWE_BY_DELAY : DP_BWE_BY_START;

	if (!b->twcc && b->remb_bps)
		bps = UINT32_MAX;
	if (b->decay_ns)
		bound = DP_BWE_BY_SILENCE;
	if (b->losses.bound_bps)
		lower(&bps, b->losses.bound_bps, &bound, DP_BWE_BY_LOSS);
	if (b->remb_bps)
		lower(&bps, b->remb_bps, &bound, DP_BWE_BY_REMB);
	lower(&bps, b->conf.max_bps, &bound, DP_BWE_BY_MAX);
	b->estimate_bps = bps < b->conf.min_bps ? b->conf.min_bps : bps;
	b->bound = bound;
	b->loss = (uint8_t)((b->feedbacks ? b->losses.usual : b->losses.fraction) * 255);
	moved = b->estimate_bps > b->told_bps ? b->estimate_bps - b->told_bps
	                                      : b->told_bps - b->estimate_bps;
	if (moved > b->told_bps / 32 || (moved && b->estimate_bps < b->allocated_bps)) {
		b->told_bps = b->estimate_bps;
		b->changed = 1;
	}
}

void dp_bwe_expect(struct dp_bwe *b, bool twcc, uint64_t now_ns)
{
	b->twcc |= twcc;
	if (b->expect)
		return;
	b->expect = 1;
	b->target_bps = b->conf.start_bps;
	b->feedback_ns = b->grown_ns = now_ns;
	publish(b);
}

void dp_bwe_sent(struct dp_bwe *b, uint32_t seq, uint32_t bytes, uint64_t now_ns)
{
	uint64_t ns = now_ns - b->sent_at_ns;

	dp_twcc_tx_sent(&b->tx, seq, bytes, b->probe.active ? b->probe.c.id : 0, now_ns);
	if (b->probe.active)
		dp_bwe_probe_sent(b, bytes, now_ns);
	if (ns >= 100 * MS) {
		uint64_t bps = b->sent_bytes * 8000000000ull / ns;

		b->sent_bps = ns > 1000 * MS ? (uint32_t)bps
		                             : (uint32_t)((b->sent_bps * 7ull + bps * 3) / 10);
		b->sent_bytes = 0;
		b->sent_at_ns = now_ns;
	}
	b->sent_bytes += bytes;
	b->sent_ns = now_ns;
	b->unanswered++;
}

/* ---- control ---- */

static uint32_t whole(const struct dp_bwe *b, uint32_t window_us)
{
	/* what is usually lost is no sign of what the link could not take */
	return dp_bwe_clamp(dp_bwe_rate_bps(&b->rate, window_us) / (1 - (double)b->losses.usual), 0,
	                    UINT32_MAX);
}

/* Whether a queue stands that we make. A slope begins it, or a lot; it is over when the queue is
 * gone. */
static uint8_t judge(const struct dp_bwe *b)
{
	const struct dp_bwe_delay *d = &b->delay;
	float sign = QUEUE_SIGN_US + (d->jitter_us < QUEUE_SIGN_US ? d->jitter_us : QUEUE_SIGN_US);

	if (d->queue_us > sign && (d->overuse || b->over_ns || d->queue_us > QUEUE_MAX_US))
		return DP_BWE_OVERUSE;
	return d->trend < -d->threshold ? DP_BWE_UNDERUSE : DP_BWE_NORMAL;
}

static void cut(struct dp_bwe *b, uint64_t now_ns)
{
	/* While a queue stands the link is full, so what arrives is what it has: since then, not
	 * before. */
	uint64_t us = (now_ns - b->over_ns) / 1000;
	uint32_t passes = whole(b, us < 200000 ? 200000 : us > 500000 ? 500000 : (uint32_t)us);
	double share = b->queue_us > QUEUE_DEEP_US ? deep_cut_to : cut_to;
	double to = share * (passes ? passes : b->target_bps);

	/* little was sent, and little stands: then what arrives is no measure of the link */
	if (b->sent_bps < 0.6 * b->target_bps && b->queue_us < QUEUE_OWN_US &&
	    to < cut_to * b->target_bps)
		to = cut_to * b->target_bps;
	if (b->dared_ns || b->queue_us > QUEUE_STRONG_US ||
	    (b->cuts && b->queue_us > b->over_queue_us / 16 * 17))
		b->strong_ns = now_ns;
	if (to < b->target_bps)
		b->target_bps = dp_bwe_clamp(to, b->conf.min_bps, b->conf.max_bps);
	b->overuses += !b->cuts;
	b->cuts++;
	b->cut_ns = now_ns;
	b->over_queue_us = b->queue_us;
	if (b->dared_ns) {
		b->dared_ns = 0;
		b->dare_at_ns = now_ns + (DARE_NS << b->dare_failed);
		b->dare_failed += b->dare_failed < 3;
	}
	b->probe.started = 1; // the link is known by now: no leap
	dp_bwe_probe_abort(b, now_ns);
}

static void overuse(struct dp_bwe *b, uint64_t now_ns)
{
	uint64_t pause = 150 * MS + 1000 * (uint64_t)b->rtt_us;

	if (!b->over_ns) {
		b->over_ns = now_ns;
		b->over_queue_us = b->queue_us;
		b->cuts = 0;
	}
	if (!b->cuts) { // a key frame's queue drains; it has time as long as it does
		if (b->queue_us < b->over_queue_us / 10 * 9) {
			b->over_queue_us = b->queue_us;
			b->over_ns = now_ns;
		} else if (b->queue_us > b->over_queue_us) {
			b->over_queue_us = b->queue_us;
		}
		if (now_ns - b->over_ns <
		    (b->queue_us > 2 * QUEUE_MAX_US ? PATIENCE_NS / 2 : PATIENCE_NS))
			return;
	}
	if (b->cuts && (now_ns - b->cut_ns < pause || b->queue_us < b->over_queue_us / 10 * 9))
		return; // it has not had its time, or drains
	if (b->cuts >= CUTS_MAX) {
		dp_bwe_delay_rebase(&b->delay);
		b->over_ns = 0;
		return;
	}
	cut(b, now_ns);
}

/* Media on trial makes a queue: there is no time to be lost, as it may take many times what the link
 * has. */
static bool dare_fails(const struct dp_bwe *b)
{
	return b->dared_ns && dp_bwe_delay_rising(&b->delay) > QUEUE_MAX_US;
}

static void grow(struct dp_bwe *b, uint64_t now_ns)
{
	double s = (double)(now_ns - b->grown_ns) / 1e9, most = over_acked * b->acked_bps + 10000;
	double bps = b->target_bps * (1 + grow_a_second * (s > 1 ? 1 : s));

	/* what wavers above what the last probe saw was only queued */
	if (b->limit_bps && now_ns - b->limit_ns < LIMIT_NS && most > 1.05 * b->limit_bps)
		most = 1.05 * b->limit_bps;
	if (b->acked_bps && b->target_bps < most)
		b->target_bps =
		    dp_bwe_clamp(bps < most ? bps : most, b->conf.min_bps, b->conf.max_bps);
	/* what goes beyond the estimate is a probe too: it arrived, and nothing stands */
	bps = b->acked_bps < b->sent_bps ? b->acked_bps : b->sent_bps;
	if (b->dared_ns && b->queue_us < QUEUE_SIGN_US && bps > b->target_bps)
		b->target_bps = dp_bwe_clamp(bps, b->conf.min_bps, b->conf.max_bps);
}

static void measure_rtt(struct dp_bwe *b, uint32_t newest_us, uint64_t now_ns)
{
	int32_t us = (int32_t)((uint32_t)(now_ns / 1000) - newest_us);

	if (us <= 0)
		us = 1;
	b->rtt_us = b->rtt_us ? (uint32_t)((b->rtt_us * 7ull + (uint32_t)us) / 8) : (uint32_t)us;
}

/* Everything that a feedback says of single packets. False: nothing new. */
static bool take(struct dp_bwe *b, const struct dp_rtcp_twcc *t, uint32_t *newest_us,
                 uint64_t now_ns)
{
	struct dp_twcc_match m;
	struct dp_twcc_ack a;
	bool any = false;

	for (dp_twcc_tx_first(&m, &b->tx, t); dp_twcc_tx_next(&m, &a);) {
		dp_bwe_loss_add(&b->losses, &a, now_ns);
		dp_bwe_probe_acked(&b->probe, &a);
		if (!a.received)
			continue;
		if (!any || (int32_t)(a.sent_us - *newest_us) > 0)
			*newest_us = a.sent_us;
		any = true;
		dp_bwe_delay_packet(&b->delay, &a, a.cluster != 0);
		dp_bwe_rate_add(&b->rate, a.arrival_us, a.bytes);
	}
	return any;
}

/* What a probe has shown to pass. */
static void learn(struct dp_bwe *b, uint32_t passes, uint64_t now_ns)
{
	double to = b->target_bps;

	b->limit_bps = b->probe.limit ? passes : 0;
	b->limit_ns = now_ns;
	if (passes > b->target_bps && b->usage != DP_BWE_OVERUSE) {
		to = passes;
		b->probe.raised_ns = now_ns;
	} else if (passes < b->target_bps && b->probe.limit && b->probe.raised_ns) {
		to = passes; // a short cluster passed, a longer one did not
		dp_bwe_probe_misled(&b->probe);
	} else if (passes < b->target_bps && b->probe.limit) {
		to = (3 * to + passes) / 4; // one cluster is one measurement
	}
	b->target_bps = dp_bwe_clamp(to, b->conf.min_bps, b->conf.max_bps);
	dp_bwe_loss_raise(&b->losses, passes);
}

void dp_bwe_feedback(struct dp_bwe *b, const struct dp_rtcp_twcc *t, uint64_t now_ns)
{
	uint32_t newest_us = 0, passes;

	dp_bwe_expect(b, true, now_ns);
	if (!take(b, t, &newest_us, now_ns))
		return;
	b->feedbacks++;
	b->feedback_ns = now_ns;
	b->unanswered = 0;
	b->probe.deaf = 0;
	if (b->decay_ns) { // the way is there again
		b->decay_ns = 0;
		b->probe.at_ns = 0;
		b->probe.failed = 0;
	}
	measure_rtt(b, newest_us, now_ns);
	dp_bwe_delay_done(&b->delay);
	b->queue_us = (uint32_t)(b->delay.queue_us > 0 ? b->delay.queue_us : 0);
	b->acked_bps = whole(b, 500000);
	b->usage = judge(b);
	if (dp_bwe_loss_done(&b->losses, b->acked_bps, b->queue_us > QUEUE_OWN_US, now_ns))
		dp_bwe_probe_abort(b, now_ns);
	if (dare_fails(b)) {
		b->usage = DP_BWE_OVERUSE;
		b->over_ns = now_ns;
		b->cuts = 0;
		cut(b, now_ns);
	} else if (b->usage == DP_BWE_OVERUSE) {
		overuse(b, now_ns);
	} else {
		b->over_ns = 0;
		b->cuts = 0;
		if (b->usage == DP_BWE_NORMAL)
			grow(b, now_ns);
	}
	b->grown_ns = now_ns;
	passes = dp_bwe_probe_result(b, newest_us, now_ns);
	if (passes)
		learn(b, passes, now_ns);
	publish(b);
}

void dp_bwe_remb(struct dp_bwe *b, uint64_t bps, uint64_t now_ns)
{
	dp_bwe_expect(b, false, now_ns);
	b->remb_bps = bps > UINT32_MAX ? UINT32_MAX : bps ? (uint32_t)bps : 1;
	b->remb_ns = now_ns;
	publish(b);
}

void dp_bwe_report(struct dp_bwe *b, uint8_t fraction, uint32_t rtt_us, uint64_t now_ns)
{
	if (!b->expect || b->feedbacks)
		return;
	if (rtt_us)
		b->rtt_us = b->rtt_us ? (uint32_t)((b->rtt_us * 7ull + rtt_us) / 8) : rtt_us;
	dp_bwe_loss_report(&b->losses, fraction, b->estimate_bps, now_ns);
	publish(b);
}

void dp_bwe_tick(struct dp_bwe *b, uint64_t now_ns)
{
	uint64_t patience = 600 * MS + 4000 * (uint64_t)b->rtt_us, since;
	uint32_t least = b->feedbacks ? b->conf.min_bps : b->conf.start_bps;

	if (!b->unanswered || now_ns - b->sent_ns > 500 * MS)
		b->idle_ns = now_ns;
	dp_bwe_probe_tick(b, now_ns);
	since = b->idle_ns > b->feedback_ns ? b->idle_ns : b->feedback_ns;
	if (b->decay_ns > since) {
		since = b->decay_ns;
		patience = 500 * MS;
	}
	if (b->remb_bps && b->twcc && now_ns - b->remb_ns > REMB_S * 1000 * MS) {
		b->remb_bps = 0;
		publish(b);
	}
	/* nothing comes back for what was sent: the way there or back is gone, or full */
	if (!b->twcc || b->unanswered < 10 || now_ns - b->sent_ns > 500 * MS ||
	    now_ns - since < patience)
		return;
	b->decay_ns = now_ns;
	dp_bwe_probe_abort(b, now_ns);
	if (b->target_bps > least)
		b->target_bps = dp_bwe_clamp(b->target_bps * 0.8, least, b->conf.max_bps);
	publish(b);
}

void dp_bwe_needs(struct dp_bwe *b, uint32_t allocated_bps, uint32_t wanted_bps)
{
	if (wanted_bps / 3 * 2 > b->wanted_bps && !b->probe.deaf) // somebody new: find out at once
		b->probe.at_ns = 0;
	b->allocated_bps = allocated_bps;
	b->wanted_bps = wanted_bps;
	if (b->dared_ns &&
	    allocated_bps / 17 * 16 <= b->estimate_bps) { // it passes, or was given up
		b->dared_ns = 0;
		b->dare_failed = 0;
	}
}

/* Nothing at all speaks against more. */
static bool clear(const struct dp_bwe *b, uint64_t now_ns)
{
	return dp_bwe_unproven(b, now_ns) && b->usage != DP_BWE_OVERUSE &&
	       b->queue_us < QUEUE_OWN_US && (!b->cut_ns || now_ns - b->cut_ns > LIMIT_NS) &&
	       (!b->limit_bps || now_ns - b->limit_ns > LIMIT_NS);
}

bool dp_bwe_may_dare(const struct dp_bwe *b, bool padding, uint64_t now_ns)
{
	if (padding && b->twcc && !b->probe.deaf && !(b->decay_ns && !b->feedbacks))
		return false;
	return now_ns >= b->dare_at_ns && clear(b, now_ns);
}

void dp_bwe_dared(struct dp_bwe *b, uint64_t now_ns)
{
	if (!b->dared_ns)
		b->dared_ns = now_ns;
}

uint32_t dp_bwe_pace_bps(const struct dp_bwe *b, uint64_t now_ns)
{
	bool held = b->dared_ns && now_ns - b->dared_ns < DARE_PACE;

	return held || b->allocated_bps / 17 * 16 < b->estimate_bps ? b->estimate_bps
	                                                            : b->allocated_bps;
}

bool dp_bwe_unproven(const struct dp_bwe *b, uint64_t now_ns)
{
	if (b->bound == DP_BWE_BY_SILENCE)
		return !b->feedbacks || now_ns - b->feedback_ns < SILENT_NS;
	if (b->bound != DP_BWE_BY_DELAY && b->bound != DP_BWE_BY_START)
		return false;
	return !b->strong_ns || now_ns - b->strong_ns > LIMIT_NS;
}
