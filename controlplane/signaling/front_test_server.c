/* A front without a daemon behind it, for front_test.py: echoes, delays, floods.
 *     front_test_server DATA_DIR WEB_ROOT HTTPS_PORT METRICS_PORT CORS_ORIGINS
 * Says "ready" when it listens; SIGTERM stops it, and it must then leak nothing. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/loop.h"
#include "controlplane/ops/metrics.h"
#include "controlplane/signaling/front.h"
#include "controlplane/signaling/tls_cert.h"
#include "shared/log.h"

enum { FLOOD_FRAME = 16384 };

static struct {
	struct cp_front *front;
	struct cp_conn *flooded; // gets frames until the queue is full
	struct cp_timer *flood, *later;
	struct cp_http *held;
	uint64_t released; // tickets up to this one
	int opened, closed, gone, overflowed;
	int cookie;
} T;

static void on_open(struct cp_conn *c, void *arg, void **user)
{
	T.opened++;
	*user = &T.cookie;
}

static void on_close(struct cp_conn *c, void *user)
{
	if (user != &T.cookie)
		abort();
	T.closed++;
	if (T.flooded == c)
		T.flooded = NULL;
}

static void flood(void *arg)
{
	static char frame[FLOOD_FRAME];

	memset(frame, 'x', sizeof(frame));
	for (int i = 0; T.flooded && i < 8; i++)
		if (cp_conn_send(T.flooded, frame, sizeof(frame))) {
			T.overflowed++;
			T.flooded = NULL;
		}
	if (T.flooded)
		cp_timer_start(T.flood, 5);
}

static bool released(uint64_t ticket, void *arg)
{
	return ticket <= T.released;
}

static void release(uint64_t ticket)
{
	T.released = ticket;
	cp_front_release(T.front, released, NULL);
}

static void on_message(struct cp_conn *c, void *user, const char *text, size_t len)
{
	if (len == 5 && !memcmp(text, "flood", 5)) {
		T.flooded = c;
		cp_timer_start(T.flood, 1);
	} else if (len == 5 && !memcmp(text, "close", 5)) {
		cp_conn_send(c, "bye", 3);
		cp_conn_close(c, 4001, "as you wish");
	} else if (len == 6 && !memcmp(text, "hold ", 5)) {
		cp_conn_hold(c, (uint64_t)(text[5] - '0'));
		cp_conn_send(c, text, len);
	} else if (len == 9 && !memcmp(text, "release ", 8)) {
		release((uint64_t)(text[8] - '0'));
	} else if (len == 4 && !memcmp(text, "peer", 4)) {
		cp_conn_send(c, cp_conn_peer(c), strlen(cp_conn_peer(c)));
	} else {
		cp_conn_send(c, text, len);
	}
}

static void reply_json(struct cp_http *h, int status, json_t *j)
{
	char *text = json_dumps(j, 0);
	struct cp_http_resp r = {.status = status,
	                         .content_type = "application/json",
	                         .body = text,
	                         .len = strlen(text)};

	cp_http_reply(h, &r);
	free(text);
	json_decref(j);
}

static void on_echo(struct cp_http *h, const struct cp_http_req *req, void *arg)
{
	char q[64];
	bool have = cp_http_query(req, "q", q, sizeof(q));

	reply_json(h, 200,
	           json_pack("{s:i, s:s, s:s, s:s?, s:s?, s:s, s:s, s:I, s:s}", "method",
	                     req->method, "path", req->path, "query", req->query, "q",
	                     have ? q : NULL, "bearer", req->bearer, "content_type",
	                     req->content_type, "if_match", req->if_match, "len",
	                     (json_int_t)req->len, "peer", req->peer));
}

static void on_later_timer(void *arg)
{
	struct cp_http *h = T.held;

	T.held = NULL;
	if (h)
		cp_http_error(h, 409, "late", "as \"asked\"");
}

static void on_later(struct cp_http *h, const struct cp_http_req *req, void *arg)
{
	if (T.held) {
		cp_http_error(h, 503, "busy", "one at a time");
		return;
	}
	T.held = h; // no gone handler: the front keeps h for the reply
	cp_timer_start(T.later, 1500);
}

static void on_gone(void *arg)
{
	T.gone++;
}

static void on_never(struct cp_http *h, const struct cp_http_req *req, void *arg)
{
	cp_http_on_gone(h, on_gone, NULL);
}

static void on_counts(struct cp_http *h, const struct cp_http_req *req, void *arg)
{
	reply_json(h, 200,
	           json_pack("{s:i, s:i, s:i, s:i, s:I}", "opened", T.opened, "closed", T.closed,
	                     "gone", T.gone, "overflowed", T.overflowed, "connections",
	                     (json_int_t)cp_metric_value[CP_METRIC_connections]));
}

static void on_big(struct cp_http *h, const struct cp_http_req *req, void *arg)
{
	static char body[8 << 20];
	struct cp_http_resp r = {
	    .status = 200, .content_type = "text/plain", .body = body, .len = sizeof(body)};

	memset(body, 'b', sizeof(body));
	cp_http_reply(h, &r);
}

/* Held for ticket 9. */
static void on_held(struct cp_http *h, const struct cp_http_req *req, void *arg)
{
	cp_http_hold(h, 9);
	reply_json(h, 200, json_object());
}

static void on_bad_header(struct cp_http *h, const struct cp_http_req *req, void *arg)
{
	struct cp_http_header hd = {"x-bad", "a\r\nset-cookie: b"};
	struct cp_http_resp r = {.status = 200, .headers = &hd, .n_headers = 1};

	cp_http_reply(h, &r);
}

static void on_whip(struct cp_http *h, const struct cp_http_req *req, void *arg)
{
	static const struct cp_http_header accept = {"accept-post", "application/sdp"};
	static const struct cp_http_header location = {"location", "/whip/r/1"};
	struct cp_http_resp r = {.status = 405};

	if (req->method == CP_OPTIONS)
		r = (struct cp_http_resp){.status = 204, .headers = &accept, .n_headers = 1};
	else if (req->method == CP_POST)
		r = (struct cp_http_resp){.status = 201,
		                          .content_type = "application/sdp",
		                          .headers = &location,
		                          .n_headers = 1,
		                          .body = req->body,
		                          .len = req->len};
	else if (req->method == CP_PATCH || req->method == CP_DELETE)
		r.status = req->method == CP_PATCH ? 204 : 200;
	cp_http_reply(h, &r);
}

static int routes(struct cp_front *f)
{
	static const struct {
		const char *prefix;
		cp_http_h *h;
	} all[] = {
	    {"/api/v1/echo", on_echo},   {"/api/v1/later", on_later},
	    {"/api/v1/never", on_never}, {"/api/v1/counts", on_counts},
	    {"/api/v1/big", on_big},     {"/api/v1/bad-header", on_bad_header},
	    {"/api/v1/held", on_held},   {"/whip/", on_whip},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (cp_front_route(f, all[i].prefix, all[i].h, NULL))
			return -1;
	return cp_front_route_metrics(f, "/metrics", on_counts, NULL);
}

int main(int argc, char **argv)
{
	const struct cp_front_ws ws = {on_open, on_message, on_close, NULL};
	char cert[4096], key[4096], why[512];

	if (argc < 6)
		return 2;
	sh_log_levels("debug");
	snprintf(cert, sizeof(cert), "%s/cert.pem", argv[1]);
	snprintf(key, sizeof(key), "%s/key.pem", argv[1]);
	if (cp_tls_ensure_certificate(cert, key, NULL, 0, why, sizeof(why)) || cp_loop_init())
		return 1;
	const struct cp_front_conf conf = {
	    .address = "",
	    .https_port = (uint16_t)atoi(argv[3]),
	    .cert = cert,
	    .key = key,
	    .web_root = argv[2],
	    .metrics_address = "127.0.0.1",
	    .metrics_port = (uint16_t)atoi(argv[4]),
	    .max_message = 262144,
	    .max_body = 262144,
	    .max_queue = 1 << 20,
	    .cors_origin = argv[5],
	    .ping_s = argc > 6 ? 60 : 2,
	    .max_per_address = argc > 6 ? 10000 : 200,
	};
	if (cp_front_alloc(&T.front, &conf, &ws) || routes(T.front) ||
	    cp_timer_alloc(&T.flood, flood, NULL) || cp_timer_alloc(&T.later, on_later_timer, NULL))
		return 1;
	puts("ready");
	fflush(stdout);
	int err = cp_loop_run();
	cp_front_free(T.front);
	if (T.held)
		cp_http_error(T.held, 503, "stopping", "");
	cp_timer_free(T.flood);
	cp_timer_free(T.later);
	cp_loop_close();
	printf("opened %d closed %d\n", T.opened, T.closed);
	return err || T.opened != T.closed;
}
