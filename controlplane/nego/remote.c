#include "controlplane/nego/remote.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "controlplane/nego/codec.h"

/* RFC 8829 §5.1.2: any of these, with a fingerprint, means DTLS-SRTP with feedback. */
static bool is_rtp(const char *proto)
{
	static const char *const ok[] = {
	    "UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "TCP/DTLS/RTP/SAVPF", "RTP/SAVPF", "RTP/SAVP",
	    "RTP/AVPF",          "RTP/AVP"};

	for (size_t i = 0; i < sizeof(ok) / sizeof(ok[0]); i++)
		if (strcmp(proto, ok[i]) == 0)
			return true;
	return false;
}

static enum sh_kind kind_of(const struct cp_sdp_media *m)
{
	if (!is_rtp(m->proto))
		return 0;
	if (strcmp(m->media, "audio") == 0)
		return SH_KIND_AUDIO;
	return strcmp(m->media, "video") == 0 ? SH_KIND_VIDEO : 0;
}

/* The last of the direction attributes, which an m-line may inherit from the session (RFC 8866
 * §6.7). */
static enum cp_dir direction(const struct cp_sdp *s, const struct cp_sdp_media *m, enum cp_dir dir)
{
	uint32_t end = m ? m->end : s->session_end;

	for (uint32_t i = m ? m->first : 0; i < end; i++)
		switch (s->attr[i].name) {
		case CP_SDP_SENDRECV:
			dir = CP_DIR_SENDRECV;
			break;
		case CP_SDP_SENDONLY:
			dir = CP_DIR_SEND;
			break;
		case CP_SDP_RECVONLY:
			dir = CP_DIR_RECV;
			break;
		case CP_SDP_INACTIVE:
			dir = CP_DIR_INACTIVE;
			break;
		default:
			break;
		}
	return dir;
}

static int read_mid(struct cp_remote *r, size_t i)
{
	const struct cp_sdp_attr *a = cp_sdp_attr(r->sdp, &r->sdp->media[i], CP_SDP_MID, NULL);

	if (!a)
		return 0;
	if (!cp_sdp_is_token(a->value))
		return cp_sdp_fail(r->err, -EBADMSG, a->line, "malformed a=mid");
	if (strlen(a->value) > SH_MID_MAX)
		return cp_sdp_fail(r->err, -E2BIG, a->line, "a=mid longer than %d", SH_MID_MAX);
	for (size_t k = 0; k < i; k++)
		if (strcmp(r->media[k].mid, a->value) == 0)
			return cp_sdp_fail(r->err, -EPROTO, a->line, "second a=mid:%s", a->value);
	memcpy(r->media[i].mid, a->value, strlen(a->value) + 1);
	return 0;
}

/* The first BUNDLE group; members of others have a transport of their own, which we don't serve. */
static int read_bundle(struct cp_remote *r)
{
	const struct cp_sdp_attr *a = NULL;
	char token[64];

	while ((a = cp_sdp_attr(r->sdp, NULL, CP_SDP_GROUP, a))) {
		const char *text = a->value;

		if (cp_sdp_token(&text, " ", token, sizeof(token)) <= 0)
			return cp_sdp_fail(r->err, -EBADMSG, a->line, "malformed a=group");
		if (strcmp(token, "BUNDLE") || r->has_bundle)
			continue;
		r->has_bundle = true;
		for (uint8_t position = 1;; position++) {
			size_t i = 0;
			int len = cp_sdp_token(&text, " ", token, sizeof(token));

			if (len == 0)
				break;
			while (len > 0 && i < r->n && strcmp(r->media[i].mid, token))
				i++;
			if (len < 0 || i == r->n)
				return cp_sdp_fail(r->err, -EPROTO, a->line,
				                   "BUNDLE names a mid that no m-line has");
			if (r->m[i].bundled)
				return cp_sdp_fail(r->err, -EPROTO, a->line,
				                   "BUNDLE names a mid twice");
			r->m[i].bundled = position;
		}
	}
	return 0;
}

static int read_media(struct cp_remote *r, size_t i, enum cp_dir session_dir, bool used[128])
{
	const struct cp_sdp_media *m = &r->sdp->media[i];
	struct cp_media *out = &r->media[i];
	int n, rc;

	out->kind = kind_of(m);
	r->m[i].port_zero =
	    m->port == 0 && !(cp_sdp_attr(r->sdp, m, CP_SDP_BUNDLE_ONLY, NULL) && r->m[i].bundled);
	out->rejected = !out->kind || r->m[i].port_zero || (r->has_bundle && !r->m[i].bundled);
	if (out->rejected)
		return 0;
	r->m[i].peer = direction(r->sdp, m, session_dir);
	r->m[i].mux = cp_sdp_attr(r->sdp, m, CP_SDP_RTCP_MUX, NULL);
	r->m[i].rsize = cp_sdp_attr(r->sdp, m, CP_SDP_RTCP_RSIZE, NULL);
	n = cp_codecs_read(r->sdp, m, out->kind, out->codec, used, r->err);
	if (n < 0)
		return n;
	out->codecs = (uint8_t)n;
	rc = cp_extmap_read(r, i);
	if (!rc)
		rc = cp_streams_read(r, i);
	if (!n)
		out->rejected = true;
	if (!rc && n && !r->m[i].mux)
		return cp_sdp_fail(r->err, -EPROTO, m->line, "m-line without a=rtcp-mux");
	return rc;
}

/* One RTP session (RFC 8843 §9.1): an SSRC that stands for two streams can't be routed. */
static int unique_ssrcs(struct cp_remote *r)
{
	uint32_t seen[CP_NEGO_MEDIA_MAX * SH_MAX_LAYERS * 2];
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		for (unsigned l = 0; l < r->media[i].layers && !r->media[i].rejected; l++) {
			uint32_t two[2] = {r->media[i].layer[l].ssrc,
			                   r->media[i].layer[l].rtx_ssrc};

			for (int k = 0; k < 2; k++) {
				for (size_t j = 0; j < n && two[k]; j++)
					if (seen[j] == two[k])
						return cp_sdp_fail(
						    r->err, -EPROTO, r->sdp->media[i].line,
						    "SSRC %u stands for two streams", two[k]);
				if (two[k])
					seen[n++] = two[k];
			}
		}
	return 0;
}

static void inherit(struct cp_transport *t, const struct cp_transport *from)
{
	if (!t->ufrag[0] && !t->pwd[0]) {
		memcpy(t->ufrag, from->ufrag, sizeof(t->ufrag));
		memcpy(t->pwd, from->pwd, sizeof(t->pwd));
	}
	if (!t->fingerprint[0])
		memcpy(t->fingerprint, from->fingerprint, sizeof(t->fingerprint));
	if (t->setup == CP_PEER_NONE)
		t->setup = from->setup;
	t->bad_fingerprint |= from->bad_fingerprint;
}

/* From the tagged m-line, which is the first live one of the group (RFC 8843 §7.2.1); what it does
 * not say from the session, then from the other m-lines of the group. aiortc gives each m-line
 * credentials of its own. */
static int read_transport(struct cp_remote *r)
{
	struct cp_transport session = {0}, t;
	const struct cp_sdp_attr *lite;
	int rc = cp_transport_read(&session, r->sdp, NULL, r->err);

	for (int pass = 0; pass < 2 && !rc; pass++)
		for (size_t i = 0; i < r->n && !rc; i++) {
			if (r->media[i].rejected || (pass == 0) != ((int)i == r->tag))
				continue;
			memset(&t, 0, sizeof(t));
			rc = cp_transport_read(&t, r->sdp, &r->sdp->media[i], r->err);
			inherit(&r->transport, &t);
			if (pass == 0)
				inherit(&r->transport, &session);
		}
	if (rc || r->tag < 0)
		return rc;
	lite = cp_sdp_attr(r->sdp, NULL, CP_SDP_ICE_LITE, NULL);
	if (lite)
		return cp_sdp_fail(r->err, -EPROTO, lite->line,
		                   "a=ice-lite: so are we, and nobody would check");
	if (!r->transport.ufrag[0] || !r->transport.pwd[0])
		return cp_sdp_fail(r->err, -EPROTO, r->sdp->media[r->tag].line,
		                   "no a=ice-ufrag and a=ice-pwd");
	if (!r->transport.fingerprint[0])
		return cp_sdp_fail(r->err, -EPROTO, r->sdp->media[r->tag].line,
		                   r->transport.bad_fingerprint
		                       ? "no a=fingerprint of sha-256, sha-384 or sha-512"
		                       : "no a=fingerprint: DTLS-SRTP is required");
	return 0;
}

static int read_all(struct cp_remote *r)
{
	enum cp_dir session_dir = direction(r->sdp, NULL, CP_DIR_SENDRECV);
	size_t live = 0, second = r->n;
	int rc = 0;

	r->mixed = cp_sdp_attr(r->sdp, NULL, CP_SDP_EXTMAP_ALLOW_MIXED, NULL);
	for (size_t i = 0; i < r->n && !rc; i++)
		rc = read_mid(r, i);
	if (!rc)
		rc = read_bundle(r);
	r->rsize = true;
	for (size_t i = 0; i < r->n && !rc; i++) {
		bool used[128];

		if (!r->mixed) // it may stand in the m-lines instead (RFC 8285 §6)
			r->mixed =
			    cp_sdp_attr(r->sdp, &r->sdp->media[i], CP_SDP_EXTMAP_ALLOW_MIXED, NULL);
		rc = read_media(r, i, session_dir, used);
		if (rc || r->media[i].rejected)
			continue;
		if (++live == 2)
			second = i;
		r->rsize = r->rsize && r->m[i].rsize;
		if (r->tag < 0 || r->m[i].bundled < r->m[r->tag].bundled)
			r->tag = (int)i;
		if (r->kind == CP_REMOTE_OFFER && r->m[i].peer & CP_DIR_SEND)
			r->media[i].codecs = cp_codecs_fit(r->media[i].codec, r->media[i].codecs,
			                                   r->media[i].kind, used);
	}
	if (rc)
		return rc;
	if (live > 1 && !r->has_bundle)
		return cp_sdp_fail(r->err, -EPROTO, r->sdp->media[second].line,
		                   "second m-line without a=group:BUNDLE");
	cp_extmap_settle(r);
	if (r->kind == CP_REMOTE_OFFER)
		cp_feedback_settle(r);
	rc = unique_ssrcs(r);
	return rc ? rc : read_transport(r);
}

int cp_remote_read(struct cp_remote *r, const char *sdp, size_t len, int kind, char *err)
{
	int rc;

	*r = (struct cp_remote){.kind = kind, .tag = -1, .err = err};
	rc = cp_sdp_parse(&r->sdp, sdp, len, CP_SDP_WHOLE, err);
	if (rc)
		return rc;
	r->n = r->sdp->n_media;
	r->media = calloc(r->n + 1, sizeof(*r->media));
	r->m = calloc(r->n + 1, sizeof(*r->m));
	if (!r->media || !r->m)
		rc = cp_sdp_fail(err, -ENOMEM, 0, "out of memory");
	else
		rc = read_all(r);
	if (rc)
		cp_remote_close(r);
	return rc;
}

void cp_remote_close(struct cp_remote *r)
{
	free(r->sdp);
	free(r->media);
	free(r->m);
	r->sdp = NULL;
	r->media = NULL;
	r->m = NULL;
}
