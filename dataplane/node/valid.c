#include "dataplane/node/node.h"
#include <rte_hash_crc.h>
#include <string.h>

static struct dp_valid *entry(struct dp_worker *w, const struct sh_addr *addr)
{
	uint64_t ip[2];

	memcpy(ip, addr->ip, sizeof(ip));
	return &dp_node(w)->valid[rte_hash_crc_8byte(ip[0], rte_hash_crc_8byte(ip[1], addr->port)) %
	                          DP_VALIDS];
}

/* One entry a hash value, the newest wins: who loses his is let in again by his next check. */
void dp_valid_put(struct dp_worker *w, const struct sh_addr *addr, uint32_t endpoint)
{
	*entry(w, addr) = (struct dp_valid){
	    .addr = *addr,
	    .endpoint = endpoint,
	    .id = dp_slabs.endpoint[endpoint].set.id,
	    .at_ns = w->now_ns,
	};
}

int dp_valid_find(struct dp_worker *w, const struct sh_addr *addr)
{
	const struct dp_valid *v = entry(w, addr);
	const struct sh_endpoint *e;

	if (!v->id || !dp_addr_equal(&v->addr, addr) || w->now_ns - v->at_ns > DP_CONSENT_NS)
		return -1;
	e = &dp_slabs.endpoint[v->endpoint];
	return e->set.id == v->id && dp_live(&e->state) ? (int)v->endpoint : -1;
}
