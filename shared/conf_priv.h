/* Between the conf*.c files. */
#pragma once
#include "shared/conf.h"

/* What a value of this option must be, in words: "a whole number from 1 to 16". */
void sh_conf_expect(const struct sh_conf_opt *o, char *buf, size_t size);
/* One scalar into its place at base + offset (STRINGS: into `at`, the string's own place). 0 or
 * -EINVAL. */
int sh_conf_put(const struct sh_conf_opt *o, void *at, const char *text);
bool sh_conf_form_ok(enum sh_conf_form form, const char *text);
/* NULL: no such key. */
const struct sh_conf_opt *sh_conf_find(const struct sh_conf_opt *opts, const char *key);
/* Formats and counts. where: "FILE:LINE" or "--set". */
void sh_conf_fault(struct sh_conf_reader *r, const char *where, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Value of a list from YAML text; to a --set or a default. */
int sh_conf_list_text(struct sh_conf_reader *r, const struct sh_conf_opt *o, const char *where,
                      const char *text);
/* An item with its defaults. */
void sh_conf_item_defaults(const struct sh_conf_opt *items, void *item);
