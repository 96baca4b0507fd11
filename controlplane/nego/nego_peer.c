/* The negotiator as a process, for tests against real peers: one JSON request a line in, one reply
 * out.
 *   {"op": "publish", "sdp": offer}  → answer of a receiving m-line for each that the peer sends
 *   {"op": "play", "sdp": offer}     → answer to a recvonly offer, filled with what `publish`
 *                                      agreed
 *   {"op": "subscribe", "add": n}    → an offer with n more tracks of what `publish` agreed
 *   {"op": "remove", "index": i}     → an offer without the track of m-line i
 *   {"op": "answer", "sdp": answer}  → what was agreed to
 * Each reply has "rc", and "error", "sdp" and "media" where there are any. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/nego/nego.h"

static struct cp_nego pub, play, sub;
static uint32_t next_ssrc = 1000;

static void init(struct cp_nego *n, bool offerer)
{
	static char ufrag[CP_ICE_UFRAG + 1], pwd[CP_ICE_PWD + 1];
	static struct sh_addr addr[2] = {
	    {.family = 4, .port = 10000, .ip = {192, 0, 2, 1}},
	    {.family = 6, .port = 10000, .ip = {0x20, 1, 0xd, 0xb8, [15] = 1}}};
	struct cp_nego_conf conf = {
	    .ufrag = ufrag,
	    .pwd = pwd,
	    .cname = "callstack",
	    .addr = addr,
	    .addrs = 2,
	    .offerer = offerer,
	    .fingerprint =
	        "sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:"
	        "16:17:18:19:1A:1B:1C:1D:1E:1F"};

	cp_ice_credentials(ufrag, pwd);
	if (cp_nego_init(n, &conf, 4711))
		exit(1);
}

static struct cp_nego_send track_of(const struct cp_media *m)
{
	static char name[24];
	struct cp_nego_send s = {.kind = m->kind,
	                         .src = m->codec,
	                         .n_src = m->codecs,
	                         .ssrc = next_ssrc,
	                         .rtx_ssrc = next_ssrc + 1,
	                         .stream = m->stream,
	                         .track = name,
	                         .user = &next_ssrc};

	snprintf(name, sizeof(name), "track%u",
	         next_ssrc); // one track, one m-line: Chromium refuses a second a=msid alike
	next_ssrc += 2;
	return s;
}

static json_t *media_json(const struct cp_nego *n)
{
	json_t *all = json_array();

	for (size_t i = 0; i < n->n_media; i++) {
		const struct cp_media *m = &n->media[i];
		json_t *codecs = json_array(), *layers = json_array();

		for (uint8_t c = 0; c < m->codecs; c++)
			json_array_append_new(codecs, json_pack("[i,i,i,i]", m->codec[c].pt,
			                                        m->codec[c].codec, m->codec[c].apt,
			                                        m->codec[c].src_pt));
		for (uint8_t l = 0; l < m->layers; l++)
			json_array_append_new(layers,
			                      json_pack("[s%,I,I]", (const char *)m->layer[l].rid,
			                                (size_t)m->layer[l].rid_len,
			                                (json_int_t)m->layer[l].ssrc,
			                                (json_int_t)m->layer[l].rtx_ssrc));
		json_array_append_new(all, json_pack("{s:s,s:i,s:i,s:b,s:b,s:o,s:o}", "mid", m->mid,
		                                     "kind", (int)m->kind, "dir", (int)m->dir,
		                                     "rejected", m->rejected, "agreed", m->agreed,
		                                     "codecs", codecs, "layers", layers));
	}
	return all;
}

static int fill(struct cp_nego *n)
{
	for (size_t i = 0; i < n->n_media; i++)
		for (size_t k = 0; k < pub.n_media && n->media[i].dir & CP_DIR_SEND; k++) {
			struct cp_nego_send s = track_of(&pub.media[k]);
			int rc;

			if (pub.media[k].rejected || pub.media[k].kind != n->media[i].kind)
				continue;
			rc = cp_nego_send_fill(n, i, &s);
			if (rc)
				return rc;
			break;
		}
	return 0;
}

static int subscribe(size_t count)
{
	for (size_t k = 0; count > 0 && k < 1000; k++) {
		const struct cp_media *m = &pub.media[k % pub.n_media];
		struct cp_nego_send s = track_of(m);
		size_t index;
		int rc;

		if (m->rejected)
			continue;
		count--;
		rc = cp_nego_send_add(&sub, &index, &s);
		if (rc)
			return rc;
	}
	return 0;
}

static json_t *handle(const json_t *req)
{
	const char *op = json_string_value(json_object_get(req, "op"));
	const char *sdp = json_string_value(json_object_get(req, "sdp"));
	char err[CP_NEGO_ERROR_MAX] = "", *out = NULL;
	struct cp_nego *n = &sub;
	bool restarted = false;
	json_t *reply;
	int rc = -1;

	if (strcmp(op, "publish") == 0) {
		n = &pub;
		rc = cp_nego_offer_in(n, sdp, strlen(sdp), &restarted, err);
		for (size_t i = 0; i < n->n_media; i++)
			n->media[i].dir = (enum cp_dir)(n->media[i].dir & CP_DIR_RECV);
		rc = rc ? rc : cp_nego_answer_out(n, &out);
	} else if (strcmp(op, "play") == 0) {
		n = &play;
		rc = cp_nego_offer_in(n, sdp, strlen(sdp), &restarted, err);
		rc = rc ? rc : fill(n);
		rc = rc ? rc : cp_nego_answer_out(n, &out);
	} else if (strcmp(op, "subscribe") == 0 || strcmp(op, "remove") == 0) {
		if (*op == 'r')
			cp_nego_send_remove(
			    n, (size_t)json_integer_value(json_object_get(req, "index")));
		rc = subscribe((size_t)json_integer_value(json_object_get(req, "add")));
		rc = rc ? rc : cp_nego_offer_out(n, &out);
	} else if (strcmp(op, "answer") == 0) {
		rc = cp_nego_answer_in(n, sdp, strlen(sdp), err);
	}
	reply = json_pack("{s:i,s:s,s:b,s:i,s:o}", "rc", rc, "error", err, "restarted", restarted,
	                  "setup", (int)n->setup, "media", media_json(n));
	if (out)
		json_object_set_new(reply, "sdp", json_string(out));
	free(out);
	return reply;
}

int main(void)
{
	json_error_t error;
	char *line = NULL;
	size_t size = 0;

	init(&pub, false);
	init(&play, false);
	init(&sub, true);
	while (getline(&line, &size, stdin) > 0) {
		json_t *req = json_loads(line, 0, &error);
		json_t *reply = req ? handle(req) : NULL;

		if (!reply)
			return 1;
		json_dumpf(reply, stdout, JSON_COMPACT);
		putchar('\n');
		fflush(stdout);
		json_decref(reply);
		json_decref(req);
	}
	cp_nego_close(&pub);
	cp_nego_close(&play);
	cp_nego_close(&sub);
	free(line);
	return 0;
}
