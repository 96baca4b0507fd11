/* Janus' VideoRoom over its HTTP API: one session, a handle for each who publishes and for each who
 * watches (one transport with all the streams). Answers to messages come as events, by long poll.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <jansson.h>
#include "bench/loadgen/http.h"
#include "bench/loadgen/lg.h"

enum {
	POLLS = 2000,
	ROOM_ID = 1000,
	FEED_ID = 1,
	NO_SUCH_FEED = 428, // a publisher whose transport is not up yet
	TRIES = 100,
	TRY_MS = 50,
};

static long long session;
static unsigned transactions;
static int last_code; // of an error
static char sdp_text[LG_SDP_TEXT];

/* POST, or GET without a body; a new reference, or NULL (said). */
static json_t *call(const char *method, const char *url, json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	const struct lg_http *h =
	    lg_http(method, url, body ? "application/json" : NULL, NULL, text);
	json_t *r = h->status == 200 ? json_loads(h->body, 0, NULL) : NULL;

	if (!r)
		lg_say("%s %s: %ld %s", method, url, h->status, h->status ? h->body : h->error);
	free(text);
	json_decref(body);
	return r;
}

static long long id_of(json_t *r)
{
	long long id = json_integer_value(json_object_get(json_object_get(r, "data"), "id"));

	if (r && !id) {
		char *text = json_dumps(r, JSON_COMPACT);

		lg_say("janus: %s", text ? text : "?");
		free(text);
	}
	json_decref(r);
	return id;
}

static long long handle(void)
{
	char url[320];

	snprintf(url, sizeof(url), "%s/%lld", lg_sc.url, session);
	return id_of(call("POST", url,
	                  json_pack("{ss ss ss}", "janus", "attach", "plugin",
	                            "janus.plugin.videoroom", "transaction", "attach")));
}

static json_t *find(json_t *events, const char *transaction)
{
	json_t *e;
	size_t i;

	json_array_foreach (events, i, e) {
		const char *t = json_string_value(json_object_get(e, "transaction"));

		if (t && strcmp(t, transaction) == 0)
			return json_incref(e);
	}
	return NULL;
}

/* Of other handles there are webrtcup, media, slowlink and the like: passed over. */
static json_t *wait_event(const char *transaction)
{
	char url[320];
	json_t *events, *e = NULL;

	snprintf(url, sizeof(url), "%s/%lld?maxev=20", lg_sc.url, session);
	for (unsigned i = 0; i < POLLS && !e; i++) {
		events = call("GET", url, NULL);
		if (!events)
			return NULL;
		e = find(events, transaction);
		json_decref(events);
	}
	return e;
}

static bool refused(json_t *e)
{
	json_t *data = json_object_get(json_object_get(e, "plugindata"), "data");
	const char *why = json_string_value(json_object_get(data, "error"));

	if (!why)
		why = json_string_value(json_object_get(json_object_get(e, "error"), "reason"));
	last_code = (int)json_integer_value(json_object_get(data, "error_code"));
	if (why && last_code != NO_SUCH_FEED)
		lg_say("janus: %s", why);
	return why != NULL;
}

/* A plugin message; its event (or, of synchronous requests, its reply). NULL: said why. */
static json_t *message(long long id, json_t *body, const char *type, const char *sdp)
{
	char url[320], transaction[24];
	json_t *o, *r;
	const char *kind;

	snprintf(url, sizeof(url), "%s/%lld/%lld", lg_sc.url, session, id);
	snprintf(transaction, sizeof(transaction), "t%u", ++transactions);
	o = json_pack("{ss ss so}", "janus", "message", "transaction", transaction, "body", body);
	if (sdp)
		json_object_set_new(
		    o, "jsep", json_pack("{ss ss sb}", "type", type, "sdp", sdp, "trickle", 0));
	r = call("POST", url, o);
	kind = json_string_value(json_object_get(r, "janus"));
	if (kind && strcmp(kind, "ack") == 0) {
		json_decref(r);
		r = wait_event(transaction);
	}
	if (r && refused(r)) {
		json_decref(r);
		r = NULL;
	}
	return r;
}

static int janus_open(void)
{
	int err = lg_http_open();
	long long id;

	if (err)
		return err;
	session = id_of(call("POST", lg_sc.url,
	                     json_pack("{ss ss}", "janus", "create", "transaction", "create")));
	id = session ? handle() : 0;
	if (!id)
		return -EPROTO;
	for (unsigned i = 0; i < lg_sc.rooms; i++) {
		json_t *r =
		    message(id,
		            json_pack("{ss si si ss ss sb si}", "request", "create", "room",
		                      (int)(ROOM_ID + i), "publishers", (int)lg_sc.publishers + 1,
		                      "audiocodec", "opus", "videocodec", "vp8", "notify_joining",
		                      0, "bitrate", 0),
		            NULL, NULL);

		if (!r)
			return -EPROTO;
		json_decref(r);
	}
	return 0;
}

static int take_sdp(struct lg_peer *p, json_t *event, struct lg_sdp *sdp)
{
	const char *text =
	    json_string_value(json_object_get(json_object_get(event, "jsep"), "sdp"));
	int err = text ? lg_sdp_parse(sdp, text) : -EBADMSG;

	if (!err)
		err = lg_peer_remote(p, sdp);
	if (err)
		lg_say("janus: %s", p->error[0] ? p->error : "no SDP");
	json_decref(event);
	return err;
}

static int janus_publish(struct lg_member *m)
{
	static struct lg_sdp sdp;
	long long id = handle();
	json_t *e;
	int err = id ? lg_peer_publisher(m, sdp_text, sizeof(sdp_text)) : -EPROTO;

	if (err)
		return err;
	e = message(id,
	            json_pack("{ss ss si si}", "request", "joinandconfigure", "ptype", "publisher",
	                      "room", (int)(ROOM_ID + m->room->index), "id",
	                      (int)(FEED_ID + m->index)),
	            "offer", sdp_text);
	if (!e)
		return -EPROTO;
	err = take_sdp(m->pub, e, &sdp);
	if (!err)
		lg_media_add(m->pub);
	return err;
}

static json_t *feeds(const struct lg_member *m)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < m->watches; i++)
		json_array_append_new(
		    a, json_pack("{si}", "feed", (int)(FEED_ID + lg_watched_index(m, i))));
	return a;
}

static json_t *join(long long id, const struct lg_member *m)
{
	json_t *e = NULL;

	for (unsigned i = 0; i < TRIES && !e; i++) {
		e = message(id,
		            json_pack("{ss ss si so}", "request", "join", "ptype", "subscriber",
		                      "room", (int)(ROOM_ID + m->room->index), "streams", feeds(m)),
		            NULL, NULL);
		if (!e && last_code != NO_SUCH_FEED)
			break;
		if (!e)
			usleep(TRY_MS * 1000);
	}
	if (!e && last_code == NO_SUCH_FEED)
		lg_say("janus: no such feed");
	return e;
}

static int janus_subscribe(struct lg_member *m)
{
	static struct lg_sdp sdp;
	struct lg_peer *p = lg_peer_receiver(m, 0, m->watches);
	struct lg_sdp_own own;
	long long id = handle();
	json_t *e;
	int err;

	if (!p || !id)
		return -ENOMEM;
	e = join(id, m);
	if (!e)
		return -EPROTO;
	err = take_sdp(p, e, &sdp);
	if (err)
		return err;
	own = lg_peer_own(p);
	if (!lg_sdp_answer(sdp_text, sizeof(sdp_text), &own, &sdp))
		return -E2BIG;
	e = message(id, json_pack("{ss}", "request", "start"), "answer", sdp_text);
	if (!e)
		return -EPROTO;
	json_decref(e);
	lg_media_add(p);
	return 0;
}

static void janus_leave(struct lg_member *m)
{
}

static void janus_close(void)
{
	char url[320];

	snprintf(url, sizeof(url), "%s/%lld", lg_sc.url, session);
	json_decref(
	    call("POST", url, json_pack("{ss ss}", "janus", "destroy", "transaction", "destroy")));
	lg_http_close();
}

const struct lg_adapter lg_adapter_janus = {
    janus_open, janus_publish, janus_subscribe, NULL, janus_leave, janus_close,
};
