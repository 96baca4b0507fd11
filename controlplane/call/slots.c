/* Rooms that grow. A small room sends everybody every track. One in which more than
 * limits.direct_max participants send audio gets slots: tracks of the room, of no participant, that
 * stand for whoever speaks; listeners with `auto` are sent these in the place of each microphone
 * and camera, so that a room of a thousand costs each a handful of streams. It keeps them until it
 * is empty, as each change costs every listener a new description. A room that is played by WHEP
 * has slots too, however small, for the players alone, who can be told nothing. Who is in a slot is
 * decided by the dataplane (SH_TRACK_SLOT); here it is only told on. */
#include "controlplane/call/calls_priv.h"

#include <errno.h>
#include <stdlib.h>
#include "controlplane/loop.h"
#include "shared/log.h"

enum { TELL_MS = 250 }; // shortest time between two `speakers` of a room

/* ---- what a slot can carry: one variant of each codec, as if a publisher sent them ---- */

#define VIDEO(number, name, text)                                                                  \
	{.pt = (number),                                                                           \
	 .codec = SH_CODEC_##name,                                                                 \
	 .apt = 255,                                                                               \
	 .channels = 1,                                                                            \
	 .clock_hz = 90000,                                                                        \
	 .fmtp = (text),                                                                           \
	 .nack = true,                                                                             \
	 .pli = true,                                                                              \
	 .fir = true,                                                                              \
	 .src_pt = 255},                                                                           \
	{                                                                                          \
		.pt = (number) + 1, .codec = SH_CODEC_RTX, .apt = (number), .channels = 1,         \
		.clock_hz = 90000, .src_pt = 255                                                   \
	}

static const struct cp_media audio_media = {
    .kind = SH_KIND_AUDIO,
    .codec = {{.pt = 111,
               .codec = SH_CODEC_OPUS,
               .apt = 255,
               .channels = 2,
               .clock_hz = 48000,
               .fmtp = "minptime=10;useinbandfec=1",
               .src_pt = 255},
              {.pt = 63,
               .codec = SH_CODEC_RED,
               .apt = 111,
               .channels = 2,
               .clock_hz = 48000,
               .fmtp = "111/111",
               .src_pt = 255}},
    .codecs = 2,
};
static const struct cp_media video_media = {
    .kind = SH_KIND_VIDEO,
    .codec = {VIDEO(96, VP8, ""),
              VIDEO(98, H264,
                    "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
              VIDEO(100, VP9, "profile-id=0"), VIDEO(102, AV1, "")},
    .codecs = 8,
};

const struct cp_media *cp_slot_media(const struct cp_track *t)
{
	return t->kind == SH_KIND_AUDIO ? &audio_media : &video_media;
}

/* ---- the end ---- */

static void slot_free(struct cp_track *t)
{
	struct cp_calls *c = t->room->calls;
	struct cp_sub *s;

	while ((s = TAILQ_FIRST(&t->subs)))
		cp_sub_end(s);
	TAILQ_REMOVE(&t->room->slots, t, entry);
	c->track[SH_ID_INDEX(t->plane_id)] = NULL;
	cp_plane_del(c->plane, SH_DEL_TRACK, t->plane_id);
	free(t);
}

void cp_slots_close(struct cp_room *r)
{
	struct cp_track *t;

	r->calls->changed |= !TAILQ_EMPTY(&r->slots);
	r->grown = false;
	while ((t = TAILQ_FIRST(&r->slots)))
		slot_free(t);
}

/* ---- the beginning ---- */

static int tell_plane(struct cp_track *t)
{
	t->set = (struct sh_msg_track_set){
	    .id = t->plane_id,
	    .group = t->room->number,
	    .kind = t->kind,
	    .layers = t->kind == SH_KIND_AUDIO ? 1 : SH_MAX_LAYERS,
	    .flags = SH_TRACK_SLOT,
	    .slot = t->place,
	};
	cp_nego_track_pts(cp_slot_media(t), t->set.pt);
	return cp_plane_track_set(t->room->calls->plane, &t->set) ? -EPROTO : 0;
}

/* id NULL: a new one. */
static int slot_new(struct cp_room *r, enum sh_kind kind, unsigned place, const char *id,
                    sh_id plane_id)
{
	struct cp_calls *c = r->calls;
	struct cp_track *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->room = r;
	t->kind = kind;
	t->place = (uint8_t)place;
	t->plane_id = plane_id;
	TAILQ_INIT(&t->subs);
	if (id && !cp_text_copy(t->id, sizeof(t->id), id)) {
		free(t);
		return -EBADMSG;
	}
	if (!id)
		cp_make_id(t->id, 'l');
	err = id ? cp_plane_id_claim(c->plane, SH_DEL_TRACK, plane_id)
	         : cp_plane_id_new(c->plane, SH_DEL_TRACK, &t->plane_id);
	if (err) {
		free(t);
		return err;
	}
	c->track[SH_ID_INDEX(t->plane_id)] = t;
	TAILQ_INSERT_TAIL(&r->slots, t, entry);
	return tell_plane(t);
}

int cp_slots_open(struct cp_room *r)
{
	const struct cp_limits *l = &r->calls->limits;
	int err = 0;

	if (!TAILQ_EMPTY(&r->slots) || !l->audio_slots)
		return 0;
	for (unsigned i = 0; i < l->audio_slots && !err; i++)
		err = slot_new(r, SH_KIND_AUDIO, i, NULL, 0);
	for (unsigned i = 0; i < l->video_slots && !err; i++)
		err = slot_new(r, SH_KIND_VIDEO, i, NULL, 0);
	r->calls->changed = true;
	if (err) {
		sh_error("call", "room %s: no slots: %s", r->name, strerrordesc_np(-err));
		cp_slots_close(r);
	}
	return err;
}

bool cp_slot_stands_for(const struct cp_track *t)
{
	return t->owner && (t->source == CP_MICROPHONE || t->source == CP_CAMERA);
}

void cp_slots_subscribe(struct cp_participant *p)
{
	struct cp_track *t;

	if (p->room->grown)
		TAILQ_FOREACH (t, &p->room->slots, entry)
			(void)cp_subscribe(p, t);
}

/* The slots in the place of what they stand for, but for what was asked for by name. */
static void exchange(struct cp_participant *p)
{
	struct cp_sub *s, *next;

	for (s = TAILQ_FIRST(&p->subs); s; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (!s->pinned && cp_slot_stands_for(s->track))
			cp_sub_end(s);
	}
	cp_slots_subscribe(p);
}

static bool talks(const struct cp_participant *p)
{
	const struct cp_track *t;

	TAILQ_FOREACH (t, &p->tracks, entry)
		if (t->kind == SH_KIND_AUDIO && t->source == CP_MICROPHONE)
			return true;
	return false;
}

void cp_room_grow(struct cp_room *r)
{
	struct cp_participant *p;
	unsigned n = 0;

	if (r->grown || !r->calls->limits.audio_slots)
		return;
	TAILQ_FOREACH (p, &r->participants, entry)
		n += talks(p);
	if (n <= r->calls->limits.direct_max)
		return;
	if (cp_slots_open(r))
		return;
	r->grown = r->calls->changed = true;
	sh_info("call", "room %s: %u send audio; from now on listeners are sent %u and %u slots",
	        r->name, n, r->calls->limits.audio_slots, r->calls->limits.video_slots);
	TAILQ_FOREACH (p, &r->participants, entry)
		if (p->auto_sub)
			exchange(p);
}

/* ---- who speaks ---- */

static struct cp_track *track_by_id(const struct cp_calls *c, sh_id id)
{
	struct cp_track *t = id ? c->track[SH_ID_INDEX(id)] : NULL;

	return t && t->plane_id == id && t->owner ? t : NULL;
}

static struct cp_room *room_by_number(struct cp_calls *c, uint32_t number)
{
	struct cp_room_entry *r;

	HASH_FIND(by_number, c->numbers, &number, sizeof(number), r);
	return r ? &r->room : NULL;
}

static void tell(struct cp_room *r)
{
	struct cp_participant *p;

	r->told_ns = cp_now_ns();
	r->tell_due = false;
	TAILQ_FOREACH (p, &r->participants, entry)
		if (p->ops->speakers)
			p->ops->speakers(p->arg, r);
}

static void tell_due(void *arg)
{
	struct cp_calls *c = arg;
	struct cp_room_entry *r, *next;
	uint64_t now = cp_now_ns(), wait = UINT64_MAX;

	HASH_ITER(hh, c->rooms, r, next)
	{
		uint64_t at = r->room.told_ns + TELL_MS * 1000000ull;

		if (!r->room.tell_due)
			continue;
		if (now >= at)
			tell(&r->room);
		else if (at - now < wait)
			wait = at - now;
	}
	if (wait != UINT64_MAX)
		cp_timer_start(c->tell, wait / 1000000 + 1);
}

int cp_speakers_open(struct cp_calls *c)
{
	return cp_timer_alloc(&c->tell, tell_due, c);
}

void cp_speakers_close(struct cp_calls *c)
{
	cp_timer_free(c->tell);
}

static struct cp_speaker read_one(const struct cp_calls *c, const struct cp_room *r, sh_id id,
                                  enum sh_kind kind, unsigned place)
{
	struct cp_speaker s = {.track = track_by_id(c, id)};
	struct cp_track *t;

	TAILQ_FOREACH (t, &r->slots, entry)
		if (t->kind == kind && t->place == place)
			s.slot = t;
	return s;
}

struct cp_track *cp_slot_source(const struct cp_track *slot)
{
	const struct sh_msg_speakers *m = &slot->room->speakers;

	return track_by_id(slot->room->calls, slot->kind == SH_KIND_AUDIO ? m->audio[slot->place]
	                                                                  : m->video[slot->place]);
}

bool cp_slot_carries(const struct cp_track *slot, const struct cp_track *t)
{
	for (unsigned i = 0; i < SH_MAX_PTS; i++)
		for (unsigned k = 0; k < SH_MAX_PTS; k++)
			if (slot->set.pt[i].pt != 255 && t->set.pt[k].pt != 255 &&
			    slot->set.pt[i].codec == t->set.pt[k].codec &&
			    slot->set.pt[i].codec != SH_CODEC_RTX)
				return true;
	return false;
}

void cp_speakers_read(const struct cp_room *r, struct cp_speakers *out)
{
	const struct sh_msg_speakers *m = &r->speakers;
	const struct cp_track *d = track_by_id(r->calls, m->dominant);

	memset(out, 0, sizeof(*out));
	out->dominant = d ? d->owner : NULL;
	if (!r->grown) // the slots are the players' alone
		return;
	for (unsigned i = 0; i < m->audio_slots; i++) {
		struct cp_speaker s = read_one(r->calls, r, m->audio[i], SH_KIND_AUDIO, i);

		if (s.slot)
			out->audio[out->audios++] = s;
	}
	for (unsigned i = 0; i < m->video_slots; i++) {
		struct cp_speaker s = read_one(r->calls, r, m->video[i], SH_KIND_VIDEO, i);

		if (s.slot)
			out->video[out->videos++] = s;
	}
}

/* Also when nothing is different but what the ids mean: a replay after our restart. */
void cp_speakers_heard(struct cp_calls *c, const struct sh_msg_speakers *m)
{
	struct cp_room *r = room_by_number(c, m->group);
	const struct cp_track *d = track_by_id(c, m->dominant);

	if (!r || (memcmp(&r->speakers, m, sizeof(*m)) == 0))
		return;
	r->speakers = *m;
	if (d)
		d->owner->spoke_ns = cp_now_ns();
	r->tell_due = true;
	tell_due(c);
}

void cp_speakers_again(struct cp_participant *p)
{
	struct cp_track *t;

	if (p->ops->speakers && p->room->speakers.group)
		p->ops->speakers(p->arg, p->room);
	TAILQ_FOREACH (t, &p->tracks, entry)
		if (p->ops->layers && t->kind == SH_KIND_VIDEO && t->watched != CP_WATCHED_UNKNOWN)
			p->ops->layers(p->arg, t);
}

/* ---- what is watched ---- */

uint8_t cp_track_all_layers(const struct cp_track *t)
{
	return (uint8_t)((1u << (t->set.layers ? t->set.layers : 1)) - 1);
}

void cp_track_watched(struct cp_calls *c, const struct sh_msg_track_watch *m)
{
	struct cp_track *t = track_by_id(c, m->id);

	if (!t || t->watched == m->layers)
		return;
	t->watched = m->layers;
	if (t->owner->ops->layers)
		t->owner->ops->layers(t->owner->arg, t);
}

/* ---- the journal ---- */

json_t *cp_slots_save_all(const struct cp_calls *c)
{
	json_t *rooms = json_array();
	const struct cp_room_entry *r;
	const struct cp_track *t;

	for (r = c->rooms; r; r = r->hh.next) {
		json_t *slots;

		if (TAILQ_EMPTY(&r->room.slots))
			continue;
		slots = json_array();
		TAILQ_FOREACH (t, &r->room.slots, entry)
			cp_json_push(&slots, json_pack("{ss sI si si}", "id", t->id, "plane",
			                               (json_int_t)t->plane_id, "kind",
			                               (int)t->kind, "place", (int)t->place));
		cp_json_push(&rooms, json_pack("{ss sb so}", "room", r->room.name, "grown",
		                               r->room.grown, "slots", slots));
	}
	return rooms;
}

static void load_room(struct cp_calls *c, const char *name, bool grown, json_t *slots)
{
	struct cp_room *r = cp_room_find(c, name);
	int kind, place, err = 0;
	json_int_t plane;
	const char *id;
	json_t *o;
	size_t i;

	if (!r || !TAILQ_EMPTY(&r->slots))
		return;
	json_array_foreach (slots, i, o) {
		if (json_unpack(o, "{ss sI si si}", "id", &id, "plane", &plane, "kind", &kind,
		                "place", &place) ||
		    (kind != SH_KIND_AUDIO && kind != SH_KIND_VIDEO) || place < 0 ||
		    place >= (kind == SH_KIND_AUDIO ? SH_MAX_AUDIO_SLOTS : SH_MAX_VIDEO_SLOTS))
			err = -EBADMSG;
		if (!err)
			err = slot_new(r, kind, (unsigned)place, id, (sh_id)plane);
	}
	r->grown = grown;
	if (!err)
		return;
	sh_warn("call", "room %s: slots not restored: %s", name, strerrordesc_np(-err));
	cp_slots_close(r);
}

void cp_calls_load_rooms(struct cp_calls *c, const json_t *saved)
{
	json_t *o, *slots;
	const char *name;
	size_t i;

	json_array_foreach (json_object_get(saved, "slots"), i, o) {
		int grown = true; // in a journal that does not say it

		if (!json_unpack(o, "{ss s?b so}", "room", &name, "grown", &grown, "slots", &slots))
			load_room(c, name, grown, slots);
	}
}
