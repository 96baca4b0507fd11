/* What outlives the daemon: one JSON document a session, player and set of calls, in an SQLite file
 * in the run directory. It need not survive a power cut, only us: the media it describes does not
 * survive one either. So synchronous is off, and a write costs no fsync. */
#include "controlplane/signaling/signaling_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "shared/log.h"

struct cp_journal {
	sqlite3 *db;
	sqlite3_stmt *put, *del;
	bool open; // a transaction is
};

void cp_journal_close(struct cp_journal *j)
{
	if (!j)
		return;
	cp_journal_commit(j);
	sqlite3_finalize(j->put);
	sqlite3_finalize(j->del);
	sqlite3_close(j->db);
	free(j);
}

static int open_db(struct cp_journal *j, const char *path)
{
	static const char setup[] =
	    "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA user_version=1;"
	    "CREATE TABLE IF NOT EXISTS doc(kind TEXT, id TEXT, body TEXT NOT NULL, PRIMARY "
	    "KEY(kind, id));";

	return sqlite3_open_v2(path, &j->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
	       sqlite3_exec(j->db, setup, NULL, NULL, NULL) != SQLITE_OK ||
	       sqlite3_prepare_v2(
	           j->db,
	           "INSERT INTO doc VALUES(?1,?2,?3) ON CONFLICT(kind,id) DO UPDATE SET body=?3",
	           -1, &j->put, NULL) != SQLITE_OK ||
	       sqlite3_prepare_v2(j->db, "DELETE FROM doc WHERE kind=?1 AND id=?2", -1, &j->del,
	                          NULL) != SQLITE_OK;
}

int cp_journal_open(struct cp_journal **out, const char *path)
{
	struct cp_journal *j = calloc(1, sizeof(*j));
	/* It holds ICE passwords: made 0600 before SQLite opens it. */
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || !j) {
		int err = fd < 0 ? -errno : -ENOMEM;

		if (fd >= 0)
			close(fd);
		free(j);
		return err;
	}
	close(fd);
	if (open_db(j, path)) {
		/* A damaged journal must not keep the daemon down: what it described is lost, and
		 * said. */
		sh_error("journal", "%s: %s; starting an empty one", path, sqlite3_errmsg(j->db));
		sqlite3_finalize(j->put);
		sqlite3_finalize(j->del);
		j->put = j->del = NULL;
		sqlite3_close(j->db);
		if (truncate(path, 0) || open_db(j, path)) {
			cp_journal_close(j);
			return -EIO;
		}
	}
	*out = j;
	return 0;
}

void cp_journal_begin(struct cp_journal *j)
{
	if (!j->open)
		j->open = sqlite3_exec(j->db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK;
}

void cp_journal_commit(struct cp_journal *j)
{
	if (j->open && sqlite3_exec(j->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		sh_error("journal", "commit: %s", sqlite3_errmsg(j->db));
	j->open = false;
}

static void run(struct cp_journal *j, sqlite3_stmt *q, const char *kind, const char *id,
                const char *body)
{
	sqlite3_bind_text(q, 1, kind, -1, SQLITE_STATIC);
	sqlite3_bind_text(q, 2, id, -1, SQLITE_STATIC);
	if (body)
		sqlite3_bind_text(q, 3, body, -1, SQLITE_STATIC);
	if (sqlite3_step(q) != SQLITE_DONE)
		sh_error("journal", "%s %s: %s", kind, id, sqlite3_errmsg(j->db));
	sqlite3_reset(q);
	sqlite3_clear_bindings(q);
}

void cp_journal_put(struct cp_journal *j, const char *kind, const char *id, json_t *doc)
{
	char *body = cp_json_text(doc);

	json_decref(doc);
	if (body)
		run(j, j->put, kind, id, body);
	else
		sh_error("journal", "%s %s: out of memory", kind, id);
	free(body);
}

void cp_journal_del(struct cp_journal *j, const char *kind, const char *id)
{
	run(j, j->del, kind, id, NULL);
}

int cp_journal_each(struct cp_journal *j, const char *kind,
                    void (*h)(const char *id, json_t *doc, void *arg), void *arg)
{
	sqlite3_stmt *q;

	if (sqlite3_prepare_v2(j->db, "SELECT id, body FROM doc WHERE kind=?1 ORDER BY rowid", -1,
	                       &q, NULL) != SQLITE_OK)
		return -EIO;
	sqlite3_bind_text(q, 1, kind, -1, SQLITE_STATIC);
	while (sqlite3_step(q) == SQLITE_ROW) {
		json_t *doc = json_loads((const char *)sqlite3_column_text(q, 1), 0, NULL);

		if (doc)
			h((const char *)sqlite3_column_text(q, 0), doc, arg);
		json_decref(doc);
	}
	sqlite3_finalize(q);
	return 0;
}
