/* Requests about who one is and whom one calls: login, resume, presence, calls. */
#include "controlplane/signaling/signaling_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/loop.h"

static const char *text_of(const json_t *req, const char *key)
{
	return json_string_value(json_object_get(req, key));
}

/* ---- login and resume ---- */

/* What login and resume both answer. */
static int session_reply(struct cp_session *s, struct cp_reply *r)
{
	char resume[2 * CP_RESUME_BYTES + 1], token[2048];

	if (cp_session_make_resume(s, resume) ||
	    cp_auth_issue(s->of->auth, &s->who, token, sizeof(token)))
		return cp_refuse(r, "internal", "no token could be made");
	cp_json_merge(&r->ok, json_pack("{ss ss ss ss si ss ss sI}", "user", s->who.user, "display",
	                                s->who.display, "session", s->id, "resume", resume,
	                                "resume_ttl", (int)s->of->conf.resume_ttl_s, "token", token,
	                                "server", CALLSTACK_VERSION, "seq", (json_int_t)s->seq));
	sh_secret_wipe(token, sizeof(token));
	sh_secret_wipe(resume, sizeof(resume));
	return 0;
}

static int log_in(struct cp_client *c, const struct cp_identity *who, const char *display,
                  struct cp_reply *r)
{
	struct cp_identity id = *who;
	struct cp_session *s;
	int err;

	if (display && *display)
		(void)cp_text_copy(id.display, sizeof(id.display), display);
	err = cp_session_new(&s, c->of, &id);
	if (err)
		return cp_refuse_errno(r, err, "");
	if (session_reply(s, r)) {
		cp_session_end(s, "left");
		return -1;
	}
	cp_session_bind(s, c);
	c->of->counts.logins++;
	if (s->agent)
		cp_agent_ring(s->agent);
	return 0;
}

static void password_done(int err, const struct cp_identity *who, void *arg)
{
	struct cp_client *c = arg;
	struct cp_reply r = {.ok = json_object()};

	c->job = NULL;
	cp_client_begin(c);
	if (err == -EAGAIN)
		cp_refuse(&r, "rate_limited", "too many attempts; try again in a minute");
	else if (err == -EACCES)
		cp_refuse(&r, "unauthorized", "wrong user or password");
	else if (err)
		cp_refuse(&r, "internal", "the user store failed");
	else
		(void)log_in(c, who, c->job_display, &r);
	c->of->counts.logins_refused += err != 0;
	cp_client_finish(c, c->job_re, &r);
	if (!c->session)
		cp_timer_start(c->login_by, c->of->conf.login_timeout_s * 1000ull);
	cp_client_early(c);
}

int cp_req_login(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	const char *user = text_of(req, "user"), *password = text_of(req, "password");
	const char *token = text_of(req, "token"), *display = text_of(req, "display");
	struct cp_identity who;
	int err;

	if (token && !user && !password) {
		if (cp_auth_token(c->of->auth, token, &who)) {
			c->of->counts.logins_refused++;
			return cp_refuse(r, "unauthorized",
			                 "the token is not valid, or has expired");
		}
		return log_in(c, &who, display, r);
	}
	if (token || !user || !password)
		return cp_refuse(r, "bad_request", "either 'token', or 'user' and 'password'");
	c->job_re = json_integer_value(json_object_get(req, "id"));
	(void)cp_text_copy(c->job_display, sizeof(c->job_display), display);
	err = cp_auth_password(&c->job, c->of->auth, user, password, cp_conn_peer(c->conn),
	                       password_done, c);
	c->of->counts.logins_limited += err == -EAGAIN;
	if (err)
		return err == -EAGAIN ? cp_refuse(r, "rate_limited",
		                                  "too many attempts; try again in a minute")
		                      : cp_refuse_errno(r, err, "");
	r->later = true;
	return 0;
}

int cp_req_resume(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	struct cp_session *s = cp_session_by_resume(c->of, text_of(req, "resume"));
	json_int_t seen = json_integer_value(json_object_get(req, "seq"));
	bool whole;

	if (!s)
		return cp_refuse(r, "not_found", "that session is over: log in");
	if (session_reply(s, r))
		return -1;
	cp_session_bind(s, c);
	whole = cp_session_has(s, (uint64_t)seen);
	cp_json_put(&r->ok, "replayed", json_boolean(whole));
	if (whole) {
		/* What follows begins behind that one; held until the reply is out, as every event.
		 */
		cp_json_put(&r->ok, "seq", json_integer(seen));
		c->held_from = (uint64_t)seen + 1;
	}
	if (s->party) {
		cp_json_put(&r->ok, "room", json_string(s->party->room->name));
		cp_json_put(&r->ok, "participant", json_string(s->party->id));
		cp_json_put(&r->ok, "participants", cp_room_json(s->party->room, s->party));
		if (!whole)
			cp_session_reset_again(s, (uint64_t)seen);
		if (!whole || s->offer_seq <= (uint64_t)seen)
			cp_offer_again(s->party);
		if (!whole)
			cp_speakers_again(s->party);
	}
	if (!whole && s->agent)
		cp_agent_ring(s->agent);
	return 0;
}

int cp_req_logout(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	cp_session_end(c->session, "left");
	return 0;
}

int cp_req_ping(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	cp_json_put(&r->ok, "now", json_integer((json_int_t)cp_wall_ms()));
	return 0;
}

/* A guest, whose token is for one room, sees and calls nobody else. */
static bool guest(const struct cp_client *c, struct cp_reply *r)
{
	if (c->session->agent)
		return false;
	cp_refuse(r, "forbidden", "this token is for one room only");
	return true;
}

/* ---- presence ---- */

static void add_user(void *arg, const char *user, const char *display, enum cp_presence state)
{
	cp_json_push(arg, json_pack("{ss ss ss}", "user", user, "display", display, "state",
	                            cp_presence_name(state)));
}

int cp_req_presence(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	json_t *users;

	if (guest(c, r))
		return -1;
	users = json_array();
	cp_agent_watch(c->session->agent, add_user, &users);
	cp_json_put(&r->ok, "users", users);
	return 0;
}

/* ---- calls ---- */

int cp_req_call(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	const char *media = text_of(req, "media");
	struct cp_call *call;
	int err;

	if (strcmp(media, "audio") != 0 && strcmp(media, "video") != 0)
		return cp_refuse(r, "bad_request", "key 'media' is 'audio' or 'video'");
	if (guest(c, r))
		return -1;
	err = cp_call_start(&call, c->session->agent, text_of(req, "to"), media[0] == 'v');
	if (err == -EINVAL)
		return cp_refuse(r, "bad_request", "one cannot call oneself");
	if (err)
		return cp_refuse_errno(r, err, cp_refusal_text(c->of, err, ""));
	cp_json_merge(&r->ok, json_pack("{ss ss}", "call", call->id, "room", call->room));
	cp_call_ring(call);
	return 0;
}

int cp_req_cancel(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	int err;

	if (guest(c, r))
		return -1;
	err = cp_call_cancel(c->session->agent, text_of(req, "call"));
	return err ? cp_refuse_errno(r, err, "") : 0;
}

int cp_req_accept(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	struct cp_call *call;
	int err;

	if (guest(c, r))
		return -1;
	err = cp_call_accept(&call, c->session->agent, text_of(req, "call"));
	if (err)
		return cp_refuse_errno(r, err, "");
	cp_json_put(&r->ok, "room", json_string(call->room));
	return 0;
}

int cp_req_decline(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	const char *reason = text_of(req, "reason");
	int err;

	if (reason && strcmp(reason, "busy") != 0 && strcmp(reason, "declined") != 0)
		return cp_refuse(r, "bad_request", "key 'reason' is 'busy' or 'declined'");
	if (guest(c, r))
		return -1;
	err = cp_call_decline(c->session->agent, text_of(req, "call"), reason && reason[0] == 'b');
	return err ? cp_refuse_errno(r, err, "") : 0;
}

int cp_req_hangup(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	int err;

	if (guest(c, r))
		return -1;
	err = cp_call_hangup(c->session->agent, text_of(req, "call"), "hangup");
	return err ? cp_refuse_errno(r, err, "") : 0;
}
