/* Access tokens: JWT (RFC 7519), HS256 and nothing else (RFC 8725 §3.1). Claims: sub (user), iat,
 * exp; optional room (only that room) and name (display). Any thread; a key is read-only after it
 * was loaded. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum {
	CP_TOKEN_MAX = 4096,  // bytes of a token's text
	CP_TOKEN_SKEW_S = 30, // clocks may differ by that much
	CP_TOKEN_TTL_MAX_S = 365 * 24 * 3600,
	CP_TOKEN_KEY_MIN = 32, // bytes (RFC 7518 §3.2)
	CP_TOKEN_KEY_MAX = 256,
};

/* A secret: cp_token_key_wipe() before it goes. */
struct cp_token_key {
	uint8_t bytes[CP_TOKEN_KEY_MAX];
	size_t len;
};

struct cp_token {
	char sub[65];     // user
	char room[65];    // "" any
	char name[65];    // "" none
	int64_t iat, exp; // s since 1970
};

/* Reads DATADIR/token.key, or makes it (0600, 32 random bytes). On error err[size] says what is
 * wrong with which file. 0; -EPERM: others may read the file; -EINVAL: too short or too long;
 * -errno. */
int cp_token_key_load(struct cp_token_key *key, const char *data_dir, char *err, size_t size);
void cp_token_key_wipe(struct cp_token_key *key);

/* Signs; *text is the caller's to free(). exp must be after iat. 0, -EINVAL, -ENOMEM. */
int cp_token_make(char **text, const struct cp_token_key *key, const struct cp_token *t);
/* 0 and *t; -EBADMSG: no JWT of ours (shape, algorithm, claims); -EACCES: wrong signature; -ETIME:
 * expired or not yet valid at now_s. *t is only written on 0. */
int cp_token_verify(struct cp_token *t, const struct cp_token_key *key, const char *text,
                    int64_t now_s);
/* The header alone: 0 when it says HS256 and nothing that we do not know (crit, b64); else
 * -EBADMSG. */
int cp_token_header_check(const char *text, size_t len);
/* A user's or a room's name: 1..64 of A-Z a-z 0-9 . _ - @ + */
_Bool cp_name_valid(const char *name);
