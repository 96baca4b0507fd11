/* Rounds over counters that the test moves as workers do: what a stream's second was, what of it is
 * told, and that a daemon that does not read holds nobody up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "dataplane/event.h"
#include "dataplane/quality.h"
#include "dataplane/srtp/srtp.h"
#include "dataplane/table/table.h"
#include "shared/msg.h"

enum { ENDPOINTS = 8, TRACKS = 8, SUBS = 512, CAPACITY = 16384 };
#define SECOND UINT64_C(1000000000)

static _Alignas(64) uint8_t mem[CAPACITY + 4096];
static struct sh_ring_end tx, rx;
static char path[64];
static uint64_t now, txn;
static uint32_t staged;
static struct sh_quality_row rows[2048];
static unsigned n_rows;

static void no_wait(void *arg)
{
}

static void record(unsigned type, const void *body, uint32_t len)
{
	assert_int_equal(sh_msg_check(type, body, len), 0);
	dp_stage_record(type, body, len);
	staged++;
}

static void begin(void)
{
	staged = 0;
	dp_stage_begin(++txn);
}

static void commit(void)
{
	struct sh_msg_commit c = {.txn = txn, .records = staged};
	struct sh_msg_committed out;

	dp_stage_commit(&c, &out);
	assert_int_equal(out.error, 0);
}

static void endpoint(uint32_t i, unsigned worker, uint32_t owner)
{
	struct sh_msg_endpoint_set m = {.id = SH_ID(i, 1),
	                                .worker = (uint8_t)worker,
	                                .ufrag_len = 4,
	                                .pwd_len = 24,
	                                .rtcp_ssrc = 1000 + i,
	                                .owner = owner,
	                                .cname_len = 1,
	                                .cname = "c"};

	snprintf((char *)m.ufrag, sizeof(m.ufrag), "uf%02u", i);
	memset(m.pwd, 'p', m.pwd_len);
	record(SH_MSG_ENDPOINT_SET, &m, sizeof(m));
}

static void track(uint32_t i, uint32_t ep, uint8_t kind, uint8_t codec, uint32_t hz)
{
	struct sh_msg_track_set m = {.id = SH_ID(i, 1),
	                             .endpoint = SH_ID(ep, 1),
	                             .kind = kind,
	                             .layers = 1,
	                             .mid_len = 1,
	                             .mid = {(uint8_t)('a' + i)}};

	for (unsigned k = 0; k < SH_MAX_PTS; k++)
		m.pt[k] = (struct sh_track_pt){.pt = 255, .apt_slot = 255};
	m.pt[0] = (struct sh_track_pt){.pt = 100, .codec = codec, .apt_slot = 255, .clock_hz = hz};
	m.pt[1] = (struct sh_track_pt){
	    .pt = 126, .codec = SH_CODEC_TEL_EVENT, .apt_slot = 255, .clock_hz = hz};
	record(SH_MSG_TRACK_SET, &m, sizeof(m));
}

static void sub(uint32_t i, uint32_t t, uint32_t ep)
{
	struct sh_msg_sub_set m = {.id = SH_ID(i, 1),
	                           .track = SH_ID(t, 1),
	                           .endpoint = SH_ID(ep, 1),
	                           .ssrc = 5000 + i,
	                           .mid_len = 1,
	                           .mid = "s"};

	memset(m.pt, 255, sizeof(m.pt));
	m.pt[0] = 100;
	record(SH_MSG_SUB_SET, &m, sizeof(m));
}

/* Endpoint 0 publishes audio 0 (Opus) and video 1; endpoint 1, on the other worker, takes both, and
 * publishes audio 2. */
static int setup(void **state)
{
	struct dp_table_cfg cfg = {
	    .workers = 2, .backend = dp_srtp_backend_find("libsrtp2"), .wait = no_wait};
	bool created;

	snprintf(path, sizeof(path), "/tmp/quality_test.%d", getpid());
	unlink(path);
	assert_int_equal(sh_slabs_create(&dp_slabs, path, ENDPOINTS, TRACKS, SUBS, &created), 0);
	assert_int_equal(dp_table_init(&cfg), 0);
	assert_int_equal(dp_event_init(), 0);
	assert_int_equal(dp_quality_init(2), 0);
	memset(mem, 0, sizeof(mem));
	assert_int_equal(sh_ring_attach(&tx, mem, CAPACITY), 0);
	assert_int_equal(sh_ring_attach(&rx, mem, CAPACITY), 0);
	dp_event_link(&tx);
	now = 100 * SECOND;
	begin();
	endpoint(0, 0, 7);
	endpoint(1, 1, 8);
	track(0, 0, SH_KIND_AUDIO, SH_CODEC_OPUS, 48000);
	track(1, 0, SH_KIND_VIDEO, SH_CODEC_VP8, 90000);
	track(2, 1, SH_KIND_AUDIO, SH_CODEC_PCMU, 8000);
	sub(0, 0, 1);
	sub(1, 1, 1);
	commit();
	return 0;
}

static int teardown(void **state)
{
	dp_quality_free();
	dp_event_free();
	dp_table_free();
	sh_slabs_close(&dp_slabs);
	return unlink(path);
}

static void take(void)
{
	static union {
		_Alignas(8) uint8_t bytes[4096];
		struct sh_msg_quality m;
	} body;
	struct sh_rec hdr;

	n_rows = 0;
	while (sh_ring_take(&rx, &hdr, body.bytes, sizeof(body)) == 0) {
		assert_int_equal(hdr.type, SH_MSG_QUALITY);
		assert_int_equal(sh_msg_check(hdr.type, body.bytes, hdr.len), 0);
		memcpy(&rows[n_rows], body.m.row, body.m.rows * sizeof(rows[0]));
		n_rows += body.m.rows;
	}
}

/* A second passes; the round's rows are in rows[]. */
static void round_once(unsigned most)
{
	unsigned steps = 0;

	now += SECOND;
	dp_quality_begin(now);
	while (dp_quality_step(now, most))
		assert_true(++steps < 10000);
	assert_false(dp_quality_step(now, most));
}

static void second(void)
{
	round_once(3);
	take();
}

static const struct sh_quality_row *row_of(uint8_t what, uint32_t index)
{
	for (unsigned i = 0; i < n_rows; i++)
		if (rows[i].what == what && SH_ID_INDEX(rows[i].id) == index)
			return &rows[i];
	return NULL;
}

/* n packets of 100 bytes were sent to us, `lost` of them not received, `again` of these (or of
 * older ones) by RTX. */
static void in(uint32_t t, uint32_t n, uint32_t lost, uint32_t again)
{
	struct sh_rx_stream *s = &dp_slabs.track[t].media[0];

	if (!s->ssrc) {
		s->ssrc = 77 + t;
		s->clock_hz = dp_slabs.track[t].set.pt[0].clock_hz;
		s->base_ext_seq = s->max_ext_seq = 500;
		s->packets = s->received = 1;
	}
	s->max_ext_seq += n;
	s->packets += n - lost;
	s->received += n - lost;
	s->bytes += (n - lost) * 100;
	s->recovered += again;
}

static void of_what_we_receive(void **state)
{
	struct sh_rx_stream *a, *v;
	const struct sh_quality_row *r;
	const struct sh_quality *q = dp_slabs.track[0].quality;

	in(0, 50, 0, 0);
	in(1, 300, 0, 0);
	a = dp_slabs.track[0].media;
	v = dp_slabs.track[1].media;
	second(); // the first look at a stream has nothing to compare with
	assert_int_equal(n_rows, 0);
	in(0, 50, 0, 0);
	a->jitter_q4 = 240 << 4; // 5 ms
	in(1, 300, 30, 29);
	v->jitter_q4 = 900 << 4;
	v->frames += 24;
	second();
	assert_int_equal(n_rows, 2);
	r = row_of(SH_QUALITY_TRACK, 0);
	assert_non_null(r);
	assert_int_equal(r->bps, 50 * 100 * 8);
	assert_int_equal(r->lost, 0);
	assert_int_equal(r->jitter_ms, 5);
	assert_int_equal(r->rtt_ms, 0);
	assert_int_equal(r->mos, 44);
	assert_int_equal(q->codec, SH_CODEC_OPUS);
	assert_int_equal(q->jitter_us, 5000);
	assert_int_equal(q->at_ns, now);
	r = row_of(SH_QUALITY_TRACK, 1);
	assert_int_equal(r->lost, 0); // one of 300: below 1/256
	assert_int_equal(r->mos, 0);
	assert_int_equal(r->jitter_ms, 10);
	assert_int_equal(dp_slabs.track[1].quality[0].fps, 24);

	in(0, 50, 5, 0); // a tenth
	a->pt_slot = 1;  // the last one was a digit
	in(1, 300, 30, 0);
	second();
	r = row_of(SH_QUALITY_TRACK, 0);
	assert_int_equal(r->lost, 25);
	assert_in_range(r->mos, 30, 33);
	assert_int_equal(q->codec, SH_CODEC_OPUS);
	assert_int_equal(row_of(SH_QUALITY_TRACK, 1)->lost, 25);
	in(1, 300, 30, 60); // the last second's were on their way: none of all is lost
	second();
	assert_int_equal(n_rows, 1); // audio was silent
	assert_int_equal(q->at_ns, now - SECOND);
	assert_int_equal(row_of(SH_QUALITY_TRACK, 1)->lost, 0);
	in(1, 300, 45, 0); // 30 of these were late for their second, so they made up for it
	second();
	assert_int_equal(row_of(SH_QUALITY_TRACK, 1)->lost, (15 << 8) / 300);
	in(1, 300, 30, 0);
	second();
	assert_int_equal(row_of(SH_QUALITY_TRACK, 1)->lost, 25);
	assert_int_equal(dp_slabs.head->quality[0][SH_QUALITY_IN].lost, 5 + 1 + 30 + 15 + 30);
	assert_int_equal(dp_slabs.head->quality[0][SH_QUALITY_IN].packets, 100 + 5 * 300);
	assert_int_equal(dp_slabs.head->quality[0][SH_QUALITY_IN].streams, 1);
	assert_int_equal(dp_slabs.head->quality[1][SH_QUALITY_IN].streams, 0);
	// another SSRC, or another beginning: no window reaches over it
	v->ssrc++;
	v->max_ext_seq = 40000;
	second();
	assert_int_equal(n_rows, 0);
	in(1, 10, 0, 0);
	v->base_ext_seq = 900;
	second();
	assert_int_equal(n_rows, 0);
	in(1, 10, 0, 0);
	second();
	assert_int_equal(n_rows, 1);
	assert_int_equal(rows[0].lost, 0);
}

static void of_what_subscribers_report(void **state)
{
	struct sh_sub *s = dp_slabs.sub;
	const struct sh_quality_row *r;

	in(0, 50, 0, 0);
	in(2, 50, 0, 0);
	dp_slabs.track[2].media[0].jitter_q4 = 0;
	s[0].packets = 50;
	second();
	for (unsigned i = 0; i < 2; i++) {
		in(0, 50, 0, 0);
		in(2, 50, 0, 0);
		s[0].packets += 50;
		s[0].bytes += 4000;
		second();
	}
	r = row_of(SH_QUALITY_SUB, 0);
	assert_non_null(r);
	assert_int_equal(r->bps, 32000);
	assert_int_equal(r->mos, 0); // no report yet
	assert_null(row_of(SH_QUALITY_SUB, 1));
	s[0].rr_at_ns = now;
	s[0].rr_fraction = 26;
	s[0].rr_lost = 5;
	s[0].rr_jitter = 480; // 10 ms at 48 kHz
	s[0].rr_rtt_us = 80000;
	in(0, 50, 0, 0);
	in(2, 50, 0, 0);
	s[0].packets += 50;
	second();
	r = row_of(SH_QUALITY_SUB, 0);
	assert_int_equal(r->lost, 26);
	assert_int_equal(r->jitter_ms, 10);
	assert_int_equal(r->rtt_ms, 80);
	assert_in_range(r->mos, 30, 33);
	assert_int_equal(s[0].quality.codec, SH_CODEC_OPUS);
	assert_int_equal(dp_slabs.head->quality[1][SH_QUALITY_OUT].lost, 5);
	// what the same client publishes is as far away
	in(0, 50, 0, 0);
	in(2, 50, 0, 0);
	s[0].packets += 50;
	second();
	assert_int_equal(row_of(SH_QUALITY_TRACK, 2)->rtt_ms, 80);
	assert_int_equal(row_of(SH_QUALITY_TRACK, 0)->rtt_ms, 0);
	// a report that is long ago says nothing
	for (unsigned i = 0; i < 11; i++) {
		s[0].packets += 50;
		in(2, 50, 0, 0);
		second();
	}
	r = row_of(SH_QUALITY_SUB, 0);
	assert_int_equal(r->lost, 0);
	assert_int_equal(r->mos, 0);
	assert_int_equal(row_of(SH_QUALITY_TRACK, 2)->rtt_ms, 0);
	// waiting for a key frame: layer 255 is no layer of a row
	s[0].layer = 255;
	s[0].packets += 50;
	second();
	assert_int_equal(row_of(SH_QUALITY_SUB, 0)->layer, 0);
}

static uint64_t dropped(void)
{
	return dp_slabs.head->stats[SH_MAX_WORKERS].v[SH_STAT_quality_dropped];
}

/* 500 subscriptions make 8 messages of 1 KiB, half of the ring is 8 KiB: not all of them fit when
 * nobody reads. */
static void a_slow_reader(void **state)
{
	static uint8_t told[SUBS];
	uint64_t n;

	begin();
	for (uint32_t ep = 2; ep < 6; ep++)
		endpoint(ep, 0, 0);
	for (uint32_t i = 2; i < 502; i++)
		sub(i, 0, 2 + i % 4);
	commit();
	for (unsigned k = 0; k < 2; k++) {
		in(0, 50, 0, 0);
		for (unsigned i = 0; i < 502; i++)
			dp_slabs.sub[i].packets += 50;
		round_once(100);
	}
	n = dropped();
	assert_in_range(n, 1, 400);
	for (unsigned i = 2; i < 502; i++) // the slabs have them all
		assert_int_equal(dp_slabs.sub[i].quality.at_ns, now);
	assert_int_equal(dp_slabs.head->quality[0][SH_QUALITY_OUT].streams, 500);
	// others still have room: half of the ring
	for (unsigned i = 0; i < CAPACITY / 2 / 64; i++)
		assert_int_equal(dp_event_reply(SH_MSG_COMMITTED, &(struct sh_msg_committed){0},
		                                sizeof(struct sh_msg_committed)),
		                 0);
	assert_false(dp_event_blocked());
	while (rx.pos != tx.pos) {
		struct sh_rec hdr;
		static _Alignas(8) uint8_t body[4096];

		assert_int_equal(sh_ring_take(&rx, &hdr, body, sizeof(body)), 0);
	}
	// who was left out comes first next time, so that all are told in turn
	for (unsigned k = 0; k < 4; k++) {
		in(0, 50, 0, 0);
		for (unsigned i = 0; i < 502; i++)
			dp_slabs.sub[i].packets += 50;
		round_once(100);
		take();
		for (unsigned i = 0; i < n_rows; i++)
			if (rows[i].what == SH_QUALITY_SUB)
				told[SH_ID_INDEX(rows[i].id)] = 1;
	}
	for (unsigned i = 0; i < 502; i++)
		if (i != 1)
			assert_true(told[i]);
	// nobody listens: nothing is counted as lost to them
	n = dropped();
	dp_event_link(NULL);
	for (unsigned i = 0; i < 502; i++)
		dp_slabs.sub[i].packets += 50;
	round_once(100);
	assert_int_equal(dropped(), n);
	assert_int_equal(dp_slabs.sub[7].quality.at_ns, now);
}

static void entries_that_change(void **state)
{
	in(0, 50, 0, 0);
	second();
	dp_quality_begin(now += SECOND);
	assert_true(dp_quality_step(now, 1));
	begin();
	record(SH_MSG_DEL, &(struct sh_msg_del){.id = SH_ID(0, 1), .what = SH_DEL_ENDPOINT},
	       sizeof(struct sh_msg_del));
	record(SH_MSG_DEL, &(struct sh_msg_del){.id = SH_ID(1, 1), .what = SH_DEL_ENDPOINT},
	       sizeof(struct sh_msg_del));
	commit();
	assert_false(dp_quality_step(now, 1)); // in the middle of a round
	second();
	assert_int_equal(n_rows, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(of_what_we_receive, setup, teardown),
	    cmocka_unit_test_setup_teardown(of_what_subscribers_report, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_slow_reader, setup, teardown),
	    cmocka_unit_test_setup_teardown(entries_that_change, setup, teardown),
	};

	return cmocka_run_group_tests_name("quality", tests, NULL, NULL);
}
