/* Transactions: records that are refused, and a ring that is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "controlplane/plane/plane_fixture.h"
#include "tests/fakes/samples.h"

struct refusal {
	unsigned type;
	sh_id id;
	int error;
	unsigned times; // then no more
};

static int refuse(const struct fake_record *r, void *arg)
{
	struct refusal *f = arg;
	sh_id id;

	memcpy(&id, r->body, sizeof(id));
	if (r->type != f->type || id != f->id || f->times == 0)
		return 0;
	f->times--;
	return f->error;
}

static void one_bad_record_stops_only_itself(void **state)
{
	connect_all();
	sh_id a = add_endpoint(true), bad = add_endpoint(true), ta = add_track(a),
	      tbad = add_track(bad);
	sh_id s1 = add_sub(ta, bad);
	add_sub(tbad, a);
	struct refusal f = {SH_MSG_ENDPOINT_SET, bad, -EINVAL, 1000};
	w.dp.refuse = refuse;
	w.dp.arg = &f;
	settle();
	assert_int_equal(w.refusals, 1);
	assert_int_equal(w.refused_what, SH_DEL_ENDPOINT);
	assert_int_equal(w.refused_id, bad);
	assert_int_equal(w.refused_error, -EINVAL);
	assert_int_equal(w.dp.refusals, 1); // what hangs on it was not even tried
	assert_int_equal(entries(), 2);
	assert_int_equal(w.dp.now.keys[SH_ID_INDEX(a)].profile, SH_SRTP_AEAD_AES_128_GCM);
	/* More hangs on it later; then it becomes acceptable, by being set to something else. */
	struct sh_msg_sub_set u = sample_sub(s1, ta, bad);
	u.flags |= SH_SUB_PAUSED;
	assert_int_equal(cp_plane_sub_set(w.p, &u), 0);
	add_track(bad);
	settle();
	assert_int_equal(entries(), 2);
	assert_int_equal(w.dp.refusals, 1);
	f.times = 0;
	struct sh_msg_endpoint_set e = sample_endpoint(bad);
	e.rtcp_ssrc = 4;
	assert_int_equal(cp_plane_endpoint_set(w.p, &e), 0);
	settle();
	assert_same();
	assert_int_equal(entries(), 7);
	assert_int_equal(w.dp.refusals, 1);
}

static void refused_then_deleted(void **state)
{
	connect_all();
	sh_id bad = add_endpoint(true);
	add_track(bad);
	struct refusal f = {SH_MSG_ENDPOINT_KEYS, bad, -EINVAL, 1};
	w.dp.refuse = refuse;
	w.dp.arg = &f;
	settle();
	assert_int_equal(w.refused_id, bad);
	assert_int_equal(cp_plane_del(w.p, SH_DEL_ENDPOINT, bad), 0);
	add_endpoint(true);
	settle();
	assert_same();
	assert_int_equal(w.dp.refusals, 1); // no DEL of what never arrived
}

/* A ticket is good once the transaction that carries what was set until then was applied. */
static void tickets(void **state)
{
	struct refusal f = {SH_MSG_ENDPOINT_SET, 0, -EINVAL, 1};
	struct sh_msg_endpoint_set m;
	uint64_t t;
	sh_id id;

	connect_all();
	id = add_endpoint(false);
	t = cp_plane_ticket(w.p, SH_DEL_ENDPOINT, id);
	assert_true(t && !cp_plane_told(w.p, t));
	cp_plane_flush(w.p); // on its way
	assert_true(cp_plane_ticket(w.p, SH_DEL_ENDPOINT, id) == t && !cp_plane_told(w.p, t));
	m = sample_endpoint(id);
	m.rtcp_ssrc++;
	assert_int_equal(cp_plane_endpoint_set(w.p, &m), 0); // the next one's
	assert_true(cp_plane_ticket(w.p, SH_DEL_ENDPOINT, id) == t + 1);
	settle();
	assert_true(cp_plane_told(w.p, t + 1));
	assert_int_equal(cp_plane_ticket(w.p, SH_DEL_ENDPOINT, id), 0);
	assert_int_equal(cp_plane_ticket(w.p, SH_DEL_ENDPOINT, SH_ID(999, 1)), 0);
	m.rtcp_ssrc++;
	assert_int_equal(cp_plane_endpoint_set(w.p, &m), 0);
	f.id = add_endpoint(false); // of the same transaction, which is refused for it
	w.dp.refuse = refuse;
	w.dp.arg = &f;
	t = cp_plane_ticket(w.p, SH_DEL_ENDPOINT, id);
	assert_false(cp_plane_told(w.p, t));
	settle();
	assert_true(cp_plane_told(w.p, t));
	assert_int_equal(w.p->counts.commits_refused, 1);
	fake_dp_kill(&w.dp);
	settle();
	m.rtcp_ssrc++;
	assert_int_equal(cp_plane_endpoint_set(w.p, &m), 0);
	assert_int_equal(cp_plane_ticket(w.p, SH_DEL_ENDPOINT, id), 0); // nobody to wait for
	assert_true(cp_plane_told(w.p, t + 1000));
}

static void deleted_while_refused(void **state)
{
	connect_all();
	sh_id bad = add_endpoint(true), good = add_endpoint(true);
	struct refusal f = {SH_MSG_ENDPOINT_SET, good, -EINVAL, 1};
	w.dp.refuse = refuse;
	w.dp.arg = &f;
	cp_plane_flush(w.p); // in the ring, unanswered
	assert_int_equal(cp_plane_del(w.p, SH_DEL_ENDPOINT, bad), 0);
	assert_int_equal(cp_plane_del(w.p, SH_DEL_ENDPOINT, good), 0);
	settle();
	assert_int_equal(entries(), 0);
	assert_int_equal(w.dp.refusals, 1);
	assert_same();
}

static void unknown_deletion_is_done(void **state)
{
	connect_all();
	sh_id a = add_endpoint(true);
	settle();
	memset(&w.dp.now, 0, sizeof(w.dp.now)); // lost it, somehow
	assert_int_equal(cp_plane_del(w.p, SH_DEL_ENDPOINT, a), 0);
	sh_id b = add_endpoint(true);
	settle();
	assert_int_equal(w.dp.refusals, 1);
	assert_int_equal(w.refusals, 0);
	assert_int_equal(w.dp.now.endpoint[SH_ID_INDEX(b)].id, b);
	assert_int_equal(w.p->ids[SH_DEL_ENDPOINT].slot[SH_ID_INDEX(a)].free, true);
}

static void busy_is_tried_again(void **state)
{
	connect_all();
	sh_id a = add_endpoint(true);
	struct refusal f = {SH_MSG_ENDPOINT_SET, a, -EBUSY, 5};
	w.dp.refuse = refuse;
	w.dp.arg = &f;
	settle();
	for (int i = 0; i < 20; i++)
		settle();
	assert_int_equal(w.refusals, 0);
	assert_int_equal(w.dp.refusals, 5);
	assert_same();
	f.times = 1000; // but not for ever
	f.id = add_endpoint(true);
	for (int i = 0; i < 200; i++)
		settle();
	assert_int_equal(w.refusals, 1);
	assert_int_equal(w.refused_error, -EBUSY);
}

static void refused_as_a_whole(void **state)
{
	connect_all();
	struct sh_msg_committed m = {.error = -EPROTO, .record = 1000};
	w.dp.mute = true;
	add_endpoint(true);
	settle();
	m.txn = w.p->txn.number + 1;
	assert_true(fake_dp_event(&w.dp, SH_MSG_COMMITTED, &m,
	                          sizeof(m))); // answers something else: ignored
	settle();
	assert_true(cp_plane_up(w.p));
	m.txn--;
	assert_true(fake_dp_event(&w.dp, SH_MSG_COMMITTED, &m, sizeof(m)));
	w.dp.mute = false;
	turn();
	assert_int_equal(w.downs, 1);
	cp_plane_tick(w.p, w.now += 2000 * MS);
	settle();
	assert_int_equal(w.ups, 2); // from nothing
	assert_same();
}

static void nothing_is_lost_by_a_full_ring(void **state)
{
	static sh_id id[600];

	connect_all();
	w.dp.deaf = true;
	for (int i = 0; i < 300; i++)
		id[i] = add_endpoint(true);
	for (int i = 0; i < 50; i++)
		turn();
	struct cp_plane_counts n;
	cp_plane_counts(w.p, &n);
	assert_true(n.ring_full > 0);
	assert_true(cp_plane_wait(w.p, w.now) <= 10 * MS);
	assert_true(cp_plane_tick(w.p, w.now) <= 10 * MS); // wants to be called soon
	/* Changes and deletions of what was sent, of what waits, and of what comes later. */
	for (int i = 0; i < 300; i += 3)
		assert_int_equal(cp_plane_del(w.p, SH_DEL_ENDPOINT, id[i]), 0);
	for (int i = 1; i < 300; i += 3) {
		struct sh_msg_endpoint_set m = sample_endpoint(id[i]);
		m.rtcp_ssrc = (uint32_t)i;
		assert_int_equal(cp_plane_endpoint_set(w.p, &m), 0);
	}
	for (int i = 300; i < 600; i++)
		id[i] = add_endpoint(i & 1);
	uint32_t number = 7;
	assert_int_equal(cp_plane_tx_packet(w.p, id[1], (uint8_t *)&number, 4), 0);
	w.dp.deaf = false;
	w.dp.read_max = 3;
	settle();
	assert_same();
	assert_int_equal(entries(), 500);
	assert_int_equal(w.dp.refusals, 0);
	assert_int_equal(w.dp.packets, 1);
}

/* An endpoint whose body is in the ring and whose keys are not, deleted at that moment. */
static void deleted_between_body_and_keys(void **state)
{
	uint8_t data[240] = {0};
	unsigned met = 0;

	connect_all();
	sh_id first = add_endpoint(false);
	settle();
	for (size_t shift = 1; shift <= sizeof(data); shift += 24) {
		w.dp.deaf = true;
		assert_int_equal(cp_plane_tx_packet(w.p, first, data, shift),
		                 0); // moves where it stops
		for (int i = 0; i < 40; i++)
			add_endpoint(true);
		cp_plane_flush(w.p);
		struct cp_entry *e = TAILQ_FIRST(&w.p->txn.todo[SH_DEL_ENDPOINT]);
		assert_non_null(e);
		met += e->sent == CP_DIRTY_SET;
		assert_int_equal(cp_plane_del(w.p, SH_DEL_ENDPOINT, e->id), 0);
		w.dp.deaf = false;
		settle();
		assert_same();
	}
	assert_true(met > 0);
	assert_int_equal(w.dp.refusals, 0);
}

static void packets_keep_their_order(void **state)
{
	connect_all();
	sh_id a = add_endpoint(true), t = add_track(a);
	uint8_t data[SH_PACKET_MAX + 1] = {0};
	settle();
	assert_int_equal(cp_plane_tx_packet(w.p, a, data, 0), -EINVAL);
	assert_int_equal(cp_plane_tx_packet(w.p, a, data, sizeof(data)), -EINVAL);
	assert_int_equal(cp_plane_tx_packet(w.p, a + 1, data, 10), -ESTALE);
	assert_int_equal(cp_plane_keyframe(w.p, t), 0);
	assert_int_equal(cp_plane_keyframe(w.p, a + 50), -ESTALE);
	w.dp.deaf = true;
	uint32_t accepted = 0;
	for (uint32_t i = 0; i < 2000; i++) {
		memcpy(data, &accepted, 4);
		int err = cp_plane_tx_packet(w.p, a, data, 4 + i % 1400);
		assert_true(err == 0 || err == -ENOBUFS);
		accepted += err == 0;
	}
	assert_true(accepted > CP_WAITING_MAX && accepted < 1200);
	w.dp.deaf = false;
	settle();
	assert_int_equal(w.dp.packets, accepted);
	for (uint32_t i = 0; i < accepted; i++)
		assert_int_equal(w.dp.packet_number[i], i);
	assert_int_equal(w.dp.keyframes, 1);
	fake_dp_kill(&w.dp);
	settle();
	assert_int_equal(cp_plane_tx_packet(w.p, a, data, 4), -ENOTCONN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(one_bad_record_stops_only_itself),
	    T(refused_then_deleted),
	    T(tickets),
	    T(deleted_while_refused),
	    T(unknown_deletion_is_done),
	    T(busy_is_tried_again),
	    T(refused_as_a_whole),
	    SMALL(nothing_is_lost_by_a_full_ring),
	    SMALL(deleted_between_body_and_keys),
	    SMALL(packets_keep_their_order),
	};

	sh_log_levels("error,plane=error");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
