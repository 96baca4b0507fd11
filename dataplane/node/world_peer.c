/* Peers of the world: what they are made of, what they send, and what arrives at them. */
#include "dataplane/node/world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/node/frame.h"
#include "dataplane/table/table.h"

void peer_new(struct peer *p, uint32_t endpoint, unsigned worker, uint16_t profile, bool ip6)
{
	struct sh_msg_endpoint_set *s = &p->set;

	memset(p, 0, sizeof(*p));
	p->endpoint = endpoint;
	p->id = world_id(endpoint);
	p->worker = worker;
	p->profile = profile;
	snprintf(p->ufrag, sizeof(p->ufrag), "uf%04u", endpoint);
	snprintf(p->pwd, sizeof(p->pwd), "password+of+endpoint+%02u", endpoint % 100);
	p->addr = (struct sh_addr){.family = 4,
	                           .port = (uint16_t)(40000 + endpoint),
	                           .ip = {192, 0, 2, (uint8_t)(endpoint + 1)}};
	p->local = (struct sh_addr){
	    .family = 4, .port = (uint16_t)(WORLD_BASE + worker), .ip = {198, 51, 100, 1}};
	if (ip6) {
		p->addr.family = p->local.family = 6;
		memcpy(p->addr.ip, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\1\2", 16);
		memcpy(p->local.ip, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\2\2", 16);
		p->addr.ip[15] = (uint8_t)(endpoint + 1);
	}
	s->id = p->id;
	s->worker = (uint8_t)worker;
	s->ufrag_len = (uint8_t)strlen(p->ufrag);
	s->pwd_len = (uint8_t)strlen(p->pwd);
	memcpy(s->ufrag, p->ufrag, s->ufrag_len);
	memcpy(s->pwd, p->pwd, s->pwd_len);
	s->rtcp_ssrc = 0x11110000 + endpoint;
	s->cname_len = 5;
	memcpy(s->cname, "cname", 5);
	world_commit(SH_MSG_ENDPOINT_SET, s, sizeof(*s));
}

void peer_ext(struct peer *p, enum sh_ext kind, uint8_t id)
{
	p->set.ext_id[kind] = id;
	world_commit(SH_MSG_ENDPOINT_SET, &p->set, sizeof(p->set));
}

static srtp_t session(uint16_t profile, const struct sh_srtp_secret *secret, srtp_ssrc_type_t type)
{
	uint8_t key[64] = {0};
	srtp_policy_t policy = {.key = key, .window_size = 4096, .allow_repeat_tx = 1};
	srtp_t s;

	memcpy(key, secret->bytes, sizeof(secret->bytes));
	policy.ssrc.type = type;
	assert_int_equal(
	    srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, (srtp_profile_t)profile), 0);
	assert_int_equal(
	    srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, (srtp_profile_t)profile), 0);
	assert_int_equal(srtp_create(&s, &policy), srtp_err_status_ok);
	return s;
}

void peer_keys(struct peer *p)
{
	struct sh_msg_endpoint_keys k = {.id = p->id, .profile = p->profile};
	unsigned n = dp_srtp_key_len(p->profile) + dp_srtp_salt_len(p->profile);
	static uint8_t next;

	for (unsigned i = 0; i < n; i++) {
		k.rx.bytes[i] = (uint8_t)(next + 7 * i);
		k.tx.bytes[i] = (uint8_t)(next + 11 * i + 1);
	}
	next += 31;
	p->key_tx = k.rx;
	p->key_rx = k.tx;
	if (p->tx) {
		srtp_dealloc(p->tx);
		srtp_dealloc(p->rx);
	}
	p->tx = session(p->profile, &k.rx, ssrc_any_outbound);
	p->rx = session(p->profile, &k.tx, ssrc_any_inbound);
	world_commit(SH_MSG_ENDPOINT_KEYS, &k, sizeof(k));
}

static void put_headers(uint8_t *out, uint8_t *l2, uint8_t *l3, unsigned vlans,
                        const struct sh_addr *from, const struct sh_addr *to)
{
	uint8_t *at = out + 12;

	memcpy(out, "\2\0\0\0\0\1\2\0\0\0\0\2", 12);
	for (unsigned i = 0; i < vlans; i++, at += 4)
		memcpy(at, "\x81\x00\x00\x07", 4);
	dp_put16(at, from->family == 4 ? 0x0800 : 0x86dd);
	at += 2;
	*l2 = (uint8_t)(at - out);
	if (from->family == 4) {
		memcpy(at, "\x45\0\0\0\0\0\x40\0\x40\x11\0\0", 12);
		memcpy(at + 12, from->ip, 4);
		memcpy(at + 16, to->ip, 4);
		*l3 = 20;
	} else {
		memcpy(at, "\x60\0\0\0\0\0\x11\x40", 8);
		memcpy(at + 8, from->ip, 16);
		memcpy(at + 24, to->ip, 16);
		*l3 = 40;
	}
	dp_put16(at + *l3, from->port);
	dp_put16(at + *l3 + 2, to->port);
	dp_put32(at + *l3 + 4, 0);
}

void peer_path(struct peer *p)
{
	const struct sh_endpoint *e = &dp_slabs.endpoint[p->endpoint];
	struct dp_path *path = dp_path_new();

	assert_non_null(path);
	put_headers(path->header, &path->l2_len, &path->l3_len, p->vlans, &e->local, &e->remote);
	path->len = (uint8_t)(path->l2_len + path->l3_len + 8);
	path->family = e->remote.family;
	path->mtu = 1500;
	path->reachable = path->routed = true;
	dp_path_set(p->endpoint, path);
}

void peer_free(struct peer *p)
{
	if (p->tx) {
		srtp_dealloc(p->tx);
		srtp_dealloc(p->rx);
	}
}

/* ---- packets in ---- */

uint32_t peer_frame(const struct peer *p, uint8_t *frame, const uint8_t *payload, uint32_t len)
{
	uint8_t l2, l3;

	put_headers(frame, &l2, &l3, p->vlans, &p->addr, &p->local);
	memcpy(frame + l2 + l3 + 8, payload, len);
	dp_frame_finish(frame, l2, l3, (uint16_t)(len + 8), true);
	frame[l2 + l3 + 6] ^= 0x55; // nobody may look at it
	return l2 + l3 + 8 + len;
}

void peer_send(const struct peer *p, const uint8_t *payload, uint32_t len)
{
	uint8_t frame[FRAME_MAX];

	world_frame(p->worker, frame, peer_frame(p, frame, payload, len));
}

uint32_t peer_stun(const struct peer *p, uint8_t *buf, unsigned flags, uint32_t priority)
{
	struct dp_stun_out o;
	static uint8_t txid[12];
	char username[32];
	uint8_t be[8] = {0};
	int len;

	txid[0]++;
	snprintf(username, sizeof(username), "%s:theirs",
	         flags & PEER_BAD_UFRAG ? "nobody" : p->ufrag);
	dp_stun_begin(&o, buf, 512, DP_STUN_BINDING_REQUEST, txid);
	dp_stun_put(&o, DP_STUN_USERNAME, username, (uint32_t)strlen(username));
	dp_put32(be, priority);
	dp_stun_put(&o, DP_STUN_PRIORITY, be, 4);
	dp_stun_put(&o, flags & PEER_CONTROLLED ? DP_STUN_ICE_CONTROLLED : DP_STUN_ICE_CONTROLLING,
	            be, 8);
	if (flags & PEER_NOMINATE)
		dp_stun_put(&o, DP_STUN_USE_CANDIDATE, NULL, 0);
	if (flags & PEER_UNKNOWN_ATTR)
		dp_stun_put(&o, 0x7777, be, 4);
	if (!(flags & PEER_NO_MI))
		dp_stun_put_integrity(&o,
		                      (const uint8_t *)(flags & PEER_BAD_PWD ? "wrong" : p->pwd),
		                      (uint32_t)strlen(flags & PEER_BAD_PWD ? "wrong" : p->pwd));
	dp_stun_put_fingerprint(&o);
	len = dp_stun_end(&o);
	assert_true(len > 0);
	return (uint32_t)len;
}

void peer_check(const struct peer *p, unsigned flags)
{
	uint8_t buf[512];

	peer_send(p, buf, peer_stun(p, buf, flags, 100));
	world_walk();
}

void peer_connect(struct peer *p)
{
	uint8_t buf[512];
	uint32_t len;

	peer_check(p, PEER_NOMINATE);
	assert_true(peer_take_stun(p, buf, &len));
	assert_int_equal(dp_slabs.endpoint[p->endpoint].ice, SH_ICE_CONNECTED);
	peer_path(p);
	peer_keys(p);
}

static void send_sealed(struct peer *p, const uint8_t *plain, uint32_t len,
                        srtp_err_status_t (*protect)(srtp_t, void *, int *))
{
	uint8_t buf[FRAME_MAX];
	int n = (int)len;

	memcpy(buf, plain, len);
	assert_int_equal(protect(p->tx, buf, &n), srtp_err_status_ok);
	peer_send(p, buf, (uint32_t)n);
}

void peer_rtp(struct peer *p, const uint8_t *rtp, uint32_t len)
{
	send_sealed(p, rtp, len, srtp_protect);
}

void peer_rtcp(struct peer *p, const uint8_t *rtcp, uint32_t len)
{
	send_sealed(p, rtcp, len, srtp_protect_rtcp);
	world_walk();
}

/* ---- packets out ---- */

static void assert_checksums(const struct frame *f, const struct dp_frame *p)
{
	const uint8_t *ip = f->data + p->l2_len, *udp = ip + p->l3_len;
	uint32_t udp_len = p->payload_len + 8u;
	uint64_t sum;

	assert_int_equal(p->payload_off + p->payload_len, f->len);
	if (p->family == 4)
		assert_int_equal(dp_csum_fold(dp_csum_add(0, ip, 20)), 0xffff);
	sum = p->family == 4 ? dp_csum_add(0, ip + 12, 8) : dp_csum_add(0, ip + 8, 32);
	sum += __builtin_bswap16(17) + (uint64_t)__builtin_bswap16((uint16_t)udp_len);
	assert_int_not_equal(dp_get16(udp + 6), 0);
	assert_int_equal(dp_csum_fold(dp_csum_add(sum, udp, udp_len)), 0xffff);
}

bool peer_take(struct peer *p, uint8_t *payload, uint32_t *len,
               bool (*is)(const uint8_t *, uint32_t))
{
	for (unsigned i = 0; i < world.n_out; i++) {
		struct frame *f = &world.out[i];
		struct dp_frame parsed;
		unsigned why;

		if (f->taken)
			continue;
		assert_int_equal(dp_frame_parse(&parsed, f->data, f->len, &why), 0);
		if (!dp_addr_equal(&parsed.dst, &p->addr) ||
		    !is(f->data + parsed.payload_off, parsed.payload_len))
			continue;
		assert_true(dp_addr_equal(&parsed.src, &p->local));
		assert_int_equal(parsed.l2_len, 14 + 4 * p->vlans);
		assert_checksums(f, &parsed);
		f->taken = true;
		*len = parsed.payload_len;
		memcpy(payload, f->data + parsed.payload_off, *len);
		return true;
	}
	return false;
}

static bool is_rtp(const uint8_t *b, uint32_t n)
{
	return dp_frame_kind(b, n) == DP_FRAME_IS_RTP;
}

static bool is_rtcp(const uint8_t *b, uint32_t n)
{
	return dp_frame_kind(b, n) == DP_FRAME_IS_RTCP;
}

static bool is_stun(const uint8_t *b, uint32_t n)
{
	return dp_frame_kind(b, n) == DP_FRAME_IS_STUN;
}

bool peer_take_raw(struct peer *p, uint8_t *buf, uint32_t *len)
{
	return peer_take(p, buf, len, is_rtp);
}

bool peer_take_rtp(struct peer *p, struct rtp_out *out)
{
	int n;

	if (!peer_take(p, out->buf, &out->len, is_rtp))
		return false;
	n = (int)out->len;
	assert_int_equal(srtp_unprotect(p->rx, out->buf, &n), srtp_err_status_ok);
	out->len = (uint32_t)n;
	assert_int_equal(dp_rtp_parse(&out->hdr, out->buf, out->len), 0);
	assert_int_equal(dp_rtp_ext_parse(&out->exts, &out->hdr, out->buf, p->set.ext_id), 0);
	return true;
}

bool peer_take_rtcp(struct peer *p, uint8_t *buf, uint32_t *len)
{
	int n;

	if (!peer_take(p, buf, len, is_rtcp))
		return false;
	n = (int)*len;
	assert_int_equal(srtp_unprotect_rtcp(p->rx, buf, &n), srtp_err_status_ok);
	*len = (uint32_t)n;
	return true;
}

bool peer_take_stun(struct peer *p, uint8_t *buf, uint32_t *len)
{
	return peer_take(p, buf, len, is_stun);
}
