#include "controlplane/ops/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include "controlplane/ops/admin.h"

enum { TIMEOUT_S = 10, ANSWER_MAX = 64 << 20 };

static int dial(const struct ctl *c, int timeout_s)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct timeval tv = {.tv_sec = timeout_s};
	int n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s", c->rundir, CP_ADMIN_SOCKET);
	int fd;

	if (n < 0 || (size_t)n >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* One line each way. NULL: errno says why. */
static char *exchange(int fd, const char *line)
{
	char *text = NULL;
	size_t len = 0, cap = 0, n = strlen(line);

	if (send(fd, line, n, MSG_NOSIGNAL) != (ssize_t)n || send(fd, "\n", 1, MSG_NOSIGNAL) != 1)
		return NULL;
	while (!len || text[len - 1] != '\n') {
		ssize_t got;

		if (len + 1 >= cap) {
			char *p =
			    cap < ANSWER_MAX ? realloc(text, cap = cap ? cap * 2 : 65536) : NULL;

			if (!p)
				goto fail;
			text = p;
		}
		got = recv(fd, text + len, cap - len - 1, 0);
		if (got <= 0) {
			errno = got ? errno : ECONNRESET;
			goto fail;
		}
		len += (size_t)got;
	}
	text[len] = '\0';
	return text;
fail:
	free(text);
	return NULL;
}

int ctl_query(const struct ctl *c, json_t *request, int timeout_s, json_t **data, char *why, size_t size)
{
	char *line = json_dumps(request, JSON_COMPACT), *text;
	int fd = dial(c, timeout_s), code = CTL_OK;
	json_t *answer = NULL;

	json_decref(request);
	if (fd < 0) {
		free(line);
		snprintf(why, size, "%s/%s: %s: callstackd does not run there", c->rundir, CP_ADMIN_SOCKET,
		         strerror(-fd));
		return CTL_NO_DAEMON;
	}
	text = line ? exchange(fd, line) : NULL;
	if (text)
		answer = json_loads(text, 0, NULL);
	if (!answer) {
		snprintf(why, size, "callstackd did not answer: %s", strerror(errno));
		code = CTL_FAILED;
	} else if (!json_is_true(json_object_get(answer, "ok"))) {
		const char *error = json_string_value(json_object_get(answer, "error"));

		snprintf(why, size, "callstackd: %s", error ? error : "it failed");
		code = CTL_FAILED;
	} else {
		*data = json_incref(json_object_get(answer, "data"));
	}
	json_decref(answer);
	free(text);
	free(line);
	close(fd);
	return code;
}

int ctl_ask(const struct ctl *c, json_t *request, json_t **data)
{
	char why[512];
	int code = ctl_query(c, request, TIMEOUT_S, data, why, sizeof(why));

	return code ? ctl_fail(c, code, "%s", why) : 0;
}

static long long integer(const json_t *j, const char *key)
{
	return (long long)json_integer_value(json_object_get(j, key));
}

static const char *string(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

int ctl_status(struct ctl *c)
{
	json_t *d, *dp;
	bool well;
	int code;

	if (!ctl_words(c, 0, 0))
		return CTL_USAGE;
	code = ctl_ask(c, json_pack("{s:s}", "command", "status"), &d);
	if (code)
		return code;
	well = !strcmp(string(d, "status"), "ok");
	if (c->json) {
		ctl_print_json(d);
		return well ? CTL_OK : CTL_FAILED;
	}
	dp = json_object_get(d, "dataplane");
	printf("callstackd %s, pid %lld, up %.0f s: %s%s%s\n", string(d, "version"),
	       integer(d, "pid"), json_number_value(json_object_get(d, "uptime")),
	       string(d, "status"), well ? "" : ": ", string(d, "reason"));
	if (json_is_true(json_object_get(dp, "state")))
		printf("dataplane: %lld workers, media from UDP port %lld, heard from %.1f s ago\n",
		       integer(dp, "workers"), integer(dp, "base_port"),
		       json_number_value(json_object_get(dp, "heartbeat_age")));
	else
		printf("dataplane: %s\n", string(dp, "reason"));
	printf("%lld sessions, %lld rooms, %lld participants, %lld calls, %lld WHIP, %lld WHEP, "
	       "%lld WebSockets\n",
	       integer(d, "sessions"), integer(d, "rooms"), integer(d, "participants"),
	       integer(d, "calls"), integer(d, "whip"), integer(d, "whep"),
	       integer(d, "websockets"));
	json_decref(d);
	return well ? CTL_OK : CTL_FAILED;
}

/* {"rooms": [{"room", "participants": [{"participant", "user", "display", "tracks": [{"track",
 * "kind", …}]}]}]} */
int ctl_rooms(struct ctl *c)
{
	json_t *d, *room, *who, *track;
	size_t i, k, t;
	int code;

	if (!ctl_words(c, 0, 0))
		return CTL_USAGE;
	code = ctl_ask(c, json_pack("{s:s}", "command", "rooms"), &d);
	if (code)
		return code;
	if (json_is_array(d))
		d = json_pack("{s:o}", "rooms", d);
	if (c->json) {
		ctl_print_json(d);
		return CTL_OK;
	}
	json_array_foreach (json_object_get(d, "rooms"), i, room) {
		const json_t *all = json_object_get(room, "participants");

		printf("%s: %zu participants\n", string(room, "room"), json_array_size(all));
		json_array_foreach (all, k, who) {
			printf("  %-24s %s ", string(who, "participant"), string(who, "user"));
			json_array_foreach (json_object_get(who, "tracks"), t, track)
				printf(" %s", string(track, "source")[0] ? string(track, "source")
				                                         : string(track, "kind"));
			puts("");
		}
	}
	if (!json_array_size(json_object_get(d, "rooms")))
		puts("no rooms");
	json_decref(d);
	return CTL_OK;
}

/* {"enabled", "model", "budget", "refused", "last", "workers": [{"worker", "measured", "model",
 * "transports", "subscriptions"}]}; shares in percent */
int ctl_admission(struct ctl *c)
{
	json_t *d, *w;
	size_t i;
	int code;

	if (!ctl_words(c, 0, 0))
		return CTL_USAGE;
	code = ctl_ask(c, json_pack("{s:s}", "command", "admission"), &d);
	if (code)
		return code;
	if (c->json) {
		ctl_print_json(d);
		return CTL_OK;
	}
	if (!json_is_true(json_object_get(d, "enabled"))) {
		puts("off: everybody is let in");
		json_decref(d);
		return CTL_OK;
	}
	printf("budget %lld %%, %s, refused %lld\n", integer(d, "budget"),
	       json_is_true(json_object_get(d, "model")) ? "with a cost model" : "no cost model",
	       integer(d, "refused"));
	json_array_foreach (json_object_get(d, "workers"), i, w)
		printf("  worker %lld: measured %.1f %%, by the model %.1f %%\n", integer(w, "worker"),
		       json_number_value(json_object_get(w, "measured")),
		       json_number_value(json_object_get(w, "model")));
	if (*string(d, "last"))
		printf("last refusal: %s\n", string(d, "last"));
	json_decref(d);
	return CTL_OK;
}
