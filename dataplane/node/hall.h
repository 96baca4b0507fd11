/* For the stories of slots: a room where five publish, and a listener has as many streams as there
 * are places. */
#pragma once
#include "dataplane/node/story.h"

enum { PUBS = 5, LISTENER = 8, GROUP = 77, AUDIO_SLOT = 10, VIDEO_SLOT = 12, LEVEL_ID = 3 };

extern const struct sh_msg_track_set
    hall_video_slot; // VP8 at another place than publishers have it
extern const struct sh_msg_sub_set hall_video_sub;

/* Publishers 0..4, number 0 with ears of its own (owner 100); a listener on the last worker. */
extern struct hall {
	struct peer pub[PUBS], ear, own_ear;
	uint8_t level[PUBS]; // what they tell of their voices (RFC 6464)
	uint32_t seq;
	uint64_t look_at_ns;
} hall;

/* Publisher i's audio is track i, its video track PUBS + i; both ears hear all slots. */
void hall_start(bool video, unsigned audio_slots);
void hall_stop(void);
/* One packet of publisher i. Who it is stands in the payload. */
void hall_speak(unsigned i);
void hall_look(void); // the control thread's look at who speaks, when it is due
/* All speak, each at its level. */
void hall_talk(unsigned ms);
/* The track in that slot; UINT32_MAX: none. */
uint32_t hall_source(uint32_t slot);

/* Streams that a listener got since the last call, each without a gap and with time going on. */
struct heard {
	struct {
		uint32_t n, ts, from; // bit i: of publisher i
		uint16_t seq;
	} slot[4];
};
void hall_listen(struct peer *p, struct heard *h);
