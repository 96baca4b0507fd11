/* Tokens of any shape against a key. Nothing that was not signed with it may pass, and our own
 * always does. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/signaling/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
	if (!truth)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cp_token_key key = {.bytes = "a key that no input of a fuzzer guesses",
	                                        .len = 40};
	struct cp_token t = {.sub = "fuzz", .iat = 1000, .exp = 2000}, u;
	char *text = malloc(size + 1), *own = NULL;
	size_t n = size < 64 ? size : 64;

	memcpy(text, data, size);
	text[size] = '\0';
	require(cp_token_verify(&u, &key, text, 1500) != 0);
	cp_token_header_check(text, strlen(text));
	/* the input as a display name: made, read back, or refused as a whole */
	memcpy(t.name, data, n);
	if (!cp_token_make(&own, &key, &t)) {
		int err = cp_token_verify(&u, &key, own, 1500);

		require(err == 0 || err == -EBADMSG || err == -EACCES);
		require(err || !strcmp(u.name, t.name));
		free(own);
	}
	free(text);
	return 0;
}
