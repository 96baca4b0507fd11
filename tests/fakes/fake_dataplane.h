/* A dataplane without packets: it listens, keeps what transactions say in plain tables by the
 * contract of msg.h, and answers. What a test wants to go wrong, it sets. Single thread; call
 * fake_dp_poll() in turns. */
#pragma once
#include <stdbool.h>
#include "shared/link.h"
#include "shared/msg.h"

enum {
	FAKE_ENDPOINTS = 1024,
	FAKE_TRACKS = 1024,
	FAKE_SUBS = 1024,
	FAKE_STAGED = 8192,
	FAKE_PACKETS = 4096
};

struct fake_tables {
	struct sh_msg_endpoint_set endpoint[FAKE_ENDPOINTS]; // id 0: free
	struct sh_msg_endpoint_keys keys[FAKE_ENDPOINTS];    // profile 0: none
	struct sh_msg_track_set track[FAKE_TRACKS];
	struct sh_msg_sub_set sub[FAKE_SUBS];
};

struct fake_record {
	uint16_t type;
	uint32_t len;
	_Alignas(8) uint8_t body[256];
};

struct fake_dp {
	struct sh_link_server server;
	struct sh_link link;
	struct fake_tables now;
	struct sh_msg_e_hello hello;
	bool greeted;
	uint64_t txn; // open one, 0: none
	struct fake_record staged[FAKE_STAGED];
	uint32_t n_staged;
	/* seen */
	unsigned commits, full_commits, refusals, hellos, bad; // bad: records against the contract
	unsigned changes; // entries that a commit made different
	uint32_t packet_endpoint[FAKE_PACKETS],
	    packet_number[FAKE_PACKETS]; // first 4 bytes of each
	unsigned packets, keyframes;
	/* wanted */
	bool deaf;                                             // reads nothing
	bool mute;                                             // applies but does not answer
	unsigned read_max;                                     // records a poll, 0: all
	int (*refuse)(const struct fake_record *r, void *arg); // -errno refuses this record
	void (*packet)(const struct sh_msg_packet *m, void *arg); // hears of each
	void *arg;
};

int fake_dp_open(struct fake_dp *f, const char *dir, uint32_t command_capacity);
/* As a kill does; the tables stay (slabs outlive) unless the caller clears them. */
void fake_dp_kill(struct fake_dp *f);
/* Accepts, reads, answers. true if it did anything. */
bool fake_dp_poll(struct fake_dp *f);
bool fake_dp_event(struct fake_dp *f, unsigned type, const void *body, uint32_t len);
