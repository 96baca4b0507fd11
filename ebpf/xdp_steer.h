/* Loader of the steering program (steer.bpf.c): what the dataplane does around an AF_XDP port.
 *
 * The DPDK driver loads and attaches the object itself (devarg xdp_prog=PATH) and puts its sockets
 * into xsks_map, so one port's life is:
 *   xdp_steer_clear()         a foreign program is refused, a leftover of ours removed
 *   xdp_steer_write_object()  a copy of the program with this port's constants in it
 *   xdp_steer_expect()        native or generic; and tied to this process's life
 *   rte_eth_rx_queue_setup()  the driver attaches it (so errors come from here), then
 *                             rte_eth_dev_start()
 *   xdp_steer_open(hold)      finds it again by interface
 *   xdp_steer_counters() …
 *   rte_eth_dev_close()
 *   xdp_steer_close()         the program is gone
 * When the port cannot be set up, xdp_steer_detach() takes the place of the last four.
 * Dying in between is safe: a held program is detached by the kernel; one not held yet finds its
 * sockets closed, passes every frame on, and is removed by the next clear or `callstack-xdp
 * detach`.
 *
 * Interfaces are those of the caller's network namespace. CAP_NET_ADMIN and CAP_BPF are needed.
 * Control thread; not thread-safe. Errors are -errno. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "shared/addr.h"
#include "shared/limits.h"
#include "ebpf/steer.h"

/* Datagrams a second that one source address (IPv6: one prefix) may send, and how many at once. */
struct xdp_steer_rate {
	uint32_t rate;  // 1/s, 1..1000000; 0: no limit
	uint32_t burst; // datagrams, 1..1000000; ignored without a rate
};

struct xdp_steer_cfg {
	uint16_t base_port; // host byte order, >= 1
	uint16_t ports;     // >= 1, base_port + ports <= 65536
	uint16_t addrs;     // entries used in addr[]; 0: datagrams to any address are ours
	uint8_t v6_prefix;  // bits of an IPv6 source that share one bucket, 1..128; /64 is one
	                    // subscriber line
	struct sh_addr addr[SH_MAX_ADDRS]; // local media addresses; ports ignored
	struct xdp_steer_rate stun;        // first byte 0..3
	struct xdp_steer_rate unknown;     // first byte of no protocol of RFC 7983, or no payload
};

enum xdp_steer_mode {
	XDP_STEER_NONE,    // nothing attached
	XDP_STEER_NATIVE,  // in the driver
	XDP_STEER_GENERIC, // on the skb: lo, and drivers without XDP
	XDP_STEER_OFFLOAD,
};

enum xdp_steer_want {
	XDP_STEER_WANT_AUTO, // native; generic where the driver refuses
	XDP_STEER_WANT_NATIVE,
	XDP_STEER_WANT_GENERIC, // with devarg force_copy=1: a zero-copy socket needs a native
	                        // program
};

/* What sits on an interface. */
struct xdp_steer_info {
	enum xdp_steer_mode mode;
	bool ours; // the program is a callstack_steer, whoever attached it
	bool held; // by a living process, through a link: nobody else can remove it
	uint32_t prog_id;
	char name[16]; // of the program, as the kernel shows it
};

struct xdp_steer;

/* Name and help of each counter; index = enum steer_stat. */
extern const char *const xdp_steer_stat_name[STEER_STAT_COUNT];
extern const char *const xdp_steer_stat_help[STEER_STAT_COUNT];

/* Writes the program with cfg in it to path, mode 0600, replacing a file there at once. -EINVAL:
 * cfg is out of the ranges above; -errno of the file. */
int xdp_steer_write_object(const char *path, const struct xdp_steer_cfg *cfg);

/* Fills *out; mode XDP_STEER_NONE without a program. -ENODEV: no such interface. */
int xdp_steer_query(struct xdp_steer_info *out, unsigned ifindex);

/* Makes the interface free for us. 0: it is. -EEXIST: a foreign program is attached, and stays.
 * -EBUSY: another living instance holds ours. On any error why[size] says it in a sentence for the
 * log. */
int xdp_steer_clear(unsigned ifindex, char *why, size_t size);

/* The next program that the DPDK driver attaches to the interface goes there by a link of ours, in
 * this mode; from now to xdp_steer_close() or xdp_steer_detach() its detach calls for the interface
 * do nothing. -ENOSPC: over 16 interfaces. */
int xdp_steer_expect(unsigned ifindex, enum xdp_steer_want want);

/* Finds our program on the interface after the port was started. hold: make sure that the kernel
 * removes it when this process ends, however it ends: takes the expected link over; or, with the
 * driver's own netlink attachment found, swaps that for a link (frames that come in the
 * microseconds between go to the kernel; a kernel before 5.9 has no links, and leaves it as it
 * was). Caller closes. -ENOENT: nothing attached; -EEXIST: a foreign program; -EBUSY: hold, and
 * another process holds it. */
int xdp_steer_open(struct xdp_steer **out, unsigned ifindex, bool hold);
bool xdp_steer_held(const struct xdp_steer *s);
enum xdp_steer_mode xdp_steer_mode(const struct xdp_steer *s);

/* Sums over all CPUs since the program was loaded. */
int xdp_steer_counters(struct xdp_steer *s, uint64_t v[STEER_STAT_COUNT]);

/* Detaches a held program; one that is not held stays (the driver's close, or xdp_steer_detach,
 * removes it). NULL is fine. */
void xdp_steer_close(struct xdp_steer *s);

/* Removes our program, and only ours, from the interface. 0 also when nothing was attached;
 * -EEXIST: foreign; -EBUSY: a living process holds it. */
int xdp_steer_detach(unsigned ifindex);

/* Receive queues of the interface, at least 1: a media datagram on a queue without a socket goes to
 * the kernel, so a port needs as many worker queues as this. Netdevs that cannot say have one. */
unsigned xdp_steer_rx_queues(const char *ifname);
