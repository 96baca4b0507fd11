#include "bench/loadgen/sdp.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const uris[] = {
#define X(sym, uri) uri,
    LG_EXT_LIST(X)
#undef X
};

/* ---- reading ---- */

static void copy(char *to, size_t size, const char *from, size_t len)
{
	if (len >= size)
		len = size - 1;
	memcpy(to, from, len);
	to[len] = '\0';
}

static void read_media_line(struct lg_sdp_media *m, const char *v)
{
	char kind[16] = "", proto[24] = "", fmt[8] = "";
	unsigned port = 0;

	memset(m, 0, sizeof(*m));
	m->pt = m->rtx = LG_PT_NONE;
	m->dir = LG_SENDRECV;
	sscanf(v, "%15s %u %23s %7s", kind, &port, proto, fmt);
	m->video = strcmp(kind, "video") == 0;
	m->other = !m->video && strcmp(kind, "audio") != 0;
	m->port = (uint16_t)port;
	m->rejected = port == 0;
	memcpy(m->proto, proto, sizeof(proto));
	memcpy(m->first_fmt, fmt, sizeof(fmt));
}

static void read_candidate(struct lg_sdp *s, const char *v)
{
	char transport[8] = "", address[48] = "";
	unsigned component = 0, port = 0;

	if (s->port ||
	    sscanf(v, "%*s %u %7s %*u %47s %u", &component, transport, address, &port) != 4 ||
	    component != 1 || strcasecmp(transport, "udp") != 0 || strchr(address, ':') ||
	    port > 65535)
		return;
	memcpy(s->address, address, sizeof(address));
	s->port = (uint16_t)port;
}

static void read_crypto(struct lg_sdp_media *m, const char *v)
{
	char suite[32] = "", key[64] = "";
	unsigned tag = 0;

	if (m->key[0] || sscanf(v, "%u %31s inline:%63[^| \t]", &tag, suite, key) != 3)
		return;
	m->crypto_tag = tag;
	memcpy(m->suite, suite, sizeof(suite));
	memcpy(m->key, key, sizeof(key));
}

static void read_codec(struct lg_sdp_media *m, const char *v)
{
	char name[32] = "";
	unsigned pt = 0;

	if (sscanf(v, "%u %31[^/]", &pt, name) != 2 || pt > 127)
		return;
	if (m->pt == LG_PT_NONE && strcasecmp(name, m->video ? "VP8" : "opus") == 0)
		m->pt = (uint8_t)pt;
}

static void read_feedback(struct lg_sdp_media *m, const char *v)
{
	char pt[8] = "", what[32] = "";

	if (sscanf(v, "%7s %31[^\r\n]", pt, what) != 2 || (pt[0] != '*' && atoi(pt) != m->pt))
		return;
	m->nack |= strcmp(what, "nack") == 0;
	m->twcc |= strcmp(what, "transport-cc") == 0;
	m->remb |= strcmp(what, "goog-remb") == 0;
}

static void read_fmtp(struct lg_sdp_media *m, const char *v)
{
	unsigned pt = 0, apt = 0;

	if (sscanf(v, "%u apt=%u", &pt, &apt) == 2 && apt == m->pt && pt < 128)
		m->rtx = (uint8_t)pt;
}

static void read_ext(struct lg_sdp_media *m, const char *v)
{
	unsigned id = 0;
	char uri[96] = "";

	if (sscanf(v, "%u%*[^ ] %95s", &id, uri) != 2 && sscanf(v, "%u %95s", &id, uri) != 2)
		return;
	if (id < 1 || id > 14)
		return;
	for (unsigned i = 0; i < LG_EXTS; i++)
		if (strcmp(uri, uris[i]) == 0)
			m->ext[i] = (uint8_t)id;
}

static bool direction(struct lg_sdp_media *m, const char *line)
{
	static const char *const words[] = {"inactive", "sendonly", "recvonly", "sendrecv"};

	for (unsigned i = 0; i < 4; i++)
		if (strcmp(line, words[i]) == 0) {
			m->dir = (enum lg_dir)i;
			return true;
		}
	return false;
}

static const char *value_of(const char *line, const char *name)
{
	size_t n = strlen(name);

	return strncmp(line, name, n) == 0 && line[n] == ':' ? line + n + 1 : NULL;
}

static void read_media_attribute(struct lg_sdp_media *m, const char *line)
{
	const char *v;

	if (direction(m, line))
		return;
	if (strcmp(line, "rtcp-mux") == 0)
		m->mux = true;
	if ((v = value_of(line, "mid")))
		copy(m->mid, sizeof(m->mid), v, strlen(v));
	else if ((v = value_of(line, "rtpmap")))
		read_codec(m, v);
	else if ((v = value_of(line, "fmtp")))
		read_fmtp(m, v);
	else if ((v = value_of(line, "rtcp-fb")))
		read_feedback(m, v);
	else if ((v = value_of(line, "ssrc-group")))
		sscanf(v, "FID %u %u", &m->repaired, &m->rtx_ssrc);
	else if ((v = value_of(line, "extmap")))
		read_ext(m, v);
	else if ((v = value_of(line, "crypto")))
		read_crypto(m, v);
	else if ((v = value_of(line, "ssrc")) && !m->ssrc)
		m->ssrc = (uint32_t)strtoul(v, NULL, 10);
}

/* Transport attributes: of a BUNDLE, the first ones told count. */
static void read_attribute(struct lg_sdp *s, const char *line)
{
	const char *v;

	if (strcmp(line, "ice-lite") == 0)
		s->ice_lite = true;
	else if (strcmp(line, "rtcp-rsize") == 0)
		s->rsize = true;
	else if ((v = value_of(line, "ice-ufrag")) && !s->ufrag[0])
		copy(s->ufrag, sizeof(s->ufrag), v, strlen(v));
	else if ((v = value_of(line, "ice-pwd")) && !s->pwd[0])
		copy(s->pwd, sizeof(s->pwd), v, strlen(v));
	else if ((v = value_of(line, "fingerprint")) && !s->fingerprint[0])
		copy(s->fingerprint, sizeof(s->fingerprint), v, strlen(v));
	else if ((v = value_of(line, "candidate")))
		read_candidate(s, v);
	else if ((v = value_of(line, "setup"))) {
		s->actpass = strcmp(v, "actpass") == 0;
		s->active = strcmp(v, "active") == 0;
	} else if (s->n)
		read_media_attribute(&s->media[s->n - 1], line);
}

int lg_sdp_parse(struct lg_sdp *s, const char *text)
{
	char line[1024], connection[48] = "";

	memset(s, 0, sizeof(*s));
	if (strncmp(text, "v=0", 3) != 0)
		return -EBADMSG;
	for (const char *p = text; *p;) {
		size_t len = strcspn(p, "\r\n");

		copy(line, sizeof(line), p, len);
		p += len;
		p += strspn(p, "\r\n");
		if (len < 2 || line[1] != '=')
			return -EBADMSG;
		if (line[0] == 'm') {
			if (s->n == LG_SDP_MEDIA)
				return -E2BIG;
			read_media_line(&s->media[s->n++], line + 2);
		} else if (line[0] == 'c' && !connection[0]) {
			sscanf(line, "c=IN IP4 %47s", connection);
		} else if (line[0] == 'a') {
			read_attribute(s, line + 2);
		}
	}
	if (!s->port && s->n) {
		memcpy(s->address, connection, sizeof(connection));
		s->port = s->media[0].port;
	}
	return s->n ? 0 : -EBADMSG;
}

/* ---- writing ---- */

struct out {
	char *p;
	size_t size, len;
};

static __attribute__((format(printf, 2, 3))) void put(struct out *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(o->len < o->size ? o->p + o->len : NULL,
	              o->len < o->size ? o->size - o->len : 0, fmt, ap);
	va_end(ap);
	o->len += n > 0 ? (size_t)n : 0;
}

static size_t finish(const struct out *o)
{
	return o->len < o->size ? o->len : 0;
}

static void put_session(struct out *o, const struct lg_sdp_own *own)
{
	put(o, "v=0\r\no=- %llu 1 IN IP4 127.0.0.1\r\ns=-\r\n", (unsigned long long)own->session);
	if (!own->fingerprint)
		put(o, "c=IN IP4 %s\r\n", own->address);
	put(o, "t=0 0\r\n");
}

static void put_transport(struct out *o, const struct lg_sdp_own *own, const char *setup)
{
	if (!own->fingerprint) {
		put(o, "a=crypto:1 %s inline:%s\r\na=rtcp-mux\r\n", own->suite, own->key);
		return;
	}
	put(o,
	    "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=fingerprint:%s\r\na=setup:%s\r\na=rtcp-mux\r\n"
	    "a=rtcp-rsize\r\n",
	    own->ufrag, own->pwd, own->fingerprint, setup);
	if (own->address)
		put(o, "a=candidate:1 1 udp 2130706431 %s %u typ host\r\na=end-of-candidates\r\n",
		    own->address, own->port);
}

/* What we have of a medium: all of it when we offer, what was offered when we answer. */
struct has {
	uint8_t pt, rtx, ext[LG_EXTS];
	bool nack, twcc, remb;
};

static void put_exts(struct out *o, const struct has *h)
{

	for (unsigned i = 0; i < LG_EXTS; i++)
		if (h->ext[i])
			put(o, "a=extmap:%u %s\r\n", h->ext[i], uris[i]);
}

static void put_feedback(struct out *o, const struct has *h)
{
	if (h->twcc)
		put(o, "a=rtcp-fb:%u transport-cc\r\n", h->pt);
	if (h->remb)
		put(o, "a=rtcp-fb:%u goog-remb\r\n", h->pt);
}

static void put_video_codec(struct out *o, const struct has *h)
{
	uint8_t pt = h->pt, rtx = h->rtx;

	put(o, "a=rtpmap:%u VP8/90000\r\na=rtcp-fb:%u nack pli\r\na=rtcp-fb:%u ccm fir\r\n", pt, pt,
	    pt);
	if (h->nack)
		put(o, "a=rtcp-fb:%u nack\r\n", pt);
	put_feedback(o, h);
	if (rtx != LG_PT_NONE)
		put(o, "a=rtpmap:%u rtx/90000\r\na=fmtp:%u apt=%u\r\n", rtx, rtx, pt);
}

static void put_audio_codec(struct out *o, const struct has *h)
{
	put(o, "a=rtpmap:%u opus/48000/2\r\na=fmtp:%u minptime=10;useinbandfec=1\r\n", h->pt,
	    h->pt);
	put_feedback(o, h);
}

static void put_layers(struct out *o, unsigned layers)
{
	for (unsigned i = 0; i < layers; i++)
		put(o, "a=rid:%u send\r\n", i);
	put(o, "a=simulcast:send 0;1%s\r\n", layers > 2 ? ";2" : "");
}

/* What a scenario leaves out. */
static void restrain(struct has *h, const struct lg_sdp_own *own)
{
	h->nack &= own->nack;
	h->twcc &= own->feedback == LG_FEEDBACK_TWCC;
	h->remb &= own->feedback == LG_FEEDBACK_REMB;
	if (!h->twcc)
		h->ext[LG_EXT_TWCC] = 0;
	if (own->feedback == LG_FEEDBACK_NONE)
		h->ext[LG_EXT_SEND_TIME] = 0;
	if (!own->nack)
		h->rtx = LG_PT_NONE;
	if (h->rtx == LG_PT_NONE)
		h->ext[LG_EXT_RRID] = 0;
}

static struct has offered(const struct lg_sdp_own *own, bool video)
{
	bool sdes = !own->fingerprint; // RTP/SAVP: no feedback (RFC 4585 §1)
	struct has h = {.pt = video ? LG_PT_VP8 : LG_PT_OPUS,
	                .rtx = video && !sdes ? LG_PT_RTX : LG_PT_NONE,
	                .nack = video,
	                .twcc = !sdes,
	                .remb = video && !sdes};

	for (unsigned i = 0; i < LG_EXTS && !sdes; i++)
		h.ext[i] = (uint8_t)(i + 1);
	if (video)
		h.ext[LG_EXT_LEVEL] = 0;
	restrain(&h, own);
	return h;
}

static void put_offered(struct out *o, const struct lg_sdp_own *own, const struct lg_sdp_want *w,
                        unsigned i)
{
	bool sdes = !own->fingerprint;
	struct has h = offered(own, w->video);

	put(o, "m=%s %u %s %u", w->video ? "video" : "audio", sdes ? own->port : 9,
	    sdes ? "RTP/SAVP" : "UDP/TLS/RTP/SAVPF", h.pt);
	if (h.rtx != LG_PT_NONE)
		put(o, " %u", h.rtx);
	put(o, "\r\n");
	if (!sdes)
		put(o, "c=IN IP4 0.0.0.0\r\na=mid:%u\r\n", i);
	put(o, "a=%s\r\n", w->send ? "sendonly" : "recvonly");
	put_transport(o, own, "actpass");
	put_exts(o, &h);
	if (w->video)
		put_video_codec(o, &h);
	else
		put_audio_codec(o, &h);
	if (w->send && w->layers > 1)
		put_layers(o, w->layers);
	else if (w->send)
		put(o, "a=msid:load load%u\r\na=ssrc:%u cname:load\r\n", i, w->ssrc);
	if (w->send && w->layers <= 1 && h.rtx != LG_PT_NONE)
		put(o, "a=ssrc-group:FID %u %u\r\na=ssrc:%u cname:load\r\n", w->ssrc, w->rtx_ssrc,
		    w->rtx_ssrc);
}

size_t lg_sdp_offer(char *buf, size_t size, const struct lg_sdp_own *own,
                    const struct lg_sdp_want *want, unsigned n)
{
	struct out o = {buf, size, 0};

	put_session(&o, own);
	if (own->fingerprint) {
		put(&o, "a=group:BUNDLE");
		for (unsigned i = 0; i < n; i++)
			put(&o, " %u", i);
		put(&o, "\r\n");
	}
	for (unsigned i = 0; i < n; i++)
		put_offered(&o, own, &want[i], i);
	return finish(&o);
}

static bool takes(const struct lg_sdp_media *m)
{
	return !m->rejected && !m->other && m->pt != LG_PT_NONE;
}

static struct has taken(const struct lg_sdp_own *own, const struct lg_sdp_media *m)
{
	struct has h = {
	    .pt = m->pt, .rtx = m->rtx, .nack = m->nack, .twcc = m->twcc, .remb = m->remb};

	memcpy(h.ext, m->ext, sizeof(h.ext));
	h.ext[LG_EXT_RID] = 0;
	restrain(&h, own);
	return h;
}

static void put_answered(struct out *o, const struct lg_sdp_own *own, const struct lg_sdp_media *m)
{
	bool sdes = !own->fingerprint, take = takes(m);
	struct has h = taken(own, m);

	put(o, "m=%s %u %s ",
	    m->other   ? "application"
	    : m->video ? "video"
	               : "audio",
	    !take  ? 0
	    : sdes ? own->port
	           : 9,
	    m->proto);
	if (take)
		put(o, "%u", m->pt);
	else
		put(o, "%s", m->first_fmt);
	if (take && h.rtx != LG_PT_NONE)
		put(o, " %u", h.rtx);
	put(o, "\r\n");
	if (!sdes)
		put(o, "c=IN IP4 0.0.0.0\r\n");
	if (m->mid[0])
		put(o, "a=mid:%s\r\n", m->mid);
	if (!take) {
		put(o, "a=inactive\r\n");
		return;
	}
	put(o, "a=%s\r\n", m->dir & LG_SENDONLY ? "recvonly" : "inactive");
	if (sdes)
		put(o, "a=crypto:%u %s inline:%s\r\n%s", m->crypto_tag, own->suite, own->key,
		    m->mux ? "a=rtcp-mux\r\n" : "");
	else
		put_transport(o, own, "active");
	put_exts(o, &h);
	if (m->video)
		put_video_codec(o, &h);
	else
		put_audio_codec(o, &h);
}

size_t lg_sdp_answer(char *buf, size_t size, const struct lg_sdp_own *own,
                     const struct lg_sdp *offer)
{
	struct out o = {buf, size, 0};
	bool any = false;

	put_session(&o, own);
	for (unsigned i = 0; i < offer->n && own->fingerprint; i++)
		if (takes(&offer->media[i])) {
			put(&o, "%s %s", any ? "" : "a=group:BUNDLE", offer->media[i].mid);
			any = true;
		}
	if (any)
		put(&o, "\r\n");
	for (unsigned i = 0; i < offer->n; i++)
		put_answered(&o, own, &offer->media[i]);
	return finish(&o);
}
