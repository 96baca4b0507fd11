/* What forwarding costs a host: a model with coefficients that bench/planner fits on that host, and
 * what it says of a load. The planner and the daemon's admission (controlplane/call/admit.c) use
 * the very same functions.
 *
 * One worker, in TSC cycles a second, over its flows:
 *
 *     in       pps · (in + port.in + cache_in · far + mixed · mix)
 *              + bytes · (in_byte + port.in_byte)
 *     out      pps · (out + port.out + cache · far) + bytes · (out_byte + port.out_byte)
 *     the rest video_in · video + endpoints · endpoint + subs · report + tracks · scan
 *              + links · link + told · (feedback + cache_feedback · far) + tracked · track
 *              + handoffs · handoff
 *     where    far = log2(max(touched, cached) / cached), at most FAR_MAX
 *              mix = 2 · min(audio tracks, video tracks) / tracks
 *              touched = tracks · TRACK_BYTES + endpoints · ENDPOINT_BYTES + subs · SUB_BYTES
 *                        + links · LINK_BYTES
 *
 * in, in_byte, out and out_byte are of the flow's cipher. Between two packets of a stream everybody
 * else's keys and state are touched, so how far away its own have gone depends on the sum of all.
 * A link is a listening transport that sends transport-wide feedback: `told` packets of it come in
 * a second, of `tracked` of the packets out. A packet handed to the worker of some of its
 * subscribers costs that worker a receive without the decryption.
 *
 * The coefficients are those of a worker that has enough to do: with few packets a turn each costs
 * more, but then there is time. Pure: no clock, no allocation, no globals. Any thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* symbol, name in the model file, SRTP profiles that it stands for */
#define SH_COST_CIPHERS(X)                                                                         \
	X(GCM128, "aes_128_gcm", "AEAD_AES_128_GCM")                                               \
	X(GCM256, "aes_256_gcm", "AEAD_AES_256_GCM")                                               \
	X(CM_SHA1, "aes_cm_sha1", "AES128_CM_SHA1_80 and _32")

enum sh_cost_cipher {
#define X(sym, name, what) SH_COST_##sym,
	SH_COST_CIPHERS(X)
#undef X
	    SH_COST_CIPHER_COUNT
};
extern const char *const sh_cost_cipher_name[SH_COST_CIPHER_COUNT];
/* Of an enum sh_srtp_profile; NONE and unknown ones count as the first, which we prefer. */
enum sh_cost_cipher sh_cost_cipher(unsigned profile);

enum {
	/* What a packet's way touches of each, about. */
	SH_COST_TRACK_BYTES = 4096,
	SH_COST_ENDPOINT_BYTES = 1536,
	SH_COST_SUB_BYTES = 512,
	SH_COST_LINK_BYTES = 2560,
	SH_COST_FAR_MAX = 4, // from there on all comes from memory
	SH_COST_NAME_MAX = 32,
	SH_COST_RTP_BYTES = 20, // header with extensions, as we write it
	SH_COST_TAG_BYTES = 16,
	SH_COST_WIRE_BYTES = 66, // UDP, IPv4, Ethernet, its checksum, preamble and gap
	/* What a track is taken for that nothing is known of. Packets a second, bytes of payload.
	 */
	SH_COST_AUDIO_PPS = 50,
	SH_COST_AUDIO_BYTES = 100,
	SH_COST_VIDEO_PPS = 180,
	SH_COST_VIDEO_BYTES = 1100,
};

/* Cycles; a cipher that was not measured has out 0, and counts as the costliest that was. */
struct sh_cost_cipher_coef {
	double in, in_byte, out, out_byte;
};

/* What a port adds to the coefficients above, which are of one that does nothing; and what it
 * bears, 0: not known. */
struct sh_cost_port {
	char name[SH_COST_NAME_MAX];
	double in, in_byte, out, out_byte;
	double max_pps, max_bps; // each way; packets and bits on the wire
};

struct sh_cost_model {
	double tsc_hz;
	struct sh_cost_cipher_coef cipher[SH_COST_CIPHER_COUNT];
	double cached; // bytes that are near whatever else is touched
	double cache, cache_in, mixed, video, endpoint, report, scan, handoff, link;
	double feedback, cache_feedback, track;
	struct sh_cost_port port;
	double usable; // share of a core that a worker has, 0.1..1
	double error;  // of a prediction, relative: what is within it was seen of points that were
	               // not fitted on
	/* memory of the dataplane: bytes in all before anything is there, of each endpoint,
	 * subscription, and video and audio track with its NACK history full */
	double base_bytes, endpoint_bytes, sub_bytes, video_bytes, audio_bytes;
	double memory; // bytes that there are for it; 0: not known
};

/* Of one worker, or of a whole host. payload bytes a second, without RTP header and tag. */
struct sh_cost_load {
	struct sh_cost_flow {
		double pps, bytes;
	} in[SH_COST_CIPHER_COUNT], out[SH_COST_CIPHER_COUNT];
	double handoffs; // packets a second
	double video_in; // of those in, video's: their gaps and frames are looked at
	double endpoints, subs, videos, audios;
	double links, told, tracked;
};

/* *to += times · what. */
void sh_cost_add(struct sh_cost_load *to, const struct sh_cost_load *what, double times);
static inline void sh_cost_flow(struct sh_cost_flow *to, double pps, double bytes)
{
	to->pps += pps;
	to->bytes += pps * bytes;
}

/* What may run out first. symbol, name, unit of what is used and there */
#define SH_COST_LIMITS(X)                                                                          \
	X(CPU, "cpu", "worker cores")                                                              \
	X(PACKETS, "port packets", "packets/s")                                                    \
	X(BITS, "port bandwidth", "bit/s")                                                         \
	X(MEMORY, "memory", "bytes")

enum sh_cost_limit {
#define X(sym, name, unit) SH_COST_##sym,
	SH_COST_LIMITS(X)
#undef X
	    SH_COST_LIMIT_COUNT
};
extern const char *const sh_cost_limit_name[SH_COST_LIMIT_COUNT];

struct sh_cost_answer {
	double cycles;      // a second, of all workers
	double utilisation; // of each worker's usable share, 0..; when load spreads evenly
	double in_pps, out_pps, in_bps, out_bps; // on the wire
	double bytes;                            // memory
	double used[SH_COST_LIMIT_COUNT];        // share of what there is, 0: no limit is known
	enum sh_cost_limit bottleneck;           // the largest of them
};

/* Cycles a second that the load costs a worker. */
double sh_cost_cycles(const struct sh_cost_model *m, const struct sh_cost_load *load);
/* What it costs when the worker carries others already: of these only how many tracks,
 * transports and subscriptions there are counts. NULL: none. */
double sh_cost_more(const struct sh_cost_model *m, const struct sh_cost_load *load,
                    const struct sh_cost_load *others);
/* What the load means for a host with that many workers (1..). */
void sh_cost_predict(const struct sh_cost_model *m, const struct sh_cost_load *load,
                     unsigned workers, struct sh_cost_answer *out);
/* `far` and `mix` above, of what a worker carries. */
double sh_cost_far(const struct sh_cost_model *m, const struct sh_cost_load *all);
double sh_cost_mix(double audios, double videos);
/* How often a listener who is sent that many bytes a second tells of what came: browsers spend a
 * twentieth on it, every 50 to 250 ms. */
double sh_cost_tells(double bytes);
/* Bits a second on the wire of a flow. */
double sh_cost_bps(const struct sh_cost_flow *f);
/* Every number is there, finite and in its range. */
bool sh_cost_valid(const struct sh_cost_model *m);
