/* ICE (RFC 8839), fingerprint (RFC 8122) and setup (RFC 4145, 5763) attributes, and our own
 * credentials. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include "controlplane/nego/remote.h"

static const char ice_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int cp_ice_credentials(char ufrag[CP_ICE_UFRAG + 1], char pwd[CP_ICE_PWD + 1])
{
	uint8_t rnd[CP_ICE_UFRAG + CP_ICE_PWD];

	if (getrandom(rnd, sizeof(rnd), 0) != sizeof(rnd))
		return -EIO;
	for (int i = 0; i < CP_ICE_UFRAG; i++)
		ufrag[i] = ice_chars[rnd[i] & 63];
	for (int i = 0; i < CP_ICE_PWD; i++)
		pwd[i] = ice_chars[rnd[CP_ICE_UFRAG + i] & 63];
	ufrag[CP_ICE_UFRAG] = pwd[CP_ICE_PWD] = '\0';
	explicit_bzero(rnd, sizeof(rnd));
	return 0;
}

static int ice_string(char out[257], const struct cp_sdp_attr *a, size_t min, const char *what,
                      char *err)
{
	size_t n = strlen(a->value);

	if (n < min || n > 256 || strspn(a->value, ice_chars) != n)
		return cp_sdp_fail(err, -EBADMSG, a->line, "malformed a=%s", what);
	memcpy(out, a->value, n + 1);
	return 0;
}

/* 0 unknown or refused (MD5, SHA-1: RFC 8122 §5), else the bytes of the digest. */
static unsigned digest_size(const char *hash)
{
	if (strcasecmp(hash, "sha-256") == 0)
		return 32;
	if (strcasecmp(hash, "sha-384") == 0)
		return 48;
	return strcasecmp(hash, "sha-512") == 0 ? 64 : 0;
}

/* "sha-256 AB:CD…", normalised: hash in lower case, digits in upper. The first usable one counts.
 */
static int fingerprint(struct cp_transport *t, const struct cp_sdp_attr *a, char *err)
{
	const char *text = a->value;
	char hash[16], hex[3 * 64 + 1], *out = t->fingerprint;
	int len = cp_sdp_token(&text, " ", hash, sizeof(hash));
	unsigned bytes = len > 0 ? digest_size(hash) : 0;
	int n;

	if (len <= 0 || !cp_sdp_is_token(hash) ||
	    (n = cp_sdp_token(&text, " ", hex, sizeof(hex))) <= 0 || *text)
		return cp_sdp_fail(err, -EBADMSG, a->line, "malformed a=fingerprint");
	for (int i = 0; i < n; i++)
		if (i % 3 == 2 ? hex[i] != ':' : !isxdigit((unsigned char)hex[i]))
			return cp_sdp_fail(err, -EBADMSG, a->line, "malformed a=fingerprint");
	if (bytes ? n != (int)bytes * 3 - 1 : n % 3 != 2)
		return cp_sdp_fail(err, -EBADMSG, a->line, "malformed a=fingerprint");
	if (!bytes || t->fingerprint[0]) {
		t->bad_fingerprint |= !bytes;
		return 0;
	}
	for (const char *p = hash; *p; p++)
		*out++ = (char)tolower((unsigned char)*p);
	*out++ = ' ';
	for (const char *p = hex; *p; p++)
		*out++ = (char)toupper((unsigned char)*p);
	*out = '\0';
	return 0;
}

static int setup(struct cp_transport *t, const struct cp_sdp_attr *a, char *err)
{
	if (strcmp(a->value, "actpass") == 0)
		t->setup = CP_PEER_ACTPASS;
	else if (strcmp(a->value, "active") == 0)
		t->setup = CP_PEER_ACTIVE;
	else if (strcmp(a->value, "passive") == 0)
		t->setup = CP_PEER_PASSIVE;
	else if (strcmp(a->value, "holdconn") == 0)
		return cp_sdp_fail(err, -EPROTO, a->line, "a=setup:holdconn is not served");
	else
		return cp_sdp_fail(err, -EBADMSG, a->line, "malformed a=setup");
	return 0;
}

/* foundation component transport priority address port typ type … (RFC 8839 §5.1); addresses may be
 * mDNS names. Only the shape: we are ICE-lite and never send a check. */
int cp_candidate_check(const struct cp_sdp_attr *a, char *err)
{
	static const char *const what[] = {"foundation", "component", "transport", "priority",
	                                   "address",    "port",      "typ",       "type"};
	const char *text = a->value;
	uint64_t n;

	for (int i = 0; i < 8; i++) {
		char f[256];
		int len = cp_sdp_token(&text, " ", f, sizeof(f));
		bool ok = len > 0;

		if (i == 0)
			ok = ok && len <= 32 && strspn(f, ice_chars) == (size_t)len;
		else if (i == 1)
			ok = ok && cp_sdp_number(f, 256, &n) && n > 0;
		else if (i == 3)
			ok = ok && cp_sdp_number(f, 2147483647, &n);
		else if (i == 5)
			ok = ok && cp_sdp_number(f, 65535, &n);
		else if (i == 6)
			ok = ok && strcmp(f, "typ") == 0;
		if (!ok)
			return cp_sdp_fail(err, -EBADMSG, a->line, "malformed a=candidate: %s",
			                   what[i]);
	}
	return 0;
}

int cp_transport_read(struct cp_transport *t, const struct cp_sdp *s, const struct cp_sdp_media *m,
                      char *err)
{
	uint32_t end = m ? m->end : s->session_end;
	int rc = 0;

	for (uint32_t i = m ? m->first : 0; i < end && !rc; i++) {
		const struct cp_sdp_attr *a = &s->attr[i];

		if (a->name == CP_SDP_ICE_UFRAG)
			rc = ice_string(t->ufrag, a, 4, "ice-ufrag", err);
		else if (a->name == CP_SDP_ICE_PWD)
			rc = ice_string(t->pwd, a, 22, "ice-pwd", err);
		else if (a->name == CP_SDP_FINGERPRINT)
			rc = fingerprint(t, a, err);
		else if (a->name == CP_SDP_SETUP)
			rc = setup(t, a, err);
		else if (a->name == CP_SDP_CANDIDATE)
			rc = cp_candidate_check(a, err);
	}
	return rc;
}
