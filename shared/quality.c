#include "shared/quality.h"

#define X(bound) bound,
const uint32_t sh_quality_mos_bound[] = {SH_QUALITY_MOS_LIST(X)};
const uint32_t sh_quality_rtt_bound[] = {SH_QUALITY_RTT_LIST(X)};
const uint32_t sh_quality_jitter_bound[] = {SH_QUALITY_JITTER_LIST(X)};
const uint32_t sh_quality_loss_bound[] = {SH_QUALITY_LOSS_LIST(X)};
