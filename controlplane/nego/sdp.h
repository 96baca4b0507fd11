/* Session descriptions as text (RFC 8866): a strict, bounded parser into flat arrays, and the
 * writer's buffer. No recursion and no meaning: what the attributes ask for is read in remote.c.
 * Pure, one thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Attributes that somebody here reads; all others are CP_SDP_OTHER and skipped. */
#define CP_SDP_ATTR_LIST(X)                                                                        \
	X(GROUP, "group")                                                                          \
	X(MID, "mid") X(BUNDLE_ONLY, "bundle-only") X(ICE_UFRAG, "ice-ufrag")                      \
	    X(ICE_PWD, "ice-pwd") X(ICE_LITE, "ice-lite") X(CANDIDATE, "candidate")                \
	        X(END_OF_CANDIDATES, "end-of-candidates") X(FINGERPRINT, "fingerprint")            \
	            X(SETUP, "setup") X(RTCP_MUX, "rtcp-mux") X(RTCP_RSIZE, "rtcp-rsize")          \
	                X(SENDRECV, "sendrecv") X(SENDONLY, "sendonly") X(RECVONLY, "recvonly")    \
	                    X(INACTIVE, "inactive") X(RTPMAP, "rtpmap") X(FMTP, "fmtp")            \
	                        X(RTCP_FB, "rtcp-fb") X(EXTMAP, "extmap")                          \
	                            X(EXTMAP_ALLOW_MIXED, "extmap-allow-mixed") X(MSID, "msid")    \
	                                X(SSRC, "ssrc") X(SSRC_GROUP, "ssrc-group") X(RID, "rid")  \
	                                    X(SIMULCAST, "simulcast")

enum cp_sdp_name {
	CP_SDP_OTHER,
#define X(sym, text) CP_SDP_##sym,
	CP_SDP_ATTR_LIST(X)
#undef X
};

struct cp_sdp_attr {
	enum cp_sdp_name name;
	uint32_t line;     // from 1
	const char *value; // behind the colon; "" for a property attribute
};

struct cp_sdp_media {
	const char *media, *proto;
	const char *fmts; // formats, one space between them
	uint32_t port;    // 0..65535
	uint32_t line;
	uint32_t first, end; // its attributes: attr[first..end)
};

struct cp_sdp {
	uint32_t n_media, n_attrs;
	uint32_t session_end; // session attributes: attr[0..session_end)
	struct cp_sdp_media *media;
	struct cp_sdp_attr *attr;
};

enum { CP_SDP_WHOLE, CP_SDP_FRAGMENT /* RFC 8840 §9: only m= and a= lines */ };
enum { CP_SDP_LINES_MAX = 16384, CP_SDP_LINE_MAX = 4096 };

/* *out is one block, freed with free(). Ends of line are CRLF or LF. -EBADMSG: malformed; -E2BIG:
 * over CP_NEGO_SDP_MAX, CP_NEGO_MEDIA_MAX, CP_SDP_LINES_MAX or CP_SDP_LINE_MAX; -ENOMEM.
 * err[CP_NEGO_ERROR_MAX]. */
int cp_sdp_parse(struct cp_sdp **out, const char *text, size_t len, int form, char *err);
/* Attributes of media m (NULL: the session's) by name, the first or the one behind `after`; NULL:
 * no more. */
const struct cp_sdp_attr *cp_sdp_attr(const struct cp_sdp *s, const struct cp_sdp_media *m,
                                      enum cp_sdp_name name, const struct cp_sdp_attr *after);

/* Formats the error, "line N: …" unless line is 0, as printable ASCII whatever the peer sent.
 * Returns code. */
int cp_sdp_fail(char *err, int code, uint32_t line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Cuts the next token off *text, up to one of `seps`, into buf (size, NUL included); skips leading
 * seps. Its length, 0 at the end, -E2BIG if it does not fit. */
int cp_sdp_token(const char **text, const char *seps, char *buf, size_t size);
/* Decimal digits only, the whole string. */
bool cp_sdp_number(const char *text, uint64_t max, uint64_t *out);
/* RFC 8866 token characters only, at least one. */
bool cp_sdp_is_token(const char *text);

/* The writer: appends and remembers the first failure. */
struct cp_sdp_out {
	char *text; // malloc, NUL-terminated
	size_t len, size;
	int err;
};
void cp_sdp_put(struct cp_sdp_out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
