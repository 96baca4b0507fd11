/* callstackctl: the operator's hand on CallStack.
 *
 *   ctl_main.c   options, finding the daemon's folders, help
 *   ctl_user.c   accounts: works on the store itself, whether the daemon runs or not
 *   ctl_token.c  makes a token with the daemon's key
 *   ctl_live.c   asks the daemon over its admin socket
 *   ctl_top.c    how every stream is, from the dataplane's mapping (top.c), on a screen
 *                (ctl_screen.c)
 *   ctl_drop.c   reads the dataplane's counters from its mapping, so it works when the daemon is
 *                dead
 *   ctl_doctor.c looks at the host, by the checks of doctor.h; needs no daemon
 *
 * The run directory is --rundir, CALLSTACK_RUNDIR or /run/callstack. The data folder and the store
 * are --data-dir, CALLSTACK_DATADIR, or what the daemon of that run directory last wrote into
 * callstackd.json, or where conf/callstack will let it: /var/lib/callstack, and with another run
 * directory the folder data in that. */
#include "controlplane/ops/ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <grp.h>

#define DEFAULT_RUNDIR "/run/callstack"

static const char help[] =
    "usage: callstackctl [--json] [--rundir DIR] [--data-dir DIR] COMMAND …\n"
    "\n"
    "  user add NAME --password P [--extension N] [--display D]   create an account\n"
    "  user passwd NAME --password P                              change its password\n"
    "  user delete NAME                                           remove it\n"
    "  user list                                                  all accounts\n"
    "      --password -   reads the password from standard input (first line)\n"
    "  token --user U [--room R] [--display D] [--ttl S]          print a token (JWT), S seconds "
    "long (default 3600)\n"
    "  status                                                     is the daemon well\n"
    "  rooms                                                      rooms, participants, tracks\n"
    "  top [--once] [--sort KEY] [--rows N]                       every stream's quality, each second, "
    "and the workers' load\n"
    "      KEY: worst (default), loss, jitter, rtt, rate, queue; keys: q quits, s sorts by the next\n"
    "      --once (and --json) looks for one second and ends\n"
    "  admission                                                  how much the workers are used, "
    "and who was refused\n"
    "  drop-reasons [--all]                                       packets that the dataplane "
    "discarded, by reason\n"
    "  doctor [--config FILE] [--set KEY=VALUE]…                  does this host fit the "
    "dataplane's options: what to change, and how\n"
    "\n"
    "  --json       JSON on standard output\n"
    "  --rundir     run directory (CALLSTACK_RUNDIR; /run/callstack)\n"
    "  --data-dir   data folder (CALLSTACK_DATADIR; the daemon's; /var/lib/callstack, or "
    "RUNDIR/data)\n"
    "  --help, --version\n"
    "\n"
    "exit status: 0 done, 1 failed, 2 usage, 3 no daemon, 4 not found, 5 exists already\n";

static const struct {
	const char *name;
	int (*run)(struct ctl *c);
} commands[] = {
    {"user", ctl_user},
    {"token", ctl_token},
    {"status", ctl_status},
    {"rooms", ctl_rooms},
    {"top", ctl_top},
    {"admission", ctl_admission},
    {"drop-reasons", ctl_drop_reasons},
    {"doctor", ctl_doctor},
};

int ctl_fail(const struct ctl *c, int code, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "callstackctl: %s\n", text);
	if (c->json)
		ctl_print_json(json_pack("{s:s}", "error", text));
	return code;
}

void ctl_print_json(json_t *j)
{
	char *text = json_dumps(j, JSON_INDENT(2) | JSON_ENCODE_ANY);

	if (text)
		puts(text);
	free(text);
	json_decref(j);
}

static void remove_words(struct ctl *c, int at, int n)
{
	memmove(c->argv + at, c->argv + at + n, (size_t)(c->argc - at - n + 1) * sizeof(*c->argv));
	c->argc -= n;
}

const char *ctl_option(struct ctl *c, const char *name, bool *bad)
{
	size_t n = strlen(name);

	for (int i = 0; i < c->argc; i++) {
		char *word = c->argv[i];

		if (!strcmp(word, "--"))
			return NULL;
		if (strncmp(word, "--", 2) != 0 || strncmp(word + 2, name, n) != 0)
			continue;
		if (word[2 + n] == '=') {
			remove_words(c, i, 1);
			return word + 3 + n;
		}
		if (word[2 + n])
			continue;
		if (i + 1 == c->argc) {
			ctl_fail(c, CTL_USAGE, "--%s needs a value", name);
			*bad = true;
			return NULL;
		}
		word = c->argv[i + 1];
		remove_words(c, i, 2);
		return word;
	}
	return NULL;
}

bool ctl_flag(struct ctl *c, const char *flag)
{
	for (int i = 0; i < c->argc && strcmp(c->argv[i], "--") != 0; i++)
		if (!strcmp(c->argv[i], flag)) {
			remove_words(c, i, 1);
			return true;
		}
	return false;
}

bool ctl_words(const struct ctl *c, int least, int most)
{
	for (int i = 0; i < c->argc; i++)
		if (!strncmp(c->argv[i], "--", 2) && c->argv[i][2]) {
			ctl_fail(c, CTL_USAGE, "unknown option %s (callstackctl --help)",
			         c->argv[i]);
			return false;
		}
	if (c->argc < least || c->argc > most) {
		ctl_fail(c, CTL_USAGE,
		         c->argc < least ? "something is missing (callstackctl --help)"
		                         : "too many words (callstackctl --help)");
		return false;
	}
	return true;
}

/* What the daemon of that run directory said of itself. */
static void read_daemon_file(struct ctl *c)
{
	char path[512];
	json_t *j;
	const char *dir, *store;

	snprintf(path, sizeof(path), "%s/callstackd.json", c->rundir);
	j = json_load_file(path, 0, NULL);
	dir = json_string_value(json_object_get(j, "data_dir"));
	store = json_string_value(json_object_get(j, "store"));
	if (dir && !c->data_dir[0]) {
		snprintf(c->data_dir, sizeof(c->data_dir), "%s", dir);
		if (store)
			snprintf(c->store, sizeof(c->store), "%s", store);
	}
	json_decref(j);
}

static int find_folders(struct ctl *c)
{
	bool bad = false;
	const char *run = ctl_option(c, "rundir", &bad), *dir = ctl_option(c, "data-dir", &bad);

	if (bad)
		return CTL_USAGE;
	if (!run || !run[0])
		run = getenv("CALLSTACK_RUNDIR");
	if (!dir || !dir[0])
		dir = getenv("CALLSTACK_DATADIR");
	snprintf(c->rundir, sizeof(c->rundir), "%s", run && run[0] ? run : DEFAULT_RUNDIR);
	snprintf(c->data_dir, sizeof(c->data_dir), "%s", dir && dir[0] ? dir : "");
	read_daemon_file(c);
	if (!c->data_dir[0] && !strcmp(c->rundir, DEFAULT_RUNDIR))
		snprintf(c->data_dir, sizeof(c->data_dir), "/var/lib/callstack");
	if (!c->data_dir[0] && snprintf(c->data_dir, sizeof(c->data_dir), "%s/data", c->rundir) >=
	                           (int)sizeof(c->data_dir))
		return ctl_fail(c, CTL_USAGE, "%s: too long", c->rundir);
	if (!c->store[0])
		snprintf(c->store, sizeof(c->store), "sqlite:%s/callstack.db", c->data_dir);
	return 0;
}

/* Each missing folder of the path, so that the first account can be made before the first start. */
static int make_folders(const char *path)
{
	char part[256];

	for (const char *p = path + 1;; p++) {
		if (*p && *p != '/')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)(p - path), path);
		if (mkdir(part, *p ? 0755 : 0700) < 0 && errno != EEXIST)
			return -errno;
		if (!*p)
			return 0;
	}
}

int ctl_enter_data_dir(const struct ctl *c)
{
	struct stat st;
	int err;

	umask(077);
	if (c->data_dir[0] != '/')
		return ctl_fail(c, CTL_USAGE, "%s: the data folder must be an absolute path",
		                c->data_dir);
	err = make_folders(c->data_dir);
	if (err || stat(c->data_dir, &st) < 0)
		return ctl_fail(c, CTL_FAILED, "%s: %s", c->data_dir, strerror(err ? -err : errno));
	if (geteuid() != 0 || st.st_uid == 0)
		return 0;
	if (setgroups(0, NULL) < 0 || setegid(st.st_gid) < 0 || seteuid(st.st_uid) < 0)
		return ctl_fail(c, CTL_FAILED, "cannot become the owner of %s: %s", c->data_dir,
		                strerror(errno));
	return 0;
}

int main(int argc, char **argv)
{
	struct ctl c = {.argc = argc - 1, .argv = argv + 1};
	int err;

	c.json = ctl_flag(&c, "--json");
	if (ctl_flag(&c, "--help") || ctl_flag(&c, "-h")) {
		fputs(help, stdout);
		return CTL_OK;
	}
	if (ctl_flag(&c, "--version")) {
		puts("callstackctl " CALLSTACK_VERSION);
		return CTL_OK;
	}
	err = find_folders(&c);
	if (err)
		return err;
	if (!c.argc) {
		fputs(help, stderr);
		return CTL_USAGE;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(c.argv[0], commands[i].name)) {
			c.argc--;
			c.argv++;
			return commands[i].run(&c);
		}
	return ctl_fail(&c, CTL_USAGE, "no command \"%s\" (callstackctl --help)", c.argv[0]);
}
