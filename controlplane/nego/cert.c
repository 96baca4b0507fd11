#include "controlplane/nego/cert.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DAYS = 2 * 365, RENEW_DAYS = 30 };

/* Self-signed; nothing in it counts but the key, so the name is random (RFC 8827 §6.5: no tracking
 * by it). */
static X509 *make(EVP_PKEY *key)
{
	X509 *cert = X509_new();
	X509_NAME *name;
	uint64_t rnd[2];
	char cn[24];

	if (!cert || RAND_bytes((uint8_t *)rnd, sizeof(rnd)) != 1)
		goto fail;
	snprintf(cn, sizeof(cn), "%016llx", (unsigned long long)rnd[0]);
	name = X509_get_subject_name(cert);
	if (!X509_set_version(cert, 2) ||
	    !ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), rnd[1] >> 1 | 1) ||
	    !X509_gmtime_adj(X509_getm_notBefore(cert), -24L * 3600) ||
	    !X509_gmtime_adj(X509_getm_notAfter(cert), DAYS * 24L * 3600) ||
	    !X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)cn, -1, -1, 0) ||
	    !X509_set_issuer_name(cert, name) || !X509_set_pubkey(cert, key) ||
	    !X509_sign(cert, key, EVP_sha256()))
		goto fail;
	return cert;
fail:
	X509_free(cert);
	return NULL;
}

/* Whole or not at all: written beside, synced, renamed. */
static int store(const char *dir, const char *path, const X509 *cert, const EVP_PKEY *key)
{
	char tmp[4096];
	FILE *f = NULL;
	int fd, err = 0;

	if (mkdir(dir, 0700) && errno != EEXIST)
		return -errno;
	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.new", path) >= sizeof(tmp))
		return -ENAMETOOLONG;
	unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	f = fdopen(fd, "w");
	if (!f) {
		close(fd);
		err = -ENOMEM;
		goto out;
	}
	if (!PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) || !PEM_write_X509(f, cert) ||
	    fflush(f) || fsync(fd))
		err = -EIO;
	if (fclose(f) || err || rename(tmp, path))
		err = err ? err : -errno;
out:
	if (err)
		unlink(tmp);
	return err;
}

static int load(X509 **cert, EVP_PKEY **key, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	FILE *f;

	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0600)) { // it holds a key, whoever put it there
		int err = -errno;

		close(fd);
		return err;
	}
	f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	*key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	*cert = *key ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
	fclose(f);
	if (*cert && X509_check_private_key(*cert, *key) == 1)
		return 0;
	X509_free(*cert);
	EVP_PKEY_free(*key);
	*cert = NULL;
	*key = NULL;
	return -EBADMSG;
}

static bool near_end(const X509 *cert)
{
	time_t soon = time(NULL) + RENEW_DAYS * 24L * 3600;

	return X509_cmp_time(X509_get0_notAfter(cert), &soon) <= 0;
}

int cp_cert_load(X509 **cert, EVP_PKEY **key, const char *dir)
{
	char path[4096 - 8];
	int err;

	*cert = NULL;
	*key = NULL;
	if ((size_t)snprintf(path, sizeof(path), "%s/dtls.pem", dir) >= sizeof(path))
		return -ENAMETOOLONG;
	err = load(cert, key, path);
	if (!err && !near_end(*cert))
		return 0;
	if (err && err != -ENOENT)
		return err;
	X509_free(*cert);
	EVP_PKEY_free(*key);
	*cert = NULL;
	*key = EVP_EC_gen("P-256");
	if (*key)
		*cert = make(*key);
	err = *cert ? store(dir, path, *cert, *key) : -ENOMEM;
	if (err) {
		X509_free(*cert);
		EVP_PKEY_free(*key);
		*cert = NULL;
		*key = NULL;
	}
	return err;
}

int cp_cert_fingerprint(char *out, size_t size, const X509 *cert)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned n;
	size_t at;

	if (!X509_digest(cert, EVP_sha256(), digest, &n))
		return -ENOMEM;
	at = (size_t)snprintf(out, size, "sha-256 ");
	for (unsigned i = 0; i < n && at < size; i++)
		at += (size_t)snprintf(out + at, size - at, "%s%02X", i ? ":" : "", digest[i]);
	return 0;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

const EVP_MD *cp_fingerprint_parse(const char *text, uint8_t digest[EVP_MAX_MD_SIZE])
{
	const char *space = strchr(text, ' ');
	size_t name = space ? (size_t)(space - text) : 0;
	const EVP_MD *md = NULL;
	int n;

	if (name == 7 && strncasecmp(text, "sha-256", 7) == 0)
		md = EVP_sha256();
	else if (name == 7 && strncasecmp(text, "sha-384", 7) == 0)
		md = EVP_sha384();
	else if (name == 7 && strncasecmp(text, "sha-512", 7) == 0)
		md = EVP_sha512();
	if (!md)
		return NULL;
	n = EVP_MD_get_size(md);
	text = space + 1;
	if (strlen(text) != (size_t)n * 3 - 1)
		return NULL;
	for (int i = 0; i < n; i++, text += 3) {
		int hi = digit(text[0]), lo = digit(text[1]);

		if (hi < 0 || lo < 0 || (i < n - 1 && text[2] != ':'))
			return NULL;
		digest[i] = (uint8_t)(hi << 4 | lo);
	}
	return md;
}
