/* A peer's description, read and checked by itself: transport, BUNDLE, and each m-line as struct
 * cp_media sees it. What it means against the descriptions before it is agreed in nego.c. Inside
 * nego/ only. Pure. */
#pragma once
#include "controlplane/nego/nego.h"
#include "controlplane/nego/sdp.h"

enum { CP_REMOTE_OFFER, CP_REMOTE_ANSWER };
enum cp_peer_setup { CP_PEER_NONE, CP_PEER_ACTPASS, CP_PEER_ACTIVE, CP_PEER_PASSIVE };

struct cp_transport {
	char ufrag[257], pwd[257], fingerprint[3 * 64 + 16]; // "" where absent
	enum cp_peer_setup setup;
	bool bad_fingerprint; // only hash functions that we refuse
};

struct cp_remote_media {
	uint8_t bundled; // position in the BUNDLE group, from 1; 0: not a member
	bool mux, rsize;
	bool port_zero;                // port 0 and not bundle-only: refused by the peer
	enum cp_dir peer;              // as the peer sees itself
	uint8_t ext_dir[SH_EXT_COUNT]; // direction suffix of a=extmap plus 1; 0: none
};

struct cp_remote {
	struct cp_sdp *sdp;
	struct cp_media *media;    // n; moves to struct cp_nego when all is agreed
	struct cp_remote_media *m; // n
	size_t n;
	bool has_bundle, mixed; // a=group:BUNDLE; a=extmap-allow-mixed
	bool rsize;             // all live m-lines have a=rtcp-rsize
	int kind;               // CP_REMOTE_*
	int tag; // index of the m-line whose transport counts (RFC 8843 §7.2), -1: none is live
	struct cp_transport transport;
	char *err;
};

/* -EBADMSG, -EPROTO, -E2BIG, -ENOMEM with err. On success cp_remote_close() is due. */
int cp_remote_read(struct cp_remote *r, const char *sdp, size_t len, int kind, char *err);
void cp_remote_close(struct cp_remote *r);

/* The parts, each in its file. */
int cp_transport_read(struct cp_transport *t, const struct cp_sdp *s, const struct cp_sdp_media *m,
                      char *err);
int cp_candidate_check(const struct cp_sdp_attr *a, char *err);
int cp_extmap_read(struct cp_remote *r, size_t i);
void cp_extmap_settle(struct cp_remote *r); // one id a URI, one URI an id, across the BUNDLE
/* Of an offer: transport-wide feedback where its extension is there too, REMB where it is not. */
void cp_feedback_settle(struct cp_remote *r);
/* Does it carry transport-wide sequence numbers, and have feedback for them? */
bool cp_media_twcc(const struct cp_media *m);
int cp_streams_read(struct cp_remote *r, size_t i); // msid, ssrc, ssrc-group, rid, simulcast

/* Extensions that we negotiate, for m-lines that we receive and that we send
 * (docs/decisions/0012). */
bool cp_ext_wanted(unsigned ext, enum sh_kind kind, bool send);
const char *cp_ext_uri(unsigned ext);
extern const uint8_t cp_ext_ours[SH_EXT_COUNT]; // ids in our own offers; 0: not offered
