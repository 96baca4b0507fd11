#include "bench/forward.h"
#include <stdio.h>
#include <string.h>
#include "bench/bench.h"
#include "dataplane/node/frame.h"
#include "dataplane/rtp/rtp.h"
#include "dataplane/stun/stun.h"

void fwd_keys(uint32_t endpoint, uint16_t profile, struct sh_srtp_secret *from_peer,
              struct sh_srtp_secret *to_peer)
{
	unsigned n = dp_srtp_key_len(profile) + dp_srtp_salt_len(profile);
	uint64_t seed = endpoint * UINT64_C(2654435761) + 1;

	memset(from_peer, 0, sizeof(*from_peer));
	memset(to_peer, 0, sizeof(*to_peer));
	for (unsigned i = 0; i < n; i++) {
		from_peer->bytes[i] = (uint8_t)bench_random(&seed);
		to_peer->bytes[i] = (uint8_t)bench_random(&seed);
	}
}

struct sh_addr fwd_addr(uint32_t endpoint)
{
	return (struct sh_addr){
	    .family = 4,
	    .port = 40000,
	    .ip = {10, (uint8_t)(endpoint >> 16), (uint8_t)(endpoint >> 8), (uint8_t)endpoint}};
}

struct sh_addr fwd_local(unsigned worker)
{
	return (struct sh_addr){
	    .family = 4, .port = (uint16_t)(FWD_PORT + worker), .ip = {192, 0, 2, 1}};
}

void fwd_ufrag(uint32_t endpoint, uint8_t out[8])
{
	char text[16];

	snprintf(text, sizeof(text), "u%07u", endpoint);
	memcpy(out, text, 8);
}

const char fwd_password[] = "apasswordof24characters+";

/* Ethernet, IPv4 and ports to a worker; lengths and checksums are 0. */
static void put_head(uint8_t *f, uint32_t endpoint, unsigned worker)
{
	struct sh_addr from = fwd_addr(endpoint), to = fwd_local(worker);
	uint8_t *ip = f + 14;

	memcpy(f, "\2\0\0\0\0\1\2\0\0\0\0\2\x08\0", 14);
	memcpy(ip, "\x45\0\0\0\0\0\x40\0\x40\x11\0\0", 12);
	memcpy(ip + 12, from.ip, 4);
	memcpy(ip + 16, to.ip, 4);
	dp_put16(ip + 20, from.port);
	dp_put16(ip + 22, to.port);
	memset(ip + 24, 0, 4);
}

void fwd_head(uint8_t *f, uint32_t endpoint, uint16_t rtp_len)
{
	put_head(f, endpoint, 0);
	dp_frame_finish(f, 14, 20, (uint16_t)(rtp_len + 8), false);
}

uint16_t fwd_check(uint32_t endpoint, unsigned worker, uint8_t *frame)
{
	static const uint8_t txid[12] = "transaction";
	uint8_t user[16], be[8] = {0}, *ip = frame + 14;
	struct dp_stun_out o;
	int len;

	put_head(frame, endpoint, worker);
	dp_stun_begin(&o, frame + FWD_HEAD, 512, DP_STUN_BINDING_REQUEST, txid);
	fwd_ufrag(endpoint, user);
	memcpy(user + 8, ":theirs", 7);
	dp_stun_put(&o, DP_STUN_USERNAME, user, 15);
	dp_stun_put(&o, DP_STUN_PRIORITY, be, 4);
	dp_stun_put(&o, DP_STUN_ICE_CONTROLLING, be, 8);
	dp_stun_put(&o, DP_STUN_USE_CANDIDATE, NULL, 0);
	dp_stun_put_integrity(&o, (const uint8_t *)fwd_password, 24);
	dp_stun_put_fingerprint(&o);
	len = dp_stun_end(&o);
	if (len < 0)
		fwd_die("a check does not fit");
	dp_put16(ip + 2, (uint16_t)(28 + len));
	dp_put16(ip + 24, (uint16_t)(8 + len));
	return (uint16_t)(FWD_HEAD + len);
}
