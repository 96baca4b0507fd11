/* Every allocation of these operations failing in turn: an error comes back, nothing leaks, and the
 * next try works. Run with libnth_alloc.so preloaded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/conf.h"
#include "controlplane/plane/plane_priv.h"
#include "dataplane/conf.h"
#include "tests/fakes/nth_alloc.h"
#include "tests/fakes/samples.h"

/* op: 0 good, else its error. Fails each allocation of it once. */
static void each(int (*op)(void), const char *name)
{
	if (!nth_alloc_arm) {
		print_message("needs libnth_alloc.so preloaded\n");
		skip();
	}
	nth_alloc_arm(0);
	assert_int_equal(op(), 0); // what is allocated once and kept, is now
	long live = nth_alloc_live();
	nth_alloc_arm(0);
	assert_int_equal(op(), 0);
	unsigned long total = nth_alloc_count();
	assert_int_equal(nth_alloc_live(), live);
	assert_true(total > 0);
	for (unsigned long n = 1; n <= total; n++) {
		nth_alloc_arm(n);
		int err = op();
		nth_alloc_arm(0);
		if (nth_alloc_live() != live)
			fail_msg("%s: allocation %lu of %lu failing leaks", name, n, total);
		if (err != -ENOMEM)
			fail_msg("%s: allocation %lu of %lu failing: %d", name, n, total, err);
	}
	print_message("%s: %lu allocations\n", name, total);
}

static void no_news(const char *text, void *arg)
{
}

static int read_options(void)
{
	static const char yaml[] =
	    "workers: 2\nnack: {delay: 3}\naddresses: [192.0.2.1, '2001:db8::1']\n"
	    "ports:\n- &a {kind: memif, socket: /run/m}\n- kind: 'null'\nlog: "
	    "\"info,plane=debug\"\n";
	static struct dp_conf conf;
	struct sh_conf_reader r;

	int err = sh_conf_begin(&r, &dp_conf_table, &conf, no_news, NULL);
	if (!err)
		err = sh_conf_load_text(&r, "f", yaml, sizeof(yaml) - 1);
	if (!err)
		err = sh_conf_set(&r, "ports=[{kind: pci, pci: 0000:3b:00.0}]");
	return err ? err : sh_conf_end(&r);
}

static int read_bad_options(void)
{
	static const char yaml[] = "wrkers: 2\nnack: {delay: x, delay: 3}\nports: [1, {kind: 3}]\n";
	static struct dp_conf conf;
	struct sh_conf_reader r;

	int err = sh_conf_begin(&r, &dp_conf_table, &conf, no_news, NULL);
	if (!err)
		err = sh_conf_load_text(&r, "f", yaml, sizeof(yaml) - 1);
	return err == -EINVAL ? 0 : err;
}

static int read_file(void)
{
	static struct cp_conf conf;
	struct sh_conf_reader r;

	int err = sh_conf_begin(&r, &cp_conf_table, &conf, no_news, NULL);
	return err ? err : sh_conf_load(&r, "/dev/null");
}

static int some_state(struct cp_plane *p)
{
	sh_id e = 0, t = 0, s = 0;

	int err = cp_plane_id_claim(p, SH_DEL_ENDPOINT, SH_ID(700, 3));
	if (!err)
		err = cp_plane_id_new(p, SH_DEL_ENDPOINT, &e);
	if (!err)
		err = cp_plane_id_new(p, SH_DEL_TRACK, &t);
	if (!err)
		err = cp_plane_id_new(p, SH_DEL_SUB, &s);
	if (err)
		return err;
	struct sh_msg_endpoint_set em = sample_endpoint(e);
	struct sh_msg_track_set tm = sample_track(t, e);
	struct sh_msg_sub_set sm = sample_sub(s, t, e);
	assert_int_equal(cp_plane_endpoint_set(p, &em),
	                 0); // setting never fails for want of memory
	assert_int_equal(cp_plane_track_set(p, &tm), 0);
	assert_int_equal(cp_plane_sub_set(p, &sm), 0);
	cp_plane_flush(p);
	return 0;
}

static int use_plane(void)
{
	const struct cp_plane_conf conf = {.rundir = "/nonexistent", .peer = (uid_t)-1, .epoch = 1};
	struct cp_plane *p;

	int err = cp_plane_alloc(&p, &conf);
	if (err)
		return err;
	err = some_state(p);
	cp_plane_free(p);
	return err;
}

static void options(void **state)
{
	each(read_options, "options");
}

static void bad_options(void **state)
{
	each(read_bad_options, "bad options");
}

static void file(void **state)
{
	each(read_file, "file");
}

static void plane(void **state)
{
	each(use_plane, "plane");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(options),
	    cmocka_unit_test(bad_options),
	    cmocka_unit_test(file),
	    cmocka_unit_test(plane),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
