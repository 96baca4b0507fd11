/* The dataplane's counters by name: stats.def expanded. */
#pragma once

enum sh_stat {
#define X(sym, kind, help) SH_STAT_##sym,
#include "shared/stats.def"
#undef X
	SH_STAT_COUNT
};

enum sh_stat_kind { SH_STAT_KIND_COUNT, SH_STAT_KIND_DROP };
struct sh_stat_info {
	const char *name; // without the drop_ prefix for drops
	const char *help;
	enum sh_stat_kind kind;
};
extern const struct sh_stat_info sh_stat_info[SH_STAT_COUNT];
