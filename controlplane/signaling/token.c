#include "controlplane/signaling/token.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <jwt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "shared/secret.h"

enum { KEY_NEW = 32, HEADER_MAX = 512 };

void cp_token_key_wipe(struct cp_token_key *key)
{
	sh_secret_wipe(key, sizeof(*key));
}

/* Made under another name and linked into place, so that the daemon and callstackctl may race: one
 * of them wins, and the loser reads the winner's. */
static int make_key(const char *path)
{
	char tmp[4096];
	uint8_t bytes[KEY_NEW];
	int err = 0, fd;

	if (snprintf(tmp, sizeof(tmp), "%s.%d", path, (int)getpid()) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, bytes, sizeof(bytes)) != sizeof(bytes) || fsync(fd) < 0)
		err = errno ? -errno : -EIO;
	close(fd);
	if (!err && link(tmp, path) < 0 && errno != EEXIST)
		err = -errno;
	unlink(tmp);
	sh_secret_wipe(bytes, sizeof(bytes));
	return err;
}

static int read_key(struct cp_token_key *key, const char *path, char *err, size_t size)
{
	struct stat st;
	ssize_t n;
	int rc = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0) {
		rc = -errno;
		snprintf(err, size, "%s: %s", path, strerror(-rc));
		return rc;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		snprintf(err, size, "%s: not a regular file", path);
		rc = -EINVAL;
	} else if (st.st_mode & 077) {
		snprintf(err, size,
		         "%s: mode %04o lets others read it; chmod 600 it, or better replace it",
		         path, (unsigned)(st.st_mode & 07777));
		rc = -EPERM;
	} else if (st.st_size < CP_TOKEN_KEY_MIN || st.st_size > CP_TOKEN_KEY_MAX) {
		snprintf(err, size, "%s: %lld bytes; a key has %d to %d", path,
		         (long long)st.st_size, CP_TOKEN_KEY_MIN, CP_TOKEN_KEY_MAX);
		rc = -EINVAL;
	} else {
		n = read(fd, key->bytes, (size_t)st.st_size);
		if (n == st.st_size) {
			key->len = (size_t)n;
		} else {
			rc = n < 0 ? -errno : -EIO;
			snprintf(err, size, "%s: %s", path, strerror(-rc));
		}
	}
	close(fd);
	return rc;
}

int cp_token_key_load(struct cp_token_key *key, const char *data_dir, char *err, size_t size)
{
	char path[4096];
	int rc;

	memset(key, 0, sizeof(*key));
	if (snprintf(path, sizeof(path), "%s/token.key", data_dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	if (access(path, F_OK) < 0 && errno == ENOENT) {
		rc = make_key(path);
		if (rc) {
			snprintf(err, size, "%s: cannot make it: %s", path, strerror(-rc));
			return rc;
		}
	}
	return read_key(key, path, err, size);
}

_Bool cp_name_valid(const char *name)
{
	size_t n =
	    strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-@+");

	return n >= 1 && n <= 64 && !name[n];
}

static bool valid(const struct cp_token *t)
{
	return cp_name_valid(t->sub) && (!t->room[0] || cp_name_valid(t->room)) && t->iat >= 0 &&
	       t->exp > t->iat && strlen(t->name) < sizeof(t->name);
}

int cp_token_make(char **text, const struct cp_token_key *key, const struct cp_token *t)
{
	jwt_t *jwt = NULL;
	char *s = NULL;
	int err;

	if (!valid(t) || key->len < CP_TOKEN_KEY_MIN)
		return -EINVAL;
	if (jwt_new(&jwt))
		return -ENOMEM;
	err = jwt_set_alg(jwt, JWT_ALG_HS256, key->bytes, (int)key->len);
	if (!err)
		err = jwt_add_grant(jwt, "sub", t->sub);
	if (!err)
		err = jwt_add_grant_int(jwt, "iat", (long)t->iat);
	if (!err)
		err = jwt_add_grant_int(jwt, "exp", (long)t->exp);
	if (!err && t->room[0])
		err = jwt_add_grant(jwt, "room", t->room);
	if (!err && t->name[0])
		err = jwt_add_grant(jwt, "name", t->name);
	if (!err)
		s = jwt_encode_str(jwt);
	jwt_free(jwt);
	if (!s)
		return err ? -EINVAL : -ENOMEM;
	*text = s;
	return 0;
}

static int unbase64(uint8_t *out, size_t size, const char *p, size_t len)
{
	uint32_t acc = 0;
	unsigned bits = 0;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		static const char alphabet[] =
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
		const char *at = p[i] ? strchr(alphabet, p[i]) : NULL;

		if (!at)
			return -EBADMSG;
		acc = acc << 6 | (uint32_t)(at - alphabet);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			if (n == size)
				return -EBADMSG;
			out[n++] = (uint8_t)(acc >> bits);
		}
	}
	return bits == 6 ? -EBADMSG : (int)n;
}

/* libjwt takes the algorithm from the token; so it gets to see only tokens that ask for ours (RFC
 * 8725 §3.1). */
int cp_token_header_check(const char *text, size_t len)
{
	char buf[HEADER_MAX];
	const char *dot = memchr(text, '.', len);
	const char *s, *key;
	json_t *head, *v;
	int n, err = -EBADMSG;

	if (!dot)
		return -EBADMSG;
	n = unbase64((uint8_t *)buf, sizeof(buf), text, (size_t)(dot - text));
	if (n <= 0)
		return -EBADMSG;
	head = json_loadb(buf, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(head))
		goto out;
	s = json_string_value(json_object_get(head, "alg"));
	if (!s || strcmp(s, "HS256") != 0)
		goto out;
	json_object_foreach (head, key, v) {
		if (!strcmp(key, "typ")) {
			s = json_string_value(v);
			if (!s || strcasecmp(s, "JWT") != 0)
				goto out;
		} else if (strcmp(key, "alg") != 0 && strcmp(key, "kid") != 0) {
			goto out; // crit, b64, jwk, …: RFC 7515 §4.1.11 and nothing that could name
			          // another key
		}
	}
	err = 0;
out:
	json_decref(head);
	return err;
}

/* Optional ones may be absent, but not of another type. */
static int get_string(const json_t *claims, const char *name, char *out, size_t size, bool needed)
{
	const json_t *v = json_object_get(claims, name);
	const char *s = json_string_value(v);

	out[0] = '\0';
	if (!v)
		return needed ? -EBADMSG : 0;
	if (!s || json_string_length(v) >= size)
		return -EBADMSG;
	memcpy(out, s, json_string_length(v) + 1);
	return 0;
}

static int get_int(const json_t *claims, const char *name, int64_t *out, bool needed)
{
	const json_t *v = json_object_get(claims, name);

	*out = json_integer_value(v);
	return v ? json_is_integer(v) ? 0 : -EBADMSG : needed ? -EBADMSG : 0;
}

static int read_claims(struct cp_token *t, jwt_t *jwt, int64_t now_s)
{
	char *text = jwt_get_grants_json(jwt, NULL);
	json_t *claims =
	    text ? json_loads(text, 0, NULL) : NULL; // NULs and bad UTF-8 are refused here
	int64_t nbf = 0;
	int err = 0;

	if (get_string(claims, "sub", t->sub, sizeof(t->sub), true) ||
	    get_string(claims, "room", t->room, sizeof(t->room), false) ||
	    get_string(claims, "name", t->name, sizeof(t->name), false) ||
	    get_int(claims, "iat", &t->iat, true) || get_int(claims, "exp", &t->exp, true) ||
	    get_int(claims, "nbf", &nbf, false) || !valid(t))
		err = -EBADMSG;
	else if (now_s >= t->exp && now_s - t->exp >= CP_TOKEN_SKEW_S)
		err = -ETIME;
	else if (t->iat > now_s + CP_TOKEN_SKEW_S || nbf > now_s + CP_TOKEN_SKEW_S)
		err = -ETIME;
	json_decref(claims);
	free(text);
	return err;
}

int cp_token_verify(struct cp_token *t, const struct cp_token_key *key, const char *text,
                    int64_t now_s)
{
	struct cp_token claims = {0};
	size_t len = strnlen(text, CP_TOKEN_MAX + 1);
	jwt_t *jwt = NULL;
	int err;

	if (len > CP_TOKEN_MAX || key->len < CP_TOKEN_KEY_MIN || cp_token_header_check(text, len))
		return -EBADMSG;
	err = jwt_decode(&jwt, text, key->bytes, (int)key->len);
	if (err)
		return err == ENOMEM ? -ENOMEM : -EACCES;
	err = jwt_get_alg(jwt) == JWT_ALG_HS256 ? read_claims(&claims, jwt, now_s) : -EBADMSG;
	jwt_free(jwt);
	if (!err)
		*t = claims;
	return err;
}
