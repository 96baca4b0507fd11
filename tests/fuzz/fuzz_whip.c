/* HTTP requests to WHIP and WHEP. An input is requests with a line "----" between: the first line
 * of each is METHOD PATH [TOKEN [CONTENT-TYPE [IF-MATCH]]], the rest its body. "@1" in a path is
 * the Location of the last session that was made. "!wait" lets 20 s pass. A browser in the room
 * publishes and watches. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/fakes/call_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cp_conn bob;
static char *av, location[128];

static void request(char *text)
{
	static const struct {
		const char *name;
		enum cp_method method;
	} methods[] = {{"GET", CP_GET},
	               {"POST", CP_POST},
	               {"PATCH", CP_PATCH},
	               {"DELETE", CP_DELETE},
	               {"OPTIONS", CP_OPTIONS}};
	char *body = strchr(text, '\n'), *word[5] = {"", "", "", "", ""}, *save = NULL;
	enum cp_method method = CP_PUT;
	struct cp_http h;

	if (body)
		*body++ = 0;
	word[0] = strtok_r(text, " ", &save);
	for (int i = 1; i < 5 && word[i - 1]; i++)
		word[i] = strtok_r(NULL, " ", &save);
	if (!word[0])
		return;
	if (strcmp(word[0], "!wait") == 0) {
		world_leap(20000);
		return;
	}
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(word[0], methods[i].name) == 0)
			method = methods[i].method;
	if (!word[1])
		return;
	if (strcmp(word[1], "@1") == 0 && *location)
		word[1] = location;
	if ((strncmp(word[1], "/whip/", 6) != 0 && strncmp(word[1], "/whep/", 6) != 0) ||
	    strlen(word[1]) > 500)
		return;
	h = http(method, word[1], word[2], word[3], word[4], body);
	if (h.status == 201)
		snprintf(location, sizeof(location), "%s", h.location);
	http_done(&h);
	conn_forget(&bob);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cp_plane_counts p;
	struct cp_calls_counts n;
	char *text, *at;

	if (size > 65536 || !(text = calloc(1, size + 1)))
		return 0;
	memcpy(text, data, size);
	if (!world.sig) {
		world_open(false);
		av = sdp_file("aiortc_av");
	}
	*location = 0;
	conn_open(&bob);
	conn_send(&bob, "{ss ss}", "type", "login", "token", "t-bob");
	conn_send(&bob, "{ss ss}", "type", "join", "room", "r");
	conn_send(&bob, "{ss ss}", "type", "publish", "sdp", av);
	world_settle();
	at = text;
	for (int i = 0; at && i < 16; i++) {
		char *next = strstr(at, "----\n");

		if (next) {
			*next = 0;
			next += 5;
		}
		request(at);
		at = next;
	}
	free(text);
	conn_drop(&bob);
	for (int i = 0; i < 3; i++)
		world_leap(32000);
	n = world_counts();
	cp_plane_counts(world.plane, &p);
	assert(n.rooms + n.participants + n.endpoints + n.tracks + n.subs + n.dtls == 0);
	assert(p.endpoints + p.tracks + p.subs == 0);
	assert(world.sig->counts.whip + world.sig->counts.whep == 0 && world.dp.refusals == 0);
	return 0;
}
