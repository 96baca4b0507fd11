/* SQLite backend. One connection in serialized mode, so that any thread may use it; WAL, so that
 * callstackctl can write while the daemon reads. The schema's version is PRAGMA user_version; step
 * i of `schema` leads to i + 1. */
#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>
#include "controlplane/store/store_priv.h"
#include "shared/log.h"

#define SUBSYS "store"

enum { BUSY_MS = 5000 };

struct db {
	sqlite3 *sql;
	pthread_mutex_t lock; // a statement and the error text that belongs to it
};

static const char *const schema[] = {
    "CREATE TABLE users("
    " name TEXT PRIMARY KEY NOT NULL,"
    " password_hash TEXT NOT NULL,"
    " extension TEXT UNIQUE,"
    " display TEXT NOT NULL DEFAULT '',"
    " created_ms INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;",
};
enum { SCHEMA_VERSION = sizeof(schema) / sizeof(schema[0]) };

static int translate(struct db *d, int rc, const char *what)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
	case SQLITE_AUTH:
		sh_error(SUBSYS, "%s: %s", what, sqlite3_errmsg(d->sql));
		return -EROFS;
	case SQLITE_FULL:
		return -ENOSPC;
	default:
		sh_error(SUBSYS, "%s: %s", what, sqlite3_errmsg(d->sql));
		return -EIO;
	}
}

static int version_of(struct db *d, int *version)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(d->sql, "PRAGMA user_version", -1, &st, NULL);

	if (rc == SQLITE_OK) {
		rc = sqlite3_step(st);
		*version = sqlite3_column_int(st, 0);
		sqlite3_finalize(st);
	}
	return translate(d, rc, "version");
}

static int upgrade(struct db *d)
{
	int version = 0, err, rc;
	char sql[64];

	/* IMMEDIATE: the daemon and callstackctl may both come to a new file. */
	rc = sqlite3_exec(d->sql, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	err = rc ? translate(d, rc, "upgrade") : version_of(d, &version);
	if (!err && version > SCHEMA_VERSION)
		err = -EPROTO;
	for (; !err && version < SCHEMA_VERSION; version++)
		err = translate(d, sqlite3_exec(d->sql, schema[version], NULL, NULL, NULL),
		                "upgrade");
	snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", version);
	if (!err)
		err = translate(d, sqlite3_exec(d->sql, sql, NULL, NULL, NULL), "upgrade");
	sqlite3_exec(d->sql, err ? "ROLLBACK" : "COMMIT", NULL, NULL, NULL);
	return err;
}

static void db_close(void *db)
{
	struct db *d = db;

	sqlite3_close(d->sql);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

/* sqlite gives its files the mode of the main one, so that is made first, for its owner only. */
static int make_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int db_open(void **out, const char *path, char *err, size_t size)
{
	struct db *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return -ENOMEM;
	pthread_mutex_init(&d->lock, NULL);
	rc = path[0] ? make_file(path) : -EINVAL;
	if (!rc) {
		int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_NOFOLLOW;
		rc = translate(d, sqlite3_open_v2(path, &d->sql, flags, NULL), path);
	}
	if (!rc) {
		sqlite3_busy_timeout(d->sql, BUSY_MS);
		rc = translate(d,
		               sqlite3_exec(d->sql,
		                            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
		                            NULL, NULL, NULL),
		               path);
	}
	if (!rc)
		rc = upgrade(d);
	if (rc == -EPROTO)
		snprintf(err, size, "%s: made by a newer version", path);
	else if (rc)
		snprintf(err, size, "%s: %s", path,
		         rc == -EROFS ? "cannot be opened for writing" : strerror(-rc));
	if (rc) {
		db_close(d);
		return rc;
	}
	*out = d;
	return 0;
}

/* Prepares with up to five text parameters (NULL: SQL NULL); the lock is held until done(). */
static int begin(struct db *d, sqlite3_stmt **st, const char *sql, const char *const *text, int n)
{
	int rc;

	pthread_mutex_lock(&d->lock);
	*st = NULL;
	rc = sqlite3_prepare_v2(d->sql, sql, -1, st, NULL);
	for (int i = 0; i < n && rc == SQLITE_OK; i++)
		rc = text[i] ? sqlite3_bind_text(*st, i + 1, text[i], -1, SQLITE_STATIC)
		             : sqlite3_bind_null(*st, i + 1);
	return rc;
}

static int done(struct db *d, sqlite3_stmt *st, int rc, const char *what)
{
	int err = translate(d, rc, what);

	sqlite3_finalize(st);
	pthread_mutex_unlock(&d->lock);
	return err;
}

/* One name space for names and extensions, as SIP knows a user by either. */
static int user_add(void *db, const struct cp_user *u, const char *hash)
{
	const char *ext = u->extension[0] ? u->extension : NULL;
	const char *text[] = {u->name, hash, ext, u->display};
	struct db *d = db;
	sqlite3_stmt *st;
	int changed, err;
	int rc = begin(d, &st,
	               "INSERT INTO users(name, password_hash, extension, display, created_ms) "
	               "SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS "
	               "(SELECT 1 FROM users WHERE extension = ?1 OR name = ?3)",
	               text, 4);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(st, 5, (sqlite3_int64)u->created_ms);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	changed = sqlite3_changes(d->sql);
	err = done(d, st, rc, "user add");
	return !err && !changed ? -EEXIST : err;
}

static void copy(char *dst, size_t size, sqlite3_stmt *st, int column)
{
	const char *s = (const char *)sqlite3_column_text(st, column);

	snprintf(dst, size, "%s", s ? s : "");
}

static void read_user(struct cp_user *u, sqlite3_stmt *st)
{
	copy(u->name, sizeof(u->name), st, 0);
	copy(u->extension, sizeof(u->extension), st, 1);
	copy(u->display, sizeof(u->display), st, 2);
	u->created_ms = (uint64_t)sqlite3_column_int64(st, 3);
}

static int user_get(void *db, const char *name, bool by_extension, struct cp_user *out,
                    char hash[CP_HASH_MAX])
{
	const char *text[] = {name};
	struct db *d = db;
	sqlite3_stmt *st;
	bool found = false;
	int err;
	int rc = begin(
	    d, &st,
	    by_extension ? "SELECT name, extension, display, created_ms, password_hash FROM users "
	                   "WHERE name = ?1 OR extension = ?1"
	                 : "SELECT name, extension, display, created_ms, password_hash FROM users "
	                   "WHERE name = ?1",
	    text, 1);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		found = true;
		read_user(out, st);
		copy(hash, CP_HASH_MAX, st, 4);
	}
	err = done(d, st, rc, "user get");
	return !err && !found ? -ENOENT : err;
}

/* A statement that must change one row. */
static int change_one(struct db *d, const char *sql, const char *const *text, int n,
                      const char *what)
{
	sqlite3_stmt *st;
	int rc = begin(d, &st, sql, text, n), changed, err;

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	changed = sqlite3_changes(d->sql);
	err = done(d, st, rc, what);
	return !err && !changed ? -ENOENT : err;
}

static int user_set_hash(void *db, const char *name, const char *hash)
{
	const char *text[] = {name, hash};

	return change_one(db, "UPDATE users SET password_hash = ?2 WHERE name = ?1", text, 2,
	                  "user passwd");
}

static int user_delete(void *db, const char *name)
{
	const char *text[] = {name};

	return change_one(db, "DELETE FROM users WHERE name = ?1", text, 1, "user delete");
}

static int user_list(void *db, struct cp_user **list, size_t *n)
{
	struct cp_user *all = NULL;
	size_t count = 0, room = 0;
	struct db *d = db;
	sqlite3_stmt *st;
	int err;
	int rc =
	    begin(d, &st, "SELECT name, extension, display, created_ms FROM users ORDER BY name",
	          NULL, 0);

	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(st);
		if (rc != SQLITE_ROW)
			break;
		if (count == room) {
			size_t more = room ? room * 2 : 64;
			struct cp_user *p = realloc(all, more * sizeof(*p));

			if (!p) {
				rc = SQLITE_NOMEM;
				break;
			}
			all = p;
			room = more;
		}
		read_user(&all[count++], st);
	}
	err = done(d, st, rc, "user list");
	if (err) {
		free(all);
		return err;
	}
	*list = all;
	*n = count;
	return 0;
}

const struct cp_store_backend cp_store_sqlite = {
    .scheme = "sqlite:",
    .open = db_open,
    .close = db_close,
    .user_add = user_add,
    .user_get = user_get,
    .user_set_hash = user_set_hash,
    .user_delete = user_delete,
    .user_list = user_list,
};
