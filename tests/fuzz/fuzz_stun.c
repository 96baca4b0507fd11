/* STUN: parse, check, answer, and the answer parsed. Input: flags byte, then the message. With flag
 * 1 the message gets a right MESSAGE-INTEGRITY (flag 2: SHA-256 too) and FINGERPRINT, so that what
 * is behind authentication is reached. */
#include "dataplane/stun/stun.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t pwd[] = "VOkJxbRl1RmTxUk/WvJxBt";
enum { PWD_LEN = sizeof(pwd) - 1, TRAILER = 24 + 36 + 8 };

static void require(bool truth)
{
	if (!truth)
		abort();
}

static void check_answer(const uint8_t *buf, int n, const struct dp_stun_msg *req, unsigned error)
{
	struct dp_stun_msg m;

	require(n > 0 && n <= DP_STUN_RESPONSE_MAX);
	require(dp_stun_parse(&m, buf, n) == 0 && m.error == error);
	require(m.flags & DP_STUN_HAS_FINGERPRINT);
	require(dp_stun_check(&m, pwd, PWD_LEN) == 0);
	require(!memcmp(m.buf + 8, req->buf + 8, 12));
}

static void serve(const struct dp_stun_msg *m)
{
	struct sh_addr addr = {.family = m->buf[8] & 1 ? 4 : 6, .port = m->priority};
	uint8_t out[DP_STUN_RESPONSE_MAX];
	const uint8_t *ufrag;
	unsigned code;
	uint32_t len;

	if (dp_stun_ufrag(m, &ufrag, &len) == 0)
		require(len && ufrag[len] == ':' && !memchr(ufrag, ':', len));
	if (dp_stun_check(m, pwd, PWD_LEN))
		return;
	code = dp_stun_refusal(m);
	require(!m->unknown_count || code == 420);
	if (code)
		check_answer(out, dp_stun_error(out, sizeof(out), m, code, pwd, PWD_LEN), m, code);
	else
		check_answer(out, dp_stun_success(out, sizeof(out), m, &addr, pwd, PWD_LEN), m, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dp_stun_msg m;
	uint8_t *buf;
	uint32_t len;

	if (size < 1 || size > 4096)
		return 0;
	len = size - 1;
	buf = malloc(len + TRAILER);
	memcpy(buf, data + 1, len);
	if ((data[0] & 1) && len >= DP_STUN_HDR && len % 4 == 0) {
		struct dp_stun_out o = {buf, len + TRAILER, len, false};

		dp_stun_put_integrity(&o, pwd, PWD_LEN);
		if (data[0] & 2)
			dp_stun_put_integrity_sha256(&o, pwd, PWD_LEN);
		dp_stun_put_fingerprint(&o);
		len = dp_stun_end(&o);
	}
	buf = realloc(buf, len ? len : 1);
	if (dp_stun_parse(&m, buf, len) == 0)
		serve(&m);
	free(buf);
	return 0;
}
