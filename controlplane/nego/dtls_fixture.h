/* What the tests of DTLS have in common: associations as two sides of a wire, whose datagrams wait
 * until they are delivered. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "controlplane/nego/dtls.h"

enum { QUEUE = 512 };
struct side {
	struct cp_dtls *d;
	struct side *peer;
	struct {
		uint16_t len;
		uint8_t data[1500];
	} queue[QUEUE]; // towards this side
	unsigned head, tail, sent, biggest;
	unsigned keyed, closed;
	const char *reason;
	enum sh_srtp_profile profile;
	struct sh_srtp_secret rx, tx;
};
extern struct side server, client;

/* Two identities, and the folders that they are kept in. */
extern char dir[64], dir2[64];
extern struct cp_dtls_ctx *ctx, *ctx2;
int dtls_setup(void **state);
int dtls_teardown(void **state);

/* Handlers that note in s what happens, and send to its peer. */
struct cp_dtls_events events_of(struct side *s);
void start(struct side *s, struct side *peer, struct cp_dtls_ctx *c, enum cp_dtls_role role,
           const char *fp);
void begin(void); // server (ctx) and client (ctx2), the first flight waits
void push(struct side *to, const uint8_t *data, size_t len);
bool deliver(struct side *to);            // one datagram; false: none waits
void run(struct side *a, struct side *b); // until none waits
void stop(struct side *a, struct side *b);
/* Both are established, once, with keys that mirror each other. */
void check_up(const struct side *s, const struct side *c, enum sh_srtp_profile profile);
