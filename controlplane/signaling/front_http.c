/* HTTP requests: header, body, dispatch. */
#include "controlplane/signaling/front_priv.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/signaling/query.h"
#include "shared/log.h"
#include "shared/secret.h"

/* A header's text; false when it is absent or does not fit. Folded or repeated ones come joined. */
bool front_header(struct lws *wsi, enum lws_token_indexes token, char *buf, size_t size)
{
	int n = lws_hdr_total_length(wsi, token);

	buf[0] = '\0';
	if (n <= 0 || (size_t)n >= size)
		return false;
	return lws_hdr_copy(wsi, buf, (int)size, token) >= 0;
}

static bool have(struct lws *wsi, enum lws_token_indexes token)
{
	return lws_hdr_total_length(wsi, token) > 0;
}

static int method_of(struct lws *wsi)
{
	static const struct {
		enum lws_token_indexes token;
		enum cp_method method;
	} map[] = {
	    {WSI_TOKEN_GET_URI, CP_GET},         {WSI_TOKEN_POST_URI, CP_POST},
	    {WSI_TOKEN_PATCH_URI, CP_PATCH},     {WSI_TOKEN_DELETE_URI, CP_DELETE},
	    {WSI_TOKEN_OPTIONS_URI, CP_OPTIONS}, {WSI_TOKEN_HEAD_URI, CP_HEAD},
	    {WSI_TOKEN_PUT_URI, CP_PUT},
	};

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (have(wsi, map[i].token))
			return (int)map[i].method;
	return -1;
}

/* libwebsockets hands the query out decoded, a piece for each parameter; we put it back as it was
 * meant. */
static bool read_query(struct lws *wsi, char *buf, size_t size)
{
	char piece[FRONT_QUERY_MAX];
	size_t at = 0;
	int n;

	buf[0] = '\0';
	for (int i = 0; (n = lws_hdr_copy_fragment(wsi, piece, sizeof(piece),
	                                           WSI_TOKEN_HTTP_URI_ARGS, i)) >= 0;
	     i++) {
		const char *eq = memchr(piece, '=', (size_t)n);
		size_t name = eq ? (size_t)(eq - piece) : (size_t)n;

		if (i && at + 1 < size)
			buf[at++] = '&';
		at = cp_percent_encode(buf, at, size, piece, name, "");
		if (at != (size_t)-1 && eq && at + 1 < size) {
			buf[at++] = '=';
			at = cp_percent_encode(buf, at, size, eq + 1, (size_t)n - name - 1, "");
		}
		if (at == (size_t)-1)
			return false;
	}
	return n != -2; // a piece that does not fit
}

static void read_bearer(struct cp_http *h, struct lws *wsi)
{
	char text[FRONT_HEADER_MAX];
	char *p = text;

	h->req.bearer = NULL;
	if (front_header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, text, sizeof(text)) &&
	    !strncasecmp(p, "Bearer ", 7)) {
		p += 7;
		p += strspn(p, " ");
		strcpy(h->bearer, p);
		h->req.bearer = h->bearer;
	}
	sh_secret_wipe(text, sizeof(text));
}

static void read_content_type(struct cp_http *h, struct lws *wsi)
{
	if (!front_header(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE, h->content_type,
	                  sizeof(h->content_type)))
		return;
	h->content_type[strcspn(h->content_type, "; \t")] = '\0';
	for (char *p = h->content_type; *p; p++)
		*p = (char)tolower((unsigned char)*p);
}

/* "Connection: close", or HTTP/1.0 without keep-alive. */
static bool wants_close(struct lws *wsi)
{
	char text[64];

	if (front_header(wsi, WSI_TOKEN_CONNECTION, text, sizeof(text)))
		return strcasestr(text, "close") || !strcasestr(text, "keep-alive");
	return !front_header(wsi, WSI_TOKEN_HTTP, text, sizeof(text)) ||
	       strcmp(text, "HTTP/1.1") != 0;
}

/* The body's length. 0, or the status that refuses the request. */
static int read_length(struct cp_http *h, struct lws *wsi)
{
	bool body =
	    h->req.method == CP_POST || h->req.method == CP_PUT || h->req.method == CP_PATCH;
	char text[24];
	char *end;

	if (have(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING)) // libwebsockets does not decode chunks
		return 411;
	if (!have(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH))
		return body ? 411 : 0;
	if (!front_header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, text, sizeof(text)) ||
	    !isdigit((unsigned char)text[0]))
		return 400;
	h->expected = strtoull(text, &end, 10);
	if (*end || h->expected > INT64_MAX)
		return 400;
	return 0;
}

static const struct front_route *find_route(const struct front_conn *c, const char *path)
{
	const struct cp_front *f = c->front;
	const struct front_route *best = NULL;

	for (unsigned i = 0; i < f->routes; i++) {
		const struct front_route *r = &f->route[i];

		if (r->metrics != c->metrics || strncmp(path, r->prefix, r->len) != 0)
			continue;
		if (r->prefix[r->len - 1] != '/' && path[r->len] && path[r->len] != '/')
			continue;
		if (!best || r->len > best->len)
			best = r;
	}
	return best;
}

static void dispatch(struct cp_http *h)
{
	struct front_conn *c = h->conn;

	h->dispatched = true;
	c->phase = FRONT_HANDLER;
	c->deadline_ns = front_after_s(FRONT_HANDLER_S);
	lws_set_timeout(c->wsi, NO_PENDING_TIMEOUT, 0);
	lws_rx_flow_control(c->wsi, 0);
	if (h->body)
		h->body[h->got] = '\0';
	h->req.body = h->body ? h->body : "";
	h->req.len = h->body ? (size_t)h->got : 0;
	cp_metric_add(CP_METRIC_http_requests, 1);
	if (h->route)
		h->route->h(h, &h->req, h->route->arg);
	else if (c->metrics || front_is_api(h->path) || !strcmp(h->path, "/ws"))
		cp_http_error(h, 404, "not_found", "there is nothing at this path");
	else
		front_static(h);
}

static struct cp_http *http_new(struct front_conn *c, int method)
{
	struct cp_http *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->conn = c;
	h->req.method = (enum cp_method)method;
	h->req.path = h->path;
	h->req.query = h->query;
	h->req.content_type = h->content_type;
	h->req.if_match = h->if_match;
	h->req.peer = c->address;
	h->req.body = "";
	c->http = h;
	return h;
}

/* A request refused before anybody looks at it; what follows on that connection makes no sense to
 * us. */
static int refuse(struct cp_http *h, int status, const char *code, const char *text)
{
	h->close_after = true;
	h->linger = h->got < h->expected || status == 411;
	cp_http_error(h, status, code, text);
	return 0;
}

static bool valid_path(const char *path, size_t len)
{
	if (!len || path[0] != '/' || memchr(path, '\0', len))
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)path[i] < ' ' || path[i] == 127)
			return false;
	return cp_utf8_valid(path, len);
}

static void read_headers(struct cp_http *h, struct lws *wsi)
{
	read_bearer(h, wsi);
	read_content_type(h, wsi);
	front_header(wsi, WSI_TOKEN_HTTP_IF_MATCH, h->if_match, sizeof(h->if_match));
	front_header(wsi, WSI_TOKEN_HTTP_IF_NONE_MATCH, h->if_none_match, sizeof(h->if_none_match));
	front_header(wsi, WSI_TOKEN_ORIGIN, h->origin, sizeof(h->origin));
	front_header(wsi, WSI_TOKEN_HOST, h->host, sizeof(h->host));
	h->preflight = h->req.method == CP_OPTIONS && h->origin[0] &&
	               lws_hdr_custom_length(wsi, "access-control-request-method:", 30) > 0;
	h->close_after = wants_close(wsi);
}

/* Body to come: room for it, or none when it will be refused. */
static int expect_body(struct cp_http *h)
{
	struct front_conn *c = h->conn;
	char expect[32];
	bool asks = front_header(c->wsi, WSI_TOKEN_HTTP_EXPECT, expect, sizeof(expect)) &&
	            !strcasecmp(expect, "100-continue");

	if (h->expected > c->front->conf.max_body) {
		h->too_large = true;
		if (asks || h->expected > FRONT_DISCARD_MAX)
			return refuse(h, 413, "too_large", "the body is over the limit");
	} else {
		h->body = malloc((size_t)h->expected + 1);
		if (!h->body)
			return -1;
	}
	if (asks) {
		unsigned char buf[LWS_PRE + 32];
		int n = sprintf((char *)buf + LWS_PRE, "HTTP/1.1 100 Continue\r\n\r\n");

		if (lws_write(c->wsi, buf + LWS_PRE, (size_t)n, LWS_WRITE_HTTP_HEADERS) < n)
			return -1;
	}
	c->phase = FRONT_BODY;
	c->deadline_ns = front_after_s(FRONT_BODY_S);
	return 0;
}

int front_http_request(struct front_conn *c, const char *path, size_t len)
{
	int method = method_of(c->wsi);
	struct cp_http *h;
	int status;

	if (c->phase == FRONT_DYING || c->http)
		return -1;
	h = method < 0 ? NULL : http_new(c, method);
	if (!h)
		return -1;
	read_headers(h, c->wsi);
	if (len >= sizeof(h->path))
		return refuse(h, 414, "bad_request", "the path is too long");
	if (!valid_path(path, len))
		return refuse(h, 400, "bad_request", "malformed path");
	memcpy(h->path, path, len);
	if (!read_query(c->wsi, h->query, sizeof(h->query)))
		return refuse(h, 414, "bad_request", "the query is too long");
	if (!h->req.bearer &&
	    lws_hdr_total_length(c->wsi, WSI_TOKEN_HTTP_AUTHORIZATION) >= FRONT_HEADER_MAX)
		return refuse(h, 431, "bad_request", "the Authorization header is too long");
	status = read_length(h, c->wsi);
	if (status)
		return refuse(h, status, "bad_request",
		              status == 411 ? "a body needs a Content-Length"
		                            : "malformed Content-Length");
	h->route = find_route(c, h->path);
	if (h->expected)
		return expect_body(h);
	dispatch(h);
	return 0;
}

int front_http_body(struct front_conn *c, const char *data, size_t len)
{
	struct cp_http *h = c->http;

	if (c->phase == FRONT_REPLY ||
	    c->phase == FRONT_DYING) // refused: what still comes is read and dropped
		return 0;
	if (!h || c->phase != FRONT_BODY)
		return data ? -1 : 0;
	if (len > h->expected - h->got)
		return -1;
	if (h->body)
		memcpy(h->body + h->got, data, len);
	h->got += len;
	return 0;
}

int front_http_body_done(struct front_conn *c)
{
	struct cp_http *h = c->http;

	if (c->phase == FRONT_DYING) // lingered until all was read
		return -1;
	if (!h)
		return 0;
	if (c->phase != FRONT_BODY) { // refused, or empty and dispatched with its header, or more
		                      // after a whole one
		h->linger = false;
		return h->dispatched && h->expected ? -1 : 0;
	}
	if (h->got != h->expected)
		return -1;
	if (h->too_large)
		return refuse(h, 413, "too_large", "the body is over the limit");
	dispatch(h);
	return 0;
}

void front_http_free(struct cp_http *h)
{
	if (h->bearer[0])
		sh_secret_wipe(h->bearer, sizeof(h->bearer));
	free(h->body);
	free(h->out);
	free(h);
}

/* Out of time. 0: it got an answer, and is closed after it. */
int front_http_timeout(struct front_conn *c)
{
	struct cp_http *h = c->http;
	void (*gone)(void *arg);

	if (!h || h->replied)
		return -1;
	if (c->phase == FRONT_BODY)
		return refuse(h, 408, "timeout", "the body did not come in time");
	gone = h->gone;
	h->gone = NULL;
	if (!gone) // its handler still holds it
		return -1;
	gone(h->gone_arg);
	return refuse(h, 504, "timeout", "no answer in time");
}

/* The connection goes. A handler that holds h hears of it, or h waits for its reply. */
void front_http_gone(struct front_conn *c)
{
	struct cp_http *h = c->http;

	if (!h)
		return;
	c->http = NULL;
	h->conn = NULL;
	if (h->dispatched && !h->replied) {
		if (!h->gone)
			return;
		h->gone(h->gone_arg);
	}
	front_http_free(h);
}

void cp_http_on_gone(struct cp_http *h, void (*gone)(void *arg), void *arg)
{
	h->gone = gone;
	h->gone_arg = arg;
}

bool cp_http_query(const struct cp_http_req *req, const char *name, char *buf, size_t size)
{
	return cp_query_get(req->query, name, buf, size);
}
