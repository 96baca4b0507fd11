#include "controlplane/ops/health.h"

#include <stdio.h>

static char why[160] = "starting";

void cp_health_set(const char *reason)
{
	snprintf(why, sizeof(why), "%s", reason ? reason : "");
}

const char *cp_health(void)
{
	return why[0] ? why : NULL;
}
