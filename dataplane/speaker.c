#include "dataplane/speaker.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "dataplane/event.h"
#include "dataplane/rtp/speaker.h"
#include "dataplane/table/group.h"
#include "dataplane/worker.h"

#define MUTE_NS UINT64_C(500000000)  // without packets for so long is silent
#define STEP_NS UINT64_C(1000000000) // a longer time between two looks counts as this

/* Beside each track; made anew when another one took the place. */
struct member {
	sh_id id;
	uint32_t video;  // audio: the owner's that may be put into a slot, or DP_NO_TRACK
	uint32_t serial; // video: of the look in which it was offered a place
	struct dp_speaker s;
};

static struct {
	struct member *m; // by track
	uint64_t at_ns;   // of the last look
	uint32_t serial;
	struct owned {
		uint32_t owner, track;
	} * owned; // scratch of match_videos()
	uint32_t owned_cap;
	struct dp_places audio, video;
} sp;

int dp_speakers_init(void)
{
	memset(&sp, 0, sizeof(sp));
	sp.m = calloc(dp_slabs.tracks, sizeof(*sp.m));
	return sp.m ? 0 : -ENOMEM;
}

void dp_speakers_free(void)
{
	free(sp.m);
	free(sp.owned);
	memset(&sp, 0, sizeof(sp));
}

static const struct sh_track *track_of(uint32_t index)
{
	return &dp_slabs.track[index];
}

static uint32_t owner_of(const struct sh_track *t)
{
	return dp_slabs.endpoint[SH_ID_INDEX(t->set.endpoint)].set.owner;
}

static struct member *member_of(uint32_t track)
{
	struct member *m = &sp.m[track];

	if (m->id != track_of(track)->set.id)
		*m = (struct member){.id = track_of(track)->set.id, .video = DP_NO_TRACK};
	return m;
}

static bool may_follow(const struct sh_track *t)
{
	return (t->set.flags & (SH_TRACK_FOLLOW | SH_TRACK_MUTED)) == SH_TRACK_FOLLOW;
}

/* ---- whose camera belongs to whose voice ---- */

static int by_owner(const void *a, const void *b)
{
	const struct owned *x = a, *y = b;

	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	return x->track < y->track ? -1 : x->track > y->track;
}

static uint32_t video_of(uint32_t n, uint32_t owner)
{
	uint32_t from = 0, to = n;

	while (from < to) {
		uint32_t mid = from + (to - from) / 2;

		if (sp.owned[mid].owner < owner)
			from = mid + 1;
		else
			to = mid;
	}
	return owner && from < n && sp.owned[from].owner == owner ? sp.owned[from].track
	                                                          : (uint32_t)DP_NO_TRACK;
}

/* false: no memory; tried again at the next look. */
static bool match_videos(struct dp_group *g)
{
	uint32_t n = 0;

	if (sp.owned_cap < g->video.n) {
		void *p = realloc(sp.owned, g->video.n * sizeof(*sp.owned));

		if (!p)
			return false;
		sp.owned = p;
		sp.owned_cap = g->video.n;
	}
	for (uint32_t i = g->video.first; i != DP_NO_TRACK; i = dp_group_next(i))
		if (may_follow(track_of(i)))
			sp.owned[n++] = (struct owned){owner_of(track_of(i)), i};
	if (n)
		qsort(sp.owned, n, sizeof(*sp.owned), by_owner);
	for (uint32_t i = g->audio.first; i != DP_NO_TRACK; i = dp_group_next(i))
		member_of(i)->video = video_of(n, owner_of(track_of(i)));
	return true;
}

/* What may not be in a slot any more leaves it. Returns whether any did. */
static bool vacate(const uint32_t *slot, unsigned n, bool muted_too)
{
	bool any = false;

	for (unsigned i = 0; i < n; i++) {
		uint32_t source = slot[i] ? track_of(slot[i] - 1)->source : 0;
		const struct sh_track *t = source ? track_of(SH_ID_INDEX(source)) : NULL;

		if (!t || (muted_too ? may_follow(t) : !!(t->set.flags & SH_TRACK_FOLLOW)))
			continue;
		dp_slot_set(slot[i] - 1, DP_NO_TRACK);
		any = true;
	}
	return any;
}

/* ---- places ---- */

/* Who is in them is not known yet; a place without a slot is nobody's to have. */
static void places_begin(struct dp_places *p, const uint32_t *slot, unsigned n)
{
	dp_places_begin(p, n);
	for (unsigned i = 0; i < n; i++) {
		uint32_t source = slot[i] ? track_of(slot[i] - 1)->source : 0;

		if (!slot[i])
			dp_places_hold(p, i,
			               &(struct dp_place){.name = UINT32_MAX,
			                                  .key = UINT64_MAX,
			                                  .sounded_at_ns = UINT64_MAX / 2});
		else if (source)
			dp_places_hold(p, i, &(struct dp_place){.name = SH_ID_INDEX(source) + 1});
	}
}

static int place_of(const struct sh_track *t)
{
	uint32_t slot = t->follower;

	return slot ? track_of(SH_ID_INDEX(slot))->set.slot : -1;
}

static void offer_audio(struct dp_group *g, uint32_t track, const struct dp_speaker *s,
                        uint64_t now)
{
	const struct sh_track *t = track_of(track);
	struct dp_place who = {
	    .name = track + 1,
	    .level = dp_speaker_heard(s),
	    .key = dp_heard_key(s, now),
	    .sounded_at_ns = s->sounded_at_ns,
	    .since_ns = now,
	};
	int at = place_of(t);

	if (at >= 0) {
		who.since_ns = g->since_ns[at];
		dp_places_hold(&sp.audio, (unsigned)at, &who);
	} else if (may_follow(t)) {
		dp_places_offer(&sp.audio, &who);
	}
}

static void offer_video(uint32_t track, uint64_t talked_at_ns)
{
	struct dp_place who = {.name = track + 1, .key = talked_at_ns};
	struct member *m = member_of(track);
	int at = place_of(track_of(track));

	if (m->serial == sp.serial) // of one owner with two voices the first counts
		return;
	m->serial = sp.serial;
	if (at >= 0)
		dp_places_hold(&sp.video, (unsigned)at, &who);
	else
		dp_places_offer(&sp.video, &who);
}

/* Those who have not spoken, while there is room. */
static void offer_silent(const struct dp_group *g)
{
	unsigned taken = 0;

	for (unsigned i = 0; i < sp.video.n; i++)
		taken += sp.video.held[i].name != 0;
	for (uint32_t i = g->video.first; i != DP_NO_TRACK && taken < sp.video.n;
	     i = dp_group_next(i))
		if (may_follow(track_of(i)) && !track_of(i)->follower)
			offer_video(i, 0);
}

static void put(uint32_t slot, uint32_t source, uint64_t now)
{
	uint32_t old = track_of(slot)->source;

	dp_slot_set(slot, source);
	dp_slabs.head->stats[SH_MAX_WORKERS].v[SH_STAT_slot_changes]++;
	if (old)
		dp_event_watch(SH_ID_INDEX(old), now);
	dp_event_watch(source, now);
	// of more layers each subscription asks for the one that it is to have
	if (track_of(source)->set.kind == SH_KIND_VIDEO && track_of(source)->set.layers == 1 &&
	    dp_fanout_workers(slot))
		dp_keyframe_request(source, 0);
}

static bool fill_slots(struct dp_group *g, uint64_t now)
{
	struct dp_place who;
	unsigned at;
	bool any = false;

	while (dp_places_next_heard(&sp.audio, &at, &who, now)) {
		put(g->audio_slot[at] - 1, who.name - 1, now);
		g->since_ns[at] = now;
		any = true;
	}
	while (dp_places_next_seen(&sp.video, &at, &who)) {
		put(g->video_slot[at] - 1, who.name - 1, now);
		any = true;
	}
	return any;
}

/* ---- a look ---- */

static uint8_t level_of(const struct sh_track *t, uint64_t now)
{
	uint64_t at = __atomic_load_n(&t->media[0].last_at_ns, __ATOMIC_RELAXED);

	return at && (int64_t)(now - at) < (int64_t)MUTE_NS
	           ? __atomic_load_n(&t->level, __ATOMIC_RELAXED)
	           : (uint8_t)DP_LEVEL_SILENT;
}

static void look(struct dp_group *g, uint64_t now, uint64_t dt)
{
	struct dp_floor f;
	bool news = false;
	uint32_t has;

	if (g->changed) {
		news = vacate(g->audio_slot, g->audio_slots, false);
		news |= vacate(g->video_slot, g->video_slots, true);
		g->changed = g->video_slots && !match_videos(g);
		news =
		    true; // the news of a slot that lost its source with its track, or of a new one
	}
	places_begin(&sp.audio, g->audio_slot, g->audio_slots);
	places_begin(&sp.video, g->video_slot, g->video_slots);
	sp.serial++;
	dp_floor_begin(&f, g->dominant ? SH_ID_INDEX(g->dominant) + 1 : 0);
	for (uint32_t i = g->audio.first; i != DP_NO_TRACK; i = dp_group_next(i)) {
		struct member *m = member_of(i);

		dp_speaker_hear(&m->s, level_of(track_of(i), now), now, dt);
		if ((track_of(i)->set.flags & SH_TRACK_FOLLOW) && // not a screen's sound
		    (track_of(i)->set.id == g->dominant ||
		     i + 1 != f.has)) // nor who took its place
			dp_floor_offer(&f, i + 1, &m->s);
		if (g->audio_slots)
			offer_audio(g, i, &m->s, now);
		if (g->video_slots && m->video != DP_NO_TRACK)
			offer_video(m->video, m->s.talked_at_ns);
	}
	if (g->video_slots)
		offer_silent(g);
	news |= fill_slots(g, now);
	has = dp_floor_end(&f);
	has = has ? track_of(has - 1)->set.id : 0;
	news |= has != g->dominant;
	g->dominant = has;
	if (news)
		dp_event_speakers(dp_group_index(g));
}

static bool worth(const struct dp_group *g)
{
	return g->audio.n > 1 || g->audio_slots || g->video_slots || g->dominant;
}

bool dp_speakers_any(void)
{
	return dp_groups() != 0;
}

void dp_speakers_tick(uint64_t now_ns)
{
	uint64_t dt = sp.at_ns && now_ns > sp.at_ns ? now_ns - sp.at_ns : 0;

	sp.at_ns = now_ns;
	for (uint32_t i = 0; i < dp_groups(); i++)
		if (worth(dp_group_at(i)))
			look(dp_group_at(i), now_ns, dt < STEP_NS ? dt : STEP_NS);
}

void dp_speakers_replay(void)
{
	for (uint32_t i = 0; i < dp_groups(); i++)
		if (worth(dp_group_at(i)))
			dp_event_speakers(dp_group_index(dp_group_at(i)));
}

static uint8_t read_slots(sh_id *out, const uint32_t *slot, uint8_t n)
{
	for (unsigned i = 0; i < n; i++)
		out[i] = slot[i] ? track_of(slot[i] - 1)->source : 0;
	return n;
}

void dp_speakers_read(const struct dp_group *g, struct sh_msg_speakers *out)
{
	memset(out, 0, sizeof(*out));
	out->group = g->number;
	out->dominant = g->dominant;
	out->audio_slots = read_slots(out->audio, g->audio_slot, g->audio_slots);
	out->video_slots = read_slots(out->video, g->video_slot, g->video_slots);
}

/* ---- what is watched ---- */

static unsigned top_of(const struct sh_sub *s)
{
	unsigned top = __atomic_load_n(&s->want_layer, __ATOMIC_RELAXED);
	unsigned ideal = __atomic_load_n(&s->ideal_layer, __ATOMIC_RELAXED);
	unsigned now = __atomic_load_n(&s->layer, __ATOMIC_RELAXED);

	if (ideal > top)
		top = ideal;
	if (now < SH_MAX_LAYERS && now > top)
		top = now;
	return top < s->set.max_layer ? top : s->set.max_layer;
}

/* The best layer that any subscription to a track or slot is to have, plus one; not counting those
 * of an owner. */
static unsigned top_of_all(uint32_t track, uint32_t owner)
{
	unsigned most = 0;

	for (unsigned w = 0; w < dp_slabs.head->workers; w++) {
		const struct dp_fanout *f = dp_fanout(track, w);

		for (uint32_t i = 0; f && i < f->n && most < SH_MAX_LAYERS; i++) {
			const struct sh_sub *s = &dp_slabs.sub[f->sub[i]];
			const struct sh_endpoint *e =
			    &dp_slabs.endpoint[SH_ID_INDEX(s->set.endpoint)];
			unsigned top;

			if ((s->set.flags & SH_SUB_PAUSED) || (owner && e->set.owner == owner))
				continue;
			top = top_of(s) + 1;
			if (top > most)
				most = top;
		}
	}
	return most;
}

uint8_t dp_watched_layers(uint32_t track)
{
	const struct sh_track *t = track_of(track);
	unsigned most = top_of_all(track, 0);
	uint32_t slot = t->follower;

	if (slot && most < SH_MAX_LAYERS) {
		unsigned more = top_of_all(SH_ID_INDEX(slot), owner_of(t));

		if (more > most)
			most = more;
	}
	if (most > t->set.layers)
		most = t->set.layers;
	return (uint8_t)((1u << most) - 1);
}
