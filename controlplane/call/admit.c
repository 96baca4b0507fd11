#include "controlplane/call/admit_priv.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "controlplane/call/agent.h"
#include "controlplane/loop.h"
#include "shared/log.h"

#define SUBSYS       "admission"
#define LOG_EVERY_NS 10000000000ull

enum { STEPS = 50 };

/* What a newcomer brings: to each worker, and places in the tables. */
struct ask {
	struct sh_cost_load add[SH_MAX_WORKERS];
	unsigned endpoints, tracks, subs;
};

int cp_calls_admission(struct cp_calls *c, const struct cp_admission_conf *conf)
{
	struct cp_admit *a = calloc(1, sizeof(*a));
	int err;

	if (!a)
		return -ENOMEM;
	a->calls = c;
	a->budget = conf->budget;
	a->has_model = conf->model != NULL;
	if (conf->model)
		a->model = *conf->model;
	err = cp_text_copy(a->state, sizeof(a->state), conf->state) ? cp_load_start(a)
	                                                            : -ENAMETOOLONG;
	if (err) {
		cp_load_stop(a);
		free(a);
		return err;
	}
	c->admit = a;
	return 0;
}

void cp_admit_free(struct cp_admit *a)
{
	if (!a)
		return;
	cp_load_stop(a);
	free(a);
}

/* ---- use ---- */

static double usable(const struct cp_admit *a)
{
	return a->has_model ? a->model.usable : 1;
}

static double by_model(const struct cp_admit *a, const struct sh_cost_load *load,
                       const struct sh_cost_load *on_top_of)
{
	if (!a->has_model)
		return 0;
	return sh_cost_more(&a->model, load, on_top_of) / (a->model.tsc_hz * a->model.usable);
}

static double use(const struct cp_admit *a, unsigned w)
{
	const struct cp_admit_measured *m = &a->measured[w];

	return fmax(m->share / usable(a) + m->coming, by_model(a, &a->load[w], NULL));
}

/* In steps, so that of workers that are about equally used the one with the fewest transports is
 * taken: what is measured says nothing yet of those who came in the last second. */
static double step(const struct cp_admit *a, const struct ask *ask, unsigned w)
{
	return floor((use(a, w) + by_model(a, &ask->add[w], &a->load[w])) * STEPS);
}

/* The least used. If it cannot carry a newcomer, none can. */
static unsigned pick(const struct cp_admit *a, const struct ask *ask)
{
	const unsigned *n = a->calls->load;
	unsigned best = 0;

	for (unsigned w = 1; w < cp_load_workers(a); w++) {
		double x = step(a, ask, w), y = step(a, ask, best);

		if (x < y ||
		    (x == y && n[w] + ask->add[w].endpoints < n[best] + ask->add[best].endpoints))
			best = w;
	}
	return best;
}

/* ---- the decision ---- */

static int refuse(struct cp_admit *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int refuse(struct cp_admit *a, const char *fmt, ...)
{
	uint64_t now = cp_now_ns();
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(a->why, sizeof(a->why), fmt, ap);
	va_end(ap);
	a->refused++;
	a->unlogged++;
	if (!a->logged_ns || now - a->logged_ns >= LOG_EVERY_NS) {
		sh_warn(SUBSYS, "refused (%u since the last such line): %s", a->unlogged, a->why);
		a->logged_ns = now;
		a->unlogged = 0;
	}
	return -EUSERS;
}

static bool touches(const struct sh_cost_load *l)
{
	static const struct sh_cost_load nothing;

	return memcmp(l, &nothing, sizeof(*l)) != 0;
}

static int check_workers(struct cp_admit *a, const struct ask *ask)
{
	for (unsigned w = 0; w < cp_load_workers(a); w++) {
		double after = use(a, w) + by_model(a, &ask->add[w], &a->load[w]);

		if (touches(&ask->add[w]) && after * 100 > a->budget)
			return refuse(a,
			              "the server is full: worker %u would be at %.0f %%, the "
			              "budget is %u %%",
			              w, ceil(after * 100), a->budget);
	}
	return 0;
}

static int check_host(struct cp_admit *a, const struct ask *ask)
{
	struct sh_cost_load all = {0};
	struct sh_cost_answer now;

	if (!a->has_model)
		return 0;
	for (unsigned w = 0; w < cp_load_workers(a); w++) {
		sh_cost_add(&all, &a->load[w], 1);
		sh_cost_add(&all, &ask->add[w], 1);
	}
	sh_cost_predict(&a->model, &all, cp_load_workers(a), &now);
	for (unsigned i = 0; i < SH_COST_LIMIT_COUNT; i++)
		if (i != SH_COST_CPU && now.used[i] * 100 > a->budget)
			return refuse(
			    a,
			    "the server is full: its %s would be at %.0f %%, the budget is %u %%",
			    sh_cost_limit_name[i], ceil(now.used[i] * 100), a->budget);
	return 0;
}

static int check_tables(struct cp_admit *a, const struct ask *ask)
{
	const struct sh_msg_e_hello *h = cp_plane_hello(a->calls->plane);
	const struct cp_calls_counts *n = &a->calls->counts;

	if (n->endpoints + ask->endpoints > h->max_endpoints)
		return refuse(a, "the server is full: %u transports (max_endpoints)",
		              h->max_endpoints);
	if (n->tracks + ask->tracks > h->max_tracks)
		return refuse(a, "the server is full: %u tracks (max_tracks)", h->max_tracks);
	if (n->subs + ask->subs > h->max_subs)
		return refuse(a, "the server is full: %u subscriptions (max_subs)", h->max_subs);
	return 0;
}

/* Yes: and from now on it counts, though it may take a while to come. */
static int decide(struct cp_admit *a, const struct ask *ask)
{
	int err = check_tables(a, ask);

	if (!err)
		err = check_workers(a, ask);
	if (!err)
		err = check_host(a, ask);
	for (unsigned w = 0; !err && w < cp_load_workers(a); w++) {
		a->measured[w].coming += by_model(a, &ask->add[w], &a->load[w]);
		sh_cost_add(&a->load[w], &ask->add[w], 1);
	}
	return err;
}

/* ---- what is asked for ---- */

static unsigned worker_of(const struct cp_admit *a, const struct cp_participant *p,
                          enum cp_target target, const struct ask *ask)
{
	return p->endpoint[target] ? p->endpoint[target]->worker
	       : p->place[target]  ? p->place[target] - 1u
	                           : pick(a, ask);
}

static void takes(struct ask *ask, unsigned w, const struct sh_cost_flow *f, double times)
{
	ask->add[w].out[SH_COST_GCM128].pps += times * f->pps;
	ask->add[w].out[SH_COST_GCM128].bytes += times * f->bytes;
	ask->add[w].subs += times;
	ask->add[w].tracked += times * f->pps;
	ask->subs += (unsigned)ceil(times);
}

/* A player takes the first track of a kind, as a rule. */
static bool wants(const struct cp_participant *p, enum sh_kind kind)
{
	const struct cp_sub *s;

	if (p->kind != CP_PARTY_WHEP)
		return p->auto_sub;
	TAILQ_FOREACH (s, &p->subs, entry)
		if (s->track->kind == kind)
			return false;
	return true;
}

/* A new track of that kind (or `times` of one) of a publisher at worker w: received, and sent to
 * whoever will have it. */
static void gives(struct cp_admit *a, struct ask *ask, const struct cp_room *room,
                  const struct cp_participant *but, unsigned w, enum sh_kind kind, double times)
{
	const struct sh_cost_flow f = cp_load_default(kind);
	const struct cp_participant *o;
	unsigned handed = 0;

	ask->add[w].in[SH_COST_GCM128].pps += times * f.pps;
	ask->add[w].in[SH_COST_GCM128].bytes += times * f.bytes;
	ask->add[w].video_in += kind == SH_KIND_VIDEO ? times * f.pps : 0;
	*(kind == SH_KIND_AUDIO ? &ask->add[w].audios : &ask->add[w].videos) += times;
	ask->tracks += (unsigned)ceil(times);
	if (!room || room->grown) // there are as many slots as there were
		return;
	TAILQ_FOREACH (o, &room->participants, entry) {
		unsigned at;

		if (o == but || !wants(o, kind))
			continue;
		at = worker_of(a, o, CP_SUBSCRIBE, ask);
		takes(ask, at, &f, times);
		if (at != w && !(handed >> at & 1))
			ask->add[at].handoffs += times * f.pps;
		handed |= 1u << at;
	}
}

static unsigned place(const struct cp_admit *a, struct ask *ask)
{
	unsigned w = pick(a, ask);

	ask->add[w].endpoints++;
	ask->endpoints++;
	return w;
}

/* What somebody in the room publishes on average: so much is expected of one more. */
static double each_publishes(const struct cp_room *room, enum sh_kind kind)
{
	const struct cp_participant *p;
	const struct cp_track *t;
	unsigned n = 0;

	TAILQ_FOREACH (p, &room->participants, entry)
		TAILQ_FOREACH (t, &p->tracks, entry)
			n += t->kind == kind;
	return room->n_participants ? (double)n / room->n_participants : 0;
}

static void takes_room(struct cp_admit *a, struct ask *ask, const struct cp_room *room, unsigned w)
{
	const struct cp_participant *p;
	const struct cp_track *t;

	TAILQ_FOREACH (t, &room->slots, entry)
		takes(ask, w, &cp_load_rate(a, t)->out, 1);
	TAILQ_FOREACH (p, &room->participants, entry)
		TAILQ_FOREACH (t, &p->tracks, entry)
			if (!room->grown || !cp_slot_stands_for(t))
				takes(ask, w, &cp_load_rate(a, t)->out, 1);
}

/* A player has one m-line of a kind, as a rule. */
static void takes_name(struct cp_admit *a, struct ask *ask, struct cp_room *room, const char *name,
                       unsigned w)
{
	const struct cp_participant *p = name && *name ? cp_room_member(room, name) : NULL;
	unsigned kinds = 0;

	for (p = p ? p : TAILQ_FIRST(&room->participants); p; p = TAILQ_NEXT(p, entry)) {
		const struct cp_track *t;

		TAILQ_FOREACH (t, &p->tracks, entry) {
			if (kinds >> t->kind & 1)
				continue;
			kinds |= 1u << t->kind;
			takes(ask, w, &cp_load_rate(a, t)->out, 1);
		}
		if (name && *name)
			return;
	}
}

static bool of_a_call(const char *room)
{
	return strncmp(room, CP_CALL_ROOM, strlen(CP_CALL_ROOM)) == 0;
}

/* A new listener at worker w, whom all is for that was asked for there. */
static void listens(struct ask *ask, unsigned w)
{
	ask->add[w].links = 1;
	ask->add[w].told = cp_load_told(&ask->add[w]);
}

int cp_admit_join(struct cp_calls *c, const struct cp_join *join, uint8_t places[2])
{
	struct cp_room *room = cp_room_find(c, join->room);
	struct cp_admit *a = c->admit;
	struct ask ask = {0};
	unsigned w;

	places[CP_PUBLISH] = places[CP_SUBSCRIBE] = 0;
	if (!a || of_a_call(join->room))
		return 0;
	cp_load_refresh(a);
	if (join->kind != CP_PARTY_WHIP) {
		w = place(a, &ask);
		places[CP_SUBSCRIBE] = (uint8_t)(w + 1);
		if (room && join->kind == CP_PARTY_WHEP)
			takes_name(a, &ask, room, join->name, w);
		else if (room && join->auto_sub)
			takes_room(a, &ask, room, w);
		listens(&ask, w);
	}
	if (join->kind != CP_PARTY_WHEP) {
		w = place(a, &ask);
		places[CP_PUBLISH] = (uint8_t)(w + 1);
	}
	if (room && join->kind == CP_PARTY_CLIENT) {
		gives(a, &ask, room, NULL, w, SH_KIND_AUDIO, each_publishes(room, SH_KIND_AUDIO));
		gives(a, &ask, room, NULL, w, SH_KIND_VIDEO, each_publishes(room, SH_KIND_VIDEO));
	}
	return decide(a, &ask);
}

/* What was expected of somebody who joined is not to count twice when it comes: no more is coming
 * than what is declared and not measured yet. */
static void forget_expected(struct cp_admit *a)
{
	a->loaded_ns = 0;
	cp_load_refresh(a);
	for (unsigned w = 0; w < cp_load_workers(a); w++) {
		struct cp_admit_measured *m = &a->measured[w];
		double declared = by_model(a, &a->load[w], NULL) - m->share / usable(a);

		m->coming = fmin(m->coming, fmax(declared, 0));
	}
}

int cp_admit_publish(struct cp_participant *p, unsigned audios, unsigned videos)
{
	struct cp_admit *a = p->calls->admit;
	unsigned had[2] = {0}, w;
	const struct cp_track *t;
	struct ask ask = {0};

	if (!a)
		return 0;
	TAILQ_FOREACH (t, &p->tracks, entry)
		had[t->kind == SH_KIND_VIDEO]++;
	if (of_a_call(p->room->name) && !had[0])
		had[0] = 1;
	if (of_a_call(p->room->name) && !had[1])
		had[1] = 1;
	forget_expected(a);
	w = worker_of(a, p, CP_PUBLISH, &ask);
	for (; audios > had[0]; audios--)
		gives(a, &ask, p->room, p, w, SH_KIND_AUDIO, 1);
	for (; videos > had[1]; videos--)
		gives(a, &ask, p->room, p, w, SH_KIND_VIDEO, 1);
	return decide(a, &ask);
}

int cp_may_subscribe(struct cp_participant *p, struct cp_track *const *t, size_t n)
{
	struct cp_admit *a = p->calls->admit;
	struct ask ask = {0};
	unsigned w;

	if (!a)
		return 0;
	cp_load_refresh(a);
	w = worker_of(a, p, CP_SUBSCRIBE, &ask);
	for (size_t i = 0; i < n; i++)
		takes(&ask, w, &cp_load_rate(a, t[i])->out, 1);
	return decide(a, &ask);
}

/* Two who send one another audio, and video if it is of that. */
int cp_admit_call(struct cp_calls *c, bool video)
{
	struct cp_admit *a = c->admit;
	struct ask ask = {0};

	if (!a)
		return 0;
	cp_load_refresh(a);
	for (int i = 0; i < 2; i++) {
		unsigned to = place(a, &ask), from = place(a, &ask);

		for (enum sh_kind k = SH_KIND_AUDIO; k <= (video ? SH_KIND_VIDEO : SH_KIND_AUDIO);
		     k++) {
			const struct sh_cost_flow f = cp_load_default(k);

			gives(a, &ask, NULL, NULL, from, k, 1);
			takes(&ask, to, &f, 1);
		}
	}
	return decide(a, &ask);
}

unsigned cp_admit_worker(struct cp_participant *p, enum cp_target target)
{
	struct cp_admit *a = p->calls->admit;
	const struct ask nothing = {0};
	unsigned w;

	cp_load_refresh(a);
	w = worker_of(a, p, target, &nothing);
	return w < cp_load_workers(a) ? w : pick(a, &nothing);
}

/* ---- what it says of itself ---- */

const char *cp_admission_why(const struct cp_calls *c)
{
	return c->admit ? c->admit->why : "";
}

void cp_admission_counts(const struct cp_calls *c, struct cp_admission_counts *out)
{
	const struct cp_admit *a = c->admit;

	*out = (struct cp_admission_counts){0};
	if (!a)
		return;
	out->refused = a->refused;
	for (unsigned w = 0; w < cp_load_workers(a); w++)
		if (use(a, w) * 100 > out->busiest)
			out->busiest = (unsigned)fmin(use(a, w) * 100, 1e6);
}

json_t *cp_admission_json(const struct cp_calls *c)
{
	struct cp_admit *a = c->admit;
	json_t *workers = json_array();

	if (!a) {
		json_decref(workers);
		return json_pack("{sb}", "enabled", 0);
	}
	cp_load_refresh(a);
	for (unsigned w = 0; w < cp_load_workers(a); w++)
		cp_json_push(&workers, json_pack("{si sf sf si sf}", "worker", (int)w, "measured",
		                                 a->measured[w].share * 100, "model",
		                                 by_model(a, &a->load[w], NULL) * 100, "transports",
		                                 (int)a->load[w].endpoints, "subscriptions",
		                                 a->load[w].subs));
	return json_pack("{sb sb si sI ss so}", "enabled", 1, "model", a->has_model, "budget",
	                 (int)a->budget, "refused", (json_int_t)a->refused, "last", a->why,
	                 "workers", workers);
}
