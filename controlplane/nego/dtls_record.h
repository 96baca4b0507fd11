/* The look at a datagram before OpenSSL sees it (RFC 6347 §4.1, §4.2.2): out goes what can only
 * harm. Pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cp_dtls_filter {
	bool server;      // which handshake messages may come
	bool started;     // a ClientHello was taken: other messages may follow
	bool established; // only protected records
	uint64_t ignored; // records dropped
	int alert;        // description of the last unprotected fatal alert, 0: none
};

/* Copies the acceptable records of a datagram to out (len bytes at least); their total length. */
size_t cp_dtls_filter(struct cp_dtls_filter *f, uint8_t *out, const uint8_t *data, size_t len);
