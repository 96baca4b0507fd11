/* The dataplane's counters by name: stats.def expanded. */
#pragma once
#include <stdint.h>

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
/* Differs when the kinds or names of n counters, or their order, do: who shares counters by position shares this. */
uint64_t sh_stat_names(const struct sh_stat_info *info, unsigned n);
