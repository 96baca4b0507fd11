/* The HTTPS certificate: given by path, or made at first start. Called once, before the front is. */
#pragma once
#include <stddef.h>

enum { CP_TLS_PATH_MAX = 4096 };

struct cp_tls_files {
	char cert[CP_TLS_PATH_MAX], key[CP_TLS_PATH_MAX];
};

/* cert and key both given: checks that they can be read, belong together and are valid now. Both "": uses
 * DATADIR/callstackd.crt and .key, and makes them (ECDSA P-256; SAN: localhost, 127.0.0.1, ::1, the host's name and
 * names[n], each a DNS name or an address; key 0600) when they are absent, do not belong together, run out within a
 * week, or lack one of those names.
 * On error err[size] says what is wrong with which file. 0 or -errno. */
int cp_tls_ensure_certificate(struct cp_tls_files *out, const char *data_dir, const char *cert, const char *key,
                              const char *const *names, size_t n, char *err, size_t size);
