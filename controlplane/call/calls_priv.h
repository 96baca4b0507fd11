/* Private to call/: the domain's own registry, and what its files say to each other. */
#pragma once
/* Or uthash would exit() when memory runs out: after an add, hh.tbl is NULL instead. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include "controlplane/call/call.h"
#include "controlplane/call/json.h"
#include "controlplane/plane/plane.h"

struct cp_room_entry {
	struct cp_room room;
	UT_hash_handle hh;        // by room.name
	UT_hash_handle by_number; // by room.number
};

struct cp_calls {
	struct cp_plane *plane;
	struct cp_admit *admit; // NULL: everybody is let in
	struct cp_dtls_ctx *dtls;
	struct cp_limits limits;
	cp_link_h *link;
	void *link_arg;
	struct cp_room_entry *rooms, *numbers;
	uint32_t last_number;          // of a room or participant: each has its own
	struct cp_timer *tell;         // slots.c
	struct cp_user *users;         // agent.c: those with an agent
	TAILQ_HEAD(, cp_call) ringing; // ring.c: ringing and answered calls
	unsigned no_answer_s;
	/* by index of the plane id */
	struct cp_endpoint **endpoint;
	struct cp_track **track;
	struct cp_sub **sub;
	uint32_t endpoints_max, tracks_max;
	unsigned load[SH_MAX_WORKERS]; // endpoints on each worker
	struct cp_calls_counts counts;
	uint64_t slab_epoch;              // of the slabs that our endpoints live in; 0: none seen
	bool changed;                     // what cp_calls_save() writes
	TAILQ_HEAD(, cp_participant) due; // participants with an offer due at the end of this turn
};

uint32_t cp_random_ssrc(void);
/* A number for the dataplane that no other room or participant has; known: one of the daemon before us, or 0. */
uint32_t cp_number(struct cp_calls *c, uint32_t known);
/* Handler of the dataplane's event (measured.c). arg: struct cp_calls. */
void cp_calls_quality(const struct sh_msg_quality *m, void *arg);

/* admit.c. All: 0 or -EUSERS. Where somebody who may join would go: worker + 1, 0: not said. */
int cp_admit_join(struct cp_calls *c, const struct cp_join *join, uint8_t places[2]);
/* So many tracks of each kind p would have. */
int cp_admit_publish(struct cp_participant *p, unsigned audios, unsigned videos);
int cp_admit_call(struct cp_calls *c, bool video);
/* For a new transport; c->admit is there. */
unsigned cp_admit_worker(struct cp_participant *p, enum cp_target target);
void cp_admit_free(struct cp_admit *a); // NULL does nothing

/* Takes the place of a participant in its room's list and counts. */
int cp_room_enter(struct cp_calls *c, struct cp_participant *p, const char *room, uint32_t number);
/* slots.c: a track came, so the room may be larger than direct_max now. */
void cp_room_grow(struct cp_room *r);
/* The room has slots from now on, unless the configuration has none. Error: it has none. */
int cp_slots_open(struct cp_room *r);
void cp_slots_close(struct cp_room *r);
/* Who is in the slot, as the dataplane said last; NULL: nobody. */
struct cp_track *cp_slot_source(const struct cp_track *slot);
/* May the slot ever send what the track does: is there a codec that both have? */
bool cp_slot_carries(const struct cp_track *slot, const struct cp_track *t);
void cp_slots_subscribe(struct cp_participant *p);
/* What slots stand for: microphones and cameras. */
bool cp_slot_stands_for(const struct cp_track *t);
/* Codecs of a slot, as a publisher's. */
const struct cp_media *cp_slot_media(const struct cp_track *t);
json_t *cp_slots_save_all(const struct cp_calls *c);
int cp_speakers_open(struct cp_calls *c);
void cp_speakers_close(struct cp_calls *c);
void cp_speakers_heard(struct cp_calls *c, const struct sh_msg_speakers *m);
void cp_track_watched(struct cp_calls *c, const struct sh_msg_track_watch *m);
struct cp_participant *cp_participant_new(struct cp_calls *c);
void cp_participant_free(struct cp_participant *p);
void cp_participant_changed(struct cp_participant *p);
/* Both transports end, with what they carry; the owner is told. */
void cp_participant_reset_media(struct cp_participant *p);
/* A publisher by WHIP is seen once it has tracks. */
void cp_participant_show(struct cp_participant *p);
/* What the dataplane says of an endpoint. */
void cp_endpoint_ice(struct cp_endpoint *e, unsigned ice, const struct sh_addr *remote);
/* The peer came with another certificate: keys and handshake are made anew. */
void cp_endpoint_renew(struct cp_endpoint *e);
void cp_endpoint_dtls(struct cp_endpoint *e, const uint8_t *data, size_t len);
/* Attaches an endpoint to the registry under its (given or new) plane id. */
int cp_endpoint_register(struct cp_endpoint *e, bool claim);
/* -EPROTO: the dataplane will never take it (SSRCs that repeat, say). */
int cp_track_tell_plane(struct cp_track *t);
void cp_sub_tell_plane(struct cp_sub *s);
int cp_track_register(struct cp_track *t, bool claim);
int cp_sub_new(struct cp_sub **out, struct cp_participant *p, struct cp_track *t);
int cp_sub_register(struct cp_sub *s, bool claim);
/* From one slot of a room to another of its kind: to the subscriber the same stream goes on. */
void cp_sub_move(struct cp_sub *s, struct cp_track *slot);
/* The track has other payload types now. */
void cp_sub_track_changed(struct cp_sub *s);
/* WHEP: the m-line to the track's codecs as they are now. -EPROTO: none in common. */
int cp_play_rebind(struct cp_sub *s);
/* The m-line's subscription is gone: free for another (WHEP), or inactive from the next offer on.
 */
void cp_media_vacate(struct cp_endpoint *e, size_t media);
/* An offer is due at the end of the turn. */
void cp_endpoint_stale(struct cp_endpoint *e);
void cp_send_offer(struct cp_endpoint *e);
