/* Plain UDP sockets, one a transport; what goes out is gathered, so that a frame is one sendmmsg.
 * The kernel tells when each packet came. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <linux/sock_diag.h>
#include "bench/loadgen/lg.h"

enum { OUT = 64, IN = 32, EVENTS = 512 };

static int epoll = -1;
static struct {
	struct lg_peer *peer;
	unsigned n;
	uint8_t buf[OUT][LG_PACKET];
	struct iovec iov[OUT];
	struct mmsghdr msg[OUT];
} out;

static int udp_open(void)
{
	struct rlimit most;

	if (getrlimit(RLIMIT_NOFILE, &most) == 0) {
		most.rlim_cur = most.rlim_max;
		setrlimit(RLIMIT_NOFILE, &most);
	}
	epoll = epoll_create1(EPOLL_CLOEXEC);
	return epoll < 0 ? -errno : 0;
}

static int udp_flow(struct lg_peer *p)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(p->local);
	int buffer = (int)lg_sc.buffer * 1024;

	if (lg_sc.address[0])
		inet_pton(AF_INET, lg_sc.address, &a.sin_addr);
	p->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->fd < 0)
		return -errno;
	if (setsockopt(p->fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) < 0)
		setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	if (setsockopt(p->fd, SOL_SOCKET, SO_TIMESTAMPNS, &(int){1}, sizeof(int)) < 0)
		return -errno;
	if (bind(p->fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    getsockname(p->fd, (struct sockaddr *)&p->local, &len) < 0)
		return -errno;
	return 0;
}

static int udp_start(struct lg_peer *p)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = p};

	if (connect(p->fd, (struct sockaddr *)&p->remote, sizeof(p->remote)) < 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, p->fd, &e) < 0)
		return -errno;
	return 0;
}

static void udp_flush(void)
{
	unsigned done = 0;

	while (out.peer && out.peer->fd >= 0 && done < out.n) {
		int n = sendmmsg(out.peer->fd, out.msg + done, out.n - done, 0);

		if (n <= 0 && errno != EINTR)
			break; // lost, as on any network: the receivers will tell
		done += n > 0 ? (unsigned)n : 0;
	}
	out.n = 0;
	out.peer = NULL;
}

static void udp_send(struct lg_peer *p, const void *buf, size_t len)
{
	if (out.peer != p || out.n == OUT)
		udp_flush();
	out.peer = p;
	memcpy(out.buf[out.n], buf, len);
	out.iov[out.n] = (struct iovec){out.buf[out.n], len};
	out.msg[out.n].msg_hdr = (struct msghdr){.msg_iov = &out.iov[out.n], .msg_iovlen = 1};
	out.n++;
}

/* CLOCK_MONOTONIC's lead before the clock that the kernel stamps with. */
static int64_t lead(uint64_t now)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)(now - ((uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec));
}

static uint64_t came_at(struct msghdr *m, uint64_t now, int64_t lead_ns)
{
	struct timespec t;
	uint64_t at;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&t, CMSG_DATA(c), sizeof(t));
		at = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec + (uint64_t)lead_ns;
		return at < now ? at : now;
	}
	return now;
}

static void take(struct lg_peer *p)
{
	static uint8_t buf[IN][LG_PACKET];
	static union {
		char room[CMSG_SPACE(sizeof(struct timespec))];
		struct cmsghdr align;
	} control[IN];
	static struct iovec iov[IN];
	static struct mmsghdr msg[IN];
	struct lg_in in[IN];
	uint64_t now;
	int64_t lead_ns;
	int n;

	for (unsigned i = 0; i < IN; i++) {
		iov[i] = (struct iovec){buf[i], LG_PACKET};
		msg[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i],
		                                 .msg_iovlen = 1,
		                                 .msg_control = &control[i],
		                                 .msg_controllen = sizeof(control[i])};
	}
	n = recvmmsg(p->fd, msg, IN, MSG_DONTWAIT, NULL);
	if (n <= 0)
		return;
	now = lg_now();
	lead_ns = lead(now);
	for (int i = 0; i < n; i++) {
		in[i] = (struct lg_in){.peer = p,
		                       .buf = buf[i],
		                       .len = msg[i].msg_len,
		                       .at_ns = came_at(&msg[i].msg_hdr, now, lead_ns)};
		if (now - in[i].at_ns > lg_late.wait_ns)
			lg_late.wait_ns = now - in[i].at_ns;
	}
	lg_peer_inputs(in, (unsigned)n);
	lg_media_turn(LG_RECEIVE);
}

static void udp_poll(uint64_t wait_ns)
{
	struct timespec t = {(time_t)(wait_ns / 1000000000), (long)(wait_ns % 1000000000)};
	static struct epoll_event e[EVENTS];
	int n = epoll_pwait2(epoll, e, EVENTS, &t, NULL);

	lg_late_slept(&lg_late, wait_ns, lg_now());
	for (int i = 0; i < n; i++)
		take(e[i].data.ptr);
}

static void udp_end(struct lg_peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

static void udp_close(void)
{
	close(epoll);
}

/* Receive buffers that were full. */
static uint64_t udp_missed(void)
{
	uint32_t info[SK_MEMINFO_VARS];
	uint64_t n = 0;

	for (unsigned i = 0; i < lg_peer_count; i++) {
		socklen_t len = sizeof(info);

		if (lg_peers[i]->fd >= 0 &&
		    getsockopt(lg_peers[i]->fd, SOL_SOCKET, SO_MEMINFO, info, &len) == 0)
			n += info[SK_MEMINFO_DROPS];
	}
	return n;
}

const struct lg_net lg_net_udp = {
    .name = "sockets",
    .open = udp_open,
    .flow = udp_flow,
    .start = udp_start,
    .send = udp_send,
    .flush = udp_flush,
    .poll = udp_poll,
    .end = udp_end,
    .close = udp_close,
    .missed = udp_missed,
};
