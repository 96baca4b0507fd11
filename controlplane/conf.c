#include "controlplane/conf.h"
#include <errno.h>
#include <string.h>

static const struct sh_conf_opt opts[] = {
#define CONF_STRUCT cp_conf
#include "shared/conf_table.h"
#define OPTIONS
#include "controlplane/options.def"
    {.type = SH_CONF_END},
};

const char *cp_conf_path(const struct cp_conf *conf, const char *path, char *buf, size_t size)
{
	int n = path[0] == '/' ? snprintf(buf, size, "%s", path)
	                       : snprintf(buf, size, "%s/%s", conf->data_dir, path);

	return n >= 0 && (size_t)n < size ? buf : NULL;
}

static int check(const void *conf, char *why, size_t size)
{
	const struct cp_conf *c = conf;

	if (c->metrics_port == c->https_port) {
		snprintf(why, size,
		         "listen.metrics_port: %u is listen.https_port too; expected another",
		         c->metrics_port);
		return -EINVAL;
	}
	if (c->max_queue < c->max_message) {
		snprintf(why, size, "limits.queue: %u; expected at least limits.message, %u",
		         c->max_queue, c->max_message);
		return -EINVAL;
	}
	return 0;
}

const struct sh_conf cp_conf_table = {
    .program = "callstackd",
    .about = "CallStack's control daemon: signaling, rooms, calls",
    .path = "/etc/callstack/callstackd.yaml",
    .opts = opts,
    .size = sizeof(struct cp_conf),
    .check = check,
};
