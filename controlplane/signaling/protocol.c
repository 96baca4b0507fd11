/* callstack.v1: frames in, requests out.
 *
 * Files, in the order of a request: protocol.c (this: a connection, its limits, one reply a
 * request), field.c (strict parsing by protocol.def), requests.c (login, presence, calls), media.c
 * (rooms, SDP, chat), quality.c (what subscribers want), session.c (what outlives a connection:
 * numbered events, resume), event.c (what the domain says, as events), whip.c (WHIP and WHEP over
 * HTTP) and player.c (what they make), journal.c (what outlives the daemon), signaling.c (the
 * whole). front.h brings the text frames; call/ decides.
 *
 * Order on the wire: a request's reply goes out before any event that the request caused, so a
 * client never hears of something it has no name for yet. */
#include "controlplane/signaling/signaling_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/call/admit.h"
#include "controlplane/loop.h"
#include "controlplane/signaling/token.h"

enum { CLOSE_BAD_DATA = 1007, CLOSE_POLICY = 1008, CLOSE_INTERNAL = 1011, MAX_DEPTH = 8 };
enum state { ANY, OUT, IN, ROOM };

struct request {
	const char *type;
	cp_request_h *handler;
	enum state state;
	const char *fields;
};
static const struct request requests[] = {
#define X(type, handler, state, fields) {type, handler, state, fields},
#include "controlplane/signaling/protocol.def"
#undef X
};

/* ---- replies ---- */

int cp_refuse(struct cp_reply *r, const char *code, const char *fmt, ...)
{
	va_list ap;

	r->code = code;
	va_start(ap, fmt);
	vsnprintf(r->message, sizeof(r->message), fmt, ap);
	va_end(ap);
	return -1;
}

int cp_refuse_errno(struct cp_reply *r, int err, const char *text)
{
	static const struct {
		int err;
		const char *code, *text;
	} words[] = {
	    {-ENOENT, "not_found", "no such thing"},
	    {-EEXIST, "conflict", "not possible in this state"},
	    {-EBUSY, "busy", "already in a call"},
	    {-EINVAL, "bad_request", "not possible"},
	    {-EPERM, "forbidden", "not allowed"},
	    {-ENOSPC, "limit", "a configured maximum is reached"},
	    {-EUSERS, "overloaded", "the server is full"},
	    {-ENODEV, "unavailable", "no dataplane is connected"},
	    {-ESTALE, "conflict", "another revision is outstanding"},
	    {-ENOTSUP, "unsupported", "not supported"},
	    {-EBADMSG, "bad_sdp", "malformed SDP"},
	    {-EPROTO, "bad_sdp", "SDP that cannot be served"},
	    {-E2BIG, "bad_sdp", "SDP over a limit"},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i].err == err)
			return cp_refuse(r, words[i].code, "%s",
			                 text && *text ? text : words[i].text);
	return cp_refuse(r, "internal", "error %d", -err);
}

const char *cp_refusal_text(const struct cp_signaling *s, int err, const char *text)
{
	return err == -EUSERS && !*text ? cp_admission_why(s->calls) : text;
}

void cp_client_close(struct cp_client *c, uint16_t code, const char *reason)
{
	if (c->closing)
		return;
	c->closing = true;
	cp_conn_close(c->conn, code, reason);
}

/* Of what the peer sent, a message may hold half a character, which is no JSON. */
static void make_ascii(char *s)
{
	for (; *s; s++)
		if (*s < 0x20 || *s == 0x7f)
			*s = '?';
}

static void send_reply(struct cp_client *c, json_int_t re, struct cp_reply *r)
{
	json_t *frame;
	char *text;

	make_ascii(r->message);
	frame = r->code ? json_pack("{sI ss ss ss}", "re", re, "type", "error", "code", r->code,
	                            "message", r->message)
	                : json_pack("{sI ss}", "re", re, "type", "ok");
	if (!r->code)
		cp_json_merge(&frame, json_incref(r->ok));
	c->of->counts.refused += r->code != NULL;
	text = cp_json_text(frame);
	json_decref(frame);
	json_decref(r->ok);
	r->ok = NULL;
	/* Out of memory: what was asked for may have been done, and the client learns of it when it
	 * resumes. */
	if (text)
		(void)cp_conn_send(c->conn, text, strlen(text));
	else
		cp_client_close(c, CLOSE_INTERNAL, "out of memory");
	free(text);
}

void cp_client_begin(struct cp_client *c)
{
	c->replying = true;
	c->held_from = 0;
}

void cp_client_finish(struct cp_client *c, json_int_t re, struct cp_reply *r)
{
	if (r->later)
		json_decref(r->ok);
	else
		send_reply(c, re, r);
	c->replying = false;
	if (c->held_from && c->session)
		cp_session_replay(c->session, c->held_from - 1);
	c->held_from = 0;
}

/* ---- requests ---- */

static int dispatch(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	const char *type = json_string_value(json_object_get(req, "type"));
	const struct request *q = NULL;

	if (!type)
		return cp_refuse(r, "bad_request", "missing key 'type'");
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]) && !q; i++)
		if (strcmp(requests[i].type, type) == 0)
			q = &requests[i];
	if (q && q->state >= IN && !c->session)
		return cp_refuse(r, "unauthorized", "log in first");
	if (!q)
		return cp_refuse(r, "bad_request", "unknown type '%.40s'", type);
	if (cp_fields_check(q->fields, req, r))
		return -1;
	if (c->session)
		c->session->resume_older = false;
	if (q->state == OUT && c->session)
		return cp_refuse(r, "conflict", "already logged in");
	if (q->state == ROOM && !c->session->party)
		return cp_refuse(r, "conflict", "not in a room");
	return q->handler(c, req, r);
}

static bool rate_ok(struct cp_client *c)
{
	uint64_t now = cp_now_ns();

	c->tokens += (double)(now - c->tokens_at_ns) * 1e-9 * c->of->conf.rate;
	c->tokens_at_ns = now;
	if (c->tokens > c->of->conf.burst)
		c->tokens = c->of->conf.burst;
	if (c->tokens < 1)
		return false;
	c->tokens -= 1;
	return true;
}

static void handle(struct cp_client *c, const json_t *req, const char *duplicate)
{
	struct cp_reply r = {.ok = json_object()};

	c->of->counts.requests++;
	cp_client_begin(c);
	if (!rate_ok(c))
		cp_refuse(&r, "rate_limited", "more than %u requests a second", c->of->conf.rate);
	else if (duplicate)
		cp_refuse(&r, "bad_request", "%s", duplicate);
	else
		(void)dispatch(c, req, &r);
	cp_client_finish(c, json_integer_value(json_object_get(req, "id")), &r);
}

/* Depth without building anything: jansson's own limit is far above ours. */
static bool too_deep(const char *text, size_t len)
{
	unsigned depth = 0;
	bool string = false;

	for (size_t i = 0; i < len; i++) {
		if (string) {
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				string = false;
		} else if (text[i] == '"') {
			string = true;
		} else if (text[i] == '{' || text[i] == '[') {
			if (++depth > MAX_DEPTH)
				return true;
		} else if (text[i] == '}' || text[i] == ']') {
			depth -= depth > 0;
		}
	}
	return false;
}

/* NULL: no JSON object, or a bomb. A key that is there twice is named in `duplicate`, for the
 * reply. */
static json_t *parse(const char *text, size_t len, json_error_t *why)
{
	json_t *o = too_deep(text, len) ? NULL : json_loadb(text, len, JSON_REJECT_DUPLICATES, why);

	if (!o && json_error_code(why) == json_error_duplicate_key)
		o = json_loadb(text, len, 0, NULL);
	if (json_is_object(o))
		return o;
	json_decref(o);
	return NULL;
}

static void on_message(struct cp_client *c, const char *text, size_t len)
{
	json_error_t why = {0};
	json_t *req = parse(text, len, &why), *id = json_object_get(req, "id");

	if (!req)
		cp_client_close(c, CLOSE_BAD_DATA, "not a JSON object, or nested too deep");
	else if (!json_is_integer(id) || json_integer_value(id) < 1 ||
	         json_integer_value(id) > INT32_MAX)
		cp_client_close(c, CLOSE_POLICY, "a request needs an id from 1 to 2147483647");
	else
		handle(c, req, json_error_code(&why) == json_error_duplicate_key ? why.text : NULL);
	json_decref(req);
}

/* Replies go out in the order of requests, and a password takes its time: what comes meanwhile
 * waits. */
static void wait_for_job(struct cp_client *c, const char *text, size_t len)
{
	struct cp_early *e = NULL;

	if (c->n_early < CP_EARLY_FRAMES && c->early_bytes + len <= CP_EARLY_BYTES)
		e = malloc(sizeof(*e) + len);
	if (!e) {
		cp_client_close(c, CLOSE_POLICY, "too much at once before the login was answered");
		return;
	}
	e->len = len;
	memcpy(e->text, text, len);
	STAILQ_INSERT_TAIL(&c->early, e, entry);
	c->n_early++;
	c->early_bytes += len;
}

static struct cp_early *early_take(struct cp_client *c)
{
	struct cp_early *e = STAILQ_FIRST(&c->early);

	if (e) {
		STAILQ_REMOVE_HEAD(&c->early, entry);
		c->n_early--;
		c->early_bytes -= e->len;
	}
	return e;
}

void cp_client_early(struct cp_client *c)
{
	struct cp_early *e;

	while (!c->job && !c->closing && (e = early_take(c))) {
		on_message(c, e->text, e->len);
		free(e);
	}
}

/* ---- connections ---- */

static void login_overdue(void *arg)
{
	struct cp_client *c = arg;

	if (!c->session && !c->job)
		cp_client_close(c, CLOSE_POLICY, "no login in time");
}

static void on_open(struct cp_conn *conn, void *arg, void **user)
{
	struct cp_signaling *s = arg;
	struct cp_client *c = calloc(1, sizeof(*c));

	*user = c;
	if (!c || cp_timer_alloc(&c->login_by, login_overdue, c)) {
		free(c);
		*user = NULL;
		cp_conn_close(conn, 1013, "out of memory");
		return;
	}
	c->of = s;
	c->conn = conn;
	STAILQ_INIT(&c->early);
	c->tokens = s->conf.burst;
	c->tokens_at_ns = cp_now_ns();
	cp_timer_start(c->login_by, s->conf.login_timeout_s * 1000ull);
	TAILQ_INSERT_TAIL(&s->clients, c, entry);
	s->counts.connected++;
}

static void on_close(struct cp_conn *conn, void *user)
{
	struct cp_client *c = user;
	struct cp_early *e;

	(void)conn;
	if (!c)
		return;
	c->conn = NULL;
	while ((e = early_take(c)))
		free(e);
	if (c->job)
		cp_auth_forget(c->job);
	if (c->session)
		cp_session_unbind(c->session);
	TAILQ_REMOVE(&c->of->clients, c, entry);
	c->of->counts.connected--;
	cp_timer_free(c->login_by);
	free(c);
}

static void on_text(struct cp_conn *conn, void *user, const char *text, size_t len)
{
	struct cp_client *c = user;

	(void)conn;
	if (!c || c->closing)
		return;
	if (c->job)
		wait_for_job(c, text, len);
	else
		on_message(c, text, len);
}

void cp_signaling_ws(struct cp_signaling *s, struct cp_front_ws *out)
{
	*out = (struct cp_front_ws){on_open, on_text, on_close, s};
}
