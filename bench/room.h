/* What the files of bench_room share: a scenario as a layout of the bench's worker
 * (bench/forward.h), and its publishers, each of whose packets is due at its time. */
#pragma once
#include "bench/forward.h"

struct room_scenario {
	uint16_t profile;                         // enum sh_srtp_profile
	unsigned participants, publishers, watch; // of a room; watch 0: everybody
	unsigned audio_size, kbps, video_size;    // audio_size 0: none; kbps 0: no video
};
enum { ROOM_AUDIO_PPS = 50 };

/* Of one room. */
unsigned room_endpoints(void), room_tracks(void), room_subs(void);
double room_pps(void); // of its publishers together

/* Once: who watches whom. */
void room_open(const struct room_scenario *sc);
void room_close(void);
/* So many rooms; out is for fwd_open_layout(). */
void room_layout(struct fwd_layout *out, unsigned rooms);

/* ---- what publishers send, after fwd_start() ---- */
void room_feed_open(const struct fwd_layout *l, double hz); // hz: ticks a second
void room_feed_close(void);
/* When the next packet is due, in ticks since the start. */
double room_feed_due(void);
/* The next packets, at most n, of those due at `until` at the latest; returns how many there are.
 * They are valid until the next call. */
unsigned room_feed_take(unsigned n, double until, const uint8_t *const **frame,
                        const uint16_t **len);
