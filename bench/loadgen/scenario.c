#include "bench/loadgen/scenario.h"
#include <errno.h>
#include <string.h>

static const struct sh_conf_opt opts[] = {
#define CONF_STRUCT lg_scenario
#include "shared/conf_table.h"
#include "bench/loadgen/scenario.def"
    {.type = SH_CONF_END},
};

static int check(const void *conf, char *why, size_t size)
{
	const struct lg_scenario *s = conf;

	if (s->publishers > s->participants)
		snprintf(why, size, "rooms.publishers: %u of %u participants; expected no more",
		         s->publishers, s->participants);
	else if (!s->audio && !s->video)
		snprintf(why, size, "video.enabled: neither audio nor video; expected one of them");
	else if (s->transport == LG_AF_XDP && !s->interface[0])
		snprintf(why, size, "net.interface: none; expected one with net.transport af_xdp");
	else if (s->transport == LG_MEMIF && !s->socket[0])
		snprintf(why, size, "net.socket: none; expected one with net.transport memif");
	else if (s->transport != LG_SOCKETS && !s->address[0])
		snprintf(why, size, "net.address: none; expected one with net.transport %s",
		         s->transport == LG_MEMIF ? "memif" : "af_xdp");
	else if (s->transport == LG_AF_XDP && !s->server_mac[0])
		snprintf(why, size, "net.server_mac: none; expected one with net.transport af_xdp");
	else if (s->transport != LG_SOCKETS && s->ice == LG_AGENT)
		snprintf(why, size, "net.ice: agent goes with net.transport sockets only");
	else if (s->kind == LG_RTPENGINE && !s->address[0])
		snprintf(why, size,
		         "net.address: none; expected one with rtpengine, where it stands in SDP");
	else if (s->kind == LG_RTPENGINE && s->audio && s->video)
		snprintf(
		    why, size,
		    "audio.enabled: with rtpengine one medium a call; switch audio or video off");
	else if (s->cameras && s->cameras < s->publishers && !s->audio)
		snprintf(why, size,
		         "rooms.cameras: %u of %u publishers; the others have nothing to send",
		         s->cameras, s->publishers);
	else if (s->slots && (s->kind != LG_CALLSTACK || s->search_from || s->watch))
		snprintf(why, size,
		         "rooms.slots: goes with callstack, without rooms.watch and search.from");
	else if (s->search_from && s->layers > 1)
		snprintf(why, size, "search.from: goes with video.layers 1 only");
	else if (s->search_from && !s->video)
		snprintf(why, size, "search.from: it is the video's bitrate that is searched");
	else
		return 0;
	return -EINVAL;
}

unsigned lg_watched(const struct lg_scenario *s, unsigned participant)
{
	bool publishes = participant < s->publishers;
	unsigned n = s->publishers - publishes;

	if (publishes && !s->publishers_watch)
		return 0;
	return s->watch && s->watch < n ? s->watch : n;
}

const struct sh_conf lg_scenario_table = {
    .program = "loadgen",
    .about = "many WebRTC clients in one process: rooms x participants x layout from a scenario",
    .path = "/nonexistent/loadgen.yaml",
    .opts = opts,
    .size = sizeof(struct lg_scenario),
    .check = check,
};
