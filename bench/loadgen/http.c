#include "bench/loadgen/http.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <curl/curl.h>

enum { TIMEOUT_S = 20 };

static CURL *curl;
static struct lg_http reply;
static size_t cap;

int lg_http_open(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
	curl = curl_easy_init();
	return curl ? 0 : -ENOMEM;
}

void lg_http_close(void)
{
	if (curl)
		curl_easy_cleanup(curl);
	free(reply.body);
	memset(&reply, 0, sizeof(reply));
	curl = NULL;
	cap = 0;
}

static size_t take_body(char *p, size_t size, size_t n, void *arg)
{
	size_t len = size * n;

	if (reply.len + len + 1 > cap) {
		char *more = realloc(reply.body, (reply.len + len) * 2 + 1024);

		if (!more)
			return 0;
		reply.body = more;
		cap = (reply.len + len) * 2 + 1024;
	}
	memcpy(reply.body + reply.len, p, len);
	reply.len += len;
	reply.body[reply.len] = '\0';
	return len;
}

static size_t take_header(char *p, size_t size, size_t n, void *arg)
{
	size_t len = size * n;

	if (len > 9 && strncasecmp(p, "Location:", 9) == 0)
		snprintf(reply.location, sizeof(reply.location), "%.*s",
		         (int)strcspn(p + 9 + strspn(p + 9, " "), "\r\n"),
		         p + 9 + strspn(p + 9, " "));
	return len;
}

static struct curl_slist *headers_of(const char *type, const char *token)
{
	char line[4096];
	struct curl_slist *h = curl_slist_append(NULL, "Expect:");

	if (type) {
		snprintf(line, sizeof(line), "Content-Type: %s", type);
		h = curl_slist_append(h, line);
	}
	if (token) {
		snprintf(line, sizeof(line), "Authorization: Bearer %s", token);
		h = curl_slist_append(h, line);
	}
	return h;
}

const struct lg_http *lg_http(const char *method, const char *url, const char *type,
                              const char *token, const char *body)
{
	struct curl_slist *h = headers_of(type, token);
	CURLcode rc;

	reply.len = 0;
	reply.status = 0;
	reply.location[0] = reply.error[0] = '\0';
	take_body((char *)"", 1, 0, NULL);
	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, h);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reply.error);
	if (body)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	rc = curl_easy_perform(curl);
	if (rc == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply.status);
	else if (!reply.error[0])
		snprintf(reply.error, sizeof(reply.error), "%s", curl_easy_strerror(rc));
	curl_slist_free_all(h);
	return &reply;
}
