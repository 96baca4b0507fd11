/* Bencode (BEP 3), as rtpengine's ng protocol has it: dictionaries of strings and lists of strings.
 * Pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct lg_bencode {
	char *p;
	size_t size, len; // len over size: did not fit
};
void lg_bencode_begin(struct lg_bencode *b, char *buf, size_t size); // a dictionary
void lg_bencode_text(struct lg_bencode *b, const char *key, const char *value);
void lg_bencode_list(struct lg_bencode *b, const char *key, const char *const *value, unsigned n);
/* Returns the length, or 0 when it did not fit. */
size_t lg_bencode_end(struct lg_bencode *b);

/* The string that a dictionary at p has under key, and its length; NULL: none, or malformed. */
const char *lg_bencode_find(const char *p, size_t len, const char *key, size_t *value_len);
