/* A room on a virtual clock: publishers, the SFU's own code for bandwidth (feedback, estimator,
 * prober, allocator, pacer, gap tracking), and subscribers behind links of their own.
 * Deterministic: the same scenario gives the same figures.
 *
 *  source.c  what cameras and microphones send: simulcast or SVC, temporal layers, key frames on
 * demand sfu.c     what the nodes do with it, with packets of no content: choice of layer, pacing,
 * probing, retransmission peer.c    a subscriber: transport-wide feedback, NACK, what it could show
 *  sim.c     clock, ways between them, measures
 *  start.c   how a picture starts and stays on a link that nobody knows
 *  table.c   scenarios, with what must hold in each */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "dataplane/bwe/alloc.h"
#include "dataplane/bwe/bwe.h"
#include "dataplane/bwe/cost.h"
#include "dataplane/bwe/pacer.h"
#include "dataplane/impair/wire.h"
#include "dataplane/rtp/rtp.h"

#define SIM_MS   1000000ull
#define SIM_S    1000000000ull
#define SIM_FAIR 0.80
enum {
	SIM_PEERS = 8,
	SIM_TRACKS = 18,
	SIM_HISTORY = 1024,
	SIM_ENTRIES = 1024,
	SIM_QUEUE = 4096,
	SIM_PHASES = 4,
	SIM_HEAD = 68
};

enum { SIM_AUDIO = 1, SIM_RTX = 2, SIM_PAD = 4, SIM_KEY = 8, SIM_LAST = 16 };
struct sim_pkt {
	uint32_t twcc;  // extended
	uint32_t seq;   // RTP, extended, of the subscription; SIM_RTX: of the original
	uint32_t frame; // number in what is sent to this subscription
	uint16_t bytes; // of the IP packet
	uint16_t of;    // packets in the frame
	uint8_t track, layer, temporal, flags;
};

/* Something that comes out of a way at a time. */
struct sim_event {
	uint64_t at_ns, order;
	uint32_t peer, len;
	bool up, read;      // read: it waited for the peer's process
	struct sim_pkt pkt; // down
	uint8_t *data;      // up: RTCP
};
struct sim_heap {
	struct sim_event *e;
	uint32_t n, room;
	uint64_t order;
};

struct sim_track { // published
	uint8_t kind, svc, layers, temporals;
	uint32_t nominal[SH_MAX_LAYERS][SH_MAX_TEMPORAL]; // as the encoder aims at
	uint32_t rate[SH_MAX_LAYERS][SH_MAX_TEMPORAL];    // as the SFU measures …
	struct dp_cost cost;                              // … in the last seconds
	uint32_t fps, key_bytes[SH_MAX_LAYERS];
	bool together; // a request for a key frame is one for all qualities
	uint16_t height[SH_MAX_LAYERS];
	uint64_t key_ns[SH_MAX_LAYERS]; // a request arrives there; 0: none
	uint64_t asked_ns[SH_MAX_LAYERS];
	uint64_t next_ns;
	int64_t debt[SH_MAX_LAYERS]; // bits above the aim, which the encoder makes good in the next
	                             // frames
	uint32_t frames, keys;
	double leap_s, leap; // from then on it takes so many times as much; 0: it does not
};

struct sim_view { // one track to one peer
	uint8_t layer, want, temporal, want_temporal;
	uint32_t seq, frame;
	struct sim_pkt history[SIM_HISTORY];
	uint64_t resent_ns[SIM_HISTORY];
	/* the peer's side */
	struct dp_nack nack;
	uint32_t done_frame, have, of; // newest frame, packets of it that came
	uint64_t shown_ns;             // when the last whole frame came
	uint8_t got[SIM_HISTORY];      // packets by frame
};

/* Figures of one phase. */
struct sim_figures {
	uint64_t from_ns, to_ns;
	double video_bps; // IP bits of media that left the SFU, without padding and retransmissions
	double oracle_bps; // what the best choice of layers costs, on average
	double use; // share of the time, weighted: min(chosen, oracle) / oracle; 0 while more is
	            // chosen than passes
	double padding_bps, rtx_bps;
	double
	    converge_s; // from the phase's start until the choice fits and stays for 2 s; −1: never
	double queue_mean_ms, queue_p95_ms;
	double standing_ms; // largest least wait of any second, once converged
	double full, lost;  // share of packets dropped by the link's queue; lost at random
	double frames;      // share of sent frames that came whole
	double freeze_ms; // longest time without a whole frame of a video that was being sent, once
	                  // converged
	uint32_t switches;   // of quality or frame rate, once converged
	uint32_t sizes;      // switches of quality of the first video
	double paused_ms;    // that it was without, for want of bandwidth
	double estimate_bps; // mean
};

struct sim_phase {
	double at_s; // from here on
	struct dp_wire_conf link;
};

struct sim_peer {
	/* scenario */
	struct sim_phase phase[SIM_PHASES];
	uint32_t phases;
	uint32_t rtt_ms;
	uint32_t up_loss_ppm;
	bool no_padding;    // no RTX was agreed
	uint32_t start_bps; // 0: as dp_bwe_init() has it
	bool stalls;        // its process is late now and then by 20 to 600 ms
	uint8_t speaker;    // track it sees as the speaker, plus one
	/* SFU side */
	struct dp_bwe bwe;
	struct dp_twcc_sent sent[SIM_ENTRIES];
	struct dp_alloc alloc;
	struct dp_pacer pacer;
	struct sim_pkt queue[SIM_QUEUE];
	uint32_t head, tail, queued_bytes;
	uint32_t twcc_seq;
	uint64_t alloc_ns;
	struct sim_view view[SIM_TRACKS];
	/* the way and the other end */
	struct dp_wire down, up;
	struct dp_twcc_rx rx;
	uint64_t nack_ns;
	uint64_t stall_ns, awake_ns, read_ns; // next stall; end of the present one; newest packet
	uint64_t first_ns;                    // first whole frame; 0: none yet
	uint32_t dark_ms,
	    slow_ms; // any video was paused; a packet would have waited for over 100 ms
	/* measures of the current phase */
	uint32_t now_phase;
	struct sim_figures figure[SIM_PHASES];
	uint64_t video_bytes, pad_bytes, rtx_bytes, frames_sent, frames_whole, packets0, full0,
	    lost0;
	uint8_t last_layer;
	double last_choice, oracle_sum, use_sum, queue_sum, estimate_sum;
	uint32_t samples, queue_hist[512]; // ms
	uint64_t fits_since_ns;
	double least_ms;
	uint64_t least_ns;
};

struct sim {
	uint64_t now_ns, random;
	struct sim_track track[SIM_TRACKS];
	uint32_t tracks;
	struct sim_peer *peer; // SIM_PEERS
	uint32_t peers;
	struct sim_heap heap;
	double end_s;
	bool trace; // prints a line each 100 ms
};

struct sim *sim_new(uint64_t seed);
void sim_free(struct sim *s);
/* 3 qualities with 3 temporal layers, 150 kb/s, 500 kb/s and 1.7 Mb/s; svc: the same as spatial
 * layers of one stream. */
void sim_camera(struct sim *s, bool svc);
/* As a browser on a busy machine sends it: 15 frames a second, qualities whose costs lie close to
 * each other (132, 301 and 637 kb/s), and key frames of all of them whichever is asked for. */
void sim_screen(struct sim *s, double leap_s, double leap);
void sim_webcam(struct sim *s);
/* One quality and frame rate. */
void sim_plain(struct sim *s, uint32_t bps);
void sim_microphone(struct sim *s);
/* Phases and rtt are to be filled in. */
struct sim_peer *sim_peer(struct sim *s);
/* Runs it from 0 to end_s; figures are in each peer. */
void sim_run(struct sim *s);

/* ---- rows ---- */
extern int sim_failures;
void sim_must(bool truth, const char *row, unsigned peer, const char *what, double is);
void sim_start_rows(bool print); // start.c

uint32_t sim_draw(struct sim *s, uint32_t below);

/* ---- between the files ---- */
void sim_sources(struct sim *s); // frames that are due
void sim_forward(struct sim *s, uint32_t track, uint32_t layer, uint32_t temporal, bool key,
                 uint32_t bytes);
void sim_sfu_tick(struct sim *s, struct sim_peer *p); // every ms
void sim_sfu_rtcp(struct sim *s, struct sim_peer *p, const uint8_t *data, uint32_t len,
                  uint64_t now_ns);
void sim_ask_key(struct sim *s, uint32_t track, uint32_t layer);
void sim_peer_receive(struct sim *s, struct sim_peer *p, const struct sim_pkt *k, uint64_t now_ns);
uint64_t sim_peer_read(struct sim *s, struct sim_peer *p, uint64_t at_ns);
void sim_peer_tick(struct sim *s, struct sim_peer *p);
void sim_down(struct sim *s, struct sim_peer *p, const struct sim_pkt *k);
void sim_up(struct sim *s, struct sim_peer *p, const uint8_t *data, uint32_t len);
uint64_t sim_alloc_fill(const struct sim *s, const struct sim_peer *p,
                        struct dp_alloc_sub sub[SIM_TRACKS]);
