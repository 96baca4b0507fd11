#include "dataplane/hop.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <linux/neighbour.h>
#include "dataplane/netlink.h"
#include "shared/log.h"

#define SUBSYS "route"

enum {
	BUCKETS = 4096,
	NUD_USABLE = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY,
};
#define CONFIRM_NS                                                                                 \
	20000000000ull // the kernel sees no traffic of ours, so it must be told that the entry is
	               // used
#define RETRY_NS 1000000000ull // unresolved: first retries
#define SLOW_NS  5000000000ull // … and after some
enum { SLOW_AFTER = 10 };

static struct {
	int fd;
	void (*changed)(struct dp_hop *h);
	struct dp_hop *bucket[BUCKETS];
	bool said_eperm;
} hops = {.fd = -1};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

int dp_hops_open(int fd, void (*changed)(struct dp_hop *h))
{
	memset(&hops, 0, sizeof(hops));
	hops.fd = fd;
	hops.changed = changed;
	return 0;
}

void dp_hops_close(void)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		while (hops.bucket[i]) {
			struct dp_hop *h = hops.bucket[i];

			hops.bucket[i] = h->next;
			free(h);
		}
	}
	hops.fd = -1;
}

static unsigned bucket_of(unsigned ifindex, const struct sh_addr *ip)
{
	uint32_t w[4], h = ifindex * 2654435761u;

	memcpy(w, ip->ip, sizeof(w));
	for (unsigned i = 0; i < 4; i++)
		h = (h ^ w[i]) * 0x9e3779b1u;
	return (h >> 16) % BUCKETS;
}

static struct dp_hop *find(unsigned ifindex, const struct sh_addr *ip)
{
	struct dp_hop *h = hops.bucket[bucket_of(ifindex, ip)];

	while (h && !(h->ifindex == ifindex && h->ip.family == ip->family &&
	              memcmp(h->ip.ip, ip->ip, 16) == 0))
		h = h->next;
	return h;
}

static void use(struct dp_hop *h, uint64_t now);

/* A link address that was good is used until there is another one or the kernel gives the neighbour
 * up: that it collects an entry, or resolves it anew, says nothing against the address. */
static void learn(struct dp_hop *h, unsigned state, const uint8_t *mac)
{
	bool valid = h->valid, differs;

	if ((state & NUD_USABLE) && mac)
		valid = true;
	else if (state & NUD_FAILED)
		valid = false;
	else
		mac = NULL;
	differs = valid != h->valid || (valid && mac && memcmp(h->mac, mac, 6) != 0);
	h->valid = valid;
	if (valid && mac) {
		memcpy(h->mac, mac, 6);
		h->tries = 0;
	}
	if (differs)
		hops.changed(h);
}

void dp_hops_event(const struct nlmsghdr *m)
{
	const struct ndmsg *n = NLMSG_DATA(m);
	const struct rtattr *tb[NDA_MAX + 1];
	const uint8_t *mac = NULL;
	struct sh_addr ip;
	struct dp_hop *h;

	if (m->nlmsg_len < NLMSG_LENGTH(sizeof(*n)))
		return;
	dp_nl_attrs(tb, NDA_MAX,
	            (const struct rtattr *)((const uint8_t *)n + NLMSG_ALIGN(sizeof(*n))),
	            (int)(m->nlmsg_len - NLMSG_LENGTH(sizeof(*n))));
	if (!dp_addr_from(&ip, n->ndm_family, tb[NDA_DST]))
		return;
	h = find((unsigned)n->ndm_ifindex, &ip);
	if (!h)
		return;
	if (tb[NDA_LLADDR] && RTA_PAYLOAD(tb[NDA_LLADDR]) == 6)
		mac = RTA_DATA(tb[NDA_LLADDR]);
	if (m->nlmsg_type == RTM_DELNEIGH)
		use(h, now_ns()); // forgotten by the kernel, not by us
	else
		learn(h, n->ndm_state, mac);
}

static int on_answer(const struct nlmsghdr *m, void *arg)
{
	if (m->nlmsg_type == RTM_NEWNEIGH)
		dp_hops_event(m);
	return 0;
}

static struct ndmsg *neighbour(struct dp_nl_msg *m, const struct dp_hop *h, uint16_t type,
                               uint16_t flags)
{
	struct ndmsg *n = dp_nl_begin(m, type, flags, sizeof(*n));

	n->ndm_family = dp_af(h->ip.family);
	n->ndm_ifindex = (int)h->ifindex;
	dp_nl_put(m, NDA_DST, h->ip.ip, dp_addr_len(h->ip.family));
	return n;
}

static void look_up(struct dp_hop *h)
{
	struct dp_nl_msg m;

	neighbour(&m, h, RTM_GETNEIGH, 0);
	dp_nl_ask(hops.fd, &m, on_answer, NULL); // -ENOENT: unknown yet
}

/* NTF_USE makes the kernel do what it does for its own traffic: resolve, or confirm what has become
 * stale. */
static void use(struct dp_hop *h, uint64_t now)
{
	struct dp_nl_msg m;
	struct ndmsg *n = neighbour(&m, h, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_ACK);
	int err;

	n->ndm_state = NUD_NONE;
	n->ndm_flags = NTF_USE;
	err = dp_nl_ask(hops.fd, &m, NULL, NULL);
	h->asked_at_ns = now;
	h->tries++;
	if (err == -EPERM && !hops.said_eperm) {
		hops.said_eperm = true;
		sh_error(SUBSYS,
		         "the kernel lets us resolve no neighbour: CAP_NET_ADMIN is missing");
	}
}

struct dp_hop *dp_hop_take(unsigned ifindex, const struct sh_addr *ip)
{
	struct dp_hop *h = find(ifindex, ip);
	unsigned b = bucket_of(ifindex, ip);

	if (!h) {
		h = calloc(1, sizeof(*h));
		if (!h)
			return NULL;
		h->ip = *ip;
		h->ip.port = 0;
		h->ifindex = ifindex;
		h->first = UINT32_MAX;
		h->next = hops.bucket[b];
		hops.bucket[b] = h;
		look_up(h);
		use(h, now_ns());
	}
	h->users++;
	return h;
}

void dp_hop_drop(struct dp_hop *h)
{
	struct dp_hop **p = &hops.bucket[bucket_of(h->ifindex, &h->ip)];

	if (--h->users)
		return;
	while (*p != h)
		p = &(*p)->next;
	*p = h->next;
	free(h);
}

void dp_hops_tick(uint64_t now)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (struct dp_hop *h = hops.bucket[i]; h; h = h->next) {
			uint64_t every = h->valid                ? CONFIRM_NS
			                 : h->tries < SLOW_AFTER ? RETRY_NS
			                                         : SLOW_NS;

			if (now - h->asked_at_ns >= every)
				use(h, now);
		}
	}
}

void dp_hops_reload(void)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct dp_hop *h = hops.bucket[i]; h; h = h->next)
			look_up(h);
}
