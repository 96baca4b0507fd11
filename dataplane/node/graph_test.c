/* The whole graph: crafted frames in, what comes out decrypted by libsrtp2. Here is what the
 * stories share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/node/frame.h"
#include "dataplane/node/story.h"

struct place place;

const struct sh_msg_track_set audio_track = {
    .kind = SH_KIND_AUDIO,
    .layers = 1,
    .mid_len = 1,
    .mid = "0",
    .pt =
        {{PT_OPUS, SH_CODEC_OPUS, 255, 0, 48000}, {255}, {255}, {255}, {255}, {255}, {255}, {255}},
    .layer = {{.ssrc = SSRC_AUDIO}},
};

const struct sh_msg_track_set video_track = {
    .kind = SH_KIND_VIDEO,
    .layers = 1,
    .mid_len = 1,
    .mid = "1",
    .flags = SH_TRACK_NACK | SH_TRACK_PLI | SH_TRACK_FIR,
    .pt = {{PT_VP8, SH_CODEC_VP8, 255, 0, 90000},
           {PT_RTX, SH_CODEC_RTX, 0, 0, 90000},
           {255},
           {255},
           {255},
           {255},
           {255},
           {255}},
    .layer = {{.ssrc = SSRC_VIDEO, .rtx_ssrc = SSRC_VIDEO_RTX}},
};

const struct sh_msg_sub_set audio_sub = {
    .ssrc = OUR_AUDIO,
    .pt = {OUT_OPUS, 255, 255, 255, 255, 255, 255, 255},
    .mid_len = 2,
    .mid = "s0",
};

const struct sh_msg_sub_set video_sub = {
    .ssrc = OUR_VIDEO,
    .rtx_ssrc = OUR_RTX,
    .pt = {OUT_VP8, OUT_RTX, 255, 255, 255, 255, 255, 255},
    .mid_len = 2,
    .mid = "s1",
    .flags = SH_SUB_NACK,
    .max_layer = 2,
};

uint32_t make_rtp(uint8_t *buf, const struct rtp *r)
{
	uint32_t at = 12;

	buf[0] = (uint8_t)(0x80 | (r->ext ? 0x10 : 0));
	buf[1] = (uint8_t)(r->pt | r->marker << 7);
	dp_put16(buf + 2, r->seq);
	dp_put32(buf + 4, r->ts);
	dp_put32(buf + 8, r->ssrc);
	if (r->ext) {
		dp_put16(buf + 12, r->two_byte ? 0x1000 : 0xbede);
		dp_put16(buf + 14, (uint16_t)(r->ext_len / 4));
		memcpy(buf + 16, r->ext, r->ext_len);
		at += 4 + r->ext_len;
	}
	memcpy(buf + at, r->payload, r->len);
	return at + r->len;
}

void send_rtp(struct peer *p, const struct rtp *r)
{
	uint8_t buf[FRAME_MAX];

	peer_rtp(p, buf, make_rtp(buf, r));
}

void send_audio(struct peer *p, uint16_t seq)
{
	send_rtp(p, &(struct rtp){.pt = PT_OPUS,
	                          .seq = seq,
	                          .ts = seq * 960u,
	                          .ssrc = SSRC_AUDIO,
	                          .payload = (const uint8_t *)"opus payload",
	                          .len = 12});
}

/* VP8 (RFC 7741): descriptor with S, then a frame header whose low bit says that it is no key
 * frame. */
void send_video_as(struct peer *p, uint32_t ssrc, uint16_t seq, uint32_t ts, bool key)
{
	uint8_t payload[900] = {0x10, key ? 0x10 : 0x11, 0, 0, 0x9d, 0x01, 0x2a};

	payload[10] = (uint8_t)seq;
	send_rtp(p, &(struct rtp){.pt = PT_VP8,
	                          .marker = 1,
	                          .seq = seq,
	                          .ts = ts,
	                          .ssrc = ssrc,
	                          .payload = payload,
	                          .len = sizeof(payload)});
}

void send_video(struct peer *p, uint16_t seq, bool key)
{
	send_video_as(p, SSRC_VIDEO, seq, seq * 3000u, key);
}

struct feedback {
	uint8_t buf[256];
	struct dp_rtcp_out o;
};

static struct dp_rtcp_out *begin(struct feedback *f)
{
	f->o = (struct dp_rtcp_out){f->buf, sizeof(f->buf), 0};
	dp_rtcp_put_rr(&f->o, 0x5555, NULL, 0);
	return &f->o;
}

void send_pli(struct peer *p, uint32_t media)
{
	struct feedback f;

	dp_rtcp_put_pli(begin(&f), 0x5555, media);
	peer_rtcp(p, f.buf, f.o.len);
}

void send_fir(struct peer *p, uint32_t media, uint8_t command)
{
	struct feedback f;

	dp_rtcp_put_fir(begin(&f), 0x5555, media, command);
	peer_rtcp(p, f.buf, f.o.len);
}

void send_nack(struct peer *p, uint32_t media, uint16_t seq)
{
	struct feedback f;

	dp_rtcp_put_nack(begin(&f), 0x5555, media, &seq, 1);
	peer_rtcp(p, f.buf, f.o.len);
}

unsigned count_rtp(struct peer *p)
{
	struct rtp_out o;
	unsigned n = 0;

	while (peer_take_rtp(p, &o))
		n++;
	return n;
}

unsigned count_rtcp(struct peer *p, uint8_t type, uint8_t fmt, struct dp_rtcp_fb *last)
{
	static uint8_t buf[FRAME_MAX];
	uint32_t len;
	unsigned n = 0;

	while (peer_take_rtcp(p, buf, &len)) {
		struct dp_rtcp_iter it;
		struct dp_rtcp_pkt k;

		assert_int_equal(dp_rtcp_first(&it, buf, len,
		                               p->set.flags & SH_EP_RTCP_RSIZE ? DP_RTCP_RSIZE : 0),
		                 0);
		while (dp_rtcp_next(&it, &k)) {
			if (k.type != type || (type >= DP_RTCP_RTPFB && k.count != fmt))
				continue;
			n++;
			if (last)
				assert_int_equal(dp_rtcp_fb(last, &k), 0);
		}
	}
	return n;
}

void pair_start_on(struct pair *c, uint16_t profile, unsigned workers, bool ip6, unsigned vlans)
{
	world_start(workers, place.backend);
	peer_new(&c->pub, 0, 0, profile, ip6);
	peer_new(&c->sub, 1, workers - 1, profile, ip6);
	c->pub.vlans = c->sub.vlans = vlans;
	world_track(0, &c->pub, &audio_track);
	world_track(1, &c->pub, &video_track);
	world_sub(0, 0, &c->sub, &audio_sub);
	world_sub(1, 1, &c->sub, &video_sub);
	peer_connect(&c->pub);
	peer_connect(&c->sub);
}

void pair_start(struct pair *c)
{
	pair_start_on(c, SH_SRTP_AEAD_AES_128_GCM, place.workers, place.ip6, place.vlans);
}

void pair_stop(struct pair *c)
{
	peer_free(&c->pub);
	peer_free(&c->sub);
	world_stop();
}

const uint8_t dtls_hello[17] = {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4};

int main(void)
{
	static const struct place places[] = {
	    {"ipsec_mb", 1, false, 0},
	    {"ipsec_mb", 2, true, 1},
	    {"libsrtp2", 2, false, 2},
	};
	int failed = 0;

	if (world_setup())
		return 1;
	for (unsigned i = 0; i < sizeof(places) / sizeof(*places); i++) {
		place = places[i];
		failed += stories_ice() + stories_media() + stories_layers() + stories_svc() +
		          stories_rtcp() + stories_bwe() + stories_start() + stories_told() +
		          stories_life() + stories_slots() + stories_slots_video() + stories_red() +
		          stories_quality();
#ifdef CALLSTACK_IMPAIRMENT
		failed += stories_impair();
#endif
	}
	world_teardown();
	return !!failed;
}
