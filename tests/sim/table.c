/* Scenarios, and what must hold in them: 224 links, a room of eight subscribers, a link that falls.
 * `sim` alone is the test, `sim --table` prints the figures as Markdown, `sim --one KBPS LOSS RTT
 * [svc] [trace] [jitter=MS] [burst=BYTES]` runs one link. */
#include "tests/sim/sim.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMITED_S = 60, LIFTED_S = 40 };

struct row {
	uint32_t kbps, loss, rtt, jitter;
	bool svc;
	bool trace;
	uint32_t burst;
};

/* One camera and one microphone over a link that is lifted after a minute. */
static struct sim *run(const struct row *r)
{
	struct sim *s = sim_new(1);
	struct sim_peer *p;

	sim_camera(s, r->svc);
	sim_microphone(s);
	p = sim_peer(s);
	p->rtt_ms = r->rtt;
	p->up_loss_ppm = r->loss * 10000;
	p->phases = 2;
	p->phase[0].link = (struct dp_wire_conf){.rate_bps = r->kbps * 1000ull,
	                                         .queue_bytes = r->kbps * 1000 / 8 * 3 / 10,
	                                         .loss_good_ppm = r->loss * 10000,
	                                         .jitter_us = r->jitter * 1000,
	                                         .burst_bytes = r->burst};
	p->phase[1] = (struct sim_phase){LIMITED_S, p->phase[0].link};
	p->phase[1].link.rate_bps = 10000000;
	p->phase[1].link.queue_bytes = 10000000 / 8 * 3 / 10;
	s->end_s = LIMITED_S + LIFTED_S;
	s->trace = r->trace;
	sim_run(s);
	return s;
}

int sim_failures;
static void must(bool truth, const struct row *r, const char *what, double is)
{
	if (truth)
		return;
	printf("FAILED: %u kb/s %u %% %u ms%s: %s (%.2f)\n", r->kbps, r->loss, r->rtt,
	       r->svc ? " svc" : "", what, is);
	sim_failures++;
}

static void check(const struct row *r, const struct sim_peer *p)
{
	const struct sim_figures *f = &p->figure[0], *g = &p->figure[1];

	must(f->converge_s >= 0 && f->converge_s <= 10, r, "converges within 10 s", f->converge_s);
	/* at 10 % loss the luck of single seconds is worth a step now and then */
	must(f->use >= (r->loss > 5 ? 0.90 : 0.95), r, "uses 95 % of what fits", f->use);
	must(f->standing_ms <= 100, r, "no standing queue over 100 ms", f->standing_ms);
	must(g->converge_s >= 0 && g->converge_s <= 20, r, "up again within 20 s", g->converge_s);
	must(g->use >= 0.95, r, "stays up", g->use);
	must(f->freeze_ms <= 500 && g->freeze_ms <= 500, r, "no freeze over 500 ms",
	     f->freeze_ms > g->freeze_ms ? f->freeze_ms : g->freeze_ms);
	must(r->loss > 5 || (f->frames >= 0.97 && g->frames >= 0.97), r,
	     "97 % of frames come whole", f->frames < g->frames ? f->frames : g->frames);
}

static void print_head(void)
{
	printf("| kb/s | loss | RTT | codec | converged | use | queue mean | p95 | standing | "
	       "dropped | frames | freeze | probes | switches | "
	       "up again | use |\n");
	printf("| ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: "
	       "| ---: | ---: | ---: | ---: |\n");
}

static void print_row(const struct row *r, const struct sim_peer *p)
{
	const struct sim_figures *f = &p->figure[0], *g = &p->figure[1];

	printf("| %u | %u %% | %u ms | %s | %.1f s | %.1f %% | %.0f ms | %.0f | %.0f | %.1f %% | "
	       "%.1f %% | %.0f ms | %.0f kb/s | %u | %.1f s | "
	       "%.1f %% |\n",
	       r->kbps, r->loss, r->rtt, r->svc ? "SVC" : "simulcast", f->converge_s, f->use * 100,
	       f->queue_mean_ms, f->queue_p95_ms, f->standing_ms, f->full * 100, f->frames * 100,
	       f->freeze_ms, f->padding_bps / 1e3, f->switches, g->converge_s, g->use * 100);
}

static void one(struct row r, bool print)
{
	struct sim *s = run(&r);

	if (print)
		print_row(&r, &s->peer[0]);
	check(&r, &s->peer[0]);
	sim_free(s);
}

static void table(bool print)
{
	static const uint32_t kbps[] = {300, 500, 800, 1200, 2000, 3000, 5000},
	                      loss[] = {0, 2, 5, 10}, rtt[] = {20, 50, 100, 300};

	if (print)
		print_head();
	for (unsigned v = 0; v < 2; v++)
		for (unsigned i = 0; i < sizeof(kbps) / sizeof(*kbps); i++)
			for (unsigned l = 0; l < sizeof(loss) / sizeof(*loss); l++)
				for (unsigned t = 0; t < sizeof(rtt) / sizeof(*rtt); t++)
					one((struct row){.kbps = kbps[i],
					                 .loss = loss[l],
					                 .rtt = rtt[t],
					                 .jitter = 2,
					                 .svc = v},
					    print);
}

/* ---- several at once ---- */

void sim_must(bool truth, const char *room, unsigned peer, const char *what, double is)
{
	if (truth)
		return;
	printf("FAILED: %s, subscriber %u: %s (%.2f)\n", room, peer, what, is);
	sim_failures++;
}

/* Three cameras and microphones, eight subscribers behind links of their own: what one has is no
 * matter to the others. */
static void room(bool print)
{
	static const struct {
		uint32_t kbps, loss, rtt, speaker;
	} way[SIM_PEERS] = {{400, 0, 40, 0},   {800, 0, 80, 1},   {1500, 2, 60, 3},
	                    {2500, 0, 30, 0},  {5000, 5, 120, 1}, {10000, 0, 20, 0},
	                    {1000, 5, 200, 5}, {3000, 1, 300, 3}};
	struct sim *s = sim_new(2);

	for (unsigned i = 0; i < 3; i++) {
		sim_camera(s, i == 2);
		sim_microphone(s);
	}
	for (unsigned i = 0; i < SIM_PEERS; i++) {
		struct sim_peer *p = sim_peer(s);

		p->rtt_ms = way[i].rtt;
		p->speaker = (uint8_t)way[i].speaker;
		p->up_loss_ppm = way[i].loss * 10000;
		p->phases = 1;
		p->phase[0].link =
		    (struct dp_wire_conf){.rate_bps = way[i].kbps * 1000ull,
		                          .queue_bytes = way[i].kbps * 1000 / 8 * 3 / 10,
		                          .loss_good_ppm = way[i].loss * 10000,
		                          .jitter_us = 3000};
	}
	s->end_s = 120;
	sim_run(s);
	for (unsigned i = 0; i < SIM_PEERS; i++) {
		const struct sim_figures *f = &s->peer[i].figure[0];

		if (print)
			printf("| %u kb/s, %u %%, %u ms | %.1f s | %.0f of %.0f kb/s | %.1f %% | "
			       "%.0f ms | %.1f %% |\n",
			       way[i].kbps, way[i].loss, way[i].rtt, f->converge_s,
			       f->video_bps / 1e3, f->oracle_bps / 1e3, f->use * 100,
			       f->standing_ms, f->frames * 100);
		sim_must(f->converge_s >= 0 && f->converge_s <= 10, "room", i,
		         "converges within 10 s", f->converge_s);
		sim_must(f->use >= 0.95, "room", i, "uses 95 % of what fits", f->use);
		sim_must(f->standing_ms <= 100, "room", i, "no standing queue over 100 ms",
		         f->standing_ms);
		sim_must(f->frames >= 0.97, "room", i, "97 % of frames come whole", f->frames);
	}
	sim_free(s);
}

/* A link that falls from 5 Mb/s to a tenth, then comes back: the queue that this makes is gone
 * soon. */
static void fall(bool print)
{
	struct sim *s = sim_new(3);
	struct sim_peer *p;

	sim_camera(s, false);
	sim_microphone(s);
	p = sim_peer(s);
	p->rtt_ms = 60;
	p->phases = 3;
	p->phase[0].link =
	    (struct dp_wire_conf){.rate_bps = 5000000, .queue_bytes = 187500, .jitter_us = 2000};
	p->phase[1] =
	    (struct sim_phase){20, {.rate_bps = 500000, .queue_bytes = 62500, .jitter_us = 2000}};
	p->phase[2] = (struct sim_phase){50, p->phase[0].link};
	s->end_s = 80;
	sim_run(s);
	for (unsigned i = 0; i < 3; i++) {
		const struct sim_figures *f = &p->figure[i];

		if (print)
			printf("fall, phase %u: converged %.1f s, use %.1f %%, queue mean %.0f p95 "
			       "%.0f standing %.0f ms, frames %.1f %%\n",
			       i, f->converge_s, f->use * 100, f->queue_mean_ms, f->queue_p95_ms,
			       f->standing_ms, f->frames * 100);
		sim_must(f->converge_s >= 0 && f->converge_s <= (i == 2 ? 20 : 10), "fall", i,
		         "converges", f->converge_s);
		sim_must(f->use >= 0.95, "fall", i, "uses 95 % of what fits", f->use);
		sim_must(f->standing_ms <= 100 || i == 1, "fall", i,
		         "no standing queue over 100 ms", f->standing_ms);
		sim_must(f->queue_mean_ms <= 100, "fall", i, "the queue drains", f->queue_mean_ms);
	}
	sim_free(s);
}

/* Links about and below what the lowest quality takes, behind a router with a token bucket: ten
 * seconds after the link became so the picture keeps its size, is not paused, and the queue is
 * short. */
static void narrow_one(uint32_t kbps, uint32_t burst, bool print)
{
	struct sim *s = sim_new(kbps + burst);
	const struct sim_figures *f, *g;
	struct sim_peer *p;
	char name[64];

	sim_webcam(s);
	sim_microphone(s);
	p = sim_peer(s);
	p->rtt_ms = 10;
	p->phases = 4;
	p->phase[0].link = (struct dp_wire_conf){.rate_bps = 10000000, .queue_bytes = 375000};
	p->phase[1] = (struct sim_phase){
	    20,
	    {.rate_bps = kbps * 1000ull, .queue_bytes = kbps * 25 + burst, .burst_bytes = burst}};
	p->phase[2] = (struct sim_phase){30, p->phase[1].link};
	p->phase[3] = (struct sim_phase){90, p->phase[0].link};
	s->end_s = 120;
	sim_run(s);
	f = &p->figure[2];
	g = &p->figure[3];
	snprintf(name, sizeof(name), "narrow, %u kb/s, bucket of %u bytes", kbps, burst);
	if (print)
		printf("| %u kb/s, %u bytes | %u | %.0f ms | %.0f ms | %.0f ms | %.0f | %.0f | "
		       "%.1f %% | "
		       "%.1f %% | %.0f kb/s | %.1f s |\n",
		       kbps, burst, f->sizes, f->paused_ms, f->freeze_ms, f->queue_mean_ms,
		       f->queue_p95_ms, f->standing_ms, f->full * 100, f->use * 100,
		       f->padding_bps / 1e3, g->converge_s);
	sim_must(f->sizes <= 4, name, 0, "keeps its size for a minute", f->sizes);
	sim_must(f->paused_ms <= 0, name, 0, "is not paused", f->paused_ms);
	sim_must(f->freeze_ms <= 600, name, 0, "no freeze over 600 ms", f->freeze_ms);
	sim_must(f->standing_ms <= 180, name, 0, "no standing queue over 180 ms", f->standing_ms);
	sim_must(f->use >= 0.9, name, 0, "uses 90 % of what fits", f->use);
	sim_must(g->converge_s >= 0 && g->converge_s <= 20, name, 0, "up again within 20 s",
	         g->converge_s);
	sim_free(s);
}

static void narrow(bool print)
{
	if (print)
		printf("| link, bucket | sizes | paused | freeze | queue mean | p95 | standing | "
		       "dropped | "
		       "use | padding | up again |\n"
		       "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | "
		       "---: |\n");
	for (uint32_t kbps = 160; kbps <= 500; kbps += 20)
		for (uint32_t burst = 0; burst <= 5000; burst += 5000)
			narrow_one(kbps, burst, print);
}

/* What a publisher sends in one quality takes four times as much from one moment to the next. On a
 * link that has it nobody notices; on one that has not, the picture is taken away and the sound
 * goes on. */
static void leap(bool print)
{
	static const uint32_t kbps[] = {20000, 2500};

	for (unsigned i = 0; i < 2; i++) {
		struct sim *s = sim_new(17 + i);
		const struct sim_figures *f;
		struct sim_peer *p;

		sim_screen(s, 30, 4);
		sim_microphone(s);
		p = sim_peer(s);
		p->rtt_ms = 40;
		p->phases = 3;
		p->phase[0].link = (struct dp_wire_conf){.rate_bps = kbps[i] * 1000ull,
		                                         .queue_bytes = kbps[i] * 40};
		p->phase[1] = (struct sim_phase){25, p->phase[0].link};
		p->phase[2] = (struct sim_phase){60, p->phase[0].link};
		s->end_s = 80;
		sim_run(s);
		f = &p->figure[1];
		if (print)
			printf("leap, %u kb/s: paused %.0f ms, freeze %.0f ms, queue p95 %.0f ms, "
			       "dropped %.1f %%\n",
			       kbps[i], f->paused_ms, f->freeze_ms, f->queue_p95_ms, f->full * 100);
		if (i == 0) {
			sim_must(f->paused_ms <= 0, "leap", i, "is not paused", f->paused_ms);
			sim_must(f->freeze_ms <= 500, "leap", i, "no freeze over 500 ms",
			         f->freeze_ms);
		} else {
			sim_must(f->paused_ms >= 20000, "leap", i, "is paused", f->paused_ms);
			sim_must(p->figure[2].standing_ms <= 100, "leap", i,
			         "no standing queue over 100 ms", p->figure[2].standing_ms);
		}
		sim_free(s);
	}
}

int main(int argc, char **argv)
{
	if (argc > 4 && !strcmp(argv[1], "--one")) {
		struct row r = {.jitter = 2};

		r.kbps = (uint32_t)atoi(argv[2]);
		r.loss = (uint32_t)atoi(argv[3]);
		r.rtt = (uint32_t)atoi(argv[4]);

		for (int i = 5; i < argc; i++) {
			r.svc |= !strcmp(argv[i], "svc");
			r.trace |= !strcmp(argv[i], "trace");
			if (!strncmp(argv[i], "jitter=", 7))
				r.jitter = (uint32_t)atoi(argv[i] + 7);
			if (!strncmp(argv[i], "burst=", 6))
				r.burst = (uint32_t)atoi(argv[i] + 6);
		}
		print_head();
		one(r, true);
	} else {
		bool print = argc > 1 && !strcmp(argv[1], "--table");

		table(print);
		room(print);
		fall(print);
		narrow(print);
		leap(print);
		sim_start_rows(print);
	}
	if (sim_failures)
		printf("%d failed\n", sim_failures);
	return sim_failures > 0;
}
