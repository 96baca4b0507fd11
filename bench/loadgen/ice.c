/* ICE as the controlling side, without an agent: one pair, checks with USE-CANDIDATE (RFC 8445
 * §7.2, aggressive enough for a server with one candidate each), then consent (RFC 7675). Messages
 * are made and judged by libnice's STUN library. For servers that are full agents it answers their
 * checks too. */
#include <stdlib.h>
#include <string.h>
#include <stun/usages/ice.h>
#include "bench/loadgen/lg.h"

enum {
	RTO_MS = 50,
	TRIES = 120,
	CONSENT_MS = 5000,
	PRIORITY = 0x7effffff, // of a host candidate found by a check: peer reflexive
};

void lg_ice_start(struct lg_peer *p, uint64_t now)
{
	p->stun = calloc(1, sizeof(*p->stun));
	if (!p->stun) {
		lg_peer_fail(p, "no memory");
		return;
	}
	stun_agent_init(p->stun, STUN_ALL_KNOWN_ATTRIBUTES, STUN_COMPATIBILITY_RFC5389,
	                STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS | STUN_AGENT_USAGE_USE_FINGERPRINT);
	lg_random(&p->tie, sizeof(p->tie));
	p->check_ns = now;
	lg_ice_timer(p, now);
}

static void send_check(struct lg_peer *p)
{
	char user[300];
	uint8_t buf[600];
	StunMessage msg;
	size_t n = strlen(p->rufrag);

	memcpy(user, p->rufrag, n);
	user[n] = ':';
	memcpy(user + n + 1, p->ufrag, LG_UFRAG);
	n = stun_usage_ice_conncheck_create(p->stun, &msg, buf, sizeof(buf), (const uint8_t *)user,
	                                    n + 1 + LG_UFRAG, (const uint8_t *)p->rpwd,
	                                    strlen(p->rpwd), true, true, PRIORITY, p->tie, NULL,
	                                    STUN_USAGE_ICE_COMPATIBILITY_RFC5245);
	if (n)
		lg_net->send(p, buf, n);
}

/* Consent answers that never came would fill the agent's table. */
static void forget_old(struct lg_peer *p)
{
	if (p->checks % 100 == 0)
		stun_agent_init(p->stun, STUN_ALL_KNOWN_ATTRIBUTES, STUN_COMPATIBILITY_RFC5389,
		                STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS |
		                    STUN_AGENT_USAGE_USE_FINGERPRINT);
}

void lg_ice_timer(struct lg_peer *p, uint64_t now)
{
	if (!p->stun || now < p->check_ns)
		return;
	if (!p->valid && p->checks > TRIES) {
		lg_peer_fail(p, "no answer to ICE checks");
		return;
	}
	forget_old(p);
	send_check(p);
	p->checks++;
	/* RFC 7675 §5.1: 0.8 to 1.2 times the interval. */
	p->check_ns =
	    now + (p->valid ? (CONSENT_MS * 800 + lg_random32() % (CONSENT_MS * 400)) * 1000ULL
	                    : RTO_MS * 1000000ULL);
}

static bool own_password(StunAgent *agent, StunMessage *msg, uint8_t *user, uint16_t user_len,
                         uint8_t **password, size_t *password_len, void *arg)
{
	struct lg_peer *p = arg;

	if (user_len < LG_UFRAG + 1 || memcmp(user, p->ufrag, LG_UFRAG) != 0 ||
	    user[LG_UFRAG] != ':')
		return false;
	*password = (uint8_t *)p->pwd;
	*password_len = LG_PWD;
	return true;
}

static void answer(struct lg_peer *p, StunMessage *req)
{
	struct sockaddr_storage from = {0};
	bool control = true;
	uint8_t buf[600];
	size_t n = sizeof(buf);
	StunMessage msg;

	memcpy(&from, &p->remote, sizeof(p->remote));
	if (stun_usage_ice_conncheck_create_reply(
	        p->stun, req, &msg, buf, &n, &from, sizeof(p->remote), &control, p->tie,
	        STUN_USAGE_ICE_COMPATIBILITY_RFC5245) == STUN_USAGE_ICE_RETURN_SUCCESS)
		lg_net->send(p, buf, n);
}

void lg_ice_input(struct lg_peer *p, const uint8_t *buf, size_t len, uint64_t now)
{
	struct sockaddr_storage mapped;
	socklen_t mapped_len = sizeof(mapped);
	StunMessage msg;

	if (!p->stun || stun_agent_validate(p->stun, &msg, buf, len, own_password, p) !=
	                    STUN_VALIDATION_SUCCESS)
		return;
	if (stun_message_get_class(&msg) == STUN_REQUEST) {
		answer(p, &msg);
		return;
	}
	if (stun_message_get_class(&msg) != STUN_RESPONSE ||
	    stun_usage_ice_conncheck_process(&msg, &mapped, &mapped_len,
	                                     STUN_USAGE_ICE_COMPATIBILITY_RFC5245) !=
	        STUN_USAGE_ICE_RETURN_SUCCESS)
		return;
	if (p->valid)
		return;
	p->valid = true;
	p->check_ns = now + CONSENT_MS * 1000000ULL;
	lg_peer_secure(p, now);
}
