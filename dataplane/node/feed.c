#include "dataplane/node/feed.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct pair feed_pair;
struct dp_dd feed_dd;

static struct sh_msg_track_set track_of(unsigned codec, unsigned layers)
{
	struct sh_msg_track_set t = video_track;

	t.pt[0] = (struct sh_track_pt){PT_VIDEO, (uint8_t)codec, 255, 0, 90000};
	t.layers = (uint8_t)layers;
	for (unsigned l = 0; l < layers; l++) {
		t.layer[l].ssrc = 0xd0000000 + l;
		t.layer[l].rtx_ssrc = 0;
		if (layers > 1) {
			t.layer[l].rid_len = 1;
			t.layer[l].rid[0] = (uint8_t)('a' + l);
		}
	}
	return t;
}

void feed_begin(unsigned codec, unsigned layers, struct feed *f)
{
	struct sh_msg_track_set t = track_of(codec, layers);
	struct sh_msg_sub_set s = video_sub;

	s.max_temporal = SH_MAX_TEMPORAL - 1;
	dp_nodes_config.history_ms = 60000;
	memset(&feed_dd, 0, sizeof(feed_dd));
	pair_start(&feed_pair);
	world_del(SH_DEL_TRACK, world_id(1));
	feed_pair.pub.set.ext_two_byte = feed_pair.sub.set.ext_two_byte = 1;
	peer_ext(&feed_pair.pub, SH_EXT_DEPENDENCY, EXT_DD);
	peer_ext(&feed_pair.sub, SH_EXT_DEPENDENCY, EXT_DD + 1);
	world_track(TRACK, &feed_pair.pub, &t);
	world_sub(SUB, TRACK, &feed_pair.sub, &s);
	for (unsigned l = 0; l < layers; l++)
		f[l] = (struct feed){.p = &feed_pair.pub,
		                     .ssrc = 0xd0000000 + l,
		                     .ts = 1000 + l * 77777,
		                     .seq = (uint16_t)(65500 + 300 * l),
		                     .pid = (uint16_t)(32760 + 100 * l),
		                     .frame = (uint16_t)(65530 + 100 * l),
		                     .tl0 = (uint8_t)(250 + 50 * l),
		                     .keyidx = (uint8_t)(30 + l)};
}

void feed_end(void)
{
	pair_stop(&feed_pair);
	dp_nodes_config.history_ms = 1000;
}

void feed_want(unsigned layer, unsigned temporal)
{
	struct sh_msg_sub_set s = video_sub;

	s.max_layer = (uint8_t)layer;
	s.max_temporal = (uint8_t)temporal;
	world_sub(SUB, TRACK, &feed_pair.sub, &s);
}

void feed_payload(struct feed *f, const uint8_t *payload, uint32_t len, const uint8_t *dd,
                  unsigned dd_len, bool marker)
{
	uint8_t ext[260] = {EXT_DD, (uint8_t)dd_len};

	if (dd_len)
		memcpy(ext + 2, dd, dd_len);
	send_rtp(f->p, &(struct rtp){.pt = PT_VIDEO,
	                             .marker = marker,
	                             .seq = f->seq++,
	                             .ts = f->ts,
	                             .ssrc = f->ssrc,
	                             .ext = dd_len ? ext : NULL,
	                             .ext_len = (dd_len + 2 + 3) & ~3u,
	                             .two_byte = true,
	                             .payload = payload,
	                             .len = len});
}

void feed_time(struct feed *f)
{
	f->ts += 3000;
	f->number++;
}

bool feed_take(struct seen *s, unsigned codec)
{
	struct dp_frame_in in = {
	    .codec = codec, .state = &feed_dd, .targets = &s->targets, .newest = true};

	if (!peer_take_rtp(&feed_pair.sub, &s->o))
		return false;
	in.payload = s->o.buf + s->o.hdr.payload_off;
	in.len = s->o.hdr.payload_len;
	in.marker = s->o.hdr.marker;
	if (s->o.exts.present & 1u << SH_EXT_DEPENDENCY) {
		in.dd = s->o.buf + s->o.exts.off[SH_EXT_DEPENDENCY];
		in.dd_len = s->o.exts.len[SH_EXT_DEPENDENCY];
	}
	dp_frame_read(&s->f, &in);
	s->number = in.len >= 22 ? dp_get16(in.payload + 20) : 0;
	return true;
}

bool feed_ask_again(uint16_t seq, struct rtp_out *rtx)
{
	uint8_t buf[200];
	struct dp_rtcp_out o = {.buf = buf, .room = sizeof(buf)};

	world.now_ns += 200000000; // as often as it likes
	dp_rtcp_put_rr(&o, 0x5555, NULL, 0);
	dp_rtcp_put_sdes(&o, 0x5555, (const uint8_t *)"x", 1);
	dp_rtcp_put_nack(&o, 0x5555, OUR_VIDEO, &seq, 1);
	peer_rtcp(&feed_pair.sub, buf, o.len);
	while (peer_take_rtp(&feed_pair.sub, rtx))
		if (rtx->hdr.ssrc == OUR_RTX)
			return true;
	return false;
}

void feed_same_again(const struct rtp_out *first)
{
	struct rtp_out rtx;

	assert_true(feed_ask_again(first->hdr.seq, &rtx));
	assert_int_equal(dp_get16(rtx.buf + rtx.hdr.payload_off), first->hdr.seq);
	assert_int_equal(rtx.hdr.payload_len, first->hdr.payload_len + 2);
	assert_int_equal(rtx.hdr.ts, first->hdr.ts);
	assert_int_equal(rtx.hdr.marker, first->hdr.marker);
	assert_memory_equal(rtx.buf + rtx.hdr.payload_off + 2, first->buf + first->hdr.payload_off,
	                    first->hdr.payload_len);
	assert_int_equal(rtx.exts.len[SH_EXT_DEPENDENCY], first->exts.len[SH_EXT_DEPENDENCY]);
	if (first->exts.len[SH_EXT_DEPENDENCY])
		assert_memory_equal(rtx.buf + rtx.exts.off[SH_EXT_DEPENDENCY],
		                    first->buf + first->exts.off[SH_EXT_DEPENDENCY],
		                    first->exts.len[SH_EXT_DEPENDENCY]);
}

uint32_t feed_plis(unsigned layer)
{
	return (uint32_t)dp_slabs.track[TRACK].media[layer].plis_sent;
}
