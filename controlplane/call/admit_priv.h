/* Private to admit.c and admit_load.c. */
#pragma once
#include "controlplane/call/admit.h"
#include "controlplane/call/calls_priv.h"
#include "shared/cost.h"
#include "shared/state.h"

/* What a track sends, a second. Bytes are of packets as counted: payload. */
struct cp_rate {
	sh_id id;
	bool first; // counters of a second ago are there
	uint64_t born_ns, packets[SH_MAX_LAYERS], bytes[SH_MAX_LAYERS];
	struct sh_cost_flow in;  // from its publisher: all layers
	struct sh_cost_flow out; // to a subscriber: the most of a layer
};

struct cp_admit {
	struct cp_calls *calls;
	unsigned budget;
	bool has_model;
	struct sh_cost_model model;
	char state[256];
	struct sh_slabs slabs; // head NULL: not open
	struct cp_timer *timer;
	uint64_t sampled_ns;
	struct cp_admit_measured {
		uint64_t busy, idle; // cycles until the last sample
		bool first;
		double share;  // 0..1, of the last seconds
		double coming; // the same, of those let in who do not send yet; fades
	} measured[SH_MAX_WORKERS];
	struct cp_rate *rate; // by index of the plane id
	/* What the workers carry by the model, and what was let in since. */
	struct sh_cost_load load[SH_MAX_WORKERS];
	uint64_t loaded_ns; // 0: never
	char why[160];
	uint64_t refused, logged_ns;
	unsigned unlogged;
};

/* admit_load.c */
int cp_load_start(struct cp_admit *a);
void cp_load_stop(struct cp_admit *a);
/* load[] as of the last second or less. */
void cp_load_refresh(struct cp_admit *a);
/* What the track costs its publisher's worker, and each subscriber's. */
const struct cp_rate *cp_load_rate(struct cp_admit *a, const struct cp_track *t);
struct sh_cost_flow cp_load_default(enum sh_kind kind);
/* Feedback that the links send, a second. */
double cp_load_told(const struct sh_cost_load *l);
enum sh_cost_cipher cp_load_cipher(const struct cp_admit *a, const struct cp_endpoint *e);
unsigned cp_load_workers(const struct cp_admit *a); // at least 1
