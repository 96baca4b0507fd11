#include "dataplane/netlink.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { ANSWER_MAX = 32768, RCVBUF = 1 << 20 };

static uint32_t sequence;

void dp_nl_attrs(const struct rtattr *tb[], unsigned max, const struct rtattr *a, int len)
{
	memset(tb, 0, (max + 1) * sizeof(*tb));
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if ((a->rta_type & NLA_TYPE_MASK) <= max)
			tb[a->rta_type & NLA_TYPE_MASK] = a;
}

static int open_one(uint32_t groups, int flags)
{
	struct sockaddr_nl sa = {.nl_family = AF_NETLINK, .nl_groups = groups};
	struct timeval t = {.tv_sec = 1};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE), size = RCVBUF,
	    one = 1;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

int dp_nl_open(int out[2], uint32_t groups)
{
	out[0] = open_one(0, 0);
	if (out[0] < 0)
		return out[0];
	out[1] = open_one(groups, SOCK_NONBLOCK);
	if (out[1] < 0) {
		close(out[0]);
		out[0] = -1;
		return out[1];
	}
	return 0;
}

void *dp_nl_begin(struct dp_nl_msg *m, uint16_t type, uint16_t flags, uint32_t size)
{
	struct nlmsghdr *h = (struct nlmsghdr *)m->buf;

	memset(m, 0, sizeof(*m));
	h->nlmsg_len = NLMSG_LENGTH(size);
	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = ++sequence;
	return NLMSG_DATA(h);
}

void dp_nl_put(struct dp_nl_msg *m, uint16_t type, const void *data, uint32_t len)
{
	struct nlmsghdr *h = (struct nlmsghdr *)m->buf;
	struct rtattr *a = (struct rtattr *)(m->buf + NLMSG_ALIGN(h->nlmsg_len));

	if (NLMSG_ALIGN(h->nlmsg_len) + RTA_SPACE(len) > sizeof(m->buf))
		return; // no request here is near that long
	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	h->nlmsg_len = NLMSG_ALIGN(h->nlmsg_len) + RTA_ALIGN(a->rta_len);
}

/* From the kernel and nobody else. */
static ssize_t receive(int fd, void *buf, size_t size)
{
	struct sockaddr_nl from;
	struct iovec v = {buf, size};
	struct msghdr m = {
	    .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &v, .msg_iovlen = 1};
	ssize_t n;

	do
		n = recvmsg(fd, &m, 0);
	while ((n < 0 && errno == EINTR) || (n >= 0 && from.nl_pid != 0));
	return n < 0 ? -errno : n;
}

/* 1: the answer goes on, 0: it is complete, or its error. */
static int answer(const struct nlmsghdr *h, uint32_t seq, bool dump, dp_nl_h *cb, void *arg,
                  int *err)
{
	if (h->nlmsg_seq != seq)
		return 1; // of a request that timed out
	if (h->nlmsg_type == NLMSG_ERROR) {
		*err = ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
		return 0;
	}
	if (h->nlmsg_type == NLMSG_DONE)
		return 0;
	if (cb)
		cb(h, arg);
	return dump;
}

int dp_nl_ask(int fd, struct dp_nl_msg *m, dp_nl_h *cb, void *arg)
{
	static _Alignas(8) uint8_t buf[ANSWER_MAX];
	struct nlmsghdr *h = (struct nlmsghdr *)m->buf;
	bool dump = (h->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	uint32_t seq = h->nlmsg_seq;
	int err = 0;

	/* A get answers itself; only a change needs to be asked for an acknowledgement. */
	if (send(fd, m->buf, h->nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = receive(fd, buf, sizeof(buf));

		if (n < 0)
			return n == -EAGAIN ? -ETIMEDOUT : (int)n;
		for (h = (struct nlmsghdr *)buf; NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n))
			if (!answer(h, seq, dump, cb, arg, &err))
				return err;
	}
}

int dp_nl_events(int fd, dp_nl_h *cb, void *arg)
{
	static _Alignas(8) uint8_t buf[ANSWER_MAX];

	for (;;) {
		ssize_t n = receive(fd, buf, sizeof(buf));
		struct nlmsghdr *h;

		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return (int)n;
		for (h = (struct nlmsghdr *)buf; NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n))
			cb(h, arg);
	}
}

uint8_t dp_af(uint8_t family)
{
	return family == 6 ? AF_INET6 : AF_INET;
}

bool dp_addr_from(struct sh_addr *out, uint8_t af, const struct rtattr *a)
{
	memset(out, 0, sizeof(*out));
	if (!a || (af != AF_INET && af != AF_INET6))
		return false;
	out->family = af == AF_INET6 ? 6 : 4;
	if (RTA_PAYLOAD(a) != dp_addr_len(out->family))
		return false;
	memcpy(out->ip, RTA_DATA(a), dp_addr_len(out->family));
	return true;
}
