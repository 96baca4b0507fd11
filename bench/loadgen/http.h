/* HTTP requests, one after another on connections that stay open. Main thread. */
#pragma once
#include <stddef.h>

struct lg_http {
	long status; // 0: none came; error says why
	char error[256], location[512];
	char *body; // NUL-terminated, valid until the next request
	size_t len;
};
int lg_http_open(void);
/* type and token may be NULL; body NULL: none. TLS certificates are not looked at: test instances
 * sign their own. */
const struct lg_http *lg_http(const char *method, const char *url, const char *type,
                              const char *token, const char *body);
void lg_http_close(void);
