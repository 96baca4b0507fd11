/* What the front's files share. Nothing outside front*.c includes this. */
#pragma once
#include <libwebsockets.h>
#include <netinet/in.h>
#include <sys/queue.h>
#include "controlplane/loop.h"
#include "controlplane/ops/metrics.h"
#include "controlplane/signaling/front.h"

#define FRONT_SUBSYS      "front"
#define FRONT_SUBPROTOCOL "callstack.v1"

enum {
	FRONT_SETUP_S = 10,   // accept → TLS → first whole request header
	FRONT_IDLE_S = 60,    // between requests of one connection, next header included
	FRONT_BODY_S = 15,    // header → whole body
	FRONT_HANDLER_S = 60, // handler → its reply
	FRONT_REPLY_S = 30,   // for the peer to take the next bytes of a reply
	FRONT_CLOSE_S = 5,    // WebSocket: closing handshake
	FRONT_LINGER_S = 3,   // after an early refusal, for the peer to read it before we hang up
	FRONT_PING_S = 15,
	FRONT_ROUTES_MAX = 32,
	FRONT_PATH_MAX = 1024,
	FRONT_QUERY_MAX = 4096,
	FRONT_HEADER_MAX = 4352, // a bearer token of CP_TOKEN_MAX and "Bearer "
	FRONT_DISCARD_MAX =
	    16
	    << 20, // of a body too large we read that much, so that its sender gets to see the 413
	FRONT_PEERS_HASH = 1024,
	FRONT_WRITE_MAX = 32768, // bytes of one lws_write
};

/* Connections of one address (IPv6: of one /64), for the limit. Lives while it has any. */
struct front_peer {
	LIST_ENTRY(front_peer) link;
	uint8_t key[16];
	unsigned count;
};
LIST_HEAD(front_peers, front_peer);

enum front_phase {
	FRONT_SETUP,   // no request yet
	FRONT_IDLE,    // kept alive between requests
	FRONT_BODY,    // header read, body to come
	FRONT_HANDLER, // handler has it
	FRONT_REPLY,   // reply is being written
	FRONT_WS,      // it is a WebSocket
	FRONT_DYING,   // will be closed; what still comes is dropped
};

/* One TCP connection, from accept to its last callback. */
struct front_conn {
	TAILQ_ENTRY(front_conn) link;
	struct cp_front *front;
	struct lws *wsi;
	struct front_peer *peer;
	char address[INET6_ADDRSTRLEN];
	bool metrics, linked;
	enum front_phase phase;
	uint64_t deadline_ns; // 0: none
	TAILQ_ENTRY(front_conn) held_link;
	uint64_t held_until_ns, ticket; // 0: its output is not held
	struct cp_http *http; // FRONT_BODY … FRONT_REPLY
	struct cp_conn *ws;   // FRONT_WS
};
TAILQ_HEAD(front_conns, front_conn);

struct front_route {
	char prefix[64];
	size_t len;
	bool metrics;
	cp_http_h *h;
	void *arg;
};

struct cp_http {
	struct front_conn *conn; // NULL: the peer is gone and nobody asked to be told
	struct cp_http_req req;  // points into what follows
	char path[FRONT_PATH_MAX], query[FRONT_QUERY_MAX];
	char bearer[FRONT_HEADER_MAX], content_type[128], if_match[256];
	char origin[256], host[256], if_none_match[128];
	const struct front_route *route; // NULL: static files
	char *body;
	uint64_t expected, got; // bytes of body
	bool too_large, close_after, linger, preflight, dispatched, replied;
	void (*gone)(void *arg);
	void *gone_arg;
	/* reply: header, then body; LWS_PRE bytes lead */
	unsigned char *out;
	size_t out_len, out_sent, out_head;
};

struct front_frame {
	STAILQ_ENTRY(front_frame) link;
	size_t len;
	unsigned char data[]; // LWS_PRE, then text
};

struct cp_conn {
	struct front_conn *conn;
	void *user;
	char *rx;
	size_t rx_len, rx_cap;
	STAILQ_HEAD(, front_frame) queue;
	size_t queued; // bytes, with FRAME_OVERHEAD for each
	uint64_t heard_ns, pinged_ns;
	uint16_t close_code;        // 0: open
	char close_reason[123 + 1]; // RFC 6455 §5.5: a control frame carries 125 bytes
	bool ping_due, refused;
};

struct cp_front {
	struct cp_front_conf conf;
	struct cp_front_ws ws;
	struct lws_context *ctx;
	struct lws_protocols protocols[3];
	struct cp_timer *sweep;
	struct front_conns conns, held; // held: by held_link
	struct cp_timer *hold;
	struct front_conn *adopting; // accepted, not yet given to libwebsockets
	struct front_peers peers[FRONT_PEERS_HASH];
	unsigned count, max;
	struct front_route route[FRONT_ROUTES_MAX];
	unsigned routes;
	int web_fd; // the web root, opened as a directory; -1: none
	bool closing;
	char *strings[6]; // what conf points at
};

static inline uint64_t front_after_s(unsigned s)
{
	return cp_now_ns() + (uint64_t)s * 1000000000u;
}

/* front_conn.c */
int front_conn_accept(struct cp_front *f, int fd, bool metrics);
void front_conn_created(struct cp_front *f, struct lws *wsi);
int front_conn_adopted(struct cp_front *f, struct lws *wsi);
void front_conn_destroyed(struct cp_front *f, struct lws *wsi);
void front_conn_abandon(struct cp_front *f);
struct front_conn *front_conn_of(struct lws *wsi);
void front_conn_kill(struct front_conn *c);
void front_sweep(void *arg);

/* front_http.c: requests. Results as libwebsockets wants them: 0 or -1 to close. */
int front_http_request(struct front_conn *c, const char *path, size_t len);
int front_http_body(struct front_conn *c, const char *data, size_t len);
int front_http_body_done(struct front_conn *c);
void front_http_gone(struct front_conn *c);
int front_http_timeout(struct front_conn *c);
bool front_header(struct lws *wsi, enum lws_token_indexes token, char *buf, size_t size);
void front_http_free(struct cp_http *h);

/* front_reply.c */
int front_reply_writeable(struct front_conn *c);
size_t front_security_headers(char *buf, size_t size, const char *host, bool client);

/* front_hold.c */
int front_hold_open(struct cp_front *f);
void front_hold_end(struct front_conn *c); // it goes, held or not

/* front_static.c */
int front_static_open(struct cp_front *f);
void front_static(struct cp_http *h);

/* front_origin.c */
bool front_origin_listed(const char *list, const char *origin, bool star);
bool front_origin_same(const char *origin, const char *host);
size_t front_cors_headers(char *buf, size_t size, const struct cp_http *h);
bool front_is_api(const char *path);

/* front_ws.c */
int front_ws_upgrade(struct front_conn *c, const char *protocol);
int front_ws_open(struct front_conn *c);
int front_ws_receive(struct front_conn *c, const char *data, size_t len);
int front_ws_writeable(struct front_conn *c);
int front_ws_timer(struct front_conn *c);
void front_ws_closed(struct front_conn *c);
void front_ws_sweep(struct front_conn *c, uint64_t now_ns);
