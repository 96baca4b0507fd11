/* Numbers in network order, for what the generator writes and reads itself. Pure. */
#pragma once
#include <stdint.h>

static inline uint16_t lg_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t lg_get32(const uint8_t *p)
{
	return (uint32_t)lg_get16(p) << 16 | lg_get16(p + 2);
}

/* Both return what is behind. */
static inline uint8_t *lg_put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}

static inline uint8_t *lg_put32(uint8_t *p, uint32_t v)
{
	return lg_put16(lg_put16(p, v >> 16), v & 0xffff);
}
