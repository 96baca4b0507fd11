/* The one type for key material: wiped when freed, compared in constant time, never formatted or logged. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct sh_srtp_secret {
	uint8_t bytes[32 + 14 + 2]; // master key (16 or 32), then master salt (12 or 14), then zero
};

/* explicit_bzero is a library call that the optimiser may not drop. */
static inline void sh_secret_wipe(void *p, size_t n)
{
	explicit_bzero(p, n);
}

/* Equal in time that depends on n only. */
static inline bool sh_secret_equal(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;
	uint8_t d = 0;

	for (size_t i = 0; i < n; i++)
		d |= x[i] ^ y[i];
	return d == 0;
}
