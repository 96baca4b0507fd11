/* callstackd: signaling, calls, and everything at human scale.
 *
 * One thread and one loop (loop.c). A start is a list of named stages, each with what undoes it; a failed start and
 * a stop run the list backwards from where it stands, so each stage may count on all before it:
 *
 *   process    core dumps off, umask, no new privileges
 *   folders    data and run directory
 *   loop       libre and libuv
 *   admin      RUNDIR/callstackd.sock; also what keeps a second daemon from this run directory
 *   secrets    key of the tokens, TLS certificate
 *   listen     the front binds its ports
 *   user       privileges go; what the daemon writes from here on belongs to the configured user already
 *   store      users
 *   core       the link to the dataplane (plane/), calls (call/), callstack.v1, WHIP and WHEP (signaling/): core.c
 *   service    /healthz, /metrics, status
 *
 * What lives longest is struct daemon below; stages keep their own in it. The front is created before the user
 * changes; until all has started connections wait in the listen queue, as the loop does not run yet. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "controlplane/conf.h"
#include "controlplane/core.h"
#include "controlplane/loop.h"
#include "controlplane/ops/admin.h"
#include "controlplane/ops/health.h"
#include "controlplane/ops/service.h"
#include "controlplane/signaling/front.h"
#include "controlplane/signaling/tls_cert.h"
#include "controlplane/signaling/token.h"
#include "controlplane/store/store.h"
#include "shared/log.h"

#define SUBSYS "main"

enum { ERROR_TEXT = 512, CORS_TEXT = 16 * 260 };

struct daemon {
	struct cp_conf conf;
	struct cp_admin *admin;
	struct cp_front *front;
	struct cp_store *store;
	struct cp_core *core;
	struct cp_token_key key;
	struct cp_service service;
	char cert[512], tls_key[512], cors[CORS_TEXT];
	bool cert_is_ours; // in our data folder
	uid_t uid; // of the configured user; our own without one
	gid_t gid;
};

static int start_process(struct daemon *d)
{
	const struct rlimit none = {0, 0};
	const struct passwd *pw;

	umask(077);
	setrlimit(RLIMIT_CORE, &none);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	d->uid = geteuid();
	d->gid = getegid();
	if (!d->conf.user[0])
		return 0;
	pw = getpwnam(d->conf.user);
	if (!pw) {
		sh_error(SUBSYS, "user %s: there is no such user", d->conf.user);
		return -ENOENT;
	}
	if (geteuid() != 0 && pw->pw_uid != geteuid()) {
		sh_error(SUBSYS, "user %s: only root can become another user", d->conf.user);
		return -EPERM;
	}
	d->uid = pw->pw_uid;
	d->gid = pw->pw_gid;
	return 0;
}

/* Makes each folder of the path that is missing; the last one gets the mode. */
static int make_folders(const char *path, mode_t mode)
{
	char part[256];
	mode_t old = umask(0);
	int err = 0;

	for (const char *p = path + 1; !err; p++) {
		if (*p && *p != '/')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)(p - path), path);
		if (mkdir(part, *p ? 0755 : mode) < 0 && errno != EEXIST)
			err = -errno;
		if (!*p)
			break;
	}
	umask(old);
	if (err)
		sh_error(SUBSYS, "%s: %s", path, strerror(-err));
	return err;
}

/* The run directory is shared with the dataplane and may be made by either; the data folder is ours alone. */
static int start_folders(struct daemon *d)
{
	int err = make_folders(d->conf.data_dir, 0700);

	return err ? err : make_folders(d->conf.rundir, 0755);
}

static int start_loop(struct daemon *d)
{
	return cp_loop_init();
}

static void stop_loop(struct daemon *d)
{
	cp_loop_close();
}

static int start_admin(struct daemon *d)
{
	int err = cp_admin_alloc(&d->admin, d->conf.rundir);

	if (err == -EADDRINUSE)
		sh_error(SUBSYS, "%s: another callstackd runs here", d->conf.rundir);
	else if (err)
		sh_error(SUBSYS, "%s/%s: %s", d->conf.rundir, CP_ADMIN_SOCKET, strerror(-err));
	return err ? err : cp_service_announce(&d->conf);
}

static void stop_admin(struct daemon *d)
{
	cp_admin_free(d->admin);
}

static int start_secrets(struct daemon *d)
{
	const char *names[1];
	char why[ERROR_TEXT] = "";
	size_t n = 0;
	int err;

	err = cp_token_key_load(&d->key, d->conf.data_dir, why, sizeof(why));
	if (!err && (!cp_conf_path(&d->conf, d->conf.tls_cert, d->cert, sizeof(d->cert)) ||
	             !cp_conf_path(&d->conf, d->conf.tls_key, d->tls_key, sizeof(d->tls_key))))
		err = -ENAMETOOLONG;
	d->cert_is_ours = d->conf.tls_cert[0] != '/' && d->conf.tls_key[0] != '/';
	if (d->conf.listen_address[0])
		names[n++] = d->conf.listen_address;
	if (!err)
		err = cp_tls_ensure_certificate(d->cert, d->tls_key, names, n, why, sizeof(why));
	if (err)
		sh_error(SUBSYS, "%s", why[0] ? why : strerror(-err));
	return err;
}

static void stop_secrets(struct daemon *d)
{
	cp_token_key_wipe(&d->key);
}

static int start_listen(struct daemon *d)
{
	struct cp_front_ws ws;
	int err = cp_core_alloc(&d->core, &ws);
	const struct cp_front_conf conf = {
	    .address = d->conf.listen_address,
	    .https_port = (uint16_t)d->conf.https_port,
	    .cert = d->cert,
	    .key = d->tls_key,
	    .web_root = d->conf.web_root,
	    .metrics_address = d->conf.metrics_address,
	    .metrics_port = (uint16_t)d->conf.metrics_port,
	    .max_message = d->conf.max_message,
	    .max_body = d->conf.max_body,
	    .max_queue = d->conf.max_queue,
	    .cors_origin = d->cors,
	    .ping_s = d->conf.ping_interval,
	    .max_connections = d->conf.max_connections,
	    .max_per_address = d->conf.max_per_address,
	};

	for (uint32_t i = 0; i < d->conf.cors_origins.n; i++) {
		size_t at = strlen(d->cors);

		snprintf(d->cors + at, sizeof(d->cors) - at, "%s%s", at ? "," : "", d->conf.cors_origins.v[i]);
	}
	return err ? err : cp_front_alloc(&d->front, &conf, &ws);
}

static void stop_listen(struct daemon *d)
{
	cp_front_free(d->front);
	cp_core_free(d->core);
}

static int give(const struct daemon *d, const char *path)
{
	if (lchown(path, d->uid, d->gid) < 0 && errno != ENOENT) {
		sh_error(SUBSYS, "%s: cannot give it to %s: %s", path, d->conf.user, strerror(errno));
		return -errno;
	}
	return 0;
}

/* Folders and files made as root so far, and those that an earlier start as root left. */
static int give_files(const struct daemon *d)
{
	char url[512] = "", paths[9][600] = {""};
	int err = 0;

	snprintf(paths[0], sizeof(paths[0]), "%s", d->conf.data_dir);
	snprintf(paths[1], sizeof(paths[1]), "%s/token.key", d->conf.data_dir);
	snprintf(paths[2], sizeof(paths[2]), "%s/%s", d->conf.rundir, CP_ADMIN_SOCKET);
	if (d->cert_is_ours) {
		snprintf(paths[3], sizeof(paths[3]), "%s", d->cert);
		snprintf(paths[4], sizeof(paths[4]), "%s", d->tls_key);
		snprintf(paths[5], sizeof(paths[5]), "%s", d->cert);
		*strrchr(paths[5], '/') = '\0';
	}
	cp_service_store_url(&d->conf, url, sizeof(url));
	if (!strncmp(url, "sqlite:", 7)) {
		static const char *const suffix[] = {"", "-wal", "-shm"};

		for (unsigned i = 0; i < 3; i++)
			snprintf(paths[6 + i], sizeof(paths[0]), "%s%s", url + 7, suffix[i]);
	}
	for (unsigned i = 0; i < 9 && !err; i++)
		if (paths[i][0])
			err = give(d, paths[i]);
	return err;
}

static int start_user(struct daemon *d)
{
	int err;

	if (!d->conf.user[0] || d->uid == geteuid())
		return 0;
	err = give_files(d);
	if (err)
		return err;
	if (setgroups(0, NULL) < 0 || setresgid(d->gid, d->gid, d->gid) < 0 || setresuid(d->uid, d->uid, d->uid) < 0) {
		err = -errno;
		sh_error(SUBSYS, "cannot become %s: %s", d->conf.user, strerror(-err));
		return err;
	}
	sh_info(SUBSYS, "now user %s", d->conf.user);
	return 0;
}

static int start_store(struct daemon *d)
{
	char url[512], why[ERROR_TEXT] = "";
	int err = cp_service_store_url(&d->conf, url, sizeof(url)) ? 0 : -ENAMETOOLONG;

	if (!err)
		err = cp_store_open(&d->store, url, why, sizeof(why));
	if (err)
		sh_error(SUBSYS, "%s", why[0] ? why : strerror(-err));
	return err;
}

static void stop_store(struct daemon *d)
{
	cp_store_close(d->store);
}

static int start_core(struct daemon *d)
{
	return cp_core_start(d->core, &d->conf, d->front, d->admin, d->store, &d->key);
}

static void stop_core(struct daemon *d)
{
	cp_core_stop(d->core);
}

static int start_service(struct daemon *d)
{
	return cp_service_start(&d->service, &d->conf, d->front, d->admin);
}

static const struct stage {
	const char *name;
	int (*start)(struct daemon *d);
	void (*stop)(struct daemon *d);
} stages[] = {
    {"process", start_process, NULL},      {"folders", start_folders, NULL},
    {"loop", start_loop, stop_loop},       {"admin", start_admin, stop_admin},
    {"secrets", start_secrets, stop_secrets}, {"listen", start_listen, stop_listen},
    {"user", start_user, NULL},            {"store", start_store, stop_store},
    {"core", start_core, stop_core},
    {"service", start_service, NULL},
};
enum { STAGES = sizeof(stages) / sizeof(stages[0]) };

static void stop_from(struct daemon *d, unsigned n)
{
	while (n--)
		if (stages[n].stop) {
			sh_debug(SUBSYS, "stopping %s", stages[n].name);
			stages[n].stop(d);
		}
}

static int start_all(struct daemon *d, unsigned *n)
{
	for (*n = 0; *n < STAGES; ++*n) {
		int err = stages[*n].start(d);

		if (err) {
			sh_error(SUBSYS, "cannot start: stage %s: %s", stages[*n].name, strerror(-err));
			return err;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct daemon *d = calloc(1, sizeof(*d));
	unsigned started;
	int status, err;

	if (!d)
		return EXIT_FAILURE;
	status = sh_conf_args(&cp_conf_table, &d->conf, argc, argv);
	if (status >= 0) {
		free(d);
		return status;
	}
	sh_log_levels(d->conf.log);
	err = start_all(d, &started);
	if (!err) {
		sh_info(SUBSYS, "callstackd " CALLSTACK_VERSION " is up: https port %u, data in %s", d->conf.https_port,
		        d->conf.data_dir);
		err = cp_loop_run();
		sh_info(SUBSYS, "stopping");
	}
	stop_from(d, started);
	sh_info(SUBSYS, "stopped");
	free(d);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
