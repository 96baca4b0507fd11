/* Admission: who would hurt those inside is not let in. Before a join, a publication, a
 * subscription, a WHIP or WHEP session or a call, the workers' use with the newcomer is predicted,
 * by the cost model that bench/planner fitted on this host (shared/cost.h); past the budget the
 * request fails with -EUSERS and nothing changes. The use of a worker is the larger of
 *
 *     its busy cycles, as a share of all, and those who were just let in
 *     by the model, all that it carries
 *
 * as a share of its usable core. The first knows what the model does not (other work of the host,
 * requests, losses), the second those who were let in and do not send yet. Without a model the
 * first alone counts, and the newcomer as nothing. A new transport goes to the worker with the
 * least use. Besides: the port's packets and bits a second, memory, both if the model knows of
 * limits, and the places in the dataplane's tables.
 *
 * What is taken over from the journal, and what follows by itself (an offer answered, m-lines of a
 * player refilled), is not asked for again. Both parties of a call were let in when it was placed.
 * The loop's thread. */
#pragma once
#include <jansson.h>
#include <stdint.h>

struct cp_calls;
struct cp_participant;
struct cp_track;
struct sh_cost_model;

struct cp_admission_conf {
	unsigned budget;                   // percent of what a worker, port or memory bears: 1..100
	const struct sh_cost_model *model; // copied; NULL: none
	const char *state;                 // path of the dataplane's mapping (shared/state.h)
};
/* Without this call everybody is let in, and workers are chosen by number of transports. 0,
 * -ENOMEM. Once. */
int cp_calls_admission(struct cp_calls *c, const struct cp_admission_conf *conf);
/* Why the last -EUSERS; "" before the first. */
const char *cp_admission_why(const struct cp_calls *c);

struct cp_admission_counts {
	uint64_t refused;
	unsigned busiest; // percent of use of the worker that has most
};
void cp_admission_counts(const struct cp_calls *c, struct cp_admission_counts *out);
/* Budget, and each worker's use, measured and by the model. NULL: no memory. */
json_t *cp_admission_json(const struct cp_calls *c);
