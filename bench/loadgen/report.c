#include "bench/loadgen/report.h"
#include <stdlib.h>
#include <string.h>

void lg_mark(struct lg_mark *m)
{
	lg_server_read(&m->server);
	m->at_ns = lg_now();
	m->sent = lg_totals.sent;
	m->expected = lg_totals.expected;
	m->received = lg_totals.received;
	m->bytes = lg_totals.bytes;
	m->missed = lg_net->missed ? lg_net->missed() : 0;
	m->own_cpu_ns = lg_media_cpu();
}

void lg_figures(struct lg_figures *f, const struct lg_mark *from, const struct lg_mark *to)
{
	memset(f, 0, sizeof(*f));
	f->seconds = (double)(to->at_ns - from->at_ns) / 1e9;
	f->sent = to->sent - from->sent;
	f->expected = to->expected - from->expected;
	f->received = to->received - from->received;
	f->bytes = to->bytes - from->bytes;
	f->missed = to->missed - from->missed;
	f->own_cpu_ns = to->own_cpu_ns - from->own_cpu_ns;
	f->from = from->server;
	f->to = to->server;
}

double lg_rate(const struct lg_figures *f)
{
	return f->seconds > 0 ? (double)f->received / f->seconds : 0;
}

double lg_loss_ppm(const struct lg_figures *f)
{
	return f->expected > f->received + f->missed
	           ? (double)(f->expected - f->received - f->missed) * 1e6 / (double)f->expected
	           : 0;
}

static double us(const struct lg_hist *h, double share)
{
	return (double)lg_hist_at(h, share) / 1000;
}

static double cycles_per_packet(const struct lg_figures *f)
{
	return f->received
	           ? (double)(f->to.cpu_ns - f->from.cpu_ns) * f->to.hz / 1e9 / (double)f->received
	           : 0;
}

static json_t *nodes_json(const struct lg_figures *f)
{
	json_t *all = json_object();
	struct lg_node n;
	double sum = 0;

	for (unsigned i = 0; lg_server_node(&f->from, &f->to, i, &n); i++) {
		double per = f->received ? (double)n.cycles / (double)f->received : 0;

		if (!n.packets)
			continue;
		sum += per;
		json_object_set_new(all, n.name,
		                    json_pack("{sI sI sf sf}", "packets", (json_int_t)n.packets,
		                              "cycles", (json_int_t)n.cycles, "per_item",
		                              (double)n.cycles / (double)n.packets,
		                              "per_packet_out", per));
	}
	return json_pack("{sf so}", "per_packet_out", sum, "nodes", all);
}

static const char *const causes[] = {
#define X(sym, word) word,
    LG_CAUSES(X)
#undef X
};

static json_t *late_json(const struct lg_figures *f)
{
	json_t *by = json_object();

	for (unsigned i = 0; i < LG_CAUSE_COUNT; i++) {
		const struct lg_late_row *r = &f->late.row[i];

		json_object_set_new(
		    by, causes[i],
		    json_pack("{sf sI sf}", "longest_us", (double)r->longest_ns / 1000, "over_1ms",
		              (json_int_t)r->over, "over_1ms_s", (double)r->over_ns / 1e9));
	}
	return json_pack("{sf sf sf so}", "send_us", (double)f->late.send_ns / 1000, "wait_us",
	                 (double)f->late.wait_ns / 1000, "port_us", (double)f->gap_ns / 1000, "by",
	                 by);
}

json_t *lg_figures_json(const struct lg_figures *f)
{
	json_t *o = json_pack(
	    "{sf sI sI sI sI sf sf sf}", "seconds", f->seconds, "video_kbps", (json_int_t)f->kbps,
	    "sent", (json_int_t)f->sent, "expected", (json_int_t)f->expected, "received",
	    (json_int_t)f->received, "packets_per_second", lg_rate(f), "loss_ppm", lg_loss_ppm(f),
	    "mbit_per_second", f->seconds > 0 ? (double)f->bytes * 8e-6 / f->seconds : 0);
	const struct lg_hist *h = &f->latency;

	json_object_set_new(
	    o, "latency_us",
	    json_pack("{sI sf sf sf sf sf}", "samples", (json_int_t)h->count, "mean",
	              h->count ? (double)h->sum / (double)h->count / 1000 : 0.0, "p50", us(h, .5),
	              "p99", us(h, .99), "p99.9", us(h, .999), "max", (double)h->max / 1000));
	json_object_set_new(o, "generator",
	                    json_pack("{sI sf so}", "missed", (json_int_t)f->missed, "cpu",
	                              f->seconds > 0 ? (double)f->own_cpu_ns / 1e9 / f->seconds : 0,
	                              "late", late_json(f)));
	if (lg_server_known())
		json_object_set_new(o, "server",
		                    json_pack("{sf sf sf sI sI}", "cpu",
		                              lg_server_cpu(&f->from, &f->to), "cycles_per_packet",
		                              cycles_per_packet(f), "hz", f->to.hz, "rss_kb_before",
		                              (json_int_t)f->from.rss_kb, "rss_kb_after",
		                              (json_int_t)f->to.rss_kb));
	if (f->to.nodes)
		json_object_set_new(json_object_get(o, "server"), "graph", nodes_json(f));
	return o;
}

static void print_late(const struct lg_figures *f, FILE *to)
{
	fprintf(to,
	        "%-22s sends up to %.1f, packets waited %.1f for their turn, port unwatched %.1f\n",
	        "late, ms", (double)f->late.send_ns / 1e6, (double)f->late.wait_ns / 1e6,
	        (double)f->gap_ns / 1e6);
	fprintf(to, "%-22s", "  longest turns, ms");
	for (unsigned i = 0; i < LG_CAUSE_COUNT; i++)
		fprintf(to, " %s %.1f%s", causes[i], (double)f->late.row[i].longest_ns / 1e6,
		        i + 1 < LG_CAUSE_COUNT ? "," : "\n");
}

void lg_figures_print(const struct lg_figures *f, FILE *to)
{
	const struct lg_hist *h = &f->latency;
	struct lg_node n;

	fprintf(
	    to,
	    "%-22s %.1f s, %llu packets sent, %llu of %llu received, %.0f packets/s, %.1f Mbit/s\n",
	    "traffic", f->seconds, (unsigned long long)f->sent, (unsigned long long)f->received,
	    (unsigned long long)f->expected, lg_rate(f),
	    f->seconds > 0 ? (double)f->bytes * 8e-6 / f->seconds : 0);
	fprintf(to, "%-22s p50 %.0f  p99 %.0f  p99.9 %.0f  max %.0f (%llu samples)\n",
	        "latency, µs", us(h, .5), us(h, .99), us(h, .999), (double)h->max / 1000,
	        (unsigned long long)h->count);
	fprintf(to, "%-22s %.2f CPUs, %llu packets missed\n", "generator",
	        f->seconds > 0 ? (double)f->own_cpu_ns / 1e9 / f->seconds : 0,
	        (unsigned long long)f->missed);
	print_late(f, to);
	if (lg_server_known())
		fprintf(to,
		        "%-22s %.2f CPUs, %.0f cycles a packet out (CPU time x %.2f GHz); memory "
		        "%llu MiB, "
		        "then %llu\n",
		        "server", lg_server_cpu(&f->from, &f->to), cycles_per_packet(f),
		        f->to.hz / 1e9, (unsigned long long)f->from.rss_kb / 1024,
		        (unsigned long long)f->to.rss_kb / 1024);
	for (unsigned i = 0; lg_server_node(&f->from, &f->to, i, &n); i++)
		if (n.packets && f->received)
			fprintf(to, "  %-20s %12llu items %8.0f cycles each %8.0f a packet out\n",
			        n.name, (unsigned long long)n.packets,
			        (double)n.cycles / (double)n.packets,
			        (double)n.cycles / (double)f->received);
}

void lg_step_head(FILE *to)
{
	fprintf(to, "%10s %10s %9s %7s %7s %7s %9s %9s %9s %7s\n", "kbit/s", "packets/s",
	        "lost ppm", "missed", "p50 µs", "p99 µs", "p99.9 µs", "server", "cycles",
	        "own CPU");
}

void lg_step_print(const struct lg_figures *f, bool good, FILE *to)
{
	fprintf(to, "%10u %10.0f %9.0f %7llu %7.0f %7.0f %9.0f %9.2f %9.0f %7.2f%s\n", f->kbps,
	        lg_rate(f), lg_loss_ppm(f), (unsigned long long)f->missed, us(&f->latency, .5),
	        us(&f->latency, .99), us(&f->latency, .999), lg_server_cpu(&f->from, &f->to),
	        cycles_per_packet(f), f->seconds > 0 ? (double)f->own_cpu_ns / 1e9 / f->seconds : 0,
	        good ? "" : "  lossy");
	fflush(to);
}

/* ---- receivers ---- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static json_t *spread(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), by_value);
	if (!n)
		return json_pack("{si}", "n", 0);
	return json_pack("{si sf sf sf sf}", "n", (int)n, "min", v[0], "p50", v[n / 2], "p99",
	                 v[(unsigned)((double)(n - 1) * .99)], "max", v[n - 1]);
}

/* Of all transports. */
struct sums {
	unsigned receiving, missing, failed, listeners;
	uint64_t packets, lost, repaired, duplicates, reordered, freezes, frozen_ns, bad, keys;
	uint64_t asked, given_up; // NACK
	struct lg_told in, out;   // of those that receive, of those that send
	unsigned joins, wholes, streams[2];
	double *join, *whole, *jitter[2], *each; // each: streams of a listener
};

static void add_told(struct lg_told *to, const struct lg_told *t)
{
	to->twcc_sent += t->twcc_sent;
	to->remb_sent += t->remb_sent;
	to->nacks_sent += t->nacks_sent;
	to->twcc += t->twcc;
	to->remb += t->remb;
	to->arrived += t->arrived;
	to->lost += t->lost;
	to->nacked += t->nacked;
	to->resent += t->resent;
	to->congested += t->congested;
	if (t->remb_bps && (!to->remb_bps || t->remb_bps < to->remb_bps))
		to->remb_bps = t->remb_bps;
	if (t->delay_us > to->delay_us)
		to->delay_us = t->delay_us;
}

/* 1: it has sent media since counting began. */
static unsigned add_stream(struct sums *s, const struct lg_stream *st)
{
	const struct lg_rx *r = &st->rx;

	s->bad += st->bad;
	if (st->rtx || !r->packets)
		return 0;
	s->packets += r->packets;
	s->lost += lg_rx_lost(r);
	s->repaired += r->repaired;
	s->duplicates += r->duplicates;
	s->reordered += r->reordered;
	s->freezes += r->freezes;
	s->frozen_ns += r->frozen_ns;
	if (st->nack) {
		s->asked += st->nack->asked;
		s->given_up += st->nack->given_up;
	}
	s->jitter[r->video][s->streams[r->video]++] = r->jitter * 1000 / r->clock_hz;
	return 1;
}

static void add_peer(struct sums *s, const struct lg_peer *p)
{
	unsigned alive = 0;

	s->failed += p->state == LG_FAILED;
	s->receiving += p->receives;
	s->missing += p->expects > p->alive ? p->expects - p->alive : 0;
	if (p->first_ns)
		s->join[s->joins++] = (double)(p->first_ns - p->started_ns) / 1e6;
	if (p->media_ns)
		s->whole[s->wholes++] = (double)(p->media_ns - p->started_ns) / 1e6;
	for (unsigned k = 0; k < p->n_sources; k++)
		s->keys += p->source[k]->key_frames;
	for (unsigned k = 0; k < p->n_streams; k++)
		alive += add_stream(s, p->stream[k]);
	if (p->receives)
		s->each[s->listeners++] = alive;
	add_told(p->sends ? &s->out : &s->in, &p->told);
}

static bool make_room(struct sums *s)
{
	unsigned all = 1;

	for (unsigned i = 0; i < lg_peer_count; i++)
		all += lg_peers[i]->n_streams;
	s->join = calloc(lg_peer_count + 1, sizeof(double));
	s->whole = calloc(lg_peer_count + 1, sizeof(double));
	s->each = calloc(lg_peer_count + 1, sizeof(double));
	s->jitter[0] = calloc(all, sizeof(double));
	s->jitter[1] = calloc(all, sizeof(double));
	return s->join && s->whole && s->each && s->jitter[0] && s->jitter[1];
}

static json_t *feedback_json(const struct sums *s)
{
	return json_pack(
	    "{s{sI sI sI sI sI sI sI} s{sI sI sI sf sI sI sI sI}}", "receivers", "twcc_sent",
	    (json_int_t)s->in.twcc_sent, "remb_sent", (json_int_t)s->in.remb_sent, "remb_kbps",
	    (json_int_t)(s->in.remb_bps / 1000), "congested", (json_int_t)s->in.congested,
	    "nacks_sent", (json_int_t)s->in.nacks_sent, "asked", (json_int_t)s->asked, "given_up",
	    (json_int_t)s->given_up, "publishers", "twcc", (json_int_t)s->out.twcc, "arrived",
	    (json_int_t)s->out.arrived, "lost", (json_int_t)s->out.lost, "delay_ms",
	    (double)s->out.delay_us / 1000, "remb", (json_int_t)s->out.remb, "remb_kbps",
	    (json_int_t)(s->out.remb_bps / 1000), "nacked", (json_int_t)s->out.nacked, "resent",
	    (json_int_t)s->out.resent);
}

json_t *lg_peers_json(void)
{
	static struct sums s;
	json_t *o;

	if (!make_room(&s))
		return NULL;
	for (unsigned i = 0; i < lg_peer_count; i++)
		add_peer(&s, lg_peers[i]);
	o = json_pack("{si si si sI sI sI sI sI sI sI sf sI sI}", "receiving_transports",
	              (int)s.receiving, "failed_transports", (int)s.failed, "missing_streams",
	              (int)s.missing, "packets", (json_int_t)s.packets, "lost", (json_int_t)s.lost,
	              "lost_before_repair", (json_int_t)(s.lost + s.repaired), "repaired",
	              (json_int_t)s.repaired, "duplicates", (json_int_t)s.duplicates, "reordered",
	              (json_int_t)s.reordered, "freezes", (json_int_t)s.freezes, "frozen_s",
	              (double)s.frozen_ns / 1e9, "not_authentic", (json_int_t)s.bad,
	              "key_frames_sent", (json_int_t)s.keys);
	json_object_set_new(o, "feedback", feedback_json(&s));
	json_object_set_new(o, "join_ms", spread(s.join, s.joins));
	json_object_set_new(o, "all_media_ms", spread(s.whole, s.wholes));
	json_object_set_new(o, "streams_each", spread(s.each, s.listeners));
	json_object_set_new(o, "audio_jitter_ms", spread(s.jitter[0], s.streams[0]));
	json_object_set_new(o, "video_jitter_ms", spread(s.jitter[1], s.streams[1]));
	free(s.join);
	free(s.whole);
	free(s.each);
	free(s.jitter[0]);
	free(s.jitter[1]);
	return o;
}

static long long whole(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

static void print_spread(const json_t *o, const char *key, const char *name, FILE *to)
{
	const json_t *s = json_object_get(o, key);

	if (!whole(s, "n"))
		return;
	fprintf(to, "%-22s p50 %.2f  p99 %.2f  max %.2f (%lld)\n", name,
	        json_real_value(json_object_get(s, "p50")),
	        json_real_value(json_object_get(s, "p99")),
	        json_real_value(json_object_get(s, "max")), whole(s, "n"));
}

static void print_feedback(const json_t *o, FILE *to)
{
	const json_t *in = json_object_get(o, "receivers"), *out = json_object_get(o, "publishers");

	fprintf(to,
	        "%-22s receivers sent %lld TWCC, %lld REMB (%lld congested, least %lld kbit/s), "
	        "%lld NACK for %lld packets, gave up %lld\n",
	        "feedback", whole(in, "twcc_sent"), whole(in, "remb_sent"), whole(in, "congested"),
	        whole(in, "remb_kbps"), whole(in, "nacks_sent"), whole(in, "asked"),
	        whole(in, "given_up"));
	fprintf(to,
	        "%-22s publishers had %lld TWCC: %lld of %lld packets lost, up to %.1f ms late; "
	        "%lld REMB (least %lld kbit/s), %lld packets asked for, %lld repeated\n",
	        "", whole(out, "twcc"), whole(out, "lost"),
	        whole(out, "lost") + whole(out, "arrived"),
	        json_real_value(json_object_get(out, "delay_ms")), whole(out, "remb"),
	        whole(out, "remb_kbps"), whole(out, "nacked"), whole(out, "resent"));
}

void lg_peers_print(const json_t *o, FILE *to)
{
	fprintf(to, "%-22s %lld receiving, %lld failed, %lld streams missing\n", "transports",
	        whole(o, "receiving_transports"), whole(o, "failed_transports"),
	        whole(o, "missing_streams"));
	print_spread(o, "join_ms", "join to media, ms", to);
	print_spread(o, "all_media_ms", "to all streams, ms", to);
	print_spread(o, "streams_each", "streams each", to);
	fprintf(to,
	        "%-22s %lld of %lld packets, %lld before repair; %lld duplicates, %lld reordered, "
	        "%lld not authentic\n",
	        "lost", whole(o, "lost"), whole(o, "lost") + whole(o, "packets"),
	        whole(o, "lost_before_repair"), whole(o, "duplicates"), whole(o, "reordered"),
	        whole(o, "not_authentic"));
	print_feedback(json_object_get(o, "feedback"), to);
	print_spread(o, "audio_jitter_ms", "audio jitter, ms", to);
	print_spread(o, "video_jitter_ms", "video jitter, ms", to);
	fprintf(to, "%-22s %lld, %.1f s in all; %lld key frames sent\n", "freezes over 500 ms",
	        whole(o, "freezes"), json_real_value(json_object_get(o, "frozen_s")),
	        whole(o, "key_frames_sent"));
}
