/* A STUN message out, attribute by attribute, with the length field right after each of them. */
#include "dataplane/stun/internal.h"
#include <errno.h>
#include <string.h>

void dp_stun_begin(struct dp_stun_out *o, uint8_t *buf, uint32_t room, uint16_t type,
                   const uint8_t txid[12])
{
	*o = (struct dp_stun_out){.buf = buf, .room = room, .full = room < DP_STUN_HDR};
	if (o->full)
		return;
	dp_put16(buf, type);
	dp_put16(buf + 2, 0);
	dp_put32(buf + 4, DP_STUN_COOKIE);
	memcpy(buf + 8, txid, 12);
	o->len = DP_STUN_HDR;
}

/* Head and zeroed, padded value of an attribute; the value, or NULL: no room. */
static uint8_t *append(struct dp_stun_out *o, uint16_t attr, uint32_t len)
{
	uint32_t padded = (len + 3) & ~3u;
	uint8_t *p = o->buf + o->len;

	if (o->full || len > UINT16_MAX || STUN_ATTR_HEAD + padded > o->room - o->len ||
	    o->len + STUN_ATTR_HEAD + padded > UINT16_MAX) {
		o->full = true;
		return NULL;
	}
	dp_put16(p, attr);
	dp_put16(p + 2, len);
	memset(p + STUN_ATTR_HEAD, 0, padded);
	o->len += STUN_ATTR_HEAD + padded;
	dp_put16(o->buf + 2, o->len - DP_STUN_HDR);
	return p + STUN_ATTR_HEAD;
}

void dp_stun_put(struct dp_stun_out *o, uint16_t attr, const void *value, uint32_t len)
{
	uint8_t *v = append(o, attr, len);

	if (v && len)
		memcpy(v, value, len);
}

void dp_stun_put_xor_addr(struct dp_stun_out *o, uint16_t attr, const struct sh_addr *a)
{
	uint32_t n = a->family == 4 ? 4 : 16;
	uint8_t *v = append(o, attr, 4 + n);

	if (!v)
		return;
	v[1] = a->family == 4 ? 1 : 2;
	dp_put16(v + 2, a->port ^ DP_STUN_COOKIE >> 16);
	for (uint32_t i = 0; i < n; i++)
		v[4 + i] = a->ip[i] ^ o->buf[4 + i]; // cookie, then transaction id (RFC 8489 §14.2)
}

static void put_hmac(struct dp_stun_out *o, bool sha256, const uint8_t *key, uint32_t key_len)
{
	uint32_t n = sha256 ? STUN_SHA256_LEN : STUN_SHA1_LEN, covered = o->len;
	uint8_t *v =
	    append(o, sha256 ? DP_STUN_MESSAGE_INTEGRITY_SHA256 : DP_STUN_MESSAGE_INTEGRITY, n);

	if (v)
		dp_stun_hmac(v, sha256, key, key_len, o->buf, covered, o->len - DP_STUN_HDR);
}

void dp_stun_put_integrity(struct dp_stun_out *o, const uint8_t *key, uint32_t key_len)
{
	put_hmac(o, false, key, key_len);
}

void dp_stun_put_integrity_sha256(struct dp_stun_out *o, const uint8_t *key, uint32_t key_len)
{
	put_hmac(o, true, key, key_len);
}

void dp_stun_put_fingerprint(struct dp_stun_out *o)
{
	uint32_t covered = o->len;
	uint8_t *v = append(o, DP_STUN_FINGERPRINT, 4);

	if (v)
		dp_put32(v, dp_stun_crc32(o->buf, covered) ^ STUN_FINGERPRINT_XOR);
}

int dp_stun_end(const struct dp_stun_out *o)
{
	return o->full ? -ENOSPC : (int)o->len;
}
