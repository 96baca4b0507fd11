#include "dataplane/srtp/kdf.h"
#include <assert.h>
#include <string.h>
#include "shared/secret.h"

struct scratch {
	_Alignas(64) uint8_t enc[16 * 15], dec[16 * 15];
	uint8_t iv[16], zero[DP_SRTP_KDF_MAX];
	IMB_JOB job;
};

void dp_srtp_kdf(IMB_MGR *mgr, const uint8_t *key, unsigned key_len, const uint8_t *salt,
                 unsigned salt_len, unsigned label, uint8_t *out, unsigned len)
{
	struct scratch s = {0};

	assert(len > 0 && len <= DP_SRTP_KDF_MAX && salt_len <= 14);
	if (key_len == 32)
		IMB_AES_KEYEXP_256(mgr, key, s.enc, s.dec);
	else
		IMB_AES_KEYEXP_128(mgr, key, s.enc, s.dec);
	/* x = (label || 48 bits of index DIV kdr = 0) XOR master_salt, of 112 bits; IV = x * 2^16
	 */
	memcpy(s.iv, salt, salt_len);
	s.iv[7] ^= (uint8_t)label;
	s.job = (IMB_JOB){
	    .src = s.zero,
	    .dst = out,
	    .msg_len_to_cipher_in_bytes = len,
	    .iv = s.iv,
	    .iv_len_in_bytes = 16,
	    .enc_keys = s.enc,
	    .dec_keys = s.dec,
	    .key_len_in_bytes = key_len,
	};
	IMB_SUBMIT_CIPHER_BURST_NOCHECK(mgr, &s.job, 1, IMB_CIPHER_CNTR, IMB_DIR_ENCRYPT,
	                                key_len == 32 ? IMB_KEY_256_BYTES : IMB_KEY_128_BYTES);
	sh_secret_wipe(&s, sizeof(s));
}
