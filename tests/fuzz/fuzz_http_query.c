/* Query strings and UTF-8. Input: name, NUL, query. What a decoder takes must be the same after
 * encoding it again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/signaling/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
	if (!truth)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = memchr(data, 0, size);
	size_t name_len = nul ? (size_t)(nul - data) : 0;
	char *name = malloc(name_len + 1), *query = malloc(size + 1), *again = malloc(3 * size + 8);
	char value[64], second[64], tight[4];
	size_t n = 0;

	memcpy(name, data, name_len);
	name[name_len] = '\0';
	if (nul)
		n = size - name_len - 1;
	memcpy(query, nul ? nul + 1 : data, n);
	query[n] = '\0';
	cp_utf8_valid((const char *)data, size);
	if (cp_query_get(query, name, value, sizeof(value))) {
		require(strlen(value) < sizeof(value));
		n = cp_percent_encode(again, 0, 3 * size + 8, name, name_len, "");
		require(n != (size_t)-1);
		again[n++] = '=';
		require(cp_percent_encode(again, n, 3 * size + 8, value, strlen(value), "") !=
		        (size_t)-1);
		require(cp_query_get(again, name, second, sizeof(second)) &&
		        !strcmp(value, second));
		require(cp_query_get(query, name, tight, sizeof(tight)) ==
		        (strlen(value) < sizeof(tight)));
	} else {
		require(value[0] == '\0');
	}
	free(again);
	free(query);
	free(name);
	return 0;
}
