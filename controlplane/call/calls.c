/* The domain's registry, and what the dataplane says to it.
 *
 * Files, in the order of a call: calls.c (this: registry, dataplane events, the turn), room.c
 * (rooms and who is in them), agent.c and ring.c (users, their devices, and one ringing another),
 * endpoint.c (one transport: ICE credentials, DTLS, keys), track.c (what a participant publishes),
 * subscription.c (what it is sent; our offers), slots.c (rooms that grow), play.c (WHEP: the peer's
 * offer filled), measured.c (what the dataplane says of streams each second), admit.c and
 * admit_load.c (is there capacity for more), save.c (to and from JSON, so that the next callstackd
 * takes running rooms over).
 *
 * Desired state is told to plane/ at once and flushed once a loop turn, so that all that one
 * request changes arrives in one COMMIT. Offers to subscribers are likewise made once a turn: ten
 * people who join together cost one offer. */
#include "controlplane/call/calls_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include "controlplane/loop.h"
#include "controlplane/nego/dtls.h"
#include "shared/log.h"

static void on_up(const struct sh_msg_e_hello *hello, bool slabs_new, void *arg);
static void on_down(const char *reason, void *arg);
static void on_endpoint_state(const struct sh_msg_endpoint_state *m, void *arg);
static void on_dtls(sh_id id, const uint8_t *data, size_t len, void *arg);
static void on_track_state(const struct sh_msg_track_state *m, void *arg);
static void on_track_watch(const struct sh_msg_track_watch *m, void *arg);
static void on_speakers(const struct sh_msg_speakers *m, void *arg);
static void on_refused(unsigned what, sh_id id, int error, void *arg);

static const struct cp_plane_handlers plane_handlers = {
    .up = on_up,
    .down = on_down,
    .endpoint_state = on_endpoint_state,
    .rx_dtls = on_dtls,
    .track_state = on_track_state,
    .track_watch = on_track_watch,
    .speakers = on_speakers,
    .quality = cp_calls_quality,
    .refused = on_refused,
};

int cp_calls_alloc(struct cp_calls **out, struct cp_plane *plane, struct cp_dtls_ctx *dtls,
                   const struct cp_limits *limits)
{
	struct cp_calls *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->plane = plane;
	c->dtls = dtls;
	c->limits = *limits;
	TAILQ_INIT(&c->due);
	TAILQ_INIT(&c->ringing);
	c->no_answer_s = 45;
	cp_plane_handle(plane, &plane_handlers, c);
	c->endpoints_max = c->tracks_max = 1u << SH_ID_INDEX_BITS;
	c->endpoint = calloc(c->endpoints_max, sizeof(*c->endpoint));
	c->track = calloc(c->tracks_max, sizeof(*c->track));
	c->sub = calloc((size_t)1 << SH_ID_INDEX_BITS, sizeof(*c->sub));
	if (!c->endpoint || !c->track || !c->sub || cp_speakers_open(c)) {
		cp_calls_free(c);
		return -ENOMEM;
	}
	*out = c;
	return 0;
}

void cp_calls_free(struct cp_calls *c)
{
	struct cp_room_entry *r, *next;

	if (!c)
		return;
	HASH_ITER(hh, c->rooms, r, next)
	{
		/* The last one out frees the room. */
		unsigned left = r->room.n_participants;
		while (left--)
			cp_participant_free(TAILQ_FIRST(&r->room.participants));
	}
	cp_plane_handle(c->plane, &(struct cp_plane_handlers){0}, NULL);
	cp_speakers_close(c);
	cp_admit_free(c->admit);
	free(c->endpoint);
	free(c->track);
	free(c->sub);
	free(c);
}

bool cp_calls_ready(const struct cp_calls *c)
{
	return cp_plane_up(c->plane);
}

void cp_make_id(char id[CP_ID_MAX], char prefix)
{
	static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567";
	uint8_t raw[16];

	if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
		abort(); /* cannot fail for 16 bytes once the pool is seeded: getrandom(2) */
	id[0] = prefix;
	for (int i = 0; i < 16; i++)
		id[1 + i] = base32[raw[i] & 31];
	id[17] = 0;
}

uint32_t cp_random_ssrc(void)
{
	uint32_t v = 0;

	while (v == 0)
		if (getrandom(&v, sizeof(v), 0) != sizeof(v))
			abort();
	return v;
}

bool cp_text_copy(char *dst, size_t size, const char *src)
{
	size_t len = src ? strlen(src) : 0;

	if (len >= size)
		return false;
	memcpy(dst, src ? src : "", len);
	dst[len] = 0;
	return true;
}

/* ---- what the dataplane says ---- */

void cp_calls_on_link(struct cp_calls *c, cp_link_h *h, void *arg)
{
	c->link = h;
	c->link_arg = arg;
}

/* The slabs are gone, and with them each SRTP index. With the old keys the next packet would repeat
 * one, so every transport is to be made anew (RFC 3711 §9.1: no two packets under one key and
 * index). */
static void reset_all(struct cp_calls *c)
{
	struct cp_room_entry *r, *next;
	struct cp_participant *p;

	HASH_ITER(hh, c->rooms, r, next)
	TAILQ_FOREACH (p, &r->room.participants, entry)
		cp_participant_reset_media(p);
}

/* A dataplane with fewer workers, or one whose slabs are not those that our journal speaks of
 * (slabs_new compares only with what this daemon has seen), has no place for what we have. */
static bool lost(const struct cp_calls *c, const struct sh_msg_e_hello *hello)
{
	if (c->slab_epoch && c->slab_epoch != hello->slab_epoch)
		return true;
	for (unsigned w = hello->workers; w < SH_MAX_WORKERS; w++)
		if (c->load[w])
			return true;
	return false;
}

static void on_up(const struct sh_msg_e_hello *hello, bool slabs_new, void *arg)
{
	struct cp_calls *c = arg;

	if (slabs_new || lost(c, hello))
		reset_all(c);
	c->changed |= c->slab_epoch != hello->slab_epoch;
	c->slab_epoch = hello->slab_epoch;
	if (c->link)
		c->link(NULL, c->link_arg);
}

static void on_down(const char *reason, void *arg)
{
	struct cp_calls *c = arg;

	if (c->link)
		c->link(reason, c->link_arg);
}

static struct cp_endpoint *endpoint_by_id(const struct cp_calls *c, sh_id id)
{
	struct cp_endpoint *e = c->endpoint[SH_ID_INDEX(id)];

	return e && e->id == id ? e : NULL;
}

static void on_endpoint_state(const struct sh_msg_endpoint_state *m, void *arg)
{
	struct cp_endpoint *e = endpoint_by_id(arg, m->id);

	if (e)
		cp_endpoint_ice(e, m->ice, &m->remote);
}

static void on_dtls(sh_id id, const uint8_t *data, size_t len, void *arg)
{
	struct cp_endpoint *e = endpoint_by_id(arg, id);

	if (e)
		cp_endpoint_dtls(e, data, len);
}

static void on_track_state(const struct sh_msg_track_state *m, void *arg)
{
	struct cp_calls *c = arg;
	struct cp_track *t = c->track[SH_ID_INDEX(m->id)];

	if (t && t->plane_id == m->id)
		t->active = m->layer_active;
}

static void on_track_watch(const struct sh_msg_track_watch *m, void *arg)
{
	cp_track_watched(arg, m);
}

static void on_speakers(const struct sh_msg_speakers *m, void *arg)
{
	cp_speakers_heard(arg, m);
}

static void on_refused(unsigned what, sh_id id, int error, void *arg)
{
	static const char *const names[] = {"?", "endpoint", "track", "subscription"};

	sh_error("call", "the dataplane refused %s %x: %s", names[what < 4 ? what : 0], id,
	         strerrordesc_np(-error));
}

/* ---- the turn ---- */

static void offer_if_due(struct cp_participant *p)
{
	struct cp_endpoint *e = p->endpoint[CP_SUBSCRIBE];

	if (e && e->stale && !e->awaiting)
		cp_send_offer(e);
}

void cp_calls_turn(struct cp_calls *c)
{
	struct cp_participant *p;

	while ((p = TAILQ_FIRST(&c->due))) {
		TAILQ_REMOVE(&c->due, p, due_entry);
		p->due = false;
		offer_if_due(p);
	}
}

void cp_calls_counts(const struct cp_calls *c, struct cp_calls_counts *out)
{
	*out = c->counts;
	out->rooms = HASH_COUNT(c->rooms);
}

/* By layer, low to high. */
static json_t *layers_json(const struct cp_track *t, uint64_t now_ns)
{
	json_t *a = json_array();

	for (unsigned l = 0; l < t->set.layers && l < SH_MAX_LAYERS; l++)
		cp_json_push(&a, cp_measured_json(&t->measured[l], now_ns));
	return a;
}

static json_t *participant_json(const struct cp_participant *p)
{
	static const char *const kinds[] = {"client", "whip", "whep"};
	static const char *const states[] = {"new", "connected", "disconnected"};
	json_t *tracks = json_array(), *receives = json_array(), *o;
	const struct cp_track *t;
	const struct cp_sub *s;
	unsigned subs = 0;
	uint64_t now = cp_now_ns();

	TAILQ_FOREACH (t, &p->tracks, entry)
		cp_json_push(&tracks,
		             json_pack("{ss ss ss sb si so}", "track", t->id, "kind",
		                       t->kind == SH_KIND_AUDIO ? "audio" : "video", "source",
		                       cp_source_name(t->source), "muted", t->muted, "layers",
		                       t->active, "quality", layers_json(t, now)));
	TAILQ_FOREACH (s, &p->subs, entry) {
		cp_json_push(&receives,
		             json_pack("{ss si so}", "track", s->track->id, "layer",
		                       (int)s->measured.layer, "quality",
		                       cp_measured_json(&s->measured, now)));
		subs++;
	}
	o = json_pack("{ss ss ss ss so si so}", "participant", p->id, "user", p->user, "display",
	              p->display, "kind", kinds[p->kind], "tracks", tracks, "subscriptions",
	              (int)subs, "receives", receives);
	for (int i = 0; i < 2; i++) {
		const struct cp_endpoint *e = p->endpoint[i];
		char addr[SH_ADDR_STR];

		if (!e)
			continue;
		cp_json_put(&o, i == CP_PUBLISH ? "publish" : "subscribe",
		            json_pack("{ss si si ss}", "state", states[e->state], "worker",
		                      (int)e->worker, "id", (int)SH_ID_INDEX(e->id), "remote",
		                      sh_addr_str(&e->remote, addr)));
	}
	return o;
}

json_t *cp_calls_rooms_json(const struct cp_calls *c)
{
	json_t *rooms = json_array();
	const struct cp_room_entry *r;
	const struct cp_participant *p;

	for (r = c->rooms; r; r = r->hh.next) {
		json_t *list = json_array();

		TAILQ_FOREACH (p, &r->room.participants, entry)
			cp_json_push(&list, participant_json(p));
		cp_json_push(&rooms,
		             json_pack("{ss so}", "room", r->room.name, "participants", list));
	}
	return rooms;
}
