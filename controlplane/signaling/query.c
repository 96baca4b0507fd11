#include "controlplane/signaling/query.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes [p, end) into buf; false when it is malformed or does not fit. */
static bool decode(char *buf, size_t size, const char *p, const char *end)
{
	size_t n = 0;

	while (p < end) {
		char c = *p++;

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			if (end - p < 2 || hex(p[0]) < 0 || hex(p[1]) < 0)
				return false;
			c = (char)(hex(p[0]) << 4 | hex(p[1]));
			p += 2;
		}
		if (!c || n + 1 >= size)
			return false;
		buf[n++] = c;
	}
	buf[n] = '\0';
	return true;
}

bool cp_query_get(const char *query, const char *name, char *buf, size_t size)
{
	char key[64];
	const char *p = query;

	if (!size)
		return false;
	buf[0] = '\0';
	while (*p) {
		const char *end = strchrnul(p, '&');
		const char *eq = memchr(p, '=', (size_t)(end - p));
		const char *key_end = eq ? eq : end;

		if (decode(key, sizeof(key), p, key_end) && !strcmp(key, name)) {
			if (decode(buf, size, eq ? eq + 1 : end, end))
				return true;
			buf[0] = '\0';
			return false;
		}
		p = *end ? end + 1 : end;
	}
	return false;
}

size_t cp_percent_encode(char *dst, size_t at, size_t size, const char *text, size_t len,
                         const char *keep)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)text[i];
		bool plain =
		    (c < 128 && isalnum(c)) || (c && strchr("-._~", c)) || (c && strchr(keep, c));

		if (at + (plain ? 1 : 3) >= size)
			return (size_t)-1;
		if (plain) {
			dst[at++] = (char)c;
		} else {
			dst[at++] = '%';
			dst[at++] = digits[c >> 4];
			dst[at++] = digits[c & 15];
		}
	}
	if (at >= size)
		return (size_t)-1;
	dst[at] = '\0';
	return at;
}

bool cp_utf8_valid(const char *text, size_t len)
{
	const uint8_t *p = (const uint8_t *)text, *end = p + len;

	while (p < end) {
		uint8_t c = *p++;
		uint8_t lo = 0x80, hi = 0xbf; // of the second byte (RFC 3629 §4)
		int more;

		if (c < 0x80)
			continue;
		if (c >= 0xc2 && c <= 0xdf)
			more = 1;
		else if (c >= 0xe0 && c <= 0xef)
			more = 2;
		else if (c >= 0xf0 && c <= 0xf4)
			more = 3;
		else
			return false;
		if (c == 0xe0)
			lo = 0xa0;
		else if (c == 0xed)
			hi = 0x9f;
		else if (c == 0xf0)
			lo = 0x90;
		else if (c == 0xf4)
			hi = 0x8f;
		if (end - p < more)
			return false;
		for (; more; more--, p++) {
			if (*p < lo || *p > hi)
				return false;
			lo = 0x80;
			hi = 0xbf;
		}
	}
	return true;
}
