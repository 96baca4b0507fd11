#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/node/ice.h"

#define S UINT64_C(1000000000)

static const struct sh_addr local = {4, 0, 10000, {10, 0, 0, 1}};
static struct sh_addr remote(uint8_t n)
{
	return (struct sh_addr){4, 0, (uint16_t)(5000 + n), {192, 0, 2, n}};
}

static enum dp_ice_verdict check(struct sh_endpoint *e, struct dp_ice *i, uint8_t from,
                                 bool nominate, uint32_t priority, uint64_t now)
{
	struct sh_addr r = remote(from);

	return dp_ice_checked(e, i, &(struct dp_ice_check){&local, &r, now, priority, nominate});
}

static bool at(const struct sh_endpoint *e, uint8_t n)
{
	struct sh_addr r = remote(n);

	return dp_addr_equal(&e->remote, &r);
}

static void late_nomination(void **state)
{
	struct sh_endpoint e = {0};
	struct dp_ice i = {0};

	assert_int_equal(check(&e, &i, 1, false, 10, S), DP_ICE_PROVISIONAL);
	assert_int_equal(e.ice, SH_ICE_NEW);
	assert_int_equal(check(&e, &i, 2, false, 20, S), DP_ICE_VALID);
	assert_true(at(&e, 1));
	assert_int_equal(check(&e, &i, 2, true, 20, 2 * S), DP_ICE_NOMINATED);
	assert_true(at(&e, 2));
	assert_int_equal(e.ice, SH_ICE_CONNECTED);
	assert_int_equal(check(&e, &i, 2, false, 20, 3 * S),
	                 DP_ICE_CONSENT); // without USE-CANDIDATE from now on
	assert_int_equal(e.consent_at_ns, 3 * S);
	assert_int_equal(check(&e, &i, 1, false, 30, 4 * S), DP_ICE_VALID);
	assert_int_equal(e.consent_at_ns, 3 * S); // another path says nothing of this one
	assert_true(at(&e, 2));
}

static void provisional_then_nominated(void **state)
{
	struct sh_endpoint e = {0};
	struct dp_ice i = {0};

	check(&e, &i, 1, false, 10, S);
	assert_int_equal(check(&e, &i, 1, true, 10, S), DP_ICE_NOMINATED);
}

static void moves_when_nominated(void **state)
{
	struct sh_endpoint e = {0};
	struct dp_ice i = {0};

	check(&e, &i, 1, true, 100, S);
	assert_int_equal(check(&e, &i, 2, true, 1, 2 * S),
	                 DP_ICE_MOVED); // Wi-Fi to LTE: at once, if worse
	assert_true(at(&e, 2));
	assert_int_equal(check(&e, &i, 1, true, 100, 3 * S), DP_ICE_MOVED); // and back
	assert_true(at(&e, 1));
}

/* RFC 5245: USE-CANDIDATE on every pair, all the time. */
static void aggressive(void **state)
{
	struct sh_endpoint e = {0};
	struct dp_ice i = {0};
	unsigned moves = 0;

	for (unsigned n = 0; n < 100; n++) {
		moves += check(&e, &i, 1, true, 100, S + n * S / 10) == DP_ICE_MOVED;
		moves += check(&e, &i, 2, true, 50, S + n * S / 10) == DP_ICE_MOVED;
	}
	assert_true(at(&e, 1));
	assert_in_range(moves, 1, 4);
}

static void consent(void **state)
{
	struct sh_endpoint e = {0};
	struct dp_ice i = {0};

	assert_false(dp_ice_expired(&e, 100 * S, DP_CONSENT_NS));
	check(&e, &i, 1, true, 1, 10 * S);
	assert_false(dp_ice_expired(&e, 40 * S - 1, DP_CONSENT_NS));
	assert_true(dp_ice_expired(&e, 40 * S, DP_CONSENT_NS));
	assert_int_equal(e.ice, SH_ICE_DISCONNECTED);
	assert_false(dp_ice_expired(&e, 41 * S, DP_CONSENT_NS)); // said once
	assert_int_equal(check(&e, &i, 1, false, 1, 42 * S), DP_ICE_RESUMED);
	assert_int_equal(e.ice, SH_ICE_CONNECTED);
	assert_true(dp_ice_expired(&e, 72 * S, DP_CONSENT_NS));
	assert_int_equal(check(&e, &i, 3, false, 1, 73 * S),
	                 DP_ICE_VALID); // elsewhere: only when nominated
	assert_int_equal(e.ice, SH_ICE_DISCONNECTED);
	assert_int_equal(check(&e, &i, 3, true, 1, 74 * S), DP_ICE_MOVED);
	assert_int_equal(e.ice, SH_ICE_CONNECTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(late_nomination),
	    cmocka_unit_test(provisional_then_nominated),
	    cmocka_unit_test(moves_when_nominated),
	    cmocka_unit_test(aggressive),
	    cmocka_unit_test(consent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
