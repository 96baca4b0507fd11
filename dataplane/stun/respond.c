/* What an ICE-lite server answers, RFC 8445 §7.3.1, RFC 8489 §6.3, §9.1.3. */
#include "dataplane/stun/internal.h"
#include <string.h>

unsigned dp_stun_refusal(const struct dp_stun_msg *m)
{
	if (m->unknown_count)
		return 420;
	/* a lite agent is controlled, always: a peer that thinks the same has to switch */
	return m->flags & DP_STUN_HAS_CONTROLLED ? 487 : 0;
}

static int finish(struct dp_stun_out *o, const struct dp_stun_msg *m, const uint8_t *pwd,
                  uint32_t pwd_len)
{
	if (pwd && m->mi256_off)
		dp_stun_put_integrity_sha256(o, pwd, pwd_len);
	else if (pwd)
		dp_stun_put_integrity(o, pwd, pwd_len);
	dp_stun_put_fingerprint(o);
	return dp_stun_end(o);
}

int dp_stun_success(uint8_t *buf, uint32_t room, const struct dp_stun_msg *m,
                    const struct sh_addr *mapped, const uint8_t *pwd, uint32_t pwd_len)
{
	struct dp_stun_out o;

	dp_stun_begin(&o, buf, room, DP_STUN_BINDING_SUCCESS, m->buf + 8);
	dp_stun_put_xor_addr(&o, DP_STUN_XOR_MAPPED_ADDRESS, mapped);
	return finish(&o, m, pwd, pwd_len);
}

static void put_error_code(struct dp_stun_out *o, unsigned code)
{
	static const struct {
		uint16_t code;
		char reason[18];
	} known[] = {
	    {400, "Bad Request"},
	    {401, "Unauthenticated"},
	    {420, "Unknown Attribute"},
	    {487, "Role Conflict"},
	};
	uint8_t value[4 + sizeof(known[0].reason)] = {0, 0, code / 100, code % 100};
	uint32_t len = 4;

	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].code != code)
			continue;
		while (known[i].reason[len - 4]) {
			value[len] = known[i].reason[len - 4];
			len++;
		}
	}
	dp_stun_put(o, DP_STUN_ERROR_CODE, value, len);
}

int dp_stun_error(uint8_t *buf, uint32_t room, const struct dp_stun_msg *m, unsigned code,
                  const uint8_t *pwd, uint32_t pwd_len)
{
	uint8_t list[2 * DP_STUN_UNKNOWN_MAX];
	struct dp_stun_out o;

	dp_stun_begin(&o, buf, room, DP_STUN_BINDING_ERROR, m->buf + 8);
	put_error_code(&o, code);
	if (code == 420) {
		for (unsigned i = 0; i < m->unknown_count; i++)
			dp_put16(list + 2 * i, m->unknown[i]);
		dp_stun_put(&o, DP_STUN_UNKNOWN_ATTRIBUTES, list, 2u * m->unknown_count);
	}
	return finish(&o, m, pwd, pwd_len);
}
