#include "shared/stats.h"

/* A drop's symbol carries the prefix that its name does not: "drop_" is five characters. */
const struct sh_stat_info sh_stat_info[SH_STAT_COUNT] = {
#define X(sym, kind_, help_)                                                                       \
	{&#sym[SH_STAT_KIND_##kind_ == SH_STAT_KIND_DROP ? 5 : 0], help_, SH_STAT_KIND_##kind_},
#include "shared/stats.def"
#undef X
};
