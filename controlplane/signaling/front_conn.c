/* Records of TCP connections, and the sweep that ends those whose time is up. */
#include "controlplane/signaling/front_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "shared/log.h"

/* Text of the address, and what it is counted by: all of an IPv4 address, the /64 of an IPv6 one,
 * since a single host has as many addresses as it likes there. */
static int name_peer(struct front_conn *c, int fd, uint8_t key[16])
{
	struct sockaddr_storage ss = {0};
	socklen_t n = sizeof(ss);
	const struct sockaddr_in6 *a6 = (const void *)&ss;
	const struct sockaddr_in *a4 = (const void *)&ss;

	memset(key, 0, 16);
	if (getpeername(fd, (struct sockaddr *)&ss, &n) < 0)
		return -errno;
	if (ss.ss_family == AF_INET) {
		memcpy(key, "v4", 2);
		memcpy(key + 4, &a4->sin_addr, 4);
		inet_ntop(AF_INET, &a4->sin_addr, c->address, sizeof(c->address));
	} else if (ss.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a6->sin6_addr)) {
		memcpy(key, "v4", 2);
		memcpy(key + 4, &a6->sin6_addr.s6_addr[12], 4);
		inet_ntop(AF_INET, &a6->sin6_addr.s6_addr[12], c->address, sizeof(c->address));
	} else if (ss.ss_family == AF_INET6) {
		memcpy(key, &a6->sin6_addr, 8);
		inet_ntop(AF_INET6, &a6->sin6_addr, c->address, sizeof(c->address));
	} else {
		return -EAFNOSUPPORT;
	}
	return 0;
}

static struct front_peer *find_peer(struct cp_front *f, const uint8_t key[16])
{
	uint32_t h = 2166136261u;
	struct front_peers *list;
	struct front_peer *p;

	for (unsigned i = 0; i < 16; i++)
		h = (h ^ key[i]) * 16777619u;
	list = &f->peers[h % FRONT_PEERS_HASH];
	LIST_FOREACH (p, list, link) {
		if (!memcmp(p->key, key, 16))
			return p;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	memcpy(p->key, key, 16);
	LIST_INSERT_HEAD(list, p, link);
	return p;
}

static void release(struct front_conn *c)
{
	struct cp_front *f = c->front;

	front_hold_end(c);
	if (c->linked)
		TAILQ_REMOVE(&f->conns, c, link);
	if (c->peer) {
		f->count--;
		cp_metric_set(CP_METRIC_connections, f->count);
		if (!--c->peer->count) {
			LIST_REMOVE(c->peer, link);
			free(c->peer);
		}
	}
	free(c);
}

void front_conn_abandon(struct cp_front *f)
{
	if (f->adopting)
		release(f->adopting);
	f->adopting = NULL;
}

int front_conn_accept(struct cp_front *f, int fd, bool metrics)
{
	struct front_conn *c;
	uint8_t key[16];

	front_conn_abandon(f);
	c = calloc(1, sizeof(*c));
	if (!c)
		return -1;
	c->front = f;
	c->metrics = metrics;
	if (f->closing || f->count >= f->max || name_peer(c, fd, key))
		goto refuse;
	c->peer = find_peer(f, key);
	if (!c->peer)
		goto refuse;
	f->count++;
	if (++c->peer->count > f->conf.max_per_address) {
		sh_debug(FRONT_SUBSYS, "%s: more than %u connections", c->address,
		         f->conf.max_per_address);
		goto refuse;
	}
	cp_metric_set(CP_METRIC_connections, f->count);
	c->deadline_ns = front_after_s(FRONT_SETUP_S);
	f->adopting = c;
	return 0;
refuse:
	cp_metric_add(CP_METRIC_connections_refused, 1);
	release(c);
	return -1;
}

void front_conn_created(struct cp_front *f, struct lws *wsi)
{
	if (f->adopting)
		f->adopting->wsi = wsi;
}

int front_conn_adopted(struct cp_front *f, struct lws *wsi)
{
	struct front_conn *c = f->adopting;

	if (!c || c->wsi != wsi)
		return -1;
	f->adopting = NULL;
	lws_set_opaque_user_data(wsi, c);
	TAILQ_INSERT_TAIL(&f->conns, c, link);
	c->linked = true;
	return 0;
}

struct front_conn *front_conn_of(struct lws *wsi)
{
	return lws_get_opaque_user_data(wsi);
}

void front_conn_destroyed(struct cp_front *f, struct lws *wsi)
{
	struct front_conn *c = front_conn_of(wsi);

	if (!c) {
		if (f->adopting && f->adopting->wsi == wsi)
			front_conn_abandon(f);
		return;
	}
	lws_set_opaque_user_data(wsi, NULL);
	front_http_gone(c);
	front_ws_closed(c);
	release(c);
}

/* From anywhere: its callbacks come later, from the loop. Outside its own callbacks libwebsockets
 * looks at its timers only when it is woken, and some of its states cancel the timer: so the sweep
 * asks again until it is gone. */
void front_conn_kill(struct front_conn *c)
{
	c->phase = c->phase == FRONT_WS ? FRONT_WS : FRONT_DYING;
	c->deadline_ns = cp_now_ns();
	lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
	lws_cancel_service(c->front->ctx);
}

/* While a handler works we read nothing from its client (libwebsockets would spin on what waits
 * there), so whether it hung up is asked for here: the FIN, or a TLS alert, which some send and
 * then wait for ours. TLS 1.3 hides an alert's type, but nothing else that a client says makes a
 * record of 19 bytes (RFC 8446 §5.2: two, the type, a tag). */
static bool hung_up(const struct front_conn *c)
{
	int fd = lws_get_socket_fd(c->wsi);
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};
	uint8_t record[5];

	if (poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)))
		return true;
	return !c->metrics &&
	       recv(fd, record, sizeof(record), MSG_PEEK | MSG_DONTWAIT) == sizeof(record) &&
	       (record[0] == 21 || (record[0] == 23 && record[3] == 0 && record[4] == 19));
}

/* A peer that takes its reply slowly and sends meanwhile makes libwebsockets spin: it neither reads
 * that nor stops asking for it. Nobody who means well does so. */
static bool spins(const struct front_conn *c)
{
	int waiting = 0;

	return !c->http->linger && ioctl(lws_get_socket_fd(c->wsi), FIONREAD, &waiting) == 0 &&
	       waiting > 0;
}

static void sweep_one(struct front_conn *c, uint64_t now_ns)
{
	if (c->ws)
		front_ws_sweep(c, now_ns);
	if ((c->phase == FRONT_HANDLER && hung_up(c)) || (c->phase == FRONT_REPLY && spins(c))) {
		front_conn_kill(c);
		return;
	}
	if (!c->deadline_ns || now_ns < c->deadline_ns)
		return;
	if (c->phase != FRONT_DYING) {
		sh_debug(FRONT_SUBSYS, "%s: timed out in phase %d", c->address, c->phase);
		cp_metric_add(CP_METRIC_timeouts, 1);
	}
	if ((c->phase == FRONT_BODY || c->phase == FRONT_HANDLER) && !front_http_timeout(c))
		return;
	front_conn_kill(c);
}

void front_sweep(void *arg)
{
	struct cp_front *f = arg;
	uint64_t now_ns = cp_now_ns();
	struct front_conn *c, *next;

	for (c = TAILQ_FIRST(&f->conns); c; c = next) {
		next = TAILQ_NEXT(c, link);
		sweep_one(c, now_ns);
	}
	cp_timer_start(f->sweep, 1000);
}
