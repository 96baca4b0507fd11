#include "bench/forward.h"
#include <stdio.h>
#include <string.h>
#include "dataplane/table/table.h"

enum {
	RECORDS = 3000, // a transaction
	PUB_PT = 96,
	PUB_RTX = 97,
	SUB_PT = 102,
	SUB_RTX = 103,
};

static struct {
	const struct fwd_layout *layout;
	uint64_t txn;
	uint32_t records;
} fill;

static void commit(void)
{
	struct sh_msg_commit c = {.txn = fill.txn, .records = fill.records};
	struct sh_msg_committed done;

	if (!dp_stage_open())
		return;
	dp_stage_commit(&c, &done);
	if (done.error)
		fwd_die("record %u of a transaction: %s", done.record, strerror(-done.error));
	fill.records = 0;
	dp_reap_all();
}

static void record(unsigned type, const void *body, uint32_t len)
{
	if (!dp_stage_open())
		dp_stage_begin(++fill.txn);
	if (sh_msg_check(type, body, len) != 0)
		fwd_die("a malformed %s", sh_msg_name(type));
	dp_stage_record(type, body, len);
	if (++fill.records >= RECORDS)
		commit();
}

static sh_id id_of(uint32_t index)
{
	return SH_ID(index, 1u);
}

static void add_endpoint(uint32_t i)
{
	struct fwd_peer peer = {.twcc = fill.layout->links};
	struct sh_msg_endpoint_set s = {
	    .id = id_of(i),
	    .worker = (uint8_t)fwd_worker(fill.layout, i),
	    .ufrag_len = 8,
	    .pwd_len = 24,
	    .ext_id = {[SH_EXT_MID] = 1,
	               [SH_EXT_ABS_SEND_TIME] = 2,
	               [SH_EXT_TWCC] = 3,
	               [SH_EXT_AUDIO_LEVEL] = 4},
	    .rtcp_ssrc = 0x70000000u + i,
	    .cname_len = 9,
	    .cname = "callstack",
	};
	struct sh_msg_endpoint_keys k = {.id = s.id, .profile = fill.layout->profile};

	if (fill.layout->peer)
		fill.layout->peer(i, &peer);
	s.flags = peer.twcc ? SH_EP_TWCC : 0;
	s.owner = peer.owner;
	fwd_ufrag(i, s.ufrag);
	memcpy(s.pwd, fwd_password, 24);
	record(SH_MSG_ENDPOINT_SET, &s, sizeof(s));
	fwd_keys(i, k.profile, &k.rx, &k.tx);
	record(SH_MSG_ENDPOINT_KEYS, &k, sizeof(k));
}

static uint8_t put_mid(uint8_t mid[SH_MID_MAX], unsigned number)
{
	char text[SH_MID_MAX];
	int n = snprintf(text, sizeof(text), "%u", number);

	memcpy(mid, text, (size_t)n);
	return (uint8_t)n;
}

static void add_track(uint32_t i)
{
	struct fwd_track t;
	struct sh_msg_track_set s = {.id = id_of(i), .layers = 1};
	bool audio;

	fill.layout->track(i, &t);
	audio = t.payload <= FWD_AUDIO_MAX;
	s.kind = audio ? SH_KIND_AUDIO : SH_KIND_VIDEO;
	s.group = t.group;
	if (t.slot) {
		s.layers = audio ? 1 : SH_MAX_LAYERS;
		s.flags = SH_TRACK_SLOT;
		s.slot = (uint8_t)(t.slot - 1);
	} else {
		s.endpoint = id_of(t.endpoint);
		s.layer[0].ssrc = fwd_ssrc(i);
		s.flags =
		    (audio ? 0 : SH_TRACK_NACK | SH_TRACK_PLI) | (t.group ? SH_TRACK_FOLLOW : 0);
		s.mid_len = put_mid(s.mid, t.mid);
	}
	for (unsigned k = 0; k < SH_MAX_PTS; k++)
		s.pt[k] = (struct sh_track_pt){.pt = 255, .apt_slot = 255};
	s.pt[0] = (struct sh_track_pt){PUB_PT, audio ? SH_CODEC_OPUS : SH_CODEC_VP8, 255, 0,
	                               audio ? 48000 : 90000};
	if (!audio)
		s.pt[1] = (struct sh_track_pt){PUB_RTX, SH_CODEC_RTX, 0, 0, 90000};
	record(SH_MSG_TRACK_SET, &s, sizeof(s));
}

static void add_sub(uint32_t i)
{
	struct sh_msg_sub_set s = {.id = id_of(i), .ssrc = 0x20000000u + i};
	struct fwd_sub b;
	bool audio;

	fill.layout->sub(i, &b);
	audio = b.payload <= FWD_AUDIO_MAX;
	s.track = id_of(b.track);
	s.endpoint = id_of(b.endpoint);
	s.rtx_ssrc = audio ? 0 : 0x30000000u + i;
	s.flags = audio ? 0 : SH_SUB_NACK;
	s.mid_len = put_mid(s.mid, b.mid);
	memset(s.pt, 255, sizeof(s.pt));
	s.pt[0] = SUB_PT;
	if (!audio)
		s.pt[1] = SUB_RTX;
	record(SH_MSG_SUB_SET, &s, sizeof(s));
}

void fwd_fill_tables(const struct fwd_layout *s)
{
	fill.layout = s;
	for (uint32_t i = 0; i < s->endpoints; i++)
		add_endpoint(i);
	commit();
	for (uint32_t i = 0; i < s->tracks; i++)
		add_track(i);
	commit();
	for (uint32_t i = 0; i < s->subs; i++)
		add_sub(i);
	commit();
}
