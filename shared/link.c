#include "shared/link.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { PAGE = 4096, FDS = 3, BACKLOG = 8 };
enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static size_t page_up(size_t n)
{
	return (n + PAGE - 1) & ~(size_t)(PAGE - 1);
}

static size_t link_bytes(uint32_t commands, uint32_t events)
{
	return page_up(sh_ring_bytes(commands)) + page_up(sh_ring_bytes(events));
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void sh_link_close(struct sh_link *l)
{
	if (l->mem)
		munmap(l->mem, l->bytes);
	close_fd(&l->sock);
	close_fd(&l->rx_event);
	close_fd(&l->tx_event);
	close_fd(&l->memfd);
	*l = SH_LINK_CLOSED;
}

static int map(struct sh_link *l, uint32_t commands, uint32_t events, bool dataplane)
{
	struct sh_ring_end command = {0}, event = {0};

	l->bytes = link_bytes(commands, events);
	l->mem = mmap(NULL, l->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, l->memfd, 0);
	if (l->mem == MAP_FAILED) {
		l->mem = NULL;
		return -errno;
	}
	int err = sh_ring_attach(&command, l->mem, commands);
	if (!err)
		err = sh_ring_attach(&event, (uint8_t *)l->mem + page_up(sh_ring_bytes(commands)),
		                     events);
	l->tx = dataplane ? event : command;
	l->rx = dataplane ? command : event;
	return err;
}

/* ---- dataplane ---- */

static int socket_address(struct sockaddr_un *sa, const char *path)
{
	*sa = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(sa->sun_path))
		return -ENAMETOOLONG;
	strcpy(sa->sun_path, path);
	return 0;
}

/* Does someone answer there? A socket file outlives a killed dataplane. */
static bool answers(const struct sockaddr_un *sa)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	bool yes = !connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) || errno == EAGAIN;
	close(fd);
	return yes;
}

static int bind_listen(int fd, const struct sockaddr_un *sa, gid_t group)
{
	mode_t mode = group == (gid_t)-1 ? 0600 : 0660;

	/* The mode of the file is the mode of the descriptor at bind, so it is never wider than
	 * meant. */
	if (fchmod(fd, mode & 0600))
		return -errno;
	if (bind(fd, (const struct sockaddr *)sa, sizeof(*sa)))
		return -errno;
	if (group != (gid_t)-1 &&
	    (chown(sa->sun_path, (uid_t)-1, group) || chmod(sa->sun_path, mode)))
		return -errno;
	return listen(fd, BACKLOG) ? -errno : 0;
}

int sh_link_listen(struct sh_link_server *out, const struct sh_link_conf *conf)
{
	struct sockaddr_un sa;

	*out = (struct sh_link_server){
	    .fd = -1,
	    .peer = conf->peer,
	    .command_capacity = conf->command_capacity ? conf->command_capacity : SH_LINK_CAPACITY,
	    .event_capacity = conf->event_capacity ? conf->event_capacity : SH_LINK_CAPACITY,
	};
	int n = snprintf(out->path, sizeof(out->path), "%s/%s", conf->rundir, SH_LINK_SOCKET);
	if (n >= (int)sizeof(out->path))
		return -ENAMETOOLONG;
	int err = socket_address(&sa, out->path);
	if (err)
		return err;
	if (mkdir(conf->rundir, 0755) && errno != EEXIST)
		return -errno;
	if (answers(&sa))
		return -EADDRINUSE;
	if (unlink(out->path) && errno != ENOENT)
		return -errno;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = bind_listen(fd, &sa, conf->group);
	if (err) {
		close(fd);
		return err;
	}
	out->fd = fd;
	return 0;
}

void sh_link_unlisten(struct sh_link_server *s)
{
	if (s->fd < 0)
		return;
	close_fd(&s->fd);
	unlink(s->path);
}

static bool may_talk(int sock, uid_t peer)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return false;
	return cred.uid == 0 || cred.uid == geteuid() || (peer != (uid_t)-1 && cred.uid == peer);
}

static int send_welcome(int sock, const struct sh_link_welcome *w, const int *fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS * sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)w, .iov_len = sizeof(*w)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fds) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(FDS * sizeof(int));
		memcpy(CMSG_DATA(c), fds, FDS * sizeof(int));
	}
	return sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int refuse(int sock, int error, const char *reason)
{
	struct sh_link_welcome w = {.version = SH_LINK_VERSION, .error = error};

	snprintf(w.reason, sizeof(w.reason), "%s", reason);
	send_welcome(sock, &w, NULL); // best effort: the close says it too
	close(sock);
	return error;
}

/* Fresh memory of a size that nobody can change any more, allocated whole. */
static int make_memory(size_t bytes)
{
	int fd = memfd_create("callstack-link", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	int err = posix_fallocate(fd, 0, (off_t)bytes);
	if (!err && fcntl(fd, F_ADD_SEALS, SEALS))
		err = errno;
	if (err) {
		close(fd);
		return -err;
	}
	return fd;
}

/* l->sock is set; fills the rest and tells the peer. */
static int open_link(struct sh_link_server *s, struct sh_link *l)
{
	struct sh_link_welcome w = {
	    .version = SH_LINK_VERSION,
	    .command_capacity = s->command_capacity,
	    .event_capacity = s->event_capacity,
	};

	l->memfd = make_memory(link_bytes(s->command_capacity, s->event_capacity));
	if (l->memfd < 0)
		return l->memfd;
	l->rx_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->tx_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->rx_event < 0 || l->tx_event < 0)
		return -errno;
	int err = map(l, s->command_capacity, s->event_capacity, true);
	if (err)
		return err;
	/* Asleep from the start: the first command rings. */
	sh_ring_sleep(&l->rx);
	return send_welcome(l->sock, &w, (const int[FDS]){l->memfd, l->rx_event, l->tx_event});
}

int sh_link_accept(struct sh_link_server *s, struct sh_link *current)
{
	int sock = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (sock < 0)
		return errno == EWOULDBLOCK || errno == ECONNABORTED ? -EAGAIN : -errno;
	if (!may_talk(sock, s->peer))
		return refuse(sock, -EPERM, "this user may not program the dataplane");
	if (sh_link_alive(current))
		return refuse(sock, -EBUSY, "another daemon is connected and alive");
	sh_link_close(current);
	current->sock = sock;
	int err = open_link(s, current);
	if (err)
		sh_link_close(current);
	return err;
}

/* ---- daemon ---- */

int sh_link_connect(struct sh_link *out, const char *path)
{
	struct sockaddr_un sa;

	*out = SH_LINK_CLOSED;
	int err = socket_address(&sa, path);
	if (err)
		return err;
	out->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (out->sock < 0)
		return -errno;
	if (connect(out->sock, (const struct sockaddr *)&sa, sizeof(sa))) {
		err = -errno;
		sh_link_close(out);
	}
	return err;
}

/* Takes the descriptors that came along: three go into the link, more than that is an error and
 * closed. */
static int take_fds(struct sh_link *l, struct msghdr *msg)
{
	int *const place[FDS] = {&l->memfd, &l->tx_event, &l->rx_event};
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= c->cmsg_len; i++, n++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (n < FDS)
				*place[n] = fd;
			else
				close(fd);
		}
	}
	return n == FDS && !(msg->msg_flags & MSG_CTRUNC) ? 0 : -EPROTO;
}

static bool capacity_ok(uint32_t c)
{
	struct sh_ring_end end;
	_Alignas(64) static uint8_t anything[64];

	return !sh_ring_attach(&end, anything, c);
}

/* Memory that the peer could still shrink would be a SIGBUS to us. */
static int check_memory(int memfd, size_t bytes)
{
	struct stat st;
	int seals = fcntl(memfd, F_GET_SEALS);

	if (seals < 0 || (seals & SEALS) != SEALS)
		return -EPROTO;
	if (fstat(memfd, &st))
		return -errno;
	return st.st_size >= 0 && (size_t)st.st_size == bytes ? 0 : -EPROTO;
}

int sh_link_welcomed(struct sh_link *l, uid_t peer, char *why, size_t size)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS * sizeof(int))];
	} control;
	struct sh_link_welcome w = {0};
	struct iovec iov = {.iov_base = &w, .iov_len = sizeof(w)};
	struct msghdr msg = {
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes),
	};

	snprintf(why, size, "the dataplane closed the connection");
	ssize_t n = recvmsg(l->sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (n <= 0)
		return n < 0 ? -errno : -ECONNRESET;
	int err = take_fds(l, &msg);
	if (!may_talk(l->sock, peer)) {
		snprintf(why, size,
		         "the listener is neither root, nor we, nor the configured user");
		return -EPERM;
	}
	w.reason[sizeof(w.reason) - 1] = 0;
	if (n != sizeof(w) || w.version != SH_LINK_VERSION) {
		snprintf(why, size,
		         "welcome of %zd bytes, version %u; expected %zu bytes, version %u", n,
		         w.version, sizeof(w), (unsigned)SH_LINK_VERSION);
		return -EPROTO;
	}
	if (w.error) {
		snprintf(why, size, "refused: %s", w.reason);
		return w.error < 0 && w.error > -4096 && w.error != -EAGAIN ? w.error : -EPROTO;
	}
	if (err || !capacity_ok(w.command_capacity) || !capacity_ok(w.event_capacity)) {
		snprintf(why, size,
		         "welcome without three descriptors or with impossible ring sizes");
		return -EPROTO;
	}
	err = check_memory(l->memfd, link_bytes(w.command_capacity, w.event_capacity));
	if (!err)
		err = map(l, w.command_capacity, w.event_capacity, false);
	if (err)
		snprintf(why, size,
		         "the shared memory is unsealed, of another size, or cannot be mapped");
	else
		sh_ring_sleep(
		    &l->rx); // false if an event is there already: the caller drains once anyway
	return err;
}

/* ---- both ---- */

static void ring_bell(int fd)
{
	uint64_t one = 1;

	/* EAGAIN: the counter is full, so it is readable, which is all it is for. */
	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void sh_link_wake(struct sh_link *l)
{
	if (l->mem && sh_ring_wake_needed(&l->tx))
		ring_bell(l->tx_event);
}

void sh_link_woken(struct sh_link *l)
{
	uint64_t n;

	while (read(l->rx_event, &n, sizeof(n)) < 0 && errno == EINTR)
		;
}

void sh_link_again(struct sh_link *l)
{
	ring_bell(l->rx_event);
}

bool sh_link_alive(const struct sh_link *l)
{
	char c;

	if (l->sock < 0)
		return false;
	ssize_t n = recv(l->sock, &c, 1, MSG_PEEK | MSG_DONTWAIT);
	/* Nothing is ever said here after the welcome: a peer that does is no peer of ours. */
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}
