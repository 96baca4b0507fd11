#include "tests/fakes/call_world.h"
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "controlplane/loop.h"
#include "controlplane/signaling/query.h"
#include "shared/log.h"

struct world world;

/* ---- what the real front, loop and store would do ---- */

uint64_t cp_wall_ms(void)
{
	return 1700000000000ull + cp_now_ns() / 1000000;
}

int cp_conn_send(struct cp_conn *c, const char *text, size_t len)
{
	json_t *o;

	if (c->close_code || !c->open)
		return -ENOBUFS;
	o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (!o)
		fprintf(stderr, "no JSON: %.*s\n", (int)len, text);
	assert(json_is_object(o));
	json_array_append_new(c->frames, o);
	return 0;
}

void cp_conn_close(struct cp_conn *c, uint16_t code, const char *reason)
{
	if (c->close_code)
		return;
	c->close_code = code;
	snprintf(c->reason, sizeof(c->reason), "%s", reason);
}

void cp_conn_hold(struct cp_conn *c, uint64_t ticket)
{
	if (ticket)
		c->ticket = ticket;
}

void cp_http_hold(struct cp_http *h, uint64_t ticket)
{
	assert(!h->status); // what was sent cannot be held
	h->ticket = ticket;
}

const char *cp_conn_peer(const struct cp_conn *c)
{
	return "192.0.2.1";
}

void cp_http_reply(struct cp_http *h, const struct cp_http_resp *r)
{
	assert(!h->status);
	h->status = r->status;
	snprintf(h->content_type, sizeof(h->content_type), "%s",
	         r->content_type ? r->content_type : "");
	for (size_t i = 0; i < r->n_headers; i++) {
		const char *v = r->headers[i].value;

		if (strcmp(r->headers[i].name, "Location") == 0)
			snprintf(h->location, sizeof(h->location), "%s", v);
		else if (strcmp(r->headers[i].name, "ETag") == 0)
			snprintf(h->etag, sizeof(h->etag), "%s", v);
		else if (strcmp(r->headers[i].name, "Allow") == 0)
			snprintf(h->allow, sizeof(h->allow), "%s", v);
		else if (strcmp(r->headers[i].name, "Retry-After") == 0)
			h->retry_after = atoi(v);
		else if (strncmp(r->headers[i].name, "Accept-", 7) == 0)
			snprintf(h->accept, sizeof(h->accept), "%s", v);
	}
	h->body = strndup(r->body ? r->body : "", r->len);
	if (!h->body)
		h->body = strdup("");
}

void cp_http_error(struct cp_http *h, int status, const char *code, const char *text)
{
	cp_http_reply(h,
	              &(struct cp_http_resp){.status = status, .body = code, .len = strlen(code)});
}

bool cp_http_query(const struct cp_http_req *req, const char *name, char *buf, size_t size)
{
	return cp_query_get(req->query, name, buf, size);
}

static cp_http_h *routes[2];

int cp_front_route(struct cp_front *f, const char *prefix, cp_http_h *h, void *arg)
{
	routes[strcmp(prefix, "/whep/") == 0] = h;
	return 0;
}

/* Password of X: "p-X". Tokens: "t-X", or "t-X-ROOM" for one room. */
struct cp_auth_job {
	cp_auth_h *h;
	void *arg;
	char user[65];
	bool right;
	struct cp_auth_job *next;
};
static struct cp_auth_job *jobs;

int cp_auth_token(struct cp_auth *a, const char *jwt, struct cp_identity *out)
{
	const char *user = strncmp(jwt, "t-", 2) == 0 ? jwt + 2 : "", *dash = strchr(user, '-');
	int n = dash ? (int)(dash - user) : (int)strlen(user);

	if (n < 1 || n > 64)
		return -EACCES;
	snprintf(out->user, sizeof(out->user), "%.*s", n, user);
	snprintf(out->display, sizeof(out->display), "%.*s", n, user);
	snprintf(out->room, sizeof(out->room), "%s", dash ? dash + 1 : "");
	return 0;
}

int cp_auth_issue(struct cp_auth *a, const struct cp_identity *id, char *buf, size_t size)
{
	snprintf(buf, size, "t-%s%s%s", id->user, id->room[0] ? "-" : "", id->room);
	return 0;
}

int cp_auth_password(struct cp_auth_job **out, struct cp_auth *a, const char *user,
                     const char *password, const char *peer, cp_auth_h *h, void *arg)
{
	struct cp_auth_job *job = calloc(1, sizeof(*job)), **at = &jobs;

	if (!job)
		return -ENOMEM;
	*job = (struct cp_auth_job){.h = h, .arg = arg};
	job->right = strncmp(password, "p-", 2) == 0 && strcmp(password + 2, user) == 0;
	snprintf(job->user, sizeof(job->user), "%s", user);
	while (*at)
		at = &(*at)->next;
	*at = *out = job;
	return 0;
}

void cp_auth_forget(struct cp_auth_job *job)
{
	job->h = NULL;
}

void world_passwords(void)
{
	struct cp_auth_job *job;
	struct cp_identity id = {0};

	while ((job = jobs)) {
		jobs = job->next;
		snprintf(id.user, sizeof(id.user), "%s", job->user);
		snprintf(id.display, sizeof(id.display), "%s", job->user);
		if (job->h)
			job->h(job->right ? 0 : -EACCES, &id, job->arg);
		free(job);
	}
}

/* ---- the daemon ---- */

static struct cp_conn *conns[64]; // open ones

static void watch(int fd, bool on, void *arg)
{
	for (int i = 0; i < 4; i++)
		if (world.fd[i] == (on ? -1 : fd)) {
			world.fd[i] = on ? fd : -1;
			return;
		}
	assert(!"watch matches nothing");
}

static void daemon_start(void)
{
	const struct cp_plane_conf conf = {
	    .rundir = world.dir, .peer = (uid_t)-1, .epoch = ++world.epoch, .watch = watch};
	int err;

	memset(world.fd, 0xff, sizeof(world.fd));
	err = cp_plane_alloc(&world.plane, &conf);
	assert(!err);
	err = cp_calls_alloc(&world.calls, world.plane, world.dtls, &world.limits);
	assert(!err);
	err = cp_signaling_alloc(&world.sig);
	assert(!err);
	cp_signaling_ws(world.sig, &world.ws);
	err = cp_signaling_start(world.sig, &world.conf, world.calls, NULL);
	assert(!err);
	cp_signaling_routes(world.sig, NULL);
	cp_plane_start(world.plane, cp_now_ns());
}

static void gone(struct cp_conn *c)
{
	if (!c->open)
		return;
	c->open = false;
	for (int i = 0; i < 64; i++)
		if (conns[i] == c)
			conns[i] = NULL;
	world.ws.close(c, c->user);
}

static void daemon_stop(void)
{
	cp_plane_stop(world.plane);
	cp_signaling_stop(world.sig);
	cp_calls_free(world.calls);
	cp_plane_free(world.plane);
	for (int i = 0; i < 64; i++)
		if (conns[i])
			gone(conns[i]);
	cp_signaling_free(world.sig);
	assert(fake_loop_timers() == 0);
}

static bool turn(void)
{
	bool any = fake_dp_poll(&world.dp);

	for (int i = 0; i < 4; i++) {
		struct pollfd f = {.fd = world.fd[i], .events = POLLIN};

		if (world.fd[i] >= 0 && poll(&f, 1, 0) == 1) {
			cp_plane_on_readable(world.plane, f.fd);
			any = true;
		}
	}
	for (int i = 0; i < 64; i++)
		if (conns[i] && conns[i]->close_code)
			gone(conns[i]);
	if (!world.slow_passwords && jobs) {
		world_passwords();
		any = true;
	}
	cp_signaling_turn(world.sig);
	(void)cp_plane_tick(world.plane, cp_now_ns());
	return any;
}

void world_settle(void)
{
	for (unsigned still = 0, i = 0; i < 5000 && still < 3; i++)
		still = turn() ? 0 : still + 1;
	assert(world.dp.bad == 0);
}

void world_advance(uint64_t ms)
{
	for (; ms > 0; ms -= ms > 500 ? 500 : ms) {
		fake_loop_advance(ms > 500 ? 500 : ms);
		world_settle();
	}
}

void world_leap(uint64_t ms)
{
	fake_loop_advance(ms);
	world_settle();
}

static void on_packet(const struct sh_msg_packet *m, void *arg);

static void link_up(void)
{
	for (int i = 0; i < 100 && !cp_plane_up(world.plane); i++)
		world_advance(100);
	assert(cp_plane_up(world.plane));
	world_settle();
}

void world_open(bool with_journal)
{
	char name[160];
	int err;

	sh_log_levels("error");
	memset(&world, 0, sizeof(world));
	snprintf(world.dir, sizeof(world.dir), "/tmp/calltest-XXXXXX");
	if (!mkdtemp(world.dir))
		abort();
	snprintf(world.journal, sizeof(world.journal), "%s/calls.db", world.dir);
	world.limits = (struct cp_limits){.max_rooms = 20, .max_participants = 6, .max_tracks = 4,
	                                   .direct_max = 6, .audio_slots = 2, .video_slots = 2};
	world.conf = (struct cp_signaling_conf){.login_timeout_s = 10,
	                                        .resume_ttl_s = 60,
	                                        .max_sessions = 40,
	                                        .rate = 50,
	                                        .burst = 2000,
	                                        .journal = with_journal ? world.journal : NULL};
	world.dp.packet = on_packet;
	err = fake_dp_open(&world.dp, world.dir, 1 << 20);
	assert(!err);
	snprintf(name, sizeof(name), "%s/dtls", world.dir);
	err = cp_dtls_ctx_alloc(&world.dtls, name);
	assert(!err);
	snprintf(name, sizeof(name), "%s/peer", world.dir);
	err = cp_dtls_ctx_alloc(&world.peer_dtls, name);
	assert(!err);
	daemon_start();
	link_up();
}

void world_close(void)
{
	char cmd[128];

	world_passwords();
	daemon_stop();
	fake_dp_kill(&world.dp);
	cp_dtls_ctx_free(world.dtls);
	cp_dtls_ctx_free(world.peer_dtls);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", world.dir);
	if (system(cmd))
		abort();
}

static void copy_journal(const char *from, const char *to)
{
	static const char *const suffix[] = {"", "-wal"};
	char cmd[512];

	for (int i = 0; i < 2; i++) {
		snprintf(cmd, sizeof(cmd), "cp -f %s%s %s%s 2>/dev/null || rm -f %s%s", from,
		         suffix[i], to, suffix[i], to, suffix[i]);
		if (system(cmd))
			abort();
	}
}

static void daemon_replace(bool killed)
{
	char kept[128];

	snprintf(kept, sizeof(kept), "%s.kept", world.journal);
	if (killed)
		copy_journal(world.journal, kept);
	daemon_stop();
	if (killed)
		copy_journal(kept, world.journal);
	daemon_start();
}

void world_restart(bool killed)
{
	world_settle();
	daemon_replace(killed);
	link_up();
}

void world_dataplane_dies(void)
{
	fake_dp_kill(&world.dp);
	world_settle();
	assert(!cp_plane_up(world.plane));
}

static void dataplane_start(bool slabs_lost)
{
	int err;

	if (slabs_lost) {
		world.dp.hello.slab_epoch++;
		memset(&world.dp.now, 0, sizeof(world.dp.now));
	}
	err = fake_dp_open(&world.dp, world.dir, 1 << 20);
	assert(!err);
}

void world_dataplane_comes(bool slabs_lost)
{
	dataplane_start(slabs_lost);
	link_up();
}

void world_reboot(void)
{
	world_settle();
	fake_dp_kill(&world.dp);
	daemon_replace(true);
	dataplane_start(true);
	link_up();
}

struct cp_calls_counts world_counts(void)
{
	struct cp_calls_counts n;

	cp_calls_counts(world.calls, &n);
	return n;
}

/* ---- peers' transports ---- */

void world_ice(const struct cp_endpoint *e, enum sh_ice_state state)
{
	struct sh_msg_endpoint_state m = {.id = e->id, .ice = state};

	if (state == SH_ICE_CONNECTED) {
		m.local = world.dp.hello.addr[0];
		m.local.port = 10000;
		m.remote = (struct sh_addr){.family = 4, .port = 4242, .ip = {192, 0, 2, 2}};
	}
	fake_dp_event(&world.dp, SH_MSG_ENDPOINT_STATE, &m, sizeof(m));
	world_settle();
}

static struct {
	struct cp_dtls *d;
	sh_id endpoint;
	bool keyed;
} peer;

static void peer_send(void *arg, const uint8_t *data, size_t len)
{
	struct sh_msg_packet m = {.endpoint = peer.endpoint, .len = (uint16_t)len};

	if (!peer.endpoint)
		return;
	memcpy(m.data, data, len);
	fake_dp_event(&world.dp, SH_MSG_RX_DTLS, &m, sh_msg_packet_size((uint32_t)len));
}

static void peer_keys(void *arg, enum sh_srtp_profile profile, const struct sh_srtp_secret *rx,
                      const struct sh_srtp_secret *tx)
{
	peer.keyed = true;
}

static void peer_closed(void *arg, const char *reason)
{
}

static void on_packet(const struct sh_msg_packet *m, void *arg)
{
	world.dtls_in++;
	if (peer.d && m->endpoint == peer.endpoint)
		cp_dtls_recv(peer.d, m->data, m->len);
}

void world_connect(const struct cp_endpoint *e)
{
	const struct cp_dtls_events ev = {peer_send, peer_keys, peer_closed, NULL};
	enum cp_dtls_role role = e->nego.setup == CP_SETUP_ACTIVE ? CP_DTLS_SERVER : CP_DTLS_CLIENT;
	int err;

	peer.endpoint = e->id;
	peer.keyed = false;
	world_ice(e, SH_ICE_CONNECTED);
	err = cp_dtls_alloc(&peer.d, world.peer_dtls, role, cp_dtls_fingerprint(world.dtls), &ev);
	assert(!err);
	for (int i = 0; i < 50 && !(peer.keyed && e->dtls_done); i++)
		world_advance(100);
	assert(peer.keyed && e->dtls_done);
	peer.endpoint = 0; /* its close_notify stays here */
	cp_dtls_free(peer.d);
	peer.d = NULL;
	world_settle();
}

/* ---- HTTP ---- */

struct cp_http http(enum cp_method method, const char *path, const char *bearer, const char *type,
                    const char *if_match, const char *body)
{
	char copy[512], *query;
	struct cp_http h = {0};
	struct cp_http_req req = {
	    .method = method,
	    .path = copy,
	    .bearer = bearer,
	    .content_type = type ? type : "",
	    .if_match = if_match ? if_match : "",
	    .peer = "192.0.2.1",
	    .body = body ? body : "",
	    .len = body ? strlen(body) : 0,
	};

	snprintf(copy, sizeof(copy), "%s", path);
	query = strchr(copy, '?');
	req.query = query ? query + 1 : "";
	if (query)
		*query = 0;
	routes[strncmp(path, "/whep/", 6) == 0](&h, &req, world.sig);
	assert(h.status);
	world_settle();
	return h;
}

void http_done(struct cp_http *h)
{
	free(h->body);
	h->body = NULL;
}

/* ---- for call_client.c ---- */

void conn_open(struct cp_conn *c)
{
	memset(c, 0, sizeof(*c));
	c->frames = json_array();
	c->open = true;
	c->id = 1;
	for (int i = 0; i < 64; i++)
		if (!conns[i]) {
			conns[i] = c;
			break;
		}
	world.ws.open(c, world.ws.arg, &c->user);
}

void conn_lose(struct cp_conn *c)
{
	gone(c);
	world_settle();
}

void conn_drop(struct cp_conn *c)
{
	conn_lose(c);
	json_decref(c->frames);
	c->frames = NULL;
}

void conn_text(struct cp_conn *c, const char *text, size_t len)
{
	if (c->open && !c->close_code)
		world.ws.message(c, c->user, text, len);
}
