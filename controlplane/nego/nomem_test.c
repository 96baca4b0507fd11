/* Each operation of agreement with its n-th allocation failing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include "controlplane/nego/nego_fixture.h"

/* The linker sends nego's allocations here (meson: --wrap). */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
static int fail_at; // 0: never; else counts down to the failing one

static bool fails(void)
{
	return fail_at && --fail_at == 0;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

/* Each allocation in turn: -ENOMEM and nothing changed, or success. */
static void allocations_may_fail(void **state)
{
	struct cp_nego pub, sub;
	char *sdp = load("chromium_simulcast"), *made = NULL, *ans = NULL;
	struct cp_nego_send s;
	size_t index;
	json_t *before, *after;
	int rc, at;

	init(&pub, false);
	take(&pub, "chromium_simulcast");
	init(&sub, true);
	before = cp_nego_save(&pub);
	for (at = 1, rc = -1; rc; at++) {
		fail_at = at;
		rc = offer(&pub, sdp);
		fail_at = 0;
		assert_true(rc == 0 || rc == -ENOMEM);
		after = cp_nego_save(&pub);
		assert_true(json_equal(before, after));
		json_decref(after);
	}
	assert_true(at > 4);
	for (at = 1, rc = -1; rc; at++) {
		uint64_t version = pub.version;

		fail_at = at;
		rc = cp_nego_answer_out(&pub, &made);
		fail_at = 0;
		assert_true(rc == 0 || (rc == -ENOMEM && pub.version == version));
	}
	assert_true(at > 4);
	free(made);
	s = track(&pub, 1);
	for (at = 1, rc = -1; rc; at++) {
		fail_at = at;
		rc = cp_nego_send_add(&sub, &index, &s);
		fail_at = 0;
		assert_true(rc == 0 || (rc == -ENOMEM && sub.n_media == 0));
	}
	for (at = 1, rc = -1; rc; at++) {
		fail_at = at;
		rc = cp_nego_offer_out(&sub, &made);
		fail_at = 0;
		assert_true(rc == 0 || (rc == -ENOMEM && !sub.offered));
	}
	ans = willing(made);
	for (at = 1, rc = -1; rc; at++) {
		fail_at = at;
		rc = answered(&sub, ans);
		fail_at = 0;
		assert_true(rc == 0 || (rc == -ENOMEM && sub.offered && !sub.media[0].agreed));
	}
	for (at = 1, rc = -1; rc; at++) {
		struct cp_nego back;

		fail_at = at;
		rc = cp_nego_load(&back, before);
		fail_at = 0;
		assert_true(rc == 0 || rc == -ENOMEM);
		if (!rc)
			cp_nego_close(&back);
	}
	json_decref(before);
	free(made);
	free(ans);
	free(sdp);
	cp_nego_close(&pub);
	cp_nego_close(&sub);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(allocations_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
