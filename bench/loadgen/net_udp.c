/* Plain UDP sockets, one a transport; what goes out is gathered, so that a frame is one sendmmsg.
 */
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

static void take(struct lg_peer *p)
{
	static uint8_t buf[IN][LG_PACKET];
	static struct iovec iov[IN];
	static struct mmsghdr msg[IN];
	uint64_t now;
	int n;

	for (unsigned i = 0; i < IN; i++) {
		iov[i] = (struct iovec){buf[i], LG_PACKET};
		msg[i].msg_hdr.msg_iov = &iov[i];
		msg[i].msg_hdr.msg_iovlen = 1;
	}
	n = recvmmsg(p->fd, msg, IN, MSG_DONTWAIT, NULL);
	now = lg_now();
	for (int i = 0; i < n; i++)
		lg_peer_input(p, buf[i], msg[i].msg_len, now);
}

static void udp_poll(uint64_t wait_ns)
{
	struct timespec t = {(time_t)(wait_ns / 1000000000), (long)(wait_ns % 1000000000)};
	static struct epoll_event e[EVENTS];
	int n = epoll_pwait2(epoll, e, EVENTS, &t, NULL);

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
    "sockets", udp_open, udp_flow, udp_start, udp_send,
    udp_flush, udp_poll, udp_end,  udp_close, udp_missed,
};
