/* Finding out whether more could be had. What is sent is quantized in layers and mostly below what
 * the link bears, so what arrives says little of what could: a short cluster of packets above the
 * estimate does. If it arrives as fast as it was sent the link bears that rate; if it arrives
 * slower, the rate at which it arrives is what the link has.
 *
 * A cluster follows the last at once as long as each shows more (3 times, then doubling), so that a
 * link that was freed is found within a second or two. After one that showed the limit the next
 * waits for 2 to 8 seconds.
 *
 * The first one needs no feedback: with nothing but video that the start estimate does not bear,
 * nothing else would ever be sent that could be answered. Who never answers is left alone soon.
 *
 * A token bucket lets a short cluster pass at any rate. So one that says more is not believed yet:
 * another one follows at the rate that passed, long enough to use up a bucket before what of it is
 * measured. When that was believed and then led to congestion, a deeper bucket is allowed for. */
#include "dataplane/bwe/priv.h"
#include <math.h>

enum {
	DEPTH_MAX = 3,
	PACKETS = 4,
	LEAD_BYTES = 256,
	BUDGET_MIN = 1250,
	QUEUE_ENOUGH_US = 60000,
	DEAF_MAX = 6,        // clusters that one who never answered anything is sent
	BUCKET_BYTES = 6000, // of a token bucket that is allowed for, at most a quarter of a
	                     // second, doubled by depth
};
#define MS           1000000ull
#define LENGTH_NS    (60 * MS)
#define LEAD_MAX_NS  (800 * MS)
#define CONFIRM_NS   (2000 * MS) // a cluster's word is worth confirming for so long
#define AGAIN_NS     (300 * MS)
#define INTERVAL_NS  (2000 * MS)
#define MORE_NS      (1500 * MS)
#define INTERVAL_MAX (8000 * MS)
#define ANSWER_NS    (1000 * MS) // feedback comes every 250 ms at least

/* What it is worth to reach: all that is wanted, and the most headroom that the allocator asks for.
 */
static uint32_t goal(const struct dp_bwe *b)
{
	double bps = b->wanted_bps * 1.55;

	if (b->remb_bps && bps > b->remb_bps)
		bps = b->remb_bps;
	return dp_bwe_clamp(bps, 0, b->conf.max_bps);
}

/* Before the first feedback: what is on its way will bring some; when nothing is, the prober
 * begins.
 */
static bool may_begin(const struct dp_bwe *b, uint64_t now_ns)
{
	return b->feedbacks ||
	       (b->probe.deaf < DEAF_MAX && (!b->unanswered || now_ns - b->sent_ns > ANSWER_NS));
}

static bool needed(const struct dp_bwe *b, uint64_t now_ns)
{
	return b->twcc && may_begin(b, now_ns) && b->wanted_bps > b->allocated_bps &&
	       goal(b) > b->estimate_bps && b->usage == DP_BWE_NORMAL && !b->probe.c.id &&
	       b->queue_us < 40000;
}

/* How long it takes at that rate until a token bucket is used up, if the link bears no more than
 * is believed. */
static uint64_t lead_ns(const struct dp_bwe *b, uint32_t bps)
{
	uint64_t bits = (uint64_t)BUCKET_BYTES * 8, slow = b->estimate_bps / 4;
	uint64_t excess = bps > b->estimate_bps ? bps - b->estimate_bps : 1;
	uint64_t ns = ((bits < slow ? bits : slow) << b->probe.depth) * 1000000000 / excess;

	return ns < LEAD_MAX_NS ? ns : LEAD_MAX_NS;
}

static void start(struct dp_bwe *b, uint64_t now_ns)
{
	struct dp_bwe_probe *p = &b->probe;
	double step = !p->started ? 3 : !p->failed || p->misled ? 2 : 1.5;
	uint64_t length = LENGTH_NS, bytes, lead;

	if (p->confirm_bps && now_ns - p->confirm_ns > CONFIRM_NS)
		p->confirm_bps = 0;
	p->c = (struct dp_bwe_cluster){
	    .id = (uint8_t)(b->probes % 255 + 1),
	    .target_bps = p->confirm_bps
	                      ? p->confirm_bps
	                      : dp_bwe_clamp(b->estimate_bps * step, b->conf.min_bps, goal(b)),
	};
	lead = lead_ns(b, p->c.target_bps);
	p->founded = p->confirm_bps || lead <= LENGTH_NS / 2;
	if (!p->founded)
		lead = 0;
	else if (p->confirm_bps)
		length = lead + (b->losses.usual > 0.05f ? 3
		                 : lead < LENGTH_NS      ? 1
		                                         : 2) *
		                    LENGTH_NS;
	p->c.from_us = (uint32_t)((now_ns + lead) / 1000);
	p->confirm_bps = 0;
	p->start_ns = now_ns;
	p->until_ns = now_ns + length;
	bytes = p->c.target_bps * length / 8 / 1000000000;
	p->budget_bytes = bytes < BUDGET_MIN ? BUDGET_MIN : (uint32_t)bytes;
	p->active = 1;
	p->started = 1;
	p->full = 0;
	b->probes++;
}

static void finish(struct dp_bwe_probe *p, uint64_t now_ns)
{
	p->active = 0;
	if (!p->c.sent_bytes) { // its caller could not
		p->c.id = 0;
		p->at_ns = now_ns + INTERVAL_NS;
		return;
	}
	p->c.done = 1;
	if (!p->c.end_ns)
		p->c.end_ns = now_ns;
}

uint32_t dp_bwe_probe(struct dp_bwe *b, uint64_t now_ns)
{
	struct dp_bwe_probe *p = &b->probe;
	uint64_t due;

	if (!p->active) {
		if (now_ns < p->at_ns || !needed(b, now_ns))
			return 0;
		start(b, now_ns);
	}
	if (now_ns >= p->until_ns + 50 * MS) {
		finish(p, now_ns);
		return 0;
	}
	due = LEAD_BYTES + (now_ns - p->start_ns) / 1000 * p->c.target_bps / 8000000;
	due = due < p->budget_bytes ? due : p->budget_bytes;
	return due > p->c.sent_bytes ? (uint32_t)due - p->c.sent_bytes : 0;
}

uint64_t dp_bwe_probe_at(const struct dp_bwe *b, uint64_t now_ns)
{
	if (b->probe.active)
		return now_ns + 5 * MS;
	if (!needed(b, now_ns))
		return UINT64_MAX;
	return b->probe.at_ns > now_ns ? b->probe.at_ns : now_ns;
}

void dp_bwe_probe_sent(struct dp_bwe *b, uint32_t bytes, uint64_t now_ns)
{
	struct dp_bwe_probe *p = &b->probe;

	p->c.sent_bytes += bytes;
	p->c.end_ns = now_ns;
	p->c.end_us = (uint32_t)(now_ns / 1000);
	if (p->c.sent_bytes >= p->budget_bytes)
		finish(p, now_ns);
}

void dp_bwe_probe_acked(struct dp_bwe_probe *p, const struct dp_twcc_ack *a)
{
	struct dp_bwe_cluster *c = &p->c;

	if (!c->id || a->cluster != c->id)
		return;
	if (!a->received) {
		c->lost_bytes += a->bytes;
		return;
	}
	c->bytes += a->bytes;
	if ((int32_t)(a->sent_us - c->from_us) < 0)
		return;
	if (!c->packets || a->arrival_us < c->first_us) {
		c->first_us = a->arrival_us;
		c->first_bytes = a->bytes;
	}
	if (!c->packets || a->arrival_us > c->last_us)
		c->last_us = a->arrival_us;
	if (!c->packets || (int32_t)(a->sent_us - c->first_sent_us) < 0)
		c->first_sent_us = a->sent_us;
	if (!c->packets || (int32_t)(a->sent_us - c->last_sent_us) >= 0) {
		c->last_sent_us = a->sent_us;
		c->last_bytes = a->bytes;
	}
	c->measured_bytes += a->bytes;
	c->packets++;
}

static void wait(struct dp_bwe_probe *p, uint64_t now_ns)
{
	uint64_t ns = INTERVAL_NS + (p->failed + p->misled) * MORE_NS;

	p->at_ns = now_ns + (ns < INTERVAL_MAX ? ns : INTERVAL_MAX);
}

static void fail(struct dp_bwe_probe *p, uint64_t now_ns)
{
	p->failed += p->failed < 255;
	wait(p, now_ns);
}

/* Of a complete cluster: what passes, 0: it says nothing. */
static uint32_t measure(struct dp_bwe *b, uint64_t now_ns)
{
	struct dp_bwe_probe *p = &b->probe;
	struct dp_bwe_cluster *c = &p->c;
	double sent_us = (int32_t)(c->last_sent_us - c->first_sent_us),
	       came_us = (double)(c->last_us - c->first_us);
	double slack = fmin(1.5 * b->delay.jitter_us, 0.4 * sent_us), sent, came;
	/* what is usually lost was sent as well */
	double whole = 8e6 / (1 - (double)b->losses.usual);

	if (p->full && (c->packets < PACKETS || sent_us < 1000)) {
		/* it ended early as a queue stood: what arrives is what the link has, or less, if
		 * the queue has just begun */
		came = 0.95 * dp_bwe_rate_bps(&b->rate, 200000) * whole / 8e6;
		fail(p, now_ns);
		p->limit = came > b->target_bps;
		return p->limit ? dp_bwe_clamp(came, 0, c->target_bps) : 0;
	}
	if (c->packets < PACKETS || c->bytes * 2 < c->sent_bytes || sent_us < 1000) {
		p->at_ns = now_ns + AGAIN_NS; // feedback was lost
		if (c->lost_bytes * 2 > c->sent_bytes)
			fail(p, now_ns);
		return 0;
	}
	sent = (c->measured_bytes - c->last_bytes) * whole / sent_us;
	came = (c->measured_bytes - c->first_bytes) * whole / fmax(came_us, 1000);
	p->limit = came < 0.9 * sent && came_us - sent_us > 3 * b->delay.jitter_us;
	if (came >= 0.9 * sent || came_us - sent_us <= slack) {
		p->failed = p->founded ? 0 : p->failed;
		p->at_ns = 0;
		if (fmin(came, sent) < 1.1 * b->estimate_bps)
			wait(p, now_ns);
		return dp_bwe_clamp(fmin(came, sent), 0, c->target_bps);
	}
	fail(p, now_ns);
	return dp_bwe_clamp(0.95 * came, 0, c->target_bps);
}

uint32_t dp_bwe_probe_result(struct dp_bwe *b, uint32_t newest_us, uint64_t now_ns)
{
	struct dp_bwe_probe *p = &b->probe;
	uint64_t patience = 400 * MS + 2000 * (uint64_t)b->rtt_us;
	uint32_t bps;

	if (p->raised_ns && now_ns - p->raised_ns > 6000 * MS) { // it held
		p->raised_ns = 0;
		p->misled = 0;
		p->depth -= p->depth > 0;
	}
	if (p->active && b->queue_us > QUEUE_ENOUGH_US) {
		p->full = 1;
		finish(p, now_ns);
	}
	if (!p->c.id || !p->c.done)
		return 0;
	if ((int32_t)(newest_us - p->c.end_us) <= 0 && p->c.bytes < p->c.sent_bytes &&
	    now_ns - p->c.end_ns < patience)
		return 0;
	p->limit = 0;
	bps = measure(b, now_ns);
	p->c.id = 0;
	if (bps / 21 * 20 <= b->estimate_bps || p->founded)
		return bps;
	/* a token bucket may have let it pass: once more, and longer */
	p->confirm_bps = bps;
	p->confirm_ns = now_ns;
	p->at_ns = 0;
	return 0;
}

void dp_bwe_probe_tick(struct dp_bwe *b, uint64_t now_ns)
{
	struct dp_bwe_probe *p = &b->probe;
	uint64_t since = b->feedback_ns > p->c.end_ns ? b->feedback_ns : p->c.end_ns;

	if (!p->c.id || !p->c.done || now_ns - since < ANSWER_NS + 2000 * (uint64_t)b->rtt_us)
		return;
	p->c.id = 0;
	p->confirm_bps = 0;
	p->at_ns = now_ns + (INTERVAL_NS << (p->deaf < 4 ? p->deaf : 4));
	p->deaf += p->deaf < DEAF_MAX;
	p->started = b->feedbacks > 0; // else nothing is known as before
}

void dp_bwe_probe_misled(struct dp_bwe_probe *p)
{
	if (!p->raised_ns)
		return;
	p->raised_ns = 0;
	p->misled += p->misled < 4;
	p->depth += p->depth < DEPTH_MAX;
}

void dp_bwe_probe_abort(struct dp_bwe *b, uint64_t now_ns)
{
	struct dp_bwe_probe *p = &b->probe;

	p->active = 0;
	p->confirm_bps = 0;
	p->c.id = 0;
	dp_bwe_probe_misled(p);
	p->failed += !p->failed;
	wait(p, now_ns);
}
