/* DTLS-SRTP (RFC 5763, 5764) with OpenSSL over memory BIOs: one association an endpoint, in the
 * daemon. Datagrams come from the dataplane already bound to an ICE-validated endpoint, hence no
 * cookies. It keeps its own retransmission timer and 30 s deadline on the daemon's loop (loop.h).
 * One thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "shared/limits.h"
#include "shared/secret.h"

struct cp_dtls_ctx;
struct cp_dtls;

enum cp_dtls_role { CP_DTLS_SERVER /* setup:passive */, CP_DTLS_CLIENT /* setup:active */ };
enum {
	CP_FINGERPRINT_STR = 3 * 64 + 16, // "sha-256 AB:CD…"
	CP_DTLS_DATAGRAM_MAX = 1200,      // what we send, bytes of UDP payload
};

struct cp_dtls_events {
	/* Send this datagram to the peer (at most 1,200 bytes). Also called within cp_dtls_alloc()
	 * and cp_dtls_free(). */
	void (*send)(void *arg, const uint8_t *data, size_t len);
	/* Handshake done and the peer's certificate matches its fingerprint. Keys are the caller's
	 * to copy and wipe. rx: the peer's key (we decrypt), tx: ours; master key, then master
	 * salt, then zeros. */
	void (*keys)(void *arg, enum sh_srtp_profile profile, const struct sh_srtp_secret *rx,
	             const struct sh_srtp_secret *tx);
	/* Over: close_notify, a fatal error, or timeout; reason is a static string. Once, and
	 * nothing after it. Not called from cp_dtls_alloc() or cp_dtls_free(). */
	void (*closed)(void *arg, const char *reason);
	void *arg;
};
/* cp_dtls_free() may be called from closed, not from send or keys. */

/* Loads or makes (ECDSA P-256, kept in dir/dtls.pem, 0600) the certificate whose fingerprint goes
 * into SDP. dir is made if missing. -EBADMSG: the file is not ours to read as key and certificate;
 * -errno. */
int cp_dtls_ctx_alloc(struct cp_dtls_ctx **out, const char *dir);
void cp_dtls_ctx_free(struct cp_dtls_ctx *ctx);                 // after the last cp_dtls of it
const char *cp_dtls_fingerprint(const struct cp_dtls_ctx *ctx); // "sha-256 AB:…"
/* remote_fingerprint: "sha-256 …" (sha-1 refused, sha-384/512 accepted) as in a=fingerprint. Client
 * role starts at once. ev is copied. -EINVAL: fingerprint; -ENOMEM. */
int cp_dtls_alloc(struct cp_dtls **out, struct cp_dtls_ctx *ctx, enum cp_dtls_role role,
                  const char *remote_fingerprint, const struct cp_dtls_events *ev);
void cp_dtls_free(struct cp_dtls *d); // sends close_notify when established
/* A datagram from the peer. Malformed or out-of-place records are ignored (counted), never reset
 * the association. */
void cp_dtls_recv(struct cp_dtls *d, const uint8_t *data, size_t len);
bool cp_dtls_established(const struct cp_dtls *d);
uint64_t cp_dtls_ignored(const struct cp_dtls *d); // records, or datagrams too long to look at
