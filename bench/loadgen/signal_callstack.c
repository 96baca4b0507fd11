/* callstack.v1 (docs/signaling.md) over libwebsockets: a WebSocket for each participant, one
 * transport to publish and one to be sent everything, or with rooms.watch those that it chose.
 * Requests wait for their replies; offers come whenever others publish and are answered from
 * turn(). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <jansson.h>
#include <libwebsockets.h>
#include "bench/loadgen/lg.h"

enum { REPLY_MS = 20000, RX = 65536 };

struct text {
	struct text *next;
	size_t len;
	uint8_t buf[]; // LWS_PRE, then the text
};

struct call {
	struct lg_member *member;
	struct lws *wsi;
	uint64_t started_ns;
	bool open, closed, left;
	char *in;
	size_t in_len;
	struct text *out, **out_end;
	json_t *watched; // rooms.watch: display names of those that it watches, as an object …
	json_t *known;   // … their ids likewise, as the room tells them
	json_t *tracks;  // that are to be subscribed to
	bool watching;   // from now on
	int last_id;     // last number given
	int id;          // of the request that is waited for
	json_t *reply;   // to it
};

static struct lws_context *context;
static char host[200], sdp_text[LG_SDP_TEXT];
static int port = 443;

/* ---- frames ---- */

static void put(struct call *c, json_t *o)
{
	char *s = json_dumps(o, JSON_COMPACT);
	size_t n = s ? strlen(s) : 0;
	struct text *t = s ? malloc(sizeof(*t) + LWS_PRE + n) : NULL;

	if (t) {
		t->next = NULL;
		t->len = n;
		memcpy(t->buf + LWS_PRE, s, n);
		*c->out_end = t;
		c->out_end = &t->next;
		lws_callback_on_writable(c->wsi);
	}
	free(s);
	json_decref(o);
}

static int write_one(struct call *c)
{
	struct text *t = c->out;
	int n;

	if (!t)
		return 0;
	n = lws_write(c->wsi, t->buf + LWS_PRE, t->len, LWS_WRITE_TEXT);
	c->out = t->next;
	if (!c->out)
		c->out_end = &c->out;
	else
		lws_callback_on_writable(c->wsi);
	free(t);
	return n < 0 ? -1 : 0;
}

/* ---- events ---- */

static struct lg_peer *sub_peer(struct call *c)
{
	struct lg_member *m = c->member;
	struct lg_peer *p;

	if (m->n_sub)
		return m->sub[0];
	p = lg_peer_receiver(m, 0, m->watches);
	if (p && !m->publishes)
		p->started_ns = c->started_ns;
	return p;
}

/* The first offer makes the transport; later ones add what others have published meanwhile. */
static void on_offer(struct call *c, const json_t *o)
{
	static struct lg_sdp sdp;
	const char *text = json_string_value(json_object_get(o, "sdp"));
	bool first = c->member->n_sub == 0;
	struct lg_peer *p = sub_peer(c);
	struct lg_sdp_own own;

	if (!p || !text || lg_sdp_parse(&sdp, text) || (first && lg_peer_remote(p, &sdp))) {
		lg_say("callstack: an offer that cannot be used%s%s", p && p->error[0] ? ": " : "",
		       p ? p->error : "");
		return;
	}
	if (!first)
		lg_peer_more(p, &sdp);
	own = lg_peer_own(p);
	if (!lg_sdp_answer(sdp_text, sizeof(sdp_text), &own, &sdp))
		return;
	put(c, json_pack("{si ss sO ss}", "id", ++c->last_id, "type", "answer", "rev",
	                 json_object_get(o, "rev"), "sdp", sdp_text));
	if (first)
		lg_media_add(p);
}

/* ---- who is watched, where that is not everybody ---- */

static void want_track(struct call *c, const char *participant, json_t *track)
{
	json_t *id = json_object_get(track, "track");

	if (participant && id && json_object_get(c->known, participant))
		json_array_append(c->tracks, id);
}

static void on_participant(struct call *c, const json_t *p)
{
	const char *id = json_string_value(json_object_get(p, "participant"));
	const char *name = json_string_value(json_object_get(p, "display"));
	json_t *track;
	size_t i;

	if (!id || !name || !json_object_get(c->watched, name))
		return;
	json_object_set_new(c->known, id, json_true());
	json_array_foreach (json_object_get(p, "tracks"), i, track)
		want_track(c, id, track);
}

/* What is known by now, in one request. */
static void subscribe(struct call *c)
{
	if (!c->watching || !json_array_size(c->tracks))
		return;
	put(c,
	    json_pack("{si ss so}", "id", ++c->last_id, "type", "subscribe", "tracks", c->tracks));
	c->tracks = json_array();
}

static void on_room(struct call *c, const char *type, const json_t *o)
{
	if (strcmp(type, "joined") == 0)
		on_participant(c, json_object_get(o, "participant"));
	else if (strcmp(type, "track_added") == 0)
		want_track(c, json_string_value(json_object_get(o, "participant")),
		           json_object_get(o, "track"));
	subscribe(c);
}

static void on_text(struct call *c, const char *text, size_t len)
{
	json_t *o = json_loadb(text, len, 0, NULL);
	const char *type = json_string_value(json_object_get(o, "type"));
	const json_t *re = json_object_get(o, "re");

	if (re && json_integer_value(re) == c->id && !c->reply)
		c->reply = json_incref(o);
	else if (re && type && strcmp(type, "error") == 0 && !c->left)
		lg_say("callstack: refused: %s", json_string_value(json_object_get(o, "message")));
	else if (type && strcmp(type, "offer") == 0 && !c->left)
		on_offer(c, o);
	else if (type && c->watched && !c->left)
		on_room(c, type, o);
	json_decref(o);
}

static void take(struct call *c, struct lws *wsi, const void *in, size_t len)
{
	char *more = realloc(c->in, c->in_len + len + 1);

	if (!more)
		return;
	c->in = more;
	memcpy(c->in + c->in_len, in, len);
	c->in_len += len;
	if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi))
		return;
	len = c->in_len;
	c->in_len = 0;
	on_text(c, c->in, len);
}

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t len)
{
	struct call *c = lws_get_opaque_user_data(wsi);

	switch (reason) {
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		c->open = true;
		break;
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		if (c) {
			lg_say("callstack: WebSocket: %s",
			       in ? (const char *)in : "cannot connect");
			c->closed = true;
		}
		break;
	case LWS_CALLBACK_CLIENT_CLOSED:
		c->closed = true;
		break;
	case LWS_CALLBACK_CLIENT_RECEIVE:
		take(c, wsi, in, len);
		break;
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return write_one(c);
	default:
		break;
	}
	return 0;
}

static const struct lws_protocols protocols[] = {
    {.name = "callstack.v1", .callback = on_lws, .rx_buffer_size = RX},
    {0},
};

/* ---- requests ---- */

/* The reply to it, a new reference; NULL: refused, or the connection is gone (said). */
static json_t *request(struct call *c, json_t *o)
{
	uint64_t until = lg_now() + REPLY_MS * 1000000ULL;
	const char *type = json_string_value(json_object_get(o, "type"));
	char what[32];
	json_t *r;

	snprintf(what, sizeof(what), "%s", type ? type : "?");
	c->id = ++c->last_id;
	c->reply = NULL;
	json_object_set_new(o, "id", json_integer(c->id));
	put(c, o);
	while (!c->reply && !c->closed && lg_now() < until)
		lws_service(context, 0);
	r = c->reply;
	c->reply = NULL;
	if (r && strcmp(json_string_value(json_object_get(r, "type")), "ok") == 0)
		return r;
	lg_say("callstack: %s: %s", what,
	       r ? json_string_value(json_object_get(r, "message")) : "no reply");
	json_decref(r);
	return NULL;
}

static int done(json_t *r)
{
	json_decref(r);
	return r ? 0 : -EPROTO;
}

static struct call *connect_call(struct lg_member *m)
{
	struct call *c = calloc(1, sizeof(*c));
	struct lws_client_connect_info info = {
	    .context = context,
	    .address = host,
	    .port = port,
	    .path = "/ws",
	    .host = host,
	    .protocol = "callstack.v1",
	    .local_protocol_name = "callstack.v1",
	    .ssl_connection = LCCSCF_USE_SSL | LCCSCF_ALLOW_SELFSIGNED | LCCSCF_ALLOW_EXPIRED |
	                      LCCSCF_ALLOW_INSECURE | LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK,
	    .opaque_user_data = c,
	};

	if (!c)
		return NULL;
	c->member = m;
	c->out_end = &c->out;
	c->started_ns = lg_now();
	m->call = c;
	c->wsi = lws_client_connect_via_info(&info);
	while (c->wsi && !c->open && !c->closed)
		lws_service(context, 0);
	return c->open ? c : NULL;
}

/* Whoever watches everybody leaves it to the server. */
static void choose(struct call *c, const struct lg_member *m)
{
	char name[32];

	c->watched = json_object();
	c->known = json_object();
	c->tracks = json_array();
	for (unsigned i = 0; i < m->watches; i++) {
		snprintf(name, sizeof(name), "p%u", lg_watched_index(m, i));
		json_object_set_new(c->watched, name, json_true());
	}
}

/* Connected, known and in its room. */
static int enter(struct lg_member *m)
{
	struct call *c = connect_call(m);
	bool all = m->watches == lg_sc.publishers - m->publishes;
	json_t *r, *p;
	char name[32];
	size_t i;

	if (!c)
		return -ECONNREFUSED;
	if (m->watches && !all)
		choose(c, m);
	if (done(request(c, json_pack("{ss ss}", "type", "login", "token", lg_token()))))
		return -EACCES;
	snprintf(name, sizeof(name), "p%u", m->index);
	r = request(c, json_pack("{ss ss ss sb}", "type", "join", "room", m->room->name, "display",
	                         name, "auto", m->watches > 0 && all));
	json_array_foreach (json_object_get(r, "participants"), i, p)
		if (c->watched)
			on_participant(c, p);
	return done(r);
}

static int callstack_open(void)
{
	struct lws_context_creation_info info = {
	    .port = CONTEXT_PORT_NO_LISTEN,
	    .protocols = protocols,
	    .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
	    .gid = (gid_t)-1,
	    .uid = (uid_t)-1,
	};

	if (!lg_token())
		return -EINVAL;
	if (sscanf(lg_sc.url, "https://%199[^:/]:%d", host, &port) < 1) {
		lg_say("server.url: %s; expected https://HOST:PORT", lg_sc.url);
		return -EINVAL;
	}
	unsetenv("http_proxy");
	lws_set_log_level(0, NULL);
	context = lws_create_context(&info);
	return context ? 0 : -ENOMEM;
}

static json_t *sources(const struct lg_member *m)
{
	json_t *a = json_array();
	char mid[12];
	unsigned n = 0;

	if (lg_sc.audio) {
		snprintf(mid, sizeof(mid), "%u", n++);
		json_array_append_new(a, json_pack("{ss ss}", "mid", mid, "source", "microphone"));
	}
	if (lg_has_camera(m->index)) {
		snprintf(mid, sizeof(mid), "%u", n++);
		json_array_append_new(a, json_pack("{ss ss}", "mid", mid, "source", "camera"));
	}
	return a;
}

static int callstack_publish(struct lg_member *m)
{
	static struct lg_sdp sdp;
	const char *text;
	json_t *r;
	int err = enter(m);

	if (!err)
		err = lg_peer_publisher(m, sdp_text, sizeof(sdp_text));
	if (err)
		return err;
	r = request(m->call, json_pack("{ss ss so}", "type", "publish", "sdp", sdp_text, "tracks",
	                               sources(m)));
	text = json_string_value(json_object_get(r, "sdp"));
	err = text ? lg_sdp_parse(&sdp, text) : -EPROTO;
	if (!err)
		err = lg_peer_remote(m->pub, &sdp);
	if (err)
		lg_say("callstack: publish: %s", m->pub->error[0] ? m->pub->error : "no SDP");
	else
		lg_media_add(m->pub);
	json_decref(r);
	return err;
}

/* Who publishes is in already, and gets offers as others come. */
static int callstack_subscribe(struct lg_member *m)
{
	int err = m->call ? 0 : enter(m);
	struct call *c = m->call;

	if (err || !c->watched)
		return err;
	c->watching = true;
	subscribe(c);
	return 0;
}

static int callstack_turn(unsigned ms)
{
	uint64_t until = lg_now() + ms * 1000000ULL;

	do {
		lws_service(context, -1); // what is there already
		if (lg_now() < until)     // asking after thousands of sockets is dear
			usleep(lg_peer_count < 400 ? 500 : ms * 250);
	} while (lg_now() < until);
	return 0;
}

static void callstack_leave(struct lg_member *m)
{
	struct call *c = m->call;

	if (!c || c->closed)
		return;
	c->left = true;
	put(c, json_pack("{si ss}", "id", ++c->last_id, "type", "leave"));
}

static void callstack_close(void)
{
	callstack_turn(100);
	lws_context_destroy(context);
}

const struct lg_adapter lg_adapter_callstack = {
    callstack_open, callstack_publish, callstack_subscribe,
    callstack_turn, callstack_leave,   callstack_close,
};
