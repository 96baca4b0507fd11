#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "controlplane/signaling/query.h"

static void decoding(void **state)
{
	static const struct {
		const char *query, *name, *want; // NULL: refused
	} t[] = {
	    {"", "a", NULL},
	    {"a=1", "a", "1"},
	    {"a=1&b=2", "b", "2"},
	    {"b=2&a=1&a=3", "a", "1"},
	    {"a", "a", ""},
	    {"a=", "a", ""},
	    {"=x", "", "x"},
	    {"aa=1", "a", NULL},
	    {"a=1=2", "a", "1=2"},
	    {"a=%41%62%2B+c", "a", "Ab+ c"},
	    {"%61=1", "a", "1"},
	    {"a=%", "a", NULL},
	    {"a=%4", "a", NULL},
	    {"a=%4&b=1", "a", NULL},
	    {"a=%4&b=1", "b", "1"},
	    {"a=%zz", "a", NULL},
	    {"a=%00x", "a", NULL},
	    {"a=%C3%A9", "a", "\xc3\xa9"},
	    {"&&&a=1&", "a", "1"},
	    {"a=1234567", "a", "1234567"},
	    {"a=12345678", "a", NULL}, // 8 bytes with its NUL do not fit 8
	    {"b=12345678901234567890&a=1", "a", "1"},
	};
	char buf[8];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		bool got = cp_query_get(t[i].query, t[i].name, buf, sizeof(buf));

		if (got != (t[i].want != NULL) || (got && strcmp(buf, t[i].want) != 0))
			fail_msg("row %zu: %s[%s] gave %s", i, t[i].query, t[i].name,
			         got ? buf : "nothing");
		if (!got)
			assert_string_equal(buf, "");
	}
}

static void encoding_comes_back(void **state)
{
	char text[255], enc[1024], dec[256], query[1100] = "k=";
	size_t n;

	for (int i = 0; i < 255; i++)
		text[i] = (char)(i + 1);
	n = cp_percent_encode(enc, 0, sizeof(enc), text, sizeof(text), "");
	assert_int_equal(n, strlen(enc));
	strcat(query, enc);
	assert_true(cp_query_get(query, "k", dec, sizeof(dec)));
	assert_memory_equal(dec, text, sizeof(text));
	assert_int_equal(cp_percent_encode(enc, 0, 3, "a/", 2, ""), (size_t)-1);
	assert_int_equal(cp_percent_encode(enc, 0, 3, "a/", 2, "/"), 2);
	assert_string_equal(enc, "a/");
	assert_int_equal(cp_percent_encode(enc, 0, 0, "", 0, ""), (size_t)-1);
	assert_int_equal(cp_percent_encode(enc, 2, 16, "\0", 1, "/"), 5);
	assert_string_equal(enc, "a/%00");
}

static void utf8(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		bool good;
	} t[] = {
	    {"", 0, true},
	    {"plain", 5, true},
	    {"\0", 1, true},
	    {"\xc3\xa9", 2, true},
	    {"\xe2\x82\xac", 3, true},
	    {"\xf0\x9f\x98\x80", 4, true},
	    {"\xf4\x8f\xbf\xbf", 4, true},
	    {"\xed\x9f\xbf", 3, true},
	    {"\xee\x80\x80", 3, true},
	    {"\x80", 1, false},
	    {"\xc3", 1, false},
	    {"\xc3 ", 2, false},
	    {"\xc0\x80", 2, false},
	    {"\xc1\xbf", 2, false},
	    {"\xe0\x9f\xbf", 3, false},
	    {"\xed\xa0\x80", 3, false},
	    {"\xf0\x8f\xbf\xbf", 4, false},
	    {"\xf4\x90\x80\x80", 4, false},
	    {"\xf5\x80\x80\x80", 4, false},
	    {"\xe2\x82", 2, false},
	    {"\xf0\x9f\x98", 3, false},
	    {"\xff", 1, false},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		if (cp_utf8_valid(t[i].text, t[i].len) != t[i].good)
			fail_msg("row %zu", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(decoding),
	    cmocka_unit_test(encoding_comes_back),
	    cmocka_unit_test(utf8),
	};

	return cmocka_run_group_tests_name("query", tests, NULL, NULL);
}
