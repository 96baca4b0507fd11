/* One transport as a client has it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include "bench/loadgen/lg.h"

enum {
	REPORT_MS = 1000,
	TIMER_MS = 50,
	DECRYPT_FIRST = 4, // of each stream, whatever srtp.sample says
	AUDIO_HZ = 48000,
	VIDEO_HZ = 90000,
};

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
	struct lg_peer *p = calloc(1, sizeof(*p));
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
	};
}

static void add_source(struct lg_peer *p, bool video, unsigned line, unsigned layer,
                       unsigned layers)
{
	struct lg_source *s = calloc(1, sizeof(*s));
	struct lg_source_conf c = {
	    .video = video,
	    .paced = lg_sc.paced,
	    .ssrc = lg_random32(),
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
	snprintf(c.mid, sizeof(c.mid), "%u", line);
	if (layers > 1) {
		snprintf(c.rid, sizeof(c.rid), "%u", layer);
		c.mid_id = LG_EXT_MID;
		c.rid_id = LG_EXT_RID;
	}
	lg_source_init(s, &c, lg_now());
	p->source[p->n_sources++] = s;
}

unsigned lg_peer_offers(struct lg_peer *p, struct lg_sdp_want *want)
{
	unsigned n = 0, layers = p->sdes ? 1 : lg_sc.layers;

	if (lg_sc.audio) {
		add_source(p, false, n, 0, 1);
		want[n++] = (struct lg_sdp_want){.send = true, .ssrc = p->source[0]->conf.ssrc};
	}
	if (lg_sc.video) {
		for (unsigned i = 0; i < layers; i++)
			add_source(p, true, n, i, layers);
		want[n] = (struct lg_sdp_want){.video = true,
		                               .send = true,
		                               .layers = layers,
		                               .ssrc = p->source[p->n_sources - 1]->conf.ssrc};
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

int lg_peer_remote(struct lg_peer *p, const struct lg_sdp *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		const struct lg_sdp_media *m = &s->media[i];

		if (m->rejected || m->other)
			continue;
		if (m->pt != LG_PT_NONE)
			p->pt[m->video] = m->pt;
		if (m->rtx != LG_PT_NONE)
			p->rtx[m->video] = m->rtx;
	}
	for (unsigned i = 0; i < p->n_sources; i++)
		p->source[i]->conf.pt = p->pt[p->source[i]->conf.video];
	if (p->remote.sin_port) // a later offer of the same transport
		return 0;
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
	p->report_ns = now + REPORT_MS * 1000000ULL / 2 + lg_random32() % (REPORT_MS * 500000);
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
	int len = (int)lg_source_next(s, buf, now);

	if (srtp_protect(p->out, buf, &len) != srtp_err_status_ok) {
		lg_peer_fail(p, "SRTP: cannot protect");
		return;
	}
	lg_net->send(p, buf, (size_t)len);
}

static void send_rtcp(struct lg_peer *p, uint8_t *buf, size_t len)
{
	int n = (int)len;

	if (srtp_protect_rtcp(p->out, buf, &n) == srtp_err_status_ok)
		lg_net->send(p, buf, (size_t)n);
}

static void send_reports(struct lg_peer *p, uint64_t now)
{
	uint8_t buf[LG_PACKET];
	struct lg_rx_report block[LG_RTCP_BLOCKS];
	unsigned n = 0;

	for (unsigned i = 0; i < p->n_sources; i++) {
		const struct lg_source *s = p->source[i];
		struct lg_sr sr = {
		    .ssrc = s->conf.ssrc,
		    .rtp_ts = s->last_ts,
		    .packets = (uint32_t)s->packets,
		    .bytes = (uint32_t)s->bytes,
		    .ntp = now / 1000000000 << 32 | (now % 1000000000 << 32) / 1000000000,
		};

		send_rtcp(p, buf, lg_rtcp_sr(buf, &sr, "load"));
	}
	for (unsigned i = 0; i < p->n_streams; i++) {
		if (p->stream[i].rtx || !p->stream[i].rx.packets)
			continue;
		lg_rx_report(&p->stream[i].rx, &block[n++], now);
		if (n == LG_RTCP_BLOCKS) {
			send_rtcp(p, buf, lg_rtcp_rr(buf, p->ssrc, block, n, "load"));
			n = 0;
		}
	}
	if (n)
		send_rtcp(p, buf, lg_rtcp_rr(buf, p->ssrc, block, n, "load"));
}

void lg_peer_timer(struct lg_peer *p, uint64_t now)
{
	p->next_ns = now + TIMER_MS * 1000000ULL;
	if (p->state == LG_FAILED || p->state == LG_CLOSED)
		return;
	lg_ice_timer(p, now);
	lg_dtls_timer(p, now);
	if (p->state == LG_UP && now >= p->report_ns) {
		p->report_ns += REPORT_MS * 1000000ULL;
		send_reports(p, now);
	}
}

/* ---- receiving ---- */

static bool more_streams(struct lg_peer *p)
{
	unsigned n = p->cap_streams * 2 + 2;
	struct lg_stream *s = realloc(p->stream, n * sizeof(*s));
	uint32_t *ssrcs = realloc(p->ssrcs, n * sizeof(*ssrcs));

	if (s)
		p->stream = s;
	if (ssrcs)
		p->ssrcs = ssrcs;
	if (!s || !ssrcs)
		return false;
	p->cap_streams = n;
	return true;
}

static struct lg_stream *stream_of(struct lg_peer *p, uint32_t ssrc, uint8_t pt)
{
	struct lg_stream *s;
	bool video;

	for (unsigned i = 0; i < p->n_streams; i++)
		if (p->ssrcs[i] == ssrc)
			return &p->stream[i];
	if (p->n_streams == p->cap_streams && !more_streams(p))
		return NULL;
	s = &p->stream[p->n_streams];
	memset(s, 0, sizeof(*s));
	video = pt == p->pt[1] || pt == p->rtx[1];
	lg_rx_init(&s->rx, ssrc, pt, video, video ? VIDEO_HZ : AUDIO_HZ);
	s->rtx = pt == p->rtx[0] || pt == p->rtx[1];
	p->ssrcs[p->n_streams++] = ssrc;
	return s;
}

/* Of payload: past the CSRCs and the extension (RFC 3550 §5.1, §5.3.1); 0: malformed. */
static size_t header_len(const uint8_t *b, size_t len)
{
	size_t n = 12 + 4U * (b[0] & 15);

	if (b[0] & 0x10) {
		if (n + 4 > len)
			return 0;
		n += 4 + 4 * ((size_t)b[n + 2] << 8 | b[n + 3]);
	}
	return n <= len ? n : 0;
}

static void decrypt(struct lg_peer *p, struct lg_stream *s, uint8_t *buf, size_t len, uint64_t now)
{
	int n = (int)len;
	size_t head;
	uint64_t made;

	if (srtp_unprotect(p->in, buf, &n) != srtp_err_status_ok) {
		s->bad++;
		atomic_store_explicit(&lg_totals.bad, atomic_load(&lg_totals.bad) + 1,
		                      memory_order_relaxed);
		return;
	}
	s->decrypted++;
	head = header_len(buf, (size_t)n);
	made = head ? lg_stamp(buf + head, (size_t)n - head) : 0;
	if (made && now > made)
		lg_hist_add(&lg_latency, now - made);
}

static void first_of_stream(struct lg_peer *p, uint64_t now)
{
	p->alive++;
	if (!p->first_ns)
		p->first_ns = now;
	if (p->alive == p->expects && !p->media_ns) {
		p->media_ns = now;
		atomic_fetch_add(&lg_totals.alive, 1);
	}
}

static void count(_Atomic uint64_t *v, uint64_t n)
{
	atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n,
	                      memory_order_relaxed); // one writer
}

static void take_rtp(struct lg_peer *p, uint8_t *buf, size_t len, uint64_t now)
{
	uint32_t ssrc, ts;
	uint16_t seq;
	struct lg_stream *s;

	if (len < 12 || !p->in)
		return;
	seq = (uint16_t)(buf[2] << 8 | buf[3]);
	ts = (uint32_t)buf[4] << 24 | (uint32_t)buf[5] << 16 | (uint32_t)buf[6] << 8 | buf[7];
	ssrc = (uint32_t)buf[8] << 24 | (uint32_t)buf[9] << 16 | (uint32_t)buf[10] << 8 | buf[11];
	s = stream_of(p, ssrc, buf[1] & 0x7f);
	if (!s)
		return;
	if (s->rtx) {
		count(&lg_totals.rtx, 1);
		return;
	}
	if (!s->rx.first_ns)
		first_of_stream(p, now);
	if (!lg_rx_packet(&s->rx, seq, ts, now))
		return;
	count(&lg_totals.received, 1);
	count(&lg_totals.bytes, len);
	if (s->decrypted < DECRYPT_FIRST || (seq + p->index) % lg_sc.sample == 0)
		decrypt(p, s, buf, len, now);
}

static void on_sr(void *arg, uint32_t ssrc, uint32_t ntp_middle)
{
	struct lg_peer *p = arg;

	for (unsigned i = 0; i < p->n_streams; i++)
		if (p->stream[i].rx.ssrc == ssrc) {
			p->stream[i].rx.last_sr = ntp_middle;
			p->stream[i].rx.last_sr_ns = lg_now();
		}
}

static void on_key_frame(void *arg, uint32_t ssrc)
{
	struct lg_peer *p = arg;

	for (unsigned i = 0; i < p->n_sources; i++)
		if (p->source[i]->conf.ssrc == ssrc && p->source[i]->conf.video)
			lg_source_key(p->source[i]);
}

static void take_rtcp(struct lg_peer *p, uint8_t *buf, size_t len)
{
	struct lg_rtcp_in in = {.arg = p, .sr = on_sr, .key_frame = on_key_frame};
	int n = (int)len;

	if (!p->in || srtp_unprotect_rtcp(p->in, buf, &n) != srtp_err_status_ok)
		return;
	lg_rtcp_parse(buf, (size_t)n, &in);
}

/* RFC 7983 §7, RFC 5761 §4. */
void lg_peer_input(struct lg_peer *p, uint8_t *buf, size_t len, uint64_t now)
{
	if (len < 2)
		return;
	if (buf[0] >= 128 && buf[0] < 192) {
		if (buf[1] >= 192 && buf[1] < 224)
			take_rtcp(p, buf, len);
		else
			take_rtp(p, buf, len, now);
	} else if (buf[0] >= 20 && buf[0] < 64) {
		lg_dtls_input(p, buf, len, now);
	} else if (buf[0] < 4) {
		lg_ice_input(p, buf, len, now);
	}
}
