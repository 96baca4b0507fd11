/* For tests of what the control thread tells the daemon, and is told: slabs, tables and a ring of
 * events of which both ends are here. */
#pragma once
#include <stdint.h>
#include "shared/msg.h"
#include "shared/ring.h"
#include "shared/state.h"

enum { ENDPOINTS = 256, CAPACITY = 4096 };

/* 256 endpoints, 8 tracks, 8 subscriptions, none of them in use. */
int event_setup(void **state);
int event_teardown(void **state);

extern struct sh_ring_end event_tx;
extern union event_body {
	_Alignas(8) uint8_t bytes[4096];
	struct sh_msg_committed committed;
	struct sh_msg_endpoint_state endpoint;
	struct sh_msg_track_state track;
	struct sh_msg_packet packet;
	struct sh_msg_speakers speakers;
	struct sh_msg_track_watch watch;
} event_body; // of the last event
/* Type of the next event, 0: none. */
unsigned event_next(void);

uint64_t event_counter(enum sh_stat s); // of the control thread
/* That endpoint, connected. */
struct sh_endpoint *event_alive(uint32_t i);
