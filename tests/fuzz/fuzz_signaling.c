/* Frames of a client that may say anything. Lines of the input are frames of one connection, in a
 * room with a second participant who publishes and is sent what the first publishes. A line is sent
 * as it is, but for these:
 *   !answer   the offer that came last, answered as a browser would
 *   !lose     the connection goes; the next line has a new one, logged in as the same user
 *   !wait     20 s pass
 * Whatever was said, all is gone a minute after the connections are. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "tests/fakes/call_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cp_conn bob, eve;
static char *av;

/* Takes all frames; answers the last offer among them. */
static void let_answer(struct cp_conn *c)
{
	json_t *o, *offer = NULL;
	char *sdp;

	while ((o = conn_take(c))) {
		if (strcmp(text_at(o, "type"), "offer") == 0) {
			json_decref(offer);
			offer = json_incref(o);
		}
		json_decref(o);
	}
	if (offer) {
		sdp = sdp_answer(text_at(offer, "sdp"), "clnt", UINT64_MAX);
		conn_send(c, "{ss sI ss}", "type", "answer", "rev", int_at(offer, "rev"), "sdp",
		          sdp);
		free(sdp);
	}
	json_decref(offer);
}

static void log_in(struct cp_conn *c, const char *token)
{
	conn_open(c);
	conn_send(c, "{ss ss}", "type", "login", "token", token);
	conn_send(c, "{ss ss}", "type", "join", "room", "r");
}

static void line(const char *text, size_t len)
{
	if (!eve.open)
		log_in(&eve, "t-eve");
	if (len == 5 && memcmp(text, "!lose", 5) == 0)
		conn_drop(&eve);
	else if (len == 5 && memcmp(text, "!wait", 5) == 0)
		world_leap(20000);
	else if (len == 7 && memcmp(text, "!answer", 7) == 0)
		let_answer(&eve);
	else
		conn_text(&eve, text, len);
	world_settle();
	let_answer(&bob);
	world_settle();
	if (!eve.open && eve.frames)
		conn_drop(&eve);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *end = at + size;
	struct cp_plane_counts p;
	struct cp_calls_counts n;

	if (size > 65536)
		return 0;
	if (!world.sig) {
		world_open(false);
		av = sdp_file("aiortc_av");
	}
	log_in(&bob, "t-bob");
	conn_send(&bob, "{ss ss}", "type", "publish", "sdp", av);
	log_in(&eve, "t-eve");
	world_settle();
	for (int i = 0; at < end && i < 64; i++) {
		const char *eol = memchr(at, '\n', (size_t)(end - at));
		size_t len = eol ? (size_t)(eol - at) : (size_t)(end - at);

		line(at, len);
		at += len + 1;
	}
	if (eve.frames)
		conn_drop(&eve);
	conn_drop(&bob);
	world_leap(61000);
	n = world_counts();
	cp_plane_counts(world.plane, &p);
	assert(n.rooms + n.participants + n.endpoints + n.tracks + n.subs + n.dtls + n.calls == 0);
	assert(p.endpoints + p.tracks + p.subs == 0);
	assert(world.sig->counts.sessions == 0 && !world.calls->users && world.dp.refusals == 0);
	return 0;
}
