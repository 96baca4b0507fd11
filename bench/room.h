/* What the files of bench_room share: a scenario as a layout of the bench's worker
 * (bench/forward.h), its publishers, each of whose packets is due at its time, and its listeners,
 * who tell of what came. */
#pragma once
#include "bench/forward.h"

struct room_scenario {
	uint16_t profile;                         // enum sh_srtp_profile
	unsigned participants, publishers, watch; // of a room; watch 0: everybody
	unsigned cameras;                         // of the publishers; 0: all
	unsigned audio_size, kbps, video_size;    // audio_size 0: none; kbps 0: no video
	/* A room that has grown: each one is sent so many voices and pictures, whoever speaks. Both
	 * 0: it has not. */
	unsigned audio_slots, video_slots;
	bool feedback; // listeners send transport-wide feedback
};
enum { ROOM_AUDIO_PPS = 50 };

/* ---- room_layout.c ---- */

/* Once: who watches whom. */
void room_open(const struct room_scenario *sc);
void room_close(void);

/* Of one room. Endpoints: publishers, then a listening one of each participant. Tracks: those that
 * are sent, in the order of publishers, then slots. */
unsigned room_publishers(void), room_endpoints(void), room_tracks(void), room_sent(void);
unsigned room_subs(void);
double room_pps(void); // of its publishers and listeners together
bool room_grown(void);

struct room_track {
	unsigned publisher, payload, mid;
	double pps;
	unsigned slot; // place in its kind, plus one; 0: it is sent by that publisher
};
const struct room_track *room_track(unsigned i); // of a room, 0..room_tracks()-1
/* How often the participant tells of what came, a second; 0: never. */
double room_tells(unsigned participant);
/* So many rooms; out is for fwd_open_layout(). */
void room_layout(struct fwd_layout *out, unsigned rooms);

/* ---- room_slots.c: who is in the slots, as the control thread decides it; rooms that have grown
 * ----
 */
void room_slots_open(void); // after fwd_open_layout()
void room_slots_close(void);
/* At that time, in ns; looks when a look is due. */
void room_slots_tick(uint64_t now_ns);
/* Ticks that looks took since the last call, and how many there were. */
double room_slots_took(unsigned *looks);

/* ---- room_feed.c: what comes in, after fwd_open_layout() ---- */

struct room_packets {
	const uint8_t *const *frame;
	const uint16_t *len;
	const double *due; // ticks since the start
	unsigned n;
	unsigned told; // of these, feedback
};
void room_feed_open(unsigned rooms, uint16_t profile, double hz); // hz: ticks a second
void room_feed_close(void);
/* When the next packet is due, in ticks since the start. */
double room_feed_due(void);
/* The next packets, at most n, of those due at `until` at the latest; valid until the next call. A
 * listener who was sent nothing since says nothing, so there may be none though one was due. */
bool room_feed_take(unsigned n, double until, struct room_packets *out);
