/* Requests about rooms and media: join, publish, subscribe, answers, mute, chat. */
#include "controlplane/signaling/signaling_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/loop.h"

static const char *text_of(const json_t *req, const char *key)
{
	return json_string_value(json_object_get(req, key));
}

/* ---- rooms ---- */

int cp_req_join(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	struct cp_session *s = c->session;
	const char *room = text_of(req, "room"), *display = text_of(req, "display");
	const json_t *auto_sub = json_object_get(req, "auto");
	const struct cp_join join = {
	    .room = room,
	    .user = s->who.user,
	    .display = display ? display : s->who.display,
	    .kind = CP_PARTY_CLIENT,
	    .auto_sub = !auto_sub || json_is_true(auto_sub),
	    .ops = &cp_session_party_ops,
	    .arg = s,
	};
	int err;

	if (s->party)
		return cp_refuse(r, "conflict", "already in room '%s'", s->party->room->name);
	if ((s->who.room[0] && strcmp(s->who.room, room) != 0) || !cp_call_may_join(s->agent, room))
		return cp_refuse(r, "forbidden", "not allowed into this room");
	err = cp_join(&s->party, c->of->calls, &join);
	if (err)
		return cp_refuse_errno(r, err, cp_refusal_text(c->of, err, ""));
	cp_session_dirty(s);
	cp_json_merge(&r->ok, json_pack("{ss ss so}", "room", room, "participant", s->party->id,
	                                "participants", cp_room_json(s->party->room, s->party)));
	return 0;
}

int cp_req_leave(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	struct cp_session *s = c->session;
	struct cp_participant *p = s->party;
	struct cp_call *call = s->agent ? cp_call_in_room(s->agent, p->room->name) : NULL;

	if (call) {
		(void)cp_call_hangup(s->agent, call->id,
		                     "left"); /* which leaves the room for both */
		return 0;
	}
	s->party = NULL;
	cp_leave(p, "left");
	cp_session_dirty(s);
	return 0;
}

int cp_req_chat(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	const char *text = text_of(req, "text");

	if (!*text)
		return cp_refuse(r, "bad_request", "key 'text' is empty");
	cp_chat(c->session->party, text, cp_wall_ms());
	return 0;
}

/* ---- publishing ---- */

static json_t *own_tracks_json(const struct cp_participant *p)
{
	json_t *list = json_array();
	const struct cp_track *t;

	TAILQ_FOREACH (t, &p->tracks, entry)
		cp_json_push(&list, json_pack("{ss ss}", "mid", t->mid, "track", t->id));
	return list;
}

static int flag_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return v ? json_is_true(v) : -1;
}

static int publish(struct cp_session *s, const json_t *req, struct cp_reply *r)
{
	struct cp_publish_track src[CP_NEGO_MEDIA_MAX];
	const json_t *tracks = json_object_get(req, "tracks");
	const json_t *sdp = json_object_get(req, "sdp");
	char err_text[CP_NEGO_ERROR_MAX] = "";
	char *answer = NULL;
	json_t *o;
	size_t i;
	int err;

	json_array_foreach (tracks, i, o)
		src[i] = (struct cp_publish_track){
		    text_of(o, "mid"), cp_source_parse(text_of(o, "source")), flag_of(o, "muted")};
	err = cp_publish(s->party, json_string_value(sdp), json_string_length(sdp), src,
	                 json_array_size(tracks), &answer, err_text);
	if (err)
		return cp_refuse_errno(r, err, cp_refusal_text(s->of, err, err_text));
	cp_json_put(&r->ok, "sdp", json_string(answer));
	cp_json_put(&r->ok, "tracks", own_tracks_json(s->party));
	cp_session_hold(s, s->party->endpoint[CP_PUBLISH]);
	free(answer);
	return 0;
}

int cp_req_publish(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	return publish(c->session, req, r);
}

int cp_req_mute(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	struct cp_track *t = cp_track_find(c->session->party, text_of(req, "track"));

	if (!t)
		return cp_refuse(r, "not_found", "no such track of yours");
	cp_track_mute(t, json_is_true(json_object_get(req, "muted")));
	return 0;
}

/* ---- lists of tracks: all of them are looked at before anything is done ---- */

enum whose { OWN, SUBSCRIBED, UNSUBSCRIBED };
typedef int(track_h)(struct cp_participant *p, struct cp_track *t, bool flag);

static int check_whose(const struct cp_participant *p, const struct cp_track *t, enum whose whose,
                       struct cp_reply *r)
{
	if (whose != OWN && t->owner == p)
		return cp_refuse(r, "unsupported", "track '%.64s' is your own", t->id);
	if (whose == UNSUBSCRIBED && cp_subscribed(p, t))
		return cp_refuse(r, "conflict", "track '%.64s' is subscribed already", t->id);
	if (whose == SUBSCRIBED && !cp_subscribed(p, t))
		return cp_refuse(r, "conflict", "track '%.64s' is not subscribed", t->id);
	return 0;
}

static int each_track(struct cp_client *c, const json_t *req, struct cp_reply *r, enum whose whose,
                      track_h *h, bool flag)
{
	struct cp_participant *p = c->session->party;
	const json_t *ids = json_object_get(req, "tracks");
	struct cp_track *t[CP_NEGO_MEDIA_MAX];
	json_t *id;
	size_t i;

	json_array_foreach (ids, i, id) {
		const char *name = json_string_value(id);

		t[i] = whose == OWN ? cp_track_find(p, name) : cp_room_track(p->room, name);
		if (!t[i])
			return cp_refuse(r, "not_found", "no track '%.64s'", name);
		if (check_whose(p, t[i], whose, r))
			return -1;
		for (size_t k = 0; k < i; k++)
			if (t[k] == t[i])
				return cp_refuse(r, "bad_request", "track '%.64s' twice", name);
	}
	if (whose == UNSUBSCRIBED) {
		int err = cp_may_subscribe(p, t, json_array_size(ids));

		if (err)
			return cp_refuse_errno(r, err, cp_refusal_text(c->of, err, ""));
	}
	json_array_foreach (ids, i, id) {
		int err = h(p, t[i], flag);

		if (err)
			return cp_refuse_errno(r, err, "");
	}
	return 0;
}

static int do_unpublish(struct cp_participant *p, struct cp_track *t, bool flag)
{
	cp_track_end(t);
	return 0;
}

static int do_subscribe(struct cp_participant *p, struct cp_track *t, bool on)
{
	return on ? cp_subscribe_to(p, t) : cp_unsubscribe(p, t);
}

int cp_req_unpublish(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	return each_track(c, req, r, OWN, do_unpublish, false);
}

int cp_req_subscribe(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	return each_track(c, req, r, UNSUBSCRIBED, do_subscribe, true);
}

int cp_req_unsubscribe(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	return each_track(c, req, r, SUBSCRIBED, do_subscribe, false);
}

int cp_req_pause(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	return each_track(c, req, r, SUBSCRIBED, cp_pause,
	                  json_is_true(json_object_get(req, "paused")));
}

/* ---- SDP answers, candidates, restarts ---- */

int cp_req_answer(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	const json_t *sdp = json_object_get(req, "sdp");
	json_int_t rev = json_integer_value(json_object_get(req, "rev"));
	char err_text[CP_NEGO_ERROR_MAX] = "";
	int err;

	if (rev > UINT32_MAX)
		return cp_refuse_errno(r, -ESTALE, "");
	err = cp_answer(c->session->party, (uint32_t)rev, json_string_value(sdp),
	                json_string_length(sdp), err_text);
	return err ? cp_refuse_errno(r, err, err_text) : 0;
}

static int target_of(const json_t *req, enum cp_target *target, struct cp_reply *r)
{
	const char *t = text_of(req, "target");

	*target = strcmp(t, "subscribe") == 0 ? CP_SUBSCRIBE : CP_PUBLISH;
	if (*target == CP_PUBLISH && strcmp(t, "publish") != 0)
		return cp_refuse(r, "bad_request", "key 'target' is 'publish' or 'subscribe'");
	return 0;
}

int cp_req_candidate(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	const char *candidate = text_of(req, "candidate");
	enum cp_target target;

	if (target_of(req, &target, r))
		return -1;
	if (!c->session->party->endpoint[target])
		return cp_refuse(r, "conflict", "no such transport yet");
	/* ICE-lite: checks come to us, so a candidate is looked at for its shape only (RFC 8839
	 * §5.1). */
	if (*candidate && strncmp(candidate, "candidate:", 10) != 0 &&
	    strncmp(candidate, "a=candidate:", 12) != 0)
		return cp_refuse(r, "bad_request", "key 'candidate' is not a candidate attribute");
	return 0;
}

int cp_req_restart(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	bool has_sdp = json_object_get(req, "sdp") != NULL;
	enum cp_target target;
	int err;

	if (target_of(req, &target, r))
		return -1;
	if (has_sdp != (target == CP_PUBLISH) || (!has_sdp && json_object_get(req, "tracks")))
		return cp_refuse(
		    r, "bad_request",
		    "keys 'sdp' and 'tracks' go with target 'publish', and only there");
	if (target == CP_PUBLISH)
		return publish(c->session, req, r);
	err = cp_subscribe_restart(c->session->party);
	return err ? cp_refuse_errno(r, err, "") : 0;
}
