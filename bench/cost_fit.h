/* Least squares for the cost model: samples of what a packet out cost, to coefficients that are not
 * negative. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "shared/cost.h"

enum { COST_SAMPLES_MAX = 256, COST_PORTS_MAX = 4 };

/* A run of bench_room or bench_forward. */
struct cost_sample {
	unsigned port; // 0: the one that does nothing; else index into ports of the result
	struct sh_cost_load load; // a second
	double cycles;            // of a packet out, with its share of what came in
	double timers;            // of these in nodes that work by the clock, not by the packet
	bool seldom;              // turns were so long that the clock had less to do than it should
	double base;      // of a port's sample: cycles of the same on the one that does nothing
	bool held_out;    // not fitted on: it tests the fit
	double predicted; // out
	double without;   // out: the same when it is left out of the fit; predicted where that was
	                  // not tried
};

struct cost_fit {
	struct sh_cost_model model; // its coefficients; the rest is left as it was
	struct sh_cost_port port[COST_PORTS_MAX];
	double rms, worst;           // relative residuals of what was fitted on
	double held_rms, held_worst; // of the others; 0: there are none
	double out_rms,
	    out_worst; // of each fitted one by a fit of all others, where there are enough like it
	unsigned fitted, held;
};

/* model.tsc_hz and the names of ports are given. 0, -EINVAL (too few samples for the unknowns in
 * them). */
int cost_fit(struct cost_fit *f, struct cost_sample *s, size_t n, unsigned ports);
/* Packets of uniform size, 50 a second of each track: `fanout` out for each in, subs transports
 * with one subscription each. */
void cost_sample_uniform(struct cost_sample *s, enum sh_cost_cipher cipher, double payload,
                         double fanout, double subs);
/* What the fitted model says of a sample; with a base, that and the port's part. */
double cost_sample_cycles(const struct cost_fit *f, const struct cost_sample *s);
