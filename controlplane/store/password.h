/* Password hashes: argon2id (RFC 9106), in its encoded form. Any thread; a call takes 19 MiB and
 * some 20 ms. */
#pragma once
#include <stddef.h>

int cp_password_hash(char *hash, size_t size, const char *password);
/* 0; -EACCES: another password; -EINVAL: not such a hash. */
int cp_password_verify(const char *hash, const char *password);
