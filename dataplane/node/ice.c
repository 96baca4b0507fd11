#include "dataplane/node/ice.h"

static void move_to(struct sh_endpoint *e, struct dp_ice *ice, const struct dp_ice_check *c)
{
	ice->priority = c->priority;
	e->local = *c->local;
	e->remote = *c->remote;
	e->consent_at_ns = c->now_ns;
}

static enum dp_ice_verdict same_address(struct sh_endpoint *e, struct dp_ice *ice,
                                        const struct dp_ice_check *c)
{
	uint32_t was = e->ice;

	e->consent_at_ns = c->now_ns;
	e->local = *c->local;
	if (c->use_candidate) {
		ice->priority = c->priority;
		e->ice = SH_ICE_CONNECTED;
		return was == SH_ICE_NEW            ? DP_ICE_NOMINATED
		       : was == SH_ICE_DISCONNECTED ? DP_ICE_RESUMED
		                                    : DP_ICE_CONSENT;
	}
	if (was != SH_ICE_DISCONNECTED)
		return was == SH_ICE_NEW ? DP_ICE_VALID : DP_ICE_CONSENT;
	e->ice = SH_ICE_CONNECTED;
	return DP_ICE_RESUMED;
}

enum dp_ice_verdict dp_ice_checked(struct sh_endpoint *e, struct dp_ice *ice,
                                   const struct dp_ice_check *c)
{
	if (e->remote.family && dp_addr_equal(&e->remote, c->remote))
		return same_address(e, ice, c);
	if (!c->use_candidate) {
		if (e->remote.family)
			return DP_ICE_VALID;
		move_to(e, ice, c);
		return DP_ICE_PROVISIONAL;
	}
	if (e->ice == SH_ICE_NEW) {
		move_to(e, ice, c);
		e->ice = SH_ICE_CONNECTED;
		return DP_ICE_NOMINATED;
	}
	if (e->ice == SH_ICE_CONNECTED && ice->before.family &&
	    dp_addr_equal(&ice->before, c->remote) && c->priority < ice->priority &&
	    c->now_ns - ice->moved_at_ns < DP_ICE_FLAP_NS)
		return DP_ICE_VALID;
	ice->before = e->remote;
	ice->moved_at_ns = c->now_ns;
	move_to(e, ice, c);
	e->ice = SH_ICE_CONNECTED;
	return DP_ICE_MOVED;
}

bool dp_ice_expired(struct sh_endpoint *e, uint64_t now_ns, uint64_t consent_ns)
{
	if (e->ice != SH_ICE_CONNECTED || now_ns - e->consent_at_ns < consent_ns ||
	    now_ns < e->consent_at_ns)
		return false;
	e->ice = SH_ICE_DISCONNECTED;
	return true;
}
