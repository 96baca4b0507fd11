/* MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT, RFC 8489 §14.5 to §14.7; HMAC, RFC
 * 2104. OpenSSL's SHA1_* and SHA256_* work on a context of ours: no allocation, no lock, no
 * provider look-up, unlike its EVP and HMAC interfaces; that is why the deprecated names are used
 * here. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "dataplane/stun/internal.h"
#include <errno.h>
#include <openssl/sha.h>
#include <string.h>
#include "shared/secret.h"

enum { BLOCK = 64 };

struct sha {
	bool sha256;
	union {
		SHA_CTX one;
		SHA256_CTX two;
	};
};

static void sha_init(struct sha *s, bool sha256)
{
	s->sha256 = sha256;
	if (sha256)
		SHA256_Init(&s->two);
	else
		SHA1_Init(&s->one);
}

static void sha_add(struct sha *s, const void *p, uint32_t len)
{
	if (s->sha256)
		SHA256_Update(&s->two, p, len);
	else
		SHA1_Update(&s->one, p, len);
}

static uint32_t sha_end(struct sha *s, uint8_t *out)
{
	if (s->sha256)
		SHA256_Final(out, &s->two);
	else
		SHA1_Final(out, &s->one);
	return s->sha256 ? STUN_SHA256_LEN : STUN_SHA1_LEN;
}

void dp_stun_hmac(uint8_t *out, bool sha256, const uint8_t *key, uint32_t key_len,
                  const uint8_t *msg, uint32_t len, uint16_t field)
{
	uint8_t pad[BLOCK] = {0}, length[2];
	struct sha s;
	uint32_t n;

	if (key_len > BLOCK) {
		sha_init(&s, sha256);
		sha_add(&s, key, key_len);
		sha_end(&s, pad);
	} else if (key_len) {
		memcpy(pad, key, key_len);
	}
	for (int i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36;
	dp_put16(length, field);
	sha_init(&s, sha256);
	sha_add(&s, pad, BLOCK);
	sha_add(&s, msg, 2);
	sha_add(&s, length, 2);
	sha_add(&s, msg + 4, len - 4);
	n = sha_end(&s, out);
	for (int i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	sha_init(&s, sha256);
	sha_add(&s, pad, BLOCK);
	sha_add(&s, out, n);
	sha_end(&s, out);
	sh_secret_wipe(pad, sizeof(pad));
	sh_secret_wipe(&s, sizeof(s));
}

int dp_stun_check(const struct dp_stun_msg *m, const uint8_t *pwd, uint32_t pwd_len)
{
	bool sha256 = m->mi256_off;
	uint32_t off = sha256 ? m->mi256_off : m->mi_off;
	uint32_t len = sha256 ? m->mi256_len : STUN_SHA1_LEN;
	uint8_t mac[STUN_SHA256_LEN];

	if (!off)
		return -ENOENT;
	dp_stun_hmac(mac, sha256, pwd, pwd_len, m->buf, off,
	             off + STUN_ATTR_HEAD + len - DP_STUN_HDR);
	return sh_secret_equal(mac, m->buf + off + STUN_ATTR_HEAD, len) ? 0 : -EKEYREJECTED;
}

uint32_t dp_stun_crc32(const uint8_t *p, uint32_t len)
{
	/* reflected 0xEDB88320, four bits at a time: messages are some hundred bytes */
	static const uint32_t nibble[16] = {
	    0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
	    0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
	    0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	uint32_t crc = ~0u;

	for (uint32_t i = 0; i < len; i++) {
		crc ^= p[i];
		crc = crc >> 4 ^ nibble[crc & 15];
		crc = crc >> 4 ^ nibble[crc & 15];
	}
	return ~crc;
}
