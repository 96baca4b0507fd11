/* SRTP and SRTCP reception over both backends, which must agree: what one takes, the other takes,
 * with the same result.
 *
 * Input: how, index (4 B), flips (1 B), then a packet.
 *   how bits 0-1: profile; bit 2: RTCP; bit 3: the packet is plaintext, to be protected first by
 *   one backend, then bent by flips (0..7 of them, 3 B each: position, XOR value), so that fuzzing
 *   gets behind the tag. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "dataplane/srtp/srtp.h"

enum { PACKET_MAX = 1500, HOW_RTCP = 4, HOW_SEALED = 8 };

static const uint16_t profiles[] = {SH_SRTP_AEAD_AES_128_GCM, SH_SRTP_AES128_CM_SHA1_80,
                                    SH_SRTP_AEAD_AES_256_GCM, SH_SRTP_AES128_CM_SHA1_32};
static const struct dp_srtp_backend *backend[2];
static struct dp_srtp_batch *batch[2];
static struct dp_srtp_session session[2][4];
static struct dp_srtp_rx ear[2][4];

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct sh_srtp_secret secret;

	memset(&secret, 0x42, sizeof(secret));
	for (unsigned b = 0; b < 2; b++) {
		backend[b] = dp_srtp_backend_find(b ? "libsrtp2" : "ipsec_mb");
		if (!backend[b] || dp_srtp_batch_new(&batch[b], backend[b]))
			abort();
		for (unsigned p = 0; p < 4; p++) {
			if (dp_srtp_session_init(backend[b], &session[b][p], profiles[p], &secret,
			                         &secret))
				abort();
			if (p < 2) // of the others, GCM's keys are expanded for each packet
				(void)dp_srtp_session_receive(backend[b], &session[b][p],
				                              &ear[b][p]);
		}
	}
	return 0;
}

/* Header length as RFC 3550 §5.1 and §5.3.1 have it; 0: it does not fit. */
static unsigned rtp_header(const uint8_t *p, unsigned len)
{
	unsigned at = 12;

	if (len < at)
		return 0;
	at += 4u * (p[0] & 15);
	if (p[0] & 0x10) {
		if (at + 4 > len)
			return 0;
		at += 4 + 4u * (unsigned)(p[at + 2] << 8 | p[at + 3]);
	}
	return at <= len ? at : 0;
}

/* Room is exact, so that the sanitizer sees one byte too many. */
static int unprotect(unsigned b, unsigned p, bool rtcp, const uint8_t *packet, unsigned len,
                     unsigned hdr, uint64_t *index, uint8_t *out, unsigned *out_len)
{
	uint8_t *room = malloc(len ? len : 1);
	struct dp_srtp_op op = {.session = &session[b][p],
	                        .dst = room,
	                        .index = *index,
	                        .len = (uint16_t)len,
	                        .hdr_len = (uint16_t)hdr};

	memcpy(room, packet, len);
	(rtcp ? dp_srtcp_unprotect : dp_srtp_unprotect)(batch[b], &op, 1);
	if (op.out_len > len || (op.status && op.out_len))
		abort();
	memcpy(out, room, op.out_len);
	*out_len = op.out_len;
	*index = op.index;
	free(room);
	return op.status;
}

static unsigned seal(unsigned p, bool rtcp, uint8_t *packet, unsigned len, unsigned hdr,
                     uint64_t index)
{
	struct dp_srtp_op op = {.session = &session[0][p],
	                        .dst = packet,
	                        .index = index,
	                        .len = (uint16_t)len,
	                        .src = packet + (rtcp ? 8 : hdr),
	                        .hdr_len = (uint16_t)hdr};

	(rtcp ? dp_srtcp_protect : dp_srtp_protect)(batch[0], &op, 1);
	return op.status ? 0 : op.out_len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t packet[PACKET_MAX + DP_SRTCP_TRAILER_MAX],
	    out[2][PACKET_MAX + DP_SRTCP_TRAILER_MAX];
	unsigned p, len, hdr, flips, out_len[2];
	uint64_t index, got[2];
	uint8_t how;
	bool rtcp;
	int st[2];

	if (size < 6)
		return 0;
	how = data[0];
	p = how & 3;
	rtcp = how & HOW_RTCP;
	memcpy(&index, data + 1, 4);
	index &= rtcp ? DP_SRTCP_INDEX_MAX : UINT32_MAX;
	flips = data[5] & 7;
	data += 6;
	size -= 6;
	if (size < 3 * flips || size - 3 * flips > PACKET_MAX)
		return 0;
	len = (unsigned)size - 3 * flips;
	memcpy(packet, data + 3 * flips, len);
	hdr = rtcp ? 8 : rtp_header(packet, len);
	if (!rtcp && len >= 4)
		index = index << 16 | (unsigned)(packet[2] << 8 | packet[3]);
	if (how & HOW_SEALED) {
		len = seal(p, rtcp, packet, len, hdr, index);
		for (unsigned i = 0; len && i < flips; i++)
			packet[(data[3 * i] << 8 | data[3 * i + 1]) % len] ^= data[3 * i + 2];
		/* the flips may have hit the header's shape or the sequence number: what a caller
		 * would read now */
		hdr = rtcp ? 8 : rtp_header(packet, len);
		if (!rtcp && len >= 4)
			index =
			    (index & ~UINT64_C(0xffff)) | (unsigned)(packet[2] << 8 | packet[3]);
	}
	for (unsigned b = 0; b < 2; b++) {
		got[b] = index;
		st[b] = unprotect(b, p, rtcp, packet, len, hdr, &got[b], out[b], &out_len[b]);
	}
	if ((st[0] == 0) != (st[1] == 0))
		abort();
	if (st[0] == 0 &&
	    (out_len[0] != out_len[1] || got[0] != got[1] || memcmp(out[0], out[1], out_len[0])))
		abort();
	return 0;
}
