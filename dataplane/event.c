#include "dataplane/event.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "dataplane/speaker.h"
#include "dataplane/table/group.h"
#include "dataplane/worker.h"
#include "shared/msg.h"
#include "shared/state.h"

enum { ACTIVE_NS = 1000000000, READS = 3 };

struct reply {
	struct reply *next;
	uint16_t type;
	uint32_t len;
	_Alignas(8) uint8_t body[];
};

/* Entries that changed: a queue of indexes, each in it once. */
struct dirty {
	uint32_t *v;
	uint8_t *in;
	uint32_t head, n, size;
};

static struct {
	struct sh_ring_end *tx;
	struct reply *first, **last;
	struct dirty endpoints, tracks, groups, watches;
	struct sh_msg_endpoint_state *said_endpoint; // by index; id 0: nothing yet
	struct sh_msg_track_state *said_track;
	struct watch {
		sh_id id; // 0: nothing yet
		uint8_t layers, pad[3];
		uint64_t fewer_ns; // since when fewer are watched; 0: they are not
	} * watch; // by track, as told, or to be told
	uint64_t track_now; // time that tracks were last looked at
} ev;

static uint64_t *stats(void)
{
	return dp_slabs.head->stats[SH_MAX_WORKERS].v;
}

static int dirty_init(struct dirty *d, uint32_t size)
{
	d->v = calloc(size, sizeof(*d->v));
	d->in = calloc(size, 1);
	d->size = size;
	return d->v && d->in ? 0 : -ENOMEM;
}

static void dirty_free(struct dirty *d)
{
	free(d->v);
	free(d->in);
	memset(d, 0, sizeof(*d));
}

static void dirty_add(struct dirty *d, uint32_t i)
{
	if (!ev.tx || i >= d->size || d->in[i])
		return;
	d->in[i] = 1;
	d->v[(d->head + d->n++) % d->size] = i;
}

static void dirty_pop(struct dirty *d)
{
	d->in[d->v[d->head]] = 0;
	d->head = (d->head + 1) % d->size;
	d->n--;
}

static void dirty_clear(struct dirty *d)
{
	while (d->n)
		dirty_pop(d);
}

int dp_event_init(void)
{
	int err = dirty_init(&ev.endpoints, dp_slabs.endpoints);

	if (!err)
		err = dirty_init(&ev.tracks, dp_slabs.tracks);
	if (!err)
		err = dirty_init(&ev.groups, dp_slabs.tracks);
	if (!err)
		err = dirty_init(&ev.watches, dp_slabs.tracks);
	ev.watch = calloc(dp_slabs.tracks, sizeof(*ev.watch));
	ev.said_endpoint = calloc(dp_slabs.endpoints, sizeof(*ev.said_endpoint));
	ev.said_track = calloc(dp_slabs.tracks, sizeof(*ev.said_track));
	ev.last = &ev.first;
	if (!ev.said_endpoint || !ev.said_track || !ev.watch)
		err = -ENOMEM;
	if (err)
		dp_event_free();
	return err;
}

static void drop_replies(void)
{
	while (ev.first) {
		struct reply *r = ev.first;

		ev.first = r->next;
		free(r);
	}
	ev.last = &ev.first;
}

void dp_event_free(void)
{
	drop_replies();
	dirty_free(&ev.endpoints);
	dirty_free(&ev.tracks);
	dirty_free(&ev.groups);
	dirty_free(&ev.watches);
	free(ev.watch);
	free(ev.said_endpoint);
	free(ev.said_track);
	memset(&ev, 0, sizeof(ev));
}

void dp_event_link(struct sh_ring_end *tx)
{
	drop_replies();
	dirty_clear(&ev.endpoints);
	dirty_clear(&ev.tracks);
	dirty_clear(&ev.groups);
	dirty_clear(&ev.watches);
	dp_event_forget();
	ev.tx = tx;
}

static bool put(unsigned type, const void *body, uint32_t len)
{
	void *p = sh_ring_reserve(ev.tx, (uint16_t)type, sh_msg_flags(type), len);

	if (!p)
		return false;
	memcpy(p, body, len);
	sh_ring_commit(ev.tx);
	return true;
}

int dp_event_reply(unsigned type, const void *body, uint32_t len)
{
	struct reply *r;

	if (!ev.tx || (!ev.first && put(type, body, len)))
		return 0;
	stats()[SH_STAT_events_full]++;
	r = malloc(sizeof(*r) + len);
	if (!r)
		return -ENOMEM;
	r->next = NULL;
	r->type = (uint16_t)type;
	r->len = len;
	memcpy(r->body, body, len);
	*ev.last = r;
	ev.last = &r->next;
	return 0;
}

bool dp_event_blocked(void)
{
	return ev.first != NULL;
}

/* The owner may be writing the pair: two equal readings are a whole one. */
static bool read_endpoint(uint32_t i, struct sh_msg_endpoint_state *out)
{
	const struct sh_endpoint *ep = &dp_slabs.endpoint[i];
	struct sh_addr local, remote;

	memset(out, 0, sizeof(*out));
	for (unsigned n = 0; n < READS; n++) {
		local = ep->local;
		remote = ep->remote;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (memcmp(&local, &ep->local, sizeof(local)) == 0 &&
		    memcmp(&remote, &ep->remote, sizeof(remote)) == 0) {
			out->id = ep->set.id;
			out->ice = (uint8_t)__atomic_load_n(&ep->ice, __ATOMIC_RELAXED);
			out->local = local;
			out->remote = remote;
			return true;
		}
	}
	return false;
}

static void read_track(uint32_t i, uint64_t now_ns, struct sh_msg_track_state *out)
{
	const struct sh_track *t = &dp_slabs.track[i];

	memset(out, 0, sizeof(*out));
	out->id = t->set.id;
	for (unsigned l = 0; l < SH_MAX_LAYERS; l++) {
		uint64_t at = __atomic_load_n(&t->media[l].last_at_ns, __ATOMIC_RELAXED);

		out->ssrc[l] = __atomic_load_n(&t->media[l].ssrc, __ATOMIC_RELAXED);
		if (at && at + ACTIVE_NS > now_ns)
			out->layer_active |= (uint8_t)(1u << l);
	}
}

static bool live(const _Atomic uint8_t *state)
{
	return atomic_load_explicit(state, memory_order_acquire) == SH_LIVE;
}

static bool endpoint_differs(uint32_t i)
{
	struct sh_msg_endpoint_state now;
	const struct sh_msg_endpoint_state *said = &ev.said_endpoint[i];

	if (!read_endpoint(i, &now))
		return true;
	if (said->id != now.id)
		return now.ice != SH_ICE_NEW;
	return memcmp(&now, said, sizeof(now)) != 0;
}

static bool track_differs(uint32_t i, uint64_t now_ns)
{
	struct sh_msg_track_state now;
	const struct sh_msg_track_state *said = &ev.said_track[i];

	read_track(i, now_ns, &now);
	if (said->id != now.id)
		return now.layer_active != 0;
	return memcmp(&now, said, sizeof(now)) != 0;
}

void dp_event_endpoint(uint32_t index)
{
	if (ev.tx && index < dp_slabs.endpoints && live(&dp_slabs.endpoint[index].state) &&
	    endpoint_differs(index))
		dirty_add(&ev.endpoints, index);
}

void dp_event_track(uint32_t index, uint64_t now_ns)
{
	ev.track_now = now_ns;
	if (ev.tx && index < dp_slabs.tracks && live(&dp_slabs.track[index].state) &&
	    track_differs(index, now_ns))
		dirty_add(&ev.tracks, index);
}

void dp_event_speakers(uint32_t group)
{
	dirty_add(&ev.groups, group);
}

/* What a new daemon, or publisher, takes for granted is not known here, so the first finding is told too. */
void dp_event_watch(uint32_t index, uint64_t now_ns)
{
	const struct sh_track *t = &dp_slabs.track[index];
	struct watch *w = &ev.watch[index];
	uint8_t now, all = (uint8_t)((1u << t->set.layers) - 1);

	if (!live(&t->state) || t->set.kind != SH_KIND_VIDEO || (t->set.flags & SH_TRACK_SLOT))
		return;
	now = dp_watched_layers(index);
	if (w->id != t->set.id) {
		*w = (struct watch){.id = t->set.id, .layers = all};
		if (now == all)
			dirty_add(&ev.watches, index);
	}
	if (!(w->layers & ~now)) {
		w->fewer_ns = 0;
	} else if (!w->fewer_ns) {
		w->fewer_ns = now_ns;
	} else if (now_ns - w->fewer_ns >= DP_UNWATCHED_NS) {
		w->fewer_ns = 0;
		w->layers = now;
		dirty_add(&ev.watches, index);
	}
	if (now & ~w->layers) {
		w->layers |= now;
		dirty_add(&ev.watches, index);
	}
}

void dp_event_forget(void)
{
	for (uint32_t i = 0; i < dp_slabs.tracks; i++)
		if (ev.watch[i].id && live(&dp_slabs.track[i].state))
			dirty_add(&ev.watches, i);
	memset(ev.said_endpoint, 0, dp_slabs.endpoints * sizeof(*ev.said_endpoint));
	memset(ev.said_track, 0, dp_slabs.tracks * sizeof(*ev.said_track));
}

bool dp_event_dtls(uint32_t endpoint, const void *data, uint32_t len)
{
	struct sh_msg_packet *p;

	if (!ev.tx || len == 0 || len > SH_PACKET_MAX || endpoint >= dp_slabs.endpoints ||
	    !live(&dp_slabs.endpoint[endpoint].state))
		return false;
	/* A datagram must not overtake the news of the address that it came from. */
	if (!dp_event_flush()) {
		stats()[SH_STAT_drop_punt_full]++;
		return false;
	}
	p = sh_ring_reserve(ev.tx, SH_MSG_RX_DTLS, sh_msg_flags(SH_MSG_RX_DTLS),
	                    sh_msg_packet_size(len));
	if (!p) {
		stats()[SH_STAT_drop_punt_full]++;
		return false;
	}
	p->endpoint = dp_slabs.endpoint[endpoint].set.id;
	p->len = (uint16_t)len;
	p->pad = 0;
	memcpy(p->data, data, len);
	sh_ring_commit(ev.tx);
	return true;
}

static uint64_t ring_free(void)
{
	uint64_t tail = atomic_load_explicit(&ev.tx->ring->tail, memory_order_acquire);

	return ev.tx->capacity - (ev.tx->pos - tail);
}

bool dp_event_quality(const struct sh_msg_quality *m)
{
	if (!ev.tx)
		return true;
	if (!ev.first && !ev.endpoints.n && !ev.tracks.n &&
	    ring_free() >= ev.tx->capacity / 2 + sizeof(*m) &&
	    put(SH_MSG_QUALITY, m, sizeof(*m)))
		return true;
	stats()[SH_STAT_quality_dropped] += m->rows;
	return false;
}

static bool flush_replies(void)
{
	while (ev.first) {
		struct reply *r = ev.first;

		if (!put(r->type, r->body, r->len))
			return false;
		ev.first = r->next;
		free(r);
	}
	ev.last = &ev.first;
	return true;
}

static bool flush_endpoints(void)
{
	while (ev.endpoints.n) {
		uint32_t i = ev.endpoints.v[ev.endpoints.head];
		struct sh_msg_endpoint_state s;

		if (live(&dp_slabs.endpoint[i].state)) {
			if (!read_endpoint(i, &s))
				return false; // being written: soon again
			if (!put(SH_MSG_ENDPOINT_STATE, &s, sizeof(s)))
				return false;
			ev.said_endpoint[i] = s;
		}
		dirty_pop(&ev.endpoints);
	}
	return true;
}

static bool flush_tracks(void)
{
	while (ev.tracks.n) {
		uint32_t i = ev.tracks.v[ev.tracks.head];
		struct sh_msg_track_state s;

		if (live(&dp_slabs.track[i].state)) {
			read_track(i, ev.track_now, &s);
			if (!put(SH_MSG_TRACK_STATE, &s, sizeof(s)))
				return false;
			ev.said_track[i] = s;
		}
		dirty_pop(&ev.tracks);
	}
	return true;
}

static bool flush_groups(void)
{
	while (ev.groups.n) {
		const struct dp_group *g = dp_group_by_index(ev.groups.v[ev.groups.head]);
		struct sh_msg_speakers s;

		dp_speakers_read(g, &s);
		if (g->number && !put(SH_MSG_SPEAKERS, &s, sizeof(s)))
			return false;
		dirty_pop(&ev.groups);
	}
	return true;
}

static bool flush_watches(void)
{
	while (ev.watches.n) {
		uint32_t i = ev.watches.v[ev.watches.head];
		struct sh_msg_track_watch s = {.id = ev.watch[i].id, .layers = ev.watch[i].layers};

		if (live(&dp_slabs.track[i].state) && dp_slabs.track[i].set.id == s.id &&
		    !put(SH_MSG_TRACK_WATCH, &s, sizeof(s)))
			return false;
		dirty_pop(&ev.watches);
	}
	return true;
}

bool dp_event_flush(void)
{
	bool done = !ev.tx || (flush_replies() && flush_endpoints() && flush_tracks() &&
	                       flush_groups() && flush_watches());

	if (!done)
		stats()[SH_STAT_events_full]++;
	return done;
}
