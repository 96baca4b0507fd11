#include "controlplane/ops/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "controlplane/store/store.h"
#include "shared/secret.h"

static int explain(const struct ctl *c, int err, const char *name)
{
	switch (err) {
	case 0:
		return CTL_OK;
	case -EEXIST:
		return ctl_fail(c, CTL_EXISTS, "%s: this name or extension is taken", name);
	case -ENOENT:
		return ctl_fail(c, CTL_NOT_FOUND, "%s: no such user", name);
	case -EINVAL:
		return ctl_fail(c, CTL_USAGE,
		                "%s: a name has 1 to 64 characters of A-Z a-z 0-9 . _ - @ +, an "
		                "extension 1 to 32 digits, "
		                "a display name at most 64 bytes, a password 1 to 512",
		                name);
	default:
		return ctl_fail(c, CTL_FAILED, "%s: %s", name, strerror(-err));
	}
}

/* "-": the first line of standard input. buf of CP_PASSWORD_MAX + 2 bytes. */
static int read_password(const struct ctl *c, const char *given, char *buf, size_t size)
{
	if (!given)
		return ctl_fail(c, CTL_USAGE,
		                "--password P is needed (- reads it from standard input)");
	if (strcmp(given, "-") != 0) {
		snprintf(buf, size, "%s", given);
		return 0;
	}
	if (!fgets(buf, (int)size, stdin))
		return ctl_fail(c, CTL_USAGE, "no password on standard input");
	buf[strcspn(buf, "\r\n")] = '\0';
	return 0;
}

static int copy_option(const struct ctl *c, char *dst, size_t size, const char *value,
                       const char *what)
{
	if (value && strlen(value) >= size)
		return ctl_fail(c, CTL_USAGE, "%s is too long: at most %zu bytes", what, size - 1);
	snprintf(dst, size, "%s", value ? value : "");
	return 0;
}

static int user_add(struct ctl *c, struct cp_store *s, const char *password, const char *extension,
                    const char *display)
{
	struct cp_user u = {.created_ms = (uint64_t)time(NULL) * 1000};
	int err;

	if (extension && !extension[0])
		return ctl_fail(c, CTL_USAGE, "the extension is empty");
	err = copy_option(c, u.name, sizeof(u.name), c->argv[0], "the name");
	if (!err)
		err = copy_option(c, u.extension, sizeof(u.extension), extension, "the extension");
	if (!err)
		err = copy_option(c, u.display, sizeof(u.display), display, "the display name");
	if (err)
		return err;
	err = explain(c, cp_store_user_add(s, &u, password), u.name);
	if (!err && c->json)
		ctl_print_json(json_pack("{s:s, s:s, s:s}", "name", u.name, "extension",
		                         u.extension, "display", u.display));
	return err;
}

static int user_list(struct ctl *c, struct cp_store *s)
{
	struct cp_user *list;
	json_t *all = json_array();
	size_t n;
	int err = cp_store_user_list(s, &list, &n);

	if (err) {
		json_decref(all);
		return explain(c, err, "users");
	}
	for (size_t i = 0; i < n; i++) {
		char when[32];
		time_t t = (time_t)(list[i].created_ms / 1000);
		struct tm tm;

		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
		if (c->json)
			json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:s}", "name",
			                                     list[i].name, "extension",
			                                     list[i].extension, "display",
			                                     list[i].display, "created", when));
		else
			printf("%-24s %-10s %s  %s\n", list[i].name,
			       list[i].extension[0] ? list[i].extension : "-", when,
			       list[i].display);
	}
	if (c->json)
		ctl_print_json(json_pack("{s:O}", "users", all));
	json_decref(all);
	free(list);
	return CTL_OK;
}

static int run(struct ctl *c, const char *verb, const char *password, const char *extension,
               const char *display)
{
	char err_text[512], secret[CP_PASSWORD_MAX + 3] = "";
	struct cp_store *s;
	int err = ctl_enter_data_dir(c);

	if (!err && cp_store_open(&s, c->store, err_text, sizeof(err_text)))
		err = ctl_fail(c, CTL_FAILED, "%s", err_text);
	if (err)
		return err;
	if (!strcmp(verb, "list")) {
		err = user_list(c, s);
	} else if (!strcmp(verb, "delete")) {
		err = explain(c, cp_store_user_delete(s, c->argv[0]), c->argv[0]);
	} else {
		err = read_password(c, password, secret, sizeof(secret));
		if (!err && !strcmp(verb, "add"))
			err = user_add(c, s, secret, extension, display);
		else if (!err)
			err = explain(c, cp_store_user_set_password(s, c->argv[0], secret),
			              c->argv[0]);
	}
	if (!err && c->json && (!strcmp(verb, "delete") || !strcmp(verb, "passwd")))
		ctl_print_json(json_pack("{s:s}", "name", c->argv[0]));
	sh_secret_wipe(secret, sizeof(secret));
	cp_store_close(s);
	return err;
}

int ctl_user(struct ctl *c)
{
	static const char *const verbs[] = {"add", "passwd", "delete", "list"};
	const char *verb = c->argc ? c->argv[0] : "", *password = NULL, *extension = NULL,
	           *display = NULL;
	bool bad = false, known = false;
	int words;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		known |= !strcmp(verb, verbs[i]);
	if (!known)
		return ctl_fail(c, CTL_USAGE,
		                "user add, passwd, delete or list? (callstackctl --help)");
	c->argc--;
	c->argv++;
	if (!strcmp(verb, "add") || !strcmp(verb, "passwd"))
		password = ctl_option(c, "password", &bad);
	if (!strcmp(verb, "add")) {
		extension = ctl_option(c, "extension", &bad);
		display = ctl_option(c, "display", &bad);
	}
	words = strcmp(verb, "list") ? 1 : 0;
	if (bad || !ctl_words(c, words, words))
		return CTL_USAGE;
	return run(c, verb, password, extension, display);
}
