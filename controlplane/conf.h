/* Configuration of callstackd: options.def as a struct. Plain data; main fills it at start. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shared/conf.h"

struct cp_conf {
#include "shared/conf_struct.h"
#define OPTIONS
#include "controlplane/options.def"
};

/* The table, for sh_conf_args(&cp_conf_table, &conf, argc, argv). */
extern const struct sh_conf cp_conf_table;
/* path as it is when absolute, else below conf->data_dir. buf of size bytes; returns buf, or NULL
 * if too long. */
const char *cp_conf_path(const struct cp_conf *conf, const char *path, char *buf, size_t size);
