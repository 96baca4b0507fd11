/* Shared by the files of this folder only. */
#pragma once
#include "dataplane/rtp/rtp.h"
#include "dataplane/stun/stun.h"

enum {
	STUN_ATTR_HEAD = 4,
	STUN_SHA1_LEN = 20,
	STUN_SHA256_LEN = 32,
	STUN_FINGERPRINT_XOR = 0x5354554e, // RFC 8489 §14.7
};

/* HMAC over msg[0..len) with its length field read as field (RFC 8489 §14.5: it counts up to and
 * with the integrity attribute). sha256: else SHA-1. out: STUN_SHA256_LEN or _SHA1_LEN bytes. */
void dp_stun_hmac(uint8_t *out, bool sha256, const uint8_t *key, uint32_t key_len,
                  const uint8_t *msg, uint32_t len, uint16_t field);
/* CRC-32 of ITU V.42. */
uint32_t dp_stun_crc32(const uint8_t *p, uint32_t len);
