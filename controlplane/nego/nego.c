/* Negotiation of one transport.
 *
 * sdp.c splits text into lines and attributes. remote.c reads a peer's description into m-lines by
 * itself, with codec.c, extmap.c, streams.c and transport.c for the parts. This file holds what
 * lives: it checks a description against those before it, agrees, and replaces the state in one
 * step when nothing can fail any more. write.c puts our side into text from that state; match.c
 * says which codecs are one and what we call them. save.c is the journal's view.
 *
 * Two shapes share struct cp_nego. As answerer, m-lines are the peer's and read anew at each offer;
 * only `user`, our SSRCs and what is bound to them are carried over. As offerer, m-lines are ours,
 * never removed, and reused: an inactive one for the next track of its kind, a refused one under a
 * new mid for any. An answer counts only for m-lines that have not been changed since the offer it
 * answers; the others wait for the next offer.
 *
 * Memory: media is one array, replaced whole; local and remote are the last texts. One thread, no
 * callbacks. */
#include "controlplane/nego/nego.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/nego/codec.h"
#include "controlplane/nego/remote.h"

static int copy_conf(struct cp_nego *n, const struct cp_nego_conf *conf)
{
	const char *in[] = {conf->ufrag, conf->pwd, conf->fingerprint, conf->cname};
	const size_t max[] = {SH_UFRAG_MAX, SH_PWD_MAX, 3 * 64 + 15, 32};
	const char **out[] = {&n->conf.ufrag, &n->conf.pwd, &n->conf.fingerprint, &n->conf.cname};
	char store[sizeof(n->store)];
	size_t at = 0;

	if (conf->addrs > SH_MAX_ADDRS)
		return -EINVAL;
	for (int i = 0; i < 4; i++) {
		if (!in[i] || !in[i][0] || strlen(in[i]) > max[i])
			return -EINVAL;
		memcpy(store + at, in[i], strlen(in[i]) + 1);
		at += strlen(in[i]) + 1;
	}
	if (conf->addrs)
		memmove(n->addr, conf->addr, conf->addrs * sizeof(n->addr[0]));
	memcpy(n->store, store, at);
	n->conf =
	    (struct cp_nego_conf){.addr = n->addr, .addrs = conf->addrs, .offerer = conf->offerer};
	at = 0;
	for (int i = 0; i < 4; i++) {
		*out[i] = n->store + at;
		at += strlen(n->store + at) + 1;
	}
	return 0;
}

int cp_nego_init(struct cp_nego *n, const struct cp_nego_conf *conf, uint64_t session_id)
{
	memset(n, 0, sizeof(*n));
	n->session_id = session_id & INT64_MAX; // RFC 8829 §5.2.1: 63 bits
	n->setup = CP_SETUP_ACTPASS;
	return copy_conf(n, conf);
}

void cp_nego_close(struct cp_nego *n)
{
	free(n->media);
	free(n->local);
	free(n->remote);
	explicit_bzero(n, sizeof(*n));
}

int cp_nego_restart(struct cp_nego *n, const struct cp_nego_conf *conf)
{
	struct cp_nego_conf c = *conf;

	c.offerer = n->conf.offerer;
	return copy_conf(n, &c);
}

static enum cp_dir reverse(enum cp_dir d)
{
	return (enum cp_dir)((d & CP_DIR_SEND ? CP_DIR_RECV : 0) |
	                     (d & CP_DIR_RECV ? CP_DIR_SEND : 0));
}

/* What the transport of a description means for ours: restart, role. Nothing is changed yet. */
static int agree_transport(const struct cp_nego *n, const struct cp_remote *r, bool *restarted,
                           enum cp_setup *setup)
{
	const struct cp_transport *t = &r->transport;
	uint32_t line = r->tag >= 0 ? r->sdp->media[r->tag].line : 0;
	bool known = n->rufrag[0] != '\0', same_key;

	*restarted = false;
	*setup = n->setup;
	if (r->tag < 0)
		return 0;
	*restarted = known && (strcmp(n->rufrag, t->ufrag) || strcmp(n->rpwd, t->pwd));
	same_key = known && strcmp(n->rfingerprint, t->fingerprint) == 0;
	if (known && !same_key && !*restarted) // RFC 8842 §4
		return cp_sdp_fail(r->err, -EPROTO, line,
		                   "fingerprint changed without an ICE restart");
	if (r->kind == CP_REMOTE_ANSWER && t->setup != CP_PEER_ACTIVE &&
	    t->setup != CP_PEER_PASSIVE)
		return cp_sdp_fail(r->err, -EPROTO, line,
		                   "an answer needs a=setup:active or passive");
	if (same_key && (t->setup == CP_PEER_ACTPASS || t->setup == CP_PEER_NONE))
		return 0; // RFC 8842 §5.3: the association stays, and so do the roles
	*setup = t->setup == CP_PEER_PASSIVE ? CP_SETUP_ACTIVE : CP_SETUP_PASSIVE;
	if (same_key && *setup != n->setup)
		return cp_sdp_fail(r->err, -EPROTO, line, "DTLS role changed in an association");
	return 0;
}

/* The point of no return: takes media and transport over from r. */
static void adopt(struct cp_nego *n, struct cp_remote *r, enum cp_setup setup, char *text)
{
	if (r->tag >= 0) {
		memcpy(n->rufrag, r->transport.ufrag, sizeof(n->rufrag));
		memcpy(n->rpwd, r->transport.pwd, sizeof(n->rpwd));
		memcpy(n->rfingerprint, r->transport.fingerprint, sizeof(n->rfingerprint));
		n->rtcp_rsize = r->rsize;
		n->ext_two_byte = r->mixed;
	}
	n->setup = setup;
	free(n->remote);
	n->remote = text;
}

static char *copy_text(const char *sdp, size_t len)
{
	char *text = malloc(len + 1);

	if (text) {
		memcpy(text, sdp, len);
		text[len] = '\0';
	}
	return text;
}

/* RFC 3264 §8, RFC 8829 §5.2.2: m-lines stay where they are; a refused one may come back as
 * another. */
static int check_order(const struct cp_nego *n, const struct cp_remote *r)
{
	if (r->n < n->n_media)
		return cp_sdp_fail(r->err, -EPROTO, 0, "%zu m-lines, %zu before", r->n, n->n_media);
	for (size_t i = 0; i < n->n_media; i++) {
		if (n->media[i].rejected)
			continue;
		if (strcmp(n->media[i].mid, r->media[i].mid))
			return cp_sdp_fail(r->err, -EPROTO, r->sdp->media[i].line,
			                   "another a=mid than before");
		if (!r->media[i].rejected && n->media[i].kind != r->media[i].kind)
			return cp_sdp_fail(r->err, -EPROTO, r->sdp->media[i].line,
			                   "another kind of media than before");
	}
	return 0;
}

/* What is ours of an m-line outlives the peer's new offer. */
static void carry_over(struct cp_media *m, const struct cp_media *old)
{
	if (strcmp(m->mid, old->mid))
		return;
	m->user = old->user;
	m->ssrc = old->ssrc;
	m->rtx_ssrc = old->rtx_ssrc;
	memcpy(m->cname, old->cname, sizeof(m->cname));
	if (!(m->dir & CP_DIR_SEND))
		return;
	memcpy(m->stream, old->stream, sizeof(m->stream));
	memcpy(m->track, old->track, sizeof(m->track));
	for (uint8_t i = 0; i < m->codecs; i++)
		for (uint8_t j = 0; j < old->codecs; j++)
			if (m->codec[i].pt == old->codec[j].pt &&
			    cp_codec_same(&m->codec[i], &old->codec[j]))
				m->codec[i].src_pt = old->codec[j].src_pt;
}

int cp_nego_offer_in(struct cp_nego *n, const char *sdp, size_t len, bool *ice_restarted, char *err)
{
	enum cp_setup setup = n->setup;
	struct cp_remote r;
	bool restarted = false;
	char *text;
	int rc;

	if (n->conf.offerer)
		return cp_sdp_fail(err, -EPROTO, 0, "this transport's offers are ours");
	rc = cp_remote_read(&r, sdp, len, CP_REMOTE_OFFER, err);
	if (rc)
		return rc;
	rc = check_order(n, &r);
	if (!rc)
		rc = agree_transport(n, &r, &restarted, &setup);
	text = rc ? NULL : copy_text(sdp, len);
	if (!rc && !text)
		rc = cp_sdp_fail(err, -ENOMEM, 0, "out of memory");
	if (rc) {
		cp_remote_close(&r);
		return rc;
	}
	for (size_t i = 0; i < r.n; i++) {
		struct cp_media *m = &r.media[i];

		m->dir = m->rejected ? CP_DIR_INACTIVE : reverse(r.m[i].peer);
		m->agreed = !m->rejected;
		if (i < n->n_media)
			carry_over(m, &n->media[i]);
	}
	adopt(n, &r, setup, text);
	free(n->media);
	n->media = r.media;
	n->n_media = r.n;
	n->room = r.n + 1;
	r.media = NULL;
	cp_remote_close(&r);
	*ice_restarted = restarted;
	return 0;
}

/* One payload type, one configuration in a BUNDLE (RFC 8843 §9.1): whoever used it first sets the
 * fmtp. */
static void settle_fmtp(const struct cp_nego *n, struct cp_media *m, size_t index)
{
	for (uint8_t c = 0; c < m->codecs; c++)
		for (size_t i = 0; i < n->n_media; i++)
			for (uint8_t k = 0; k < n->media[i].codecs && i != index; k++)
				if (n->media[i].codec[k].pt == m->codec[c].pt) {
					memcpy(m->codec[c].fmtp, n->media[i].codec[k].fmtp,
					       sizeof(m->codec[c].fmtp));
					i = n->n_media - 1;
					break;
				}
}

static int make_send(const struct cp_nego *n, struct cp_media *m, size_t index,
                     const struct cp_nego_send *send)
{
	memset(m, 0, sizeof(*m));
	if (!n->conf.offerer || strlen(send->stream) >= sizeof(m->stream) ||
	    strlen(send->track) >= sizeof(m->track))
		return -EINVAL;
	m->codecs = cp_codecs_ours(m->codec, send->src, send->n_src);
	if (!m->codecs)
		return -EPROTO;
	settle_fmtp(n, m, index);
	m->kind = send->kind;
	m->dir = CP_DIR_SEND;
	m->ssrc = send->ssrc;
	for (uint8_t i = 0; i < m->codecs; i++)
		if (m->codec[i].codec == SH_CODEC_RTX)
			m->rtx_ssrc = send->rtx_ssrc;
	memcpy(m->stream, send->stream, strlen(send->stream) + 1);
	memcpy(m->track, send->track, strlen(send->track) + 1);
	memcpy(m->cname, n->conf.cname, strlen(n->conf.cname) + 1);
	for (unsigned e = 0; e < SH_EXT_COUNT; e++)
		if (cp_ext_wanted(e, m->kind, true))
			m->ext_id[e] = cp_ext_ours[e];
	m->user = send->user;
	return 0;
}

/* An m-line to reuse, or n_media. */
static size_t find_free(const struct cp_nego *n, enum sh_kind kind)
{
	for (size_t i = 0; i < n->n_media; i++)
		if (!n->media[i].user &&
		    (n->media[i].rejected ||
		     (n->media[i].dir == CP_DIR_INACTIVE && n->media[i].kind == kind)))
			return i;
	return n->n_media;
}

int cp_nego_send_add(struct cp_nego *n, size_t *index, const struct cp_nego_send *send)
{
	size_t i = find_free(n, send->kind);
	struct cp_media m;
	int rc = make_send(n, &m, i, send);

	if (rc)
		return rc;
	if (i == CP_NEGO_MEDIA_MAX)
		return -E2BIG;
	if (i == n->room) {
		struct cp_media *media = realloc(n->media, (n->room * 2 + 2) * sizeof(*media));

		if (!media)
			return -ENOMEM;
		n->media = media;
		n->room = n->room * 2 + 2;
	}
	if (i == n->n_media ||
	    n->media[i].rejected) // a refused m-line comes back under another name
		snprintf(m.mid, sizeof(m.mid), "%u", n->next_mid++);
	else
		memcpy(m.mid, n->media[i].mid, sizeof(m.mid));
	n->media[i] = m;
	if (i == n->n_media)
		n->n_media++;
	*index = i;
	return 0;
}

int cp_nego_send_change(struct cp_nego *n, size_t index, const struct cp_nego_send *send)
{
	struct cp_media m;
	int rc;

	if (index >= n->n_media || n->media[index].rejected || n->media[index].kind != send->kind)
		return -EINVAL;
	rc = make_send(n, &m, index, send);
	if (rc)
		return rc;
	memcpy(m.mid, n->media[index].mid, sizeof(m.mid));
	n->media[index] = m;
	return 0;
}

void cp_nego_send_remove(struct cp_nego *n, size_t index)
{
	if (index >= n->n_media)
		return;
	n->media[index].user = NULL;
	n->media[index].dir = CP_DIR_INACTIVE;
	n->media[index].agreed = n->media[index].offered = false;
}

int cp_nego_send_fill(struct cp_nego *n, size_t index, const struct cp_nego_send *send)
{
	struct cp_media *m;

	if (n->conf.offerer || index >= n->n_media)
		return -EINVAL;
	m = &n->media[index];
	if (m->rejected || m->kind != send->kind || !(m->dir & CP_DIR_SEND) ||
	    strlen(send->stream) >= sizeof(m->stream) || strlen(send->track) >= sizeof(m->track))
		return -EINVAL;
	if (!cp_codecs_bind(m->codec, m->codecs, send->src, send->n_src))
		return -EPROTO;
	m->dir = CP_DIR_SEND;
	m->ssrc = send->ssrc;
	m->rtx_ssrc = 0;
	for (uint8_t i = 0; i < m->codecs; i++)
		if (m->codec[i].codec == SH_CODEC_RTX && m->codec[i].src_pt != 255)
			m->rtx_ssrc = send->rtx_ssrc;
	memmove(m->stream, send->stream, strlen(send->stream) + 1); // they may be m's own
	memmove(m->track, send->track, strlen(send->track) + 1);
	memcpy(m->cname, n->conf.cname, strlen(n->conf.cname) + 1);
	m->user = send->user;
	return 0;
}

static const struct cp_codec *answered(const struct cp_media *r, const struct cp_codec *ours)
{
	for (uint8_t i = 0; i < r->codecs; i++)
		if (r->codec[i].pt == ours->pt && r->codec[i].apt == ours->apt &&
		    cp_codec_same(&r->codec[i], ours))
			return &r->codec[i];
	return NULL;
}

/* Keeps of our m-line what the answer has too. */
static void narrow(struct cp_media *m, const struct cp_media *r, enum cp_dir peer)
{
	uint8_t n = 0;
	bool media = false, rtx = false;

	for (uint8_t i = 0; i < m->codecs; i++) {
		const struct cp_codec *a = answered(r, &m->codec[i]);
		struct cp_codec *c = &m->codec[n];

		if (!a)
			continue;
		*c = m->codec[i];
		c->nack = c->nack && a->nack;
		c->pli = c->pli && a->pli;
		c->fir = c->fir && a->fir;
		c->remb = c->remb && a->remb;
		c->twcc = c->twcc && a->twcc;
		media |= cp_codec_is_media(c);
		rtx |= c->codec == SH_CODEC_RTX;
		n++;
	}
	m->agreed = true;
	if (!media || !(peer & CP_DIR_RECV)) {
		m->dir = CP_DIR_INACTIVE; // the codecs stay as they were: an m-line must name some
		return;
	}
	m->codecs = n;
	if (!rtx)
		m->rtx_ssrc = 0;
	for (unsigned e = 0; e < SH_EXT_COUNT; e++)
		if (cp_ext_wanted(e, m->kind, true))
			m->ext_id[e] = r->ext_id[e] == cp_ext_ours[e] ? cp_ext_ours[e] : 0;
}

static int check_answer(const struct cp_nego *n, const struct cp_remote *r)
{
	if (r->n != n->n_offered)
		return cp_sdp_fail(r->err, -EPROTO, 0, "%zu m-lines answer %zu", r->n,
		                   n->n_offered);
	for (size_t i = 0; i < r->n; i++) {
		uint32_t line = r->sdp->media[i].line;

		if (!n->media[i].offered || r->m[i].port_zero)
			continue;
		if (n->media[i].rejected)
			return cp_sdp_fail(r->err, -EPROTO, line,
			                   "answers an m-line that was offered with port 0");
		if (r->media[i].kind != n->media[i].kind)
			return cp_sdp_fail(r->err, -EPROTO, line,
			                   "another kind of media than offered");
		if (strcmp(r->media[i].mid, n->media[i].mid))
			return cp_sdp_fail(r->err, -EPROTO, line, "another a=mid than offered");
		if (!r->m[i].bundled)
			return cp_sdp_fail(r->err, -EPROTO, line,
			                   "accepted outside the BUNDLE group");
	}
	return 0;
}

int cp_nego_answer_in(struct cp_nego *n, const char *sdp, size_t len, char *err)
{
	enum cp_setup setup = n->setup;
	struct cp_remote r;
	char *text = NULL;
	bool restarted;
	int rc;

	if (!n->offered)
		return cp_sdp_fail(err, -EPROTO, 0, "no offer awaits an answer");
	rc = cp_remote_read(&r, sdp, len, CP_REMOTE_ANSWER, err);
	if (rc)
		return rc;
	rc = check_answer(n, &r);
	if (!rc)
		rc = agree_transport(n, &r, &restarted, &setup);
	if (!rc) {
		text = copy_text(sdp, len);
		rc = text ? 0 : cp_sdp_fail(err, -ENOMEM, 0, "out of memory");
	}
	for (size_t i = 0; i < r.n && !rc; i++) {
		struct cp_media *m = &n->media[i];

		if (!m->offered || m->rejected)
			continue;
		if (r.m[i].port_zero) {
			m->rejected = m->agreed = true;
			m->dir = CP_DIR_INACTIVE;
		} else if (m->dir & CP_DIR_SEND) {
			narrow(m, &r.media[i], r.m[i].peer);
		} else {
			m->agreed = true;
		}
	}
	if (!rc) {
		adopt(n, &r, setup, text);
		n->offered = false;
	}
	cp_remote_close(&r);
	return rc;
}

void cp_nego_track_pts(const struct cp_media *m, struct sh_track_pt pt[SH_MAX_PTS])
{
	for (uint8_t i = 0; i < SH_MAX_PTS; i++) {
		pt[i] = (struct sh_track_pt){.pt = 255, .apt_slot = 255};
		if (i >= m->codecs)
			continue;
		pt[i].pt = m->codec[i].pt;
		pt[i].codec = m->codec[i].codec;
		pt[i].clock_hz = m->codec[i].clock_hz;
		for (uint8_t k = 0; k < m->codecs && k < SH_MAX_PTS; k++)
			if (m->codec[i].codec == SH_CODEC_RTX && m->codec[k].pt == m->codec[i].apt)
				pt[i].apt_slot = k;
	}
}

void cp_nego_sub_pts(const struct cp_media *m, const struct sh_track_pt track[SH_MAX_PTS],
                     uint8_t pt[SH_MAX_PTS])
{
	memset(pt, 255, SH_MAX_PTS);
	if (m->rejected || !(m->dir & CP_DIR_SEND))
		return;
	for (unsigned i = 0; i < SH_MAX_PTS; i++)
		for (uint8_t k = 0; k < m->codecs && track[i].pt != 255; k++)
			if (m->codec[k].src_pt == track[i].pt &&
			    m->codec[k].codec == track[i].codec)
				pt[i] = m->codec[k].pt;
}

void cp_nego_ext_ids(const struct cp_nego *n, uint8_t ext_id[SH_EXT_COUNT])
{
	memset(ext_id, 0, SH_EXT_COUNT);
	for (size_t i = 0; i < n->n_media; i++)
		for (unsigned e = 0; e < SH_EXT_COUNT && !n->media[i].rejected; e++)
			if (n->media[i].ext_id[e])
				ext_id[e] = n->media[i].ext_id[e];
	if (!(cp_nego_feedback(n) & SH_EP_TWCC))
		ext_id[SH_EXT_TWCC] = 0;
}
