#include "shared/stats.h"

/* A drop's symbol carries the prefix that its name does not: "drop_" is five characters. */
const struct sh_stat_info sh_stat_info[SH_STAT_COUNT] = {
#define X(sym, kind_, help_)                                                                       \
	{&#sym[SH_STAT_KIND_##kind_ == SH_STAT_KIND_DROP ? 5 : 0], help_, SH_STAT_KIND_##kind_},
#include "shared/stats.def"
#undef X
};

uint64_t sh_stat_names(const struct sh_stat_info *info, unsigned n)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325); // FNV-1a, each name with its NUL

	for (unsigned i = 0; i < n; i++) {
		const char *c = info[i].name;

		hash = (hash ^ info[i].kind) * UINT64_C(0x100000001b3);
		do
			hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
		while (*c++);
	}
	return hash;
}
