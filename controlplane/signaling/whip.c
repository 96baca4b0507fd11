/* WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): one participant over plain HTTP. What a POST
 * makes lives on in player.c. */
#include "controlplane/signaling/signaling_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/call/admit.h"
#include "controlplane/loop.h"
#include "controlplane/signaling/query.h"
#include "controlplane/signaling/token.h"

static const char *base_of(bool whep)
{
	return whep ? "/whep/" : "/whip/";
}

struct where {
	bool whep;
	char room[CP_NAME_MAX + 1], name[CP_NAME_MAX + 1]; // POST
	char id[40];                                       // PATCH, DELETE: …/session/ID
};

enum { SESSION_LEN = 8 }; // "session/"

/* PREFIX ROOM [/NAME] for POST; PREFIX "session/" ID for the rest. OPTIONS may ask for either: a
 * browser's preflight only wants the CORS headers, which are the same. */
static bool parse_path(const struct cp_http_req *req, bool whep, struct where *w)
{
	const char *at = req->path + strlen(base_of(whep)), *slash = strchr(at, '/');
	size_t n = slash ? (size_t)(slash - at) : strlen(at);
	bool session = strncmp(at, "session/", SESSION_LEN) == 0;

	memset(w, 0, sizeof(*w));
	w->whep = whep;
	if (session && req->method != CP_POST)
		return cp_text_copy(w->id, sizeof(w->id), at + SESSION_LEN) && *w->id;
	if (n > CP_NAME_MAX)
		return false;
	memcpy(w->room, at, n);
	if (!cp_name_valid(w->room))
		return false;
	if (!whep)
		return !slash;
	return !slash ||
	       (cp_text_copy(w->name, sizeof(w->name), slash + 1) && cp_name_valid(w->name));
}

enum { RETRY_AFTER_S = 10 }; // somebody may have left by then

/* Full: of all refusals the one that another server, or a little later, does not have. */
static void refuse_full(struct cp_http *h, const char *why)
{
	char seconds[16];
	const struct cp_http_header later = {"Retry-After", seconds};
	json_t *j = json_pack("{ss ss}", "error", "overloaded", "message", why);
	char *body = cp_json_text(j);

	snprintf(seconds, sizeof(seconds), "%d", RETRY_AFTER_S);
	cp_http_reply(h, &(struct cp_http_resp){503, "application/json", &later, 1,
	                                        body ? body : "", body ? strlen(body) : 0});
	free(body);
	json_decref(j);
}

static void refuse_errno(struct cp_http *h, int err, const char *text)
{
	static const struct {
		int err, status;
		const char *code, *text;
	} words[] = {
	    {-ENOTSUP, 406, "not_acceptable", "the offer has nothing that can be served"},
	    {-ENOENT, 404, "not_found", "nobody of that name in the room"},
	    {-EEXIST, 409, "conflict", "that name is taken in the room"},
	    {-ENOSPC, 429, "limit", "a configured maximum is reached"},
	    {-ENODEV, 503, "unavailable", "no dataplane is connected"},
	    {-EBADMSG, 400, "bad_sdp", "malformed SDP"},
	    {-EPROTO, 422, "bad_sdp", "SDP that cannot be served"},
	    {-E2BIG, 422, "bad_sdp", "SDP over a limit"},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i].err == err) {
			cp_http_error(h, words[i].status, words[i].code,
			              text && *text ? text : words[i].text);
			return;
		}
	cp_http_error(h, 500, "internal", strerror(-err));
}

/* The token's owner, or false with the reply made. */
static bool authorised(struct cp_signaling *s, struct cp_http *h, const struct cp_http_req *req,
                       struct cp_identity *who)
{
	static const struct cp_http_header ask = {"WWW-Authenticate", "Bearer realm=\"callstack\""};
	static const char body[] =
	    "{\"error\":\"unauthorized\",\"message\":\"a valid Bearer token is needed\"}";

	if (req->bearer && cp_auth_token(s->auth, req->bearer, who) == 0)
		return true;
	cp_http_reply(
	    h, &(struct cp_http_resp){401, "application/json", &ask, 1, body, sizeof(body) - 1});
	return false;
}

/* The name that a publisher asks for: "" none. -EINVAL: not a name. */
static int wanted_name(const struct cp_http_req *req, char name[CP_NAME_MAX + 1])
{
	*name = 0;
	if (cp_http_query(req, "name", name, CP_NAME_MAX + 1))
		return cp_name_valid(name) ? 0 : -EINVAL;
	/* There, but too long or malformed? */
	for (const char *at = req->query; at; at = strchr(at, '&')) {
		at += *at == '&';
		if (strncmp(at, "name", 4) == 0 && (at[4] == '=' || at[4] == '&' || !at[4]))
			return -EINVAL;
	}
	return 0;
}

static int start(struct cp_player *p, const struct where *w, const struct cp_http_req *req,
                 char **answer, char *err_text)
{
	char name[CP_NAME_MAX + 1] = "";
	struct cp_join join = {
	    .room = w->room,
	    .user = p->who.user,
	    .display = p->who.display,
	    .name = name,
	    .kind = w->whep ? CP_PARTY_WHEP : CP_PARTY_WHIP,
	    .ops = &cp_player_party_ops,
	    .arg = p,
	};
	int err = 0;

	if (w->whep)
		(void)cp_text_copy(name, sizeof(name), w->name);
	else
		err = wanted_name(req, name);
	if (*name && !w->whep)
		join.display = name;
	if (!err)
		err = cp_join(&p->party, p->of->calls, &join);
	if (err)
		return err;
	return w->whep ? cp_play(p->party, req->body, req->len, answer, err_text)
	               : cp_publish(p->party, req->body, req->len, NULL, 0, answer, err_text);
}

static bool name_there(struct cp_signaling *s, const struct where *w)
{
	struct cp_room *r = cp_room_find(s->calls, w->room);

	return !w->name[0] || (r && cp_room_member(r, w->name));
}

static void created(struct cp_http *h, const struct cp_player *p, const char *answer)
{
	char location[64], etag[16];
	const struct cp_http_header headers[] = {
	    {"Location", location},
	    {"ETag", etag},
	    {"Accept-Patch", "application/trickle-ice-sdpfrag"},
	};

	snprintf(location, sizeof(location), "%ssession/%s", base_of(p->whep), p->id);
	snprintf(etag, sizeof(etag), "\"%u\"", p->etag);
	cp_http_hold(h, cp_endpoint_ticket(cp_player_transport(p)));
	cp_http_reply(
	    h, &(struct cp_http_resp){201, "application/sdp", headers, 3, answer, strlen(answer)});
}

static void post(struct cp_signaling *s, struct cp_http *h, const struct cp_http_req *req,
                 const struct where *w)
{
	const struct cp_signaling_counts *n = &s->counts;
	char err_text[CP_NEGO_ERROR_MAX] = "", id[2 * CP_ID_MAX];
	struct cp_identity who;
	struct cp_player *p;
	char *answer = NULL;
	int err;

	if (!authorised(s, h, req, &who))
		return;
	if (strcmp(req->content_type, "application/sdp") != 0) {
		cp_http_error(h, 415, "unsupported", "Content-Type must be application/sdp");
		return;
	}
	/* What it says may stand in JSON for others, and in the journal. */
	if (!cp_utf8_valid(req->body, req->len)) {
		cp_http_error(h, 400, "bad_sdp", "not UTF-8 (RFC 8866 §9)");
		return;
	}
	if (!*w->room || (who.room[0] && strcmp(who.room, w->room) != 0) ||
	    !cp_call_may_join(NULL, w->room)) {
		cp_http_error(h, 403, "forbidden", "this token is not for this room");
		return;
	}
	if (w->whep && !name_there(s, w)) {
		refuse_errno(h, -ENOENT, "");
		return;
	}
	if (n->sessions + n->whip + n->whep >= s->conf.max_sessions) {
		refuse_errno(h, -ENOSPC, "");
		return;
	}
	cp_make_id(id, 'w');
	cp_make_id(id + 17, 'x');
	p = cp_player_new(s, id, w->whep, &who);
	err = p ? start(p, w, req, &answer, err_text) : -ENOMEM;
	if (err == 0) {
		p->etag = 1;
		p->dirty = true;
		created(h, p, answer);
	} else {
		if (err == -EUSERS)
			refuse_full(h, cp_admission_why(s->calls));
		else if (err == -EINVAL)
			cp_http_error(h, 400, "bad_request",
			              "name must be 1 to 64 characters of A-Z a-z 0-9 . _ - @ +");
		else
			refuse_errno(h, err, err_text);
		if (p)
			cp_player_end(p, "refused");
	}
	free(answer);
}

static struct cp_player *player_of(struct cp_signaling *s, struct cp_http *h,
                                   const struct cp_http_req *req, const struct where *w)
{
	struct cp_identity who;
	struct cp_player *p;

	if (!authorised(s, h, req, &who))
		return NULL;
	TAILQ_FOREACH (p, &s->players, entry)
		if (p->whep == w->whep && !p->lost && strcmp(p->id, w->id) == 0 &&
		    strcmp(p->who.user, who.user) == 0)
			return p;
	cp_http_error(h, 404, "not_found", "no such session");
	return NULL;
}

/* RFC 9725 §4.3.1: what is not about the ICE session that we have is refused, and must not be
 * missing. */
static bool precondition(const struct cp_player *p, struct cp_http *h,
                         const struct cp_http_req *req)
{
	char etag[16];

	snprintf(etag, sizeof(etag), "\"%u\"", p->etag);
	if (strcmp(req->content_type, "application/trickle-ice-sdpfrag") != 0)
		cp_http_error(h, 415, "unsupported",
		              "Content-Type must be application/trickle-ice-sdpfrag");
	else if (!req->if_match[0])
		cp_http_error(h, 428, "precondition_required",
		              "If-Match must name the ICE session, or be *");
	else if (strcmp(req->if_match, "*") != 0 && strcmp(req->if_match, "\"*\"") != 0 &&
	         strcmp(req->if_match, etag) != 0)
		cp_http_error(h, 412, "precondition_failed",
		              "If-Match is not the current ICE session");
	else
		return true;
	return false;
}

/* RFC 9725 §4.3.3: other credentials than before restart ICE. A failure leaves the session as it
 * was. */
static int restart_ice(struct cp_player *p, const char *ufrag, const char *pwd, char **frag)
{
	struct cp_endpoint *e = cp_player_transport(p);
	int err = cp_endpoint_restart(e);

	if (err)
		return err;
	(void)cp_text_copy(e->nego.rufrag, sizeof(e->nego.rufrag), ufrag);
	(void)cp_text_copy(e->nego.rpwd, sizeof(e->nego.rpwd), pwd);
	p->etag++;
	p->dirty = true;
	return cp_nego_fragment_out(&e->nego, frag);
}

static void patch(struct cp_signaling *s, struct cp_http *h, const struct cp_http_req *req,
                  const struct where *w)
{
	struct cp_player *p = player_of(s, h, req, w);
	char ufrag[257] = "", pwd[257] = "", err_text[CP_NEGO_ERROR_MAX] = "", etag[16],
	     *frag = NULL;
	const struct cp_http_header header = {"ETag", etag};
	int err;

	if (!p || !precondition(p, h, req))
		return;
	err = cp_utf8_valid(req->body, req->len)
	          ? cp_nego_fragment_in(req->body, req->len, ufrag, pwd, err_text)
	          : -EBADMSG;
	if (err) {
		cp_http_error(h, 400, "bad_sdp", err_text);
		return;
	}
	if (!ufrag[0] || strcmp(ufrag, cp_player_transport(p)->nego.rufrag) == 0) {
		/* Trickled candidates: we are ICE-lite and need none. */
		cp_http_reply(h, &(struct cp_http_resp){.status = 204});
		return;
	}
	err = restart_ice(p, ufrag, pwd, &frag);
	if (err) {
		refuse_errno(h, err, "");
		return;
	}
	snprintf(etag, sizeof(etag), "\"%u\"", p->etag);
	cp_http_hold(h, cp_endpoint_ticket(cp_player_transport(p)));
	cp_http_reply(h, &(struct cp_http_resp){200, "application/trickle-ice-sdpfrag", &header, 1,
	                                        frag, strlen(frag)});
	free(frag);
}

static void remove_player(struct cp_signaling *s, struct cp_http *h, const struct cp_http_req *req,
                          const struct where *w)
{
	struct cp_player *p = player_of(s, h, req, w);

	if (!p)
		return;
	cp_player_end(p, "left");
	cp_http_reply(h, &(struct cp_http_resp){.status = 200});
}

static void options(struct cp_http *h, const struct where *w)
{
	static const struct cp_http_header headers[] = {
	    {"Accept-Post", "application/sdp"},
	    {"Allow", "POST, OPTIONS"},
	};
	static const struct cp_http_header session[] = {
	    {"Accept-Patch", "application/trickle-ice-sdpfrag"},
	    {"Allow", "PATCH, DELETE, OPTIONS"},
	};

	cp_http_reply(h, &(struct cp_http_resp){.status = 200,
	                                        .headers = w->id[0] ? session : headers,
	                                        .n_headers = 2});
}

static void not_allowed(struct cp_http *h, const struct where *w)
{
	static const char body[] =
	    "{\"error\":\"bad_request\",\"message\":\"method not allowed here\"}";
	const struct cp_http_header allow = {"Allow",
	                                     w->id[0] ? "PATCH, DELETE, OPTIONS" : "POST, OPTIONS"};

	cp_http_reply(
	    h, &(struct cp_http_resp){405, "application/json", &allow, 1, body, sizeof(body) - 1});
}

static void serve(struct cp_signaling *s, struct cp_http *h, const struct cp_http_req *req,
                  bool whep)
{
	struct where w;

	if (!parse_path(req, whep, &w))
		cp_http_error(h, 404, "not_found", "no such room path");
	else if (req->method == CP_OPTIONS)
		options(h, &w);
	else if (req->method == CP_POST && !w.id[0])
		post(s, h, req, &w);
	else if (req->method == CP_PATCH && w.id[0])
		patch(s, h, req, &w);
	else if (req->method == CP_DELETE && w.id[0])
		remove_player(s, h, req, &w);
	else
		not_allowed(h, &w);
}

static void on_whip(struct cp_http *h, const struct cp_http_req *req, void *arg)
{
	serve(arg, h, req, false);
}

static void on_whep(struct cp_http *h, const struct cp_http_req *req, void *arg)
{
	serve(arg, h, req, true);
}

int cp_signaling_routes(struct cp_signaling *s, struct cp_front *front)
{
	int err = cp_front_route(front, base_of(false), on_whip, s);

	return err ? err : cp_front_route(front, base_of(true), on_whep, s);
}
