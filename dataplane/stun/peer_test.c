/* The same messages through libnice's STUN library: what it makes we accept, what we make it
 * accepts, and both refuse the same damaged ones. */
#include "dataplane/stun/internal.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <stun/stunagent.h>
#include <stun/usages/ice.h>

static uint8_t pwd[] = "VOkJxbRl1RmTxUk/WvJxBt";
static uint8_t user[] = "evtj:h6vY";
static StunDefaultValidaterData known[] = {{user, 9, pwd, 22}, {NULL, 0, NULL, 0}};

static void agent_init(StunAgent *a)
{
	stun_agent_init(a, STUN_ALL_KNOWN_ATTRIBUTES, STUN_COMPATIBILITY_RFC5389,
	                STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS | STUN_AGENT_USAGE_USE_FINGERPRINT);
}

static size_t nice_check(StunAgent *a, StunMessage *m, uint8_t *buf, size_t room, bool controlling)
{
	return stun_usage_ice_conncheck_create(a, m, buf, room, user, 9, pwd, 22, true, controlling,
	                                       0x6e0001ff, 0x0102030405060708ull, "1",
	                                       STUN_USAGE_ICE_COMPATIBILITY_RFC5245);
}

static void we_answer_nice(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct sh_addr addr = {
		    .family = i ? 6 : 4, .port = 40000, .ip = {192, 0, 2, 9}};
		struct sockaddr_storage ss = {0};
		socklen_t ss_len = sizeof(ss);
		uint8_t out[1300], in[DP_STUN_RESPONSE_MAX];
		struct dp_stun_msg req;
		StunMessage m, r;
		StunAgent a;
		size_t len;
		int n;

		agent_init(&a);
		len = nice_check(&a, &m, out, sizeof(out), true);
		assert_true(len > 0);
		assert_int_equal(dp_stun_parse(&req, out, len), 0);
		assert_int_equal(dp_stun_check(&req, pwd, 22), 0);
		assert_int_equal(dp_stun_refusal(&req), 0);
		assert_int_equal(req.priority, 0x6e0001ff);
		assert_true(req.tie_breaker == 0x0102030405060708ull);
		assert_true(req.flags & DP_STUN_HAS_USE_CANDIDATE);
		n = dp_stun_success(in, sizeof(in), &req, &addr, pwd, 22);
		assert_true(n > 0);
		assert_int_equal(stun_agent_validate(&a, &r, in, n, NULL, NULL),
		                 STUN_VALIDATION_SUCCESS);
		assert_int_equal(stun_usage_ice_conncheck_process(
		                     &r, &ss, &ss_len, STUN_USAGE_ICE_COMPATIBILITY_RFC5245),
		                 STUN_USAGE_ICE_RETURN_SUCCESS);
		if (i) {
			struct sockaddr_in6 *s = (struct sockaddr_in6 *)&ss;

			assert_int_equal(ntohs(s->sin6_port), 40000);
			assert_memory_equal(&s->sin6_addr, addr.ip, 16);
		} else {
			struct sockaddr_in *s = (struct sockaddr_in *)&ss;

			assert_int_equal(ntohs(s->sin_port), 40000);
			assert_memory_equal(&s->sin_addr, addr.ip, 4);
		}
	}
}

static void nice_understands_errors(void **state)
{
	uint8_t out[1300], in[DP_STUN_RESPONSE_MAX];
	struct sockaddr_storage ss;
	socklen_t ss_len = sizeof(ss);
	struct dp_stun_msg req;
	StunMessage m, r;
	StunAgent a;
	size_t len;
	int n, code = 0;

	agent_init(&a);
	len = nice_check(&a, &m, out, sizeof(out), false);
	assert_int_equal(dp_stun_parse(&req, out, len), 0);
	assert_int_equal(dp_stun_check(&req, pwd, 22), 0);
	assert_int_equal(dp_stun_refusal(&req), 487);
	n = dp_stun_error(in, sizeof(in), &req, 487, pwd, 22);
	assert_int_equal(stun_agent_validate(&a, &r, in, n, NULL, NULL), STUN_VALIDATION_SUCCESS);
	assert_int_equal(stun_message_find_error(&r, &code), STUN_MESSAGE_RETURN_SUCCESS);
	assert_int_equal(code, 487);
	assert_int_equal(stun_usage_ice_conncheck_process(&r, &ss, &ss_len,
	                                                  STUN_USAGE_ICE_COMPATIBILITY_RFC5245),
	                 STUN_USAGE_ICE_RETURN_ROLE_CONFLICT);
}

/* Requests with random damage: we accept none that libnice refuses. The other way round it may be
 * laxer than the RFC where we are strict, and is allowed to be. */
static void same_verdict(void **state)
{
	unsigned accepted = 0;
	StunAgent maker, judge;

	srand(5);
	agent_init(&judge);
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t buf[1300];
		struct dp_stun_msg ours;
		StunMessage m, theirs;
		StunValidationStatus verdict;
		size_t len;
		bool ok;

		agent_init(&maker);
		len = nice_check(&maker, &m, buf, sizeof(buf), i & 1);
		for (int k = rand() % 3; k; k--)
			buf[rand() % len] ^= 1 << rand() % 8;
		if (i %
		    2) { // a right fingerprint over the damage, so that integrity has to find it
			dp_put32(buf + len - 4, dp_stun_crc32(buf, len - 8) ^ STUN_FINGERPRINT_XOR);
		}
		verdict = stun_agent_validate(&judge, &theirs, buf, len,
		                              stun_agent_default_validater, known);
		/* libnice was told to insist on FINGERPRINT, which we leave to integrity */
		ok = dp_stun_parse(&ours, buf, len) == 0 && ours.type == DP_STUN_BINDING_REQUEST &&
		     (ours.flags & DP_STUN_HAS_FINGERPRINT) && dp_stun_check(&ours, pwd, 22) == 0;
		if (ok && verdict != STUN_VALIDATION_SUCCESS)
			fail_msg("message %u: libnice says %d", i, verdict);
		accepted += ok;
	}
	assert_in_range(accepted, 6000, 8000); // a third had no damage
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(we_answer_nice),
	    cmocka_unit_test(nice_understands_errors),
	    cmocka_unit_test(same_verdict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
