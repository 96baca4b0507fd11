#include "bench/loadgen/bencode.h"
#include <stdio.h>
#include <string.h>

enum { DEPTH = 16 };

static void put(struct lg_bencode *b, const char *p, size_t len)
{
	if (b->len + len <= b->size)
		memcpy(b->p + b->len, p, len);
	b->len += len;
}

static void put_text(struct lg_bencode *b, const char *text)
{
	char head[24];
	size_t n = strlen(text);

	put(b, head, (size_t)snprintf(head, sizeof(head), "%zu:", n));
	put(b, text, n);
}

void lg_bencode_begin(struct lg_bencode *b, char *buf, size_t size)
{
	*b = (struct lg_bencode){buf, size, 0};
	put(b, "d", 1);
}

void lg_bencode_text(struct lg_bencode *b, const char *key, const char *value)
{
	put_text(b, key);
	put_text(b, value);
}

void lg_bencode_list(struct lg_bencode *b, const char *key, const char *const *value, unsigned n)
{
	put_text(b, key);
	put(b, "l", 1);
	for (unsigned i = 0; i < n; i++)
		put_text(b, value[i]);
	put(b, "e", 1);
}

size_t lg_bencode_end(struct lg_bencode *b)
{
	put(b, "e", 1);
	return b->len <= b->size ? b->len : 0;
}

/* A string at p; its text, and what follows it in *next. */
static const char *string_at(const char *p, const char *end, size_t *len, const char **next)
{
	size_t n = 0;

	if (p >= end || *p < '0' || *p > '9')
		return NULL;
	while (p < end && *p >= '0' && *p <= '9') {
		n = n * 10 + (size_t)(*p++ - '0');
		if (n > 1 << 24)
			return NULL;
	}
	if (p >= end || *p++ != ':' || n > (size_t)(end - p))
		return NULL;
	*len = n;
	*next = p + n;
	return p;
}

/* Past a value of any kind; NULL: malformed. */
static const char *skip(const char *p, const char *end, unsigned depth)
{
	const char *next;
	size_t len;

	if (p >= end || depth == DEPTH)
		return NULL;
	if (*p == 'i') {
		p = memchr(p, 'e', (size_t)(end - p));
		return p ? p + 1 : NULL;
	}
	if (*p != 'l' && *p != 'd')
		return string_at(p, end, &len, &next) ? next : NULL;
	for (p++; p && p < end && *p != 'e';)
		p = skip(p, end, depth + 1);
	return p && p < end ? p + 1 : NULL;
}

const char *lg_bencode_find(const char *p, size_t len, const char *key, size_t *value_len)
{
	const char *end = p + len;

	if (!len || *p++ != 'd')
		return NULL;
	while (p && p < end && *p != 'e') {
		const char *next;
		size_t n;
		const char *k = string_at(p, end, &n, &next);

		if (!k)
			return NULL;
		if (n == strlen(key) && memcmp(k, key, n) == 0)
			return string_at(next, end, value_len, &next);
		p = skip(next, end, 0);
	}
	return NULL;
}
