#include "controlplane/ops/service.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "controlplane/loop.h"
#include "controlplane/ops/admin.h"
#include "controlplane/ops/health.h"
#include "controlplane/ops/metrics.h"
#include "controlplane/signaling/front.h"
#include "shared/state.h"

static void reply_json(struct cp_http *h, int status, json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT);
	struct cp_http_resp r = {
	    .status = text ? status : 500,
	    .content_type = "application/json",
	    .body = text ? text : "",
	    .len = text ? strlen(text) : 0,
	};

	cp_http_reply(h, &r);
	free(text);
	json_decref(j);
}

static bool read_only(struct cp_http *h, const struct cp_http_req *req)
{
	struct cp_http_header allow = {"allow", "GET, HEAD"};
	struct cp_http_resp r = {.status = 405, .headers = &allow, .n_headers = 1};

	if (req->method == CP_GET || req->method == CP_HEAD)
		return true;
	cp_http_reply(h, &r);
	return false;
}

static void on_healthz(struct cp_http *h, const struct cp_http_req *req, void *arg)
{
	const char *why = cp_health();

	if (!read_only(h, req))
		return;
	if (why)
		reply_json(h, 503, json_pack("{s:s, s:s}", "status", "unavailable", "reason", why));
	else
		reply_json(h, 200, json_pack("{s:s}", "status", "ok"));
}

static void on_metrics(struct cp_http *h, const struct cp_http_req *req, void *arg)
{
	const struct cp_service *s = arg;
	struct cp_http_resp r = {.status = 200, .content_type = "text/plain; version=0.0.4; charset=utf-8"};
	char *text;

	if (!read_only(h, req))
		return;
	text = cp_metrics_text(s->state_path, cp_now_ns(), &r.len);
	if (!text) {
		cp_http_error(h, 500, "internal", "no memory");
		return;
	}
	r.body = text;
	cp_http_reply(h, &r);
	free(text);
}

#define COUNT_LIVE(entry, n)                                                                       \
	({                                                                                         \
		json_int_t live = 0;                                                               \
		for (uint32_t i = 0; i < (n); i++)                                                 \
			live += (entry)[i].state == SH_LIVE;                                       \
		live;                                                                              \
	})

static json_t *counters(const struct sh_state *head)
{
	json_t *j = json_object();

	for (unsigned k = 0; k < SH_STAT_COUNT; k++) {
		json_int_t sum = 0;

		if (sh_stat_info[k].kind != SH_STAT_KIND_COUNT)
			continue;
		for (unsigned w = 0; w <= SH_MAX_WORKERS; w++)
			sum += (json_int_t)head->stats[w].v[k];
		json_object_set_new(j, sh_stat_info[k].name, json_integer(sum));
	}
	return j;
}

static json_t *workers_detail(const struct sh_state *head)
{
	static const struct {
		const char *name;
		uint32_t part;
	} q[] = {{"p50", 500000}, {"p90", 900000}, {"p99", 990000}, {"p99.9", 999000}, {"p99.99", 999900}, {"max", 1000000}};
	json_t *a = json_array();

	for (unsigned w = 0; w < head->workers && w < SH_MAX_WORKERS; w++) {
		const struct sh_hist *h = &head->stats[w].latency;
		json_t *us = json_object();

		for (size_t i = 0; i < sizeof(q) / sizeof(q[0]); i++)
			json_object_set_new(us, q[i].name, json_real((double)sh_hist_quantile(h, q[i].part) / 1e3));
		json_array_append_new(a, json_pack("{si sI so}", "worker", (int)w, "forwarded",
		                                   (json_int_t)sh_hist_count(h), "latency_us", us));
	}
	return a;
}

static json_t *dataplane_status(const struct cp_service *s)
{
	struct sh_slabs slabs;
	json_t *j;
	int err = sh_slabs_open(&slabs, s->state_path);
	uint64_t now = cp_now_ns(), beat;

	if (err)
		return json_pack("{s:b, s:s}", "state", 0, "reason", strerror(-err));
	beat = slabs.head->heartbeat_ns;
	j = json_pack("{s:b, s:i, s:i, s:f, s:I, s:I, s:I, s:o, s:o}", "state", 1, "workers", (int)slabs.head->workers,
	              "base_port", (int)slabs.head->base_port, "heartbeat_age",
	              now > beat ? (double)(now - beat) / 1e9 : 0.0, "endpoints",
	              COUNT_LIVE(slabs.endpoint, slabs.endpoints), "tracks", COUNT_LIVE(slabs.track, slabs.tracks), "subs",
	              COUNT_LIVE(slabs.sub, slabs.subs), "counters", counters(slabs.head), "workers_detail",
	              workers_detail(slabs.head));
	sh_slabs_close(&slabs);
	return j;
}

static int cmd_status(json_t **data, const json_t *request, void *arg)
{
	const struct cp_service *s = arg;
	const char *why = cp_health();
	const uint64_t *v = cp_metric_value;

	*data = json_pack("{s:s, s:s, s:i, s:f, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "status",
	                  why ? "unavailable" : "ok", "version", CALLSTACK_VERSION, "pid", (int)getpid(), "uptime",
	                  (double)(cp_wall_ms() - s->started_ms) / 1e3, "dataplane", dataplane_status(s), "sessions",
	                  (json_int_t)v[CP_METRIC_sessions], "rooms", (json_int_t)v[CP_METRIC_rooms], "participants",
	                  (json_int_t)v[CP_METRIC_participants], "calls", (json_int_t)v[CP_METRIC_calls], "whip",
	                  (json_int_t)v[CP_METRIC_whip_sessions], "whep", (json_int_t)v[CP_METRIC_whep_sessions],
	                  "websockets", (json_int_t)v[CP_METRIC_ws_open]);
	if (*data && why)
		json_object_set_new(*data, "reason", json_string(why));
	return *data ? 0 : -ENOMEM;
}

const char *cp_service_store_url(const struct cp_conf *conf, char *buf, size_t size)
{
	const char *path = conf->store + 7;
	int n;

	if (strncmp(conf->store, "sqlite:", 7) != 0 || path[0] == '/')
		n = snprintf(buf, size, "%s", conf->store);
	else
		n = snprintf(buf, size, "sqlite:%s/%s", conf->data_dir, path);
	return n >= 0 && (size_t)n < size ? buf : NULL;
}

/* Through a temporary file, so that a reader sees the old or the new one. Nothing secret is in it. */
int cp_service_announce(const struct cp_conf *conf)
{
	char path[256], tmp[256], url[512];
	json_t *j;
	int err = 0;

	if (!cp_service_store_url(conf, url, sizeof(url)))
		return -ENAMETOOLONG;
	snprintf(path, sizeof(path), "%s/callstackd.json", conf->rundir);
	snprintf(tmp, sizeof(tmp), "%s/callstackd.json.new", conf->rundir);
	j = json_pack("{s:s, s:s, s:i, s:i}", "data_dir", conf->data_dir, "store", url, "pid", (int)getpid(),
	              "https_port", (int)conf->https_port);
	if (!j || json_dump_file(j, tmp, JSON_INDENT(2)) || rename(tmp, path) < 0)
		err = errno ? -errno : -EIO;
	json_decref(j);
	return err;
}

int cp_service_start(struct cp_service *s, const struct cp_conf *conf, struct cp_front *front, struct cp_admin *admin)
{
	int err;

	s->conf = conf;
	s->started_ms = cp_wall_ms();
	sh_state_path(s->state_path, sizeof(s->state_path), conf->rundir);
	err = cp_front_route(front, "/healthz", on_healthz, s);
	if (!err)
		err = cp_front_route_metrics(front, "/metrics", on_metrics, s);
	if (!err)
		err = cp_front_route_metrics(front, "/healthz", on_healthz, s);
	if (!err)
		err = cp_admin_register(admin, "status", "is it well, and how much of what is there", cmd_status, s);
	return err;
}
