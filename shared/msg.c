#include "shared/limits.h"
#include "shared/ring.h"
/* "Explicit padding": the compiler proves it for every body. */
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"
#include "shared/msg.h"
#pragma GCC diagnostic pop
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ASSERT_SIZE(s, n) _Static_assert(sizeof(struct sh_msg_##s) == (n), "goes over the ring")
ASSERT_SIZE(c_hello, 144);
ASSERT_SIZE(e_hello, 336);
ASSERT_SIZE(begin, 8);
ASSERT_SIZE(endpoint_set, 132);
ASSERT_SIZE(endpoint_keys, 104);
ASSERT_SIZE(track_set, 184);
ASSERT_SIZE(sub_set, 52);
ASSERT_SIZE(del, 8);
ASSERT_SIZE(commit, 16);
ASSERT_SIZE(packet, 1508);
ASSERT_SIZE(keyframe, 4);
ASSERT_SIZE(committed, 16);
ASSERT_SIZE(endpoint_state, 48);
ASSERT_SIZE(track_state, 20);
ASSERT_SIZE(speakers, 204);
ASSERT_SIZE(track_watch, 8);
ASSERT_SIZE(quality, 1028);

static bool zero(const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		if (b[i])
			return false;
	return true;
}

/* A string in a fixed array: min..size bytes, none of them NUL, and nothing but zero behind. */
static bool text_ok(const uint8_t *s, unsigned len, unsigned min, unsigned size)
{
	return len >= min && len <= size && !memchr(s, 0, len) && zero(s + len, size - len);
}

/* RFC 8839 §5.4: ice-char = ALPHA / DIGIT / "+" / "/". */
static bool ice_chars(const uint8_t *s, unsigned len)
{
	for (unsigned i = 0; i < len; i++) {
		uint8_t c = s[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '+' || c == '/'))
			return false;
	}
	return true;
}

static bool id_ok(sh_id id)
{
	return SH_ID_GEN(id) != 0;
}

static bool addr_ok(const struct sh_addr *a)
{
	if (a->pad)
		return false;
	switch (a->family) {
	case 0:
		return zero(a, sizeof(*a));
	case 4:
		return zero(a->ip + 4, 12);
	case 6:
		return true;
	}
	return false;
}

static bool c_hello_ok(const struct sh_msg_c_hello *m)
{
	return m->epoch != 0;
}

static bool e_hello_ok(const struct sh_msg_e_hello *m)
{
	const uint32_t most = 1u << SH_ID_INDEX_BITS;

	if (m->epoch == 0 || m->slab_epoch == 0 || m->addrs > SH_MAX_ADDRS)
		return false;
	if (m->workers < 1 || m->workers > SH_MAX_WORKERS || m->base_port == 0 ||
	    m->base_port + m->workers - 1 > 65535)
		return false;
	if (m->max_endpoints < 1 || m->max_endpoints > most || m->max_tracks < 1 ||
	    m->max_tracks > most || m->max_subs < 1 || m->max_subs > most)
		return false;
	for (unsigned i = 0; i < m->addrs; i++)
		if (!addr_ok(&m->addr[i]) || m->addr[i].family == 0 || m->addr[i].port)
			return false;
	return zero(&m->addr[m->addrs], (SH_MAX_ADDRS - m->addrs) * sizeof(m->addr[0]));
}

static bool begin_ok(const struct sh_msg_begin *m)
{
	return true;
}

static bool endpoint_set_ok(const struct sh_msg_endpoint_set *m)
{
	if (!id_ok(m->id) || m->worker >= SH_MAX_WORKERS || (m->flags & ~(SH_EP_RTCP_RSIZE | SH_EP_TWCC | SH_EP_REMB)) ||
	    m->ext_two_byte > 1 || !zero(m->pad, sizeof(m->pad)) || !zero(m->pad2, sizeof(m->pad2)))
		return false;
	if (!text_ok(m->ufrag, m->ufrag_len, 4, SH_UFRAG_MAX) ||
	    !ice_chars(m->ufrag, m->ufrag_len) || !text_ok(m->pwd, m->pwd_len, 22, SH_PWD_MAX) ||
	    !ice_chars(m->pwd, m->pwd_len) || !text_ok(m->cname, m->cname_len, 0, sizeof(m->cname)))
		return false;
	/* RFC 8285 §5: an id stands for one extension. */
	for (unsigned i = 0; i < SH_EXT_COUNT; i++)
		for (unsigned k = i + 1; k < SH_EXT_COUNT; k++)
			if (m->ext_id[i] && m->ext_id[i] == m->ext_id[k])
				return false;
	return true;
}

bool sh_srtp_profile_lens(unsigned profile, unsigned *key, unsigned *salt)
{
	switch (profile) {
	case SH_SRTP_AES128_CM_SHA1_80:
	case SH_SRTP_AES128_CM_SHA1_32:
		*key = 16, *salt = 14; // RFC 5764 §4.1.2
		return true;
	case SH_SRTP_AEAD_AES_128_GCM:
		*key = 16, *salt = 12; // RFC 7714 §12
		return true;
	case SH_SRTP_AEAD_AES_256_GCM:
		*key = 32, *salt = 12;
		return true;
	}
	return false;
}

static bool endpoint_keys_ok(const struct sh_msg_endpoint_keys *m)
{
	unsigned key, salt;

	if (!id_ok(m->id) || m->pad || !sh_srtp_profile_lens(m->profile, &key, &salt))
		return false;
	unsigned used = key + salt;
	return zero(m->rx.bytes + used, sizeof(m->rx.bytes) - used) &&
	       zero(m->tx.bytes + used, sizeof(m->tx.bytes) - used);
}

static bool track_pts_ok(const struct sh_msg_track_set *m)
{
	unsigned used = 0;

	for (unsigned i = 0; i < SH_MAX_PTS; i++) {
		const struct sh_track_pt *p = &m->pt[i];
		if (p->pad)
			return false;
		if (p->pt == 255) {
			if (p->codec || p->clock_hz || (p->apt_slot != 0 && p->apt_slot != 255))
				return false;
			continue;
		}
		if (p->pt > 127 || p->codec == SH_CODEC_NONE || p->codec >= SH_CODEC_COUNT ||
		    p->clock_hz == 0)
			return false;
		if (p->codec == SH_CODEC_RTX) {
			if (p->apt_slot >= SH_MAX_PTS || m->pt[p->apt_slot].pt == 255 ||
			    m->pt[p->apt_slot].codec == SH_CODEC_RTX)
				return false;
		} else if (p->apt_slot != 255) {
			return false;
		}
		for (unsigned k = 0; k < i; k++)
			if (m->pt[k].pt == p->pt)
				return false;
		used++;
	}
	return used > 0;
}

static bool same_layer(const struct sh_track_layer *a, const struct sh_track_layer *b)
{
	if (a->rid_len && a->rid_len == b->rid_len && !memcmp(a->rid, b->rid, SH_MID_MAX))
		return true;
	return (a->ssrc && (a->ssrc == b->ssrc || a->ssrc == b->rtx_ssrc)) ||
	       (a->rtx_ssrc && (a->rtx_ssrc == b->ssrc || a->rtx_ssrc == b->rtx_ssrc));
}

static bool track_set_ok(const struct sh_msg_track_set *m)
{
	bool slot = m->flags & SH_TRACK_SLOT;

	if (!id_ok(m->id) || m->layers < 1 || m->layers > SH_MAX_LAYERS)
		return false;
	if (slot ? m->endpoint != 0 : !id_ok(m->endpoint))
		return false;
	if (m->kind != SH_KIND_AUDIO && m->kind != SH_KIND_VIDEO)
		return false;
	if (m->flags & ~(SH_TRACK_NACK | SH_TRACK_PLI | SH_TRACK_FIR | SH_TRACK_MUTED |
	                 SH_TRACK_SLOT | SH_TRACK_FOLLOW))
		return false;
	if (slot ? !m->group || (m->flags & ~SH_TRACK_SLOT) || m->mid_len : m->slot)
		return false;
	if (m->slot >= (m->kind == SH_KIND_AUDIO ? SH_MAX_AUDIO_SLOTS : SH_MAX_VIDEO_SLOTS) ||
	    !zero(m->pad, sizeof(m->pad)))
		return false;
	if (slot && m->layers != (m->kind == SH_KIND_AUDIO ? 1 : SH_MAX_LAYERS))
		return false;
	if (!text_ok(m->mid, m->mid_len, 0, SH_MID_MAX) || !track_pts_ok(m))
		return false;
	for (unsigned i = 0; i < m->layers; i++) {
		const struct sh_track_layer *l = &m->layer[i];
		if (slot && !zero(l, sizeof(*l)))
			return false;
		if (!zero(l->pad, sizeof(l->pad)) || !text_ok(l->rid, l->rid_len, 0, SH_MID_MAX) ||
		    (l->ssrc && l->ssrc == l->rtx_ssrc))
			return false;
		for (unsigned k = 0; k < i; k++)
			if (same_layer(l, &m->layer[k]))
				return false;
	}
	return zero(&m->layer[m->layers], (SH_MAX_LAYERS - m->layers) * sizeof(m->layer[0]));
}

static bool sub_set_ok(const struct sh_msg_sub_set *m)
{
	if (!id_ok(m->id) || !id_ok(m->track) || !id_ok(m->endpoint) || m->ssrc == 0 ||
	    m->rtx_ssrc == m->ssrc || m->pad)
		return false;
	if ((m->flags & ~(SH_SUB_PAUSED | SH_SUB_NACK)) || m->max_layer >= SH_MAX_LAYERS ||
	    m->max_temporal >= SH_MAX_TEMPORAL)
		return false;
	for (unsigned i = 0; i < SH_MAX_PTS; i++)
		if (m->pt[i] > 127 && m->pt[i] != 255)
			return false;
	return text_ok(m->mid, m->mid_len, 0, SH_MID_MAX);
}

static bool del_ok(const struct sh_msg_del *m)
{
	return id_ok(m->id) && m->what >= SH_DEL_ENDPOINT && m->what <= SH_DEL_SUB &&
	       zero(m->pad, sizeof(m->pad));
}

static bool commit_ok(const struct sh_msg_commit *m)
{
	return m->full <= 1;
}

static bool packet_ok(const struct sh_msg_packet *m)
{
	return id_ok(m->endpoint) && !m->pad;
}

static bool keyframe_ok(const struct sh_msg_keyframe *m)
{
	return id_ok(m->track);
}

static bool committed_ok(const struct sh_msg_committed *m)
{
	return m->error <= 0 && m->error >= -4095;
}

static bool endpoint_state_ok(const struct sh_msg_endpoint_state *m)
{
	if (!id_ok(m->id) || m->ice > SH_ICE_DISCONNECTED || !zero(m->pad, sizeof(m->pad)))
		return false;
	if (m->ice == SH_ICE_CONNECTED && (m->local.family == 0 || m->remote.family == 0))
		return false;
	return addr_ok(&m->local) && addr_ok(&m->remote);
}

static bool track_state_ok(const struct sh_msg_track_state *m)
{
	return id_ok(m->id) && m->layer_active < 1u << SH_MAX_LAYERS &&
	       zero(m->pad, sizeof(m->pad));
}

static bool ids_ok(const sh_id *id, unsigned used, unsigned size)
{
	for (unsigned i = 0; i < used; i++)
		if (id[i] && !id_ok(id[i]))
			return false;
	return zero(id + used, (size - used) * sizeof(*id));
}

static bool speakers_ok(const struct sh_msg_speakers *m)
{
	if (!m->group || (m->dominant && !id_ok(m->dominant)) || !zero(m->pad, sizeof(m->pad)))
		return false;
	if (m->audio_slots > SH_MAX_AUDIO_SLOTS || m->video_slots > SH_MAX_VIDEO_SLOTS)
		return false;
	return ids_ok(m->audio, m->audio_slots, SH_MAX_AUDIO_SLOTS) &&
	       ids_ok(m->video, m->video_slots, SH_MAX_VIDEO_SLOTS);
}

static bool track_watch_ok(const struct sh_msg_track_watch *m)
{
	return id_ok(m->id) && m->layers < 1u << SH_MAX_LAYERS && zero(m->pad, sizeof(m->pad));
}

static bool quality_ok(const struct sh_msg_quality *m)
{
	if (m->rows < 1 || m->rows > SH_QUALITY_ROWS || m->pad)
		return false;
	for (unsigned i = 0; i < m->rows; i++) {
		const struct sh_quality_row *r = &m->row[i];

		if (!id_ok(r->id) || r->what < SH_QUALITY_TRACK || r->what > SH_QUALITY_SUB ||
		    r->layer >= SH_MAX_LAYERS || (r->mos && (r->mos < 10 || r->mos > 45)))
			return false;
	}
	return zero(&m->row[m->rows], (SH_QUALITY_ROWS - m->rows) * sizeof(m->row[0]));
}

struct type_info {
	const char *name;
	uint16_t size, flags;
	char direction;
};
static const struct type_info types[SH_MSG_TYPES_MAX] = {
#define X(num, sym, suffix, dir, flags_, doc)                                                      \
	[num] = {#suffix, sizeof(struct sh_msg_##suffix), flags_, #dir[0]},
#include "shared/msg.def"
#undef X
};

static const struct type_info *type_info(unsigned type)
{
	return type < SH_MSG_TYPES_MAX && types[type].name ? &types[type] : NULL;
}

void sh_msg_sizes(uint16_t size[SH_MSG_TYPES_MAX])
{
	for (unsigned i = 0; i < SH_MSG_TYPES_MAX; i++)
		size[i] = types[i].size;
}

const char *sh_msg_name(unsigned type)
{
	const struct type_info *t = type_info(type);

	/* These two share one body, and so one suffix. */
	if (type == SH_MSG_TX_PACKET)
		return "tx_packet";
	if (type == SH_MSG_RX_DTLS)
		return "rx_dtls";
	return t ? t->name : "?";
}

uint16_t sh_msg_flags(unsigned type)
{
	const struct type_info *t = type_info(type);

	return t ? t->flags : 0;
}

char sh_msg_direction(unsigned type)
{
	const struct type_info *t = type_info(type);

	return t ? t->direction : 0;
}

/* The only bodies that are not put whole. */
static int check_packet_len(const struct sh_msg_packet *m, uint32_t len)
{
	if (len < sh_msg_packet_size(0))
		return -EMSGSIZE;
	if (m->len < 1 || m->len > SH_PACKET_MAX)
		return -EINVAL;
	return len == sh_msg_packet_size(m->len) ? 0 : -EMSGSIZE;
}

int sh_msg_check(unsigned type, const void *body, uint32_t len)
{
	const struct type_info *t = type_info(type);

	if (!t)
		return -ENOENT;
	if (type == SH_MSG_TX_PACKET || type == SH_MSG_RX_DTLS) {
		int err = check_packet_len(body, len);
		if (err)
			return err;
	} else if (len != t->size) {
		return -EMSGSIZE;
	}
	switch (type) {
#define X(num, sym, suffix, dir, flags, doc)                                                       \
	case SH_MSG_##sym:                                                                         \
		return suffix##_ok(body) ? 0 : -EINVAL;
#include "shared/msg.def"
#undef X
	}
	return -ENOENT;
}

int sh_msg_hello_check(unsigned want, unsigned type, const void *body, uint32_t len, char *why,
                       size_t size)
{
	uint16_t mine[SH_MSG_TYPES_MAX];
	uint32_t version = 0;

	if (type != want) {
		snprintf(why, size, "first record is type %u (%s), not %s", type, sh_msg_name(type),
		         sh_msg_name(want));
		return -EPROTO;
	}
	if (len >= sizeof(version))
		memcpy(&version, body, sizeof(version));
	if (version != SH_MSG_VERSION) {
		snprintf(why, size, "peer speaks version %u of the messages, this build version %u",
		         version, (unsigned)SH_MSG_VERSION);
		return -EPROTO;
	}
	int err = sh_msg_check(want, body, len);
	if (err) {
		snprintf(why, size, "%s of %u bytes is malformed: %s", sh_msg_name(want), len,
		         strerrordesc_np(-err));
		return -EPROTO;
	}
	const uint16_t *theirs = want == SH_MSG_C_HELLO
	                             ? ((const struct sh_msg_c_hello *)body)->size
	                             : ((const struct sh_msg_e_hello *)body)->size;
	sh_msg_sizes(mine);
	for (unsigned i = 0; i < SH_MSG_TYPES_MAX; i++) {
		if (theirs[i] == mine[i])
			continue;
		snprintf(why, size,
		         "message %u (%s) has %u bytes in the peer's build and %u in this one", i,
		         sh_msg_name(i), theirs[i], mine[i]);
		return -EPROTO;
	}
	return 0;
}
