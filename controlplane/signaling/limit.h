/* Token buckets by name, for what a peer or a user may do a second: failed logins above all. A
 * fixed number of buckets, so that made-up names cost no memory; when all are taken, the one
 * nearest to full makes room. Pure: time is an argument. One thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cp_limit;

/* burst: tokens of a fresh bucket (1..1000); every refill_ms one comes back; buckets: 1..65536. */
int cp_limit_alloc(struct cp_limit **out, unsigned buckets, unsigned burst, unsigned refill_ms);
void cp_limit_free(struct cp_limit *l);
/* Is a token left for that name? Takes none. */
bool cp_limit_ok(struct cp_limit *l, const char *name, uint64_t now_ns);
/* Takes one. What was let through together may take more than there are: the debt is at most a
 * burst. */
void cp_limit_charge(struct cp_limit *l, const char *name, uint64_t now_ns);
/* Seconds until cp_limit_ok() again, for Retry-After; 0 when it already is. */
unsigned cp_limit_wait_s(struct cp_limit *l, const char *name, uint64_t now_ns);
