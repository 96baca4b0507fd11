/* What the files of bench_forward share: a dataplane of one worker, or two, in this process, with
 * its tables filled by the real command path and its peers connected by real STUN checks,
 * publishers whose packets are encrypted ahead, and the crypto alone as the floor.
 *
 *   forward_peer.c    who a peer is: addresses, keys, its check
 *   forward_ports.c   EAL, packet buffers, ports, and frames into them
 *   forward_tables.c  endpoints, tracks and subscriptions of a layout, as the daemon would say them
 *   forward_world.c   slabs, worker, peers that are connected; a shape's layout
 *   forward_feed.c    publishers: valid SRTP, a chunk of packets ahead of the clock
 *   forward_floor.c   the same number of encryptions with the same sessions, in the same order, and
 *                     nothing else
 *   forward_memif.c   the other end of a memif link, a process of its own: sends, drains, takes the
 *                     time
 *   forward_latency.c the worker while that one runs, and what a packet waits where
 *   forward_nodes.c   cycles by node of the graph
 *   forward_calib.c   how quick the machine is just now
 *   forward_pair.c    a second worker, on a thread of its own
 *   forward_two.c     rows of two workers
 *   forward_account.c of what a subscription's memory is made
 *   bench_forward.c   rows, ratios
 *   room_layout.c     bench_room: a scenario's layout
 *   room_slots.c      bench_room: who is in the slots of rooms that have grown
 *   room_feed.c       bench_room: its publishers' packets and its listeners' feedback at their times
 *   bench_room.c      bench_room: its clock, the search for the knee, rows
 *
 * Everything about a peer (address, keys, SSRC) follows from its number, so that both processes
 * know it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "dataplane/srtp/srtp.h"
#include "dataplane/worker.h"
#include "shared/addr.h"

enum {
	FWD_PORT = 10000,
	FWD_TRACKS_MAX = 50000,
	FWD_SUBS_MAX = 50000,
	FWD_FRAME = 1536,
	FWD_CHUNK = 2048, // publisher packets encrypted ahead
	FWD_FIRST = 1000, // SRTP index of a publisher's first packet
	FWD_HDR = 28,     // publisher's RTP header with extensions
	FWD_HEAD = 42,    // Ethernet, IPv4, UDP
};

/* One track a publisher, one subscription a subscriber endpoint, each endpoint with keys of its
 * own. */
struct fwd_shape {
	uint16_t profile; // enum sh_srtp_profile
	unsigned subs;    // in all; a multiple of fanout
	unsigned fanout;  // subscribers of each track
	unsigned payload; // bytes of RTP payload; up to FWD_AUDIO_MAX it is Opus, else VP8
	unsigned workers; // 1 or 2: subscribers are spread over both, publishers are the first's
	bool memif, af_xdp;
	bool links; // each subscriber's link is estimated and paced, and bears all
};
enum { FWD_AUDIO_MAX = 400 };
static inline unsigned fwd_tracks(const struct fwd_shape *s)
{
	return s->subs / s->fanout;
}
static inline unsigned fwd_endpoints(const struct fwd_shape *s)
{
	return s->subs + fwd_tracks(s); // publishers come first
}

/* ---- forward_peer.c: peers, by number ---- */
void fwd_keys(uint32_t endpoint, uint16_t profile, struct sh_srtp_secret *from_peer,
              struct sh_srtp_secret *to_peer);
struct sh_addr fwd_addr(uint32_t endpoint);
struct sh_addr fwd_local(unsigned worker);
void fwd_ufrag(uint32_t endpoint, uint8_t out[8]);
extern const char fwd_password[]; // of all
/* FWD_HEAD bytes in front of that many of SRTP, from a peer. */
void fwd_head(uint8_t *f, uint32_t endpoint, uint16_t rtp_len);
/* A frame with an ICE check that nominates; returns its length. */
uint16_t fwd_check(uint32_t endpoint, unsigned worker, uint8_t *frame);
static inline uint32_t fwd_ssrc(uint32_t track)
{
	return 0x10000000u + track;
}

/* ---- forward_ports.c ---- */
void fwd_die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
enum { FWD_ETH_RING, FWD_ETH_NULL, FWD_ETH_LINK }; // position in dp_ports
/* EAL without hugepages, on cores that are words of its --lcores. vdev: a device and its arguments,
 * or NULL. false: it failed, rte_errno says why. */
bool fwd_eal(const char *prefix, const char *cores, unsigned memory_mb, const char *vdev);
/* Once: EAL, packet buffers, ports. memif: path of the socket, or NULL. interface: a network device
 * for AF_XDP, and peer the other end of its veth, by which publishers' packets come in, or NULL.
 * Exits with a message when it cannot. */
struct fwd_start {
	const char *prefix, *memif, *interface, *peer;
	unsigned cpu;
	unsigned workers, second_cpu; // workers 2: there is a second one, on that CPU
};
void fwd_start(const struct fwd_start *s);
const struct dp_srtp_backend *fwd_backend(void);
struct rte_mempool *fwd_pool(void);
/* Whether frames go by the other end of the veth, when there is one. */
void fwd_by_wire(bool on);
/* Frames into the worker's receive queue. Takes them all. */
void fwd_inject(const uint8_t *const *frame, const uint16_t *len, unsigned n);

/* ---- forward_tables.c ---- */
/* Any layout of tracks and subscriptions: who they are of, by number. mid: of the m-line, unique in
 * its endpoint. */
struct fwd_track {
	uint32_t endpoint;
	unsigned payload, mid;
	uint32_t group; // 0: it may be put into no slot
	unsigned slot;  // place of this slot of its group and kind, plus one; 0: it is none
};
struct fwd_sub {
	uint32_t track, endpoint;
	unsigned payload, mid;
};
struct fwd_peer {
	uint32_t owner; // 0: nobody
	bool twcc;
};
struct fwd_layout {
	uint16_t profile;
	bool link;  // packets leave by the third port
	bool links; // as of a shape; of all, where there is no peer()
	unsigned workers;
	unsigned endpoints, tracks, subs;
	void (*peer)(uint32_t i, struct fwd_peer *out); // may be NULL
	void (*track)(uint32_t i, struct fwd_track *out);
	void (*sub)(uint32_t i, struct fwd_sub *out);
};
/* Publishers come first. */
static inline unsigned fwd_worker(const struct fwd_layout *l, uint32_t endpoint)
{
	return l->workers < 2 || endpoint < l->tracks ? 0 : endpoint % 2;
}
/* All of it, committed. */
void fwd_fill_tables(const struct fwd_layout *s);

/* ---- forward_world.c ---- */
/* Subscriptions are in the plane, peers connected; no packet has been sent. */
void fwd_open_layout(const struct fwd_layout *layout);
void fwd_close_layout(void);
/* Tables of a shape, every peer connected and every subscription past its first key frame. */
void fwd_open(const struct fwd_shape *shape);
void fwd_close(void);
/* Bytes of this process that the shape took, all in: slabs, indexes, keys, worker state. */
uint64_t fwd_bytes(void);
/* One turn of the first worker; returns its ticks. For it, time goes on in its turns only, as if it
 * did nothing else: else what is due by the clock (reports, scans) would be charged to packets that
 * had no time to come. */
uint64_t fwd_turn(void);
/* It was cut short by the kernel: it is taken to have lasted `ticks`, as others do, else the reports
 * that came due meanwhile would be charged to the turns that follow. */
void fwd_turn_forget(uint64_t ticks);
/* Seconds without packets, so that reports are spread over time as they are in the long run. */
void fwd_settle(void);
/* The same when it is `tsc` (which only grows), whatever time it is. */
uint64_t fwd_turn_at(uint64_t tsc);
/* What the worker takes for the time of day then, ns. */
uint64_t fwd_turn_ns(uint64_t tsc);
uint64_t fwd_stat(unsigned stat); // of all workers
uint64_t fwd_drops(void);
/* Names of drops since before[], to stderr. */
void fwd_drops_print(const uint64_t *before);

/* ---- forward_pair.c ---- */
void fwd_pair_begin(void);
void fwd_pair_end(void);
/* Turns the first worker until an endpoint of the second is connected, or a second went by. */
void fwd_pair_connected(uint32_t endpoint);
/* The same until `out` packets in all have left; false: they have not. */
bool fwd_pair_wait(uint64_t out);
/* How often the kernel took the second worker's CPU away. */
uint64_t fwd_pair_switches(void);

/* ---- forward_two.c ---- */
/* Pieces of the feed through both workers until `target` packets went out; what was timed while the
 * kernel took either CPU away is left out. Returns how many were timed, adds to *ticks and *cut. */
uint64_t fwd_two_run(unsigned target, unsigned burst, uint64_t *ticks, unsigned *cut);

/* ---- forward_account.c ---- */
struct fwd_account {
	const char *what;
	double bytes; // a subscription
};
/* What fwd_bytes() is made of: structures by their sizes, and last, "other", what of the measured
 * bytes they do not explain (lists, hashes, fixed tables, the rest of huge pages). Ends with what
 * NULL. */
const struct fwd_account *fwd_account(const struct fwd_shape *shape);

/* ---- forward_feed.c: any process ---- */
void fwd_feed_open(const struct fwd_shape *shape);
void fwd_feed_close(void);
void fwd_feed_skip(unsigned n); // packets of every track that were sent by others
/* Encrypts the next n <= FWD_CHUNK packets, tracks by turns in a random order, whole frames. ts:
 * RTP timestamp of the first, then counted up. */
void fwd_feed_make(unsigned n, uint32_t ts);
const uint8_t *const *fwd_feed_frames(void);
const uint16_t *fwd_feed_lens(void);
const uint32_t *fwd_feed_tracks(void);

/* ---- forward_floor.c ---- */
void fwd_floor_open(const struct fwd_shape *shape);
/* What the last n packets of the feed mean in encryptions, each once for each of its track's
 * subscribers: returns how many were timed, and adds to *ticks. hot: all of them with one session.
 */
uint64_t fwd_floor_run(unsigned n, bool hot, uint64_t *ticks);

/* ---- forward_memif.c ---- */
/* Two times are taken of each copy. `seen`: from the send until the receiver has it in its hands;
 * `there`: until it last found the ring empty before that, so the copy came later: what was spent
 * from then on may have been the receiver's own absence. The truth lies between. */
struct fwd_link_times {
	double p50_us, p99_us, max_us;
};
struct fwd_link_result {
	uint64_t sent, received, ns; // publisher's packets, copies
	struct fwd_link_times seen, there;
	double away_us; // longest time between two looks at the ring
};
/* Before EAL: makes the other process. 0 or -errno. */
int fwd_link_fork(const char *socket, unsigned cpu);
/* Tells it of a shape; after fwd_open(). */
void fwd_link_shape(const struct fwd_shape *shape);
/* Starts a run of ms milliseconds; per_s: publisher's packets a second, 0: as many as come through,
 * `window` of them under way. The caller turns the worker until fwd_link_done(). */
void fwd_link_go(unsigned ms, double per_s, unsigned window);
bool fwd_link_done(struct fwd_link_result *out);
bool fwd_link_up(void);
void fwd_link_end(void);

/* ---- forward_latency.c ---- */
struct fwd_driven {
	struct fwd_link_result link;
	uint64_t ticks, packets; // of busy turns that count
	unsigned cut;            // turns that do not: the kernel took the CPU away
	uint64_t cut_packets;    // that left in them
	uint64_t longest;        // busy turn, ticks, cut or not
	double p50_us, p99_us;   // the worker's own: from the walk that took a packet until it left
};
/* Turns the worker while the other process runs for ms milliseconds; per_s: as fwd_link_go(). */
void fwd_drive(struct fwd_driven *out, unsigned ms, double per_s);
struct bench;
/* Some rounds of that at a rate, for the row that was reported last. */
void fwd_latency(struct bench *b, double per_s, unsigned fanout, unsigned ms);

/* ---- forward_nodes.c: of worker 0's graph ---- */
void fwd_nodes_open(void); // after fwd_open() or fwd_open_layout()
void fwd_nodes_clear(void);
void fwd_nodes_before(void); // a turn
void fwd_nodes_after(void);  // it, when it counts
/* The i-th node and its cycles since fwd_nodes_clear(); false: there are no more. */
bool fwd_nodes_get(unsigned i, const char **name, double *cycles);

/* ---- forward_calib.c: always the same work, so that a slow hour of the host shows ---- */
struct fwd_calib {
	double crypto; // ticks of a 1200-byte packet's encryption with keys in the cache
	double memory; // ticks of a dependent read out of more memory than a cache holds
};
void fwd_calib_open(void); // once, after fwd_start()
void fwd_calib_clear(void);
void fwd_calib_take(void); // some microseconds of it
/* Median crypto of the last few, also of before fwd_calib_clear(); 0: none yet. */
double fwd_calib_recent(void);
/* Medians since fwd_calib_clear() of what the kernel left alone; 0: nothing was taken. */
struct fwd_calib fwd_calib_get(void);
