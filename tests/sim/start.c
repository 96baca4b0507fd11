/* How a picture in one quality starts and stays: with a newcomer, whose link nobody knows, with and
 * without padding to find out; on one that has not enough for it; and with a receiver that is late
 * by itself. */
#include "tests/sim/sim.h"
#include <stdio.h>

static struct sim_peer *comes(struct sim *s, uint32_t kbps, uint32_t rtt, bool padding)
{
	struct sim_peer *p = sim_peer(s);

	p->rtt_ms = rtt;
	p->start_bps = 600000;
	p->no_padding = !padding;
	p->phases = 1;
	p->phase[0].link = (struct dp_wire_conf){.rate_bps = kbps * 1000ull,
	                                         .queue_bytes = kbps * 125, // a second
	                                         .jitter_us = 2000};
	return p;
}

/* 2 Mb/s of video without sound, over a link that has ten times as much. */
static void newcomers(bool print)
{
	static const uint32_t rtt[] = {10, 40, 100, 200};

	for (unsigned i = 0; i < 8; i++) {
		struct sim *s = sim_new(40 + i);
		struct sim_peer *p;
		double first;

		sim_plain(s, 2000000);
		p = comes(s, 20000, rtt[i / 2], i % 2);
		s->end_s = 30;
		sim_run(s);
		first = p->first_ns ? p->first_ns / 1e9 : 99;
		if (print)
			printf("newcomer, %u ms, %s: a picture after %.2f s, paused %u ms\n",
			       rtt[i / 2], i % 2 ? "padding" : "no padding", first, p->dark_ms);
		sim_must(first < 2 + 2 * rtt[i / 2] / 1e3, "newcomer", i,
		         "has a picture within 2 s", first);
		sim_must(p->dark_ms < 2400, "newcomer", i, "keeps it", p->dark_ms);
		sim_free(s);
	}
}

/* The same where it does not fit, with sound. */
static void too_narrow(bool print)
{
	static const uint32_t kbps[] = {300, 500, 1000};

	for (unsigned i = 0; i < 6; i++) {
		struct sim *s = sim_new(60 + i);
		struct sim_peer *p;

		sim_plain(s, 1500000);
		sim_microphone(s);
		p = comes(s, kbps[i / 2], 40, i % 2);
		s->end_s = 60;
		sim_run(s);
		if (print)
			printf(
			    "too narrow, %u kb/s, %s: paused %u ms, queue over 100 ms for %u ms\n",
			    kbps[i / 2], i % 2 ? "padding" : "no padding", p->dark_ms, p->slow_ms);
		sim_must(p->dark_ms > 54000, "too narrow", i, "is found out", p->dark_ms);
		sim_must(p->slow_ms < 5000, "too narrow", i, "the sound suffers for seconds only",
		         p->slow_ms);
		sim_free(s);
	}
}

/* Receivers that are late by 20 to 600 ms now and then, on links that have ten times what is sent: no
 * picture is taken from them. Rooms of ten, and one large picture. */
static void late(bool print)
{
	for (unsigned i = 0; i < 12; i++) {
		struct sim *s = sim_new(80 + i);
		struct sim_peer *p;

		for (unsigned k = 0; k < (i % 2 ? 9 : 1); k++) {
			sim_plain(s, i % 2 ? 150000 : 1500000);
			sim_microphone(s);
		}
		p = comes(s, 20000, 20 + 20 * (i / 4), i % 4 < 2);
		p->stalls = true;
		p->stall_ns = 5 * SIM_S;
		s->end_s = 120;
		sim_run(s);
		if (print)
			printf("late, row %u: paused %u ms, freeze %.0f ms, estimate %.0f kb/s, "
			       "overuses %lu\n",
			       i, p->dark_ms, p->figure[0].freeze_ms,
			       p->figure[0].estimate_bps / 1e3, p->bwe.overuses);
		sim_must(p->dark_ms < 3000, "late", i, "is not paused", p->dark_ms);
		sim_must(p->figure[0].freeze_ms < 750, "late", i, "no freeze beyond the stalls",
		         p->figure[0].freeze_ms);
		sim_free(s);
	}
}

void sim_start_rows(bool print)
{
	late(print);
	newcomers(print);
	too_narrow(print);
}
