/* Rooms, and who is in them. A room exists while somebody is in it. */
#include "controlplane/call/calls_priv.h"

#include <errno.h>
#include <stdlib.h>

static const struct cp_party_ops deaf;

/* ---- ends ---- */

static void room_free(struct cp_room_entry *r)
{
	cp_slots_close(&r->room);
	HASH_DELETE(by_number, r->room.calls->numbers, r);
	HASH_DEL(r->room.calls->rooms, r);
	free(r);
}

/* Silent: nobody is told. cp_leave() tells first. */
void cp_participant_free(struct cp_participant *p)
{
	struct cp_room *room = p->room;
	struct cp_sub *s;
	struct cp_track *t;

	while ((s = TAILQ_FIRST(&p->subs)))
		cp_sub_end(s);
	while ((t = TAILQ_FIRST(&p->tracks)))
		cp_track_end(t);
	for (int i = 0; i < 2; i++)
		if (p->endpoint[i])
			cp_endpoint_free(p->endpoint[i]);
	if (p->due)
		TAILQ_REMOVE(&p->calls->due, p, due_entry);
	p->calls->counts.participants--;
	if (room) {
		TAILQ_REMOVE(&room->participants, p, entry);
		if (--room->n_participants == 0)
			room_free((struct cp_room_entry *)room);
	}
	free(p);
}

/* ---- rooms ---- */

uint32_t cp_number(struct cp_calls *c, uint32_t known)
{
	if (!known)
		return ++c->last_number;
	if (known > c->last_number)
		c->last_number = known;
	return known;
}

struct cp_room *cp_room_find(struct cp_calls *c, const char *name)
{
	struct cp_room_entry *r;

	HASH_FIND_STR(c->rooms, name, r);
	return r ? &r->room : NULL;
}

/* number: of a room of the daemon before us; 0: a new one. */
static int room_get(struct cp_room **out, struct cp_calls *c, const char *name, uint32_t number)
{
	struct cp_room_entry *r;

	*out = cp_room_find(c, name);
	if (*out)
		return 0;
	if (HASH_COUNT(c->rooms) >= c->limits.max_rooms)
		return -ENOSPC;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	if (!cp_text_copy(r->room.name, sizeof(r->room.name), name)) {
		free(r);
		return -EINVAL;
	}
	r->room.calls = c;
	TAILQ_INIT(&r->room.participants);
	TAILQ_INIT(&r->room.slots);
	r->room.number = cp_number(c, number);
	HASH_ADD_STR(c->rooms, room.name, r);
	if (!r->hh.tbl) {
		free(r);
		return -ENOMEM;
	}
	HASH_ADD(by_number, c->numbers, room.number, sizeof(r->room.number), r);
	if (!r->by_number.tbl) {
		HASH_DEL(c->rooms, r);
		free(r);
		return -ENOMEM;
	}
	*out = &r->room;
	return 0;
}

static const char *name_of(const struct cp_participant *p)
{
	return p->name[0] ? p->name : p->user;
}

bool cp_participant_called(const struct cp_participant *p, const char *name)
{
	return strcmp(name_of(p), name) == 0 || strcmp(p->id, name) == 0;
}

struct cp_participant *cp_room_member(struct cp_room *r, const char *name)
{
	struct cp_participant *p;

	TAILQ_FOREACH (p, &r->participants, entry)
		if (!p->hidden && cp_participant_called(p, name))
			return p;
	return NULL;
}

struct cp_track *cp_room_track(struct cp_room *r, const char *track_id)
{
	struct cp_participant *p;
	struct cp_track *t;

	TAILQ_FOREACH (p, &r->participants, entry)
		if ((t = cp_track_find(p, track_id)))
			return t;
	TAILQ_FOREACH (t, &r->slots, entry)
		if (strcmp(t->id, track_id) == 0)
			return t;
	return NULL;
}

/* ---- participants ---- */

int cp_room_enter(struct cp_calls *c, struct cp_participant *p, const char *room, uint32_t number)
{
	int err = room_get(&p->room, c, room, number);

	if (err)
		return err;
	TAILQ_INSERT_TAIL(&p->room->participants, p, entry);
	p->room->n_participants++;
	return 0;
}

static bool room_full(struct cp_calls *c, const char *name)
{
	const struct cp_room *r = cp_room_find(c, name);

	return r && r->n_participants >= c->limits.max_participants;
}

/* One may take one's own user name beside one's own client there, and nobody else's. */
static bool name_taken(struct cp_calls *c, const struct cp_join *join)
{
	struct cp_room *r = cp_room_find(c, join->room);
	const struct cp_participant *p;

	if (!r || join->kind != CP_PARTY_WHIP || !join->name || !*join->name)
		return false;
	TAILQ_FOREACH (p, &r->participants, entry)
		if (!p->hidden && cp_participant_called(p, join->name) &&
		    (p->name[0] || strcmp(p->user, join->user) != 0))
			return true;
	return false;
}

struct cp_participant *cp_participant_new(struct cp_calls *c)
{
	struct cp_participant *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->calls = c;
	p->ops = &deaf;
	TAILQ_INIT(&p->tracks);
	TAILQ_INIT(&p->subs);
	c->counts.participants++;
	return p;
}

void cp_participant_reset_media(struct cp_participant *p)
{
	struct cp_track *t;
	struct cp_sub *s;

	while ((s = TAILQ_FIRST(&p->subs)))
		cp_sub_end(s);
	while ((t = TAILQ_FIRST(&p->tracks)))
		cp_track_end(t);
	for (int i = 0; i < 2; i++) {
		if (!p->endpoint[i])
			continue;
		cp_endpoint_free(p->endpoint[i]);
		if (p->ops->media_reset)
			p->ops->media_reset(p->arg, i);
	}
	if (p->auto_sub && p->room)
		cp_slots_subscribe(p);
	cp_participant_changed(p);
}

void cp_participant_changed(struct cp_participant *p)
{
	if (p->ops->changed)
		p->ops->changed(p->arg);
}

static void tell_joined(struct cp_participant *p)
{
	struct cp_participant *o;

	TAILQ_FOREACH (o, &p->room->participants, entry)
		if (o != p && o->ops->joined)
			o->ops->joined(o->arg, p);
}

void cp_participant_show(struct cp_participant *p)
{
	if (!p->hidden || p->kind == CP_PARTY_WHEP)
		return;
	p->hidden = false;
	tell_joined(p);
}

static void subscribe_to_room(struct cp_participant *p)
{
	struct cp_participant *o;
	struct cp_track *t;

	TAILQ_FOREACH (o, &p->room->participants, entry)
		if (o != p)
			TAILQ_FOREACH (t, &o->tracks, entry)
				if (!p->room->grown || !cp_slot_stands_for(t))
					(void)cp_subscribe(p, t);
	cp_slots_subscribe(p);
}

int cp_join(struct cp_participant **out, struct cp_calls *c, const struct cp_join *join)
{
	struct cp_participant *p;
	uint8_t place[2];
	int err;

	if (!cp_calls_ready(c))
		return -ENODEV;
	if (room_full(c, join->room))
		return -ENOSPC;
	if (name_taken(c, join))
		return -EEXIST;
	err = cp_admit_join(c, join, place);
	if (err)
		return err;
	p = cp_participant_new(c);
	if (!p)
		return -ENOMEM;
	cp_make_id(p->id, 'p');
	memcpy(p->place, place, sizeof(place));
	p->kind = join->kind;
	p->hidden = join->kind != CP_PARTY_CLIENT;
	p->auto_sub = join->auto_sub;
	err = -EINVAL;
	if (!cp_text_copy(p->user, sizeof(p->user), join->user) ||
	    !cp_text_copy(p->display, sizeof(p->display), join->display) ||
	    !cp_text_copy(p->name, sizeof(p->name), join->name))
		goto fail;
	p->number = cp_number(c, 0);
	err = cp_room_enter(c, p, join->room, 0);
	if (err)
		goto fail;
	p->ops = join->ops;
	p->arg = join->arg;
	if (!p->hidden)
		tell_joined(p);
	if (p->auto_sub)
		subscribe_to_room(p);
	cp_speakers_again(p);
	*out = p;
	return 0;
fail:
	cp_participant_free(p);
	return err;
}

void cp_leave(struct cp_participant *p, const char *reason)
{
	struct cp_participant *o;

	if (!p->hidden)
		TAILQ_FOREACH (o, &p->room->participants, entry)
			if (o != p && o->ops->left)
				o->ops->left(o->arg, p, reason);
	/* From here on `left` has said it all: the tracks go without a word each. */
	p->hidden = true;
	cp_participant_free(p);
}

void cp_chat(struct cp_participant *p, const char *text, uint64_t wall_ms)
{
	struct cp_participant *o;

	TAILQ_FOREACH (o, &p->room->participants, entry)
		if (o->ops->chat)
			o->ops->chat(o->arg, p, text, wall_ms);
}

void cp_room_tell_track(struct cp_track *t, int what)
{
	struct cp_participant *o;

	if (t->owner->hidden)
		return;
	if (what == CP_TRACK_ADDED)
		cp_room_grow(t->owner->room);
	TAILQ_FOREACH (o, &t->owner->room->participants, entry) {
		void (*tell)(void *, const struct cp_track *) =
		    what == CP_TRACK_ADDED     ? o->ops->track_added
		    : what == CP_TRACK_UPDATED ? o->ops->track_updated
		                               : o->ops->track_removed;

		if (o != t->owner && tell)
			tell(o->arg, t);
		if (o != t->owner && what == CP_TRACK_ADDED && o->auto_sub && !cp_subscribed(o, t) &&
		    !(o->room->grown && cp_slot_stands_for(t)))
			(void)cp_subscribe(o, t);
	}
}
