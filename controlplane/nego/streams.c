/* What a peer says of the streams it sends on an m-line: msid (RFC 8830), SSRCs and their groups
 * (RFC 5576, 4588), rids (RFC 8851) and simulcast (RFC 8853). All of it optional: the dataplane
 * learns from MID and RID what is not said. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/nego/codec.h"
#include "controlplane/nego/remote.h"

enum { SSRCS = 32, GROUPS = 16, RIDS = 16, LIMITS = 5 };

struct streams {
	struct cp_remote *r;
	const struct cp_sdp_media *m;
	struct cp_media *out;
	uint32_t ssrc[SSRCS], fid[GROUPS][2], sim[SH_MAX_LAYERS];
	unsigned ssrcs, fids, sims;
	struct {
		char id[SH_MID_MAX + 1];
		uint32_t limit[LIMITS]; // restrictions that tell low from high; 0: none
		bool used;
	} rid[RIDS];
	unsigned rids;
};

static int bad(struct streams *s, const struct cp_sdp_attr *a, const char *what)
{
	return cp_sdp_fail(s->r->err, -EBADMSG, a->line, "malformed a=%s", what);
}

/* Over-long ids are not worth a refusal: they only name things. */
static void read_msid(struct cp_media *out, const char *text)
{
	char stream[65], track[65] = "";

	if (cp_sdp_token(&text, " ", stream, sizeof(stream)) <= 0 ||
	    cp_sdp_token(&text, " ", track, sizeof(track)) < 0)
		return;
	if (out->track[0] || out->stream[0])
		return; // further streams of the same track
	if (strcmp(stream, "-"))
		memcpy(out->stream, stream, sizeof(stream));
	memcpy(out->track, track, sizeof(track));
}

static int read_ssrc(struct streams *s, const struct cp_sdp_attr *a)
{
	const char *text = a->value;
	char token[16];
	uint64_t ssrc;

	if (cp_sdp_token(&text, " ", token, sizeof(token)) <= 0 ||
	    !cp_sdp_number(token, UINT32_MAX, &ssrc) || !*text)
		return bad(s, a, "ssrc");
	text++;
	if (strncmp(text, "msid:", 5) == 0)
		read_msid(s->out, text + 5);
	for (unsigned i = 0; i < s->ssrcs; i++)
		if (s->ssrc[i] == ssrc)
			return 0;
	if (s->ssrcs < SSRCS)
		s->ssrc[s->ssrcs++] = (uint32_t)ssrc;
	return 0;
}

static int read_group(struct streams *s, const struct cp_sdp_attr *a)
{
	const char *text = a->value;
	char token[16], what[16];
	uint64_t ssrc;
	unsigned n = 0;
	int len;

	if (cp_sdp_token(&text, " ", what, sizeof(what)) <= 0)
		return bad(s, a, "ssrc-group");
	while ((len = cp_sdp_token(&text, " ", token, sizeof(token))) != 0) {
		if (len < 0 || !cp_sdp_number(token, UINT32_MAX, &ssrc))
			return bad(s, a, "ssrc-group");
		if (strcmp(what, "FID") == 0 && s->fids < GROUPS && n < 2)
			s->fid[s->fids][n] = (uint32_t)ssrc;
		if (strcmp(what, "SIM") == 0 && s->sims < SH_MAX_LAYERS && n == s->sims)
			s->sim[s->sims++] = (uint32_t)ssrc;
		n++;
	}
	if (strcmp(what, "FID") == 0 && n == 2 && s->fids < GROUPS)
		s->fids++;
	return 0;
}

static bool is_rid(const char *id)
{
	return *id &&
	       strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
	           strlen(id);
}

/* <id> <send|recv>[ <restriction>[;…]] */
static int read_rid(struct streams *s, const struct cp_sdp_attr *a)
{
	static const char *const limits[LIMITS] = {"max-width", "max-height", "max-fs", "max-br",
	                                           "max-pps"};
	const char *text = a->value;
	char id[SH_MID_MAX + 1], dir[8], v[16];
	uint64_t n;
	int len = cp_sdp_token(&text, " ", id, sizeof(id));

	if (len == -E2BIG)
		return cp_sdp_fail(s->r->err, -E2BIG, a->line, "a=rid longer than %d", SH_MID_MAX);
	if (!is_rid(id) || cp_sdp_token(&text, " ", dir, sizeof(dir)) <= 0 ||
	    (strcmp(dir, "send") && strcmp(dir, "recv")))
		return bad(s, a, "rid");
	for (unsigned i = 0; i < s->rids; i++)
		if (strcmp(s->rid[i].id, id) == 0)
			return cp_sdp_fail(s->r->err, -EBADMSG, a->line, "second a=rid:%s", id);
	if (strcmp(dir, "send") || s->rids == RIDS)
		return 0;
	memcpy(s->rid[s->rids].id, id, sizeof(id));
	for (size_t i = 0; i < LIMITS; i++)
		if (cp_fmtp_get(text, limits[i], v, sizeof(v)) && cp_sdp_number(v, UINT32_MAX, &n))
			s->rid[s->rids].limit[i] = (uint32_t)n;
	s->rids++;
	return 0;
}

/* RFC 8853 gives no order of quality. Restrictions tell, else customary names, else the WebRTC
 * rule: low to high as listed. */
static int quality(const char *id)
{
	static const struct {
		const char *name;
		int at;
	} names[] = {{"q", 0},    {"l", 0}, {"lo", 0},  {"low", 0},  {"quarter", 0},
	             {"h", 1},    {"m", 1}, {"mid", 1}, {"med", 1},  {"medium", 1},
	             {"half", 1}, {"f", 2}, {"hi", 2},  {"high", 2}, {"full", 2}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i].name, id) == 0)
			return names[i].at;
	return -1;
}

/* A restriction that all of them have, to compare like with like; LIMITS: none. */
static unsigned common_limit(const struct streams *s, const unsigned *which, unsigned n)
{
	for (unsigned at = 0; at < LIMITS; at++) {
		unsigned have = 0;

		for (unsigned i = 0; i < n; i++)
			have += s->rid[which[i]].limit[at] != 0;
		if (have == n)
			return at;
	}
	return LIMITS;
}

static void sort_layers(struct streams *s, const unsigned *which, unsigned n)
{
	uint32_t key[SH_MAX_LAYERS];
	unsigned order[SH_MAX_LAYERS], limit = common_limit(s, which, n);
	bool names = true, has_m = false;

	for (unsigned i = 0; i < n; i++) {
		names &= quality(s->rid[which[i]].id) >= 0;
		has_m |= s->rid[which[i]].id[0] == 'm' || s->rid[which[i]].id[0] == 'l';
	}
	for (unsigned i = 0; i < n; i++) {
		const char *id = s->rid[which[i]].id;
		int by_name =
		    strcmp(id, "h") == 0 && has_m ? 2 : quality(id); // l, m, h against q, h, f

		key[i] = limit < LIMITS ? s->rid[which[i]].limit[limit]
		         : names        ? (uint32_t)by_name
		                        : i;
		order[i] = i;
	}
	for (unsigned i = 1; i < n; i++)
		for (unsigned j = i; j > 0 && key[order[j]] < key[order[j - 1]]; j--) {
			unsigned t = order[j];

			order[j] = order[j - 1];
			order[j - 1] = t;
		}
	s->out->layers = (uint8_t)n;
	for (unsigned i = 0; i < n; i++) {
		const char *id = s->rid[which[order[i]]].id;
		struct sh_track_layer *l = &s->out->layer[i];

		*l = (struct sh_track_layer){.rid_len = (uint8_t)strlen(id)};
		memcpy(l->rid, id, l->rid_len);
	}
}

/* <rid>,<rid>…, each perhaps paused ('~'): the first that there is, or -1. */
static int pick_alternative(struct streams *s, const char *alternatives)
{
	char id[64];

	while (cp_sdp_token(&alternatives, ",", id, sizeof(id)) > 0)
		for (unsigned i = 0; i < s->rids; i++)
			if (!s->rid[i].used && strcmp(s->rid[i].id, id + (id[0] == '~')) == 0) {
				s->rid[i].used = true;
				return (int)i;
			}
	return -1;
}

/* send <alternatives>;<alternatives>… [recv …]: one alternative of each. */
static int read_simulcast(struct streams *s, const struct cp_sdp_attr *a)
{
	const char *text = a->value;
	char dir[8], list[256];
	unsigned which[SH_MAX_LAYERS], n = 0;

	for (int half = 0; half < 2; half++) {
		const char *p = list;
		char alt[64];
		int len = cp_sdp_token(&text, " ", dir, sizeof(dir));

		if (len == 0 && half)
			break;
		if (len <= 0 || (strcmp(dir, "send") && strcmp(dir, "recv")) ||
		    cp_sdp_token(&text, " ", list, sizeof(list)) <= 0)
			return bad(s, a, "simulcast");
		while (strcmp(dir, "send") == 0 &&
		       (len = cp_sdp_token(&p, ";", alt, sizeof(alt))) != 0) {
			int rid = len < 0 || n == SH_MAX_LAYERS ? -1 : pick_alternative(s, alt);

			if (len < 0)
				return bad(s, a, "simulcast");
			if (rid >= 0)
				which[n++] = (unsigned)rid;
		}
	}
	if (n)
		sort_layers(s, which, n);
	return 0;
}

static uint32_t rtx_of(const struct streams *s, uint32_t ssrc)
{
	for (unsigned i = 0; i < s->fids; i++)
		if (s->fid[i][0] == ssrc)
			return s->fid[i][1];
	return 0;
}

/* The SSRC of a single stream: the first that repairs no other. */
static uint32_t first_ssrc(const struct streams *s)
{
	for (unsigned i = 0; i < s->ssrcs; i++) {
		bool repairs = false;

		for (unsigned k = 0; k < s->fids; k++)
			repairs |= s->fid[k][1] == s->ssrc[i];
		if (!repairs)
			return s->ssrc[i];
	}
	return 0;
}

static void layers_from_ssrcs(struct streams *s)
{
	if (s->rids == 1) { // RID without simulcast: one encoding that carries it
		unsigned only = 0;

		sort_layers(s, &only, 1);
		return;
	}
	s->out->layers = (uint8_t)(s->sims > 1 ? s->sims : 1);
	for (unsigned i = 0; i < s->out->layers; i++) {
		uint32_t ssrc = s->sims > 1 ? s->sim[i] : first_ssrc(s);

		s->out->layer[i] =
		    (struct sh_track_layer){.ssrc = ssrc, .rtx_ssrc = ssrc ? rtx_of(s, ssrc) : 0};
	}
}

int cp_streams_read(struct cp_remote *r, size_t i)
{
	struct streams s = {.r = r, .m = &r->sdp->media[i], .out = &r->media[i]};
	int rc = 0;

	for (uint32_t k = s.m->first; k < s.m->end && !rc; k++) {
		const struct cp_sdp_attr *a = &r->sdp->attr[k];

		if (a->name == CP_SDP_MSID)
			read_msid(s.out, a->value);
		else if (a->name == CP_SDP_SSRC)
			rc = read_ssrc(&s, a);
		else if (a->name == CP_SDP_SSRC_GROUP)
			rc = read_group(&s, a);
		else if (a->name == CP_SDP_RID)
			rc = read_rid(&s, a);
	}
	for (uint32_t k = s.m->first; k < s.m->end && !rc; k++)
		if (r->sdp->attr[k].name == CP_SDP_SIMULCAST)
			rc = read_simulcast(&s, &r->sdp->attr[k]);
	if (!rc && !s.out->layers)
		layers_from_ssrcs(&s);
	return rc;
}
