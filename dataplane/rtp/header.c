/* The RTP fixed header, RFC 3550 §5.1.
 *
 * This folder in packet order: header.c and ext.c take an incoming packet apart, replay.c guards
 * its index, frame.c looks at what it carries, rx.c and nack.c keep account of what came and what
 * did not, write.c makes the header of what goes out. Nothing here keeps state of its own: all of
 * it is the caller's, in the slabs or in worker-private memory, and lives as long as the stream. */
#include "dataplane/rtp/rtp.h"
#include <errno.h>

int dp_rtp_parse_clear(struct dp_rtp_hdr *out, const uint8_t *buf, uint32_t len)
{
	uint32_t off;

	if (len < DP_RTP_HDR_MIN || len > UINT16_MAX || buf[0] >> 6 != 2)
		return -EBADMSG;
	out->csrc_count = buf[0] & 15;
	out->marker = buf[1] >> 7;
	out->pt = buf[1] & 127;
	out->seq = dp_get16(buf + 2);
	out->ts = dp_get32(buf + 4);
	out->ssrc = dp_get32(buf + 8);
	out->ext_profile = 0;
	out->ext_off = 0;
	out->ext_len = 0;
	out->padding = 0;
	off = DP_RTP_HDR_MIN + 4u * out->csrc_count;
	if (buf[0] & 0x10) {
		if (off + 4 > len)
			return -EBADMSG;
		out->ext_profile = dp_get16(buf + off);
		out->ext_len = 4 * dp_get16(buf + off + 2);
		off += 4;
		out->ext_off = off;
		off += 4u * dp_get16(buf + off - 2);
	}
	if (off > len)
		return -EBADMSG;
	out->payload_off = off;
	out->payload_len = len - off;
	return 0;
}

int dp_rtp_parse(struct dp_rtp_hdr *out, const uint8_t *buf, uint32_t len)
{
	int err = dp_rtp_parse_clear(out, buf, len);

	if (err || !(buf[0] & 0x20))
		return err;
	/* the count includes itself, so it is at least 1 (§5.1) */
	if (!out->payload_len || !buf[len - 1] || buf[len - 1] > out->payload_len)
		return -EBADMSG;
	out->padding = buf[len - 1];
	out->payload_len -= out->padding;
	return 0;
}
