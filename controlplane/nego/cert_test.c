/* Certificates: fingerprints that match or do not, and the identity that is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "controlplane/nego/dtls_fixture.h"
#include "controlplane/nego/fake_loop.h"

static void wrong_fingerprint_is_refused(void **state)
{
	char other[CP_FINGERPRINT_STR];

	snprintf(other, sizeof(other), "%s", cp_dtls_fingerprint(ctx2));
	other[strlen(other) - 1] = other[strlen(other) - 1] == '0' ? '1' : '0';
	memset(&server, 0, sizeof(server));
	start(&server, &client, ctx, CP_DTLS_SERVER, other);
	start(&client, &server, ctx2, CP_DTLS_CLIENT, cp_dtls_fingerprint(ctx));
	run(&server, &client);
	assert_int_equal(server.keyed, 0);
	assert_int_equal(server.closed, 1);
	assert_string_equal(server.reason, "the certificate does not match the fingerprint");
	fake_loop_advance(40000);
	assert_int_equal(client.closed, 1);
	assert_int_equal(client.keyed, 0);
	stop(&server, &client);

	start(&server, &client, ctx, CP_DTLS_SERVER, cp_dtls_fingerprint(ctx2));
	start(&client, &server, ctx2, CP_DTLS_CLIENT, other);
	run(&server, &client);
	assert_int_equal(client.keyed + server.keyed, 0);
	assert_string_equal(client.reason, "the certificate does not match the fingerprint");
	fake_loop_advance(5000); // the alert is believed when nothing else comes
	assert_string_equal(server.reason, "fatal alert");
	stop(&server, &client);
}

static void fingerprints_are_checked(void **state)
{
	static const char *const bad[] = {
	    "",
	    "sha-256",
	    "sha-256 ",
	    "sha-1 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33",
	    "sha-256 00:11",
	    "md5 00",
	    "sha-256 "
	    "00-01-02-03-04-05-06-07-08-09-0A-0B-0C-0D-0E-0F-10-11-12-13-14-15-16-17-18-19-1A-1B-"
	    "1C-1D-1E-1F",
	    "sha-256 "
	    "0g:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:"
	    "1C:1D:1E:1F"};
	struct cp_dtls_events ev = events_of(&server);
	struct cp_dtls *d;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(cp_dtls_alloc(&d, ctx, CP_DTLS_SERVER, bad[i], &ev), -EINVAL);
	assert_int_equal(fake_loop_timers(), 0);
}

static void certificate_is_kept(void **state)
{
	char path[96], first[CP_FINGERPRINT_STR];
	struct cp_dtls_ctx *c;
	struct stat st;
	FILE *f;

	snprintf(path, sizeof(path), "%s/dtls.pem", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	snprintf(first, sizeof(first), "%s", cp_dtls_fingerprint(ctx));
	assert_int_equal(cp_dtls_ctx_alloc(&c, dir), 0);
	assert_string_equal(cp_dtls_fingerprint(c), first);
	cp_dtls_ctx_free(c);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(cp_dtls_ctx_alloc(&c, dir), 0);
	cp_dtls_ctx_free(c);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_string_not_equal(cp_dtls_fingerprint(ctx2), first);
	snprintf(path, sizeof(path), "%s/dtls.pem", dir2);
	f = fopen(path, "w");
	fputs("not a key\n", f);
	fclose(f);
	assert_int_equal(cp_dtls_ctx_alloc(&c, dir2), -EBADMSG); // never silently another identity
	assert_int_equal(cp_dtls_ctx_alloc(&c, "/proc/none/such"), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(wrong_fingerprint_is_refused),
	    cmocka_unit_test(fingerprints_are_checked),
	    cmocka_unit_test(certificate_is_kept),
	};

	return cmocka_run_group_tests(tests, dtls_setup, dtls_teardown);
}
