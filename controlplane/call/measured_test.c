/* What the dataplane says of streams: kept by track and subscription, summed up, named; and ids
 * that are gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "tests/fakes/call_world.h"

static struct cp_conn a, b;

static void sums(void **state)
{
	struct cp_measured q = {0};
	struct sh_quality_row r = {
	    .what = SH_QUALITY_TRACK, .lost = 64, .mos = 42, .bps = 32000, .jitter_ms = 7};
	json_t *o = cp_measured_json(&q, 0);

	assert_true(json_is_null(o));
	json_decref(o);
	assert_false(cp_measured_fresh(&q, 1));
	cp_measured_add(&q, &r, 1000000000);
	r.mos = 0; // not known: in no average
	r.lost = 0;
	cp_measured_add(&q, &r, 2000000000);
	r.mos = 30;
	r.lost = 128;
	r.rtt_ms = 90;
	cp_measured_add(&q, &r, 3000000000);
	r.mos = 36;
	r.lost = 0;
	cp_measured_add(&q, &r, 4000000000);
	assert_int_equal(q.seconds, 4);
	assert_int_equal(q.mos_seconds, 3);
	assert_int_equal(q.mos_worst, 30);
	assert_int_equal(q.lost_worst, 128);
	assert_true(cp_measured_fresh(&q, 5000000000));
	assert_false(cp_measured_fresh(&q, 7000000001));
	o = cp_measured_json(&q, 5000000000);
	assert_true(json_is_true(json_object_get(o, "live")));
	assert_true(json_number_value(json_object_get(o, "mos")) == 3.6);
	assert_true(json_number_value(json_object_get(o, "mos_average")) == 3.6);
	assert_true(json_number_value(json_object_get(o, "mos_worst")) == 3.0);
	assert_true(json_number_value(json_object_get(o, "loss")) == 0);
	assert_true(json_number_value(json_object_get(o, "loss_average")) == 18.75);
	assert_true(json_number_value(json_object_get(o, "loss_worst")) == 50);
	assert_int_equal(json_integer_value(json_object_get(o, "rtt_ms")), 90);
	json_decref(o);
}

static struct cp_track *first_track(const struct cp_conn *c)
{
	return TAILQ_FIRST(&conn_party(c)->tracks);
}

static void events(void **state)
{
	struct sh_msg_quality m = {.rows = 4};
	struct cp_track *t;
	struct cp_sub *s;
	json_t *o, *rooms, *who, *ids;
	sh_id gone;

	world_open(false);
	conn_login(&a, "ann", NULL);
	conn_login(&b, "bob", NULL);
	json_decref(conn_ok(&a, "{ss ss sb}", "type", "join", "room", "kitchen", "auto", 1));
	json_decref(conn_ok(&b, "{ss ss sb}", "type", "join", "room", "kitchen", "auto", 1));
	conn_publish(&a, NULL, NULL);
	conn_skip(&b, "track_added");
	conn_skip(&b, "track_added");
	(void)conn_answer(&b);
	t = first_track(&a);
	s = TAILQ_FIRST(&t->subs);
	assert_non_null(s);
	gone = t->plane_id ^ 1u << SH_ID_INDEX_BITS; // another generation
	m.row[0] = (struct sh_quality_row){.id = t->plane_id,
	                                   .what = SH_QUALITY_TRACK,
	                                   .lost = 26,
	                                   .mos = 33,
	                                   .bps = 31000,
	                                   .jitter_ms = 4,
	                                   .rtt_ms = 50};
	m.row[1] = (struct sh_quality_row){
	    .id = s->plane_id, .what = SH_QUALITY_SUB, .mos = 44, .bps = 30000, .layer = 0};
	m.row[2] = (struct sh_quality_row){.id = gone, .what = SH_QUALITY_TRACK, .mos = 10};
	m.row[3] = (struct sh_quality_row){.id = SH_ID(900, 3), .what = SH_QUALITY_SUB, .mos = 10};
	assert_true(fake_dp_event(&world.dp, SH_MSG_QUALITY, &m, sizeof(m)));
	world_settle();
	assert_int_equal(t->measured[0].seconds, 1);
	assert_int_equal(t->measured[0].mos, 33);
	assert_int_equal(s->measured.seconds, 1);
	assert_int_equal(s->measured.mos_worst, 44);

	rooms = cp_calls_rooms_json(world.calls);
	who = json_array_get(json_object_get(json_array_get(rooms, 0), "participants"), 0);
	o = json_array_get(
	    json_object_get(json_array_get(json_object_get(who, "tracks"), 0), "quality"), 0);
	assert_int_equal(json_integer_value(json_object_get(o, "bps")), 31000);
	assert_true(json_number_value(json_object_get(o, "mos")) == 3.3);
	who = json_array_get(json_object_get(json_array_get(rooms, 0), "participants"), 1);
	o = json_array_get(json_object_get(who, "receives"), 0);
	assert_string_equal(text_at(o, "track"), t->id);
	assert_true(json_number_value(json_object_get(json_object_get(o, "quality"), "mos")) ==
	            4.4);
	json_decref(rooms);

	ids = json_pack("[II]", (json_int_t)t->plane_id, (json_int_t)gone);
	o = cp_calls_names_json(world.calls, ids, ids);
	who = json_array_get(json_object_get(o, "tracks"), 0);
	assert_string_equal(text_at(who, "room"), "kitchen");
	assert_string_equal(text_at(who, "user"), "ann");
	assert_true(json_is_null(json_array_get(json_object_get(o, "tracks"), 1)));
	assert_int_equal(json_array_size(json_object_get(o, "subs")), 2);
	json_decref(o);
	json_decref(ids);
	ids = json_pack("[Is]", (json_int_t)s->plane_id, "what");
	o = cp_calls_names_json(world.calls, NULL, ids);
	who = json_array_get(json_object_get(o, "subs"), 0);
	assert_string_equal(text_at(who, "user"), "bob");
	assert_string_equal(text_at(who, "from"), "ann");
	assert_true(json_is_null(json_array_get(json_object_get(o, "subs"), 1)));
	json_decref(o);
	json_decref(ids);

	conn_drop(&a);
	conn_drop(&b);
	world_advance(61000);
	m.rows = 2;
	memset(&m.row[2], 0, 2 * sizeof(m.row[0]));
	assert_true(
	    fake_dp_event(&world.dp, SH_MSG_QUALITY, &m, sizeof(m))); // all of them are gone
	world_settle();
	world_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sums),
	    cmocka_unit_test(events),
	};

	return cmocka_run_group_tests_name("call_measured", tests, NULL, NULL);
}
