/* The HTTPS and WebSocket front.
 *
 * One libwebsockets context on the daemon's libuv loop, with two listeners (vhosts): HTTPS and WSS
 * on one port, and plain HTTP on 127.0.0.1 for metrics. libwebsockets does TLS, HTTP parsing and
 * WebSocket framing; what is on top is ours, because a hostile peer is our problem and not the
 * library's:
 *
 *   front.c          context, listeners, the one callback that everything comes in by
 *   front_conn.c     a record for each TCP connection: limits by address and in all, one deadline
 *                    each, one sweep a second that enforces it. libwebsockets' own timeouts restart
 *                    with each byte, so a peer that drips bytes would never hit them; ours do not
 *                    move.
 *   front_http.c     a request: header, body up to the limit, dispatch to the longest registered
 *                    prefix
 *   front_reply.c    a reply: security headers, CORS, written piece by piece as the peer reads
 *   front_hold.c     what may not be sent yet
 *   front_static.c   the web client's files, opened beneath the web root by the kernel
 *                    (RESOLVE_BENEATH)
 *   front_origin.c   who may call from another origin
 *   front_ws.c       /ws: subprotocol, reassembly, UTF-8, bounded queue, pings
 *
 * Life of a connection: FILTER_NETWORK_CONNECTION (counted, or refused before TLS costs anything) →
 * WSI_CREATE → NEW_CLIENT_INSTANTIATED (the record is the wsi's opaque data from here) → requests
 * or a WebSocket → WSI_DESTROY. The record goes last; a cp_http or cp_conn never outlives it, but
 * for a cp_http whose handler did not ask to be told (front_http_gone()).
 *
 * HTTP/1.1 only (ALPN says so): one request at a time a connection keeps limits and deadlines
 * simple, and browsers need HTTP/1.1 for the WebSocket anyway. No extensions: no
 * permessage-deflate, so no compression bombs.
 *
 * One thread: the loop's. Handlers run in the callback and may reply, send, close at once or later.
 */
#include "controlplane/signaling/front.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>
#include "controlplane/signaling/front_priv.h"
#include "shared/log.h"

enum {
	FDS_RESERVED = 256, // descriptors that are not peers' connections
	GOODBYE_MS = 500,   // to send what is queued when stopping
};

static void log_line(int level, const char *line)
{
	enum sh_log_level l = level & LLL_ERR    ? SH_LOG_WARN
	                      : level & LLL_WARN ? SH_LOG_INFO
	                                         : SH_LOG_DEBUG;
	size_t n = strlen(line);

	while (n && line[n - 1] == '\n')
		n--;
	sh_log(l, "lws", "%.*s", (int)n, line);
}

/* Which TLS versions and options; ciphers are set by conf below (RFC 9325 §4). */
static void harden(SSL_CTX *tls)
{
	SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
	SSL_CTX_set_options(tls, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
	                             SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set1_groups_list(tls, "X25519:P-256:P-384");
}

static int on_http(struct front_conn *c, enum lws_callback_reasons reason, void *in, size_t len)
{
	switch (reason) {
	case LWS_CALLBACK_HTTP:
		return front_http_request(c, in, len);
	case LWS_CALLBACK_HTTP_BODY:
		return front_http_body(c, in, len);
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		return front_http_body_done(c);
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return front_reply_writeable(c);
	case LWS_CALLBACK_CLOSED_HTTP:
		front_http_gone(c);
		return 0;
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		return front_ws_upgrade(c, in);
	default:
		return 0;
	}
}

static int on_ws(struct front_conn *c, enum lws_callback_reasons reason, void *in, size_t len)
{
	switch (reason) {
	case LWS_CALLBACK_ESTABLISHED:
		return front_ws_open(c);
	case LWS_CALLBACK_RECEIVE:
		return front_ws_receive(c, in, len);
	case LWS_CALLBACK_RECEIVE_PONG:
		if (c->ws)
			c->ws->heard_ns = cp_now_ns();
		return 0;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return front_ws_writeable(c);
	case LWS_CALLBACK_TIMER:
		return front_ws_timer(c);
	case LWS_CALLBACK_CLOSED:
		front_ws_closed(c);
		return 0;
	default:
		return 0;
	}
}

static bool is_metrics(struct lws *wsi)
{
	return !strcmp(lws_get_vhost_name(lws_get_vhost(wsi)), "metrics");
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
	struct cp_front *f = lws_context_user(lws_get_context(wsi));
	struct front_conn *c;

	switch (reason) {
	case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
		harden(user);
		return 0;
	case LWS_CALLBACK_FILTER_NETWORK_CONNECTION:
		return front_conn_accept(f, (int)(intptr_t)in, is_metrics(wsi));
	case LWS_CALLBACK_WSI_CREATE:
		front_conn_created(f, wsi);
		return 0;
	case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
		return front_conn_adopted(f, wsi);
	case LWS_CALLBACK_WSI_DESTROY:
		front_conn_destroyed(f, wsi);
		return 0;
	case LWS_CALLBACK_RAW_ADOPT: // "CONNECT host": we are no proxy
	case LWS_CALLBACK_RAW_RX:
		return -1;
	default:
		break;
	}
	c = front_conn_of(wsi);
	if (!c)
		return 0;
	return c->phase == FRONT_WS ? on_ws(c, reason, in, len) : on_http(c, reason, in, len);
}

/* Copies a string of conf's, to be freed with the front. */
static const char *keep(struct cp_front *f, unsigned slot, const char *s)
{
	f->strings[slot] = strdup(s ? s : "");
	return f->strings[slot];
}

static int copy_conf(struct cp_front *f, const struct cp_front_conf *conf)
{
	struct rlimit rl;
	unsigned fds;

	f->conf = *conf;
	f->conf.address = keep(f, 0, conf->address);
	f->conf.cert = keep(f, 1, conf->cert);
	f->conf.key = keep(f, 2, conf->key);
	f->conf.web_root = keep(f, 3, conf->web_root);
	f->conf.metrics_address = keep(f, 4, conf->metrics_address);
	f->conf.cors_origin = keep(f, 5, conf->cors_origin);
	for (unsigned i = 0; i < 6; i++)
		if (!f->strings[i])
			return -ENOMEM;
	if (!f->conf.max_message)
		f->conf.max_message = 262144;
	if (!f->conf.max_body)
		f->conf.max_body = 262144;
	if (!f->conf.max_queue)
		f->conf.max_queue = 1 << 20;
	if (!f->conf.ping_s)
		f->conf.ping_s = FRONT_PING_S;
	if (!f->conf.max_per_address)
		f->conf.max_per_address = 256;
	getrlimit(RLIMIT_NOFILE, &rl);
	fds = rl.rlim_cur > 65536 ? 65536 : (unsigned)rl.rlim_cur;
	f->max = fds > 2 * FDS_RESERVED ? fds - FDS_RESERVED : fds / 2;
	if (f->conf.max_connections && f->conf.max_connections < f->max)
		f->max = f->conf.max_connections;
	return 0;
}

static int make_context(struct cp_front *f)
{
	void *loops[1] = {cp_loop_uv()};
	struct lws_context_creation_info info = {
	    .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
	               LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
	    .foreign_loops = loops,
	    .gid = (gid_t)-1,
	    .uid = (uid_t)-1,
	    .user = f,
	    .pcontext = &f->ctx,
	    .max_http_header_data = 8192,
	    .max_http_header_pool2 = f->max + 1,
	    .pt_serv_buf_size = 16384,
	    .timeout_secs = FRONT_BODY_S * 2, // behind our own deadlines
	    .fd_limit_per_thread = f->max + FDS_RESERVED,
	    .count_threads = 1,
	};

	lws_set_log_level(LLL_ERR | LLL_WARN, log_line);
	f->ctx = lws_create_context(&info);
	if (!f->ctx) {
		sh_error(FRONT_SUBSYS,
		         "libwebsockets did not start: is libwebsockets-evlib-uv installed?");
		return -EIO;
	}
	return 0;
}

/* A listener's socket must be free before libwebsockets is asked, as it does not tell why it
 * failed. */
static int probe(const char *address, uint16_t port)
{
	struct sockaddr_in6 a6 = {
	    .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any};
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	bool v4 = inet_pton(AF_INET, address, &a4.sin_addr) == 1;
	const struct sockaddr *sa = v4 ? (const void *)&a4 : (const void *)&a6;
	int one = 1, err = 0, fd;

	if (!v4 && address[0] && inet_pton(AF_INET6, address, &a6.sin6_addr) != 1)
		return 0; // an interface's name: libwebsockets knows
	fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return sa->sa_family == AF_INET6 && !address[0] ? 0 : -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, sa, v4 ? sizeof(a4) : sizeof(a6)) < 0 || listen(fd, 1) < 0)
		err = -errno;
	close(fd);
	return err;
}

static bool have_ipv6(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int listen_on(struct cp_front *f, const char *address, uint16_t port, bool tls)
{
	struct lws_context_creation_info info = {
	    .port = port,
	    .iface = address[0] ? address : NULL,
	    .protocols = f->protocols,
	    .vhost_name = tls ? "https" : "metrics",
	    .keepalive_timeout = FRONT_IDLE_S + FRONT_BODY_S,
	    .timeout_secs_ah_idle = FRONT_IDLE_S + FRONT_BODY_S,
	    .options = (have_ipv6() && !strchr(address, '.') ? 0 : LWS_SERVER_OPTION_DISABLE_IPV6) |
	               (tls ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0),
	};
	int err = probe(address, port);

	if (tls) {
		info.ssl_cert_filepath = f->conf.cert;
		info.ssl_private_key_filepath = f->conf.key;
		info.alpn = "http/1.1";
		info.ssl_cipher_list = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK:!SHA1";
		info.tls1_3_plus_cipher_list =
		    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
		info.ssl_options_set = SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1;
	}
	if (!err && !lws_create_vhost(f->ctx, &info))
		err = -EIO;
	if (err)
		sh_error(FRONT_SUBSYS, "cannot listen on %s port %u: %s",
		         address[0] ? address : "*", port,
		         err == -EIO ? "see the line of libwebsockets above" : strerror(-err));
	return err;
}

int cp_front_alloc(struct cp_front **out, const struct cp_front_conf *conf,
                   const struct cp_front_ws *ws)
{
	struct cp_front *f = calloc(1, sizeof(*f));
	int err;

	if (!f)
		return -ENOMEM;
	TAILQ_INIT(&f->conns);
	TAILQ_INIT(&f->held);
	f->web_fd = -1;
	if (ws)
		f->ws = *ws;
	f->protocols[0] = (struct lws_protocols){.name = "http", .callback = callback};
	f->protocols[1] = (struct lws_protocols){.name = FRONT_SUBPROTOCOL, .callback = callback};
	err = copy_conf(f, conf);
	if (!err)
		err = front_static_open(f);
	if (!err)
		err = make_context(f);
	if (!err)
		err = listen_on(f, f->conf.address, f->conf.https_port, true);
	if (!err && f->conf.metrics_port)
		err = listen_on(f, f->conf.metrics_address, f->conf.metrics_port, false);
	if (!err)
		err = cp_timer_alloc(&f->sweep, front_sweep, f);
	if (!err)
		err = front_hold_open(f);
	if (err) {
		cp_front_free(f);
		return err;
	}
	cp_timer_start(f->sweep, 1000);
	cp_loop_touch();
	*out = f;
	return 0;
}

/* WebSockets hear 1001 and what was queued for them, for at most GOODBYE_MS. */
static void say_goodbye(struct cp_front *f)
{
	uint64_t end = cp_now_ns() + GOODBYE_MS * 1000000ull;
	struct front_conn *c;
	bool open = true;

	while (open && cp_now_ns() < end) {
		open = false;
		TAILQ_FOREACH (c, &f->conns, link) {
			if (!c->ws)
				continue;
			if (!c->ws->close_code)
				cp_conn_close(c->ws, LWS_CLOSE_STATUS_GOINGAWAY,
				              "the server is stopping");
			open = true;
		}
		uv_run(cp_loop_uv(), UV_RUN_NOWAIT);
		if (open)
			usleep(2000);
	}
}

void cp_front_free(struct cp_front *f)
{
	if (!f)
		return;
	f->closing = true;
	cp_timer_free(f->sweep);
	if (f->ctx) {
		say_goodbye(f);
		lws_context_destroy(f->ctx);
		/* libuv closes handles in its own time; pcontext turns NULL when the context is
		 * gone. */
		for (unsigned i = 0; f->ctx && i < 1000; i++) {
			uv_run(cp_loop_uv(), UV_RUN_NOWAIT);
			if (i == 10 && f->ctx)
				lws_context_destroy(f->ctx);
		}
	}
	front_conn_abandon(f);
	cp_timer_free(f->hold);
	if (f->web_fd >= 0)
		close(f->web_fd);
	for (unsigned i = 0; i < 6; i++)
		free(f->strings[i]);
	free(f);
}

static int add_route(struct cp_front *f, const char *prefix, cp_http_h *h, void *arg, bool metrics)
{
	struct front_route *r = &f->route[f->routes];

	if (f->routes == FRONT_ROUTES_MAX)
		return -ENOSPC;
	r->len = strlen(prefix);
	if (prefix[0] != '/' || r->len >= sizeof(r->prefix) || !h)
		return -EINVAL;
	memcpy(r->prefix, prefix, r->len + 1);
	r->h = h;
	r->arg = arg;
	r->metrics = metrics;
	f->routes++;
	return 0;
}

int cp_front_route(struct cp_front *f, const char *prefix, cp_http_h *h, void *arg)
{
	return add_route(f, prefix, h, arg, false);
}

int cp_front_route_metrics(struct cp_front *f, const char *prefix, cp_http_h *h, void *arg)
{
	return add_route(f, prefix, h, arg, true);
}
