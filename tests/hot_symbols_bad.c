/* What tests/check_hot_symbols.sh must refuse: proof that it can. */
#include <stdlib.h>
#include <time.h>

void *hot_symbols_bad(struct timespec *now);

void *hot_symbols_bad(struct timespec *now)
{
	clock_gettime(CLOCK_MONOTONIC, now);
	return malloc((size_t)now->tv_nsec);
}
