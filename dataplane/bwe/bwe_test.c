/* The estimator over links on a virtual clock: one sender at a steady rate, feedback as a browser
 * makes it. What layers, key frames and retransmissions do to it is in tests/sim. */
#include "dataplane/bwe/bwe.h"
#include "dataplane/impair/wire.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000ull
#define S  1000000000ull
enum { ENTRIES = 1024, WAY = 4096, BYTES = 500 };

static struct {
	struct dp_bwe b;
	struct dp_twcc_sent sent[ENTRIES];
	struct dp_twcc_rx rx;
	struct dp_wire link;
	uint64_t now, out[WAY]; // packets on the way, in order
	uint16_t seq[WAY];
	uint32_t head, tail, next;
	uint64_t due[64]; // feedback on its way back
	uint8_t fb[64][1400];
	uint32_t fb_len[64], fb_head, fb_tail;
	double owed;
	bool pad, mute, still; // pads; receiver says nothing; nothing is to be sent
	double drift;          // of the receiver's clock
	uint32_t peak;
} w;

static void begin(const struct dp_wire_conf *link, const struct dp_bwe_conf *conf)
{
	memset(&w, 0, sizeof(w));
	w.now = 1000 * S;
	dp_wire_init(&w.link, link, 5);
	assert_int_equal(dp_bwe_init(&w.b, conf, w.sent, ENTRIES, w.now), 0);
	dp_bwe_expect(&w.b, true, w.now);
}

static void send(uint32_t bytes)
{
	uint64_t at[2];

	dp_bwe_sent(&w.b, w.next, bytes, w.now);
	if (dp_wire_send(&w.link, bytes, w.now, at)) {
		w.out[w.head % WAY] = at[0];
		w.seq[w.head++ % WAY] = (uint16_t)w.next;
	}
	w.next++;
}

static void back(void)
{
	struct dp_rtcp_iter all;
	struct dp_rtcp_pkt p;

	while (w.fb_tail != w.fb_head && w.due[w.fb_tail % 64] <= w.now) {
		uint32_t i = w.fb_tail++ % 64;

		assert_int_equal(dp_rtcp_first(&all, w.fb[i], w.fb_len[i], DP_RTCP_RSIZE), 0);
		while (dp_rtcp_next(&all, &p)) {
			struct dp_rtcp_twcc t;
			struct dp_rtcp_fb fb;

			assert_int_equal(dp_rtcp_fb(&fb, &p), 0);
			assert_int_equal(dp_rtcp_twcc(&t, &fb), 0);
			dp_bwe_feedback(&w.b, &t, w.now);
		}
	}
}

static void receive(void)
{
	while (w.tail != w.head && w.out[w.tail % WAY] <= w.now) {
		uint64_t at = w.out[w.tail % WAY];

		dp_twcc_rx(&w.rx, w.seq[w.tail++ % WAY], 1, BYTES,
		           (uint64_t)((double)at * (1 + w.drift)));
	}
	if (!w.mute && dp_twcc_rx_due(&w.rx, (uint64_t)((double)w.now * (1 + w.drift)))) {
		struct dp_rtcp_out o = {w.fb[w.fb_head % 64], 1400, 0};

		while (dp_twcc_rx_put(&w.rx, &o, 1, 0, (uint64_t)((double)w.now * (1 + w.drift))) >
		       0)
			;
		w.fb_len[w.fb_head % 64] = o.len;
		w.due[w.fb_head++ % 64] = w.now + w.link.conf.delay_us * 1000ull;
	}
}

/* Sends at bps, or at the estimate when that is lower or bps is 0. */
static void run(double seconds, uint32_t bps)
{
	uint64_t end = w.now + (uint64_t)(seconds * 1e9);

	for (; w.now < end; w.now += MS) {
		uint32_t rate = !bps || w.b.estimate_bps < bps ? w.b.estimate_bps : bps;

		for (w.owed += w.still ? 0 : rate / 8e3; w.owed >= BYTES; w.owed -= BYTES)
			send(BYTES);
		receive();
		back();
		dp_bwe_tick(&w.b, w.now);
		if (w.pad && w.now / MS % 5 == 0)
			for (uint32_t n = dp_bwe_probe(&w.b, w.now); n; n -= n < 300 ? n : 300)
				send(300);
		if (w.b.estimate_bps > w.peak)
			w.peak = w.b.estimate_bps;
		assert_in_range(w.b.estimate_bps, w.b.conf.min_bps, w.b.conf.max_bps);
	}
}

static void configuration(void **state)
{
	struct dp_bwe b;

	assert_int_equal(dp_bwe_init(&b, NULL, w.sent, 100, S), -EINVAL);
	assert_int_equal(
	    dp_bwe_init(&b, &(struct dp_bwe_conf){.start_bps = 1000}, w.sent, ENTRIES, S), -EINVAL);
	assert_int_equal(
	    dp_bwe_init(&b, &(struct dp_bwe_conf){.max_bps = 200000}, w.sent, ENTRIES, S), -EINVAL);
	assert_int_equal(dp_bwe_init(&b, NULL, w.sent, ENTRIES, S), 0);
	dp_bwe_sent(&b, 1, 1000, S);
	dp_bwe_tick(&b, 2 * S);
	assert_int_equal(b.estimate_bps, 0);
	dp_bwe_expect(&b, true, 2 * S);
	assert_int_equal(b.estimate_bps, 300000);
	assert_int_equal(b.bound, DP_BWE_BY_START);
	assert_int_equal(b.changed, 1);
	assert_true(sizeof(b) <= 1024);
}

/* A sender that follows the estimate finds the link's rate and does not fill its queue. */
static void fills(void **state)
{
	static const struct {
		uint32_t kbps, delay_ms, loss_ppm, jitter_ms;
	} row[] = {{300, 10, 0, 0},
	           {1000, 25, 0, 5},
	           {1000, 25, 50000, 5},
	           {3000, 150, 0, 2},
	           {8000, 50, 20000, 0}};

	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct dp_wire_conf c = {.rate_bps = row[i].kbps * 1000,
		                         .queue_bytes = row[i].kbps * 40,
		                         .delay_us = row[i].delay_ms * 1000,
		                         .loss_good_ppm = row[i].loss_ppm,
		                         .jitter_us = row[i].jitter_ms * 1000};
		uint64_t before;

		begin(&c, NULL);
		dp_bwe_needs(&w.b, 1000000, 20000000);
		w.pad = true;
		run(15, 0);
		before = w.link.bytes;
		run(30, 0);
		assert_in_range((w.link.bytes - before) * 8 / 30, c.rate_bps * 0.75,
		                c.rate_bps * 1.01);
		assert_true(w.b.rtt_us >= 2 * c.delay_us && w.b.rtt_us < 2 * c.delay_us + 250000);
		assert_in_range(w.link.full, 0, w.link.packets / 100);
	}
}

/* Little is sent, nothing shows that more would pass: the estimate stays where it was, or at what
 * arrives. */
static void application_limited(void **state)
{
	begin(&(struct dp_wire_conf){.rate_bps = 10000000, .delay_us = 20000}, NULL);
	run(60, 100000);
	assert_true(w.peak <= 300000);
	begin(&(struct dp_wire_conf){.rate_bps = 10000000, .delay_us = 20000}, NULL);
	w.pad = true;
	dp_bwe_needs(&w.b, 200000, 200000); // has all it wants: no probe
	run(60, 250000);
	assert_int_equal(w.b.probes, 0);
	assert_true(w.peak <= 340000); // a tenth above what arrives
}

static void probes(void **state)
{
	begin(&(struct dp_wire_conf){.rate_bps = 10000000, .delay_us = 20000}, NULL);
	w.pad = true;
	dp_bwe_needs(&w.b, 200000, 2000000);
	assert_true(dp_bwe_probe_at(&w.b, w.now) == w.now); // it does not wait for feedback
	run(3, 250000);
	assert_true(w.b.estimate_bps >
	            2000000); // ten times within three seconds, at 250 kb/s of media
	assert_true(w.b.estimate_bps < 2000000 * 1.6);
	assert_in_range(w.b.probes, 2, 8);
	/* on a link that has no more, probes say what it has */
	begin(&(struct dp_wire_conf){.rate_bps = 700000, .queue_bytes = 30000, .delay_us = 20000},
	      NULL);
	w.pad = true;
	dp_bwe_needs(&w.b, 200000, 2000000);
	run(30, 250000);
	assert_in_range(w.b.estimate_bps, 560000, 720000);
	assert_true(w.peak < 800000);
	assert_true(w.b.probe.at_ns > w.now - 20 * S);
	/* and when it is freed, that is found soon */
	dp_wire_conf(&w.link, &(struct dp_wire_conf){.rate_bps = 10000000, .delay_us = 20000},
	             w.now);
	run(10, 250000);
	assert_true(w.b.estimate_bps > 2000000);
	/* nobody sends the padding: nothing is learned of it, and no harm done */
	begin(&(struct dp_wire_conf){.rate_bps = 700000, .delay_us = 20000}, NULL);
	dp_bwe_needs(&w.b, 200000, 2000000);
	for (unsigned i = 0; i < 100; i++) {
		run(0.1, 250000);
		(void)dp_bwe_probe(&w.b, w.now);
	}
	assert_true(w.peak < 800000);
}

/* Nothing is sent as nothing fits, so nothing is answered: the prober begins. */
static void newcomer(void **state)
{
	uint64_t sent;

	begin(&(struct dp_wire_conf){.rate_bps = 20000000, .delay_us = 50000}, NULL);
	w.pad = w.still = true;
	dp_bwe_needs(&w.b, 0, 2000000);
	run(2, 0);
	assert_true(w.b.estimate_bps > 2000000 * 9 / 8);
	/* an answer that was lost is not waited for */
	begin(&(struct dp_wire_conf){.rate_bps = 20000000, .delay_us = 50000}, NULL);
	w.pad = w.still = w.mute = true;
	dp_bwe_needs(&w.b, 0, 2000000);
	run(0.3, 0);
	w.mute = false;
	w.rx = (struct dp_twcc_rx){0};
	run(5, 0);
	assert_true(w.b.estimate_bps > 2000000 * 9 / 8);
	/* who never answers is padded for a minute, less and less, and no more */
	begin(&(struct dp_wire_conf){.rate_bps = 20000000, .delay_us = 50000}, NULL);
	w.pad = w.still = w.mute = true;
	dp_bwe_needs(&w.b, 0, 2000000);
	run(10, 0);
	assert_in_range(w.b.probes, 2, 4);
	run(140, 0);
	assert_in_range(w.b.probes, 4, 6);
	sent = w.next;
	dp_bwe_needs(&w.b, 0, 9000000);
	run(600, 0);
	assert_int_equal(w.next, sent);
	assert_int_equal(w.b.estimate_bps, 300000);
}

/* Some packets after a long pause: their answers have their time. */
static void pause_is_no_silence(void **state)
{
	begin(&(struct dp_wire_conf){.rate_bps = 20000000, .delay_us = 50000},
	      &(struct dp_bwe_conf){.start_bps = 2000000});
	run(2, 1500000);
	w.still = true;
	run(20, 0);
	w.still = false;
	run(0.09, 1500000);
	assert_true(w.b.unanswered > 10);
	assert_int_equal(w.b.decay_ns, 0);
	assert_int_equal(w.b.bound, DP_BWE_BY_DELAY);
}

static void link_falls(void **state)
{
	begin(&(struct dp_wire_conf){.rate_bps = 3000000, .queue_bytes = 300000, .delay_us = 30000},
	      NULL);
	dp_bwe_needs(&w.b, 1000000, 20000000);
	w.pad = true;
	run(20, 0);
	assert_true(w.b.estimate_bps > 2000000);
	dp_wire_conf(
	    &w.link,
	    &(struct dp_wire_conf){.rate_bps = 500000, .queue_bytes = 300000, .delay_us = 30000},
	    w.now);
	run(3, 0);
	assert_true(w.b.estimate_bps < 550000);
	assert_true(w.b.overuses > 0);
	run(12, 0);
	assert_true(dp_wire_wait(&w.link, w.now) < 150 * MS);
	assert_in_range(w.b.estimate_bps, 300000, 520000);
}

static void losses(void **state)
{
	/* a policer: no queue at all. What it drops is above what is usual */
	struct dp_wire_conf c = {
	    .rate_bps = 500000, .queue_bytes = 4000, .burst_bytes = 4000, .delay_us = 20000};

	begin(&c, &(struct dp_bwe_conf){.start_bps = 1000000});
	run(15, 1000000);
	assert_in_range(w.b.estimate_bps, 350000, 620000);
	assert_true(w.b.bound == DP_BWE_BY_LOSS || w.b.bound == DP_BWE_BY_DELAY);
	/* radio: a tenth is lost whatever is sent, and that is no reason to send less */
	begin(&(struct dp_wire_conf){.loss_good_ppm = 100000, .delay_us = 20000},
	      &(struct dp_bwe_conf){.start_bps = 1000000});
	run(60, 900000);
	assert_true(w.b.estimate_bps >= 950000);
	assert_in_range(w.b.loss, 20, 32);
	assert_int_equal(w.b.losses.bound_bps, 0);
}

/* Another way, 120 ms longer: after a while that is how it is. Clocks that drift apart do not look
 * like a queue. */
static void level(void **state)
{
	struct dp_wire_conf c = {.rate_bps = 2000000, .delay_us = 20000};

	begin(&c, &(struct dp_bwe_conf){.start_bps = 800000});
	run(10, 500000);
	c.delay_us += 120000;
	dp_wire_conf(&w.link, &c, w.now);
	run(40, 500000);
	assert_true(w.b.queue_us < 20000);
	assert_true(w.b.estimate_bps > 200000);
	for (int sign = -1; sign <= 1; sign += 2) {
		c.delay_us = 20000;
		begin(&c, &(struct dp_bwe_conf){.start_bps = 800000});
		w.drift = sign * 200e-6;
		run(200, 500000);
		assert_int_equal(w.b.overuses, 0);
		assert_true(w.b.queue_us < 10000);
		assert_true(w.b.estimate_bps >= 800000);
	}
}

static void silence(void **state)
{
	struct dp_wire_conf c = {.rate_bps = 2000000, .delay_us = 20000};
	uint32_t before;

	begin(&c, NULL);
	dp_bwe_needs(&w.b, 1000000, 20000000);
	w.pad = true;
	run(10, 0);
	before = w.b.estimate_bps;
	w.mute = true;
	run(0.6, 0);
	assert_int_equal(w.b.estimate_bps, before); // not yet
	run(10, 0);
	assert_true(w.b.estimate_bps < before / 4);
	assert_int_equal(w.b.bound, DP_BWE_BY_SILENCE);
	w.mute = false;
	w.pad = true;
	run(10, 0);
	assert_true(w.b.estimate_bps > before / 2);
	/* nothing sent, nothing expected */
	before = w.b.estimate_bps;
	w.pad = false;
	for (unsigned i = 0; i < 1000; i++)
		dp_bwe_tick(&w.b, w.now += 100 * MS);
	assert_int_equal(w.b.estimate_bps, before);
	/* one that never says anything keeps what it began with */
	begin(&c, NULL);
	w.mute = true;
	run(60, 0);
	assert_int_equal(w.b.estimate_bps, 300000);
}

static void remb(void **state)
{
	struct dp_wire_conf c = {.rate_bps = 5000000, .delay_us = 20000};
	struct dp_bwe b;

	begin(&c, &(struct dp_bwe_conf){.start_bps = 2000000});
	run(2, 1500000);
	dp_bwe_remb(&w.b, 700000, w.now);
	assert_int_equal(w.b.estimate_bps, 700000);
	assert_int_equal(w.b.bound, DP_BWE_BY_REMB);
	run(9, 0);
	assert_int_equal(w.b.estimate_bps, 700000);
	run(2, 0); // it is old
	assert_true(w.b.estimate_bps >= 1900000);
	/* without TWCC it is all there is, and receiver reports hold it back */
	dp_bwe_init(&b, NULL, w.sent, ENTRIES, S);
	dp_bwe_report(&b, 255, 1000, S);
	assert_int_equal(b.estimate_bps, 0);
	dp_bwe_expect(&b, false, S);
	assert_int_equal(b.estimate_bps, 300000);
	dp_bwe_remb(&b, 2500000, 2 * S);
	assert_int_equal(b.estimate_bps, 2500000);
	dp_bwe_report(&b, 64, 50000, 3 * S); // a quarter
	assert_in_range(b.estimate_bps, 2100000, 2250000);
	assert_int_equal(b.rtt_us, 50000);
	for (unsigned i = 4; i < 20; i++)
		dp_bwe_report(&b, 0, 50000, i * S);
	assert_int_equal(b.estimate_bps, 2500000);
	dp_bwe_tick(&b, 1000 * S);
	assert_int_equal(b.estimate_bps, 2500000);
	assert_int_equal(dp_bwe_probe(&b, 1000 * S), 0);
	dp_bwe_remb(&b, UINT64_MAX, 1001 * S);
	assert_true(b.estimate_bps > 2500000); // what losses taught is let up slowly
	for (unsigned i = 2000; i < 2200; i++)
		dp_bwe_report(&b, 0, 50000, i * S);
	assert_int_equal(b.estimate_bps, b.conf.max_bps);
	dp_bwe_remb(&b, 0, 3000 * S);
	assert_int_equal(b.estimate_bps, b.conf.min_bps);
}

/* Feedback out of thin air, for packets that were sent: within bounds, whatever it says. */
static void hostile(void **state)
{
	srand(6);
	begin(&(struct dp_wire_conf){.delay_us = 10000}, NULL);
	dp_bwe_needs(&w.b, 100000, UINT32_MAX);
	for (unsigned i = 0; i < 20000; i++) {
		uint32_t ticks[200], n = 1 + rand() % 200;
		uint8_t buf[1500];
		struct dp_rtcp_out o = {buf, sizeof(buf), 0};
		struct dp_rtcp_twcc_make m = {
		    1, 2, ticks, (uint16_t)(w.next - rand() % 300), (uint16_t)n, (uint8_t)rand()};
		struct dp_rtcp_iter all;
		struct dp_rtcp_twcc t;
		struct dp_rtcp_pkt p;
		struct dp_rtcp_fb fb;
		uint32_t at = (uint32_t)rand() * 2u;

		for (uint32_t k = 0; k < n; k++) {
			at += i % 3 ? (uint32_t)(rand() % 60000 - 30000) : (uint32_t)(rand() % 4);
			ticks[k] = rand() % 3 ? at | 1 : DP_TWCC_LOST;
		}
		ticks[0] |= 1;
		for (int k = rand() % 20; k; k--)
			dp_bwe_sent(&w.b, w.next++, (uint32_t)rand() % 70000, w.now);
		for (uint32_t pad = dp_bwe_probe(&w.b, w.now); pad;
		     pad -= pad < 60000 ? pad : 60000)
			dp_bwe_sent(&w.b, w.next++, pad < 60000 ? pad : 60000, w.now);
		w.now += (uint64_t)rand() % (i % 7 ? 100 * MS : 10 * S);
		if (dp_rtcp_put_twcc(&o, &m) <= 0)
			continue;
		assert_int_equal(dp_rtcp_first(&all, buf, o.len, DP_RTCP_RSIZE), 0);
		assert_true(dp_rtcp_next(&all, &p));
		assert_int_equal(dp_rtcp_fb(&fb, &p), 0);
		assert_int_equal(dp_rtcp_twcc(&t, &fb), 0);
		dp_bwe_feedback(&w.b, &t, w.now);
		dp_bwe_tick(&w.b, w.now);
		assert_in_range(w.b.estimate_bps, w.b.conf.min_bps, w.b.conf.max_bps);
	}
	assert_true(w.b.feedbacks > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(configuration),
	    cmocka_unit_test(fills),
	    cmocka_unit_test(application_limited),
	    cmocka_unit_test(probes),
	    cmocka_unit_test(newcomer),
	    cmocka_unit_test(pause_is_no_silence),
	    cmocka_unit_test(link_falls),
	    cmocka_unit_test(losses),
	    cmocka_unit_test(level),
	    cmocka_unit_test(silence),
	    cmocka_unit_test(remb),
	    cmocka_unit_test(hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
