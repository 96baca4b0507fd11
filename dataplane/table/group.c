#include "dataplane/table/group.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "dataplane/map.h"
#include "dataplane/table/priv.h"

/* A group has a track at least, so there are never more groups than tracks. */
static struct {
	struct dp_group *group; // by index
	uint32_t *next, *prev;  // members, by track
	uint32_t *of;           // index of its group plus one, by track
	uint32_t *turn;         // by slot; control: rw, workers: ro
	uint32_t *active;       // indexes of groups in use
	uint32_t *idle;         // the others, a stack
	uint32_t actives, idles, size;
	struct dp_chain number; // node = index
	size_t bytes;
} gr;

int groups_init(uint32_t tracks, uint32_t seed)
{
	int err;

	memset(&gr, 0, sizeof(gr));
	gr.bytes = (size_t)tracks * sizeof(uint32_t);
	gr.group = dp_map((size_t)tracks * sizeof(*gr.group), 0);
	gr.next = dp_map(gr.bytes, 0);
	gr.prev = dp_map(gr.bytes, 0);
	gr.of = dp_map(gr.bytes, 0);
	gr.turn = dp_map(gr.bytes, 0);
	gr.active = dp_map(gr.bytes, 0);
	gr.idle = dp_map(gr.bytes, 0);
	gr.size = tracks;
	err = dp_chain_init(&gr.number, tracks, seed);
	if (err || !gr.group || !gr.next || !gr.prev || !gr.of || !gr.turn || !gr.active ||
	    !gr.idle)
		return -ENOMEM;
	for (gr.idles = 0; gr.idles < tracks; gr.idles++)
		gr.idle[gr.idles] = tracks - 1 - gr.idles;
	return 0;
}

void groups_free(void)
{
	void *maps[] = {gr.next, gr.prev, gr.of, gr.turn, gr.active, gr.idle};

	for (unsigned i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
		if (maps[i])
			munmap(maps[i], gr.bytes);
	if (gr.group)
		munmap(gr.group, (size_t)gr.size * sizeof(*gr.group));
	dp_chain_free(&gr.number);
	memset(&gr, 0, sizeof(gr));
}

uint32_t dp_groups(void)
{
	return gr.actives;
}

struct dp_group *dp_group_at(uint32_t i)
{
	return &gr.group[gr.active[i]];
}

uint32_t dp_group_index(const struct dp_group *g)
{
	return (uint32_t)(g - gr.group);
}

struct dp_group *dp_group_by_index(uint32_t index)
{
	return &gr.group[index];
}

uint32_t dp_group_next(uint32_t track)
{
	return gr.next[track];
}

static uint32_t hash(uint32_t number)
{
	return dp_hash_mix(number + (uint64_t)gr.number.seed);
}

struct dp_group *dp_group_find(uint32_t number)
{
	for (uint32_t i = dp_chain_first(&gr.number, hash(number)); i != DP_CHAIN_END;
	     i = dp_chain_next(&gr.number, i))
		if (gr.group[i].number == number)
			return &gr.group[i];
	return NULL;
}

static struct dp_group *open_group(uint32_t number)
{
	uint32_t i = gr.idle[--gr.idles];
	struct dp_group *g = &gr.group[i];

	memset(g, 0, sizeof(*g));
	g->number = number;
	g->audio = g->video = (struct dp_members){.first = DP_NO_TRACK, .last = DP_NO_TRACK};
	g->pos = gr.actives;
	gr.active[gr.actives++] = i;
	dp_chain_link(&gr.number, hash(number), i);
	return g;
}

static void close_group(struct dp_group *g)
{
	uint32_t last = gr.active[--gr.actives];

	dp_chain_unlink(&gr.number, hash(g->number), dp_group_index(g));
	gr.active[g->pos] = last;
	gr.group[last].pos = g->pos;
	g->number = 0;
	gr.idle[gr.idles++] = dp_group_index(g);
}

static struct dp_members *members(struct dp_group *g, const struct sh_msg_track_set *s)
{
	return s->kind == SH_KIND_AUDIO ? &g->audio : &g->video;
}

static uint32_t *place(struct dp_group *g, const struct sh_msg_track_set *s)
{
	return s->kind == SH_KIND_AUDIO ? &g->audio_slot[s->slot] : &g->video_slot[s->slot];
}

static uint8_t places(const uint32_t *slot, uint8_t n)
{
	while (n && !slot[n - 1])
		n--;
	return n;
}

static void count_places(struct dp_group *g)
{
	g->audio_slots = places(g->audio_slot, SH_MAX_AUDIO_SLOTS);
	g->video_slots = places(g->video_slot, SH_MAX_VIDEO_SLOTS);
}

int group_slot(uint32_t number, unsigned kind, unsigned slot)
{
	const struct sh_msg_track_set s = {.kind = (uint8_t)kind, .slot = (uint8_t)slot};
	struct dp_group *g = dp_group_find(number);

	return g ? (int)*place(g, &s) - 1 : -1;
}

void group_add(uint32_t track)
{
	const struct sh_msg_track_set *s = &dp_slabs.track[track].set;
	struct dp_group *g;
	struct dp_members *m;

	if (!s->group || gr.of[track])
		return;
	g = dp_group_find(s->group);
	if (!g)
		g = open_group(s->group);
	gr.of[track] = dp_group_index(g) + 1;
	g->changed = true;
	if (s->flags & SH_TRACK_SLOT) {
		*place(g, s) = track + 1;
		count_places(g);
		return;
	}
	m = members(g, s);
	gr.prev[track] = m->last;
	gr.next[track] = DP_NO_TRACK;
	if (m->last == DP_NO_TRACK)
		m->first = track;
	else
		gr.next[m->last] = track;
	m->last = track;
	m->n++;
}

static void unlink_member(struct dp_members *m, uint32_t track)
{
	if (gr.prev[track] == DP_NO_TRACK)
		m->first = gr.next[track];
	else
		gr.next[gr.prev[track]] = gr.next[track];
	if (gr.next[track] == DP_NO_TRACK)
		m->last = gr.prev[track];
	else
		gr.prev[gr.next[track]] = gr.prev[track];
	m->n--;
}

void group_remove(uint32_t track)
{
	const struct sh_track *t = &dp_slabs.track[track];
	struct dp_group *g;

	if (!gr.of[track])
		return;
	g = &gr.group[gr.of[track] - 1];
	gr.of[track] = 0;
	g->changed = true;
	if (t->set.flags & SH_TRACK_SLOT) {
		dp_slot_set(track, DP_NO_TRACK);
		*place(g, &t->set) = 0;
		count_places(g);
	} else {
		uint32_t slot = atomic_load(&t->follower);

		if (slot)
			dp_slot_set(SH_ID_INDEX(slot), DP_NO_TRACK);
		unlink_member(members(g, &t->set), track);
	}
	if (!g->audio.n && !g->video.n && !g->audio_slots && !g->video_slots)
		close_group(g);
}

void group_changed(uint32_t track)
{
	if (gr.of[track])
		gr.group[gr.of[track] - 1].changed = true;
}

/* The old source leaves before the new one comes, so that no worker puts both into one slot. */
void dp_slot_set(uint32_t slot, uint32_t source)
{
	struct sh_track *s = &dp_slabs.track[slot];
	uint32_t old = atomic_load_explicit(&s->source, memory_order_relaxed);

	if (old)
		atomic_store(&dp_slabs.track[SH_ID_INDEX(old)].follower, 0);
	__atomic_fetch_add(&gr.turn[slot], 1, __ATOMIC_RELEASE);
	atomic_store(&s->source, source == DP_NO_TRACK ? 0 : dp_slabs.track[source].set.id);
	if (source != DP_NO_TRACK)
		atomic_store(&dp_slabs.track[source].follower, s->set.id);
}

uint32_t dp_slot_turn(uint32_t slot)
{
	return __atomic_load_n(&gr.turn[slot], __ATOMIC_ACQUIRE);
}

static bool is(uint32_t id, uint32_t index)
{
	return id && index < gr.size && slab_live(DP_KIND_TRACK, index) &&
	       dp_slabs.track[index].set.id == id;
}

/* What the last dataplane was about to change when it ended may be half done. */
void groups_settle(void)
{
	for (uint32_t i = 0; i < gr.size; i++) {
		struct sh_track *t = &dp_slabs.track[i];
		uint32_t source = t->source, slot = t->follower, peer;

		if (!slab_live(DP_KIND_TRACK, i) || (!source && !slot))
			continue;
		peer = SH_ID_INDEX(source ? source : slot);
		if (source && slot) // neither a slot nor a source
			t->source = t->follower = 0;
		else if (source &&
		         !((t->set.flags & SH_TRACK_SLOT) && is(source, peer) &&
		           dp_slabs.track[peer].follower == t->set.id && gr.of[peer] == gr.of[i] &&
		           gr.of[i] && dp_slabs.track[peer].set.kind == t->set.kind))
			t->source = 0;
		else if (slot &&
		         !(is(slot, peer) && (dp_slabs.track[peer].set.flags & SH_TRACK_SLOT) &&
		           dp_slabs.track[peer].source == t->set.id))
			t->follower = 0;
	}
}
