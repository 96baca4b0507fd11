/* The domain: rooms, participants, tracks, subscriptions and calls. What is true, whoever says it
 * over whatever transport: signaling/ (WebSocket, WHIP, WHEP) and later sip/ drive it through these
 * functions and hear of changes through struct cp_party_ops. It turns what it decides into desired
 * state for the dataplane (plane/) and into SDP (nego/); it never sees a socket.
 *
 * Ownership: cp_calls owns rooms and ringing calls; a room owns its participants; a participant
 * owns its two endpoints, its tracks and its subscriptions. A subscription borrows the track it
 * takes; a track that ends ends its subscriptions first. Everything is freed by its owner's *_free,
 * nothing is shared. One thread: the loop's.
 *
 * Errors: -EBUSY, -EEXIST (conflict), -ENOENT, -EPERM, -ENOSPC (a configured maximum), -EINVAL,
 * -ENODEV (no dataplane), -EUSERS (past the budget: cp_admission_why() says it), and the nego/ ones with a text in err. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include "controlplane/call/measured.h"
#include "controlplane/nego/nego.h"
#include "shared/limits.h"
#include "shared/msg.h"

struct cp_plane;
struct cp_dtls_ctx;
struct cp_dtls;
struct cp_timer;
struct cp_calls;

enum {
	CP_NAME_MAX = 64,    // users, rooms: characters of A-Z a-z 0-9 . _ - @ +
	CP_DISPLAY_MAX = 64, // bytes of UTF-8
	CP_ID_MAX = 24,      // our own ids: a letter, then base32 of 80 random bits
	CP_CHAT_MAX = 4096,

	CP_EARLY_MAX = 4, // DTLS datagrams kept until the peer's SDP is here
};

/* A subscription that has no m-line yet. */
#define CP_NO_MEDIA ((size_t)-1)

enum cp_source { CP_MICROPHONE, CP_CAMERA, CP_SCREEN, CP_SCREEN_AUDIO, CP_SOURCES };
const char *cp_source_name(enum cp_source s);
int cp_source_parse(const char *text); // -EINVAL

enum cp_target { CP_PUBLISH, CP_SUBSCRIBE };
enum cp_media_state { CP_MEDIA_NEW, CP_MEDIA_CONNECTED, CP_MEDIA_DISCONNECTED };

struct cp_participant;
struct cp_room;
struct cp_track;
struct cp_sub;

/* What a participant's owner (a session, a WHIP or WHEP resource, later a SIP leg) wants to know.
 * Any may be NULL. Handlers are called while lists are walked: they must not free or make
 * participants, tracks or subscriptions; what they want done waits for the end of the turn. */
struct cp_party_ops {
	void (*joined)(void *arg, const struct cp_participant *other);
	void (*left)(void *arg, const struct cp_participant *other, const char *reason);
	void (*track_added)(void *arg, const struct cp_track *t);
	void (*track_updated)(void *arg, const struct cp_track *t);
	void (*track_removed)(void *arg, const struct cp_track *t);
	/* The server's next offer for the subscribe endpoint, with the revision its answer must
	 * name. */
	void (*offer)(void *arg, uint32_t rev, const char *sdp);
	void (*media)(void *arg, enum cp_target target, enum cp_media_state state);
	/* That transport is gone, with its tracks or subscriptions. */
	void (*media_reset)(void *arg, enum cp_target target);
	/* Who speaks in the room changed: cp_speakers_read(). */
	void (*speakers)(void *arg, const struct cp_room *r);
	/* Which layers of an own track anybody watches did: t->watched. */
	void (*layers)(void *arg, const struct cp_track *t);
	void (*chat)(void *arg, const struct cp_participant *from, const char *text,
	             uint64_t wall_ms);
	/* Something that cp_participant_save() writes changed. */
	void (*changed)(void *arg);
};

/* One transport: ICE, DTLS and SRTP of one BUNDLE. */
struct cp_endpoint {
	struct cp_participant *owner;
	enum cp_target target;
	sh_id id;
	unsigned worker;
	char ufrag[SH_UFRAG_MAX + 1], pwd[SH_PWD_MAX + 1];
	uint32_t rtcp_ssrc;
	struct cp_nego nego;
	struct cp_dtls *dtls;
	bool dtls_done;   // keys are with the dataplane (also after our own restart)
	bool dtls_closed; // the peer closed it, or it failed
	bool ice_connected;
	struct sh_addr remote; // nominated, for status; family 0 before
	uint64_t changed_ns;   // when the media state changed last
	enum cp_media_state state;
	struct {
		uint16_t len;
		uint8_t data[SH_PACKET_MAX];
	} early[CP_EARLY_MAX]; // DTLS that came before the peer's SDP
	unsigned n_early;
	/* subscribe by our offers */
	uint32_t rev;  // of the last offer
	bool awaiting; // its answer has not come
	bool stale;    // something changed since: another offer is due
};

/* What a participant publishes; or a slot of a room (slots.c), which is nobody's and has room, kind, place, plane_id,
 * set and subs only. */
struct cp_track {
	TAILQ_ENTRY(cp_track) entry;  // owner->tracks, or room->slots
	struct cp_participant *owner; // NULL: a slot
	struct cp_room *room;         // of a slot; else NULL
	uint8_t place;                // of a slot
	char id[CP_ID_MAX];
	sh_id plane_id;
	enum sh_kind kind;
	enum cp_source source;
	bool muted;
	bool announced; // the room was told of it
	char mid[SH_MID_MAX + 1];
	size_t media;                // index of its m-line in owner->publish->nego.media
	struct sh_msg_track_set set; // as last told to the dataplane
	TAILQ_HEAD(, cp_sub) subs;
	uint8_t active; // layers that the dataplane sees
	uint8_t watched; // bit l: somebody watches layer l, as the owner was last told; at first all
#define CP_WATCHED_UNKNOWN 0xff // the daemon before us told it
	struct cp_measured measured[SH_MAX_LAYERS];
};

/* What a subscriber wants of a track at most; the dataplane chooses within it. -1 in a request: as
 * it was. */
struct cp_quality {
	int height;       // pixels that it is shown with, 0..65535; 0: any
	int max_layer;    // 0..SH_MAX_LAYERS-1
	int max_temporal; // 0..SH_MAX_TEMPORAL-1
	int priority;     // 0 (usual) to 255: whose tracks get bandwidth first
};
extern const struct cp_quality cp_quality_any;
bool cp_quality_ok(const struct cp_quality *q); // all within their ranges

struct cp_sub {
	TAILQ_ENTRY(cp_sub) entry;    // owner->subs
	TAILQ_ENTRY(cp_sub) by_track; // track->subs
	struct cp_participant *owner; // the subscriber
	struct cp_track *track;
	sh_id plane_id;
	uint32_t ssrc, rtx_ssrc;
	size_t media; // m-line of owner->subscribe->nego, or CP_NO_MEDIA
	bool paused;
	struct cp_quality quality;
	bool changed;  // the track's payload types did: the next offer says so
	bool pinned;   // asked for by name: kept when the room gets slots
	bool in_plane; // the subscriber's SDP has it, so the dataplane sends it
	struct cp_measured measured;
};

enum cp_party_kind { CP_PARTY_CLIENT, CP_PARTY_WHIP, CP_PARTY_WHEP };

struct cp_participant {
	TAILQ_ENTRY(cp_participant) entry;
	struct cp_room *room;
	struct cp_calls *calls;
	char id[CP_ID_MAX];
	uint32_t number;   // the dataplane's name of it (endpoint_set.owner)
	uint64_t spoke_ns; // when it last got the floor; 0: never
	char user[CP_NAME_MAX + 1], display[CP_DISPLAY_MAX + 1];
	char name[CP_NAME_MAX + 1]; // WHIP ?name=; a WHEP player asks for it; "" otherwise: then
	                            // the user is the name
	enum cp_party_kind kind;
	bool auto_sub;
	bool hidden; // not shown to the room: WHEP players, and publishers by WHIP until they have
	             // tracks
	struct cp_endpoint *endpoint[2]; // by enum cp_target; NULL until needed
	uint8_t place[2]; // by enum cp_target: worker + 1 that admission chose, 0: none
	TAILQ_HEAD(, cp_track) tracks;
	TAILQ_HEAD(, cp_sub) subs;
	const struct cp_party_ops *ops;
	void *arg;
	TAILQ_ENTRY(cp_participant) due_entry;
	bool due; // an offer is due at the end of this turn
};

struct cp_room {
	struct cp_calls *calls;
	char name[CP_NAME_MAX + 1];
	uint32_t number; // the dataplane's name of it (track_set.group)
	TAILQ_HEAD(, cp_participant) participants;
	unsigned n_participants, n_tracks;
	TAILQ_HEAD(, cp_track) slots;    // of a room that grew, or that somebody plays by WHEP
	bool grown;                      // listeners are sent the slots, not everybody's tracks
	struct sh_msg_speakers speakers; // as the dataplane said last; group 0: nothing
	uint64_t told_ns;
	bool tell_due;
};

struct cp_limits {
	unsigned max_rooms, max_participants, max_tracks; // rooms; a room; a participant
	unsigned direct_max; // participants that send audio in a room without slots
	unsigned audio_slots, video_slots; // 0 of audio: rooms get none
};

/* A random id of our own: prefix, then 16 characters of base32. */
void cp_make_id(char id[CP_ID_MAX], char prefix);
/* NULL counts as "". false: too long, dst untouched. */
bool cp_text_copy(char *dst, size_t size, const char *src);

/* ---- the whole ---- */
int cp_calls_alloc(struct cp_calls **out, struct cp_plane *plane, struct cp_dtls_ctx *dtls,
                   const struct cp_limits *limits);
void cp_calls_free(struct cp_calls *c);
/* Is a dataplane there (workers, port, addresses known)? */
bool cp_calls_ready(const struct cp_calls *c);
/* h(NULL) when the dataplane came, h(reason) when it went. */
typedef void(cp_link_h)(const char *down, void *arg);
void cp_calls_on_link(struct cp_calls *c, cp_link_h *h, void *arg);
/* At the end of each loop turn: sends offers that are due. */
void cp_calls_turn(struct cp_calls *c);
json_t *cp_calls_rooms_json(const struct cp_calls *c); // for callstackctl and the API
/* Whose the streams are that these arrays name by their ids in the dataplane: {"tracks": [{"room", "participant",
 * "user", "display", "source"}, …], "subs": [… and "from", the publisher's user]}, in the same order; null: nobody's. */
json_t *cp_calls_names_json(const struct cp_calls *c, const json_t *tracks, const json_t *subs);
struct cp_calls_counts {
	unsigned rooms, participants, endpoints, tracks, subs, dtls, calls;
	uint64_t calls_started, calls_answered;
};
void cp_calls_counts(const struct cp_calls *c, struct cp_calls_counts *out);

/* ---- rooms and participants (room.c) ---- */
struct cp_join {
	const char *room, *user, *display, *name;
	enum cp_party_kind kind;
	bool auto_sub;
	const struct cp_party_ops *ops;
	void *arg;
};
/* -EEXIST: a WHIP name that somebody else has there; -ENOSPC; -ENODEV; -EUSERS. */
int cp_join(struct cp_participant **out, struct cp_calls *c, const struct cp_join *join);
/* Ends all that it has; others hear `left` with that reason. removed() is not called. */
void cp_leave(struct cp_participant *p, const char *reason);
struct cp_room *cp_room_find(struct cp_calls *c, const char *name);
/* Is that a name of p: its WHIP name, or its user where it has none; or its id? */
bool cp_participant_called(const struct cp_participant *p, const char *name);
/* The first visible one of that name, or NULL. */
struct cp_participant *cp_room_member(struct cp_room *r, const char *name);
struct cp_track *cp_room_track(struct cp_room *r, const char *track_id);
void cp_chat(struct cp_participant *p, const char *text, uint64_t wall_ms);
/* Told to every other participant of the room. */
void cp_room_tell_track(struct cp_track *t, int what);
enum { CP_TRACK_ADDED, CP_TRACK_UPDATED, CP_TRACK_REMOVED };

/* ---- publishing (track.c) ---- */
struct cp_publish_track {
	const char *mid;
	int source; // enum cp_source; one that does not fit the m-line's kind counts as not said
	int muted;  // 0, 1; -1: not said
};
/* An offer on the publish endpoint, first or later. *answer: malloc, caller frees. Tracks follow
 * the m-lines: new ones are announced, gone ones end. Another certificate than before is another
 * transport: the tracks of the old one end. On error all is as before, save when memory or ids run
 * out half-way: then the transport is gone (media_reset). -ENODEV, -ENOSPC, -EUSERS, -ENOTSUP (WHIP: no
 * track in it), those of nego/. */
int cp_publish(struct cp_participant *p, const char *sdp, size_t len,
               const struct cp_publish_track *src, size_t n, char **answer, char *err);
void cp_track_end(struct cp_track *t);
void cp_track_mute(struct cp_track *t, bool muted);
struct cp_track *cp_track_find(struct cp_participant *p, const char *id);

/* ---- rooms that grow (slots.c) ---- */
struct cp_speaker {
	const struct cp_track *slot, *track; // track NULL: nobody is in it
};
struct cp_speakers {
	const struct cp_participant *dominant; // NULL: nobody has spoken
	unsigned audios, videos;
	struct cp_speaker audio[SH_MAX_AUDIO_SLOTS], video[SH_MAX_VIDEO_SLOTS];
};
void cp_speakers_read(const struct cp_room *r, struct cp_speakers *out);
/* Tells p what it may have missed: who speaks, and which layers of its tracks anybody watches, also when that is as at
 * first. What is not known yet, the dataplane is about to tell. */
void cp_speakers_again(struct cp_participant *p);
uint8_t cp_track_all_layers(const struct cp_track *t);

/* ---- subscribing (subscription.c) ---- */
bool cp_subscribed(const struct cp_participant *p, const struct cp_track *t);
/* Is there capacity for these on top? What cp_subscribe() itself does not ask. 0 or -EUSERS. */
int cp_may_subscribe(struct cp_participant *p, struct cp_track *const *t, size_t n);
/* 0, -EEXIST (already), -ENOTSUP (own track), -ENODEV, -ENOSPC. An offer follows at the end of the
 * turn. */
int cp_subscribe(struct cp_participant *p, struct cp_track *t);
/* The same, asked for by name: it stays when the room gets slots. */
int cp_subscribe_to(struct cp_participant *p, struct cp_track *t);
/* These: -ENOENT, not subscribed. */
int cp_unsubscribe(struct cp_participant *p, struct cp_track *t);
int cp_pause(struct cp_participant *p, struct cp_track *t, bool paused);
int cp_want(struct cp_participant *p, struct cp_track *t, const struct cp_quality *want);
/* The answer to offer `rev`: -ESTALE when another revision is outstanding. */
int cp_answer(struct cp_participant *p, uint32_t rev, const char *sdp, size_t len, char *err);
/* New ICE credentials on the subscribe endpoint; an offer follows, in the place of one that is
 * outstanding. -ENOENT: there is no such endpoint; -ENODEV. */
int cp_subscribe_restart(struct cp_participant *p);
/* If an answer is outstanding, its offer or the answer was lost on the way: another offer follows.
 */
void cp_offer_again(struct cp_participant *p);
void cp_sub_end(struct cp_sub *s);
/* WHEP: the peer offers recvonly m-lines; they are filled with the tracks of the member that
 * p->name names, or (name "") with slots of the room, which then has some. -ENOTSUP: nothing acceptable in the offer. */
int cp_play(struct cp_participant *p, const char *sdp, size_t len, char **answer, char *err);
/* Fill free m-lines with what is not played yet, and have the others follow who speaks; the owner calls it at the end of
 * a turn in which a track was added or removed, somebody left, or the speakers changed. */
void cp_play_refill(struct cp_participant *p);

/* ---- endpoints (endpoint.c) ---- */
int cp_endpoint_get(struct cp_endpoint **out, struct cp_participant *p, enum cp_target target);
void cp_endpoint_free(struct cp_endpoint *e);
/* New ufrag and pwd for an ICE restart; desired state and nego follow. -ENODEV: nothing changed. */
int cp_endpoint_restart(struct cp_endpoint *e);
/* The remote description is known: DTLS may start, parameters go to the dataplane. -EPROTO: it
 * takes them not. */
int cp_endpoint_negotiated(struct cp_endpoint *e);
int cp_endpoint_tell_plane(struct cp_endpoint *e);
/* Nobody should hear of its ICE credentials before this transaction (cp_plane_told()): the first check would come to a
 * dataplane that knows no such ufrag. 0: it knows. e may be NULL. */
uint64_t cp_endpoint_ticket(const struct cp_endpoint *e);

/* ---- journal: what lets the next callstackd take running rooms over (save.c) ---- */
json_t *cp_participant_save(const struct cp_participant *p);
/* The rest of the domain: calls between users, and which dataplane all this was told to. changed:
 * since it was last asked for. Load it after all participants and agents. */
json_t *cp_calls_save(const struct cp_calls *c);
void cp_calls_load(struct cp_calls *c, const json_t *saved);
/* What of it subscriptions point to: after all participants, before they are linked. */
void cp_calls_load_rooms(struct cp_calls *c, const json_t *saved);
bool cp_calls_changed(struct cp_calls *c);
/* Two passes, because subscriptions point at other participants' tracks: first all with load, then
 * all with link. */
int cp_participant_load(struct cp_participant **out, struct cp_calls *c, const json_t *saved,
                        const struct cp_party_ops *ops, void *arg);
/* Number of subscriptions that could not be restored, other than because their track is gone. */
unsigned cp_participant_link(struct cp_participant *p, const json_t *saved);
