/* Who speaks in a room, and whom to hear: the levels of RFC 6464 over time. Pure: time is an
 * argument.
 *
 * The idea is that of dominant speaker identification (Volfin and Cohen, 2013): speech is judged
 * over several lengths of time at once, and whoever has the floor loses it only to somebody who
 * beats him over the long one. Here each track has three shares of time that was speech, each an
 * exponential mean:
 *
 *   immediate   its smoothed level (dp_level_smooth, about 100 ms)
 *   medium      of the last 0.6 s: over a half, which takes 0.4 s of speech in one piece, it is
 *               talk, not a cough, a click or an "mm-hm"
 *   long        of the last 1.5 s: the one with the floor is replaced by a track that talks and has
 *               spoken more in that time, by a margin. Two who talk over each other both come to
 *               one, so nothing changes; after a change of turns the new speaker has the floor in
 *               about 1.3 s
 *
 * Loudness does not decide about the floor, as it is a matter of microphones; it does about who is
 * heard, together with time: a place among the N is lost only by a track that was not heard for
 * DP_HOLD_NS, or to one that is clearly louder. A voice that begins is put in at once, so that no
 * first word is missed. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shared/limits.h"

enum {
	DP_LEVEL_SILENT = 127, // −dBov
	DP_LEVEL_SPEECH = 50,  // louder than that (a smaller number) is speech
	DP_LEVEL_UNTOLD = 60,  // of a publisher that tells none and is not in DTX: heard when there
	                       // is room, never speech
	DP_LEVEL_NO_VOICE = 12, // taken off when the sender says that it is no voice (V bit)
	DP_LEVEL_CLEARLY = 6,   // dB
};
#define DP_HOLD_NS UINT64_C(1000000000) // a place is kept for so long after the last sound
#define DP_STAY_NS UINT64_C(1000000000) // … and after it was given
#define DP_VIDEO_NS                                                                                \
	UINT64_C(2000000000) // who spoke so little later than another does not replace it

/* The level of a packet: data of the extension (RFC 6464 §3), or NULL; payload: of RTP, bytes. A
 * publisher that does not say how loud it is cannot be compared: what is not DTX (RFC 6716: a frame
 * of one or two bytes) counts as DP_LEVEL_UNTOLD, as neither the presence of packets nor their size
 * proves a voice. */
static inline uint8_t dp_level_of(const uint8_t *ext, uint32_t payload)
{
	unsigned level;

	if (!ext)
		return payload > 3 ? DP_LEVEL_UNTOLD : DP_LEVEL_SILENT;
	level = (*ext & 127u) + (*ext & 128 ? 0 : (unsigned)DP_LEVEL_NO_VOICE);
	return level > DP_LEVEL_SILENT ? (uint8_t)DP_LEVEL_SILENT : (uint8_t)level;
}

/* A packet's level into the mean over about four, 80 ms. */
static inline uint8_t dp_level_smooth(uint8_t mean, uint8_t level)
{
	int d = (int)level - (int)mean;

	return (uint8_t)(mean + (d >= 4 || d <= -4 ? d / 4 : (d > 0) - (d < 0)));
}

/* An audio track; zeroed = new. */
struct dp_speaker {
	uint16_t medium, lasting; // shares of time that was speech, 0..DP_SHARE_ONE
	uint16_t heard_q8;  // −dBov, 1/256: its level, falling by 10 dB a second at most; 0: new
	uint8_t level, pad; // −dBov
	uint64_t sounded_at_ns; // when it was last as loud as speech; 0: never
	uint64_t talked_at_ns;  // when it last talked: speech for a while; 0: never
};
enum { DP_SHARE_ONE = 1 << 15, DP_TALKS = DP_SHARE_ONE / 2, DP_MARGIN = DP_SHARE_ONE * 15 / 100 };

/* What was measured since the last call, dt_ns ago. level: smoothed, DP_LEVEL_SILENT when no
 * packets come. */
void dp_speaker_hear(struct dp_speaker *s, uint8_t level, uint64_t now_ns, uint64_t dt_ns);
/* Talks now. */
static inline bool dp_speaker_talks(const struct dp_speaker *s)
{
	return s->medium >= DP_TALKS;
}

/* How loud it is, over the pauses between words; −dBov. */
static inline uint8_t dp_speaker_heard(const struct dp_speaker *s)
{
	return s->heard_q8 ? (uint8_t)(s->heard_q8 >> 8) : (uint8_t)DP_LEVEL_SILENT;
}

/* Who has the floor. Between begin and end each track is offered once, whoever has it too. */
struct dp_floor {
	uint32_t has, best; // the caller's names, 0: nobody
	struct dp_speaker of_has, of_best;
	bool seen; // `has` was offered
};
static inline void dp_floor_begin(struct dp_floor *f, uint32_t has)
{
	*f = (struct dp_floor){.has = has};
}
void dp_floor_offer(struct dp_floor *f, uint32_t name, const struct dp_speaker *s);
/* Who has it now, 0: nobody has spoken yet, or who had it is gone and nobody talks. */
uint32_t dp_floor_end(const struct dp_floor *f);

/* Who has the N places. The caller tells who is in them, offers all others, and then takes
 * replacements until there is none. Keys say who is to be preferred: dp_heard_key() or a time of
 * speech; equal ones in the order of the offers. */
enum { DP_PLACES_MAX = SH_MAX_VIDEO_SLOTS };
struct dp_places {
	unsigned n;
	struct dp_place {
		uint32_t name; // 0: free
		uint8_t level; // dp_speaker_heard()
		uint64_t key, sounded_at_ns, since_ns;
	} held[DP_PLACES_MAX], best[DP_PLACES_MAX]; // best: from the best to the worst
	unsigned bests, next;
};
static inline void dp_places_begin(struct dp_places *p, unsigned n)
{
	p->n = n;
	p->bests = p->next = 0;
	for (unsigned i = 0; i < n; i++)
		p->held[i].name = 0;
}
static inline void dp_places_hold(struct dp_places *p, unsigned at, const struct dp_place *who)
{
	p->held[at] = *who;
}
/* Cheap for all but the few that are better than the worst kept. */
void dp_places_offer(struct dp_places *p, const struct dp_place *who);

/* For audio: what sounded lately by level, then by when it sounded last. */
uint64_t dp_heard_key(const struct dp_speaker *s, uint64_t now_ns);
/* A place to be given to another: true with *at and *who (already in held[at]). Audio: an outsider
 * that sounds now gets a free place, that of who was not heard for a while, or of who is clearly
 * less loud. */
bool dp_places_next_heard(struct dp_places *p, unsigned *at, struct dp_place *who, uint64_t now_ns);
/* Video: keys are times of last speech, 0: never. Free places go in that order; a held one to whom
 * spoke later. */
bool dp_places_next_seen(struct dp_places *p, unsigned *at, struct dp_place *who);
