/* The model's arithmetic against sums by hand, and files that are and are not models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "shared/cost_file.h"
#include "shared/limits.h"

static const struct sh_cost_model model = {
    .tsc_hz = 1e9,
    .cipher = {[SH_COST_GCM128] = {100, 1, 200, 0.5}, [SH_COST_CM_SHA1] = {300, 2, 400, 3}},
    .cache = 10,
    .cache_in = 30,
    .cached = 1 << 20,
    .endpoint = 1000,
    .report = 5,
    .scan = 3,
    .mixed = 9,
    .video = 17,
    .handoff = 50,
    .link = 700,
    .feedback = 40,
    .cache_feedback = 13,
    .track = 6,
    .port = {"test", 7, 0.1, 11, 0.2, 1e6, 1e9},
    .usable = 0.5,
    .error = 0.1,
    .base_bytes = 1e6,
    .endpoint_bytes = 1000,
    .sub_bytes = 100,
    .video_bytes = 10000,
    .audio_bytes = 5000,
    .memory = 1e8,
};

static void near(double a, double b)
{
	if (fabs(a - b) > 1e-9 * fabs(b) + 1e-12)
		fail_msg("%.12g is not %.12g", a, b);
}

static void by_hand(void **state)
{
	/* 4 MiB are touched: twice as much and twice again as what is near */
	struct sh_cost_load l = {.handoffs = 3, .endpoints = 1024, .subs = 1024, .videos = 512};

	sh_cost_flow(&l.in[SH_COST_GCM128], 10, 1000);
	sh_cost_flow(&l.out[SH_COST_GCM128], 20, 1000);
	sh_cost_flow(&l.out[SH_COST_CM_SHA1], 5, 100);
	near(sh_cost_cycles(&model, &l),
	     10 * (107 + 60 + 1000 * 1.1) + 20 * (200 + 20 + 11 + 1000 * 0.7) +
	         5 * (400 + 20 + 11 + 100 * 3.2) + 1024 * 1000 + 1024 * 5 + 512 * 3 + 3 * 50);
	/* little costs nothing extra; the same on top of much does */
	l = (struct sh_cost_load){.subs = 2};
	sh_cost_flow(&l.out[SH_COST_GCM128], 1, 0);
	near(sh_cost_cycles(&model, &l), 211 + 2 * 5);
	near(sh_cost_more(&model, &l, &(struct sh_cost_load){.subs = 4094}), 211 + 10 + 2 * 5);
	l = (struct sh_cost_load){.videos = 128, .audios = 128};
	sh_cost_flow(&l.in[SH_COST_GCM128], 1, 0);
	near(sh_cost_cycles(&model, &l), 100 + 7 + 9 + 256 * 3);
	near(sh_cost_more(&model, &l, &(struct sh_cost_load){.audios = 256}),
	     100 + 7 + 30 + 9 * 0.5 + 256 * 3);
	/* links: each a second, each packet of feedback, each packet that it tells of; and what
	 * they touch is far */
	l = (struct sh_cost_load){.links = 2, .told = 30, .tracked = 300, .video_in = 10};
	near(sh_cost_cycles(&model, &l), 10 * 17 + 2 * 700 + 30 * 40 + 300 * 6);
	l = (struct sh_cost_load){.links = 819.2, .told = 5};
	sh_cost_flow(&l.out[SH_COST_GCM128], 1, 0);
	near(sh_cost_cycles(&model, &l), 211 + 10 + 819.2 * 700 + 5 * 53);
}

static void listeners_tell_a_twentieth(void **state)
{
	near(sh_cost_tells(0), 4);
	near(sh_cost_tells(13600), 10);
	near(sh_cost_tells(1e6), 20);
}

static void a_cipher_that_was_not_measured_is_the_costliest(void **state)
{
	struct sh_cost_load a = {0}, b = {0};

	sh_cost_flow(&a.out[SH_COST_GCM256], 1, 1000);
	sh_cost_flow(&b.out[SH_COST_CM_SHA1], 1, 1000);
	near(sh_cost_cycles(&model, &a), sh_cost_cycles(&model, &b));
	assert_int_equal(sh_cost_cipher(SH_SRTP_AES128_CM_SHA1_32), SH_COST_CM_SHA1);
	assert_int_equal(sh_cost_cipher(SH_SRTP_AEAD_AES_256_GCM), SH_COST_GCM256);
	assert_int_equal(sh_cost_cipher(0), SH_COST_GCM128);
}

static void what_runs_out_first(void **state)
{
	struct sh_cost_load l = {0};
	struct sh_cost_answer a;

	sh_cost_flow(&l.out[SH_COST_GCM128], 100000, 1000);
	sh_cost_predict(&model, &l, 1, &a);
	near(a.out_bps, 100000 * 8 * 1102.0);
	near(a.used[SH_COST_BITS], 0.8816);
	near(a.utilisation, 100000 * 911 / 0.5e9);
	assert_int_equal(a.bottleneck, SH_COST_BITS);
	l = (struct sh_cost_load){0};
	sh_cost_flow(&l.out[SH_COST_GCM128], 900000, 10);
	sh_cost_predict(&model, &l, 8, &a);
	near(a.utilisation, 900000.0 * (211 + 7) / 8 / 0.5e9);
	near(a.used[SH_COST_PACKETS], 0.9);
	near(a.used[SH_COST_BITS], 900000 * 8 * 112 / 1e9);
	assert_int_equal(a.bottleneck, SH_COST_PACKETS);
	l = (struct sh_cost_load){.handoffs = 5e6};
	sh_cost_predict(&model, &l, 1, &a);
	near(a.utilisation, 0.5);
	assert_int_equal(a.bottleneck, SH_COST_CPU);
	l = (struct sh_cost_load){.videos = 9000, .endpoints = 10};
	sh_cost_predict(&model, &l, 1, &a);
	near(a.bytes, 1e6 + 10 * 1000 + 9000 * 10000.0);
	assert_int_equal(a.bottleneck, SH_COST_MEMORY);
}

static void more_load_never_costs_less(void **state)
{
	struct sh_cost_load one = {.endpoints = 2, .subs = 4, .audios = 1, .handoffs = 1},
	                    sum = {0};
	double last = 0;

	sh_cost_flow(&one.in[SH_COST_GCM128], 50, 100);
	sh_cost_flow(&one.out[SH_COST_CM_SHA1], 200, 100);
	for (int i = 0; i < 5000; i++) {
		double now;

		sh_cost_add(&sum, &one, 1);
		now = sh_cost_cycles(&model, &sum);
		assert_true(now > last);
		last = now;
	}
	near(sum.subs, 20000);
	near(sum.out[SH_COST_CM_SHA1].bytes, 5000.0 * 200 * 100);
}

/* ---- files ---- */

static char path[] = "/tmp/cost_test_XXXXXX";

static int load_text(const char *text, struct sh_cost_model *m, char why[256])
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return sh_cost_load_file(m, path, why, 256);
}

static void there_and_back(void **state)
{
	struct sh_cost_model m;
	char why[256], *text;
	json_t *doc = sh_cost_json(&model);

	text = json_dumps(doc, JSON_REAL_PRECISION(17));
	assert_int_equal(load_text(text, &m, why), 0);
	assert_memory_equal(&m, &model, sizeof(m));
	free(text);
	json_decref(doc);
}

static void refused(const char *key, json_t *value, const char *in_why)
{
	json_t *doc = sh_cost_json(&model);
	struct sh_cost_model m = model;
	char why[256] = "", *text;

	if (value)
		json_object_set_new(doc, key, value);
	else
		json_object_del(doc, key);
	text = json_dumps(doc, 0);
	assert_int_equal(load_text(text, &m, why), -EINVAL);
	if (!strstr(why, in_why))
		fail_msg("\"%s\" does not say \"%s\"", why, in_why);
	assert_memory_equal(&m, &model, sizeof(m));
	free(text);
	json_decref(doc);
}

static void not_models(void **state)
{
	struct sh_cost_model m;
	char why[256];

	refused("format", json_string("callstack-cost-0"), "format");
	refused("tsc_hz", json_string("much"), "tsc_hz");
	refused("tsc_hz", json_real(0), "range");
	refused("usable", json_real(1.5), "range");
	refused("cache", json_real(-1), "range");
	refused("endpoint", json_real(1e300), "range");
	refused("ciphers", json_object(), "range"); // none
	refused("ciphers", json_pack("{s{sf}}", "aes_cm_sha1", "in", 1.0), "in_byte");
	refused("port", NULL, "port");
	refused("port",
	        json_pack("{ss}", "name", "a name that is far too long for a port, is it not"),
	        "port.name");
	refused("memory", json_array(), "memory");
	assert_int_equal(load_text("", &m, why), -EINVAL);
	assert_int_equal(load_text("[]", &m, why), -EINVAL);
	assert_int_equal(load_text("{\"format\":\"callstack-cost-1\",\"format\":1}", &m, why),
	                 -EINVAL);
}

static void not_to_be_trusted(void **state)
{
	struct sh_cost_model m;
	json_t *doc = sh_cost_json(&model);
	char why[256], *text = json_dumps(doc, 0);

	assert_int_equal(load_text(text, &m, why), 0);
	assert_int_equal(chmod(path, 0664), 0);
	assert_int_equal(sh_cost_load_file(&m, path, why, sizeof(why)), -EACCES);
	assert_non_null(strstr(why, "chmod"));
	assert_int_equal(chmod(path, 0646), 0);
	assert_int_equal(sh_cost_load_file(&m, path, why, sizeof(why)), -EACCES);
	assert_int_equal(chmod(path, 0600), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 12345, 0), 0);
		assert_int_equal(sh_cost_load_file(&m, path, why, sizeof(why)), -EACCES);
		assert_int_equal(chown(path, 0, 0), 0);
	}
	assert_int_equal(truncate(path, SH_COST_FILE_MAX + 1), 0);
	assert_int_equal(sh_cost_load_file(&m, path, why, sizeof(why)), -EINVAL);
	assert_int_equal(sh_cost_load_file(&m, "/tmp", why, sizeof(why)), -EINVAL);
	assert_int_equal(sh_cost_load_file(&m, "/nonexistent/x", why, sizeof(why)), -ENOENT);
	free(text);
	json_decref(doc);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(by_hand),
	    cmocka_unit_test(listeners_tell_a_twentieth),
	    cmocka_unit_test(a_cipher_that_was_not_measured_is_the_costliest),
	    cmocka_unit_test(what_runs_out_first),
	    cmocka_unit_test(more_load_never_costs_less),
	    cmocka_unit_test(there_and_back),
	    cmocka_unit_test(not_models),
	    cmocka_unit_test(not_to_be_trusted),
	};
	int fd = mkstemp(path), failed;

	if (fd < 0)
		return 1;
	close(fd);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return failed;
}
