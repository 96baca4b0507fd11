/* Tracks by group, so that who decides about a room need not look at every track: the members of
 * each group in the order in which they came, and its slots by place. Kept by the table as tracks
 * come and go; the control thread's alone. Nothing here fails: what it needs is mapped at the start
 * and touched when used. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shared/limits.h"

enum { DP_NO_TRACK = UINT32_MAX };

struct dp_group {
	uint32_t number; // 0: not in use
	uint32_t pos;    // in the list of groups in use
	struct dp_members {
		uint32_t first, last; // DP_NO_TRACK: none
		uint32_t n;
	} audio, video; // that are no slots
	uint32_t audio_slot[SH_MAX_AUDIO_SLOTS]; // index of that place's slot, plus one; 0: none
	uint32_t video_slot[SH_MAX_VIDEO_SLOTS];
	uint8_t audio_slots, video_slots; // places: the highest in use, plus one
	bool changed;                     // members or their flags, since the user last cleared it
	/* the user's (speaker.c); zero in a new group */
	uint32_t dominant;                     // sh_id
	uint64_t since_ns[SH_MAX_AUDIO_SLOTS]; // when the source came into the slot
};

/* Groups in use: 0..dp_groups()-1, in no order; changes with every commit. */
uint32_t dp_groups(void);
struct dp_group *dp_group_at(uint32_t i);
/* NULL: no such group. */
struct dp_group *dp_group_find(uint32_t number);
/* A number of its own for each group in use, below the number of tracks: for arrays beside it. */
uint32_t dp_group_index(const struct dp_group *g);
struct dp_group *dp_group_by_index(uint32_t index);
/* The next member of the same group and kind, or DP_NO_TRACK. */
uint32_t dp_group_next(uint32_t track);

/* Puts a track into a slot, or takes what is in it out (source = DP_NO_TRACK); of the same group
 * and kind. A track is in one slot at most. Workers see either, or for a packet neither. */
void dp_slot_set(uint32_t slot, uint32_t source);
