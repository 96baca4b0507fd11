/* Our side as text: offers, answers, fragments. Transport attributes stand in every m-line, as all
 * browsers write them, and in refused ones too, since aiortc and webrtcbin look for them there;
 * candidates only in the tagged one. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/nego/codec.h"
#include "controlplane/nego/remote.h"

static const char *const dir_name[] = {"inactive", "sendonly", "recvonly", "sendrecv"};

static const char *host(const struct sh_addr *a, char buf[INET6_ADDRSTRLEN])
{
	return inet_ntop(a->family == 6 ? AF_INET6 : AF_INET, a->ip, buf, INET6_ADDRSTRLEN);
}

/* Head of an m-line and its c=: the default candidate (RFC 8839 §4.2.1.2), or the JSEP dummy. */
static void put_media(struct cp_sdp_out *o, const struct cp_nego *n, const char *media,
                      const char *proto, bool live)
{
	const struct sh_addr *a = live && n->conf.addrs ? &n->conf.addr[0] : NULL;

	cp_sdp_put(o, "m=%s %u %s", media, live ? (a ? a->port : 9u) : 0u, proto);
}

static void put_connection(struct cp_sdp_out *o, const struct cp_nego *n, bool live)
{
	const struct sh_addr *a = live && n->conf.addrs ? &n->conf.addr[0] : NULL;
	char ip[INET6_ADDRSTRLEN];

	cp_sdp_put(o, "\r\nc=IN IP%c %s\r\n", a && a->family == 6 ? '6' : '4',
	           a ? host(a, ip) : "0.0.0.0");
}

static void put_candidates(struct cp_sdp_out *o, const struct cp_nego *n)
{
	char ip[INET6_ADDRSTRLEN];

	for (size_t i = 0; i < n->conf.addrs; i++) {
		const struct sh_addr *a = &n->conf.addr[i];
		uint32_t priority =
		    126u << 24 | (uint32_t)(65535 - i) << 8 | 255; // RFC 8445 §5.1.2.1

		cp_sdp_put(o, "a=candidate:%zu 1 udp %u %s %u typ host\r\n", i + 1, priority,
		           host(a, ip), a->port);
	}
	cp_sdp_put(o, "a=end-of-candidates\r\n");
}

static void put_credentials(struct cp_sdp_out *o, const struct cp_nego *n)
{
	cp_sdp_put(o, "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\n", n->conf.ufrag, n->conf.pwd);
}

static void put_transport(struct cp_sdp_out *o, const struct cp_nego *n, const char *setup)
{
	put_credentials(o, n);
	cp_sdp_put(o, "a=ice-options:trickle\r\na=fingerprint:%s\r\na=setup:%s\r\na=rtcp-mux\r\n",
	           n->conf.fingerprint, setup);
}

static const char *answer_setup(const struct cp_nego *n)
{
	return n->setup == CP_SETUP_ACTIVE ? "active" : "passive";
}

static bool listed_before(const struct cp_media *m, uint8_t i)
{
	for (uint8_t k = 0; k < i; k++)
		if (m->codec[k].pt == m->codec[i].pt)
			return true;
	return false;
}

static void put_formats(struct cp_sdp_out *o, const struct cp_media *m)
{
	for (uint8_t i = 0; i < m->codecs; i++)
		if (!m->codec[i].local && !listed_before(m, i))
			cp_sdp_put(o, " %u", m->codec[i].pt);
}

static void put_codec(struct cp_sdp_out *o, const struct cp_codec *c)
{
	static const char *const name[] = {
#define X(sym, text, kind, hz) text,
	    SH_CODEC_LIST(X)
#undef X
	};

	cp_sdp_put(o, "a=rtpmap:%u %s/%u%s\r\n", c->pt, name[c->codec], c->clock_hz,
	           c->channels == 2 ? "/2" : "");
	if (c->nack)
		cp_sdp_put(o, "a=rtcp-fb:%u nack\r\n", c->pt);
	if (c->pli)
		cp_sdp_put(o, "a=rtcp-fb:%u nack pli\r\n", c->pt);
	if (c->fir)
		cp_sdp_put(o, "a=rtcp-fb:%u ccm fir\r\n", c->pt);
	if (c->remb)
		cp_sdp_put(o, "a=rtcp-fb:%u goog-remb\r\n", c->pt);
	if (c->twcc)
		cp_sdp_put(o, "a=rtcp-fb:%u transport-cc\r\n", c->pt);
	if (c->fmtp[0])
		cp_sdp_put(o, "a=fmtp:%u %s\r\n", c->pt, c->fmtp);
}

static void put_codecs(struct cp_sdp_out *o, const struct cp_media *m)
{
	for (uint8_t i = 0; i < m->codecs; i++)
		if (!m->codec[i].local && !listed_before(m, i))
			put_codec(o, &m->codec[i]);
}

static void put_sent_stream(struct cp_sdp_out *o, const struct cp_media *m)
{
	if (m->stream[0] || m->track[0])
		cp_sdp_put(o, "a=msid:%s%s%s\r\n", m->stream[0] ? m->stream : "-",
		           m->track[0] ? " " : "", m->track);
	if (!m->ssrc)
		return;
	if (m->rtx_ssrc)
		cp_sdp_put(o, "a=ssrc-group:FID %u %u\r\n", m->ssrc, m->rtx_ssrc);
	cp_sdp_put(o, "a=ssrc:%u cname:%s\r\n", m->ssrc, m->cname);
	if (m->rtx_ssrc)
		cp_sdp_put(o, "a=ssrc:%u cname:%s\r\n", m->rtx_ssrc, m->cname);
}

static void put_session(struct cp_sdp_out *o, struct cp_nego *n, bool mixed)
{
	n->version++; // RFC 3264 §8: every description is a new one
	cp_sdp_put(o, "v=0\r\no=- %llu %llu IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-lite\r\n",
	           (unsigned long long)n->session_id, (unsigned long long)n->version);
	if (mixed)
		cp_sdp_put(o, "a=extmap-allow-mixed\r\n");
	cp_sdp_put(o, "a=msid-semantic: WMS *\r\n");
}

static int finish(struct cp_sdp_out *o, struct cp_nego *n, char **sdp)
{
	char *copy;

	if (!o->err) {
		copy = malloc(o->len + 1);
		if (copy) {
			memcpy(copy, o->text, o->len + 1);
			free(n->local);
			n->local = o->text;
			*sdp = copy;
			return 0;
		}
		o->err = -ENOMEM;
	}
	free(o->text);
	n->version--;
	return o->err;
}

static void put_offer_media(struct cp_sdp_out *o, const struct cp_nego *n, const struct cp_media *m,
                            bool tagged)
{
	put_media(o, n, m->kind == SH_KIND_AUDIO ? "audio" : "video", "UDP/TLS/RTP/SAVPF",
	          !m->rejected);
	put_formats(o, m);
	put_connection(o, n, !m->rejected);
	cp_sdp_put(o, "a=mid:%s\r\n", m->mid);
	put_transport(o, n, "actpass");
	if (tagged)
		put_candidates(o, n);
	cp_sdp_put(o, "a=rtcp-rsize\r\na=%s\r\n", dir_name[m->rejected ? CP_DIR_INACTIVE : m->dir]);
	for (unsigned e = 0; e < SH_EXT_COUNT; e++)
		if (cp_ext_ours[e] && cp_ext_wanted(e, m->kind, true))
			cp_sdp_put(o, "a=extmap:%u %s\r\n", cp_ext_ours[e], cp_ext_uri(e));
	put_codecs(o, m);
	if (!m->rejected && m->dir & CP_DIR_SEND)
		put_sent_stream(o, m);
}

int cp_nego_offer_out(struct cp_nego *n, char **sdp)
{
	struct cp_sdp_out o = {0};
	size_t tag = n->n_media;
	bool group = false;
	int rc;

	if (!n->conf.offerer)
		return -EPROTO;
	put_session(&o, n, true);
	for (size_t i = n->n_media; i-- > 0;)
		if (!n->media[i].rejected)
			tag = i;
	for (size_t i = tag; i < n->n_media; i++)
		if (!n->media[i].rejected) {
			cp_sdp_put(&o, "%s %s", group ? "" : "a=group:BUNDLE", n->media[i].mid);
			group = true;
		}
	if (group)
		cp_sdp_put(&o, "\r\n");
	for (size_t i = 0; i < n->n_media; i++)
		put_offer_media(&o, n, &n->media[i], i == tag);
	rc = finish(&o, n, sdp);
	if (rc)
		return rc;
	for (size_t i = 0; i < n->n_media; i++)
		n->media[i].offered = true;
	n->n_offered = n->n_media;
	n->offered = true;
	return 0;
}

static int layer_of(const struct cp_media *m, const char *rid)
{
	for (uint8_t l = 0; l < m->layers; l++)
		if (strlen(rid) == m->layer[l].rid_len &&
		    memcmp(rid, m->layer[l].rid, m->layer[l].rid_len) == 0)
			return l;
	return -1;
}

/* Of the alternatives of a simulcast stream the one that streams.c took: the first that no stream
 * before it has. */
static const char *taken(const struct cp_media *m, const char *alternatives,
                         bool done[SH_MAX_LAYERS], char alt[64])
{
	while (cp_sdp_token(&alternatives, ",", alt, 64) > 0) {
		const char *rid = alt + (alt[0] == '~');
		int l = layer_of(m, rid);

		if (l < 0 || done[l])
			continue;
		done[l] = true;
		return rid;
	}
	return NULL;
}

/* RFC 8851 §6.2.2: the rids we take, with the restrictions they came with; RFC 8853 §5.3.2: in the
 * order offered. */
static void put_rids(struct cp_sdp_out *o, const struct cp_remote *r, size_t i,
                     const struct cp_media *m)
{
	const struct cp_sdp_attr *a = NULL;
	const char *sep = "a=simulcast:recv ";
	char rid[SH_MID_MAX + 1], dir[8];
	bool done[SH_MAX_LAYERS] = {false};

	while ((a = cp_sdp_attr(r->sdp, &r->sdp->media[i], CP_SDP_RID, a))) {
		const char *rest = a->value;

		cp_sdp_token(&rest, " ", rid, sizeof(rid));
		cp_sdp_token(&rest, " ", dir, sizeof(dir));
		if (strcmp(dir, "send") == 0 && layer_of(m, rid) >= 0 && !strstr(rest, "pt="))
			cp_sdp_put(o, "a=rid:%s recv%s\r\n", rid, rest);
		else if (strcmp(dir, "send") == 0 && layer_of(m, rid) >= 0)
			cp_sdp_put(o, "a=rid:%s recv\r\n",
			           rid); // its payload types may not have survived
	}
	a = cp_sdp_attr(r->sdp, &r->sdp->media[i], CP_SDP_SIMULCAST, NULL);
	if (!a || m->layers < 2 || !m->layer[0].rid_len)
		return;
	for (const char *text = a->value; *text;) {
		char list[256];
		const char *p = list;
		bool send;

		cp_sdp_token(&text, " ", dir, sizeof(dir));
		cp_sdp_token(&text, " ", list, sizeof(list));
		send = strcmp(dir, "send") == 0;
		while (send && *p) {
			char alternatives[64], alt[64];
			const char *id;

			cp_sdp_token(&p, ";", alternatives, sizeof(alternatives));
			id = taken(m, alternatives, done, alt);
			if (!id)
				continue;
			cp_sdp_put(o, "%s%s", sep, id);
			sep = ";";
		}
	}
	if (*sep == ';')
		cp_sdp_put(o, "\r\n");
}

static void put_extmaps(struct cp_sdp_out *o, const struct cp_remote *r, size_t i,
                        const struct cp_media *m)
{
	for (unsigned e = 0; e < SH_EXT_COUNT; e++) {
		unsigned said = r->m[i].ext_dir[e]; // in the peer's words, plus 1
		const char *suffix = "";

		if (!m->ext_id[e])
			continue;
		if (said == 1 + CP_DIR_SEND)
			suffix = "/recvonly";
		else if (said == 1 + CP_DIR_RECV)
			suffix = "/sendonly";
		cp_sdp_put(o, "a=extmap:%u%s %s\r\n", m->ext_id[e], suffix, cp_ext_uri(e));
	}
}

static void put_answer_media(struct cp_sdp_out *o, const struct cp_nego *n,
                             const struct cp_remote *r, size_t i, bool tagged)
{
	const struct cp_sdp_media *theirs = &r->sdp->media[i];
	const struct cp_media *m = &n->media[i];
	unsigned offered = (r->m[i].peer & CP_DIR_SEND ? CP_DIR_RECV : 0) |
	                   (r->m[i].peer & CP_DIR_RECV ? CP_DIR_SEND : 0);
	unsigned dir = m->dir & offered;

	put_media(o, n, theirs->media, theirs->proto, !m->rejected);
	if (m->rejected) {
		cp_sdp_put(o, " %s", theirs->fmts);
		put_connection(o, n, false);
		if (m->mid[0])
			cp_sdp_put(o, "a=mid:%s\r\n", m->mid);
		put_transport(o, n, answer_setup(n));
		cp_sdp_put(o, "a=inactive\r\n");
		return;
	}
	put_formats(o, m);
	put_connection(o, n, true);
	if (m->mid[0])
		cp_sdp_put(o, "a=mid:%s\r\n", m->mid);
	put_transport(o, n, answer_setup(n));
	if (tagged)
		put_candidates(o, n);
	if (r->m[i].rsize)
		cp_sdp_put(o, "a=rtcp-rsize\r\n");
	cp_sdp_put(o, "a=%s\r\n", dir_name[dir]);
	put_extmaps(o, r, i, m);
	put_codecs(o, m);
	if (dir & CP_DIR_SEND)
		put_sent_stream(o, m);
	if (dir & CP_DIR_RECV)
		put_rids(o, r, i, m);
}

int cp_nego_answer_out(struct cp_nego *n, char **sdp)
{
	struct cp_sdp_out o = {0};
	char err[CP_NEGO_ERROR_MAX];
	struct cp_remote r;
	size_t tag;
	bool group = false;
	int rc;

	if (n->conf.offerer || !n->remote)
		return -EPROTO;
	rc = cp_remote_read(&r, n->remote, strlen(n->remote), CP_REMOTE_OFFER, err);
	if (rc)
		return rc;
	put_session(&o, n, r.mixed);
	tag = r.n;
	for (unsigned position = 0; position <= r.n;
	     position++) // the offer's order (RFC 8843 §7.3.1)
		for (size_t i = 0; i < r.n; i++) {
			if (n->media[i].rejected || r.m[i].bundled != position)
				continue;
			if (tag == r.n)
				tag = i;
			if (r.has_bundle)
				cp_sdp_put(&o, "%s %s", group ? "" : "a=group:BUNDLE",
				           n->media[i].mid);
			group = r.has_bundle;
		}
	if (group)
		cp_sdp_put(&o, "\r\n");
	for (size_t i = 0; i < r.n; i++)
		put_answer_media(&o, n, &r, i, i == tag);
	cp_remote_close(&r);
	return finish(&o, n, sdp);
}

int cp_nego_fragment_in(const char *frag, size_t len, char ufrag[257], char pwd[257], char *err)
{
	struct cp_transport t = {0}, m;
	struct cp_sdp *s;
	int rc = cp_sdp_parse(&s, frag, len, CP_SDP_FRAGMENT, err);

	if (rc)
		return rc;
	rc = cp_transport_read(&t, s, NULL, err);
	for (uint32_t i = 0; i < s->n_media && !rc; i++) {
		memset(&m, 0, sizeof(m));
		rc = cp_transport_read(&m, s, &s->media[i], err);
		if (!t.ufrag[0] && !t.pwd[0]) {
			memcpy(t.ufrag, m.ufrag, sizeof(t.ufrag));
			memcpy(t.pwd, m.pwd, sizeof(t.pwd));
		}
	}
	free(s);
	if (!rc && !t.ufrag[0] != !t.pwd[0])
		rc = cp_sdp_fail(err, -EBADMSG, 0, "a=ice-ufrag and a=ice-pwd come together");
	if (rc)
		return rc;
	memcpy(ufrag, t.ufrag, sizeof(t.ufrag));
	memcpy(pwd, t.pwd, sizeof(t.pwd));
	return 0;
}

int cp_nego_fragment_out(const struct cp_nego *n, char **frag)
{
	struct cp_sdp_out o = {0};

	cp_sdp_put(&o, "a=ice-lite\r\na=ice-options:trickle\r\n");
	put_credentials(&o, n);
	for (size_t i = 0; i < n->n_media; i++) {
		const struct cp_media *m = &n->media[i];

		if (m->rejected)
			continue;
		cp_sdp_put(&o, "m=%s 9 UDP/TLS/RTP/SAVPF 0\r\n",
		           m->kind == SH_KIND_AUDIO ? "audio" : "video");
		if (m->mid[0])
			cp_sdp_put(&o, "a=mid:%s\r\n", m->mid);
		put_credentials(&o, n);
		put_candidates(&o, n);
		break;
	}
	if (o.err) {
		free(o.text);
		return o.err;
	}
	*frag = o.text;
	return 0;
}
