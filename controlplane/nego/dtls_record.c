#include "controlplane/nego/dtls_record.h"
#include <string.h>

enum { HEADER = 13, HS_HEADER = 12, HS_MAX = 16384, PLAIN_MAX = 16384, EXPANSION_MAX = 2048 };
enum { CHANGE_CIPHER_SPEC = 20, ALERT = 21, HANDSHAKE = 22, APPLICATION = 23 };

static uint32_t be(const uint8_t *p, int n)
{
	uint32_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

/* Messages that the other role sends; a HelloRequest is none, as there is no renegotiation. */
static bool may_come(const struct cp_dtls_filter *f, uint8_t type)
{
	if (f->server)
		return type == 1 ||
		       (f->started && (type == 11 || type == 15 || type == 16 || type == 20));
	return (type >= 2 && type <= 4) || (type >= 11 && type <= 14) || type == 20 || type == 22;
}

/* Fragments whose lengths contradict each other end the handshake in OpenSSL, though anyone could
 * have sent them. */
static bool handshake_ok(const struct cp_dtls_filter *f, const uint8_t *p, size_t len)
{
	if (!len)
		return false;
	while (len) {
		uint32_t total, off, part;

		if (len < HS_HEADER || !may_come(f, p[0]))
			return false;
		total = be(p + 1, 3);
		off = be(p + 6, 3);
		part = be(p + 9, 3);
		if (total > HS_MAX || off + part > total || part > len - HS_HEADER ||
		    (!part && total))
			return false;
		p += HS_HEADER + part;
		len -= HS_HEADER + part;
	}
	return true;
}

static bool record_ok(struct cp_dtls_filter *f, const uint8_t *p, size_t body)
{
	uint32_t version = be(p + 1, 2), epoch = be(p + 3, 2);
	const uint8_t *in = p + HEADER;

	if ((version != 0xfefd && version != 0xfeff) || !body || body > PLAIN_MAX + EXPANSION_MAX)
		return false;
	if (p[0] < CHANGE_CIPHER_SPEC || p[0] > APPLICATION)
		return false;
	if (epoch)
		return epoch == 1; // whether it is genuine is for the cipher to say
	if (f->established)
		return false;
	switch (p[0]) {
	case CHANGE_CIPHER_SPEC:
		return f->started && body == 1 && in[0] == 1;
	case HANDSHAKE:
		return handshake_ok(f, in, body);
	case ALERT: // anyone could have sent it (RFC 6347 §4.1.2.7): believed only if nothing else
	            // comes
		if (body == 2 && in[0] == 2)
			f->alert = in[1] ? in[1] : -1;
		return false;
	default:
		return false;
	}
}

size_t cp_dtls_filter(struct cp_dtls_filter *f, uint8_t *out, const uint8_t *data, size_t len)
{
	size_t kept = 0;

	while (len) {
		size_t body = len >= HEADER ? be(data + 11, 2) : 0;

		if (len < HEADER || body > len - HEADER) {
			f->ignored++;
			break;
		}
		if (record_ok(f, data, body)) {
			memcpy(out + kept, data, HEADER + body);
			kept += HEADER + body;
			/* the rest of the flight may be behind it */
			f->started |= data[0] == HANDSHAKE && !be(data + 3, 2);
		} else {
			f->ignored++;
		}
		data += HEADER + body;
		len -= HEADER + body;
	}
	return kept;
}
