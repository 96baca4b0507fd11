/* Negotiation of one transport (RFC 8829, 8843 BUNDLE, 9143, 8853 rids, 8839 ICE, 5763): SDP text
 * in and out, the agreed m-lines between. Two shapes: the peer offers (publish, WHIP, WHEP) or we
 * offer (subscribe). Pure: no sockets, no clock; randomness only where said. One thread. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "shared/limits.h"
#include "shared/msg.h"

enum {
	CP_NEGO_MEDIA_MAX = 128,  // m-lines of one description
	CP_NEGO_CODECS_MAX = 32,  // payload types of one m-line that we understand
	CP_NEGO_SDP_MAX = 262144, // bytes of SDP accepted
	CP_NEGO_ERROR_MAX = 160,
	CP_ICE_UFRAG = 8, // characters of our own ufrag and pwd
	CP_ICE_PWD = 24,
};
/* As WE see it. */
enum cp_dir { CP_DIR_INACTIVE = 0, CP_DIR_SEND = 1, CP_DIR_RECV = 2, CP_DIR_SENDRECV = 3 };
enum cp_setup { CP_SETUP_ACTPASS, CP_SETUP_ACTIVE, CP_SETUP_PASSIVE };

struct cp_codec {
	uint8_t pt;    // 0..127
	uint8_t codec; // enum sh_codec
	uint8_t apt;   // RTX, RED: payload type repaired/carried; else 255
	uint8_t channels;
	uint32_t clock_hz;
	char fmtp[192];      // as sent, "" if none
	bool nack, pli, fir; // a=rtcp-fb, agreed
	bool remb, twcc;     // likewise; what comes of them: cp_nego_feedback()
	uint8_t src_pt;      // SEND: the publisher's payload type that it carries; else 255
	bool local; // RTX that the publisher lacks: a slot for subscribers, not in the answer
};

struct cp_media {
	char mid[SH_MID_MAX + 1];
	enum sh_kind kind; // 0: application or unknown: always rejected
	enum cp_dir dir;   // agreed so far, our view
	bool rejected;     // port 0
	/* agreed codecs; payload types as the peer numbers what it sends (dir RECV) or receives
	 * (dir SEND). Published ones are at most SH_MAX_PTS, and codec[i] is slot i. */
	struct cp_codec codec[CP_NEGO_CODECS_MAX];
	uint8_t codecs;
	uint8_t ext_id[SH_EXT_COUNT];
	/* RECV: the peer's encodings, low to high; rid "" without simulcast; SSRC 0 where the SDP
	 * has none */
	struct sh_track_layer layer[SH_MAX_LAYERS];
	uint8_t layers;
	char stream[65], track[65]; // a=msid of the peer (RECV), or what we announce (SEND)
	/* SEND: ours */
	uint32_t ssrc, rtx_ssrc;
	char cname[33];
	void *user;   // the caller's: what this m-line carries; NULL: free for reuse
	bool agreed;  // both sides know it as it stands: not between send_add and the answer
	bool offered; // private: unchanged since our last offer
};

/* Local parameters of a transport, the same for each m-line. */
struct cp_nego_conf {
	const char *ufrag, *pwd; // ours
	const char *fingerprint; // "sha-256 AB:…"
	const char *cname;
	const struct sh_addr *addr; // host candidates (port set: base + worker)
	size_t addrs;
	bool offerer; // we offer (subscribe)
};

struct cp_nego {
	/* remote transport, from the last description; "" before */
	char rufrag[257], rpwd[257], rfingerprint[3 * 64 + 16];
	enum cp_setup setup; // our role once agreed: PASSIVE (DTLS server) or ACTIVE
	bool rtcp_rsize, ext_two_byte;
	/* MOVES at offer_in, send_add and load: keep the index, which never changes, not the
	 * pointer. */
	struct cp_media *media;
	size_t n_media;               // at most CP_NEGO_MEDIA_MAX
	uint64_t session_id, version; // o= line
	/* private to nego/ below */
	struct cp_nego_conf conf; // strings copied
	char *local, *remote;     // last SDP texts, for tests and logs; may be NULL
	bool offered;             // our offer awaits its answer
	size_t n_offered, room;   // m-lines in it; allocated entries of media
	uint32_t next_mid;
	char store[512]; // backs conf's strings
	struct sh_addr addr[SH_MAX_ADDRS];
};

/* Fresh random ICE credentials from the kernel (RFC 8839 §5.4). 0 or -EIO. */
int cp_ice_credentials(char ufrag[CP_ICE_UFRAG + 1], char pwd[CP_ICE_PWD + 1]);

/* session_id: random, given by the caller; 63 bits are used. -EINVAL: a string of conf is missing
 * or too long. */
int cp_nego_init(struct cp_nego *n, const struct cp_nego_conf *conf, uint64_t session_id);
void cp_nego_close(struct cp_nego *n);
/* New ICE credentials and candidates, for an ICE restart: between offer_in and answer_out, or
 * before offer_out. */
int cp_nego_restart(struct cp_nego *n, const struct cp_nego_conf *conf);

/* Peer offers: parse, agree, update media[]. All-or-nothing: on error n is as before and
 * err[CP_NEGO_ERROR_MAX] says what was wrong, with the line. -EBADMSG: malformed; -EPROTO: breaks a
 * rule (BUNDLE, rtcp-mux, DTLS, ICE missing, m-lines changed order); -E2BIG: a limit.
 * *ice_restarted: its ufrag/pwd differ from the last ones. Codec choice: per m-line the codecs that
 * both know, in the peer's order; RTX, RED, telephone-event and CN with them; where the peer sends,
 * what fits SH_MAX_PTS: one variant of each codec first (H264: constrained baseline). An m-line
 * that can't be served (data channels, no codec of ours, outside the BUNDLE) is rejected, which is
 * no error: the caller looks whether any is left. If rfingerprint changed (only with an ICE
 * restart), DTLS begins anew. The caller may then set rejected or narrow dir; it lets go of `user`
 * of what is rejected. */
int cp_nego_offer_in(struct cp_nego *n, const char *sdp, size_t len, bool *ice_restarted,
                     char *err);
/* Then, after the caller set dir (RECV kept, or SEND with ssrc/codec subset for WHEP), the answer
 * text (malloc, caller frees). */
int cp_nego_answer_out(struct cp_nego *n, char **sdp);

/* We offer: an m-line to carry a track whose payload types are src[] (the publisher's); reuses an
 * inactive one of that kind, else appends. Payload types towards the subscriber come from a fixed
 * table, the same for all our offers, so that one number never has two meanings in a BUNDLE. */
struct cp_nego_send {
	enum sh_kind kind;
	const struct cp_codec *src;
	uint8_t n_src;
	uint32_t ssrc, rtx_ssrc;
	const char *stream,
	    *track; // msid: at most 64 token characters each; no two m-lines with the same pair
	void *user;
};
int cp_nego_send_add(struct cp_nego *n, size_t *index, const struct cp_nego_send *send);
/* The track behind m-line `index` has other payload types now: as send_add, on the same m-line;
 * goes into the next offer. */
int cp_nego_send_change(struct cp_nego *n, size_t index, const struct cp_nego_send *send);
void cp_nego_send_remove(struct cp_nego *n, size_t index); // inactive from the next offer on
int cp_nego_offer_out(struct cp_nego *n, char **sdp);
/* The answer to the last offer; errors as cp_nego_offer_in. An m-line the peer rejected or set
 * inactive has dir INACTIVE. */
int cp_nego_answer_in(struct cp_nego *n, const char *sdp, size_t len, char *err);

/* WHEP: let m-line `index` of the peer's offer carry that track; picks the codecs both have.
 * -EPROTO: none in common, and nothing changed. All codecs of the offer stay agreed, so that after
 * the answer too another track can be filled in: then with a new SSRC, as an SSRC goes with one key
 * stream; the peer finds it by its MID. */
int cp_nego_send_fill(struct cp_nego *n, size_t index, const struct cp_nego_send *send);

/* Towards the dataplane: payload type slots of a published m-line, and of one that we send, slot by
 * slot (255 where the subscriber has no counterpart: what the publisher sends in that slot does not
 * reach it; all 255: nothing in common, or m is not sent). */
void cp_nego_track_pts(const struct cp_media *m, struct sh_track_pt pt[SH_MAX_PTS]);
void cp_nego_sub_pts(const struct cp_media *m, const struct sh_track_pt track[SH_MAX_PTS],
                     uint8_t pt[SH_MAX_PTS]);
/* How the sender of this transport's media learns what the path bears, as SH_EP_TWCC, SH_EP_REMB or
 * 0. Transport-wide feedback counts every packet, so where we send, all m-lines must have it: what
 * one of them leaves out would look lost (docs/decisions/0012). */
uint8_t cp_nego_feedback(const struct cp_nego *n);
/* Extension ids of the whole BUNDLE (one id a URI across it); that of transport-wide feedback only
 * where that is agreed. */
void cp_nego_ext_ids(const struct cp_nego *n, uint8_t ext_id[SH_EXT_COUNT]);

/* Trickle fragments (RFC 8840) for WHIP PATCH: checks shape; reports the credentials if the
 * fragment has them, else "". Other than rufrag and rpwd: the peer restarts ICE; the caller copies
 * them there, calls restart and fragment_out. */
int cp_nego_fragment_in(const char *frag, size_t len, char ufrag[257], char pwd[257], char *err);
int cp_nego_fragment_out(const struct cp_nego *n, char **frag);

/* For the journal: everything needed to go on after a restart of the daemon (media[].user
 * excepted). */
json_t *cp_nego_save(const struct cp_nego *n); // NULL: out of memory
/* Into an uninitialised n. -EBADMSG: not what save wrote; -ENOMEM; then nothing is left to close.
 */
int cp_nego_load(struct cp_nego *n, const json_t *saved);
