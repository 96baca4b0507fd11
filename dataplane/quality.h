/* Quality of every stream, once a second: from the counters that workers keep anyway, so that it
 * costs a worker nothing. A round goes over all live endpoints in steps, between which the control
 * thread does its other work; it writes sh_quality of each layer and subscription and the sums of
 * each worker (shared/quality.h), and tells the daemon (QUALITY events; those that the ring has no
 * room for are dropped and counted: newer ones follow). Control thread; no DPDK; time is an
 * argument. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Tables are there, for so many workers. 0, -ENOMEM. */
int dp_quality_init(unsigned workers);
void dp_quality_free(void);
/* A round shall begin; about once a second. One that is not done yet goes on instead. */
void dp_quality_begin(uint64_t now_ns);
/* Some of the round, of about `most` streams. true: there is more to do. */
bool dp_quality_step(uint64_t now_ns, unsigned most);
