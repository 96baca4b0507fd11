#include "dataplane/node/frame.h"
#include <errno.h>
#include <string.h>
#include "dataplane/rtp/rtp.h"
#include "shared/stats.h"

enum {
	ETH_HDR = 14,
	VLAN_HDR = 4,
	UDP_HDR = 8,
	IP4_HDR = 20,
	IP6_HDR = 40,
	ETHERTYPE_IP4 = 0x0800,
	ETHERTYPE_IP6 = 0x86dd,
	ETHERTYPE_VLAN = 0x8100,
	ETHERTYPE_QINQ = 0x88a8,
	IPPROTO_UDP_NR = 17,
};

static int bad(unsigned *drop, enum sh_stat why)
{
	*drop = why;
	return -EBADMSG;
}

/* On success *at is the UDP header and *end the end of the IP packet. */
static int parse_ip4(struct dp_frame *f, const uint8_t *frame, uint32_t len, uint32_t *at,
                     uint32_t *end, unsigned *drop)
{
	const uint8_t *ip = frame + *at;
	uint32_t room = len - *at, ihl, total;

	if (room < IP4_HDR || ip[0] >> 4 != 4)
		return bad(drop, SH_STAT_drop_ip_malformed);
	ihl = (ip[0] & 15u) * 4;
	total = dp_get16(ip + 2);
	if (ihl < IP4_HDR || total < ihl || total > room)
		return bad(drop, SH_STAT_drop_ip_malformed);
	if (dp_get16(ip + 6) & 0x3fff) // MF or an offset
		return bad(drop, SH_STAT_drop_ip_fragment);
	if (ip[9] != IPPROTO_UDP_NR)
		return bad(drop, SH_STAT_drop_not_udp);
	f->family = f->src.family = f->dst.family = 4;
	memcpy(f->src.ip, ip + 12, 4);
	memcpy(f->dst.ip, ip + 16, 4);
	f->l3_len = (uint8_t)ihl;
	*end = *at + total;
	*at += ihl;
	return 0;
}

/* RFC 8200 §4: hop-by-hop, routing and destination options are stepped over, fragments are not put
 * together. */
static int parse_ip6(struct dp_frame *f, const uint8_t *frame, uint32_t len, uint32_t *at,
                     uint32_t *end, unsigned *drop)
{
	const uint8_t *ip = frame + *at;
	uint32_t room = len - *at, total, off = IP6_HDR;
	uint8_t next;

	if (room < IP6_HDR || ip[0] >> 4 != 6)
		return bad(drop, SH_STAT_drop_ip_malformed);
	total = IP6_HDR + dp_get16(ip + 4);
	if (total > room)
		return bad(drop, SH_STAT_drop_ip_malformed);
	next = ip[6];
	for (unsigned n = 0; next != IPPROTO_UDP_NR; n++) {
		uint32_t hdr;

		if (next == 44)
			return bad(drop, SH_STAT_drop_ip_fragment);
		if (next != 0 && next != 43 && next != 60)
			return bad(drop, SH_STAT_drop_not_udp);
		if (n == DP_FRAME_V6_HEADERS || off + 8 > total)
			return bad(drop, SH_STAT_drop_ip_malformed);
		hdr = (ip[off + 1] + 1u) * 8;
		if (off + hdr > total || off + hdr > UINT8_MAX)
			return bad(drop, SH_STAT_drop_ip_malformed);
		next = ip[off];
		off += hdr;
	}
	f->family = f->src.family = f->dst.family = 6;
	memcpy(f->src.ip, ip + 8, 16);
	memcpy(f->dst.ip, ip + 24, 16);
	f->l3_len = (uint8_t)off;
	*end = *at + total;
	*at += off;
	return 0;
}

int dp_frame_parse(struct dp_frame *out, const uint8_t *frame, uint32_t len, unsigned *drop)
{
	uint32_t at = ETH_HDR, end = 0, udp_len;
	uint16_t type;
	int err;

	memset(out, 0, sizeof(*out));
	if (len < ETH_HDR)
		return bad(drop, SH_STAT_drop_not_ip);
	type = dp_get16(frame + 12);
	for (unsigned n = 0; type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ; n++) {
		if (n == DP_FRAME_VLANS || len < at + VLAN_HDR)
			return bad(drop, SH_STAT_drop_not_ip);
		type = dp_get16(frame + at + 2);
		at += VLAN_HDR;
	}
	out->l2_len = (uint8_t)at;
	if (type == ETHERTYPE_IP4)
		err = parse_ip4(out, frame, len, &at, &end, drop);
	else if (type == ETHERTYPE_IP6)
		err = parse_ip6(out, frame, len, &at, &end, drop);
	else
		err = bad(drop, SH_STAT_drop_not_ip);
	if (err)
		return err;
	if (end - at < UDP_HDR)
		return bad(drop, SH_STAT_drop_udp_malformed);
	udp_len = dp_get16(frame + at + 4);
	if (udp_len < UDP_HDR || udp_len > end - at)
		return bad(drop, SH_STAT_drop_udp_malformed);
	out->src.port = dp_get16(frame + at);
	out->dst.port = dp_get16(frame + at + 2);
	out->payload_off = (uint16_t)(at + UDP_HDR);
	out->payload_len = (uint16_t)(udp_len - UDP_HDR);
	return 0;
}

enum dp_frame_kind dp_frame_kind(const uint8_t *payload, uint32_t len)
{
	uint8_t b;

	if (!len)
		return DP_FRAME_IS_NONE;
	b = payload[0];
	if (b < 4)
		return DP_FRAME_IS_STUN;
	if (b >= 20 && b < 64)
		return DP_FRAME_IS_DTLS;
	if (b < 128 || b > 191 || len < 2)
		return DP_FRAME_IS_NONE;
	return payload[1] >= 192 && payload[1] <= 223 ? DP_FRAME_IS_RTCP : DP_FRAME_IS_RTP;
}

/* DTLS 1.3 ciphertext has a header of one to five bytes (RFC 9147 §4); without its length field it
 * is the last. */
static uint32_t unified_record(const uint8_t *p, uint32_t len)
{
	uint32_t hdr = 1 + (p[0] & 8 ? 2 : 1);

	if (p[0] & 16) // a connection id, which we never negotiate
		return 0;
	if (!(p[0] & 4))
		return len > hdr ? len : 0;
	if (len < hdr + 2)
		return 0;
	return hdr + 2 + dp_get16(p + hdr);
}

int dp_dtls_records(const uint8_t *payload, uint32_t len)
{
	if (!len)
		return -EBADMSG;
	while (len) {
		uint32_t whole;

		if (payload[0] >= 32 && payload[0] < 64) {
			whole = unified_record(payload, len);
		} else {
			if (len < 13 || payload[0] < 20 || payload[0] > 26 || payload[1] != 0xfe ||
			    payload[2] < 0xfc)
				return -EBADMSG;
			whole = 13u + dp_get16(payload + 11);
		}
		if (!whole || whole > len)
			return -EBADMSG;
		payload += whole;
		len -= whole;
	}
	return 0;
}

uint32_t dp_frame_reply(uint8_t *out, uint8_t *l3_len, const uint8_t *frame,
                        const struct dp_frame *f)
{
	uint8_t *ip = out + f->l2_len, *udp;

	memcpy(out, frame + 6, 6);
	memcpy(out + 6, frame, 6);
	memcpy(out + 12, frame + 12, f->l2_len - 12u);
	if (f->family == 4) {
		memset(ip, 0, IP4_HDR);
		ip[0] = 0x45;
		ip[6] = 0x40; // do not fragment
		ip[8] = 64;
		ip[9] = IPPROTO_UDP_NR;
		memcpy(ip + 12, f->dst.ip, 4);
		memcpy(ip + 16, f->src.ip, 4);
		*l3_len = IP4_HDR;
	} else {
		memset(ip, 0, IP6_HDR);
		ip[0] = 0x60;
		ip[6] = IPPROTO_UDP_NR;
		ip[7] = 64;
		memcpy(ip + 8, f->dst.ip, 16);
		memcpy(ip + 24, f->src.ip, 16);
		*l3_len = IP6_HDR;
	}
	udp = ip + *l3_len;
	dp_put16(udp, f->dst.port);
	dp_put16(udp + 2, f->src.port);
	dp_put32(udp + 4, 0);
	return f->l2_len + *l3_len + (uint32_t)UDP_HDR;
}

void dp_frame_finish(uint8_t *frame, uint8_t l2_len, uint8_t l3_len, uint16_t udp_len,
                     bool payload_csum)
{
	uint8_t *ip = frame + l2_len, *udp = ip + l3_len;
	uint64_t sum;
	uint16_t c;

	dp_put16(udp + 4, udp_len);
	memset(udp + 6, 0, 2);
	if (ip[0] >> 4 == 4) {
		dp_put16(ip + 2, (uint16_t)(l3_len + udp_len));
		memset(ip + 10, 0, 2);
		c = (uint16_t)~dp_csum_fold(dp_csum_add(0, ip, l3_len));
		memcpy(ip + 10, &c, 2);
		sum = dp_csum_add(0, ip + 12, 8);
	} else {
		dp_put16(ip + 4, (uint16_t)(l3_len - IP6_HDR + udp_len));
		sum = dp_csum_add(0, ip + 8, 32);
	}
	sum += __builtin_bswap16(IPPROTO_UDP_NR) + (uint64_t)__builtin_bswap16(udp_len);
	if (!payload_csum) {
		c = dp_csum_fold(sum);
		memcpy(udp + 6, &c, 2);
		return;
	}
	c = (uint16_t)~dp_csum_fold(dp_csum_add(sum, udp, udp_len));
	if (!c) // RFC 768: zero would say that there is none
		c = 0xffff;
	memcpy(udp + 6, &c, 2);
}
