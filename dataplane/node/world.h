/* A small world around the graph for tests: the real tables and nodes, one or two workers walked by
 * hand in one thread, ports that are arrays of frames, a clock that the test moves (world.c), and
 * peers with libsrtp2 at their end (world_peer.c). */
#pragma once
#include <srtp2/srtp.h>
#include <stdbool.h>
#include <stdint.h>
#include "dataplane/node/node.h"
#include "dataplane/rtcp/rtcp.h"
#include "dataplane/stun/stun.h"

enum {
	WORLD_ENDPOINTS = 16,
	WORLD_TRACKS = 16,
	WORLD_SUBS = 400,
	WORLD_OUT = 4096,
	WORLD_BASE = 10000,
	FRAME_MAX = 1700,
};

struct frame {
	uint8_t data[FRAME_MAX];
	uint32_t len;
	unsigned worker; // that sent it
	bool taken;
};

struct peer {
	uint32_t endpoint;
	sh_id id;
	unsigned worker;
	struct sh_addr addr, local;
	unsigned vlans; // tags on its frames
	char ufrag[8], pwd[24];
	struct sh_srtp_secret key_tx, key_rx; // of the peer
	uint16_t profile;
	srtp_t tx, rx;
	struct sh_msg_endpoint_set set;
};

struct world {
	struct dp_worker *w[2];
	unsigned workers, runs;
	struct rte_mempool *pool;
	uint64_t now_ns, txn;
	struct frame *out;
	unsigned n_out;
	struct rte_mbuf *rx[2][256];
	unsigned n_rx[2];
	struct rte_mbuf *punted[64];
	unsigned n_punted;
	unsigned notes[2]; // by enum dp_note_type
	const char *backend;
};
extern struct world world;

int world_setup(void); // EAL, once
void world_teardown(void);
void world_start(unsigned workers, const char *backend);
void world_restart(void);    // the process died and another one found the slabs
void world_stop(void);       // asserts that no packet buffer is lost
void world_walk(void);       // all workers, as often as packets are under way
void world_run(uint64_t ms); // walks, a millisecond of the clock each

/* ---- configuration: one transaction each ---- */
void world_commit(unsigned type, const void *body, uint32_t len); // of that one record
void peer_new(struct peer *p, uint32_t endpoint, unsigned worker, uint16_t profile, bool ip6);
void peer_ext(struct peer *p, enum sh_ext kind, uint8_t id);
void peer_keys(struct peer *p); // as after DTLS
void peer_path(struct peer *p); // what control does when it hears of a nominated address
void peer_free(struct peer *p);
void world_track(uint32_t track, const struct peer *publisher, const struct sh_msg_track_set *like);
void world_slot(uint32_t track, uint32_t group, uint8_t at, const struct sh_msg_track_set *like);
void world_sub(uint32_t sub, uint32_t track, const struct peer *subscriber,
               const struct sh_msg_sub_set *like);
void world_del(uint8_t what, sh_id id);
sh_id world_id(uint32_t index);

/* ---- packets in ---- */
void world_frame(unsigned worker, const uint8_t *frame, uint32_t len);
uint32_t peer_frame(const struct peer *p, uint8_t *frame, const uint8_t *payload, uint32_t len);
void peer_send(const struct peer *p, const uint8_t *payload,
               uint32_t len); // on its own worker's queue
/* A Binding request; flags: PEER_*. Returns its length. */
enum {
	PEER_NOMINATE = 1,
	PEER_BAD_PWD = 2,
	PEER_BAD_UFRAG = 4,
	PEER_NO_MI = 8,
	PEER_CONTROLLED = 16,
	PEER_UNKNOWN_ATTR = 32
};
uint32_t peer_stun(const struct peer *p, uint8_t *buf, unsigned flags, uint32_t priority);
void peer_check(const struct peer *p, unsigned flags);
void peer_connect(struct peer *p); // nominated check, path, keys
/* Protects and sends. rtp: header and all. */
void peer_rtp(struct peer *p, const uint8_t *rtp, uint32_t len);
void peer_rtcp(struct peer *p, const uint8_t *rtcp, uint32_t len);

struct rtp_out { // what the subscriber got
	uint8_t buf[FRAME_MAX];
	uint32_t len;
	struct dp_rtp_hdr hdr;
	struct dp_rtp_exts exts;
};
/* ---- packets out: the oldest not taken yet of that kind to that peer; checksums and lengths are
 * asserted ---- */
bool peer_take(struct peer *p, uint8_t *payload, uint32_t *len,
               bool (*is)(const uint8_t *, uint32_t));
bool peer_take_rtp(struct peer *p, struct rtp_out *out);          // decrypted
bool peer_take_rtcp(struct peer *p, uint8_t *buf, uint32_t *len); // decrypted
bool peer_take_stun(struct peer *p, uint8_t *buf, uint32_t *len);
bool peer_take_raw(struct peer *p, uint8_t *buf, uint32_t *len); // SRTP as sent
void world_forget_out(void);

uint64_t world_stat(unsigned stat); // of all workers
