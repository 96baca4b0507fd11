/* Next hops from the kernel (DESIGN §2): routes, neighbours and local addresses over rtnetlink,
 * kept until the kernel says that something changed. We never speak ARP or ND: an unknown neighbour
 * is resolved by the kernel, on being told that somebody wants to use it, and a stale one is
 * confirmed by it.
 *
 *   route.c    which path each endpoint wants, and publishing it (struct dp_path) into the tables
 *   hop.c      neighbours: one entry for each next hop in use
 *   netlink.c  the two sockets: requests, and what the kernel tells of its own accord
 *
 * The local address is the one that the peer talks to. A port without a kernel interface (memif,
 * ring, null, pcap) is a point-to-point link: whatever no kernel port claims goes there.
 *
 * Control thread. Needs CAP_NET_ADMIN for asking the kernel to resolve, nothing for the rest. No
 * DPDK function. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shared/addr.h"

struct dp_route_port {
	uint16_t eth;
	unsigned ifindex; // 0: point-to-point
	bool loopback;
	uint8_t mac[6];
	uint16_t mtu;
	uint64_t ol4, ol6;
};

struct dp_route_params {
	const struct dp_route_port *port; // copied
	unsigned ports;
	uint32_t endpoints;         // slab size
	const struct sh_addr *addr; // configured media addresses; none: those of the interfaces
	unsigned addrs;
};

/* 0, -errno. */
int dp_route_open(const struct dp_route_params *params);
void dp_route_close(void);
/* Watch for reading, then dp_route_input(). */
int dp_route_fd(void);
void dp_route_input(void);
/* About twice a second: asks again, confirms, and looks routes up again after a change. */
void dp_route_tick(uint64_t now_ns);
/* The endpoint's nominated pair. Cheap when it is the one it had; remote of family 0: no path. */
void dp_route_want(uint32_t endpoint, const struct sh_addr *local, const struct sh_addr *remote);
void dp_route_drop(uint32_t endpoint);
/* Makes the paths of what changed and hands them to dp_path_set(). */
void dp_route_publish(void);
/* Media addresses for the hello, most preferred first; port 0. Returns how many, at most `most`. */
unsigned dp_route_addresses(struct sh_addr *out, unsigned most);
