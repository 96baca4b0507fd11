/* Session keys from a master key and salt: AES-CM PRF of RFC 3711 §4.3.3, with AES-256 of RFC 6188
 * §2, key derivation rate 0. Control thread. Private to this folder. */
#pragma once
#include <stdint.h>
#include <intel-ipsec-mb.h>

enum dp_srtp_label { // RFC 3711 §4.3.2; the three of SRTCP follow the three of SRTP
	DP_SRTP_LABEL_KEY = 0,
	DP_SRTP_LABEL_AUTH = 1,
	DP_SRTP_LABEL_SALT = 2,
	DP_SRTP_LABEL_RTCP = 3, // added to any of them
};

enum { DP_SRTP_KDF_MAX = 112 }; // bytes of one derivation

/* key_len: 16 or 32. salt_len: 14, or 12 (AEAD: zeroes behind it, RFC 7714 §11).
 * len: 1..DP_SRTP_KDF_MAX. */
void dp_srtp_kdf(IMB_MGR *mgr, const uint8_t *key, unsigned key_len, const uint8_t *salt,
                 unsigned salt_len, unsigned label, uint8_t *out, unsigned len);
