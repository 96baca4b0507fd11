/* The HTTPS and WebSocket front: libwebsockets behind a small interface. It knows TLS, HTTP,
 * limits, CORS, static files; it knows nothing of calls. One thread.
 *
 * Lifetimes: a cp_conn lives from its open handler until its close handler returned. A cp_http
 * lives until cp_http_reply() was called on it or its gone handler ran; handlers may reply later
 * (asynchronously). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cp_front;
struct cp_conn; // one WebSocket
struct cp_http; // one HTTP request awaiting its reply

struct cp_front_ws {
	/* Accepted with subprotocol callstack.v1. *user is the handler's own. */
	void (*open)(struct cp_conn *c, void *arg, void **user);
	/* One whole text message, at most the configured size, valid UTF-8, not NUL-terminated. */
	void (*message)(struct cp_conn *c, void *user, const char *text, size_t len);
	/* It is gone (peer, error, cp_conn_close). */
	void (*close)(struct cp_conn *c, void *user);
	void *arg;
};
/* Queues one text frame (copied). -ENOBUFS: over the queue limit; the connection is then being
 * closed. */
int cp_conn_send(struct cp_conn *c, const char *text, size_t len);
/* Close with an RFC 6455 code after what is queued; the close handler follows. */
void cp_conn_close(struct cp_conn *c, uint16_t code, const char *reason);
/* What is queued, and will be, waits until cp_front_release() lets that ticket pass, 200 ms at most. 0 does nothing. */
void cp_conn_hold(struct cp_conn *c, uint64_t ticket);
/* Peer address text, for logs and rate limits. */
const char *cp_conn_peer(const struct cp_conn *c);

enum cp_method { CP_GET, CP_POST, CP_PATCH, CP_DELETE, CP_OPTIONS, CP_HEAD, CP_PUT };

struct cp_http_req {
	enum cp_method method;
	const char *path;         // decoded, no query, starts with the registered prefix
	const char *query;        // raw query string, "" if none; cp_http_query() decodes
	const char *bearer;       // Authorization: Bearer value, NULL if none
	const char *content_type; // without parameters, lower case; "" if none
	const char *if_match;     // "" if none
	const char *peer;
	const char *body; // whole, NUL-terminated behind len
	size_t len;
};
struct cp_http_header {
	const char *name, *value;
};
struct cp_http_resp {
	int status;
	const char *content_type; // NULL: none
	const struct cp_http_header *headers;
	size_t n_headers;
	const char *body;
	size_t len;
};
/* req's strings live until the handler returns. The handler must reply now or keep h and reply
 * later. */
typedef void(cp_http_h)(struct cp_http *h, const struct cp_http_req *req, void *arg);
void cp_http_reply(struct cp_http *h, const struct cp_http_resp *resp);
/* Shortcut: a JSON error body {"error": code, "message": text} with that status. */
void cp_http_error(struct cp_http *h, int status, const char *code, const char *text);
/* The same as cp_conn_hold() for the reply, before it is made. */
void cp_http_hold(struct cp_http *h, uint64_t ticket);
/* If the client goes away first, gone(arg) is called once and h is dead. */
void cp_http_on_gone(struct cp_http *h, void (*gone)(void *arg), void *arg);
/* Decoded query parameter into buf; false if absent or malformed or too long. */
bool cp_http_query(const struct cp_http_req *req, const char *name, char *buf, size_t size);

struct cp_front_conf {
	const char *address;    // "" = all, IPv4 and IPv6
	uint16_t https_port;    // 8443
	const char *cert, *key; // PEM paths; made at first start by cp_tls_ensure_certificate()
	const char *web_root;   // folder of static files (index.html for unknown non-API paths)
	const char *metrics_address;
	uint16_t metrics_port; // 9464, plain HTTP; 0: none
	uint32_t max_message;  // bytes of a WebSocket message, 262,144
	uint32_t max_body;     // bytes of a request body, 262,144
	uint32_t max_queue;    // bytes waiting for a slow reader, 1,048,576
	/* Origins that may call /whip, /whep and /api, comma-separated, or "*"; "" none. Those
	 * listed by name may open /ws too; "*" says nothing about /ws, which otherwise takes only
	 * pages of its own host, and clients that send no Origin. */
	const char *cors_origin;
	uint32_t ping_s; // silence after which a WebSocket is pinged; twice that: closed. 0: 15
	uint32_t max_connections; // in all; 0: what descriptors allow
	uint32_t max_per_address; // connections of one IPv4 address or IPv6 /64; 0: 256
};
/* Binds and listens; conf and ws are copied. cp_loop_init() came before. 0 or -errno (said in the
 * log). */
int cp_front_alloc(struct cp_front **out, const struct cp_front_conf *conf,
                   const struct cp_front_ws *ws);
/* Stop listening, close all with 1001, free. */
void cp_front_free(struct cp_front *f);
/* Of what is held, sends that whose ticket true_now() says yes to. Cheap when nothing is. */
void cp_front_release(struct cp_front *f, bool (*true_now)(uint64_t ticket, void *arg), void *arg);
/* Longest registered prefix wins ("/whip/", "/api/v1/", "/healthz"); before static files. */
int cp_front_route(struct cp_front *f, const char *prefix, cp_http_h *h, void *arg);
/* The same on the metrics listener. */
int cp_front_route_metrics(struct cp_front *f, const char *prefix, cp_http_h *h, void *arg);
