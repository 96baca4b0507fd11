/* rtnetlink requests and events, for route.c and hop.c. Control thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <linux/rtnetlink.h>
#include "shared/addr.h"

/* Attributes of a message by type, the last of each; max as in RTA_MAX. */
void dp_nl_attrs(const struct rtattr *tb[], unsigned max, const struct rtattr *a, int len);

/* Opens the request socket (out[0]) and the event socket with these multicast groups (out[1]). 0,
 * -errno. */
int dp_nl_open(int out[2], uint32_t groups);

/* A request being built. */
struct dp_nl_msg {
	_Alignas(4) uint8_t buf[512];
};
/* Header and a zeroed family body of `size` bytes, which is returned. */
void *dp_nl_begin(struct dp_nl_msg *m, uint16_t type, uint16_t flags, uint32_t size);
void dp_nl_put(struct dp_nl_msg *m, uint16_t type, const void *data, uint32_t len);

typedef int(dp_nl_h)(const struct nlmsghdr *h, void *arg);
/* Sends it and hands each message of the answer to h (may be NULL). 0, or -errno of the kernel's
 * answer. */
int dp_nl_ask(int fd, struct dp_nl_msg *m, dp_nl_h *h, void *arg);
/* Hands what waits on the event socket to h. -ENOBUFS: the kernel dropped some, so look at
 * everything anew. */
int dp_nl_events(int fd, dp_nl_h *h, void *arg);

/* Bytes of an address in sh_addr.ip. */
static inline uint32_t dp_addr_len(uint8_t family)
{
	return family == 6 ? 16 : 4;
}
/* AF_INET or AF_INET6. */
uint8_t dp_af(uint8_t family);
/* From an attribute; false: of another length. */
bool dp_addr_from(struct sh_addr *out, uint8_t af, const struct rtattr *a);
