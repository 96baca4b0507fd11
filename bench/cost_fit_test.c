/* Samples made by a known model come back as that model, also with noise and with a coefficient
 * that is 0. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include "bench/bench.h"
#include "bench/cost_fit.h"
#include "bench/cost_scenario.h"

static const struct sh_cost_model truth = {
    .tsc_hz = 2.6e9,
    .cipher = {[SH_COST_GCM128] = {400, 0.2, 150, 0.15}, [SH_COST_CM_SHA1] = {500, 0.9, 200, 0.8}},
    .cache = 12,
    .cache_in = 40,
    .endpoint = 900,
    .report = 150,
    .mixed = 210,
    .video = 330,
    .scan = 70,
    .link = 4000,
    .feedback = 1700,
    .cache_feedback = 240,
    .track = 60,
    .cached = 1 << 19,
};

/* Of rooms with audio and video, in which transports have more than one subscription. */
static void a_room(struct cost_sample *s, enum sh_cost_cipher cipher, unsigned people, double rooms,
                   unsigned size, bool feedback)
{
	const struct cost_scenario sc = {.participants = people,
	                                 .publishers = people > 20 ? 2 : people,
	                                 .publishers_watch = true,
	                                 .audio = true,
	                                 .video = people % 2 == 0,
	                                 .audio_size = 100,
	                                 .kbps = 1000,
	                                 .video_size = size,
	                                 .layers = 1,
	                                 .feedback = feedback,
	                                 .cipher = cipher};

	cost_scenario_load_of(&sc, rooms, 1, &s->load);
}

static size_t make(struct cost_sample *s, const struct sh_cost_model *m, double noise)
{
	static const double fanouts[] = {1, 10, 100}, sizes[] = {100, 600, 1200},
	                    subs[] = {200, 5000, 40000};
	static const unsigned people[] = {2, 5, 40};
	const enum sh_cost_cipher ciphers[] = {SH_COST_GCM128, SH_COST_CM_SHA1};
	struct cost_fit f = {.model = *m, .port = {[1] = {.in = 30, .out = 70, .out_byte = 0.05}}};
	uint64_t seed = 3;

	for (size_t n = 0; n < 2 * 3 * 3 * 3 * 2; n++) {
		unsigned c = n / 54 % 2, a = n / 18 % 3, b = n / 6 % 3, k = n / 2 % 3;

		s[n] = (struct cost_sample){.held_out = n % 7 == 3};
		if (n % 2)
			a_room(&s[n], ciphers[c], people[a], subs[k] / people[a],
			       b ? (unsigned)sizes[b] : 300, n % 3);
		else
			cost_sample_uniform(&s[n], ciphers[c], sizes[b], fanouts[a], subs[k]);
		s[n].cycles = cost_sample_cycles(&f, &s[n]);
		s[n].timers =
		    (s[n].load.endpoints * m->endpoint + s[n].load.subs * m->report +
		     (s[n].load.videos + s[n].load.audios) * m->scan + s[n].load.links * m->link) /
		    s[n].load.out[ciphers[c]].pps;
		if (n % 5 == 2) { // the same on a port
			s[n].base = s[n].cycles;
			s[n].port = 1;
			s[n].cycles = cost_sample_cycles(&f, &s[n]);
		}
		s[n].cycles *= 1 + noise * ((double)(bench_random(&seed) % 2001) / 1000 - 1);
	}
	return 2 * 3 * 3 * 3 * 2;
}

static void close_to(double a, double b, double by)
{
	if (fabs(a - b) > by * fabs(b))
		fail_msg("%g is not %g", a, b);
}

static void exact_samples_give_the_model_back(void **state)
{
	struct cost_sample s[COST_SAMPLES_MAX];
	struct cost_fit f = {.model.tsc_hz = 2.6e9};
	size_t n = make(s, &truth, 0);

	assert_int_equal(cost_fit(&f, s, n, 2), 0);
	close_to(f.model.cipher[0].in, 400, 1e-3);
	close_to(f.model.cipher[0].in_byte, 0.2, 1e-3);
	close_to(f.model.cipher[0].out_byte, 0.15, 1e-3);
	close_to(f.model.cipher[SH_COST_CM_SHA1].out, 200, 1e-3);
	close_to(f.model.cache, 12, 1e-3);
	close_to(f.model.cache_in, 40, 1e-3);
	close_to(f.model.mixed, 210, 1e-3);
	close_to(f.model.video, 330, 1e-3);
	close_to(f.model.cached, 1 << 19, 1e-9);
	close_to(f.model.endpoint, 900, 1e-3);
	close_to(f.model.report, 150, 1e-3);
	close_to(f.model.scan, 70, 1e-3);
	close_to(f.model.link, 4000, 1e-3);
	close_to(f.model.feedback, 1700, 1e-3);
	close_to(f.model.cache_feedback, 240, 1e-3);
	close_to(f.model.track, 60, 1e-3);
	close_to(f.port[1].out, 70, 1e-3);
	close_to(f.port[1].in, 30, 1e-3);
	assert_true(f.worst < 1e-4 && f.held_worst < 1e-4 && f.out_worst < 1e-4);
	assert_int_equal(f.fitted + f.held, n);
	assert_true(f.held > 10);
}

static void noise_is_told_as_residuals(void **state)
{
	struct cost_sample s[COST_SAMPLES_MAX];
	struct cost_fit f = {.model.tsc_hz = 2.6e9};
	size_t n = make(s, &truth, 0.05);

	assert_int_equal(cost_fit(&f, s, n, 2), 0);
	assert_true(f.rms > 0.015 && f.rms < 0.05);
	assert_true(f.out_rms >= f.rms && f.out_worst < 0.15);
	assert_true(f.held_rms > 0.015 && f.held_worst < 0.12);
}

static void nothing_is_negative(void **state)
{
	struct cost_sample s[COST_SAMPLES_MAX];
	struct cost_fit f = {.model.tsc_hz = 2.6e9};
	struct sh_cost_model m = truth;
	size_t n;

	m.cache = 0;
	m.endpoint = 0;
	m.cipher[0].in_byte = 0;
	n = make(s, &m, 0.08);
	assert_int_equal(cost_fit(&f, s, n, 2), 0);
	for (unsigned c = 0; c < SH_COST_CIPHER_COUNT; c++) {
		assert_true(f.model.cipher[c].in >= 0 && f.model.cipher[c].in_byte >= 0);
		assert_true(f.model.cipher[c].out >= 0 && f.model.cipher[c].out_byte >= 0);
	}
	assert_true(f.model.cache >= 0 && f.model.endpoint >= 0 && f.port[1].in >= 0);
	assert_true(f.held_worst < 0.2);
}

static void too_few_samples_are_refused(void **state)
{
	struct cost_sample s[COST_SAMPLES_MAX];
	struct cost_fit f = {.model.tsc_hz = 2.6e9};

	make(s, &truth, 0);
	assert_int_equal(cost_fit(&f, s, 3, 2), -EINVAL);
	assert_int_equal(cost_fit(&f, s, 0, 2), -EINVAL);
	s[5].cycles = 0;
	assert_int_equal(cost_fit(&f, s, 54, 2), -EINVAL);
}

/* ---- scenarios ---- */

static int load(struct cost_scenario *s, const char *text, char why[200])
{
	char path[] = "/tmp/cost_fit_test_XXXXXX";
	int fd = mkstemp(path), err;
	FILE *f = fdopen(fd, "w");

	fputs(text, f);
	fclose(f);
	err = cost_scenario_load(s, path, why, 200);
	remove(path);
	return err;
}

static void a_scenario_as_a_load(void **state)
{
	struct sh_cost_load l;
	struct cost_scenario s;
	char why[200];

	assert_int_equal(
	    load(&s,
	         "server:\n  kind: janus\n  unknown: 1\nrooms:\n  count: 3\n  participants: 10\n"
	         "  publishers: 2\naudio:\n  size: 100\nvideo:\n  bitrate: 960\n  size: 1200\n"
	         "srtp:\n  profile: cm80\n",
	         why),
	    0);
	cost_scenario_load_of(&s, 3, 1, &l);
	/* 8 watch both, 2 watch each other: 18 of each kind a room; 100 video packets a second */
	close_to(l.in[SH_COST_CM_SHA1].pps, 3 * 2 * 150, 1e-9);
	close_to(l.out[SH_COST_CM_SHA1].pps, 3 * 18 * 150, 1e-9);
	close_to(l.out[SH_COST_CM_SHA1].bytes, 3 * 18 * (50 * 100 + 100 * 1200), 1e-9);
	close_to(l.endpoints, 3 * 12, 1e-9);
	close_to(l.subs, 3 * 36, 1e-9);
	assert_true(l.handoffs == 0);
	cost_scenario_load_of(&s, 3, 4, &l);
	assert_true(l.handoffs > 3 * 2 * 150 * 2.5 && l.handoffs < 3 * 2 * 150 * 3.0);
	s.watch = 1;
	s.publishers_watch = false;
	s.layers = 3;
	s.audio = false;
	cost_scenario_load_of(&s, 1, 1, &l);
	close_to(l.out[SH_COST_CM_SHA1].pps, 8 * 100, 1e-9);
	close_to(l.in[SH_COST_CM_SHA1].pps, 2 * 100 * 1.3125, 1e-9);
	close_to(cost_scenario_buffers(&s, 2, 512, 128), 2 * 2 * 3 * 100.0, 1e-9);
}

/* A thousand with a microphone, fifty of them with a camera: three voices and four pictures each,
 * but for those who are in a slot. */
static void a_grown_room_as_a_load(void **state)
{
	struct sh_cost_load l, none;
	struct cost_scenario s;
	char why[200];

	assert_int_equal(load(&s,
	                      "feedback: twcc\nrooms:\n  participants: 1000\n  publishers: 1000\n"
	                      "  cameras: 50\n  slots: 5\naudio:\n  size: 100\nvideo:\n"
	                      "  bitrate: 960\n  size: 1200\n",
	                      why),
	                 0);
	assert_true(s.grown && s.feedback && s.audio_slots == 5 && s.video_slots == 9);
	s.audio_slots = 3;
	s.video_slots = 4;
	cost_scenario_load_of(&s, 2, 1, &l);
	close_to(l.in[SH_COST_GCM128].pps, 2 * (1000 * 50 + 50 * 100), 1e-9);
	close_to(l.out[SH_COST_GCM128].pps, 2 * 999 * (3 * 50 + 4 * 100), 1e-9);
	close_to(l.subs, 2 * 1000 * 7, 1e-9);
	close_to(l.audios, 2000, 1e-9);
	close_to(l.videos, 100, 1e-9);
	close_to(l.links, 2000, 1e-9);
	close_to(l.told, 2000 * 20, 1e-9);
	close_to(l.tracked, l.out[SH_COST_GCM128].pps, 1e-9);
	cost_scenario_load_of(&s, 2, 2, &l);
	close_to(l.handoffs, 2 * (3 * 50 + 4 * 100), 1e-6);
	assert_int_equal(load(&s, "feedback: none\nrooms:\n  participants: 4\n", why), 0);
	cost_scenario_load_of(&s, 1, 1, &none);
	assert_true(none.links == 0 && none.told == 0 && none.tracked == 0);
	assert_int_equal(load(&s, "feedback: perhaps\n", why), -EINVAL);
}

static void bad_scenarios(void **state)
{
	struct cost_scenario s;
	char why[200];

	assert_int_equal(load(&s, "rooms: [1", why), -EINVAL);
	assert_int_equal(load(&s, "just text", why), -EINVAL);
	assert_int_equal(load(&s, "rooms:\n  count: many\n", why), -EINVAL);
	assert_non_null(strstr(why, "rooms.count"));
	assert_int_equal(load(&s, "rooms:\n  count: 0\n", why), -EINVAL);
	assert_int_equal(load(&s, "rooms:\n  participants: 2\n  publishers: 3\n", why), -EINVAL);
	assert_int_equal(load(&s, "srtp:\n  profile: rot13\n", why), -EINVAL);
	assert_int_equal(load(&s, "audio:\n  enabled: perhaps\n", why), -EINVAL);
	assert_int_equal(cost_scenario_load(&s, "/nonexistent/x.yaml", why, sizeof(why)), -ENOENT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(exact_samples_give_the_model_back),
	    cmocka_unit_test(noise_is_told_as_residuals),
	    cmocka_unit_test(nothing_is_negative),
	    cmocka_unit_test(too_few_samples_are_refused),
	    cmocka_unit_test(a_scenario_as_a_load),
	    cmocka_unit_test(a_grown_room_as_a_load),
	    cmocka_unit_test(bad_scenarios),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
