/* One well-formed message of each type, for tests and fuzz corpora. */
#pragma once
#include <string.h>
#include "shared/msg.h"

enum { SAMPLE_MAX = 2048 };

static inline struct sh_addr sample_addr(uint8_t last, uint16_t port)
{
	return (struct sh_addr){.family = 4, .port = port, .ip = {192, 0, 2, last}};
}

static inline struct sh_msg_e_hello sample_e_hello(void)
{
	struct sh_msg_e_hello m = {
	    .version = SH_MSG_VERSION,
	    .pid = 4711,
	    .epoch = 0x1111,
	    .slab_epoch = 0x2222,
	    .max_endpoints = 64,
	    .max_tracks = 64,
	    .max_subs = 256,
	    .base_port = 10000,
	    .workers = 2,
	    .addrs = 2,
	    .addr = {sample_addr(1, 0), {.family = 6, .ip = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}}},
	};
	sh_msg_sizes(m.size);
	return m;
}

static inline struct sh_msg_endpoint_set sample_endpoint(sh_id id)
{
	struct sh_msg_endpoint_set m = {
	    .id = id,
	    .worker = 1,
	    .ufrag_len = 8,
	    .pwd_len = 24,
	    .flags = SH_EP_RTCP_RSIZE,
	    .ufrag = "uf+/0123",
	    .pwd = "abcdefghijklmnopqrstuvwx",
	    .ext_id =
	        {[SH_EXT_MID] = 1, [SH_EXT_RID] = 2, [SH_EXT_TWCC] = 14, [SH_EXT_DEPENDENCY] = 200},
	    .ext_two_byte = 1,
	    .rtcp_ssrc = 0x10203040,
	    .cname_len = 6,
	    .cname = "somebo",
	};
	return m;
}

static inline struct sh_msg_endpoint_keys sample_keys(sh_id id, uint16_t profile)
{
	struct sh_msg_endpoint_keys m = {.id = id, .profile = profile};
	unsigned key = 0, salt = 0;

	sh_srtp_profile_lens(profile, &key, &salt);
	memset(m.rx.bytes, 0x5a, key + salt);
	memset(m.tx.bytes, 0xa5, key + salt);
	return m;
}

static inline struct sh_msg_track_set sample_track(sh_id id, sh_id endpoint)
{
	struct sh_msg_track_set m = {
	    .id = id,
	    .endpoint = endpoint,
	    .kind = SH_KIND_VIDEO,
	    .layers = 2,
	    .mid_len = 1,
	    .flags = SH_TRACK_NACK | SH_TRACK_PLI,
	    .mid = "1",
	    .layer = {{.ssrc = 1, .rtx_ssrc = 2, .rid_len = 1, .rid = "l"},
	              {.ssrc = 3, .rtx_ssrc = 4, .rid_len = 1, .rid = "h"}},
	};
	for (unsigned i = 0; i < SH_MAX_PTS; i++)
		m.pt[i] = (struct sh_track_pt){.pt = 255, .apt_slot = 255};
	m.pt[0] = (struct sh_track_pt){
	    .pt = 96, .codec = SH_CODEC_VP8, .apt_slot = 255, .clock_hz = 90000};
	m.pt[1] =
	    (struct sh_track_pt){.pt = 97, .codec = SH_CODEC_RTX, .apt_slot = 0, .clock_hz = 90000};
	return m;
}

static inline struct sh_msg_sub_set sample_sub(sh_id id, sh_id track, sh_id endpoint)
{
	return (struct sh_msg_sub_set){
	    .id = id,
	    .track = track,
	    .endpoint = endpoint,
	    .ssrc = 0x1000 + id,
	    .rtx_ssrc = 0x2000 + id,
	    .pt = {96, 97, 255, 255, 255, 255, 255, 255},
	    .mid_len = 2,
	    .flags = SH_SUB_NACK,
	    .max_layer = 2,
	    .max_temporal = SH_MAX_TEMPORAL - 1,
	    .mid = "12",
	};
}

/* Fills out[SAMPLE_MAX] (8-aligned), returns the length; 0: no such type. */
static inline uint32_t sample(unsigned type, void *out)
{
	union {
		struct sh_msg_c_hello c_hello;
		struct sh_msg_e_hello e_hello;
		struct sh_msg_begin begin;
		struct sh_msg_endpoint_set endpoint_set;
		struct sh_msg_endpoint_keys endpoint_keys;
		struct sh_msg_track_set track_set;
		struct sh_msg_sub_set sub_set;
		struct sh_msg_del del;
		struct sh_msg_commit commit;
		struct sh_msg_packet packet;
		struct sh_msg_keyframe keyframe;
		struct sh_msg_committed committed;
		struct sh_msg_endpoint_state endpoint_state;
		struct sh_msg_track_state track_state;
		struct sh_msg_speakers speakers;
		struct sh_msg_track_watch track_watch;
		struct sh_msg_quality quality;
	} m = {0};
	const sh_id id = SH_ID(3, 1);
	uint16_t size[SH_MSG_TYPES_MAX];

	sh_msg_sizes(size);
	switch (type) {
	case SH_MSG_C_HELLO:
		m.c_hello =
		    (struct sh_msg_c_hello){.version = SH_MSG_VERSION, .pid = 1, .epoch = 5};
		sh_msg_sizes(m.c_hello.size);
		break;
	case SH_MSG_E_HELLO:
		m.e_hello = sample_e_hello();
		break;
	case SH_MSG_BEGIN:
		m.begin.txn = 9;
		break;
	case SH_MSG_ENDPOINT_SET:
		m.endpoint_set = sample_endpoint(id);
		break;
	case SH_MSG_ENDPOINT_KEYS:
		m.endpoint_keys = sample_keys(id, SH_SRTP_AEAD_AES_128_GCM);
		break;
	case SH_MSG_TRACK_SET:
		m.track_set = sample_track(id, id);
		break;
	case SH_MSG_SUB_SET:
		m.sub_set = sample_sub(id, id, id);
		break;
	case SH_MSG_DEL:
		m.del = (struct sh_msg_del){.id = id, .what = SH_DEL_TRACK};
		break;
	case SH_MSG_COMMIT:
		m.commit = (struct sh_msg_commit){.txn = 9, .records = 4, .full = 1};
		break;
	case SH_MSG_TX_PACKET:
	case SH_MSG_RX_DTLS:
		m.packet = (struct sh_msg_packet){.endpoint = id, .len = 100};
		memset(m.packet.data, 0x16, 100);
		memcpy(out, &m, sh_msg_packet_size(100));
		return sh_msg_packet_size(100);
	case SH_MSG_KEYFRAME:
		m.keyframe.track = id;
		break;
	case SH_MSG_COMMITTED:
		m.committed = (struct sh_msg_committed){.txn = 9, .error = -22, .record = 2};
		break;
	case SH_MSG_ENDPOINT_STATE:
		m.endpoint_state = (struct sh_msg_endpoint_state){.id = id,
		                                                  .ice = SH_ICE_CONNECTED,
		                                                  .local = sample_addr(1, 10000),
		                                                  .remote = sample_addr(2, 5000)};
		break;
	case SH_MSG_TRACK_STATE:
		m.track_state =
		    (struct sh_msg_track_state){.id = id, .layer_active = 3, .ssrc = {1, 2, 0}};
		break;
	case SH_MSG_SPEAKERS:
		m.speakers = (struct sh_msg_speakers){.group = 7,
		                                      .dominant = id,
		                                      .audio_slots = 2,
		                                      .video_slots = 1,
		                                      .audio = {id, 0},
		                                      .video = {SH_ID(4, 1)}};
		break;
	case SH_MSG_TRACK_WATCH:
		m.track_watch = (struct sh_msg_track_watch){.id = id, .layers = 5};
		break;
	case SH_MSG_QUALITY:
		m.quality = (struct sh_msg_quality){
		    .rows = 2,
		    .row = {{.id = id, .what = SH_QUALITY_TRACK, .layer = 1, .bps = 500000},
		            {.id = id, .what = SH_QUALITY_SUB, .mos = 44, .rtt_ms = 20}}};
		break;
	default:
		return 0;
	}
	memcpy(out, &m, size[type]);
	return size[type];
}
