/* rtpengine by its ng protocol (bencode over UDP): each publisher is a call of its own, `publish`,
 * and each one that watches it is a `subscribe request` with its answer. SDES keys, no ICE; one
 * medium a call. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include "bench/loadgen/bencode.h"
#include "bench/loadgen/lg.h"

enum { MESSAGE = 65536, TRIES = 5, TIMEOUT_MS = 1000 };

static int fd = -1;
static char message[MESSAGE], reply[MESSAGE], sdp_text[MESSAGE];

static int rtpengine_open(void)
{
	struct addrinfo hint = {.ai_family = AF_INET, .ai_socktype = SOCK_DGRAM}, *a = NULL;
	char host[256];
	char *port;

	snprintf(host, sizeof(host), "%s", lg_sc.url);
	port = strrchr(host, ':');
	if (!port) {
		lg_say("server.url: %s; expected HOST:PORT of rtpengine's ng socket", lg_sc.url);
		return -EINVAL;
	}
	*port++ = '\0';
	if (getaddrinfo(host, port, &hint, &a) != 0)
		return -EHOSTUNREACH;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
		freeaddrinfo(a);
		return -errno;
	}
	freeaddrinfo(a);
	return 0;
}

/* "COOKIE DICTIONARY" both ways; a request that got no answer is sent again under its cookie.
 * Returns the dictionary. */
static const char *ask(struct lg_bencode *b, size_t cookie, size_t *len)
{
	size_t n = lg_bencode_end(b);
	struct pollfd p = {fd, POLLIN, 0};

	if (!n)
		return NULL;
	for (unsigned i = 0; i < TRIES; i++) {
		if (send(fd, message, cookie + n, 0) < 0)
			continue;
		while (poll(&p, 1, TIMEOUT_MS) == 1) {
			ssize_t got = recv(fd, reply, sizeof(reply), 0);

			if (got <= (ssize_t)cookie || memcmp(reply, message, cookie) != 0)
				continue;
			*len = (size_t)got - cookie;
			return reply + cookie;
		}
	}
	return NULL;
}

static size_t begin(struct lg_bencode *b, const char *command, const char *call)
{
	size_t cookie = (size_t)snprintf(message, sizeof(message), "%08x ", lg_random32());

	lg_bencode_begin(b, message + cookie, sizeof(message) - cookie);
	lg_bencode_text(b, "call-id", call);
	lg_bencode_text(b, "command", command);
	return cookie;
}

/* The answer's `key`, as text in out; 0. */
static int value(const char *r, size_t len, const char *key, char *out, size_t size)
{
	size_t n = 0;
	const char *v = r ? lg_bencode_find(r, len, key, &n) : NULL;

	if (!v || n >= size)
		return -EPROTO;
	memcpy(out, v, n);
	out[n] = '\0';
	return 0;
}

static int fault(const char *command, const char *r, size_t len)
{
	char why[256] = "no answer";

	if (r && value(r, len, "error-reason", why, sizeof(why)))
		snprintf(why, sizeof(why), "an answer without what is needed");
	lg_say("rtpengine: %s: %s", command, why);
	return -EPROTO;
}

static const char *call_of(const struct lg_member *m, unsigned publisher)
{
	static char name[128];

	snprintf(name, sizeof(name), "%s-p%u", m->room->name, publisher);
	return name;
}

/* Both directions: plain SRTP with the suite under test and no other, no ICE, RTCP beside RTP. */
static void put_flags(struct lg_bencode *b)
{
	static const char *const suites[] = {
	    "AEAD_AES_128_GCM",        "AEAD_AES_256_GCM",        "AES_CM_128_HMAC_SHA1_80",
	    "AES_CM_128_HMAC_SHA1_32", "AES_192_CM_HMAC_SHA1_80", "AES_192_CM_HMAC_SHA1_32",
	    "AES_256_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32", "F8_128_HMAC_SHA1_80",
	    "F8_128_HMAC_SHA1_32",     "NULL_HMAC_SHA1_80",       "NULL_HMAC_SHA1_32",
	};
	enum { SUITES = sizeof(suites) / sizeof(suites[0]) };
	char text[SUITES][32];
	const char *flags[] = {"codec-accept-any"};
	const char *no[SUITES], *mux[] = {"offer", "accept"};
	unsigned n = 0;

	for (unsigned i = 0; i < SUITES; i++)
		if (strcmp(suites[i], lg_crypto_sdes()) != 0) {
			snprintf(text[n], sizeof(text[n]), "no-%s", suites[i]);
			no[n] = text[n];
			n++;
		}
	lg_bencode_list(b, "flags", flags, 1);
	lg_bencode_text(b, "ICE", "remove");
	lg_bencode_list(b, "SDES", no, n);
	lg_bencode_list(b, "rtcp-mux", mux, 2);
	lg_bencode_text(b, "transport-protocol", "RTP/SAVP");
}

static int rtpengine_publish(struct lg_member *m)
{
	static struct lg_sdp sdp;
	struct lg_bencode b;
	size_t cookie, len = 0;
	const char *r;
	int err = lg_peer_publisher(m, sdp_text, sizeof(sdp_text));

	if (err)
		return err;
	cookie = begin(&b, "publish", call_of(m, m->index));
	lg_bencode_text(&b, "from-tag", "publisher");
	put_flags(&b);
	lg_bencode_text(&b, "sdp", sdp_text);
	r = ask(&b, cookie, &len);
	if (value(r, len, "sdp", sdp_text, sizeof(sdp_text)) || lg_sdp_parse(&sdp, sdp_text))
		return fault("publish", r, len);
	if (lg_peer_remote(m->pub, &sdp)) {
		lg_say("rtpengine: publish: %s", m->pub->error);
		return -EPROTO;
	}
	lg_media_add(m->pub);
	return 0;
}

static int watch(struct lg_member *m, struct lg_peer *p, unsigned publisher)
{
	static struct lg_sdp sdp;
	struct lg_sdp_own own = lg_peer_own(p);
	struct lg_bencode b;
	char tag[256];
	size_t cookie = begin(&b, "subscribe request", call_of(m, publisher)), len = 0;
	const char *r;

	lg_bencode_text(&b, "from-tag", "publisher");
	put_flags(&b);
	r = ask(&b, cookie, &len);
	if (value(r, len, "sdp", sdp_text, sizeof(sdp_text)) ||
	    value(r, len, "to-tag", tag, sizeof(tag)) || lg_sdp_parse(&sdp, sdp_text))
		return fault("subscribe request", r, len);
	if (lg_peer_remote(p, &sdp)) {
		lg_say("rtpengine: subscribe request: %s", p->error);
		return -EPROTO;
	}
	lg_media_add(p); // before it sends
	if (!lg_sdp_answer(sdp_text, sizeof(sdp_text), &own, &sdp))
		return -E2BIG;
	cookie = begin(&b, "subscribe answer", call_of(m, publisher));
	lg_bencode_text(&b, "to-tag", tag);
	lg_bencode_text(&b, "sdp", sdp_text);
	r = ask(&b, cookie, &len);
	if (value(r, len, "result", tag, sizeof(tag)) || strcmp(tag, "ok") != 0)
		return fault("subscribe answer", r, len);
	return 0;
}

static int rtpengine_subscribe(struct lg_member *m)
{
	return lg_peer_receivers(m, watch);
}

static void rtpengine_leave(struct lg_member *m)
{
	struct lg_bencode b;
	size_t cookie, len;

	if (!m->publishes)
		return;
	cookie = begin(&b, "delete", call_of(m, m->index));
	ask(&b, cookie, &len);
}

static void rtpengine_close(void)
{
	close(fd);
}

const struct lg_adapter lg_adapter_rtpengine = {
    rtpengine_open, rtpengine_publish, rtpengine_subscribe, NULL, rtpengine_leave, rtpengine_close,
};
