/* liburcu's QSBR by the names that we use, so that the thread sanitizer is told what it cannot see
 * in a library that it did not build: what a worker did before a quiescent state happened before
 * what control does after the next synchronisation. */
#pragma once
#include <urcu-qsbr.h>

#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
extern char dp_rcu_edge;
#define DP_RCU_RELEASE() __tsan_release(&dp_rcu_edge)
#define DP_RCU_ACQUIRE() __tsan_acquire(&dp_rcu_edge)
#else
#define DP_RCU_RELEASE() ((void)0)
#define DP_RCU_ACQUIRE() ((void)0)
#endif

/* Worker, between two walks. */
static inline void dp_rcu_quiescent(void)
{
	DP_RCU_RELEASE();
	urcu_qsbr_quiescent_state();
}

/* Worker, around a sleep: it holds nothing meanwhile. */
static inline void dp_rcu_offline(void)
{
	DP_RCU_RELEASE();
	urcu_qsbr_thread_offline();
}

static inline void dp_rcu_online(void)
{
	urcu_qsbr_thread_online();
}

/* Control: returns after every worker was quiescent or asleep. */
static inline void dp_rcu_synchronize(void)
{
	urcu_qsbr_synchronize_rcu();
	DP_RCU_ACQUIRE();
}
