/* What steer.bpf.c and its loader agree on. Compiled for both the BPF target and the host:
 * fixed-width integers, network byte order where a field says so, explicit padding. */
#pragma once
#include <linux/types.h>

/* Names that the kernel shows (15 characters at most); the loader knows our program by them. */
#define STEER_PROG_NAME     "callstack_steer"
#define STEER_XSKS_NAME     "xsks_map" // the DPDK net_af_xdp driver insists on this one
#define STEER_COUNTERS_NAME "steer_counters"

enum {
	STEER_QUEUES = 64, // receive queues of one netdev that may have a socket
	STEER_ADDRS = 8,   // local media addresses of each family
	STEER_SOURCES =
	    65536, // source addresses whose buckets are remembered; the least recent goes first
};

enum steer_stat {
#define X(sym, help) STEER_STAT_##sym,
#include "ebpf/steer_stats.def"
#undef X
	STEER_STAT_COUNT
};

/* Payloads that anyone can send before a key exchange, and so are limited by source address. */
enum steer_class { STEER_CLASS_STUN, STEER_CLASS_UNKNOWN, STEER_CLASS_COUNT };

/* A token bucket as a virtual schedule (GCRA): one token is interval_ns of time, the bucket holds
 * burst_ns. */
struct steer_limit {
	__u64 interval_ns; // 0: no limit
	__u64 burst_ns;    // tokens * interval_ns, at least one token
};

/* The program's constants, in .rodata: set before it is loaded, and then frozen. */
struct steer_cfg {
	__u16 base_port; // host byte order; ports base_port .. base_port + ports - 1 are media
	__u16 ports;
	__u8 addrs4, addrs6; // both 0: any destination address
	__u8 v6_prefix;      // bits of an IPv6 source that make one bucket, 1..128
	__u8 pad;
	struct steer_limit limit[STEER_CLASS_COUNT];
	__u32 addr4[STEER_ADDRS];    // network byte order
	__u32 addr6[STEER_ADDRS][4]; // network byte order
	__u32 v6_mask[4];            // of v6_prefix, network byte order
};

/* Key and value of the source map; an IPv4 source is ::ffff:a.b.c.d. */
struct steer_source {
	__u32 ip[4]; // network byte order
};
struct steer_buckets {
	__u64 tat[STEER_CLASS_COUNT]; // bpf_ktime_get_ns() when the bucket is full again
};
