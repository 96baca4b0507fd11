/* The journal's view of a negotiation: all of it but `user` and the last texts. What comes back is
 * checked like any input, so that a damaged journal is an error and not a wild index. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/nego/nego.h"

enum { AGREED = 1, OFFERED = 2, REJECTED = 4 };                       // media flags
enum { NACK = 1, PLI = 2, FIR = 4, REMB = 8, TWCC = 16, LOCAL = 32 }; // codec flags
enum { RSIZE = 1, TWO_BYTE = 2, AWAITS = 4, OFFERER = 8 };            // negotiation flags

static json_t *save_codec(const struct cp_codec *c)
{
	int flags = (c->nack ? NACK : 0) | (c->pli ? PLI : 0) | (c->fir ? FIR : 0) |
	            (c->remb ? REMB : 0) | (c->twcc ? TWCC : 0) | (c->local ? LOCAL : 0);

	return json_pack("[i,i,i,i,I,s,i,i]", c->pt, c->codec, c->apt, c->channels,
	                 (json_int_t)c->clock_hz, c->fmtp, flags, c->src_pt);
}

static json_t *save_media(const struct cp_media *m)
{
	json_t *codecs = json_array(), *ext = json_array(), *layers = json_array();
	int flags =
	    (m->agreed ? AGREED : 0) | (m->offered ? OFFERED : 0) | (m->rejected ? REJECTED : 0);

	for (uint8_t i = 0; i < m->codecs; i++)
		json_array_append_new(codecs, save_codec(&m->codec[i]));
	for (unsigned e = 0; e < SH_EXT_COUNT; e++)
		json_array_append_new(ext, json_integer(m->ext_id[e]));
	for (uint8_t i = 0; i < m->layers; i++)
		json_array_append_new(layers, json_pack("[I,I,s%]", (json_int_t)m->layer[i].ssrc,
		                                        (json_int_t)m->layer[i].rtx_ssrc,
		                                        (const char *)m->layer[i].rid,
		                                        (size_t)m->layer[i].rid_len));
	return json_pack("{s:s,s:i,s:i,s:i,s:o,s:o,s:o,s:s,s:s,s:I,s:I,s:s}", "mid", m->mid, "kind",
	                 (int)m->kind, "dir", (int)m->dir, "flags", flags, "codecs", codecs, "ext",
	                 ext, "layers", layers, "stream", m->stream, "track", m->track, "ssrc",
	                 (json_int_t)m->ssrc, "rtx_ssrc", (json_int_t)m->rtx_ssrc, "cname",
	                 m->cname);
}

/* Appending to arrays may have run out of memory without a word: count what arrived. */
static bool whole(const json_t *media, const struct cp_nego *n)
{
	if (json_array_size(media) != n->n_media)
		return false;
	for (size_t i = 0; i < n->n_media; i++) {
		const json_t *m = json_array_get(media, i);

		if (json_array_size(json_object_get(m, "codecs")) != n->media[i].codecs ||
		    json_array_size(json_object_get(m, "ext")) != SH_EXT_COUNT ||
		    json_array_size(json_object_get(m, "layers")) != n->media[i].layers)
			return false;
	}
	return true;
}

json_t *cp_nego_save(const struct cp_nego *n)
{
	json_t *media = json_array(), *addr = json_array(), *root;
	int flags = (n->rtcp_rsize ? RSIZE : 0) | (n->ext_two_byte ? TWO_BYTE : 0) |
	            (n->offered ? AWAITS : 0) | (n->conf.offerer ? OFFERER : 0);
	char text[SH_ADDR_STR];

	for (size_t i = 0; i < n->n_media; i++)
		json_array_append_new(media, save_media(&n->media[i]));
	for (size_t i = 0; i < n->conf.addrs; i++) {
		const struct sh_addr *a = &n->conf.addr[i];

		for (int b = 0; b < 16; b++) {
			text[2 * b] = "0123456789abcdef"[a->ip[b] >> 4];
			text[2 * b + 1] = "0123456789abcdef"[a->ip[b] & 15];
		}
		text[32] = '\0';
		json_array_append_new(addr, json_pack("[i,i,s]", a->family, a->port, text));
	}
	if (!whole(media, n) || json_array_size(addr) != n->conf.addrs) {
		json_decref(media);
		json_decref(addr);
		return NULL;
	}
	root = json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:I,s:I,s:I,s:I,s:o,s:o}", "v",
	                 1, "ufrag", n->conf.ufrag, "pwd", n->conf.pwd, "fingerprint",
	                 n->conf.fingerprint, "cname", n->conf.cname, "rufrag", n->rufrag, "rpwd",
	                 n->rpwd, "rfingerprint", n->rfingerprint, "setup", (int)n->setup, "flags",
	                 flags, "id", (json_int_t)n->session_id, "version", (json_int_t)n->version,
	                 "n_offered", (json_int_t)n->n_offered, "next_mid", (json_int_t)n->next_mid,
	                 "addr", addr, "media", media);
	return root;
}

static bool get_string(char *out, size_t size, const char *in)
{
	if (strlen(in) >= size)
		return false;
	memcpy(out, in, strlen(in) + 1);
	return true;
}

static bool load_codec(struct cp_codec *c, const json_t *j)
{
	int pt, codec, apt, channels, flags, src;
	json_int_t hz;
	const char *fmtp;

	if (json_unpack((json_t *)j, "[i,i,i,i,I,s,i,i]", &pt, &codec, &apt, &channels, &hz, &fmtp,
	                &flags, &src) ||
	    pt < 0 || pt > 127 || codec <= SH_CODEC_NONE || codec >= SH_CODEC_COUNT || apt < 0 ||
	    apt > 255 || channels < 0 || channels > 255 || hz < 0 || hz > UINT32_MAX || src < 0 ||
	    src > 255)
		return false;
	*c = (struct cp_codec){.pt = (uint8_t)pt,
	                       .codec = (uint8_t)codec,
	                       .apt = (uint8_t)apt,
	                       .channels = (uint8_t)channels,
	                       .clock_hz = (uint32_t)hz,
	                       .src_pt = (uint8_t)src,
	                       .nack = flags & NACK,
	                       .pli = flags & PLI,
	                       .fir = flags & FIR,
	                       .remb = flags & REMB,
	                       .twcc = flags & TWCC,
	                       .local = flags & LOCAL};
	return get_string(c->fmtp, sizeof(c->fmtp), fmtp);
}

static bool load_layer(struct sh_track_layer *l, const json_t *j)
{
	json_int_t ssrc, rtx;
	const char *rid;

	if (json_unpack((json_t *)j, "[I,I,s]", &ssrc, &rtx, &rid) || ssrc < 0 ||
	    ssrc > UINT32_MAX || rtx < 0 || rtx > UINT32_MAX || strlen(rid) > SH_MID_MAX)
		return false;
	*l = (struct sh_track_layer){
	    .ssrc = (uint32_t)ssrc, .rtx_ssrc = (uint32_t)rtx, .rid_len = (uint8_t)strlen(rid)};
	memcpy(l->rid, rid, l->rid_len);
	return true;
}

static bool load_media(struct cp_media *m, const json_t *j)
{
	const char *mid, *stream, *track, *cname;
	json_t *codecs, *ext, *layers;
	json_int_t ssrc, rtx;
	int kind, dir, flags;

	if (json_unpack((json_t *)j, "{s:s,s:i,s:i,s:i,s:o,s:o,s:o,s:s,s:s,s:I,s:I,s:s}", "mid",
	                &mid, "kind", &kind, "dir", &dir, "flags", &flags, "codecs", &codecs, "ext",
	                &ext, "layers", &layers, "stream", &stream, "track", &track, "ssrc", &ssrc,
	                "rtx_ssrc", &rtx, "cname", &cname) ||
	    kind < 0 || kind > SH_KIND_VIDEO || dir < 0 || dir > CP_DIR_SENDRECV || ssrc < 0 ||
	    ssrc > UINT32_MAX || rtx < 0 || rtx > UINT32_MAX || !json_is_array(codecs) ||
	    !json_is_array(layers) || json_array_size(codecs) > CP_NEGO_CODECS_MAX ||
	    json_array_size(ext) != SH_EXT_COUNT || json_array_size(layers) > SH_MAX_LAYERS ||
	    !get_string(m->mid, sizeof(m->mid), mid) ||
	    !get_string(m->stream, sizeof(m->stream), stream) ||
	    !get_string(m->track, sizeof(m->track), track) ||
	    !get_string(m->cname, sizeof(m->cname), cname))
		return false;
	m->kind = (enum sh_kind)kind;
	m->dir = (enum cp_dir)dir;
	m->ssrc = (uint32_t)ssrc;
	m->rtx_ssrc = (uint32_t)rtx;
	m->agreed = flags & AGREED;
	m->offered = flags & OFFERED;
	m->rejected = flags & REJECTED;
	for (; m->codecs < json_array_size(codecs); m->codecs++)
		if (!load_codec(&m->codec[m->codecs], json_array_get(codecs, m->codecs)))
			return false;
	for (; m->layers < json_array_size(layers); m->layers++)
		if (!load_layer(&m->layer[m->layers], json_array_get(layers, m->layers)))
			return false;
	for (unsigned e = 0; e < SH_EXT_COUNT; e++) {
		json_int_t id = json_integer_value(json_array_get(ext, e));

		if (id < 0 || id > 255)
			return false;
		m->ext_id[e] = (uint8_t)id;
	}
	return true;
}

static bool load_addr(struct sh_addr *a, const json_t *j)
{
	static const char digits[] = "0123456789abcdef";
	const char *ip;
	int family, port;

	if (json_unpack((json_t *)j, "[i,i,s]", &family, &port, &ip) ||
	    (family != 4 && family != 6) || port < 0 || port > 65535 || strlen(ip) != 32 ||
	    strspn(ip, digits) != 32)
		return false;
	*a = (struct sh_addr){.family = (uint8_t)family, .port = (uint16_t)port};
	for (int b = 0; b < 16; b++)
		a->ip[b] = (uint8_t)((strchr(digits, ip[2 * b]) - digits) << 4 |
		                     (strchr(digits, ip[2 * b + 1]) - digits));
	return true;
}

static int load_all_media(struct cp_nego *n, const json_t *media)
{
	size_t count = json_array_size(media);

	if (count > CP_NEGO_MEDIA_MAX || n->n_offered > count)
		return -EBADMSG;
	n->media = calloc(count + 1, sizeof(*n->media));
	if (!n->media)
		return -ENOMEM;
	n->room = count + 1;
	for (; n->n_media < count; n->n_media++)
		if (!load_media(&n->media[n->n_media], json_array_get(media, n->n_media)))
			return -EBADMSG;
	return 0;
}

int cp_nego_load(struct cp_nego *n, const json_t *saved)
{
	const char *rufrag, *rpwd, *rfp;
	struct cp_nego_conf conf = {0};
	struct sh_addr addr[SH_MAX_ADDRS];
	json_t *addrs, *media;
	json_int_t id, version, offered, next_mid;
	int v, setup, flags, rc;

	memset(n, 0, sizeof(*n));
	if (json_unpack((json_t *)saved,
	                "{s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:I,s:I,s:I,s:I,s:o,s:o}", "v",
	                &v, "ufrag", &conf.ufrag, "pwd", &conf.pwd, "fingerprint",
	                &conf.fingerprint, "cname", &conf.cname, "rufrag", &rufrag, "rpwd", &rpwd,
	                "rfingerprint", &rfp, "setup", &setup, "flags", &flags, "id", &id,
	                "version", &version, "n_offered", &offered, "next_mid", &next_mid, "addr",
	                &addrs, "media", &media) ||
	    v != 1 || setup < 0 || setup > CP_SETUP_PASSIVE || id < 0 || version < 0 ||
	    offered < 0 || next_mid < 0 || next_mid > UINT32_MAX || !json_is_array(addrs) ||
	    !json_is_array(media) || json_array_size(addrs) > SH_MAX_ADDRS)
		return -EBADMSG;
	for (; conf.addrs < json_array_size(addrs); conf.addrs++)
		if (!load_addr(&addr[conf.addrs], json_array_get(addrs, conf.addrs)))
			return -EBADMSG;
	conf.addr = addr;
	conf.offerer = flags & OFFERER;
	if (cp_nego_init(n, &conf, (uint64_t)id) ||
	    !get_string(n->rufrag, sizeof(n->rufrag), rufrag) ||
	    !get_string(n->rpwd, sizeof(n->rpwd), rpwd) ||
	    !get_string(n->rfingerprint, sizeof(n->rfingerprint), rfp)) {
		cp_nego_close(n);
		return -EBADMSG;
	}
	n->setup = (enum cp_setup)setup;
	n->version = (uint64_t)version;
	n->rtcp_rsize = flags & RSIZE;
	n->ext_two_byte = flags & TWO_BYTE;
	n->offered = flags & AWAITS;
	n->n_offered = (size_t)offered;
	n->next_mid = (uint32_t)next_mid;
	rc = load_all_media(n, media);
	if (rc)
		cp_nego_close(n);
	return rc;
}
