#include "bench/loadgen/source.h"
#include <string.h>
#include "bench/loadgen/bytes.h"

enum { VIDEO_HZ = 90000, AUDIO_TICKS = 960, AUDIO_MS = 20 };
static const uint8_t mark[4] = {'C', 'S', 'L', 'G'};

static void set_rate(struct lg_source *s, uint32_t kbps, uint64_t now_ns)
{
	s->origin_ns = now_ns;
	s->due_ns = now_ns;
	s->k = 0;
	s->begun = false;
	s->interval_ns =
	    s->conf.video ? 8e6 * s->conf.size / (double)(kbps ? kbps : 1) : AUDIO_MS * 1e6;
}

void lg_source_init(struct lg_source *s, const struct lg_source_conf *conf, uint64_t now_ns)
{
	memset(s, 0, sizeof(*s));
	s->conf = *conf;
	s->ts0 = s->last_ts = conf->ts;
	s->want_key = true;
	set_rate(s, conf->kbps, now_ns);
}

uint32_t lg_source_roc(const struct lg_source *s)
{
	return (uint32_t)((s->conf.seq + s->packets - 1) >> 16);
}

double lg_source_pps(const struct lg_source *s)
{
	return 1e9 / s->interval_ns;
}

static uint64_t frame_of(const struct lg_source *s, uint64_t k)
{
	return (uint64_t)((double)k * s->interval_ns * s->conf.fps / 1e9);
}

static uint64_t due_of(const struct lg_source *s, uint64_t k)
{
	if (!s->conf.video || s->conf.paced)
		return s->origin_ns + (uint64_t)((double)k * s->interval_ns);
	return s->origin_ns + (uint64_t)((double)frame_of(s, k) * 1e9 / s->conf.fps);
}

/* A frame that was not finished never will be: the marker tells where the next one begins. */
void lg_source_rate(struct lg_source *s, uint32_t kbps, uint64_t now_ns)
{
	s->ts0 = s->last_ts + (s->conf.video ? VIDEO_HZ / s->conf.fps : AUDIO_TICKS);
	set_rate(s, kbps, now_ns);
}

void lg_source_resume(struct lg_source *s, uint64_t now_ns)
{
	double interval = s->interval_ns;

	lg_source_rate(s, 1, now_ns);
	s->interval_ns = interval;
}

void lg_source_key(struct lg_source *s)
{
	s->want_key = true;
}

static uint8_t *put_ext(uint8_t *p, uint8_t id, const void *value, size_t n)
{
	if (!id || !n)
		return p;
	*p++ = (uint8_t)(id << 4 | (n - 1));
	memcpy(p, value, n);
	return p + n;
}

/* 24 bits of seconds, 18 of them behind the point. */
static uint32_t send_time(uint64_t now_ns)
{
	return (uint32_t)(now_ns % 64000000000 * (1 << 18) / 1000000000);
}

/* RFC 8285 §4.2. rid: by which of the two extensions the layer is named. */
static uint8_t *put_exts(const struct lg_source_conf *c, uint8_t *p, const struct lg_made *m,
                         enum lg_ext rid, uint64_t now_ns)
{
	uint8_t *body = p + 4, *at, value[4];

	at = put_ext(body, c->ext[LG_EXT_MID], c->mid, strlen(c->mid));
	at = put_ext(at, c->ext[rid], c->rid, strlen(c->rid));
	lg_put16(value, m->twcc);
	if (c->twcc)
		at = put_ext(at, c->ext[LG_EXT_TWCC], value, 2);
	lg_put32(value, send_time(now_ns) << 8);
	at = put_ext(at, c->ext[LG_EXT_SEND_TIME], value, 3);
	if (!c->video)
		at = put_ext(at, c->ext[LG_EXT_LEVEL], &m->level, 1);
	if (at == body)
		return p;
	while ((at - body) % 4)
		*at++ = 0;
	lg_put16(lg_put16(p, 0xbede), (uint32_t)(at - body) / 4);
	return at;
}

/* RFC 7741 §4.2 with all fields, so that a forwarder that rewrites them finds them; §4.3 and RFC
 * 6386 §9.1. */
static uint8_t *put_vp8(const struct lg_made *m, uint8_t *p)
{
	static const uint8_t picture[] = {0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01}; // 640 x 360

	*p++ = (uint8_t)(0x80 | (m->start ? 0x10 : 0));
	*p++ = 0xf0; // I L T K
	p = lg_put16(p, 0x8000U | m->picture_id);
	*p++ = m->tl0;
	*p++ = 0x20; // TID 0, Y; KEYIDX 0
	if (m->start) {
		*p++ = m->key ? 0x10 : 0x11; // show_frame; P
		*p++ = 0;
		*p++ = 0;
		if (m->key) {
			memcpy(p, picture, sizeof(picture));
			p += sizeof(picture);
		}
	}
	return p;
}

static uint8_t *put_payload(const struct lg_source_conf *c, uint8_t *p, const struct lg_made *m)
{
	uint8_t *at = p;

	if (c->video)
		at = put_vp8(m, p);
	else
		*at++ = 0x78; // Opus TOC: CELT, fullband, 20 ms, mono, one frame (RFC 6716 §3.1)
	memset(at, 0xa5, (size_t)(c->size - (at - p)));
	memcpy(p + LG_STAMP_AT, mark, sizeof(mark));
	lg_put32(lg_put32(p + LG_STAMP_AT + 4, (uint32_t)(m->at_ns >> 32)), (uint32_t)m->at_ns);
	return p + c->size;
}

static uint8_t *put_head(uint8_t *buf, uint8_t pt, uint16_t seq, uint32_t ts, uint32_t ssrc)
{
	buf[0] = 0x80;
	buf[1] = pt;
	return lg_put32(lg_put32(lg_put16(buf + 2, seq), ts), ssrc);
}

static size_t build(const struct lg_source *s, const struct lg_made *m, uint8_t *buf)
{
	const struct lg_source_conf *c = &s->conf;
	uint8_t *p = put_head(buf, (uint8_t)((m->last ? 0x80 : 0) | c->pt), (uint16_t)m->index,
	                      m->ts, c->ssrc);
	uint8_t *behind = put_exts(c, p, m, LG_EXT_RID, m->at_ns);

	if (behind != p)
		buf[0] |= 0x10;
	return (size_t)(put_payload(c, behind, m) - buf);
}

static uint16_t number(const struct lg_source_conf *c)
{
	return c->twcc && c->ext[LG_EXT_TWCC] ? (uint16_t)(*c->twcc)++ : 0;
}

/* RFC 4588 §4: a stream of its own, the original's number before its payload. */
static size_t build_rtx(struct lg_source *s, const struct lg_made *m, uint8_t *buf, uint64_t now_ns)
{
	const struct lg_source_conf *c = &s->conf;
	struct lg_made head = *m;
	uint8_t *p = put_head(buf, (uint8_t)((m->last ? 0x80 : 0) | c->rtx_pt),
	                      (uint16_t)s->repeats, m->ts, c->rtx_ssrc);
	uint8_t *behind;

	head.twcc = number(c);
	behind = put_exts(c, p, &head, LG_EXT_RRID, now_ns);
	if (behind != p)
		buf[0] |= 0x10;
	return (size_t)(put_payload(c, lg_put16(behind, (uint16_t)m->index), m) - buf);
}

static void next_frame(struct lg_source *s)
{
	s->key = s->want_key;
	s->want_key = false;
	s->key_frames += s->key;
	s->picture_id = (s->picture_id + 1) & 0x7fff;
	s->tl0++;
}

size_t lg_source_next(struct lg_source *s, uint8_t *buf, uint64_t now_ns)
{
	uint64_t frame = s->conf.video ? frame_of(s, s->k) : s->k;
	bool start = !s->begun || frame != s->last_frame, last = false;
	struct lg_made m;

	if (s->conf.video) {
		last = frame_of(s, s->k + 1) != frame;
		if (start)
			next_frame(s);
		s->last_ts = s->ts0 + (uint32_t)(frame * VIDEO_HZ / s->conf.fps);
	} else {
		s->last_ts = s->ts0 + (uint32_t)(frame * AUDIO_TICKS);
	}
	s->begun = true;
	s->last_frame = frame;
	m = (struct lg_made){
	    .index = s->conf.seq + s->packets,
	    .at_ns = now_ns,
	    .ts = s->last_ts,
	    .twcc = number(&s->conf),
	    .picture_id = s->picture_id,
	    .tl0 = s->tl0,
	    .level = s->level,
	    .start = start,
	    .last = last,
	    .key = s->key,
	};
	if (s->kept)
		s->kept[m.index & s->kept_mask] = m;
	s->packets++;
	s->bytes += s->conf.size;
	s->k++;
	s->due_ns = due_of(s, s->k);
	return build(s, &m, buf);
}

void lg_source_keep(struct lg_source *s, struct lg_made *kept, uint32_t n)
{
	memset(kept, 0, n * sizeof(*kept));
	s->kept = kept;
	s->kept_mask = n - 1;
}

size_t lg_source_again(struct lg_source *s, uint16_t seq, uint8_t *buf, uint32_t *roc,
                       uint64_t now_ns)
{
	uint64_t newest = s->conf.seq + s->packets - 1, index;
	struct lg_made *m;
	size_t n;

	if (!s->kept || !s->packets)
		return 0;
	index = newest - (uint16_t)((uint16_t)newest - seq);
	m = &s->kept[index & s->kept_mask];
	if (newest - index > s->kept_mask || newest - index >= s->packets || m->index != index ||
	    (m->again_ns && now_ns - m->again_ns < LG_AGAIN_MS * 1000000ULL))
		return 0;
	m->again_ns = now_ns;
	if (!s->conf.rtx) {
		*roc = (uint32_t)(index >> 16);
		return build(s, m, buf);
	}
	*roc = (uint32_t)(s->repeats >> 16);
	n = build_rtx(s, m, buf, now_ns);
	s->repeats++;
	return n;
}

uint8_t lg_talk_level(unsigned index, unsigned n, unsigned talkers, unsigned turn_s,
                      uint64_t now_ns)
{
	enum { VOICE = 0x80 | 30, SILENCE = 127 };
	uint64_t first = now_ns / 1000000000 / turn_s * talkers % n;

	return !talkers || (index + n - first) % n < talkers ? VOICE : SILENCE;
}

uint64_t lg_stamp(const uint8_t *payload, size_t len)
{
	uint64_t v = 0;

	if (len < LG_STAMP_AT + LG_STAMP_LEN ||
	    memcmp(payload + LG_STAMP_AT, mark, sizeof(mark)) != 0)
		return 0;
	for (unsigned i = 0; i < 8; i++)
		v = v << 8 | payload[LG_STAMP_AT + 4 + i];
	return v;
}
