/* The XDP program in front of the media ports.
 *
 * A frame goes through it once, top to bottom: Ethernet and up to two VLAN tags, IPv4 with options
 * or IPv6 with extension headers, UDP, the destination port and address, then the first payload
 * byte (RFC 7983). Media datagrams go to the AF_XDP socket of their receive queue. Everything else
 * is the kernel's, so SSH, SIP and HTTPS live on the same address. Only one thing is ever dropped
 * here: what an unknown source may send before any key exchange (STUN, and bytes of no protocol at
 * all) beyond its rate.
 *
 * A program without sockets is harmless: with its receive queue's slot in xsks_map empty, which is
 * what the kernel makes of it when the owning process dies, every frame is passed on and none is
 * dropped.
 *
 * A tag that the driver took out of the frame (rx-vlan-offload) is not visible here. */
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "ebpf/steer.h"

enum { VLAN_TAGS = 2, IP6_EXTENSIONS = 8, CAS_TRIES = 4 };
enum { WALK_UDP = -1 }; // a step's answer in place of a verdict: w stands at a UDP header

volatile const struct steer_cfg steer_cfg;

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, STEER_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, STEER_STAT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} steer_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, STEER_SOURCES);
	__type(key, struct steer_source);
	__type(value, struct steer_buckets);
} steer_sources SEC(".maps");

struct vlan_tag {
	__be16 tci, proto;
};

/* Where in the frame the parser stands, and what it has learned. */
struct walk {
	void *at, *end;
	__u32 left; // bytes of the IP packet that follow `at`, by its own length field
	struct steer_source src;
};

static __always_inline int count(enum steer_stat stat, int verdict)
{
	__u32 key = stat;
	__u64 *v = bpf_map_lookup_elem(&steer_counters, &key);

	if (v)
		*v += 1;
	return verdict;
}

static __always_inline int pass(enum steer_stat stat)
{
	return count(stat, XDP_PASS);
}

static __always_inline bool is_local4(__u32 dst)
{
	if (!steer_cfg.addrs4 && !steer_cfg.addrs6)
		return true;
	for (int i = 0; i < STEER_ADDRS && i < steer_cfg.addrs4; i++)
		if (dst == steer_cfg.addr4[i])
			return true;
	return false;
}

static __always_inline bool is_local6(const __u32 *dst)
{
	if (!steer_cfg.addrs4 && !steer_cfg.addrs6)
		return true;
	for (int i = 0; i < STEER_ADDRS && i < steer_cfg.addrs6; i++)
		if (dst[0] == steer_cfg.addr6[i][0] && dst[1] == steer_cfg.addr6[i][1] &&
		    dst[2] == steer_cfg.addr6[i][2] && dst[3] == steer_cfg.addr6[i][3])
			return true;
	return false;
}

static __always_inline int walk_ip4(struct walk *w)
{
	struct iphdr *ip = w->at;
	__u32 head, total;

	if ((void *)(ip + 1) > w->end)
		return pass(STEER_STAT_malformed_passed);
	head = ip->ihl * 4u;
	total = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || head < sizeof(*ip) || total < head || w->at + total > w->end)
		return pass(STEER_STAT_malformed_passed);
	if (ip->protocol != IPPROTO_UDP)
		return pass(STEER_STAT_passed);
	if (ip->frag_off & bpf_htons(0x3fff)) // MF, or an offset
		return pass(STEER_STAT_fragment_passed);
	if (!is_local4(ip->daddr))
		return pass(STEER_STAT_passed);
	w->src.ip[2] = bpf_htonl(0xffff);
	w->src.ip[3] = ip->saddr;
	w->left = total - head;
	w->at += head;
	return WALK_UDP;
}

/* A chain of extension headers (RFC 8200 §4.1), `next` the type of the first; at its end, UDP or
 * not ours. */
static __always_inline int walk_ip6_chain(struct walk *w, __u8 next)
{
	for (int i = 0; i < IP6_EXTENSIONS; i++) {
		__u8 *ext = w->at;
		__u32 len;

		switch (next) {
		case IPPROTO_UDP:
			return WALK_UDP;
		case IPPROTO_FRAGMENT: // atomic ones (RFC 6946) too
			return pass(STEER_STAT_fragment_passed);
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			break;
		default:
			return pass(STEER_STAT_passed);
		}
		if ((void *)(ext + 8) > w->end)
			return pass(STEER_STAT_malformed_passed);
		if (next == IPPROTO_ROUTING &&
		    ext[3]) // segments left: we are not its destination yet
			return pass(STEER_STAT_routed_passed);
		len = (ext[1] + 1u) * 8u;
		if (len > w->left)
			return pass(STEER_STAT_malformed_passed);
		next = ext[0];
		w->left -= len;
		w->at += len;
	}
	return pass(STEER_STAT_passed); // a longer chain is the kernel's
}

static __always_inline int walk_ip6(struct walk *w)
{
	struct ipv6hdr *ip = w->at;

	if ((void *)(ip + 1) > w->end || ip->version != 6)
		return pass(STEER_STAT_malformed_passed);
	w->left = bpf_ntohs(ip->payload_len);
	if (w->at + sizeof(*ip) + w->left > w->end)
		return pass(STEER_STAT_malformed_passed);
	if (!is_local6(ip->daddr.in6_u.u6_addr32))
		return pass(STEER_STAT_passed);
	for (int i = 0; i < 4; i++)
		w->src.ip[i] = ip->saddr.in6_u.u6_addr32[i] & steer_cfg.v6_mask[i];
	w->at += sizeof(*ip);
	return walk_ip6_chain(w, ip->nexthdr);
}

/* True: this datagram exceeds its source's rate. Nothing is taken from the bucket then. */
static __always_inline bool over_limit(const struct steer_source *src, enum steer_class class)
{
	__u64 interval = steer_cfg.limit[class].interval_ns,
	      burst = steer_cfg.limit[class].burst_ns;
	__u64 now, seen, next;
	struct steer_buckets *b;

	if (!interval)
		return false;
	now = bpf_ktime_get_ns();
	b = bpf_map_lookup_elem(&steer_sources, src);
	if (!b) {
		struct steer_buckets fresh = {};

		fresh.tat[class] = now + interval;
		bpf_map_update_elem(&steer_sources, src, &fresh, BPF_NOEXIST);
		return false;
	}
	for (int i = 0; i < CAS_TRIES; i++) {
		seen = *(volatile __u64 *)&b->tat[class];
		next = (seen > now ? seen : now) + interval;
		if (next - now > burst)
			return true;
		if (__sync_val_compare_and_swap(&b->tat[class], seen, next) == seen)
			return false;
	}
	return true; // so many CPUs at once serve this one source
}

/* RFC 7983 §7 by first byte; STEER_CLASS_COUNT: not limited here. */
static __always_inline enum steer_class classify(__u8 first)
{
	if (first <= 3)
		return STEER_CLASS_STUN;
	if ((first >= 20 && first <= 79) || (first >= 128 && first <= 191))
		return STEER_CLASS_COUNT; // DTLS, TURN channel, RTP and RTCP
	return STEER_CLASS_UNKNOWN;
}

/* The datagram is for a media port and address of ours, and whole. */
static __always_inline int steer(struct xdp_md *ctx, struct walk *w, __u32 payload)
{
	__u32 queue = ctx->rx_queue_index;
	enum steer_class class = STEER_CLASS_UNKNOWN; // an empty datagram is no protocol either

	if (!bpf_map_lookup_elem(&xsks_map, &queue))
		return pass(STEER_STAT_no_socket_passed);
	if (payload) {
		if (w->at + 1 > w->end)
			return pass(STEER_STAT_malformed_passed);
		class = classify(*(__u8 *)w->at);
	}
	if (class == STEER_CLASS_STUN && over_limit(&w->src, STEER_CLASS_STUN))
		return count(STEER_STAT_stun_limited, XDP_DROP);
	if (class == STEER_CLASS_UNKNOWN && over_limit(&w->src, STEER_CLASS_UNKNOWN))
		return count(STEER_STAT_unknown_limited, XDP_DROP);
	return count(STEER_STAT_steered, bpf_redirect_map(&xsks_map, queue, XDP_PASS));
}

static __always_inline int walk_udp(struct xdp_md *ctx, struct walk *w)
{
	struct udphdr *udp = w->at;
	__u16 len, port;

	if (w->left < sizeof(*udp) || (void *)(udp + 1) > w->end)
		return pass(STEER_STAT_malformed_passed);
	port = bpf_ntohs(udp->dest);
	if (port < steer_cfg.base_port || port - steer_cfg.base_port >= steer_cfg.ports)
		return pass(STEER_STAT_passed);
	len = bpf_ntohs(udp->len);
	if (len < sizeof(*udp) || len > w->left)
		return pass(STEER_STAT_malformed_passed);
	w->at = udp + 1;
	return steer(ctx, w, len - sizeof(*udp));
}

SEC("xdp")
int callstack_steer(struct xdp_md *ctx)
{
	struct walk w = {.at = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end};
	struct ethhdr *eth = w.at;
	__be16 proto;
	int verdict;

	if ((void *)(eth + 1) > w.end)
		return pass(STEER_STAT_malformed_passed);
	proto = eth->h_proto;
	w.at = eth + 1;
	for (int i = 0; i < VLAN_TAGS; i++) {
		struct vlan_tag *tag = w.at;

		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > w.end)
			return pass(STEER_STAT_malformed_passed);
		proto = tag->proto;
		w.at = tag + 1;
	}
	if (proto == bpf_htons(ETH_P_IP))
		verdict = walk_ip4(&w);
	else if (proto == bpf_htons(ETH_P_IPV6))
		verdict = walk_ip6(&w);
	else
		return pass(STEER_STAT_passed);
	return verdict == WALK_UDP ? walk_udp(ctx, &w) : verdict;
}

char _license[] SEC("license") = "Dual MIT/GPL";
