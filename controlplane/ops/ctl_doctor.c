/* callstackctl doctor [--config FILE] [--set KEY=VALUE]…: the host against the dataplane's options
 * (doctor.h). With --sysroot DIR the files of another host, without what only its kernel could say. */
#include "controlplane/ops/ctl.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "controlplane/ops/doctor.h"

enum { SETS = 64, ARGS_MAX = 16384 };

struct wanted {
	const char *root, *config, *set[SETS];
	unsigned sets;
	char args[ARGS_MAX]; // of the daemon, NUL-separated
	char from[PATH_MAX];
};

/* What conf/callstack started, or would start, the dataplane with. */
static bool read_args(const struct ctl *c, struct wanted *w)
{
	char path[PATH_MAX];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s%s/callstack-dataplane.args", w->root, c->rundir);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fread(w->args, 1, sizeof(w->args) - 2, f);
	fclose(f);
	for (char *p = w->args, *end = w->args + n; p < end; p += strlen(p) + 1) {
		char *value = p + strlen(p) + 1;

		if (!strcmp(p, "--config"))
			w->config = value;
		else if (!strcmp(p, "--set") && w->sets < SETS)
			w->set[w->sets++] = value;
		else
			continue;
		p = value;
	}
	snprintf(w->from, sizeof(w->from), "%s", path);
	return true;
}

static void find_config(struct wanted *w)
{
	const char *dir = getenv("CALLSTACK_CONF");
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/dataplane.yaml", dir && dir[0] ? dir : "conf");
	if (access(path, R_OK) == 0)
		w->config = path;
	else if (access(dp_conf_table.path, R_OK) == 0)
		w->config = dp_conf_table.path;
	snprintf(w->from, sizeof(w->from), "%s", w->config ? w->config : "defaults");
}

static int read_conf(const struct ctl *c, struct wanted *w, struct dp_conf *conf)
{
	struct sh_conf_reader r;
	int err = sh_conf_begin(&r, &dp_conf_table, conf, NULL, NULL);

	if (err)
		return ctl_fail(c, CTL_FAILED, "%s", strerror(-err));
	if (w->config)
		sh_conf_load(&r, w->config);
	for (unsigned i = 0; i < w->sets; i++)
		sh_conf_set(&r, w->set[i]);
	if (sh_conf_end(&r))
		return ctl_fail(c, CTL_USAGE, "the dataplane would not start with %s", w->from);
	return 0;
}

static int options(struct ctl *c, struct wanted *w)
{
	const char *given[SETS], *text;
	unsigned n = 0;
	bool bad = false;
	const char *config = ctl_option(c, "config", &bad), *root = ctl_option(c, "sysroot", &bad);

	while ((text = ctl_option(c, "set", &bad)))
		if (n < SETS)
			given[n++] = text;
	if (bad || !ctl_words(c, 0, 0))
		return CTL_USAGE;
	w->root = root && strcmp(root, "/") != 0 ? root : "";
	if (config) {
		w->config = config;
		snprintf(w->from, sizeof(w->from), "%s", config);
	} else if (!read_args(c, w)) {
		find_config(w);
	}
	for (unsigned i = 0; i < n && w->sets < SETS; i++)
		w->set[w->sets++] = given[i];
	return 0;
}

/* ---- telling ---- */

static json_t *lines(const char *text)
{
	json_t *all = json_array();

	while (*text) {
		size_t n = strcspn(text, "\n");

		json_array_append_new(all, json_stringn(text, n));
		text += n + (text[n] == '\n');
	}
	return all;
}

static void tell_json(const struct doctor *d, const char *from)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < d->n; i++) {
		const struct doctor_finding *f = &d->found[i];

		json_array_append_new(
		    all, json_pack("{s:s, s:s, s:s, s:s, s:o}", "check", f->check, "level",
		                   doctor_level_word(f->level), "seen", f->seen, "why", f->why,
		                   "commands", lines(f->fix)));
	}
	ctl_print_json(json_pack("{s:s, s:s, s:o}", "level", doctor_level_word(doctor_worst(d)),
	                         "configuration", from, "findings", all));
}

static void tell(const struct doctor *d, const char *from)
{
	unsigned count[DOCTOR_PROBLEM + 1] = {0};

	printf("dataplane: %s, %s%s\n\n", from, d->pid ? "running" : "not running",
	       d->probe ? "" : "; files only");
	for (unsigned i = 0; i < d->n; i++) {
		const struct doctor_finding *f = &d->found[i];

		count[f->level]++;
		printf("%-8s %-18s %s\n", doctor_level_word(f->level), f->check, f->seen);
		if (f->why[0])
			printf("%27s why: %s\n", "", f->why);
		for (const char *p = f->fix; *p;) {
			size_t n = strcspn(p, "\n");

			printf("%27s do:  %.*s\n", "", (int)n, p);
			p += n + (p[n] == '\n');
		}
	}
	printf("\n%u problems, %u warnings, %u pieces of advice\n", count[DOCTOR_PROBLEM],
	       count[DOCTOR_WARNING], count[DOCTOR_ADVICE]);
}

int ctl_doctor(struct ctl *c)
{
	struct doctor *d = calloc(1, sizeof(*d));
	struct wanted *w = calloc(1, sizeof(*w));
	struct dp_conf *conf = calloc(1, sizeof(*conf));
	int code = CTL_FAILED;

	if (!d || !w || !conf) {
		ctl_fail(c, code, "out of memory");
		goto out;
	}
	code = options(c, w);
	if (!code)
		code = read_conf(c, w, conf);
	if (code)
		goto out;
	d->root = w->root;
	d->rundir = c->rundir;
	d->conf = conf;
	d->probe = w->root[0] ? NULL : &doctor_live;
	doctor_run(d);
	if (c->json)
		tell_json(d, w->from);
	else
		tell(d, w->from);
	code = doctor_worst(d) == DOCTOR_PROBLEM ? CTL_FAILED : CTL_OK;
out:
	free(conf);
	free(w);
	free(d);
	return code;
}
