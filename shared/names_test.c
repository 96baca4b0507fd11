/* Counters' names, addresses as text, secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "shared/addr.h"
#include "shared/secret.h"
#include "shared/stats.h"

static void counters(void **state)
{
	static const char *const symbol[] = {
#define X(sym, kind, help) #sym,
#include "shared/stats.def"
#undef X
	};

	for (unsigned i = 0; i < SH_STAT_COUNT; i++) {
		bool drop = !strncmp(symbol[i], "drop_", 5);
		assert_int_equal(sh_stat_info[i].kind,
		                 drop ? SH_STAT_KIND_DROP : SH_STAT_KIND_COUNT);
		assert_string_equal(sh_stat_info[i].name, symbol[i] + (drop ? 5 : 0));
		assert_true(sh_stat_info[i].help[0]);
		/* Prometheus: [a-z_][a-z0-9_]* */
		assert_int_equal(
		    strspn(sh_stat_info[i].name, "abcdefghijklmnopqrstuvwxyz0123456789_"),
		    strlen(sh_stat_info[i].name));
	}
	assert_string_equal(sh_stat_info[SH_STAT_drop_srtp_auth].name, "srtp_auth");
}

static void addresses(void **state)
{
	static const struct {
		const char *in, *out; // out NULL: refused
	} t[] = {
	    {"192.0.2.1", "192.0.2.1:10000"},
	    {"2001:db8::1", "[2001:db8::1]:10000"},
	    {"::ffff:192.0.2.1", "[::ffff:192.0.2.1]:10000"},
	    {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
	     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:10000"},
	    {"", NULL},
	    {"192.0.2.1:80", NULL},
	    {"192.0.2.256", NULL},
	    {"192.0.2", NULL},
	    {"[2001:db8::1]", NULL},
	    {"fe80::1%lo", NULL},
	    {"example.org", NULL},
	};
	char buf[SH_ADDR_STR];
	struct sh_addr a;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(sh_addr_parse(&a, t[i].in), t[i].out ? 0 : -EINVAL);
		if (!t[i].out)
			continue;
		assert_int_equal(a.port, 0);
		a.port = 10000;
		assert_string_equal(sh_addr_str(&a, buf), t[i].out);
	}
	a = (struct sh_addr){0};
	assert_string_equal(sh_addr_str(&a, buf), "none");
}

static void secrets(void **state)
{
	struct sh_srtp_secret a, b;

	memset(&a, 0x5a, sizeof(a));
	b = a;
	assert_true(sh_secret_equal(&a, &b, sizeof(a)));
	for (size_t i = 0; i < sizeof(a); i++) {
		b.bytes[i] ^= 0x80;
		assert_false(sh_secret_equal(&a, &b, sizeof(a)));
		b.bytes[i] ^= 0x80;
	}
	sh_secret_wipe(&a, sizeof(a));
	for (size_t i = 0; i < sizeof(a); i++)
		assert_int_equal(a.bytes[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(counters),
	    cmocka_unit_test(addresses),
	    cmocka_unit_test(secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
