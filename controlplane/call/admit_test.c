/* Who is let in: the workers' use by the model and as measured, the tables' places, and that a
 * refusal changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "controlplane/call/admit_priv.h"
#include "tests/fakes/call_world.h"

/* A packet out costs 1 % of the worker's second / 100: video is 180 a second, audio 50. */
static const struct sh_cost_model costs_out = {
    .tsc_hz = 1e6,
    .cached = 1 << 20,
    .cipher[SH_COST_GCM128] = {.out = 100},
    .usable = 1,
};
static struct cp_conn a, b, c, d;
static struct sh_slabs slabs;
static char state[128];

static void admission(unsigned budget, const struct sh_cost_model *model)
{
	const struct cp_admission_conf conf = {budget, model, state};

	assert_int_equal(cp_calls_admission(world.calls, &conf), 0);
	world_advance(1500);
}

static int setup(void **unused)
{
	bool created;

	world_open(false);
	snprintf(state, sizeof(state), "%s/slabs", world.dir);
	assert_int_equal(sh_slabs_create(&slabs, state, 64, 64, 64, &created), 0);
	slabs.head->workers = 1;
	slabs.head->slab_epoch = cp_plane_hello(world.plane)->slab_epoch;
	((struct sh_msg_e_hello *)cp_plane_hello(world.plane))->workers = 1;
	conn_login(&a, "ann", NULL);
	conn_login(&b, "bob", NULL);
	conn_login(&c, "eve", NULL);
	conn_login(&d, "dan", NULL);
	return 0;
}

static int teardown(void **unused)
{
	struct cp_calls_counts n;

	conn_drop(&a);
	conn_drop(&b);
	conn_drop(&c);
	conn_drop(&d);
	world_advance(61000);
	n = world_counts();
	assert_int_equal(n.rooms + n.participants + n.endpoints + n.tracks + n.subs, 0);
	for (unsigned w = 0; world.calls->admit && w < SH_MAX_WORKERS; w++)
		assert_int_equal(world.calls->load[w], 0);
	sh_slabs_close(&slabs);
	world_close();
	return 0;
}

static void join(struct cp_conn *who, const char *room)
{
	json_decref(conn_ok(who, "{ss ss}", "type", "join", "room", room));
}

/* Publishes, and everybody in the room answers the offer. */
static void publish(struct cp_conn *who, struct cp_conn *o1, struct cp_conn *o2)
{
	struct cp_conn *others[] = {o1, o2};

	conn_publish(who, NULL, NULL);
	for (int i = 0; i < 2; i++)
		if (others[i])
			conn_forget(others[i]);
}

/* The dataplane's worker w worked that share of the next seconds. */
static void works(unsigned w, double share, unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i++) {
		slabs.head->stats[w].busy_cycles += (uint64_t)(share * 1e9);
		slabs.head->stats[w].idle_cycles += (uint64_t)((1 - share) * 1e9);
		world_advance(1000);
	}
}

static double percent(const char *key, unsigned w)
{
	json_t *o = cp_admission_json(world.calls);
	double v = json_number_value(
	    json_object_get(json_array_get(json_object_get(o, "workers"), w), key));

	json_decref(o);
	return v;
}

static uint64_t refusals(void)
{
	struct cp_admission_counts n;

	cp_admission_counts(world.calls, &n);
	return n.refused;
}

/* Two are in, each with audio and video to the other: 460 packets a second, 4.6 %. A third brings
 * six more streams of subscriptions: 4 to itself (2 audio, 2 video) and its own to two others: 4.6
 * + 4.6 + 4.6. */
static void the_third_is_one_too_many(void **unused)
{
	struct cp_calls_counts before, after;

	admission(9, &costs_out);
	join(&a, "kitchen");
	publish(&a, NULL, NULL);
	join(&b, "kitchen");
	publish(&b, &a, NULL);
	world_advance(1500);
	conn_forget(&a);
	conn_forget(&b);
	assert_true(percent("model", 0) > 4.5 && percent("model", 0) < 4.7);
	assert_true(percent("subscriptions", 0) == 4);
	before = world_counts();
	conn_refused(&c, "overloaded", "{ss ss}", "type", "join", "room", "kitchen");
	assert_non_null(strstr(cp_admission_why(world.calls), "worker 0"));
	assert_non_null(strstr(cp_admission_why(world.calls), "9 %"));
	after = world_counts();
	assert_memory_equal(&before, &after, sizeof(before));
	conn_silent(&a);
	conn_silent(&b);
	assert_int_equal(refusals(), 1);
	/* another room is no burden */
	join(&c, "garden");
	assert_int_equal(refusals(), 1);
	/* who leaves makes room */
	conn_do(&b, "{ss}", "type", "leave");
	conn_do(&c, "{ss}", "type", "leave");
	world_advance(1500);
	join(&c, "kitchen");
}

static void a_publication_is_weighed_with_those_who_will_have_it(void **unused)
{
	admission(6, &costs_out);
	join(&a, "kitchen");
	join(&b, "kitchen");
	join(&c, "kitchen");
	join(&d, "kitchen");
	/* to three others: 6.9 % */
	{
		char *sdp = sdp_file("aiortc_av");

		conn_refused(&a, "overloaded", "{ss ss}", "type", "publish", "sdp", sdp);
		free(sdp);
	}
	assert_int_equal(world_counts().tracks, 0);
	assert_int_equal(world_counts().endpoints, 0);
	conn_do(&d, "{ss}", "type", "leave");
	world_advance(1500);
	conn_forget(&a);
	publish(&a, &b, &c); // 4.6 %
	assert_int_equal(world_counts().tracks, 2);
	assert_int_equal(world_counts().subs, 4);
}

static void a_subscription_is_weighed_and_all_or_nothing(void **unused)
{
	char audio[CP_ID_MAX], video[CP_ID_MAX];

	admission(2, &costs_out);
	json_decref(conn_ok(&a, "{ss ss sb}", "type", "join", "room", "kitchen", "auto", 0));
	json_decref(conn_ok(&b, "{ss ss sb}", "type", "join", "room", "kitchen", "auto", 0));
	conn_publish(&a, audio, video);
	conn_forget(&b);
	conn_refused(&b, "overloaded", "{ss s[ss]}", "type", "subscribe", "tracks", audio, video);
	assert_int_equal(world_counts().subs, 0);
	conn_do(&b, "{ss s[s]}", "type", "subscribe", "tracks", video); // 1.8 %
	assert_int_equal(world_counts().subs, 1);
	conn_refused(&b, "overloaded", "{ss s[s]}", "type", "subscribe", "tracks", audio);
}

static void without_a_model_what_is_measured_counts(void **unused)
{
	admission(80, NULL);
	works(0, 0.5, 5);
	assert_true(percent("measured", 0) > 45 && percent("measured", 0) < 55);
	join(&a, "kitchen");
	works(0, 0.95, 8);
	conn_refused(&b, "overloaded", "{ss ss}", "type", "join", "room", "kitchen");
	works(0, 0.1, 8);
	join(&b, "kitchen");
}

/* What the model does not know of, the measurement does; a newcomer is added on top of it. */
static void the_larger_of_both_counts(void **unused)
{
	admission(50, &costs_out);
	join(&a, "kitchen");
	publish(&a, NULL, NULL);
	works(0, 0.49, 12);
	join(&c, "garden");
	conn_refused(&b, "overloaded", "{ss ss}", "type", "join", "room", "kitchen"); // + 4.6
	works(0, 0.3, 12);
	join(&b, "kitchen");
}

static struct sh_track *slab_of(struct cp_conn *who, enum sh_kind kind)
{
	struct cp_track *t;

	TAILQ_FOREACH (t, &conn_party(who)->tracks, entry)
		if (t->kind == kind) {
			struct sh_track *s = &slabs.track[SH_ID_INDEX(t->plane_id)];

			s->set.id = t->plane_id;
			s->state = SH_LIVE;
			return s;
		}
	fail_msg("no such track");
	return NULL;
}

/* A track counts as usual ones at first, then as what it sends. */
static void rates_are_learned(void **unused)
{
	struct sh_track *video, *audio;

	admission(100, &costs_out);
	join(&a, "kitchen");
	publish(&a, NULL, NULL);
	join(&b, "kitchen");
	conn_forget(&a);
	video = slab_of(&a, SH_KIND_VIDEO);
	audio = slab_of(&a, SH_KIND_AUDIO);
	world_advance(2000);
	assert_true(percent("model", 0) > 2.2 && percent("model", 0) < 2.4);
	for (int i = 0; i < 200; i++) { // 1,000 packets a second, and silence
		video->media[0].packets += 1000;
		video->media[0].bytes += 1000 * 1000;
		audio->media[0].packets += i < 10 ? 50 : 0;
		world_advance(1000);
	}
	assert_true(percent("model", 0) > 9.9 && percent("model", 0) < 10.1);
	/* a simulcast's subscriber gets one layer */
	for (int i = 0; i < 200; i++) {
		for (int l = 0; l < 3; l++) {
			video->media[l].packets += 100u << l;
			video->media[l].bytes += (100u << l) * 1000;
		}
		world_advance(1000);
	}
	assert_true(percent("model", 0) > 3.9 && percent("model", 0) < 4.1);
}

static void whip_and_whep_hear_when_to_come_again(void **unused)
{
	char *sdp = sdp_file("aiortc_av"), *play = sdp_file("aiortc_recvonly");
	struct cp_http h;

	admission(4, &costs_out);
	join(&a, "studio");
	join(&b, "studio");
	h = http(CP_POST, "/whip/studio", "t-rob", "application/sdp", NULL, sdp); // to two: 4.6 %
	assert_int_equal(h.status, 503);
	assert_int_equal(h.retry_after, 10);
	assert_non_null(strstr(h.body, "overloaded"));
	http_done(&h);
	assert_int_equal(world_counts().participants, 2);
	conn_do(&b, "{ss}", "type", "leave");
	world_advance(1500);
	h = http(CP_POST, "/whip/studio", "t-rob", "application/sdp", NULL, sdp); // to one: 2.3 %
	assert_int_equal(h.status, 201);
	http_done(&h);
	world_advance(1500);
	h = http(CP_POST, "/whep/studio", "t-eve", "application/sdp", NULL, play); // 4.6 %
	assert_int_equal(h.status, 503);
	assert_int_equal(h.retry_after, 10);
	http_done(&h);
	free(sdp);
	free(play);
}

/* Placed: both parties may join and publish, though in the meantime it got full. */
static void a_call_is_weighed_when_it_is_placed(void **unused)
{
	json_t *r;

	admission(4, &costs_out);
	conn_refused(&a, "overloaded", "{ss ss ss}", "type", "call", "to", "bob", "media",
	             "video"); // 4.6 %
	assert_int_equal(world_counts().calls, 0);
	conn_silent(&b);
	r = conn_ok(&a, "{ss ss ss}", "type", "call", "to", "bob", "media", "audio");
	conn_forget(&a);
	conn_forget(&b);
	conn_do(&b, "{ss ss}", "type", "accept", "call", text_at(r, "call"));
	works(0, 0.9, 10);
	conn_refused(&c, "overloaded", "{ss ss}", "type", "join", "room", "kitchen");
	join(&a, text_at(r, "room"));
	join(&b, text_at(r, "room"));
	conn_forget(&a);
	conn_forget(&b);
	publish(&a, &b, NULL);
	assert_int_equal(world_counts().tracks, 2);
	json_decref(r);
}

/* The tables of the dataplane have an end too. */
static void full_tables_refuse_whole(void **unused)
{
	struct sh_msg_e_hello *h = (struct sh_msg_e_hello *)cp_plane_hello(world.plane);

	admission(80, NULL);
	h->max_endpoints = 3;
	join(&a, "kitchen");
	publish(&a, NULL, NULL);
	join(&b, "kitchen");
	conn_forget(&a);
	conn_do(&b, "{ss}", "type", "leave");
	conn_forget(&a);
	json_decref(conn_ok(&b, "{ss ss}", "type", "join", "room", "garden"));
	h->max_endpoints = 2;
	conn_refused(&c, "overloaded", "{ss ss}", "type", "join", "room", "kitchen");
	assert_non_null(strstr(cp_admission_why(world.calls), "max_endpoints"));
}

/* One slot of each kind: whoever comes costs 2.3 %, however many there are. */
static void slots_keep_a_large_room_cheap(void **unused)
{
	world.calls->limits.direct_max = 1;
	world.calls->limits.audio_slots = world.calls->limits.video_slots = 1;
	admission(9, &costs_out);
	join(&a, "hall");
	publish(&a, NULL, NULL);
	join(&b, "hall");
	publish(&b, &a, NULL);
	conn_forget(&b);
	world_advance(1500);
	assert_false(TAILQ_EMPTY(&conn_party(&a)->room->slots));
	assert_true(percent("model", 0) > 4.5 && percent("model", 0) < 4.7);
	join(&c, "hall");
	publish(&c, &a, &b);
	world_advance(1500);
	assert_true(percent("model", 0) > 6.8 && percent("model", 0) < 7.0);
	conn_refused(&d, "overloaded", "{ss ss}", "type", "join", "room", "hall"); // 9.2 %
}

/* A packet that is told of costs as much again; who does not tell is known by what was negotiated. */
static void listeners_count_with_their_feedback(void **unused)
{
	struct sh_cost_model told = costs_out;
	const struct cp_endpoint *e;
	struct sh_endpoint *s;

	told.track = 100;
	admission(100, &told);
	join(&a, "kitchen");
	publish(&a, NULL, NULL);
	join(&b, "kitchen");
	conn_forget(&a);
	world_advance(2000);
	assert_true(percent("model", 0) > 4.5 && percent("model", 0) < 4.7);
	e = conn_party(&b)->endpoint[CP_SUBSCRIBE];
	s = &slabs.endpoint[SH_ID_INDEX(e->id)];
	s->set.id = e->id;
	world_advance(2000);
	assert_true(percent("model", 0) > 2.2 && percent("model", 0) < 2.4);
	s->set.flags = SH_EP_TWCC;
	s->set.ext_id[SH_EXT_TWCC] = 3;
	world_advance(2000);
	assert_true(percent("model", 0) > 4.5 && percent("model", 0) < 4.7);
}

/* What was measured of another mapping says nothing of this one. */
static void slabs_of_another_dataplane_are_not_read(void **unused)
{
	slabs.head->slab_epoch++;
	admission(50, NULL);
	works(0, 1, 5);
	assert_true(percent("measured", 0) == 0);
	slabs.head->slab_epoch--;
	works(0, 1, 5);
	assert_true(percent("measured", 0) > 80);
}

static void the_least_used_worker_is_chosen(void **unused)
{
	struct sh_msg_e_hello *h = (struct sh_msg_e_hello *)cp_plane_hello(world.plane);

	h->workers = 2;
	slabs.head->workers = 2;
	admission(80, &costs_out);
	for (int i = 0; i < 8; i++) {
		works(0, 0.6, 1);
		slabs.head->stats[1].idle_cycles += 1000000000;
	}
	join(&a, "kitchen");
	publish(&a, NULL, NULL);
	assert_int_equal(conn_party(&a)->endpoint[CP_PUBLISH]->worker, 1);
	join(&b, "kitchen");
	publish(&b, &a, NULL);
	assert_int_equal(conn_party(&b)->endpoint[CP_SUBSCRIBE]->worker, 1);
	assert_int_equal(world.calls->load[0], 0);
	/* about equally used: the fewest transports */
	for (int i = 0; i < 12; i++) {
		slabs.head->stats[1].busy_cycles += 600000000;
		slabs.head->stats[1].idle_cycles += 400000000;
		works(0, 0.6, 1);
	}
	join(&c, "garden");
	publish(&c, NULL, NULL);
	assert_int_equal(conn_party(&c)->endpoint[CP_PUBLISH]->worker, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(the_third_is_one_too_many),
	    T(a_publication_is_weighed_with_those_who_will_have_it),
	    T(a_subscription_is_weighed_and_all_or_nothing),
	    T(without_a_model_what_is_measured_counts),
	    T(the_larger_of_both_counts),
	    T(rates_are_learned),
	    T(whip_and_whep_hear_when_to_come_again),
	    T(a_call_is_weighed_when_it_is_placed),
	    T(full_tables_refuse_whole),
	    T(slots_keep_a_large_room_cheap),
	    T(listeners_count_with_their_feedback),
	    T(slabs_of_another_dataplane_are_not_read),
	    T(the_least_used_worker_is_chosen),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
