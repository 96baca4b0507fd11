/* Percent-coding and query strings (RFC 3986 §2.1, and + for a space as HTML forms write it). Pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* The value of the first parameter called name, decoded, into buf[size] with a NUL. false: absent,
 * a broken % sequence, a NUL inside, or longer than size - 1. */
bool cp_query_get(const char *query, const char *name, char *buf, size_t size);
/* Appends text[len] to dst[size] with everything but unreserved characters and `keep` as %XX;
 * NUL-terminates. Returns the new length, or (size_t)-1: no room. */
size_t cp_percent_encode(char *dst, size_t at, size_t size, const char *text, size_t len,
                         const char *keep);
/* Well-formed UTF-8 (RFC 3629): shortest form, no surrogates, at most U+10FFFF. */
bool cp_utf8_valid(const char *text, size_t len);
