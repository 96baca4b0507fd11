/* STUN for an ICE-lite server: Binding requests in, responses out. RFC 8489; RFC 8445 §7.3 (ICE),
 * RFC 7675.
 *
 * Order of use (state moves only after authentication):
 *   dp_stun_parse → dp_stun_ufrag, find the endpoint → dp_stun_check with its pwd → dp_stun_refusal
 *   → dp_stun_success or dp_stun_error.
 *
 * Pure code: no clock, no allocation, no lock, no DPDK. SHA-1, SHA-256: OpenSSL's low-level block
 * functions, which neither allocate nor lock. buf/len is one UDP payload; nothing outside it is
 * read. Any thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shared/addr.h"

enum {
	DP_STUN_HDR = 20,
	DP_STUN_COOKIE = 0x2112A442,
	DP_STUN_UNKNOWN_MAX = 8,
	DP_STUN_RESPONSE_MAX = 128, // room that a success or error response never passes
};

enum dp_stun_type {
	DP_STUN_BINDING_REQUEST = 0x0001,
	DP_STUN_BINDING_INDICATION = 0x0011,
	DP_STUN_BINDING_SUCCESS = 0x0101,
	DP_STUN_BINDING_ERROR = 0x0111,
};

enum dp_stun_attr {
	DP_STUN_MAPPED_ADDRESS = 0x0001,
	DP_STUN_USERNAME = 0x0006,
	DP_STUN_MESSAGE_INTEGRITY = 0x0008,
	DP_STUN_ERROR_CODE = 0x0009,
	DP_STUN_UNKNOWN_ATTRIBUTES = 0x000A,
	DP_STUN_REALM = 0x0014,
	DP_STUN_NONCE = 0x0015,
	DP_STUN_MESSAGE_INTEGRITY_SHA256 = 0x001C,
	DP_STUN_XOR_MAPPED_ADDRESS = 0x0020,
	DP_STUN_PRIORITY = 0x0024,
	DP_STUN_USE_CANDIDATE = 0x0025,
	DP_STUN_SOFTWARE = 0x8022,
	DP_STUN_FINGERPRINT = 0x8028,
	DP_STUN_ICE_CONTROLLED = 0x8029,
	DP_STUN_ICE_CONTROLLING = 0x802A,
};

enum dp_stun_flags {
	DP_STUN_HAS_PRIORITY = 1,
	DP_STUN_HAS_USE_CANDIDATE = 2,
	DP_STUN_HAS_CONTROLLING = 4,
	DP_STUN_HAS_CONTROLLED = 8,
	DP_STUN_HAS_FINGERPRINT = 16, // present and right
	DP_STUN_HAS_MAPPED = 32,      // in responses
};

struct dp_stun_msg {
	const uint8_t *buf;                  // the message; transaction id is buf + 8, 12 bytes
	uint16_t len, type;                  // type: enum dp_stun_type
	uint16_t username_off, username_len; // off 0: none
	uint16_t mi_off, mi256_off;          // of the attribute head; 0: none
	uint16_t mi256_len;                  // of its value: 16..32, multiple of 4
	uint8_t flags, unknown_count;
	uint32_t priority;
	uint64_t tie_breaker;
	uint16_t unknown[DP_STUN_UNKNOWN_MAX]; // comprehension-required ones that we don't know
	uint16_t error;                        // 300..699, in error responses
	struct sh_addr mapped;                 // DP_STUN_HAS_MAPPED
};

/* Looks like STUN: first two bits, cookie and length (RFC 8489 §5); enough to choose a node. */
static inline bool dp_stun_is(const uint8_t *buf, uint32_t len)
{
	return len >= DP_STUN_HDR && buf[0] < 4 && buf[4] == 0x21 && buf[5] == 0x12 &&
	       buf[6] == 0xA4 && buf[7] == 0x42;
}

/* -EBADMSG: header, cookie, length or an attribute is malformed, or FINGERPRINT is wrong or not
 * last; -EOPNOTSUPP: well-formed, but no Binding message. Attributes after MESSAGE-INTEGRITY are
 * ignored (but MESSAGE-INTEGRITY-SHA256 and FINGERPRINT), and of one that comes twice the first
 * counts. */
int dp_stun_parse(struct dp_stun_msg *out, const uint8_t *buf, uint32_t len);

/* Our ufrag in a check sent to us: USERNAME up to ':' (RFC 8445 §7.2.2). -ENOENT: no USERNAME;
 * -EBADMSG: no colon, or empty. *ufrag points into the message. */
int dp_stun_ufrag(const struct dp_stun_msg *m, const uint8_t **ufrag, uint32_t *len);

/* MESSAGE-INTEGRITY-SHA256 if there (RFC 8489 §9.1.3), else MESSAGE-INTEGRITY, against a short-term
 * password. 0; -ENOENT: neither is there; -EKEYREJECTED: wrong. Constant time in the compare. */
int dp_stun_check(const struct dp_stun_msg *m, const uint8_t *pwd, uint32_t pwd_len);

/* After dp_stun_check: the error to answer an authenticated request with, or 0.
 * 420: unknown comprehension-required attributes; 487: the peer thinks that it is controlled, which
 * we, being lite, always are (RFC 8445 §7.3.1.1). */
unsigned dp_stun_refusal(const struct dp_stun_msg *m);

/* Responses to m into buf[room]; the length, or -ENOSPC. Signed with pwd in the way that the
 * request was; errors with pwd NULL are unsigned (400 and 401, RFC 8489 §9.1.3). code: 400, 401,
 * 420, 487 (others get an empty reason). 420 lists m->unknown. */
int dp_stun_success(uint8_t *buf, uint32_t room, const struct dp_stun_msg *m,
                    const struct sh_addr *mapped, const uint8_t *pwd, uint32_t pwd_len);
int dp_stun_error(uint8_t *buf, uint32_t room, const struct dp_stun_msg *m, unsigned code,
                  const uint8_t *pwd, uint32_t pwd_len);

/* ---- writing any message, attribute by attribute (write.c) ---- */

struct dp_stun_out {
	uint8_t *buf;
	uint32_t room, len;
	bool full; // something did not fit: dp_stun_end() says so
};

void dp_stun_begin(struct dp_stun_out *o, uint8_t *buf, uint32_t room, uint16_t type,
                   const uint8_t txid[12]);
/* Appends an attribute with its padding (zeros); value NULL only with len 0. */
void dp_stun_put(struct dp_stun_out *o, uint16_t attr, const void *value, uint32_t len);
void dp_stun_put_xor_addr(struct dp_stun_out *o, uint16_t attr, const struct sh_addr *a);
void dp_stun_put_integrity(struct dp_stun_out *o, const uint8_t *key, uint32_t key_len);
void dp_stun_put_integrity_sha256(struct dp_stun_out *o, const uint8_t *key, uint32_t key_len);
void dp_stun_put_fingerprint(struct dp_stun_out *o);
/* Length of the message, or -ENOSPC. */
int dp_stun_end(const struct dp_stun_out *o);
