/* The journal: what is saved comes back, or nothing is saved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include "controlplane/nego/nego_fixture.h"

static void the_journal_brings_it_back(void **state)
{
	struct cp_nego pub, sub, back;
	json_t *saved, *again;
	char *sdp, *ans;
	const char *key;
	json_t *value;

	init(&pub, false);
	take(&pub, "chromium_simulcast");
	sdp = subscribe(&sub, &pub);
	ans = willing(sdp);
	saved = cp_nego_save(&sub);
	assert_int_equal(cp_nego_load(&back, saved), 0);
	again = cp_nego_save(&back);
	assert_true(json_equal(saved, again));
	json_decref(again);
	assert_int_equal(answered(&back, ans), 0); // where the old one left off
	assert_true(back.media[1].agreed);
	cp_nego_close(&back);
	json_object_foreach (saved, key, value) { // each field missing, or of another type
		json_t *copy = json_deep_copy(saved);

		json_object_del(copy, key);
		assert_int_equal(cp_nego_load(&back, copy), -EBADMSG);
		json_object_set_new(copy, key, json_real(1.5));
		assert_int_equal(cp_nego_load(&back, copy), -EBADMSG);
		json_decref(copy);
	}
	json_decref(saved);
	free(sdp);
	free(ans);
	saved = cp_nego_save(&pub);
	assert_int_equal(cp_nego_load(&back, saved), 0);
	take(&back, "chromium_simulcast");
	assert_false(restarted);
	again = cp_nego_save(&back);
	assert_true(json_equal(saved, again));
	json_decref(again);
	json_decref(saved);
	cp_nego_close(&back);
	cp_nego_close(&sub);
	cp_nego_close(&pub);
}

static size_t json_fail_at;

static void *json_alloc(size_t n)
{
	return json_fail_at && --json_fail_at == 0 ? NULL : malloc(n);
}

static void saving_may_fail(void **state)
{
	struct cp_nego pub;
	json_t *saved = NULL, *whole;
	size_t at;

	init(&pub, false);
	take(&pub, "chromium_simulcast");
	json_set_alloc_funcs(json_alloc, free);
	whole = cp_nego_save(&pub);
	for (at = 1; at < 5000; at++) {
		json_fail_at = at;
		saved = cp_nego_save(&pub);
		if (json_fail_at) // it did not come to that
			break;
		json_fail_at = 0;
		assert_true(!saved ||
		            json_equal(saved, whole)); // jansson may do without a bigger table
		json_decref(saved);
	}
	json_fail_at = 0;
	assert_in_range(at, 50, 4999);
	json_decref(saved);
	json_decref(whole);
	json_set_alloc_funcs(malloc, free);
	cp_nego_close(&pub);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_journal_brings_it_back),
	    cmocka_unit_test(saving_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
