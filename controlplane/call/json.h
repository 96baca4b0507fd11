/* JSON that is whole or not there: when memory runs out on the way, what was built so far is given
 * up, and the pointer is NULL from then on. So one look at the end is enough. All steal v. */
#pragma once
#include <jansson.h>
#include <stdlib.h>

static inline void cp_json_push(json_t **array, json_t *v)
{
	if (json_array_append_new(*array, v)) {
		json_decref(*array);
		*array = NULL;
	}
}

static inline void cp_json_put(json_t **object, const char *key, json_t *v)
{
	if (json_object_set_new(*object, key, v)) {
		json_decref(*object);
		*object = NULL;
	}
}

static inline void cp_json_merge(json_t **object, json_t *v)
{
	if (!v || json_object_update(*object, v)) {
		json_decref(*object);
		*object = NULL;
	}
	json_decref(v);
}

/* Compact text, free() it; NULL when memory ran out (or o is NULL). json_dumps() of jansson 2.14
 * would then leave keys out and say nothing. */
static inline char *cp_json_text(const json_t *o)
{
	size_t n = o ? json_dumpb(o, NULL, 0, JSON_COMPACT) : 0;
	char *text = n ? malloc(n + 1) : NULL;

	if (text && json_dumpb(o, text, n, JSON_COMPACT) != n) {
		free(text);
		return NULL;
	}
	if (text)
		text[n] = 0;
	return text;
}
