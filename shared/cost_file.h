/* The model file: JSON that bench/planner writes and callstackd reads at start.
 *
 *     {"format": "callstack-cost-1", "tsc_hz": …, "usable": …, "error": …,
 *      "ciphers": {"aes_128_gcm": {"in": …, "in_byte": …, "out": …, "out_byte": …}, …},
 *      "cache": …, "cache_in": …, "endpoint": …, "handoff": …,
 *      "port": {"name": …, "in": …, "in_byte": …, "out": …, "out_byte": …, "max_pps": …, "max_bps":
 * …}, "memory": {"base": …, "endpoint": …, "subscription": …, "video": …, "audio": …, "available":
 * …}}
 *
 * Other keys are the planner's own (how it was measured, samples, other ports) and are not looked
 * at. The file decides who is let in, so one that others may write is refused, as is what is no
 * plain file. Allocates; start-up only. */
#pragma once
#include <stddef.h>
#include "shared/cost.h"

enum { SH_COST_FILE_MAX = 1 << 20 };

/* 0; -ENOENT; -EACCES (not ours or root's, or others may write it); -EINVAL (not a model); -errno.
 * why: a sentence for all but 0. */
int sh_cost_load_file(struct sh_cost_model *out, const char *path, char *why, size_t size);
struct json_t;
/* The same from a parsed document. */
int sh_cost_load_json(struct sh_cost_model *out, const struct json_t *doc, char *why, size_t size);
/* A new reference with all of the above; NULL: no memory. */
struct json_t *sh_cost_json(const struct sh_cost_model *m);
