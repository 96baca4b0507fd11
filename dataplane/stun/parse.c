/* A STUN message in, RFC 8489 §6, §14; ICE attributes, RFC 8445 §16.1.
 *
 * parse.c finds the attributes, integrity.c has the two checksums, write.c makes messages,
 * respond.c the answers of an ICE-lite server. Nothing is kept between calls. */
#include "dataplane/stun/internal.h"
#include <errno.h>
#include <string.h>

enum { USERNAME_MAX = 513, METHOD_MASK = 0x3EEF, METHOD_BINDING = 1 };

static int parse_address(struct sh_addr *a, const uint8_t *v, uint32_t len, const uint8_t *buf)
{
	uint8_t pad[16];
	uint32_t n;

	if (len < 8 || (v[1] != 1 && v[1] != 2))
		return -EBADMSG;
	n = v[1] == 1 ? 4 : 16;
	if (len != 4 + n)
		return -EBADMSG;
	memcpy(pad, buf + 4, sizeof(pad)); // cookie, then transaction id (§14.2)
	memset(a, 0, sizeof(*a));
	a->family = v[1] == 1 ? 4 : 6;
	a->port = dp_get16(v + 2) ^ dp_get16(pad);
	for (uint32_t i = 0; i < n; i++)
		a->ip[i] = v[4 + i] ^ pad[i];
	return 0;
}

static void note_unknown(struct dp_stun_msg *m, uint16_t attr)
{
	if (attr < 0x8000 && m->unknown_count < DP_STUN_UNKNOWN_MAX)
		m->unknown[m->unknown_count++] = attr;
}

static int parse_ice_role(struct dp_stun_msg *m, uint8_t flag, const uint8_t *v, uint32_t len)
{
	if (len != 8)
		return -EBADMSG;
	if (m->flags & (DP_STUN_HAS_CONTROLLING | DP_STUN_HAS_CONTROLLED))
		return 0;
	m->flags |= flag;
	m->tie_breaker = (uint64_t)dp_get32(v) << 32 | dp_get32(v + 4);
	return 0;
}

/* An attribute in front of any integrity attribute; v is its value. */
static int parse_attr(struct dp_stun_msg *m, uint16_t attr, const uint8_t *v, uint32_t len)
{
	switch (attr) {
	case DP_STUN_USERNAME:
		if (len > USERNAME_MAX)
			return -EBADMSG;
		if (!m->username_off) {
			m->username_off = v - m->buf;
			m->username_len = len;
		}
		return 0;
	case DP_STUN_PRIORITY:
		if (len != 4)
			return -EBADMSG;
		if (!(m->flags & DP_STUN_HAS_PRIORITY))
			m->priority = dp_get32(v);
		m->flags |= DP_STUN_HAS_PRIORITY;
		return 0;
	case DP_STUN_USE_CANDIDATE:
		m->flags |= DP_STUN_HAS_USE_CANDIDATE;
		return 0;
	case DP_STUN_ICE_CONTROLLED:
		return parse_ice_role(m, DP_STUN_HAS_CONTROLLED, v, len);
	case DP_STUN_ICE_CONTROLLING:
		return parse_ice_role(m, DP_STUN_HAS_CONTROLLING, v, len);
	case DP_STUN_ERROR_CODE:
		if (len < 4 || (v[2] & 7) < 3 || (v[2] & 7) > 6 || v[3] > 99)
			return -EBADMSG;
		if (!m->error)
			m->error = (v[2] & 7) * 100 + v[3];
		return 0;
	case DP_STUN_XOR_MAPPED_ADDRESS:
		if (m->flags & DP_STUN_HAS_MAPPED)
			return 0;
		m->flags |= DP_STUN_HAS_MAPPED;
		return parse_address(&m->mapped, v, len, m->buf);
	case DP_STUN_MAPPED_ADDRESS: // known, and of no use to us
	case DP_STUN_UNKNOWN_ATTRIBUTES:
	case DP_STUN_REALM:
	case DP_STUN_NONCE:
		return 0;
	default:
		note_unknown(m, attr);
		return 0;
	}
}

/* MESSAGE-INTEGRITY, then MESSAGE-INTEGRITY-SHA256, then FINGERPRINT; whatever else stands behind
 * the first of them is ignored (§14.5, §14.6). */
static int parse_trailer(struct dp_stun_msg *m, uint16_t attr, uint32_t at, uint32_t len)
{
	const uint8_t *v = m->buf + at + STUN_ATTR_HEAD;

	switch (attr) {
	case DP_STUN_MESSAGE_INTEGRITY:
		if (len != STUN_SHA1_LEN)
			return -EBADMSG;
		if (!m->mi_off && !m->mi256_off)
			m->mi_off = at;
		return 0;
	case DP_STUN_MESSAGE_INTEGRITY_SHA256:
		if (len < 16 || len > STUN_SHA256_LEN || len % 4)
			return -EBADMSG;
		if (!m->mi256_off) {
			m->mi256_off = at;
			m->mi256_len = len;
		}
		return 0;
	case DP_STUN_FINGERPRINT:
		if (len != 4 || at + STUN_ATTR_HEAD + len != m->len ||
		    dp_get32(v) != (dp_stun_crc32(m->buf, at) ^ STUN_FINGERPRINT_XOR))
			return -EBADMSG;
		m->flags |= DP_STUN_HAS_FINGERPRINT;
		return 0;
	default:
		return m->mi_off || m->mi256_off ? 0 : parse_attr(m, attr, v, len);
	}
}

int dp_stun_parse(struct dp_stun_msg *out, const uint8_t *buf, uint32_t len)
{
	if (!dp_stun_is(buf, len) || len > UINT16_MAX || len % 4 ||
	    dp_get16(buf + 2) != len - DP_STUN_HDR)
		return -EBADMSG;
	memset(out, 0, sizeof(*out));
	out->buf = buf;
	out->len = len;
	out->type = dp_get16(buf);
	for (uint32_t at = DP_STUN_HDR, next; at < len; at = next) {
		uint32_t n = dp_get16(buf + at + 2);
		int err;

		next = at + STUN_ATTR_HEAD + ((n + 3) & ~3u);
		if (next > len)
			return -EBADMSG;
		err = parse_trailer(out, dp_get16(buf + at), at, n);
		if (err)
			return err;
	}
	return (out->type & METHOD_MASK) == METHOD_BINDING ? 0 : -EOPNOTSUPP;
}

int dp_stun_ufrag(const struct dp_stun_msg *m, const uint8_t **ufrag, uint32_t *len)
{
	const uint8_t *name = m->buf + m->username_off, *colon;

	if (!m->username_off)
		return -ENOENT;
	colon = memchr(name, ':', m->username_len);
	if (!colon || colon == name)
		return -EBADMSG;
	*ufrag = name;
	*len = colon - name;
	return 0;
}
