/* Configuration from one table a daemon: options.def lists every option once, and from it come the
 * C struct, the defaults, the YAML reader, --set, --print-config, --check-config, --help,
 * conf/NAME.yaml and docs/options.md.
 *
 * A daemon's conf.h makes its struct and its conf.c the table:
 *
 *     struct dp_conf {
 *     #include "shared/conf_struct.h"
 *     #define OPTIONS
 *     #include "dataplane/options.def"
 *     };
 *
 *     static const struct sh_conf_opt opts[] = {
 *     #define CONF_STRUCT dp_conf
 *     #include "shared/conf_table.h"
 *     #define OPTIONS
 *     #include "dataplane/options.def"
 *     };
 *
 * The struct is plain data without pointers. Rows of a .def (field: the C member, key: dotted name
 * in YAML), and what each is in the struct:
 *
 *     GROUP(key, help)
 *         nothing: what "key." options are about
 *     BOOL(field, key, default, help)
 *         bool
 *     UINT(field, key, default, min, max, unit, help)
 *         uint32_t
 *     STRING(field, key, default, size, form, help)
 *         char[size], with its NUL; may be "" if the default is
 *     ENUM(field, key, default, LIST, help)
 *         int; LIST(X) has X(SYMBOL, "word") for each value, from 0
 *     STRINGS(field, key, default, most, size, form, help)
 *         struct { uint32_t n; char v[most][size]; }
 *     LIST(field, key, default, most, item struct, table, help)
 *         struct { uint32_t n; struct item v[most]; }
 *
 * Defaults are YAML text. Start-up only, one thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum sh_conf_type {
	SH_CONF_END,
	SH_CONF_GROUP,
	SH_CONF_BOOL,
	SH_CONF_UINT,
	SH_CONF_STRING,
	SH_CONF_ENUM,
	SH_CONF_STRINGS,
	SH_CONF_LIST,
};

/* What a text may be: symbol, what a wrong one is told to be. All are printable ASCII. */
#define SH_CONF_FORMS(X)                                                                           \
	X(TEXT, "printable ASCII text")                                                            \
	X(PATH, "a path")                                                                          \
	X(ABSPATH, "an absolute path")                                                             \
	X(ADDRESS, "an IPv4 or IPv6 address without port")                                         \
	X(CPUS, "auto, or CPU numbers and ranges such as 1-2,4")                                   \
	X(PCI, "a PCI address such as 0000:3b:00.0")                                               \
	X(NETDEV, "a network interface name (1 to 15 characters, no / and no space)")              \
	X(USER, "a user name")                                                                     \
	X(LOG, "a level (error, warn, info, debug), then subsystem=level pairs, such as "          \
	       "info,plane=debug")                                                                 \
	X(STORE, "sqlite:PATH or postgresql://…")                                                  \
	X(ORIGIN, "* or an origin such as https://example.org:8443")

enum sh_conf_form {
#define X(sym, expect) SH_CONF_##sym,
	SH_CONF_FORMS(X)
#undef X
};

struct sh_conf_opt {
	enum sh_conf_type type;
	const char *key, *def, *help;
	size_t offset;
	uint32_t min, max; // UINT
	const char *unit;  // UINT, "" none
	enum sh_conf_form form;
	size_t size;                     // STRING(S): bytes of one; LIST: of one item
	size_t values;                   // STRINGS, LIST: offset of v[]; offset is that of n
	uint32_t most;                   // STRINGS, LIST
	const char *const *words;        // ENUM, NULL-terminated
	const struct sh_conf_opt *items; // LIST, ends with SH_CONF_END
};

enum { SH_CONF_OPTS_MAX = 128, SH_CONF_ITEMS_MAX = 32, SH_CONF_WHY = 512 };

struct sh_conf {
	const char *program, *about;    // "callstackd", one line for --help
	const char *path;               // read when it exists and no --config is given
	const struct sh_conf_opt *opts; // ends with SH_CONF_END
	size_t size;                    // of the struct
	/* What one row cannot say (a port needs an interface, ranges that overlap). -EINVAL with
	 * why[] beginning with the key at fault, "ports.1.interface: …"; 0. May be NULL. */
	int (*check)(const void *conf, char *why, size_t size);
};

/* One message: "FILE:LINE: key: what is wrong; expected …" (or "--set …: …"). */
typedef void(sh_conf_error_h)(const char *text, void *arg);

/* Reading in progress: begin, then load and set in any number, then end. */
struct sh_conf_reader {
	const struct sh_conf *c;
	void *out;
	sh_conf_error_h *error;
	void *arg;
	unsigned errors;
	char file[256];
	unsigned line[SH_CONF_OPTS_MAX];       // where each option was given, 0: nowhere
	unsigned item_line[SH_CONF_ITEMS_MAX]; // of the last list read
	const struct sh_conf_opt *item_list;   // which list that is
};

/* Fills out with the defaults. error NULL: to stderr. 0 or -ENOMEM. */
int sh_conf_begin(struct sh_conf_reader *r, const struct sh_conf *c, void *out,
                  sh_conf_error_h *error, void *arg);
/* Both tell every fault that they find. 0, -EINVAL (said why), -errno (file cannot be read; said).
 */
int sh_conf_load(struct sh_conf_reader *r, const char *path);
int sh_conf_load_text(struct sh_conf_reader *r, const char *name, const char *text, size_t len);
/* "stun.burst=300", "ports.0.interface=eth1", "addresses=192.0.2.1,2001:db8::1", "ports=[{kind:
 * null}]". */
int sh_conf_set(struct sh_conf_reader *r, const char *assignment);
/* The checks across options. 0, or -EINVAL if anything was wrong since begin. */
int sh_conf_end(struct sh_conf_reader *r);

/* Commented YAML that reads back as the same. */
void sh_conf_print(const struct sh_conf *c, const void *conf, FILE *to);
void sh_conf_help(const struct sh_conf *c, FILE *to);
/* The table as Markdown rows, for docs/options.md. */
void sh_conf_markdown(const struct sh_conf *c, FILE *to);

/* A daemon's whole command line: --config FILE, --set KEY=VALUE, --print-config, --check-config,
 * --help, --version. -1: go on with *out; otherwise the exit status (0: asked and answered, 2:
 * wrong and said). */
int sh_conf_args(const struct sh_conf *c, void *out, int argc, char **argv);
