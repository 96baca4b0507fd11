/* A scenario of the load generator (bench/scenarios, rooms × participants × layout) as a load of
 * the cost model. Of its keys those that say how much is sent are read; the others (server, net,
 * run, search) are the generator's own. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "shared/cost.h"

struct cost_scenario {
	unsigned rooms, participants, publishers;
	unsigned watch; // publishers that each one subscribes to; 0: all
	bool publishers_watch;
	unsigned cameras; // of the publishers; 0: all
	/* A room that has grown: each one is sent so many voices and pictures. */
	bool grown;
	unsigned audio_slots, video_slots;
	bool audio, video, feedback;    // feedback: listeners send transport-wide feedback
	unsigned audio_size;            // bytes of payload; 50 packets a second
	unsigned kbps, video_size, fps; // of the best layer
	unsigned layers;                // each of a quarter of the next one's bitrate
	enum sh_cost_cipher cipher;
};

/* 0, or -errno with a sentence. */
int cost_scenario_load(struct cost_scenario *out, const char *path, char *why, size_t size);
/* How many publishers the participant of that index is sent. */
unsigned cost_watched(const struct cost_scenario *s, unsigned participant);
double cost_video_pps(const struct cost_scenario *s); // of the best layer
/* Of so many rooms, on a host with that many workers, to which transports are dealt out evenly. */
void cost_scenario_load_of(const struct cost_scenario *s, double rooms, unsigned workers,
                           struct sh_cost_load *out);
/* Packet buffers that the NACK histories may hold, with those sizes of theirs. */
double cost_scenario_buffers(const struct cost_scenario *s, double rooms, unsigned video,
                             unsigned audio);
