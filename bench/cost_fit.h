/* Least squares for the cost model: samples of what a packet out cost, to coefficients that are not
 * negative. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "shared/cost.h"

enum { COST_SAMPLES_MAX = 256, COST_PORTS_MAX = 4 };

/* A run of bench_forward: `subs` subscriptions in groups of `fanout` that share a track, each with
 * a transport of its own. */
struct cost_sample {
	enum sh_cost_cipher cipher;
	unsigned port; // 0: the one that does nothing; else index into ports of the result
	double payload, fanout, subs;
	double cycles;    // of a packet out, with its share of what came in
	double timers;    // of these in nodes that work by the clock, not by the packet
	bool held_out;    // not fitted on: it tests the fit
	double predicted; // out
};

struct cost_fit {
	struct sh_cost_model model; // its coefficients; the rest is left as it was
	struct sh_cost_port port[COST_PORTS_MAX];
	double rms, worst;           // relative residuals of what was fitted on
	double held_rms, held_worst; // of the others; 0: there are none
	unsigned fitted, held;
};

/* model.tsc_hz and the names of ports are given. 0, -EINVAL (too few samples for the unknowns in
 * them). */
int cost_fit(struct cost_fit *f, struct cost_sample *s, size_t n, unsigned ports);
/* What the fitted model says of a sample. */
double cost_sample_cycles(const struct cost_fit *f, const struct cost_sample *s);
