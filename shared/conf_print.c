/* The table written out: as commented YAML, as --help, as Markdown. */
#include <ctype.h>
#include <string.h>
#include "shared/conf_priv.h"

enum { WIDTH = 96 };

/* Words of text after `first`, wrapped, each further line begun with `next`. */
static void wrap(FILE *to, const char *first, const char *next, const char *text)
{
	size_t column = strlen(first);

	fputs(first, to);
	for (const char *p = text; *p;) {
		size_t len = strcspn(p, " ");
		if (column + 1 + len > WIDTH && column > strlen(next)) {
			fprintf(to, "\n%s", next);
			column = strlen(next);
		} else if (p != text) {
			fputc(' ', to);
			column++;
		}
		fwrite(p, 1, len, to);
		column += len;
		p += len + (p[len] == ' ');
	}
	fputc('\n', to);
}

/* Plain where no reader of YAML could take it for anything but this text. */
static bool plain_safe(const char *s)
{
	static const char *const taken[] = {"true", "false", "null", "yes", "no",
	                                    "on",   "off",   "y",    "n",   NULL};

	if (!isalpha((unsigned char)s[0]) && s[0] != '/')
		return false;
	for (const char *p = s; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("_./-", *p))
			return false;
	for (int i = 0; taken[i]; i++)
		if (!strcasecmp(taken[i], s))
			return false;
	return true;
}

static void print_string(FILE *to, const char *s)
{
	if (plain_safe(s)) {
		fputs(s, to);
		return;
	}
	fputc('"', to);
	for (; *s; s++)
		fprintf(to, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
	fputc('"', to);
}

static void print_scalar(FILE *to, const struct sh_conf_opt *o, const void *at)
{
	switch (o->type) {
	case SH_CONF_BOOL:
		fputs(*(const bool *)at ? "true" : "false", to);
		break;
	case SH_CONF_UINT:
		fprintf(to, "%u", *(const uint32_t *)at);
		break;
	case SH_CONF_ENUM:
		/* Quoted where YAML 1.1 has another idea of on and off. */
		print_string(to, o->words[*(const int *)at]);
		break;
	default:
		print_string(to, at);
		break;
	}
}

/* "a whole number from 1 to 16; default 1" */
static void describe(const struct sh_conf_opt *o, char *buf, size_t size)
{
	char expect[SH_CONF_WHY];

	sh_conf_expect(o, expect, sizeof(expect));
	if (o->type == SH_CONF_STRING && !o->def[0])
		snprintf(buf, size, "%s", expect);
	else
		snprintf(buf, size, "%s; default %s", expect, o->def);
}

static void comment(FILE *to, const struct sh_conf_opt *o, const char *lead)
{
	char next[32], range[SH_CONF_WHY + 128];

	snprintf(next, sizeof(next), "%s  ", lead);
	wrap(to, lead, lead, o->help);
	describe(o, range, sizeof(range));
	wrap(to, next, next, range);
}

static bool is_default(const struct sh_conf_opt *o, const void *at)
{
	_Alignas(8) char def[1024] = {0};

	sh_conf_put(o, def, o->def);
	switch (o->type) {
	case SH_CONF_BOOL:
		return *(const bool *)at == *(const bool *)def;
	case SH_CONF_UINT:
		return *(const uint32_t *)at == *(const uint32_t *)def;
	case SH_CONF_ENUM:
		return *(const int *)at == *(const int *)def;
	default:
		return !strcmp(at, def);
	}
}

/* The fields of an entry: the first one always, the others when they are not what they would be
 * anyway. */
static void print_item(FILE *to, const struct sh_conf_opt *items, const char *item)
{
	bool first = true;

	for (const struct sh_conf_opt *o = items; o->type != SH_CONF_END; o++) {
		if (!first && is_default(o, item + o->offset))
			continue;
		fprintf(to, "%s%s: ", first ? "  - " : "    ", o->key);
		print_scalar(to, o, item + o->offset);
		fputc('\n', to);
		first = false;
	}
}

static void print_list(FILE *to, const struct sh_conf_opt *o, const char *conf, const char *name)
{
	uint32_t n = *(const uint32_t *)(conf + o->offset);

	if (o->type == SH_CONF_LIST) {
		fprintf(to, "# Each entry has:\n");
		for (const struct sh_conf_opt *i = o->items; i->type != SH_CONF_END; i++) {
			char lead[64];
			snprintf(lead, sizeof(lead), "#   %s: ", i->key);
			char text[SH_CONF_WHY * 2], range[SH_CONF_WHY + 128];
			describe(i, range, sizeof(range));
			snprintf(text, sizeof(text), "%s (%s)", i->help, range);
			wrap(to, lead, "#     ", text);
		}
	}
	fprintf(to, n ? "%s:\n" : "%s: []\n", name);
	for (uint32_t i = 0; i < n; i++) {
		const char *at = conf + o->values + i * o->size;
		if (o->type == SH_CONF_LIST) {
			print_item(to, o->items, at);
			continue;
		}
		fputs("  - ", to);
		print_string(to, at);
		fputc('\n', to);
	}
}

void sh_conf_print(const struct sh_conf *c, const void *conf, FILE *to)
{
	const char *group = NULL;
	char head[256];

	snprintf(head, sizeof(head), "%s: every option, as --print-config writes it.", c->program);
	wrap(to, "# ", "# ", head);
	for (const struct sh_conf_opt *o = c->opts; o->type != SH_CONF_END; o++) {
		if (o->type == SH_CONF_GROUP) {
			fputc('\n', to);
			wrap(to, "# ", "# ", o->help);
			fprintf(to, "%s:\n", o->key);
			group = o->key;
			continue;
		}
		const char *dot = strchr(o->key, '.');
		const char *lead = dot ? "  # " : "# ";
		if (!dot || !group)
			fputc('\n', to);
		comment(to, o, lead);
		const char *name = dot ? dot + 1 : o->key;
		if (o->type == SH_CONF_LIST || o->type == SH_CONF_STRINGS) {
			print_list(to, o, conf, name);
			continue;
		}
		fprintf(to, "%s%s: ", dot ? "  " : "", name);
		print_scalar(to, o, (const char *)conf + o->offset);
		fputc('\n', to);
	}
}

static void help_row(FILE *to, const struct sh_conf_opt *o, const char *prefix)
{
	char range[SH_CONF_WHY + 128];

	describe(o, range, sizeof(range));
	fprintf(to, "  %s%s\n", prefix, o->key);
	wrap(to, "      ", "      ", o->help);
	wrap(to, "      ", "      ", range);
}

void sh_conf_help(const struct sh_conf *c, FILE *to)
{
	fprintf(to,
	        "%s - %s\n\n"
	        "Usage: %s [--config FILE] [--set KEY=VALUE]... [COMMAND]\n\n"
	        "  --config FILE     YAML; else %s, if it is there\n"
	        "  --set KEY=VALUE   an option, after the file; any number of times\n"
	        "  --check-config    say what is wrong with the options, or nothing; exit 0 or 2\n"
	        "  --print-config    the effective options as commented YAML\n"
	        "  --version, --help\n\n"
	        "Options:\n",
	        c->program, c->about, c->program, c->path);
	for (const struct sh_conf_opt *o = c->opts; o->type != SH_CONF_END; o++) {
		if (o->type == SH_CONF_GROUP)
			continue;
		help_row(to, o, "");
		if (o->type != SH_CONF_LIST)
			continue;
		char prefix[80];
		snprintf(prefix, sizeof(prefix), "%s.N.", o->key);
		for (const struct sh_conf_opt *i = o->items; i->type != SH_CONF_END; i++)
			help_row(to, i, prefix);
	}
}

static void markdown_row(FILE *to, const struct sh_conf_opt *o, const char *prefix)
{
	char expect[SH_CONF_WHY];

	sh_conf_expect(o, expect, sizeof(expect));
	fprintf(to, "| `%s%s` | `%s` | %s | %s |\n", prefix, o->key, o->def[0] ? o->def : "\"\"",
	        expect, o->help);
}

void sh_conf_markdown(const struct sh_conf *c, FILE *to)
{
	fprintf(to, "## %s\n\n%s.\n\n| option | default | value | |\n| --- | --- | --- | --- |\n",
	        c->program, c->about);
	for (const struct sh_conf_opt *o = c->opts; o->type != SH_CONF_END; o++) {
		if (o->type == SH_CONF_GROUP)
			continue;
		markdown_row(to, o, "");
		if (o->type != SH_CONF_LIST)
			continue;
		char prefix[80];
		snprintf(prefix, sizeof(prefix), "%s.N.", o->key);
		for (const struct sh_conf_opt *i = o->items; i->type != SH_CONF_END; i++)
			markdown_row(to, i, prefix);
	}
}
