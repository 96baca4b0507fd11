#include "controlplane/nego/codec.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *name;
	char kind;
	uint32_t hz;
} known[] = {
#define X(sym, name, kind, hz) [SH_CODEC_##sym] = {name, kind, hz},
    SH_CODEC_LIST(X)
#undef X
};

bool cp_codec_is_media(const struct cp_codec *c)
{
	switch (c->codec) {
	case SH_CODEC_NONE:
	case SH_CODEC_TEL_EVENT:
	case SH_CODEC_RED:
	case SH_CODEC_CN:
	case SH_CODEC_RTX:
		return false;
	default:
		return true;
	}
}

bool cp_fmtp_get(const char *fmtp, const char *key, char *buf, size_t size)
{
	size_t key_len = strlen(key);

	while (*fmtp) {
		const char *p = fmtp + strspn(fmtp, "; ");
		size_t n = strcspn(p, ";");

		fmtp = p + n;
		if (n <= key_len || strncasecmp(p, key, key_len) || p[key_len] != '=')
			continue;
		p += key_len + 1;
		n -= key_len + 1;
		while (n && p[n - 1] == ' ')
			n--;
		if (n >= size)
			return false;
		memcpy(buf, p, n);
		buf[n] = '\0';
		return true;
	}
	return false;
}

/* Which codec an encoding name, clock and channel count mean, for us. */
static uint8_t identify(const char *name, uint64_t hz, uint64_t channels, enum sh_kind kind)
{
	for (uint8_t c = SH_CODEC_NONE + 1; c < SH_CODEC_COUNT; c++) {
		if (strcasecmp(known[c].name, name) ||
		    known[c].kind != (kind == SH_KIND_AUDIO ? 'a' : 'v'))
			continue;
		if (c == SH_CODEC_TEL_EVENT) // RFC 4733 §2.1: it goes at the clock of the audio
		                             // beside it
			return hz == 8000 || hz == 16000 || hz == 48000 ? c : SH_CODEC_NONE;
		if (hz != known[c].hz || channels > (hz == 48000 ? 2 : 1))
			return SH_CODEC_NONE;
		return c;
	}
	return SH_CODEC_NONE;
}

struct reader {
	struct cp_codec at[128]; // by payload type
	uint8_t order[128], n;
	bool *used;
	enum sh_kind kind;
	char *err;
};

static int read_formats(struct reader *r, const struct cp_sdp_media *m)
{
	/* RFC 3551 §6: these need no rtpmap. */
	static const struct {
		uint8_t pt, codec;
	} fixed[] = {{0, SH_CODEC_PCMU}, {8, SH_CODEC_PCMA}, {9, SH_CODEC_G722}, {13, SH_CODEC_CN}};
	const char *text = m->fmts;
	char token[8];
	uint64_t pt;
	int len;

	while ((len = cp_sdp_token(&text, " ", token, sizeof(token))) != 0) {
		if (len < 0 || !cp_sdp_number(token, 127, &pt))
			return cp_sdp_fail(r->err, -EBADMSG, m->line,
			                   "malformed m= line: payload type");
		if (r->used[pt])
			return cp_sdp_fail(r->err, -EBADMSG, m->line, "payload type %u twice",
			                   (unsigned)pt);
		r->used[pt] = true;
		r->order[r->n++] = (uint8_t)pt;
		r->at[pt] =
		    (struct cp_codec){.pt = (uint8_t)pt, .apt = 255, .src_pt = 255, .channels = 1};
		for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]) && r->kind == SH_KIND_AUDIO;
		     i++)
			if (fixed[i].pt == pt) {
				r->at[pt].codec = fixed[i].codec;
				r->at[pt].clock_hz = 8000;
			}
	}
	return 0;
}

/* Attribute values that begin with a payload type: its codec, or NULL if the m-line does not name
 * it. */
static int payload_type(struct reader *r, const struct cp_sdp_attr *a, const char *what,
                        const char **rest, struct cp_codec **out)
{
	const char *text = a->value;
	char token[8];
	uint64_t pt;

	if (cp_sdp_token(&text, " ", token, sizeof(token)) <= 0 ||
	    !cp_sdp_number(token, 127, &pt) || !*text)
		return cp_sdp_fail(r->err, -EBADMSG, a->line, "malformed a=%s", what);
	*rest = text + strspn(text, " ");
	*out = r->used[pt] ? &r->at[pt] : NULL;
	return 0;
}

static int read_rtpmap(struct reader *r, const struct cp_sdp_attr *a, bool seen[128])
{
	char name[64], clock[16], channels[8];
	uint64_t hz, ch = 1;
	struct cp_codec *c;
	const char *text;
	int err, len;

	err = payload_type(r, a, "rtpmap", &text, &c);
	if (err)
		return err;
	if (cp_sdp_token(&text, "/", name, sizeof(name)) <= 0 ||
	    cp_sdp_token(&text, "/", clock, sizeof(clock)) <= 0 ||
	    !cp_sdp_number(clock, UINT32_MAX, &hz))
		return cp_sdp_fail(r->err, -EBADMSG, a->line, "malformed a=rtpmap");
	len = cp_sdp_token(&text, "/", channels, sizeof(channels));
	if (len < 0 || *text || (len && !cp_sdp_number(channels, 255, &ch)))
		return cp_sdp_fail(r->err, -EBADMSG, a->line, "malformed a=rtpmap");
	if (!c)
		return 0;
	if (seen[c->pt])
		return cp_sdp_fail(r->err, -EBADMSG, a->line, "second a=rtpmap for payload type %u",
		                   c->pt);
	seen[c->pt] = true;
	c->codec = identify(name, hz, ch, r->kind);
	c->clock_hz = (uint32_t)hz;
	c->channels = (uint8_t)ch;
	return 0;
}

/* Long parameters (sprop-parameter-sets) go first when it does not fit; the short ones decide a
 * match. */
static void copy_fmtp(struct cp_codec *c, const char *text)
{
	size_t len = 0, max = strlen(text) < sizeof(c->fmtp) ? sizeof(c->fmtp) : 48;

	while (*text) {
		const char *p = text + strspn(text, "; ");
		size_t n = strcspn(p, ";");

		text = p + n;
		while (n && p[n - 1] == ' ')
			n--;
		if (!n || n > max || len + n + 2 > sizeof(c->fmtp))
			continue;
		if (len)
			c->fmtp[len++] = ';';
		memcpy(c->fmtp + len, p, n);
		len += n;
		c->fmtp[len] = '\0';
	}
}

static int read_fmtp(struct reader *r, const struct cp_sdp_attr *a)
{
	struct cp_codec *c;
	const char *text;
	int err = payload_type(r, a, "fmtp", &text, &c);

	if (!err && c && !c->fmtp[0])
		copy_fmtp(c, text);
	return err;
}

static void set_feedback(struct cp_codec *c, const char *what)
{
	c->nack |= strcasecmp(what, "nack") == 0;
	c->pli |= strcasecmp(what, "nack pli") == 0;
	c->fir |= strcasecmp(what, "ccm fir") == 0;
	c->remb |= strcasecmp(what, "goog-remb") == 0;
	c->twcc |= strcasecmp(what, "transport-cc") == 0;
}

static int read_feedback(struct reader *r, const struct cp_sdp_attr *a)
{
	struct cp_codec *c;
	const char *text;
	int err;

	if (strncmp(a->value, "* ", 2) == 0) {
		for (int i = 0; i < r->n; i++)
			set_feedback(&r->at[r->order[i]], a->value + 2);
		return 0;
	}
	err = payload_type(r, a, "rtcp-fb", &text, &c);
	if (!err && c)
		set_feedback(c, text);
	return err;
}

/* A codec whose parameters we can't serve is one that we don't know. */
static bool usable(struct cp_codec *c)
{
	uint64_t apt;
	char v[16];

	switch (c->codec) {
	case SH_CODEC_NONE:
		return false;
	case SH_CODEC_H264:
		return cp_codec_takes(c, c);
	case SH_CODEC_RTX:
		if (!cp_fmtp_get(c->fmtp, "apt", v, sizeof(v)) || !cp_sdp_number(v, 127, &apt))
			return false;
		c->apt = (uint8_t)apt;
		return true;
	case SH_CODEC_RED: { // RFC 2198 §5: payload types, primary first
		const char *text = c->fmtp;

		if (cp_sdp_token(&text, "/", v, sizeof(v)) <= 0 || !cp_sdp_number(v, 127, &apt))
			return false;
		c->apt = (uint8_t)apt;
		return true;
	}
	default:
		return true;
	}
}

static struct cp_codec *find_pt(struct cp_codec *codec, uint8_t n, uint8_t pt)
{
	for (uint8_t i = 0; i < n; i++)
		if (codec[i].pt == pt)
			return &codec[i];
	return NULL;
}

/* RTX and RED stay with the codec that they carry, CN and events with any. RTX once a codec. */
static uint8_t drop_orphans(struct cp_codec *codec, uint8_t n)
{
	struct cp_codec all[CP_NEGO_CODECS_MAX];
	bool repaired[128] = {false}, any = false;
	uint8_t out = 0;

	memcpy(all, codec, n * sizeof(*codec));
	for (uint8_t i = 0; i < n; i++)
		any |= cp_codec_is_media(&all[i]);
	for (uint8_t i = 0; i < n; i++) {
		if (all[i].codec == SH_CODEC_RTX || all[i].codec == SH_CODEC_RED) {
			const struct cp_codec *c = find_pt(all, n, all[i].apt);

			if (!c || !cp_codec_is_media(c))
				continue;
			if (all[i].codec == SH_CODEC_RED && c->codec != SH_CODEC_OPUS)
				continue;
			if (all[i].codec == SH_CODEC_RTX && repaired[c->pt])
				continue;
			repaired[c->pt] |= all[i].codec == SH_CODEC_RTX;
		}
		if (any)
			codec[out++] = all[i];
	}
	return out;
}

int cp_codecs_read(const struct cp_sdp *s, const struct cp_sdp_media *m, enum sh_kind kind,
                   struct cp_codec *out, bool used[128], char *err)
{
	struct reader r = {.kind = kind, .used = used, .err = err};
	bool seen[128] = {false};
	uint8_t n = 0;
	int rc;

	memset(used, 0, 128);
	rc = read_formats(&r, m);
	for (uint32_t i = m->first; i < m->end && !rc; i++) {
		const struct cp_sdp_attr *a = &s->attr[i];

		if (a->name == CP_SDP_RTPMAP)
			rc = read_rtpmap(&r, a, seen);
		else if (a->name == CP_SDP_FMTP)
			rc = read_fmtp(&r, a);
		else if (a->name == CP_SDP_RTCP_FB)
			rc = read_feedback(&r, a);
	}
	if (rc)
		return rc;
	for (int i = 0; i < r.n && n < CP_NEGO_CODECS_MAX; i++)
		if (usable(&r.at[r.order[i]]))
			out[n++] = r.at[r.order[i]];
	return drop_orphans(out, n);
}
