/* WHIP (RFC 9725) publishes, WHEP plays one publisher: a transport for each that is watched. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bench/loadgen/http.h"
#include "bench/loadgen/lg.h"

static char text[LG_SDP_TEXT];

static int whip_open(void)
{
	return lg_token() ? lg_http_open() : -EINVAL;
}

/* Location is a URL or an absolute path (RFC 9725 §4.2). */
static char *location(const char *l)
{
	char *s;

	if (l[0] != '/')
		return l[0] ? strdup(l) : NULL;
	return asprintf(&s, "%s%s", lg_sc.url, l) < 0 ? NULL : s;
}

/* Its offer is in text. */
static int post(struct lg_peer *p, const char *url)
{
	static struct lg_sdp sdp;
	const struct lg_http *h;

	h = lg_http("POST", url, "application/sdp", lg_token(), text);
	if (h->status != 201) {
		lg_say("POST %s: %ld %s", url, h->status, h->status ? h->body : h->error);
		return -EPROTO;
	}
	p->resource = location(h->location);
	if (lg_sdp_parse(&sdp, h->body) || lg_peer_remote(p, &sdp)) {
		lg_say("POST %s: %s", url, p->error[0] ? p->error : "the answer is no SDP");
		return -EBADMSG;
	}
	lg_media_add(p);
	return 0;
}

static int whip_publish(struct lg_member *m)
{
	char url[512];
	int err = lg_peer_publisher(m, text, sizeof(text));

	if (err)
		return err;
	snprintf(url, sizeof(url), "%s/whip/%s?name=p%u", lg_sc.url, m->room->name, m->index);
	return post(m->pub, url);
}

static int watch(struct lg_member *m, struct lg_peer *p, unsigned publisher)
{
	struct lg_sdp_want want[2];
	struct lg_sdp_own own = lg_peer_own(p);
	char url[512];

	if (!lg_sdp_offer(text, sizeof(text), &own, want, lg_peer_wants(p, want, 1)))
		return -E2BIG;
	snprintf(url, sizeof(url), "%s/whep/%s/p%u", lg_sc.url, m->room->name, publisher);
	return post(p, url);
}

static int whip_subscribe(struct lg_member *m)
{
	return lg_peer_receivers(m, watch);
}

static void end(struct lg_peer *p)
{
	if (p && p->resource)
		lg_http("DELETE", p->resource, NULL, lg_token(), NULL);
}

static void whip_leave(struct lg_member *m)
{
	for (unsigned i = 0; i < m->n_sub; i++)
		end(m->sub[i]);
	end(m->pub);
}

const struct lg_adapter lg_adapter_whip = {
    whip_open, whip_publish, whip_subscribe, NULL, whip_leave, lg_http_close,
};
