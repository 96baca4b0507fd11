#include <stdlib.h>
#include <string.h>
#include "bench/room.h"
#include "shared/cost.h"

static struct room_scenario sc;

static struct {
	struct room_track *track; // those sent first
	unsigned sent, tracks;
	struct fwd_sub *sub; // in order: participant, publisher or slot, kind
	unsigned subs;
	double *tells; // by participant
} room;

bool room_grown(void)
{
	return sc.audio_slots || sc.video_slots;
}

static bool has(unsigned publisher, bool video)
{
	return video ? sc.kbps && (!sc.cameras || publisher < sc.cameras) : sc.audio_size > 0;
}

static void add_track(unsigned publisher, bool video, unsigned mid, unsigned slot)
{
	room.track[room.tracks++] = (struct room_track){
	    .publisher = publisher,
	    .payload = video ? sc.video_size : sc.audio_size,
	    .mid = mid,
	    .pps = video ? sc.kbps * 125.0 / sc.video_size : ROOM_AUDIO_PPS,
	    .slot = slot,
	};
}

static void make_tracks(void)
{
	room.track =
	    calloc(2 * sc.publishers + sc.audio_slots + sc.video_slots, sizeof(*room.track));
	room.sent = room.tracks = 0;
	for (unsigned p = 0; p < sc.publishers; p++)
		for (unsigned video = 0, mid = 0; video < 2; video++)
			if (has(p, video))
				add_track(p, video, mid++, 0);
	room.sent = room.tracks;
	for (unsigned i = 0; i < sc.audio_slots; i++)
		add_track(0, false, 0, i + 1);
	for (unsigned i = 0; i < sc.video_slots; i++)
		add_track(0, true, 0, i + 1);
}

static void add_sub(unsigned participant, unsigned track, unsigned *mid)
{
	room.sub[room.subs++] = (struct fwd_sub){track, sc.publishers + participant,
	                                         room.track[track].payload, (*mid)++};
}

static unsigned watched(unsigned participant)
{
	unsigned n = sc.publishers - (participant < sc.publishers);

	return sc.watch && sc.watch < n ? sc.watch : n;
}

/* Index of a publisher's first track. */
static unsigned first_of(unsigned publisher)
{
	unsigned i = 0;

	while (i < room.sent && room.track[i].publisher < publisher)
		i++;
	return i;
}

static void watch_publishers(unsigned p, const unsigned *first)
{
	unsigned mid = 0;

	for (unsigned k = 1, n = 0; k <= sc.publishers && n < watched(p); k++) {
		unsigned from = (p + k) % sc.publishers;

		if (from == p)
			continue;
		n++;
		for (unsigned t = first[from]; t < room.sent && room.track[t].publisher == from;
		     t++)
			add_sub(p, t, &mid);
	}
}

static void make_subs(void)
{
	size_t each = room_grown() ? room.tracks - room.sent : room.sent;
	unsigned *first = calloc(sc.publishers, sizeof(*first));

	room.sub = calloc(sc.participants * each + 1, sizeof(*room.sub));
	room.subs = 0;
	for (unsigned q = 0; q < sc.publishers; q++)
		first[q] = first_of(q);
	for (unsigned p = 0; p < sc.participants; p++) {
		unsigned mid = 0;

		for (unsigned t = room.sent; t < room.tracks; t++)
			add_sub(p, t, &mid);
		if (!room_grown())
			watch_publishers(p, first);
	}
	free(first);
}

static void make_tells(void)
{
	double *bytes = calloc(sc.participants, sizeof(*bytes));

	room.tells = calloc(sc.participants, sizeof(*room.tells));
	for (unsigned i = 0; i < room.subs; i++)
		bytes[room.sub[i].endpoint - sc.publishers] +=
		    room.track[room.sub[i].track].pps * (room.sub[i].payload + SH_COST_RTP_BYTES);
	for (unsigned p = 0; sc.feedback && p < sc.participants; p++)
		room.tells[p] = bytes[p] > 0 ? sh_cost_tells(bytes[p]) : 0;
	free(bytes);
}

void room_open(const struct room_scenario *scenario)
{
	sc = *scenario;
	make_tracks();
	make_subs();
	make_tells();
}

void room_close(void)
{
	free(room.track);
	free(room.sub);
	free(room.tells);
	memset(&room, 0, sizeof(room));
}

unsigned room_subs(void)
{
	return room.subs;
}

double room_pps(void)
{
	double sum = 0;

	for (unsigned i = 0; i < room.sent; i++)
		sum += room.track[i].pps;
	for (unsigned p = 0; p < sc.participants; p++)
		sum += room.tells[p];
	return sum;
}

unsigned room_publishers(void)
{
	return sc.publishers;
}

unsigned room_endpoints(void)
{
	return sc.publishers + sc.participants;
}

unsigned room_tracks(void)
{
	return room.tracks;
}

unsigned room_sent(void)
{
	return room.sent;
}

const struct room_track *room_track(unsigned i)
{
	return &room.track[i];
}

double room_tells(unsigned participant)
{
	return room.tells[participant];
}

/* ---- many of them ---- */

static void layout_peer(uint32_t i, struct fwd_peer *out)
{
	uint32_t at = i % room_endpoints(), in = i / room_endpoints();
	bool listens = at >= sc.publishers;

	out->owner = in * sc.participants + (listens ? at - sc.publishers : at) + 1;
	out->twcc = !listens || room.tells[at - sc.publishers] > 0;
}

static void layout_track(uint32_t i, struct fwd_track *out)
{
	const struct room_track *t = &room.track[i % room.tracks];
	uint32_t in = i / room.tracks;

	*out = (struct fwd_track){in * room_endpoints() + t->publisher, t->payload, t->mid,
	                          room_grown() ? in + 1 : 0, t->slot};
}

static void layout_sub(uint32_t i, struct fwd_sub *out)
{
	uint32_t in = i / room.subs;

	*out = room.sub[i % room.subs];
	out->track += in * room.tracks;
	out->endpoint += in * room_endpoints();
}

void room_layout(struct fwd_layout *out, unsigned rooms)
{
	*out = (struct fwd_layout){
	    .profile = sc.profile,
	    .workers = 1,
	    .endpoints = rooms * room_endpoints(),
	    .tracks = rooms * room.tracks,
	    .subs = rooms * room.subs,
	    .peer = layout_peer,
	    .track = layout_track,
	    .sub = layout_sub,
	};
}
