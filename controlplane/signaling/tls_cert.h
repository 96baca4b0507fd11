/* The HTTPS certificate: an operator's, or one made at first start. Called once, before the front
 * is. */
#pragma once
#include <stddef.h>

/* cert and key are paths of PEM files. Both absent: makes them (ECDSA P-256, self-signed; SAN:
 * localhost, 127.0.0.1,
 * ::1, the host's name and names[n], each a DNS name or an address; key 0600, the folder 0700). One
 * that we made is made anew when it runs out within a week or lacks one of those names. Any other
 * is only checked: both can be read, belong together, valid now. On error err[size] says what is
 * wrong with which file. 0; -EINVAL: unusable; -errno. */
int cp_tls_ensure_certificate(const char *cert, const char *key, const char *const *names, size_t n,
                              char *err, size_t size);
