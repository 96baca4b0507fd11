/* HTTP replies: made whole in memory, written as the peer takes them. */
#include "controlplane/signaling/front_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include "shared/log.h"

enum { HEAD_MAX = 8192 };

static const char *status_text(int status)
{
	static const struct {
		int status;
		const char *text;
	} map[] = {
	    {200, "OK"},
	    {201, "Created"},
	    {202, "Accepted"},
	    {204, "No Content"},
	    {206, "Partial Content"},
	    {301, "Moved Permanently"},
	    {302, "Found"},
	    {303, "See Other"},
	    {304, "Not Modified"},
	    {307, "Temporary Redirect"},
	    {308, "Permanent Redirect"},
	    {400, "Bad Request"},
	    {401, "Unauthorized"},
	    {403, "Forbidden"},
	    {404, "Not Found"},
	    {405, "Method Not Allowed"},
	    {406, "Not Acceptable"},
	    {408, "Request Timeout"},
	    {409, "Conflict"},
	    {410, "Gone"},
	    {411, "Length Required"},
	    {412, "Precondition Failed"},
	    {413, "Content Too Large"},
	    {414, "URI Too Long"},
	    {415, "Unsupported Media Type"},
	    {422, "Unprocessable Content"},
	    {426, "Upgrade Required"},
	    {428, "Precondition Required"},
	    {429, "Too Many Requests"},
	    {431, "Request Header Fields Too Large"},
	    {500, "Internal Server Error"},
	    {501, "Not Implemented"},
	    {503, "Service Unavailable"},
	    {504, "Gateway Timeout"},
	};

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (map[i].status == status)
			return map[i].text;
	return status < 400 ? "OK" : "Error";
}

/* A Host header that may stand in our policy: letters, digits, . - : [ ] */
static bool plain_host(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]");

	return n && !s[n];
}

/* 'self' covers wss: of the same host in current browsers (CSP3 §6.7.2.8); naming it serves the
 * others. */
size_t front_security_headers(char *buf, size_t size, const char *host, bool client)
{
	size_t at = (size_t)snprintf(
	    buf, size,
	    "x-content-type-options: nosniff\r\n"
	    "referrer-policy: no-referrer\r\n"
	    "cross-origin-opener-policy: same-origin\r\n"
	    "permissions-policy: camera=(self), microphone=(self), display-capture=(self), "
	    "speaker-selection=(self), geolocation=(), payment=(), usb=()\r\n");

	if (!client)
		return at + (size_t)snprintf(buf + at, size - at,
		                             "content-security-policy: default-src 'none'; "
		                             "frame-ancestors 'none'\r\n");
	return at + (size_t)snprintf(
	                buf + at, size - at,
	                "content-security-policy: default-src 'self'; connect-src 'self'%s%s; "
	                "img-src 'self' data: blob:; media-src 'self' blob: mediastream:; "
	                "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action "
	                "'self'; "
	                "frame-ancestors 'none'\r\n"
	                "x-frame-options: DENY\r\n",
	                plain_host(host) ? " wss://" : "", plain_host(host) ? host : "");
}

static bool header_valid(const struct cp_http_header *hd)
{
	if (!hd->name || !hd->value || !hd->name[0] || strpbrk(hd->name, " :\t\r\n"))
		return false;
	for (const char *p = hd->value; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			return false;
	return true;
}

static bool sets(const struct cp_http_resp *r, const char *name)
{
	for (size_t i = 0; i < r->n_headers; i++)
		if (!strcasecmp(r->headers[i].name, name))
			return true;
	return false;
}

/* The header into buf; its length, or 0: does not fit, or the handler gave a header that would
 * break it. */
static size_t make_head(char *buf, size_t size, const struct cp_http *h,
                        const struct cp_http_resp *r, int status)
{
	/* Of the web client all, scripts too: a worker's policy is its script's, and that of a 304
	 * replaces the cached. */
	bool client = !h->route && status < 400;
	bool has_body = status != 204 && status != 304 && status >= 200;
	size_t at = (size_t)snprintf(buf, size, "HTTP/1.1 %d %s\r\n", status, status_text(status));

	at += front_security_headers(buf + at, size - at, h->host, client);
	at += front_cors_headers(buf + at, size - at, h);
	if (r->content_type)
		at +=
		    (size_t)snprintf(buf + at, size - at, "content-type: %s\r\n", r->content_type);
	if (has_body)
		at += (size_t)snprintf(buf + at, size - at, "content-length: %zu\r\n", r->len);
	if (!sets(r, "cache-control"))
		at += (size_t)snprintf(buf + at, size - at, "cache-control: no-store\r\n");
	if (h->close_after)
		at += (size_t)snprintf(buf + at, size - at, "connection: close\r\n");
	for (size_t i = 0; i < r->n_headers && at < size; i++) {
		if (!header_valid(&r->headers[i]))
			return 0;
		at += (size_t)snprintf(buf + at, size - at, "%s: %s\r\n", r->headers[i].name,
		                       r->headers[i].value);
	}
	if (at < size)
		at += (size_t)snprintf(buf + at, size - at, "\r\n");
	return at < size ? at : 0;
}

void cp_http_reply(struct cp_http *h, const struct cp_http_resp *resp)
{
	static const struct cp_http_resp broken = {.status = 500};
	struct front_conn *c = h->conn;
	char head[HEAD_MAX];
	int status = resp->status;
	size_t n, body;

	if (!c) { // the peer is gone
		front_http_free(h);
		return;
	}
	if (h->replied)
		return;
	h->replied = true;
	/* A browser takes a preflight's answer only when it is a success (Fetch §4.8). */
	if (h->preflight && status >= 400)
		status = 204;
	n = make_head(head, sizeof(head), h, resp, status);
	if (!n) {
		sh_error(FRONT_SUBSYS, "%s: the handler's reply headers are malformed or too long",
		         h->path);
		resp = &broken;
		status = 500;
		n = make_head(head, sizeof(head), h, resp, status);
	}
	if (status >= 400)
		cp_metric_add(CP_METRIC_http_errors, 1);
	body = h->req.method == CP_HEAD || status == 204 || status == 304 ? 0 : resp->len;
	h->out = malloc(LWS_PRE + n + body);
	if (!h->out) {
		front_conn_kill(c);
		return;
	}
	memcpy(h->out + LWS_PRE, head, n);
	if (body)
		memcpy(h->out + LWS_PRE + n, resp->body, body);
	h->out_head = n;
	h->out_len = n + body;
	c->phase = FRONT_REPLY;
	c->deadline_ns = front_after_s(FRONT_REPLY_S);
	lws_rx_flow_control(c->wsi,
	                    1); // libwebsockets tells nobody that he may write while it is off
	lws_callback_on_writable(c->wsi);
	cp_loop_touch();
}

void cp_http_error(struct cp_http *h, int status, const char *code, const char *text)
{
	json_t *j = json_pack("{s:s, s:s}", "error", code, "message", text);
	char *body = j ? json_dumps(j, JSON_COMPACT) : NULL;
	struct cp_http_resp r = {
	    .status = status,
	    .content_type = "application/json",
	    .body = body ? body : "",
	    .len = body ? strlen(body) : 0,
	};

	cp_http_reply(h, &r);
	free(body);
	json_decref(j);
}

/* The whole reply was handed over: wait for the next request, or close. */
static int done(struct front_conn *c)
{
	struct cp_http *h = c->http;
	bool close_after = h->close_after, linger = h->linger;

	c->http = NULL;
	front_http_free(h);
	if (linger) {
		/* Closing with bytes unread would reset the connection and take our reply with it
		 * (RFC 9112 §9.6). The peer knows from our header that it has to hang up. */
		c->phase = FRONT_DYING;
		c->deadline_ns = front_after_s(FRONT_LINGER_S);
		return 0;
	}
	if (close_after) {
		c->phase = FRONT_DYING;
		return -1;
	}
	c->phase = FRONT_IDLE;
	c->deadline_ns = front_after_s(FRONT_IDLE_S);
	return lws_http_transaction_completed(c->wsi) ? -1 : 0;
}

int front_reply_writeable(struct front_conn *c)
{
	struct cp_http *h = c->http;
	size_t n;

	if (c->phase != FRONT_REPLY || !h || c->held_until_ns)
		return 0;
	n = h->out_len - h->out_sent;
	if (n > FRONT_WRITE_MAX)
		n = FRONT_WRITE_MAX;
	/* lws_write() keeps what the socket does not take and calls us when that is gone, so the
	 * piece is the buffer. */
	if (n && lws_write(c->wsi, h->out + LWS_PRE + h->out_sent, n,
	                   h->out_sent ? LWS_WRITE_HTTP : LWS_WRITE_HTTP_HEADERS) < (int)n)
		return -1;
	h->out_sent += n;
	c->deadline_ns = front_after_s(FRONT_REPLY_S);
	if (h->out_sent < h->out_len) {
		lws_callback_on_writable(c->wsi);
		return 0;
	}
	return done(c);
}
