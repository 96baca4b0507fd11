/* The daemon's DTLS certificate: made once, kept in a folder, and its fingerprint (RFC 8122). */
#pragma once
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>

/* dir/dtls.pem, made if missing or within 30 days of its end. 0, -EBADMSG, -ENOMEM or -errno. */
int cp_cert_load(X509 **cert, EVP_PKEY **key, const char *dir);
/* "sha-256 AB:…" of cert. 0 or -ENOMEM. */
int cp_cert_fingerprint(char *out, size_t size, const X509 *cert);
/* Takes "sha-256 AB:…" apart; NULL if malformed or of a refused hash (SHA-1, MD5). */
const EVP_MD *cp_fingerprint_parse(const char *text, uint8_t digest[EVP_MAX_MD_SIZE]);
