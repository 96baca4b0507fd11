#include "controlplane/signaling/tls_cert.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "shared/log.h"

#define SUBSYS "tls"

enum {
	VALID_DAYS = 397, // what browsers take from anybody
	RENEW_S = 7 * 24 * 3600,
	NAMES_MAX = 64,
	PATH_LEN = 4096,
};
#define OUR_ORG  "CallStack"
#define OUR_NAME "callstackd"

static bool is_address(const char *name)
{
	uint8_t ip[16];

	return inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1;
}

static X509 *read_cert(const char *path)
{
	FILE *f = fopen(path, "re");
	X509 *x = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

	if (f)
		fclose(f);
	return x;
}

/* Never asks on the terminal for a pass phrase. */
static int no_password(char *buf, int size, int writing, void *arg)
{
	return -1;
}

static EVP_PKEY *read_key(const char *path)
{
	FILE *f = fopen(path, "re");
	EVP_PKEY *k = f ? PEM_read_PrivateKey(f, NULL, no_password, NULL) : NULL;

	if (f)
		fclose(f);
	return k;
}

/* Did we make it? Then we may make it anew. */
static bool is_ours(const X509 *x)
{
	char org[64] = "", name[64] = "";
	X509_NAME *subject = X509_get_subject_name(x);

	X509_NAME_get_text_by_NID(subject, NID_organizationName, org, sizeof(org));
	X509_NAME_get_text_by_NID(subject, NID_commonName, name, sizeof(name));
	return !strcmp(org, OUR_ORG) && !strcmp(name, OUR_NAME) &&
	       !X509_NAME_cmp(subject, X509_get_issuer_name(x));
}

static bool covers(X509 *x, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_address(names[i]) ? X509_check_ip_asc(x, names[i], 0) != 1
		                         : X509_check_host(x, names[i], 0, 0, NULL) != 1)
			return false;
	return true;
}

enum verdict { GOOD, BAD, RENEW };

/* What to do with the pair that is there; why[size] says what is wrong with it. */
static enum verdict judge(const char *cert, const char *key, const char *const *names, size_t n,
                          char *why, size_t size)
{
	X509 *x = read_cert(cert);
	EVP_PKEY *k = read_key(key);
	time_t soon = time(NULL) + RENEW_S;
	enum verdict v = BAD;

	if (!x)
		snprintf(why, size, "%s: no PEM certificate that can be read", cert);
	else if (!k)
		snprintf(why, size,
		         "%s: no PEM private key that can be read (or it has a pass phrase)", key);
	else if (!X509_check_private_key(x, k))
		snprintf(why, size, "%s is not the key of %s", key, cert);
	else if (is_ours(x) && X509_cmp_time(X509_get0_notAfter(x), &soon) <= 0)
		v = RENEW, snprintf(why, size, "it runs out");
	else if (is_ours(x) && !covers(x, names, n))
		v = RENEW, snprintf(why, size, "a name or address is new");
	else if (X509_cmp_current_time(X509_get0_notAfter(x)) <= 0)
		snprintf(why, size, "%s: it has expired", cert);
	else
		v = GOOD;
	X509_free(x);
	EVP_PKEY_free(k);
	return v;
}

static bool add_ext(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;
	bool ok;

	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = e && X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	return ok;
}

static bool add_names(X509 *x, const char *const *names, size_t n)
{
	char san[NAMES_MAX * 300] = "";
	size_t at = 0;

	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(san + at, sizeof(san) - at, "%s%s:%s", i ? "," : "",
		                       is_address(names[i]) ? "IP" : "DNS", names[i]);
	return at < sizeof(san) && add_ext(x, NID_subject_alt_name, san);
}

static X509 *make_cert(EVP_PKEY *key, const char *const *names, size_t n)
{
	X509 *x = X509_new();
	X509_NAME *subject;
	uint64_t serial;

	if (!x || RAND_bytes((uint8_t *)&serial, sizeof(serial)) != 1)
		goto fail;
	subject = X509_get_subject_name(x);
	if (!X509_set_version(x, X509_VERSION_3) ||
	    !ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1 | 1) ||
	    !X509_gmtime_adj(X509_getm_notBefore(x), -3600) ||
	    !X509_time_adj_ex(X509_getm_notAfter(x), VALID_DAYS, 0, NULL) ||
	    !X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, (const uint8_t *)OUR_ORG, -1,
	                                -1, 0) ||
	    !X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)OUR_NAME, -1,
	                                -1, 0) ||
	    !X509_set_issuer_name(x, subject) || !X509_set_pubkey(x, key) ||
	    !add_ext(x, NID_basic_constraints, "critical,CA:FALSE") ||
	    !add_ext(x, NID_key_usage, "critical,digitalSignature") ||
	    !add_ext(x, NID_ext_key_usage, "serverAuth") ||
	    !add_ext(x, NID_subject_key_identifier, "hash") || !add_names(x, names, n) ||
	    !X509_sign(x, key, EVP_sha256()))
		goto fail;
	return x;
fail:
	X509_free(x);
	return NULL;
}

/* Writes through a temporary file, so that a crash leaves the old one or the new one. */
static int write_pem(const char *path, X509 *x, EVP_PKEY *k)
{
	char tmp[PATH_LEN + 8];
	int ok, err = 0;
	FILE *f;
	int fd;

	snprintf(tmp, sizeof(tmp), "%s.new", path);
	unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	f = fdopen(fd, "w");
	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	ok = x ? PEM_write_X509(f, x) : PEM_write_PrivateKey(f, k, NULL, NULL, 0, NULL, NULL);
	if (fflush(f) || fsync(fd) < 0 || !ok)
		err = errno ? -errno : -EIO;
	fclose(f);
	if (!err && rename(tmp, path) < 0)
		err = -errno;
	if (err)
		unlink(tmp);
	return err;
}

static int make_folder(const char *file)
{
	char dir[PATH_LEN];
	char *slash;

	if (snprintf(dir, sizeof(dir), "%s", file) >= (int)sizeof(dir))
		return -ENAMETOOLONG;
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	return mkdir(dir, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int make_pair(const char *cert, const char *key, const char *const *names, size_t n,
                     char *err, size_t size)
{
	EVP_PKEY *k = EVP_EC_gen("P-256");
	X509 *x = k ? make_cert(k, names, n) : NULL;
	const char *at = key;
	int rc = x ? make_folder(key) : -EINVAL;

	if (!rc)
		rc = write_pem(key, NULL, k);
	if (!rc) {
		at = cert;
		rc = make_folder(cert);
	}
	if (!rc)
		rc = write_pem(cert, x, NULL);
	if (!x)
		snprintf(err, size, "cannot make a certificate for these names");
	else if (rc)
		snprintf(err, size, "%s: cannot write it: %s", at, strerror(-rc));
	X509_free(x);
	EVP_PKEY_free(k);
	return rc;
}

/* A DNS name that may stand in a SAN; a host's own name can be anything. */
static bool is_dns_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.");

	return n && n < 254 && !s[n] && s[0] != '-' && s[0] != '.';
}

static void add_name(const char **all, size_t *n, const char *name)
{
	if (!is_address(name) && !is_dns_name(name))
		return;
	for (size_t i = 0; i < *n; i++)
		if (!strcasecmp(all[i], name))
			return;
	if (*n < NAMES_MAX)
		all[(*n)++] = name;
}

int cp_tls_ensure_certificate(const char *cert, const char *key, const char *const *names, size_t n,
                              char *err, size_t size)
{
	bool have_cert = !access(cert, F_OK), have_key = !access(key, F_OK);
	const char *all[NAMES_MAX];
	char host[256] = "", why[512] = "there is none yet";
	size_t count = 0;
	enum verdict v = RENEW;
	int rc = 0;

	if (have_cert != have_key) {
		snprintf(err, size, "%s is there, but %s is not", have_cert ? cert : key,
		         have_cert ? key : cert);
		return -EINVAL;
	}
	gethostname(host, sizeof(host) - 1);
	add_name(all, &count, "localhost");
	add_name(all, &count, "127.0.0.1");
	add_name(all, &count, "::1");
	add_name(all, &count, host);
	for (size_t i = 0; i < n; i++)
		add_name(all, &count, names[i]);
	if (have_cert)
		v = judge(cert, key, all, count, why, sizeof(why));
	if (v == RENEW) {
		sh_info(SUBSYS, "making a self-signed certificate %s: %s", cert, why);
		rc = make_pair(cert, key, all, count, err, size);
		if (!rc)
			v = judge(cert, key, all, count, why, sizeof(why));
	}
	if (!rc && v != GOOD) {
		snprintf(err, size, "%s", why);
		rc = -EINVAL;
	}
	return rc;
}
