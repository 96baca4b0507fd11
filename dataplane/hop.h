/* Neighbours in use: link address and whether it holds, by interface and IP address. Control
 * thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shared/addr.h"

struct dp_hop {
	struct sh_addr ip; // port 0
	unsigned ifindex;
	uint8_t mac[6];
	bool valid;           // mac may be used
	uint32_t users;       // endpoints
	uint64_t asked_at_ns; // kernel was last told that we use it
	uint32_t tries;       // asked since it was last valid
	struct dp_hop *next;  // of the same hash
	uint32_t first;       // first endpoint that uses it, or UINT32_MAX (route.c links them)
};

/* fd: the request socket; changed: a hop's mac or validity did. */
int dp_hops_open(int fd, void (*changed)(struct dp_hop *h));
void dp_hops_close(void);
/* The entry, one user more, asking the kernel for what it knows and to resolve it. NULL: no memory.
 */
struct dp_hop *dp_hop_take(unsigned ifindex, const struct sh_addr *ip);
void dp_hop_drop(struct dp_hop *h);
/* A RTM_NEWNEIGH or RTM_DELNEIGH. */
struct nlmsghdr;
void dp_hops_event(const struct nlmsghdr *m);
/* Unresolved ones are asked for again, resolved ones confirmed now and then. */
void dp_hops_tick(uint64_t now_ns);
/* Looks all of them up anew. */
void dp_hops_reload(void);
