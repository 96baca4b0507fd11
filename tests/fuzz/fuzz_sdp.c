/* Session descriptions from anybody: offers (two in a row, answered), answers to an offer of ours,
 * trickle fragments. The first byte chooses. After an error the state is as it was; what we write
 * we can read. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/nego/nego.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x) ((x) ? (void)0 : abort())

static void init(struct cp_nego *n, bool offerer)
{
	static const struct sh_addr addr = {.family = 4, .port = 10000, .ip = {192, 0, 2, 1}};
	struct cp_nego_conf conf = {
	    .ufrag = "ourufrag",
	    .pwd = "ourpassword0123456789abcd",
	    .cname = "c",
	    .addr = &addr,
	    .addrs = 1,
	    .offerer = offerer,
	    .fingerprint = "sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:"
	                   "12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F"};

	MUST(cp_nego_init(n, &conf, 1) == 0);
}

static void look(const struct cp_nego *n)
{
	struct sh_track_pt slots[SH_MAX_PTS];
	uint8_t pts[SH_MAX_PTS], ext[SH_EXT_COUNT];

	MUST(n->n_media <= CP_NEGO_MEDIA_MAX);
	for (size_t i = 0; i < n->n_media; i++) {
		const struct cp_media *m = &n->media[i];

		MUST(m->codecs <= CP_NEGO_CODECS_MAX && m->layers <= SH_MAX_LAYERS);
		MUST(!(m->dir & CP_DIR_RECV) || m->codecs <= SH_MAX_PTS);
		cp_nego_track_pts(m, slots);
		cp_nego_sub_pts(m, slots, pts);
	}
	cp_nego_ext_ids(n, ext);
}

static void journal(const struct cp_nego *n)
{
	json_t *saved = cp_nego_save(n), *again;
	struct cp_nego back;

	if (!saved) // a string that is not UTF-8 has no place in JSON
		return;
	MUST(cp_nego_load(&back, saved) == 0);
	again = cp_nego_save(&back);
	MUST(json_equal(saved, again));
	json_decref(saved);
	json_decref(again);
	cp_nego_close(&back);
}

static void offers(const char *text, size_t size)
{
	const char *cut = memchr(text, '\0', size); // a NUL parts two offers
	size_t first = cut ? (size_t)(cut - text) : size;
	char err[CP_NEGO_ERROR_MAX], *sdp;
	struct cp_nego n, peer;
	bool restarted;

	init(&n, false);
	for (int round = 0; round < 2; round++) {
		if (cp_nego_offer_in(&n, text, first, &restarted, err) == 0) {
			look(&n);
			for (size_t i = 0; i < n.n_media; i++)
				n.media[i].ssrc = (uint32_t)i + 1;
			MUST(cp_nego_answer_out(&n, &sdp) == 0);
			init(&peer, false);
			memcpy(strstr(sdp, "a=ice-lite"), "a=ice-full",
			       10); // two lite ends would be refused
			MUST(cp_nego_offer_in(&peer, sdp, strlen(sdp), &restarted, err) == 0);
			cp_nego_close(&peer);
			free(sdp);
			journal(&n);
		}
		if (!cut)
			break;
		text = cut + 1;
		first = size - first - 1;
	}
	cp_nego_close(&n);
}

static void answer(const char *text, size_t size)
{
	static const struct cp_codec src[] = {
	    {.pt = 96, .codec = SH_CODEC_VP8, .clock_hz = 90000, .apt = 255},
	    {.pt = 97, .codec = SH_CODEC_RTX, .clock_hz = 90000, .apt = 96},
	    {.pt = 98,
	     .codec = SH_CODEC_H264,
	     .clock_hz = 90000,
	     .apt = 255,
	     .fmtp = "profile-level-id=42e01f;packetization-mode=1"},
	    {.pt = 111, .codec = SH_CODEC_OPUS, .clock_hz = 48000, .apt = 255},
	};
	char err[CP_NEGO_ERROR_MAX], *sdp;
	struct cp_nego n;

	init(&n, true);
	for (int i = 0; i < 4; i++) { // as in the fixtures: audio, video, audio, video
		struct cp_nego_send s = {.kind = i & 1 ? SH_KIND_VIDEO : SH_KIND_AUDIO,
		                         .src = i & 1 ? src : src + 3,
		                         .n_src = i & 1 ? 3 : 1,
		                         .ssrc = 1,
		                         .rtx_ssrc = 2,
		                         .stream = "s",
		                         .track = "t",
		                         .user = &n};
		size_t index;

		MUST(cp_nego_send_add(&n, &index, &s) == 0);
	}
	MUST(cp_nego_offer_out(&n, &sdp) == 0);
	free(sdp);
	if (cp_nego_answer_in(&n, text, size, err) == 0) {
		look(&n);
		MUST(cp_nego_offer_out(&n, &sdp) == 0);
		free(sdp);
	} else {
		MUST(n.offered && !n.media[0].agreed && n.rufrag[0] == '\0' && err[0]);
	}
	journal(&n);
	cp_nego_close(&n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char ufrag[257], pwd[257], err[CP_NEGO_ERROR_MAX];
	const char *text = (const char *)data + 1;

	if (!size)
		return 0;
	if (data[0] == 'a')
		answer(text, size - 1);
	else if (data[0] == 'f')
		cp_nego_fragment_in(text, size - 1, ufrag, pwd, err);
	else
		offers(text, size - 1);
	return 0;
}
