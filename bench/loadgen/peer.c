/* One transport as a client has it: how it is made, and its life. What comes: stream.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include "bench/loadgen/lg.h"

enum { LINE = 64, TIMER_MS = 50, KEEP_MIN = 64, KEEP_MAX = 4096 };

struct lg_peer **lg_peers;
unsigned lg_peer_count;
static unsigned cap;

/* ---- made by the main thread ---- */

static void random_text(char *out, size_t n)
{
	static const char set[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	lg_random(out, n);
	for (size_t i = 0; i < n; i++)
		out[i] = set[(uint8_t)out[i] % 64];
	out[n] = '\0';
}

struct lg_peer *lg_peer_new(struct lg_member *m, bool sends, bool receives)
{
	struct lg_peer *p = aligned_alloc(LINE, (sizeof(*p) + LINE - 1) & ~(size_t)(LINE - 1));
	int err;

	if (p && lg_peer_count == cap) {
		struct lg_peer **more =
		    realloc(lg_peers, (cap * 2 + 64) * sizeof(struct lg_peer *));

		if (!more) {
			free(p);
			return NULL;
		}
		lg_peers = more;
		cap = cap * 2 + 64;
	}
	if (!p)
		return NULL;
	memset(p, 0, sizeof(*p));
	p->member = m;
	p->index = lg_peer_count;
	p->sends = sends;
	p->receives = receives;
	p->fd = -1;
	p->sdes = lg_sc.kind == LG_RTPENGINE;
	p->pt[0] = LG_PT_OPUS;
	p->pt[1] = LG_PT_VP8;
	p->rtx[0] = p->rtx[1] = LG_PT_NONE;
	p->ssrc = lg_random32();
	p->started_ns = lg_now();
	random_text(p->ufrag, LG_UFRAG);
	random_text(p->pwd, LG_PWD);
	lg_random(p->own_key, sizeof(p->own_key));
	err = lg_net->flow(p);
	if (err) {
		lg_say("transport %u: %s", p->index, strerror(-err));
		free(p);
		return NULL;
	}
	lg_peers[lg_peer_count++] = p;
	return p;
}

/* Of the publisher of this index. */
static unsigned streams_of(unsigned index)
{
	return lg_sc.audio + lg_has_camera(index);
}

struct lg_peer *lg_peer_receiver(struct lg_member *m, unsigned first, unsigned n)
{
	struct lg_peer *p = lg_peer_new(m, false, true);

	if (!p)
		return NULL;
	m->sub[m->n_sub++] = p;
	for (unsigned i = first; i < first + n; i++)
		p->expects += streams_of(lg_watched_index(m, i));
	if (lg_sc.slots)
		p->expects = lg_sc.slots;
	return p;
}

int lg_peer_receivers(struct lg_member *m,
                      int (*watch)(struct lg_member *m, struct lg_peer *p, unsigned publisher))
{
	for (unsigned i = 0; i < m->watches; i++) {
		struct lg_peer *p = lg_peer_receiver(m, i, 1);
		int err = p ? watch(m, p, lg_watched_index(m, i)) : -ENOMEM;

		if (err)
			return err;
	}
	return 0;
}

int lg_peer_publisher(struct lg_member *m, char *sdp, size_t size)
{
	struct lg_sdp_want want[2];
	struct lg_sdp_own own;

	m->pub = lg_peer_new(m, true, false);
	if (!m->pub)
		return -ENOMEM;
	own = lg_peer_own(m->pub);
	return lg_sdp_offer(sdp, size, &own, want, lg_peer_offers(m->pub, want)) ? 0 : -E2BIG;
}

struct lg_sdp_own lg_peer_own(struct lg_peer *p)
{
	static char address[INET_ADDRSTRLEN], key[LG_KEY_MAX * 2];
	bool known = p->local.sin_addr.s_addr != 0;

	inet_ntop(AF_INET, &p->local.sin_addr, address, sizeof(address));
	lg_crypto_sdes_own(p, key, sizeof(key));
	return (struct lg_sdp_own){
	    .ufrag = p->ufrag,
	    .pwd = p->pwd,
	    .fingerprint = p->sdes ? NULL : lg_dtls_fingerprint(),
	    .address = known ? address : NULL,
	    .port = ntohs(p->local.sin_port),
	    .suite = lg_crypto_sdes(),
	    .key = key,
	    .session = (uint64_t)p->index + 1,
	    .feedback = lg_sc.feedback,
	    .nack = lg_sc.nack,
	};
}

/* What it sends in two seconds; of a search nobody knows. */
static void keep(struct lg_source *s)
{
	uint32_t n = lg_sc.search_from ? KEEP_MAX : KEEP_MIN;
	struct lg_made *kept;

	while (n < 2 * lg_source_pps(s) && n < KEEP_MAX)
		n *= 2;
	kept = malloc(n * sizeof(*kept));
	if (kept)
		lg_source_keep(s, kept, n);
}

static void add_source(struct lg_peer *p, bool video, unsigned line, unsigned layer,
                       unsigned layers)
{
	struct lg_source *s = calloc(1, sizeof(*s));
	struct lg_source_conf c = {
	    .video = video,
	    .paced = lg_sc.paced,
	    .ssrc = lg_random32(),
	    .rtx_ssrc = lg_random32(),
	    .pt = video ? LG_PT_VP8 : LG_PT_OPUS,
	    .size = (uint16_t)(video ? lg_sc.video_size : lg_sc.audio_size),
	    .kbps = lg_sc.bitrate,
	    .fps = lg_sc.fps,
	    .seq = (uint16_t)(lg_random32() & 0x7fff),
	    .ts = lg_random32(),
	};

	if (!s)
		return;
	for (unsigned i = layer + 1; i < layers; i++)
		c.kbps = c.kbps / 4 + 1;
	c.twcc = &p->twcc_next;
	if (layers > 1) { // else the SSRC tells
		snprintf(c.mid, sizeof(c.mid), "%u", line);
		snprintf(c.rid, sizeof(c.rid), "%u", layer);
	}
	lg_source_init(s, &c, lg_now());
	if (video && lg_sc.nack)
		keep(s);
	p->source[p->n_sources++] = s;
}

unsigned lg_peer_offers(struct lg_peer *p, struct lg_sdp_want *want)
{
	unsigned n = 0, layers = p->sdes ? 1 : lg_sc.layers;

	if (lg_sc.audio) {
		add_source(p, false, n, 0, 1);
		want[n++] = (struct lg_sdp_want){.send = true, .ssrc = p->source[0]->conf.ssrc};
	}
	if (lg_has_camera(p->member->index)) {
		for (unsigned i = 0; i < layers; i++)
			add_source(p, true, n, i, layers);
		want[n] =
		    (struct lg_sdp_want){.video = true,
		                         .send = true,
		                         .layers = layers,
		                         .ssrc = p->source[p->n_sources - 1]->conf.ssrc,
		                         .rtx_ssrc = p->source[p->n_sources - 1]->conf.rtx_ssrc};
		n++;
	}
	return n;
}

unsigned lg_peer_wants(struct lg_peer *p, struct lg_sdp_want *want, unsigned publishers)
{
	unsigned n = 0;

	for (unsigned i = 0; i < publishers && n + 2 < LG_SDP_MEDIA; i++) {
		if (lg_sc.audio)
			want[n++] = (struct lg_sdp_want){0};
		if (lg_sc.video)
			want[n++] = (struct lg_sdp_want){.video = true};
	}
	return n;
}

static int refuse(struct lg_peer *p, const char *why)
{
	snprintf(p->error, sizeof(p->error), "%s", why);
	return -EBADMSG;
}

static const struct lg_sdp_media *media_of(const struct lg_sdp *s, bool video)
{
	for (unsigned i = 0; i < s->n; i++)
		if (!s->media[i].rejected && !s->media[i].other && s->media[i].video == video)
			return &s->media[i];
	return NULL;
}

/* What was agreed of the things that are the transport's, not a medium's. */
static void agree(struct lg_peer *p, const struct lg_sdp *s)
{
	bool twcc = false, remb = false;

	p->rsize = s->rsize;
	for (unsigned i = 0; i < s->n; i++) {
		const struct lg_sdp_media *m = &s->media[i];

		if (m->rejected || m->other)
			continue;
		if (m->pt != LG_PT_NONE)
			p->pt[m->video] = m->pt;
		if (m->rtx != LG_PT_NONE && lg_sc.nack)
			p->rtx[m->video] = m->rtx;
		p->nack |= m->video && m->nack && lg_sc.nack;
		remb |= m->remb;
		twcc |= m->twcc && m->ext[LG_EXT_TWCC];
		if (m->ext[LG_EXT_TWCC])
			p->twcc_ext = m->ext[LG_EXT_TWCC];
		if (m->ext[LG_EXT_SEND_TIME])
			p->time_ext = m->ext[LG_EXT_SEND_TIME];
	}
	p->tells = LG_FEEDBACK_NONE;
	if ((lg_sc.feedback == LG_FEEDBACK_TWCC && twcc) ||
	    (lg_sc.feedback == LG_FEEDBACK_REMB && remb))
		p->tells = lg_sc.feedback;
	if (p->sends && p->tells == LG_FEEDBACK_TWCC) {
		p->flight = calloc(1, sizeof(*p->flight));
		if (p->flight)
			dp_twcc_tx_init(&p->flight->tx, p->flight->sent, 1024);
	}
}

/* Answers keep the ids of the offer, or leave them out (RFC 8285 §6). */
static void agree_source(struct lg_peer *p, struct lg_source_conf *c, const struct lg_sdp *s)
{
	const struct lg_sdp_media *m = media_of(s, c->video);

	c->pt = p->pt[c->video];
	c->rtx = p->rtx[c->video] != LG_PT_NONE;
	c->rtx_pt = p->rtx[c->video];
	if (m)
		memcpy(c->ext, m->ext, sizeof(c->ext));
	if (p->tells != LG_FEEDBACK_TWCC)
		c->ext[LG_EXT_TWCC] = 0;
}

void lg_peer_more(struct lg_peer *p, const struct lg_sdp *s)
{
	struct lg_repairs *r = malloc(sizeof(*r) + s->n * sizeof(r->pair[0]));

	if (!r)
		return;
	r->n = 0;
	for (unsigned i = 0; i < s->n; i++)
		if (s->media[i].rtx_ssrc)
			r->pair[r->n++] = (struct lg_repair){.media = s->media[i].repaired,
			                                     .rtx = s->media[i].rtx_ssrc};
	/* The media thread may look at the old one: it stays, as peers do. */
	atomic_store_explicit(&p->repairs, r, memory_order_release);
}

int lg_peer_remote(struct lg_peer *p, const struct lg_sdp *s)
{
	agree(p, s);
	lg_peer_more(p, s);
	for (unsigned i = 0; i < p->n_sources; i++)
		agree_source(p, &p->source[i]->conf, s);
	if (!s->port || inet_pton(AF_INET, s->address, &p->remote.sin_addr) != 1)
		return refuse(p, "no IPv4 address in the server's SDP");
	p->remote.sin_family = AF_INET;
	p->remote.sin_port = htons(s->port);
	if (p->sdes)
		return lg_crypto_sdes_keys(p, &s->media[0]) ? refuse(p, "no SDES key") : 0;
	if (!s->ufrag[0] || !s->pwd[0] || !s->fingerprint[0])
		return refuse(p, "no ICE credentials or fingerprint in the server's SDP");
	memcpy(p->rufrag, s->ufrag, sizeof(p->rufrag));
	memcpy(p->rpwd, s->pwd, sizeof(p->rpwd));
	memcpy(p->fingerprint, s->fingerprint, sizeof(p->fingerprint));
	p->passive = s->active;
	return 0;
}

/* ---- media thread: its life ---- */

void lg_peer_start(struct lg_peer *p, uint64_t now)
{
	int err = lg_net->start(p);

	p->next_ns = now;
	if (err) {
		lg_peer_fail(p, strerror(-err));
		return;
	}
	if (p->sdes) {
		lg_peer_keyed(p, now);
		return;
	}
	p->state = LG_ICE;
	if (lg_net != &lg_net_nice)
		lg_ice_start(p, now);
}

void lg_peer_secure(struct lg_peer *p, uint64_t now)
{
	if (p->state != LG_ICE)
		return;
	p->state = LG_DTLS;
	if (lg_dtls_start(p, now))
		lg_peer_fail(p, "no memory");
}

void lg_peer_keyed(struct lg_peer *p, uint64_t now)
{
	p->state = LG_UP;
	p->up_ns = now;
	p->report_ns =
	    now + LG_REPORT_MS * 1000000ULL / 2 + lg_random32() % (LG_REPORT_MS * 500000);
	atomic_fetch_add(&lg_totals.up, 1);
	if (p->n_sources)
		lg_media_sources(p, now);
}

void lg_peer_fail(struct lg_peer *p, const char *why)
{
	if (p->state == LG_FAILED || p->state == LG_CLOSED)
		return;
	if (p->state == LG_UP)
		atomic_fetch_sub(&lg_totals.up, 1);
	p->state = LG_FAILED;
	snprintf(p->error, sizeof(p->error), "%s", why);
	if (atomic_fetch_add(&lg_totals.failed, 1) < 5)
		lg_say("%s participant %u: %s", p->member->room->name, p->member->index, why);
}

void lg_peer_close(struct lg_peer *p)
{
	lg_dtls_close(p);
	if (p->state != LG_FAILED)
		p->state = LG_CLOSED;
	lg_net->flush();
	lg_net->end(p);
	lg_crypto_close(p);
	free(p->stun);
	p->stun = NULL;
}

/* ---- sending ---- */

void lg_peer_send_source(struct lg_peer *p, struct lg_source *s, uint64_t now)
{
	uint8_t buf[LG_PACKET];
	uint32_t number = p->twcc_next;
	int len;

	s->level =
	    lg_talk_level(p->member->index, lg_sc.publishers, lg_sc.talkers, lg_sc.turn, now);
	len = (int)lg_source_next(s, buf, now);
	if (lg_crypto_protect(p, buf, &len, lg_source_roc(s))) {
		lg_peer_fail(p, "SRTP: cannot protect");
		return;
	}
	lg_net->send(p, buf, (size_t)len);
	if (p->twcc_next != number)
		lg_feedback_left(p, number, (size_t)len, now);
}

/* Its number for transport-wide feedback is a new one with RTX only: a plain repeat is the packet
 * as it was, and encrypted as it was. */
bool lg_peer_send_again(struct lg_peer *p, struct lg_source *s, uint16_t seq, uint64_t now)
{
	uint8_t buf[LG_PACKET];
	uint32_t number = p->twcc_next, roc = 0;
	int len = p->state == LG_UP ? (int)lg_source_again(s, seq, buf, &roc, now) : 0;

	if (!len || lg_crypto_protect(p, buf, &len, roc))
		return false;
	lg_net->send(p, buf, (size_t)len);
	if (p->twcc_next != number)
		lg_feedback_left(p, number, (size_t)len, now);
	return true;
}

void lg_peer_timer(struct lg_peer *p, uint64_t now)
{
	p->next_ns = now + TIMER_MS * 1000000ULL;
	if (p->state == LG_FAILED || p->state == LG_CLOSED)
		return;
	lg_ice_timer(p, now);
	lg_dtls_timer(p, now);
	if (p->state == LG_UP)
		lg_feedback_timer(p, now);
}
