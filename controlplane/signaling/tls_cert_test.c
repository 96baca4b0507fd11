#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "controlplane/signaling/tls_cert.h"

static char dir[] = "/tmp/tls_cert_test_XXXXXX", cert[64], key[64], why[512];

static X509 *read_it(void)
{
	FILE *f = fopen(cert, "r");
	X509 *x;

	assert_non_null(f);
	x = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	assert_non_null(x);
	return x;
}

static long serial(void)
{
	X509 *x = read_it();
	long s = (long)X509_NAME_hash_ex(X509_get_subject_name(x), NULL, NULL, NULL);
	unsigned char md[32];
	unsigned n;

	X509_digest(x, EVP_sha256(), md, &n);
	memcpy(&s, md, sizeof(s));
	X509_free(x);
	return s;
}

static int ensure(const char *const *names, size_t n)
{
	why[0] = '\0';
	return cp_tls_ensure_certificate(cert, key, names, n, why, sizeof(why));
}

static void made_and_kept(void **state)
{
	const char *names[] = {"198.18.0.1", "calls.example.org", "2001:db8::1", "not a name!"};
	struct stat st;
	X509 *x;
	long first;

	assert_int_equal(ensure(NULL, 0), 0);
	assert_int_equal(stat(key, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	x = read_it();
	assert_int_equal(X509_check_host(x, "localhost", 0, 0, NULL), 1);
	assert_int_equal(X509_check_ip_asc(x, "127.0.0.1", 0), 1);
	assert_int_equal(X509_check_ip_asc(x, "::1", 0), 1);
	assert_int_equal(EVP_PKEY_get_base_id(X509_get0_pubkey(x)), EVP_PKEY_EC);
	X509_free(x);
	first = serial();
	assert_int_equal(ensure(NULL, 0), 0);
	assert_int_equal(serial(), first);
	/* a new address makes a new one, which then covers old and new */
	assert_int_equal(ensure(names, 4), 0);
	assert_int_not_equal(serial(), first);
	first = serial();
	x = read_it();
	assert_int_equal(X509_check_ip_asc(x, "198.18.0.1", 0), 1);
	assert_int_equal(X509_check_host(x, "calls.example.org", 0, 0, NULL), 1);
	X509_free(x);
	assert_int_equal(ensure(names, 2), 0);
	assert_int_equal(serial(), first);
}

static void run(const char *cmd)
{
	assert_int_equal(system(cmd), 0);
}

/* Somebody else's pair is only looked at. */
static void given(void **state)
{
	char cmd[512], other[80];
	const char *names[] = {"198.18.0.9"};
	long s;

	snprintf(other, sizeof(other), "%s/other.key", dir);
	snprintf(cmd, sizeof(cmd),
	         "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "
	         "/CN=theirs -days 1 "
	         "-keyout %s -out %s 2>/dev/null",
	         key, cert);
	run(cmd);
	s = serial();
	assert_int_equal(ensure(names, 1), 0);
	assert_int_equal(serial(), s);
	/* wrong key */
	snprintf(cmd, sizeof(cmd),
	         "cp %s %s && openssl ecparam -name prime256v1 -genkey -noout -out %s", key, other,
	         key);
	run(cmd);
	assert_int_equal(ensure(NULL, 0), -EINVAL);
	assert_non_null(strstr(why, "not the key of"));
	/* no key, no certificate, rubbish */
	unlink(key);
	assert_int_equal(ensure(NULL, 0), -EINVAL);
	assert_non_null(strstr(why, "is not"));
	snprintf(cmd, sizeof(cmd), "echo rubbish > %s", key);
	run(cmd);
	assert_int_equal(ensure(NULL, 0), -EINVAL);
	assert_non_null(strstr(why, "private key"));
	snprintf(cmd, sizeof(cmd), "mv %s %s && echo rubbish > %s", other, key, cert);
	run(cmd);
	assert_int_equal(ensure(NULL, 0), -EINVAL);
	assert_non_null(strstr(why, "certificate"));
	unlink(cert);
	unlink(key);
}

static void cannot_be_written(void **state)
{
	assert_int_not_equal(cp_tls_ensure_certificate("/proc/nonexistent/c", "/proc/nonexistent/k",
	                                               NULL, 0, why, sizeof(why)),
	                     0);
	assert_non_null(strstr(why, "/proc/nonexistent/k"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(made_and_kept),
	    cmocka_unit_test(given),
	    cmocka_unit_test(cannot_be_written),
	};
	int err;

	if (!mkdtemp(dir))
		return 1;
	snprintf(cert, sizeof(cert), "%s/tls/cert.pem", dir);
	snprintf(key, sizeof(key), "%s/tls/key.pem", dir);
	err = cmocka_run_group_tests_name("tls_cert", tests, NULL, NULL);
	snprintf(why, sizeof(why), "rm -r %s", dir);
	return system(why) || err;
}
