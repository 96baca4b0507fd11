/* RTP header extensions in SDP (RFC 8285 §5 to §7): which, by what id, in which direction. */
#include <errno.h>
#include <string.h>
#include "controlplane/nego/remote.h"

static const char *const uri_of[] = {
#define X(sym, uri, how) uri,
    SH_EXT_LIST(X)
#undef X
};

const uint8_t cp_ext_ours[SH_EXT_COUNT] = {
    [SH_EXT_MID] = 1,           [SH_EXT_AUDIO_LEVEL] = 2,
    [SH_EXT_ABS_SEND_TIME] = 3, [SH_EXT_VIDEO_ORIENTATION] = 4,
    [SH_EXT_PLAYOUT_DELAY] = 5, [SH_EXT_VIDEO_CONTENT] = 6,
    [SH_EXT_COLOR_SPACE] = 7,   [SH_EXT_ABS_CAPTURE_TIME] = 8,
    [SH_EXT_TWCC] = 9,          [SH_EXT_DEPENDENCY] = 10,
};

const char *cp_ext_uri(unsigned ext)
{
	return uri_of[ext];
}

bool cp_ext_wanted(unsigned ext, enum sh_kind kind, bool send)
{
	switch (ext) {
	case SH_EXT_RID:
	case SH_EXT_RRID:
		return !send && kind == SH_KIND_VIDEO;
	case SH_EXT_AUDIO_LEVEL:
		return kind == SH_KIND_AUDIO;
	case SH_EXT_VIDEO_ORIENTATION:
	case SH_EXT_PLAYOUT_DELAY:
	case SH_EXT_VIDEO_CONTENT:
	case SH_EXT_COLOR_SPACE:
	case SH_EXT_DEPENDENCY:
		return kind == SH_KIND_VIDEO;
	default:
		return true;
	}
}

static int direction(const char *text)
{
	static const char *const names[] = {"inactive", "sendonly", "recvonly", "sendrecv"};

	for (int i = 0; i < 4; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	return -1;
}

/* <id>["/"<direction>] <URI> [attributes]. */
static int one(struct cp_remote *r, size_t i, const struct cp_sdp_attr *a)
{
	const char *text = a->value;
	char head[24], uri[256], *slash;
	uint64_t id;
	int dir = -1;

	if (cp_sdp_token(&text, " ", head, sizeof(head)) <= 0 ||
	    cp_sdp_token(&text, " ", uri, sizeof(uri)) <= 0)
		return cp_sdp_fail(r->err, -EBADMSG, a->line, "malformed a=extmap");
	slash = strchr(head, '/');
	if (slash) {
		*slash++ = '\0';
		dir = direction(slash);
		if (dir < 0)
			return cp_sdp_fail(r->err, -EBADMSG, a->line,
			                   "malformed a=extmap: direction");
	}
	/* 4096 to 4351 are offered while ids run out (§6): we don't need them. */
	if (!cp_sdp_number(head, 4351, &id) || id == 0 || (id > 255 && id < 4096))
		return cp_sdp_fail(r->err, -EBADMSG, a->line, "malformed a=extmap: id");
	if (id > 255 || (id > 14 && !r->mixed))
		return 0;
	for (unsigned e = 0; e < SH_EXT_COUNT; e++)
		if (strcmp(uri, uri_of[e]) == 0) {
			r->media[i].ext_id[e] = (uint8_t)id;
			r->m[i].ext_dir[e] = (uint8_t)(dir + 1);
		}
	return 0;
}

int cp_extmap_read(struct cp_remote *r, size_t i)
{
	const struct cp_sdp_media *m = &r->sdp->media[i];
	int rc = 0;

	for (uint32_t k = 0; k < r->sdp->session_end && !rc; k++)
		if (r->sdp->attr[k].name == CP_SDP_EXTMAP)
			rc = one(r, i, &r->sdp->attr[k]);
	for (uint32_t k = m->first; k < m->end && !rc; k++)
		if (r->sdp->attr[k].name == CP_SDP_EXTMAP)
			rc = one(r, i, &r->sdp->attr[k]);
	for (unsigned e = 0; e < SH_EXT_COUNT && !rc; e++) {
		unsigned dir = r->m[i].ext_dir[e];
		bool send =
		    r->m[i].peer == CP_DIR_RECV; // we send; an inactive m-line may turn either way

		if (dir && !((dir - 1) & r->m[i].peer) && r->m[i].peer)
			r->media[i].ext_id[e] = 0;
		if (!cp_ext_wanted(e, r->media[i].kind, send))
			r->media[i].ext_id[e] = 0;
	}
	return rc;
}

void cp_extmap_settle(struct cp_remote *r)
{
	bool taken[256] = {false};

	/* In enum order: what routes packets (mid, rid) keeps its id when a peer gave it twice
	 * (aiortc does). */
	for (unsigned e = 0; e < SH_EXT_COUNT; e++) {
		uint8_t id = 0;

		for (size_t i = 0; i < r->n; i++) {
			uint8_t *own = &r->media[i].ext_id[e];

			if (r->media[i].rejected)
				*own = 0;
			if (!id && *own && !taken[*own])
				id = *own;
			if (*own != id)
				*own = 0;
		}
		taken[id] = id != 0;
	}
}
