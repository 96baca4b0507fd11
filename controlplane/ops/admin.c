#include "controlplane/ops/admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "controlplane/loop.h"
#include "shared/log.h"

#define SUBSYS "admin"

struct command {
	const char *name, *help;
	cp_admin_h *h;
	void *arg;
};

struct conn {
	LIST_ENTRY(conn) link;
	struct cp_admin *admin;
	int fd;
	char in[CP_ADMIN_LINE_MAX];
	size_t in_len;
	char *out; // NULL: nothing waits
	size_t out_len, out_sent;
};

struct cp_admin {
	int fd;
	char path[108];
	LIST_HEAD(, conn) conns;
	unsigned count;
	struct command command[CP_ADMIN_COMMANDS_MAX];
	unsigned commands;
};

static void conn_free(struct conn *c)
{
	cp_loop_watch(c->fd, 0, NULL, NULL);
	close(c->fd);
	LIST_REMOVE(c, link);
	c->admin->count--;
	free(c->out);
	free(c);
}

static json_t *answer(struct cp_admin *a, const char *line, size_t len)
{
	json_error_t e;
	json_t *req = json_loadb(line, len, JSON_REJECT_DUPLICATES, &e);
	const char *name = json_string_value(json_object_get(req, "command"));
	json_t *data = NULL, *reply;
	int err = -ENOENT;

	if (!name) {
		json_decref(req);
		return json_pack("{s:b, s:s}", "ok", 0, "error",
		                 req ? "no \"command\" in the request"
		                     : "the request is not a JSON object");
	}
	for (unsigned i = 0; i < a->commands && err == -ENOENT; i++)
		if (!strcmp(a->command[i].name, name)) {
			err = a->command[i].h(&data, req, a->command[i].arg);
			if (err == -ENOENT && !data)
				err = -ESRCH;
		}
	if (!err)
		reply = json_pack("{s:b, s:o}", "ok", 1, "data", data ? data : json_null());
	else if (data)
		reply = json_pack("{s:b, s:o}", "ok", 0, "error", data);
	else
		reply = json_pack("{s:b, s:s}", "ok", 0, "error",
		                  err == -ENOENT ? "no such command" : strerror(-err));
	json_decref(req);
	return reply;
}

char *cp_admin_answer(struct cp_admin *a, const char *line, size_t len)
{
	json_t *reply = answer(a, line, len);
	char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;

	json_decref(reply);
	return text;
}

static int flush(struct conn *c)
{
	while (c->out && c->out_sent < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent,
		                 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		c->out_sent += (size_t)n;
	}
	free(c->out);
	c->out = NULL;
	return 0;
}

/* Answers the lines that are whole, one at a time: the next when the last answer is gone. */
static int serve(struct conn *c)
{
	char *nl;

	while (!c->out && (nl = memchr(c->in, '\n', c->in_len))) {
		size_t n = (size_t)(nl - c->in);

		c->out = cp_admin_answer(c->admin, c->in, n);
		memmove(c->in, nl + 1, c->in_len - n - 1);
		c->in_len -= n + 1;
		if (!c->out)
			return -ENOMEM;
		c->out_len = strlen(c->out);
		c->out[c->out_len++] = '\n'; // in the place of its NUL
		c->out_sent = 0;
		if (flush(c))
			return -EPIPE;
	}
	return c->in_len == sizeof(c->in) ? -EMSGSIZE : 0;
}

static void on_conn(int fd, unsigned events, void *arg)
{
	struct conn *c = arg;
	ssize_t n;
	int err = 0;

	if (c->out)
		err = flush(c);
	if (!err && !c->out && (events & (CP_FD_READ | CP_FD_ERROR))) {
		n = recv(fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			err = -EPIPE;
		else if (n > 0)
			c->in_len += (size_t)n;
	}
	if (!err)
		err = serve(c);
	if (!err)
		err = cp_loop_watch(fd, c->out ? CP_FD_WRITE : CP_FD_READ, on_conn, c);
	if (err)
		conn_free(c);
}

static bool may(int fd)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) == 0 &&
	       (cred.uid == 0 || cred.uid == geteuid());
}

static void on_accept(int fd, unsigned events, void *arg)
{
	struct cp_admin *a = arg;
	struct conn *c = NULL;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (peer < 0)
		return;
	if (a->count < CP_ADMIN_CONNS_MAX && may(peer))
		c = calloc(1, sizeof(*c));
	if (!c) {
		close(peer);
		return;
	}
	c->admin = a;
	c->fd = peer;
	LIST_INSERT_HEAD(&a->conns, c, link);
	a->count++;
	if (cp_loop_watch(peer, CP_FD_READ, on_conn, c))
		conn_free(c);
}

static int cmd_help(json_t **data, const json_t *request, void *arg)
{
	struct cp_admin *a = arg;

	*data = json_object();
	for (unsigned i = 0; i < a->commands; i++)
		json_object_set_new(*data, a->command[i].name, json_string(a->command[i].help));
	return 0;
}

/* A socket file that nobody listens on was left by a daemon that was killed. */
static int bind_socket(struct cp_admin *a, const char *rundir)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	const struct sockaddr *sa = (const void *)&sun;
	int n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s", rundir, CP_ADMIN_SOCKET);
	mode_t old;
	int err = 0;

	if (n < 0 || (size_t)n >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (a->fd < 0)
		return -errno;
	if (connect(a->fd, sa, sizeof(sun)) == 0 || errno == EAGAIN)
		return -EADDRINUSE;
	if (errno == ECONNREFUSED)
		unlink(sun.sun_path);
	close(a->fd);
	a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (a->fd < 0)
		return -errno;
	old = umask(0177);
	if (bind(a->fd, sa, sizeof(sun)) < 0 || listen(a->fd, CP_ADMIN_CONNS_MAX) < 0)
		err = -errno;
	umask(old);
	if (!err)
		memcpy(a->path, sun.sun_path, sizeof(a->path));
	return err;
}

int cp_admin_alloc(struct cp_admin **out, const char *rundir)
{
	struct cp_admin *a = calloc(1, sizeof(*a));
	int err;

	if (!a)
		return -ENOMEM;
	LIST_INIT(&a->conns);
	a->fd = -1;
	err = bind_socket(a, rundir);
	if (!err)
		err = cp_loop_watch(a->fd, CP_FD_READ, on_accept, a);
	if (!err)
		err = cp_admin_register(a, "help", "the commands", cmd_help, a);
	if (err) {
		cp_admin_free(a);
		return err;
	}
	*out = a;
	return 0;
}

void cp_admin_free(struct cp_admin *a)
{
	if (!a)
		return;
	while (!LIST_EMPTY(&a->conns))
		conn_free(LIST_FIRST(&a->conns));
	if (a->fd >= 0) {
		cp_loop_watch(a->fd, 0, NULL, NULL);
		close(a->fd);
	}
	if (a->path[0])
		unlink(a->path);
	free(a);
}

int cp_admin_register(struct cp_admin *a, const char *command, const char *help, cp_admin_h *h,
                      void *arg)
{
	if (a->commands == CP_ADMIN_COMMANDS_MAX)
		return -ENOSPC;
	a->command[a->commands++] = (struct command){command, help, h, arg};
	return 0;
}
