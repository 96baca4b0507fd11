#include "controlplane/ops/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "shared/state.h"
#include "shared/stats.h"

static uint64_t sum(const struct sh_state *s, unsigned stat)
{
	uint64_t n = s->stats[SH_MAX_WORKERS].v[stat];

	for (unsigned w = 0; w < s->workers && w < SH_MAX_WORKERS; w++)
		n += s->stats[w].v[stat];
	return n;
}

int ctl_drop_reasons(struct ctl *c)
{
	json_t *reasons = json_array();
	struct sh_slabs slabs;
	bool all = ctl_flag(c, "--all");
	char path[512];
	int err;

	if (!ctl_words(c, 0, 0)) {
		json_decref(reasons);
		return CTL_USAGE;
	}
	sh_state_path(path, sizeof(path), c->rundir);
	err = sh_slabs_open(&slabs, path);
	if (err) {
		json_decref(reasons);
		return ctl_fail(c, err == -ENOENT ? CTL_NO_DAEMON : CTL_FAILED, "%s: %s", path,
		                err == -ENOENT   ? "no dataplane has run there"
		                : err == -EPROTO ? "made by another version"
		                                 : strerror(-err));
	}
	for (unsigned i = 0; i < SH_STAT_COUNT; i++) {
		const struct sh_stat_info *info = &sh_stat_info[i];
		uint64_t n = sum(slabs.head, i);

		if (info->kind != SH_STAT_KIND_DROP)
			continue;
		if (c->json)
			json_array_append_new(
			    reasons, json_pack("{s:s, s:I, s:s}", "reason", info->name, "packets",
			                       (json_int_t)n, "meaning", info->help));
		else if (n || all)
			printf("%-20s %12llu  %s\n", info->name, (unsigned long long)n, info->help);
	}
	if (c->json)
		ctl_print_json(json_pack("{s:O}", "drop_reasons", reasons));
	json_decref(reasons);
	sh_slabs_close(&slabs);
	return CTL_OK;
}
