/* /ws: the signaling WebSocket (RFC 6455), subprotocol callstack.v1. */
#include "controlplane/signaling/front_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/signaling/query.h"
#include "shared/log.h"

enum {
	FRAME_OVERHEAD = 64, // what a queued frame costs besides its text
	RX_KEEP = 16384,     // a receive buffer larger than this is given back after its message
};

/* Our subprotocol is among those that the client lists. */
static bool offers_subprotocol(struct lws *wsi)
{
	char list[256];
	const char *p = list;

	if (!front_header(wsi, WSI_TOKEN_PROTOCOL, list, sizeof(list)))
		return false;
	while (*p) {
		size_t n;

		p += strspn(p, ", \t");
		n = strcspn(p, ", \t");
		if (n == strlen(FRONT_SUBPROTOCOL) && !memcmp(p, FRONT_SUBPROTOCOL, n))
			return true;
		p += n;
	}
	return false;
}

/* RFC 6455 §4.2.2: a refused handshake is an HTTP reply. libwebsockets closes after it. */
static int refuse(struct front_conn *c, int status, const char *reason, const char *extra,
                  const char *text)
{
	unsigned char buf[LWS_PRE + 1024];
	char *p = (char *)buf + LWS_PRE;
	size_t len = strlen(text), at;

	cp_metric_add(CP_METRIC_ws_refused, 1);
	sh_debug(FRONT_SUBSYS, "%s: /ws refused: %s", c->address, text);
	at = (size_t)snprintf(p, 1024, "HTTP/1.1 %d %s\r\n%s", status, reason, extra);
	at += front_security_headers(p + at, 1024 - at, "", false);
	at += (size_t)snprintf(p + at, 1024 - at,
	                       "content-type: text/plain; charset=utf-8\r\ncontent-length: %zu\r\n"
	                       "cache-control: no-store\r\nconnection: close\r\n\r\n%s",
	                       len, text);
	c->phase = FRONT_DYING;
	c->deadline_ns = front_after_s(FRONT_LINGER_S);
	return lws_write(c->wsi, (unsigned char *)p, at, LWS_WRITE_HTTP_HEADERS) < (int)at ? -1 : 1;
}

/* 0: go on with the upgrade; 1: an answer was sent; -1: hang up. */
int front_ws_upgrade(struct front_conn *c, const char *protocol)
{
	const char *list = c->front->conf.cors_origin;
	char origin[256], host[256], version[16];
	char *path;
	int len;

	if (c->phase == FRONT_DYING || c->http || strcasecmp(protocol, "websocket") != 0)
		return -1;
	if (c->metrics || lws_http_get_uri_and_method(c->wsi, &path, &len) < 0 || len != 3 ||
	    memcmp(path, "/ws", 3) != 0)
		return refuse(c, 404, "Not Found", "", "the WebSocket is at /ws");
	if (lws_hdr_total_length(c->wsi, WSI_TOKEN_GET_URI) <= 0)
		return refuse(c, 405, "Method Not Allowed", "allow: GET\r\n",
		              "a WebSocket handshake is a GET");
	if (!front_header(c->wsi, WSI_TOKEN_VERSION, version, sizeof(version)) ||
	    strcmp(version, "13") != 0)
		return refuse(c, 426, "Upgrade Required", "sec-websocket-version: 13\r\n",
		              "WebSocket version 13 is needed");
	if (lws_hdr_total_length(c->wsi, WSI_TOKEN_KEY) != 24)
		return refuse(c, 400, "Bad Request", "", "malformed Sec-WebSocket-Key");
	if (!offers_subprotocol(c->wsi))
		return refuse(c, 400, "Bad Request", "",
		              "the subprotocol " FRONT_SUBPROTOCOL " is needed");
	front_header(c->wsi, WSI_TOKEN_HOST, host, sizeof(host));
	if (lws_hdr_total_length(c->wsi, WSI_TOKEN_ORIGIN) > 0 &&
	    (!front_header(c->wsi, WSI_TOKEN_ORIGIN, origin, sizeof(origin)) ||
	     (!front_origin_same(origin, host) && !front_origin_listed(list, origin, false))))
		return refuse(c, 403, "Forbidden", "", "this origin may not connect");
	c->phase = FRONT_WS;
	return 0;
}

int front_ws_open(struct front_conn *c)
{
	struct cp_conn *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	STAILQ_INIT(&w->queue);
	w->conn = c;
	w->heard_ns = w->pinged_ns = cp_now_ns();
	c->ws = w;
	c->deadline_ns = 0;
	cp_metric_add(CP_METRIC_ws_open, 1);
	if (c->front->closing) {
		cp_conn_close(w, LWS_CLOSE_STATUS_GOINGAWAY, "the server is stopping");
		w->refused = true;
		return 0;
	}
	if (c->front->ws.open)
		c->front->ws.open(w, c->front->ws.arg, &w->user);
	return 0;
}

static void drop_queue(struct cp_conn *w)
{
	struct front_frame *fr;

	while ((fr = STAILQ_FIRST(&w->queue))) {
		STAILQ_REMOVE_HEAD(&w->queue, link);
		free(fr);
	}
	w->queued = 0;
}

void front_ws_closed(struct front_conn *c)
{
	struct cp_conn *w = c->ws;

	if (!w)
		return;
	if (!w->close_code)
		w->close_code =
		    LWS_CLOSE_STATUS_ABNORMAL_CLOSE; // the handler must not send any more
	if (c->front->ws.close && !w->refused)
		c->front->ws.close(w, w->user);
	c->ws = NULL;
	cp_metric_add(CP_METRIC_ws_open, (uint64_t)-1);
	drop_queue(w);
	free(w->rx);
	free(w);
}

/* Says why and closes at once: nothing more from this peer is looked at. */
static int fail(struct cp_conn *w, enum lws_close_status code, const char *reason)
{
	cp_metric_add(CP_METRIC_ws_bad_frames, 1);
	sh_debug(FRONT_SUBSYS, "%s: closed with %d: %s", w->conn->address, code, reason);
	w->close_code = (uint16_t)code;
	w->conn->deadline_ns = front_after_s(FRONT_CLOSE_S);
	lws_close_reason(w->conn->wsi, code, (unsigned char *)reason, strlen(reason));
	return -1;
}

static int grow(struct cp_conn *w, size_t need)
{
	size_t cap = w->rx_cap ? w->rx_cap : 4096;
	char *p;

	if (need <= w->rx_cap)
		return 0;
	while (cap < need)
		cap *= 2;
	p = realloc(w->rx, cap);
	if (!p)
		return -ENOMEM;
	w->rx = p;
	w->rx_cap = cap;
	return 0;
}

int front_ws_receive(struct front_conn *c, const char *data, size_t len)
{
	struct cp_conn *w = c->ws;

	if (!w || w->close_code)
		return 0;
	w->heard_ns = cp_now_ns();
	if (lws_frame_is_binary(c->wsi))
		return fail(w, LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE, "text frames only");
	if (w->rx_len + len + lws_remaining_packet_payload(c->wsi) > c->front->conf.max_message)
		return fail(w, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "the message is over the limit");
	if (grow(w, w->rx_len + len + 1))
		return -1;
	memcpy(w->rx + w->rx_len, data, len);
	w->rx_len += len;
	if (lws_remaining_packet_payload(c->wsi) || !lws_is_final_fragment(c->wsi))
		return 0;
	len = w->rx_len;
	w->rx_len = 0;
	if (!cp_utf8_valid(w->rx, len))
		return fail(w, LWS_CLOSE_STATUS_INVALID_PAYLOAD, "not UTF-8");
	cp_metric_add(CP_METRIC_ws_messages_in, 1);
	if (c->front->ws.message)
		c->front->ws.message(w, w->user, w->rx, len);
	if (w->rx_cap > RX_KEEP) {
		free(w->rx);
		w->rx = NULL;
		w->rx_cap = 0;
	}
	return 0;
}

int front_ws_writeable(struct front_conn *c)
{
	unsigned char ping[LWS_PRE + 1] = {0}; // a pong without payload would not be reported to us
	struct cp_conn *w = c->ws;
	struct front_frame *fr;
	int n;

	if (!w)
		return -1;
	if (w->ping_due) {
		w->ping_due = false;
		if (lws_write(c->wsi, ping + LWS_PRE, 1, LWS_WRITE_PING) < 0)
			return -1;
		lws_callback_on_writable(c->wsi);
		return 0;
	}
	if (c->held_until_ns && !w->close_code)
		return 0;
	fr = STAILQ_FIRST(&w->queue);
	if (!fr) {
		if (w->close_code)
			lws_set_timer_usecs(c->wsi, 1);
		return 0;
	}
	STAILQ_REMOVE_HEAD(&w->queue, link);
	w->queued -= fr->len + FRAME_OVERHEAD;
	n = lws_write(c->wsi, fr->data + LWS_PRE, fr->len, LWS_WRITE_TEXT);
	free(fr);
	if (n < 0)
		return -1;
	lws_callback_on_writable(c->wsi);
	return 0;
}

/* All is sent: close with our code (RFC 6455 §7.1.2). libwebsockets takes a close from a writeable
 * callback for a broken socket, and would tell the peer nothing; from a timer it does the
 * handshake. */
int front_ws_timer(struct front_conn *c)
{
	struct cp_conn *w = c->ws;

	if (!w || !w->close_code)
		return 0;
	lws_close_reason(c->wsi, w->close_code, (unsigned char *)w->close_reason,
	                 strlen(w->close_reason));
	return -1;
}

/* Pings a silent peer, and gives up on a dead one. A peer that reads nothing answers no ping
 * either. */
void front_ws_sweep(struct front_conn *c, uint64_t now_ns)
{
	struct cp_conn *w = c->ws;

	uint64_t ping_ns = c->front->conf.ping_s * 1000000000ull;

	if (now_ns - w->heard_ns > 2 * ping_ns) {
		sh_debug(FRONT_SUBSYS, "%s: WebSocket silent for %u s", c->address,
		         2 * c->front->conf.ping_s);
		cp_metric_add(CP_METRIC_ws_dead, 1);
		w->heard_ns = now_ns;
		front_conn_kill(c);
	} else if (now_ns - w->pinged_ns >= ping_ns) {
		w->pinged_ns = now_ns;
		w->ping_due = true;
		lws_callback_on_writable(c->wsi);
	}
}

int cp_conn_send(struct cp_conn *w, const char *text, size_t len)
{
	struct front_conn *c = w->conn;
	struct front_frame *fr;

	if (w->close_code)
		return -ENOBUFS;
	if (w->queued + len + FRAME_OVERHEAD > c->front->conf.max_queue) {
		sh_info(FRONT_SUBSYS, "%s: reads too slowly, %zu bytes wait: disconnected",
		        c->address, w->queued);
		cp_metric_add(CP_METRIC_ws_slow, 1);
		w->close_code = LWS_CLOSE_STATUS_POLICY_VIOLATION;
		drop_queue(w);
		front_conn_kill(c);
		return -ENOBUFS;
	}
	fr = malloc(sizeof(*fr) + LWS_PRE + len);
	if (!fr) {
		w->close_code = LWS_CLOSE_STATUS_UNEXPECTED_CONDITION;
		front_conn_kill(c);
		return -ENOBUFS;
	}
	fr->len = len;
	memcpy(fr->data + LWS_PRE, text, len);
	STAILQ_INSERT_TAIL(&w->queue, fr, link);
	w->queued += len + FRAME_OVERHEAD;
	cp_metric_add(CP_METRIC_ws_messages_out, 1);
	lws_callback_on_writable(c->wsi);
	cp_loop_touch();
	return 0;
}

void cp_conn_close(struct cp_conn *w, uint16_t code, const char *reason)
{
	if (w->close_code)
		return;
	w->close_code = code;
	snprintf(w->close_reason, sizeof(w->close_reason), "%s", reason ? reason : "");
	w->conn->deadline_ns = front_after_s(FRONT_CLOSE_S);
	lws_callback_on_writable(w->conn->wsi);
	cp_loop_touch();
}

const char *cp_conn_peer(const struct cp_conn *w)
{
	return w->conn->address;
}
