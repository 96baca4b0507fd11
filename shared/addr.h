/* A transport address in a fixed 20-byte shape, fit for rings, slabs and hashing. */
#pragma once
#include <stdint.h>

struct sh_addr {
	uint8_t family; // 4, 6, or 0: none
	uint8_t pad;
	uint16_t port;  // host byte order
	uint8_t ip[16]; // network byte order; IPv4 in the first four bytes, the rest zero
};
_Static_assert(sizeof(struct sh_addr) == 20, "goes over the ring");

enum { SH_ADDR_STR = 56 };
/* Writes "192.0.2.1:10000" or "[2001:db8::1]:10000" into buf[SH_ADDR_STR]; returns buf. Any thread. */
const char *sh_addr_str(const struct sh_addr *a, char *buf);
/* Parses an address without port ("192.0.2.1", "2001:db8::1"); 0 or -EINVAL. */
int sh_addr_parse(struct sh_addr *out, const char *text);
