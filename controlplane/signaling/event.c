/* What the domain says, as events of a session. */
#include "controlplane/signaling/signaling_priv.h"

#include <string.h>

json_t *cp_track_json(const struct cp_track *t)
{
	return json_pack("{ss ss ss sb}", "track", t->id, "kind",
	                 t->kind == SH_KIND_AUDIO ? "audio" : "video", "source",
	                 cp_source_name(t->source), "muted", t->muted);
}

json_t *cp_participant_json(const struct cp_participant *p)
{
	json_t *tracks = json_array();
	const struct cp_track *t;

	TAILQ_FOREACH (t, &p->tracks, entry)
		cp_json_push(&tracks, cp_track_json(t));
	return json_pack("{ss ss ss so}", "participant", p->id, "user", p->user, "display",
	                 p->display, "tracks", tracks);
}

json_t *cp_room_json(const struct cp_room *r, const struct cp_participant *but)
{
	json_t *list = json_array();
	const struct cp_participant *p;

	TAILQ_FOREACH (p, &r->participants, entry)
		if (p != but && !p->hidden)
			cp_json_push(&list, cp_participant_json(p));
	return list;
}

static void on_joined(void *arg, const struct cp_participant *o)
{
	cp_session_event(
	    arg, json_pack("{ss so}", "type", "joined", "participant", cp_participant_json(o)));
}

static void on_left(void *arg, const struct cp_participant *o, const char *reason)
{
	cp_session_event(
	    arg, json_pack("{ss ss ss}", "type", "left", "participant", o->id, "reason", reason));
}

static void on_track_added(void *arg, const struct cp_track *t)
{
	cp_session_event(arg, json_pack("{ss ss so}", "type", "track_added", "participant",
	                                t->owner->id, "track", cp_track_json(t)));
}

static void on_track_updated(void *arg, const struct cp_track *t)
{
	cp_session_event(arg, json_pack("{ss ss so}", "type", "track_updated", "participant",
	                                t->owner->id, "track", cp_track_json(t)));
}

static void on_track_removed(void *arg, const struct cp_track *t)
{
	cp_session_event(arg, json_pack("{ss ss ss}", "type", "track_removed", "participant",
	                                t->owner->id, "track", t->id));
}

static json_t *offered(const struct cp_participant *p, const struct cp_sub *s)
{
	const char *mid = p->endpoint[CP_SUBSCRIBE]->nego.media[s->media].mid;
	const struct cp_track *t = s->track;

	if (t->owner)
		return json_pack("{ss ss ss}", "mid", mid, "track", t->id, "participant",
		                 t->owner->id);
	return json_pack("{ss ss sb ss}", "mid", mid, "track", t->id, "slot", 1, "kind",
	                 t->kind == SH_KIND_AUDIO ? "audio" : "video");
}

static void on_offer(void *arg, uint32_t rev, const char *sdp)
{
	struct cp_session *s = arg;
	const struct cp_participant *p = s->party;
	json_t *tracks = json_array();
	const struct cp_sub *sub;

	TAILQ_FOREACH (sub, &p->subs, entry)
		if (sub->media != CP_NO_MEDIA)
			cp_json_push(&tracks, offered(p, sub));
	cp_session_hold(s, p->endpoint[CP_SUBSCRIBE]);
	cp_session_event(s, json_pack("{ss sI ss so}", "type", "offer", "rev", (json_int_t)rev,
	                              "sdp", sdp, "tracks", tracks));
	s->offer_seq = s->seq;
}

static void on_media(void *arg, enum cp_target target, enum cp_media_state state)
{
	static const char *const states[] = {"new", "connected", "disconnected"};

	cp_session_event(arg, json_pack("{ss ss ss}", "type", "media", "target",
	                                target == CP_PUBLISH ? "publish" : "subscribe", "state",
	                                states[state]));
}

static void on_media_reset(void *arg, enum cp_target target)
{
	struct cp_session *s = arg;

	cp_session_event(s, json_pack("{ss ss}", "type", "media_reset", "target",
	                              target == CP_PUBLISH ? "publish" : "subscribe"));
	s->reset_seq[target] = s->seq;
}

void cp_session_reset_again(struct cp_session *s, uint64_t seen)
{
	for (int target = 0; target < 2; target++)
		if (s->reset_seq[target] > seen)
			on_media_reset(s, target);
}

static json_t *slots_json(const struct cp_speaker *v, unsigned n)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < n; i++)
		cp_json_push(&list,
		             json_pack("{ss ss? ss?}", "slot", v[i].slot->id, "participant",
		                       v[i].track ? v[i].track->owner->id : NULL, "track",
		                       v[i].track ? v[i].track->id : NULL));
	return list;
}

static void on_speakers(void *arg, const struct cp_room *r)
{
	struct cp_speakers s;

	cp_speakers_read(r, &s);
	cp_session_event(arg, json_pack("{ss ss? so so}", "type", "speakers", "dominant",
	                                s.dominant ? s.dominant->id : NULL, "audio",
	                                slots_json(s.audio, s.audios), "video",
	                                slots_json(s.video, s.videos)));
}

static void on_layers(void *arg, const struct cp_track *t)
{
	json_t *layers = json_array();

	for (unsigned l = 0; l < t->set.layers; l++) {
		char rid[SH_MID_MAX + 1] = "";

		memcpy(rid, t->set.layer[l].rid, t->set.layer[l].rid_len);
		cp_json_push(&layers,
		             json_pack("{ss sb}", "rid", rid, "active", t->watched >> l & 1));
	}
	cp_session_event(arg, json_pack("{ss ss so}", "type", "layers", "track", t->id, "layers",
	                                layers));
}

static void on_chat(void *arg, const struct cp_participant *from, const char *text,
                    uint64_t wall_ms)
{
	cp_session_event(arg, json_pack("{ss ss ss ss ss sI}", "type", "chat", "participant",
	                                from->id, "user", from->user, "display", from->display,
	                                "text", text, "time", (json_int_t)wall_ms));
}

static void on_changed(void *arg)
{
	cp_session_dirty(arg);
}

const struct cp_party_ops cp_session_party_ops = {
    .joined = on_joined,
    .left = on_left,
    .track_added = on_track_added,
    .track_updated = on_track_updated,
    .track_removed = on_track_removed,
    .offer = on_offer,
    .media = on_media,
    .speakers = on_speakers,
    .layers = on_layers,
    .media_reset = on_media_reset,
    .chat = on_chat,
    .changed = on_changed,
};

static void leave_call_room(struct cp_session *s, const struct cp_call *call, const char *reason)
{
	struct cp_participant *p = s->party;

	if (!p || strcmp(p->room->name, call->room) != 0)
		return;
	s->party = NULL;
	cp_leave(p, reason ? reason : "hangup");
	cp_session_dirty(s);
}

static void on_call(void *arg, const struct cp_call *call, enum cp_call_event event,
                    const char *reason)
{
	struct cp_session *s = arg;
	json_t *o = json_pack("{ss ss}", "type", cp_call_event_name(event), "call", call->id);

	if (event == CP_CALL_RING) {
		cp_json_put(&o, "from", json_string(cp_agent_user(call->caller)));
		cp_json_put(&o, "display", json_string(cp_agent_display(call->caller)));
		cp_json_put(&o, "media", json_string(call->video ? "video" : "audio"));
	}
	if (event == CP_CALL_RING || event == CP_CALL_ACCEPTED)
		cp_json_put(&o, "room", json_string(call->room));
	if (reason)
		cp_json_put(&o, "reason", json_string(reason));
	cp_session_event(s, o);
	if (event == CP_CALL_ENDED)
		leave_call_room(s, call, reason);
}

static void on_presence(void *arg, const char *user, const char *display, enum cp_presence state)
{
	cp_session_event(arg, json_pack("{ss ss ss ss}", "type", "presence", "user", user,
	                                "display", display, "state", cp_presence_name(state)));
}

const struct cp_agent_ops cp_session_agent_ops = {on_call, on_presence};
