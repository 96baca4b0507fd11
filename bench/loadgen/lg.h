/* The load generator's insides.
 *
 *   scenario      what to do: rooms, layout, rates (scenario.def)
 *   peer          one transport as a client has it: ICE, DTLS, SRTP, its streams
 *     ice dtls crypto    the three, each by a library (libnice's STUN, OpenSSL, libsrtp2)
 *     stream feedback    what comes; what is told of it, and what is told to us
 *     source rx nack remb packet rtcp sdp hist flows late bencode    pure
 *   net           packets in and out: net_udp (sockets), net_nice (libnice's agent), net_dpdk and
 *                 dpdk_rx (AF_XDP, memif)
 *   media         the media thread: sends what is due, hands on what comes, timers
 *   signal        the main thread: joins by an adapter (whip, callstack, janus, rtpengine), one
 *                 after another
 *   report        figures of a run, of a step; table and JSON
 *
 * A packet's time is when it came to the generator's port, not when its turn came: a generator that
 * is late must not look like a queue on the path to those who are told of arrivals. The kernel
 * notes it for sockets; for DPDK a thread of its own does (dpdk_rx.c). How late the turns are, and
 * why, is in the report (late.h).
 *
 * Two threads otherwise. The main one makes peers and speaks with the server's signaling; a peer
 * that has heard the server's answer is handed to the media thread (lg_media_add) and from then on
 * belongs to it alone, until that thread was joined. What the main thread reads meanwhile
 * (progress, steps) are the atomics of struct lg_totals and what it asks the media thread for
 * (lg_media_ask). */
#pragma once
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <srtp2/srtp.h>
#include <stun/stunagent.h>
#include "bench/loadgen/hist.h"
#include "bench/loadgen/late.h"
#include "bench/loadgen/nack.h"
#include "bench/loadgen/remb.h"
#include "bench/loadgen/rtcp.h"
#include "bench/loadgen/rx.h"
#include "bench/loadgen/scenario.h"
#include "bench/loadgen/sdp.h"
#include "bench/loadgen/source.h"
#include "dataplane/bwe/twcc.h"

enum {
	LG_PACKET = 1600,
	LG_SOURCES = 4, // of a peer: audio, video's layers
	LG_KEY_MAX = 46,
	LG_UFRAG = 8,
	LG_PWD = 24,
	LG_SDP_TEXT = 128 * 1024,
	LG_REPORT_MS = 1000, // of RTCP
	LG_TURN = 64,        // packets between looking at what else came
};

enum lg_state { LG_IDLE, LG_ICE, LG_DTLS, LG_UP, LG_FAILED, LG_CLOSED };

struct lg_member;
struct lg_seal; // crypto.c

/* A stream received; made once, stays where it is. */
struct lg_stream {
	struct lg_nack *nack; // once something was missing
	uint32_t decrypted;
	bool rtx;
	int repairs;    // rtx: index of the stream that it repairs; -1: not known yet
	uint32_t index; // highest: rollover counter and sequence number
	struct lg_rx rx;
	uint64_t bad;
};

/* RTX SSRCs as the server's SDP pairs them. Never changed once a peer has it. */
struct lg_repairs {
	unsigned n;
	struct lg_repair {
		uint32_t media, rtx;
	} pair[];
};

/* What a publisher remembers of what it sent, for the server's transport-wide feedback. */
struct lg_flight {
	struct dp_twcc_tx tx;
	struct dp_twcc_sent sent[1024];
	int64_t least_us; // of arrival − sending, on two clocks, modulo 2^32
	bool any;
};

/* Feedback, both ways. */
struct lg_told {
	uint64_t twcc_sent, remb_sent, nacks_sent; // packets
	uint64_t twcc, remb;                       // packets that came
	uint64_t arrived, lost; // of our packets, as the server's feedback has it
	uint64_t nacked;        // of our packets, asked for again …
	uint64_t resent;        // … and repeated
	uint64_t remb_bps;      // the last one's, that came or that was sent
	uint64_t congested;     // REMB sent because of loss or a queue
	uint64_t delay_us;      // the longest beyond the shortest
};

struct lg_peer {
	/* what each packet touches, in one cache line */
	srtp_t in;
	struct dp_twcc_rx *came; // once a numbered packet did
	struct lg_remb *remb;    // when that is what it tells
	uint64_t next_ns;        // timer; 0: not added yet
	unsigned index;          // in lg_peers
	enum lg_state state;     // media thread, once added
	enum lg_feedback tells;  // of what it receives, agreed
	bool sends, receives;
	bool rsize, nack; // agreed
	bool nacking;     // something is missing
	uint8_t twcc_ext, time_ext;
	uint8_t pt[2], rtx[2]; // audio, video

	struct lg_member *member;
	bool sdes, passive; // passive: DTLS server
	unsigned expects;   // streams
	char error[128];
	char *resource; // WHIP, WHEP: its URL

	/* transport */
	int fd;      // net_udp
	void *agent; // net_nice
	struct sockaddr_in local, remote;
	uint64_t started_ns, up_ns;  // since signaling began; SRTP keys are there
	uint64_t first_ns, media_ns; // something came; all streams expected have sent

	/* ice */
	char ufrag[LG_UFRAG + 1], pwd[LG_PWD + 1], rufrag[260], rpwd[260];
	StunAgent *stun;
	uint64_t tie, check_ns;
	unsigned checks;
	bool valid; // a check was answered

	/* dtls */
	SSL *ssl;
	char fingerprint[128]; // the server's
	const uint8_t *record; // that OpenSSL may read now
	size_t record_len;
	uint64_t dtls_ns;

	/* srtp */
	srtp_t out;
	struct lg_seal *seal, *unseal; // with GCM: of what it sends, of what comes
	char suite[32];
	uint8_t own_key[LG_KEY_MAX]; // SDES

	/* streams */
	uint32_t ssrc; // of its reports
	unsigned n_sources;
	struct lg_source *source[LG_SOURCES];
	unsigned n_streams, cap_streams, alive; // alive: that have sent
	struct lg_stream **stream;
	uint32_t *ssrcs; // theirs
	uint64_t report_ns;

	/* feedback */
	uint32_t twcc_next; // of packets that leave
	uint64_t heard_ns;  // when the RTCP came that is being read
	struct lg_flight *flight;
	struct lg_told told;
	_Atomic(struct lg_repairs *) repairs; // main thread replaces it
};

struct lg_room;
/* A participant. */
struct lg_member {
	struct lg_room *room;
	unsigned index; // in the room
	bool publishes;
	unsigned watches; // publishers
	unsigned fanout;  // subscribers, when it publishes
	struct lg_peer *pub;
	struct lg_peer **sub; // transports that receive; most servers give one
	unsigned n_sub;
	void *call; // the adapter's own
};

struct lg_room {
	unsigned index;
	char name[64];
	struct lg_member *member; // publishers first
};

extern struct lg_scenario lg_sc;
extern struct lg_peer **lg_peers;
extern unsigned lg_peer_count;

uint64_t lg_now(void); // CLOCK_MONOTONIC, ns
uint32_t lg_random32(void);
void lg_random(void *p, size_t n);
__attribute__((format(printf, 1, 2))) void
lg_say(const char *fmt, ...); // to standard error, above the progress line

/* ---- peer.c; main thread until added ---- */

/* A peer with a transport: its local address is known where the net tells. NULL: said why. */
struct lg_peer *lg_peer_new(struct lg_member *m, bool sends, bool receives);
/* m's next transport to receive on: n of those that it watches, from the first-th on. */
struct lg_peer *lg_peer_receiver(struct lg_member *m, unsigned first, unsigned n);
/* A receiver for each of those that m watches; `watch` joins it. The first error ends it. */
int lg_peer_receivers(struct lg_member *m,
                      int (*watch)(struct lg_member *m, struct lg_peer *p, unsigned publisher));
/* m->pub, and its offer. 0, -ENOMEM, -E2BIG. */
int lg_peer_publisher(struct lg_member *m, char *sdp, size_t size);
/* What it says in SDP. fingerprint NULL with sdes. */
struct lg_sdp_own lg_peer_own(struct lg_peer *p);
/* Makes its sources; wants[] are the m-lines of its offer, n of them returned. */
unsigned lg_peer_offers(struct lg_peer *p, struct lg_sdp_want *want);
/* m-lines of an offer to receive `publishers`. */
unsigned lg_peer_wants(struct lg_peer *p, struct lg_sdp_want *want, unsigned publishers);
/* The server's SDP, offer or answer. 0, -errno with p->error. */
int lg_peer_remote(struct lg_peer *p, const struct lg_sdp *sdp);
/* A later offer of the same transport; also once it was added. */
void lg_peer_more(struct lg_peer *p, const struct lg_sdp *sdp);

/* ---- media thread ---- */

/* A datagram that came, and when; buf is decrypted in place. */
struct lg_in {
	struct lg_peer *peer;
	uint8_t *buf;
	size_t len;
	uint64_t at_ns;
	struct lg_stream *stream; // lg_peer_inputs()'s own
};

void lg_peer_start(struct lg_peer *p, uint64_t now);
void lg_peer_inputs(struct lg_in *in, unsigned n);   // at most LG_TURN
void lg_peer_timer(struct lg_peer *p, uint64_t now); // sets next_ns
void lg_peer_send_source(struct lg_peer *p, struct lg_source *s, uint64_t now);
/* Packet `seq` of s once more, if it is remembered. */
bool lg_peer_send_again(struct lg_peer *p, struct lg_source *s, uint16_t seq, uint64_t now);
void lg_peer_secure(struct lg_peer *p, uint64_t now); // ICE has a valid pair
void lg_peer_keyed(struct lg_peer *p, uint64_t now);  // SRTP is there
void lg_peer_fail(struct lg_peer *p, const char *why);
void lg_peer_close(struct lg_peer *p);

/* ---- feedback.c; media thread ---- */

/* SR and RR each second, transport-wide feedback, REMB, NACK, each when it is due. */
void lg_feedback_timer(struct lg_peer *p, uint64_t now);
/* A packet with the transport-wide number `seq` has left. */
void lg_feedback_left(struct lg_peer *p, uint32_t seq, size_t len, uint64_t now);
/* A packet has come, of any stream; it passed lg_rtp_head(). */
void lg_feedback_came(struct lg_peer *p, const uint8_t *b, size_t len, uint32_t ssrc, uint64_t now);
/* A compound, decrypted. */
void lg_feedback_rtcp(struct lg_peer *p, const uint8_t *b, size_t len, uint64_t now);
/* Everything is counted anew. */
void lg_feedback_restart(struct lg_peer *p);

void lg_ice_start(struct lg_peer *p, uint64_t now);
void lg_ice_timer(struct lg_peer *p, uint64_t now);
void lg_ice_input(struct lg_peer *p, const uint8_t *buf, size_t len, uint64_t now);

int lg_dtls_open(void);
const char *lg_dtls_fingerprint(void);
int lg_dtls_start(struct lg_peer *p, uint64_t now);
void lg_dtls_input(struct lg_peer *p, const uint8_t *buf, size_t len, uint64_t now);
void lg_dtls_timer(struct lg_peer *p, uint64_t now);
void lg_dtls_close(struct lg_peer *p);

/* key and salt one after the other, as the suite has them. */
int lg_crypto_open(void);
int lg_crypto_keys(struct lg_peer *p, const char *suite, const uint8_t *own, const uint8_t *theirs);
unsigned lg_crypto_key_len(const char *suite); // with salt; 0: not one of ours
const char *lg_crypto_sdes(void);              // suite of the scenario's profile, as SDES writes it
const char *lg_crypto_dtls(void);              // as OpenSSL writes it
int lg_crypto_sdes_keys(struct lg_peer *p, const struct lg_sdp_media *m);
void lg_crypto_sdes_own(struct lg_peer *p, char *base64, size_t size);
/* RTP that it sends, in place; buf has room for what SRTP appends. roc: RFC 3711 §3.3.1, of this
 * packet. */
int lg_crypto_protect(struct lg_peer *p, uint8_t *buf, int *len, uint32_t roc);
int lg_crypto_protect_rtcp(struct lg_peer *p, uint8_t *buf, int *len);
/* Of what came; -EBADMSG: not authentic. */
int lg_crypto_unprotect(struct lg_peer *p, uint8_t *buf, int *len, uint32_t roc);
int lg_crypto_unprotect_rtcp(struct lg_peer *p, uint8_t *buf, int *len);
void lg_crypto_close(struct lg_peer *p);

/* ---- net ---- */

struct lg_net {
	const char *name;
	int (*open)(void);
	void (*enter)(void);             // media thread begins; may be NULL
	int (*flow)(struct lg_peer *p);  // main thread: p->local
	int (*start)(struct lg_peer *p); // media thread: p->remote is known
	void (*send)(struct lg_peer *p, const void *buf, size_t len);
	void (*flush)(void);
	/* Hands what came to lg_peer_inputs, in turns; waits at most so long for the first. */
	void (*poll)(uint64_t wait_ns);
	/* Takes what came out of the port and notes when; hands nothing on. NULL: the kernel does.
	 */
	void (*drain)(void);
	/* The longest that nobody looked at the port, ns, since the last call; media thread. NULL:
	 * as above. */
	uint64_t (*gap)(void);
	void (*end)(struct lg_peer *p);
	void (*close)(void);
	/* Packets that had come to us and were dropped because we were late; main thread, sources
	 * stand still. May be NULL: not known. */
	uint64_t (*missed)(void);
};
extern const struct lg_net *lg_net;
extern const struct lg_net lg_net_udp, lg_net_nice, lg_net_dpdk;

/* ---- media.c ---- */

/* Media thread writes, anybody reads. */
struct lg_totals {
	_Atomic uint64_t sent, expected, received, bytes, bad, rtx, loops, failed, up, alive;
};
extern struct lg_totals lg_totals;
extern struct lg_hist lg_latency; // media thread's
extern struct lg_late lg_late;    // likewise

/* What lg_media_ask() brings back. */
struct lg_taken {
	struct lg_hist latency;
	struct lg_late late;
	uint64_t gap_ns; // lg_net->gap()
};

enum lg_ask { LG_ASK_NONE, LG_ASK_PAUSE, LG_ASK_RESUME, LG_ASK_RATE, LG_ASK_TAKE, LG_ASK_RESTART };
int lg_media_start(void);
void lg_media_add(struct lg_peer *p);
void lg_media_sources(struct lg_peer *p, uint64_t now); // media thread: they begin
/* Media thread: what was done until now is one turn, of this kind; what came meanwhile is noted. */
void lg_media_turn(enum lg_cause c);
/* Media thread: sleeps so long, which is no turn. */
void lg_media_sleep(uint64_t ns);
/* Done by the media thread when this returns. RATE: kbit/s; TAKE: what was noted since the last
 * time into *out; RESTART: streams count anew. */
void lg_media_ask(enum lg_ask what, uint32_t value, struct lg_taken *out);
void lg_media_stop(void);    // joins it
uint64_t lg_media_cpu(void); // ns that the media thread has used

/* ---- signal.c and the adapters; main thread ---- */

struct lg_adapter {
	int (*open)(void);
	int (*publish)(struct lg_member *m);   // 0, or said why
	int (*subscribe)(struct lg_member *m); // after all have published
	int (*turn)(unsigned ms);              // what came meanwhile; may be NULL
	void (*leave)(struct lg_member *m);
	void (*close)(void);
};
extern const struct lg_adapter lg_adapter_whip, lg_adapter_callstack, lg_adapter_janus,
    lg_adapter_rtpengine;
const struct lg_adapter *lg_adapter(void);
/* Which publisher of its room the k-th one is that m watches. */
unsigned lg_watched_index(const struct lg_member *m, unsigned k);
/* Whether the publisher of this index sends video. */
bool lg_has_camera(unsigned index);
/* server.token_file. NULL: said why. */
const char *lg_token(void);
