/* Memory that runs out once: preloaded (LD_PRELOAD=libnth_alloc.so), the n-th allocation fails, and
 * only it. With NTH_ALLOC=n that is the n-th of the run; a test can also say it itself, with these
 * (weak: NULL when not preloaded). cmocka's own allocations and the loader's never fail and are not
 * counted. */
#pragma once

/* The n-th allocation from now fails; 0: none. Counting starts anew. */
extern void nth_alloc_arm(unsigned long n) __attribute__((weak));
extern unsigned long nth_alloc_count(void) __attribute__((weak)); // since arm
extern long nth_alloc_live(void) __attribute__((weak));           // allocated and not freed yet
