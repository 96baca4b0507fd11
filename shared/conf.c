/* Options by their table: one value from text, defaults, --set, checks. conf_yaml.c reads files,
 * conf_print.c writes them and the help, conf_form.c knows what texts may look like, conf_args.c is
 * a daemon's command line. */
#include "shared/conf.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "shared/conf_priv.h"

static const char *const form_expect[] = {
#define X(sym, expect) [SH_CONF_##sym] = expect,
    SH_CONF_FORMS(X)
#undef X
};

static void expect_text(const struct sh_conf_opt *o, char *buf, size_t size)
{
	bool empty = o->type == SH_CONF_STRING && !o->def[0];

	snprintf(buf, size, "%s, at most %zu bytes%s", form_expect[o->form], o->size - 1,
	         empty ? ", or \"\"" : "");
}

void sh_conf_expect(const struct sh_conf_opt *o, char *buf, size_t size)
{
	char text[256];
	size_t n = 0;

	switch (o->type) {
	case SH_CONF_BOOL:
		snprintf(buf, size, "true or false");
		return;
	case SH_CONF_UINT:
		snprintf(buf, size, "a whole number from %u to %u%s%s%s", o->min, o->max,
		         o->unit[0] ? " (" : "", o->unit, o->unit[0] ? ")" : "");
		return;
	case SH_CONF_STRING:
		expect_text(o, buf, size);
		return;
	case SH_CONF_ENUM:
		buf[0] = 0;
		for (int i = 0; o->words[i] && n < size; i++)
			n += (size_t)snprintf(buf + n, size - n, "%s%s",
			                      i == 0            ? ""
			                      : o->words[i + 1] ? ", "
			                                        : " or ",
			                      o->words[i]);
		return;
	case SH_CONF_STRINGS:
		expect_text(o, text, sizeof(text));
		snprintf(buf, size, "a list of at most %u, each %s", o->most, text);
		return;
	case SH_CONF_LIST:
		snprintf(buf, size, "a list of at most %u mappings", o->most);
		return;
	case SH_CONF_GROUP:
	case SH_CONF_END:
		break;
	}
	snprintf(buf, size, "a mapping");
}

static int put_bool(bool *at, const char *s)
{
	/* The words of YAML 1.1. */
	static const char *const yes[] = {"true", "True", "TRUE", "yes", "on"};
	static const char *const no[] = {"false", "False", "FALSE", "no", "off"};

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (!strcmp(s, yes[i]) || !strcmp(s, no[i])) {
			*at = !strcmp(s, yes[i]);
			return 0;
		}
	}
	return -EINVAL;
}

static int put_uint(const struct sh_conf_opt *o, uint32_t *at, const char *s)
{
	size_t len = strlen(s);

	if (len == 0 || len > 10 || strspn(s, "0123456789") != len)
		return -EINVAL;
	unsigned long long v = strtoull(s, NULL, 10);
	if (v < o->min || v > o->max)
		return -EINVAL;
	*at = (uint32_t)v;
	return 0;
}

static int put_string(const struct sh_conf_opt *o, char *at, const char *s)
{
	bool may_be_empty = o->type == SH_CONF_STRING && !o->def[0];

	if (strlen(s) >= o->size || (s[0] ? !sh_conf_form_ok(o->form, s) : !may_be_empty))
		return -EINVAL;
	memset(at, 0, o->size);
	memcpy(at, s, strlen(s));
	return 0;
}

int sh_conf_put(const struct sh_conf_opt *o, void *at, const char *text)
{
	switch (o->type) {
	case SH_CONF_BOOL:
		return put_bool(at, text);
	case SH_CONF_UINT:
		return put_uint(o, at, text);
	case SH_CONF_STRING:
	case SH_CONF_STRINGS:
		return put_string(o, at, text);
	case SH_CONF_ENUM:
		for (int i = 0; o->words[i]; i++) {
			if (!strcmp(o->words[i], text)) {
				*(int *)at = i;
				return 0;
			}
		}
		break;
	case SH_CONF_LIST:
	case SH_CONF_GROUP:
	case SH_CONF_END:
		break;
	}
	return -EINVAL;
}

const struct sh_conf_opt *sh_conf_find(const struct sh_conf_opt *opts, const char *key)
{
	for (; opts->type != SH_CONF_END; opts++)
		if (opts->type != SH_CONF_GROUP && !strcmp(opts->key, key))
			return opts;
	return NULL;
}

void sh_conf_fault(struct sh_conf_reader *r, const char *where, const char *fmt, ...)
{
	char text[SH_CONF_WHY * 2];
	va_list ap;

	int n = snprintf(text, sizeof(text), "%s: ", where);
	va_start(ap, fmt);
	if (n >= 0 && (size_t)n < sizeof(text))
		vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++) // what the file holds is quoted, but stays one line
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	r->errors++;
	r->error(text, r->arg);
}

static void to_stderr(const char *text, void *arg)
{
	fprintf(stderr, "%s\n", text);
}

/* A default that its own row refuses is our mistake: abort (STYLE 10). */
static void put_default(const struct sh_conf_opt *o, void *at)
{
	if (sh_conf_put(o, at, o->def)) {
		fprintf(stderr, "option %s: default %s is not what it must be\n", o->key, o->def);
		abort();
	}
}

void sh_conf_item_defaults(const struct sh_conf_opt *items, void *item)
{
	for (const struct sh_conf_opt *o = items; o->type != SH_CONF_END; o++)
		if (o->type != SH_CONF_GROUP)
			put_default(o, (char *)item + o->offset);
}

int sh_conf_begin(struct sh_conf_reader *r, const struct sh_conf *c, void *out,
                  sh_conf_error_h *error, void *arg)
{
	*r = (struct sh_conf_reader){
	    .c = c, .out = out, .error = error ? error : to_stderr, .arg = arg};
	memset(out, 0, c->size);
	for (const struct sh_conf_opt *o = c->opts; o->type != SH_CONF_END; o++) {
		if (o->type == SH_CONF_GROUP)
			continue;
		if (o->type != SH_CONF_LIST && o->type != SH_CONF_STRINGS) {
			put_default(o, (char *)out + o->offset);
			continue;
		}
		int err = sh_conf_list_text(r, o, "default", o->def);
		if (err == -EINVAL)
			abort();
		if (err)
			return err;
	}
	return 0;
}

/* "ports.0.interface": the item, made with defaults when it is the next one; *field its option. */
static int find_in_list(struct sh_conf_reader *r, const char *key, const struct sh_conf_opt **field,
                        char **item)
{
	for (const struct sh_conf_opt *o = r->c->opts; o->type != SH_CONF_END; o++) {
		size_t len = strlen(o->key);
		if (o->type != SH_CONF_LIST || strncmp(key, o->key, len) || key[len] != '.')
			continue;
		char *end;
		const char *digits = key + len + 1;
		unsigned long i =
		    isdigit((unsigned char)*digits) ? strtoul(digits, &end, 10) : o->most;
		uint32_t *n = (uint32_t *)((char *)r->out + o->offset);
		if (i > *n || i >= o->most || *end != '.')
			return -ENOENT;
		*field = sh_conf_find(o->items, end + 1);
		if (!*field)
			return -ENOENT;
		*item = (char *)r->out + o->values + i * o->size;
		if (i == *n) {
			memset(*item, 0, o->size);
			sh_conf_item_defaults(o->items, *item);
			++*n;
		}
		return 0;
	}
	return -ENOENT;
}

int sh_conf_set(struct sh_conf_reader *r, const char *assignment)
{
	char where[256], expect[SH_CONF_WHY], key[64];
	unsigned before = r->errors;
	const char *eq = strchr(assignment, '=');
	size_t len = eq ? (size_t)(eq - assignment) : 0;

	snprintf(where, sizeof(where), "--set %.*s", (int)(eq ? len : strnlen(assignment, 64)),
	         assignment);
	if (!eq || len == 0 || len >= sizeof(key)) {
		sh_conf_fault(r, where, "expected key=value");
		return -EINVAL;
	}
	memcpy(key, assignment, len);
	key[len] = 0;
	const struct sh_conf_opt *o = sh_conf_find(r->c->opts, key);
	char *base = r->out;
	if (!o && find_in_list(r, key, &o, &base)) {
		sh_conf_fault(r, where, "no such option; expected one that --help lists");
		return -EINVAL;
	}
	if (o->type == SH_CONF_LIST || o->type == SH_CONF_STRINGS) {
		int err = sh_conf_list_text(r, o, where, eq + 1);
		return err == -ENOMEM ? err : r->errors > before ? -EINVAL : 0;
	}
	if (sh_conf_put(o, base + o->offset, eq + 1)) {
		sh_conf_expect(o, expect, sizeof(expect));
		sh_conf_fault(r, where, "got '%.64s'; expected %s", eq + 1, expect);
		return -EINVAL;
	}
	return 0;
}

/* Line of the option or list item that a check's message begins with, 0: it came from nowhere in a
 * file. */
static unsigned line_of(const struct sh_conf_reader *r, const char *message)
{
	for (const struct sh_conf_opt *o = r->c->opts; o->type != SH_CONF_END; o++) {
		size_t len = strlen(o->key);
		if (o->type == SH_CONF_GROUP || strncmp(message, o->key, len) ||
		    (message[len] != ':' && message[len] != '.'))
			continue;
		if (o == r->item_list && message[len] == '.') {
			unsigned long i = strtoul(message + len + 1, NULL, 10);
			if (i < SH_CONF_ITEMS_MAX && r->item_line[i])
				return r->item_line[i];
		}
		return r->line[o - r->c->opts];
	}
	return 0;
}

int sh_conf_end(struct sh_conf_reader *r)
{
	char why[SH_CONF_WHY], where[300];

	if (!r->errors && r->c->check && r->c->check(r->out, why, sizeof(why))) {
		unsigned line = line_of(r, why);
		if (line)
			snprintf(where, sizeof(where), "%s:%u", r->file, line);
		else
			snprintf(where, sizeof(where), "options");
		sh_conf_fault(r, where, "%s", why);
	}
	return r->errors ? -EINVAL : 0;
}
