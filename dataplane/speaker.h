/* Who speaks in each group, who is in its slots, and which layers are watched: looked at by the
 * control thread a few times a second, so it goes on while the daemon is down. It alone writes
 * sh_track.follower and source.
 *
 * A group is worth looking at when it has slots or two audio tracks. Each of its audio tracks is
 * asked how loud it is (rtp_in keeps that in the slab) and what follows is decided in
 * dataplane/rtp/speaker.h: who has the floor, whose audio is in the slots (the loudest), whose
 * video (who spoke last: the camera of the same owner; before anybody spoke, first come). A source
 * keeps its place while it stays among the N, as each move costs a key frame. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct sh_msg_speakers;
struct dp_group;

/* Tables are there. 0, -ENOMEM. */
int dp_speakers_init(void);
void dp_speakers_free(void);
/* Something is there to be looked at: call dp_speakers_tick() each DP_SPEAKERS_MS. */
bool dp_speakers_any(void);
enum { DP_SPEAKERS_MS = 100 };
void dp_speakers_tick(uint64_t now_ns);
/* After a replay the daemon knows the groups, but not who speaks: each one that has something to
 * tell tells it. */
void dp_speakers_replay(void);
/* The event's body, as it is now. */
void dp_speakers_read(const struct dp_group *g, struct sh_msg_speakers *out);
/* Layers of a track that anybody is sent, or would be with enough bandwidth, by way of a slot or
 * not; and those below them, which a subscriber falls back to. Bit l: layer l. */
uint8_t dp_watched_layers(uint32_t track);
