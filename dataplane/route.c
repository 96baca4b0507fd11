#include "dataplane/route.h"
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include "dataplane/hop.h"
#include "dataplane/netlink.h"
#include "dataplane/table/table.h"
#include "dataplane/worker.h"
#include "shared/log.h"

#define SUBSYS "route"

enum {
	LOCALS = 64,     // addresses of our interfaces that are remembered
	CHANGE_MS = 100, // route changes come in bursts
	ETH_HDR = 14,
	NOBODY = UINT32_MAX,
};

enum state {
	WANT_NONE,
	WANT_UNROUTED,
	WANT_HOP,
	WANT_DIRECT /* lo, or a link without neighbours */
};

/* What an endpoint wants, and how far it got. */
struct want {
	struct sh_addr local, remote;
	uint8_t state; // enum state
	uint8_t port;  // index
	uint8_t dirty; // in the queue for publication
	uint8_t pad;
	uint16_t mtu;
	struct dp_hop *hop;  // WANT_HOP
	uint32_t next, prev; // endpoints of the same hop
};

struct local {
	struct sh_addr addr;
	unsigned ifindex;
	uint8_t scope;
};

static struct {
	int fd[2]; // requests, events
	struct dp_route_port port[DP_PORTS_MAX];
	unsigned ports;
	unsigned lo; // ifindex of a loopback port, 0: none
	struct sh_addr conf[SH_MAX_ADDRS];
	unsigned confs;
	struct want *want;
	uint32_t endpoints;
	uint32_t *queue, queued;
	struct local local[LOCALS];
	unsigned locals;
	bool changed;        // routes or addresses did: look all up again …
	uint64_t changed_at; // … when this is CHANGE_MS ago
} rt = {.fd = {-1, -1}};

/* ---- local addresses ---- */

static int port_by_ifindex(unsigned ifindex)
{
	for (unsigned i = 0; i < rt.ports; i++)
		if (rt.port[i].ifindex && rt.port[i].ifindex == ifindex)
			return (int)i;
	return -1;
}

static int on_addr(const struct nlmsghdr *m, void *arg)
{
	const struct ifaddrmsg *a = NLMSG_DATA(m);
	const struct rtattr *tb[IFA_MAX + 1];
	struct local *l = &rt.local[rt.locals];
	uint32_t flags;

	if (m->nlmsg_type != RTM_NEWADDR || rt.locals == LOCALS ||
	    port_by_ifindex(a->ifa_index) < 0)
		return 0;
	dp_nl_attrs(tb, IFA_MAX, IFA_RTA(a), (int)IFA_PAYLOAD(m));
	flags = tb[IFA_FLAGS] ? *(const uint32_t *)RTA_DATA(tb[IFA_FLAGS]) : a->ifa_flags;
	if (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED))
		return 0;
	if (!dp_addr_from(&l->addr, a->ifa_family, tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS]))
		return 0;
	l->ifindex = a->ifa_index;
	l->scope = a->ifa_scope;
	rt.locals++;
	return 0;
}

static void read_addresses(void)
{
	struct dp_nl_msg m;

	rt.locals = 0;
	dp_nl_begin(&m, RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg));
	if (dp_nl_ask(rt.fd[0], &m, on_addr, NULL) != 0)
		sh_warn(SUBSYS, "the kernel does not tell its addresses");
}

static unsigned add_addr(struct sh_addr *out, unsigned n, unsigned most, const struct sh_addr *a)
{
	for (unsigned i = 0; i < n; i++)
		if (out[i].family == a->family && memcmp(out[i].ip, a->ip, 16) == 0)
			return n;
	if (n < most)
		out[n++] = *a;
	return n;
}

unsigned dp_route_addresses(struct sh_addr *out, unsigned most)
{
	unsigned n = 0;

	if (rt.confs) {
		n = rt.confs < most ? rt.confs : most;
		memcpy(out, rt.conf, n * sizeof(*out));
		return n;
	}
	/* In the order of the ports; IPv4 before IPv6, as NAT64 and happy eyeballs are the
	 * browser's to know. */
	for (unsigned p = 0; p < rt.ports; p++)
		for (uint8_t family = 4; family <= 6; family += 2)
			for (unsigned i = 0; i < rt.locals; i++) {
				const struct local *l = &rt.local[i];

				if (l->ifindex != rt.port[p].ifindex || l->addr.family != family)
					continue;
				if (l->scope == RT_SCOPE_UNIVERSE || l->scope == RT_SCOPE_SITE ||
				    (rt.port[p].loopback && l->scope == RT_SCOPE_HOST))
					n = add_addr(out, n, most, &l->addr);
			}
	return n;
}

static bool port_has(unsigned p, const struct sh_addr *a)
{
	if (rt.port[p].loopback && a->family == 4 && a->ip[0] == 127)
		return true;
	for (unsigned i = 0; i < rt.locals; i++)
		if (rt.local[i].ifindex == rt.port[p].ifindex &&
		    rt.local[i].addr.family == a->family &&
		    memcmp(rt.local[i].addr.ip, a->ip, 16) == 0)
			return true;
	return false;
}

/* ---- the kernel's routes ---- */

struct found {
	bool ok;
	uint8_t type; // RTN_*
	unsigned oif;
	uint16_t mtu;
	bool has_gateway;
	struct sh_addr gateway;
};

/* RTA_VIA: a gateway of the other family (RFC 8950 style). */
static bool via(struct sh_addr *out, const struct rtattr *a)
{
	const struct rtvia *v;

	if (!a || RTA_PAYLOAD(a) < sizeof(*v) + 4)
		return false;
	v = RTA_DATA(a);
	memset(out, 0, sizeof(*out));
	if (v->rtvia_family != AF_INET6 || RTA_PAYLOAD(a) < sizeof(*v) + 16)
		return false;
	out->family = 6;
	memcpy(out->ip, v->rtvia_addr, 16);
	return true;
}

static int on_route(const struct nlmsghdr *m, void *arg)
{
	struct found *f = arg;
	const struct rtmsg *r = NLMSG_DATA(m);
	const struct rtattr *tb[RTA_MAX + 1];

	if (m->nlmsg_type != RTM_NEWROUTE)
		return 0;
	dp_nl_attrs(tb, RTA_MAX, RTM_RTA(r), (int)RTM_PAYLOAD(m));
	f->type = r->rtm_type;
	f->oif = tb[RTA_OIF] ? *(const uint32_t *)RTA_DATA(tb[RTA_OIF]) : 0;
	f->has_gateway = dp_addr_from(&f->gateway, r->rtm_family, tb[RTA_GATEWAY]) ||
	                 via(&f->gateway, tb[RTA_VIA]);
	f->ok = f->oif != 0;
	if (tb[RTA_METRICS]) {
		const struct rtattr *mx[RTAX_MAX + 1];

		dp_nl_attrs(mx, RTAX_MAX, RTA_DATA(tb[RTA_METRICS]),
		            (int)RTA_PAYLOAD(tb[RTA_METRICS]));
		if (mx[RTAX_MTU])
			f->mtu = (uint16_t) * (const uint32_t *)RTA_DATA(mx[RTAX_MTU]);
	}
	return 0;
}

static int ask_route(struct found *f, const struct sh_addr *local, const struct sh_addr *remote,
                     unsigned oif, unsigned flags)
{
	struct dp_nl_msg m;
	struct rtmsg *r = dp_nl_begin(&m, RTM_GETROUTE, 0, sizeof(*r));
	uint32_t len = dp_addr_len(remote->family), dev = oif;

	memset(f, 0, sizeof(*f));
	r->rtm_family = dp_af(remote->family);
	r->rtm_dst_len = (uint8_t)(len * 8);
	r->rtm_flags = flags;
	dp_nl_put(&m, RTA_DST, remote->ip, len);
	if (local) {
		r->rtm_src_len = (uint8_t)(len * 8);
		dp_nl_put(&m, RTA_SRC, local->ip, len);
	}
	if (oif)
		dp_nl_put(&m, RTA_OIF, &dev, sizeof(dev));
	return dp_nl_ask(rt.fd[0], &m, on_route, f);
}

/* Asked about one interface, the kernel takes an IPv4 destination without a route for a neighbour;
 * only the entry that it matched tells the difference. */
static int ask_port(struct found *f, const struct sh_addr *local, const struct sh_addr *remote,
                    unsigned oif)
{
	int err = remote->family == 4 ? ask_route(f, local, remote, oif, RTM_F_FIB_MATCH) : 0;

	return err ? err : ask_route(f, local, remote, oif, 0);
}

static bool usable(const struct found *f)
{
	return f->ok && (f->type == RTN_UNICAST || f->type == RTN_LOCAL) &&
	       port_by_ifindex(f->oif) >= 0;
}

/* First as the kernel would route its own answer from that address; then, where policy leads
 * elsewhere, through the ports that have the address. A link-local peer says nothing of its link,
 * so only the second way can tell. */
static bool find_route(struct found *f, const struct sh_addr *local, const struct sh_addr *remote)
{
	bool link_local =
	    remote->family == 6 && remote->ip[0] == 0xfe && (remote->ip[1] & 0xc0) == 0x80;

	if (!link_local && ask_route(f, local, remote, 0, 0) == 0 && usable(f))
		return true;
	for (unsigned p = 0; p < rt.ports; p++)
		if (rt.port[p].ifindex && port_has(p, local) &&
		    ask_port(f, local, remote, rt.port[p].ifindex) == 0 && usable(f))
			return true;
	return false;
}

/* ---- wants ---- */

static void mark(uint32_t endpoint)
{
	struct want *w = &rt.want[endpoint];

	if (w->dirty)
		return;
	w->dirty = 1;
	rt.queue[rt.queued++] = endpoint;
}

static void leave_hop(uint32_t endpoint)
{
	struct want *w = &rt.want[endpoint];

	if (!w->hop)
		return;
	if (w->prev != NOBODY)
		rt.want[w->prev].next = w->next;
	else
		w->hop->first = w->next;
	if (w->next != NOBODY)
		rt.want[w->next].prev = w->prev;
	dp_hop_drop(w->hop);
	w->hop = NULL;
}

static bool join_hop(uint32_t endpoint, unsigned ifindex, const struct sh_addr *ip)
{
	struct want *w = &rt.want[endpoint];

	w->hop = dp_hop_take(ifindex, ip);
	if (!w->hop)
		return false;
	w->prev = NOBODY;
	w->next = w->hop->first;
	if (w->next != NOBODY)
		rt.want[w->next].prev = endpoint;
	w->hop->first = endpoint;
	return true;
}

static void hop_changed(struct dp_hop *h)
{
	for (uint32_t e = h->first; e != NOBODY; e = rt.want[e].next)
		mark(e);
}

static int point_to_point(void)
{
	for (unsigned i = 0; i < rt.ports; i++)
		if (rt.port[i].ifindex == 0)
			return (int)i;
	return -1;
}

static void resolve(uint32_t endpoint)
{
	struct want *w = &rt.want[endpoint];
	struct found f;
	int p;

	mark(endpoint);
	leave_hop(endpoint);
	w->state = WANT_UNROUTED;
	if (!find_route(&f, &w->local, &w->remote)) {
		p = point_to_point();
		if (p >= 0) {
			w->state = WANT_DIRECT;
			w->port = (uint8_t)p;
			w->mtu = rt.port[p].mtu;
		}
		return;
	}
	p = port_by_ifindex(f.oif);
	w->port = (uint8_t)p;
	w->mtu = f.mtu && f.mtu < rt.port[p].mtu ? f.mtu : rt.port[p].mtu;
	if (rt.port[p].loopback) {
		w->state = WANT_DIRECT;
		return;
	}
	if (f.type == RTN_LOCAL)
		return; // our own address, on an interface that is not lo
	if (join_hop(endpoint, f.oif, f.has_gateway ? &f.gateway : &w->remote))
		w->state = WANT_HOP;
}

static bool same(const struct sh_addr *a, const struct sh_addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

void dp_route_want(uint32_t endpoint, const struct sh_addr *local, const struct sh_addr *remote)
{
	struct want *w = &rt.want[endpoint];

	if (same(&w->remote, remote) && same(&w->local, local))
		return;
	if ((remote->family != 4 && remote->family != 6) || remote->family != local->family) {
		if (w->state != WANT_NONE)
			dp_route_drop(endpoint);
		return;
	}
	w->local = *local;
	w->remote = *remote;
	resolve(endpoint);
}

void dp_route_drop(uint32_t endpoint)
{
	struct want *w = &rt.want[endpoint];
	uint8_t dirty = w->dirty;

	leave_hop(endpoint);
	memset(w, 0, sizeof(*w));
	w->dirty = dirty;
	mark(endpoint);
}

/* ---- paths ---- */

/* One's complement sum of bytes in memory order, as rte_raw_cksum() would have it. */
static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void write_ip(struct dp_path *p, uint8_t *ip, const struct want *w)
{
	if (w->remote.family == 4) {
		ip[0] = 0x45;
		ip[6] = 0x40; // don't fragment: RFC 8899 style, endpoints stay below the path MTU
		ip[8] = 64;
		ip[9] = 17;
		memcpy(ip + 12, w->local.ip, 4);
		memcpy(ip + 16, w->remote.ip, 4);
		p->l3_len = 20;
	} else {
		ip[0] = 0x60;
		ip[6] = 17;
		ip[7] = 64;
		memcpy(ip + 8, w->local.ip, 16);
		memcpy(ip + 24, w->remote.ip, 16);
		p->l3_len = 40;
	}
}

static void build(struct dp_path *p, const struct want *w)
{
	/* Locally administered, for links that have two ends and no neighbours. */
	static const uint8_t far[6] = {2, 0, 0, 0, 0, 2};
	const struct dp_route_port *port = &rt.port[w->port];
	uint8_t *h = p->header, *udp;

	p->family = w->remote.family;
	p->port = port->eth;
	p->mtu = w->mtu;
	p->routed = w->state == WANT_HOP || w->state == WANT_DIRECT;
	p->reachable = w->state == WANT_DIRECT || (w->state == WANT_HOP && w->hop->valid);
	p->ol_flags = p->family == 4 ? port->ol4 : port->ol6;
	p->l2_len = ETH_HDR;
	if (w->state == WANT_HOP)
		memcpy(h, w->hop->mac, 6);
	else if (!port->loopback)
		memcpy(h, far, 6);
	if (!port->loopback)
		memcpy(h + 6, port->mac, 6);
	put16(h + 12, p->family == 4 ? 0x0800 : 0x86dd);
	write_ip(p, h + ETH_HDR, w);
	udp = h + ETH_HDR + p->l3_len;
	put16(udp, w->local.port);
	put16(udp + 2, w->remote.port);
	p->len = (uint8_t)(ETH_HDR + p->l3_len + 8);
}

void dp_route_publish(void)
{
	for (uint32_t i = 0; i < rt.queued; i++) {
		uint32_t e = rt.queue[i];
		struct want *w = &rt.want[e];
		struct dp_path *p = NULL;

		w->dirty = 0;
		if (w->state != WANT_NONE) {
			p = dp_path_new();
			if (p)
				build(p, w);
		}
		dp_path_set(e, p);
	}
	rt.queued = 0;
}

/* ---- events ---- */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static int on_event(const struct nlmsghdr *m, void *arg)
{
	switch (m->nlmsg_type) {
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		dp_hops_event(m);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
	case RTM_NEWADDR:
	case RTM_DELADDR:
	case RTM_NEWLINK:
	case RTM_DELLINK:
	case RTM_NEWRULE:
	case RTM_DELRULE:
		if (!rt.changed)
			rt.changed_at = now_ns();
		rt.changed = true;
		break;
	}
	return 0;
}

static void look_up_all(void)
{
	rt.changed = false;
	read_addresses();
	for (uint32_t e = 0; e < rt.endpoints; e++)
		if (rt.want[e].state != WANT_NONE)
			resolve(e);
}

void dp_route_input(void)
{
	if (dp_nl_events(rt.fd[1], on_event, NULL) == -ENOBUFS) {
		rt.changed = true;
		dp_hops_reload();
	}
}

void dp_route_tick(uint64_t now)
{
	if (rt.changed && now - rt.changed_at >= CHANGE_MS * 1000000ull)
		look_up_all();
	dp_hops_tick(now);
}

int dp_route_fd(void)
{
	return rt.fd[1];
}

int dp_route_open(const struct dp_route_params *params)
{
	const uint32_t groups = RTMGRP_NEIGH | RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE |
	                        RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_RULE |
	                        1u << (RTNLGRP_IPV6_RULE - 1);
	int err;

	if (params->ports > DP_PORTS_MAX || params->addrs > SH_MAX_ADDRS)
		return -EINVAL;
	memset(&rt, 0, sizeof(rt));
	memcpy(rt.port, params->port, params->ports * sizeof(*rt.port));
	rt.ports = params->ports;
	if (params->addrs)
		memcpy(rt.conf, params->addr, params->addrs * sizeof(*rt.conf));
	rt.confs = params->addrs;
	rt.endpoints = params->endpoints;
	rt.want = calloc(rt.endpoints, sizeof(*rt.want));
	rt.queue = calloc(rt.endpoints, sizeof(*rt.queue));
	rt.fd[0] = rt.fd[1] = -1;
	err = rt.want && rt.queue ? dp_nl_open(rt.fd, groups) : -ENOMEM;
	if (!err)
		err = dp_hops_open(rt.fd[0], hop_changed);
	if (err) {
		dp_route_close();
		return err;
	}
	read_addresses();
	return 0;
}

void dp_route_close(void)
{
	for (unsigned i = 0; i < 2; i++) {
		if (rt.fd[i] >= 0)
			close(rt.fd[i]);
		rt.fd[i] = -1;
	}
	dp_hops_close();
	free(rt.want);
	free(rt.queue);
	rt.want = NULL;
	rt.queue = NULL;
	rt.endpoints = 0;
}
