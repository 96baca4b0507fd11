#include "dataplane/quality.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "dataplane/event.h"
#include "dataplane/rtp/mos.h"
#include "dataplane/worker.h"
#include "shared/msg.h"
#include "shared/state.h"

enum {
	SHORTEST_NS = 300000000, // of a window: in less there is too little to judge by
	OWNERS = 4096,
};
#define RR_FRESH_NS UINT64_C(10000000000) // browsers report on audio each 5 s

/* Counters as they were at the end of the last window. */
struct before {
	sh_id id;
	uint32_t ssrc; // of a layer
	uint64_t at_ns, packets, bytes, recovered;
	uint32_t max_ext, base_ext, frames;
	uint32_t rr_lost; // of a subscription
	int32_t early;    // came, by RTX or reordering, in the window after that in which it was
	                  // counted as lost
};

static struct {
	struct before *layer, *sub; // by index; a track has SH_MAX_LAYERS
	unsigned workers;
	/* where the round stands */
	unsigned worker;
	uint32_t at, left; // endpoint of its list; endpoints to do
	bool busy;
	/* Where the endpoint stands that the message begins with; and with which the first one
	 * began that was dropped in this round: the next round begins there. */
	unsigned msg_worker, full_worker;
	uint32_t msg_at, full_at;
	bool full;
	uint64_t streams[SH_MAX_WORKERS][SH_QUALITY_WAYS];
	struct sh_msg_quality msg;
	/* Round-trip time of a client, as its subscriptions know it, for what it publishes: RTP
	 * says it only to senders. */
	struct {
		uint32_t owner, rtt_us;
		uint64_t at_ns;
	} rtt[OWNERS];
} q;

int dp_quality_init(unsigned workers)
{
	memset(&q, 0, sizeof(q));
	q.workers = workers;
	q.layer = calloc((size_t)dp_slabs.tracks * SH_MAX_LAYERS, sizeof(*q.layer));
	q.sub = calloc(dp_slabs.subs, sizeof(*q.sub));
	if (!q.layer || !q.sub) {
		dp_quality_free();
		return -ENOMEM;
	}
	return 0;
}

void dp_quality_free(void)
{
	free(q.layer);
	free(q.sub);
	memset(&q, 0, sizeof(q));
}

#define READ(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

static bool live(const _Atomic uint8_t *state)
{
	return atomic_load_explicit(state, memory_order_acquire) == SH_LIVE;
}

/* ---- sums and rows ---- */

static void observe(uint64_t *bucket, uint64_t *sum, const uint32_t *bound, unsigned bounds,
                    uint32_t v)
{
	unsigned i = 0;

	while (i < bounds && v > bound[i])
		i++;
	bucket[i]++;
	*sum += v;
}

static uint32_t rounded_ms(uint32_t us)
{
	return (us + 500) / 1000;
}

static void add(unsigned worker, unsigned way, const struct sh_quality *v)
{
	struct sh_quality_sum *s = &dp_slabs.head->quality[worker][way];

	q.streams[worker][way]++;
	if (v->mos)
		observe(s->mos, &s->mos_sum, sh_quality_mos_bound, SH_QUALITY_MOS_BOUNDS, v->mos);
	if (v->rtt_us)
		observe(s->rtt, &s->rtt_sum, sh_quality_rtt_bound, SH_QUALITY_RTT_BOUNDS,
		        rounded_ms(v->rtt_us));
	observe(s->jitter, &s->jitter_sum, sh_quality_jitter_bound, SH_QUALITY_JITTER_BOUNDS,
	        rounded_ms(v->jitter_us));
	observe(s->loss, &s->loss_sum, sh_quality_loss_bound, SH_QUALITY_LOSS_BOUNDS, v->lost);
}

static void say(void)
{
	if (!q.msg.rows)
		return;
	if (!dp_event_quality(&q.msg) && !q.full) {
		q.full = true;
		q.full_worker = q.msg_worker;
		q.full_at = q.msg_at;
	}
	memset(&q.msg, 0, sizeof(q.msg));
}

static uint16_t ms16(uint32_t us)
{
	uint32_t ms = rounded_ms(us);

	return ms > UINT16_MAX ? UINT16_MAX : (uint16_t)ms;
}

static void row(uint8_t what, sh_id id, uint8_t layer, const struct sh_quality *v)
{
	if (!q.msg.rows) {
		q.msg_worker = q.worker;
		q.msg_at = q.at - 1;
	}
	q.msg.row[q.msg.rows++] = (struct sh_quality_row){
	    .id = id,
	    .what = what,
	    .layer = layer,
	    .lost = v->lost,
	    .mos = v->mos,
	    .bps = v->bps,
	    .jitter_ms = ms16(v->jitter_us),
	    .rtt_ms = ms16(v->rtt_us),
	};
	if (q.msg.rows == SH_QUALITY_ROWS)
		say();
}

/* ---- one stream ---- */

static uint32_t per_second(uint64_t n, uint64_t ns)
{
	uint64_t v = n * 1000000 / (ns / 1000);

	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

static uint32_t ticks_us(uint64_t ticks, uint32_t hz)
{
	uint64_t us = hz ? ticks * 1000000 / hz : 0;

	return us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static uint8_t codec_of(const struct sh_track *t, unsigned layer)
{
	uint8_t slot = READ(t->media[layer].pt_slot);

	return slot < SH_MAX_PTS && t->set.pt[slot].pt != 255 ? t->set.pt[slot].codec
	                                                      : SH_CODEC_NONE;
}

static uint32_t slot_of(uint32_t owner)
{
	return (owner * 2654435761u) >> 20;
}
_Static_assert(OWNERS == 1 << 12, "slot_of() gives 12 bits");

static void remember_rtt(uint32_t owner, uint32_t rtt_us, uint64_t at_ns)
{
	uint32_t i = slot_of(owner);

	if (!owner || !rtt_us)
		return;
	q.rtt[i].owner = owner;
	q.rtt[i].rtt_us = rtt_us;
	q.rtt[i].at_ns = at_ns;
}

static uint32_t publisher_rtt(const struct sh_endpoint *e, uint64_t now_ns)
{
	uint32_t rtt = READ(e->bwe.rtt_us), i = slot_of(e->set.owner);

	if (rtt || !e->set.owner || q.rtt[i].owner != e->set.owner ||
	    now_ns - q.rtt[i].at_ns > RR_FRESH_NS)
		return rtt;
	return q.rtt[i].rtt_us;
}

static struct before layer_now(const struct sh_track *t, unsigned l, uint64_t now_ns)
{
	const struct sh_rx_stream *s = &t->media[l];
	struct before b;

	do { // the worker counts meanwhile: of one packet at most, and then once more
		b = (struct before){
		    .id = t->set.id,
		    .max_ext = READ(s->max_ext_seq),
		    .ssrc = READ(s->ssrc),
		    .at_ns = now_ns,
		    .packets = READ(s->packets),
		    .bytes = READ(s->bytes),
		    .recovered = READ(s->recovered),
		    .base_ext = READ(s->base_ext_seq),
		    .frames = READ(s->frames),
		};
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (b.max_ext != READ(s->max_ext_seq));
	return b;
}

/* Packets of the window that were expected and that did not come, by RTX neither. What came late is
 * known as lost in one window, and in the next as one more than expected, which makes up for
 * others. */
static uint32_t lost_of(const struct before *old, struct before *now, uint32_t *expected)
{
	int32_t lost;

	*expected = now->max_ext - old->max_ext;
	lost = (int32_t)(*expected - (uint32_t)(now->packets - old->packets) -
	                 (uint32_t)(now->recovered - old->recovered)) +
	       old->early;
	now->early = lost < 0 ? lost : 0;
	return lost > 0 ? (uint32_t)lost : 0;
}

static uint8_t part(uint32_t lost, uint32_t of)
{
	uint64_t f = of ? ((uint64_t)lost << 8) / of : 0;

	return f > 255 ? 255 : (uint8_t)f;
}

static void layer(struct sh_track *t, uint32_t index, unsigned l, const struct sh_endpoint *e,
                  uint64_t now_ns)
{
	struct before *old = &q.layer[index * SH_MAX_LAYERS + l], now = layer_now(t, l, now_ns);
	bool same = old->id == now.id && old->ssrc == now.ssrc && old->base_ext == now.base_ext;
	const struct sh_rx_stream *s = &t->media[l];
	struct sh_quality v = {.at_ns = now_ns};
	struct sh_quality_sum *sum = &dp_slabs.head->quality[e->set.worker][SH_QUALITY_IN];
	struct dp_mos_in in;
	uint32_t expected, lost;
	uint64_t ns;

	if (same && now_ns - old->at_ns < SHORTEST_NS)
		return;
	ns = now_ns - old->at_ns;
	if (!same || now.packets == old->packets) {
		*old = now;
		return;
	}
	lost = lost_of(old, &now, &expected);
	v.bps = per_second((now.bytes - old->bytes) * 8, ns);
	if (t->set.kind == SH_KIND_VIDEO) {
		uint32_t fps =
		    (per_second((uint64_t)(uint32_t)(now.frames - old->frames) * 10, ns) + 5) / 10;

		v.fps = fps > 255 ? 255 : (uint8_t)fps;
	}
	v.codec = codec_of(t, l);
	if (t->set.kind == SH_KIND_AUDIO && !dp_mos_codec(v.codec)) // a digit, or silence
		v.codec = t->quality[l].codec;
	v.jitter_us = ticks_us(READ(s->jitter_q4) >> 4, s->clock_hz);
	v.rtt_us = publisher_rtt(e, now_ns);
	v.lost = part(lost, expected);
	in = (struct dp_mos_in){v.codec, v.lost, v.rtt_us, v.jitter_us};
	v.mos = dp_mos(&in);
	t->quality[l] = v;
	sum->packets += expected;
	sum->lost += lost;
	*old = now;
	add(e->set.worker, SH_QUALITY_IN, &v);
	row(SH_QUALITY_TRACK, t->set.id, (uint8_t)l, &v);
}

/* The track whose packets a subscription is sent: what stands in the slot, when it is to one. NULL:
 * none. */
static const struct sh_track *source_of(const struct sh_sub *s)
{
	const struct sh_track *t = &dp_slabs.track[SH_ID_INDEX(s->set.track)];
	sh_id id;

	if (!(t->set.flags & SH_TRACK_SLOT))
		return t;
	id = atomic_load_explicit(&t->source, memory_order_relaxed);
	return id && SH_ID_INDEX(id) < dp_slabs.tracks ? &dp_slabs.track[SH_ID_INDEX(id)] : NULL;
}

static void subscription(struct sh_sub *s, uint32_t index, const struct sh_endpoint *e,
                         uint64_t now_ns)
{
	struct before *old = &q.sub[index], now = {
	                                        .id = s->set.id,
	                                        .at_ns = now_ns,
	                                        .packets = READ(s->packets),
	                                        .bytes = READ(s->bytes),
	                                        .rr_lost = READ(s->rr_lost),
	                                    };
	struct sh_quality_sum *sum = &dp_slabs.head->quality[e->set.worker][SH_QUALITY_OUT];
	const struct sh_track *t = source_of(s);
	struct sh_quality v = {.at_ns = now_ns};
	uint64_t rr = READ(s->rr_at_ns), ns = now_ns - old->at_ns;
	uint8_t l = READ(s->layer);
	int32_t lost;

	if (old->id == now.id && ns < SHORTEST_NS)
		return;
	if (old->id != now.id || now.packets == old->packets || !t) {
		*old = now;
		return;
	}
	if (l >= SH_MAX_LAYERS)
		l = 0;
	v.codec = READ(t->quality[l].codec);
	v.bps = per_second((now.bytes - old->bytes) * 8, ns);
	if (rr && now_ns - rr < RR_FRESH_NS) {
		struct dp_mos_in in = {.codec = v.codec};

		v.lost = READ(s->rr_fraction);
		v.jitter_us = ticks_us(READ(s->rr_jitter), READ(t->media[l].clock_hz));
		v.rtt_us = READ(s->rr_rtt_us);
		remember_rtt(e->set.owner, v.rtt_us, rr);
		in.lost = v.lost;
		in.jitter_us = v.jitter_us;
		/* From mouth to ear there are two networks. */
		in.rtt_us = v.rtt_us + READ(t->quality[l].rtt_us);
		v.mos = dp_mos(&in);
	}
	s->quality = v;
	lost =
	    (int32_t)(now.rr_lost - old->rr_lost); // more duplicates than losses make it negative
	sum->packets += now.packets - old->packets;
	sum->lost += lost > 0 ? (uint32_t)lost : 0;
	*old = now;
	add(e->set.worker, SH_QUALITY_OUT, &v);
	row(SH_QUALITY_SUB, s->set.id, l, &v);
}

/* ---- the round ---- */

static uint32_t endpoints(void)
{
	uint32_t n = 0;

	for (unsigned w = 0; w < q.workers; w++) {
		const struct dp_fanout *list = dp_worker_endpoints(w);

		n += list ? list->n : 0;
	}
	return n;
}

void dp_quality_begin(uint64_t now_ns)
{
	if (q.busy)
		return;
	q.busy = true;
	q.left = endpoints();
	if (q.full) {
		q.worker = q.full_worker;
		q.at = q.full_at;
		q.full = false;
	}
	memset(q.streams, 0, sizeof(q.streams));
}

/* The endpoint that the cursor stands on; lists may have changed since. false: there are none. */
static bool next_endpoint(uint32_t *index)
{
	for (unsigned tries = 0; tries <= q.workers; tries++) {
		const struct dp_fanout *list = dp_worker_endpoints(q.worker);

		if (list && q.at < list->n) {
			*index = list->sub[q.at++];
			return true;
		}
		q.at = 0;
		q.worker = (q.worker + 1) % q.workers;
	}
	return false;
}

static unsigned one_endpoint(uint32_t index, uint64_t now_ns)
{
	const struct sh_endpoint *e = &dp_slabs.endpoint[index];
	const struct dp_fanout *tracks = dp_endpoint_tracks(index), *subs = dp_endpoint_subs(index);
	unsigned n = 1;

	if (!live(&e->state) || e->set.worker >= q.workers)
		return n;
	for (uint32_t i = 0; tracks && i < tracks->n; i++) {
		struct sh_track *t = &dp_slabs.track[tracks->sub[i]];

		for (unsigned l = 0; live(&t->state) && l < t->set.layers && l < SH_MAX_LAYERS;
		     l++, n++)
			if (READ(t->media[l].ssrc))
				layer(t, tracks->sub[i], l, e, now_ns);
	}
	for (uint32_t i = 0; subs && i < subs->n; i++, n++) {
		struct sh_sub *s = &dp_slabs.sub[subs->sub[i]];

		if (live(&s->state))
			subscription(s, subs->sub[i], e, now_ns);
	}
	return n;
}

bool dp_quality_step(uint64_t now_ns, unsigned most)
{
	uint32_t index;

	if (!q.busy)
		return false;
	for (unsigned n = 0; n < most && q.left; q.left--) {
		if (!next_endpoint(&index)) {
			q.left = 0;
			break;
		}
		n += one_endpoint(index, now_ns);
	}
	if (q.left)
		return true;
	say();
	q.busy = false;
	for (unsigned w = 0; w < q.workers; w++)
		for (unsigned way = 0; way < SH_QUALITY_WAYS; way++)
			dp_slabs.head->quality[w][way].streams = q.streams[w][way];
	return false;
}
