#include "controlplane/core.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "controlplane/call/admit.h"
#include "controlplane/call/call.h"
#include "controlplane/loop.h"
#include "controlplane/nego/dtls.h"
#include "controlplane/ops/admin.h"
#include "controlplane/ops/health.h"
#include "controlplane/ops/metrics.h"
#include "controlplane/plane/plane.h"
#include "controlplane/signaling/auth.h"
#include "controlplane/signaling/signaling.h"
#include "shared/cost_file.h"
#include "shared/log.h"
#include "shared/state.h"

struct cp_core {
	struct cp_front *front;
	struct cp_plane *plane;
	struct cp_timer *tick;
	struct cp_dtls_ctx *dtls;
	struct cp_calls *calls;
	struct cp_auth *auth;
	struct cp_signaling *signaling;
	char journal[512], dtls_dir[512];
	bool modelled;
};

/* ---- the loop ---- */

static void plane_readable(int fd, unsigned events, void *arg)
{
	struct cp_core *c = arg;

	cp_plane_on_readable(c->plane, fd);
}

static void plane_watch(int fd, bool on, void *arg)
{
	if (cp_loop_watch(fd, on ? CP_FD_READ : 0, plane_readable, arg))
		sh_error("plane", "cannot watch a descriptor");
}

static void tick(void *arg)
{
	struct cp_core *c = arg;
	uint64_t again_ns = cp_plane_tick(c->plane, cp_now_ns());

	cp_timer_start(c->tick, again_ns / 1000000 + 1);
}

static void count(const struct cp_core *c)
{
	struct cp_signaling_counts s;
	struct cp_plane_counts p;
	struct cp_admission_counts a;
	struct cp_calls_counts k;

	cp_signaling_counts(c->signaling, &s);
	cp_plane_counts(c->plane, &p);
	cp_calls_counts(c->calls, &k);
	cp_admission_counts(c->calls, &a);
	cp_metric_set(CP_METRIC_sessions, s.sessions);
	cp_metric_set(CP_METRIC_rooms, k.rooms);
	cp_metric_set(CP_METRIC_participants, k.participants);
	cp_metric_set(CP_METRIC_calls, k.calls);
	cp_metric_set(CP_METRIC_calls_started, k.calls_started);
	cp_metric_set(CP_METRIC_calls_answered, k.calls_answered);
	cp_metric_set(CP_METRIC_whip_sessions, s.whip);
	cp_metric_set(CP_METRIC_whep_sessions, s.whep);
	cp_metric_set(CP_METRIC_logins, s.logins);
	cp_metric_set(CP_METRIC_logins_failed, s.logins_refused);
	cp_metric_set(CP_METRIC_logins_limited, s.logins_limited);
	cp_metric_set(CP_METRIC_requests_bad, s.refused);
	cp_metric_set(CP_METRIC_admission_refused, a.refused);
	cp_metric_set(CP_METRIC_admission_busiest, a.busiest);
	cp_metric_set(CP_METRIC_admission_model, c->modelled);
	cp_metric_set(CP_METRIC_plane_up, cp_plane_up(c->plane));
	cp_metric_set(CP_METRIC_plane_commits, p.commits);
	cp_metric_set(CP_METRIC_plane_refused, p.commits_refused);
}

static bool told(uint64_t ticket, void *arg)
{
	return cp_plane_told(arg, ticket);
}

/* What one turn changed becomes offers, a journal entry, and one transaction, in this order: offers
 * set state too. */
static void turn(void *arg)
{
	struct cp_core *c = arg;

	cp_signaling_turn(c->signaling);
	cp_plane_flush(c->plane);
	cp_front_release(c->front, told, c->plane);
	cp_timer_start(c->tick, cp_plane_wait(c->plane, cp_now_ns()) / 1000000 + 1);
	count(c);
}

static void on_link(const char *down, void *arg)
{
	cp_health_set(down);
	if (down)
		sh_warn("plane", "dataplane gone: %s", down);
	else
		sh_info("plane", "dataplane linked");
}

static int cmd_rooms(json_t **data, const json_t *request, void *arg)
{
	*data = cp_calls_rooms_json(arg);
	return *data ? 0 : -ENOMEM;
}

static int cmd_names(json_t **data, const json_t *request, void *arg)
{
	*data = cp_calls_names_json(arg, json_object_get(request, "tracks"),
	                            json_object_get(request, "subs"));
	return *data ? 0 : -ENOMEM;
}

static int cmd_admission(json_t **data, const json_t *request, void *arg)
{
	*data = cp_admission_json(arg);
	return *data ? 0 : -ENOMEM;
}

/* ---- beginning ---- */

/* A model that is there and cannot be used is an operator's mistake, but no reason not to serve: the measured
 * use of the workers still guards those inside. */
static int start_admission(struct cp_core *c, const struct cp_conf *conf)
{
	char path[512], state[256], why[768];
	struct sh_cost_model model;
	struct cp_admission_conf ac = {.budget = conf->admission_budget, .state = state};
	int err;

	if (!conf->admission) {
		sh_info("admission", "off: everybody is let in");
		return 0;
	}
	if (!sh_state_path(state, sizeof(state), conf->rundir) ||
	    !cp_conf_path(conf, conf->admission_model, path, sizeof(path)))
		return -ENAMETOOLONG;
	err = sh_cost_load_file(&model, path, why, sizeof(why));
	c->modelled = !err;
	if (!err)
		ac.model = &model;
	if (!err)
		sh_info("admission", "model %s, budget %u %%", path, ac.budget);
	else if (err == -ENOENT)
		sh_info("admission", "no model (%s): only the measured use of the workers counts", path);
	else
		sh_error("admission", "without a model: %s", why);
	return cp_calls_admission(c->calls, &ac);
}

static int start_plane(struct cp_core *c, const struct cp_conf *conf)
{
	const struct passwd *pw = conf->dataplane_user[0] ? getpwnam(conf->dataplane_user) : NULL;
	struct cp_plane_conf pc = {
	    .rundir = conf->rundir,
	    .peer = pw ? pw->pw_uid : (uid_t)-1,
	    .watch = plane_watch,
	    .watch_arg = c,
	};

	if (conf->dataplane_user[0] && !pw) {
		sh_error("plane", "dataplane_user %s: there is no such user", conf->dataplane_user);
		return -ENOENT;
	}
	while (pc.epoch == 0)
		if (getrandom(&pc.epoch, sizeof(pc.epoch), 0) != sizeof(pc.epoch))
			return -EIO;
	cp_health_set("the dataplane is not linked");
	return cp_plane_alloc(&c->plane, &pc);
}

static int start_signaling(struct cp_core *c, const struct cp_conf *conf)
{
	const struct cp_signaling_conf sc = {
	    .resume_ttl_s = conf->resume_ttl,
	    .login_timeout_s = conf->login_timeout,
	    .max_sessions = conf->max_connections,
	    .rate = conf->request_rate,
	    .burst = conf->request_burst,
	    .journal = c->journal,
	};

	snprintf(c->journal, sizeof(c->journal), "%s/calls.db", conf->data_dir);
	return cp_signaling_start(c->signaling, &sc, c->calls, c->auth);
}

int cp_core_alloc(struct cp_core **out, struct cp_front_ws *ws)
{
	struct cp_core *c = calloc(1, sizeof(*c));
	int err = c ? cp_signaling_alloc(&c->signaling) : -ENOMEM;

	if (err) {
		free(c);
		return err;
	}
	cp_signaling_ws(c->signaling, ws);
	*out = c;
	return 0;
}

int cp_core_start(struct cp_core *c, const struct cp_conf *conf, struct cp_front *front,
                  struct cp_admin *admin, struct cp_store *store, const struct cp_token_key *key)
{
	const struct cp_limits limits = {
	    .max_rooms = conf->max_rooms,
	    .max_participants = conf->max_participants,
	    .max_tracks = conf->max_tracks,
	    .direct_max = conf->direct_max,
	    .audio_slots = conf->audio_slots,
	    .video_slots = conf->video_slots,
	};
	int err;

	c->front = front;
	snprintf(c->dtls_dir, sizeof(c->dtls_dir), "%s/dtls", conf->data_dir);
	err = start_plane(c, conf);
	if (!err)
		err = cp_dtls_ctx_alloc(&c->dtls, c->dtls_dir);
	if (!err)
		err = cp_calls_alloc(&c->calls, c->plane, c->dtls, &limits);
	if (!err)
		err = cp_auth_alloc(&c->auth, store, key, conf->token_ttl, conf->login_rate);
	if (err)
		return err;
	err = start_admission(c, conf);
	if (err)
		return err;
	cp_calls_on_link(c->calls, on_link, c);
	cp_call_set_no_answer(c->calls, conf->ring_timeout);
	err = start_signaling(c, conf);
	if (!err)
		err = cp_signaling_routes(c->signaling, front);
	if (!err)
		err = cp_admin_register(admin, "rooms", "rooms, who is in them, and their tracks",
		                        cmd_rooms, c->calls);
	if (!err)
		err = cp_admin_register(admin, "names", "whose the dataplane's tracks and subs are",
		                        cmd_names, c->calls);
	if (!err)
		err = cp_admin_register(admin, "admission", "how much the workers are used, and who was refused",
		                        cmd_admission, c->calls);
	if (!err)
		err = cp_timer_alloc(&c->tick, tick, c);
	if (!err)
		err = cp_loop_on_turn(turn, c);
	if (err)
		return err;
	cp_plane_start(c->plane, cp_now_ns());
	tick(c);
	return 0;
}

/* ---- the end ---- */

void cp_core_stop(struct cp_core *c)
{
	/* First, so that what the others let go of stays in the dataplane, and no peer gets a DTLS
	 * close_notify. */
	if (c->plane)
		cp_plane_stop(c->plane);
	cp_signaling_stop(c->signaling);
	cp_timer_free(c->tick);
	cp_calls_free(c->calls);
	cp_plane_free(c->plane);
	cp_dtls_ctx_free(c->dtls);
}

void cp_core_free(struct cp_core *c)
{
	cp_signaling_free(c->signaling);
	cp_auth_free(c->auth);
	free(c);
}
