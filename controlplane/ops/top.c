#include "controlplane/ops/top.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "shared/stats.h"

const char *const top_sort_name[TOP_SORTS] = {"worst", "loss", "jitter", "rtt", "rate", "queue"};

int top_sort_parse(const char *text)
{
	for (int i = 0; i < TOP_SORTS; i++)
		if (!strcmp(text, top_sort_name[i]))
			return i;
	return -1;
}

static bool live(const _Atomic uint8_t *state)
{
	return atomic_load_explicit(state, memory_order_acquire) == SH_LIVE;
}

static bool fresh(const struct sh_quality *q, uint64_t now_ns)
{
	return q->at_ns && (int64_t)(now_ns - q->at_ns) < (int64_t)SH_QUALITY_FRESH_NS;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint32_t badness(const struct sh_quality *q)
{
	uint32_t b = q->mos && q->mos < 44 ? (44u - q->mos) * 25 : 0;

	b = larger(b, q->lost * 4u);
	b = larger(b, q->jitter_us / 1000);
	return larger(b, q->rtt_us / 2000);
}

/* The mapping may be changed under us, so nothing in it is followed unchecked. */
static void at_endpoint(struct top_row *r, const struct sh_slabs *s)
{
	const struct sh_endpoint *e;

	if (SH_ID_INDEX(r->endpoint) >= s->endpoints)
		return;
	e = &s->endpoint[SH_ID_INDEX(r->endpoint)];
	r->worker = e->set.worker;
	r->estimate_bps = e->bwe.estimate_bps;
	r->queue_us = e->bwe.queue_us;
}

static void put(struct top_row *rows, int *n, const struct sh_slabs *s, struct top_row r)
{
	if (!rows) {
		++*n;
		return;
	}
	at_endpoint(&r, s);
	r.badness = badness(&r.q);
	rows[(*n)++] = r;
}

/* rows NULL: counts only. At most `room`. */
static int walk(struct top_row *rows, int room, const struct sh_slabs *s, uint64_t now_ns)
{
	int n = 0;

	for (uint32_t i = 0; i < s->tracks; i++) {
		const struct sh_track *t = &s->track[i];

		for (unsigned l = 0; live(&t->state) && l < SH_MAX_LAYERS; l++)
			if (fresh(&t->quality[l], now_ns) && (!rows || n < room))
				put(rows, &n, s,
				    (struct top_row){.id = t->set.id,
				                     .track = t->set.id,
				                     .endpoint = t->set.endpoint,
				                     .video = t->set.kind == SH_KIND_VIDEO,
				                     .layer = (uint8_t)l,
				                     .temporal = 255,
				                     .q = t->quality[l]});
	}
	for (uint32_t i = 0; i < s->subs; i++) {
		const struct sh_sub *sub = &s->sub[i];
		uint32_t track = SH_ID_INDEX(sub->set.track);

		if (live(&sub->state) && fresh(&sub->quality, now_ns) && track < s->tracks &&
		    (!rows || n < room))
			put(rows, &n, s,
			    (struct top_row){.sub = true,
			                     .id = sub->set.id,
			                     .track = sub->set.track,
			                     .endpoint = sub->set.endpoint,
			                     .video = s->track[track].set.kind == SH_KIND_VIDEO,
			                     .layer = sub->layer,
			                     .temporal = sub->temporal,
			                     .q = sub->quality});
	}
	return n;
}

static uint32_t key(const struct top_row *r, int sort)
{
	switch (sort) {
	case TOP_SORT_LOSS:
		return r->q.lost;
	case TOP_SORT_JITTER:
		return r->q.jitter_us;
	case TOP_SORT_RTT:
		return r->q.rtt_us;
	case TOP_SORT_RATE:
		return r->q.bps;
	case TOP_SORT_QUEUE:
		return r->queue_us;
	default:
		return r->badness;
	}
}

static int compare(const void *a, const void *b, void *arg)
{
	const struct top_row *x = a, *y = b;
	uint32_t kx = key(x, *(int *)arg), ky = key(y, *(int *)arg);

	if (kx != ky)
		return kx > ky ? -1 : 1;
	if (x->sub != y->sub)
		return x->sub - y->sub;
	return x->id != y->id ? (x->id < y->id ? -1 : 1) : x->layer - y->layer;
}

int top_rows(struct top_row **out, const struct sh_slabs *s, uint64_t now_ns, int sort)
{
	int n = walk(NULL, 0, s, now_ns) + 16; // some may come meanwhile

	*out = calloc((size_t)n, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	n = walk(*out, n, s, now_ns);
	qsort_r(*out, (size_t)n, sizeof(**out), compare, &sort);
	return n;
}

void top_worker(struct top_worker *out, const struct sh_stats *before, const struct sh_stats *now,
                uint64_t ns)
{
	uint64_t busy = now->busy_cycles - before->busy_cycles,
	         idle = now->idle_cycles - before->idle_cycles;
	double s = (double)(ns ? ns : 1) / 1e9;
	uint64_t most = 0;

	*out = (struct top_worker){.worst_drop = -1};
	out->load = busy + idle ? (double)busy / (double)(busy + idle) : 0;
	out->rx_pps = (double)(now->v[SH_STAT_rx_packets] - before->v[SH_STAT_rx_packets]) / s;
	out->tx_pps = (double)(now->v[SH_STAT_tx_packets] - before->v[SH_STAT_tx_packets]) / s;
	for (int i = 0; i < SH_STAT_COUNT; i++) {
		uint64_t n = now->v[i] - before->v[i];

		if (sh_stat_info[i].kind != SH_STAT_KIND_DROP)
			continue;
		out->drops += (double)n / s;
		if (n > most) {
			most = n;
			out->worst_drop = i;
		}
	}
	sh_hist_diff(&out->latency, &now->latency, &before->latency);
}
