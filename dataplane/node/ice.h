/* ICE-lite's part in a connection: which address a peer is at, and whether it still wants our
 * packets (RFC 8445 §7.3.2, §8.2; RFC 7675). Pure. Fed with authenticated checks only.
 *
 * The nominated address is the one whose check had USE-CANDIDATE. Another address takes its place
 * when it is nominated too. Peers of RFC 5245's aggressive nomination send USE-CANDIDATE on every
 * pair: there the one with the higher PRIORITY stays, once both were seen to be nominated in turn.
 * Before any nomination the address of the first check is kept, so that DTLS can begin, but no
 * media is sent there. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shared/addr.h"
#include "shared/state.h"

#define DP_CONSENT_NS UINT64_C(30000000000) // RFC 7675 §5.1
#define DP_ICE_FLAP_NS                                                                             \
	UINT64_C(10000000000) // two addresses nominated in turn within this time are aggressive

/* Beside sh_endpoint: worker-private, zeroed = new. */
struct dp_ice {
	struct sh_addr before; // the nominated address before this one; family 0: none
	uint32_t priority;
	uint64_t moved_at_ns;
};

enum dp_ice_verdict {
	DP_ICE_VALID,       // a valid pair, and no more
	DP_ICE_CONSENT,     // from the address in use: consent goes on
	DP_ICE_RESUMED,     // the same, after consent had been lost: media again
	DP_ICE_PROVISIONAL, // first valid address, not nominated: DTLS only
	DP_ICE_NOMINATED,   // connected now
	DP_ICE_MOVED,       // connected, at another address than before
};

struct dp_ice_check {
	const struct sh_addr *local, *remote;
	uint64_t now_ns;
	uint32_t priority; // PRIORITY of the check, 0: none
	bool use_candidate;
};

/* Writes e's ice, local, remote and consent_at_ns. Owning worker. */
enum dp_ice_verdict dp_ice_checked(struct sh_endpoint *e, struct dp_ice *ice,
                                   const struct dp_ice_check *check);
/* true once when consent ran out: e->ice is DISCONNECTED now. */
bool dp_ice_expired(struct sh_endpoint *e, uint64_t now_ns, uint64_t consent_ns);

static inline bool dp_addr_equal(const struct sh_addr *a, const struct sh_addr *b)
{
	uint64_t x[2], y[2];
	uint32_t p, q;

	__builtin_memcpy(x, a->ip, 16);
	__builtin_memcpy(y, b->ip, 16);
	__builtin_memcpy(&p, a, 4);
	__builtin_memcpy(&q, b, 4);
	return !((x[0] ^ y[0]) | (x[1] ^ y[1]) | (p ^ q));
}
