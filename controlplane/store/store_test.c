#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "controlplane/loop.h"
#include "controlplane/store/password.h"
#include "controlplane/store/store.h"

static char dir[] = "/tmp/store_test_XXXXXX", path[64], url[80], why[256];
static struct cp_store *store;

static int set_up(void **state)
{
	unlink(path);
	return cp_store_open(&store, url, why, sizeof(why));
}

static int tear_down(void **state)
{
	cp_store_close(store);
	store = NULL;
	return 0;
}

static int add(const char *name, const char *extension, const char *password)
{
	struct cp_user u = {.created_ms = 1700000000000};

	snprintf(u.name, sizeof(u.name), "%s", name);
	snprintf(u.extension, sizeof(u.extension), "%s", extension);
	snprintf(u.display, sizeof(u.display), "The %.50s", name);
	return cp_store_user_add(store, &u, password);
}

static void users(void **state)
{
	struct cp_user u, *list;
	size_t n;

	assert_int_equal(add("bob", "1002", "pw"), 0);
	assert_int_equal(add("alice", "1001", "secret"), 0);
	assert_int_equal(add("carol", "", "x"), 0);
	assert_int_equal(add("dave", "", "x"), 0); // two without an extension
	assert_int_equal(cp_store_user_get(store, "alice", &u), 0);
	assert_string_equal(u.name, "alice");
	assert_string_equal(u.extension, "1001");
	assert_string_equal(u.display, "The alice");
	assert_int_equal(u.created_ms, 1700000000000);
	assert_int_equal(cp_store_user_get(store, "1002", &u), 0);
	assert_string_equal(u.name, "bob");
	assert_int_equal(cp_store_user_get(store, "nobody", &u), -ENOENT);
	assert_int_equal(cp_store_user_get(store, "", &u), -ENOENT);
	assert_int_equal(cp_store_user_get(store, "' OR 1=1 --", &u), -ENOENT);
	assert_int_equal(cp_store_user_list(store, &list, &n), 0);
	assert_int_equal(n, 4);
	assert_string_equal(list[0].name, "alice");
	assert_string_equal(list[3].name, "dave");
	assert_string_equal(list[3].extension, "");
	free(list);
	assert_int_equal(cp_store_user_delete(store, "bob"), 0);
	assert_int_equal(cp_store_user_delete(store, "bob"), -ENOENT);
	assert_int_equal(add("bob2", "1002", "pw"), 0); // its extension is free again
}

/* Names and extensions are one name space. */
static void taken(void **state)
{
	assert_int_equal(add("alice", "1001", "a"), 0);
	assert_int_equal(add("alice", "", "a"), -EEXIST);
	assert_int_equal(add("bob", "1001", "a"), -EEXIST);
	assert_int_equal(add("1001", "", "a"), -EEXIST);
	assert_int_equal(add("2000", "", "a"), 0);
	assert_int_equal(add("bob", "2000", "a"), -EEXIST);
	assert_int_equal(add("3000", "3000", "a"), 0);
}

static void invalid(void **state)
{
	struct cp_user u = {.name = "a", .display = "tab\there"};
	char longest[CP_PASSWORD_MAX + 2];

	assert_int_equal(add("", "", "a"), -EINVAL);
	assert_int_equal(add("a b", "", "a"), -EINVAL);
	assert_int_equal(add("a", "12x", "a"), -EINVAL);
	assert_int_equal(add("a", "", ""), -EINVAL);
	assert_int_equal(cp_store_user_add(store, &u, "a"), -EINVAL);
	strcpy(u.display, "\xff");
	assert_int_equal(cp_store_user_add(store, &u, "a"), -EINVAL);
	memset(longest, 'p', sizeof(longest));
	longest[CP_PASSWORD_MAX + 1] = '\0';
	assert_int_equal(add("a", "", longest), -EINVAL);
	longest[CP_PASSWORD_MAX] = '\0';
	assert_int_equal(add("a", "", longest), 0);
	assert_int_equal(cp_store_user_verify(store, "a", longest, &u), 0);
	longest[CP_PASSWORD_MAX - 1] = 'q';
	assert_int_equal(cp_store_user_verify(store, "a", longest, &u), -EACCES);
}

static void passwords(void **state)
{
	struct cp_user u = {.name = "untouched"};

	assert_int_equal(add("alice", "1001", "p\xc3\xa4ss word"), 0);
	assert_int_equal(cp_store_user_verify(store, "alice", "wrong", &u), -EACCES);
	assert_int_equal(cp_store_user_verify(store, "alice", "", &u), -EACCES);
	assert_int_equal(cp_store_user_verify(store, "nobody", "p\xc3\xa4ss word", &u), -EACCES);
	assert_int_equal(cp_store_user_verify(store, "1001", "p\xc3\xa4ss word", &u), -EACCES);
	assert_int_equal(cp_store_user_verify(store, "", "nobody's", &u),
	                 -EACCES); // the decoy is nobody's
	assert_string_equal(u.name, "untouched");
	assert_int_equal(cp_store_user_verify(store, "alice", "p\xc3\xa4ss word", &u), 0);
	assert_string_equal(u.name, "alice");
	assert_int_equal(cp_store_user_set_password(store, "alice", "new"), 0);
	assert_int_equal(cp_store_user_verify(store, "alice", "p\xc3\xa4ss word", &u), -EACCES);
	assert_int_equal(cp_store_user_verify(store, "alice", "new", &u), 0);
	assert_int_equal(cp_store_user_set_password(store, "nobody", "new"), -ENOENT);
	assert_int_equal(cp_store_user_set_password(store, "alice", ""), -EINVAL);
}

/* CPU of this thread: the machine may be busy with other tests. */
static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t time_of(const char *name)
{
	uint64_t best = UINT64_MAX;
	struct cp_user u;

	for (int i = 0; i < 7; i++) {
		uint64_t t = cpu_ns();

		assert_int_equal(cp_store_user_verify(store, name, "wrong", &u), -EACCES);
		t = cpu_ns() - t;
		best = t < best ? t : best;
	}
	return best;
}

static void unknown_users_cost_the_same(void **state)
{
	uint64_t known, unknown;

	assert_int_equal(add("alice", "", "a"), 0);
	known = time_of("alice");
	unknown = time_of("nobody");
	print_message("verify: known %.1f ms, unknown %.1f ms\n", (double)known / 1e6,
	              (double)unknown / 1e6);
	assert_in_range(unknown * 100 / known, 40, 250); // without the decoy it would be 0
}

static void hashes(void **state)
{
	char a[160], b[160], small[20];

	assert_int_equal(cp_password_hash(a, sizeof(a), "x"), 0);
	assert_int_equal(cp_password_hash(b, sizeof(b), "x"), 0);
	assert_int_equal(strncmp(a, "$argon2id$v=19$m=", 17), 0);
	assert_string_not_equal(a, b);
	assert_int_equal(cp_password_verify(a, "x"), 0);
	assert_int_equal(cp_password_verify(a, "y"), -EACCES);
	assert_int_equal(cp_password_verify("", "x"), -EINVAL);
	assert_int_equal(cp_password_verify("$2b$12$abc", "x"), -EINVAL);
	assert_int_equal(cp_password_hash(small, sizeof(small), "x"), -EINVAL);
}

static void what_the_disk_has(void **state)
{
	struct cp_user u;
	struct stat st;
	char cmd[200];

	assert_int_equal(add("alice", "1001", "Tr0ub4dor-unique"), 0);
	cp_store_close(store);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	snprintf(cmd, sizeof(cmd), "! grep -q Tr0ub4dor-unique %s*", path);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(cp_store_open(&store, url, why, sizeof(why)), 0);
	assert_int_equal(cp_store_user_verify(store, "alice", "Tr0ub4dor-unique", &u), 0);
}

static void opening(void **state)
{
	struct cp_store *s;
	sqlite3 *sql;
	FILE *f;

	assert_int_equal(cp_store_open(&s, "mysql://x", why, sizeof(why)), -ENOTSUP);
	assert_non_null(strstr(why, "mysql://x"));
	assert_int_equal(cp_store_open(&s, "sqlite:", why, sizeof(why)), -EINVAL);
	assert_int_equal(cp_store_open(&s, "sqlite:/nonexistent/x", why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "/nonexistent/x"));
	cp_store_close(store);
	store = NULL;
	/* a newer schema */
	assert_int_equal(sqlite3_open(path, &sql), SQLITE_OK);
	sqlite3_exec(sql, "PRAGMA user_version = 99", NULL, NULL, NULL);
	sqlite3_close(sql);
	assert_int_equal(cp_store_open(&s, url, why, sizeof(why)), -EPROTO);
	assert_non_null(strstr(why, "newer"));
	/* no database */
	f = fopen(path, "w");
	fputs("this is not a database, however long it may go on and on and on", f);
	fclose(f);
	assert_int_not_equal(cp_store_open(&s, url, why, sizeof(why)), 0);
	assert_non_null(strstr(why, path));
}

/* ---- on the loop ---- */

static int got[4];
static unsigned count, late_ms;
static pthread_t loop_thread;

static void on_user(int err, const struct cp_user *u, void *arg)
{
	assert_true(pthread_equal(pthread_self(), loop_thread));
	if (!err)
		assert_string_equal(u->name, "alice");
	got[(intptr_t)arg] = err ? err : 1;
	count++;
}

static void on_list(int err, const struct cp_user *list, size_t n, void *arg)
{
	assert_int_equal(err, 0);
	got[3] = (int)n;
	count++;
}

static uint64_t last_tick;
static struct cp_timer *ticker;

/* Every 2 ms: how late is it at most while passwords are hashed? */
static void tick(void *arg)
{
	uint64_t now = cp_now_ns();

	if (last_tick && (now - last_tick) / 1000000 > late_ms)
		late_ms = (unsigned)((now - last_tick) / 1000000);
	last_tick = now;
	if (count == 4)
		cp_loop_stop();
	else
		cp_timer_start(ticker, 2);
}

static void asynchronous(void **state)
{
	struct cp_user u = {.name = "alice"};

	loop_thread = pthread_self();
	assert_int_equal(cp_loop_init(), 0);
	assert_int_equal(cp_store_user_add(store, &u, "pw"), 0);
	assert_int_equal(cp_timer_alloc(&ticker, tick, NULL), 0);
	cp_timer_start(ticker, 0);
	assert_int_equal(cp_store_user_verify_async(store, "alice", "pw", on_user, (void *)0), 0);
	assert_int_equal(cp_store_user_verify_async(store, "alice", "no", on_user, (void *)1), 0);
	assert_int_equal(cp_store_user_verify_async(
	                     store,
	                     "nobody-by-this-name-of-more-than-sixty-four-characters-or-so-it-is",
	                     "pw", on_user, (void *)2),
	                 0);
	assert_int_equal(cp_store_user_list_async(store, on_list, NULL), 0);
	assert_int_equal(count, 0);
	assert_int_equal(cp_loop_run(), 0);
	assert_int_equal(got[0], 1);
	assert_int_equal(got[1], -EACCES);
	assert_int_equal(got[2], -EACCES);
	assert_int_equal(got[3], 1);
	print_message("the loop was late by at most %u ms\n", late_ms);
	/* more than may be under way, then closed with all of it pending: nobody is called */
	count = 0;
	for (int i = 0; i < CP_STORE_PENDING_MAX; i++)
		assert_int_equal(cp_store_user_list_async(store, on_list, NULL), 0);
	assert_int_equal(cp_store_user_list_async(store, on_list, NULL), -EAGAIN);
	cp_store_close(store);
	assert_int_equal(count, 0);
	cp_timer_free(ticker);
	cp_loop_close();
	assert_int_equal(cp_store_open(&store, url, why, sizeof(why)), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(users),
	    T(taken),
	    T(invalid),
	    T(passwords),
	    T(unknown_users_cost_the_same),
	    T(hashes),
	    T(what_the_disk_has),
	    T(opening),
	    T(asynchronous),
	};
	char cmd[80];
	int err;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/callstack.db", dir);
	snprintf(url, sizeof(url), "sqlite:%s", path);
	err = cmocka_run_group_tests_name("store", tests, NULL, NULL);
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	return system(cmd) || err;
}
