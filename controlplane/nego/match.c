/* Which codec configurations are one, and which payload types we offer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/nego/codec.h"

/* H264 profiles by profile_idc and the constraint bits of profile-iop (RFC 6184 §8.1, Table 5). */
enum h264 { H264_BAD, H264_CB, H264_B, H264_MAIN, H264_EXT, H264_CHIGH, H264_HIGH, H264_HIGH444 };
static const struct {
	uint8_t idc, mask, value;
	enum h264 profile;
} h264_table[] = {
    {0x42, 0x4f, 0x40, H264_CB},      {0x4d, 0x8f, 0x80, H264_CB},   {0x58, 0xcf, 0xc0, H264_CB},
    {0x42, 0x4f, 0x00, H264_B},       {0x58, 0xcf, 0x80, H264_B},    {0x4d, 0xaf, 0x00, H264_MAIN},
    {0x58, 0xcf, 0x00, H264_EXT},     {0x64, 0xff, 0x00, H264_HIGH}, {0x64, 0xff, 0x0c, H264_CHIGH},
    {0xf4, 0xff, 0x00, H264_HIGH444},
};

struct h264_conf {
	enum h264 profile;
	int mode; // packetization-mode 0 or 1
};

static struct h264_conf h264_conf(const struct cp_codec *c)
{
	struct h264_conf h = {H264_BAD, 0};
	char v[16] = "420010", *end;
	unsigned long level;

	if (cp_fmtp_get(c->fmtp, "packetization-mode", v, sizeof(v))) {
		if (strcmp(v, "0") && strcmp(v, "1"))
			return h; // interleaved needs a reordering receiver: nobody's
		h.mode = v[0] - '0';
	}
	strcpy(v, "420010"); // RFC 6184 §8.1: Baseline at level 1 unless said otherwise
	cp_fmtp_get(c->fmtp, "profile-level-id", v, sizeof(v));
	level = strtoul(v, &end, 16);
	if (strlen(v) != 6 || strspn(v, "0123456789abcdefABCDEF") != 6)
		return h;
	for (size_t i = 0; i < sizeof(h264_table) / sizeof(h264_table[0]); i++)
		if (h264_table[i].idc == level >> 16 &&
		    h264_table[i].value == (level >> 8 & 0xff & h264_table[i].mask)) {
			h.profile = h264_table[i].profile;
			break;
		}
	return h;
}

static unsigned profile_of(const struct cp_codec *c)
{
	char v[16];
	uint64_t n = 0;

	if (cp_fmtp_get(c->fmtp, c->codec == SH_CODEC_VP9 ? "profile-id" : "profile", v,
	                sizeof(v)) &&
	    !cp_sdp_number(v, 255, &n))
		return 255;
	return (unsigned)n;
}

bool cp_codec_same(const struct cp_codec *a, const struct cp_codec *b)
{
	if (a->codec != b->codec || a->clock_hz != b->clock_hz)
		return false;
	if (a->codec == SH_CODEC_H264) {
		struct h264_conf x = h264_conf(a), y = h264_conf(b);

		return x.profile != H264_BAD && x.profile == y.profile && x.mode == y.mode;
	}
	if (a->codec == SH_CODEC_VP9 || a->codec == SH_CODEC_AV1)
		return profile_of(a) == profile_of(b);
	return true;
}

bool cp_codec_takes(const struct cp_codec *dst, const struct cp_codec *src)
{
	/* Profiles whose decoders must decode the row's streams too (H.264 A.2). */
	static const uint8_t decodes[] = {
	    [H264_CB] = 1 << H264_CB,
	    [H264_B] = 1 << H264_CB | 1 << H264_B,
	    [H264_MAIN] = 1 << H264_CB | 1 << H264_MAIN,
	    [H264_EXT] = 1 << H264_CB | 1 << H264_B | 1 << H264_EXT,
	    [H264_CHIGH] = 1 << H264_CB | 1 << H264_CHIGH,
	    [H264_HIGH] = 1 << H264_CB | 1 << H264_MAIN | 1 << H264_CHIGH | 1 << H264_HIGH,
	    [H264_HIGH444] = 1 << H264_HIGH444,
	};

	if (dst->codec == SH_CODEC_H264 && src->codec == SH_CODEC_H264) {
		struct h264_conf d = h264_conf(dst), s = h264_conf(src);

		return d.profile != H264_BAD && s.profile != H264_BAD &&
		       decodes[d.profile] & 1 << s.profile && d.mode >= s.mode;
	}
	return cp_codec_same(dst, src);
}

static const struct cp_codec *rtx_of(const struct cp_codec *codec, uint8_t n, uint8_t pt)
{
	for (uint8_t i = 0; i < n; i++)
		if (codec[i].codec == SH_CODEC_RTX && codec[i].apt == pt)
			return &codec[i];
	return NULL;
}

/* How well a variant suits subscribers that we don't know yet: constrained baseline in mode 1 is
 * what all browsers have. */
static int rank(const struct cp_codec *c)
{
	struct h264_conf h;

	if (c->codec != SH_CODEC_H264)
		return 0;
	h = h264_conf(c);
	return (h.profile == H264_CB ? 4 : h.profile == H264_B ? 2 : 0) + h.mode;
}

struct fit {
	const struct cp_codec *codec;
	uint8_t n;
	bool keep[CP_NEGO_CODECS_MAX];
	int room;
};

static bool keep(struct fit *f, uint8_t i, bool with_rtx)
{
	int cost = with_rtx ? 2 : 1;

	if (f->keep[i] || cost > f->room)
		return false;
	f->keep[i] = true;
	f->room -= cost;
	return true;
}

/* The variant of each codec that suits most peers, or the very first one if the peer put it there.
 */
static void keep_one_each(struct fit *f, bool video)
{
	bool done[SH_CODEC_COUNT] = {false};

	for (uint8_t i = 0; i < f->n; i++) {
		uint8_t best = i;

		if (!cp_codec_is_media(&f->codec[i]) || done[f->codec[i].codec])
			continue;
		for (uint8_t j = i + 1; j < f->n && i > 0; j++)
			if (f->codec[j].codec == f->codec[i].codec &&
			    rank(&f->codec[j]) > rank(&f->codec[best]))
				best = j;
		done[f->codec[i].codec] = keep(f, best, video);
	}
}

static uint8_t free_pt(bool used[128])
{
	for (int pt = 127; pt >= 96; pt--)
		if (!used[pt])
			return (uint8_t)pt;
	for (int pt = 63; pt >= 35; pt--) // RFC 5761 §4: not 64..95
		if (!used[pt])
			return (uint8_t)pt;
	return 255;
}

uint8_t cp_codecs_fit(struct cp_codec *codec, uint8_t n, enum sh_kind kind, bool used[128])
{
	struct cp_codec all[CP_NEGO_CODECS_MAX];
	struct fit f = {.codec = all, .n = n, .room = SH_MAX_PTS};
	bool video = kind == SH_KIND_VIDEO;
	uint8_t out = 0;

	memcpy(all, codec, n * sizeof(*codec));
	keep_one_each(&f, video);
	for (uint8_t i = 0; i < n; i++) // RED, CN, telephone-event
		if (!cp_codec_is_media(&all[i]) && all[i].codec != SH_CODEC_RTX)
			keep(&f, i, false);
	for (uint8_t i = 0; i < n; i++)
		if (cp_codec_is_media(&all[i]))
			keep(&f, i, video);
	for (uint8_t i = 0; i < n; i++) {
		const struct cp_codec *rtx;

		if (!f.keep[i])
			continue;
		codec[out++] = all[i];
		rtx = rtx_of(all, n, all[i].pt);
		if (video && rtx) {
			codec[out++] = *rtx;
		} else if (video) {
			uint8_t pt = free_pt(used);

			if (pt == 255)
				continue;
			used[pt] = true;
			codec[out] = (struct cp_codec){.pt = pt,
			                               .codec = SH_CODEC_RTX,
			                               .apt = all[i].pt,
			                               .src_pt = 255,
			                               .channels = 1,
			                               .clock_hz = 90000,
			                               .local = true};
			snprintf(codec[out].fmtp, sizeof(codec[out].fmtp), "apt=%u", all[i].pt);
			out++;
		}
	}
	return out;
}

/* Our offers: one number, one meaning, in every description we write. Numbers as Chromium likes
 * them. */
static const struct row {
	uint8_t codec, variant; // H264: profile << 1 | mode; VP9, AV1: profile
	uint8_t pt, rtx;
	uint8_t channels;
	uint32_t clock_hz;
	const char *fmtp; // NULL: the publisher's
} table[] = {
    {SH_CODEC_OPUS, 0, 111, 0, 2, 48000, "minptime=10;useinbandfec=1"},
    {SH_CODEC_RED, 0, 63, 0, 2, 48000, "111/111"},
    {SH_CODEC_G722, 0, 9, 0, 1, 8000, ""},
    {SH_CODEC_PCMU, 0, 0, 0, 1, 8000, ""},
    {SH_CODEC_PCMA, 0, 8, 0, 1, 8000, ""},
    {SH_CODEC_CN, 0, 13, 0, 1, 8000, ""},
    {SH_CODEC_TEL_EVENT, 0, 110, 0, 1, 48000, ""},
    {SH_CODEC_TEL_EVENT, 0, 113, 0, 1, 16000, ""},
    {SH_CODEC_TEL_EVENT, 0, 126, 0, 1, 8000, ""},
    {SH_CODEC_VP8, 0, 96, 97, 1, 90000, ""},
    {SH_CODEC_VP9, 0, 98, 99, 1, 90000, "profile-id=0"},
    {SH_CODEC_VP9, 1, 35, 36, 1, 90000, "profile-id=1"},
    {SH_CODEC_VP9, 2, 100, 101, 1, 90000, "profile-id=2"},
    {SH_CODEC_VP9, 3, 37, 38, 1, 90000, "profile-id=3"},
    {SH_CODEC_H264, H264_B << 1 | 1, 102, 103, 1, 90000, NULL},
    {SH_CODEC_H264, H264_B << 1 | 0, 104, 107, 1, 90000, NULL},
    {SH_CODEC_H264, H264_CB << 1 | 1, 108, 109, 1, 90000, NULL},
    {SH_CODEC_H264, H264_CB << 1 | 0, 114, 115, 1, 90000, NULL},
    {SH_CODEC_H264, H264_MAIN << 1 | 1, 116, 117, 1, 90000, NULL},
    {SH_CODEC_H264, H264_MAIN << 1 | 0, 39, 40, 1, 90000, NULL},
    {SH_CODEC_H264, H264_HIGH << 1 | 1, 41, 42, 1, 90000, NULL},
    {SH_CODEC_H264, H264_HIGH << 1 | 0, 43, 44, 1, 90000, NULL},
    {SH_CODEC_H264, H264_CHIGH << 1 | 1, 118, 119, 1, 90000, NULL},
    {SH_CODEC_H264, H264_CHIGH << 1 | 0, 120, 121, 1, 90000, NULL},
    {SH_CODEC_H264, H264_HIGH444 << 1 | 1, 49, 50, 1, 90000, NULL},
    {SH_CODEC_H264, H264_HIGH444 << 1 | 0, 51, 52, 1, 90000, NULL},
    {SH_CODEC_AV1, 0, 45, 46, 1, 90000, NULL},
    {SH_CODEC_AV1, 1, 47, 48, 1, 90000, NULL},
    {SH_CODEC_AV1, 2, 53, 54, 1, 90000, NULL},
};

static const struct row *row_of(const struct cp_codec *c)
{
	unsigned variant = 0;

	if (c->codec == SH_CODEC_H264) {
		struct h264_conf h = h264_conf(c);

		variant = (unsigned)h.profile << 1 | (unsigned)h.mode;
	} else if (c->codec == SH_CODEC_VP9 || c->codec == SH_CODEC_AV1) {
		variant = profile_of(c);
	}
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].codec == c->codec && table[i].clock_hz == c->clock_hz &&
		    table[i].variant == variant)
			return &table[i];
	return NULL;
}

static bool our_rtx(struct cp_codec *out, const struct cp_codec *rtx, const struct cp_codec *src,
                    uint8_t n_src)
{
	for (uint8_t i = 0; i < n_src; i++) {
		const struct row *r = src[i].pt == rtx->apt ? row_of(&src[i]) : NULL;

		if (!r || !r->rtx)
			continue;
		*out = (struct cp_codec){.pt = r->rtx,
		                         .codec = SH_CODEC_RTX,
		                         .apt = r->pt,
		                         .src_pt = rtx->pt,
		                         .channels = 1,
		                         .clock_hz = 90000};
		snprintf(out->fmtp, sizeof(out->fmtp), "apt=%u", r->pt);
		return true;
	}
	return false;
}

uint8_t cp_codecs_ours(struct cp_codec *codec, const struct cp_codec *src, uint8_t n_src)
{
	uint8_t n = 0;
	bool media = false, opus = false;

	for (uint8_t i = 0; i < n_src; i++)
		opus |= src[i].codec == SH_CODEC_OPUS;
	for (uint8_t i = 0; i < n_src && n < CP_NEGO_CODECS_MAX; i++) {
		struct cp_codec *c = &codec[n];
		const struct row *r;

		if (src[i].codec == SH_CODEC_RTX) {
			n += our_rtx(c, &src[i], src, n_src);
			continue;
		}
		r = row_of(&src[i]);
		if (!r || (r->codec == SH_CODEC_RED && !opus))
			continue;
		*c = (struct cp_codec){.pt = r->pt,
		                       .codec = r->codec,
		                       .src_pt = src[i].pt,
		                       .channels = r->channels,
		                       .clock_hz = r->clock_hz,
		                       .apt = r->codec == SH_CODEC_RED ? 111 : 255};
		memcpy(c->fmtp, r->fmtp ? r->fmtp : src[i].fmtp,
		       r->fmtp ? strlen(r->fmtp) + 1 : sizeof(c->fmtp));
		c->nack = c->pli = c->fir = c->remb = r->clock_hz == 90000;
		c->twcc = cp_codec_is_media(c);
		media |= cp_codec_is_media(c);
		n++;
	}
	return media ? n : 0;
}

/* The peer's codec that shall carry src: the very same one if there is, else one that can take it.
 */
static int carrier(const struct cp_codec *codec, uint8_t n, const struct cp_codec *src)
{
	for (int pass = 0; pass < 2; pass++)
		for (uint8_t i = 0; i < n; i++)
			if (codec[i].src_pt == 255 && !codec[i].local &&
			    (pass ? cp_codec_takes(&codec[i], src) : cp_codec_same(&codec[i], src)))
				return i;
	return -1;
}

/* RTX and RED go with what they carry; the rest by name and clock. */
static void bind_companion(struct cp_codec *codec, uint8_t n, const struct cp_codec *src)
{
	for (uint8_t i = 0; i < n; i++) {
		if (codec[i].codec != src->codec || codec[i].clock_hz != src->clock_hz ||
		    codec[i].src_pt != 255 || codec[i].local)
			continue;
		if (src->apt != 255) {
			bool same = false;

			for (uint8_t j = 0; j < n; j++)
				same |= codec[j].pt == codec[i].apt && codec[j].src_pt == src->apt;
			if (!same)
				continue;
		}
		codec[i].src_pt = src->pt;
		return;
	}
}

bool cp_codecs_bind(struct cp_codec *codec, uint8_t n, const struct cp_codec *src, uint8_t n_src)
{
	struct cp_codec all[CP_NEGO_CODECS_MAX];
	bool media = false;
	uint8_t out = 0;

	memcpy(all, codec, n * sizeof(*codec));
	for (uint8_t i = 0; i < n; i++)
		all[i].src_pt = 255;
	for (uint8_t i = 0; i < n_src; i++) {
		int at = cp_codec_is_media(&src[i]) ? carrier(all, n, &src[i]) : -1;

		if (at < 0)
			continue;
		all[at].src_pt = src[i].pt;
		media = true;
	}
	if (!media)
		return false;
	for (uint8_t i = 0; i < n_src; i++)
		if (!cp_codec_is_media(&src[i]))
			bind_companion(all, n, &src[i]);
	for (int pass = 0; pass < 2; pass++)
		for (uint8_t i = 0; i < n; i++)
			if ((all[i].src_pt == 255) == (pass == 1))
				codec[out++] = all[i];
	return true;
}
