/* For tests and fuzzers: the timers and clock of loop.h on virtual time, and OpenSSL's gettimeofday
 * with them. */
#pragma once
#include <stdint.h>

/* Lets ms pass, running what falls due, in order. */
void fake_loop_advance(uint64_t ms);
unsigned fake_loop_timers(void); // allocated now
