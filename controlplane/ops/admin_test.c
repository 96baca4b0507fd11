#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "controlplane/loop.h"
#include "controlplane/ops/admin.h"

static char dir[] = "/tmp/admin_test_XXXXXX";

static int cmd_echo(json_t **data, const json_t *request, void *arg)
{
	*data = json_incref(json_object_get(request, "what"));
	return *data ? 0 : -EINVAL;
}

static int cmd_big(json_t **data, const json_t *request, void *arg)
{
	*data = json_array();
	for (int i = 0; i < 100000; i++)
		json_array_append_new(*data, json_integer(i));
	return 0;
}

static int cmd_sorry(json_t **data, const json_t *request, void *arg)
{
	*data = json_string("not today");
	return -EBUSY;
}

static int cmd_gone(json_t **data, const json_t *request, void *arg)
{
	return -ENOENT;
}

static struct cp_admin *make(void)
{
	struct cp_admin *a;

	assert_int_equal(cp_loop_init(), 0);
	assert_int_equal(cp_admin_alloc(&a, dir), 0);
	assert_int_equal(cp_admin_register(a, "echo", "says it again", cmd_echo, NULL), 0);
	assert_int_equal(cp_admin_register(a, "big", "much", cmd_big, NULL), 0);
	assert_int_equal(cp_admin_register(a, "sorry", "no", cmd_sorry, NULL), 0);
	assert_int_equal(cp_admin_register(a, "gone", "no", cmd_gone, NULL), 0);
	return a;
}

static void answers(void **state)
{
	static const struct {
		const char *line, *want;
	} t[] = {
	    {"{\"command\":\"echo\",\"what\":[1]}", "{\"ok\": true, \"data\": [1]}"},
	    {"{\"command\":\"echo\"}", "{\"ok\": false, \"error\": \"Invalid argument\"}"},
	    {"{\"command\":\"sorry\"}", "{\"ok\": false, \"error\": \"not today\"}"},
	    {"{\"command\":\"gone\"}", "{\"ok\": false, \"error\": \"No such process\"}"},
	    {"{\"command\":\"nothing\"}", "{\"ok\": false, \"error\": \"no such command\"}"},
	    {"{\"command\":5}",
	     "{\"ok\": false, \"error\": \"no \\\"command\\\" in the request\"}"},
	    {"{}", "{\"ok\": false, \"error\": \"no \\\"command\\\" in the request\"}"},
	    {"[]", "{\"ok\": false, \"error\": \"no \\\"command\\\" in the request\"}"},
	    {"", "{\"ok\": false, \"error\": \"the request is not a JSON object\"}"},
	    {"{\"command\":\"echo\",\"command\":\"echo\"}",
	     "{\"ok\": false, \"error\": \"the request is not a JSON object\"}"},
	    {"{\"command\":\"\xff\"}",
	     "{\"ok\": false, \"error\": \"the request is not a JSON object\"}"},
	};
	struct cp_admin *a = make();

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char *got = cp_admin_answer(a, t[i].line, strlen(t[i].line));
		json_t *g = json_loads(got, 0, NULL), *w = json_loads(t[i].want, 0, NULL);

		if (!json_equal(g, w))
			fail_msg("row %zu: %s", i, got);
		json_decref(g);
		json_decref(w);
		free(got);
	}
	for (int i = 0; i < CP_ADMIN_COMMANDS_MAX - 5; i++)
		assert_int_equal(cp_admin_register(a, "x", "", cmd_gone, NULL), 0);
	assert_int_equal(cp_admin_register(a, "x", "", cmd_gone, NULL), -ENOSPC);
	cp_admin_free(a);
	cp_loop_close();
}

static int dial(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct timeval tv = {.tv_sec = 10};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s", dir, CP_ADMIN_SOCKET);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (connect(fd, (void *)&sun, sizeof(sun)) < 0)
		abort();
	return fd;
}

static size_t lines_of(int fd, int lines, size_t *bytes)
{
	char buf[65536];
	size_t n = 0;
	ssize_t got;

	*bytes = 0;
	while ((int)n < lines && (got = recv(fd, buf, sizeof(buf), 0)) > 0) {
		*bytes += (size_t)got;
		for (ssize_t i = 0; i < got; i++)
			n += buf[i] == '\n';
	}
	return n;
}

static char result[256];

/* Runs beside the loop, as callstackctl would. */
static void *client(void *arg)
{
	static const char two[] = "{\"command\":\"echo\",\"what\":1}\n{\"command\":\"big\"}\n{"
	                          "\"command\":\"echo\",\"what\":2}\n";
	char *flood = malloc(CP_ADMIN_LINE_MAX + 10);
	int fd = dial(), other = dial(), rude = dial();
	size_t bytes;

	snprintf(result, sizeof(result), "ok");
	/* in pieces, and several at once, with an answer that fills the socket */
	for (size_t i = 0; i < sizeof(two) - 1; i += 7)
		send(fd, two + i, sizeof(two) - 1 - i < 7 ? sizeof(two) - 1 - i : 7, 0);
	usleep(50000);
	send(other, "{\"command\":\"help\"}\n", 19, 0);
	if (lines_of(other, 1, &bytes) != 1)
		snprintf(result, sizeof(result), "help");
	if (lines_of(fd, 3, &bytes) != 3 || bytes < 500000)
		snprintf(result, sizeof(result), "three answers");
	/* no line in 64 KiB: hung up */
	memset(flood, 'x', CP_ADMIN_LINE_MAX + 10);
	send(rude, flood, CP_ADMIN_LINE_MAX + 10, MSG_NOSIGNAL);
	if (recv(rude, flood, 1, 0) > 0)
		snprintf(result, sizeof(result), "flood");
	/* goes away with its answer unread */
	send(other, "{\"command\":\"big\"}\n", 18, 0);
	close(other);
	close(fd);
	close(rude);
	free(flood);
	usleep(50000);
	kill(getpid(), SIGTERM);
	return NULL;
}

static void over_the_socket(void **state)
{
	struct cp_admin *a = make(), *b;
	char path[128];
	struct stat st;
	pthread_t t;

	snprintf(path, sizeof(path), "%s/%s", dir, CP_ADMIN_SOCKET);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(cp_admin_alloc(&b, dir), -EADDRINUSE);
	assert_int_equal(stat(path, &st), 0); // still the first one's
	assert_int_equal(pthread_create(&t, NULL, client, NULL), 0);
	assert_int_equal(cp_loop_run(), 0);
	pthread_join(t, NULL);
	assert_string_equal(result, "ok");
	cp_admin_free(a);
	assert_int_equal(stat(path, &st), -1);
	cp_loop_close();
}

/* A daemon that was killed leaves its socket's file. */
static void a_stale_socket_is_replaced(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct cp_admin *a;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s", dir, CP_ADMIN_SOCKET);
	assert_int_equal(bind(fd, (void *)&sun, sizeof(sun)), 0);
	close(fd);
	a = make();
	cp_admin_free(a);
	cp_loop_close();
	assert_int_equal(cp_loop_init(), 0);
	assert_int_equal(cp_admin_alloc(&a, "/nonexistent"), -ENOENT);
	cp_loop_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers),
	    cmocka_unit_test(over_the_socket),
	    cmocka_unit_test(a_stale_socket_is_replaced),
	};
	int err;

	if (!mkdtemp(dir))
		return 1;
	err = cmocka_run_group_tests_name("admin", tests, NULL, NULL);
	return rmdir(dir) || err;
}
