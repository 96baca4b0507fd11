/* The receiver of the daemon's commands: every record is checked, whatever the daemon is. No DPDK,
 * so that the fuzzer and the tests link it alone. Control thread. */
#pragma once
#include <stdint.h>
#include "shared/msg.h"
#include "shared/ring.h"

struct dp_command_h {
	/* Fills the answer to a hello. */
	void (*hello)(void *arg, struct sh_msg_e_hello *out);
	/* An answer to the daemon. 0, -errno: the link must go. */
	int (*reply)(void *arg, unsigned type, const void *body, uint32_t len);
	/* Sends a datagram from a live endpoint. */
	void (*inject)(void *arg, uint32_t endpoint, const void *data, uint32_t len);
	/* A transaction was applied. */
	void (*applied)(void *arg, bool full);
	void *arg;
};

struct dp_command {
	struct dp_command_h h;
	bool greeted;
	bool synced;    // a COMMIT of this daemon was applied
	uint64_t epoch; // the daemon's
};

/* A new link. */
void dp_command_init(struct dp_command *c, const struct dp_command_h *h);
/* The link is gone: what was staged is forgotten, what was applied stays. */
void dp_command_end(struct dp_command *c);
/* One record in private 8-aligned memory, which is wiped when it was secret. 0; -EPROTO: the peer
 * is no daemon of this build; -errno of reply: close the link. A refused record is counted and no
 * error. */
int dp_command_take(struct dp_command *c, const struct sh_rec *hdr, void *body);
