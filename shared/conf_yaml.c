/* YAML by libyaml's document API: it keeps the line of every node, so that every fault can be told
 * where it is (docs/decisions/0002-libyaml-under-libcyaml.md). Aliases are nodes too, never copies,
 * and the depth we follow is the table's. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>
#include "shared/conf_priv.h"

enum { FILE_MAX = 1 << 20, KEY_MAX = 128 };

struct walk {
	struct sh_conf_reader *r;
	yaml_document_t *doc;
	const char *name; // of the file, or "--set …"
	bool lines;       // a file: its lines are told and kept
};

static void fault(struct walk *w, const yaml_node_t *at, const char *key, const char *got,
                  const char *expect)
{
	char where[320];

	if (w->lines)
		snprintf(where, sizeof(where), "%s:%zu", w->name, at->start_mark.line + 1);
	else
		snprintf(where, sizeof(where), "%s", w->name);
	sh_conf_fault(w->r, where, "%s: %s; expected %s", key, got, expect);
}

static yaml_node_t *node(struct walk *w, int index)
{
	return yaml_document_get_node(w->doc, index);
}

static const char *kind(const yaml_node_t *n)
{
	return n->type == YAML_SEQUENCE_NODE  ? "a list"
	       : n->type == YAML_MAPPING_NODE ? "a mapping"
	                                      : "nothing";
}

/* Text of a scalar that stands for something: NULL for lists, mappings, null and text with NUL
 * bytes. */
static const char *scalar(const yaml_node_t *n)
{
	if (n->type != YAML_SCALAR_NODE)
		return NULL;
	const char *s = (const char *)n->data.scalar.value;
	if (strlen(s) != n->data.scalar.length)
		return NULL;
	bool plain = n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	return plain && (!s[0] || !strcmp(s, "~") || !strcmp(s, "null")) ? NULL : s;
}

static void read_scalar(struct walk *w, const struct sh_conf_opt *o, void *at, const yaml_node_t *n,
                        const char *key)
{
	char got[100], expect[SH_CONF_WHY];
	const char *text = scalar(n);

	if (text && !sh_conf_put(o, at, text))
		return;
	if (text)
		snprintf(got, sizeof(got), "got '%.64s'", text);
	else
		snprintf(got, sizeof(got), "got %s", kind(n));
	struct sh_conf_opt one = *o;
	if (o->type == SH_CONF_STRINGS)
		one.type = SH_CONF_STRING;
	sh_conf_expect(&one, expect, sizeof(expect));
	fault(w, n, key, got, expect);
}

static void read_mapping(struct walk *w, const struct sh_conf_opt *opts,
                         const struct sh_conf_opt *table, void *base, const char *prefix,
                         const yaml_node_t *n, const char *path, unsigned *lines);

static void read_item(struct walk *w, const struct sh_conf_opt *o, uint32_t i, const yaml_node_t *n,
                      const char *key)
{
	char *at = (char *)w->r->out + o->values + i * o->size;
	unsigned lines[SH_CONF_OPTS_MAX] = {0};

	if (o->type == SH_CONF_STRINGS) {
		read_scalar(w, o, at, n, key);
		return;
	}
	memset(at, 0, o->size);
	sh_conf_item_defaults(o->items, at);
	if (n->type == YAML_MAPPING_NODE)
		read_mapping(w, o->items, o->items, at, "", n, key, lines);
	else
		fault(w, n, key, "not a mapping", "key: value pairs of one entry");
	if (i < SH_CONF_ITEMS_MAX)
		w->r->item_line[i] = w->lines ? (unsigned)n->start_mark.line + 1 : 0;
}

static void read_list(struct walk *w, const struct sh_conf_opt *o, const yaml_node_t *n,
                      const char *key)
{
	char expect[SH_CONF_WHY], got[64], item[KEY_MAX + 16];

	sh_conf_expect(o, expect, sizeof(expect));
	if (n->type != YAML_SEQUENCE_NODE) {
		fault(w, n, key,
		      n->type == YAML_SCALAR_NODE ? "got a single value" : "got a mapping", expect);
		return;
	}
	size_t count = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
	if (count > o->most) {
		snprintf(got, sizeof(got), "got %zu entries", count);
		fault(w, n, key, got, expect);
		return;
	}
	if (o->type == SH_CONF_LIST)
		w->r->item_list = o;
	for (uint32_t i = 0; i < count; i++) {
		snprintf(item, sizeof(item), "%s.%u", key, i);
		read_item(w, o, i, node(w, n->data.sequence.items.start[i]), item);
	}
	*(uint32_t *)((char *)w->r->out + o->offset) = (uint32_t)count;
}

/* Levenshtein distance, for "did you mean"; words of at most 31 letters, others are far away. */
static unsigned distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	unsigned row[32];

	if (n > 31 || m > 31)
		return 99;
	for (unsigned k = 0; k <= m; k++)
		row[k] = k;
	for (size_t i = 1; i <= n; i++) {
		unsigned diagonal = row[0];
		row[0] = (unsigned)i;
		for (size_t k = 1; k <= m; k++) {
			unsigned best = diagonal + (a[i - 1] != b[k - 1]);
			diagonal = row[k];
			if (diagonal + 1 < best)
				best = diagonal + 1;
			if (row[k - 1] + 1 < best)
				best = row[k - 1] + 1;
			row[k] = best;
		}
	}
	return row[m];
}

/* Name of the option or group below prefix, as it stands in YAML at this level; len 0: not below
 * it. */
static size_t level_name(const struct sh_conf_opt *o, const char *prefix, const char **name)
{
	size_t skip = strlen(prefix);

	if (o->type == SH_CONF_GROUP || strncmp(o->key, prefix, skip))
		return 0;
	*name = o->key + skip;
	return strcspn(*name, ".");
}

static void unknown_key(struct walk *w, const struct sh_conf_opt *opts, const char *prefix,
                        const yaml_node_t *n, const char *key, const char *path)
{
	char all[SH_CONF_WHY] = "", last[64] = "", near[64] = "";
	size_t best = (strlen(key) + 1) / 2; // as near as that it is likely a slip
	size_t at = 0;

	for (const struct sh_conf_opt *o = opts; o->type != SH_CONF_END; o++) {
		const char *name;
		char word[64];
		size_t len = level_name(o, prefix, &name);
		if (len == 0 || len >= sizeof(word))
			continue;
		memcpy(word, name, len);
		word[len] = 0;
		if (!strcmp(word, last))
			continue;
		strcpy(last, word);
		if (at < sizeof(all))
			at += (size_t)snprintf(all + at, sizeof(all) - at, "%s%s",
			                       at ? ", " : "one of ", word);
		unsigned d = distance(key, word);
		if (d < best && d <= 2) {
			best = d;
			snprintf(near, sizeof(near), "%s", word);
		}
	}
	char got[200];
	snprintf(got, sizeof(got), "unknown key%s%s%s", near[0] ? " (did you mean " : "", near,
	         near[0] ? "?)" : "");
	fault(w, n, path, got, all);
}

static bool is_group(const struct sh_conf_opt *opts, const char *key)
{
	size_t len = strlen(key);

	for (; opts->type != SH_CONF_END; opts++)
		if (opts->type != SH_CONF_GROUP && !strncmp(opts->key, key, len) &&
		    opts->key[len] == '.')
			return true;
	return false;
}

static void read_option(struct walk *w, const struct sh_conf_opt *o, void *base,
                        const yaml_node_t *key, const yaml_node_t *value, const char *path,
                        unsigned *line)
{
	char got[64];

	if (*line) {
		snprintf(got, sizeof(got), "given twice, first in line %u", *line);
		fault(w, key, path, got, "each key once");
		return;
	}
	*line = (unsigned)key->start_mark.line + 1;
	if (o->type == SH_CONF_LIST || o->type == SH_CONF_STRINGS)
		read_list(w, o, value, path);
	else
		read_scalar(w, o, (char *)base + o->offset, value, path);
}

/* prefix: of keys in the table ("nack."); path: as told in faults. A group is read by the same
 * function, one level down; the table has two levels, and a key is as deep as its dots. */
static void read_mapping(struct walk *w, const struct sh_conf_opt *opts,
                         const struct sh_conf_opt *table, void *base, const char *prefix,
                         const yaml_node_t *n, const char *path, unsigned *lines)
{
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top;
	     p++) {
		const yaml_node_t *key = node(w, p->key), *value = node(w, p->value);
		const char *name = scalar(key);
		char full[KEY_MAX * 2], told[KEY_MAX * 2];

		if (!name || strlen(prefix) + strlen(name) + 2 > KEY_MAX) {
			fault(w, key, path[0] ? path : "key", "not a name",
			      "a key that --help lists");
			continue;
		}
		snprintf(full, sizeof(full), "%s%s", prefix, name);
		snprintf(told, sizeof(told), "%s%s%s", path, path[0] ? "." : "", name);
		const struct sh_conf_opt *o = sh_conf_find(opts, full);
		if (o) {
			read_option(w, o, base, key, value, told, &lines[o - table]);
		} else if (is_group(opts, full) && value->type == YAML_MAPPING_NODE) {
			size_t len = strlen(full);
			memcpy(full + len, ".", 2);
			read_mapping(w, opts, table, base, full, value, told, lines);
		} else if (is_group(opts, full)) {
			fault(w, value, told, "not a mapping", "its options below it, indented");
		} else {
			unknown_key(w, opts, prefix, key, name, told);
		}
	}
}

static int parse_fault(struct walk *w, const yaml_parser_t *p)
{
	char where[320];

	/* libyaml 0.2.5 forgets to say so when some of its allocations fail while composing. */
	if (p->error == YAML_MEMORY_ERROR || p->error == YAML_NO_ERROR)
		return -ENOMEM;
	if (w->lines)
		snprintf(where, sizeof(where), "%s:%zu", w->name, p->problem_mark.line + 1);
	else
		snprintf(where, sizeof(where), "%s", w->name);
	sh_conf_fault(w->r, where, "%s%s%s; expected YAML", p->context ? p->context : "",
	              p->context ? ": " : "", p->problem ? p->problem : "cannot be read");
	return -EINVAL;
}

typedef int(root_h)(struct walk *w, const yaml_node_t *root, const struct sh_conf_opt *o);

static int options_root(struct walk *w, const yaml_node_t *root, const struct sh_conf_opt *o)
{
	unsigned lines[SH_CONF_OPTS_MAX] = {0};

	/* A file of comments only has a null root. */
	if (root->type == YAML_SCALAR_NODE && root->data.scalar.length == 0)
		return 0;
	if (root->type != YAML_MAPPING_NODE) {
		fault(w, root, "file", "not a mapping", "key: value pairs");
		return -EINVAL;
	}
	read_mapping(w, w->r->c->opts, w->r->c->opts, w->r->out, "", root, "", lines);
	for (size_t i = 0; i < SH_CONF_OPTS_MAX; i++)
		if (lines[i])
			w->r->line[i] = lines[i];
	return 0;
}

static int list_root(struct walk *w, const yaml_node_t *root, const struct sh_conf_opt *o)
{
	read_list(w, o, root, o->key);
	return 0;
}

static int parse(struct walk *w, const char *text, size_t len, root_h *h,
                 const struct sh_conf_opt *o)
{
	yaml_parser_t parser;
	yaml_document_t doc;
	unsigned before = w->r->errors;
	int err = 0;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	for (unsigned documents = 0; !err; documents++) {
		if (!yaml_parser_load(&parser, &doc)) {
			err = parse_fault(w, &parser);
			break;
		}
		w->doc = &doc;
		const yaml_node_t *root = yaml_document_get_root_node(&doc);
		if (root && documents == 0) {
			err = h(w, root, o);
		} else if (root) {
			fault(w, root, "document", "a second one", "one YAML document");
			err = -EINVAL;
		}
		yaml_document_delete(&doc);
		if (!root)
			break;
	}
	yaml_parser_delete(&parser);
	return err ? err : w->r->errors > before ? -EINVAL : 0;
}

int sh_conf_load_text(struct sh_conf_reader *r, const char *name, const char *text, size_t len)
{
	struct walk w = {.r = r, .name = name, .lines = true};

	snprintf(r->file, sizeof(r->file), "%s", name);
	return parse(&w, text, len, options_root, NULL);
}

int sh_conf_list_text(struct sh_conf_reader *r, const struct sh_conf_opt *o, const char *where,
                      const char *text)
{
	struct walk w = {.r = r, .name = where};

	if (o->type == SH_CONF_LIST || text[0] == '[')
		return parse(&w, text, strlen(text), list_root, o);
	/* a,b,c: no YAML, as a colon may mean more to it than to an address */
	uint32_t n = 0;
	for (const char *p = text; *p;) {
		char word[256];
		size_t len = strcspn(p, ",");
		snprintf(word, sizeof(word), "%.*s", (int)len, p);
		if (n == o->most || len >= sizeof(word) ||
		    sh_conf_put(o, (char *)r->out + o->values + n * o->size, word)) {
			char expect[SH_CONF_WHY];
			sh_conf_expect(o, expect, sizeof(expect));
			sh_conf_fault(r, where, "got '%.64s'; expected %s", word, expect);
			return -EINVAL;
		}
		n++;
		p += len + (p[len] == ',');
	}
	*(uint32_t *)((char *)r->out + o->offset) = n;
	return 0;
}

static int read_whole(int fd, char **text, size_t *len)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
		return -EISDIR;
	char *buf = malloc(FILE_MAX + 1);
	if (!buf)
		return -ENOMEM;
	size_t at = 0;
	while (at <= FILE_MAX) {
		ssize_t n = read(fd, buf + at, FILE_MAX + 1 - at);
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR) {
			int err = -errno;
			free(buf);
			return err;
		}
		at += n > 0 ? (size_t)n : 0;
	}
	if (at > FILE_MAX) {
		free(buf);
		return -EFBIG;
	}
	*text = buf;
	*len = at;
	return 0;
}

int sh_conf_load(struct sh_conf_reader *r, const char *path)
{
	char *text = NULL;
	size_t len = 0;

	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err = fd < 0 ? -errno : read_whole(fd, &text, &len);
	if (fd >= 0)
		close(fd);
	if (err) {
		sh_conf_fault(r, path, "%s; expected a YAML file of at most 1 MiB",
		              strerrordesc_np(-err));
		return err;
	}
	err = sh_conf_load_text(r, path, text, len);
	if (err == -ENOMEM)
		sh_conf_fault(r, path, "out of memory");
	free(text);
	return err;
}
