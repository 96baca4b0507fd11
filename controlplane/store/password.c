#include "controlplane/store/password.h"

#include <argon2.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

/* RFC 9106 §4 leaves the sizes to the host. These take about 20 ms of a core: slow for a guesser,
 * and the four worker threads still let some 100 users a second log in. */
enum {
	MEMORY_KIB = 19456,
	PASSES = 2,
	LANES = 1,
	SALT = 16,
	HASH = 32,
};

int cp_password_hash(char *hash, size_t size, const char *password)
{
	uint8_t salt[SALT];

	if (getrandom(salt, sizeof(salt), 0) != sizeof(salt))
		return -EIO;
	switch (argon2id_hash_encoded(PASSES, MEMORY_KIB, LANES, password, strlen(password), salt,
	                              sizeof(salt), HASH, hash, size)) {
	case ARGON2_OK:
		return 0;
	case ARGON2_MEMORY_ALLOCATION_ERROR:
		return -ENOMEM;
	default:
		return -EINVAL;
	}
}

int cp_password_verify(const char *hash, const char *password)
{
	switch (argon2id_verify(hash, password, strlen(password))) {
	case ARGON2_OK:
		return 0;
	case ARGON2_VERIFY_MISMATCH:
		return -EACCES;
	case ARGON2_MEMORY_ALLOCATION_ERROR:
		return -ENOMEM;
	default:
		return -EINVAL;
	}
}
