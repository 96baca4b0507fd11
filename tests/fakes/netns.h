/* A second network namespace for a test. */
#pragma once
#include <sys/types.h>

/* Forks a process that holds one, and returns its id when it is there, for `ip link … netns` and
 * `nsenter -t`. Its caller ends it by SIGKILL. Needs root. */
pid_t netns_hold(void);
