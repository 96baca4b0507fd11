/* RTP header and extensions: parse, rewrite for another endpoint, parse again; both must tell the
 * same. Input: flags byte, 12 ids of the sender, 12 ids of the receiver, MID length, then the
 * packet. */
#include "dataplane/rtp/rtp.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PRE = 2 + 2 * SH_EXT_COUNT };

static void require(bool truth)
{
	if (!truth)
		abort();
}

/* Ids are distinct in SDP (RFC 8285 §5); a repeated one is not negotiated. */
static void distinct(uint8_t *ids, const uint8_t *from)
{
	bool used[256] = {true};

	for (int k = 0; k < SH_EXT_COUNT; k++) {
		ids[k] = used[from[k]] ? 0 : from[k];
		used[from[k]] = true;
	}
}

static void check_parsed(const struct dp_rtp_hdr *h, const struct dp_rtp_exts *e, uint32_t len)
{
	require(h->payload_off + h->payload_len + h->padding == len);
	for (int k = 0; k < SH_EXT_COUNT; k++) {
		if (!(e->present & 1u << k))
			continue;
		require(e->off[k] > h->ext_off && e->off[k] + e->len[k] <= h->ext_off + h->ext_len);
	}
}

static void check_rewritten(const uint8_t *in, const struct dp_rtp_exts *ie, const uint8_t *out,
                            const struct dp_rtp_exts *oe, const uint8_t *ids, bool two_byte)
{
	const unsigned fresh = 1u << SH_EXT_MID | 1u << SH_EXT_ABS_SEND_TIME | 1u << SH_EXT_TWCC;
	const unsigned read = 1u << SH_EXT_RID | 1u << SH_EXT_RRID;

	require(!(oe->present & read));
	for (int k = 0; k < SH_EXT_COUNT; k++) {
		bool fits = ids[k] && (two_byte || (ids[k] < 15 && ie->len[k] - 1u < 16));

		if ((fresh | read) & 1u << k)
			continue;
		require(!!(oe->present & 1u << k) == (fits && (ie->present & 1u << k)));
		if (oe->present & 1u << k)
			require(oe->len[k] == ie->len[k] &&
			        !memcmp(out + oe->off[k], in + ie->off[k], ie->len[k]));
	}
	if (oe->present & 1u << SH_EXT_ABS_SEND_TIME)
		require(!memcmp(out + oe->off[SH_EXT_ABS_SEND_TIME], "\xab\xcd\xef", 3));
	if (oe->present & 1u << SH_EXT_TWCC)
		require(dp_get16(out + oe->off[SH_EXT_TWCC]) == 0x1234);
	if (two_byte)
		require(!!(oe->present & 1u << SH_EXT_TWCC) == !!ids[SH_EXT_TWCC]);
}

static void rewrite(const uint8_t *pre, const uint8_t *buf, const struct dp_rtp_hdr *h,
                    const struct dp_rtp_exts *e)
{
	uint8_t ids[SH_EXT_COUNT], out[4096], mid[SH_MID_MAX + 1] = "0123456789abcdef";
	struct dp_rtp_write w = {
	    .ts = h->ts,
	    .ssrc = h->ssrc,
	    .seq = h->seq,
	    .pt = h->pt,
	    .marker = h->marker,
	    .csrc_count = h->csrc_count,
	    .csrc = buf + 12,
	    .abs_send_time = 0xabcdef,
	    .twcc_seq = 0x1234,
	    .exts = e,
	    .exts_buf = buf,
	};
	struct dp_rtp_tmpl t;
	struct dp_rtp_hdr oh;
	struct dp_rtp_exts oe;
	uint8_t *exact;
	int n;

	distinct(ids, pre + 2 + SH_EXT_COUNT);
	dp_rtp_tmpl_init(&t, ids, pre[0] & 1, mid, pre[1] % (SH_MID_MAX + 1));
	n = dp_rtp_write(out, sizeof(out), &t, &w);
	require(n >= 12 && n % 4 == 0);
	require(dp_rtp_parse(&oh, out, n) == 0 && oh.payload_off == n);
	require(oh.ts == h->ts && oh.ssrc == h->ssrc && oh.seq == h->seq && oh.pt == h->pt &&
	        oh.marker == h->marker && oh.csrc_count == h->csrc_count);
	require(!memcmp(out + 12, buf + 12, 4 * h->csrc_count));
	require(dp_rtp_ext_parse(&oe, &oh, out, ids) == 0);
	check_rewritten(buf, e, out, &oe, ids, pre[0] & 1);
	exact = malloc(n); /* any smaller room is refused or enough, never passed */
	require(dp_rtp_write(exact, pre[0] % n, &t, &w) < 0);
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t ids[SH_EXT_COUNT], *buf;
	struct dp_rtp_hdr h, clear;
	struct dp_rtp_exts e;
	uint32_t len;
	uint16_t osn;

	if (size < PRE)
		return 0;
	len = size - PRE;
	buf = malloc(len ? len : 1);
	memcpy(buf, data + PRE, len);
	distinct(ids, data + 2);
	if (dp_rtp_parse(&h, buf, len) == 0) {
		require(dp_rtp_parse_clear(&clear, buf, len) == 0 &&
		        clear.payload_len == h.payload_len + h.padding);
		dp_rtx_osn(&osn, &h, buf);
		if (dp_rtp_ext_parse(&e, &h, buf, ids) == 0 || (data[0] & 2)) {
			check_parsed(&h, &e, len);
			rewrite(data, buf, &h, &e);
		}
	}
	free(buf);
	return 0;
}
