/* Is the daemon of use? What /healthz and `callstackctl status` say. The loop's thread only. */
#pragma once

/* reason: why not ("the dataplane is not linked"); NULL: all is well. Copied. It starts as
 * "starting". */
void cp_health_set(const char *reason);
/* NULL when well. */
const char *cp_health(void);
