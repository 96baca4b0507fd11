/* Cross-origin rules: CORS (the Fetch standard, §3.2) for the HTTP interfaces, and who may open
 * /ws. */
#include "controlplane/signaling/front_priv.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

bool front_is_api(const char *path)
{
	static const char *const prefix[] = {"/whip", "/whep", "/api"};

	for (size_t i = 0; i < sizeof(prefix) / sizeof(prefix[0]); i++) {
		size_t n = strlen(prefix[i]);

		if (!strncmp(path, prefix[i], n) && (path[n] == '/' || !path[n]))
			return true;
	}
	return false;
}

bool front_origin_listed(const char *list, const char *origin, bool star)
{
	size_t want = strlen(origin);

	while (*list) {
		size_t n;

		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if ((star && n == 1 && *list == '*') ||
		    (n && n == want && !strncasecmp(list, origin, n)))
			return true;
		list += n;
	}
	return false;
}

/* "https://HOST[:443]" and the Host header name the same place (RFC 6454 §4; our scheme is https).
 */
bool front_origin_same(const char *origin, const char *host)
{
	size_t o, h;

	if (strncasecmp(origin, "https://", 8) != 0)
		return false;
	origin += 8;
	o = strlen(origin);
	h = strlen(host);
	if (o > 4 && !strcmp(origin + o - 4, ":443"))
		o -= 4;
	if (h > 4 && !strcmp(host + h - 4, ":443"))
		h -= 4;
	return o && o == h && !strncasecmp(origin, host, o);
}

static bool harmless(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 127)
			return false;
	return true;
}

size_t front_cors_headers(char *buf, size_t size, const struct cp_http *h)
{
	const char *list = h->conn->front->conf.cors_origin;
	bool star = front_origin_listed(list, "", true);
	size_t at;

	buf[0] = '\0';
	if (!front_is_api(h->path) || !list[0])
		return 0;
	if (!star &&
	    (!h->origin[0] || !harmless(h->origin) || !front_origin_listed(list, h->origin, false)))
		return (size_t)snprintf(buf, size, "vary: Origin\r\n");
	at = (size_t)snprintf(
	    buf, size,
	    "access-control-allow-origin: %s\r\n%s"
	    "access-control-expose-headers: Location, ETag, Link, Accept-Patch, Accept-Post, "
	    "Retry-After, Allow\r\n",
	    star ? "*" : h->origin, star ? "" : "vary: Origin\r\n");
	if (h->req.method == CP_OPTIONS)
		at += (size_t)snprintf(
		    buf + at, size - at,
		    "access-control-allow-methods: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
		    "access-control-allow-headers: Authorization, Content-Type, If-Match\r\n"
		    "access-control-max-age: 7200\r\n");
	return at;
}
